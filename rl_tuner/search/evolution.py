"""CMA-ES with a diagonal covariance, for a batch of targets at once.

The separable form of Ros & Hansen (2008): the covariance matrix stays diagonal, and its learning rates are
(dim + 2) / 3 times those of the full matrix, as there is so much less to learn. The full matrix of 192 dimensions has
18,528 entries, and a budget has a few hundred calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rl_tuner import rewards
from rl_tuner.search.problem import Problem

POPULATION = 8
"""Points in a generation. Hansen's 4 + 3 ln dim, 19 for 192 dimensions, leaves a budget of 32 calls one generation."""

_SIGMA = 0.5
"""The first step size: half a standard deviation of z."""


@dataclass(frozen=True)
class Parameters:
    """The strategy parameters: the defaults of Hansen (2016), *The CMA Evolution Strategy: A Tutorial*, table 1.

    Ros & Hansen (2008) multiply the one learning rate of their covariance by (dim + 2) / 3; the tutorial splits that
    rate in two, and both are multiplied here. Left out are negative weights and h_sigma, which holds ``path`` back
    while the step size grows fast.

    Attributes:
        weights: (parents,), of the points that are recombined, the best first; they add up to 1.
        mu_eff: the variance-effective number of parents, 1 / Σ weights².
        c_sigma, d_sigma: rate and damping of the step size's path.
        c_path: rate of the covariance's path.
        c_one, c_mu: rates of the covariance's rank-one and rank-μ updates.
        expected_norm: E|N(0, I)|.
    """

    weights: Tensor
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_path: float
    c_one: float
    c_mu: float
    expected_norm: float

    @staticmethod
    def of(dim: int, population: int = POPULATION) -> Parameters:
        """The parameters for so many dimensions; half of the population are parents."""
        n_parents = population // 2
        weights = math.log((population + 1) / 2) - torch.arange(1, n_parents + 1, dtype=torch.float32).log()
        weights = weights / weights.sum()
        mu_eff = float(1 / (weights**2).sum())
        c_sigma = (mu_eff + 2) / (dim + mu_eff + 5)
        c_one = (dim + 2) / 3 * 2 / ((dim + 1.3) ** 2 + mu_eff)
        return Parameters(
            weights=weights,
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=1 + c_sigma + 2 * max(0.0, ((mu_eff - 1) / (dim + 1)) ** 0.5 - 1),
            c_path=(4 + mu_eff / dim) / (dim + 4 + 2 * mu_eff / dim),
            c_one=c_one,
            c_mu=min(1 - c_one, (dim + 2) / 3 * 2 * (mu_eff - 2 + 1 / mu_eff) / ((dim + 2) ** 2 + mu_eff)),
            expected_norm=dim**0.5 * (1 - 1 / (4 * dim) + 1 / (21 * dim**2)),
        )


@dataclass
class Distribution:
    """What n searches draw their points from: N(mean, sigma² diag(variance)) each.

    Attributes:
        mean, variance: (n, dim).
        sigma: (n, 1), the step size.
        path_sigma, path: (n, dim), the evolution paths of step size and covariance.
    """

    mean: Tensor
    sigma: Tensor
    variance: Tensor
    path_sigma: Tensor
    path: Tensor

    @staticmethod
    def around(mean: Tensor, sigma: float = _SIGMA) -> Distribution:
        """The distributions to begin with, around means (n, dim)."""
        nothing = torch.zeros_like(mean)
        return Distribution(mean, torch.full_like(mean[:, :1], sigma), torch.ones_like(mean), nothing, nothing)

    def rows(self, index: Tensor) -> Distribution:
        """The rows of an index or a mask."""
        return Distribution(*(getattr(self, each.name)[index] for each in fields(self)))

    def update(self, steps: Tensor, costs: Tensor, how: Parameters) -> Distribution:
        """The distributions of the next generation.

        Args:
            steps: (n, population, dim), what was drawn: N(0, diag(variance)), before it was multiplied by sigma.
            costs: (n, population), what is to be small.
            how: the strategy parameters.
        """
        order = costs.argsort(1)[:, : len(how.weights), None]
        parents = steps.gather(1, order.expand(-1, -1, steps.shape[2]))
        step = (how.weights[:, None] * parents).sum(1)
        towards_sigma = (how.c_sigma * (2 - how.c_sigma) * how.mu_eff) ** 0.5
        path_sigma = (1 - how.c_sigma) * self.path_sigma + towards_sigma * step / self.variance.sqrt()
        path = (1 - how.c_path) * self.path + (how.c_path * (2 - how.c_path) * how.mu_eff) ** 0.5 * step
        rank_mu = (how.weights[:, None] * parents**2).sum(1)
        kept = 1 - how.c_one - how.c_mu
        length = path_sigma.norm(dim=1, keepdim=True) / how.expected_norm
        return Distribution(
            mean=self.mean + self.sigma * step,
            sigma=self.sigma * torch.exp(how.c_sigma / how.d_sigma * (length - 1)),
            variance=kept * self.variance + how.c_one * path**2 + how.c_mu * rank_mu,
            path_sigma=path_sigma,
            path=path,
        )


def evolution_strategy(problem: Problem) -> None:
    """CMA-ES with a diagonal covariance, a distribution of z for each target."""
    dim = problem.generator.latent_dim
    how = Parameters.of(dim)
    distribution = Distribution.around(problem.random_points())
    targets = problem.targets
    while not problem.is_over:
        steps: list[Tensor] = []
        costs: list[Tensor] = []
        for _ in range(POPULATION):
            if problem.is_over:
                return
            step = distribution.variance.sqrt() * problem.noise(len(targets), dim)
            values = problem.evaluate(distribution.mean + distribution.sigma * step)
            still = problem.still_open
            cost = rewards.distance(values, targets, problem.scorer.scale.tolerance).sum(1)
            distribution, targets = distribution.rows(still), targets[still]
            steps, costs = [one[still] for one in [*steps, step]], [one[still] for one in [*costs, cost]]
        distribution = distribution.update(torch.stack(steps, 1), torch.stack(costs, 1), how)
