"""Soft Q-learning where every action is a candidate that was drawn by chance.

The reference policy takes each candidate alike, as the model that drew them would. An agent of temperature τ maximises
its rewards less τ times the nats by which its choices differ from the reference (Kullback-Leibler). Then the value of a
state is V = τ · log mean exp(Q / τ) over its candidates, and the policy takes a candidate with chance exp(Q / τ) / Σ.
exp(Q / τ) is the twist with which a particle filter draws from the same distribution. Soft Q-learning: Haarnoja et al.
2017; the consistency of values along any path: Nachum et al. 2017.

It knows nothing of music: environments give flat observations, of the episode first and then of each candidate, and all
of their episodes end together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor, nn
from torch.nn import functional as F

from rl_tuner.config import SoftQConfig
from rl_tuner.learner import Learner, Resumable


class CandidateNetwork(nn.Module):
    """Observations (n, shared + k · each) → the value of each candidate (n, k); all candidates share the weights.

    Args:
        n_shared: numbers that an observation says of the episode.
        n_each: numbers that it says of each candidate.
        k: candidates.
        width: units of each layer.
        advice: which number of a candidate its value starts from; None for 0.
        scale: the value is so many times that number before anything is learned.
        floor: smaller advice counts as this.
    """

    def __init__(
        self,
        n_shared: int,
        n_each: int,
        k: int,
        width: int = 64,
        advice: int | None = None,
        scale: float = 1.0,
        floor: float = -math.inf,
    ) -> None:
        super().__init__()
        self.n_shared, self.n_each, self.k = n_shared, n_each, k
        self.advice, self.scale, self.floor = advice, scale, floor
        self.from_shared = nn.Linear(n_shared, width)
        self.from_each = nn.Linear(n_each, width, bias=False)
        last = nn.Linear(width, 1)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.LayerNorm(width), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.float()  # whatever torch's default is

    def forward(self, observations: Tensor) -> Tensor:
        shared, each = observations[..., : self.n_shared], observations[..., self.n_shared :]
        each = each.reshape(*each.shape[:-1], self.k, self.n_each)
        found: Tensor = self.rest(self.from_shared(shared)[..., None, :] + self.from_each(each))[..., 0]
        return found if self.advice is None else found + self.scale * each[..., self.advice].clamp(min=self.floor)


def soft_value(q: Tensor, temperature: float) -> Tensor:
    """τ · log mean exp(Q / τ) of the values (…, k) of candidates: (…)."""
    return temperature * (torch.logsumexp(q / temperature, -1) - math.log(q.shape[-1]))


def soft_policy(q: Tensor, temperature: float) -> Tensor:
    """The chance of each candidate, from values (…, k): (…, k)."""
    return (q / temperature).softmax(-1)


def soft_returns(rewards: Tensor, q: Tensor, actions: Tensor, temperature: float, trace: float) -> Tensor:
    """What Q of the actions taken is to become, along whole episodes.

    With a trace of 0 it is the reward and the soft value of what follows. With 1 it is the sum of all rewards that
    follow less τ · log(chance of each later action · k): of the best policy this has the same value along any path.

    Args:
        rewards: (steps, n); the episodes end with the last one.
        q: (steps, n, k), values of the candidates.
        actions: (steps, n) ints, those that were taken.
        temperature: τ, over 0.
        trace: 0 … 1, how much of the path counts instead of the next value.

    Returns:
        (steps, n).
    """
    values, k = soft_value(q, temperature), q.shape[-1]
    nats = soft_policy(q, temperature).log().gather(-1, actions[..., None])[..., 0] + math.log(k)
    returns = [rewards[-1]]
    for step in range(len(rewards) - 2, -1, -1):
        path = returns[-1] - temperature * nats[step + 1]
        returns.append(rewards[step] + trace * path + (1 - trace) * values[step + 1])
    return torch.stack(returns[::-1])


class SoftQ(Learner):
    """A learner and what it learns from.

    Attributes:
        network: the online network, which is learnt.
        target_network: the one that follows it, and that says what is to be learnt.
        steps_done: transitions so far.

    Args:
        envs: environments of which all episodes end together, and begin anew with the next step.
        config: how.
        network: observations (…, dim) → values of the candidates (…, k).

    Raises:
        ValueError: environments of another kind.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any], config: SoftQConfig, network: nn.Module) -> None:
        if envs.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise ValueError("the environments must begin a new episode with the next step (AutoresetMode.NEXT_STEP)")
        actions = envs.single_action_space
        if not isinstance(actions, gymnasium.spaces.Discrete) or actions.start:
            raise ValueError(f"actions must be numbered from 0 on, not {actions}")
        self.envs, self.config, self.network = envs, config, network
        self.n_actions = int(actions.n)
        self.target_network = copy.deepcopy(network).requires_grad_(False)
        self.device = torch.device("cpu")
        self.optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
        self.random = torch.Generator().manual_seed(config.seed)
        self.steps_done = 0
        self._is_begun = False

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """Actions (n,) drawn by the policy, a share of them by the reference."""
        chances = soft_policy(self.network(observations), self.config.temperature)
        chances = torch.lerp(chances, torch.full_like(chances, 1 / self.n_actions), self.config.eps)
        return torch.multinomial(chances, 1, generator=self.random)[:, 0]

    def step(self) -> dict[str, float]:
        """One episode of all environments, and the updates that follow it; what there is to log.

        Raises:
            ValueError: some episodes ended before others.
        """
        config = self.config
        observations, actions, rewards, terms = self._episodes()
        with torch.no_grad():
            q = self.target_network(observations)
            returns = soft_returns(rewards, q, actions, config.temperature, config.trace)
        self.steps_done += rewards.numel()
        share = min(1.0, self.steps_done / config.train_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (0.525 + 0.475 * math.cos(math.pi * share))
        seen, taken, wanted = observations.flatten(0, 1), actions.flatten(), returns.flatten()
        losses = []
        for rows in torch.split(torch.randperm(len(taken), generator=self.random), config.batch_size):
            found = self.network(seen[rows]).gather(1, taken[rows, None])[:, 0]
            # squared: what follows is chance, and Q is its mean
            loss = F.mse_loss(found, wanted[rows])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target_network.parameters()), list(self.network.parameters()), config.tau)
        logged = {"loss": float(np.mean(losses)), "return": float(rewards.sum(0).mean()), "q": float(q.mean())}
        return logged | {name: float(np.mean(term)) for name, term in terms.items()}

    def _get_progress(self) -> dict[str, Any]:
        """The environments, between their episodes, where they can be resumed."""
        return {"envs": self.envs.get_state()} if isinstance(self.envs, Resumable) and self._is_begun else {}

    def _check_progress(self, progress: dict[str, Any]) -> None:
        if not progress:
            return
        if progress.keys() != {"envs"} or not isinstance(progress["envs"], dict):
            raise ValueError("its progress is not that of such environments")
        if not isinstance(self.envs, Resumable):
            raise ValueError("it was made with environments that can be resumed, and these cannot")
        self.envs.set_state(progress["envs"])

    def _set_progress(self, progress: dict[str, Any]) -> None:
        self._is_begun = "envs" in progress

    def _episodes(self) -> tuple[Tensor, Tensor, Tensor, Mapping[str, Any]]:
        """An episode of every environment: observations (steps, n, dim), actions and rewards (steps, n).

        And ``terms`` of the last step's info, where there are any: name → (n,).
        """
        if self._is_begun:
            first, *_ = self.envs.step(np.zeros(self.envs.num_envs, int))  # begins them anew
        else:
            first, _ = self.envs.reset(seed=(self.config.seed + self.steps_done) % 2**31)
            self._is_begun = True
        observations, actions, rewards = [_seen(first)], [], []
        while True:
            taken = self.act(observations[-1])
            following, reward, terminated, truncated, info = self.envs.step(taken.numpy())
            actions.append(taken)
            rewards.append(_seen(reward))
            ended = np.asarray(terminated) | np.asarray(truncated)
            if ended.any():
                break
            observations.append(_seen(following))
        if not ended.all():
            raise ValueError("all episodes must end together")
        return torch.stack(observations), torch.stack(actions), torch.stack(rewards), info.get("terms", {})


def _seen(values: Any) -> Tensor:
    """In memory of our own: an environment may write the next ones into the same array."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)
