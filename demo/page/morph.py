"""Morph: the bars between two or four others, and a map of bars."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import streamlit as st

from page import cards, models, session, takeaway
from page.bar import Bar, cells_of
from page.component import component
from rhythmgan.conditions import Condition
from rhythmgan.generate.morph import morph

_SIDE = 9
"""Bars along each side of the pad."""

_STRIP = 17
"""Bars between two."""

_MAX_PATH = 64
_MAPPED = 1500

_pad = component("morph", ["player", "drawing", "pad"], ["cards", "pad"])


@st.fragment
def show() -> None:
    """Draw the tab."""
    way = st.segmented_control(
        "Way",
        ["Four bars", "Two bars", "Map"],
        default="Four bars",
        required=True,
        key="way",
        bind="query-params",
        label_visibility="collapsed",
    )
    if way == "Map":
        _show_map()
    else:
        _show_pad(4 if way == "Four bars" else 2)
    session.keep()


def _show_pad(n: int) -> None:
    """A pad with n bars at its corners, or a strip between two."""
    steps = session.visitor().hand.steps
    choices = _choices(steps)
    names = list(choices)
    corners = []
    with st.container(horizontal=True):
        for i, place in enumerate(("A", "B", "C", "D")[:n]):
            name = st.selectbox(
                place,
                names,
                index=i,
                key=f"corner-{place}-{steps}",
                accept_new_options=True,
                help="Pick a bar, or type a seed.",
            )
            if bar := _corner(name, choices, steps):
                corners.append(bar)
    if len(corners) < n:
        st.warning("A seed is a whole number from 0 on.", icon=":material/tag:")
        return
    lattice = _lattice(tuple(corners))
    visitor, sent = session.visitor(), st.session_state
    of = tuple(bar.code for bar in corners)
    if visitor.path_of != of:  # other corners, another path: from the first to the last of them
        visitor.path_of = of
        visitor.path = [[i, i if n == 4 else 0] for i in range(len(lattice[0]))]
    by_code = {bar.code: bar for row in lattice for bar in row}

    def chosen() -> None:
        if bar := by_code.get(str(sent.pad.chosen)):
            visitor.take(bar)

    def kept() -> None:
        visitor.keep(sent.pad.kept, by_code)

    def walked() -> None:
        visitor.path = _readable(sent.pad.path, lattice) or visitor.path

    density = [cells_of(row).sum((1, 2)).astype(float).tolist() for row in lattice]
    _pad(
        key="pad",
        data={
            "bars": [
                [bar.sent | {"density": value} for bar, value in zip(row, values, strict=True)]
                for row, values in zip(lattice, density, strict=True)
            ],
            "corners": [f"{place}: {bar.name}" for place, bar in zip("ABCD", corners, strict=False)],
            "kit": cards.LOOK,
            "path": visitor.path,
            "most": _MAX_PATH,
            "chosen": visitor.hand.code,
            "kept": [bar.code for bar in visitor.favourites],
        },
        on_chosen_change=chosen,
        on_kept_change=kept,
        on_path_change=walked,
    )
    st.caption(
        "Drag across the pad, or use the arrow keys and Enter to begin anew: what you pass is the path. The stronger a "
        "field's colour, the denser its bar."
    )
    takeaway.one([lattice[j][i] for i, j in visitor.path], "morph", "take-path")


def _choices(steps: int) -> dict[str, Bar]:
    """Bars to put at the corners, by name: the one in hand, favourites, some seeds, and all that was offered before.

    They have the grid of the bar in hand: between bars of two grids there are none.
    """
    visitor = session.visitor()
    seeds = [models.sampled(seed, 1, steps=steps)[0] for seed in (17, 5, 40, 3, 8, 23)]
    names = [_offer(visitor.offered, bar) for bar in (visitor.hand, *visitor.favourites, *seeds)]
    offered = {name: visitor.offered[name] for name in dict.fromkeys([*names, *visitor.offered])}
    return {name: bar for name, bar in offered.items() if bar.steps == steps}


def _offer(offered: dict[str, Bar], bar: Bar) -> str:
    """The name that a bar is offered under; of two bars that are called alike one has a number."""
    for name, other in offered.items():
        if other.code == bar.code:
            return name
    numbered = itertools.chain([bar.name], (f"{bar.name} ({i})" for i in itertools.count(2)))
    name = next(name for name in numbered if name not in offered)
    offered[name] = bar
    return name


def _corner(name: str | None, choices: dict[str, Bar], steps: int) -> Bar | None:
    """The bar of a name or of a typed seed on this grid; None where it is neither."""
    if name in choices:
        return choices[name]
    digits = (name or "").removeprefix("seed").strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return None
    return models.sampled(int(digits), 1, steps=steps)[0]


@st.cache_data(show_spinner=False, max_entries=100)
def _lattice(corners: tuple[Bar, ...]) -> list[list[Bar]]:
    """Rows of bars: a morph between two; for four, morphs across between morphs along two sides.

    Where all corners are of one role and style, what lies between is asked for them; of others it may be anything.
    """
    asked = corners[0].asked if len({corner.asked for corner in corners}) == 1 else Condition()
    model = models.generator(corners[0].steps, asked)
    cells = cells_of(corners)
    if len(corners) == 4:
        left, right = morph(model, cells[:2], cells[2:], _SIDE)
        rows = morph(model, left, right, _SIDE)
    else:
        rows = morph(model, cells[:1], cells[1:], _STRIP)
    names = {corner.code: corner.name for corner in corners}
    bars = [
        [Bar.of(cells, f"morph {column}, {row}", asked) for column, cells in enumerate(found, 1)]
        for row, found in enumerate(rows, 1)
    ]
    return [[bar.named(names.get(bar.code, bar.name)) for bar in row] for row in bars]


def _readable(path: Any, lattice: list[list[Bar]]) -> list[list[int]]:
    """The places of the pad in what a browser sent."""
    places = path if isinstance(path, list) else []
    places = [place for place in places if isinstance(place, list) and len(place) == 2]
    return [
        [i, j]
        for i, j in places
        if isinstance(i, int) and isinstance(j, int) and 0 <= j < len(lattice) and 0 <= i < len(lattice[0])
    ][:_MAX_PATH]


def _show_map() -> None:
    from page import charts  # with pandas and altair it takes a second to import

    colour = st.radio("Colour", models.TARGETS, key="colour", horizontal=True) or models.TARGETS[0]
    seen, heard = st.columns([3, 2], gap="medium")
    with seen:
        picked = st.altair_chart(
            charts.scatter(_map(), colour),
            on_select="rerun",
            key="map",
            selection_mode="picked",
            alt=f"A map of {_MAPPED:,} bars by {colour}",
        )
        st.caption(
            f"The bars of {_MAPPED:,} seeds, seen along the two ways through latent space in which density and "
            "syncopation grow most. Click a point, and its bar comes to be played."
        )
    with heard:
        points = picked["selection"].get("picked") or []
        if points:
            bar = models.sampled(int(points[0]["seed"]), 1)[0]
            cards.show([bar], "mapped", columns=1, names=True, notes=models.notes([bar]))
            takeaway.one([bar], bar.name, "take-mapped")
        else:
            st.info("A bar comes with a click.", icon=":material/touch_app:")


@st.cache_data(show_spinner=False)
def _map() -> dict[str, np.ndarray]:
    """Seeds' latent points projected onto the regressed directions of density and, at a right angle, syncopation."""
    z = models.generator().latents(np.arange(_MAPPED, dtype=np.uint64)).astype(np.float64)
    bars = models.generator().decode(z)
    values = np.array(models.features_of(bars))
    slopes = np.linalg.lstsq(z, values - values.mean(0), rcond=None)[0]
    along, _ = np.linalg.qr(slopes)
    xy = z @ (along * np.sign((along * slopes).sum(0)))
    found = dict(zip(models.TARGETS, values.T, strict=True))
    return {"seed": np.arange(_MAPPED), "x": xy[:, 0], "y": xy[:, 1], **found}
