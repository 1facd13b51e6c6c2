"""The latent space of a generator as a reinforcement-learning environment: one walk, or thousands at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rhythmgan.draw import bar_to_text
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rl_tuner.latent.dynamics import BOUND, MAX_CALLS, Dynamics, Goals, State
from rl_tuner.latent.space import find_space
from rl_tuner.rewards import KL_PRICE

Reward = Literal["delta", "absolute"]


class LatentVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """State through latent space to bars with the features asked for, all moved by one call of the generator.

    ## Observation space
    ``Box(-10, 10, (observation_dim,), float32)``: z, cells, features, targets, gaps, weights, terms of the score, and
    the calls left; see ``Dynamics.observe``.

    ## Action space
    ``Discrete(n_actions)``: 0 stays and ends the walk; the others turn z along a direction or aim at the targets, see
    ``Moves``.

    ## Starting state
    z ~ N(0, I), or ``options["z"]``. Targets are rows of ``targets``, a share of them crossed (each feature
    from a row of its own); a share of the walks skips a feature; the weights of discriminator, prior and kl_coef
    are each 0 for half of the walks and even over 0 … 1 for the others; calls are drawn evenly from the logarithm
    of 4 … ``calls``.
    ``options["goals"]``, a ``Goals``, sets them instead, for this reset only.

    ## Rewards
    How much the score of the bar has grown (``delta``), which sums up to how much better the walk made it, or the
    score itself (``absolute``), less the price of the kl, ``KL_PRICE`` · kl_coef · nats. The terms are in
    ``info["terms"]``.

    ## Episode end
    Terminated when it stays, or when no calls are left: as the observation says how many are left, nothing is to
    be expected after that. Never truncated. A walk that has ended begins anew with the next step
    (``AutoresetMode.NEXT_STEP``), whose action is ignored.

    Args:
        dynamics: generator, judges and latent space.
        targets: (m, F), the features of bars to aim at.
        num_envs: walks at once.
        calls: generator calls of a walk at most, 4 or more.
        crossed: share of targets whose features come from different rows.
        skipped: share of walks that skip one of their features (where there are several).
        reward: ``"delta"`` or ``"absolute"``.
        weighted: whether discriminator, prior and kl_coef are given weights; they are 0 otherwise.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 2, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (as its base)

    def __init__(
        self,
        dynamics: Dynamics,
        targets: Tensor | np.ndarray,
        num_envs: int = 512,
        calls: int = 64,
        crossed: float = 0.4,
        skipped: float = 0.2,
        reward: Reward = "delta",
        weighted: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.dynamics = dynamics
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.device = dynamics.space.directions.device
        self.targets = torch.as_tensor(targets, dtype=torch.float32, device=self.device)
        if self.targets.ndim != 2 or self.targets.shape[1] != len(dynamics.space.features) or not len(self.targets):
            raise ValueError(f"expected targets (m, {len(dynamics.space.features)}); got {tuple(self.targets.shape)}")
        if not torch.isfinite(self.targets).all():
            raise ValueError("targets must be finite")
        if not 4 <= calls <= MAX_CALLS:
            raise ValueError(f"calls lie in 4 … {MAX_CALLS}, not {calls}")
        if reward not in ("delta", "absolute"):
            raise ValueError(f"the reward is delta or absolute, not {reward!r}")
        self.calls, self.crossed, self.skipped = calls, crossed, skipped
        self.reward, self.weighted = reward, weighted
        self.single_observation_space = spaces.Box(-BOUND, BOUND, (dynamics.observation_dim,), np.float32)
        self.single_action_space = spaces.Discrete(dynamics.n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.random = torch.Generator(self.device)
        self._ended = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._goals: Goals | None = None
        self._walks: State | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all walks; ``options`` may hold ``z`` (num_envs, latent_dim) and ``goals``, a ``Goals`` of num_envs."""
        super().reset(seed=seed)
        if seed is not None or self._walks is None:
            self.random.manual_seed(int(self.np_random.integers(2**62)) if seed is None else seed)
        options = options or {}
        z = options.get("z")
        z = self._noise(self.num_envs) if z is None else torch.as_tensor(z, dtype=torch.float32, device=self.device)
        goals = options.get("goals")
        if goals is not None and (len(goals) != self.num_envs or int(goals.calls.min()) < 2):
            raise ValueError(f"expected goals of {self.num_envs} walks, of 2 calls at least")
        self._goals = self._draw_goals(self.num_envs) if goals is None else goals.copy()
        self._walks = self.dynamics.begin(z, self._goals)
        self._ended = torch.zeros_like(self._ended)
        return self._observe(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if self._walks is None or self._goals is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen = torch.as_tensor(np.asarray(actions), dtype=torch.long, device=self.device)
        if (
            chosen.shape != (self.num_envs,)
            or not 0 <= int(chosen.min()) <= int(chosen.max()) < self.dynamics.n_actions
        ):
            raise ValueError(f"expected {self.num_envs} actions from 0 to {self.dynamics.n_actions - 1}")
        begins, before = self._ended, self._walks.score
        noise = self._noise(self.num_envs)
        walks, goals = self._walks, self._goals
        # a walk that begins anew and one that moves are decoded together; one that stays is decoded for nothing
        if begins.any():
            goals.put(begins, self._draw_goals(int(begins.sum())))
            walks.z[begins] = noise[begins]
            walks.calls_left[begins] = goals.calls[begins]
            chosen = torch.where(begins, 0, chosen)
        after = self.dynamics.step(walks, goals, chosen, noise)
        stays = (chosen == 0) & ~begins
        after.calls_left[stays] += 1  # to stay costs no call
        self._walks = after
        self._ended = (stays | (after.calls_left <= 0)) & ~begins
        paid = after.score - before if self.reward == "delta" else after.score
        paid = torch.where(begins, 0.0, paid - KL_PRICE * goals.kl_coef * after.kl)
        none = np.zeros(self.num_envs, bool)
        return self._observe(), paid.cpu().numpy(), self._ended.cpu().numpy(), none, self._info()

    def render(self) -> tuple[str, ...] | None:
        """Each walk's bar in text: a line for each part, ``x`` strokes of drums, ``o`` of cymbals."""
        if self._walks is None or self.render_mode != "ansi":
            return None
        return tuple(bar_to_text(bar, self.dynamics.generator.kit) for bar in self._walks.bars.cpu().numpy())

    def relabel(self, observations: Tensor, counted: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Segments as they would have been, had the targets been near what they came to; ``dqn.Relabel``."""
        return self.dynamics.relabel(observations, counted, random)

    def _noise(self, n: int) -> Tensor:
        shape = (n, self.dynamics.space.latent_dim)
        return torch.randn(shape, generator=self.random, device=self.device)

    def _draw_goals(self, n: int) -> Goals:
        features = len(self.dynamics.space.features)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=self.random, device=self.device)

        rows = (uniform(n, features) * len(self.targets)).long().clamp(max=len(self.targets) - 1)
        rows = torch.where(uniform(n, 1) < self.crossed, rows, rows[:, :1])
        targets = self.targets.gather(0, rows)
        weights = torch.ones(n, features, device=self.device)
        if features > 1:
            skips = uniform(n) < self.skipped
            which = (uniform(n) * features).long().clamp(max=features - 1)
            weights[torch.arange(n, device=self.device)[skips], which[skips]] = 0
        shares = uniform(n, 3) * (uniform(n, 3) < 0.5) * self.weighted
        spans = 4 * (self.calls / 4) ** uniform(n)
        realism, likelihood, kl_coef = shares.unbind(1)
        return Goals(targets, weights, realism, likelihood, kl_coef, spans.round().long())

    def _observe(self) -> np.ndarray:
        assert self._walks is not None
        assert self._goals is not None
        return self.dynamics.observe(self._walks, self._goals).cpu().numpy()

    def _info(self) -> dict[str, Any]:
        assert self._walks is not None
        return {"terms": {name: term.cpu().numpy() for name, term in self._walks.terms().items()}}


class LatentEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One walk through latent space: ``LatentVectorEnv``'s sheet holds, but that an ended walk waits for a reset.

    ``info`` holds the terms as plain floats. ``options`` of ``reset`` are those of the vector, with arrays of one row.

    Args:
        dynamics, targets, calls, crossed, skipped, reward, weighted: as ``LatentVectorEnv``.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 2}  # noqa: RUF012 (as its base)

    def __init__(
        self,
        dynamics: Dynamics | None = None,
        targets: Tensor | np.ndarray | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.batch = vector_env(dynamics, targets, num_envs=1, render_mode=render_mode, **options)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        observations, info = self.batch.reset(seed=seed, options=options)
        return observations[0], _first(info)

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observations, rewards, terminated, truncated, info = self.batch.step(np.array([action]))
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> str | None:
        """The bar in text, see ``draw.bar_to_text``."""
        drawn = self.batch.render()
        return drawn[0] if drawn else None


_LOOKED_AT = 8000
"""Bars that the latent space is found by where none is given: a second's work."""


def _first(info: Mapping[str, Any]) -> dict[str, Any]:
    return {"terms": {name: float(term[0]) for name, term in info["terms"].items()}}


def vector_env(
    dynamics: Dynamics | None = None, targets: Tensor | np.ndarray | None = None, num_envs: int = 1, **options: Any
) -> LatentVectorEnv:
    """A ``LatentVectorEnv``; by default of the bundled generator and prior, with targets from unsteered bars."""
    if dynamics is None:
        generator, prior = load_generator(), load_likelihood()
        dynamics = Dynamics(generator, generator, prior, find_space(generator, generator, prior, n=_LOOKED_AT))
    return LatentVectorEnv(dynamics, dynamics.space.values if targets is None else targets, num_envs, **options)
