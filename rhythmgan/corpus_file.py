"""The file of a corpus: bars on every grid, memory-mapped, with how they are played.

An uncompressed .npz. What belongs to one grid ends with its steps, as ``words_16``; n bars and m distinct ones:

=====================  ==========================  =================================================================
member                 shape and type              meaning
=====================  ==========================  =================================================================
``words_16``           (m, 16) uint16              the distinct bars of each song; the kick is the highest bit
``song_16``            (m,) int32                  the song of each, an index into ``songs``
``plays_16``           (m,) int32                  how often its song plays it
``bar_16``             (n,) int32                  the distinct bar that each bar is
``file_16``            (n,) int32                  the file of each bar, an index into ``files``
``index_16``           (n,) uint16                 its place in the file; neighbours differ by one, on any grid
``role_16``            (n,) uint8                  0 groove, 1 variation, 2 fill
``before_change_16``   (n,) bool                   the groove changes after it
``before_crash_16``    (n,) bool                   a crash follows on the next one
``onset_start_16``     (⌈n / 64⌉ + 1,) int64       where the onsets of each 64 bars begin in the two below
``velocity_16``        (onsets,) uint8             1-127, in the order of steps, in a step of parts
``offset_16``          (onsets,) int8              how late, in 256ths of a step
``songs``, ``files``   bytes                       names in UTF-8, each ended by a zero
``styles``             bytes                       names of styles, the first "unknown"
``file_style``         (files,) int32              the style of each file
``file_bpm``           (files,) float32            its first tempo, quarter notes a minute
``counts``             bytes                       what ``prepare`` counted, as JSON
``kit``, ``format``    text, int                   the kit's name; the version of the file: 3
=====================  ==========================  =================================================================
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan.bars import GRIDS, check_steps
from rhythmgan.data import OFFSET_PARTS, ONSET_BLOCK, Corpus, Playing, check_corpus
from rhythmgan.files import write_whole
from rhythmgan.inputs import parse_json
from rhythmgan.kit import Kit, kit_named
from rhythmgan.npz import NpzWriter, decode_names, encode_names, map_npz, name_of
from rhythmgan.patterns import load_patterns

FORMAT = 3
"""Version of the corpus."""

BAR_COLUMNS: dict[str, np.dtype[Any]] = {
    "bar": np.dtype(np.int32),
    "file": np.dtype(np.int32),
    "index": np.dtype(np.uint16),
    "role": np.dtype(np.uint8),
    "before_change": np.dtype(bool),
    "before_crash": np.dtype(bool),
}
"""The members of a grid with a row for each bar."""


def load_corpus(path: str | os.PathLike[str], steps: int | None = None, kit: Kit | None = None) -> Corpus:
    """The bars of one grid of a corpus, or of a text of bars in the text view (``.txt``).

    A corpus is mapped into memory: of one that is larger than it only what is used is read. Names take up to 40 bytes
    for each of theirs in the file, as Python's texts do.

    Args:
        path: the file.
        steps: the grid; by default the one that most of its bars have.
        kit: what the bars are folded into; by default the kit that the songs were read into.

    Raises:
        ValueError: no corpus, a damaged one, one of another version, or one without bars on this grid; or a kit
            that its kit cannot be folded into.
        OSError: it cannot be opened.
    """
    if kit is not None and steps is None:
        steps = _commonest(corpus_grids(path, kit))
    corpus = _read(path, steps)
    folded = _folded(path, corpus, kit)
    if not len(folded):
        raise ValueError(f"{path}: it has no bars of {corpus.steps} steps in kit {folded.kit.name}")
    return folded


def _folded(path: str | os.PathLike[str], corpus: Corpus, kit: Kit | None) -> Corpus:
    """The bars in another kit; an error names the file."""
    try:
        return corpus if kit is None else corpus.folded(kit)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: str | os.PathLike[str], steps: int | None) -> Corpus:
    """The bars of one grid as they are in the file, by default of the grid that most have."""
    if Path(path).suffix == ".txt":
        return load_patterns(path, steps)
    members = _members(path)
    try:
        if steps is None:
            steps = _commonest(_n_bars(members)) or GRIDS[0]
        return _corpus(members, check_steps(steps), os.fspath(path))
    except KeyError as error:
        raise ValueError(f"{path}: not a corpus as `rhythmgan prepare` writes it: no {error.args[0]}") from None
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: not a corpus: {error}") from None


def corpus_grids(path: str | os.PathLike[str], kit: Kit | None = None) -> dict[int, int]:
    """How many bars a corpus has on each grid; those without any are left out.

    Args:
        path: the file.
        kit: what the bars are folded into; by default the kit that the songs were read into.

    Raises:
        ValueError, OSError: as ``load_corpus``.
    """
    if Path(path).suffix == ".txt":
        from rhythmgan.patterns import read_text

        lengths = [len(bar) for bar in read_text(path)[0]]
        found = {steps: lengths.count(steps) for steps in GRIDS if steps in lengths}
    else:
        members = _members(path)
        try:
            found = _n_bars(members)
        except ValueError as error:
            raise ValueError(f"{path}: not a corpus: {error}") from None
    if kit is None:
        return found
    folded = {steps: len(_folded(path, _read(path, steps), kit)) for steps in found}
    return {steps: n for steps, n in folded.items() if n}


def corpus_counts(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What ``prepare`` counted of each source of a corpus, as ``SourceCount.facts`` has it; nothing of a text.

    Of counts there may be ``_MAX_COUNTS`` bytes, and each takes up to 25.

    Raises:
        ValueError, OSError: as ``load_corpus``.
    """
    if Path(path).suffix == ".txt":
        return []
    try:
        column = _members(path)["counts"]
        if column.dtype != np.uint8 or column.ndim != 1 or len(column) > _MAX_COUNTS:
            raise ValueError(f"expected up to {_MAX_COUNTS >> 20} MiB of text, found {column.dtype} {column.shape}")
        return _checked_counts(parse_json(column.tobytes()))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: its counts cannot be read: {error}") from None


_MAX_COUNTS = 16 << 20
"""Bytes of what ``prepare`` counted; a hundred sources with their styles have some ten thousand."""

_NUMBERS = ("n_onsets", "n_onsets_outside", "n_off_grid", "n_merged")
_NUMBERS_BY_NAME = ("roles", "styles")


def _checked_counts(found: Any) -> list[dict[str, Any]]:
    """What was counted of each source, in numbers.

    Raises:
        ValueError: something else.
    """
    if not isinstance(found, list) or not all(isinstance(count, dict) for count in found):
        raise ValueError("they are no list of objects")
    for count in found:
        by_name = [count.get(name, {}) for name in _NUMBERS_BY_NAME]
        if not all(isinstance(each, dict) for each in by_name):
            raise ValueError(f"{' and '.join(_NUMBERS_BY_NAME)} are no objects")
        numbers = [count.get(name, 0) for name in _NUMBERS] + [n for each in by_name for n in each.values()]
        if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
            raise ValueError("a number in them is none, negative or huge")
    return found


def save_corpus(path: str | os.PathLike[str], *corpora: Corpus, counts: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the bars of one grid or several, of the same songs, files and kit, as a corpus: whole or not at all.

    Raises:
        ValueError: the bars could not be read back: no bars, columns that do not fit, or two corpora of one grid.
        OSError: the file cannot be written.
    """
    if not corpora or len({corpus.steps for corpus in corpora}) < len(corpora):
        raise ValueError("expected one corpus for each grid")
    one = corpora[0]
    if any((each.songs, each.files, each.kit) != (one.songs, one.files, one.kit) for each in corpora):
        raise ValueError("corpora of one file have the same songs, files and kit")
    buffer = io.BytesIO()
    with NpzWriter(buffer) as writer:
        for corpus in corpora:
            check_corpus(corpus)
            for name, column in _grid_columns(corpus):
                writer.add(f"{name}_{corpus.steps}", column)
        write_names(writer, one.songs, one.files, one.styles, one.file_style, one.file_bpm, one.kit, counts)
    write_whole(path, buffer.getvalue(), durable=True)


def write_names(
    writer: NpzWriter,
    songs: Iterable[str],
    files: Iterable[str],
    styles: Iterable[str],
    file_style: np.ndarray,
    file_bpm: np.ndarray,
    kit: Kit,
    counts: Sequence[Mapping[str, Any]],
) -> None:
    """Write what all grids of a corpus have in common."""
    writer.add("format", np.array(FORMAT))
    writer.add("kit", np.array(kit.name))
    for name, names in (("songs", songs), ("files", files), ("styles", styles)):
        writer.add(name, encode_names(names))
    writer.add("file_style", np.asarray(file_style, np.int32))
    writer.add("file_bpm", np.asarray(file_bpm, np.float32))
    writer.add("counts", np.frombuffer(json.dumps(list(counts)).encode(), np.uint8))


def _grid_columns(corpus: Corpus) -> list[tuple[str, np.ndarray]]:
    """The members of one grid that stand for the bars of this corpus and no others."""
    used, bar_id = np.unique(corpus.bar_id, return_inverse=True)
    columns = [
        ("words", corpus.distinct_words[used].astype(np.uint16)),
        ("song", corpus.distinct_song[used].astype(np.int32)),
        ("plays", corpus.distinct_plays[used].astype(np.int32)),
        ("bar", bar_id.astype(np.int32)),
        ("file", np.asarray(corpus.file_id, np.int32)),
        ("index", np.asarray(corpus.bar_index, np.uint16)),
        ("role", np.asarray(corpus.role, np.uint8)),
        ("before_change", np.asarray(corpus.before_change, bool)),
        ("before_crash", np.asarray(corpus.before_crash, bool)),
    ]
    if corpus.playing is not None:
        played = corpus.performance()
        bars = played.bars
        columns += [
            ("onset_start", onset_starts(bars.sum((1, 2)))),
            ("velocity", played.velocities[bars]),
            ("offset", offset_bytes(played.offsets[bars])),
        ]
    return columns


def onset_starts(counts: np.ndarray) -> np.ndarray:
    """Where the onsets of each block of bars begin, (blocks + 1,) int64, of the onsets (n,) that each bar has."""
    begins = np.arange(0, len(counts), ONSET_BLOCK)
    return np.append(0, np.cumsum(np.add.reduceat(counts, begins, dtype=np.int64)))


def offset_bytes(offsets: np.ndarray) -> np.ndarray:
    """Offsets of -½ … ½ of a step as int8, in 256ths; half a step late is 127."""
    return np.clip(np.rint(np.asarray(offsets, np.float32) * OFFSET_PARTS), -128, 127).astype(np.int8)


def _members(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    members = map_npz(path, "a corpus")
    version = members.get("format")
    if version is None or version.shape or version.dtype.kind not in "iu":
        raise ValueError(f"{path}: not a corpus as `rhythmgan prepare` writes it: no format")
    if int(version) != FORMAT:
        raise ValueError(
            f"{path}: not a corpus: it is of version {version}, this release reads version {FORMAT}; prepare it again"
        )
    return members


def _n_bars(members: Mapping[str, np.ndarray]) -> dict[int, int]:
    """How many bars there are on each grid, of those that there are bars on."""
    columns = {steps: members[f"bar_{steps}"] for steps in GRIDS if f"bar_{steps}" in members}
    for steps, column in columns.items():
        if column.ndim != 1:
            raise ValueError(f"bar_{steps} is no column but {column.shape}")
    return {steps: len(column) for steps, column in columns.items()}


def _commonest(grids: Mapping[int, int]) -> int | None:
    """The grid with the most bars, of equals the coarser; None where there is none."""
    return max(grids, key=lambda steps: (grids[steps], -steps), default=None)


def _corpus(members: Mapping[str, np.ndarray], steps: int, source: str) -> Corpus:
    if f"bar_{steps}" not in members:
        grids = [str(grid) for grid in GRIDS if f"bar_{grid}" in members]
        raise ValueError(f"it has no bars of {steps} steps; there are bars of {', '.join(grids) or 'no grid'}")

    def column(name: str) -> np.ndarray:
        return members[f"{name}_{steps}"]

    kit = kit_named(name_of(members["kit"], "its kit"))
    corpus = Corpus(
        distinct_words=column("words"),
        distinct_song=column("song"),
        distinct_plays=column("plays"),
        bar_id=column("bar"),
        file_id=column("file"),
        bar_index=column("index"),
        role=column("role"),
        before_change=column("before_change"),
        before_crash=column("before_crash"),
        songs=decode_names(members["songs"]),
        files=decode_names(members["files"]),
        styles=decode_names(members["styles"]),
        file_style=members["file_style"],
        file_bpm=members["file_bpm"],
        kit=kit,
    )
    check_corpus(corpus)
    if corpus.steps != steps:
        raise ValueError(f"its bars of {steps} steps have {corpus.steps}")
    if f"onset_start_{steps}" not in members:
        return corpus
    start, velocity, offset = column("onset_start"), column("velocity"), column("offset")
    blocks = -(-len(corpus) // ONSET_BLOCK)
    if start.shape != (blocks + 1,) or start.dtype != np.int64 or start[0] or start[-1] != len(velocity):
        raise ValueError(f"onset_start does not fit {len(corpus)} bars and {len(velocity)} onsets")
    if (np.diff(start) < 0).any():
        raise ValueError("onset_start does not rise")
    if velocity.dtype != np.uint8 or offset.dtype != np.int8 or velocity.shape != offset.shape or velocity.ndim != 1:
        raise ValueError("velocity and offset do not fit together")
    if len(velocity) and not (velocity.min() >= 1 and velocity.max() <= 127):
        raise ValueError(f"velocities lie in 1 … 127, not in {velocity.min()} … {velocity.max()}")
    playing = Playing(kit, corpus.distinct_words, corpus.bar_id, start, velocity, offset, source)
    return replace(corpus, playing=playing, rows=np.arange(len(corpus)))
