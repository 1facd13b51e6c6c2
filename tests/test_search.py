"""Searches: every call is counted, every answer is a bar that was evaluated, and each does what its method says."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cmaes import SepCMA

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM12
from rhythmgan.models.gan import load_gan
from rhythmgan.models.word_lstm import load_prior
from rhythmgan.patterns import load_patterns
from rl_tuner import rewards
from rl_tuner.dynamics import State
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.actor import Actor, amortised_actor, train_actor
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.edit import edit_search, generated
from rl_tuner.search.evolution import Distribution, Parameters, evolution_strategy
from rl_tuner.search.gradient import gradient_ascent, soft_values
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.linear import linear_directions
from rl_tuner.search.problem import NEVER, Problem
from rl_tuner.search.random_moves import greedy_look_ahead, random_walk
from rl_tuner.search.retrieval import retrieval

CALLS = 12


@pytest.fixture(scope="module")
def agent(one_thread):
    return load_latent_agent()


@pytest.fixture(scope="module")
def dynamics(agent):
    gan = load_gan().with_condition(ANY, ANY)
    return agent.dynamics(gan, gan, load_prior())


@pytest.fixture(scope="module")
def real():
    """Textbook bars, in the kit of the bundled models without hand percussion, and their features."""
    bars = torch.from_numpy(words_to_bars(load_patterns().words << 3, 12))
    return bars, values_of(bars, TARGETS, GM12)


WANTED = torch.tensor([[16.0, 6.0], [20.0, 8.0], [12.0, 2.0], [24.0, 4.0], [15.0, 5.0], [200.0, 6.0]])


@pytest.fixture
def searches(agent, dynamics, real):
    torch.manual_seed(0)
    actor = Actor(dynamics.space.latent_dim, 2, width=16).eval().requires_grad_(False)
    return {
        "best of n": best_of_n,
        "random walk": random_walk(dynamics),
        "greedy": greedy_look_ahead(dynamics),
        "cma-es": evolution_strategy,
        "gradient": gradient_ascent,
        "linear": linear_directions(dynamics.space),
        "edit": edit_search(generated),
        "retrieval": retrieval(*real),
        "actor": amortised_actor(actor),
        "agent": latent_agent_search(agent, dynamics),
        "restarted": latent_agent_search(agent, dynamics, restarts=True),
    }


NAMES = (
    "best of n",
    "random walk",
    "greedy",
    "cma-es",
    "gradient",
    "linear",
    "edit",
    "retrieval",
    "actor",
    "agent",
    "restarted",
)


class _Logged(Problem):
    """A problem that notes the bar and the point of each target at each call."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.shown = [[] for _ in self.targets]
        self.points = [[] for _ in self.targets]

    def record(self, state):
        assert len(state) == len(self.open)
        for i, row in enumerate(self.open.tolist()):
            self.shown[row].append(state.bars[i].clone())
            self.points[row].append(state.z[i].clone())
        return super().record(state)


def _solve(search, dynamics, seed=1, calls=CALLS, targets=WANTED, **options):
    problem = _Logged(dynamics.generator, dynamics, targets, calls, seed, **options)
    search(problem)
    return problem, problem.result()


def _values(bars):
    bars = np.stack([np.asarray(bar) for bar in bars])
    return torch.stack([density(bars, GM12), syncopation(bars, GM12)], 1).double().numpy()


def _goals(weight, calls=CALLS, targets=WANTED):
    return Goals.of(targets, calls, realism=weight, likelihood=weight, kl=weight)


def _worth(values, target):
    gaps = np.abs(values - target)
    return 0.5 * np.exp(-gaps.sum(1) / 4) + 0.5 * (gaps <= 1).all(1)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_the_best_bar_evaluated(name, searches, dynamics):
    problem, found = _solve(searches[name], dynamics)
    assert found.bars.shape == (6, 16, 12)
    assert found.bars.dtype == bool
    for i, target in enumerate(WANTED.numpy()):
        values = _values(problem.shown[i])
        worth = _worth(values, target)
        successes = (np.abs(values - target) <= 1).all(1)
        assert (found.bars[i] == problem.shown[i][worth.argmax()].numpy()).all()
        np.testing.assert_array_equal(found.values[i], values[worth.argmax()])
        assert found.success[i] == successes.any()
        assert found.at[i] == (successes.argmax() + 1 if successes.any() else NEVER)
        assert len(successes) <= CALLS
        if successes.any():
            assert len(successes) == found.at[i]  # a success is the end
        elif name not in ("retrieval", "agent"):
            assert len(successes) == CALLS  # nothing else is
    assert not found.success[5]
    assert found.seconds.shape == (CALLS,)
    assert (np.diff(found.seconds) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_calls_are_the_rows_that_the_generator_decodes(name, searches, dynamics, monkeypatch):
    decoded = []
    decode = dynamics.generator.decode
    monkeypatch.setattr(dynamics.generator, "decode", lambda z: decoded.append(len(z)) or decode(z))
    problem, _ = _solve(searches[name], dynamics)
    looked = sum(map(len, problem.shown))
    assert problem.calls_used == max(map(len, problem.shown))
    # edits are looked at without a generator, and real bars need none at all
    assert sum(decoded) == {"edit": 6, "retrieval": 0}.get(name, looked)
    assert len(decoded) == {"edit": 1, "retrieval": 0}.get(name, problem.calls_used)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_search_and_another_one_does_not(name, searches, dynamics):
    _, first = _solve(searches[name], dynamics, seed=4)
    _, again = _solve(searches[name], dynamics, seed=4)
    for field in ("bars", "values", "success", "at", "z"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    _, other = _solve(searches[name], dynamics, seed=5)
    if name != "retrieval":
        assert (other.bars != first.bars).any()


@pytest.mark.parametrize("name", NAMES)
def test_more_calls_never_have_less_success(name, searches, dynamics):
    _, found = _solve(searches[name], dynamics)
    curve = [found.success_within(calls).mean() for calls in range(CALLS + 1)]
    assert curve[0] == 0
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == found.success.mean()
    assert (found.success_within(CALLS) == found.success).all()


@pytest.mark.parametrize("name", NAMES)
def test_answers_have_the_points_that_decode_to_them(name, searches, dynamics):
    _, found = _solve(searches[name], dynamics)
    if name in ("edit", "retrieval"):
        assert np.isnan(found.z).all()
    else:
        assert (dynamics.generator.decode(found.z) == found.bars).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_call_is_one_bar(name, searches, dynamics):
    problem, found = _solve(searches[name], dynamics, calls=1)
    assert [len(shown) for shown in problem.shown] == [1] * 6
    assert np.isin(found.at, [1, NEVER]).all()
    assert found.seconds.shape == (1,)


def test_a_success_is_not_the_end_while_the_networks_count(dynamics):
    problem, found = _solve(best_of_n, dynamics, calls=40, goals=_goals(0.5, 40))
    assert all(len(shown) == 40 for shown in problem.shown)
    later = 0
    for i, target in enumerate(WANTED.numpy()):
        bars = torch.stack(problem.shown[i])
        goals = _goals(0.5, 40).rows(torch.full((40,), i))
        scores = dynamics.look_at(torch.zeros(40, dynamics.space.latent_dim), bars, goals, goals.calls).score
        assert (found.bars[i] == bars[scores.argmax()].numpy()).all()
        successes = (np.abs(_values(bars) - target) <= 1).all(1)
        assert found.at[i] == (successes.argmax() + 1 if successes.any() else NEVER)
        later += int(successes.any() and int(scores.argmax()) != successes.argmax())
    assert later


def test_problem_counts_a_call_for_each_open_target(dynamics):
    problem = Problem(dynamics.generator, dynamics, WANTED, 3, seed=0)
    assert not problem.is_over
    values = problem.evaluate(problem.random_points())
    assert values.shape == (6, 2)
    assert problem.calls_used == 1
    assert problem.still_open.tolist() == [i in problem.open.tolist() for i in range(6)]
    left = len(problem.open)
    problem.close(torch.arange(left) == 0)
    assert len(problem.open) == left - 1
    for _ in range(2):
        problem.evaluate(problem.random_points())
    assert problem.is_over
    assert problem.calls_used == 3


def test_success_with_every_target_is_the_end(dynamics, real):
    bars, values = real
    problem, found = _solve(retrieval(bars, values), dynamics, targets=values[:5])
    assert problem.is_over
    assert problem.calls_used == 1
    assert found.success.all()
    assert (found.at == 1).all()


def test_retrieval_gives_a_real_bar_that_is_nearest(dynamics, real):
    bars, values = real
    wanted = torch.tensor([[float(d), float(s)] for d in (0, 9, 14, 23, 60) for s in (0, 5, 11, 30)])
    _, found = _solve(retrieval(bars, values), dynamics, targets=wanted)
    known = {bar.numpy().tobytes() for bar in bars}
    for i in range(len(wanted)):
        assert found.bars[i].tobytes() in known
        nearest = np.abs(values.numpy() - wanted[i].numpy()).sum(1).min()
        assert np.abs(found.values[i] - wanted[i].numpy()).sum() == nearest


def test_retrieval_gives_any_of_those_that_are_equally_near(dynamics):
    bars = torch.zeros(4, 16, 12, dtype=torch.bool)
    for i in range(4):
        bars[i, 0, i] = True  # four bars of one onset each
    _, found = _solve(
        retrieval(bars, values_of(bars, TARGETS, GM12)), dynamics, targets=torch.tensor([[1.0, 0.0]]).repeat(40, 1)
    )
    assert len(np.unique(found.bars.reshape(40, -1), axis=0)) == 4


def test_edits_change_one_cell_at_a_time_and_are_kept_where_not_worse(dynamics):
    targets = torch.tensor([[40.0, 30.0], [2.0, 9.0], [200.0, 0.0]])
    problem, found = _solve(edit_search(generated), dynamics, calls=60, targets=targets)
    for i, target in enumerate(targets.numpy()):
        here, *tried = problem.shown[i]
        rejected = 0
        for bar in tried:
            assert (bar != here).sum() == 1
            before, after = _worth(_values([here, bar]), target)
            if after >= before:
                here = bar
            else:
                rejected += 1
        assert rejected
        assert _worth(_values([here]), target) == pytest.approx(_worth(found.values[i : i + 1], target))
    start = _values([shown[0] for shown in problem.shown])
    assert (np.abs(found.values - targets.numpy()).sum(1) < np.abs(start - targets.numpy()).sum(1)).all()


def test_random_walk_takes_every_action_but_the_one_that_stays(dynamics, monkeypatch):
    taken = []
    step = dynamics.step
    monkeypatch.setattr(dynamics, "step", lambda w, g, a, noise: taken.append(a.clone()) or step(w, g, a, noise))
    _solve(random_walk(dynamics), dynamics, calls=25, targets=torch.tensor([[200.0, 60.0]]).repeat(30, 1))
    assert len(taken) == 24
    assert set(torch.cat(taken).tolist()) == set(range(1, dynamics.n_actions))


def _greedy_starts(dynamics, monkeypatch):
    """Where greedy look-ahead tries from, at each of 25 calls, and what it found there."""
    begun = []
    step = dynamics.step
    monkeypatch.setattr(
        dynamics, "step", lambda w, g, a, noise: begun.append((w.z[0].clone(), a[0])) or step(w, g, a, noise)
    )
    problem, _ = _solve(greedy_look_ahead(dynamics), dynamics, calls=25, targets=torch.tensor([[200.0, 60.0]]))
    return begun, problem


def test_greedy_tries_steps_along_directions(dynamics, monkeypatch):
    begun, _ = _greedy_starts(dynamics, monkeypatch)
    assert len(begun) == 24
    assert all(dynamics.table[action, 0] >= 0 for _, action in begun)


def test_greedy_tries_eight_from_one_place_and_takes_the_best(dynamics, monkeypatch):
    begun, problem = _greedy_starts(dynamics, monkeypatch)
    points, worth = problem.points[0], _worth(_values(problem.shown[0]), [200, 60])
    here = 0
    for block in range(3):
        tries = range(1 + 8 * block, 9 + 8 * block)
        for call in tries:
            np.testing.assert_array_equal(begun[call - 1][0], points[here])
        best = max(tries, key=lambda call: worth[call])
        here = best if worth[best] > worth[here] else here


def test_the_gradients_values_are_those_of_the_decoded_bars(dynamics):
    z = torch.from_numpy(dynamics.generator.latents(range(64))).requires_grad_(True)
    values = soft_values(dynamics.generator, z)
    np.testing.assert_array_equal(values.detach().numpy(), _values(dynamics.generator.decode(z.detach())))
    (slope,) = torch.autograd.grad(values.sum(), z)
    assert slope.isfinite().all()
    assert (slope != 0).any(1).all()


def test_gradient_ascent_is_adam_on_z(dynamics):
    """Kingma & Ba (2015), algorithm 1, written out: rate .2, betas .9 and .99; then z is as long as it was."""
    targets = torch.tensor([[16.0, 6.0], [200.0, 6.0], [20.0, 8.0], [3.0, 40.0]])
    problem, found = _solve(gradient_ascent, dynamics, calls=15, seed=2, targets=targets)
    assert found.at[0] < 15  # a target that is closed does not disturb the others
    for i, target in enumerate(targets):
        z = problem.points[i][0].double()
        m, v = torch.zeros_like(z), torch.zeros_like(z)
        for t, point in enumerate(problem.points[i], 1):
            np.testing.assert_allclose(point, z, atol=2e-4)
            asked = point[None].clone().requires_grad_(True)
            cost = (
                1 + ((soft_values(dynamics.generator, asked) - target) / dynamics.space.tolerance).square().sum()
            ).sqrt()
            g = torch.autograd.grad(cost, asked)[0][0].double()
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            moved = z - 0.2 * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
            z = moved * z.norm() / moved.norm()


@pytest.mark.parametrize("name", ["gradient", "linear"])
def test_points_keep_their_lengths(name, searches, dynamics):
    problem, _ = _solve(searches[name], dynamics, calls=20)
    for points in problem.points:
        lengths = torch.stack(points).norm(dim=1)
        np.testing.assert_allclose(lengths, lengths[0].expand_as(lengths), rtol=1e-4)


class _Line:
    """A generator whose features are linear in z, and what scores them; there are no bars."""

    steps = 1

    def __init__(self, dim=24):
        random = torch.Generator().manual_seed(0)
        self.latent_dim = dim
        self.ways = torch.linalg.qr(torch.randn(dim, 2, generator=random))[0]
        push = torch.linalg.pinv(self.ways)[None].repeat(4, 1, 1)
        self.scale = SimpleNamespace(tolerance=torch.ones(2) * 0.01, pinv_steps=push)

    def decode(self, z):
        return np.zeros((len(z), 1, 1), bool)

    def look_at(self, z, bars, goals, calls_left):
        values = z @ self.ways
        distances = rewards.distance(values, goals.targets, self.scale.tolerance)
        match = rewards.match(distances / 1000, goals.importance) - distances.sum(1) / 1e4
        success = rewards.success(distances, goals.importance).float()
        terms = {"match": match, "success": success, "score": match + success}
        return State(z, bars, values, calls_left, terms)


def test_evolution_climbs_a_slope_that_random_points_do_not(one_thread):
    toy, targets = _Line(), torch.tensor([[3.0, -3.0], [-4.0, 2.5], [3.5, 3.5]]).repeat(4, 1)
    gaps = {}
    for search in (best_of_n, evolution_strategy):
        problem = Problem(toy, toy, targets, 300, seed=2)
        search(problem)
        gaps[search] = np.abs(problem.result().values - targets.numpy()).sum(1)
    assert (gaps[evolution_strategy] < 0.5 * gaps[best_of_n]).all()


def test_evolution_parameters_by_hand():
    """Hansen (2016), table 1, with both rates of the covariance (dim + 2)/3 times as high."""
    small, large, flat = Parameters.of(24), Parameters.of(144), Parameters.of(2, 40)
    # ln 4.5, ln 2.25, ln 1.5, ln 1.125 and their sum 2.838229; then 1 over the sum of squares
    np.testing.assert_allclose(small.weights, [0.529930, 0.285714, 0.142857, 0.041498], atol=1e-6)
    assert small.mu_eff == large.mu_eff == pytest.approx(2.600179)
    assert small.c_sigma == pytest.approx(4.600179 / 31.600179)
    assert large.c_sigma == pytest.approx(4.600179 / 151.600179)
    assert small.d_sigma == pytest.approx(1.145574)
    assert large.d_sigma == pytest.approx(1.030344)
    assert small.c_path == pytest.approx((4 + 0.1083408) / (28 + 0.2166816))
    assert large.c_path == pytest.approx((4 + 0.0180568) / (148 + 0.0361136))
    assert small.c_one == pytest.approx(26 / 3 * 2 / (25.3**2 + 2.600179))
    assert large.c_one == pytest.approx(146 / 3 * 2 / (145.3**2 + 2.600179))
    assert small.c_mu == pytest.approx(26 / 3 * 2 * 0.984768 / (26**2 + 2.600179), rel=1e-5)
    assert large.c_mu == pytest.approx(146 / 3 * 2 * 0.984768 / (146**2 + 2.600179), rel=1e-5)
    # as many parents as this: the damping's root counts, and the rank-μ rate is cut so that both add up to 1
    assert flat.mu_eff == pytest.approx(11.3, abs=0.1)
    assert flat.d_sigma == pytest.approx(1 + flat.c_sigma + 2 * (((flat.mu_eff - 1) / 3) ** 0.5 - 1))
    assert Parameters.of(2, 400).c_one + Parameters.of(2, 400).c_mu == pytest.approx(1)


@pytest.mark.parametrize("dim", [8, 24, 144, 192])
def test_evolution_expects_the_norm_of_normal_vectors(dim):
    """√2 Γ((dim + 1)/2) / Γ(dim/2), which the formula approximates."""
    exact = math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
    assert Parameters.of(dim).expected_norm == pytest.approx(exact, rel=3e-4)


def test_evolution_updates_as_another_implementation_does():
    """Five searches at once beside SepCMA's one by one, with SepCMA's own rates, on the same samples.

    SepCMA has h_sigma, which ours has not: the optima are near, so that no step size grows fast enough for it.
    """
    random = np.random.default_rng(0)
    dim, population, n = 12, 8, 5
    starts, scales = random.normal(size=(n, dim)), random.uniform(0.5, 2, dim)
    optima = starts + 0.3 * random.normal(size=(n, dim))
    theirs = [SepCMA(start.copy(), 0.5, population_size=population) for start in starts]
    one = theirs[0]
    rates = (one._mu_eff, one._c_sigma, one._d_sigma, one._cc, one._c1, one._cmu, one._chi_n)
    how = Parameters(torch.from_numpy(one._weights), *map(float, rates))
    ours = Distribution.around(torch.from_numpy(starts), 0.5)
    for _ in range(12):
        steps = ours.variance.sqrt()[:, None] * torch.from_numpy(random.normal(size=(n, population, dim)))
        points = (ours.mean[:, None] + ours.sigma[:, None] * steps).numpy()
        costs = (scales * (points - optima[:, None]) ** 2).sum(2)
        ours = ours.update(steps, torch.from_numpy(costs), how)
        for i, their in enumerate(theirs):
            their.tell(list(zip(points[i], costs[i], strict=True)))
            np.testing.assert_allclose(ours.mean[i], their._mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ours.sigma[i, 0], their._sigma, rtol=1e-9)
            np.testing.assert_allclose(ours.variance[i], their._C, rtol=1e-9)
            np.testing.assert_allclose(ours.path_sigma[i], their._p_sigma, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ours.path[i], their._pc, rtol=1e-9, atol=1e-12)
    assert (ours.variance.amax(1) > 1.1 * ours.variance.amin(1)).all()


def test_evolution_draws_what_another_implementation_would(one_thread):
    """The points of a whole search beside SepCMA with our rates, of the same noise: eight generations of eight.

    Of a seed whose step size does not grow fast enough for h_sigma.
    """
    toy, target = _Line(), torch.tensor([[3.0, -2.0]])
    problem = _Logged(toy, toy, target, 64, seed=11)
    evolution_strategy(problem)
    noise = torch.Generator().manual_seed(11)
    how = Parameters.of(24)
    their = SepCMA(torch.randn(1, 24, generator=noise)[0].double().numpy(), 0.5, population_size=8)
    their._weights, their._mu_eff = how.weights.double().numpy(), how.mu_eff
    their._c_sigma, their._d_sigma, their._chi_n = how.c_sigma, how.d_sigma, how.expected_norm
    their._cc, their._c1, their._cmu = how.c_path, how.c_one, how.c_mu
    points = torch.stack(problem.points[0]).double().numpy()
    assert len(points) == 64
    for generation in range(8):
        solutions = []
        for point in points[8 * generation : 8 * generation + 8]:
            drawn = torch.randn(1, 24, generator=noise)[0].double().numpy()
            np.testing.assert_allclose(point, their._mean + their._sigma * np.sqrt(their._C) * drawn, atol=1e-5)
            gaps = point @ toy.ways.double().numpy() - target.double().numpy()[0]
            solutions.append((point, np.abs(gaps).sum()))
        their.tell(solutions)


def test_evolution_learns_by_generations_of_eight(one_thread):
    """Within one the mean stays; of the next the values are nearer on average, and so on."""
    toy, targets = _Line(), torch.tensor([[4.0, 4.0]]).repeat(30, 1)
    problem = _Logged(toy, toy, targets, 160, seed=0)
    evolution_strategy(problem)
    gaps = [torch.stack([p @ toy.ways for p in points[:160]]) - targets[0] for points in problem.points]
    means = [np.mean([gap[8 * i : 8 * i + 8].norm(dim=1).mean() for gap in gaps if len(gap) == 160]) for i in range(20)]
    assert means[19] < means[4] < means[0]


def test_linear_directions_lead_to_the_target_in_a_straight_line(one_thread):
    toy, targets = _Line(), torch.tensor([[1.0, -0.5], [-1.5, 1.0], [0.4, 1.3]])
    problem = _Logged(toy, toy, targets, 12, seed=3)
    linear_directions(toy.scale)(problem)
    found = problem.result()
    for i in range(3):
        z, target = problem.points[i][0], targets[i]
        for point in problem.points[i]:
            np.testing.assert_allclose(point, z, atol=1e-5)
            moved = z + (target - z @ toy.ways) @ toy.ways.T
            z = moved * z.norm() / moved.norm()
    assert found.success.all()
    assert (found.at > 1).all()


def test_restarts_begin_anew_where_the_agent_would_stay(dynamics):
    """An agent that only stays: without restarts it leaves, with them it draws anew with every call."""

    class Stays:
        def act(self, observations):
            return torch.zeros(len(observations), dtype=torch.long)

    problem, _ = _solve(latent_agent_search(Stays(), dynamics), dynamics)
    assert [len(shown) for shown in problem.shown] == [1] * 6
    problem, found = _solve(latent_agent_search(Stays(), dynamics, restarts=True), dynamics)
    assert [len(shown) for shown in problem.shown] == [int(min(at, CALLS)) for at in found.at]
    points = torch.stack(problem.points[5])
    assert len(points) == CALLS
    assert (torch.cdist(points, points) + 100 * torch.eye(CALLS)).min() > 5  # each a random point of its own


def test_episodes_begin_where_they_are_told_to(agent, dynamics):
    start = torch.from_numpy(dynamics.generator.latents(range(40, 46)))
    problem, _ = _solve(latent_agent_search(agent, dynamics, start=start), dynamics)
    for points, first in zip(problem.points, start, strict=True):
        assert torch.equal(points[0], first)


def test_the_actor_keeps_lengths_and_is_trained(dynamics, real):
    targets = real[1]
    actor = train_actor(dynamics.generator, dynamics.scale, targets, seconds=0.3)
    assert not any(weight.requires_grad for weight in actor.parameters())
    z = torch.randn(20, dynamics.space.latent_dim, generator=torch.Generator().manual_seed(0))
    moved = actor(z, dynamics.space.standardised(targets[:20]))
    np.testing.assert_allclose(moved.norm(dim=1), z.norm(dim=1), rtol=1e-4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = Actor(dynamics.space.latent_dim, 2)
    changed = [(a - b).abs().max() for a, b in zip(actor.parameters(), fresh.parameters(), strict=True)]
    assert max(changed) > 1e-4
