"""Episodes in a generator's latent space: the actions move z, and z decodes to bars."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner.dynamics import BOUND, BarDynamics, State, layout_of
from rl_tuner.latent.moves import Moves, move
from rl_tuner.latent.space import LatentSpace
from rl_tuner.layout import Entry, Layout
from rl_tuner.rewards import TERMS, RewardModels

_Z_SCALE = 0.2
"""z is shown a fifth as large as it is, or a network would first have to learn that its numbers matter little."""


def _own_entries(latent_dim: int) -> list[Entry]:
    return [Entry("z", latent_dim, "latent point z, a fifth of it", -BOUND, BOUND)]


def latent_layout(latent_dim: int, n_cells: int, n_features: int, terms: Sequence[str] = TERMS) -> Layout:
    """The table of an observation of ``Dynamics``.

    Args:
        latent_dim: numbers of z.
        n_cells: steps · parts of a bar.
        n_features: features that are steered.
        terms: names of the terms that goals give a coefficient.
    """
    return layout_of(_own_entries(latent_dim), n_cells, n_features, terms)


class Dynamics(BarDynamics):
    """A generator, the networks that reward, and the latent space: moves episodes through it.

    Attributes:
        generator, critic, prior, space: as given.
        table: (actions, 5), what each action does, see ``Moves.table``.

    Args:
        generator: what decodes.
        critic: what the term of realism asks: the generator's own, or another.
        prior: what the term of likelihood asks.
        space: the generator's, of ``find_space``.
        moves: what the actions do.
        terms: names of the terms that goals may give a coefficient.
    """

    def __init__(
        self,
        generator: LatentModel,
        critic: Critic,
        prior: Likelihood,
        space: LatentSpace,
        moves: Moves | None = None,
        terms: Sequence[str] = TERMS,
    ) -> None:
        dim = generator.latent_dim
        if space.latent_dim != dim:
            raise ValueError(f"the latent space has {space.latent_dim} dimensions, the generator {dim}")
        self.generator, self.critic, self.prior, self.space = generator, critic, prior, space
        self.table = (moves or Moves()).table(len(space.directions)).to(space.directions.device)
        n_cells = generator.steps * generator.kit.n_parts
        models = RewardModels(critic, prior, space.calibration)
        super().__init__(generator.kit, space, models, len(self.table), n_cells, _own_entries(dim), terms)

    def draw(self, n: int, random: torch.Generator) -> Tensor:
        """Points of N(0, I), (n, latent_dim)."""
        return torch.randn((n, self.space.latent_dim), generator=random, dtype=torch.float32, device=self.table.device)

    def decode(self, z: Tensor) -> Tensor:
        """The generator's bars (n, steps, parts) bool."""
        return torch.from_numpy(self.generator.decode(z)).to(z.device)

    def move(
        self, z: Tensor, actions: Tensor, values: Tensor, wanted: Tensor, noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``moves.move``; the cost is the ``kl`` of the move."""
        moved, kl = move(self.space, self.table, z, actions, values, wanted, noise)
        return moved, {"kl": kl}

    def see(self, state: State) -> dict[str, Tensor]:
        """z, a fifth of it: (n, latent_dim)."""
        return {"z": _Z_SCALE * state.z}
