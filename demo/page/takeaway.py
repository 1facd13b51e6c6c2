"""What a visitor takes away: MIDI, sound, and all of it in a zip."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from page.bar import Bar
from page.session import Visitor, visitor
from rhythmgan.midi import midi_bytes
from rhythmgan.performance import Performance, Playback
from rhythmgan.sound import render, wav_bytes


def _played(bars: Sequence[Bar]) -> Performance:
    return Performance.joined([bar.performance for bar in bars])


_WRITERS: dict[str, Callable[[Sequence[Bar], Visitor], bytes]] = {
    "mid": lambda bars, mine: midi_bytes(_played(bars), Playback(mine.bpm, mine.swing)),
    "wav": lambda bars, mine: wav_bytes(render(_played(bars), Playback(mine.bpm, mine.swing))),
}
_LABELS = {"mid": "MIDI", "wav": "WAV"}
_MIME = {"mid": "audio/midi", "wav": "audio/wav"}


def file_name(name: str) -> str:
    """A name that every system takes for a file, of a name that people read."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "bar"


def one(bars: Sequence[Bar], name: str, key: str) -> None:
    """Two buttons that download a loop of bars as MIDI and as sound, at the tempo of that moment."""
    mine = visitor()  # downloads are made outside of the session
    with st.container(horizontal=True, gap="small"):
        for suffix, write in _WRITERS.items():
            st.download_button(
                _LABELS[suffix],
                partial(write, bars, mine),
                f"{file_name(name)}.{suffix}",
                _MIME[suffix],
                key=f"{key}-{suffix}",
                icon=":material/download:",
                on_click="ignore",
                help=f"Download as .{suffix}, at the tempo and swing that are set above",
            )


def all_of(bars: Sequence[Bar], name: str, key: str, label: str = "All as ZIP") -> None:
    """A button that downloads every bar as MIDI and as sound."""
    st.download_button(
        label,
        partial(_zipped, bars, visitor()),
        f"{file_name(name)}.zip",
        "application/zip",
        key=key,
        icon=":material/folder_zip:",
        on_click="ignore",
        disabled=not bars,
    )


def _zipped(bars: Sequence[Bar], mine: Visitor) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, bar in enumerate(bars, 1):
            for suffix, write in _WRITERS.items():
                archive.writestr(f"{number:02d}-{file_name(bar.name)}.{suffix}", write([bar], mine))
    return buffer.getvalue()
