"""The drum track of a Lakh Pianoroll Dataset file, read straight from its sparse members.

An LPD .npz (LPD-5, LPD-17, of 2017 or newer) is a zip of ``pianoroll_{i}_csc_{data, indices, indptr,
shape}.npy`` for each track, ``tempo.npy``, ``downbeat.npy`` and ``info.json``. Only what belongs to
the drum track is unpacked, and nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np

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

    def read(self, name: str, most: int | None = None) -> bytes:
        """A member, or its first bytes.

        Raises:
            NoBars: it is missing, too large or damaged.
        """
        if name not in self:
            raise NoBars("unreadable", f"no member {name}")
        info = self._zip.getinfo(name)
        if info.file_size > MAX_MEMBER:
            raise NoBars("unreadable", f"{name} is larger than {MAX_MEMBER >> 20} MiB")
        if info.compress_type not in _PACKINGS:
            raise NoBars("unreadable", f"{name} is packed in an unknown way")
        size = info.file_size if most is None else min(info.file_size, most)
        try:
            with self._zip.open(info) as member:
                content = member.read(size)  # asked for all, zipfile would unpack more than is declared
        except _DAMAGE:
            raise NoBars("unreadable", f"{name} is damaged") from None
        if len(content) != size:
            raise NoBars("unreadable", f"{name} is damaged")
        return content

    def array(self, name: str) -> np.ndarray:
        """A one-dimensional .npy member (or one column) of a plain number type, as (n,).

        Raises:
            NoBars: it is missing, too large or damaged, or something else.
        """
        content = self.read(name)
        shape, dtype, begin = _checked_header(name, content)
        return np.frombuffer(content, dtype, shape[0], begin)

    def first_values(self, name: str) -> np.ndarray:
        """The values of such a member that are among its first ``_FIRST_BYTES``.

        Raises:
            NoBars: as ``array``.
        """
        content = self.read(name, _FIRST_BYTES)
        shape, dtype, begin = _checked_header(name, content)
        return np.frombuffer(content, dtype, min(shape[0], (len(content) - begin) // dtype.itemsize), begin)


_FIRST_BYTES = 1 << 12


def _checked_header(name: str, content: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and first byte of the values of an .npy member that is one-dimensional and of numbers.

    Raises:
        NoBars: it is something else.
    """
    try:
        shape, dtype, begin = _npy_header(content)
    except Exception:  # a header's words are a literal, a dtype, a shape: any may fail in its own way
        raise NoBars("unreadable", f"{name} is no array") from None
    if dtype.kind not in "biuf":
        what = "a pickle" if dtype.hasobject else f"of type {dtype.str}"
        raise NoBars("unreadable", f"{name} is {what}, which is never loaded")
    if not (len(shape) == 1 or shape[1:] == (1,)) or shape[0] < 0:
        raise NoBars("unreadable", f"{name} is no one-dimensional array")
    return shape, dtype, begin


def _npy_header(content: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and first byte of the values of an .npy member.

    As NEP 1 has it: any order of the keys, and whole numbers as Python 2 wrote them on Windows ("24L").
    """
    if content[:6] != b"\x93NUMPY" or content[6] not in (1, 2, 3):
        raise ValueError("no .npy")
    width = 2 if content[6] == 1 else 4
    begin = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = content[8 + width : begin]
    if begin > len(content) or len(header) > _MAX_HEADER:
        raise ValueError("a header that is no header")
    return *_header_words(header), begin


_MAX_HEADER = 10_000


@lru_cache(maxsize=256)
def _header_words(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a header; kept, because most files have the same few."""
    words = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", header.decode("utf-8")).strip())
    shape = words["shape"]
    if words.keys() != {"descr", "fortran_order", "shape"} or not all(type(size) is int for size in shape):
        raise ValueError("a header of other words")
    return tuple(shape), np.dtype(words["descr"])


def read_lpd(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of an LPD .npz file; see ``parse_lpd``.

    Raises:
        NoBars: unreadable, a pickle, or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        return _onsets(file)


def parse_lpd(data: bytes) -> Onsets:
    """The drum onsets in the bytes of an LPD .npz file.

    A run of neighbouring ticks at one pitch is one onset: in some copies drums are held. Bars are 4/4
    where the file's downbeats are four beats apart, or where it has none. The tempo is the first that is written; 120
    where there is none, or its member is damaged.

    Raises:
        NoBars: unreadable, a pickle, or without drums; the reason says which.
    """
    return _onsets(io.BytesIO(data))


def _onsets(file: BinaryIO) -> Onsets:
    with _opened(file) as (archive, info, drums):
        ticks_per_beat = int(info.get("resolution") or info["beat_resolution"])
        if not 1 <= ticks_per_beat <= 1 << 20:
            raise ValueError(f"{ticks_per_beat} ticks a beat")
        columns = [_track_hits(archive, key) for key in drums]
        ticks, pitches, velocities = (
            (np.concatenate(column) for column in zip(*columns, strict=True)) if columns else [np.empty(0, int)] * 3
        )
        downbeat = archive.array("downbeat.npy") if "downbeat.npy" in archive else np.empty(0, bool)
        bpm = _first_bpm(archive)
    if not len(ticks):
        raise NoBars("no drums", "no drum track" if not drums else "the drum track has no notes")
    order = np.argsort(ticks, kind="stable")
    return Onsets(
        beat=ticks[order] / ticks_per_beat,
        pitch=pitches[order].astype(np.uint8),
        velocity=np.clip(velocities[order], 1, 127).astype(np.uint8),
        time_signatures=downbeats_to_time_signatures(np.flatnonzero(downbeat), ticks_per_beat, len(downbeat)),
        bpm=bpm or 120.0,
        n_beats=len(downbeat) / ticks_per_beat,
    )


def _first_bpm(archive: _Archive) -> float | None:
    """The first tempo over 0 in quarter notes a minute; None where none is written, or in a damaged member."""
    try:
        tempo = archive.first_values("tempo.npy")
    except NoBars:
        return None
    written = tempo[np.isfinite(tempo) & (tempo > 0)]
    return float(written[0]) if len(written) else None


def read_lpd_bpm(path: str | os.PathLike[str]) -> float | None:
    """Quarter notes a minute at the beginning of an LPD file; None where it holds no tempo.

    Raises:
        NoBars: unreadable, or a pickle.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file, _opened(file) as (archive, _, _):
        return _first_bpm(archive)


def read_lpd_cells(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sounding cell of the drum tracks as (n,) ticks, pitches and velocities, in LPD's own order.

    Raises:
        NoBars: unreadable, or a pickle.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file, _opened(file) as (archive, _, drums):
        cells = [_track_cells(archive, key) for key in drums]
        return tuple(np.concatenate(column) for column in zip(*cells, strict=True))  # type: ignore[return-value]


@contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[_Archive, dict[str, Any], list[str]]]:
    """The members of a file, its info and the keys of its drum tracks; what is raised of it becomes a ``NoBars``."""
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
    if ((np.diff(ticks) < 0) & (np.diff(pitches) == 0)).any():  # SciPy does not always sort the ticks of a pitch
        order = np.lexsort((ticks, pitches))
        ticks, pitches, velocities = ticks[order], pitches[order], velocities[order]
    follows = np.append(False, (np.diff(ticks) <= 1) & (np.diff(pitches) == 0)) if len(ticks) else np.empty(0, bool)
    return ticks[~follows], pitches[~follows], velocities[~follows]


def downbeats_to_time_signatures(
    downbeats: np.ndarray, ticks_per_beat: int, n_ticks: int = 0
) -> tuple[TimeSignature, ...]:
    """The time signatures that the distances of downbeats tell: 4/4 where they are four beats, to a tick.

    Some marks are a tick off, and some are missing: where most bars are 4/4, several of them between two marks are as
    many bars, and so are those between the last mark and the end.

    Args:
        downbeats: (n,) ticks of the marks, rising.
        ticks_per_beat: of these ticks.
        n_ticks: the whole length; 0 where it is not known.
    """
    bar = 4 * ticks_per_beat
    tolerance = 1 if ticks_per_beat >= _FINE else 0
    marks = downbeats.tolist()
    if not marks or marks == [0]:
        return ()
    if marks[0] > tolerance:
        marks.insert(0, 0)  # an upbeat is a bar of its own length
    marks[0] = 0
    n_bars = np.rint(np.diff(marks) / bar)
    fits = (n_bars >= 1) & (np.abs(np.diff(marks) - n_bars * bar) <= 2 * tolerance)
    mostly_four = (fits & (n_bars == 1)).sum() >= (~fits).sum()
    if mostly_four and n_ticks - marks[-1] >= bar - tolerance:
        marks.append(n_ticks)
    found: list[tuple[int, int, int]] = []
    start = 0  # of the bar, as it should be where its mark is a tick off
    for mark in marks[1:]:
        n = round((mark - start) / bar)
        if n >= 1 and abs(mark - start - n * bar) <= tolerance and (n == 1 or mostly_four):
            signature, end = (4, 4), start + n * bar
        else:
            # a bar of n ticks is n parts of a beat long; only four beats have a name here
            signature, end = (mark - start, bar), mark
        if mark == n_ticks and signature != (4, 4):
            break  # a roll may end anywhere
        if not found or found[-1][1:] != signature:
            found.append((start, *signature))
        start = end
    return tuple(TimeSignature(tick / ticks_per_beat, *signature) for tick, *signature in found)


_FINE = 12
"""Ticks a beat from which on a mark may be a tick off: where they are fewer, a tick is as long as a step."""
