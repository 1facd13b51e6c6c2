"""What lines are rewarded for: how they differ from the line that they answer, how complex they are, any feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.bars import GRIDS
from rhythmgan.features import FEATURES, shmulevich_povel
from rhythmgan.kit import GM9
from rl_tuner.toggle.lines import first_cells

DIFFERENCE, COMPLEXITY = "difference", "complexity"

TERMS = (DIFFERENCE, COMPLEXITY, *FEATURES)
"""Names of all terms."""

PARTS = GM9.names
"""What lines sound as: the one that is answered, then the answers in this order."""

MAX_LINES = len(PARTS) - 1
"""Lines that answer, at most."""

_BAR = 16
"""Steps of the bars that lines are cut into which no grid is as long as."""

_RANDOM_LINES = 4096
_FARTHEST = 3.0
"""Deviations from the mean of random lines that are worth 1."""


def difference(given: Tensor, lines: Tensor, steps: Tensor) -> Tensor:
    """By how much lines differ from the one that they answer: (n,), from −1, equal on all steps, to 1, on none.

    (Steps that differ − steps that are equal) / steps, the mean over the lines. So on 8 steps a toggle moves the
    difference of one line by .25.

    Args:
        given: (n, resolution) bool, the line that is answered.
        lines: (n, lines, resolution) bool, the answers.
        steps: (n,) ints, steps of all these; they stand where ``first_cells`` says.
    """
    is_step = first_cells(steps, given.shape[1])[:, None]
    differs = (lines ^ given[:, None]) & is_step
    return 2 * differs.sum((1, 2)) / (steps * lines.shape[1]) - 1


class Terms:
    """The terms of a reward, by name: numbers of −1 … 1.

    ``difference`` is as it is; the others – ``complexity``, the mean of the answering lines' complexity by
    ``shmulevich_povel``, and every feature of ``FEATURES``, measured on the bar in which the given line is the kick and
    the answers are the snare and further parts – are scaled: 0 is their mean over random lines of all densities, 1 is
    three standard deviations over it or more. Lines that are as long as no bar are measured as bars of 16 steps each,
    and count by their mean; one of 8 steps is a bar in eighths.

    Attributes:
        names: of the terms, in order.
        means, scales: (terms,), which number is 0, and by how much one more is 1.

    Args:
        names: of ``TERMS``, each once.
        resolution: cells of the lines.
        n_lines: lines that answer.
        device: where lines are.

    Raises:
        ValueError: a name that is none or comes twice, or a measure that bars of this grid do not have.
    """

    def __init__(
        self, names: Sequence[str], resolution: int, n_lines: int = 1, device: torch.device | str = "cpu"
    ) -> None:
        if len(set(names)) < len(names):
            raise ValueError(f"a term comes twice: {', '.join(names)}")
        if unknown := [name for name in names if name not in TERMS]:
            raise ValueError(f"no term is called {unknown[0]!r}; there are {', '.join(TERMS)}")
        if resolution not in GRIDS and resolution % _BAR and resolution != _BAR // 2 and set(names) - {DIFFERENCE}:
            raise ValueError(f"lines of {resolution} steps are no bars: they have no term but {DIFFERENCE}")
        self.names = tuple(names)
        random = torch.Generator().manual_seed(0)
        cells = torch.rand(_RANDOM_LINES, 1 + n_lines, resolution, generator=random)
        lines = (cells < torch.rand(_RANDOM_LINES, 1 + n_lines, 1, generator=random)).to(device)
        steps = torch.full((_RANDOM_LINES,), resolution, device=device)
        raw = self._raw(lines[:, 0], lines[:, 1:], steps)
        is_scaled = torch.tensor([name != DIFFERENCE for name in self.names], dtype=torch.bool, device=device)
        self.means = torch.where(is_scaled, raw.mean(0), 0.0)
        self.scales = torch.where(
            is_scaled, (_FARTHEST * (raw - raw.mean(0)).square().mean(0).sqrt()).clamp(min=1e-6), 1.0
        )

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, given: Tensor, lines: Tensor, steps: Tensor) -> Tensor:
        """The terms (n, terms) float32 of lines; see ``difference`` for the arguments."""
        return ((self._raw(given, lines, steps) - self.means) / self.scales).clamp(-1, 1)

    def _raw(self, given: Tensor, lines: Tensor, steps: Tensor) -> Tensor:
        found = [self._measured(name, given, lines, steps).float() for name in self.names]
        return torch.stack(found, 1) if found else given.new_zeros(len(given), 0, dtype=torch.float32)

    def _measured(self, name: str, given: Tensor, lines: Tensor, steps: Tensor) -> Tensor:
        if name == DIFFERENCE:
            return difference(given, lines, steps)
        if name == COMPLEXITY:
            return _of_bars(lines, shmulevich_povel).mean(1)
        parts = torch.cat([given[:, None], lines], 1)
        return _of_bars(parts[:, None], lambda bars: _feature(name, bars))[:, 0]


def _of_bars(lines: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """A measure of bars (m, …, steps), of lines (n, k, …, resolution): the mean over their bars, (n, k)."""
    resolution = lines.shape[-1]
    if resolution == _BAR // 2:
        lines = torch.stack([lines, torch.zeros_like(lines)], -1).flatten(-2)
    steps = resolution if resolution in GRIDS else _BAR
    bars = lines.reshape(*lines.shape[:-1], -1, steps).movedim(-2, 2)  # (n, k, bars, …, steps)
    shape = bars.shape[:3]
    return measure(bars.flatten(0, 2)).float().view(shape).mean(2)


def _feature(name: str, parts: Tensor) -> Tensor:
    """A feature (m,) of parts (m, 1 + lines, steps) bool, as a bar of nine parts."""
    bars = F.pad(parts, (0, 0, 0, len(PARTS) - parts.shape[1])).transpose(1, 2)
    return FEATURES[name](bars, GM9)
