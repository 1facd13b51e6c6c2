"""The drum track of a Lakh Pianoroll Dataset file, read straight from its sparse members.

An LPD .npz (LPD-5, LPD-17, of 2017 or newer) is a zip of ``pianoroll_{i}_csc_{data, indices, indptr,
shape}.npy`` for each track, ``tempo.npy``, ``downbeat.npy`` and ``info.json``. Only what belongs to
the drum track is unpacked, and nothing is ever unpickled.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from rhythmgan.grid import NoBars, Onsets, TimeSignature
from rhythmgan.inputs import MAX_JSON, open_input, parse_json_object
from rhythmgan.npy import Header, npy_header
from rhythmgan.zips import check_members, check_packing, open_zip, read_member

SUFFIX = ".npz"

MAX_UNPACKED = 256 << 20
"""Bytes that all members of a file may unpack to."""

MAX_SMALL, MAX_RATIO = 16 << 20, 256
"""Bytes that they may unpack to in a file of any size, and those that each of its own adds; real ones have 5 to 9."""

MAX_MEMBER = 32 << 20
"""Bytes that a member may unpack to; an hour of music at 24 ticks a beat has a few MB of it."""

MAX_CELLS = 1 << 21
"""Sounding cells of all drum tracks: an hour at 24 ticks a beat in which twelve drums are held throughout."""

MAX_DOWNBEATS = 1 << 16
"""Bars that a file may mark: as many as ``grid.MAX_BARS`` keeps of a song."""

_MAX_DIRECTORY = 1 << 20

_DAMAGE = (
    *(ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError, MemoryError, EOFError),
    *(OSError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What is raised of members that are not in LPD's layout."""


class _Archive:
    """The members of a file by name, each read when it is asked for and not beyond the size that it declares."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            self._zip = open_zip(file, _MAX_DIRECTORY)
        except ValueError:
            raise NoBars("unreadable", "not a .npz file, or it breaks off") from None
        n_bytes = file.seek(0, io.SEEK_END)
        try:
            most = min(MAX_UNPACKED, MAX_SMALL + MAX_RATIO * n_bytes)
            check_members(self._zip.infolist(), n_bytes, most)
        except ValueError as error:
            raise NoBars("unreadable", str(error)) from None

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
        if max(info.file_size, info.compress_size) > MAX_MEMBER:
            raise NoBars("unreadable", f"{name} is larger than {MAX_MEMBER >> 20} MiB")
        try:
            check_packing([info])
        except ValueError as error:
            raise NoBars("unreadable", str(error)) from None
        where = info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
        try:
            return read_member(self._file, *where, most)
        except ValueError:
            raise NoBars("unreadable", f"{name} is damaged") from None

    def array(self, name: str) -> np.ndarray:
        """A one-dimensional .npy member (or one column) of a plain number type, as (n,).

        Raises:
            NoBars: it is missing, too large or damaged, or something else.
        """
        content = self.read(name)
        header = _checked_header(name, content)
        if header.dtype == bool:  # of a byte that is neither 0 nor 1 NumPy counts wrong
            return np.frombuffer(content, np.uint8, header.shape[0], header.begin) != 0
        return np.frombuffer(content, header.dtype, header.shape[0], header.begin)

    def first_values(self, name: str) -> np.ndarray:
        """The values of such a member that are among its first ``_FIRST_BYTES``.

        Raises:
            NoBars: as ``array``.
        """
        content = self.read(name, _FIRST_BYTES)
        header = _checked_header(name, content)
        there = (len(content) - header.begin) // header.dtype.itemsize
        return np.frombuffer(content, header.dtype, min(header.shape[0], there), header.begin)


_FIRST_BYTES = 1 << 12


def _checked_header(name: str, content: bytes) -> Header:
    """The header of an .npy member that is one-dimensional and of numbers.

    Raises:
        NoBars: it is something else.
    """
    try:
        header = npy_header(content)
    except ValueError as error:
        raise NoBars("unreadable", f"{name} is {error}") from None
    if header.dtype.kind not in "biuf":
        raise NoBars("unreadable", f"{name} is of type {header.dtype.str}, which is never loaded")
    if not (len(header.shape) == 1 or header.shape[1:] == (1,)):
        raise NoBars("unreadable", f"{name} is no one-dimensional array")
    return header


def read_lpd(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of an LPD .npz file; see ``parse_lpd``.

    Raises:
        NoBars: unreadable, a pickle, or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    with open_input(path) as file:
        return _onsets(file)


def parse_lpd(data: bytes) -> Onsets:
    """The drum onsets in the bytes of an LPD .npz file.

    A run of neighbouring ticks at one pitch is one onset: in some copies drums are held. Bars are 4/4
    where the file's downbeats are four beats apart, or where it has none. The tempo is the first that MIDI has; 120
    where there is none, or its member is damaged.

    Whatever the bytes say, no member unpacks to more than ``MAX_MEMBER``, nor all to more than ``MAX_UNPACKED``; what
    is made of them takes up to 300 bytes for each of ``MAX_CELLS``.

    Raises:
        NoBars: unreadable, a pickle, too large, or without drums; the reason says which.
    """
    return _onsets(io.BytesIO(data))


def _onsets(file: BinaryIO) -> Onsets:
    with _opened(file) as (archive, info, drums):
        ticks_per_beat = int(info.get("resolution") or info["beat_resolution"])
        if not 1 <= ticks_per_beat <= 1 << 20:
            raise ValueError(f"{ticks_per_beat} ticks a beat")
        columns = _of_tracks(archive, drums, _track_hits)
        ticks, pitches, velocities = (
            (np.concatenate(column) for column in zip(*columns, strict=True)) if columns else [np.empty(0, int)] * 3
        )
        downbeat = archive.array("downbeat.npy") if "downbeat.npy" in archive else np.empty(0, bool)
        if np.count_nonzero(downbeat) > MAX_DOWNBEATS:
            raise NoBars("unreadable", f"more than {MAX_DOWNBEATS:,} downbeats")
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


_SLOWEST, _FASTEST = 1.0, 60e6
"""Quarter notes a minute: MIDI's fastest lasts a microsecond, and none of its tempos is below 3."""


def _first_bpm(archive: _Archive) -> float | None:
    """The first tempo that MIDI can have, in quarter notes a minute; None where none is, or in a damaged member."""
    try:
        tempo = archive.first_values("tempo.npy").astype(np.float64)  # half precision does not reach the fastest
    except NoBars:
        return None
    written = tempo[(tempo >= _SLOWEST) & (tempo <= _FASTEST)]
    return float(written[0]) if len(written) else None


def read_lpd_bpm(path: str | os.PathLike[str]) -> float | None:
    """Quarter notes a minute at the beginning of an LPD file; None where it holds no tempo.

    Raises:
        NoBars: unreadable, or a pickle.
        OSError: the file cannot be opened.
    """
    with open_input(path) as file, _opened(file) as (archive, _, _):
        return _first_bpm(archive)


def read_lpd_cells(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sounding cell of the drum tracks as (n,) ticks, pitches and velocities, in LPD's own order.

    Raises:
        NoBars: unreadable, or a pickle.
        OSError: the file cannot be opened.
    """
    with open_input(path) as file, _opened(file) as (archive, _, drums):
        cells = _of_tracks(archive, drums, _track_cells)
        return tuple(np.concatenate(column) for column in zip(*cells, strict=True))  # type: ignore[return-value]


@contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[_Archive, dict[str, Any], list[str]]]:
    """The members of a file, its info and the keys of its drum tracks; what is raised of it becomes a ``NoBars``."""
    try:
        archive = _Archive(file)
        note = archive.read("info.json", MAX_JSON + 1)
        if len(note) > MAX_JSON:
            raise NoBars("unreadable", f"info.json is larger than {MAX_JSON >> 20} MiB")
        info = parse_json_object(note)
        drums = [key for key, track in info.items() if isinstance(track, dict) and track.get("is_drum")]
        yield archive, info, drums
    except NoBars:
        raise
    except _DAMAGE as error:
        raise NoBars("unreadable", f"not in LPD's layout ({type(error).__name__}: {error})"[:120]) from None


_Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def _of_tracks(archive: _Archive, keys: list[str], read: Callable[[_Archive, str, int], _Cells]) -> list[_Cells]:
    """What is read of each track, of which all together may have ``MAX_CELLS``."""
    found: list[_Cells] = []
    left = MAX_CELLS
    for key in keys:
        found.append(read(archive, key, left))
        left -= len(found[-1][0])
    return found


def _track_cells(archive: _Archive, key: str, most: int) -> _Cells:
    """One track's compressed sparse columns as ticks, pitches and velocities of its ``most`` non-zero cells."""
    ticks = archive.array(f"pianoroll_{key}_csc_indices.npy")
    starts = archive.array(f"pianoroll_{key}_csc_indptr.npy")
    values = archive.array(f"pianoroll_{key}_csc_data.npy")
    if len(ticks) > most:
        raise NoBars("unreadable", f"more than {MAX_CELLS:,} cells")
    if starts.dtype.kind not in "iu":
        raise ValueError("places that are none")
    starts = starts.astype(np.int64)  # differences of unsigned ones do not fall, they are huge
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


def _track_hits(archive: _Archive, key: str, most: int) -> _Cells:
    """The first cell of every run of neighbouring ticks at one pitch, of ``most`` cells."""
    ticks, pitches, velocities = _track_cells(archive, key, most)
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
        if mark <= start:  # two marks of one bar line, a tick apart
            continue
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
