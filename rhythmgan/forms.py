"""Forms of phrases: which of their bars come again, and what the new ones are, as songs play them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.roles import FILL, GROOVE, ROLES
from rhythmgan.seeds import sample_categorical

LENGTH = 8
"""Bars of a form."""
GROUP = 4
"""A form begins on every fourth bar of a file, and a longer phrase looks back as far as the four bars before."""

KINDS = (0, 1, 2, 4, 6)
"""Bars are of six kinds, by how many cells of their halves differ: 0, 1, 2, up to 4, up to 6, more. A bar that
repeats itself comes again: of grooves .82 of the first kind are among the next three bars, .22 of the last."""

_END = 255
"""A token where the file ends."""
_N_ROLES = len(ROLES)
_OTHER_KINDS = 0.05
"""How much the bars of all kinds count beside those of the first bar's own."""


@dataclass(frozen=True, eq=False)
class Forms:
    """The forms of songs, counted: a form is the eight bars that begin on every fourth bar of a file.

    A bar is written as a token, role + 3 · letter. Letters are 0, 1 … in the order in which bars first come, so A B A C
    is 0, 1, 0, 2; a bar's role (a place in ``ROLES``) is the one that it has where it first comes. 255 stands where the
    file has ended.

    Attributes:
        tokens: (m, LENGTH) uint8, the distinct forms.
        chances: (kinds, m) float32, the chance of each form where its first bar is of a kind; every song counts as
            much as any other. A row sums to 1, or to 0 where no first bar is of this kind.
    """

    tokens: np.ndarray
    chances: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(KINDS) + 1, len(self.tokens))
        if self.tokens.shape[1:] != (LENGTH,) or self.chances.shape != expected:
            raise ValueError(
                f"expected tokens (m, {LENGTH}) and their chances ({expected[0]}, m); "
                f"got {self.tokens.shape} and {self.chances.shape}"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @staticmethod
    def of(corpus: Corpus) -> Forms:
        """Count the forms of a corpus, whose rows are in the order of its songs."""
        index = corpus.bar_index.astype(np.int64)
        n = len(index)
        runs = np.ones(n, np.int64)  # a number for each row of bars without a gap
        runs[1:] = (corpus.file_id[1:] != corpus.file_id[:-1]) | (index[1:] != index[:-1] + 1)
        runs = np.cumsum(runs)
        first = np.flatnonzero(index % GROUP == 0)
        rows = first[:, None] + np.arange(LENGTH)
        inside = rows < n
        rows = np.minimum(rows, n - 1)
        inside &= runs[rows] == runs[first, None]
        # where the file has ended, bars that are like no other
        letters, origin = _letters(np.where(inside, corpus.bar_id[rows], -1 - np.arange(LENGTH)))
        roles = np.take_along_axis(corpus.role[rows], origin, 1)
        tokens, which = np.unique(
            np.where(inside, roles + _N_ROLES * letters, _END).astype(np.uint8), axis=0, return_inverse=True
        )
        song = corpus.song_id[first]
        kinds = bar_kinds(words_to_bars(corpus.distinct_words[corpus.bar_id[first]], corpus.kit.n_parts))
        chances = np.zeros((len(KINDS) + 1, len(tokens)))
        np.add.at(chances, (kinds, which.reshape(-1)), 1 / np.bincount(song)[song])
        chances /= np.maximum(chances.sum(1, keepdims=True), 1e-300)
        return Forms(tokens, chances.astype(np.float32))

    def draw(
        self, bars: np.ndarray, uniform: np.ndarray, role: int = GROOVE, with_fills: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw how phrases go on that begin with these bars, one bar after the other.

        The next bar is one of those before it, or new and of some role. Its chances are those that it has in the forms
        that have gone as this one has: the same bars again, and fills in the same places. Where no form goes on from
        there, the earliest bar is left out of account, then the next one, until some do. After eight bars only those
        from the beginning of the four bars before are looked back at.

        Args:
            bars: (n, steps, parts) bool, the first bars.
            uniform: (n, bars after the first) numbers from 0 to 1.
            role: of the first bars, a place in ``ROLES``.
            with_fills: whether bars after the first may be fills, where songs have them.

        Returns:
            The letters of the bars and their roles, both (n, 1 + bars after the first) ints.
        """
        n, n_bars = len(bars), 1 + uniform.shape[1]
        letters, roles = np.zeros((n, n_bars), np.int64), np.full((n, n_bars), role)
        kinds = bar_kinds(bars)
        listed = _Listed(self)
        for place in range(1, n_bars):
            base = max(place // GROUP * GROUP - GROUP, 0)
            seen, _ = _letters(letters[:, base:place])
            history = np.concatenate([kinds[:, None], seen, roles[:, base:place] == FILL], 1)
            cases, which = np.unique(history, axis=0, return_inverse=True)
            order = np.argsort(which.reshape(-1), kind="stable")
            counts = np.bincount(which.reshape(-1), minlength=len(cases))
            ends = counts.cumsum()
            for case, start, end in zip(cases, ends - counts, ends, strict=True):
                rows = order[start:end]
                before, is_fill = case[1:].reshape(2, -1)
                chances = listed.chances(int(case[0]), before, is_fill > 0, with_fills)
                outcome = sample_categorical(chances.cumsum()[None] / chances.sum(), uniform[rows, place - 1, None])
                is_new = outcome >= len(before)
                source = base + np.where(is_new, 0, outcome)
                letters[rows, place] = np.where(is_new, letters[rows, :place].max(1) + 1, letters[rows, source])
                roles[rows, place] = np.where(is_new, outcome - len(before), roles[rows, source])
        return letters, roles


class _Listed:
    """Forms in the order of how they go on."""

    def __init__(self, forms: Forms) -> None:
        self._letters, self._roles = forms.tokens // _N_ROLES, forms.tokens % _N_ROLES
        self._goes_on = forms.tokens != _END
        self._by_kind = forms.chances + _OTHER_KINDS * forms.chances.sum(0, dtype=np.float64)
        self._lists: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def chances(self, kind: int, before: np.ndarray, is_fill: np.ndarray, with_fills: bool) -> np.ndarray:
        """How likely the bar after k others is each of those, and how likely it is new and of each role.

        Args:
            kind: of the phrase's first bar.
            before: (k,) letters.
            is_fill: (k,) bool, which of them are fills.
            with_fills: whether it may be a fill.

        Returns:
            (k + roles,) floats, not all 0.
        """
        k = len(before)
        is_allowed = with_fills | ~np.concatenate([is_fill, np.arange(_N_ROLES) == FILL])
        for start in range(k + 1):  # of what is taken into account
            codes, rows, outcome = self._list(start, k)
            ours = _codes(_letters(before[None, start:])[0], is_fill[None, start:])[0]
            alike = slice(*np.searchsorted(codes, [ours, ours + 1]))
            found = np.bincount(outcome[alike], self._by_kind[kind, rows[alike]], k + _N_ROLES) * is_allowed
            if found.any():
                return found
        return (np.arange(k + _N_ROLES) == k + GROOVE).astype(float)  # no form is as long

    def _list(self, start: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The forms with a bar at place k, sorted: codes of their bars from ``start`` to k, rows, and what follows."""
        if (start, k) not in self._lists:
            rows = np.flatnonzero(self._goes_on[:, k])
            letters, origin = _letters(self._letters[rows, start : k + 1])
            codes = _codes(letters[:, :-1], self._roles[rows, start:k] == FILL)
            first = start + origin[:, -1]
            outcome = np.where(first < k, first, k + self._roles[rows, k])
            order = np.argsort(codes, kind="stable")
            self._lists[start, k] = codes[order], rows[order], outcome[order]
        return self._lists[start, k]


def _codes(letters: np.ndarray, is_fill: np.ndarray) -> np.ndarray:
    """(n,) ints that stand for bars: letters (n, k) and whether they are fills (n, k), of LENGTH bars at most."""
    return (letters * 2 + is_fill) @ (2 * LENGTH) ** np.arange(letters.shape[1])


def bar_kinds(bars: np.ndarray) -> np.ndarray:
    """(n,) ints, 0 to 5: which of the ``KINDS`` bars (n, steps, parts) bool are of."""
    half = bars.shape[1] // 2
    return np.searchsorted(KINDS, (bars[:, :half] != bars[:, half:]).sum((1, 2)))


def _letters(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names (n, k) of things → letters (n, k) 0, 1 … in the order in which each first comes, and where that is."""
    n, k = names.shape
    letters, origin = np.zeros((n, k), np.int64), np.zeros((n, k), np.int64)
    rows, used = np.arange(n), np.full(n, -1)
    for place in range(k):
        same = names[:, : place + 1] == names[:, place, None]
        origin[:, place] = same.argmax(1)
        is_new = origin[:, place] == place
        used += is_new
        letters[:, place] = np.where(is_new, used, letters[rows, origin[:, place]])
    return letters, origin
