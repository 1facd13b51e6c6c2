"""What the kills look for is found where it is planted, and not elsewhere."""

import os
import sys
from random import Random

import kills
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux lists them")

TOY = """
import os, subprocess, sys, time
from pathlib import Path
_, kind, _, seed, _, out = sys.argv
out = Path(out)
if kind == "child":
    subprocess.Popen(["sleep", "5"])
if kind == "locked":
    import fcntl
    lock = open(out.parent / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("toy: another run is writing here", file=sys.stderr)
        sys.exit(2)
    for old in out.glob("*.txt"):
        old.unlink()
for number in range(6):
    path = out / f"{number}.txt"
    text = seed * 50_000
    if kind == "torn":
        with open(path, "w") as file:
            for _ in range(5):
                file.write(text[:10_000])
                file.flush()
                time.sleep(0.01)
        continue
    part = out / f".{number}.{os.getpid() if kind == 'behind' else 'x'}.part"
    part.write_text(text)
    time.sleep(0.03)
    os.replace(part, path)
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A function: kind of toy → a command that writes six files, in one way or another."""
    (tmp_path / "toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(kills, "_PATIENCE", 0.5)
    return lambda kind: kills.Command(kind, f"toy {kind} --seed 1 --out {{out}}", ("--seed", "2"))


@pytest.fixture
def killed(command, tmp_path):
    """A function: kind of toy, how often → what was found after as many kills."""

    def kill(kind, n):
        toy, random = command(kind), Random(0)
        reference = kills.run_whole(toy, tmp_path, tmp_path)
        return [kills.kill_once(toy, reference, tmp_path, tmp_path, random, number) for number in range(n)]

    return kill


def _kinds(found):
    kinds = ("torn", "mixed", "processes", "left_behind", "differ")
    return {kind for kind in kinds if any(getattr(one, kind) for one in found)}


def test_a_command_that_keeps_its_promises_passes(killed):
    found = killed("locked", 4)
    assert _kinds(found) == set()
    assert "| locked | 4 | 0 | 0 | 0 | 0 | 0 |" in kills.kills_to_markdown(found)


def test_torn_files_are_found(killed):
    assert "torn" in _kinds(killed("torn", 5))


def test_mixed_calls_are_found(killed):
    found = killed("plain", 8)
    assert "mixed" in _kinds(found)
    assert "| **all** | 8 | 0 |" in kills.kills_to_markdown(found)


def test_processes_that_are_left_are_found_and_ended(killed):
    found = killed("child", 4)
    ids = [process for one in found for process in one.processes]
    assert ids
    assert not any(
        process in kills.processes(f"{os.getpid()}-child-{number}") for number in range(4) for process in ids
    )


def test_parts_that_are_left_behind_are_found(killed):
    assert "left_behind" in _kinds(killed("behind", 6))


def test_files_that_differ_after_a_rerun_are_found():
    assert kills._differences({"a": b"1", "b": b"1"}, {"a": b"1", "b": b"2", "c": b""}) == ["b", "c"]


def test_a_pair_has_one_winner(command, tmp_path):
    toy = command("locked")
    reference = kills.run_whole(toy, tmp_path, tmp_path)
    pairs = [kills.pair_once(toy, reference, tmp_path, tmp_path, Random(0), number) for number in range(3)]
    assert [pair.wrong for pair in pairs] == [""] * 3
    # on a busy machine the second may come when the first is over, and has the folder afterwards
    n_one = [pair.outcome for pair in pairs].count("one")
    assert f"| locked | 3 | {n_one} | {3 - n_one} | 0 |" in kills.pairs_to_markdown(pairs)


def test_pairs_that_mix_are_found(command, tmp_path):
    toy = command("torn")
    reference = kills.run_whole(toy, tmp_path, tmp_path)
    pairs = [kills.pair_once(toy, reference, tmp_path, tmp_path, Random(number), number) for number in range(6)]
    assert any("mix" in pair.wrong for pair in pairs)


def test_parts_of_files_and_locks_are_no_results():
    for name in (".a.txt.host.1.part", "corpus.npz.parts/files-0.part", ".lock", "gm9/.lock"):
        assert kills.is_unfinished(name)
    assert not kills.is_unfinished("gm9/seed-000001.mid")
