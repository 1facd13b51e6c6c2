"""Steer: ask for a role, a style, a density and a syncopation of the loop in hand, and hear the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from page import asking, cards, dials, models, session, takeaway, upload
from page.loop import Loop
from page.turns import remembered
from page.wish import Start, Together
from rhythmgan.conditions import ANY, Condition
from rhythmgan.generate.variation import vary
from rhythmgan.roles import ROLES
from rl_tuner.config import CLOSENESS, REALISM
from rl_tuner.steering import steer

TAG = "steer"
"""The first word of the tags of what is steered; the rest says which of its moves are one step to undo."""

VERSIONS = 3
"""Answers: the first one is in hand, the others are offered."""

CALLS = 8
"""Bars that the agent may decide side by side for each answer: with more the page would answer later."""

_WORDS = {"density": ("Calmer", "Busier", 4), "syncopation": ("Straighter", "More off-beat", 3)}
"""For each feature the words for less and for more of it, and how much one of them asks for."""

_LABELS = {"density": "Density, onsets a bar", "syncopation": "Syncopation"}

_EXPLAINED = {
    "density": "How many onsets a bar has, of all parts together.",
    "syncopation": "How much falls off the beat: low, middle and high drums each for itself, by the rule of "
    "Longuet-Higgins and Lee.",
}

_DRIFT = 0.25
"""The share of a bar's onsets that change towards a role or a style that is asked for, before the bar is steered."""

AS_IT_IS = "as it is"
_ROLES = {AS_IT_IS: "As it is", "groove": "A groove", "variation": "A variation", "fill": "A fill"}


@dataclass
class Desk:
    """What a visitor asks for. It begins anew with every loop that something else puts in hand.

    Attributes:
        base: the loop that is steered.
        targets: feature → what is asked for, the mean of the bars.
        closeness: 0 … 1, how dear it is to change what is there.
        realism: 0 … 1, how much it counts that bars stay real.
        seed: of the first version.
        asked: how often something was asked for by a press.
        said: what came of it, in a sentence; "" before anything was asked for.
    """

    base: Loop
    targets: dict[str, int]
    closeness: float = CLOSENESS
    realism: float = REALISM
    seed: int = 0
    asked: int = 0
    said: str = ""


def show() -> None:
    """Draw the panel."""
    desk = _desk()
    styles = models.generator(desk.base.steps).styles
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Make it",
            list(_ROLES),
            default=AS_IT_IS,
            required=True,
            key="steer-role",
            persist_state="page",
            format_func=_ROLES.__getitem__,
            on_change=_steer,
            label_visibility="collapsed",
        )
        asking.style("steer-style", styles, _steer, label_visibility="collapsed")
    if not _start(desk).locked.all():
        offered = _offered(desk)
        dials.show(_dials(desk, offered), "steer-dials", _dialled)
        _words(desk, offered)
    else:
        st.info("All is locked: open a part beside the grid, or let a bar change.", icon=":material/lock:")
    if desk.base.n_bars > 1:
        st.pills(
            "Bars that stay",
            range(1, desk.base.n_bars + 1),
            selection_mode="multi",
            key="steer-stay",
            persist_state="page",
            on_change=_steer_again,
        )
    with st.container(horizontal=True, gap="small"):
        st.button("Another answer", on_click=_further, icon=":material/casino:", disabled=not desk.said)
        st.button(
            "Start from here",
            on_click=_rebase,
            icon=":material/flag:",
            disabled=not desk.said,
            help="What is in hand becomes the loop that is steered.",
        )
    if not desk.said:
        st.caption(
            "Move a slider: the loop changes at the next bar line. As it is, each bar stays the groove or the fill "
            "that it is. Locked parts stay."
        )
        return
    st.markdown(desk.said)
    others = [loop for loop in answers(_request(desk)) if loop.code != session.visitor().hand.code]
    if others:
        befores = [desk.base] * len(others)
        cards.show(others, "versions", columns=2, notes=models.notes(others), befores=befores, tag=f"{TAG} choice")
        takeaway.many(
            [session.visitor().hand, *others],
            f"{desk.base.name} steered",
            "zip-versions",
            "All as ZIP",
            _original(desk),
        )


def _original(desk: Desk) -> bytes | None:
    """The visitor's own file that is steered, which goes along as it is."""
    file = upload.current()
    return file.content if file is not None and desk.base.name.startswith(file.name) else None


def _words(desk: Desk, offered: dict[str, tuple[int, int]]) -> None:
    """Buttons that ask for a little more or less."""
    with st.container(horizontal=True, gap="small"):
        for name, (less, more, much) in _WORDS.items():
            low, high = offered[name]
            for word, change in ((less, -much), (more, much)):
                then = min(max(desk.targets[name] + change, low), high)
                st.button(
                    word,
                    key=f"word-{word}",
                    on_click=_pressed,
                    args=[{name: float(then)}],
                    disabled=then == desk.targets[name],
                )


def _desk() -> Desk:
    """The visitor's desk, with the loop that is steered on it."""
    mine = session.visitor()
    desk: Desk | None = st.session_state.get("steer-desk")
    if desk is None or not (mine.tag.partition(" ")[0] == TAG and mine.before == desk.base):
        closeness = (CLOSENESS, REALISM)
        if desk is not None:  # of another loop nothing is asked yet
            closeness = (desk.closeness, desk.realism)
            st.session_state["steer-role"], st.session_state["steer-style"] = AS_IT_IS, ANY
        desk = st.session_state["steer-desk"] = Desk(mine.hand, _own(mine.hand), *closeness)
        if asked := {name: value for name in models.TARGETS if (value := _of_address(name)) is not None}:
            _pressed({name: float(value) for name, value in asked.items()})
    return desk


def _own(loop: Loop) -> dict[str, int]:
    """What a loop has of each feature, the mean of its bars."""
    return {name: round(float(values.mean())) for name, values in models.features(loop).items()}


def _of_address(name: str) -> int | None:
    """The whole number that the address of an old link gives a feature, once."""
    said = st.query_params.get(name, "")
    if said:
        del st.query_params[name]
    return int(said) if said.isascii() and said.isdigit() and len(said) < 5 else None


# -- what is asked for ---------------------------------------------------------------------------------


def _dials(desk: Desk, offered: dict[str, tuple[int, int]]) -> list[dials.Dial]:
    found = []
    for name, (low, high) in offered.items():
        value = min(max(desk.targets[name], low), high)
        found.append(
            dials.Dial(
                name, _LABELS[name], low, max(high, low + 1), 1, value, _told(desk, name, value), help=_EXPLAINED[name]
            )
        )
    found.append(
        dials.Dial(
            "closeness",
            "Closeness",
            0.0,
            1.0,
            0.05,
            desk.closeness,
            ends=("change freely", "change little"),
            help="How dear it is to change a cell of the loop.",
        )
    )
    found.append(
        dials.Dial(
            "realism",
            "Realism",
            0.0,
            1.0,
            0.05,
            desk.realism,
            ends=("precise", "cautious"),
            help="How much it counts that bars stay real, beside reaching what is asked for.",
        )
    )
    return found


def _told(desk: Desk, name: str, value: int) -> str:
    """Where a target lies: from where to where, and among real bars."""
    own = _own(desk.base)[name]
    below = float(models.reference(steps=desk.base.steps).percentile(name, value))
    moved = f"{value}" if own == value else f"{own} → {value}"
    return f"{moved}, more than {below:.0f} % of real bars"


def _start(desk: Desk) -> Start:
    """The loop that is steered in numbers, with the locks of the stage."""
    locked = _locked(desk.base.cells.shape, session.visitor().locks, _stay(desk))
    return Start(desk.base.cells, models.features(desk.base), locked)


def _stay(desk: Desk) -> tuple[int, ...]:
    """The bars that stay, counted from 1."""
    return tuple(bar for bar in st.session_state.get("steer-stay") or () if bar <= desk.base.n_bars)


def _locked(shape: tuple[int, ...], parts: Sequence[bool], bars: Sequence[int]) -> np.ndarray:
    """Which cells (m, steps, parts) stay: those of some parts, and of some bars, counted from 1."""
    locked = np.broadcast_to(np.array(parts), shape).copy()
    locked[[bar - 1 for bar in bars]] = True
    return locked


def _together(desk: Desk) -> Together:
    """What goes together, as bars of any role tell, of the style that is asked for."""
    return models.together(desk.base.steps, Condition(ANY, _style(desk)))


def _style(desk: Desk) -> str:
    """The style that is asked for; any where it is one of another grid."""
    style = st.session_state.get("steer-style")
    return style if style in models.generator(desk.base.steps).styles else ANY


def _offered(desk: Desk) -> dict[str, tuple[int, int]]:
    """Feature → the least and the most that can be asked for, of syncopation beside the density that is."""
    start, together = _start(desk), _together(desk)
    density = start.targets("density", desk.targets["density"], together, None)
    return {
        "density": start.offered("density", together, None),
        "syncopation": start.offered("syncopation", together, density),
    }


def _dialled(values: dict[str, float]) -> None:
    """Ask for the values of dials that move: all that one dial passes is one step to undo."""
    _moved(values, " ".join(values))


def _pressed(values: dict[str, float]) -> None:
    """Ask for the value of a word."""
    _moved(values, _press())


def _press() -> str:
    """What tells this press from all others."""
    desk: Desk = st.session_state["steer-desk"]
    desk.asked += 1
    return str(desk.asked)


def _moved(values: dict[str, float], step: str) -> None:
    """Ask for these values; ``step`` says with which moves it is one step to undo."""
    desk: Desk = st.session_state["steer-desk"]
    for name, value in values.items():
        if name in desk.targets:
            desk.targets[name] = round(value)
        else:
            setattr(desk, name, value)
    _steer(step)


def _further() -> None:
    desk: Desk = st.session_state["steer-desk"]
    desk.seed += VERSIONS
    _steer()


def _rebase() -> None:
    """Let what is in hand be the loop that is steered."""
    mine = session.visitor()
    mine.take(mine.hand)


# -- the answer ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """All that an answer depends on.

    Attributes:
        code, name, asked: of the loop that is steered.
        targets: (feature, target of each bar) of those that are asked for.
        locks: which parts stay.
        stay: bars that stay, counted from 1.
        role: a role, or ``AS_IT_IS``.
        style: a style, or "any".
        closeness, realism: see ``rl_tuner.steering.steer``.
        seed: of the first version.
    """

    code: str
    name: str
    asked: Condition
    targets: tuple[tuple[str, tuple[float, ...]], ...]
    locks: tuple[bool, ...]
    stay: tuple[int, ...]
    role: str
    style: str
    closeness: float
    realism: float
    seed: int


def _request(desk: Desk) -> Request:
    start, together = _start(desk), _together(desk)
    density = start.targets("density", desk.targets["density"], together, None)
    syncopation = start.targets("syncopation", desk.targets["syncopation"], together, density)
    return Request(
        desk.base.code,
        desk.base.name,
        desk.base.asked,
        (("density", tuple(density)), ("syncopation", tuple(syncopation))),
        tuple(session.visitor().locks),
        _stay(desk),
        st.session_state.get("steer-role") or AS_IT_IS,
        _style(desk),
        desk.closeness,
        desk.realism,
        desk.seed,
    )


def _steer(step: str | None = None) -> None:
    """Answer what is asked for: the first version comes in hand, and what changed is drawn.

    Args:
        step: with which moves it is one step to undo; by itself by default.
    """
    desk: Desk = st.session_state["steer-desk"]
    mine = session.visitor()
    request = _request(desk)
    found = answers(request)
    mine.take(found[0] if found else desk.base, desk.base, f"{TAG} {_press() if step is None else step}")
    desk.said = _sentence(request, desk.base, found)


def _steer_again() -> None:
    """Answer anew, where something was asked for."""
    if st.session_state["steer-desk"].said:
        _steer()


def _sentence(request: Request, base: Loop, found: list[Loop]) -> str:
    """What came of a request, in words."""
    if not found:
        return ":material/adjust: Nothing nearer was found: ask for less, or let more change."
    wanted = {name: np.mean(values) for name, values in request.targets}
    has = {name: values.mean() for name, values in models.features(found[0]).items()}
    reached = all(abs(has[name] - wanted[name]) <= 0.5 for name in wanted)
    added, removed = (found[0].cells & ~base.cells).sum(), (base.cells & ~found[0].cells).sum()
    changed = f"{added} added, {removed} removed"
    if reached:
        return f":material/check_circle: As you asked: {changed}."
    near = " and ".join(f"{name} {has[name]:.3g}" for name in wanted)
    return f":material/adjust: Near it, {near} on average: {changed}."


@remembered(200)
def answers(request: Request) -> list[Loop]:
    """The versions that differ from each other and from the loop that is steered, the nearest to the targets first.

    Equal bars stay equal in each.
    """
    base = Loop(request.code, request.name)
    cells = base.cells
    locked = _locked(cells.shape, request.locks, request.stay)
    begun = _drifted(request, cells, locked)
    found = np.tile(begun, (VERSIONS, 1, 1, 1))
    roles = np.array(bar_roles(request.code) if request.role == AS_IT_IS else [request.role] * len(cells))
    for role in np.unique(roles):
        places = np.flatnonzero(roles == role)
        result = steer(
            {name: [values[place] for place in places] for name, values in request.targets},
            VERSIONS,
            calls=CALLS,
            seed=request.seed,
            given=begun[places],
            closeness=request.closeness if cells.any() else 0,  # to silence nothing is close
            locked=locked[places],
            realism=request.realism,
            role=str(role),
            style=request.style,
            agent=models.agent(base.steps),
            generator=models.generator(base.steps),
            prior=models.prior(base.steps),
        )
        found[:, places] = result.after.reshape(VERSIONS, len(places), *cells.shape[1:])
    distinct = {version.tobytes(): version for version in found}
    distinct.pop(cells.tobytes(), None)
    nearest = sorted(distinct.values(), key=lambda version: _gap(request, version))
    asked = request.asked if request.role == AS_IT_IS else Condition(request.role, request.style)
    return [
        Loop.of(base.performance.with_bars(version), base.called(f"steered {number}"), asked)
        for number, version in enumerate(nearest, 1)
    ]


def _gap(request: Request, cells: np.ndarray) -> float:
    """How far bars (m, steps, parts) are from what is asked for, on average."""
    has = models.features_of(cells)
    return sum(float(np.abs(has[name] - np.array(values)).mean()) for name, values in request.targets)


def _drifted(request: Request, cells: np.ndarray, locked: np.ndarray) -> np.ndarray:
    """What is steered: the loop, where a role or a style is asked for a few steps nearer to it.

    Otherwise a loop that has its targets would stay as it is, whatever role is asked for.
    """
    if request.role == AS_IT_IS and request.style == ANY:
        return cells
    role = ANY if request.role == AS_IT_IS else request.role
    model = models.generator(cells.shape[1], Condition(role, request.style))
    ((drifted,), _) = vary(
        model, cells, [request.seed], _DRIFT, np.array(np.broadcast_to(request.locks, cells.shape[1:]))
    )
    return np.where(locked, cells, drifted)


@remembered(500)
def bar_roles(code: str) -> tuple[str, ...]:
    """What each bar of a loop is: of the prior asked for each role, the one that finds it likeliest."""
    loop = Loop(code, "")
    likely = np.stack([models.prior(loop.steps, Condition(role)).log_prob(loop.cells).numpy() for role in ROLES])
    return tuple(ROLES[place] for place in likely.argmax(0))
