"""What a file holds, or why it gives no bars."""

import errno
import json
import os
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest

from rhythmgan.cli import main
from rhythmgan.info import describe
from rhythmgan.load import load_bars
from rhythmgan.midi import write_midi
from rhythmgan.models.weights import bundled
from rhythmgan.patterns import patterns_path
from rhythmgan.songs.preparation import prepare
from rhythmgan.tensor_file import write_tensors

SAID_OF_EVERY_FILE = ("onsets", "bars", "grid", "tempo", "outside_kit", "why")


@pytest.fixture
def said(capsys):
    """A function path → the JSON document of ``rhythmgan info``, and of it what is said of every file."""

    def read(path):
        assert main(["info", str(path), "--json"]) == 0
        done = capsys.readouterr()
        document = json.loads(done.out)
        assert done.err == ""
        return document, tuple(document[name] for name in SAID_OF_EVERY_FILE)

    return read


def _on(tick, pitch, channel=9):
    return tick, mido.Message("note_on", note=pitch, velocity=90, channel=channel)


def _metre(tick, numerator, denominator):
    return tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def test_bars_on_several_grids(save_midi, said):
    """Two bars of sixteenths, one of eighth triplets; a whistle in the first; 150 beats a minute."""
    straight = [_on(120 * i, 42) for i in range(32)] + [_on(480, 38), _on(1920, 36), _on(240, 71)]
    triplets = [_on(3840 + 160 * i, 42) for i in range(12)]
    tempo = (0, mido.MetaMessage("set_tempo", tempo=400_000))
    document, every = said(save_midi("song.mid", [tempo, *straight, *triplets]))
    assert every == (47, 3, {"16": 2, "12": 1}, 150, 1, None)
    assert document["holds"] == "a MIDI file"
    assert document["time_signatures"] == "4/4"
    assert (document["bars_on_no_grid"], document["empty_bars_between_them"]) == (0, 0)


def test_twelve_eight(save_midi, said):
    song = save_midi("song.mid", [_metre(0, 12, 8), *(_on(240 * i, 42) for i in range(12)), _on(720, 38)])
    assert said(song)[1] == (13, 1, {"12": 1}, 120, 0, None)


def test_songs_without_bars(save_midi, said):
    waltz = [_metre(0, 3, 4), _on(0, 36), _on(480, 38), _on(960, 71)]
    assert said(save_midi("waltz.mid", waltz))[1] == (3, 0, {}, 120, 1, "other time signature: 3/4")
    piano = said(save_midi("piano.mid", [_on(0, 36, 0)]))[1]
    assert piano[:5] == (0, 0, {}, None, 0)
    assert piano[5].startswith("no drums: ")
    whistles = said(save_midi("whistles.mid", [_on(0, 71), _on(480, 72)]))[1]
    assert whistles == (2, 0, {}, 120, 2, "outside the kit: no onset of kit gm12")
    assert said(save_midi("nothing.mid", []))[1] == (0, 0, {}, None, 0, "empty: no notes")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.mid", b"", "empty: no bytes"),
        ("text.mid", b"Dear diary", "unreadable: not a MIDI file"),
        ("empty.npz", b"", "not a corpus"),
        ("text.npz", b"Dear diary", "not a corpus"),
        ("empty.txt", b"", "not a text of bars"),
        ("diary.txt", b"Dear diary\n", "not a text of bars"),
        ("latin.txt", b"Liebes Tageb\xfcch\n", "not a text of bars"),
        ("diary.safetensors", b"Dear diary", ""),
        ("diary.doc", b"Dear diary", "not weights (.safetensors), a corpus or LPD (.npz)"),
        ("diary", b"Dear diary", "not weights (.safetensors), a corpus or LPD (.npz)"),
    ],
)
def test_files_of_nothing_that_is_read(tmp_path, said, name, content, why):
    path = tmp_path / name
    path.write_bytes(content)
    document, every = said(path)
    assert every[:5] == (0, 0, {}, None, 0)
    assert every[5].startswith(why)
    assert len(every[5]) > 10
    assert str(path) not in every[5]
    assert document["file"] == str(path)


@pytest.mark.parametrize("name", ["nothing.npz", "nothing.zip"])
def test_a_zip_of_nothing(tmp_path, said, name):
    with zipfile.ZipFile(tmp_path / name, "w"):
        pass
    assert said(tmp_path / name)[1][:5] == (0, 0, {}, None, 0)


@pytest.mark.parametrize("name", ["songs.zip", "songs.tar", "songs.TAR.GZ", "songs.tbz2"])
def test_archives_are_for_prepare(tmp_path, said, name):
    (tmp_path / name).write_bytes(b"whatever")
    document, every = said(tmp_path / name)
    assert every == (0, 0, {}, None, 0, "an archive; `rhythmgan prepare` reads it")
    assert document["holds"] == "an archive"


def test_a_table_is_for_prepare(tmp_path, said):
    (tmp_path / "songs.parquet").write_bytes(b"PAR1")
    assert said(tmp_path / "songs.parquet")[1][5] == "a parquet table; `rhythmgan prepare` reads it"


def test_the_ending_says_what_a_file_is_as_in_whatever_reads_it(tmp_path, said):
    write_midi(tmp_path / "loop.mid", np.ones((16, 9), bool))
    for name, why in (("loop.npz", "not a corpus"), ("loop.txt", "not a text of bars")):
        (tmp_path / name).write_bytes((tmp_path / "loop.mid").read_bytes())
        assert said(tmp_path / name)[1][5].startswith(why)
        with pytest.raises(ValueError, match=why):
            load_bars(tmp_path / name)
    for name in ("loop.bin", "loop"):
        (tmp_path / name).write_bytes((tmp_path / "loop.mid").read_bytes())
        assert said(tmp_path / name)[1][1] == len(load_bars(tmp_path / name)[0]) == 1


def test_midi_under_any_name(tmp_path, said):
    bar = np.zeros((16, 9), bool)
    bar[[0, 4], [0, 1]] = True
    write_midi(tmp_path / "loop.mid", bar)
    data = (tmp_path / "loop.mid").read_bytes()
    (tmp_path / "loop.kar").write_bytes(data)
    chunk = b"data" + len(data).to_bytes(4, "little") + data
    (tmp_path / "loop.rmi").write_bytes(b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"RMID" + chunk)
    for name in ("loop.mid", "loop.kar", "loop.rmi"):
        assert said(tmp_path / name)[1] == (2, 1, {"16": 1}, 120, 0, None)


def test_a_pianoroll_has_the_tempo_that_it_holds(save_lpd, said):
    cells = [(0, 36, 90), (24, 38, 90), (96, 71, 90), (104, 42, 80), (112, 42, 80), (120, 38, 80)]
    members = {"tempo.npy": np.full((192, 1), 87.5)}
    document, every = said(save_lpd("song.npz", cells, members=members))
    assert every[0] == 6
    assert every[3:] == (87.5, 1, None)
    assert document["holds"] == "an LPD pianoroll"
    members = {"tempo.npy": np.array([0, np.nan, 91, 100])}
    assert said(save_lpd("later.npz", cells, members=members))[1][3] == 91
    assert said(save_lpd("damaged.npz", cells, members={"tempo.npy": np.array(["fast"])}))[1][3] is None
    assert said(save_lpd("none.npz", cells, members={"tempo.npy": None}))[1][3] is None
    assert said(save_lpd("silent.npz", []))[1] == (0, 0, {}, 120, 0, "no drums: the drum track has no notes")


def test_bars_that_have_no_song(tmp_path, said):
    document, every = said(patterns_path())
    assert every[1:] == (153, {"12": 11, "16": 72, "24": 14, "32": 56}, None, 0, None)
    loops = np.zeros((2, 3, 16, 9), bool)
    loops[1, 2, [0, 5], 0] = True
    np.savez(tmp_path / "loops.npz", bars=loops, seed=np.arange(2))
    document, every = said(tmp_path / "loops.npz")
    assert every == (2, 6, {"16": 6}, None, 0, None)
    assert document["arrays"] == {"bars": "bool (2, 3, 16, 9)", "seed": "int64 (2,)"}
    np.savez(tmp_path / "odd.npz", bars=np.arange(3))
    assert said(tmp_path / "odd.npz")[1] == (
        0,
        0,
        {},
        None,
        0,
        "expected bars (n, steps, parts) bool, found int64 (3,)",
    )


def test_weights_are_no_bars():
    facts = describe()
    assert (facts["bars"], facts["grid"], facts["why"]) == (0, {}, "weights, not bars")


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        describe(tmp_path / "nothing.mid")
    with pytest.raises(ValueError, match="not a file"):
        describe(tmp_path)


def test_links_in_a_circle_are_named_as_such(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)) as refused:
        describe(tmp_path / "a")
    assert Path(refused.value.filename) == tmp_path / "a"


@pytest.fixture
def save_weights(tmp_path):
    """A function (config, provenance) → path of a weights file with no tensors."""

    def save(config, provenance):
        metadata = {"format": "some\ngrid", "version": "1", "config": config, "provenance": provenance}
        write_tensors(tmp_path / "some.safetensors", {}, {**metadata, "config": json.dumps(config),
                                                          "provenance": json.dumps(provenance)})  # fmt: skip
        return tmp_path / "some.safetensors"

    return save


LIES = [
    {"file": "/etc/passwd", "holds": "nothing", "grid": 5, "bars": 8, "why": None},
    {"grid": [1, 2]},
    {"grid": {"a": {"b": 1}}},
    {"foo": {"a": [1]}},
    {"foo": {"a": None}},
    {"foo": {"a": "b"}},
    {"foo": [[["deep"]]], "bar": float("nan"), "big": 10**4000},
    {"a\nfile": "x\x1b[2J\nholds: nothing\u2028bars: 7\u202e", "long": "x" * 100_000},
    {f"name {i}": i for i in range(10_000)},
]


@pytest.mark.parametrize("lie", LIES)
def test_what_weights_say_of_themselves_is_theirs(save_weights, capsys, said, lie):
    """In lines of their own, short and of plain letters; the program's own lines stay."""
    path = save_weights(lie, lie)
    document, every = said(path)
    assert every == (0, 0, {}, None, 0, "weights, not bars")
    assert (document["file"], document["holds"]) == (str(path), "weights of some\\ngrid")
    assert main(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line[0] != " "] == [
        *("file", "holds", "onsets", "bars", "outside kit", "why", "bytes", "config", "provenance")
    ]
    assert all(line.isprintable() and len(line) < 1100 for line in lines)
    assert len(lines) < 300


def test_what_weights_say_of_themselves_is_said(save_weights, capsys, said):
    path = save_weights({"kit": "gm9", "styles": ["a", "b"], "shape": {"x": 1}}, {"steps": "6000", "by": "1_0"})
    document, _ = said(path)
    assert document["config"] == {"kit": "gm9", "styles": ["a", "b"], "shape": "something else"}
    assert document["provenance"] == {"steps": 6000, "by": "1_0"}
    main(["info", str(path)])
    printed = capsys.readouterr().out
    assert "config:\n  kit: gm9\n  styles: ['a', 'b']\n  shape: something else\nprovenance:\n  steps: 6000\n" in printed


def test_arrays_beside_bars_are_not_taken_for_what_is_said_of_them(tmp_path, capsys, said):
    bars = np.zeros((2, 16, 9), bool)
    others = {"grid": np.zeros(3), "holds": np.arange(2), "why": np.arange(1), "a\nfile": np.arange(1)}
    np.savez(tmp_path / "bars.npz", bars=bars, **others)
    document, every = said(tmp_path / "bars.npz")
    assert every == (0, 2, {"16": 2}, None, 0, None)
    assert document["file"] == str(tmp_path / "bars.npz")
    assert document["arrays"]["grid"] == "float64 (3,)"
    main(["info", str(tmp_path / "bars.npz")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"file: {tmp_path / 'bars.npz'}"
    assert lines[-5:] == ["  bars: bool (2, 16, 9)", "  grid: float64 (3,)", "  holds: int64 (2,)", "  why: int64 (1,)",
                          "  a\\nfile: int64 (1,)"]  # fmt: skip


def test_styles_of_any_name_are_shown_in_a_line(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", np.ones((1, 16, 12), bool))
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    with np.load(tmp_path / "corpus.npz") as archive:
        members = dict(archive)
    styles = {"\x1b[2J\nbars: 9": 1} | {f"style {i}": 1 for i in range(500)}
    counts = np.frombuffer(json.dumps([{"styles": styles}]).encode(), np.uint8)
    np.savez(tmp_path / "corpus.npz", **members | {"counts": counts})
    assert main(["info", str(tmp_path / "corpus.npz")]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("style: "))
    assert line.startswith("style: \\x1b[2J\\nbars: 9 1, style 0 1, ")
    assert line.endswith("style 98 1, and 401 more")


@pytest.mark.parametrize("cut", [4, 30, 200, -30, -4])
@pytest.mark.parametrize("name", ["bars", "corpus", "song"])
def test_a_damaged_directory_has_a_reason(tmp_path, said, name, cut):
    """A file that breaks off, and one whose directory is overwritten."""
    path = tmp_path / f"{name}.npz"
    what = {"bars": "bars", "corpus": "words_16", "song": "tempo"}[name]
    np.savez(path, **{what: np.zeros((2, 16, 9), bool), "kit": np.array("gm9")})
    whole = path.read_bytes()
    for data in (whole[:cut], whole[:-60] + b"\xff" * 30 + whole[-30:], whole.replace(b"PK\1\2", b"PK\1\3")):
        path.write_bytes(data)
        document, every = said(path)
        assert every[:2] == (0, 0)
        assert "\n" not in every[5]
        assert every[5].startswith("not ")
        assert document["file"] == str(path)


def test_a_member_that_is_no_array_has_a_reason(tmp_path, said):
    with zipfile.ZipFile(tmp_path / "bars.npz", "w") as archive:
        archive.writestr("bars.npy", "hello")
    assert said(tmp_path / "bars.npz")[1][5] == "not a file of generated bars: bars.npy is no array"


def test_counts_that_are_none_have_a_reason(tmp_path, said):
    bars = np.zeros((1, 16, 12), bool)
    bars[0, 0, 0] = True
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", bars)
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    with np.load(tmp_path / "corpus.npz") as archive:
        members = dict(archive)
    why = "its counts cannot be read: a number in them is none, negative or huge"
    for n in ("NaN", "-1", "9" * 4300):
        counts = np.frombuffer(b'[{"n_onsets": %s}]' % n.encode(), np.uint8)
        np.savez(tmp_path / "corpus.npz", **members | {"counts": counts})
        assert said(tmp_path / "corpus.npz")[1][5] == why


def test_a_corpus_says_roles_styles_and_bars_on_no_grid(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    bars = np.zeros((5, 16, 12), bool)
    bars[:, [0, 8], 0] = bars[:, [4, 12], 1] = bars[:, ::2, 2] = True
    write_midi(tmp_path / "in" / "a.mid", bars)
    (tmp_path / "in" / "manifest.csv").write_text("file,song,genre\na.mid,one,Funk\n", encoding="utf-8")
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    facts = describe(tmp_path / "corpus.npz")
    assert (facts["onsets"], facts["bars"], facts["grid"], facts["bars on no grid"]) == (60, 5, {16: 5}, 0)
    assert (facts["role"], facts["style"]) == ({"groove": 5}, {"funk": 5})
    main(["info", str(tmp_path / "corpus.npz")])
    printed = capsys.readouterr().out
    assert "role: groove 5\n" in printed
    assert "style: funk 5\n" in printed


@pytest.mark.parametrize("name", ["rythmgan", "rythmgan-published"])
def test_weights_of_phrases_hold_no_bars_and_say_how_many_a_phrase_has(name):
    facts = describe(bundled(f"{name}.safetensors"))
    assert (facts["bars"], facts["grid"], facts["why"]) == (0, {}, "weights, not bars")
    assert facts["config"]["bars"] == 4
