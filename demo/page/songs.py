"""Real bars: the corpus that the page was started with, or the textbook bars."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import streamlit as st

from page import asking, options
from page.loop import KIT, STEPS, TRIPLETS, in_page_kit
from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import DEFAULT_ROLE
from rhythmgan.corpus_file import corpus_grids, load_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9
from rhythmgan.patterns import load_patterns, patterns_path, read_text
from rhythmgan.performance import Performance
from rhythmgan.roles import FILL, GROOVE, ROLES

_STYLES = {"afro-cuban": "Afro-Cuban", "uk garage": "UK garage", "baiao": "Baião"}
"""Styles of the textbook that no rule spells as people do."""


@functools.cache
def presets() -> Mapping[str, Mapping[str, np.ndarray]]:
    """The textbook bars by style, each by its name: those on the grids of the page, whatever songs it was started with.

    Returns:
        Style, as people spell it → name → (steps, parts) bool of the page's kit, 16 or 12 steps, not to be written to.
        Styles and names stand in the order of the textbook.
    """
    bars, names, kit = read_text(patterns_path())
    found: dict[str, dict[str, np.ndarray]] = {}
    for words, told in zip(bars, names, strict=True):
        if len(words) not in (STEPS, TRIPLETS):
            continue
        style, _, name = told.partition(": ")
        bar = in_page_kit(words_to_bars(words, kit.n_parts))
        bar.flags.writeable = False
        found.setdefault(_STYLES.get(style) or asking.style_name(style), {})[name] = bar
    return MappingProxyType({style: MappingProxyType(patterns) for style, patterns in found.items()})


@dataclass(frozen=True)
class _File:
    """The file that the page was started with.

    Attributes:
        corpora: grid → its bars; empty where there is no file, or none that can be shown.
        trouble: what is wrong with it, in one line; "" where nothing is.
    """

    corpora: Mapping[int, Corpus]
    trouble: str = ""


@st.cache_resource(show_spinner=False)
def _file() -> _File:
    path = options.data_file()
    if path is None:
        return _File({})
    try:
        kit = load_corpus(path, STEPS).kit
        if kit not in (KIT, GM9):
            raise ValueError(
                f"{path}: its bars are of kit {kit.name}; the page shows those of {KIT.name} and {GM9.name}"
            )
        return _File({steps: load_corpus(path, steps) for steps in corpus_grids(path)})
    except (OSError, ValueError) as error:
        return _File({}, options.trouble(path, error))


def are_textbook() -> bool:
    """Whether the page has no songs: it was started without any, or with a file that cannot be shown."""
    return not _file().corpora


def warn_if_unreadable() -> None:
    """Say what is wrong with the file that the page was started with, if anything is."""
    if trouble := _file().trouble:
        st.warning(f"{trouble}. The textbook stands in for your songs.", icon=":material/folder_off:")


def words() -> Corpus:
    """The bars of the songs, or of the textbook, on the grid that is drawn here."""
    return load_patterns(steps=STEPS) if are_textbook() else _file().corpora[STEPS]


def on_other_grids() -> dict[int, np.ndarray]:
    """Grids that are not drawn here → how many bars each song has on them, (songs,) ints; the songs' own only."""
    return {
        steps: np.bincount(found.song_id, minlength=len(found.songs))
        for steps, found in _file().corpora.items()
        if steps != STEPS
    }


@st.cache_resource(show_spinner=False, max_entries=4)
def unheard(steps: int) -> Corpus | None:
    """Bars of one grid of songs that no model was trained on; None where there are none.

    Those of the test part, or of all songs where there are none in it, as in a small folder of songs.
    """
    corpus = _file().corpora.get(steps)
    if corpus is None:
        return None
    tested = corpus.split("test")
    return tested if len(tested) else corpus


def cells(corpus: Corpus) -> np.ndarray:
    """Its bars in the page's kit: (n, steps, parts) bool."""
    return in_page_kit(words_to_bars(corpus.words, corpus.kit.n_parts))


def performance(corpus: Corpus) -> Performance:
    """Its bars in the page's kit as one loop, as they were played; with accents where nobody knows how.

    Raises:
        ValueError: a damaged corpus, or no bars.
    """
    if corpus.playing is None:
        return Performance.of(cells(corpus), KIT)
    return corpus.performance().folded(KIT)


@st.cache_resource(show_spinner=False)
def titles() -> tuple[str, ...]:
    """What each song is called on the page: no two alike, and text that can be shown, whatever bytes a name has."""
    found: dict[str, None] = {}
    for song in words().songs:
        # of Lakh's songs only a digest is known
        name = f"song {song[:8]}" if len(song) == 32 else options.shown(song)
        numbered = itertools.chain([name], (f"{name} ({i})" for i in itertools.count(2)))
        found[next(title for title in numbered if title not in found)] = None
    return tuple(found)


# -- what the blind test compares with -----------------------------------------------------------------

_NO_GROOVES = ("Fill", "Intro", "Outro")
"""Styles of the textbook whose bars are none that songs play most of the time."""


@st.cache_resource(show_spinner=False)
def held_out_grooves(n: int) -> np.ndarray:
    """n grooves (n, steps, parts) bool of songs that no model was trained on, drawn as they are played.

    Of the textbook they are its grooves, each once, so fewer than n; where songs have no grooves, other bars of theirs.
    """
    held_out = unheard(STEPS)
    if held_out is None:
        return _textbook(lambda style: style not in _NO_GROOVES)[:n]
    grooves = held_out.with_role(DEFAULT_ROLE)
    return cells((grooves if len(grooves) else held_out).as_played(n))


@st.cache_resource(show_spinner=False)
def held_out_followers(role: str, n: int) -> np.ndarray:
    """n pairs of a groove and the bar of a role that follows it, (n, 2, steps, parts) bool, none where there are none.

    Of songs that no model was trained on they are neighbours, drawn as they are played. Of the textbook they are its
    grooves, with one of its fills behind each, by chance; it has no variations.
    """
    held_out = unheard(STEPS)
    random = np.random.default_rng(0)
    if held_out is None:
        grooves = _textbook(lambda style: style not in _NO_GROOVES)[:n]
        fills = _textbook(lambda style: style == "Fill")
        if ROLES[FILL] != role:
            return np.zeros((0, 2, *grooves.shape[1:]), bool)
        return np.stack([grooves, fills[random.integers(len(fills), size=len(grooves))]], 1)
    later = held_out.role == ROLES.index(role)
    later[1:] &= held_out.role[:-1] == GROOVE
    before, after, chance = held_out.pairs(later)
    if not len(chance):
        return np.zeros((0, 2, STEPS, KIT.n_parts), bool)
    rows = random.choice(len(chance), n, p=chance)
    pairs = np.stack([before[rows], after.words[rows]], 1)
    return in_page_kit(words_to_bars(pairs, held_out.kit.n_parts))


def _textbook(of: Callable[[str], bool]) -> np.ndarray:
    """The textbook bars of 16 steps of some styles, (n, steps, parts) bool, in an order by chance, always the same."""
    bars = [
        bar for style, patterns in presets().items() for bar in patterns.values() if of(style) and len(bar) == STEPS
    ]
    return np.random.default_rng(0).permutation(np.stack(bars))
