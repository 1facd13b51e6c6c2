"""``rhythmgan prepare``: songs to a corpus of bars."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rhythmgan.console import add_report_options, positive, progress_bar
from rhythmgan.kit import GM12, KITS

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "prepare",
        help="read songs (LPD .npz, MIDI) into one file of bars",
        description="Read songs into one file of bars, a corpus.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a folder, an archive (.zip, .tar, .tar.gz, .parquet), or one file"
    )
    parser.add_argument(
        "--kit", default=GM12.name, help=f"kit that the pitches are folded into: {', '.join(KITS)} (%(default)s)"
    )
    parser.add_argument("--manifest", metavar="FILE", help="CSV file that names each file's song")
    parser.add_argument(
        "--duplicates", metavar="FILE", help="list of MD5s that are versions of one song, a line a song (none)"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (all cores)")
    parser.add_argument("--dropped", metavar="FILE", help="write every file that gave no bars, with its reason, as CSV")
    parser.add_argument("--out", required=True, metavar="CORPUS", help="the .npz file to write")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.corpus_file import corpus_grids, load_corpus
    from rhythmgan.files import make_folder
    from rhythmgan.kit import kit_named
    from rhythmgan.songs.counts import counts_table, kits_table, styles_table
    from rhythmgan.songs.preparation import prepare

    kit = kit_named(options.kit)
    make_folder(Path(options.out).parent)
    with progress_bar("file", options.quiet) as progress:
        counts = prepare(
            options.sources,
            options.out,
            kit,
            manifest=options.manifest,
            duplicates=options.duplicates,
            dropped=options.dropped or None,
            workers=options.workers,
            progress=progress,
            log=lambda line: print(line, file=sys.stderr),
        )
    grids = corpus_grids(options.out)
    distinct = {}
    for grid in grids:
        corpus = load_corpus(options.out, grid)
        distinct[grid] = {name: len(corpus.split(name).distinct()) for name in ("train", "valid", "test")}
    n_songs = len(corpus.songs)
    if options.json:
        return {
            "out": str(Path(options.out).resolve()),
            "kit": kit.name,
            "bars": sum(grids.values()),
            "songs": n_songs,
            "grids": {str(grid): {"bars": n, "distinct": distinct[grid]} for grid, n in grids.items()},
            "sources": [count.facts() for count in counts],
        }
    for table in (counts_table(counts), kits_table(counts), styles_table(counts)):
        print(table, end="\n\n")
    print(f"{options.out}: {sum(grids.values()):,} bars of {n_songs:,} songs, kit {kit.name}")
    print("each song's distinct bars, by grid and split:")
    for grid in grids:
        print(f"  {grid} steps: {', '.join(f'{n:,} {name}' for name, n in distinct[grid].items())}")
    return None
