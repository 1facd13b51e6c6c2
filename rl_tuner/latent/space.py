"""What there is to know of a generator before steering it: what moves a feature, which ways z can go, what is typical.

All of it is found by looking at bars of random z; nothing is assumed of the generator but that z ~ N(0, I) has a
number for every cell, in the order of the steps, and that a bar's later steps do not change its earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.bars import BEATS
from rhythmgan.features import check_feature, density_and_syncopation, measure
from rhythmgan.kit import Kit
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_z

TARGETS = ("density", "syncopation")
"""The features that are steered unless others are named."""

_N_REMEMBERED = 2048


def values_of(bars: np.ndarray | Tensor, features: Sequence[str], kit: Kit) -> Tensor:
    """The named features of bars (n, steps, parts) bool: (n, features) float32."""
    if tuple(features) == TARGETS:
        return torch.stack(density_and_syncopation(bars, kit), 1).float()
    return torch.stack(list(measure(bars, kit, features).values()), 1).float()


class LatentSpace(nn.Module):
    """A generator's latent space as an agent sees it. Made by ``find_space``, kept with the agent's weights.

    Attributes:
        features: names of the features that are steered, F of them.
        directions: (K, latent_dim), unit vectors: the regression of each feature on z, then the generator's principal
            directions, then random ones, each orthogonal to those before it.
        regression_map: (terms, latent_dim), the regression of z on a polynomial of the features, see ``towards``.
        pinv_steps: (beats, F, latent_dim), the least change of z from each beat on that changes each feature by
            one, linearly.
        means: (F,), of the features of unsteered bars; ``stds`` (F,) their standard deviations.
        tolerance: (F,), what counts as a step of each: 1 of a count, .15 standard deviations of what is none.
        values: (2048, F), features of unsteered bars.
        calibration: (3,), of unsteered bars: the discriminator's mean logit; median and standard deviation of the
            prior's mean log p, nats a step.
    """

    directions: Tensor
    regression_map: Tensor
    pinv_steps: Tensor
    means: Tensor
    stds: Tensor
    tolerance: Tensor
    values: Tensor
    calibration: Tensor

    def __init__(self, features: Sequence[str], latent_dim: int, n_directions: int) -> None:
        super().__init__()
        for name in features:
            check_feature(name)
        if not features or len(set(features)) < len(features):
            raise ValueError(f"one feature or several different ones are steered, not {list(features)}")
        n = len(features)
        if not n <= n_directions <= latent_dim:
            raise ValueError(f"there are from {n} to {latent_dim} directions, not {n_directions}")
        self.features = tuple(features)
        self.latent_dim = latent_dim
        for name, shape in {
            "directions": (n_directions, latent_dim),
            "regression_map": (_n_terms(n), latent_dim),
            "pinv_steps": (BEATS, n, latent_dim),
            "means": (n,),
            "stds": (n,),
            "tolerance": (n,),
            "values": (_N_REMEMBERED, n),
            "calibration": (3,),
        }.items():
            self.register_buffer(name, torch.zeros(shape))

    def standardised(self, values: Tensor) -> Tensor:
        """Features (n, F) in standard deviations of unsteered bars, from their mean."""
        return (values - self.means) / self.stds

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
    space.means, space.stds = values.mean(0), values.std(0)
    for name, spread in zip(space.features, space.stds.tolist(), strict=True):
        if not spread > 0:
            raise ValueError(f"{name} is the same for all bars of this generator: it cannot be steered")
    is_count = (values == values.round()).all(0)
    space.tolerance = torch.where(is_count, 1.0, 0.15 * space.stds)
    space.values = values[torch.arange(_N_REMEMBERED) % n]

    constant = torch.ones(n, 1)
    terms = torch.cat([_terms(space.standardised(values)), constant], 1)
    space.regression_map = torch.linalg.lstsq(terms, z).solution[:-1]
    from_z = torch.cat([z, constant], 1)
    slopes = torch.linalg.lstsq(from_z, values).solution[:-1]  # (latent_dim, F)
    for beat in range(BEATS):
        tail = slopes.clone()
        tail[: beat * dim // BEATS] = 0
        space.pinv_steps[beat] = torch.linalg.pinv(tail)

    cells = torch.from_numpy(bars).flatten(1).float()
    principal = torch.linalg.svd(torch.linalg.lstsq(from_z, cells).solution[:-1])[0].T
    n_random = (n_directions - len(space.features) + 2) // 4
    random = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed))
    candidates = torch.cat([slopes.T, principal[: n_directions - len(space.features) - n_random], random])
    space.directions = torch.linalg.qr(candidates[:n_directions].T)[0].T

    looked = torch.from_numpy(bars[:4096])
    logits = critic.logits(looked)
    nats = prior.log_prob(looked[:_N_REMEMBERED]) / generator.steps
    space.calibration = torch.stack([logits.mean().cpu(), nats.median().cpu(), nats.std().cpu()])
    return space.requires_grad_(False)


@dataclass(frozen=True)
class Moves:
    """The numbered actions on z: stay; step to and fro along a direction; aim at the targets from a beat on.

    An aim adds the way that the targets are expected to lie and draws a part of the noise anew, from its beat on; the
    bar before that beat stays as it is. With an angle of π/2 and no gain the noise is drawn wholly anew.
    All moves keep the length of z, and of what they leave alone: z stays on the shell of N(0, I).

    Attributes:
        step_sizes: standard deviations of a small and of a large step along a direction.
        gains: how far to aim, as shares of the expected way.
        noise_angles: radians by which an aim turns towards new noise.
    """

    step_sizes: tuple[float, ...] = (0.3, 1.0)
    gains: tuple[float, ...] = (0.5, 1.0)
    noise_angles: tuple[float, ...] = (0.4, 0.8)

    def table(self, n_directions: int) -> Tensor:
        """(actions, 5): direction or −1, size of the step or angle, beat to begin at, gain, and 1 for an aim."""
        rows: list[tuple[float, ...]] = [(-1, 0, 0, 0, 0)]
        for beat in range(BEATS):
            rows += [(-1, noise, beat, gain, 1) for gain in self.gains for noise in self.noise_angles]
            rows.append((-1, np.pi / 2, beat, 0, 1))
        for direction in range(n_directions):
            rows += [(direction, sign * step, 0, 0, 0) for step in self.step_sizes for sign in (1, -1)]
        return torch.tensor(rows)


def move(
    space: LatentSpace, table: Tensor, z: Tensor, actions: Tensor, values: Tensor, targets: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Latent points after their actions, and how hard they were pushed.

    Args:
        space: see there.
        table: of ``Moves``.
        z: (n, latent_dim).
        actions: (n,) ints, rows of the table.
        values, targets: (n, F), what an aim goes from and to.
        noise: (n, latent_dim), N(0, 1); what an aim draws from.

    Returns:
        z (n, latent_dim), of the same lengths, and the kl (n,) in nats: how much information an aim has over the
        same draw without its aim, ½ |gain · way|² / sin² angle (the Kullback-Leibler divergence of two normal
        distributions). A step along a direction, which draws nothing, is charged as if it had turned by .4.
    """
    # in double precision: rounded to single, a walk is then the same in any batch, on whatever machine
    z, values, targets, noise = z.double(), values.double(), targets.double(), noise.double()
    direction, size, beat, gain, is_aim = table[actions].double().unbind(1)
    moved, kl = z.clone(), torch.zeros_like(size)
    width = z.shape[1] // BEATS
    for first in range(BEATS):
        rows = torch.nonzero((is_aim > 0) & (beat == first))[:, 0]
        if len(rows):
            tail = z[rows, first * width :]
            way = gain[rows, None] * aim(space, values[rows], targets[rows], first)
            angle = size[rows, None]
            drawn = torch.cos(angle) * tail + torch.sin(angle) * noise[rows, first * width :] + way
            moved[rows, first * width :] = drawn * to_length_of(tail, drawn)
            kl[rows] = way.square().sum(1) / (2 * torch.sin(angle[:, 0]) ** 2)
    rows = torch.nonzero(direction >= 0)[:, 0]
    if len(rows):
        along, here = space.directions[direction[rows].long()].double(), z[rows]
        place = (along * here).sum(1)
        # what is farther out than that may come back, but goes no farther
        limit = place.abs().clamp(min=_FAR)
        step = (place + size[rows]).clamp(-limit, limit) - place
        stepped = here + step[:, None] * along
        moved[rows] = stepped * to_length_of(here, stepped)
        kl[rows] = step**2 / (2 * math.sin(_QUIET) ** 2)
    return moved.float(), kl.float()


def to_length_of(before: Tensor, after: Tensor) -> Tensor:
    """What to multiply points by so that they are as long as they were: (n, 1)."""
    return before.norm(dim=1, keepdim=True) / after.norm(dim=1, keepdim=True).clamp(min=1e-9)


_FAR = 2.0
"""Standard deviations that a step moves a component of z to at most: few of N(0, 1) are farther out."""

_QUIET = 0.4
"""Radians of noise that a step, which has none, is charged for."""

_PULL = 1.0
_PUSH = 0.4
_LONGEST_PUSH = 1.5


def aim(space: LatentSpace, values: Tensor, targets: Tensor, beat: int) -> Tensor:
    """Where an aim from a beat on leads at gain 1: (n, dimensions from that beat on).

    From the bar line on it is the way between the average points of bars with the values and with the targets; from a
    later beat on, where that is known of the whole bar only, a part of the least change that would do.
    """
    if beat == 0:
        return _PULL * space.towards(values, targets)
    pushed = _PUSH * (targets - values) @ space.pinv_steps[beat][:, beat * space.latent_dim // BEATS :].to(values.dtype)
    # a target far off is not reached from the last beat, whatever the regression says
    return pushed * (_LONGEST_PUSH / pushed.norm(dim=1, keepdim=True).clamp(min=_LONGEST_PUSH))
