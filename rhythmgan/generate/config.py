"""The options of generation, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rhythmgan.export import DEFAULT_FORMATS

if TYPE_CHECKING:
    from rhythmgan.latent import Mode


MAX_BARS = 256
"""Bars of a phrase or a loop."""

MAX_LOOPS = 4096
"""Frames of a path, and variations of a loop: they are all in memory."""


@dataclass(frozen=True)
class SampleConfig:
    """What is sampled.

    Attributes:
        n: bars, or phrases where ``bars`` is over 1.
        seed: of the first; the next has the next seed.
        bars: bars in a phrase; 1 for single bars.
        temperature: standard deviation of z, over 0; less is more ordinary.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range.
    """

    n: int = 64
    seed: int = 0
    bars: int = 1
    temperature: float = 1.0
    formats: tuple[str, ...] = ("midi",)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"at least one bar must be asked for, not {self.n}")
        if not 1 <= self.bars <= MAX_BARS:
            raise ValueError(f"a phrase has 1 to {MAX_BARS} bars, not {self.bars}")
        _check_seeds(self.seed, self.n)


@dataclass(frozen=True)
class PathConfig:
    """How a path leads from latent point to latent point.

    Attributes:
        frames: bars from each point to the next, both included.
        mode: see ``latent.interpolate``.
        even: whether the bars change by about as much from frame to frame (see ``paths.even_path``); otherwise the
            angles are even.
        formats: what to write, see ``export.FORMATS``.
    """

    frames: int = 9
    mode: Mode = "slerp"
    even: bool = False
    formats: tuple[str, ...] = DEFAULT_FORMATS


@dataclass(frozen=True)
class VariationConfig:
    """How a loop is varied.

    Attributes:
        n: variations.
        amount: how far, as a share of a right angle, at which the bars are those of unrelated points: over 0 to 1.
        seed: of the first variation; the next has the next seed.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range; the amount is checked where it is used.
    """

    n: int = 8
    amount: float = 0.2
    seed: int = 0
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_LOOPS:
            raise ValueError(f"1 to {MAX_LOOPS} variations are made, not {self.n}")
        _check_seeds(self.seed, self.n)


def _check_seeds(first: int, n: int) -> None:
    from rhythmgan.seeds import check_seed  # late: it imports NumPy, for which the help of a command must not wait

    check_seed(first)
    check_seed(first + n - 1)
