"""The loop in hand: its code holds cells, velocities and timing, and old codes still open."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from page.loop import KIT, MAX_BARS, STEPS, TRIPLETS, Loop
from page.turns import size_of
from rhythmgan.conditions import Condition
from rhythmgan.kit import GM9
from rhythmgan.performance import Performance, accents

KICK, SNARE, HAT = 0, 1, 2


@pytest.fixture
def groove():
    """A bar by hand: 3 kicks, 2 snares, 8 hats."""
    cells = np.zeros((1, 16, 12), bool)
    cells[0, [0, 6, 8], KICK] = cells[0, [4, 12], SNARE] = cells[0, ::2, HAT] = True
    return cells


def _loops():
    """Performances of the page, any bars, velocities and offsets."""
    shapes = st.tuples(st.integers(1, MAX_BARS), st.sampled_from([STEPS, TRIPLETS]), st.just(12))

    @st.composite
    def drawn(draw):
        shape = draw(shapes)
        cells = draw(arrays.arrays(bool, shape, elements=st.booleans(), fill=st.just(False)))
        seed = draw(st.integers(0, 1 << 30))
        random = np.random.default_rng(seed)
        own, late = draw(st.booleans()), draw(st.booleans())
        velocities = random.integers(1, 128, shape) if own else None
        offsets = random.integers(-1000, 1001, shape) / 2000 if late else None
        return Performance.of(cells, KIT, velocities, offsets)

    return drawn()


@given(_loops())
def test_a_code_holds_the_loop_as_it_is_played(performance):
    code = Loop.of(performance, "x").code
    again = Loop.read(code, "y")
    assert (again.name, again.code) == ("y", code)
    np.testing.assert_array_equal(again.cells, performance.bars)
    np.testing.assert_array_equal(again.performance.velocities, performance.velocities)
    np.testing.assert_allclose(again.performance.offsets, performance.offsets, atol=1e-6)
    assert again.sent["code"] == code


def test_a_code_by_hand(groove):
    """Flags, grid and bars a byte each, then the cells, the kick of a step its highest bit."""
    data = base64.urlsafe_b64decode(Loop.of(groove, "x").code.removeprefix("2.") + "==")
    assert list(data[:3]) == [0, 16, 1]
    first, second = 0b1010_0000_0000, 0b0000_0000_0000
    assert int.from_bytes(data[3:6], "big") == first << 12 | second
    assert len(data) == 3 + 16 * 12 // 8
    velocities = np.full(groove.shape, 33)
    loud = base64.urlsafe_b64decode(Loop.of(Performance.of(groove, KIT, velocities), "x").code[2:] + "===")
    assert list(loud[:3]) == [1, 16, 1]
    assert list(loud[27:]) == [33] * 13


def test_accents_on_the_grid_need_no_room(groove):
    bare = Loop.of(groove, "x")
    spoken = Loop.of(Performance.of(groove, KIT, np.tile(accents(16)[:, None], 12)), "x")
    assert bare == spoken
    assert bare.plain
    assert bare.sent["velocities"] is bare.sent["offsets"] is None
    softer = Loop.of(Performance.of(groove, KIT, np.full(groove.shape, 60)), "x")
    assert not softer.plain
    assert softer.sent["offsets"] is None
    assert softer.sent["velocities"][0][:3] == [60, 0, 60]


def test_what_is_sent_stands_step_by_step():
    cells = np.zeros((2, 12, 12), bool)
    cells[1, 5, 3] = True
    late = np.zeros(cells.shape)
    late[1, 5, 3] = -0.25
    sent = Loop.of(Performance.of(cells, KIT, cells * 99 + 1, late), "x").sent
    assert (sent["steps"], len(sent["bars"])) == (12, 2)
    assert sent["bars"][0] == [0] * 12
    assert sent["bars"][1] == [0] * 5 + [1 << 8] + [0] * 6
    assert sent["velocities"][1].index(100) == 5 * 12 + 3
    assert sent["offsets"][1][5 * 12 + 3] == -0.25
    assert sum(map(abs, sent["offsets"][0])) == 0


def test_links_of_the_first_release_still_open(groove):
    """A bar of nine parts in 24 letters, one of twelve in 32, and one of triplets behind ``12.``."""
    nine = np.zeros((16, 9), bool)
    nine[0, 0] = nine[4, 1] = nine[15, 8] = True
    found = Loop.read(base64.urlsafe_b64encode(np.packbits(nine)).decode(), "old").cells
    assert [tuple(place) for place in np.argwhere(found[0])] == [(0, 0), (4, 1), (15, 8)]
    old = base64.urlsafe_b64encode(np.packbits(groove)).decode()
    assert Loop.read(old, "old") == Loop.of(groove, "old")
    shuffle = np.zeros((12, 12), bool)
    shuffle[[0, 6], 0] = shuffle[2::3, 7] = True
    old = "12." + base64.urlsafe_b64encode(np.packbits(shuffle)).decode()
    assert Loop.read(old, "old") == Loop.of(shuffle, "old")


@given(st.one_of(st.text(max_size=60), st.text("ABCabc012-_=.", max_size=60).map("2.".__add__)))
def test_what_is_no_code_is_refused_in_one_line(text):
    try:
        loop, said = Loop.read(text, "x"), ""
    except ValueError as error:
        loop, said = None, str(error)
    assert said == "the address holds no loop that can be read" if loop is None else loop.n_bars <= MAX_BARS


def test_a_loop_has_one_code_only(groove):
    code = Loop.of(groove, "x").code
    for other in (code + "=", code + "A", code[:-1], code[:-4], "2." + code, code.replace("2.AB", "2.BB")):
        with pytest.raises(ValueError, match="no loop"):
            Loop.read(other, "x")
    quiet = Loop.of(Performance.of(groove, KIT, np.full(groove.shape, 60)), "x").code
    silent = base64.urlsafe_b64decode(quiet[2:] + "=" * (-len(quiet[2:]) % 4))
    silent = base64.urlsafe_b64encode(silent[:-1] + b"\0").decode().rstrip("=")
    with pytest.raises(ValueError, match="no loop"):
        Loop.read("2." + silent, "x")


def test_what_a_loop_was_asked_for_goes_with_it(groove):
    asked = Condition("fill", "funk")
    two = Loop.of(np.concatenate([groove, groove[:, ::-1]]), "x", asked)
    others = (two.named("y"), two.with_n_bars(4), two.with_n_bars(1), two.with_cells(~two.cells, "y"), two.bars[1])
    assert [loop.asked for loop in others] == [asked] * 5
    assert [loop.name for loop in others] == ["y", "x", "x", "y", "x, bar 2"]


def test_offsets_are_sent_as_finely_as_the_code_holds_them(groove):
    late = np.where(groove, 0.1235, 0)  # 247 parts of 2000
    assert Loop.of(Performance.of(groove, KIT, None, late), "x").sent["offsets"][0][6 * 12 + KICK] == 0.1235


def test_a_performance_of_another_kit_is_no_loop():
    with pytest.raises(ValueError, match="a loop is of kit gm12, not gm9"):
        Loop.of(Performance.of(np.ones((1, 16, 9), bool), GM9), "x")


@pytest.mark.parametrize("shape", [(9, 16, 12), (0, 16, 12), (1, 32, 12), (1, 16, 9)])
def test_other_loops_are_none_of_the_page(shape):
    with pytest.raises(ValueError, match=r"1 to 8 bars|expected bars|kit gm9"):
        Loop.of(np.zeros(shape, bool), "x")


def test_bars_come_apart_and_together(groove):
    fill = np.zeros((1, 16, 12), bool)
    fill[0, 8:, 5] = True
    asked = Condition("groove", "funk")
    loop = Loop.joined([Loop.of(groove, "a", asked), Loop.of(fill, "b")], "both")
    assert (loop.n_bars, loop.name, loop.asked) == (2, "both", asked)
    first, second = loop.bars
    assert [bar.name for bar in loop.bars] == ["both, bar 1", "both, bar 2"]
    np.testing.assert_array_equal(first.cells, groove)
    np.testing.assert_array_equal(second.cells, fill)
    assert Loop.of(groove, "a").bars[0].name == "a"
    np.testing.assert_array_equal(loop.with_n_bars(4).cells, np.concatenate([groove, fill, groove, fill]))
    np.testing.assert_array_equal(loop.with_n_bars(1).cells, groove)


def test_cells_that_stay_are_played_as_before(groove):
    loop = Loop.of(Performance.of(groove, KIT, np.full(groove.shape, 50)), "x")
    cells = groove.copy()
    cells[0, 2, HAT], cells[0, 3, SNARE] = False, True
    changed = loop.with_cells(cells, "y").performance.velocities[0]
    assert changed[0, KICK] == 50
    assert changed[2, HAT] == 0
    assert changed[3, SNARE] == 76


def test_the_last_that_was_done_to_a_loop_stands_in_its_name(groove):
    for name in ("seed 3", "seed 3, varied", "seed 3, steered 12, edited", "seed 3, edited, steered 1, filled"):
        assert Loop.of(groove, name).called("answered") == "seed 3, answered"
    assert Loop.of(groove, "steered 1").called("edited") == "steered 1, edited"
    assert Loop.of(groove, "seed 3, fill").called("edited") == "seed 3, fill, edited"


def test_the_longest_code_is_read_and_longer_ones_are_not():
    dice = np.random.default_rng(0)
    bars = np.ones((8, 16, 12), bool)
    playing = Performance.of(bars, KIT, dice.integers(1, 128, bars.shape), dice.uniform(-0.5, 0.5, bars.shape))
    code = Loop.of(playing, "").code
    assert len(code) == 6406
    assert Loop.read(code, "x").code == code
    assert size_of((code, playing)) - size_of(KIT) < 17_000  # see _DECODED
    with pytest.raises(ValueError, match="no loop that can be read"):
        Loop.read("2." + "A" * 10**7, "x")
