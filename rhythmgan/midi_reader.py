"""Any MIDI file to drum onsets, with its tempo and time signatures."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import symusic

from rhythmgan.grid import NoBars, Onsets, TimeSignature
from rhythmgan.kit import KITS

DRUM_CHANNEL = 9
"""MIDI's channel 10, counted from 0."""

SUFFIXES = (".mid", ".midi")

MAX_BYTES = 64 << 20
"""A MIDI file larger than this is not read; the largest of the Lakh MIDI Dataset has a few MB."""

_DRUM_NAMES = re.compile(r"\b(?:drums?|drum ?kit|kit|perc|percussion|batterie|bateria|batteria|schlagzeug)\b")


def read_midi(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of any MIDI file.

    Drums are, in this order: all of a file that is named after one part ("Kick_01.mid", one pitch
    only), the notes on channel 10, the tracks that are named like drums. A file with velocities
    over 127, with bytes that mean nothing or that breaks off is read as far as it goes. The tempo is the file's first
    one, wherever it stands; of several at one place the last.

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
        song = _scan(data)
        if not song.tracks:
            raise NoBars("unreadable", "no notes in what is left of it") from None
    else:
        song = _Song(
            [_Track(t.name, t.is_drum, *_columns(t.notes)) for t in score.tracks if len(t.notes)],
            [(m.time, m.numerator, m.denominator) for m in score.time_signatures],
            _tempi(score.tempos),
            score.ticks_per_quarter,
        )
        if not song.tracks:  # symusic takes a note that is never ended for none
            song = _scan(data)
        if not song.tracks:
            raise NoBars("empty", "no notes")
    if song.ticks_per_beat <= 0:
        raise NoBars("unreadable", "time in film frames, not beats")
    drums = _drums(os.path.splitext(os.path.basename(path))[0], song.tracks)
    if drums.tick.min() < 0:
        raise NoBars("unreadable", "times that are too large for a MIDI file")
    order = np.argsort(drums.tick, kind="stable")
    return Onsets(
        beat=drums.tick[order] / song.ticks_per_beat,
        pitch=drums.pitch[order].astype(np.uint8),
        velocity=np.maximum(drums.velocity[order], 1).astype(np.uint8),
        time_signatures=ticks_to_time_signatures(song.time_signatures, song.ticks_per_beat),
        bpm=_first_bpm(song.tempi),
    )


class _Track(NamedTuple):
    """A track's name, whether it is on the drum channel, and its notes as columns."""

    name: str
    is_drum: bool
    tick: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray


class _Song(NamedTuple):
    """What is read of a file.

    Attributes:
        tracks: those that have notes.
        time_signatures: tick, numerator and denominator of each.
        tempi: tick and microseconds a quarter note of each.
        ticks_per_beat: of all ticks.
    """

    tracks: list[_Track]
    time_signatures: list[tuple[int, int, int]]
    tempi: list[tuple[int, int]]
    ticks_per_beat: int


def _columns(notes: symusic.core.NoteTickList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = notes.numpy()
    return columns["time"], columns["pitch"], columns["velocity"]


def _tempi(tempi: symusic.core.TempoTickList) -> list[tuple[int, int]]:
    columns = tempi.numpy()
    return list(zip(columns["time"].tolist(), columns["mspq"].tolist(), strict=True))


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


def ticks_to_time_signatures(
    signatures: Sequence[tuple[int, int, int]], ticks_per_beat: int
) -> tuple[TimeSignature, ...]:
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


def _first_bpm(tempi: Sequence[tuple[int, int]]) -> float:
    """Quarter notes a minute of the first tempo, of several at one place the last; 120 where there is none."""
    written = [(tick, length) for tick, length in tempi if length > 0]
    if not written:
        return 120.0
    first = min(tick for tick, _ in written)
    return 60e6 / [length for tick, length in written if tick == first][-1]


def _scan(data: bytes) -> _Song:
    """Read what can be read of a broken file: notes, time signatures and tempi, until a track makes no sense.

    Data bytes over 127 are clipped, unknown status bytes end their track, and a broken chunk
    header ends the file; all that came before is kept.
    """
    if data[:4] != b"MThd" or len(data) < 14:
        raise NoBars("unreadable", "not a MIDI file" if any(data[:14]) else "begins with zeros")
    header_length, _, _, division = struct.unpack(">IHHh", data[4:14])
    if division <= 0:
        raise NoBars("unreadable", "time in film frames, not beats")
    song = _Song([], [], [], division)
    start = 8 + header_length
    # a chunk header that is off is looked for further on: lengths are what breaks most
    while (start := data.find(b"MTrk", start)) >= 0:
        (length,) = struct.unpack(">I", data[start + 4 : start + 8].ljust(4, b"\0"))
        end = min(start + 8 + length, len(data))
        song.tracks.extend(_scan_track(data[start + 8 : end], song))
        start = end if data[end : end + 4] == b"MTrk" else start + 8
    return song


def _scan_track(events: bytes, song: _Song) -> list[_Track]:
    """The drum-channel notes and the others of one track chunk, as two tracks; adds to the song's lists."""
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
                    name = content.decode("utf-8", "replace")  # as symusic has it
                elif kind == 0x58 and length >= 2 and content[1] < 8:
                    song.time_signatures.append((tick, content[0], 1 << content[1]))
                elif kind == 0x51 and length == 3:
                    song.tempi.append((tick, int.from_bytes(content, "big")))
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
