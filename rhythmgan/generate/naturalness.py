"""How natural a bar is: how few of its cells look as though they belonged to another bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rhythmgan.models.interfaces import DenoisingModel

_BATCH = 4096

Naturalness = Callable[[Tensor], Tensor]
"""Bars (n, steps, parts) float64 → (n,), high for natural ones; gradients pass to the bars."""


def naturalness_of(model: DenoisingModel) -> Naturalness:
    """Minus the number of cells that do not belong to a bar, as the model's denoiser expects it; see ``score``."""
    denoiser = model.denoiser_in_double()
    return lambda bars: -torch.sigmoid(denoiser(bars)).sum((1, 2))


def score(model: DenoisingModel, bars: np.ndarray) -> np.ndarray:
    """Minus the number of cells that do not belong to each bar, as the model's denoiser expects it.

    A discriminator says how a whole bar compares with others, and so gives an easy hold to whoever optimises it. A
    likelihood prefers sparse bars. A wrong cell counts the same in a sparse bar and in a dense one.

    Args:
        model: knows real bars.
        bars: (n, steps, parts) bool, of the model's kit and grid.

    Returns:
        (n,) float64, at most 0: of held-out bars about −3 under the bundled model. It is to be compared with that of
        other bars.
    """
    naturalness = naturalness_of(model)
    found = [np.empty(0)]
    with torch.no_grad():
        for start in range(0, len(bars), _BATCH):
            found.append(naturalness(torch.from_numpy(bars[start : start + _BATCH]).double()).numpy())
    return np.concatenate(found)
