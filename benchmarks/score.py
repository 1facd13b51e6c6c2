"""How like the bars of unheard songs the GAN's bars are, beside real bars and two kinds of noise.

Run: rhythmgan prepare lakh lpd groove --out bars.npz && python benchmarks/score.py bars.npz
"""

from __future__ import annotations

import argparse

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.data import load_words
from rhythmgan.metrics import c2st, shares
from rhythmgan.models.gan import load_gan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a words file")
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument(
        "--split", choices=("valid", "test"), default="test", help="songs to compare with (%(default)s)"
    )
    parser.add_argument("--n", type=int, default=8000, help="bars to generate (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first bar, and of the halves (%(default)s)")
    options = parser.parse_args()
    words = load_words(options.data)
    train, held = words.split("train").distinct(), words.split(options.split).distinct()
    known = words_to_bars(train.words, words.kit.n_parts)
    real = words_to_bars(held.words, words.kit.n_parts)
    rng = np.random.default_rng(options.seed)
    columns = [known[rng.integers(len(known), size=options.n)][..., part] for part in range(words.kit.n_parts)]
    rows: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
        "real, training songs": (known, train.song),
        "GAN": (load_gan(options.weights).sample(options.n, options.seed), None),
        "parts from unrelated bars": (np.stack(columns, -1), None),
        "independent cells": (rng.random((options.n, *known.shape[1:])) < known.mean(0), None),
    }
    songs = len(np.unique(held.song))
    print(f"{len(real):,} distinct bars of {songs:,} {options.split} songs; {options.n:,} bars, seed {options.seed}")
    print("| bars | C2ST | trees | MLP | onsets | empty | unique | copies |\n| --- |" + " ---: |" * 7)
    facts = shares(real, known)
    print(f"| real, {options.split} songs | | | | " + " | ".join(_show(facts)) + " |")
    for name, (bars, song) in rows.items():
        told = c2st(real, held.song, bars, song, seed=options.seed)
        facts = shares(bars, known)
        scores = f"{told['c2st']:.3f} | {told['trees']:.3f} | {told['mlp']:.3f}"
        print(f"| {name} | {scores} | " + " | ".join(_show(facts)) + " |", flush=True)


def _show(facts: dict[str, float]) -> list[str]:
    return [f"{facts['onsets']:.1f}", *(f"{facts[name]:.3f}" for name in ("empty", "unique", "copies"))]


if __name__ == "__main__":
    main()
