"""Tables of MIDI bytes: a parquet file with a row for each song, as GigaMIDI is published."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rhythmgan.midi_reader import MAX_BYTES
from rhythmgan.songs.members import PARQUET, Listing, Place, without_controls

_CONTENT_COLUMNS = ("music", "midi", "content", "bytes", "data")
_STYLE_COLUMNS = ("style", "genre", "music_styles_curated", "genres_curated")
_MD5 = re.compile(r"[0-9a-f]{32}")
_ROWS = 64
"""Rows of a table held at a time."""


def _pyarrow() -> tuple[Any, Any]:
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


@contextmanager
def open_table(path: str) -> Iterator[Any]:
    """A table whose columns are read a page at a time: a group of rows may hold gigabytes."""
    pyarrow, parquet = _pyarrow()
    with open(path, "rb") as file:  # of a path, pyarrow takes only UTF-8
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


def list_table(path: str, listing: Listing) -> None:
    """Every row: its name is its MD5 where the table has one, else its number; all are MIDI."""
    pyarrow, _ = _pyarrow()
    with open_table(path) as table:
        schema = table.schema_arrow
        _content_column(schema)
        style = next((name for name in _STYLE_COLUMNS if name in schema.names), "")
        columns = [name for name in ("md5", style) if name in schema.names]
        n_rows = table.metadata.num_rows
        try:
            for batch in table.iter_batches(1024, columns=columns, use_threads=False) if columns else ():
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
                    return _checked(_bytes_of(value), self._path)
        except pyarrow.ArrowException as error:
            raise ValueError(str(error)) from None
        raise ValueError("it has no such row")

    def _from(self, row: int) -> Iterator[tuple[int, Any]]:
        """The numbers and values of the rows from the group on in which this one is."""
        first = 0
        for group in range(self._table.num_row_groups):
            n_rows = self._table.metadata.row_group(group).num_rows
            if row < first + n_rows:
                start = first
                for batch in self._table.iter_batches(
                    _ROWS, row_groups=[group], columns=[self._column], use_threads=False
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
