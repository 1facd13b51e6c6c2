"""The Lakh Pianoroll Dataset, read from its sparse members."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pypianoroll
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan import lpd
from rhythmgan.bars import GRIDS
from rhythmgan.grid import NoBars, TimeSignature, quantise
from rhythmgan.kit import GM9
from rhythmgan.lpd import downbeats_to_time_signatures, parse_lpd, read_lpd, read_lpd_bpm, read_lpd_cells
from rhythmgan.midi_reader import read_midi

FOUR = (TimeSignature(0, 4, 4),)
DRUMS = {"program": 0, "is_drum": True, "name": "Drums"}


def _found(path):
    """(tick of 24 a beat, pitch, velocity): an onset is somewhere within the tick that holds it."""
    onsets = read_lpd(path)
    ticks = np.floor(onsets.beat * 24).astype(int)
    return list(zip(ticks.tolist(), onsets.pitch.tolist(), onsets.velocity.tolist(), strict=True))


def _reason(path):
    with pytest.raises(NoBars) as why:
        read_lpd(path)
    assert "\n" not in str(why.value)
    return why.value.reason, why.value.detail


def _unreadable(path):
    reason, detail = _reason(path)
    assert reason == "unreadable"
    return detail


# -- by hand -------------------------------------------------------------------------------------


def test_by_hand(save_lpd):
    path = save_lpd("song.npz", [(30, 38, 70), (0, 36, 127), (0, 42, 1), (191, 36, 99), (26, 42, 100)])
    assert _found(path) == [(0, 36, 127), (0, 42, 1), (26, 42, 100), (30, 38, 70), (191, 36, 99)]
    onsets = read_lpd(path)
    assert onsets.time_signatures == FOUR
    assert (onsets.beat.dtype, onsets.pitch.dtype, onsets.velocity.dtype) == (np.float64, np.uint8, np.uint8)
    found = quantise(onsets, GM9)
    onsets = [(int(found.index[b]), int(s), int(p)) for b, s, p in np.argwhere(found.bars)]
    # tick 191 of 192 is the one of the third bar
    assert onsets == [(0, 0, 0), (0, 0, 2), (0, 4, 2), (0, 5, 1), (2, 0, 0)]
    ticks, pitches, velocities = read_lpd_cells(path)
    assert ticks.tolist() == [0, 191, 30, 0, 26]
    assert pitches.tolist() == [36, 36, 38, 42, 42]
    assert velocities.tolist() == [127, 99, 70, 1, 100]


@pytest.mark.parametrize(
    ("tempo", "bpm"),
    [
        pytest.param(np.full(192, 122.0018), 122.0018, id="a tempo"),
        pytest.param(np.full((192, 1), 87.5, np.float32), 87.5, id="a column"),
        pytest.param(np.array([0, -1, np.nan, np.inf, 91, 100]), 91, id="the first over 0"),
        pytest.param(np.arange(90, 9090), 90, id="many"),
        pytest.param(np.zeros(192), 120, id="zeros"),
        pytest.param(np.zeros(0), 120, id="no value"),
        pytest.param(np.array(["fast"]), 120, id="words"),
        pytest.param(np.ones((2, 2)), 120, id="a matrix"),
        pytest.param(None, 120, id="no member"),
    ],
)
def test_the_first_tempo(save_lpd, tempo, bpm):
    path = save_lpd("song.npz", [(0, 36, 90)], members={"tempo.npy": tempo})
    assert read_lpd(path).bpm == bpm
    assert lpd.read_lpd_bpm(path) == (bpm if bpm != 120 else None)


def test_held_drums_count_once(save_lpd):
    held = [(tick, 36, 80 + tick) for tick in (0, 1, 2, 3, 5, 6, 12)]
    other = [(tick, 37, 50) for tick in (4, 13, 14)]
    path = save_lpd("song.npz", held + other)
    assert _found(path) == [(0, 36, 80), (4, 37, 50), (5, 36, 85), (12, 36, 92), (13, 37, 50)]
    assert len(read_lpd_cells(path)[0]) == 10


def test_the_last_tick_of_a_pitch_and_the_next_of_another_are_two(save_lpd):
    assert _found(save_lpd("song.npz", [(7, 36, 1), (8, 37, 2)])) == [(7, 36, 1), (8, 37, 2)]


def test_old_files_say_beat_resolution(save_lpd):
    cells = [(0, 36, 90), (18, 38, 90)]
    path = save_lpd("song.npz", cells, info={"0": DRUMS, "name": "x", "beat_resolution": 12}, downbeats=(0, 48))
    onsets = read_lpd(path)
    assert np.floor(onsets.beat * 12).tolist() == [0, 18]
    assert onsets.time_signatures == FOUR


@pytest.mark.parametrize("resolution", [12, 24, 48, 120])
def test_other_resolutions(save_lpd, resolution):
    cells = [(0, 36, 90), (resolution, 38, 90), (5 * resolution, 42, 90)]
    info = {"0": DRUMS, "resolution": resolution}
    downbeats = (0, 4 * resolution, 8 * resolution)
    path = save_lpd("song.npz", cells, info=info, n_ticks=9 * resolution, downbeats=downbeats)
    found = quantise(read_lpd(path), GM9)
    onsets = [(int(found.index[b]), int(s), int(p)) for b, s, p in np.argwhere(found.bars)]
    assert onsets == [(0, 0, 0), (0, 4, 1), (1, 4, 2)]
    assert np.floor(read_lpd(path).beat * resolution).tolist() == [0, resolution, 5 * resolution]


def test_a_floored_tick_is_nearer_to_its_middle(save_lpd):
    """Six ticks a sixteenth: 2 (of 2.5, less than half) stays, 3 goes to the next; at 8 a twelfth 3 stays, 4 goes."""
    path = save_lpd("song.npz", [(2, 36, 90), (3, 38, 90), (4, 42, 90)])
    assert [part.nonzero()[0].tolist() for part in quantise(read_lpd(path), GM9).bars[0].T[:3]] == [[0], [1], [1]]
    assert [part.nonzero()[0].tolist() for part in quantise(read_lpd(path), GM9, 12).bars[0].T[:3]] == [[0], [0], [1]]


@pytest.mark.parametrize("steps", GRIDS)
def test_ticks_as_coarse_as_the_grid_stay_in_their_steps(save_lpd, steps):
    """A file of four ticks a beat holds sixteenths; half a tick more must not make them the next ones."""
    info = {"0": DRUMS, "resolution": steps // 4}
    path = save_lpd("song.npz", [(0, 36, 90), (3, 38, 90), (steps + 1, 42, 90)], info=info, downbeats=(0, steps))
    found = quantise(read_lpd(path), GM9, steps)
    onsets = [(int(found.index[b]), int(s), int(p)) for b, s, p in np.argwhere(found.bars)]
    assert onsets == [(0, 0, 0), (0, 3, 1), (1, 1, 2)]


def test_all_drum_tracks_and_no_other(save_lpd):
    def track(key, cells):
        part = {}
        for name, values in (("data", [c[2] for c in cells]), ("indices", [c[0] for c in cells])):
            part[f"pianoroll_{key}_csc_{name}.npy"] = np.array(values, np.int32)
        counts = np.bincount([c[1] for c in cells], minlength=128)
        part[f"pianoroll_{key}_csc_indptr.npy"] = np.append(0, np.cumsum(counts))
        return part

    members = track("1", [(5, 60, 77)]) | track("kit", [(3, 42, 55), (9, 42, 56)])
    piano = {"program": 0, "is_drum": False, "name": "Piano"}
    info = {"1": piano, "kit": DRUMS, "0": DRUMS, "name": "x", "resolution": 24}
    path = save_lpd("song.npz", [(4, 36, 90)], info=info, members=members)
    assert _found(path) == [(3, 42, 55), (4, 36, 90), (9, 42, 56)]


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_either_packing(save_lpd, packing):
    path = save_lpd("song.npz", [(3, 36, 90), (50, 38, 91)], packing=packing)
    assert _found(path) == [(3, 36, 90), (50, 38, 91)]


def test_members_in_any_order_with_a_comment(save_lpd, tmp_path):
    path = save_lpd("song.npz", [(3, 36, 90), (50, 38, 91)])
    again = tmp_path / "again.npz"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w") as new:
        new.comment = b"made by hand"
        for name in sorted(old.namelist(), reverse=True):
            new.writestr(name, old.read(name))
    assert _found(again) == [(3, 36, 90), (50, 38, 91)]


def test_ticks_that_are_not_sorted_within_a_pitch(save_lpd):
    """SciPy leaves them as a sum or a product of matrices made them; a cell may be there twice."""
    cells = [(12, 36, 92), (1, 36, 81), (3, 36, 83), (0, 36, 80), (2, 36, 82), (3, 38, 53), (4, 38, 54), (1, 38, 51)]
    members = {
        f"pianoroll_0_csc_{name}.npy": np.array([cell[column] for cell in cells], np.int32)
        for name, column in (("indices", 0), ("data", 2))
    }
    path = save_lpd("song.npz", cells, members=members)
    assert _found(path) == [(0, 36, 80), (1, 38, 51), (3, 38, 53), (12, 36, 92)]
    assert read_lpd_cells(path)[0].tolist() == [12, 1, 3, 0, 2, 3, 4, 1]


def test_bytes_are_read_as_the_file_is(save_lpd):
    path = save_lpd("song.npz", [(3, 36, 90), (50, 38, 91)])
    onsets = parse_lpd(path.read_bytes())
    assert onsets.beat.tolist() == [3 / 24, 50 / 24]
    assert onsets.n_beats == 8
    with pytest.raises(NoBars, match="breaks off"):
        parse_lpd(b"Dear diary")


def test_silent_cells_that_are_stored(save_lpd):
    assert _found(save_lpd("song.npz", [(3, 36, 0), (9, 36, 1), (20, 36, 255)])) == [(9, 36, 1), (20, 36, 127)]


def test_boolean_cells_are_of_middle_loudness(save_lpd):
    members = {"pianoroll_0_csc_data.npy": np.array([True, False, True])}
    path = save_lpd("song.npz", [(3, 36, 1), (9, 36, 1), (20, 38, 1)], members=members)
    assert _found(path) == [(3, 36, 64), (20, 38, 64)]


@pytest.mark.parametrize("kind", ["|i1", "|u1", "<u4", "<u8", "<i2", "<u2", "<i4", "<i8", "<f4", "<f8"])
def test_types_of_members(save_lpd, kind):
    members = {"pianoroll_0_csc_data.npy": np.array([33, 44], kind)}
    assert _found(save_lpd("song.npz", [(3, 36, 1), (9, 40, 1)], members=members)) == [(3, 36, 33), (9, 40, 44)]


# -- time_signatures --------------------------------------------------------------------------------------


def test_metres_by_downbeats(save_lpd):
    # two bars of 4/4, two of 3/4, two of 4/4; onsets on every downbeat
    downbeats = (0, 96, 192, 264, 336, 432, 528)
    path = save_lpd("song.npz", [(tick, 36, 90) for tick in downbeats], n_ticks=600, downbeats=downbeats)
    onsets = read_lpd(path)
    assert [(time_signature.beat, time_signature.n_beats) for time_signature in onsets.time_signatures] == [
        (0, 4),
        (8, 3),
        (14, 4),
    ]
    found = quantise(onsets, GM9)
    assert found.index.tolist() == [0, 1, 4, 5, 6]
    assert found.n_other_time_signature == 2


def test_only_other_metres(save_lpd):
    path = save_lpd("song.npz", [(0, 36, 90), (72, 36, 90)], downbeats=(0, 72, 144))
    assert [time_signature.n_beats for time_signature in read_lpd(path).time_signatures] == [3]
    assert not len(quantise(read_lpd(path), GM9).bars)


@pytest.mark.parametrize("downbeats", [(), (0,), None])
def test_without_downbeats_it_is_four_four(save_lpd, downbeats):
    members = {"downbeat.npy": None} if downbeats is None else {}
    path = save_lpd("song.npz", [(0, 36, 90), (96, 36, 90)], downbeats=downbeats or (), members=members)
    assert read_lpd(path).time_signatures == ()
    assert quantise(read_lpd(path), GM9).index.tolist() == [0, 1]


def test_downbeats_of_a_column_as_pypianoroll_writes_them(save_lpd):
    """pypianoroll's Multitrack takes downbeat as (ticks,) or (ticks, 1), and saves what it was given."""
    column = np.isin(np.arange(192), (0, 96))[:, None]
    path = save_lpd("song.npz", [(0, 36, 90)], members={"downbeat.npy": column})
    assert _found(path) == [(0, 36, 90)]
    assert read_lpd(path).time_signatures == FOUR


def test_hits_before_the_first_downbeat_make_no_bar_before_the_first(save_lpd):
    """An upbeat of one beat: bars start at tick 24."""
    cells = [(0, 36, 90), (12, 42, 90), (24, 36, 90), (48, 38, 90), (120, 36, 90)]
    path = save_lpd("song.npz", cells, n_ticks=240, downbeats=(24, 120, 216))
    onsets = read_lpd(path)
    assert onsets.time_signatures[0].beat == 0
    found = quantise(onsets, GM9)
    assert found.index.min() >= 0
    # the full bars are as the downbeats say
    assert [bar[:, 0].nonzero()[0].tolist() for bar in found.bars[-2:]] == [[0], [0]]
    assert found.bars[-2][4, 1]


def _signatures(downbeats, n_ticks=0, ticks_per_beat=24):
    found = downbeats_to_time_signatures(np.array(downbeats, int), ticks_per_beat, n_ticks)
    return [(each.beat * ticks_per_beat, each.n_beats) for each in found]


def test_marks_that_are_a_tick_off():
    for marks in ([0, 96, 191, 288], [0, 97, 192, 289], [1, 96, 193, 287], [0, 95, 191, 287], [1, 97, 193, 289]):
        assert _signatures(marks, 384) == [(0, 4)], marks
    # two ticks off are another metre, and so is one where a beat has four
    assert _signatures([0, 96, 190, 288], 384) == [(0, 4), (96, 94 / 24), (190, 98 / 24), (288, 4)]
    assert _signatures([0, 16, 31, 48], 64, ticks_per_beat=4) == [(0, 4), (16, 15 / 4), (31, 17 / 4)]
    # the bars behind begin where they should, not a tick early
    assert _signatures([0, 96, 191, 263, 335], 407) == [(0, 4), (192, 71 / 24), (263, 3)]


def test_marks_that_are_missing():
    assert _signatures([0, 96, 288], 384) == [(0, 4)]
    assert _signatures([96, 192, 288], 384) == [(0, 4)]
    assert _signatures([0, 96, 192, 672, 767], 864) == [(0, 4)]
    # four bars of three beats are no three bars of four
    assert _signatures([0, 72, 144, 216, 504, 576], 648) == [(0, 3), (216, 12), (504, 3)]
    # behind a bar of six beats the last two are known by the length of the roll
    assert _signatures([0, 96, 192, 336], 528) == [(0, 4), (192, 6), (336, 4)]
    assert _signatures([0, 96, 192, 336], 500) == [(0, 4), (192, 6)]
    assert _signatures([0, 96, 192, 336]) == [(0, 4), (192, 6)]


def test_an_upbeat_stays_one():
    assert _signatures([24, 120, 216], 312) == [(0, 1), (24, 4)]


# -- what cannot be read -------------------------------------------------------------------------


def test_no_drums(save_lpd):
    piano = {"program": 0, "is_drum": False, "name": "Piano"}
    path = save_lpd("piano.npz", [(0, 36, 90)], info={"0": piano, "resolution": 24})
    assert _reason(path) == ("no drums", "no drum track")
    assert _reason(save_lpd("silent.npz", [])) == ("no drums", "the drum track has no notes")
    assert _reason(save_lpd("zeros.npz", [(0, 36, 0)])) == ("no drums", "the drum track has no notes")


@pytest.mark.parametrize(
    "member",
    [
        "info.json",
        "pianoroll_0_csc_data.npy",
        "pianoroll_0_csc_indices.npy",
        "pianoroll_0_csc_indptr.npy",
    ],
)
def test_missing_members(save_lpd, member):
    detail = _unreadable(save_lpd("song.npz", [(0, 36, 90)], members={member: None}))
    assert detail == f"no member {member}"


def _info(**changes):
    return json.dumps({"0": DRUMS, "name": "x"} | changes).encode()


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="breaks off"),
        pytest.param(b"\xff\xfe\xfd", id="no text"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"24", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(_info(), id="no resolution"),
        pytest.param(_info(resolution=None), id="resolution null"),
        pytest.param(_info(resolution="many"), id="resolution text"),
        pytest.param(_info(resolution=[24]), id="resolution list"),
        pytest.param(_info(resolution=float("nan")), id="resolution nan"),
        # each of the next makes numbers that are none, or an error that is not caught
        pytest.param(_info(resolution=float("inf")), id="resolution infinite"),
        pytest.param(_info(resolution=10**400), id="resolution beyond floats"),
        pytest.param(_info(resolution=-24), id="resolution negative"),
        pytest.param(_info(beat_resolution=0), id="resolution zero"),
        pytest.param(_info(resolution=0.5), id="resolution below one"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"0":' * 100_000, id="deeper"),
    ],
)
def test_broken_info(save_lpd, info):
    _unreadable(save_lpd("song.npz", [(0, 36, 90)], info=info))


def _npy(header, version=1):
    """Two bytes, 90 and 91, behind a header."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + bytes([90, 91])


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 1L), }",
        "{'shape': (2,), 'fortran_order': False, 'descr': '|u1'}",
        '{"fortran_order":True,"shape":(2,1),"descr":"u1"}',
        "{'descr': 'uint8', 'shape': (2,), 'fortran_order': True}   \n",
    ],
)
def test_headers_that_are_allowed(save_lpd, header, version):
    path = save_lpd("song.npz", [(0, 36, 1), (4, 36, 1)], members={"pianoroll_0_csc_data.npy": _npy(header, version)})
    assert _found(path) == [(0, 36, 90), (4, 36, 91)]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("indices", np.array([0, 1, 2])),
        ("indices", np.array([-1, 4])),
        ("indices", np.array([[0, 4]])),
        ("indices", np.array([0, np.nan])),
        ("indices", np.array([0, 2**63 + 5], np.uint64)),
        ("indices", np.array(["a", "b"])),
        ("indptr", np.zeros(128, np.int32)),
        ("indptr", np.zeros(129, np.int32)),
        ("indptr", np.arange(129)[::-1].copy()),
        ("indptr", np.append(1, np.full(128, 2))),
        ("data", np.array([90])),
        ("data", np.array([1j, 2j])),
        ("data", b""),
        ("data", b"\x93NUMPY"),
        ("data", b"\x93NUMPY\x01\x00\xff\xff{}"),
        ("data", b"\x93NUMPY\x01\x00\x02\x00{}"),
        ("data", b"plain text"),
        ("data", _npy("{'descr': '04,|u1', 'fortran_order': False, 'shape': (2,), }")),  # a SyntaxError to NumPy
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), ")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000,), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2.0,), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': 2, }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }" + " " * 10_000, 2)),
        ("data", _npy("{'descr': '|u1', 'shape': (2,), }")),
        ("data", _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", 4)),
        ("data", _npy("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2,), }")),
        ("data", _npy("__import__('os').mkdir('ran')")),
        ("data", _npy("[" * 9000)),
    ],
    ids=repr,
)
def test_members_that_do_not_fit(save_lpd, member, value):
    path = save_lpd("song.npz", [(0, 36, 90), (4, 36, 91)], members={f"pianoroll_0_csc_{member}.npy": value})
    _unreadable(path)


class _Bomb:
    """What a pickle can hold: an order to make a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "member",
    [
        "pianoroll_0_csc_data.npy",
        "pianoroll_0_csc_indices.npy",
        "pianoroll_0_csc_indptr.npy",
        "downbeat.npy",
        "tempo.npy",
    ],
)
def test_nothing_is_unpickled(save_lpd, tmp_path, member):
    mark = tmp_path / "ran"
    content = np.empty(2, object)
    content[0] = _Bomb(mark)
    path = save_lpd("song.npz", [(0, 36, 90), (4, 36, 91)], members={member: content})
    if member == "tempo.npy":  # of no use here, so not even looked at
        assert _found(path) == [(0, 36, 90), (4, 36, 91)]
    else:
        assert "pickle" in _unreadable(path)
    assert not mark.exists()
    # the bomb is a live one
    with np.load(path, allow_pickle=True) as members:
        members[member.removesuffix(".npy")]
    assert mark.is_dir()


def test_every_beginning_of_a_file(save_lpd):
    path = save_lpd("song.npz", [(0, 36, 90), (4, 36, 91)])
    data = path.read_bytes()
    for length in [*range(0, len(data), 7), len(data) - 1]:
        path.write_bytes(data[:length])
        _unreadable(path)


def test_other_files_named_npz(tmp_path):
    path = tmp_path / "song.npz"
    path.write_text("Dear diary", encoding="utf-8")
    assert _unreadable(path) == "not a .npz file, or it breaks off"
    path.write_bytes(b"PK\x05\x06")
    _unreadable(path)
    np.savez(path, a=np.arange(3))
    assert _unreadable(path) == "no member info.json"
    with pytest.raises(FileNotFoundError):
        read_lpd(tmp_path / "nothing.npz")


def test_damaged_members_are_noticed(save_lpd):
    path = save_lpd("song.npz", [(0, 36, 90), (4, 36, 91)], packing=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    place = data.index(bytes([90, 91]))
    data[place] = 80
    path.write_bytes(data)
    assert _unreadable(path) == "pianoroll_0_csc_data.npy is damaged"


def test_damage_gives_hits_or_a_reason(save_lpd):
    path = save_lpd("song.npz", [(tick, 36 + tick % 9, 90) for tick in range(0, 190, 5)])
    healthy = path.read_bytes()
    whole = _found(path)

    @settings(max_examples=200)
    @given(st.lists(st.tuples(st.integers(0, len(healthy) - 1), st.binary(max_size=3)), min_size=1, max_size=4))
    def check(damage):
        data = bytearray(healthy)
        for place, change in damage:
            data[place : place + 2] = change
        path.write_bytes(data)
        try:
            found = _found(path)
        except NoBars as why:
            found = why.reason
        assert found in (whole, "unreadable", "no drums")

    check()


def test_packings_that_are_not_read(save_lpd):
    """As NumPy and pypianoroll never write them."""
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert (
            _unreadable(save_lpd("song.npz", [(0, 36, 90)], packing=packing)) == "info.json is packed in an unknown way"
        )


def test_an_encrypted_member_is_damage(save_lpd):
    path = save_lpd("song.npz", [(0, 36, 90)])
    data = bytearray(path.read_bytes())
    for entry, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = -1
        while (at := data.find(entry, at + 1)) >= 0:
            data[at + place] |= 1
    path.write_bytes(data)
    assert _unreadable(path) == "info.json is encrypted"


def test_cells_too_have_one_reason(save_lpd):
    path = save_lpd("song.npz", [(0, 36, 90)], members={"pianoroll_0_csc_data.npy": np.array([90, 91])})
    with pytest.raises(NoBars, match="sparse members that do not fit together"):
        read_lpd_cells(path)


# -- bombs ---------------------------------------------------------------------------------------


def test_members_have_a_largest_size(save_lpd, monkeypatch):
    path = save_lpd("song.npz", [(0, 36, 90)])
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.getinfo(name).file_size for name in archive.namelist() if "tempo" not in name)
    monkeypatch.setattr(lpd, "MAX_MEMBER", largest)
    assert len(read_lpd(path).beat) == 1
    monkeypatch.setattr(lpd, "MAX_MEMBER", largest - 1)
    assert "is larger than" in _unreadable(path)


@pytest.mark.parametrize("declared", [0, 1, 2000])
def test_a_member_that_unpacks_to_more_than_it_says(tmp_path, declared):
    """64 MB of zeros, packed to 64 kB, whose directory entry claims ``declared`` bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    name = b"info.json"
    crc = zlib.crc32(bytes(declared))
    common = (20, 0, 8, 0, 0x21, crc, len(packed), declared, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *common) + name
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, *common, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    path = tmp_path / "bomb.npz"
    path.write_bytes(local + packed + entry + end)
    with zipfile.ZipFile(path) as archive:  # as it should be, so that it is the bomb that is refused
        assert archive.getinfo("info.json").file_size == declared
    tracemalloc.start()
    try:
        _unreadable(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def _compressed(path, members: dict[str, object]) -> Path:
    """An LPD file of one drum track with these members, packed."""
    own = {"info.json": {"0": {"is_drum": True}, "resolution": 24}, "downbeat.npy": np.zeros(96, bool)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (own | members).items():
            buffer = io.BytesIO()
            if isinstance(value, np.ndarray):
                np.save(buffer, value)
            else:
                buffer.write(value if isinstance(value, bytes) else json.dumps(value).encode())
            archive.writestr(name, buffer.getvalue())
    return path


def _track(indices: np.ndarray, starts: np.ndarray, values: np.ndarray, key: str = "0") -> dict[str, object]:
    columns = {"indices": indices, "indptr": starts, "data": values}
    return {f"pianoroll_{key}_csc_{name}.npy": column for name, column in columns.items()}


def _kicks(n: int) -> dict[str, object]:
    """A track with n kicks, two ticks apart."""
    starts = np.where(np.arange(129) > 36, n, 0)
    return _track(np.arange(n, dtype=np.int32) * 2, starts.astype(np.int32), np.full(n, 90, np.uint8))


def _peak(path) -> int:
    """Bytes of memory that are asked for where a file is refused."""
    tracemalloc.start()
    try:
        _unreadable(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_places_of_unsigned_numbers_that_fall(tmp_path, dtype):
    """Their differences are huge, not negative: a repetition of four thousand million cells."""
    starts = np.zeros(129, dtype)
    starts[1] = np.iinfo(dtype).max
    starts[-1] = 3
    path = _compressed(tmp_path / "song.npz", _track(np.arange(3), starts, np.full(3, 90)))
    assert _peak(path) < 1 << 20
    assert "do not fit together" in _unreadable(path)


@pytest.mark.parametrize("starts", [np.full(129, np.nan), np.full(129, np.inf), np.zeros(129, bool), np.zeros(0, int)])
def test_places_that_are_none(tmp_path, starts):
    path = _compressed(tmp_path / "song.npz", _track(np.arange(0), starts, np.full(0, 90)))
    assert "LPD's layout" in _unreadable(path)


def test_cells_have_a_largest_number(tmp_path, monkeypatch):
    path = _compressed(tmp_path / "song.npz", _kicks(100))
    monkeypatch.setattr(lpd, "MAX_CELLS", 100)
    assert len(read_lpd(path).beat) == 100
    monkeypatch.setattr(lpd, "MAX_CELLS", 99)
    assert _unreadable(path) == "more than 99 cells"


def test_cells_of_all_drum_tracks_are_counted(tmp_path, monkeypatch):
    tracks = {str(i): {"is_drum": True} for i in range(4)}
    members = {name.replace("_0_", f"_{i}_"): column for i in range(4) for name, column in _kicks(50).items()}
    path = _compressed(tmp_path / "song.npz", {"info.json": tracks | {"resolution": 24}} | members)
    monkeypatch.setattr(lpd, "MAX_CELLS", 200)
    assert len(read_lpd_cells(path)[0]) == 200
    monkeypatch.setattr(lpd, "MAX_CELLS", 199)
    assert _unreadable(path) == "more than 199 cells"


def test_what_the_largest_number_of_cells_takes(tmp_path):
    """100 bytes for each: kicks two ticks apart are all onsets."""
    path = _compressed(tmp_path / "song.npz", _kicks(lpd.MAX_CELLS >> 4))
    tracemalloc.start()
    try:
        assert len(read_lpd(path).beat) == lpd.MAX_CELLS >> 4
        assert tracemalloc.get_traced_memory()[1] < 100 * lpd.MAX_CELLS >> 4
    finally:
        tracemalloc.stop()


def test_members_together_have_a_largest_size(tmp_path):
    """Eight members of 24 MB each, of which none is too large: 192 MB in 190 kB, of which one drum track is none."""
    more = {f"pianoroll_{i}_csc_data.npy": np.zeros(24 << 20, np.uint8) for i in range(1, 9)}
    path = _compressed(tmp_path / "song.npz", _kicks(3) | more)
    assert path.stat().st_size < 1 << 18
    assert _peak(path) < 1 << 20
    assert _unreadable(path).startswith("it unpacks to 192 MiB, more than the ")


def test_members_that_overlap(tmp_path):
    """A thousand tracks that all are the same bytes."""
    path = _compressed(tmp_path / "song.npz", _kicks(1000))
    data = path.read_bytes()
    begin = data.index(b"PK\1\2")
    entries = data[begin : data.index(b"PK\5\6")]
    entries += b"".join(entries.replace(b"_0_csc", b"_%d_csc" % i) for i in range(1, 10))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, len(entries), begin, 0)
    path.write_bytes(data[:begin] + entries + end)
    assert _unreadable(path).endswith("lies in another member")


def test_no_file_unpacks_to_more_than_the_largest_size(tmp_path, monkeypatch):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"more.npy": np.zeros(2 << 20, np.uint8)})
    assert len(read_lpd(path).beat) == 3
    monkeypatch.setattr(lpd, "MAX_UNPACKED", 1 << 20)
    assert _unreadable(path) == "it unpacks to 2 MiB, more than the 1 MiB that it may"


def test_a_member_that_takes_more_than_it_unpacks_to(tmp_path, monkeypatch):
    """It says to be of a hundred bytes, and lies there with five thousand."""
    path = tmp_path / "song.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("info.json", b" " * 5000)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\1\2") + 24
    data[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    monkeypatch.setattr(lpd, "MAX_MEMBER", 4000)
    assert _unreadable(path) == "info.json is larger than 0 MiB"


def test_a_header_of_many_zero_width_strings(tmp_path):
    header = b"{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000,), }"
    member = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
    for name in ("downbeat.npy", "pianoroll_0_csc_data.npy"):
        path = _compressed(tmp_path / "song.npz", _kicks(3) | {name: member})
        assert _peak(path) < 1 << 20
        assert "is of type |S0, which is never loaded" in _unreadable(path)


@pytest.mark.parametrize("more", [[95], [96], [95, 96], [95, 96, 97], [94, 95, 96]])
def test_two_marks_of_one_bar_line(more):
    """A tick apart, each is one: a bar of no ticks there is not, nor one of less."""
    signatures = downbeats_to_time_signatures(np.array([0, *more, 192, 288]), 24, 384)
    assert all(signature.numerator > 0 for signature in signatures)
    assert downbeats_to_time_signatures(np.array([0, 95, 96, 192, 288]), 24, 384) == FOUR


def test_downbeats_of_bytes_that_are_neither_true_nor_false(tmp_path):
    """They are marks as others are."""
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (96,), }"
    member = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"\xff" + bytes(95)
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"downbeat.npy": member})
    assert read_lpd(path).time_signatures == ()


@pytest.mark.parametrize("bpm", [1e308, 60.1e6, 1e-320, 0.5, -90, np.inf, -np.inf, np.nan])
def test_tempos_that_there_are_not_are_passed_over(tmp_path, bpm):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"tempo.npy": np.array([bpm, 97.0])})
    assert read_lpd(path).bpm == read_lpd_bpm(path) == 97


def test_a_tempo_of_half_precision_is_read(tmp_path):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"tempo.npy": np.array([97, 120], np.float16)})
    assert read_lpd(path).bpm == read_lpd_bpm(path) == 97


def test_downbeats_have_a_largest_number(tmp_path):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"downbeat.npy": np.ones(lpd.MAX_DOWNBEATS + 1, bool)})
    assert _unreadable(path) == "more than 65,536 downbeats"
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"downbeat.npy": np.ones(lpd.MAX_DOWNBEATS, bool)})
    assert len(read_lpd(path).beat) == 3


@pytest.mark.parametrize(
    "note",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b"null",
        b"NaN",
        b"\xff\xfe",
        b'{"0": {"is_drum": true}}',
        b'{"0": {"is_drum": true}, "resolution": NaN}',
        b'{"0": {"is_drum": true}, "resolution": Infinity}',
        b'{"0": {"is_drum": true}, "resolution": [24]}',
        b'{"0": {"is_drum": true}, "resolution": "x"}',
        b'{"0": {"is_drum": true}, "resolution": -24}',
        b'{"0": {"is_drum": true}, "resolution": 1e300}',
        b'{"0": {"is_drum": true}, "resolution": 24' + b"0" * 5000 + b"}",
    ],
)
def test_an_info_that_is_none(tmp_path, note):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"info.json": note})
    assert "LPD's layout" in _unreadable(path)


def test_an_info_has_a_largest_size(tmp_path):
    path = _compressed(tmp_path / "song.npz", _kicks(3) | {"info.json": b" " * (5 << 20)})
    assert _unreadable(path) == "info.json is larger than 4 MiB"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "song.npz")
    for read in (read_lpd, read_lpd_bpm, read_lpd_cells):
        with pytest.raises(OSError, match="not a regular file"):
            read(tmp_path / "song.npz")


# -- real files ----------------------------------------------------------------------------------


def _real(shared) -> list[Path]:
    return sorted((shared / "lpd").rglob("*.npz"))


def test_every_file_as_pypianoroll_loads_it(shared):
    paths = _real(shared)
    assert len(paths) == 102
    for path in paths:
        song = pypianoroll.load(str(path))
        expected = []
        onsets = []
        for track in song.tracks:
            if track.is_drum:
                roll = np.asarray(track.pianoroll)
                tick, pitch = np.nonzero(roll)
                expected += zip(tick.tolist(), pitch.tolist(), roll[tick, pitch].tolist(), strict=True)
                before = np.zeros_like(roll)
                before[1:] = roll[:-1]
                tick, pitch = np.nonzero((roll > 0) & (before == 0))
                onsets += zip(tick.tolist(), pitch.tolist(), roll[tick, pitch].tolist(), strict=True)
        cells = list(zip(*(column.tolist() for column in read_lpd_cells(path)), strict=True))
        assert sorted(cells) == sorted(expected), path.name
        assert song.resolution == 24
        assert sorted(_found(path)) == [(tick, pitch, min(velocity, 127)) for tick, pitch, velocity in sorted(onsets)]


def test_the_genuine_file(shared):
    (path,) = (shared / "lpd" / "genuine").glob("*.npz")
    onsets = read_lpd(path)
    assert len(onsets.beat) == 2098
    assert _found(path)[:3] == [(456, 28, 120), (456, 41, 90), (479, 35, 112)]
    found = quantise(onsets, GM9)
    assert (len(found.bars), found.index[0], found.n_empty, found.n_outside_kit) == (111, 4, 0, 68)


def test_pianoroll_and_midi_of_one_song_agree(shared):
    """The 101 files of LPD-5 were made from MIDI files that are here too; a few lost notes on the way."""
    songs = {path.stem: path for path in (shared / "lakh").rglob("*.mid")}
    n_same = n_any = n_files = 0
    for path in sorted((shared / "lpd" / "lpd_5").rglob("*.npz")):
        from_lpd, from_midi = quantise(read_lpd(path), GM9), quantise(read_midi(songs[path.stem]), GM9)
        n_bars = 1 + max(from_lpd.index[-1], from_midi.index[-1])
        both = np.zeros((2, n_bars, 16, 9), bool)
        both[0, from_lpd.index] = from_lpd.bars
        both[1, from_midi.index] = from_midi.bars
        n_same += both.all(0).sum()
        n_any += both.any(0).sum()
        n_files += 1
    assert n_files == 101
    assert n_same / n_any > 0.985


@pytest.mark.parametrize("steps", [12, 16, 24, 48])  # at 32 the middle of a tick may lie just between two steps
def test_grids_of_a_real_file(shared, steps):
    """The nearest step to the middle of the tick, in whole numbers."""
    path = _real(shared)[4]
    ticks, pitches, _ = (np.array(column) for column in zip(*_found(path), strict=True))
    place = ((2 * ticks + 1) * steps + 96) // 192
    expected = {
        (at // steps, at % steps, part)
        for at, part in zip(place.tolist(), GM9.part_of_pitch[pitches].tolist(), strict=True)
        if part >= 0
    }
    found = quantise(read_lpd(path), GM9, steps)
    assert {(int(found.index[b]), int(s), int(p)) for b, s, p in np.argwhere(found.bars)} == expected
    assert len(expected) > 500
