"""Any MIDI file to drum onsets, with its tempo and time signatures."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from rhythmgan.grid import NoBars, Onsets, TimeSignature
from rhythmgan.inputs import read_input
from rhythmgan.midi_drums import drum_notes
from rhythmgan.midi_events import TEMPO, TIME_SIGNATURE, Event, MidiEvents, midi_events

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")

MAX_BYTES = 8 << 20
"""A MIDI file larger than this is not read; the largest of the Lakh MIDI Dataset has a few MB."""


def read_midi(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of any MIDI file; see ``parse_midi``.

    Raises:
        NoBars: unreadable, empty or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    return parse_midi(read_midi_bytes(path), os.path.basename(os.fspath(path)))


def read_midi_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a MIDI file.

    Raises:
        NoBars: not a regular file, or larger than ``MAX_BYTES``.
        OSError: the file cannot be opened.
    """
    try:
        return read_input(path, MAX_BYTES)
    except IsADirectoryError:
        raise NoBars("unreadable", "not a regular file") from None
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.EINVAL):
            raise NoBars("unreadable", str(error.strerror)) from None
        raise


def parse_midi(data: bytes, name: str) -> Onsets:
    """The drum onsets in the bytes of a MIDI file.

    Every note-on of velocity over 0 is an onset, whatever ends it. Which notes are drums says
    ``midi_drums.drum_notes``. A file with velocities over 127, with bytes that mean nothing or that breaks off is read
    as far as it goes. The tempo is the file's first one, wherever it stands; of several at one place the last. The
    sequences of a file of format 2 follow one another, each from a bar line on.

    Work is linear in the bytes, whatever they say, but for sorting. Memory is at most 200 bytes for each of them and
    1 MiB.

    Args:
        data: the whole file.
        name: of the file, with or without its ending.

    Raises:
        NoBars: unreadable, empty or without drums; the reason says which.
    """
    if not data:
        raise NoBars("empty", "no bytes")
    if len(data) > MAX_BYTES:
        raise NoBars("unreadable", f"larger than {MAX_BYTES >> 20} MiB")
    events = midi_events(data)
    if not len(events.notes):
        raise NoBars("unreadable", "no notes in what is left of it") if events.broken else NoBars("empty", "no notes")
    if events.format == 2:
        events = _in_sequence(events)
    signatures = [rest for _, *rest in _time_signatures(events.others)]
    stem, suffix = os.path.splitext(name)
    drums = drum_notes(events, stem if suffix.lower() in SUFFIXES else name)
    if (np.diff(drums[:, 1]) < 0).any():
        drums = drums[np.argsort(drums[:, 1], kind="stable")]
    return Onsets(
        beat=drums[:, 1] / events.ticks_per_beat,
        pitch=drums[:, 3].astype(np.uint8),
        velocity=drums[:, 4].astype(np.uint8),
        time_signatures=ticks_to_time_signatures(signatures, events.ticks_per_beat),
        bpm=_first_bpm(events),
        n_beats=max(events.ends) / events.ticks_per_beat,
    )


def _time_signatures(events: Sequence[Event]) -> list[tuple[int, int, int, int]]:
    """Track, tick, numerator and denominator of each: at one tick that of the first track, of one track the last."""
    found: dict[int, tuple[int, int, int, int]] = {}
    for event in events:
        if event.status == 0xFF and event.kind == TIME_SIGNATURE and len(event.content) >= 2:
            numerator, power = event.content[:2]
            # real files have denominators of 2^33; a bar of 128ths is the shortest that there is
            possible = numerator > 0 and power < 8
            if possible and found.get(event.tick, (event.track,))[0] == event.track:
                found[event.tick] = (event.track, event.tick, numerator, 1 << power)
    return list(found.values())


def _in_sequence(events: MidiEvents) -> MidiEvents:
    """The tracks of format 2 one after another, each from a bar line on; bars begin anew with each."""
    notes, banks, others, ends = events.notes.copy(), events.banks.copy(), [], []
    starts = np.zeros(len(events.ends), np.int64)
    of_track = {track: list(mine) for track, mine in groupby(events.others, key=lambda event: event.track)}
    start = 0
    for track, end in enumerate(events.ends):
        starts[track] = start
        mine = of_track.get(track, [])
        metre = [each for each in _time_signatures(mine) if each[1] < end]
        if not any(tick == 0 for _, tick, *_ in metre):
            metre.append((track, 0, 4, 4))
            mine.append(Event(track, 0, 0xFF, TIME_SIGNATURE, b"\x04\x02\x18\x08"))
        others += [event._replace(tick=event.tick + start) for event in mine]
        _, since, numerator, denominator = max(metre, key=lambda each: each[1])
        bar = events.ticks_per_beat * 4 * numerator / denominator
        # a last note may ring a little into the next bar
        n_bars = math.ceil((end - since) / bar - 1 / 16)
        start += since + math.ceil(n_bars * bar)
        ends.append(start)
    for rows in (notes, banks):
        rows[:, 1] += starts[rows[:, 0]]
    return events._replace(notes=notes, banks=banks, others=others, ends=ends)


def ticks_to_time_signatures(signatures: Iterable[Sequence[int]], ticks_per_beat: int) -> tuple[TimeSignature, ...]:
    """Time signatures in beats, the last of several at one place, 4/4 before the first.

    One that repeats the one before it is kept: bars begin anew where a time signature is written.

    Args:
        signatures: tick, numerator and denominator of each.
        ticks_per_beat: of these ticks.
    """
    by_tick = {0: (4, 4)}
    for tick, numerator, denominator in signatures:
        if tick >= 0 and numerator > 0 and denominator > 0:
            by_tick[tick] = (numerator, denominator)
    return tuple(TimeSignature(tick / ticks_per_beat, *by_tick[tick]) for tick in sorted(by_tick))


def _first_bpm(events: MidiEvents) -> float:
    """Quarter notes a minute of the first tempo, of several at one place the last; 120 where there is none."""
    written = [
        (event.tick, length)
        for event in events.others
        if event.status == 0xFF and event.kind == TEMPO and len(event.content) == 3
        if (length := int.from_bytes(event.content, "big")) > 0
    ]
    if not written:
        return 120.0
    first = min(tick for tick, _ in written)
    return 60e6 / [length for tick, length in written if tick == first][-1]
