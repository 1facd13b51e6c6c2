"""The benchmark of many visitors at once: who asks when, what is counted, and that the page answers."""

import asyncio
import importlib.util
import itertools
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the page needs Streamlit")

pytest_plugins = ["browsing"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def visitors():
    spec = importlib.util.spec_from_file_location("benchmark_visitors", ROOT / "benchmarks" / "visitors.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look names up
    spec.loader.exec_module(module)
    return module


@dataclass
class Pretender:
    """A visitor who writes down what is done, and gets an answer when all others have asked as well."""

    log: list
    barrier: asyncio.Barrier
    received: int = 0
    done: list = field(default_factory=list)

    async def _ask(self, *what):
        self.done.append(what)
        self.log.append("asks")
        await self.barrier.wait()
        self.received = len(self.done) * 1000
        self.log.append("has it")

    async def open(self):
        await self._ask("open")

    async def choose_tab(self, name):
        await self._ask("tab", name)

    async def type_number(self, label, value):
        await self._ask(label, value)

    async def move_dial(self, name, value):
        await self._ask(name, value)

    async def close(self):
        self.done.append("gone")


def _visited(visitors, n, **options):
    async def visit():
        log, barrier = [], asyncio.Barrier(n)
        people = [Pretender(log, barrier) for _ in range(n)]
        return await visitors.visit(people, os.getpid(), **options), people, log

    return asyncio.run(visit())


def test_all_visitors_ask_before_one_is_answered(visitors):
    """The visitors here answer each other: where one waited for another, this would never end."""
    waits, people, log = _visited(visitors, 3, first=0, rounds=2)
    assert log == (["asks"] * 3 + ["has it"] * 3) * 6
    assert [list(wait.received) for wait in waits.values()] == [
        [1000] * 3,
        [2000] * 3 + [3000] * 3,
        [4000] * 3,
        [5000] * 3 + [6000] * 3,
    ]
    assert all(visitor.done[-1] == "gone" for visitor in people)


def test_no_two_visitors_ask_for_the_same_seed(visitors):
    seeds = [
        done[1]
        for first in (0, 4)
        for visitor in _visited(visitors, 2, first=first, rounds=2)[1]
        for done in visitor.done
        if done[0] == "Seed"
    ]
    assert len(set(seeds)) == len(seeds) == 8


def test_what_is_said_of_waits_by_hand(visitors):
    wait = visitors.Wait(np.array([0.1, 0.2, 0.3, 0.4, 2.0]), np.array([1200, 5300, 2400, 9000, 1000]), 0.6)
    assert str(wait) == "0.30 | 1.36 | 120 | 2"


def test_a_visitor_without_a_browser_is_answered_by_the_page(visitors, address):
    """The page takes its seed and its density, sends other loops, and shows no error."""

    async def visit():
        visitor = visitors.Connection(address)
        await visitor.open()
        assert {"tabs", "Seed", "dials", "stage"} <= set(visitor.ids)
        first = visitor.received
        await visitor.type_number("Seed", 2000)
        sampled = visitor.shown
        await visitor.choose_tab("Steer")
        assert visitor.shown == sampled
        assert visitor.received < first / 5  # scripts and sounds are not sent again
        await visitor.move_dial("density", 30)
        await visitor.close()
        return sampled, visitor.shown

    sampled, steered = asyncio.run(visit())
    assert "seed 2000" in sampled["name"]
    assert "seed 2000, steered" in steered["name"]
    assert sampled["code"] != steered["code"]


def test_visitors_come_for_minutes_and_memory_is_told_for_each(visitors, monkeypatch):
    """The clock here goes a quarter of a minute on whenever it is looked at."""
    looks = itertools.count()
    monkeypatch.setattr(visitors.time, "perf_counter", lambda: 15.0 * next(looks))
    monkeypatch.setattr(visitors, "memory", lambda process: 7.0)
    people = []

    def come():
        log, barrier = [], asyncio.Barrier(2)
        people.append([Pretender(log, barrier) for _ in range(2)])
        return people[-1]

    waits, held = asyncio.run(visitors.for_minutes(come, os.getpid(), 20))
    rounds = len(people)
    assert rounds > 1
    assert {what: len(wait.seconds) for what, wait in waits.items()} == {
        "open the page": 2 * rounds,
        "sample: another seed": 6 * rounds,
        "open Steer": 2 * rounds,
        "steer: another density": 6 * rounds,
    }
    assert set(held) == {7.0}
    assert len(held) >= 20
    seeds = [done[1] for each in people for visitor in each for done in visitor.done if done[0] == "Seed"]
    assert len(set(seeds)) == len(seeds)


def test_a_slow_file_is_as_large_as_is_read(visitors):
    from page import upload

    one, other = visitors.slow_file(1), visitors.slow_file(2)
    assert upload.MAX_BYTES - 10_000 < len(one) <= upload.MAX_BYTES
    assert one != other


def test_a_visitor_without_a_browser_uploads_and_reads_what_is_said(visitors, address, tmp_path):
    async def visit():
        visitor = visitors.Connection(address, "begin=Your+file")
        await visitor.open()
        await visitor.upload("kick.mid", visitors.slow_file(1)[:45])
        taken = visitor.shown["name"]
        await visitor.upload("none.mid", b"MThd")
        await visitor.close()
        return taken, visitor.warned

    taken, warned = asyncio.run(visit())
    assert taken == "kick"
    assert warned.startswith("none.mid: ")
