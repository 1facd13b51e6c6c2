"""What lies in a source: the files of a folder, the members of an archive, and the tables beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from rhythmgan import lpd, midi_reader
from rhythmgan.calls import UNFINISHED
from rhythmgan.npz import npz_names
from rhythmgan.songs import archives
from rhythmgan.songs.contents import suffix_of
from rhythmgan.songs.manifests import Manifest, read_manifest
from rhythmgan.songs.members import FILE, PARQUET, PLAIN, Listing, Members, Place

READABLE = (*midi_reader.SUFFIXES, lpd.SUFFIX)


def in_utf8(name: str) -> str:
    """A name on disk as it is in UTF-8, with surrogates for what is none: songs are named alike in every locale."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


@dataclass
class Part:
    """Files of a source that follow one another: of a folder plain ones, or those of one archive.

    Attributes:
        path: the folder with a ``/`` at its end, or the archive.
        members: the files; of a folder by their paths below it.
        is_archive: whether they are members of an archive.
        folder: what leads from the source to them, with a ``/`` at its end, or "".
        top: what the names of all members begin with and those of the files do not.
    """

    path: str
    members: Members
    is_archive: bool = False
    folder: str = ""
    top: str = ""

    def below(self, index: int) -> str:
        """The path of a file below the source."""
        name = self.members.names[index]
        return self.folder + name[len(self.top) :] if self.is_archive else in_utf8(name)


@dataclass
class Source:
    """What one source holds.

    Attributes:
        root: where it is.
        label: its name, with which the names of its files begin.
        parts: its files.
        tables: the manifests that lie in it.
        is_file: whether it is one plain file, which has the source's name.
    """

    root: Path
    label: str
    parts: list[Part]
    tables: list[Manifest] = field(default_factory=list)
    is_file: bool = False


def check_apart(roots: Sequence[Path]) -> None:
    """Refuse sources whose files would be read twice, and so be two songs, of which one may be held out.

    An archive that lies in a folder is no part of it, see ``find_files``, nor is a file that is not read there.
    """
    outer: dict[Path, Path] = {}
    for root in roots:
        if (whole := root.resolve()) in outer:
            raise ValueError(f"a source is named twice: {whole}")
        outer[whole] = root
    for root in roots:
        paths = [root.resolve()]
        if root.name not in ("", ".."):
            paths.append(root.parent.resolve() / root.name)  # a link that lies in the other one
        for path in paths:
            if not root.is_dir() and not _is_read(path.name):
                continue
            around = next((parent for parent in path.parents if parent in outer and parent.is_dir()), None)
            if around:
                raise ValueError(
                    f"{root} lies in {outer[around]}, which is a source too: its files would be read twice"
                )


def _is_read(name: str) -> bool:
    """Whether a file of this name in a folder is read."""
    return name.lower().endswith((*READABLE, ".parquet")) and not name.startswith(".")


def list_source(
    root: Path, number: int, manifest: Path | None, sources: AbstractSet[Path], notices: list[str]
) -> Source:
    """The files of one source, and its tables but for the one that is given anyway; ``sources`` are all of them."""
    kind = archives.kind_of(root.name)
    if root.is_dir():
        source = _list_folder(root, sources - {root.resolve()}, notices)
        contents: dict[str, bytes | None] = {
            name: None for name in archives.TABLES if (root / name).is_file() and (root / name).resolve() != manifest
        }
    elif kind == FILE:
        members = Members()
        members.append(root.name, PLAIN)
        return Source(root, in_utf8(root.resolve().name), [Part(_prefix(root.parent), members)], is_file=True)
    else:
        try:
            source, contents = _list_archive(root, notices)
        except ModuleNotFoundError:
            raise ValueError(f"{root}: a parquet table needs pyarrow: pip install 'rhythmgan[parquet]'") from None
    for name in archives.TABLES:
        if name in contents:
            try:
                source.tables.append(read_manifest(str(root / name), f"{root.name}/{name}", [number], contents[name]))
            except (ValueError, OSError) as error:  # a file of that name may be anything
                notices.append(f"not used: {error}")
    return source


def _prefix(folder: Path) -> str:
    """What stands before the names in a folder."""
    return "" if folder == Path() else os.path.join(folder, "")


def _list_folder(root: Path, others: AbstractSet[Path], notices: list[str]) -> Source:
    parts = [Part(_prefix(root), Members())]
    not_read: list[str] = []
    elsewhere: list[str] = []
    ours: list[str] = []
    for path in _walk(root, others, elsewhere):
        below = path.relative_to(root).as_posix()
        kind = archives.kind_of(path.name)
        if kind == FILE and path.parent == root and (own := _own_kind(path)):
            ours.append(f"{path}: {own}")
        elif kind == FILE:
            if parts[-1].is_archive:
                parts.append(Part(_prefix(root), Members()))
            parts[-1].members.append(below, PLAIN)
        elif kind == PARQUET:
            try:
                listing = _listing(path, notices)
            except ModuleNotFoundError:
                notices.append(f"{path} is not read: it needs pyarrow (pip install 'rhythmgan[parquet]')")
            else:
                folder = f"{archives.without_suffix(in_utf8(below))}/"
                parts.append(Part(str(path), listing.members, is_archive=True, folder=folder))
                _add_damage(parts[-1], listing)
        else:
            not_read.append(str(path))
    if not_read:
        which = not_read[0] if len(not_read) == 1 else f"{len(not_read)} archives in {root}"
        notices.append(f"{which} {'is' if len(not_read) == 1 else 'are'} not read: name archives as sources themselves")
    if ours:
        what = (
            f"{ours[0]}, no song"
            if len(ours) == 1
            else f"{root}: {len(ours):,} .npz files are corpora or bars, no songs"
        )
        notices.append(f"{what}, and not read")
    if elsewhere:
        which = f"{elsewhere[0]} leads" if len(elsewhere) == 1 else f"{len(elsewhere):,} links in {root} lead"
        notices.append(f"{which} to another source, and what is there is read once")
    return Source(root, in_utf8(root.resolve().name), parts)


_OF_LPD = re.compile(rb"pianoroll_|tempo|downbeat|info\.json")
"""What the first member of an LPD file is called."""


def _own_kind(path: Path) -> str:
    """What an .npz file is that this program wrote, perhaps beside the songs that it came from; "" of any other."""
    if suffix_of(path.name) != lpd.SUFFIX:
        return ""
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return ""
        with open(path, "rb") as file:
            head = file.read(64)
        if head[:4] != b"PK\3\4" or _OF_LPD.match(head, 30):  # a folder may hold 100,000 of them
            return ""
        names = {*npz_names(path)}
    except OSError:  # it is said when it is read
        return ""
    if names >= {"format", "counts"} or names >= {"songs", "files"}:
        return "a corpus"
    return "bars" if "bars" in names else ""


def _list_archive(root: Path, notices: list[str]) -> tuple[Source, dict[str, bytes | None]]:
    """An archive as the folder that is packed in it: one top folder that holds everything is the source itself.

    Unless a manifest lies beside that folder.
    """
    listing = _listing(root, notices)
    names = listing.members.names
    tables = listing.tables
    part = Part(str(root), listing.members, is_archive=True)
    own = in_utf8(root.resolve().name)
    label = archives.without_suffix(own) or own
    top = names[0].partition("/")[0] if names else ""
    if names and all(name.startswith(f"{top}/") for name in names) and not tables.keys() & {*archives.TABLES}:
        label, part.top = top or label, f"{top}/"
    _add_damage(part, listing)
    found = {name: tables.get(part.top + name) for name in archives.TABLES}
    return Source(root, label, [part]), {name: content for name, content in found.items() if content is not None}


def _listing(path: Path, notices: list[str]) -> Listing:
    listing = archives.list_archive(str(path), READABLE)
    if listing.n_skipped:
        notices.append(f"{path}: {listing.n_skipped:,} members are links or no plain files, and are not read")
    if listing.n_archives:
        which = "1 archive in it is" if listing.n_archives == 1 else f"{listing.n_archives:,} archives in it are"
        also = "" if len(listing.members) else ", and it holds nothing else to read"
        notices.append(f"{path}: {which} not read: unpack it first{also}")
    return listing


def _add_damage(part: Part, listing: Listing) -> None:
    """Let what is wrong with an archive as a whole be a file that cannot be read."""
    if listing.damage:
        part.members.append(part.top + os.path.basename(part.path), Place(problem=listing.damage))


def _walk(root: Path, others: AbstractSet[Path], elsewhere: list[str]) -> Iterator[Path]:
    """Files to read below a folder, links followed once; a folder that cannot be listed stands for itself.

    Links to what lies in ``others`` are not followed, and added to ``elsewhere``. Folders may be nested as deep as
    names reach: each is listed once, and known by its real path.
    """
    closed: list[Path] = []
    seen: set[str] = set()
    endings = (*READABLE, *archives.SUFFIXES)
    waiting = [(str(root), os.path.realpath(root))]
    while waiting:
        folder, real = waiting.pop()
        if real in seen:
            continue
        if others and _lies_in(real, others):
            elsewhere.append(folder)
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            archives.raise_if_ours(error)
            closed.append(Path(folder))
            continue
        folders = []
        for entry in inside:
            name = entry.name
            if name in UNFINISHED:  # files of a call that was killed beside those of the one before it
                continue
            if _is_folder(entry):
                # of what is no link the real path is known: to ask for it takes a call for each folder above it
                below = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(real, name)
                folders.append((os.path.join(folder, name), below))
            elif name.lower().endswith(endings) and not name.startswith("."):
                path = Path(folder, name)
                if others and entry.is_symlink() and _lies_in(os.path.realpath(path), others):
                    elsewhere.append(str(path))
                else:
                    yield path
        waiting += reversed(folders)
    yield from closed


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or leads to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _lies_in(path: str, sources: AbstractSet[Path]) -> bool:
    """Whether a real path is one of these, or below one of them."""
    return any(path == str(source) or path.startswith(os.path.join(source, "")) for source in sources)


def labels_of(roots: Sequence[Path], labels: Sequence[str]) -> list[str]:
    """A name for each source: its own, with its parents' where several are called alike."""
    whole = [[in_utf8(part) for part in root.resolve().parts] for root in roots]
    last = [path[-1] for path in whole]
    stems = [archives.without_suffix(name) or name for name in last]
    # archives may hold folders of one name, and lie beside the folder that was unpacked
    for own in (labels, stems, last):
        parts = [[*path[:-1], name] for path, name in zip(whole, own, strict=True)]
        for depth in range(1, max(map(len, parts)) + 1):
            names = ["/".join(part[-depth:]).lstrip("/") for part in parts]
            if len(set(names)) == len(names):
                return names
    raise AssertionError("paths that differ have names that differ")
