"""The drum track of a Lakh Pianoroll Dataset file, read straight from its sparse members.

An LPD .npz (LPD-5, LPD-17, of 2017 or newer) is a zip of ``pianoroll_{i}_csc_{data, indices, indptr,
shape}.npy`` for each track, ``tempo.npy``, ``downbeat.npy`` and ``info.json``. Only what belongs to
the drum track is unpacked, and nothing is ever unpickled.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from rhythmgan.grid import NoBars, Onsets, TimeSignature

SUFFIX = ".npz"

MAX_MEMBER = 256 << 20
"""Bytes that a member may unpack to; an hour of music at 24 ticks a beat has about 30 MB of it."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_DAMAGE = (
    *(ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError, MemoryError, EOFError),
    *(OSError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What is raised of bytes that are no zip, or of members that are not in LPD's layout."""


class _Archive:
    """The members of a file by name, each read when it is asked for and not beyond the size that it declares."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE:
            raise NoBars("unreadable", "not a .npz file, or it breaks off") from None

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        if name not in self:
            raise NoBars("unreadable", f"no member {name}")
        info = self._zip.getinfo(name)
        if info.file_size > MAX_MEMBER:
            raise NoBars("unreadable", f"{name} is larger than {MAX_MEMBER >> 20} MiB")
        if info.compress_type not in _PACKINGS:
            raise NoBars("unreadable", f"{name} is packed in an unknown way")
        try:
            with self._zip.open(info) as member:
                content = member.read(info.file_size)  # asked for all, zipfile would unpack more than is declared
        except _DAMAGE:
            raise NoBars("unreadable", f"{name} is damaged") from None
        if len(content) != info.file_size:
            raise NoBars("unreadable", f"{name} is damaged")
        return content

    def array(self, name: str) -> np.ndarray:
        """A one-dimensional .npy member (or one column) of a plain number type, as (n,)."""
        content = self.read(name)
        file = io.BytesIO(content)
        try:
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
            shape, _, dtype = read_header(file)
        except (
            Exception
        ):  # NumPy evaluates a header's words as a literal, a dtype, a shape: any may fail in its own way
            raise NoBars("unreadable", f"{name} is no array") from None
        if dtype.kind not in "biuf":
            what = "a pickle" if dtype.hasobject else f"of type {dtype.str}"
            raise NoBars("unreadable", f"{name} is {what}, which is never loaded")
        if not (len(shape) == 1 or shape[1:] == (1,)) or shape[0] < 0:
            raise NoBars("unreadable", f"{name} is no one-dimensional array")
        return np.frombuffer(content, dtype, shape[0], file.tell())


def read_lpd(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of an LPD .npz file.

    A run of neighbouring ticks at one pitch is one onset: in some copies drums are held. Bars are 4/4
    where the file's downbeats are four beats apart, or where it has none.

    Raises:
        NoBars: unreadable, a pickle, or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    with _opened(path) as (archive, info, drums):
        ticks_per_beat = int(info.get("resolution") or info["beat_resolution"])
        if not 1 <= ticks_per_beat <= 1 << 20:
            raise ValueError(f"{ticks_per_beat} ticks a beat")
        columns = [_track_hits(archive, key) for key in drums]
        ticks, pitches, velocities = (
            (np.concatenate(column) for column in zip(*columns, strict=True)) if columns else [np.empty(0, int)] * 3
        )
        downbeat = archive.array("downbeat.npy") if "downbeat.npy" in archive else np.empty(0, bool)
    if not len(ticks):
        raise NoBars("no drums", "no drum track" if not drums else "the drum track has no notes")
    order = np.argsort(ticks, kind="stable")
    return Onsets(
        beat=ticks[order] / ticks_per_beat,
        pitch=pitches[order].astype(np.uint8),
        velocity=np.clip(velocities[order], 1, 127).astype(np.uint8),
        time_signatures=downbeats_to_time_signatures(np.flatnonzero(downbeat), ticks_per_beat),
    )


def read_lpd_cells(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sounding cell of the drum tracks as (n,) ticks, pitches and velocities, in LPD's own order.

    Raises:
        NoBars: unreadable, or a pickle.
        OSError: the file cannot be opened.
    """
    with _opened(path) as (archive, _, drums):
        cells = [_track_cells(archive, key) for key in drums]
        return tuple(np.concatenate(column) for column in zip(*cells, strict=True))  # type: ignore[return-value]


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[_Archive, dict[str, Any], list[str]]]:
    """The members of a file, its info and the keys of its drum tracks; what is raised of it becomes a ``NoBars``."""
    with open(path, "rb") as file:
        try:
            archive = _Archive(file)
            info = json.loads(archive.read("info.json"))
            drums = [key for key, track in info.items() if isinstance(track, dict) and track.get("is_drum")]
            yield archive, info, drums
        except NoBars:
            raise
        except _DAMAGE as error:
            raise NoBars("unreadable", f"not in LPD's layout ({type(error).__name__}: {error})"[:120]) from None


def _track_cells(archive: _Archive, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One track's compressed sparse columns as ticks, pitches and velocities of its non-zero cells."""
    ticks = archive.array(f"pianoroll_{key}_csc_indices.npy")
    starts = archive.array(f"pianoroll_{key}_csc_indptr.npy")
    values = archive.array(f"pianoroll_{key}_csc_data.npy")
    if (
        len(starts) != 129
        or len(values) != len(ticks)
        or starts[-1] != len(ticks)
        or (np.diff(starts) < 0).any()
        or starts[0]
    ):
        raise ValueError("sparse members that do not fit together")
    if ticks.dtype.kind not in "iu" or (len(ticks) and not 0 <= ticks.min() <= ticks.max() < 1 << 31):
        raise ValueError("ticks that are none")
    pitches = np.repeat(np.arange(128), np.diff(starts))
    sounding = values > 0
    # a boolean pianoroll has no loudness: take the middle of the range
    velocities = np.where(values, 64, 0) if values.dtype == bool else values
    return ticks[sounding].astype(np.int64), pitches[sounding], velocities[sounding]


def _track_hits(archive: _Archive, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first cell of every run of neighbouring ticks at one pitch."""
    ticks, pitches, velocities = _track_cells(archive, key)
    follows = np.append(False, (np.diff(ticks) == 1) & (np.diff(pitches) == 0)) if len(ticks) else np.empty(0, bool)
    return ticks[~follows], pitches[~follows], velocities[~follows]


def downbeats_to_time_signatures(downbeats: np.ndarray, ticks_per_beat: int) -> tuple[TimeSignature, ...]:
    """The time signatures that the distances of downbeats tell: 4/4 where they are four beats."""
    if len(downbeats) and downbeats[0]:
        downbeats = np.append(0, downbeats)  # an upbeat is a bar of its own length
    lengths = np.diff(downbeats)
    changes = np.append(True, np.diff(lengths) != 0) if len(lengths) else np.empty(0, bool)
    return tuple(
        # a bar of n ticks is n parts of a beat long; only four beats have a name here
        TimeSignature(
            tick / ticks_per_beat, *((4, 4) if length == 4 * ticks_per_beat else (length, 4 * ticks_per_beat))
        )
        for tick, length in zip(downbeats[:-1][changes].tolist(), lengths[changes].tolist(), strict=True)
    )
