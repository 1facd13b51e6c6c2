"""Phrases of four bars beside those of real songs: how much changes from bar to bar, and where the odd bar falls.

Run: python benchmarks/phrases.py bars.npz
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus, first_rows
from rhythmgan.generate.phrases import phrases
from rhythmgan.metrics import c2st
from rhythmgan.models.gan import load_gan
from rhythmgan.models.word_lstm import load_prior

_BARS = 4
_SHUFFLED = "real bars, order shuffled"
_PAIRS = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3))


def real_phrases(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Each song's distinct phrases, bars 0-3, 4-7 … of its files: (n, 4, steps, parts) bool, and their songs (n,)."""
    last = np.arange(_BARS - 1, len(corpus))
    first = last - (_BARS - 1)
    whole = (
        (corpus.bar_index[first] % _BARS == 0)
        & (corpus.file_id[first] == corpus.file_id[last])
        & (corpus.bar_index[last] == corpus.bar_index[first] + _BARS - 1)
    )
    rows = first[whole][:, None] + np.arange(_BARS)
    song = corpus.song_id[rows[:, :1]].astype(np.int32).view(np.uint16)
    rows = rows[first_rows(np.concatenate([song, corpus.words[rows].reshape(len(rows), _BARS * corpus.steps)], 1))]
    return words_to_bars(corpus.words[rows], corpus.kit.n_parts), corpus.song_id[rows[:, 0]]


def describe(name: str, found: np.ndarray) -> str:
    """A row: mean cells that differ between each two bars and how often none does, and where the odd bar falls."""
    apart = {pair: (found[:, pair[0]] != found[:, pair[1]]).sum((1, 2)) for pair in _PAIRS}
    from_others = np.zeros((len(found), _BARS))
    for (a, b), changed in apart.items():
        from_others[:, a] += changed
        from_others[:, b] += changed
    oddest = from_others == from_others.max(1, keepdims=True)
    places = (oddest / oddest.sum(1, keepdims=True)).mean(0)
    cells = [f"{changed.mean():.1f} ({(changed == 0).mean():.2f})" for changed in apart.values()]
    onsets = found.sum((2, 3)).mean(0)
    return " | ".join(
        [f"| {name}", *cells, " ".join(f"{share:.2f}" for share in places), " ".join(f"{n:.1f}" for n in onsets)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test", help="songs (%(default)s)")
    parser.add_argument("--n", type=int, default=1000, help="phrases of each kind (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan, prior = load_gan(options.weights), load_prior()
    real, song = real_phrases(load_corpus(options.data, gan.steps, gan.kit).split(options.split))
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(real))[: options.n]
    real, song = real[rows], song[rows]
    n = len(real)
    alone = gan.sample(_BARS * n, seed=10**6).reshape(n, _BARS, *real.shape[2:])
    kinds = {
        "real": real,
        "phrases()": phrases(gan, prior, range(n), _BARS)[0],
        "one bar four times": np.repeat(alone[:, :1], _BARS, 1),
        "four bars of four seeds": alone,
        _SHUFFLED: np.stack([one[rng.permutation(_BARS)] for one in real]),
    }
    print(f"{n} phrases of {len(np.unique(song))} songs ({options.split}); cells that differ (share of equal bars)\n")
    pairs = " | ".join(f"{a + 1}-{b + 1}" for a, b in _PAIRS)
    print(f"| phrases | {pairs} | odd bar at 1 2 3 4 | onsets at 1 2 3 4 | C2ST |")
    print("| --- |" + " ---: |" * (len(_PAIRS) + 3))
    for name, found in kinds.items():
        flat = [these.reshape(len(these), -1, these.shape[-1]) for these in (real, found)]
        songs = song if name == _SHUFFLED else None  # the others are of no song
        told = "" if name == "real" else f"{c2st(flat[0], song, flat[1], songs)['c2st']:.3f}"
        print(f"{describe(name, found)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
