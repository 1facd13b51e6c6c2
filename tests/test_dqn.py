"""The learner: each formula by hand, and small worlds that it must solve."""

import copy
import math
import os
import pickle
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rhythmgan.training.checkpoint import read_checkpoint, write_checkpoint
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN, QNetwork, double_q, n_step_returns, policy, soft_value
from rl_tuner.replay import Replay


@pytest.fixture(autouse=True)
def _one(one_thread):
    pass


class World(VectorEnv):
    """Worlds of one-hot states that begin anew with the step after the end; ``_rules`` says what a step does."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (as its base)

    def __init__(self, num_envs, n_states, n_actions, dtype=np.float32):
        self.num_envs, self.n_states = num_envs, n_states
        self.single_observation_space = spaces.Box(0, 1, (n_states,), dtype)
        self.single_action_space = spaces.Discrete(n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.dtype = dtype

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.states = self._begin()
        self.ages = np.zeros(self.num_envs, int)
        self.ended = np.zeros(self.num_envs, bool)
        return self._see(), {}

    def step(self, actions):
        begins = self.ended
        states, rewards, terminated, truncated = self._rules(np.asarray(actions))
        self.states = np.where(begins, self._begin(), states)
        self.ages = np.where(begins, 0, self.ages + 1)
        rewards = np.where(begins, 0, rewards).astype(np.float32)
        terminated, truncated = terminated & ~begins, truncated & ~begins
        self.ended = terminated | truncated
        return self._see(), rewards, terminated, truncated, {}

    def _see(self):
        return np.eye(self.n_states, dtype=self.dtype)[self.states]


class Identity(World):
    """Pays 1 for the action that has the number of the state; an episode is five steps long."""

    def __init__(self, num_envs, n_states=6, dtype=np.float32):
        super().__init__(num_envs, n_states, n_states, dtype)

    def _begin(self):
        return self.np_random.integers(self.n_states, size=self.num_envs)

    def _rules(self, actions):
        terminated = self.ages >= 4
        return self._begin(), actions == self.states, terminated, np.zeros_like(terminated)


class Corridor(World):
    """Cells 0 … 7; the ends end the episode, with .2 at the left and 1 at the right. It is cut off after two steps."""

    def __init__(self, num_envs):
        super().__init__(num_envs, 8, 2)

    def _begin(self):
        return self.np_random.integers(1, 7, size=self.num_envs)

    def _rules(self, actions):
        states = np.clip(self.states + 2 * actions - 1, 0, 7)
        terminated = (states == 0) | (states == 7)
        rewards = 0.2 * (states == 0) + 1.0 * (states == 7)
        return states, rewards, terminated, (self.ages >= 1) & ~terminated


SMALL = DQNConfig(
    train_steps=6000,
    batch_size=128,
    n_step=1,
    gamma=0.5,
    learning_rate=5e-3,
    buffer_size=5000,
    learning_starts=200,
    tau=0.05,
    seed=4,
)


def _share_right(dqn, n_states):
    every = torch.eye(n_states)
    return float((dqn.act(every, 0.0) == torch.arange(n_states)).float().mean())


# formulas


def test_n_step_returns_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [3.0, -2.0, 8.0]])
    ended = torch.tensor([[False] * 3, [False, True, False], [True, False, True], [False, False, True]])
    returns, counted = n_step_returns(rewards, ended, 0.5)
    assert returns.tolist() == [3.0, 2.0, 1.0, 4.0]
    assert counted.tolist() == [3, 2, 1, 3]


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=7),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_n_step_returns_are_those_of_a_plain_loop(steps, discount):
    total, count = 0.0, 0
    for reward, ended in steps:
        total += discount**count * reward
        count += 1
        if ended:
            break
    rewards = torch.tensor([[reward for reward, _ in steps]], dtype=torch.float64)
    returns, counted = n_step_returns(rewards, torch.tensor([[ended for _, ended in steps]]), discount)
    assert returns.item() == pytest.approx(total)
    assert counted.item() == count


def test_double_q_asks_the_target_about_the_choice_of_the_other():
    online = torch.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 6.0]])
    target = torch.tensor([[9.0, 3.0, 4.0], [-1.0, 8.0, 2.0]])
    assert double_q(online, target).tolist() == [3.0, -1.0]


def test_advantages_are_those_over_the_mean():
    torch.manual_seed(0)
    network = QNetwork(5, 3, width=8, layers=3)
    x = torch.randn(7, 5)
    values = network(x)
    assert values.shape == (7, 3)
    hidden = network.body(x)
    torch.testing.assert_close(values.mean(1), network.value(hidden)[:, 0])
    advantage = network.advantage(hidden)
    torch.testing.assert_close(values[:, 2] - values[:, 0], advantage[:, 2] - advantage[:, 0])
    with torch.no_grad():
        network.advantage.bias += 3  # what all actions share is none of the advantage
    torch.testing.assert_close(network(x), values)
    assert sum(isinstance(layer, nn.Linear) for layer in network.body) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train_steps", 0),
        ("batch_size", 0),
        ("gradient_steps", -1),
        ("n_step", 0),
        ("buffer_size", 0),
        ("learning_starts", 0),
        ("gamma", 1.01),
        ("gamma", math.nan),
        ("tau", -0.1),
        ("eps_start", 2),
        ("eps_end", -1),
        ("exploration_fraction", 1.5),
        ("priority_exponent", 1.1),
        ("her_ratio", -0.5),
        ("learning_rate", 0.0),
        ("learning_rate", 1.0),
        ("seed", -1),
        ("seed", 2**63),
        ("temperature", -0.1),
        ("temperature", math.inf),
        ("target_update_every", 0),
        ("learning_rate_end", 1.5),
    ],
)
def test_recipes_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        DQNConfig(**{name: value})


# memory


def _remember(replay, times, n_envs, real=None, ended=None):
    """At time t environment e sees (t, e), does 10 t + e and is rewarded with 100 t + e."""
    for time in times:
        env = torch.arange(n_envs)
        none = torch.zeros(n_envs, dtype=torch.bool)
        replay.add(
            torch.stack([torch.full((n_envs,), time), env], 1).float(),
            10 * time + env,
            100.0 * time + env,
            none,
            none if ended is None else ended(time, env),
            ~none if real is None else real(time, env),
        )


@pytest.mark.parametrize("n_times", [4, 6, 8, 13, 21])
def test_segments_are_read_as_they_happened_round_the_ring(n_times):
    n_envs, k = 3, 2
    replay = Replay(n_envs, 20, 2, torch.device("cpu"))  # six times
    _remember(replay, range(n_times), n_envs, ended=lambda time, env: (time + env) % 4 == 0)
    batch = replay.sample(2000, k, torch.Generator().manual_seed(0))
    times, envs = batch.observations[:, 0].T
    assert batch.observations.shape == (2000, 3, 2)
    assert (batch.observations[:, :, 1] == envs[:, None]).all()
    assert (batch.observations[:, :, 0] == times[:, None] + torch.arange(3)).all()
    assert (batch.actions == 10 * times + envs).all()
    assert (batch.rewards == 100 * (times[:, None] + torch.arange(k)) + envs[:, None]).all()
    assert (batch.ended == ((times[:, None] + torch.arange(k) + envs[:, None]) % 4 == 0)).all()
    assert not batch.terminated.any()
    # all that are there whole, and no others
    oldest = max(0, n_times - 6)
    assert set(times.int().tolist()) == set(range(oldest, n_times - k))
    assert set(envs.int().tolist()) == {0, 1, 2}


def test_too_few_steps_are_refused():
    replay = Replay(2, 100, 2, torch.device("cpu"))
    _remember(replay, range(3), 2)
    random = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="3 steps"):
        replay.sample(5, 3, random)
    assert set(replay.sample(5, 2, random).observations[:, 0, 0].tolist()) == {0.0}


def test_a_step_that_only_begins_an_episode_is_no_transition():
    replay = Replay(2, 24, 2, torch.device("cpu"))
    _remember(replay, range(17), 2, real=lambda time, env: (time + 2 * env) % 5 != 0)
    batch = replay.sample(4000, 1, torch.Generator().manual_seed(1))
    times, envs = batch.observations[:, 0].int().T
    drawn = set(zip(times.tolist(), envs.tolist(), strict=True))
    whole = {(time, env) for time in range(5, 16) for env in (0, 1)}
    assert drawn == {(time, env) for time, env in whole if (time + 2 * env) % 5}


def _filled(n_envs=2, dim=2):
    """A memory of three steps of ten environments at most, of which all is known."""
    replay = Replay(n_envs, 5 * n_envs, dim, torch.device("cpu"))
    for time in range(3):
        ones = torch.ones(n_envs)
        replay.add(
            torch.full((n_envs, dim), time), ones.long() * time, ones * time, ones == 0, ones == 0, torch.ones(n_envs)
        )
    replay.update_priorities(torch.tensor([1]), torch.tensor([2.5]))
    return replay


def test_a_memory_goes_on_from_its_state():
    state = _filled().get_state()
    other = Replay(2, 10, 2, torch.device("cpu"))
    other.check_state(state)
    other.set_state(state)
    assert (other.time, other.max_priority) == (3, 2.5)
    found = other.get_state()
    assert all(torch.equal(found[name], state[name]) for name in state if isinstance(state[name], torch.Tensor))
    assert found["priorities"].tolist() == [[1, 2.5], [1, 1], [1, 1]]


def test_a_state_of_another_memory_is_refused():
    state, memory = _filled().get_state(), Replay(2, 10, 2, torch.device("cpu"))
    wrong = [
        {},
        *({name: value for name, value in state.items() if name != lost} for lost in state),
        *(state | {"time": time} for time in (-1, -2, True, 2, 4, 10**9, 3.0)),
        *(state | {"max_priority": most} for most in (-1.0, math.inf, math.nan, 1)),
        *(state | {"priorities": state["priorities"] * by} for by in (-1, math.nan)),
        _filled(n_envs=3).get_state(),
        _filled(dim=3).get_state(),
    ]
    for found in wrong:
        with pytest.raises(ValueError, match="the replay"):
            memory.check_state(found)


def test_segments_are_drawn_in_proportion_to_their_weights():
    replay = Replay(2, 8, 2, torch.device("cpu"))
    _remember(replay, range(4), 2)
    random = torch.Generator().manual_seed(2)
    assert (replay.sample(100, 1, random).probabilities == 1 / 6).all()
    replay.update_priorities(torch.tensor([0, 3, 4]), torch.tensor([5.0, 0.0, 2.0]))  # (0, 0), (1, 1) and (2, 0)
    # the weights are now 5 1, 1 0, 2 1: ten in all; the last time is no whole segment
    batch = replay.sample(20_000, 1, random)
    expected = torch.tensor([5, 1, 1, 0, 2, 1]) / 10
    shares = torch.bincount(batch.indices, minlength=6) / 20_000
    assert (shares - expected).abs().max() < 0.02
    assert shares[3] == 0
    torch.testing.assert_close(batch.probabilities, expected[batch.indices])
    # what is new is drawn as often as what weighs most
    _remember(replay, [4, 5], 2)
    assert replay.priorities[4 % 4].tolist() == [5.0, 5.0]


def test_places_are_those_of_the_first_steps_round_the_ring():
    replay = Replay(3, 12, 2, torch.device("cpu"))
    _remember(replay, range(10), 3)
    batch = replay.sample(500, 2, torch.Generator().manual_seed(3))
    assert (replay.rewards.view(-1)[batch.indices] == batch.rewards[:, 0]).all()


# one update


def _two_by_two(config, relabel=None):
    """A learner of one environment with linear networks that disagree, and three remembered times."""
    network = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.1, 0.2], [0.3, -0.4]]))
    dqn = DQN(Identity(1, 2), config, network, relabel)
    with torch.no_grad():
        dqn.target_network.weight.copy_(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    dqn.optimizer = torch.optim.SGD(dqn.network.parameters(), 0.1)
    return dqn


HAND = DQNConfig(train_steps=100, batch_size=4, n_step=2, gamma=0.5, tau=0.25, buffer_size=50, learning_starts=50)


def _live(dqn, terminated=(False, False), ended=(False, False)):
    """From (1, 2) by action 0 for 1 to (4, 2), by action 1 for 2 to (3, −1)."""
    steps = [((1.0, 2.0), 0, 1.0), ((4.0, 2.0), 1, 2.0), ((3.0, -1.0), 0, 50.0)]
    for index, (seen, action, reward) in enumerate(steps):
        stops, over = (terminated[index], ended[index]) if index < 2 else (False, False)
        dqn.replay.add(
            torch.tensor([seen]),
            torch.tensor([action]),
            torch.tensor([reward]),
            torch.tensor([stops]),
            torch.tensor([over]),
            torch.tensor([True]),
        )


# Q(1, 2) = (.5, −.5), of which .5 was chosen; at (3, −1) the network says (.1, 1.3) and the target (3, 1), at (4, 2)
# they say (.8, .4) and (4, 3)
@pytest.mark.parametrize(
    ("terminated", "ended", "goal"),
    [
        ((False, False), (False, False), 1 + 0.5 * 2 + 0.25 * 1),
        ((False, True), (False, True), 1 + 0.5 * 2),
        ((False, False), (False, True), 1 + 0.5 * 2 + 0.25 * 1),  # cut off: what follows has its value still
        ((True, False), (True, False), 1),
        ((False, False), (True, False), 1 + 0.5 * 4),
    ],
)
def test_an_update_by_hand(terminated, ended, goal):
    dqn = _two_by_two(HAND)
    _live(dqn, terminated, ended)
    logged = dqn.update()
    error = 0.5 - goal
    loss = 0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5
    assert logged["loss"] == pytest.approx(loss)
    assert logged["q"] == pytest.approx(0.5)
    slope = max(-1, error)
    weight = torch.tensor([[0.1, 0.2], [0.3, -0.4]])
    weight[0] -= 0.1 * slope * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(dqn.network.weight.detach(), weight)
    torch.testing.assert_close(dqn.target_network.weight, 0.75 * torch.tensor([[1.0, 0.0], [0.5, 0.5]]) + 0.25 * weight)


def test_priorities_are_the_errors():
    dqn = _two_by_two(replace(HAND, priority_exponent=0.5))
    _live(dqn)
    dqn.update()
    assert dqn.replay.priorities[0].item() == pytest.approx((1.75 + 1e-3) ** 0.5)
    assert dqn.replay.priorities[1].item() == 1.0


def test_rare_draws_count_for_more():
    """Two segments, drawn 1 : 9; of the frequent one the loss is counted a third."""
    dqn = _two_by_two(replace(HAND, priority_exponent=0.5, n_step=1, batch_size=4000))
    _live(dqn)
    dqn.replay.update_priorities(torch.tensor([0, 1]), torch.tensor([0.1, 0.9]))
    # (1, 2): .5 against 1 + .5 · 4 → 2.0; (4, 2): action 1, .4 against 2 + .5 · 1 → 1.6
    assert dqn.update()["loss"] == pytest.approx(0.1 * 2.0 + 0.9 * 1.6 / 3, rel=0.05)


def test_a_share_of_the_batch_is_given_another_goal():
    heard = []

    def relabel(observations, counted, random):
        heard.append((tuple(observations.shape), counted.tolist()))
        return torch.zeros_like(observations), torch.zeros(len(counted), observations.shape[1] - 1)

    dqn = _two_by_two(replace(HAND, her_ratio=0.25), relabel)
    _live(dqn, (False, True), (False, True))
    assert dqn.update()["loss"] == pytest.approx(3 / 4 * 1.0)
    assert heard == [((1, 3, 2), [2])]


def test_without_a_world_that_can_there_is_no_hindsight():
    with pytest.raises(ValueError, match="hindsight"):
        DQN(Identity(1), replace(SMALL, her_ratio=0.5))


# policies that prefer instead of deciding, masks and references

Q = torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 0.0]])
MASK = torch.tensor([[True, True, False], [True, True, True]])
REFERENCE = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]).log()


def test_chances_and_worth_by_hand():
    """Of reference · e^(value / 2) with what is left of the reference; the second row has all of it."""
    parts = [
        [0.5 / 0.75 * math.exp(0.5), 0.25 / 0.75 * math.exp(1.0), 0.0],
        [0.2 * math.exp(1.5), 0.2 * math.exp(0.5), 0.6],
    ]
    chances = policy(Q, 2.0, REFERENCE, MASK).exp()
    torch.testing.assert_close(chances, torch.tensor([[each / sum(row) for each in row] for row in parts]))
    worth = soft_value(Q, 2.0, REFERENCE, MASK)
    torch.testing.assert_close(worth, torch.tensor([2 * math.log(sum(row)) for row in parts]))
    torch.testing.assert_close(policy(Q, 0.5)[1].exp(), (Q[1] * 2).softmax(0))
    # all alike cost nothing: the mean of equal values is the value
    torch.testing.assert_close(soft_value(torch.full((1, 3), 5.0), 0.7), torch.tensor([5.0]))


def test_worth_is_expected_value_less_the_price_of_leaving_the_reference():
    chances = policy(Q, 0.7, REFERENCE).exp()
    kl = (chances * (chances.log() - REFERENCE)).sum(1)
    torch.testing.assert_close(soft_value(Q, 0.7, REFERENCE), (chances * Q).sum(1) - 0.7 * kl)


def _linear(n=3):
    network = nn.Linear(n, n, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.eye(n) * 2)
    return network


def _two_of(n):
    """A mask: of state s the actions s + 1 and s + 2 may be taken."""

    def mask(observations):
        state = observations.argmax(1, keepdim=True)
        gap = (torch.arange(n) - state) % n
        return (gap == 1) | (gap == 2)

    return mask


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_what_is_masked_is_never_done(temperature):
    config = replace(SMALL, temperature=temperature)
    dqn = DQN(Identity(2, 4), config, _linear(4), mask=_two_of(4))
    seen = torch.eye(4)[torch.arange(4000) % 4]
    for epsilon in (0.0, 0.5, 1.0):
        gaps = (dqn.act(seen, epsilon) - torch.arange(4000)) % 4
        assert set(gaps.tolist()) <= {1, 2}
    assert torch.bincount(gaps, minlength=3)[1:].min() > 1800  # the random ones are even over those that are allowed


def test_actions_are_drawn_by_value_and_reference():
    network = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    chances = torch.tensor([0.2, 0.8]).log()
    dqn = DQN(
        Identity(1, 2), replace(SMALL, temperature=0.5), network, reference=lambda seen: chances.expand(len(seen), 2)
    )
    seen = torch.tensor([[1.0, 0.0]]).expand(20_000, 2)
    expected = 0.2 * math.exp(2) / (0.2 * math.exp(2) + 0.8)
    assert (dqn.act(seen, 0.0) == 0).float().mean().item() == pytest.approx(expected, abs=0.015)


def test_a_target_by_mask_and_price_by_hand():
    """Only action 0 follows: at (3, −1) the target says 3, and with a soft value and e^-1 of the reference as much."""
    allowed = torch.tensor([True, False])
    dqn = _two_by_two(HAND)
    dqn.mask = lambda seen: allowed.expand(len(seen), 2)
    _live(dqn)
    assert dqn.update()["loss"] == pytest.approx(1 + 0.5 * 2 + 0.25 * 3 - 0.5 - 0.5)
    soft = _two_by_two(replace(HAND, n_step=1, batch_size=1, temperature=2.0, soft_values=True))
    soft.reference = lambda seen: torch.tensor([0.2, 0.8]).log().expand(len(seen), 2)
    _live(soft)
    soft.replay.update_priorities(torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    # at (4, 2) the target says (4, 3)
    worth = 2 * math.log(0.2 * math.exp(2.0) + 0.8 * math.exp(1.5))
    assert soft.update()["loss"] == pytest.approx(1 + 0.5 * worth - 0.5 - 0.5)


def test_a_target_that_chooses_for_itself_takes_its_own_best():
    """At (3, −1) the online network would take action 1, worth 1; the target's best is worth 3."""
    dqn = _two_by_two(replace(HAND, double=False))
    _live(dqn)
    assert dqn.update()["loss"] == pytest.approx(1 + 0.5 * 2 + 0.25 * 3 - 0.5 - 0.5)


def test_nothing_is_expected_after_the_end_though_nothing_may_be_done_there():
    dqn = _two_by_two(replace(HAND, n_step=1, batch_size=1, temperature=1.0, soft_values=True))
    dqn.mask = lambda seen: (seen[:, :1] < 4).expand(len(seen), 2)
    _live(dqn, (True, False), (True, False))
    dqn.replay.update_priorities(torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    assert dqn.update()["loss"] == pytest.approx(0.125)


def test_the_target_follows_as_seldom_as_asked_for():
    dqn = _two_by_two(replace(HAND, target_update_every=3, tau=0.5))
    _live(dqn)
    before = dqn.target_network.weight.clone()
    for _ in range(2):
        dqn.update()
    torch.testing.assert_close(dqn.target_network.weight, before)
    dqn.update()
    torch.testing.assert_close(dqn.target_network.weight, (before + dqn.network.weight.detach()) / 2)


def test_the_rate_can_stay():
    dqn = DQN(Identity(8), replace(SMALL, train_steps=200, learning_starts=20, batch_size=8, learning_rate_end=1.0))
    dqn.learn()
    assert dqn.optimizer.param_groups[0]["lr"] == SMALL.learning_rate


class Two(World):
    """One choice of three, then one of three: only 1 after 0 is paid, with 2; the way there costs nothing."""

    def __init__(self, num_envs):
        super().__init__(num_envs, 4, 3)

    def _begin(self):
        return np.zeros(self.num_envs, int)

    def _rules(self, actions):
        paid = np.where((self.states == 1) & (actions == 1), 2.0, 0.0)
        over = self.states > 0
        return np.where(over, 0, actions + 1), paid, over, np.zeros_like(over)


def test_the_price_of_leaving_the_reference_is_learnt():
    """Soft values are exact: each path has the chance of the reference times e^(reward / price), scaled."""
    reference = torch.tensor([0.5, 0.3, 0.2]).log()
    config = DQNConfig(
        train_steps=20_000, batch_size=128, n_step=1, gamma=1.0, learning_rate=0.02, buffer_size=4000,
        learning_starts=200, tau=0.1, eps_start=0.3, eps_end=0.3, temperature=0.8, soft_values=True,
    )  # fmt: skip
    network = nn.Linear(4, 3, bias=False)
    dqn = DQN(Two(16), config, network, reference=lambda seen: reference.expand(len(seen), 3))
    dqn.learn()
    chances = policy(dqn.network(torch.eye(4)), 0.8, reference.expand(4, 3)).exp().detach()
    paid = math.exp(2 / 0.8)
    after = 0.5 + 0.3 * paid + 0.2  # of all that may follow 0
    torch.testing.assert_close(chances[1], torch.tensor([0.5, 0.3 * paid, 0.2]) / after, atol=0.02, rtol=0)
    first = torch.tensor([0.5 * after, 0.3, 0.2])
    torch.testing.assert_close(chances[0], first / first.sum(), atol=0.02, rtol=0)


def test_prices_and_references_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="soft values take a temperature"):
        DQNConfig(soft_values=True, n_step=1)
    with pytest.raises(ValueError, match="returns of one step"):
        DQNConfig(soft_values=True, temperature=1.0, n_step=2)
    with pytest.raises(ValueError, match="reference counts only"):
        DQN(Identity(1), SMALL, reference=lambda seen: torch.zeros(len(seen), 6))


# exploring


def test_exploration_falls_along_a_line_and_stays():
    dqn = DQN(Identity(2), DQNConfig(train_steps=1000, eps_start=0.9, eps_end=0.1, exploration_fraction=0.5))
    seen = []
    for done in (0, 250, 500, 900, 2000):
        dqn.steps_done = done
        seen.append(dqn.epsilon)
    assert seen == pytest.approx([0.9, 0.5, 0.1, 0.1, 0.1])


def test_random_actions_are_as_many_as_asked_for():
    network = nn.Linear(6, 6, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.eye(6))
    dqn = DQN(Identity(2), SMALL, network)
    seen = torch.eye(6)[torch.arange(12_000) % 6]
    best = torch.arange(12_000) % 6
    assert (dqn.act(seen, 0.0) == best).all()
    # of six random actions one is the best one
    assert (dqn.act(seen, 0.6) != best).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.bincount(dqn.act(seen, 1.0), minlength=6).min() > 1800


def test_the_rate_falls_to_a_tenth():
    config = replace(SMALL, train_steps=800, learning_starts=20, batch_size=8)
    dqn = DQN(Identity(8), config)
    rates = []
    dqn.learn(lambda done, logged: rates.append((done, dqn.optimizer.param_groups[0]["lr"])))
    done, rate = rates[-1]
    assert 800 <= done < 808
    assert rate == pytest.approx(config.learning_rate / 10, rel=1e-3)
    by_done = dict(rates)
    half = min(by_done, key=lambda done: abs(done - 400))
    assert by_done[half] == pytest.approx(config.learning_rate * (0.55 + 0.45 * math.cos(math.pi * half / 800)))


def test_nothing_is_learnt_before_the_warm_up():
    dqn = DQN(Identity(4), replace(SMALL, learning_starts=40, batch_size=8))
    before = [weight.clone() for weight in dqn.network.parameters()]
    while dqn.steps_done < 36:
        assert "loss" not in dqn.step()
    assert all(torch.equal(one, other) for one, other in zip(before, dqn.network.parameters(), strict=True))
    while dqn.steps_done < 44:
        logged = dqn.step()
    assert "loss" in logged


def test_transitions_are_counted_without_those_that_begin_an_episode():
    dqn = DQN(Identity(3), replace(SMALL, learning_starts=10_000))
    for _ in range(12):  # five steps, one that begins, five steps, one that begins
        dqn.step()
    assert dqn.steps_done == 3 * 10
    assert (dqn.replay.priorities[:12].sum(1) == torch.tensor([3, 3, 3, 3, 3, 0] * 2)).all()


# worlds


def test_the_identity_is_learnt():
    dqn = DQN(Identity(16), SMALL)
    dqn.learn()
    assert _share_right(dqn, 6) == 1.0
    rewards = [dqn.step()["reward"] for _ in range(120)]
    # a twentieth of the actions is random, a sixth of those right; on every sixth step all episodes only begin
    assert sum(rewards) / 100 == pytest.approx(0.05 / 6 + 0.95, abs=0.03)


@pytest.mark.parametrize("n_step", [1, 3])
def test_the_identity_is_learnt_by_priorities(n_step):
    config = replace(SMALL, priority_exponent=0.6, n_step=n_step, gamma=0.3)
    dqn = DQN(Identity(16), config, QNetwork(6, 6, width=32, layers=1))
    dqn.learn()
    assert _share_right(dqn, 6) == 1.0


def test_rewards_of_later_steps_are_learnt_though_episodes_are_cut_off():
    """Cut off after two steps, an episode from the left never sees the reward: only values that go on know of it."""
    config = DQNConfig(
        train_steps=40_000,
        batch_size=256,
        gradient_steps=1,
        n_step=1,
        gamma=0.9,
        learning_rate=0.02,
        buffer_size=20_000,
        learning_starts=500,
        tau=0.1,
        eps_end=1.0,
        seed=1,
    )
    network = nn.Linear(8, 2, bias=False)
    dqn = DQN(Corridor(32), config, network)
    dqn.learn()
    values = dqn.network.weight.detach().T[1:7]  # (cells, actions)
    right = torch.tensor([0.9**5, 0.9**4, 0.9**3, 0.9**2, 0.9, 1.0])
    left = torch.tensor([0.2, *(0.9 * value for value in right[:-1])])
    torch.testing.assert_close(values, torch.stack([left, right], 1), atol=0.03, rtol=0)
    assert (values.argmax(1) == 1).all()


def test_it_learns_from_gymnasiums_own_environments():
    envs = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
    dqn = DQN(envs, replace(SMALL, train_steps=600, learning_starts=100, batch_size=32, n_step=3))
    dqn.learn()
    assert 600 <= dqn.steps_done < 603
    assert all(weight.isfinite().all() for weight in dqn.network.parameters())


@pytest.mark.parametrize("priority", [0.0, 0.6])
def test_same_seed_same_weights(priority):
    config = replace(SMALL, train_steps=600, batch_size=32, priority_exponent=priority)
    finals = []
    for seed in (4, 4, 5):
        dqn = DQN(Identity(8), replace(config, seed=seed))
        dqn.learn()
        finals.append(torch.cat([weight.detach().flatten() for weight in dqn.network.parameters()]))
    assert torch.equal(finals[0], finals[1])
    assert not torch.equal(finals[0], finals[2])


def test_the_dice_of_others_are_left_alone():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    DQN(Identity(4), replace(SMALL, train_steps=300, batch_size=8)).learn()
    assert torch.equal(torch.get_rng_state(), before)


class Reusing(Identity):
    """Hands out one and the same array, as ``SyncVectorEnv(…, copy=False)`` does."""

    def _see(self):
        if not hasattr(self, "array"):
            self.array = np.empty((self.num_envs, self.n_states), np.float32)
        self.array[:] = super()._see()
        return self.array


def test_what_was_seen_is_remembered_though_the_array_is_used_again():
    memories = []
    for kind in (Identity, Reusing):
        dqn = DQN(kind(3), replace(SMALL, learning_starts=10_000))
        for _ in range(9):
            dqn.step()
        memories.append(dqn.replay)
    assert torch.equal(memories[0].actions[:9], memories[1].actions[:9])
    assert torch.equal(memories[0].observations[:9], memories[1].observations[:9])


def test_observations_in_double_precision_are_welcome():
    dqn = DQN(Identity(3, dtype=np.float64), replace(SMALL, learning_starts=10, train_steps=60, batch_size=8))
    dqn.learn()
    assert dqn.steps_done >= 60


@pytest.mark.parametrize("n_envs", [1, 40])
def test_a_short_warm_up_or_memory_does_not_end_the_learning(n_envs):
    """Segments of three steps, a warm-up of one transition, a memory for two times of forty environments."""
    config = DQNConfig(train_steps=200, batch_size=8, n_step=3, learning_starts=1, buffer_size=80)
    try:
        dqn = DQN(Identity(n_envs), config)
    except ValueError:
        return  # said at once: as good
    dqn.learn()
    assert dqn.steps_done >= 200


# doors


def _with(envs, **more):
    for name, value in more.items():
        setattr(envs, name, value)
    return envs


def test_worlds_that_do_not_fit_are_refused_in_a_line():
    same = _with(Identity(2), metadata={"autoreset_mode": AutoresetMode.SAME_STEP})
    with pytest.raises(ValueError, match="NEXT_STEP"):
        DQN(same, SMALL)
    with pytest.raises(ValueError, match="NEXT_STEP"):
        DQN(_with(Identity(2), metadata={}), SMALL)
    with pytest.raises(ValueError, match="flat boxes"):
        DQN(_with(Identity(2), single_observation_space=spaces.Box(0, 1, (3, 2))), SMALL)
    with pytest.raises(ValueError, match="flat boxes"):
        DQN(_with(Identity(2), single_observation_space=spaces.Discrete(4)), SMALL)
    with pytest.raises(ValueError, match="numbered"):
        DQN(_with(Identity(2), single_action_space=spaces.Box(0, 1, (2,))), SMALL)


def test_gymnasiums_own_same_step_mode_is_refused():
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="NEXT_STEP"):
        DQN(envs, SMALL)
    envs.close()


def test_actions_that_do_not_begin_at_0_are_refused_or_given_as_they_are():
    given_to = []

    class Listening(Identity):
        def step(self, actions):
            given_to.extend(np.asarray(actions).tolist())
            return super().step(np.asarray(actions) - 5)

    envs = _with(Listening(4), single_action_space=spaces.Discrete(6, start=5))
    try:
        dqn = DQN(envs, replace(SMALL, learning_starts=10_000))
    except ValueError:
        return
    for _ in range(20):
        dqn.step()
    assert all(envs.single_action_space.contains(np.int64(action)) for action in given_to)


# going on


@pytest.fixture
def stopped(tmp_path):
    """A learner that has stopped halfway, and its checkpoint."""
    dqn = DQN(Identity(8), replace(SMALL, train_steps=1200, batch_size=16))
    while dqn.steps_done < 600:
        dqn.step()
    dqn.save(tmp_path / "last.ckpt", {"seconds": 12.5})
    return dqn, tmp_path / "last.ckpt"


def test_a_run_goes_on_where_it_was_saved(stopped):
    before, path = stopped
    assert os.listdir(path.parent) == ["last.ckpt"]
    dqn = DQN(Identity(8), before.config)
    assert dqn.load(path) == {"seconds": 12.5}
    assert dqn.steps_done == before.steps_done
    assert dqn.epsilon == before.epsilon
    for one, other in ((dqn.network, before.network), (dqn.target_network, before.target_network)):
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, other.state_dict()[name])
    assert torch.equal(dqn.random.get_state(), before.random.get_state())
    steps = [state["step"].item() for state in dqn.optimizer.state_dict()["state"].values()]
    assert steps
    assert set(steps) == {state["step"].item() for state in before.optimizer.state_dict()["state"].values()}
    # the memory is filled again first
    done = dqn.steps_done
    while dqn.steps_done < done + 0.7 * dqn.config.learning_starts:
        assert "loss" not in dqn.step()
    dqn.learn()
    assert 1200 <= dqn.steps_done < 1208
    assert _share_right(dqn, 6) > 0.6


def test_another_recipe_is_refused(stopped):
    before, path = stopped
    with pytest.raises(ValueError, match="another config"):
        DQN(Identity(8), replace(before.config, learning_rate=1e-4)).load(path)


def test_another_shape_is_refused(stopped):
    before, path = stopped
    with pytest.raises(ValueError, match=r"last\.ckpt") as caught:
        DQN(Identity(8, n_states=5), before.config).load(path)
    assert "\n" not in str(caught.value)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_damaged_files_are_refused_in_a_line(stopped):
    before, path = stopped
    whole = path.read_bytes()
    dqn = DQN(Identity(8), before.config)
    damaged = [b"", b"not a checkpoint", whole[:40], whole[: len(whole) // 2], whole[:-30], whole[len(whole) // 3 :]]
    damaged.append(pickle.dumps({"config": 1}))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be resumed: .") as caught:
            dqn.load(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
    with pytest.raises(OSError, match=r"none\.ckpt"):
        dqn.load(path.with_name("none.ckpt"))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_no_code_of_a_file_is_run(stopped, tmp_path, writer):
    before, path = stopped
    payload = {"config": {}, "extra": Payload(tmp_path / "owned")}
    if writer == "torch":
        torch.save(payload, path)
    else:
        path.write_bytes(pickle.dumps(payload))
    with pytest.raises(ValueError, match="cannot be resumed") as caught:
        DQN(Identity(8), before.config).load(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_missing_parts_of_a_checkpoint_are_named(stopped):
    before, path = stopped
    whole = read_checkpoint(path)
    for name in whole:
        write_checkpoint(path, {each: value for each, value in whole.items() if each != name})
        with pytest.raises(ValueError, match=rf"last\.ckpt: cannot be resumed: .*{name}") as caught:
            DQN(Identity(8), before.config).load(path)
        assert "\n" not in str(caught.value)


def test_updates_below_0_are_refused(stopped):
    before, path = stopped
    whole = read_checkpoint(path)
    write_checkpoint(path, whole | {"progress": whole["progress"] | {"updates_done": -1}})
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: it has done -1 updates"):
        DQN(Identity(8), before.config).load(path)


@pytest.mark.parametrize("value", [None, True, -1, 0.5, "7", [], {}, torch.zeros(1), float("nan")])
def test_parts_of_another_type_are_refused(stopped, value):
    """Whatever is wrong, the learner is as it was: it is none of the two."""
    before, path = stopped
    whole, fresh = read_checkpoint(path), DQN(Identity(8), before.config)
    first = copy.deepcopy(fresh.network.state_dict())
    for name in whole:
        if name == "extra" and value == {}:
            continue  # that is a checkpoint without extras
        write_checkpoint(path, whole | {name: value})
        with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: .") as caught:
            fresh.load(path)
        assert "\n" not in str(caught.value)
    assert fresh.steps_done == 0
    assert all(torch.equal(weight, first[name]) for name, weight in fresh.network.state_dict().items())
