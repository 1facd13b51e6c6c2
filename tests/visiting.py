"""A visitor of the page without a browser: Streamlit's AppTest, the doors that it lacks, and bars by hand.

A module of tests takes the fixtures in by ``pytest_plugins = ["visiting"]``, and imports the functions.
"""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from rhythmgan.bars import words_to_bars

APP = Path(__file__).resolve().parent.parent / "demo" / "app.py"
TABS = ("Sample", "Steer", "Morph", "Edit", "Blind test", "Data")

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
"""What JSON can say."""


@pytest.fixture(scope="module")
def quiet(one_thread):
    """Streamlit tells its log that these are tests."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


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


def visit(**address):
    """The page at an address, drawn."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in address.items():
        app.query_params[name.replace("_", "-")] = value
    return drawn(app.run())


def drawn(app):
    """The app, without an exception."""
    assert [(error.message, error.stack_trace) for error in app.exception] == []
    return app


def component(app, key):
    """A component of our own by its key."""
    (found,) = (component for component in app.get("bidi_component") if component.key == key)
    return found


def shown(app, key):
    """What a component's script is sent."""
    return json.loads(component(app, key).proto.json)


def held(app):
    """The loop in hand."""
    return app.session_state.visitor.hand


def cells_of(sent):
    """The cells (m, steps, 12) bool of a loop as it is sent."""
    return words_to_bars(np.array(sent["bars"]), 12)


def send(app, key, event, value):
    """Run the app after a component's script said something; AppTest has no door for it, so this is what it does."""
    from streamlit.components.v2.bidi_component.main import _make_trigger_id

    states = app._tree.get_widget_states()
    reported = states.widgets.add()
    reported.id = _make_trigger_id(component(app, key).proto.id, "events")
    reported.json_trigger_value = json.dumps([{"event": event, "value": value}])
    return drawn(app._run(states))


def go(app, tab):
    """The app after a click on a tab, for which AppTest has no door either."""
    states, blocks = app._tree.get_widget_states(), [app._tree]
    while blocks[0].type != "tab_container":
        blocks = [*blocks[1:], *getattr(blocks[0], "children", {}).values()]
    states.widgets.add(id=blocks[0].proto.id, string_value=tab)
    return drawn(app._run(states))


def press(app, label):
    """The app after a click on the button of this label."""
    (button,) = (button for button in app.button if button.label == label)
    return drawn(button.click().run())
