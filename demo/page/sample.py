"""Sample: bars of seeds."""

from __future__ import annotations

import random

import streamlit as st

from page import asking, cards, models, session, takeaway
from page.bar import Bar
from rhythmgan.conditions import Condition

_MAX_SEED = 10**9


def _shuffle() -> None:
    st.session_state.seed = random.randrange(_MAX_SEED)


def _further() -> None:
    st.session_state.seed = min(st.session_state.seed + st.session_state.count, _MAX_SEED)


@st.fragment
def show() -> None:
    """Draw the tab."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        role = asking.role("role")
        steps = asking.grid("grid")
        style = asking.style("style", models.generator(steps).styles)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input(
            "Seed",
            0,
            _MAX_SEED,
            1,
            key="seed",
            bind="query-params",
            width=150,
            help="A seed is a bar, the same for everybody; the next bar has the next seed.",
        )
        st.button("More", on_click=_further, icon=":material/arrow_forward:", help="The next seeds")
        st.button("Surprise me", on_click=_shuffle, icon=":material/casino:")
        with st.popover("Options", icon=":material/tune:"):
            st.select_slider("Bars", [4, 8, 12, 16, 24, 32, 48, 64], 12, key="count", bind="query-params")
            st.slider(
                "Typical … adventurous",
                0.5,
                1.2,
                1.0,
                0.05,
                key="temperature",
                bind="query-params",
                help="The temperature. Bars are as dense either way: at the left they are what most songs play, at the "
                "right they are less usual. At 1 they are as varied as those of songs.",
            )
    state, visitor = st.session_state, session.visitor()
    asked = Condition(role, style)
    bars = models.sampled(state.seed, state.count, state.temperature, asked, steps)
    if visitor.untouched:  # the first bar that is seen is the one in hand
        visitor.hand, visitor.history = bars[0], [bars[0]]
    held, gallery = st.columns([1, 2], gap="medium")
    with held:
        _in_hand()
    with gallery:
        cards.show(bars, "gallery", columns=3, notes=models.notes(bars))
        seeds = f"seeds {state.seed} to {state.seed + state.count - 1}"
        takeaway.all_of(bars, seeds + asking.told(asked, steps), "zip-gallery")
    _kept("Favourites", visitor.favourites, "favourites", "Hearts are kept in this browser, and are here next time.")
    _kept("This session", visitor.history, "history", "The bars that you had in hand, the latest first.")
    session.keep()


def _in_hand() -> None:
    """The bar in hand: large, with its numbers, to take away."""
    bar = session.visitor().hand
    ((density, syncopation),) = models.features([bar])
    below, real = models.percentiles(bar), asking.real(bar.asked)
    cards.show([bar], "hand", columns=1, names=True)
    st.caption(
        f"**{density:.0f} onsets**, denser than {below['density']:.0f} % of {real} · "
        f"**syncopation {syncopation:.0f}**, more than {below['syncopation']:.0f} %"
    )
    takeaway.one([bar], bar.name, "take-hand")
    st.caption(
        "This is the bar in hand: Morph and Edit begin from it, and Steer when you tell it to. Play another one to "
        "take it instead."
    )


def _kept(title: str, bars: list[Bar], key: str, explained: str) -> None:
    with st.expander(f"{title} ({len(bars)})", key=f"expander-{key}"):
        st.caption(explained)
        cards.show(bars, key, columns=5)
        takeaway.all_of(bars, f"rhythmgan {title}", f"zip-{key}")
