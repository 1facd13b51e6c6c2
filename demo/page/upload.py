"""A visitor's own file: the bars of a MIDI loop, as they are played."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

import streamlit as st

from page import asking, reading, session
from page.loop import MAX_BARS, STEPS, TRIPLETS, Loop
from page.session import FASTEST, SLOWEST
from page.turns import remembered
from rhythmgan.performance import Performance
from rhythmgan.playback import MIN_SWING

MAX_BYTES = 4_000_000
"""Of a file: a hundred times as much as a long song has."""

_READERS = 4
"""Files that are read at the same time, of all visitors."""

_HELD_BYTES = 16_000_000
"""Files that were read last, with their bars, of all visitors."""

_MAX_NAME = 60  # letters; of four bytes each they are a file name on every system

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows has for devices, whatever their ending."""


@dataclass(frozen=True)
class Upload:
    """A file that could be read.

    Attributes:
        name: in a few words.
        content: its bytes.
        played: all its bars on the grid that was asked for.
        bpm: its tempo.
    """

    name: str
    content: bytes
    played: Performance
    bpm: float


def current() -> Upload | None:
    """What the visitor uploaded last and could be read."""
    return st.session_state.get("upload")


def show() -> None:
    """Draw the choice of a file; what is read from it is in hand from then on."""
    state = st.session_state
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        asking.grid("file-grid", _read)
    st.file_uploader(
        "A drum loop as MIDI",
        type=["mid", "midi"],
        key="file",
        on_change=_read,
        help="The drums of its 4/4 bars are taken in their order, with their own velocities and timing.",
    )
    if wrong := state.get("file-wrong"):
        st.warning(wrong, icon=":material/music_off:")
    if said := state.get("file-said"):
        st.info(said, icon=":material/info:")
    found = current()
    if found is None:
        return
    n = len(found.played)
    if n > MAX_BARS:
        st.slider(f"First bar of the {n:,}", 1, n - MAX_BARS + 1, key="file-first", on_change=_take)
    part = f"bars {_first()} to {_first() + MAX_BARS - 1}" if n > MAX_BARS else f"{n} {'bar' if n == 1 else 'bars'}"
    st.caption(f"**{_plain(found.name)}** at {found.bpm:.5g} bpm{_if_clamped(found.bpm)}: {part} in hand.")


def _plain(name: str) -> str:
    """A name without what Markdown takes for marks."""
    return re.sub(r"([^\w\s])|_", lambda mark: f"\\{mark[0]}", name)


def _if_clamped(bpm: float) -> str:
    """What is said of a tempo that the page cannot play."""
    return "" if _playable(bpm) == bpm else f", played at {_playable(bpm):g}"


def _playable(bpm: float) -> float:
    """The nearest tempo that the page plays."""
    return min(max(bpm, SLOWEST), FASTEST)


def _first() -> int:
    return int(st.session_state.get("file-first", 1))


def _read() -> None:
    """Read the file that is chosen, and take it in hand; where it cannot be read, all stays as it is."""
    state = st.session_state
    file = state.get("file")
    if file is None:
        return
    state["file-wrong"] = state["file-said"] = ""
    content, steps, before = file.getvalue(), state.get("file-grid") or STEPS, current()
    is_new = before is None or before.content != content
    try:
        found = read(file.name, content, steps)
    except ValueError as error:
        other = _on_triplets(file.name, content) if is_new and steps == STEPS else None
        if other is None:
            state["file-wrong"] = f"{error}. Another file?"
            return
        found, state["file-grid"] = other, TRIPLETS
        state["file-said"] = "It has no bars of sixteenths: it is read in triplets."
    state["upload"], state["file-first"] = found, 1
    if is_new:
        mine = session.visitor()
        mine.bpm, mine.swing = _playable(found.bpm), MIN_SWING
    _take()


def _on_triplets(name: str, content: bytes) -> Upload | None:
    """The file in triplets; None where it cannot be read so either."""
    try:
        return read(name, content, TRIPLETS)
    except ValueError:
        return None


def _take() -> None:
    found = current()
    assert found is not None
    first = _first() - 1
    session.visitor().take(Loop.of(found.played[first : first + MAX_BARS], found.name))


@remembered(20, _HELD_BYTES, BoundedSemaphore(_READERS))
def read(name: str, content: bytes, steps: int = STEPS) -> Upload:
    """A MIDI file that came from outside, on a grid.

    Raises:
        ValueError: it is too large, no MIDI file, or has no drums, or there is no room to read it; in words for the
            visitor.
    """
    # the name says which part a file of one part plays, and nothing else of it is needed
    stem = re.sub(r"[^\w ().,'-]", "_", Path(name.replace("\\", "/")).stem)[:_MAX_NAME].strip()
    if not any(letter.isalnum() for letter in stem) or _DEVICES.fullmatch(stem):
        stem = "loop"
    if len(content) > MAX_BYTES:
        raise ValueError(f"{stem}.mid has {len(content) / 1e6:.0f} MB: a loop has less than {MAX_BYTES // 10**6}")
    try:
        loop, bpm = reading.read_apart(stem, content, steps)
    except OSError as error:  # of the server, so not said where
        raise ValueError(f"{stem}.mid cannot be read now: {error.strerror}") from None
    return Upload(stem, content, loop, bpm)
