"""Continue: the bar after the last one of the loop in hand."""

from __future__ import annotations

import numpy as np
import streamlit as st

from page import cards, session
from page.loop import KIT, MAX_BARS, STEPS, Loop
from page.turns import remembered
from rhythmgan.bars import fold_bars, unfold_bars
from rhythmgan.kit import JAKI5
from rl_tuner.edit.agent import continue_loop
from rl_tuner.edit.levels import LEVELS

TAG = "continue"

_OFFERED = 4
"""Next bars that are offered at most, the likeliest and others."""

_TRIED = 8
"""Other ones of which the first that differ are offered."""

_ANY = "any"

_FIRST = {"repetition": "mid"}
"""What is asked for at first: without it, what follows a plain bar is that bar."""


def show() -> None:
    """Draw what may follow the loop in hand, which stays the same while its continuations are tried."""
    mine = session.visitor()
    loop: Loop | None = st.session_state.get("continued-loop")
    if loop is None or mine.tag != TAG:
        loop = st.session_state["continued-loop"] = mine.hand
    if loop.steps != STEPS:
        st.caption("Next bars are known on sixteenths only.")
        return
    if loop.n_bars == MAX_BARS:
        st.caption(f"The loop has {MAX_BARS} bars, and no room for another one.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        asked = {name: _level(name) for name in LEVELS}
        seed = st.number_input("Seed", 0, 10**9, 0, key="continue-seed", width=120, persist_state="page")
    targets = {name: LEVELS[name][level] for name, level in asked.items() if level != _ANY}
    last = loop.bars[-1]
    likely, tuned, reached = _continued(last.code, tuple(targets.items()), int(seed))
    begun = loop.name.rsplit(" after ")[-1]
    offered: dict[str, tuple[Loop, str]] = {}  # those that are alike once
    for number, cells in enumerate([likely, *tuned]):
        name = f"tuned {len(offered)}" if number else "the likeliest"
        longer = Loop.joined([loop, last.with_cells(cells[None], "")], f"{name} after {begun}")
        offered.setdefault(longer.code, (longer, _note(number, reached)))
    loops, notes = zip(*list(offered.values())[:_OFFERED], strict=True)
    cards.show(loops, "continue", columns=2, notes=notes, tag=TAG)
    st.button("Start from here", key="continue-on", icon=":material/flag:", on_click=_go_on, disabled=mine.hand == loop)
    st.caption(
        "A network that was taught on neighbouring bars of songs says what may follow; an agent edits that bar until "
        "it has what you ask for. Both know five parts, which are played by those that your bar plays."
    )


def _go_on() -> None:
    session.visitor().tag = ""  # what is in hand is one of the answers no more


def _level(name: str) -> str:
    """A choice between the levels of a feature, and none."""
    levels = [_ANY, *LEVELS[name]]
    chosen = st.selectbox(
        name.capitalize(),
        levels,
        levels.index(_FIRST.get(name, _ANY)),
        key=f"continue-{name}",
        format_func=str.capitalize,
        persist_state="page",
        width=105,
    )
    return chosen or _ANY


def _note(number: int, reached: np.ndarray) -> str:
    """What is said of a loop: nothing of the first, which nobody asked for anything."""
    return "" if not number or reached[number - 1] else "near what you asked for, not all of it"


@remembered(200)
def _continued(
    code: str, targets: tuple[tuple[str, float], ...], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest next bar (steps, parts), tuned ones (n, steps, parts), and whether each has what is asked for."""
    (cells,) = Loop.read(code, "").cells
    found = continue_loop(fold_bars(cells, KIT, JAKI5), dict(targets), _TRIED, seed)
    likely, tuned = (unfold_bars(bars, JAKI5, KIT, cells) for bars in (found.lstm, found.tuned))
    return likely, tuned, found.reached
