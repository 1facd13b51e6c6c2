"""Bars rendered to stereo audio per second, beside adding up their onsets with nothing around it, on one core.

Run: python benchmarks/sound.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.kit import GM9
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rhythmgan.sound import render, wav_bytes
from rhythmgan.synth import RATE, one_shots

_SECONDS = 2.0  # a bar at 120 beats a minute


def _added_up(bar: np.ndarray, shots: tuple[np.ndarray, ...]) -> np.ndarray:
    """The floor: silence, and each onset's samples added once; no velocity, choke, loop or limit."""
    sound = np.zeros((round(2 * _SECONDS * RATE), 2), np.float32)
    samples_per_step = round(_SECONDS * RATE) // len(bar)
    for step, part in zip(*(place.tolist() for place in np.nonzero(bar)), strict=True):
        begin = step * samples_per_step
        sound[begin : begin + len(shots[part])] += shots[part]
    return sound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=1000, help="textbook patterns, over and over (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the best round counts (%(default)s)")
    options = parser.parse_args()
    patterns = words_to_bars(load_patterns().words, GM9.n_parts)
    bars = patterns[np.arange(options.bars) % len(patterns)]
    start = time.perf_counter()
    shots = one_shots(GM9)
    print(f"the kit: {time.perf_counter() - start:.2f} s, once; {sum(map(len, shots)) / RATE:.1f} s of sound")

    works: dict[str, Callable[[np.ndarray], object]] = {
        "render()": lambda bar: render(Performance.of(bar)),
        "render() and wav_bytes()": lambda bar: wav_bytes(render(Performance.of(bar))),
        "the onsets added up bare": lambda bar: _added_up(bar, shots),
    }
    best: dict[str, float] = {}
    for _ in range(options.rounds):
        for what, work in works.items():
            start = time.perf_counter()
            for bar in bars:
                work(bar)
            best[what] = max(len(bars) / (time.perf_counter() - start), best.get(what, 0))
    onsets = bars.sum() / len(bars)
    print(f"{len(bars):,} bars at 120 bpm, {onsets:.1f} onsets each, best of {options.rounds} rounds, one core")
    print("| | bars per second | ms a bar | times real time | share of the sum |\n| --- | ---: | ---: | ---: | ---: |")
    for what, rate in best.items():
        share = rate / best["the onsets added up bare"]
        print(f"| {what} | {rate:,.0f} | {1000 / rate:.2f} | {rate * _SECONDS:,.0f} | {share:.2f} |")


if __name__ == "__main__":
    main()
