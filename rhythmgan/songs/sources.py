"""Files of songs: which there are in some folders and archives, and which song each belongs to."""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import overload

from rhythmgan.songs.contents import SongFile
from rhythmgan.songs.listing import READABLE, Source, check_apart, in_utf8, labels_of, list_source
from rhythmgan.songs.manifests import (
    Manifest,
    Named,
    Row,
    join_songs,
    md5_of,
    normal_path,
    normal_song,
    normal_style,
    read_duplicates,
    read_manifest,
)
from rhythmgan.songs.members import FILE, PARQUET, without_controls


@dataclass(frozen=True)
class Found:
    """The files of some sources, in the order in which they are best read, and what is to say of them, a line each."""

    files: Sequence[SongFile]
    notices: list[str]


_BUCKET = re.compile(r"[0-9a-fA-F]")
_TRACK_ID = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}")


class _Files(Sequence[SongFile]):
    """All files, each made when it is asked for: their names are all that takes memory.

    Attributes:
        said: by what it is, the words of the tables that name songs, styles and labels, and for each file the
            number of its word, -1 for none.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._parts = [(number, source, part) for number, source in enumerate(sources) for part in source.parts]
        self._ends = list(accumulate(len(part.members) for _, _, part in self._parts))
        self.said: dict[str, tuple[list[str], Sequence[int]]] = {}

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> SongFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[SongFile]: ...
    def __getitem__(self, index: int | slice) -> SongFile | list[SongFile]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        which = bisect_right(self._ends, index)
        return self._file(which, index, index - self._ends[which] + len(self._parts[which][2].members))

    def __iter__(self) -> Iterator[SongFile]:
        index = 0
        for which, (_, _, part) in enumerate(self._parts):
            for inside in range(len(part.members)):
                yield self._file(which, index, inside)
                index += 1

    def _file(self, which: int, index: int, inside: int) -> SongFile:
        """The file ``inside`` a part, which has this index among all."""
        number, source, part = self._parts[which]
        name, place, style = part.members[inside]
        below = part.below(inside)
        whole = without_controls(source.label if source.is_file else f"{source.label}/{below}")
        return SongFile(
            path=part.path if part.is_archive else part.path + name,
            name=whole,
            song=self._said("song", index) or normal_song(_song_by_name(source, below, whole, place.kind)),
            source=number,
            style=self._said("style", index) or normal_style(style),
            label=self._said("label", index),
            member=name if part.is_archive and place.kind != FILE else None,
            place=place,
        )

    def _said(self, what: str, index: int) -> str:
        words, numbers = self.said.get(what, ([], ()))
        return words[numbers[index]] if words and numbers[index] >= 0 else ""

    def named(self) -> Iterator[Named]:
        """Each file as manifests name it."""
        for number, _, part in self._parts:
            for index in range(len(part.members)):
                yield Named(number, normal_path(part.below(index)))


def find_files(
    sources: Sequence[str | os.PathLike[str]],
    manifest: str | os.PathLike[str] | None = None,
    duplicates: str | os.PathLike[str] | None = None,
) -> Found:
    """Every file to read, in a fixed order, each with its song, its style and its label.

    A source is a folder, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz), a parquet table with a column of MIDI
    bytes, or one file. Of a folder every MIDI, LPD and parquet file in it is read, but for corpora and .npz files of
    bars in its top folder; archives in it are read only if they are named as sources themselves, because what they hold
    often lies beside them. An archive is read as the folder that is packed in it: files and songs are named alike.

    A song is what a manifest says, else the Million Song Dataset's id where a folder has it for a
    name (``TR…``), else the MD5 where a file has it for a name, else the folder that holds the
    file, else (in a source's own top folder, in a folder of one letter, and of a row of a table) the file.
    ``manifest.csv`` and ``info.csv`` in a source's own folder are found by themselves.

    A file takes 80 bytes and its path. What an archive, a table or a manifest may cost say ``archives.list_archive``,
    ``parquet.list_table`` and ``manifests.read_manifest``.

    Args:
        sources: folders, archives and files.
        manifest: a CSV file that names the song of files in any source, see ``manifests.read_manifest``.
        duplicates: a list of MD5s of files that are one song, see ``manifests.read_duplicates``.

    Raises:
        ValueError: a source has no name, is named twice or lies in another one, no file is found, the manifest or
            the list is none or names no file that is here, or pyarrow is missing for a table that is named as a source.
        OSError: a source, the manifest or the list does not exist.
    """
    if not all(os.fspath(source) for source in sources):
        raise ValueError('a source has no name: "" (the current folder is ".")')
    roots = [Path(source) for source in sources]
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(2, "no such file or folder", str(root))
    check_apart(roots)
    given = None if manifest is None else read_manifest(os.fspath(manifest), Path(manifest).name, range(len(roots)))
    if given and not given.rows:
        raise ValueError(f"{manifest}: not a manifest: no row names a file and its song")
    groups = None if duplicates is None else read_duplicates(duplicates)
    notices: list[str] = []
    beside = None if manifest is None else Path(manifest).resolve()
    whole = frozenset(root.resolve() for root in roots)
    listed = [list_source(root, number, beside, whole, notices) for number, root in enumerate(roots)]
    if not any(len(part.members) for source in listed for part in source.parts):
        endings = f"{', '.join(READABLE[:-1])} or {READABLE[-1]}"
        raise ValueError("; ".join([f"no {endings} file in {', '.join(map(str, sources))}", *notices]))
    for source, label in zip(listed, labels_of(roots, [source.label for source in listed]), strict=True):
        source.label = label
    tables = [table for source in listed for table in source.tables] + ([given] if given else [])
    files = _Files(listed)
    _name(files, listed, tables)
    if given and not given.n_matched:
        raise ValueError(
            f"{manifest}: none of its {len(given.rows):,} rows names a file that is here:"
            f" the first names {given.rows[0].key!r}, the first file is {files[0].name!r}"
        )
    notices += [table.notice() for table in tables]
    if groups is not None:
        notices.append(_join(files, groups, os.fspath(duplicates or "")))
    return Found(files, notices)


def _name(files: _Files, sources: Sequence[Source], tables: Sequence[Manifest]) -> None:
    """Give the files what the tables say of them, the last table's word before the first's."""
    if not tables:
        return
    roots = []
    for source in sources:
        folder = source.root.parent if source.is_file else source.root
        labels = [in_utf8(folder.resolve().name)] if source.is_file else [source.label, source.label.rpartition("/")[2]]
        paths = (in_utf8(str(path)) for path in (folder.resolve(), folder.absolute()))
        roots.append([normal_path(name) for name in (*paths, *labels)])
    named = _Again(files)
    matches = [table.match(named, roots) for table in tables]
    own = [[i for i, table in enumerate(tables) if number in table.reach] for number in range(len(sources))]
    orders = [mine[::-1] + [i for i in reversed(range(len(tables))) if i not in mine] for mine in own]
    words: dict[str, dict[str, int]] = {"song": {}, "style": {}, "label": {}}
    numbers = {what: array("i") for what in words}
    for index, file in enumerate(named):
        rows = [tables[i].rows[matches[i][index]] for i in orders[file.source] if matches[i][index] >= 0]
        for what, known in words.items():
            word = next((word for row in rows if (word := getattr(row, what)) != Row._field_defaults.get(what, "")), "")
            numbers[what].append(known.setdefault(word, len(known)) if word else -1)
    files.said = {what: (list(known), numbers[what]) for what, known in words.items()}


class _Again:
    """The files as manifests name them, as often as they are gone through."""

    def __init__(self, files: _Files) -> None:
        self._files = files

    def __iter__(self) -> Iterator[Named]:
        return self._files.named()


def _song_by_name(source: Source, below: str, whole: str, kind: str) -> str:
    """A song's name where no manifest gives it: the same wherever the song is found, if it has an id."""
    parent = whole.rpartition("/")[0]
    folder = source.root.resolve().parent.name if source.is_file else parent.rpartition("/")[2]
    if _TRACK_ID.fullmatch(folder):
        return folder
    if md5 := md5_of(whole):
        return md5
    if "/" not in below or _BUCKET.fullmatch(folder) or kind == PARQUET:
        return whole
    return parent


def _join(files: _Files, groups: Sequence[Sequence[str]], duplicates: str) -> str:
    """Give one song to all files that a list of duplicates calls one, and say how many they are."""
    md5s = [md5_of(file.name) for file in files]
    here = set(md5s)
    if not any(md5 in here for group in groups for md5 in group):
        raise ValueError(
            f"{duplicates}: none of its {len(groups):,} groups has a file that is here, by its MD5 for a name"
        )
    before = [file.song for file in files]
    songs, n_groups, n_files = join_songs(before, md5s, groups)
    number = {song: i for i, song in enumerate(dict.fromkeys(songs))}
    files.said["song"] = list(number), array("i", [number[song] for song in songs])
    return (
        f"{Path(duplicates).name}: {n_groups:,} of {len(groups):,} groups join files that are here,"
        f" {n_files:,} files; {len(set(before)):,} songs become {len(number):,}"
    )
