"""Timing of performances: how they swing, at the eighths and at the sixteenths.

Bare bars have no timing. Performed bars have the offset of each onset, and songs before any grid the beat of each. Both
are measured alike: by where off-beats lie in their beats, or in their eighths.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features.lines import as_tensor
from rhythmgan.performance import Performance
from rhythmgan.playback import check_swing

Level = Literal["eighths", "sixteenths"]
"""Which off-beats swing: the second eighths of beats, or the second sixteenths of eighths."""

LEVELS: dict[str, Level] = {"swing": "eighths", "sixteenth swing": "sixteenths"}
"""Which off-beats a feature of the table ``PERFORMANCE_FEATURES`` measures."""

EARLIEST, LATEST = 3 / 8, 17 / 24
"""Where an off-beat lies at the earliest, and just too late, in its beat (or eighth): nearer to 1/2 or 2/3 than to what
lies on either side, 1/4 and 3/4."""

_PAIRS_IN_A_BEAT = {"eighths": 1, "sixteenths": 2}
_ROUNDING = 1e-6
"""Offsets are float32: a place that is this near to an end counts as the end."""

_HALVINGS = 40


def swing(performance: Performance) -> Tensor:
    """Where in its beat the off-beat eighth of each bar falls on average: .5 is straight, .667 a triplet shuffle.

    An onset counts, on any grid, if it lies from ``EARLIEST`` to below ``LATEST`` of its beat. The swing of
    ``Playback`` is the other one, ``sixteenth_swing``.

    Returns:
        (n,) float64 in .375 … .708, of several loops (loops, n); NaN for a bar without an off-beat eighth.
    """
    return _swing_of_bars(performance, "eighths")


def sixteenth_swing(performance: Performance) -> Tensor:
    """Where in its eighth the second sixteenth of each bar falls on average: .5 is straight, .667 a triplet shuffle.

    It is what ``Playback.swing`` sets. An onset counts if it lies from ``EARLIEST`` to below ``LATEST`` of its eighth.

    Returns:
        (n,) float64 in .375 … .708, of several loops (loops, n); NaN for a bar without a second sixteenth.

    Raises:
        ValueError: a bar of 12 steps, which has eighth triplets only.
    """
    return _swing_of_bars(performance, "sixteenths")


def swing_of_onsets(beat: Tensor | np.ndarray, bar: Tensor | np.ndarray, n: int, level: Level = "eighths") -> Tensor:
    """``swing`` or ``sixteenth_swing`` before any grid: of ``Onsets.beat`` of ``read_midi`` or ``read_lpd``.

    Args:
        beat: (onsets,) float, quarter notes.
        bar: (onsets,) ints from 0 to below n, the bar of each onset; all 0, with n = 1, for one number of a song.
        n: bars.
        level: which off-beats.

    Returns:
        (n,) float64 in .375 … .708; NaN for a bar without an off-beat.

    Raises:
        ValueError: beats and bars do not go together, or a bar out of range.
    """
    beat, bar = as_tensor(beat).double(), as_tensor(bar).long()
    if beat.ndim != 1 or beat.shape != bar.shape:
        raise ValueError(f"expected a beat and a bar for each onset; got {tuple(beat.shape)} and {tuple(bar.shape)}")
    if len(bar) and not 0 <= int(bar.min()) <= int(bar.max()) < n:
        raise ValueError(f"bars lie from 0 to below {n}; found {int(bar.min())} … {int(bar.max())}")
    return _mean_off_beat(bar, beat * _PAIRS_IN_A_BEAT[level] % 1, n)


def with_swing(performance: Performance, swing: float, level: Level = "sixteenths") -> Performance:
    """The same bars with another swing: the off-beats of a bar are moved alike, all else stays where it is.

    What an off-beat deviates from the others of its bar is kept, as far as it stays on its step and an off-beat.

    Args:
        performance: of one loop or several.
        swing: that each bar is to have, .5 … .7. An onset moves within half a step: off-beat eighths on 16 steps, and
            second sixteenths on 32, come to .625 only.
        level: which off-beats.

    Returns:
        The performance; a bar without an off-beat is as it was.

    Raises:
        ValueError: a swing out of range, or sixteenths in a bar of 12 steps.
    """
    check_swing(swing)
    found = _places(performance, level)
    moves = _is_off_beat(found.place)
    if not moves.any():
        return performance
    step, place = found.step[moves], found.place[moves]
    least = np.maximum((step - 0.5) / found.n_steps, EARLIEST)
    most = np.minimum((step + 0.5) / found.n_steps, LATEST) - 2 * _ROUNDING
    _, bar = np.unique(found.bar[moves], return_inverse=True)
    count = np.bincount(bar)
    low, high = np.full(len(count), -1.0), np.ones(len(count))
    for _ in range(_HALVINGS):
        shift = (low + high) / 2
        is_early = np.bincount(bar, np.clip(place + shift[bar], least, most)) / count < swing
        low, high = np.where(is_early, shift, low), np.where(is_early, high, shift)
    late = performance.offsets[performance.bars]
    late[moves] = np.clip(place + high[bar], least, most) * found.n_steps - step
    offsets = performance.offsets.copy()
    offsets[performance.bars] = late
    return Performance(performance.bars, performance.velocities, offsets, performance.kit)


def with_swung_bars(
    performance: Performance, bars: np.ndarray, swing: float, level: Level = "sixteenths"
) -> Performance:
    """``Performance.with_bars`` with another swing: off-beats that stay keep their scatter, new ones lie at the swing.

    Args:
        performance: of one loop.
        bars: bool of the shape of its bars, or several loops of it, (loops, n, steps, parts).
        swing: that each bar is to have, see ``with_swing``.
        level: which off-beats.

    Raises:
        ValueError: as ``with_bars`` and ``with_swing``.
    """
    mixed = with_swing(performance, swing, level).with_bars(bars)
    new = with_swing(Performance.of(mixed.bars, mixed.kit), swing, level)
    offsets = np.where(performance.bars, mixed.offsets, new.offsets)
    return with_swing(Performance(mixed.bars, mixed.velocities, offsets, mixed.kit), swing, level)


class _Places(NamedTuple):
    """Where the onsets of bars lie in their beats, or in their eighths.

    Attributes:
        bar: (onsets,) ints, counted through all loops.
        step: (onsets,) ints, of the beat or the eighth.
        place: (onsets,) float64, 0 … 1 of it.
        n_steps: that it has.
    """

    bar: np.ndarray
    step: np.ndarray
    place: np.ndarray
    n_steps: int


def _places(performance: Performance, level: Level) -> _Places:
    steps = performance.bars.shape[-2]
    n_steps, rest = divmod(steps // BEATS, _PAIRS_IN_A_BEAT[level])
    if rest:
        raise ValueError(f"a bar of {steps} steps has no eighths that sixteenths could swing in")
    bar, step, _ = np.nonzero(performance.bars.reshape(-1, *performance.bars.shape[-2:]))
    step %= n_steps
    place = (step + performance.offsets[performance.bars].astype(np.float64)) / n_steps % 1
    return _Places(bar, step, place, n_steps)


def _swing_of_bars(performance: Performance, level: Level) -> Tensor:
    found, shape = _places(performance, level), performance.bars.shape[:-2]
    bar, place = torch.from_numpy(found.bar), torch.from_numpy(found.place)
    return _mean_off_beat(bar, place, int(np.prod(shape))).view(shape)


def _mean_off_beat(bar: Tensor, place: Tensor, n: int) -> Tensor:
    """The mean place of the off-beats of each of n bars, NaN where there is none."""
    counts = _is_off_beat(place)
    return torch.bincount(bar[counts], place[counts], minlength=n) / torch.bincount(bar[counts], minlength=n)


def _is_off_beat(place: Any) -> Any:
    """Of a tensor or an array of places in the beat or the eighth."""
    return (place >= EARLIEST - _ROUNDING) & (place < LATEST - _ROUNDING)
