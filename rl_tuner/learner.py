"""What learners share: they step until they are done, and resume from a checkpoint."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

Callback = Callable[[int, dict[str, float]], None]
"""What hears of a step: transitions so far, and what there is to log."""


class Learner(ABC):
    """An online network that learns, and a target network that follows it.

    Attributes:
        config: how it learns: a dataclass with ``train_steps``.
        network, target_network, optimizer: see there.
        random: what it draws from.
        device: where the networks are.
        steps_done: transitions so far.
    """

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

    def learn(self, callback: Callback | None = None) -> None:
        """Step until ``config.train_steps`` transitions are collected; ``callback`` hears of each."""
        while self.steps_done < self.config.train_steps:
            logged = self.step()
            if callback:
                callback(self.steps_done, logged)

    def save(self, path: str | os.PathLike[str], extra: dict[str, Any] | None = None) -> None:
        """Write what is needed to resume, and ``extra``, whole or not at all; the replay fills again instead."""
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        state = {
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "target": self.target_network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.get_state(),
            "steps_done": self.steps_done,
            "extra": extra or {},
        }
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Resume where ``save`` was called, and give back its ``extra``; runs no code of the file.

        Raises:
            ValueError: a damaged file, or one of another config.
            OSError: it cannot be opened.
        """
        data = io.BytesIO(Path(path).read_bytes())
        try:
            state = torch.load(data, map_location=self.device, weights_only=True)
            if state["config"] != asdict(self.config):
                raise ValueError("it was made with another config")
            self.network.load_state_dict(state["network"])
            self.target_network.load_state_dict(state["target"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.random.set_state(state["random"].cpu())
            self.steps_done = int(state["steps_done"])
            return dict(state["extra"])
        except Exception as error:  # unpickling, zip and tensor errors of a dozen kinds
            reason = str(error).partition("\n")[0][:80] or type(error).__name__
            raise ValueError(f"{path}: cannot be resumed: {reason}") from None
