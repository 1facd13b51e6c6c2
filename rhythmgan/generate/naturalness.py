"""How natural a bar is: how few of its cells look as though they belonged to another bar, and how real it looks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rhythmgan.models.interfaces import LatentCritic

_BATCH = 4096

Naturalness = Callable[[Tensor], Tensor]
"""Bars (n, steps, parts) float64 → (n,) float64, high for natural ones."""


def naturalness_of(model: LatentCritic) -> Naturalness:
    """What ``score`` says of bars, as a function of tensors."""
    denoiser = model.denoiser_in_double()

    def natural(bars: Tensor) -> Tensor:
        return model.logits(bars).cpu().double() - torch.sigmoid(denoiser(bars)).sum((1, 2))

    return natural


def score(model: LatentCritic, bars: np.ndarray) -> np.ndarray:
    """The logit that the model's critic gives bars, minus the cells that do not belong to them as its denoiser expects.

    The denoiser looks at single cells, the critic at whole bars. A likelihood would prefer sparse bars; a wrong cell
    counts the same in a sparse bar and in a dense one.

    Args:
        model: knows real bars.
        bars: (n, steps, parts) bool, of the model's kit and grid.

    Returns:
        (n,) float64, to be compared with that of other bars.
    """
    naturalness = naturalness_of(model)
    found = [np.empty(0)]
    with torch.no_grad():
        for start in range(0, len(bars), _BATCH):
            found.append(naturalness(torch.from_numpy(bars[start : start + _BATCH]).double()).numpy())
    return np.concatenate(found)
