"""Deep Q-learning on a batch of environments: double, duelling, n-step, with a target network that follows slowly.

What it learns from is any ``gymnasium.vector.VectorEnv`` with flat observations and numbered actions; it knows
nothing of music. Double Q-learning: van Hasselt, Guez & Silver 2016. Duelling heads: Wang et al. 2016. n-step
returns: Sutton 1988. Relabelling in hindsight (HER): Andrychowicz et al. 2017.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor, nn
from torch.nn import functional as F

from rl_tuner.config import DQNConfig
from rl_tuner.learner import Learner
from rl_tuner.replay import Replay

Relabel = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""What an environment offers for hindsight: observations of segments (n, k + 1, dim) and how many of their steps
count (n,) → the observations as they would have been had the goal been another, and their rewards (n, k)."""


class QNetwork(nn.Module):
    """Observations (n, inputs) → the value of each action (n, actions): one body, a value and an advantage head.

    Args:
        n_inputs: numbers in an observation.
        n_actions: actions to choose from.
        width: units of each layer.
        layers: layers of the body.
    """

    def __init__(self, n_inputs: int, n_actions: int, width: int = 256, layers: int = 2) -> None:
        super().__init__()
        sizes = [n_inputs] + [width] * layers
        body: list[nn.Module] = []
        for here, there in itertools.pairwise(sizes):
            body += [nn.Linear(here, there), nn.LayerNorm(there), nn.SiLU()]
        self.body = nn.Sequential(*body)
        self.value = nn.Linear(width, 1)
        self.advantage = nn.Linear(width, n_actions)
        self.float()  # whatever torch's default is

    def forward(self, observations: Tensor) -> Tensor:
        x = self.body(observations)
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(1, keepdim=True)


def n_step_returns(rewards: Tensor, ended: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Discounted sums of rewards, up to and with the first step that ends an episode.

    Args:
        rewards: (n, k).
        ended: (n, k) bool, whether the episode is over after the step.
        gamma: discount of one step.

    Returns:
        The sums (n,), and how many steps each counts (n,) ints, 1 … k.
    """
    before = torch.cat([torch.zeros_like(ended[:, :1]), ended[:, :-1]], 1).cumsum(1) == 0
    powers = gamma ** torch.arange(rewards.shape[1], device=rewards.device, dtype=rewards.dtype)
    return (rewards * powers * before).sum(1), before.sum(1)


def double_q(online: Tensor, target: Tensor) -> Tensor:
    """Value of the state by double Q-learning: the target network's (n, actions) of the online one's best action."""
    return target.gather(1, online.argmax(1, keepdim=True))[:, 0]


class DQN(Learner):
    """A learner and what it learns from.

    Attributes:
        network: the online Q-network, which is learnt.
        target_network: the one that follows it.
        steps_done: transitions so far.

    Args:
        envs: environments with observations (dim,) and ``n`` actions, that begin a new episode with the step
            after the last one's end (``AutoresetMode.NEXT_STEP``).
        config: how.
        network: the network to start from; a fresh ``QNetwork`` by default.
        relabel: hindsight, where the environment has it.
        device: where networks and replay are.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        config: DQNConfig,
        network: nn.Module | None = None,
        relabel: Relabel | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if envs.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise ValueError("the environments must begin a new episode with the next step (AutoresetMode.NEXT_STEP)")
        space, actions = envs.single_observation_space, envs.single_action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations must be flat boxes, not {space}")
        if not isinstance(actions, gymnasium.spaces.Discrete) or actions.start:
            raise ValueError(f"actions must be numbered from 0 on, not {actions}")
        if config.her_ratio and relabel is None:
            raise ValueError("this environment cannot give another goal in hindsight")
        self.envs, self.config, self.relabel = envs, config, relabel
        self.device = torch.device(device)
        self.n_actions = int(actions.n)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = network or QNetwork(space.shape[0], self.n_actions)
        self.network = network.to(self.device)
        self.target_network = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        if config.buffer_size // envs.num_envs <= config.n_step:
            raise ValueError(
                f"a buffer of {config.buffer_size} holds too few steps of {envs.num_envs} environments for segments of "
                f"{config.n_step}"
            )
        self.replay = Replay(envs.num_envs, config.buffer_size, space.shape[0], self.device)
        self.random = torch.Generator(self.device).manual_seed(config.seed)
        self.steps_done = 0
        self._observations: Tensor | None = None
        self._ended = torch.zeros(envs.num_envs, dtype=torch.bool, device=self.device)

    @property
    def epsilon(self) -> float:
        """Share of random actions now."""
        config = self.config
        done = min(1.0, self.steps_done / max(1.0, config.exploration_fraction * config.train_steps))
        return config.eps_start + done * (config.eps_end - config.eps_start)

    @torch.no_grad()
    def act(self, observations: Tensor, epsilon: float) -> Tensor:
        """The best actions (n,) ints of observations (n, dim), a share epsilon of them random."""
        actions = self.network(observations).argmax(1)
        if epsilon:
            n = len(actions)
            is_random = torch.rand(n, generator=self.random, dtype=torch.float32, device=self.device) < epsilon
            any_action = torch.randint(self.n_actions, (n,), generator=self.random, device=self.device)
            actions = torch.where(is_random, any_action, actions)
        return actions

    def step(self) -> dict[str, float]:
        """One step of all environments, and the updates that follow it; what there is to log."""
        if self._observations is None:
            first, _ = self.envs.reset(seed=(self.config.seed + self.steps_done) % 2**31)
            self._observations = self._seen(first)
        observations, began = self._observations, self._ended
        actions = self.act(observations, self.epsilon)
        following, rewards, terminated, truncated, _ = self.envs.step(actions.cpu().numpy())
        stops = self._tensor(terminated).bool()
        self._ended = stops | self._tensor(truncated).bool()
        self._observations = self._seen(following)
        reward = self._tensor(rewards)
        self.replay.add(observations, actions, reward, stops, self._ended, ~began)
        n_real = int((~began).sum())
        self.steps_done += n_real
        logged = {"reward": float(reward.sum()) / max(n_real, 1), "epsilon": self.epsilon}
        held = min(self.steps_done, self.replay.time * self.envs.num_envs)
        if held >= self.config.learning_starts and self.replay.time > self.config.n_step:
            share = min(1.0, self.steps_done / self.config.train_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.learning_rate * (0.55 + 0.45 * float(np.cos(np.pi * share)))
            for _ in range(self.config.gradient_steps):
                logged |= self.update()
        return logged

    def update(self) -> dict[str, float]:
        """One gradient step on segments of the replay; the loss and the mean value of the actions taken."""
        config = self.config
        batch = self.replay.sample(config.batch_size, config.n_step, self.random)
        observations, rewards = batch.observations, batch.rewards
        returns, counted = n_step_returns(rewards, batch.ended, config.gamma)
        n_relabelled = round(config.her_ratio * config.batch_size)
        if n_relabelled and self.relabel is not None:
            relabelled, gains = self.relabel(observations[:n_relabelled], counted[:n_relabelled], self.random)
            observations = torch.cat([relabelled, observations[n_relabelled:]])
            rewards = torch.cat([gains, rewards[n_relabelled:]])
            returns, counted = n_step_returns(rewards, batch.ended, config.gamma)
        rows = torch.arange(len(counted), device=self.device)
        last = observations[rows, counted]
        with torch.no_grad():
            value = double_q(self.network(last), self.target_network(last))
            goes_on = ~batch.terminated[rows, counted - 1]
            td_target = returns + config.gamma**counted * goes_on * value
        q = self.network(observations[:, 0]).gather(1, batch.actions[:, None])[:, 0]
        loss = F.smooth_l1_loss(q, td_target, reduction="none")
        if config.priority_exponent:
            # rare draws count for more: half of the way to the gradient of even draws (Schaul's β = ½)
            correction = (batch.probabilities * self.replay.rewards.numel()).clamp(min=1e-8) ** -0.5
            loss = loss * correction / correction.max()
            td_error = (q.detach() - td_target).abs()
            self.replay.update_priorities(batch.indices, (td_error + 1e-3) ** config.priority_exponent)
        self.optimizer.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target_network.parameters()), list(self.network.parameters()), config.tau)
        return {"loss": float(loss.detach().mean()), "q": float(q.detach().mean())}

    def _seen(self, observations: Any) -> Tensor:
        """Observations in memory of our own: an environment may write the next ones into the same array."""
        return torch.tensor(np.asarray(observations), dtype=torch.float32, device=self.device)

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, device=self.device)
