"""Dials: sliders whose moves are answered while they move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from page import doors
from page.component import component

_dials = component("dials", ["dials"], ["dials"])


@dataclass(frozen=True)
class Dial:
    """One slider.

    Attributes:
        name: what it is called in Python.
        label: what it is called on the page.
        low, high, step: its range.
        value: where it stands.
        said: a few words beside it, of what the value means.
        ends: words at its two ends.
        help: a sentence for whoever rests on the label.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    value: float
    said: str = ""
    ends: tuple[str, str] = ("", "")
    help: str = ""


def show(dials: Sequence[Dial], key: str, moved: Callable[[dict[str, float]], None]) -> None:
    """Draw dials.

    Args:
        dials: from the top down.
        key: of this place on the page.
        moved: called with the new values by name, within the range of each, before the page is drawn again.
    """
    # the browser sends one move at a time: it waits for the number of the last one that was answered
    answered = f"{key}-answered"
    by_name = {dial.name: dial for dial in dials}

    def took() -> None:
        sent = doors.entries(st.session_state[key].moved)
        number = doors.whole(sent.get("number"))
        if number is not None:
            st.session_state[answered] = number
        if found := _readable(sent.get("values"), by_name):
            moved(found)

    _dials(
        key=key,
        data={"dials": [asdict(dial) for dial in dials], "answered": st.session_state.get(answered, 0)},
        on_moved_change=took,
    )


def _readable(values: Any, dials: dict[str, Dial]) -> dict[str, float]:
    """The values in what a browser sent, each brought into its dial's range."""
    found: dict[str, float] = {}
    for name, value in doors.entries(values).items():
        dial = dials.get(name)
        if dial is not None and (number := doors.clamped(value, dial.low, dial.high)) is not None:
            found[name] = number
    return found
