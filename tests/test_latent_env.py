"""The latent space as an environment: Gymnasium's rules, and what an episode is rewarded with."""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rhythmgan.conditions import Condition
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN
from rl_tuner.envs import LATENT
from rl_tuner.envs.latent import LatentEnv, LatentVectorEnv, vector_env
from rl_tuner.goals import Goals
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.latent.space import find_space
from rl_tuner.rewards import KL_PRICE

pytestmark = pytest.mark.usefixtures("one_thread")

Z = 144
VALUES, WANTED, WEIGHTS, TERMS = 2 * Z, 2 * Z + 2, 2 * Z + 8, 2 * Z + 10
"""Where an observation of two features holds them."""


@pytest.fixture(scope="module")
def dynamics():
    """A tiny generator, of which a cell sounds where z is over .8."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    gan = GAN(GANConfig("gm9", width=2, discriminator_width=8)).eval().requires_grad_(False)
    for layer in (gan.generator.to_parts, gan.generator.to_links, gan.generator.to_repeats):
        layer.weight.zero_()
        layer.bias.zero_()
    gan.generator.to_parts.bias.fill_(-0.8)
    prior = WordLSTM(WordLSTMConfig("gm9", width=8, word_width=8)).eval().requires_grad_(False)
    return Dynamics(gan, gan, prior, find_space(gan, gan, prior, n=3000, n_directions=8))


def envs_of(dynamics, n, **options):
    return LatentVectorEnv(dynamics, dynamics.space.values, n, **options)


def goals_of(dynamics, n, calls=9, kl_coef=0.0, share=0.5):
    def each(value, dtype=torch.float32):
        return torch.as_tensor(value, dtype=dtype).expand(n).clone()

    targets = dynamics.space.values[:n].clone()
    coefs = {"realism": each(share), "likelihood": each(share), "kl": each(kl_coef)}
    return Goals(targets, torch.ones(n, 2), coefs, each(calls, torch.long))


def draw(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, Z)).astype(np.float32)


def test_gymnasiums_own_check_finds_nothing(dynamics):
    env = gymnasium.make(f"rl_tuner.envs:{LATENT}", dynamics=dynamics)
    check_env(env.unwrapped, skip_render_check=True)
    check_env(LatentEnv(dynamics, dynamics.space.values, render_mode="ansi"), skip_render_check=True)


def test_gymnasiums_check_of_rendering_finds_nothing(dynamics):
    check_env(gymnasium.make(f"rl_tuner.envs:{LATENT}", dynamics=dynamics).unwrapped)


def test_the_bundled_environments_need_no_arguments():
    env = gymnasium.make(f"rl_tuner.envs:{LATENT}")
    check_env(env.unwrapped, skip_render_check=True)
    envs = gymnasium.make_vec(f"rl_tuner.envs:{LATENT}", num_envs=3)
    seen, _ = envs.reset(seed=1)
    assert seen in envs.observation_space
    assert envs.num_envs == 3
    assert seen.shape == (3, 403)
    assert isinstance(envs.unwrapped, LatentVectorEnv)
    made = envs.unwrapped.dynamics
    assert (
        made.generator.condition == made.critic.condition == made.prior.condition == Condition()
    )  # any role and style


def test_many_are_made_by_the_same_name(dynamics):
    envs = gymnasium.make_vec(
        f"rl_tuner.envs:{LATENT}", num_envs=5, vectorization_mode="vector_entry_point", dynamics=dynamics, calls=16
    )
    assert envs.num_envs == 5
    assert envs.unwrapped.calls == 16
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert vector_env(dynamics).num_envs == 1


def test_shapes_spaces_and_types(dynamics):
    envs = envs_of(dynamics, 40, reward="absolute")
    assert envs.single_observation_space.shape == (dynamics.layout.width,)
    assert envs.single_action_space == gymnasium.spaces.Discrete(1 + 20 + 32)
    seen, info = envs.reset(seed=3)
    envs.action_space.seed(4)
    for _ in range(12):
        assert seen in envs.observation_space
        assert set(info["terms"]) == {"match", "success", "realism", "likelihood", "score", "kl"}
        assert all(term.shape == (40,) for term in info["terms"].values())
        seen, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert rewards.shape == terminated.shape == truncated.shape == (40,)
        assert terminated.dtype == truncated.dtype == bool
        assert rewards.dtype == np.float32
        assert not truncated.any()


def test_rewards_sum_up_to_how_much_better_the_bar_became(dynamics):
    n = 30
    envs = envs_of(dynamics, n)
    calls = torch.arange(n) % 6 + 4
    _, info = envs.reset(seed=1, options={"goals": goals_of(dynamics, n, calls), "z": draw(n)})
    first, total, over = info["terms"]["score"].copy(), np.zeros(n), np.zeros(n, bool)
    last, lengths = first.copy(), np.zeros(n, int)
    random = np.random.default_rng(2)
    while not over.all():
        _, rewards, terminated, _, info = envs.step(random.integers(1, dynamics.n_actions, n))
        total += np.where(over, 0, rewards)
        lengths += ~over
        last = np.where(over, last, info["terms"]["score"])
        over |= terminated
    np.testing.assert_allclose(total, last - first, atol=1e-5)
    assert np.abs(total).max() > 0.1
    # the first bar was a call, so that an episode of n calls has n − 1 moves
    assert (lengths == calls.numpy() - 1).all()


@pytest.mark.parametrize("reward", ["delta", "absolute"])
def test_kl_is_rewarded_by_the_nat_and_by_its_coefficient(dynamics, reward):
    n = 20
    envs = envs_of(dynamics, n, reward=reward)
    kl_coef = torch.linspace(0, 1, n)
    _, before = envs.reset(seed=1, options={"goals": goals_of(dynamics, n, kl_coef=kl_coef)})
    _, rewards, _, _, after = envs.step(np.arange(n) + 6)
    assert after["terms"]["kl"].max() > 0.1
    gain = after["terms"]["score"] - (before["terms"]["score"] if reward == "delta" else 0)
    np.testing.assert_allclose(rewards, gain - KL_PRICE * kl_coef.numpy() * after["terms"]["kl"], atol=1e-6)


@pytest.mark.parametrize("reward", ["delta", "absolute"])
def test_to_stay_ends_the_episode_and_costs_no_call(dynamics, reward):
    envs = envs_of(dynamics, 3, reward=reward)
    goals = goals_of(dynamics, 3, calls=20, kl_coef=1.0)
    seen, before = envs.reset(seed=1, options={"goals": goals})
    after, rewards, terminated, _, info = envs.step(np.array([0, 7, 0]))
    assert terminated.tolist() == [True, False, True]
    assert (after[[0, 2]] == seen[[0, 2]]).all()  # as many calls are left as before
    assert after[1, -2] < seen[1, -2]
    assert info["terms"]["kl"][0] == 0
    assert rewards[0] == (0 if reward == "delta" else before["terms"]["score"][0])


def test_episodes_begin_anew_with_the_next_step_whatever_its_action(dynamics):
    results = []
    for ignored in (0, 5, 30):
        envs = envs_of(dynamics, 4)
        goals = goals_of(dynamics, 4, calls=30)
        old, _ = envs.reset(seed=7, options={"goals": goals})
        envs.step(np.array([0, 3, 0, 3]))
        seen, rewards, terminated, _, info = envs.step(np.array([ignored, 8, ignored, 8]))
        results.append((seen, rewards, info["terms"]["score"]))
        assert rewards[[0, 2]].tolist() == [0, 0]
        assert not terminated.any()
        assert info["terms"]["kl"][[0, 2]].tolist() == [0, 0]
        assert (seen[[0, 2], :Z] != old[[0, 2], :Z]).all()
        # the others have gone on: two of 29 calls more are spent
        assert seen[[1, 3], -2] * 64 == pytest.approx([27, 27])
        # and the next step is one like any other
        _, _, terminated, _, _ = envs.step(np.array([4, 4, 0, 4]))
        assert terminated.tolist() == [False, False, True, False]
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_an_episode_that_begins_anew_has_all_its_calls_and_a_fresh_point(dynamics):
    n = 3000
    envs = envs_of(dynamics, n, calls=64)
    envs.reset(seed=5)
    envs.step(np.zeros(n, int))
    seen, *_ = envs.step(np.full(n, 9))
    z, calls = 5 * seen[:, :Z], 2 ** (6 * seen[:, -1])
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert calls.min() == pytest.approx(4)
    assert calls.max() == pytest.approx(64)
    # even in their logarithm: half of them are below 16
    assert np.median(calls) == pytest.approx(16, abs=1.1)


def test_the_start_is_as_its_sheet_says(dynamics):
    n = 6000
    targets = torch.tensor([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0], [40.0, 4.0]])
    envs = LatentVectorEnv(dynamics, targets, n, crossed=0.4, skipped=0.2)
    seen, _ = envs.reset(seed=5)
    weights = seen[:, WEIGHTS : WEIGHTS + 2]
    assert set(weights.flatten().tolist()) == {0, 1}
    assert (weights.sum(1) == 1).mean() == pytest.approx(0.2, abs=0.02)
    assert (weights[:, 0] == 0).mean() == pytest.approx(0.1, abs=0.015)
    assert (weights.sum(1) > 0).all()
    whole = weights.all(1)
    space = dynamics.space
    wanted = seen[whole, WANTED : WANTED + 2] * space.stds.numpy() + space.means.numpy()
    rows, others = np.clip(wanted[:, 0].round() / 10, 1, 4), np.clip(wanted[:, 1].round(), 1, 4)
    np.testing.assert_allclose(wanted, np.stack([10 * rows, others], 1), atol=1e-2)
    # of crossed ones a quarter meets its own row
    assert (rows != others).mean() == pytest.approx(0.4 * 0.75, abs=0.025)
    assert np.bincount(rows.astype(int))[1:].min() > 0.2 * whole.sum()
    for column in range(TERMS + 4, TERMS + 7):
        share = seen[:, column]
        assert (share == 0).mean() == pytest.approx(0.5, abs=0.03)
        assert share[share > 0].mean() == pytest.approx(0.5, abs=0.02)
        assert share.max() <= 1


def test_without_weights_the_networks_do_not_count(dynamics):
    envs = envs_of(dynamics, 300, weighted=False)
    seen, info = envs.reset(seed=5)
    assert not seen[:, TERMS + 4 : TERMS + 6].any()
    assert not info["terms"]["realism"].any()
    np.testing.assert_array_equal(info["terms"]["score"], info["terms"]["match"])


def test_without_weights_kl_costs_nothing_either(dynamics):
    seen, _ = envs_of(dynamics, 300, weighted=False).reset(seed=5)
    assert not seen[:, TERMS + 4 : TERMS + 7].any()


def test_same_seed_same_walks(dynamics):
    runs = []
    for seed in (3, 3, 4):
        envs = envs_of(dynamics, 6, calls=8)
        seen = [envs.reset(seed=seed)[0]]
        random = np.random.default_rng(1)
        for _ in range(25):
            seen.append(envs.step(random.integers(dynamics.n_actions, size=6))[0])
        seen.append(envs.reset()[0])
        runs.append(np.stack(seen))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][:, :, :Z] != runs[2][:, :, :Z]).mean() > 0.99
    # a reset without a seed goes on in the same stream
    assert (runs[0][-1] != runs[0][0]).any()


def test_a_reset_may_set_z_and_goals(dynamics):
    envs = envs_of(dynamics, 4)
    z, goals = draw(4, 6), goals_of(dynamics, 4, calls=torch.tensor([4, 5, 6, 33]))
    for _ in range(2):
        seen, info = envs.reset(seed=1, options={"z": z, "goals": goals})
        np.testing.assert_allclose(seen[:, :Z], z / 5, rtol=1e-6)
        assert (seen[:, -2] * 64).tolist() == [3, 4, 5, 32]
        state = dynamics.begin(torch.from_numpy(z), goals)
        np.testing.assert_array_equal(seen, dynamics.observe(state, goals).numpy())
        np.testing.assert_array_equal(info["terms"]["score"], state.score.numpy())
    seen, _ = envs.reset(seed=1)
    assert (seen[:, :Z] != z / 5).all()


def test_what_a_reset_was_given_is_left_as_it_was(dynamics):
    envs = envs_of(dynamics, 4)
    z = draw(4, 6)
    kept = z.copy()
    envs.reset(seed=1, options={"z": z})
    for _ in range(5):
        envs.step(np.zeros(4, int))
    np.testing.assert_array_equal(z, kept)


def test_goals_that_a_reset_was_given_are_left_as_they_were(dynamics):
    envs = envs_of(dynamics, 4)
    goals = goals_of(dynamics, 4)
    kept = copy.deepcopy(goals)
    envs.reset(seed=1, options={"goals": goals})
    for _ in range(5):
        envs.step(np.zeros(4, int))
    assert torch.equal(goals.targets, kept.targets)
    assert torch.equal(goals.calls, kept.calls)


def test_one_episode_is_a_batch_of_one(dynamics):
    env, envs = LatentEnv(dynamics, calls=10), envs_of(dynamics, 1, calls=10)
    one, _ = env.reset(seed=9)
    many, _ = envs.reset(seed=9)
    np.testing.assert_array_equal(one, many[0])
    for action in (4, 25, 0):
        seen, reward, terminated, truncated, info = env.step(np.int64(action))
        many, rewards, stops, _, infos = envs.step(np.array([action]))
        np.testing.assert_array_equal(seen, many[0])
        assert (reward, terminated, truncated) == (rewards[0], stops[0], False)
        assert info["terms"] == {name: term[0] for name, term in infos["terms"].items()}
        assert all(type(term) is float for term in info["terms"].values())
    assert terminated


def test_bars_are_drawn_as_text(dynamics):
    z = np.full((1, Z), -1.0, np.float32)
    cells = z.reshape(16, 9)
    cells[[0, 10], 0] = 1  # kick
    cells[[4, 12], 1] = 0.9  # snare
    cells[::2, 2] = 2  # closed hat
    cells[15, 6] = 1  # high tom
    cells[0, 8] = 1  # crash
    cells[3, 3] = 0.7  # not over .8
    env = LatentEnv(dynamics, render_mode="ansi")
    assert env.render() is None
    env.reset(seed=0, options={"z": z})
    assert env.render().splitlines() == [
        "kick       x.........x.....",
        "snare      ....x.......x...",
        "closed hat o.o.o.o.o.o.o.o.",
        "open hat   ................",
        "low tom    ................",
        "mid tom    ................",
        "high tom   ...............x",
        "ride       ................",
        "crash      o...............",
    ]
    envs = envs_of(dynamics, 2, render_mode="ansi")
    envs.reset(options={"z": np.concatenate([-z, z])})
    assert len(envs.render()) == 2
    assert envs.render()[1] == env.render()
    silent = LatentEnv(dynamics)
    silent.reset(seed=0)
    assert silent.render() is None


def test_what_cannot_be_is_refused_in_a_line(dynamics):
    with pytest.raises(ValueError, match=r"expected targets \(m, 2\); got \(5, 3\)"):
        LatentVectorEnv(dynamics, np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"got \(0, 2\)"):
        LatentVectorEnv(dynamics, np.zeros((0, 2)))
    with pytest.raises(ValueError, match="not 3"):
        envs_of(dynamics, 2, calls=3)
    with pytest.raises(ValueError, match="not 5000"):
        envs_of(dynamics, 2, calls=5000)
    with pytest.raises(ValueError, match="delta or absolute, not 'sparse'"):
        envs_of(dynamics, 2, reward="sparse")
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs_of(dynamics, 2).step(np.zeros(2, int))


def test_one_learner_serves_it_with_hindsight(dynamics):
    envs = envs_of(dynamics, 16, calls=8)
    config = DQNConfig(train_steps=600, batch_size=64, learning_starts=200, buffer_size=2000, her_ratio=0.25, seed=1)
    dqn = DQN(envs, config, relabel=envs.relabel)
    logged = []
    dqn.learn(lambda done, numbers: logged.append(numbers))
    assert 600 <= dqn.steps_done < 616
    assert np.isfinite(logged[-1]["loss"])
    assert all(weight.isfinite().all() for weight in dqn.network.parameters())


def test_other_peoples_agent_trains_on_it(dynamics):
    theirs = pytest.importorskip("stable_baselines3")
    env = LatentEnv(dynamics, calls=8)
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
    model.learn(400)
    assert model.num_timesteps == 400
    seen, _ = env.reset(seed=1)
    action, _ = model.predict(seen)
    assert env.action_space.contains(np.int64(action))
