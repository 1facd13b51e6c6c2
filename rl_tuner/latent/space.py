"""What there is to know of a generator before steering it: what moves a feature, and which ways z can go.

All of it is found by looking at bars of random z; nothing is assumed of the generator but what ``LatentModel`` says:
z ~ N(0, I), its numbers are in the order of the steps that they decide, and numbers of a later step do not change the
cells of earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.models.precision import on_one_thread
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_z
from rl_tuner.scale import TARGETS, FeatureScale, values_of


class LatentSpace(FeatureScale):
    """A generator's latent space as an agent sees it. Made by ``find_space``, kept with the agent's weights.

    Attributes:
        features, means, stds, tolerance, values, calibration: see ``FeatureScale``.
        latent_dim: numbers of z.
        directions: (K, latent_dim), unit vectors: the regression of each feature on z, then the generator's principal
            directions, then random ones, each orthogonal to those before it.
        regression_map: (terms, latent_dim), the regression of z on a polynomial of the features, see ``towards``.
        pinv_steps: (beats, F, latent_dim), the least change of z from each beat on that changes each feature by
            one, linearly.
        beat_starts: (beats,) ints, the first number of z that decides a step of each beat.
    """

    directions: Tensor
    regression_map: Tensor
    pinv_steps: Tensor
    beat_starts: Tensor

    def __init__(self, features: Sequence[str], latent_dim: int, n_directions: int) -> None:
        super().__init__(features)
        n = len(self.features)
        if not n <= n_directions <= latent_dim:
            raise ValueError(f"there are from {n} to {latent_dim} directions, not {n_directions}")
        self.latent_dim = latent_dim
        for name, shape in {
            "directions": (n_directions, latent_dim),
            "regression_map": (_n_terms(n), latent_dim),
            "pinv_steps": (BEATS, n, latent_dim),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("beat_starts", torch.zeros(BEATS, dtype=torch.long))

    def towards(self, values: Tensor, targets: Tensor) -> Tensor:
        """How z of bars with the targets differs on average from z of bars with the values: (n, latent_dim).

        Were z and the features jointly Gaussian, adding it would turn a draw of z given the values into one given
        the targets (Matheron's rule), so the bar stays as real as it was.
        """
        return (_terms(self.standardised(targets)) - _terms(self.standardised(values))) @ self.regression_map.to(
            values.dtype
        )


_REACH = 3.0
"""Standard deviations of unsteered bars beyond which a polynomial of features is not trusted."""


def _n_terms(n: int) -> int:
    return 2 * n + n * (n + 1) // 2


def _terms(x: Tensor) -> Tensor:
    """First powers, products of two, third powers of standardised features."""
    x = x.clamp(-_REACH, _REACH)
    first, second = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    return torch.cat([x, x[:, first] * x[:, second], x**3], 1)


@torch.no_grad()
@on_one_thread
def find_space(
    generator: LatentModel,
    critic: Critic,
    prior: Likelihood,
    features: Sequence[str] = TARGETS,
    n_directions: int = 8,
    n: int = 40_000,
    seed: int = 0,
) -> LatentSpace:
    """Look at n bars of random z and find the generator's latent space.

    Args:
        generator: whose.
        critic: what calibrates the term of realism.
        prior: what calibrates the term of likelihood.
        features: names of the features to steer.
        n_directions: K; about a quarter of those that the features leave are random, the others principal.
        n: bars to look at; the regressions have latent_dim coefficients.
        seed: of z and of the random directions.

    Raises:
        ValueError: an unknown feature, one that never changes, or a seed out of range.
    """
    dim = generator.latent_dim
    space = LatentSpace(features, dim, n_directions)
    check_seed(seed)
    stream, block = divmod(int(seed), 1 << 31)
    seeds = np.arange(n, dtype=np.uint64) + np.uint64(block << 32)  # blocks of other seeds lie apart, up to 2^63
    z = torch.from_numpy(seeds_to_z(seeds, dim, RANDOM_STREAMS["space"][stream]))
    bars = generator.decode(z.numpy())
    values = values_of(bars, space.features, generator.kit).cpu()
    space.fit(values)
    space.beat_starts = beat_starts(generator)

    # in double precision: least squares round differently from one call to the next (with the place of their operands
    # in memory), and in single precision it shows: the same seed would train another agent
    z, constant = z.double(), torch.ones(n, 1, dtype=torch.float64)
    terms = torch.cat([_terms(space.standardised(values)).double(), constant], 1)
    space.regression_map = torch.linalg.lstsq(terms, z).solution[:-1].float()
    from_z = torch.cat([z, constant], 1)
    slopes = torch.linalg.lstsq(from_z, values.double()).solution[:-1]  # (latent_dim, F)
    for beat, first in enumerate(space.beat_starts.tolist()):
        space.pinv_steps[beat][:, first:] = torch.linalg.pinv(slopes[first:])

    cells = torch.from_numpy(bars).flatten(1).double()
    principal = torch.linalg.svd(torch.linalg.lstsq(from_z, cells).solution[:-1])[0].T
    n_random = (n_directions - len(space.features) + 2) // 4
    random = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    n_principal = n_directions - len(space.features) - n_random
    candidates = torch.cat([slopes.T, principal[:n_principal], random.double()])
    space.directions = torch.linalg.qr(candidates[:n_directions].T)[0].T.float()

    space.calibrate(bars, critic, prior)
    return space.requires_grad_(False)


def beat_starts(generator: LatentModel) -> Tensor:
    """(beats,) ints, the first number of z that decides a step of each beat or a later one."""
    firsts = np.arange(BEATS) * generator.steps // BEATS
    return torch.from_numpy(np.searchsorted(generator.latent_steps, firsts)).long()
