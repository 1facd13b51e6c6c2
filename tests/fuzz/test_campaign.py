"""The campaign counts what happens: a door with planted faults, and the same inputs every time."""

import json
import os
import signal
import sys
import time
import warnings
from collections import Counter

import campaign
import doors
import mutations
import pytest
import valid

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of a campaign are those of Linux")

N = 60
MOST = 64 << 20


def _held(n):
    """Memory that is really taken: a byte of every page."""
    held = bytearray(n)
    for place in range(0, n, 4096):
        held[place] = 1
    return held


def _raise(error):
    raise error


PLANTED = {
    b"clean": (lambda path: None, None, ""),
    b"refused": (lambda path: _raise(ValueError(f"{path}: no")), None, ""),
    b"system": (lambda path: (path / "x").read_bytes(), None, ""),  # a folder that there is not: names the file
    b"crash": (lambda path: os.kill(os.getpid(), signal.SIGSEGV), campaign.UNEXPECTED, "ended by SIGSEGV"),
    b"exit": (lambda path: os._exit(3), campaign.UNEXPECTED, "ended with status 3"),
    b"busy": (lambda path: [None for _ in iter(int, 1)], campaign.HANG, "hang"),
    b"waits": (lambda path: time.sleep(1000), campaign.HANG, "hang"),
    b"memory": (lambda path: _held(2 * MOST), campaign.MEMORY, "memory"),
    b"too much": (lambda path: bytearray(1 << 40), campaign.MEMORY, "MemoryError"),
    b"hidden": (lambda path: _raise(ValueError(f"{path}: can't allocate memory")), campaign.MEMORY, "MemoryError"),
    b"key": (lambda path: {}["x"], campaign.UNEXPECTED, "KeyError"),
    b"deep": (lambda path: _raise(RecursionError("maximum")), campaign.UNEXPECTED, "RecursionError"),
    b"codec": (lambda path: b"\xff".decode(), campaign.UNEXPECTED, "UnicodeDecodeError"),
    b"two lines": (lambda path: _raise(ValueError(f"{path}\nmore")), campaign.UNEXPECTED, "a message of several lines"),
    b"empty": (lambda path: _raise(ValueError(" ")), campaign.UNEXPECTED, "an empty message"),
    b"unnamed": (lambda path: _raise(ValueError("no")), campaign.UNEXPECTED, "a message that names no file"),
    b"warning": (lambda path: warnings.warn("look", stacklevel=1), campaign.UNEXPECTED, "warning UserWarning: look"),
}


def _opened(data, path):
    PLANTED[data][0](path)


TOY = doors.Door("toy", 1, lambda: [*PLANTED], lambda random, data: data, _opened, ".toy", True)


@pytest.fixture(scope="module")
def toy_chunks():
    chunks = campaign.plan([TOY], N)
    return list(campaign.run([TOY], chunks, seed=3, workers=2, seconds=0.8, most=MOST))


def test_each_planted_fault_is_counted_where_it_belongs(toy_chunks):
    drawn = Counter(campaign.make_input(TOY, 3, number) for number in range(N))
    assert set(drawn) == set(PLANTED)
    faults = [fault for chunk in toy_chunks for fault in chunk.faults]
    for planted, (_, kind, what) in PLANTED.items():
        found = [fault for fault in faults if campaign.make_input(TOY, 3, fault.number) == planted]
        assert len(found) == (drawn[planted] if kind else 0), planted
        assert all(fault.kind == kind and fault.what.startswith(what) for fault in found), (planted, found)
    assert sum(chunk.clean for chunk in toy_chunks) == drawn[b"clean"]
    assert sum(chunk.refused for chunk in toy_chunks) == drawn[b"refused"] + drawn[b"system"]


def test_the_table_has_a_column_for_each_kind(toy_chunks):
    header, _, row, total = campaign.to_markdown(toy_chunks).splitlines()
    kinds = Counter(PLANTED[campaign.make_input(TOY, 3, number)][1] for number in range(N))
    names = [name.strip() for name in header.strip("|").split("|")]
    counts = dict(zip(names, (cell.strip() for cell in row.strip("|").split("|")), strict=True))
    assert counts["door"] == "toy"
    assert counts["inputs"] == str(N)
    assert int(counts["clean"]) + int(counts["refused"]) == kinds[None]
    assert all(counts[kind] == str(kinds[kind]) for kind in (campaign.UNEXPECTED, campaign.HANG, campaign.MEMORY))
    assert total.startswith("| **all** | 60 |")


def test_what_inputs_leave_behind_is_a_fault():
    kept = []

    def _keeps(data, path):
        kept.append(_held(40 << 20))

    door = doors.Door(
        "keeps", 1, lambda: [b"x"], lambda random, data: data, lambda data, path: kept.append(_held(40 << 20))
    )
    (chunk,) = campaign.run([door], campaign.plan([door], 10), most=1 << 30)
    assert [(fault.kind, fault.what) for fault in chunk.faults] == [(campaign.MEMORY, "kept: … MiB are kept")]


def test_an_input_is_a_function_of_its_number():
    for door in doors.DOORS:
        if door.valid():
            made = [campaign.make_input(door, 0, number) for number in range(8)]
            assert made == [campaign.make_input(door, 0, number) for number in range(8)], door.name
            assert len(set(made)) > 4, door.name


def test_a_list_that_comes_often_is_not_made_larger_in_each_place():
    class Grows:
        """Twice: a hundred times the list in each place of those that there are, the outer one first."""

        places = 0

        def random(self):
            return 0.9

        def randrange(self, stop):
            return 2

        def choice(self, options):
            self.places += isinstance(options, list)
            return options[2] if isinstance(options, tuple) else options[self.places - 1]

    found = mutations.mutate_tree(Grows(), [["x" * 2000]])
    assert list(map(len, found)) == [100] + [1] * 99


def test_a_mutator_that_fails_ends_the_campaign():
    door = doors.Door("broken", 1, lambda: [b""], lambda random, data: 1 / 0, lambda data, path: None)
    with pytest.raises(RuntimeError, match="broken, input 0: it cannot be made"):
        list(campaign.run([door], campaign.plan([door], 1)))


def test_a_campaign_resumes_and_says_the_same(tmp_path, capsys, monkeypatch):
    arguments = ["--inputs", "600", "--door", "page: code of a loop", "--workers", "1", "--out", str(tmp_path)]
    assert campaign.main(arguments) == 0
    table = capsys.readouterr().out.partition("\n\n")[0]
    lines = (tmp_path / "chunks.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["start"] for line in lines[1:]] == [0, 250, 500]
    (tmp_path / "chunks.jsonl").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")  # as if it was stopped
    assert campaign.main(arguments) == 0
    again = capsys.readouterr().out
    assert [row.rpartition("|")[0].rpartition("|")[0] for row in again.splitlines()[:4]] == [
        row.rpartition("|")[0].rpartition("|")[0] for row in table.splitlines()
    ]
    assert "1 workers: 350 inputs" in again
    with pytest.raises(SystemExit, match="of another campaign"):
        campaign.main(["--seed", "1", *arguments])


def test_bombs_are_what_they_say():
    import io
    import zipfile
    from random import Random

    for seed in range(20):
        packed = mutations._bomb(Random(seed), b"x", b"begin")
        if len(packed.data) > 100_000 or packed.size != len(b"begin") + (len(packed.data) // 16_000) * (16 << 20):
            continue
        data = mutations._write_zip(Random(0), [packed], 0)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
        return
    raise AssertionError("no bomb that is whole")


def test_valid_inputs_are_of_every_model_and_agent():
    from rhythmgan.models.catalogue import FORMATS
    from rhythmgan.tensor_file import read_tensor_metadata

    def format_of(data, path):
        path.write_bytes(data)
        return read_tensor_metadata(path)["format"]

    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        assert {format_of(data, Path(folder) / "x") for data in valid.weights()} == set(FORMATS)
