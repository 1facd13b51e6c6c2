"""Songs in, words out: LPD and MIDI trees to one table of bars, with a count of what each file gave."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rhythmgan import lpd, midi_reader
from rhythmgan.bars import bars_to_words, check_steps
from rhythmgan.data import Corpus, first_rows
from rhythmgan.files import write_whole
from rhythmgan.grid import NoBars, quantise_or_explain
from rhythmgan.kit import GM9, Kit, kit_named
from rhythmgan.sources import SongFile, find_files, suffix_of


@dataclass
class SourceCount:
    """What one source gave.

    Attributes:
        source: the folder or file as it was named.
        n_files: files found.
        n_files_with_bars: of these, files that gave bars.
        n_bars, n_distinct, n_songs: bars, distinct bars (over all songs), songs.
        n_song_bars: each song's distinct bars, summed.
        n_onsets, n_onsets_outside: drum onsets read, and those of pitches that the kit does not have.
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
    n_onsets: int = 0
    n_onsets_outside: int = 0
    none: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    """What a worker sends back of one file: its bars, or why it has none."""

    words: np.ndarray | None = None
    bar: np.ndarray | None = None
    n_onsets: int = 0
    n_onsets_outside: int = 0
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
) -> tuple[Corpus, list[SourceCount]]:
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
    files = find_files(sources, manifest)
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
        where = "the file" if len(files) == 1 else f"{len(files)} files"
        raise ValueError(f"no bars in {where}: " + ", ".join(f"{n} {why}" for why, n in reasons.items()))
    songs = tuple(sorted({files[i].song for i in kept}))
    number = {name: i for i, name in enumerate(songs)}
    lengths = [len(_words(read[i])) for i in kept]
    corpus = Corpus(
        words=np.concatenate([_words(read[i]) for i in kept]),
        song_id=np.repeat(np.array([number[files[i].song] for i in kept], np.int32), lengths),
        file_id=np.repeat(np.arange(len(kept), dtype=np.int32), lengths),
        bar_index=np.concatenate([read[i].bar for i in kept if read[i].bar is not None]),
        songs=songs,
        files=tuple(files[i].name for i in kept),
        kit=kit,
    )
    source = np.repeat([files[i].source for i in kept], lengths)
    for index, count in enumerate(counts):
        mine = corpus.only(source == index)
        count.n_distinct = len(first_rows(mine.words))
        count.n_songs = len(np.unique(mine.song_id))
        count.n_song_bars = len(mine.distinct()) if len(mine) else 0
    return corpus, counts


def _words(result: _Read) -> np.ndarray:
    assert result.words is not None
    return result.words


def _count(count: SourceCount, file: SongFile, result: _Read) -> None:
    count.n_files += 1
    count.n_onsets += result.n_onsets
    count.n_onsets_outside += result.n_onsets_outside
    if result.words is None:
        count.none[result.reason] += 1
        count.named.append((file.path, f"{result.reason}: {result.detail}" if result.detail else result.reason))
    else:
        count.n_files_with_bars += 1
        count.n_bars += len(result.words)


def _read_file(path: str, kit: Kit, steps: int) -> _Read:
    if Path(path).exists() and not Path(path).is_file():
        return _Read(reason="unreadable", detail="not a regular file")  # a pipe would keep us waiting
    try:
        onsets = lpd.read_lpd(path) if suffix_of(path) == lpd.SUFFIX else midi_reader.read_midi(path)
        found = quantise_or_explain(onsets, kit, steps)
    except NoBars as why:
        return _Read(reason=why.reason, detail=why.detail)
    except OSError as error:
        return _Read(reason="unreadable", detail=error.strerror or str(error))
    return _Read(bars_to_words(found.bars), found.index, len(onsets.beat), found.n_outside_kit)


def _read_chunk(paths: Sequence[str], kit_name: str, steps: int) -> list[_Read]:
    kit = kit_named(kit_name)
    return [_read_file(path, kit, steps) for path in paths]


_CHUNK = 64
"""Files handed to a worker at a time."""


def _read_all(files: Sequence[SongFile], kit_name: str, steps: int, workers: int) -> Iterator[tuple[int, _Read]]:
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
    its drum onsets (tambourine, congas …) that the kit has no part for.
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
                f"{count.n_onsets_outside / max(count.n_onsets, 1):.1%}",
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
