"""The agent's own actions without an agent: drawn at random, or the best of some that were tried."""

from __future__ import annotations

import torch

from rl_tuner.search.problem import Problem

_TRIES = 8


def random_walk(problem: Problem) -> None:
    """Take the agent's actions uniformly at random, all but the one that stays."""
    dynamics = problem.dynamics
    state = dynamics.begin(problem.noise(len(problem.open), dynamics.space.latent_dim), problem.goals)
    problem.record(state)
    while not problem.is_over:
        state = state.rows(problem.still_open)
        n = len(state)
        actions = torch.randint(1, dynamics.n_actions, (n,), generator=problem.random)
        state = dynamics.step(
            state, problem.goals.rows(problem.open), actions, problem.noise(n, dynamics.space.latent_dim)
        )
        problem.record(state)


def greedy_look_ahead(problem: Problem) -> None:
    """Try eight random steps along directions from one place, take the best if it is better, and repeat."""
    dynamics = problem.dynamics
    steps = torch.nonzero(dynamics.table[:, 0] >= 0)[:, 0]
    here = dynamics.begin(problem.noise(len(problem.open), dynamics.space.latent_dim), problem.goals)
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
