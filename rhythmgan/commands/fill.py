"""``rhythmgan fill``: some parts of a loop of the user's own stay, the others are made anew."""

from __future__ import annotations

import argparse
from typing import Any

from rhythmgan.commands.vary import add_lock_option, export_of_loop, lock_given
from rhythmgan.console import (
    add_condition_options,
    add_field,
    add_model_options,
    add_output_options,
    add_report_options,
    formats_given,
    given,
)
from rhythmgan.generate.config import FillConfig

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "fill",
        help="fill in a loop of your own: some parts stay, the others are made anew",
        description="Fill in a loop: the parts that you lock stay, and the generator makes the others to fit them. "
        "Bars whose locked parts are equal are filled in alike.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("loop", help="a MIDI file, a text of bars, an .npz with bars or a corpus")
    add_lock_option(parser)
    add_field(parser, FillConfig, "n", "loops")
    add_field(parser, FillConfig, "seed", "seed of the first loop; the next has the next seed")
    add_field(parser, FillConfig, "temperature", "over 0; less is more ordinary")
    add_condition_options(parser)
    add_output_options(parser, "filled", FillConfig.formats, bpm="that of the loop", swing="that of the loop")
    add_model_options(parser)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.folders import export_fills

    config = FillConfig(**lock_given(options), **given(options, "n", "seed", "temperature"), **formats_given(options))
    return export_of_loop(options, config, export_fills, "loops")
