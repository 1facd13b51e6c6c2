"""Files that are whole or not there: every write goes to a neighbour first, then takes the name."""

from __future__ import annotations

import errno
import itertools
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rhythmgan.locks import leads_to, try_lock

_WINDOWS = os.name == "nt"


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the name ``path`` only when the block ends well.

    A file that was there stays as it was until then, and for good if the block fails; its mode stays in any case. A
    link is followed: the file behind it is replaced.

    Args:
        path: the file.
        durable: whether the file outlasts a power loss, whole, once the block has ended; otherwise it may be empty or
            cut after one. That takes half a millisecond on an SSD, and tens on a disk that turns: for what cannot
            be made again at once, and not for each of 100,000 small files.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or ``path`` is a folder
            or a device; it names ``path``.
    """
    with _part_of(path) as part:
        # through a copy of the descriptor, as the lock goes with the first one that is closed for good
        with open(part.path, "wb", opener=lambda *_: os.dup(part.descriptor)) as file:
            yield file
        part.take_name(durable)


def write_whole(path: str | os.PathLike[str], data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` as the whole content of ``path``, or leave what is there.

    Args:
        path: as ``whole_file``.
        data: what is written.
        durable: as ``whole_file``.

    Raises:
        OSError: as ``whole_file``.
    """
    with _part_of(path) as part:
        written = os.write(part.descriptor, data)
        while written < len(data):  # a disk that fills up takes a part first
            written += os.write(part.descriptor, data[written:])
        part.take_name(durable)


def shortened(name: str, most: int) -> str:
    """As many characters of a name, from the first on, as have this many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


_HOST = shortened(platform.node().replace(os.sep, "_"), 64)
"""This machine, in the names of unfinished files: another's locks may not be seen on a shared disk."""

_PART = re.compile(rf"\..*\.{re.escape(_HOST)}\.(?P<process>\d+)(?P<number>-\d+)?\.part", re.DOTALL)
"""The names of unfinished files of this machine: which file, the machine, the process, and a number within it. Those of
earlier releases have no number and no lock."""

MAX_NAME = 140
"""Bytes that a name of ours has at most where the name is free: eCryptfs takes 143, others 255."""

_numbers = itertools.count()


@dataclass
class _Part:
    """A file that is written and has no name yet. Its lock says that a process is at work on it, and ends with that.

    Attributes:
        path: what it is called meanwhile.
        target: what it is to be called.
        descriptor: of the open file; -1 once it is closed.
    """

    path: str
    target: str
    descriptor: int

    def take_name(self, durable: bool) -> None:
        """Give it the name, as all is written."""
        if durable:
            os.fsync(self.descriptor)
        os.close(os.dup(self.descriptor))  # NFS may say only at a close that its disk is full
        if _WINDOWS:  # which renames no open file
            self.close()
        os.replace(self.path, self.target)
        if durable:
            _sync_folder(os.path.split(self.target)[0])

    def close(self) -> None:
        """Close it, which gives up the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@contextmanager
def _part_of(path: str | os.PathLike[str]) -> Iterator[_Part]:
    """A new file beside ``path``, of the mode of the file that is there. It is removed if the block fails.

    Raises:
        OSError: as ``whole_file``.
    """
    target, mode = _find_target(path)
    try:
        part = _open_part(target, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        yield part
    except BaseException as error:
        part.close()
        with suppress(OSError):
            os.unlink(part.path)
        if isinstance(error, OSError) and error.filename in (None, part.path):
            # a failing system is blamed on the name that the caller knows
            error.filename = os.fspath(path)
            del error.filename2  # set to None it would be part of the message
        raise
    finally:
        part.close()


def _open_part(target: str, mode: int | None = None) -> _Part:
    """A new and empty neighbour of ``target``, open and locked, with this mode or a new file's.

    Raises:
        OSError: it cannot be made.
    """
    folder, name = os.path.split(target)
    create = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for number in _numbers:
        end = f".{_HOST}.{os.getpid()}-{number}.part"
        path = os.path.join(folder, f".{shortened(name, MAX_NAME - 1 - len(end))}{end}")
        try:
            descriptor = os.open(path, create, 0o666 if mode is None else mode & 0o700)
        except FileExistsError:  # left by a process that had our number
            continue
        try:
            if _WINDOWS or (_lock_new(descriptor) and leads_to(path, descriptor)):
                if mode is not None and not _WINDOWS:
                    os.fchmod(descriptor, mode)
                return _Part(path, target, descriptor)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(path)
            raise
        os.close(descriptor)  # swept by another process before it was locked
    raise AssertionError("numbers do not end")


def _lock_new(descriptor: int) -> bool:
    """Lock a new file; whether it is this process's."""
    try:
        return try_lock(descriptor)
    except OSError:  # a file system without locks: nothing is swept there
        return True


def check_target(path: str | os.PathLike[str]) -> str:
    """The file that writing to ``path`` makes or replaces: itself, or what it links to.

    Raises:
        OSError: a folder, a pipe or a device is there, or the path is of an open file, as /dev/stdout is.
    """
    return _find_target(path)[0]


def _find_target(path: str | os.PathLike[str]) -> tuple[str, int | None]:
    """See ``check_target``; and the mode of the file that is there."""
    target = os.fspath(path)
    try:
        mode = os.stat(target).st_mode
    except (OSError, ValueError):  # what is wrong with the name shows when it is written to
        return target, None
    if not stat.S_ISREG(mode):
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(kind, "is not a regular file, and is left alone", target)
    return _followed(target), stat.S_IMODE(mode)


_OF_OPEN_FILES = re.compile(r"/dev/fd|/proc(/.*)?")
"""Folders whose links are no names: what is open is behind them, whatever it is called."""

_MAX_LINKS = 40
"""Links in a row that Linux follows."""


def _followed(path: str) -> str:
    """The name of the file that a path leads to, which is there.

    Raises:
        OSError: the path leads to an open file by its descriptor: it would be replaced, where it was to be written on.
    """
    link = Path(path)
    for _ in range(_MAX_LINKS):
        folder = Path(os.path.realpath(link.parent))
        if _OF_OPEN_FILES.fullmatch(str(folder)):
            raise OSError(errno.EINVAL, "is an open file and not the name of one, and is left alone", path)
        link = folder / link.name
        if not link.is_symlink():
            break
        link = folder / link.readlink()
    return os.path.realpath(path)


def _sync_folder(folder: str) -> None:
    """Have the names in a folder outlast a power loss, where it can be opened to say so: not on Windows."""
    if _WINDOWS:
        return
    try:
        descriptor = os.open(folder or os.curdir, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to and not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs no folders
            raise
    finally:
        os.close(descriptor)


_LEFT_ALONE = 60
"""Seconds after which an unfinished file that nobody has open is left over, where locks do not say so."""


def sweep_parts(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes of this machine left unfinished in a folder, where that can be done."""
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries]:
            if found := _PART.fullmatch(name):
                with suppress(OSError):  # somebody else's, or gone meanwhile
                    _sweep(os.path.join(folder, name), None if found["number"] else int(found["process"]))


def _sweep(path: str, process: int | None) -> None:
    """Remove an unfinished file, unless a process is at work on it: one that has locked it, or else this one."""
    if _WINDOWS:  # which removes no file that is open, but one that is closed and about to be renamed
        if time.time() - os.stat(path).st_mtime > _LEFT_ALONE:
            os.unlink(path)
        return
    if process is not None and _lives(process):
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor) and leads_to(path, descriptor):
            os.unlink(path)
    finally:
        os.close(descriptor)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder among the system's temporary files, which is removed with its content when the block ends.

    Raises:
        OSError: there is none or it is full; it names the folder of temporary files, and says how to choose another.
    """
    try:
        made = tempfile.TemporaryDirectory()
    except OSError as error:
        place = tempfile.tempdir or os.environ.get("TMPDIR")
        raise OSError(error.errno, f"{_no_room(error)}: choose another folder with TMPDIR", place) from None
    with made as folder:
        try:
            yield Path(folder)
        except OSError as error:
            within = isinstance(error.filename, str) and Path(folder) in Path(error.filename).parents
            if not within or error.errno not in _FULL:
                raise
            place = str(Path(folder).parent)
            raise OSError(error.errno, f"{_no_room(error)}: choose another folder with TMPDIR", place) from None


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _no_room(error: OSError) -> str:
    return "there is no room for temporary files" if error.errno in _FULL else "no temporary files can be written"


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise an OSError where what is to be a folder is there, and is none."""
    if os.path.lexists(path) and not Path(path).is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is there and is no folder: choose another one", os.fspath(path))


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder ``path``, made with its parents where it is missing, known to be writable, and swept.

    See ``sweep_parts``.

    Raises:
        ValueError: the name is empty.
        OSError: it cannot be made, is a file, or nothing can be written into it.
    """
    if not os.fspath(path):
        raise ValueError("the name of the output folder is empty")
    folder = Path(path)
    check_folder(folder)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(str(each.parent))
    sweep_parts(folder)
    # of this process alone, as others may ask the same, and swept if it is killed now
    probe = folder / f".writable.{_HOST}.{os.getpid()}-{next(_numbers)}.part"
    try:
        write_whole(probe, b"")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    probe.unlink(missing_ok=True)
    return folder
