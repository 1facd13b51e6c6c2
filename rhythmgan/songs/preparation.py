"""Files of songs to one corpus, in several processes, with little memory, and resumed where it was stopped."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan.bars import GRIDS, check_steps
from rhythmgan.corpus_file import BAR_COLUMNS, FORMAT, load_corpus, onset_starts, write_names
from rhythmgan.data import UNKNOWN_STYLE, Corpus, unique_in_order
from rhythmgan.files import check_target, sweep_parts, temporary_folder, whole_file
from rhythmgan.kit import GM12, KITS, Kit
from rhythmgan.npz import NpzWriter, map_npz
from rhythmgan.roles import ROLES
from rhythmgan.songs.contents import SongFile, batches
from rhythmgan.songs.counts import SourceCount, counted_without_bars, named_without_bars, write_dropped
from rhythmgan.songs.parts import SUFFIX, parts_folder
from rhythmgan.songs.reading import LABELS, FileFacts, Placed, join_songs, read_facts, read_files
from rhythmgan.songs.sources import find_files
from rhythmgan.songs.targets import check_dropped, check_out
from rhythmgan.songs.workers import run_jobs

_FILES_PER_PART = 128
"""Files that a worker reads at a time: what a run that is killed loses."""

_FILES_PER_JOIN = 512
"""Files, at least, whose songs a worker joins at a time."""

Progress = Callable[[int, int], None]


def prepare(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    kit: Kit = GM12,
    *,
    manifest: str | os.PathLike[str] | None = None,
    duplicates: str | os.PathLike[str] | None = None,
    dropped: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    log: Callable[[str], None] | None = None,
) -> list[SourceCount]:
    """Read every LPD .npz and MIDI file of the sources into a corpus: each bar on its own grid, as it is played.

    What was read lies in a folder ``OUT.parts`` until all is: the same call goes on with what a killed one left.

    Args:
        sources: folders, archives of files (.zip, .tar, parquet), or single files; see ``sources.find_files``, which
            also says what a song is.
        out: the corpus to write; see ``corpus_file``.
        kit: the kit to fold the pitches into.
        manifest: a CSV file that names the song of files in any source.
        duplicates: a list of MD5s that are versions of one song; see ``manifests``.
        dropped: a CSV file to write, of the files that gave no bars, each with its reason; also where none gave any.
        workers: processes; all cores by default.
        progress: called with (files done, files in all).
        log: told what is worth a line: how many rows of a manifest name a file, what a killed run left.

    Returns:
        What each source gave.

    Raises:
        ValueError: a source is named twice, no file is found, none gives a bar (the message says which and why not),
            or what is to be written is read.
        OSError: a source does not exist, or the corpus or the list of files without bars cannot be written.
    """
    sources = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    check_out(out, sources)
    found = find_files(sources, manifest, duplicates)
    if dropped is not None:
        check_dropped(dropped, out, found.files, sources, (manifest, duplicates))
    say = log or (lambda line: None)
    for line in found.notices:
        say(line)
    sweep_parts(Path(check_target(out)).parent)
    counts = [SourceCount(str(source)) for source in sources]
    n_workers = workers or os.cpu_count() or 1
    with parts_folder(out) as folder:
        parts = _read(folder, found.files, kit, None, n_workers, progress, say)
        kept = _take(found.files, parts, counts)
        if dropped is not None:
            write_dropped(dropped, counts)
        if not len(kept.index):
            raise ValueError(f"no bars in {named_without_bars(counts)}")
        _write(out, found.files, kept, _join(folder, kept, parts, kit, n_workers), kit, counts)
    return counts


def read_songs(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    kit: Kit = GM12,
    steps: int | None = None,
    *,
    manifest: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> tuple[Corpus, list[SourceCount]]:
    """As ``prepare``, but the bars of one grid, in memory.

    Args:
        sources, kit, manifest, workers: as ``prepare``.
        steps: the grid that everything is quantised to; None for the bars that are on the grid of most bars.

    Raises:
        ValueError, OSError: as ``prepare``.
    """
    if steps is not None:
        check_steps(steps)
    sources = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    files = find_files(sources, manifest).files
    counts = [SourceCount(str(source)) for source in sources]
    n_workers = workers or os.cpu_count() or 1
    with temporary_folder() as folder:
        parts = _read(folder, files, kit, steps, n_workers, None, lambda line: None)
        kept = _take(files, parts, counts)
        if not len(kept.index):
            raise ValueError(f"no bars in {counted_without_bars(counts)}")
        out = folder / "corpus.npz"
        _write(out, files, kept, _join(folder, kept, parts, kit, n_workers), kit, counts)
        return load_corpus(out, steps), counts


def _plan(files: Sequence[SongFile], kit: Kit, steps: int | None) -> str:
    """A fingerprint of what is to be read, and how: parts of another plan are of no use."""
    found = hashlib.sha256(repr((FORMAT, kit.name, steps, _FILES_PER_PART)).encode())
    for file in files:
        found.update(
            repr((file.name, file.song, file.label, file.place, _state(file.path))).encode("utf-8", "surrogateescape")
        )
    return found.hexdigest()[:16]


def _state(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _read(
    folder: Path,
    files: Sequence[SongFile],
    kit: Kit,
    steps: int | None,
    workers: int,
    progress: Progress | None,
    log: Callable[[str], None],
) -> dict[int, str]:
    """Read all files into parts, those of this ``_plan`` that are not there yet, and remove those of others.

    Returns:
        The place of the first file of each part → its path, in the order of the files.
    """
    begins = f"files-{_plan(files, kit, steps)}-"
    there = {path.name for path in folder.glob(f"*{SUFFIX}")}
    for name in there:
        if not name.startswith(begins):
            (folder / name).unlink()
    if n := sum(name.startswith(begins) for name in there):
        log(f"resumed: {n} parts of {_FILES_PER_PART} files each were read before")
    parts: dict[int, str] = {}  # by the first of its files
    length: dict[str, int] = {}
    done = 0

    def missing() -> Iterator[tuple[Any, ...]]:
        nonlocal done
        for batch in batches(files, _FILES_PER_PART):
            part = str(folder / f"{begins}{batch.indices.start:08d}{SUFFIX}")
            parts[batch.indices.start], length[part] = part, len(batch.indices)
            if os.path.exists(part):
                done += len(batch.indices)
            else:
                yield part, [files[i] for i in batch.indices], kit.name, steps, batch.contents

    one_is_enough = len(files) <= _FILES_PER_PART
    for job, lived in run_jobs(read_files, missing(), 1 if one_is_enough else workers):
        if not lived:
            _read_around_killers(job)
        done += length[job[0]]
        if progress:
            progress(done, len(files))
    return dict(sorted(parts.items()))


def _read_around_killers(job: tuple[Any, ...]) -> None:
    """Read the files of a part of which one at least kills its reader: each in a process, then the others together."""
    out, files, kit_name, steps, given = job
    with temporary_folder() as folder:
        alone = [
            (os.path.join(folder, str(i)), [file], kit_name, steps, None if given is None else [given[i]])
            for i, file in enumerate(files)
        ]
        killers = {int(Path(one[0]).name) for one, lived in run_jobs(read_files, alone, 2) if not lived}
    read_files(out, files, kit_name, steps, given, frozenset(killers))


@dataclass(frozen=True)
class _Kept:
    """The files that gave bars, as columns: of millions of files there is no object each.

    Attributes:
        index: which of all files each is.
        source, label: of each, as numbers.
        song: the number of its song, in the order in which songs come.
        style: its style, an index into ``styles``.
        bpm: its first tempo.
        first: (songs,) the place of each song's first file.
        styles: names, the first "unknown".
    """

    index: np.ndarray
    source: np.ndarray
    label: np.ndarray
    song: np.ndarray
    style: np.ndarray
    bpm: np.ndarray
    first: np.ndarray
    styles: list[str]


def _take(files: Sequence[SongFile], parts: dict[int, str], counts: Sequence[SourceCount]) -> _Kept:
    """Take the files that gave bars, and count what all gave but for what is known only of whole songs."""
    rows: list[tuple[int, int, int, int, int, float]] = []
    columns: list[np.ndarray] = []
    styles = {UNKNOWN_STYLE: 0}
    heard = np.zeros((len(counts), 128), np.int64)
    for begin, part in parts.items():
        facts, pitches = read_facts(part)
        for index, (file, fact, pitch) in enumerate(
            zip(files[begin : begin + len(facts)], facts, pitches, strict=True)
        ):
            heard[file.source] += pitch
            _count(counts[file.source], file, fact)
            if not fact.reason:
                style = styles.setdefault(file.style, len(styles))
                rows.append((begin + index, file.source, LABELS.index(file.label), _number(file.song), style, fact.bpm))
        if rows:
            columns.append(np.array(rows, "q,i4,u1,i8,i4,f4"))
            rows.clear()
    for count, mine in zip(counts, heard, strict=True):
        for kit in KITS.values():
            count.outside[kit.name] = float(mine[kit.part_of_pitch < 0].sum() / max(mine.sum(), 1))
    which, source, label, name, file_style, bpm = _fields(columns)
    first, song, _ = unique_in_order(name)
    for number, count in enumerate(counts):
        count.n_songs = len(np.unique(song[source == number]))
    return _Kept(which, source, label, song.astype(np.int32), file_style, bpm, first, list(styles))


def _fields(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The columns of several tables one after the other; six empty ones of none."""
    if not tables:
        return [np.zeros(0, np.int64)] * 6
    whole = np.concatenate(tables)
    return [np.ascontiguousarray(whole[name]) for name in whole.dtype.names or ()]


def _number(song: str) -> int:
    """A number for a name, in eight bytes: of two million songs, two are alike with a chance of one in 10 million."""
    name = song.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


def _count(count: SourceCount, file: SongFile, fact: FileFacts) -> None:
    """Add what a file gave."""
    count.n_files += 1
    count.n_onsets += fact.n_onsets
    count.n_onsets_outside += fact.n_onsets_outside
    count.n_merged += fact.n_merged
    count.n_off_grid += fact.n_off_grid
    if fact.reason:
        count.none[fact.reason] += 1
        count.named.append((file.location, f"{fact.reason}: {fact.detail}" if fact.detail else fact.reason))
        return
    n = sum(fact.bars.values())
    count.n_files_with_bars += 1
    count.n_bars += n
    count.grids.update(fact.bars)
    count.styles[file.style] += n


def _join(folder: Path, kept: _Kept, parts: dict[int, str], kit: Kit, workers: int) -> list[str]:
    """Find what bars are in their songs; paths of parts, in the order of the songs."""
    order = np.argsort(kept.song, kind="stable")
    firsts = np.array(list(parts))
    paths = list(parts.values())

    def jobs() -> Iterator[tuple[str, list[Placed], str]]:
        begin = 0
        for end in _ends_of_songs(kept.song[order]):
            if end - begin >= _FILES_PER_JOIN or end == len(order):
                group = order[begin:end]
                part = np.searchsorted(firsts, kept.index[group], side="right") - 1
                rows = zip(
                    group.tolist(), kept.song[group].tolist(), part.tolist(), kept.index[group].tolist(), strict=True
                )
                placed = [
                    Placed(number, song, paths[i], index - int(firsts[i]), int(kept.label[number]))
                    for number, song, i, index in rows
                ]
                yield str(folder / f"songs-{begin:08d}{SUFFIX}"), placed, kit.name
                begin = end

    joined = []
    for job, lived in run_jobs(join_songs, jobs(), 1 if len(order) <= _FILES_PER_JOIN else workers):
        if not lived:
            raise RuntimeError(f"a worker died when it joined the songs of {job[0]}: is there memory left?")
        joined.append(job[0])
    return sorted(joined)


def _ends_of_songs(song: np.ndarray) -> list[int]:
    """Where each song ends among files that are in the order of songs."""
    return [*(np.flatnonzero(np.diff(song)) + 1).tolist(), len(song)]


def _write(
    out: str | os.PathLike[str],
    files: Sequence[SongFile],
    kept: _Kept,
    joined: Sequence[str],
    kit: Kit,
    counts: list[SourceCount],
) -> None:
    """Put the parts of songs together, a column at a time."""
    tally = _Tally(len(counts), kept.source)
    with whole_file(out, durable=True) as file, NpzWriter(file) as writer:
        for grid in GRIDS:
            _write_grid(writer, grid, joined, tally)
        tally.add_to(counts)
        write_names(
            writer,
            (files[i].song for i in kept.index[kept.first]),
            (files[i].name for i in kept.index),
            kept.styles,
            kept.style,
            kept.bpm,
            kit,
            [count.facts() for count in counts],
        )


class _Tally:
    """Counts of sources that are known only when songs are whole."""

    def __init__(self, n: int, source: np.ndarray) -> None:
        self._source = source
        self._roles = np.zeros((n, len(ROLES)), np.int64)
        self._song_bars = np.zeros(n, np.int64)
        self._hashes: list[list[np.ndarray]] = [[] for _ in range(n)]

    def add(self, bar: np.ndarray, file: np.ndarray, role: np.ndarray, words: np.ndarray) -> None:
        """Count the bars of a part on one grid."""
        source = self._source[file]
        np.add.at(self._roles, (source, role), 1)
        hashes = _hashes(words)
        for index, found in enumerate(self._hashes):
            used = np.unique(bar[source == index])
            self._song_bars[index] += len(used)
            found.append(hashes[used])

    def add_to(self, counts: Sequence[SourceCount]) -> None:
        for index, count in enumerate(counts):
            count.roles = Counter({role: int(n) for role, n in zip(ROLES, self._roles[index], strict=True)})
            count.n_song_bars = int(self._song_bars[index])
            count.n_distinct = len(np.unique(np.concatenate([np.zeros(0, np.uint64), *self._hashes[index]])))


def _hashes(words: np.ndarray) -> np.ndarray:
    """(m,) uint64 of bars (m, steps): of a million distinct ones, two are alike with a chance of one in 10 million."""
    found = np.full(len(words), words.shape[1], np.uint64)
    for column in words.T:
        found = (found ^ column) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found


def _write_grid(writer: NpzWriter, grid: int, parts: Sequence[str], tally: _Tally) -> None:
    """Write the columns of one grid from all parts that have bars on it."""
    used: list[str] = []
    m = n = k = 0  # distinct bars, bars, onsets
    first_bar: list[int] = []
    for part in parts:
        bar, file, role, words, velocity = (
            _column(part, name, grid) for name in ("bar", "file", "role", "words", "velocity")
        )
        if bar is None or file is None or role is None or words is None or velocity is None:
            continue
        tally.add(bar, file, role, words)
        used.append(part)
        first_bar.append(m)
        m, n, k = m + len(words), n + len(bar), k + len(velocity)
    if not used:
        return

    def pieces(name: str) -> Iterator[np.ndarray]:
        for part, first in zip(used, first_bar, strict=True):
            column = _column(part, name, grid)
            assert column is not None
            yield column + np.int32(first) if name == "bar" else column

    # copies, as each part stays open while its column is held
    counts = np.concatenate([np.array(piece) for piece in pieces("onset_count")])
    writer.write(f"words_{grid}", np.dtype(np.uint16), (m, grid), pieces("words"))
    for name in ("song", "plays"):
        writer.write(f"{name}_{grid}", np.dtype(np.int32), (m,), pieces(name))
    for name, dtype in BAR_COLUMNS.items():
        writer.write(f"{name}_{grid}", dtype, (n,), pieces(name))
    writer.add(f"onset_start_{grid}", onset_starts(counts))
    writer.write(f"velocity_{grid}", np.dtype(np.uint8), (k,), pieces("velocity"))
    writer.write(f"offset_{grid}", np.dtype(np.int8), (k,), pieces("offset"))


def _column(part: str, name: str, grid: int) -> np.ndarray | None:
    """A column of one grid of a part, None where it has no bars on it."""
    member = f"{name}_{grid}"
    return map_npz(part, "a part of a corpus", checked=False, names=[member]).get(member)
