"""What the latent space is good for: bars there and back, and ways from bar to bar.

Run: python benchmarks/latent.py bars.npz
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.console import add_condition_options
from rhythmgan.corpus_file import load_corpus
from rhythmgan.generate.morph import morph, most_changes, natural_way
from rhythmgan.latent import interpolate
from rhythmgan.metrics import c2st
from rhythmgan.models.catalogue import load_generator
from rhythmgan.models.interfaces import LatentCritic

_FRAMES = 16
_TIMED = 30
"""Ways that are made one by one to see how long one takes."""


def _there_and_back(gan: LatentCritic, bars: np.ndarray) -> None:
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


def _morphs(gan: LatentCritic, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    ways = morph(gan, starts, ends, _FRAMES)
    gan.encode(ways.reshape(-1, *starts.shape[1:]))  # every frame has its z: a part of the time
    return ways


def _blind(gan: LatentCritic, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The search of a morph, to which all bars are equally natural."""
    pairs = zip(starts, ends, strict=True)
    return np.stack([natural_way(lambda bars: torch.zeros(len(bars)), *pair, _FRAMES) for pair in pairs])


def _slerps(gan: LatentCritic, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    points = zip(gan.encode(starts), gan.encode(ends), strict=True)
    z = np.concatenate([interpolate(a, b, _FRAMES) for a, b in points])
    return gan.decode(z).reshape(len(starts), _FRAMES, *starts.shape[1:])


def _ways(gan: LatentCritic, real: np.ndarray, song: np.ndarray, pairs: int) -> None:
    bars = gan.sample(2 * pairs)
    starts, ends = bars[::2], bars[1::2]
    distance = (starts ^ ends).sum((1, 2))
    limit = np.array([most_changes(int(each), _FRAMES) for each in distance])
    samples = gan.sample(pairs * (_FRAMES - 2), seed=10**6)
    of_seeds = c2st(real, song, samples)["c2st"]
    begun = time.process_time()
    gan.sample(1000)
    thousand = time.process_time() - begun
    print(
        f"{pairs} ways of {_FRAMES} frames between seeds whose bars are {distance.mean():.1f} cells apart; C2ST of "
        f"seeds' bars {of_seeds:.3f}. A step over its limit changes more than max(3, 1.5 · distance / {_FRAMES - 1}) "
        "cells; steps that change nothing are counted where the distance is as large as the number of steps; ¼, ½ "
        "and ¾ are C2ST of these frames alone. Beside seeds: C2ST of frames beside seeds' bars and not beside songs'. "
        f"sample(1000) takes {thousand * 1e3:.0f} ms.\n"
    )
    print(
        "| way | cells a step | largest step | steps over the limit | that change nothing | density off the line "
        "| C2ST | ¼ | ½ | ¾ | beside seeds | ms a way | of many |"
    )
    print("| --- |" + " ---: |" * 12)
    kinds: dict[str, Callable[[LatentCritic, np.ndarray, np.ndarray], np.ndarray]] = {
        "morph": _morphs,
        "morph without a model": _blind,
        "slerp": _slerps,
    }
    for name, make in kinds.items():
        times = []
        for i in range(_TIMED):
            begun = time.process_time()
            make(gan, starts[i : i + 1], ends[i : i + 1])
            times.append(time.process_time() - begun)
        begun = time.process_time()
        ways = make(gan, starts, ends)
        of_many = (time.process_time() - begun) / pairs
        changes = (ways[:, 1:] ^ ways[:, :-1]).sum((2, 3))
        density = ways.sum((2, 3))
        line = density[:, :1] + (density[:, -1:] - density[:, :1]) * np.linspace(0, 1, _FRAMES)
        inner = ways[:, 1:-1].reshape(-1, *real.shape[1:])
        way_of = np.repeat(np.arange(pairs), _FRAMES - 2)  # frames of one way are alike: all on one side
        told = [c2st(real, song, inner, way_of)["c2st"]]
        told += [c2st(real, song, ways[:, round(part * (_FRAMES - 1))])["c2st"] for part in (0.25, 0.5, 0.75)]
        told.append(c2st(samples, np.arange(len(samples)), inner, way_of)["c2st"])
        print(
            f"| {name} | {changes.mean():.2f} | {changes.max(1).mean():.1f} | {(changes > limit[:, None]).mean():.3f} "
            f"| {(changes[distance >= _FRAMES - 1] == 0).mean():.3f} | {np.abs(density - line)[:, 1:-1].mean():.2f} | "
            + " | ".join(f"{each:.3f}" for each in told)
            + f" | {np.median(times) * 1e3:.0f} | {of_many * 1e3:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs (%(default)s)")
    parser.add_argument("--pairs", type=int, default=300, help="ways (%(default)s)")
    add_condition_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan = load_generator(options.weights, options.grid).with_condition(options.role, options.style)
    songs = load_corpus(options.data, gan.steps, gan.kit).split(options.split)
    distinct = words_to_bars(songs.distinct().words, songs.kit.n_parts)
    _there_and_back(gan, distinct)
    role = gan.condition.role  # bars of a role as songs play them, of any each song's distinct ones
    held = songs.distinct() if role == "any" else songs.with_role(role).as_played(len(distinct))
    _ways(gan, words_to_bars(held.words, held.kit.n_parts), held.song_id, options.pairs)


if __name__ == "__main__":
    main()
