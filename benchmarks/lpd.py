"""Drum tracks of LPD files read per second, against ``pypianoroll.load``, in one run on one core.

Run: python benchmarks/lpd.py FOLDER   (any tree of LPD .npz files)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pypianoroll

from rhythmgan.lpd import read_lpd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="the best round counts (%(default)s)")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.npz"))
    if not paths:
        parser.error(f"no .npz file in {options.folder}")
    ours, theirs = [], []
    for _ in range(options.rounds):
        start = time.perf_counter()
        for path in paths:
            read_lpd(path)
        middle = time.perf_counter()
        for path in paths:
            pypianoroll.load(path)
        ours.append(len(paths) / (middle - start))
        theirs.append(len(paths) / (time.perf_counter() - middle))
    print(f"{len(paths)} files, best of {options.rounds} rounds, one core")
    print("| reader | files per second | times pypianoroll |\n| --- | ---: | ---: |")
    print(f"| pypianoroll.load | {max(theirs):,.0f} | 1 |")
    print(f"| rhythmgan.lpd.read_lpd | {max(ours):,.0f} | {max(ours) / max(theirs):.1f} |")


if __name__ == "__main__":
    main()
