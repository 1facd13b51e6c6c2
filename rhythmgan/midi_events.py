"""The bytes of a MIDI file to its notes, and to the few other events that say which of them are drums, and when.

Nearly all events of a file have two data bytes (notes, controllers, pitch bends). Such an event has exactly three bytes
below 0x80: the last one of its delta time and its two data bytes. So a run of them is read by NumPy at once; only what
stands between the runs (meta events, system exclusive, programs, channel pressure) is read one by one. A track that
breaks these rules is read byte by byte, as far as it goes.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rhythmgan.grid import NoBars

MAX_JUNK = 1 << 12
"""Bytes before the header of a file that is not in RIFF: mail and old Macs put some there."""

MAX_TRACKS = 1 << 12
"""Tracks of a file that is read; of 2,422 files of the Lakh MIDI Dataset the most is 94."""

MAX_EVENTS = 1 << 20
"""Events of a file that is read; the most there is 106,000."""

MAX_KEPT = 1 << 16
"""Of these, names, time signatures, tempi, system exclusive, programs and bank selects; the most there is 2,500."""

_MAX_STOPS = 1 << 18
"""Bytes that may be the status of an event that is read by itself; the most there is 5,047."""


class Event(NamedTuple):
    """An event that is no note.

    Attributes:
        track: its track, from 0.
        tick: from the start of the track.
        status: 0xFF of a meta event, 0xF0 or 0xF7 of system exclusive, 0xC0 … 0xCF of a program.
        kind: of a meta event.
        content: its bytes; the program as the only one.
    """

    track: int
    tick: int
    status: int
    kind: int
    content: bytes


class MidiEvents(NamedTuple):
    """What a file holds, track by track.

    Attributes:
        format: 0, 1 or 2, as the header has it.
        ticks_per_beat: of all ticks.
        notes: (n, 5) int64 note-ons of velocity over 0: track, tick, channel (from 0), pitch, velocity.
        banks: (n, 4) int64 bank selects (controller 0): track, tick, channel, value.
        others: names, time signatures, tempi, system exclusive and programs.
        ends: the tick at which each track ends.
        broken: whether a track breaks off or holds bytes that mean nothing.
    """

    format: int
    ticks_per_beat: int
    notes: np.ndarray
    banks: np.ndarray
    others: list[Event]
    ends: list[int]
    broken: bool


TEXT, INSTRUMENT, TEMPO, TIME_SIGNATURE = 0x03, 0x04, 0x51, 0x58
"""The kinds of meta events that are kept: names of tracks and instruments, tempi and time signatures."""

_END_OF_TRACK = 0x2F
_KEPT = frozenset((TEXT, INSTRUMENT, TEMPO, TIME_SIGNATURE))
_NOT_TWO_DATA_BYTES = bytes(0xC0 <= byte < 0xE0 or byte >= 0xF0 for byte in range(256))


def midi_events(data: bytes) -> MidiEvents:
    """Read a file; of a broken one, what can be read.

    A RIFF wrapper (RMID, RP-029) and other bytes before the header are stepped over. There are as many tracks as
    there are chunks, whatever the header counts. A chunk header that is off is looked for further on.

    Work is linear: all tracks together have twice the bytes of the file at most (``_chunks``), each of which is read
    three times at most, by the rules and byte by byte. Memory is at most 200 bytes a byte of the file.

    Raises:
        NoBars: no MIDI file, one that counts time in film frames, or one with more than ``MAX_TRACKS``,
            ``MAX_EVENTS`` or ``MAX_KEPT``.
    """
    data, format_, ticks_per_beat, start = _header(data)
    broken = start > len(data)
    return _Reader(data, _chunks(data, 14 if broken else start)).read(format_, ticks_per_beat, broken)


def _chunks(data: bytes, start: int) -> list[tuple[int, int]]:
    """Where the events of each track begin and end: altogether in twice the bytes of the file, whatever lengths say.

    A track may reach over the headers of others, as one whose length is wrong does, or one that has the word of a
    header in a text. Once the bytes that are in several tracks are as many as the file has, a track that would reach
    over the next header ends there.
    """
    chunks: list[tuple[int, int]] = []
    n_shared = 0
    start = data.find(b"MTrk", start)
    while start >= 0:
        if len(chunks) == MAX_TRACKS:
            raise NoBars("unreadable", f"more than {MAX_TRACKS:,} tracks")
        (length,) = struct.unpack(">I", data[start + 4 : start + 8].ljust(4, b"\0"))
        begin, end = start + 8, min(start + 8 + length, len(data))
        if data[end : end + 4] == b"MTrk":
            start = end
        else:
            start = data.find(b"MTrk", begin)
            following = start if start >= 0 else len(data)
            if data[end - 3 : end] != b"\xff\x2f\x00":  # a length that is too small: the track goes on
                end = max(end, following)
            n_shared += max(end - following, 0)
            if n_shared > len(data):
                n_shared -= end - following
                end = following
        chunks.append((begin, end))
    return chunks


def _header(data: bytes) -> tuple[bytes, int, int, int]:
    """The file from its header on, its format, its ticks per beat, and where its chunks begin."""
    place: int | None = 0
    if not _is_header(data, 0):
        within = len(data) if data[:4] == b"RIFF" else MAX_JUNK
        place = next((place for place in _found(data, b"MThd", within) if _is_header(data, place)), None)
        if place is None and b"MTrk" in data:  # a damaged header before tracks
            place = data.find(b"MThd", 0, within)
        data = data[max(place or 0, 0) :]
    if place is None or data[:4] != b"MThd" or len(data) < 14:
        raise NoBars("unreadable", "not a MIDI file" if any(data[:14]) else "begins with zeros")
    length, format_, _, division = struct.unpack(">IHHh", data[4:14])
    if division <= 0:
        raise NoBars("unreadable", "time in film frames, not beats")
    return data, format_, division, 8 + length


def _found(data: bytes, word: bytes, end: int) -> Iterator[int]:
    """Where a word stands before ``end``."""
    place = data.find(word, 0, end)
    while place >= 0:
        yield place
        place = data.find(word, place + 1, end)


def _is_header(data: bytes, place: int) -> bool:
    """Whether the word MThd stands there, as that of a header and not of a text before it.

    Its length says so, or the track behind it, and a division that is not 0.
    """
    if data[place : place + 4] != b"MThd":
        return False
    length, division = data[place + 4 : place + 8], data[place + 12 : place + 14]
    if division in (b"", b"\0", b"\0\0"):
        return False
    return 6 <= int.from_bytes(length, "big") <= _MAX_HEADER or data[place + 14 : place + 18] == b"MTrk"


_MAX_HEADER = 1 << 10
"""Bytes of a header: six, and what later versions of the standard may add."""


def _check_number(n_events: int, n_kept: int) -> None:
    """Raise a NoBars where a file has more events than any piece of music: they take memory and time."""
    for n, most, what in ((n_events, MAX_EVENTS, "events"), (n_kept, MAX_KEPT, "names, programs and the like")):
        if n > most:
            raise NoBars("unreadable", f"more than {most:,} {what}")


class _Odd(Exception):
    """A track is not as the rules have it: it is to be read byte by byte."""


class _Track(NamedTuple):
    """One track as runs of events, and what stands between them.

    Attributes:
        runs: their bytes.
        gaps: for each run its first event, and the time of what stands before it.
        between: of each other event how many events of runs come before it, the time since the last one of them, and
            its status, kind and content.
        n_events: in all runs.
        since: time from the last one of them to the end of the track.
    """

    runs: list[bytes]
    gaps: list[tuple[int, int]]
    between: list[tuple[int, int, int, int, bytes]]
    n_events: int
    since: int


_NO_RUNS = _Track([], [], [], 0, 0)


class _Reader:
    """Reads the tracks of one file: first what stands between the runs, then all runs at once."""

    def __init__(self, data: bytes, chunks: list[tuple[int, int]]) -> None:
        self._data = data
        self._chunks = chunks
        raw = np.frombuffer(data, np.uint8)
        self._n_single = 0
        self._low_until = np.cumsum(raw < 0x80, dtype=np.int32)  # bytes below 0x80, up to and with each
        is_stop = np.frombuffer(data.translate(_NOT_TWO_DATA_BYTES), bool)
        stops = np.flatnonzero(is_stop)
        if len(stops) > _MAX_STOPS:
            raise NoBars("unreadable", f"more than {_MAX_STOPS:,} events that are no notes")
        self._stops = stops.tolist()
        self._low_at_stops = self._low_until[stops].tolist()

    def read(self, format_: int, ticks_per_beat: int, broken: bool) -> MidiEvents:
        tracks: list[_Track] = []
        odd: list[int] = []
        n_kept = 0
        for number, (start, end) in enumerate(self._chunks):
            try:
                tracks.append(self._track(start, end))
                n_kept += len(tracks[-1].between)
                if n_kept > MAX_KEPT:
                    _check_number(0, n_kept)
            except (_Odd, IndexError):
                odd.append(number)
                tracks.append(_NO_RUNS)
        _check_number(sum(track.n_events for track in tracks), 0)
        found = _read_runs(tracks)
        if isinstance(found, list):
            odd += found
            for number in found:
                tracks[number] = _NO_RUNS
            found = _read_runs(tracks)
            assert not isinstance(found, list)
        notes, banks, others, ends = found
        n_events, n_kept = len(notes), len(banks) + len(others)
        _check_number(n_events, n_kept)
        if odd:
            scans: list[_Scanned] = []
            for number in odd:
                scans.append(_scan(self._data[slice(*self._chunks[number])], number))
                others += scans[-1].others
                ends[number] = scans[-1].end
                n_events += scans[-1].n_events
                n_kept += len(scans[-1].others) + len(scans[-1].banks)
                _check_number(n_events, n_kept)
            notes = np.concatenate([notes, *(scan.notes for scan in scans)])
            banks = np.concatenate([banks, *(scan.banks for scan in scans)])
            notes, banks = (rows[np.argsort(rows[:, 0], kind="stable")] for rows in (notes, banks))
            others.sort(key=lambda event: event.track)
        return MidiEvents(format_, ticks_per_beat, notes, banks, others, ends, broken or bool(odd))

    def _track(self, start: int, end: int) -> _Track:
        """The runs of one track and what stands between them.

        Raises:
            _Odd, IndexError: it is not as the rules have it.
        """
        data, stops, low_at_stops = self._data, self._stops, self._low_at_stops
        track = _Track([], [], [], 0, 0)
        place, n_events, since, running = start, 0, 0, 0
        low = int(self._low_until[place - 1])
        at = bisect_left(stops, place)
        while True:
            while (status_at := stops[at]) < place or (low_at_stops[at] - low) % 3 == 0:
                if status_at >= end:  # or all that follows would be gone through for each broken track
                    raise _Odd
                at += 1  # within an event that is read, or part of a delta time
            n_low = low_at_stops[at] - low
            if status_at >= end or n_low % 3 == 2 or data[status_at - 1] >= 0x80:
                raise _Odd
            # what belongs to this event from its delta time on, what comes before is a run
            run_end = status_at - 1
            while run_end > place and data[run_end - 1] >= 0x80:
                run_end -= 1
            if n_low > 1:
                track.runs.append(data[place:run_end])
                track.gaps.append((n_events, since))
                n_events += n_low // 3
                since, running = 0, 0
            delta, place = (data[run_end], status_at) if status_at - run_end == 1 else _number(data, run_end)
            since += delta
            if place != status_at:
                raise _Odd
            status, kind = data[place], 0
            place += 1
            if status < 0xF0:
                running = status  # meta events leave it: some writers go on without repeating it
                place = self._one_data_byte(track, n_events, since, status, place)
            else:
                if status == 0xFF:
                    kind = data[place]
                    place += 1
                elif status not in (0xF0, 0xF7):
                    raise _Odd
                length, place = data[place], place + 1
                if length >= 0x80:
                    length, place = _number(data, place - 1)
                place += length
                if place > end:
                    raise _Odd
                if kind == _END_OF_TRACK:
                    return track._replace(n_events=n_events, since=since)
                if status != 0xFF or kind in _KEPT:
                    track.between.append((n_events, since, status, kind, data[place - length : place]))
            while running:  # events without a status of their own
                delta, after = data[place], place + 1
                if delta >= 0x80:
                    delta, after = _number(data, place)
                if data[after] >= 0x80:
                    break
                since += delta
                place = self._one_data_byte(track, n_events, since, running, after)
            low = int(self._low_until[place - 1])

    def _one_data_byte(self, track: _Track, n_events: int, since: int, status: int, place: int) -> int:
        """Read the data byte of a program or a channel pressure; returns the place behind it."""
        if self._data[place] >= 0x80:
            raise _Odd
        self._n_single += 1
        if status < 0xD0:
            track.between.append((n_events, since, status, 0, self._data[place : place + 1]))
        if self._n_single > MAX_EVENTS or len(track.between) > MAX_KEPT:
            _check_number(self._n_single, len(track.between))
        return place + 1


def _read_runs(tracks: list[_Track]) -> tuple[np.ndarray, np.ndarray, list[Event], list[int]] | list[int]:
    """Notes, bank selects, other events and ends of the tracks; or the numbers of tracks that turn out to be odd."""
    joined = np.frombuffer(b"".join(run for track in tracks for run in track.runs), np.uint8)
    # each column in one piece, and in 32 bits: half of the memory to go through
    low = np.flatnonzero(joined < 0x80).reshape(-1, 3).T.astype(np.int32, order="C")
    delta_at, first_at, second_at = low
    n_events = len(delta_at)
    n_more = delta_at.copy()
    n_more[1:] -= second_at[:-1] + 1
    has_status = first_at - delta_at > 1
    first_events = np.cumsum([0, *(track.n_events for track in tracks)])
    wrong = (second_at - first_at > 1) | (first_at - delta_at > 2) | (n_more > 3)
    opening = first_events[:-1][np.diff(first_events) > 0]
    wrong[opening] |= ~has_status[opening]
    if wrong.any():
        return np.unique(np.searchsorted(first_events, np.flatnonzero(wrong), side="right") - 1).tolist()

    delta = joined[delta_at].astype(np.int64)
    longer = np.flatnonzero(n_more)
    for i in (1, 2, 3):
        longer = longer[n_more[longer] >= i]
        delta[longer] += (joined[delta_at[longer] - i] & 0x7F).astype(np.int64) << 7 * i
    starts = first_events.tolist()
    gaps = [(start + n, gap) for start, track in zip(starts, tracks, strict=False) for n, gap in track.gaps]
    if gaps:
        events, times = np.array(gaps).T
        delta[events] += times
    time = np.zeros(n_events + 1, np.int64)  # before each event, and after the last
    np.cumsum(delta, out=time[1:])
    with_status = np.flatnonzero(has_status)  # the first one of each track is
    status = np.repeat(joined[delta_at[with_status] + 1], np.diff(with_status, append=n_events))
    first, second = joined[first_at], joined[second_at]
    track_of = np.repeat(np.arange(len(tracks)), np.diff(first_events))

    def rows(events: np.ndarray, *columns: np.ndarray) -> np.ndarray:
        found = np.empty((3 + len(columns), len(events)), np.int64)  # each column in one piece
        found[0] = track_of[events]
        found[1] = time[events + 1] - time[first_events][found[0]]
        found[2] = status[events] & 0x0F
        for row, column in zip(found[3:], columns, strict=True):
            row[:] = column[events]
        return found.T

    notes = rows(np.flatnonzero((status & 0xF0 == 0x90) & (second > 0)), first, second)
    banks = rows(np.flatnonzero((status & 0xF0 == 0xB0) & (first == 0)), second)
    others, ends = [], []
    for number, track in enumerate(tracks):
        start = starts[number]
        begins = int(time[start])
        for n_before, since, status_, kind, content in track.between:
            tick = int(time[start + n_before]) - begins + since
            others.append(Event(number, tick, status_, kind, content))
        ends.append(int(time[start + track.n_events]) - begins + track.since)
    return notes, banks, others, ends


_ON_A_CABLE = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0} | dict.fromkeys((0xF8, 0xFA, 0xFB, 0xFC, 0xFE), 0)
"""System common and realtime messages → how many data bytes they have. F4, F5, F9 and FD mean nothing."""


class _Scanned(NamedTuple):
    """A track that was read byte by byte; see ``MidiEvents``. ``n_events`` are all of its events."""

    notes: np.ndarray
    banks: np.ndarray
    others: list[Event]
    end: int
    n_events: int


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to four bytes, and the place behind it."""
    value = 0
    for _ in range(4):
        byte = data[place]
        place += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, place


def _scan(data: bytes, track: int) -> _Scanned:
    """Read one track byte by byte until it makes no sense.

    Data bytes over 127 are clipped; a status byte that is none ends the track. What has no status, before the first
    one, is taken for events of two data bytes: their time passes. System common and realtime messages, which belong on
    a cable and not in a file, are stepped over; the running status outlasts them, as it does meta events.
    """
    notes, banks = array("q"), array("q")
    others: list[Event] = []
    place = tick = running = n_events = 0
    try:
        while place < len(data):
            delta, place = _number(data, place)
            status = running
            if data[place] >= 0x80:
                status = data[place]
                place += 1
            tick += delta
            n_events += 1
            if n_events > MAX_EVENTS or len(others) > MAX_KEPT:
                break  # whoever called refuses the file
            if status in _ON_A_CABLE:
                place += _ON_A_CABLE[status]
            elif status >= 0xF0:
                kind = 0
                if status == 0xFF:
                    kind = data[place]
                    place += 1
                elif status not in (0xF0, 0xF7):
                    break
                length, place = _number(data, place)
                if kind == _END_OF_TRACK:
                    break
                if status != 0xFF or kind in _KEPT:
                    others.append(Event(track, tick, status, kind, data[place : place + length]))
                place += length
            elif not status:
                place += 1 + (data[place + 1] < 0x80)
            elif status & 0xE0 == 0xC0:
                running = status  # meta events leave it: some writers go on without repeating it
                if status < 0xD0:
                    others.append(Event(track, tick, status, 0, bytes([min(data[place], 127)])))
                place += 1
            else:
                running = status
                first, second = min(data[place], 127), min(data[place + 1], 127)
                place += 2
                if status & 0xF0 == 0x90 and second:
                    notes.extend((track, tick, status & 0x0F, first, second))
                elif status & 0xF0 == 0xB0 and not first:
                    banks.extend((track, tick, status & 0x0F, second))
    except IndexError:  # the track breaks off within an event
        pass
    rows = np.array(notes, np.int64).reshape(-1, 5), np.array(banks, np.int64).reshape(-1, 4)
    return _Scanned(*rows, others, tick, n_events)
