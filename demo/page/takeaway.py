"""What a visitor takes away: MIDI, sound, all of it in a zip, a link, and a MIDI file to drag into a DAW.

Files have the tempo, swing and feel of the moment at which they are asked for. Sound also has the kit and the mixer of
that moment: what is muted is silent. MIDI keeps all that the loop plays, as the mixer is not part of the music.
"""

from __future__ import annotations

import base64
import io
import itertools
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from page.component import component
from page.loop import KIT, Loop
from page.session import OWN, Visitor, visitor
from rhythmgan.export import FORMATS, FilePerLoop
from rhythmgan.midi import midi_bytes
from rhythmgan.performance import Performance
from rhythmgan.sound import render, stems, wav_bytes

_Files = Iterator[tuple[str, bytes]]

_MIDI, _WAV = FORMATS["midi"], FORMATS["wav"]

_ICONS = {_MIDI.name: "piano", _WAV.name: "graphic_eq"}

_handle = component("takeaway", ["drawing", "takeaway"], ["takeaway"])


def file_name(name: str) -> str:
    """A name that every system takes for a file, of a name that people read."""
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    stem = re.sub(r"[^a-z0-9]+", "-", "".join(letters).lower())[:60].strip("-")
    # Windows keeps some names for devices
    return f"{stem}-loop" if re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", stem) else stem or "loop"


def show() -> None:
    """A row that takes the loop in hand away."""
    mine = visitor()  # downloads are made outside of the session
    loop, page = mine.hand, (st.context.url or "").partition("?")[0].rstrip("/")
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for form in _formats():
            st.download_button(
                form.name.upper(),
                partial(_encoded, form, loop, mine),
                f"{file_name(loop.name)}.{form.suffix}",
                form.mime,
                key=f"take-{form.suffix}",
                icon=f":material/{_ICONS.get(form.name, 'download')}:",
                on_click="ignore",
            )
        _zip_button(partial(_everything, loop, mine, page), loop.name, "take-zip", "All (ZIP)")
        _handle(
            key="takeaway",
            data={
                "query": _query(loop, mine),
                "file": f"{file_name(loop.name)}.{_MIDI.suffix}",
                "mime": _MIDI.mime,
                "content": base64.b64encode(midi_bytes(mine.played(loop), mine.playback(loop.steps))).decode(),
            },
            width="content",
        )


def many(loops: Sequence[Loop], name: str, key: str, label: str, original: bytes | None = None) -> None:
    """A button that downloads several loops, and every bar of each, in every format.

    Args:
        loops: of any number of bars.
        name: of the file.
        key: of this place on the page.
        label: what the button says.
        original: the MIDI file that goes with them as it is.
    """
    _zip_button(partial(_several, list(loops), visitor(), original), name, key, label, disabled=not loops)


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


# -- files ---------------------------------------------------------------------------------------------


def _formats() -> Iterator[FilePerLoop]:
    """The formats that a visitor may download a loop in: those in which it is a file of its own."""
    return (form for form in FORMATS.values() if isinstance(form, FilePerLoop))


def _encoded(form: FilePerLoop, loop: Loop, mine: Visitor) -> bytes:
    """The file of a loop, as it plays for the visitor."""
    return _file(form, mine.played(loop), mine)


def _file(form: FilePerLoop, played: Performance, mine: Visitor) -> bytes:
    playback = mine.playback(played.bars.shape[1])
    if form is _WAV:
        return wav_bytes(render(played, playback, sounds=mine.sounds, levels=mine.mix.levels()))
    (data,) = form.encode(played.as_several(), playback)
    return data


def _forms(stem: str, played: Performance, mine: Visitor) -> _Files:
    """A loop in every format."""
    for form in _formats():
        yield f"{stem}.{form.suffix}", _file(form, played, mine)


def _bars(stem: str, played: Performance, mine: Visitor) -> _Files:
    """Each bar of a loop in every format; none of a loop of one bar, which is that bar itself."""
    for place in range(len(played) if len(played) > 1 else 0):
        yield from _forms(f"{stem}-bar-{place + 1:02d}", played[place : place + 1], mine)


def _parts(stem: str, played: Performance, mine: Visitor) -> _Files:
    """Each part that plays, as MIDI, and each that is heard as a stem, one after the other: sound takes room."""
    playback, levels = mine.playback(played.bars.shape[1]), mine.mix.levels()
    sounding = [part for part in range(KIT.n_parts) if played.bars[..., part].any()]
    for part in sounding:
        only = played.bars & (np.arange(KIT.n_parts) == part)
        alone = Performance.of(only, KIT, played.velocities, played.offsets)
        yield f"parts/{stem}-{file_name(KIT.names[part])}.{_MIDI.suffix}", midi_bytes(alone, playback)
    for part in sounding:
        one = np.where(np.arange(KIT.n_parts) == part, levels, 0)
        for name, sound in stems(played, playback, sounds=mine.sounds, levels=one).items():
            yield f"stems/{stem}-{file_name(name)}.{_WAV.suffix}", wav_bytes(sound)


def _everything(loop: Loop, mine: Visitor, page: str) -> bytes:
    """The zip of one loop: whole, by bars, by parts and by stems, and what it all is; ``page`` is its address."""
    mine = replace(mine)  # as it is now: what the visitor changes meanwhile is for the next
    stem, played = file_name(loop.name), mine.played(loop)
    told = "\r\n".join([*_told(loop, mine, page), ""])
    files = (
        _forms(stem, played, mine),
        ((f"bars/{name}", data) for name, data in _bars(stem, played, mine)),
        _parts(stem, played, mine),
        [("README.txt", told.encode(errors="replace"))],
    )
    return _archive(itertools.chain(*files))


def _several(loops: Sequence[Loop], mine: Visitor, original: bytes | None = None) -> bytes:
    """The zip of loops: each as one file of every format, and its bars behind it."""
    mine = replace(mine)

    def files() -> _Files:
        if original is not None:
            yield f"00-original.{_MIDI.suffix}", original
        for number, loop in enumerate(loops, 1):
            stem, played = f"{number:02d}-{file_name(loop.name)}", mine.played(loop)
            yield from _forms(stem, played, mine)
            yield from _bars(stem, played, mine)

    return _archive(files())


def _archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def _told(loop: Loop, mine: Visitor, page: str) -> Iterator[str]:
    """What a loop is, and what its files are played with, a line each."""
    playback, levels = mine.playback(loop.steps), mine.mix.levels()
    of_parts = list(zip(KIT.names, levels.tolist(), strict=True))
    silent = [name for name, level in of_parts if not level]
    changed = [f"{name} {100 * level:.0f} %" for name, level in of_parts if level not in (0, 1)]
    yield " ".join(loop.name.split())
    yield f"Loop: {loop.n_bars} {'bar' if loop.n_bars == 1 else 'bars'} of 4/4, {loop.steps} steps each"
    yield f"Tempo: {playback.bpm:g} bpm"
    yield f"Swing: {100 * playback.swing:.0f} %"
    yield f"Feel: {'own velocities and timing' if mine.feel == OWN else 'accents on the grid'}"
    yield f"Sounds: {mine.sounds}"
    yield f"Levels: {', '.join(changed) or 'as they come'}"
    yield f"Muted: {', '.join(silent)}; in the MIDI files they play" if silent else "Muted: nothing"
    yield f"Link: {page}/?{_query(loop, mine)}"


def _query(loop: Loop, mine: Visitor) -> str:
    """What an address says of a loop, and of how it is played now."""
    return urlencode({"loop": loop.code, "bpm": f"{mine.bpm:g}", "swing": f"{100 * mine.swing:.0f}"})
