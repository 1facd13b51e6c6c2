"""Files that come from outside: regular ones only, no larger than is said, and JSON that cannot break its reader.

A pipe or a device is never waited for, and nothing is read without a bound.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import unicodedata
from typing import Any, BinaryIO

MAX_JSON = 4 << 20
"""Bytes of a JSON file that is read: a note of options or a config has a few thousand."""


def open_input(path: str | os.PathLike[str], most: int | None = None) -> BinaryIO:
    """Open a file to read it.

    Args:
        path: the file, or a link to it.
        most: bytes that it may have; by default any number.

    Raises:
        OSError: it cannot be opened, is a folder, a pipe or a device, or is too large; it names ``path``.
    """
    name = os.fspath(path)
    # asked before it is opened, since to open a pipe is to wait, and some devices act on being opened
    _check_regular(os.stat(name), name)
    file = open(name, "rb")  # noqa: SIM115
    found = os.fstat(file.fileno())
    try:
        _check_regular(found, name)
        if most is not None and found.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {_in_words(most)}", name)
    except OSError:
        file.close()
        raise
    return file


def read_input(path: str | os.PathLike[str], most: int) -> bytes:
    """The bytes of a file, which may have ``most``.

    Raises:
        OSError: as ``open_input``, or it grew meanwhile.
    """
    with open_input(path, most) as file:
        # room for what there is: to ask for the most takes that much memory, however small the file
        n_bytes = min(os.fstat(file.fileno()).st_size, most)
        data = file.read(n_bytes + 1)
        if len(data) > n_bytes:
            data += file.read(most - n_bytes)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {_in_words(most)}", os.fspath(path))
    return data


def parse_json(data: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, is no UTF-8, or is nested deeper than Python reads.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def parse_json_object(data: str | bytes) -> dict[str, Any]:
    """The names and values of a JSON object.

    Raises:
        ValueError: as ``parse_json``, or it is something else than an object.
    """
    found = parse_json(data)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def read_json_object(path: str | os.PathLike[str], most: int = MAX_JSON) -> dict[str, Any]:
    """The names and values of a JSON file.

    Raises:
        ValueError: it holds no JSON object; it names ``path``.
        OSError: as ``read_input``.
    """
    data = read_input(path, most)
    try:
        return parse_json_object(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: no JSON object can be read: {error}") from None


def shown(value: object, most: int = 80) -> str:
    """A value that a file holds, in a line of a message: whatever it is there, it is short and breaks no line.

    Args:
        value: anything that JSON has.
        most: letters that are shown of it.
    """
    text = str(value) if is_plain(value) else "something else"
    return one_line(text if len(text) <= most else f"{text[:most]}…")


def is_plain(value: object) -> bool:
    """Whether a value is a text, a number, a truth value or none, or a list of such: nothing is nested in it."""
    return all(isinstance(each, _PLAIN) for each in (value if isinstance(value, list) else [value]))


_PLAIN = (str, int, float, bool, type(None))


def one_line(text: str) -> str:
    """A text from outside as a terminal may show it: what breaks lines or commands the terminal is escaped.

    All other letters stay: names of files have any.
    """
    return text if text.isprintable() else "".join(_escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    # Cc commands a terminal, Cf turns the writing around, Cs is half a letter, Zl and Zp break lines; the two joiners,
    # of Cf, are in names of many languages
    if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or letter in "\u200c\u200d":
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def _check_regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _in_words(n_bytes: int) -> str:
    return f"{n_bytes >> 20:,} MiB" if n_bytes >= 1 << 20 else f"{n_bytes:,} bytes"
