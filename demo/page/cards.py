"""Loops as cards that are seen, played, taken in hand and kept."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from page import doors, session
from page.component import component
from page.loop import KIT, STEPS, TRIPLETS, Loop
from rhythmgan.draw import hue
from rhythmgan.performance import accents

LOOK = {
    "names": KIT.names,
    "short": ("BD", "SD", "CH", "OH", "LT", "MT", "HT", "RD", "CR", "SH", "CG", "BL"),
    "hues": ["#{:02x}{:02x}{:02x}".format(*hue(name)) for name in KIT.names],
    "accents": {steps: accents(steps).tolist() for steps in (STEPS, TRIPLETS)},
}
"""How the scripts draw the kit: the parts' names, also in two letters, and colours; velocities of accents by grid."""

_MAX_TAKEN = 100
"""Clicks of one message."""

_cards = component("cards", ["played", "drawing", "cards"], ["cards"])


def show(
    loops: Sequence[Loop],
    key: str,
    *,
    columns: int = 3,
    notes: Sequence[str] | None = None,
    befores: Sequence[Loop | None] | None = None,
    tag: str = "",
) -> None:
    """Draw loops as cards. To play one is to take it in hand.

    Args:
        loops: what to draw, in order.
        key: of this place on the page.
        columns: cards in a row where there is room.
        notes: a line below each loop.
        befores: what each of them came of, so that what changed is drawn: of as many bars on the same grid, or None.
        tag: with which they are taken in hand, see ``Visitor.take``.
    """
    notes = notes or [""] * len(loops)
    befores = befores or [None] * len(loops)
    visitor = session.visitor()
    by_code = {loop.code: (loop, before) for loop, before in reversed(list(zip(loops, befores, strict=True)))}

    def taken() -> None:
        codes = doors.items(st.session_state[key].taken, _MAX_TAKEN)
        found = [by_code[code] for code in codes if isinstance(code, str) and code in by_code]
        if found:
            visitor.take(*found[-1], tag=tag)

    def kept() -> None:
        visitor.keep(st.session_state[key].kept, {code: loop for code, (loop, _) in by_code.items()})

    sent = [
        loop.sent | {"note": note, "before": None if before is None else before.words}
        for loop, note, before in zip(loops, notes, befores, strict=True)
    ]
    _cards(
        key=key,
        data={
            "loops": sent,
            "columns": columns,
            "chosen": visitor.hand.code,
            "kept": [loop.code for loop in visitor.favourites],
            "kit": LOOK,
        },
        on_taken_change=taken,
        on_kept_change=kept,
    )
