"""What the latent space is good for: bars there and back, variations of them, and paths between seeds.

Run: python benchmarks/latent.py bars.npz
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.generate.paths import even_path, step_changes
from rhythmgan.latent import interpolate, rotate
from rhythmgan.metrics import c2st
from rhythmgan.models.catalogue import load_generator
from rhythmgan.models.interfaces import LatentModel

_FRAMES = 16
_MAX_CHANGE = 0.25
"""The share of the sounding cells that a step of a morph should not change more of."""
_ANGLES = (0.1, 0.2, 0.4, 0.8)


def _there_and_back(gan: LatentModel, bars: np.ndarray) -> None:
    start = time.perf_counter()
    z = gan.encode(bars)
    seconds = time.perf_counter() - start
    again = gan.decode(z)
    wrong = (again != bars).sum((1, 2))
    kept = (again & bars).sum() / bars.sum()
    lengths = np.square(z).mean(1)
    print(f"{len(bars):,} held-out bars there and back, {len(bars) / seconds:,.0f} a second\n")
    print("| exact | cells right | onsets right | mean square of z: 5 % | median | 95 % |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
    right = 1 - wrong.mean() / bars[0].size
    print(f"| {(wrong == 0).mean():.4f} | {right:.5f} | {kept:.5f} | {low:.2f} | {middle:.2f} | {high:.2f} |\n")


def _variations(gan: LatentModel, bars: np.ndarray, song: np.ndarray) -> None:
    print("The same bars turned towards seeds:\n")
    print("| radians | cells that differ | the same bar | C2ST |\n| ---: | ---: | ---: | ---: |")
    z, towards = gan.encode(bars), gan.latents(range(len(bars)))
    strangers = gan.decode(towards)
    for angle in _ANGLES:
        varied = gan.decode(rotate(z, towards, angle))
        changed = (varied != bars).sum((1, 2))
        told = c2st(bars, song, varied, song)["c2st"]
        print(f"| {angle} | {changed.mean():.1f} | {(changed == 0).mean():.2f} | {told:.3f} |")
    changed = (strangers != bars).sum((1, 2))
    told = c2st(bars, song, strangers)["c2st"]
    print(f"| a seed's bar | {changed.mean():.1f} | {(changed == 0).mean():.2f} | {told:.3f} |\n")


def _paths(gan: LatentModel, bars: np.ndarray, song: np.ndarray, pairs: int) -> None:
    z = gan.latents(range(2 * pairs))
    apart = (gan.decode(z[::2]) != gan.decode(z[1::2])).sum((1, 2)).mean()
    print(f"{pairs} slerps of {_FRAMES} frames between seeds whose bars are {apart:.1f} cells apart:\n")
    print(f"| frames | steps up to {_MAX_CHANGE:.0%} | without change | cells a step | largest | C2ST | of samples |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in ("at even angles", "evenly heard"):
        shares, cells, frames = [], [], []
        for a, b in zip(z[::2], z[1::2], strict=True):
            path = even_path(gan, a, b, _FRAMES) if name == "evenly heard" else interpolate(a, b, _FRAMES)
            path_bars = gan.decode(path)
            shares.append(np.diagonal(step_changes(path_bars), 1))
            cells.append((path_bars[1:] != path_bars[:-1]).sum((1, 2)))
            frames.append(path_bars)
        inner = np.concatenate([path_bars[1:-1] for path_bars in frames])
        path_of = np.repeat(np.arange(pairs), _FRAMES - 2)  # frames of one path are alike: all on one side
        samples = gan.sample(len(inner), seed=10**6)
        print(
            f"| {name} | {(np.stack(shares) <= _MAX_CHANGE).mean():.3f} | {(np.stack(cells) == 0).mean():.2f} "
            f"| {np.mean(cells):.2f} "
            f"| {np.max(cells, 1).mean():.1f} | {c2st(bars, song, inner, path_of)['c2st']:.3f} "
            f"| {c2st(bars, song, samples)['c2st']:.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs (%(default)s)")
    parser.add_argument("--pairs", type=int, default=300, help="paths (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan = load_generator(options.weights or "gan")
    held = load_corpus(options.data, gan.steps, gan.kit).split(options.split).distinct()
    bars = words_to_bars(held.words, held.kit.n_parts)
    _there_and_back(gan, bars)
    _variations(gan, bars, held.song_id)
    _paths(gan, bars, held.song_id, options.pairs)


if __name__ == "__main__":
    main()
