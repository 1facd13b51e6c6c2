"""Performances to MIDI files that land right in any DAW."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import symusic

from rhythmgan.bars import BEATS
from rhythmgan.files import write_whole
from rhythmgan.kit import Kit
from rhythmgan.performance import (
    PLAIN,
    Events,
    Performance,
    Playback,
    as_performance,
    as_performances,
    events,
    one_loop,
)

TICKS_PER_BEAT = 480
"""Of what we write; every grid of ``bars.GRIDS`` divides it."""


def midi_bytes(performance: Performance, playback: Playback = PLAIN) -> bytes:
    """A loop as a Standard MIDI File of one track.

    The drums are on channel 10, one note per onset, half a step long, or until the part sounds again or
    the loop ends. Tempo and 4/4 are
    written, and the track ends exactly with its last bar, so that a loop loops. Every onset is on the tick nearest to
    its place, but never on one that ``grid.quantise`` would read as the next step.

    Args:
        performance: of one loop; each part's ``pitch`` goes out.
        playback: tempo and swing.

    Raises:
        ValueError: several loops, or a swing on a grid of triplets.
    """
    return next(midi_files(one_loop(performance).as_several(), playback))


def midi_files(performances: Performance, playback: Playback = PLAIN) -> Iterator[bytes]:
    """The file of each of several loops, see ``midi_bytes``; what is common to them is computed once.

    Args:
        performances: (loops, n, steps, parts) of them.
        playback: tempo and swing of all.

    Raises:
        ValueError: one loop, or a swing on a grid of triplets.
    """
    if performances.bars.ndim != 4:
        raise ValueError(f"expected loops (loops, n, steps, parts); got {performances.bars.shape}")
    n_files, n_bars, steps, _ = performances.bars.shape
    heard = events(performances, playback)
    ticks_per_bar = BEATS * TICKS_PER_BEAT
    end = n_bars * ticks_per_bar
    tick = heard.ticks(TICKS_PER_BEAT)
    duration = np.minimum(ticks_per_bar // steps // 2, end - tick)
    if performances.offsets.any():
        order = np.lexsort((heard.part, tick, heard.loop))  # one file for one performance, also where ticks coincide
        heard, tick = Events(*(column[order] for column in heard)), tick[order]
        duration = _until_struck_again(heard, tick, duration[order])
    bounds = np.searchsorted(heard.loop, np.arange(n_files + 1))
    sounding = np.flatnonzero(np.diff(bounds))
    last_event = np.zeros(n_files, np.int64)
    last_event[sounding] = np.maximum.reduceat(tick + duration, bounds[sounding])
    tick, duration = tick.astype(np.int32), duration.astype(np.int32)
    pitch = performances.kit.pitches[heard.part].astype(np.int8)
    level = heard.velocity.astype(np.int8)
    tempo, time_signature = symusic.Tempo(0, playback.bpm), symusic.TimeSignature(0, 4, 4)
    for (first, last), silence in zip(itertools.pairwise(bounds.tolist()), (end - last_event).tolist(), strict=True):
        score = symusic.Score(TICKS_PER_BEAT)
        score.tempos.append(tempo)
        score.time_signatures.append(time_signature)
        track = symusic.Track(name="Drums", is_drum=True)
        track.notes = symusic.Note.from_numpy(
            tick[first:last], duration[first:last], pitch[first:last], level[first:last]
        )
        score.tracks.append(track)
        yield _end_after(score.dumps_midi(), silence)


def _until_struck_again(heard: Events, tick: np.ndarray, duration: np.ndarray) -> np.ndarray:
    """(onsets,) ticks that notes last which end where their part sounds again."""
    order = np.lexsort((tick, heard.part, heard.loop))
    before, after = order[:-1], order[1:]
    same = (heard.part[before] == heard.part[after]) & (heard.loop[before] == heard.loop[after])
    before, after = before[same], after[same]
    duration[before] = np.minimum(duration[before], tick[after] - tick[before])
    return duration


_END_OF_TRACK = b"\x01\xff\x2f\x00"


def _end_after(data: bytes, ticks: int) -> bytes:
    """Move the end of a one-track file to ``ticks`` after its last event.

    symusic ends a track one tick after the last event, whatever the length of the music.
    """
    if not data.endswith(_END_OF_TRACK) or data[10:12] != b"\x00\x01":
        raise RuntimeError("symusic wrote a file of another form than expected: its version is not supported")
    delta = [ticks & 0x7F]
    while ticks := ticks >> 7:
        delta.insert(0, ticks & 0x7F | 0x80)
    body = data[22:-4] + bytes(delta) + _END_OF_TRACK[1:]
    return data[:18] + struct.pack(">I", len(body)) + body


def write_midi(
    path: str | os.PathLike[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> None:
    """Write a bar or a loop of bars as one MIDI file; see ``midi_bytes``.

    Args:
        path: the file; replaced where it is there.
        bars: (steps, parts) or (n, steps, parts) bool, which get metrical accents, or the performance of a loop.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``Playback``.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or the tempo or the swing is out of range.
        OSError: the file cannot be written.
    """
    write_whole(path, midi_bytes(as_performance(bars, kit), Playback(bpm, swing)))


def write_midi_files(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> None:
    """Write one file per bar, or per loop: ``bars[i]`` as ``folder / names[i]``.

    Args:
        folder: an existing folder.
        names: n file names.
        bars: (n, steps, parts) bool for a bar a file, or (n, loop, steps, parts); or their performance.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute.
        swing: .5 (straight) to .7, see ``Playback``.
    """
    files = midi_files(as_performances(bars, len(names), kit), Playback(bpm, swing))
    for name, data in zip(names, files, strict=True):
        write_whole(os.path.join(folder, name), data)
