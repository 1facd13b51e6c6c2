"""Data: the bars of songs, and how the model's compare."""

from __future__ import annotations

import numpy as np
import streamlit as st

from page import cards, charts, models, session, songs, takeaway
from page.bar import KIT, Bar
from rhythmgan.bars import words_to_bars
from rhythmgan.features import FEATURES, measure

_PAGE = 24
_GENERATED = 4000
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
    if songs.are_textbook():
        bars = [
            Bar.of(cells, corpus.songs[song]) for cells, song in zip(_cells(corpus.words), corpus.song_id, strict=True)
        ]
        title = "textbook bars"
    else:
        song = st.selectbox(f"Song, of {len(corpus.songs):,}", _by_length(), key="song", format_func=_title)
        assert song is not None  # a corpus has songs
        chosen = corpus.only(corpus.song_id == corpus.songs.index(song)).distinct()
        title = _title(song)
        places = zip(_cells(chosen.words), chosen.bar_index, strict=True)
        bars = [Bar.of(cells, f"bar {bar + 1}, {title}") for cells, bar in places]
    pages = -(-len(bars) // _PAGE)
    page = st.pagination(pages, key="page") if pages > 1 else 1
    shown = bars[(page - 1) * _PAGE : page * _PAGE]
    cards.show(shown, "songs", columns=4, notes=[models.line(*values) for values in models.features(shown)])
    takeaway.all_of(shown, title, "zip-songs", "These as ZIP")


def _title(song: str) -> str:
    return f"song {song[:8]}" if len(song) == 32 else song  # of Lakh's songs only a digest is known


@st.cache_data(show_spinner=False)
def _by_length() -> list[str]:
    """The songs, those with the most different bars first."""
    corpus = songs.words().distinct()
    counts = np.bincount(corpus.song_id, minlength=len(corpus.songs))
    return [corpus.songs[i] for i in np.argsort(-counts, kind="stable") if counts[i]]


def _cells(words: np.ndarray) -> np.ndarray:
    return words_to_bars(words, KIT.n_parts)


def _show_features() -> None:
    names = st.multiselect("Features", list(FEATURES), _FIRST, key="features", max_selections=8)
    columns = st.columns(2)
    for i, name in enumerate(names):
        sets = {"real bars": _real(name), "the GAN's": _generated()[name]}
        columns[i % 2].altair_chart(charts.histograms(sets, name), alt=f"{name} of real and of generated bars")
    source = "the training bars" if songs.are_textbook() else "of songs that no model was trained on"
    st.caption(f"{_GENERATED:,} bars of the GAN beside real ones, {source}; each song's distinct bars count.")


@st.cache_data(show_spinner=False)
def _generated() -> dict[str, np.ndarray]:
    """Feature → its values in generated bars, where it has one."""
    found = measure(models.generator().sample(_GENERATED, seed=1 << 42), KIT)
    return {name: values[~values.isnan()].numpy() for name, values in found.items()}


@st.cache_data(show_spinner=False)
def _real(name: str) -> np.ndarray:
    if songs.are_textbook():
        values = models.reference().quantiles[name]
    else:
        values = measure(songs.held_out(), KIT, [name])[name].numpy()
    return values[~np.isnan(values)]
