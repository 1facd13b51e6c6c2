"""``prepare`` ended from outside: its workers end with it, and the next run goes on where it was."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.midi import write_midi
from rhythmgan.songs import preparation
from rhythmgan.songs.preparation import prepare, read_songs

_PROC = Path("/proc")

SCRIPT = """
import sys
from rhythmgan.songs import preparation
preparation._FILES_PER_PART = 5
preparation._FILES_PER_JOIN = 20
preparation.prepare(sys.argv[1], sys.argv[2], workers=2, progress=lambda *done: print(*done, flush=True))
"""


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    """200 songs of 40 bars."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(200):
        bars = np.random.default_rng(number).random((40, 16, 12)) < 0.2
        (folder / str(number)).mkdir()
        write_midi(folder / str(number) / "song.mid", bars)
    return folder


def _start(songs: Path, out: Path, mark: str) -> subprocess.Popen[str]:
    environment = os.environ | {"RHYTHMGAN_TEST": mark, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", SCRIPT, str(songs), str(out)]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _marked(mark: str) -> list[int]:
    """The processes that live and were started with this mark."""
    return [process for process, _ in _processes(mark)]


def _workers(mark: str, child: int) -> list[int]:
    """The same but for this child, and for multiprocessing's own tracker of resources, which it too keeps alive."""
    return [process for process, said in _processes(mark) if process != child and b"resource_tracker" not in said]


def _processes(mark: str) -> list[tuple[int, bytes]]:
    """Processes with this mark, and the command line of each."""
    found = []
    for folder in _PROC.iterdir():
        try:
            if folder.name.isdigit() and f"RHYTHMGAN_TEST={mark}\0".encode() in (folder / "environ").read_bytes():
                found.append((int(folder.name), (folder / "cmdline").read_bytes()))
        except OSError:  # it has ended, or is somebody else's
            pass
    return found


def _all_ended(mark: str) -> bool:
    for _ in range(300):
        if not _marked(mark):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not (_PROC / "self" / "environ").exists(), reason="processes are looked for in /proc")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("when", ["at once", "with workers", "in the middle"])
def test_nothing_of_prepare_outlives_it(songs, tmp_path, name, when):
    mark = f"{os.getpid()} {name} {when}"
    with _start(songs, tmp_path / "out.npz", mark) as process:
        assert process.stdout is not None
        if when == "with workers":
            while len(_marked(mark)) < 3 and process.poll() is None:
                time.sleep(0.01)
        elif when == "in the middle":
            process.stdout.readline()
        process.send_signal(getattr(signal, name))
        process.stdout.read()
    assert _all_ended(mark)


FORKING = """
import os, sys, time
from rhythmgan.songs import preparation
preparation._FILES_PER_PART = 5
def fork(*_):
    if forked:
        return
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    forked.append(child)
    print(child, flush=True)
forked = []
preparation.prepare(sys.argv[1], sys.argv[2], workers=2, progress=fork)
"""


@pytest.mark.skipif(not (_PROC / "self" / "environ").exists(), reason="processes are looked for in /proc")
def test_workers_end_though_another_child_holds_their_pipes_open(songs, tmp_path, monkeypatch):
    """A script that forks: its child has all that was open, and lives on."""
    monkeypatch.setattr(sys.modules[__name__], "SCRIPT", FORKING)
    mark = f"{os.getpid()} forking"
    process = _start(songs, tmp_path / "out.npz", mark)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        assert any(not _workers(mark, child) or time.sleep(0.1) for _ in range(300))
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="of signals")
def test_runs_that_are_killed_are_resumed_and_leave_nothing(songs, tmp_path, monkeypatch):
    """Whatever is killed when: the corpus is the one of an undisturbed run, and no unfinished file is left."""
    monkeypatch.setattr(preparation, "_FILES_PER_PART", 5)
    monkeypatch.setattr(preparation, "_FILES_PER_JOIN", 20)
    prepare(songs, tmp_path / "whole.npz", workers=1)
    (tmp_path / "killed").mkdir()
    out = tmp_path / "killed" / "out.npz"
    draw = random.Random(5)
    for number in range(4):
        with _start(songs, out, f"{os.getpid()} {number}") as process:
            assert process.stdout is not None
            for _ in range(draw.randrange(1, 12)):
                process.stdout.readline()
            process.kill()
    # what a kill leaves while the corpus itself is written, in the folder and among the parts
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = os.uname().nodename
    (out.parent / f".out.npz.{host}.{ended.pid}.part").write_bytes(b"half")
    parts = tmp_path / "killed" / "out.npz.parts"
    parts.mkdir(exist_ok=True)
    (parts / f".files-0-00000000.part.{host}.{ended.pid}.part").write_bytes(b"half")
    said: list[str] = []
    prepare(songs, out, workers=2, log=said.append)
    assert any(line.startswith("resumed: ") for line in said)
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["out.npz"]


def test_what_a_kill_left_beside_the_file_behind_a_link_is_swept(songs, tmp_path):
    (tmp_path / "real").mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / "real" / f".corpus.npz.{os.uname().nodename}.{ended.pid}.part"
    left.write_bytes(b"half")
    (tmp_path / "real" / "corpus.npz").touch()
    (tmp_path / "corpus.npz").symlink_to(tmp_path / "real" / "corpus.npz")
    prepare(songs / "7", tmp_path / "corpus.npz", workers=1)
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["corpus.npz"]


def test_a_full_folder_of_temporary_files_is_named(songs, monkeypatch):
    def full(out, *_):
        raise OSError(28, "No space left on device", out)

    monkeypatch.setattr(preparation, "read_files", full)
    with pytest.raises(
        OSError, match="there is no room for temporary files: choose another folder with TMPDIR"
    ) as raised:
        read_songs(songs / "7", workers=1)
    assert Path(raised.value.filename).is_dir()
