"""Blind test: two bars, or loops, without names, and which is the better."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from page import cards, models, options, session, songs, votes
from page.bar import KIT, Bar
from page.steer import agent
from rhythmgan.bars import unfold_bars
from rhythmgan.features import measure
from rhythmgan.kit import ROLAND10
from rl_tuner.append.agent import UNTUNED, kind_of, loops_of_kind
from rl_tuner.config import PUBLISHED_EPS
from rl_tuner.steering import steer

_POOL = 200
"""Bars of each kind."""

_CALLS = 32
_SEED = 1 << 41
"""Of the pools: far from the seeds that people try."""


Pools = dict[str, list[np.ndarray]]
"""Kind → its loops, (bars, steps, parts) bool each, none silent."""


@dataclass
class Test:
    """A listener's test.

    Attributes:
        listener: a random name.
        contest: which kinds it is between, one of ``CONTESTS``.
        kinds, loops: of A and B.
        heard: which of them were played.
        done: choices made.
    """

    listener: str = field(default_factory=lambda: secrets.token_hex(8))
    contest: str = ""
    kinds: tuple[str, str] = ("", "")
    loops: tuple[cards.Loop, cards.Loop] | None = None
    heard: set[str] = field(default_factory=set)
    done: int = 0

    def hear(self, names: list[str]) -> None:
        """Remember which were played."""
        self.heard |= set(names)

    def begin(self, contest: str) -> None:
        """Compare the kinds of a contest from now on."""
        if contest != self.contest:
            self.contest = contest
            self.next()

    def next(self) -> None:
        """Two loops of two kinds, by chance."""
        pools = CONTESTS[self.contest].pools()
        first, second = random.sample(sorted(pools), 2)
        self.kinds = (first, second)
        self.loops = (_loop(random.choice(pools[first]), "A"), _loop(random.choice(pools[second]), "B"))
        self.heard = set()
        if codes_of(self.loops[0]) == codes_of(self.loops[1]):
            self.next()


def _loop(bars: np.ndarray, name: str) -> cards.Loop:
    """A loop of bars (m, steps, parts) bool that are all called the same: a name would tell."""
    return cards.Loop(name, tuple(Bar.of(cells, name) for cells in bars))


def codes_of(loop: cards.Loop) -> str:
    """The codes of its bars, with blanks between."""
    return " ".join(bar.code for bar in loop.bars)


@st.cache_resource(show_spinner=False)
def _pools() -> Pools:
    """Grooves of every kind of this project, loops of one bar."""
    gan = models.generator()
    grooves = gan.sample(_POOL, seed=_SEED)
    # steered to what other bars of the model have: targets that can be reached
    wanted = measure(gan.sample(_POOL, seed=_SEED + _POOL), KIT, list(models.TARGETS))
    targets = {name: values.tolist() for name, values in wanted.items()}
    steered = steer(
        targets, calls=_CALLS, given=grooves, closeness=0, agent=agent(), generator=gan, prior=models.prior()
    )
    pools = {
        "GAN": grooves,
        "prior": models.prior().sample(_POOL, seed=_SEED),
        "steered": steered.after,
        "textbook" if songs.are_textbook() else "real": songs.held_out_grooves(_POOL),
    }
    return _sounding({kind: bars[:, None] for kind, bars in pools.items()})


@st.cache_resource(show_spinner=False)
def _pools_of_ravula_and_cao() -> Pools:
    """Loops of two bars of their six kinds."""
    kinds = (UNTUNED, *(kind_of(eps) for eps in PUBLISHED_EPS))
    return _sounding({kind: unfold_bars(loops_of_kind(kind, _POOL), ROLAND10, KIT) for kind in kinds})


def _sounding(pools: dict[str, np.ndarray]) -> Pools:
    """The loops (n, m, steps, parts) of each kind that are not silent, without kinds that have none."""
    sounding = {kind: [loop for loop in loops if loop.any()] for kind, loops in pools.items()}
    return {kind: loops for kind, loops in sounding.items() if loops}


@dataclass(frozen=True)
class Contest:
    """Kinds that are compared with each other.

    Attributes:
        pools: makes loops of each.
        told: what the kinds are.
    """

    pools: Callable[[], Pools]
    told: Callable[[], str]


def _told() -> str:
    source = "the textbook" if songs.are_textbook() else "real songs"
    return (
        f"All bars are grooves: some of {source}, some of the GAN, of the LSTM prior, or steered by the agent. Tempo, "
        "accents and sounds are the same for all."
    )


def _told_of_ravula_and_cao() -> str:
    return (
        "Two-bar loops of one drum at a time, of the six kinds that Ravula and Cao (2019) had listeners compare: their "
        "network alone, and tuned with five shares of random actions. Tempo, accents and sounds are the same for all."
    )


CONTESTS = {
    "This project": Contest(_pools, _told),
    "Ravula & Cao, 2019": Contest(_pools_of_ravula_and_cao, _told_of_ravula_and_cao),
}


@st.fragment
def show() -> None:
    """Draw the tab."""
    if songs.warn_if_unreadable():
        return
    test: Test = st.session_state.setdefault("test", Test())
    contest = st.segmented_control(
        "Compare", list(CONTESTS), default=next(iter(CONTESTS)), required=True, key="contest", bind="query-params"
    )
    with st.spinner("Making bars to compare"):
        test.begin(contest or next(iter(CONTESTS)))  # an address may say nothing
    assert test.loops is not None
    n_bars = len(test.loops[0].bars)
    what = "bars" if n_bars == 1 else f"loops of {n_bars} bars"
    st.markdown(f"Two {what}, played by whom? **Listen to both, then choose the better one.**")
    cards.hear(test.loops, "blind", test.hear)
    ready = test.heard == {"A", "B"}
    with st.container(horizontal=True):
        for index, name in enumerate("AB"):
            st.button(
                f"{name} is better",
                key=f"choose-{name}",
                on_click=_choose,
                args=[test, index == 0],
                disabled=not ready,
                help=None if ready else "Play both first.",
            )
        st.button("Another pair", on_click=test.next, icon=":material/skip_next:")
    st.caption(f"{test.done} chosen so far. {CONTESTS[test.contest].told()}")
    with st.expander("Results"):
        _results(CONTESTS[test.contest].pools().keys())
    session.keep()


def _choose(test: Test, first_won: bool) -> None:
    assert test.loops is not None
    visitor = session.visitor()
    codes = codes_of(test.loops[0]), codes_of(test.loops[1])
    vote = votes.Vote(test.listener, *test.kinds, *codes, visitor.bpm, visitor.swing, first_won)
    try:
        votes.store(options.votes_file(), vote)
    except OSError as error:
        st.toast(str(error), icon=":material/error:")
        return
    test.done += 1
    test.next()


def _results(kinds: Collection[str]) -> None:
    """Draw what the choices between these kinds come to."""
    try:
        found = votes.verdict([choice for choice in votes.results(options.votes_file()) if set(choice) <= set(kinds)])
    except OSError as error:
        st.warning(str(error), icon=":material/error:")
        return
    if not found.pairs:
        st.caption("No choices yet.")
        return
    st.dataframe(
        {
            "kind": list(found.wins),
            "won": list(found.wins.values()),
            "compared": list(found.compared.values()),
            "share": [f"{found.wins[kind] / found.compared[kind]:.0%}" for kind in found.wins],
        },
        hide_index=True,
    )
    st.markdown(
        f"**χ²({found.df}) = {found.chi2:.1f}, p = {found.p:.2g}**: the wins against equal chances. "
        + ("That is no difference yet." if found.p >= 0.05 else "The kinds are not liked alike.")
        + (" With fewer than ten comparisons of a kind the test means little." if _few(found) else "")
    )
    st.dataframe(
        {
            "pair": [f"{pair.first} over {pair.second}" for pair in found.pairs],
            "won": [f"{pair.wins} of {pair.n}" for pair in found.pairs],
            "p, exact": [f"{pair.p:.2g}" for pair in found.pairs],
        },
        hide_index=True,
    )
    st.caption(f"{sum(found.wins.values())} choices in {options.votes_file()}, an SQLite file with a row for each.")


def _few(found: votes.Verdict) -> bool:
    return min(found.compared.values()) < 10
