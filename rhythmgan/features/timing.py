"""Timing of performances, which bars on a grid have lost: swing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.features.lines import as_tensor


def swing(beat: Tensor | np.ndarray, bar: Tensor | np.ndarray, n: int) -> Tensor:
    """Where in its beat the off-beat eighth falls on average: .5 is straight, .667 a triplet shuffle.

    For performances with timing, which bars on a grid have lost: ``Onsets.beat`` of ``read_midi`` or ``read_lpd``.
    An onset from 3/8 to below 17/24 of a beat counts as an off-beat eighth: nearer to 1/2 or 2/3 than to the
    sixteenths on either side.

    Args:
        beat: (onsets,) float, quarter notes.
        bar: (onsets,) ints from 0 to below n, the bar of each onset; all 0, with n = 1, for one number of a song.
        n: bars.

    Returns:
        (n,) float64 in .375 … .708; NaN for a bar without an off-beat eighth.

    Raises:
        ValueError: beats and bars do not go together, or a bar out of range.
    """
    beat, bar = as_tensor(beat).double(), as_tensor(bar).long()
    if beat.ndim != 1 or beat.shape != bar.shape:
        raise ValueError(f"expected a beat and a bar for each onset; got {tuple(beat.shape)} and {tuple(bar.shape)}")
    if len(bar) and not 0 <= int(bar.min()) <= int(bar.max()) < n:
        raise ValueError(f"bars lie from 0 to below {n}; found {int(bar.min())} … {int(bar.max())}")
    place = beat % 1
    eighth = (place >= 3 / 8) & (place < 17 / 24)
    count = torch.bincount(bar[eighth], minlength=n)
    return torch.bincount(bar[eighth], place[eighth], minlength=n) / count
