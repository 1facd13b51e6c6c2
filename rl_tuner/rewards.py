"""What a bar is worth under goals: how near it is to the targets, how real it is, how likely it is.

Every term is a function of a batch and lies in 0 … 1, so that coefficients compare. ``BAR_TERMS`` and ``MOVE_COSTS``
name the terms that goals may give a coefficient; a new term is one row of a table. ``score`` is the weighted sum of the
terms of a bar; an agent's reward is how much the score has grown, less the costs of its move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rhythmgan.models.interfaces import Critic, Likelihood

TOLERANCE = 1.0
"""A target is reached where the value is at most this many tolerances of its feature from it."""

KL_PRICE = 0.02
"""Price of a nat of KL divergence where the coefficient of ``kl`` is 1."""

CLOSENESS_PRICE = 1.0
"""Price of changing as many cells as sound in the given bar, where the coefficient of ``closeness`` is 1."""

_NEAR = 4.0
"""Tolerances of distance over which closeness falls to 1/e."""


def distance(values: Tensor, targets: Tensor, tolerance: Tensor) -> Tensor:
    """How far values are from their targets, in tolerances of each feature.

    Args:
        values: (n, features).
        targets: (n, features).
        tolerance: (features,), what counts as one step of each feature: an onset, a unit of syncopation.

    Returns:
        (n, features), 0 or more.
    """
    return (values - targets).abs() / tolerance


def success(distances: Tensor, importance: Tensor) -> Tensor:
    """Whether every feature that counts is within ``TOLERANCE`` of its target: (n,) bool.

    Args:
        distances: (n, features), of ``distance``.
        importance: (n, features); 0 where a feature is skipped.
    """
    return ((distances <= TOLERANCE) | (importance == 0)).all(1)


def match(distances: Tensor, importance: Tensor) -> Tensor:
    """How near bars are to their targets: ½ e^(−d/4), d the weighted sum of distances, and ½ more on success.

    Args:
        distances: (n, features), of ``distance``.
        importance: (n, features), 0 or more, how much each feature counts; 0 where it is skipped.

    Returns:
        (n,) in 0 … 1; 1 where every feature has exactly its target.
    """
    closeness = torch.exp(-torch.where(importance > 0, distances * importance, 0).sum(1) / _NEAR)
    return 0.5 * closeness + 0.5 * success(distances, importance).to(closeness.dtype)


def realism(critic: Critic, bars: Tensor, typical: float) -> Tensor:
    """Whether the critic takes bars for more real than a typical one of the generator: σ(D − typical), (n,).

    The critic learnt to tell pairs apart (a relativistic loss), so that only differences of its logits mean
    something.

    Args:
        critic: what tells real bars from generated ones.
        bars: (n, steps, parts) bool.
        typical: its mean logit of unsteered bars.
    """
    return torch.sigmoid(critic.logits(bars) - typical)


def likelihood(prior: Likelihood, bars: Tensor, typical: float, std: float) -> Tensor:
    """How likely bars are under the prior: σ of the mean log p of a step, standardised, and never over ½, (n,).

    There is nothing to gain beyond a typical bar: the likeliest bars of all are the emptiest and the dullest ones.

    Args:
        prior: what says how likely bars are.
        bars: (n, steps, parts) bool.
        typical: median of the mean log p of unsteered bars, nats a step.
        std: its standard deviation.
    """
    log_prob = prior.log_prob(bars) / bars.shape[1]
    return torch.sigmoid(((log_prob - typical) / std).clamp(max=0))


@dataclass(frozen=True)
class RewardModels:
    """The networks that terms ask, and what they say of unsteered bars.

    Attributes:
        critic: what tells real bars from generated ones.
        prior: what says how likely bars are.
        calibration: (3,), of unsteered bars: the critic's mean logit; median and standard deviation of the prior's
            mean log p, nats a step.
    """

    critic: Critic
    prior: Likelihood
    calibration: Tensor


BAR_TERMS: Mapping[str, Callable[[RewardModels, Tensor], Tensor]] = {
    "realism": lambda models, bars: realism(models.critic, bars, float(models.calibration[0])),
    "likelihood": lambda models, bars: likelihood(models.prior, bars, *models.calibration[1:].tolist()),
}
"""Terms of a bar beside its match, by name: models and bars (n, steps, parts) bool → (n,) in 0 … 1."""

MOVE_COSTS: Mapping[str, float] = {"kl": KL_PRICE, "closeness": CLOSENESS_PRICE}
"""What a move may cost, by name: the price of one unit where the coefficient is 1. See ``BarDynamics.move``."""

TERMS = (*BAR_TERMS, "kl")
"""The names that goals of whole-bar moves may give a coefficient."""

STEPWISE_TERMS = (*TERMS, "closeness")
"""The names that goals of bars that are decided step by step may give a coefficient."""


def score(terms: Mapping[str, Tensor], coefs: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum Σ coefficient · term over the terms that there are: (n,)."""
    return torch.stack([coefs[name] * term for name, term in terms.items()]).sum(0)


def less_costs(gain: Tensor, costs: Mapping[str, Tensor], coefs: Mapping[str, Tensor]) -> Tensor:
    """What is left of a gain (n,) after the costs of moves: gain − Σ price · coefficient · cost, (n,)."""
    for name, cost in costs.items():
        gain = gain - MOVE_COSTS[name] * coefs[name] * cost
    return gain
