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
"""The file in a folder that is locked where the folder itself cannot be: on Windows, and on NFS."""


@contextmanager
def locked_folder(
    folder: str | os.PathLike[str], refused: str = "another run is writing here", *, wait: bool = False
) -> Iterator[None]:
    """A folder that is there, for this process alone until the block ends.

    The folder itself is locked, which leaves nothing behind; where that cannot be, its ``LOCK``.

    Args:
        folder: what is locked.
        refused: what is said where another process, or another thread of this one, has it.
        wait: until they have it no longer, instead.

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


def _lock_itself(folder: str | os.PathLike[str], refused: str, wait: bool) -> int | None:
    """A descriptor that locks a folder until it is closed, or None where a folder cannot be locked."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written to and not read
        return None
    try:
        if try_lock(descriptor, wait=wait):
            return descriptor
    except OSError:  # NFS locks only what is open to be written to
        os.close(descriptor)
        return None
    os.close(descriptor)
    raise ValueError(f"{os.fspath(folder)}: {refused}")


@contextmanager
def _locked_file(folder: str | os.PathLike[str], refused: str, wait: bool) -> Iterator[None]:
    """See ``locked_folder``."""
    path = Path(folder) / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not try_lock(descriptor, wait=wait):
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


def try_lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file for this process, without waiting unless asked to; whether it could be.

    Raises:
        OSError: its file system has no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
    import msvcrt

    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            if not wait:  # it gives up after ten seconds
                return False
        else:
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
