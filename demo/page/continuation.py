"""Continue: the bar after the one that is being edited."""

from __future__ import annotations

import numpy as np
import streamlit as st

from page import cards, session, takeaway
from page.bar import KIT, STEPS, Bar
from rhythmgan.bars import fold_bars, unfold_bars
from rhythmgan.kit import JAKI5
from rl_tuner.edit.agent import continue_loop
from rl_tuner.edit.levels import LEVELS

_N = 3
"""Next bars that are offered."""

_ANY = "any"


def show(bar: Bar) -> None:
    """Draw what may follow a bar of sixteenths."""
    if bar.steps != STEPS:
        st.caption("Continue and Answer know bars of sixteenths only.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        asked = {name: _level(name) for name in LEVELS}
        seed = st.number_input("Seed", 0, 10**9, 0, key="continue-seed", width=120)
    targets = {name: LEVELS[name][level] for name, level in asked.items() if level != _ANY}
    likely, tuned, reached = _continued(bar.code, tuple(targets.items()), int(seed))
    named = [("the likeliest", likely), *((f"tuned {number}", cells) for number, cells in enumerate(tuned, 1))]
    loops = [
        cards.Loop(name, (bar, bar.with_cells(cells, f"{bar.name}, {name}")), note=_note(number, reached), begins=True)
        for number, (name, cells) in enumerate(named)
    ]
    cards.show_loops(loops, "continue", columns=4, notes=[""] * 2 * len(loops), begin=_take_next)
    named_loops = [(loop.name, loop.bars) for loop in loops]
    takeaway.all_loops(named_loops, f"{bar.name} continued", "zip-continued", "All as ZIP")
    st.caption(
        "A network that was taught on neighbouring bars of songs says what may follow; an agent edits that bar, step "
        "by step, until it has what you ask for. Both know five parts: hats and ride are one, open hat and crash "
        "another, all toms a third. Each is played by the part that your bar plays."
    )


def _level(name: str) -> str:
    """A choice between the levels of a feature, and none."""
    title = name.capitalize()
    chosen = st.segmented_control(
        title,
        [_ANY, *LEVELS[name]],
        default=_ANY,
        required=True,
        key=f"continue-{name}",
        format_func=str.capitalize,
    )
    return chosen or _ANY


def _note(number: int, reached: np.ndarray) -> str:
    """What is said of a loop: nothing of the first, which nobody asked for anything."""
    return "" if not number or reached[number - 1] else "near what you asked for, not all of it"


@st.cache_data(show_spinner=False, max_entries=200)
def _continued(
    code: str, targets: tuple[tuple[str, float], ...], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest next bar (steps, parts), tuned ones (n, steps, parts), and whether each has what is asked for."""
    cells = Bar.read(code, "").cells
    found = continue_loop(fold_bars(cells, KIT, JAKI5), dict(targets), _N, seed)
    likely, tuned = (unfold_bars(bars, JAKI5, KIT, cells) for bars in (found.lstm, found.tuned))
    return likely, tuned, found.reached


def _take_next(loop: cards.Loop) -> None:
    """Take the second bar in hand: it is edited, and continued, next."""
    session.visitor().take(loop.bars[1])
