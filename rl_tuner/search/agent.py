"""The agent as a search."""

from __future__ import annotations

from rl_tuner.agent import Agent
from rl_tuner.search.problem import Problem, Search


def agent_search(agent: Agent, restarts: bool = False) -> Search:
    """Let the agent choose the actions.

    Args:
        agent: who chooses.
        restarts: whether an episode that stays short of its target begins anew at random z, with the calls left;
            otherwise it ends.
    """

    def search(problem: Problem) -> None:
        dynamics, dim = problem.dynamics, problem.dynamics.space.latent_dim
        state = dynamics.begin(problem.noise(len(problem.open), dim), problem.goals)
        problem.record(state)
        state = state.rows(problem.still_open)
        while not problem.is_over:
            goals = problem.goals.rows(problem.open)
            actions = agent.act(dynamics.observe(state, goals))
            goes_on = actions > 0
            if restarts:
                goes_on |= state.success == 0
            problem.close(~goes_on)
            state, goals, actions = state.rows(goes_on), goals.rows(goes_on), actions[goes_on]
            if not len(state):
                return
            anew = actions == 0
            state.z[anew] = problem.noise(int(anew.sum()), dim)
            state = dynamics.step(state, goals, actions, problem.noise(len(state), dim))
            problem.record(state)
            state = state.rows(problem.still_open)

    return search
