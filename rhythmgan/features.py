"""Numbers of a bar: density, syncopation in its published forms, repetition, evenness, balance, swing.

A *line* is one part's onsets, or those of several parts together: (n, steps) bool. Everything is
cyclic in the bar unless said, batched, and stays on the device that it came from; NumPy arrays are
taken as well. What a function returns is a tensor (n,).

``density`` and ``syncopation`` also take cells between 0 and 1, as a generator's probabilities: they
are then the expected value over bars whose cells are drawn independently, a polynomial in the cells
that can be differentiated and that is exact where every cell is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS, STEPS, check_steps
from rhythmgan.kit import GM9, STREAMS, Kit

# --- The metrical tree -------------------------------------------------------------------------------

_DIVISIONS = {12: (2, 2, 3), 16: (2, 2, 2, 2), 32: (2, 2, 2, 2, 2)}


def metrical_weights(steps: int) -> tuple[int, ...]:
    """How strong each step of a 4/4 bar is: 5 on the bar line, one less for each level of the tree below.

    Sixteen steps: 5 1 2 1 3 1 2 1 4 1 2 1 3 1 2 1 (Longuet-Higgins & Lee 1984, whose own weights are
    these less 5). Twelve steps divide the beat in three, 32 the sixteenth in two; a step that two
    grids share weighs the same on both.

    Raises:
        ValueError: 24 or 48 steps: they hold duplets and triplets, of which no one tree is made.
    """
    if steps not in _DIVISIONS:
        check_steps(steps)
        grids = ", ".join(map(str, _DIVISIONS))
        raise ValueError(
            f"a grid of {steps} steps holds duplets and triplets and has no metrical weights; of {grids} it has"
        )
    weights = [5] + [0] * (steps - 1)
    span = steps
    for level, parts in enumerate(_DIVISIONS[steps], 1):
        span //= parts
        for step in range(0, steps, span):
            weights[step] = weights[step] or 5 - level
    return tuple(weights)


_WITEK_WEIGHTS = tuple(
    {5: 0, 4: -1, 3: -1, 2: -2, 1: -3}[weight]  # all beats but the first alike
    for weight in metrical_weights(16)
)


# --- Lines -------------------------------------------------------------------------------------------


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """A tensor of an array, sharing its memory where torch can."""
    if isinstance(values, Tensor):
        return values
    values = np.asarray(values)
    shared = values.flags.writeable and min(values.strides, default=0) >= 0
    return torch.from_numpy(values if shared else values.copy())


def streams(bars: Tensor | np.ndarray, kit: Kit = GM9) -> dict[str, Tensor]:
    """The three lines that syncopation is measured on, by name, each (n, steps).

    ``low`` is the kick, ``mid`` snare and toms, ``high`` hats, ride and crash: a line sounds where any
    of its parts does. Of bars with cells between 0 and 1 it is the chance that any does.
    """
    bars = _bars(bars, kit)
    lines = {}
    for name in STREAMS:
        parts = [bars[..., index] for index in kit.parts_of(name)]
        line = parts[0]
        for part in parts[1:]:
            line = line | part if bars.dtype == torch.bool else line + part - line * part
        lines[name] = line
    return lines


def union(bars: Tensor | np.ndarray) -> Tensor:
    """The line of all parts together: (n, steps, parts) bool → (n, steps) bool.

    Raises:
        ValueError: another shape or grid; so do all below that take bars.
    """
    return cells_of(bars).any(-1)


def _bars(bars: Tensor | np.ndarray, kit: Kit) -> Tensor:
    """The bars as a tensor of bools or floats.

    Raises:
        ValueError: another shape than (n, steps, parts of the kit).
    """
    bars = _tensor(bars)
    if bars.ndim != 3 or bars.shape[-1] != kit.n_parts:
        raise ValueError(f"expected bars (n, steps, {kit.n_parts}) for kit {kit.name}; got {tuple(bars.shape)}")
    check_steps(bars.shape[1])
    return _checked(bars) if bars.is_floating_point() else _as_bool(bars)


def _checked(cells: Tensor) -> Tensor:
    """Floats that are chances, otherwise a ValueError: velocities or logits would be taken for them."""
    if cells.numel() and not (float(cells.detach().min()) >= 0 and float(cells.detach().max()) <= 1):
        raise ValueError("cells that are floats are chances from 0 to 1")
    return cells


def cells_of(bars: Tensor | np.ndarray) -> Tensor:
    """The bars of any kit as a tensor of bools.

    Raises:
        ValueError: another shape than (n, steps, parts), or cells between 0 and 1.
    """
    bars = _tensor(bars)
    if bars.ndim != 3 or bars.shape[1] not in STEPS:
        grids = ", ".join(map(str, STEPS))
        raise ValueError(f"expected bars (n, steps, parts), steps one of {grids}; got {tuple(bars.shape)}")
    return _as_bool(bars)


def _as_bool(cells: Tensor) -> Tensor:
    """Cells as bools.

    Raises:
        ValueError: floats that are not 0 or 1: only density and syncopation have a meaning for them.
    """
    if cells.is_floating_point() and not ((cells == 0) | (cells == 1)).all():
        raise ValueError("cells between 0 and 1 are taken by density and syncopation only")
    return cells if cells.dtype == torch.bool else cells != 0


def _line(line: Tensor | np.ndarray) -> Tensor:
    """A line as (steps, n) bool: with the bars innermost, each step of them is one stretch of memory.

    Raises:
        ValueError: another shape than (n, steps), or no grid that a bar may have.
    """
    line = _tensor(line)
    if line.ndim != 2:
        raise ValueError(f"expected a line (n, steps); got {tuple(line.shape)}")
    check_steps(line.shape[1])
    return _as_bool(line).T.contiguous()


def _only_16(steps: int, name: str) -> None:
    if steps != 16:
        raise ValueError(f"{name} is defined on 16 steps, not {steps}")


def _weights(line: Tensor) -> Tensor:
    """(steps, 1) int8: the metrical weights of a line's steps, on its device."""
    return torch.tensor(metrical_weights(line.shape[0]), dtype=torch.int8, device=line.device)[:, None]


def _to_next(line: Tensor) -> Tensor:
    """(steps, n) bool → (steps, n) int16: steps from each step to the next onset after it, at most ``steps``."""
    steps = line.shape[0]
    gap = torch.full(line.shape[1:], steps, dtype=torch.int16, device=line.device)
    gaps = torch.empty(line.shape, dtype=torch.int16, device=line.device)
    for step in reversed(range(2 * steps)):  # the first lap learns where the next bar's first onset is
        gaps[step % steps] = gap
        gap = torch.where(line[step % steps], 1, gap + 1)
    return gaps.clamp_(max=steps)


# --- Density -----------------------------------------------------------------------------------------

GROUPS = {"kick": ("low",), "drums": ("low", "mid"), "cymbals": ("high",)}
"""Groups of parts whose density is offered by itself, as the streams that they are made of."""


def density(bars: Tensor | np.ndarray, kit: Kit = GM9, group: str | None = None) -> Tensor:
    """Onsets in the bar, 0 … steps × parts; of one of ``GROUPS`` only if it is named.

    ``kick``; ``drums``: kick, snare and toms; ``cymbals``: hats, ride and crash. Any grid.

    Raises:
        ValueError: a shape that does not fit the kit, or an unknown group.
    """
    bars = _bars(bars, kit)
    if group is not None:
        if group not in GROUPS:
            raise ValueError(f"no group of parts is called {group!r}; there are {', '.join(GROUPS)}")
        bars = bars[..., [index for stream in GROUPS[group] for index in kit.parts_of(stream)]]
    cells = bars.flatten(1)
    if bars.dtype != torch.bool:
        return cells.sum(1)
    # as bytes: torch adds bools one at a time
    return cells.view(torch.uint8).sum(1, dtype=torch.int16).long()


def step_density(bars: Tensor | np.ndarray) -> Tensor:
    """Steps on which anything sounds, 0 … steps. Any grid."""
    return union(bars).sum(1)


def parts_used(bars: Tensor | np.ndarray) -> Tensor:
    """Parts that sound in the bar, 0 … parts. Any grid."""
    return cells_of(bars).any(1).sum(1)


def off_beat_share(bars: Tensor | np.ndarray) -> Tensor:
    """Share of the onsets that do not fall on one of the four beats, 0 … 1; 0 of an empty bar. Any grid."""
    cells = cells_of(bars)
    steps = cells.shape[1]
    onsets = cells.sum((1, 2))
    on_beat = cells[:, :: steps // BEATS].sum((1, 2))
    return (onsets - on_beat) / onsets.clamp(min=1)


# --- Syncopation, as published -----------------------------------------------------------------------

_CHUNK = 8192
"""Bars at a time: about what a core's cache holds."""


def syncopation(bars: Tensor | np.ndarray, kit: Kit = GM9, stream: str | None = None) -> Tensor:
    """Note–rest syncopation summed over the three streams, or of one of them: ``low``, ``mid``, ``high``.

    The sum of ``note_rest_lhl`` over ``streams``; 0 … 45 on 16 steps. Grids of 12, 16 and 32 steps.

    Raises:
        ValueError: a shape that does not fit the kit, an unknown stream, or a grid without metrical weights.
    """
    bars = _bars(bars, kit)
    if stream is not None and stream not in STREAMS:
        raise ValueError(f"no stream is called {stream!r}; there are {', '.join(STREAMS)}")
    names = STREAMS if stream is None else (stream,)
    if bars.dtype != torch.bool:
        lines = streams(bars, kit)
        return torch.stack([note_rest_lhl(lines[name]) for name in names]).sum(0)
    metrical_weights(bars.shape[1])
    return torch.cat([_fast_syncopation(chunk, kit, names) for chunk in torch.split(bars, _CHUNK)]).long()


def density_and_syncopation(bars: Tensor | np.ndarray, kit: Kit = GM9) -> tuple[Tensor, Tensor]:
    """``density`` and ``syncopation`` of bars (n, steps, parts) bool, both (n,) ints.

    What steering asks for at every step; ``benchmarks/features.py`` times it.

    Raises:
        ValueError: as ``syncopation``.
    """
    bars = _as_bool(_bars(bars, kit))
    return density(bars, kit), syncopation(bars, kit)


def _fast_syncopation(bars: Tensor, kit: Kit, names: Sequence[str]) -> Tensor:
    """The named streams' note–rest syncopation of a chunk of bars, as small ints."""
    n, steps, n_parts = bars.shape
    cells = bars.reshape(n, steps * n_parts).T.contiguous().view(steps, n_parts, n)
    lines = torch.stack([cells[:, list(kit.parts_of(name))].any(1) for name in names], 1)  # (steps, streams, n)
    found = _note_rest(lines.view(steps, -1)).view(len(names), n)
    return found.sum(0, dtype=torch.int16)


def note_rest_lhl(line: Tensor | np.ndarray) -> Tensor:
    """Note–rest syncopation of a line: Σ over onsets N of max(0, W[R] − W[N]).

    R is the strongest silent step before the next onset, W the ``metrical_weights``. After
    Longuet-Higgins & Lee (1984) in the form of Fitch & Rosenfeld (2007). Weights, 0 … 15 on 16 steps;
    0 for silence. Grids of 12, 16 and 32 steps.

    Args:
        line: (n, steps) bool, or floats in 0 … 1: then the expected value, differentiable.

    Raises:
        ValueError: another shape, or a grid without metrical weights.
    """
    line = _tensor(line)
    if line.is_floating_point():
        return _expected_note_rest(_checked(line))
    return _note_rest(_line(line)).long()


def _note_rest(line: Tensor) -> Tensor:
    """(steps, n) bool → (n,) int8, walking backwards with the strongest rest before the next onset in hand."""
    weights = _weights(line)
    sounds = line.to(torch.int8)
    silent = 1 - sounds
    strongest = torch.zeros_like(sounds[0])
    for step in reversed(range(line.shape[0])):
        strongest = torch.maximum(strongest, weights[step]) * silent[step]
    total = torch.zeros_like(strongest)
    for step in reversed(range(line.shape[0])):
        total += (strongest - weights[step]).clamp_(min=0) * sounds[step]
        strongest = torch.maximum(strongest, weights[step]) * silent[step]
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
    weights = line.new_tensor(metrical_weights(steps))  # (steps,)
    levels = torch.arange(int(weights.min()), 5, device=line.device, dtype=line.dtype)  # (m,)
    at_most = torch.zeros(n, steps, len(levels), dtype=line.dtype, device=line.device)
    # no onset so far and every rest of level m or less; at the end of the lap stands the onset itself
    open_still = torch.ones_like(at_most)
    for distance in range(1, steps):
        ahead = line.roll(-distance, 1)[..., None]
        allowed = (weights.roll(-distance)[:, None] <= levels).to(line.dtype)  # (steps, m)
        at_most = at_most + open_still * ahead
        open_still = open_still * (1 - ahead) * allowed
    # none is open when the onset itself comes round again: some step weighs more than any level
    counted = (levels >= weights[:, None]).to(line.dtype)  # (steps, m)
    return (line * ((1 - at_most) * counted).sum(-1)).sum(1)


def short_sighted_lhl(line: Tensor | np.ndarray) -> Tensor:
    """Syncopation that looks one eighth ahead: the form of GrooveToolbox (Bruford et al. 2020) and jaki.

    For each onset t: W[t+1] − W[t] if t + 1 is silent and stronger; otherwise W[t+2] − W[t] if t + 2 is.
    Weights, from 0; a backbeat scores 0. 16 steps only: the two steps ahead are sixteenths.

    Raises:
        ValueError: another shape or grid.
    """
    line = _line(line)
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
    line = _line(line)
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
    line = _line(line)
    steps = line.shape[0]
    beat = steps // BEATS
    gap = _to_next(line)
    place = torch.arange(steps, device=line.device)[:, None] % beat
    nearest = torch.minimum(place, beat - place)
    to_beat = beat - place
    crosses = (gap > to_beat) & (gap < to_beat + beat)
    off = line & (place > 0)
    distance = beat * (1.0 + crosses) / nearest.clamp(min=1)
    return (off * distance).sum(0) / line.sum(0).clamp(min=1)


def keith(line: Tensor | np.ndarray) -> Tensor:
    """Keith's measure as Toussaint counts it (Keith 1991; Toussaint 2013): notes that cut across their span.

    D is the largest power of two that is not above the interval to the next onset; a note at t counts
    if t mod D ≠ 0. 0 up to the onsets. Grids of 16 and 32 steps.

    Raises:
        ValueError: another shape, or a grid that is no power of two.
    """
    line = _line(line)
    steps = line.shape[0]
    if steps & (steps - 1):
        raise ValueError(f"Keith's measure is defined on 16 and 32 steps, not {steps}")
    gap = _to_next(line)
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
    line = _line(line)
    steps = line.shape[0]
    odd = torch.tensor([np.gcd(step, steps) == 1 for step in range(steps)], device=line.device)
    return (line & odd[:, None]).sum(0)


def metric_complexity(line: Tensor | np.ndarray) -> Tensor:
    """How far the onsets are from the strongest steps they could be on (Toussaint 2002).

    The largest sum of W that so many onsets can have, minus the sum of W at the onsets. From 0. Grids of
    12, 16 and 32 steps.

    Raises:
        ValueError: another shape, or a grid without metrical weights.
    """
    line = _line(line)
    weights = _weights(line).long()
    largest = torch.cat([weights.new_zeros(1), weights[:, 0].sort(descending=True).values.cumsum(0)])
    return largest[line.sum(0)] - (line * weights).sum(0)


_AGAINST_DRUM = {"low": 2, "mid": 1}
_AGAINST_HAT = 5
_AGAINST_REST = 6


def witek(bars: Tensor | np.ndarray, kit: Kit = GM9) -> Tensor:
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
    lines = {name: _line(line) for name, line in streams(cells_of(bars), kit).items()}
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


def hoesl_senn(bars: Tensor | np.ndarray, kit: Kit = GM9) -> Tensor:
    """Syncopation fitted to listeners' judgements of drum patterns (Hoesl & Senn 2018).

    1.32 / steps · Σ over the syncopes of kick and snare of (c^w[R] − c^w[N]) · d where both are silent on
    R, with c = 2.8, d = 1.6 and w = 0 … −4 (``metrical_weights`` − 5). A syncope is an onset N with a
    stronger silent step R before the line's next onset, the strongest there is. The paper has 32 in the place of
    ``steps``, for two bars: a bar that is repeated has the same value. From 0. 16 steps only.

    Raises:
        ValueError: a shape that does not fit the kit, or another grid.
    """
    lines = {name: _line(line) for name, line in streams(cells_of(bars), kit).items()}
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
            factor = torch.where(better, 1.0 + 0.6 * silent[here], factor)
    return 1.32 / steps * total


# --- Shape -------------------------------------------------------------------------------------------


def repetition(bars: Tensor | np.ndarray) -> Tensor:
    """How much of the bar's first half comes again in its second, 0 … 1, as jaki's symmetry.

    2 · cells that sound in both halves / onsets; 0 of an empty bar. Any grid.
    """
    cells = cells_of(bars)
    half = cells.shape[1] // 2
    both = (cells[:, :half] & cells[:, half:]).sum((1, 2))
    return 2 * both / cells.sum((1, 2)).clamp(min=1)


def evenness(line: Tensor | np.ndarray) -> Tensor:
    """How evenly the onsets t_k are spread, 0 … 1 (Milne & Dean 2016): |Σ_k exp 2πi (t_k / T − k / K)| / K.

    1 where all intervals are equal; 0 for silence. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = _line(line)
    return _resultant(line, _turn_off_even(line)) / line.sum(0).clamp(min=1)


def _turn_off_even(line: Tensor) -> Tensor:
    """(steps, n): how far the k-th onset is from the k-th of as many even ones, in turns; float64."""
    steps = line.shape[0]
    number = (line.cumsum(0) - 1).double()
    return torch.arange(steps, device=line.device)[:, None] / steps - number / line.sum(0).clamp(min=1)


def cosine_evenness(line: Tensor | np.ndarray) -> Tensor:
    """The shortcut to evenness that rhythmtoolbox takes (Gómez-Marín et al. 2020), 0 … 1, to compare with its numbers.

    The mean over onsets of |cos 2π ((t_k − t_0) / T − k / K)|; 0 for silence. It agrees with ``evenness``
    where all intervals are equal. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = _line(line)
    onsets = line.sum(0)
    turn = _turn_off_even(line)
    first = torch.where(line & (line.cumsum(0) == 1), turn, 0).sum(0)
    return (line * (2 * np.pi * (turn - first)).cos().abs()).sum(0) / onsets.clamp(min=1)


def balance(line: Tensor | np.ndarray) -> Tensor:
    """How near the onsets' centre of gravity on the circle is to its centre, 0 … 1 (Milne & Herff 2020).

    1 − |Σ_k exp 2πi t_k / T| / K; 1 for silence. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = _line(line)
    turn = torch.arange(line.shape[0], device=line.device)[:, None] / line.shape[0]
    return 1 - _resultant(line, turn) / line.sum(0).clamp(min=1)


def _resultant(line: Tensor, turn: Tensor) -> Tensor:
    """Length of the sum of unit vectors at these turns of the circle, over the onsets of a line (steps, n)."""
    angle = 2 * np.pi * turn.double()
    return ((line * angle.cos()).sum(0).square() + (line * angle.sin()).sum(0).square()).sqrt()


def npvi(line: Tensor | np.ndarray) -> Tensor:
    """Normalised pairwise variability of the intervals, 0 … 200 (Grabe & Low 2002; Toussaint 2013).

    100 × the mean over neighbouring intervals of |a − b| / ((a + b) / 2). There are as many intervals as onsets,
    the last one into the next bar; it and the next bar's first are not compared. 0 below two onsets. Any grid.

    Raises:
        ValueError: another shape or grid.
    """
    line = _line(line)
    steps = line.shape[0]
    gap = _to_next(line).long()
    after = (torch.arange(steps, device=line.device)[:, None] + gap) % steps
    neighbour = gap.gather(0, after)
    is_last = line & (line.flip(0).cumsum(0).flip(0) == 1)
    contrast = 2 * (gap - neighbour).abs() / (gap + neighbour)
    return 100 * (line * ~is_last * contrast).sum(0) / (line.sum(0) - 1).clamp(min=1)


def swing(beat: Tensor | np.ndarray, bar: Tensor | np.ndarray, n: int) -> Tensor:
    """Where in its beat the off-beat eighth falls on average: .5 is straight, .667 a triplet shuffle.

    For performances with timing, which bars on a grid have lost: ``Onsets.beat`` of ``read_midi`` or ``read_lpd``.
    An onset from 3/8 to below 17/24 of a beat counts as an off-beat eighth: nearer to 1/2 or 2/3 than to the
    sixteenths on either side.

    Args:
        beat: (onsets,) float, quarter notes.
        bar: (onsets,) ints from 0 to below n, the bar of each onset; all 0, with n = 1, for one number of a song.
        n: bars.

    Returns:
        (n,) float64 in .375 … .708; NaN for a bar without an off-beat eighth.

    Raises:
        ValueError: beats and bars do not go together, or a bar out of range.
    """
    beat, bar = _tensor(beat).double(), _tensor(bar).long()
    if beat.ndim != 1 or beat.shape != bar.shape:
        raise ValueError(f"expected a beat and a bar for each onset; got {tuple(beat.shape)} and {tuple(bar.shape)}")
    if len(bar) and not 0 <= int(bar.min()) <= int(bar.max()) < n:
        raise ValueError(f"bars lie from 0 to below {n}; found {int(bar.min())} … {int(bar.max())}")
    place = beat % 1
    eighth = (place >= 3 / 8) & (place < 17 / 24)
    count = torch.bincount(bar[eighth], minlength=n)
    return torch.bincount(bar[eighth], place[eighth], minlength=n) / count


# --- All of them, by name ----------------------------------------------------------------------------


def _summed(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Kit], Tensor]:
    """A line's measure as that of a bar: its sum over the streams."""
    return lambda bars, kit: torch.stack([measure(line) for line in streams(bars, kit).values()]).sum(0)


def _averaged(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Kit], Tensor]:
    """A line's measure as that of a bar: its mean over the streams that sound; 0 where none does."""

    def mean(bars: Tensor, kit: Kit) -> Tensor:
        lines = torch.stack(list(streams(bars, kit).values()))
        sounds = lines.any(-1)
        return (sounds * torch.stack([measure(line) for line in lines])).sum(0) / sounds.sum(0).clamp(min=1)

    return mean


FEATURES: dict[str, Callable[[Tensor, Kit], Tensor]] = {
    "density": density,
    "kick density": lambda bars, kit: density(bars, kit, "kick"),
    "drums density": lambda bars, kit: density(bars, kit, "drums"),
    "cymbals density": lambda bars, kit: density(bars, kit, "cymbals"),
    "syncopation": syncopation,
    "low syncopation": lambda bars, kit: syncopation(bars, kit, "low"),
    "mid syncopation": lambda bars, kit: syncopation(bars, kit, "mid"),
    "high syncopation": lambda bars, kit: syncopation(bars, kit, "high"),
    "step density": lambda bars, kit: step_density(bars),
    "off-beat share": lambda bars, kit: off_beat_share(bars),
    "parts used": lambda bars, kit: parts_used(bars),
    "short-sighted LHL": lambda bars, kit: short_sighted_lhl(union(bars)),
    "signed LHL": _summed(signed_lhl),
    "WNBD": _averaged(wnbd),
    "Keith": _summed(keith),
    "off-beatness": _summed(off_beatness),
    "metric complexity": _summed(metric_complexity),
    "Witek": witek,
    "Hoesl-Senn": hoesl_senn,
    "repetition": lambda bars, kit: repetition(bars),
    "evenness": _averaged(evenness),
    "balance": _averaged(balance),
    "nPVI": _averaged(npvi),
}
"""Every feature of a bar on a grid by its name. Measures of a line are summed over the three streams where they are
counts or sums over onsets, averaged over those that sound where they are means; the short-sighted form is
that of all parts together, as in jaki."""


def measure(bars: Tensor | np.ndarray, kit: Kit = GM9, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Features of bars (n, steps, parts) bool: name → (n,), in the order of the names; all of ``FEATURES`` by default.

    Raises:
        ValueError: a shape that does not fit the kit, an unknown name, or one that is not defined on this grid.
    """
    bars = _as_bool(_bars(bars, kit))
    for name in names or ():
        check_feature(name)
    return {name: FEATURES[name](bars, kit) for name in (FEATURES if names is None else names)}


def check_feature(name: str) -> str:
    """``name`` if it is one of ``FEATURES``, otherwise a ValueError that lists them."""
    if name not in FEATURES:
        raise ValueError(f"no feature is called {name!r}; there are {', '.join(FEATURES)}")
    return name
