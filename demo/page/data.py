"""Data: the bars of songs, and how the model's compare."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import streamlit as st

from page import cards, charts, models, options, songs, takeaway
from page.loop import ANYTHING, KIT, LENGTHS, STEPS, TRIPLETS, Loop
from page.turns import turn
from rhythmgan.conditions import Condition
from rhythmgan.data import Corpus
from rhythmgan.features import FEATURES, measure
from rhythmgan.grid_choice import OWN_GRIDS
from rhythmgan.performance import Performance
from rhythmgan.reference import ANY_ROLE, KINDS, load_reference, reference_key, saved_references
from rhythmgan.roles import ROLES

_PAGE = {1: 24, 2: 12}
"""Loops on a page by their bars; of longer ones there are 8."""

_GENERATED = 4000
_KINDS = {"distinct": "distinct", "as_played": "as played"}
_FIRST = ["density", "syncopation", "off-beat share", "parts used"]


def show() -> None:
    """Draw the tab."""
    songs.warn_if_unreadable()
    if songs.are_textbook():
        st.caption(
            "These are the textbook bars that ship with rhythmgan. For songs of your own: "
            "`rhythmgan prepare FOLDER --out bars.npz`, then `rhythmgan demo --data bars.npz`."
        )
    way = st.segmented_control(
        "Look at", ["Songs", "Features"], default="Songs", required=True, key="look", label_visibility="collapsed"
    )
    if way == "Features":
        _show_features()
    elif songs.are_textbook():
        _show_textbook()
    else:
        _show_songs()


def _show_textbook() -> None:
    corpus = songs.words()
    chosen = corpus.only(_page(np.arange(len(corpus)), 1))
    titles = [songs.titles()[song] for song in chosen.song_id]
    loops = [Loop.of(cells, title) for cells, title in zip(songs.cells(chosen), titles, strict=True)]
    _show_cards(loops, models.notes(loops), "textbook bars")


def _show_songs() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        song = st.selectbox(
            f"Song, of {len(_by_length()):,} with bars on {STEPS} steps", _by_length(), key="song", format_func=_title
        )
        n_bars = st.segmented_control(
            "Loops of",
            LENGTHS,
            default=1,
            required=True,
            key="song-bars",
            format_func=lambda n: "1 bar" if n == 1 else f"{n} bars",
            help="As the song plays them, one after the other. The first loop is where the song begins; one that comes "
            "again is shown once.",
        )
    assert song is not None  # a corpus has songs
    rows = _loop_rows(song, n_bars or 1)
    if not len(rows):
        st.info(f"This song has no {n_bars} bars on {STEPS} steps that follow one another.")
        return
    if others := _others(song):
        st.caption(others)
    loops, told = _of_song(_page(rows, rows.shape[1]))
    notes = [" · ".join(filter(None, each)) for each in zip(told, models.notes(loops), strict=True)]
    _show_cards(loops, notes, _title(song))


@st.cache_data(show_spinner=False, max_entries=50)
def _loop_rows(song: int, n_bars: int) -> np.ndarray:
    return loop_rows(songs.words(), song, n_bars)


def loop_rows(corpus: Corpus, song: int, n_bars: int) -> np.ndarray:
    """The loops of a song, in the order in which they first come: rows of the corpus, (n, bars).

    Of one bar they are the song's distinct bars. Longer ones follow one another from the first bar on, and begin anew
    behind each gap and in each file; what is left over at the end of such a run is no loop.

    Args:
        corpus: bars in the order of files and time.
        song: its number.
        n_bars: bars of a loop.
    """
    rows = np.flatnonzero(corpus.song_id == song)
    files, index = corpus.file_id[rows], np.asarray(corpus.bar_index)[rows].astype(np.int64)
    begins = np.append(True, (np.diff(files) != 0) | (np.diff(index) != 1)) if len(rows) else np.zeros(0, bool)
    run = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    place = np.arange(len(rows)) - run
    first = np.flatnonzero(place % n_bars == 0)
    first = first[first + n_bars <= len(rows)]
    first = first[run[first + n_bars - 1] == run[first]]
    loops = first[:, None] + np.arange(n_bars)
    _, distinct = np.unique(corpus.bar_id[rows[loops]], axis=0, return_index=True)
    return rows[loops[np.sort(distinct)]]


def _of_song(rows: np.ndarray) -> tuple[list[Loop], list[str]]:
    """The loops of one song in these rows (n, bars), as they were played, and a line on each."""
    chosen = songs.words().only(rows.ravel())
    title = _title(int(chosen.song_id[0]))
    try:
        found = songs.performance(chosen)
    except ValueError as error:  # a large corpus is checked where it is read
        trouble = options.trouble(options.data_file() or Path(), error)
        st.warning(f"{trouble}. These bars are heard with accents on the grid.", icon=":material/error:")
        found = Performance.of(songs.cells(chosen), KIT)
    loops, told = [], []
    n_bars = rows.shape[1]
    for at in range(0, len(chosen), n_bars):
        number, role = int(chosen.bar_index[at]) + 1, ROLES[chosen.role[at]]
        if n_bars == 1:
            name, asked = f"bar {number}", Condition(role)
            told.append(_played(role, int(chosen.plays[at])))
        else:
            name, asked = f"bars {number} to {number + n_bars - 1}", ANYTHING
            told.append("")
        loops.append(Loop.of(found[at : at + n_bars], f"{name}, {title}", asked))
    return loops, told


def _page(rows: np.ndarray, n_bars: int) -> np.ndarray:
    """Draw a choice between pages where there are several, and return the rows of the chosen one.

    Args:
        rows: a row for each loop.
        n_bars: of each loop.
    """
    length = _PAGE.get(n_bars, 8)
    pages = -(-len(rows) // length)
    page = min(st.pagination(pages, key="page"), pages) if pages > 1 else 1
    return rows[(page - 1) * length : page * length]


def _show_cards(loops: list[Loop], notes: list[str], title: str) -> None:
    cards.show(loops, "songs", columns=4 if loops[0].n_bars == 1 else 2, notes=notes)
    takeaway.many(loops, title, "zip-songs", "These as ZIP")


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


@st.cache_data(show_spinner=False, max_entries=12)
def _generated(role: str, steps: int) -> dict[str, np.ndarray]:
    """Feature → its values in generated bars of a role, where it has one."""
    with turn:
        return _values(models.generator(steps, Condition(role)).sample(_GENERATED, seed=1 << 42))


@st.cache_data(show_spinner=False, max_entries=12)
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
