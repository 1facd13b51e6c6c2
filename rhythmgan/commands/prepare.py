"""``rhythmgan prepare``: songs to a corpus of bars."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rhythmgan.console import add_report_options, positive, progress_bar
from rhythmgan.kit import GM9, KITS

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "prepare",
        help="read songs (LPD .npz, MIDI) into one file of bars",
        description="Read songs into one file of bars, a corpus.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a folder of .npz or .mid files, or one file")
    parser.add_argument(
        "--kit", default=GM9.name, help=f"kit that the pitches are folded into: {', '.join(KITS)} (%(default)s)"
    )
    parser.add_argument("--grid", type=int, default=16, help="steps in a bar: 12, 16, 24, 32, 48 (%(default)s)")
    parser.add_argument("--manifest", metavar="FILE", help="CSV file that names each file's song")
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (all cores)")
    parser.add_argument("--dropped", metavar="FILE", help="write every file that gave no bars, with its reason, as CSV")
    parser.add_argument("--out", required=True, metavar="CORPUS", help="the .npz file to write")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.data import save_corpus
    from rhythmgan.files import check_target, make_folder
    from rhythmgan.kit import kit_named
    from rhythmgan.songs import counts_table, prepare, write_dropped

    kit = kit_named(options.kit)
    make_folder(Path(options.out).parent)
    check_target(options.out)
    with progress_bar("file", options.quiet) as progress:
        corpus, counts = prepare(
            options.sources, kit, options.grid, manifest=options.manifest, workers=options.workers, progress=progress
        )
    save_corpus(options.out, corpus)
    if options.dropped:
        write_dropped(options.dropped, counts)
    distinct = {name: len(corpus.split(name).distinct()) for name in ("train", "valid", "test")}
    if options.json:
        sources = [{name: value for name, value in vars(count).items() if name != "named"} for count in counts]
        return {
            "out": str(Path(options.out).resolve()),
            "kit": kit.name,
            "grid": corpus.steps,
            "bars": len(corpus),
            "songs": len(corpus.songs),
            "distinct": distinct,
            "sources": sources,
        }
    print(counts_table(counts))
    print(f"\n{options.out}: {len(corpus):,} bars of {len(corpus.songs):,} songs, {corpus.steps} steps, kit {kit.name}")
    print(f"each song's distinct bars, by split: {', '.join(f'{n:,} {name}' for name, n in distinct.items())}")
    return None
