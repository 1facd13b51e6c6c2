"""The corpus on disk: every grid, every onset, mapped into memory."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.corpus_file import corpus_counts, corpus_grids, load_corpus, offset_bytes, save_corpus
from rhythmgan.data import Corpus, Playing
from rhythmgan.kit import GM9, GM12, JAKI5, RYTHMGAN7
from rhythmgan.load import load_bars
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance
from rhythmgan.songs.preparation import prepare

KICK, SNARE, HAT, SHAKER, CONGA, BELL = 1 << 11, 1 << 10, 1 << 9, 4, 2, 1


def _corpus(words, song, file=None, bar=None, kit=GM12, **changes):
    """Bars whose first step is a word each."""
    rows = np.zeros((len(words), 16), np.uint16)
    rows[:, 0] = words
    song = np.array(song)
    found = Corpus.of(
        rows,
        song,
        song if file is None else np.array(file),
        np.arange(len(words)) if bar is None else np.array(bar),
        tuple("abcdefgh"[: max(song) + 1]),
        tuple(f"{i}.mid" for i in range((max(song) if file is None else max(file)) + 1)),
        kit,
    )
    return replace(found, **changes)


def _first_steps(corpus):
    return corpus.words[:, 0].tolist()


# -- what a bar weighs -----------------------------------------------------------------------------


def test_a_song_weighs_as_much_as_another_and_in_it_each_bar_as_often_as_it_is_played():
    corpus = _corpus([KICK, KICK, KICK, SNARE, HAT], [0, 0, 0, 0, 1])
    assert corpus.plays.tolist() == [3, 3, 3, 1, 1]
    np.testing.assert_allclose(corpus.weights(), [1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2])
    distinct, weights = corpus.distinct_with_weights()
    assert _first_steps(distinct) == [KICK, SNARE, HAT]
    np.testing.assert_allclose(weights, [3 / 8, 1 / 8, 1 / 2])
    # the same of a part of the bars: songs without a bar in it count for nothing
    part = corpus.only(np.array([0, 1, 3]))
    np.testing.assert_allclose(part.weights(), [1 / 3] * 3)
    assert part.plays.tolist() == [3, 3, 1]


def test_bars_drawn_as_they_are_played():
    corpus = _corpus([KICK, KICK, KICK, SNARE, HAT], [0, 0, 0, 0, 1])
    drawn = corpus.as_played(20_000, seed=3)
    assert len(drawn) == 20_000
    shares = [np.mean(drawn.words[:, 0] == word) for word in (KICK, SNARE, HAT)]
    np.testing.assert_allclose(shares, [3 / 8, 1 / 8, 1 / 2], atol=0.015)
    np.testing.assert_array_equal(drawn.words, corpus.as_played(20_000, seed=3).words)
    assert (drawn.words != corpus.as_played(20_000, seed=4).words).any()
    with pytest.raises(ValueError, match="no bars to draw"):
        corpus.only(np.zeros(5, bool)).as_played(3)


def test_roles_and_styles():
    corpus = _corpus([KICK, SNARE, HAT], [0, 0, 1], role=np.array([0, 2, 1], np.uint8))
    corpus = replace(corpus, styles=("unknown", "funk"), file_style=np.array([0, 1], np.int16))
    assert _first_steps(corpus.with_role("fill")) == [SNARE]
    assert _first_steps(corpus.with_role("variation")) == [HAT]
    assert corpus.with_role("any") is corpus
    assert _first_steps(corpus.with_style("funk")) == [HAT]
    assert _first_steps(corpus.with_style("unknown")) == [KICK, SNARE]
    with pytest.raises(ValueError, match="a role is one of groove, variation, fill, any; not 'solo'"):
        corpus.with_role("solo")
    with pytest.raises(ValueError, match="no style of this corpus is called 'polka'; there are unknown, funk"):
        corpus.with_style("polka")


# -- other kits ------------------------------------------------------------------------------------


def test_folding_by_hand():
    corpus = _corpus([KICK + SHAKER, KICK, SHAKER, KICK + CONGA, BELL], [0, 0, 0, 1, 1])
    folded = corpus.folded(GM9)
    assert folded.kit is GM9
    # the shaker's and the bell's bars have nothing left; of one song two bars are now one
    assert _first_steps(folded) == [256, 256, 256]
    assert folded.song_id.tolist() == [0, 0, 1]
    assert folded.plays.tolist() == [2, 2, 1]
    assert folded.bar_index.tolist() == [0, 1, 3]
    assert len(folded.distinct_words) == 2
    # rythmgan7's percussion takes all three
    assert len(corpus.folded(RYTHMGAN7)) == 5
    assert corpus.folded(GM12) is corpus
    with pytest.raises(ValueError, match="jaki5"):
        corpus.folded(JAKI5).folded(GM12)


def test_a_corpus_is_folded_as_it_is_read(tmp_path):
    path = tmp_path / "corpus.npz"
    save_corpus(path, _corpus([KICK + SHAKER, SHAKER], [0, 0]))
    assert _first_steps(load_corpus(path)) == [KICK + SHAKER, SHAKER]
    assert _first_steps(load_corpus(path, 16, GM9)) == [256]
    save_corpus(path, _corpus([SHAKER], [0]))
    with pytest.raises(ValueError, match=r"corpus\.npz: it has no bars of 16 steps in kit gm9"):
        load_corpus(path, kit=GM9)
    save_corpus(path, _corpus([1], [0], kit=JAKI5))
    with pytest.raises(ValueError, match=r"corpus\.npz: .*jaki5.*gm12"):
        load_corpus(path, kit=GM12)


# -- grids -----------------------------------------------------------------------------------------


def test_grids_of_one_file(tmp_path):
    path = tmp_path / "corpus.npz"
    straight = _corpus([KICK, SNARE, HAT], [0, 0, 1])
    words = np.full((2, 12), KICK, np.uint16)
    words[1, 3] = SNARE
    column = np.zeros(2, int)
    shuffled = Corpus.of(words, column, column, np.array([7, 8]), straight.songs, straight.files, GM12)
    save_corpus(path, straight, shuffled, counts=[{"source": "x", "n_files": 3}])
    assert corpus_grids(path) == {12: 2, 16: 3}
    assert corpus_counts(path) == [{"source": "x", "n_files": 3}]
    assert load_corpus(path).steps == 16
    found = load_corpus(path, 12)
    np.testing.assert_array_equal(found.words, words)
    assert found.bar_index.tolist() == [7, 8]
    with pytest.raises(ValueError, match="no bars of 24 steps; there are bars of 12, 16"):
        load_corpus(path, 24)
    with pytest.raises(ValueError, match="not 17"):
        load_corpus(path, 17)
    with pytest.raises(ValueError, match="one corpus for each grid"):
        save_corpus(path, straight, straight)
    with pytest.raises(ValueError, match="same songs, files and kit"):
        save_corpus(path, straight, replace(shuffled, songs=("x", "y")))


def test_a_part_of_a_corpus_keeps_what_its_bars_need(tmp_path):
    path = tmp_path / "corpus.npz"
    save_corpus(path, _corpus([KICK, SNARE, KICK, HAT], [0, 0, 0, 1]).only(np.array([1, 3])))
    found = load_corpus(path)
    assert _first_steps(found) == [SNARE, HAT]
    assert len(found.distinct_words) == 2
    assert found.song_id.tolist() == [0, 1]


# -- how bars are played ---------------------------------------------------------------------------


def _played(shape, seed):
    random = np.random.default_rng(seed)
    bars = random.random(shape) < 0.2
    bars[:, 0, 0] = True
    offsets = random.uniform(-0.1, 0.1, shape)
    offsets[0, 0] = np.abs(offsets[0, 0])  # nothing sounds before a loop begins
    return Performance.of(bars, GM12, random.integers(1, 128, shape), offsets)


@pytest.mark.parametrize("steps", [16, 12, 32, 24])
def test_file_to_corpus_to_file(tmp_path, steps):
    """Every kept onset returns within a tick at 480 ticks a beat, and with its velocity."""
    loop = _played((6, steps, 12), steps)
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", loop)
    songs = prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    heard = read_midi(tmp_path / "in" / "a.mid")
    found: list[tuple[float, int, int]] = []
    for grid in corpus_grids(tmp_path / "corpus.npz"):
        corpus = load_corpus(tmp_path / "corpus.npz", grid)
        played = corpus.performance()
        bar, step, part = np.nonzero(played.bars)
        beat = corpus.bar_index[bar] * 4 + (step + played.offsets[played.bars]) * 4 / grid
        found += zip(beat, GM12.pitches[part], played.velocities[played.bars], strict=True)
    in_bars = set(np.floor(np.array([beat for beat, *_ in found]) / 4 + 1 / 64).astype(int).tolist())
    assert songs[0].n_bars >= 1
    assert len(in_bars) >= songs[0].n_bars
    expected = {
        (round(b * 480), int(p), int(v)) for b, p, v in zip(heard.beat, heard.pitch, heard.velocity, strict=True)
    }
    for beat, pitch, velocity in found:
        tick = beat * 480
        assert any((near, pitch, velocity) in expected for near in range(int(tick) - 1, int(tick) + 3)), (beat, pitch)


def test_playing_by_hand(tmp_path):
    """Two bars of 3 and 1 onsets; rows in any order, and folded."""
    words = np.zeros((2, 16), np.uint16)
    words[0, 0], words[0, 5], words[1, 2] = KICK + SHAKER, SNARE, HAT
    base = Corpus.of(words, np.zeros(2, int), np.zeros(2, int), np.arange(2), ("a",), ("a.mid",), GM12)
    playing = Playing(
        GM12,
        base.distinct_words,
        base.bar_id,
        np.array([0, 4]),
        np.array([101, 55, 90, 7], np.uint8),
        np.array([-128, 127, 64, -1], np.int8),
    )
    corpus = replace(base, playing=playing, rows=np.arange(2))
    path = tmp_path / "corpus.npz"
    save_corpus(path, corpus)
    for each in (corpus, load_corpus(path)):
        played = each.performance(np.array([1, 0]))
        assert played.velocities[0, 2, 2] == 7
        assert played.offsets[0, 2, 2] == np.float32(-1 / 256)
        assert [played.velocities[1, 0, 0], played.velocities[1, 0, 9], played.velocities[1, 5, 1]] == [101, 55, 90]
        assert played.offsets[1, 0, 0] == -0.5
        assert played.offsets[1, 5, 1] == 0.25
        folded = each.folded(GM9)
        assert folded.performance().velocities.sum() == 101 + 90 + 7
        assert folded.performance(np.array([False, True])).velocities[0, 2, 2] == 7
        assert each.split("all").only(np.array([1])).performance().bars.sum() == 1


def test_onsets_that_do_not_fit_the_bars(tmp_path):
    loop = _played((3, 16, 12), 0)
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", Performance.of(loop.bars, GM12))
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    with np.load(tmp_path / "corpus.npz") as archive:
        members = dict(archive)
    words = members["words_16"].copy()
    words[1, np.flatnonzero(words[1] == 0)[0]] = KICK
    np.savez(tmp_path / "bad.npz", **members | {"words_16": words})
    with pytest.raises(ValueError, match=r"bad\.npz is damaged: its onsets do not fit its bars"):
        load_corpus(tmp_path / "bad.npz").performance(np.array([2]))
    for change in (
        {"onset_start_16": members["onset_start_16"] + 1},
        {"onset_start_16": np.array([0, 0, members["onset_start_16"][-1]])},
        {"velocity_16": members["velocity_16"][:-1]},
        {"offset_16": members["offset_16"].astype(np.int16)},
        {"velocity_16": np.where(members["velocity_16"] == members["velocity_16"][0], 128, 1).astype(np.uint8)},
        {"velocity_16": members["velocity_16"] * np.uint8(0)},
    ):
        np.savez(tmp_path / "bad.npz", **members | change)
        with pytest.raises(ValueError, match=r"bad\.npz: not a corpus"):
            load_corpus(tmp_path / "bad.npz")


def test_bars_of_many_blocks_find_their_own_onsets(tmp_path):
    """200 bars, each of the velocities of its own number."""
    random = np.random.default_rng(0)
    bars = random.random((200, 16, 12)) < 0.15
    bars[:, 0, 0] = True
    loop = Performance.of(bars, GM12, (np.arange(200) % 127 + 1)[:, None, None])
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", loop)
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    corpus = load_corpus(tmp_path / "corpus.npz")
    rows = random.permutation(200)[:90]
    found = corpus.performance(rows)
    assert [set(bar[bar > 0].tolist()) for bar in found.velocities] == [{row % 127 + 1} for row in rows]
    np.testing.assert_array_equal(found.bars, bars[rows])


def test_nobody_knows_how_a_text_is_played():
    with pytest.raises(ValueError, match="nobody knows how the bars of this corpus are played"):
        _corpus([KICK], [0]).performance()


@given(st.lists(st.floats(-0.5, 0.5, width=32), min_size=1))
def test_a_byte_holds_an_offset_to_less_than_half_a_tick(offsets):
    found = offset_bytes(np.array(offsets)) / 256
    assert np.abs(found - np.array(offsets)).max() * 160 < 0.64  # a step of eighth triplets has 160 ticks


# -- the file --------------------------------------------------------------------------------------


def test_columns_are_mapped_and_aligned(tmp_path):
    path = tmp_path / "corpus.npz"
    save_corpus(path, _corpus([KICK, SNARE, HAT], [0, 0, 1]))
    corpus = load_corpus(path)
    assert isinstance(corpus.distinct_words, np.memmap)
    assert isinstance(corpus.bar_id, np.memmap)
    assert corpus.distinct_words.ctypes.data % 64 == corpus.bar_id.ctypes.data % 64 == 0
    with np.load(path) as archive:  # anybody's NumPy reads it
        assert archive["words_16"][:, 0].tolist() == [KICK, SNARE, HAT]
        assert bytes(archive["songs"]) == b"a\0b\0"
        assert json.loads(bytes(archive["counts"])) == []


def test_a_compressed_corpus_is_refused(tmp_path):
    path = tmp_path / "corpus.npz"
    save_corpus(path, _corpus([KICK], [0]))
    with np.load(path) as archive:
        members = dict(archive)
    np.savez_compressed(path, **members)
    with pytest.raises(ValueError, match="is compressed, which cannot be mapped"):
        load_corpus(path)


def test_the_same_songs_make_the_same_file(tmp_path):
    for name in ("a", "b"):
        save_corpus(tmp_path / f"{name}.npz", _corpus([KICK, SNARE, HAT], [0, 0, 1]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_all_of_lpd_stays_below_a_gigabyte(shared, tmp_path):
    """15 million bars, at the bytes that a bar of the LPD files here takes."""
    (count,) = prepare(shared / "lpd", tmp_path / "lpd.npz", workers=1)
    assert (tmp_path / "lpd.npz").stat().st_size / count.n_bars * 15e6 < 1e9


def test_grids_and_the_default_grid_of_a_folded_corpus(tmp_path):
    """Congas in triplets are on more bars than the beat, and no part of gm9."""
    path = tmp_path / "corpus.npz"
    straight = _corpus([KICK, KICK], [0, 0])
    congas = np.full((3, 12), CONGA, np.uint16)
    column = np.zeros(3, int)
    save_corpus(path, straight, Corpus.of(congas, column, column, np.arange(3), straight.songs, straight.files, GM12))
    assert corpus_grids(path) == {12: 3, 16: 2}
    assert corpus_grids(path, GM9) == {16: 2}
    assert load_corpus(path).steps == 12
    assert load_corpus(path, kit=GM9).steps == 16


def test_an_archive_of_bars_is_folded_or_refused(tmp_path):
    bars = np.zeros((2, 16, 12), bool)
    bars[0, 0, [0, 9]] = bars[1, 4, 10] = True
    np.savez(tmp_path / "bars.npz", bars=bars)
    found, _, kit = load_bars(tmp_path / "bars.npz", GM9)
    assert kit is GM9
    assert np.argwhere(found).tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match=r"bars\.npz: its bars have 16 steps, not 12"):
        load_bars(tmp_path / "bars.npz", GM9, 12)
    np.savez(tmp_path / "five.npz", bars=bars[..., :5])
    with pytest.raises(ValueError, match=r"five\.npz: bars of kit jaki5 cannot be folded into kit gm12"):
        load_bars(tmp_path / "five.npz", GM12)


# -- what is no corpus -----------------------------------------------------------------------------


@pytest.fixture
def changed(tmp_path):
    """A function changes → a corpus with other members."""
    path = tmp_path / "corpus.npz"
    save_corpus(path, _corpus([KICK, SNARE, HAT], [0, 0, 1]))
    with np.load(path) as archive:
        members = dict(archive)

    def save(**changes):
        np.savez(tmp_path / "bad.npz", **{n: a for n, a in (members | changes).items() if a is not None})
        return tmp_path / "bad.npz"

    return save


COLUMNS = ("words_16", "song_16", "plays_16", "bar_16", "file_16", "index_16", "role_16", "before_change_16")
COLUMNS += ("before_crash_16", "songs", "files", "styles", "file_style", "file_bpm", "kit", "format")


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "value",
    [
        None,
        np.array(0.5),
        np.array("x"),
        np.zeros((0,), np.uint8),
        np.zeros((3, 3, 3), np.uint8),
        np.full(3, np.nan),
        np.full(3, -1),
        np.full(3, np.iinfo(np.uint64).max),
        np.full(3, b"abc"),
        np.full((3, 16), 2.0),
    ],
)
def test_columns_of_other_types(changed, name, value):
    if name == "file_bpm" and value is not None and value.shape == (3,):
        return  # of two files
    path = changed(**{name: value})
    with pytest.raises(ValueError, match=r"bad\.npz: (not a corpus|it has no bars)") as raised:
        load_corpus(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{}", b"[1]", b"null", b"\xff", b"", b"[" + b"9" * 5000 + b"]"])
def test_counts_that_are_none(changed, text):
    with pytest.raises(ValueError, match=r"bad\.npz: its counts cannot be read: ."):
        corpus_counts(changed(counts=np.frombuffer(text, np.uint8)))


@pytest.mark.parametrize("value", ["3", 1.5, -1, None, [], True, float("nan"), float("inf"), {"funk": "x"}])
@pytest.mark.parametrize("name", ["n_onsets", "n_merged", "roles", "styles"])
def test_counts_of_other_types(changed, name, value):
    text = json.dumps([{name: value}]).encode()
    with pytest.raises(ValueError, match=r"bad\.npz: its counts cannot be read: ."):
        corpus_counts(changed(counts=np.frombuffer(text, np.uint8)))


@pytest.mark.parametrize("column", [np.array(0.5), np.zeros((3, 3), np.uint8), np.zeros(3), None])
def test_counts_in_a_column_of_another_type(changed, column):
    with pytest.raises(ValueError, match=r"bad\.npz: its counts cannot be read: ."):
        corpus_counts(changed(counts=column))


def test_grids_of_a_column_that_is_none(changed):
    with pytest.raises(ValueError, match=r"bad\.npz: not a corpus: bar_16 is no column"):
        corpus_grids(changed(bar_16=np.array(3)))


def test_velocities_are_those_that_there_can_be(tmp_path):
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", Performance.of(_played((3, 16, 12), 0).bars, GM12))
    prepare(tmp_path / "in", tmp_path / "corpus.npz", workers=1)
    with np.load(tmp_path / "corpus.npz") as archive:
        members = dict(archive)
    velocities = members["velocity_16"].copy()
    velocities[-1] = 200
    np.savez(tmp_path / "bad.npz", **members | {"velocity_16": velocities})
    with pytest.raises(ValueError, match=r"bad\.npz: not a corpus: velocities lie in 1 … 127, not in \d+ … 200"):
        load_corpus(tmp_path / "bad.npz")
