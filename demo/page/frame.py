"""What stands around the panels: the page's head, its tabs, the stage beside a panel, the transport at the foot."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import streamlit as st

from page import wire

PANELS = {"Sample": "sample", "Steer": "steer", "Morph": "morph", "Edit": "edit"}
"""Tabs that change the loop in hand, which stands beside them, and their modules."""

ROOMS = {"Blind test": "blind", "Data": "data"}
"""Tabs with a page of their own."""

_ICON = Path(__file__).parent.parent / "icon.svg"
_STYLE = Path(__file__).parent / "web" / "page.css"


def show() -> None:
    """Draw the page for a visitor."""
    wire.check()
    st.set_page_config("rhythmgan", page_icon=str(_ICON), layout="wide")
    st.html(_STYLE)
    st.subheader("rhythmgan :gray[:small[drum loops from a model that you can steer]]", anchor=False)
    tabs = st.tabs([*PANELS, *ROOMS], key="tab", bind="query-params")
    chosen = next((name for name, tab in zip([*PANELS, *ROOMS], tabs, strict=True) if tab.open), "Sample")

    # only now, with a page to look at: torch takes two seconds
    from page import sample, session, transport

    session.begin(sample.first())
    transport.begin()  # before anything says how fast a loop is
    if chosen in PANELS:
        _show_panel(PANELS[chosen])
    else:
        import_module(f"page.{ROOMS[chosen]}").show()
    with st.container(key="transport"):
        transport.show()
    session.keep()
    session.visitor().untouched = False
    transport.load_kit()


def _show_panel(name: str) -> None:
    """Draw the stage, and a panel beside it."""
    from page import session, stage, takeaway

    held, panel = st.columns([3, 2], gap="medium")

    def draw_panel() -> None:
        with panel, st.container(key="panel", gap="small"):
            import_module(f"page.{name}").show()

    def draw_stage() -> None:
        with held, st.container(key="held"):
            stage.show()
            with st.container(key="takeaway-row"):
                takeaway.show()

    # what was asked for is in hand already, and the player waits for it; a first panel reads the address
    rooms = (draw_panel, draw_stage) if session.visitor().untouched else (draw_stage, draw_panel)
    for draw in rooms:
        draw()
