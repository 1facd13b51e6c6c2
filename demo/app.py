"""The page: sample, steer, morph, edit and listen to drum bars, and take them away.

Run: rhythmgan demo, or in a clone: streamlit run demo/app.py
"""

from importlib import import_module
from pathlib import Path

import streamlit as st

TABS = {
    "Sample": "sample",
    "Phrase": "phrase",
    "Steer": "steer",
    "Morph": "morph",
    "Edit": "edit",
    "Blind test": "blind",
    "Data": "data",
}

st.set_page_config("rhythmgan", page_icon=str(Path(__file__).parent / "icon.svg"), layout="wide")
st.html(Path(__file__).parent / "page" / "web" / "page.css")
title, tempo = st.columns([3, 4], vertical_alignment="bottom")
title.markdown("### rhythmgan  \n:gray[Drum bars from a model that you can steer]")
tabs = st.tabs(list(TABS), key="tab", bind="query-params")

# only now, with a page to look at: torch takes two seconds
from page import models, session, transport  # noqa: E402

session.begin(models.sampled(1, 1)[0])
with tempo:
    transport.show()
for tab, room in zip(tabs, TABS.values(), strict=True):
    if tab.open:
        with tab:
            import_module(f"page.{room}").show()
transport.load_kit()
