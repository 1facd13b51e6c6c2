"""Searches that choose while a bar is decided: what a read-out says of unfinished bars decides which go on.

They plan: the budget is known before the first step, and success "at K calls" is that of a search with K calls. A call
is a bar decoded in full; a step of a bar costs its share, which ``Problem.decide`` counts.
"""

from __future__ import annotations

import torch

from rhythmgan.models.interfaces import UnfinishedBars
from rl_tuner.goals import Goals
from rl_tuner.search.problem import Problem, Search
from rl_tuner.stepwise.read_out import ReadOut, log_chance, noise_widths
from rl_tuner.stepwise.resampling import systematic_resampling

_LIKELY = 1.0
"""Standard deviations, on average over the features, that a target may lie from where a bar is going."""


def particle_filter(read_out: ReadOut, fairness: float = 1.0) -> Search:
    """Decide K bars side by side, K the calls; after each step those that go on are drawn by their chance to succeed.

    The chance is a Gaussian's around what the read-out predicts, the draw is systematic. The best of the last K bars
    is the answer. With a fairness of 1 it is twisted sequential Monte Carlo (Guarniero, Johansen & Lee 2017): a weight
    is the chance after a step over that before it, so that with many particles the bars are drawn as the generator
    draws those that have the targets. With 0 the chances of all steps count anew at each: more targets are reached with
    few particles, and bars are drawn to the places where the read-out is surest.

    Args:
        read_out: what says where unfinished bars are going.
        fairness: 0 … 1, the exponent of the chance that a weight is divided by.

    Raises:
        ValueError: a fairness out of range.
    """
    if not 0 <= fairness <= 1:
        raise ValueError(f"fairness lies in 0 … 1, not at {fairness}")

    def search(problem: Problem) -> None:
        goals, n, k = problem.goals.rows(problem.open), len(problem.open), problem.calls_left
        owners = torch.arange(n).repeat_interleave(k)
        each = goals.rows(owners)
        bars = problem.dynamics.generator.begin(n * k)
        before = torch.zeros(n, k)
        widths = noise_widths(problem.dynamics.generator)
        for step, width in enumerate(widths, 1):
            bars = problem.decide(bars, problem.noise(n * k, width), problem.open[owners])
            if step < len(widths):
                chances = log_chance(read_out(bars), each.targets, each.importance).view(n, k)
                weights = (chances - fairness * before).softmax(1)
                chosen = systematic_resampling(weights, torch.rand(n, generator=problem.random))
                before = chances.gather(1, chosen)
                bars = bars.rows((torch.arange(n)[:, None] * k + chosen).flatten())
        _record_best(problem, bars, each, k)

    return search


def greedy_by_step(read_out: ReadOut) -> Search:
    """Decide each step as many times as there are calls, and go on with the one that leads nearest to the targets."""

    def search(problem: Problem) -> None:
        goals, n, k = problem.goals.rows(problem.open), len(problem.open), problem.calls_left
        owners = torch.arange(n).repeat_interleave(k)
        each = goals.rows(owners)
        best, widths = problem.dynamics.generator.begin(n), noise_widths(problem.dynamics.generator)
        for step, width in enumerate(widths, 1):
            bars = problem.decide(best.rows(owners), problem.noise(n * k, width), problem.open[owners])
            if step < len(widths):
                chances = log_chance(read_out(bars), each.targets, each.importance).view(n, k)
                best = bars.rows(torch.arange(n) * k + chances.argmax(1))
        _record_best(problem, bars, each, k)

    return search


def rejection_by_step(read_out: ReadOut) -> Search:
    """Draw each step again until the targets remain likely, or its share of the calls that are left is spent.

    Then the best draw of the step is decided once more, and the next step begins.
    """

    def search(problem: Problem) -> None:
        goals, n = problem.goals.rows(problem.open), len(problem.open)
        limit = -0.5 * _LIKELY**2 * goals.importance.sum(1)
        bars, widths = problem.dynamics.generator.begin(n), noise_widths(problem.dynamics.generator)
        left = torch.full((n,), problem.calls_left * len(widths))
        for step, width in enumerate(widths, 1):
            tries = left // (len(widths) - step + 1) - 1  # one decides what was taken
            noise = problem.noise(n, width)
            best = torch.full((n,), -torch.inf)
            trying = torch.nonzero(tries > 0)[:, 0]
            while len(trying):
                drawn = problem.noise(len(trying), width)
                tried = problem.decide(bars.rows(trying), drawn, problem.open[trying])
                left[trying] -= 1
                tries[trying] -= 1
                chances = log_chance(read_out(tried), goals.targets[trying], goals.importance[trying])
                better = chances > best[trying]
                noise[trying[better]], best[trying[better]] = drawn[better], chances[better]
                trying = trying[(chances < limit[trying]) & (tries[trying] > 0)]
            bars = problem.decide(bars, noise, problem.open)
            left -= 1
        _record_best(problem, bars, goals, 1)

    return search


def _record_best(problem: Problem, bars: UnfinishedBars, goals: Goals, k: int) -> None:
    """Let the best of the k bars of each open target be its answer; all calls are spent."""
    calls = problem.calls_left
    state = problem.dynamics.look_at(bars.z, bars.cells, goals, goals.calls - calls)
    best = state.score.view(-1, k).argmax(1)
    problem.record(state.rows(torch.arange(len(best)) * k + best), calls)
