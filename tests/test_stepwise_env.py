"""A bar being decided as an environment: Gymnasium's rules, what may be chosen, what is seen, and what it costs."""

import copy
import inspect

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rhythmgan.features import density
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rl_tuner.agent import Agent, AgentConfig
from rl_tuner.config import DQNConfig, ReadOutConfig, SoftQConfig
from rl_tuner.dqn import DQN
from rl_tuner.envs import STEPWISE
from rl_tuner.envs.stepwise import StepwiseEnv, StepwiseVectorEnv, vector_env
from rl_tuner.goals import Goals
from rl_tuner.rewards import KL_PRICE
from rl_tuner.scale import find_scale, values_of
from rl_tuner.soft_q import SoftQ
from rl_tuner.stepwise.draws import BatchDraws
from rl_tuner.stepwise.dynamics import StepwiseDynamics
from rl_tuner.stepwise.layouts import candidate_layout, shared_layout
from rl_tuner.stepwise.read_out import fit_read_out, log_chance

pytestmark = pytest.mark.usefixtures("one_thread")

COSTS = ("kl", "closeness")


@pytest.fixture(scope="module")
def bars(dynamics):
    return dynamics.generator.sample(30, seed=900)


def goals_of(dynamics, n, **coefs):
    return Goals.of(dynamics.scale.values[:n].clone(), 1, **coefs)


def play(envs, choose, **options):
    """A whole bar of every episode: all rewards (steps, n), the last observation and info."""
    seen, info = envs.reset(seed=3, options=options)
    rewards = []
    for _ in range(envs.dynamics.generator.steps):
        seen, reward, _, _, info = envs.step(choose(seen))
        rewards.append(reward)
    return np.stack(rewards), seen, info


def always(action):
    return lambda seen: np.full(len(seen), action)


# Gymnasium's rules


def test_gymnasiums_own_check_finds_nothing(dynamics):
    env = gymnasium.make(f"rl_tuner.envs:{STEPWISE}", dynamics=dynamics)
    check_env(env.unwrapped, skip_render_check=True)
    check_env(StepwiseEnv(dynamics, given=0.0, render_mode="ansi"), skip_render_check=True)
    check_env(gymnasium.make(f"rl_tuner.envs:{STEPWISE}", dynamics=dynamics, given=1.0).unwrapped)


def test_the_bundled_environments_need_no_arguments(monkeypatch):
    monkeypatch.setattr("rl_tuner.tune.stepwise._FITTED_ON", 500)
    env = gymnasium.make(f"rl_tuner.envs:{STEPWISE}")
    check_env(env.unwrapped, skip_render_check=True)
    dynamics = env.unwrapped.batch.dynamics
    envs = gymnasium.make_vec(f"rl_tuner.envs:{STEPWISE}", num_envs=3, dynamics=dynamics)
    assert isinstance(envs.unwrapped, StepwiseVectorEnv)
    seen, _ = envs.reset(seed=1)
    assert seen in envs.observation_space
    assert seen.shape == (3, 215)
    assert envs.single_action_space == gymnasium.spaces.Discrete(8)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP


def test_the_sheet_has_gymnasiums_headings_and_the_tables_of_the_layouts():
    sheet = inspect.getdoc(StepwiseEnv)
    for layout in (shared_layout(16, 2), candidate_layout(2)):
        assert layout.table() in sheet
    headings = [line for line in sheet.splitlines() if line.startswith("## ")]
    names = ["Action space", "Observation space", "Rewards", "Starting state", "Episode end", "Arguments"]
    assert headings == [f"## {name}" for name in names]
    assert shared_layout(16, 2).width + 8 * candidate_layout(2).width == 215
    assert f"there are {candidate_layout(2).width} numbers for each" in " ".join(sheet.split())


@pytest.mark.parametrize("steps", [16, 12])
def test_shapes_spaces_and_types(steps, dynamics, make_dynamics):
    dynamics = dynamics if steps == 16 else make_dynamics(12)
    envs = vector_env(dynamics, num_envs=20)
    seen, info = envs.reset(seed=3)
    envs.action_space.seed(4)
    for step in range(2 * steps + 2):
        assert seen in envs.observation_space
        assert set(info["terms"]) == {"match", "success", "realism", "likelihood", "score", *COSTS}
        assert all(term.shape == info["calls"].shape == (20,) for term in info["terms"].values())
        assert ("bars" in info) == ("z" in info) == (step % (steps + 1) == steps)
        seen, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert rewards.shape == terminated.shape == truncated.shape == (20,)
        assert terminated.dtype == truncated.dtype == bool
        assert rewards.dtype == np.float32
        assert terminated.all() == terminated.any() == (step % (steps + 1) == steps - 1)
        assert not truncated.any()


def test_one_episode_is_a_batch_of_one(dynamics):
    env, envs = StepwiseEnv(dynamics), vector_env(dynamics, num_envs=1)
    one, _ = env.reset(seed=9)
    many, _ = envs.reset(seed=9)
    np.testing.assert_array_equal(one, many[0])
    for action in (4, 7, 0, 2) * 4:
        seen, reward, terminated, truncated, info = env.step(np.int64(action))
        many, rewards, ends, _, infos = envs.step(np.array([action]))
        np.testing.assert_array_equal(seen, many[0])
        assert (reward, terminated, truncated) == (rewards[0], ends[0], False)
        assert info["terms"] == {name: term[0] for name, term in infos["terms"].items()}
        assert info["calls"] == infos["calls"][0]
    assert terminated
    np.testing.assert_array_equal(info["bars"], infos["bars"][0])
    np.testing.assert_array_equal(info["z"], infos["z"][0])


def test_same_seed_same_bars(dynamics):
    def run(seed):
        envs = vector_env(dynamics, num_envs=6)
        seen = [envs.reset(seed=seed)[0]]
        seen += [envs.step(np.full(6, step % 8))[0] for step in range(20)]
        return np.stack([*seen, envs.reset()[0]])

    one, again, other = (run(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one[0] != one[-1]).any()  # a reset without a seed goes on in the same stream


def test_bars_begin_anew_with_the_next_step_whatever_its_action(dynamics):
    def run(ignored):
        envs = vector_env(dynamics, num_envs=4)
        _, seen, _ = play(envs, always(2))
        shared, each = dynamics.unpack(torch.from_numpy(seen))
        assert not shared["step"].any()
        assert not any(entry.any() for entry in each.values())
        seen, rewards, ended, _, info = envs.step(np.full(4, ignored))
        assert not rewards.any()
        assert not ended.any()
        assert not any(term.any() for term in info["terms"].values())
        assert (dynamics.unpack(torch.from_numpy(seen))[0]["step"].argmax(1) == 0).all()
        return seen, envs.step(np.full(4, 1))[0]

    for one, two in zip(run(0), run(7), strict=True):
        np.testing.assert_array_equal(one, two)


# what a bar is


def test_z_decodes_to_the_very_bar(dynamics):
    n = 300
    random = np.random.default_rng(0)
    _, _, info = play(vector_env(dynamics, num_envs=n), lambda seen: random.integers(0, 8, n))
    assert info["z"].shape == (n, 144)
    np.testing.assert_array_equal(dynamics.generator.decode(info["z"]), info["bars"])


@pytest.mark.parametrize("action", [0, 3])
def test_without_preference_z_is_drawn_from_n_0_1(dynamics, action):
    n = 2000
    _, _, info = play(vector_env(dynamics, num_envs=n, given=0.0), always(action))
    assert np.square(info["z"]).mean() == pytest.approx(1, abs=0.01)
    below = [(info["z"] < limit).mean() for limit in (-1.5, -0.5, 0.5, 1.5)]
    assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.003)
    unsteered = values_of(info["bars"], dynamics.scale.features, dynamics.kit).mean(0)
    torch.testing.assert_close(unsteered, dynamics.scale.means, atol=0.4, rtol=0)


def test_the_first_candidate_keeps_the_given_bar_and_the_next_ones_change_one_cell_a_step(dynamics, bars):
    goals = goals_of(dynamics, 30, closeness=0.5)
    envs = vector_env(dynamics, num_envs=30)
    _, seen, info = play(envs, always(0), bars=bars, goals=goals)
    np.testing.assert_array_equal(info["bars"], bars)
    np.testing.assert_array_equal(dynamics.generator.decode(info["z"]), bars)
    assert dynamics.unpack(torch.from_numpy(seen))[0]["changed"].tolist() == 30 * [[0]]
    seen = envs.reset(seed=1, options={"bars": bars, "goals": goals})[0]
    for step in range(16):
        seen, _, _, _, info = envs.step(np.full(30, 1 + step % 4))
        changed = dynamics.unpack(torch.from_numpy(seen))[0]["changed"][:, 0].numpy()
        np.testing.assert_allclose(changed, (step + 1) / np.maximum(bars.sum((1, 2)), 8), rtol=1e-5)
    assert ((info["bars"] ^ bars).sum(2) == 1).all()


def test_locked_cells_are_played_as_given_whatever_is_chosen(dynamics, bars):
    """A part, a half, nearly all cells, all of them, none."""
    locked = np.zeros((30, 16, 9), bool)
    locked[:6, :, 0] = locked[6:12, 8:] = locked[12:18] = locked[18:24] = True
    locked[12:18, ::2, 3] = False
    random = np.random.default_rng(2)
    _, seen, info = play(
        vector_env(dynamics, num_envs=30), lambda seen: random.integers(0, 8, 30), bars=bars, locked=locked
    )
    differs = info["bars"] ^ bars
    assert not (differs & locked).any()
    assert differs[:12].any((1, 2)).all()
    assert not differs[18:24].any()
    assert differs[24:].any((1, 2)).all()
    assert differs[12:18].any()
    np.testing.assert_array_equal(dynamics.generator.decode(info["z"]), info["bars"])
    changed = dynamics.unpack(torch.from_numpy(seen))[0]["changed"][:, 0].numpy()
    np.testing.assert_allclose(changed, differs.sum((1, 2)) / np.maximum(bars.sum((1, 2)), 8), rtol=1e-6)


def test_z_of_locked_bars_is_drawn_from_n_0_1(dynamics):
    """The locks are what the generator plays anyway: of bars of its own, whole bars or the kick alone."""
    given = dynamics.generator.sample(600, seed=5000)
    locked = np.zeros_like(given)
    locked[:300], locked[300:, :, 0] = True, True
    for rows in (slice(0, 300), slice(300, 600)):
        _, _, info = play(vector_env(dynamics, num_envs=300), always(0), bars=given[rows], locked=locked[rows])
        assert np.square(info["z"]).mean() == pytest.approx(1, abs=0.02)
        below = [(info["z"] < limit).mean() for limit in (-1.5, -0.5, 0.5, 1.5)]
        assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.006)


# what it costs


def test_closeness_costs_the_cells_that_change_as_a_share_of_those_that_sound(dynamics, bars):
    coefs = torch.linspace(0, 1, 30)
    goals = goals_of(dynamics, 30).with_terms(dynamics.terms)
    goals.coefs["closeness"] = coefs
    rewards, _, info = play(vector_env(dynamics, num_envs=30), always(7), bars=bars, goals=goals)
    paid = coefs.numpy() * (info["bars"] ^ bars).sum(2).T / np.maximum(bars.sum((1, 2)), 8)
    np.testing.assert_allclose(rewards[:-1], -paid[:-1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(rewards[-1], info["terms"]["match"] - paid[-1], rtol=1e-5)
    assert paid.max() > 0.1


def test_without_a_given_bar_closeness_costs_nothing(dynamics):
    rewards, _, info = play(vector_env(dynamics, num_envs=20), always(7), goals=goals_of(dynamics, 20, closeness=1.0))
    assert not rewards[:-1].any()
    np.testing.assert_array_equal(rewards[-1], info["terms"]["match"])


def test_kl_sums_up_to_half_the_squared_score_of_the_length_of_z(dynamics):
    rewards, _, info = play(vector_env(dynamics, num_envs=40), always(1), goals=goals_of(dynamics, 40, kl=0.5))
    score = (np.square(info["z"].astype(float)).sum(1) - 144) / (2 * 144) ** 0.5
    paid = KL_PRICE * 0.5 * score**2 / 2
    np.testing.assert_allclose(rewards.sum(0), info["terms"]["match"] - paid, atol=1e-5)
    assert paid.mean() == pytest.approx(KL_PRICE * 0.5 * 0.5, rel=0.6)


def test_the_last_reward_is_the_score_of_the_bar(dynamics):
    goals = goals_of(dynamics, 200, realism=0.5, likelihood=0.25)
    goals.importance[:, 1] = 0
    rewards, _, info = play(vector_env(dynamics, num_envs=200), always(0), goals=goals)
    terms = info["terms"]
    assert not rewards[:-1].any()
    np.testing.assert_array_equal(rewards[-1], terms["score"])
    np.testing.assert_allclose(
        terms["score"], terms["match"] + 0.5 * terms["realism"] + 0.25 * terms["likelihood"], rtol=1e-5
    )
    off = np.abs(density(info["bars"], dynamics.kit).numpy() - goals.targets[:, 0].numpy())
    np.testing.assert_array_equal(terms["success"] > 0, off <= 1)
    assert (terms["realism"] > 0).sum() == (off <= 1).sum()
    assert 0 < (off <= 1).sum() < 200


def test_a_bar_costs_a_call_and_what_its_candidates_add(dynamics, bars):
    """By hand: a step is 35 · 12 + 29 · 6 + 36 + 63 · 6 and a noise 54."""
    step, noise = 1008, 54
    envs = vector_env(dynamics, num_envs=30)
    _, _, info = play(envs, always(0), goals=goals_of(dynamics, 30))
    each = (step + 8 * noise) / (step + noise)
    np.testing.assert_allclose(info["calls"], each, rtol=1e-5)
    _, _, info = play(envs, always(0), goals=goals_of(dynamics, 30), bars=bars)
    # noise for five given steps, and what is expected of nine changes
    each += (5 + 9) * noise / (step + noise)
    np.testing.assert_allclose(info["calls"], each, rtol=1e-5)


# what is seen


@pytest.mark.parametrize("decided", [0, 5, 15])
def test_what_is_foreseen_is_what_the_read_out_says_of_the_decided_step(dynamics, bars, decided):
    """The candidates share a state and equal ones are asked for once: each is as if it were decided alone."""
    random, has_given = torch.Generator().manual_seed(1), torch.arange(30) < 20
    given = torch.from_numpy(bars) & has_given[:, None, None]
    goals, draws = goals_of(dynamics, 30), BatchDraws(random)
    state = dynamics.begin(given, has_given, torch.zeros_like(given), draws)
    for step in range(decided):
        state, _ = dynamics.step(state, goals, torch.arange(30) % (step + 2) % 8, draws)
    _, each = dynamics.unpack(dynamics.observe(state, goals))
    scale = dynamics.scale
    for k in range(8):
        alone = state.bars.decide(state.candidates.noise[:, k])
        mean, std = dynamics.read_out(alone)
        torch.testing.assert_close(state.foreseen.mean[:, k], mean)
        torch.testing.assert_close(state.foreseen.std[:, k], std)
        torch.testing.assert_close(each["predicted"][:, k], scale.standardised(mean).clamp(-10, 10))
        chances = log_chance((mean, std), goals.targets, goals.importance)
        torch.testing.assert_close(each["log chance"][:, k, 0], (chances / 10).clamp(min=-10))
        whole = torch.cat([alone.cells, given[:, decided + 1 :]], 1)[has_given]
        as_given = values_of(whole, scale.features, dynamics.kit)
        assert torch.equal(state.foreseen.as_given[has_given, k], as_given)
        gaps = (goals.targets[has_given] - as_given) / scale.tolerance
        torch.testing.assert_close(each["far given gaps"][has_given, k], gaps / 10)
        torch.testing.assert_close(each["given gaps"][has_given, k], torch.tanh(gaps / 3))
        assert not each["far given gaps"][~has_given, k].any()
        differs = (alone.cells[:, -1] ^ given[:, decided]).sum(1) * has_given
        assert (each["changed"][:, k, 0] * 4).tolist() == differs.tolist()
        onsets = each["onsets"][:, k] * 4
        assert onsets.sum(1).tolist() == alone.cells[:, -1].sum(1).tolist()
        assert onsets[:, 0].tolist() == alone.cells[:, -1, 0].tolist()


def test_the_bar_so_far_by_hand(dynamics):
    """Given four onsets, of which the first step keeps the kick; one cell of the second step changes."""
    given = np.zeros((1, 16, 9), bool)
    given[0, 0, [0, 2]] = given[0, 1, 1] = given[0, 8, 7] = True
    goals = Goals.of(torch.tensor([[7.0, 2.0]]), 1, closeness=0.25)
    goals.importance[0, 1] = 0
    envs = vector_env(dynamics, num_envs=1)
    seen, _ = envs.reset(seed=0, options={"bars": given, "goals": goals})
    shared, each = dynamics.unpack(torch.from_numpy(seen))
    assert shared["step"][0].tolist() == [1] + 15 * [0]
    assert shared["onsets"][0].tolist() == [0, 0, 0, 0]
    assert shared["given"].item() == 1
    assert shared["given onsets"].item() * 8 == 4
    assert shared["importance"][0].tolist() == [1, 0]
    assert shared["closeness coefficient"].item() == 0.25
    assert shared["kl coefficient"].item() == 0
    torch.testing.assert_close(shared["far given gaps"][0], torch.tensor([0.3, 0]))  # four are there, seven are asked
    assert torch.equal(shared["predicted"], torch.zeros(1, 2))  # as unsteered bars
    assert each["keeps"][0, :, 0].tolist() == [1] + 7 * [0]
    assert each["edits"][0, :, 0].tolist() == [0, 1, 1, 1, 1, 0, 0, 0]
    assert (each["onsets"][0, 0] * 4).tolist() == [1, 0, 1, 0]
    envs.step(np.array([0]))
    seen, *_ = envs.step(np.array([1]))
    bar = torch.from_numpy(seen)
    shared, _ = dynamics.unpack(bar)
    cells = envs._state.bars.cells
    assert shared["step"][0].tolist() == [0, 0, 1] + 13 * [0]
    assert shared["changed"].item() == 0.125  # a share of eight, though four sound
    assert shared["given onsets"].item() * 8 == 1
    assert (shared["onsets"][0] * 8).sum() == cells.sum()
    noise = envs._state.bars.z.double()
    excess = (noise.square().sum() - 18) / (2 * 144) ** 0.5
    assert shared["length"].item() == pytest.approx(excess.item(), abs=1e-5)


def test_the_given_step_is_the_less_charged_the_more_closeness_counts(dynamics, bars):
    n = 12
    chosen, none = torch.from_numpy(bars[:n]), torch.zeros(n, *bars.shape[1:], dtype=torch.bool)
    has_given = torch.arange(n) % 2 == 0
    draws = BatchDraws(torch.Generator().manual_seed(5))
    state = dynamics.begin(chosen & has_given[:, None, None], has_given, none, draws)
    charged = state.candidates.log_chance
    assert (charged[has_given][:, 0] != 0).all()
    for closeness in (0.0, 0.25, 1.0):
        found = dynamics.rarity(state, goals_of(dynamics, n, closeness=closeness))
        torch.testing.assert_close(found[:, 0], (1 - closeness) * charged[:, 0])
        made = state.candidates.edits
        spared = (charged - closeness * charged[:, :1])[made]
        torch.testing.assert_close(found[made], spared)
        assert (found[~made & ~state.candidates.keeps] == 0).all()


def test_what_is_locked_of_the_rest_is_seen(dynamics, bars):
    """A step of nine cells and a part of sixteen: 24 of 144 cells at first, 14 of 54 before the eleventh step."""
    locked = np.zeros((1, 16, 9), bool)
    locked[0, 12] = locked[0, :, 4] = True
    envs = vector_env(dynamics, num_envs=1)
    seen, _ = envs.reset(seed=0, options={"bars": bars[:1], "locked": locked})
    shares = []
    for _ in range(17):
        shares.append(dynamics.unpack(torch.from_numpy(seen))[0]["locked"].item())
        seen, *_ = envs.step(np.array([7]))
    assert shares[0] == pytest.approx(24 / 144)
    assert shares[10] == pytest.approx(14 / 54)
    assert shares[13] == pytest.approx(3 / 27)
    assert shares[16] == 0


def test_bars_are_drawn_as_text_while_they_are_decided(dynamics, bars):
    env = StepwiseEnv(dynamics, render_mode="ansi")
    assert env.render() is None
    env.reset(seed=0, options={"bars": bars[:1], "goals": goals_of(dynamics, 1)})
    for _ in range(8):
        env.step(np.int64(0))
    half = env.render().splitlines()
    assert [line[-8:] for line in half] == 9 * ["........"]
    for _ in range(8):
        env.step(np.int64(0))
    whole = env.render().splitlines()
    assert [line[:-8] for line in whole] == [line[:-8] for line in half]
    assert sum(line[11:].count("x") + line[11:].count("o") for line in whole) == bars[0].sum()
    assert StepwiseEnv(dynamics).render() is None


# what is asked for


def test_the_start_is_as_its_sheet_says(dynamics):
    n = 4000
    envs = vector_env(dynamics, num_envs=n, given=0.3)
    seen, _ = envs.reset(seed=5)
    shared, _ = dynamics.unpack(torch.from_numpy(seen))
    has_given = shared["given"][:, 0] > 0
    assert has_given.float().mean().item() == pytest.approx(0.3, abs=0.03)
    free = shared["importance"][~has_given]
    assert (free.sum(1) == 1).float().mean().item() == pytest.approx(0.2, abs=0.025)
    wishes = (
        envs._goals.targets[has_given] - values_of(envs._state.given, dynamics.scale.features, dynamics.kit)[has_given]
    )
    assert wishes.abs().max() == 6
    assert (wishes != 0).sum(1).max() == 1
    importance = shared["importance"][has_given]
    assert (importance[wishes != 0] == 1).all()
    assert (importance.sum(1) == 2).float().mean().item() == pytest.approx(0.5, abs=0.04)
    low, high = envs.targets.amin(0), envs.targets.amax(0)
    wanted = envs._goals.targets[has_given]
    assert ((wishes == 0) | ((wanted >= low) & (wanted <= high))).all()
    # a half of the given bars have locked parts, each with a chance that is even over 0 to 1: by hand a half of them
    locked = envs._state.locked
    assert not locked[~has_given].any()
    assert torch.equal(locked, locked[:, :1].expand(n, 16, 9))
    parts = locked[has_given, 0].float()
    assert parts.mean().item() == pytest.approx(0.25, abs=0.03)
    # of nine parts none is locked by a tenth of those that may have some, as is any other number
    assert (parts.sum(1) == 0).float().mean().item() == pytest.approx(0.5 + 0.05, abs=0.04)
    assert (parts.sum(1) == 9).float().mean().item() == pytest.approx(0.05, abs=0.02)
    for term in dynamics.terms:
        share = shared[f"{term} coefficient"]
        assert (share == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
        assert share[share > 0].mean().item() == pytest.approx(0.5, abs=0.02)
    unweighted = vector_env(dynamics, num_envs=50, weighted=False)
    shared, _ = dynamics.unpack(torch.from_numpy(unweighted.reset(seed=5)[0]))
    assert not any(shared[f"{term} coefficient"].any() for term in dynamics.terms)


def test_what_a_reset_was_given_is_left_as_it_was(dynamics, bars):
    envs, goals, kept = vector_env(dynamics, num_envs=30), goals_of(dynamics, 30), bars.copy()
    before = copy.deepcopy(goals)
    play(envs, always(5), bars=bars, goals=goals)
    envs.step(np.zeros(30, int))
    np.testing.assert_array_equal(bars, kept)
    assert torch.equal(goals.targets, before.targets)
    assert not goals.coefs
    # and it is for this reset only
    assert not np.array_equal(envs._goals.targets, goals.targets)


def test_given_bars_without_goals_are_asked_to_change(dynamics, bars):
    envs = vector_env(dynamics, num_envs=30, given=0.0)
    envs.reset(seed=2, options={"bars": bars})
    assert envs._state.has_given.all()
    own = values_of(bars, dynamics.scale.features, dynamics.kit)
    assert (((envs._goals.targets - own) != 0).sum(1) <= 1).all()


def test_other_features_are_steered_by_name():
    torch.manual_seed(2)
    gan = GAN(GANConfig("gm9", width=4, discriminator_width=8)).eval().requires_grad_(False)
    prior = WordLSTM(WordLSTMConfig("gm9", width=8, word_width=8)).eval().requires_grad_(False)
    scale = find_scale(gan, gan, prior, ("kick density", "off-beat share", "parts used"), n=1000)
    assert scale.tolerance[0] == scale.tolerance[2] == 1 != scale.tolerance[1]
    dynamics = StepwiseDynamics(
        gan, gan, prior, scale, fit_read_out(gan, scale, ReadOutConfig(bars=500)), 4, 1, terms=("closeness",)
    )
    check_env(StepwiseEnv(dynamics), skip_render_check=True)
    assert dynamics.width == shared_layout(16, 3, ("closeness",)).width + 4 * candidate_layout(3).width


def test_what_cannot_be_is_refused_in_a_line(dynamics, bars):
    targets = dynamics.scale.values
    with pytest.raises(ValueError, match=r"expected targets \(m, 2\); got \(5, 3\)"):
        StepwiseVectorEnv(dynamics, np.zeros((5, 3)), bars)
    with pytest.raises(
        ValueError, match=r"a share of 0.5 of the episodes is to have a given bar, but there are no bars"
    ):
        StepwiseVectorEnv(dynamics, targets)
    with pytest.raises(ValueError, match=r"expected given bars \(m, 16, 9\) bool; got float64 \(3, 16, 9\)"):
        StepwiseVectorEnv(dynamics, targets, bars[:3].astype(float))
    envs = StepwiseVectorEnv(dynamics, targets, num_envs=2, given=0.0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="expected goals, bars and locks of 2 episodes"):
        envs.reset(options={"bars": bars[:3]})
    with pytest.raises(ValueError, match="expected goals, bars and locks of 2 episodes"):
        envs.reset(options={"goals": goals_of(dynamics, 3)})
    with pytest.raises(ValueError, match="expected goals, bars and locks of 2 episodes"):
        envs.reset(options={"bars": bars[:2], "locked": bars[:1]})
    with pytest.raises(ValueError, match="what is locked are cells of given bars, but there are no bars"):
        envs.reset(options={"locked": bars[:2]})
    with pytest.raises(ValueError, match=r"expected given bars \(m, 16, 9\) bool; got int64"):
        envs.reset(options={"bars": bars[:2], "locked": bars[:2].astype(int)})
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="expected 2 actions from 0 to 7"):
        envs.step(np.array([0, 8]))
    models = dynamics.generator, dynamics.models.critic, dynamics.models.prior, dynamics.scale, dynamics.read_out
    with pytest.raises(ValueError, match="got 1 and 0"):
        StepwiseDynamics(*models, 1, 0)
    with pytest.raises(ValueError, match="got 12 and 10"):
        StepwiseDynamics(*models, 12, 10)
    with pytest.raises(ValueError, match="no term is called 'swing'"):
        StepwiseDynamics(*models, terms=("swing",))


# learners


def test_shares_and_options_that_there_are_not_are_refused(dynamics, bars):
    for name, share in (("given", 2), ("locked", -1), ("crossed", 5), ("skipped", -0.1)):
        with pytest.raises(ValueError, match=f"{name} is a share of the episodes, 0 to 1, not {share}"):
            vector_env(dynamics, num_envs=2, bars=bars, **{name: share})
    with pytest.raises(ValueError, match="no option is called 'goal'; there are bars, goals and locked"):
        vector_env(dynamics, num_envs=2, bars=bars).reset(options={"goal": 1})


def test_our_learner_serves_it(dynamics):
    envs = vector_env(dynamics, num_envs=16)
    dqn = DQN(envs, DQNConfig(train_steps=600, batch_size=64, learning_starts=200, buffer_size=2000, seed=1))
    logged = []
    dqn.learn(lambda done, numbers: logged.append(numbers))
    assert 600 <= dqn.steps_done < 616
    assert np.isfinite(logged[-1]["loss"])


def test_other_peoples_agent_trains_on_it(dynamics):
    theirs = pytest.importorskip("stable_baselines3")
    env = StepwiseEnv(dynamics)
    model = theirs.DQN(
        "MlpPolicy",
        env,
        learning_starts=50,
        buffer_size=400,
        batch_size=16,
        policy_kwargs={"net_arch": [16]},
        seed=0,
        device="cpu",
    )
    model.learn(200)
    assert model.num_timesteps == 200
    seen, _ = env.reset(seed=1)
    action, _ = model.predict(seen)
    assert env.action_space.contains(np.int64(action))


def test_values_of_candidates_are_learned_on_it(dynamics, bars):
    """They begin as what the read-out says of the candidates, and lead to higher rewards as they are learned."""
    agent = Agent(AgentConfig.of(dynamics.generator))
    envs = StepwiseVectorEnv(dynamics, dynamics.scale.values[:500], bars, 256)
    observations = torch.from_numpy(envs.reset(seed=1)[0])
    _, each = dynamics.unpack(observations)
    said = 10 * each["log chance"][..., 0].clamp(min=-3) * agent.config.temperature
    torch.testing.assert_close(agent.network(observations), said)
    config = SoftQConfig(train_steps=120_000, batch_size=1024, learning_rate=5e-3, tau=0.3)
    returns = []
    SoftQ(envs, config, agent.network).learn(lambda done, numbers: returns.append(numbers["return"]))
    assert len(returns) == 30
    assert np.mean(returns[-8:]) > np.mean(returns[:8]) + 0.15
