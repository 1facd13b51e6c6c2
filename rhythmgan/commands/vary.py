"""``rhythmgan vary``: variations of a loop of the user's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
from rhythmgan.generate.config import FillConfig, VariationConfig

if TYPE_CHECKING:
    from rhythmgan.folders import Exported

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "vary",
        help="generate variations of a loop of your own",
        description="Generate variations of a loop: some cells of each bar change, to what the model finds likely. "
        "Bars that are equal in the loop stay equal.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("loop", help="a MIDI file, a text of bars, an .npz with bars or a corpus")
    add_field(parser, VariationConfig, "n", "variations")
    add_field(
        parser,
        VariationConfig,
        "amount",
        "cells of a bar that change, as a share of its onsets, over 0 and up to 1; one cell at least",
    )
    add_field(parser, VariationConfig, "seed", "seed of the first variation; the next has the next seed")
    add_lock_option(parser, default="none")
    add_condition_options(parser)
    add_output_options(parser, "variations", VariationConfig.formats, bpm="that of the loop", swing="that of the loop")
    add_model_options(parser)
    add_report_options(parser, json=True)


def add_lock_option(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Which parts of a loop stay.

    Args:
        parser: of a command that changes loops.
        default: what stays by default, in words; None where it must be said.
    """
    parser.add_argument(
        "--lock",
        metavar="PARTS",
        required=default is None,
        help="parts that stay as they are, by name, with commas between: kick,snare; hat stands for both hats, tom for "
        f"all toms ({default or 'required'})",
    )


def lock_given(options: argparse.Namespace) -> dict[str, Any]:
    """``lock`` where ``--lock`` was given."""
    return {} if options.lock is None else {"lock": tuple(options.lock.split(","))}


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.folders import export_variations

    config = VariationConfig(**given(options, "n", "amount", "seed"), **lock_given(options), **formats_given(options))
    return export_of_loop(options, config, export_variations, "variations")


Config = TypeVar("Config", VariationConfig, FillConfig)


def export_of_loop(
    options: argparse.Namespace, config: Config, export: Callable[..., Exported], kind: str
) -> dict[str, Any] | None:
    """Read the loop, write what is made of it, and say how far that went.

    Args:
        options: of the command.
        config: how the loop is changed.
        export: of ``folders``, which takes such a config.
        kind: what is made, in the plural.
    """
    from rhythmgan.commands.models import generator_given
    from rhythmgan.folders import read_loop

    model = generator_given(options)
    loop, playback = read_loop(options.loop, model, options.out)
    output = loop_output_given(options, model.kit, playback)
    done = export(model, loop, options.out, config, swing=options.swing, **output)
    changed = (done.bars[1:] ^ done.bars[:1]).sum((1, 2, 3)).tolist()
    folder = Path(options.out).resolve()
    if options.json:
        return {"out": str(folder), "n": config.n, "changed_cells": changed, "files": done.files}
    print(f"{config.n} {kind} in {folder}: {file_names(done.files)}")
    print(f"cells that differ from the loop: {' '.join(map(str, changed))}")
    return None
