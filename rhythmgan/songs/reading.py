"""What the workers of ``prepare`` do: files to bars, then the bars of whole songs to columns of a corpus.

Both write what they found as an uncompressed .npz, a *part*, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from rhythmgan import lpd, midi_reader
from rhythmgan.bars import GRIDS, bars_to_words, words_to_bars
from rhythmgan.corpus_file import offset_bytes
from rhythmgan.data import distinct_rows
from rhythmgan.files import whole_file
from rhythmgan.grid import (
    NoBars,
    Onsets,
    QuantisedBars,
    quantise_by_grid,
    quantise_by_grid_or_explain,
    quantise_or_explain,
)
from rhythmgan.inputs import parse_json
from rhythmgan.kit import Kit, kit_named
from rhythmgan.npz import NpzWriter, map_npz
from rhythmgan.roles import song_roles
from rhythmgan.songs.contents import SongFile, contents, suffix_of

CRASHED = "it crashed its reader"

TOO_LARGE = "it takes more memory than there is"

LABELS = ("", "beat", "fill")
"""What a data set may say of a file, in the order of the numbers that ``song_roles`` takes."""

_MAX_COMPARED = 1000
"""Distinct bars of a song that are compared with each other. A song with more is taken apart into its files, and these
into stretches of so many bars: comparing all would take memory by the square."""


@dataclass
class FileFacts:
    """What one file gave.

    Attributes:
        bars: how many bars, by grid.
        n_off_grid: bars of 4/4 that are on none.
        n_onsets, n_onsets_outside: drum onsets, and those of pitches that the kit does not have.
        n_merged: onsets that share their cell with a louder one, which stays.
        bpm: its first tempo.
        reason, detail: why it gave no bars; empty where it gave some.
    """

    bars: dict[int, int] = field(default_factory=dict)
    n_off_grid: int = 0
    n_onsets: int = 0
    n_onsets_outside: int = 0
    n_merged: int = 0
    bpm: float = 120.0
    reason: str = ""
    detail: str = ""


class _File(NamedTuple):
    """A file's bars by grid, what it gave, and how many of its drum onsets have each pitch (128,)."""

    by_grid: dict[int, QuantisedBars]
    facts: FileFacts
    pitches: np.ndarray


def read_files(
    out: str,
    files: Sequence[SongFile],
    kit_name: str,
    steps: int | None = None,
    given: Sequence[bytes | OSError] | None = None,
    crashed: frozenset[int] = frozenset(),
) -> None:
    """Read files and write their bars as a part.

    Args:
        out: the part to write.
        files: which.
        kit_name: the kit that pitches are folded into.
        steps: the grid that everything is quantised to; None leaves each bar on its own.
        given: what the files hold, where it was read already.
        crashed: places in ``files`` of those that are not to be read, as they killed a reader.
    """
    kit = kit_named(kit_name)
    found: list[_File] = []
    with threadpool_limits(1):  # a worker a core: more threads of the linear algebra only wait for each other
        for place, (file, content) in enumerate(zip(files, contents(files) if given is None else given, strict=True)):
            if place in crashed:
                found.append(_nothing("unreadable", CRASHED))
            else:
                found.append(_read_in_memory(file.name, content, kit, steps))
    with whole_file(out) as part, NpzWriter(part) as writer:
        writer.add("facts", np.frombuffer(json.dumps([asdict(file.facts) for file in found]).encode(), np.uint8))
        writer.add("pitches", np.stack([file.pitches for file in found]))
        for grid in GRIDS:
            rows = [(i, file.by_grid[grid]) for i, file in enumerate(found) if grid in file.by_grid]
            if rows:
                for name, column in _columns(rows).items():
                    writer.add(f"{name}_{grid}", column)


def _read_in_memory(name: str, content: bytes | OSError, kit: Kit, steps: int | None) -> _File:
    """What one file gave; one that asks for more memory than there is costs no other."""
    try:
        return _read(name, content, kit, steps)
    except MemoryError:
        return _nothing("unreadable", TOO_LARGE)


def _read(name: str, content: bytes | OSError | NoBars, kit: Kit, steps: int | None) -> _File:
    try:
        if isinstance(content, Exception):
            raise content
        if suffix_of(name) == lpd.SUFFIX:
            onsets = lpd.parse_lpd(content)
        else:
            onsets = midi_reader.parse_midi(content, os.path.splitext(os.path.basename(name))[0])
    except NoBars as why:
        return _nothing(why.reason, why.detail)
    except OSError as error:
        return _nothing("unreadable", error.strerror or str(error))
    return _quantised(onsets, kit, steps)


def _quantised(onsets: Onsets, kit: Kit, steps: int | None) -> _File:
    pitches = np.bincount(onsets.pitch, minlength=128).astype(np.int32)
    facts = FileFacts(n_onsets=len(onsets.beat), bpm=onsets.bpm)
    facts.n_onsets_outside = int(pitches[kit.part_of_pitch < 0].sum())
    try:
        if steps is not None:
            by_grid = {steps: quantise_or_explain(onsets, kit, steps)}
        else:
            song = quantise_by_grid_or_explain(onsets, kit)
            by_grid, facts.n_off_grid, facts.n_merged = song.by_grid, song.n_off_grid, song.n_merged
    except NoBars as why:
        facts.reason, facts.detail = why.reason, why.detail
        facts.n_off_grid = quantise_by_grid(onsets, kit).n_off_grid if steps is None else 0
        return _File({}, facts, pitches)
    facts.bars = {grid: len(found.bars) for grid, found in by_grid.items()}
    return _File(by_grid, facts, pitches)


def _nothing(reason: str, detail: str) -> _File:
    return _File({}, FileFacts(reason=reason, detail=detail), np.zeros(128, np.int32))


def _columns(rows: Sequence[tuple[int, QuantisedBars]]) -> dict[str, np.ndarray]:
    """The bars of several files on one grid as columns."""
    bars = [found.bars for _, found in rows]
    counts = np.concatenate([each.sum((1, 2)) for each in bars])
    return {
        "words": np.concatenate([bars_to_words(each) for each in bars]),
        "file": np.repeat(np.array([i for i, _ in rows], np.int32), [len(each) for each in bars]),
        "index": np.concatenate([found.index for _, found in rows]).astype(np.int32),
        "onset_start": np.append(0, np.cumsum(counts)),
        "velocity": np.concatenate([found.velocities[found.bars] for _, found in rows]),
        "offset": np.concatenate([offset_bytes(found.offsets[found.bars]) for _, found in rows]),
    }


def read_facts(part: str) -> tuple[list[FileFacts], np.ndarray]:
    """What each file of a part gave, and how many of its drum onsets have each pitch (files, 128).

    Raises:
        ValueError: the part is none, or damaged; it names it.
    """
    members = map_npz(part, "a part of a corpus")
    try:
        facts = [FileFacts(**each) for each in parse_json(members["facts"].tobytes())]
        for each in facts:
            each.bars = {int(grid): int(n) for grid, n in each.bars.items()}
        pitches = np.array(members["pitches"])
        if pitches.shape != (len(facts), 128) or pitches.dtype.kind != "i":
            raise ValueError(f"pitches of {pitches.shape}")
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{part}: not a part of a corpus: {error}") from None
    return facts, pitches


class Placed(NamedTuple):
    """A file of a song, and where its bars are.

    Attributes:
        number: of all files.
        song: of all songs.
        part: the part that it was read into.
        place: which of the files there it is.
        label: what its data set says of it, an index into ``LABELS``.
    """

    number: int
    song: int
    part: str
    place: int
    label: int


def join_songs(out: str, files: Sequence[Placed], kit_name: str) -> None:
    """Find what the bars of whole songs are in them, and write them as a part: columns as in a corpus.

    Args:
        out: the part to write.
        files: all files of these songs, song by song.
        kit_name: the kit of the bars.
    """
    kit = kit_named(kit_name)
    grids: dict[int, dict[str, np.ndarray]] = {}
    found = _pieces(files)
    for grid in GRIDS:
        if pieces := found.pop(grid):
            grids[grid] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    with threadpool_limits(1):
        _add_roles(grids, kit, [file.label for file in files])
    number = np.array([file.number for file in files], np.int32)
    with whole_file(out) as part, NpzWriter(part) as writer:
        for grid, columns in grids.items():
            columns["file"] = number[columns.pop("order")]
            for name, column in columns.items():
                writer.add(f"{name}_{grid}", column)


def _pieces(files: Sequence[Placed]) -> dict[int, list[dict[str, np.ndarray]]]:
    """The bars of each file that has some on a grid, as columns, by grid and in the order of the files.

    Songs may touch every part that there is, and a process may have few files open: each part is open once, alone.
    """
    orders: dict[str, list[int]] = {}
    for order, file in enumerate(files):
        orders.setdefault(file.part, []).append(order)
    found: dict[int, list[dict[str, np.ndarray] | None]] = {grid: [None] * len(files) for grid in GRIDS}
    for path, mine in orders.items():
        part = map_npz(path, "a part of a corpus", checked=False)
        for order, grid in itertools.product(mine, GRIDS):
            found[grid][order] = _piece(files[order], part, order, grid)
    return {grid: [piece for piece in pieces if piece] for grid, pieces in found.items()}


def _piece(file: Placed, part: dict[str, np.ndarray], order: int, grid: int) -> dict[str, np.ndarray] | None:
    """A copy of the bars of one file on one grid as columns, or None where there are none."""
    if f"file_{grid}" not in part:
        return None
    first, last = np.searchsorted(part[f"file_{grid}"], [file.place, file.place + 1])
    if first == last:
        return None
    start = np.array(part[f"onset_start_{grid}"][first : last + 1])
    n = last - first
    return {
        "all_words": np.array(part[f"words_{grid}"][first:last]),
        "all_song": np.full(n, file.song, np.int32),
        "order": np.full(n, order, np.int32),
        "index": np.array(part[f"index_{grid}"][first:last]),
        "onset_count": np.diff(start).astype(np.uint16),
        "velocity": np.array(part[f"velocity_{grid}"][start[0] : start[-1]]),
        "offset": np.array(part[f"offset_{grid}"][start[0] : start[-1]]),
    }


def _comparable(rows: np.ndarray, bar_id: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    """A song's rows, or stretches of them if it has more distinct bars than are compared."""
    if len(np.unique(bar_id[rows])) <= _MAX_COMPARED:
        return [rows]
    by_file = np.split(rows, np.flatnonzero(np.diff(order[rows])) + 1)
    return [mine[at : at + _MAX_COMPARED] for mine in by_file for at in range(0, len(mine), _MAX_COMPARED)]


def _add_roles(grids: dict[int, dict[str, np.ndarray]], kit: Kit, labels: Sequence[int]) -> None:
    """Number the distinct bars of songs, and add the columns that say what each bar is in its song."""
    bars: list[np.ndarray] = []
    ids, songs, orders, indices = [], [], [], []
    for columns in grids.values():
        song, words = columns.pop("all_song"), columns.pop("all_words")
        first, bar_id, plays = distinct_rows(song, words)
        columns |= {
            "words": words[first],
            "song": song[first],
            "plays": plays.astype(np.int32),
            "bar": bar_id.astype(np.int32),
        }
        ids.append(bar_id + len(bars))
        songs.append(song)
        orders.append(columns["order"])
        indices.append(columns["index"])
        bars.extend(words_to_bars(words[first], kit.n_parts))
    if not ids:
        return
    all_ids, song, order, index = (np.concatenate(each) for each in (ids, songs, orders, indices))
    rows = np.lexsort((index, order, song))
    bounds = np.flatnonzero(np.diff(song[rows], prepend=-1, append=-1))
    label = np.array(labels, np.uint8)
    n = len(rows)
    role, before_change, before_crash = np.zeros(n, np.uint8), np.zeros(n, bool), np.zeros(n, bool)
    for begin, end in itertools.pairwise(bounds.tolist()):
        song_rows = rows[begin:end]
        for mine in _comparable(song_rows, all_ids, order):
            used, which = np.unique(all_ids[mine], return_inverse=True)
            found = song_roles([bars[i] for i in used], which, order[mine], index[mine], kit, label[order[mine]])
            role[mine], before_change[mine], before_crash[mine] = found.role, found.before_change, found.before_crash
    begin = 0
    for columns in grids.values():
        end = begin + len(columns["bar"])
        columns |= {
            "role": role[begin:end],
            "before_change": before_change[begin:end],
            "before_crash": before_crash[begin:end],
        }
        begin = end
