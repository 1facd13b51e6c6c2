"""Safetensors files that are not trusted: all that a file says of itself is checked before any of it is believed.

The header alone says which tensors there are. So whoever reads compares names, shapes and types first, then the
checksum, and takes memory for tensors only then. What is written here begins its header with a SHA-256 of the whole
file but for the digest, so that every flipped bit is found; any reader of safetensors reads these files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from rhythmgan.files import whole_file
from rhythmgan.inputs import open_input, parse_json_object

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER = 1 << 20
"""Bytes of the header at most: the largest of ours have some tens of thousands. Parsed it takes up to 60 times that."""

CHECKSUM = "sha256"
"""The name of the digest in the metadata; it is the first one there."""

_CHUNK = 1 << 20
_DIGITS = 64
_PREFIX = f'{{"__metadata__":{{"{CHECKSUM}":"'.encode()
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types by their names in the file and in torch."""

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Entry:
    """A tensor as the header describes it.

    Attributes:
        dtype: name of its type in torch.
        shape: its shape.
        start, stop: where its bytes lie in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class TensorFile:
    """An open safetensors file. Its header is read and checked, its tensors are not.

    Attributes:
        path: its name, for errors.
        metadata: what it says of itself.
        entries: its tensors by name, in the order of their names.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        """Read the header.

        Raises:
            ValueError: no safetensors file; it names ``path``.
        """
        self.path, self._file = path, file
        try:
            self._header, found, self._size = _read_header(file)
            self.metadata = _metadata_of(found.pop("__metadata__", {}))
            self.entries = _entries_of(found, 8 + len(self._header), self._size)
        except ValueError as error:
            raise ValueError(f"{path}: not a safetensors file: {error}") from None

    @property
    def has_checksum(self) -> bool:
        """Whether it says what its bytes sum up to."""
        return CHECKSUM in self.metadata

    def verify(self) -> None:
        """Compare the bytes of the file with its checksum, a mebibyte of them in memory at a time.

        Raises:
            ValueError: they differ, or there is no checksum where it belongs.
        """
        digits = len(_PREFIX)
        if not self._header.startswith(_PREFIX):
            raise ValueError(f"{self.path}: damaged: its checksum is not where it belongs")
        summed = hashlib.sha256(len(self._header).to_bytes(8, "little"))
        summed.update(self._header[:digits] + self._header[digits + _DIGITS :])
        self._file.seek(8 + len(self._header))
        while chunk := self._file.read(_CHUNK):
            summed.update(chunk)
        if self._header[digits : digits + _DIGITS] != summed.hexdigest().encode():
            raise ValueError(f"{self.path}: damaged: its bytes do not have its checksum")

    def read(self, name: str) -> Tensor:
        """A tensor of the file, in memory of its own.

        Raises:
            ValueError: the file has become shorter since it was opened.
        """
        import torch

        entry = self.entries[name]
        data = bytearray(entry.stop - entry.start)
        self._file.seek(entry.start)
        if self._file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise ValueError(f"{self.path}: became shorter while it was read")
        dtype = getattr(torch, entry.dtype)
        if not data:
            return torch.empty(entry.shape, dtype=dtype)
        if dtype == torch.bool:  # other bytes than 0 and 1 are no truth values, and torch computes nonsense with them
            return torch.frombuffer(data, dtype=torch.uint8).view(entry.shape) != 0
        return torch.frombuffer(data, dtype=dtype).view(entry.shape)


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Open a safetensors file and check its header.

    Raises:
        ValueError: no safetensors file; it names ``path``.
        OSError: it cannot be opened, or is no regular file.
    """
    with open_input(path) as file:
        yield TensorFile(os.fspath(path), file)


def read_tensor_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a safetensors file says of itself, without its tensors; empty where it says nothing. As ``open_tensors``."""
    with open_tensors(path) as file:
        return file.metadata


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and what they are as a safetensors file with its checksum, whole or not at all, and durable.

    No copy is made of tensors that lie in the memory of the CPU in one piece: a replay may be most of what there is.
    The same tensors and metadata are the same bytes.

    Args:
        path: the file; a regular one that was there is replaced.
        tensors: of any device.
        metadata: what the file says of itself.

    Raises:
        OSError: it cannot be written; it names ``path``.
    """
    names = {f"torch.{torch_name}": name for name, torch_name in _TYPES.items()}
    types = {name: names[str(tensor.dtype)] for name, tensor in tensors.items()}
    # the widest numbers first: all then lie on multiples of their size, as the library lays them
    order = sorted(tensors, key=lambda name: (-_SIZES[types[name]], name))
    header: dict[str, Any] = {"__metadata__": {CHECKSUM: "0" * _DIGITS} | dict(sorted(metadata.items()))}
    start = 0
    for name in order:
        shape = list(tensors[name].shape)
        stop = start + math.prod(shape) * _SIZES[types[name]]
        header[name] = {"dtype": types[name], "shape": shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(f"{os.fspath(path)}: {len(tensors)} tensors and their metadata make too large a header")
    length = len(text).to_bytes(8, "little")
    before, after = text[: len(_PREFIX)], text[len(_PREFIX) + _DIGITS :]
    summed = hashlib.sha256(length + before + after)
    for name in order:
        summed.update(_bytes_of(tensors[name]))
    with whole_file(path, durable=True) as file:
        file.write(length + before + summed.hexdigest().encode() + after)
        for name in order:
            file.write(_bytes_of(tensors[name]))


def sort_metadata(data: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names: the library writes them in a random one.

    The same tensors and metadata are then the same bytes, and their hash says whether anything changed.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin on a multiple of eight bytes, as the library lays them
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _read_header(file: BinaryIO) -> tuple[bytes, dict[str, Any], int]:
    """The bytes of the header, what it says, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if len(start) < 8:
        raise ValueError("it has less than eight bytes")
    length = int.from_bytes(start, "little")
    if length > size - 8:
        raise ValueError("it is shorter than its header")
    if length > MAX_HEADER:
        raise ValueError(f"its header of {length:,} bytes is larger than {MAX_HEADER:,}")
    header = file.read(length)
    if len(header) < length:
        raise ValueError("it is shorter than its header")
    return header, parse_json_object(header), size


def _metadata_of(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("its metadata are no texts by name")
    return found


def _entries_of(found: Mapping[str, Any], start: int, size: int) -> dict[str, Entry]:
    """The tensors of a header; they fill the file from ``start`` to its end, without gaps."""
    entries = {name: _entry_of(name, said, start) for name, said in sorted(found.items())}
    end = start
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.stop)):
        if entry.start != end:
            raise ValueError("its tensors overlap or leave gaps")
        end = entry.stop
    if end != size:
        raise ValueError(f"its tensors end at byte {end:,}, and the file at {size:,}")
    return entries


def _entry_of(name: str, said: Any, start: int) -> Entry:
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"it does not say type, shape and place of {name[:40]!r}")
    dtype, shape, place = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise ValueError(f"{name[:40]!r} is of a type that is not read: {str(dtype)[:20]}")
    if not _are_sizes(shape) or not _are_sizes(place) or len(shape) > 8 or len(place) != 2:
        raise ValueError(f"shape or place of {name[:40]!r} are no numbers that there can be")
    if place[1] - place[0] != math.prod(shape) * _SIZES[dtype]:
        raise ValueError(f"the shape of {name[:40]!r} does not fit its bytes")
    return Entry(_TYPES[dtype], tuple(shape), start + place[0], start + place[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)
