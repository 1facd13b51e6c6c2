"""What chance decides while bars are decided: for a whole batch at once, or for each bar by its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Draws(Protocol):
    """A stream of random numbers for the rows of a batch."""

    def normal(self, n: int, *shape: int) -> Tensor:
        """(n, …) float32 of N(0, 1)."""

    def uniform(self, n: int, *shape: int) -> Tensor:
        """(n, …) float64, even over [0, 1)."""


class BatchDraws:
    """One stream for the whole batch.

    Args:
        random: what is drawn from; the numbers are on its device.
    """

    def __init__(self, random: torch.Generator) -> None:
        self.random = random

    def normal(self, n: int, *shape: int) -> Tensor:
        """See ``Draws``."""
        return torch.randn((n, *shape), generator=self.random, dtype=torch.float32, device=self.random.device)

    def uniform(self, n: int, *shape: int) -> Tensor:
        """See ``Draws``."""
        return torch.rand((n, *shape), generator=self.random, dtype=torch.float64, device=self.random.device)


class SeededDraws:
    """A stream for each seed, so that what is decided for a bar depends on its own seed, in any batch.

    The rows of a batch are even shares of the seeds, in their order: n rows of m seeds have n / m rows each.

    Args:
        seeds: (m,) ints, 0 to 2^63 − 1.
        stream: other, independent numbers for the same seeds.
        device: where the numbers go.
    """

    def __init__(self, seeds: Sequence[int] | np.ndarray, stream: int, device: torch.device | str = "cpu") -> None:
        # a generator of each seed: its numbers are the same on every machine, and fast to draw
        self._random = [np.random.Generator(np.random.PCG64([stream, int(seed)])) for seed in seeds]
        self._device = device

    def normal(self, n: int, *shape: int) -> Tensor:
        """See ``Draws``."""
        return self._filled(n, shape, np.float32, "standard_normal")

    def uniform(self, n: int, *shape: int) -> Tensor:
        """See ``Draws``."""
        return self._filled(n, shape, np.float64, "random")

    def _filled(self, n: int, shape: tuple[int, ...], dtype: type[np.floating], method: str) -> Tensor:
        numbers = np.empty((n, *shape), dtype)
        shares = numbers.reshape(len(self._random), -1)
        for random, share in zip(self._random, shares, strict=True):
            getattr(random, method)(dtype=dtype, out=share)
        return torch.from_numpy(numbers).to(self._device)
