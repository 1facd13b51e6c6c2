"""Headers of NumPy's arrays in files: checked before anything is allocated for the values."""

from __future__ import annotations

import ast
import math
import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"\x93NUMPY"

MAX_HEADER = 10_000
"""Bytes of a header that are looked at, as NumPy's own limit."""

HEAD = 12 + MAX_HEADER
"""The first bytes of an array's file, among which a header ends."""

_PLAIN = re.compile(r"[<>|=]?(?:[?biufSU][0-9]{0,9}|bool|u?int(?:8|16|32|64)|float(?:16|32|64))")
"""Types that are read: truth values, numbers and text. No pickles, no structures, no dates, no raw bytes."""

_FORM = re.compile(r"""(?:[\s{}\[\]():,]|'[^'\\\n]*'|"[^"\\\n]*"|[0-9]+L?(?!\w)|(?:True|False|None)(?!\w))*""")
"""What a header is written with: brackets, texts without escapes, whole numbers, three names. Of other things, as of
``1if``, Python's own grammar may warn, and a warning is nothing that a file may bring about."""


class Header(NamedTuple):
    """What an array's file says of its values.

    Attributes:
        shape: none of it negative.
        dtype: of plain values, at least a byte each.
        fortran: whether the first axis is the fastest.
        begin: the byte at which the values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    begin: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


def npy_header(content: bytes) -> Header:
    """The header at the beginning of an array's file.

    As NEP 1 has it: any order of the keys, and whole numbers as Python 2 wrote them on Windows ("24L"). It costs no
    more than ``MAX_HEADER`` bytes of Python's own grammar take.

    Args:
        content: the file, or its first ``HEAD`` bytes.

    Raises:
        ValueError: no array, or one of values that are not read: pickles, structures, dates, texts of no letters.
    """
    if content[:6] != MAGIC or content[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("no array")
    width = 2 if content[6] == 1 else 4
    begin = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = content[8 + width : begin]
    if begin > len(content) or len(header) > MAX_HEADER:
        raise ValueError("no array: its header breaks off or is too long")
    return Header(*_words(header), begin)


@lru_cache(maxsize=256)
def _words(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type and order of a header; kept, because most files have the same few."""
    try:
        text = header.decode("utf-8")
        if not _FORM.fullmatch(text):
            raise ValueError
        words = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text).strip())
        shape, descr, fortran = words["shape"], words["descr"], words["fortran_order"]
    except Exception:  # a literal may fail in a dozen ways
        raise ValueError("no array: its header is none") from None
    fits = isinstance(shape, tuple) and len(shape) <= 32 and all(type(size) is int and size >= 0 for size in shape)
    if len(words) != 3 or not fits or type(fortran) is not bool:
        raise ValueError("no array: its header is none")
    if not isinstance(descr, str) or not _PLAIN.fullmatch(descr):
        what = "a pickle" if isinstance(descr, str) and "O" in descr else f"of type {descr}"[:80]
        raise ValueError(f"{what}, which is never loaded")
    try:
        dtype = np.dtype(descr)
    except TypeError:
        dtype = np.dtype("S0")
    if not dtype.itemsize:
        raise ValueError(f"of type {descr}, which is never loaded")
    return shape, dtype, fortran
