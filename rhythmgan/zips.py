"""Archives of the .zip format that come from outside: their directory is checked before anything is unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import IO, Any, cast

STORED = (zipfile.ZIP_STORED,)

STORED_OR_DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy packs; what else there is unpacks without a bound."""

_ENCRYPTED = 0x1

_LOCAL_HEADER = 30
"""Bytes before a member, at least."""


class _Directory:
    """A file for zipfile, which reads a directory of any length at once and makes ten bytes of each."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self._n_bytes = file.seek(0, io.SEEK_END)
        self.seek, self.tell = file.seek, file.tell

    def read(self, n_bytes: int = -1) -> bytes:
        there = self._n_bytes - self._file.tell()
        wanted = there if n_bytes < 0 else min(n_bytes, there)
        if wanted > self._most:
            raise zipfile.BadZipFile(f"its directory has more than {self._most >> 20} MiB")
        return self._file.read(wanted)


def open_zip(file: IO[bytes], most: int) -> zipfile.ZipFile:
    """The directory of an archive.

    It costs about ten times as many bytes as the directory has.

    Args:
        file: open for reading.
        most: bytes that the directory may have.

    Raises:
        ValueError: no archive, a damaged one, or one with a larger directory.
    """
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", _Directory(file, most)))
    except Exception as error:  # zipfile's own kinds, and those of numbers that are none
        said = str(error).partition("\n")[0]
        raise ValueError(
            said if isinstance(error, zipfile.BadZipFile) and said else "its directory is damaged"
        ) from None
    archive.fp = cast("Any", file)
    return archive


def check_members(members: Sequence[zipfile.ZipInfo], n_bytes: int, most: int) -> None:
    """Refuse an archive whose members lie in each other, behind its end, or would unpack to too much.

    Args:
        members: all of them.
        n_bytes: of the whole archive.
        most: bytes that they may unpack to, all together.

    Raises:
        ValueError: one line that says what is wrong.
    """
    for member in overlapping(members):
        raise ValueError(f"{printable(member)} lies in another member")
    if max((member.header_offset + _LOCAL_HEADER + member.compress_size for member in members), default=0) > n_bytes:
        raise ValueError("it breaks off")
    total = sum(member.file_size for member in members)
    if total > most:
        raise ValueError(f"it unpacks to {total >> 20:,} MiB, more than the {most >> 20:,} MiB that it may")


def overlapping(members: Iterable[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """The members that begin within one before them: the same bytes would be unpacked again and again."""
    end = 0
    for member in sorted(members, key=attrgetter("header_offset")):
        if member.header_offset < end:
            yield member
        else:
            end = member.header_offset + _LOCAL_HEADER + member.compress_size


def check_packing(members: Iterable[zipfile.ZipInfo], packings: Collection[int] = STORED_OR_DEFLATED) -> None:
    """Refuse members that are encrypted, or packed in another way than these.

    Raises:
        ValueError: it names the member.
    """
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{printable(member)} is encrypted")
        if member.compress_type not in packings:
            how = "compressed, which cannot be mapped" if packings == STORED else "packed in an unknown way"
            raise ValueError(f"{printable(member)} is {how}")


def read_member(
    file: IO[bytes], offset: int, packed: int, size: int, method: int, crc: int, most: int | None = None
) -> bytes:
    """A member by its own header, all of it or its first bytes.

    To open an archive of 100,000 members for each run of 64 would take hours; zipfile's own way takes twice as long.

    Args:
        file: the archive.
        offset: where the member's header is.
        packed: bytes that it takes.
        size: bytes that it is to unpack to; no more than one byte more are unpacked.
        method: how it is packed.
        crc: its checksum, which is not looked at where only its first bytes are read.
        most: how many these are.

    Raises:
        ValueError: it is damaged; it says how.
    """
    file.seek(offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\3\4":
        raise ValueError("damaged: its header is not where the directory of the archive says")
    file.seek(sum(struct.unpack("<HH", header[26:30])), io.SEEK_CUR)
    content = file.read(packed)
    wanted = size if most is None else min(size, most)
    # one byte more than is declared says that the declaration is false, whatever else would come
    limit = size + 1 if wanted == size else wanted
    try:
        if method == zipfile.ZIP_DEFLATED:
            content = zlib.decompressobj(-15).decompress(content, limit)
        elif method == zipfile.ZIP_BZIP2:
            content = bz2.BZ2Decompressor().decompress(content, limit)
        elif method == zipfile.ZIP_LZMA:
            content = _unpacked_lzma(content, wanted)
        else:
            content = content[:limit]
    except (zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, ValueError):
        raise ValueError("damaged: it cannot be unpacked") from None
    if len(content) != wanted or (wanted == size and zlib.crc32(content) != crc):
        raise ValueError("damaged: its size or its checksum is not the declared one")
    return content


def _unpacked_lzma(content: bytes, size: int) -> bytes:
    """What a .zip packs by LZMA: a version, the length of the properties, these, and a stream without a header.

    No more than ``size`` is asked for, because a stream without a mark of its end goes on in what fills its last bytes.

    Raises:
        lzma.LZMAError, struct.error, ValueError: damaged.
    """
    n_properties, packing, dictionary = struct.unpack("<2xHBI", content[:9])
    packing, lc = divmod(packing, 9)
    pb, lp = divmod(packing, 5)
    # nothing further back than all of it can be repeated, whatever dictionary is declared
    bounded = max(min(dictionary, size), 4096)
    chain = [{"id": lzma.FILTER_LZMA1, "dict_size": bounded, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain).decompress(content[4 + n_properties :], size)


def printable(member: zipfile.ZipInfo) -> str:
    """A member's name in a message: short, in one line."""
    name = member.filename
    return name if name.isprintable() and len(name) <= 80 else repr(name[:80])
