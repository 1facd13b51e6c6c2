"""``rl-tuner steer``: bars with the density and the syncopation asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhythmgan.console import (
    add_model_options,
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    loop_output_given,
    positive,
)
from rhythmgan.export import DEFAULT_FORMATS
from rhythmgan.playback import Playback
from rl_tuner.commands.models import PRIOR_USE, load_models
from rl_tuner.config import CALLS, REALISM

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "steer",
        help="find bars with the density and the syncopation asked for",
        description="Move from bars to bars with the density and the syncopation that are asked for.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--density", type=float, metavar="N", help="onsets in the bar")
    parser.add_argument("--syncopation", type=float, metavar="S", help="note-rest syncopation of three streams")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other feature that the agent steers, or swing (of the off-beat eighths); several times for several",
    )
    parser.add_argument(
        "--percentile",
        action="store_true",
        help="the targets are percentiles, 0-100, of the bars that the GAN learnt from",
    )
    parser.add_argument("--n", type=positive, default=8, help="bars (%(default)s)")
    parser.add_argument("--calls", type=positive, help=f"generator calls of each at most ({CALLS})")
    parser.add_argument("--realism", type=float, help=f"0-1: how much staying real counts beside precision ({REALISM})")
    parser.add_argument("--seed", type=int, default=0, help="of the first bar; the next has the next (%(default)s)")
    starts = parser.add_mutually_exclusive_group()
    starts.add_argument("--from-seed", type=int, metavar="SEED", help="begin every episode at the bar of this seed")
    starts.add_argument("--from-midi", metavar="FILE", help="begin at the bars of a loop of your own, each in turn")
    loop_defaults = {name: f"that of the loop, or {getattr(Playback, name):g}" for name in ("bpm", "swing")}
    add_output_options(parser, "steered", DEFAULT_FORMATS, **loop_defaults)
    add_model_options(parser, prior=PRIOR_USE, agent=True)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.folders import read_loop
    from rhythmgan.performance import PLAIN
    from rhythmgan.reference import load_reference_for
    from rl_tuner.export import REPORT, export_steered, report
    from rl_tuner.steering import steer, to_values

    targets = _targets(options.target)
    _add(targets, "density", options.density)
    _add(targets, "syncopation", options.syncopation)
    if options.percentile:
        targets = to_values(targets, load_reference_for(options.weights))
    _add(targets, "sixteenth swing", options.swing)
    gan, prior = load_models(options)

    from rl_tuner.latent.agent import load_latent_agent

    played, start, playback = None, None, PLAIN
    if options.from_midi is not None:
        played, playback = read_loop(options.from_midi, gan, options.out)
        start = gan.encode(played.bars, seed=options.seed)
    elif options.from_seed is not None:
        start = gan.latents([options.from_seed])
    output = loop_output_given(options, gan.kit, playback) | formats_given(options)
    steered = steer(
        targets,
        options.n,
        seed=options.seed,
        start=start,
        played=played,
        agent=load_latent_agent(options.agent),
        generator=gan,
        prior=prior,
        **given(options, "calls", "realism"),
    )
    files = export_steered(steered, options.out, seed=options.seed, **output)
    if options.json:
        folder = str(Path(options.out).resolve())
        return report(steered, options.seed) | {"out": folder, "files": files | {"report": [REPORT]}}
    print(steered.sentence())
    print(f"{options.out}: {file_names(files)}, {REPORT}")
    return None


def _add(targets: dict[str, float], name: str, value: float | None) -> None:
    """Add the target of an option of its own, where it is given."""
    if value is not None and name in targets:
        raise ValueError(f"two targets are given for {name}")
    if value is not None:
        targets[name] = value


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
