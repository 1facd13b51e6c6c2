"""Steering by latent directions."""

from __future__ import annotations

from rl_tuner.latent.moves import to_length_of
from rl_tuner.search.problem import Problem


def linear_directions(problem: Problem) -> None:
    """Move z by the pseudo-inverse of the regression of the features on z, from value to target, again and again."""
    dynamics = problem.dynamics
    z = problem.noise(len(problem.open), dynamics.space.latent_dim)
    targets = problem.targets
    while not problem.is_over:
        values = problem.evaluate(z)
        still = problem.still_open
        z, targets, values = z[still], targets[still], values[still]
        moved = z + (targets - values) @ dynamics.space.pinv_steps[0]
        z = moved * to_length_of(z, moved)
