"""What a bar is worth to who asked for it: how near it is to the targets, how real, how likely.

Every term is a free function of a batch; ``score`` is their weighted sum, and an agent's reward is how much the score
of the bar grew. All are tensors (n,) between 0 and 1, so that weights compare.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rhythmgan.models.interfaces import Critic, Likelihood

TOLERANCE = 1.0
"""A target is reached where the value is at most this many units from it."""

KL_PRICE = 0.02
"""Price of a nat of KL divergence where ``kl_coef`` is 1."""

_NEAR = 4.0
"""Units of distance over which closeness falls to 1/e."""


def distance(values: Tensor, targets: Tensor, units: Tensor) -> Tensor:
    """How far values are from their targets, in units of each feature.

    Args:
        values: (n, features).
        targets: (n, features).
        units: (features,), what counts as one step of each feature: an onset, a unit of syncopation.

    Returns:
        (n, features), 0 or more.
    """
    return (values - targets).abs() / units


def success(distances: Tensor, weights: Tensor) -> Tensor:
    """Whether every feature that counts is within ``TOLERANCE`` units of its target: (n,) bool.

    Args:
        distances: (n, features), of ``distance``.
        weights: (n, features); 0 where a feature is skipped.
    """
    return ((distances <= TOLERANCE) | (weights == 0)).all(1)


def match(distances: Tensor, weights: Tensor) -> Tensor:
    """How near bars are to their targets: ½ e^(−d/4), d the weighted sum of distances, and ½ if all are reached.

    Args:
        distances: (n, features), of ``distance``.
        weights: (n, features), 0 or more; 0 where a feature is skipped.

    Returns:
        (n,) in 0 … 1; 1 is an exact hit.
    """
    return 0.5 * torch.exp(-torch.where(weights > 0, distances * weights, 0).sum(1) / _NEAR) + 0.5 * success(
        distances, weights
    )


def realism(critic: Critic, bars: Tensor, typical: float) -> Tensor:
    """Whether the discriminator takes bars for more real than a typical one of the generator's: σ(D − typical).

    The discriminator learnt to tell pairs apart (a relativistic game), so that only differences of its logits mean
    something.

    Args:
        critic: what tells real bars from generated ones.
        bars: (n, steps, parts) bool.
        typical: its mean logit of unsteered bars.
    """
    return torch.sigmoid(critic.logits(bars) - typical)


def likelihood(prior: Likelihood, bars: Tensor, typical: float, spread: float) -> Tensor:
    """How likely bars are under the prior: σ of the mean log p of a step, standardised, and never over ½.

    Over the typical there is nothing to gain: the likeliest bars of all are the emptiest and the dullest ones.

    Args:
        prior: the LSTM.
        bars: (n, steps, parts) bool.
        typical: median of the mean log p of unsteered bars, nats a step.
        spread: its standard deviation.
    """
    nats = prior.log_prob(bars) / bars.shape[1]
    return torch.sigmoid(((nats - typical) / spread).clamp(max=0))


def score(terms: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum Σ weight · term over the terms that there are: (n,)."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum(0)
