"""The network that finds the cells of a bar that do not belong to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import BEATS
from rhythmgan.kit import kit_named
from rhythmgan.models.config import GANConfig
from rhythmgan.models.labels import LabelTable

_BLOCKS = 2


class Denoiser(nn.Module):
    """Bars (n, steps, parts), 0 or 1, and labels (n, 3) or (1, 3) → logits (n, steps, parts), high for foreign cells.

    It is taught with bars of songs of which some cells were flipped, or taken from another bar (``training.denoiser``).
    It reads the cells, and in which of them a bar differs a beat and two beats later.
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.beat = config.steps // BEATS
        n_parts, width = kit_named(config.kit).n_parts, config.denoiser_width
        n_cells = config.steps * n_parts
        self.first = nn.Linear(2 * n_cells + 2 * self.beat * n_parts, width)
        self.from_labels = LabelTable(len(config.roles), len(config.styles), width, 0.1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(_BLOCKS)
        )
        self.last = nn.Linear(width, n_cells)
        self.skip = nn.Linear(n_cells, n_cells)
        self.float()  # whatever torch's default is

    def forward(self, bars: Tensor, labels: Tensor) -> Tensor:
        first_half, second_half = bars[:, : 2 * self.beat], bars[:, 2 * self.beat :]
        seen = (bars, differ(bars, bars.roll(self.beat, 1)), differ(first_half, second_half))
        x = self.first(torch.cat([each.flatten(1) for each in seen], 1)) + self.from_labels(labels)
        for block in self.blocks:
            x = x + block(x)
        logits: Tensor = self.last(F.silu(x)) + self.skip(bars.flatten(1))
        return logits.view(bars.shape)


def differ(cells: Tensor, others: Tensor) -> Tensor:
    """1 where cells of 0 and 1 differ; smooth between, so that gradients pass."""
    return cells + others - 2 * cells * others
