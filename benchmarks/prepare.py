"""Songs read per second and core: all of ``prepare``, against opening the same files with pretty_midi and pypianoroll.

Run: python benchmarks/prepare.py FOLDER   (any tree of MIDI files)

The others only open the files: they find no bars, grids or roles. Peak memory is that of a process which prepares
all files with one worker; with ``--copies 20`` each file is there twenty times, under other names, so that it can be
seen whether memory grows with the songs.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

SCRIPT = """
import resource, sys, time
from rhythmgan.songs.preparation import prepare
start = time.perf_counter()
(count,) = prepare(sys.argv[1], sys.argv[2], workers=1)
print(count.n_files / (time.perf_counter() - start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _prepared(folder: Path) -> tuple[float, float]:
    """Files per second, and MB at the peak, of a process that prepares a folder; its imports are not counted."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(folder), f"{out}/corpus.npz"], capture_output=True, text=True, check=True
        )
    rate, peak = map(float, done.stdout.split())
    return rate, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _opened(paths: list[Path], how: Callable[[str], object]) -> float:
    """Files per second of a reader; those that it cannot read count too."""
    start = time.perf_counter()
    for path in paths:
        try:
            how(str(path))
        except Exception:
            continue
    return len(paths) / (time.perf_counter() - start)


def main() -> None:
    import pretty_midi
    import pypianoroll

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=400, help="that are drawn from the folder (%(default)s)")
    parser.add_argument("--copies", type=int, default=1, help="of each file, for prepare (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best round counts (%(default)s)")
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*.mid"))
    if not paths:
        parser.error(f"no .mid file in {options.folder}")
    random.Random(0).shuffle(paths)
    paths = paths[: options.files]
    warnings.simplefilter("ignore")  # pretty_midi's, of damaged files
    rates: dict[str, float] = {}
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for copy in range(options.copies):
            for path in paths:
                Path(folder, f"{copy:03d}-{path.name}").symlink_to(path.resolve())
        for _ in range(options.rounds):
            found, used = _prepared(Path(folder))
            peak = max(peak, used)
            found_by = {
                "rhythmgan.prepare: onsets, grids, roles, corpus": found,
                "pretty_midi.PrettyMIDI: opened": _opened(paths, pretty_midi.PrettyMIDI),
                "pypianoroll.read: opened": _opened(paths, pypianoroll.read),
            }
            rates = {name: max(rate, rates.get(name, 0)) for name, rate in found_by.items()}
    slowest = rates["pypianoroll.read: opened"]
    print(f"{len(paths)} files, {options.copies} of each for prepare; best of {options.rounds} rounds, one core")
    print("| | files per second | times pypianoroll |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / slowest:.1f} |")
    print(f"\npeak memory of prepare: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
