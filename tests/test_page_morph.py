"""Morph: the loops between others, the pad that moves among them, paths, and the map of seeds."""

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from browsing import PLAYER, ROOT, bars_of, download, open_tab, settled, wait_for_sound
from streamlit.testing.v1 import AppTest
from visiting import ANYTHING, drawn, press, send, shown

from page import models, morph
from page.lattice import SIDE, STRIP, Lattice
from page.loop import KIT, Loop
from page.morph import Pad
from page.session import Visitor
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.conditions import Condition
from rhythmgan.performance import Performance

pytest_plugins = ["browsing", "visiting"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _cells(*onsets, n_bars=1, steps=16):
    """Cells (n_bars, steps, 12) that sound at (bar, step, part)."""
    cells = np.zeros((n_bars, steps, 12), bool)
    for bar, step, part in onsets:
        cells[bar, step, part] = True
    return cells


@pytest.fixture(scope="module")
def gan(one_thread):
    return models.generator()


@pytest.fixture(scope="module")
def four(gan):
    """Four loops of seeds: A B A C of two seeds and a third, and shorter ones."""
    bars = gan.sample(8, seed=300)
    return (
        Loop.of(bars[[0, 1, 0, 2]], "a"),
        Loop.of(bars[[3, 4]], "b"),
        Loop.of(bars[5], "c"),
        Loop.of(bars[[6, 6, 6, 7]], "d"),
    )


@pytest.fixture(scope="module")
def pad(gan, four):
    return Lattice.between(gan, four)


# -- the loops between others ---------------------------------------------------------------------


def test_the_corners_of_the_pad_are_the_very_loops_and_shorter_ones_repeat(pad, four):
    assert (pad.n_columns, pad.n_rows, pad.cells.shape[2]) == (SIDE, SIDE, 4)
    a, b, c, d = four
    for corner, (column, row), places in (
        (a, (0, 0), [0, 1, 2, 3]),
        (b, (8, 0), [0, 1, 0, 1]),
        (c, (0, 8), [0, 0, 0, 0]),
        (d, (8, 8), [0, 1, 2, 3]),
    ):
        assert (pad.loop(column, row).cells == corner.cells[places]).all()
    assert pad.loop(0, 0).code == a.code
    assert pad.loop(5, 3).name == "morph 6, 4"
    assert len({pad.loop(i, j).code for i in range(9) for j in range(9)}) > 40


def test_every_bar_of_the_pad_is_the_morph_of_the_bars_of_its_number(gan, four, pad):
    """Bar by bar the pad is that of single bars: what stands beside a bar changes nothing."""
    for bar in (0, 3):
        alone = Lattice.between(gan, [corner.with_n_bars(4).bars[bar] for corner in four])
        assert (pad.cells[:, :, bar] == alone.cells[:, :, 0]).all()
    assert (pad.cells[:, :, 0] == pad.cells[:, :, 2]).all()  # where all corners have the same bars
    assert not (pad.cells[:, :, 0] == pad.cells[:, :, 1]).all()


def test_little_changes_from_a_field_of_the_pad_to_the_next(gan, four, pad):
    """Of each bar, along rows and down the sides, half as many cells again as on an even way, or three."""
    strip = Lattice.between(gan, four[:2])
    assert (strip.n_columns, strip.n_rows) == (STRIP, 1)
    ways = [*pad.cells, pad.cells[:, 0], pad.cells[:, -1], *strip.cells]
    for way in ways:
        for bar in np.moveaxis(way, 1, 0):
            changes = (bar[1:] != bar[:-1]).sum((1, 2))
            assert changes.max() <= max(3, math.ceil(1.5 * (bar[0] != bar[-1]).sum() / (len(bar) - 1)))


def test_between_a_loop_and_itself_there_is_nothing_else(gan, groove):
    one, other = Loop.of(groove, "x"), Loop.of(~groove, "y")
    strip = Lattice.between(gan, (one, one))
    assert {strip.loop(i, 0).code for i in range(17)} == {one.code}
    sides = Lattice.between(gan, (one, other, one, other))
    assert {sides.loop(0, j).code for j in range(9)} == {one.code}
    assert {sides.loop(8, j).code for j in range(9)} == {other.code}


def test_silence_is_a_corner_like_any_other(gan, groove):
    silence = Loop.of(np.zeros((16, 12), bool), "silence")
    strip = Lattice.between(gan, (silence, Loop.of(groove, "x")))
    density = strip.cells.sum((2, 3, 4))[0]
    assert (density[0], density[-1]) == (0, groove.sum())
    assert (np.diff(density) >= 0).all()


def test_a_pad_of_triplets_has_bars_of_triplets(one_thread, shuffle):
    a, b = Loop.of(shuffle, "a"), Loop.of(np.roll(shuffle, 2, 0), "b")
    strip = Lattice.between(models.generator(12), (a, b))
    assert [strip.loop(i, 0).steps for i in (0, 8, 16)] == [12] * 3
    assert (strip.loop(0, 0).code, strip.loop(16, 0).code) == (a.code, b.code)


def test_what_lies_between_loops_of_one_role_and_style_is_asked_for_them(one_thread, groove):
    """Of corners of one role and style all that lies between them has these; else it may be anything."""
    fill, funk = Condition("fill"), Condition("groove", "funk")
    for first, second, between in ((fill, fill, fill), (funk, funk, funk), (fill, funk, Condition())):
        strip = morph._lattice((Loop.of(groove, "a", first), Loop.of(np.roll(groove, 5, 0), "b", second)))
        assert {strip.loop(i, 0).asked for i in range(17)} == {between}


def test_a_loop_of_the_pad_is_found_again(pad, four):
    assert pad.place_of(four[0]) == [0, 0]
    assert pad.place_of(four[1].with_n_bars(4)) == [8, 0]
    assert pad.place_of(four[1]) is None  # of two bars
    assert pad.loop(*pad.place_of(pad.loop(3, 6))) == pad.loop(3, 6)


def test_of_several_places_with_the_same_loop_the_first_is_found(gan, groove):
    """Row by row from the top: of a pad whose sides are one loop each, the corners of the first row."""
    one, other = Loop.of(groove, "x"), Loop.of(~groove, "y")
    sides = Lattice.between(gan, (one, other, one, other))
    assert (sides.place_of(one), sides.place_of(other)) == ([0, 0], [8, 0])


# -- how they are played --------------------------------------------------------------------------


def _strip_by_hand(corners, cells):
    """The lattice of two loops in which every place has these cells."""
    return Lattice(corners, np.stack([cells] * 17)[None], Condition())


def test_a_cell_is_as_loud_and_as_late_as_on_the_average_of_the_corners_by_nearness():
    """The kick sounds in both, 40 loud and .25 late in one, 104 and .1 early in the other; the snare in the other."""
    both = _cells((0, 0, 0), (0, 4, 1))
    velocities, offsets = np.ones((2, 1, 16, 12), int), np.zeros((2, 1, 16, 12))
    velocities[0, 0, 0, 0], offsets[0, 0, 0, 0] = 40, 0.25
    velocities[1, 0, 0, 0], offsets[1, 0, 0, 0] = 104, -0.1
    velocities[1, 0, 4, 1] = 77
    first = Loop.of(Performance.of(_cells((0, 0, 0)), KIT, velocities[0], offsets[0]), "a")
    second = Loop.of(Performance.of(both, KIT, velocities[1], offsets[1]), "b")
    strip = _strip_by_hand((first, second), both)
    for column, kick, late, snare in ((4, 56, 0.1625, 77), (8, 72, 0.075, 77), (16, 104, -0.1, 77)):
        played = strip.loop(column, 0).performance
        assert played.velocities[0, 0, 0] == kick
        assert played.offsets[0, 0, 0] == pytest.approx(late, abs=1e-6)
        assert (played.velocities[0, 4, 1], played.offsets[0, 4, 1]) == (snare, 0)


def test_means_are_rounded_half_up():
    """Of 41 and 44 at 8 of 16 the mean is 42.5; a mean of offsets of -1 and -2 parts is -1.5."""
    kick = _cells((0, 0, 0))
    first = Loop.of(Performance.of(kick, KIT, kick * 41, kick * (-1 / 2000)), "a")
    second = Loop.of(Performance.of(kick, KIT, kick * 44, kick * (-2 / 2000)), "b")
    played = _strip_by_hand((first, second), kick).loop(8, 0).performance
    assert played.velocities[0, 0, 0] == 43
    assert played.offsets[0, 0, 0] == pytest.approx(-1 / 2000)


def _played(loop, seed):
    """A loop at velocities and offsets of a seed."""
    rng = np.random.default_rng(seed)
    shape = loop.cells.shape
    return Loop.of(
        Performance.of(loop.cells, KIT, rng.integers(1, 128, shape), rng.uniform(-0.5, 0.5, shape)), loop.name
    )


@pytest.fixture(scope="module")
def played_pad(gan, four):
    """The pad of the four, of which the first and the last are played."""
    return Lattice.between(gan, (_played(four[0], 1), four[1], four[2], _played(four[3], 2)))


def test_the_corners_are_played_as_they_are(played_pad, four):
    assert played_pad.loop(0, 0).code == _played(four[0], 1).code
    assert played_pad.loop(8, 8).code == _played(four[3], 2).code
    assert played_pad.loop(8, 0).code == four[1].with_n_bars(4).code  # accents on the grid
    assert not played_pad.loop(4, 4).plain


def test_every_cell_of_the_pad_is_played_within_what_the_corners_play(played_pad):
    corners = [corner.performance for corner in played_pad.corners]
    for row in range(9):
        for column in range(9):
            played = played_pad.loop(column, row).performance
            for cell in zip(*np.nonzero(played.bars), strict=True):
                heard = [corner for corner in corners if corner.bars[cell]]
                velocities = [int(corner.velocities[cell]) for corner in heard]
                offsets = [float(corner.offsets[cell]) for corner in heard]
                assert min(velocities) <= played.velocities[cell] <= max(velocities)
                assert min(offsets) - 1e-3 <= played.offsets[cell] <= max(offsets) + 1e-3


# -- what the browser is sent ---------------------------------------------------------------------


def _words(letters):
    return [
        64 * LETTERS.index(high) + LETTERS.index(low) for high, low in zip(letters[::2], letters[1::2], strict=True)
    ]


@pytest.mark.parametrize("steps", [16, 12])
def test_the_script_finds_every_loop_and_its_code_in_what_it_is_sent(one_thread, steps):
    model = models.generator(steps)
    corners = [Loop.of(bars, "x") for bars in model.sample(8, seed=70).reshape(4, 2, steps, 12)]
    pad = Lattice.between(model, corners)
    sent = json.loads(json.dumps(pad.sent))
    assert sent["playing"] is None
    for row in range(9):
        for column in range(9):
            letters = [sent["letters"][bar] for bar in sent["bars"][row][column]]
            loop = pad.loop(column, row)
            assert sent["head"] + "".join(letters) == loop.code
            assert [_words(each) for each in letters] == bars_to_words(loop.cells).tolist()


def test_bars_are_sent_once_and_playing_of_cells_that_sound_only(pad, played_pad):
    assert len(set(pad.sent["letters"])) == len(pad.sent["letters"])
    assert len(json.dumps(pad.sent)) < 20_000
    assert played_pad.sent["head"] == ""
    for sent, corner in zip(played_pad.sent["playing"], played_pad.corners, strict=True):
        performance = corner.performance
        for bar in range(4):
            cells = performance.bars[bar]
            assert sent["velocities"][bar] == performance.velocities[bar][cells].tolist()
            assert sent["offsets"][bar] == np.rint(performance.offsets[bar][cells] * 2000).astype(int).tolist()


# -- paths ----------------------------------------------------------------------------------------


def test_a_path_becomes_a_loop_of_one_place_a_bar(pad):
    path = [[0, 0], [1, 0], [2, 0], [3, 1], [4, 2]]
    loop, places = pad.along(path, 4)
    assert places == [[0, 0], [1, 0], [3, 1], [4, 2]]  # a third of the way is 1.33 places, two thirds 2.67
    assert loop.name == "path, 4 bars"
    for bar, place in enumerate(places):
        assert (loop.cells[bar] == pad.loop(*place).cells[bar]).all()
    eight, places = pad.along(path[:2], 8)
    assert places == [[0, 0]] * 4 + [[1, 0]] * 4
    assert (eight.cells[5] == pad.loop(1, 0).cells[1]).all()  # the fifth bar is the first of the next time round
    one, places = pad.along(path, 1)
    assert (places, one.name, one.n_bars) == ([[4, 2]], "path, 1 bar", 1)


def test_a_path_between_loops_of_one_role_is_of_that_role(one_thread, groove):
    fill = Condition("fill")
    strip = morph._lattice((Loop.of(groove, "a", fill), Loop.of(np.roll(groove, 5, 0), "b", fill)))
    assert strip.along([[0, 0], [16, 0]], 2)[0].asked == fill


def test_a_path_keeps_how_its_loops_are_played(played_pad):
    loop, places = played_pad.along([[0, 0], [4, 4], [8, 8]], 2)
    assert places == [[0, 0], [8, 8]]
    for bar, place in enumerate(places):
        whole = played_pad.loop(*place).performance
        assert (loop.performance.velocities[bar] == whole.velocities[bar]).all()
        assert (loop.performance.offsets[bar] == whole.offsets[bar]).all()


@given(ANYTHING | st.lists(st.lists(st.integers(-3, 12) | ANYTHING, max_size=3), max_size=90))
def test_a_path_is_read_from_anything(path):
    lattice = Lattice((), np.zeros((5, 9, 1, 16, 12), bool), Condition())
    for i, j in (found := morph._readable(path, lattice)):
        assert 0 <= i < 9
        assert 0 <= j < 5
    assert len(found) <= 64


def test_places_off_the_pad_are_no_part_of_the_path():
    lattice = Lattice((), np.zeros((5, 9, 1, 16, 12), bool), Condition())
    sent = [[8, 4], [0, 5], [9, 0], [-1, 0], [2, 3], "ab", [1], [1, 2, 3], [1.0, 2], ["1", 2], [True, 1], None, [0, 0]]
    assert morph._readable(sent, lattice) == [[8, 4], [2, 3], [0, 0]]
    # of a long one the latest places are kept
    assert morph._readable([[i % 9, i % 5] for i in range(100)], lattice) == [[i % 9, i % 5] for i in range(36, 100)]


@given(ANYTHING, st.sampled_from(["epoch", "revision", "path"]), ANYTHING)
def test_whatever_a_browser_says_a_pad_has_a_path_and_numbers(said, name, value):
    lattice = Lattice((), np.zeros((9, 9, 1, 16, 12), bool), Condition())
    pad = Pad([], epoch=3, path=[[1, 1]])
    for sent in (said, {"epoch": 3, "revision": 1, "path": [[2, 2]], name: value}):
        pad.receive(sent, lattice)
        assert type(pad.revision) is int
        assert all(0 <= i < 9 and 0 <= j < 9 for i, j in pad.path)
        assert pad.path


def test_what_the_browser_says_of_earlier_corners_is_too_late():
    lattice = Lattice((), np.zeros((9, 9, 1, 16, 12), bool), Condition())
    pad = Pad([], epoch=3, path=[[1, 1]])
    assert not pad.receive({"epoch": 2, "revision": 1, "path": [[2, 2]]}, lattice)
    assert (pad.path, pad.revision) == ([[1, 1]], 0)
    assert pad.receive({"epoch": 3, "revision": 1, "path": [[2, 2]]}, lattice)
    assert (pad.path, pad.revision) == ([[2, 2]], 1)


# -- the panel ------------------------------------------------------------------------------------


def _script():
    """A page of one panel beside another tab's, with the loop of the address in hand."""
    from importlib import import_module

    import streamlit as st

    from page import session
    from page.loop import Loop

    session.begin(Loop.read(st.query_params["first"], "mine"))
    if room := st.query_params.get("room"):
        import_module(f"page.{room}").show()


def _open(loop, **address):
    """The panel with a loop in hand, which is called "mine"."""
    app = AppTest.from_function(_script, default_timeout=60)
    app.query_params |= {"first": loop.code, "room": "morph", **address}
    return drawn(app.run())


def _away_and_back(app, loop=None):
    """The app after another tab was open, in which a loop was taken in hand."""
    app.query_params["room"] = ""
    app = drawn(app.run())
    if loop:
        app.session_state.visitor.hand = loop
    app.query_params["room"] = "morph"
    return drawn(app.run())


def _hand(app):
    return app.session_state.visitor.hand


def _corner_cells(app, column, row):
    """The cells (m, steps, 12) of the loop at a place of the pad, from what the script is sent."""
    sent = shown(app, "pad")
    return words_to_bars(np.array([_words(sent["letters"][bar]) for bar in sent["bars"][row][column]]), 12)


def _choose(app, place, typed):
    """The app after a corner was chosen, or typed."""
    box = app.selectbox(key=f"corner-{place}")
    box.options = [*box.options, typed]  # AppTest knows no typed ones
    return drawn(box.set_value(typed).run())


def _move(app, *path, revision=1):
    """The app after the puck went along a path."""
    return send(app, "pad", "moved", {"epoch": shown(app, "pad")["epoch"], "revision": revision, "path": [*path]})


@pytest.fixture(scope="module")
def aab(groove):
    """Three bars by hand: the groove twice, and without its kicks."""
    bars = np.stack([groove] * 3)
    bars[2, :, 0] = False
    return Loop.of(bars, "aab")


def test_the_pad_opens_with_the_loop_in_hand_and_textbook_bars_at_its_corners(aab):
    app = _open(aab)
    assert (_corner_cells(app, 0, 0) == aab.cells).all()
    names = [app.selectbox(key=f"corner-{place}").value for place in "ABCD"]
    assert names[0] == "mine"
    for name, (column, row) in zip(names[1:], ((8, 0), (0, 8), (8, 8)), strict=True):
        assert (_corner_cells(app, column, row) == morph._presets(16)[name].cells).all()
    sent = shown(app, "pad")
    assert (sent["puck"], sent["path"]) == ([[0, 0]], [[i, i] for i in range(9)])


def test_a_pad_of_triplets_opens_for_a_loop_of_triplets(shuffle):
    app = _open(Loop.of(shuffle, "x"))
    for column, row in ((0, 0), (8, 0), (0, 8), (8, 8)):
        assert _corner_cells(app, column, row).shape == (1, 12, 12)
    assert len({app.selectbox(key=f"corner-{place}").value for place in "ABCD"}) == 4
    assert "House: four on the floor" not in app.selectbox(key="corner-B").options


def test_where_the_puck_is_that_loop_is_in_hand_and_one_step_to_undo(aab):
    app = _open(aab)
    first = _hand(app)
    for revision, place in enumerate(([1, 0], [2, 3]), 1):
        app = _move(app, place, revision=revision)
        mine = app.session_state.visitor
        assert (mine.hand.cells == _corner_cells(app, *place)).all()
        assert mine.hand.name == f"morph {place[0] + 1}, {place[1] + 1}"
        assert (mine.before.code, mine.tag) == (aab.code, "morph")
        assert (shown(app, "pad")["puck"], shown(app, "pad")["revision"]) == ([place], revision)
    assert app.session_state.visitor.past == [first]
    app = _move(app, [0, 0], revision=3)
    assert _hand(app) == first  # by its own name


def test_of_several_places_with_one_loop_the_puck_is_where_it_went(aab):
    app = _open(aab)
    app = _choose(app, "B", "mine")
    app = _choose(app, "A", "mine")  # all of the first row is one loop
    app = _move(app, [6, 0])
    assert _hand(app).code == aab.code
    assert shown(app, "pad")["puck"] == [[6, 0]]
    app = _away_and_back(app)
    assert shown(app, "pad")["puck"] == [[6, 0]]


def test_a_long_strips_path_is_none_of_the_pad_that_is_opened_after_it(aab):
    app = _open(aab, way="Two loops")
    app = _move(app, [15, 0], [16, 0])
    app.query_params["way"] = "Four loops"
    app = _away_and_back(drawn(app.segmented_control(key="way").set_value("Four loops").run()))
    assert shown(app, "pad")["puck"] == [[8, 0]]


def test_a_typed_seed_and_a_preset_by_its_name_are_corners(gan, aab):
    app = _open(aab)
    app = _choose(app, "B", "39")
    # three bars ask for a loop of two, which repeats
    assert (_corner_cells(app, 8, 0) == models.sampled((39,), 2)[0].cells[[0, 1, 0]]).all()
    assert app.selectbox(key="corner-B").value == "seed 39"
    app = _choose(app, "A", "Samba: ride")
    assert (_corner_cells(app, 0, 0) == morph._presets(16)["Samba: ride"].cells).all()
    assert _hand(app).code == aab.code  # a corner is not yet in hand
    assert shown(app, "pad")["puck"] == []


@pytest.mark.parametrize("typed", ["-3", "rock", "1e9", "seed x"])
def test_of_a_nonsense_corner_one_line_is_said_and_the_pad_stays(aab, typed):
    app = _open(aab)
    before = shown(app, "pad")
    name = app.selectbox(key="corner-C").value
    app = _choose(app, "C", typed)
    (line,) = app.warning
    assert typed in line.value
    assert "\n" not in line.value
    assert shown(app, "pad") == before
    assert app.selectbox(key="corner-C").value == name
    app = _choose(app, "C", "seed 7")
    assert not app.warning
    assert shown(app, "pad")["epoch"] == before["epoch"] + 1
    app = _choose(app, "C", typed)
    assert app.warning
    assert not _move(app, [1, 1]).warning  # it was read


@pytest.mark.parametrize(("typed", "seed"), [("17", 17), ("seed 17", 17), (" 40 ", 40), ("0", 0), ("007", 7)])
def test_a_typed_seed_is_its_loop(one_thread, aab, shuffle, typed, seed):
    assert morph._corner(typed, {}, aab.with_n_bars(4)) == models.sampled((seed,), 4)[0]
    assert morph._corner(typed, {}, Loop.of(shuffle, "x")) == models.sampled((seed,), 1, steps=12)[0]


@pytest.mark.parametrize(
    "typed",
    [
        *("-3", "abc", "٣", "²", "1e9", "1.5", "", " ", "seed", "seed x", "0x10", "1_000", "1 7", None),
        *("9" * 19, "9" * 5000, "nan", "17;", "17\0"),
    ],
)
def test_what_is_no_seed_is_no_corner(aab, typed):
    assert morph._corner(typed, {"seed 5": aab}, aab) is None


def test_a_loop_is_chosen_by_its_name_before_it_is_taken_for_a_seed(aab):
    assert morph._corner("♥ 17", {"♥ 17": aab}, aab) == aab
    assert morph._corner("17", {"17": aab}, aab) == aab
    assert morph._corner(" samba: RIDE", {"Samba: ride": aab}, aab) == aab


def test_the_corners_stay_while_the_puck_moves_and_are_set_from_the_loop_in_hand(aab):
    app = _open(aab)
    before = shown(app, "pad")["bars"]
    app = _move(app, [4, 4])
    assert shown(app, "pad")["bars"] == before
    middle = _hand(app)
    app = _choose(app, "D", "The loop in hand")
    assert app.selectbox(key="corner-D").value == "morph 5, 5"
    assert (_corner_cells(app, 8, 8) == middle.cells).all()
    assert shown(app, "pad")["puck"] == [[8, 8]]


def test_favourites_of_another_grid_are_no_corners(aab, groove, shuffle):
    app = _open(aab)
    app.session_state.visitor.kept = [Loop.of(shuffle, "in three"), Loop.of(~groove, "in four")]
    options = drawn(app.run()).selectbox(key="corner-B").options
    assert "in four" in options
    assert "in three" not in options


def test_two_loops_of_one_name_are_told_apart(aab, groove):
    app = _open(aab)
    other, third = Loop.of(groove, "mine"), Loop.of(~groove, "mine")
    app.session_state.visitor.kept = [aab.named("mine"), other, third]
    app = drawn(app.run())
    assert [name for name in app.selectbox(key="corner-A").options if "mine" in name] == [
        "mine",
        "mine (2)",
        "mine (3)",
    ]
    app = _choose(app, "B", "mine (3)")
    assert (_corner_cells(app, 8, 0) == ~groove).all()
    assert app.selectbox(key="corner-B").value == "mine (2)"  # the corners are named first
    app = _choose(app, "A", "mine (2)")
    assert app.selectbox(key="corner-A").value == app.selectbox(key="corner-B").value == "mine"


def test_the_loop_in_hand_is_a_corner_when_the_panel_is_opened_again_and_not_before(aab, groove):
    app = _move(_open(aab), [3, 3])
    app = _away_and_back(app)  # with a loop of the pad in hand
    assert (_corner_cells(app, 0, 0) == aab.cells).all()
    assert shown(app, "pad")["puck"] == [[3, 3]]
    edited = Loop.of(np.roll(groove, 3, 0), "edited")
    app.session_state.visitor.hand = edited  # as by a cell of the grid beside the pad
    app = drawn(app.run())
    assert (_corner_cells(app, 0, 0) == aab.cells).all()
    assert shown(app, "pad")["puck"] == []
    app = _away_and_back(app, edited)
    assert (_corner_cells(app, 0, 0) == edited.cells).all()
    assert shown(app, "pad")["puck"] == [[0, 0]]


def test_a_path_is_taken_in_hand_as_a_loop_and_the_puck_goes_along(aab):
    app = _move(_open(aab), [0, 0], [1, 0], [1, 1])
    app.segmented_control(key="path-bars").set_value(2)
    (button,) = (button for button in app.button if button.label == "Take the path as a loop")
    app = drawn(button.click().run())
    assert (_hand(app).cells == np.concatenate([_corner_cells(app, 0, 0)[:1], _corner_cells(app, 1, 1)[1:2]])).all()
    assert _hand(app).name == "path, 2 bars"
    assert shown(app, "pad")["puck"] == [[0, 0], [1, 1]]
    app = _move(app, [5, 5], revision=2)
    (button,) = (button for button in app.button if button.label == "Take the path as a loop")
    assert button.disabled  # a place is no path
    assert shown(app, "pad")["puck"] == [[5, 5]]


def test_a_loop_of_a_path_is_no_corner_when_the_panel_is_opened_again(aab):
    app = press(_move(_open(aab), [0, 0], [1, 0], [1, 1]), "Take the path as a loop")
    walked = _hand(app)
    past = app.session_state.visitor.past
    assert [loop.name for loop in past] == ["mine", "morph 2, 2"]  # the path is a step to undo of its own
    app = _away_and_back(app)
    assert _hand(app) == walked
    assert (_corner_cells(app, 0, 0) == aab.cells).all()
    assert shown(app, "pad")["puck"] == [[0, 0], [1, 0], [1, 0], [1, 1]]  # of thirds of the way


def test_another_way_or_corner_begins_another_path(aab):
    app = _move(_open(aab), [0, 0], [1, 0], [1, 1])
    app = drawn(app.segmented_control(key="way").set_value("Two loops").run())
    assert shown(app, "pad")["path"] == [[i, 0] for i in range(17)]
    assert [len(row) for row in shown(app, "pad")["bars"]] == [17]
    app = _move(app, [16, 0])
    assert _hand(app).name == "Funk: ghosted sixteenths"
    app = _choose(app, "B", "seed 5")
    assert shown(app, "pad")["path"] == [[i, 0] for i in range(17)]


def test_nonsense_from_the_pad_changes_nothing(aab):
    app = _open(aab)
    before = shown(app, "pad")
    for sent in (None, 5, True, "x", [5], {"a": 1}, {"path": [[0, 0]]}, {"epoch": 1, "revision": 0, "path": [["a"]]}):
        app = send(app, "pad", "moved", sent)
        assert shown(app, "pad") == before
        assert _hand(app).code == aab.code


# -- the map --------------------------------------------------------------------------------------


def test_the_map_rises_with_density_and_with_syncopation(gan):
    points = morph._map()
    bars = gan.sample(1500)
    assert (np.asarray(points["seed"]) == np.arange(1500)).all()
    np.testing.assert_array_equal(points["density"], bars.sum((1, 2)))
    assert np.corrcoef(points["x"], points["density"])[0, 1] > 0.5
    assert np.corrcoef(points["y"], points["syncopation"])[0, 1] > 0.3


def test_the_map_opens(aab):
    app = _open(aab, way="Map")
    assert "1,500 seeds" in app.caption[0].value
    assert not [found for found in app.get("bidi_component") if found.key == "pad"]


@given(ANYTHING | st.fixed_dictionaries({"selection": ANYTHING | st.fixed_dictionaries({"picked": ANYTHING})}))
def test_a_seed_of_the_map_is_read_from_anything(sent):
    assert all(type(seed) is int and 0 <= seed < 1500 for seed in morph._seeds_in(sent))


def test_what_is_picked_on_the_map_is_a_seed_of_it():
    for seed, found in ((0, [0]), (1499, [1499]), (1500, []), (-1, []), (3.0, []), (True, [])):
        assert list(morph._seeds_in({"selection": {"picked": [{"seed": seed}]}})) == found


def test_a_seed_of_the_map_comes_in_hand_about_as_long_as_what_was_there(one_thread, monkeypatch, aab):
    visitor = Visitor(aab)
    monkeypatch.setattr(morph.session, "visitor", lambda: visitor)
    monkeypatch.setattr(morph.st, "query_params", {})
    for seed in (8, 9):
        picked = SimpleNamespace(map={"selection": {"picked": [{"seed": seed}]}})
        monkeypatch.setattr(morph.st, "session_state", picked)
        morph._picked()
        assert visitor.hand == models.sampled((seed,), 2)[0]  # of three bars two are the most that the model makes
    assert visitor.past == [aab]


# -- in a browser ---------------------------------------------------------------------------------


def test_the_script_makes_the_very_loops_of_the_pad(chrome, gan, four, pad, played_pad):
    """Cells, codes, velocities and offsets of every place, as Python makes them."""
    script = (ROOT / "demo/page/web/pad.js").read_text(encoding="utf-8").partition("export default")[0]
    sounds = "const sounds = (word, part, parts) => (word >> (parts - 1 - part)) & 1;"
    blank = chrome.new_page()
    strip = Lattice.between(gan, (_played(four[0], 3), four[1]))
    for lattice in (pad, played_pad, strip):
        made = blank.evaluate(
            f"(data) => {{ {sounds} {script} const {{rows, columns, at}} = latticeOf(data);"
            "return Array.from({length: rows * columns}, (_, i) => at([i % columns, Math.floor(i / columns)])); }",
            lattice.sent,
        )
        for place, loop in enumerate(made):
            expected = lattice.loop(place % lattice.n_columns, place // lattice.n_columns)
            assert (loop["bars"], loop["steps"]) == (expected.words, 16)
            if lattice is pad:
                assert (loop["code"], loop["velocities"], loop["offsets"]) == (expected.code, None, None)
                continue
            performance = expected.performance
            assert loop["code"] is None
            assert loop["velocities"] == performance.velocities.reshape(4, -1).tolist()
            np.testing.assert_allclose(loop["offsets"], performance.offsets.reshape(4, -1), atol=1e-6)
    blank.close()


@pytest.fixture(scope="module")
def opened_pad(gan, groove):
    """The groove four times, varied at the end, and the pad that opens with it."""
    bars = np.stack([groove] * 4)
    bars[3, 12:, 4] = True
    loop = Loop.of(bars, "x")
    return loop, morph._lattice((loop, *(morph._presets(16)[name] for name in morph._OTHERS[16])))


def _open_pad(page, address, loop, **more):
    """The Morph tab with a loop in hand; returns the pad, and a function (column, row) → its place on the page."""
    open_tab(page, address, "Morph", loop=loop.code, **more)
    field = page.locator("svg.field")
    field.wait_for()
    settled(page)
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    columns, rows = (17, 1) if more else (9, 9)

    def at(column, row=0):
        return box["x"] + box["width"] * (column + 0.5) / columns, box["y"] + box["height"] * (row + 0.5) / rows

    return field, at


def _drag(page, *places):
    """The pointer goes down at the first place, over the others, and up at the last."""
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def _wait_for_hand(page, loop):
    """Wait until a loop is in hand, as the address says."""
    page.wait_for_url(lambda url: f"loop={loop.code}" in url)


def _playing(page):
    """The code of what plays, or comes in at the next bar line; None where nothing does."""
    return page.evaluate(f"({PLAYER}.coming ?? {PLAYER}.loop)?.code ?? null")


def test_where_the_puck_goes_that_loop_plays_and_is_in_hand(page, address, opened_pad):
    loop, lattice = opened_pad
    field, at = _open_pad(page, address, loop)
    page.mouse.move(*at(1, 0))
    page.mouse.down()
    wait_for_sound(page)
    page.mouse.move(*at(5, 2), steps=8)
    assert _playing(page) == lattice.loop(5, 2).code  # before Python knows of it
    assert f"loop={loop.code}" in page.url
    page.mouse.up()
    _wait_for_hand(page, lattice.loop(5, 2))
    settled(page)
    page.wait_for_function(f"{PLAYER}.coming === null && {PLAYER}.loop.code === '{lattice.loop(5, 2).code}'")
    assert page.evaluate(f"{PLAYER}.id") == "hand"
    field.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    _wait_for_hand(page, lattice.loop(6, 3))
    settled(page)
    page.keyboard.press("ArrowLeft")  # the answer has not taken the focus away
    _wait_for_hand(page, lattice.loop(5, 3))
    assert page.evaluate(f"{PLAYER}.id") == "hand"
    settled(page)
    page.keyboard.press("Control+z")  # all moves are one step
    _wait_for_hand(page, loop)
    settled(page)
    page.wait_for_function(f"{PLAYER}.loop.code === '{loop.code}'")
    assert field.locator(".puck").get_attribute("cx") == "5"
    field.focus()
    page.keyboard.press("ArrowRight")  # from elsewhere than the path's end another path begins
    _wait_for_hand(page, lattice.loop(1, 0))
    assert len(field.locator(".trail").get_attribute("points").split()) == 2


def test_a_finger_moves_the_puck_on_a_phone_beside_the_grid_that_it_changes(phone, address, opened_pad):
    loop, lattice = opened_pad
    field, at = _open_pad(phone, address, loop)
    grid = phone.locator(".stage").get_by_role("grid").bounding_box()
    box = field.bounding_box()
    # both are seen at once above the transport
    assert box["y"] + box["height"] - grid["y"] < phone.locator(".transport").bounding_box()["y"]
    phone.touchscreen.tap(*at(6, 1))
    _wait_for_hand(phone, lattice.loop(6, 1))
    assert _playing(phone) == lattice.loop(6, 1).code


def test_keys_move_the_puck_without_a_sound(page, address, opened_pad):
    loop, lattice = opened_pad
    field, _ = _open_pad(page, address, loop)
    field.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    _wait_for_hand(page, lattice.loop(3, 0))
    settled(page)
    assert page.evaluate(f"{PLAYER}.id") is None


def test_what_plays_is_what_the_page_shows_whatever_tab_is_open(page, address, opened_pad):
    loop, lattice = opened_pad
    _, at = _open_pad(page, address, loop)
    _drag(page, at(0, 0), at(4, 4))
    for tab in ("Sample", "Steer"):
        page.get_by_role("tab", name=tab).click()
        settled(page)
        assert page.evaluate(f"{PLAYER}.id") == "hand"
        assert _playing(page) == lattice.loop(4, 4).code
        assert f"loop={lattice.loop(4, 4).code}" in page.url
        assert page.locator(".stage").count() == 1


def test_a_path_over_the_pad_becomes_the_loop_in_hand(page, address, folder, opened_pad):
    loop, lattice = opened_pad
    field, at = _open_pad(page, address, loop)
    _drag(page, *(at(column, 0) for column in range(4)))
    _wait_for_hand(page, lattice.loop(3, 0))
    settled(page)
    assert len(field.locator(".trail").get_attribute("points").split()) == 4
    page.get_by_role("button", name="Take the path as a loop").click()
    path, _ = lattice.along([[0, 0], [1, 0], [2, 0], [3, 0]], 4)
    _wait_for_hand(page, path)
    settled(page)
    assert (bars_of(download(page, "MIDI")[1], folder) == path.cells).all()
    # the puck goes along with the bars
    page.wait_for_function(f"{PLAYER}.loop.code === '{path.code}' && {PLAYER}.place?.bar === 2")
    assert float(field.locator(".puck").get_attribute("cx")) in (25, 35)


def test_a_strip_lies_between_two(page, address, opened_pad):
    loop, _ = opened_pad
    strip = morph._lattice((loop, morph._presets(16)[morph._OTHERS[16][0]]))
    _, at = _open_pad(page, address, loop, way="Two loops")
    _drag(page, at(2), at(9))
    _wait_for_hand(page, strip.loop(9, 0))


def test_a_nonsense_corner_leaves_the_pad_that_was_there(page, address, opened_pad):
    loop, lattice = opened_pad
    field, _ = _open_pad(page, address, loop)
    corner = page.get_by_role("combobox", name="Corner D")
    corner.fill("no loop")
    corner.press("Enter")
    page.get_by_text("“no loop” is no loop").wait_for()
    assert corner.input_value() == "House: four on the floor"
    assert field.locator(".tile").count() == 81
    field.scroll_into_view_if_needed()
    box = field.bounding_box()  # the line has moved it
    page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + box["height"] * 0.95)
    _wait_for_hand(page, lattice.corners[3])
    settled(page)  # until then the box may be drawn anew, and forget what is typed
    corner.fill("seed 12")
    corner.press("Enter")
    page.get_by_text("“no loop” is no loop").wait_for(state="detached")
    settled(page)
    assert corner.input_value() == "seed 12"


def test_a_click_on_the_map_takes_a_seeds_loop_in_hand(page, address, opened_pad):
    open_tab(page, address, "Morph", way="Map", loop=opened_pad[0].code)
    plot = page.locator("[data-testid=stVegaLiteChart]")
    plot.wait_for()
    settled(page)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5)
    page.wait_for_url(lambda url: opened_pad[0].code not in url)
    settled(page)
    page.locator(".stage").get_by_text(re.compile(r"^seed \d+$")).wait_for()
