"""Members of an archive: where the content of each lies, and what else is known of it, in columns."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np

FILE, ZIP, TAR, PARQUET = "file", "zip", "tar", "parquet"
"""The kinds of what holds a file; more of a .tar that is compressed, see ``archives.SUFFIXES``."""

MAX_SMALL, MAX_RATIO = 64 << 20, 256
"""Bytes that an archive of any size may unpack to, and those that each of its own adds: MIDI in a .tar.xz has 50."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """A name with spaces for its control characters, of which a NUL ends names in a corpus, and others lines."""
    return _CONTROL.sub(" ", text)


class Place(NamedTuple):
    """Where the content of a file lies.

    Attributes:
        kind: of the file or archive that holds it.
        offset: the byte at which a .zip's local header or a .tar's content begins, in a .tar.gz counted
            unpacked; the row of a table.
        size: bytes of the content; -1 where it is not known.
        packed: bytes that it takes in a .zip.
        method: how a .zip packs it.
        crc: its CRC-32 in a .zip.
        problem: why it cannot be read, where that is known beforehand.
    """

    kind: str = FILE
    offset: int = 0
    size: int = -1
    packed: int = 0
    method: int = 0
    crc: int = 0
    problem: str = ""


PLAIN = Place()
"""A plain file, all of it."""


class Member(NamedTuple):
    """A file inside an archive: its name there (``/`` between folders), its place, and its style if a table has one."""

    name: str
    place: Place
    style: str = ""


class Texts(Sequence[str]):
    """Texts end to end in one buffer: what a list takes for two million names would not fit beside a corpus."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def append(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogatepass")


class Members(Sequence[Member]):
    """Members in columns: 80 bytes for each where objects take 600."""

    def __init__(self) -> None:
        self.names = Texts()
        self._offset, self._size, self._packed = array("q"), array("q"), array("q")
        self._crc, self._rest = array("I"), array("I")
        self._rests: dict[tuple[str, int, str, str], int] = {}  # kind, method, problem, style: there are few
        self._rest_of: list[tuple[str, int, str, str]] = []

    def append(self, name: str, place: Place, style: str = "") -> None:
        """Add a member.

        Raises:
            OverflowError: its place is beyond all files; nothing is added.
        """
        if max(place.offset, place.size, place.packed) >= 1 << 63:
            raise OverflowError("a member beyond all files")
        self.names.append(name)
        self._offset.append(place.offset)
        self._size.append(place.size)
        self._packed.append(place.packed)
        self._crc.append(place.crc)
        rest = (place.kind, place.method, place.problem, style)
        number = self._rests.setdefault(rest, len(self._rests))
        if number == len(self._rest_of):
            self._rest_of.append(rest)
        self._rest.append(number)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        kind, method, problem, style = self._rest_of[self._rest[index]]
        offset, size, packed, crc = self._offset[index], self._size[index], self._packed[index], self._crc[index]
        return Member(self.names[index], Place(kind, offset, size, packed, method, crc, problem), style)

    def without_repeats(self) -> Members:
        """These, of several that are called alike the last."""
        hashes = np.fromiter(map(hash, self.names), np.int64, len(self.names))
        if len(np.unique(hashes)) == len(hashes):
            return self
        last = {name: index for index, name in enumerate(self.names)}
        kept = Members()
        for index in sorted(last.values()):
            kept.append(*self[index])
        return kept


@dataclass
class Listing:
    """What an archive holds.

    Attributes:
        members: in the order in which the archive has them; of several that are called alike the last.
        tables: the content of each member called as ``TABLES``, by its name.
        damage: what is wrong with the archive as a whole; what was found before is listed all the same.
        n_skipped: links, devices and the like.
        n_archives: archives in it, which are not read.
    """

    members: Members = field(default_factory=Members)
    tables: dict[str, bytes] = field(default_factory=dict)
    damage: str = ""
    n_skipped: int = 0
    n_archives: int = 0
