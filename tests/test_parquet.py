"""Tables of MIDI bytes."""

import random
import struct
import sys
from contextlib import suppress

import pytest

from rhythmgan.songs import parquet
from rhythmgan.songs.archives import list_archive, read
from rhythmgan.songs.pages import pages

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
tables = pytest.importorskip("pyarrow.parquet")


def _table(path, columns, **options):
    try:
        tables.write_table(arrow.table(columns), path, **options)
    except arrow.ArrowNotImplementedError as error:
        pytest.skip(f"this pyarrow writes no such table: {error}")
    return path


def _names_and_styles(path):
    return [(member.name, member.style) for member in list_archive(str(path), (".mid",)).members]


def _read(path, order=None):
    """Every row's content by its name; where it has none the reason."""
    listing = list_archive(str(path), (".mid",))
    members = listing.members if order is None else [listing.members[i] for i in order]
    found = list(read(str(path), [member.place for member in members]))
    assert len(found) == len(members)
    return {
        member.name: content if isinstance(content, bytes) else content.strerror
        for member, content in zip(members, found, strict=True)
    }


def _rows(n):
    return {
        "md5": [f"{i:032x}" for i in range(n)],
        "music": [b"MThd" + bytes([i % 256]) * (i % 50) for i in range(n)],
        "music_styles_curated": [None if i % 3 else ["Jazz", "rock"] for i in range(n)],
        "num_tracks": list(range(n)),
    }


@pytest.mark.parametrize("rows_in_a_group", [7, 64, 1000])
@pytest.mark.parametrize("compression", ["snappy", "none", "zstd"])
def test_a_table(tmp_path, rows_in_a_group, compression):
    """The columns of GigaMIDI that matter, beside others."""
    rows = _rows(300)
    path = _table(tmp_path / "train.parquet", rows, row_group_size=rows_in_a_group, compression=compression)
    listing = list_archive(str(path), (".mid",))
    assert [member.name for member in listing.members] == [f"{md5}.mid" for md5 in rows["md5"]]
    assert [member.style for member in listing.members] == ["" if i % 3 else "Jazz" for i in range(300)]
    expected = dict(zip((f"{md5}.mid" for md5 in rows["md5"]), rows["music"], strict=True))
    assert _read(path) == expected
    order = random.Random(0).sample(range(300), 40)
    for part in (order, sorted(order), [299], [0], range(63, 66)):
        assert _read(path, order=part) == {f"{i:032x}.mid": rows["music"][i] for i in part}


def test_tables_of_other_forms(tmp_path):
    music = [b"a", None, b"c"]
    path = _table(tmp_path / "x.parquet", {"name": ["x", "y", "z"], "file": music})
    assert _read(path) == {"0.mid": b"a", "1.mid": "no content in the table", "2.mid": b"c"}
    path = _table(tmp_path / "x.parquet", {"midi": [{"bytes": content, "path": "x.mid"} for content in music]})
    assert _read(path) == {"0.mid": b"a", "1.mid": "no content in the table", "2.mid": b"c"}
    # names that are no MD5, and no name
    path = _table(tmp_path / "x.parquet", {"md5": ["A" * 32, "no", None], "music": music, "audio": music})
    assert list(_read(path)) == ["a" * 32 + ".mid", "1.mid", "2.mid"]
    path = _table(tmp_path / "x.parquet", {"one": music, "two": music})
    nothing = "no column of MIDI bytes (such as music) among its columns"
    assert list_archive(str(path), (".mid",)).damage == f"{nothing}: one, two"
    path = _table(tmp_path / "x.parquet", {"md5": ["a" * 32], "genre": ["Funk"]})
    assert list_archive(str(path), (".mid",)).damage == f"{nothing}: md5, genre"
    path = _table(tmp_path / "x.parquet", {f"column\n{i}": [i] for i in range(99)})
    damage = list_archive(str(path), (".mid",)).damage
    assert damage.startswith(f"{nothing}: column 0, column 1, ")
    assert len(damage) == 200


def _as(kind, values):
    if kind == "dictionary":
        return arrow.array(values).dictionary_encode()
    if kind == "fixed_size_binary":
        return arrow.array(values, arrow.binary(4))
    if kind == "fixed_size_list":
        return arrow.array([None if value is None else list(value) for value in values], arrow.list_(arrow.uint8(), 4))
    if kind in ("list_", "large_list"):
        return arrow.array(
            [None if value is None else list(value) for value in values], getattr(arrow, kind)(arrow.uint8())
        )
    if not hasattr(arrow, kind):
        pytest.skip(f"this pyarrow has no {kind}")
    return arrow.array(values, getattr(arrow, kind)())


KINDS = ["binary", "large_binary", "binary_view", "dictionary", "list_", "large_list"]


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, "fixed_size_binary", "fixed_size_list"])
def test_every_type_that_holds_bytes(tmp_path, kind, inner):
    music = [b"MThd", b"\0\xff\x80a", None, b"MThd"] if "fixed" in kind else [b"MThd 1", b"", None, b"\0\xff\x80" * 300]
    column = _as(kind, music)
    if inner:
        paths = arrow.array(["x.mid"] * 4)
        column = arrow.StructArray.from_arrays([column, paths], ["bytes", "path"])
    for name in ("music", "anything"):
        path = _table(tmp_path / "x.parquet", {"number": [1, 2, 3, 4], name: column})
        expected = ["no content in the table" if content is None else content for content in music]
        assert _read(path) == {f"{i}.mid": content for i, content in enumerate(expected)}


@pytest.mark.parametrize("text", ["string", "large_string", "string_view", "dictionary"])
def test_every_type_that_holds_names_and_styles(tmp_path, text):
    columns = {"md5": _as(text, ["a" * 32, "b" * 32]), "genre": _as(text, ["Jazz", None]), "music": [b"1", b"2"]}
    path = _table(tmp_path / "x.parquet", columns)
    assert _names_and_styles(path) == [("a" * 32 + ".mid", "Jazz"), ("b" * 32 + ".mid", "")]


def test_lists_of_numbers_beside_bytes(tmp_path):
    """Bytes are taken first; where there are several of what may be bytes, a name has to say which."""
    lists = arrow.array([[1, 2]], arrow.list_(arrow.uint8()))
    path = _table(tmp_path / "x.parquet", {"velocities": lists, "file": [b"MThd"]})
    assert _read(path) == {"0.mid": b"MThd"}
    path = _table(tmp_path / "x.parquet", {"velocities": lists, "pitches": lists})
    assert "no column of MIDI bytes" in list_archive(str(path), (".mid",)).damage
    path = _table(tmp_path / "x.parquet", {"velocities": lists, "midi": lists})
    assert _read(path) == {"0.mid": b"\1\2"}
    holes = arrow.array([[77, None]], arrow.list_(arrow.uint8()))
    path = _table(tmp_path / "x.parquet", {"midi": holes})
    assert _read(path) == {"0.mid": "no content in the table"}


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ModuleNotFoundError):
        list_archive(str(path), (".mid",))


def test_a_row_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_BYTES", 1 << 20)
    path = _table(tmp_path / "x.parquet", {"music": [bytes((1 << 20) + 1), bytes(1 << 20), b"x"]})
    assert _read(path) == {"0.mid": "larger than 1 MiB", "1.mid": bytes(1 << 20), "2.mid": b"x"}


def test_a_table_that_became_shorter(tmp_path):
    path = _table(tmp_path / "x.parquet", {"music": [b"0", b"1", b"2", b"3"]})
    places = [member.place for member in list_archive(str(path), (".mid",)).members]
    _table(path, {"music": [b"0", b"1"]})
    found = list(read(str(path), places))
    assert found[:2] == [b"0", b"1"]
    assert [error.strerror for error in found[2:]] == ["the archive is damaged before it or within it"] * 2


# -- tables that ask for more than they are ------------------------------------------------------


def test_rows_of_nothing_are_no_more_than_the_table_has_bytes(tmp_path):
    path = _table(tmp_path / "songs.parquet", {"music": arrow.array([None] * 200_000, arrow.binary())})
    assert path.stat().st_size < 2000
    listing = list_archive(str(path), (".mid",))
    assert not listing.members
    assert listing.damage.startswith("it says to have 200,000 rows, in ")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "brotli", "snappy"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("column", [[bytes(2 << 20)], [[0] * (2 << 20)]], ids=["bytes", "numbers"])
def test_pages_have_a_largest_size(tmp_path, monkeypatch, compression, version, column):
    kind = arrow.binary() if isinstance(column[0], bytes) else arrow.list_(arrow.uint8())
    columns = {"music": arrow.array(column, kind)}
    path = _table(tmp_path / "songs.parquet", columns, compression=compression, data_page_version=version)
    assert list_archive(str(path), (".mid",)).damage == ""
    monkeypatch.setattr(parquet, "_MAX_PAGE", 1 << 20)
    monkeypatch.setattr(parquet, "MAX_SMALL", 1 << 20)  # numbers that repeat are pages of a few bytes
    monkeypatch.setattr(parquet, "MAX_RATIO", 0)
    listing = list_archive(str(path), (".mid",))
    assert listing.damage == "it, or a page of it, unpacks to more than the 1 MiB that it may"
    assert not listing.members


def test_a_value_that_all_rows_repeat(tmp_path, monkeypatch):
    """A song of a megabyte, a thousand times: one value of a dictionary, of which few rows are held at a time."""
    path = _table(tmp_path / "songs.parquet", {"music": [bytes(1 << 20)] * 1000})
    assert path.stat().st_size < 1 << 18
    monkeypatch.setattr(parquet, "MAX_SMALL", 20 << 20)
    monkeypatch.setattr(parquet, "MAX_RATIO", 0)
    monkeypatch.setattr(parquet, "_MAX_BATCH", 4 << 20)
    arrow.default_memory_pool().release_unused()
    before = arrow.total_allocated_bytes()
    found = list(_read(path).values())
    assert found[:20] == [bytes(1 << 20)] * 20
    assert found[20:] == ["its rows repeat more than it may unpack to"] * 980
    with parquet.open_table(str(path)) as table:
        assert parquet._rows_at_a_time(table, str(path), {"music"}) == 3
    assert arrow.total_allocated_bytes() - before < 16 << 20


def test_pages_are_those_that_pyarrow_knows(tmp_path):
    path = _table(tmp_path / "songs.parquet", _rows(300), row_group_size=100, data_page_size=512)
    table = tables.ParquetFile(path)
    found = list(pages(path.read_bytes(), {"music"}))
    chunks = [table.metadata.row_group(group).column(1) for group in range(3)]
    assert sum(page.is_dictionary for page in found) == 3
    assert sum(page.n_values for page in found if not page.is_dictionary) == 300
    assert sum(page.n_bytes for page in found) < sum(chunk.total_uncompressed_size for chunk in chunks)


@pytest.mark.parametrize(
    ("directory", "n_bytes", "said"),
    [
        (b"\x1c" * 5000 + bytes(5001), 10_001, "structures nested too deep"),
        (b"\x19" * 5000, 5000, "a value of an unknown kind|damaged"),
        (b"\0" * 100, 101, "or breaks off"),
        (b"\0" * 100, 0xFFFFFFFF, "its directory has more than 64 MiB"),
    ],
)
def test_directories_that_are_none(directory, n_bytes, said):
    with pytest.raises(ValueError, match=said):
        list(pages(directory + struct.pack("<I", n_bytes) + b"PAR1", {"music"}))


def test_pages_of_whatever_bytes_are_pages_or_one_reason(tmp_path):
    whole = _table(tmp_path / "songs.parquet", _rows(20)).read_bytes()
    draw = random.Random(3)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(len(data))] = draw.choice([0, 1, 0x19, 0x1C, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        cut = draw.choice([len(data), draw.randrange(8, len(data))])
        with suppress(ValueError):  # and nothing else
            assert all(page.n_bytes >= 0 for page in pages(bytes(data[:cut]), {"music", "md5"}))
