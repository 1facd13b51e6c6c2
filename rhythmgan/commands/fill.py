"""``rhythmgan fill``: some parts of a loop of the user's own stay, the others are made anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rhythmgan.commands.vary import add_lock_option, lock_given
from rhythmgan.console import (
    add_condition_options,
    add_field,
    add_model_options,
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    loop_output_given,
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
    from rhythmgan.commands.models import generator_given
    from rhythmgan.folders import export_fills, read_loop

    config = FillConfig(**lock_given(options), **given(options, "n", "seed", "temperature"), **formats_given(options))
    model = generator_given(options)
    loop, playback = read_loop(options.loop, model, options.out)
    output = loop_output_given(options, model.kit, playback)
    done = export_fills(model, loop, options.out, config, swing=options.swing, **output)
    changed = (done.bars[1:] ^ done.bars[:1]).sum((1, 2, 3)).tolist()
    folder = Path(options.out).resolve()
    if options.json:
        return {"out": str(folder), "n": config.n, "changed_cells": changed, "files": done.files}
    print(f"{config.n} loops in {folder}: {file_names(done.files)}")
    print(f"cells that differ from the loop: {' '.join(map(str, changed))}")
    return None
