"""Searches that choose while a bar is decided: what they foresee, whom they let go on, and what they spend."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.conditions import ANY
from rhythmgan.kit import JAKI5
from rhythmgan.models.gan import load_gan
from rhythmgan.models.word_lstm import load_prior
from rl_tuner.config import ReadOutConfig
from rl_tuner.dynamics import BarDynamics
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.scale import FeatureScale, values_of
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.problem import NEVER, Problem
from rl_tuner.search.stepwise import greedy_by_step, particle_filter, rejection_by_step
from rl_tuner.stepwise.learned import train_read_out
from rl_tuner.stepwise.read_out import NARROWEST, decide_at_random, fit_read_out, inputs_of, log_chance, ridge
from rl_tuner.stepwise.resampling import systematic_resampling

SEARCHES = {
    "filter": particle_filter,
    "filter of candidates": partial(particle_filter, candidates=8),
    "greedy": greedy_by_step,
    "rejection": rejection_by_step,
}
SOUNDS = 0.8
P = 0.5 * math.erfc(SOUNDS / math.sqrt(2))


class _Unfinished:
    """Bars of five parts whose cells sound where their noise is over .8."""

    def __init__(self, toy, noises, n):
        self.toy, self.noises, self.n = toy, noises, n

    @property
    def z(self):
        return torch.cat(self.noises, 1) if self.noises else torch.zeros(self.n, 0)

    @property
    def cells(self):
        return self.toy.cells(self.z)

    @property
    def state(self):
        return torch.zeros(self.n, 1)

    def look_ahead(self):
        self.toy.decided += self.n
        assert len(self.noises) < self.toy.steps
        return _Ahead(self)

    def decide(self, noise):
        return self.look_ahead().decide(noise)

    def rows(self, index):
        return _Unfinished(self.toy, [noise[index] for noise in self.noises], len(index))


class _Ahead:
    """The next step of unfinished bars: nine tenths of its work are done before a noise is tried."""

    multiply_adds = (90, 10)

    def __init__(self, bars):
        self.bars, self.state = bars, bars.state

    def cells_of(self, noise):
        tried = [self.bars.z[:, None].expand(-1, noise.shape[1], -1), noise]
        z = torch.cat(tried, 2)
        return self.bars.toy.cells(z.flatten(0, 1))[:, -1].view(noise.shape)

    def decide(self, noise):
        assert noise.shape == (self.bars.n, 5)
        return _Unfinished(self.bars.toy, [*self.bars.noises, noise], self.bars.n)

    def rows(self, index):
        return _Ahead(self.bars.rows(index))


class _Toy:
    """Independent cells; or, where it ``repeats``, every step is the first one again, whatever its noise.

    It repeats "always", or only where the first two parts of the first step are "unlike"; otherwise it is silent.
    """

    kit = JAKI5

    def __init__(self, steps=16, repeats=None):
        self.steps, self.repeats, self.decided = steps, repeats, 0
        self.latent_steps, self.latent_dim = np.arange(steps).repeat(5), steps * 5

    def cells(self, z):
        cells = z.view(len(z), -1, 5) > SOUNDS
        if not self.repeats:
            return cells
        again = cells[:, :1].expand_as(cells).clone()
        if self.repeats == "unlike":
            again[cells[:, 0, 0] == cells[:, 0, 1], 1:] = False
        return again

    def begin(self, n):
        return _Unfinished(self, [], n)

    def decode(self, z):
        return self.cells(torch.as_tensor(z)).numpy()


class _ToyDynamics(BarDynamics):
    """Bars of a toy and their features; no networks."""

    def __init__(self, toy, features=("density",), tolerance=1.0):
        self.generator, self.space = toy, FeatureScale(features)
        self.space.latent_dim = toy.steps * 5
        self.space.tolerance = torch.full((len(features),), tolerance)
        super().__init__(JAKI5, self.space, None, 1, toy.steps * 5, terms=())

    draw = move = see = None

    def decode(self, z):
        return torch.from_numpy(self.generator.decode(z))


_ToyDynamics.__abstractmethods__ = frozenset()


def _toy(*arguments, features=("density",), **options):
    return _ToyDynamics(_Toy(*arguments, **options), features)


def _problem(calls):
    """Two targets of a toy."""
    dynamics = _toy()
    return Problem(dynamics.generator, dynamics, torch.tensor([[18.0], [19.0]]), calls, seed=0)


def _solve(search, dynamics, targets, calls, seed=1, importance=None):
    targets = torch.tensor(targets, dtype=torch.float32)
    problem = Problem(dynamics.generator, dynamics, targets, calls, seed, Goals.of(targets, calls, importance))
    search(problem)
    return problem, problem.result()


@pytest.fixture(scope="module")
def read_out(one_thread):
    dynamics = _toy()
    return fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=5000))


@pytest.fixture(scope="module")
def bundled(one_thread):
    gan = load_gan().with_condition(ANY, ANY)
    dynamics = load_latent_agent().dynamics(gan, gan, load_prior())
    return dynamics, fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=2000))


# resampling ---------------------------------------------------------------------------------------------------


def test_systematic_resampling_by_hand():
    """Weights 1, 4, 1, 2 have the sums 1, 5, 6, 8; four places two apart from twice the offset on."""
    weights = torch.tensor([[1.0, 4, 1, 2]]).repeat(4, 1)
    chosen = systematic_resampling(weights, torch.tensor([0.0, 0.25, 0.5, 0.75]))
    assert chosen.tolist() == [[0, 1, 1, 3], [0, 1, 1, 3], [1, 1, 2, 3], [1, 1, 2, 3]]


def test_a_particle_without_weight_never_goes_on():
    weights = torch.tensor([[0.0, 1, 0, 3], [0, 0, 0, 5], [2, 2, 0, 0]])
    assert systematic_resampling(weights, torch.zeros(3)).tolist() == [[1, 3, 3, 3], [3] * 4, [0, 0, 1, 1]]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any), st.floats(0, 0.9999))
def test_each_particle_goes_on_about_as_often_as_its_weight_says(weights, offset):
    weights = np.array(weights, float)
    chosen = systematic_resampling(torch.tensor(weights)[None], torch.tensor([offset]))[0].numpy()
    counts, shares = np.bincount(chosen, minlength=len(weights)), len(weights) * weights / weights.sum()
    assert (np.abs(counts - shares) < 1 + 1e-9).all()
    assert (np.diff(chosen) >= 0).all()


def test_the_draw_is_fair_over_all_offsets():
    weights = torch.tensor([[1.0, 4, 1, 2]]).repeat(800, 1)
    chosen = systematic_resampling(weights, (torch.arange(800) + 0.5) / 800)
    assert np.bincount(chosen.flatten(), minlength=4).tolist() == [400, 1600, 400, 800]


# read-outs ----------------------------------------------------------------------------------------------------


def test_ridge_is_least_squares_of_rows_that_ask_for_small_weights():
    """NumPy's least squares with √λ times the identity under the rows, and no such row for the constant."""
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(2, 1, (60, 7)), np.ones((60, 1))], 1)
    y = random.normal(5, 3, (60, 2))
    small = np.concatenate([math.sqrt(3.0) * np.eye(7), np.zeros((7, 1))], 1)
    oracle = np.linalg.lstsq(np.concatenate([x, small]), np.concatenate([y, np.zeros((7, 2))]), rcond=None)[0]
    found = ridge(torch.from_numpy(x.T @ x), torch.from_numpy(x.T @ y), 3.0)
    np.testing.assert_allclose(found, oracle, rtol=1e-9)


def test_inputs_are_features_so_far_state_and_the_last_four_steps():
    toy = _toy(features=("density", "syncopation"))
    bars = toy.generator.begin(2)
    for step in range(6):
        noise = torch.zeros(2, 5)
        noise[0, step % 5] = 1.0  # a part after the other
        bars = bars.decide(noise)
        inputs = inputs_of(bars, toy.generator, toy.space)
        assert inputs.shape == (2, 2 + 1 + 4 * 5)
        whole = torch.zeros(2, 16, 5, dtype=torch.bool)
        whole[0, range(step + 1), [i % 5 for i in range(step + 1)]] = True
        assert torch.equal(inputs[:, :2], values_of(whole, ("density", "syncopation"), JAKI5))
        assert inputs[0, 0] == step + 1
        last = [[float(i == s % 5) if s >= 0 else 0.0 for i in range(5)] for s in range(step - 3, step + 1)]
        assert inputs[0, 3:].view(4, 5).tolist() == last
        assert not inputs[1].any()


def test_a_read_out_is_the_ridge_regression_of_each_step(read_out):
    """5,000 bars come in three batches; the oracle sees all rows at once."""
    toy, random = _toy(), torch.Generator().manual_seed(0)
    batches = [decide_at_random(toy.generator, toy.space, n, random) for n in (2000, 2000, 1000)]
    y = torch.cat([values for _, values in batches]).double().numpy()
    for step in range(16):
        x = torch.cat([inputs[step] for inputs, _ in batches]).double().numpy()
        rows = np.concatenate([x, np.ones((5000, 1))], 1)
        small = np.concatenate([np.eye(x.shape[1]), np.zeros((x.shape[1], 1))], 1)
        stacked = np.concatenate([rows, small]), np.concatenate([y, np.zeros((len(small), 1))])
        oracle = np.linalg.lstsq(*stacked, rcond=None)[0]
        np.testing.assert_allclose(read_out.weights[step], oracle, atol=1e-4)
        residual = y - rows @ oracle
        np.testing.assert_allclose(read_out.stds[step], np.sqrt((residual**2).mean(0)), atol=1e-3)


def test_of_independent_cells_a_read_out_knows_mean_and_spread(read_out):
    """What has sounded, and of the cells to come the mean and the standard deviation of a binomial."""
    toy, random = _toy(), torch.Generator().manual_seed(7)
    bars = toy.generator.begin(300)
    for step in range(1, 16):
        bars = bars.decide(torch.randn(300, 5, generator=random))
        mean, std = read_out(bars)
        to_come = 5 * (16 - step)
        expected = bars.cells.sum((1, 2)) + to_come * P
        assert (mean[:, 0] - expected).square().mean().sqrt() < 0.25
        assert std[0, 0] == pytest.approx(math.sqrt(to_come * P * (1 - P)), rel=0.05)
    bars = bars.decide(torch.randn(300, 5, generator=random))
    mean, std = read_out(bars)
    assert torch.equal(mean[:, 0], bars.cells.sum((1, 2)).float())  # nothing is left to predict
    assert (std == NARROWEST).all()


def test_a_read_out_serves_any_features_on_any_grid():
    toy = _toy(12, features=("off-beat share", "density"))
    read_out = fit_read_out(toy.generator, toy.space, ReadOutConfig(bars=1500))
    assert read_out.weights.shape == (12, 2 + 1 + 20 + 1, 2)
    assert (read_out.stds[:, 0] < 0.5).all()
    assert (read_out.stds.diff(dim=0) < 0.02).all()  # with every step more is known


def test_the_chance_is_a_gaussians_with_the_importance_as_its_power():
    mean, std = torch.tensor([[10.0, 3.0], [12.0, 5.0]]), torch.tensor([[2.0, 0.5]]).expand(2, 2)
    targets, importance = torch.tensor([[14.0, 4.0]]).expand(2, 2), torch.tensor([[1.0, 0.5], [1.0, 0.0]])
    found = log_chance((mean, std), targets, importance)
    assert found.tolist() == [-0.5 * (2**2 + 0.5 * 2**2), -0.5 * 1]


def _looks(dynamics, n=2000):
    with torch.no_grad():
        return decide_at_random(dynamics.generator, dynamics.space, n, torch.Generator().manual_seed(77))


def _surprise(read_out, inputs, values, step):
    mean, std = read_out.from_inputs(inputs[step - 1], step)
    return float((0.5 * ((values - mean) / std).square() + std.log()).mean())


def test_a_learned_read_out_begins_as_the_ridge_that_it_corrects(read_out):
    begun = train_read_out(read_out, ReadOutConfig(train_steps=1, batch_size=4, learning_rate=1e-9, width=8))
    inputs, values = _looks(_toy(), 50)
    for step in range(1, 17):
        for ours, theirs in zip(
            begun.from_inputs(inputs[step - 1], step), read_out.from_inputs(inputs[step - 1], step), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert torch.equal(begun.from_inputs(inputs[-1], 16)[0], values)  # nothing is left to predict
    assert not any(weight.requires_grad for weight in begun.parameters())


def test_a_learned_read_out_knows_what_no_line_through_the_inputs_does(one_thread):
    """After a step a bar goes on where its first two parts are unlike, which is no sum of the two."""
    dynamics = _toy(repeats="unlike")
    ridge_only = fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=3000))
    config = ReadOutConfig(train_steps=1800, batch_size=128, width=32, learning_rate=1e-2)
    learned = train_read_out(ridge_only, config)
    inputs, values = _looks(dynamics)
    assert _surprise(learned, inputs, values, 1) < _surprise(ridge_only, inputs, values, 1) - 1
    errors = [(each.from_inputs(inputs[0], 1)[0] - values).abs().mean() for each in (learned, ridge_only)]
    assert errors[0] < 0.75 * errors[1]
    state = torch.random.get_rng_state()
    again = train_read_out(ridge_only, config)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), learned.parameters(), strict=True))


def test_a_filter_takes_a_learned_read_out(read_out):
    learned = train_read_out(read_out, ReadOutConfig(train_steps=30, batch_size=64, width=16))
    _, found = _solve(particle_filter(learned), _toy(), [[8.0]] * 20 + [[26.0]] * 20, 8)
    assert found.success.mean() > 0.9


@pytest.mark.parametrize("name", ["bars", "train_steps", "batch_size", "width"])
def test_a_read_out_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        ReadOutConfig(**{name: 0})


# the budget ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("calls", [1, 2, 7])
def test_no_search_decodes_more_than_its_calls(name, calls, read_out):
    dynamics = _toy()
    problem, found = _solve(SEARCHES[name](read_out), dynamics, [[18.0], [30.0], [60.0]], calls)
    decided = dynamics.generator.decided
    assert decided == 3 * calls * 16
    assert problem.calls_used == calls
    assert found.seconds.shape == (calls,)
    assert set(found.at.tolist()) <= {calls, NEVER}
    assert not found.success[2]


def test_a_step_of_a_bar_is_its_share_of_a_call():
    problem = _problem(2)
    bars, rows = problem.generator.begin(3), torch.tensor([0, 0, 1])
    for _ in range(16):  # two bars of the first target, one of the second
        bars = problem.look_ahead(bars, rows).decide(problem.noise(3, 5))
    assert problem.calls_left == 2
    with pytest.raises(ValueError, match="33 steps were decided for a target: 2 bars have 32"):
        problem.look_ahead(problem.generator.begin(1), torch.tensor([0]))


def test_a_candidate_costs_what_its_noise_adds():
    """Of a step's hundred multiply-adds ten are the noise's: with eight candidates it needs 170."""
    problem = _problem(2)
    bars, rows = problem.generator.begin(3), torch.tensor([0, 0, 1])
    for _ in range(16):
        bars = problem.look_ahead(bars, rows, candidates=8).decide(problem.noise(3, 5))
    state = problem.scorer.look_at(bars.z[1:], bars.cells[1:], problem.goals, problem.goals.calls - 2)
    problem.record(state, calls=2)
    # two bars of the first target; the second has one, and is charged for two
    assert problem.result().spent == pytest.approx(np.mean([2 * 1.7, 2 + 0.7]))


def test_a_search_may_count_for_itself():
    problem = _problem(4)
    with pytest.raises(ValueError, match=r"4.5 bars were decided for a target that has 4 calls left"):
        problem.count(torch.tensor([1.5, 4.5]))
    problem.count(torch.tensor([1.5, 4.0]))
    z = problem.random_points()
    problem.record(problem.look_at(z, torch.from_numpy(problem.generator.decode(z))), 4)
    assert problem.calls_left == 0
    assert problem.result().spent == 2.75


def test_without_candidates_the_calls_are_what_is_spent(read_out):
    for search, spent in ((particle_filter(read_out), 5), (particle_filter(read_out, candidates=3), 6)):
        assert _solve(search, _toy(), [[18.0], [30.0]], 5)[1].spent == pytest.approx(spent)
    assert _solve(best_of_n, _toy(), [[0.0], [99.0]], 7)[1].spent == 7


def test_what_was_decided_is_paid_when_it_is_recorded():
    problem = _problem(4)
    owners = torch.tensor([0, 0, 1])
    bars = problem.generator.begin(3)
    for _ in range(16):
        bars = problem.look_ahead(bars, owners).decide(problem.noise(3, 5))
    state = problem.scorer.look_at(bars.z[1:], bars.cells[1:], problem.goals, problem.goals.calls - 2)
    with pytest.raises(ValueError, match="32 steps were decided for a target: 1 bars have 16"):
        problem.record(state)
    problem.record(state, calls=2)
    assert problem.calls_left == 2
    assert len(problem.result().seconds) == 4
    problem.evaluate(problem.random_points())  # nothing is owed any more
    assert problem.calls_used == 3


# what they find -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [particle_filter, partial(greedy_by_step, candidates=1)])
def test_where_the_first_step_decides_all_the_right_first_step_goes_on(search, one_thread):
    """Every step repeats the first: a target is reached just where one of its four first steps has its onsets."""
    dynamics = _toy(repeats="always")
    read_out = fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=500))
    targets = [[16.0 * onsets] for onsets in (0, 1, 2, 3)] * 10
    _, found = _solve(search(read_out), dynamics, targets, 4, seed=5)
    first = torch.randn(160, 5, generator=torch.Generator().manual_seed(5))
    there = (first > SOUNDS).sum(1).view(40, 4) == torch.tensor(targets) / 16
    assert found.success.tolist() == there.any(1).tolist()
    assert 10 < found.success.sum() < 38
    z = torch.from_numpy(found.z).view(40, 16, 5)
    for row in np.flatnonzero(found.success):
        same = (first.view(40, 4, 5)[row] == z[row, 0]).all(1)
        assert there[row][same].all()
        assert same.sum() == 1


def _chance_by_hand(dynamics, read_out, noises, target, step):
    """The chance of a bar of these noises to come to a density by a ridge read-out."""
    bars = dynamics.generator.begin(1)
    for each in noises:
        bars = bars.decide(each[None])
    inputs = inputs_of(bars, dynamics.generator, dynamics.space)[0].double()
    weight = read_out.weights[step].double()
    mean = float(inputs @ weight[:-1, 0] + weight[-1, 0])
    if step == 15:
        mean = float(inputs[0])
    std = max(float(read_out.stds[step]), NARROWEST)
    return -(((target - mean) / std) ** 2) / 2


def _filtered_by_hand(dynamics, read_out, targets, k, m, seed, fairness):
    """A particle filter in loops over targets and particles, each a list of its noises and the chance it had before."""
    random = torch.Generator().manual_seed(seed)
    particles = [[([], 0.0) for _ in range(k)] for _ in targets]
    for step in range(16):
        noise = torch.randn(len(targets) * k, m, 5, generator=random)
        pairs = [
            [([*own[j][0], noise[i * k + j, c]], own[j][1]) for j in range(k) for c in range(m)]
            for i, own in enumerate(particles)
        ]
        if step == 15 and m == 1:
            particles = pairs
            break
        offsets = torch.rand(len(targets), generator=random).tolist()
        for i, own in enumerate(pairs):
            chances = [_chance_by_hand(dynamics, read_out, noises, targets[i], step) for noises, _ in own]
            logs = [chance - fairness * before for chance, (_, before) in zip(chances, own, strict=True)]
            weights = [math.exp(each - max(logs)) for each in logs]
            goes_on = []
            for j in range(k):
                place, passed, index = (j + offsets[i]) / k * sum(weights), weights[0], 0
                while passed <= place:
                    index += 1
                    passed += weights[index]
                goes_on.append((own[index][0], chances[index]))
            particles[i] = goes_on
    return [[torch.cat(noises) for noises, _ in own] for own in particles]


@pytest.mark.parametrize("fairness", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("m", [1, 3])
def test_the_filter_is_that_of_a_loop_over_targets_and_particles(read_out, fairness, m):
    """With several candidates for a step, those that go on are drawn among all pairs of a particle and a candidate."""
    dynamics, targets = _toy(), [12.0, 17.0, 24.0, 31.0]
    search = particle_filter(read_out, fairness, m)
    _, found = _solve(search, dynamics, [[target] for target in targets], 6, seed=3)
    for i, points in enumerate(_filtered_by_hand(dynamics, read_out, targets, 6, m, 3, fairness)):
        gaps = [abs(float((z > SOUNDS).sum()) - targets[i]) for z in points]
        best = points[int(np.argmin(gaps))]
        np.testing.assert_array_equal(found.z[i], best)
        assert found.values[i, 0] == (best > SOUNDS).sum()


@pytest.mark.parametrize("name", ["greedy", "rejection"])
def test_without_resampling_each_bar_takes_a_candidate_of_its_own(name, read_out):
    """Greedy the nearest, rejection the first within a standard deviation or else the nearest; a loop does the same."""
    dynamics, targets, k, m = _toy(), [12.0, 17.0, 24.0, 31.0], 2, 3
    _, found = _solve(SEARCHES[name](read_out, candidates=m), dynamics, [[each] for each in targets], k, seed=3)
    random = torch.Generator().manual_seed(3)
    particles = [[] for _ in range(len(targets) * k)]
    for step in range(16):
        noise = torch.randn(len(targets) * k, m, 5, generator=random)
        for i, own in enumerate(particles):
            chances = [_chance_by_hand(dynamics, read_out, [*own, each], targets[i // k], step) for each in noise[i]]
            likely = [c for c in range(m) if chances[c] >= -0.5] if name == "rejection" else []
            own.append(noise[i, likely[0] if likely else int(np.argmax(chances))])
    for i, target in enumerate(targets):
        points = [torch.cat(own) for own in particles[i * k : (i + 1) * k]]
        best = min(points, key=lambda z: abs(float((z > SOUNDS).sum()) - target))
        np.testing.assert_array_equal(found.z[i], best)


@pytest.mark.parametrize("name", ["filter", "greedy", "rejection"])
def test_a_search_without_candidates_is_refused(name, read_out):
    with pytest.raises(ValueError, match="a step has one candidate or more, not 0"):
        SEARCHES[name](read_out, candidates=0)


@pytest.mark.parametrize("fairness", [-0.1, 1.1])
def test_a_fairness_out_of_range_is_refused(read_out, fairness):
    with pytest.raises(ValueError, match="0 … 1, not at"):
        particle_filter(read_out, fairness)


def test_a_fair_filter_draws_bars_with_the_target_as_the_generator_does(read_out):
    """Of independent cells with 24 onsets in 80 each has a chance of .3, early and late ones alike."""
    dynamics, early = _toy(), {}
    for fairness, candidates in ((0.0, 1), (1.0, 1), (1.0, 8)):
        _, found = _solve(particle_filter(read_out, fairness, candidates), dynamics, [[24.0]] * 400, 32)
        bars = found.bars[found.values[:, 0] == 24]
        assert len(bars) > 350
        early[fairness, candidates] = bars[:, :8].mean()
    assert early[1.0, 1] == pytest.approx(0.3, abs=0.015)
    assert early[1.0, 8] == pytest.approx(0.3, abs=0.015)
    assert abs(early[0.0, 1] - 0.3) > abs(early[1.0, 1] - 0.3)


@pytest.mark.parametrize("name", SEARCHES)
def test_choosing_while_bars_are_decided_reaches_what_random_bars_do_not(name, read_out):
    """Two and a half standard deviations from the mean of 17 onsets: of eight random bars one in ten comes so far."""
    dynamics, targets = _toy(), [[8.0]] * 30 + [[26.0]] * 30
    shares = [
        _solve(search, dynamics, targets, 8)[1].success.mean() for search in (best_of_n, SEARCHES[name](read_out))
    ]
    assert shares[0] < 0.5
    assert shares[1] > 0.9


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_decides_bars_of_any_grid(name, one_thread):
    dynamics = _toy(12)  # 60 cells: 12.7 onsets on average, with a standard deviation of 3.2
    read_out = fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=1500))
    _, found = _solve(SEARCHES[name](read_out), dynamics, [[6.0]] * 20 + [[21.0]] * 20, 8)
    assert found.bars.shape == (40, 12, 5)
    assert found.success.mean() > 0.9
    assert dynamics.generator.decided <= 8 * 12 * 40 + 1500 * 12


def test_a_skipped_feature_does_not_count(one_thread):
    dynamics = _toy(features=("density", "syncopation"))
    read_out = fit_read_out(dynamics.generator, dynamics.space, ReadOutConfig(bars=2000))
    importance = torch.tensor([[1.0, 0.0]]).repeat(20, 1)
    for search in SEARCHES.values():
        _, found = _solve(search(read_out), dynamics, [[26.0, 500.0]] * 20, 8, importance=importance)
        assert found.success.mean() > 0.9
        assert (np.abs(found.values[:, 0] - 26) <= 1).mean() == found.success.mean()


@pytest.mark.parametrize("name", SEARCHES)
def test_the_point_that_is_found_decodes_to_the_very_bar(name, bundled):
    dynamics, read_out = bundled
    targets = [[16.0, 6.0], [20.0, 8.0], [12.0, 2.0], [24.0, 4.0], [200.0, 6.0]] * 4
    search = SEARCHES[name](read_out)
    problem, found = _solve(search, dynamics, targets, 6)
    assert (dynamics.generator.decode(found.z) == found.bars).all()
    np.testing.assert_array_equal(found.values, values_of(found.bars, ("density", "syncopation"), dynamics.kit))
    assert found.success.mean() > _solve(best_of_n, dynamics, targets, 6)[1].success.mean()
    assert problem.calls_used == 6
    _, again = _solve(search, dynamics, targets, 6)
    np.testing.assert_array_equal(again.z, found.z)
    _, other = _solve(search, dynamics, targets, 6, seed=2)
    assert (other.bars != found.bars).any()


@pytest.mark.parametrize("search", [particle_filter, partial(greedy_by_step, candidates=1)])
def test_one_call_without_candidates_is_a_random_bar(search, bundled):
    dynamics, read_out = bundled
    _, found = _solve(search(read_out), dynamics, [[16.0, 6.0]] * 40, 1)
    z = torch.from_numpy(found.z)
    assert z.std() == pytest.approx(1, abs=0.03)
    assert len(np.unique(found.bars.reshape(40, -1), axis=0)) > 35
