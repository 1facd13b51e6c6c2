"""Bars decided side by side: what candidates are worth says which of them go on, many bars cover chance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rl_tuner.goals import Goals
from rl_tuner.stepwise.draws import Draws
from rl_tuner.stepwise.dynamics import StepwiseDynamics, StepwiseState
from rl_tuner.stepwise.resampling import systematic_resampling


@torch.no_grad()
def decide_together(
    dynamics: StepwiseDynamics,
    nats: Callable[[Tensor], Tensor],
    goals: Goals,
    given: Tensor,
    has_given: Tensor,
    locked: Tensor,
    k: int,
    draws: Draws,
    together: bool = True,
) -> tuple[StepwiseState, Goals]:
    """Decide k bars for each of n goals, in n · k episodes.

    Before each step every bar has its candidates; of all candidates of a goal's k bars, k go on. They are drawn by
    systematic resampling with weights exp(worth of the candidate − worth of the one taken before it):
    twisted sequential Monte Carlo (Guarniero, Johansen & Lee 2017) whose twist is exp(worth). With
    k = 1 this draws from the agent's policy.

    Args:
        dynamics: what decides.
        nats: observations (n · k, width) → what each candidate is worth, (n · k, candidates), in nats.
        goals: n of them.
        given, has_given, locked: of each goal, see ``StepwiseDynamics.begin``.
        k: bars side by side for each goal.
        draws: what is drawn from; its rows are those of the n goals, k times each.
        together: whether the k go on that are drawn among the candidates of all k bars; otherwise each bar goes on with
            one of its own.

    Returns:
        The episodes at their end, n · k rows, k for each goal; and their goals.
    """
    n, m = len(given), dynamics.n_actions
    owners = torch.arange(n, device=given.device).repeat_interleave(k)
    each = goals.with_terms(dynamics.terms).rows(owners)
    state = dynamics.begin(given[owners], has_given[owners], locked[owners], draws)
    before = torch.zeros(n, k, 1, dtype=torch.float32, device=given.device)
    while not state.is_over:
        worth = (nats(dynamics.observe(state, each)) + dynamics.rarity(state, each)).view(n, k, m)
        if together:
            weights = (worth - before).flatten(1).softmax(1)
            chosen = systematic_resampling(weights, draws.uniform(n), k)
        else:
            one = systematic_resampling(worth.flatten(0, 1).softmax(1), draws.uniform(n * k), 1)
            chosen = one.view(n, k) + torch.arange(k, device=given.device) * m
        before = worth.flatten(1).gather(1, chosen)[..., None]
        rows = (torch.arange(n, device=given.device)[:, None] * k + chosen // m).flatten()
        state, _ = dynamics.step(state.rows(rows), each, (chosen % m).flatten(), draws)
    return state, each
