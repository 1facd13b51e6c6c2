"""Counts and shares of a bar's onsets: density, steps and parts that sound, onsets off the beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features.lines import cells_of, checked_bars, union
from rhythmgan.kit import Kit

GROUPS = {"kick": ("low",), "drums": ("low", "mid"), "cymbals": ("high",)}
"""Groups of parts whose density is offered by itself, as the streams that they are made of."""


def density(bars: Tensor | np.ndarray, kit: Kit | None = None, group: str | None = None) -> Tensor:
    """Onsets in the bar, 0 … steps × parts; of one of ``GROUPS`` only if it is named.

    ``kick``; ``drums``: kick, snare, toms and congas; ``cymbals``: hats, ride, crash, shaker and bell. Any grid.

    Raises:
        ValueError: a shape that does not fit the kit, or an unknown group.
    """
    bars, kit = checked_bars(bars, kit)
    if group is not None:
        if group not in GROUPS:
            raise ValueError(f"no group of parts is called {group!r}; there are {', '.join(GROUPS)}")
        bars = bars[..., [index for stream in GROUPS[group] for index in kit.parts_of(stream)]]
    cells = bars.flatten(1)
    if bars.dtype != torch.bool:
        return cells.sum(1)
    # as bytes: torch adds bools one at a time
    return cells.view(torch.uint8).sum(1, dtype=torch.int16).long()


def step_density(bars: Tensor | np.ndarray) -> Tensor:
    """Steps on which anything sounds, 0 … steps. Any grid."""
    return union(bars).sum(1)


def parts_used(bars: Tensor | np.ndarray) -> Tensor:
    """Parts that sound in the bar, 0 … parts. Any grid."""
    return cells_of(bars).any(1).sum(1)


def off_beat_share(bars: Tensor | np.ndarray) -> Tensor:
    """Share of the onsets that do not fall on one of the four beats, 0 … 1; 0 of an empty bar. Any grid."""
    cells = cells_of(bars)
    steps = cells.shape[1]
    onsets = cells.sum((1, 2))
    on_beat = cells[:, :: steps // BEATS].sum((1, 2))
    return (onsets - on_beat).float() / onsets.clamp(min=1)
