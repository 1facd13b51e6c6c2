"""What readers cost at most: bytes of memory for each byte they are given, and bytes that they look at. No seconds."""

import contextlib
import os
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rhythmgan.cli
import rl_tuner.cli
from rhythmgan import grid, midi_drums, midi_events
from rhythmgan.bars import text_to_words
from rhythmgan.commands.interpolate import MAX_Z_BYTES, _read_z
from rhythmgan.grid import MAX_BARS, NoBars, Onsets, TimeSignature, quantise, quantise_by_grid
from rhythmgan.kit import GM9, GM12
from rhythmgan.load import load_bars, load_loop
from rhythmgan.loop_packs import find_pack, standard_midi
from rhythmgan.midi_reader import parse_midi
from rhythmgan.patterns import read_text
from rhythmgan.performance import onsets_to_performance

MIB = 1 << 20
END = b"\x00\xff\x2f\x00"
BEAT = b"\x00\x99\x24\x5a\x00\x26\x5a\x00\x2a\x5a\x00\x31\x5a\x00\x33\x5a"
"""Five parts at once: so many that no name is asked for."""


def _file(*tracks, format_=1, division=96):
    header = b"MThd" + struct.pack(">IHHH", 6, format_, len(tracks), division)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track) + 4) + track + END for track in tracks)


HEADER = _file()


def _peak(call):
    """Bytes of memory that a call takes at most; a NoBars or another ValueError is an answer too."""
    tracemalloc.start()
    try:
        call()
    except ValueError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def _texts(n, names):
    return b"".join(b"\x00\xff\x03" + bytes([len(name)]) + name for name in names(n))


HOSTILE = {
    "headers of an absurd length": lambda n: HEADER + b"MTrk\xff\xff\xff\xff" * (n // 8),
    "such headers, a note in each": lambda n: HEADER + b"MTrk\x7f\xff\xff\xff\x00\x99\x24\x5a" * (n // 12),
    "such headers, a wrong note in each": lambda n: HEADER + b"MTrk\x7f\xff\xff\xff\x00\x99\x24\xff" * (n // 12),
    "headers that are notes of the track before": lambda n: (
        HEADER + b"MTrk\x7f\x01\x01\x01\x00\x99\x24\x5a\x00\x24\x5a\x00" * (n // 16) + END[1:]
    ),
    "headers within an exclusive": lambda n: (
        HEADER + (b"MTrk\x7f\xff\xff\xff\x00\xf0\xff\xff\x7f" + bytes(80)) * (n // 93)
    ),
    "lengths that reach to the end": lambda n: (
        HEADER
        + b"".join(b"MTrk" + struct.pack(">I", 12 * i + 8) + b"\x00\x99\x24\x5a" for i in range(n // 12, 0, -1))
        + END
    ),
    "headers of a file": lambda n: b"MThd" * (n // 4),
    "headers of a file in RIFF": lambda n: b"RIFF" + b"MThd\0\0\0\0" * (n // 8) + _file(BEAT),
    "notes": lambda n: _file(BEAT + b"\x01\x24\x5a" * (n // 3)),
    "notes read byte by byte": lambda n: _file(BEAT + b"\x00\x24\xff" + b"\x01\x24\x5a" * (n // 3)),
    "programs": lambda n: _file(BEAT + b"\x00\xc0\x01" + b"\x00\x01" * (n // 2)),
    "time signatures": lambda n: _file(b"\x01\xff\x58\x04\x04\x02\x18\x08" * (n // 8) + BEAT),
    "bank selects": lambda n: _file(b"\x00\xb9\x00\x7f" * (n // 4) + BEAT),
    "exclusives": lambda n: _file(b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7\x00\xb9\x00\x7f" * (n // 12) + BEAT),
    "bytes of times": lambda n: _file(BEAT + b"\xbf" * n),
    "statuses": lambda n: _file(BEAT + b"\xc5" * n),
    "tracks": lambda n: _file(*[BEAT] * (n // 30)),
    "sequences": lambda n: _file(*[b"\x00\xff\x58\x04\x04\x02\x18\x08" + BEAT] * (n // 40), format_=2),
    "named tracks": lambda n: _file(*[b"\x00\xff\x03\x04Kick\x00\x90\x4d\x5a\x00\x4c\x5a"] * (n // 30)),
    "names": lambda n: _file(
        _texts(n // 20, lambda k: (b"Kick+Snare %04d" % i for i in range(k)))
        + b"\x00\x90\x4d\x5a"
        + b"\x01\x4c\x5a" * n
    ),
    "letters that fold into eighteen": lambda n: _file(
        _texts(n // 120, lambda k: ["\ufdfa".encode() * 40] * k) + b"\x00\x90\x4d\x5a\x01\x4c\x5a"
    ),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_midi_takes_two_hundred_bytes_a_byte(hostile):
    data = HOSTILE[hostile](20_000)
    assert _peak(lambda: midi_events.midi_events(data)) <= 200 * len(data)
    assert _peak(lambda: parse_midi(data, "loop.mid")) <= 200 * len(data) + MIB
    assert _peak(lambda: standard_midi(data, "Kick_01.mid")) <= 200 * len(data) + MIB


@pytest.mark.parametrize("hostile", HOSTILE)
def test_tracks_are_twice_the_file_at_most(hostile, monkeypatch):
    """What the rules read, and what is read byte by byte, are bytes of the tracks."""
    n_scanned = []
    scan = midi_events._scan
    monkeypatch.setattr(midi_events, "_scan", lambda data, track: n_scanned.append(len(data)) or scan(data, track))
    data = HOSTILE[hostile](20_000)
    try:
        assert sum(end - begin for begin, end in midi_events._chunks(data, 0)) <= 2 * len(data)
        midi_events.midi_events(data)
    except NoBars:
        pass
    assert sum(n_scanned) <= 2 * len(data)


class _Counting(list):
    """A list that counts how often one of its items is taken."""

    n = 0

    def __getitem__(self, place):
        self.n += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("hostile", [*HOSTILE, "headers, and notes that lead out of their tracks"])
def test_what_may_be_a_status_is_looked_at_a_few_times(hostile):
    leading_out = HEADER + b"MTrk\x7f\xff\xff\xff\x00\x00\x03$" * 1500
    data = HOSTILE[hostile](20_000) if hostile in HOSTILE else leading_out
    reader = midi_events._Reader(data, midi_events._chunks(data, 0))
    reader._stops = stops = _Counting(reader._stops)
    with contextlib.suppress(NoBars):
        reader.read(1, 96, False)
    assert stops.n <= 4 * len(data)


_lengths = st.sampled_from([0, 1, 7, 8, 9, 12, 16, 40, 100, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 300)
_pieces = st.one_of(
    st.builds(lambda length: b"MTrk" + struct.pack(">I", length), _lengths),
    st.sampled_from([END, END[1:], BEAT, b"MTrk", b"MThd", b"\x00\xf0\xff\x7f", b"\x00\x24\xff", bytes(20)]),
    st.binary(max_size=12),
)


@given(st.lists(_pieces, max_size=40))
def test_tracks_are_twice_the_file_at_most_whatever_it_is(pieces):
    data = HEADER + b"".join(pieces)
    chunks = midi_events._chunks(data, 14)
    assert sum(max(end - begin, 0) for begin, end in chunks) <= 2 * len(data)
    # every header begins a track, but for those within a track whose length leads to the next one
    assert [data[begin - 8 : begin - 4] for begin, _ in chunks] == [b"MTrk"] * len(chunks)
    try:
        found = midi_events.midi_events(data)
    except NoBars:
        return
    assert len(found.ends) == len(chunks)


def test_a_file_is_read_behind_thousands_of_broken_headers():
    drums = b"\x00\x99\x24\x5a\x60\x26\x5a" + END
    spam = b"MTrk\xff\xff\xff\xff" * 4000
    found = midi_events.midi_events(HEADER + spam + b"MTrk" + struct.pack(">I", len(drums)) + drums)
    assert found.broken
    assert [row[1:] for row in found.notes.tolist() if row[0] == 4000] == [[0, 9, 36, 90], [96, 9, 38, 90]]


def test_a_track_may_hold_the_word_of_a_header():
    """Its notes stand on both sides of it, and there is one track more, without notes."""
    data = _file(b"\x00\x99\x24\x5a\x05\xff\x01\x04MTrk\x07\x99\x26\x5a")
    assert [row[1:] for row in midi_events.midi_events(data).notes.tolist() if row[0] == 0] == [
        [0, 9, 36, 90],
        [12, 9, 38, 90],
    ]


def test_a_length_that_is_too_large_costs_no_track():
    kick, snare, hat = (b"\x00\x99" + bytes([pitch, 90]) + END for pitch in (36, 38, 42))
    for length in (len(kick) + 1, len(kick) + 20, 0x7FFFFFFF, 0xFFFFFFFF):
        data = HEADER + b"".join(b"MTrk" + struct.pack(">I", length) + track for track in (kick, snare, hat))
        assert [row[0::3] for row in midi_events.midi_events(data).notes.tolist()] == [[0, 36], [1, 38], [2, 42]]


def test_notes_are_looked_at_once_however_many_names_there_are(monkeypatch):
    looks = []
    plausible = midi_drums._plausible
    monkeypatch.setattr(midi_drums, "_plausible", lambda *given: looks.append(len(given[0])) or plausible(*given))
    names = b"".join(b"\x00\xff\x03\x0fKick+Snare %04d" % i for i in range(1000))
    genres = b"".join(b"\x00\xff\x03\x0eDrum Bass %04d" % i for i in range(500))
    as_a_kit = midi_drums._as_a_kit
    monkeypatch.setattr(midi_drums, "_as_a_kit", lambda notes: looks.append(len(notes)) or as_a_kit(notes))
    for texts in (names, genres):
        with pytest.raises(NoBars, match="no drums"):
            parse_midi(_file(texts + b"\x00\x90\x05\x5a\x01\x06\x5a\x01\x07\x5a"), "x.mid")
        assert sum(looks) <= 6
        looks.clear()


def test_few_bytes_of_names_are_read(monkeypatch):
    folded = []
    fold = midi_drums._folded
    monkeypatch.setattr(midi_drums, "_folded", lambda name: folded.append(len(name)) or fold(name))
    texts = _texts(1000, lambda n: (b"%04d some text of a name" % i for i in range(n)))
    track = texts + b"\x00\x90\x05\x5a\x01\x06\x5a\x01\x07\x5a"
    with pytest.raises(NoBars, match="no drums"):
        parse_midi(_file(*[track] * 4), "x.mid")
    # each name once, and once more for each of two looks at its part; 96 kB are written
    assert sum(folded) <= 3 * midi_drums._MAX_OF_NAMES


# -- onsets --------------------------------------------------------------------------------------


def _onsets(beat, time_signatures=()):
    n = len(beat)
    return Onsets(np.asarray(beat, float), np.full(n, 36, np.uint8), np.full(n, 90, np.uint8), time_signatures)


@pytest.mark.parametrize(
    "beat",
    [
        np.arange(20_000) / 96,
        np.arange(20_000) / 4.7,
        np.arange(20_000) * 4.0,
        np.cumsum(np.tile([0.19, 0.45, 0.24, 0.63], 5000)),
        np.zeros(20_000),
    ],
    ids=["dense", "on no grid", "a bar each", "people", "at once"],
)
def test_onsets_take_four_hundred_bytes_and_cells_a_few(beat):
    onsets = _onsets(beat)
    n_bars = len(np.unique(beat // 4)) + 1
    cells = n_bars * 16 * GM12.n_parts
    fixed = MIB // 4
    assert _peak(lambda: quantise(onsets, GM12)) <= 400 * len(beat) + 6 * cells + fixed
    assert _peak(lambda: quantise_by_grid(onsets, GM12)) <= 400 * len(beat) + 4096 * n_bars + fixed
    assert _peak(lambda: onsets_to_performance(onsets, GM12)) <= 400 * len(beat) + 22 * cells + fixed


def test_more_bars_than_any_song_has_are_left_behind_and_counted():
    found = quantise(_onsets(np.arange(MAX_BARS + 5) * 4.0), GM9, 12)
    assert len(found.bars) == MAX_BARS
    assert found.index[-1] == MAX_BARS - 1
    assert found.n_other_time_signature == 5


def test_columns_of_many_time_signatures_are_not_kept():
    grid._kept_sections.cache_clear()
    # what another thread of the tests keeps meanwhile is not ours
    ours = [tracemalloc.Filter(True, file) for file in (grid.__file__, f"{Path(np.__file__).parent}/*")]
    for song in range(20):
        many = tuple(TimeSignature(4.0 * i, 4, 4) for i in range(song, 2000))
        quantise(_onsets([0.0, 1.0], many[:1]), GM9)
        tracemalloc.start()
        quantise(_onsets([8000.0], many), GM9)
        kept = tracemalloc.take_snapshot().filter_traces(ours)
        tracemalloc.stop()
        assert sum(trace.size for trace in kept.traces) < 20_000
    assert grid._kept_sections.cache_info().currsize <= 20


@pytest.mark.parametrize(("steps", "whole"), [(16, False), (48, True)])
def test_what_is_too_long_is_refused_before_there_is_memory_for_it(steps, whole):
    far, many = _onsets([0.0, 4.0 * (1 << 16)]), _onsets(np.arange(1000) * 4.0)

    def read(onsets, most):
        return lambda: onsets_to_performance(onsets, GM12, steps, whole=whole, max_bars=most)

    assert _peak(read(far, 256)) < MIB // 4
    assert _peak(read(many, 256)) < MIB // 4
    with pytest.raises(NoBars, match="too long: 65,537 bars, 256 at most"):
        read(far, 256)()
    assert len(read(many, 1000)()[0]) == 1000
    with pytest.raises(NoBars, match="too long: 1,000 bars, 999 at most"):
        read(many, 999)()


def test_silent_bars_count_where_the_whole_is_read():
    onsets = _onsets([12.0, 20.0])
    assert len(onsets_to_performance(onsets, GM9, max_bars=3)[0]) == 3
    with pytest.raises(NoBars, match="too long: 6 bars, 5 at most"):
        onsets_to_performance(onsets, GM9, whole=True, max_bars=5)


def test_an_error_names_few_of_many_time_signatures():
    many = tuple(TimeSignature(4.0 * i, 3 + i, 4) for i in range(2, 500))
    with pytest.raises(NoBars, match="other time signature") as why:
        grid.quantise_or_explain(_onsets([8.0], many), GM9)
    assert str(why.value).endswith("482 more")
    assert len(str(why.value)) < 300


# -- files ---------------------------------------------------------------------------------------

BAR = "0b100000000 " * 16 + "BAR\n"

TEXTS = {
    "bars": lambda n: BAR * (n // len(BAR)),
    "short bars in short lines": lambda n: ("0b100000000 " * 12 + "BAR ").replace(" ", "\n") * (n // 148),
    "comments": lambda n: "#\n" * (n // 2) + BAR,
    "a comment above each bar": lambda n: ("# " + "x" * 60 + "\n" + BAR) * (n // 260),
    "a long comment and many bars": lambda n: "# " + "x" * (n // 2) + "\n" + BAR * (n // 2 // len(BAR)),
    "blank lines": lambda n: "\n" * n + BAR,
    "spaces": lambda n: " " * n + BAR,
    "spaces in lines": lambda n: (" " * 100 + "\n") * (n // 101) + BAR,
    "one long word": lambda n: "0b1" + "0" * n,
    "one long line": lambda n: BAR.replace("\n", " ") * (n // len(BAR)),
    "short words": lambda n: "a " * (n // 2),
    "line breaks of all kinds": lambda n: "\x0b\x0c\x85\u2028" * (n // 8) + BAR,
    "letters beyond the first plane": lambda n: "#\U0001f941\n" * (n // 6) + BAR,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_take_sixteen_bytes_a_byte(kind, tmp_path):
    path = tmp_path / "bars.txt"
    path.write_text(TEXTS[kind](50_000), encoding="utf-8")
    assert _peak(lambda: read_text(path)) <= 16 * path.stat().st_size + MIB // 16


@pytest.mark.parametrize("kind", TEXTS)
def test_letters_take_ten_bytes_each(kind):
    text = TEXTS[kind](50_000)
    assert _peak(lambda: text_to_words(text, 9)) <= 10 * len(text) + MIB // 16


def test_a_line_is_looked_at_once_however_many_comments_there_are(tmp_path, monkeypatch):
    from rhythmgan import patterns

    looks = []
    monkeypatch.setattr(patterns, "text_to_words", lambda *given: looks.append(len(given[0])) or text_to_words(*given))
    path = tmp_path / "bars.txt"
    path.write_text(("# name\n" + BAR) * 200, encoding="utf-8")
    read_text(path)
    assert sum(looks) <= path.stat().st_size


def test_a_loop_of_too_many_bars_is_refused_in_every_format(tmp_path):
    text, arrays = tmp_path / "bars.txt", tmp_path / "bars.npz"
    text.write_text(BAR * 300, encoding="utf-8")
    np.savez(arrays, bars=np.ones((3, 100, 16, 9), bool))
    midi = tmp_path / "loop.mid"
    midi.write_bytes(_file(b"\x00\x99\x24\x5a\x85\xff\x00\x99\x26\x5a" + b"\xff\xff\xff\x7f\x99\x2a\x5a"))
    for path, found in ((text, "300"), (arrays, "300"), (midi, "699,[0-9]{3}")):
        with pytest.raises(ValueError, match=f"{path}: too long: {found} bars, 256 at most"):
            load_loop(path, GM9, max_bars=256)
    assert len(load_loop(text, GM9, max_bars=300)[0]) == 300
    for path in (text, arrays):
        with pytest.raises(ValueError, match="too long: 300 bars, 299 at most"):
            load_bars(path, max_bars=299)


def _far_apart(path):
    """A file of two onsets, of which the last lies half a beat before the end of its bar; and how many bars that is."""
    path.write_bytes(_file(b"\x00\x99\x24\x5a" + b"\xff\xff\xff\x00\x99\x26\x5a", division=256))
    return path, 1 << 18


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (rl_tuner.cli, ["steer", "--density", "12", "--from-midi", "LOOP"]),
        (rl_tuner.cli, ["continue", "LOOP", "--cymbals", "high"]),
        (rl_tuner.cli, ["toggle", "answer", "LOOP"]),
        (rl_tuner.cli, ["toggle", "test", "--midi", "LOOP"]),
        (rhythmgan.cli, ["vary", "LOOP"]),
        (rhythmgan.cli, ["fill", "LOOP", "--lock", "kick"]),
        (rhythmgan.cli, ["interpolate", "--loops", "LOOP", "LOOP"]),
        (rhythmgan.cli, ["sample", "--model", "rythmgan", "--bars", "4", "--given", "LOOP"]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_every_command_refuses_a_loop_that_is_too_long_in_one_line(program, command, tmp_path, capsys, one_thread):
    path, n_bars = _far_apart(tmp_path / "loop.mid")
    out = [] if "test" in command else ["--out", str(tmp_path / "out")]
    assert program.main([str(path) if each == "LOOP" else each for each in command] + out) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{path}: too long: {n_bars:,} bars, " in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pipe.npz", "pipe.txt", "pipe.mid", "/dev/zero"])
def test_pipes_and_devices_are_no_loops(name, tmp_path):
    path = tmp_path / name
    if name != "/dev/zero":
        os.mkfifo(path)
    with pytest.raises((OSError, ValueError), match="not a regular file"):
        load_loop(path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"bars": np.ones((4, 16, 9))}, "float64"),
        ({"bars": np.ones((4, 0, 16, 9), bool)}, r"expected bars .* found bool \(4, 0, 16, 9\)"),
        ({"bars": np.ones((4, 16, 0), bool)}, "expected bars"),
        ({"bars": np.array(True)}, "expected bars"),
        ({"bars": np.ones((4, 17, 9), bool)}, "expected bars"),
        ({"bars": np.ones((4, 16, 9), bool), "kit": np.arange(2000)}, r"its kit is int64 \(2000,\), not a name"),
        ({"bars": np.ones((4, 16, 9), bool), "kit": np.array("gm9" * 99)}, "not a name"),
        ({"bars": np.ones((4, 16, 9), bool), "kit": np.array("gm8")}, "gm8"),
    ],
)
def test_arrays_that_are_no_bars_are_one_line(members, message, tmp_path):
    path = tmp_path / "bars.npz"
    np.savez(path, **members)
    with pytest.raises(ValueError, match=message) as refused:
        load_loop(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_kit_of_letters_that_there_are_not_is_one_line(tmp_path):
    path = tmp_path / "bars.npz"
    np.savez(path, bars=np.ones((1, 16, 9), bool), kit=np.array("gm9"))
    path.write_bytes(path.read_bytes().replace("gm9".encode("utf-32-le"), b"\xff" * 12))
    with zipfile.ZipFile(path) as archive:  # with checksums that fit
        members = {each.filename: _unchecked(archive, each) for each in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="letters that there are not"):
        load_loop(path)


def _unchecked(archive, member):
    with archive.open(member) as file:
        file._expected_crc = None
        return file.read()


def test_seeds_of_samples_are_whole_numbers_and_the_first_of_each_is_read(tmp_path):
    (tmp_path / "sample.json").write_text("{}", encoding="utf-8")
    bars = np.zeros((2, 16, 9), bool)
    for i, seeds in enumerate(([4, 5], [5, 6])):
        bars[:, i] = True
        np.savez(tmp_path / f"seeds-{i}.npz", bars=bars, seed=np.array(seeds))
    found, *_ = load_bars(tmp_path)
    assert found.any(2).sum(1).tolist() == [1, 1, 2]
    np.savez(tmp_path / "seeds-2.npz", bars=bars, seed=np.array([np.inf, 7]))
    with pytest.raises(ValueError, match=r"seeds-2\.npz: expected a seed for each of its 2 bars"):
        load_bars(tmp_path)


def test_latent_points_are_finite_few_and_of_a_regular_file(tmp_path):
    def read(z):
        np.save(tmp_path / "z.npy", z)
        return _read_z(str(tmp_path / "z.npy"), 4)

    assert read(np.ones((2, 3, 4), np.float32)).shape == (6, 4)
    for wrong in (np.inf, np.nan, 1e300):
        with pytest.raises(ValueError, match=r"z\.npy: expected finite floats"):
            read(np.full((2, 4), wrong))
    for wrong in (np.ones((2, 5)), np.ones((2, 4), int), np.array(1.0), np.ones((0, 3, 2, 4)), np.full((2, 4), "1")):
        with pytest.raises(ValueError, match=r"z\.npy: expected finite floats \(n, 4\), found"):
            read(wrong)
    with pytest.raises(ValueError, match="4,096 points at most, not 5,000"):
        read(np.ones((5000, 4)))
    os.mkfifo(tmp_path / "pipe.npy")
    for path in (str(tmp_path / "pipe.npy"), "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            _read_z(path, 4)
    with open(tmp_path / "large.npy", "wb") as file:
        file.truncate(MAX_Z_BYTES + 1)
    with pytest.raises(OSError, match="larger than 64 MiB"):
        _read_z(str(tmp_path / "large.npy"), 4)


@pytest.fixture
def deep(tmp_path):
    """A folder that is removed by a program, since pytest's own clean-up goes no deeper than functions may."""
    folder = tmp_path / "deep"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def test_packs_are_walked_however_deep(deep):
    """1,100 folders in each other, deeper than functions may be."""
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("Kick.mid", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
        file.write(_file(b"\x00\x90\x3c\x5a"))
    os.close(here)
    (deep / "up").symlink_to(deep)
    (deep / "nowhere.mid").symlink_to(deep / "nothing")
    assert find_pack(deep) == (["d/" * 1100 + "Kick.mid", "nowhere.mid"], [])


def test_points_that_signal_that_they_are_no_numbers_are_refused_without_a_warning(tmp_path):
    points = np.full((2, 4), 0x7FF0_0000_0000_0001, np.uint64).view(np.float64)
    np.save(tmp_path / "z.npy", points)
    with pytest.raises(ValueError, match="found infinities or no numbers"):
        _read_z(str(tmp_path / "z.npy"), 4)
