"""The page's real bars: the textbook as presets, songs as loops, and their features beside the model's."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("streamlit")

from browsing import PLAYER, open_tab, settled, wait_for_sound
from visiting import cells_of, drawn, held, send, shown, visit

from page import data, options, songs
from page.loop import KIT, in_page_kit
from rhythmgan.bars import bars_to_words
from rhythmgan.conditions import Condition
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus, split_of
from rhythmgan.kit import GM9, GM12, JAKI5
from rhythmgan.midi import write_midi
from rhythmgan.performance import Performance
from rhythmgan.reference import load_reference
from rhythmgan.songs.preparation import prepare

pytest_plugins = ["browsing", "visiting"]
pytestmark = pytest.mark.usefixtures("quiet")


def _forget():
    """What depends on the songs that the page was started with."""
    for cached in (songs._file, songs.titles, songs.unheard, data._by_length, data._loop_rows, data._real):
        cached.clear()


@pytest.fixture(autouse=True)
def _no_songs(tmp_path, monkeypatch):
    monkeypatch.delenv("RHYTHMGAN_DATA", raising=False)
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "votes.sqlite"))


@pytest.fixture
def start_with(monkeypatch):
    """A function: the page was started with this corpus."""

    def start(path):
        monkeypatch.setenv("RHYTHMGAN_DATA", str(path))
        _forget()

    yield start
    _forget()


def _names(split, n):
    """Names of songs of a part of the songs."""
    return [name for name in (f"song {i}" for i in range(200)) if split_of(name) == split][:n]


def _save(path, bars, song, names, kit=GM12, file=None, index=None, role=None):
    """A corpus of bars (n, steps, parts) bool of songs, by default all in one file without a gap."""
    n = len(bars)
    file = np.zeros(n, int) if file is None else np.array(file)
    index = np.arange(n) if index is None else np.array(index)
    files = tuple(f"x/{i}.mid" for i in range(file.max() + 1))
    save_corpus(path, Corpus.of(bars_to_words(bars), np.array(song), file, index, tuple(names), files, kit, role))
    return path


def _of_onsets(*counts, steps=16):
    """Bars (n, steps, 12) bool of so many onsets each."""
    return (np.arange(steps * 12) < np.array(counts)[:, None]).reshape(-1, steps, 12)


def _open(look="Songs"):
    app = visit(tab="Data")
    if look != "Songs":
        app.session_state["look"] = look
        app = drawn(app.run())
    return app


def _loops(app):
    return shown(app, "songs")["loops"]


def _onsets(app):
    """How many onsets each bar of each loop has that is shown."""
    return [tuple(cells_of(loop).sum((1, 2)).tolist()) for loop in _loops(app)]


def _charts(app):
    """The charts, as the browser is sent them."""
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")]


def _captions(app):
    return " ".join(caption.value for caption in app.caption)


# -- presets -------------------------------------------------------------------------------------


def test_the_presets_are_the_textbook_bars_of_sixteen_and_twelve_steps():
    """Of its 153 bars 72 have 16 steps, 11 have 12; the other 70 have 24 or 32, which the page does not draw."""
    bars = [cells for patterns in songs.presets().values() for cells in patterns.values()]
    assert [sum(len(cells) == steps for cells in bars) for steps in (16, 12)] == [72, 11]
    assert len(bars) == 83
    for cells in bars:
        assert cells.dtype == bool
        assert cells.shape[1:] == (KIT.n_parts,)
        assert cells.any()
        assert not cells[:, 9:].any()  # the textbook has nine parts


def test_the_presets_stand_in_the_order_of_the_textbook():
    styles = list(songs.presets())
    assert styles[:5] == ["Rock", "Pop", "Half-time", "Funk", "Disco"]
    assert styles[-3:] == ["Fill", "Intro", "Outro"]
    assert list(songs.presets()["Swing"]) == [
        *("ride and foot hat", "cross-stick on four", "comping", "two-beat on the hats"),
    ]


def test_styles_of_presets_are_spelt_as_people_spell_them():
    styles = set(songs.presets())
    assert {"Afro-Cuban", "UK garage", "Baião", "Hip-hop", "D-beat", "Drum and bass", "Bossa nova"} < styles
    assert not {"afro-cuban", "Uk garage", "Afro-cuban"} & styles


def test_presets_by_hand():
    rock = songs.presets()["Rock"]["basic eighths"]
    expected = np.zeros((16, 12), bool)
    expected[[0, 8], 0] = expected[[4, 12], 1] = expected[::2, 2] = True
    assert (rock == expected).all()
    shuffle = songs.presets()["Shuffle"]["basic"]
    expected = np.zeros((12, 12), bool)
    expected[[0, 6], 0] = expected[[3, 9], 1] = True
    expected[[0, 2, 3, 5, 6, 8, 9, 11], 2] = True
    assert (shuffle == expected).all()
    # those of one style on grids that the page does not draw are left out, the others stay
    assert list(songs.presets()["Hip-hop"]) == ["boom bap"]
    assert list(songs.presets()["Half-time shuffle"]) == ["triplets"]


def test_presets_are_there_whatever_songs_the_page_was_started_with(monkeypatch, tmp_path):
    monkeypatch.setenv("RHYTHMGAN_DATA", str(tmp_path / "gone.npz"))
    songs.presets.cache_clear()
    assert "Rock" in songs.presets()


def test_presets_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        songs.presets()["Rock"]["train"][0, 0] = False
    with pytest.raises(TypeError):
        songs.presets()["Rock"] = {}


# -- songs ---------------------------------------------------------------------------------------


def test_without_songs_the_textbook_is_shown():
    app = _open()
    assert "These are the textbook bars" in _captions(app)
    assert len(_loops(app)) == 24
    assert _loops(app)[0]["name"] == "rock: basic eighths"
    assert not app.selectbox


def test_songs_are_browsed_with_those_of_most_different_bars_first(start_with, tmp_path):
    bars = np.random.default_rng(0).random((40, 16, 12)) < 0.3
    start_with(_save(tmp_path / "w.npz", bars, [0] * 10 + [1] * 30, [*_names("train", 1), *_names("test", 1)]))
    app = _open()
    assert app.selectbox(key="song").value == 1
    found = np.concatenate([cells_of(loop) for loop in _loops(app)])
    assert (found == bars[10:34]).all()  # a page of 24
    app.selectbox(key="song").set_value(0)
    found = np.concatenate([cells_of(loop) for loop in _loops(drawn(app.run()))])
    assert (found == bars[:10]).all()


def test_the_loops_of_a_song_by_hand(tmp_path):
    """Of two files, with a gap in the first: 1 2 3 1 2 · 4 5 6 | 1 2 7; another song is before them."""
    onsets = (9, 1, 2, 3, 1, 2, 4, 5, 6, 1, 2, 7)
    corpus = Corpus.of(
        bars_to_words(_of_onsets(*onsets)),
        np.array([0] + [1] * 11),
        np.array([0] + [1] * 8 + [2] * 3),
        np.array([0, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]),  # the numbers go on, but it is another file
        ("one", "two"),
        ("a", "b", "c"),
        GM12,
    )

    def loops(n_bars):
        return [[onsets[row] for row in rows] for rows in data.loop_rows(corpus, 1, n_bars)]

    assert loops(1) == [[1], [2], [3], [4], [5], [6], [7]]
    assert loops(2) == [[1, 2], [3, 1], [4, 5]]  # the second 1, 2 is the same loop
    assert loops(3) == [[1, 2, 3], [4, 5, 6], [1, 2, 7]]
    assert loops(4) == [[1, 2, 3, 1]]
    assert loops(8) == []
    assert data.loop_rows(corpus, 0, 2).shape == (0, 2)


def test_a_songs_first_bars_are_taken_in_hand_as_one_loop(start_with, tmp_path):
    path = _save(tmp_path / "w.npz", _of_onsets(3, 3, 5, 3, 9, 8), [0] * 6, _names("test", 1), index=range(2, 8))
    start_with(path)
    app = _open()
    assert _onsets(app) == [(3,), (5,), (9,), (8,)]
    app.session_state["song-bars"] = 4
    app = drawn(app.run())
    assert _onsets(app) == [(3, 3, 5, 3)]
    (loop,) = _loops(app)
    assert loop["name"] == f"bars 3 to 6, {_names('test', 1)[0]}"
    assert loop["note"].startswith("5 onsets a bar") or loop["note"].startswith("4 onsets a bar")  # 3.5
    app = send(app, "songs", "taken", [loop["code"]])
    assert held(app).n_bars == 4
    assert held(app).cells.sum((1, 2)).tolist() == [3, 3, 5, 3]
    app.session_state["song-bars"] = 8
    app = drawn(app.run())
    assert [each.value for each in app.info] == ["This song has no 8 bars on 16 steps that follow one another."]


@pytest.mark.parametrize("kit", [GM12, GM9])
def test_bars_of_songs_sound_as_they_were_played(start_with, tmp_path, kit):
    """A loud backbeat, a sixth of a step late, and soft hats."""
    bars = np.zeros((4, 16, kit.n_parts), bool)
    bars[:, ::2, 2] = bars[:, [4, 12], 1] = bars[:, 0, 0] = True
    bars[1, 6, 0] = bars[2, 10, 0] = bars[3, 14, 0] = True
    velocities, offsets = np.full(bars.shape, 30), np.zeros(bars.shape)
    velocities[:, :, 1], offsets[:, :, 1] = 120, 1 / 6
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", Performance.of(bars, kit, velocities, offsets))
    prepare(tmp_path / "in", tmp_path / "w.npz", kit=kit, workers=1)
    start_with(tmp_path / "w.npz")
    app = _open()
    assert len(_loops(app)) == 4
    app.session_state["song-bars"] = 2
    app = drawn(app.run())
    first, second = _loops(app)
    for loop in (first, second):
        velocity = np.array(loop["velocities"]).reshape(2, 16, 12)
        offset = np.array(loop["offsets"]).reshape(2, 16, 12)
        assert velocity[:, 4, 1].tolist() == [120, 120]
        assert velocity[:, 4, 2].tolist() == [30, 30]
        assert offset[:, 12, 1] == pytest.approx(1 / 6, abs=1 / 256)
        assert not offset[:, :, 2].any()
    app = send(app, "songs", "taken", [second["code"]])
    hand = held(app).performance
    assert np.argwhere(hand.bars[..., 0]).tolist() == [[0, 0], [0, 10], [1, 0], [1, 14]]
    assert hand.velocities[1, 12, 1] == 120
    assert hand.offsets[1, 12, 1] == pytest.approx(1 / 6, abs=1 / 256)


def test_how_bars_are_played_that_cannot_be_read_is_said_and_they_get_accents(start_with, tmp_path, monkeypatch):
    start_with(_save(tmp_path / "w.npz", _of_onsets(3, 5), [0, 0], _names("test", 1)))

    def refuse(corpus):
        raise ValueError("onsets of bar 1 do not fit")

    monkeypatch.setattr(songs, "performance", refuse)
    app = _open()
    assert [each.value for each in app.warning] == [
        "w.npz: onsets of bar 1 do not fit. These bars are heard with accents on the grid."
    ]
    assert _onsets(app) == [(3,), (5,)]


def test_songs_are_shown_with_all_their_parts(start_with, tmp_path):
    bars = np.random.default_rng(0).random((20, 16, 12)) < 0.3
    bars[18] = False
    bars[18, 3, 9] = True  # a shaker only
    start_with(_save(tmp_path / "w.npz", bars, [0] * 20, _names("test", 1)))
    app = _open()
    assert (np.concatenate([cells_of(loop) for loop in _loops(app)]) == bars).all()
    assert _loops(app)[0]["note"].startswith(f"groove, played once · {bars[0].sum()} onsets · syncopation ")
    assert _loops(app)[18]["note"].startswith("groove, played once · 1 onset · syncopation ")
    np.testing.assert_array_equal(data._real("distinct", "any", 16)["density"], bars.sum((1, 2)))


def test_songs_of_nine_parts_are_shown_in_twelve(start_with, tmp_path):
    bars = np.random.default_rng(0).random((5, 16, 9)) < 0.3
    start_with(_save(tmp_path / "w.npz", bars, [0] * 5, _names("test", 1), GM9))
    assert (np.concatenate([cells_of(loop) for loop in _loops(_open())]) == in_page_kit(bars)).all()
    np.testing.assert_array_equal(data._real("distinct", "any", 16)["density"], bars.sum((1, 2)))


def test_songs_whose_names_are_no_text_are_shown(start_with, tmp_path):
    """Files from another system: bytes that are no UTF-8 come as lone surrogates, which no browser can be sent."""
    names = ["caf\udce9", "caf\udce8", "a\nplain  name", "d" * 32]
    start_with(_save(tmp_path / "w.npz", _of_onsets(*range(1, 8)), [0, 0, 0, 1, 1, 2, 3], names))
    assert songs.titles() == ("caf\ufffd", "caf\ufffd (2)", "a plain name", "song dddddddd")
    app = _open()
    assert [loop["name"] for loop in _loops(app)] == [f"bar {i}, caf\ufffd" for i in (1, 2, 3)]
    app.selectbox(key="song").set_value(1)
    assert _onsets(drawn(app.run())) == [(4,), (5,)]
    assert visit(tab="Data", look="Features")


def test_a_bar_of_a_song_is_in_hand_as_what_it_is_there(start_with, tmp_path):
    start_with(_save(tmp_path / "w.npz", _of_onsets(3, 9), [0, 0], _names("test", 1), role=[0, 2]))
    app = _open()
    app = send(app, "songs", "taken", [_loops(app)[1]["code"]])
    assert held(app).asked == Condition("fill")
    assert held(app).name.startswith("bar 2, song ")


# -- a file that is no corpus --------------------------------------------------------------------


def _spoilt(path, kind):
    """A file of songs that cannot be shown."""
    good = _save(path, _of_onsets(3, 4, 5), [0, 0, 1], _names("test", 2)).read_bytes()
    path.unlink()
    if kind == "random bytes":
        path.write_bytes(random.Random(1).randbytes(5000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "a bit flipped":
        data = bytearray(good)
        data[data.index(b"words_16.npy") + 200] ^= 4
        path.write_bytes(data)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "another kit":
        _save(path, np.ones((2, 16, 5), bool), [0, 0], _names("test", 1), JAKI5)
    elif kind == "another grid":
        _save(path, _of_onsets(3, 4, steps=12), [0, 0], _names("test", 1))


SPOILT = ("gone", "random bytes", "empty", "cut", "a bit flipped", "a folder", "another kit", "another grid")


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_cannot_be_shown_is_one_line_and_the_textbook_stands_in(start_with, tmp_path, kind):
    path = tmp_path / "my songs.npz"
    _spoilt(path, kind)
    start_with(path)
    app = _open()
    (line,) = [each.value for each in app.warning]
    assert line.startswith("my songs.npz: ")
    assert str(tmp_path) not in line
    assert line.endswith(". The textbook stands in for your songs.")
    assert "\n" not in line
    assert _loops(app)[0]["name"] == "rock: basic eighths"
    app.session_state["look"] = "Features"
    app = drawn(app.run())
    assert len(app.warning) == 1
    assert len(_charts(app)) == 4


@pytest.mark.parametrize("tab", ["Sample", "Steer", "Morph", "Edit"])
def test_tabs_that_need_no_songs_say_nothing_of_them(start_with, tmp_path, tab):
    start_with(tmp_path / "gone.npz")
    assert not visit(tab=tab).warning


def test_a_file_with_one_grid_spoilt_is_not_shown_in_part(start_with, tmp_path):
    columns = np.zeros(2, int), np.zeros(2, int), np.arange(2)
    both = [Corpus.of(bars_to_words(_of_onsets(3, 4, steps=n)), *columns, ("s",), ("f",), GM12) for n in (16, 12)]
    save_corpus(tmp_path / "w.npz", *both)
    with np.load(tmp_path / "w.npz") as loaded:
        members = dict(loaded)
    members["file_12"] = members["file_12"] + 7
    np.savez(tmp_path / "w.npz", **members)
    start_with(tmp_path / "w.npz")
    (line,) = [each.value for each in _open().warning]
    assert "file_id" in line


def test_a_file_whose_name_is_no_text_can_be_named(start_with, tmp_path):
    start_with(tmp_path / "caf\udce9.npz")
    (line,) = [each.value for each in _open().warning]
    assert "caf\ufffd.npz: No such file" in line


@pytest.mark.parametrize("seed", range(60))
def test_damage_anywhere_is_said_or_does_no_harm(start_with, tmp_path, seed):
    """Bytes changed, cut out or put in: the file is refused in one line, or can be shown."""
    path = _save(tmp_path / "w.npz", _of_onsets(3, 4, 5), [0, 0, 1], _names("test", 2))
    dice, content = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(content))
        change = dice.choice(["flip", "cut", "put in"])
        if change == "flip":
            content[at] ^= 1 << dice.randrange(8)
        elif change == "cut":
            del content[at : at + dice.randint(1, 40)]
        else:
            content[at:at] = dice.randbytes(dice.randint(1, 40))
    path.write_bytes(content)
    start_with(path)
    trouble = songs._file().trouble
    assert "\n" not in trouble
    assert songs.are_textbook() == bool(trouble)
    assert trouble.startswith("w.npz: ") or not trouble
    assert str(tmp_path) not in trouble
    assert len(songs.titles()) == len(songs.words().songs)
    songs.performance(songs.words())
    assert songs.unheard(16) is None or len(songs.unheard(16))


# -- features ------------------------------------------------------------------------------------


def test_features_of_real_and_generated_bars_are_shown():
    app = _open("Features")
    assert app.multiselect(key="features").value == ["density", "syncopation", "off-beat share", "parts used"]
    assert len(_charts(app)) == 4


def test_features_of_songs_that_no_model_heard_are_shown(start_with, tmp_path):
    names = [*_names("train", 1), *_names("test", 1)]
    start_with(_save(tmp_path / "w.npz", _of_onsets(1, 2, 3, 4, 5, 6, 7, 8), [0] * 5 + [1] * 3, names))
    assert "each song's distinct bars" in _captions(_open("Features"))
    assert data._real("distinct", "any", 16)["density"].tolist() == [6, 7, 8]


def test_songs_that_were_all_trained_on_are_no_exception(start_with, tmp_path):
    start_with(_save(tmp_path / "w.npz", _of_onsets(3, 4, 5), [0] * 3, _names("train", 1)))
    _open("Features")
    assert data._real("distinct", "any", 16)["density"].tolist() == [3, 4, 5]


@pytest.fixture
def song_of_roles(start_with, tmp_path):
    """A song by hand that no model heard: its groove of 3 onsets four times and a fill of 9; on 12 steps a bar of 5.

    A second song has a groove of 7.
    """
    names, corpora = tuple(_names("test", 2)), []
    for steps, onsets, song, role in (
        (16, [3, 3, 3, 3, 9, 7], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 2, 0]),
        (12, [5], [0], [0]),
    ):
        columns = np.array(song), np.array(song), np.arange(len(song))
        words = bars_to_words(_of_onsets(*onsets, steps=steps))
        corpora.append(Corpus.of(words, *columns, names, ("x/a.mid", "x/b.mid"), GM12, role))
    save_corpus(tmp_path / "w.npz", *corpora)
    start_with(tmp_path / "w.npz")


def test_roles_and_plays_of_a_songs_bars_are_said(song_of_roles):
    app = _open()
    groove, fill = _loops(app)
    assert groove["note"].startswith("groove, played 4 times · 3 onsets · ")
    assert fill["note"].startswith("fill, played once · 9 onsets · ")
    assert "Not shown are bars of this song on other grids than 16 steps: 1 on 12 steps." in _captions(app)
    app.selectbox(key="song").set_value(1)
    app = drawn(app.run())
    (groove,) = _loops(app)
    assert groove["note"].startswith("groove, played once · 7 onsets · ")
    assert "Not shown" not in _captions(app)


def test_real_bars_are_chosen_by_reference_role_and_grid(song_of_roles):
    app = _open("Features")
    assert sorted(data._real("distinct", "any", 16)["density"]) == [3, 7, 9]
    assert "Real bars of songs that no model was trained on: each song's distinct bars, each once" in _captions(app)
    app.session_state["reference"] = "as_played"
    app = drawn(app.run())
    assert "each song weighs the same, and in it each bar as often as it is played" in _captions(app)
    played = data._real("as_played", "any", 16)["density"]  # half of song 0, of which one in five is the fill
    assert [(played == onsets).mean() for onsets in (3, 7, 9)] == pytest.approx([0.4, 0.5, 0.1], abs=0.03)
    app.session_state["real-role"] = "fill"
    drawn(app.run())
    assert data._real("as_played", "fill", 16)["density"].tolist() == [9] * 4000
    app.session_state["real-role"] = "any"
    app.session_state["real-grid"] = 12
    app = drawn(app.run())
    assert data._real("as_played", "any", 12)["density"].tolist() == [5] * 4000
    assert "4,000 bars of the GAN beside them, asked for the same role." in _captions(app)
    assert len(_charts(app)) == 4
    for role, grid, says in (
        ("variation", 16, "There are no variation bars of 16 steps here."),
        ("any", 24, "There are no bars of 24 steps here."),
    ):
        app.session_state["real-role"], app.session_state["real-grid"] = role, grid
        app = drawn(app.run())
        assert [each.value for each in app.info] == [says]
        assert not _charts(app)


def test_features_that_a_grid_has_not_are_named(song_of_roles):
    app = _open("Features")
    app.session_state["real-grid"] = 12
    app.session_state["features"] = ["density", "Keith"]
    app = drawn(app.run())
    assert "Not defined on 12 steps: Keith." in _captions(app)
    assert len(_charts(app)) == 1


def test_without_songs_real_bars_are_those_of_the_bundled_references():
    _open("Features")
    for kind in ("distinct", "as_played"):
        for role in ("any", "groove", "variation", "fill"):
            real = load_reference(None, kind, role, 16, GM12)
            assert data._real(kind, role, 16)["density"].tolist() == real.quantiles["density"].tolist()
    assert data._real("distinct", "any", 48) == {}


# -- options -------------------------------------------------------------------------------------


def test_without_options_there_are_no_songs_and_votes_are_among_the_users_data(monkeypatch):
    monkeypatch.delenv("RHYTHMGAN_VOTES")
    assert options.data_file() is None
    assert options.votes_file().suffix == ".sqlite"
    assert "rhythmgan" in options.votes_file().parts
    monkeypatch.setenv("RHYTHMGAN_DATA", "")
    monkeypatch.setenv("RHYTHMGAN_VOTES", "")
    assert options.data_file() is None
    assert options.votes_file().is_absolute()


def test_options_are_paths(monkeypatch):
    monkeypatch.setenv("RHYTHMGAN_DATA", "some/bars.npz")
    monkeypatch.setenv("RHYTHMGAN_VOTES", "votes.db")
    assert options.data_file() == Path("some/bars.npz")
    assert options.votes_file() == Path("votes.db")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("caf\udce9.npz", "caf\ufffd.npz"),
        ("a\nb\tc", "a b c"),
        ("\ud800\udfff", "\ufffd\ufffd"),
        ("ä 鼓 🥁", "ä 鼓 🥁"),
    ],
)
def test_any_text_can_be_shown_in_one_line(text, seen):
    assert options.shown(text) == seen
    options.shown(text).encode()


# -- in a browser --------------------------------------------------------------------------------


def test_songs_are_browsed_heard_and_taken_in_hand_as_loops(page, address):
    """The first song of the page has seven bars without a gap."""
    open_tab(page, address, "Data")
    page.get_by_role("button", name="Play bar 7, song-6").wait_for()
    page.get_by_role("radio", name="2 bars").click()
    page.get_by_role("button", name="Play bars 3 to 4, song-6").click()
    wait_for_sound(page)
    page.wait_for_function(f"{PLAYER}.place?.bar === 1")
    assert page.evaluate(f"[{PLAYER}.id, {PLAYER}.loop.bars.length]") == ["hand", 2]
    page.wait_for_url("**loop=*")
    assert page.locator("article.card").count() == 3
    page.get_by_role("radio", name="8 bars").click()
    page.get_by_text("This song has no 8 bars").wait_for()


def test_features_are_compared(page, address):
    open_tab(page, address, "Data")
    page.get_by_text("Features", exact=True).click()
    page.locator("[data-testid=stVegaLiteChart]").nth(3).wait_for()


def test_the_songs_fit_a_phone(phone, address):
    for look in ("Songs", "Features"):
        open_tab(phone, address, "Data")
        phone.get_by_role("radio", name=look).click()
        settled(phone)
        assert phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
        assert phone.locator("[data-testid=stException]").count() == 0
