"""``rhythmgan combine``: loops out of the kick, snare and hat patterns of a loop pack."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    progress_bar,
)
from rhythmgan.generate.config import CombineConfig

if TYPE_CHECKING:
    from rhythmgan.generate.combine import Score
    from rhythmgan.kit import Kit
    from rhythmgan.loop_packs import PackFile, Pattern
    from rhythmgan.models.interfaces import LatentCritic

# what is slow to import is imported by the function that needs it: help and errors answer at once

_SHOWN = 2
"""Loops whose first bar is drawn in the terminal."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "combine",
        help="combine the kick, snare and hat patterns of a loop pack to loops",
        description="Combine patterns that play one part each, of MIDI files named by it (Kick_01, Hi_Hat_01, or a "
        "folder Snares), to loops: patterns that go together, as prior and discriminator say, and each about as often "
        "as the others of its part. All loops have as many bars as the longest pattern, or up to 8 such that all "
        "patterns come again whole.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("folder", help="a loop pack: a folder of MIDI files, and folders in it")
    add_field(parser, CombineConfig, "n", "loops; by default fewer if the patterns make no more")
    add_field(parser, CombineConfig, "seed", "seed of the draw; more loops of one seed are these and more")
    parser.add_argument(
        "--parts",
        metavar="NAMES",
        help="a loop has one pattern of each of these parts, by name, with commas between; hat is the closed or the "
        f"open one, tom any ({','.join(CombineConfig.parts)})",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--together", action="store_true", help="patterns that go together (the default)")
    how.add_argument("--any", action="store_true", help="any patterns, at random, whatever they play")
    add_condition_options(
        parser,
        grid="steps of a bar: 12, 16, 24, 32 or 48 (16, or 12 if most patterns are on triplets; twice as many if a "
        "pattern has onsets for them); what goes together is judged on 16 or 12 steps",
    )
    add_output_options(parser, "combined", CombineConfig.formats, bpm="that of most patterns")
    add_model_options(parser, prior="says which patterns go together")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.loop_packs import check_outside, find_pack

    asked = given(options, "n", "seed", "parts")
    if "parts" in asked:
        asked["parts"] = tuple(asked["parts"].split(","))
    config = CombineConfig(**asked, **formats_given(options))
    if options.any and (unused := [name for name in ("role", "style", "weights", "prior") if getattr(options, name)]):
        raise ValueError(f"--{unused[0]} says which patterns go together; with --any all do")
    # what is wrong with the folders shows before torch is imported
    find_pack(options.folder)
    check_outside(options.folder, options.out)
    return _combined(options, config)


def _combined(options: argparse.Namespace, config: CombineConfig) -> dict[str, Any] | None:
    """Read the pack, write the loops, and say what they are of."""
    from rhythmgan.bars import bar_to_lines, check_steps
    from rhythmgan.folders import COMBINED, export_combined, group_patterns
    from rhythmgan.kit import GM12
    from rhythmgan.models.catalogue import load_generator
    from rhythmgan.playback import Playback
    from rhythmgan.songs.members import without_controls

    if options.grid is not None:
        check_steps(options.grid)
    critic = None if options.any else load_generator(options.weights)
    kit = critic.kit if critic is not None else GM12
    patterns, left_out = _read_on_grid(options.folder, kit, options.grid)
    for each in left_out:
        print(each.line, file=sys.stderr)
    if not patterns:
        raise ValueError(f"{options.folder}: no file of it plays one part")
    score = None if critic is None else _score_given(options, critic, patterns[0].performance.bars.shape[1])
    groups = group_patterns(patterns, config.parts)
    for pattern in itertools.chain(*groups):
        if misfit := pattern.misfit:
            print(without_controls(f"{pattern.name}: {misfit}"), file=sys.stderr)
    if said := _length_said({len(pattern.performance) for group in groups for pattern in group}):
        print(said, file=sys.stderr)
    tempo = Counter(pattern.bpm for group in groups for pattern in group).most_common(1)[0][0]
    output = loop_output_given(options, kit, Playback(bpm=tempo))
    with progress_bar("sweep", options.quiet) as progress:
        done = export_combined(
            groups, options.out, config, score=score, progress=progress, or_fewer=options.n is None, **output
        )
    n, n_bars = done.bars.shape[:2]
    loops = "1 loop" if n == 1 else f"{n} loops"
    if n < config.n:
        go = "can be combined" if n == math.prod(map(len, groups)) else "were found to go together"
        print(f"only {loops} of these patterns {go}, not {config.n}", file=sys.stderr)
    folder = Path(options.out).resolve()
    counts = dict(zip(config.parts, map(len, groups), strict=True))
    if options.json:
        return {"out": str(folder), "n": n, "patterns": counts, "left_out": len(left_out), "files": done.files}
    if not options.quiet:
        for number, loop in enumerate(done.bars[:_SHOWN], 1):
            print(f"combined-{number:03d}\n{bar_to_lines(loop[0], output['kit'])}\n")
    of = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    length = "one bar" if n_bars == 1 else f"{n_bars} bars"
    print(f"{loops} of {length} in {folder}: {file_names(done.files)}; {COMBINED}")
    print(f"combined of {of} patterns")
    return None


def _length_said(lengths: set[int]) -> str:
    """Why loops of patterns of these lengths are longer than all of them, or end within some; empty if neither."""
    from rhythmgan.folders import bars_of_loops

    n_bars = bars_of_loops(lengths)
    cut = [length for length in sorted(lengths) if n_bars % length]
    *others, longest = map(str, sorted(lengths))
    of = f"patterns of {', '.join(others)} and {longest} bars: loops have {n_bars}"
    if cut:
        return f"{of}, so those of {' and '.join(map(str, cut))} bars end in the middle"
    return f"{of}, in which all come again whole" if n_bars > max(lengths) else ""


def _read_on_grid(folder: str, kit: Kit, grid: int | None) -> tuple[list[Pattern], list[PackFile]]:
    """The patterns of a pack on this grid, or else on the one that most of them are on, and the files that are none.

    Rolls of thirty-seconds, or of sixteenth triplets, are read on one of twice as many steps, as it has a cell for each
    of their onsets.
    """
    from rhythmgan.loop_packs import grid_of_most, patterns_on_grid, read_pack

    pack = read_pack(folder, kit)
    patterns, left_out = patterns_on_grid(pack, grid or 16)
    if grid is not None:
        return patterns, left_out
    # bars of 12/8 are read on triplets only
    steps = grid_of_most(patterns_on_grid(pack, 12)[0] if left_out else patterns)
    if steps != 16:
        patterns, left_out = patterns_on_grid(pack, steps)
    if any(pattern.n_lost for pattern in patterns):
        finer, _ = patterns_on_grid(pack, 2 * steps)
        if sum(pattern.n_lost for pattern in finer) < sum(pattern.n_lost for pattern in patterns):
            patterns = finer
    return patterns, left_out


def _score_given(options: argparse.Namespace, critic: LatentCritic, grid: int) -> Score:
    """What the models of the options say of bars on this grid; theirs may be coarser.

    Args:
        options: of the command.
        critic: that of the options, or the bundled one of 16 steps.
        grid: the steps of the patterns.

    Raises:
        ValueError: a grid that is no multiple of that of the weights, or of bundled ones.
    """
    from rhythmgan.generate.combine import on_coarser_grid, score_of
    from rhythmgan.models.catalogue import load_generator, load_likelihood
    from rhythmgan.models.weights import BUNDLED_GRIDS

    if not options.weights:
        coarser = next((steps for steps in sorted(BUNDLED_GRIDS, reverse=True) if grid % steps == 0), grid)
        critic = critic if critic.steps == coarser else load_generator(None, coarser)
    elif grid % critic.steps:
        of = "" if options.grid else f" of the patterns: name one with --grid, such as {critic.steps}"
        raise ValueError(f"{options.weights}: its bars have {critic.steps} steps, which do not divide {grid}{of}")
    critic = critic.with_condition(options.role, options.style)
    prior = load_likelihood(options.prior, None if options.prior else critic.steps)
    score = score_of(prior.with_condition(options.role, options.style), critic)
    return score if grid == critic.steps else on_coarser_grid(score, grid // critic.steps)
