"""Bars decided side by side: with an exact twist they are drawn from the very distribution that is asked for."""

from dataclasses import dataclass

import pytest
import torch

from rl_tuner.goals import Goals
from rl_tuner.stepwise.draws import BatchDraws, SeededDraws
from rl_tuner.stepwise.particles import decide_together

pytestmark = pytest.mark.usefixtures("one_thread")

LOADED = torch.tensor([0.05, 0.35, 0.1, 0.2, 0.3], dtype=torch.float64)
"""The chances of a loaded die with five faces, 0 to 4."""

ASKED = 4
"""The sum of two throws that is asked for."""


@dataclass
class Throws:
    """A state as ``decide_together`` needs it: the faces kept so far, who began, and the dice on the table."""

    kept: torch.Tensor
    began: torch.Tensor
    dice: torch.Tensor | None

    @property
    def is_over(self):
        return self.dice is None

    def rows(self, index):
        return Throws(self.kept[index], self.began[index], None if self.dice is None else self.dice[index])


class Dice:
    """Dynamics of two steps: before each of them dice are thrown, and one is kept."""

    terms = ()

    def __init__(self, n_actions):
        self.n_actions = n_actions

    def begin(self, given, has_given, locked, draws):
        n = len(given)
        assert len(has_given) == len(locked) == n
        return Throws(torch.zeros(n, 0, dtype=torch.long), torch.arange(n), self._throw(n, draws))

    def step(self, state, goals, actions, draws):
        n = len(actions)
        kept = torch.cat([state.kept, state.dice.gather(1, actions[:, None])], 1)
        return Throws(kept, state.began, self._throw(n, draws) if kept.shape[1] < 2 else None), torch.zeros(n)

    def observe(self, state, goals):
        """What the sum would be with each of the dice, and whether a throw follows."""
        last = torch.full((len(state.kept), 1), state.kept.shape[1])
        return torch.cat([last, state.kept.sum(1, keepdim=True) + state.dice], 1)

    def rarity(self, state, goals):
        """All dice are drawn."""
        return torch.zeros(1)

    def _throw(self, n, draws):
        uniform = draws.uniform(n, self.n_actions)
        return torch.searchsorted(LOADED.cumsum(0), uniform.contiguous(), right=True).clamp(max=4)


def chance_of(sums):
    """The chance that one more throw leads from these sums to what is asked."""
    left = ASKED - sums
    return torch.where((left >= 0) & (left <= 4), LOADED[left.clamp(0, 4)], 0.0)


def exact(observations):
    """The logarithm of the twist: how likely a sum is to come to what is asked for."""
    last, sums = observations[0, 0], observations[:, 1:]
    reached = chance_of(sums) if last == 0 else (sums == ASKED).double()
    return reached.clamp(min=1e-9).log().float()


def decide(nats, n, k, n_actions, together=True, seed=0, draws=None):
    goals, none = Goals.of(torch.zeros(n, 1), 1), torch.zeros(n, dtype=torch.bool)
    draws = draws or BatchDraws(torch.Generator().manual_seed(seed))
    cells = torch.zeros(n, 2, 1, dtype=torch.bool)
    return decide_together(Dice(n_actions), nats, goals, cells, none, cells, k, draws, together)[0]


def first_of_those_that_reach(state):
    reached = state.kept.sum(1) == ASKED
    return torch.bincount(state.kept[reached, 0], minlength=5).double(), reached.double().mean().item()


@pytest.mark.parametrize("n_actions", [2, 5])
def test_with_the_exact_twist_they_follow_the_conditional_distribution(n_actions):
    """Of the pairs with a sum of 4, the first throw is a with chance p(a) · p(4 − a) / Σ; nearly all reach it."""
    counts, reached = first_of_those_that_reach(decide(exact, 300, 64, n_actions))
    joint = LOADED * LOADED.flip(0)
    torch.testing.assert_close(counts / counts.sum(), joint / joint.sum(), atol=0.015, rtol=0)
    assert reached > 0.99
    # it is another one than that of single throws, and than one that counts the twist of the first step twice
    assert (joint / joint.sum() - LOADED).abs().max() > 0.1
    twice = joint * LOADED.flip(0)
    assert (joint / joint.sum() - twice / twice.sum()).abs().max() > 0.05


def test_where_all_is_worth_the_same_they_follow_the_model():
    state = decide(lambda seen: torch.full(seen[:, 1:].shape, -3.0), 600, 16, 3)
    for throw in range(2):
        shares = torch.bincount(state.kept[:, throw], minlength=5).double() / 9600
        torch.testing.assert_close(shares, LOADED, atol=0.015, rtol=0)


def test_one_alone_draws_from_the_policy():
    """Of two dice each is kept by its share of exp(worth): by hand over all 25 throws, the worth being the face."""
    n = 40_000
    state = decide(lambda seen: seen[:, 1:].float() * (seen[:, :1] == 0), n, 1, 2)
    expected = torch.zeros(5, dtype=torch.float64)
    for a in range(5):
        for b in range(5):
            odds = torch.tensor([a, b], dtype=torch.float64).exp()
            expected[a] += LOADED[a] * LOADED[b] * odds[0] / odds.sum()
            expected[b] += LOADED[a] * LOADED[b] * odds[1] / odds.sum()
    shares = torch.bincount(state.kept[:, 0], minlength=5).double() / n
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)
    again = torch.bincount(state.kept[:, 1], minlength=5).double() / n  # the second throw: all is worth the same
    torch.testing.assert_close(again, LOADED, atol=0.01, rtol=0)


def test_bars_take_one_anothers_place_within_their_goal_alone():
    n, k = 50, 6
    state = decide(exact, n, k, 3)
    assert torch.equal(state.began // k, torch.arange(n).repeat_interleave(k))
    assert (state.began != torch.arange(n * k)).any()


def test_decided_alone_they_never_mix():
    n, k = 4000, 6
    state = decide(exact, n, k, 2, together=False)
    assert torch.equal(state.began, torch.arange(n * k))
    # each draws from the policy, as one alone does
    alone = decide(exact, n * k, 1, 2, seed=5)
    for throw in range(2):
        shares = [torch.bincount(each.kept[:, throw], minlength=5).double() / (n * k) for each in (state, alone)]
        torch.testing.assert_close(*shares, atol=0.015, rtol=0)


def test_a_goal_is_decided_alike_in_any_company():
    def of(seeds):
        return decide(exact, len(seeds), 5, 3, draws=SeededDraws(seeds, 0)).kept.view(len(seeds), 5, 2)

    together = of([4, 9, 2])
    assert torch.equal(torch.cat([of([4]), of([9]), of([2])]), together)
    assert torch.equal(of([2, 4]), together[[2, 0]])
    assert not torch.equal(together[0], together[1])


def test_goals_given_bars_and_locks_belong_to_their_rows(dynamics):
    """Each goal has another given bar, of which all is locked: all its bars are this one, and the goals are its own."""
    n, k = 5, 3
    given = torch.from_numpy(dynamics.generator.sample(n, seed=40))
    asked = Goals.of(torch.arange(2.0 * n).view(n, 2), 1, closeness=0.5)
    has_given, draws = torch.tensor([True, True, False, True, True]), SeededDraws(range(n), 0)
    locked = torch.ones_like(given) & has_given[:, None, None]
    state, each = decide_together(
        dynamics, lambda seen: torch.zeros(len(seen), 8), asked, given, has_given, locked, k, draws
    )
    cells = state.bars.cells.view(n, k, 16, 9)
    assert torch.equal(cells[has_given], given[has_given][:, None].expand(4, k, 16, 9))
    assert not torch.equal(cells[2], given[2].expand(k, 16, 9))
    assert torch.equal(each.targets, asked.targets.repeat_interleave(k, 0))
    assert set(each.coefs) == set(dynamics.terms)
