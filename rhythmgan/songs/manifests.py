"""What lists say of files: a manifest their song, style and label, a list of duplicates which are one song."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from rhythmgan.inputs import read_input
from rhythmgan.songs.members import without_controls

UNKNOWN = "unknown"
"""The style of a file of which no list says any."""

LABELS = ("beat", "fill")
"""What Groove's ``beat_type`` calls a file: time is kept, or a fill is played."""

MAX_MANIFEST = 512 << 20
"""Bytes of a manifest; rows of two million files have 200 MB."""

MAX_DUPLICATES = 64 << 20
"""Bytes of a list of duplicates; one of all 178,561 files of the Lakh MIDI Dataset has 7 MB."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_KEY_COLUMNS = ("md5", "file", "midi_filename")
_SONG_COLUMNS = ("song", "id")
_STYLE_COLUMNS = ("style", "genre")


class Row(NamedTuple):
    """What a manifest says of a file: its name there, its song ("" for none), style and label."""

    key: str
    song: str
    style: str = UNKNOWN
    label: str = ""


class Named(NamedTuple):
    """A file as a manifest may name it: the number of its source, and its path below that as ``normal_path``."""

    source: int
    path: str


def normal_path(name: str) -> str:
    r"""A path as it is compared: ``A\one.mid``, ``./A/one.mid``, ``/A//one.mid`` and ``C:\A\one.mid`` are one.

    Unicode is composed (NFC), separators are ``/``, no drive, no ``.`` and no ``..`` are left, nor a leading ``/``, and
    control characters are spaces, as in the names of files.
    """
    name = unicodedata.normalize("NFC", without_controls(name)).strip().replace("\\", "/")
    parts: list[str] = []
    for part in re.sub(r"^(?:file:/+)?(?:[A-Za-z]:/)?", "", name).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


_ENDING = re.compile(r"(?<=[^/])\.[A-Za-z][A-Za-z0-9]{0,3}$")
"""What tells a file's kind: "Vol.2" and "Mr. Jones" have none."""


def without_ending(path: str) -> str:
    """A path without the ending of its name."""
    return _ENDING.sub("", path)


def md5_of(path: str) -> str:
    """The MD5 that a file is called by, in lower case, or ""."""
    stem = without_ending(path.rpartition("/")[2]).lower()
    return stem if _MD5.fullmatch(stem) else ""


_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
"""Zero width space, word joiner, byte order mark."""


def normal_song(text: str) -> str:
    """A song's name as it is compared: composed (NFC), one space for any blanks and controls, none at its ends."""
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", without_controls(text))).split())


@lru_cache(maxsize=1 << 16)
def normal_style(text: str) -> str:
    """A style's name: the primary style in lower case, words joined by ``_``; ``UNKNOWN`` of nothing.

    The Groove MIDI Dataset writes ``primary/secondary`` ("jazz/funk", "latin/brazilian-baiao"): 18 primary styles, and
    67 in all, most of them with a handful of files. What stands before the ``/`` is kept.
    """
    primary = unicodedata.normalize("NFC", without_controls(text)).partition("/")[0]
    return re.sub(r"[\s_]+", "_", primary.strip().lower()).strip("_") or UNKNOWN


@dataclass
class Manifest:
    """A table of files and their songs.

    Attributes:
        name: what to call it in a notice.
        rows: those that name a file and say something of it.
        reach: the sources whose files its paths may name; an MD5 names a file in any source.
        n_without_song: rows that name a file and no song, of which those that say nothing else are not in ``rows``.
        n_without_file: rows that name no file, and are not in ``rows``.
        n_matched: rows that name a file that is here, after ``match``.
    """

    name: str
    rows: list[Row]
    reach: frozenset[int]
    n_without_song: int = 0
    n_without_file: int = 0
    n_matched: int = 0

    def match(self, files: Iterable[Named], roots: Sequence[Sequence[str]]) -> Sequence[int]:
        """The row of each file, -1 where there is none.

        A row names, in this order: the file that has this path below its source; that has it but for the ending; the
        files that are called so, without folder and ending, wherever they lie; the files of this MD5. Rows that name
        none of these are looked for by what stands behind the source's own path or name in them (absolute paths, of
        this or another machine), and at last by a bare name that one file only has.

        Args:
            files: all files of all sources; it is gone through twice.
            roots: by source, its name and the paths where it lies, each as ``normal_path``.
        """
        keys = [normal_path(row.key) for row in self.rows]
        whole = {key: number for number, key in enumerate(keys)}
        bare = {without_ending(key): number for number, key in enumerate(keys)}
        by_md5 = {md5: number for number, key in enumerate(keys) if (md5 := md5_of(key))}

        def row_of(file: Named) -> int:
            if file.source in self.reach:
                path = without_ending(file.path)
                name = path.rpartition("/")[2]
                for table, key in ((whole, file.path), (whole, path), (bare, path), (whole, name)):
                    if key in table:
                        return table[key]
            return by_md5.get(md5_of(file.path), -1)

        found = array("i", map(row_of, files))
        matched = {keys[number] for number in found if number >= 0}
        rest = [number for number, key in enumerate(keys) if key not in matched]
        if rest:
            self._match_rest(files, roots, {number: keys[number] for number in rest}, found)
            matched = {keys[number] for number in found if number >= 0}
        self.n_matched = sum(key in matched for key in keys)
        return found

    def _match_rest(
        self, files: Iterable[Named], roots: Sequence[Sequence[str]], keys: dict[int, str], found: array[int]
    ) -> None:
        """Look for files that have no row among the rows that have none, and write their numbers into ``found``."""
        below = {}
        for number, key in keys.items():
            for source in self.reach:
                for tail in _tails(key, roots[source]):
                    below[source, without_ending(tail)] = below[source, tail] = number
        by_name: dict[str, list[int]] = {key: [] for key in keys.values()}
        for index, (source, path) in enumerate(files):
            if source not in self.reach:
                continue
            if (name := path.rpartition("/")[2]) in by_name:
                by_name[name].append(index)
            if found[index] < 0:
                found[index] = below.get((source, path), below.get((source, without_ending(path)), -1))
        for number, key in keys.items():
            called_so = by_name[key]
            if len(called_so) == 1 and found[called_so[0]] < 0:
                found[called_so[0]] = number

    def notice(self) -> str:
        """How many of the rows name a file that is here, and how many name no song or no file."""
        if not self.rows:
            return f"{self.name}: no row names a file and its song"
        said = f"{self.n_matched:,}" if self.n_matched else "none"
        said += f" of {len(self.rows):,} rows name a file that is here"
        for n, what in ((self.n_without_song, "song"), (self.n_without_file, "file")):
            said += f", {n:,} {'row names' if n == 1 else 'rows name'} no {what}" if n else ""
        return f"{self.name}: {said}"


def _tails(key: str, roots: Iterable[str]) -> Iterator[str]:
    """What stands behind one of these paths in a key, up to ``_MAX_TAILS`` times: a name may be all ``a/a/a/a``."""
    for root in filter(None, roots):
        place = -1
        for _ in range(_MAX_TAILS):
            place = f"/{key}".find(f"/{root}/", place + 1)
            if place < 0:
                break
            yield key[place + len(root) + 1 :]


_MAX_TAILS = 16


def read_manifest(path: str, name: str, reach: Iterable[int], content: bytes | None = None) -> Manifest:
    """A CSV table of files.

    Columns: a file's name is ``md5``, ``file`` or ``midi_filename``, in each row the first that is not blank (an MD5,
    or a path with or without its ending), its song ``song`` or ``id``; where they are there, its style is ``style`` or
    ``genre``, its label ``beat_type``.

    Args:
        path: where it is, for messages, and to read it from.
        name: what to call it in a notice.
        reach: as in ``Manifest``.
        content: its bytes, of a member of an archive.

    A row takes no more than its own cells, however many columns the first one names: 250 bytes and what they hold.

    Raises:
        ValueError: no manifest; it names ``path``.
        OSError: it cannot be read.
    """
    data = read_input(path, MAX_MANIFEST) if content is None else content
    # Python 3.10 takes no NUL in a table
    text = io.TextIOWrapper(io.BytesIO(data.replace(b"\0", b" ")), "utf-8-sig", "surrogateescape", newline="")
    try:
        table = csv.reader(text)
        columns = next(table, [])
        place = {name: number for number, name in enumerate(columns)}
        keys = [place[name] for name in _KEY_COLUMNS if name in place]
        song = next((place[name] for name in _SONG_COLUMNS if name in place), None)
        if not keys or song is None:
            raise ValueError("expected a column md5, file or midi_filename and a column song or id")
        style = next((place[name] for name in _STYLE_COLUMNS if name in place), len(columns))
        beat_type = place.get("beat_type", len(columns))
        rows = []
        n_without_song = n_without_file = 0
        for cells in table:
            row = cells[: len(columns)]

            def cell(number: int, row: Sequence[str] = row) -> str:
                return row[number] if number < len(row) else ""

            label = cell(beat_type).strip().lower()
            found = Row(
                next((written for key in keys if (written := cell(key)).strip()), ""),
                normal_song(cell(song)),
                normal_style(cell(style)),
                label if label in LABELS else "",
            )
            n_without_song += bool(found.key and not found.song)
            n_without_file += bool(found.song and not found.key)
            if found.key and found[1:] != ("", UNKNOWN, ""):
                rows.append(found)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: not a manifest: {error}") from None
    return Manifest(name, rows, frozenset(reach), n_without_song, n_without_file)


# -- duplicates ----------------------------------------------------------------------------------

_MD5_IN_TEXT = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32}(?![0-9A-Fa-f])")


def read_duplicates(path: str | os.PathLike[str]) -> list[list[str]]:
    """Groups of MD5s of files that are one song.

    Of text (CSV, TSV, JSON lines …), the MD5s of a line are a group, whatever is between and around them: of a table
    that names each file and what it is a copy of, each row is one. Of JSON, each array of MD5s is a group, and each
    entry of an object, its key (if that is an MD5) with its value: the forms of the lists published for the Lakh MIDI
    Dataset by Choi and others, "On the de-duplication of the Lakh MIDI dataset" (2025). It takes up to 25 bytes for
    each of the list's, as JSON does, and of these there may be ``MAX_DUPLICATES``.

    Raises:
        ValueError: no line and no array has two MD5s, or it is one long array of them, which says not
            which belong together; it names ``path``.
        OSError: it cannot be read.
    """
    text = read_input(path, MAX_DUPLICATES).decode("utf-8-sig", "replace")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        groups = [group for line in text.splitlines() if len(group := _md5s(line)) > 1]
    else:
        if isinstance(tree, list) and any(isinstance(node, str) for node in tree):
            raise ValueError(f"{path}: not a list of duplicates: an array of MD5s says not which of them are one song")
        try:
            groups = list(_groups(tree))
        except RecursionError:
            raise ValueError(f"{path}: not a list of duplicates: too many arrays in arrays") from None
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise ValueError(f"{path}: not a list of duplicates: no two MD5s stand together in it")
    return groups


def _md5s(text: str) -> list[str]:
    """The distinct MD5s in a text, in lower case, in order."""
    return list(dict.fromkeys(found.lower() for found in _MD5_IN_TEXT.findall(text)))


def _groups(node: Any) -> Iterator[list[str]]:
    """The groups in a part of a JSON file."""
    if isinstance(node, dict):
        rest = []
        for key, value in node.items():
            if _md5s(key):
                yield _md5s(json.dumps([key, value]))
            else:
                rest.append(value)
        node = rest
    if isinstance(node, list):
        if any(isinstance(value, str) and _md5s(value) for value in node):
            yield _md5s(json.dumps(node))
        else:
            for value in node:
                yield from _groups(value)


def join_songs(
    songs: Sequence[str], md5s: Sequence[str], groups: Iterable[Sequence[str]]
) -> tuple[list[str], int, int]:
    """One song for all files whose MD5s stand in one group, or in groups that share one.

    The song takes the first, in the order of letters, of the names that its files had. So it depends on which files
    are here, and as a song's split is a hash of its name (``data.split_of``), a file may change
    its split when a list is given or when others of its group come; files of one group never lie in two splits.

    Args:
        songs: the song of each file.
        md5s: the MD5 of each file, "" where it has none.
        groups: of MD5s.

    Returns:
        The new song of each file; how many groups have two or more of their MD5s here; how many files these are.
    """
    files: dict[str, list[int]] = defaultdict(list)
    for index, md5 in enumerate(md5s):
        if md5:
            files[md5].append(index)
    parent = {song: song for song in songs}

    def first_of(song: str) -> str:
        while parent[song] != song:
            parent[song] = song = parent[parent[song]]
        return song

    n_groups = 0
    joined: set[int] = set()
    for group in groups:
        here = [index for md5 in group for index in files.get(md5, ())]
        firsts = {first_of(songs[index]) for index in here}
        if here:
            parent.update(dict.fromkeys(firsts, min(firsts)))
        if len({md5s[index] for index in here}) > 1:
            n_groups += 1
            joined.update(here)
    return [first_of(song) for song in songs], n_groups, len(joined)
