"""The command line of the agents: ``rl-tuner train | steer | evaluate | sweep``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan import __version__
from rhythmgan.console import (
    add_field,
    add_machine_options,
    add_model_options,
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    new_parser,
    output_given,
    positive,
    progress_bar,
    run_command,
)
from rhythmgan.export import DEFAULT_FORMATS
from rhythmgan.playback import Playback
from rl_tuner.benchmark.config import QUICK, SWEEP_TRAIN_STEPS, BenchmarkConfig
from rl_tuner.config import BUNDLED, CALLS, REALISM, EnvConfig, shortened

if TYPE_CHECKING:
    from rhythmgan.data import Corpus
    from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood

# what is slow to import is imported by the command that needs it: help and errors answer at once

_PRIOR_USE = "says how likely bars are"
"""What the prior is for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    description = "Steer the bars of a GAN to a density and a syncopation, with a DQN agent."
    parser = new_parser("rl-tuner", __version__, description)
    commands = parser.add_subparsers(required=True, metavar="command")

    train = commands.add_parser(
        "train", help="train an agent", description="Train an agent, or resume the run in --out."
    )
    train.set_defaults(run=_train, resumes=True)
    train.add_argument("--data", required=True, metavar="CORPUS", help="a corpus: its train songs give targets")
    train.add_argument("--features", help="what to steer, by name (density,syncopation)")
    add_field(train, BUNDLED, "train_steps", "transitions to learn from")
    add_field(train, BUNDLED, "seed", "seed of weights, environments and draws")
    add_field(train, EnvConfig, "num_envs", "environments at once")
    train.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    add_model_options(train, prior=_PRIOR_USE)
    add_machine_options(train)
    add_report_options(train)

    steer = commands.add_parser(
        "steer",
        help="find bars with the density and the syncopation asked for",
        description="Move from bars to bars with the density and the syncopation that are asked for.",
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
    steer.add_argument(
        "--percentile",
        action="store_true",
        help="the targets are percentiles, 0-100, of the bars that the GAN learnt from",
    )
    steer.add_argument("--n", type=positive, default=8, help="bars (%(default)s)")
    steer.add_argument("--calls", type=positive, help=f"generator calls of each at most ({CALLS})")
    steer.add_argument("--realism", type=float, help=f"0-1: how much staying real counts beside precision ({REALISM})")
    steer.add_argument("--seed", type=int, default=0, help="of the first bar; the next has the next (%(default)s)")
    starts = steer.add_mutually_exclusive_group()
    starts.add_argument("--from-seed", type=int, metavar="SEED", help="begin every episode at the bar of this seed")
    starts.add_argument("--from-midi", metavar="FILE", help="begin at the bars of a loop of your own, each in turn")
    add_output_options(steer, "steered", DEFAULT_FORMATS, bpm=f"that of the loop, or {Playback.bpm:g}")
    add_model_options(steer, prior=_PRIOR_USE, agent=True)
    add_report_options(steer, json=True)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure the agent against every baseline",
        description="Measure the agent against every baseline, at equal calls and at equal time, by held-out networks.",
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("--data", required=True, metavar="CORPUS", help="a corpus")
    evaluate.add_argument("--quick", action="store_true", help="two seeds and few targets: a first look")
    evaluate.add_argument("--seeds", type=positive, help=f"seeds to measure with ({len(BenchmarkConfig.seeds)})")
    evaluate.add_argument("--calls", type=positive, help=f"most calls of the curves ({BenchmarkConfig.max_calls})")
    evaluate.add_argument("--out", required=True, metavar="DIR", help="folder for table, plot and held-out networks")
    add_model_options(evaluate, prior=_PRIOR_USE, agent=True)
    add_machine_options(evaluate)
    add_report_options(evaluate, json=True)

    sweep = commands.add_parser(
        "sweep",
        help="train with other rewards and exploration, and compare",
        description="Train agents with other exploration, rewards and returns, and compare how often they succeed.",
    )
    sweep.set_defaults(run=_sweep)
    sweep.add_argument("--data", required=True, metavar="CORPUS", help="a corpus")
    sweep.add_argument("--train-steps", type=positive, help=f"transitions of each ({SWEEP_TRAIN_STEPS})")
    sweep.add_argument("--only", metavar="NAMES", help="some of the variants, by name, with commas")
    sweep.add_argument("--out", required=True, metavar="DIR", help="folder for table, JSON and the runs")
    add_model_options(sweep, prior=_PRIOR_USE)
    add_machine_options(sweep)
    add_report_options(sweep)
    return parser


def _models(options: argparse.Namespace, corpus: Corpus | None = None) -> tuple[LatentCritic, SamplingLikelihood]:
    """GAN and prior; where a corpus is given, of its kit and grid."""
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
    from rl_tuner.scale import TARGETS
    from rl_tuner.tune.latent import targets_of, train_agent

    features = tuple(name.strip() for name in options.features.split(",")) if options.features else TARGETS
    n_directions = max(AgentConfig.n_directions, len(features))
    config = AgentConfig.of(gan, features=features, n_directions=n_directions)
    training = shortened(replace(BUNDLED, **given(options, "train_steps", "seed")))
    env = EnvConfig(**given(options, "num_envs"))
    targets = targets_of(corpus, features)
    with progress_bar("step", options.quiet) as progress:
        weights = train_agent(gan, gan, prior, targets, options.out, training, config, env, progress=progress)
    print(f"weights: {weights}")
    print(f"next: rl-tuner evaluate --agent {weights} --data {options.data} --out report --quick")


def _steer(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.folders import read_loop
    from rhythmgan.performance import PLAIN
    from rhythmgan.reference import load_reference_for
    from rl_tuner.export import REPORT, export_steered, report
    from rl_tuner.steering import steer, to_values

    wanted = {name: getattr(options, name) for name in ("density", "syncopation")}
    targets = _targets(options.target)
    for name, value in wanted.items():
        if value is not None and name in targets:
            raise ValueError(f"two targets are given for {name}")
        if value is not None:
            targets[name] = value
    if options.percentile:
        targets = to_values(targets, load_reference_for(options.weights))
    gan, prior = _models(options)

    from rl_tuner.agent import load_agent

    played, start, playback = None, None, PLAIN
    if options.from_midi is not None:
        played, playback = read_loop(options.from_midi, gan, options.out)
        start = gan.encode(played.bars, seed=options.seed)
    elif options.from_seed is not None:
        start = gan.latents([options.from_seed])
    output = output_given(options, gan.kit, playback) | formats_given(options)
    steered = steer(
        targets,
        options.n,
        seed=options.seed,
        start=start,
        agent=load_agent(options.agent),
        generator=gan,
        prior=prior,
        **given(options, "calls", "realism"),
    )
    files = export_steered(steered, gan.kit, options.out, seed=options.seed, played=played, **output)
    if options.json:
        folder = str(Path(options.out).resolve())
        return report(steered, options.seed) | {"out": folder, "files": files | {"report": [REPORT]}}
    print(steered.sentence())
    print(f"{options.out}: {file_names(files)}, {REPORT}")
    return None


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


def _evaluate(options: argparse.Namespace) -> dict[str, Any] | None:
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
    log = _logger(options)
    evaluators = make_evaluators(corpus, gan, out / "evaluators", log=log)
    report = run(gan, prior, agent, corpus, evaluators, config, out / "rows", log=log)
    paths = write_report(report, out)
    if options.json:
        return report
    print(to_markdown(report))
    print(criteria_to_markdown(report))
    print(", ".join(map(str, paths)))
    return None


def _sweep(options: argparse.Namespace) -> None:
    from rhythmgan.data import load_corpus

    corpus = load_corpus(options.data)
    gan, prior = _models(options, corpus)

    from rl_tuner.benchmark.sweep import sweep, sweep_to_markdown

    names = [name.strip() for name in options.only.split(",")] if options.only else None
    given = {"train_steps": options.train_steps} if options.train_steps else {}
    report = sweep(gan, prior, corpus, options.out, names, log=_logger(options), **given)
    print(sweep_to_markdown(report))


def _logger(options: argparse.Namespace) -> Callable[[str], None]:
    """What says how far a command is."""

    def log(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    return log
