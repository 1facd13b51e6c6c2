"""What one visitor holds: the loop in hand, what was in hand before and after, favourites. Nobody else sees it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from page import doors
from page.component import component
from page.loop import KIT, TRIPLETS, Loop
from rhythmgan.performance import Performance
from rhythmgan.playback import MIN_SWING, Playback
from rhythmgan.synth import SOUNDS

_MAX = 60
"""Loops that are remembered: of the session, of favourites, and to undo."""

_MAX_NAME = 60

_MAX_FOUND = 1000
"""Favourites in a browser that are looked at."""

OWN, ACCENTS = "own", "accents"
"""Feels: a loop's own velocities and timing, or accents on the grid."""

SLOWEST, FASTEST = 30, 300
"""Tempi of the page, in beats a minute."""

_FIRST_BPM, _FIRST_SWING = 96.0, 0.56
"""Four fifths of what the drummers of Groove play swing less, see ``rhythmgan.groove``."""

_keeper = component("keeper", ["keeper"])


@dataclass
class Mix:
    """The mixer: for each part whether it is muted or solo, and its level, 0 … ``sound.MAX_LEVEL``."""

    mute: list[bool] = field(default_factory=lambda: [False] * KIT.n_parts)
    solo: list[bool] = field(default_factory=lambda: [False] * KIT.n_parts)
    level: list[float] = field(default_factory=lambda: [1.0] * KIT.n_parts)

    def levels(self) -> np.ndarray:
        """What each part is multiplied by: (parts,) float32. Where any part is solo, the others are silent."""
        solo = np.array(self.solo)
        heard = ~np.array(self.mute) & (solo if solo.any() else True)
        return np.array(self.level, np.float32) * heard


@dataclass
class Visitor:
    """One visitor's things.

    Attributes:
        hand: the loop in hand: what is seen, played, changed and taken away.
        before: what ``hand`` came of, of as many bars on the same grid, so that what changed is drawn; or None.
        tag: what put it in hand, as "steer"; several of one tag are one step to undo. "" where each is its own.
        past, future: what was in hand before, the latest last; and what was undone, the latest last.
        history: what was in hand in this session, the latest first.
        kept: favourites, the latest first; None until the browser has told them, or one is added.
        untouched: whether the page was not drawn yet, with what was found in hand.
        locks: which parts stay as they are, (parts,).
        bpm, swing, feel, sounds, mix: of all that plays; downloads read them at the moment they are asked for.
    """

    hand: Loop
    before: Loop | None = None
    tag: str = ""
    past: list[Loop] = field(default_factory=list)
    future: list[Loop] = field(default_factory=list)
    history: list[Loop] = field(default_factory=list)
    kept: list[Loop] | None = None
    untouched: bool = True
    locks: list[bool] = field(default_factory=lambda: [False] * KIT.n_parts)
    bpm: float = Playback.bpm
    swing: float = Playback.swing
    feel: str = OWN
    sounds: str = SOUNDS[0]
    mix: Mix = field(default_factory=Mix)

    @property
    def favourites(self) -> list[Loop]:
        return self.kept or []

    def playback(self, steps: int) -> Playback:
        """How loops of a grid are played: those of triplets straight, as they have no sixteenths to swing."""
        return Playback(self.bpm, MIN_SWING if steps == TRIPLETS else self.swing)

    def played(self, loop: Loop) -> Performance:
        """How a loop is played with the visitor's feel."""
        return loop.performance if self.feel == OWN else Performance.of(loop.cells, KIT)

    def take(self, loop: Loop, before: Loop | None = None, tag: str = "") -> None:
        """Take a loop in hand; the address leads to it.

        Args:
            loop: what is in hand from now on.
            before: what it came of, so that what changed is drawn: of as many bars on the same grid.
            tag: several loops of one tag in a row, as those of a slider that moves, are one step to undo. Those whose
                tags begin with the same word are one entry of the session.
        """
        follows = bool(tag) and tag == self.tag
        goes_on = bool(tag) and tag.split()[0] == self.tag.partition(" ")[0]
        self.before, self.tag = before, tag
        if loop.code == self.hand.code:
            self.hand = loop
        else:
            if not follows:
                self.past = [*self.past, self.hand][-_MAX:]
            self.future = []
            self._hold(loop, self.hand.code if goes_on else "")

    def undo(self) -> None:
        """Take back what was in hand before."""
        if self.past:
            *self.past, loop = self.past
            self.future = [*self.future, self.hand][-_MAX:]
            self._back(loop)

    def redo(self) -> None:
        """Take in hand again what was undone last."""
        if self.future:
            *self.future, loop = self.future
            self.past = [*self.past, self.hand][-_MAX:]
            self._back(loop)

    def _back(self, loop: Loop) -> None:
        self.before, self.tag = None, ""
        self._hold(loop)

    def _hold(self, loop: Loop, instead_of: str = "") -> None:
        if _has_timing(loop) and not _has_timing(self.hand):
            self.swing = MIN_SWING  # it swings by itself, or not at all
        self.hand = loop
        others = (other for other in self.history if other.code not in (loop.code, instead_of))
        self.history = [loop, *others][:_MAX]
        st.query_params["loop"] = loop.code
        if "bar" in st.query_params:  # of an old link
            del st.query_params["bar"]

    def keep(self, wanted: Any, loops: Mapping[str, Loop]) -> None:
        """Keep loops, or no longer, as a browser says: pairs of a code of ``loops`` and whether it is wanted."""
        for entry in doors.items(wanted, _MAX):
            code, keeps = doors.pair(entry) or (None, None)
            if isinstance(code, str) and type(keeps) is bool and (loop := loops.get(code)):
                others = [other for other in self.favourites if other.code != loop.code]
                was_there = len(others) < len(self.favourites)
                if was_there != keeps:
                    self.kept = [loop, *others][:_MAX] if keeps else others


def _has_timing(loop: Loop) -> bool:
    """Whether a loop is played off the grid."""
    return bool(loop.performance.offsets.any())


def begin(first: Loop) -> None:
    """Set a new visitor up: the loop of the address in hand, or ``first``."""
    if "visitor" in st.session_state:
        return
    hand = first
    code = st.query_params.get("loop") or st.query_params.get("bar")
    if code:
        try:
            hand = Loop.read(code, "a shared loop")
        except ValueError as error:
            st.toast(f"{error}: here is another one", icon=":material/link_off:")
            for name in {"loop", "bar"} & set(st.query_params):
                del st.query_params[name]
    mine = st.session_state.visitor = Visitor(hand, history=[hand], untouched=hand is first)
    if not st.query_params:  # whoever comes without a link hears the first loop as it swings
        mine.bpm, mine.swing = _FIRST_BPM, _FIRST_SWING


def follow_address() -> None:
    """Take the loop of the address in hand, where a visitor went back to it, or forward."""
    mine, code = visitor(), st.query_params.get("loop", "")
    if code and code != mine.hand.code:
        known = {loop.code: loop for loop in (*mine.past, *mine.future, *mine.history)}
        try:
            mine.take(known.get(code) or Loop.read(code, "a shared loop"))
        except ValueError:
            st.query_params["loop"] = mine.hand.code


def visitor() -> Visitor:
    """Whoever this run is for."""
    return st.session_state.visitor


def keep() -> None:
    """Exchange favourites with the visitor's browser; drawn once on every run, at its end."""
    kept = visitor().kept
    known = None if kept is None else [[loop.code, loop.name] for loop in kept]
    with st.container(key="unseen-keeper"):
        _keeper(key="keeper", data={"favourites": known}, on_found_change=_found, on_changed_change=_changed)


def _found() -> None:
    mine = visitor()
    mine.kept = _distinct(mine.favourites + _readable(st.session_state.keeper.found))


def _changed() -> None:
    visitor().kept = _readable(st.session_state.keeper.changed)


def _readable(found: Any) -> list[Loop]:
    """The favourites in what a browser sent, which may be anything."""
    loops: list[Loop] = []
    for entry in doors.items(found, _MAX_FOUND):
        code, name = doors.pair(entry) or (None, None)
        called = doors.text(name, _MAX_NAME)
        if isinstance(code, str) and called is not None:
            with suppress(ValueError):  # what another version, or somebody else, left there
                loops.append(Loop.read(code, called or "a favourite"))
    return _distinct(loops)


def _distinct(loops: list[Loop]) -> list[Loop]:
    """The first of each, and no more than are remembered."""
    first: dict[str, Loop] = {}
    for loop in loops:
        first.setdefault(loop.code, loop)
    return list(first.values())[:_MAX]
