"""Gradient ascent on z through the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rhythmgan.features import density, syncopation
from rhythmgan.models.interfaces import LatentModel
from rl_tuner.latent.moves import to_length_of
from rl_tuner.search.problem import Problem

_LEARNING_RATE = 0.2
_BETAS = (0.9, 0.99)


def gradient_ascent(problem: Problem) -> None:
    """Adam on z through the straight-through generator, towards the targets; z keeps its length."""
    points = nn.Parameter(problem.random_points())
    optimizer = torch.optim.Adam([points], _LEARNING_RATE, _BETAS)
    while not problem.is_over:
        # the rows of closed targets have no gradient; Adam moves them on, but nobody evaluates them again
        z = points[problem.open]
        gap = (soft_values(problem.generator, z) - problem.targets[problem.open]) / problem.scorer.scale.tolerance
        optimizer.zero_grad()
        torch.sqrt(1 + gap.square().sum(1)).sum().backward()  # type: ignore[no-untyped-call]
        problem.evaluate(z.detach())  # the same bars: one call, whose gradient is known as well
        before = points.detach().clone()
        optimizer.step()
        with torch.no_grad():
            points.mul_(to_length_of(before, points))


def soft_values(generator: LatentModel, z: Tensor) -> Tensor:
    """Density and syncopation of z's bars, (n, 2), with a gradient that passes the threshold."""
    cells = generator.decode_with_gradient(z).clamp(0, 1)
    kit = generator.kit
    return torch.stack([density(cells, kit), syncopation(cells, kit)], 1)
