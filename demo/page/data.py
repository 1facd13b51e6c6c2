"""Data: the bars of songs, and how the model's compare."""

from __future__ import annotations

import contextlib

import numpy as np
import streamlit as st

from page import cards, charts, models, session, songs, takeaway
from page.bar import KIT, STEPS, TRIPLETS, Bar
from rhythmgan.conditions import Condition
from rhythmgan.features import FEATURES, measure
from rhythmgan.grid_choice import OWN_GRIDS
from rhythmgan.reference import ANY_ROLE, KINDS, load_reference, reference_key, saved_references
from rhythmgan.roles import ROLES

_PAGE = 24
_GENERATED = 4000
_KINDS = {"distinct": "distinct", "as_played": "as played"}
_FIRST = ["density", "syncopation", "off-beat share", "parts used"]


@st.fragment
def show() -> None:
    """Draw the tab."""
    if songs.warn_if_unreadable():
        return
    if songs.are_textbook():
        st.caption(
            "These are the textbook bars that ship with rhythmgan. For songs of your own: "
            "`rhythmgan prepare FOLDER --out bars.npz`, then `rhythmgan demo --data bars.npz`."
        )
    way = st.segmented_control(
        "Look at", ["Songs", "Features"], default="Songs", required=True, key="look", label_visibility="collapsed"
    )
    if way == "Songs":
        _show_songs()
    else:
        _show_features()
    session.keep()


def _show_songs() -> None:
    corpus = songs.words()
    played: list[str] = []
    if songs.are_textbook():
        rows = zip(songs.cells(corpus), corpus.song_id, strict=True)
        bars = [Bar.of(cells, songs.titles()[song]) for cells, song in rows]
        title = "textbook bars"
    else:
        song = st.selectbox(
            f"Song, of {len(_by_length()):,} with bars on {STEPS} steps", _by_length(), key="song", format_func=_title
        )
        assert song is not None  # a corpus has songs
        chosen = corpus.only(corpus.song_id == song).distinct()
        title = _title(song)
        own = songs.performances(chosen)
        bars = [
            Bar.of(cells, f"bar {bar + 1}, {title}", Condition(ROLES[role]), None if own is None else own[i : i + 1])
            for i, (cells, bar, role) in enumerate(zip(songs.cells(chosen), chosen.bar_index, chosen.role, strict=True))
        ]
        played = [_played(ROLES[role], plays) for role, plays in zip(chosen.role, chosen.plays, strict=True)]
        if others := _others(song):
            st.caption(others)
    pages = -(-len(bars) // _PAGE)
    page = st.pagination(pages, key="page") if pages > 1 else 1
    here = slice((page - 1) * _PAGE, page * _PAGE)
    shown = bars[here]
    notes = models.notes(shown)
    if played:
        notes = [f"{own} · {note}" for own, note in zip(played[here], notes, strict=True)]
    cards.show(shown, "songs", columns=4, notes=notes)
    takeaway.all_of(shown, title, "zip-songs", "These as ZIP")


def _played(role: str, plays: int) -> str:
    """What a bar is in its song, and how often the song plays it."""
    return f"{role}, played {'once' if plays == 1 else f'{plays} times'}"


def _others(song: int) -> str:
    """How many bars of a song are not drawn, being on other grids; empty where there are none."""
    counts = {steps: int(counts[song]) for steps, counts in songs.on_other_grids().items()}
    told = [f"{n:,} on {steps} steps" for steps, n in counts.items() if n]
    return f"Not shown are bars of this song on other grids than 16 steps: {', '.join(told)}." if told else ""


def _title(song: int) -> str:
    return songs.titles()[song]


@st.cache_data(show_spinner=False)
def _by_length() -> list[int]:
    """The songs by their ids, those with the most different bars first."""
    corpus = songs.words().distinct()
    counts = np.bincount(corpus.song_id, minlength=len(corpus.songs))
    return [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]


def _show_features() -> None:
    columns = st.columns(3)
    kind = columns[0].segmented_control(
        "Real bars", list(_KINDS), required=True, default="distinct", format_func=_KINDS.__getitem__, key="reference"
    )
    role = columns[1].segmented_control("Role", [ANY_ROLE, *ROLES], required=True, default=ANY_ROLE, key="real-role")
    steps = columns[2].segmented_control("Grid, steps", list(OWN_GRIDS), required=True, default=STEPS, key="real-grid")
    names = st.multiselect("Features", list(FEATURES), _FIRST, key="features", max_selections=8)
    real = _real(kind, role, steps)
    if not real:
        st.info(f"There are no {'' if role == ANY_ROLE else f'{role} '}bars of {steps} steps here.")
        return
    shown = [name for name in names if name in real]
    if len(shown) < len(names):
        st.caption(f"Not defined on {steps} steps: {', '.join(name for name in names if name not in real)}.")
    played = steps in (STEPS, TRIPLETS)
    halves = st.columns(2)
    for i, name in enumerate(shown):
        sets = {"real bars": real[name]} | ({"the GAN's": _generated(role, steps)[name]} if played else {})
        halves[i % 2].altair_chart(charts.histograms(sets, name), alt=f"{name} of {' and of '.join(sets)}")
    source = "training songs" if songs.are_textbook() else "songs that no model was trained on"
    beside = (
        f"{_GENERATED:,} bars of the GAN beside them, asked for the same role."
        if played
        else f"The GANs play {STEPS} and {TRIPLETS} steps only."
    )
    st.caption(f"Real bars of {source}: {KINDS[kind]}. {beside}")


@st.cache_data(show_spinner=False)
def _generated(role: str, steps: int) -> dict[str, np.ndarray]:
    """Feature → its values in generated bars of a role, where it has one."""
    return _values(models.generator(steps, Condition(role)).sample(_GENERATED, seed=1 << 42))


@st.cache_data(show_spinner=False)
def _real(kind: str, role: str, steps: int) -> dict[str, np.ndarray]:
    """Feature → its values in real bars, or their quantiles where there are no songs; empty without such bars.

    Args:
        kind: one of ``KINDS``; as played as many bars are drawn as the GAN's.
        role: one of ``ROLES``, or "any".
        steps: the grid.
    """
    if songs.are_textbook():
        if reference_key(KIT.name, kind, role, steps) not in saved_references():
            return {}
        return load_reference(None, kind, role, steps, KIT).quantiles
    corpus = songs.unheard(steps)
    chosen = None if corpus is None else corpus.with_role(role)
    if chosen is None or not len(chosen):
        return {}
    chosen = chosen.distinct() if kind == "distinct" else chosen.as_played(_GENERATED)
    return _values(songs.cells(chosen))


def _values(cells: np.ndarray) -> dict[str, np.ndarray]:
    """Each feature that the grid of bars (n, steps, parts) bool has → its values, of the bars that have one."""
    found = {}
    for name in FEATURES:
        with contextlib.suppress(ValueError):
            values = measure(cells, KIT, [name])[name]
            found[name] = values[~values.isnan()].numpy()
    return found
