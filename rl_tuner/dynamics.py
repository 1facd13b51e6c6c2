"""Episodes of many bars at once: how they begin, move and begin anew, what they see, and what their bars are worth.

Nothing here knows how a bar is made: ``latent.dynamics`` moves latent points, another kind may flip cells. What all
kinds share stands here once: goals, terms, the budget of calls, the observation's layout, and hindsight. What a bar is
worth is the same for episodes in which a bar is decided, see ``stepwise.dynamics``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rhythmgan.kit import Kit
from rl_tuner import rewards
from rl_tuner.goals import Batched, Goals, check_terms
from rl_tuner.layout import Entry, Layout
from rl_tuner.rewards import BAR_TERMS, MOVE_COSTS, TERMS, RewardModels
from rl_tuner.scale import FeatureScale, values_of

MAX_CALLS = 4096
"""Generator calls of an episode at most."""

BOUND = 10.0
"""No number of an observation is larger."""

_CELL_SCALE = 0.2
"""Cells are shown a fifth as large as they are, or a network would first have to learn that they matter little."""

_LONG = 64.0
"""From so many calls left on, one of the two numbers for them is the same."""


@dataclass
class State(Batched):
    """Where n episodes are.

    Attributes:
        z: (n, dim), what the actions move: latent points, or whatever else bars are made from.
        bars: (n, steps, parts) bool, what z decodes to.
        values: (n, F), their features.
        calls_left: (n,) ints.
        terms: name → (n,): ``match``; ``success``, 0 or 1; the terms of ``BAR_TERMS``, which are 0 where the goals
            give them no coefficient or the targets are not reached; ``score``; and the ``MOVE_COSTS`` of the last move.
    """

    z: Tensor
    bars: Tensor
    values: Tensor
    calls_left: Tensor
    terms: dict[str, Tensor]

    @property
    def match(self) -> Tensor:
        """(n,), how near the bars are to their targets, see ``rewards.match``."""
        return self.terms["match"]

    @property
    def success(self) -> Tensor:
        """(n,), 1 where all targets are reached, 0 elsewhere."""
        return self.terms["success"]

    @property
    def score(self) -> Tensor:
        """(n,), what the bars are worth, see ``rewards.score``."""
        return self.terms["score"]


class Best:
    """The best bar of each of n episodes so far.

    Attributes:
        state: the states of the best bars.

    Args:
        first: the states at the first bars.
    """

    def __init__(self, first: State) -> None:
        self.state = first.copy()

    def keep(self, rows: Tensor, state: State) -> None:
        """Look at one more bar of some episodes, and keep those that are better.

        Args:
            rows: (m,) ints, which episodes.
            state: m states.
        """
        better = state.score > self.state.score[rows]
        self.state.put(rows[better], state.rows(better))


def layout_of(own: Sequence[Entry], n_cells: int, n_features: int, terms: Sequence[str] = TERMS) -> Layout:
    """The table of an observation of ``BarDynamics``.

    Args:
        own: what only this kind of episode sees, the first entries.
        n_cells: steps · parts of a bar.
        n_features: features that are steered.
        terms: names of the terms that goals give a coefficient.
    """
    bar_terms = [name for name in terms if name in BAR_TERMS]
    return Layout(
        [
            *own,
            Entry("cells", n_cells, "cells of the bar, step by step: -0.2 or 0.2", -_CELL_SCALE, _CELL_SCALE),
            Entry("values", n_features, "features, standardised by those of unsteered bars", -BOUND, BOUND),
            Entry("targets", n_features, "targets, likewise; the value itself of a skipped feature", -BOUND, BOUND),
            Entry("gaps", n_features, "tanh(gap / 3), a gap being target − feature in tolerances", -1, 1),
            Entry("far gaps", n_features, "gap / 10", -BOUND, BOUND),
            Entry("importance", n_features, "importance of each feature; 0 where it is skipped", 0, BOUND),
            Entry("match", 1, "match, see `rewards.match`", 0, 1),
            Entry("success", 1, "success, 0 or 1", 0, 1),
            *(Entry(name, 1, f"{name}; 0 without success or without a coefficient", 0, 1) for name in bar_terms),
            *(Entry(f"{name} coefficient", 1, f"coefficient of {name}", 0, 1) for name in terms),
            Entry("calls left", 1, "calls left / 64, at most 1", 0, 1),
            Entry("log calls left", 1, "log2(calls left + 1) / 6", 0, 2),
        ]
    )


class BarScorer:
    """Says what bars are worth to their goals.

    Attributes:
        kit: of the bars.
        scale: the features that are steered.
        models: the networks that terms ask; None where no term asks one.
        terms: names of the terms that goals may give a coefficient.

    Raises:
        ValueError: an unknown term, or one that asks a network where there are none.
    """

    def __init__(self, kit: Kit, scale: FeatureScale, models: RewardModels | None, terms: Sequence[str]) -> None:
        check_terms(terms)
        if models is None and (asking := [name for name in terms if name in BAR_TERMS]):
            raise ValueError(f"the terms {', '.join(asking)} need networks to ask, and there are none")
        self.kit, self.scale, self.models, self.terms = kit, scale, models, tuple(terms)

    @torch.no_grad()
    def look_at(self, z: Tensor, bars: Tensor, goals: Goals, calls_left: Tensor) -> State:
        """The states of bars (n, steps, parts) of z: what they are worth to the goals."""
        values = values_of(bars, self.scale.features, self.kit)
        distances = rewards.distance(values, goals.targets, self.scale.tolerance)
        success = rewards.success(distances, goals.importance)
        nothing = torch.zeros_like(z[:, 0])
        terms = {"match": rewards.match(distances, goals.importance)}
        coefs = {"match": torch.ones_like(nothing)}
        for name in self._bar_terms:
            term, coefs[name] = nothing.clone(), goals.coef(name)
            # a bar that misses its targets is no answer, however real: the networks are asked about the others only
            asked = success & (coefs[name] > 0)
            if asked.any():
                assert self.models is not None
                term[asked] = BAR_TERMS[name](self.models, bars[asked])
            terms[name] = term
        score = rewards.score(terms, coefs)
        known = {"match": terms.pop("match"), "success": success.float()} | terms | {"score": score}
        return State(z, bars, values, calls_left, known | {name: nothing.clone() for name in self._costs})

    @property
    def _bar_terms(self) -> Sequence[str]:
        return [name for name in self.terms if name in BAR_TERMS]

    @property
    def _costs(self) -> Sequence[str]:
        return [name for name in self.terms if name in MOVE_COSTS]

    def costs_of(self, state: State) -> Mapping[str, Tensor]:
        """The costs of the last moves by name, each (n,)."""
        return {name: state.terms[name] for name in self._costs}


class BarDynamics(BarScorer, ABC):
    """Begins episodes, moves them, and says what they see. A kind of episode says how z moves and what it decodes to.

    Attributes:
        kit, scale, models, terms: see ``BarScorer``.
        n_actions: actions to choose from; 0 is to stay.
        layout: the table of an observation.

    Args:
        kit, scale, models, n_actions: see there.
        n_cells: steps · parts of a bar.
        own: entries of the observation that only this kind sees, of ``see``.
        terms: see there.

    Raises:
        ValueError: an unknown term, or one that asks a network where there are none.
    """

    def __init__(
        self,
        kit: Kit,
        scale: FeatureScale,
        models: RewardModels | None,
        n_actions: int,
        n_cells: int,
        own: Sequence[Entry] = (),
        terms: Sequence[str] = TERMS,
    ) -> None:
        super().__init__(kit, scale, models, terms)
        self.n_actions = n_actions
        self.layout = layout_of(own, n_cells, len(scale.features), self.terms)

    @abstractmethod
    def draw(self, n: int, random: torch.Generator) -> Tensor:
        """(n, dim), what new episodes begin at, and what the moves of the others draw from."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The bars (n, steps, parts) bool of z."""

    @abstractmethod
    def move(
        self, z: Tensor, actions: Tensor, values: Tensor, wanted: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Where actions lead.

        Args:
            z: (n, dim).
            actions: (n,) ints; 0 leaves z as it is, and costs nothing.
            values, wanted: (n, F), the features of the bars and the targets.
            noise: (n, dim), of ``draw``.

        Returns:
            z (n, dim), and the costs of ``MOVE_COSTS`` by name, each (n,).
        """

    @abstractmethod
    def see(self, state: State) -> dict[str, Tensor]:
        """The entries of the observation that only this kind of episode sees, (n, width of each) by name."""

    @torch.no_grad()
    def begin(self, z: Tensor, goals: Goals, bars: Tensor | None = None) -> State:
        """The states at their first bars, of z (n, dim), the first call spent; ``bars`` where they are decoded."""
        return self.look_at(z, self.decode(z) if bars is None else bars, goals, goals.calls - 1)

    def begin_anew(self, state: State, rows: Tensor, z: Tensor) -> None:
        """Set episodes, a mask (n,), to z (of as many rows as the mask has); action 0 then looks at their bars."""
        state.z[rows] = z

    @torch.no_grad()
    def step(self, state: State, goals: Goals, actions: Tensor, noise: Tensor) -> State:
        """The states one call later.

        Args:
            state: n episodes.
            goals: theirs.
            actions: (n,) ints.
            noise: (n, dim), of ``draw``.
        """
        z, costs = self.move(state.z, actions, state.values, self._wanted(state, goals), noise)
        after = self.look_at(z, self.decode(z), goals, state.calls_left - 1)
        after.terms.update({name: costs[name] for name in self._costs})
        return after

    @torch.no_grad()
    def observe(self, state: State, goals: Goals) -> Tensor:
        """What episodes see, (n, layout.width), see ``layout_of``."""
        wanted = self._wanted(state, goals)
        left = state.calls_left.float()
        bar_terms = {name: state.terms[name] for name in ("match", "success", *self._bar_terms)}
        coefs = {f"{name} coefficient": goals.coef(name) for name in self.terms}
        calls = {"calls left": (left / _LONG).clamp(max=1), "log calls left": torch.log2(left + 1) / 6}
        return self.layout.pack(
            self.see(state)
            | {
                "cells": _CELL_SCALE * (state.bars.flatten(1).float() * 2 - 1),
                "values": self.scale.standardised(state.values),
                **self._ahead(wanted, (wanted - state.values) / self.scale.tolerance),
                "importance": goals.importance,
            }
            | {name: column[:, None] for name, column in (bar_terms | coefs | calls).items()}
        )

    def relabel(self, observations: Tensor, counted: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Segments as they would have been, had the targets been near what they came to, without the networks' terms.

        Args:
            observations: (n, k + 1, layout.width), of ``observe``.
            counted: (n,) ints, which observation the targets are taken from.
            random: what the targets are moved by: a tolerance up or down, or none, in each feature.

        Returns:
            The observations, and (n, k) how much the score would have grown with each step.
        """
        scale = self.scale
        seen = self.layout.unpack(observations)
        values = seen["values"] * scale.stds + scale.means
        n, k, n_features = values.shape
        rows = torch.arange(n, device=values.device)
        moved = torch.randint(-1, 2, (n, n_features), generator=random, device=values.device)
        targets = (values[rows, counted] + moved * scale.tolerance)[:, None].expand_as(values)
        gaps = (targets - values) / scale.tolerance
        gaps = (gaps * 1000).round() / 1000  # the values were rounded on their way
        importance = torch.ones_like(gaps)
        distances = gaps.abs().flatten(0, 1)
        success = rewards.success(distances, importance.flatten(0, 1)).float().view(n, k, 1)
        match = rewards.match(distances, importance.flatten(0, 1)).view(n, k, 1)
        unasked = [*self._bar_terms, *(f"{name} coefficient" for name in self.terms)]
        relabelled = self.layout.pack(
            seen
            | self._ahead(targets, gaps)
            | {"importance": importance, "match": match, "success": success}
            | dict.fromkeys(unasked, torch.zeros_like(match))
        )
        return relabelled, (match[:, 1:] - match[:, :-1])[..., 0]

    def _ahead(self, targets: Tensor, gaps: Tensor) -> dict[str, Tensor]:
        """What is seen of the targets and of the gaps to them, in tolerances."""
        return {"targets": self.scale.standardised(targets), "gaps": torch.tanh(gaps / 3), "far gaps": gaps / 10}

    def _wanted(self, state: State, goals: Goals) -> Tensor:
        """The targets; of a feature that is skipped, its value as it is."""
        return torch.where(goals.importance > 0, goals.targets, state.values)


def advance(
    act: Callable[[Tensor], Tensor],
    dynamics: BarDynamics,
    state: State,
    goals: Goals,
    draw: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    restarts: bool = True,
) -> tuple[Tensor, State]:
    """Act once in every episode that is not over.

    An episode is over when no calls are left, or when its actor stays: where it ``restarts``, only if the bar is a
    success; otherwise the episode begins anew elsewhere with the calls that are left.

    Args:
        act: observations (n, width) → actions (n,) ints.
        dynamics: what moves the episodes.
        state: n episodes.
        goals: theirs.
        draw: which of the n go on (n,) bool, and which of those begin anew (m,) bool → where these begin, and the
            noise (m, dim) of all that go on.
        restarts: see above.

    Returns:
        Which episodes go on (n,) bool, and the m states of those, one call later.
    """
    actions = act(dynamics.observe(state, goals))
    goes = actions > 0
    if restarts:
        goes = goes | (state.success == 0)
    goes = goes & (state.calls_left > 0)
    state, goals, actions = state.rows(goes), goals.rows(goes), actions[goes]
    if not len(state):
        return goes, state
    anew = actions == 0
    points, noise = draw(goes, anew)
    dynamics.begin_anew(state, anew, points)
    return goes, dynamics.step(state, goals, actions, noise)
