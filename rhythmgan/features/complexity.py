"""How complex a rhythm is to whoever looks for a regular beat in it: the clocks of Povel & Essens (1985)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features.lines import steps_first

SILENT_TICK = 4
"""What a tick of the clock on a silent step counts; one on an unaccented onset counts 1 (Essens 1995)."""

_CLOCK_SHARE = 0.75
"""Share of the clock's score in the complexity; the coding has the rest."""

_EMPTY, _EQUAL, _UNEQUAL, _LATE = 0, 1, 5, 5
"""What a segment costs to code: without an onset, divided equally, unequally, or beginning with a rest."""

_CHANGE = 4
"""What it costs that a segment is not as the one before it."""


def accents(line: Tensor | np.ndarray) -> Tensor:
    """Which onsets stand out: (n, steps) bool (Povel & Okkerman 1981).

    Onsets on neighbouring steps are a cluster. One alone stands out, and so does the second of two, and the first and
    the last of three or more. Around the bar; of a bar full of onsets none does.

    Raises:
        ValueError: another shape or grid; so do all below.
    """
    return _accents(steps_first(line)).T


def clock_score(line: Tensor | np.ndarray) -> Tensor:
    """How badly the best clock fits: 4 for each of its ticks on a silent step, 1 on an unaccented onset; (n,) int64.

    A clock ticks every two steps or more, up to a beat, as far as these divide it, and may begin on any step
    (Povel & Essens 1985; Essens 1995). From 0: all its ticks are accented. 0 for silence.
    """
    cells = steps_first(line)
    return _best_clock(cells)[0] * cells.any(0)


def shmulevich_povel(line: Tensor | np.ndarray) -> Tensor:
    """Complexity of a line: that of its best clock, and of coding what lies between its ticks (n,), from 0.

    The third measure of Shmulevich & Povel 2000: λ · C + (1 − λ) · (Σ cost of each segment + d · segments that are not
    as the one before), C being ``clock_score``. The clock is the one with the lowest score, among equal ones the
    slowest, then the one that begins first; a segment is what lies from one tick to the next, around the bar. It costs
    least where it is empty, more where its onsets divide it equally, most where they divide it unequally or where it
    begins with a rest. λ = .75, the costs 0, 1, 5, 5 and d = 4 are ours: whole numbers that go with what their 35
    rhythms were judged to be (correlation .80; that of C alone is .77). 0 for silence. Any grid, but the value is the
    grid's: clusters are of its neighbouring steps.
    """
    cells = steps_first(line)
    score, index = _best_clock(cells)
    code = torch.stack([_code(cells, *clock) for clock in _clocks(len(cells))]).gather(0, index[None])[0]
    return (_CLOCK_SHARE * score + (1 - _CLOCK_SHARE) * code) * cells.any(0)


def _clocks(steps: int) -> list[tuple[int, int]]:
    """(steps between ticks, first tick) of every clock, slow ones first."""
    beat = steps // BEATS
    return [(unit, first) for unit in range(beat, 1, -1) if beat % unit == 0 for first in range(unit)]


def _accents(cells: Tensor) -> Tensor:
    """Accents (steps, n) of cells (steps, n) bool."""
    begins, ends = cells & ~cells.roll(1, 0), cells & ~cells.roll(-1, 0)
    is_first_of_two = begins & ends.roll(-1, 0) & ~ends
    return (begins | ends) & ~is_first_of_two


def _best_clock(cells: Tensor) -> tuple[Tensor, Tensor]:
    """The score (n,) and the index (n,) in ``_clocks`` of the best clock of each line (steps, n)."""
    cost = SILENT_TICK * ~cells + (cells & ~_accents(cells)).long()
    scores = torch.stack([cost[first::unit].sum(0) for unit, first in _clocks(len(cells))])
    best = scores.amin(0)
    # of equal ones the first: argmin does not promise it
    order = torch.arange(len(scores), device=cells.device)[:, None]
    return best, torch.where(scores == best, order, len(scores)).amin(0)


def _code(cells: Tensor, unit: int, first: int) -> Tensor:
    """What it costs (n,) to code lines (steps, n) between the ticks of a clock."""
    segments = cells.roll(-first, 0).reshape(-1, unit, cells.shape[1])
    onsets = segments.sum(1)
    is_equal = torch.zeros_like(onsets, dtype=torch.bool)
    for parts in (parts for parts in range(1, unit + 1) if unit % parts == 0):
        equal = torch.arange(unit, device=cells.device) % (unit // parts) == 0
        is_equal |= (segments == equal[:, None]).all(1)
    cost = torch.where(is_equal, _EQUAL, torch.where(segments[:, 0], _UNEQUAL, _LATE))
    changes = (segments != segments.roll(1, 0)).any(1).sum(0)
    return torch.where(onsets == 0, _EMPTY, cost).sum(0) + _CHANGE * changes
