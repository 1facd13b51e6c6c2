"""Which particles go on."""

from __future__ import annotations

import torch
from torch import Tensor


def systematic_resampling(weights: Tensor, offsets: Tensor, k: int | None = None) -> Tensor:
    """Which particles go on, each about as often as its weight says (Kitagawa 1996).

    Args:
        weights: (n, m), 0 or more; in each row one at least is over 0.
        offsets: (n,), numbers of [0, 1), one for all draws of a row.
        k: how many go on; as many as there are by default.

    Returns:
        (n, k) ints, rising in each row: the particle of share w of its row's weight is there ⌊k w⌋ or ⌈k w⌉ times.
    """
    k = weights.shape[1] if k is None else k
    sums = weights.double().cumsum(1)
    places = (torch.arange(k, device=weights.device) + offsets[:, None].double()) / k * sums[:, -1:]
    # rounding may lead beyond the last sum
    return torch.searchsorted(sums, places, right=True).clamp(max=weights.shape[1] - 1)
