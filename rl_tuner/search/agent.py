"""The agent as a search."""

from __future__ import annotations

import torch

from rl_tuner.agent import Agent
from rl_tuner.search.problem import Problem, Search
from rl_tuner.stepwise.answers import answer
from rl_tuner.stepwise.draws import BatchDraws
from rl_tuner.stepwise.dynamics import StepwiseDynamics


def agent_search(agent: Agent, dynamics: StepwiseDynamics, trust: float, together: bool = True) -> Search:
    """Let the agent decide bars, as many as there are calls.

    Args:
        agent: whose Q it is.
        dynamics: its own, of ``Agent.dynamics``.
        trust: 0 … 1, how much Q counts beside the read-out, see ``Agent.nats``; with 0 there is no Q.
        together: whether bars take one another's place; otherwise each is decided alone.
    """

    def search(problem: Problem) -> None:
        goals, n = problem.goals.rows(problem.open), len(problem.open)
        none = torch.zeros(n, problem.generator.steps, problem.generator.kit.n_parts, dtype=torch.bool)
        draws = BatchDraws(problem.random)
        found, spent = answer(
            dynamics,
            lambda seen: agent.nats(seen, trust),
            goals,
            none,
            torch.zeros(n, dtype=torch.bool),
            none,
            problem.calls_left,
            lambda rows, wave: draws,
            together,
        )
        problem.count(spent)
        problem.record(problem.look_at(found.z, found.bars), problem.calls_left)

    return search
