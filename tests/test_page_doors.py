"""What browsers send: one door for every kind of value, and one for all of Streamlit's widgets."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.state.session_state import SessionState
from visiting import ANYTHING, TABS, component, drawn, go, held, send, shown, visit

from page import doors, wire
from page.component import WEB

pytest_plugins = ["visiting"]
pytestmark = pytest.mark.usefixtures("quiet")

NOTHING = [None, True, "1", "", [], [1], {}, {"a": 1}, math.nan]


def test_whole_numbers_are_whole_and_of_their_range():
    assert [doors.whole(sent) for sent in (0, 5, 2**31 - 1)] == [0, 5, 2**31 - 1]
    assert [doors.whole(sent) for sent in (*NOTHING, -1, 2**31, 10**400, 1.0, math.inf)] == [None] * (len(NOTHING) + 5)
    assert (doors.whole(3, 3, 4), doors.whole(5, 3, 4), doors.whole(2, 3, 4)) == (3, None, None)


def test_numbers_are_of_their_range():
    assert [doors.number(sent, -1, 2) for sent in (-1, 0.5, 2)] == [-1, 0.5, 2]
    assert [doors.number(sent, -1, 2) for sent in (*NOTHING, 3, 10**400, math.inf)] == [None] * (len(NOTHING) + 3)


def test_numbers_are_brought_into_a_range():
    sent = (0.5, 3, -(10**400), 10**400, math.inf, -math.inf)
    assert [doors.clamped(each, -1, 2) for each in sent] == [0.5, 2, -1, 2, 2, -1]
    assert [doors.clamped(each, -1, 2) for each in NOTHING] == [None] * len(NOTHING)


def test_an_address_says_numbers_in_words():
    assert [doors.said(text, 0, 9) for text in ("5", " 5.5 ", "5e0")] == [5, 5.5, 5]
    said = (None, "", "x", "inf", "-inf", "nan", "1" * 400, "1e400", "-1", "10", "0x5")
    assert [doors.said(text, 0, 9) for text in said] == [None] * len(said)


def test_texts_are_one_line_of_what_can_be_seen():
    assert doors.text("Häuser 🥁", 60) == "Häuser 🥁"
    assert doors.text(" a\nb\0c\u202ed\ud800e\u2028f ", 60) == "a b c d e f"
    assert doors.text("x" * 10**6, 60) == "x" * 60
    assert doors.text("\n\u202e", 60) == ""
    assert [doors.text(sent, 60) for sent in (None, 5, ["x"])] == [None] * 3


def test_lists_pairs_and_objects_are_what_they_are():
    assert doors.items([1, 2, 3], 2) == [1, 2]
    assert [doors.items(sent, 2) for sent in (None, "ab", {"a": 1}, 5)] == [[]] * 4
    assert doors.pair([1, "x"]) == (1, "x")
    assert [doors.pair(sent) for sent in ([1], [1, 2, 3], "ab", None, {"a": 1, "b": 2})] == [None] * 5
    assert doors.entries({"a": 1}) == {"a": 1}
    assert [doors.entries(sent) for sent in (None, [["a", 1]], "a", 5)] == [{}] * 4


def test_switches_are_a_bool_for_each():
    assert doors.switches([True, False], 2) == [True, False]
    assert [doors.switches(sent, 2) for sent in ([True], [1, 0], [True, None], "ab", None)] == [None] * 5


def test_nested_numbers_have_their_shape():
    assert doors.numbers([[1, 0.5]], (1, 2), 0, 1).tolist() == [[1, 0.5]]
    whole = doors.whole_numbers([[1, 0]], (1, 2), 0, 1)
    assert (whole.tolist(), whole.dtype) == ([[1, 0]], np.int64)
    wrong = ([[1]], [[1, 0], [1, 0]], [1, 0], [[1, True]], [[1, None]], [[1, 2]], [[1, math.nan]], [[1, [0]]], None, 5)
    assert [doors.numbers(sent, (1, 2), 0, 1) for sent in wrong] == [None] * len(wrong)
    assert doors.whole_numbers([[1, 0.0]], (1, 2), 0, 1) is None


@given(ANYTHING)
def test_no_door_is_broken(sent):
    doors.whole(sent), doors.number(sent, 0, 1), doors.clamped(sent, 0, 1), doors.text(sent, 5), doors.entries(sent)
    doors.items(sent, 5), doors.pair(sent), doors.switches(sent, 2), doors.numbers(sent, (2, 2), 0, 1)


# -- Streamlit's widgets -------------------------------------------------------------------------------


def _state(**value):
    return WidgetState(id="x", **value)


def test_what_no_reader_takes_does_not_fit():
    assert wire.fits(_state(), None)
    assert wire.fits(_state(double_value=5), None)
    assert wire.fits(_state(json_value="{}"), None)
    assert wire.fits(_state(json_trigger_value='[{"event": "x", "value": 5}]'), None)
    for number in (math.inf, -math.inf, math.nan):
        assert not wire.fits(_state(double_value=number), None)
        assert not wire.fits(_state(double_array_value={"data": [1, number]}), None)
    for text in ("", "{", "x", "[" * 100_000, "1" * 5000):
        assert not wire.fits(_state(json_value=text), None)
        assert not wire.fits(_state(json_trigger_value=text), None)


def test_what_browsers_say_is_checked_once():
    """The page asks for it in every run."""
    wire.check()
    checked = SessionState.set_widgets_from_proto
    wire.check()
    assert SessionState.set_widgets_from_proto is checked


def _report(app, **value):
    """The app after a browser says this of a widget, and after a plain run behind it."""
    states = app._tree.get_widget_states()
    others = [state for state in states.widgets if state.id != value["id"]]
    del states.widgets[:]
    states.widgets.extend([*others, WidgetState(**value)])
    drawn(app._run(states))
    return drawn(app.run())


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_field_for_whole_numbers_is_told_no_infinity(number):
    app = visit(seed="7")
    code = held(app).code
    (seed,) = (entry for entry in app.number_input if entry.key == "seed")
    app = _report(app, id=seed.proto.id, double_value=number)
    assert (held(app).code, app.session_state.seed) == (code, 7)


def test_widgets_are_told_values_of_their_own_kind():
    app = visit(tab="Steer")
    code = held(app).code
    widgets = [component(app, key).proto.id for key in ("stage", "controls", "steer-dials", "kit", "keeper")]
    widgets += [_make_trigger_id(widget, "events") for widget in widgets]
    widgets += [entry.proto.id for entry in (*app.selectbox, *app.button, *app.get("button_group"))]
    values = [
        {"bool_value": True},
        {"double_value": 1},
        {"double_array_value": {"data": [1]}},
        {"int_array_value": {"data": [1]}},
        {"bytes_value": b"x"},
        {"json_value": "{"},
        {"json_trigger_value": "x"},
        {"file_uploader_state_value": {}},
    ]
    for i, widget in enumerate(widgets):
        app = _report(app, id=widget, **values[i % len(values)])
    assert held(app).code == code


# -- the page's own elements ---------------------------------------------------------------------------

_EVENTS = {
    "stage": ("edited", "mixed", "kept"),
    "controls": ("changed", "moved", "went"),
    "keeper": ("found", "changed"),
    "kit": ("loaded",),
    "pad": ("moved",),
    "blind": ("voted", "next"),
    "dials": ("moved",),
    "cards": ("taken", "kept"),
}
"""What scripts say, by the key of their element, or by its class where there are several."""


def _events(key):
    return _EVENTS.get(key) or _EVENTS["dials" if key.endswith("dials") else "cards"]


def test_all_that_scripts_say_is_tried_here():
    scripts = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("*.js"))
    said = {
        name for name in scripts.split('"') if f'setTriggerValue("{name}"' in scripts or f'send("{name}"' in scripts
    }
    assert said
    assert said <= {event for events in _EVENTS.values() for event in events}


WRONG = [
    *(
        None,
        True,
        -1,
        0.5,
        10**400,
        -(10**400),
        math.inf,
        math.nan,
        "",
        "x" * 5000,
        "\ud800",
        [],
        {},
        [[]],
        [[None, None]],
    ),
    *([["x", True], [1, 2], [[], {}]], {"number": 1, "values": {"density": -(10**400)}}),
]


def _spoilt(sent):
    """A strategy: what an element was sent, or an event of it, with something else somewhere in it."""
    wrong = st.sampled_from(WRONG) | ANYTHING
    if isinstance(sent, dict) and sent:
        return wrong | st.sampled_from(sorted(sent)).flatmap(
            lambda name: _spoilt(sent[name]).map(lambda value: {**sent, name: value})
        )
    if isinstance(sent, list) and sent:
        return wrong | st.integers(0, min(len(sent), 9) - 1).flatmap(
            lambda place: _spoilt(sent[place]).map(lambda value: [*sent[:place], value, *sent[place + 1 :]])
        )
    return wrong


def _right(app, key):
    """What the script of an element may say, by event; nothing where that is one word or number."""
    data = shown(app, key)
    if key == "stage":
        loop = {name: data["loop"][name] for name in ("bars", "velocities", "offsets")} | {"locks": data["locks"]}
        stroke = {"epoch": data["epoch"], "revision": data["revision"] + 1, **loop}
        return {
            "edited": {**stroke, "earlier": [loop | {"revision": data["revision"]}]},
            "mixed": data["mix"],
            "kept": [[data["loop"]["code"], True]],
        }
    if key == "controls":
        ahead = {"epoch": data["epoch"], "revision": data["revision"] + 1}
        return {
            "changed": data["settings"] | ahead,
            "moved": {"epoch": data["epoch"], "moves": [[data["moved"] + 1, "undo"]]},
        }
    if key == "pad":
        return {"moved": {"epoch": data["epoch"], "revision": data["revision"] + 1, "path": data["path"]}}
    if key == "blind":
        return {event: {"pair": data["pair"], "winner": "A"} for event in ("voted", "next")}
    if key.endswith("dials"):
        return {"moved": {"number": 1, "values": {dial["name"]: dial["value"] for dial in data["dials"]}}}
    codes = [loop["code"] for loop in data.get("loops", [])] or [held(app).code]
    if key == "keeper":
        return {event: [[code, "a name"] for code in codes] for event in ("found", "changed")}
    return {"taken": codes, "kept": [[code, True] for code in codes]}


@pytest.mark.parametrize("tab", TABS)
def test_whatever_a_script_says_the_page_goes_on(tab):
    app = visit(tab=tab)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.data())
    def say(data):
        nonlocal app
        key = data.draw(st.sampled_from([each.key for each in app.get("bidi_component") if each.key != "takeaway"]))
        event = data.draw(st.sampled_from(_events(key)))
        value = data.draw(_spoilt(_right(app, key).get(event)) if key != "kit" else ANYTHING)
        app = send(app, key, event, value)
        app = drawn(app.run())

    say()
    for other in TABS:
        app = go(app, other)


def test_a_favourite_is_called_by_what_can_be_shown():
    app = visit(tab="Morph")
    app = send(app, "keeper", "changed", [[held(app).code, "\ud800\u202e"], ["x", "y"], 5])
    assert [loop.name for loop in app.session_state.visitor.favourites] == ["a favourite"]
    assert drawn(app.run())


@pytest.mark.parametrize(
    "seed", ["inf", "-inf", "nan", "1" * 400, "-5", "1e400", "x", "", "1.5", ["", "inf"], ["3", "5"]]
)
def test_a_seed_of_the_address_is_a_number_that_the_field_has_or_none(seed):
    app = visit(seed=seed)
    found = 5 if seed == ["3", "5"] else 33
    assert app.session_state.seed == found
    assert app.query_params.get("seed") == ("5" if found == 5 else None)
    assert held(app).name == f"seed {found}"


def test_json_that_says_infinity_is_no_number():
    assert doors.number(json.loads("1e400"), 0, 1) is None
    assert doors.clamped(json.loads("NaN"), 0, 1) is None
