"""Loops to files, in any number of formats at once: one table of formats, for the commands and for the page.

A new format is one row of ``FORMATS``. It is a file for each loop (``FilePerLoop``) or one file for all (``OneFile``).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np

    from rhythmgan.performance import Performance, Playback

# the help of the commands reads this table: what is slow to import is imported by the function that needs it


@dataclass(frozen=True)
class Loops:
    """Loops that are exported: all of a call, or the next ones of many.

    Attributes:
        names: n names; the files of a loop's own are called so.
        performances: how they are played, (n, bars, steps, parts).
        key: what tells one loop from another: ``seed``, ``frame`` or ``name``. The same for all loops of a call.
        labels: n values of it.
        titles: n short lines for people, above the pictures and before the lines of a text.
        arrays: what an .npz file holds, by name; of the next ones of many their rows of it.
        columns: bars in a row of the picture; about as many as make a square by default.
    """

    names: Sequence[str]
    performances: Performance
    key: str
    labels: Sequence[int | str]
    titles: Sequence[str]
    arrays: dict[str, np.ndarray]
    columns: int | None = None


@dataclass(frozen=True)
class Format:
    """A format that loops are exported in.

    Attributes:
        name: on the command line.
        suffix: of its files, without a dot.
        mime: its media type, for browsers.
    """

    name: str
    suffix: str
    mime: str


@dataclass(frozen=True)
class FilePerLoop(Format):
    """A format in which every loop is a file of its own.

    Attributes:
        encode: n loops (n, bars, steps, parts) and how they are played back → the n files.
        check: raises a ValueError where loops of so many bars, played back so, are too long for it.
    """

    encode: Callable[[Performance, Playback], Iterator[bytes]]
    check: Callable[[int, Playback], None] = lambda n_bars, playback: None


@dataclass(frozen=True)
class OneFile(Format):
    """A format in which all loops are one file.

    Attributes:
        encode: an open file and the playback → a context that gives the function to add loops with, any number of
            times; at its end the file is complete.
        most_bars: how many bars it holds; further ones are left out. None where there is no limit.
    """

    encode: Callable[[BinaryIO, Playback], AbstractContextManager[Callable[[Loops], None]]]
    most_bars: int | None = None


def is_played(performance: Performance) -> bool:
    """Whether velocities or offsets say more than the bars do: they are not accents on the grid."""
    from rhythmgan.performance import Performance

    bare = Performance.of(performance.bars, performance.kit)
    return bool((performance.velocities != bare.velocities).any() or performance.offsets.any())


# --- Encoders: a file for each loop ------------------------------------------------------------------


def _midi(performances: Performance, playback: Playback) -> Iterator[bytes]:
    from rhythmgan.midi import midi_files

    return midi_files(performances, playback)


def _wav(performances: Performance, playback: Playback) -> Iterator[bytes]:
    """Sound that can be repeated without a seam."""
    from rhythmgan.sound import render_wav

    for loop in range(len(performances)):
        yield render_wav(performances[loop], playback)


def _check_wav(n_bars: int, playback: Playback) -> None:
    from rhythmgan.sound import check_length

    check_length(n_bars, playback)


# --- Encoders: one file for all ----------------------------------------------------------------------


@contextmanager
def _npz(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """The arrays, whose rows wait on the disk until all are there: none is ever held whole.

    The kit is named where the number of parts does not tell it.
    """
    import shutil
    import tempfile
    import zipfile

    import numpy as np

    from rhythmgan.kit import kit_with

    folder = Path(file.name).parent
    kit = None
    with ExitStack() as open_files:
        waiting: dict[str, IO[bytes]] = {}
        kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        n_rows: dict[str, int] = {}

        def add(loops: Loops) -> None:
            nonlocal kit
            kit = loops.performances.kit
            for name, rows in loops.arrays.items():
                if name not in waiting:
                    waiting[name] = open_files.enter_context(tempfile.TemporaryFile(dir=folder))
                    kinds[name], n_rows[name] = (rows.dtype, rows.shape[1:]), 0
                waiting[name].write(np.ascontiguousarray(rows).data)
                n_rows[name] += len(rows)

        yield add
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in waiting.items():
                kind, shape = kinds[name]
                descr = np.lib.format.dtype_to_descr(kind)
                header = {"descr": descr, "fortran_order": False, "shape": (n_rows[name], *shape)}
                content.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    shutil.copyfileobj(content, member)
            if kit is not None and kit != kit_with(kit.n_parts):
                with archive.open("kit.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(kit.name), allow_pickle=False)


@contextmanager
def _text(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """The text view of the bars, see ``bars``."""
    from rhythmgan.bars import bars_to_words, words_to_text
    from rhythmgan.kit import kit_with

    def add(loops: Loops) -> None:
        kit = loops.performances.kit
        if kit_with(kit.n_parts) != kit:
            raise ValueError(f"a text does not say its kit: bars of {kit.name} are not written as text, but as npz")
        for title, bars in zip(loops.titles, loops.performances.bars, strict=True):
            file.write(f"# {title}\n{words_to_text(bars_to_words(bars), bars.shape[-1])}".encode())

    yield add


_PICTURED = 64


@contextmanager
def _png(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """A picture of the first bars, as many as one can look at."""
    from rhythmgan.draw import bars_to_image, png_bytes
    from rhythmgan.performance import Performance

    shown: list[Performance] = []
    titles: list[str] = []
    columns = None

    def add(loops: Loops) -> None:
        nonlocal columns
        columns = loops.columns
        for place, title in enumerate(loops.titles):
            if len(titles) >= _PICTURED:
                break
            shown.append(loops.performances[place][: _PICTURED - len(titles)])
            titles.extend([title] * len(shown[-1]))

    yield add
    file.write(png_bytes(bars_to_image(Performance.joined(shown), titles=titles, columns=columns)))


@contextmanager
def _csv(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """A row for each onset: which loop, bar, step and part, its velocity, and its offset in parts of a step."""
    key = None

    def add(loops: Loops) -> None:
        nonlocal key
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if key is None:
            key = loops.key
            table.writerow([key, "bar", "step", "part", "velocity", "offset"])
        for label, onsets in zip(loops.labels, _onsets(loops.performances), strict=True):
            table.writerows([label, *onset] for onset in onsets)
        file.write(text.getvalue().encode())

    yield add


@contextmanager
def _json(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """One object: what is common to all, and ``loops``, a line each, with the words of its bars and its notes."""
    from rhythmgan.bars import bars_to_words

    is_first = True

    def add(loops: Loops) -> None:
        nonlocal is_first
        performances = loops.performances
        if is_first:
            kit, steps = performances.kit, performances.bars.shape[-2]
            common = {"kit": kit.name, "parts": kit.names, "steps": steps, "bpm": playback.bpm, "swing": playback.swing}
            file.write(f'{json.dumps(common)[:-1]}, "loops": ['.encode())
        words = bars_to_words(performances.bars).tolist()
        rows = zip(loops.names, loops.labels, words, _onsets(performances), strict=True)
        for name, label, bars, onsets in rows:
            notes = [dict(zip(_ONSET, onset, strict=True)) for onset in onsets]
            loop = json.dumps({"name": name, loops.key: label, "words": bars, "notes": notes})
            file.write(f"{'' if is_first else ','}\n{loop}".encode())
            is_first = False

    yield add
    file.write(b"\n]}\n")


@contextmanager
def _features(file: BinaryIO, playback: Playback) -> Iterator[Callable[[Loops], None]]:
    """A row for each bar: which loop, which bar of it, and every feature that its grid has."""
    from rhythmgan.features import features_of_grid, measure

    names: list[str] | None = None

    def add(loops: Loops) -> None:
        nonlocal names
        performances = loops.performances
        n, n_bars, *shape = performances.bars.shape
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if names is None:
            names = features_of_grid(shape[0], performances.kit)
            table.writerow([loops.key, "bar", *names])
        columns = measure(performances.bars.reshape(-1, *shape), performances.kit, names).values()
        values = [
            [f"{value:.6g}" for value in column.tolist()] if column.is_floating_point() else column.tolist()
            for column in columns
        ]
        labels = [label for label in loops.labels for _ in range(n_bars)]
        table.writerows(zip(labels, [*range(n_bars)] * n, *values, strict=True))
        file.write(text.getvalue().encode())

    yield add


_ONSET = ("bar", "step", "part", "velocity", "offset")


def _onsets(performances: Performance) -> Iterator[Iterator[tuple[int, int, str, int, float]]]:
    """Of each loop its onsets in their order, with the names of ``_ONSET``; bars and steps are counted from 0."""
    import numpy as np

    for loop in range(len(performances)):
        one = performances[loop]
        bar, step, part = np.nonzero(one.bars)
        names = (one.kit.names[index] for index in part.tolist())
        late = (round(offset, 6) for offset in one.offsets[one.bars].tolist())
        yield zip(bar.tolist(), step.tolist(), names, one.velocities[one.bars].tolist(), late, strict=True)


# --- The table ---------------------------------------------------------------------------------------

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        FilePerLoop("midi", "mid", "audio/midi", _midi),
        FilePerLoop("wav", "wav", "audio/wav", _wav, _check_wav),
        OneFile("npz", "npz", "application/zip", _npz),
        OneFile("text", "txt", "text/plain", _text),
        OneFile("png", "png", "image/png", _png, most_bars=_PICTURED),
        OneFile("csv", "csv", "text/csv", _csv),
        OneFile("features", "features.csv", "text/csv", _features),
        OneFile("json", "json", "application/json", _json),
    )
}
"""Every format by its name. The commands' ``--format`` and the page read this table."""

DEFAULT_FORMATS = ("midi", "npz", "png")
"""What commands write that make a few loops."""


def formats_named(names: Iterable[str]) -> list[Format]:
    """The formats of these names, each once.

    Raises:
        ValueError: a name that is none, or no name; the message lists all.
    """
    names = list(dict.fromkeys(name.strip() for name in names))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise ValueError(f"unknown format {', '.join(unknown)!r}; there are {', '.join(FORMATS)}")
    return [FORMATS[name] for name in names]


# --- Files -------------------------------------------------------------------------------------------


def export(
    batches: Iterable[Loops],
    out: str | os.PathLike[str],
    formats: Iterable[Format],
    playback: Playback,
    *,
    stem: str,
    kept: Collection[str] = (),
    replaced: Iterable[str] = (),
    notes: Mapping[str, bytes] | None = None,
) -> None:
    """Write loops into a folder, in all formats at once.

    Every file is whole or not there. What does not fit is said before a file is touched: it does not fit the first
    batch.

    Args:
        batches: the loops, some at a time; each batch is written before the next is asked for.
        out: the folder, created if missing.
        formats: rows of ``FORMATS``.
        playback: tempo and swing of MIDI and WAV files.
        stem: what one file for all is called, without a suffix.
        kept: names of files for a loop of its own that are there, and stay as they are.
        replaced: names whose files of an earlier call are removed, in every format: ``frame`` for ``frame-012.mid``,
            ``path`` for ``path.csv``. Otherwise files of two calls would lie beside each other. Where there are any,
            the new files take their places all at once, and no file is replaced that no call has written; see
            ``calls.replaced_files``.
        notes: name → content of other files, written first.

    Raises:
        ValueError: the playback does not fit the grid, a loop is too long for a format, a part has no sound, another
            call is writing there, or a file is there that no call has written.
        OSError: the folder cannot be written, or the disk is full; it names the file.
    """
    formats = list(formats)
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return
    check_encodable(first, formats, playback)
    names = list(replaced)
    with ExitStack() as files:
        folder = files.enter_context(replacing(out, names)) if names else out
        add = files.enter_context(exporting(folder, formats, playback, stem=stem, kept=kept, notes=notes))
        for loops in itertools.chain([first], batches):
            add(loops)


def replacing(out: str | os.PathLike[str], replaced: Iterable[str]) -> AbstractContextManager[Path]:
    """A new folder to export into, whose files then take the places of an earlier call's, see ``calls.replaced_files``.

    Args:
        out: the folder that they are for.
        replaced: as ``export``.
    """
    from rhythmgan.calls import replaced_files

    return replaced_files(out, _is_replaced(replaced))


def _is_replaced(replaced: Iterable[str]) -> Callable[[str], bool]:
    """Whether a file is one of an earlier call by its name, in any format; see ``export``."""
    every = "|".join(re.escape(form.suffix) for form in FORMATS.values())
    per_loop = "|".join(form.suffix for form in FORMATS.values() if isinstance(form, FilePerLoop))
    names = "|".join(map(re.escape, replaced))
    ours = re.compile(rf"({names})(-\d{{3,}}\.({per_loop})|\.({every}))")
    return lambda name: ours.fullmatch(name) is not None


def check_encodable(loops: Loops, formats: Iterable[Format], playback: Playback) -> None:
    """Encode the first bar in each format with a file for each loop: what does not fit shows before a file is touched.

    Raises:
        ValueError: as ``export``.
    """
    formats = list(formats)
    check_length(loops.performances.bars.shape[1], formats, playback)
    for form in formats:
        if isinstance(form, FilePerLoop):
            next(form.encode(loops.performances[0][:1].as_several(), playback))


def check_length(n_bars: int, formats: Iterable[Format], playback: Playback) -> None:
    """Raise a ValueError where loops of so many bars are too long for a format: said before they are made."""
    for form in formats:
        if isinstance(form, FilePerLoop):
            form.check(n_bars, playback)


def files_written(formats: Iterable[Format], names: Sequence[str], stem: str) -> dict[str, list[str]]:
    """What ``export`` writes: name of each format → names of its files.

    Args:
        formats: as ``export``.
        names: of the loops.
        stem: as ``export``.
    """
    return {
        form.name: [f"{name}.{form.suffix}" for name in (names if isinstance(form, FilePerLoop) else [stem])]
        for form in formats
    }


def check_replaceable(folder: str | os.PathLike[str], replaced: Iterable[str], notes: Collection[str] = ()) -> None:
    """Raise an error where files would be replaced that no earlier call has written: before the new ones are made.

    Args:
        folder: to be written to.
        replaced: as ``export``.
        notes: names of other files that are written.

    Raises:
        ValueError: such a file is there.
        OSError: the folder is a file.
    """
    from rhythmgan.calls import check_written

    is_replaced = _is_replaced(replaced)
    check_written(folder, lambda name: is_replaced(name) or name in notes)


@contextmanager
def exporting(
    out: str | os.PathLike[str],
    formats: Iterable[Format],
    playback: Playback,
    *,
    stem: str,
    kept: Collection[str] = (),
    notes: Mapping[str, bytes] | None = None,
) -> Iterator[Callable[[Loops], None]]:
    """The function to add loops with, for whoever writes into several folders at once; otherwise as ``export``.

    At the end of the context the files for all loops are complete.
    """
    from rhythmgan.files import make_folder, whole_file, write_whole

    formats = list(formats)
    per_loop = [form for form in formats if isinstance(form, FilePerLoop)]
    one_file = [form for form in formats if isinstance(form, OneFile)]
    folder = make_folder(out)
    for name, content in (notes or {}).items():
        write_whole(folder / name, content)
    with ExitStack() as files:
        adding: list[tuple[Path, Callable[[Loops], None]]] = []
        for row in reversed(one_file):  # the first is completed first
            path = folder / f"{stem}.{row.suffix}"
            file = files.enter_context(whole_file(path, durable=True))
            adding.append((path, files.enter_context(row.encode(file, playback))))

        def add(loops: Loops) -> None:
            for form in per_loop:
                _write_missing(folder, form, loops, playback, kept)
            for path, add_to in reversed(adding):
                with _blamed_on(path):
                    add_to(loops)

        yield add


def _write_missing(folder: Path, form: FilePerLoop, loops: Loops, playback: Playback, kept: Collection[str]) -> None:
    """A file for each loop that has none yet."""
    import numpy as np

    from rhythmgan.files import write_whole

    names = [f"{name}.{form.suffix}" for name in loops.names]
    missing = np.array([place for place, name in enumerate(names) if name not in kept], int)
    if len(missing):
        for place, data in zip(missing, form.encode(loops.performances[missing], playback), strict=True):
            write_whole(os.path.join(folder, names[place]), data)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """An error of the system that names no file is that of this one: several are open."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
