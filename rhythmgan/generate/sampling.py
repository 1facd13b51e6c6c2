"""Bars in one call, by the bundled models."""

from __future__ import annotations

import numpy as np

from rhythmgan.conditions import ANY
from rhythmgan.models.catalogue import load_generator
from rhythmgan.models.weights import BUNDLED_GRIDS


def sample(
    n: int,
    seed: int = 0,
    *,
    role: str | None = None,
    style: str = ANY,
    grid: int = BUNDLED_GRIDS[0],
    temperature: float = 1.0,
) -> np.ndarray:
    """The bars of the seeds ``seed … seed + n − 1``, by a bundled GAN.

    Args:
        n: how many bars, at least 1.
        seed: of the first.
        role: "groove", "variation" or "fill": bars of this role, as songs play them; "any": of songs their distinct
            bars. Grooves by default.
        style: of the songs, as "funk"; ``load_gan().styles`` lists them.
        grid: steps of a bar, 16 or 12.
        temperature: over 0; below 1 likely bars become likelier.

    Returns:
        (n, grid, 12) bool, in the kit GM12.

    Raises:
        ValueError: an option out of range, or a role or style that the GAN does not know.
    """
    return load_generator(grid=grid).with_condition(role, style).sample(n, seed, temperature)
