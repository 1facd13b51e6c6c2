"""NumPy's .npz files: read whole, mapped into memory, or written column by column. Nothing is ever unpickled.

Every member passes one door before its values are read: the archive's directory (``zips.check_members``), then its own
header (``npy.npy_header``), which must say as many bytes as the directory does.
"""

from __future__ import annotations

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Collection, Iterable
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from rhythmgan.inputs import open_input
from rhythmgan.npy import HEAD, MAGIC, Header, npy_header
from rhythmgan.zips import STORED, STORED_OR_DEFLATED, check_members, check_packing, open_zip, printable

MAX_NPZ = 4 << 30
"""Bytes that a .npz file may unpack to; the corpus of all of LPD takes a quarter of it."""

MAX_UNPACKED, MAX_RATIO = 64 << 20, 128
"""Bytes that it may unpack to whatever its size, and those that each of its own bytes adds to them."""

MAX_DIRECTORY = 4 << 20
"""Bytes of the directory of a .npz file; ours have a few thousand."""

MAX_CHECKED = 256 << 20
"""A mapped file up to this size has its checksums compared; a larger one is not read to the end for them."""

_ALIGNMENT = 64
"""Columns begin on a multiple of so many bytes of the file, so that they can be mapped as they are."""

_CHUNK = 1 << 20


def read_npz(path: str | os.PathLike[str], what: str) -> dict[str, np.ndarray]:
    """Every member of a .npz file as an array; a .npy file is one member without a name.

    It costs what the arrays take and no more: ``MAX_UNPACKED`` bytes and ``MAX_RATIO`` for each byte of the file,
    ``MAX_NPZ`` at most.

    Raises:
        ValueError: damaged, another kind of file, a member that is no array of numbers or text, or one that is larger;
            it names ``path`` and ``what`` was expected.
        OSError: the file cannot be opened or read.
    """
    with open_input(path) as file:
        try:
            n_bytes = os.fstat(file.fileno()).st_size
            if file.read(len(MAGIC)) == MAGIC:
                if n_bytes > MAX_NPZ:
                    raise ValueError(f"it has more than {MAX_NPZ >> 20:,} MiB")
                file.seek(0)
                return {"": _read_array(file, n_bytes, "it")}
            most = min(MAX_NPZ, MAX_UNPACKED + MAX_RATIO * n_bytes)
            members = _checked(file, n_bytes, most, STORED_OR_DEFLATED)
            found = {}
            for member in members.infolist():
                with members.open(member) as content:
                    found[_name(member)] = _read_array(content, member.file_size, printable(member))
            return found
        except Exception as error:  # zipfile and zlib have a dozen kinds of their own
            raise _refusal(error, path, what) from None


def npz_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the members of a .npz file, without reading them; none of another kind of file.

    It takes ten times the bytes of the directory, which may have ``MAX_DIRECTORY``.

    Raises:
        OSError: the file cannot be opened.
    """
    with open_input(path) as file:
        try:
            return [name.removesuffix(".npy") for name in open_zip(file, MAX_DIRECTORY).namelist()]
        except ValueError:
            return []


def map_npz(
    path: str | os.PathLike[str], what: str, checked: bool = True, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The members of an uncompressed .npz file as an array that is mapped into memory: it is read where it is used.

    It takes ten times the bytes of the directory, which may have ``MAX_DIRECTORY``; nothing is ever unpacked. The file
    is open, once, for as long as any of the arrays is there.

    Args:
        path: the file.
        what: was expected.
        checked: whether letters and truth values are looked at, and checksums compared, these if the file is no larger
            than ``MAX_CHECKED``.
        names: the members that are wanted, where they are there; all by default.

    Raises:
        ValueError: damaged, compressed, another kind of file, or a pickle; it names ``path`` and ``what`` was expected.
        OSError: the file cannot be opened, read or mapped; it names ``path``.
    """
    with open_input(path) as file:
        try:
            n_bytes = os.fstat(file.fileno()).st_size
            archive = _checked(file, n_bytes, n_bytes, STORED)
            if checked and n_bytes <= MAX_CHECKED and archive.testzip() is not None:
                raise ValueError("its checksums do not fit")
            # one map for all members: each map keeps the file open once more
            content = np.memmap(file, np.uint8, "r")
            return {
                _name(info): _mapped(file, content, info, checked)
                for info in archive.infolist()
                if info.filename.endswith(".npy") and (names is None or _name(info) in names)
            }
        except Exception as error:
            raise _refusal(error, path, what) from None


def _checked(file: BinaryIO, n_bytes: int, most: int, packings: Collection[int]) -> zipfile.ZipFile:
    """The directory of a file of ``n_bytes`` whose members lie apart, have names of their own, and unpack to ``most``.

    Raises:
        ValueError: it is another one.
    """
    archive = open_zip(file, MAX_DIRECTORY)
    members = archive.infolist()
    check_packing(members, packings)
    check_members(members, n_bytes, most)
    if len({_name(member) for member in members}) < len(members):
        raise ValueError("two of its members are called alike")
    return archive


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _read_array(file: IO[bytes], n_bytes: int, name: str) -> np.ndarray:
    """An array of which file and header say the same size.

    Raises:
        ValueError: they do not, or it is none.
    """
    head = file.read(min(n_bytes, HEAD))
    header = _checked_header(head, n_bytes, name)
    values = np.empty(header.n_bytes, np.uint8)
    place = len(head) - header.begin
    values[:place] = np.frombuffer(head, np.uint8, place, header.begin)
    while place < len(values):
        piece = file.read(min(_CHUNK, len(values) - place))
        if not piece:
            raise ValueError(f"{name} breaks off")
        values[place : place + len(piece)] = np.frombuffer(piece, np.uint8)
        place += len(piece)
    array = values.view(header.dtype) if len(values) else np.empty(0, header.dtype)
    _check_values(array, name)
    return array.reshape(header.shape[::-1]).T if header.fortran else array.reshape(header.shape)


def _check_values(array: np.ndarray, name: str) -> None:
    """Refuse what no text and no truth value is: Python ends in errors of its own, and NumPy counts wrong."""
    if array.dtype.kind == "U":
        letters = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if letters.max(initial=0) > sys.maxunicode:
            raise ValueError(f"{name} holds letters that there are not")
    if array.dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError(f"{name} holds truth values that are neither")


def _checked_header(head: bytes, n_bytes: int, name: str) -> Header:
    """The header of an array's file of ``n_bytes``, which begins like this."""
    try:
        header = npy_header(head)
    except ValueError as error:
        raise ValueError(f"{name} is {error}") from None
    if header.begin + header.n_bytes != n_bytes:
        raise ValueError(
            f"{name} has {n_bytes - header.begin:,} bytes of values, and its header says {header.n_bytes:,}"
        )
    return header


def _mapped(file: BinaryIO, content: np.ndarray, info: zipfile.ZipInfo, checked: bool) -> np.ndarray:
    """A member of a file of which the content is mapped as bytes.

    Raises:
        ValueError: it is no array, or not as long as it says.
    """
    file.seek(info.header_offset)
    name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    begin = info.header_offset + 30 + name_length + extra_length
    file.seek(begin)
    header = _checked_header(file.read(min(info.file_size, HEAD)), info.file_size, printable(info))
    if header.fortran:
        raise ValueError(f"{printable(info)} is in Fortran's order, which is not mapped")
    values = content[begin + header.begin :][: header.n_bytes]
    if len(values) < header.n_bytes:
        raise ValueError(f"{printable(info)} breaks off")
    if not header.n_bytes:
        return np.zeros(header.shape, header.dtype)  # nothing cannot be mapped
    array = values.view(header.dtype).reshape(header.shape)
    if checked:
        _check_values(array, printable(info))
    return array


def _refusal(error: Exception, path: str | os.PathLike[str], what: str) -> Exception:
    """What is raised where reading a file ended like this: a failing system is not blamed on what the file holds."""
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror, os.fspath(path))
    return ValueError(f"{os.fspath(path)}: not {what}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """One line on a damaged file."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, zlib.error):
        return "a member of it is damaged"
    return str(error).partition("\n")[0] or type(error).__name__


class NpzWriter:
    """An uncompressed .npz file that is written column by column, each in pieces, so that none need fit into memory."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin the archive in a file that is open for writing and can seek."""
        self._file = file
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def write(self, name: str, dtype: np.dtype, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
        """Write one member from arrays that follow one another along its first axis.

        Raises:
            ValueError: the pieces do not add up to the shape.
        """
        # a fixed date, so that the same columns are the same bytes
        info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
        with self._archive.open(info, "w", force_zip64=True) as member:
            member.write(_header(dtype, shape, self._file.tell()))
            n = 0
            for piece in pieces:
                if piece.shape[1:] != shape[1:]:
                    raise ValueError(f"{name}: a piece of shape {piece.shape} does not fit {shape}")
                n += len(piece)
                member.write(np.ascontiguousarray(piece, dtype).data.cast("B") if piece.size else b"")
        if shape and n != shape[0]:
            raise ValueError(f"{name}: pieces of {n} rows do not make {shape}")

    def add(self, name: str, array: np.ndarray) -> None:
        """Write one member from one array."""
        if array.ndim:
            self.write(name, array.dtype, array.shape, [array])
            return
        info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
        with self._archive.open(info, "w", force_zip64=True) as member:
            member.write(_header(array.dtype, (), self._file.tell()) + array.tobytes())

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """End the archive; the file stays open. After an error it is left as it is."""
        if kind is not None:
            self._archive.fp = None  # or it would be ended when it is collected, in a file that is closed
        self._archive.close()


def _header(dtype: np.dtype, shape: tuple[int, ...], place: int) -> bytes:
    """A .npy header that is to be written at this place of a file, so long that what follows it is aligned."""
    text = repr({"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}).encode("latin-1")
    length = len(text) + 1
    length += -(place + 10 + length) % _ALIGNMENT
    return npy_format.magic(1, 0) + struct.pack("<H", length) + text.ljust(length - 1) + b"\n"


_MAX_NAME = 400
"""Bytes of a member that is a name, four a letter; those of kits have up to ten letters."""


def name_of(member: np.ndarray, what: str) -> str:
    """The name that a member is, as that of a kit.

    Raises:
        ValueError: it is something else; it says that ``what`` is.
    """
    if member.shape or member.dtype.kind != "U" or member.itemsize > _MAX_NAME:
        raise ValueError(f"{what} is {member.dtype} {member.shape}, not a name")
    return str(member)


def encode_names(names: Iterable[str]) -> np.ndarray:
    """Texts as bytes in UTF-8, each ended by a zero: a quarter of what NumPy's own arrays of text take.

    Names of files that are no UTF-8 come back as they were.

    Raises:
        ValueError: a name with a zero in it.
    """
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    if any(b"\0" in name for name in encoded):
        raise ValueError("a name holds a zero byte, which ends names here")
    return np.frombuffer(b"".join(name + b"\0" for name in encoded), np.uint8)


def decode_names(column: np.ndarray) -> tuple[str, ...]:
    """The texts of ``encode_names``.

    Raises:
        ValueError: a column that it would not have made.
    """
    if column.ndim != 1 or column.dtype != np.uint8 or (len(column) and column[-1] != 0):
        raise ValueError(f"names must be bytes that end with a zero, not {column.shape} {column.dtype}")
    return tuple(name.decode("utf-8", "surrogateescape") for name in column.tobytes().split(b"\0")[:-1])
