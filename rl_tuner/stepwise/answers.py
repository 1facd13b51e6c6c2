"""The answers to goals: bars decided side by side, of which the best is taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rl_tuner.dynamics import State
from rl_tuner.goals import Goals
from rl_tuner.rewards import distance, less_costs
from rl_tuner.stepwise.draws import Draws
from rl_tuner.stepwise.dynamics import StepwiseDynamics, StepwiseState
from rl_tuner.stepwise.particles import decide_together

_REACHED = 100.0
"""What having its targets is worth beyond a bar's score: more than any cost."""

_LITTLE = 0.01
"""Of bars that miss their targets by as much, the one of the higher worth is taken."""

FIRST_WAVE = 4
"""Calls after which goals that are met exactly are done; the others go on with what is left."""


@torch.no_grad()
def answer(
    dynamics: StepwiseDynamics,
    nats: Callable[[Tensor], Tensor],
    goals: Goals,
    given: Tensor,
    has_given: Tensor,
    locked: Tensor,
    calls: int,
    draws: Callable[[Tensor, int], Draws],
    together: bool = True,
) -> tuple[State, Tensor]:
    """The best bar for each of n goals.

    The first bars are decided side by side, at most ``FIRST_WAVE``. Where none of them meets its targets exactly, the
    calls that are left are spent on others, again side by side. The best has the highest score less what its changes
    cost; where closeness counts, the given bar itself is one of those that it is chosen from.

    Args:
        dynamics: what decides.
        nats: see ``decide_together``.
        goals: n of them.
        given, has_given, locked: of each goal, see ``StepwiseDynamics.begin``.
        calls: bars that may be decided for each goal, 1 or more.
        draws: the goals (m,) that are decided, and the number of the wave → what is drawn from.
        together: see ``decide_together``.

    Returns:
        The states of the answers, n of them, with what closeness cost them in ``terms``; and what the generator has
        computed for each (n,), in bars decoded in full.
    """
    n = len(goals)
    open_goals = torch.arange(n, device=given.device)
    spent = torch.zeros(n, dtype=torch.float32, device=given.device)
    best: State | None = None
    worth = torch.full((n,), -torch.inf, dtype=torch.float32, device=given.device)
    for wave, k in enumerate(wave for wave in (min(calls, FIRST_WAVE), calls - FIRST_WAVE) if wave > 0):
        if not len(open_goals):
            break
        rows = open_goals
        here, costs = goals.rows(rows), (given[rows], has_given[rows], locked[rows])
        decided, each = decide_together(dynamics, nats, here, *costs, k, draws(rows, wave), together)
        found = dynamics.look_at(decided.bars.z, decided.bars.cells, each, each.calls)
        of_found, spent_here = _worth(dynamics, decided, found, each), decided.calls.view(-1, k).sum(1)
        chosen = of_found.view(-1, k).argmax(1) + torch.arange(len(rows), device=given.device) * k
        better = of_found[chosen] > worth[rows]
        spent[rows] += spent_here
        if best is None:
            best = found.rows(chosen)
        else:
            best.put(rows[better], found.rows(chosen[better]))
        worth[rows[better]] = of_found[chosen[better]]
        off = (best.values[rows] - here.targets).abs() * (here.importance > 0)
        open_goals = rows[off.amax(1) > 0]
    assert best is not None
    _keep_given(dynamics, best, worth, goals, given, has_given)
    return best, spent


def _worth(dynamics: StepwiseDynamics, decided: StepwiseState, found: State, goals: Goals) -> Tensor:
    """(n,), the scores of decided bars less the costs of all of their steps; the costs are noted in the terms."""
    costs = dynamics.costs_of_bars(decided)
    found.terms.update(costs)
    return _rank(dynamics, found, goals, less_costs(found.score, costs, {name: goals.coef(name) for name in costs}))


def _rank(dynamics: StepwiseDynamics, found: State, goals: Goals, worth: Tensor) -> Tensor:
    """(n,): bars that have their targets come before all others, by their worth; the others by how near they are."""
    off = distance(found.values, goals.targets, dynamics.scale.tolerance)
    nearness = -(off * goals.importance).sum(1)
    return torch.where(found.success > 0, _REACHED + worth, nearness + _LITTLE * worth)


def _keep_given(
    dynamics: StepwiseDynamics, best: State, worth: Tensor, goals: Goals, given: Tensor, has_given: Tensor
) -> None:
    """Answer with the given bar itself where closeness counts, and it has its targets or nothing found is worth more.

    A bar that has exactly what is asked for stays, however real others are.
    """
    rows = torch.nonzero(has_given & (goals.coef("closeness") > 0))[:, 0]
    if not len(rows):
        return
    nothing = torch.zeros(len(rows), best.z.shape[1], dtype=best.z.dtype, device=best.z.device)
    found = dynamics.look_at(nothing, given[rows], goals.rows(rows), goals.calls[rows])
    off = (found.values - goals.targets[rows]).abs() * (goals.importance[rows] > 0)
    stays = (_rank(dynamics, found, goals.rows(rows), found.score) >= worth[rows]) | (off.amax(1) == 0)
    if stays.any():
        kept, index = found.rows(stays), rows[stays]
        # of one seed, so that the point of a bar does not depend on its place in the batch
        z = dynamics.generator.encode(kept.bars.cpu().numpy(), np.zeros(len(kept), np.uint64))
        kept.z = torch.from_numpy(z).to(best.z)
        best.put(index, kept)
