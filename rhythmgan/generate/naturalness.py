"""How natural a bar is: how few of its cells look as though they belonged to another bar, and how real it looks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rhythmgan.models.interfaces import LatentCritic

Naturalness = Callable[[Tensor], Tensor]
"""Bars (n, steps, parts) float64 → (n,) float64, high for natural ones."""


def naturalness_of(model: LatentCritic) -> Naturalness:
    """The logit that the model's critic gives bars, minus the cells that do not belong to them as its denoiser expects.

    The denoiser looks at single cells, the critic at whole bars. A likelihood would prefer sparse bars; a wrong cell
    counts the same in a sparse bar and in a dense one. What is found is to be compared with that of other bars.

    Args:
        model: knows real bars.
    """
    denoiser = model.denoiser_in_double()

    def natural(bars: Tensor) -> Tensor:
        return model.logits(bars).cpu().double() - torch.sigmoid(denoiser(bars)).sum((1, 2))

    return natural
