"""Bars and how they are played, as the objects of other libraries, and back.

>>> import rhythmgan
>>> song = rhythmgan.to_pretty_midi(bars, bpm=100)
>>> performance, playback = rhythmgan.from_pretty_midi(song)
>>> performance.bars, performance.velocities, performance.offsets, playback.bpm
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.grid import Onsets
from rhythmgan.kit import GM12, Kit
from rhythmgan.lpd import downbeats_to_time_signatures
from rhythmgan.midi import midi_bytes
from rhythmgan.midi_reader import ticks_to_time_signatures
from rhythmgan.performance import (
    Events,
    Performance,
    Playback,
    as_performance,
    events,
    onsets_to_performance,
)

if TYPE_CHECKING:
    import pretty_midi
    import pypianoroll

TICKS_PER_BEAT = 24
"""Of the pianorolls that we make, as of LPD; every grid of ``bars.GRIDS`` divides a bar of them."""


def to_pretty_midi(
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> pretty_midi.PrettyMIDI:
    """Bars as a ``pretty_midi.PrettyMIDI`` of one drum instrument; see ``midi_bytes``.

    Args:
        bars: a bar (steps, parts) or a loop (n, steps, parts) bool, which get metrical accents, or the performance of a
            loop.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``Playback``.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or the tempo or the swing is out of range.
    """
    import pretty_midi

    return pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(as_performance(bars, kit), Playback(bpm, swing))))


def from_pretty_midi(song: pretty_midi.PrettyMIDI, kit: Kit = GM12, steps: int = 16) -> tuple[Performance, Playback]:
    """The 4/4 bars that the drum instruments of a ``pretty_midi.PrettyMIDI`` play, as ``load_loop`` reads a file.

    Args:
        song: anybody's.
        kit: what the pitches are folded into.
        steps: the grid.

    Returns:
        The bars from the first that sounds to the last, with velocities and with offsets to the nearest tick of the
        song; and its first tempo.

    Raises:
        NoBars: it has none; the reason says why.
    """
    ticks_per_beat = song.resolution
    notes = [note for instrument in song.instruments if instrument.is_drum for note in instrument.notes]
    tick = np.array([song.time_to_tick(note.start) for note in notes], float)
    order = np.argsort(tick, kind="stable")
    signatures = [
        (song.time_to_tick(change.time), change.numerator, change.denominator) for change in song.time_signature_changes
    ]
    onsets = Onsets(
        beat=tick[order] / ticks_per_beat,
        pitch=np.array([note.pitch for note in notes], np.uint8)[order],
        velocity=np.array([note.velocity for note in notes], np.uint8).clip(1, 127)[order],
        time_signatures=ticks_to_time_signatures(signatures, ticks_per_beat),
        bpm=float(song.get_tempo_changes()[1][0]),
        n_beats=song.time_to_tick(song.get_end_time()) / ticks_per_beat,
    )
    return onsets_to_performance(onsets, kit, steps)


def to_pypianoroll(
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> pypianoroll.Multitrack:
    """Bars as a ``pypianoroll.Multitrack`` in LPD's form.

    One drum track at 24 ticks a beat with onsets of one tick, so that its ``save`` writes what ``rhythmgan prepare``
    reads. Offsets are held to the nearest tick, a sixth of a sixteenth; where two onsets of a part would come to lie in
    neighbouring ticks, which a pianoroll takes for one note, both are put on the grid.

    Args:
        bars: a bar (steps, parts) or a loop (n, steps, parts) bool, which get metrical accents, or the performance of a
            loop.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``Playback``.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or the tempo or the swing is out of range.
    """
    import pypianoroll

    performance, playback = as_performance(bars, kit), Playback(bpm, swing)
    n_ticks = len(performance) * BEATS * TICKS_PER_BEAT
    heard, tick = _ticks_apart(performance, playback)
    pianoroll = np.zeros((n_ticks, 128), np.uint8)
    pianoroll[tick, performance.kit.pitches[heard.part]] = heard.velocity
    downbeat = np.zeros(n_ticks, bool)
    downbeat[:: BEATS * TICKS_PER_BEAT] = True
    track = pypianoroll.StandardTrack(name="Drums", program=0, is_drum=True, pianoroll=pianoroll)
    return pypianoroll.Multitrack(
        name="rhythmgan",
        resolution=TICKS_PER_BEAT,
        tempo=np.full(n_ticks, bpm),
        downbeat=downbeat,
        tracks=[track],
    )


def _ticks_apart(performance: Performance, playback: Playback) -> tuple[Events, np.ndarray]:
    """The onsets and their ticks, of which two of a part are never neighbours."""
    while True:
        heard = events(performance, playback)
        tick = heard.ticks(TICKS_PER_BEAT)
        order = np.lexsort((tick, heard.part))
        before, after = order[:-1], order[1:]
        near = (heard.part[before] == heard.part[after]) & (tick[after] - tick[before] < 2)
        if not (near.any() and performance.offsets.any()):
            return heard, tick
        offsets = performance.offsets.copy()
        for place in (before[near], after[near]):
            offsets[heard.bar[place], heard.step[place], heard.part[place]] = 0
        performance = Performance(performance.bars, performance.velocities, offsets, performance.kit)


def from_pypianoroll(song: pypianoroll.Multitrack, kit: Kit = GM12, steps: int = 16) -> tuple[Performance, Playback]:
    """The 4/4 bars that the drum tracks of a ``pypianoroll.Multitrack`` play, as ``read_lpd`` reads a saved one.

    A run of neighbouring ticks at one pitch is one onset. Bars are 4/4 where downbeats are four beats apart, or where
    the song has none. A track without velocities is heard at 64.

    Args:
        song: anybody's.
        kit: what the pitches are folded into.
        steps: the grid.

    Returns:
        The bars from the first that sounds to the last, with velocities and with offsets to the nearest tick of the
        song; and its first tempo.

    Raises:
        NoBars: it has none; the reason says why.
    """
    columns = [np.empty((3, 0), np.int64)]
    for track in song.tracks:
        if track.is_drum:
            levels = np.asarray(track.pianoroll)
            begins = (levels > 0) & np.append(np.ones((1, 128), bool), levels[:-1] == 0, axis=0)[: len(levels)]
            tick, pitch = np.nonzero(begins)
            velocity = levels[tick, pitch]
            columns.append(np.stack([tick, pitch, np.where(velocity, 64, 0) if levels.dtype == bool else velocity]))
    tick, pitch, velocity = np.concatenate(columns, 1)
    order = np.argsort(tick, kind="stable")
    downbeat = np.empty(0, bool) if song.downbeat is None else song.downbeat
    tempo = np.empty(0) if song.tempo is None else np.ravel(song.tempo)
    onsets = Onsets(
        beat=tick[order] / song.resolution,
        pitch=pitch[order].astype(np.uint8),
        velocity=np.clip(velocity[order], 1, 127).astype(np.uint8),
        time_signatures=downbeats_to_time_signatures(np.flatnonzero(downbeat), song.resolution, len(downbeat)),
        bpm=float(tempo[0]) if len(tempo) else Onsets.bpm,
        n_beats=len(downbeat) / song.resolution,
    )
    return onsets_to_performance(onsets, kit, steps)
