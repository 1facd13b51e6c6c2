"""Songs in, one corpus out."""

import csv
import io
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import mido
import numpy as np
import pytest

from rhythmgan import songs
from rhythmgan.bars import words_to_bars, words_to_text
from rhythmgan.data import Corpus, load_corpus, load_patterns, patterns_path, save_corpus, split_of
from rhythmgan.kit import GM9, JAKI5, KITS
from rhythmgan.midi import write_midi
from rhythmgan.songs import SourceCount, counts_table, prepare, write_dropped

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
    return Corpus(**columns | changes)


def _assert_same(found, expected):
    for name in ("words", "song_id", "file_id", "bar_index"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype
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


def _prepare(*sources, **options):
    return prepare(sources, workers=1, **options)


def _songs_of(corpus):
    """The song of each file, by the file's name."""
    return {
        corpus.files[origin].partition("/")[2]: corpus.songs[song]
        for origin, song in zip(corpus.file_id.tolist(), corpus.song_id.tolist(), strict=True)
    }


# -- corpus ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
@pytest.mark.parametrize("steps", [12, 16, 48])
def test_words_file_round_trip(tmp_path, kit, steps):
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


@pytest.mark.parametrize("member", ["format", "words", "song_id", "file_id", "bar_index", "songs", "files", "kit"])
def test_missing_members_of_a_words_file(tmp_path, member):
    message = _refusal(_damaged(tmp_path / "bars.npz", **{member: None}))
    assert member in message
    assert "prepare" in message


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"format": np.int64(1)}, "of version 1, this release reads version 2; prepare it again"),
        ({"format": np.int64(0)}, "of version 0"),
        ({"kit": np.array("tr808")}, "no kit is named 'tr808'"),
        ({"kit": np.array("jaki5")}, "a word is 64; kit jaki5 has 32"),
        ({"words": np.full((4, 16), 512, np.uint16)}, "a word is 512; kit gm9 has 512"),
        ({"words": np.zeros((4, 15), np.uint16)}, "not 15"),
        ({"words": np.zeros((4, 16))}, "must be"),
        ({"words": np.zeros((4, 16), np.int32)}, "must be"),
        ({"words": np.zeros(4, np.uint16)}, "must be"),
        ({"words": np.zeros((0, 16), np.uint16)}, "no bars"),
        ({"words": np.zeros((5, 16), np.uint16)}, "does not fit 5 bars"),
        ({"song_id": np.array([0, 0, 0, 2])}, "song_id does not fit 4 bars and 2 names"),
        ({"song_id": np.array([0, 0, 0, -1])}, "song_id does not fit"),
        ({"song_id": np.zeros(3, int)}, "song_id does not fit"),
        ({"song_id": np.zeros(4)}, "song_id does not fit"),
        ({"file_id": np.array([0, 0, 1, 2])}, "file_id does not fit"),
        ({"files": np.array([], np.str_)}, "file_id does not fit"),
        ({"bar_index": np.array([0, 1, 2, -1])}, "bar_index does not fit"),
        ({"bar_index": np.array([0, 1, 2, 2**31])}, "bar_index does not fit"),
    ],
)
def test_words_files_that_do_not_fit(tmp_path, members, message):
    assert message in _refusal(_damaged(tmp_path / "bars.npz", **members))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"format": np.arange(3)}, id="format"),
        pytest.param({"words": np.uint16(3)}, id="words"),
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


@pytest.mark.parametrize("member", ["format", "words", "song_id", "file_id", "bar_index", "songs", "files", "kit"])
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
def test_every_beginning_of_a_words_file(tmp_path):
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
from rhythmgan.data import load_corpus
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


def test_files_that_are_no_words_file(tmp_path):
    path = tmp_path / "bars.npz"
    path.write_text("Dear diary")
    _refusal(path)
    path.write_bytes(b"")
    _refusal(path)
    np.savez(path, a=np.arange(3))
    _refusal(path)
    with pytest.raises(FileNotFoundError):
        load_corpus(tmp_path / "nothing.npz")
    with pytest.raises(IsADirectoryError):
        load_corpus(tmp_path)


def test_a_lone_array_is_no_words_file(tmp_path):
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


def _pattern(word, n=16):
    return " ".join([f"0b{word:09b}"] * n) + " BAR\n"


def test_a_text_of_bars_is_a_words_file_too(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# one\n" + _pattern(3) + "# triplets\n" + _pattern(5, 12) + "\n# two\n" + _pattern(7))
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
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        load_corpus(path)
    assert str(path) in str(refused.value)


def test_line_breaks_mean_nothing_in_a_text(tmp_path):
    """As ``bars.text_to_words`` says: two bars of one line are two, one bar of two lines is one."""
    path = tmp_path / "mine.txt"
    path.write_text("# two\n" + _pattern(3).strip() + " " + _pattern(5))
    assert load_corpus(path).words.tolist() == [[3] * 16, [5] * 16]
    path.write_text("# one\n" + _pattern(3).replace(" ", "\n"))
    assert load_corpus(path).words.tolist() == [[3] * 16]


def test_what_we_write_as_text_is_read(tmp_path):
    corpus = _words(5)
    path = tmp_path / "mine.txt"
    path.write_text(words_to_text(corpus.words, 9))
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
    (folder / "e.midi").write_text("Dear diary")
    (folder / "f.MID").symlink_to(tmp_path / "nowhere.mid")
    (folder / "notes.txt").write_text("not read")
    (folder / ".hidden.mid").write_text("not read")
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
    # the congas gave no bars, so their onsets are not in the share
    assert (count.n_onsets, count.n_onsets_outside) == (4, 1)


def test_a_broken_lpd_file_costs_no_other(save_lpd, tmp_path):
    save_lpd("in/deep.npz", [(0, 36, 90)], info=b"[" * 100_000)
    save_lpd("in/infinite.npz", [(0, 36, 90)], info=b'{"0": {"is_drum": true}, "resolution": Infinity}')
    _song(tmp_path / "in" / "good.mid", {0: KICK})
    corpus, (count,) = _prepare(tmp_path / "in")
    assert corpus.files == ("in/good.mid",)
    assert count.none == {"unreadable": 2}


def test_nothing_found(tmp_path):
    with pytest.raises(ValueError, match=r"no \.mid, \.midi or \.npz file in .*"):
        _prepare(tmp_path)
    with pytest.raises(FileNotFoundError) as missing:
        _prepare(tmp_path / "nowhere")
    assert missing.value.filename == str(tmp_path / "nowhere")
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "b.mid").write_text("x")
    (tmp_path / "c.mid").write_text("y")
    with pytest.raises(ValueError, match="no bars in 3 files: 1 empty, 2 unreadable"):
        _prepare(tmp_path)


def test_progress(tmp_path):
    for i in range(5):
        _song(tmp_path / f"{i}.mid", {i: KICK})
    reported = []
    _prepare(tmp_path, progress=lambda done, total: reported.append((done, total)))
    assert reported == [(i, 5) for i in range(1, 6)]


def _many(tmp_path, save_lpd, n):
    for i in range(n):
        if i % 3:
            _song(tmp_path / "in" / f"{i % 7}" / f"{i}.mid", {i % 16: KICK + i}, {3: SNARE}, {3: SNARE})
        else:
            save_lpd(f"in/folder {i % 5}/{i}.npz", [(i % 96, 36, 90), (90 + i % 5, 54 - i % 8, 90)])
    (tmp_path / "in" / "broken.mid").write_text("Dear diary")
    return tmp_path / "in"


def test_the_pool_gives_what_one_process_gives(tmp_path, save_lpd):
    folder = _many(tmp_path, save_lpd, 140)
    reported = []
    alone = prepare([folder], workers=1)
    pooled = prepare([folder], workers=2, progress=lambda *done: reported.append(done))
    _assert_same(pooled[0], alone[0])
    assert pooled[1] == alone[1]
    assert alone[1][0].n_files == 141
    assert alone[1][0].none == {"unreadable": 1}
    assert reported == [(i, 141) for i in range(1, 142)]


def test_a_file_that_kills_its_reader_costs_only_itself(tmp_path, save_lpd, monkeypatch):
    """A pool whose workers die at one file, without the processes."""
    folder = _many(tmp_path, save_lpd, 140)
    killer = str(folder / "3" / "52.mid")

    class Pool:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

        def submit(self, function, paths, *arguments):
            future = Future()
            if killer in paths:
                future.set_exception(BrokenProcessPool("a child process terminated abruptly"))
            else:
                future.set_result(function(paths, *arguments))
            return future

    alone, _ = prepare([folder], workers=1)
    monkeypatch.setattr(songs, "_pool", lambda workers: Pool())
    corpus, (count,) = prepare([folder], workers=2)
    assert (killer, "unreadable: it crashed its reader") in count.named
    assert count.none == {"unreadable": 2}
    assert corpus.files == tuple(name for name in alone.files if name != "in/3/52.mid")
    assert len(corpus) == len(alone) - 3


# -- pairs of neighbouring bars ------------------------------------------------------------------


def _in_a_row(*bars, songs=2):
    """Words of (song, file, place in the file, the word that fills the bar)."""
    song, origin, bar, word = (np.array(column) for column in zip(*bars, strict=True))
    return Corpus(
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
    before, after = corpus.pairs()
    assert before.shape == (5, 16)
    assert before[:, 3].tolist() == [7, 8, 9, 5, 7]
    assert after.words[:, 3].tolist() == [8, 7, 9, 7, 8]
    assert after.song_id.tolist() == [0, 0, 0, 0, 1]
    assert after.file_id.tolist() == [0, 0, 0, 1, 2]
    assert after.bar_index.tolist() == [1, 2, 6, 9, 1]
    assert (after.songs, after.files, after.kit) == (corpus.songs, corpus.files, corpus.kit)
    assert before.dtype == after.words.dtype == np.uint16


def test_pairs_differ_by_any_step():
    corpus = _in_a_row(*((0, 0, bar, 7) for bar in range(6)))
    corpus.words[4, 15] = 6
    before, after = corpus.pairs()
    assert before[:, 15].tolist() == [7, 7, 6]
    assert after.words[:, 15].tolist() == [7, 6, 7]


def test_pairs_are_the_slow_loop():
    rng = np.random.default_rng(0)
    n = 400
    origin = np.sort(rng.integers(0, 12, n))
    bar = np.concatenate([np.cumsum(rng.integers(1, 3, (origin == i).sum())) for i in range(12)])
    corpus = _in_a_row(*zip(origin // 2, origin, bar, rng.integers(1, 4, n), strict=True), songs=6)
    found, seen = [], set()
    for row in range(1, n):
        pair = (corpus.song_id[row], corpus.words[row - 1].tobytes(), corpus.words[row].tobytes())
        if origin[row] == origin[row - 1] and bar[row] == bar[row - 1] + 1 and pair not in seen:
            seen.add(pair)
            found.append(row)
    before, after = corpus.pairs()
    assert 40 < len(found) < n
    _assert_same(after, corpus.only(np.array(found)))
    np.testing.assert_array_equal(before, corpus.words[np.array(found) - 1])


def test_pairs_of_next_to_nothing():
    for corpus in (_words(1), _words(4).only(np.zeros(4, bool)), _words(6)):  # whose files skip every other bar
        before, after = corpus.pairs()
        assert before.shape == (0, 16)
        assert len(after) == 0
        assert after.steps == 16


# -- prepare: what a song is ---------------------------------------------------------------------


def test_songs_by_folder(tmp_path):
    root = tmp_path / "beats"
    for name in ("top.mid", "other.mid", "one/a.mid", "one/b.mid", "two/deep/c.mid", "a/d.mid", "F/e.mid", "ab/f.mid"):
        _song(root / name, {0: KICK})
    corpus, (count,) = _prepare(root)
    assert _songs_of(corpus) == {
        "top.mid": "beats/top.mid",
        "other.mid": "beats/other.mid",
        "one/a.mid": "beats/one",
        "one/b.mid": "beats/one",
        "two/deep/c.mid": "beats/two/deep",
        # one-letter folders are the Lakh MIDI Dataset's buckets: they say nothing of the song
        "a/d.mid": "beats/a/d.mid",
        "F/e.mid": "beats/F/e.mid",
        "ab/f.mid": "beats/ab",
    }
    assert count.n_songs == 7
    assert corpus.songs == tuple(sorted(corpus.songs))
    # a fixed order: a folder's files, then its folders
    assert [name.removeprefix("beats/") for name in corpus.files] == [
        *("other.mid", "top.mid", "F/e.mid", "a/d.mid", "ab/f.mid", "one/a.mid", "one/b.mid", "two/deep/c.mid")
    ]


def test_songs_are_named_alike_however_the_source_is_written(tmp_path, monkeypatch):
    """A song's split hangs on its name."""
    root = tmp_path / "beats"
    for name in ("top.mid", "one/a.mid"):
        _song(root / name, {0: KICK})
    (root / "inner").mkdir()
    songs = _prepare(root)[0].songs
    assert songs == ("beats/one", "beats/top.mid")
    monkeypatch.chdir(root)
    assert _prepare(".")[0].songs == songs
    monkeypatch.chdir(root / "inner")
    assert _prepare("..")[0].songs == songs


def test_the_lakh_pianoroll_datasets_folders(tmp_path, save_lpd):
    save_lpd("lpd_5_cleansed/A/B/C/TRABCDE128F425EECA/x.npz", [(0, 36, 90)])
    save_lpd("lpd_5_cleansed/A/B/C/TRABCDE128F425EECA/y.npz", [(0, 36, 90)])
    corpus, _ = _prepare(tmp_path / "lpd_5_cleansed")
    assert corpus.songs == ("TRABCDE128F425EECA",)
    # the same song, hence the same split, from wherever the tree is read
    assert _prepare(tmp_path)[0].songs == corpus.songs
    assert _prepare(tmp_path / "lpd_5_cleansed" / "A" / "B")[0].songs == corpus.songs
    assert corpus.files == tuple(f"lpd_5_cleansed/A/B/C/TRABCDE128F425EECA/{name}.npz" for name in "xy")


@pytest.mark.parametrize(
    "header",
    ["md5,song", "song,md5", "file,song", "md5,id", "other,md5,song"],
)
@pytest.mark.parametrize("found", ["manifest.csv", "info.csv", None])
def test_songs_by_manifest(tmp_path, header, found):
    root = tmp_path / "lmd"
    for name in ("a/a1", "b/b2", "b/b3"):
        _song(root / f"{name}.mid", {0: KICK})
    names = header.split(",")
    rows = [{"md5": "a1", "file": "a1", "song": "Yesterday", "id": "Yesterday", "other": "x"}]
    rows += [{"md5": "b3", "file": "b3", "song": "Yesterday", "id": "Yesterday", "other": ""}]
    rows += [{"md5": "none", "file": "none", "song": "Nobody", "id": "Nobody", "other": "y"}]
    text = "\n".join([header, *(",".join(row[name] for name in names) for row in rows)]) + "\n"
    path = (root / found) if found else tmp_path / "songs.csv"
    path.write_text(text)
    words, (count,) = _prepare(root, manifest=None if found else path)
    assert _songs_of(words) == {"a/a1.mid": "Yesterday", "b/b2.mid": "lmd/b/b2.mid", "b/b3.mid": "Yesterday"}
    assert count.n_songs == 2
    assert (count.n_bars, count.n_distinct, count.n_song_bars) == (3, 1, 2)


def test_a_groove_info_file(tmp_path):
    root = tmp_path / "groove"
    for name in ("d1/s1/1_funk.mid", "d1/s1/2_rock.mid", "d2/s1/1_funk.mid"):
        _song(root / name, {0: KICK})
    (root / "info.csv").write_text(
        "drummer,session,id,style,bpm,midi_filename,audio_filename\n"
        "d1,d1/s1,d1/s1/1,funk,80,d1/s1/1_funk.mid,d1/s1/1_funk.wav\n"
        "d1,d1/s1,d1/s1/2,rock,116,d1/s1/2_rock.mid,\n"
        "d2,d2/s1,d2/s1/1,funk,90,d2/s1/1_funk.mid,x.wav\n"
    )
    words, _ = _prepare(root)
    assert _songs_of(words) == {
        "d1/s1/1_funk.mid": "d1/s1/1",
        "d1/s1/2_rock.mid": "d1/s1/2",
        "d2/s1/1_funk.mid": "d2/s1/1",
    }


@pytest.mark.parametrize("text", ["", "name,title\na,b\n", "md5\nx\n", "song\nx\n"])
def test_a_manifest_without_the_columns(tmp_path, text):
    _song(tmp_path / "in" / "a.mid", {0: KICK})
    manifest = tmp_path / "songs.csv"
    manifest.write_text(text)
    with pytest.raises(ValueError, match=r"songs\.csv: not a manifest: expected a column md5, file") as refused:
        _prepare(tmp_path / "in", manifest=manifest)
    assert "\n" not in str(refused.value)


def test_a_manifest_saved_by_a_spreadsheet(tmp_path):
    """Excel puts a byte order mark before the first column's name."""
    _song(tmp_path / "in" / "a.mid", {0: KICK})
    manifest = tmp_path / "songs.csv"
    manifest.write_bytes(b"\xef\xbb\xbfmd5,song\r\na,Yesterday\r\n")
    corpus, _ = _prepare(tmp_path / "in", manifest=manifest)
    assert corpus.songs == ("Yesterday",)


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
            none=Counter({"no drums": 32, "other time signature": 42}),
        ),
        SourceCount("nothing"),
    ]
    lines = counts_table(counts).splitlines()
    assert lines[0].startswith("| source | files | with bars | songs | bars | distinct | repeats |")
    assert lines[2:] == [
        "| lakh | 1,475 | 1,401 | 229 | 12,000 | 700 | 15.0 | 27.1% | 42 other time signature, 32 no drums |",
        "| nothing | 0 | 0 | 0 | 0 | 0 | 0.0 | 0.0% | – |",
    ]
    assert {line.count("|") for line in lines} == {10}


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
    return prepare([shared / "lakh"], workers=1)


def test_lakh(lakh, shared):
    words, (count,) = lakh
    assert (count.n_files, count.n_files_with_bars, count.n_songs) == (2424, 2350, 1056)
    assert count.none == {"other time signature": 41, "no drums": 32, "unreadable": 1}
    # a reader that loses fewer notes may find a bar or two more
    assert abs(len(words) - 211_538) < 60
    assert abs(count.n_distinct - 24_353) < 20
    assert abs(count.n_song_bars - 28_631) < 20
    assert 0.25 < count.n_onsets_outside / count.n_onsets < 0.27
    with open(shared / "lakh" / "manifest.csv", newline="") as file:
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


def test_folders_of_one_name_are_two_sources(tmp_path):
    for name in "AB":
        _song(tmp_path / name / "drums" / "x.mid", {0: KICK})
    corpus, _ = _prepare(tmp_path / "A" / "drums", tmp_path / "B" / "drums")
    assert corpus.songs == ("A/drums/x.mid", "B/drums/x.mid")
    assert corpus.files == corpus.songs
    with pytest.raises(ValueError, match="named twice"):
        _prepare(tmp_path / "A", tmp_path / "A" / "drums" / "..")


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
        save_corpus(tmp_path / "w.npz", _words(bar_index=np.array([0, 1, -1])))
    assert not (tmp_path / "w.npz").exists()


def test_an_unrelated_table_stops_nothing(tmp_path, caplog):
    _song(tmp_path / "in" / "a.mid", {0: KICK})
    (tmp_path / "in" / "info.csv").write_text("title,year\nx,1999\n")
    corpus, _ = _prepare(tmp_path / "in")
    assert corpus.songs == ("in/a.mid",)
    assert "info.csv: not a manifest" in caplog.text


def test_linked_folders_are_read_once(tmp_path):
    _song(tmp_path / "real" / "a.mid", {0: KICK})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "in")
    assert _prepare(tmp_path / "in")[0].files == ("in/link/a.mid",)
