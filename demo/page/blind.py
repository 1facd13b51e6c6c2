"""Blind test: two bars without names, and which is the better."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from page import cards, models, options, session, songs, votes
from page.bar import KIT, Bar
from page.steer import agent
from rhythmgan.features import measure
from rl_tuner.steering import steer

_POOL = 200
"""Bars of each kind."""

_CALLS = 32
_SEED = 1 << 41
"""Of the pools: far from the seeds that people try."""


@dataclass
class Test:
    """A listener's test.

    Attributes:
        listener: a random name.
        kinds, bars: of A and B.
        heard: which of them were played.
        done: choices made.
    """

    listener: str = field(default_factory=lambda: secrets.token_hex(8))
    kinds: tuple[str, str] = ("", "")
    bars: tuple[Bar, Bar] | None = None
    heard: set[str] = field(default_factory=set)
    done: int = 0

    def hear(self, bars: list[Bar]) -> None:
        """Remember which were played."""
        self.heard |= {bar.name for bar in bars}

    def next(self) -> None:
        """Two bars of two kinds, by chance."""
        pools = _pools()
        first, second = random.sample(sorted(pools), 2)
        self.kinds = (first, second)
        self.bars = (Bar.of(random.choice(pools[first]), "A"), Bar.of(random.choice(pools[second]), "B"))
        self.heard = set()
        if self.bars[0].code == self.bars[1].code:
            self.next()


@st.cache_resource(show_spinner=False)
def _pools() -> dict[str, list[np.ndarray]]:
    """Grooves of every kind, (steps, parts) bool each, none silent."""
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
    sounding = {kind: [bar for bar in bars if bar.any()] for kind, bars in pools.items()}
    return {kind: bars for kind, bars in sounding.items() if bars}


@st.fragment
def show() -> None:
    """Draw the tab."""
    if songs.warn_if_unreadable():
        return
    test: Test = st.session_state.setdefault("test", Test())
    if test.bars is None:
        with st.spinner("Making bars to compare"):
            test.next()
    st.markdown("Two bars, played by whom? **Listen to both, then choose the better one.**")
    assert test.bars is not None
    cards.show(test.bars, "blind", columns=2, pictured=False, take=test.hear)
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
    source = "the textbook" if songs.are_textbook() else "real songs"
    st.caption(
        f"{test.done} chosen so far. All bars are grooves: some of {source}, some of the GAN, of the LSTM prior, or "
        "steered by the agent. Tempo, accents and sounds are the same for all."
    )
    with st.expander("Results"):
        _results()
    session.keep()


def _choose(test: Test, first_won: bool) -> None:
    assert test.bars is not None
    visitor = session.visitor()
    codes = test.bars[0].code, test.bars[1].code
    vote = votes.Vote(test.listener, *test.kinds, *codes, visitor.bpm, visitor.swing, first_won)
    try:
        votes.store(options.votes_file(), vote)
    except OSError as error:
        st.toast(str(error), icon=":material/error:")
        return
    test.done += 1
    test.next()


def _results() -> None:
    try:
        found = votes.verdict(votes.results(options.votes_file()))
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
