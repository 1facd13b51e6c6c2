"""Morphs: ways from one bar to another on which little changes at a time and every frame is a bar of its own."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from rhythmgan.generate.naturalness import Naturalness, naturalness_of
from rhythmgan.models.interfaces import DenoisingModel

LEAST_LIMIT = 3
"""Cells that may change on a step of any morph."""

_ROUNDS = 20
_PATIENCE = 2
"""Rounds in a row without a move after which a search ends."""
_CANDIDATES = 6
"""Moves of a way that are tried in a round."""
_DENSITY_COEF = 0.1
_CHANGE_COEF = 0.05
_LEAST_GAIN = 1e-4
_GAIN_DECIMALS = 9
"""Gains are rounded, so that equal ones are equal on every machine."""
_BATCH = 256
"""Ways that are searched side by side."""


def most_changes(distance: int, frames: int) -> int:
    """The cells that may change on a step: half as many again as on an even way, and always ``LEAST_LIMIT``.

    Args:
        distance: cells in which the ends differ.
        frames: of the way, both ends included, at least 2.
    """
    return max(LEAST_LIMIT, math.ceil(3 * distance / (2 * (frames - 1))))


def morph(model: DenoisingModel, starts: np.ndarray, ends: np.ndarray, frames: int) -> np.ndarray:
    """Ways through bars from each start to its end, on which few cells change at a time.

    On no step more cells change than ``most_changes`` says. Where the ends differ in as many cells as there are
    steps, something changes on each.

    A way begins as the cells in which the ends differ, changed one after the other and spread evenly. Then it is
    improved, round by round. A move flips one cell in some frames in a row: so a change comes earlier or later, or a
    cell that both ends share is different for a while. The move is taken if it lowers the sum over the frames of how
    much less natural a frame is than the straight line between the ends, plus ``_DENSITY_COEF`` times the squared
    distance of its density from the straight line, plus ``_CHANGE_COEF`` for each cell that changes on a step. In a
    round all moves are estimated by the gradient of naturalness (as Grathwohl et al. 2021 do), the best
    ``_CANDIDATES`` are measured, and those of them that help and lie apart are taken. A naturalness that a frame has in
    excess counts nothing: or the frames would all become the most ordinary bar. The ways depend on nothing but the
    model and the ends.

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
    ways = [np.empty((0, frames, *starts.shape[1:]), bool)]
    for first in range(0, len(starts), _BATCH):
        rows = slice(first, first + _BATCH)
        ways.append(natural_ways(naturalness, even_ways(starts[rows], ends[rows], frames)))
    return np.concatenate(ways)


def even_ways(starts: np.ndarray, ends: np.ndarray, frames: int) -> np.ndarray:
    """Ways on which the cells in which the ends differ change one after the other, spread evenly.

    Onsets come and go in turn, so that the density goes straight. The order is otherwise one that scatters the cells
    over the bar.

    Args:
        starts, ends: (n, steps, parts) bool.
        frames: at least 2.

    Returns:
        (n, frames, steps, parts) bool.
    """
    n, shape = len(starts), starts.shape[1:]
    before, after = starts.reshape(n, -1), ends.reshape(n, -1)
    scattered = np.arange(before.shape[1]) * _GOLDEN % 1
    place = np.zeros(before.shape)  # of each cell in the order of the changes, 0 … 1
    for changes in (~before & after, before & ~after):
        rank = np.where(changes, scattered, np.inf).argsort(1, kind="stable").argsort(1, kind="stable")
        place = np.where(changes, (rank + 0.5) / np.maximum(changes.sum(1, keepdims=True), 1), place)
    differs = before ^ after
    rank = np.where(differs, place, np.inf).argsort(1, kind="stable").argsort(1, kind="stable")
    steps = frames - 1
    done = (2 * np.arange(frames) * differs.sum(1, keepdims=True) + steps) // (2 * steps)  # rounded to whole cells
    changed = differs[:, None] & (rank[:, None] < done[..., None])
    ways: np.ndarray = (before[:, None] ^ changed).reshape(n, frames, *shape)
    return ways


_GOLDEN = (math.sqrt(5) - 1) / 2


def natural_ways(naturalness: Naturalness, ways: np.ndarray) -> np.ndarray:
    """Ways moved, within the limits of ``morph``, until their frames are about as natural as their ends; see there.

    Args:
        naturalness: of single bars.
        ways: (n, frames, steps, parts) bool, within the limits.

    Returns:
        (n, frames, steps, parts) bool with the same ends.
    """
    search = _Search(naturalness, ways)
    if ways.shape[1] > 2 and len(ways):
        idle = 0
        for _ in range(_ROUNDS):
            idle = 0 if search.improve() else idle + 1
            if idle == _PATIENCE:
                break
    return search.cells.numpy().reshape(ways.shape)


class _Search:
    """Ways while they are improved. Inner frames and the moves that begin or end at them are counted from 0.

    Attributes:
        cells: (n, frames, cells) bool.
    """

    def __init__(self, naturalness: Naturalness, ways: np.ndarray) -> None:
        n, frames, *self.shape = ways.shape
        self.naturalness = naturalness
        self.cells = torch.from_numpy(ways.reshape(n, frames, -1)).clone()
        distance = (self.cells[:, 0] ^ self.cells[:, -1]).sum(1)
        self.most = torch.tensor([most_changes(int(each), frames) for each in distance]).view(n, 1, 1)
        self.least = (distance >= frames - 1).long().view(n, 1, 1)
        along = torch.linspace(0, 1, frames, dtype=torch.float64)[1:-1]
        density = self.cells[:, [0, -1]].sum(2).double()
        with torch.no_grad():
            ends = naturalness(self.cells[:, [0, -1]].reshape(-1, *self.shape).double()).view(n, 2)
        self.density = density[:, :1] * (1 - along) + density[:, 1:] * along
        self.wanted = ends[:, :1] * (1 - along) + ends[:, 1:] * along
        self.tried = torch.zeros(n, frames - 2, self.cells.shape[2], dtype=torch.bool)

    def improve(self) -> bool:
        """One round; whether a way moved."""
        inner = self.cells[:, 1:-1]
        n, _, n_cells = inner.shape
        lack, gradient = self._lack_with_gradient(inner)
        surplus = inner.sum(2) - self.density
        side = 1 - 2 * inner.double()  # what a flip adds to the density
        gain = -gradient * side - _DENSITY_COEF * (2 * side * surplus[..., None] + 1)
        sums = pad(gain.cumsum(1), (0, 0, 1, 0))
        # a move adds a change to the steps at both of its sides, or takes one away
        differs = self.cells[:, 1:] ^ self.cells[:, :-1]
        changes, more = differs.sum(2)[..., None], 1 - 2 * differs.long()
        after = changes + more
        allowed = (after <= self.most) & ((after >= self.least) | (more > 0))
        begin = torch.where(allowed, sums + _CHANGE_COEF * more, torch.inf)[:, :-1]
        end = torch.where(allowed, sums - _CHANGE_COEF * more, -torch.inf)[:, 1:]
        least_before, best_begin = begin.cummin(1)
        estimate = (end - least_before).masked_fill(self.tried, -torch.inf)
        estimate = (estimate * 10**_GAIN_DECIMALS).round()
        best, index = estimate.view(n, -1).sort(dim=1, descending=True, stable=True)
        best, index = best[:, :_CANDIDATES], index[:, :_CANDIDATES]
        last, cell = index // n_cells, index % n_cells
        first = best_begin.view(n, -1).gather(1, index)
        self.tried.view(n, -1).scatter_(1, index, True)
        place = torch.arange(inner.shape[1])
        flipped = (place >= first[..., None]) & (place <= last[..., None]) & torch.isfinite(best)[..., None]
        cost = self._added_cost(flipped, cell, lack, surplus)
        rows = torch.arange(n)[:, None]
        cost = cost + _CHANGE_COEF * (more[rows, first, cell] + more[rows, last + 1, cell])
        moved = self._take(cost.masked_fill(~torch.isfinite(best), torch.inf), flipped, first, last, cell)
        self.tried[moved] = False
        return bool(moved.any())

    def _lack_with_gradient(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """How much less natural frames are than they should be (n, inner frames), and its gradient at their cells."""
        bars = inner.reshape(-1, *self.shape).double().requires_grad_(True)
        with torch.enable_grad():
            lack = (self.wanted.reshape(-1) - self.naturalness(bars)).relu()
            (gradient,) = torch.autograd.grad(lack.sum(), bars)
        return lack.detach().view(inner.shape[:2]), gradient.reshape(inner.shape)

    def _added_cost(self, flipped: Tensor, cell: Tensor, lack: Tensor, surplus: Tensor) -> Tensor:
        """What moves add to the cost of the frames (n, candidates).

        Args:
            flipped: (n, candidates, inner frames) bool, the frames in which each flips its cell.
            cell: (n, candidates), which one.
            lack, surplus: (n, inner frames), before the moves.
        """
        way, _, frame = flipped.nonzero(as_tuple=True)
        bars = self.cells[way, frame + 1]
        rows, cells = torch.arange(len(bars)), cell[..., None].expand(flipped.shape)[flipped]
        bars[rows, cells] ^= True
        with torch.no_grad():
            natural = self.naturalness(bars.view(-1, *self.shape).double())
        new_lack = (self.wanted[way, frame] - natural).relu() - lack[way, frame]
        new_surplus = bars.sum(1) - self.density[way, frame]
        cost = torch.zeros(flipped.shape, dtype=torch.float64)
        cost[flipped] = new_lack + _DENSITY_COEF * (new_surplus.square() - surplus[way, frame].square())
        return cost.sum(2)

    def _take(self, cost: Tensor, flipped: Tensor, first: Tensor, last: Tensor, cell: Tensor) -> Tensor:
        """Make the moves that lower the cost, best first, but none that touches a step of another; which ways moved."""
        n, _, n_inner = flipped.shape
        step = torch.arange(n_inner + 1)
        touched = torch.zeros(n, n_inner + 1, dtype=torch.bool)
        moved = torch.zeros(n, dtype=torch.bool)
        rows = torch.arange(n)
        order = (cost * 10**_GAIN_DECIMALS).round().argsort(dim=1, stable=True)
        for chosen in order.T:
            touches = (step >= first[rows, chosen, None]) & (step <= last[rows, chosen, None] + 1)
            good = (cost[rows, chosen] < -_LEAST_GAIN) & ~(touched & touches).any(1)
            touched |= touches & good[:, None]
            way, frame = (flipped[rows, chosen] & good[:, None]).nonzero(as_tuple=True)
            self.cells[way, frame + 1, cell[way, chosen[way]]] ^= True
            moved |= good
        return moved
