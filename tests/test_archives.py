"""Contents of archives, made by hand and by other programs' rules, whole and damaged."""

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import resource
import stat
import struct
import sys
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from rhythmgan.songs import archives
from rhythmgan.songs.archives import Place, kind_of, list_archive, read, without_suffix

SUFFIXES = (".mid", ".midi", ".npz")
CONTENTS = {
    "a/one.mid": b"MThd one",
    "a/two.MID": b"",
    "b/deep/x.npz": bytes(range(256)) * 40,
    "top.midi": b"top" * 1000,
}
OTHERS = {"a/readme.txt": b"no", "a/.hidden.mid": b"no", "__MACOSX/a/one.mid": b"no"}
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz", ".txz": "w:xz"}


def _zip(path, contents, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def _tar(path, contents, mode="w", **options):
    with tarfile.open(path, mode, **options) as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _table(path, columns, **options):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path, **options)
    return path


def _read(path, listing=None, order=None):
    """Every member's content by its name; where it has none the reason."""
    listing = listing or list_archive(str(path), SUFFIXES)
    members = listing.members if order is None else [listing.members[i] for i in order]
    found = list(read(str(path), [member.place for member in members]))
    assert len(found) == len(members)
    return {
        member.name: content if isinstance(content, bytes) else content.strerror
        for member, content in zip(members, found, strict=True)
    }


def test_kinds_by_name():
    names = {"A.ZIP": "zip", "x.tar": "tar", "x.y.tar.gz": "tar.gz", "x.tgz": "tar.gz", "x.tbz2": "tar.bz2"}
    names |= {"x.tar.xz": "tar.xz", "d.zip/x.parquet": "parquet", "x.npz": "file", "x.mid": "file", "x.gz": "file"}
    assert {name: kind_of(name) for name in names} == names
    assert [without_suffix(name) for name in ("a.b.tar.gz", "a.TGZ", "a.zip", "a.mid")] == ["a.b", "a", "a", "a.mid"]


PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_zip(tmp_path, packing):
    path = _zip(tmp_path / "songs.zip", CONTENTS | OTHERS, packing)
    listing = list_archive(str(path), SUFFIXES)
    assert [member.name for member in listing.members] == list(CONTENTS)
    assert (listing.damage, listing.n_skipped, listing.tables) == ("", 0, {})
    assert _read(path) == CONTENTS


@pytest.mark.parametrize("suffix", TARS)
def test_a_tar(tmp_path, suffix):
    path = _tar(tmp_path / f"songs{suffix}", CONTENTS | OTHERS, TARS[suffix])
    listing = list_archive(str(path), SUFFIXES)
    assert [member.name for member in listing.members] == list(CONTENTS)
    assert (listing.damage, listing.n_skipped, listing.tables) == ("", 0, {})
    assert _read(path) == CONTENTS


@pytest.mark.parametrize("called", TARS)
@pytest.mark.parametrize("packed", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_tar_is_unpacked_as_it_is_packed_whatever_its_name(tmp_path, called, packed):
    path = _tar(tmp_path / f"songs{called}", CONTENTS, TARS[packed])
    listing = list_archive(str(path), SUFFIXES)
    assert listing.damage == ""
    assert {member.place.kind for member in listing.members} == {packed[1:]}
    assert _read(path) == CONTENTS


def test_archives_in_an_archive_are_counted(tmp_path):
    contents = {
        "a.mid": b"x",
        "in.zip": b"PK",
        "b/c.TGZ": b"",
        "b/.d.zip": b"",
        "e.parquet": b"",
        "__MACOSX/f.zip": b"",
    }
    for path in (_zip(tmp_path / "songs.zip", contents), _tar(tmp_path / "songs.tar", contents)):
        listing = list_archive(str(path), SUFFIXES)
        assert (listing.n_archives, len(listing.members)) == (3, 1)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar_with_long_names(tmp_path, format):
    contents = {f"{'long folder/' * 8}{i:03d}.mid": b"x" * i for i in range(0, 1500, 211)}
    assert _read(_tar(tmp_path / "songs.tar.gz", contents, "w:gz", format=format)) == contents


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_any_order_and_any_part_of_an_archive(tmp_path, suffix):
    contents = {f"{i}.mid": os.urandom(i * 100) for i in range(40)}
    path = tmp_path / f"songs{suffix}"
    _zip(path, contents) if suffix == ".zip" else _tar(path, contents, TARS[suffix])
    order = random.Random(0).sample(range(40), 15)
    found = _read(path, order=order)
    assert found == {f"{i}.mid": contents[f"{i}.mid"] for i in order}


def test_a_zip_is_read_as_zipfile_reads_it(tmp_path):
    """With bytes before it, comments, members written as a stream, sizes of 64 bits, and folders."""
    path = tmp_path / "songs.zip"
    path.write_bytes(b"#!/bin/sh\n" * 99)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"PK\3\4 is in this comment"
        archive.mkdir("folder") if sys.version_info >= (3, 11) else archive.writestr("folder/", b"")
        for i in range(20):
            info = zipfile.ZipInfo(f"folder/{i}.mid")
            info.comment, info.extra = b"?" * i, struct.pack("<HH", 0x7777, i) + b"!" * i
            info.compress_type = zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=bool(i % 3)) as member:
                member.write(b"abc" * i)

    class Pipe(io.RawIOBase):  # what cannot be sought gets its sizes behind each member
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mid", b"streamed" * 50)
        archive.writestr("b.mid", b"twice" * 50)
    streamed = tmp_path / "streamed.zip"
    streamed.write_bytes(pipe.content)
    for one in (path, streamed):
        with zipfile.ZipFile(one) as archive:
            expected = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
        assert _read(one) == expected


def test_names_are_labels_only(tmp_path):
    names = ["../../up.mid", "/root/abs.mid", "C:\\win\\x.mid", "./a//b.mid"]
    path = tmp_path / "songs.tar"
    _tar(path, {name: name.encode() for name in names})
    expected = {"up.mid": names[0], "root/abs.mid": names[1], "C:/win/x.mid": names[2], "a/b.mid": names[3]}
    assert _read(path) == {name: text.encode() for name, text in expected.items()}
    assert [child.name for child in tmp_path.iterdir()] == ["songs.tar"]


def test_names_with_control_characters(tmp_path):
    """A NUL would end a name in a corpus; zipfile itself forgets what stands behind it."""
    path = _zip(tmp_path / "songs.zip", {"a/b?c.mid": b"1", "x\ny.mid": b"2"})
    _patched(path, b"a/b?c.mid", b"a/b\0c.mid")
    assert _read(path) == {"a/b c.mid": b"1", "x y.mid": b"2"}
    path = _tar(tmp_path / "songs.tar", {"x\ny\x7f.mid": b"2"})
    assert _read(path) == {"x y .mid": b"2"}


def test_names_that_are_no_utf8(tmp_path):
    odd = b"caf\xe9.mid".decode("utf-8", "surrogateescape")
    assert _read(_tar(tmp_path / "songs.tar", {odd: b"x"}, format=tarfile.GNU_FORMAT)) == {odd: b"x"}
    assert _read(_tar(tmp_path / "pax.tar", {odd: b"x"}, format=tarfile.PAX_FORMAT)) == {odd: b"x"}


@pytest.mark.parametrize(
    ("raw", "name"), [("é.mid".encode(), "é.mid"), (b"\x82.mid", "é.mid"), (b"\xff\x82.mid", "\xa0é.mid")]
)
def test_names_of_zips_without_a_mark_of_unicode(tmp_path, raw, name):
    """UTF-8 where the bytes are that, as most programs write, else code page 437, as the format has it."""
    path = _zip(tmp_path / "songs.zip", {"?" * len(raw): b""})
    path = _zip(tmp_path / "songs.zip", {"x" * (len(raw) - 4) + ".mid": b"MThd"})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"x" * (len(raw) - 4) + b".mid", raw))
    assert _read(path) == {name: b"MThd"}


def test_a_name_that_comes_twice_is_what_comes_last(tmp_path):
    path = _tar(tmp_path / "songs.tar", {"a.mid": b"old", "b.mid": b"b"})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("./a.mid")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"new"))
    assert _read(path) == {"b.mid": b"b", "a.mid": b"new"}
    assert [member.name for member in list_archive(str(path), SUFFIXES).members] == ["b.mid", "a.mid"]


def test_links_and_devices_are_left_out_and_counted(tmp_path):
    path = tmp_path / "songs.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.mid")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        folder = tarfile.TarInfo("folder.mid")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    listing = list_archive(str(path), SUFFIXES)
    assert (len(listing.members), listing.n_skipped, listing.damage) == (0, 4, "")
    link = zipfile.ZipInfo("link.mid")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.mid", b"x")
    listing = list_archive(str(tmp_path / "songs.zip"), SUFFIXES)
    assert ([member.name for member in listing.members], listing.n_skipped) == (["a.mid"], 1)
    # of a sparse one not all bytes lie where it does
    path.write_bytes(_header("a.mid", kind=tarfile.GNUTYPE_SPARSE) + _header("b.mid") + bytes(1024))
    listing = list_archive(str(path), SUFFIXES)
    assert ([member.name for member in listing.members], listing.n_skipped) == (["b.mid"], 1)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_manifests_are_taken_on_the_way(tmp_path, suffix):
    tables = {"in/info.csv": b"a,b\n", "manifest.csv": b"c\n"}
    contents = {"in/a.mid": b"x", **tables, "in/b.mid": b"y", "in/other.csv": b"no"}
    path = tmp_path / f"songs{suffix}"
    _zip(path, contents) if suffix == ".zip" else _tar(path, contents, TARS[suffix])
    listing = list_archive(str(path), SUFFIXES)
    assert listing.tables == tables
    assert _read(path) == {"in/a.mid": b"x", "in/b.mid": b"y"}


# -- damage --------------------------------------------------------------------------------------


def _patched(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_a_damaged_member_of_a_zip_costs_no_other(tmp_path):
    contents = {"a.mid": b"AAAA" * 50, "b.mid": b"BBBB" * 50, "c.mid": b"CCCC" * 50}
    path = _zip(tmp_path / "songs.zip", contents, zipfile.ZIP_STORED)
    _patched(path, b"BBBBBB", b"BBXBBB")
    assert _read(path) == contents | {"b.mid": "damaged: its size or its checksum is not the declared one"}
    path = _zip(tmp_path / "songs.zip", contents)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("b.mid").header_offset
    data = bytearray(path.read_bytes())
    data[start + 35] = 0xFF  # the first byte of what is packed: a block of a kind that there is not
    path.write_bytes(data)
    assert _read(path) == contents | {"b.mid": "damaged: it cannot be unpacked"}
    data[start : start + 4] = b"????"
    path.write_bytes(data)
    assert _read(path)["b.mid"] == "damaged: its header is not where the directory of the archive says"


def test_an_encrypted_member_and_an_unknown_packing(tmp_path):
    path = _zip(tmp_path / "songs.zip", {"a.mid": b"a", "b.mid": b"b", "c.mid": b"c"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\1\2")
    data[place + 8] |= 1  # the first member's flags in the directory
    second = data.index(b"PK\1\2", place + 4)
    data[second + 10] = 9
    path.write_bytes(data)
    assert _read(path) == {"a.mid": "encrypted", "b.mid": "packed in a way that is not read (method 9)", "c.mid": b"c"}


@pytest.mark.parametrize("packing", PACKINGS[1:])
def test_bombs_are_not_unpacked(tmp_path, monkeypatch, packing):
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    honest, liar = bytes((1 << 20) + 1), bytes(64 << 20)
    path = _zip(tmp_path / "songs.zip", {"honest.mid": honest, "liar.mid": liar, "good.mid": bytes(1 << 20)}, packing)
    data = bytearray(path.read_bytes())
    for mark, shift in ((b"PK\1\2", 24), (b"PK\3\4", 22)):  # the second member says that it is of 1,000 bytes
        place = data.index(mark, data.index(mark) + 4)
        data[place + shift : place + shift + 4] = struct.pack("<I", 1000)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        found = _read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert found == {
        "honest.mid": "larger than 1 MiB",
        "liar.mid": "damaged: its size or its checksum is not the declared one",
        "good.mid": bytes(1 << 20),
    }
    for suffix in (".tar", ".tar.gz"):
        path = _tar(tmp_path / f"songs{suffix}", {"bomb.mid": liar, "good.mid": b"x"}, TARS[suffix])
        assert _read(path) == {"bomb.mid": "larger than 1 MiB", "good.mid": b"x"}
    plain = tmp_path / "plain.mid"
    plain.write_bytes(honest)
    (error,) = read(str(plain), [Place()])
    assert (error.errno, error.strerror) == (errno.EFBIG, "larger than 1 MiB")
    plain.write_bytes(honest[:-1])
    assert list(read(str(plain), [Place()])) == [honest[:-1]]


def test_a_member_that_takes_more_than_a_file_may(tmp_path, monkeypatch):
    """Two megabytes that are said to be a thousand bytes are not read at all."""
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    path = _zip(tmp_path / "songs.zip", {"a.mid": bytes(2 << 20)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\1\2") + 24
    data[place : place + 4] = struct.pack("<I", 1000)
    path.write_bytes(data)
    assert _read(path) == {"a.mid": "larger than 1 MiB"}


def test_an_lzma_member_that_declares_a_dictionary_of_gigabytes(tmp_path):
    content = random.Random(0).randbytes(5000) * 3
    path = _zip(tmp_path / "songs.zip", {"a.mid": content, "b.mid": b""}, zipfile.ZIP_LZMA)
    data = path.read_bytes()
    place = data.index(b"a.mid") + 5  # a version, the length of the properties (5), these: one byte, the dictionary
    assert data[place + 2 : place + 4] == b"\5\0"
    path.write_bytes(data[: place + 5] + b"\xff\xff\xff\xef" + data[place + 9 :])
    assert _read(path) == {"a.mid": content, "b.mid": b""}
    for broken in (b"\xff", b"\x08"):  # lc, lp and pb that there are not
        path.write_bytes(data[: place + 4] + broken + data[place + 5 :])
        assert _read(path)["a.mid"].startswith("damaged: ")


def test_a_tar_whose_header_unpacks_to_gigabytes(tmp_path):
    """A name of 64 MiB in a few kilobytes."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
    path = tmp_path / "songs.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 << 20))
    tracemalloc.start()
    try:
        assert list_archive(str(path), SUFFIXES).damage == "not a .tar.gz file, or it is damaged"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".zip", *TARS, ".parquet"])
@pytest.mark.parametrize("content", [b"", b"Dear diary", bytes(2000)], ids=["nothing", "a text", "zeros"])
def test_files_that_are_no_archive(tmp_path, suffix, content):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"songs{suffix}"
    path.write_bytes(content)
    listing = list_archive(str(path), SUFFIXES)
    assert len(listing.members) == 0
    if not (suffix == ".tar" and len(content) == 2000):  # zeros are the end of a .tar
        assert listing.damage
        assert "\n" not in listing.damage


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_that_breaks_off(tmp_path, suffix):
    """What came before the break is read, what comes behind it has a reason, and so has the archive."""
    rng = random.Random(1)
    contents = {f"{i}.mid": rng.randbytes(20_000) for i in range(30)}
    path = _tar(tmp_path / f"songs{suffix}", contents, TARS[suffix])
    whole = list_archive(str(path), SUFFIXES)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    listing = list_archive(str(path), SUFFIXES)
    assert listing.damage == f"not a {suffix} file, or it is damaged"
    assert list(listing.members) == whole.members[: len(listing.members)]
    found = _read(path, listing)
    n_whole = sum(content == contents[name] for name, content in found.items())
    assert n_whole >= len(found) - 1
    # bzip2 gives nothing of a block of 900 kB that is not whole
    assert n_whole >= (0 if suffix == ".tar.bz2" else 14)
    # listed before it was damaged
    late = _read(path, whole)
    assert all(isinstance(content, str) or content == contents[name] for name, content in late.items())
    assert sum(isinstance(content, str) for content in late.values()) == 30 - n_whole


def test_a_tar_with_a_damaged_header_in_its_middle(tmp_path):
    path = _tar(tmp_path / "songs.tar", {"a.mid": b"a", "b.mid": b"b", "c.mid": b"c"})
    data = bytearray(path.read_bytes())
    data[1024 + 5] ^= 0xFF
    path.write_bytes(data)
    listing = list_archive(str(path), SUFFIXES)
    assert [member.name for member in listing.members] == ["a.mid"]
    assert listing.damage == "not a .tar file, or it is damaged"


@pytest.mark.parametrize("suffix", [".zip", ".lzma.zip", ".tar", ".tar.gz", ".tar.xz", ".parquet"])
def test_whatever_bytes_are_damaged_it_ends_in_reasons(tmp_path, suffix):
    rng = random.Random(0)
    contents = {f"{i:032x}.mid": rng.randbytes(300) for i in range(12)}
    path = tmp_path / f"songs{suffix}"
    if suffix.endswith(".zip"):
        _zip(path, contents, zipfile.ZIP_LZMA if suffix == ".lzma.zip" else zipfile.ZIP_DEFLATED)
    elif suffix == ".parquet":
        _table(path, {"md5": [name[:-4] for name in contents], "music": list(contents.values())})
    else:
        _tar(path, contents, TARS[suffix])
    data = path.read_bytes()
    n_damaged = 0
    for _ in range(150):
        damaged = bytearray(data)
        for place in rng.sample(range(len(data)), rng.randint(1, 4)):
            damaged[place] = rng.randrange(256)
        path.write_bytes(damaged)
        listing = list_archive(str(path), SUFFIXES)
        found = _read(path, listing)
        n_damaged += bool(listing.damage) or any(isinstance(content, str) for content in found.values())
        assert "\n" not in listing.damage + "".join(c for c in found.values() if isinstance(c, str))
        if suffix.endswith(".zip"):  # it alone has checksums
            known = {zlib.crc32(content) for content in contents.values()}
            assert all(isinstance(content, str) or zlib.crc32(content) in known for content in found.values())
    assert n_damaged > 10


def test_archives_that_are_gone_or_closed(tmp_path):
    path = _zip(tmp_path / "songs.zip", CONTENTS)
    listing = list_archive(str(path), SUFFIXES)
    path.unlink()
    assert set(_read(path, listing).values()) == {"No such file or directory"}
    assert list_archive(str(path), SUFFIXES).damage == "No such file or directory"
    os.mkfifo(path)
    assert list_archive(str(path), SUFFIXES).damage == "not a regular file"
    assert set(_read(path, listing).values()) == {"not a regular file"}


def test_a_hundred_bytes_for_each_of_many_members(tmp_path):
    path = _tar(tmp_path / "songs.tar", {f"lmd_full/{i % 16:x}/{i:032x}.mid": b"" for i in range(3000)})
    list_archive(str(path), SUFFIXES)  # what is imported and cached on the way
    tracemalloc.start()
    try:
        listing = list_archive(str(path), SUFFIXES)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(listing.members) == 3000
    assert kept / 3000 < 150


# -- archives that ask for more than they are ----------------------------------------------------


def _at_most(n_bytes, path):
    """What is listed and read of an archive, in which no more memory than this is asked for."""
    tracemalloc.start()
    try:
        listing = list_archive(str(path), SUFFIXES)
        found = _read(path, listing)
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()
    return listing, found


def test_members_that_lie_in_each_other_are_read_once(tmp_path):
    path = _zip(tmp_path / "songs.zip", {"0.mid": bytes(1 << 20)})
    data = path.read_bytes()
    begin = data.index(b"PK\1\2")
    entry = data[begin : data.index(b"PK\5\6")]
    entries = entry + b"".join(entry.replace(b"0.mid", b"%d.mid" % i) for i in range(1, 10))
    path.write_bytes(data[:begin] + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10, 10, len(entries), begin, 0))
    found = _read(path)
    assert found.pop("0.mid") == bytes(1 << 20)
    assert [*found.values()] == ["damaged: it lies in another member"] * 9


def test_all_that_lies_in_a_member_lies_in_another(tmp_path):
    """An archive in an archive: what follows the first one within it is within it too."""
    inner = _zip(tmp_path / "inner.zip", {"b.mid": b"b" * 50, "c.mid": b"c" * 50}, zipfile.ZIP_STORED).read_bytes()
    path = _zip(tmp_path / "songs.zip", {"a.mid": inner}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    shift, begin = data.index(inner), data.rindex(b"PK\1\2")
    entries = data[begin : data.rindex(b"PK\5\6")]
    for entry in inner[inner.index(b"PK\1\2") : inner.index(b"PK\5\6")].split(b"PK\1\2")[1:]:
        (place,) = struct.unpack("<I", entry[38:42])
        entries += b"PK\1\2" + entry[:38] + struct.pack("<I", place + shift) + entry[42:]
    path.write_bytes(data[:begin] + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(entries), begin, 0))
    within = "damaged: it lies in another member"
    assert _read(path) == {"a.mid": inner, "b.mid": within, "c.mid": within}


def test_what_a_zip_unpacks_to_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_SMALL", 3 << 20)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    path = _zip(tmp_path / "songs.zip", {f"{i}.mid": bytes(1 << 20) for i in range(5)})
    assert path.stat().st_size < 1 << 14
    found = [*_read(path).values()]
    assert found[:3] == [bytes(1 << 20)] * 3
    assert found[3:] == ["the archive unpacks to more than the 3 MiB that it may"] * 2


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("kind", ["members", "one of no song", "one that says to be larger"])
def test_what_a_tar_unpacks_to_is_bounded(tmp_path, monkeypatch, suffix, kind):
    monkeypatch.setattr(archives, "MAX_SMALL", 3 << 20)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    contents = {f"{i}.mid": bytes(1 << 20) for i in range(8)}
    if kind == "one of no song":
        contents = {"0.mid": b"0", "readme.txt": bytes(8 << 20), "1.mid": b"1"}
    path = _tar(tmp_path / f"songs{suffix}", contents, TARS[suffix])
    if kind == "one that says to be larger":
        info = tarfile.TarInfo("0.mid")
        info.size = 1 << 40
        with {".tar.gz": gzip.open, ".tar.bz2": bz2.open, ".tar.xz": lzma.open}[suffix](path, "wb") as file:
            file.write(info.tobuf() + bytes(16 << 20))
    listing, found = _at_most(48 << 20, path)  # of which the unpacker of a .tar.xz takes the most
    assert listing.damage == "the archive unpacks to more than the 3 MiB that it may"
    if kind == "one of no song":
        assert found == {"0.mid": b"0"}
    assert sum(len(content) for content in found.values() if isinstance(content, bytes)) <= 3 << 20


def test_what_may_not_be_unpacked_is_not_gone_through(tmp_path, monkeypatch):
    """To step over a member is to unpack it."""
    monkeypatch.setattr(archives, "MAX_SMALL", 3 << 20)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    sought = []

    class Noted(gzip.GzipFile):
        def seek(self, place, whence=io.SEEK_SET):
            sought.append(place)
            return super().seek(place, whence)

    path = _tar(tmp_path / "songs.tar.gz", {"readme.txt": bytes(8 << 20), "1.mid": b"1"}, "w:gz")
    monkeypatch.setattr(archives.gzip, "open", Noted)
    assert list_archive(str(path), SUFFIXES).damage == "the archive unpacks to more than the 3 MiB that it may"
    assert max(sought, default=0) < 4 << 20


def test_tables_of_a_tar_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_TABLES", 3000)
    for path, write in ((tmp_path / "songs.tar.gz", lambda p, c: _tar(p, c, "w:gz")), (tmp_path / "songs.zip", _zip)):
        write(path, {f"{i}/manifest.csv": bytes(1000) for i in range(3)})
        assert list_archive(str(path), SUFFIXES).damage == ""
        write(path, {f"{i}/manifest.csv": bytes(1000) for i in range(4)})
        assert list_archive(str(path), SUFFIXES).damage.startswith("its tables have more than ")


def _header(name, size=0, kind=tarfile.REGTYPE, raw_size=None):
    """A header of a .tar; ``raw_size`` stands where the size is, in twelve bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    data = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if raw_size is not None:
        data[124:136] = raw_size
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


NEGATIVE = (b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2, "big"), b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big"))


@pytest.mark.parametrize("size", [*NEGATIVE, b"-1000       ", b"-2000       ", b"\xff" * 12])
@pytest.mark.parametrize("name", ["a.mid", "readme.txt", "manifest.csv"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_that_leads_back(tmp_path, size, name, suffix):
    """A member of less than no bytes: the next header would be itself, for ever."""
    path = tmp_path / f"songs{suffix}"
    with gzip.open(path, "wb") if suffix == ".tar.gz" else open(path, "wb") as file:
        file.write(_header("first.mid") + _header(name, raw_size=size) + _header("last.mid") + bytes(2048))
    _, found = _at_most(4 << 20, path)
    assert found["first.mid"] == b""


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGLINK])
def test_headers_of_headers_of_headers(tmp_path, kind):
    """Three thousand in a row, each of which says something of the next."""
    content = (b"8 a=bc\n\n" if kind == tarfile.XHDTYPE else b"name\0").ljust(512, b"\0")
    path = tmp_path / "songs.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(_header("first.mid") + (_header("x", 5, kind) + content) * 3000 + _header("a.mid") + bytes(1024))
    listing, found = _at_most(8 << 20, path)
    assert listing.damage == "not a .tar.gz file, or it is damaged"
    assert found["first.mid"] == b""


def test_words_for_all_members_are_few(tmp_path):
    """tarfile goes through all of them for each of ten thousand members."""
    words = b"".join(b"%d k%06d=v\n" % (13, i) for i in range(1000))
    path = tmp_path / "songs.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(_header("g", len(words), tarfile.XGLTYPE) + words.ljust(-(-len(words) // 512) * 512, b"\0"))
        file.write(_header("a.mid") * 10_000 + bytes(1024))
    assert list_archive(str(path), SUFFIXES).damage == "it says more than 100 things of all that follows"


def test_a_dictionary_of_a_tar_xz_is_not_filled(tmp_path):
    """One of 1.5 GB for a song of a thousand bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.mid")
        info.size = 1000
        archive.addfile(info, io.BytesIO(bytes(1000)))
    path = tmp_path / "songs.tar.xz"
    data = bytearray(lzma.compress(buffer.getvalue(), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    size = (data[12] + 1) * 4  # of the first block's header
    data[16] = 39  # 3 GiB
    data[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(data[12 : 12 + size - 4]))
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _read(path) == {"a.mid": bytes(1000)}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_an_archive_that_takes_more_memory_than_there_is(tmp_path, monkeypatch):
    path = _zip(tmp_path / "songs.zip", {"a.mid": b"x"})

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(archives, "open_zip", fail)
    assert list_archive(str(path), SUFFIXES).damage == "it takes more memory than there is"
