"""Turns: what visitors ask of the networks is worked on one at a time, and remembered for all of them.

A network here is thousands of small operations, each of which hands Python's lock over. Twenty threads at once need
twice the processor time of the same work one after the other, and everybody waits for the last of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

turn = RLock()
"""Held by whoever's work is worked on; it may need other work."""


def remembered(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function of hashable arguments: it waits for its turn, and its results are remembered.

    A result that is remembered comes at once. Visitors who ask for the same before it is there share it, so nobody may
    change it. An error is not remembered.

    Args:
        most: how many results are remembered: those that were worked out last.
    """

    def decorate(work: Callable[P, T]) -> Callable[P, T]:
        results: OrderedDict[object, tuple[T]] = OrderedDict()

        @wraps(work)
        def result(*args: P.args, **kwargs: P.kwargs) -> T:
            key = (args, tuple(sorted(kwargs.items())))
            found = results.get(key)
            if found is None:
                with turn:
                    found = results.get(key)  # somebody else may have asked for it meanwhile
                    if found is None:
                        found = results[key] = (work(*args, **kwargs),)
                        while len(results) > most:
                            results.popitem(last=False)
            return found[0]

        return result

    return decorate
