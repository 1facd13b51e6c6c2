"""Soft Q-learning: each formula by hand, and a small world of which the values are known."""

import math

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_tuner.config import SoftQConfig
from rl_tuner.soft_q import CandidateNetwork, SoftQ, soft_policy, soft_returns, soft_value

pytestmark = pytest.mark.usefixtures("one_thread")

TAU = 0.5


class Dice(VectorEnv):
    """Two dice are thrown for each of two steps, and one is kept: the reward at the end is 1 for a sum of 7, else 0.

    An observation holds the step and the sum so far, one-hot, and then each die, one-hot.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (as its base)

    def __init__(self, num_envs, k=2, ends_together=True):
        self.num_envs, self.k, self.ends_together = num_envs, k, ends_together
        self.single_observation_space = spaces.Box(0, 1, (9 + 6 * k,), np.float32)
        self.single_action_space = spaces.Discrete(k)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._begin(), {}

    def _begin(self):
        self.time, self.sums = 0, np.zeros(self.num_envs, int)
        return self._see()

    def _see(self):
        self.dice = self.np_random.integers(1, 7, (self.num_envs, self.k))
        shared = np.concatenate([np.eye(2)[np.full(self.num_envs, min(self.time, 1))], np.eye(7)[self.sums % 7]], 1)
        return np.concatenate([shared, np.eye(6)[self.dice - 1].reshape(self.num_envs, -1)], 1).astype(np.float32)

    def step(self, actions):
        nothing, never = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        if self.time == 2:
            return self._begin(), nothing, never, never, {}
        self.sums += self.dice[np.arange(self.num_envs), actions]
        self.time += 1
        over = self.time == 2
        ended = never | over
        if not self.ends_together and not over:
            ended[0] = True
        return self._see(), (self.sums == 7.0) * over, ended, never, {}


def test_the_soft_value_by_hand():
    q = torch.tensor([[1.0, 0.0], [3.0, 3.0]])
    mean = (math.exp(1 / TAU) + 1) / 2
    assert soft_value(q, TAU).tolist() == pytest.approx([TAU * math.log(mean), 3.0])
    assert soft_policy(q, TAU)[0].tolist() == pytest.approx([math.exp(2) / (math.exp(2) + 1), 1 / (math.exp(2) + 1)])
    # between the mean and the best, which it comes to where it is cold
    assert soft_value(q, 1e-3)[0].item() == pytest.approx(1, abs=1e-3)
    assert soft_value(q, 1e3)[0].item() == pytest.approx(0.5, abs=1e-3)


def test_soft_returns_by_hand():
    """Three steps of one episode with two candidates each, of which the second, the first and the first are taken."""
    rewards = torch.tensor([[-0.25], [0.0], [1.0]])
    q = torch.tensor([[[0.0, 0.5]], [[0.5, 0.25]], [[1.0, 0.0]]])
    actions = torch.tensor([[1], [0], [0]])
    v1, v2 = (TAU * math.log((math.exp(a / TAU) + math.exp(b / TAU)) / 2) for a, b in ((0.5, 0.25), (1.0, 0.0)))
    assert soft_returns(rewards, q, actions, TAU, 0.0)[:, 0].tolist() == pytest.approx([-0.25 + v1, v2, 1.0])
    # what a path is worth: the rewards, less the temperature times log(chance · 2) of each later action
    nats1, nats2 = (math.log(2 / (1 + math.exp(-gap / TAU))) for gap in (0.25, 1.0))
    along = [-0.25 + 1 - TAU * (nats1 + nats2), 1 - TAU * nats2, 1.0]
    assert soft_returns(rewards, q, actions, TAU, 1.0)[:, 0].tolist() == pytest.approx(along)
    half = 0.5 * (1 - TAU * nats2) + 0.5 * v2
    first = -0.25 + 0.5 * (half - TAU * nats1) + 0.5 * v1
    assert soft_returns(rewards, q, actions, TAU, 0.5)[:, 0].tolist() == pytest.approx([first, half, 1.0])


def test_of_the_best_policy_all_paths_are_worth_the_same():
    """Where each value is the soft value of what follows, every trace and every path give back the very values."""
    random = torch.Generator().manual_seed(0)
    last = torch.rand(40, 3, generator=random)
    first = torch.rand(40, 3, generator=random)
    actions = torch.randint(3, (2, 40), generator=random)
    rows = torch.arange(40)
    rewards = torch.stack([first[rows, actions[0]] - soft_value(last, TAU), last[rows, actions[1]]])
    for trace in (0.0, 0.3, 1.0):
        returns = soft_returns(rewards, torch.stack([first, last]), actions, TAU, trace)
        torch.testing.assert_close(returns[0], first[rows, actions[0]])
        torch.testing.assert_close(returns[1], last[rows, actions[1]])


def test_candidates_share_the_weights_and_start_from_the_advice():
    torch.manual_seed(0)
    network = CandidateNetwork(3, 2, 4, width=8, advice=1, scale=0.5, floor=-2.0)
    seen = torch.randn(5, 3 + 4 * 2)
    advice = seen[:, 3:].view(5, 4, 2)[..., 1]
    assert torch.equal(network(seen), 0.5 * advice.clamp(min=-2))
    assert not CandidateNetwork(3, 2, 4)(seen).any()
    torch.nn.init.normal_(network.rest[-1].weight)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = torch.cat([seen[:, :3], seen[:, 3:].view(5, 4, 2)[:, order].flatten(1)], 1)
    torch.testing.assert_close(network(shuffled), network(seen)[:, order])
    assert (network(seen)[:, 0] != network(seen)[:, 1]).all()
    torch.testing.assert_close(network(seen.expand(2, 5, 11)), network(seen).expand(2, 5, 4))


@pytest.mark.parametrize("trace", [0.0, 0.9])
def test_it_learns_what_dice_are_worth(trace):
    """Of a first die the value is τ log of the mean over throws of the second two; by hand, over all 36."""
    torch.manual_seed(0)
    config = SoftQConfig(
        train_steps=240_000, batch_size=512, temperature=TAU, trace=trace, learning_rate=5e-3, tau=0.3, eps=0.3
    )
    learner = SoftQ(Dice(500), config, CandidateNetwork(9, 6, 2, width=32))
    logged = []
    learner.learn(lambda done, numbers: logged.append(numbers))
    assert learner.steps_done == 240_000
    assert set(logged[-1]) == {"loss", "return", "q"}
    e = math.exp(1 / TAU)
    # with a sum of 3 so far a 4 is needed: of 36 throws 25 have none, 10 one, 1 two
    value = TAU * (10 * math.log((e + 1) / 2) + math.log(e)) / 36
    with torch.no_grad():
        first = _seen(step=0, so_far=0, dice=(3, 5))
        assert learner.target_network(first)[0].tolist() == pytest.approx([value, value], abs=0.05)
        last = learner.target_network(_seen(step=1, so_far=3, dice=(4, 5)))[0].tolist()
        assert last == pytest.approx([1, 0], abs=0.05)


def _seen(step, so_far, dice):
    return torch.cat([torch.eye(2)[step], torch.eye(7)[so_far], *(torch.eye(6)[die - 1] for die in dice)])[None]


def test_same_seed_same_weights():
    def learnt(seed):
        torch.manual_seed(3)
        learner = SoftQ(Dice(20), SoftQConfig(train_steps=400, batch_size=16, seed=seed), CandidateNetwork(9, 6, 2, 8))
        learner.learn()
        return torch.cat([weight.flatten() for weight in learner.network.parameters()])

    assert torch.equal(learnt(1), learnt(1))
    assert not torch.equal(learnt(1), learnt(2))


def test_it_learns_on_from_a_checkpoint(tmp_path):
    """What a fresh learner loads is all that the first one had, and with it the dice are learned to the end."""
    config = SoftQConfig(train_steps=240_000, batch_size=512, temperature=TAU, learning_rate=5e-3, tau=0.3, eps=0.3)
    torch.manual_seed(0)
    first = SoftQ(Dice(500), config, CandidateNetwork(9, 6, 2, width=32))
    while first.steps_done < 120_000:
        first.step()
    first.save(tmp_path / "last.ckpt", {"seconds": 2.5})
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    torch.manual_seed(9)
    second = SoftQ(Dice(500), config, CandidateNetwork(9, 6, 2, width=32))
    assert second.load(tmp_path / "last.ckpt") == {"seconds": 2.5}
    assert second.steps_done == 120_000
    for mine, theirs in ((second.network, first.network), (second.target_network, first.target_network)):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(second.random.get_state(), first.random.get_state())
    moments, kept = (each.optimizer.state_dict()["state"][0]["exp_avg"] for each in (second, first))
    assert torch.equal(moments, kept)
    assert moments.any()
    calls = []
    second.learn(lambda done, logged: calls.append(done))
    assert len(calls) == 120
    assert calls[-1] == 240_000
    with torch.no_grad():
        last = second.target_network(_seen(step=1, so_far=3, dice=(4, 5)))[0].tolist()
    assert last == pytest.approx([1, 0], abs=0.05)


def test_a_checkpoint_that_does_not_fit_is_refused_in_a_line(tmp_path):
    path = tmp_path / "last.ckpt"
    learner = SoftQ(Dice(4), SoftQConfig(batch_size=8), CandidateNetwork(9, 6, 2, 8))
    learner.save(path)
    others = [
        SoftQ(Dice(4), SoftQConfig(batch_size=8, eps=0.2), CandidateNetwork(9, 6, 2, 8)),
        SoftQ(Dice(4), SoftQConfig(batch_size=8), CandidateNetwork(9, 6, 2, 9)),
    ]
    for other, says in zip(others, ("it was made with another config", ""), strict=True):
        with pytest.raises(ValueError, match=f"last.ckpt: cannot be resumed: {says}") as refusal:
            other.load(path)
        assert "\n" not in str(refusal.value)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed") as refusal:
        learner.load(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(OSError, match=r"nothing\.ckpt"):
        learner.load(tmp_path / "nothing.ckpt")


def test_what_cannot_be_is_refused_in_a_line():
    with pytest.raises(ValueError, match="all episodes must end together"):
        SoftQ(Dice(4, ends_together=False), SoftQConfig(), CandidateNetwork(9, 6, 2, 8)).step()
    others = Dice(2)
    others.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    with pytest.raises(ValueError, match="must begin a new episode with the next step"):
        SoftQ(others, SoftQConfig(), CandidateNetwork(9, 6, 2, 8))
    others = Dice(2)
    others.single_action_space = gymnasium.spaces.Discrete(2, start=1)
    with pytest.raises(ValueError, match="numbered from 0 on"):
        SoftQ(others, SoftQConfig(), CandidateNetwork(9, 6, 2, 8))
    for name, value in {"train_steps": 0, "temperature": 0.0, "trace": 1.5, "eps": -0.1}.items():
        with pytest.raises(ValueError, match=name):
            SoftQConfig(**{name: value})
