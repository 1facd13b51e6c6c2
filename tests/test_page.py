"""The page: every tab opens, nothing from outside breaks it, and nobody sees what another holds."""

import base64
import io
import itertools
import json
import logging
import math
import random
import re
import zipfile
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

from page import (
    asking,
    blind,
    cards,
    continuation,
    data,
    edit,
    models,
    morph,
    options,
    session,
    songs,
    start,
    steer,
    takeaway,
)
from page.bar import KIT, STEPS, TRIPLETS, Bar, cells_of, in_page_kit
from page.votes import Vote, results, store
from page.wish import Start, Together
from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars
from rhythmgan.conditions import Condition
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus, split_of
from rhythmgan.export import FORMATS, FilePerLoop
from rhythmgan.generate.phrases import phrases
from rhythmgan.generate.variation import lock_parts
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, GM12, JAKI5
from rhythmgan.midi import midi_bytes, write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import load_gan
from rhythmgan.models.word_lstm import load_prior
from rhythmgan.performance import Performance, Playback
from rhythmgan.reference import load_reference
from rhythmgan.songs.preparation import prepare
from rl_tuner.config import CLOSENESS, REALISM
from rl_tuner.edit.agent import continue_loop
from rl_tuner.result import SteeringResult
from rl_tuner.steering import steer as steer_bars
from rl_tuner.toggle.agent import answer

APP = Path(__file__).resolve().parent.parent / "demo" / "app.py"
TABS = ("Sample", "Phrase", "Steer", "Morph", "Edit", "Blind test", "Data")

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
"""What JSON can say."""


@pytest.fixture(scope="module", autouse=True)
def _quiet(one_thread):
    """Streamlit tells its log that these are tests."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def _forget():
    """What depends on the songs that the page was started with."""
    for cached in (
        songs.words,
        songs.titles,
        songs.held_out_grooves,
        songs.unheard,
        songs.on_other_grids,
        blind._pools,
        data._by_length,
        data._real,
    ):
        cached.clear()


@pytest.fixture(autouse=True)
def votes(tmp_path, monkeypatch):
    """Choices go to a file of the test's own, and there are no songs."""
    monkeypatch.delenv("RHYTHMGAN_DATA", raising=False)
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "votes.sqlite"))
    return tmp_path / "votes.sqlite"


@pytest.fixture
def start_with(monkeypatch):
    """A function: the page was started with this corpus."""

    def start(path):
        monkeypatch.setenv("RHYTHMGAN_DATA", str(path))
        _forget()

    yield start
    _forget()


@pytest.fixture(scope="module")
def gan(one_thread):
    return load_gan()


@pytest.fixture(scope="module")
def groove():
    """A bar by hand: 3 kicks, 2 snares, 8 hats."""
    cells = np.zeros((16, 12), bool)
    cells[[0, 6, 8], 0] = cells[[4, 12], 1] = cells[::2, 2] = True
    return cells


@pytest.fixture(scope="module")
def shuffle():
    """A bar of triplets by hand: kicks on 1 and 3, snares on 2 and 4, the ride on the first and third of each beat."""
    cells = np.zeros((12, 12), bool)
    cells[[0, 6], 0] = cells[[3, 9], 1] = True
    cells[::3, 7] = cells[2::3, 7] = True
    return cells


@pytest.fixture(scope="module")
def gan12(one_thread):
    return load_gan(grid=12)


def _open(**address):
    """The page at an address, drawn."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in address.items():
        app.query_params[name.replace("_", "-")] = value
    return _drawn(app.run())


def _drawn(app):
    """The app, without an exception."""
    assert [(error.message, error.stack_trace) for error in app.exception] == []
    return app


def _component(app, key):
    (found,) = (component for component in app.get("bidi_component") if component.key == key)
    return found


def _shown(app, key):
    """What a component's script is sent."""
    return json.loads(_component(app, key).proto.json)


def _cells(app, key):
    """The bars (n, steps, 12) bool of cards."""
    return words_to_bars(np.array([bar["words"] for bar in _shown(app, key)["bars"]]), 12)


def _edited(app):
    """The bar (steps, 12) bool of the editor."""
    return words_to_bars(np.array([_shown(app, "editor")["words"]]), 12)[0]


def _send(app, key, event, value):
    """Run the app after a component's script said something; AppTest has no door for it, so this is what it does."""
    from streamlit.components.v2.bidi_component.main import _make_trigger_id

    states = app._tree.get_widget_states()
    reported = states.widgets.add()
    reported.id = _make_trigger_id(_component(app, key).proto.id, "events")
    reported.json_trigger_value = json.dumps([{"event": event, "value": value}])
    return _drawn(app._run(states))


def _go(app, tab):
    """The app after a click on a tab, for which AppTest has no door either."""
    states, blocks = app._tree.get_widget_states(), [app._tree]
    while blocks[0].type != "tab_container":
        blocks = [*blocks[1:], *getattr(blocks[0], "children", {}).values()]
    states.widgets.add(id=blocks[0].proto.id, string_value=tab)
    return _drawn(app._run(states))


def _press(app, label):
    (button,) = (button for button in app.button if button.label == label)
    return _drawn(button.click().run())


# -- bars ----------------------------------------------------------------------------------------


def test_the_code_of_a_bar_by_hand():
    """Six cells a letter, the first the highest: g is 32, B is 1."""
    cells = np.zeros((16, 12), bool)
    cells[0, 0] = cells[15, 11] = True
    bar = Bar.of(cells, "two")
    assert bar.code == "g" + "A" * 30 + "B"
    assert bar.words == [2048] + [0] * 14 + [1]
    assert bar.name == "two"
    assert bar.named("other") == Bar(bar.code, "other")


@given(st.lists(st.booleans(), min_size=144, max_size=144))
def test_a_bar_of_triplets_is_what_its_code_says(cells):
    """Its letters are as many as those of 16 steps of nine parts: what stands before them tells them apart."""
    cells = np.reshape(cells, (12, 12))
    bar = Bar.of(cells, "x")
    assert re.fullmatch(r"12\.[A-Za-z0-9_-]{24}", bar.code)
    again = Bar.read(bar.code, "y")
    assert again.code == bar.code
    assert again.steps == TRIPLETS
    assert (again.cells == cells).all()
    assert Bar.read(bar.code.removeprefix("12."), "old").steps == STEPS


@given(st.lists(st.booleans(), min_size=192, max_size=192))
def test_a_bar_is_what_its_code_says(cells):
    cells = np.reshape(cells, (16, 12))
    bar = Bar.of(cells, "x")
    assert re.fullmatch("[A-Za-z0-9_-]{32}", bar.code)
    again = Bar.read(bar.code, "y")
    assert again.code == bar.code
    assert (again.cells == cells).all()
    assert (again.cells.shape, again.cells.dtype) == ((16, 12), bool)
    assert (words_to_bars(np.array([again.words]), 12)[0] == cells).all()
    assert (cells_of([bar, Bar.of(~cells, "z")]) == np.stack([cells, ~cells])).all()
    assert bar.steps == STEPS


def test_the_code_of_nine_parts_is_still_read():
    """Links from when the page had nine parts: gA…AB is a kick on the first step and a crash on the last."""
    bar = Bar.read("g" + "A" * 22 + "B", "old")
    assert np.argwhere(bar.cells).tolist() == [[0, 0], [15, 8]]
    assert bar.cells.shape == (16, 12)
    assert len(bar.code) == 32  # and is told on in twelve
    assert Bar.read(bar.code, "old") == bar


def test_a_bar_that_is_changed_keeps_what_was_asked_for(groove):
    bar = Bar.of(groove, "mine", Condition("fill", "funk"))
    assert bar.named("yours").asked == bar.with_cells(~groove, "other").asked == Condition("fill", "funk")
    assert Bar.read(bar.code, "shared").asked == Condition("any", "any")  # an address does not say
    assert Bar.read(bar.code, "mine") == bar


@pytest.mark.parametrize(
    "code",
    [
        *("", "A" * 23, "A" * 25, "A" * 20, "A" * 28, "A" * 22 + "==", "A" * 23 + "=", "=" * 24, "A" * 23 + "!"),
        *(" " + "A" * 23, "A" * 24 + "\n", "é" * 24, "٣" * 24, "A\0" * 12, "A" * 10_000, "../../../../etc/passwd."),
        *("12." + "A" * 23, "12." + "A" * 32, "12." + "A" * 23 + "=", "12.", "16." + "A" * 32, "12.12." + "A" * 24),
        *("A" * 31, "A" * 33, "A" * 30 + "==", " " + "A" * 31, "A" * 32 + "\n", "=" * 32, "A" * 16, "A" * 64),
    ],
)
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValueError, match="no bar that can be read"):
        Bar.read(code, "x")


@pytest.mark.parametrize("code", ["+" * 24, "A" * 23 + "/", "AAAA+AAAAAAAAAAA/AAAAAAA", "+" * 32, "A" * 31 + "/"])
def test_a_bar_has_one_code_only(code):
    """Letters of the other base64: the same bar twice among the favourites, if they were read."""
    with pytest.raises(ValueError, match="no bar that can be read"):
        Bar.read(code, "x")


# -- what is said of bars ------------------------------------------------------------------------


def test_the_numbers_of_a_bar_are_those_of_its_cells(groove):
    found = models.numbers(Bar.of(groove, "groove"))
    assert found.density == 13
    prior = load_prior().with_condition("any", "any")  # nobody knows what it is in its song
    assert found.likelihood == pytest.approx(float(prior.log_prob(groove[None])[0]) / 16, rel=1e-5)
    reference = load_reference(None, "distinct", "any", 16, GM12)
    assert found.percentile["density"] == pytest.approx(float(reference.percentile("density", 13)))
    assert found.percentile["syncopation"] == pytest.approx(
        float(reference.percentile("syncopation", found.syncopation))
    )
    assert set(found.percentile) == {"density", "syncopation", "likelihood", "realism"}


@pytest.mark.parametrize("role", ["groove", "variation", "fill"])
def test_a_bar_stands_among_bars_of_its_own_role(groove, shuffle, role):
    for cells, steps in ((groove, 16), (shuffle, 12)):
        found = models.numbers(Bar.of(cells, "x", Condition(role)))
        real = load_reference(None, "as_played", role, steps, GM12)
        for name, value in (("density", found.density), ("syncopation", found.syncopation)):
            assert found.percentile[name] == pytest.approx(float(real.percentile(name, value)))
        prior = load_prior(grid=steps).with_condition(role, "any")
        assert found.likelihood == pytest.approx(float(prior.log_prob(cells[None])[0]) / steps, rel=1e-5)


def test_bars_of_the_model_stand_in_the_middle_of_bars_of_the_model(gan):
    found = models.standing(gan.sample(300, seed=5))
    assert found.keys() == {"likelihood", "realism"}
    assert all(abs(value - 50) < 6 for value in found.values())  # 29 / √300 is 1.7
    assert models.standing(np.ones((2, 16, 12), bool))["likelihood"] == 0


def test_bars_of_seeds_are_the_models_own(gan):
    bars = models.sampled(40, 3, 0.8)
    assert (cells_of(bars) == gan.sample(3, seed=40, temperature=0.8)).all()
    assert [bar.name for bar in bars] == ["seed 40", "seed 41", "seed 42"]
    assert {bar.asked for bar in bars} == {Condition("groove")}


def test_bars_of_seeds_are_of_the_role_style_and_grid_that_is_asked_for(gan, gan12):
    fills = models.sampled(40, 2, 1.0, Condition("fill", "funk"))
    assert (cells_of(fills) == gan.with_condition("fill", "funk").sample(2, seed=40)).all()
    assert [bar.name for bar in fills] == ["seed 40, Funk fill", "seed 41, Funk fill"]
    triplets = models.sampled(40, 2, 1.0, Condition("any", "any"), 12)
    assert (cells_of(triplets) == gan12.with_condition("any").sample(2, seed=40)).all()
    assert [bar.name for bar in triplets] == ["seed 40, any role, triplets", "seed 41, any role, triplets"]


def test_styles_are_called_as_people_call_them(gan):
    names = [asking.style_name(style) for style in gan.styles]
    assert {"Funk", "Hip-hop", "R&B", "New Orleans", "Afro-Cuban"} <= set(names)
    assert len(set(names)) == len(names)
    assert not any("_" in name or name != name.strip() for name in names)
    assert asking.style_name("any") == "Any style"
    assert asking.style_name("new_style") == "New style"


# -- what a visitor holds ------------------------------------------------------------------------


def test_favourites_become_what_the_browser_says(gan):
    one, other = (Bar.of(cells, name) for cells, name in zip(gan.sample(2), ("one", "other"), strict=True))
    mine, known = session.Visitor(one, [one]), {one.code: one, other.code: other}
    assert mine.favourites == []
    mine.keep([[one.code, True]], known)
    mine.keep([[other.code, True], [one.code, True]], known)
    assert mine.favourites == [other, one]
    mine.keep([[one.code, False], ["A" * 32, True]], known)
    assert mine.favourites == [other]
    mine.keep([[other.code, True]], {other.code: other.named("the same bar")})
    assert mine.favourites == [other]
    mine.keep([[other.code, False]], known)
    assert mine.favourites == []
    assert mine.kept == []  # all are taken back, and the browser hears of it


def test_no_more_favourites_are_kept_than_sixty(gan):
    bars = [Bar.of(cells, str(i)) for i, cells in enumerate(gan.sample(63))]
    assert len({bar.code for bar in bars}) == 63
    mine = session.Visitor(bars[0], [bars[0]])
    mine.keep([[bar.code, True] for bar in bars], {bar.code: bar for bar in bars})
    assert mine.favourites == bars[:2:-1]


@given(ANYTHING)
def test_favourites_are_read_from_anything(found):
    for sent in (found, [found], [["A" * 24, found], found], [["A" * 32, found], found]):
        bars = session._readable(sent)
        assert all(bar.cells.shape == (16, 12) and len(bar.name) <= 60 for bar in bars)
    assert [bar.code for bar in session._readable([found, ["A" * 24, "x"]])][-1:] == ["A" * 32]


def test_of_favourites_the_readable_ones_are_read(gan):
    first, second = (Bar.of(cells, name) for cells, name in zip(gan.sample(2), ("seed 0", "seed 1"), strict=True))
    sent = [[first.code, "mine"], ["broken", "x"], [second.code], [second.code, "a" * 500], None, 7, "ab", {"a": 1}]
    assert session._readable(sent) == [first.named("mine"), second.named("a" * 60)]
    assert len(session._readable([[first.code, "x"]] * 500)) <= 60


# -- what a visitor takes away -------------------------------------------------------------------


@given(st.text(max_size=300) | st.just("song " * 80))
def test_names_of_files_are_names_of_files(name):
    assert re.fullmatch("[a-z0-9][a-z0-9-]{0,120}", takeaway.file_name(name))


@pytest.mark.parametrize(
    ("name", "file"),
    [("seeds 1 to 12", "seeds-1-to-12"), ("../../X.mid", "x-mid"), ("", "bar"), ("♥", "bar"), ("A\0b/c", "a-b-c")],
)
def test_names_of_files_by_hand(name, file):
    assert takeaway.file_name(name) == file


def test_a_zip_holds_every_bar_as_midi_and_as_sound(gan, groove, tmp_path):
    bars = [Bar.of(groove, "one: a groove"), Bar.of(gan.sample(1, seed=4)[0], "../seed 4"), Bar.of(groove, "")]
    mine = session.Visitor(bars[0], [], bpm=97, swing=0.62)
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped(bars, mine))) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    stems = ["01-one-a-groove", "02-seed-4", "03-bar"]
    assert names == [f"{stem}.{suffix}" for stem in stems for suffix in ("mid", "wav")]
    for stem in stems:
        (tempo,) = (m for m in mido.MidiFile(tmp_path / f"{stem}.mid").tracks[0] if m.type == "set_tempo")
        assert mido.tempo2bpm(tempo.tempo) == pytest.approx(97, abs=1e-3)
        sound = (tmp_path / f"{stem}.wav").read_bytes()
        assert (sound[:4], sound[8:12]) == (b"RIFF", b"WAVE")
        assert len(sound) > 4 * 60 / 97 * 44_100  # a bar at least
    straight = session.Visitor(bars[0], [], bpm=97)
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped(bars[:1], straight))) as archive:
        (tmp_path / "straight.mid").write_bytes(archive.read("01-one-a-groove.mid"))
    assert (quantise(read_midi(tmp_path / "straight.mid"), GM12).bars == groove).all()


def test_bars_of_triplets_are_taken_away_straight(shuffle, tmp_path):
    """There are no sixteenths to swing; the ride falls on a third of a beat, 320 ticks of 480 later."""
    bar = Bar.of(shuffle, "x")
    mine = session.Visitor(bar, [], bpm=97, swing=0.62)
    (tmp_path / "x.mid").write_bytes(takeaway._encoded(FORMATS["midi"], [bar, bar], mine))
    read = read_midi(tmp_path / "x.mid")
    assert (quantise(read, GM12, 12).bars == shuffle).all()
    assert sorted({round(float(time) % 1, 3) for time in read.beat}) == [0, 0.667]
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped([bar, Bar.of(np.ones((16, 12), bool), "y")], mine))) as archive:
        assert [name for name in archive.namelist() if "mid" in name] == ["01-x.mid", "02-y.mid"]


def test_a_format_of_the_table_is_downloaded(groove, monkeypatch):
    """One row, and the page has it too."""
    row = FilePerLoop("tally", "tally", "text/plain", lambda loops, _: (b"%d" % bars.sum() for bars in loops.bars))
    monkeypatch.setitem(FORMATS, "tally", row)
    bar = Bar.of(groove, "x")
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped([bar], session.Visitor(bar, [])))) as archive:
        assert archive.namelist() == ["01-x.mid", "01-x.wav", "01-x.tally"]
        assert int(archive.read("01-x.tally")) == groove.sum()


# -- uploads -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_bars(groove):
    """Two bars, and the MIDI file of them."""
    bars = np.stack([groove, groove])
    bars[1, 10:, 4] = True
    return bars, midi_bytes(Performance.of(bars, GM12))


def test_an_upload_is_read_bar_by_bar(two_bars):
    bars, file = two_bars
    found, n_bars, bpm = start.read_upload("My Loop.mid", file)
    assert (n_bars, bpm) == (2, 120)
    assert (cells_of(found) == bars).all()
    assert [bar.name for bar in found] == ["My Loop 1", "My Loop 2"]


def test_an_upload_keeps_how_it_is_played(two_bars, tmp_path):
    """Through steering, editing, other names and a ZIP; its code says nothing of it."""
    bars, _ = two_bars
    played = Performance.of(bars, GM12, np.random.default_rng(2).integers(1, 128, bars.shape), np.array(0.25))
    found, *_ = start.read_upload("x.mid", midi_bytes(played))
    assert [bar.code for bar in found] == [Bar.of(cells, "").code for cells in bars]
    assert {bar.performance.kit for bar in found} == {KIT}
    assert found == [Bar.of(cells, f"x {i}") for i, cells in enumerate(bars, 1)]
    mine = session.Visitor(found[0], [])
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped([bar.named("a") for bar in found], mine))) as archive:
        for i, name in enumerate(("01-a.mid", "02-a.mid")):
            assert archive.read(name) == midi_bytes(played[i : i + 1])
    assert takeaway._encoded(FORMATS["midi"], found, mine) == midi_bytes(played)
    other = bars[0].copy()
    other[0, 8], other[np.nonzero(bars[0])[0][0], np.nonzero(bars[0])[1][0]] = True, False
    desk = edit.Desk(found[0], found[0])
    desk.receive(_said(Bar.of(other, "").words))
    for changed in (found[0].with_cells(other, "changed"), desk.bar):
        expected = found[0].performance.with_bars(other[None])
        assert changed.code == Bar.of(other, "").code
        np.testing.assert_array_equal(changed.performance.velocities, expected.velocities)
        np.testing.assert_array_equal(changed.performance.offsets, expected.offsets)
    np.testing.assert_array_equal(found[0].performance.velocities, played[:1].velocities)
    assert Bar.of(other, "").with_cells(bars[0], "plain").own is None


def test_the_browser_is_sent_how_a_bar_is_played():
    cells = np.zeros((16, 12), bool)
    cells[0, 0] = cells[3, 2] = True
    plain = Bar.of(cells, "plain")
    assert plain.sent == {"code": plain.code, "name": "plain", "words": plain.words}
    levels, late = np.zeros((16, 12), int), np.zeros((16, 12))
    levels[0, 0], levels[3, 2], late[3, 2] = 127, 56, -0.25
    reported = Bar.of(cells, "own", own=Performance.of(cells, GM12, levels, late)).sent
    assert set(reported) == {"code", "name", "words", "played"}
    gains, shades, offsets = (np.array(reported["played"][name]) for name in ("gains", "shades", "offsets"))
    assert gains.shape == shades.shape == offsets.shape == (16, 12)
    assert (gains[0, 0], gains[3, 2]) == (1, pytest.approx((56 / 127) ** 1.5, abs=1e-4))
    assert (shades[0, 0], shades[3, 2]) == (1, 0.5)  # the loudest accent is 112
    assert (offsets[3, 2], gains.sum()) == (-0.25, pytest.approx(1.2928, abs=1e-3))
    json.dumps(reported)


EVIL = {
    "a way up": "../../x.mid",
    "a root": "/etc/passwd",
    "Windows": "C:\\Windows\\x.mid",
    "Windows, up": "..\\..\\x.mid",
    "dots": "..",
    "a dot": ".",
    "nothing": "",
    "a suffix": ".mid",
    "a folder": "x/",
    "NUL": "a\0b.mid",
    "300 letters": "x" * 300 + ".mid",
    "200 letters of two bytes": "é" * 200 + ".mid",
    "two lines": "a\nb.mid",
    "another suffix": "x.npz",
    "a text": "x.txt",
    "drums": "🥁.MIDI",
}


@pytest.mark.parametrize("name", EVIL.values(), ids=EVIL)
def test_whatever_a_file_is_called_its_bars_are_read(two_bars, name):
    bars, file = two_bars
    found, *_ = start.read_upload(name, file)
    assert (cells_of(found) == bars).all()
    assert not any(set("/\\\0\n") & set(bar.name) for bar in found)


@pytest.mark.parametrize("name", EVIL.values(), ids=EVIL)
def test_whatever_a_broken_file_is_called_one_line_says_what_is_wrong(two_bars, name):
    with pytest.raises(ValueError, match=r"\S") as refused:
        start.read_upload(name, two_bars[1][:30])
    said = str(refused.value)
    assert "\n" not in said
    assert "embedded" not in said
    assert "codec" not in said
    assert not re.search(r"/tmp|tmp\w{6,}", said)  # it is nobody's business where
    assert len(said) < 500


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mid", b""),
        ("text.mid", b"I am a drum loop.\n"),
        ("picture.mid", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("head.mid", b"MThd\0\0\0\6\0\1\0\1\1\xe0"),
        ("long.mid", b"MThd\xff\xff\xff\xff" + b"\xff" * 100),
        ("zip.mid", b"PK\3\4" + bytes(50)),
        ("words.npz", b"PK\3\4" + bytes(50)),
    ],
)
def test_an_upload_that_is_no_midi_is_refused_in_words(name, content):
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        start.read_upload(name, content)


def _note(tick, pitch, channel):
    return (tick, mido.Message("note_on", note=pitch, velocity=90, channel=channel))


def test_an_upload_without_drums_is_refused_in_words(save_midi):
    piano = save_midi("piano.mid", [_note(tick, 60, 0) for tick in (0, 480, 960)]).read_bytes()
    with pytest.raises(ValueError, match="drum"):
        start.read_upload("piano.mid", piano)
    other = save_midi("whistles.mid", [_note(tick, 71, 9) for tick in (0, 480, 960)]).read_bytes()
    with pytest.raises(ValueError, match=r"piano|whistles"):
        start.read_upload("whistles.mid", other)  # drums, but none that the kit has


def test_an_upload_of_hand_percussion_is_read(save_midi):
    bongos = save_midi("bongos.mid", [_note(tick, 60, 9) for tick in (0, 480, 960)]).read_bytes()
    (found,), *_ = start.read_upload("bongos.mid", bongos)
    assert np.argwhere(found.cells).tolist() == [[0, 10], [4, 10], [8, 10]]


def test_a_file_named_after_a_part_is_that_part_wherever_it_lies(save_midi):
    """A melody's file that says it is a hat is one, in the folders of a visitor as well."""
    melody = save_midi("x.mid", [_note(tick, 60, 0) for tick in (0, 240, 720)]).read_bytes()
    with pytest.raises(ValueError, match=r"\w"):
        start.read_upload("melody.mid", melody)
    for name in ("Hi_Hat_01.mid", "../samples/Hi_Hat_01.mid", "C:\\drums\\Hi_Hat_01.MID"):
        (found,), *_ = start.read_upload(name, melody)
        assert np.argwhere(found.cells).tolist() == [[0, 2], [2, 2], [6, 2]]
        assert found.name == "Hi_Hat_01 1"


@settings(max_examples=20)
@given(cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6)), max_size=4), end=st.integers(0, 400))
def test_a_damaged_upload_is_read_or_refused(two_bars, cuts, end):
    content = bytearray(two_bars[1])
    for place, instead in cuts:
        content[place : place + len(instead)] = instead
    try:
        bars, *_ = start.read_upload.__wrapped__("loop.mid", bytes(content[:end]))
    except ValueError:  # the page says it, and asks for another file
        return
    assert bars
    assert all(bar.cells.shape == (16, 12) for bar in bars)


def test_uploads_are_small():
    config = (APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    (limit,) = re.findall(r"(?m)^maxUploadSize *= *(\d+)", config)
    assert 1 <= int(limit) <= 10


# -- the desk ------------------------------------------------------------------------------------


def _said(words, epoch=0, revision=1, locks=(False,) * 12):
    return {"epoch": epoch, "revision": revision, "words": list(words), "locks": list(locks)}


@pytest.fixture
def desk(groove):
    bar = Bar.of(groove, "seed 7")
    return edit.Desk(bar, bar)


def test_a_click_in_the_browser_changes_the_bar(desk):
    first = desk.bar
    words = first.words
    words[3] |= 2048
    desk.receive(_said(words, locks=[True] + [False] * 11))
    assert np.argwhere(desk.bar.cells != first.cells).tolist() == [[3, 0]]
    assert desk.bar.name == "seed 7, edited"
    assert (desk.revision, desk.epoch) == (1, 0)
    assert desk.locks == [True] + [False] * 11
    assert [bar.code for bar in desk.undo] == [first.code]
    desk.receive(_said(first.words, revision=2))
    assert desk.bar == first  # and is called so again
    assert desk.locks == [False] * 12


def test_what_the_browser_said_before_it_knew_is_too_late(desk, groove):
    old = desk.bar
    desk.put(Bar.of(~groove, "x"))
    changed = desk.bar
    for epoch in (0, 2, -1):
        desk.receive(_said(old.words, epoch=epoch, locks=[True] * 12))
        assert desk.bar == changed
        assert desk.locks == [False] * 12
    desk.receive(_said([4095] * 16, epoch=1))
    assert desk.bar.cells.all()


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"words": words}
            for words in ([1] * 12, [1] * 15, [1] * 17, [4096] * 16, [-1] * 16, [2**70] * 16, [1.5] * 16)
        ),
        *({"words": words} for words in (["1"] * 16, [None] * 16, [[1]] * 16, {}, None, [[1], 2], [math.nan] * 16)),
        *({"epoch": epoch} for epoch in (math.inf, math.nan, [], None)),
        *({"revision": "x"}, {"revision": []}, {"locks": [True] * 9}, {"locks": [True] * 13}, {"locks": 5}),
    ],
)
def test_nonsense_changes_nothing(desk, change):
    before = edit.Desk(**vars(desk))
    desk.receive(_said([3] * 16) | change)
    assert desk == before
    desk.receive(_said([3] * 16))
    assert desk.bar.words == [3] * 16


@settings(max_examples=150)
@given(sent=ANYTHING, entry=st.sampled_from(["epoch", "revision", "words", "locks", None]))
def test_anything_from_a_browser_leaves_a_bar_on_the_desk(groove, sent, entry):
    bar = Bar.of(groove, "x")
    desk = edit.Desk(bar, bar)
    for said in (sent, [sent], _said([5] * 16) | ({entry: sent} if entry else {})):
        desk.receive(said)
        assert desk.bar.cells.shape == (16, 12)
        assert len(desk.locks) == 12
        assert all(isinstance(lock, bool) for lock in desk.locks)
        json.dumps([desk.bar.words, desk.locks, desk.epoch, desk.revision])  # what the browser is sent


@given(st.lists(st.none() | st.tuples(st.integers(0, 3), st.booleans()), max_size=25))
def test_undo_goes_back_bar_by_bar(groove, moves):
    """Against a plain pile; what changes nothing is not piled up."""
    bars = [Bar.of(groove, "a")] + [Bar.of(np.roll(groove, i, 0), "b") for i in (1, 2, 3)]
    desk = edit.Desk(bars[0], bars[0])
    pile = [0]
    for move in moves:
        epoch = desk.epoch
        if move is None:
            desk.back()
            pile = pile[:-1] or pile
        elif move[1]:
            desk.put(bars[move[0]])
            assert desk.epoch == epoch + 1
        else:
            desk.receive(_said(bars[move[0]].words, epoch=desk.epoch, revision=desk.revision + 1))
            assert desk.epoch == epoch
        if move is not None and move[0] != pile[-1]:
            pile.append(move[0])
        assert desk.bar.code == bars[pile[-1]].code
        assert desk.bar.name == ("a" if pile[-1] == 0 else "a, edited")
        assert len(desk.undo) == len(pile) - 1


def test_there_is_an_end_to_undo(desk, groove):
    for i in range(1, 131):
        desk.put(Bar.of(np.roll(groove, i % 2, 0), "x"))
    assert len(desk.undo) == 100
    for _ in range(130):
        desk.back()
    assert desk.undo == []
    assert desk.epoch == 230


# -- the pad -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "seed"), [("17", 17), ("seed 17", 17), (" 40 ", 40), ("0", 0), ("007", 7)])
def test_a_typed_seed_is_its_bar(gan, typed, seed):
    assert (morph._corner(typed, {}, 16).cells == gan.sample(1, seed=seed)[0]).all()


def test_a_typed_seed_is_of_the_grid_of_the_pad(gan12):
    assert (morph._corner("17", {}, 12).cells == gan12.sample(1, seed=17)[0]).all()


@pytest.mark.parametrize(
    "typed",
    [
        *("-3", "abc", "٣", "²", "1e9", "1.5", "", " ", "seed", "seed x", "0x10", "1_000", "1 7", None),
        *("9" * 19, "9" * 5000, "nan", "17;", "17\0"),
    ],
)
def test_what_is_no_seed_is_no_corner(typed):
    assert morph._corner(typed, {"seed 5": Bar("A" * 32, "x")}, 16) is None


def test_a_bar_is_chosen_by_its_name(groove):
    bar = Bar.of(groove, "mine")
    assert morph._corner("♥ 17", {"♥ 17": bar}, 16) == bar
    assert morph._corner("17", {"17": bar}, 16) == bar


def test_the_corners_of_the_pad_are_the_very_bars(gan, groove):
    cells = [groove, ~groove, gan.sample(1, seed=9)[0], np.zeros((16, 12), bool)]
    a, b, c, d = corners = tuple(Bar.of(each, name) for each, name in zip(cells, "abcd", strict=True))
    rows = morph._lattice(corners)
    assert [len(row) for row in rows] == [9] * 9
    assert (rows[0][0], rows[0][-1], rows[-1][0], rows[-1][-1]) == (a, b, c, d)
    assert rows[3][5].name == "morph 6, 4"
    assert len({bar.code for row in rows for bar in row}) > 20
    (strip,) = morph._lattice((a, c))
    assert len(strip) == 17
    assert (strip[0], strip[-1]) == (a, c)
    assert len({bar.code for bar in strip}) > 3


def test_the_pad_plays_what_its_corners_were_asked_for(groove):
    """Of corners of one role and style all that lies between them has these; else it may be anything."""
    fill, funk = Condition("fill"), Condition("groove", "funk")
    for first, second, between in ((fill, fill, fill), (funk, funk, funk), (fill, funk, Condition())):
        (strip,) = morph._lattice((Bar.of(groove, "a", first), Bar.of(np.roll(groove, 5, 0), "b", second)))
        assert {bar.asked for bar in strip} == {between}


def test_a_pad_of_triplets_has_bars_of_triplets(shuffle):
    a, b = Bar.of(shuffle, "a"), Bar.of(np.roll(shuffle, 2, 0), "b")
    (strip,) = morph._lattice((a, b))
    assert (strip[0], strip[-1]) == (a, b)
    assert {bar.steps for bar in strip} == {12}


def test_between_a_bar_and_itself_there_is_nothing_else(groove):
    bar, other = Bar.of(groove, "x"), Bar.of(~groove, "y")
    assert set(morph._lattice((bar, bar))[0]) == {bar}
    rows = morph._lattice((bar, other, bar, other))
    assert {row[0] for row in rows} == {bar}
    assert {row[-1] for row in rows} == {other}


def test_little_changes_from_a_field_of_the_pad_to_the_next(gan):
    """Along rows, and down the sides, by half as many cells again as on an even way, and by three at most if that."""
    corners = tuple(Bar.of(cells, name) for cells, name in zip(gan.sample(4, seed=30), "abcd", strict=True))
    rows = np.stack([cells_of(row) for row in morph._lattice(corners)])
    (strip,) = morph._lattice(corners[:2])
    for way in (*rows, rows[:, 0], rows[:, -1], cells_of(strip)):
        changes = (way[1:] != way[:-1]).sum((1, 2))
        assert changes.max() <= max(3, math.ceil(1.5 * (way[0] != way[-1]).sum() / (len(way) - 1)))


@given(ANYTHING | st.lists(st.lists(st.integers(-3, 12) | ANYTHING, max_size=3), max_size=90))
def test_a_path_is_read_from_anything(path):
    rows = [[Bar("A" * 32, "x")] * 9] * 5
    for i, j in (found := morph._readable(path, rows)):
        assert 0 <= i < 9
        assert 0 <= j < 5
        assert rows[j][i]
    assert len(found) <= 64


def test_places_off_the_pad_are_no_part_of_the_path():
    rows = [[None] * 9] * 5
    sent = [[8, 4], [0, 5], [9, 0], [-1, 0], [2, 3], "ab", [1], [1, 2, 3], [1.0, 2], ["1", 2], None, [0, 0]]
    assert morph._readable(sent, rows) == [[8, 4], [2, 3], [0, 0]]
    assert morph._readable([[i % 9, i % 5] for i in range(100)], rows) == [[i % 9, i % 5] for i in range(64)]


def test_the_map_rises_with_density_and_with_syncopation(gan):
    points = morph._map()
    bars = gan.sample(1500)
    assert (np.asarray(points["seed"]) == np.arange(1500)).all()
    np.testing.assert_array_equal(points["density"], bars.sum((1, 2)))
    assert np.corrcoef(points["x"], points["density"])[0, 1] > 0.5
    assert np.corrcoef(points["y"], points["syncopation"])[0, 1] > 0.3


# -- the blind test ------------------------------------------------------------------------------


@pytest.fixture
def pairs(monkeypatch):
    """Six hundred pairs, the same on every run."""
    random.seed(11)
    test = blind.Test()
    test.begin("This project")
    found = []
    for _ in range(600):
        test.heard = {"A"}
        test.next()
        assert test.heard == set()
        assert test.loops is not None
        found.append((test.kinds, [loop.bars[0] for loop in test.loops]))
        assert [len(loop.bars) for loop in test.loops] == [1, 1]
    assert test.done == 0
    return found


def test_the_bars_of_a_pair_are_of_two_kinds_and_differ(pairs):
    pools = blind._pools()
    assert set(pools) == {"GAN", "prior", "steered", "textbook"}
    codes = {kind: {Bar.of(cells, "").code for (cells,) in loops} for kind, loops in pools.items()}
    for kinds, bars in pairs:
        assert kinds[0] != kinds[1]
        assert bars[0].code != bars[1].code
        assert [bar.name for bar in bars] == ["A", "B"]  # a name would tell
        assert all(bar.code in codes[kind] for kind, bar in zip(kinds, bars, strict=True))
        assert all(bar.cells.any() for bar in bars)


def test_every_kind_meets_every_other_on_both_sides_as_often(pairs):
    """Twelve ordered pairs of 600: 50 each, give or take 4.5 · √(600 · 1/12 · 11/12)."""
    counts = {}
    for kinds, _ in pairs:
        counts[kinds] = counts.get(kinds, 0) + 1
    assert len(counts) == 12
    assert all(abs(count - 50) < 30.5 for count in counts.values())
    for kind in blind._pools():
        first, second = (sum(kinds[side] == kind for kinds, _ in pairs) for side in (0, 1))
        assert abs(first - 150) < 48  # 4.5 · √(600 · ¼ · ¾)
        assert abs(second - 150) < 48


def test_bars_of_a_kind_come_in_turn_not_the_same_one_again(pairs):
    chosen = [bar.code for kinds, bars in pairs for kind, bar in zip(kinds, bars, strict=True) if kind == "GAN"]
    assert len(set(chosen)) > 100


def test_two_tests_have_two_listeners():
    assert len({blind.Test().listener for _ in range(50)}) == 50


# -- what the page was started with --------------------------------------------------------------


def _save_words(path, bars, song, names, kit=GM12):
    """A corpus of bars (n, steps, parts) bool of songs."""
    weights = 2 ** np.arange(kit.n_parts)[::-1]
    n = len(bars)
    columns = (np.array(song), np.zeros(n, int), np.arange(n))
    save_corpus(path, Corpus.of((bars * weights).sum(2).astype(np.uint16), *columns, tuple(names), ("x/a.mid",), kit))
    return path


def _names(split, n):
    """Names of songs of a part of the songs."""
    return [name for name in (f"song {i}" for i in range(200)) if split_of(name) == split][:n]


def test_without_options_there_are_no_songs_and_choices_are_among_the_users_data(monkeypatch):
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
    monkeypatch.setenv("RHYTHMGAN_VOTES", "other/votes.db")
    assert options.data_file() == Path("some/bars.npz")
    assert options.votes_file() == Path("other/votes.db")
    assert not songs.are_textbook()


def test_songs_that_models_were_trained_on_are_not_held_out(gan, start_with, tmp_path):
    bars = gan.sample(9, seed=50)
    names = [*_names("train", 1), *_names("test", 2), *_names("valid", 1)]
    bars[5] = bars[4]  # a chorus
    start_with(_save_words(tmp_path / "w.npz", bars, [0, 0, 1, 1, 1, 1, 2, 3, 3], names))
    drawn = songs.held_out_grooves(2000)
    shares = [(drawn == bar).all((1, 2)).mean() for bar in bars]
    # both test songs as often, and in each its bars as it plays them: the chorus is two of four
    assert shares == pytest.approx([0, 0, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 2, 0, 0], abs=0.05)
    assert len(songs.words()) == 9


# -- the page in whole ---------------------------------------------------------------------------


def test_the_first_screen_has_bars_and_no_exception(gan):
    app = _open()
    assert (_cells(app, "gallery") == gan.sample(12, seed=1)).all()
    assert (_cells(app, "hand") == gan.sample(1, seed=1)).all()
    assert _shown(app, "gallery")["kit"]["names"] == list(GM12.names)
    shades = _shown(app, "gallery")["kit"]["shades"]["16"]
    assert len(shades) == 16
    assert shades[0] == max(shades) == 1
    assert len(app.warning) == len(app.toast) == 0


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens(tab):
    app = _open(tab=tab)
    assert app.session_state.tab == tab
    drawn = [each.label for each in app.tabs if len(each.children)]
    assert drawn == [tab]


def test_the_address_says_which_bars_how_wild_how_fast(gan):
    app = _open(seed="39", count="16", temperature="0.6", bpm="97", swing="62")
    assert (_cells(app, "gallery") == gan.sample(16, seed=39, temperature=0.6)).all()
    tempo = _shown(app, "tempo")["tempo"]
    assert tempo["bpm"] == 97
    assert tempo["beats"]["16"][:5] == pytest.approx([0, 0.31, 0.5, 0.81, 1])  # 62 % of half a beat
    assert tempo["beats"]["12"][:4] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (app.session_state.visitor.bpm, app.session_state.visitor.swing) == (97, 0.62)


def test_the_address_says_which_role_style_and_grid(gan, gan12):
    app = _open(role="Fill", style="Hip-hop", count="4")
    assert (_cells(app, "gallery") == gan.with_condition("fill", "hiphop").sample(4, seed=1)).all()
    names = [bar["name"] for bar in _shown(app, "gallery")["bars"]]
    assert names[:2] == ["seed 1, Hip-hop fill", "seed 2, Hip-hop fill"]
    app = _open(grid="Triplets", count="4")
    assert (_cells(app, "gallery") == gan12.sample(4, seed=1)).all()
    assert (_cells(app, "hand") == gan12.sample(1, seed=1)).all()
    app.session_state["role"] = "variation"
    app = _drawn(app.run())
    assert (_cells(app, "gallery") == gan12.with_condition("variation").sample(4, seed=1)).all()


def test_a_style_that_the_model_of_triplets_does_not_know_is_any_style(gan, gan12):
    """Only of some styles there are songs enough in triplets."""
    (style, *_) = sorted(set(gan.styles) - set(gan12.styles))
    for tab, style_key, grid_key, shown in (
        ("Sample", "style", "grid", "gallery"),
        ("Phrase", "phrase-style", "phrase-grid", "phrase"),
    ):
        app = _open(tab=tab, **{style_key: asking.style_name(style), grid_key: "Triplets"})
        assert app.session_state[style_key] == "any"
        app = _open(tab=tab, **{style_key: asking.style_name(style)})
        assert app.session_state[style_key] == style
        app.session_state[grid_key] = 12
        app = _drawn(app.run())
        assert app.session_state[style_key] == "any"
        assert (_cells(app, shown)[0] == gan12.sample(1, seed=1)[0]).all()


def test_the_bar_in_hand_stands_among_real_bars_of_its_role():
    app = _open(role="Fill", count="4")
    words = [bar["words"] for bar in _shown(app, "hand")["bars"]]
    density = int(words_to_bars(np.array(words), 12).sum())
    below = float(load_reference(None, "as_played", "fill", 16, GM12).percentile("density", density))
    assert f"**{density} onsets**, denser than {below:.0f} % of real fills" in app.caption[0].value


def test_a_bar_in_the_address_is_in_hand(groove, shuffle):
    bar = Bar.of(groove, "x")
    app = _open(bar=bar.code)
    assert (_cells(app, "hand") == groove).all()
    assert "**13 onsets**" in app.caption[0].value
    old = base64.urlsafe_b64encode(
        np.packbits(groove[:, :9]).tobytes()
    ).decode()  # a link from when there were nine parts
    assert (_cells(_open(bar=old), "hand") == groove).all()
    app = _open(bar=bar.code, tab="Edit")
    assert _shown(app, "editor")["words"] == bar.words
    triplets = Bar.of(shuffle, "x")
    assert (_cells(_open(bar=triplets.code), "hand") == shuffle).all()
    assert _shown(_open(bar=triplets.code, tab="Edit"), "editor")["words"] == triplets.words


def test_the_same_seed_is_the_same_bar_for_everybody():
    one, other = _open(seed="123", count="4"), _open(seed="121", count="8")
    assert (_cells(one, "gallery") == _cells(other, "gallery")[2:6]).all()
    one.number_input(key="seed").set_value(122)
    assert (_cells(_drawn(one.run()), "gallery") == _cells(other, "gallery")[1:5]).all()


def test_more_goes_on_where_the_gallery_ends_and_the_address_says_so(gan):
    app = _press(_open(seed="39", count="8"), "More")
    assert (_cells(app, "gallery") == gan.sample(8, seed=47)).all()
    assert app.query_params["seed"] in ("47", ["47"])
    app = _press(app, "Surprise me")
    assert (_cells(app, "gallery") == gan.sample(8, seed=app.session_state.seed)).all()


def test_a_bar_that_is_played_is_taken_in_hand(gan):
    app = _open(seed="60", count="4")
    third = _shown(app, "gallery")["bars"][2]
    app = _send(app, "gallery", "taken", [third["code"]])
    assert _shown(app, "hand")["bars"][0]["code"] == third["code"]
    assert app.query_params["bar"] in (third["code"], [third["code"]])
    assert [bar["code"] for bar in _shown(app, "history")["bars"]] == [
        third["code"],
        Bar.of(gan.sample(1, seed=60)[0], "").code,  # the first that was seen
    ]


def test_nobody_sees_what_another_holds():
    one, other = _open(count="4"), _open(count="4")
    codes = [bar["code"] for bar in _shown(one, "gallery")["bars"]]
    one = _send(one, "gallery", "taken", [codes[3]])
    one = _send(one, "gallery", "kept", [[codes[2], True]])
    other = _drawn(other.run())
    assert _shown(one, "favourites")["kept"] == [codes[2]]
    assert _shown(one, "keeper")["favourites"] == [[codes[2], "seed 3"]]
    assert _shown(one, "hand")["bars"][0]["code"] == codes[3]
    assert len(_shown(one, "history")["bars"]) == 2
    assert _shown(other, "favourites")["bars"] == []
    assert _shown(other, "keeper")["favourites"] is None
    assert _shown(other, "hand")["bars"][0]["code"] == codes[0]
    assert len(_shown(other, "history")["bars"]) == 1
    third = _open(count="4")
    assert _shown(third, "keeper")["favourites"] is None


def test_of_quick_clicks_none_is_lost():
    """A server that is busy sees the last of several messages only: each says all that was clicked."""
    app = _open(count="4")
    codes = [bar["code"] for bar in _shown(app, "gallery")["bars"]]
    app = _send(app, "gallery", "taken", [codes[1], codes[3], codes[2]])
    assert _shown(app, "hand")["bars"][0]["code"] == codes[2]
    app = _send(app, "gallery", "kept", [[codes[1], True], [codes[3], True], [codes[0], False]])
    assert _shown(app, "favourites")["kept"] == [codes[3], codes[1]]
    app = _send(app, "gallery", "kept", [[codes[3], True], [codes[1], False]])
    assert _shown(app, "favourites")["kept"] == [codes[3]]


def test_favourites_come_back_from_the_browser(gan):
    app = _open(count="4")
    old = [Bar.of(cells, "of yesterday") for cells in gan.sample(2, seed=900)]
    code = _shown(app, "gallery")["bars"][1]["code"]
    app = _send(app, "gallery", "kept", [[code, True]])
    app = _send(app, "keeper", "found", [[old[0].code, "of yesterday"], ["broken", "x"], [code, "again"], 5])
    assert _shown(app, "keeper")["favourites"] == [[code, "seed 2"], [old[0].code, "of yesterday"]]
    app = _send(_open(), "keeper", "found", [[old[1].code, "x"], [old[1].code, "y"]])
    assert _shown(app, "keeper")["favourites"] == [[old[1].code, "x"]]  # one bar is one favourite


@pytest.mark.parametrize(
    "address",
    [
        {"bar": "xyz", "seed": "-5", "bpm": "abc", "tab": "foo"},
        {"bar": "", "seed": "", "bpm": "", "tab": "", "count": "", "temperature": "", "swing": ""},
        {"bar": "A" * 23 + "=", "seed": "1e3", "count": "5", "temperature": "nan", "swing": "-1"},
        {"bar": "é" * 24, "seed": "9" * 40, "count": "-4", "temperature": "inf", "bpm": "49", "swing": "71"},
        {"seed": "1.5", "count": "10000000", "temperature": "-1", "bpm": "1e400", "swing": "nan"},
        {"seed": ["1", "2"], "bar": ["A" * 24, "xyz"], "bpm": ["60", "x"], "tab": ["Edit", "Data"]},
        {"bar": "A\0" * 12, "seed": "<script>", "count": "٣", "temperature": "0", "bpm": "null", "swing": "[]"},
        {"tab": "Steer", "density": "9999", "syncopation": "-1", "bar": "A" * 24},
        {"tab": "Steer", "density": ["x", "٣"], "syncopation": "1e3", "steer_from": "Nowhere", "closeness": "2"},
        {"tab": "Morph", "way": "Nowhere", "bar": "A" * 24},
        {"tab": "Edit", "bar": "A" * 24},
        {"tab": "Edit", "bar": "_" * 24},
        {"role": "fills", "style": "polka", "grid": "7"},
        {"role": "", "style": "", "grid": ["Triplets", "x"], "bar": "12." + "A" * 23},
        {"tab": "Phrase", "phrase_bars": "3", "phrase_fill": "x", "phrase_grid": "0", "phrase_seed": "-1"},
        {
            "tab": "Phrase",
            "phrase_bars": "",
            "phrase_fill": "",
            "phrase_grid": "",
            "phrase_seed": "",
            "phrase_style": "",
        },
        {"__proto__": "x", "visitor": "x", "desk": "x", "keeper": "x", "editor": "x", "amount": "9e9"},
    ],
)
def test_nonsense_in_the_address_is_no_exception(address):
    app = _open(**address)
    assert app.session_state.tab in TABS
    assert 50 <= app.session_state.bpm <= 200
    if app.session_state.tab == "Sample":
        assert len(_cells(app, "gallery")) == app.session_state.count
        assert 0.5 <= app.session_state.temperature <= 1.2
    assert app.session_state.visitor.hand.cells.shape in ((16, 12), (12, 12))


def test_a_broken_bar_in_the_address_is_said(gan):
    app = _open(bar="xyz")
    assert "no bar that can be read" in app.toast[0].value
    assert (_cells(app, "hand") == gan.sample(1, seed=1)).all()


@pytest.mark.parametrize("event", ["taken", "kept", "found"])
def test_nonsense_from_cards_and_keeper_is_no_exception(event):
    app = _open(count="4")
    hand = _shown(app, "hand")["bars"]
    for value in (None, 5, ["A" * 24], {"a": 1}, "xyz", [[1, 2]]):
        app = _send(app, "keeper" if event == "found" else "gallery", event, value)
    assert _shown(app, "hand")["bars"] == hand
    assert _shown(app, "favourites")["bars"] == []


# -- what is asked for of each bar ---------------------------------------------------------------


@pytest.fixture(scope="module")
def hundred():
    """A hundred bars by hand: 40 of 10 onsets, of syncopation 3 or 5; 60 of 20 onsets, of syncopation 8."""
    return Together(np.repeat([10.0, 20.0], [40, 60]), np.repeat([3.0, 5.0, 8.0], [15, 25, 60]))


def test_what_goes_together_is_what_bars_of_a_density_have(hundred):
    assert hundred.densities == (10, 20)
    assert hundred.syncopations() == (3, 8)
    assert hundred.syncopations(10) == hundred.syncopations(9) == hundred.syncopations(1) == (3, 5)
    assert hundred.syncopations(20) == hundred.syncopations(40) == (8, 8)
    assert hundred.syncopations(15) == (3, 8)  # both are as near


def test_one_rare_bar_in_a_thousand_says_nothing_of_what_goes_together():
    rare = Together(np.r_[np.full(1000, 12.0), 40], np.r_[np.full(1000, 4.0), 19])
    assert rare.densities == (12, 12)
    assert rare.syncopations(12) == rare.syncopations(40) == (4, 4)


def _loop_of(onsets, syncopation, locked_bars=(), locked_parts=()):
    """A start by hand: bars of so many onsets, filled part by part from the kick on."""
    cells = np.stack([(np.arange(16 * 12) < n).reshape(12, 16).T for n in onsets])
    locked = np.zeros(cells.shape, bool)
    locked[list(locked_bars)] = True
    locked[:, :, list(locked_parts)] = True
    return Start(cells, {"density": np.array(onsets, float), "syncopation": np.array(syncopation, float)}, locked)


def test_all_bars_of_a_loop_move_by_as_much(hundred):
    """Of 11, 12 and 16 onsets the mean is 13: three more are 14, 15 and 19."""
    loop = _loop_of([11, 12, 16], [3, 5, 4])
    assert (loop.own("density"), loop.own("syncopation")) == (13, 4)
    density = loop.targets("density", 16, hundred, None)
    assert density == [14, 15, 19]
    assert loop.targets("density", 13, hundred, None) == [11, 12, 16]  # as it is
    assert loop.targets("syncopation", 4, hundred, density) == [3, 5, 4]
    # of 14 onsets bars have 3 to 5, of 15 up to 8, of 19 none has less than 8, but the start has 4
    assert loop.targets("syncopation", 7, hundred, density) == [5, 8, 7]
    assert loop.targets("syncopation", 1, hundred, density) == [3, 3, 4]
    assert loop.targets("syncopation", 7, hundred, None) == [6, 8, 7]


def test_no_bar_of_a_loop_is_asked_for_what_does_not_go_together(hundred):
    loop = _loop_of([11, 12, 25], [3, 5, 9])
    assert loop.targets("density", loop.own("density") + 9, hundred, None) == [20, 20, 25]
    assert loop.targets("density", loop.own("density") - 9, hundred, None) == [10, 10, 16]
    assert loop.offered("density", hundred, None) == (10, 22)  # as the third has 25


def test_locked_bars_have_what_they_have_and_locked_parts_bound_the_density(hundred):
    loop = _loop_of([11, 12, 16], [3, 5, 4], locked_bars=[1])
    assert loop.targets("density", 16, hundred, None) == [14, 12, 19]
    assert loop.targets("syncopation", 2, hundred, None) == [3, 5, 3]
    # 16 kicks and 3 snares: with the kick locked there are never less than 16
    kicks = _loop_of([19], [8], locked_parts=[0])
    assert kicks.offered("density", hundred, None) == (16, 20)
    assert kicks.targets("density", 12, hundred, None) == [16]
    # with all parts but snares locked there are never more than 16 of them
    snares = _loop_of([3], [3], locked_parts=[0, *range(2, 12)])
    assert snares.offered("density", hundred, None) == (3, 19)


def test_bars_from_nothing_have_the_targets_themselves(hundred):
    nothing = Start(np.zeros((0, 16, 12), bool), {}, np.zeros((0, 16, 12), bool))
    assert nothing.own("density") is None
    assert nothing.offered("density", hundred, None) == (10, 20)
    assert nothing.offered("syncopation", hundred, [20.0]) == (8, 8)
    assert nothing.targets("syncopation", 7, hundred, [20.0]) == [7]


# -- steering ------------------------------------------------------------------------------------


def _steering(**address):
    return _open(tab="Steer", **address)


def _set(app, **values):
    """The app after widgets were moved, by their keys with _ for -."""
    for key, value in values.items():
        app.session_state[key.replace("_", "-")] = value
    return _drawn(app.run())


def _versions(app):
    """The bars (versions, m, steps, parts) of the answer, and those (m, steps, parts) of the start before them."""
    loops, cells = _shown(app, "steered")["loops"], _cells(app, "steered")
    (n,) = {loop["n"] for loop in loops}
    several = cells.reshape(-1, n, *cells.shape[1:])
    return (several, None) if loops[0]["begins"] else (several[1:], several[0])


def _library(gan, targets, n=3, **more):
    """What the library answers to what the page asks by default."""
    return steer_bars(targets, n, calls=32, realism=REALISM, generator=gan, **more)


def test_steering_first_asks_for_a_busier_bar_in_hand_and_says_what_was_reached(gan):
    """The same bars as the library's, and its sentence."""
    hand = gan.sample(1, seed=1)
    ((onsets, syncopation),) = models.features_of(hand)
    found = _library(gan, {"density": [onsets + 4], "syncopation": [syncopation]}, given=hand, closeness=CLOSENESS)
    app = _steering()
    versions, begun = _versions(app)
    assert (begun == hand).all()
    kept = {bar.tobytes(): bar for bar in found.after if (bar != hand[0]).any()}
    assert (versions[:, 0] == np.stack(list(kept.values()))).all()
    assert any(found.sentence()[1:] in line.value for line in app.markdown)
    names = [bar["name"] for bar in _shown(app, "steered")["bars"]]
    assert names[:2] == ["seed 1", "seed 1, version 1"]
    assert f"**{onsets:.0f} → {onsets + 4:.0f}**" in _captions(app)
    assert f"**{syncopation:.0f}** as in the start" in _captions(app)


def test_playing_a_result_keeps_the_start_and_the_results():
    app = _steering()
    shown = _shown(app, "steered")["bars"]
    played = shown[2]
    app = _send(app, "steered", "taken", [played["code"]])
    hand = app.session_state.visitor.hand
    assert (hand.code, hand.name) == (played["code"], played["name"])
    assert _shown(app, "steered")["bars"] == shown
    assert _shown(app, "steered")["chosen"] == played["code"]
    app = _send(app, "steered", "kept", [[shown[1]["code"], True]])
    assert _shown(app, "steered")["bars"] == shown
    # nor is it changed by what is played on another tab
    app = _go(app, "Sample")
    app = _send(app, "gallery", "taken", [_shown(app, "gallery")["bars"][8]["code"]])
    app = _go(app, "Steer")
    assert app.session_state.visitor.hand.name == "seed 9"
    assert _shown(app, "steered")["bars"] == shown


def test_another_tab_forgets_nothing_that_was_asked_for():
    app = _steering()
    app = _set(app, to_density=14, to_syncopation=3, closeness=0.8, locked_parts=["snare"], versions=2, calls=8)
    shown = _shown(app, "steered")["bars"]
    app = _go(_go(app, "Edit"), "Steer")
    assert _shown(app, "steered")["bars"] == shown
    assert app.multiselect(key="locked-parts").value == ["snare"]
    assert app.slider(key="to-density").value == 14


def test_the_start_is_changed_by_asking_for_it(gan):
    app = _steering()
    app = _send(app, "steered", "taken", [_shown(app, "steered")["bars"][2]["code"]])
    version = _cells(app, "steered")[2]
    app.button(key="start-from-hand").click()
    app = _drawn(app.run())
    assert (_cells(app, "steered")[0] == version).all()
    assert app.button(key="start-from-hand").disabled  # it is the bar in hand
    # which is as it is until something is asked for
    assert [app.slider(key=f"to-{name}").value for name in models.TARGETS] == list(models.features_of(version[None])[0])
    assert len(_shown(app, "steered")["bars"]) == 1
    assert "stays as it is" in app.info[0].value
    app.button(key="word-Busier").click()
    app = _drawn(app.run())
    versions, begun = _versions(app)
    assert (begun == version).all()
    app = _send(app, "steered", "begun", 1)
    assert (_cells(app, "steered")[0] == versions[0, 0]).all()
    assert "The start is **seed 1, version 1**." in _captions(app)  # a version of a version of it


@pytest.mark.parametrize("sent", [None, "x", -1, 0, 4, 99, 1.5, [1], {"a": 1}])
def test_nonsense_from_the_results_changes_nothing(sent):
    app = _steering()
    shown = _shown(app, "steered")["bars"]
    for event in ("begun", "taken", "kept"):
        app = _send(app, "steered", event, sent)
    assert _shown(app, "steered")["bars"] == shown


def test_bars_come_from_nothing(gan):
    app = _set(_steering(), steer_from="Nothing", to_density=20, to_syncopation=6, versions=4)
    versions, begun = _versions(app)
    assert begun is None
    found = _library(gan, {"density": 20.0, "syncopation": 6.0}, 4)
    assert (versions[:, 0] == found.after).all()
    shown = _shown(app, "steered")
    assert not shown["legend"]
    assert not any("before" in bar for bar in shown["bars"])
    assert not [slider for slider in app.slider if slider.key == "closeness"]
    app = _send(app, "steered", "begun", 2)
    assert (_cells(app, "steered")[0] == found.after[2]).all()


def test_bars_of_seeds_are_steered(gan):
    app = _set(_steering(), steer_from="Seed", steer_seed=40, to_density=18)
    _, begun = _versions(app)
    assert (begun == gan.sample(1, seed=40)).all()
    app = _set(app, steer_seed=41)
    _, begun = _versions(app)
    assert (begun == gan.sample(1, seed=41)).all()
    assert app.slider(key="to-density").value == 18  # what is asked for stays


def test_other_versions_are_those_of_the_next_seeds():
    app = _steering()
    first, _ = _versions(app)
    app.button(key="other-versions").click()
    app = _drawn(app.run())
    assert app.number_input(key="first-version").value == 3
    other, _ = _versions(app)
    assert {bar.tobytes() for bar in first} != {bar.tobytes() for bar in other}
    app = _set(app, first_version=0)
    again, _ = _versions(app)
    assert (again == first).all()


@pytest.mark.parametrize(("word", "name", "change"), [
    ("Busier", "density", 4), ("Calmer", "density", -4), ("More off-beat", "syncopation", 3),
    ("Straighter", "syncopation", -3),
])  # fmt: skip
def test_words_ask_for_numbers_that_stand_beside_them(word, name, change):
    app = _set(_steering(), to_density=20, to_syncopation=6)
    wanted = {"density": 20, "syncopation": 6}
    button = app.button(key=f"word-{word}")
    assert button.label == f"{word} :small[:gray[{wanted[name]} → {wanted[name] + change}]]"
    app = _drawn(button.click().run())
    wanted[name] += change
    assert {name: app.slider(key=f"to-{name}").value for name in wanted} == wanted
    assert app.query_params[name] in (str(wanted[name]), [str(wanted[name])])
    before, after = (_set(app, **{f"asks_{name}": asks}) for asks in (False, True))
    assert after.slider(key=f"to-{name}").value == before.slider(key=f"to-{name}").value == wanted[name]


def test_a_word_asks_for_a_feature_that_was_left_open(gan):
    app = _set(_steering(), asks_density=False, to_syncopation=4)
    hand = gan.sample(1, seed=1)
    found = _library(gan, {"syncopation": [4.0]}, given=hand, closeness=CLOSENESS)
    assert {bar.tobytes() for bar in _versions(app)[0][:, 0]} == {bar.tobytes() for bar in found.after}
    assert "Left open." in _captions(app)
    app = _set(app, asks_syncopation=False)
    assert app.info[0].value == "Ask for a density or a syncopation."
    app = _drawn(app.button(key="word-Busier").click().run())
    assert app.toggle(key="asks-density").value
    assert not app.toggle(key="asks-syncopation").value


def test_what_does_not_go_together_is_not_offered_and_said(groove):
    together = models.together(16, steer.asked())
    ((_, own),) = models.features_of(groove[None])
    app = _steering(bar=Bar.of(groove, "").code)
    bounds = {}
    for density in (20, 45):
        app = _set(app, to_density=density)
        slider = app.slider(key="to-syncopation")
        low, high = together.syncopations(density)
        assert (slider.min, slider.max) == (min(low, own), max(high, own))
        bounds[density] = slider.max
        assert f"Bars of this density have {slider.min:.0f} to {slider.max:.0f}." in _captions(app)
        if density == 20:
            app = _set(app, to_syncopation=int(slider.max))
            assert "You asked for" not in _captions(app)
            assert app.button(key="word-More off-beat").disabled
            assert not app.button(key="word-Straighter").disabled
    assert bounds[45] < bounds[20]
    assert app.slider(key="to-syncopation").value == bounds[45]
    assert f"You asked for {bounds[20]:.0f}, which does not go together with the rest." in _captions(app)


def test_the_address_asks_for_numbers():
    app = _steering(density="17", syncopation="3")
    assert (app.slider(key="to-density").value, app.slider(key="to-syncopation").value) == (17, 3)


def test_bars_of_triplets_are_steered_on_their_grid(shuffle, gan12):
    app = _steering(bar=Bar.of(shuffle, "").code)
    versions, begun = _versions(app)
    assert (begun == shuffle).all()
    assert versions.shape[2:] == (12, 12)
    app = _set(app, steer_from="Seed", steer_seed=7, steer_grid=12, locked_parts=["kick"])
    versions, begun = _versions(app)
    assert (begun == gan12.sample(1, seed=7)).all()
    assert (versions[..., 0] == begun[..., 0]).all()
    app = _set(app, steer_from="Nothing", to_density=17, to_syncopation=4)
    found = steer_bars({"density": 17.0, "syncopation": 4.0}, 3, generator=gan12, prior=load_prior(grid=12))
    assert (_versions(app)[0][:, 0] == found.after).all()


def test_a_shuffle_is_uploaded_on_the_grid_of_triplets(shuffle):
    app = _uploaded("shuffle.mid", midi_bytes(Performance.of(np.stack([shuffle, shuffle]), GM12)))
    app = _set(app, steer_grid=12)
    assert (_cells(app, "steered") == shuffle).all()
    assert len(_cells(app, "steered")) == 2


def test_a_start_that_cannot_be_steered_nearer_is_not_said_to_have_what_is_asked_for(monkeypatch, groove):
    monkeypatch.setattr(steer, "versions_of", lambda bars, found: [])
    bar, calls = Bar.of(groove, ""), 4
    ((_, own),) = models.features_of(groove[None])
    for density, reached, says in ((13, True, "has what you ask for"), (49, False, "Nothing nearer")):

        def success(found, reached=reached):
            return np.full(len(found.after), reached)

        monkeypatch.setattr(SteeringResult, "success", property(success))
        app = _set(_steering(bar=bar.code, density=str(density), syncopation=f"{own:.0f}"), calls=calls)
        assert says in app.info[0].value


@pytest.mark.parametrize("parts", [["kick"], ["snare", "hats"], ["toms", "ride"]])
def test_locked_parts_never_change(gan, parts):
    rows = [i for i, name in enumerate(GM12.names) if any(part.removesuffix("s") in name for part in parts)]
    app = _set(_steering(), steer_from="Seed", locked_parts=parts, versions=8)
    for seed in (5, 40):
        for density, closeness in ((8, 0.0), (30, 0.0), (24, 1.0)):
            app = _set(app, steer_seed=seed, to_density=density, closeness=closeness)
            versions, begun = _versions(app)
            assert (versions != begun).any()
            assert (versions[..., rows] == begun[..., rows]).all()


def test_where_all_is_locked_there_is_nothing_to_steer():
    app = _set(_steering(), locked_parts=list(steer.PARTS))
    assert [line.value for line in app.info] == ["All is locked: open a part or a bar."]
    app = _set(app, locked_parts=["kick"])
    assert _shown(app, "steered")["bars"]


def test_every_part_can_be_locked_in_a_group():
    locked = np.stack([lock_parts(GM12, 16, [part]) for part in steer.PARTS])
    assert (locked.sum(0) == 1).all()  # once


# -- steering a loop -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aaba(groove):
    """A loop of four bars by hand, A A B A: B has seven toms more, and late snares."""
    bars = np.stack([groove] * 4)
    bars[2, 9:, 4] = True
    velocities, offsets = np.full(bars.shape, 70), np.zeros(bars.shape)
    velocities[2, :, 1], offsets[2, :, 1] = 110, 0.25
    return bars, midi_bytes(Performance.of(bars, GM12, velocities, offsets), Playback(94))


def _uploaded(name, content):
    app = _set(_steering(), steer_from="MIDI loop")
    assert len(app.info) == 1  # drop a loop
    app.file_uploader(key="loop").upload(name, content, "audio/midi")
    return _drawn(app.run())


def test_an_uploaded_loop_keeps_its_order_and_its_equal_bars(aaba):
    app = _uploaded("loop.mid", aaba[1])
    assert len(app.warning) == 0
    assert (_cells(app, "steered") == aaba[0]).all()  # as it is
    app = _drawn(app.button(key="word-Busier").click().run())
    versions, begun = _versions(app)
    assert (begun == aaba[0]).all()
    assert len(versions) > 1
    for version in versions:
        assert (version[[1, 3]] == version[0]).all()
        assert (version[2] != version[0]).any()
    shown = _shown(app, "steered")
    assert [loop["name"] for loop in shown["loops"]][:2] == ["loop", "version 1"]
    assert [bar["name"] for bar in shown["bars"]][4:6] == ["loop 1, version 1", "loop 2, version 1"]
    assert [bar["title"] for bar in shown["bars"]][:4] == ["bar 1", "bar 2", "bar 3", "bar 4"]
    assert "**15 → 19** on average, **+4** in each bar" in _captions(app)  # of 13, 13, 20, 13


def test_locked_bars_of_a_loop_never_change(aaba):
    app = _set(_uploaded("loop.mid", aaba[1]), locked_bars=[1, 3], closeness=0.0, to_density=24)
    versions, begun = _versions(app)
    assert (versions[:, [0, 2]] == begun[[0, 2]]).all()
    assert (versions[:, [1, 3]] != begun[[1, 3]]).any((2, 3)).all()
    app = _set(app, locked_bars=[1, 2, 3, 4])
    assert [line.value for line in app.info] == ["All is locked: open a part or a bar."]


def test_a_lock_changes_nothing_of_what_is_asked_for(aaba):
    """It bounds the sliders otherwise, and sliders of other bounds are others to Streamlit."""
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    assert app.slider(key="to-density").value == 19
    for locked in ([3], [1, 3], []):
        app = _set(app, locked_bars=locked)
        for _ in range(2):
            assert app.slider(key="to-density").value == 19
            assert "**15 → 19** on average" in _captions(app)
            app = _drawn(app.run())


def test_a_version_of_a_loop_becomes_the_start_and_stays_a_loop(aaba):
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    versions, _ = _versions(app)
    app = _send(app, "steered", "begun", 2)
    assert (_cells(app, "steered") == versions[1]).all()
    assert "The start is **loop, version 2**." in _captions(app)
    app = _set(app, steer_from="MIDI loop")  # what was uploaded is still there
    assert (_cells(app, "steered")[:4] == aaba[0]).all()


def test_what_changed_is_sent_beside_what_was_there(aaba):
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    shown = _shown(app, "steered")
    assert shown["legend"]
    assert not any("before" in bar for bar in shown["bars"][:4])
    for i, bar in enumerate(shown["bars"][4:]):
        assert bar["before"] == shown["bars"][i % 4]["words"]
        before, after = (words_to_bars(np.array([bar[name]]), 12)[0] for name in ("before", "words"))
        n_added, n_removed = (after & ~before).sum(), (before & ~after).sum()
        said = re.findall(r"(\d+) (added|removed)", bar["note"])
        assert {what: int(n) for n, what in said} == {
            what: n for what, n in (("added", n_added), ("removed", n_removed)) if n
        }
    n_changed = sum(int(n) for n in re.findall(r"(\d+) (?:added|removed)", shown["loops"][1]["note"]))
    assert n_changed == (_versions(app)[0][0] != aaba[0]).sum()


def test_changes_are_counted_by_hand(groove):
    other = groove.copy()
    other[0, 0] = other[4, 1] = False
    other[[1, 3, 5], 3] = True
    loops = tuple(Bar.of(cells, "x") for cells in (groove, other))
    assert steer._changed(loops[:1], loops[1:]) == "3 added, 2 removed"
    assert steer._changed(loops[1:], loops[:1]) == "2 added, 3 removed"
    assert steer._changed(loops, loops) == "nothing changed"
    assert steer._changed((loops[0], loops[0]), (loops[0], loops[1])) == "3 added, 2 removed"
    assert steer._notes(cards.Loop("x", loops[1:], loops[:1]))[0].endswith("\n3 added, 2 removed")


def test_versions_that_are_alike_are_shown_once(groove):
    bar = Bar.of(groove, "mine")
    other = groove.copy()
    other[1, 3] = True
    found = np.stack([groove, other, other, groove, ~groove])
    versions = steer.versions_of((bar,), found)
    assert [(version[0].name, version[0].code) for version in versions] == [
        ("mine, version 1", Bar.of(other, "").code),
        ("mine, version 2", Bar.of(~groove, "").code),
    ]
    named = Bar.of(groove, "mine, version 12")
    assert [version[0].name for version in steer.versions_of((named,), found)] == ["mine, version 1", "mine, version 2"]
    assert [version[0].name for version in steer.versions_of((), found)] == ["steered 1", "steered 2", "steered 3"]
    pairs = steer.versions_of((bar, bar), np.stack([groove, groove, groove, other, other, groove, groove, other]))
    assert [[bar.code for bar in pair] for pair in pairs] == [
        [Bar.of(cells, "").code for cells in pair] for pair in ((groove, other), (other, groove))
    ]


def test_a_steered_loop_comes_whole_bar_by_bar_and_beside_the_file_that_it_was(aaba, monkeypatch):
    asked = []
    monkeypatch.setattr(takeaway, "all_loops", lambda *said: asked.append(said))
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    versions, _ = _versions(app)
    loops, name, _, _, original = asked[-1]
    assert name == "loop steered"
    assert original == aaba[1]
    with zipfile.ZipFile(io.BytesIO(takeaway._zipped_loops(loops, app.session_state.visitor, original))) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    stems = [each.removesuffix(".mid") for each in files if each.endswith(".mid")]
    assert stems[:7] == ["00-original", "01-loop", *(f"01-loop-bar-0{i}" for i in (1, 2, 3, 4)), "02-version-1"]
    assert len(files) == 1 + 2 * 5 * (1 + len(versions))
    assert files["00-original.mid"] == aaba[1]
    mine = app.session_state.visitor.playback(16)
    assert mine.bpm == pytest.approx(94, abs=1e-3)
    whole = Performance.joined([bar.performance for bar in loops[1][1]])
    assert files["02-version-1.mid"] == midi_bytes(whole, mine)
    assert (whole.bars == versions[0]).all()
    for i in range(4):
        assert files[f"02-version-1-bar-0{i + 1}.mid"] == midi_bytes(whole[i : i + 1], mine)
    assert files["01-loop.mid"] == aaba[1]


def test_single_bars_are_files_of_their_own(groove):
    bar = Bar.of(groove, "x")
    data = takeaway._zipped_loops([("start", [bar]), ("version 1", [bar])], session.Visitor(bar, []))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == [
            f"{stem}.{kind}" for stem in ("01-start", "02-version-1") for kind in ("mid", "wav")
        ]


def test_a_steered_loop_keeps_how_it_is_played(aaba):
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    shown = _shown(app, "steered")["bars"]
    before = [words_to_bars(np.array([bar["words"]]), 12)[0] for bar in shown[:4]]
    for i, bar in enumerate(shown[4:]):
        cells = words_to_bars(np.array([bar["words"]]), 12)[0]
        stays = cells & before[i % 4]
        assert stays.any()
        for what in ("gains", "offsets"):
            was, now = (np.array(each["played"][what]) for each in (shown[i % 4], bar))
            np.testing.assert_array_equal(now[stays], was[stays])
        assert set(np.array(bar["played"]["offsets"])[stays].tolist()) <= {0, 0.25}


def test_a_steered_upload_keeps_its_tempo_velocities_and_timing(save_midi):
    """Read back by another library from what the page lets one download: at 94 bpm, 20 ticks early and late."""
    cells = [(0, 36, 0, 117), (2, 42, 20, 41), (4, 38, -20, 96), (8, 36, 7, 55), (12, 38, 20, 101), (14, 42, -13, 63)]
    notes = []
    for step, pitch, late, velocity in cells:
        tick = step * 120 + late
        notes += [(tick, mido.Message("note_on", channel=9, note=pitch, velocity=velocity))]
        notes += [(tick + 30, mido.Message("note_off", channel=9, note=pitch))]
    file = save_midi("loop.mid", [(0, mido.MetaMessage("set_tempo", tempo=round(60e6 / 94))), *notes]).read_bytes()
    app = _uploaded("loop.mid", file)
    mine = app.session_state.visitor
    assert app.slider(key="bpm").value == mine.bpm == 94
    assert mine.exact_bpm == pytest.approx(94, abs=1e-3)
    assert _shown(app, "tempo")["tempo"]["bpm"] == mine.exact_bpm
    (before,) = _shown(app, "steered")["bars"]
    (own,), *_ = start.read_upload("loop.mid", file)
    assert own.sent.items() <= before.items()
    song = pretty_midi.PrettyMIDI(io.BytesIO(takeaway._encoded(FORMATS["midi"], [own], mine)))
    assert song.get_tempo_changes()[1].tolist() == pytest.approx([94], abs=1e-3)
    found = sorted((song.time_to_tick(note.start), note.pitch, note.velocity) for note in song.instruments[0].notes)
    assert found == sorted((step * 120 + late, pitch, velocity) for step, pitch, late, velocity in cells)
    # whoever then moves the slider hears what it shows
    app.slider(key="bpm").set_value(130)
    _drawn(app.run())
    assert app.session_state.visitor.exact_bpm == 130
    assert _shown(app, "tempo")["tempo"]["bpm"] == 130


def test_of_a_long_upload_the_first_bars_are_steered(gan):
    bars = gan.sample(20, seed=3)
    app = _uploaded("song.mid", midi_bytes(Performance.of(bars, GM12)))
    assert (_cells(app, "steered") == bars[:16]).all()
    assert "first 16 of its 20 bars" in _captions(app)
    assert app.slider(key="versions").max == 3


def test_an_upload_that_cannot_be_read_leaves_the_loop_that_was_there(aaba):
    app = _drawn(_uploaded("loop.mid", aaba[1]).button(key="word-Busier").click().run())
    shown = _shown(app, "steered")["bars"]
    app.file_uploader(key="loop").upload("broken.mid", aaba[1][:40], "audio/midi")
    app = _drawn(app.run())
    assert "broken.mid" in app.warning[0].value
    assert _shown(app, "steered")["bars"] == shown


def test_an_upload_that_cannot_be_read_is_a_friendly_line(save_midi, two_bars):
    piano = save_midi("piano.mid", [_note(tick, 60, 0) for tick in (0, 480, 960)]).read_bytes()
    for name, content in (
        ("piano.mid", piano),
        ("broken.mid", two_bars[1][:40]),
        ("empty.mid", b""),
        ("x" * 250 + ".mid", b"y"),
        ("x" * 300 + ".mid", piano),
    ):
        app = _uploaded(name, content)
        assert len(app.warning) == 1, name
        assert "Another file?" in app.warning[0].value


# -- editing -------------------------------------------------------------------------------------


def test_a_bar_is_edited_varied_filled_and_taken_back(groove):
    app = _open(tab="Edit", bar=Bar.of(groove, "").code)
    reported = _shown(app, "editor")
    words = list(reported["words"])
    words[3] |= 2048
    locks = [True, True] + [False] * 10
    app = _send(app, "editor", "edited", _said(words, reported["epoch"], reported["revision"] + 1, locks))
    assert _shown(app, "editor")["words"] == words
    assert app.session_state.visitor.hand.words == words
    assert {metric.label: metric.value for metric in app.metric}["Density"] == "14"
    assert {metric.label: metric.delta for metric in app.metric}["Density"] == "+1"
    edited = _edited(app)
    seen = [edited]
    for label in ("Vary", "Fill the rest"):
        app = _press(app, label)
        now = _edited(app)
        assert (now[:, :2] == edited[:, :2]).all()  # kick and snare are locked
        assert (now != seen[-1]).any()
        seen.append(now)
    app = _press(app, "Clear")
    assert _shown(app, "editor")["words"] == [0] * 16
    for before in reversed(seen):
        app = _press(app, "Undo")
        assert (_edited(app) == before).all()
    app = _press(app, "Undo")
    assert (_cells(_open(bar=app.session_state.visitor.hand.code), "hand")[0] == groove).all()
    (undo,) = (button for button in app.button if button.label == "Undo")
    assert undo.disabled


def test_a_variation_changes_the_share_of_the_onsets_that_is_asked_for(groove):
    """Of 13 onsets: at 5 % one cell, at 25 % three, at 45 % six."""
    for amount, changes in ((5, 1), (25, 3), (45, 6)):
        app = _open(tab="Edit", bar=Bar.of(groove, "").code)
        app.slider(key="amount").set_value(amount)
        app = _press(_drawn(app.run()), "Vary")
        assert (_edited(app) != groove).sum() == changes


def test_a_bar_of_triplets_is_edited_varied_and_filled(shuffle):
    app = _open(tab="Edit", bar=Bar.of(shuffle, "").code)
    reported = _shown(app, "editor")
    words = list(reported["words"])
    words[1] |= 2048
    locks = [True] * 2 + [False] * 10
    app = _send(app, "editor", "edited", _said(words, reported["epoch"], reported["revision"] + 1, locks))
    assert np.argwhere(_edited(app) != shuffle).tolist() == [[1, 0]]
    edited = _edited(app)
    for label in ("Vary", "Fill the rest"):
        app = _press(app, label)
        assert (_edited(app)[:, :2] == edited[:, :2]).all()
        assert (_edited(app) != edited).any()
    assert _edited(_press(app, "Clear")).shape == (12, 12)


def test_a_kick_is_answered_by_a_snare_and_all_else_stays(groove):
    app = _open(tab="Edit", bar=Bar.of(groove, "").code)
    lines = set()
    for seed in (1, 2, 3, 4):
        app = _press(app, "Answer the kick")
        now = _edited(app)
        assert (np.delete(now, 1, 1) == np.delete(groove, 1, 1)).all()
        assert (now[:, 1] == answer(groove[None, :, 0], seed)[0]).all()
        lines.add(now[:, 1].tobytes())
    assert len(lines) > 1
    reported = _shown(app, "editor")
    locks = [False, True] + [False] * 10
    app = _send(app, "editor", "edited", _said(reported["words"], reported["epoch"], reported["revision"] + 1, locks))
    (button,) = (button for button in app.button if button.label == "Answer the kick")
    assert button.disabled


def test_what_follows_a_bar_has_what_is_asked_for(groove):
    app = _open(tab="Edit", bar=Bar.of(groove, "").code)
    app.session_state["continued"] = True
    app.session_state["continue-drums"] = "high"
    app.session_state["continue-cymbals"] = "low"
    app = _drawn(app.run())
    cells = _cells(app, "continue").reshape(4, 2, 16, 12)
    assert (cells[:, 0] == groove).all()
    jaki = fold_bars(groove, GM12, JAKI5)
    found = continue_loop(jaki, {"drums": 12, "cymbals": 2}, 3, 0)
    np.testing.assert_array_equal(fold_bars(cells[0, 1], GM12, JAKI5), found.lstm)
    np.testing.assert_array_equal(fold_bars(cells[1:, 1], GM12, JAKI5), found.tuned)
    assert [loop["note"] == "" for loop in _shown(app, "continue")["loops"]] == [True, *found.reached.tolist()]
    assert found.reached.any()
    app = _send(app, "continue", "begun", 2)
    assert (app.session_state.visitor.hand.cells == cells[2, 1]).all()
    assert (_edited(app) == cells[2, 1]).all()


def test_what_follows_is_of_the_seed_and_played_by_the_parts_of_the_bar(groove):
    """The groove rides the ride cymbal: no closed hat follows."""
    hat, ride = (GM12.names.index(name) for name in ("closed hat", "ride"))
    riding = groove.copy()
    riding[:, [hat, ride]] = groove[:, [ride, hat]]
    app = _open(tab="Edit", bar=Bar.of(riding, "").code)
    app.session_state["continued"] = True
    app.session_state["continue-cymbals"] = "high"
    app.session_state["continue-seed"] = 7
    app = _drawn(app.run())
    following = _cells(app, "continue").reshape(4, 2, 16, 12)[1:, 1]
    jaki = fold_bars(riding, GM12, JAKI5)
    first, second = (continue_loop(jaki, {"cymbals": 12}, 3, seed).tuned for seed in (7, 0))
    assert (first != second).any()
    np.testing.assert_array_equal(fold_bars(following, GM12, JAKI5), first)
    assert following[..., ride].any(1).all()
    assert not following[..., hat].any()


def test_only_bars_that_miss_what_is_asked_for_say_so():
    reached = np.array([True, False, True])
    assert [bool(continuation._note(number, reached)) for number in range(4)] == [False, False, True, False]


def test_bars_of_triplets_are_neither_answered_nor_continued(shuffle):
    app = _open(tab="Edit", bar=Bar.of(shuffle, "").code)
    app.session_state["continued"] = True
    app = _drawn(app.run())
    (button,) = (button for button in app.button if button.label == "Answer the kick")
    assert button.disabled
    assert any("sixteenths only" in caption.value for caption in app.caption)


def test_nonsense_from_the_editor_is_no_exception(groove):
    app = _open(tab="Edit", bar=Bar.of(groove, "").code)
    for sent in (None, 5, [], "x", {}, {"words": [1] * 16}, _said([4096] * 16), _said([1] * 3)):
        app = _send(app, "editor", "edited", sent)
    assert (_edited(app) == groove).all()


# -- morphing ------------------------------------------------------------------------------------


def test_the_pad_shows_the_corners_that_are_typed(gan):
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params |= {"tab": "Morph", "bar": "A" * 32}
    app.session_state["corner-B-16"] = "39"
    rows = _shown(_drawn(app.run()), "pad")["bars"]
    assert [len(row) for row in rows] == [9] * 9
    assert rows[0][0]["words"] == [0] * 16
    assert (words_to_bars(np.array([rows[0][-1]["words"]]), 12) == gan.sample(1, seed=39)).all()
    assert rows[4][4]["density"] == words_to_bars(np.array([rows[4][4]["words"]]), 12).sum()


def test_a_corner_that_is_no_seed_is_said():
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["tab"] = "Morph"
    app.session_state["corner-C-16"] = "-3"
    assert "whole number" in _drawn(app.run()).warning[0].value


def test_a_path_across_the_pad_is_kept_as_it_was_walked():
    app = _open(tab="Morph")
    app = _send(app, "pad", "path", [[0, 0], [1, 0], [1, 1], [99, 1]])
    assert _shown(app, "pad")["path"] == [[0, 0], [1, 0], [1, 1]]
    code = _shown(app, "pad")["bars"][1][0]["code"]
    app = _send(app, "pad", "chosen", code)
    assert app.session_state.visitor.hand.code == code
    assert app.session_state.visitor.path


def test_a_corner_stays_what_it_was_when_another_bar_is_taken_in_hand():
    app = _open(tab="Morph")
    before = _shown(app, "pad")["bars"]
    app = _send(app, "pad", "chosen", before[4][4]["code"])
    assert _shown(app, "pad")["bars"] == before
    app = _drawn(app.selectbox(key="corner-D-16").select("seed 23").run())
    other = _shown(app, "pad")["bars"]
    alike = [
        (x, y)
        for x, y in itertools.product(range(9), range(9))
        if all(sum(bars[y][x]["code"] == bar["code"] for row in bars for bar in row) == 1 for bars in (before, other))
        and before[y][x]["name"] == other[y][x]["name"] == f"morph {x + 1}, {y + 1}"
    ]
    x, y = next((x, y) for x, y in alike if before[y][x]["code"] != other[y][x]["code"])
    for bars in (before, other):  # two of one name
        app = _drawn(app.selectbox(key="corner-D-16").select("seed 40" if bars is before else "seed 23").run())
        app = _send(app, "pad", "chosen", bars[y][x]["code"])
        assert _shown(app, "pad")["bars"] == bars
    assert not app.warning
    name = f"morph {x + 1}, {y + 1}"
    options = app.selectbox(key="corner-A-16").options
    assert options[:2] == [f"{name} (2)", "seed 17"]
    assert {"seed 1", name} < set(options)


def test_the_pad_has_the_grid_of_the_bar_in_hand(shuffle):
    app = _open(tab="Morph")
    triplets = Bar.of(shuffle, "mine")
    app.session_state.visitor.take(triplets)
    app = _drawn(app.run())
    rows = _shown(app, "pad")["bars"]
    assert rows[0][0]["words"] == triplets.words
    assert {len(bar["words"]) for row in rows for bar in row} == {12}
    assert app.selectbox(key="corner-A-12").options[:2] == ["mine", "seed 17, triplets"]
    assert not app.warning


@pytest.mark.parametrize("event", ["path", "chosen", "kept"])
def test_nonsense_from_the_pad_is_no_exception(event):
    app = _open(tab="Morph")
    before = _shown(app, "pad")["path"]
    for sent in (None, 5, True, "x", {"a": 1}, [5], [["a", "b"]], [[[]], {}]):
        app = _send(app, "pad", event, sent)
        assert _shown(app, "pad")["path"] == before


def test_the_map_opens():
    app = _open(tab="Morph", way="Map")
    assert len(app.info) == 1  # a bar comes with a click


# -- phrases -------------------------------------------------------------------------------------


def test_a_phrase_is_the_librarys(gan):
    for fill, n in (("none", 2), ("last", 4), ("songs", 8)):
        (bars,), _ = phrases(gan, load_prior(), [7], n, fill=fill)
        app = _open(tab="Phrase", **{"phrase-seed": "7"})
        app.session_state["phrase-bars"], app.session_state["phrase-fill"] = n, fill
        app = _drawn(app.run())
        assert (_cells(app, "phrase") == bars).all()
        assert _shown(app, "phrase")["together"] == f"Play all {n} bars"
    assert [bar["name"] for bar in _shown(app, "phrase")["bars"]][:2] == ["bar 1, seed 7", "bar 2, seed 7"]


def test_a_phrase_has_the_style_and_the_grid_that_are_asked_for(gan12):
    app = _open(tab="Phrase", **{"phrase-seed": "7", "phrase-style": "Funk", "phrase-grid": "Triplets"})
    assert _cells(app, "phrase").shape == (4, 12, 12)
    assert (_cells(app, "phrase")[0] == gan12.with_condition("groove", "funk").sample(1, seed=7)[0]).all()


# -- choosing ------------------------------------------------------------------------------------


def test_a_choice_is_stored_after_both_were_heard(votes):
    app = _open(tab="Blind test", bpm="97")
    asked = app.session_state.test
    kinds, loops = asked.kinds, asked.loops
    reported = json.dumps({key: value for key, value in _shown(app, "blind").items() if key != "kit"})
    assert not [kind for kind in blind._pools() if kind in reported]
    assert all(button.disabled for button in app.button if "better" in button.label)
    hand = app.session_state.visitor.hand
    app = _send(app, "blind", "taken", [blind.codes_of(loops[0])])
    assert all(button.disabled for button in app.button if "better" in button.label)
    app = _send(app, "blind", "taken", [blind.codes_of(loops[1])])
    assert not any(button.disabled for button in app.button if "better" in button.label)
    assert app.session_state.visitor.hand == hand  # to hear a bar is not to see it
    app = _press(app, "B is better")
    assert results(votes) == [(kinds[1], kinds[0])]
    assert app.session_state.test.loops != loops
    assert all(button.disabled for button in app.button if "better" in button.label)
    assert any("χ²(1) = 1.0" in line.value for line in app.markdown)  # ½² / ½, twice
    other = _open(tab="Blind test")
    assert other.session_state.test.listener != asked.listener
    assert len(other.dataframe) == 2  # the results are everybody's


def test_loops_of_others_are_compared_among_themselves(votes):
    """Their six kinds, in loops of two bars; choices between this project's kinds are no results of theirs."""
    store(votes, Vote("x", "GAN", "prior", "a", "b", 120, 0.5, True))
    app = _open(tab="Blind test", contest="Ravula & Cao, 2019")
    test = app.session_state.test
    pools = blind._pools_of_ravula_and_cao()
    assert len(pools) == 6
    assert set(test.kinds) < set(pools)
    shown = _shown(app, "blind")["bars"]
    assert [entry["code"] for entry in shown] == [blind.codes_of(loop) for loop in test.loops]
    for entry, kind in zip(shown, test.kinds, strict=True):
        assert entry["code"].split() == [bar["code"] for bar in entry["bars"]]
        assert len(entry["bars"]) == 2
        assert not any(other in json.dumps(entry["bars"]) for other in pools), kind
    assert app.caption[-1].value == "No choices yet."
    for loop in test.loops:
        app = _send(app, "blind", "taken", [blind.codes_of(loop)])
    kinds = test.kinds
    app = _press(app, "A is better")
    assert results(votes) == [("GAN", "prior"), kinds]
    assert list(app.dataframe[0].value["won"]) == [1, 0]


def test_loops_of_others_play_one_part_a_step():
    for loops in blind._pools_of_ravula_and_cao().values():
        assert len(loops) > 150
        cells = np.stack(loops)
        assert cells.shape[1:] == (2, 16, 12)
        assert cells.sum(3).max() == 1


def test_two_bars_that_were_heard_in_quick_turn_are_both_heard():
    app = _open(tab="Blind test")
    app = _send(app, "blind", "taken", [blind.codes_of(loop) for loop in app.session_state.test.loops])
    assert not any(button.disabled for button in app.button if "better" in button.label)


def test_a_second_click_is_no_choice_between_bars_that_nobody_heard(votes):
    """It comes before the page could say that there are other bars now."""
    app = _open(tab="Blind test")
    for loop in app.session_state.test.loops:
        app = _send(app, "blind", "taken", [blind.codes_of(loop)])
    app.button(key="choose-A").click()
    click = app._tree.get_widget_states()
    app = _drawn(app._run(click))
    app = _drawn(app._run(click))
    assert len(results(votes)) == 1
    assert app.session_state.test.done == 1


def test_choices_that_cannot_be_kept_are_said(votes):
    votes.write_bytes(b"a letter, no base of choices\n" * 50)
    app = _open(tab="Blind test")
    assert votes.name in app.warning[0].value
    for name in "AB":
        (loop,) = [loop for loop in app.session_state.test.loops if loop.name == name]
        app = _send(app, "blind", "taken", [blind.codes_of(loop)])
    app = _press(app, "A is better")
    assert votes.name in app.toast[0].value
    assert app.session_state.test.done == 0


# -- songs ---------------------------------------------------------------------------------------


def test_songs_are_browsed_with_those_of_most_different_bars_first(gan, start_with, tmp_path):
    bars = gan.sample(40, seed=300)
    names = [*_names("train", 1), *_names("test", 1)]
    song = [0] * 10 + [1] * 30
    start_with(_save_words(tmp_path / "w.npz", bars, song, names))
    app = _open(tab="Data")
    assert app.selectbox(key="song").value == 1
    assert (_cells(app, "songs") == bars[10:34]).all()  # a page of 24
    app.selectbox(key="song").set_value(0)
    assert (_cells(_drawn(app.run()), "songs") == bars[:10]).all()


def test_bars_of_songs_sound_as_they_were_played(start_with, tmp_path):
    """A loud backbeat, 20 ticks late, and soft hats."""
    bars = np.zeros((3, 16, 12), bool)
    bars[:, ::2, 2] = bars[:, [4, 12], 1] = bars[:, 0, 0] = True
    bars[1, 6, 0] = bars[2, 10, 0] = True
    velocities, offsets = np.full(bars.shape, 30), np.zeros(bars.shape)
    velocities[:, :, 1], offsets[:, :, 1] = 120, 1 / 6
    (tmp_path / "in").mkdir()
    write_midi(tmp_path / "in" / "a.mid", Performance.of(bars, GM12, velocities, offsets))
    prepare(tmp_path / "in", tmp_path / "w.npz", workers=1)
    start_with(tmp_path / "w.npz")
    app = _open(tab="Data")
    assert len(_shown(app, "songs")["bars"]) == 3
    for shown in _shown(app, "songs")["bars"]:
        played = shown["played"]
        assert played["offsets"][4][1] == pytest.approx(1 / 6, abs=1 / 256)
        assert played["offsets"][4][2] == 0
        assert played["gains"][4][1] > 5 * played["gains"][4][2] > 0


def test_songs_are_shown_with_all_their_parts(start_with, tmp_path):
    bars = np.random.default_rng(0).random((30, 16, 12)) < 0.3
    bars[28] = False
    bars[28, 3, 9] = True  # a shaker only
    start_with(_save_words(tmp_path / "w.npz", bars, [0] * 30, _names("test", 1)))
    app = _open(tab="Data")
    shown = _shown(app, "songs")["bars"]
    assert (_cells(app, "songs") == bars[:24]).all()
    assert shown[0]["note"].startswith(f"groove, played once · {bars[0].sum()} onsets · syncopation ")
    np.testing.assert_array_equal(data._real("distinct", "any", 16)["density"], bars.sum((1, 2)))
    codes = {Bar.of(each, "").code for (each,) in blind._pools()["real"]}
    assert codes <= {Bar.of(each, "").code for each in bars}
    assert len(codes) > 25  # of 30, drawn 200 times


def test_songs_of_nine_parts_are_shown_in_twelve(start_with, tmp_path):
    bars = np.random.default_rng(0).random((5, 16, 9)) < 0.3
    start_with(_save_words(tmp_path / "w.npz", bars, [0] * 5, _names("test", 1), GM9))
    assert (_cells(_open(tab="Data"), "songs") == in_page_kit(bars)).all()
    np.testing.assert_array_equal(data._real("distinct", "any", 16)["density"], bars.sum((1, 2)))


def test_songs_whose_names_are_no_text_are_shown(gan, start_with, tmp_path):
    """Files from another system: bytes that are no UTF-8 come as lone surrogates, which no browser can be sent."""
    bars = gan.sample(6, seed=300)
    names = ["caf\udce9", "caf\udce8", "plain"]
    start_with(_save_words(tmp_path / "w.npz", bars, [0, 0, 0, 1, 1, 2], names))
    assert songs.titles() == ("caf\ufffd", "caf\ufffd (2)", "plain")
    app = _open(tab="Data")
    assert [bar["name"] for bar in _shown(app, "songs")["bars"]] == [f"bar {i}, caf\ufffd" for i in (1, 2, 3)]
    app.selectbox(key="song").set_value(1)
    assert (_cells(_drawn(app.run()), "songs") == bars[3:5]).all()
    app.session_state["look"] = "Features"
    _drawn(app.run())
    _open(tab="Blind test")


def test_real_bars_of_the_blind_test_are_of_songs_that_no_model_heard(gan, start_with, tmp_path):
    bars = gan.sample(8, seed=300)
    names = [*_names("train", 1), *_names("test", 1)]
    start_with(_save_words(tmp_path / "w.npz", bars, [0] * 5 + [1] * 3, names))
    _open(tab="Blind test")
    real = blind._pools()["real"]
    assert {Bar.of(each, "").code for (each,) in real} == {Bar.of(each, "").code for each in bars[5:]}


def test_features_of_songs_that_no_model_heard_are_shown(gan, start_with, tmp_path):
    bars = gan.sample(8, seed=300)
    start_with(_save_words(tmp_path / "w.npz", bars, [0] * 5 + [1] * 3, [*_names("train", 1), *_names("test", 1)]))
    app = _open(tab="Data")
    app.session_state["look"] = "Features"
    assert "each song's distinct bars" in " ".join(caption.value for caption in _drawn(app.run()).caption)
    np.testing.assert_array_equal(data._real("distinct", "any", 16)["density"], bars[5:].sum((1, 2)))


@pytest.mark.parametrize("tab", ["Data", "Blind test"])
def test_songs_that_were_all_trained_on_are_no_exception(gan, start_with, tmp_path, tab):
    start_with(_save_words(tmp_path / "w.npz", gan.sample(3), [0] * 3, _names("train", 1)))
    app = _open(tab=tab)
    if tab == "Data":
        app.session_state["look"] = "Features"
        _drawn(app.run())
    else:
        for _ in range(12):  # of any kinds
            app = _press(app, "Another pair")


@pytest.mark.parametrize("tab", ["Data", "Blind test"])
@pytest.mark.parametrize("kind", ["missing", "broken", "folder", "other kit"])
def test_a_words_file_that_cannot_be_shown_is_said(start_with, tmp_path, tab, kind):
    path = tmp_path / "words.npz"
    if kind == "broken":
        path.write_bytes(b"PK\3\4" + bytes(99))
    elif kind == "folder":
        path.mkdir()
    elif kind == "other kit":
        _save_words(path, np.ones((2, 16, 5), bool), [0, 0], _names("test", 1), JAKI5)
    start_with(path)
    app = _open(tab=tab)
    said = [each.value for each in [*app.warning, *app.error, *app.toast]]
    assert any("words.npz" in line for line in said)


def test_features_of_real_and_generated_bars_are_shown():
    app = _open(tab="Data")
    app.session_state["look"] = "Features"
    _drawn(app.run())
    assert app.multiselect(key="features").value == ["density", "syncopation", "off-beat share", "parts used"]
    assert len(_charts(app)) == 4


def _charts(app):
    """The charts, as the browser is sent them."""
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")]


def _captions(app):
    return " ".join(caption.value for caption in app.caption)


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
        cells = (np.arange(steps * 12) < np.array(onsets)[:, None]).reshape(-1, steps, 12)
        columns = np.array(song), np.array(song), np.arange(len(song))
        corpora.append(Corpus.of(bars_to_words(cells), *columns, names, ("x/a.mid", "x/b.mid"), GM12, role))
    save_corpus(tmp_path / "w.npz", *corpora)
    start_with(tmp_path / "w.npz")


def test_roles_and_plays_of_a_songs_bars_are_said(song_of_roles):
    app = _open(tab="Data")
    groove, fill = _shown(app, "songs")["bars"]
    assert groove["note"].startswith("groove, played 4 times · 3 onsets · ")
    assert fill["note"].startswith("fill, played once · 9 onsets · ")
    assert "Not shown are bars of this song on other grids than 16 steps: 1 on 12 steps." in _captions(app)
    app.selectbox(key="song").set_value(1)
    (groove,) = _shown(_drawn(app.run()), "songs")["bars"]
    assert groove["note"].startswith("groove, played once · 7 onsets · ")
    assert "Not shown" not in _captions(app)


def test_real_bars_are_chosen_by_reference_role_and_grid(song_of_roles):
    app = _open(tab="Data")
    app.session_state["look"] = "Features"
    app = _drawn(app.run())
    assert sorted(data._real("distinct", "any", 16)["density"]) == [3, 7, 9]
    assert "Real bars of songs that no model was trained on: each song's distinct bars, each once" in _captions(app)
    app.session_state["reference"] = "as_played"
    app = _drawn(app.run())
    assert "each song weighs the same, and in it each bar as often as it is played" in _captions(app)
    played = data._real("as_played", "any", 16)["density"]  # half of song 0, of which one in five is the fill
    assert [(played == onsets).mean() for onsets in (3, 7, 9)] == pytest.approx([0.4, 0.5, 0.1], abs=0.03)
    app.session_state["real-role"] = "fill"
    _drawn(app.run())
    assert data._real("as_played", "fill", 16)["density"].tolist() == [9] * 4000
    app.session_state["real-role"] = "any"
    app.session_state["real-grid"] = 12
    app = _drawn(app.run())
    assert data._real("as_played", "any", 12)["density"].tolist() == [5] * 4000
    assert "4,000 bars of the GAN beside them, asked for the same role." in _captions(app)
    assert len(_charts(app)) == 4
    for role, grid, says in (
        ("variation", 16, "There are no variation bars of 16 steps here."),
        ("any", 24, "There are no bars of 24 steps here."),
    ):
        app.session_state["real-role"], app.session_state["real-grid"] = role, grid
        app = _drawn(app.run())
        assert [each.value for each in app.info] == [says]
        assert not _charts(app)


def test_features_that_a_grid_has_not_are_named(song_of_roles):
    app = _open(tab="Data")
    app.session_state["look"] = "Features"
    _drawn(app.run())
    app.session_state["real-grid"] = 12
    app.session_state["features"] = ["density", "Keith"]
    app = _drawn(app.run())
    assert "Not defined on 12 steps: Keith." in _captions(app)
    assert len(_charts(app)) == 1


def test_without_songs_real_bars_are_those_of_the_bundled_references():
    app = _open(tab="Data")
    app.session_state["look"] = "Features"
    _drawn(app.run())
    for kind in ("distinct", "as_played"):
        for role in ("any", "groove", "variation", "fill"):
            real = load_reference(None, kind, role, 16, GM12)
            assert data._real(kind, role, 16)["density"].tolist() == real.quantiles["density"].tolist()
    assert data._real("distinct", "any", 48) == {}
