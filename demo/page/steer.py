"""Steer: ask for a density and a syncopation, of bars from nothing or of bars that stay near a start."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from page import cards, models, session, start, takeaway
from page.bar import KIT, STEPS, Bar, cells_of
from page.start import MAX_BARS, MAX_SEED, Plan, loop_name
from page.wish import Start
from rhythmgan.conditions import Condition
from rhythmgan.generate.variation import lock_parts
from rhythmgan.performance import Performance
from rl_tuner.agent import Agent, load_agent
from rl_tuner.config import CALLS, CLOSENESS, REALISM
from rl_tuner.result import SteeringResult
from rl_tuner.steering import steer

_MAX_SHOWN = 48
"""Bars of all versions of a loop."""

_QUICK = 1024  # bars to look at, in less than a second

_WORDS = {"density": ("Calmer", "Busier", 4), "syncopation": ("Straighter", "More off-beat", 3)}
"""For each feature the words for less and for more of it, and how much one of them asks for."""

_UNITS = {"density": "onsets a bar", "syncopation": "by note-rest LHL"}

_EXPLAINED = {
    "density": "How many onsets a bar has, of all parts together.",
    "syncopation": "How much falls off the beat: low, middle and high drums each for itself, by the rule of "
    "Longuet-Higgins and Lee.",
}

_FIRST = {"closeness": CLOSENESS, "versions": 3, "first-version": 0, "realism": REALISM, "calls": CALLS}
"""What widgets say before a visitor touches them, by key."""

PARTS = ("kick", "snare", "hats", "toms", "ride", "crash", "shaker", "conga", "bell")
"""Parts that are locked together, as ``lock_parts`` reads them."""


@st.fragment
def show() -> None:
    """Draw the tab."""
    plan = _plan()
    asked_for, answered = st.columns([1, 2], gap="medium")
    with asked_for:
        bars, steps = start.show(plan)
        wish = None if bars is None else _wish(bars, steps)
    with answered:
        if bars is None:
            st.info("Drop a drum loop at the left, and see it steered.", icon=":material/upload_file:")
        elif wish is None:
            st.info("All is locked: open a part or a bar.", icon=":material/lock:")
        elif not wish.targets:
            st.info("Ask for a density or a syncopation.", icon=":material/tune:")
        else:
            _answer(plan, bars, wish)
    session.keep()


def _plan() -> Plan:
    """The visitor's plan; a new one starts from the bar in hand and asks for more onsets than it has."""
    plan: Plan | None = st.session_state.get("plan")
    if plan is None:
        hand = session.visitor().hand
        plan = st.session_state.plan = Plan((hand,))
        wanted = start.as_it_is([hand])
        wanted["to-density"] += _WORDS["density"][2]
        wanted |= {f"to-{name}": value for name in models.TARGETS if (value := _of_address(name)) is not None}
        st.session_state.update(wanted)
    return plan


def _of_address(name: str) -> int | None:
    """The whole number that the address gives a feature, if it does."""
    said = st.query_params.get(name, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 5 else None


def _to_address(name: str) -> None:
    st.query_params[name] = str(st.session_state[f"to-{name}"])


# -- what is asked for ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        targets: feature → its target for each bar of the start, one where there is none; without those left open.
        locked: (m, steps, parts) bool, which cells of the start never change.
    """

    targets: dict[str, list[float]]
    locked: np.ndarray


def _wish(bars: tuple[Bar, ...], steps: int) -> Wish | None:
    """Widgets for what is asked for of bars of a grid, and for what stays of them; None where nothing may change."""
    begun = _measured(bars, steps)
    is_shut = len(bars) > 0 and bool(begun.locked.all())
    together = models.together(steps, asked(steps))
    targets: dict[str, list[float]] = {}
    for name in () if is_shut else models.TARGETS:
        density = targets.get("density")
        wanted = _target(name, begun, begun.offered(name, together, density))
        if wanted is not None:
            targets[name] = begun.targets(name, wanted, together, density)
    if bars:
        if not is_shut:
            own = start.as_it_is(bars)
            _button("As it is", " and ".join(f"{name} {own[f'to-{name}']}" for name in models.TARGETS), own)
        _stays(len(bars))
    _options(len(bars) or 1)
    return None if is_shut else Wish(targets, begun.locked)


def _measured(bars: tuple[Bar, ...], steps: int) -> Start:
    """The start in numbers, with the locks that the widgets below say."""
    cells = cells_of(bars) if bars else np.zeros((0, steps, KIT.n_parts), bool)
    locked = np.tile(lock_parts(KIT, steps, st.session_state.get("locked-parts", [])), (len(bars), 1, 1))
    locked[[bar - 1 for bar in st.session_state.get("locked-bars", []) if bar <= len(bars)]] = True
    columns = np.array(models.features(bars)).reshape(len(bars), len(models.TARGETS)).T
    return Start(cells, dict(zip(models.TARGETS, columns, strict=True)), locked)


def _target(name: str, begun: Start, offered: tuple[int, int]) -> int | None:
    """Widgets for a target of a start; returns it, or None where the feature is left open."""
    (low, high), key, title = offered, f"to-{name}", f"{name.capitalize()}, {_UNITS[name]}"
    less, more, much = _WORDS[name]
    before: int = st.session_state[key]
    wanted = min(max(before, low), high)
    # a slider of other bounds is another one to Streamlit, which forgets what a button set the last one to
    if before != wanted or st.session_state.get(f"bounds-{name}") != offered:
        st.session_state[key], st.session_state[f"bounds-{name}"] = wanted, offered
    with st.container(gap="xsmall"):
        is_asked = st.toggle(
            title,
            True,
            key=f"asks-{name}",
            persist_state="page",
            help=f"{_EXPLAINED[name]} Of a loop the mean of its bars, which all move by as much. Switched off, it is "
            "left open.",
        )
        st.slider(
            title,
            low,
            max(high, low + 1),
            wanted,
            key=key,
            persist_state="page",
            disabled=not is_asked,
            label_visibility="collapsed",
            on_change=_to_address,
            args=[name],
        )
        st.caption(_told(name, wanted, begun, offered, before) if is_asked else "Left open.")
        with st.container(horizontal=True, gap="small"):
            for word, then in ((less, max(wanted - much, low)), (more, min(wanted + much, high))):
                _button(word, f"{wanted} → {then}", {key: then}, disabled=is_asked and then == wanted)
    return wanted if is_asked else None


def _told(name: str, wanted: int, begun: Start, offered: tuple[int, int], before: int) -> str:
    """The numbers of a target: from where to where, among real bars, and within which bounds."""
    own, (low, high) = begun.own(name), offered
    below = float(models.reference(steps=begun.cells.shape[1]).percentile(name, wanted))
    told = f"**{wanted}**" if own in (None, wanted) else f"**{own} → {wanted}**"
    if own == wanted:
        told += " as in the start"
    elif own is not None and len(begun.cells) > 1:
        told += f" on average, **{wanted - own:+}** in each bar"
    told += f", {'denser' if name == 'density' else 'more'} than {below:.0f} % of real bars."
    if name == "syncopation":
        around = " of this density" if st.session_state["asks-density"] else ""
        told += f" Bars{around} have {low} to {high}."
    if before != wanted:
        told += f" You asked for {before}, which does not go together with the rest."
    return told


def _button(word: str, numbers: str, then: dict[str, int], disabled: bool = False) -> None:
    """A button that asks for something in a word, with the numbers beside it.

    Args:
        word: what it says.
        numbers: what that is in numbers.
        then: what the widgets of targets say afterwards, by key.
        disabled: whether there is nothing to ask for.
    """

    def said() -> None:
        for key, value in then.items():
            name = key.removeprefix("to-")
            st.session_state[key], st.session_state[f"asks-{name}"] = value, True
            _to_address(name)

    st.button(f"{word} :small[:gray[{numbers}]]", key=f"word-{word}", on_click=said, disabled=disabled)


def _stays(n_bars: int) -> None:
    """Widgets for what stays of a start of so many bars."""
    st.slider(
        "Closeness",
        0.0,
        1.0,
        _said("closeness"),
        0.05,
        key="closeness",
        persist_state="page",
        help="How dear it is to change what is there. 0: changes cost nothing. 1: as few as can be.",
    )
    st.multiselect(
        "Locked parts",
        PARTS,
        key="locked-parts",
        persist_state="page",
        placeholder="None: all parts may change",
        help="They stay exactly as they are in the start.",
    )
    if n_bars > 1:
        st.pills(
            "Locked bars",
            range(1, n_bars + 1),
            selection_mode="multi",
            key="locked-bars",
            persist_state="page",
            help="They stay exactly as they are in the start.",
        )


def _options(n_bars: int) -> None:
    """Widgets that few visitors need, for a start of so many bars."""
    most = min(MAX_BARS, _MAX_SHOWN // n_bars)
    with st.popover("Options", icon=":material/tune:"):
        # what is in here is drawn when it is opened: its defaults are what it says by then
        st.slider(
            "Versions",
            1,
            most,
            min(_said("versions"), most),
            key="versions",
            persist_state="page",
            help="How many answers you get.",
        )
        st.number_input(
            "Seed of the first version",
            0,
            MAX_SEED,
            _said("first-version"),
            key="first-version",
            persist_state="page",
            help="The next version has the next seed.",
        )
        st.slider(
            "Realism",
            0.0,
            1.0,
            _said("realism"),
            0.05,
            key="realism",
            persist_state="page",
            help="How much it counts that bars stay real: 0 is the most precise, 1 the most cautious.",
        )
        st.select_slider(
            "Calls",
            [4, 8, 16, 32, 64, 128, 256],
            _said("calls"),
            key="calls",
            persist_state="page",
            help="How many bars the agent may decide side by side for each answer.",
        )


def _said(key: str) -> Any:
    """What a widget says, which may not be drawn yet, or no longer."""
    return st.session_state.get(key, _FIRST[key])


# -- the answer ----------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def agent(steps: int = STEPS) -> Agent:
    """The agent of a grid."""
    return load_agent(steps=steps)


def asked(steps: int = STEPS) -> Condition:
    """What the bars are that the agent of a grid steers."""
    config = agent(steps).config
    return Condition(config.role, config.style)


@st.cache_data(show_spinner=False, max_entries=100)
def _steered(
    codes: tuple[str, ...],
    steps: int,
    targets: dict[str, list[float]],
    locked: np.ndarray,
    n: int,
    seed: int,
    closeness: float,
    realism: float,
    calls: int,
) -> SteeringResult:
    """n versions of the bars of these codes, or n bars from nothing, on a grid; see ``steer``."""
    return steer(
        targets if codes else {name: target for name, (target,) in targets.items()},
        n,
        calls=calls,
        seed=seed,
        given=cells_of([Bar(code, "") for code in codes]) if codes else None,
        closeness=closeness,
        locked=locked if codes else None,
        realism=realism,
        agent=agent(steps),
        generator=models.generator(steps),
        prior=models.prior(steps),
    )


def _answer(plan: Plan, bars: tuple[Bar, ...], wish: Wish) -> None:
    """Draw what came of it."""
    n, calls = _said("versions"), _said("calls")
    takes_long = n * (len(bars) or 1) * calls > _QUICK
    with st.spinner("Steering") if takes_long else nullcontext():
        steered = _steered(
            tuple(bar.code for bar in bars),
            wish.locked.shape[1],
            wish.targets,
            wish.locked,
            n,
            _said("first-version"),
            _said("closeness"),
            _said("realism"),
            calls,
        )
    reached = bool(steered.success.all())
    st.markdown(f"{':material/check_circle:' if reached else ':material/adjust:'} {_capital(steered.sentence())}.")
    versions = versions_of(bars, steered.after)
    loops = [
        cards.Loop(f"version {i}", version, bars, _changed(bars, version), begins=True)
        for i, version in enumerate(versions, 1)
    ]
    if bars:
        loops.insert(0, cards.Loop(loop_name(bars) if len(bars) > 1 else "start", bars))
    notes = [note for loop in loops for note in _notes(loop)]
    cards.show_loops(loops, "steered", notes=notes, begin=lambda loop: plan.choose(loop.bars))
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Other versions", key="other-versions", icon=":material/casino:", on_click=_further, help="The next seeds"
        )
        own = plan.upload if st.session_state["steer-from"] == start.UPLOAD else None
        takeaway.all_loops(
            [(loop.name, loop.bars) for loop in loops],
            f"{loop_name(bars)} steered" if bars else "steered bars",
            "zip-steered",
            "All as ZIP",
            own and own[1],
        )
    if bars and not versions:
        st.info(
            "The start has what you ask for, so it stays as it is. Ask for more or for less."
            if reached
            else "Nothing nearer to what you ask for was found. Ask for less, or let more change: lower the closeness, "
            "or open what is locked.",
            icon=":material/check:" if reached else ":material/adjust:",
        )
    elif len(versions) < n:
        st.caption(f"{len(versions)} of {n} versions are shown: the others are the same, or change nothing.")
    st.caption(_standing(bars, steered.after))


def versions_of(bars: tuple[Bar, ...], found: np.ndarray) -> list[tuple[Bar, ...]]:
    """The versions that differ from each other and from their start, played as the start is.

    Args:
        bars: the m bars of the start; none for bars from nothing.
        found: (n · m, steps, parts) bool, version after version.
    """
    several = {cells.tobytes(): cells for cells in found.reshape(-1, len(bars) or 1, *found.shape[1:])}
    if bars:
        several.pop(cells_of(bars).tobytes(), None)
    versions = []
    for number, cells in enumerate(several.values(), 1):
        names = [re.sub(r"(, version \d+)?$", f", version {number}", bar.name, count=1) for bar in bars]
        rows = zip(cells, names or [f"steered {number}"], _played(bars, cells), strict=True)
        versions.append(tuple(Bar.of(each, name, asked(len(each)), own) for each, name, own in rows))
    return versions


def _played(bars: tuple[Bar, ...], cells: np.ndarray) -> list[Performance | None]:
    """How the bars (m, steps, parts) of a version are played: as the start, where that is no bar of accents."""
    if not any(bar.own for bar in bars):
        return [None] * len(cells)
    whole = Performance.joined([bar.performance for bar in bars]).with_bars(cells)
    return [whole[i : i + 1] for i in range(len(cells))]


def _notes(loop: cards.Loop) -> list[str]:
    """What stands below each bar: the two features, and how many cells changed."""
    notes = models.notes(loop.bars)
    if not loop.before:
        return notes
    pairs = zip(loop.before, loop.bars, strict=True)
    return [f"{note}\n{_changed((one,), (other,))}" for note, (one, other) in zip(notes, pairs, strict=True)]


def _changed(before: tuple[Bar, ...], after: tuple[Bar, ...]) -> str:
    """How many cells changed between loops; empty where there was none before."""
    if not before:
        return ""
    was, is_ = cells_of(before), cells_of(after)
    counts = [(int((is_ & ~was).sum()), "added"), (int((was & ~is_).sum()), "removed")]
    return ", ".join(f"{n} {what}" for n, what in counts if n) or "nothing changed"


def _standing(bars: tuple[Bar, ...], found: np.ndarray) -> str:
    """What discriminator and prior say of the bars that were found, and of those that they came of."""
    condition = asked(found.shape[1])
    after = models.standing(found, condition)
    before = models.standing(cells_of(bars), condition) if bars else {}
    return " ".join(
        f"{who} takes them for {what} than {after[name]:.0f} % of the model's own bars"
        + (f" ({before[name]:.0f} % before)." if before else ".")
        for name, who, what in (
            ("realism", "The discriminator", "more real"),
            ("likelihood", "The prior", "likelier"),
        )
    )


def _further() -> None:
    state = st.session_state
    state["first-version"] = min(state["first-version"] + state["versions"], MAX_SEED)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
