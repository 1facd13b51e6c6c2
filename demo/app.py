"""The page: make a drum loop, steer, morph and edit it, listen, and take it away.

Run: rhythmgan demo, or in a clone: streamlit run demo/app.py
"""

from importlib import import_module
from pathlib import Path

import streamlit as st

# tabs that change the loop in hand, which stands beside them; and tabs with a page of their own
# (in comments: what stands in a script of Streamlit as a text is drawn)
PANELS = {"Sample": "sample", "Steer": "steer", "Morph": "morph", "Edit": "edit"}
ROOMS = {"Blind test": "blind", "Data": "data"}

st.set_page_config("rhythmgan", page_icon=str(Path(__file__).parent / "icon.svg"), layout="wide")
st.html(Path(__file__).parent / "page" / "web" / "page.css")
st.subheader("rhythmgan :gray[:small[drum loops from a model that you can steer]]", anchor=False)
tabs = st.tabs([*PANELS, *ROOMS], key="tab", bind="query-params")
chosen = next((name for name, tab in zip([*PANELS, *ROOMS], tabs, strict=True) if tab.open), "Sample")

# only now, with a page to look at: torch takes two seconds
from page import sample, session, transport  # noqa: E402

session.begin(sample.first())
transport.begin()  # before anything says how fast a loop is
if chosen in PANELS:
    from page import stage, takeaway

    held, panel = st.columns([3, 2], gap="medium")

    def draw_panel() -> None:
        with panel, st.container(key="panel", gap="small"):
            import_module(f"page.{PANELS[chosen]}").show()

    def draw_stage() -> None:
        with held, st.container(key="held"):
            stage.show()
            with st.container(key="takeaway-row"):
                takeaway.show()

    # what was asked for is in hand already, and the player waits for it; a first panel reads the address
    rooms = (draw_panel, draw_stage) if session.visitor().untouched else (draw_stage, draw_panel)
    for draw in rooms:
        draw()
else:
    import_module(f"page.{ROOMS[chosen]}").show()
with st.container(key="transport"):
    transport.show()
session.keep()
session.visitor().untouched = False
transport.load_kit()
