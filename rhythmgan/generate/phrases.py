"""Phrases: bars that follow one another as in songs, along a path through latent space that the prior picks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rhythmgan.latent import rotate
from rhythmgan.models.interfaces import LatentModel, Likelihood
from rhythmgan.seeds import RANDOM_STREAMS, sample_categorical, seeds_to_uniform

_CANDIDATES = 12
_TO_HUB = 0.2
"""Radians from the first bar to the hub that the others lie around."""
_ANGLES = ((0.0, 0.45), (0.0, 0.45), (0.0, 0.45), (0.1, 0.65))
"""Radians, least and most, that the candidates for bar 0, 1, 2, 3 of every four are turned from the hub: more for
the fourth, where drummers play a fill."""
_HOLD = 0.15
"""How much the prior's opinion counts: 0 not at all."""
_MAX_BARS = 1 + len(RANDOM_STREAMS["phrase candidates"]) // _CANDIDATES


def phrases(
    model: LatentModel, prior: Likelihood, seeds: Sequence[int] | np.ndarray, n_bars: int, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The phrases of seeds: each begins with the seed's own bar.

    The bars of real phrases are about as far from each other as neighbours are: they lie around something that none
    of them is. Here it is a hub, a little turned from the first bar's z. For every next place candidates are turned
    away from it, each towards a direction of its own and by an angle of its own; a turned point is as likely under
    N(0, I). One is drawn with chances proportional to exp(_HOLD · (log p(bar | bar before) − log p(bar))): by how much
    likelier it is after the bar before than anywhere. The likelihood alone would drift to sparse bars, which are
    likely everywhere.

    Args:
        model: makes the bars.
        prior: of the same kit and grid.
        seeds: n of them; a phrase is a function of its seed.
        n_bars: bars of each, at least 1.
        temperature: standard deviation of z, over 0.

    Returns:
        Bars (n, n_bars, steps, parts) bool, and their latent points (n, n_bars, latent_dim) float32.

    Raises:
        ValueError: an option out of range, or a prior of other bars.
    """
    if n_bars < 1:
        raise ValueError(f"a phrase has at least one bar, not {n_bars}")
    if n_bars > _MAX_BARS:
        raise ValueError(f"a phrase has at most {_MAX_BARS:,} bars, not {n_bars:,}")
    if (prior.kit, prior.steps) != (model.kit, model.steps):
        raise ValueError(
            f"the prior is of kit {prior.kit.name} and {prior.steps} steps, "
            f"the bars of {model.kit.name} and {model.steps}; `rhythmgan train prior` makes one for them"
        )
    # in double precision: the choice is the same on every machine
    prior = prior.in_double()
    points = [model.latents(seeds, temperature)]
    bars = [model.decode(points[0])]
    rows = np.arange(len(bars[0]))
    hub = rotate(points[0], model.latents(seeds, stream=RANDOM_STREAMS["phrase hub"][0]), _TO_HUB)
    for place in range(1, n_bars):
        turned = np.stack(
            [
                rotate(
                    hub,
                    model.latents(seeds, stream=RANDOM_STREAMS["phrase candidates"][(place - 1) * _CANDIDATES + i]),
                    float(np.interp(i, (0, _CANDIDATES - 1), _ANGLES[place % len(_ANGLES)])),
                )
                for i in range(_CANDIDATES)
            ],
            1,
        )  # (n, candidates, latent_dim)
        generated = model.decode(turned.reshape(-1, turned.shape[-1])).reshape(
            len(rows), _CANDIDATES, *bars[0].shape[1:]
        )
        chance = torch.softmax(_HOLD * _gain(prior, generated, bars[-1]), 1).cumsum(1).numpy()
        drawn = seeds_to_uniform(seeds, 1, stream=RANDOM_STREAMS["phrase choice"][place])
        chosen = sample_categorical(chance, drawn)
        points.append(turned[rows, chosen])
        bars.append(generated[rows, chosen])
    return np.stack(bars, 1), np.stack(points, 1)


def _gain(prior: Likelihood, generated: np.ndarray, before: np.ndarray) -> torch.Tensor:
    """(n, candidates) nats by which a candidate is likelier after the bar before (n, steps, parts) than alone."""
    flat = generated.reshape(-1, *generated.shape[2:])
    after = prior.log_prob(flat, np.repeat(before, generated.shape[1], 0))
    return (after - prior.log_prob(flat)).view(generated.shape[:2]).cpu()
