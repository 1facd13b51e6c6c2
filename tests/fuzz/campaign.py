"""Open every door with hostile inputs, and count what happens: ``python tests/fuzz/campaign.py --inputs 1000000``.

Input ``number`` of a door is a function of the seed, the door and the number: any input of any campaign can be made
again, ``--door NAME --number N`` shows it. Workers are forks of this process, which has imported everything; one that
crashes, hangs or takes too much costs its input and is forked again. The inputs are mutations of our own and not those
of a coverage-guided fuzzer: no input of atheris is a function of a number, it ends at its first finding, and our doors
are Python around C that it does not see into.

It ends in a table in Markdown. Linux only: limits are timers and sizes of this kernel.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy or torch is imported

import argparse
import faulthandler
import gc
import json
import logging
import multiprocessing
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

import doors
from doors import DOORS, Door

SECONDS, BYTES = 5.0, 1 << 30
"""What an input may cost: seconds of a processor (or four times as long in waiting), and bytes of memory."""

_ADDRESSES = 4 << 30
"""Bytes that an input may reserve: beyond it the system refuses, so that no campaign takes the machine down."""

_KEPT = 256 << 20
"""Bytes that the inputs of a piece of work may leave behind in caches."""

_CHUNK = 250
_SAVED = 2  # inputs of each fault

UNEXPECTED, HANG, MEMORY = "unexpected", "hangs over 5 s", "over 1 GB"

_BROKEN = "broken"
"""Said by a worker that could not make an input: the fault is ours, and no door's."""


@dataclass
class Fault:
    """An input that was neither answered nor refused as promised."""

    door: str
    number: int
    kind: str
    what: str


@dataclass
class Chunk:
    """Inputs ``start`` to ``stop`` of a door, what became of them, and the seconds of a processor that they took."""

    door: str
    start: int
    stop: int
    clean: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)


def make_input(door: Door, seed: int, number: int) -> bytes:
    """An input of a door."""
    random = Random(f"{seed} {door.name} {number}")
    return door.mutate(random, random.choice(door.valid()))


def plan(chosen: Sequence[Door], inputs: int) -> list[Chunk]:
    """Which inputs of which doors: by the doors' shares, all doors side by side."""
    total = sum(door.share for door in chosen)
    chunks = []
    for door in chosen:
        n = max(round(inputs * door.share / total), 1)
        chunks += [(start / n, Chunk(door.name, start, min(start + _CHUNK, n))) for start in range(0, n, _CHUNK)]
    return [chunk for _, chunk in sorted(chunks, key=lambda each: each[0])]


# --- One input ---------------------------------------------------------------------------------------


def open_door(door: Door, data: bytes, folder: Path) -> str | None:
    """What came of an input: None where it was answered, "" where it was refused as promised, else what is wrong.

    Raises:
        MemoryError: there was too little for it.
    """
    path = folder / f"input{door.suffix or ''}"
    if door.suffix is not None:
        path.write_bytes(data)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                door.opened(data, path)
                said = None
            except Exception as error:
                wrong = doors.refusal(error, door, path)
                said = f"{wrong} {_place(error)}" if wrong else ""
                error.__traceback__ = None
        return f"warning {warned[0].category.__name__}: {warned[0].message}"[:200] if warned else said
    finally:
        _clear(folder)


def _place(error: BaseException) -> str:
    """Where an exception comes from, and what it says, without what differs from input to input."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if any(f"/{room}/" in frame.filename for room in ("rhythmgan", "rl_tuner", "demo"))
    ]
    where = (ours or frames)[-1]
    said = re.sub(r"\d+|'[^']*'|/\S+", "…", str(error).partition("\n")[0])[:80]
    return f"in {Path(where.filename).name}:{where.lineno} {where.name}: {said}"


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


# --- Workers -----------------------------------------------------------------------------------------


def _resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()


def _peak() -> int:
    """Bytes of memory that it had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _work(by_name: dict[str, Door], seed: int, board: Any, connection: Connection, seconds: float, most: int) -> None:
    """Do chunks as they are sent, until an input takes so much that a new process is better."""
    for name in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(name, signal.SIG_DFL)  # the kernel ends us, whatever we are in
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when it is over
    logging.disable()
    faulthandler.disable()
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we live
    size = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + max(_ADDRESSES, 2 * most),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    began = _resident()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=shm if shm.is_dir() else None) as name:
        tempfile.tempdir = str(Path(name) / "tmp")
        folder = Path(name) / "in"
        for place in (folder, Path(tempfile.tempdir)):
            place.mkdir()
        while True:
            try:
                door, start, stop = connection.recv()
            except EOFError:
                return
            spent = time.process_time_ns()
            for number in range(start, stop):
                try:
                    data = make_input(by_name[door], seed, number)
                except Exception:
                    connection.send((_BROKEN, number, traceback.format_exc()))
                    return
                board[0] = number
                signal.setitimer(signal.ITIMER_PROF, seconds)
                signal.setitimer(signal.ITIMER_REAL, 4 * seconds)
                try:
                    said = open_door(by_name[door], data, folder)
                except MemoryError as error:
                    connection.send((MEMORY, number, f"MemoryError {_place(error)}"))
                    return
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.setitimer(signal.ITIMER_REAL, 0)
                board[3] = time.process_time_ns() - spent
                if _peak() - began > most:
                    connection.send((MEMORY, number, "memory"))
                    return
                if said:
                    connection.send((UNEXPECTED, number, said))
                board[1 if said is None else 2] += not said
            kept = _resident() - began
            if kept > _KEPT:
                gc.collect()
                kept = _resident() - began
            connection.send((None, stop, "" if kept <= _KEPT else f"{kept >> 20} MiB are kept"))
            if kept > _KEPT:
                return


def _ended(status: int) -> tuple[str, str]:
    """What it means that a worker ended with an input: kind of fault, and what is wrong."""
    if -status in (signal.SIGPROF, signal.SIGALRM):
        return HANG, "hang"
    if -status == signal.SIGKILL:
        return MEMORY, "killed by the system"
    return UNEXPECTED, f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


@dataclass
class _Worker:
    """A process and the piece of work that it has."""

    process: Any
    connection: Connection
    board: Any
    chunk: Chunk
    at: int

    def taken(self) -> None:
        """Take over what it counted."""
        self.chunk.clean += self.board[1]
        self.chunk.refused += self.board[2]
        self.chunk.seconds += self.board[3] / 1e9
        self.board[1] = self.board[2] = self.board[3] = 0


def run(
    chosen: Sequence[Door],
    chunks: Sequence[Chunk],
    seed: int = 0,
    workers: int = 1,
    seconds: float = SECONDS,
    most: int = BYTES,
) -> Iterator[Chunk]:
    """Do chunks in worker processes, and yield each when it is done.

    Args:
        chosen: the doors.
        chunks: what is to be done, in order.
        seed: of all inputs.
        workers: processes at a time.
        seconds, most: what an input may cost, see ``SECONDS``.
    """
    by_name = {door.name: door for door in chosen}
    context = multiprocessing.get_context("fork")
    left = list(reversed(chunks))

    def begin(chunk: Chunk, at: int) -> _Worker:
        ours, theirs = context.Pipe()
        board = context.RawArray("q", [at, 0, 0, 0])
        process = context.Process(target=_work, args=(by_name, seed, board, theirs, seconds, most), daemon=True)
        process.start()
        theirs.close()
        ours.send((chunk.door, at, chunk.stop))
        return _Worker(process, ours, board, chunk, at)

    def is_over(worker: _Worker) -> bool:
        """Hear a worker; whether its chunk is done or it ended."""
        try:
            kind, number, what = worker.connection.recv()
        except EOFError:
            worker.process.join()
            if worker.board[0] >= worker.at:  # its last input was not heard of
                kind, what = _ended(worker.process.exitcode or 0)
                worker.chunk.faults.append(Fault(worker.chunk.door, worker.board[0], kind, what))
                worker.at = worker.board[0] + 1
            worker.taken()
            return True
        if kind == _BROKEN:
            raise RuntimeError(f"{worker.chunk.door}, input {number}: it cannot be made:\n{what}")
        if kind is not None:
            worker.chunk.faults.append(Fault(worker.chunk.door, number, kind, what))
            worker.at = number + 1
            return False
        if what:
            worker.chunk.faults.append(
                Fault(worker.chunk.door, number - 1, MEMORY, "kept: " + re.sub(r"\d+", "…", what))
            )
        worker.taken()
        worker.at = number
        return True

    active: dict[Connection, _Worker] = {}
    try:
        while left or active:
            while left and len(active) < workers:
                chunk = left.pop()
                worker = begin(chunk, chunk.start)
                active[worker.connection] = worker
            for ready in wait(list(active)):
                assert isinstance(ready, Connection)
                worker = active[ready]
                if not is_over(worker):
                    continue
                if worker.at >= worker.chunk.stop:
                    yield worker.chunk
                    alive = worker.process.is_alive()
                    if alive and left:
                        worker.chunk = left.pop()
                        worker.at = worker.chunk.start
                        with suppress(OSError):
                            worker.connection.send((worker.chunk.door, worker.at, worker.chunk.stop))
                            continue
                        left.append(worker.chunk)
                    del active[ready]
                    ready.close()
                elif not worker.process.is_alive():
                    del active[ready]
                    ready.close()
                    again = begin(worker.chunk, worker.at)
                    active[again.connection] = again
    finally:
        for worker in active.values():
            worker.process.kill()


# --- The table ---------------------------------------------------------------------------------------


def to_markdown(chunks: Sequence[Chunk]) -> str:
    """A row for each door, and one for all."""
    columns = ("inputs", "clean", "refused", UNEXPECTED, HANG, MEMORY)
    rows: dict[str, list[int]] = {}
    for chunk in chunks:
        kinds = [fault.kind for fault in chunk.faults if not fault.what.startswith("kept")]
        counts = [chunk.stop - chunk.start, chunk.clean, chunk.refused, *map(kinds.count, columns[3:])]
        counts[5] += sum(fault.what.startswith("kept") for fault in chunk.faults)
        rows[chunk.door] = [sum(pair) for pair in zip(rows.get(chunk.door, [0] * 6), counts, strict=True)]
    spent = {name: sum(chunk.seconds for chunk in chunks if chunk.door == name) for name in rows}
    spent["**all**"] = sum(spent.values())
    order = [door.name for door in DOORS if door.name in rows] or list(rows)
    lines = ["| door | " + " | ".join((*columns, "ms an input")) + " |", "| --- |" + " ---: |" * 7]
    rows["**all**"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name in (*order, "**all**"):
        counts = " | ".join(f"{count:,}" for count in rows[name])
        lines.append(f"| {name} | {counts} | {1000 * spent[name] / rows[name][0]:.1f} |")
    return "\n".join(lines)


def faults_of(chunks: Sequence[Chunk]) -> dict[tuple[str, str, str], list[int]]:
    """The numbers of the inputs of each fault: by door, kind and what is wrong."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for chunk in chunks:
        for fault in chunk.faults:
            found.setdefault((fault.door, fault.kind, fault.what), []).append(fault.number)
    return found


def _save_inputs(out: Path, seed: int, chosen: Sequence[Door], chunks: Sequence[Chunk]) -> None:
    """Save the first inputs of each fault, and list all faults."""
    by_name = {door.name: door for door in chosen}
    lines = []
    for (name, kind, what), numbers in sorted(faults_of(chunks).items()):
        for number in numbers[:_SAVED]:
            door = by_name[name]
            stem = re.sub(r"\W+", "-", name).strip("-")
            (out / f"{stem}-{number}{door.suffix or '.bin'}").write_bytes(make_input(door, seed, number))
        lines.append(f"{name} | {kind} | {what} | {len(numbers)} inputs: {', '.join(map(str, sorted(numbers)[:5]))}\n")
    (out / "faults.txt").write_text("".join(lines), encoding="utf-8", errors="replace")


def _read_chunks(path: Path, said: str) -> list[Chunk]:
    """The chunks that an earlier call of the same campaign did."""
    if not path.exists():
        path.write_text(said + "\n", encoding="utf-8")
        return []
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    if first != said:
        raise SystemExit(f"{path} is of another campaign: {first}; choose another --out")
    found = [json.loads(line) for line in lines]
    return [Chunk(**(each | {"faults": [Fault(**fault) for fault in each["faults"]]})) for each in found]


def warm_up(chosen: Sequence[Door]) -> None:
    """Make the valid inputs and open each door with them once: workers are forks that have it all."""
    import torch

    torch.set_num_threads(1)
    logging.disable()
    with tempfile.TemporaryDirectory() as name:
        for door in chosen:
            for data in door.valid():
                open_door(door, data, Path(name))
    logging.disable(logging.NOTSET)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign, or one input; the exit status is 1 where there are faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of all doors together (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs (%(default)s)")
    parser.add_argument(
        "--out", default="fuzz", help="folder for inputs that fail; the same call resumes (%(default)s)"
    )
    parser.add_argument(
        "--door",
        action="append",
        help="one of these doors, as often as you like (all): " + ", ".join(door.name for door in DOORS),
    )
    parser.add_argument("--number", type=int, help="open the door with this input, in this process")
    parser.add_argument("--file", help="or with this file")
    options = parser.parse_args(arguments)
    chosen = [door for door in DOORS if options.door is None or door.name in options.door]
    chosen = [door for door in chosen if door.valid()]
    if options.number is not None or options.file is not None:
        return _try_one(chosen[0], options)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    said = json.dumps({"seed": options.seed, "inputs": options.inputs, "doors": [door.name for door in chosen]})
    warm_up(chosen)
    done = _read_chunks(out / "chunks.jsonl", said)
    known = {(chunk.door, chunk.start) for chunk in done}
    chunks = [chunk for chunk in plan(chosen, options.inputs) if (chunk.door, chunk.start) not in known]
    began, told = time.monotonic(), time.monotonic()
    with open(out / "chunks.jsonl", "a", encoding="utf-8") as log:
        for chunk in run(chosen, chunks, options.seed, options.workers):
            done.append(chunk)
            log.write(json.dumps(asdict(chunk)) + "\n")
            log.flush()
            if time.monotonic() - told > 10:
                told = time.monotonic()
                n, faults = sum(each.stop - each.start for each in done), len(faults_of(done))
                print(f"{n:,} of {options.inputs:,} inputs, {faults} kinds of faults", file=sys.stderr, flush=True)
    _save_inputs(out, options.seed, chosen, done)
    seconds = max(time.monotonic() - began, 1e-9)
    n = sum(chunk.stop - chunk.start for chunk in chunks)
    print(to_markdown(done))
    how = f"Seed {options.seed}, {options.workers} workers"
    print(f"\n{how}: {n:,} inputs in {seconds:.0f} s, {n / seconds:.0f} a second.")
    return 1 if any(chunk.faults for chunk in done) else 0


def _try_one(door: Door, options: argparse.Namespace) -> int:
    """Open a door with one input, and let what goes wrong go up."""
    data = make_input(door, options.seed, options.number) if options.file is None else Path(options.file).read_bytes()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"input{door.suffix or ''}"
        path.write_bytes(data)
        began = time.monotonic()
        try:
            door.opened(data, path)
            print("clean", end="")
        except Exception as error:
            if wrong := doors.refusal(error, door, path):
                print(wrong)
                raise
            print(f"refused: {error}", end="")
        print(f", {time.monotonic() - began:.3f} s, {_peak() >> 20} MiB at most, {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
