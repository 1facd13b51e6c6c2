"""What one visitor holds: the bar in hand, what was in hand before, favourites. Nobody else sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from page.bar import TRIPLETS, Bar
from page.component import component
from rhythmgan.playback import MIN_SWING, Playback

_MAX = 60
"""Bars that are remembered, of the session and of favourites."""

_MAX_NAME = 60

_keeper = component("keeper", ["keeper"])


@dataclass
class Visitor:
    """One visitor's things.

    Attributes:
        hand: the bar in hand: what the other tabs begin from.
        history: what was in hand in this session, the latest first.
        kept: favourites, the latest first; None until the browser has told them, or one is added.
        untouched: whether nothing was taken in hand yet.
        bpm, swing: of all that plays, as the sliders show them; downloads read them at the moment they are asked for.
        own_bpm: the tempo of the loop that was uploaded last.
        tempo_from: which upload that was.
        sets_tempo: whether the slider is to be set to it yet.
        path: places that were passed on the pad of the bars ``path_of``.
        offered: what was offered for the corners of the pad, by name; a name stays what it was.
    """

    hand: Bar
    history: list[Bar]
    kept: list[Bar] | None = None
    untouched: bool = True
    bpm: int = 120
    swing: float = 0.5
    own_bpm: float | None = None
    tempo_from: str = ""
    sets_tempo: bool = False
    path: list[list[int]] = field(default_factory=list)
    path_of: tuple[str, ...] = ()
    offered: dict[str, Bar] = field(default_factory=dict)

    @property
    def favourites(self) -> list[Bar]:
        return self.kept or []

    @property
    def exact_bpm(self) -> float:
        """The tempo that the slider shows; where it shows that of an upload, the upload's very own."""
        return self.own_bpm if self.own_bpm is not None and round(self.own_bpm) == self.bpm else self.bpm

    def playback(self, steps: int) -> Playback:
        """How bars of a grid are played: those of triplets straight, as they have no sixteenths to swing."""
        return Playback(self.exact_bpm, MIN_SWING if steps == TRIPLETS else self.swing)

    def take_tempo(self, bpm: float, upload: str) -> bool:
        """Take the tempo of an upload, unless it was taken before; returns whether the slider is to follow."""
        if upload == self.tempo_from:
            return False
        self.own_bpm, self.tempo_from, self.sets_tempo = bpm, upload, True
        return True

    def take(self, bar: Bar, instead_of: Bar | None = None) -> None:
        """Take a bar in hand, maybe instead of one that was not worth remembering; the address leads to it."""
        self.hand, self.untouched = bar, False
        gone = {bar.code, instead_of.code} if instead_of else {bar.code}
        self.history = [bar, *(other for other in self.history if other.code not in gone)][:_MAX]
        st.query_params["bar"] = bar.code

    def keep(self, wanted: Any, bars: Mapping[str, Bar]) -> None:
        """Keep bars, or no longer, as a browser says: pairs of a code and whether it is wanted, of ``bars`` by code."""
        for entry in wanted if isinstance(wanted, list) else []:
            if isinstance(entry, list) and len(entry) == 2 and (bar := bars.get(str(entry[0]))):
                others = [other for other in self.favourites if other.code != bar.code]
                was_there = len(others) < len(self.favourites)
                if was_there != bool(entry[1]):
                    self.kept = [bar, *others][:_MAX] if entry[1] else others


def begin(first: Bar) -> None:
    """Set a new visitor up: the bar of the address in hand, or ``first``."""
    if "visitor" in st.session_state:
        return
    hand = first
    code = st.query_params.get("bar")
    if code:
        try:
            hand = Bar.read(code, "a shared bar")
        except ValueError as error:
            st.toast(f"{error}: here is another one", icon=":material/link_off:")
    st.session_state.visitor = Visitor(hand, [hand], untouched=hand is first)


def visitor() -> Visitor:
    """Whoever this run is for."""
    return st.session_state.visitor


def keep() -> None:
    """Exchange favourites with the visitor's browser; drawn once on every run, at its end."""
    kept = visitor().kept
    known = None if kept is None else [[bar.code, bar.name] for bar in kept]
    with st.container(key="unseen-keeper"):
        _keeper(key="keeper", data={"favourites": known}, on_found_change=_found, on_changed_change=_changed)


def _found() -> None:
    mine = visitor()
    mine.kept = _distinct(mine.favourites + _readable(st.session_state.keeper.found))


def _changed() -> None:
    visitor().kept = _readable(st.session_state.keeper.changed)


def _readable(found: Any) -> list[Bar]:
    """The favourites in what a browser sent, which may be anything."""
    bars: list[Bar] = []
    for entry in found if isinstance(found, Sequence) and not isinstance(found, str) else []:
        try:
            code, name = entry
            bars.append(Bar.read(str(code), str(name)[:_MAX_NAME]))
        except (ValueError, TypeError):  # what another version, or somebody else, left there
            continue
    return _distinct(bars)


def _distinct(bars: list[Bar]) -> list[Bar]:
    """The first of each, and no more than are remembered."""
    first: dict[str, Bar] = {}
    for bar in bars:
        first.setdefault(bar.code, bar)
    return list(first.values())[:_MAX]
