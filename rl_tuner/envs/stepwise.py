"""A bar being decided as a reinforcement-learning environment: one episode, or thousands at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.draw import bar_to_text
from rl_tuner.envs.episodes import EpisodeEnv, GoalVectorEnv, check_shares
from rl_tuner.goals import Goals
from rl_tuner.scale import values_of
from rl_tuner.stepwise.draws import BatchDraws
from rl_tuner.stepwise.dynamics import StepwiseDynamics, StepwiseState

FARTHEST_WISH = 6
"""Tolerances from what a given bar has that a feature may be asked for."""


class StepwiseVectorEnv(GoalVectorEnv):
    """A batch of the episodes of ``StepwiseEnv``, whose specification holds here too, all at the same step.

    ## Episode end
    All episodes end with the last step of the bar, and begin anew with the next one (``AutoresetMode.NEXT_STEP``),
    whose actions are ignored.

    ## Arguments
    dynamics, targets, bars, given, locked: see ``StepwiseEnv``.

    num_envs, crossed, skipped, weighted: see ``GoalVectorEnv``. All in ``info`` has a row for each episode here.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dynamics: StepwiseDynamics,
        targets: Tensor | np.ndarray,
        bars: np.ndarray | None = None,
        num_envs: int = 512,
        given: float = 0.5,
        locked: float = 0.5,
        crossed: float = 0.4,
        skipped: float = 0.2,
        weighted: bool = True,
        render_mode: str | None = None,
    ) -> None:
        observations = spaces.Box(dynamics.low, dynamics.high)
        super().__init__(
            dynamics, observations, dynamics.n_actions, targets, num_envs, crossed, skipped, weighted, render_mode
        )
        check_shares(given=given, locked=locked)
        self.dynamics, self.given, self.locked = dynamics, given, locked
        self._shape = dynamics.generator.steps, dynamics.kit.n_parts
        if given and bars is None:
            raise ValueError(f"a share of {given} of the episodes is to have a given bar, but there are no bars")
        self.bars = self._checked_bars(np.zeros((1, *self._shape), bool) if bars is None else bars)
        self._goals: Goals | None = None
        self._state: StepwiseState | None = None
        self._begins = False

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes.

        Args:
            seed: of everything that the environments draw; without one they go on in the same stream.
            options: may hold ``goals``, a ``Goals`` of num_envs episodes, ``bars`` (num_envs, steps, parts) bool, a
                given bar for each, and ``locked``, of the same shape, which of its cells stay; all for this reset only.
                Goals without bars are those of episodes without a given bar; bars without locks have none.

        Raises:
            ValueError: goals, bars or locks of another number of episodes, locks without bars, or an unknown term.
        """
        super().reset(seed=seed)
        self._seed(seed, self._state is None)
        options = options or {}
        if unknown := options.keys() - {"bars", "goals", "locked"}:
            raise ValueError(f"no option is called {min(unknown)!r}; there are bars, goals and locked")
        bars, goals, locked = (options.get(name) for name in ("bars", "goals", "locked"))
        if any(len(each) != self.num_envs for each in (bars, goals, locked) if each is not None):
            raise ValueError(f"expected goals, bars and locks of {self.num_envs} episodes")
        if locked is not None and bars is None:
            raise ValueError("what is locked are cells of given bars, but there are no bars")
        given, kept = (None if each is None else self._checked_bars(each) for each in (bars, locked))
        self._begins = False
        self._begin(given, kept, goals)
        return self._observe(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Decide a step of every bar; those that are decided begin anew, whatever the actions.

        Raises:
            ValueError: another number of actions, or one that there is not.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._state is None or self._goals is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen, none = self._checked(actions), np.zeros(self.num_envs, bool)
        if self._state.is_over or self._begins:
            self._begins = False
            self._begin(None, None, None)
            return self._observe(), np.zeros(self.num_envs, np.float32), none, none, self._info()
        self._state, rewards = self.dynamics.step(self._state, self._goals, chosen, BatchDraws(self.random))
        ended = np.full(self.num_envs, self._state.is_over)
        return self._observe(), rewards.cpu().numpy(), ended, none, self._info()

    def render(self) -> tuple[str, ...] | None:
        """See ``GoalVectorEnv``; of a bar that is not decided yet the rest is silent."""
        if self._state is None or self.render_mode != "ansi":
            return None
        cells = self._state.bars.cells
        bars = F.pad(cells, (0, 0, 0, self._shape[0] - cells.shape[1]))
        return tuple(bar_to_text(bar, self.dynamics.kit) for bar in bars.cpu().numpy())

    def _begin(self, bars: Tensor | None, locked: Tensor | None, goals: Goals | None) -> None:
        """Begin all episodes, with what is None drawn."""
        n = self.num_envs
        has_given = torch.full((n,), bars is not None, device=self.device)
        if bars is not None and locked is None:
            locked = torch.zeros_like(bars)
        if bars is None:
            bars = self.bars[torch.zeros(n, dtype=torch.long, device=self.device)]
            if goals is None:
                has_given = self._uniform(n) < self.given
                bars = self.bars[(self._uniform(n) * len(self.bars)).long().clamp(max=len(self.bars) - 1)]
        bars = bars & has_given[:, None, None]
        if goals is None:
            targets, importance = self._draw_targets(n)
            wishes, asked = self._draw_wishes(bars)
            targets = torch.where(has_given[:, None], wishes, targets)
            importance = torch.where(has_given[:, None], asked, importance)
            goals = Goals(targets, importance, self._draw_coefs(n), torch.ones(n, dtype=torch.long, device=self.device))
        self._goals = goals.with_terms(self.dynamics.terms).copy()
        if locked is None:
            locked = self._draw_locks(has_given)
        self._state = self.dynamics.begin(bars, has_given, locked, BatchDraws(self.random))

    def _draw_locks(self, has_given: Tensor) -> Tensor:
        """(n, steps, parts) bool: a share of the episodes with a given bar has parts that are locked, each or not."""
        n = len(has_given)
        is_locked = has_given & (self._uniform(n) < self.locked)
        parts = self._uniform(n, self._shape[1]) < self._uniform(n)[:, None]
        return (is_locked[:, None] & parts)[:, None].expand(n, *self._shape)

    def _draw_wishes(self, bars: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and importance, both (n, F), that ask for changes of given bars (n, steps, parts).

        One feature is to change by up to ``FARTHEST_WISH`` tolerances, within what targets have; each of the others is
        to stay or is skipped, by equal chance.
        """
        scale, n = self.dynamics.scale, len(bars)
        values = values_of(bars, scale.features, self.dynamics.kit)
        features = values.shape[1]
        which = (self._uniform(n) * features).long().clamp(max=features - 1)
        is_asked = F.one_hot(which, features).bool()
        change = ((self._uniform(n) * 2 - 1) * (FARTHEST_WISH + 0.5)).round()[:, None]
        wanted = torch.where(is_asked, values + change * scale.tolerance, values)
        # a bar of a feature beyond all targets stays where it is: it is not to be pulled in
        low, high = torch.minimum(self.targets.amin(0), values), torch.maximum(self.targets.amax(0), values)
        importance = (is_asked | (self._uniform(n, features) < 0.5)).float()
        return torch.minimum(torch.maximum(wanted, low), high), importance

    def _checked_bars(self, bars: np.ndarray) -> Tensor:
        bars = np.asarray(bars)
        if bars.dtype != bool or bars.ndim != 3 or bars.shape[1:] != self._shape or not len(bars):
            steps, parts = self._shape
            raise ValueError(f"expected given bars (m, {steps}, {parts}) bool; got {bars.dtype} {bars.shape}")
        return torch.from_numpy(bars).to(self.device)

    def _get_episodes(self) -> dict[str, Any]:
        """Between episodes there is nothing to know; within them there is the generator's state, which stays here."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its state is asked for")
        if not (self._state.is_over or self._begins):
            raise ValueError("the state of these environments can be had between episodes only")
        return {}

    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        self._begins = True

    def _any_episodes(self) -> dict[str, Any]:
        return {}

    def _observe(self) -> np.ndarray:
        assert self._state is not None
        assert self._goals is not None
        return self.dynamics.observe(self._state, self._goals).cpu().numpy()

    def _info(self) -> dict[str, Any]:
        state = self._state
        assert state is not None
        terms = {name: term.cpu().numpy() for name, term in state.terms.items()}
        info: dict[str, Any] = {"terms": terms, "calls": state.calls.cpu().numpy()}
        if state.is_over:
            info |= {"bars": state.bars.cells.cpu().numpy(), "z": state.bars.z.cpu().numpy()}
        return info


class StepwiseEnv(EpisodeEnv):
    """A bar that is decided step by step, towards the features asked for: ``StepwiseDrums-v0``.

    Before each step candidates for its noise are drawn. The action says which of them decides the step; z is what was
    chosen, so that ``decode`` of it gives the very bar. Whoever chooses without preference samples from the generator.

    ## Action space
    ``Discrete(k)``, k = 8 by default: the candidate that decides the step. All are drawn from N(0, I); but where there
    is a given bar, to which the new one is to stay close, candidate 0 plays what the given bar plays here, and
    candidates 1 to 4 this with one cell changed, different ones, by their chance; see ``draw_candidates``. Cells of the
    given bar may be locked: then all candidates play them as it does.

    ## Observation space
    ``Box(low, high, (n,), float32)``: first the entries of the episode, see ``shared_layout``, here with 16 steps, two
    features and four terms:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 to 15 | the step to be decided, one-hot; all 0 once the bar is decided | 0 | 1 |
    | 16 to 19 | onsets so far: kick, snare, cymbals, others; an eighth of them | 0 | 10 |
    | 20 to 21 | features if nothing followed, standardised | -10 | 10 |
    | 22 to 23 | features that the read-out predicts, standardised | -10 | 10 |
    | 24 to 25 | how sure it is: standard deviations, likewise | 0 | 10 |
    | 26 to 27 | targets, standardised; of a skipped feature what is predicted | -10 | 10 |
    | 28 to 29 | tanh(gap / 3), a gap being target − prediction in tolerances | -1 | 1 |
    | 30 to 31 | gap / 10 | -10 | 10 |
    | 32 to 33 | importance of each feature; 0 where it is skipped | 0 | 10 |
    | 34 | 1 with a given bar, 0 without; without, the next five entries are 0 | 0 | 1 |
    | 35 to 36 | tanh(gap / 3) if all that follows is as in the given bar | -1 | 1 |
    | 37 to 38 | the same gap / 10 | -10 | 10 |
    | 39 | cells that sound in the given bar from this step on; an eighth of them | 0 | 10 |
    | 40 | locked cells of the steps from this one on, as a share of their cells | 0 | 1 |
    | 41 | cells changed so far, as a share of those in the given bar, 8 or more | 0 | 10 |
    | 42 | squared length of z so far less its expectation, in deviations of a bar's | -10 | 10 |
    | 43 | coefficient of realism | 0 | 1 |
    | 44 | coefficient of likelihood | 0 | 1 |
    | 45 | coefficient of kl | 0 | 1 |
    | 46 | coefficient of closeness | 0 | 1 |

    Then the entries of each candidate, candidate by candidate, see ``candidate_layout``; with two features there are
    21 numbers for each:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 | 1 if it plays what the given bar plays here | 0 | 1 |
    | 1 | 1 if it plays that with one cell changed | 0 | 1 |
    | 2 to 5 | its onsets: kick, snare, cymbals, others; a quarter of them | 0 | 10 |
    | 6 to 7 | features predicted after it, standardised | -10 | 10 |
    | 8 to 9 | their standard deviations, likewise | 0 | 10 |
    | 10 to 11 | tanh(gap / 3), a gap being target − prediction in tolerances | -1 | 1 |
    | 12 to 13 | gap / 10 | -10 | 10 |
    | 14 to 15 | tanh(gap / 3) if all that follows is as in the given bar | -1 | 1 |
    | 16 to 17 | the same gap / 10 | -10 | 10 |
    | 18 | log-chance of its success by the read-out, a tenth of the nats | -10 | 0 |
    | 19 | cells that it changes in the given bar; a quarter of them | 0 | 10 |
    | 20 | its squared length less its expectation, in deviations of a draw's | -10 | 10 |

    ## Rewards
    With the last step the score of the bar: its match with the targets and the sum of coefficient · term over
    ``rewards.BAR_TERMS``. Each step costs price · coefficient of ``kl`` and of ``closeness``. The cost ``kl`` is by how
    much the step moves half the squared standard score of z's squared length, in nats: a bar pays in all for how far z
    leaves the length of N(0, I), and .5 on average without preference. The cost ``closeness`` is the cells that differ
    from the given bar, as a share of the cells that sound there, 8 or more; 0 without a given bar. The terms are in
    ``info["terms"]``, as floats; those of the bar are 0 until it is decided.

    ## Starting state
    No step is decided. A share ``given`` of the episodes has a given bar, one of ``bars``: there one feature is asked
    to change by up to 6 tolerances, and each of the others to stay or nothing at all. Targets of the others are rows of
    ``targets``, a share of them crossed (each feature from a row of its own); a share skips a feature. The coefficient
    of each term is 0 for half of the episodes and even over 0 … 1 for the others. Of the episodes with
    a given bar a share ``locked`` has locked parts, each with a chance that is even over 0 … 1. ``options["goals"]``, a
    ``Goals``, ``options["bars"]`` and ``options["locked"]`` set them instead, for this reset only.

    ## Episode end
    Terminated with the last step of the bar; ``info["bars"]`` is then the bar (steps, parts) bool and ``info["z"]`` its
    latent point. Never truncated. An episode that has ended waits for a reset. Every episode costs about one generator
    call: ``info["calls"]`` counts the multiply-adds of the generator, for all candidates, in those of a bar decoded in
    full.

    ## Arguments
    dynamics: generator, critic, prior, scale and read-out. ``gymnasium.make`` takes the bundled ones by default.

    targets: (m, F), features of bars to steer to; those of unsteered bars by default.

    bars: (m, steps, parts) bool, bars to be given; unsteered ones by default.

    given: share of the episodes with a given bar.

    locked: share of these with locked parts.

    crossed, skipped, weighted: see ``GoalVectorEnv``.
    """

    def __init__(
        self,
        dynamics: StepwiseDynamics,
        targets: Tensor | np.ndarray | None = None,
        bars: np.ndarray | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(vector_env(dynamics, targets, bars, num_envs=1, render_mode=render_mode, **options))


_GIVEN = 512
"""Unsteered bars of which given ones are taken where no others are."""


def vector_env(
    dynamics: StepwiseDynamics,
    targets: Tensor | np.ndarray | None = None,
    bars: np.ndarray | None = None,
    num_envs: int = 1,
    **options: Any,
) -> StepwiseVectorEnv:
    """A ``StepwiseVectorEnv``; by default with targets from unsteered bars and such bars given."""
    targets = dynamics.scale.values if targets is None else targets
    bars = dynamics.generator.sample(_GIVEN) if bars is None else bars
    return StepwiseVectorEnv(dynamics, targets, bars, num_envs, **options)
