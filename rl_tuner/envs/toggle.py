"""Lines that are toggled step by step as a reinforcement-learning environment: one episode, or thousands at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from rl_tuner.envs.episodes import BatchVectorEnv, EpisodeEnv
from rl_tuner.toggle.lines import check_line_steps, first_cells, line_to_text, shrunk, stretched
from rl_tuner.toggle.observation import GAIN_UNITS, toggle_layout, toggle_mask
from rl_tuner.toggle.terms import DIFFERENCE, MAX_LINES, PARTS, Terms

ToggleReward = Literal["delta", "absolute", "final"]
"""Whether a move is rewarded by how much the score has grown with it, by the score itself, or only the last one is."""

Judge = Callable[[Tensor, Tensor], Tensor]
"""What else lines are rewarded for: (given (n, resolution) bool, lines (n, lines, resolution) bool) → (n,)."""


class ToggleVectorEnv(BatchVectorEnv):
    """A batch of the episodes of ``ToggleEnv``, whose specification holds here too.

    An episode that has ended begins anew with the next step (``AutoresetMode.NEXT_STEP``), whose action is ignored.

    ## Arguments
    See ``ToggleEnv``; and:

    num_envs: episodes at once. All in ``info`` has a row for each.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        resolution: int = 8,
        steps: Sequence[int] | None = None,
        n_lines: int = 1,
        no_op: bool = True,
        rightward: bool = False,
        moves: int = 16,
        reward: ToggleReward = "delta",
        terms: Sequence[str] = (DIFFERENCE,),
        importance: Sequence[float] | None = None,
        weighted: bool = False,
        gains: bool = False,
        given: np.ndarray | None = None,
        judge: Judge | None = None,
        num_envs: int = 64,
        render_mode: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        check_line_steps(resolution)
        if not 1 <= n_lines <= MAX_LINES:
            raise ValueError(f"1 to {MAX_LINES} lines answer, not {n_lines}")
        self.steps = tuple(steps) if steps else (resolution,)
        for length in self.steps:
            if not check_line_steps(length) <= resolution:
                raise ValueError(f"lines of {length} steps do not fit on a resolution of {resolution}")
        if reward not in ("delta", "absolute", "final"):
            raise ValueError(f"the reward is delta, absolute or final, not {reward!r}")
        if gains and reward == "final":
            raise ValueError("with a final reward there is no score before the end: no gains can be seen")
        if rightward and not no_op:
            raise ValueError("rightward an episode ends with the no-op: there must be one")
        if moves < 1:
            raise ValueError(f"an episode has one move at least, not {moves}")
        self.layout = toggle_layout(resolution, n_lines, len(tuple(terms)), gains)
        seen = spaces.Box(self.layout.low, self.layout.high)
        super().__init__(seen, n_lines * resolution + no_op, num_envs, render_mode, device)
        self.resolution, self.n_lines, self.no_op, self.rightward = resolution, n_lines, no_op, rightward
        self.moves = n_lines * resolution + 1 if rightward else moves
        self.reward, self.weighted, self.gains, self.judge = reward, weighted, gains, judge
        self.terms = Terms(terms, resolution, n_lines, self.device)
        self.importance = self._checked_importance(importance)
        self.given = self._checked_pool(given)
        self._state: dict[str, Tensor] | None = None
        self._ended = torch.zeros(num_envs, dtype=torch.bool, device=self.device)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes.

        Args:
            seed: of everything that the environments draw; without one they go on in the same stream.
            options: may hold ``given`` (num_envs, steps) and ``lines`` (num_envs, lines, steps) bool of any length of
                line that fits, and ``importance`` (num_envs, terms); all for this reset only.

        Raises:
            ValueError: an option of another shape, or one that there is not.
        """
        super().reset(seed=seed)
        self._seed(seed, self._state is None)
        state = self._drawn(self.num_envs) | self._checked_options(dict(options or {}))
        self._state = state | {"moves": torch.zeros(self.num_envs, dtype=torch.long, device=self.device)}
        self._ended = torch.zeros_like(self._ended)
        self._measure(torch.ones_like(self._ended))
        return self._observe(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Toggle a step in every episode; those that ended with the last step begin anew, whatever their action.

        Raises:
            ValueError: another number of actions, or one that there is not.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        state = self._state
        if state is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        chosen = self._checked(actions)
        begins, before = self._ended, state["score"].clone()
        if begins.any():
            for name, rows in self._drawn(int(begins.sum())).items():
                state[name][begins] = rows
            state["moves"][begins] = 0
        allowed = self.mask(self._tensor()).gather(1, chosen[:, None])[:, 0] & ~begins
        is_toggle = chosen < self.n_lines * self.resolution
        toggled = F.one_hot(chosen.clamp(max=self.n_lines * self.resolution - 1), self.n_lines * self.resolution)
        toggled = toggled.bool() & (allowed & is_toggle)[:, None]
        state["lines"] = state["lines"] ^ toggled.view_as(state["lines"])
        state["moves"] += ~begins
        terminated = allowed & ~is_toggle & self.rightward
        truncated = (state["moves"] >= self.moves) & ~terminated & ~begins
        self._ended = terminated | truncated
        self._measure(self._ended | begins if self.reward == "final" else torch.ones_like(begins))
        score = state["score"]
        reward = torch.where(
            begins, 0.0, {"delta": score - before, "absolute": score, "final": self._ended * score}[self.reward]
        )
        return (
            self._observe(),
            reward.float().cpu().numpy(),
            terminated.cpu().numpy(),
            truncated.cpu().numpy(),
            self._info(),
        )

    def mask(self, observations: Tensor) -> Tensor:
        """Which actions may be taken, (n, actions) bool; see ``observation.toggle_mask``."""
        return toggle_mask(observations, self.resolution, self.n_lines, self.no_op, self.rightward)

    def render(self) -> tuple[str, ...] | None:
        """The lines of each episode as text, the given one first: ``x o o o x o o o [kick]``."""
        if self._state is None or self.render_mode != "ansi":
            return None
        given, lines, steps = (self._state[name].cpu().numpy() for name in ("given", "lines", "steps"))
        rows = np.concatenate([given[:, None], lines], 1)
        return tuple(
            "\n".join(f"{line_to_text(shrunk(line, n))} [{part}]" for line, part in zip(own, PARTS, strict=False))
            for own, n in zip(rows, steps.tolist(), strict=True)
        )

    def _drawn(self, n: int) -> dict[str, Tensor]:
        """What n episodes begin with, as the starting state says; see ``ToggleEnv``."""
        which = torch.randint(len(self.steps), (n,), generator=self.random, device=self.device)
        steps = torch.tensor(self.steps, device=self.device)[which]
        is_step = first_cells(steps, self.resolution)
        densities = self._uniform(n, 1 + self.n_lines, 1)
        lines = (self._uniform(n, 1 + self.n_lines, self.resolution) < densities) & is_step[:, None]
        given, answers = lines[:, 0], lines[:, 1:]
        if self.given is not None:
            rows = torch.randint(len(self.given), (n,), generator=self.random, device=self.device)
            given, steps = self.given[rows], torch.full_like(steps, self.resolution)
            answers = self._uniform(*answers.shape) < densities[:, 1:]
        if self.rightward:
            answers = torch.zeros_like(answers)
        importance = self.importance.expand(n, -1)
        if self.weighted:
            shape = importance.shape
            drawn = (2 * self._uniform(*shape) - 1) * (self._uniform(*shape) < 0.5)
            importance = torch.where((drawn != 0).any(1, keepdim=True), drawn, importance)
        return {"steps": steps, "given": given, "lines": answers, "importance": importance.clone()}

    def _checked_options(self, options: dict[str, Any]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        lengths = set()
        for name, shape in (("given", (self.num_envs,)), ("lines", (self.num_envs, self.n_lines))):
            if name not in options:
                continue
            cells = np.asarray(options.pop(name))
            if cells.dtype != bool or cells.shape[:-1] != shape:
                raise ValueError(f"expected {name} {(*shape, 'steps')} bool; got {cells.dtype} {cells.shape}")
            lengths.add(check_line_steps(cells.shape[-1]))
            found[name] = torch.from_numpy(stretched(cells, self.resolution)).to(self.device)
        if len(lengths) > 1:
            raise ValueError(f"lines that answer are as long as the given one: {sorted(lengths)} steps are not equal")
        if lengths:
            steps = torch.full((self.num_envs,), lengths.pop(), device=self.device)
            is_step = first_cells(steps, self.resolution)
            drawn = self._drawn(self.num_envs)
            found = {"given": drawn["given"] & is_step, "lines": drawn["lines"] & is_step[:, None]} | found
            found["steps"] = steps
        if "importance" in options:
            importance = torch.as_tensor(options.pop("importance"), dtype=torch.float32, device=self.device)
            if importance.shape != (self.num_envs, len(self.terms)):
                raise ValueError(f"expected importance {(self.num_envs, len(self.terms))}; got {importance.shape}")
            if not (importance.abs() <= 1).all():
                raise ValueError("the importance of a term lies in −1 … 1")
            found["importance"] = importance
        if options:
            raise ValueError(f"no option is called {min(options)!r}; there are given, lines and importance")
        return found

    def _checked_importance(self, importance: Sequence[float] | None) -> Tensor:
        values = [1.0] + [0.0] * (len(self.terms) - 1) if importance is None else list(importance)
        if importance is None and not len(self.terms):
            values = []
        if len(values) != len(self.terms) or not all(-1 <= value <= 1 for value in values):
            raise ValueError(f"expected the importance of {len(self.terms)} terms, each −1 … 1; got {values}")
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _checked_pool(self, given: np.ndarray | None) -> Tensor | None:
        if given is None:
            return None
        given = np.asarray(given)
        if given.dtype != bool or given.ndim != 2 or given.shape[1] != self.resolution or not len(given):
            raise ValueError(f"expected given lines (m, {self.resolution}) bool; got {given.dtype} {given.shape}")
        return torch.from_numpy(given).to(self.device)

    def _measure(self, rows: Tensor) -> None:
        """Terms and score of these episodes (n,) bool; those of all others are 0."""
        state = self._state
        assert state is not None
        n = self.num_envs
        state["terms"] = torch.zeros(n, len(self.terms), device=self.device)
        state["judged"] = torch.zeros(n, device=self.device)
        if rows.any():
            given, lines, steps = (state[name][rows] for name in ("given", "lines", "steps"))
            state["terms"][rows] = self.terms(given, lines, steps)
            if self.judge is not None:
                state["judged"][rows] = self.judge(given, lines).float()
        state["score"] = (state["terms"] * state["importance"]).sum(1) + state["judged"]
        if self.gains:
            state["gains"] = self._gains()

    def _gains(self) -> Tensor:
        """By how much the score would grow with each toggle, (n, lines · resolution)."""
        state = self._state
        assert state is not None
        lines, n_cells = state["lines"], self.n_lines * self.resolution
        toggles = torch.eye(n_cells, dtype=torch.bool, device=self.device).view(n_cells, self.n_lines, self.resolution)
        after = (lines[:, None] ^ toggles).flatten(0, 1)
        given, steps = (state[name].repeat_interleave(n_cells, 0) for name in ("given", "steps"))
        terms = self.terms(given, after, steps).view(len(lines), n_cells, -1)
        score = (terms * state["importance"][:, None]).sum(2)
        if self.judge is not None:
            score = score + self.judge(given, after).view(len(lines), n_cells)
        is_step = first_cells(state["steps"], self.resolution).repeat(1, self.n_lines)
        return (score - state["score"][:, None]) * is_step

    def _get_episodes(self) -> dict[str, Any]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its state is asked for")
        return {"state": self._state, "ended": self._ended}

    def _set_episodes(self, episodes: dict[str, Any]) -> None:
        self._state, self._ended = episodes["state"], episodes["ended"]

    def _tensor(self) -> Tensor:
        """Observations (num_envs, width)."""
        assert self._state is not None
        state, n = self._state, self.num_envs
        parts = {
            "given": state["given"].float(),
            "lines": state["lines"].float().view(n, -1),
            "steps": (state["steps"] / self.resolution)[:, None],
            "importance": state["importance"],
        }
        if self.gains:
            parts["gains"] = GAIN_UNITS * state["gains"]
        return self.layout.pack({entry.name: parts[entry.name] for entry in self.layout.entries})

    def _observe(self) -> np.ndarray:
        return self._tensor().cpu().numpy()

    def _info(self) -> dict[str, Any]:
        state = self._state
        assert state is not None
        terms = dict(zip(self.terms.names, state["terms"].cpu().numpy().T, strict=True))
        if self.judge is not None:
            terms["judge"] = state["judged"].cpu().numpy()
        return {
            "terms": terms,
            "score": state["score"].cpu().numpy(),
            "action_mask": self.mask(self._tensor()).cpu().numpy(),
            "lines": state["lines"].cpu().numpy(),
        }


class ToggleEnv(EpisodeEnv):
    """Lines that answer a given one, of which one step at a time is toggled: ``DrumToggle-v0``.

    After Halmøy 2020, whose agent toggled 8 steps of a snare line that answers a kick line. Here lines have 8 to 512
    steps, several may answer, and the reward is a weighted sum of which the weights may change with every episode.

    ## Action space
    ``Discrete(n_lines · resolution [+ 1])``: the cell that is toggled, line after line; the last action, where there is
    a ``no_op``, toggles none. A line of fewer steps than the resolution stands on every so many of its cells, see
    ``lines.first_cells``; the cells between may not be toggled. ``info["action_mask"]`` and ``mask`` say what may be
    done; another action changes nothing.

    ``rightward`` only cells behind the last onset may be toggled, and the no-op stops. The lines begin silent, so each
    way to fill them is one path: whoever chooses cells by chance gives each line the product of these chances.

    ## Observation space
    ``Box(low, high, (n,), float32)``, here with a resolution of 8, one line and two terms, see ``toggle.observation``:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 to 7 | the line that is answered: 1 for an onset | 0 | 1 |
    | 8 to 15 | the lines that answer, one after the other | 0 | 1 |
    | 16 | steps of these lines, as a share of the resolution | 0 | 1 |
    | 17 to 18 | importance of each term of the reward | -1 | 1 |

    With ``gains`` there follows, for each cell, ten times what its toggle would add to the score, -10 to 10; 0 where
    none may be toggled. All terms are known, so an agent need not guess them, but what may follow.

    ## Rewards
    The score is Σ importance · term + what the judge says; see ``terms.Terms``. By default it is the ``difference``:
    (steps that differ − steps that are equal) / steps, −1 … 1. The reward is the score after a move (``absolute``),
    how much it has grown with it (``delta``), or the score at the end and 0 before (``final``). ``info["terms"]`` holds
    the terms as floats, ``info["score"]`` the score; with a ``final`` reward they are 0 until the end.

    ## Starting state
    The given line is a row of ``given``, or a random one, and so are the answers: each has a density of its own, even
    over 0 … 1. Their length is one of ``steps``. ``weighted`` episodes draw the importance of each term: 0 for half of
    them, even over −1 … 1 for the others. ``options`` of ``reset`` may hold ``given`` (1, steps), ``lines``
    (1, n_lines, steps) bool, and ``importance`` (1, terms).

    ## Episode end
    Truncated after ``moves`` moves. ``rightward`` terminated with the no-op. ``info["lines"]`` are the answers
    (n_lines, resolution) bool, at any time.

    ## Arguments
    resolution: cells of a line, 8 to 512.

    steps: lengths of lines, none over the resolution, which it is by default. Rows of ``given`` have the resolution.

    n_lines: lines that answer, 1 to 8: they sound as snare, closed hat, open hat, toms, ride and crash.

    no_op: whether an agent may leave all as it is. Without, the best it can do is to toggle one step to and fro.

    rightward: see above.

    moves: of an episode that is not rightward.

    reward: ``delta``, ``absolute`` or ``final``.

    terms: names of ``terms.TERMS``.

    importance: of each term, −1 … 1; 1 for the first and 0 for all others by default.

    weighted: whether episodes draw it.

    gains: whether an agent sees what each toggle would add to the score.

    given: (m, resolution) bool, lines to answer.

    judge: what lines are rewarded for beside the terms.

    render_mode: ``"ansi"``: ``render`` gives the lines as text, ``x o o o x o o o [kick]``.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(ToggleVectorEnv(num_envs=1, **options))


def vector_env(num_envs: int = 1, **options: Any) -> ToggleVectorEnv:
    """A batch by the name of the number of its episodes, as Gymnasium's ``make_vec`` calls it."""
    return ToggleVectorEnv(num_envs=num_envs, **options)
