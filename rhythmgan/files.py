"""Files that are whole or not there: every write goes to a neighbour first, then takes the name."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the name ``path`` only when the block ends well.

    A file that was there stays as it was until then, and for good if the block fails. A link is
    followed: the file behind it is replaced.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or ``path`` is a folder
            or a device; it names ``path``.
    """
    target, part = _target_and_part(path)
    try:
        with open(part, "wb") as file:
            yield file
        os.replace(part, target)
    except BaseException as error:
        _give_up(part, path, error)
        raise


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` as the whole content of ``path``, or leave what is there.

    Plain system calls: folders of 100,000 small files are what this is for.

    Raises:
        OSError: as ``whole_file``.
    """
    target, part = _target_and_part(path)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            written = os.write(descriptor, data)
            while written < len(data):  # a disk that fills up takes a part first
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)
        os.replace(part, target)
    except BaseException as error:
        _give_up(part, path, error)
        raise


_HOST = platform.node()


def _target_and_part(path: str | os.PathLike[str]) -> tuple[str, str]:
    """What to replace, and the neighbour to write to first."""
    target = check_target(path)
    folder, name = os.path.split(target)
    return target, os.path.join(folder, f".{name}.{_HOST}.{os.getpid()}.part")


def check_target(path: str | os.PathLike[str]) -> str:
    """The file that writing to ``path`` makes or replaces: itself, or what it links to.

    Raises:
        OSError: a folder, a pipe or a device is there.
    """
    target = os.fspath(path)
    if os.path.exists(target):
        target = os.path.realpath(target)
        mode = os.stat(target).st_mode
        if not stat.S_ISREG(mode):
            kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(kind, "is not a regular file, and is left alone", os.fspath(path))
    return target


def _give_up(part: str, path: str | os.PathLike[str], error: BaseException) -> None:
    """Leave nothing of an unfinished file, and blame a failing system on the name the caller knows."""
    with suppress(OSError):
        os.unlink(part)
    if isinstance(error, OSError) and error.filename in (None, part):
        error.filename, error.filename2 = os.fspath(path), None


def sweep_parts(folder: Path) -> None:
    """Remove what killed processes of this machine left unfinished in a folder."""
    for path in folder.glob(f".*.{_HOST}.*.part"):
        process = path.name.split(".")[-2]
        if process.isdigit():
            try:
                os.kill(int(process), 0)
            except ProcessLookupError:
                path.unlink(missing_ok=True)
            except OSError:  # it lives, and is somebody else's
                pass


def read_safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a safetensors file says of itself, without its tensors; empty where it says nothing.

    Raises:
        ValueError: no safetensors file; it names ``path``.
        OSError: the file cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # safetensors' own errors for a missing or unreadable file name no path
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None


def sort_safetensors_metadata(data: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names: the library writes them in a random one.

    The same tensors and metadata are then the same bytes, and their hash says whether anything changed.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin on a multiple of eight bytes, as the library lays them
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder ``path``, made with its parents where it is missing, and known to be writable.

    Raises:
        ValueError: the name is empty.
        OSError: it cannot be made, is a file, or nothing can be written into it.
    """
    if not os.fspath(path):
        raise ValueError("the name of the output folder is empty")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(folder / ".writable", b"")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    (folder / ".writable").unlink()
    return folder
