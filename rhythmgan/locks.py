"""Folders and files that one process uses at a time. Whoever is killed keeps nobody out: its lock ends with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The file in a folder that is locked where the folder itself cannot be: on Windows, and on NFS."""


@contextmanager
def locked_folder(
    folder: str | os.PathLike[str], refused: str = "another run is writing here", *, wait: float = 0.0
) -> Iterator[None]:
    """A folder that is there, for this process alone until the block ends.

    The folder itself is locked, which leaves nothing behind; where that cannot be, its ``LOCK``.

    Args:
        folder: what is locked.
        refused: what is said where another process, or another thread of this one, has it.
        wait: seconds that they may take to give it up, before they are said to have it.

    Raises:
        ValueError: they have it; the message names the folder.
        OSError: the folder is not there, or nothing can be written into it.
    """
    descriptor = _lock_itself(folder, refused, wait)
    if descriptor is None:
        with _locked_file(folder, refused, wait):
            yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_itself(folder: str | os.PathLike[str], refused: str, wait: float) -> int | None:
    """A descriptor that locks a folder until it is closed, or None where a folder cannot be locked."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written to and not read
        return None
    try:
        if _lock_within(wait, descriptor):
            return descriptor
    except OSError:  # NFS locks only what is open to be written to
        os.close(descriptor)
        return None
    os.close(descriptor)
    raise ValueError(f"{os.fspath(folder)}: {refused}")


@contextmanager
def _locked_file(folder: str | os.PathLike[str], refused: str, wait: float) -> Iterator[None]:
    """See ``locked_folder``."""
    path = Path(folder) / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock_within(wait, descriptor):
                raise ValueError(f"{os.fspath(folder)}: {refused}")
            if not leads_to(path, descriptor):
                continue  # the run before removed it between our opening and locking
            try:
                yield
            finally:
                _remove(path)
            return
        finally:
            os.close(descriptor)


_PAUSE = 0.01
"""Seconds between two tries: no system can be asked to wait for a lock for so long and no longer."""


def _lock_within(seconds: float, descriptor: int) -> bool:
    """Lock an open file for this process, whoever has it giving it up within this time; whether it could be.

    Raises:
        OSError: its file system has no locks.
    """
    until = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE)
    return True


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process, without waiting; whether it could be.

    Raises:
        OSError: its file system has no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    import msvcrt

    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def leads_to(path: str | os.PathLike[str], descriptor: int) -> bool:
    """Whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    """Remove the lock's file while it is held; Windows keeps files that are open, which harms nobody."""
    with suppress(OSError):
        os.unlink(path)
