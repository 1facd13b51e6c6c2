"""Steering by latent directions."""

from __future__ import annotations

from rl_tuner.latent.moves import to_length_of
from rl_tuner.latent.space import LatentSpace
from rl_tuner.search.problem import Problem, Search


def linear_directions(space: LatentSpace) -> Search:
    """Move z by the pseudo-inverse of the regression of the features on z, from value to target, again and again.

    Args:
        space: the latent space of the problem's generator.
    """

    def search(problem: Problem) -> None:
        z, targets = problem.random_points(), problem.targets
        while not problem.is_over:
            values = problem.evaluate(z)
            still = problem.still_open
            z, targets, values = z[still], targets[still], values[still]
            moved = z + (targets - values) @ space.pinv_steps[0]
            z = moved * to_length_of(z, moved)

    return search
