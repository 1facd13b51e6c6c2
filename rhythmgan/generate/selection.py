"""Which bars of seeds a dump takes: those whose features fit, and none twice."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhythmgan.features import check_feature, measure
from rhythmgan.kit import Kit
from rhythmgan.seeds import mix

OPERATORS: dict[str, Callable[[Any, float], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
"""How a feature may be compared with a number, as it is written."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Criterion:
    """What a feature of a bar has to be: ``density >= 12``.

    Attributes:
        feature: one of ``FEATURES``.
        operator: one of ``OPERATORS``.
        number: finite.
    """

    feature: str
    operator: str
    number: float

    def __str__(self) -> str:
        return f"{self.feature} {self.operator} {str(self.number).removesuffix('.0')}"


def parse_criteria(texts: Iterable[str]) -> tuple[Criterion, ...]:
    """The criteria of texts such as ``density>=12`` or ``kick density<4 and repetition > .5``; each once, sorted.

    The grammar: one criterion, or several with ``and`` between them; a criterion is the name of a feature, one of
    ``OPERATORS`` and a number.

    Raises:
        ValueError: a text of another form, an unknown feature or operator; the message lists those that there are.
    """
    found = {_parse_criterion(part) for text in texts for part in re.split(r"\band\b", text)}
    return tuple(sorted(found, key=str))


def _parse_criterion(text: str) -> Criterion:
    match = re.fullmatch(rf"\s*([^<>=!]*[^<>=!\s])\s*([<>=!]+)\s*({_NUMBER})\s*", text, re.ASCII)
    if match is None:
        raise ValueError(
            f"{text.strip()!r} is no criterion: it has the form FEATURE OPERATOR NUMBER, such as 'density>=12', "
            "several with 'and' between them"
        )
    feature, sign, number = match.groups()
    if sign not in OPERATORS:
        raise ValueError(f"no operator is written {sign!r}; there are {', '.join(OPERATORS)}")
    if not np.isfinite(float(number)):
        raise ValueError(f"{text.strip()!r} compares with a number that is too large")
    return Criterion(check_feature(feature), sign, float(number))


@dataclass(frozen=True)
class View:
    """Bars or phrases in one of the kits that they are written in.

    Attributes:
        bars: (n, bars, steps, parts) bool.
        kit: what the parts are.
    """

    bars: np.ndarray
    kit: Kit


class Selection:
    """Tells the bars that are taken from those that are not, batch after batch.

    A loop, which is a bar or a phrase, is taken where each of its bars meets all criteria in every kit; with
    ``unique`` only where no earlier loop that met them has the same cells in any of the kits. What is taken does not
    depend on the batches.

    64 bits stand for the cells of a loop: of a million loops one is left out for a hash that is another's with a
    chance of 3 in 10^8, and none is ever taken twice.
    """

    def __init__(self, criteria: Sequence[Criterion], unique: bool) -> None:
        self._criteria = criteria
        self._unique = unique
        self._seen: dict[str, np.ndarray] = {}

    def take(self, views: Sequence[View]) -> np.ndarray:
        """Which of the next n loops are taken: (n,) bool.

        Args:
            views: the same loops in each of the kits.

        Raises:
            ValueError: a feature that the grid has not.
        """
        taken: np.ndarray = np.logical_and.reduce([self._meets(view) for view in views])
        if self._unique:
            places = np.flatnonzero(taken)
            news = [self._is_new(View(view.bars[places], view.kit)) for view in views]
            taken[places] = np.logical_and.reduce(news)
        return taken

    def _meets(self, view: View) -> np.ndarray:
        """(n,) bool: whether each bar of a loop meets all criteria."""
        n, n_bars = view.bars.shape[:2]
        meets = np.ones(n * n_bars, bool)
        names = list(dict.fromkeys(criterion.feature for criterion in self._criteria))
        values = measure(view.bars.reshape(-1, *view.bars.shape[2:]), view.kit, names)
        for criterion in self._criteria:
            # a tensor of float32 takes the number as one: .8 is .8
            meets &= OPERATORS[criterion.operator](values[criterion.feature], criterion.number).numpy()
        return np.asarray(meets.reshape(n, n_bars).all(1))

    def _is_new(self, view: View) -> np.ndarray:
        """(n,) bool: whether no loop before it has the same cells."""
        hashes = hash_loops(view.bars)
        seen = self._seen.get(view.kit.name, np.zeros(0, np.uint64))
        is_new = np.zeros(len(hashes), bool)
        is_new[np.unique(hashes, return_index=True)[1]] = True  # the first of each in this batch
        places = np.searchsorted(seen, hashes)
        inside = places < len(seen)
        is_new[inside] &= seen[places[inside]] != hashes[inside]
        added = np.sort(hashes[is_new])
        self._seen[view.kit.name] = np.insert(seen, np.searchsorted(seen, added), added)
        return is_new


def hash_loops(bars: np.ndarray) -> np.ndarray:
    """A hash of the cells of each loop (n, bars, steps, parts) bool: (n,) uint64, the same on every machine."""
    packed = np.packbits(bars.reshape(len(bars), math.prod(bars.shape[1:])), axis=1)
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    hashes = np.zeros(len(bars), np.uint64)
    with np.errstate(over="ignore"):
        for words in np.ascontiguousarray(packed).view("<u8").T:
            hashes = mix((hashes ^ words) + np.uint64(1))
    return hashes


class Search:
    """The seeds of a dump: from the first on, those whose loops are taken, until there are enough.

    It is over when n are found, or when too many in a row are not taken. That does not depend on the batches.

    Attributes:
        found: seeds that were taken.
        last: the last of them; before there is any the one before the first that is tried.
        in_vain: seeds after it that were tried, once it is over.
        is_over: whether no more are to be tried.
    """

    def __init__(self, first: int, n: int, tries: int) -> None:
        """
        Args:
            first: the seed that is tried first.
            n: how many are wanted.
            tries: seeds in a row that may be tried without taking one.
        """
        self._first, self._n, self._tries = first, n, tries
        self.found = 0
        self.last = first - 1
        self.in_vain = 0
        self.is_over = False

    @property
    def tried(self) -> int:
        """Seeds that were tried, up to the last that was taken or with those after it."""
        return self.last - self._first + 1 + self.in_vain

    def take(self, seeds: range, fits: np.ndarray) -> np.ndarray:
        """The places (m,) of the seeds that are taken, among these next ones.

        Args:
            seeds: the next ones.
            fits: (n,) bool, which of them have loops to take.
        """
        places = np.flatnonzero(fits)[: self._n - self.found]
        found = np.array(seeds, np.int64)[places]
        too_far = np.flatnonzero(np.diff(found, prepend=self.last) > self._tries)
        if len(too_far):
            places = places[: too_far[0]]
        if len(places):
            self.last = seeds[int(places[-1])]
        self.found += len(places)
        self.in_vain = min(seeds[-1] - self.last, self._tries) if self.found < self._n else 0
        self.is_over = self.found == self._n or self.in_vain == self._tries
        return places
