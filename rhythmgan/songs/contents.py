"""A file of a song, wherever it lies, and what it holds."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, tee
from typing import NamedTuple

from rhythmgan import lpd, midi_reader
from rhythmgan.songs import archives
from rhythmgan.songs.manifests import UNKNOWN
from rhythmgan.songs.members import PLAIN, Place


@dataclass(frozen=True, slots=True)
class SongFile:
    """A file to read.

    Attributes:
        path: where it is, or the archive that holds it.
        name: the source's name and the path below it.
        song: the name of its song.
        source: which of the sources it belongs to, from 0.
        style: of the music, ``manifests.normal_style``.
        label: "beat" or "fill" as the Groove MIDI Dataset says it, "" elsewhere.
        member: its name in the archive; None of a plain file.
        place: where its content lies.
    """

    path: str
    name: str
    song: str
    source: int
    style: str = UNKNOWN
    label: str = ""
    member: str | None = None
    place: Place = PLAIN

    @property
    def location(self) -> str:
        """The path, and behind it the name in the archive: for people."""
        return self.path if self.member is None else f"{self.path}/{self.member}"


def suffix_of(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def contents(files: Sequence[SongFile]) -> Iterator[bytes | OSError]:
    """The content of each file, in order, or what is wrong with it; nothing is unpacked to disk.

    An archive is opened once for all its files that follow one another. A compressed .tar and a table are read from
    their beginning for it: call this for all their files at once, or use ``batches``.
    """
    for (path, _), run in groupby(files, key=_run_of):
        yield from _read(path, run)


def _read(path: str, run: Iterable[SongFile]) -> Iterator[bytes | OSError]:
    """The contents of files in one archive, or what is wrong with them."""
    ahead, files = tee(run)
    for file, content in zip(files, archives.read(path, (file.place for file in ahead)), strict=True):
        what = "" if isinstance(content, OSError) else _misnamed(file.name, content)
        yield OSError(errno.EIO, what, file.path) if what else content


def _misnamed(name: str, content: bytes) -> str:
    """What a file is that is called as what it is not: its reader would find only that it cannot read it."""
    suffix = suffix_of(name)
    if suffix == lpd.SUFFIX and (content[:4] == b"MThd" or content[:4] + content[8:12] == b"RIFFRMID"):
        return f"a MIDI file called {suffix}"
    if suffix in midi_reader.SUFFIXES and content[:4] == b"PK\3\4":
        return f"a .zip or .npz file called {suffix}"
    return ""


def _run_of(file: SongFile) -> tuple[str, str]:
    return file.path, file.place.kind


MAX_BATCH_BYTES = 16 << 20
"""A batch that holds contents ends with the file that fills this."""


class Batch(NamedTuple):
    """Some files that follow one another.

    Attributes:
        indices: which of the files these are.
        contents: of each, where they are best read by who makes the batches; None where each batch's reader may
            call ``contents`` itself.
    """

    indices: range
    contents: list[bytes | OSError] | None


def batches(files: Sequence[SongFile], size: int = 64) -> Iterator[Batch]:
    """All files in batches for several processes.

    Files that can be reached directly (plain ones, in a .zip, in a .tar) are left to whoever gets the batch. Compressed
    .tar archives and tables have to be read from their beginning: they are read once, here, and the batch holds what
    was read, never more than ``size`` files or ``MAX_BATCH_BYTES`` and one file. So batches are to be taken as they are
    needed, a few at a time, not all at once. The same files make the same batches.
    """

    def archive_of(file: SongFile) -> str:
        return file.path if file.place.kind in archives.STREAMED else ""

    start = 0
    for path, run in groupby(files, key=archive_of):
        if not path:
            end = start + sum(1 for _ in run)
            for first in range(start, end, size):
                yield Batch(range(first, min(first + size, end)), None)
            start = end
            continue
        held: list[bytes | OSError] = []
        n_bytes = 0
        for content in _read(path, run):
            held.append(content)
            n_bytes += len(content) if isinstance(content, bytes) else 0
            if len(held) == size or n_bytes >= MAX_BATCH_BYTES:
                yield Batch(range(start, start + len(held)), held)
                start, held, n_bytes = start + len(held), [], 0
        if held:
            yield Batch(range(start, start + len(held)), held)
            start += len(held)
