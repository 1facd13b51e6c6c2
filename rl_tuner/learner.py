"""What learners share: they step until they are done, and resume from a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from rhythmgan.training.checkpoint import check_alike, check_optimizer, read_checkpoint, write_checkpoint

Callback = Callable[[int, dict[str, float]], None]
"""What hears of a step: transitions so far, and what there is to log."""


@runtime_checkable
class Resumable(Protocol):
    """Environments that can say what they are now, and go on from there."""

    def get_state(self) -> dict[str, Any]:
        """Plain values and tensors."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there; a ValueError where the state is that of others."""


class Learner(ABC):
    """An online network that learns, and a target network that follows it.

    What is resumed learns on as if it had never stopped, where its environments are ``Resumable``. Others begin anew.

    Attributes:
        envs: what it learns from.
        config: how it learns: a dataclass with ``train_steps``.
        network, target_network, optimizer: see there.
        random: what it draws from.
        device: where the networks are.
        steps_done: transitions so far.
    """

    envs: Any
    config: Any
    network: nn.Module
    target_network: nn.Module
    optimizer: torch.optim.Optimizer
    random: torch.Generator
    device: torch.device
    steps_done: int

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Collect transitions and learn from them; what there is to log."""

    @abstractmethod
    def _get_progress(self) -> dict[str, Any]:
        """What only this kind of learner knows between two steps: plain values and tensors."""

    @abstractmethod
    def _check_progress(self, progress: dict[str, Any]) -> None:
        """Raise a ValueError where ``_set_progress`` cannot take this."""

    @abstractmethod
    def _set_progress(self, progress: dict[str, Any]) -> None:
        """Be as ``_get_progress`` said."""

    def learn(self, callback: Callback | None = None) -> None:
        """Step until ``config.train_steps`` transitions are collected; ``callback`` hears of each.

        Raises:
            KeyboardInterrupt: stopped by the user, between two steps: a step is done whole, or not begun.
        """
        while self.steps_done < self.config.train_steps:
            with _whole():
                logged = self.step()
            if callback:
                callback(self.steps_done, logged)

    def save(self, path: str | os.PathLike[str], extra: dict[str, Any] | None = None) -> None:
        """Write what is needed to resume, and ``extra``, whole or not at all.

        The file has the size of the networks, three times, and of the replay; no copy of them is made.

        Raises:
            OSError: it cannot be written; it names ``path``.
        """
        write_checkpoint(path, self._state() | {"extra": extra or {}})

    def _state(self) -> dict[str, Any]:
        return {
            "config": asdict(self.config),
            "network": dict(self.network.state_dict()),
            "target": dict(self.target_network.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "steps_done": self.steps_done,
            "progress": self._get_progress(),
        }

    def load(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Resume where ``save`` was called, and give back its ``extra``; runs no code of the file.

        Raises:
            ValueError: a damaged file, or one of another config; the learner is then as it was.
            OSError: it cannot be opened.
        """
        return self.resume(read_checkpoint(path), path)

    def resume(self, state: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
        """The same with what ``read_checkpoint`` found at ``path``."""
        try:
            self._check(state)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: cannot be resumed: {error}") from None
        self._set_progress(state["progress"])
        self.network.load_state_dict(state["network"])
        self.target_network.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.random.set_state(state["random"])
        self.steps_done = state["steps_done"]
        extra: dict[str, Any] = state["extra"]
        return extra

    def _check(self, state: dict[str, Any]) -> None:
        """Raise a ValueError where a state lacks something, or is that of another learner; it says which."""
        like = self._state() | {"extra": {}}
        if isinstance(state.get("config"), dict) and state["config"] != like["config"]:
            raise ValueError("it was made with another config")
        # what grows with the run is checked by who knows it
        own: dict[str, Any] = {"optimizer": {}, "progress": {}, "extra": {}}
        check_alike(state | {name: {} for name in own if isinstance(state.get(name), dict)}, like | own, "it")
        check_optimizer(state["optimizer"], self.optimizer, "its optimizer")
        try:
            torch.Generator(self.device).set_state(state["random"])
        except RuntimeError:
            raise ValueError("its random is no state of a generator of random numbers") from None
        if state["steps_done"] < 0:
            raise ValueError(f"it has done {state['steps_done']} steps")
        self._check_progress(state["progress"])


@contextmanager
def _whole() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: a learner that is stopped within a step could not be resumed exactly."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no signals
        yield
        return
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
    if came:
        signal.raise_signal(signal.SIGINT)
