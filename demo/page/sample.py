"""Sample: a loop of a seed, a textbook pattern, or a visitor's own file."""

from __future__ import annotations

import random
import re

import streamlit as st

from page import asking, cards, dials, doors, models, session, songs, takeaway, upload
from page.loop import LENGTHS, STEPS, Loop
from rhythmgan.conditions import ANY, DEFAULT_ROLE, Condition

MAX_SEED = 10**9

_FIRST_SEED = 33
_SURPRISES = 10**6
"""Seeds that a surprise is one of: their numbers fit the field."""

_COLDEST, _HOTTEST = 0.5, 1.2
_SHOWN = 6
"""Loops of the next seeds on cards."""

_MODEL, _TEXTBOOK, _FILE = "From the model", "Textbook", "Your file"


def first() -> Loop:
    """The loop that a new visitor finds in hand."""
    return models.sampled((_FIRST_SEED,))[0]


def show() -> None:
    """Draw the panel."""
    way = st.segmented_control(
        "Begin with",
        [_MODEL, _TEXTBOOK, _FILE],
        default=_MODEL,
        required=True,
        key="begin",
        bind="query-params",
        label_visibility="collapsed",
    )
    if way == _TEXTBOOK:
        _textbook()
    elif way == _FILE:
        upload.show()
    else:
        _model()
    _kept("Favourites", session.visitor().favourites, "favourites", "Hearts are kept in this browser.")
    _kept("This session", session.visitor().history, "history", "What you had in hand, the latest first.")


# -- from the model ------------------------------------------------------------------------------------


def _model() -> None:
    state = st.session_state
    held = re.match(r"seed (\d+)\b", session.visitor().hand.name)
    if held and not session.visitor().untouched:
        state.seed = int(held[1])  # the field says what is in hand, wherever it was taken from
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        role = asking.role("role", _play)
        steps = asking.grid("grid", _play)
        style = asking.style("style", models.generator(steps).styles, _play)
        n_bars = st.segmented_control(
            "Bars",
            LENGTHS,
            default=4,
            required=True,
            key="bars",
            bind="query-params",
            on_change=_play,
            help="Four bars are a groove three times and a fill; eight have a variation in the middle.",
        )
    # not bound to the address by Streamlit, whose field is broken by a seed that is no number or too large
    state.setdefault("seed", _seed_of_address())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input(
            "Seed",
            0,
            MAX_SEED,
            key="seed",
            width=130,
            on_change=_from_seed,
            help="A seed is a loop, the same for everybody.",
        )
        _say_seed(state.seed)
        st.button("Surprise me", on_click=_surprise, icon=":material/casino:")
        st.button("More", on_click=_further, icon=":material/arrow_forward:", help="The next seeds")
    dials.show(
        [
            dials.Dial(
                "temperature",
                "Temperature",
                _COLDEST,
                _HOTTEST,
                0.05,
                _temperature(),
                f"{_temperature():.2f}",
                ("typical", "adventurous"),
                "Loops are as dense either way; at 1 they are as varied as those of songs.",
            )
        ],
        "sample-dials",
        _dialled,
    )
    asked = Condition(role, style)
    mine = session.visitor()
    if mine.untouched:  # an address may ask for other things than the first loop
        mine.hand = _loop_of(state.seed, n_bars or 4, asked, steps)
        mine.history = [mine.hand]
    _, *others = _shown(n_bars or 4, asked, steps)
    cards.show(others, "gallery", columns=2, notes=models.notes(others))
    seeds = f"seeds {_shown_from() + 1} to {_shown_from() + _SHOWN}"
    takeaway.many(others, seeds + asking.told(asked, steps), "zip-gallery", "These as ZIP")


def _seed_of_address() -> int:
    """The seed that the address says, or the first one."""
    said = doors.said(st.query_params.get("seed"), 0, MAX_SEED)
    return int(said) if said is not None and said.is_integer() else _FIRST_SEED


def _say_seed(seed: int) -> None:
    """Keep a seed in the address, but for the first one."""
    if seed != _FIRST_SEED:
        st.query_params["seed"] = str(seed)
    elif "seed" in st.query_params:
        del st.query_params["seed"]


def _shown_from() -> int:
    """The seed that the cards begin behind: the one that was asked for last by its number."""
    return int(st.session_state.setdefault("shown-from", st.session_state.get("seed", _FIRST_SEED)))


def _shown(n_bars: int, asked: Condition, steps: int) -> list[Loop]:
    """The loop of that seed, and those of the cards: all are drawn in one go."""
    first = _shown_from()
    return models.sampled(tuple(range(first, first + 1 + _SHOWN)), n_bars, _temperature(), asked, steps)


def _loop_of(seed: int, n_bars: int, asked: Condition, steps: int) -> Loop:
    """The loop of a seed."""
    place = seed - _shown_from()
    if 0 <= place <= _SHOWN:
        return _shown(n_bars, asked, steps)[place]
    return models.sampled((seed,), n_bars, _temperature(), asked, steps)[0]


def _temperature() -> float:
    state = st.session_state
    if "temperature-asked" not in state:
        # an address may say one
        said = doors.said(st.query_params.get("temperature"), _COLDEST, _HOTTEST)
        state["temperature-asked"] = 1.0 if said is None else said
    return float(state["temperature-asked"])


def _dialled(values: dict[str, float]) -> None:
    st.session_state["temperature-asked"] = values["temperature"]
    st.query_params["temperature"] = f"{values['temperature']:g}"
    _play("temperature")


def _surprise() -> None:
    st.session_state.seed = random.randrange(_SURPRISES)
    _from_seed()


def _further() -> None:
    st.session_state.seed = min(_shown_from() + _SHOWN + 1, MAX_SEED)
    _from_seed()


def _from_seed() -> None:
    st.session_state["shown-from"] = st.session_state.seed
    _play()


def _play(tag: str = "") -> None:
    """Take the loop in hand that is asked for."""
    state = st.session_state
    steps = state.get("grid") or STEPS
    style = state.get("style")
    if style not in models.generator(steps).styles:  # it may be one of the grid before
        style = ANY
    asked = Condition(state.get("role") or DEFAULT_ROLE, style)
    loop = _loop_of(state.seed, state.get("bars") or 4, asked, steps)
    session.visitor().take(loop, tag=tag)


# -- the textbook --------------------------------------------------------------------------------------


def _textbook() -> None:
    styles = songs.presets()
    style = st.selectbox("Style", list(styles), key="textbook-style", bind="query-params", width=240)
    loops = [Loop.of(cells, name) for name, cells in styles[style or next(iter(styles))].items()]
    cards.show(loops, "textbook", columns=2, notes=models.notes(loops))


# -- what was kept -------------------------------------------------------------------------------------


def _kept(title: str, loops: list[Loop], key: str, explained: str) -> None:
    # with another number it is another shelf to Streamlit, which stays as open as the one before
    was_open = f"was-open-{key}"
    shelf = st.expander(
        f"{title} ({len(loops)})",
        expanded=st.session_state.get(was_open, False),
        key=f"expander-{key}",
        on_change="rerun",
    )
    st.session_state[was_open] = bool(shelf.open)
    if not shelf.open:  # what nobody sees is not measured, and not sent
        return
    with shelf:
        st.caption(explained)
        cards.show(loops, key, columns=2, notes=models.notes(loops))
        takeaway.many(loops, f"rhythmgan {title}", f"zip-{key}", "All as ZIP")
