"""Bars to MIDI files that land right in any DAW, and any MIDI file back to drum onsets."""

from __future__ import annotations

import itertools
import os
import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import symusic

from rhythmgan.bars import BEATS, check_steps
from rhythmgan.files import write_whole
from rhythmgan.grid import NoBars, Onsets, TimeSignature, step_beats
from rhythmgan.kit import GM9, KITS, Kit

TICKS_PER_BEAT = 480
"""Of what we write; every grid of ``bars.STEPS`` divides it."""

DRUM_CHANNEL = 9
"""MIDI's channel 10, counted from 0."""

SUFFIXES = (".mid", ".midi")

MAX_BYTES = 64 << 20
"""A MIDI file larger than this is not read; the largest of the Lakh MIDI Dataset has a few MB."""

_DRUM_NAMES = re.compile(r"\b(?:drums?|drum ?kit|kit|perc|percussion|batterie|bateria|batteria|schlagzeug)\b")


# -- out -----------------------------------------------------------------------------------------


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


def as_loop(bars: np.ndarray) -> np.ndarray:
    """A bar (steps, parts), or a loop of several, as a loop (n, steps, parts) bool.

    Raises:
        ValueError: another number of axes.
    """
    bars = np.asarray(bars, bool)
    if bars.ndim == 2:
        bars = bars[None]
    if bars.ndim != 3:
        raise ValueError(f"expected a bar (steps, parts) or a loop (n, steps, parts); got {bars.shape}")
    return bars


def as_loops(bars: np.ndarray, n: int) -> np.ndarray:
    """n bars (n, steps, parts), or n loops, as loops (n, loop, steps, parts) bool.

    Raises:
        ValueError: another number of them, or of axes.
    """
    loops = np.asarray(bars, bool)
    if loops.ndim == 3:
        loops = loops[:, None]
    if loops.ndim != 4 or len(loops) != n:
        raise ValueError(f"expected {n} bars or loops, one for each name; got {np.shape(bars)}")
    return loops


def find_onsets(
    loops: np.ndarray, kit: Kit, bpm: float, velocities: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The onsets of loops (files, n, steps, parts) bool, in order: what every way out begins with.

    Args:
        loops: the cells, n at least 1.
        kit: what the parts are.
        bpm: quarter notes a minute, 4 to 1000.
        velocities: 1-127 for each cell, of a shape that broadcasts to ``loops``; ``accents`` where None.

    Returns:
        File, bar, step, part and velocity of each onset, (onsets,) each.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or a velocity or the tempo is out of range.
    """
    _, n_bars, steps, n_parts = loops.shape
    if n_parts != kit.n_parts or not n_bars:
        raise ValueError(
            f"expected bars (n, steps, {kit.n_parts}) for kit {kit.name}, n at least 1; got {loops.shape[1:]}"
        )
    if not 4 <= bpm <= 1000:
        raise ValueError(f"the tempo lies between 4 and 1000 beats a minute, not {bpm}")
    levels = np.broadcast_to(accents(steps)[:, None] if velocities is None else velocities, loops.shape)
    file, bar, step, part = np.nonzero(loops)
    level = levels[file, bar, step, part]
    if level.size and not (level.min() >= 1 and level.max() <= 127):
        raise ValueError(f"velocities lie in 1 … 127; found {level.min()} … {level.max()}")
    return file, bar, step, part, level


def midi_bytes(
    bars: np.ndarray,
    kit: Kit = GM9,
    *,
    bpm: float = 120.0,
    swing: float = 0.5,
    velocities: np.ndarray | None = None,
) -> bytes:
    """A bar, or a loop of several, as a Standard MIDI File of one track.

    The drums are on channel 10, one note per onset, half a step long. Tempo and 4/4 are written,
    and the track ends exactly with its last bar, so that a loop loops.

    Args:
        bars: (steps, parts) or (n, steps, parts) bool.
        kit: what the parts are; each part's ``pitch`` goes out.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``grid.step_beats``; a step's place is rounded to a tick.
        velocities: 1-127 for each cell, of a shape that broadcasts to ``bars``; ``accents`` by default.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or a velocity, the tempo or the swing is out of range.
    """
    return next(_encode(as_loop(bars)[None], kit, bpm, swing, velocities))


def _encode(loops: np.ndarray, kit: Kit, bpm: float, swing: float, velocities: np.ndarray | None) -> Iterator[bytes]:
    """The files of loops (files, n, steps, parts), what is common to them computed once."""
    n_files, n_bars, steps, _ = loops.shape
    file, bar, step, part, level = find_onsets(loops, kit, bpm, velocities)
    ticks_per_bar = BEATS * TICKS_PER_BEAT
    end = n_bars * ticks_per_bar
    tick_of_step = np.rint(step_beats(steps, swing) * TICKS_PER_BEAT).astype(np.int32)
    tick = (bar * ticks_per_bar).astype(np.int32) + tick_of_step[step]
    duration = np.full(len(tick), ticks_per_bar // steps // 2, np.int32)
    pitch = kit.pitches[part].astype(np.int8)
    level = level.astype(np.int8)
    tempo, time_signature = symusic.Tempo(0, bpm), symusic.TimeSignature(0, 4, 4)
    bounds = np.searchsorted(file, np.arange(n_files + 1)).tolist()
    for first, last in itertools.pairwise(bounds):
        score = symusic.Score(TICKS_PER_BEAT)
        score.tempos.append(tempo)
        score.time_signatures.append(time_signature)
        track = symusic.Track(name="Drums", is_drum=True)
        track.notes = symusic.Note.from_numpy(
            tick[first:last], duration[first:last], pitch[first:last], level[first:last]
        )
        score.tracks.append(track)
        last_event = int(tick[last - 1] + duration[last - 1]) if last > first else 0
        yield _end_after(score.dumps_midi(), end - last_event)


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
    events = data[22:-4] + bytes(delta) + _END_OF_TRACK[1:]
    return data[:18] + struct.pack(">I", len(events)) + events


def write_midi(
    path: str | os.PathLike[str],
    bars: np.ndarray,
    kit: Kit = GM9,
    *,
    bpm: float = 120.0,
    swing: float = 0.5,
    velocities: np.ndarray | None = None,
) -> None:
    """Write a bar (steps, parts) or a loop of bars (n, steps, parts) as one MIDI file; see ``midi_bytes``."""
    write_whole(path, midi_bytes(bars, kit, bpm=bpm, swing=swing, velocities=velocities))


def write_midi_files(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    bars: np.ndarray,
    kit: Kit = GM9,
    *,
    bpm: float = 120.0,
    swing: float = 0.5,
) -> None:
    """Write one file per bar, or per loop: ``bars[i]`` as ``folder / names[i]``.

    Args:
        folder: an existing folder.
        names: n file names.
        bars: (n, steps, parts) bool for a bar a file, or (n, loop, steps, parts).
        kit: what the parts are.
        bpm: quarter notes a minute.
        swing: .5 (straight) to .7, see ``midi_bytes``.
    """
    for name, data in zip(names, _encode(as_loops(bars, len(names)), kit, bpm, swing, None), strict=True):
        write_whole(os.path.join(folder, name), data)


# -- in ------------------------------------------------------------------------------------------


def read_midi(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of any MIDI file.

    Drums are, in this order: all of a file that is named after one part ("Kick_01.mid", one pitch
    only), the notes on channel 10, the tracks that are named like drums. A file with velocities
    over 127, with bytes that mean nothing or that breaks off is read as far as it goes.

    Raises:
        NoBars: unreadable, empty or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    path = os.fspath(path)
    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise NoBars("unreadable", f"larger than {MAX_BYTES >> 20} MiB")
        data = file.read()
    if not data:
        raise NoBars("empty", "no bytes")
    try:
        score = symusic.Score.from_midi(data)
    except Exception:  # symusic raises RuntimeError and others; our own reader decides what is left
        tracks, time_signatures, ticks_per_beat = _scan(data)
        if not tracks:
            raise NoBars("unreadable", "no notes in what is left of it") from None
    else:
        tracks = [_Track(t.name, t.is_drum, *_columns(t.notes)) for t in score.tracks if len(t.notes)]
        time_signatures = [(m.time, m.numerator, m.denominator) for m in score.time_signatures]
        ticks_per_beat = score.ticks_per_quarter
        if not tracks:  # symusic takes a note that is never ended for none
            tracks, time_signatures, ticks_per_beat = _scan(data)
        if not tracks:
            raise NoBars("empty", "no notes")
    if ticks_per_beat <= 0:
        raise NoBars("unreadable", "time in film frames, not beats")
    drums = _drums(os.path.splitext(os.path.basename(path))[0], tracks)
    if drums.tick.min() < 0:
        raise NoBars("unreadable", "times that are too large for a MIDI file")
    order = np.argsort(drums.tick, kind="stable")
    return Onsets(
        beat=drums.tick[order] / ticks_per_beat,
        pitch=drums.pitch[order].astype(np.uint8),
        velocity=np.maximum(drums.velocity[order], 1).astype(np.uint8),
        time_signatures=_time_signatures(time_signatures, ticks_per_beat),
    )


class _Track(NamedTuple):
    """A track's name, whether it is on the drum channel, and its notes as columns."""

    name: str
    is_drum: bool
    tick: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray


def _columns(notes: symusic.core.NoteTickList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = notes.numpy()
    return columns["time"], columns["pitch"], columns["velocity"]


def _joined(tracks: Sequence[_Track]) -> _Track:
    if len(tracks) == 1:
        return tracks[0]
    columns = (np.concatenate([track[i] for track in tracks]) for i in (2, 3, 4))
    return _Track(tracks[0].name, tracks[0].is_drum, *columns)


def _drums(stem: str, tracks: Sequence[_Track]) -> _Track:
    """What counts as drums, as one track."""
    pitch = tracks[0].pitch[0]
    if all((track.pitch == pitch).all() for track in tracks):
        for kit in KITS.values():
            part = kit.part_named_by(stem)
            if part is not None:
                everything = _joined(tracks)
                return everything._replace(pitch=np.full_like(everything.pitch, kit.pitches[part]))
    for chosen in (
        [track for track in tracks if track.is_drum],
        [track for track in tracks if _DRUM_NAMES.search(re.sub(r"[\W_\d]+", " ", track.name.lower()))],
    ):
        if chosen:
            return _joined(chosen)
    raise NoBars("no drums", "nothing on channel 10, no track or file named like drums")


def _time_signatures(signatures: Sequence[tuple[int, int, int]], ticks_per_beat: int) -> tuple[TimeSignature, ...]:
    """Time signatures in beats, the last of several at one place, 4/4 before the first."""
    by_tick = {0: (4, 4)}
    for tick, numerator, denominator in signatures:
        if tick >= 0 and numerator > 0 and denominator > 0:
            by_tick[tick] = (numerator, denominator)
    time_signatures: list[TimeSignature] = []
    for tick in sorted(by_tick):
        numerator, denominator = by_tick[tick]
        if not time_signatures or (time_signatures[-1].numerator, time_signatures[-1].denominator) != (
            numerator,
            denominator,
        ):
            time_signatures.append(TimeSignature(tick / ticks_per_beat, numerator, denominator))
    return tuple(time_signatures)


def _scan(data: bytes) -> tuple[list[_Track], list[tuple[int, int, int]], int]:
    """Read what can be read of a broken file: notes and time signatures, until a track makes no sense.

    Data bytes over 127 are clipped, unknown status bytes end their track, and a broken chunk
    header ends the file; all that came before is kept.
    """
    if data[:4] != b"MThd" or len(data) < 14:
        raise NoBars("unreadable", "not a MIDI file" if any(data[:14]) else "begins with zeros")
    header_length, _, _, division = struct.unpack(">IHHh", data[4:14])
    if division <= 0:
        raise NoBars("unreadable", "time in film frames, not beats")
    tracks: list[_Track] = []
    time_signatures: list[tuple[int, int, int]] = []
    start = 8 + header_length
    # a chunk header that is off is looked for further on: lengths are what breaks most
    while (start := data.find(b"MTrk", start)) >= 0:
        (length,) = struct.unpack(">I", data[start + 4 : start + 8].ljust(4, b"\0"))
        end = min(start + 8 + length, len(data))
        tracks += _scan_track(data[start + 8 : end], time_signatures)
        start = end if data[end : end + 4] == b"MTrk" else start + 8
    return tracks, time_signatures, division


def _scan_track(events: bytes, time_signatures: list[tuple[int, int, int]]) -> list[_Track]:
    """The drum-channel notes and the others of one track chunk, as two tracks; adds to ``time_signatures``."""
    name = ""
    notes: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
    place = tick = running = 0

    def number() -> int:
        nonlocal place
        value = 0
        for _ in range(4):
            byte = events[place]
            place += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                break
        return value

    try:
        while place < len(events):
            tick += number()
            status = running
            if events[place] >= 0x80:
                status = events[place]
                place += 1
            if status == 0xFF:
                kind = events[place]
                place += 1
                length = number()
                content = events[place : place + length]
                place += length
                if kind == 0x2F:
                    break
                if kind == 0x03:
                    name = content.decode("latin-1")
                elif kind == 0x58 and length >= 2 and content[1] < 8:
                    time_signatures.append((tick, content[0], 1 << content[1]))
            elif status in (0xF0, 0xF7):
                length = number()
                place += length
            elif 0x80 <= status < 0xF0:
                running = status  # meta events leave it: some writers go on without repeating it
                first = events[place]
                second = events[place + 1] if status & 0xE0 != 0xC0 else 0
                place += 2 if status & 0xE0 != 0xC0 else 1
                if status & 0xF0 == 0x90 and second:
                    notes[status & 0x0F == DRUM_CHANNEL].append((tick, min(first, 127), min(second, 127)))
            else:
                break
    except IndexError:  # the track breaks off within an event
        pass
    return [_Track(name, is_drum, *np.array(found).T) for is_drum, found in notes.items() if found]
