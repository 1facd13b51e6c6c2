"""Deep Q-learning on a batch of environments: double, duelling, n-step, with a target network that follows slowly.

What it learns from is any ``gymnasium.vector.VectorEnv`` with flat observations and numbered actions; it knows
nothing of music. Double Q-learning: van Hasselt, Guez & Silver 2016. Duelling heads: Wang et al. 2016. n-step
returns: Sutton 1988. Relabelling in hindsight (HER): Andrychowicz et al. 2017. Soft values with a price on leaving a
reference (KL control): G-learning, Fox, Pakman & Tishby 2016, as in Jaques et al. 2017.
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

from rhythmgan.training.checkpoint import check_alike
from rl_tuner.config import DQNConfig
from rl_tuner.learner import Learner, Resumable
from rl_tuner.replay import Replay

Relabel = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""What an environment offers for hindsight: observations of segments (n, k + 1, dim) and how many of their steps
count (n,) → the observations as they would have been had the goal been another, and their rewards (n, k)."""


OfActions = Callable[[Tensor], Tensor]
"""What is known of each action before it is tried: observations (n, dim) → (n, actions)."""


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


def policy(q: Tensor, temperature: float, reference: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Log-chances (n, actions) of actions that are drawn by their values: reference · e^(value / temperature), scaled.

    Args:
        q: (n, actions), their values.
        temperature: over 0; the lower it is, the rarer all but the best.
        reference: (n, actions), log-probabilities without regard to values; all alike by default.
        mask: (n, actions) bool, which may be taken; all by default.
    """
    return (_preference(reference, q, mask) + q / temperature).log_softmax(1)


def soft_value(q: Tensor, temperature: float, reference: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """What a state is worth (n,) to whoever acts by ``policy`` and pays ``temperature`` for a nat of KL; args likewise.

    temperature · log Σ reference · e^(value / temperature): the most that expected value less price can be.
    """
    return temperature * (_preference(reference, q, mask) + q / temperature).logsumexp(1)


def _preference(reference: Tensor | None, q: Tensor, mask: Tensor | None) -> Tensor:
    """Log-probabilities (n, actions) of the reference among the actions that may be taken."""
    chances = torch.zeros_like(q) if reference is None else reference
    return (chances if mask is None else chances.masked_fill(~mask, -torch.inf)).log_softmax(1)


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
        mask: which actions may be taken, bool, one at least; all by default. It says so of observations at which
            nothing more is done as well.
        reference: log-probabilities of the actions where values do not count; all alike by default. Without a
            temperature there is no use for it.
        device: where networks and replay are.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        config: DQNConfig,
        network: nn.Module | None = None,
        relabel: Relabel | None = None,
        mask: OfActions | None = None,
        reference: OfActions | None = None,
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
        if reference is not None and not config.temperature:
            raise ValueError("a reference counts only at a temperature over 0")
        self.envs, self.config, self.relabel = envs, config, relabel
        self.mask, self.reference = mask, reference
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
        self.updates_done = 0
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
        """Actions (n,) ints for observations (n, dim): by the policy of the config, a share epsilon of them random."""
        q, (reference, mask) = self.network(observations), self._known(observations)
        if self.config.temperature:
            actions = self._draw(policy(q, self.config.temperature, reference, mask).exp())
        else:
            actions = (q if mask is None else q.masked_fill(~mask, -torch.inf)).argmax(1)
        if epsilon:
            n = len(actions)
            is_random = torch.rand(n, generator=self.random, dtype=torch.float32, device=self.device) < epsilon
            if mask is None:
                any_action = torch.randint(self.n_actions, (n,), generator=self.random, device=self.device)
            else:
                any_action = self._draw(mask.float())
            actions = torch.where(is_random, any_action, actions)
        return actions

    def _draw(self, chances: Tensor) -> Tensor:
        """One action (n,) of each row, by chances (n, actions)."""
        return torch.multinomial(chances, 1, generator=self.random)[:, 0]

    def _known(self, observations: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The reference and the mask of observations, None where there is none."""
        return (
            None if self.reference is None else self.reference(observations),
            None if self.mask is None else self.mask(observations),
        )

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
                group["lr"] = self.config.learning_rate * _half_cosine(share, self.config.learning_rate_end)
            for _ in range(self.config.gradient_steps):
                logged |= self.update()
        return logged

    def _get_progress(self) -> dict[str, Any]:
        """How many updates are done, and, of environments that can be resumed, these and all that they have shown."""
        progress: dict[str, Any] = {"updates_done": self.updates_done}
        if not isinstance(self.envs, Resumable) or self._observations is None:
            return progress
        shown = {"observations": self._observations, "ended": self._ended, "replay": self.replay.get_state()}
        return progress | shown | {"envs": self.envs.get_state()}

    def _check_progress(self, progress: dict[str, Any]) -> None:
        like: dict[str, Any] = {"updates_done": 0}
        if isinstance(self.envs, Resumable) and len(progress) > 1:
            _, n, dim = self.replay.observations.shape
            shown = {"observations": torch.zeros(n, dim), "ended": torch.zeros(n, dtype=torch.bool)}
            like |= shown | {"replay": {}, "envs": {}}
        nested: dict[str, Any] = {name: {} for name in ("replay", "envs") if isinstance(progress.get(name), dict)}
        check_alike(progress | nested, like, "its progress")
        if progress["updates_done"] < 0:
            raise ValueError(f"it has done {progress['updates_done']} updates")
        if "envs" in like:
            self.replay.check_state(progress["replay"])
            self.envs.set_state(progress["envs"])

    def _set_progress(self, progress: dict[str, Any]) -> None:
        self.updates_done = progress["updates_done"]
        if "replay" in progress:
            self.replay.set_state(progress["replay"])
            self._observations = progress["observations"].to(self.device)
            self._ended = progress["ended"].to(self.device)

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
            value = self._value(last)
            goes_on = ~batch.terminated[rows, counted - 1]
            td_target = returns + config.gamma**counted * torch.where(goes_on, value, 0.0)
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
        self.updates_done += 1
        if self.updates_done % config.target_update_every == 0:
            with torch.no_grad():
                followers: list[Tensor] = list(self.target_network.parameters())
                online: list[Tensor] = list(self.network.parameters())
                torch._foreach_lerp_(followers, online, config.tau)
        return {"loss": float(loss.detach().mean()), "q": float(q.detach().mean())}

    def _value(self, observations: Tensor) -> Tensor:
        """What observations (n, dim) are worth, (n,)."""
        q, (reference, mask) = self.target_network(observations), self._known(observations)
        if self.config.soft_values:
            return soft_value(q, self.config.temperature, reference, mask)
        online = self.network(observations) if self.config.double else q
        return double_q(online if mask is None else online.masked_fill(~mask, -torch.inf), q)

    def _seen(self, observations: Any) -> Tensor:
        """Observations in memory of our own: an environment may write the next ones into the same array."""
        return torch.tensor(np.asarray(observations), dtype=torch.float32, device=self.device)

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, device=self.device)


def _half_cosine(share: float, end: float) -> float:
    """From 1 to ``end``, as ``share`` goes from 0 to 1."""
    return (1 + end) / 2 + (1 - end) / 2 * float(np.cos(np.pi * share))
