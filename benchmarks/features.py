"""Bars measured per second, beside the least that any batched measure must do: read every cell once.

Run: python benchmarks/features.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from rhythmgan.features import FEATURES, density_and_syncopation
from rhythmgan.kit import GM9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000, help="bars (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many, in turn (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bars = torch.rand(options.n, 16, 9, generator=torch.Generator().manual_seed(0)) < 0.12
    runs: dict[str, Callable[[], object]] = {
        "every cell read once": lambda: bars.view(torch.uint8).view(options.n, -1).sum(1, dtype=torch.int16),
        "density and syncopation together": lambda: density_and_syncopation(bars),
    }
    for name, feature in FEATURES.items():
        runs[name] = lambda feature=feature: feature(bars, GM9)  # type: ignore[misc]
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(options.rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - started)
    floor = best["every cell read once"]
    print("| one core | bars per second | times the floor |\n| --- | ---: | ---: |")
    for name, seconds in best.items():
        print(f"| {name} | {options.n / seconds:,.0f} | {seconds / floor:.1f} |")


if __name__ == "__main__":
    main()
