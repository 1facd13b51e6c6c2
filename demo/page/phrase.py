"""Phrase: bars that follow one another as in songs."""

from __future__ import annotations

import random

import streamlit as st

from page import asking, cards, models, session, takeaway

_MAX_SEED = 10**9

_BARS = 4
"""Of a phrase, where a visitor asks for no other number."""

_FILLS = {"songs": "As songs do", "last": "In the last bar", "none": "None"}


def _shuffle() -> None:
    st.session_state["phrase-seed"] = random.randrange(_MAX_SEED)


@st.fragment
def show() -> None:
    """Draw the tab."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        n = st.segmented_control(
            "Bars", [2, 4, 8], default=_BARS, required=True, key="phrase-bars", bind="query-params"
        )
        fill = st.segmented_control(
            "Fill",
            list(_FILLS),
            default="last",
            required=True,
            key="phrase-fill",
            bind="query-params",
            format_func=_FILLS.__getitem__,
        )
        steps = asking.grid("phrase-grid")
        style = asking.style("phrase-style", models.generator(steps).styles)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        seed = st.number_input(
            "Seed", 0, _MAX_SEED, 1, key="phrase-seed", bind="query-params", width=150, help="Of the first bar."
        )
        st.button("Surprise me", on_click=_shuffle, icon=":material/casino:", key="phrase-shuffle")
    n, fill = n or _BARS, fill or "last"  # an address may say nothing
    bars = models.phrase(int(seed), n, fill, style, steps)
    cards.show(bars, "phrase", columns=4, notes=models.notes(bars), together=f"Play all {n} bars")
    name = f"phrase {seed}{asking.told(bars[0].asked, steps)}"
    takeaway.one(bars, name, "take-phrase")
    st.caption(
        "The phrase begins with the seed's own groove. Then bars come again or change as they do in songs; "
        "a bar that comes again is exactly the same."
    )
    session.keep()
