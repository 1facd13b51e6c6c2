"""Files of a folder that one call made: those of the next take their places all at once, also if that is killed.

Files that no call has written are never removed or replaced: ``.written`` in the folder lists those that were. A call
writes into ``.new`` in its folder. When all is there, this is called ``.ready``, which decides: from then on the
files belong to the new call, and whoever next writes into the folder moves those that were not moved yet.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rhythmgan.files import check_folder, check_target, make_folder, write_whole
from rhythmgan.inputs import parse_json, read_input
from rhythmgan.locks import locked_folder

NEW = ".new"
"""The folder of files of a call that is not done."""

READY = ".ready"
"""The folder of files that are about to take their places."""

UNFINISHED = frozenset({NEW, READY})
"""The names of folders whose files do not belong to what lies beside them: who reads a folder leaves them out."""

_GOING = ".replaced"
"""In ``READY``: the names of the files that go, as JSON."""

WRITTEN = ".written"
"""In a folder: the names of the files in it that calls have written, as JSON."""

_MAX_NAMES = 64 << 20
"""Bytes of a list: a million names."""


@contextmanager
def replaced_files(out: str | os.PathLike[str], is_replaced: Callable[[str], bool]) -> Iterator[Path]:
    """A new folder for all files of a call, which take the places of an earlier call's when the block ends well.

    If it fails, or is killed before, the earlier call's files stay as they are. No other call writes meanwhile.

    Args:
        out: the folder that the files are for, created if missing.
        is_replaced: of a name in it, whether an earlier call's file of this name goes.

    Raises:
        ValueError: another call is writing there, or a file has such a name or a new one's that no call has written.
        OSError: it cannot be written, or the disk is full; files in the new folder are named as they would be called.
    """
    folder = make_folder(out)
    with locked_folder(folder, "another call is writing here"):
        _settle(folder)
        check_written(folder, is_replaced)
        new = folder / NEW
        new.mkdir()
        try:
            yield new
            _decide(folder, new, is_replaced)
        except BaseException as error:
            shutil.rmtree(new, ignore_errors=True)
            if isinstance(error, OSError) and isinstance(error.filename, (str, os.PathLike)):
                with suppress(ValueError):  # it is another file's
                    error.filename = str(folder / Path(error.filename).relative_to(new))
            raise
        _move(folder)


def is_being_replaced(folder: str | os.PathLike[str]) -> bool:
    """Whether files of two calls lie in a folder: those of the new one take their places, or were killed at it."""
    ready = Path(folder, READY)
    return ready.is_dir() and not ready.is_symlink()


def check_settled(folder: str | os.PathLike[str]) -> None:
    """Raise a ValueError where files of two calls lie in a folder, see ``is_being_replaced``."""
    if is_being_replaced(folder):
        raise ValueError(
            f"{os.fspath(folder)}: its files are being replaced by another call's; if that was killed, run it again"
        )


def check_written(folder: str | os.PathLike[str], is_replaced: Callable[[str], bool]) -> None:
    """Have no file replaced that somebody else wrote.

    Args:
        folder: to be written to, if it is there.
        is_replaced: see ``replaced_files``.

    Raises:
        ValueError: a file that is replaced was written by no earlier call; or their list cannot be read.
        OSError: the folder is a file.
    """
    folder = Path(folder)
    check_folder(folder)
    if not folder.is_dir() or is_being_replaced(folder):  # these are an earlier call's
        return
    _check_own(folder, _files_in(folder, is_replaced), _names(folder / WRITTEN))


def _files_in(folder: Path, is_meant: Callable[[str], bool]) -> list[str]:
    """The names in a folder that are meant, but for those of folders, and for the list of what was written."""
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    return [name for name in files if name != WRITTEN and is_meant(name)]


def _check_own(folder: Path, names: Iterable[str], written: Collection[str]) -> None:
    """Raise a ValueError where a file is not among those that were written."""
    if theirs := min(set(names) - set(written), default=None):
        raise ValueError(
            f"{folder} holds {theirs}, which no earlier call wrote and which would be replaced: choose another folder"
        )


def _decide(folder: Path, new: Path, is_replaced: Callable[[str], bool]) -> None:
    """Make the new folder the one that counts, once nothing of it is missing and all of it can be moved."""
    names = set(_files_in(new, lambda name: True))
    written = _names(folder / WRITTEN)
    _check_own(folder, _files_in(folder, names.__contains__), written)
    for name in names:
        target = folder / name
        check_target(target)
        with suppress(FileNotFoundError):
            found = os.lstat(target)
            if stat.S_ISREG(found.st_mode):
                (new / name).chmod(stat.S_IMODE(found.st_mode))
    going = _files_in(folder, lambda name: name not in names and is_replaced(name))
    staying = set(_files_in(folder, written.__contains__)) - set(going)
    write_whole(new / WRITTEN, json.dumps(sorted(staying | names)).encode(), durable=True)
    write_whole(new / _GOING, json.dumps(going).encode(), durable=True)
    new.rename(folder / READY)


def _settle(folder: Path) -> None:
    """Finish what a killed call had decided, and remove what one had not.

    Raises:
        ValueError: something else than a folder has the name of one of ours.
    """
    for ours in (folder / NEW, folder / READY):
        if os.path.lexists(ours) and (ours.is_symlink() or not ours.is_dir()):
            raise ValueError(f"{ours} is no folder of an earlier call, and is left alone: remove it")
    if is_being_replaced(folder):
        _move(folder)
    if (folder / NEW).exists():
        shutil.rmtree(folder / NEW)


def _move(folder: Path) -> None:
    """Remove the files that go, and move the new ones to their places; any number of times until it is done.

    Raises:
        ValueError: the list of those that go cannot be read, or is none of names in the folder.
        OSError: the folder cannot be written.
    """
    ready = folder / READY
    for name in _names(ready / _GOING):
        (folder / name).unlink(missing_ok=True)
    for name in sorted(entry.name for entry in os.scandir(ready)):
        if name != _GOING:
            os.replace(ready / name, folder / name)
    (ready / _GOING).unlink(missing_ok=True)
    ready.rmdir()


def _names(path: Path) -> list[str]:
    """The names of files in a list; none where it is not there: that of those that go is the last that is removed.

    Raises:
        ValueError: it cannot be read, or is no list of names of files in a folder.
    """
    try:
        names = parse_json(read_input(path, _MAX_NAMES))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(f"{path}: no list of files can be read: {error}") from None
    if not isinstance(names, list) or not all(isinstance(each, str) and _is_plain(each) for each in names):
        raise ValueError(f"{path}: no list of names of files")
    return names


def _is_plain(name: str) -> bool:
    """Whether a name leads to nothing outside of its folder."""
    return name not in ("", ".", "..") and "\0" not in name and os.path.split(name)[1] == name
