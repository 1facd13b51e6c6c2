"""Bars that are combined of lines of unrelated bars: how often a classifier detects them beside bars of held-out songs.

Run: python benchmarks/combine.py corpus.npz

A line is what the low, the mid or the high stream of a bar plays: kick; snare, toms and congas; hats, cymbals, shakers
and bells. A pack has as many lines of each stream, of bars of training songs that have nothing to do with each other,
and `rhythmgan.generate.combine` makes as many bars of it: at random, or such that they go together as the prior, the
discriminator or both say. All bars are distinct bars of songs, and models are asked for any role.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.baselines import Shuffled
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus
from rhythmgan.generate.combine import Score, combine, together
from rhythmgan.kit import STREAMS
from rhythmgan.metrics import c2st
from rhythmgan.models.catalogue import load_generator, load_likelihood


def packs(training: Corpus, n: int, size: int, seed: int) -> list[list[np.ndarray]]:
    """n packs: of each a group of lines (size, 1, steps, parts) for each stream.

    No two streams of a pack have a song in common: a real bar cannot come together again.

    Args:
        training: distinct bars of songs.
        n: packs.
        size: lines of a group.
        seed: of the bars.
    """
    random = np.random.default_rng(seed)
    bars = words_to_bars(training.words, training.kit.n_parts)
    songs, song = np.unique(training.song_id, return_inverse=True)
    found = []
    for _ in range(n):
        stream_of_song = random.permutation(len(songs)) % len(STREAMS)
        groups = []
        for number, stream in enumerate(STREAMS):
            rows = random.permutation(np.flatnonzero(stream_of_song[song] == number))[:size]
            of_stream = np.isin(np.arange(training.kit.n_parts), training.kit.parts_of(stream))
            groups.append((bars[rows] & of_stream)[:, None])
        found.append(groups)
    return found


def ways(prior: Score, critic: Score) -> dict[str, Score | None]:
    """Name of each way to combine → its score; none where lines are put together at random."""
    return {
        "streams of unrelated bars": None,
        "that go together: the discriminator": critic,
        "that go together: the prior": prior,
        "that go together: both": lambda bars: prior(bars) + critic(bars),
    }


def combined(all_packs: list[list[np.ndarray]], prior: Score, critic: Score, size: int) -> dict[str, np.ndarray]:
    """Name of each way to combine → its bars, (about packs · size, steps, parts) bool, without silent ones."""
    found: dict[str, list[np.ndarray]] = {}
    for number, groups in enumerate(all_packs):
        for name, score in ways(prior, critic).items():
            found.setdefault(name, []).append(together(groups, combine(groups, size, number, score))[:, 0])
    joined = {name: np.concatenate(bars) for name, bars in found.items()}
    return {name: bars[bars.any((1, 2))] for name, bars in joined.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="held-out songs (%(default)s)")
    parser.add_argument("--n", type=int, default=4096, help="bars of each row (%(default)s)")
    parser.add_argument("--pack", type=int, default=128, help="lines of each stream in a pack (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions with other packs (%(default)s)")
    parser.add_argument("--repeats", type=int, default=4, help="halves of the songs in each C2ST (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan = load_generator().with_condition("any", "any")
    prior = load_likelihood().with_condition("any", "any")

    def log_prob(bars: np.ndarray) -> np.ndarray:
        return prior.log_prob(bars).double().numpy()

    def logits(bars: np.ndarray) -> np.ndarray:
        return gan.logits(bars).double().numpy()

    corpus = load_corpus(options.data, gan.steps, gan.kit)
    training, held_out = corpus.split("train").distinct(), corpus.split(options.split).distinct()
    real, song = words_to_bars(held_out.words, gan.kit.n_parts), held_out.song_id
    taught = words_to_bars(training.words, gan.kit.n_parts)
    told: dict[str, list[tuple[float, float, float]]] = {}
    seconds = 0.0
    for seed in range(options.seeds):
        rows = np.random.default_rng([seed, 1]).permutation(len(taught))[: options.n]
        started = time.process_time()
        own = packs(training, options.n // options.pack, options.pack, seed)
        found = combined(own, log_prob, logits, options.pack)
        seconds += time.process_time() - started
        candidates = {
            "real, training songs": (taught[rows], training.song_id[rows]),
            "memoriser: the same without song labels": (taught[rows], None),
            "parts of unrelated bars": (Shuffled(taught).sample(options.n, seed), None),
            **{name: (bars, None) for name, bars in found.items()},
        }
        for name, (bars, of_song) in candidates.items():
            measured = c2st(real, song, bars, of_song, options.repeats, seed)
            told.setdefault(name, []).append((measured["c2st"], measured["trees"], measured["mlp"]))
            print(f"seed {seed}: {name}: {measured['c2st']:.3f}", flush=True)
    n_songs = len(np.unique(song))
    print(
        f"\n{options.n:,} bars of each row beside {len(real):,} distinct bars of {n_songs} songs ({options.split}); "
        f"means and deviations of {options.seeds} seeds, packs of {options.pack} lines of each stream\n"
    )
    print("| bars | C2ST | ± | trees | MLP |\n| --- | ---: | ---: | ---: | ---: |")
    for name, values in told.items():
        mean, spread = np.mean(values, 0), np.std(values, 0)
        print(f"| {name} | {mean[0]:.3f} | {spread[0]:.3f} | {mean[1]:.3f} | {mean[2]:.3f} |")
    print(f"\n{seconds / options.seeds / (options.n // options.pack):.1f} s of one core a pack, for all four ways")


if __name__ == "__main__":
    main()
