"""Jobs in worker processes, from any script, notebook or standard input, and a crash that costs only its own job."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import Any

Job = tuple[Any, ...]
"""Arguments of a job; they are pickled."""


def run_jobs(function: Callable[..., Any], jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, bool]]:
    """Run a function of a module over jobs, in worker processes.

    A job that kills its process costs no other one: those that were under way with it are run again, each in a process
    of its own. Where no process can be started, the jobs are run in this one.

    Args:
        function: of a module, so that workers can import it; what it returns is dropped.
        jobs: the arguments of each. Few are taken ahead, so that a generator of large ones needs little memory.
        workers: processes; with 1 the jobs are run in this process.

    Yields:
        A job that is over, in any order, and whether it ended: not if it killed its process.

    Raises:
        Exception: what the function raises.
    """
    if workers == 1 or not _can_start():
        for job in jobs:
            function(*job)
            yield job, True
        return
    left = iter(jobs)
    while True:
        under_way: dict[Future[Any], Job] = {}
        try:
            with _pool(workers) as pool:
                for job in left:
                    under_way[_submit(pool, function, job)] = job
                    while len(under_way) >= 2 * workers:
                        yield from _ended(under_way)
                while under_way:
                    yield from _ended(under_way)
            return
        except BrokenProcessPool:
            for job in under_way.values():
                yield job, _runs_alone(function, job)


def _ended(under_way: dict[Future[Any], Job]) -> Iterator[tuple[Job, bool]]:
    """Wait for the next jobs that end, and take them out."""
    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
        future.result()
        yield under_way.pop(future), True


def _runs_alone(function: Callable[..., Any], job: Job) -> bool:
    """Run a job in a process of its own; whether the process lived."""
    try:
        with _pool(1) as pool:
            _submit(pool, function, job).result()
    except BrokenProcessPool:
        return False
    return True


def _can_start() -> bool:
    """Whether worker processes can be started and answer."""
    # a worker of somebody else's pool may have no children: multiprocessing asserts it
    with suppress(BrokenProcessPool, OSError, RuntimeError, AssertionError), _pool(1) as pool:
        return _submit(pool, abs, (-1,)).result() == 1
    return False


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)


_POLL = 1.0
"""Seconds after which a worker asks for its parent."""


def _end_with_parent() -> None:
    """Let this process end when the one that started it does: who is killed cannot end its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # of a worker

    def watch() -> None:
        # a process that the parent started otherwise may hold its end of the pipe open; on Windows the number stays
        while not connection.wait([parent.sentinel], _POLL) and os.getppid() == parent.pid:
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _submit(pool: ProcessPoolExecutor, function: Callable[..., Any], job: Job) -> Future[Any]:
    with _script_hidden():
        return pool.submit(function, *job)


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Let processes that are started meanwhile know nothing of the script that runs.

    They would run it again, and prepare the songs again, unless it stands behind ``if __name__ == "__main__"``.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
