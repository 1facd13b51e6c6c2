"""Retrieval: a real bar instead of a generated one."""

from __future__ import annotations

import torch
from torch import Tensor

from rl_tuner.search.problem import Problem, Search


def retrieval(bars: Tensor, values: Tensor) -> Search:
    """Answer with the nearest of these real bars, drawn at random among those that are equally near.

    Args:
        bars: (m, steps, parts) bool.
        values: (m, F), their features.
    """

    def search(problem: Problem) -> None:
        tolerance = problem.scorer.scale.tolerance
        distances = torch.cdist(problem.targets / tolerance, values / tolerance, p=1)
        tie_break = torch.rand(distances.shape, generator=problem.random, dtype=distances.dtype) * 0.5
        nearest = bars[(distances + tie_break).argmin(1)]
        z = torch.full((len(nearest), problem.generator.latent_dim), torch.nan, dtype=torch.float32)
        problem.record(problem.look_at(z, nearest))

    return search
