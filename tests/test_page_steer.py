"""Steer: what is asked for of each bar, and what comes of it."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from visiting import drawn, go, held, press, send, shown, visit

from page import models, steer, takeaway, upload
from page.loop import KIT, Loop
from page.wish import Start, Together
from rhythmgan.conditions import Condition
from rhythmgan.performance import Performance

KICK, SNARE, HAT = 0, 1, 2


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


def test_between_two_values_the_wider_range_is_usual():
    """Of 51 values in order the hundredth part lies in the middle between the first two, and between the last two."""
    assert Together(np.arange(51.0), np.arange(51.0)[::-1]).densities == (0, 50)
    assert Together(np.arange(51.0), 2 * np.arange(51.0)).syncopations() == (1, 99)


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


# -- the answer ----------------------------------------------------------------------------------------


def _visit(**more):
    return visit(tab="Steer", seed="1", **more)


def _dial(app, name):
    (found,) = (dial for dial in shown(app, "steer-dials")["dials"] if dial["name"] == name)
    return found


def _move(app, number, **values):
    return send(app, "steer-dials", "moved", {"number": number, "values": values})


def _density(loop):
    return loop.cells.sum((1, 2)).tolist()


def test_a_move_of_a_dial_changes_the_loop_in_hand_and_shows_what_changed():
    app = _visit()
    base = held(app)
    assert shown(app, "stage")["before"] is None
    wanted = _dial(app, "density")["value"] + 4
    app = _move(app, 1, density=wanted)
    assert held(app) != base
    assert abs(np.mean(_density(held(app))) - wanted) <= 1
    assert shown(app, "stage")["before"] == base.words
    assert shown(app, "steer-dials")["answered"] == 1
    assert _dial(app, "density")["said"].startswith(f"{wanted - 4} → {wanted}, more than ")
    assert any("As you asked" in line.value for line in app.markdown)


def test_a_dial_that_moves_on_steers_the_loop_of_before_and_is_one_step_to_undo():
    app = _visit()
    base, before = held(app), _dial(app, "density")["value"]
    there = _move(_move(app, 1, density=before + 6), 2, density=before + 2)
    straight = _move(_visit(), 1, density=before + 2)
    assert held(there) == held(straight)
    visitor = there.session_state.visitor
    assert visitor.past == [base]


def test_each_press_and_each_dial_is_a_step_to_undo():
    app = _visit()
    base = held(app)
    once = held(app := press(app, "Busier"))
    twice = held(app := press(app, "Busier"))
    syncopation = _dial(app, "syncopation")["value"]
    app = _move(_move(app, 1, syncopation=syncopation - 1), 2, syncopation=syncopation - 3)
    assert app.session_state.visitor.past == [base, once, twice]
    app.session_state.visitor.undo()
    app = drawn(app.run())
    assert held(app) == twice
    assert app.session_state["steer-desk"].base == twice


def test_behind_an_undo_nothing_is_asked_for():
    app = _visit()
    app.segmented_control(key="steer-role").set_value("fill")
    app.selectbox(key="steer-style").set_value("funk")
    app = drawn(app.run())
    app.session_state.visitor.undo()
    app = drawn(app.run())
    assert app.segmented_control(key="steer-role").value == steer.AS_IT_IS
    assert app.selectbox(key="steer-style").value == "any"


def test_back_where_it_was_the_loop_is_what_it_was():
    app = _visit()
    base, before = held(app), _dial(app, "density")["value"]
    app = _move(app, 1, density=before + 5)
    app = _move(app, 2, density=before)
    if _dial(app, "syncopation")["value"] == round(models.features(base)["syncopation"].mean()):
        assert held(app).cells.sum() == pytest.approx(base.cells.sum(), abs=base.n_bars)


def test_words_move_the_dials():
    app = _visit()
    before = _dial(app, "density")["value"]
    app = press(app, "Busier")
    assert _dial(app, "density")["value"] == before + 4
    app = press(app, "Calmer")
    assert _dial(app, "density")["value"] == before
    straight = _dial(app, "syncopation")["value"]
    app = press(app, "More off-beat")
    assert _dial(app, "syncopation")["value"] == straight + 3


def test_no_word_asks_for_more_or_less_than_there_is():
    app = _visit()
    most = _dial(app, "density")["high"]
    app = _move(app, 1, density=most - 1)
    app = press(app, "Busier")
    assert app.session_state["steer-desk"].targets["density"] == most
    disabled = {button.label: button.disabled for button in app.button}
    assert (disabled["Busier"], disabled["Calmer"]) == (True, False)


def test_locked_parts_stay():
    app = _visit()
    base = held(app)
    app.session_state.visitor.locks[KICK] = True
    app = _move(app, 1, density=_dial(app, "density")["value"] + 6)
    np.testing.assert_array_equal(held(app).cells[..., KICK], base.cells[..., KICK])
    assert (held(app).cells != base.cells).any()


def test_bars_that_stay_stay():
    app = _visit()
    base = held(app)
    app.session_state["steer-stay"] = [4]
    app = drawn(app.run())
    app = _move(app, 1, density=_dial(app, "density")["value"] + 4)
    np.testing.assert_array_equal(held(app).cells[3], base.cells[3])
    assert (held(app).cells[:3] != base.cells[:3]).any()


def test_where_all_is_locked_there_is_nothing_to_steer():
    app = _visit()
    app.session_state.visitor.locks[:] = [True] * 12
    app = drawn(app.run())
    assert "All is locked" in app.info[0].value


def test_a_role_is_asked_for_in_plain_words():
    app = _visit()
    base = held(app)
    app.segmented_control(key="steer-role").set_value("fill")
    app = drawn(app.run())
    assert held(app) != base
    assert held(app).asked.role == "fill"


def test_each_bar_stays_what_it_is_unless_a_role_is_asked_for():
    """Of the default loop the last bar is a fill: the prior, asked for each role, says so before and after."""
    (loop,) = models.sampled((1,))
    roles = steer.bar_roles(loop.code)
    assert roles[0] == roles[1] == roles[2]
    request = steer.Request(
        loop.code,
        "x",
        loop.asked,
        (("density", tuple(float(n + 3) for n in _density(loop))),),
        (False,) * 12,
        (),
        steer.AS_IT_IS,
        "any",
        0.3,
        0.5,
        0,
    )
    (first, *_) = steer.answers(request)
    np.testing.assert_array_equal(first.cells[0], first.cells[1])
    np.testing.assert_array_equal(first.cells[0], first.cells[2])
    assert (first.cells[0] != first.cells[3]).any()


def test_the_role_of_a_bar_is_that_under_which_the_prior_finds_it_likeliest():
    """Of the first loop of the page the last bar is drawn as a fill; of its shorter form the second as a variation."""
    assert steer.bar_roles(models.sampled((33,))[0].code) == ("groove", "groove", "groove", "fill")
    assert steer.bar_roles(models.sampled((33,), 2)[0].code) == ("groove", "variation")


def _request(loop, **other):
    """What asks for just what a loop has, but for ``other``."""
    has = models.features(loop)
    asked = {
        "targets": tuple((name, tuple(map(float, has[name]))) for name in models.TARGETS),
        "locks": (False,) * 12,
        "stay": (),
        "role": steer.AS_IT_IS,
        "style": "any",
        "closeness": 0.3,
        "realism": 0.5,
        "seed": 0,
    }
    return steer.Request(loop.code, loop.name, loop.asked, **(asked | other))


def _even(loop, density):
    """Targets: so many onsets in each bar, and a syncopation of 4."""
    return (("density", (float(density),) * loop.n_bars), ("syncopation", (4.0,) * loop.n_bars))


def test_from_silence_comes_what_is_asked_for_however_close_it_is_to_be():
    silence = Loop.of(np.zeros((2, 16, 12), bool), "silence")
    (first, *_) = steer.answers(_request(silence, targets=_even(silence, 20), closeness=1.0))
    assert abs(np.mean(_density(first)) - 20) <= 1


def test_the_nearest_answer_comes_first(monkeypatch):
    (loop,) = models.sampled((1,), 1)
    for seed in range(0, 12, 3):
        request = _request(loop, targets=_even(loop, loop.cells.sum() + 5), seed=seed)
        gaps = [steer._gap(request, answer.cells) for answer in steer.answers(request)]
        assert gaps == sorted(gaps)
    cells = np.zeros((2, 16, 12), bool)
    cells[0, 0, 0] = cells[1, [0, 4, 8], 0] = True  # 1 and 3 onsets, of syncopation 0
    two = Loop.of(cells, "x")
    by_hand = steer._gap(_request(two, targets=_even(two, 2)), cells)
    assert by_hand == 1 + 4


def test_whoever_asks_for_what_the_loop_has_gets_no_other():
    assert steer.answers(_request(models.sampled((1,), 2)[0])) == []


def test_locked_parts_and_bars_that_stay_stay_also_where_a_role_is_asked_for():
    (loop,) = models.sampled((1,), 2)
    (second,) = loop.bars[1:]
    loop = Loop.joined([*loop.bars, second], "x")
    locks = tuple(part == SNARE for part in range(12))
    found = steer.answers(_request(loop, role="fill", style="funk", stay=(2,), locks=locks))
    assert 1 <= len(found) <= 3
    for version in found:
        np.testing.assert_array_equal(version.cells[1], loop.cells[1])
        np.testing.assert_array_equal(version.cells[..., SNARE], loop.cells[..., SNARE])
        assert (version.cells[2] != loop.cells[2]).any()
        assert version.asked == Condition("fill", "funk")


def test_the_agent_is_asked_for_each_bar_by_its_role(monkeypatch):
    """Three bars, of which the second is a fill: what each call of the agent says."""
    cells = np.zeros((3, 16, 12), bool)
    cells[[0, 1, 2], [0, 5, 9], KICK] = True
    loop, calls = Loop.of(Performance.of(cells, KIT, cells * 50), "x", Condition("variation")), []

    def answered(targets, n, *, given, **more):
        calls.append((targets, n, given, more))
        after = np.repeat(given[None], n, 0)
        after[:, :, [1, 2, 3], HAT] = np.eye(3, dtype=bool)[:, None]  # a hat later in each version
        return SimpleNamespace(after=after.reshape(-1, 16, 12))

    monkeypatch.setattr(steer, "steer", answered)
    monkeypatch.setattr(steer, "bar_roles", lambda code: ("groove", "fill", "groove"))
    request = _request(
        loop,
        targets=(("density", (10.0, 20.0, 30.0)), ("syncopation", (1.0, 2.0, 3.0))),
        locks=(False, True, *[False] * 10),
        stay=(3,),
        closeness=0.8,
        realism=0.2,
        seed=6,
    )
    found = steer.answers(request)
    fills, grooves = calls
    assert (fills[0], fills[1]) == ({"density": [20.0], "syncopation": [2.0]}, 3)
    assert grooves[0] == {"density": [10.0, 30.0], "syncopation": [1.0, 3.0]}
    for (_, _, given, more), places, role in ((fills, [1], "fill"), (grooves, [0, 2], "groove")):
        np.testing.assert_array_equal(given, cells[places])
        np.testing.assert_array_equal(more["locked"].all(1)[:, :3], [[bar == 2, True, bar == 2] for bar in places])
        assert (more["role"], more["style"], more["seed"]) == (role, "any", 6)
        assert (more["closeness"], more["realism"], more["calls"]) == (0.8, 0.2, 8)
    assert [loop.name for loop in found] == ["x, steered 1", "x, steered 2", "x, steered 3"]
    hats = [np.argwhere(loop.cells[1] & ~cells[1]).tolist() for loop in found]
    assert sorted(hats) == [[[hat, HAT]] for hat in (1, 2, 3)]
    assert [loop.asked for loop in found] == [Condition("variation")] * 3
    assert found[0].performance.velocities[0, 0, KICK] == 50


def test_all_that_a_visitor_sets_is_asked_for(monkeypatch):
    requests = []
    monkeypatch.setattr(steer, "answers", lambda request: requests.append(request) or [])
    app = _visit()
    app.session_state.visitor.locks[SNARE] = True
    app.session_state["steer-stay"] = [2, 4]
    app = drawn(app.run())
    assert requests == []
    density = _dial(app, "density")["value"] + 2
    app = _move(app, 1, density=density, closeness=0.85, realism=0.15)
    asked = requests[-1]
    assert (asked.closeness, asked.realism, asked.seed) == (0.85, 0.15, 0)
    assert (asked.locks, asked.stay) == ((False, True, *[False] * 10), (2, 4))
    assert (asked.code, asked.role, asked.style) == (held(app).code, steer.AS_IT_IS, "any")
    has = models.features(held(app))
    wanted = dict(asked.targets)
    moved = density - round(float(has["density"].mean()))
    assert wanted["density"] == tuple(has["density"] + moved * np.array([True, False, True, False]))
    assert wanted["syncopation"] == tuple(has["syncopation"])
    app = press(app, "Another answer")
    assert requests[-1].seed == steer.VERSIONS
    app = press(app, "Start from here")
    assert (_dial(app, "closeness")["value"], _dial(app, "realism")["value"]) == (0.85, 0.15)
    assert app.session_state["steer-desk"].seed == 0


def test_a_bar_that_stays_asks_for_nothing_before_anything_else_is_asked_for():
    app = _visit()
    base = held(app)
    app.pills(key="steer-stay").set_value([2])
    app = drawn(app.run())
    assert held(app) == base
    assert app.session_state["steer-desk"].said == ""


def test_of_bars_that_stay_those_that_the_loop_has_count(monkeypatch):
    monkeypatch.setattr(steer.st, "session_state", {"steer-stay": [2, 4]})
    assert steer._stay(steer.Desk(Loop.of(np.ones((2, 16, 12), bool), "x"), {})) == (2,)
    assert steer._stay(steer.Desk(Loop.of(np.ones((4, 16, 12), bool), "x"), {})) == (2, 4)


def test_what_came_of_it_is_said_by_hand():
    cells = np.zeros((1, 16, 12), bool)
    cells[0, [0, 4, 8, 12], KICK] = True
    changed = cells.copy()
    changed[0, [2, 6, 10], HAT], changed[0, 12, KICK] = True, False
    base, found = Loop.of(cells, "x"), Loop.of(changed, "y")
    syncopation = float(models.features(found)["syncopation"][0])
    said = {
        density: steer._sentence(
            _request(base, targets=(("density", (density,)), ("syncopation", (syncopation,)))), base, [found]
        )
        for density in (5.5, 6.5, 6.6)
    }
    assert said[5.5] == said[6.5] == ":material/check_circle: As you asked: 3 added, 1 removed."
    assert said[6.6].endswith(f"Near it, density 6 and syncopation {syncopation:.3g} on average: 3 added, 1 removed.")
    assert "Nothing nearer was found" in steer._sentence(_request(base), base, [])


def test_other_answers_are_offered_and_taken_without_a_new_start():
    app = _visit()
    base = held(app)
    app = _move(app, 1, density=_dial(app, "density")["value"] + 4)
    others = shown(app, "versions")["loops"]
    assert 1 <= len(others) <= 2
    first = held(app)
    app = send(app, "versions", "taken", [others[-1]["code"]])
    assert held(app).code == others[-1]["code"]
    assert app.session_state["steer-desk"].base == base
    assert first.code in {loop["code"] for loop in shown(app, "versions")["loops"]}
    app = press(app, "Another answer")
    assert held(app).code not in {first.code, others[-1]["code"]}
    steered = held(app)
    app = press(app, "Start from here")
    assert held(app) == app.session_state["steer-desk"].base == steered
    assert shown(app, "stage")["before"] is None


def test_what_is_steered_is_played_as_before():
    cells = np.zeros((1, 16, 12), bool)
    cells[0, [0, 6, 8], 0] = cells[0, [4, 12], 1] = cells[0, ::2, 2] = True
    late = np.where(cells, 0.125, 0)
    loop = Loop.of(Performance.of(cells, KIT, np.where(cells, 50, 0), late), "own")
    app = visit(tab="Steer", loop=loop.code)
    app = _move(app, 1, density=16)
    played = held(app).performance
    stays = held(app).cells & cells
    assert stays.any()
    assert (played.velocities[stays] == 50).all()
    assert (played.offsets[stays] == 0.125).all()


def test_a_bar_of_triplets_is_steered():
    cells = np.zeros((1, 12, 12), bool)
    cells[0, [0, 6], 0] = cells[0, [3, 9], 1] = cells[0, 2::3, 7] = cells[0, ::3, 7] = True
    app = visit(tab="Steer", loop=Loop.of(cells, "x").code)
    app = _move(app, 1, density=15)
    assert held(app).steps == 12
    assert abs(int(held(app).cells.sum()) - 15) <= 1


def test_old_links_ask_for_numbers():
    app = _visit(density="24")
    assert _dial(app, "density")["value"] == 24
    assert abs(np.mean(_density(held(app))) - 24) <= 1
    assert "density" not in app.query_params


def test_something_else_in_hand_is_steered_next():
    app = _visit()
    app = _move(app, 1, density=_dial(app, "density")["value"] + 4)
    app = go(go(app, "Sample"), "Steer")
    app = send(go(app, "Sample"), "gallery", "taken", [shown(go(app, "Sample"), "gallery")["loops"][2]["code"]])
    app = go(app, "Steer")
    assert app.session_state["steer-desk"].base == held(app)
    assert not any("As you asked" in line.value for line in app.markdown)


def test_what_was_drawn_in_an_answer_is_steered_next():
    app = _visit()
    base = held(app)
    app = _move(app, 1, density=_dial(app, "density")["value"] + 4)
    cells = held(app).cells.copy()
    cells[0, :, 11] = True
    app.session_state.visitor.take(Loop.of(cells, "drawn"), before=base, tag="drawn 1 1")
    app = drawn(app.run())
    assert app.session_state["steer-desk"].base == held(app) == Loop.of(cells, "drawn")
    assert app.session_state["steer-desk"].said == ""


@pytest.mark.parametrize("sent", [None, 5, "x", {"number": "x", "values": {}}, {"values": [1]}, {"number": -1}])
def test_nonsense_from_the_dials_is_no_exception(sent):
    app = _visit()
    base = held(app)
    app = send(app, "steer-dials", "moved", sent)
    assert shown(app, "steer-dials")["answered"] == 0
    app = send(app, "steer-dials", "moved", {"number": 1, "values": {"density": "x", "nobody": 3, "realism": True}})
    assert held(app) == base


def test_a_dial_stays_in_its_range():
    app = _visit()
    most = _dial(app, "density")["high"]
    app = _move(app, 1, density=1e9, closeness=-4)
    assert _dial(app, "density")["value"] == most
    assert _dial(app, "closeness")["value"] == 0


def test_the_file_that_is_steered_goes_along_with_its_answers(monkeypatch):
    given = []
    monkeypatch.setattr(takeaway, "many", lambda *args: given.append(args[4]))
    app = _visit()
    app = _move(app, 1, density=_dial(app, "density")["value"] + 4)
    assert given == [None]
    loop = models.sampled((2,), 1)[0].named("My Loop")
    app.session_state["upload"] = upload.Upload("My Loop", b"its bytes", loop.performance, 90.0)
    app.session_state.visitor.take(loop)
    app = drawn(app.run())
    app = _move(app, 2, density=_dial(app, "density")["value"] + 4)
    assert given == [None, b"its bytes"]
