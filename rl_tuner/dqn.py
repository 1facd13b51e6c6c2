"""Deep Q-learning on a batch of environments: double, duelling, n-step, with a target network that follows slowly.

What it learns from is any ``gymnasium.vector.VectorEnv`` with flat observations and numbered actions; it knows
nothing of music. Double Q-learning: van Hasselt, Guez & Silver 2016. Duelling heads: Wang et al. 2016. n-step
returns: Sutton 1988. Prioritised replay: Schaul et al. 2016. Relabelling in hindsight: Andrychowicz et al. 2017.
"""

from __future__ import annotations

import copy
import io
import itertools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor, nn
from torch.nn import functional as F

Relabel = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""What an environment offers for hindsight: observations of segments (n, k + 1, dim) and how many of their steps
count (n,) → the observations as they would have been had the goal been another, and their rewards (n, k)."""

Callback = Callable[[int, dict[str, float]], None]


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

    def forward(self, observations: Tensor) -> Tensor:
        x = self.body(observations)
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(1, keepdim=True)


@dataclass(frozen=True)
class DQNConfig:
    """How to learn.

    Attributes:
        train_steps: transitions to collect in all, over all environments.
        batch_size: transitions in an update.
        gradient_steps: updates after each step of the batch of environments.
        n_step: rewards summed before the value of what follows is asked for.
        gamma: discount of a reward one step later.
        learning_rate: Adam's, falling to a tenth along half a cosine.
        tau: share by which the target network follows the network at each update (Polyak).
        buffer_size: transitions remembered.
        learning_starts: transitions before the first update.
        eps_start: share of random actions at first.
        eps_end: share of them from ``exploration_fraction`` of the steps on.
        exploration_fraction: see there.
        priority_exponent: exponent of prioritised replay; 0 draws all transitions alike.
        her_ratio: share of a batch that is given another goal in hindsight, where the environment can.
        seed: of weights, exploration and draws.
    """

    train_steps: int = 1_000_000
    batch_size: int = 1024
    gradient_steps: int = 1
    n_step: int = 3
    gamma: float = 0.95
    learning_rate: float = 1e-3
    tau: float = 0.01
    buffer_size: int = 200_000
    learning_starts: int = 20_000
    eps_start: float = 1.0
    eps_end: float = 0.05
    exploration_fraction: float = 0.3
    priority_exponent: float = 0.0
    her_ratio: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_steps", "batch_size", "gradient_steps", "n_step", "buffer_size", "learning_starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("gamma", "tau", "eps_start", "eps_end", "exploration_fraction", "priority_exponent", "her_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in 0 … 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate lies between 0 and 1, not {self.learning_rate}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"the seed is a whole number from 0 to 2^63 − 1, not {self.seed}")


def n_step_returns(rewards: Tensor, ended: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    """Discounted sums of rewards, up to and with the first step that ends an episode.

    Args:
        rewards: (n, k).
        ended: (n, k) bool, whether the episode is over after the step.
        discount: of one step.

    Returns:
        The sums (n,), and how many steps each counts (n,) ints, 1 … k.
    """
    before = torch.cat([torch.zeros_like(ended[:, :1]), ended[:, :-1]], 1).cumsum(1) == 0
    powers = discount ** torch.arange(rewards.shape[1], device=rewards.device, dtype=rewards.dtype)
    return (rewards * powers * before).sum(1), before.sum(1)


def double_q(online: Tensor, target: Tensor) -> Tensor:
    """Value of the state by double Q-learning: the target network's (n, actions) of the online one's best action."""
    return target.gather(1, online.argmax(1, keepdim=True))[:, 0]


class Batch(NamedTuple):
    """Segments of n steps out of the replay: observations (n, k + 1, dim), the first action (n,), rewards and
    ``ended`` and ``terminated`` (n, k) of the steps, where each was remembered (n,), and its share of the draw (n,)."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    ended: Tensor
    terminated: Tensor
    places: Tensor
    chances: Tensor


class Replay:
    """The last steps of a batch of environments, a ring over time.

    A segment is read as it happened: what stands at the next time is the next observation, and the step that only
    begins a new episode (``AutoresetMode.NEXT_STEP``) is no transition.
    """

    def __init__(self, n_envs: int, capacity: int, dim: int, device: torch.device) -> None:
        self.length = max(capacity // n_envs, 2)
        shape = (self.length, n_envs)
        self.observations = torch.empty(*shape, dim, device=device)
        self.actions = torch.empty(shape, dtype=torch.long, device=device)
        self.rewards = torch.empty(shape, device=device)
        self.terminated = torch.empty(shape, dtype=torch.bool, device=device)
        self.ended = torch.empty(shape, dtype=torch.bool, device=device)
        self.weights = torch.zeros(shape, device=device)
        self.most = 1.0
        self.time = 0

    def add(
        self, observations: Tensor, actions: Tensor, rewards: Tensor, terminated: Tensor, ended: Tensor, real: Tensor
    ) -> None:
        """Remember one step of all environments; ``real`` (n,) is false where it only began an episode."""
        at = self.time % self.length
        self.observations[at] = observations
        self.actions[at] = actions
        self.rewards[at] = rewards
        self.terminated[at] = terminated
        self.ended[at] = ended
        self.weights[at] = self.most * real
        self.time += 1

    def sample(self, n: int, k: int, random: torch.Generator) -> Batch:
        """n segments of k steps, each step drawn by its weight; one that would reach over the present is not."""
        n_envs = self.actions.shape[1]
        held = min(self.time, self.length)
        first = self.time - held
        usable = held - k  # the last observation of a segment must be there
        if usable < 1:
            raise ValueError(f"{held} steps in time are remembered, too few for segments of {k}")
        times = torch.arange(first, first + usable, device=self.actions.device) % self.length
        weights = self.weights[times].flatten()
        total = weights.double().cumsum(0)
        drawn = torch.rand(n, generator=random, device=total.device, dtype=torch.float64) * total[-1]
        index = torch.searchsorted(total, drawn, right=True).clamp(max=len(total) - 1)
        start, env = index // n_envs, index % n_envs
        steps = (first + start[:, None] + torch.arange(k + 1, device=start.device)) % self.length
        rows = steps[:, :k]
        column = env[:, None]
        return Batch(
            self.observations[steps, column],
            self.actions[rows[:, 0], env],
            self.rewards[rows, column],
            self.ended[rows, column],
            self.terminated[rows, column],
            rows[:, 0] * n_envs + env,
            (weights[index] / total[-1]).float(),
        )

    def update_priorities(self, places: Tensor, weights: Tensor) -> None:
        """Set the weights of remembered steps."""
        self.weights.view(-1)[places] = weights
        self.most = max(self.most, float(weights.max()))


class DQN:
    """A learner and what it learns from.

    Attributes:
        network: the Q-network that is learnt.
        target: the one that follows it.
        steps_done: transitions so far.

    Args:
        envs: environments with observations (dim,) and ``n`` actions, that begin a new episode with the step
            after the last one's end (``AutoresetMode.NEXT_STEP``).
        recipe: how.
        network: the network to start from; a fresh ``QNetwork`` by default.
        relabel: hindsight, where the environment has it.
        device: where network and memory are.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        recipe: DQNConfig,
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
        if recipe.her_ratio and relabel is None:
            raise ValueError("this environment cannot give another goal in hindsight")
        self.envs, self.recipe, self.relabel = envs, recipe, relabel
        self.device = torch.device(device)
        self.n_actions = int(actions.n)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = network or QNetwork(space.shape[0], self.n_actions)
        self.network = network.to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), recipe.learning_rate)
        if recipe.buffer_size // envs.num_envs <= recipe.n_step:
            raise ValueError(
                f"a memory of {recipe.buffer_size} holds too few steps of {envs.num_envs} environments for segments of "
                f"{recipe.n_step}"
            )
        self.replay = Replay(envs.num_envs, recipe.buffer_size, space.shape[0], self.device)
        self.random = torch.Generator(self.device).manual_seed(recipe.seed)
        self.steps_done = 0
        self._observations: Tensor | None = None
        self._ended = torch.zeros(envs.num_envs, dtype=torch.bool, device=self.device)

    @property
    def explore(self) -> float:
        """Share of random actions now."""
        recipe = self.recipe
        done = min(1.0, self.steps_done / max(1.0, recipe.exploration_fraction * recipe.train_steps))
        return recipe.eps_start + done * (recipe.eps_end - recipe.eps_start)

    @torch.no_grad()
    def act(self, observations: Tensor, explore: float) -> Tensor:
        """The best actions (n,) ints of observations (n, dim), a share of them random."""
        actions = self.network(observations).argmax(1)
        if explore:
            n = len(actions)
            is_random = torch.rand(n, generator=self.random, device=self.device) < explore
            any_action = torch.randint(self.n_actions, (n,), generator=self.random, device=self.device)
            actions = torch.where(is_random, any_action, actions)
        return actions

    def step(self) -> dict[str, float]:
        """One step of all environments, and the updates that follow it; what there is to log."""
        if self._observations is None:
            first, _ = self.envs.reset(seed=(self.recipe.seed + self.steps_done) % 2**31)
            self._observations = self._seen(first)
        observations, began = self._observations, self._ended
        actions = self.act(observations, self.explore)
        following, rewards, terminated, truncated, _ = self.envs.step(actions.cpu().numpy())
        stops = self._tensor(terminated).bool()
        self._ended = stops | self._tensor(truncated).bool()
        self._observations = self._seen(following)
        paid = self._tensor(rewards)
        self.replay.add(observations, actions, paid, stops, self._ended, ~began)
        n_real = int((~began).sum())
        self.steps_done += n_real
        logged = {"reward": float(paid.sum()) / max(n_real, 1), "explore": self.explore}
        held = min(self.steps_done, self.replay.time * self.envs.num_envs)
        if held >= self.recipe.learning_starts and self.replay.time > self.recipe.n_step:
            share = min(1.0, self.steps_done / self.recipe.train_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * (0.55 + 0.45 * float(np.cos(np.pi * share)))
            for _ in range(self.recipe.gradient_steps):
                logged |= self.update()
        return logged

    def update(self) -> dict[str, float]:
        """One gradient step on segments of the replay; the loss and the mean value of the actions taken."""
        recipe = self.recipe
        batch = self.replay.sample(recipe.batch_size, recipe.n_step, self.random)
        observations, rewards = batch.observations, batch.rewards
        returns, counted = n_step_returns(rewards, batch.ended, recipe.gamma)
        n_relabelled = round(recipe.her_ratio * recipe.batch_size)
        if n_relabelled and self.relabel is not None:
            seen, paid = self.relabel(observations[:n_relabelled], counted[:n_relabelled], self.random)
            observations = torch.cat([seen, observations[n_relabelled:]])
            rewards = torch.cat([paid, rewards[n_relabelled:]])
            returns, counted = n_step_returns(rewards, batch.ended, recipe.gamma)
        rows = torch.arange(len(counted), device=self.device)
        last = observations[rows, counted]
        with torch.no_grad():
            value = double_q(self.network(last), self.target(last))
            goes_on = ~batch.terminated[rows, counted - 1]
            goals = returns + recipe.gamma**counted * goes_on * value
        chosen = self.network(observations[:, 0]).gather(1, batch.actions[:, None])[:, 0]
        loss = F.smooth_l1_loss(chosen, goals, reduction="none")
        if recipe.priority_exponent:
            # rare draws count for more: half of the way to the gradient of even draws (Schaul's β = ½)
            correction = (batch.chances * self.replay.rewards.numel()).clamp(min=1e-8) ** -0.5
            loss = loss * correction / correction.max()
            distance = (chosen.detach() - goals).abs()
            self.replay.update_priorities(batch.places, (distance + 1e-3) ** recipe.priority_exponent)
        self.optimizer.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.network.parameters()), recipe.tau)
        return {"loss": float(loss.detach().mean()), "value": float(chosen.detach().mean())}

    def learn(self, tell: Callback | None = None) -> None:
        """Step until ``recipe.train_steps`` transitions are collected; ``tell`` hears (transitions so far, numbers)."""
        while self.steps_done < self.recipe.train_steps:
            logged = self.step()
            if tell:
                tell(self.steps_done, logged)

    def save(self, path: str | os.PathLike[str], more: dict[str, Any] | None = None) -> None:
        """Write what is needed to go on, and ``more``, whole or not at all; the memory is not kept, it fills again."""
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "steps_done": self.steps_done,
            "more": more or {},
        }
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Go on where ``save`` was called, and give back its ``more``; runs no code of the file.

        Raises:
            ValueError: a damaged file, or one of another recipe.
            OSError: it cannot be opened.
        """
        data = io.BytesIO(Path(path).read_bytes())
        try:
            state = torch.load(data, map_location=self.device, weights_only=True)
            if state["recipe"] != asdict(self.recipe):
                raise ValueError("it was made with another recipe")
            self.network.load_state_dict(state["network"])
            self.target.load_state_dict(state["target"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.random.set_state(state["random"].cpu())
            self.steps_done = int(state["steps_done"])
            return dict(state["more"])
        except Exception as error:  # unpickling, zip and tensor errors of a dozen kinds
            reason = str(error).partition("\n")[0][:80] or type(error).__name__
            raise ValueError(f"{path}: cannot be gone on with: {reason}") from None

    def _seen(self, observations: Any) -> Tensor:
        """Observations in memory of our own: an environment may write the next ones into the same array."""
        return torch.tensor(np.asarray(observations), dtype=torch.float32, device=self.device)

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, device=self.device)
