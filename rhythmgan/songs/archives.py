"""Contents of files, plain or inside a .zip, a .tar or a parquet table, without unpacking anything to disk.

Names of members are labels here: nothing is ever written, and no path is made of them.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from rhythmgan.inputs import open_input
from rhythmgan.midi_reader import MAX_BYTES
from rhythmgan.songs import parquet
from rhythmgan.songs.members import FILE, MAX_RATIO, MAX_SMALL, PARQUET, TAR, ZIP, Listing, Place, without_controls
from rhythmgan.zips import open_zip, overlapping, read_member

SUFFIXES = {
    ".zip": ZIP,
    ".tar": TAR,
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.bz2": "tar.bz2",
    ".tbz2": "tar.bz2",
    ".tbz": "tar.bz2",
    ".tar.xz": "tar.xz",
    ".txz": "tar.xz",
    ".parquet": PARQUET,
}
"""The kind of archive by the ending of its name."""

COMPRESSED = {"tar.gz", "tar.bz2", "tar.xz"}
STREAMED = {*COMPRESSED, PARQUET}
"""Kinds that can only be read from their beginning: who needs all of one reads it in one go."""

TABLES = ("manifest.csv", "info.csv")
"""Members whose content is taken while an archive is listed."""

_MAX_DIRECTORY = 256 << 20
"""Bytes of the directory of a .zip; two million members have so many."""

_MAX_TABLES = 32 << 20
"""Bytes of all members called as ``TABLES``."""

_MAX_GLOBAL = 100
"""Words that a .tar may say of all that follows; tarfile goes through them for each member."""

_DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    OSError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
)
"""What is raised of archives that are damaged; a ValueError comes of names and numbers that are none."""


_OURS = (errno.EMFILE, errno.ENFILE)
"""What is wrong with this process or machine: of no file may it be said that it cannot be read."""


class _RefusedError(ValueError):
    """What an archive asks for is not done; the message says why."""


_MARKS = ((0, b"\x1f\x8b", "tar.gz"), (0, b"BZh", "tar.bz2"), (0, b"\xfd7zXZ\0", "tar.xz"), (257, b"ustar", TAR))


def _kind_by_content(path: str) -> str:
    """The kind of an archive: by its name, of a .tar by how it is packed, whatever it is called."""
    kind = kind_of(path)
    if kind in (ZIP, PARQUET):
        return kind
    with open_input(path) as file:
        head = file.read(512)
    return next((found for place, mark, found in _MARKS if head.startswith(mark, place)), kind)


def kind_of(path: str) -> str:
    """The kind of an archive by its name; ``FILE`` of any other file."""
    name = os.path.basename(path).lower()
    return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), FILE)


def without_suffix(name: str) -> str:
    """The name of an archive without the ending that says its kind."""
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def list_archive(path: str, suffixes: Sequence[str]) -> Listing:
    """The members of an archive whose names end in one of the suffixes (lower case); hidden ones are left out.

    A .tar that is compressed is unpacked once for this, into nothing, and no further than ``MAX_SMALL`` bytes and
    ``MAX_RATIO`` for each of its own. The directory of a .zip takes ten times its bytes. A member takes 80 bytes and
    its name.

    Raises:
        ModuleNotFoundError: a parquet table, and pyarrow is not installed.
    """
    listing = Listing()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        kind = _kind_by_content(path)
        if kind == PARQUET:
            parquet.list_table(path, listing)
        elif kind == ZIP:
            _list_zip(path, listing, tuple(suffixes))
        else:
            _list_tar(path, kind, listing, tuple(suffixes))
    except _DAMAGE as error:
        raise_if_ours(error)
        listing.damage = _reason(error, path)
    # as on unpacking, a name that comes again replaces what was there
    listing.members = listing.members.without_repeats()
    return listing


def raise_if_ours(error: BaseException) -> None:
    """Raise an error again that is of this process and not of what it reads."""
    if isinstance(error, OSError) and error.errno in _OURS:
        raise error


def _reason(error: BaseException, path: str) -> str:
    """One line on a damaged archive."""
    kind = kind_of(path)
    if isinstance(error, OSError) and error.errno:
        return error.strerror or str(error)
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, (_RefusedError, parquet.RefusedError)):
        return str(error)
    if kind == ZIP:
        return "not a .zip file, or it is damaged"
    if kind == PARQUET:
        return f"not a parquet table: {str(error).partition(chr(10))[0]}"[:160]
    return f"not a .{kind} file, or it is damaged"


def _is_wanted(name: str, suffixes: Iterable[str]) -> bool:
    base = name.rpartition("/")[2]
    return base.lower().endswith((*suffixes,)) and not base.startswith(".") and "__MACOSX" not in name.split("/")


def clean(name: str) -> str:
    """A member's name as a path below the archive: ``/`` between folders, no ``..``, nothing absolute, no controls."""
    return "/".join(
        part for part in without_controls(name).replace("\\", "/").split("/") if part not in ("", ".", "..")
    )


# -- .zip ----------------------------------------------------------------------------------------

_UTF8_NAME, _ENCRYPTED = 0x800, 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _list_zip(path: str, listing: Listing, suffixes: tuple[str, ...]) -> None:
    tables = []
    wanted = []
    with open(path, "rb") as file:
        infos = open_zip(file, _MAX_DIRECTORY).infolist()
        n_bytes = os.fstat(file.fileno()).st_size
    for info in infos:
        name = info.orig_filename  # zipfile cuts the other one at a NUL
        if not info.flag_bits & _UTF8_NAME:
            # such names are code page 437 by the book, and UTF-8 as most programs write them
            with suppress(UnicodeError):
                name = name.encode("cp437").decode("utf-8")
        if name.endswith("/"):
            continue
        name = clean(name)
        mode = info.external_attr >> 16
        if name.rpartition("/")[2] in TABLES:
            tables.append((name, info))
        elif _is_wanted(name, SUFFIXES):
            listing.n_archives += 1
        elif _is_wanted(name, suffixes):
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                listing.n_skipped += 1
                continue
            wanted.append((name, info))
    inside = {id(info) for info in overlapping(infos)}
    left = MAX_SMALL + MAX_RATIO * n_bytes

    def place_of(info: zipfile.ZipInfo) -> Place:
        nonlocal left
        left -= info.file_size
        what = "damaged: it lies in another member" if id(info) in inside else _beyond(n_bytes) if left < 0 else ""
        return _zip_place(info, what)

    for name, info in wanted:
        listing.members.append(name, place_of(info))
    if sum(info.file_size for _, info in tables) > _MAX_TABLES:
        raise _RefusedError(f"its tables have more than {_MAX_TABLES >> 20} MiB")
    for (name, _), content in zip(tables, read(path, [place_of(info) for _, info in tables]), strict=True):
        if isinstance(content, bytes):
            listing.tables[name] = content


def _beyond(n_bytes: int) -> str:
    """What is said of an archive of so many bytes that unpacks to more than it may."""
    return f"the archive unpacks to more than the {MAX_SMALL + MAX_RATIO * n_bytes >> 20:,} MiB that it may"


def _zip_place(info: zipfile.ZipInfo, problem: str = "") -> Place:
    """Where a member lies; ``problem`` is what else is wrong with it."""
    if info.flag_bits & _ENCRYPTED:
        problem = "encrypted"
    elif info.compress_type not in _METHODS:
        problem = f"packed in a way that is not read (method {info.compress_type})"
    return Place(ZIP, info.header_offset, info.file_size, info.compress_size, info.compress_type, info.CRC, problem)


# -- .tar ----------------------------------------------------------------------------------------


def _open_tar(path: str, kind: str) -> IO[bytes]:
    """The bytes of a .tar, unpacked as they are read; seeking forwards reads on, seeking back begins anew."""
    if kind == "tar.gz":
        return cast("IO[bytes]", _Bounded(gzip.open(path), path))
    if kind == "tar.bz2":
        return cast("IO[bytes]", _Bounded(bz2.open(path), path))
    if kind == "tar.xz":
        return cast("IO[bytes]", _Bounded(lzma.open(path), path))
    return open(path, "rb")


class _Bounded:
    """What a compressed file unpacks to, up to ``MAX_SMALL`` bytes and ``MAX_RATIO`` for each of its own."""

    def __init__(self, file: Any, path: str) -> None:
        self._file = file
        self._n_bytes = os.stat(path).st_size
        self._most = MAX_SMALL + MAX_RATIO * self._n_bytes
        self.tell, self.close = file.tell, file.close

    def seek(self, place: int) -> int:
        self._check(place)
        return int(self._file.seek(place))

    def read(self, n_bytes: int) -> bytes:
        self._check(self._file.tell() + n_bytes)
        return bytes(self._file.read(n_bytes))

    def _check(self, end: int) -> None:
        if end > self._most:
            raise _RefusedError(_beyond(self._n_bytes))

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Headers:
    """A .tar for tarfile, which reads whatever length a header declares for a name: gigabytes of a few packed bytes.

    It would also follow a negative size back to where it was, for ever.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last = -1
        self.tell = file.tell

    def seek(self, place: int) -> int:
        if place <= self._last:
            raise tarfile.ReadError("a header that leads back")
        self._last = place
        return self._file.seek(place)

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= 1 << 20:
            raise tarfile.ReadError("a header of more than 1 MiB")
        return self._file.read(n_bytes)


def _list_tar(path: str, kind: str, listing: Listing, suffixes: tuple[str, ...]) -> None:
    archive: Any  # the stubs leave out its list of members
    table_bytes = 0
    with (
        _open_tar(path, kind) as file,
        tarfile.open(fileobj=cast("IO[bytes]", _Headers(file)), mode="r:", encoding="utf-8") as archive,
    ):
        while (info := archive.next()) is not None:
            archive.members = []  # or it would hold a kilobyte for each
            if len(archive.pax_headers) > _MAX_GLOBAL:
                raise _RefusedError(f"it says more than {_MAX_GLOBAL} things of all that follows")
            name = clean(info.name)
            is_table = name.rpartition("/")[2] in TABLES
            listing.n_archives += info.isreg() and _is_wanted(name, SUFFIXES)
            if info.isdir() or not (is_table or _is_wanted(name, suffixes)):
                continue
            if not info.isreg() or info.issparse() or info.size < 0:
                listing.n_skipped += 1
                continue
            place = Place(kind, info.offset_data, info.size)
            if is_table and info.size <= MAX_BYTES:
                table_bytes += info.size
                if table_bytes > _MAX_TABLES:
                    raise _RefusedError(f"its tables have more than {_MAX_TABLES >> 20} MiB")
                file.seek(place.offset)
                listing.tables[name] = file.read(place.size)
            elif not is_table:
                listing.members.append(name, place)
        # tarfile takes a header that it cannot read for the end
        file.seek(archive.offset)
        if file.read(512).strip(b"\0"):
            raise tarfile.ReadError("a header that is none")


# -- reading -------------------------------------------------------------------------------------


def read(path: str, places: Iterable[Place]) -> Iterator[bytes | OSError]:
    """The content of each place in one file or archive, in order, or what is wrong with it.

    What is wrong with one costs no other, except behind the point where a stream breaks off. The archive
    is opened once; of a kind in ``STREAMED`` it is read from its beginning to the last of the places, which
    are best in rising order. They are taken one at a time, and one content is held, of ``MAX_BYTES`` at most (of a
    table, see ``parquet.list_table``).
    """
    rest = iter(places)
    place = next(rest, None)
    if place is None:
        return
    kind = place.kind
    try:
        with _opened(path, kind) as content_of:
            while place is not None:
                content = content_of(place)
                place = next(rest, None)
                yield content
    except _DAMAGE as error:
        raise_if_ours(error)
        broken = OSError(errno.EIO, _reason(error, path), path)
        if isinstance(error, OSError) and error.errno:
            broken = error
        elif kind in STREAMED and not isinstance(error, (_RefusedError, parquet.RefusedError)):
            broken = OSError(errno.EIO, "the archive is damaged before it or within it", path)
    while place is not None:
        yield OSError(errno.EIO, place.problem, path) if place.problem else broken
        place = next(rest, None)


@contextmanager
def _opened(path: str, kind: str) -> Iterator[Callable[[Place], bytes | OSError]]:
    """What gives the content of a place in a file or archive."""
    if kind == PARQUET:
        with parquet.open_table(path) as table:
            yield parquet.Rows(table, path).read
    else:
        with _open_tar(path, kind) if kind in COMPRESSED else open_input(path) as file:
            yield lambda place: _read_place(file, path, place)


def _too_large(path: str) -> OSError:
    return OSError(errno.EFBIG, f"larger than {MAX_BYTES >> 20} MiB", path)


def _read_place(file: IO[bytes], path: str, place: Place) -> bytes | OSError:
    """One content.

    Raises:
        OSError, EOFError, zlib.error, lzma.LZMAError: of a compressed .tar, whose rest is lost with it.
    """
    if place.problem:
        return OSError(errno.EIO, place.problem, path)
    if place.kind == FILE:
        return file.read() if os.fstat(file.fileno()).st_size <= MAX_BYTES else _too_large(path)
    if max(place.size, place.packed) > MAX_BYTES:
        return _too_large(path)
    if place.kind == ZIP:
        try:
            return read_member(file, place.offset, place.packed, place.size, place.method, place.crc)
        except ValueError as error:
            return OSError(errno.EIO, str(error), path)
    file.seek(place.offset)
    content = file.read(place.size)
    return content if len(content) == place.size else OSError(errno.EIO, "the archive breaks off within it", path)
