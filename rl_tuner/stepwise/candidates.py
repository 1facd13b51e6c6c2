"""Candidates for the next step of a bar: noises to choose from, and the cells that they decide.

A fresh candidate is drawn from N(0, I): whoever takes one without preference samples from the generator. A bar that is
to stay close to a given one has two other kinds: what the given bar plays here, and this with one cell changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rhythmgan.models.interfaces import NextStep
from rl_tuner.stepwise.draws import Draws

_FAR = 1e3
"""A noise that decides its cell whatever is expected."""

_IMPOSSIBLE = 1e-30
"""A cell's chance is at least so much: the logarithm of 0 would hide which of two changes is likelier."""


@dataclass
class Candidates:
    """The candidates for a step of n bars, k of each.

    Attributes:
        noise: (n, k, numbers), what decides the step; float32.
        cells: (n, k, parts) bool, what it decides.
        keeps: (n, k) bool, whether a candidate plays what the given bar plays.
        edits: (n, k) bool, whether it plays that with one cell changed.
        log_chance: (n, k), of a candidate that is made from the given step, kept or changed, by how many nats its cells
            are less likely than all draws together, given what has been decided; 0 of the others.
    """

    noise: Tensor
    cells: Tensor
    keeps: Tensor
    edits: Tensor
    log_chance: Tensor

    def rows(self, index: Tensor) -> Candidates:
        """Those of the bars of these rows."""
        return Candidates(*(each[index] for each in (self.noise, self.cells, self.keeps, self.edits, self.log_chance)))


@torch.no_grad()
def draw_candidates(
    ahead: NextStep,
    n_parts: int,
    k: int,
    n_changes: int,
    given: Tensor,
    has_given: Tensor,
    locked: Tensor,
    draws: Draws,
) -> Candidates:
    """Candidates for the next step of n bars.

    Where there is a given bar the first candidate is drawn from N(0, I) cut off where the step would be another than
    there, as ``encode`` does, but given what has been decided so far; the next ones are, of all steps that differ from
    the given one in one cell, different ones drawn by their chance, with noise that is cut off likewise. All others
    are drawn from N(0, I). Where cells are locked the noise is cut off so that all candidates play them as given.

    Args:
        ahead: the next step of the bars.
        n_parts: parts of a step, and numbers of its noise.
        k: candidates.
        n_changes: how many have one cell changed, below k and at most ``n_parts``.
        given: (n, parts) bool, the step of the given bar.
        has_given: (n,) bool, whether there is one.
        locked: (n, parts) bool, cells of the step that are played as given.
        draws: what is drawn from.
    """
    n, device = len(given), given.device
    noise = fresh = draws.normal(n, k, n_parts)
    kinds = torch.arange(k, device=device)
    keeps, edits = (has_given[:, None] & kind for kind in (kinds == 0, (kinds > 0) & (kinds <= n_changes)))
    if has_given.any():
        wanted = given[:, None]
        if n_changes:
            wanted = torch.cat([wanted, likely_changes(ahead, given, n_changes, locked, draws)], 1)
        uniform = draws.uniform(*wanted.shape)
        close = torch.where(has_given[:, None, None], ahead.noise_of(wanted, uniform), noise[:, : 1 + n_changes])
        noise = torch.cat([close, noise[:, 1 + n_changes :]], 1)
    if locked.any():
        fixed = locked[:, None].expand_as(noise)
        far = torch.where(given, _FAR, -_FAR)[:, None].to(noise.dtype)
        cells = ahead.cells_of(torch.where(fixed, far, noise))
        # no further draws: whether other bars of the batch are locked must not move the stream of those that are not
        uniform = torch.special.ndtr(fresh.double())
        noise = torch.where(fixed, ahead.noise_of(cells, uniform), noise)
    cells, log_chance = ahead.cells_of(noise), torch.zeros((n, k), dtype=torch.float32, device=device)
    if has_given.any():
        made = keeps | edits
        log_chance[made] = step_log_chance(ahead, cells)[made] + math.log(max(1, k - 1 - n_changes))
    return Candidates(noise, cells, keeps, edits, log_chance)


def step_log_chance(ahead: NextStep, cells: Tensor) -> Tensor:
    """How likely steps (n, k, parts) bool are given what has been decided, (n, k), nats."""
    expected = ahead.expected_of(cells)
    return torch.special.ndtr(torch.where(cells, expected, -expected)).clamp(min=_IMPOSSIBLE).log().sum(2)


def likely_changes(ahead: NextStep, cells: Tensor, k: int, locked: Tensor, draws: Draws) -> Tensor:
    """k different steps that differ from a given one in one cell each, drawn by their chance without replacement.

    Where fewer than k cells are free, the given step stands for what is missing.

    Args:
        ahead: the step before it is decided.
        cells: (n, parts) bool, the given step.
        k: at most as many as there are parts.
        locked: (n, parts) bool, cells that do not change.
        draws: what is drawn from.

    Returns:
        (n, k, parts) bool, in the order in which they were drawn.
    """
    n, n_parts = cells.shape
    changed = cells[:, None] ^ torch.eye(n_parts, dtype=torch.bool, device=cells.device)  # (n, the changed part, parts)
    uniform = draws.uniform(n, n_parts)
    # the largest sums of log-chances and Gumbel noise are draws without replacement (Kool, van Hoof & Welling 2019)
    keys = step_log_chance(ahead, changed) - (-uniform.clamp(min=_IMPOSSIBLE).log()).log()
    drawn = keys.masked_fill(locked, -torch.inf).topk(k, 1).indices
    free = ~locked.gather(1, drawn)
    return cells[:, None] ^ (torch.nn.functional.one_hot(drawn, n_parts).bool() & free[..., None])
