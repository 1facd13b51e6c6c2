import errno
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from rhythmgan import locks
from rhythmgan.locks import LOCK, locked_folder

HOLD = """
import sys, time
from rhythmgan.locks import locked_folder
with locked_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def nfs(monkeypatch):
    """A function that says whether folders can be locked: to begin with they cannot, as on NFS."""
    real = locks.try_lock

    def as_on_nfs(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return real(descriptor)

    def set_to(can):
        monkeypatch.setattr(locks, "try_lock", real if can else as_on_nfs)

    set_to(False)
    return set_to


def test_a_folder_is_for_one_at_a_time(tmp_path):
    with locked_folder(tmp_path):
        with pytest.raises(ValueError, match=f"{tmp_path}: another run is writing here"), locked_folder(tmp_path):
            pytest.fail("both had it")
        with pytest.raises(ValueError, match=f"{tmp_path}: it trains here"), locked_folder(tmp_path, "it trains here"):
            pytest.fail("both had it")
    with locked_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def _next_descriptor():
    """The lowest number that no open file has: it grows with each that is left open."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_nothing_is_left_open(tmp_path, nfs):
    """Neither by who had the folder nor by who was refused, whatever is locked."""
    before = _next_descriptor()
    for can in (True, False):
        nfs(can)
        with locked_folder(tmp_path):
            within = _next_descriptor()
            for _ in range(3):
                with pytest.raises(ValueError, match="another run"), locked_folder(tmp_path):
                    pytest.fail("both had it")
            assert _next_descriptor() == within
        assert _next_descriptor() == before


def test_an_error_gives_the_folder_back(tmp_path):
    with pytest.raises(KeyError), locked_folder(tmp_path):
        raise KeyError
    with locked_folder(tmp_path):
        pass


def test_a_killed_process_keeps_nobody_out(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another run"), locked_folder(tmp_path):
            pytest.fail("both had it")
        process.kill()
    assert not list(tmp_path.iterdir())
    with locked_folder(tmp_path):
        pass


def test_a_file_is_locked_where_a_folder_cannot_be(tmp_path, nfs):
    for _ in range(2):
        (tmp_path / LOCK).touch()  # as a killed process leaves it
        with locked_folder(tmp_path):
            with pytest.raises(ValueError, match=f"{tmp_path}: another run is writing here"), locked_folder(tmp_path):
                pytest.fail("both had it")
            assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "none"):
        pass


def test_the_lock_of_a_file_that_was_removed_is_none(tmp_path, nfs, monkeypatch):
    """Who had the folder removes it, between our opening and locking: whoever comes next makes another."""
    on_nfs, times = locks.try_lock, []

    def removed(descriptor):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            times.append(descriptor)
            if len(times) == 1:
                (tmp_path / LOCK).unlink()
        return on_nfs(descriptor)

    monkeypatch.setattr(locks, "try_lock", removed)
    with locked_folder(tmp_path):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(ValueError, match="another run"), locked_folder(tmp_path):
            pytest.fail("both had it")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "none"):
        pass


def test_a_folder_is_waited_for_as_long_as_it_takes_and_no_longer(tmp_path, monkeypatch):
    """The clock goes on only while it is waited; whoever has the folder has it for 3 seconds."""
    now, held = [0.0], ExitStack()

    def sleep(seconds):
        now[0] += seconds
        if now[0] >= 3:
            held.close()

    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    held.enter_context(locked_folder(tmp_path))
    with pytest.raises(ValueError, match="another run is writing here"), locked_folder(tmp_path, wait=2):
        pytest.fail("both had it")
    assert 2 <= now[0] < 2.1
    with locked_folder(tmp_path, wait=2):
        assert 3 <= now[0] < 3.1
