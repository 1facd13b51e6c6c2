"""Searches that choose while a bar is decided: what a read-out says of unfinished bars decides which go on.

They plan: the budget is known before the first step, and success "at K calls" is that of a search with K calls. All
decide K bars side by side for a budget of K calls, and the best of these is the answer. Each bar may look at several
candidates for its next step, noises that are tried: the generator's state before a step is the same for all of them,
so that eight cost hardly more than one. ``Problem.look_ahead`` counts a step of a bar as its share of a call, and what
a candidate adds to the generator's multiply-adds on top. Read-outs are not counted: they show in the time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rhythmgan.models.interfaces import NextStep, UnfinishedBars
from rl_tuner.goals import Goals
from rl_tuner.search.problem import Problem, Search
from rl_tuner.stepwise.dynamics import StepReadOut
from rl_tuner.stepwise.read_out import distinct_candidates, log_chance, noise_widths, seen_of
from rl_tuner.stepwise.resampling import systematic_resampling

_LIKELY = 1.0
"""Standard deviations, on average over the features, that a target may lie from where a bar is going."""

Choice = Callable[[Problem, Tensor, Tensor], Tensor]
"""Which go on: the problem, log-chances (n, K, M) of K bars for each open target with M candidates each, and those of
the bars before the step (n, K) → K of the K · M pairs, (n, K) ints, bar · M + candidate."""


def particle_filter(read_out: StepReadOut, fairness: float = 1.0, candidates: int = 1) -> Search:
    """Decide K bars side by side, K the calls; after each step those that go on are drawn by their chance to succeed.

    The chance is a Gaussian's around what the read-out predicts, the draw is systematic. Where each bar has several
    candidates for its step, K go on of all pairs of a bar and a candidate, by one draw. With a fairness of 1 it is
    twisted sequential Monte Carlo (Guarniero, Johansen & Lee 2017): a weight is the chance after a step over that
    before it, so that with many particles the bars are drawn as the generator draws those that have the targets. With
    0 the chances of all steps count anew at each: more targets are reached with few particles, and bars are drawn to
    the places where the read-out is surest.

    Args:
        read_out: what says where unfinished bars are going.
        fairness: 0 … 1, the exponent of the chance that a weight is divided by.
        candidates: M, noises that each bar looks at for its next step.

    Raises:
        ValueError: a fairness out of range, or no candidate.
    """
    if not 0 <= fairness <= 1:
        raise ValueError(f"fairness lies in 0 … 1, not at {fairness}")

    def resample(problem: Problem, chances: Tensor, before: Tensor) -> Tensor:
        n, k, m = chances.shape
        weights = (chances - fairness * before[..., None]).view(n, k * m).softmax(1)
        return systematic_resampling(weights, torch.rand(n, generator=problem.random), k)

    return _side_by_side(read_out, candidates, resample)


def greedy_by_step(read_out: StepReadOut, candidates: int = 8) -> Search:
    """Decide each step of K bars by the candidate that leads nearest to the targets; no bar takes another's place.

    Args:
        read_out: what says where unfinished bars are going.
        candidates: M, noises that each bar looks at for its next step.

    Raises:
        ValueError: no candidate.
    """

    def nearest(problem: Problem, chances: Tensor, before: Tensor) -> Tensor:
        return _of_each_bar(chances.argmax(2), chances.shape[2])

    return _side_by_side(read_out, candidates, nearest)


def rejection_by_step(read_out: StepReadOut, candidates: int = 8) -> Search:
    """Decide each step of K bars by the first candidate with which the targets remain likely; the best where none does.

    Args:
        read_out: what says where unfinished bars are going.
        candidates: M, noises that each bar looks at for its next step.

    Raises:
        ValueError: no candidate.
    """

    def first_likely(problem: Problem, chances: Tensor, before: Tensor) -> Tensor:
        limit = -0.5 * _LIKELY**2 * problem.goals.rows(problem.open).importance.sum(1)
        likely = chances >= limit[:, None, None]
        # argmax of a mask is the first that is set
        return _of_each_bar(torch.where(likely.any(2), likely.int().argmax(2), chances.argmax(2)), chances.shape[2])

    return _side_by_side(read_out, candidates, first_likely)


def _of_each_bar(chosen: Tensor, candidates: int) -> Tensor:
    """A candidate of each bar, (n, K), as pairs."""
    return torch.arange(chosen.shape[1]) * candidates + chosen


def _side_by_side(read_out: StepReadOut, candidates: int, choose: Choice) -> Search:
    """Decide as many bars for each target as there are calls, each step by a choice among candidates."""
    if candidates < 1:
        raise ValueError(f"a step has one candidate or more, not {candidates}")

    def search(problem: Problem) -> None:
        n, k, generator = len(problem.open), problem.calls_left, problem.generator
        owners = torch.arange(n).repeat_interleave(k)
        goals = problem.goals.rows(problem.open[owners])
        bars = generator.begin(n * k)
        before = torch.zeros(n, k)
        widths = noise_widths(generator)
        for step, width in enumerate(widths, 1):
            noise = problem.noise(n * k, candidates, width)
            ahead = problem.look_ahead(bars, problem.open[owners], candidates)
            if step == len(widths) and candidates == 1:
                bars = ahead.decide(noise[:, 0])  # the best of the last bars is the answer: none is drawn twice
                break
            chances = _chances(problem, read_out, bars, ahead, ahead.cells_of(noise), goals).view(n, k, candidates)
            chosen = choose(problem, chances, before)
            before = chances.flatten(1).gather(1, chosen)
            pairs = (torch.arange(n)[:, None] * k * candidates + chosen).flatten()
            parents = pairs // candidates
            bars = ahead.rows(parents).decide(noise[parents, pairs % candidates])
        calls = problem.calls_left
        state = problem.scorer.look_at(bars.z, bars.cells, goals, goals.calls - calls)
        best = state.score.view(n, k).argmax(1)
        problem.record(state.rows(torch.arange(n) * k + best), calls)

    return search


def _chances(
    problem: Problem, read_out: StepReadOut, bars: UnfinishedBars, ahead: NextStep, cells: Tensor, goals: Goals
) -> Tensor:
    """The log-chance (n, M) of each candidate's cells (n, M, parts) to lead to the targets; see ``log_chance``.

    Candidates that decide the same cells of a bar are asked for once.
    """
    steps, rows, index = distinct_candidates(bars.cells, cells)
    so_far, last = seen_of(steps, problem.generator, problem.scorer.scale)
    predicted = read_out.of_candidates(so_far, ahead.state.float(), last, rows, steps.shape[1])
    return log_chance(predicted, goals.targets[rows], goals.importance[rows])[index]
