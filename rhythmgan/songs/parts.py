"""The folder beside a corpus that holds what a run has read so far, until the corpus is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
"""Of all files in the folder but the lock, unfinished ones too."""

_LOCK = "lock"


@contextmanager
def parts_folder(out: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder of a run, which no other run may use meanwhile. A run that is killed keeps nobody out.

    It is removed when the block ends, or ends with a ValueError; of a run that is stopped it stays.

    Raises:
        ValueError: another run uses it, or a folder of that name holds something else.
        OSError: it cannot be made.
    """
    import fcntl  # here, so that what else the package does needs no POSIX

    folder = Path(f"{os.fspath(out)}.parts")
    while True:
        if folder.is_symlink() or (folder.exists() and not all(map(_is_ours, folder.iterdir()))):
            raise ValueError(f"{folder}: is in the way: it holds something else than what a stopped run has read")
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / _LOCK, "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"{folder}: another run is preparing this corpus") from None
            if not _is_there(folder / _LOCK, lock.fileno()):
                continue  # the run before ended between opening and locking
            try:
                yield folder
            except ValueError:
                _remove(folder)
                raise
            _remove(folder)
            return


def _is_ours(path: Path) -> bool:
    return path.name == _LOCK or path.name.endswith(SUFFIX)


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    """Remove what is ours; what a worker of a killed run still writes may keep the folder."""
    for path in folder.iterdir():
        if _is_ours(path):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
