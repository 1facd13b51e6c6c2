"""The next bar, edited word by word: a batch of episodes, and a single one made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.draw import bar_to_text
from rhythmgan.kit import JAKI5
from rl_tuner.config import EditReward
from rl_tuner.edit.edits import (
    LEAST_LOG_PROB,
    N_EDITS,
    N_WORDS,
    NATS_PRICE,
    STEPS,
    has_targets,
    likeliest,
    match,
    nats_of,
    published_reward,
    tables,
    values_of,
)
from rl_tuner.edit.observation import EDIT_LAYOUT, observe
from rl_tuner.envs.episodes import BatchVectorEnv, EpisodeEnv, check_shares

_STATE = ("row", "words", "target", "importance", "left", "ended")
"""What there is of each episode."""


class EditVectorEnv(BatchVectorEnv):
    """A batch of the episodes of ``EditEnv``, whose specification holds here too.

    ## Episode end
    An episode that has ended begins anew with the next step (``AutoresetMode.NEXT_STEP``), whose action is ignored.

    ## Arguments
    log_probs: (m, 16, 32), what a model says of the bars that follow m bars; each episode edits one of them.

    targets: (k, 4), what to ask for: cymbals, drums, syncopation, repetition.

    num_envs: episodes at once.

    edits: of an episode.

    skipped: chance of each feature that an episode does not ask for it.

    reward: ``"delta"`` or ``"published"``.

    stops: whether an edit that sets the word which its step has already ends the episode.

    device: where the episodes are.

    Raises:
        ValueError: an argument of another shape or out of range.
    """

    def __init__(
        self,
        log_probs: Tensor | np.ndarray,
        targets: Tensor | np.ndarray,
        num_envs: int = 256,
        edits: int = 24,
        skipped: float = 0.2,
        reward: EditReward = "delta",
        stops: bool = True,
        render_mode: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(spaces.Box(EDIT_LAYOUT.low, EDIT_LAYOUT.high), N_EDITS, num_envs, render_mode, device)
        log_probs = torch.as_tensor(log_probs, dtype=torch.float32, device=self.device)
        targets = torch.as_tensor(targets, dtype=torch.float32, device=self.device)
        if log_probs.ndim != 3 or log_probs.shape[1:] != (STEPS, N_WORDS) or not len(log_probs):
            raise ValueError(f"expected log-probabilities (m, {STEPS}, {N_WORDS}); got {tuple(log_probs.shape)}")
        if log_probs.isnan().any() or log_probs.isposinf().any():
            raise ValueError("log-probabilities are numbers, or -inf where a word is impossible: not NaN, not inf")
        if targets.ndim != 2 or targets.shape[1] != 4 or not len(targets) or not torch.isfinite(targets).all():
            raise ValueError(f"expected finite targets (k, 4); got {tuple(targets.shape)}")
        if not isinstance(edits, (int, np.integer)) or edits < 1:
            raise ValueError(f"an episode has one edit at least, a whole number of them, not {edits}")
        if reward not in ("delta", "published"):
            raise ValueError(f"the reward is delta or published, not {reward!r}")
        check_shares(skipped=skipped)
        self.log_probs = log_probs.clamp(min=LEAST_LOG_PROB)
        self.targets = targets
        self.edits, self.skipped, self.reward, self.stops = edits, skipped, reward, stops
        self._playable = tables(self.device).playable
        self._is_begun = False
        self._row = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self._words = torch.zeros(num_envs, STEPS, dtype=torch.long, device=self.device)
        self._target = torch.zeros(num_envs, 4, device=self.device)
        self._importance = torch.zeros(num_envs, 4, device=self.device)
        self._left = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self._ended = torch.zeros(num_envs, dtype=torch.bool, device=self.device)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes.

        Args:
            seed: of everything that the environments draw; without one they go on in the same stream.
            options: may hold, for this reset only, ``rows`` (num_envs,) ints, which of the bars are edited; ``targets``
                (num_envs, 4), what is asked for; and ``importance`` (num_envs, 4), 0 … 10, 0 where a feature
                is not.

        Raises:
            ValueError: an option of another name or shape, a row that there is not, or numbers out of range.
        """
        super().reset(seed=seed)
        self._seed(seed, not self._is_begun)
        self._is_begun = True
        self._begin(torch.ones_like(self._ended))
        self._ended = torch.zeros_like(self._ended)
        self._take(options or {})
        return self._observe(), self._info()

    def _take(self, options: Mapping[str, Any]) -> None:
        """Let the episodes begin as the options of a reset say."""
        if unknown := options.keys() - {"rows", "targets", "importance"}:
            raise ValueError(f"no option is called {min(unknown)!r}; there are rows, targets and importance")
        shapes = {"rows": (self.num_envs,), "targets": (self.num_envs, 4), "importance": (self.num_envs, 4)}
        given = {name: torch.as_tensor(value, device=self.device) for name, value in options.items()}
        for name, value in given.items():
            if tuple(value.shape) != shapes[name]:
                raise ValueError(f"expected {name} {shapes[name]}; got {tuple(value.shape)}")
        if "targets" in given and not torch.isfinite(given["targets"]).all():
            raise ValueError("targets must be finite")
        if "importance" in given and not ((given["importance"] >= 0) & (given["importance"] <= 10)).all():
            raise ValueError("the importance of a feature lies in 0 … 10")
        if "rows" in given:
            if not 0 <= int(given["rows"].min()) <= int(given["rows"].max()) < len(self.log_probs):
                raise ValueError(f"rows lie in 0 … {len(self.log_probs) - 1}")
            self._row = given["rows"].long().clone()
            self._words = likeliest(self.log_probs[self._row])
        self._target = given.get("targets", self._target).float().clone()
        self._importance = given.get("importance", self._importance).float().clone()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Make an edit in every episode; those that ended with the last step begin anew, whatever their action.

        Raises:
            ValueError: another number of actions, or one that there is not.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if not self._is_begun:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen = self._checked(actions)
        begins = self._ended
        before = self._worth()
        place, word = chosen // N_WORDS, chosen % N_WORDS
        rows = torch.arange(self.num_envs, device=self.device)
        acts = ~begins & self._playable[word]
        stays = ~begins & (self._words[rows, place] == word) & self.stops
        self._words[rows[acts], place[acts]] = word[acts]
        self._left = self._left - (~begins).long()
        gained = self._worth() - before if self.reward == "delta" else self.published_rewards
        rewards = torch.where(begins, 0.0, gained)
        self._ended = (stays | (self._left <= 0)) & ~begins
        if begins.any():
            self._begin(begins)
        none = np.zeros(self.num_envs, bool)
        return self._observe(), rewards.cpu().numpy(), self._ended.cpu().numpy(), none, self._info()

    @property
    def success(self) -> Tensor:
        """Whether each bar, as it is, has all that is asked for: (num_envs,) bool."""
        return has_targets(values_of(self._words), self._target, self._importance)

    @property
    def values(self) -> Tensor:
        """The features of the bars as they are, (num_envs, 4)."""
        return values_of(self._words)

    @property
    def wanted(self) -> Tensor:
        """The targets of the episodes, (num_envs, 4)."""
        return self._target

    @property
    def published_rewards(self) -> Tensor:
        """jaki's reward of the bars as they are, (num_envs,)."""
        chances = self.log_probs[self._row].exp()
        return published_reward(self.values, self._target, self._importance, self._words, chances)

    @property
    def ended(self) -> Tensor:
        """Which episodes are over, and begin anew with the next step: (num_envs,) bool."""
        return self._ended

    def mask(self, observations: Tensor) -> Tensor:
        """Which edits may be made, (n, 512) bool: those to words that two hands and a foot can play."""
        return tables(observations.device).playable.repeat(STEPS).expand(len(observations), -1)

    def render(self) -> tuple[str, ...] | None:
        """Each episode's bar in text: a line for each part, ``x`` strokes of drums, ``o`` of cymbals."""
        if not self._is_begun or self.render_mode != "ansi":
            return None
        bars = words_to_bars(self._words, JAKI5.n_parts).cpu().numpy()
        return tuple(bar_to_text(bar, JAKI5) for bar in bars)

    def _get_episodes(self) -> dict[str, Any]:
        if not self._is_begun:
            raise gymnasium.error.ResetNeeded("reset the environment before its state is asked for")
        return {name: getattr(self, f"_{name}") for name in _STATE}

    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        for name, n in (("row", len(self.log_probs)), ("words", N_WORDS)):
            if not 0 <= int(episodes[name].min()) <= int(episodes[name].max()) < n:
                raise ValueError(f"the environments: {name} lie in 0 … {n - 1}")
        for name in _STATE:
            setattr(self, f"_{name}", episodes[name])

    def _begin(self, begins: Tensor) -> None:
        """Begin these episodes (num_envs,) bool anew."""
        n = int(begins.sum())

        def index(count: int) -> Tensor:
            drawn = torch.rand(n, generator=self.random, device=self.device, dtype=torch.float64)
            return (drawn * count).long().clamp(max=count - 1)

        self._row[begins] = index(len(self.log_probs))
        self._words[begins] = likeliest(self.log_probs[self._row[begins]])
        self._target[begins] = self.targets[index(len(self.targets))]
        kept = torch.rand(n, 4, generator=self.random, device=self.device) >= self.skipped
        self._importance[begins] = kept.float()
        self._left[begins] = self.edits

    def _worth(self) -> Tensor:
        """What the bars are worth, (num_envs,)."""
        nearness = match(values_of(self._words), self._target, self._importance)
        return nearness + NATS_PRICE * nats_of(self._words, self.log_probs[self._row])

    def _observe(self) -> np.ndarray:
        left = self._left / self.edits
        return observe(self._words, self.log_probs[self._row], self._target, self._importance, left).cpu().numpy()

    def _info(self) -> dict[str, Any]:
        values, log_probs = values_of(self._words), self.log_probs[self._row]
        has = has_targets(values, self._target, self._importance)
        lost = nats_of(likeliest(log_probs), log_probs) - nats_of(self._words, log_probs)
        return {
            "terms": {"success": has.float().cpu().numpy(), "nats": lost.cpu().numpy()},
            "values": values.cpu().numpy(),
            "words": self._words.cpu().numpy().copy(),
            "action_mask": self._playable.repeat(STEPS).expand(self.num_envs, -1).to(torch.int8).cpu().numpy(),
        }


class EditEnv(EpisodeEnv):
    """The bar that follows another, edited until it has the features asked for: ``DrumEdit-v0``, after jaki (2020).

    A model has read a bar and says how likely each word is on each step of the next. The episode begins with the
    likeliest bar. Each action sets one step to one word of the kit ``jaki5``.

    ## Action space
    ``Discrete(512)``: action 32 t + w sets step t to word w. Words that two hands and a foot cannot play may not be
    chosen: those with more than two of snare, closed cymbals, open cymbals and toms. ``info["action_mask"]`` (512,)
    int8 is 0 there. Chosen all the same they change nothing, but cost an edit. To set the word that a step has already
    ends the episode: the bar stays as it is.

    ## Observation space
    ``Box(low, high, (605,), float32)``:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 to 79 | the bar, step by step: 1 where a part sounds | 0 | 1 |
    | 80 to 591 | log p of each word on each step given the bar before; nats / 12 | -1 | 0 |
    | 592 to 595 | cymbals, drums and syncopation asked for, / 12; repetition | 0 | 3 |
    | 596 to 599 | importance of each feature; 0 where it is not asked for | 0 | 10 |
    | 600 to 603 | what the bar has of each, scaled likewise | 0 | 3 |
    | 604 | edits that are left, as a share | 0 | 1 |

    ## Rewards
    ``delta``: by how much the bar's worth grows. It is the mean over the features asked for of 1 − d / 12, d the
    distance from the target in tolerances (1 onset, 1 unit of syncopation, 1/8 of repetition), 1 more where every one
    is within its tolerance, less .002 for each nat that the bar is less likely than the likeliest one.

    ``published``: jaki's reward of the bar after the edit, see ``edits.published_reward``.

    ## Starting state
    One of the bars of ``log_probs``, and one row of ``targets``; each feature is not asked for with the chance
    ``skipped``. ``options["rows"]``, ``options["targets"]`` and ``options["importance"]`` set them instead, one row
    of each, for this reset only. All edits are left.

    ## Episode end
    Terminated by an edit that changes nothing (where the environment ``stops`` then), at the latest after ``edits``
    edits; ``info["words"]`` is the bar (16,) as it is, ``info["values"]`` (4,) its
    features. ``info["terms"]`` has ``success``, 1 where the bar has all that is asked for, and ``nats``, how much less
    likely it is than the likeliest. Never truncated. An episode that has ended waits for a reset.

    ## Arguments
    See ``EditVectorEnv``. ``gymnasium.make`` takes by default what the bundled model expects after bars of the bundled
    GAN, and the 81 combinations of jaki's levels.
    """

    def __init__(
        self,
        log_probs: Tensor | np.ndarray,
        targets: Tensor | np.ndarray,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(EditVectorEnv(log_probs, targets, num_envs=1, render_mode=render_mode, **options))
