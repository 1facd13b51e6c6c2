"""What a model computes hangs on its input alone, never on the precision that the caller has set for his own work."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

import torch

Given = ParamSpec("Given")
Found = TypeVar("Found")

_DEVICES = ("cpu", "cuda", "mps")


def without_autocast(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Decorate a function that computes in the precision of its weights, whatever ``torch.autocast`` is around it."""

    @functools.wraps(function)
    def computed(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        with ExitStack() as stack:
            for device in _DEVICES:
                # "mps" has none before torch 2.5
                if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            return function(*args, **kwargs)

    return computed


def on_one_thread(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Decorate a function that computes on one thread of the CPU: sums are rounded as threads share them out.

    MKL may share out a regression otherwise in another process: three gave three results once.
    """

    @functools.wraps(function)
    def computed(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)

    return computed
