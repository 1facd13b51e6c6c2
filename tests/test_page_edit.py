"""The Edit panel: models vary, fill in, answer and continue the loop in hand; beats are copied, parts moved."""

import re

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from browsing import open_tab, settled
from streamlit.testing.v1 import AppTest
from visiting import drawn, send, shown

from page import continuation, edit
from page.loop import KIT, Loop
from rhythmgan.bars import fold_bars
from rhythmgan.kit import GM12, JAKI5
from rhythmgan.performance import Performance
from rl_tuner.edit.agent import continue_loop
from rl_tuner.toggle.agent import answer

pytest_plugins = ["browsing", "visiting"]
pytestmark = pytest.mark.usefixtures("quiet")

KICK, SNARE, HAT, RIDE = (GM12.names.index(name) for name in ("kick", "snare", "closed hat", "ride"))

PANEL = """
import streamlit as st
from page import edit, models, session, stage
session.begin(models.sampled((33,))[0])
edit.show()
stage.show()
session.keep()
"""
"""The panel beside the stage, without the rest of the page."""


@pytest.fixture(scope="module")
def aaab(groove):
    """The groove three times, and once without hats but with three toms at its end."""
    last = groove.copy()
    last[:, HAT] = False
    last[[12, 13, 15], [6, 5, 4]] = True
    return np.stack([groove, groove, groove, last])


def _open(loop):
    """The panel with a loop in hand."""
    app = AppTest.from_string(PANEL, default_timeout=60)
    app.query_params["loop"] = (loop if isinstance(loop, Loop) else Loop.of(loop, "")).code
    return drawn(app.run())


def _button(app, label):
    (found,) = (button for button in app.button if button.label == label)
    return found


def _press(app, label):
    button = _button(app, label)
    assert not button.disabled
    return drawn(button.click().run())


def _lock(app, *parts):
    app.session_state.visitor.locks = [part in parts for part in range(12)]
    return drawn(app.run())


def _set(app, **values):
    for key, value in values.items():
        app.session_state[key.replace("_", "-")] = value
    return drawn(app.run())


def _cells(app):
    """The bars (m, steps, parts) bool in hand, which are those on the stage."""
    hand = app.session_state.visitor.hand
    assert shown(app, "stage")["loop"] == hand.sent
    return hand.cells


def _captions(app):
    return " ".join(caption.value for caption in app.caption)


# -- what models do ------------------------------------------------------------------------------------


def test_a_loop_is_varied_filled_and_taken_back(aaab):
    app = _lock(_open(aaab), KICK, SNARE)
    seen = [aaab]
    for label in ("Vary", "Fill the rest", "Vary"):
        app = _press(app, label)
        now = _cells(app)
        assert (now[..., :2] == aaab[..., :2]).all()  # kick and snare are locked
        assert (now != seen[-1]).any()
        assert (now[1:3] == now[0]).all()  # equal bars stay so
        assert app.session_state.visitor.before.cells.tolist() == seen[-1].tolist()  # what changed is drawn
        seen.append(now)
    assert app.session_state.visitor.hand.name == "a shared loop, varied"
    for before in reversed(seen[:-1]):
        app.session_state.visitor.undo()
        app = drawn(app.run())
        assert (_cells(app) == before).all()
    assert app.session_state.visitor.past == []


def test_a_variation_changes_the_share_of_the_onsets_that_is_asked_for(groove):
    """Of 13 onsets: at 5 % one cell, at 10 % one, at 20 % three."""
    for amount, changes in ((5, 1), (10, 1), (20, 3)):
        app = _open(groove)
        assert app.slider(key="amount").value == edit.USUAL == 10
        app = _set(app, amount=amount)
        assert (_cells(_press(app, "Vary")) != groove).sum() == changes


@pytest.mark.parametrize("n_onsets", range(1, 61))
def test_no_press_changes_more_than_a_quarter_of_the_onsets_but_one(n_onsets):
    """As ``vary`` counts them: rounded, and one at least."""
    assert max(np.floor(edit.MOST / 100 * n_onsets + 0.5), 1) <= max(n_onsets / 4, 1)


def test_each_press_varies_otherwise(groove):
    app = _open(groove)
    codes = set()
    for _ in range(4):
        app = _press(app, "Vary")
        codes.add(app.session_state.visitor.hand.code)
        app.session_state.visitor.undo()
        app = drawn(app.run())
    assert len(codes) > 1


def test_a_varied_loop_is_played_as_it_was(groove):
    velocities, offsets = np.full((1, 16, 12), 33), np.full((1, 16, 12), 0.25)
    app = _press(_open(Loop.of(Performance.of(groove[None], KIT, velocities, offsets), "")), "Vary")
    now = app.session_state.visitor.hand.performance
    kept = now.bars[0] & groove
    assert kept.sum() >= 12
    assert (now.velocities[0][kept] == 33).all()
    assert (now.offsets[0][kept] == 0.25).all()


def test_a_loop_of_triplets_is_varied_and_filled(shuffle):
    app = _lock(_open(shuffle), KICK, SNARE)
    for label in ("Vary", "Fill the rest"):
        app = _press(app, label)
        assert (_cells(app)[0, :, :2] == shuffle[:, :2]).all()
        assert (_cells(app) != shuffle).any()


def test_a_kick_is_answered_by_a_snare_and_all_else_stays(aaab):
    app = _open(aaab)
    lines = set()
    for seed in (1, 2, 3, 4):
        app = _press(app, "Answer the kick")
        now = _cells(app)
        assert (np.delete(now, SNARE, 2) == np.delete(aaab, SNARE, 2)).all()
        assert (now[..., SNARE] == answer(aaab[..., KICK], seed)).all()
        lines.add(now[..., SNARE].tobytes())
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("locked", "reasons"),
    [
        ((), {"Fill the rest": "Lock a part to fill in the others around it."}),
        ((HAT,), {}),
        ((SNARE,), {"Answer the kick": "The snare, which answers the kick, is locked."}),
        (
            range(12),
            {
                "Vary": "All parts are locked: open one beside the grid.",
                "Fill the rest": "All parts are locked: open one beside the grid.",
                "Answer the kick": "The snare, which answers the kick, is locked.",
            },
        ),
    ],
)
def test_what_nothing_can_be_done_with_says_why(groove, locked, reasons):
    app = _lock(_open(groove), *locked)
    for label in ("Vary", "Fill the rest", "Answer the kick"):
        assert _button(app, label).disabled == (label in reasons)
    for reason in reasons.values():
        assert _captions(app).count(reason) == 1


def test_of_silence_there_is_nothing_to_vary_to_answer_to_move_or_to_measure():
    app = _open(np.zeros((2, 16, 12), bool))
    for label in ("Vary", "Answer the kick", "Earlier", "Later", "Clear"):
        assert _button(app, label).disabled
    for said in ("The loop is silent", "There is no kick to answer", "nothing to measure", "Nothing is there to move"):
        assert said in _captions(app)
    assert "more real" not in _captions(app)


def test_triplets_are_not_answered_nor_continued(shuffle):
    app = _set(_open(shuffle), continued=True)
    assert _button(app, "Answer the kick").disabled
    assert "Answers are known on sixteenths only." in _captions(app)
    assert "Next bars are known on sixteenths only." in _captions(app)


# -- what hands do -------------------------------------------------------------------------------------


def test_the_loop_is_moved_by_a_step_around_its_end(aaab):
    app = _press(_open(aaab), "Later")
    assert (_cells(app).reshape(64, 12) == np.roll(aaab.reshape(64, 12), 1, 0)).all()
    assert _cells(app)[0, 0, 4]  # the last tom has come to the one
    app = _press(_press(app, "Earlier"), "Earlier")
    assert (_cells(app).reshape(64, 12) == np.roll(aaab.reshape(64, 12), -1, 0)).all()
    assert app.session_state.visitor.hand.plain  # accents stay where they are


def test_a_part_is_moved_with_its_playing_and_locked_parts_stay(groove):
    velocities, offsets = Performance.of(groove).velocities[0].copy(), np.zeros((16, 12))
    velocities[4, SNARE], offsets[12, SNARE] = 41, -0.25
    loop = Loop.of(Performance.of(groove[None], KIT, velocities, offsets), "")
    app = _press(_set(_open(loop), edit_part="snare"), "Earlier")
    now = app.session_state.visitor.hand.performance
    assert np.flatnonzero(now.bars[0, :, SNARE]).tolist() == [3, 11]
    assert now.velocities[0, [3, 11], SNARE].tolist() == [41, 100]
    assert now.offsets[0, [3, 11], SNARE].tolist() == [0, -0.25]
    assert (np.delete(now.bars[0], SNARE, 1) == np.delete(groove, SNARE, 1)).all()
    app = _lock(app, SNARE)
    assert _button(app, "Earlier").disabled
    assert "The snare is locked." in _captions(app)
    app = _press(_set(app, edit_part="All parts"), "Later")
    assert np.flatnonzero(_cells(app)[0, :, SNARE]).tolist() == [3, 11]
    assert np.flatnonzero(_cells(app)[0, :, KICK]).tolist() == [1, 7, 9]


def test_a_part_is_cleared_and_all(aaab):
    app = _press(_set(_open(aaab), edit_part="closed hat"), "Clear")
    assert np.argwhere(_cells(app) != aaab)[:, 2].tolist() == [HAT] * 24
    assert _button(app, "Clear").disabled
    app = _press(_set(_lock(app, KICK), edit_part="All parts"), "Clear")
    assert (_cells(app)[..., KICK] == aaab[..., KICK]).all()
    assert _cells(app).sum() == aaab[..., KICK].sum()


def test_a_beat_is_copied_to_the_next_or_to_its_whole_bar(aaab):
    """The last beat of the last bar: kick none, snare on 13, toms on 13, 14 and 16."""
    app = _set(_open(aaab), edit_beat=15)
    app = _press(app, "To the next")  # of the loop's last that is the first
    now = _cells(app)
    assert (now[0, :4] == aaab[3, 12:]).all()
    assert (now.reshape(64, 12)[4:] == aaab.reshape(64, 12)[4:]).all()
    app = _press(_lock(app, KICK), "To its bar")
    now = _cells(app)
    for beat in range(4):
        assert (now[3, 4 * beat : 4 * beat + 4, 1:] == aaab[3, 12:, 1:]).all()
    assert (
        now[..., KICK] == np.concatenate([[[False] * 16], aaab[1:, :, KICK]]) | (np.arange(16) > 3) * aaab[..., KICK]
    ).all()
    app = _press(_set(app, edit_beat=4), "To the next")
    assert (_cells(app)[1, 4:8, 1:] == aaab[1, 0:4, 1:]).all()


def test_a_loop_becomes_longer_and_shorter(aaab):
    app = _open(aaab)
    bars = app.button_group(key="edit-bars")
    assert bars.value == 4
    app = drawn(bars.set_value(8).run())
    assert (_cells(app) == np.concatenate([aaab, aaab])).all()
    app = drawn(app.button_group(key="edit-bars").set_value(2).run())
    assert (_cells(app) == aaab[:2]).all()
    app.session_state.visitor.undo()
    app = drawn(app.run())
    assert app.button_group(key="edit-bars").value == 8
    app = _open(aaab[:3])  # as a file may have it
    assert app.button_group(key="edit-bars").value is None
    app = drawn(app.button_group(key="edit-bars").set_value(4).run())
    assert (_cells(app) == aaab[[0, 1, 2, 0]]).all()


# -- what follows --------------------------------------------------------------------------------------


def _continued(app):
    return shown(app, "continue")["loops"]


def _last_bars(app):
    return np.stack([Loop.read(loop["code"], "").cells[-1] for loop in _continued(app)])


def test_what_follows_the_last_bar_has_what_is_asked_for(aaab):
    app = _set(_open(aaab), continued=True, continue_drums="high", continue_cymbals="low")
    asked = {"drums": 12, "cymbals": 2, "repetition": 0.5}  # the last of these without a click
    found = continue_loop(fold_bars(aaab[3], GM12, JAKI5), asked, 8, 0)
    bars = [found.lstm, *found.tuned]
    first = [place for place, bar in enumerate(bars) if not any((bar == other).all() for other in bars[:place])][:4]
    assert [len(loop["bars"]) for loop in _continued(app)] == [5] * 4
    assert all((Loop.read(loop["code"], "").cells[:4] == aaab).all() for loop in _continued(app))
    np.testing.assert_array_equal(fold_bars(_last_bars(app), GM12, JAKI5), np.stack(bars)[first])
    reached = [True, *found.reached]
    assert [loop["note"] == "" for loop in _continued(app)] == [reached[place] for place in first]
    assert found.reached.any()


def test_continuations_that_are_alike_are_offered_once(groove):
    app = _set(_open(groove), continued=True, continue_repetition="any")
    found = continue_loop(fold_bars(groove, GM12, JAKI5), {}, 8, 0)
    different = {bar.tobytes() for bar in (found.lstm, *found.tuned)}
    assert len(different) < 9
    following = fold_bars(_last_bars(app), GM12, JAKI5)
    assert {bar.tobytes() for bar in following} <= different
    assert len({bar.tobytes() for bar in following}) == len(following) == min(len(different), 4)
    names = [loop["name"] for loop in _continued(app)]
    assert (
        names
        == [f"{name} after a shared loop" for name in ("the likeliest", "tuned 1", "tuned 2", "tuned 3")][: len(names)]
    )


def test_continuations_are_tried_one_after_another_and_gone_on_from(groove):
    app = _set(_open(groove), continued=True, continue_cymbals="high")
    offered = _continued(app)
    for place in (2, 0, 3):
        app = send(app, "continue", "taken", [offered[place]["code"]])
        assert app.session_state.visitor.hand.code == offered[place]["code"]
        assert _continued(app) == offered  # they stay
    app = _press(app, "Start from here")
    assert [len(loop["bars"]) for loop in _continued(app)] == [3] * 4
    app = send(app, "continue", "taken", [_continued(app)[1]["code"]])
    assert app.session_state.visitor.hand.n_bars == 3
    visitor = app.session_state.visitor
    visitor.undo()
    assert visitor.hand.code == offered[3]["code"]
    visitor.undo()
    assert (visitor.hand.cells == groove).all()  # to try several was one step
    app = drawn(app.run())
    assert _continued(app) == offered


def test_what_follows_is_of_the_seed_and_played_by_the_parts_of_the_bar(groove):
    """The groove rides the ride cymbal: no closed hat follows."""
    riding = groove.copy()
    riding[:, [HAT, RIDE]] = groove[:, [RIDE, HAT]]
    app = _set(_open(riding), continued=True, continue_cymbals="high", continue_repetition="any", continue_seed=7)
    jaki = fold_bars(riding, GM12, JAKI5)
    first, second = (continue_loop(jaki, {"cymbals": 12}, 1, seed).tuned for seed in (7, 0))
    assert (first != second).any()
    following = _last_bars(app)[1:]
    np.testing.assert_array_equal(fold_bars(following[:1], GM12, JAKI5), first)
    assert following[..., RIDE].any(1).all()
    assert not following[..., HAT].any()


def test_what_follows_is_played_as_the_last_bar(groove):
    """Its cells that come again are as soft and as late as there, not as in the bar before."""
    bars = np.stack([groove, groove])
    velocities, offsets = np.full((2, 16, 12), 33), np.full((2, 16, 12), 0.25)
    velocities[0], offsets[0] = 90, -0.125
    app = _set(_open(Loop.of(Performance.of(bars, KIT, velocities, offsets), "")), continued=True)
    for sent in _continued(app):
        played = Loop.read(sent["code"], "").performance
        again = played.bars[2] & groove
        assert again.any()
        assert set(played.velocities[2][again]) == {33}
        assert set(played.offsets[2][again]) == {0.25}
        assert set(played.velocities[0][groove]) == {90}


def test_a_loop_of_eight_bars_has_no_room_for_another(groove):
    app = _set(_open(np.stack([groove] * 8)), continued=True)
    assert "no room for another one" in _captions(app)


def test_only_bars_that_miss_what_is_asked_for_say_so():
    reached = np.array([True, False, True])
    assert [bool(continuation._note(number, reached)) for number in range(4)] == [False, False, True, False]


def test_nonsense_from_the_stage_is_no_exception(groove):
    app = _open(groove)
    for event in ("edited", "mixed", "kept"):
        for sent in (None, 5, [], "x", {}, {"epoch": 0, "revision": 1, "locks": [True] * 12, "bars": [[4096] * 16]}):
            app = send(app, "stage", event, sent)
    assert (_cells(app) == groove).all()
    assert app.session_state.visitor.locks == [False] * 12


# -- on the whole page ---------------------------------------------------------------------------------


def _changes(page):
    """Which cells of the bar that is seen are marked: kind → their names."""
    found = page.locator(".cell").evaluate_all("all => all.map(cell => [cell.dataset.change, cell.ariaLabel])")
    return {
        kind: sorted(re.match(r"[^,]*, step \d+", label)[0] for other, label in found if other == kind)
        for kind in ("added", "removed")
    }


def _held(page):
    return Loop.read(re.search(r"[?&]loop=([^&]*)", page.url)[1], "")


def test_a_variation_is_small_and_is_drawn_beside_its_button(page, address, aaab):
    open_tab(page, address, "Edit", loop=Loop.of(aaab, "").code)
    page.get_by_role("button", name="Lock kick").click()
    page.get_by_role("button", name="Vary", exact=True).click()
    page.get_by_role("note", name="How changes are drawn").wait_for()
    settled(page)
    now = _held(page).cells
    assert (now != aaab).sum((1, 2)).tolist() == [1, 1, 1, 1]  # of 13 and of 8 onsets
    assert (now[..., KICK] == aaab[..., KICK]).all()

    def names(cells):
        return sorted(f"{KIT.names[part]}, step {step + 1}" for step, part in np.argwhere(cells))

    assert _changes(page) == {"added": names(now[0] & ~aaab[0]), "removed": names(aaab[0] & ~now[0])}
    for label in ("Vary", "Fill the rest", "Answer the kick"):
        button = page.get_by_role("button", name=label, exact=True)
        box = button.bounding_box()
        assert box["y"] + box["height"] < 900  # above the transport
        button.hover()
        page.wait_for_timeout(300)
        assert page.locator("[data-testid=stTooltipContent]").count() == 0
    page.keyboard.press("Control+z")
    settled(page)
    assert (_held(page).cells == aaab).all()


def test_a_loop_is_continued_by_the_bar_that_is_heard(page, address, groove):
    open_tab(page, address, "Edit", loop=Loop.of(groove, "").code)
    settled(page)
    page.get_by_text("Continue", exact=True).click()
    page.get_by_role("button", name="Play tuned 2 after a shared loop", exact=True).click()
    page.get_by_role("button", name="Stop tuned 2 after a shared loop", exact=True).wait_for()
    settled(page)
    assert (_held(page).cells[0] == groove).all()
    assert _held(page).n_bars == 2
    assert page.get_by_role("button", name="Play tuned 1 after a shared loop", exact=True).count() == 1
    assert page.get_by_role("button", name=re.compile("^Bar 2 of 2")).count() == 1
