"""Note-rest syncopation, of bars and of the chances of bars."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from rhythmgan.features.lines import as_tensor, checked_bars, checked_chances, steps_first, streams
from rhythmgan.features.metrical import metrical_weights, rest_weights
from rhythmgan.kit import STREAMS, Kit

_CHUNK = 8192
"""Bars at a time: about what a core's cache holds."""

_MOST_LOOKED_UP = 16
"""Steps of the longest grid whose lines are all worked out beforehand."""


def syncopation(bars: Tensor | np.ndarray, kit: Kit | None = None, stream: str | None = None) -> Tensor:
    """Note–rest syncopation summed over the three streams, or of one of them: ``low``, ``mid``, ``high``.

    The sum of ``note_rest_lhl`` over ``streams``; 0 … 45 on 16 steps. Any grid.

    Raises:
        ValueError: a shape that does not fit the kit, or an unknown stream.
    """
    bars, kit = checked_bars(bars, kit)
    if stream is not None and stream not in STREAMS:
        raise ValueError(f"no stream is called {stream!r}; there are {', '.join(STREAMS)}")
    names = STREAMS if stream is None else (stream,)
    if bars.dtype != torch.bool:
        lines = streams(bars, kit)
        return torch.stack([note_rest_lhl(lines[name]) for name in names]).sum(0)
    return torch.cat([_fast_syncopation(chunk, kit, names) for chunk in torch.split(bars, _CHUNK)]).long()


def _fast_syncopation(bars: Tensor, kit: Kit, names: Sequence[str]) -> Tensor:
    """The named streams' note–rest syncopation of a chunk of bars, as small ints."""
    n, steps, n_parts = bars.shape
    cells = bars.reshape(n, steps * n_parts).T.contiguous().view(steps, n_parts, n)
    lines = torch.stack([cells[:, list(kit.parts_of(name))].any(1) for name in names], 1)  # (steps, streams, n)
    found = _note_rest(lines.view(steps, -1)).view(len(names), n)
    return found.sum(0, dtype=torch.int16)


def note_rest_lhl(line: Tensor | np.ndarray) -> Tensor:
    """Note–rest syncopation of a line: Σ over onsets N of max(0, W[R] − W[N]).

    R is the strongest silent step before the next onset, W the ``metrical_weights``, of rests the ``rest_weights``.
    After Longuet-Higgins & Lee (1984) in the form of Fitch & Rosenfeld (2007). Weights, 0 … 15 on 16 steps; 0 for
    silence. Any grid: a rhythm has the same syncopation on every grid that holds it.

    Args:
        line: (n, steps) bool, or floats in 0 … 1: then the expected value, differentiable.

    Raises:
        ValueError: another shape or grid.
    """
    line = as_tensor(line)
    if line.is_floating_point():
        return _expected_note_rest(checked_chances(line))
    return _note_rest(steps_first(line)).long()


def _note_rest(line: Tensor) -> Tensor:
    """(steps, n) bool → (n,) int8; on short grids looked up, as there are no more than 65,536 lines of 16 steps."""
    steps = line.shape[0]
    if steps > _MOST_LOOKED_UP:
        return _walked(line)
    words = (line.to(torch.int32) << torch.arange(steps, dtype=torch.int32, device=line.device)[:, None]).sum(
        0, dtype=torch.int32
    )
    return _of_every_line(steps, line.device)[words]


@lru_cache(maxsize=8)
def _of_every_line(steps: int, device: torch.device) -> Tensor:
    """(2 ** steps,) int8, by the word of a line: its lowest bit is the first step."""
    words = torch.arange(1 << steps, dtype=torch.int32, device=device)
    return _walked((words >> torch.arange(steps, dtype=torch.int32, device=device)[:, None]) & 1 > 0)


def _walked(line: Tensor) -> Tensor:
    """(steps, n) bool → (n,) int8, walking backwards with the strongest rest before the next onset in hand.

    An int8 is enough: no two onsets have the same rest, and all weights between the bar lines are 55 together at most.
    """
    steps = line.shape[0]
    sounds = line.to(torch.int8)
    silent = 1 - sounds
    total = torch.zeros_like(sounds[0])
    for weights, notes in rest_weights(steps).items():
        strongest = torch.zeros_like(total)
        for step in reversed(range(steps)):  # the first lap learns what the next bar begins with
            strongest = strongest.clamp(min=weights[step]) * silent[step]
        for step in reversed(range(steps)):
            if step in notes:
                total += (strongest - weights[step]).clamp_(min=0) * sounds[step]
            strongest = strongest.clamp(min=weights[step]) * silent[step]
    return total


def _expected_note_rest(line: Tensor) -> Tensor:
    """Expected note–rest syncopation of lines whose steps sound independently with these chances.

    For an onset at t the strongest rest is at most m with chance F_m[t]: going on from t, the steps
    before the next onset are all silent and weigh m or less. Then E max(0, R − W[t]) is the sum of
    1 − F_m[t] over the levels m from W[t] on.
    """
    if line.ndim != 2:
        raise ValueError(f"expected a line (n, steps); got {tuple(line.shape)}")
    n, steps = line.shape
    own = metrical_weights(steps)
    weights = line.new_tensor(own)  # (steps,)
    levels = torch.arange(min(own), max(own), device=line.device, dtype=line.dtype)  # (m,)
    # what a note at t finds at t + d; (steps, steps)
    after = line.new_empty(steps, steps)
    for seen, notes in rest_weights(steps).items():
        for note in notes:
            after[note] = line.new_tensor(seen).roll(-note)
    at_most = torch.zeros(n, steps, len(levels), dtype=line.dtype, device=line.device)
    # no onset so far and every rest of level m or less; at the end of the lap stands the onset itself
    open_still = torch.ones_like(at_most)
    for distance in range(1, steps):
        ahead = line.roll(-distance, 1)[..., None]
        allowed = (after[:, distance, None] <= levels).to(line.dtype)  # (steps, m)
        at_most = at_most + open_still * ahead
        open_still = open_still * (1 - ahead) * allowed
    # none is open when the onset itself comes round again: some step weighs more than any level
    counted = (levels >= weights[:, None]).to(line.dtype)  # (steps, m)
    return (line * ((1 - at_most) * counted).sum(-1)).sum(1)
