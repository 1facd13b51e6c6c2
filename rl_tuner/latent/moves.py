"""The actions of an agent on a latent point, and where they lead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rl_tuner.latent.space import LatentSpace


@dataclass(frozen=True)
class Moves:
    """The numbered actions on z: stay; step to and fro along a direction; move towards the targets from a beat on.

    A guided move adds the way that the targets are expected to lie and draws a part of the noise anew, from its beat
    on; the bar before that beat stays as it is. With an angle of π/2 and no gain the noise is drawn wholly anew.
    All moves keep the length of z, and of what they leave alone: z stays on the shell of N(0, I).

    Attributes:
        step_sizes: standard deviations of a small and of a large step along a direction.
        gains: how far a guided move goes, as shares of the expected way.
        noise_angles: radians by which a guided move turns towards new noise.
    """

    step_sizes: tuple[float, ...] = (0.3, 1.0)
    gains: tuple[float, ...] = (0.5, 1.0)
    noise_angles: tuple[float, ...] = (0.4, 0.8)

    def table(self, n_directions: int) -> Tensor:
        """(actions, 5): direction or −1, size of the step or angle, beat to begin at, gain, and 1 for a guided move."""
        rows: list[tuple[float, ...]] = [(-1, 0, 0, 0, 0)]
        for beat in range(BEATS):
            rows += [(-1, angle, beat, gain, 1) for gain in self.gains for angle in self.noise_angles]
            rows.append((-1, math.pi / 2, beat, 0, 1))
        for direction in range(n_directions):
            rows += [(direction, sign * size, 0, 0, 0) for size in self.step_sizes for sign in (1, -1)]
        return torch.tensor(rows, dtype=torch.float32)


_FAR = 2.0
"""Standard deviations that a step moves a component of z to at most: few of N(0, 1) are farther out."""

_STEP_ANGLE = 0.4
"""Radians of noise that a step along a direction, which has none, is charged for."""

_REGRESSION_SHARE = 1.0
_PINV_SHARE = 0.4
_LONGEST_PINV_STEP = 1.5


def move(
    space: LatentSpace, table: Tensor, z: Tensor, actions: Tensor, values: Tensor, targets: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Latent points after their actions, and the information that the actions put into them.

    Args:
        space: see there.
        table: of ``Moves``.
        z: (n, latent_dim).
        actions: (n,) ints, rows of the table.
        values, targets: (n, F), what a guided move goes from and to.
        noise: (n, latent_dim), N(0, 1); what a guided move draws from.

    Returns:
        z (n, latent_dim), of the same lengths, and the kl (n,) in nats: how much information a guided move has over
        the same draw without its way, ½ |gain · way|² / sin² angle (the Kullback-Leibler divergence of two normal
        distributions). A step along a direction, which draws nothing, is charged as if it had turned by .4.
    """
    # in double precision: rounded to single, an episode is then the same in any batch, on whatever machine
    z, values, targets, noise = z.double(), values.double(), targets.double(), noise.double()
    direction, size, beat, gain, is_guided = table[actions].double().unbind(1)
    moved, kl = z.clone(), torch.zeros_like(size)
    for index, first in enumerate(space.beat_starts.tolist()):
        rows = torch.nonzero((is_guided > 0) & (beat == index))[:, 0]
        if len(rows):
            tail = z[rows, first:]
            way = gain[rows, None] * guided_move(space, values[rows], targets[rows], index)
            angle = size[rows, None]
            drawn = torch.cos(angle) * tail + torch.sin(angle) * noise[rows, first:] + way
            moved[rows, first:] = drawn * to_length_of(tail, drawn)
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
        kl[rows] = step**2 / (2 * math.sin(_STEP_ANGLE) ** 2)
    return moved.float(), kl.float()


def to_length_of(before: Tensor, after: Tensor) -> Tensor:
    """What to multiply points by so that they are as long as they were: (n, 1)."""
    return before.norm(dim=1, keepdim=True) / after.norm(dim=1, keepdim=True).clamp(min=1e-9)


def guided_move(space: LatentSpace, values: Tensor, targets: Tensor, beat: int) -> Tensor:
    """Where a guided move from a beat on leads at gain 1: (n, numbers of z from that beat on).

    From the bar line on it is the way between the average points of bars with the values and with the targets; from a
    later beat on, where that is known of the whole bar only, a part of the least change that would do.
    """
    if beat == 0:
        return _REGRESSION_SHARE * space.towards(values, targets)
    tails = space.pinv_steps[beat][:, int(space.beat_starts[beat]) :].to(values.dtype)
    step = _PINV_SHARE * (targets - values) @ tails
    # a target far off is not reached from the last beat, whatever the regression says
    return step * (_LONGEST_PINV_STEP / step.norm(dim=1, keepdim=True).clamp(min=_LONGEST_PINV_STEP))
