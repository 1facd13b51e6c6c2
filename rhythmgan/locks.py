"""Folders and files that one process uses at a time. Whoever is killed keeps nobody out: its lock ends with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The file in a folder that is locked; it is removed when the lock is given back."""


@contextmanager
def locked_folder(folder: str | os.PathLike[str], refused: str = "another run is writing here") -> Iterator[None]:
    """A folder that is there, for this process alone until the block ends.

    Args:
        folder: its ``.lock`` is locked.
        refused: what is said where another process, or another thread of this one, has it.

    Raises:
        ValueError: it has; the message names the folder.
        OSError: the folder is not there, or nothing can be written into it.
    """
    path = Path(folder) / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not try_lock(descriptor):
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


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process, without waiting; whether it could be."""
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
