"""Files that are whole or not there."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from rhythmgan.files import make_folder, sort_safetensors_metadata, whole_file, write_whole


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
def test_write_whole(tmp_path, data):
    path = tmp_path / "out.bin"
    write_whole(path, data)
    assert path.read_bytes() == data
    write_whole(str(path), data + b"!")
    assert path.read_bytes() == data + b"!"
    assert _names(tmp_path) == ["out.bin"]


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole("out.bin", b"here")
    with whole_file("other.bin") as file:
        file.write(b"there")
    assert _names(tmp_path) == ["other.bin", "out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"here"


def test_the_name_appears_only_at_the_end(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new ")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"content")
    assert path.read_bytes() == b"new content"
    assert _names(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failed_block_leaves_what_was(tmp_path, kind, old):
    path = tmp_path / "out.bin"
    if old is not None:
        path.write_bytes(old)

    def fail():
        with whole_file(path) as file:
            file.write(b"half")
            raise kind(errno.ENOSPC, "No space left")

    with pytest.raises(kind) as failed:
        fail()
    assert _names(tmp_path) == ([] if old is None else ["out.bin"])
    if old is not None:
        assert path.read_bytes() == old
    if kind is OSError:
        assert failed.value.errno == errno.ENOSPC
        assert os.fspath(failed.value.filename) == str(path)


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    def fail():
        with whole_file(tmp_path / "out.bin"):
            (tmp_path / "input.bin").read_bytes()

    with pytest.raises(FileNotFoundError) as failed:
        fail()
    assert os.path.basename(failed.value.filename) == "input.bin"


# a file may have at most 4096 bytes: what is longer fails halfway, as on a full disk
_LIMITED = """
import os, resource, sys
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from rhythmgan.files import whole_file, write_whole

def attempt(what):
    try:
        what()
        print("done")
    except OSError as error:
        print(type(error).__name__, error.errno, os.path.basename(os.fspath(error.filename)))

def block(path):
    with whole_file(path) as file:
        for _ in range(100):
            file.write(bytes(1000))

os.chdir(sys.argv[1])
attempt(lambda: write_whole("fits.bin", bytes(4096)))
attempt(lambda: write_whole("new.bin", bytes(4097)))
attempt(lambda: write_whole("old.bin", bytes(100_000)))
attempt(lambda: block("old.bin"))
attempt(lambda: block("new.bin"))

from rhythmgan.draw import write_png
from rhythmgan.corpus_file import save_corpus
from rhythmgan.patterns import load_patterns
from rhythmgan.midi import write_midi, write_midi_files
noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
attempt(lambda: write_png("picture.png", noise))
loop = np.ones((16, 16, 9), bool)
attempt(lambda: write_midi("loop.mid", loop))
attempt(lambda: write_midi_files(".", ["first.mid", "second.mid"], np.stack([loop & False, loop])))
"""


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    (tmp_path / "old.bin").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    too_large = f"OSError {errno.EFBIG}"
    assert done.stdout.splitlines() == [
        "done",
        f"{too_large} new.bin",
        f"{too_large} old.bin",
        f"{too_large} old.bin",
        f"{too_large} new.bin",
        f"{too_large} picture.png",
        f"{too_large} loop.mid",
        f"{too_large} second.mid",
    ]
    assert _names(tmp_path) == ["first.mid", "fits.bin", "old.bin"]
    assert (tmp_path / "old.bin").read_bytes() == b"old"
    assert (tmp_path / "fits.bin").read_bytes() == bytes(4096)


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path, kind in (
        (tmp_path / "missing" / "out.bin", FileNotFoundError),
        (tmp_path / "file" / "out.bin", NotADirectoryError),
        (tmp_path / "folder", IsADirectoryError),
    ):
        with pytest.raises(kind) as failed:
            write_whole(path, b"data")
        assert os.fspath(failed.value.filename) == str(path)
        assert ".part" not in str(failed.value)
        with pytest.raises(kind) as failed, whole_file(path):
            pass
        assert os.fspath(failed.value.filename) == str(path)
        assert ".part" not in str(failed.value)
    assert _names(tmp_path) == ["file", "folder"]
    assert _names(tmp_path / "folder") == []


def test_make_folder(tmp_path):
    folder = make_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert folder.is_dir()
    assert _names(folder) == []
    (folder / "kept").write_bytes(b"kept")
    assert make_folder(str(folder)) == folder
    assert _names(folder) == ["kept"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "below")
    assert _names(tmp_path) == ["file"]


def test_equal_weights_are_equal_bytes():
    """The library orders metadata at random: eight facts have 40,320 orders."""
    from safetensors.numpy import load, save

    tensors = {"b": np.arange(3.0), "a": np.zeros((2, 2), np.int8)}
    facts = {name: str(i) for i, name in enumerate("hgfedcba")}
    files = {sort_safetensors_metadata(save(tensors, dict(facts))) for _ in range(20)}
    assert len(files) == 1
    (data,) = files
    np.testing.assert_array_equal(load(data)["b"], tensors["b"])
    np.testing.assert_array_equal(load(data)["a"], tensors["a"])
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(data[8 : 8 + length])["__metadata__"].items()) == sorted(facts.items())
