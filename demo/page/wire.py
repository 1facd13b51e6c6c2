"""What browsers say of widgets is checked before Streamlit reads it.

A value that its reader cannot take, as infinity for a whole number or JSON that is none, would end the run of the
script, and all later ones of that visitor: Streamlit reads it again before each of them. It has no hook for this, so
the method through which all of them come is replaced. What does not fit is as if it had not been said.
"""

from __future__ import annotations

import math
from functools import wraps

from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.state.common import WidgetMetadata, unpack_widget_state_value
from streamlit.runtime.state.session_state import SessionState

from rhythmgan.inputs import parse_json


def fits(state: WidgetState, known: WidgetMetadata[object] | None) -> bool:
    """Whether a state can be one of its widget.

    Args:
        state: what a browser says.
        known: what Streamlit knows of the widget; None of one that is not drawn yet.
    """
    kind = state.WhichOneof("value")
    if kind is None:
        return True
    if kind == "double_value" and not math.isfinite(state.double_value):
        return False
    if kind == "double_array_value" and not all(math.isfinite(number) for number in state.double_array_value.data):
        return False
    if kind in ("json_value", "json_trigger_value") and not _is_json(getattr(state, kind)):
        return False
    return known is None or (known.value_type == kind and _is_read(state, known))


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _is_read(state: WidgetState, known: WidgetMetadata[object]) -> bool:
    """Whether a widget can read its state; a field for files does not take every name."""
    try:
        known.deserializer(unpack_widget_state_value(state))
    except Exception:
        return False
    return True


def check() -> None:
    """Have all that browsers say checked from now on, once for the process."""
    read = SessionState.set_widgets_from_proto
    if hasattr(read, "__wrapped__"):
        return

    @wraps(read)
    def checked(session: SessionState, widget_states: WidgetStates) -> None:
        known = session._new_widget_state.widget_metadata
        fitting = [state for state in widget_states.widgets if fits(state, known.get(state.id))]
        read(session, WidgetStates(widgets=fitting))

    SessionState.set_widgets_from_proto = checked  # type: ignore[method-assign, assignment]
