"""Morph: the loops between two or four others, and a map of bars."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from page import doors, models, session, songs
from page.component import component
from page.lattice import Lattice
from page.loop import ANYTHING, LENGTHS, STEPS, TRIPLETS, Loop
from page.turns import remembered
from rhythmgan.conditions import Condition

_MAX_PATH = 64
_MAX_SENT = 10_000
"""Places of one message that are looked at, of which the last are kept."""

_MAPPED = 1500

_IN_HAND = "The loop in hand"

_OTHERS = {
    STEPS: ("Funk: ghosted sixteenths", "Bossa nova: three-two", "House: four on the floor"),
    TRIPLETS: ("Swing: comping", "Half-time shuffle: triplets", "Afro-Cuban: twelve-eight bell"),
}
"""The presets at the corners of a new pad, beside the loop in hand."""

_SEEDS = (17, 5, 40, 3, 8, 23)

_pad = component("pad", ["played", "drawing", "pad"], ["pad"])


@dataclass
class Pad:
    """A visitor's pad on one grid.

    Attributes:
        corners: the loops A, B, C and D; a strip is between the first two.
        of: the codes of the corners that the path belongs to.
        path: the places that were passed, a column and a row each, the latest last.
        epoch: how often the corners changed; what the browser says of earlier ones is too late.
        revision: how often the browser changed the path since.
        walked: the code of the loop that was made of the path, and the places of its bars.
        said: a line on a corner that was none; or "".
    """

    corners: list[Loop]
    of: tuple[str, ...] = ()
    path: list[list[int]] = field(default_factory=list)
    epoch: int = 0
    revision: int = 0
    walked: tuple[str, list[list[int]]] = ("", [])
    said: str = ""

    def belong_to(self, lattice: Lattice) -> None:
        """Begin a new path, from the first corner to the last, where the corners are others than before."""
        of = tuple(corner.code for corner in lattice.corners)
        if self.of != of:
            self.of, self.revision = of, 0
            self.epoch += 1
            self.path = [[i, i % lattice.n_rows] for i in range(lattice.n_columns)]

    def receive(self, sent: Any, lattice: Lattice) -> bool:
        """Take the path that the browser says, which may say anything; returns whether it was one."""
        said = doors.entries(sent)
        revision, places = doors.whole(said.get("revision")), _readable(said.get("path"), lattice)
        if doors.whole(said.get("epoch")) == self.epoch and revision is not None and places:
            self.revision, self.path = revision, places
            return True
        return False


def show() -> None:
    """Draw the panel."""
    way = st.segmented_control(
        "Way",
        ["Four loops", "Two loops", "Map"],
        default="Four loops",
        required=True,
        key="way",
        bind="query-params",
        label_visibility="collapsed",
    )
    if way == "Map":
        _show_map()
    else:
        _show_pad(4 if way == "Four loops" else 2)


def _show_pad(n: int) -> None:
    """A pad with four loops at its corners, or a strip between two."""
    visitor = session.visitor()
    pad, lattice = _opened(n)
    pad.belong_to(lattice)
    first = lattice.corners[0].named(pad.corners[0].name)

    def moved() -> None:
        if pad.receive(st.session_state.pad.moved, lattice):
            pad.said = ""
            visitor.take(_named(lattice.loop(*pad.path[-1]), pad), before=first, tag="morph")

    def walked() -> None:
        loop, places = lattice.along(pad.path, st.session_state["path-bars"])
        pad.walked = loop.code, places
        visitor.take(loop)

    _corners(pad, "AB")
    if pad.said:
        st.warning(pad.said, icon=":material/tag:")
    _pad(
        key="pad",
        data={
            **lattice.sent,
            "epoch": pad.epoch,
            "revision": pad.revision,
            "path": pad.path,
            "most": _MAX_PATH,
            "puck": _puck(visitor.hand, pad, lattice),
        },
        on_moved_change=moved,
    )
    if n == 4:
        _corners(pad, "CD")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Bars of the path",
            LENGTHS,
            default=4,
            required=True,
            key="path-bars",
            format_func=lambda n: f"{n} bar" if n == 1 else f"{n} bars",
            label_visibility="collapsed",
        )
        st.button(
            "Take the path as a loop",
            on_click=walked,
            icon=":material/route:",
            disabled=len(pad.path) < 2,
        )


def _opened(n: int) -> tuple[Pad, Lattice]:
    """The visitor's pad of the grid of the loop in hand, and its loops.

    Where the panel was just opened, the loop in hand is at the first corner, if it is none of the pad's already.
    """
    hand = session.visitor().hand
    pads: dict[int, Pad] = st.session_state.setdefault("pads", {})
    opened = "corner-A" not in st.session_state  # what is not drawn is forgotten
    if not (pad := pads.get(hand.steps)):
        pad = pads[hand.steps] = Pad([hand, *(_presets(hand.steps)[name] for name in _OTHERS[hand.steps])])
    lattice = _lattice(tuple(pad.corners[:n]))
    if opened and hand.code != pad.walked[0] and not lattice.place_of(hand):
        pad.corners[0] = hand
        lattice = _lattice(tuple(pad.corners[:n]))
    if opened:
        pad.said = ""
    return pad, lattice


def _puck(hand: Loop, pad: Pad, lattice: Lattice) -> list[list[int]]:
    """Where on the pad the loop in hand is: one place, one for each bar of a path, or none."""
    code, places = pad.walked
    if hand.code == code:
        return places
    # of several places with the same loop the one that the path has led to
    place = pad.path[-1] if pad.path and lattice.loop(*pad.path[-1]).code == hand.code else lattice.place_of(hand)
    return [place] if place else []


def _named(loop: Loop, pad: Pad) -> Loop:
    """The loop of a place under the name of the corner that it is, if it is one."""
    for corner in pad.corners:
        if corner.with_n_bars(loop.n_bars).code == loop.code:
            return loop.named(corner.name)
    return loop


def _lattice(corners: tuple[Loop, ...]) -> Lattice:
    """The loops between others.

    Where all corners are of one role and style, what lies between is asked for them; of others it may be anything.
    """
    asked = corners[0].asked if len({corner.asked for corner in corners}) == 1 else ANYTHING
    return _lattice_of(tuple(corner.code for corner in corners), asked.role, asked.style)


@remembered(100)
def _lattice_of(codes: tuple[str, ...], role: str, style: str) -> Lattice:
    corners = [Loop.read(code, "") for code in codes]
    found = Lattice.between(models.generator(corners[0].steps, Condition(role, style)), corners)
    found.complete()
    return found


# -- corners -------------------------------------------------------------------------------------------


def _corners(pad: Pad, places: str) -> None:
    """What to choose the loops of some corners with."""
    offered, names = _offered(pad)

    def chosen(place: str) -> None:
        typed = st.session_state[f"corner-{place}"]
        if loop := _corner(typed, offered, pad.corners[0]):
            pad.corners["ABCD".index(place)], pad.said = loop, ""
        else:
            pad.said = f"“{str(typed)[:40]}” is no loop: pick one, or type a seed, a whole number from 0 on."

    with st.container(horizontal=True):
        for place in places:
            # the pad says what is chosen: of what cannot be read nothing stays
            st.session_state[f"corner-{place}"] = names["ABCD".index(place)]
            st.selectbox(
                f"Corner {place}",
                list(offered),
                key=f"corner-{place}",
                accept_new_options=True,
                on_change=chosen,
                args=[place],
                label_visibility="collapsed",
            )


def _offered(pad: Pad) -> tuple[dict[str, Loop], list[str]]:
    """Loops to put at the corners, by name, and the names of those that are there.

    The loop in hand comes first, then the corners, favourites, presets and some seeds, all of the pad's grid: between
    bars of two grids there are none. Of several loops that are called alike, all but the first get a number.
    """
    visitor, first = session.visitor(), pad.corners[0]
    offered = {_IN_HAND: visitor.hand}

    def offer(loop: Loop) -> str:
        names = itertools.chain([loop.name], (f"{loop.name} ({i})" for i in itertools.count(2)))
        name = next(name for name in names if offered.get(name, loop).code == loop.code)
        offered[name] = loop
        return name

    names = [offer(corner) for corner in pad.corners]
    for loop in (*visitor.favourites, *_presets(first.steps).values(), *_seeded(_SEEDS, first)):
        if loop.steps == first.steps:
            offer(loop)
    return offered, names


def _corner(typed: str | None, offered: dict[str, Loop], first: Loop) -> Loop | None:
    """The loop of a name or of a typed seed, as long as the first corner's; None where it is neither."""
    text = (typed or "").strip()
    if found := next((loop for name, loop in offered.items() if name.lower() == text.lower()), None):
        return found
    digits = text.removeprefix("seed").strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return None
    return _seeded((int(digits),), first)[0]


def _seeded(seeds: tuple[int, ...], first: Loop) -> list[Loop]:
    """The loops of seeds on a loop's grid, about as long."""
    return models.sampled(seeds, _about_as_long(first), steps=first.steps)


def _about_as_long(loop: Loop) -> int:
    """The bars of the longest loop that the model makes and that is no longer than this one."""
    return max(length for length in LENGTHS if length <= loop.n_bars)


@functools.cache
def _presets(steps: int) -> dict[str, Loop]:
    """The textbook bars of a grid by name."""
    return {
        name: Loop.of(bar, name)
        for style, patterns in songs.presets().items()
        for name, bar in ((f"{style}: {pattern}", bar) for pattern, bar in patterns.items())
        if len(bar) == steps
    }


def _readable(path: Any, lattice: Lattice) -> list[list[int]]:
    """The places of the pad in what a browser sent, the latest of them where there are too many."""
    found = []
    for place in doors.items(path, _MAX_SENT):
        sent = doors.pair(place) or (None, None)
        column, row = doors.whole(sent[0], 0, lattice.n_columns - 1), doors.whole(sent[1], 0, lattice.n_rows - 1)
        if column is not None and row is not None:
            found.append([column, row])
    return found[-_MAX_PATH:]


# -- the map -------------------------------------------------------------------------------------------


def _show_map() -> None:
    from page import charts  # with pandas and altair it takes a second to import

    colour = st.radio("Colour", models.TARGETS, key="colour", horizontal=True) or models.TARGETS[0]
    st.altair_chart(
        charts.scatter(_map(), colour),
        on_select=_picked,
        key="map",
        selection_mode="picked",
        alt=f"A map of {_MAPPED:,} bars by {colour}",
    )
    st.caption(f"The bars of {_MAPPED:,} seeds by density and syncopation. Click one to take its loop in hand.")


def _picked() -> None:
    """Take the loop of a seed of the map in hand."""
    visitor = session.visitor()
    for seed in _seeds_in(st.session_state.map):
        visitor.take(models.sampled((seed,), _about_as_long(visitor.hand))[0], tag="map")


def _seeds_in(picked: Any) -> Iterator[int]:
    """The seed of the map in what a browser sent, which may be anything."""
    selection = doors.entries(doors.entries(picked).get("selection"))
    for point in doors.items(selection.get("picked"), 1):
        seed = doors.whole(doors.entries(point).get("seed"), 0, _MAPPED - 1)
        if seed is not None:
            yield seed


@remembered(1)
def _map() -> dict[str, np.ndarray]:
    """Seeds' latent points projected onto the regressed directions of density and, at a right angle, syncopation."""
    z = models.generator().latents(np.arange(_MAPPED, dtype=np.uint64)).astype(np.float64)
    found = models.features_of(models.generator().decode(z))
    values = np.stack([found[name] for name in models.TARGETS], 1)
    slopes = np.linalg.lstsq(z, values - values.mean(0), rcond=None)[0]
    along, _ = np.linalg.qr(slopes)
    xy = z @ (along * np.sign((along * slopes).sum(0)))
    return {"seed": np.arange(_MAPPED), "x": xy[:, 0], "y": xy[:, 1], **found}
