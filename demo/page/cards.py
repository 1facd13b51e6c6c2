"""Bars as cards that are seen, played, taken in hand and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Loop:
    """Bars that are played one after the other.

    Attributes:
        name: in a few words.
        bars: at least one.
        before: what each of them came of, so that what changed is seen; empty where they came of nothing.
        note: a line beside the name of a loop of several bars.
        begins: whether there is a button to begin from it.
    """

    name: str
    bars: tuple[Bar, ...]
    before: tuple[Bar, ...] = ()
    note: str = ""
    begins: bool = False


def show(
    bars: Sequence[Bar],
    key: str,
    *,
    columns: int = 4,
    notes: Sequence[str] | None = None,
    names: bool = False,
    together: str = "",
) -> None:
    """Draw bars as cards.

    Args:
        bars: what to draw, in order.
        key: of this place on the page.
        columns: cards in a row where there is room.
        notes: a line below each bar.
        names: whether the parts are named at the left.
        together: what the button says that plays all of them, one after the other; without it there is no button.
    """
    notes = notes or [""] * len(bars)
    data = {
        "bars": [bar.sent | {"note": note} for bar, note in zip(bars, notes, strict=True)],
        "columns": columns,
        "names": names,
        "pictured": True,
        "together": together,
    }
    _mount(key, data, bars)


def hear(loops: Sequence[Loop], key: str, heard: Callable[[list[str]], None]) -> None:
    """Loops that are only heard, side by side: they are not seen, and cannot be kept.

    Args:
        loops: of different names.
        key: of this place on the page.
        heard: called with the names of those that were played since they came, the latest last.
    """
    sent = [loop.bars[0].sent | {"code": _code_of(loop), "name": loop.name, "note": ""} for loop in loops]
    for entry, loop in zip(sent, loops, strict=True):
        entry["bars"] = [bar.sent | {"name": loop.name} for bar in loop.bars]
    data = {"bars": sent, "columns": len(loops), "names": False, "pictured": False, "together": ""}
    names = {_code_of(loop): loop.name for loop in loops}

    def taken(codes: Any) -> None:
        if found := [names[str(code)] for code in codes if str(code) in names] if isinstance(codes, list) else []:
            heard(found)

    _mount(key, data, [], taken)


def _code_of(loop: Loop) -> str:
    return " ".join(bar.code for bar in loop.bars)


def show_loops(
    loops: Sequence[Loop],
    key: str,
    *,
    columns: int = 4,
    notes: Sequence[str],
    begin: Callable[[Loop], None],
) -> None:
    """Draw loops as cards of their bars, with what changed in them.

    Loops of one bar stand side by side; each longer one has lines of its own, and a button that plays it.

    Args:
        loops: what to draw, in order, all as long.
        key: of this place on the page.
        columns: cards in a row where there is room.
        notes: a line below each bar of all loops.
        begin: called with the loop that the visitor wants to begin from.
    """
    sent: list[dict[str, Any]] = []
    several = len(loops[0].bars) > 1
    for loop in loops:
        for number, bar in enumerate(loop.bars, 1):
            sent.append(bar.sent | {"title": f"bar {number}" if several else loop.name, "note": notes[len(sent)]})
            if loop.before:
                sent[-1]["before"] = loop.before[number - 1].words
    data = {
        "bars": sent,
        "columns": columns,
        "names": False,
        "pictured": True,
        "together": "",
        "loops": [{"name": loop.name, "n": len(loop.bars), "note": loop.note, "begins": loop.begins} for loop in loops],
        "legend": any(loop.before for loop in loops),
    }

    def begun() -> None:
        place = st.session_state[key].begun
        if isinstance(place, int) and 0 <= place < len(loops) and loops[place].begins:
            begin(loops[place])

    _mount(key, data, [bar for loop in loops for bar in loop.bars], begun=begun)


def _mount(
    key: str,
    data: Mapping[str, Any],
    bars: Sequence[Bar],
    take: Callable[[Any], None] | None = None,
    begun: Callable[[], None] = lambda: None,
) -> None:
    """Mount the cards of bars, and do what they say; ``take`` hears the codes of what was played, if not in hand."""
    visitor = session.visitor()
    by_code = {bar.code: bar for bar in reversed(bars)}  # of two that are alike the first

    def taken() -> None:
        codes = st.session_state[key].taken
        if take:
            take(codes)
            return
        bars = [by_code[str(code)] for code in codes if str(code) in by_code] if isinstance(codes, list) else []
        if bars:
            visitor.take(bars[-1])

    def kept() -> None:
        visitor.keep(st.session_state[key].kept, by_code)

    _cards(
        key=key,
        data={
            **data,
            "kit": LOOK,
            "chosen": visitor.hand.code if data["pictured"] else None,
            "kept": [bar.code for bar in visitor.favourites],
        },
        on_taken_change=taken,
        on_kept_change=kept,
        on_begun_change=begun,
    )
