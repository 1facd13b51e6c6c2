"""The quantiles of how the drummers of Groove swing: what a percentile of swing means.

Each bar that is on a grid counts once with each swing that it has: of the off-beat eighths on any grid, of the second
sixteenths on any but eighth triplets. A bar without such off-beats has none, a straight one about .5.

Run: python recipes/groove_swing.py GROOVE [OUT]
GROOVE is the folder of the Groove MIDI Dataset, OUT rhythmgan/weights/groove_swing.json by default.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rhythmgan.features import LEVELS, measure_performance
from rhythmgan.files import write_whole
from rhythmgan.grid import NoBars, quantise_by_grid
from rhythmgan.kit import GM12
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance

OUT = Path(__file__).resolve().parent.parent / "rhythmgan" / "weights" / "groove_swing.json"
N_QUANTILES = 1001


def performances(groove: Path) -> Iterator[Performance]:
    """The bars of every performance in 4/4, those of each grid together."""
    with (groove / "info.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = groove / row["midi_filename"]
        if not path.is_file():  # the test split lies elsewhere
            continue
        try:
            found = quantise_by_grid(read_midi(path), GM12)
        except NoBars:
            continue
        for bars in found.by_grid.values():
            yield Performance(bars.bars, bars.velocities, bars.offsets, GM12)


def main() -> None:
    """Measure all bars and write the quantiles."""
    parser = argparse.ArgumentParser(description="Measure how the drummers of Groove swing.")
    parser.add_argument("groove", type=Path, help="folder of the Groove MIDI Dataset")
    parser.add_argument("out", type=Path, nargs="?", default=OUT, help="file to write (%(default)s)")
    options = parser.parse_args()
    values: dict[str, list[np.ndarray]] = {name: [] for name in LEVELS}
    n_bars = 0
    for performance in performances(options.groove):
        n_bars += len(performance)
        names = ["swing"] if performance.bars.shape[1] == 12 else list(LEVELS)
        for name, measured in measure_performance(performance, names).items():
            values[name].append(measured[~measured.isnan()].numpy())
    shares = np.linspace(0, 1, N_QUANTILES)
    every = {name: np.concatenate(parts) for name, parts in values.items()}
    content = {
        "source": "Groove MIDI Dataset 1.0.0, CC BY 4.0",
        "bars": n_bars,
        "counted": {name: len(each) for name, each in every.items()},
        "quantiles": {
            name: np.quantile(each, shares, method="inverted_cdf").round(4).tolist() for name, each in every.items()
        },
    }
    write_whole(options.out, (json.dumps(content) + "\n").encode())
    for name, each in every.items():
        told = ", ".join(f"{share} % {np.quantile(each, share / 100):.3f}" for share in (5, 25, 50, 75, 80, 90, 95))
        print(f"{name}: {len(each):,} of {n_bars:,} bars; {told}")


if __name__ == "__main__":
    main()
