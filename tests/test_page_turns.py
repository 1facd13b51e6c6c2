"""Work of many visitors: one at a time, shared by those who ask for the same, bounded."""

from threading import Barrier, Event, Semaphore, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from page.turns import remembered, size_of


def _run(*tasks):
    threads = [Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_no_two_visitors_are_worked_for_at_the_same_time():
    """Whatever the functions are."""
    working, most, together = [], [], Barrier(6)

    def busy(number):
        working.append(number)
        most.append(len(working))
        Event().wait(0.01)  # others get their chance
        working.remove(number)
        return number

    kinds = [remembered(9)(busy), remembered(9)(busy)]
    found = []

    def visitor(number):
        together.wait(20)
        found.append(kinds[number % 2](number))

    _run(*(lambda number=number: visitor(number) for number in range(6)))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert most == [1] * 6


def test_visitors_who_ask_for_the_same_share_it():
    calls, together = [], Barrier(5)

    @remembered(9)
    def work(number):
        calls.append(number)
        Event().wait(0.02)
        return [number]

    found = []

    def visitor():
        together.wait(20)
        found.append(work(7))

    _run(*[visitor] * 5)
    assert calls == [7]
    assert all(each is found[0] for each in found)


def test_what_is_remembered_comes_while_others_are_worked_for():
    begun, go_on = Event(), Event()

    @remembered(9)
    def work(number):
        if number == 2:
            begun.set()
            assert go_on.wait(20)
        return number * 10

    def patient():
        assert work(2) == 20

    def quick():
        assert begun.wait(20)
        assert work(1) == 10
        go_on.set()

    work(1)
    _run(patient, quick)


def test_only_the_last_results_are_remembered():
    calls = []

    @remembered(2)
    def work(first, *, second=0):
        calls.append((first, second))
        return None if first == 1 else first

    assert [work(1), work(1), work(2, second=3), work(2, second=3), work(2), work(1)] == [None, None, 2, 2, 2, None]
    assert calls == [(1, 0), (2, 3), (2, 0), (1, 0)]


@pytest.mark.parametrize("most", [1, 3])
def test_so_many_results_are_remembered_as_is_said(most):
    calls = []
    work = remembered(most)(calls.append)
    for number in (*range(most), *reversed(range(most)), most, *range(1, most), 0):
        work(number)
    assert calls == [*range(most), most, 0]


def test_an_error_is_told_to_everyone_who_asks():
    calls = []

    @remembered(2)
    def work(number):
        calls.append(number)
        raise ValueError("no loop")

    for _ in range(2):
        with pytest.raises(ValueError, match="no loop"):
            work(1)
    assert calls == [1, 1]


def test_work_may_need_other_work():
    inner = remembered(2)(lambda number: number + 1)
    outer = remembered(2)(lambda number: inner(number) * 2)
    assert outer(3) == 8


def test_results_have_a_number_of_bytes_together():
    calls = []

    @remembered(100, 10_000)
    def work(number, size=4000):
        calls.append(number)
        return bytes(size)

    for number in (1, 2, 3, 3, 2, 1):  # two of them have room beside what was asked
        work(number)
    assert calls == [1, 2, 3, 1]
    assert [len(work(9, 20_000)), len(work(9, 20_000))] == [20_000] * 2  # too large to be remembered, but worked out
    assert calls == [1, 2, 3, 1, 9, 9]
    work(1)
    assert calls == [1, 2, 3, 1, 9, 9]


def test_what_was_asked_is_held_too():
    calls = []

    @remembered(100, 10_000)
    def work(text):
        calls.append(text[0])

    for letter in "abccba":  # two texts have room
        work(letter * 4000)
    assert calls == ["a", "b", "c", "a"]


def test_a_result_that_two_work_out_at_once_is_held_once():
    calls, together = [], Barrier(2)

    @remembered(100, 10_000, Semaphore(2))
    def work(number):
        calls.append(number)
        if len(calls) <= 2:
            together.wait(20)
        return bytes(4000)

    _run(lambda: work(1), lambda: work(1))
    for number in (2, 1, 2):  # there is room for both
        work(number)
    assert calls == [1, 1, 2]


def test_the_size_of_a_value_is_that_of_all_it_holds():
    text, numbers = "x" * 10_000, np.zeros(5000)
    for held, size in (
        (text, 10_000),
        ([text, {"a": text}], 10_000),
        ({text: numbers}, 50_000),
        (numbers[:1], 40_000),
        (SimpleNamespace(a=(numbers, [numbers]), b=text), 50_000),
    ):
        assert size < size_of(held) < size + 1500
    ring = [text]
    ring.append(ring)
    assert 10_000 < size_of(ring) < 10_500
