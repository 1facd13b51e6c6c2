"""Loop packs: files of one part, named by it, as standard drum MIDI and as patterns."""

import io
import json
import os
import platform

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan import loop_packs
from rhythmgan.calls import NEW, READY
from rhythmgan.grid import NoBars
from rhythmgan.kit import GM12
from rhythmgan.locks import locked_folder
from rhythmgan.loop_packs import (
    REPORT,
    PackFile,
    find_pack,
    patterns_on_grid,
    read_pack,
    standard_midi,
    standardise,
)
from rhythmgan.midi_events import midi_events
from rhythmgan.midi_reader import parse_midi, read_midi


def _notes(*hits, channel=0, length=10):
    """Events of notes (tick, pitch, velocity)."""
    events = []
    for tick, pitch, velocity in hits:
        events.append((tick, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        events.append((tick + length, mido.Message("note_off", channel=channel, note=pitch)))
    return events


@pytest.fixture
def one_part(save_midi):
    """The bytes of a file with three notes on a pitch of no drum: on the one, off the grid, and in bar 2."""

    def make(*, pitch=61, channel=0, name="any.mid", more=()):
        hits = _notes((0, pitch, 100), (53, pitch, 7), (400, pitch, 127), *more, channel=channel)
        return save_midi(name, hits, ticks_per_beat=96).read_bytes()

    return make


@pytest.mark.parametrize(
    ("name", "part", "pitch"),
    [
        ("Kick_01.mid", "kick", 36),
        ("Hi_Hat_01.mid", "closed hat", 42),
        ("Open_Hat-2.mid", "open hat", 46),
        ("Snares/07.mid", "snare", 38),
        ("Snares/Kick_03.mid", "kick", 36),  # its own name goes before the folder's
        ("Open Hats/loops/140 bpm/9.MID", "open hat", 46),
        ("Snares/Kicks/9.mid", "kick", 36),  # the nearest folder goes before those above it
        ("MyPack_Clap.mid", "snare", 38),
        ("cowbell phonk.kar", "bell", 56),
        ("FloorTom 3.midi", "low tom", 43),
        ("HHO_01.mid", "open hat", 46),
        ("OHH 1.mid", "open hat", 46),
        ("HHC.mid", "closed hat", 42),
        ("CHH/1.mid", "closed hat", 42),
        ("Kik_2.mid", "kick", 36),
        ("Snr_2.mid", "snare", 38),
        ("808_01.mid", "kick", 36),
        ("Trap 808 03.mid", "kick", 36),
        ("808s/C.mid", "kick", 36),
        ("808 Clap.mid", "snare", 38),
        ("Snares/808_01.mid", "snare", 38),
        ("808 Kit/Hat_01.mid", "closed hat", 42),
    ],
)
def test_a_file_becomes_the_part_that_it_is_named_by(one_part, name, part, pitch):
    found = standard_midi(one_part(), name)
    assert (found.part, found.is_new) == (part, True)
    onsets = parse_midi(found.data, "loop.mid")
    assert onsets.pitch.tolist() == [pitch] * 3


def test_times_and_velocities_stay_to_the_tick(one_part):
    data = standard_midi(one_part(), "Kick_01.mid").data
    song = mido.MidiFile(file=io.BytesIO(data))
    assert (song.type, song.ticks_per_beat, len(song.tracks)) == (0, 96, 1)
    now, heard, ended = 0, [], []
    for message in song.tracks[0]:
        now += message.time
        if message.type == "note_on":
            heard.append((now, message.channel, message.note, message.velocity))
        if message.type == "note_off":
            ended.append(now)
    assert heard == [(0, 9, 36, 100), (53, 9, 36, 7), (400, 9, 36, 127)]
    assert ended == [12, 65, 412]  # an eighth of a beat later
    onsets = parse_midi(data, "loop.mid")
    np.testing.assert_allclose(onsets.beat, np.array([0, 53, 400]) / 96)
    assert onsets.velocity.tolist() == [100, 7, 127]


@given(
    st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 11), st.integers(1, 127)), min_size=1, max_size=60),
    st.integers(1, 32_767),
)
def test_any_notes_of_one_part_stay(notes, ticks_per_beat):
    """Each tick keeps its loudest note, however far apart or close they are, and standard files are left alone."""
    song, track, now = mido.MidiFile(ticks_per_beat=ticks_per_beat), mido.MidiTrack(), 0
    song.tracks.append(track)
    for tick, pitch, velocity in sorted(notes):
        track.append(mido.Message("note_on", note=60 + pitch, velocity=velocity, time=tick - now))
        now = tick
    file = io.BytesIO()
    song.save(file=file)
    data = standard_midi(file.getvalue(), "Snare.mid").data
    loudest = {tick: max(velocity for at, _, velocity in notes if at == tick) for tick, _, _ in notes}
    events = midi_events(data)
    assert events.ticks_per_beat == ticks_per_beat
    assert events.notes[:, 1:].tolist() == [[tick, 9, 38, loudest[tick]] for tick in sorted(loudest)]
    assert not events.broken
    read = mido.MidiFile(file=io.BytesIO(data))  # every note that begins ends before the next one begins
    sounding = 0
    for message in read.tracks[0]:
        sounding += {"note_on": 1, "note_off": -1}.get(message.type, 0)
        assert sounding in (0, 1)
    assert sounding == 0
    again = standard_midi(data, "Snare.mid")
    assert (again.data, again.is_new) == (data, False)


def test_tempi_time_signatures_and_the_end_stay(save_midi):
    hits = [
        *_notes((0, 60, 90), (960, 60, 80)),
        (0, mido.MetaMessage("set_tempo", tempo=400_000)),
        (480, mido.MetaMessage("set_tempo", tempo=500_000)),
        (0, mido.MetaMessage("time_signature", numerator=3, denominator=4)),
        (1920, mido.MetaMessage("end_of_track")),
    ]
    data = standard_midi(save_midi("a.mid", hits).read_bytes(), "Kick.mid").data
    onsets = parse_midi(data, "a.mid")
    assert (onsets.bpm, onsets.n_beats) == (150, 4)
    assert [(each.numerator, each.denominator) for each in onsets.time_signatures] == [(3, 4)]
    tempi = [each.tempo for each in mido.MidiFile(file=io.BytesIO(data)).tracks[0] if each.type == "set_tempo"]
    assert tempi == [400_000, 500_000]


def test_of_notes_on_one_tick_the_loudest_is_kept(one_part):
    """Layers: two pitches at once are one hit of the part."""
    data = standard_midi(one_part(more=((53, 60, 90), (53, 59, 20))), "Kick_01.mid").data
    onsets = parse_midi(data, "a.mid")
    assert onsets.velocity.tolist() == [100, 90, 127]
    assert onsets.pitch.tolist() == [36, 36, 36]


def test_hats_that_are_tuned_are_one_part_and_a_melody_is_none(save_midi):
    roll = save_midi("r.mid", _notes(*((24 * i, 60 + i, 90) for i in range(12)))).read_bytes()
    assert parse_midi(standard_midi(roll, "Hi_Hat.mid").data, "a.mid").pitch.tolist() == [42] * 12
    melody = save_midi("m.mid", _notes(*((24 * i, 60 + i, 90) for i in range(13)))).read_bytes()
    with pytest.raises(NoBars, match="not one part: it plays 13 pitches on 1 channels"):
        standard_midi(melody, "Ride of the Valkyries.mid")
    two = save_midi("t.mid", _notes((0, 60, 90)), _notes((0, 64, 90), channel=1)).read_bytes()
    with pytest.raises(NoBars, match="not one part: it plays 2 pitches on 2 channels"):
        standard_midi(two, "Kick.mid")


def test_what_is_standard_stays_byte_for_byte(save_midi, one_part):
    beat = save_midi("b.mid", _notes((0, 36, 90), (24, 42, 60), (48, 38, 99), channel=9)).read_bytes()
    for name, part in (
        ("Loop_01.mid", ""),
        ("808 drum loop.mid", ""),
        ("Kick and Snare.mid", ""),
    ):
        found = standard_midi(beat, name)
        assert (found.data, found.part, found.is_new) == (beat, part, False)
    layers = save_midi("l.mid", _notes((0, 35, 90), (0, 36, 90), (24, 27, 60), channel=9)).read_bytes()
    found = standard_midi(layers, "Kick it.mid")  # 27 is of no part
    assert (found.data, found.part, found.is_new) == (layers, "kick", False)
    outside = save_midi("w.mid", _notes((0, 27, 90), (24, 87, 60), (48, 22, 60), channel=9)).read_bytes()
    assert standard_midi(outside, "Loop.mid").data == outside
    melody = save_midi("m.mid", _notes((0, 36, 90), (24, 88, 60), channel=9)).read_bytes()
    with pytest.raises(NoBars, match="no part"):
        standard_midi(melody, "Loop.mid")
    acoustic = one_part(pitch=35, channel=9)  # General MIDI's other kick
    assert standard_midi(acoustic, "Kick_01.mid").data == acoustic
    conga = one_part(pitch=61, channel=9)  # on the drum channel, but another drum than its name says
    assert parse_midi(standard_midi(conga, "Kick_01.mid").data, "a.mid").pitch.tolist() == [36] * 3
    again = standard_midi(one_part(), "Kick_01.mid").data
    assert standard_midi(again, "Kick_01.mid").data == again


@pytest.mark.parametrize("name", ["Hat_01.mid", "Kick it.mid", "Snares/01.mid", "Shaker.mid"])
def test_a_standard_file_that_plays_other_parts_than_its_name_says_is_left_out(save_midi, name):
    beat = save_midi("b.mid", _notes((0, 36, 90), (24, 42, 60), (48, 38, 99), channel=9)).read_bytes()
    with pytest.raises(NoBars, match="several parts: it plays kick and snare and closed hat"):
        standard_midi(beat, name)


def _cuts(save_midi):
    """Every beginning of a standard file of two tracks that is shorter, with at least a note."""
    whole = save_midi("w.mid", _notes((0, 36, 90), (24, 36, 60), channel=9), _notes((7, 36, 99), channel=9))
    data = whole.read_bytes()
    return [data[:length] for length in range(data.index(b"MTrk") + 12, len(data))]


def test_a_file_that_breaks_off_is_never_kept(save_midi):
    """Wherever it ends, also between two tracks: what is left of it becomes a whole file, or it is left out."""
    cuts = _cuts(save_midi)
    for data in cuts:
        found = standard_midi(data, "Kick.mid")
        assert found.is_new
        assert len(mido.MidiFile(file=io.BytesIO(found.data)).tracks) == 1
        with pytest.raises(NoBars, match="damaged: it breaks off, or holds bytes that mean nothing"):
            standard_midi(data, "Loop.mid")
    assert max(len(midi_events(data).notes) for data in cuts) == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Loop_01.mid", "no part: neither its name nor a folder's says which part it is"),
        ("808 Kit/Loop_01.mid", "no part"),
        ("TR-808/01.mid", "no part"),
        ("808 Bass.mid", "no part"),
        ("1808.mid", "no part"),
        ("Kick and Snare.mid", "several parts: its name says kick and snare"),
        ("Kicks + Snares/01.mid", "several parts: its name says kick and snare"),
    ],
)
def test_names_that_say_no_part_or_two_are_refused(one_part, name, says):
    with pytest.raises(NoBars, match=says.replace("+", r"\+")):
        standard_midi(one_part(), name)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "empty: no bytes"), (b"hello", "unreadable: not a MIDI file"), (b"MThd" + bytes(10), "unreadable")],
)
def test_what_is_no_midi_file_is_refused(data, says):
    with pytest.raises(NoBars, match=says):
        standard_midi(data, "Kick.mid")


def test_several_songs_in_one_file_are_refused(one_part):
    data = one_part()
    with pytest.raises(NoBars, match="several songs: a MIDI file of format 2"):
        standard_midi(data[:8] + b"\0\2" + data[10:], "Kick.mid")


def test_silence_that_a_file_cannot_say_is_refused(save_midi):
    """Another event stands between the notes, as a delta time has 28 bits; it is left out, and one would need 29."""
    long = 1 << 28
    text = (long - 1, mido.MetaMessage("text", text="here"))
    data = save_midi("a.mid", [*_notes((0, 60, 90), (long + 500, 60, 90)), text]).read_bytes()
    with pytest.raises(NoBars, match="too long: 268,435,896 ticks of silence"):  # a note lasts 60 ticks
        standard_midi(data, "Kick.mid")
    near = save_midi("b.mid", [*_notes((0, 60, 90), (long + 59, 60, 90)), text]).read_bytes()
    assert midi_events(standard_midi(near, "Kick.mid").data).notes[:, 1].tolist() == [0, long + 59]


def test_a_tempo_that_is_cut_short_is_left_out():
    track = b"\0\xff\x51\x02\x07\xa1" + b"\0\x90\x3c\x5a" + b"\x30\x80\x3c\0" + b"\0\xff\x2f\0"
    data = b"MThd\0\0\0\6\0\0\0\1\0\x60" + b"MTrk" + len(track).to_bytes(4, "big") + track
    found = standard_midi(data, "Kick.mid").data
    assert midi_events(found).notes[:, 1:].tolist() == [[0, 9, 36, 90]]
    assert b"\xff\x51" not in found


@pytest.fixture
def pack(one_part, save_midi, tmp_path):
    """A pack with two files to rewrite, one that is standard, one without a part, and one that is empty."""
    for name in ("pack/Kick_01.mid", "pack/Hats/Closed/A.mid", "pack/Loop.mid"):
        one_part(name=name)
    save_midi("pack/Beat.mid", _notes((0, 36, 90), (24, 42, 60), channel=9))
    (tmp_path / "pack" / "empty_kick.mid").write_bytes(b"")
    (tmp_path / "pack" / "Kick.wav").write_bytes(b"RIFF")
    return tmp_path / "pack"


def test_a_pack_is_written_under_its_own_paths(pack, tmp_path):
    told = []
    done = standardise(pack, tmp_path / "out", lambda *each: told.append(each))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    rows = {each.name: (each.part, each.result) for each in done}
    assert rows == {
        "Kick_01.mid": ("kick", "written"),
        "Hats/Closed/A.mid": ("closed hat", "written"),
        "Beat.mid": ("", "kept"),
        "Loop.mid": ("", "left out"),
        "empty_kick.mid": ("", "left out"),
    }
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["Beat.mid", "Hats/Closed/A.mid", "Kick_01.mid", REPORT]
    assert read_midi(tmp_path / "out" / "Hats" / "Closed" / "A.mid").pitch.tolist() == [42] * 3
    report = json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))["files"]
    assert next(row["why"] for row in report if row["file"] == "empty_kick.mid") == "empty: no bytes"
    assert {row["file"]: (row["part"], row["result"]) for row in report} == rows
    again = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.mid")}
    standardise(pack, tmp_path / "out")
    assert again == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.mid")}


def test_files_of_a_call_that_is_not_done_are_no_pack(one_part, tmp_path):
    for folder in (".", NEW, READY, "Snares"):
        (tmp_path / "pack" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / folder / "Kick.mid").write_bytes(one_part())
    assert find_pack(tmp_path / "pack")[0] == ["Kick.mid", "Snares/Kick.mid"]


def test_a_killed_call_is_done_again(one_part, tmp_path, monkeypatch):
    for name in ("Kick_01.mid", "Hats/Closed/A.mid", "Snare.mid"):
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one_part())
    standardise(tmp_path / "pack", tmp_path / "whole")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    out = tmp_path / "out"
    real = loop_packs.write_whole

    def killed(path, data, **keywords):
        if path.name == "Snare.mid":
            (out / "Hats" / "Closed" / f".A.mid.{platform.node()}.7-1.part").touch()
            raise SystemExit
        real(path, data, **keywords)

    monkeypatch.setattr(loop_packs, "write_whole", killed)
    with pytest.raises(SystemExit):
        standardise(tmp_path / "pack", out)
    assert json.loads((out / REPORT).read_text(encoding="utf-8")) == {"files": []}
    monkeypatch.undo()
    with locked_folder(out), pytest.raises(ValueError, match=f"^{out}: another call is writing here$"):
        standardise(tmp_path / "pack", out)
    standardise(tmp_path / "pack", out)
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == expected


def test_neither_the_pack_nor_files_of_others_are_written_over(pack, tmp_path):
    before = {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()}
    for out in (pack, pack / "new", pack / "Hats"):
        with pytest.raises(ValueError, match="lies in the folder that is read"):
            standardise(pack, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "Kick_01.mid").write_text("my own", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds Kick_01.mid, but no standardise.json of an earlier call"):
        standardise(pack, tmp_path / "mine")
    assert (tmp_path / "mine" / "Kick_01.mid").read_text(encoding="utf-8") == "my own"
    assert before == {path: path.read_bytes() for path in pack.rglob("*") if path.is_file()}
    assert not (pack / "new").exists()


def test_a_folder_in_the_pack_named_as_the_pack_is_not_written_over(pack, one_part, tmp_path):
    """The path of a file below the output folder may be that of another file of the pack."""
    one_part(name="pack/pack/Kick_01.mid")
    (tmp_path / REPORT).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds Kick_01.mid"):
        standardise(pack, tmp_path)


def test_a_pack_without_midi_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no MIDI file"):
        standardise(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "file.mid").write_bytes(b"")
    with pytest.raises(ValueError, match="a loop pack is a folder, not a file"):
        standardise(tmp_path / "file.mid", tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        standardise(tmp_path / "missing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_pipes_and_names_of_any_bytes_are_met(one_part, tmp_path):
    one_part(name="pack/Kick_01.mid")
    pack = tmp_path / "pack"
    os.mkfifo(pack / "pipe_kick.mid")
    (pack / "gone_kick.mid").symlink_to(tmp_path / "nowhere")
    (pack / "loop").symlink_to(pack)  # a folder in itself
    (pack / "new\nline kick.mid").write_bytes((pack / "Kick_01.mid").read_bytes())
    (pack / os.fsdecode(b"kick \xff.mid")).write_bytes((pack / "Kick_01.mid").read_bytes())
    done = {each.name: each for each in standardise(pack, tmp_path / "out")}
    assert len(done) == 5
    assert {name for name, each in done.items() if each.result == "left out"} == {"gone_kick.mid", "pipe_kick.mid"}
    assert PackFile("new\nline \x1b[31m.mid", "", "left out", "why").line.isprintable()
    assert (tmp_path / "out" / "new\nline kick.mid").exists()
    assert (tmp_path / "out" / os.fsdecode(b"kick \xff.mid")).exists()


def test_what_was_wrapped_in_riff_gets_another_ending_where_it_is_written_anew(one_part, tmp_path):
    (tmp_path / "pack").mkdir()
    for name, data in (("Kick.rmi", one_part()), ("Snare.rmi", one_part(pitch=38, channel=9))):
        wrapped = (
            b"RIFF" + (len(data) + 12).to_bytes(4, "little") + b"RMIDdata" + len(data).to_bytes(4, "little") + data
        )
        (tmp_path / "pack" / name).write_bytes(wrapped)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "Kick.rmi.mid").write_text("my own", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds Kick.rmi.mid, but no standardise.json"):
        standardise(tmp_path / "pack", tmp_path / "theirs")
    standardise(tmp_path / "pack", tmp_path / "out")
    assert (tmp_path / "out" / "Kick.rmi.mid").read_bytes()[:4] == b"MThd"
    assert (tmp_path / "out" / "Snare.rmi").read_bytes() == wrapped
    assert not (tmp_path / "out" / "Kick.rmi").exists()


def test_endings_of_midi_files_stay(one_part, tmp_path):
    for name in ("a kick.mid", "b kick.midi", "c kick.KAR"):
        one_part(name=f"pack/{name}")
    standardise(tmp_path / "pack", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("* kick*")) == [
        "a kick.mid",
        "b kick.midi",
        "c kick.KAR",
    ]


def test_patterns_are_read_as_long_as_their_files(save_midi, tmp_path):
    """A hit in bar 2 of four: the silent bars around it are there, and what is off the grid stays so."""
    end = (4 * 384, mido.MetaMessage("end_of_track"))
    save_midi("pack/Kick_01.mid", [*_notes((384 + 27, 60, 33)), end], ticks_per_beat=96)
    save_midi("pack/Snare.mid", _notes((96, 60, 90), length=30), ticks_per_beat=96)
    save_midi("pack/Beat.mid", _notes((0, 36, 90), (24, 42, 60), channel=9), ticks_per_beat=96)
    patterns, left_out = patterns_on_grid(read_pack(tmp_path / "pack", GM12), 16)
    kick, snare = patterns
    assert (kick.name, kick.performance.bars.shape) == ("Kick_01.mid", (4, 16, 12))
    assert np.argwhere(kick.performance.bars).tolist() == [[1, 1, 0]]
    assert kick.performance.velocities[1, 1, 0] == 33
    assert kick.performance.offsets[1, 1, 0] == 0.125  # three of the 24 ticks of a step
    assert (kick.n_lost, snare.n_lost) == (0, 0)
    assert snare.performance.bars.shape == (1, 16, 12)
    assert np.argwhere(snare.performance.bars).tolist() == [[0, 4, 1]]
    assert [each.line for each in left_out] == ["Beat.mid: several parts: it plays kick and closed hat"]


def test_onsets_that_share_a_cell_are_counted(save_midi, tmp_path):
    """Hits on the ticks 0, 8 and 17 of 96 a beat: sixteenths have 24 ticks, thirty-seconds 12, steps of 48 have 8."""
    save_midi("pack/Hat.mid", _notes((0, 60, 20), (8, 60, 90), (17, 60, 30), length=2), ticks_per_beat=96)
    for steps, lost in ((16, 1), (32, 1), (48, 0)):
        ((pattern,), _) = patterns_on_grid(read_pack(tmp_path / "pack", GM12), steps)
        assert pattern.n_lost == lost, steps


def test_layers_of_one_hit_lose_nothing_and_the_tempo_is_that_of_the_file(save_midi, tmp_path):
    """General MIDI's two kicks at once are one onset; such a file is standard, whatever its name's case is."""
    tempo = (0, mido.MetaMessage("set_tempo", tempo=400_000))
    save_midi("pack/KICK.MID", [*_notes((0, 35, 90), (0, 36, 80), (96, 36, 70), channel=9), tempo], ticks_per_beat=96)
    ((pattern,), _) = patterns_on_grid(read_pack(tmp_path / "pack", GM12), 16)
    assert (pattern.name, pattern.n_lost, pattern.bpm) == ("KICK.MID", 0, 150)
    assert np.argwhere(pattern.performance.bars).tolist() == [[0, 0, 0], [0, 4, 0]]


def test_patterns_that_are_too_long_are_left_out(save_midi, tmp_path):
    save_midi("pack/Kick.mid", _notes((0, 60, 90), (3 * 384, 60, 90)), ticks_per_beat=96)
    patterns, left_out = patterns_on_grid(read_pack(tmp_path / "pack", GM12), 16, max_bars=3)
    assert not patterns
    assert left_out[0].why == "too long: 4 bars, 3 at most"
    assert len(patterns_on_grid(read_pack(tmp_path / "pack", GM12), 16, max_bars=4)[0]) == 1


def test_a_folder_that_may_not_be_read_is_said_and_the_rest_goes_on(one_part, tmp_path, monkeypatch):
    one_part(name="pack/Kick.mid")
    one_part(name="pack/closed/Kick.mid")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    names, closed = find_pack(tmp_path / "pack")
    assert names == ["Kick.mid"]
    assert [each.line for each in closed] == ["closed: Permission denied"]
    assert closed[0].result == "left out"
    assert {each.name for each in standardise(tmp_path / "pack", tmp_path / "out")} == {"Kick.mid", "closed"}
