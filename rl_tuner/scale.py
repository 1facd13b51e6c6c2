"""The features that are steered, on the scale of unsteered bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.features import check_feature, density_and_syncopation, measure
from rhythmgan.kit import Kit
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.models.precision import on_one_thread
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z

TARGETS = ("density", "syncopation")
"""The features that are steered unless others are named."""

N_REMEMBERED = 2048
"""Unsteered bars whose features are kept."""

_N_JUDGED = 4096
_CONTINUOUS_TOLERANCE = 0.15


def values_of(bars: np.ndarray | Tensor, features: Sequence[str], kit: Kit) -> Tensor:
    """The named features of bars (n, steps, parts) bool: (n, features) float32."""
    if tuple(features) == TARGETS:
        return torch.stack(density_and_syncopation(bars, kit), 1).float()
    return torch.stack(list(measure(bars, kit, features).values()), 1).float()


class FeatureScale(nn.Module):
    """What is known of the features of unsteered bars, and of what critic and prior say of them.

    Attributes:
        features: names of the features that are steered, F of them.
        means: (F,), of the features of unsteered bars.
        stds: (F,), their standard deviations.
        tolerance: (F,), what counts as a step of each: 1 of a count, .15 standard deviations of what is none.
        values: (2048, F), features of unsteered bars.
        calibration: (3,), of unsteered bars: the critic's mean logit; median and standard deviation of the prior's
            mean log p, nats a step.

    Raises:
        ValueError: an unknown feature, one that is named twice, or none.
    """

    means: Tensor
    stds: Tensor
    tolerance: Tensor
    values: Tensor
    calibration: Tensor

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__()
        for name in features:
            check_feature(name)
        if not features or len(set(features)) < len(features):
            raise ValueError(f"one feature or several different ones are steered, not {list(features)}")
        self.features = tuple(features)
        n = len(self.features)
        shapes = {"means": (n,), "stds": (n,), "tolerance": (n,), "values": (N_REMEMBERED, n), "calibration": (3,)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))

    def standardised(self, values: Tensor) -> Tensor:
        """Features (…, F) in standard deviations of unsteered bars, from their mean."""
        return (values - self.means) / self.stds

    def fit(self, values: Tensor) -> None:
        """Take means, deviations and tolerances from the features (n, F) of unsteered bars.

        Raises:
            ValueError: a feature never changes.
        """
        self.means, self.stds = values.mean(0), values.std(0)
        for name, std in zip(self.features, self.stds.tolist(), strict=True):
            if not std > 0:
                raise ValueError(f"{name} is the same for all bars of this generator: it cannot be steered")
        is_count = (values == values.round()).all(0)
        self.tolerance = torch.where(is_count, 1.0, _CONTINUOUS_TOLERANCE * self.stds)
        self.values = values[torch.arange(N_REMEMBERED) % len(values)]

    def calibrate(self, bars: np.ndarray, critic: Critic, prior: Likelihood) -> None:
        """Take what critic and prior say of unsteered bars (n, steps, parts) bool; of the first few thousand."""
        judged = torch.from_numpy(bars[:_N_JUDGED])
        logits = critic.logits(judged)
        log_prob = prior.log_prob(judged[:N_REMEMBERED]) / bars.shape[1]
        # the prior's tail is long: a mean would call ordinary bars likely
        self.calibration = torch.stack([logits.mean().cpu(), log_prob.median().cpu(), log_prob.std().cpu()])


@torch.no_grad()
@on_one_thread
def find_scale(
    generator: LatentModel, critic: Critic, prior: Likelihood, features: Sequence[str] = TARGETS, n: int = 8000
) -> FeatureScale:
    """The scale of a generator's features, from n bars of random z.

    Args:
        generator: whose unsteered bars.
        critic: what calibrates the term of realism.
        prior: what calibrates the term of likelihood.
        features: names of the features to steer.
        n: bars to look at.

    Raises:
        ValueError: an unknown feature, or one that never changes.
    """
    scale = FeatureScale(features)
    bars = generator.decode(seeds_to_z(np.arange(n), generator.latent_dim, RANDOM_STREAMS["space"][0]))
    scale.fit(values_of(bars, scale.features, generator.kit))
    scale.calibrate(bars, critic, prior)
    return scale.requires_grad_(False)
