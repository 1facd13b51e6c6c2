"""What a file holds, or why it gives no bars."""

import json
import zipfile

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
    assert (document["array_of_bars"], document["seed"]) == ("bool (2, 3, 16, 9)", "int64 (2,)")
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
    np.savez(tmp_path / "corpus.npz", **members | {"counts": np.frombuffer(b'[{"n_onsets": NaN}]', np.uint8)})
    why = said(tmp_path / "corpus.npz")[1][5]
    assert why == "its counts cannot be read: a number in them is none, or negative"


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
    assert facts["bars of a phrase"] == 4
