"""The shape of a rhythm: repetition, evenness, balance and variability."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.features.lines import cells_of, steps_first, steps_to_next


def repetition(bars: Tensor | np.ndarray) -> Tensor:
    """How much of the bar's first half comes again in its second, 0 … 1, as jaki's symmetry.

    2 · cells that sound in both halves / onsets; 0 of an empty bar. Any grid.
    """
    cells = cells_of(bars)
    half = cells.shape[1] // 2
    both = (cells[:, :half] & cells[:, half:]).sum((1, 2))
    return (2 * both).float() / cells.sum((1, 2)).clamp(min=1)


def evenness(line: Tensor | np.ndarray) -> Tensor:
    """How evenly the onsets t_k are spread, 0 … 1 (Milne & Dean 2016): |Σ_k exp 2πi (t_k / T − k / K)| / K.

    1 where all intervals are equal; 0 for silence. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    return _resultant(line, _turn_off_even(line)) / line.sum(0).clamp(min=1)


def _turn_off_even(line: Tensor) -> Tensor:
    """(steps, n): how far the k-th onset is from the k-th of as many even ones, in turns; float64."""
    number = (line.cumsum(0) - 1).double()
    return _turns(line) - number / line.sum(0).clamp(min=1)


def cosine_evenness(line: Tensor | np.ndarray) -> Tensor:
    """The shortcut to evenness that rhythmtoolbox takes (Gómez-Marín et al. 2020), 0 … 1, to compare with its numbers.

    The mean over onsets of |cos 2π ((t_k − t_0) / T − k / K)|; 0 for silence. It agrees with ``evenness``
    where all intervals are equal. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    onsets = line.sum(0)
    turn = _turn_off_even(line)
    first = torch.where(line & (line.cumsum(0) == 1), turn, 0).sum(0)
    return (line * (2 * np.pi * (turn - first)).cos().abs()).sum(0) / onsets.clamp(min=1)


def balance(line: Tensor | np.ndarray) -> Tensor:
    """How near the onsets' centre of gravity on the circle is to its centre, 0 … 1 (Milne & Herff 2020).

    1 − |Σ_k exp 2πi t_k / T| / K; 1 for silence. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    return 1 - _resultant(line, _turns(line)) / line.sum(0).clamp(min=1)


def _turns(line: Tensor) -> Tensor:
    """(steps, 1): how far round the circle each step is; float32, whatever torch's default is."""
    steps = line.shape[0]
    return torch.arange(steps, dtype=torch.float32, device=line.device)[:, None] / steps


def _resultant(line: Tensor, turn: Tensor) -> Tensor:
    """Length of the sum of unit vectors at these turns of the circle, over the onsets of a line (steps, n)."""
    angle = 2 * np.pi * turn.double()
    return ((line * angle.cos()).sum(0).square() + (line * angle.sin()).sum(0).square()).sqrt()


def npvi(line: Tensor | np.ndarray) -> Tensor:
    """Normalised pairwise variability of the intervals, 0 … 200 (Grabe & Low 2002; Toussaint 2013).

    100 × the mean over neighbouring intervals of |a − b| / ((a + b) / 2). There are as many intervals as onsets,
    the last one into the next bar; it and the next bar's first are not compared. 0 below two onsets. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    steps = line.shape[0]
    gap = steps_to_next(line).long()
    after = (torch.arange(steps, device=line.device)[:, None] + gap) % steps
    neighbour = gap.gather(0, after)
    is_last = line & (line.flip(0).cumsum(0).flip(0) == 1)
    contrast = 2 * (gap - neighbour).abs().float() / (gap + neighbour)
    return 100 * (line * ~is_last * contrast).sum(0) / (line.sum(0) - 1).clamp(min=1)
