"""What a visitor takes away: MIDI, sound, and all of it in a zip."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    _zip_button(partial(_zipped, bars, visitor()), name, key, label, disabled=not bars)


def all_loops(
    loops: Sequence[tuple[str, Sequence[Bar]]], name: str, key: str, label: str, original: bytes | None = None
) -> None:
    """A button that downloads every loop, and every bar of it, in every format.

    Args:
        loops: name and bars of each.
        name: of the file.
        key: of this place on the page.
        label: what the button says.
        original: the MIDI file that goes with them as it is.
    """
    _zip_button(partial(_zipped_loops, loops, visitor(), original), name, key, label)


def _zip_button(make: Callable[[], bytes], name: str, key: str, label: str, disabled: bool = False) -> None:
    st.download_button(
        label,
        make,
        f"{file_name(name)}.zip",
        "application/zip",
        key=key,
        icon=":material/folder_zip:",
        on_click="ignore",
        disabled=disabled,
    )


def _zipped(bars: Sequence[Bar], mine: Visitor) -> bytes:
    return _archive([(f"{number:02d}-{file_name(bar.name)}", [bar]) for number, bar in enumerate(bars, 1)], mine)


def _zipped_loops(loops: Sequence[tuple[str, Sequence[Bar]]], mine: Visitor, original: bytes | None = None) -> bytes:
    """Each loop as one file, and the bars of it as files of their own behind it."""
    files: list[tuple[str, Sequence[Bar]]] = []
    for number, (name, bars) in enumerate(loops, 1):
        stem = f"{number:02d}-{file_name(name)}"
        files.append((stem, bars))
        files += [(f"{stem}-bar-{place:02d}", [bar]) for place, bar in enumerate(bars, 1) if len(bars) > 1]
    return _archive(files, mine, {} if original is None else {"00-original.mid": original})


def _archive(
    files: Sequence[tuple[str, Sequence[Bar]]], mine: Visitor, others: Mapping[str, bytes] | None = None
) -> bytes:
    """A zip of loops by the names of their files, in every format, behind other files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (others or {}).items():
            archive.writestr(name, content)
        for name, bars in files:
            for form in _formats():
                archive.writestr(f"{name}.{form.suffix}", _encoded(form, bars, mine))
    return buffer.getvalue()
