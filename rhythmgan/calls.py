"""Files of a folder that one call made: those of the next take their places all at once, also if that is killed.

A call writes into ``.new`` in its folder. When all is there, this is called ``.ready``, which decides: from then on the
files belong to the new call, and whoever next writes into the folder moves those that were not moved yet.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rhythmgan.files import check_target, make_folder, write_whole
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

_MAX_GOING = 64 << 20
"""Bytes of it: a million names."""


@contextmanager
def replaced_files(out: str | os.PathLike[str], is_replaced: Callable[[str], bool]) -> Iterator[Path]:
    """A new folder for all files of a call, which take the places of an earlier call's when the block ends well.

    If it fails, or is killed before, the earlier call's files stay as they are. No other call writes meanwhile.

    Args:
        out: the folder that the files are for, created if missing.
        is_replaced: of a name in it, whether it is an earlier call's file that goes.

    Raises:
        ValueError: another call is writing there.
        OSError: it cannot be written, or the disk is full; files in the new folder are named as they would be called.
    """
    folder = make_folder(out)
    with locked_folder(folder, "another call is writing here"):
        _settle(folder)
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


def _decide(folder: Path, new: Path, is_replaced: Callable[[str], bool]) -> None:
    """Make the new folder the one that counts, once nothing of it is missing and all of it can be moved."""
    names = {entry.name for entry in os.scandir(new)}
    for name in names:
        target = folder / name
        check_target(target)
        with suppress(FileNotFoundError):
            found = os.lstat(target)
            if stat.S_ISREG(found.st_mode):
                (new / name).chmod(stat.S_IMODE(found.st_mode))
    going = [
        entry.name
        for entry in os.scandir(folder)
        if entry.name not in names and is_replaced(entry.name) and not entry.is_dir(follow_symlinks=False)
    ]
    write_whole(new / _GOING, json.dumps(going).encode(), durable=True)
    new.rename(folder / READY)


def _settle(folder: Path) -> None:
    """Finish what a killed call had decided, and remove what one had not."""
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
    for name in _going(ready / _GOING):
        (folder / name).unlink(missing_ok=True)
    for name in sorted(entry.name for entry in os.scandir(ready)):
        if name != _GOING:
            os.replace(ready / name, folder / name)
    (ready / _GOING).unlink(missing_ok=True)
    ready.rmdir()


def _going(path: Path) -> list[str]:
    """The names of files that go; none where the list was removed, as the last of all."""
    try:
        names = parse_json(read_input(path, _MAX_GOING))
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
