"""From onsets in time to bars on a grid: what every reader (MIDI, LPD) hands its song to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rhythmgan.bars import BEATS, check_steps
from rhythmgan.kit import Kit

FOUR_FOUR = {(4, 4), (2, 2)}
"""Time signatures whose bar is four quarter notes in two or four beats: cut time is 4/4 counted in halves."""

MAX_BARS = 1 << 20
"""Bars of a song: what a damaged file puts behind them is left out."""


@dataclass(frozen=True)
class TimeSignature:
    """A time signature from one beat on, until the next one."""

    beat: float
    numerator: int
    denominator: int

    @property
    def n_beats(self) -> float:
        """A bar's length in quarter notes."""
        return self.numerator * 4 / self.denominator


@dataclass(frozen=True)
class Onsets:
    """The drum onsets of one song, before any grid.

    Attributes:
        beat: (n,) float64, quarter notes from the start.
        pitch: (n,) uint8, MIDI pitches 0-127.
        velocity: (n,) uint8, 1-127.
        time_signatures: time signatures by beat, the first at 0; none means 4/4 throughout.
        bpm: quarter notes a minute by the first tempo of a MIDI file; 120 where none is written, as of LPD.
    """

    beat: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    time_signatures: tuple[TimeSignature, ...] = ()
    bpm: float = 120.0


@dataclass(frozen=True)
class QuantisedBars:
    """The bars of one song and what was left behind.

    Attributes:
        bars: (n, steps, parts) bool, in order, none empty.
        velocities: (n, steps, parts) uint8, the loudest onset of each cell, 0 where none is.
        offsets: (n, steps, parts) float32, how late that onset is in parts of a step, -½ … ½; the first of those that
            are as loud, 0 where none is.
        index: (n,) int32, each bar's place in its song (neighbours differ by one).
        n_empty: bars of 4/4 between the first and the last that sound, without an onset of this kit.
        n_other_time_signature: onsets in other time signatures, in bars that a change of time signature
            cuts short, or behind ``MAX_BARS``.
        n_outside_kit: onsets of pitches that are not of this kit.
    """

    bars: np.ndarray
    velocities: np.ndarray
    offsets: np.ndarray
    index: np.ndarray
    n_empty: int
    n_other_time_signature: int
    n_outside_kit: int


def quantise(onsets: Onsets, kit: Kit, steps: int = 16) -> QuantisedBars:
    """Quantise a whole song to the nearest step, then cut it into its 4/4 bars.

    Quantising first lets an onset that is played just ahead of a bar line fall on the one.
    """
    per_beat = check_steps(steps) / BEATS
    starts, is_four, n_full, first_bar = _time_signature_columns(onsets.time_signatures or (TimeSignature(0, 4, 4),))
    part = kit.part_of_pitch[onsets.pitch]
    inside = part >= 0
    beat, part, velocity = onsets.beat[inside], part[inside], onsets.velocity[inside]
    signature_of = np.maximum(np.searchsorted(starts, beat + 0.5 / per_beat, side="right") - 1, 0)
    exact = (beat - starts[signature_of]) * per_beat
    step = np.floor(exact + 0.5).astype(np.int64)
    bar = step // steps
    place = first_bar[signature_of] + bar
    kept = is_four[signature_of] & (bar < n_full[signature_of]) & (place < MAX_BARS)
    number = place[kept].astype(np.int64)

    index, row = np.unique(number, return_inverse=True)
    # of several onsets of a cell the last to be put there stays: the loudest, of those the first
    level = np.maximum(velocity[kept], 1)
    order = np.argsort(level[::-1], kind="stable")
    cell = (row * steps + step[kept] % steps) * kit.n_parts + part[kept]
    cell, level, late = (column[::-1][order] for column in (cell, level, exact[kept] - step[kept]))
    shape = (len(index), steps, kit.n_parts)
    velocities, offsets = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    velocities.reshape(-1)[cell] = level
    offsets.reshape(-1)[cell] = late
    n_between = 0.0
    if len(index):
        begin = np.maximum(first_bar, index[0])
        end = np.minimum(first_bar + n_full, index[-1] + 1)
        n_between = np.maximum(end - begin, 0)[is_four].sum()
    return QuantisedBars(
        bars=velocities > 0,
        velocities=velocities,
        offsets=offsets,
        index=index.astype(np.int32),
        n_empty=int(n_between) - len(index),
        n_other_time_signature=int((~kept).sum()),
        n_outside_kit=int((~inside).sum()),
    )


@lru_cache(maxsize=64)
def _time_signature_columns(
    time_signatures: tuple[TimeSignature, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each time signature: the beat it starts at, whether it is 4/4, its full bars, the number of its first bar.

    Kept, because most songs have the same one time signature.
    """
    starts = np.array([signature.beat for signature in time_signatures])
    lengths = np.array([signature.n_beats for signature in time_signatures])
    is_four = np.array([(signature.numerator, signature.denominator) in FOUR_FOUR for signature in time_signatures])
    # the last time signature runs as far as there are onsets
    spans = np.append(np.diff(starts), np.inf)
    n_full = np.floor(spans / lengths + 1e-6)
    first_bar = np.append(0, np.cumsum(np.ceil(spans[:-1] / lengths[:-1] - 1e-6)))
    return starts, is_four, n_full, first_bar


class NoBars(ValueError):
    """A file that gives no bars.

    Attributes:
        reason: the kind, of a handful: "no drums", "unreadable", "other time signature", "outside the kit", "empty",
            and of what is to be a loop "too long".
        detail: what was wrong with this one, in a few words.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[NoBars], tuple[str, str]]:
        return NoBars, (self.reason, self.detail)


def quantise_or_explain(onsets: Onsets, kit: Kit, steps: int = 16) -> QuantisedBars:
    """``quantise``, for a song that must have bars.

    Raises:
        NoBars: it has none; the reason says why.
    """
    found = quantise(onsets, kit, steps)
    if len(found.bars):
        return found
    if not len(onsets.beat):
        raise NoBars("no drums", "the drum track has no notes")
    if found.n_outside_kit == len(onsets.beat):
        raise NoBars("outside the kit", f"no onset of kit {kit.name}")
    time_signatures = sorted({f"{signature.numerator}/{signature.denominator}" for signature in onsets.time_signatures})
    raise NoBars("other time signature", ", ".join(time_signatures))
