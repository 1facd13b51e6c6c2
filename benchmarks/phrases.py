"""Phrases beside those of held-out songs: what comes again, how near bars are, fills, C2ST and speed.

Run: python benchmarks/phrases.py corpus.npz

Real phrases are bars in a row that begin on every fourth bar of a file, drawn as songs play them: each song counts the
same. They begin with a bar of the model's role, as generated ones do.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus
from rhythmgan.generate.phrases import phrases
from rhythmgan.metrics import c2st, told_apart
from rhythmgan.models.gan import GAN, load_gan
from rhythmgan.models.word_lstm import WordLSTM, load_prior
from rhythmgan.roles import FILL, ROLES

_BARS = 4
_NEAR = 0.25
_PAIRS = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3))


class Phrases(NamedTuple):
    """Phrases of four bars.

    Attributes:
        bars: (n, 4, steps, parts) bool.
        song: (n,) ints, where they are of songs.
        role: (n, 4) ints, places in ``ROLES``, where they are of songs.
    """

    bars: np.ndarray
    song: np.ndarray | None = None
    role: np.ndarray | None = None


def real_phrases(corpus: Corpus, n: int, role: str = "any", seed: int = 0) -> Phrases:
    """n phrases of songs, each song with the same chance, whose first bar has a role.

    They begin with the bars 0, 4, 8 … of files that three more follow without a gap.

    Raises:
        ValueError: there is none.
    """
    last = np.arange(_BARS - 1, len(corpus))
    first = last - (_BARS - 1)
    index = corpus.bar_index.astype(np.int64)
    begins = (
        (index[first] % _BARS == 0)
        & (corpus.file_id[first] == corpus.file_id[last])
        & (index[last] == index[first] + _BARS - 1)
    )
    if role != "any":
        begins &= corpus.role[first] == ROLES.index(role)
    first = first[begins]
    if not len(first):
        raise ValueError(f"these songs have no {_BARS} bars in a row of which the first has the role {role}")
    first = first[np.argsort(corpus.song_id[first], kind="stable")]
    _, start, count = np.unique(corpus.song_id[first], return_index=True, return_counts=True)
    random = np.random.default_rng(seed)
    song = random.integers(len(start), size=n)
    rows = first[start[song] + random.integers(count[song])][:, None] + np.arange(_BARS)
    bars = words_to_bars(corpus.words[rows], corpus.kit.n_parts)
    return Phrases(bars, corpus.song_id[rows[:, 0]], corpus.role[rows])


def describe(name: str, bars: np.ndarray) -> str:
    """A row of phrases (n, 4, steps, parts): mean cells that differ between two bars, and the shares of equal ones.

    Then how often bar 3 is bar 1; how often all bars are near bar 1; and the onsets of the bars. Two bars are near if
    they differ in at most a quarter of the onsets of both together.
    """
    onsets = bars.sum((2, 3))
    apart = {pair: (bars[:, pair[0]] != bars[:, pair[1]]).sum((1, 2)) for pair in _PAIRS}
    near = np.all([apart[0, b] <= _NEAR * (onsets[:, 0] + onsets[:, b]) for b in range(1, _BARS)], 0)
    cells = [f"{changed.mean():.1f} ({(changed == 0).mean():.2f})" for changed in apart.values()]
    return " | ".join(
        [
            f"| {name}",
            *cells,
            f"{(apart[0, 2] == 0).mean():.2f}",
            f"{near.mean():.2f}",
            " ".join(f"{n:.1f}" for n in onsets.mean(0)),
        ]
    )


def taken_for_fills(taught: Phrases, *others: np.ndarray) -> list[float]:
    """The shares of phrases (n, 4, steps, parts) whose last bar a classifier takes for a fill.

    It is taught on real ones, and sees the last bar and the one before it.
    """
    assert taught.role is not None
    found = told_apart(
        _last_two(taught.bars),
        (taught.role[:, -1] == FILL).astype(np.int64),
        *((_last_two(bars), np.ones(len(bars), np.int64)) for bars in others),
    )
    return [float(shares[1]) for shares in found]


def _last_two(bars: np.ndarray) -> np.ndarray:
    return bars[:, -2:].reshape(len(bars), -1, bars.shape[-1])


def rivals(gan: GAN, training: Corpus, n: int) -> dict[str, Phrases]:
    """Name of each rival → its phrases, which begin with bars of the GAN's role."""
    alone = gan.sample(_BARS * n, seed=10**6).reshape(n, _BARS, gan.steps, gan.kit.n_parts)
    return {
        "four bars of training songs": real_phrases(training, n, gan.condition.role, seed=1),
        "one bar four times": Phrases(np.repeat(alone[:, :1], _BARS, 1)),
        "four bars of four seeds": Phrases(alone),
    }


def print_speed(gan: GAN, prior: WordLSTM, n: int) -> None:
    """How many phrases of 2, 4 and 8 bars are made in a second of one core."""
    for n_bars in (2, 4, 8):
        started = time.process_time()
        phrases(gan, prior, range(n), n_bars)
        print(f"{n / (time.process_time() - started):,.0f} phrases of {n_bars} bars a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--weights", help="weights of a GAN (the bundled ones)")
    parser.add_argument("--prior", help="weights of a prior (the bundled ones)")
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test", help="songs (%(default)s)")
    parser.add_argument("--n", type=int, default=2000, help="phrases of each kind (%(default)s)")
    parser.add_argument("--repeats", type=int, default=4, help="halves of the songs in the C2ST (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan, prior, n = load_gan(options.weights), load_prior(options.prior), options.n
    corpus = load_corpus(options.data, gan.steps, gan.kit)
    held_out, training = corpus.split(options.split), corpus.split("train")
    real = real_phrases(held_out, n, gan.condition.role)
    made = {fill: phrases(gan, prior, range(n), _BARS, fill=fill)[0] for fill in ("songs", "last", "none")}
    kinds = {
        "real": real,
        "phrases": Phrases(made["songs"]),
        **rivals(gan, training, n),
        "phrases, fill last": Phrases(made["last"]),
        "phrases, fill none": Phrases(made["none"]),
    }
    assert real.song is not None
    assert real.role is not None
    songs = len(np.unique(real.song))
    print(f"{n:,} phrases of {songs} songs ({options.split}), of the role {gan.condition.role} in bar 1\n")
    pairs = " | ".join(f"{a + 1}-{b + 1}" for a, b in _PAIRS)
    print(f"| phrases | {pairs} | 3 = 1 | all near 1 | onsets at 1 2 3 4 | C2ST | of bar 1 alone |")
    print("| --- |" + " ---: |" * (len(_PAIRS) + 5))
    for name, found in kinds.items():
        told = ["", ""]
        if name != "real":
            several = [bars.reshape(n, -1, bars.shape[-1]) for bars in (real.bars, found.bars)]
            of_all = c2st(several[0], real.song, several[1], found.song, options.repeats)
            of_first = c2st(real.bars[:, 0], real.song, found.bars[:, 0], found.song, options.repeats)
            told = [f"{each['c2st']:.3f} ± {each['std']:.3f}" for each in (of_all, of_first)]
        print(f"{describe(name, found.bars)} | {told[0]} | {told[1]} |", flush=True)
    is_fill = real.role[:, -1] == FILL
    shares = taken_for_fills(
        real_phrases(training, 4 * n, seed=2), real.bars[is_fill], real.bars[~is_fill], made["last"], made["none"]
    )
    print(f"\nBar 4 is a fill in {is_fill.mean():.2f} of the real phrases. A classifier takes it for one:")
    for name, share in zip(("real fills", "other real bars", "fill last", "fill none"), shares, strict=True):
        print(f"{name} {share:.2f}")
    print()
    print_speed(gan, prior, 500)


if __name__ == "__main__":
    main()
