"""The folder beside a corpus that holds what a run has read so far, until the corpus is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rhythmgan.files import MAX_NAME, shortened
from rhythmgan.locks import LOCK, locked_folder

SUFFIX = ".part"
"""Of all files in the folder but the lock, unfinished ones too."""

_LOCKS = (LOCK, "lock")
"""The lock, and what earlier releases called it."""


def _folder_of(out: str | os.PathLike[str]) -> Path:
    """What the folder of a corpus is called: as the corpus, or, of a long name, by its beginning and its hash."""
    folder, name = os.path.split(os.fspath(out))
    whole = os.path.join(folder, f"{name}.parts")
    # earlier releases shortened no names: what they have left is found
    if len(os.fsencode(name)) + len(".parts") <= MAX_NAME or os.path.lexists(whole):
        return Path(whole)
    end = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.parts"
    return Path(folder, shortened(name, MAX_NAME - len(end)) + end)


@contextmanager
def parts_folder(out: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder of a run, which no other run may use meanwhile. A run that is killed keeps nobody out.

    It is removed when the block ends, or ends with a ValueError; of a run that is stopped it stays.

    Raises:
        ValueError: another run uses it, or a folder of that name holds something else.
        OSError: it cannot be made.
    """
    folder = _folder_of(out)
    with ExitStack() as held:
        while True:
            if folder.is_symlink() or (folder.exists() and not all(map(_is_ours, folder.iterdir()))):
                raise ValueError(f"{folder}: is in the way: it holds something else than what a stopped run has read")
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the run before ended, and removed it, since we made it
                held.enter_context(locked_folder(folder, "another run is preparing this corpus"))
                break
        try:
            yield folder
        except ValueError:
            _remove(folder, held)
            raise
        _remove(folder, held)


def _is_ours(path: Path) -> bool:
    return path.name in _LOCKS or path.name.endswith(SUFFIX)


def _remove(folder: Path, held: ExitStack) -> None:
    """Remove what is ours, give back the lock, and remove the folder, if nobody has come into it."""
    for path in folder.iterdir():
        if _is_ours(path) and path.name != LOCK:
            path.unlink(missing_ok=True)
    held.close()
    with suppress(OSError):
        folder.rmdir()
