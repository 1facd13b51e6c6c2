"""Many walks through latent space at once: what each wants, where it is, what it sees and what it is paid."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner import rewards
from rl_tuner.latent.space import LatentSpace, Moves, move, values_of

MAX_CALLS = 4096
"""Generator calls of a walk at most."""

BOUND = 10.0
"""No number of an observation is larger."""

_QUIETLY = 0.2

_LONG = 64.0
"""From so many calls left on an observation does not tell them apart."""

TERMS = ("match", "success", "realism", "likelihood", "score", "kl")
"""What is known of a walk's bar and of the move to it, by name; see ``State``."""

Rows = TypeVar("Rows", bound="_Rows")


@dataclass
class _Rows:
    """Tensors of one length, taken and put by rows."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def rows(self: Rows, index: Tensor) -> Rows:
        """The rows of an index or a mask."""
        return type(self)(**{each.name: getattr(self, each.name)[index] for each in fields(self)})

    def copy(self: Rows) -> Rows:
        """The same in memory of its own."""
        return type(self)(**{each.name: getattr(self, each.name).clone() for each in fields(self)})

    def put(self: Rows, index: Tensor, rows: Rows) -> None:
        """Set the rows of an index or a mask."""
        for each in fields(self):
            getattr(self, each.name)[index] = getattr(rows, each.name)


@dataclass
class Goals(_Rows):
    """What walks want.

    Attributes:
        targets: (n, F), of the features, in their own units.
        weights: (n, F), 0 or more: how much each feature counts; 0 skips it.
        realism: (n,), 0 … 1: how much the discriminator counts beside the targets.
        likelihood: (n,), 0 … 1: how much the prior counts.
        kl_coef: (n,), 0 … 1: how much the kl of moves counts against them.
        calls: (n,) ints, generator calls that each may use, its first bar included.
    """

    targets: Tensor
    weights: Tensor
    realism: Tensor
    likelihood: Tensor
    kl_coef: Tensor
    calls: Tensor

    @staticmethod
    def of(
        targets: Tensor,
        calls: int,
        weights: Tensor | None = None,
        realism: float = 0.0,
        likelihood: float = 0.0,
        kl_coef: float = 0.0,
    ) -> Goals:
        """Goals that are alike but for their targets (n, F) and weights (n, F), which are 1 by default."""
        n = len(targets)
        weights = torch.ones_like(targets) if weights is None else weights
        shares = [torch.full((n,), float(share)) for share in (realism, likelihood, kl_coef)]
        return Goals(targets, weights, shares[0], shares[1], shares[2], torch.full((n,), calls))


@dataclass
class State(_Rows):
    """Where walks are.

    Attributes:
        z: (n, latent_dim).
        bars: (n, steps, parts) bool, what z decodes to.
        values: (n, F), their features.
        match, success, realism, likelihood, score: (n,), the terms of ``rewards``; ``success`` is 0 or 1. The terms
            of the networks are 0 where the goals give them no weight or the targets are not reached.
        kl: (n,), nats of the last move, see ``space.move``.
        calls_left: (n,) ints.
    """

    z: Tensor
    bars: Tensor
    values: Tensor
    match: Tensor
    success: Tensor
    realism: Tensor
    likelihood: Tensor
    score: Tensor
    kl: Tensor
    calls_left: Tensor

    def terms(self) -> dict[str, Tensor]:
        """The terms by name, each (n,)."""
        return {name: getattr(self, name) for name in TERMS}


def observation_dim(latent_dim: int, n_features: int) -> int:
    """Numbers in an observation, see ``Dynamics.observe``."""
    return 2 * latent_dim + 5 * n_features + 9


class Dynamics:
    """A generator, its judges and its latent space: begins walks, moves them, says what they see.

    Attributes:
        n_actions: actions to choose from; 0 is to stay.
        observation_dim: numbers in an observation.

    Args:
        generator: what decodes.
        critic: the judge of realism: the generator's own, or another.
        prior: the judge of likelihood.
        space: the generator's, of ``find_space``.
        moves: what the actions do.
    """

    def __init__(
        self,
        generator: LatentModel,
        critic: Critic,
        prior: Likelihood,
        space: LatentSpace,
        moves: Moves | None = None,
    ) -> None:
        if space.latent_dim != generator.latent_dim:
            raise ValueError(
                f"the latent space has {space.latent_dim} dimensions, the generator {generator.latent_dim}"
            )
        self.generator, self.critic, self.prior, self.space = generator, critic, prior, space
        self.table = (moves or Moves()).table(len(space.directions)).to(space.directions.device)
        self.n_actions = len(self.table)
        self.observation_dim = observation_dim(space.latent_dim, len(space.features))

    @torch.no_grad()
    def begin(self, z: Tensor, goals: Goals) -> State:
        """State at their first bars (n, latent_dim), the first call spent."""
        return self._look(z, goals, goals.calls - 1)

    @torch.no_grad()
    def step(self, state: State, goals: Goals, actions: Tensor, noise: Tensor) -> State:
        """State one call later.

        Args:
            walks: n of them.
            goals: theirs.
            actions: (n,) ints.
            noise: (n, latent_dim), N(0, 1), for the actions that draw anew.
        """
        wanted = self._wanted(state, goals)
        z, kl = move(self.space, self.table, state.z, actions, state.values, wanted, noise)
        after = self._look(z, goals, state.calls_left - 1)
        after.kl = kl
        return after

    @torch.no_grad()
    def observe(self, state: State, goals: Goals) -> Tensor:
        """What walks see, (n, observation_dim) in −10 … 10, in this order:

        z, cells (−1 or 1), both a fifth, or a network would first have to learn that they matter less than what
        follows · features, targets, their gaps in units squashed and a tenth, weights · match, hit, realism,
        likelihood · the weights of realism, likelihood and kl_coef · calls left, linear up to 64 and as a logarithm.
        """
        space = self.space
        wanted = self._wanted(state, goals)
        gap = (wanted - state.values) / space.tolerance
        left = state.calls_left.float()
        seen = [
            _QUIETLY * state.z,
            _QUIETLY * (state.bars.flatten(1) * 2.0 - 1),
            space.standardised(state.values),
            *self._ahead(wanted, gap),
            goals.weights,
            torch.stack([state.match, state.success, state.realism, state.likelihood], 1),
            torch.stack([goals.realism, goals.likelihood, goals.kl_coef], 1),
            torch.stack([(left / _LONG).clamp(max=1), torch.log2(left + 1) / 6], 1),
        ]
        return torch.cat(seen, 1).clamp(-BOUND, BOUND)

    def relabel(self, observations: Tensor, counted: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Segments as they would have been, had the targets been near what they came to, without the networks' terms.

        Args:
            observations: (n, k + 1, observation_dim), of ``observe``.
            counted: (n,) ints, which observation the targets are taken from.
            random: what the targets are moved by: a unit up or down, or none, in each feature.

        Returns:
            The observations, and (n, k) how much the score would have grown with each step.
        """
        space = self.space
        n, k = observations.shape[:2]
        n_features, first = len(space.features), 2 * space.latent_dim
        standardised = observations[..., first : first + n_features]
        values = standardised * space.stds + space.means
        rows = torch.arange(n, device=values.device)
        moved = torch.randint(-1, 2, (n, n_features), generator=random, device=values.device)
        targets = (values[rows, counted] + moved * space.tolerance)[:, None].expand_as(values)
        gap = (targets - values) / space.tolerance
        gap = (gap * 1000).round() / 1000  # the values were rounded on their way
        weights = torch.ones_like(gap).flatten(0, 1)
        distances = gap.abs().flatten(0, 1)
        success = rewards.success(distances, weights).float()
        match = rewards.match(distances, weights)
        nothing = torch.zeros_like(match)
        seen = torch.cat(
            [
                observations[..., : first + n_features],
                *self._ahead(targets, gap),
                weights.view_as(gap),
                torch.stack([match, success] + 5 * [nothing], 1).view(n, k, 7),
                observations[..., -2:],
            ],
            2,
        ).clamp(-BOUND, BOUND)
        match = match.view(n, k)
        return seen, match[:, 1:] - match[:, :-1]

    def _ahead(self, targets: Tensor, gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is seen of the targets and of the gaps to them, in units."""
        return self.space.standardised(targets), torch.tanh(gap / 3), gap / 10

    def _wanted(self, state: State, goals: Goals) -> Tensor:
        """The targets; of a feature that is skipped, its value as it is."""
        return torch.where(goals.weights > 0, goals.targets, state.values)

    def _look(self, z: Tensor, goals: Goals, left: Tensor) -> State:
        return self.look_at(z, torch.from_numpy(self.generator.decode(z)).to(z.device), goals, left)

    @torch.no_grad()
    def look_at(self, z: Tensor, bars: Tensor, goals: Goals, left: Tensor) -> State:
        """What bars (n, steps, parts) of z are worth to the goals."""
        space = self.space
        values = values_of(bars, space.features, self.generator.kit)
        distances = rewards.distance(values, goals.targets, space.tolerance)
        success = rewards.success(distances, goals.weights)
        realism, likelihood = torch.zeros_like(z[:, 0]), torch.zeros_like(z[:, 0])
        # what misses its targets is no answer, however real: the networks look at the others only
        seen = success & (goals.realism > 0)
        if seen.any():
            realism[seen] = rewards.realism(self.critic, bars[seen], float(space.calibration[0]))
        seen = success & (goals.likelihood > 0)
        if seen.any():
            likelihood[seen] = rewards.likelihood(self.prior, bars[seen], *space.calibration[1:].tolist())
        terms = {"match": rewards.match(distances, goals.weights), "realism": realism, "likelihood": likelihood}
        weights = {"match": torch.ones_like(realism), "realism": goals.realism, "likelihood": goals.likelihood}
        score = rewards.score(terms, weights)
        return State(
            z, bars, values, success=success.float(), score=score, kl=torch.zeros_like(score), calls_left=left, **terms
        )
