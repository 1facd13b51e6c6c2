"""``rl-tuner continue``: the bar that follows a loop, with the cymbals, drums, syncopation and repetition asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rhythmgan.console import (
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    loop_output_given,
    positive,
)
from rhythmgan.export import DEFAULT_FORMATS
from rl_tuner.edit.levels import LEVELS, target_given

# what is slow to import is imported by the function that needs it: help and errors answer at once

_MEANINGS = {
    "cymbals": "onsets of hats, ride and crash",
    "drums": "onsets of kick, snare and toms",
    "syncopation": "syncopation of all parts together (short-sighted LHL)",
    "repetition": "how much of the bar's first half comes again in its second",
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "continue",
        help="make the bar that follows a loop of your own, with the features asked for",
        description="Make the bar that follows a bar of a loop, its last one by default: what is likely to follow "
        "(lstm.mid), and the same edited until it has the features you ask for (tuned.mid), beside the bar itself "
        "(seed.mid). All are in five parts: kick, snare, closed cymbals, open cymbals, toms. After jaki (2020).",
    )
    parser.set_defaults(run=_run, kit=None)
    parser.add_argument("loop", help="a MIDI file, a text of bars, an .npz with bars or a corpus")
    for name, meaning in _MEANINGS.items():
        levels = ", ".join(f"{level} ({value:g})" for level, value in LEVELS[name].items())
        parser.add_argument(f"--{name}", metavar="X", help=f"{meaning}: {levels} or a number (whatever it has)")
    parser.add_argument("--bar", type=positive, metavar="N", help="the bar of the loop that is continued (the last)")
    parser.add_argument("--n", type=positive, default=1, help="tuned bars (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first tuned bar; the next has the next seed (%(default)s)"
    )
    add_output_options(parser, "continuation", DEFAULT_FORMATS, "that of the loop", "that of the loop", kit="")
    parser.add_argument("--weights", metavar="FILE", help="weights of the model of the next bar (the bundled ones)")
    parser.add_argument("--agent", metavar="FILE", help="weights of the agent (the bundled ones)")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    targets = {name: target_given(name, text) for name, text in given(options, *LEVELS).items()}
    if not targets:
        raise ValueError(f"a target is needed: {', '.join(f'--{name}' for name in LEVELS)}")
    if Path(options.loop).resolve().parent == Path(options.out).resolve():
        raise ValueError(f"{options.out} holds the loop itself, which could be written over: choose another --out")

    from rhythmgan.draw import bar_to_text
    from rhythmgan.folders import warn_of_what_is_lost
    from rhythmgan.kit import JAKI5
    from rhythmgan.load import load_loop
    from rhythmgan.models.catalogue import load_next_bar_model
    from rl_tuner.edit.agent import continue_loop, load_edit_agent
    from rl_tuner.edit.edits import STEPS
    from rl_tuner.edit.files import REPORT, export_continuation, report_of

    loop, playback = load_loop(options.loop, JAKI5, STEPS)
    number = len(loop) if options.bar is None else options.bar
    if number > len(loop):
        raise ValueError(f"--bar is a bar of the loop, 1 to {len(loop)}, not {number}")
    first = (loop if loop.kit == JAKI5 else loop.folded(JAKI5))[number - 1 : number]
    if not first.bars.any():
        raise ValueError(f"{options.loop}: bar {number} is silent: nothing follows from it")
    output = loop_output_given(options, JAKI5, playback) | formats_given(options)
    del output["kit"]
    model = load_next_bar_model(options.weights)
    warn_of_what_is_lost(options.loop, loop, model)
    found = continue_loop(
        first.bars[0],
        targets,
        options.n,
        options.seed,
        load_edit_agent(options.agent),
        model,
    )
    files = export_continuation(found, options.out, **output, played=first, targets=targets, seed=options.seed)
    if options.json:
        folder = str(Path(options.out).resolve())
        return report_of(found, targets, options.seed) | {"out": folder, "files": files | {"report": [REPORT]}}
    if not options.quiet:
        print(bar_to_text(found.tuned[0], JAKI5))
    for row in range(options.n):
        got = ", ".join(f"{name} {found.values[name][row]:.3g} of {target:g}" for name, target in targets.items())
        print(f"seed {options.seed + row}: {got}; {'reached' if found.reached[row] else 'not reached'}")
    print(f"{options.out}: {file_names(files)}, {REPORT}")
    return None
