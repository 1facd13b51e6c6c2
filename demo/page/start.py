"""Where steering starts: from nothing, a bar or a loop that was chosen, a seed, or a visitor's MIDI file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from page import asking, models, session
from page.bar import KIT, STEPS, Bar
from rhythmgan.load import load_loop

MAX_BARS = 16
"""Of a loop that is steered."""

MAX_SEED = 10**9
_MAX_NAME = 60  # letters; of four bytes each they are a file name on every system

NOTHING, CHOSEN, SEED, UPLOAD = "Nothing", "Chosen", "Seed", "MIDI loop"


@dataclass
class Plan:
    """Where a visitor starts from on the Steer tab. It stays as it is until the visitor changes it there.

    Attributes:
        chosen: the bar or the loop that was chosen to start from.
        upload: name and content of the MIDI file that was uploaded last and could be read.
    """

    chosen: tuple[Bar, ...]
    upload: tuple[str, bytes] | None = None

    def choose(self, bars: Sequence[Bar]) -> None:
        """Start from these bars, which are as they are until something is asked for."""
        self.chosen = tuple(bars)
        st.session_state["steer-from"] = CHOSEN
        st.session_state.update(as_it_is(bars))


def as_it_is(bars: Sequence[Bar]) -> dict[str, int]:
    """What the widgets of targets say, by key, where nothing else is asked for than what a loop has."""
    columns = zip(*models.features(bars), strict=True)
    return {f"to-{name}": round(sum(values) / len(bars)) for name, values in zip(models.TARGETS, columns, strict=True)}


def loop_name(bars: Sequence[Bar]) -> str:
    """What bars are called together: of a loop, which has "x 1" and "x 2, version 3", "x" or "x, version 3"."""
    name = bars[0].name
    return name if len(bars) == 1 else re.sub(r" 1(?=$|,)", "", name, count=1)


def show(plan: Plan) -> tuple[tuple[Bar, ...] | None, int]:
    """Draw a choice of the start.

    Returns:
        Its bars, none where bars are made from nothing, None where they are still to come; and their grid.
    """
    hand = session.visitor().hand
    way = st.segmented_control(
        "Start from",
        [NOTHING, CHOSEN, SEED, UPLOAD],
        default=CHOSEN,
        required=True,
        key="steer-from",
        persist_state="page",
        help="What is steered: nothing, for new bars; a bar or a loop that you chose here; the bar of a seed; or your "
        "own file. The start stays until you choose another one, whatever you play meanwhile.",
    )
    bars: tuple[Bar, ...] | None
    if way == CHOSEN:
        bars, steps = plan.chosen, plan.chosen[0].steps
        st.caption(f"The start is **{loop_name(bars)}**.")
    else:
        steps = asking.grid("steer-grid")
        if way == SEED:
            seed = st.number_input(
                "Seed of the start", 0, MAX_SEED, 0, key="steer-seed", persist_state="page", width=150
            )
            bars = tuple(models.sampled(int(seed), 1, steps=steps))
        elif way == UPLOAD:
            bars = _uploaded(plan, steps)
        else:
            bars = ()
            st.caption("New bars, near no others.")
    st.button(
        f"Start from the bar in hand: {hand.name}",
        key="start-from-hand",
        icon=":material/back_hand:",
        on_click=plan.choose,
        args=[[hand]],
        disabled=way == CHOSEN and plan.chosen == (hand,),
        help="The bar in hand is the one that you played last, on any tab.",
    )
    return bars, steps


def _uploaded(plan: Plan, steps: int) -> tuple[Bar, ...] | None:
    """The first bars of a visitor's loop; None before there is one. A file that cannot be read changes nothing."""
    file = st.file_uploader(
        "A drum loop", type=["mid", "midi"], key="loop", help="The drums of its 4/4 bars are taken, in their order."
    )
    found = None
    sent = None if file is None else (file.name, file.getvalue())
    for name, content in [each for each in (sent, plan.upload) if each is not None]:
        try:
            found = read_upload(name, content, steps)
        except ValueError as error:
            st.warning(f"{error}. Another file?", icon=":material/music_off:")
        else:
            plan.upload = name, content
            break
    if found is None:
        return None
    bars, n_bars, bpm = found
    if file is not None and plan.upload == sent and session.visitor().take_tempo(bpm, file.file_id):
        st.session_state.update(as_it_is(bars))
        st.rerun()  # all of the page: the tempo is shown elsewhere
    few = f" The first {len(bars)} of its {n_bars:,} bars are steered." if n_bars > len(bars) else ""
    st.caption(f"The start is **{loop_name(bars)}**, {n_bars:,} {'bar' if n_bars == 1 else 'bars'}.{few}")
    return tuple(bars)


@st.cache_data(show_spinner=False, max_entries=20)
def read_upload(name: str, data: bytes, steps: int = STEPS) -> tuple[list[Bar], int, float]:
    """The first bars of a MIDI file that came from outside, on a grid; how many it has, and its tempo.

    Raises:
        ValueError: no drums in it, or no MIDI file; in words for the visitor.
    """
    # the name says which part a file of one part plays, and nothing else of it is needed
    stem = re.sub(r"[^\w ().,'-]", "_", Path(name.replace("\\", "/")).stem)[:_MAX_NAME] or "loop"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem}.mid"
        path.write_bytes(data)
        try:
            loop, playback = load_loop(path, KIT, steps)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from None
    first = [loop[i : i + 1] for i in range(min(len(loop), MAX_BARS))]
    bars = [Bar.of(played.bars[0], f"{stem} {i}", own=played) for i, played in enumerate(first, 1)]
    return bars, len(loop), playback.bpm
