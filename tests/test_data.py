"""Songs in, one corpus out."""

import csv
import errno
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest

from rhythmgan.bars import words_to_bars, words_to_text
from rhythmgan.corpus_file import load_corpus, save_corpus
from rhythmgan.data import Corpus, split_of
from rhythmgan.kit import GM9, JAKI5, KITS
from rhythmgan.locks import locked_folder
from rhythmgan.midi import write_midi
from rhythmgan.patterns import load_patterns, patterns_path
from rhythmgan.roles import song_roles
from rhythmgan.songs import preparation as songs
from rhythmgan.songs import reading
from rhythmgan.songs.counts import SourceCount, counts_table, write_dropped
from rhythmgan.songs.parts import parts_folder
from rhythmgan.songs.preparation import prepare, read_songs

KICK, SNARE, HAT, CRASH = 256, 128, 64, 1


def _words(rows=3, steps=16, kit=GM9, **changes):
    """Bars whose words count up from 1, three to a song."""
    number = np.arange(rows * steps).reshape(rows, steps)
    columns = {
        "words": (number % (2**kit.n_parts - 1) + 1).astype(np.uint16),
        "song_id": (np.arange(rows) // 3).astype(np.int32),
        "file_id": (np.arange(rows) // 2).astype(np.int32),
        "bar_index": (np.arange(rows) * 2).astype(np.int32),
        "songs": tuple(f"song {i}" for i in range((rows + 2) // 3)),
        "files": tuple(f"a/{i}.mid" for i in range((rows + 1) // 2)),
        "kit": kit,
    }
    return Corpus.of(**columns | changes)


def _assert_same(found, expected):
    for name in ("words", "song_id", "file_id", "bar_index"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
        assert getattr(found, name).dtype.kind == getattr(expected, name).dtype.kind or name == "bar_index"
    assert (found.songs, found.files, found.kit) == (expected.songs, expected.files, expected.kit)


def _song(path, *bars):
    """A MIDI file of bars of 16 steps, each a {step: word}."""
    words = np.zeros((len(bars), 16), np.uint16)
    for row, bar in zip(words, bars, strict=True):
        for step, word in bar.items():
            row[step] = word
    path.parent.mkdir(parents=True, exist_ok=True)
    write_midi(path, words_to_bars(words, 9))
    return path


def _prepare(*sources, kit=GM9, steps=16, **options):
    return read_songs(sources, kit, steps, workers=1, **options)


def _songs_of(corpus):
    """The song of each file, by the file's name."""
    return {
        corpus.files[origin].partition("/")[2]: corpus.songs[song]
        for origin, song in zip(corpus.file_id.tolist(), corpus.song_id.tolist(), strict=True)
    }


# -- corpus ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
@pytest.mark.parametrize("steps", [12, 16, 48])
def test_corpus_round_trip(tmp_path, kit, steps):
    words = _words(7, steps, kit, songs=("bossa – nova", "d/été", "x" * 300), files=("a", "b", "c", "d.npz"))
    path = tmp_path / "bars.npz"
    save_corpus(path, words)
    _assert_same(load_corpus(path), words)
    assert load_corpus(str(path)).steps == steps
    assert len(load_corpus(path)) == 7
    assert [child.name for child in tmp_path.iterdir()] == ["bars.npz"]


def _damaged(path, **members):
    """A corpus with members replaced, or left out where None."""
    save_corpus(path, _words(4))
    with np.load(path) as archive:
        content = dict(archive)
    content |= members
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def _refusal(path):
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        load_corpus(path)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "member", ["format", "words_16", "song_16", "bar_16", "file_16", "index_16", "role_16", "songs", "files", "kit"]
)
def test_missing_members_of_a_corpus(tmp_path, member):
    message = _refusal(_damaged(tmp_path / "bars.npz", **{member: None}))
    assert ("there are bars of no grid" if member == "bar_16" else member) in message
    assert "corpus" in message


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"format": np.int64(2)}, "of version 2, this release reads version 3; prepare it again"),
        ({"format": np.int64(0)}, "of version 0"),
        ({"kit": np.array("tr808")}, "no kit is named 'tr808'"),
        ({"kit": np.array("jaki5")}, "a word is 64; kit jaki5 has 32"),
        ({"words_16": np.full((4, 16), 512, np.uint16)}, "a word is 512; kit gm9 has 512"),
        ({"words_16": np.zeros((4, 12), np.uint16)}, "its bars of 16 steps have 12"),
        ({"words_16": np.zeros((4, 15), np.uint16)}, "not 15"),
        ({"words_16": np.zeros((4, 16))}, "must be"),
        ({"words_16": np.zeros((4, 16), np.int32)}, "must be"),
        ({"words_16": np.zeros(4, np.uint16)}, "must be"),
        ({"words_16": np.zeros((5, 16), np.uint16)}, "distinct_song does not fit 5 rows"),
        ({"bar_16": np.zeros(0, np.int32)}, "no bars"),
        ({"bar_16": np.array([0, 1, 2, 4])}, "bar_id does not fit 4 rows and 4 values"),
        ({"bar_16": np.array([0, 1, 2, -1])}, "bar_id does not fit"),
        ({"song_16": np.array([0, 0, 0, 2])}, "distinct_song does not fit 4 rows and 2 values"),
        ({"song_16": np.array([0, 0, 0, -1])}, "distinct_song does not fit"),
        ({"song_16": np.zeros(3, int)}, "distinct_song does not fit"),
        ({"song_16": np.zeros(4)}, "distinct_song does not fit"),
        ({"plays_16": np.array([1, 1, 1, -1])}, "distinct_plays does not fit"),
        ({"file_16": np.array([0, 0, 1, 2])}, "file_id does not fit"),
        ({"files": np.zeros(0, np.uint8)}, "file_id does not fit"),
        ({"index_16": np.array([0, 1, 2, -1])}, "bar_index does not fit"),
        ({"index_16": np.array([0, 1, 2, 2**31])}, "bar_index does not fit"),
        ({"role_16": np.array([0, 1, 2, 3])}, "role does not fit 4 rows and 3 values"),
        ({"before_change_16": np.zeros(4, int)}, "before_change does not fit"),
        ({"before_crash_16": np.zeros(3, bool)}, "before_crash does not fit"),
        ({"file_style": np.array([0, 1])}, "file_style does not fit 2 rows and 1 values"),
        ({"file_bpm": np.zeros(3)}, "file_bpm does not fit"),
        ({"songs": np.array([97, 98], np.uint8)}, "names must be bytes that end with a zero"),
    ],
)
def test_corpora_that_do_not_fit(tmp_path, members, message):
    assert message in _refusal(_damaged(tmp_path / "bars.npz", **members))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"format": np.arange(3)}, id="format"),
        pytest.param({"words_16": np.uint16(3)}, id="words"),
        pytest.param({"bar_16": np.array(["a"] * 4)}, id="bars that are text"),
        pytest.param({"kit": np.arange(3)}, id="kit"),
        pytest.param({"songs": np.arange(2)}, id="songs that are numbers"),
        pytest.param({"songs": np.array([["a"], ["b"]])}, id="songs in rows"),
        pytest.param({"files": np.arange(2)}, id="files that are numbers"),
    ],
)
def test_members_of_another_shape_or_type(tmp_path, members):
    _refusal(_damaged(tmp_path / "bars.npz", **members))


class _Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.mkdir, (Path(self.path),)


@pytest.mark.parametrize("member", ["format", "words_16", "song_16", "bar_16", "role_16", "songs", "counts", "kit"])
def test_nothing_is_unpickled(tmp_path, member):
    mark = tmp_path / "ran"
    content = np.empty(2, object)
    content[0] = _Bomb(mark)
    path = _damaged(tmp_path / "bars.npz", **{member: content})
    _refusal(path)
    assert not mark.exists()
    # the bomb is a live one
    with np.load(path, allow_pickle=True) as members:
        members[member]
    assert mark.is_dir()


# np.load leaves the file open where the zip cannot be read: test_a_damaged_file_is_closed says so once
_open_file = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@_open_file
def test_every_beginning_of_a_corpus(tmp_path):
    path = tmp_path / "bars.npz"
    save_corpus(path, _words(4))
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 31), len(whole) - 1]:
        path.write_bytes(whole[:length])
        _refusal(path)


@_open_file
def test_damage_is_reported_in_one_line_or_does_no_harm(tmp_path):
    path = tmp_path / "bars.npz"
    words = _words(30)
    save_corpus(path, words)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            found = load_corpus(path)
        except ValueError as error:
            found = str(error)
        if isinstance(found, str):
            assert "\n" not in found
            assert str(path) in found
            n_refused += 1
        else:
            assert len(found) == 30
    assert n_refused > 150


def test_a_damaged_file_is_closed(tmp_path):
    """In a process of its own: the warning comes when the file object is collected."""
    path = tmp_path / "bars.npz"
    save_corpus(path, _words(4))
    path.write_bytes(path.read_bytes()[:-100])
    code = f"""
from rhythmgan.corpus_file import load_corpus
try:
    load_corpus({str(path)!r})
except ValueError as error:
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"
    assert "unclosed file" not in done.stderr


def test_files_that_are_no_corpus(tmp_path):
    path = tmp_path / "bars.npz"
    path.write_text("Dear diary", encoding="utf-8")
    _refusal(path)
    path.write_bytes(b"")
    _refusal(path)
    np.savez(path, a=np.arange(3))
    _refusal(path)
    with pytest.raises(FileNotFoundError):
        load_corpus(tmp_path / "nothing.npz")
    with pytest.raises(IsADirectoryError):
        load_corpus(tmp_path)


def test_a_lone_array_is_no_corpus(tmp_path):
    path = tmp_path / "bars.npy"
    np.save(path, np.arange(3))
    _refusal(path)


# -- splits and distinct bars --------------------------------------------------------------------


def test_split_of_is_stable():
    expected = {
        "song0000": "train",
        "song0001": "test",
        "song0002": "train",
        "lakh/song0000": "train",
        "drummer1/session1/1": "train",
        "rock: basic eighths": "train",
        "a": "valid",
        "": "test",
        "é": "train",
    }
    assert {name: split_of(name) for name in expected} == expected


def test_split_of_is_near_its_shares():
    counts = Counter(split_of(f"song{i:05d}") for i in range(10_000))
    assert counts == {"train": 6956, "valid": 1029, "test": 2015}


def test_names_that_are_no_utf8_have_a_split():
    """Linux file names are bytes; Python hands over what is not UTF-8 as lone surrogates."""
    assert split_of(b"caf\xe9.mid".decode("utf-8", "surrogateescape")) in ("train", "valid", "test")


def test_a_song_is_never_in_two_splits():
    names = tuple(f"song{i:05d}" for i in range(200))
    song = np.random.default_rng(0).integers(0, 200, 3000).astype(np.int32)
    corpus = _words(3000, songs=names, song_id=song)
    parts = {name: corpus.split(name) for name in ("train", "valid", "test")}
    songs = {name: set(part.song_id.tolist()) for name, part in parts.items()}
    assert not songs["train"] & songs["valid"]
    assert not songs["train"] & songs["test"]
    assert not songs["valid"] & songs["test"]
    assert sum(len(part) for part in parts.values()) == 3000
    for name, part in parts.items():
        assert len(part) > 100
        assert {split_of(names[i]) for i in songs[name]} == {name}
        np.testing.assert_array_equal(part.words, corpus.words[np.isin(song, sorted(songs[name]))])
    assert corpus.split("all") is corpus


def test_shares_of_the_songs_lie_in_each_other():
    """A curve over the number of songs adds songs: it never takes other ones."""
    names = tuple(f"song{i:05d}" for i in range(4000))
    n = np.arange(len(names))
    corpus = Corpus.of(np.ones((len(n), 16), np.uint16), n, n, np.zeros(len(n), int), names, names, GM9)
    chosen = {fraction: set(corpus.share(fraction).song_id.tolist()) for fraction in (0.125, 0.25, 0.5, 1)}
    assert chosen[0.125] < chosen[0.25] < chosen[0.5] < chosen[1] == set(n.tolist())
    for fraction, found in chosen.items():
        assert abs(len(found) / len(names) - fraction) < 0.03
    # and every split is thinned alike: the share's hash is not the split's
    for split in ("train", "valid", "test"):
        whole = len(corpus.split(split))
        assert abs(len(corpus.split(split).share(0.5)) / whole - 0.5) < 0.06
    # a song stays in or out whatever else there is
    few = corpus.only(n % 7 == 0)
    assert set(few.share(0.25).song_id.tolist()) == chosen[0.25] & set(few.song_id.tolist())


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5, float("nan")])
def test_shares_out_of_range(fraction):
    corpus = Corpus.of(
        np.ones((1, 16), np.uint16), np.zeros(1, int), np.zeros(1, int), np.zeros(1, int), ("a",), ("a",), GM9
    )
    with pytest.raises(ValueError, match="over 0, to 1"):
        corpus.share(fraction)


def test_a_split_may_be_empty():
    corpus = _words(3, songs=("song0001",))
    assert len(corpus.split("train")) == 0
    assert len(corpus.split("train").distinct()) == 0
    assert len(corpus.split("test")) == 3


def test_distinct_by_hand():
    a, b, c = np.eye(3, 16, dtype=np.uint16)
    corpus = _words(
        8,
        words=np.stack([a, b, a, c, b, b, a, a]),
        song_id=np.array([0, 0, 0, 0, 1, 1, 0, 1], np.int32),
        songs=("x", "y"),
        bar_index=np.arange(8, dtype=np.int32),
    )
    distinct = corpus.distinct()
    assert distinct.bar_index.tolist() == [0, 1, 3, 4, 7]
    assert distinct.song_id.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(distinct.words, np.stack([a, b, c, b, a]))
    assert distinct.file_id.tolist() == [0, 0, 1, 2, 3]
    _assert_same(distinct.distinct(), distinct)


# -- patterns ------------------------------------------------------------------------------------


def test_the_textbook_bars():
    corpus = load_patterns()
    assert len(corpus) == 72
    assert corpus.steps == 16
    assert len(set(corpus.songs)) == 72
    assert corpus.kit is GM9
    assert corpus.song_id.tolist() == corpus.bar_index.tolist() == list(range(72))
    assert corpus.words.any(1).all()


@pytest.mark.parametrize(
    ("name", "steps", "onsets", "first"),
    [
        ("rock: basic eighths", 16, 12, KICK + HAT),
        ("son clave: three-two", 16, 17, SNARE + HAT),
        ("fill: toms descending", 16, 20, KICK + SNARE),
        ("swing: ride and foot hat", 12, 12, KICK + 2),
    ],
)
def test_textbook_bars_counted_by_hand(name, steps, onsets, first):
    corpus = load_patterns(steps=steps)
    bar = corpus.words[corpus.songs.index(name)]
    assert bar[0] == first
    assert words_to_bars(bar, 9).sum() == onsets


def test_the_basic_rock_beat():
    corpus = load_patterns()
    expected = [KICK + HAT, 0, HAT, 0, SNARE + HAT, 0, HAT, 0] * 2
    assert corpus.words[corpus.songs.index("rock: basic eighths")].tolist() == expected


def test_every_grid_of_the_textbook():
    counts = {steps: len(load_patterns(steps=steps)) for steps in (12, 16, 24, 32)}
    assert sum(counts.values()) == patterns_path().read_text(encoding="utf-8").count(" BAR\n")
    names = [name for steps in counts for name in load_patterns(steps=steps).songs]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="no bar of 48 steps"):
        load_patterns(steps=48)


@pytest.mark.parametrize(
    ("name", "kicks", "snares", "hats"),
    [
        ("trap: roll into the clap", [0, 6, 22], [16], [0, 4, 8, 12, 13, 14, 15, 16, 20, 24, 28]),
        ("trap: 808 in three-three-two", [0, 12, 24], [16], [0, 4, 8, 12, 16, 20, 24, 26, 28]),
        ("trap: drill, snare on four", [0, 12, 20], [24], [0, 6, 12, 16, 22, 28]),
        ("hip-hop: boom bap, drag before four", [0, 14, 20], [8, 22, 23, 24], [0, 4, 8, 12, 16, 20, 24, 28]),
    ],
)
def test_trap_and_hip_hop_bars_by_hand(name, kicks, snares, hats):
    corpus = load_patterns(steps=32)
    bar = words_to_bars(corpus.words[corpus.songs.index(name)], 9)
    assert [np.flatnonzero(line).tolist() for line in bar[:, :3].T] == [kicks, snares, hats]
    assert not bar[:, 3:].any()


def test_trap_and_hip_hop_bars_of_the_textbook():
    fine = {steps: load_patterns(steps=steps) for steps in (24, 32)}
    styles = {steps: [name.split(":")[0] for name in corpus.songs] for steps, corpus in fine.items()}
    assert {steps: (each.count("trap"), each.count("hip-hop")) for steps, each in styles.items()} == {
        24: (8, 3),
        32: (40, 16),
    }
    for corpus in fine.values():
        assert len(np.unique(corpus.words, axis=0)) == len(corpus)
        bars = words_to_bars(corpus.words, 9)
        assert not (bars[..., 2] & bars[..., 3]).any()  # no hat is open and closed at once


def _pattern(word, n=16):
    return " ".join([f"0b{word:09b}"] * n) + " BAR\n"


def test_a_text_of_bars_is_a_corpus_too(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(
        "# one\n" + _pattern(3) + "# triplets\n" + _pattern(5, 12) + "\n# two\n" + _pattern(7), encoding="utf-8"
    )
    corpus = load_corpus(path)
    assert corpus.words.tolist() == [[3] * 16, [7] * 16]
    assert corpus.songs == ("one", "two")
    assert corpus.files == ("mine.txt",)
    assert load_patterns(path, steps=12).songs == ("triplets",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# a\n" + _pattern(3) + "# b\n" + _pattern(3).replace("0b", "0x", 1), r"line 4: '0x"),
        ("# a\n" + _pattern(3, 15), r"line 2: a bar of 15 steps"),
        ("# a\n" + _pattern(3)[:-5], r"the text ends within a bar"),
        ("# only a comment\n", "it has none"),
        ("", "it has none"),
    ],
)
def test_broken_texts(tmp_path, text, message):
    path = tmp_path / "mine.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as refused:
        load_corpus(path)
    assert str(path) in str(refused.value)


def test_line_breaks_mean_nothing_in_a_text(tmp_path):
    """As ``bars.text_to_words`` says: two bars of one line are two, one bar of two lines is one."""
    path = tmp_path / "mine.txt"
    path.write_text("# two\n" + _pattern(3).strip() + " " + _pattern(5), encoding="utf-8")
    assert load_corpus(path).words.tolist() == [[3] * 16, [5] * 16]
    path.write_text("# one\n" + _pattern(3).replace(" ", "\n"), encoding="utf-8")
    assert load_corpus(path).words.tolist() == [[3] * 16]


def test_what_we_write_as_text_is_read(tmp_path):
    corpus = _words(5)
    path = tmp_path / "mine.txt"
    path.write_text(words_to_text(corpus.words, 9), encoding="utf-8")
    np.testing.assert_array_equal(load_corpus(path).words, corpus.words)


# -- prepare: what is read -----------------------------------------------------------------------


def test_one_file_by_hand(tmp_path):
    path = _song(tmp_path / "loop.mid", {0: KICK}, {}, {4: SNARE + HAT, 15: CRASH}, {0: KICK})
    corpus, (count,) = _prepare(path)
    expected = np.zeros((3, 16), int)
    expected[0, 0] = expected[2, 0] = 256
    expected[1, [4, 15]] = 192, 1
    assert corpus.words.tolist() == expected.tolist()
    assert corpus.words.dtype == np.uint16
    assert corpus.bar_index.tolist() == [0, 2, 3]
    assert corpus.song_id.tolist() == corpus.file_id.tolist() == [0, 0, 0]
    assert corpus.files == ("loop.mid",)
    assert corpus.kit is GM9
    assert (count.source, count.n_files, count.n_files_with_bars) == (str(path), 1, 1)
    assert (count.n_bars, count.n_distinct, count.n_songs, count.n_song_bars) == (3, 2, 1, 2)
    assert (count.n_onsets, count.n_onsets_outside) == (5, 0)
    assert not count.none
    assert not count.named


def test_kits_and_grids(tmp_path, save_midi):
    path = _song(tmp_path / "loop.mid", {0: KICK + 2, 4: 16 + 8, 8: CRASH})
    corpus, _ = _prepare(path, kit=JAKI5, steps=32)
    row = np.zeros(32, int)
    row[[0, 8, 16]] = 16 + 4, 1, 2
    assert corpus.words.tolist() == [row.tolist()]
    assert corpus.kit is JAKI5
    with pytest.raises(ValueError, match="not 20"):
        _prepare(path, steps=20)


def test_reasons_are_counted_and_a_bad_file_costs_no_other(tmp_path, save_lpd, save_midi):
    good = _song(tmp_path / "in" / "b.mid", {0: KICK}, {0: SNARE})
    save_lpd("in/d.npz", [(0, 36, 90), (10, 54, 90)])
    piano = [
        (0, mido.Message("note_on", note=60, channel=0)),
        (9, mido.Message("note_on", note=61, channel=0)),
        (99, mido.Message("note_off", note=60, channel=0)),
        (99, mido.Message("note_off", note=61, channel=0)),
    ]
    save_midi("in/piano.mid", piano)
    waltz = [(0, mido.MetaMessage("time_signature", numerator=3, denominator=4))]
    drums = [(0, mido.Message("note_on", note=36, channel=9)), (9, mido.Message("note_off", note=36, channel=9))]
    save_midi("in/waltz.mid", waltz + drums)
    congas = [(0, mido.Message("note_on", note=63, channel=9)), (9, mido.Message("note_off", note=63, channel=9))]
    save_midi("in/congas.mid", congas)
    folder = tmp_path / "in"
    (folder / "a.mid").write_bytes(b"")
    (folder / "c.npz").write_bytes(good.read_bytes())
    (folder / "e.midi").write_text("Dear diary", encoding="utf-8")
    (folder / "f.MID").symlink_to(tmp_path / "nowhere.mid")
    (folder / "notes.txt").write_text("not read", encoding="utf-8")
    (folder / ".hidden.mid").write_text("not read", encoding="utf-8")
    corpus, (count,) = _prepare(folder)
    assert corpus.files == ("in/b.mid", "in/d.npz")
    assert corpus.words[:, 0].tolist() == [256, 128, 256]
    assert count.n_files == 9
    assert count.n_files_with_bars == 2
    assert count.none == {"empty": 1, "unreadable": 3, "no drums": 1, "other time signature": 1, "outside the kit": 1}
    named = {Path(path).name: reason for path, reason in count.named}
    assert set(named) == {"a.mid", "c.npz", "congas.mid", "e.midi", "f.MID", "piano.mid", "waltz.mid"}
    assert named["a.mid"] == "empty: no bytes"
    assert named["waltz.mid"] == "other time signature: 3/4"
    assert named["f.MID"] == "unreadable: No such file or directory"
    assert (count.n_onsets, count.n_onsets_outside) == (6, 2)


def test_a_broken_lpd_file_costs_no_other(save_lpd, tmp_path):
    save_lpd("in/deep.npz", [(0, 36, 90)], info=b"[" * 100_000)
    save_lpd("in/infinite.npz", [(0, 36, 90)], info=b'{"0": {"is_drum": true}, "resolution": Infinity}')
    _song(tmp_path / "in" / "good.mid", {0: KICK})
    corpus, (count,) = _prepare(tmp_path / "in")
    assert corpus.files == ("in/good.mid",)
    assert count.none == {"unreadable": 2}


def test_nothing_found(tmp_path):
    with pytest.raises(ValueError, match=r"no \.mid, \.midi, \.kar, \.rmi or \.npz file in .*"):
        _prepare(tmp_path)
    with pytest.raises(FileNotFoundError) as missing:
        _prepare(tmp_path / "nowhere")
    assert missing.value.filename == str(tmp_path / "nowhere")
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "b.mid").write_text("x", encoding="utf-8")
    (tmp_path / "c.mid").write_text("y", encoding="utf-8")
    with pytest.raises(ValueError, match="no bars in 3 files: 1 empty, 2 unreadable"):
        _prepare(tmp_path)


def test_progress(tmp_path):
    for i in range(5):
        _song(tmp_path / "in" / f"{i}.mid", {i: KICK})
    reported = []
    prepare(tmp_path / "in", tmp_path / "out.npz", workers=1, progress=lambda *done: reported.append(done))
    assert reported == [(5, 5)]


def _many(tmp_path, save_lpd, n):
    for i in range(n):
        if i % 3:
            _song(tmp_path / "in" / f"{i % 7}" / f"{i}.mid", {i % 16: KICK + i}, {3: SNARE}, {3: SNARE})
        else:
            save_lpd(f"in/folder {i % 5}/{i}.npz", [(6 * (i % 15), 36, 90), (90, 54 - i % 8, 90)])
    (tmp_path / "in" / "broken.mid").write_text("Dear diary", encoding="utf-8")
    return tmp_path / "in"


def test_workers_give_what_one_process_gives(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 140)
    alone = prepare(folder, tmp_path / "alone.npz", workers=1)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 20)
    monkeypatch.setattr(songs, "_FILES_PER_JOIN", 30)
    reported = []
    pooled = prepare(folder, tmp_path / "pooled.npz", workers=2, progress=lambda *done: reported.append(done))
    assert (tmp_path / "pooled.npz").read_bytes() == (tmp_path / "alone.npz").read_bytes()
    assert pooled == alone
    assert alone[0].n_files == 141
    assert alone[0].none == {"unreadable": 1}
    assert reported[-1] == (141, 141)
    assert [done for done, _ in reported] == sorted({done for done, _ in reported})
    assert len(reported) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.npz", "in", "pooled.npz"]


SCRIPT = """
from rhythmgan.songs.preparation import prepare
counts = prepare({folder!r}, {out!r}, workers=2)
print(counts[0].n_files_with_bars, dict(counts[0].none))
"""


@pytest.mark.parametrize("way", ["script", "standard input"])
def test_prepare_in_a_script_without_a_guard(tmp_path, save_lpd, way):
    """Workers are spawned: they would run the script again, and prepare again, if they knew of it."""
    folder = _many(tmp_path, save_lpd, 140)
    script = SCRIPT.format(folder=str(folder), out=str(tmp_path / "out.npz"))
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    arguments = [str(tmp_path / "script.py")] if way == "script" else ["-"]
    done = subprocess.run(
        [sys.executable, *arguments], input=script, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "140 {'unreadable': 1}\n"
    assert done.stderr == ""


def test_no_worker_can_be_started(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 140)
    monkeypatch.setattr("rhythmgan.songs.workers._can_start", lambda: False)
    monkeypatch.setattr("rhythmgan.songs.workers._pool", None)
    (count,) = prepare(folder, tmp_path / "out.npz", workers=2)
    assert (count.n_files_with_bars, count.none) == (140, {"unreadable": 1})


def _read_or_die(out, files, kit, steps, given, crashed=frozenset()):
    """``read_files`` that is killed by one file."""
    if not crashed and any(file.path.endswith("52.mid") for file in files):
        os.kill(os.getpid(), signal.SIGKILL)
    reading.read_files(out, files, kit, steps, given, crashed)


def test_a_file_that_kills_its_reader_costs_only_itself(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 140)
    prepare(folder, tmp_path / "alone.npz", workers=1)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 20)
    monkeypatch.setattr(songs, "read_files", _read_or_die)
    (count,) = prepare(folder, tmp_path / "out.npz", workers=2)
    assert (str(folder / "3" / "52.mid"), "unreadable: it crashed its reader") in count.named
    assert count.none == {"unreadable": 2}
    alone, found = load_corpus(tmp_path / "alone.npz", 16), load_corpus(tmp_path / "out.npz", 16)
    assert found.files == tuple(name for name in alone.files if name != "in/3/52.mid")


def test_a_file_that_takes_more_memory_than_there_is_costs_only_itself(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in "abc":
        _song(tmp_path / "in" / f"{name}.mid", {0: KICK})
    parse = reading.midi_reader.parse_midi

    def greedy(content, name):
        if name == "b":
            raise MemoryError
        return parse(content, name)

    monkeypatch.setattr(reading.midi_reader, "parse_midi", greedy)
    (count,) = prepare(tmp_path / "in", tmp_path / "out.npz", workers=1)
    assert count.n_files_with_bars == 2
    said = "unreadable: it takes more memory than there is"
    assert count.named == [(str(tmp_path / "in" / "b.mid"), said)]


def _stopped_at(number):
    """``read_files`` that is stopped when it comes to this file."""

    def read(out, files, *options):
        if out.endswith(f"-{number:08d}.part"):
            raise KeyboardInterrupt
        reading.read_files(out, files, *options)

    return read


def _stop_at(number, folder, out, monkeypatch):
    """Prepare a corpus, until the run is stopped when it comes to this file; the next one may end."""
    with monkeypatch.context() as stopping:
        stopping.setattr(songs, "read_files", _stopped_at(number))
        with pytest.raises(KeyboardInterrupt):
            prepare(folder, out, workers=1)


def test_a_stopped_run_is_resumed(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 140)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 20)
    whole = prepare(folder, tmp_path / "whole.npz", workers=1)
    out = tmp_path / "out.npz"
    _stop_at(60, folder, out, monkeypatch)
    assert not out.exists()
    read = []

    def noted(out, files, *options):
        read.append(out[-13:])
        reading.read_files(out, files, *options)

    monkeypatch.setattr(songs, "read_files", noted)
    said = []
    assert prepare(folder, out, workers=1, log=said.append) == whole
    assert read == [f"{number:08d}.part" for number in (60, 80, 100, 120, 140)]
    assert any("resumed: 3 parts" in line for line in said)
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not (tmp_path / "out.npz.parts").exists()


@pytest.mark.parametrize("facts", [b"[" * 100_000, b"{}", b"[1]", b'[{"x": 1}]', b'[{"bars": 3}]', b"[]", None])
def test_a_damaged_part_is_named_and_not_resumed_again(tmp_path, save_lpd, monkeypatch, facts):
    """As a power cut leaves one: the next run ends with its name, and the one after begins anew."""
    folder = _many(tmp_path, save_lpd, 30)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    out = tmp_path / "out.npz"
    _stop_at(15, folder, out, monkeypatch)
    part = sorted((tmp_path / "out.npz.parts").glob("files-*"))[1]
    if facts is None:
        part.write_bytes(part.read_bytes()[:-40])
    else:
        with np.load(part) as archive:
            members = dict(archive)
        with part.open("wb") as file:
            np.savez(file, **members | {"facts": np.frombuffer(facts, np.uint8)})
    with pytest.raises(ValueError, match=rf"{part.name}: not a part of a corpus: ."):
        prepare(folder, out, workers=1)
    assert not (tmp_path / "out.npz.parts").exists()
    assert prepare(folder, out, workers=1)[0].n_files == 31


FEW_OPEN = """
import resource, sys
from rhythmgan.songs import preparation
preparation._FILES_PER_PART = 1
preparation._FILES_PER_JOIN = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
preparation.prepare(sys.argv[1], sys.argv[2], workers=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="of limits on open files")
@pytest.mark.parametrize("per_join", [1, 1000])
def test_few_files_are_open_however_many_are_read(tmp_path, save_lpd, per_join):
    """60 parts that are joined to one, or to one for each song, where 30 files may be open."""
    folder = _many(tmp_path, save_lpd, 60)
    out = tmp_path / "out.npz"
    arguments = [sys.executable, "-c", FEW_OPEN, str(folder), str(out), str(per_join)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    prepare(folder, tmp_path / "whole.npz", workers=1)
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_run_that_a_failing_system_ends_is_resumed(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 30)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)

    def failing(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as broken:
        broken.setattr("rhythmgan.npz._checked", failing)
        with pytest.raises(OSError, match="Too many open files"):
            prepare(folder, tmp_path / "out.npz", workers=1)
    said = []
    prepare(folder, tmp_path / "out.npz", workers=1, log=said.append)
    assert any("resumed: 7 parts" in line for line in said)


@pytest.mark.parametrize("opens", ["rhythmgan.songs.archives.open_input", "os.scandir"])
def test_songs_are_not_left_out_because_no_file_can_be_opened(tmp_path, save_lpd, monkeypatch, opens):
    """Of a file that cannot be read the corpus is made without it; this is no fault of a file."""
    folder = _many(tmp_path, save_lpd, 2)
    number = errno.EMFILE

    def failing(path, *_):
        raise OSError(number, os.strerror(number), os.fspath(path))

    monkeypatch.setattr(opens, failing)
    with pytest.raises(OSError, match="Too many open files"):
        prepare(folder, tmp_path / "out.npz", workers=1)
    number = errno.EACCES
    with pytest.raises(ValueError, match=r"no bars|no song|cannot be read"):
        prepare(folder, tmp_path / "out.npz", workers=1)


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_corpus_may_have_any_name_that_a_file_may_have(tmp_path, save_lpd, monkeypatch, letter):
    folder = _many(tmp_path, save_lpd, 10)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    for n_bytes in (134, 135, 249, 250, 255):
        name = letter * ((n_bytes - 4) // len(letter.encode()))
        out = tmp_path / "out" / (name + "b" * (n_bytes - 4 - len(name.encode())) + ".npz")
        _stop_at(5, folder, out, monkeypatch)
        said = []
        prepare(folder, out, workers=1, log=said.append)
        assert any("resumed: 1 parts" in line for line in said)
        assert [path.name for path in out.parent.iterdir()] == [out.name]
        out.unlink()
    with pytest.raises(OSError, match="File name too long"):
        prepare(folder, out.with_stem("b" * 252), workers=1)
    assert not any(out.parent.iterdir())


def test_corpora_of_long_names_have_folders_of_their_own(tmp_path):
    with parts_folder(tmp_path / f"{'a' * 240}1.npz") as first, parts_folder(tmp_path / f"{'a' * 240}2.npz") as second:
        assert first != second
        assert len(first.name.encode()) == len(second.name.encode()) == 140


def test_parts_of_a_long_name_are_found_under_the_name_that_they_had(tmp_path):
    out = tmp_path / f"{'a' * 200}.npz"
    (tmp_path / f"{out.name}.parts").mkdir()
    with parts_folder(out) as folder:
        assert folder.name == f"{out.name}.parts"


def test_parts_of_other_files_are_not_resumed(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 30)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    out = tmp_path / "out.npz"
    _stop_at(15, folder, out, monkeypatch)
    (folder / "1" / "1.mid").unlink()
    said = []
    (count,) = prepare(folder, out, workers=1, log=said.append)
    assert count.n_files == 30
    assert not any("resumed" in line for line in said)


def test_parts_of_files_that_have_changed_are_not_resumed(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 30)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    out = tmp_path / "out.npz"
    _stop_at(15, folder, out, monkeypatch)
    first = min(path for path in folder.glob("*/*.mid") if path.parent.name == "0")
    _song(first, *[{0: CRASH}] * 50)
    prepare(folder, out, workers=1)
    expected, _ = read_songs(folder, workers=1)
    _assert_same(load_corpus(out, 16), expected)


def test_what_comes_into_the_folder_of_a_run_stays_there(tmp_path):
    with parts_folder(tmp_path / "out.npz") as folder:
        (folder / "files-0-00000000.part").touch()
        (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert [path.name for path in (tmp_path / "out.npz.parts").iterdir()] == ["notes.txt"]


def test_a_folder_that_the_run_before_removes_is_made_again(tmp_path, monkeypatch):
    """Between its making and its locking."""
    times = []

    def locked(folder, *rest):
        times.append(folder)
        if len(times) == 1:
            folder.rmdir()
        return locked_folder(folder, *rest)

    monkeypatch.setattr("rhythmgan.songs.parts.locked_folder", locked)
    with parts_folder(tmp_path / "out.npz") as folder:
        assert folder.is_dir()
    assert len(times) == 2


def test_a_corpus_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("synced"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda part, name: (done.append(os.path.basename(name)), rename(part, name)))
    prepare(_song(tmp_path / "a.mid", {0: KICK}), tmp_path / "out.npz", workers=1)
    assert done[done.index("out.npz") - 1] == "synced"


def test_a_worker_that_dies_when_songs_are_joined_is_no_corpus(tmp_path, monkeypatch):
    real = songs.run_jobs

    def run(function, jobs, workers):
        return ((job, function is not songs.join_songs) for job, _ in real(function, jobs, workers))

    monkeypatch.setattr(songs, "run_jobs", run)
    with pytest.raises(RuntimeError, match="a worker died when it joined the songs"):
        prepare(_song(tmp_path / "a.mid", {0: KICK}), tmp_path / "out.npz", workers=1)
    assert not (tmp_path / "out.npz").exists()


def test_two_runs_do_not_write_one_corpus(tmp_path, save_lpd):
    folder = _many(tmp_path, save_lpd, 10)
    (tmp_path / "out.npz.parts").mkdir()
    refused = pytest.raises(ValueError, match=r"out\.npz\.parts: another run is preparing this corpus")
    with locked_folder(tmp_path / "out.npz.parts"), refused:
        prepare(folder, tmp_path / "out.npz", workers=1)
    (tmp_path / "out.npz.parts" / "lock").touch()  # of an earlier release
    prepare(folder, tmp_path / "out.npz", workers=1)
    assert not (tmp_path / "out.npz.parts").exists()


def test_one_process_prepares_one_corpus_after_another(tmp_path):
    """In a notebook a cell is run again, with other songs or another kit."""
    out = tmp_path / "out.npz"
    first = _song(tmp_path / "a.mid", {0: KICK})
    second = _song(tmp_path / "b.mid", {0: SNARE, 4: HAT}, {8: CRASH})
    prepare(first, out, workers=1)
    assert load_corpus(out).performance().bars.sum() == 1
    prepare(second, out, workers=1)
    assert load_corpus(out).performance().bars.sum() == 3
    prepare(second, out, JAKI5, workers=1)
    assert load_corpus(out).kit is JAKI5
    assert load_corpus(out).performance().bars.sum() == 3


def test_parts_of_another_kit_are_not_taken(tmp_path, save_lpd, monkeypatch):
    """Workers of a run that was killed may go on for a moment, and write parts while the next run reads."""
    folder = _many(tmp_path, save_lpd, 20)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    out = tmp_path / "out.npz"
    _stop_at(15, folder, out, monkeypatch)
    stale = {path.name: path.read_bytes() for path in (tmp_path / "out.npz.parts").glob("files-*")}
    assert len(stale) == 3

    def read_late(name, files, *options):
        for old, content in stale.items():
            (Path(name).parent / old).write_bytes(content)
        reading.read_files(name, files, *options)

    monkeypatch.setattr(songs, "read_files", read_late)
    prepare(folder, out, JAKI5, workers=1)
    expected, _ = read_songs(folder, JAKI5, workers=1)
    _assert_same(load_corpus(out), expected)


def test_what_is_not_ours_is_left_alone(tmp_path):
    song = _song(tmp_path / "a.mid", {0: KICK})
    content = song.read_bytes()
    notes = tmp_path / "out.npz.parts" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="is in the way: it holds something else"):
        prepare(song, tmp_path / "out.npz", workers=1)
    assert notes.read_text(encoding="utf-8") == "mine"
    (tmp_path / "link.npz.parts").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is in the way"):
        prepare(song, tmp_path / "link.npz", workers=1)
    for out in (song, tmp_path / "b.mid", tmp_path / "new" / "", ""):
        with pytest.raises(ValueError, match=r"the name of a corpus ends in \.npz"):
            prepare(song, out, workers=1)
    assert song.read_bytes() == content


def test_a_song_is_not_replaced_by_a_corpus(tmp_path, save_lpd):
    song = save_lpd("in/a.npz", [(0, 36, 90)])
    content = song.read_bytes()
    for sources in (song, song.parent):
        with pytest.raises(ValueError, match=r"a\.npz: a song is there, and is left alone"):
            prepare(sources, song, workers=1)
    assert song.read_bytes() == content
    song.write_bytes(content[:-100])  # damaged, so that only its owner knows what it is
    with pytest.raises(ValueError, match=r"a\.npz: a song is there, and is left alone"):
        prepare([_song(tmp_path / "b.mid", {0: KICK}), song], song, workers=1)
    assert song.read_bytes() == content[:-100]


@pytest.mark.parametrize("what", ["song.mid", "manifest.csv", "more.csv", "md5s.csv", "songs.zip"])
@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_what_is_read_is_not_replaced_by_the_list_of_dropped_files(tmp_path, what, link):
    read = tmp_path / "in"
    content = _song(read / "song.mid", {0: KICK}).read_bytes()
    (read / f"{'0' * 32}.mid").write_bytes(content)
    for name in ("manifest.csv", "more.csv"):
        (read / name).write_text("file,song\nsong.mid,a\n", encoding="utf-8")
    (read / "md5s.csv").write_text(f"{'0' * 32},{'1' * 32}\n", encoding="utf-8")
    archive = tmp_path / "songs.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("b.mid", content)
    target = archive if what == archive.name else read / what
    before = target.read_bytes()
    dropped = tmp_path / "dropped.csv" if link else target
    if link:
        link(target, dropped)
    options = {"manifest": read / "more.csv", "duplicates": read / "md5s.csv", "dropped": dropped}
    with pytest.raises(ValueError, match=rf"{dropped.name}: .* is read, and is left alone"):
        prepare([read, archive], tmp_path / "out.npz", workers=1, **options)
    assert target.read_bytes() == before
    prepare([read, archive], tmp_path / "out.npz", workers=1, **options | {"dropped": tmp_path / "new.csv"})
    assert (tmp_path / "new.csv").read_text(encoding="utf-8") == "file,reason\n"


def test_a_long_file_is_compared_in_stretches(tmp_path, monkeypatch):
    """All of its distinct bars beside each other would take memory by the square."""
    compared = []

    def counted(bars, *rest):
        compared.append(len(bars))
        return song_roles(bars, *rest)

    monkeypatch.setattr(reading, "song_roles", counted)
    monkeypatch.setattr(reading, "_MAX_COMPARED", 10)
    bars = [{0: KICK, 4: SNARE, number % 16: HAT + 1 + number} for number in range(25)]
    prepare(_song(tmp_path / "a.mid", *bars), tmp_path / "out.npz", workers=1)
    assert sum(compared) >= 25
    assert max(compared) <= 10
    assert len(load_corpus(tmp_path / "out.npz")) == 25


def test_a_worker_of_a_pool_prepares_by_itself(tmp_path, save_lpd):
    """It may have no children."""
    folder = _many(tmp_path, save_lpd, 140)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (count,) = pool.apply(prepare, (str(folder), str(tmp_path / "out.npz")))
    assert count.n_files_with_bars == 140


ORPHANS = """
import sys, time
from rhythmgan.songs.workers import run_jobs
for _ in run_jobs(time.sleep, [(600,)] * 4, 2):
    pass
"""


def test_workers_end_with_who_started_them():
    """Whoever waits for the output of a killed run would wait for ever."""
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if not children.exists():
            parent.kill()
            pytest.skip("this system does not list the children of a process")
        while len(children.read_text(encoding="utf-8").split()) < 3:  # the resource tracker and two workers
            assert parent.poll() is None
        parent.kill()
        assert parent.stdout.read() == b""  # it ends when all that hold it have ended


def test_a_corpus_in_the_folder_of_its_songs_is_resumed_too(tmp_path, save_lpd, monkeypatch):
    folder = _many(tmp_path, save_lpd, 30)
    monkeypatch.setattr(songs, "_FILES_PER_PART", 5)
    _stop_at(15, folder, folder / "out.npz", monkeypatch)
    said = []
    (count,) = prepare(folder, folder / "out.npz", workers=1, log=said.append)
    assert count.n_files == 31
    assert any("resumed: 3 parts" in line for line in said)


def test_nothing_is_left_of_a_run_without_bars(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mid").write_text("Dear diary", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^no bars in .*in/a\.mid: unreadable: not a MIDI file$"):
        prepare(tmp_path / "in", tmp_path / "out.npz", workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_files_without_bars_are_named_and_listed_where_there_are_no_others(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mid").write_bytes(b"")
    (folder / "b.mid").write_text("x", encoding="utf-8")
    dropped = tmp_path / "dropped.csv"
    both = (
        f"no bars in 2 files: 1 empty, 1 unreadable: {folder / 'a.mid'} (empty: no bytes),"
        f" {folder / 'b.mid'} (unreadable: not a MIDI file)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(both)}$"):
        prepare(folder, tmp_path / "out.npz", dropped=dropped, workers=1)
    assert dropped.read_text(encoding="utf-8").splitlines() == [
        "file,reason",
        f"{folder / 'a.mid'},empty: no bytes",
        f"{folder / 'b.mid'},unreadable: not a MIDI file",
    ]
    for name in "cde":
        (folder / f"{name}.mid").write_text("x", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^no bars in 5 files: .*a\.mid .*b\.mid .*c\.mid [^,]*\) and 2 more$"):
        prepare(folder, tmp_path / "out.npz", workers=1)


# -- pairs of neighbouring bars ------------------------------------------------------------------


def _in_a_row(*bars, songs=2):
    """Words of (song, file, place in the file, the word that fills the bar)."""
    song, origin, bar, word = (np.array(column) for column in zip(*bars, strict=True))
    return Corpus.of(
        np.repeat(word[:, None], 16, 1).astype(np.uint16),
        song.astype(np.int32),
        origin.astype(np.int32),
        bar.astype(np.int32),
        tuple(f"song {i}" for i in range(songs)),
        tuple(f"{i}.mid" for i in range(origin.max() + 1)),
        GM9,
    )


def test_pairs_by_hand():
    corpus = _in_a_row(
        (0, 0, 0, 7),
        (0, 0, 1, 8),  # 7 8
        (0, 0, 2, 7),  # 8 7: the other way round is another pair
        (0, 0, 3, 8),  # 7 8 again
        (0, 0, 5, 9),  # after a gap: a bar was silent
        (0, 0, 6, 9),  # 9 9
        (0, 0, 7, 9),  # 9 9 again
        (0, 1, 8, 5),  # another file, though its number follows
        (0, 1, 9, 7),  # 5 7
        (0, 1, 10, 8),  # 7 8 in another version of the song
        (1, 2, 0, 7),  # another song
        (1, 2, 1, 8),  # 7 8 of its own
    )
    assert corpus.followers().tolist() == [1, 2, 3, 5, 6, 8, 9, 11]
    assert corpus.only(np.array([0, 1, 3, 4, 5, 9, 10, 11])).followers().tolist() == [1, 4, 7]
    before, after, chance = corpus.pairs()
    assert chance.tolist() == pytest.approx([3 / 14, 1 / 14, 2 / 14, 1 / 14, 1 / 2])
    assert before.shape == (5, 16)
    assert before[:, 3].tolist() == [7, 8, 9, 5, 7]
    assert after.words[:, 3].tolist() == [8, 7, 9, 7, 8]
    assert after.song_id.tolist() == [0, 0, 0, 0, 1]
    assert after.file_id.tolist() == [0, 0, 0, 1, 2]
    assert after.bar_index.tolist() == [1, 2, 6, 9, 1]
    assert (after.songs, after.files, after.kit) == (corpus.songs, corpus.files, corpus.kit)
    assert before.dtype == after.words.dtype == np.uint16


def test_pairs_of_chosen_later_bars_keep_the_bars_before_them():
    corpus = _in_a_row((0, 0, 0, 7), (0, 0, 1, 8), (0, 0, 2, 7), (0, 0, 3, 8), (1, 1, 0, 7), (1, 1, 1, 9))
    before, after, chance = corpus.pairs(corpus.words[:, 0] != 7)
    assert before[:, 3].tolist() == [7, 7]
    assert after.words[:, 3].tolist() == [8, 9]
    assert chance.tolist() == pytest.approx([1 / 2, 1 / 2])


def test_pairs_differ_by_any_step():
    corpus = _in_a_row(*((0, 0, bar, 7) for bar in range(6)))
    words = corpus.words
    words[4, 15] = 6
    corpus = Corpus.of(words, corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, GM9)
    before, after, _ = corpus.pairs()
    assert before[:, 15].tolist() == [7, 7, 6]
    assert after.words[:, 15].tolist() == [7, 6, 7]


def test_pairs_are_the_slow_loop():
    rng = np.random.default_rng(0)
    n = 400
    origin = np.sort(rng.integers(0, 12, n))
    bar = np.concatenate([np.cumsum(rng.integers(1, 3, (origin == i).sum())) for i in range(12)])
    corpus = _in_a_row(*zip(origin // 2, origin, bar, rng.integers(1, 4, n), strict=True), songs=6)
    follows = [row for row in range(1, n) if (origin[row], bar[row]) == (origin[row - 1], bar[row - 1] + 1)]
    assert corpus.followers().tolist() == follows
    found, seen = [], set()
    for row in range(1, n):
        pair = (corpus.song_id[row], corpus.words[row - 1].tobytes(), corpus.words[row].tobytes())
        if origin[row] == origin[row - 1] and bar[row] == bar[row - 1] + 1 and pair not in seen:
            seen.add(pair)
            found.append(row)
    before, after, _ = corpus.pairs()
    assert 40 < len(found) < n
    _assert_same(after, corpus.only(np.array(found)))
    np.testing.assert_array_equal(before, corpus.words[np.array(found) - 1])


def test_pairs_of_next_to_nothing():
    for corpus in (_words(1), _words(4).only(np.zeros(4, bool)), _words(6)):  # whose files skip every other bar
        assert corpus.followers().shape == (0,)
        before, after, _ = corpus.pairs()
        assert before.shape == (0, 16)
        assert len(after) == 0
        assert after.steps == 16


# -- prepare: several sources ---------------------------------------------------------------------


def test_several_sources(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    _song(first / "a.mid", {0: KICK}, {0: KICK}, {1: KICK})
    _song(second / "a.mid", {0: KICK})
    _song(second / "b.mid", {2: KICK}, {2: KICK})
    single = _song(tmp_path / "single.mid", {5: HAT})
    corpus, counts = _prepare(first, second, single)
    assert corpus.files == ("first/a.mid", "second/a.mid", "second/b.mid", "single.mid")
    assert corpus.songs == ("first/a.mid", "second/a.mid", "second/b.mid", "single.mid")
    assert corpus.song_id.tolist() == [0, 0, 0, 1, 2, 2, 3]
    assert corpus.file_id.tolist() == [0, 0, 0, 1, 2, 2, 3]
    assert [(c.n_files, c.n_songs, c.n_bars, c.n_distinct, c.n_song_bars) for c in counts] == [
        (1, 1, 3, 2, 2),
        (2, 2, 3, 2, 2),
        (1, 1, 1, 1, 1),
    ]


def test_file_names_that_are_no_utf8(tmp_path):
    folder = tmp_path / "in"
    good = _song(folder / "good.mid", {0: KICK})
    odd = folder / b"caf\xe9.mid".decode("utf-8", "surrogateescape")
    try:
        odd.write_bytes(good.read_bytes())
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (folder / b"\xe9mpty.mid".decode("utf-8", "surrogateescape")).write_bytes(b"")
    corpus, counts = _prepare(folder)
    path = tmp_path / "bars.npz"
    save_corpus(path, corpus)
    _assert_same(load_corpus(path), corpus)
    assert sum(len(corpus.split(name)) for name in ("train", "valid", "test")) == 2
    write_dropped(tmp_path / "dropped.csv", counts)
    assert (tmp_path / "dropped.csv").read_bytes().count(b"\n") == 2


# -- tables --------------------------------------------------------------------------------------


def test_counts_table():
    counts = [
        SourceCount(
            "some/where/lakh",
            n_files=1475,
            n_files_with_bars=1401,
            n_bars=12000,
            n_distinct=700,
            n_songs=229,
            n_song_bars=800,
            n_onsets=1000,
            n_onsets_outside=271,
            grids=Counter({16: 9000, 12: 2500, 24: 500}),
            n_off_grid=77,
            n_merged=60,
            roles=Counter(groove=9000, variation=2400, fill=600),
            none=Counter({"no drums": 32, "other time signature": 42}),
        ),
        SourceCount("nothing"),
    ]
    lines = counts_table(counts).splitlines()
    assert lines[0].startswith(
        "| source | files | with bars | songs | bars | on 16 | on 12 | on 32 | on 24 | on none |"
    )
    assert lines[2:] == [
        "| lakh | 1,475 | 1,401 | 229 | 12,000 | 9,000 | 2,500 | 0 | 500 | 77 | 700 | 15.0 | 75% | 20% | 5% | 6.0% "
        "| 27.1% | 42 other time signature, 32 no drums |",
        "| nothing | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0.0 | 0% | 0% | 0% | 0.0% | 0.0% | – |",
    ]
    assert {line.count("|") for line in lines} == {19}


def test_write_dropped(tmp_path):
    path = tmp_path / "dropped.csv"
    first = SourceCount("a", named=[("a/x.mid", "empty: no bytes"), ('a/"y", z.mid', "no drums")])
    write_dropped(path, [first, SourceCount("b", named=[("b/é.mid", "unreadable")])])
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert rows == [
        ["file", "reason"],
        ["a/x.mid", "empty: no bytes"],
        ['a/"y", z.mid', "no drums"],
        ["b/é.mid", "unreadable"],
    ]


# -- real data -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lakh(shared):
    return read_songs([shared / "lakh"], GM9, 16, workers=1)


def test_lakh(lakh, shared):
    words, (count,) = lakh
    assert (count.n_files, count.n_files_with_bars, count.n_songs) == (2424, 2350, 1056)
    assert count.none == {"other time signature": 41, "no drums": 32, "unreadable": 1}
    # a reader that loses fewer notes may find a bar or two more
    assert abs(len(words) - 211_916) < 10
    assert abs(count.n_distinct - 24_938) < 20
    assert abs(count.n_song_bars - 29_224) < 20
    assert 0.25 < count.n_onsets_outside / count.n_onsets < 0.27
    with open(shared / "lakh" / "manifest.csv", newline="", encoding="utf-8") as file:
        songs = {row["md5"]: row["song"] for row in csv.DictReader(file)}
    assert all(songs[Path(name).stem] == song for name, song in _songs_of(words).items())


def test_lakh_splits_by_song(lakh):
    corpus, _ = lakh
    songs = {
        name: {corpus.songs[i] for i in corpus.split(name).song_id.tolist()} for name in ("train", "valid", "test")
    }
    assert sum(map(len, songs.values())) == len(set().union(*songs.values())) == 1056
    assert len(songs["train"]) > 700
    assert len(corpus.distinct()) == lakh[1][0].n_song_bars


def test_groove(shared):
    corpus, (count,) = _prepare(shared / "groove")
    assert (count.n_files, count.n_files_with_bars, count.n_songs) == (1021, 1009, 1009)
    assert count.none == {"other time signature": 12}
    assert abs(len(corpus) - 19_592) < 10
    assert abs(count.n_distinct - 16_556) < 10
    assert count.n_onsets_outside == 0
    assert "drummer1/session1/1" in corpus.songs


def test_lpd(shared):
    words, (count,) = _prepare(shared / "lpd")
    assert (count.n_files, count.n_files_with_bars, count.n_songs) == (102, 102, 102)
    assert (len(words), count.n_distinct, count.n_song_bars) == (9392, 1552, 2151)
    assert (count.n_onsets, count.n_onsets_outside) == (182_343, 49_042)


def test_a_file_with_a_damaged_end_costs_no_bar_of_another(tmp_path):
    """4/4 set anew after 2^28 ticks at one tick a beat: its bars have numbers that no column holds."""
    _song(tmp_path / "in" / "good.mid", {0: KICK})
    time_signature, drum = b"\xff\x58\x04%b\x18\x08", b"\x00\x99\x24\x40\x01\x89\x24\x40"
    far = b"\x00" + time_signature % b"\x01\x07" + b"\xff\xff\xff\x7f" + time_signature % b"\x04\x02" + drum
    track = far + b"\x00\xff\x2f\x00"
    midi = b"MThd\0\0\0\x06\0\0\0\x01\0\x01MTrk" + len(track).to_bytes(4, "big") + track
    (tmp_path / "in" / "evil.mid").write_bytes(midi)
    corpus, counts = _prepare(tmp_path / "in")
    assert corpus.files == ("in/good.mid",)
    assert counts[0].none["other time signature"] == 1
    save_corpus(tmp_path / "w.npz", corpus)
    assert len(load_corpus(tmp_path / "w.npz")) == len(corpus)


def test_words_that_could_not_be_read_back_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="bar_index does not fit"):
        save_corpus(tmp_path / "w.npz", replace(_words(), bar_index=np.array([0, 1, -1])))
    assert not (tmp_path / "w.npz").exists()
