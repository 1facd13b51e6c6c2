"""Steer: ask for a density and a syncopation."""

from __future__ import annotations

import re
import tempfile
from contextlib import nullcontext
from pathlib import Path

import streamlit as st

from page import cards, charts, models, session, takeaway
from page.bar import KIT, STEPS, Bar, cells_of
from rhythmgan.conditions import Condition
from rhythmgan.load import load_loop
from rl_tuner.config import REALISM
from rl_tuner.latent.agent import LatentAgent, load_latent_agent
from rl_tuner.steering import SteeringResult, steer

MAX_BARS = 16
_QUICK = 1024  # bars to look at, in less than a second
_MAX_NAME = 60  # letters; of four bytes each they are a file name on every system

_HAND, _SEEDS, _UPLOAD = "The bar in hand", "Seeds", "Your MIDI file"


@st.fragment
def show() -> None:
    """Draw the tab."""
    asked, answered = st.columns([1, 2], gap="medium")
    with asked:
        targets = {name: _target(name, default) for name, default in (("density", 70), ("syncopation", 40))}
        start = st.radio("Begin from", [_HAND, _SEEDS, _UPLOAD], key="begin", horizontal=True) or _HAND
        before = _before(start)
        with st.popover("Options", icon=":material/tune:"):
            realism = st.slider(
                "Realism",
                0.0,
                1.0,
                REALISM,
                0.05,
                key="realism",
                help="How much it counts that bars stay real: 0 is the most precise, 1 the most cautious.",
            )
            calls = st.select_slider(
                "Calls",
                [4, 8, 16, 32, 64, 128, 256],
                32,
                key="calls",
                help="How many bars the agent may try for each answer.",
            )
    with answered:
        if start == _HAND and before is None:
            st.info(
                "Steering plays sixteenths, and the bar in hand has triplets. Begin from seeds, or take another bar in "
                "hand.",
                icon=":material/grid_on:",
            )
        elif before is None and st.session_state.loop is None:
            st.info("Drop a drum loop at the left, and see it steered.", icon=":material/upload_file:")
        elif before:
            _answer(before, targets, realism, calls)
    session.keep()


def _target(name: str, default: int) -> float:
    """A slider in per cent of real bars, with the value that it means; returns the value."""
    percentile = st.slider(
        f"{name.capitalize()}, % of real bars below", 0, 100, default, key=f"to-{name}", bind="query-params"
    )
    value = float(models.reference().value(name, percentile))
    st.caption(f"**{value:g}** {'onsets a bar' if name == 'density' else 'by note-rest LHL over three streams'}")
    return value


def _before(start: str) -> list[Bar] | None:
    """The bars that episodes begin at; None where a file is still to come, or the bar in hand has another grid."""
    if start == _UPLOAD:
        return _uploaded()
    n = st.slider("Bars", 1, MAX_BARS, 3, key="n-steered")
    if start == _HAND:
        hand = session.visitor().hand
        return [hand] * n if hand.steps == STEPS else None
    first = st.number_input("First seed", 0, 10**9, 0, key="steer-seed")
    return models.sampled(int(first), n)


def _uploaded() -> list[Bar] | None:
    """The first bars of a visitor's loop."""
    file = st.file_uploader(
        "A drum loop", type=["mid", "midi"], key="loop", help="The drums of its 4/4 bars are taken."
    )
    if file is None:
        return None
    try:
        bars, n_bars, bpm = read_upload(file.name, file.getvalue())
    except ValueError as error:
        st.warning(f"{error}. Another file?", icon=":material/music_off:")
        return None
    if session.visitor().take_tempo(bpm, file.file_id):
        st.rerun()  # all of the page: the tempo is shown elsewhere
    if n_bars > len(bars):
        st.caption(f"The first {len(bars)} of its {n_bars:,} bars are steered.")
    return bars


@st.cache_data(show_spinner=False, max_entries=20)
def read_upload(name: str, data: bytes) -> tuple[list[Bar], int, float]:
    """The first bars of a MIDI file that came from outside, how many it has, and its tempo.

    Raises:
        ValueError: no drums in it, or no MIDI file; in words for the visitor.
    """
    # the name says which part a file of one part plays, and nothing else of it is needed
    stem = re.sub(r"[^\w ().,'-]", "_", Path(name.replace("\\", "/")).stem)[:_MAX_NAME] or "loop"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem}.mid"
        path.write_bytes(data)
        try:
            loop, playback = load_loop(path, KIT, STEPS)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from None
    first = [loop[i : i + 1] for i in range(min(len(loop), MAX_BARS))]
    bars = [Bar.of(played.bars[0], f"{stem} {i}", own=played) for i, played in enumerate(first, 1)]
    return bars, len(loop), playback.bpm


@st.cache_resource(show_spinner=False)
def agent() -> LatentAgent:
    return load_latent_agent()


def asked() -> Condition:
    """What the bars are that the agent steers."""
    config = agent().config
    return Condition(config.role, config.style)


@st.cache_data(show_spinner=False, max_entries=100)
def _steered(codes: tuple[str, ...], targets: dict[str, float], realism: float, calls: int) -> SteeringResult:
    cells = cells_of([Bar(code, "") for code in codes])
    generator = models.generator(condition=asked())
    return steer(
        targets,
        len(codes),
        calls=calls,
        start=generator.encode(cells),
        realism=realism,
        agent=agent(),
        generator=generator,
        prior=models.prior(),
    )


def _answer(before: list[Bar], targets: dict[str, float], realism: float, calls: int) -> None:
    """Draw what came of it."""
    takes_long = len(before) * calls > _QUICK
    with st.spinner("Steering") if takes_long else nullcontext():
        steered = _steered(tuple(bar.code for bar in before), targets, realism, calls)
    reached = bool(steered.success.all())
    st.markdown(f"{':material/check_circle:' if reached else ':material/adjust:'} {_capital(steered.sentence())}.")
    after = [bar.with_cells(cells, f"{bar.name}, steered") for bar, cells in zip(before, steered.after, strict=True)]
    if len({bar.code for bar in before}) == 1:
        shown, after = before[:1], [bar.named(f"steered {i}") for i, bar in enumerate(after, 1)]
        shown += after
    else:
        shown = [bar for pair in zip(before, after, strict=True) for bar in pair]
    cards.show(shown, "steered", columns=4, notes=models.notes(shown))
    takeaway.all_of(after, "steered bars", "zip-steered", "The steered bars as ZIP")
    for column, name, chart in zip(st.columns(2), steered.features, charts.paths(steered), strict=True):
        column.altair_chart(chart, alt=f"{name} of every bar over the calls, and the band of its target")
    standing = {when: models.standing(cells_of(bars), asked()) for when, bars in (("before", before), ("after", after))}
    st.caption(
        "The bar of every call, the target's band, and the bar that was taken. "
        + " ".join(
            f"{who} takes them for {what} than {standing['before'][name]:.0f} % of the model's own bars before, "
            f"{standing['after'][name]:.0f} % after."
            for name, who, what in (
                ("realism", "The discriminator", "more real"),
                ("likelihood", "The prior", "likelier"),
            )
        )
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
