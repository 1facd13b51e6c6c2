"""The drum track of a Lakh Pianoroll Dataset file, read straight from its sparse members.

An LPD .npz (LPD-5, LPD-17, of 2017 or newer) is a zip of ``pianoroll_{i}_csc_{data, indices, indptr,
shape}.npy`` for each track, ``tempo.npy``, ``downbeat.npy`` and ``info.json``. Only what belongs to
the drum track is unpacked, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan.grid import NoBars, Onsets, TimeSignature

SUFFIX = ".npz"

MAX_MEMBER = 256 << 20
"""Bytes that a member may unpack to; an hour of music at 24 ticks a beat has about 30 MB of it."""

_END_RECORD = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_NPY_HEADER = re.compile(rb"\{'descr': '([^']+)', 'fortran_order': (?:False|True), 'shape': \((\d+),(?: 1)?\)")
_NPY_TYPES = {"|b1", "|u1", "|i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"}


class _Archive:
    """Just enough of a zip reader: members by name, unpacked on request.

    The standard library's takes about as long to list the 62 members of an LPD file as everything
    else here together.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        at = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
        if at < 0:
            raise NoBars("unreadable", "not a .npz file, or it breaks off")
        _, _, _, _, n_entries, _, place, _ = _END_RECORD.unpack_from(data, at)
        self.members: dict[str, tuple[int, int, int, int, int]] = {}
        for _ in range(n_entries):
            entry = _ENTRY.unpack_from(data, place)
            if entry[0] != b"PK\x01\x02":
                raise NoBars("unreadable", "a broken zip directory")
            method, crc, packed, size, n_name, n_extra, n_comment = entry[4], *entry[7:10], *entry[10:13]
            place += _ENTRY.size
            name = data[place : place + n_name].decode("utf-8", "replace")
            self.members[name] = (method, crc, packed, size, entry[16])
            place += n_name + n_extra + n_comment

    def read(self, name: str) -> bytes:
        if name not in self.members:
            raise NoBars("unreadable", f"no member {name}")
        method, crc, packed, size, at = self.members[name]
        if size > MAX_MEMBER:
            raise NoBars("unreadable", f"{name} is larger than {MAX_MEMBER >> 20} MiB")
        n_name, n_extra = struct.unpack_from("<2H", self.data, at + 26)
        at += 30 + n_name + n_extra
        content = self.data[at : at + packed]
        if method == 8:
            content = zlib.decompressobj(-15).decompress(content, max(size, 1))  # a limit of 0 is none
        elif method != 0:
            raise NoBars("unreadable", f"{name} is packed in an unknown way")
        if len(content) != size or zlib.crc32(content) != crc:
            raise NoBars("unreadable", f"{name} is damaged")
        return content

    def array(self, name: str) -> np.ndarray:
        """A one-dimensional .npy member (or one column) of a plain number type, as (n,)."""
        content = self.read(name)
        if content[:6] != b"\x93NUMPY":
            raise NoBars("unreadable", f"{name} is no array")
        wide = content[6] > 1
        (length,) = struct.unpack_from("<I" if wide else "<H", content, 8)
        start = (12 if wide else 10) + length
        header = _NPY_HEADER.match(content, start - length, start)
        if not header:
            raise NoBars("unreadable", f"{name} is no one-dimensional array")
        kind = header[1].decode()
        if kind not in _NPY_TYPES:
            what = "a pickle" if kind == "|O" else f"of type {kind}"
            raise NoBars("unreadable", f"{name} is {what}, which is never loaded")
        return np.frombuffer(content, kind, int(header[2]), start)


def read_lpd(path: str | os.PathLike[str]) -> Onsets:
    """The drum onsets of an LPD .npz file.

    A run of neighbouring ticks at one pitch is one onset: in some copies drums are held. Bars are 4/4
    where the file's downbeats are four beats apart, or where it has none.

    Raises:
        NoBars: unreadable, a pickle, or without drums; the reason says which.
        OSError: the file cannot be opened.
    """
    try:
        archive, info, drums = _open(path)
        ticks_per_beat = int(info.get("resolution") or info["beat_resolution"])
        if not 1 <= ticks_per_beat <= 1 << 20:
            raise ValueError(f"{ticks_per_beat} ticks a beat")
        columns = [_track_hits(archive, key) for key in drums]
        ticks, pitches, velocities = (
            (np.concatenate(column) for column in zip(*columns, strict=True)) if columns else [np.empty(0, int)] * 3
        )
        downbeat = archive.array("downbeat.npy") if "downbeat.npy" in archive.members else np.empty(0, bool)
    except NoBars:
        raise
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise NoBars("unreadable", f"not in LPD's layout ({type(error).__name__}: {error})"[:120]) from None
    except (struct.error, zlib.error) as error:
        raise NoBars("unreadable", f"not in LPD's layout ({type(error).__name__}: {error})"[:120]) from None
    if not len(ticks):
        raise NoBars("no drums", "no drum track" if not drums else "the drum track has no notes")
    order = np.argsort(ticks, kind="stable")
    return Onsets(
        beat=ticks[order] / ticks_per_beat,
        pitch=pitches[order].astype(np.uint8),
        velocity=np.clip(velocities[order], 1, 127).astype(np.uint8),
        time_signatures=_time_signatures(np.flatnonzero(downbeat), ticks_per_beat),
    )


def read_lpd_cells(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sounding cell of the drum tracks as (n,) ticks, pitches and velocities, in LPD's own order."""
    archive, _, drums = _open(path)
    cells = [_track_cells(archive, key) for key in drums]
    return tuple(np.concatenate(column) for column in zip(*cells, strict=True))  # type: ignore[return-value]


def _open(path: str | os.PathLike[str]) -> tuple[_Archive, dict[str, Any], list[str]]:
    """The members of a file, its info and the keys of its drum tracks."""
    archive = _Archive(Path(path).read_bytes())
    info = json.loads(archive.read("info.json"))
    return archive, info, [key for key, track in info.items() if isinstance(track, dict) and track.get("is_drum")]


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


def _time_signatures(downbeats: np.ndarray, ticks_per_beat: int) -> tuple[TimeSignature, ...]:
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
