"""What a visitor takes away: MIDI, sound, and all of it in a zip."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial

import streamlit as st

from page.bar import Bar
from page.session import Visitor, visitor
from rhythmgan.export import FORMATS, FilePerLoop
from rhythmgan.performance import Performance


def _formats() -> Iterator[FilePerLoop]:
    """The formats that a visitor may download a loop in: those in which it is a file of its own."""
    return (form for form in FORMATS.values() if isinstance(form, FilePerLoop))


def _encoded(form: FilePerLoop, bars: Sequence[Bar], mine: Visitor) -> bytes:
    """The file of a loop of bars of one grid, at the visitor's tempo and swing."""
    loop = Performance.joined([bar.performance for bar in bars])
    (data,) = form.encode(loop.as_several(), mine.playback(bars[0].steps))
    return data


def file_name(name: str) -> str:
    """A name that every system takes for a file, of a name that people read."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "bar"


def one(bars: Sequence[Bar], name: str, key: str) -> None:
    """Buttons that download a loop of bars, one for each format, at the tempo of that moment."""
    mine = visitor()  # downloads are made outside of the session
    with st.container(horizontal=True, gap="small"):
        for form in _formats():
            st.download_button(
                form.name.upper(),
                partial(_encoded, form, bars, mine),
                f"{file_name(name)}.{form.suffix}",
                form.mime,
                key=f"{key}-{form.suffix}",
                icon=":material/download:",
                on_click="ignore",
                help=f"Download as .{form.suffix}, at the tempo and swing that are set above",
            )


def all_of(bars: Sequence[Bar], name: str, key: str, label: str = "All as ZIP") -> None:
    """A button that downloads every bar in every format."""
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
            for form in _formats():
                name = f"{number:02d}-{file_name(bar.name)}.{form.suffix}"
                archive.writestr(name, _encoded(form, [bar], mine))
    return buffer.getvalue()
