"""Real bars: the corpus that the page was started with, or the textbook bars."""

from __future__ import annotations

import numpy as np
import streamlit as st

from page import options
from page.bar import KIT, STEPS
from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, load_corpus, load_patterns


@st.cache_resource(show_spinner=False)
def words() -> Corpus:
    """The bars and their songs.

    Raises:
        ValueError: no corpus, or one of another kit or grid than the page shows.
        OSError: it cannot be opened.
    """
    path = options.data_file()
    if path is None:
        return load_patterns(steps=STEPS)
    found = load_corpus(path)
    if (found.kit, found.steps) != (KIT, STEPS):
        raise ValueError(f"{path}: the page shows bars of kit {KIT.name} and {STEPS} steps, not of these songs'")
    return found


def are_textbook() -> bool:
    """Whether the page was started without songs."""
    return options.data_file() is None


@st.cache_resource(show_spinner=False)
def held_out() -> np.ndarray:
    """Distinct bars (n, steps, parts) bool of songs that no model was trained on.

    Those of the test part, or all where there are none in it, as in a small folder of songs; all of the textbook's.
    """
    chosen = words().split("test")
    chosen = words() if are_textbook() or not len(chosen) else chosen
    return words_to_bars(chosen.distinct().words, KIT.n_parts)


def warn_if_unreadable() -> bool:
    """Say what is wrong with the file that the page was started with; whether anything is."""
    try:
        words()
    except (ValueError, OSError) as error:
        st.warning(str(error), icon=":material/folder_off:")
        return True
    return False
