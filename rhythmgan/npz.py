"""NumPy's .npz files: read whole, mapped into memory, or written column by column. Nothing is ever unpickled."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Collection, Iterable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

MAX_NPZ = 4 << 30
"""Bytes that a .npz file may unpack to; the corpus of all of LPD takes a quarter of it."""

MAX_CHECKED = 256 << 20
"""A mapped file up to this size has its checksums compared; a larger one is not read to the end for them."""

_ALIGNMENT = 64
"""Columns begin on a multiple of so many bytes of the file, so that they can be mapped as they are."""


def read_npz(path: str | os.PathLike[str], what: str) -> dict[str, np.ndarray]:
    """Every member of a .npz file as an array; a .npy file is one member without a name.

    Raises:
        ValueError: damaged, another kind of file, or a pickle; it names ``path`` and ``what`` was expected.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file):
                size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
                if size > MAX_NPZ:
                    raise ValueError(f"it unpacks to {size >> 20:,} MiB")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
        except Exception as error:  # a dozen kinds: NumPy's, zipfile's, zlib's and the tokenizer's own
            raise ValueError(f"{path}: not {what}: {_reason(error)}") from None


def npz_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the members of a .npz file, without reading them; none of another kind of file.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            return [name.removesuffix(".npy") for name in zipfile.ZipFile(file).namelist()]
        except Exception:
            return []


def map_npz(
    path: str | os.PathLike[str], what: str, checked: bool = True, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The members of an uncompressed .npz file as an array that is mapped into memory: it is read where it is used.

    Args:
        path: the file.
        what: was expected.
        checked: whether the checksums are compared, if the file is no larger than ``MAX_CHECKED``.
        names: the members that are wanted, where they are there; all by default.

    Raises:
        ValueError: damaged, compressed, another kind of file, or a pickle; it names ``path`` and ``what`` was expected.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
            if (
                checked
                and sum(info.file_size for info in archive.infolist()) <= MAX_CHECKED
                and archive.testzip() is not None
            ):
                raise ValueError("its checksums do not fit")
            return {
                info.filename.removesuffix(".npy"): _mapped(path, file, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy") and (names is None or info.filename[:-4] in names)
            }
        except Exception as error:
            raise ValueError(f"{path}: not {what}: {_reason(error)}") from None


def _mapped(path: str | os.PathLike[str], file: BinaryIO, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed, which cannot be mapped")
    file.seek(info.header_offset)
    name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    begin = info.header_offset + 30 + name_length + extra_length
    file.seek(begin)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds a pickle, which is never loaded")
    place = file.tell()
    n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if fortran or n_bytes < 0 or place + n_bytes > begin + info.file_size:
        raise ValueError(f"{info.filename} is shorter than its header says")
    if not n_bytes:
        return np.zeros(shape, dtype)  # nothing cannot be mapped
    return np.memmap(path, dtype, "r", place, shape)


def _reason(error: Exception) -> str:
    reason = str(error).partition("\n")[0] or type(error).__name__
    if "pickle" in reason:  # NumPy's own words tell how to load it all the same
        reason = "it holds a pickle, which is never loaded, or it is no array file"
    return reason


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
    text = repr({"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}).encode("latin-1")
    length = len(text) + 1
    length += -(place + 10 + length) % _ALIGNMENT
    return npy.magic(1, 0) + struct.pack("<H", length) + text.ljust(length - 1) + b"\n"


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
