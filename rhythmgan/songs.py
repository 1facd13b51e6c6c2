"""Songs in, words out: LPD and MIDI trees to one table of bars, with a count of what each file gave."""

from __future__ import annotations

import csv
import errno
import io
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rhythmgan import lpd, midi
from rhythmgan.bars import STEPS, bars_to_words, check_steps, words_to_bars
from rhythmgan.data import Split, Words, first_rows, load_words
from rhythmgan.files import read_npz, write_whole
from rhythmgan.grid import NoBars, cut_or_say_why
from rhythmgan.kit import GM9, KITS, Kit, kit_named


@dataclass
class SourceCount:
    """What one source gave.

    Attributes:
        source: the folder or file as it was named.
        n_files: files found.
        n_files_with_bars: of these, files that gave bars.
        n_bars, n_distinct, n_songs: bars, distinct bars (over all songs), songs.
        n_song_bars: each song's distinct bars, summed.
        n_hits, n_hits_outside: drum hits read, and those of pitches that the kit does not have.
        none: how many files gave none, by reason.
        named: (file, reason with detail) of each of these.
    """

    source: str
    n_files: int = 0
    n_files_with_bars: int = 0
    n_bars: int = 0
    n_distinct: int = 0
    n_songs: int = 0
    n_song_bars: int = 0
    n_hits: int = 0
    n_hits_outside: int = 0
    none: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    path: str
    name: str
    song: str
    source: int


@dataclass(frozen=True)
class _Read:
    """What a worker sends back of one file: its bars, or why it has none."""

    words: np.ndarray | None = None
    bar: np.ndarray | None = None
    n_hits: int = 0
    n_hits_outside: int = 0
    reason: str = ""
    detail: str = ""


def prepare(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    kit: Kit = GM9,
    steps: int = 16,
    *,
    manifest: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Words, list[SourceCount]]:
    """Read every LPD .npz and MIDI file under the sources into one table of words.

    A song is what a manifest says, else the Million Song Dataset's id where a folder has it for a
    name (``TR…``), else the MD5 where a file has it for a name, else the folder that holds the
    file, else (in a source's own top folder) the file. A manifest is a CSV file with a column
    ``md5``, ``file`` or ``midi_filename`` and a column ``song`` or ``id``; ``manifest.csv`` and
    ``info.csv`` in a source are found by themselves.

    Args:
        sources: folders, or single files.
        kit: the kit to fold the pitches into.
        steps: the grid.
        manifest: a CSV file that names the song of files in any source.
        workers: processes; all cores by default.
        progress: called with (files done, files in all).

    Raises:
        ValueError: a source is named twice, no file is found, or none gives a bar: the message says why not.
        OSError: a source does not exist.
    """
    check_steps(steps)
    sources = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    files = _find(sources, manifest)
    if not files:
        raise ValueError(f"no .mid, .midi or .npz file in {', '.join(map(str, sources))}")
    read: dict[int, _Read] = {}
    for index, result in _read_all(files, kit.name, steps, workers or os.cpu_count() or 1):
        read[index] = result
        if progress:
            progress(len(read), len(files))
    counts = [SourceCount(str(source)) for source in sources]
    for index, file in enumerate(files):
        _count(counts[file.source], file, read[index])
    kept = [i for i in range(len(files)) if read[i].words is not None]
    if not kept:
        reasons = sum((count.none for count in counts), Counter[str]())
        raise ValueError(f"no bars in {len(files)} files: " + ", ".join(f"{n} {why}" for why, n in reasons.items()))
    songs = tuple(sorted({files[i].song for i in kept}))
    number = {name: i for i, name in enumerate(songs)}
    lengths = [len(_words(read[i])) for i in kept]
    words = Words(
        words=np.concatenate([_words(read[i]) for i in kept]),
        song=np.repeat(np.array([number[files[i].song] for i in kept], np.int32), lengths),
        origin=np.repeat(np.arange(len(kept), dtype=np.int32), lengths),
        bar=np.concatenate([read[i].bar for i in kept if read[i].bar is not None]),
        songs=songs,
        origins=tuple(files[i].name for i in kept),
        kit=kit,
    )
    source = np.repeat([files[i].source for i in kept], lengths)
    for index, count in enumerate(counts):
        mine = words.only(source == index)
        count.n_distinct = len(first_rows(mine.words))
        count.n_songs = len(np.unique(mine.song))
        count.n_song_bars = len(mine.distinct()) if len(mine) else 0
    return words, counts


def load_bars(
    path: str | os.PathLike[str],
    kit: Kit | None = None,
    steps: int | None = None,
    *,
    split: Split = "all",
    distinct: bool = True,
) -> tuple[np.ndarray, np.ndarray | None, Kit]:
    """Bars of whatever holds any: a words file, an .npz with ``bars``, a text, MIDI, or a folder of songs.

    Args:
        path: the file or folder.
        kit: what songs are read into; by default GM9. A file of bars has its own.
        steps: the grid that songs are read on; by default 16. A file of bars has its own.
        split: which songs of a words file.
        distinct: only each song's distinct bars, of a words file.

    Returns:
        The bars (n, steps, parts) bool; the song of each (n,) ints, or None where there is one or none is known;
        and their kit. What files of a folder gave no bars is logged.

    Raises:
        ValueError: no bars in it.
        OSError: it cannot be opened.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".npz", ".txt"):
        members = read_npz(path, "a file of bars") if path.suffix == ".npz" else {}
        if "bars" in members:
            bars = members["bars"]
            found = next((kit for kit in KITS.values() if bars.ndim == 3 and kit.n_parts == bars.shape[2]), None)
            if found is None or bars.dtype != bool or not len(bars) or bars.shape[1] not in STEPS:
                raise ValueError(
                    f"{path}: expected bars (n, steps, parts) bool of a kit and a grid, found {bars.dtype} {bars.shape}"
                )
            return bars, None, found
        if not members or "words" in members:
            words = load_words(path).split(split)
            if not len(words):
                raise ValueError(f"{path}: no song of it falls into the {split} split")
            words = words.distinct() if distinct else words
            return words_to_bars(words.words, words.kit.n_parts), words.song, words.kit
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        words, (count,) = prepare([path], kit or GM9, steps or 16)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if count.named:
        reasons = ", ".join(f"{n} {reason}" for reason, n in count.none.most_common())
        logging.getLogger(__name__).warning("%s: %d files gave no bars: %s", path, len(count.named), reasons)
    # one song is a file of bars, not songs to be kept apart
    song = words.song if len(words.songs) > 1 else None
    return words_to_bars(words.words, words.kit.n_parts), song, words.kit


def load_loop(path: str | os.PathLike[str], kit: Kit, steps: int) -> np.ndarray:
    """The bars of one file in their order, (n, steps, parts) bool: of MIDI from the first that sounds to the last.

    Unlike ``load_bars`` it keeps silent bars between and repeated ones.

    Args:
        path: MIDI, or what ``load_bars`` takes, but no folder.
        kit: what MIDI is read into.
        steps: the grid that MIDI is read on.

    Raises:
        ValueError: no bars in it, or a folder.
        OSError: it cannot be opened.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: a loop is one file, not a folder")
    if _suffix(str(path)) not in midi.SUFFIXES:
        return load_bars(path, kit, steps, distinct=False)[0]
    try:
        found = cut_or_say_why(midi.read_midi(path), kit, steps)
    except NoBars as why:
        raise ValueError(f"{path}: {why}") from None
    bars = np.zeros((found.index[-1] - found.index[0] + 1, steps, kit.n_parts), bool)
    bars[found.index - found.index[0]] = found.bars
    return bars


def _words(result: _Read) -> np.ndarray:
    assert result.words is not None
    return result.words


def _count(count: SourceCount, file: _File, result: _Read) -> None:
    count.n_files += 1
    count.n_hits += result.n_hits
    count.n_hits_outside += result.n_hits_outside
    if result.words is None:
        count.none[result.reason] += 1
        count.named.append((file.path, f"{result.reason}: {result.detail}" if result.detail else result.reason))
    else:
        count.n_files_with_bars += 1
        count.n_bars += len(result.words)


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


_READABLE = {*midi.SUFFIXES, lpd.SUFFIX}
_MD5 = re.compile(r"[0-9a-f]{32}")
_BUCKET = re.compile(r"[0-9a-fA-F]")
_TRACK_ID = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}")


def _find(sources: Sequence[str | os.PathLike[str]], manifest: str | os.PathLike[str] | None) -> list[_File]:
    """Every file to read, in a fixed order, each with the name of its song."""
    roots = [Path(source) for source in sources]
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(2, "no such file or folder", str(root))
    named = {} if manifest is None else _read_manifest(Path(manifest))
    by_md5: dict[str, str] = {}
    by_root: list[dict[str, str]] = []
    for root in roots:
        songs: dict[str, str] = {}
        for name in ("manifest.csv", "info.csv"):
            if root.is_dir() and (root / name).is_file():
                try:
                    songs |= _read_manifest(root / name)
                except ValueError as error:  # a file of that name may be anything
                    logging.getLogger("rhythmgan").warning("not used: %s", error)
        by_root.append(songs | named)
        # an MD5 means the same file in every source: LPD's files are named by those of Lakh
        by_md5 |= {key: song for key, song in songs.items() if _MD5.fullmatch(key)}
    files: list[_File] = []
    for index, (root, label) in enumerate(zip(roots, _labels(roots), strict=True)):
        songs = by_md5 | by_root[index]
        for path in _walk(root) if root.is_dir() else [root]:
            name = path.relative_to(root).as_posix() if path != root else path.name
            whole = f"{label}/{name}" if path != root else label
            song = songs.get(name) or songs.get(path.stem) or _song_by_name(path, root, whole)
            files.append(_File(str(path), whole, song, index))
    return files


def _labels(roots: Sequence[Path]) -> list[str]:
    """A name for each source: its own, with its parents' where several are called alike."""
    whole = [root.resolve() for root in roots]
    if len(set(whole)) < len(whole):
        twice = next(path for path in whole if whole.count(path) > 1)
        raise ValueError(f"a source is named twice: {twice}")
    for depth in range(1, max(len(path.parts) for path in whole) + 1):
        labels = ["/".join(path.parts[-depth:]).lstrip("/") for path in whole]
        if len(set(labels)) == len(labels):
            break
    return labels


def _song_by_name(path: Path, root: Path, whole: str) -> str:
    """A song's name where no manifest gives it: the same wherever the song is found, if it has an id."""
    if _TRACK_ID.fullmatch(path.parent.name):
        return path.parent.name
    if _MD5.fullmatch(path.stem):
        return path.stem
    if path == root or path.parent == root or _BUCKET.fullmatch(path.parent.name):
        return whole
    return Path(whole).parent.as_posix()


def _walk(root: Path) -> Iterator[Path]:
    """Files to read below a folder, links followed once; a folder that cannot be listed stands for itself."""
    closed: list[Path] = []
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=lambda e: closed.append(Path(e.filename)), followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            if _suffix(name) in _READABLE and not name.startswith("."):
                yield Path(folder, name)
    yield from closed


def _read_manifest(path: Path) -> dict[str, str]:
    """Song by file name (MD5, or path with or without its ending)."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or []
            key = next((c for c in ("md5", "file", "midi_filename") if c in columns), None)
            song = next((c for c in ("song", "id") if c in columns), None)
            if key is None or song is None:
                raise ValueError("expected a column md5, file or midi_filename and a column song or id")
            return {row[key]: row[song] for row in table if row[key] and row[song]}
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: not a manifest: {error}") from None


def _read_file(path: str, kit: Kit, steps: int) -> _Read:
    if Path(path).exists() and not Path(path).is_file():
        return _Read(reason="unreadable", detail="not a regular file")  # a pipe would keep us waiting
    try:
        hits = lpd.read_lpd(path) if _suffix(path) == lpd.SUFFIX else midi.read_midi(path)
        found = cut_or_say_why(hits, kit, steps)
    except NoBars as why:
        return _Read(reason=why.reason, detail=why.detail)
    except OSError as error:
        return _Read(reason="unreadable", detail=error.strerror or str(error))
    return _Read(bars_to_words(found.bars), found.index, len(hits.beat), found.n_outside_kit)


def _read_chunk(paths: Sequence[str], kit_name: str, steps: int) -> list[_Read]:
    kit = kit_named(kit_name)
    return [_read_file(path, kit, steps) for path in paths]


_CHUNK = 64
"""Files handed to a worker at a time."""


def _read_all(files: Sequence[_File], kit_name: str, steps: int, workers: int) -> Iterator[tuple[int, _Read]]:
    """(index, result) of every file, in any order, from a pool of processes.

    A file that kills its reader takes down its chunk only: the chunk's files are then read one
    process each, and the killer is counted as unreadable.
    """
    chunks = [range(start, min(start + _CHUNK, len(files))) for start in range(0, len(files), _CHUNK)]
    if workers == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from zip(chunk, _read_chunk([files[i].path for i in chunk], kit_name, steps), strict=True)
        return
    left = set(chunks)
    try:
        with _pool(min(workers, len(chunks))) as pool:
            jobs = {
                pool.submit(_read_chunk, [files[i].path for i in chunk], kit_name, steps): chunk for chunk in chunks
            }
            for job in as_completed(jobs):
                results = job.result()
                left.discard(jobs[job])
                yield from zip(jobs[job], results, strict=True)
    except BrokenProcessPool:
        for index in sorted(i for chunk in left for i in chunk):
            try:
                with _pool(1) as pool:
                    yield index, pool.submit(_read_chunk, [files[index].path], kit_name, steps).result()[0]
            except BrokenProcessPool:
                yield index, _Read(reason="unreadable", detail="it crashed its reader")


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def counts_table(counts: Iterable[SourceCount]) -> str:
    """The closing table of ``prepare`` as Markdown, a row a source.

    ``repeats`` is how often a song plays each of its distinct bars, ``outside the kit`` the share of
    its drum hits (tambourine, congas …) that the kit has no part for.
    """
    rows = [
        [
            "source",
            "files",
            "with bars",
            "songs",
            "bars",
            "distinct",
            "repeats",
            "outside the kit",
            "why files gave none",
        ],
        ["---", *["---:"] * 7, "---"],
    ]
    for count in counts:
        rows.append(
            [
                os.fsencode(Path(count.source).resolve().name).decode("utf-8", "replace"),
                f"{count.n_files:,}",
                f"{count.n_files_with_bars:,}",
                f"{count.n_songs:,}",
                f"{count.n_bars:,}",
                f"{count.n_distinct:,}",
                f"{count.n_bars / max(count.n_song_bars, 1):.1f}",
                f"{count.n_hits_outside / max(count.n_hits, 1):.1%}",
                ", ".join(f"{n} {reason}" for reason, n in count.none.most_common()) or "–",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write_dropped(path: str | os.PathLike[str], counts: Iterable[SourceCount]) -> None:
    """Write a CSV file with a row for every file that gave no bars: ``file``, ``reason``."""
    buffer = io.StringIO()
    table = csv.writer(buffer)
    table.writerow(["file", "reason"])
    table.writerows(row for count in counts for row in count.named)
    write_whole(path, os.fsencode(buffer.getvalue()))
