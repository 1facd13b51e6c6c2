"""Morphs: ways from one bar to another on which little changes at a time and every frame is a bar of its own."""

from __future__ import annotations

import math

import numpy as np
import torch

from rhythmgan.features.metrical import metrical_weights
from rhythmgan.generate.naturalness import Naturalness, naturalness_of
from rhythmgan.models.interfaces import LatentCritic

LEAST_LIMIT = 3
"""Cells that may change on a step of any morph."""

_BEAM = 4
"""Sets of lines that are followed at a time while the order of the lines is searched for."""
_EXCESS_COEF = 0.5
_DENSITY_COEF = 0.5
_COST_DECIMALS = 9
"""Costs are rounded, so that equal ones are equal on every machine."""


def most_changes(distance: int, frames: int) -> int:
    """The cells that may change on a step: half as many again as on an even way, and always ``LEAST_LIMIT``.

    Args:
        distance: cells in which the ends differ.
        frames: of the way, both ends included, at least 2.
    """
    return max(LEAST_LIMIT, math.ceil(3 * distance / (2 * (frames - 1))))


def morph(model: LatentCritic, starts: np.ndarray, ends: np.ndarray, frames: int) -> np.ndarray:
    """Ways through bars from each start to its end, on which few cells change at a time.

    The cells in which the ends differ change, each once. On no step more of them change than ``most_changes`` says.
    Where they are at least as many as the steps, something changes on each step; where they are fewer, one cell
    changes at a time, at even distances. A way depends on nothing but the model and its ends; ``natural_way`` says how
    it is found.

    Args:
        model: knows natural bars.
        starts, ends: (n, steps, parts) bool, of the model's kit and grid.
        frames: of a way, both ends included, at least 2.

    Returns:
        (n, frames, steps, parts) bool.

    Raises:
        ValueError: fewer than 2 frames, or bars that are not the model's.
    """
    if frames < 2:
        raise ValueError(f"a path has 2 frames or more, not {frames}")
    if len(starts) != len(ends):
        raise ValueError(f"there are {len(starts)} starts and {len(ends)} ends")
    shape = (model.steps, model.kit.n_parts)
    for bars in (starts, ends):
        if bars.dtype != bool or bars.ndim != 3 or bars.shape[1:] != shape:
            raise ValueError(f"expected bars (n, {shape[0]}, {shape[1]}) bool; got {bars.dtype} {bars.shape}")
    naturalness = naturalness_of(model)
    ways = np.empty((len(starts), frames, *shape), bool)
    for way, start, end in zip(ways, starts, ends, strict=True):
        way[:] = natural_way(naturalness, start, end, frames)
    return ways


def natural_way(naturalness: Naturalness, start: np.ndarray, end: np.ndarray, frames: int) -> np.ndarray:
    """A way whose bars are about as natural as its ends.

    The parts change one after the other, each as a whole: the hat of one bar over the kick of another makes a bar,
    half of one hat and half of another do not. Within a part the weak steps change first (``cell_order``). A beam
    search chooses the order of the parts; all bars on the way, one cell apart, count in this choice. Then those that
    become frames are chosen among them by dynamic programming, within the limits of ``morph``.

    A bar costs what it lacks in naturalness beside the straight line between the ends; ``_EXCESS_COEF`` times what it
    has in excess, for bars that are all more ordinary than the ends are unlike samples too; and ``_DENSITY_COEF`` times
    the squared distance of its density from the straight line.

    Args:
        naturalness: of single bars.
        start, end: (steps, parts) bool.
        frames: at least 2.

    Returns:
        (frames, steps, parts) bool.
    """
    search = _Search(naturalness, start, end)
    return search.frames_along(search.best_order(), frames)


def cell_order(differs: np.ndarray) -> dict[int, list[int]]:
    """The order in which the cells of each part change: from the metrically weak steps to the strong ones.

    Args:
        differs: (steps, parts) bool, the cells that change.

    Returns:
        For each part that changes its cells, numbered as in a flat bar.
    """
    steps, n_parts = differs.shape
    order = np.argsort(metrical_weights(steps), kind="stable")
    return {
        part: (order[differs[order, part]] * n_parts + part).tolist()
        for part in np.flatnonzero(differs.any(0)).tolist()
    }


class _Search:
    """The search for a way from ``start`` to ``end``, both (steps, parts) bool."""

    def __init__(self, naturalness: Naturalness, start: np.ndarray, end: np.ndarray) -> None:
        self.naturalness = naturalness
        self.shape = start.shape
        self.start = start.reshape(-1)
        self.lines = cell_order(start ^ end)
        self.distance = int((start ^ end).sum())
        ends = np.stack([self.start, end.reshape(-1)])
        self.ends_natural, self.ends_density = self._natural(ends), ends.sum(1)

    def _natural(self, bars: np.ndarray) -> np.ndarray:
        """How natural bars (n, cells) bool are: (n,) float64."""
        with torch.no_grad():
            return self.naturalness(torch.from_numpy(bars.reshape(-1, *self.shape)).double()).numpy()

    def _cost(self, natural: np.ndarray, density: np.ndarray, done: np.ndarray | float) -> np.ndarray:
        """The cost of bars (n,); ``done`` is the share of the way that lies behind a bar, 0 to 1."""
        lack = self.ends_natural[0] * (1 - done) + self.ends_natural[1] * done - natural
        surplus = density - (self.ends_density[0] * (1 - done) + self.ends_density[1] * done)
        cost = np.maximum(lack, 0) + _EXCESS_COEF * np.maximum(-lack, 0) + _DENSITY_COEF * np.square(surplus)
        return np.round(cost, _COST_DECIMALS)

    def best_order(self) -> list[int]:
        """The cells in which the ends differ in the order in which they change.

        The bar after some parts depends on which they are, not on their order. So of several orders of the same parts
        only the best is followed.
        """
        beam: dict[frozenset[int], tuple[float, list[int]]] = {frozenset(): (0.0, [])}
        for _ in self.lines:
            options = [
                (changed | {part}, cost, cells, line)
                for changed, (cost, cells) in beam.items()
                for part, line in self.lines.items()
                if part not in changed
            ]
            bars = [self._bars_along([*cells, *line])[len(cells) + 1 :] for _, _, cells, line in options]
            done = [np.arange(len(cells), len(cells) + len(line)) + 1 for _, _, cells, line in options]
            every = np.concatenate(bars)
            costs = self._cost(self._natural(every), every.sum(1), np.concatenate(done) / self.distance)
            firsts = np.cumsum([0, *map(len, bars)])[:-1]
            found: dict[frozenset[int], tuple[float, list[int]]] = {}
            for (changed, cost, cells, line), added in zip(options, np.add.reduceat(costs, firsts), strict=True):
                total = round(cost + float(added), _COST_DECIMALS)
                if changed not in found or total < found[changed][0]:
                    found[changed] = total, [*cells, *line]
            beam = dict(sorted(found.items(), key=lambda entry: entry[1][0])[:_BEAM])
        ((_, best),) = beam.values()
        return best

    def _bars_along(self, order: list[int]) -> np.ndarray:
        """The bars while cells change in an order, the start first: (len(order) + 1, cells) bool."""
        bars = np.tile(self.start, (len(order) + 1, 1))
        bars[:, order] ^= np.tri(len(order) + 1, len(order), -1, dtype=bool)
        return bars

    def frames_along(self, order: list[int], frames: int) -> np.ndarray:
        """Those of the bars along an order that cost least as frames, (frames, steps, parts) bool."""
        bars, distance = self._bars_along(order), len(order)
        steps = frames - 1
        if distance < steps:  # a change on some steps, as evenly as can be
            return bars[(2 * np.arange(frames) * distance + steps) // (2 * steps)].reshape(frames, *self.shape)
        changes = np.arange(1, min(most_changes(distance, frames), distance) + 1)
        natural, density = self._natural(bars), bars.sum(1)
        # at each frame, for each bar along the order: the least cost so far, and the bar before it
        least = np.where(np.arange(distance + 1) == 0, 0, np.inf)
        before = np.arange(distance + 1)[:, None] - changes
        came_from = np.empty((frames, distance + 1), int)
        for frame in range(1, frames):
            options = np.where(before >= 0, least[before], np.inf)
            best = options.argmin(1)
            came_from[frame] = before[np.arange(distance + 1), best]
            least = options.min(1) + self._cost(natural, density, frame / steps)
        places = [distance]
        for frame in range(steps, 0, -1):
            places.append(came_from[frame, places[-1]])
        return bars[places[::-1]].reshape(frames, *self.shape)
