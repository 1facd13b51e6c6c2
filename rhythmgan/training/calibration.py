"""Temperatures that keep the density of bars: how far the noise is shifted at each of them."""

from __future__ import annotations

import numpy as np
import torch

from rhythmgan.conditions import ANY
from rhythmgan.models.gan import TEMPERATURES, LatentGenerator
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z

_BARS = 2048
_ROUNDS = 6
_LEAST_SHARE = 1e-4
"""Of the cells of a part; the shift of a rarer part would be a guess."""


def calibrate_temperatures(gan: LatentGenerator) -> None:
    """Find the shifts of the noise with which each part sounds as often at each temperature as at 1, and keep them.

    A cell sounds where what is expected of it and its noise are over zero together. Most cells are expected to be
    silent, so less noise alone makes onsets ever rarer. For each role a part's shift rises or falls by the gap between
    the two shares of cells on the scale of the normal distribution, a few times; all rounds use the same noise.

    Args:
        gan: that is trained.
    """
    z = seeds_to_z(range(_BARS), gan.latent_dim, RANDOM_STREAMS["calibration"][0])
    shifts = torch.zeros_like(gan.shifts)
    for number, role in enumerate([ANY, *gan.roles]):
        asked = gan.with_condition(role, ANY)
        wanted = _quantiles(asked, z)
        for row, temperature in enumerate(TEMPERATURES):
            if temperature == 1:
                continue
            shift = np.zeros_like(wanted)
            for _ in range(_ROUNDS):
                noise = z * np.float32(temperature) + np.tile(shift, gan.steps).astype(np.float32)
                shift += temperature * (wanted - _quantiles(asked, noise))
            shifts[row, number] = torch.from_numpy(shift)
    gan.shifts.copy_(shifts)


def _quantiles(gan: LatentGenerator, z: np.ndarray) -> np.ndarray:
    """(parts,) float64: the quantile of the normal distribution of the share of cells that each part sounds on."""
    share = torch.from_numpy(gan.decode(z).mean((0, 1))).clamp(_LEAST_SHARE, 1 - _LEAST_SHARE)
    quantiles: np.ndarray = torch.special.ndtri(share.double()).numpy()
    return quantiles
