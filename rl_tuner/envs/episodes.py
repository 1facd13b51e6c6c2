"""Episodes as Gymnasium environments: a batch of them that is stepped as one, and a single one made of it.

A new environment says in a ``BarDynamics`` how z moves, what it decodes to and what else is seen; all that makes an
episode of it – goals, budget, reward, end, autoreset – stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rhythmgan.draw import bar_to_text
from rhythmgan.training.checkpoint import check_alike
from rl_tuner.config import Reward
from rl_tuner.dynamics import MAX_CALLS, BarDynamics, BarScorer, State
from rl_tuner.goals import Goals
from rl_tuner.rewards import less_costs

MIN_CALLS = 4
"""Calls of the shortest episodes that an environment draws."""


def check_shares(**shares: float) -> None:
    """Raise a ValueError where a share of the episodes is none."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share of the episodes, 0 to 1, not {share}")


class BatchVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray], ABC):
    """A batch of episodes: spaces, chance and the actions that it is given. One that has ended begins anew with the
    next step.

    Args:
        observations: the space of one episode's observation.
        n_actions: actions to choose from.
        num_envs: episodes at once.
        render_mode: see Gymnasium.
        device: where the episodes are.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 2, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (as its base)

    def __init__(
        self,
        observations: spaces.Box,
        n_actions: int,
        num_envs: int,
        render_mode: str | None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.n_actions, self.num_envs, self.render_mode = n_actions, num_envs, render_mode
        self.device = torch.device(device)
        self.single_observation_space = observations
        self.single_action_space = spaces.Discrete(n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.random = torch.Generator(self.device)

    @abstractmethod
    def render(self) -> tuple[str, ...] | None:
        """Each episode in text."""

    @abstractmethod
    def _get_episodes(self) -> dict[str, Any]:
        """What the episodes are now, as plain values, tensors and dictionaries of such."""

    def _any_episodes(self) -> dict[str, Any]:
        """What ``_get_episodes`` may say, for its types and shapes; what it says after a reset."""
        return self._get_episodes()

    @abstractmethod
    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        """Let the episodes be as ``_get_episodes`` said."""

    def get_state(self) -> dict[str, Any]:
        """What the episodes and what they draw from are now: plain values and tensors in memory of their own.

        Batches with the same arguments go on alike from the same state.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        return {"random": self.random.get_state(), "episodes": moved(self._get_episodes(), torch.device("cpu"))}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of ``get_state``, instead of a reset.

        Raises:
            ValueError: a state of another batch; the episodes are then begun anew.
        """
        self.reset(seed=0)
        like = {"random": self.random.get_state(), "episodes": moved(self._any_episodes(), torch.device("cpu"))}
        check_alike(dict(state), like, "the environments")
        try:
            self.random.set_state(state["random"])
        except RuntimeError:
            raise ValueError("the environments: random is no state of a generator of random numbers") from None
        self._set_episodes(moved(state["episodes"], self.device))

    def _seed(self, seed: int | None, begins: bool) -> None:
        """Seed what the environments draw; without a seed only where it ``begins`` for the first time."""
        if seed is not None or begins:
            self.random.manual_seed(int(self.np_random.integers(2**62)) if seed is None else seed)

    def _checked(self, actions: np.ndarray) -> Tensor:
        """Actions as a tensor (num_envs,) of ints."""
        chosen = torch.as_tensor(np.asarray(actions), dtype=torch.long, device=self.device)
        if chosen.shape != (self.num_envs,) or not 0 <= int(chosen.min()) <= int(chosen.max()) < self.n_actions:
            raise ValueError(f"expected {self.num_envs} actions from 0 to {self.n_actions - 1}")
        return chosen

    def _uniform(self, *shape: int) -> Tensor:
        """Numbers of [0, 1)."""
        return torch.rand(shape, generator=self.random, dtype=torch.float32, device=self.device)


def moved(values: Any, device: torch.device) -> Any:
    """Plain values, tensors and dictionaries of such, with each tensor as a copy on a device."""
    if isinstance(values, dict):
        return {name: moved(each, device) for name, each in values.items()}
    return values.to(device, copy=True) if isinstance(values, Tensor) else values


class GoalVectorEnv(BatchVectorEnv):
    """A batch of episodes with goals: what kinds of them share. One that has ended begins anew with the next step.

    Args:
        scorer: the features that are steered, and the terms that count beside them.
        observations: the space of one episode's observation.
        n_actions: actions to choose from.
        targets: (m, F), features of real bars to steer to.
        num_envs: episodes at once.
        crossed: share of targets whose features come from different rows.
        skipped: share of episodes that skip one of their features (where there are several).
        weighted: whether episodes draw coefficients for the terms; they are 0 otherwise.

    Raises:
        ValueError: targets of another shape, none, or one that is not finite.
    """

    def __init__(
        self,
        scorer: BarScorer,
        observations: spaces.Box,
        n_actions: int,
        targets: Tensor | np.ndarray,
        num_envs: int,
        crossed: float,
        skipped: float,
        weighted: bool,
        render_mode: str | None,
    ) -> None:
        super().__init__(observations, n_actions, num_envs, render_mode, scorer.scale.means.device)
        self.scorer = scorer
        self.targets = torch.as_tensor(targets, dtype=torch.float32, device=self.device)
        n_features = len(scorer.scale.features)
        if self.targets.ndim != 2 or self.targets.shape[1] != n_features or not len(self.targets):
            raise ValueError(f"expected targets (m, {n_features}); got {tuple(self.targets.shape)}")
        if not torch.isfinite(self.targets).all():
            raise ValueError("targets must be finite")
        check_shares(crossed=crossed, skipped=skipped)
        self.crossed, self.skipped, self.weighted = crossed, skipped, weighted

    @abstractmethod
    def render(self) -> tuple[str, ...] | None:
        """Each episode's bar in text: a line for each part, ``x`` strokes of drums, ``o`` of cymbals."""

    def _draw_targets(self, n: int) -> tuple[Tensor, Tensor]:
        """Targets and importance, both (n, F): rows of the targets, some of them crossed, some with one skipped."""
        features = self.targets.shape[1]
        rows = (self._uniform(n, features) * len(self.targets)).long().clamp(max=len(self.targets) - 1)
        rows = torch.where(self._uniform(n, 1) < self.crossed, rows, rows[:, :1])
        targets = self.targets.gather(0, rows)
        importance = torch.ones(n, features, dtype=torch.float32, device=self.device)
        if features > 1:
            skips = self._uniform(n) < self.skipped
            which = (self._uniform(n) * features).long().clamp(max=features - 1)
            importance[torch.arange(n, device=self.device)[skips], which[skips]] = 0
        return targets, importance

    def _draw_coefs(self, n: int) -> dict[str, Tensor]:
        """A coefficient (n,) of each term: 0 for half of the episodes, even over 0 … 1 for the others."""
        terms = self.scorer.terms
        shares = self._uniform(n, len(terms)) * (self._uniform(n, len(terms)) < 0.5) * self.weighted
        return dict(zip(terms, shares.unbind(1), strict=True))


class EpisodeVectorEnv(GoalVectorEnv):
    """A batch of episodes that move through bars. One that has ended begins anew with the next step.

    Args:
        dynamics: begins and moves the episodes.
        targets, num_envs, crossed, skipped, weighted: see ``GoalVectorEnv``.
        calls: generator calls of an episode at most, 4 or more.
        reward: ``"delta"`` or ``"absolute"``.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dynamics: BarDynamics,
        targets: Tensor | np.ndarray,
        num_envs: int = 512,
        calls: int = 64,
        crossed: float = 0.4,
        skipped: float = 0.2,
        reward: Reward = "delta",
        weighted: bool = True,
        render_mode: str | None = None,
    ) -> None:
        observations = spaces.Box(dynamics.layout.low, dynamics.layout.high)
        super().__init__(
            dynamics, observations, dynamics.n_actions, targets, num_envs, crossed, skipped, weighted, render_mode
        )
        self.dynamics = dynamics
        if not MIN_CALLS <= calls <= MAX_CALLS:
            raise ValueError(f"calls lie in {MIN_CALLS} … {MAX_CALLS}, not {calls}")
        if reward not in ("delta", "absolute"):
            raise ValueError(f"the reward is delta or absolute, not {reward!r}")
        self.calls, self.reward = calls, reward
        self._ended = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._goals: Goals | None = None
        self._state: State | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes.

        Args:
            seed: of everything that the environments draw; without one they go on in the same stream.
            options: may hold ``z`` (num_envs, dim), where to begin, and ``goals``, a ``Goals`` of num_envs episodes,
                both for this reset only.

        Raises:
            ValueError: goals of another number of episodes, of fewer than 2 calls, or of an unknown term.
        """
        super().reset(seed=seed)
        self._seed(seed, self._state is None)
        options = options or {}
        z = options.get("z")
        if z is None:
            z = self.dynamics.draw(self.num_envs, self.random)
        z = torch.as_tensor(z, dtype=torch.float32, device=self.device)
        goals = options.get("goals")
        if goals is not None and (len(goals) != self.num_envs or int(goals.calls.min()) < 2):
            raise ValueError(f"expected goals of {self.num_envs} episodes, of 2 calls at least")
        if goals is None:
            self._goals = self._draw_goals(self.num_envs)
        else:
            self._goals = goals.with_terms(self.dynamics.terms).copy()
        self._state = self.dynamics.begin(z, self._goals)
        self._ended = torch.zeros_like(self._ended)
        return self._observe(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Act in every episode; those that ended with the last step begin anew, whatever their action.

        Raises:
            ValueError: another number of actions, or one that there is not.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._state is None or self._goals is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen = self._checked(actions)
        begins, before, state, goals = self._ended, self._state.score, self._state, self._goals
        noise = self.dynamics.draw(self.num_envs, self.random)
        # an episode that begins anew and one that moves are decoded together; one that stays is decoded for nothing
        if begins.any():
            goals.put(begins, self._draw_goals(int(begins.sum())))
            self.dynamics.begin_anew(state, begins, noise[begins])
            state.calls_left[begins] = goals.calls[begins]
            chosen = torch.where(begins, 0, chosen)
        after = self.dynamics.step(state, goals, chosen, noise)
        stays = (chosen == 0) & ~begins
        after.calls_left[stays] += 1  # to stay costs no call
        self._state = after
        self._ended = (stays | (after.calls_left <= 0)) & ~begins
        gain = after.score - before if self.reward == "delta" else after.score
        rewards = torch.where(begins, 0.0, less_costs(gain, self.dynamics.costs_of(after), goals.coefs))
        none = np.zeros(self.num_envs, bool)
        return self._observe(), rewards.cpu().numpy(), self._ended.cpu().numpy(), none, self._info()

    def render(self) -> tuple[str, ...] | None:
        """See ``GoalVectorEnv``."""
        if self._state is None or self.render_mode != "ansi":
            return None
        return tuple(bar_to_text(bar, self.dynamics.kit) for bar in self._state.bars.cpu().numpy())

    def relabel(self, observations: Tensor, counted: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Segments as they would have been, had the targets been near what they came to; ``dqn.Relabel``."""
        return self.dynamics.relabel(observations, counted, random)

    def _draw_goals(self, n: int) -> Goals:
        """Goals as the starting state says; see ``LatentEnv``."""
        targets, importance = self._draw_targets(n)
        coefs = self._draw_coefs(n)
        spans = MIN_CALLS * (self.calls / MIN_CALLS) ** self._uniform(n)
        return Goals(targets, importance, coefs, spans.round().long())

    def _get_episodes(self) -> dict[str, Any]:
        if self._state is None or self._goals is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its state is asked for")
        return {"goals": dict(vars(self._goals)), "state": dict(vars(self._state)), "ended": self._ended}

    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        self._goals, self._state = Goals(**episodes["goals"]), State(**episodes["state"])
        self._ended = episodes["ended"]

    def _observe(self) -> np.ndarray:
        assert self._state is not None
        assert self._goals is not None
        return self.dynamics.observe(self._state, self._goals).cpu().numpy()

    def _info(self) -> dict[str, Any]:
        assert self._state is not None
        return {"terms": {name: term.cpu().numpy() for name, term in self._state.terms.items()}}


class EpisodeEnv(gymnasium.Env[np.ndarray, np.int64]):
    """A single environment, made of a batch of one: an episode that has ended waits for a reset.

    ``info["terms"]`` holds plain floats, what else there is in ``info`` the row of the episode. The ``options`` of
    ``reset`` are those of the batch, with arrays of one row.

    Args:
        batch: of one episode.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 2}  # noqa: RUF012 (as its base)

    def __init__(self, batch: BatchVectorEnv) -> None:
        if batch.num_envs != 1:
            raise ValueError(f"a single environment is a batch of one, not of {batch.num_envs}")
        self.batch = batch
        self.observation_space = batch.single_observation_space
        self.action_space = batch.single_action_space
        self.render_mode = batch.render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; see the batch."""
        super().reset(seed=seed)
        observations, info = self.batch.reset(seed=seed, options=options)
        return observations[0], _first(info)

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act; see the batch."""
        observations, rewards, terminated, truncated, info = self.batch.step(np.array([action]))
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self) -> str | None:
        """The bar in text, see ``draw.bar_to_text``."""
        drawn = self.batch.render()
        return drawn[0] if drawn else None


def _first(info: Mapping[str, Any]) -> dict[str, Any]:
    terms = {name: float(term[0]) for name, term in info["terms"].items()}
    return {"terms": terms} | {name: rows[0] for name, rows in info.items() if name != "terms"}
