"""``rhythmgan standardise``: the files of a loop pack as standard drum MIDI."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rhythmgan.console import add_report_options, progress_bar

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "standardise",
        help="turn the files of a loop pack into standard drum MIDI, by their names",
        description="Turn MIDI files that play one part each, and are named by it (Kick_01, Hi_Hat_01, or a folder "
        "Snares), into standard drum MIDI: channel 10, and the pitch that General MIDI has for the part. Times and "
        "velocities stay. Standard files are copied as they are.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("folder", help="a loop pack: a folder of MIDI files, and folders in it")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to, created if missing")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.loop_packs import REPORT, standardise

    with progress_bar("file", options.quiet) as progress:
        done = standardise(options.folder, options.out, progress)
    for each in done:
        if each.result == "left out":
            print(each.line, file=sys.stderr)
    results = Counter(each.result for each in done)
    if results["left out"] == len(done):
        raise ValueError(f"{options.folder}: none of its {len(done):,} files can be made standard")
    folder = Path(options.out).resolve()
    if options.json:
        counts = {result.replace(" ", "_"): results[result] for result in ("written", "kept", "left out")}
        return {"out": str(folder), **counts, "report": str(folder / REPORT)}
    parts = Counter(each.part or "beats" for each in done if each.result != "left out")
    print(
        f"{results['written']:,} files made standard, {results['kept']:,} were, {results['left out']:,} left out; "
        f"in {folder}, see {REPORT}"
    )
    print(", ".join(f"{part}: {n:,}" for part, n in parts.most_common()))
    return None
