"""The moves of whole bars without an agent: drawn at random, or the best of some that were tried."""

from __future__ import annotations

import torch

from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.search.problem import Problem, Search

_TRIES = 8


def random_walk(dynamics: Dynamics) -> Search:
    """Take actions uniformly at random, all but the one that stays.

    Args:
        dynamics: what moves the points, of the generator and the networks of the problem.
    """

    def search(problem: Problem) -> None:
        state = dynamics.begin(problem.random_points(), problem.goals)
        problem.record(state)
        while not problem.is_over:
            state = state.rows(problem.still_open)
            actions = torch.randint(1, dynamics.n_actions, (len(state),), generator=problem.random)
            state = dynamics.step(state, problem.goals.rows(problem.open), actions, problem.random_points())
            problem.record(state)

    return search


def greedy_look_ahead(dynamics: Dynamics) -> Search:
    """Try eight random steps along directions from one place, take the best if it is better, and repeat.

    Args:
        dynamics: what moves the points, of the generator and the networks of the problem.
    """
    steps = torch.nonzero(dynamics.table[:, 0] >= 0)[:, 0]

    def search(problem: Problem) -> None:
        here = dynamics.begin(problem.random_points(), problem.goals)
        problem.record(here)
        here = here.rows(problem.still_open)
        while not problem.is_over:
            best = here.copy()
            for _ in range(_TRIES):
                if problem.is_over:
                    return
                actions = steps[torch.randint(len(steps), (len(here),), generator=problem.random)]
                tried = dynamics.step(here, problem.goals.rows(problem.open), actions, torch.zeros_like(here.z))
                problem.record(tried)
                better = tried.match > best.match
                best.put(better, tried.rows(better))
                here, best = here.rows(problem.still_open), best.rows(problem.still_open)
            here = best

    return search
