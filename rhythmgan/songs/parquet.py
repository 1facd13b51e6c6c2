"""Tables of MIDI bytes: a parquet file with a row for each song, as GigaMIDI is published."""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from rhythmgan.inputs import open_input
from rhythmgan.midi_reader import MAX_BYTES
from rhythmgan.songs.members import MAX_RATIO, MAX_SMALL, PARQUET, Listing, Place, without_controls
from rhythmgan.songs.pages import pages

_CONTENT_COLUMNS = ("music", "midi", "content", "bytes", "data")
_STYLE_COLUMNS = ("style", "genre", "music_styles_curated", "genres_curated")
_MD5 = re.compile(r"[0-9a-f]{32}")
_ROWS = 64
"""Rows of a table held at a time, at most."""

_MAX_BATCH = 64 << 20
"""Bytes that these may have where they repeat the largest value."""

_MAX_PAGE = 256 << 20
"""Bytes that a page may unpack to: a thousand files of 256 kB, as writers of tables put them together."""

_PAGE = 1000
"""Bytes that a page counts for, whatever is in it: many chunks may have the same pages."""

_MAX_ROWS = 10_000
"""Rows that a table of any size may say to have; each of its bytes adds one."""


def _pyarrow() -> tuple[Any, Any]:
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


@contextmanager
def open_table(path: str) -> Iterator[Any]:
    """A table whose columns are read a page at a time: a group of rows may hold gigabytes."""
    pyarrow, parquet = _pyarrow()
    with open_input(path) as file:  # of a path, pyarrow takes only UTF-8
        try:
            table = parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        except pyarrow.ArrowException as error:
            raise ValueError(str(error)) from None
        yield table


class RefusedError(ValueError):
    """A table without a column of MIDI bytes, or one that would take too much; the message says which."""


def _is_bytes(kind: Any) -> bool:
    types = _pyarrow()[0].types
    if types.is_dictionary(kind):
        kind = kind.value_type
    # older versions of pyarrow know no views
    tests = ("is_binary", "is_large_binary", "is_binary_view")
    return any(getattr(types, test)(kind) for test in tests if hasattr(types, test))


def _is_like_bytes(kind: Any) -> bool:
    """Whether values may be bytes, and may be something else: lists of numbers up to 255, or as long as each other."""
    types = _pyarrow()[0].types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return bool(types.is_uint8(kind.value_type))
    return bool(types.is_fixed_size_binary(kind))


def _content_column(schema: Any) -> str:
    """The column of MIDI bytes: bytes themselves, or a pair of bytes and path as data sets of sound have it.

    Raises:
        RefusedError: there is none, or more than one and none that is called as such a column.
    """
    is_struct = _pyarrow()[0].types.is_struct
    surely: dict[str, str] = {}
    perhaps: dict[str, str] = {}
    for column in schema:
        kind, path = column.type, column.name
        if is_struct(kind):
            inner = {child.name: child.type for child in kind}
            if "bytes" not in inner:
                continue
            kind, path = inner["bytes"], f"{column.name}.bytes"
        if _is_bytes(kind):
            surely[column.name] = path
        elif _is_like_bytes(kind):
            perhaps[column.name] = path
    found = surely | perhaps
    name = next((name for name in _CONTENT_COLUMNS if name in found), None)
    for unnamed in (surely, perhaps):
        if name is None and len(unnamed) == 1:
            (name,) = unnamed
    if name is None:
        columns = ", ".join(without_controls(each) for each in schema.names) or "none at all"
        raise RefusedError(f"no column of MIDI bytes (such as music) among its columns: {columns}"[:200])
    return found[name]


def _rows_at_a_time(table: Any, path: str, columns: Collection[str]) -> int:
    """How many rows of these columns are held at a time: each of them may repeat the largest value.

    Raises:
        RefusedError: the table asks for more rows, values or bytes than it may.
        ValueError: its directory or its pages have headers that are none.
    """
    n_bytes = os.stat(path).st_size
    if table.metadata.num_rows > _MAX_ROWS + n_bytes:
        raise RefusedError(f"it says to have {table.metadata.num_rows:,} rows, in {n_bytes:,} bytes")
    most = MAX_SMALL + MAX_RATIO * n_bytes
    largest = total = n_values = 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for page in pages(data, columns):
            total, n_values = total + page.n_bytes + _PAGE, n_values + page.n_values
            if page.n_bytes > _MAX_PAGE or max(total, n_values) > most:
                raise RefusedError(f"it, or a page of it, unpacks to more than the {most >> 20:,} MiB that it may")
            largest = max(largest, page.n_bytes if page.is_dictionary else 1)
    return max(1, min(_ROWS, _MAX_BATCH // max(largest, 1)))


def list_table(path: str, listing: Listing) -> None:
    """Every row: its name is its MD5 where the table has one, else its number; all are MIDI.

    A table unpacks to ``MAX_SMALL`` bytes and ``MAX_RATIO`` for each of its own at most, of which a page and
    ``_MAX_BATCH`` are held at a time. A row takes 80 bytes and its name.
    """
    pyarrow, _ = _pyarrow()
    with open_table(path) as table:
        schema = table.schema_arrow
        content = _content_column(schema).partition(".")[0]
        style = next((name for name in _STYLE_COLUMNS if name in schema.names), "")
        columns = [name for name in ("md5", style) if name in schema.names]
        n_rows = table.metadata.num_rows
        n_at_a_time = _rows_at_a_time(table, path, {*columns, content})
        try:
            for batch in table.iter_batches(n_at_a_time, columns=columns, use_threads=False) if columns else ():
                values = [
                    batch.column(name).to_pylist() if name in columns else [None] * len(batch)
                    for name in ("md5", style)
                ]
                for md5, given in zip(*values, strict=True):
                    row = len(listing.members)
                    stem = md5.lower() if isinstance(md5, str) and _MD5.fullmatch(md5.lower()) else str(row)
                    listing.members.append(f"{stem}.mid", Place(PARQUET, row), _first_text(given))
        except pyarrow.ArrowException as error:
            raise ValueError(str(error)) from None
        for row in range(len(listing.members), n_rows):
            listing.members.append(f"{row}.mid", Place(PARQUET, row))


def _first_text(value: Any) -> str:
    """A text, or the first of a list of them."""
    if isinstance(value, list):
        value = next((text for text in value if text), None)
    return value if isinstance(value, str) else ""


class Rows:
    """The contents in a table, in rising order at the cost of one reading."""

    def __init__(self, table: Any, path: str) -> None:
        self._table, self._path = table, path
        self._column = _content_column(table.schema_arrow)
        self._n_at_a_time = _rows_at_a_time(table, path, {self._column.partition(".")[0]})
        self._left = MAX_SMALL + MAX_RATIO * os.stat(path).st_size
        self._rows: Iterator[tuple[int, Any]] = iter(())
        self._next = -1

    def read(self, place: Place) -> bytes | OSError:
        """One row's content.

        Raises:
            ValueError: the table is damaged.
        """
        pyarrow, _ = _pyarrow()
        if self._next < 0 or place.offset < self._next:
            self._rows = self._from(place.offset)
        try:
            for row, value in self._rows:
                self._next = row + 1
                if row == place.offset:
                    return self._counted(_bytes_of(value))
        except pyarrow.ArrowException as error:
            raise ValueError(str(error)) from None
        raise ValueError("it has no such row")

    def _counted(self, value: bytes | None) -> bytes | OSError:
        """A content, unless all together are more than the table may unpack to: rows may repeat one value."""
        self._left -= len(value or b"")
        if self._left < 0:
            raise RefusedError("its rows repeat more than it may unpack to")
        return _checked(value, self._path)

    def _from(self, row: int) -> Iterator[tuple[int, Any]]:
        """The numbers and values of the rows from the group on in which this one is."""
        first = 0
        for group in range(self._table.num_row_groups):
            n_rows = self._table.metadata.row_group(group).num_rows
            if row < first + n_rows:
                start = first
                for batch in self._table.iter_batches(
                    self._n_at_a_time, row_groups=[group], columns=[self._column], use_threads=False
                ):
                    values = batch.column(0)
                    yield from enumerate(values.field("bytes") if self._column.endswith(".bytes") else values, start)
                    start += len(batch)
            first += n_rows


def _bytes_of(value: Any) -> bytes | None:
    """A value of a column of bytes, or of lists of numbers up to 255."""
    values = getattr(value, "values", None)
    if values is None or not hasattr(values, "to_numpy"):  # no list, or none in this row
        found = value.as_py()
        return found if isinstance(found, bytes) else None
    if values.null_count:
        return None
    return bytes(values.to_numpy())


def _checked(value: bytes | None, path: str) -> bytes | OSError:
    if value is None:
        return OSError(errno.EIO, "no content in the table", path)
    return value if len(value) <= MAX_BYTES else OSError(errno.EFBIG, f"larger than {MAX_BYTES >> 20} MiB", path)
