"""The command line of the agents: ``rl-tuner train | steer | evaluate | sweep``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import (
    add_output_options,
    file_names,
    formats_given,
    output_given,
    positive,
    progress_bar,
    run_command,
)
from rhythmgan.export import DEFAULT_FORMATS
from rhythmgan.playback import Playback
from rl_tuner.benchmark.config import QUICK, SWEEP_TRAIN_STEPS, BenchmarkConfig

if TYPE_CHECKING:
    from rhythmgan.data import Corpus
    from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood

# what is slow to import is imported by the command that needs it: help and errors answer at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    options = _parser().parse_args(arguments)
    return run_command("rl-tuner", lambda: options.run(options), resumes=options.run is _train)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rl-tuner", description="Steer the bars of a GAN to a density and a syncopation, with a DQN agent."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    train = commands.add_parser(
        "train", help="train an agent", description="Train an agent, or go on where a run in --out stopped."
    )
    train.set_defaults(run=_train)
    train.add_argument("--data", required=True, metavar="bars.npz", help="a corpus: its train songs give targets")
    train.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    train.add_argument("--features", help="what to steer, by name (density,syncopation)")
    train.add_argument("--train-steps", type=positive, help="moves to learn from (3000000)")
    train.add_argument("--seed", type=int, help="of weights, walks and draws (0)")
    train.add_argument("--num-envs", type=positive, help="environments at once (512)")
    _add_models(train)
    _add_threads(train)

    steer = commands.add_parser(
        "steer",
        help="bars with the density and the syncopation asked for",
        description="Walk from bars to bars with the density and the syncopation asked for.",
    )
    steer.set_defaults(run=_steer)
    steer.add_argument("--density", type=float, metavar="N", help="onsets in the bar")
    steer.add_argument("--syncopation", type=float, metavar="S", help="note-rest syncopation of three streams")
    steer.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other feature that the agent steers; several times for several",
    )
    steer.add_argument("--percentile", action="store_true", help="the targets are percentiles of real bars, 0-100")
    steer.add_argument("--n", type=positive, default=8, help="bars (%(default)s)")
    steer.add_argument("--calls", type=positive, default=32, help="generator calls of each at most (%(default)s)")
    steer.add_argument("--realism", type=float, help="0-1: how much staying real counts against precision (0.25)")
    steer.add_argument("--seed", type=int, default=0, help="of the first bar; the next has the next (%(default)s)")
    starts = steer.add_mutually_exclusive_group()
    starts.add_argument("--from-seed", type=int, metavar="SEED", help="begin all walks at the bar of this seed")
    starts.add_argument("--from-midi", metavar="FILE", help="begin at the bars of a loop, each in turn")
    steer.add_argument("--out", required=True, metavar="DIR", help="folder for MIDI before and after, and the report")
    add_output_options(steer, DEFAULT_FORMATS, bpm=f"that of the loop, or {Playback.bpm:g}")
    steer.add_argument("--prior", metavar="FILE", help="the prior's weights (the bundled ones)")
    steer.add_argument("--agent", metavar="FILE", help="weights that `train` wrote (the bundled ones)")

    evaluate = commands.add_parser(
        "evaluate",
        help="measure the agent against every baseline",
        description="Measure the agent against every baseline, at equal calls and at equal time, by held-out networks.",
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("--data", required=True, metavar="bars.npz", help="a corpus")
    evaluate.add_argument("--out", required=True, metavar="DIR", help="folder for table, plot and held-out networks")
    evaluate.add_argument("--agent", metavar="FILE", help="weights that `train` wrote (the bundled ones)")
    evaluate.add_argument("--quick", action="store_true", help="two seeds and few targets: a first look")
    evaluate.add_argument("--seeds", type=positive, help=f"seeds to measure with ({len(BenchmarkConfig.seeds)})")
    evaluate.add_argument(
        "--calls", type=positive, help=f"most calls of the curves ({BenchmarkConfig.max_calls})"
    )
    _add_models(evaluate)
    _add_threads(evaluate)

    sweep = commands.add_parser(
        "sweep",
        help="train with other rewards and exploration, and compare",
        description="Train agents with other exploration, rewards and returns, and compare how often they succeed.",
    )
    sweep.set_defaults(run=_sweep)
    sweep.add_argument("--data", required=True, metavar="bars.npz", help="a corpus")
    sweep.add_argument("--out", required=True, metavar="DIR", help="folder for table, JSON and the runs")
    sweep.add_argument("--train-steps", type=positive, help=f"transitions of each ({SWEEP_TRAIN_STEPS})")
    sweep.add_argument("--only", metavar="NAMES", help="some of the variants, by name, with commas")
    _add_models(sweep)
    _add_threads(sweep)
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="FILE", help="the GAN's weights (the bundled ones)")
    parser.add_argument("--prior", metavar="FILE", help="the prior's weights (the bundled ones)")


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=positive, help="CPU threads (torch's choice)")


def _models(options: argparse.Namespace, corpus: Corpus | None = None) -> tuple[LatentCritic, SamplingLikelihood]:
    """GAN and prior; where there are words, of their kit and grid."""
    import torch

    from rhythmgan.models.catalogue import load_generator, load_likelihood
    from rhythmgan.models.interfaces import check_compatible

    if getattr(options, "threads", None):
        torch.set_num_threads(options.threads)
    gan, prior = load_generator(options.weights or "gan"), load_likelihood(options.prior or "prior")
    kit, steps = (corpus.kit, corpus.steps) if corpus else (gan.kit, gan.steps)
    check_compatible(gan, kit, steps, "the GAN")
    check_compatible(prior, kit, steps, "the prior")
    return gan, prior


def _train(options: argparse.Namespace) -> None:
    from rhythmgan.data import load_corpus

    corpus = load_corpus(options.data).split("train")
    gan, prior = _models(options, corpus)

    from dataclasses import replace

    from rl_tuner.agent import AgentConfig
    from rl_tuner.config import BUNDLED, EnvConfig, shortened
    from rl_tuner.scale import TARGETS
    from rl_tuner.tune.latent import targets_of, train_agent

    features = tuple(name.strip() for name in options.features.split(",")) if options.features else TARGETS
    n_directions = max(AgentConfig.n_directions, len(features))
    config = AgentConfig.of(gan, features=features, n_directions=n_directions)
    given = {name: getattr(options, name) for name in ("train_steps", "seed") if getattr(options, name) is not None}
    recipe = shortened(replace(BUNDLED, **given))
    env = EnvConfig(num_envs=options.num_envs) if options.num_envs else EnvConfig()
    targets = targets_of(corpus, features)
    with progress_bar("step") as tell:
        weights = train_agent(gan, gan, prior, targets, options.out, recipe, config, env, progress=tell)
    print(f"weights: {weights}")
    print(f"next: rl-tuner evaluate --agent {weights} --data {options.data} --out report --quick")


def _steer(options: argparse.Namespace) -> None:
    from rhythmgan.folders import read_loop
    from rhythmgan.performance import PLAIN
    from rl_tuner.export import REPORT, export_steered
    from rl_tuner.steering import steer, to_values

    wanted = {name: getattr(options, name) for name in ("density", "syncopation")}
    targets = _targets(options.target)
    for name, value in wanted.items():
        if value is not None and name in targets:
            raise ValueError(f"two targets are given for {name}")
        if value is not None:
            targets[name] = value
    if options.percentile:
        targets = to_values(targets)
    gan, prior = _models(options)

    from rl_tuner.agent import load_agent

    played, start, playback = None, None, PLAIN
    if options.from_midi is not None:
        played, playback = read_loop(options.from_midi, gan, options.out)
        start = gan.encode(played.bars, seed=options.seed)
    elif options.from_seed is not None:
        start = gan.latents([options.from_seed])
    steered = steer(
        targets,
        options.n,
        calls=options.calls,
        seed=options.seed,
        start=start,
        agent=load_agent(options.agent),
        generator=gan,
        prior=prior,
        **({} if options.realism is None else {"realism": options.realism}),
    )
    files = export_steered(
        steered,
        gan.kit,
        options.out,
        seed=options.seed,
        played=played,
        **formats_given(options),
        **output_given(options, gan.kit, playback),
    )
    print(steered.sentence())
    print(f"{options.out}: {file_names(files)}, {REPORT}")


def _targets(pairs: Sequence[str]) -> dict[str, float]:
    targets = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        name = name.strip()
        if name in targets:
            raise ValueError(f"two targets are given for {name}")
        try:
            targets[name] = float(value)
        except ValueError:
            raise ValueError(f"--target is a feature's name, = and a number, not {pair!r}") from None
    return targets


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from rhythmgan.data import load_corpus

    corpus = load_corpus(options.data)
    gan, prior = _models(options, corpus)

    from rl_tuner.agent import load_agent
    from rl_tuner.benchmark.evaluators import make_evaluators
    from rl_tuner.benchmark.protocol import run
    from rl_tuner.benchmark.report import criteria_to_markdown, to_markdown, write_report

    agent, out = load_agent(options.agent), Path(options.out)
    changes: dict[str, Any] = {}
    if options.seeds:
        changes["seeds"] = tuple(range(options.seeds))
    if options.calls:
        changes["max_calls"] = options.calls
    config = replace(QUICK if options.quick else BenchmarkConfig(), **changes)
    evaluators = make_evaluators(corpus, gan, out / "evaluators", log=_log)
    report = run(gan, prior, agent, corpus, evaluators, config, out / "rows", log=_log)
    paths = write_report(report, out)
    print(to_markdown(report))
    print(criteria_to_markdown(report))
    print(", ".join(map(str, paths)))


def _sweep(options: argparse.Namespace) -> None:
    from rhythmgan.data import load_corpus

    corpus = load_corpus(options.data)
    gan, prior = _models(options, corpus)

    from rl_tuner.benchmark.sweep import sweep, sweep_to_markdown

    names = [name.strip() for name in options.only.split(",")] if options.only else None
    given = {"train_steps": options.train_steps} if options.train_steps else {}
    report = sweep(gan, prior, corpus, options.out, names, log=_log, **given)
    print(sweep_to_markdown(report))


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
