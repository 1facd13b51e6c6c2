"""What is asked for on the Steer tab, in numbers for each bar, bounded by what goes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_FEW = 40
"""Bars around a density that say which syncopations it goes with."""

_RARE = 1.0
"""Per cent of bars at either end that say nothing of what goes together."""


@dataclass(frozen=True)
class Together:
    """Density and syncopation of many bars, which say what goes together.

    Attributes:
        density, syncopation: (n,) each, n at least 40.
    """

    density: np.ndarray
    syncopation: np.ndarray

    @property
    def densities(self) -> tuple[int, int]:
        """The least and the largest density that is not rare."""
        return _usual(self.density)

    def syncopations(self, density: float | None = None) -> tuple[int, int]:
        """The least and the largest syncopation that is not rare, of the bars of about this density, or of all."""
        if density is None:
            return _usual(self.syncopation)
        far = np.abs(self.density - density)
        return _usual(self.syncopation[far <= max(1, np.partition(far, _FEW - 1)[_FEW - 1])])


def _usual(values: np.ndarray) -> tuple[int, int]:
    low, high = np.percentile(values, [_RARE, 100 - _RARE])
    return int(np.floor(low)), int(np.ceil(high))


@dataclass(frozen=True)
class Start:
    """What steering starts from: a loop of m bars.

    Attributes:
        cells: (m, steps, parts) bool.
        values: density and syncopation by name, (m,) each.
        locked: (m, steps, parts) bool, which cells never change.
    """

    cells: np.ndarray
    values: Mapping[str, np.ndarray]
    locked: np.ndarray

    def own(self, name: str) -> int:
        """What it has of a feature: the mean of its bars, as a whole number."""
        return round(float(self.values[name].mean()))

    def offered(self, name: str, together: Together, density: Sequence[float] | None) -> tuple[int, int]:
        """The least and the most that can be asked for: what goes together, and always what it has.

        Args:
            name: the feature, density or syncopation.
            together: what goes together.
            density: the density that each bar is to have; None where it is left open.
        """
        low, high = self._limits(name, together, density)
        return round(float(low.mean())), round(float(high.mean()))

    def targets(self, name: str, wanted: float, together: Together, density: Sequence[float] | None) -> list[float]:
        """The target of each bar; see ``offered``.

        All bars that may change move by as much, within what goes together, so that they differ from each other as
        before. Locked bars have what they have.
        """
        moved = np.clip(self.values[name] + (wanted - self.own(name)), *self._limits(name, together, density))
        return [float(value) for value in np.where(self.locked.all((1, 2)), self.values[name], moved)]

    def _limits(self, name: str, together: Together, density: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
        """What each bar can be asked for: (m,) each."""
        if name == "density":
            pairs = [together.densities] * len(self.cells)
        elif density is None:
            pairs = [together.syncopations()] * len(self.cells)
        else:
            pairs = [together.syncopations(each) for each in density]
        low, high = np.array(pairs, float).T
        if name == "density":
            stay = (self.cells & self.locked).sum((1, 2))
            low, high = np.maximum(low, stay), np.minimum(high, stay + (~self.locked).sum((1, 2)))
        return np.minimum(low, self.values[name]), np.maximum(high, self.values[name])
