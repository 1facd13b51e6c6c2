"""Blind test: two loops without names, and which is the better; then what they were."""

from __future__ import annotations

import itertools
import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from page import cards, doors, models, options, session, songs, votes
from page.component import component
from page.loop import KIT, Loop
from page.turns import turn
from rhythmgan.bars import unfold_bars
from rhythmgan.features import measure
from rhythmgan.kit import ROLAND10
from rhythmgan.roles import FILL, GROOVE, ROLES, VARIATION
from rl_tuner.append.agent import UNTUNED, kind_of, loops_of_kind
from rl_tuner.config import PUBLISHED_EPS
from rl_tuner.steering import steer

ENOUGH = 10
"""Votes of a listener in a contest, after which its results are shown: before they would tell what to hear."""

_BATCH, _BATCHES = 16, 12
"""Loops that are made at once, as nobody is to wait for all of a kind; and how many batches a kind has."""

_CALLS = 32
_SEED = 1 << 41
"""Of the loops: far from the seeds that people try."""

_TRIES = 50
_WIDTH = 740
"""Of the tab in pixels: two loops need no more."""

_blind = component("blind", ["played", "blind"], ["blind"])


# -- kinds of loops --------------------------------------------------------------------------------------


def _gan(batch: int) -> np.ndarray:
    return models.generator().sample(_BATCH, seed=_SEED + batch * _BATCH)[:, None]


def _prior(batch: int) -> np.ndarray:
    return models.prior().sample(_BATCH, seed=_SEED + batch * _BATCH)[:, None]


def _steered(batch: int) -> np.ndarray:
    """Grooves of the GAN steered to what other grooves of it have: targets that can be reached."""
    gan = models.generator()
    others = gan.sample(_BATCH, seed=_SEED + (_BATCHES + batch) * _BATCH)
    targets = {name: values.tolist() for name, values in measure(others, KIT, list(models.TARGETS)).items()}
    found = steer(
        targets,
        calls=_CALLS,
        given=_gan(batch)[:, 0],
        closeness=0,
        agent=models.agent(),
        generator=gan,
        prior=models.prior(),
    )
    return found.after[:, None]


def _of_songs(batch: int) -> np.ndarray:
    return songs.held_out_grooves(_BATCH * _BATCHES)[batch * _BATCH :][:_BATCH, None]


def _of_ravula_and_cao(kind: str) -> Callable[[int], np.ndarray]:
    return lambda batch: unfold_bars(loops_of_kind(kind, _BATCH, batch * _BATCH), ROLAND10, KIT)


def _role_of_the_model(role: str) -> Callable[[int], np.ndarray]:
    """Loops of the GAN's groove, three times, and what follows it in the loops of the tab Sample."""
    n_bars = {ROLES[GROOVE]: 1, ROLES[VARIATION]: 2, ROLES[FILL]: 4}[role]

    def make(batch: int) -> np.ndarray:
        seeds = tuple(range(_SEED + batch * _BATCH, _SEED + (batch + 1) * _BATCH))
        loops = np.stack([loop.cells for loop in models.sampled(seeds, n_bars)])
        return _thrice(loops[:, 0], loops[:, -1])

    return make


def _role_of_songs(role: str) -> Callable[[int], np.ndarray]:
    """Loops of a groove of songs, three times, and what follows it there."""

    def make(batch: int) -> np.ndarray:
        here = slice(batch * _BATCH, (batch + 1) * _BATCH)
        if role == ROLES[GROOVE]:
            grooves = songs.held_out_grooves(_BATCH * _BATCHES)[here]
            return _thrice(grooves, grooves)
        found = songs.held_out_followers(role, _BATCH * _BATCHES)[here]
        return _thrice(found[:, 0], found[:, 1])

    return make


def _thrice(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Bars (n, steps, parts), each three times, and the bars behind them: (n, 4, steps, parts)."""
    return np.stack([before, before, before, after], 1)


_KINDS: Mapping[str, Callable[[int], np.ndarray]] = {
    "GAN": _gan,
    "prior": _prior,
    "steered": _steered,
    "real": _of_songs,
    "textbook": _of_songs,
    **{kind: _of_ravula_and_cao(kind) for kind in (UNTUNED, *(kind_of(eps) for eps in PUBLISHED_EPS))},
    **{f"{role} of the model": _role_of_the_model(role) for role in ROLES},
    **{f"real {role}": _role_of_songs(role) for role in ROLES},
    **{f"textbook {role}": _role_of_songs(role) for role in ROLES},
}
"""What made a loop, as votes name it → a function: the number of a batch → loops (n, bars, steps, parts) bool."""


_SHOWN = {
    "prior": "LSTM prior",
    "steered": "GAN, steered",
    UNTUNED: "their network",
    **{kind_of(eps): f"tuned, {eps:.0%} random" for eps in PUBLISHED_EPS},
}
"""What kinds are called on the page that votes name otherwise."""


def shown(kind: str) -> str:
    """What a kind is called on the page."""
    return _SHOWN.get(kind, kind)


@st.cache_resource(show_spinner=False, max_entries=1000)
def _made(kind: str, batch: int) -> list[np.ndarray]:
    """The loops (bars, steps, parts) bool of a batch that are not silent."""
    with turn:
        return [loop for loop in _KINDS[kind](batch) if loop.any()]


def drawn(kind: str) -> np.ndarray | None:
    """A loop (bars, steps, parts) bool of a kind by chance; None where it has none."""
    for batch in random.sample(range(_BATCHES), _BATCHES):
        if found := _made(kind, batch):
            return random.choice(found)
    return None


# -- contests --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contest:
    """Kinds that are compared with each other.

    Attributes:
        groups: what both loops are → the kinds that may be; kinds of two groups never meet.
        told: what the kinds are.
    """

    groups: Mapping[str, Sequence[str]]
    told: str

    @property
    def kinds(self) -> set[str]:
        """All of them."""
        return {kind for kinds in self.groups.values() for kind in kinds}


THIS_PROJECT, THE_ROLES, RAVULA_AND_CAO = "This project", "Roles", "Ravula & Cao, 2019"
CONTESTS = (THIS_PROJECT, THE_ROLES, RAVULA_AND_CAO)


def contest(name: str) -> Contest:
    """The contest of a name."""
    textbook = songs.are_textbook()
    if name == THIS_PROJECT:
        return Contest(
            {"Two grooves of a bar": ("GAN", "prior", "steered", "textbook" if textbook else "real")},
            f"Grooves of {'the textbook' if textbook else 'songs that no model was trained on'}, of the GAN, of the "
            "LSTM prior, and of the GAN steered by the agent.",
        )
    if name == THE_ROLES:
        source = "textbook" if textbook else "real"
        return Contest(
            {
                told: (f"{role} of the model", f"{source} {role}")
                for role, told in zip(
                    ROLES,
                    ("A groove, four times", "A groove, then a variation", "A groove, then a fill"),
                    strict=True,
                )
                if not (textbook and role == ROLES[VARIATION])
            },
            "In loops of the model the GAN plays the groove, and the LSTM prior the bar that follows it. "
            + (
                "In the others both are of the textbook, the fill behind the groove by chance; it has no variations."
                if textbook
                else "In the others both are of a song that no model was trained on, one behind the other."
            ),
        )
    return Contest(
        {"Two loops of 2 bars": (UNTUNED, *(kind_of(eps) for eps in PUBLISHED_EPS))},
        "One drum at a time, of the six kinds that Ravula and Cao (2019) had listeners compare: their network alone, "
        "and tuned with five shares of random actions.",
    )


@dataclass
class Pair:
    """Two loops that are compared.

    Attributes:
        number: of this pair among the listener's.
        group: what both are, of ``Contest.groups``.
        kinds, loops: of A and B.
        winner: "A", "B", or "" for no difference; None before the vote.
    """

    number: int
    group: str
    kinds: tuple[str, str]
    loops: tuple[Loop, Loop]
    winner: str | None = None


@dataclass
class Test:
    """A listener's test.

    Attributes:
        listener: a random name.
        contest: which kinds it is between, one of ``CONTESTS``.
        pair: what is compared now; None where there are no two loops that differ.
        done: votes of this visit, by contest.
        waiting: votes that could not be stored yet.
        trouble: why.
    """

    listener: str = field(default_factory=lambda: secrets.token_hex(8))
    contest: str = ""
    pair: Pair | None = None
    done: Counter[str] = field(default_factory=Counter)
    waiting: list[votes.Vote] = field(default_factory=list)
    trouble: str = ""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def begin(self, name: str) -> None:
        """Compare the kinds of a contest from now on."""
        if name != self.contest:
            self.contest = name
            self.next()

    def next(self) -> None:
        """Two loops of two kinds, by chance."""
        self.pair = None
        groups = contest(self.contest).groups
        for group in random.sample(sorted(groups), len(groups)):
            kinds = list(groups[group])
            for _ in range(_TRIES):
                if len(kinds) < 2:
                    break
                first, second = random.sample(kinds, 2)
                one, other = drawn(first), drawn(second)
                if one is None or other is None:
                    kinds.remove(first if one is None else second)
                elif not np.array_equal(one, other):
                    # both are called the same whatever they are: a name would tell
                    loops = Loop.of(one, "A"), Loop.of(other, "B")
                    self.pair = Pair(next(self._numbers), group, (first, second), loops)
                    return

    def vote(self, winner: str) -> None:
        """Choose "A" or "B", or "" for no difference, and store it."""
        pair = self.pair
        if pair is None or pair.winner is not None:
            return
        pair.winner = winner
        self.done[self.contest] += 1
        visitor = session.visitor()
        first_won = {"A": True, "B": False}.get(winner)
        codes = (pair.loops[0].code, pair.loops[1].code)
        self.waiting.append(votes.Vote(self.listener, *pair.kinds, *codes, visitor.bpm, visitor.swing, first_won))
        self.store()

    def store(self) -> None:
        """Store what waits for it."""
        try:
            votes.store(options.votes_file(), *self.waiting)
        except OSError as error:
            self.trouble = options.trouble(options.votes_file(), error)
        else:
            self.waiting, self.trouble = [], ""


# -- the tab ---------------------------------------------------------------------------------------------


def show() -> None:
    """Draw the tab."""
    test: Test = st.session_state.setdefault("test", Test())
    songs.warn_if_unreadable()
    name = st.segmented_control(
        "Compare", CONTESTS, default=THIS_PROJECT, required=True, key="contest", bind="query-params"
    )
    test.begin(name or THIS_PROJECT)  # an address may say nothing
    with st.container(width=_WIDTH):
        if test.pair is None:
            st.info("There are no two loops to compare here.")
        else:
            _show_pair(test, test.pair)


def _show_pair(test: Test, pair: Pair) -> None:
    """Draw a pair, what it was after the vote, and the results when it is time for them."""
    _mount(test, pair)
    if test.waiting:
        count = "Your vote is" if len(test.waiting) == 1 else f"Your {len(test.waiting)} votes are"
        st.warning(f"{test.trouble}. {count} kept while this page is open.", icon=":material/error:")
        st.button("Try to store again", on_click=test.store)
    if pair.winner is not None:
        told = [loop.named(f"{loop.name}: {shown(kind)}") for loop, kind in zip(pair.loops, pair.kinds, strict=True)]
        cards.show(told, "blind-revealed", columns=2 if told[0].n_bars < 4 else 1, notes=models.notes(told))
    here = contest(test.contest)
    st.caption(f"{here.told} Tempo, accents and sounds are the same for all.")
    done = test.done[test.contest]
    if done < ENOUGH:
        st.progress(done / ENOUGH, f"Results after ten votes: {done} of {ENOUGH}")
    else:
        with st.expander("Results"):
            _results(here.kinds)


def _mount(test: Test, pair: Pair) -> None:
    """The two loops to listen to, and the choice between them."""

    def event(name: str) -> dict[str, Any]:
        """What the script says of this pair; nothing of one that is gone, or in words that it does not speak."""
        said = doors.entries(st.session_state["blind"][name])
        return said if test.pair and doors.whole(said.get("pair")) == test.pair.number else {}

    def voted() -> None:
        if (winner := event("voted").get("winner")) in ("A", "B", ""):
            test.vote(winner)

    def went_on() -> None:
        if event("next"):
            test.next()

    _blind(
        key="blind",
        data={
            "pair": pair.number,
            "group": pair.group,
            "loops": [loop.sent for loop in pair.loops],
            "winner": pair.winner,
            "kinds": None if pair.winner is None else [shown(kind) for kind in pair.kinds],
        },
        on_voted_change=voted,
        on_next_change=went_on,
    )


def _results(kinds: set[str]) -> None:
    """Draw what the votes between these kinds come to."""
    try:
        choices = votes.results(options.votes_file())
    except OSError as error:
        st.warning(options.trouble(options.votes_file(), error), icon=":material/error:")
        return
    found = votes.verdict([choice for choice in choices if len({choice.winner, choice.loser} & kinds) == 2])
    if not found.pairs:
        st.caption("No votes yet.")
        return
    st.dataframe(
        {
            "kind": [shown(kind) for kind in found.wins],
            "won": list(found.wins.values()),
            "no difference": list(found.ties.values()),
            "compared": list(found.compared.values()),
            "share": [f"{found.share(kind):.0%}" for kind in found.wins],
        },
        hide_index=True,
    )
    if found.df:
        st.markdown(
            f"**χ²({found.df}) = {found.chi2:.1f}, p = {found.p:.2g}**: the wins against equal chances. "
            + ("That is no difference yet." if found.p >= 0.05 else "The kinds are not liked alike.")
            + (" With fewer than ten comparisons of a kind the test means little." if _few(found) else "")
        )
    st.dataframe(
        {
            "pair": [f"{shown(pair.first)} over {shown(pair.second)}" for pair in found.pairs],
            "won": [f"{pair.wins} of {pair.wins + pair.losses}" for pair in found.pairs],
            "no difference": [pair.ties for pair in found.pairs],
            "p, exact": [f"{pair.p:.2g}" for pair in found.pairs],
        },
        hide_index=True,
    )
    n_votes = sum(pair.wins + pair.losses + pair.ties for pair in found.pairs)
    st.caption(
        "No difference is half a win for both in the shares, and is left out of both tests. "
        f"{n_votes:,} votes of all listeners, in {options.shown(options.votes_file().name)}, an SQLite file with a row "
        "for each."
    )


def _few(found: votes.Verdict) -> bool:
    return min(found.compared.values()) < ENOUGH
