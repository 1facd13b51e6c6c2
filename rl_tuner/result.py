"""What steering has found: bars, what they came to, how they are played, and a sentence of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rhythmgan.features import LEVELS, measure_performance, with_swung_bars
from rhythmgan.kit import Kit
from rhythmgan.performance import Performance

SWING_TOLERANCE = 0.01
"""How near to its target a swing counts as reached."""

_CHUNK = 1024
"""Bars whose performance is in memory at a time."""


@dataclass
class SteeringResult:
    """Bars that were steered, and what they came to: N of them, version after version of a loop of ``loop`` bars.

    Attributes:
        features: names of what was steered, F of them.
        targets: (N, F).
        importance: (N, F), 0 where a feature was skipped.
        tolerance: (F,), how near is near enough.
        before: (N, steps, parts) bool, the bars that were given, again for each version; None where none were.
        after: (N, steps, parts) bool, what was found.
        locked: (N, steps, parts) bool, cells that were to stay; None where no bars were given.
        z: (N, latent_dim) float32, their latent points.
        values: (N, F), their features.
        terms: their terms by name, each (N,): ``match``, ``success`` and those of ``rewards.BAR_TERMS``.
        calls: (N,), bars that the generator decided for each, in full or in part.
        kit: what the parts of the bars are.
        loop: bars of a version; 1 where no bars were given.
        taught: whether the agent had learnt to steer these features; else its read-out alone did.
        swing: features of ``PERFORMANCE_FEATURES`` that were asked for, and their targets.
        played: how the given bars are played, a loop of them; None for accents on the grid.
    """

    features: tuple[str, ...]
    targets: np.ndarray
    importance: np.ndarray
    tolerance: np.ndarray
    before: np.ndarray | None
    after: np.ndarray
    locked: np.ndarray | None
    z: np.ndarray
    values: np.ndarray
    terms: dict[str, np.ndarray]
    calls: np.ndarray
    kit: Kit
    loop: int = 1
    taught: bool = True
    swing: dict[str, float] = field(default_factory=dict)
    played: Performance | None = None

    @property
    def bars(self) -> np.ndarray:
        """The bars that were found, (N, steps, parts) bool."""
        return self.after

    @property
    def n_versions(self) -> int:
        """Versions of the loop."""
        return len(self.after) // self.loop

    @property
    def success(self) -> np.ndarray:
        """Whether each has its targets, within the tolerance of each: (N,) bool.

        A swing that was asked for is one of them, where a bar has off-beats that could have it.
        """
        reached = self._on_grid
        for name, values in self.swing_reached().items():
            reached = reached & ~(np.abs(values - self.swing[name]) > SWING_TOLERANCE)  # NaN misses nothing
        return reached

    @property
    def _on_grid(self) -> np.ndarray:
        return self.terms["success"] > 0

    @property
    def changed(self) -> np.ndarray:
        """The cells that are other than in the given bars, (N, steps, parts) bool.

        Raises:
            ValueError: no bars were given.
        """
        if self.before is None:
            raise ValueError("no bars were given that cells could differ from")
        return self.before ^ self.after

    def performance_before(self, places: np.ndarray) -> Performance:
        """How the given bars of these rows are played.

        Raises:
            ValueError: no bars were given.
        """
        if self.before is None:
            raise ValueError("no bars were given")
        if self.played is None:
            return Performance.of(self.before[places], self.kit)
        return self.played[places % self.loop]

    def performance(self, places: np.ndarray | None = None) -> Performance:
        """How the bars that were found are played: cells that stay as before, but for a swing that was asked for.

        Locked cells keep their time whatever is asked for.

        Args:
            places: (m,) ints, of which rows; of all by default.
        """
        places = np.arange(len(self.after)) if places is None else places
        after = self.after[places]
        found = Performance.of(after, self.kit) if self.before is None else self.performance_before(places)
        for name, target in self.swing.items():
            found = with_swung_bars(found, after, target, LEVELS[name])
        if not self.swing:
            return found.with_bars(after)
        if self.locked is None:
            return found
        offsets = np.where(self.locked[places], self.performance_before(places).offsets, found.offsets)
        return replace(found, offsets=offsets)

    def swing_reached(self) -> dict[str, np.ndarray]:
        """What ``performance`` measures of the swing that was asked for: (N,) each, NaN for bars without off-beats."""
        n = len(self.after)
        parts = [
            measure_performance(self.performance(np.arange(i, min(i + _CHUNK, n))), list(self.swing))
            for i in range(0, n, _CHUNK)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in self.swing}

    def sentence(self) -> str:
        """What came of it, in words."""
        said = [self._found()]
        if self.swing:
            swings = []
            for name, values in self.swing_reached().items():
                n, n_reached = len(values), int((np.abs(values - self.swing[name]) <= SWING_TOLERANCE).sum())
                n_without = int(np.isnan(values).sum())
                shares = [f"{n_reached} of {n}"] if n_reached < n else []
                shares += [f"{n_without} without such off-beats"] if n_without else []
                swings.append(f"{name} {self.swing[name]:.3g}" + (f" ({', '.join(shares)})" if shares else ""))
            said.append(f"with {' and '.join(swings)}")
        if self.before is not None:
            cells = self.changed.sum((1, 2))
            low, high = int(cells.min()), int(cells.max())
            counted = f"{low} cell{'s' * (low != 1)}" if low == high else f"{low} to {high} cells"
            said.append(f"{counted} of {'the' if len(cells) == 1 else 'a'} bar changed" if high else "no cell changed")
        return "; ".join(said)

    def _found(self) -> str:
        """What was found on the grid, in words."""
        n, n_reached = len(self.after), int(self._on_grid.sum())
        asked = [i for i in range(len(self.features)) if self.importance[0, i] > 0]
        bars = "bar" if n == 1 else "bars"
        if not asked:
            return f"{n} {bars}: as {'it was' if n == 1 else 'they were'}"
        wanted = " and ".join(
            f"{self.features[i]} {self.targets[0, i]:.4g} ± {self.tolerance[i]:.2g}"
            if (self.targets[:, i] == self.targets[0, i]).all()
            else f"{'its' if n == 1 else 'their'} {self.features[i]} ± {self.tolerance[i]:.2g}"
            for i in asked
        )
        if n_reached == n:
            return f"{n} {bars}: {'it has' if n == 1 else 'all have'} {wanted}"
        if n_reached:
            return f"{n_reached} of {n} {bars} reached {wanted}; the others are the nearest found"
        nearest = int(self.terms["match"].argmax())
        has = " and ".join(f"{self.features[i]} {self.values[nearest, i]:.4g}" for i in asked)
        return f"no bar with {wanted} was found: the nearest has {has}"
