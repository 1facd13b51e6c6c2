"""Files of a folder that one call made, wherever a call is killed."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rhythmgan.calls import NEW, READY, WRITTEN, check_settled, replaced_files
from rhythmgan.export import check_replaceable


def _write(out, names, text):
    with replaced_files(out, lambda name: name.startswith("bar-")) as new:
        for name in names:
            (new / name).write_text(text, encoding="utf-8")


def _content(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name != WRITTEN}


def test_the_new_files_come_in_at_once(tmp_path):
    out = tmp_path / "a" / "out"
    _write(out, ["bar-1", "bar-2", "note"], "first")
    (out / "own").write_text("kept", encoding="utf-8")
    with replaced_files(out, lambda name: name.startswith("bar-")) as new:
        (new / "bar-2").write_text("second", encoding="utf-8")
        assert _content(out / NEW) == {"bar-2": "second"}
        assert (out / "bar-2").read_text(encoding="utf-8") == "first"
    assert _content(out) == {"bar-2": "second", "note": "first", "own": "kept"}


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_call_that_fails_leaves_the_earlier_ones_files(tmp_path, kind):
    _write(tmp_path, ["bar-1"], "first")

    def fail():
        with replaced_files(tmp_path, lambda _: True) as new:
            (new / "bar-1").write_text("second", encoding="utf-8")
            raise kind(errno.ENOSPC, "No space left", str(new / "bar-1"))

    with pytest.raises(kind) as failed:
        fail()
    assert kind is not OSError or failed.value.filename == str(tmp_path / "bar-1")
    assert _content(tmp_path) == {"bar-1": "first"}


def test_what_cannot_be_replaced_is_said_before_anything_is(tmp_path):
    _write(tmp_path, ["bar-1"], "first")
    (tmp_path / "bar-2").mkdir()
    with pytest.raises(IsADirectoryError) as failed:
        _write(tmp_path, ["bar-1", "bar-2"], "second")
    assert failed.value.filename == str(tmp_path / "bar-2")
    assert (tmp_path / "bar-1").read_text(encoding="utf-8") == "first"
    (tmp_path / "bar-2").rmdir()
    assert _content(tmp_path) == {"bar-1": "first"}


def test_a_folder_that_is_called_as_an_earlier_file_stays(tmp_path):
    _write(tmp_path, ["bar-1", "bar-2"], "first")
    (tmp_path / "bar-3").mkdir()
    _write(tmp_path, ["bar-1"], "second")
    (tmp_path / "bar-3").rmdir()
    assert _content(tmp_path) == {"bar-1": "second"}


def test_the_list_of_those_that_go_is_on_the_disk_before_it_decides(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("synced"), sync(descriptor)))
    monkeypatch.setattr(os, "rename", lambda old, new: (done.append(os.path.basename(new)), rename(old, new)))
    _write(tmp_path, ["bar-1"], "first")
    assert done[: done.index(READY)].count("synced") == 4  # that and `.written`, each file and its folder


def test_modes_stay(tmp_path):
    _write(tmp_path, ["bar-1", "note"], "first")
    (tmp_path / "note").chmod(0o600)
    _write(tmp_path, ["bar-1", "note"], "second")
    assert stat.S_IMODE((tmp_path / "note").stat().st_mode) == 0o600
    assert (tmp_path / "note").read_text(encoding="utf-8") == "second"


def test_only_one_call_at_a_time(tmp_path):
    _write(tmp_path, ["bar-1"], "first")
    with replaced_files(tmp_path, lambda _: False) as new:
        (new / "bar-1").write_text("second", encoding="utf-8")
        with pytest.raises(ValueError, match=f"^{tmp_path}: another call is writing here$"):
            _write(tmp_path, ["bar-1"], "third")
    assert _content(tmp_path) == {"bar-1": "second"}


def _half_replaced(folder, going='["bar-1"]'):
    (folder / READY).mkdir()
    (folder / READY / "bar-2").write_text("second", encoding="utf-8")
    (folder / READY / WRITTEN).write_text('["bar-2", "note"]', encoding="utf-8")
    if going is not None:
        (folder / READY / ".replaced").write_text(going, encoding="utf-8")


def test_readers_refuse_what_is_half_replaced(tmp_path):
    _write(tmp_path, ["bar-1"], "first")
    check_settled(tmp_path)
    _half_replaced(tmp_path)
    with pytest.raises(ValueError, match=f"^{tmp_path}: its files are being replaced by another call's"):
        check_settled(tmp_path)
    check_replaceable(tmp_path, ["bar"])  # what is there is of calls, whether their list is there yet or not
    _write(tmp_path, ["bar-3"], "third")
    check_settled(tmp_path)
    assert _content(tmp_path) == {"bar-3": "third"}


@pytest.mark.parametrize(
    "going",
    [
        '["../own"]',
        '["a/b"]',
        '["/etc/passwd"]',
        '[".."]',
        '[""]',
        '["\\u0000"]',
        "[1]",
        "{}",
        "7",
        "[" * 100_000,
        "\xff",
        "",
    ],
)
def test_a_list_that_leads_elsewhere_is_not_followed(tmp_path, going):
    (tmp_path / "own").write_text("own", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    _half_replaced(out, going)
    with pytest.raises(ValueError, match=rf"{READY}/\.replaced: no list of "):
        _write(out, ["bar-1"], "first")
    assert (tmp_path / "own").exists()


def test_a_link_is_not_taken_for_new_files(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "own").write_text("own", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    for name in (READY, NEW):
        for make in (
            lambda path: path.symlink_to(tmp_path / "elsewhere"),
            lambda path: path.symlink_to("no"),
            Path.touch,
        ):
            make(out / name)
            with pytest.raises(ValueError, match=rf"^{out}/\{name} is no folder of an earlier call, and is left alone"):
                _write(out, ["bar-1"], "first")
            (out / name).unlink()
    assert _content(tmp_path / "elsewhere") == {"own": "own"}
    _write(out, ["bar-1"], "first")


@pytest.mark.parametrize("name", ["bar-1", "bar-2", "note"])
def test_files_that_no_call_wrote_are_refused(tmp_path, name):
    """Also one that has the name of a new file alone, and one whose name was a call's and is so no longer."""
    for _ in range(2):
        (tmp_path / name).write_text("own", encoding="utf-8")
        with pytest.raises(
            ValueError, match=f"^{tmp_path} holds {name}, which no earlier call wrote and which would be"
        ):
            _write(tmp_path, ["bar-1", "note"], "first")
        assert _content(tmp_path) == {name: "own"}
        (tmp_path / name).unlink()
        with replaced_files(tmp_path, lambda _: True) as new:
            (new / name).write_text("first", encoding="utf-8")
        with replaced_files(tmp_path, lambda _: True):
            pass  # it writes nothing: all that was written goes
    assert json.loads((tmp_path / WRITTEN).read_text(encoding="utf-8")) == []


def test_the_list_of_what_was_written_has_the_files_of_all_calls_that_are_there(tmp_path):
    _write(tmp_path, ["bar-1", "note"], "first")
    (tmp_path / "note").unlink()
    with replaced_files(tmp_path, lambda name: name.startswith("path-")) as new:
        (new / "path-1").write_text("second", encoding="utf-8")
    assert json.loads((tmp_path / WRITTEN).read_text(encoding="utf-8")) == ["bar-1", "path-1"]
    _write(tmp_path, ["bar-2"], "third")
    assert _content(tmp_path) == {"bar-2": "third", "path-1": "second"}
    assert json.loads((tmp_path / WRITTEN).read_text(encoding="utf-8")) == ["bar-2", "path-1"]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '["a/b"]', "[" * 100_000])
def test_a_list_that_cannot_be_read_is_one_line(tmp_path, content):
    (tmp_path / WRITTEN).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/\{WRITTEN}: no list of [^\n]*$"):
        _write(tmp_path, ["bar-1"], "first")
    assert (tmp_path / WRITTEN).read_text(encoding="utf-8") == content


_EVERY_KILL = r"""
import builtins, itertools, json, os, sys
from pathlib import Path

import numpy as np

from rhythmgan.calls import NEW, READY, is_being_replaced
from rhythmgan.export import FORMATS, Loops, export
from rhythmgan.performance import PLAIN, Performance

os.fsync = lambda descriptor: None  # a process that ends loses nothing that it has written
CHANGES = ("open", "write", "replace", "rename", "unlink", "mkdir", "rmdir", "chmod", "fsync")


def call(out, seed, n):
    bars = np.random.default_rng(seed).random((n, 2, 16, 9)) < 0.2
    names = [f"bar-{i:03d}" for i in range(n)]
    loops = Loops(names, Performance.of(bars), "name", names, names, {"bars": bars, "n": np.arange(n)})
    formats = [FORMATS[name] for name in ("midi", "npz", "csv")]
    notes = {"note.json": json.dumps(seed).encode()}
    export([loops], out, formats, PLAIN, stem="bars", replaced=["bar", "bars"], notes=notes)


def content(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def killed(number, what):
    # in a child: ends before the change of this number, without a word; whether it came to that
    child = os.fork()
    if child == 0:
        done = itertools.count()
        for name in CHANGES:
            real = getattr(os, name)

            def change(*args, _real=real, **keywords):
                if next(done) == number:
                    os._exit(7)
                return _real(*args, **keywords)

            setattr(os, name, change)
        what()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


root = Path(sys.argv[1])
call(root / "old", 1, 4)
call(root / "new", 2, 3)
call(root / "other", 3, 5)
old, new, other = (content(root / name) for name in ("old", "new", "other"))
states = {"old": 0, "new": 0, "between": 0}
for number in itertools.count():
    out = root / f"out-{number}"
    call(out, 1, 4)
    if not killed(number, lambda: call(out, 2, 3)):
        assert content(out) == new
        break
    left = [path for path in out.iterdir() if path.is_file() and not path.name.endswith(".part")]
    found = {path.name: path.read_bytes() for path in left}
    if is_being_replaced(out):
        states["between"] += 1
    else:
        states["old" if found == old else "new"] += 1
        assert found in (old, new), (number, sorted(found))
    # a kill of the call that comes after it is no worse
    again = number % 3
    if again:
        killed(number * 7 % 40, lambda: call(out, 2, 3))
    if again == 2:
        call(out, 3, 5)
        assert content(out) == other, (number, sorted(os.listdir(out)))
    call(out, 2, 3)
    assert content(out) == new, (number, sorted(os.listdir(out)))
print(json.dumps(states))
"""


def test_a_kill_before_any_change_leaves_the_files_of_one_call(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _EVERY_KILL, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    states = json.loads(done.stdout)
    assert states["old"] > 40
    assert states["between"] > 5
    # the removal of the empty folder is the last change
    assert states["new"] <= 1
