"""From onsets in time to bars on a grid: what every reader (MIDI, LPD) hands its song to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from rhythmgan.bars import BEATS, check_steps
from rhythmgan.grid_choice import OWN_GRIDS, TOLERANCE, choose_grids
from rhythmgan.kit import Kit

FOUR_BEATS = {(4, 4): 1.0, (2, 2): 1.0, (12, 8): 1.5}
"""Time signatures whose bar has four beats → a beat in quarter notes. Cut time is 4/4 counted in halves; the beat of
12/8 is a dotted quarter, which has three parts."""

MAX_BARS = 1 << 16
"""Bars of a song on its own grids: what a damaged file puts behind them is left out."""

MAX_BARS_ON_ONE_GRID = 1 << 20
"""The place in its song up to which ``quantise`` looks for bars: enough to see that what is to be a loop is too long.
Of these it reads the first ``MAX_BARS`` that sound."""

_FEW_SIGNATURES = 8
"""Time signatures whose columns are kept for the next song: nearly all songs have so few."""

_NEAR_BAR_LINE = 1 / 16
"""A time signature so near to a bar line, in quarter notes, stands on it."""


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
        beat: (n,) float64, quarter notes from the start, 0 or more.
        pitch: (n,) uint8, MIDI pitches 0-127.
        velocity: (n,) uint8, 1-127.
        time_signatures: time signatures by beat, the first at 0; none means 4/4 throughout. Bars begin anew at each,
            also where it is the same as the one before.
        bpm: quarter notes a minute by the first tempo of a file; 120 where none is written.
        n_beats: quarter notes until the end that is written; 0 where none is known.
    """

    beat: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    time_signatures: tuple[TimeSignature, ...] = ()
    bpm: float = 120.0
    n_beats: float = 0.0


@dataclass(frozen=True)
class QuantisedBars:
    """The bars of one song and what was left behind.

    Attributes:
        bars: (n, steps, parts) bool, in order, none empty.
        velocities: (n, steps, parts) uint8, the loudest onset of each cell, 0 where none is.
        offsets: (n, steps, parts) float32, how late that onset is in parts of a step, -½ … ½; the first of those that
            are as loud, 0 where none is.
        index: (n,) int32, each bar's place in its song (neighbours differ by one).
        n_empty: bars of four beats between the first and the last that sound, without an onset of this kit.
        n_other_time_signature: onsets in other time signatures, in bars that a change of time signature
            cuts short, or behind ``MAX_BARS_ON_ONE_GRID`` or ``MAX_BARS`` that sound.
        n_outside_kit: onsets of pitches that are not of this kit.
    """

    bars: np.ndarray
    velocities: np.ndarray
    offsets: np.ndarray
    index: np.ndarray
    n_empty: int = 0
    n_other_time_signature: int = 0
    n_outside_kit: int = 0


@dataclass(frozen=True)
class SongBars:
    """The bars of one song, each on its own grid, and what was left behind.

    Every onset of this kit is a cell, or one of ``n_merged``, ``n_onsets_off_grid`` and ``n_other_time_signature``.

    Attributes:
        by_grid: steps → the bars on that grid, for the grids that occur, in the order of ``OWN_GRIDS``. What was left
            behind is counted here, for the whole song.
        n_off_grid: bars on no grid, with an onset of this kit.
        n_empty: bars of four beats between the first and the last that sound, without an onset of this kit.
        n_other_time_signature: onsets of this kit in other time signatures, in bars that a change of time signature
            cuts short, or behind ``MAX_BARS``.
        n_outside_kit: onsets of pitches that are not of this kit.
        n_merged: onsets of this kit that share their cell with a louder one, or with one as loud before them.
        n_onsets_off_grid: onsets of this kit in bars on no grid, and ahead of such bars.
    """

    by_grid: dict[int, QuantisedBars]
    n_off_grid: int
    n_empty: int
    n_other_time_signature: int
    n_outside_kit: int
    n_merged: int
    n_onsets_off_grid: int

    @property
    def n_bars(self) -> int:
        """Bars on all grids together."""
        return sum(len(found.bars) for found in self.by_grid.values())


@dataclass(frozen=True)
class _Sections:
    """For each time signature, from where it is written to the next one.

    Attributes:
        starts: quarter notes from the start of the song.
        beat: a beat in quarter notes; of other time signatures 1.
        has_four_beats: whether its bars have four beats.
        is_ternary: whether these have three parts each.
        n_full: bars that are not cut short; of the last time signature infinitely many.
        first_bar: the number of its first bar in the song.
    """

    starts: np.ndarray
    beat: np.ndarray
    has_four_beats: np.ndarray
    is_ternary: np.ndarray
    n_full: np.ndarray
    first_bar: np.ndarray

    def at(self, time: np.ndarray, early: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For times in quarter notes: their section, the beats from its start, the bars from there (of four beats).

        Bars and sections begin ``early`` beats before their bar line.
        """
        if len(self.starts) == 1:
            section = np.zeros(len(time), np.int64)
            beats = (time - self.starts[0]) / self.beat[0]
        else:
            begin = np.maximum.accumulate(self.starts - early * self.beat)
            section = np.maximum(np.searchsorted(begin, time, side="right") - 1, 0)
            beats = (time - self.starts[section]) / self.beat[section]
        return section, beats, np.floor((beats + early) / BEATS).astype(np.int64)

    def number(self, section: np.ndarray, bar: np.ndarray, is_kept: np.ndarray, max_bars: int = MAX_BARS) -> np.ndarray:
        """The number in the song of a section's bar; -1 of what is no full bar of four beats, or behind ``max_bars``.

        Args:
            section: (n,) ints.
            bar: (n,) ints, the bar in its section.
            is_kept: (sections,) bool, which sections count.
            max_bars: of the song.
        """
        if len(self.starts) == 1:
            place = bar
            kept = (place < max_bars) & is_kept[0]
        else:
            place = bar + self.first_bar[section]
            kept = (bar < self.n_full[section]) & (place < max_bars) & is_kept[section]
        return np.where(kept, place, -1)

    def n_between(self, first: int, last: int, is_kept: np.ndarray) -> int:
        """How many full bars of the kept sections there are from bar ``first`` to bar ``last``."""
        begin = np.maximum(self.first_bar, first)
        end = np.minimum(self.first_bar + self.n_full, last + 1)
        return int(np.maximum(end - begin, 0)[is_kept].sum())


def quantise(
    onsets: Onsets, kit: Kit, steps: int = 16, *, max_bars: int | None = None, from_start: bool = False
) -> QuantisedBars:
    """Quantise a whole song to the nearest step of one grid, then cut it into its bars of four beats.

    Quantising first lets an onset that is played just ahead of a bar line fall on the one. Bars of 12/8 are kept on
    grids of triplets (12, 24, 48). Work is linear in the onsets but for sorting them. Memory is at most 400 bytes an
    onset or time signature and six a cell of the bars that sound, of which there are ``MAX_BARS`` at most.

    Args:
        onsets: of the song.
        kit: what the parts are.
        steps: the grid.
        max_bars: from the first that sounds to the last; more are refused before there is any cell. By default as
            many as there are.
        from_start: whether these are counted from the start of the song.

    Raises:
        NoBars: more than ``max_bars``.
    """
    per_beat = check_steps(steps) // BEATS
    sections = _sections(onsets.time_signatures or (TimeSignature(0, 4, 4),))
    part = kit.part_of_pitch[onsets.pitch]
    inside = part >= 0
    beat, part, velocity = onsets.beat[inside], part[inside], onsets.velocity[inside]
    is_kept = sections.has_four_beats & (~sections.is_ternary | (steps % 3 == 0))
    section, beats, _ = sections.at(beat, 0.5 / per_beat)
    exact = beats * per_beat
    step = np.floor(exact + 0.5).astype(np.int64)
    place = sections.number(section, step // steps, is_kept, MAX_BARS_ON_ONE_GRID)
    kept = place >= 0
    if max_bars is not None and kept.any():
        check_loop_length(int(place.max()) + 1 - (0 if from_start else int(place[kept].min())), max_bars)
    if np.count_nonzero(kept) > MAX_BARS and len(heard := np.unique(place[kept])) > MAX_BARS:
        kept &= place < heard[MAX_BARS]
    found = _cells(
        place[kept], step[kept] % steps, part[kept], velocity[kept], (exact - step)[kept], (steps, kit.n_parts)
    )
    n_between = sections.n_between(found.index[0], found.index[-1], is_kept) if len(found.index) else 0
    return replace(
        found,
        n_empty=n_between - len(found.index),
        n_other_time_signature=int((~kept).sum()),
        n_outside_kit=int((~inside).sum()),
    )


def check_loop_length(n_bars: int, most: int) -> None:
    """Raise a NoBars where what is to be a loop has more than ``most`` bars."""
    if n_bars > most:
        raise NoBars("too long", f"{n_bars:,} bars, {most:,} at most")


def quantise_by_grid(onsets: Onsets, kit: Kit) -> SongBars:
    """Cut a whole song into its bars of four beats, and quantise each on the grid that it is on; none is forced.

    All onsets say which grid a bar is on (``choose_grids``), also those outside the kit. An onset belongs to the bar in
    which it is played, unless it is nearer to the next bar line than to the last step of its bar's grid: then to the
    one of the next bar. There it is half a step early at most, also where that bar's steps are shorter.

    Work is linear in the onsets but for sorting them. Memory is at most 400 bytes an onset or time signature and
    4 KiB a bar that sounds, of which there are ``MAX_BARS`` at most.
    """
    sections = _sections(onsets.time_signatures or (TimeSignature(0, 4, 4),))
    is_kept = sections.has_four_beats
    grids, is_heard = _own_grids(onsets.beat, sections)

    part = kit.part_of_pitch[onsets.pitch]
    inside = part >= 0
    beat, part, velocity = onsets.beat[inside], part[inside], onsets.velocity[inside]
    section, beats, bar = sections.at(beat)
    place = sections.number(section, bar, is_kept)
    steps = grids[np.minimum(place, len(grids) - 1)]
    exact = (beats - bar * BEATS) * (steps / BEATS)
    step = np.floor(exact + 0.5).astype(np.int64)
    late = exact - step

    ahead = np.flatnonzero(step >= steps)  # of a bar line, or in a bar on no grid: there all are 0
    is_lost = np.zeros(len(beat), bool)
    if len(ahead):
        longest = BEATS / min(OWN_GRIDS) / 2 + 1e-9  # no onset is left behind by rounding
        section, beats, bar = sections.at(beat[ahead], longest)
        next_place = sections.number(section, bar, is_kept)
        # a bar that nothing else is heard in goes on as the one before it
        known = np.minimum(next_place, len(grids) - 1)
        next_steps = np.where(is_heard[known] | (next_place < 0), grids[known], steps[ahead])
        next_steps[sections.is_ternary[section] & (next_steps % 3 != 0)] = 0
        exact = (beats - bar * BEATS) * (next_steps / BEATS)
        moves = (next_steps > 0) & (exact < 0) & ((steps[ahead] > 0) | (exact >= -0.5))
        is_lost[ahead] = ~moves
        # an onset just ahead of a bar of another time signature belongs there
        place[ahead[~moves & (steps[ahead] > 0) & (next_place < 0)]] = -1
        moved = ahead[moves]
        place[moved], steps[moved], step[moved] = next_place[moves], next_steps[moves], 0
        late[moved] = np.maximum(exact[moves], -0.5)

    by_grid = {}
    is_lost &= place >= 0
    on_grid = (place >= 0) & ~is_lost
    for grid in OWN_GRIDS:
        chosen = np.flatnonzero(on_grid & (steps == grid))
        if len(chosen):
            by_grid[grid] = _cells(
                place[chosen], step[chosen], part[chosen], velocity[chosen], late[chosen], (grid, kit.n_parts)
            )
    lost = np.unique(place[is_lost & (steps == 0)])
    sounding = np.concatenate([lost, *(found.index for found in by_grid.values())])
    n_between = sections.n_between(sounding.min(), sounding.max(), is_kept) if len(sounding) else 0
    return SongBars(
        by_grid=by_grid,
        n_off_grid=len(lost),
        n_empty=n_between - len(sounding),
        n_other_time_signature=int((place < 0).sum()),
        n_outside_kit=len(inside) - len(beat),
        n_merged=int(on_grid.sum()) - sum(int(np.count_nonzero(found.bars)) for found in by_grid.values()),
        n_onsets_off_grid=int(is_lost.sum()),
    )


def _own_grids(beat: np.ndarray, sections: _Sections) -> tuple[np.ndarray, np.ndarray]:
    """For each bar of a song by its number: its steps, 0 for none; whether it has an onset. The last is no bar: 0."""
    section, beats, bar = sections.at(beat, TOLERANCE)
    place = sections.number(section, bar, sections.has_four_beats)
    kept = place >= 0
    if not kept.all():
        section, beats, place = section[kept], beats[kept], place[kept]
    is_heard = np.append(np.bincount(place) > 0, False)
    heard = np.flatnonzero(is_heard)
    row = (np.cumsum(is_heard) - 1)[place]
    is_ternary = np.zeros(len(heard), bool)
    if sections.is_ternary.any():
        is_ternary[row] = sections.is_ternary[section]
    grids = np.zeros(len(is_heard), np.int64)
    grids[heard] = choose_grids(beats, row, len(heard), is_ternary)
    return grids, is_heard


def _cells(
    place: np.ndarray,
    step: np.ndarray,
    part: np.ndarray,
    velocity: np.ndarray,
    late: np.ndarray,
    shape: tuple[int, int],
) -> QuantisedBars:
    """Onsets that each have a bar, a step and a part → bars of ``shape`` (steps, parts)."""
    index, row = np.unique(place, return_inverse=True)
    # of several onsets of a cell the last to be put there stays: the loudest, of those the first
    level = np.maximum(velocity, 1)
    order = np.argsort(level[::-1], kind="stable")
    cell = (row * shape[0] + step) * shape[1] + part
    cell, level, late = (column[::-1][order] for column in (cell, level, late))
    velocities = np.zeros((len(index), *shape), np.uint8)
    offsets = np.zeros(velocities.shape, np.float32)
    velocities.reshape(-1)[cell] = level
    offsets.reshape(-1)[cell] = late
    return QuantisedBars(velocities > 0, velocities, offsets, index.astype(np.int32))


def _sections(time_signatures: tuple[TimeSignature, ...]) -> _Sections:
    """The time signatures as columns. Few are kept, because most songs have the same one; many fill the memory."""
    return (_kept_sections if len(time_signatures) <= _FEW_SIGNATURES else _columns)(time_signatures)


def _columns(time_signatures: tuple[TimeSignature, ...]) -> _Sections:
    metres = [(signature.numerator, signature.denominator) for signature in time_signatures]
    starts, n_full, n_bars = [time_signatures[0].beat], [], []
    for before, signature in pairwise(time_signatures):
        n = (signature.beat - starts[-1]) / before.n_beats
        if abs(n - round(n)) * before.n_beats <= _NEAR_BAR_LINE:
            n = round(n)
        starts.append(starts[-1] + n * before.n_beats)
        n_full.append(math.floor(n))
        n_bars.append(math.ceil(n))
    return _Sections(
        starts=np.array(starts),
        beat=np.array([FOUR_BEATS.get(metre, 1.0) for metre in metres]),
        has_four_beats=np.array([metre in FOUR_BEATS for metre in metres]),
        is_ternary=np.array([FOUR_BEATS.get(metre) == 1.5 for metre in metres]),
        # the last time signature runs as far as there are onsets
        n_full=np.array([*n_full, np.inf]),
        first_bar=np.append(0, np.cumsum(np.array(n_bars, np.int64))),
    )


_kept_sections = lru_cache(maxsize=64)(_columns)


class NoBars(ValueError):
    """A file that gives no bars.

    Attributes:
        reason: the kind, of a handful: "no drums", "unreadable", "other time signature", "outside the kit", "on no
            grid", "empty", and of what is to be a loop "too long".
        detail: what was wrong with this one, in a few words.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[NoBars], tuple[str, str]]:
        return NoBars, (self.reason, self.detail)


def quantise_or_explain(
    onsets: Onsets, kit: Kit, steps: int = 16, *, max_bars: int | None = None, from_start: bool = False
) -> QuantisedBars:
    """``quantise``, for a song that must have bars.

    Raises:
        NoBars: it has none, or more than ``max_bars``; the reason says why.
    """
    found = quantise(onsets, kit, steps, max_bars=max_bars, from_start=from_start)
    if len(found.bars):
        return found
    raise _why_none(onsets, kit, found.n_outside_kit)


def quantise_by_grid_or_explain(onsets: Onsets, kit: Kit) -> SongBars:
    """``quantise_by_grid``, for a song that must have bars.

    Raises:
        NoBars: it has none; the reason says why.
    """
    found = quantise_by_grid(onsets, kit)
    if found.by_grid:
        return found
    if found.n_onsets_off_grid:
        raise NoBars("on no grid", f"{found.n_off_grid} bars, none on {', '.join(map(str, OWN_GRIDS))} steps")
    raise _why_none(onsets, kit, found.n_outside_kit)


_MAX_SAID = 16
"""Time signatures that an error names."""


def _why_none(onsets: Onsets, kit: Kit, n_outside_kit: int) -> NoBars:
    if not len(onsets.beat):
        return NoBars("no drums", "the drum track has no notes")
    if n_outside_kit == len(onsets.beat):
        return NoBars("outside the kit", f"no onset of kit {kit.name}")
    found = sorted({f"{signature.numerator}/{signature.denominator}" for signature in onsets.time_signatures})
    more = [f"{len(found) - _MAX_SAID:,} more"] if len(found) > _MAX_SAID else []
    return NoBars("other time signature", ", ".join(found[:_MAX_SAID] + more))
