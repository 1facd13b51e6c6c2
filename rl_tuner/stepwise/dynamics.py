"""Bars that are decided step by step: what an episode may choose from at each step, what it sees, and what it costs.

All episodes of a batch are at the same step. The state of the generator before a step is one for all candidates for the
step, so that a bar with k candidates for each step costs little more than a bar: ``StepwiseState.calls`` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood, NextStep, UnfinishedBars
from rhythmgan.models.precision import without_autocast
from rl_tuner.config import AgentShape
from rl_tuner.dynamics import BarScorer
from rl_tuner.goals import Goals
from rl_tuner.rewards import STEPWISE_TERMS, RewardModels, less_costs
from rl_tuner.scale import FeatureScale, values_of
from rl_tuner.stepwise.candidates import Candidates, draw_candidates
from rl_tuner.stepwise.draws import Draws
from rl_tuner.stepwise.layouts import MANY_CELLS, MANY_NATS, MANY_ONSETS, candidate_layout, membership, shared_layout
from rl_tuner.stepwise.read_out import distinct_candidates, log_chance, seen_of

FEWEST_SOUNDING = 8
"""Changes of a given bar are shares of so many cells at least: in a bar of few onsets each would be too dear to ask."""


class StepReadOut(Protocol):
    """What says where unfinished bars are going, from inputs as of ``read_out.inputs_of``."""

    def of_candidates(
        self, so_far: Tensor, state: Tensor, last: Tensor, rows: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (d, F) of d candidates for the next step of n bars.

        Args:
            so_far: (d, F), features if nothing followed.
            state: (n, width), of the generator before the step is decided.
            last: (d, ``LAST_STEPS`` · parts), cells of the last steps.
            rows: (d,) ints, whose candidates they are.
            step: how many steps are decided then.
        """


@dataclass
class Foreseen:
    """What is known of bars with each candidate for their next step, (n, k, F) each.

    Attributes:
        so_far: features if nothing followed.
        mean, std: features that the read-out predicts.
        as_given: features if all that follows is as in the given bar; 0 where there is none.
    """

    so_far: Tensor
    mean: Tensor
    std: Tensor
    as_given: Tensor

    def rows(self, index: Tensor) -> Foreseen:
        """Of the bars of these rows."""
        return Foreseen(self.so_far[index], self.mean[index], self.std[index], self.as_given[index])

    def taken(self, actions: Tensor) -> Foreseen:
        """Of the candidates that were taken, actions (n,): (n, 1, F) each."""
        rows = torch.arange(len(actions), device=actions.device)
        chosen = (each[rows, actions][:, None] for each in (self.so_far, self.mean, self.std, self.as_given))
        return Foreseen(*chosen)


@dataclass
class StepwiseState:
    """Where n episodes are that decide a bar each.

    Attributes:
        bars: what is decided.
        given: (n, steps, parts) bool, the bars to stay close to.
        has_given: (n,) bool, whether there is one.
        locked: (n, steps, parts) bool, cells that are played as given.
        seen: what is known of the bars now, k = 1.
        changed: (n,) ints, cells that differ from the given bar so far.
        excess: (n,), squared length of z so far less its expectation.
        calls: (n,), what the generator has computed so far: 1 is a bar decoded in full.
        terms: name → (n,), as of ``dynamics.State``: of the bar, 0 until it is decided, and the costs of the last step.
        ahead, candidates, foreseen: the next step, and what there is to choose from; None once the bars are decided.
    """

    bars: UnfinishedBars
    given: Tensor
    has_given: Tensor
    locked: Tensor
    seen: Foreseen
    changed: Tensor
    excess: Tensor
    calls: Tensor
    terms: dict[str, Tensor]
    ahead: NextStep | None = None
    candidates: Candidates | None = None
    foreseen: Foreseen | None = None

    @property
    def is_over(self) -> bool:
        """Whether the bars are decided."""
        return self.candidates is None

    def rows(self, index: Tensor) -> StepwiseState:
        """The episodes of these rows, some maybe several times: what a particle filter goes on with."""
        parts = {each.name: _rows_of(getattr(self, each.name), index) for each in fields(self)}
        if self.ahead is not None:  # the bars within it are those of the state
            parts["bars"] = parts["ahead"].bars
        return StepwiseState(**parts)


def _rows_of(value: Any, index: Tensor) -> Any:
    """Rows of tensors, of what has ``rows`` of its own, and of dictionaries of such; None stays."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value[index]
    if isinstance(value, dict):
        return {name: _rows_of(each, index) for name, each in value.items()}
    return value.rows(index)


class StepwiseDynamics(BarScorer):
    """Decides bars step by step, each step by the candidate that an episode chooses.

    Attributes:
        kit, scale, models, terms: see ``BarScorer``.
        generator, read_out: as given.
        n_actions: candidates for a step.
        shared, each: the tables of an observation, of the episode and of a candidate.
        low, high: (width,) float32, bounds of an observation.

    Args:
        generator: what decides.
        critic: what the term of realism asks.
        prior: what the term of likelihood asks.
        scale: the features that are steered, of ``find_scale``.
        read_out: what predicts them, fitted on the generator's bars.
        n_candidates: candidates for a step, 2 or more.
        n_changes: how many of them change one cell where there is a given bar.
        terms: names of the terms that goals may give a coefficient.

    Raises:
        ValueError: numbers out of range, an unknown term, or a generator whose steps have not a number for each part.
    """

    def __init__(
        self,
        generator: LatentModel,
        critic: Critic,
        prior: Likelihood,
        scale: FeatureScale,
        read_out: StepReadOut,
        n_candidates: int = AgentShape.n_candidates,
        n_changes: int = AgentShape.n_changes,
        terms: Sequence[str] = STEPWISE_TERMS,
    ) -> None:
        super().__init__(generator.kit, scale, RewardModels(critic, prior, scale.calibration), terms)
        steps, n_parts, n_features = generator.steps, generator.kit.n_parts, len(scale.features)
        if generator.latent_dim != steps * n_parts:
            raise ValueError(f"expected {steps * n_parts} numbers of z, one for each cell; got {generator.latent_dim}")
        if n_candidates < 2 or not 0 <= n_changes < min(n_candidates, n_parts + 1):
            raise ValueError(
                f"a step has 2 candidates or more, and fewer of them and of the parts are changes of one cell; "
                f"got {n_candidates} and {n_changes}"
            )
        self.generator, self.read_out = generator, read_out
        self.n_actions, self.n_changes = n_candidates, n_changes
        self.shared, self.each = shared_layout(steps, n_features, self.terms), candidate_layout(n_features)
        low, high = (
            torch.cat([torch.from_numpy(of_all), torch.from_numpy(of_each).repeat(n_candidates)])
            for of_all, of_each in ((self.shared.low, self.each.low), (self.shared.high, self.each.high))
        )
        self.low, self.high = low.numpy(), high.numpy()
        self._in_group = membership(generator.kit).to(scale.means.device)

    @property
    def width(self) -> int:
        """Numbers in an observation."""
        return self.shared.width + self.n_actions * self.each.width

    @torch.no_grad()
    @without_autocast
    def begin(self, given: Tensor, has_given: Tensor, locked: Tensor, draws: Draws) -> StepwiseState:
        """n episodes of which no step is decided.

        Args:
            given: (n, steps, parts) bool, the bars to stay close to.
            has_given: (n,) bool, whether there is one.
            locked: (n, steps, parts) bool, cells of these that are played as given; none where there is no given bar.
            draws: what the candidates are drawn from.
        """
        n = len(given)
        scale = self.scale
        silence = values_of(torch.zeros_like(given[:1]), scale.features, self.kit)
        nothing = torch.zeros(n, dtype=torch.float32, device=given.device)
        as_given = torch.where(has_given[:, None], values_of(given, scale.features, self.kit), 0)
        so_far, mean, std = (each.expand(n, 1, -1) for each in (silence, scale.means, scale.stds))
        seen = Foreseen(so_far, mean, std, as_given[:, None])
        names = ["match", "success", *self._bar_terms, "score", *self._costs]
        state = StepwiseState(
            self.generator.begin(n),
            given,
            has_given,
            locked,
            seen,
            torch.zeros(n, dtype=torch.long, device=given.device),
            nothing.clone(),
            nothing.clone(),
            {name: nothing.clone() for name in names},
        )
        self._look_ahead(state, draws)
        return state

    @torch.no_grad()
    @without_autocast
    def step(self, state: StepwiseState, goals: Goals, actions: Tensor, draws: Draws) -> tuple[StepwiseState, Tensor]:
        """Decide the next step of every bar.

        Args:
            state: n episodes of which steps are left.
            goals: theirs.
            actions: (n,) ints, the candidates that decide.
            draws: what the next candidates are drawn from.

        Returns:
            The states one step later, and the rewards (n,).
        """
        assert state.ahead is not None
        assert state.candidates is not None
        assert state.foreseen is not None
        rows = torch.arange(len(actions), device=actions.device)
        noise, candidates = state.candidates.noise[rows, actions], state.candidates
        changed = (candidates.cells[rows, actions] ^ state.given[:, state.bars.cells.shape[1]]).sum(1)
        changed = torch.where(state.has_given, changed, 0)
        bars = state.ahead.decide(noise)
        excess = state.excess + bars.z[:, -noise.shape[1] :].square().sum(1) - noise.shape[1]
        after = StepwiseState(
            bars,
            state.given,
            state.has_given,
            state.locked,
            state.foreseen.taken(actions),
            state.changed + changed,
            excess,
            state.calls,
            {name: torch.zeros_like(term) for name, term in state.terms.items()},
        )
        costs = {
            # the sum over a bar is half the squared deviation of its length, in nats, as were the length Gaussian
            "kl": (excess.square() - state.excess.square()) / (4 * self.generator.latent_dim),
            "closeness": changed / self._sounding(state),
        }
        gain = torch.zeros_like(excess)
        if bars.cells.shape[1] == self.generator.steps:
            found = self.look_at(bars.z, bars.cells, goals, goals.calls - 1)
            after.terms, gain = dict(found.terms), found.score
        else:
            self._look_ahead(after, draws)
        counted = {name: costs[name] for name in self._costs}
        after.terms.update(counted)
        return after, less_costs(gain, counted, {name: goals.coef(name) for name in counted})

    @torch.no_grad()
    @without_autocast
    def observe(self, state: StepwiseState, goals: Goals) -> Tensor:
        """What episodes see, (n, width): ``shared`` of each, then ``each`` of every candidate."""
        scale, n = self.scale, len(state.excess)
        decided = state.bars.cells
        step, dim, n_parts = decided.shape[1], self.generator.latent_dim, self.kit.n_parts
        given = state.has_given[:, None].float()
        is_asked = goals.importance > 0

        def ahead_of(seen: Foreseen) -> dict[str, Tensor]:
            wanted = torch.where(is_asked[:, None], goals.targets[:, None], seen.mean)
            gaps = (wanted - seen.mean) / scale.tolerance
            from_given = torch.where(is_asked[:, None], goals.targets[:, None] - seen.as_given, 0) / scale.tolerance
            from_given = from_given * given[:, None]
            return {
                "predicted": scale.standardised(seen.mean),
                "predicted stds": seen.std / scale.stds,
                "gaps": torch.tanh(gaps / 3),
                "far gaps": gaps / 10,
                "given gaps": torch.tanh(from_given / 3),
                "far given gaps": from_given / 10,
            }

        now = {name: each[:, 0] for name, each in ahead_of(state.seen).items()}
        wanted = torch.where(is_asked, goals.targets, state.seen.mean[:, 0])
        steps = torch.arange(self.generator.steps, device=decided.device)
        columns = {
            "given": state.has_given.float(),
            "given onsets": given[:, 0] * state.given[:, step:].sum((1, 2)) / MANY_ONSETS,
            "locked": state.locked[:, step:].float().mean((1, 2)) if step < self.generator.steps else 0 * given[:, 0],
            "changed": state.changed / self._sounding(state),
            "length": state.excess / (2 * dim) ** 0.5,
            **{f"{name} coefficient": goals.coef(name) for name in self.terms},
        }
        shared = self.shared.pack(
            now
            | {
                "step": (steps == step).float().expand(n, -1),
                "onsets": decided.sum(1).float() @ self._in_group / MANY_ONSETS,
                "values": scale.standardised(state.seen.so_far[:, 0]),
                "targets": scale.standardised(wanted),
                "importance": goals.importance,
            }
            | {name: column[:, None] for name, column in columns.items()}
        )
        if state.candidates is None or state.foreseen is None:
            return torch.cat([shared, shared.new_zeros(n, self.n_actions * self.each.width)], 1)
        candidates = state.candidates
        changed = (candidates.cells ^ state.given[:, None, step]).sum(2) * given
        excess = candidates.noise.square().sum(2) - n_parts
        of_each = {
            "keeps": candidates.keeps.float(),
            "edits": candidates.edits.float(),
            "log chance": self.log_chances(state, goals) / MANY_NATS,
            "changed": changed / MANY_CELLS,
            "length": excess / (2 * n_parts) ** 0.5,
        }
        each = self.each.pack(
            ahead_of(state.foreseen)
            | {"onsets": candidates.cells.float() @ self._in_group / MANY_CELLS}
            | {name: column[..., None] for name, column in of_each.items()}
        )
        return torch.cat([shared, each.flatten(1)], 1)

    def costs_of_bars(self, state: StepwiseState) -> dict[str, Tensor]:
        """What all steps of the bars cost together, by name: (n,) each; 0 without a given bar for ``closeness``."""
        costs = {
            "kl": state.excess.square() / (4 * self.generator.latent_dim),
            "closeness": state.changed / self._sounding(state),
        }
        return {name: costs[name] for name in self._costs}

    def unpack(self, observations: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Observations (n, width) as entries by name: of the episodes (n, …), and of the candidates (n, k, …)."""
        shared, each = observations[:, : self.shared.width], observations[:, self.shared.width :]
        return self.shared.unpack(shared), self.each.unpack(each.reshape(len(each), self.n_actions, self.each.width))

    def log_chances(self, state: StepwiseState, goals: Goals) -> Tensor:
        """How likely each candidate is to lead to the targets by the read-out, (n, k), see ``read_out.log_chance``."""
        assert state.foreseen is not None
        mean, std = state.foreseen.mean, state.foreseen.std
        n, k, n_features = mean.shape
        targets, importance = (
            each[:, None].expand(n, k, n_features).flatten(0, 1) for each in (goals.targets, goals.importance)
        )
        return log_chance((mean.flatten(0, 1), std.flatten(0, 1)), targets, importance).view(n, k)

    def rarity(self, state: StepwiseState, goals: Goals) -> Tensor:
        """What is made from a given step counts as often as it occurs, (n, k) nats; 0 for all that is drawn.

        It is among the candidates however rare it is. The more closeness counts, the less is the given step itself
        charged, and its changes only for how much rarer they are.
        """
        assert state.candidates is not None
        candidates = state.candidates
        made = candidates.keeps | candidates.edits
        spared = goals.coef("closeness")[:, None] * candidates.log_chance[:, :1]
        return torch.where(made, candidates.log_chance - spared, 0)

    def _sounding(self, state: StepwiseState) -> Tensor:
        """(n,), cells that sound in the given bars, ``FEWEST_SOUNDING`` at least; float32 whatever the default is."""
        return state.given.sum((1, 2)).clamp(min=FEWEST_SOUNDING).float()

    def _look_ahead(self, state: StepwiseState, draws: Draws) -> None:
        """Draw the candidates for the next step, foresee what follows them, and count the calls."""
        step = state.bars.cells.shape[1]
        ahead = state.bars.look_ahead()
        state.ahead = ahead
        given, locked = state.given[:, step], state.locked[:, step]
        state.candidates = draw_candidates(
            ahead, self.kit.n_parts, self.n_actions, self.n_changes, given, state.has_given, locked, draws
        )
        state.foreseen = self._foresee(state, ahead, state.candidates.cells)
        of_step, of_noise = ahead.multiply_adds
        # a change of one cell is one of as many as there are parts, each of which asks what is expected of it
        tries = self.n_actions + state.has_given * (1 + self.n_changes + self.kit.n_parts * (self.n_changes > 0))
        spent = (of_step + tries * of_noise).float()
        state.calls = state.calls + spent / ((of_step + of_noise) * self.generator.steps)

    def _foresee(self, state: StepwiseState, ahead: NextStep, cells: Tensor) -> Foreseen:
        """What is known of the bars with each of these steps (n, k, parts); steps that are equal are asked for once."""
        bars, rows, index = distinct_candidates(state.bars.cells, cells)
        step, scale = bars.shape[1], self.scale
        so_far, last = seen_of(bars, self.generator, scale)
        mean, std = self.read_out.of_candidates(so_far, ahead.state.float(), last, rows, step)
        as_given = torch.zeros_like(so_far)
        with_given = torch.nonzero(state.has_given[rows])[:, 0]
        if len(with_given):
            whole = torch.cat([bars[with_given], state.given[rows[with_given], step:]], 1)
            as_given[with_given] = values_of(whole, scale.features, self.kit)
        return Foreseen(*(each[index] for each in (so_far, mean, std, as_given)))
