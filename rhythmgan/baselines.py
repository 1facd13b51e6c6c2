"""What a model has to beat: noise, copies and counts, each with the model's own ``sample`` or ``log_prob``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus


class Sampler(Protocol):
    """What bars can be drawn from: a baseline, the GAN, the prior."""

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """n bars (n, steps, parts) bool; the same for the same seed."""


# --- Bars out of other bars --------------------------------------------------------------------------


@dataclass(frozen=True)
class Memoriser:
    """Copies of training bars (n, steps, parts) bool, drawn with replacement: like real in all but novelty."""

    bars: np.ndarray

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        return self.bars[np.random.default_rng(seed).integers(len(self.bars), size=n)]


@dataclass(frozen=True)
class Flipped:
    """Copies of training bars with a share of all cells turned over."""

    bars: np.ndarray
    share: float = 0.01

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        bars = self.bars[rng.integers(len(self.bars), size=n)]
        return bars ^ (rng.random(bars.shape) < self.share)


@dataclass(frozen=True)
class Shuffled:
    """Each part's line from a training bar of its own: what a part does is right, that they agree is chance."""

    bars: np.ndarray

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        rows = np.random.default_rng(seed).integers(len(self.bars), size=(self.bars.shape[2], n))
        return np.stack([self.bars[row, :, part] for part, row in enumerate(rows)], -1)


@dataclass(frozen=True)
class Independent:
    """Every cell on its own, as often as it sounds in the training bars: ``rates`` (steps, parts)."""

    rates: np.ndarray

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).random((n, *self.rates.shape)) < self.rates


# --- Words out of counts -----------------------------------------------------------------------------


@dataclass(frozen=True)
class PerStep:
    """Every step's word on its own: ``chances`` (steps, words)."""

    chances: np.ndarray

    def log_prob(self, words: np.ndarray) -> np.ndarray:
        """Log-probability of each word: (n, steps) ints → (n, steps) nats."""
        return np.log(self.chances[np.arange(words.shape[1]), words])


@dataclass(frozen=True)
class Markov:
    """An order-1 chain over whole steps: ``first`` (words,) begins a bar, ``following`` (words, words) goes on."""

    first: np.ndarray
    following: np.ndarray
    steps: int
    n_parts: int

    def log_prob(self, words: np.ndarray) -> np.ndarray:
        """Log-probability of each word given the one before it in the bar: (n, steps) ints → (n, steps) nats."""
        later = self.following[words[:, :-1], words[:, 1:]]
        return np.log(np.concatenate([self.first[words[:, :1]], later], 1))

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed).random((self.steps, n))
        n_words = len(self.first)
        words = [np.minimum(np.searchsorted(self.first.cumsum(), random[0]), n_words - 1)]
        # all rows behind each other, each lifted by its number, are one rising line: a row is found with the word in it
        rows = np.arange(n_words)
        line = self.following.cumsum(1)
        line += rows[:, None]
        for number in random[1:]:
            before = words[-1]
            found = np.searchsorted(line.ravel(), before + number) - before * n_words
            words.append(found.clip(0, n_words - 1))  # the sums of a row end at 1 but for rounding
        return words_to_bars(np.stack(words, 1), self.n_parts)


def uniform(corpus: Corpus) -> PerStep:
    """All words alike."""
    n_words = 1 << corpus.kit.n_parts
    return PerStep(np.full((corpus.steps, n_words), 1 / n_words))


def unigram(corpus: Corpus) -> PerStep:
    """Words as often as they come."""
    return PerStep(np.tile(_unigram(corpus), (corpus.steps, 1)))


def per_position_unigram(corpus: Corpus) -> PerStep:
    """Words as often as they come on each step."""
    counts = np.stack([np.bincount(column, minlength=1 << corpus.kit.n_parts) for column in corpus.words.T])
    return PerStep(_smoothed(counts, _unigram(corpus)))


def markov(corpus: Corpus) -> Markov:
    """Words as often as they follow another."""
    n_words = 1 << corpus.kit.n_parts
    pairs = corpus.words[:, :-1].astype(np.int64) * n_words + corpus.words[:, 1:]
    counts = np.bincount(pairs.ravel(), minlength=n_words * n_words).reshape(n_words, n_words)
    ahead = np.bincount(corpus.words[:, 0], minlength=n_words)
    overall = _unigram(corpus)
    first, following = _smoothed(ahead[None], overall)[0], _smoothed(counts, overall)
    return Markov(first, following, corpus.steps, corpus.kit.n_parts)


def _unigram(corpus: Corpus) -> np.ndarray:
    n_words = 1 << corpus.kit.n_parts
    counts = np.bincount(corpus.words.ravel(), minlength=n_words)
    return _smoothed(counts[None], np.full(n_words, 1 / n_words))[0]


def _smoothed(counts: np.ndarray, backoff: np.ndarray) -> np.ndarray:
    """(contexts, words) counts → chances, each context's mixed with the backoff's (Witten & Bell 1991).

    A context that is followed by many different words is likely to be followed by a new one: the backoff's
    share is that of distinct words among distinct words and counts.
    """
    n_distinct = np.maximum((counts > 0).sum(1, keepdims=True), 1)
    return (counts + n_distinct * backoff) / (counts.sum(1, keepdims=True) + n_distinct)


COUNTED: dict[str, Callable[[Corpus], PerStep | Markov]] = {
    "uniform": uniform,
    "unigram": unigram,
    "per-position unigram": per_position_unigram,
    "order-1 Markov": markov,
}
"""What a prior's nats per step are compared with, by name, as functions of the training bars."""


def _bars(corpus: Corpus) -> np.ndarray:
    return words_to_bars(corpus.words, corpus.kit.n_parts)


SAMPLERS: dict[str, tuple[str, Callable[[Corpus], Sampler]]] = {
    "memoriser": ("memoriser", lambda words: Memoriser(_bars(words))),
    "flipped": ("1 % of cells flipped", lambda words: Flipped(_bars(words))),
    "shuffle": ("parts from unrelated bars", lambda words: Shuffled(_bars(words))),
    "markov": ("order-1 Markov", markov),
    "independent": ("independent cells", lambda words: Independent(_bars(words).mean(0))),
}
"""What stands beside every model, by option: its name in the table, and itself as a function of the training bars."""
