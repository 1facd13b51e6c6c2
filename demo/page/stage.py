"""The stage: the loop in hand, large, where a visitor sees it sound, draws in it and mixes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from page import cards, doors, session
from page.component import component
from page.loop import KIT, Loop
from rhythmgan.bars import words_to_bars
from rhythmgan.performance import Performance
from rhythmgan.sound import MAX_LEVEL

DRAWN = "drawn"
"""What the tag of a change begins with that was made by hand."""

_MAX_STROKES = 200
"""Strokes of one message: those of which no answer came yet."""

_stage = component("stage", ["played", "drawing", "editing", "stage"], ["cards", "stage"])


@dataclass
class Desk:
    """A loop that is drawn in, in a browser that may be ahead of Python.

    Attributes:
        loop: as the browser was told, or as it said, last.
        first: as it was before anything was drawn in it.
        locks: which parts stay, as the browser was told, or as it said, last.
        epoch: how often Python changed one of them; what the browser says of an earlier epoch is too late.
        revision: how often the browser changed one of them since.
        others: how often another loop came in hand, and not a change of the one that was there.
        undone: the code of the loop that all redos lead to, if something was undone.
    """

    loop: Loop
    first: Loop
    locks: list[bool]
    epoch: int = 0
    revision: int = 0
    others: int = 0
    undone: str = ""

    def look(self, visitor: session.Visitor) -> None:
        """See what is in hand: something else than the browser knows is another epoch."""
        hand, locks = visitor.hand, visitor.locks
        if hand.code != self.loop.code and not self._came_of_it(visitor):
            self.others += 1
        self.undone = visitor.future[0].code if visitor.future else ""
        if hand.code != self.loop.code or locks != self.locks:
            self.first = hand if hand.code != self.loop.code else self.first
            self.epoch += 1
            self.revision = 0
        self.loop, self.locks = hand, list(locks)

    def _came_of_it(self, visitor: session.Visitor) -> bool:
        """Whether what is in hand came of what was there: by a change, a control that moves, undo or redo."""
        moved = bool(visitor.future) or visitor.hand.code == self.undone  # there is nothing to redo after a ``take``
        return visitor.before is not None or bool(visitor.tag) or moved

    def receive(self, sent: Any) -> bool:
        """Take over what the browser says, which may say anything; returns whether it said something that is new."""
        said = doors.entries(sent)
        epoch, revision = doors.whole(said.get("epoch")), doors.whole(said.get("revision"))
        if epoch != self.epoch or revision is None or revision <= self.revision:
            return False
        locks = doors.switches(said.get("locks"), KIT.n_parts)
        performance = _performance(said, self.loop)
        if performance is None or locks is None:
            return False
        loop = Loop.of(performance, "", self.loop.asked)
        self.loop = loop.named(self.first.name if loop.code == self.first.code else self.first.called("edited"))
        self.revision, self.locks = revision, locks
        return True


def show() -> None:
    """Draw the stage."""
    visitor = session.visitor()
    desk: Desk = st.session_state.setdefault("stage-desk", Desk(visitor.hand, visitor.hand, list(visitor.locks)))
    desk.look(visitor)
    before = visitor.before
    if before is not None and before.cells.shape != visitor.hand.cells.shape:
        before = None

    def edited() -> None:
        for stroke in _strokes(st.session_state.stage.edited):
            # a button of the same moment may have put another loop in hand, which the browser does not know yet
            if desk.loop.code == visitor.hand.code and desk.receive(stroke):
                visitor.locks = list(desk.locks)
                if desk.loop.code != visitor.hand.code:
                    visitor.take(desk.loop, visitor.before, tag=f"{DRAWN} {desk.epoch} {desk.revision}")

    def mixed() -> None:
        sent = doors.entries(st.session_state.stage.mixed)
        mute, solo = (doors.switches(sent.get(name), KIT.n_parts) for name in ("mute", "solo"))
        level = doors.numbers(sent.get("level"), (KIT.n_parts,), 0, MAX_LEVEL)
        if mute is not None and solo is not None and level is not None:
            visitor.mix = session.Mix(mute, solo, level.tolist())

    def kept() -> None:
        # the heart of a loop that was drawn in since is still that loop's
        visitor.keep(st.session_state.stage.kept, {loop.code: loop for loop in (*visitor.history, visitor.hand)})

    _stage(
        key="stage",
        data={
            "loop": desk.loop.sent,
            "before": None if before is None else before.words,
            "locks": desk.locks,
            "mix": {"mute": visitor.mix.mute, "solo": visitor.mix.solo, "level": visitor.mix.level},
            "epoch": desk.epoch,
            "revision": desk.revision,
            "others": desk.others,
            "kept": [loop.code for loop in visitor.favourites],
            "kit": cards.LOOK,
        },
        on_edited_change=edited,
        on_mixed_change=mixed,
        on_kept_change=kept,
    )


def _strokes(sent: Any) -> list[Any]:
    """What a browser drew, stroke by stroke: also those whose messages may have been lost behind a later one."""
    last = doors.entries(sent)
    earlier = [doors.entries(stroke) for stroke in doors.items(last.get("earlier"), _MAX_STROKES)]
    return [*({**stroke, "epoch": last.get("epoch")} for stroke in earlier), last]


def _performance(sent: dict[str, Any], loop: Loop) -> Performance | None:
    """What a browser drew, a performance of as many bars on the grid of ``loop``; None where it is none."""
    n_bars, steps, n_parts = shape = loop.cells.shape
    words = doors.whole_numbers(sent.get("bars"), (n_bars, steps), 0, (1 << n_parts) - 1)
    if words is None:
        return None
    cells = words_to_bars(words, n_parts)
    velocities = offsets = None
    if sent.get("velocities") is not None:
        flat = doors.whole_numbers(sent["velocities"], (n_bars, steps * n_parts), 0, 127)
        if flat is None or not flat.reshape(shape)[cells].all():
            return None
        velocities = flat.reshape(shape)
    if sent.get("offsets") is not None:
        flat = doors.numbers(sent["offsets"], (n_bars, steps * n_parts), -0.5, 0.5)
        if flat is None:
            return None
        offsets = flat.reshape(shape)
    return Performance.of(cells, KIT, velocities, offsets)
