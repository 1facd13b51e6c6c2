"""Edit: change a bar cell by cell, and let models vary it, fill in what is not locked, answer and continue it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from page import asking, cards, continuation, models, session, takeaway
from page.bar import KIT, STEPS, Bar
from page.component import component
from rhythmgan.bars import words_to_bars
from rhythmgan.generate.variation import fill, vary
from rl_tuner.toggle.agent import answer

_MAX_UNDO = 100

_KICK, _SNARE = KIT.names.index("kick"), KIT.names.index("snare")

_editor = component("editor", ["player", "drawing", "editor"], ["cards", "editor"])


@dataclass
class Desk:
    """A bar that is being edited.

    Attributes:
        bar: as it is now.
        first: as it was when it was opened.
        locks: for each part whether the models leave it alone.
        undo: what it was before, the latest last.
        epoch: how often Python changed it; answers of the browser to an earlier epoch are too late.
        revision: how often the browser changed it since.
        seed: of the last variation.
    """

    bar: Bar
    first: Bar
    locks: list[bool] = field(default_factory=lambda: [False] * KIT.n_parts)
    undo: list[Bar] = field(default_factory=list)
    epoch: int = 0
    revision: int = 0
    seed: int = 0

    def put(self, bar: Bar) -> None:
        """Change the bar from here."""
        self._set(bar)
        self.epoch += 1
        self.revision = 0

    def receive(self, sent: Any) -> None:
        """Change the bar as the browser says, which may say anything."""
        try:
            epoch, revision, locks = sent["epoch"], sent["revision"], sent["locks"]
            cells = words_to_bars(np.array([sent["words"]]), KIT.n_parts)[0]
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            return
        numbers = all(isinstance(number, int) and 0 <= number < 1 << 31 for number in (epoch, revision))
        switches = isinstance(locks, list) and [type(lock) for lock in locks] == [bool] * KIT.n_parts
        if numbers and switches and epoch == self.epoch and cells.shape == self.first.cells.shape:
            self._set(self.first.with_cells(cells, self.first.name))
            self.revision, self.locks = revision, locks

    def back(self) -> None:
        """Undo the last change."""
        if self.undo:
            *before, bar = self.undo
            self.put(bar)
            self.undo = before

    def _set(self, bar: Bar) -> None:
        if bar.code != self.bar.code:
            name = self.first.name
            name = name if bar.code == self.first.code or name.endswith(", edited") else f"{name}, edited"
            self.undo = [*self.undo, self.bar][-_MAX_UNDO:]
            self.bar = bar.named(name)


def _desk() -> Desk:
    """The visitor's desk, with the bar in hand on it."""
    hand = session.visitor().hand
    desk: Desk | None = st.session_state.get("desk")
    if desk is None or desk.bar.code != hand.code:
        desk = st.session_state.desk = Desk(hand, hand, epoch=desk.epoch + 1 if desk else 0)
    return desk


@st.fragment
def show() -> None:
    """Draw the tab."""
    desk, visitor = _desk(), session.visitor()

    def edited() -> None:
        before = desk.bar
        desk.receive(st.session_state.editor.edited)
        visitor.take(desk.bar, before if before.code != desk.first.code else None)  # a cell is no bar of its own

    def kept() -> None:
        visitor.keep(st.session_state.editor.kept, {desk.bar.code: desk.bar})

    grid, side = st.columns([5, 2], gap="large")
    with side:
        _buttons(desk)
    with grid:
        _editor(
            key="editor",
            data={
                **desk.bar.sent,
                "locks": desk.locks,
                "epoch": desk.epoch,
                "revision": desk.revision,
                "kept": [bar.code for bar in visitor.favourites],
                "kit": cards.LOOK,
            },
            on_edited_change=edited,
            on_kept_change=kept,
        )
        _numbers(desk)
        takeaway.one([desk.bar], desk.bar.name, "take-edited")
    after = st.expander(
        "Continue: the bar after this one", icon=":material/arrow_forward:", key="continued", on_change="rerun"
    )
    if after.open:
        with after:
            continuation.show(desk.bar)
    session.keep()


def _buttons(desk: Desk) -> None:
    visitor = session.visitor()
    shape, model = desk.bar.cells.shape, models.generator(desk.bar.steps, desk.bar.asked)
    locked = np.broadcast_to(np.array(desk.locks), shape)

    def put(cells: np.ndarray) -> None:
        desk.put(desk.first.with_cells(cells, desk.first.name))
        visitor.take(desk.bar)

    def varied() -> None:
        desk.seed += 1
        bars, _ = vary(model, desk.bar.cells[None], [desk.seed], st.session_state.amount / 100, locked)
        put(bars[0, 0])

    def filled() -> None:
        desk.seed += 1
        (bar,) = fill(model, desk.bar.cells, locked, [desk.seed])
        put(bar)

    def answered() -> None:
        desk.seed += 1
        cells = desk.bar.cells.copy()
        cells[:, _SNARE] = answer(cells[None, :, _KICK], desk.seed)[0]
        put(cells)

    def undone() -> None:
        desk.back()
        visitor.take(desk.bar)

    st.slider(
        "How much to vary, %",
        5,
        100,
        10,
        5,
        key="amount",
        help="The share of the bar's onsets that may change, at least one.",
    )
    st.button("Vary", on_click=varied, icon=":material/shuffle:", width="stretch", disabled=all(desk.locks))
    st.button(
        "Fill the rest",
        on_click=filled,
        icon=":material/auto_fix_high:",
        width="stretch",
        disabled=all(desk.locks),
        help="Parts with a closed lock stay; the model plays the others anew, to fit them.",
    )
    st.button(
        "Answer the kick",
        on_click=answered,
        icon=":material/call_split:",
        width="stretch",
        disabled=desk.locks[_SNARE] or desk.bar.steps != STEPS,
        help="A new snare line, as songs have it with this kick line. All other parts stay.",
    )
    with st.container(horizontal=True):
        st.button("Undo", on_click=undone, icon=":material/undo:", disabled=not desk.undo)
        st.button("Clear", on_click=put, args=[np.zeros(shape, bool)], icon=":material/delete:")


def _numbers(desk: Desk) -> None:
    """What the bar measures now, and how it moved since it was opened."""
    now, first = models.numbers(desk.bar), models.numbers(desk.first)
    real = asking.real(desk.bar.asked)
    rows = (
        ("Density", "density", "onsets", f"denser than {{:.0f}} % of {real}"),
        ("Syncopation", "syncopation", "", f"more than {{:.0f}} % of {real}"),
        ("Likelihood", "likelihood", "nats a step", "likelier than {:.0f} % of the model's"),
        ("Realism", "realism", "", "more real than {:.0f} % of the model's"),
    )
    with st.container(horizontal=True):
        for label, name, unit, said in rows:
            value, before = getattr(now, name), getattr(first, name)
            digits = ".0f" if name in models.TARGETS else ".2f"
            st.metric(
                label,
                f"{value:{digits}}",
                f"{value - before:+{digits}}" if value != before else None,
                delta_color="off",
                help=f"{said.format(now.percentile[name])}{f'; in {unit}' if unit else ''}",
                border=True,
            )
    st.caption(
        f"Under the prior it is likelier than {now.percentile['likelihood']:.0f} % of the model's own bars; the "
        f"discriminator takes it for more real than {now.percentile['realism']:.0f} % of them. "
        "Neither was trained on bars that no drummer plays: on a nearly full grid their numbers mean little. "
        "The small numbers say what changed since you opened the bar."
    )
