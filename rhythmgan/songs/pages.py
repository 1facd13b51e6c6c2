"""What the pages of a parquet table ask for, counted before pyarrow unpacks any.

The table's own directory says how large its columns are, but pyarrow takes the word of each page's header: a size
that is asked for at once, and a number of values, which a few bytes can repeat. Directory and headers are structures
of Thrift's compact protocol; they are read here, since pyarrow ends the process at some that are damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from mmap import mmap
from typing import Any, NamedTuple

MAX_DIRECTORY = 64 << 20
"""Bytes of a table's directory: a million columns in groups of rows have so many."""

_MAX_DEPTH = 16

Structure = dict[int, Any]
"""The values of a structure by the numbers of its fields: whole numbers, bytes, lists and structures."""


class Page(NamedTuple):
    """What the header of a page says.

    Attributes:
        is_dictionary: whether it holds values that others repeat.
        n_bytes: that it unpacks to.
        n_values: how many values it has.
    """

    is_dictionary: bool
    n_bytes: int
    n_values: int


def pages(data: bytes | mmap, columns: Collection[str]) -> Iterator[Page]:
    """The pages of some columns of a table, without what is in them.

    Args:
        data: the table.
        columns: the first parts of their paths.

    Raises:
        ValueError: a directory or headers that are none.
    """
    try:
        for begin, end in _chunks(data, columns):
            place = begin
            while place < end:
                header = _Structures(data, place)
                fields = header.structure()
                n_bytes, packed = _number(fields[2]), _number(fields[3])
                kinds = [fields[kind] for kind in _KINDS if kind in fields]
                yield Page(_DICTIONARY in fields, n_bytes, max(_number(kind[1]) for kind in kinds) if kinds else 0)
                place = header.place + packed
    except (LookupError, TypeError, AttributeError, struct.error):
        raise ValueError("its directory or the header of a page is damaged") from None


_DICTIONARY = 7
_KINDS = (5, _DICTIONARY, 8)
"""The fields of a header that are a page's own: of values, of a dictionary, of values as of version 2."""


def _chunks(data: bytes | mmap, columns: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where the pages of these columns begin and end, in each group of rows."""
    (length,) = struct.unpack("<I4x", data[-8:])
    if length > min(len(data) - 8, MAX_DIRECTORY):
        raise ValueError(f"its directory has more than {MAX_DIRECTORY >> 20} MiB, or breaks off")
    for group in _Structures(data, len(data) - 8 - length).structure()[4]:
        for chunk in group[1]:
            facts = chunk[3]
            if facts[3][0].decode("utf-8", "replace") in columns:
                first = _number(facts[9])
                begin = min(first, _number(facts.get(11, 0)) or first)
                yield begin, begin + _number(facts[7])


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a number in its directory or in the header of a page is none")
    return value


_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_NUMBERS = (4, 5, 6)


class _Structures:
    """Structures that are read byte by byte from a place on; ``place`` is behind what was read."""

    def __init__(self, data: bytes | mmap, place: int) -> None:
        self._data = data
        self.place = place

    def structure(self, depth: int = 0) -> Structure:
        """The next one."""
        if depth > _MAX_DEPTH:
            raise ValueError("structures nested too deep")
        found: Structure = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        """The next value; a truth value takes a byte, as in lists."""
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind in _NUMBERS:
            return self._signed()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind == _STRUCT:
            return self.structure(depth + 1)
        if kind in (_LIST, _SET) and depth <= _MAX_DEPTH:
            head = self._byte()
            n = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15, depth + 1) for _ in range(n)]
        raise ValueError("a value of an unknown kind")

    def _byte(self) -> int:
        byte = self._data[self.place]
        self.place += 1
        return byte

    def _bytes(self, n: int) -> bytes:
        if n > len(self._data) - self.place:
            raise ValueError("a text that breaks off")
        self.place += n
        return self._data[self.place - n : self.place]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number that does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
