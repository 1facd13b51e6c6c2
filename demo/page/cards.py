"""Bars as cards that are seen, played, taken in hand and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from page import session
from page.bar import KIT, STEPS, TRIPLETS, Bar
from page.component import component
from rhythmgan.draw import hue
from rhythmgan.performance import accents

LOOK = {
    "names": KIT.names,
    "hues": ["#{:02x}{:02x}{:02x}".format(*hue(name)) for name in KIT.names],
    "shades": {steps: (accents(steps) / accents(steps).max()).round(3).tolist() for steps in (STEPS, TRIPLETS)},
}
"""How the scripts draw the kit: the parts' names and colours, for each grid the shade of each step's accent."""

_cards = component("bars", ["player", "drawing", "cards"], ["cards"])


def show(
    bars: Sequence[Bar],
    key: str,
    *,
    columns: int = 4,
    notes: Sequence[str] | None = None,
    names: bool = False,
    pictured: bool = True,
    together: str = "",
    take: Callable[[list[Bar]], None] | None = None,
) -> None:
    """Draw bars as cards.

    Args:
        bars: what to draw, in order.
        key: of this place on the page.
        columns: cards in a row where there is room.
        notes: a line below each bar.
        names: whether the parts are named at the left.
        pictured: whether bars are seen, and can be kept; otherwise they are only heard.
        together: what the button says that plays all of them, one after the other; without it there is no button.
        take: called with the bars that were played or chosen since they came, the latest last, which is otherwise taken
            in hand.
    """
    visitor = session.visitor()
    by_code = {bar.code: bar for bar in reversed(bars)}  # of two that are alike the first

    def taken() -> None:
        codes = st.session_state[key].taken
        bars = [by_code[str(code)] for code in codes if str(code) in by_code] if isinstance(codes, list) else []
        if take and bars:
            take(bars)
        elif bars:
            visitor.take(bars[-1])

    def kept() -> None:
        visitor.keep(st.session_state[key].kept, by_code)

    notes = notes or [""] * len(bars)
    _cards(
        key=key,
        data={
            "bars": [bar.sent | {"note": note} for bar, note in zip(bars, notes, strict=True)],
            "kit": LOOK,
            "columns": columns,
            "names": names,
            "pictured": pictured,
            "together": together,
            "chosen": visitor.hand.code if pictured else None,
            "kept": [bar.code for bar in visitor.favourites],
        },
        on_taken_change=taken,
        on_kept_change=kept,
    )
