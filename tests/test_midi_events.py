"""The bytes of MIDI files to events."""

import io
import struct
from collections import Counter

import mido
import numpy as np
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan import midi_events as module
from rhythmgan.bars import GRIDS
from rhythmgan.grid import NoBars
from rhythmgan.kit import RYTHMGAN7
from rhythmgan.midi import midi_bytes
from rhythmgan.midi_events import midi_events
from rhythmgan.performance import Performance

END = b"\x00\xff\x2f\x00"


def _file(*tracks, format_=1, division=96, n_tracks=None):
    """A file of these tracks, to which an end is added."""
    chunks = [track + END for track in tracks]
    header = b"MThd" + struct.pack(">IHHH", 6, format_, len(chunks) if n_tracks is None else n_tracks, division)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(chunk)) + chunk for chunk in chunks)


def _notes(data):
    return midi_events(data).notes.tolist()


def _others(data):
    return [tuple(event) for event in midi_events(data).others]


# -- by hand -------------------------------------------------------------------------------------


def test_times_of_every_length():
    track = b"\x00\x90\x3c\x01" + b"\x7f\x3d\x02" + b"\x81\x00\x3e\x03" + b"\xff\x7f\x3f\x04" + b"\x81\x80\x00\x40\x05"
    track += b"\x81\x80\x80\x01\x41\x06"
    ticks = np.cumsum([0, 127, 128, 127 * 128 + 127, 128 * 128, 128**3 + 1]).tolist()
    assert _notes(_file(track)) == [[0, tick, 0, 60 + i, i + 1] for i, tick in enumerate(ticks)]
    assert not midi_events(_file(track)).broken


def test_a_time_that_looks_like_other_events():
    """C0, D5, F0 and FF as the first bytes of times: they are no program, no system exclusive, no meta event."""
    times = b"\xc0\x05", b"\xd5\x05", b"\xf0\x05", b"\xff\x05", b"\xff\xff\x05"
    track = b"\x00\x99\x24\x5a" + b"".join(time + b"\x24\x5a" for time in times)
    values = [(0x40 << 7) + 5, (0x55 << 7) + 5, (0x70 << 7) + 5, (0x7F << 7) + 5, (0x7F << 14) + (0x7F << 7) + 5]
    assert _notes(_file(track)) == [[0, int(tick), 9, 36, 90] for tick in np.cumsum([0, *values])]
    # and before an event with a status
    track = b"\x00\x99\x24\x5a" + b"\xc0\x05\xff\x06\x02\xff\xc0" + b"\xf0\x05\xc9\x08" + b"\xd0\x05\x99\x26\x40"
    assert _notes(_file(track))[1:] == [[0, 0x2005 + (0x70 << 7) + 5 + (0x50 << 7) + 5, 9, 38, 64]]
    assert _others(_file(track)) == [(0, 0x2005 + (0x70 << 7) + 5, 0xC9, 0, b"\x08")]


def test_running_status_goes_on_behind_other_events():
    meta = b"\x05\xff\x01\x02hi" + b"\x05\xf0\x03\x41\x10\xf7"
    assert _notes(_file(b"\x00\x99\x24\x5a" + meta + b"\x07\x26\x40")) == [[0, 0, 9, 36, 90], [0, 17, 9, 38, 64]]
    # of a program too, whose events are of one data byte
    track = b"\x02\xc3\x07" + b"\x05\xff\x01\x01x" + b"\x03\x08" + b"\x04\x93\x3c\x40"
    assert _others(_file(track)) == [(0, 2, 0xC3, 0, b"\x07"), (0, 10, 0xC3, 0, b"\x08")]
    assert _notes(_file(track)) == [[0, 14, 3, 60, 64]]
    assert not midi_events(_file(track)).broken


def test_channel_pressure_by_the_hundred():
    track = b"\x01\xd9\x10" + b"\x01\x11" * 300 + b"\x01\x99\x24\x5a" + b"\x01\xd9\x12" + b"\x01\x99\x26\x5a"
    assert _notes(_file(track)) == [[0, 302, 9, 36, 90], [0, 304, 9, 38, 90]]


def test_only_note_ons_with_a_velocity_are_notes():
    track = (
        b"\x00\x99\x24\x5a\x0a\x24\x00\x0a\x89\x24\x40\x0a\xa9\x24\x40\x0a\xe9\x00\x40\x0a\xb9\x07\x64\x0a\x99\x24\x01"
    )
    assert _notes(_file(track)) == [[0, 0, 9, 36, 90], [0, 60, 9, 36, 1]]


def test_bank_selects():
    track = b"\x00\xba\x00\x7f\x03\x20\x05\x04\x00\x00\x00\xb9\x00\x79"
    assert midi_events(_file(b"", track)).banks.tolist() == [[1, 0, 10, 127], [1, 7, 10, 0], [1, 7, 9, 121]]


def test_what_stands_between_the_notes():
    track = b"\x00\xff\x03\x05Drums" + b"\x00\xff\x58\x04\x06\x03\x18\x08" + b"\x60\xff\x51\x03\x07\xa1\x20"
    track += b"\x00\x99\x24\x5a" + b"\x81\x00\xf0\x02\x7e\xf7" + b"\x00\xff\x05\x02la" + b"\x01\xc9\x10"
    assert _others(_file(b"", track)) == [
        (1, 0, 0xFF, 0x03, b"Drums"),
        (1, 0, 0xFF, 0x58, b"\x06\x03\x18\x08"),
        (1, 96, 0xFF, 0x51, b"\x07\xa1\x20"),
        (1, 224, 0xF0, 0, b"\x7e\xf7"),
        (1, 225, 0xC9, 0, b"\x10"),
    ]


def test_the_end_of_each_track():
    data = _file(b"\x00\x99\x24\x5a\x30\xff\x01\x01x\x30", b"", b"\x60\xff\x01\x01x\x10\xc9\x00\x10")
    # the last bytes above are the time of the end
    data = data.replace(b"\x30" + END, b"\x30" + END[1:] + b"\x00").replace(b"\x10" + END, b"\x10" + END[1:] + b"\x00")
    assert midi_events(data).ends == [0x60, 0, 0x80]


def test_what_follows_the_end_of_a_track_is_not_read():
    assert _notes(_file(b"\x00\x99\x24\x5a" + END + b"\x00\x99\x26\x5a")) == [[0, 0, 9, 36, 90]]


def test_as_many_tracks_as_there_are():
    kick, snare = b"\x00\x99\x24\x5a", b"\x05\x99\x26\x5a"
    both = [[0, 0, 9, 36, 90], [2, 5, 9, 38, 90]]
    for counted in (0, 1, 2, 3, 4, 65535):
        assert _notes(_file(kick, b"", snare, n_tracks=counted)) == both


def test_chunks_of_other_kinds_are_stepped_over():
    data = _file(b"\x00\x99\x24\x5a")
    other = b"XFIH" + struct.pack(">I", 6) + b"\x00\x99\x26\x5a\x00\x00"
    assert _notes(data[:14] + other + data[14:] + other) == [[0, 0, 9, 36, 90]]


@pytest.mark.parametrize("before", [b"\0" * 128, b"\r\n", b"junk" * 100])
def test_bytes_before_the_header(before):
    assert _notes(before + _file(b"\x00\x99\x24\x5a")) == [[0, 0, 9, 36, 90]]


def test_a_file_in_riff():
    data = _file(b"\x00\x99\x24\x5a")
    chunk = b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    information = b"LIST" + struct.pack("<I", 10_004) + b"INFO" + bytes(10_000)
    for content in (chunk, information + chunk, chunk + information):
        assert _notes(b"RIFF" + struct.pack("<I", len(content) + 4) + b"RMID" + content) == [[0, 0, 9, 36, 90]]
    with pytest.raises(NoBars, match="not a MIDI file"):
        midi_events(b"RIFF" + struct.pack("<I", 16) + b"WAVEfmt " + bytes(8))


@pytest.mark.parametrize(
    "text", [b"this is an MThd file\n", b"MThd is what it begins with:\n", b"MThd MThd", b"MThd" * 9]
)
def test_text_with_the_word_of_a_header_before_it(text):
    assert _notes(text + _file(b"\x00\x99\x24\x5a")) == [[0, 0, 9, 36, 90]]
    with pytest.raises(NoBars):
        midi_events(text + b"and nothing else")


@pytest.mark.parametrize("length", [0, 5, 1 << 20])
def test_a_header_of_a_wrong_length_before_a_track(length):
    data = _file(b"\x00\x99\x24\x5a")
    assert _notes(data[:4] + struct.pack(">I", length) + data[8:]) == [[0, 0, 9, 36, 90]]


def test_a_header_that_is_longer():
    data = _file(b"\x00\x99\x24\x5a")
    data = data[:4] + struct.pack(">I", 8) + data[8:14] + b"\0\0" + data[14:]
    assert _notes(data) == [[0, 0, 9, 36, 90]]


# -- broken --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("track", "notes"),
    [
        pytest.param(b"\x00\x24\x64\x00\x99\x24\x64\x3c\x24\x00", [(0, 36, 100)], id="note"),
        pytest.param(b"\x05\x24\x64\x06\x26\x64\x07\x99\x24\x64\x3c\x26\x01", [(18, 36, 100), (78, 38, 1)], id="two"),
        pytest.param(b"\x05\xff\x01\x01x\x00\x24\x64\x00\x99\x24\x64", [(5, 36, 100)], id="behind a meta event"),
    ],
)
def test_running_status_before_any_status(track, notes):
    assert _notes(_file(track)) == [[0, tick, 9, pitch, velocity] for tick, pitch, velocity in notes]


@pytest.mark.parametrize(
    "message",
    [bytes([each]) for each in (0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE)] + [b"\xf1\x24", b"\xf3\x02", b"\xf2\x24\x5a"],
)
def test_system_messages_within_a_track_are_stepped_over(message):
    """Behind them a note with a status, and one that goes on with the one before; mido reads the first kind."""
    track = b"\x00\x99\x24\x5a" + b"\x05" + message + b"\x07\x99\x26\x40" + b"\x01" + message
    assert _notes(_file(track + b"\x02\x2a\x41")) == [[0, 0, 9, 36, 90], [0, 12, 9, 38, 64], [0, 15, 9, 42, 65]]
    data = _file(track)
    song = mido.MidiFile(file=io.BytesIO(data))
    assert sum(each.type == "note_on" for each in song.tracks[0]) == 2
    # before any note, and at the end
    assert _notes(_file(b"\x05" + message + track)) == [[0, 5, 9, 36, 90], [0, 17, 9, 38, 64]]
    assert midi_events(data).ends == [13]


@pytest.mark.parametrize("status", [0xF4, 0xF5, 0xF9, 0xFD])
def test_a_status_that_means_nothing_ends_a_track(status):
    track = b"\x00\x99\x24\x5a\x05" + bytes([status]) + b"\x07\x99\x26\x40"
    assert _notes(_file(track, b"\x01\x99\x2a\x40")) == [[0, 0, 9, 36, 90], [1, 1, 9, 42, 64]]


def test_a_program_out_of_range_is_the_last_one():
    """As a velocity out of range is the loudest."""
    found = midi_events(_file(b"\x00\xc9\xc8\x00\x99\x24\xff"))
    assert [each.content for each in found.others] == [b"\x7f"]
    assert found.notes.tolist() == [[0, 0, 9, 36, 127]]


def test_one_broken_track_does_not_harm_the_others():
    kick, snare, clipped = b"\x00\x99\x24\x5a\x10\x24\x5a", b"\x05\x99\x26\x5a", b"\x07\x99\x2a\xff\x07\x2a\x33"
    odd = midi_events(_file(kick, clipped, snare))
    assert odd.broken
    assert odd.notes.tolist() == [
        *([0, tick, 9, 36, 90] for tick in (0, 16)),
        *([1, 7, 9, 42, 127], [1, 14, 9, 42, 51]),
        [2, 5, 9, 38, 90],
    ]
    assert odd.ends == [16, 14, 5]


def test_a_track_whose_length_is_too_small_goes_on():
    data = bytearray(_file(b"\x00\x99\x24\x5a\x10\x24\x5a\x10\x26\x5a", b"\x05\x99\x26\x5a"))
    for length in (0, 4, 5, 9):
        data[18:22] = struct.pack(">I", length)
        assert _notes(bytes(data)) == [[0, 0, 9, 36, 90], [0, 16, 9, 36, 90], [0, 32, 9, 38, 90], [1, 5, 9, 38, 90]]


# -- more than any music has ---------------------------------------------------------------------


def _too_many(data):
    with pytest.raises(NoBars) as why:
        midi_events(data)
    assert why.value.reason == "unreadable"
    return why.value.detail


def test_files_of_too_many_tracks_or_events_are_refused():
    kick = b"\x00\x99\x24\x5a"
    assert len(midi_events(_file(*[kick] * module.MAX_TRACKS)).ends) == module.MAX_TRACKS
    assert _too_many(_file(*[kick] * (module.MAX_TRACKS + 1))) == "more than 4,096 tracks"
    assert _too_many(_file(b"") + b"MTrk\0\0\0\0" * 100_000) == "more than 4,096 tracks"
    assert _too_many(_file(kick + b"\x00\x24\x5a" * module.MAX_EVENTS)) == "more than 1,048,576 events"
    volumes = b"\x00\xb9\x07\x64" + b"\x00\x07\x64" * module.MAX_EVENTS
    assert _too_many(_file(kick + volumes)) == "more than 1,048,576 events"
    assert (
        _too_many(_file(kick + b"\x01\xc9" + b"\x01\x01" * 70_000)) == "more than 65,536 names, programs and the like"
    )
    assert _too_many(_file(b"\x00\xff\x03\x01a" * 70_000 + kick)) == "more than 65,536 names, programs and the like"
    assert _too_many(_file(b"\x00\xb9\x00\x7f" * 70_000 + kick)) == "more than 65,536 names, programs and the like"
    assert _too_many(_file(kick + b"\x00\xc9\x01" * 300_000)) == "more than 262,144 events that are no notes"
    assert _too_many(_file(kick + b"\x00\xd9\x01" + b"\x00\x01" * module.MAX_EVENTS)) == "more than 1,048,576 events"


def test_broken_tracks_of_too_many_events_are_refused():
    """Each is read byte by byte, for the last note's velocity is out of range."""
    odd = b"\x00\x99\x24\xff"
    assert _too_many(_file(odd + b"\x00\x24\x5a" * module.MAX_EVENTS)) == "more than 1,048,576 events"
    half = odd + b"\x00\x24\x5a" * (module.MAX_EVENTS // 2)
    assert _too_many(_file(half, half)) == "more than 1,048,576 events"
    assert _too_many(_file(odd + b"\x01\xc9" + b"\x01\x01" * 70_000)) == "more than 65,536 names, programs and the like"
    assert _too_many(_file(odd + b"\x00\xb9\x00\x7f" * 70_000)) == "more than 65,536 names, programs and the like"


# -- the two ways to read a track agree ----------------------------------------------------------


def _as_scanned(data):
    """The same file, every track read byte by byte."""
    data, *_, start = module._header(data)
    scanned = [module._scan(data[begin:end], number) for number, (begin, end) in enumerate(module._chunks(data, start))]
    return (
        [row for each in scanned for row in each.notes.tolist()],
        [row for each in scanned for row in each.banks.tolist()],
        [event for each in scanned for event in each.others],
        [each.end for each in scanned],
    )


def _number(value):
    found = [value & 0x7F]
    while value := value >> 7:
        found.insert(0, value & 0x7F | 0x80)
    return bytes(found)


_data = st.integers(0, 127)
_two_data_bytes = st.builds(
    lambda kind, channel, first, second: (kind | channel, bytes([first, second])),
    *(st.sampled_from([0x80, 0x90, 0x90, 0xA0, 0xB0, 0xE0]), st.integers(8, 10), st.sampled_from([0, 1, 36]), _data),
)
_one_data_byte = st.builds(
    lambda kind, channel, data: (kind | channel, bytes([data])),
    *(st.sampled_from([0xC0, 0xD0]), st.integers(8, 10), _data),
)
_meta = st.builds(
    lambda kind, content: (0xFF, bytes([kind, len(content)]) + content),
    *(st.sampled_from([0x01, 0x03, 0x51, 0x58]), st.binary(max_size=6)),
)
_exclusive = st.builds(lambda content: (0xF0, bytes([len(content)]) + content), st.binary(max_size=6))
_events = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 200), st.integers(0, 1 << 28).filter(lambda time: time < 1 << 28)),
        st.one_of(_two_data_bytes, _two_data_bytes, _one_data_byte, _meta, _exclusive),
        st.booleans(),
    ),
    max_size=40,
)


def _track_of(events):
    """The bytes of events, with running status where it may be and is wished."""
    track, running = b"", 0
    for time, (status, rest), leaves_out in events:
        track += _number(time)
        if not (leaves_out and status == running):
            track += bytes([status])
        track += rest
        if status < 0xF0:
            running = status
    return track


@given(st.lists(_events, min_size=1, max_size=4))
def test_whatever_the_events(tracks):
    data = _file(*map(_track_of, tracks))
    if data.count(b"MTrk") > len(tracks):
        return
    found = midi_events(data)
    assert not found.broken
    assert (found.notes.tolist(), found.banks.tolist(), found.others, found.ends) == _as_scanned(data)
    expected = []
    for number, events in enumerate(tracks):
        ticks = np.cumsum([0, *(time for time, *_ in events)])[1:].tolist()
        expected += [
            [number, tick, status & 15, *rest]
            for tick, (_, (status, rest), _) in zip(ticks, events, strict=True)
            if status & 0xF0 == 0x90 and rest[1]
        ]
    assert found.notes.tolist() == expected


def test_both_ways_agree_on_real_files(shared):
    """Every eighth file of Lakh."""
    n_files = 0
    for path in sorted(shared.glob("lakh/lmd_full/*/*.mid"))[::8]:
        data = path.read_bytes()
        try:
            found = midi_events(data)
        except NoBars:
            continue
        if not found.broken:
            assert (found.notes.tolist(), found.banks.tolist(), found.others, found.ends) == _as_scanned(data)
            n_files += 1
    assert n_files > 290


# -- as others read ------------------------------------------------------------------------------


def _symusic_notes(data):
    score = symusic.Score.from_midi(data)
    notes = Counter()
    for track in score.tracks:
        columns = track.notes.numpy()
        rows = (columns[name].tolist() for name in ("time", "pitch", "velocity"))
        notes.update((track.is_drum, *row) for row in zip(*rows, strict=True))
    return notes, sorted((tempo.time, tempo.mspq) for tempo in score.tempos), score.ticks_per_quarter


def _our_notes(data):
    found = midi_events(data)
    notes = Counter((channel == 9, tick, pitch, velocity) for _, tick, channel, pitch, velocity in found.notes.tolist())
    tempi = [(each.tick, int.from_bytes(each.content, "big")) for each in found.others if each.kind == module.TEMPO]
    return notes, sorted(tempi), found.ticks_per_beat


@pytest.mark.parametrize("steps", GRIDS)
def test_what_we_write_as_symusic_reads_it(steps):
    bars = np.random.default_rng(steps).random((2, steps, 7)) < 0.2
    data = midi_bytes(Performance.of(bars, RYTHMGAN7))
    assert _our_notes(data) == _symusic_notes(data)
    assert sum(_our_notes(data)[0].values()) == bars.sum()


def test_healthy_files_as_symusic_reads_them(shared):
    """Every tenth file of Lakh, all tracks: symusic leaves out notes that never end and tracks that are not counted."""
    n_equal = n_files = n_more = 0
    for path in sorted(shared.glob("lakh/lmd_full/*/*.mid"))[::10]:
        data = path.read_bytes()
        try:
            expected = _symusic_notes(data)
        except RuntimeError:
            continue
        found = _our_notes(data)
        assert found[1:] == expected[1:], path.name
        assert not expected[0] - found[0], path.name
        n_files += 1
        n_equal += found == expected
        n_more += (found[0] - expected[0]).total()
    assert n_files == 243
    assert n_equal >= 233
    assert n_more <= 389  # 233 of one file, 65 of another


@pytest.fixture
def light_mido(monkeypatch):
    """mido walks the events as ever, but makes no objects of them: (delta, status, first, second) each."""

    class Message:
        def __new__(cls, kind, data=(), time=0):
            return time, 0xF0, 0, 0

        @staticmethod
        def from_bytes(data, time=0):
            return time, data[0], data[1], data[-1]

    def read_bytes(file, size):
        data = file.read(size)
        if len(data) < size:
            raise EOFError
        return list(data)

    walker = mido.midifiles.midifiles
    monkeypatch.setattr(walker, "Message", Message)
    monkeypatch.setattr(walker, "read_bytes", read_bytes)
    monkeypatch.setattr(walker, "build_meta_message", lambda kind, data, delta: (delta, 0xFF, 0, 0))
    monkeypatch.setattr(walker, "MidiTrack", list)
    return walker


def _mido_drums(walker, data):
    """(tick, pitch, velocity) and how often, of the note-ons on channel 10, and the ticks per beat.

    A chunk without the byte 0x99 has no note-on of channel 10, so it is stepped over.
    """
    file = io.BytesIO(data)
    _, n_tracks, ticks_per_beat = walker.read_file_header(file)
    onsets = Counter()
    for _ in range(n_tracks):
        start = file.tell()
        name, size = walker.read_chunk_header(file)
        if name == b"MTrk" and start + 8 + size <= len(data) and 0x99 not in data[start + 8 : start + 8 + size]:
            file.seek(size, io.SEEK_CUR)
            continue
        file.seek(start)
        tick = 0
        for delta, status, pitch, velocity in walker.read_track(file, clip=True):
            tick += delta
            if status == 0x99 and velocity:
                onsets[tick, pitch, min(velocity, 127)] += 1
    return onsets, ticks_per_beat


def test_every_third_file_of_lakh_as_mido_reads_channel_ten(shared, light_mido):
    n_files = n_exact = n_onsets = 0
    other = []
    for path in sorted(shared.glob("lakh/lmd_full/*/*.mid"))[::3]:
        n_files += 1
        data = path.read_bytes()
        try:
            expected = _mido_drums(light_mido, data)
        except (OSError, EOFError):
            other.append(path.stem[:4])
            continue
        found = midi_events(data)
        notes = Counter(
            (tick, pitch, velocity) for _, tick, channel, pitch, velocity in found.notes.tolist() if channel == 9
        )
        if (notes, found.ticks_per_beat) == expected:
            n_exact += 1
        else:
            other.append(path.stem[:4])
        n_onsets += expected[0].total()
    assert n_files == 808
    assert n_onsets > 1_320_000
    # not a MIDI file; notes at an absurd time behind damage; a header that counts ten of thirteen tracks
    assert other == ["1533", "e219", "f8ea"]
    assert n_exact == 805
