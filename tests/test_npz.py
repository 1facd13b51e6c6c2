"""The one door of .npz files: what a file asks for is checked before it is given."""

import errno
import io
import os
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rhythmgan import npy, npz
from rhythmgan.npy import npy_header
from rhythmgan.npz import NpzWriter, encode_names, map_npz, npz_names, read_npz


def _npy(header: str | bytes, values: bytes = b"", version: int = 1) -> bytes:
    """An array's file with this header."""
    header = header.encode() if isinstance(header, str) else header
    return (
        b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + values
    )


def _words(descr: object, shape: object, fortran: object = False) -> str:
    return repr({"descr": descr, "fortran_order": fortran, "shape": shape})


def _zip(path, members: dict[str, bytes], packing: int = zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@contextmanager
def _at_most(n_bytes: int):
    """No more memory than this is asked for within the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def _refused(path) -> str:
    """Why a file is refused, by both readers, within 8 MiB."""
    said = []
    for read in (read_npz, map_npz):
        with _at_most(8 << 20), pytest.raises(ValueError, match=r"song\.npz: not bars: ") as raised:
            read(path, "bars")
        assert "\n" not in str(raised.value)
        said.append(str(raised.value).partition("not bars: ")[2])
    return said[0]


# -- what is read --------------------------------------------------------------------------------


ARRAYS = (
    np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    np.zeros((0, 5), np.float32),
    np.array("gm12"),
    np.array(["a", "bcd"]),
    np.array([b"ab", b"c"]),
    np.array(True),
    np.arange(6, dtype=">f8"),
    np.arange(5, dtype=np.uint64)[:, None],
)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_as_numpy_reads_it(tmp_path, save):
    path = tmp_path / "bars.npz"
    arrays = {f"array {i}": array for i, array in enumerate(ARRAYS)} | {"fortran": np.asfortranarray(ARRAYS[0])}
    save(path, **arrays)
    found = read_npz(path, "bars")
    with np.load(path) as expected:
        assert [*found] == expected.files
        for name, array in found.items():
            assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
            assert (array == expected[name]).all()
            assert array.flags.writeable
    assert npz_names(path) == [*arrays]


@pytest.mark.parametrize("array", ARRAYS)
def test_a_single_array_is_a_member_without_a_name(tmp_path, array):
    path = tmp_path / "z.npy"
    np.save(path, array)
    found = read_npz(path, "points")
    assert [*found] == [""]
    assert found[""].dtype == array.dtype
    assert (found[""] == array).all()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"z\.npy: not points: it has .* bytes of values, and its header says"):
        read_npz(path, "points")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_of_every_version(version):
    header = npy_header(_npy(_words("<f4", (2, 3), fortran=True), bytes(24), version))
    assert (header.shape, header.dtype, header.fortran, header.n_bytes) == ((2, 3), np.float32, True, 24)


def test_few_headers_are_remembered():
    for rows in range(300):
        npy_header(_npy(_words("<f4", (rows, 3))))
    assert npy._words.cache_info().currsize <= 256


@pytest.mark.parametrize(
    ("shape", "pieces", "said"),
    [
        ((3,), [np.zeros(1), np.zeros(1)], r"a: pieces of 2 rows do not make \(3,\)"),
        ((2, 2), [np.zeros((1, 2)), np.zeros((1, 3))], r"a: a piece of shape \(1, 3\) does not fit \(2, 2\)"),
    ],
)
def test_pieces_that_do_not_make_a_column(tmp_path, shape, pieces, said):
    with (
        pytest.raises(ValueError, match=said),
        open(tmp_path / "a.npz", "wb") as file,
        NpzWriter(file) as writer,
    ):
        writer.write("a", np.dtype(float), shape, pieces)


def test_a_name_that_would_end_within_itself_is_refused():
    assert encode_names(["a", "bc"]).tobytes() == b"a\0bc\0"
    with pytest.raises(ValueError, match="a name holds a zero byte"):
        encode_names(["a", "b\0c"])


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        _words("<U0", (10**9,)),
        _words("|S0", (10**9,)),
        _words("|V0", (10**9,)),
        _words("(1000000000,)V0", (10**9,)),
        _words("(1000000000,)f8", (1,)),
        _words("|V1000000000", (1,)),
        _words("i4,i4", (1,)),
        _words([("a", "<f8", (10**9,))], (0,)),
        _words([["<f8", (10**9,)]], (1,)),
        _words("<M8[s]", (1,)),
        _words("<m8", (1,)),
        _words("<c16", (1,)),
        _words("|O", (1,)),
        _words("|b999999999", (1,)),
        _words("<U999999999", (1,)),
        _words("<f8", (-1,)),
        _words("<f8", (-1, -8)),
        _words("<f8", (1 << 32, 1 << 32)),
        _words("<f8", (1 << 62, 8)),
        _words("<f8", (10**4000,)),
        _words("<f8", (True,)),
        _words("<f8", (1.0,)),
        _words("<f8", (1,) * 100),
        _words("<f8", [1]),
        _words("<f8", 8),
        _words("<f8", None),
        _words("<f8", (1,), fortran=1),
        _words(None, (1,)),
        _words(3, (1,)),
        _words("", (1,)),
        "[" * 9000,
        "{" * 9000,
        "-" * 9000 + "1",
        "(" * 100 + ")" * 100,
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'shapes': (1,)}",
        "{'descr': '<f8', 'shape': (1,)}",
        "__import__('os').getcwd()",
        "9" * 9000,
        "",
        "\0",
        b"\xff\xfe",
        " " * 20_000,
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_that_are_refused(tmp_path, header, version):
    content = _npy(header, bytes(8), version)
    assert _refused(_zip(tmp_path / "song.npz", {"bars.npy": content})).startswith("bars.npy ")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,192if 1 else 3)}",
        "{'descr': '\\<f8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '\\<f8', 'fortran_order': False, 'shape': (1,), 'a': 0or 1}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0x1for, 1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1)(2)}",
    ],
)
def test_headers_of_which_python_would_warn_are_refused_in_silence(header):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="no array: its header is none"):
            npy_header(_npy(header, bytes(8)))
    assert said == []


@pytest.mark.parametrize("descr", ["<U0", "|S0"])
def test_a_billion_texts_of_no_letters(tmp_path, descr):
    """As many as a header says, they take no byte of the file."""
    path = _zip(tmp_path / "song.npz", {"bars.npy": _npy(_words(descr, (10**9,)))})
    assert _refused(path) == f"bars.npy is of type {descr}, which is never loaded"


def test_a_shape_of_nothing_times_a_lot(tmp_path):
    content = _npy(_words("<f8", (0, 1 << 62, 1 << 62)))
    path = _zip(tmp_path / "song.npz", {"bars.npy": content})
    with _at_most(8 << 20), pytest.raises(ValueError, match="not bars"):
        read_npz(path, "bars")


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"hello", b"\x93NUMPY\1\0\xff\xff{}", b"\x93NUMPY\x04\0"])
def test_a_member_that_is_no_array(tmp_path, content):
    assert _refused(_zip(tmp_path / "song.npz", {"bars.npy": content})).startswith("bars.npy is no array")


def test_a_member_without_the_ending_of_an_array(tmp_path):
    path = _zip(tmp_path / "song.npz", {"note.txt": b"hello"})
    with pytest.raises(ValueError, match=r"not bars: note\.txt is no array"):
        read_npz(path, "bars")


@pytest.mark.parametrize("more", [-1, 1])
def test_a_member_of_another_size_than_its_header_says(tmp_path, more):
    content = _npy(_words("|u1", (100,)), bytes(100 + more))
    assert "bytes of values, and its header says 100" in _refused(_zip(tmp_path / "song.npz", {"a.npy": content}))


def _array(n: int = 100) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(n, np.uint8))
    return buffer.getvalue()


def test_members_that_lie_in_each_other(tmp_path):
    """A thousand directory entries that lead to one packed megabyte."""
    path = _zip(tmp_path / "song.npz", {"0.npy": _array(1 << 20)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    begin = data.index(b"PK\1\2")
    entry = data[begin : data.index(b"PK\5\6")]
    entries = b"".join(entry.replace(b"0.npy", b"%05d" % i) for i in range(1000))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1000, 1000, len(entries), begin, 0)
    path.write_bytes(data[:begin] + entries + end)
    assert "lies in another member" in _refused(path) or "compressed" in _refused(path)
    with pytest.raises(ValueError, match="lies in another member"):
        read_npz(path, "bars")


def test_what_all_members_together_unpack_to_is_bounded(tmp_path):
    path = tmp_path / "song.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, _at_most(8 << 20):
        for i in range(3):
            with archive.open(f"{i}.npy", "w") as member:
                member.write(_npy(_words("|u1", (32 << 20,))))
                for _ in range(32):
                    member.write(bytes(1 << 20))
    with _at_most(8 << 20), pytest.raises(ValueError, match="it unpacks to 96 MiB, more than the "):
        read_npz(path, "bars")


def test_no_file_unpacks_to_more_than_the_largest_size(tmp_path, monkeypatch):
    """A mebibyte here, of which 128 bytes are the header of the array."""
    monkeypatch.setattr(npz, "MAX_NPZ", 1 << 20)
    fits = (1 << 20) - 128
    for save, name, said in (
        (np.save, "z.npy", "it has more than 1 MiB"),
        (np.savez_compressed, "z.npz", "it unpacks to 1 MiB, more than the 1 MiB that it may"),
    ):
        save(tmp_path / name, np.zeros(fits, np.uint8))
        (found,) = read_npz(tmp_path / name, "points").values()
        assert len(found) == fits
        save(tmp_path / name, np.zeros(fits + 1, np.uint8))
        with pytest.raises(ValueError, match=f"not points: {said}$"):
            read_npz(tmp_path / name, "points")


def test_columns_in_fortran_s_order_are_not_mapped(tmp_path):
    np.savez(tmp_path / "song.npz", a=np.asfortranarray(np.arange(6).reshape(2, 3)))
    with pytest.raises(ValueError, match=r"song\.npz: not bars: a\.npy is in Fortran's order, which is not mapped$"):
        map_npz(tmp_path / "song.npz", "bars")


def test_a_lack_of_memory_is_said_in_words(tmp_path, monkeypatch):
    path = _zip(tmp_path / "song.npz", {"a.npy": _array()})

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", fail)
    with pytest.raises(ValueError, match=r"not bars: there is not enough memory for it$"):
        read_npz(path, "bars")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path, packing):
    path = _zip(tmp_path / "song.npz", {"a.npy": _array()}, packing)
    with pytest.raises(ValueError, match=r"not bars: a\.npy is packed in an unknown way"):
        read_npz(path, "bars")
    with pytest.raises(ValueError, match=r"not bars: a\.npy is compressed, which cannot be mapped"):
        map_npz(path, "bars")


def test_encrypted_members_are_refused(tmp_path):
    path = _zip(tmp_path / "song.npz", {"a.npy": _array()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert _refused(path) == "a.npy is encrypted"


def test_a_directory_may_have_only_so_many_bytes(tmp_path):
    names = [b"%06d" % i + bytes(94) for i in range(40_000)]
    entries = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
        for name in names
    )
    path = tmp_path / "song.npz"
    path.write_bytes(entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 40_000, 40_000, len(entries), 0, 0))
    assert _refused(path) == "its directory has more than 4 MiB"
    assert npz_names(path) == []


@pytest.mark.parametrize("place", [16, 20, 24, 42])
def test_a_damaged_directory(tmp_path, place):
    """A checksum, sizes and a place that are none."""
    path = _zip(tmp_path / "song.npz", {"a.npy": _array(), "b.npy": _array()})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + place
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    _refused(path)


def test_a_member_that_is_longer_than_the_file(tmp_path):
    path = _zip(tmp_path / "song.npz", {"a.npy": _array()})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\1\2") + 20
    data[place : place + 4] = struct.pack("<I", 1 << 20)
    path.write_bytes(data)
    assert _refused(path) == "it breaks off"


@pytest.mark.parametrize("content", [b"", b"P", b"PK\5\6" + bytes(17), b"PK\5\6" + bytes(18), bytes(range(256)) * 4])
def test_what_is_no_archive(tmp_path, content):
    path = tmp_path / "song.npz"
    path.write_bytes(content)
    if content[4:] == bytes(18):  # the empty archive
        assert read_npz(path, "bars") == map_npz(path, "bars") == {}
    else:
        _refused(path)
    assert npz_names(path) == []


def test_a_member_that_breaks_off_or_has_another_checksum(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(_array(5000)[:4000]) + packer.flush()
    for crc, declared in ((0, len(_array(5000))), (1, 4000)):
        common = (20, 0, 8, 0, 0x21, crc, len(packed), declared, 5, 0)
        local = struct.pack("<4s5H3L2H", b"PK\3\4", *common) + b"a.npy"
        entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *common, 0, 0, 0, 0, 0) + b"a.npy"
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
        path = tmp_path / "song.npz"
        path.write_bytes(local + packed + entry + end)
        with pytest.raises(ValueError, match=r"song\.npz: not bars: "):
            read_npz(path, "bars")


def test_two_members_of_one_name(tmp_path):
    path = tmp_path / "song.npz"
    _zip(path, {"a.npy": _array(), "b.npy": _array()})
    path.write_bytes(path.read_bytes().replace(b"b.npy", b"a.npy"))
    assert _refused(path) == "two of its members are called alike"


@pytest.mark.parametrize("read", [lambda path: read_npz(path, "bars"), lambda path: map_npz(path, "bars"), npz_names])
def test_pipes_and_devices_are_not_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)


def test_names_in_messages_are_short_and_of_one_line(tmp_path):
    assert _refused(_zip(tmp_path / "song.npz", {"a\nb.npy": b""})).startswith(r"'a\nb.npy' is no array")
    assert len(_refused(_zip(tmp_path / "song.npz", {"a" * 60_000 + ".npy": b""}))) < 200


@pytest.mark.parametrize("letter", [0x110000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_letters_that_there_are_not(tmp_path, letter, order):
    content = _npy(_words(f"{order}U2", (1,)), struct.pack(f"{order}2I", 97, letter))
    assert _refused(_zip(tmp_path / "song.npz", {"kit.npy": content})) == "kit.npy holds letters that there are not"


@pytest.mark.parametrize("value", [2, 128, 255])
def test_truth_values_that_are_neither(tmp_path, value):
    content = _npy(_words("|b1", (2, 2), fortran=False), bytes((0, 1, value, 0)))
    assert _refused(_zip(tmp_path / "song.npz", {"a.npy": content})) == "a.npy holds truth values that are neither"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_a_mapped_file_is_open_once(tmp_path):
    path = tmp_path / "bars.npz"
    np.savez(path, **{f"array {i}": array for i, array in enumerate(ARRAYS)})
    before = len(os.listdir("/proc/self/fd"))
    found = map_npz(path, "bars")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for name, array in found.items():
        assert (array == ARRAYS[int(name[6:])]).all()
    del found, array
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("read", [read_npz, map_npz])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM])
def test_a_failing_system_is_not_blamed_on_the_file(tmp_path, monkeypatch, read, number):
    def failing(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("rhythmgan.npz._checked", failing)
    path = _zip(tmp_path / "song.npz", {"a.npy": _array()})
    with pytest.raises(OSError, match=r"song\.npz") as raised:
        read(path, "bars")
    assert (raised.value.errno, raised.value.filename) == (number, str(path))
