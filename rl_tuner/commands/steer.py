"""``rl-tuner steer``: bars, or a loop of the user's own, with the density and the syncopation asked for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.commands.vary import add_lock_option, lock_given
from rhythmgan.console import (
    add_grid_option,
    add_machine_options,
    add_model_options,
    add_output_options,
    add_report_options,
    device_given,
    file_names,
    formats_given,
    given,
    loop_output_given,
    positive,
)
from rhythmgan.export import DEFAULT_FORMATS
from rhythmgan.playback import Playback
from rl_tuner.commands.models import PRIOR_USE, load_models
from rl_tuner.config import CALLS, CLOSENESS, REALISM

if TYPE_CHECKING:
    import numpy as np

    from rhythmgan.performance import Performance
    from rl_tuner.wishes import Wish

# what is slow to import is imported by the function that needs it: help and errors answer at once

N_BARS, N_VERSIONS = 8, 1
"""How many answers there are without a loop, and how many versions of a given one."""

_LOOP_OPTIONS = ("closeness", "lock", "lock_bars", "whole_loop")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "steer",
        help="make bars, or change a loop of your own, to have the density and the syncopation asked for",
        description="Make bars that have the density and the syncopation you ask for. Or change a loop of your own "
        "until it has them, and no more of it than that takes; bars that are equal in it stay equal. A WISH is a "
        "number (20), or how much more or less than your loop has (+4 or -3), or a percentile (80%: more than four "
        "fifths of real bars have). With commas between it is one for each bar of your loop: 16,16,16,24 or "
        "+0,+0,+0,+6.",
    )
    parser.set_defaults(run=_run)
    # "-4,-2" and "-.5" are values and no options; argparse knows that of plain numbers only
    parser._negative_number_matcher = re.compile(r"-\.?\d")
    parser.add_argument("--density", metavar="WISH", help="onsets in a bar; most real bars have 7 to 31 (any)")
    parser.add_argument(
        "--syncopation", metavar="WISH", help="how syncopated a bar is; most real bars have 0 to 12 (any)"
    )
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=WISH",
        help="any other feature, as `rhythmgan features` names it; or swing (of the off-beat eighths, .5 to .7); "
        "several times for several (none)",
    )
    parser.add_argument(
        "--whole-loop",
        action="store_true",
        help="a WISH is for the mean of your loop's bars: those that are not locked change alike",
    )
    loops = parser.add_mutually_exclusive_group()
    loops.add_argument(
        "--from-midi",
        metavar="FILE",
        help="a loop of your own to change: a MIDI file, a text of bars, an .npz with bars or a corpus (none)",
    )
    loops.add_argument("--from-seed", type=int, metavar="SEED", help="change the bar of this seed instead (none)")
    parser.add_argument(
        "--closeness",
        type=float,
        metavar="X",
        help="0-1: how much it counts that your loop stays as it is; with 0 all of it may change, with 1 every cell "
        f"that changes is dear ({CLOSENESS})",
    )
    add_lock_option(parser, default="none")
    parser.add_argument(
        "--lock-bars",
        metavar="BARS",
        help="bars of your loop that stay as they are, by number, with commas between: 1,3 or 1-3 (none)",
    )
    parser.add_argument(
        "--n", type=positive, help=f"bars, or versions of your loop ({N_BARS} bars, {N_VERSIONS} version)"
    )
    parser.add_argument(
        "--calls",
        type=positive,
        help=f"how often the generator is asked for each bar, at most: more takes longer and hits better ({CALLS})",
    )
    parser.add_argument(
        "--realism", type=float, metavar="X", help=f"0-1: how much it counts that bars are like real ones ({REALISM})"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first bar or version; the next has the next seed (%(default)s)"
    )
    add_grid_option(parser)
    loop_defaults = {name: f"that of the loop, or {getattr(Playback, name):g}" for name in ("bpm", "swing")}
    add_output_options(parser, "steered", DEFAULT_FORMATS, **loop_defaults)
    add_model_options(parser, prior=PRIOR_USE, agent=True)
    add_machine_options(parser, device=True)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    wishes = _wishes(options)
    has_loop = options.from_midi is not None or options.from_seed is not None
    if not has_loop and (unfit := [name for name in _LOOP_OPTIONS if getattr(options, name) not in (None, False)]):
        option = f"--{unfit[0].replace('_', '-')}"
        raise ValueError(f"{option} is about a loop, and needs one: --from-midi or --from-seed")

    from rhythmgan.export import check_length, formats_named
    from rhythmgan.folders import read_loop
    from rhythmgan.performance import PLAIN, Performance
    from rhythmgan.reference import load_reference, load_reference_for
    from rl_tuner.agent import load_agent
    from rl_tuner.export import REPORT, export_steered, report, summary
    from rl_tuner.steering import steer
    from rl_tuner.wishes import to_targets

    gan, prior = load_models(options)
    reference = None
    if any(wish.kind == "percentile" for several in wishes.values() for wish in several):
        reference = load_reference_for(options.weights) if options.weights else load_reference(steps=gan.steps)
    agent = load_agent(options.agent, gan.steps).to(device_given(options))
    played, playback = None, PLAIN
    if options.from_midi is not None:
        played, playback = read_loop(options.from_midi, gan, options.out)
    elif options.from_seed is not None:
        played = Performance.of(gan.sample(1, options.from_seed), gan.kit)
    locked = None if played is None else _locked(options, played)
    targets = to_targets(wishes, played, locked, options.whole_loop, reference)
    output = loop_output_given(options, gan.kit, playback) | formats_given(options)
    if played is not None:
        check_length(len(played), formats_named(output.get("formats", DEFAULT_FORMATS)), output["playback"])
    steered = steer(
        targets.values,
        options.n or (N_VERSIONS if has_loop else N_BARS),
        seed=options.seed,
        given=None if played is None else played.bars,
        played=played,
        locked=locked,
        agent=agent,
        generator=gan,
        prior=prior,
        **given(options, "calls", "closeness", "realism"),
    )
    said = {"seed": options.seed, "asked": _asked(options, wishes), "notes": targets.notes}
    files = export_steered(steered, options.out, original=options.from_midi, **said, **output)
    if options.json:
        folder = str(Path(options.out).resolve())
        return report(steered, **said) | {"out": folder, "files": files | {"report": [REPORT]}}
    for note in targets.notes:
        print(note)
    print(summary(steered))
    print(f"{options.out}: {file_names(files)}, {REPORT}")
    return None


def _wishes(options: argparse.Namespace) -> dict[str, Sequence[Wish]]:
    """What is asked for, by feature.

    Raises:
        ValueError: nothing, something twice, or what cannot be read.
    """
    from rl_tuner.wishes import Wish, parse_wishes

    pairs = [("--density", "density", options.density), ("--syncopation", "syncopation", options.syncopation)]
    for pair in options.target:
        name, is_pair, text = pair.partition("=")
        if not is_pair:
            raise ValueError(f"--target is a feature's name, = and what it should be, not {pair!r}")
        pairs.append(("--target", name.strip(), text))
    wishes: dict[str, Sequence[Wish]] = {}
    for option, name, text in pairs:
        if text is None:
            continue
        if name in wishes:
            raise ValueError(f"two targets are given for {name}")
        try:
            wishes[name] = parse_wishes(text)
        except ValueError as error:
            raise ValueError(f"{option}: {error}") from None
    if options.swing is not None:
        if "sixteenth swing" in wishes:
            raise ValueError("two targets are given for sixteenth swing")
        wishes["sixteenth swing"] = (Wish(options.swing),)
    if not wishes:
        raise ValueError("a target is needed: --density, --syncopation, --target or --swing")
    return wishes


def _locked(options: argparse.Namespace, loop: Performance) -> np.ndarray | None:
    """The cells of the loop that stay as they are, (m, steps, parts) bool; None where none was named.

    Raises:
        ValueError: a part or a bar that there is not, or nothing is left to change.
    """
    if options.lock is None and options.lock_bars is None:
        return None
    from rhythmgan.generate.variation import lock_parts

    _, steps, _ = loop.bars.shape
    locked = loop.bars & False
    locked |= lock_parts(loop.kit, steps, lock_given(options).get("lock", ()))
    if options.lock_bars is not None:
        locked[[number - 1 for number in _numbers(options.lock_bars, len(loop))]] = True
    if locked.all():
        raise ValueError("everything is locked: nothing is left to steer")
    return locked


def _numbers(text: str, n: int) -> list[int]:
    """Numbers of bars of a loop, from 1 on, and ranges of them.

    Raises:
        ValueError: something else, or a bar that the loop has not.
    """
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= n:
            raise ValueError(f"--lock-bars names bars of the loop, 1 to {n}, as 1,3 or 1-3; not {part.strip()!r}")
        numbers += range(first, last + 1)
    return numbers


def _asked(options: argparse.Namespace, wishes: dict[str, Sequence[Wish]]) -> dict[str, Any]:
    """What was asked for, in the words of the command."""
    words: dict[str, Any] = {name: ",".join(map(str, several)) for name, several in wishes.items()}
    others = ("whole_loop", "from_midi", "from_seed", "closeness", "lock", "lock_bars", "calls", "realism")
    return words | {name: value for name, value in given(options, *others).items() if value is not False}
