"""What a visitor holds: the loop in hand, undo and redo, favourites, the mixer and the feel."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from visiting import ANYTHING

from page import session
from page.loop import KIT, TRIPLETS, Loop
from page.session import Mix, Visitor
from rhythmgan.performance import Performance
from rhythmgan.playback import Playback


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """The address of a visitor."""
    query = {}
    monkeypatch.setattr(session.st, "query_params", query)
    return query


def _loop(step, steps=16, name=""):
    cells = np.zeros((1, steps, 12), bool)
    cells[0, step, 0] = True
    return Loop.of(cells, name or f"kick on {step}")


def test_what_was_in_hand_comes_back_and_again(address):
    mine = Visitor(_loop(0))
    for step in (1, 2, 3):
        mine.take(_loop(step))
    assert address == {"loop": _loop(3).code}
    mine.undo()
    mine.undo()
    assert mine.hand.name == "kick on 1"
    assert address == {"loop": _loop(1).code}
    mine.redo()
    assert mine.hand.name == "kick on 2"
    mine.take(_loop(9))  # another way: what was undone is gone
    mine.redo()
    assert mine.hand.name == "kick on 9"
    for _ in range(9):
        mine.undo()
    assert mine.hand.name == "kick on 0"
    assert [loop.name for loop in mine.future] == [f"kick on {step}" for step in (9, 2, 1)]


def test_moves_of_one_slider_are_one_step_to_undo():
    mine = Visitor(_loop(0))
    for step in (1, 2, 3):
        mine.take(_loop(step), before=_loop(0), tag="steer")
    assert mine.before == _loop(0)
    assert [loop.name for loop in mine.history] == ["kick on 3"]
    mine.take(_loop(4), tag="temperature")
    mine.undo()
    assert mine.hand.name == "kick on 3"
    assert mine.before is None  # nothing that changed is drawn then
    mine.undo()
    assert mine.hand.name == "kick on 0"
    mine.take(_loop(5), tag="steer")
    mine.take(_loop(6))
    mine.take(_loop(7))
    mine.undo()
    assert mine.hand.name == "kick on 6"


def test_a_slider_that_moves_after_an_undo_begins_another_step():
    mine = Visitor(_loop(0))
    mine.take(_loop(1))
    mine.take(_loop(2), tag="steer")
    mine.undo()
    mine.take(_loop(3), before=_loop(0), tag="steer")
    mine.undo()
    assert mine.hand.name == "kick on 1"
    mine.take(_loop(4), tag="steer")
    mine.undo()
    mine.redo()
    mine.take(_loop(5), tag="steer")
    assert [loop.name for loop in mine.past] == ["kick on 0", "kick on 1", "kick on 4"]


def test_strokes_are_steps_to_undo_and_one_entry_of_the_session():
    mine = Visitor(_loop(0), history=[_loop(0)])
    for step in (1, 2, 3):
        mine.take(_loop(step), tag=f"drawn {step}")
    assert [loop.name for loop in mine.history] == ["kick on 3", "kick on 0"]
    assert [loop.name for loop in mine.past] == ["kick on 0", "kick on 1", "kick on 2"]
    mine.take(_loop(4), tag="drawing")
    assert [loop.name for loop in mine.history] == ["kick on 4", "kick on 3", "kick on 0"]


def test_a_loop_that_comes_in_hand_again_is_one_entry_of_the_session():
    mine = Visitor(_loop(0), history=[_loop(0)])
    for step in (1, 2, 1, 0):
        mine.take(_loop(step))
    assert [loop.name for loop in mine.history] == ["kick on 0", "kick on 1", "kick on 2"]
    mine.undo()
    mine.undo()
    assert [loop.name for loop in mine.history] == ["kick on 2", "kick on 1", "kick on 0"]


def test_taking_what_is_in_hand_is_no_step():
    mine = Visitor(_loop(0))
    mine.take(_loop(1))
    mine.undo()
    mine.take(_loop(0, name="again"), before=_loop(2))
    assert (mine.hand.name, mine.past, len(mine.future), mine.before) == ("again", [], 1, _loop(2))


def test_a_loop_with_timing_of_its_own_is_not_swung_unless_asked():
    cells = np.zeros((1, 16, 12), bool)
    cells[0, 3, 2] = True
    late = Loop.of(Performance.of(cells, KIT, None, cells * 0.25), "late")
    mine = Visitor(_loop(0), swing=0.56)
    mine.take(late)
    assert mine.swing == 0.5
    mine.swing = 0.6
    mine.take(late.with_cells(cells | _loop(1).cells, "more"))
    assert mine.swing == 0.6
    mine.take(_loop(1))
    assert mine.swing == 0.6


def test_back_and_forward_in_the_browser_lead_to_the_loop_of_the_address(address, monkeypatch):
    mine = Visitor(_loop(0))
    monkeypatch.setattr(session, "visitor", lambda: mine)
    mine.take(_loop(1))
    mine.take(_loop(2))
    address["loop"] = _loop(1).code
    session.follow_address()
    assert mine.hand.name == "kick on 1"
    mine.undo()
    assert mine.hand.name == "kick on 2"
    address["loop"] = "2.nonsense"
    session.follow_address()
    assert (mine.hand.name, address["loop"]) == ("kick on 2", _loop(2).code)
    session.follow_address()
    del address["loop"]
    session.follow_address()
    assert mine.hand.name == "kick on 2"
    address["loop"] = _loop(9).code
    session.follow_address()
    assert mine.hand.name == "a shared loop"


def test_an_old_link_gives_way_to_the_new_one(address):
    address["bar"] = "something"
    mine = Visitor(_loop(0))
    mine.take(_loop(1))
    assert set(address) == {"loop"}


def test_sixty_loops_are_remembered():
    mine = Visitor(_loop(0))
    for number in range(70):
        cells = np.zeros((1, 16, 12), bool)
        cells[0].reshape(-1)[number] = True
        mine.take(Loop.of(cells, f"{number}"))
    assert (len(mine.past), len(mine.history)) == (60, 60)
    assert (mine.past[0].name, mine.history[0].name) == ("9", "69")


def test_hearts_are_kept_and_taken_back():
    mine, loops = Visitor(_loop(0)), {loop.code: loop for loop in map(_loop, (1, 2, 3))}
    one, two, three = loops
    mine.keep([[one, True], [two, True], ["nobody", True]], loops)
    assert [loop.name for loop in mine.favourites] == ["kick on 2", "kick on 1"]
    mine.keep([[one, True], [two, False], [three, False]], loops)
    assert [loop.name for loop in mine.favourites] == ["kick on 1"]


def test_a_heart_that_is_there_already_stays_in_its_place():
    one, two = _loop(1), _loop(2)
    mine = Visitor(_loop(0), kept=[two, one])
    mine.keep([[one.code, True]], {one.code: one})
    assert mine.favourites == [two, one]


def test_sixty_favourites_are_kept_the_oldest_go_first():
    loops = []
    for number in range(61):
        cells = np.zeros((1, 16, 12), bool)
        cells[0].reshape(-1)[number] = True
        loops.append(Loop.of(cells, f"{number}"))
    mine = Visitor(_loop(0), kept=loops[:60])
    mine.keep([[loops[60].code, True]], {loops[60].code: loops[60]})
    assert [loop.name for loop in mine.favourites] == ["60", *map(str, range(59))]
    assert session._readable([[loop.code, loop.name] for loop in loops]) == loops[:60]


def test_favourites_of_the_browser_come_behind_new_ones_and_another_page_may_change_them(monkeypatch):
    one, two, three = map(_loop, (1, 2, 3))
    monkeypatch.setattr(session.st, "session_state", state := _State(visitor=Visitor(_loop(0), kept=[three])))
    state.keeper = SimpleNamespace(found=[[one.code, "one"], [three.code, "three"]])
    session._found()
    assert [loop.name for loop in state.visitor.favourites] == ["kick on 3", "one"]
    state.keeper = SimpleNamespace(changed=[[two.code, "two"], [one.code, "one"]])
    session._changed()
    assert [loop.name for loop in state.visitor.favourites] == ["two", "one"]


@given(ANYTHING)
def test_a_browser_may_say_anything_of_hearts(said):
    mine = Visitor(_loop(0))
    mine.keep(said, {_loop(1).code: _loop(1)})
    assert mine.favourites == []
    assert session._readable(said) == []


def test_favourites_of_the_first_release_are_read(monkeypatch):
    old = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    found = session._readable([[old, "an old one" * 10], [_loop(1).code, "new"], [_loop(1).code, "twice"], ["x", 1]])
    assert [loop.name for loop in found] == [("an old one" * 10)[:60], "new"]
    assert not found[0].cells.any()


def test_a_link_leads_to_its_loop_and_a_broken_one_to_the_first(address, monkeypatch):
    said = []
    monkeypatch.setattr(session.st, "session_state", state := _State())
    monkeypatch.setattr(session.st, "toast", lambda text, icon: said.append(text))
    address["loop"] = _loop(5).code
    session.begin(_loop(0))
    assert (state.visitor.hand.cells == _loop(5).cells).all()
    assert not state.visitor.untouched
    for name, code in (("bar", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), ("loop", "2.nonsense")):
        state.clear()
        address.clear()
        address[name] = code
        session.begin(_loop(0))
    assert state.visitor.hand == _loop(0)
    assert state.visitor.untouched
    assert address == {}
    assert said == ["the address holds no loop that can be read: here is another one"]


def test_of_two_loops_in_the_address_the_new_one_counts(address, monkeypatch):
    monkeypatch.setattr(session.st, "session_state", state := _State())
    address.update(loop=_loop(5).code, bar=_loop(7).code)
    session.begin(_loop(0))
    assert state.visitor.hand == _loop(5).named("a shared loop")


def test_the_first_loop_swings_and_a_shared_one_does_not(address, monkeypatch):
    monkeypatch.setattr(session.st, "session_state", state := _State())
    session.begin(_loop(0))
    assert (state.visitor.bpm, state.visitor.swing) == (96, 0.56)
    assert state.visitor.history == [_loop(0)]
    state.clear()
    address["loop"] = _loop(5).code
    session.begin(_loop(0))
    assert (state.visitor.bpm, state.visitor.swing) == (Playback.bpm, Playback.swing)


class _State(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def test_who_is_solo_silences_the_others_and_who_is_muted_stays_silent():
    mix = Mix()
    assert mix.levels().tolist() == [1] * 12
    mix.mute[2], mix.level[1] = True, 0.5
    assert mix.levels().tolist() == [1, 0.5, 0] + [1] * 9
    mix.solo[1] = mix.solo[2] = True
    assert mix.levels().tolist() == [0, 0.5] + [0] * 10


def test_a_feel_is_the_loops_own_or_accents_on_the_grid():
    cells = np.zeros((1, 16, 12), bool)
    cells[0, [0, 3], 0] = True
    own = Loop.of(Performance.of(cells, KIT, cells * 40, cells * 0.25), "x")
    mine = Visitor(own)
    assert mine.played(own).velocities.max() == 40
    mine.feel = session.ACCENTS
    played = mine.played(own)
    assert (played.velocities[0, 0, 0], played.velocities[0, 3, 0], played.offsets.any()) == (112, 76, False)


def test_triplets_do_not_swing():
    mine = Visitor(_loop(0), bpm=93.5, swing=0.6)
    assert (mine.playback(16).swing, mine.playback(TRIPLETS).swing) == (0.6, 0.5)
    assert mine.playback(TRIPLETS).bpm == 93.5
