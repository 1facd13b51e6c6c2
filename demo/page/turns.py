"""Turns: what visitors ask of the networks is worked on one at a time, and remembered for all of them.

A network here is thousands of small operations, each of which hands Python's lock over. Twenty threads at once need
twice the processor time of the same work one after the other, and everybody waits for the last of it.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from threading import Lock, RLock
from typing import ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

turn = RLock()
"""Held by whoever's work is worked on; it may need other work."""


MAX_BYTES = 32 << 20
"""Of all results of one function that are remembered, with what was asked."""


def remembered(
    most: int, most_bytes: int = MAX_BYTES, lock: AbstractContextManager[object] = turn
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function of hashable arguments: it waits for its turn, and its results are remembered.

    A result that is remembered comes at once. Visitors who ask for the same before it is there share it, so nobody may
    change it. An error is not remembered.

    Args:
        most: how many results are remembered: those that were worked out last.
        most_bytes: that they may have together.
        lock: what is held while one is worked out; the turn of the networks by default.
    """

    def decorate(work: Callable[P, T]) -> Callable[P, T]:
        results: OrderedDict[object, tuple[T, int]] = OrderedDict()
        held, counting = 0, Lock()

        @wraps(work)
        def result(*args: P.args, **kwargs: P.kwargs) -> T:
            nonlocal held
            key = (args, tuple(sorted(kwargs.items())))
            found = results.get(key)
            if found is None:
                with lock:
                    found = results.get(key)  # somebody else may have asked for it meanwhile
                    if found is None:
                        made = work(*args, **kwargs)
                        found = made, size_of((key, made))
                        with counting:
                            if key not in results and found[1] <= most_bytes:  # a larger one would cost all others
                                results[key] = found
                                held += found[1]
                            while len(results) > most or held > most_bytes:
                                held -= results.popitem(last=False)[1][1]
            return found[0]

        return result

    return decorate


def size_of(value: object) -> int:
    """The bytes of a value and of all that it holds, each once."""
    counted: dict[int, object] = {}  # by their numbers, which stay theirs while they are held here
    waiting, total = [value], 0
    while waiting:
        each = waiting.pop()
        if id(each) in counted or isinstance(each, type):
            continue
        counted[id(each)] = each
        total += sys.getsizeof(each)
        if isinstance(each, np.ndarray):
            if each.base is not None:  # a view keeps all that it is a view of
                waiting.append(each.base)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting += each
        else:
            waiting += getattr(each, "__dict__", {}).values()
    return total
