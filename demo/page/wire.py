"""What browsers say of widgets is checked before Streamlit reads it.

A value that its reader cannot take, as infinity for a whole number or JSON that is none, would end the run of the
script, and all later ones of that visitor: Streamlit reads it again before each of them. It has no hook for this, so
the method through which all of them come is replaced. What does not fit is as if it had not been said.
"""

from __future__ import annotations

import math
from functools import wraps

from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.state.common import WidgetMetadata
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
    if known is not None and known.value_type != kind:
        return False
    if kind == "double_value":
        return math.isfinite(state.double_value)
    if kind == "double_array_value":
        return all(math.isfinite(number) for number in state.double_array_value.data)
    if kind in ("json_value", "json_trigger_value"):
        try:
            parse_json(getattr(state, kind))
        except ValueError:
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
