"""How read-outs are made, as data: importing it is cheap, so that a benchmark's options can name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOutConfig:
    """How a read-out is fitted on a generator's own bars, and learned.

    Attributes:
        bars: bars that the regressions are fitted on.
        train_steps: gradient steps of the learned read-out: about a minute of one core.
        batch_size: bars in each, all of one step.
        width: units of its layers.
        learning_rate: Adam's, falling along half a cosine.
        seed: of bars and weights.

    Raises:
        ValueError: nothing to fit or learn on.
    """

    bars: int = 30_000
    train_steps: int = 1500
    batch_size: int = 2048
    width: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("bars", "train_steps", "batch_size", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
