"""Files of songs: which there are under some folders, and which song each belongs to."""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rhythmgan import lpd, midi_reader


@dataclass(frozen=True)
class SongFile:
    """A file to read.

    Attributes:
        path: where it is.
        name: the source's name and the path below it.
        song: the name of its song.
        source: which of the sources it belongs to, from 0.
    """

    path: str
    name: str
    song: str
    source: int


def suffix_of(path: str) -> str:
    return os.path.splitext(path)[1].lower()


READABLE = {*midi_reader.SUFFIXES, lpd.SUFFIX}
_MD5 = re.compile(r"[0-9a-f]{32}")
_BUCKET = re.compile(r"[0-9a-fA-F]")
_TRACK_ID = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}")


def find_files(sources: Sequence[str | os.PathLike[str]], manifest: str | os.PathLike[str] | None) -> list[SongFile]:
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
    files: list[SongFile] = []
    for index, (root, label) in enumerate(zip(roots, _labels(roots), strict=True)):
        songs = by_md5 | by_root[index]
        for path in _walk(root) if root.is_dir() else [root]:
            name = path.relative_to(root).as_posix() if path != root else path.name
            whole = f"{label}/{name}" if path != root else label
            song = songs.get(name) or songs.get(path.stem) or _song_by_name(path, root, whole)
            files.append(SongFile(str(path), whole, song, index))
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
            if suffix_of(name) in READABLE and not name.startswith("."):
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
