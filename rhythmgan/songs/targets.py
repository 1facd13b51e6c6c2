"""Where ``prepare`` may write: nowhere that it reads, by whatever name or link."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rhythmgan.files import check_target
from rhythmgan.npz import npz_names
from rhythmgan.songs.archives import TABLES
from rhythmgan.songs.contents import SongFile


def check_out(out: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse to write a corpus where it would not be found again, or over a song.

    Raises:
        ValueError: its name does not end in .npz, or a song is there.
        OSError: a folder, a pipe or a device is there, or there can be no file of this name.
    """
    target = check_target(out)
    if Path(target).suffix != ".npz":
        raise ValueError(f"{os.fspath(out)!r}: the name of a corpus ends in .npz")
    with suppress(FileNotFoundError):
        os.lstat(target)  # a name that is too long would be refused when all is read
    if os.path.exists(target) and (_found(target, sources) is not None or "info.json" in npz_names(target)):
        raise ValueError(f"{os.fspath(out)}: a song is there, and is left alone")


def check_dropped(
    dropped: str | os.PathLike[str],
    out: str | os.PathLike[str],
    files: Sequence[SongFile],
    sources: Iterable[str | os.PathLike[str]],
    lists: Iterable[str | os.PathLike[str] | None],
) -> None:
    """Refuse to write the list of files without bars over the corpus, or over anything that is read.

    Args:
        dropped: where it is to be written.
        out: the corpus.
        files: all that are read.
        sources: where they are.
        lists: the manifest and the list of duplicates, where they are given.

    Raises:
        ValueError: it is one of these, or a link to one.
        OSError: a folder, a pipe or a device is there, or there can be no file of this name.
    """
    target = check_target(dropped)
    if Path(target).resolve() == Path(check_target(out)).resolve():
        raise ValueError("--out and --dropped are one file")
    if os.path.exists(target) and (path := _found(target, _read(files, sources, lists))) is not None:
        raise ValueError(f"{os.fspath(dropped)}: {_same(path, dropped)} is read, and is left alone")


def _found(target: str, paths: Iterable[str | os.PathLike[str]]) -> str | os.PathLike[str] | None:
    """The path among these that leads to a file which is there, by whatever name or link; None where none does."""
    found = os.stat(target)
    for path in paths:
        with suppress(OSError):  # it is said when it is read
            if os.path.samestat(os.stat(path), found):
                return path
    return None


def _same(path: str | os.PathLike[str], dropped: str | os.PathLike[str]) -> str:
    """What a file that is read is called beside the name that it was to be written by."""
    return "this file" if os.fspath(path) == os.fspath(dropped) else f"it is {os.fspath(path)}, which"


def _read(
    files: Sequence[SongFile],
    sources: Iterable[str | os.PathLike[str]],
    lists: Iterable[str | os.PathLike[str] | None],
) -> Iterator[str | os.PathLike[str]]:
    """The paths of all that is read, the tables in the folders too."""
    yield from filter(None, lists)
    for source in sources:
        yield source
        yield from (os.path.join(source, name) for name in TABLES)
    yield from (file.path for file in files)
