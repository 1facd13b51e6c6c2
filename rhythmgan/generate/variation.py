"""Bars near another one, and bars around parts of it that stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from rhythmgan.latent import rotate
from rhythmgan.models.interfaces import LatentModel
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, sample_categorical, seeds_to_uniform

CANDIDATES = len(RANDOM_STREAMS["fill candidates"])
"""Ways to fill a bar that are weighed against each other."""


def vary(
    model: LatentModel, loop: np.ndarray, seeds: Sequence[int], amount: float = 0.2, locked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Variations of a loop: its latent points turned towards those of seeds, all bars towards the same one.

    A variation that is still the loop is turned on by as much again, until it is not, or until a right angle.

    Args:
        model: makes the bars.
        loop: (m, steps, parts) bool, of the model's kit and grid.
        seeds: n of them, one for each variation.
        amount: how far, as a share of a right angle, at which the bars are those of unrelated points: over 0 to 1.
        locked: (steps, parts) bool, cells that stay as they are in every bar; none by default.

    Returns:
        Bars (n, m, steps, parts) bool, and their latent points (n, m, latent_dim) float32.

    Raises:
        ValueError: an option out of range, or bars that are not the model's.
    """
    if not 0 < amount <= 1:
        raise ValueError(f"the amount lies over 0 and up to 1, not at {amount}")
    for seed in seeds:
        check_seed(seed)
    own = model.encode(loop)
    z = np.stack([own] * len(seeds))
    generated = np.stack([loop] * len(seeds))
    for further in range(1, math.ceil(1 / amount) + 1):
        angle = min(further * amount, 1) * math.pi / 2
        same = np.flatnonzero((generated == loop).all((1, 2, 3)))
        for i in same:
            z[i] = rotate(own, model.latents([seeds[int(i)]]), angle)
        points = z[same].reshape(-1, model.latent_dim)
        if locked is not None:
            points = model.lock(points, np.tile(loop, (len(same), 1, 1)), locked)
        generated[same] = model.decode(points).reshape(len(same), *loop.shape)
    if locked is not None and locked.any():  # noise that is endlessly far is no point to go on from
        z = np.stack([model.encode(bars) for bars in generated])
    return generated, z


def fill(
    model: LatentModel, bar: np.ndarray, locked: np.ndarray, seeds: Sequence[int], temperature: float = 1.0
) -> np.ndarray:
    """Bars in which some cells stay and the generator makes the others, for each seed one.

    They are drawn from the generator's bars that have the locked cells, by likelihood weighting (Fung & Chang 1990):
    the generator decides cell after cell, so a candidate is drawn with the locked ones set, and weighed by how likely
    it found them when it came to them, Π Φ(± expected). One of ``CANDIDATES`` is drawn by its weight.

    Args:
        model: makes the bars.
        bar: (steps, parts) bool, of the model's kit and grid.
        locked: (steps, parts) bool, cells of it that stay, silent ones too.
        seeds: n of them.
        temperature: standard deviation of the noise, over 0.

    Returns:
        (n, steps, parts) bool.

    Raises:
        ValueError: shapes that are not the model's, or an option out of range.
    """
    shape = (model.steps, model.kit.n_parts)
    if bar.shape != shape or bar.dtype != bool:
        raise ValueError(f"expected a bar {shape} bool; got {bar.dtype} {bar.shape}")
    n_seeds = len(seeds)
    z = np.stack([model.latents(seeds, temperature, stream=stream) for stream in RANDOM_STREAMS["fill candidates"]], 1)
    generated = model.decode(model.lock(z.reshape(n_seeds * CANDIDATES, model.latent_dim), bar[None], locked))
    likely = model.cell_log_prob(generated, temperature) * torch.tensor(locked)
    chance = torch.softmax(likely.sum((1, 2)).view(n_seeds, CANDIDATES), 1).cumsum(1).numpy()
    drawn = seeds_to_uniform(seeds, 1, stream=RANDOM_STREAMS["fill choice"][0])
    return generated.reshape(n_seeds, CANDIDATES, *bar.shape)[np.arange(n_seeds), sample_categorical(chance, drawn)]
