"""Other published measures of syncopation and rhythmic complexity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features.lines import cells_of, steps_first, steps_to_next, streams
from rhythmgan.features.metrical import metrical_weights
from rhythmgan.kit import STREAMS, Kit


def _weights(line: Tensor) -> Tensor:
    """(steps, 1) int8: the metrical weights of a line's steps, on its device."""
    return torch.tensor(metrical_weights(line.shape[0]), dtype=torch.int8, device=line.device)[:, None]


def _only_16(steps: int, name: str) -> None:
    if steps != 16:
        raise ValueError(f"{name} is defined on 16 steps, not {steps}")


def short_sighted_lhl(line: Tensor | np.ndarray) -> Tensor:
    """Syncopation that looks one eighth ahead: the form of GrooveToolbox (Bruford et al. 2020) and jaki.

    For each onset t: W[t+1] − W[t] if t + 1 is silent and stronger; otherwise W[t+2] − W[t] if t + 2 is.
    Weights, from 0; a backbeat scores 0. 16 steps only: the two steps ahead are sixteenths.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    _only_16(line.shape[0], "short-sighted LHL")
    weights = _weights(line)
    one, two = ((~line.roll(-ahead, 0)) * (weights.roll(-ahead, 0) - weights).clamp(min=0).long() for ahead in (1, 2))
    return (line * torch.where(one > 0, one, two)).sum(0)


def signed_lhl(line: Tensor | np.ndarray) -> Tensor:
    """Σ of W[t+1] − W[t] over the onsets that a rest follows, as in rhythmtoolbox (Gómez-Marín 2018).

    Weights; what stands on the beat comes out negative, so a plain beat is far below 0. 16 steps only: the step
    ahead is a sixteenth.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    _only_16(line.shape[0], "signed LHL")
    weights = _weights(line).long()
    return ((line & ~line.roll(-1, 0)) * (weights.roll(-1, 0) - weights)).sum(0)


def wnbd(line: Tensor | np.ndarray) -> Tensor:
    """Weighted note-to-beat distance (Gómez, Melvin, Rappaport & Toussaint 2005), 0 … 2 × steps a beat.

    The mean over notes of 0 on a beat and k / T off it: T is the distance to the nearest beat, in beats,
    and k is 2 for a note that ends after the next beat and strictly before the one after, otherwise 1.
    A note ends at the next onset. 0 for silence. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    steps = line.shape[0]
    beat = steps // BEATS
    gap = steps_to_next(line)
    place = torch.arange(steps, device=line.device)[:, None] % beat
    nearest = torch.minimum(place, beat - place)
    to_beat = beat - place
    crosses = (gap > to_beat) & (gap < to_beat + beat)
    off = line & (place > 0)
    distance = beat * (1 + crosses.float()) / nearest.clamp(min=1)
    return (off * distance).sum(0) / line.sum(0).clamp(min=1)


def keith(line: Tensor | np.ndarray) -> Tensor:
    """Keith's measure as Toussaint counts it (Keith 1991; Toussaint 2013): notes that cut across their span.

    D is the largest power of two that is not above the interval to the next onset; a note at t counts
    if t mod D ≠ 0. 0 up to the onsets. Grids of 16 and 32 steps.

    Raises:
        ValueError: another shape, or a grid that is no power of two.
    """
    line = steps_first(line)
    steps = line.shape[0]
    if steps & (steps - 1):
        raise ValueError(f"Keith's measure is defined on 16 and 32 steps, not {steps}")
    gap = steps_to_next(line)
    # 2 ** floor(log2 gap) without the rounding of a logarithm
    spans = torch.tensor([1] + [1 << (g.bit_length() - 1) for g in range(1, steps + 1)], device=line.device)
    span = spans[gap.long()]
    step = torch.arange(steps, device=line.device)[:, None]
    return (line & (step % span != 0)).sum(0)


def off_beatness(line: Tensor | np.ndarray) -> Tensor:
    """Onsets on steps that share no factor with the bar's length (Toussaint 2005): on 16 steps the odd ones.

    0 up to the onsets. Any grid, but the value is the grid's: on 32 steps a sixteenth is even.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    steps = line.shape[0]
    odd = torch.tensor([np.gcd(step, steps) == 1 for step in range(steps)], device=line.device)
    return (line & odd[:, None]).sum(0)


def metric_complexity(line: Tensor | np.ndarray) -> Tensor:
    """How far the onsets are from the strongest steps they could be on (Toussaint 2002).

    The largest sum of W that so many onsets can have, minus the sum of W at the onsets. From 0. Any grid,
    but the value is the grid's: on 48 steps more are strong than on 16.

    Raises:
        ValueError: another shape or grid.
    """
    line = steps_first(line)
    weights = _weights(line).long()
    largest = torch.cat([weights.new_zeros(1), weights[:, 0].sort(descending=True).values.cumsum(0)])
    return largest[line.sum(0)] - (line * weights).sum(0)


_AGAINST_DRUM = {"low": 2, "mid": 1}
_AGAINST_HAT = 5
_AGAINST_REST = 6


_WITEK_WEIGHTS = tuple(
    {5: 0, 4: -1, 3: -1, 2: -2, 1: -3}[weight]  # all beats but the first alike
    for weight in metrical_weights(16)
)


def witek(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """Syncopation between kick, snare and cymbals (Witek et al. 2014): Σ of w(R) − w(N) + I where w(R) ≥ w(N).

    N is a note of ``low`` or ``mid``. R is the strongest silent step before anything sounds again where
    that is at least as strong as N, otherwise the step of the next sound if N's own line is not in it. I is 6 where
    R is silent, 5 where ``high`` sounds alone, otherwise 2 for a kick and 1 for a snare. The weights w are
    0 −3 −2 −3 −1 −3 −2 −3 … with all beats but the first alike. From 0. 16 steps only.

    The paper's formula has the other sign; its worked examples have this one. What follows N, where
    neither the next step nor the one after sounds, is our reading: implementations differ in it.

    Raises:
        ValueError: a shape that does not fit the kit, or another grid.
    """
    lines = {name: steps_first(line) for name, line in streams(cells_of(bars), kit).items()}
    low, mid, high = (lines[name] for name in STREAMS)
    steps = low.shape[0]
    _only_16(steps, "Witek's syncopation")
    weights = torch.tensor(_WITEK_WEIGHTS, dtype=torch.int8, device=low.device)[:, None]
    anything = low | mid | high
    never = torch.full_like(low[0], -128, dtype=torch.int8)
    total = torch.zeros_like(low[0], dtype=torch.int64)
    rest, ahead_weight, ahead_low, ahead_mid = never, never, low[0], mid[0]
    for step in reversed(range(2 * steps)):
        here = step % steps
        if step < steps:
            for own, name, own_ahead, other_ahead in (
                (low, "low", ahead_low, ahead_mid),
                (mid, "mid", ahead_mid, ahead_low),
            ):
                is_rest = rest >= weights[here]
                is_met = ~is_rest & (ahead_weight >= weights[here]) & ~own_ahead
                against = _AGAINST_HAT + (_AGAINST_DRUM[name] - _AGAINST_HAT) * other_ahead.long()
                value = is_rest * (rest.long() - weights[here] + _AGAINST_REST)
                value = value + is_met * (ahead_weight.long() - weights[here] + against)
                total += own[here] * value
        sounds = anything[here]
        rest = torch.where(sounds, never, torch.maximum(rest, weights[here]))
        ahead_weight = torch.where(sounds, weights[here], ahead_weight)
        ahead_low = torch.where(sounds, low[here], ahead_low)
        ahead_mid = torch.where(sounds, mid[here], ahead_mid)
    return total


def hoesl_senn(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """Syncopation fitted to listeners' judgements of drum patterns (Hoesl & Senn 2018).

    1.32 / steps · Σ over the syncopes of kick and snare of (c^w[R] − c^w[N]) · d where both are silent on
    R, with c = 2.8, d = 1.6 and w = 0 … −4 (``metrical_weights`` − 5). A syncope is an onset N with a
    stronger silent step R before the line's next onset, the strongest there is. The paper has 32 in the place of
    ``steps``, for two bars: a bar that is repeated has the same value. From 0. 16 steps only.

    Raises:
        ValueError: a shape that does not fit the kit, or another grid.
    """
    lines = {name: steps_first(line) for name, line in streams(cells_of(bars), kit).items()}
    low, mid = lines["low"], lines["mid"]
    steps = low.shape[0]
    _only_16(steps, "Hoesl and Senn's syncopation")
    weights = _weights(low)
    height = 2.8 ** (weights.double() - 5)
    silent = ~(low | mid)
    total = torch.zeros(low.shape[1], dtype=torch.float64, device=low.device)
    for own in (low, mid):
        strongest = torch.zeros_like(own[0], dtype=torch.int8)
        value = torch.zeros_like(total)  # c^w of the strongest rest so far
        factor = torch.ones_like(total)
        for step in reversed(range(2 * steps)):
            here = step % steps
            if step < steps:
                gain = torch.where(strongest > weights[here], (value - height[here]) * factor, 0.0)
                total += own[here] * gain
            better = (weights[here] >= strongest) | own[here]  # of equal ones the first
            strongest = torch.where(own[here], 0, torch.where(better, weights[here], strongest))
            value = torch.where(better, height[here].expand_as(value), value)
            factor = torch.where(better, 1 + 0.6 * silent[here].float(), factor)
    return 1.32 / steps * total
