"""What every search is given: targets, a budget of calls, and a count of both.

A search asks a ``Problem`` for bars. The problem counts the calls, keeps the best bar of each target, notes the call
that first reached it, and says which targets are still open. A search is done with a target once it is reached, so
that time is compared fairly; with coefficients for realism or likelihood it goes on to the end of its budget, as a
later bar may score higher.

A call is a bar decoded in full. A search that chooses while bars are decided asks the problem to look at their next
steps: each counts as its share of a call, and all calls are spent at once when the bar that was found is recorded. What
counts is the work of the generator. What networks cost that say where a bar is going is seen in the time alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rhythmgan.models.interfaces import LatentModel, NextStep, UnfinishedBars
from rl_tuner.dynamics import BarScorer, Best, State
from rl_tuner.goals import Goals

Search = Callable[["Problem"], None]
"""A search: it evaluates bars of the problem until that is over, or until it gives up."""

NEVER = 1 << 30
"""The call of the first success where there was none."""


@dataclass
class SearchResult:
    """What a search has found.

    Attributes:
        bars: (n, steps, parts) bool, the answers: the best bar of each target.
        values: (n, F), their features.
        success: (n,) bool, whether the answers have their targets.
        at: (n,) ints, the call that first reached the target; ``NEVER`` where none did.
        seconds: (calls,), time of the processor until each call of the batch was over: on one core what a clock shows
            where nobody else computes.
        z: (n, latent_dim) of the answers; NaN where a search has none.
        spent: calls that a target cost on average, the shares of candidates for steps among them.
    """

    bars: np.ndarray
    values: np.ndarray
    success: np.ndarray
    at: np.ndarray
    seconds: np.ndarray
    z: np.ndarray
    spent: float = 0.0

    def success_within(self, calls: int) -> np.ndarray:
        """Whether each target was reached within so many calls: (n,) bool."""
        return self.at <= calls


class Problem:
    """Targets to reach, a budget of calls, and the best bars so far.

    Attributes:
        generator: what decodes.
        scorer: what says what bars are worth to goals.
        targets: (n, F).
        goals: the targets and the coefficients of the other terms.
        calls: the budget: bars that may be evaluated for each target.
        calls_used: calls so far.
        random: what a search draws from.
        open: (m,) ints, the targets that are searched for still.
        still_open: mask over the targets that were open before the last call: those that stayed open.

    Args:
        generator: what decodes.
        scorer: what says what its bars are worth; the dynamics of any agent is one.
        targets: (n, F).
        calls: see there.
        seed: of everything that the search draws.
        goals: targets with coefficients; without coefficients by default. Where realism or likelihood have one, a
            target stays open when it is reached: the best score is searched for, with all calls.
    """

    def __init__(
        self,
        generator: LatentModel,
        scorer: BarScorer,
        targets: Tensor,
        calls: int,
        seed: int,
        goals: Goals | None = None,
    ) -> None:
        n = len(targets)
        self.generator, self.scorer = generator, scorer
        self.targets, self.calls = targets, calls
        self.goals = goals or Goals.of(targets, calls)
        self.random = torch.Generator().manual_seed(seed)
        self.open = torch.arange(n)
        self.still_open = torch.ones(n, dtype=torch.bool)
        self.calls_used = 0
        self._steps_decided = torch.zeros(n, dtype=torch.long)
        self._spent = torch.zeros(n, dtype=torch.float64)
        self._best: Best | None = None
        self._at = torch.full((n,), NEVER)
        self._seconds: list[float] = []
        self._began = time.process_time()

    @property
    def is_over(self) -> bool:
        """Whether no target is open or no call is left."""
        return not len(self.open) or self.calls_used >= self.calls

    @property
    def calls_left(self) -> int:
        """How many calls each open target has left."""
        return self.calls - self.calls_used

    def noise(self, *shape: int) -> Tensor:
        """N(0, 1) of this shape, drawn from the problem's seed."""
        return torch.randn(shape, generator=self.random, dtype=torch.float32)

    def random_points(self) -> Tensor:
        """A random point (m, latent_dim) for each open target."""
        return self.noise(len(self.open), self.generator.latent_dim)

    def evaluate(self, z: Tensor) -> Tensor:
        """Spend one call on each open target.

        Args:
            z: (m, latent_dim), a point for each open target, in the order of ``open``.

        Returns:
            (m, F), the features of their bars. Targets may have closed since: ``still_open`` masks what belongs to
            the others.
        """
        return self.record(self.look_at(z, torch.from_numpy(self.generator.decode(z))))

    def look_at(self, z: Tensor, bars: Tensor) -> State:
        """What bars (m, steps, parts) of z (m, latent_dim) are worth, one for each open target; no call is counted."""
        goals = self.goals.rows(self.open)
        return self.scorer.look_at(z, bars, goals, goals.calls - self.calls_used - 1)

    def look_ahead(self, bars: UnfinishedBars, rows: Tensor, candidates: int = 1) -> NextStep:
        """The next step of bars of the generator, on account of the targets that they are for.

        A step of a bar counts as its share of a call, whichever noise then decides it. Each candidate after the first
        counts as the share of the step's multiply-adds that its noise alone needs.

        Args:
            bars: n of them.
            rows: (n,) ints, the target of each bar.
            candidates: noises that are tried for the step of each bar.

        Raises:
            ValueError: more steps than the calls that a target has left.
        """
        self._steps_decided.index_add_(0, rows, torch.ones_like(rows))
        self._check_spent(self.calls_left)
        ahead = bars.look_ahead()
        of_step, of_noise = ahead.multiply_adds
        share = (candidates - 1) * of_noise / (of_step + of_noise) / self.generator.steps
        self._spent.index_add_(0, rows, torch.full(rows.shape, share, dtype=torch.float64))
        return ahead

    def count(self, spent: Tensor) -> None:
        """Account for bars that were decided for the open targets without ``look_ahead``, with all calls that are left.

        Args:
            spent: (m,), what the generator has computed for each, in bars decoded in full, candidates included.

        Raises:
            ValueError: by more than a tenth over the calls that are left: that is no candidates' share.
        """
        if float(spent.max()) > 1.1 * self.calls_left:
            raise ValueError(
                f"{float(spent.max()):.1f} bars were decided for a target that has {self.calls_left} calls left"
            )
        self._spent[self.open] += spent.double() - self.calls_left

    def _check_spent(self, calls: int) -> None:
        """Raise a ValueError where more steps were decided for a target than so many bars have."""
        steps, most = self.generator.steps, int(self._steps_decided.max())
        if most > calls * steps:
            raise ValueError(f"{most} steps were decided for a target: {calls} bars have {calls * steps}")

    def record(self, state: State, calls: int = 1) -> Tensor:
        """Count calls for each open target, keep what scores higher, and return the features (m, F).

        Args:
            state: a bar for each open target.
            calls: how many are spent at once, those of ``look_ahead`` since the last time among them.

        Raises:
            ValueError: more steps were decided for a target than so many bars have.
        """
        rows = self.open
        self._check_spent(calls)
        self._steps_decided.zero_()
        self.calls_used += calls
        self._spent[rows] += calls
        if self._best is None:  # the first call is one of every target
            self._best = Best(state)
        else:
            self._best.keep(rows, state)
        success = state.success > 0
        first = rows[success & (self._at[rows] == NEVER)]
        self._at[first] = self.calls_used
        self.still_open = ~success | self.goals.rows(rows).asks_networks
        self.open = rows[self.still_open]
        self._seconds += [time.process_time() - self._began] * calls
        return state.values

    def close(self, those: Tensor) -> None:
        """Search no longer for some of the open targets, a mask (m,)."""
        self.open = self.open[~those]

    def result(self) -> SearchResult:
        """What the search has found so far, after one call at least."""
        seconds = np.full(self.calls, self._seconds[-1])
        seconds[: len(self._seconds)] = self._seconds[: self.calls]
        assert self._best is not None
        best = self._best.state
        return SearchResult(
            best.bars.numpy(),
            best.values.numpy(),
            best.success.numpy() > 0,
            self._at.numpy(),
            seconds,
            best.z.numpy(),
            float(self._spent.mean()),
        )
