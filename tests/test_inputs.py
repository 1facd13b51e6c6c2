import errno
import os
import tracemalloc

import pytest

from rhythmgan.inputs import open_input, parse_json_object, read_input, read_json_object


def test_files_are_read_up_to_the_limit(tmp_path):
    path = tmp_path / "note"
    path.write_bytes(b"12345")
    assert read_input(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes") as raised:
        read_input(path, 4)
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(path))
    with open_input(path) as file:
        assert file.read() == b"12345"


def test_a_large_limit_takes_no_memory(tmp_path):
    (tmp_path / "note").write_bytes(b"12345")
    tracemalloc.start()
    try:
        assert read_input(tmp_path / "note", 1 << 30) == b"12345"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("look", [1, 2])
def test_a_file_that_grows_while_it_is_read_is_read_to_its_end_or_refused(tmp_path, monkeypatch, look):
    """Once it was seen what it is, or how large: to six bytes, or to 64 MiB, of which no more is read than may be."""
    path = tmp_path / "log"
    real, looks = os.fstat, []

    def fstat(descriptor):
        found = real(descriptor)
        looks.append(found)
        if len(looks) == look:
            os.truncate(path, grown)
        return found

    def read(most):
        path.write_bytes(b"123")
        looks.clear()
        return read_input(path, most)

    monkeypatch.setattr(os, "fstat", fstat)
    grown = 6
    assert read(6) == b"123\0\0\0"
    with pytest.raises(OSError, match="larger than 5 bytes") as raised:
        read(5)
    assert raised.value.filename == str(path)
    grown = 64 << 20
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="larger than 100 bytes"):
            read(100)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_large_limit_is_said_in_mib(tmp_path):
    path = tmp_path / "note"
    with path.open("wb") as file:
        file.truncate((3 << 20) + 1)
    with pytest.raises(OSError, match="larger than 3 MiB"):
        open_input(path, 3 << 20)


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file") as raised:
        open_input(pipe)
    assert raised.value.filename == str(pipe)


def test_devices_and_folders_are_refused(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        read_input("/dev/zero", 100)
    with pytest.raises(IsADirectoryError):
        open_input(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_input(tmp_path / "nothing")


def test_what_became_a_device_before_it_was_opened_is_refused(tmp_path, monkeypatch):
    (tmp_path / "note").write_bytes(b"7")
    before = os.stat(tmp_path / "note")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda *_, **__: before)
        with pytest.raises(OSError, match="not a regular file"):
            open_input("/dev/zero")


def test_a_link_leads_to_its_file(tmp_path):
    (tmp_path / "note").write_bytes(b"7")
    (tmp_path / "link").symlink_to("note")
    assert read_input(tmp_path / "link", 1) == b"7"


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b"{",
        b"",
        b"[1]",
        b"null",
        b'"a"',
        b'{"a": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_one_value_error(text, tmp_path):
    with pytest.raises(ValueError, match=r"."):
        parse_json_object(text)
    path = tmp_path / "recipe.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"recipe\.json: no JSON object can be read: .") as raised:
        read_json_object(path)
    assert "\n" not in str(raised.value)


def test_a_json_object_is_read(tmp_path):
    path = tmp_path / "note.json"
    path.write_text('{"bpm": 97.5, "kit": "gm9"}', encoding="utf-8")
    assert read_json_object(path) == {"bpm": 97.5, "kit": "gm9"}
    with pytest.raises(OSError, match="larger than 20 bytes"):
        read_json_object(path, 20)
