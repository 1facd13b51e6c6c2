"""Files that are whole or not there."""

import errno
import itertools
import os
import platform
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from rhythmgan import files
from rhythmgan.files import (
    check_target,
    make_folder,
    sweep_parts,
    temporary_folder,
    whole_file,
    write_whole,
)


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


def test_a_system_that_takes_a_few_bytes_at_a_time(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    write_whole(tmp_path / "out.bin", b"0123456789")
    assert (tmp_path / "out.bin").read_bytes() == b"0123456789"


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
        assert str(failed.value) == f"[Errno {errno.ENOSPC}] No space left: {str(path)!r}"


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
        [sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=600
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


@pytest.mark.parametrize("write", [write_whole, lambda path, data: _write_in_a_block(path, data)])
def test_a_disk_that_says_only_at_a_close_that_it_is_full(tmp_path, monkeypatch, write):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    real, closed = os.close, []

    def close(descriptor):
        real(descriptor)
        closed.append(descriptor)
        if len(closed) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close)
        with pytest.raises(OSError, match="No space left") as failed:
            write(path, b"new")
    assert failed.value.filename == str(path)
    assert _names(tmp_path) == ["out.bin"]
    assert path.read_bytes() == b"old"


def _write_in_a_block(path, data):
    with whole_file(path) as file:
        file.write(data)


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
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError, match="is there and is no folder") as failed:
            make_folder(tmp_path / name)
        assert failed.value.filename == str(tmp_path / name)
    (tmp_path / "link").unlink()
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "below")
    assert _names(tmp_path) == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="open files have no paths here")
@pytest.mark.parametrize("path", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/self/task/../fd/{}", "link"])
def test_an_open_file_is_not_replaced_by_its_descriptor(tmp_path, monkeypatch, path):
    """As /dev/stdout is a link to where the output of a script goes."""
    monkeypatch.chdir(tmp_path)
    with Path("log.txt").open("a+b") as log:
        log.write(b"precious")
        log.flush()
        Path("link").symlink_to(f"/dev/fd/{log.fileno()}")
        path = path.format(log.fileno())
        if not os.path.exists(path):
            pytest.skip("no such paths here")
        for write in (check_target, lambda path: write_whole(path, b"new")):
            with pytest.raises(OSError, match="is an open file and not the name of one") as failed:
                write(path)
            assert failed.value.filename == path
        log.seek(0)
        assert log.read() == b"precious"
    assert _names(tmp_path) == ["link", "log.txt"]


def test_links_to_a_file_are_followed(tmp_path):
    (tmp_path / "out.bin").write_bytes(b"old")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one").symlink_to("../out.bin")
    (tmp_path / "two").symlink_to("below/one")
    write_whole(tmp_path / "two", b"new")
    assert (tmp_path / "out.bin").read_bytes() == b"new"
    assert (tmp_path / "two").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "out.bin"
    path.touch()
    path.chmod(mode)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    with whole_file(path) as file:
        file.write(b"newer")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"newer"


def test_what_replaces_a_private_file_is_private_from_the_start(tmp_path):
    path = tmp_path / "out.bin"
    path.touch(0o600)
    with whole_file(path):
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


def test_what_replaces_a_private_file_is_opened_for_nobody_else(tmp_path, monkeypatch):
    """Who opened it before its mode is set could read all that is written later."""
    path = tmp_path / "out.bin"
    path.touch(0o600)
    real, modes = os.fchmod, []

    def fchmod(descriptor, mode):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    write_whole(path, b"new")
    assert modes == [0o600]


@pytest.mark.parametrize(
    "name", ["n" * 251, "n" * 255, "\u00fc" * 127, "\U0001f941" * 63, os.fsdecode(b"\xff" * 255), "-", "\n"]
)
def test_every_legal_name_can_be_written(tmp_path, name):
    write_whole(tmp_path / name, b"first")
    with whole_file(tmp_path / name) as file:
        file.write(b"second")
        (part,) = (each.name for each in tmp_path.iterdir() if each.name != name)
        assert len(os.fsencode(part)) <= 143  # what eCryptfs allows
    assert (tmp_path / name).read_bytes() == b"second"
    assert _names(tmp_path) == [name]


@pytest.mark.parametrize("host", ["h" * 300, "a/b", "[x].*", os.fsdecode(b"\xff" * 200)])
def test_hosts_of_any_name(tmp_path, host):
    """Their names are part of those of unfinished files, which are swept."""
    script = """
import os, platform, sys
platform.node = lambda: os.fsdecode(bytes.fromhex(sys.argv[2]))
from rhythmgan.files import sweep_parts, whole_file
sweep_parts(sys.argv[1])
print(len(os.listdir(sys.argv[1])), flush=True)
with whole_file(os.path.join(sys.argv[1], "n" * 255)):
    os._exit(0)
"""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), os.fsencode(host).hex()],
            *(),
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        assert done.stdout == "0\n"
        (part,) = _names(tmp_path)
        assert len(os.fsencode(part)) <= 143


_KILLED = """
import os, sys
from rhythmgan.files import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(bytes(100_000))
    os._exit(0)
"""


def test_only_what_nobody_writes_is_swept(tmp_path):
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "dead.bin")], check=True, timeout=600)
    (dead,) = _names(tmp_path)
    # as a process of our own number would have left it, before the machine was started again
    (tmp_path / dead).rename(tmp_path / f".old.bin.{platform.node()}.{os.getpid()}-7.part")
    others = [".note.part", f".a.bin.other{platform.node()}.7-1.part", f".a.bin.{platform.node()}.7-1.part.txt"]
    others.append(f".a.bin.{platform.node()}.{os.getpid()}.part")  # of an earlier release, which has no lock
    for name in others:
        (tmp_path / name).touch()
    with whole_file(tmp_path / "ours.bin") as file:
        sweep_parts(tmp_path)
        assert len(_names(tmp_path)) == 5
        file.write(b"ours")
    assert _names(tmp_path) == sorted([*others, "ours.bin"])
    assert (tmp_path / "ours.bin").read_bytes() == b"ours"


def test_what_only_looks_unfinished_is_left_alone(tmp_path):
    (tmp_path / "kept").write_bytes(b"kept")
    names = [f".{i}.{platform.node()}.7-{i}.part" for i in range(3)]
    os.mkfifo(tmp_path / names[0])
    (tmp_path / names[1]).symlink_to(tmp_path / "kept")
    (tmp_path / names[2]).mkdir()
    sweep_parts(tmp_path)
    assert _names(tmp_path) == sorted([*names, "kept"])
    sweep_parts(tmp_path / "none")


def test_a_new_file_that_was_swept_before_its_lock_is_made_again(tmp_path, monkeypatch):
    real, times = files.try_lock, []

    def swept(descriptor):
        times.append(descriptor)
        if len(times) == 1:
            sweep_parts(tmp_path)  # takes the lock, removes the file, and gives the lock back
        return real(descriptor)

    monkeypatch.setattr(files, "try_lock", swept)
    write_whole(tmp_path / "out.bin", b"here")
    assert (tmp_path / "out.bin").read_bytes() == b"here"
    assert _names(tmp_path) == ["out.bin"]


def test_a_file_that_was_replaced_before_its_lock_is_not_swept(tmp_path, monkeypatch):
    """By a process that has the same number, on a machine that was started again."""
    path = tmp_path / f".out.bin.{platform.node()}.7-1.part"
    path.write_bytes(b"left")
    real = files.try_lock

    def replaced(descriptor):
        path.unlink()
        path.write_bytes(b"new")
        return real(descriptor)

    monkeypatch.setattr(files, "try_lock", replaced)
    sweep_parts(tmp_path)
    assert path.read_bytes() == b"new"


def test_what_a_process_of_our_number_left_is_not_written_into(tmp_path, monkeypatch):
    left = tmp_path / f".out.bin.{platform.node()}.{os.getpid()}-7.part"
    left.write_bytes(b"left over")
    monkeypatch.setattr(files, "_numbers", itertools.count(7))
    with whole_file(tmp_path / "out.bin") as file:
        file.write(b"new")
    assert (tmp_path / "out.bin").read_bytes() == b"new"
    assert left.read_bytes() == b"left over"


def test_threads_that_write_the_same_file(tmp_path):
    path = tmp_path / "out.bin"
    contents = [bytes([i]) * 50_000 for i in range(8)]
    threads = [threading.Thread(target=lambda c=c: [write_whole(path, c) for _ in range(20)]) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert _names(tmp_path) == ["out.bin"]


def _syncs(monkeypatch):
    """What is synced and renamed from now on, in this order: "folder" or the bytes, and the new name."""
    done = []
    real, rename = os.fsync, os.replace

    def sync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("folder" if is_folder else Path(f"/proc/self/fd/{descriptor}").read_bytes())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda part, name: (done.append(os.path.basename(name)), rename(part, name)))
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the test reads what was open")
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = _syncs(monkeypatch)
    write_whole(tmp_path / "a", b"all", durable=True)
    with whole_file(tmp_path / "b", durable=True) as file:
        file.write(b"of ")
        file.write(b"it")
    write_whole(tmp_path / "c", b"dump")
    with whole_file(tmp_path / "d") as file:
        file.write(b"dump")
    assert done == [b"all", "a", "folder", b"of it", "b", "folder", "c", "d"]


def test_a_new_folder_is_on_the_disk_too(tmp_path, monkeypatch):
    done = _syncs(monkeypatch)
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
        assert done.count("folder") == 2


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, number):
    """Some file systems sync no folders; any other error is one."""
    real = os.fsync

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    if number == errno.EINVAL:
        write_whole(tmp_path / "out.bin", b"here", durable=True)
        assert (tmp_path / "out.bin").read_bytes() == b"here"
        return
    with pytest.raises(OSError, match="Input/output error") as failed:
        write_whole(tmp_path / "out.bin", b"here", durable=True)
    assert failed.value.filename == str(tmp_path / "out.bin")


def test_what_was_left_in_a_folder_is_swept_when_it_is_taken(tmp_path):
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "dead.bin")], check=True, timeout=600)
    assert len(_names(tmp_path)) == 1
    make_folder(tmp_path)
    assert _names(tmp_path) == []


def test_processes_that_make_one_folder(tmp_path):
    script = """
import sys
from rhythmgan.files import make_folder
sys.stdin.readline()
for _ in range(200):
    make_folder(sys.argv[1])
"""
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    with ExitStack() as processes:
        running = [
            processes.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE))
            for _ in range(3)
        ]
        for each in running:
            each.stdin.write(b"\n")
            each.stdin.flush()
        ended = [(each.communicate(timeout=600)[1], each.returncode) for each in running]
    assert ended == [(b"", 0)] * 3
    assert _names(tmp_path / "out") == []


def test_a_read_only_file_system(tmp_path, monkeypatch):
    real = os.open

    def read_only(path, flags, *mode, **keywords):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *mode, **keywords)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match="Read-only") as failed:
        make_folder(tmp_path)
    assert failed.value.filename == str(tmp_path)
    with pytest.raises(OSError, match="Read-only") as failed:
        write_whole(tmp_path / "out.bin", b"")
    assert failed.value.filename == str(tmp_path / "out.bin")


def test_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        write_whole(folder / "out.bin", b"here")
    assert _names(tmp_path) == []

    def write_into(path):
        with temporary_folder() as folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.path.join(folder, path))

    with pytest.raises(OSError, match="no room for temporary files: choose another folder with TMPDIR") as failed:
        write_into("1.npz")
    assert (failed.value.errno, failed.value.filename) == (errno.ENOSPC, str(tmp_path))
    with pytest.raises(OSError, match="No space left") as failed:  # another disk is full
        write_into("/elsewhere/out.npz")
    assert failed.value.filename == "/elsewhere/out.npz"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match="no temporary files can be written: choose another folder with TMPDIR") as failed:
        write_into("1.npz")
    assert failed.value.filename == str(tmp_path / "none")
    assert _names(tmp_path) == []
