"""The agent as a search."""

from __future__ import annotations

from torch import Tensor

from rl_tuner.dynamics import advance
from rl_tuner.latent.agent import LatentAgent
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.search.problem import Problem, Search


def latent_agent_search(
    agent: LatentAgent, dynamics: Dynamics, restarts: bool = False, start: Tensor | None = None
) -> Search:
    """Let the agent choose the actions.

    Args:
        agent: who chooses.
        dynamics: what moves its episodes, of the generator and the networks of the problem.
        restarts: whether an episode that stays short of its target begins anew at random z, with the calls left;
            otherwise it ends.
        start: (n, latent_dim), the points at which the episodes begin; random ones by default.
    """

    def search(problem: Problem) -> None:
        dim = dynamics.space.latent_dim

        def draw(goes_on: Tensor, anew: Tensor) -> tuple[Tensor, Tensor]:
            return problem.noise(int(anew.sum()), dim), problem.noise(len(anew), dim)

        state = dynamics.begin(problem.random_points() if start is None else start, problem.goals)
        problem.record(state)
        state = state.rows(problem.still_open)
        while not problem.is_over:
            goals = problem.goals.rows(problem.open)
            goes_on, state = advance(agent.act, dynamics, state, goals, draw, restarts)
            problem.close(~goes_on)
            if not len(state):
                return
            problem.record(state)
            state = state.rows(problem.still_open)

    return search
