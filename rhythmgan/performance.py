"""A performance: bars, how loud each of their cells is played, and how early or late.

Every way in (MIDI, other libraries) gives a ``Performance``, every way out (MIDI, sound, pictures, the page) takes one.
Bare bars are performed with metrical accents, on the grid. ``Playback`` says how fast, and how swung.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rhythmgan.bars import BEATS, check_steps, kit_of
from rhythmgan.grid import FOUR_BEATS, Onsets, TimeSignature, check_loop_length, quantise_or_explain
from rhythmgan.kit import Kit, fold_table
from rhythmgan.playback import MAX_BPM, MIN_BPM
from rhythmgan.playback import PLAIN as PLAIN
from rhythmgan.playback import Playback as Playback

MAX_LOOP = 1 << 16
"""Bars of a loop that is read: at 120 bpm they last 36 hours. What takes fewer says so to whoever reads it."""


def accents(steps: int) -> np.ndarray:
    """(steps,) uint8 velocities by metrical place: 112 on the one, 100 on beats, 88 on eighths, 76 between.

    On triplet grids the places between the beats are all 76 but the half beat, where there is one.
    """
    per_beat = check_steps(steps) // BEATS
    place = np.arange(steps)
    velocities = np.full(steps, 76, np.uint8)
    velocities[place * 2 % per_beat == 0] = 88
    velocities[place % per_beat == 0] = 100
    velocities[0] = 112
    return velocities


@dataclass(frozen=True, eq=False)
class Performance:
    """A loop and how it is played, or several loops of one length.

    Attributes:
        bars: (n, steps, parts) bool, n at least 1; (loops, n, steps, parts) of several.
        velocities: uint8 of the same shape, 1-127 where a cell sounds and 0 where none does.
        offsets: float32 of the same shape, how late a cell sounds in parts of a step, -½ … ½; below 0 it is early. 0
            where none sounds.
        kit: what the parts are.

    Raises:
        ValueError: a shape, a type or a value that is none of these.
    """

    bars: np.ndarray
    velocities: np.ndarray
    offsets: np.ndarray
    kit: Kit

    def __post_init__(self) -> None:
        shape = self.bars.shape
        _check_shape(shape, self.kit)
        for name, kind in (("bars", np.bool_), ("velocities", np.uint8), ("offsets", np.float32)):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"expected {name} {shape} {kind.__name__}; got {array.shape} {array.dtype}")
        if self.velocities.max(initial=0) > 127:
            raise ValueError(f"velocities lie in 1 … 127; found {self.velocities.max()}")
        if ((self.velocities > 0) != self.bars).any():
            raise ValueError("a cell has a velocity over 0 where it sounds, and 0 where it does not")
        if self.offsets.any():
            if not (np.abs(self.offsets) <= 0.5).all():
                raise ValueError("offsets lie in -0.5 … 0.5 of a step")
            if self.offsets[~self.bars].any():
                raise ValueError("a cell that does not sound has no offset")

    @staticmethod
    def of(
        bars: np.ndarray,
        kit: Kit | None = None,
        velocities: np.ndarray | None = None,
        offsets: np.ndarray | None = None,
    ) -> Performance:
        """The performance of bars.

        Args:
            bars: (n, steps, parts) bool, a loop; also a single bar (steps, parts), or several loops
                (loops, n, steps, parts).
            kit: what the parts are; by default the kit of as many parts, see ``kit.kit_with``.
            velocities: 1-127 for each cell, of a shape that broadcasts to ``bars``; ``accents`` by default. Cells that
                do not sound may hold anything.
            offsets: -½ … ½ of a step for each cell, of a shape that broadcasts to ``bars``; 0 by default.

        Raises:
            ValueError: the shape does not fit the kit or a grid, or a velocity or an offset is out of range.
        """
        bars = np.asarray(bars, bool)
        if bars.ndim == 2:
            bars = bars[None]
        if bars.ndim not in (3, 4):
            raise ValueError(f"expected a bar (steps, parts) or a loop (n, steps, parts); got {bars.shape}")
        kit = kit_of(bars, kit)
        _check_shape(bars.shape, kit)
        if velocities is None:
            levels = bars * accents(bars.shape[-2])[:, None]
        else:
            wide = np.broadcast_to(np.asarray(velocities), bars.shape)
            sounding = wide[bars]
            if sounding.size and not (sounding.min() >= 1 and sounding.max() <= 127):
                raise ValueError(f"velocities lie in 1 … 127; found {sounding.min()} … {sounding.max()}")
            levels = np.where(bars, wide, 0).astype(np.uint8)
        late = np.zeros(bars.shape, np.float32)
        if offsets is not None:
            late[bars] = np.broadcast_to(np.asarray(offsets), bars.shape)[bars]
        return Performance(bars, levels, late, kit)

    @staticmethod
    def joined(performances: list[Performance]) -> Performance:
        """Loops of one kit and grid, one after the other, as one loop."""
        return Performance(
            np.concatenate([each.bars for each in performances]),
            np.concatenate([each.velocities for each in performances]),
            np.concatenate([each.offsets for each in performances]),
            performances[0].kit,
        )

    def __len__(self) -> int:
        """Bars of a loop, or loops of several."""
        return len(self.bars)

    def __getitem__(self, places: int | slice | np.ndarray) -> Performance:
        """Some bars of a loop, by a slice or an array of places; of several loops some loops, or one by its place.

        Raises:
            ValueError: no bars.
        """
        return Performance(self.bars[places], self.velocities[places], self.offsets[places], self.kit)

    def apart(self) -> Performance:
        """Each bar of a loop as a loop of its own: (n, 1, steps, parts).

        Raises:
            ValueError: these are several loops already.
        """
        one_loop(self)
        return Performance(self.bars[:, None], self.velocities[:, None], self.offsets[:, None], self.kit)

    def as_several(self) -> Performance:
        """The loop as the only one of several: (1, n, steps, parts)."""
        return Performance(self.bars[None], self.velocities[None], self.offsets[None], self.kit)

    def with_bars(self, bars: np.ndarray) -> Performance:
        """Other bars in the same playing: cells that stay keep velocity and offset, new ones get accents.

        A new cell is as late as what the loop plays with it: the mean of its step, or else of that step in other bars,
        or else of such steps in other beats; 0 where the loop has nothing there. So it does not fall beside a swing.

        Args:
            bars: bool of the shape of ``self.bars``, or several loops of it, (loops, n, steps, parts).

        Raises:
            ValueError: bars of another shape.
        """
        bars = np.asarray(bars, bool)
        if bars.ndim < self.bars.ndim or bars.shape[-self.bars.ndim :] != self.bars.shape:
            raise ValueError(f"expected bars of shape {self.bars.shape}; got {bars.shape}")
        is_new = bars & ~self.bars
        new = np.where(is_new, accents(bars.shape[-2])[:, None], np.uint8(0))
        late = np.where(is_new, self._lateness()[..., None], self.offsets) if self.offsets.any() else self.offsets
        return Performance(
            bars,
            np.where(bars & self.bars, self.velocities, new),
            np.where(bars, late, np.float32(0)),
            self.kit,
        )

    def _lateness(self) -> np.ndarray:
        """(…, steps) float32, how late the loop plays on each step; see ``with_bars``."""
        sums, counts = self.offsets.sum(-1), self.bars.sum(-1)
        steps = sums.shape[-1]
        late = np.zeros(steps // BEATS, np.float32)
        for shape in ((-1, steps // BEATS), (-1, steps), (-1, *sums.shape)):  # from the coarsest to the finest
            total, n = sums.reshape(shape).sum(0), counts.reshape(shape).sum(0)
            late = np.resize(late, total.shape) if late.shape != total.shape else late
            late = np.where(n > 0, total / np.maximum(n, 1), late).astype(np.float32)
        return late

    def folded(self, kit: Kit) -> Performance:
        """The same in a smaller kit; of the parts that fold into one the loudest is heard, the first of equals.

        What the kit has no part for is dropped.

        Raises:
            ValueError: the kit cannot be folded into that one; see ``kit.fold_table``.
        """
        shape = (*self.bars.shape[:-1], kit.n_parts)
        velocities, offsets = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
        for source, target in enumerate(fold_table(self.kit, kit)):
            if target < 0:
                continue
            louder = self.velocities[..., source] > velocities[..., target]
            velocities[..., target][louder] = self.velocities[..., source][louder]
            offsets[..., target][louder] = self.offsets[..., source][louder]
        return Performance(velocities > 0, velocities, offsets, kit)


def _check_shape(shape: tuple[int, ...], kit: Kit) -> None:
    """Raise a ValueError where bars of this shape are none of the kit, or of no grid."""
    if len(shape) not in (3, 4) or shape[-1] != kit.n_parts or not shape[-3]:
        raise ValueError(f"expected bars (n, steps, {kit.n_parts}) for kit {kit.name}, n at least 1; got {shape}")
    check_steps(shape[-2])


def as_performance(bars: np.ndarray | Performance, kit: Kit | None = None) -> Performance:
    """One loop as a performance: bare bars get accents, on the grid.

    Args:
        bars: a bar (steps, parts) bool, a loop (n, steps, parts), or the performance of a loop.
        kit: what the parts of bare bars are, by default the kit of as many parts; that of the performance otherwise.

    Raises:
        ValueError: the shape does not fit the kit or a grid, a performance of another kit, or of several loops.
    """
    performance = bars if isinstance(bars, Performance) else Performance.of(bars, kit)
    if kit is not None and kit != performance.kit:
        raise ValueError(f"the performance is of kit {performance.kit.name}, not {kit.name}: fold it with folded()")
    return one_loop(performance)


def as_performances(bars: np.ndarray | Performance, n: int, kit: Kit | None = None) -> Performance:
    """n loops as performances (n, loop, steps, parts): a loop of n bars is taken as n loops of one bar.

    Args:
        bars: (n, steps, parts) or (n, loop, steps, parts) bool, or the performance of such bars.
        n: how many there are to be.
        kit: what the parts of bare bars are, by default the kit of as many parts; that of the performance otherwise.

    Raises:
        ValueError: another number of them or of axes, or a performance of another kit.
    """
    shape = np.shape(bars.bars if isinstance(bars, Performance) else bars)
    if len(shape) not in (3, 4) or shape[0] != n:
        raise ValueError(f"expected {n} bars or loops, one for each name; got {shape}")
    performance = bars if isinstance(bars, Performance) else Performance.of(bars, kit)
    if kit is not None and kit != performance.kit:
        raise ValueError(f"the performances are of kit {performance.kit.name}, not {kit.name}: fold them with folded()")
    return performance.apart() if len(shape) == 3 else performance


def one_loop(performance: Performance) -> Performance:
    """The performance, which is to be of one loop.

    Raises:
        ValueError: it is of several.
    """
    if performance.bars.ndim != 3:
        raise ValueError(
            f"expected a bar (steps, parts) or a loop (n, steps, parts); got loops {performance.bars.shape}"
        )
    return performance


class Events(NamedTuple):
    """The onsets of loops in the order in which they sound: what every way out begins with. (onsets,) each.

    Attributes:
        loop: the loop each belongs to, 0 where there is one.
        bar, step: its cell.
        beat: float64, quarter notes from the line of that bar; below 0 where it is early on the one. Not from the
            start of the loop: the ways out round bar lines and what is within a bar apart, so that a bar is the same
            wherever it stands.
        since, until: float64, quarter notes from the same line, halfway to the step before and to the next: from the
            first on, and before the second, it is read back as its own step.
        part: its part.
        velocity: uint8, 1-127.
    """

    loop: np.ndarray
    bar: np.ndarray
    step: np.ndarray
    beat: np.ndarray
    since: np.ndarray
    until: np.ndarray
    part: np.ndarray
    velocity: np.ndarray

    def ticks(self, per_beat: int) -> np.ndarray:
        """(onsets,) int64 ticks from the start of the loop: the nearest that is read back as the same step."""
        first = np.ceil(self.since * per_beat - 1e-6)
        last = np.ceil(self.until * per_beat - 1e-6) - 1
        tick = np.clip(np.rint(self.beat * per_beat), first, last)
        return self.bar * (BEATS * per_beat) + tick.astype(np.int64)


def events(performance: Performance, playback: Playback = PLAIN) -> Events:
    """When each cell of a performance sounds.

    Swing bends the time between two steps too: an offset is a share of the distance to the next step, or to the one
    before where it is early. What would begin before its loop does begins with it.

    Args:
        performance: of one loop or several.
        playback: of its swing; the tempo turns beats into time, which is for whoever needs time.

    Raises:
        ValueError: a swing on a grid of triplets.
    """
    shape = performance.bars.shape
    loop, bar, step, part = np.nonzero(performance.bars.reshape(-1, *shape[-3:]))
    velocity = performance.velocities[performance.bars]
    beats = playback.step_beats(shape[-2])
    lengths = np.diff(beats)
    before, after = np.roll(lengths, 1), lengths
    beat, since, until = beats[step], (beats[:-1] - before / 2)[step], (beats[:-1] + after / 2)[step]
    found = Events(loop, bar, step, beat, since, until, part, velocity)
    if not performance.offsets.any():
        return found
    offset = performance.offsets[performance.bars].astype(float)
    beat = beat + offset * np.where(offset < 0, before[step], after[step])
    beat[bar == 0] = np.maximum(beat[bar == 0], 0)
    order = np.lexsort((bar * BEATS + beat, loop))
    return Events(*(column[order] for column in found._replace(beat=beat)))


def onsets_to_performance(
    onsets: Onsets, kit: Kit, steps: int = 16, *, whole: bool = False, max_bars: int = MAX_LOOP
) -> tuple[Performance, Playback]:
    """How a song plays its bars, from the first that sounds to the last, silent ones between included; and its tempo.

    A cell has velocity and offset of its loudest onset. What is played less than half a step before the end is early on
    the first step, for a loop begins again there; a last note may ring on behind the end. The tempo is that of its
    beats: dotted quarters where it begins in 12/8. A tempo out of the range of ``Playback`` is brought to the end of
    it.

    Args:
        onsets: of the song.
        kit: what the parts are.
        steps: the grid.
        whole: also the silent bars before and after these, as many as are written. After the last they are known of a
            song in one time signature.
        max_bars: that it may have, the silent ones included. More are refused before there is memory for any: what is
            read costs as ``quantise`` and 16 bytes a cell of the loop.

    Raises:
        NoBars: it has none, or more than ``max_bars``; see ``grid.quantise_or_explain``.
    """
    found = quantise_or_explain(_looped(onsets, steps), kit, steps, max_bars=max_bars, from_start=whole)
    place = found.index if whole else found.index - found.index[0]
    n_bars = int(place[-1]) + 1
    if whole and onsets.n_beats and len(onsets.time_signatures) < 2:
        n_bars = max(n_bars, _n_bars_of_last(onsets))
    check_loop_length(n_bars, max_bars)
    shape = (n_bars, steps, kit.n_parts)
    velocities, offsets = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    velocities[place], offsets[place] = found.velocities, found.offsets
    bpm = onsets.bpm / _beat_of_first_bar(onsets)
    playback = Playback(bpm=min(max(bpm, MIN_BPM), MAX_BPM))
    return Performance(velocities > 0, velocities, offsets, kit), playback


def _beat_of_first_bar(onsets: Onsets) -> float:
    """The beat in quarter notes of the first time signature of four beats that onsets sound in."""
    if not onsets.time_signatures:
        return 1.0
    starts = [signature.beat for signature in onsets.time_signatures]
    heard = np.unique(np.searchsorted(starts, onsets.beat, side="right") - 1).tolist()
    metres = ((onsets.time_signatures[i].numerator, onsets.time_signatures[i].denominator) for i in heard)
    return next((FOUR_BEATS[metre] for metre in metres if metre in FOUR_BEATS), 1.0)


_AFTER_THE_END = 1 / 24
"""Quarter notes by which the end of a track may lie behind the last bar line of its loop: a tick of a coarse clock."""

_RINGS_ON = 1.0
"""Quarter notes, less than which a last note may ring on behind the end of its loop."""


def _n_bars_of_last(onsets: Onsets) -> int:
    """Bars from the last time signature to the end that is written; less one in which nothing but a note rings on."""
    last = (onsets.time_signatures or (TimeSignature(0, 4, 4),))[-1]
    n_bars = math.ceil((onsets.n_beats - last.beat - _AFTER_THE_END) / last.n_beats)
    line = last.beat + (n_bars - 1) * last.n_beats
    rings_on = n_bars > 1 and onsets.beat.max() < line and onsets.n_beats - line < _RINGS_ON
    return n_bars - rings_on


def _looped(onsets: Onsets, steps: int) -> Onsets:
    """The onsets of a loop with those that lie less than half a step before its end brought to its beginning.

    It ends with the bar in which its track ends; or, where that is no more than a note that rings on, at the bar line
    before. Where no end is written, or onsets lie behind it, nothing is moved.
    """
    if not onsets.n_beats or not len(onsets.beat):
        return onsets
    signatures = onsets.time_signatures or (TimeSignature(0, 4, 4),)
    last = signatures[-1]
    half_step = last.n_beats / steps / 2
    end = last.beat + _n_bars_of_last(onsets) * last.n_beats
    early = onsets.beat >= end - half_step
    if not early.any() or early.all() or onsets.beat.max() >= end:
        return onsets
    first = onsets.beat[~early].min() + half_step
    begins_in = [signature for signature in signatures if signature.beat <= first][-1]
    start = begins_in.beat + (first - begins_in.beat) // begins_in.n_beats * begins_in.n_beats
    # behind the others: of two that are as loud the one that is written on the first step is heard
    order = np.argsort(early, kind="stable")
    beat = np.where(early, onsets.beat - end + start, onsets.beat)
    return replace(onsets, beat=beat[order], pitch=onsets.pitch[order], velocity=onsets.velocity[order])
