"""Edit: let models vary the loop in hand, fill it in and answer it, move and clear what is there, continue it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from page import asking, continuation, models, session
from page.loop import KIT, LENGTHS, STEPS, Loop
from page.turns import turn
from rhythmgan.generate.variation import fill, vary
from rhythmgan.models.interfaces import LatentCritic
from rhythmgan.performance import Performance
from rl_tuner.toggle.agent import answer

LEAST, USUAL, MOST = 5, 10, 20
"""How much a press of Vary changes, per cent of the onsets: rounded it is never more than a quarter of them."""

_KICK, _SNARE = KIT.names.index("kick"), KIT.names.index("snare")

_ALL = "All parts"
_ALL_LOCKED = "All parts are locked: open one beside the grid."

_BEATS = 4

_WIDTH = 140
"""Pixels of a box beside its buttons: together they have room on a phone."""


def show() -> None:
    """Draw the panel."""
    hand = session.visitor().hand
    _models(hand)
    _hands(hand)
    _length(hand)
    after = st.expander("Continue", icon=":material/arrow_forward:", key="continued", on_change="rerun")
    if after.open:
        with after:
            continuation.show()
    _numbers(hand)


# -- what models do ------------------------------------------------------------------------------------


def _models(hand: Loop) -> None:
    free = ~np.array(session.visitor().locks)
    why_not = {
        "Vary": _why_not_vary(hand, free),
        "Fill the rest": _why_not_fill(free),
        "Answer the kick": _why_not_answer(hand, free),
    }
    presses = {"Vary": _vary, "Fill the rest": _fill, "Answer the kick": _answer}
    icons = {"Vary": "shuffle", "Fill the rest": "auto_fix_high", "Answer the kick": "call_split"}
    with st.container(horizontal=True, gap="small"):
        for label, press in presses.items():
            st.button(
                label,
                key=f"edit-{label}",
                icon=f":material/{icons[label]}:",
                on_click=press,
                disabled=bool(why_not[label]),
            )
    st.caption(" ".join(dict.fromkeys(reason for reason in why_not.values() if reason)) or "Locked parts stay.")
    st.slider("How much to vary, % of the onsets", LEAST, MOST, USUAL, 5, key="amount", persist_state="page")


def _why_not_vary(hand: Loop, free: np.ndarray) -> str:
    """Why nothing can be varied; empty where something can."""
    if not free.any():
        return _ALL_LOCKED
    return "" if hand.cells.any() else "The loop is silent: there is nothing to vary."


def _why_not_fill(free: np.ndarray) -> str:
    """Why nothing can be filled in; empty where something can."""
    if not free.any():
        return _ALL_LOCKED
    return "Lock a part to fill in the others around it." if free.all() else ""


def _why_not_answer(hand: Loop, free: np.ndarray) -> str:
    """Why there is no answer to the kick; empty where there is one."""
    if not free[_SNARE]:
        return "The snare, which answers the kick, is locked."
    if hand.steps != STEPS:
        return "Answers are known on sixteenths only."
    return "" if hand.cells[..., _KICK].any() else "There is no kick to answer."


def _seed() -> int:
    """The seed of this press: each press has another one."""
    seed: int = st.session_state.get("edit-seed", 0) + 1
    st.session_state["edit-seed"] = seed
    return seed


def _vary() -> None:
    mine = session.visitor()
    cells = mine.hand.cells
    locked = np.broadcast_to(np.array(mine.locks), cells.shape[1:])
    with turn:
        (varied,), _ = vary(_model(mine.hand), cells, [_seed()], st.session_state.amount / 100, locked)
    _take(mine.hand.with_cells(varied, mine.hand.called("varied")))


def _fill() -> None:
    mine = session.visitor()
    locked = np.broadcast_to(np.array(mine.locks), mine.hand.cells.shape[1:])
    with turn:
        (filled,) = fill(_model(mine.hand), mine.hand.cells, locked, [_seed()])
    _take(mine.hand.with_cells(filled, mine.hand.called("filled")))


def _answer() -> None:
    hand = session.visitor().hand
    cells = hand.cells.copy()
    with turn:
        cells[..., _SNARE] = answer(cells[..., _KICK], _seed())
    _take(hand.with_cells(cells, hand.called("answered")))


def _model(hand: Loop) -> LatentCritic:
    return models.generator(hand.steps, hand.asked)


def _take(loop: Loop) -> None:
    """Take in hand what came of the loop in hand, and draw what changed where it is as long."""
    mine = session.visitor()
    mine.take(loop, mine.hand if loop.cells.shape == mine.hand.cells.shape else None)


# -- what hands do -------------------------------------------------------------------------------------


def _hands(hand: Loop) -> None:
    free = ~np.array(session.visitor().locks)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        part = st.selectbox("Rotate or clear", [_ALL, *KIT.names], key="edit-part", persist_state="page", width=_WIDTH)
        parts = _chosen(part, free)
        nothing = not hand.cells[..., parts].any()
        for label, by in (("Earlier", -1), ("Later", 1)):
            st.button(label, key=f"rotate-{label}", on_click=_rotate, args=[by], disabled=nothing)
        st.button("Clear", key="clear", on_click=_clear, disabled=nothing)
    if nothing:
        st.caption(
            f"The {part} is locked." if part != _ALL and not parts.any() else "Nothing is there to move or to clear."
        )
    beats = range(hand.n_bars * _BEATS)
    if st.session_state.get("edit-beat", 0) not in beats:
        st.session_state["edit-beat"] = 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        st.selectbox(
            "Copy a beat",
            beats,
            key="edit-beat",
            format_func=lambda beat: _beat_name(beat, hand.n_bars),
            persist_state="page",
            width=_WIDTH,
        )
        silent = not free.any()
        st.button("To the next", key="copy-next", on_click=_copy, args=[False], disabled=silent)
        st.button("To its bar", key="copy-bar", on_click=_copy, args=[True], disabled=silent)


def _beat_name(beat: int, n_bars: int) -> str:
    bar, beat = divmod(beat, _BEATS)
    return f"Bar {bar + 1}, beat {beat + 1}" if n_bars > 1 else f"Beat {beat + 1}"


def _chosen(part: str | None, free: np.ndarray) -> np.ndarray:
    """(parts,) bool: the part that is chosen, or all; those that are locked stay."""
    chosen = np.array([part in (name, _ALL, None) for name in KIT.names])
    return chosen & free


def _parts() -> np.ndarray:
    return _chosen(st.session_state["edit-part"], ~np.array(session.visitor().locks))


def _rotate(by: int) -> None:
    hand = session.visitor().hand
    _take(rearranged(hand, np.roll(_in_order(hand), by), _parts()))


def _clear() -> None:
    hand = session.visitor().hand
    _take(rearranged(hand, np.full(hand.n_bars * hand.steps, -1), _parts()))


def _copy(to_bar: bool) -> None:
    """Copy the chosen beat to the one after it, from the last to the first, or to all beats of its bar."""
    mine = session.visitor()
    n_beats = mine.hand.n_bars * _BEATS
    beat = min(st.session_state["edit-beat"], n_beats - 1)
    order = _in_order(mine.hand).reshape(n_beats, -1)
    first = beat - beat % _BEATS
    order[slice(first, first + _BEATS) if to_bar else (beat + 1) % n_beats] = order[beat].copy()
    _take(rearranged(mine.hand, order.reshape(-1), ~np.array(mine.locks)))


def _in_order(loop: Loop) -> np.ndarray:
    """The steps of a loop from its first to its last, (bars · steps,)."""
    return np.arange(loop.n_bars * loop.steps)


def rearranged(loop: Loop, source: np.ndarray, parts: np.ndarray) -> Loop:
    """A loop with what some parts play at other places.

    Velocities and timing move along. Where a loop has no more than accents, it has those of the new places.

    Args:
        loop: any.
        source: (bars · steps,) which step of the loop is played at each step; -1 for none.
        parts: (parts,) bool, those that move.
    """
    playing = loop.performance

    def moved(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(source), -1)
        there = np.where((source >= 0)[:, None], flat[source], 0).astype(values.dtype)
        return np.where(parts, there, flat).reshape(values.shape)

    bars, name = moved(playing.bars), loop.called("edited")
    if loop.plain:
        return Loop.of(bars, name, loop.asked)
    return Loop.of(Performance.of(bars, KIT, moved(playing.velocities), moved(playing.offsets)), name, loop.asked)


def _length(hand: Loop) -> None:
    # what is in hand says it, whatever was chosen here before
    st.session_state["edit-bars"] = hand.n_bars if hand.n_bars in LENGTHS else None
    st.segmented_control("Bars", LENGTHS, key="edit-bars", on_change=_lengthen)


def _lengthen() -> None:
    n_bars, hand = st.session_state["edit-bars"], session.visitor().hand
    if n_bars is not None and n_bars != hand.n_bars:
        _take(hand.with_n_bars(n_bars))


# -- what numbers say ----------------------------------------------------------------------------------


def _numbers(hand: Loop) -> None:
    """What the loop measures, small."""
    if not hand.cells.any():
        st.caption("Silence: there is nothing to measure.")
        return
    now = models.numbers(hand)
    below, real = now.percentile, asking.real(hand.asked)
    st.caption(
        f"**{models.note(hand)}**, denser than {below['density']:.0f} % and more syncopated than "
        f"{below['syncopation']:.0f} % of {real}. Likelier than {below['likelihood']:.0f} % and more real than "
        f"{below['realism']:.0f} % of the model's own bars, says the model."
    )
