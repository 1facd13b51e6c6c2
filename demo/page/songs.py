"""Real bars: the corpus that the page was started with, or the textbook bars."""

from __future__ import annotations

import itertools
import os

import numpy as np
import streamlit as st

from page import options
from page.bar import KIT, STEPS, in_page_kit
from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import DEFAULT_ROLE
from rhythmgan.corpus_file import corpus_grids, load_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance


@st.cache_resource(show_spinner=False)
def words() -> Corpus:
    """The bars and their songs.

    Raises:
        ValueError: no corpus, or one without bars of the grid and the kit that the page shows.
        OSError: it cannot be opened.
    """
    path = options.data_file()
    if path is None:
        return load_patterns(steps=STEPS)
    corpus = load_corpus(path, STEPS)
    if corpus.kit not in (KIT, GM9):
        raise ValueError(
            f"{path}: its bars are of kit {corpus.kit.name}; the page shows those of {KIT.name} and {GM9.name}"
        )
    return corpus


@st.cache_resource(show_spinner=False)
def on_other_grids() -> dict[int, np.ndarray]:
    """Grids that the page does not draw → how many bars each song has on them, (songs,) ints; the songs' own only."""
    path = options.data_file()
    if path is None:
        return {}
    corpora = {steps: load_corpus(path, steps) for steps in corpus_grids(path) if steps != STEPS}
    return {steps: np.bincount(found.song_id, minlength=len(found.songs)) for steps, found in corpora.items()}


@st.cache_resource(show_spinner=False, max_entries=4)
def unheard(steps: int) -> Corpus | None:
    """Bars of one grid of songs that no model was trained on; None where there are none.

    Those of the test part, or of all songs where there are none in it, as in a small folder of songs.
    """
    path = options.data_file()
    if path is None or steps not in corpus_grids(path):
        return None
    corpus = load_corpus(path, steps)
    tested = corpus.split("test")
    return tested if len(tested) else corpus


def cells(corpus: Corpus) -> np.ndarray:
    """Its bars in the page's kit: (n, steps, parts) bool."""
    return in_page_kit(words_to_bars(corpus.words, corpus.kit.n_parts))


def performances(corpus: Corpus) -> Performance | None:
    """How its bars are played, as one loop in the page's kit; None where nobody knows, or it is of another kit."""
    return corpus.performance() if corpus.playing is not None and corpus.kit == KIT and len(corpus) else None


@st.cache_resource(show_spinner=False)
def titles() -> tuple[str, ...]:
    """What each song is called on the page: no two alike, and text that can be shown, whatever bytes a name has."""
    found: dict[str, None] = {}
    for song in words().songs:
        # of Lakh's songs only a digest is known
        name = f"song {song[:8]}" if len(song) == 32 else os.fsencode(song).decode("utf-8", "replace")
        numbered = itertools.chain([name], (f"{name} ({i})" for i in itertools.count(2)))
        found[next(title for title in numbered if title not in found)] = None
    return tuple(found)


def are_textbook() -> bool:
    """Whether the page was started without songs."""
    return options.data_file() is None


@st.cache_resource(show_spinner=False)
def held_out_grooves(n: int) -> np.ndarray:
    """n grooves (n, steps, parts) bool of songs that no model was trained on, drawn as they are played.

    Of the textbook they are its bars, each once; where songs have no grooves, other bars of theirs.
    """
    held_out = unheard(STEPS)
    if held_out is None:
        return np.random.default_rng(0).permutation(cells(words()))[:n]
    grooves = held_out.with_role(DEFAULT_ROLE)
    return cells((grooves if len(grooves) else held_out).as_played(n))


def warn_if_unreadable() -> bool:
    """Say what is wrong with the file that the page was started with; whether anything is."""
    try:
        words()
    except (ValueError, OSError) as error:
        st.warning(str(error), icon=":material/folder_off:")
        return True
    return False
