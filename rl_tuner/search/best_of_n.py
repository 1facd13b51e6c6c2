"""Best of N: random points, the best kept."""

from __future__ import annotations

from rl_tuner.search.problem import Problem


def best_of_n(problem: Problem) -> None:
    """Evaluate a bar of random z with each call."""
    while not problem.is_over:
        problem.evaluate(problem.random_points())
