"""One-bar MIDI files written and read per second, against pretty_midi, in one run on one core.

Run: python benchmarks/midi.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pretty_midi

from rhythmgan.bars import words_to_bars
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9
from rhythmgan.midi import write_midi_files
from rhythmgan.midi_reader import read_midi
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import accents


def _write_with_pretty_midi(path: Path, bar: np.ndarray) -> None:
    """The same file by the field's usual way."""
    song = pretty_midi.PrettyMIDI(initial_tempo=120)
    song.time_signature_changes.append(pretty_midi.TimeSignature(4, 4, 0))
    drums = pretty_midi.Instrument(0, is_drum=True, name="Drums")
    for step, part in zip(*np.nonzero(bar), strict=True):
        start = step / 8
        velocity = int(accents(len(bar))[step])
        drums.notes.append(pretty_midi.Note(velocity, int(GM9.pitches[part]), start, start + 1 / 16))
    song.instruments.append(drums)
    song.write(str(path))


def _one_round(bars: np.ndarray, few: int, folder: Path) -> dict[str, float]:
    """Files per second of each way to write and to read, on the same bars."""
    names = [f"{i}.mid" for i in range(len(bars))]
    paths = [folder / name for name in names]
    others = [folder / f"other-{i}.mid" for i in range(few)]

    def rate(n: int, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return n / (time.perf_counter() - start)

    return {
        "write, rhythmgan": rate(len(bars), lambda: write_midi_files(folder, names, bars)),
        "write, pretty_midi": rate(few, lambda: list(map(_write_with_pretty_midi, others, bars))),
        "read, rhythmgan": rate(len(bars), lambda: [read_midi(path) for path in paths]),
        "read and quantise, rhythmgan": rate(len(bars), lambda: [quantise(read_midi(path), GM9) for path in paths]),
        "read, pretty_midi": rate(few, lambda: [pretty_midi.PrettyMIDI(str(path)) for path in paths[:few]]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="of ours; of theirs a tenth (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best round counts (%(default)s)")
    options = parser.parse_args()
    patterns = words_to_bars(load_patterns().words, GM9.n_parts)
    bars = patterns[np.arange(options.files) % len(patterns)]
    best: dict[str, float] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            found = _one_round(bars, max(1, options.files // 10), Path(folder))
        best = {what: max(rate, best.get(what, 0)) for what, rate in found.items()}
    print(f"{options.files:,} one-bar files, best of {options.rounds} rounds, one core, in the temporary folder")
    print("| | files per second | times pretty_midi |\n| --- | ---: | ---: |")
    for what, rate in best.items():
        other = best[f"{what.split(maxsplit=1)[0].rstrip(',')}, pretty_midi"]
        print(f"| {what} | {rate:,.0f} | {rate / other:.1f} |")


if __name__ == "__main__":
    main()
