"""Answers to goals: the best bar of two waves, or the given bar, for what it may cost."""

import numpy as np
import pytest
import torch

from rhythmgan.features import density, syncopation
from rl_tuner.goals import Goals
from rl_tuner.rewards import CLOSENESS_PRICE
from rl_tuner.stepwise import answers
from rl_tuner.stepwise.answers import answer
from rl_tuner.stepwise.draws import SeededDraws

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def waves(monkeypatch):
    """What was decided: for each wave the bars (goals, k, steps, parts), and the goals' targets (goals, F)."""
    heard, decide = [], answers.decide_together

    def listen(dynamics, nats, goals, given, has_given, locked, k, *others):
        state, each = decide(dynamics, nats, goals, given, has_given, locked, k, *others)
        heard.append((state.bars.cells.view(len(given), k, 16, 9), goals.targets))
        return state, each

    monkeypatch.setattr(answers, "decide_together", listen)
    return heard


def ask(dynamics, targets, calls, given=None, locked=None, seeds=None, nats=None, **coefs):
    """Answers by what the read-out says, or by ``nats``; targets (n, 2)."""
    targets = torch.as_tensor(targets, dtype=torch.float32)
    n = len(targets)
    has_given = torch.full((n,), given is not None)
    given = torch.zeros(n, 16, 9, dtype=torch.bool) if given is None else torch.as_tensor(given)
    locked = torch.zeros_like(given) if locked is None else locked
    seeds = np.arange(n) if seeds is None else np.asarray(seeds)

    def said(observations):
        return 10 * dynamics.unpack(observations)[1]["log chance"][..., 0]

    return answer(
        dynamics,
        nats or said,
        Goals.of(targets, 1, **coefs),
        given,
        has_given,
        locked,
        calls,
        lambda rows, wave: SeededDraws(seeds[rows.numpy()], wave),
    )


def of(dynamics, bars):
    """Density and syncopation of bars (..., 16, 9): (..., 2)."""
    flat = bars.reshape(-1, 16, 9).numpy()
    return torch.stack([density(flat, dynamics.kit), syncopation(flat, dynamics.kit)], 1).view(*bars.shape[:-2], 2)


def worth(dynamics, bars, targets, given=None, realism=0.0, closeness=0.0):
    """What bars (k, 16, 9) are worth, by hand: near targets, real where they reach them, and close."""
    gaps = (of(dynamics, bars) - torch.as_tensor(targets)).abs()
    reached = (gaps <= 1).all(1)
    found = 0.5 * torch.exp(-gaps.sum(1) / 4) + 0.5 * reached
    real = torch.sigmoid(dynamics.models.critic.logits(bars) - dynamics.scale.calibration[0])
    found = found + realism * reached * real
    if given is not None:
        found = found - CLOSENESS_PRICE * closeness * (bars ^ given).sum((1, 2)) / given.sum().clamp(min=8)
    return found


HARD = [[2.0, 9.0], [40.0, 1.0], [11.0, 3.0], [9.0, 2.0], [14.0, 6.0]]
"""Targets of which the first two are out of reach."""


@pytest.mark.parametrize(("calls", "sizes"), [(1, [1]), (3, [3]), (4, [4]), (5, [4, 1]), (9, [4, 5])])
def test_the_first_wave_is_of_four_bars_and_the_second_of_the_others(dynamics, waves, calls, sizes):
    _, spent = ask(dynamics, HARD[:2], calls)
    assert [bars.shape[1] for bars, _ in waves] == sizes
    # a bar is a call, and by hand seven noises more of 54 of 1062 multiply-adds
    torch.testing.assert_close(spent, torch.full((2,), calls * (1 + 7 * 54 / 1062)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("realism", [0.0, 0.8])
def test_the_best_bar_of_all_that_were_decided_is_the_answer(dynamics, waves, realism):
    found, _ = ask(dynamics, HARD, 12, realism=realism)
    # goals that one of the first four bars meets exactly are done, whatever else could be found
    first, second = waves
    exact = [
        bool(((of(dynamics, bars) - target).abs().sum(1) == 0).any())
        for bars, target in zip(first[0], first[1], strict=True)
    ]
    best_of_first = [
        bars[worth(dynamics, bars, target, realism=realism).argmax()]
        for bars, target in zip(first[0], first[1], strict=True)
    ]
    done = [bool((of(dynamics, bar) == target).all()) for bar, target in zip(best_of_first, first[1], strict=True)]
    assert done == exact
    assert torch.equal(second[1], torch.tensor([target for target, over in zip(HARD, done, strict=True) if not over]))
    rest = iter(second[0])
    for row, target in enumerate(HARD):
        bars = first[0][row] if done[row] else torch.cat([first[0][row], next(rest)])
        worths = worth(dynamics, bars, target, realism=realism)
        assert torch.equal(found.bars[row], bars[worths.argmax()])
        assert found.score[row].item() == pytest.approx(worths.max().item(), abs=1e-5)
    np.testing.assert_array_equal(dynamics.generator.decode(found.z.numpy()), found.bars.numpy())
    torch.testing.assert_close(found.values, of(dynamics, found.bars).float())


def test_what_is_met_exactly_stops_and_what_is_skipped_does_not_count(dynamics, waves):
    """Each goal asks for the features of a bar that the first wave is known to hold, but for the last one."""
    ask(dynamics, [[10.0, 3.0]] * 3, 4, nats=lambda seen: torch.zeros(len(seen), 8))
    held = of(dynamics, waves[0][0][:, 1])
    waves.clear()
    asked = torch.cat([held, torch.tensor([[60.0, 0.0]])])
    found, spent = ask(dynamics, asked, 32, seeds=[0, 1, 2, 3], nats=lambda seen: torch.zeros(len(seen), 8))
    assert [tuple(bars.shape[:2]) for bars, _ in waves] == [(4, 4), (1, 28)]
    torch.testing.assert_close(found.values[:3], held.float())
    torch.testing.assert_close(spent / spent[0], torch.tensor([1.0, 1, 1, 8]))
    assert found.success.tolist() == [1, 1, 1, 0]
    # where all is met in the first wave there is no second one
    waves.clear()
    ask(dynamics, held, 32, nats=lambda seen: torch.zeros(len(seen), 8))
    assert len(waves) == 1


def test_changes_are_weighed_against_what_they_bring(dynamics, waves):
    given = torch.from_numpy(dynamics.generator.sample(6, seed=70))
    targets = of(dynamics, given) + torch.tensor([3.0, 1.0])
    assert len(torch.unique(targets, dim=0)) == 6
    found, _ = ask(dynamics, targets, 10, given, closeness=0.7, realism=0.4)
    moved = 0
    for row, target in enumerate(targets):
        decided = [bars[(asked == target).all(1)].flatten(0, 1) for bars, asked in waves]
        bars = torch.cat([*decided, given[row : row + 1]])
        worths = worth(dynamics, bars, target, given[row], 0.4, 0.7)
        assert torch.equal(found.bars[row], bars[worths.argmax()])
        cells = (found.bars[row] ^ given[row]).sum()
        assert found.terms["closeness"][row].item() == pytest.approx((cells / given[row].sum().clamp(min=8)).item())
        moved += int(cells > 0)
    assert moved > 1


def test_reaching_the_targets_comes_before_what_it_costs(dynamics, waves):
    given = torch.zeros(6, 16, 9, dtype=torch.bool)
    given[:, 0, 0] = True
    targets = torch.arange(20.0, 26.0)[:, None] * torch.tensor([1.0, 0.4])
    found, _ = ask(dynamics, targets, 12, given, closeness=1.0)
    reached = 0
    for row, target in enumerate(targets):
        decided = torch.cat([bars[(asked == target).all(1)].flatten(0, 1) for bars, asked in waves])
        there = ((of(dynamics, decided) - target).abs() <= 1).all(1)
        assert bool(found.success[row]) == bool(there.any())
        reached += int(there.any())
        if there.any():  # of those that have the targets the least is changed, but for how exact they are
            cells = (decided[there] ^ given[0]).sum((1, 2))
            assert found.terms["closeness"][row] * 8 <= cells.max()
            # by its costs alone the given bar would stay
            assert worth(dynamics, given[:1], target, given[0], 0.0, 1.0)[0] > found.score[row] - cells.min() / 8
    assert reached >= 2


@pytest.mark.parametrize("coefs", [{"closeness": 0.01}, {"closeness": 0.5, "realism": 1.0}, {"closeness": 1.0}])
def test_a_given_bar_that_has_its_targets_stays(dynamics, coefs):
    given = torch.from_numpy(dynamics.generator.sample(20, seed=80))
    found, spent = ask(dynamics, of(dynamics, given), 8, given, **coefs)
    assert torch.equal(found.bars, given)
    np.testing.assert_array_equal(dynamics.generator.decode(found.z.numpy()), given.numpy())
    assert not found.terms["closeness"].any()
    assert (found.match == 1).all()
    assert (spent > 0).all()


def test_a_given_bar_that_has_its_targets_stays_however_real_others_are(dynamics, monkeypatch):
    """The critic has seen through the given bars, and takes all others for real."""
    given = torch.from_numpy(dynamics.generator.sample(20, seed=80))

    def logits(bars):
        return 20 - 40 * (bars[:, None] == given).all(3).all(2).any(1).float()

    monkeypatch.setattr(dynamics.models.critic, "logits", logits)
    asked = of(dynamics, given)
    found, _ = ask(dynamics, asked, 8, given, closeness=0.01, realism=1.0)
    assert torch.equal(found.bars, given)
    # where they have it nearly, they do not
    off, _ = ask(dynamics, asked + torch.tensor([1.0, 0]), 8, given, closeness=0.01, realism=1.0)
    assert (off.bars != given).any(2).any(1).float().mean() > 0.5


def test_a_given_bar_stays_where_nothing_is_worth_a_change(dynamics):
    """All that is decided differs in nearly all steps, and hardly ever comes nearer."""
    given = torch.from_numpy(dynamics.generator.sample(5, seed=90))

    def worst(observations):
        return 100 * dynamics.unpack(observations)[1]["changed"][..., 0]

    targets = of(dynamics, given) + torch.tensor([1.5, 0.0])
    kept, _ = ask(dynamics, targets, 6, given, nats=worst, closeness=1.0)
    # what was found is taken where it is nearer, and nowhere else
    off = (of(dynamics, kept.bars) - targets).abs().sum(1)
    stayed = (kept.bars == given).all(2).all(1)
    assert (off[stayed] == 1.5).all()
    assert (off[~stayed] <= 1.5).all()
    assert stayed.sum() >= 3
    assert not kept.success[stayed].any()
    free, _ = ask(dynamics, targets, 6, given, nats=worst, closeness=0.0)  # changes cost nothing: no reason to stay
    assert (free.bars != given).any(2).any(1).all()


def test_an_answer_depends_on_its_own_seed_alone(dynamics):
    given = torch.from_numpy(dynamics.generator.sample(5, seed=60))
    targets = of(dynamics, given) + torch.tensor([[0.0, 0], [2, 0], [0, 0], [0, 2], [4, 1]])
    locked = torch.zeros_like(given)
    locked[1, :, 0] = locked[4, 8:] = True
    together, spent = ask(dynamics, targets, 9, given, locked, seeds=[3, 8, 5, 1, 9], closeness=0.4, realism=0.6)
    for row, seed in enumerate([3, 8, 5, 1, 9]):
        one = slice(row, row + 1)
        alone, cost = ask(dynamics, targets[one], 9, given[one], locked[one], seeds=[seed], closeness=0.4, realism=0.6)
        assert torch.equal(alone.bars[0], together.bars[row])
        torch.testing.assert_close(alone.z[0], together.z[row], atol=1e-4, rtol=0)  # products round by batch
        torch.testing.assert_close(cost[0], spent[row])
    assert not ((together.bars ^ given) & locked).any()
    assert torch.equal(together.bars[[0, 2]], given[[0, 2]])
