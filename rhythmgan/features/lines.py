"""Lines and bars as tensors: what the measures take, checked, and the lines that several parts make together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import GRIDS, check_steps, kit_of
from rhythmgan.kit import STREAMS, Kit


def as_tensor(values: Tensor | np.ndarray) -> Tensor:
    """A tensor of an array, sharing its memory where torch can."""
    if isinstance(values, Tensor):
        return values
    values = np.asarray(values)
    shared = values.flags.writeable and min(values.strides, default=0) >= 0
    return torch.from_numpy(values if shared else values.copy())


def streams(bars: Tensor | np.ndarray, kit: Kit | None = None) -> dict[str, Tensor]:
    """The three lines that syncopation is measured on, by name, each (n, steps).

    ``low`` is the kick, ``mid`` snare, toms and congas, ``high`` hats, ride, crash, shaker and bell: a line sounds
    where any of its parts does. Of bars with cells between 0 and 1 it is the chance that any does.
    """
    bars, kit = checked_bars(bars, kit)
    lines = {}
    for name in STREAMS:
        parts = [bars[..., index] for index in kit.parts_of(name)]
        line = parts[0]
        for part in parts[1:]:
            line = line | part if bars.dtype == torch.bool else line + part - line * part
        lines[name] = line
    return lines


def union(bars: Tensor | np.ndarray) -> Tensor:
    """The line of all parts together: (n, steps, parts) bool → (n, steps) bool.

    Raises:
        ValueError: another shape or grid; so do all below that take bars.
    """
    return cells_of(bars).any(-1)


def checked_bars(bars: Tensor | np.ndarray, kit: Kit | None) -> tuple[Tensor, Kit]:
    """The bars as a tensor of bools or floats, and their kit: that of as many parts where none is named.

    Raises:
        ValueError: another shape than (n, steps, parts of the kit), or no kit of so many parts.
    """
    bars = as_tensor(bars)
    kit = kit_of(bars, kit)
    if bars.ndim != 3 or bars.shape[-1] != kit.n_parts:
        raise ValueError(f"expected bars (n, steps, {kit.n_parts}) for kit {kit.name}; got {tuple(bars.shape)}")
    check_steps(bars.shape[1])
    return checked_chances(bars) if bars.is_floating_point() else as_bools(bars), kit


def checked_chances(cells: Tensor) -> Tensor:
    """Floats that are chances, otherwise a ValueError: velocities or logits would be taken for them."""
    if cells.numel() and not (float(cells.detach().min()) >= 0 and float(cells.detach().max()) <= 1):
        raise ValueError("cells that are floats are chances from 0 to 1")
    return cells


def cells_of(bars: Tensor | np.ndarray) -> Tensor:
    """The bars of any kit as a tensor of bools.

    Raises:
        ValueError: another shape than (n, steps, parts), or cells between 0 and 1.
    """
    bars = as_tensor(bars)
    if bars.ndim != 3 or bars.shape[1] not in GRIDS:
        grids = ", ".join(map(str, GRIDS))
        raise ValueError(f"expected bars (n, steps, parts), steps one of {grids}; got {tuple(bars.shape)}")
    return as_bools(bars)


def as_bools(cells: Tensor) -> Tensor:
    """Cells as bools.

    Raises:
        ValueError: floats that are not 0 or 1: only density and syncopation have a meaning for them.
    """
    if cells.is_floating_point() and not ((cells == 0) | (cells == 1)).all():
        raise ValueError("cells between 0 and 1 are taken by density and syncopation only")
    return cells if cells.dtype == torch.bool else cells != 0


def steps_first(line: Tensor | np.ndarray) -> Tensor:
    """A line as (steps, n) bool: with the bars innermost, each step of them is one stretch of memory.

    Raises:
        ValueError: another shape than (n, steps), or no grid that a bar may have.
    """
    line = as_tensor(line)
    if line.ndim != 2:
        raise ValueError(f"expected a line (n, steps); got {tuple(line.shape)}")
    check_steps(line.shape[1])
    return as_bools(line).T.contiguous()


def steps_to_next(line: Tensor) -> Tensor:
    """(steps, n) bool → (steps, n) int16: steps from each step to the next onset after it, at most ``steps``."""
    steps = line.shape[0]
    gap = torch.full(line.shape[1:], steps, dtype=torch.int16, device=line.device)
    gaps = torch.empty(line.shape, dtype=torch.int16, device=line.device)
    for step in reversed(range(2 * steps)):  # the first lap learns where the next bar's first onset is
        gaps[step % steps] = gap
        gap = torch.where(line[step % steps], 1, gap + 1)
    return gaps.clamp_(max=steps)
