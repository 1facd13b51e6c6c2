"""Gradient ascent on z through the generator."""

from __future__ import annotations

import torch
from torch import Tensor

from rhythmgan.features import density, syncopation
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.latent.space import to_length_of
from rl_tuner.search.problem import Problem

_LEARNING_RATE = 0.2


def gradient_ascent(problem: Problem) -> None:
    """Adam on z through the straight-through generator, towards the targets; z keeps its length."""
    dynamics = problem.dynamics
    z = problem.noise(len(problem.open), dynamics.space.latent_dim)
    first, second = torch.zeros_like(z), torch.zeros_like(z)
    targets = problem.targets
    while not problem.is_over:
        asked = z.clone().requires_grad_(True)
        values = soft_values(dynamics, asked)
        cost = torch.sqrt(1 + ((values - targets) / dynamics.space.tolerance).square().sum(1)).sum()
        (slope,) = torch.autograd.grad(cost, asked)
        problem.evaluate(z)  # the same bars: one call, whose gradient is known as well
        still = problem.still_open
        z, slope, first, second, targets = (one[still] for one in (z, slope, first, second, targets))
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        t = problem.calls_used
        moved = z - _LEARNING_RATE * (first / (1 - 0.9**t)) / ((second / (1 - 0.99**t)).sqrt() + 1e-8)
        z = moved * to_length_of(z, moved)


def soft_values(dynamics: Dynamics, z: Tensor) -> Tensor:
    """Density and syncopation of z's bars, (n, 2), with a gradient that passes the threshold."""
    cells = dynamics.generator.decode_with_gradient(z).clamp(0, 1)
    kit = dynamics.generator.kit
    return torch.stack([density(cells, kit), syncopation(cells, kit)], 1)
