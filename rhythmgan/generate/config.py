"""The options of generation, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rhythmgan.export import DEFAULT_FORMATS

PathMode = Literal["morph", "slerp", "lerp"]

MAX_BARS = 256
"""Bars of a phrase or a loop."""

MAX_LOOPS = 4096
"""Frames of a path, and variations of a loop: they are all in memory."""


MAX_BARS_OF_LOOPS = 16 * MAX_LOOPS
"""Bars of all variations of a loop, of all that are filled in or combined: they are all in memory."""


def check_bars_of_loops(n: int, n_bars: int) -> None:
    """Raise a ValueError where so many loops of so many bars are more than ``MAX_BARS_OF_LOOPS``."""
    if n * n_bars > MAX_BARS_OF_LOOPS:
        raise ValueError(
            f"{n:,} loops of {n_bars} bars are {n * n_bars:,} bars, more than {MAX_BARS_OF_LOOPS:,}: ask for "
            f"{MAX_BARS_OF_LOOPS // n_bars:,} loops or fewer"
        )


@dataclass(frozen=True)
class SampleConfig:
    """What is sampled.

    Attributes:
        n: bars, or phrases where ``bars`` is over 1.
        seed: of the first; the next has the next seed.
        bars: bars in a phrase; 1 for single bars.
        fill: where the fills of a phrase are, see ``phrases.phrases``.
        temperature: standard deviation of z, over 0; less is more ordinary.
        unique: whether no bar is taken twice, in cells; of phrases no phrase.
        min_onsets: in each bar.
        where: what each bar has to be, see ``selection.parse_criteria``.
        tries: seeds in a row that may be tried in vain.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range.
    """

    n: int = 64
    seed: int = 0
    bars: int = 1
    fill: str = "songs"
    temperature: float = 1.0
    unique: bool = False
    min_onsets: int = 0
    where: tuple[str, ...] = ()
    tries: int = 100_000
    formats: tuple[str, ...] = ("midi",)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"at least one bar must be asked for, not {self.n}")
        if not 1 <= self.bars <= MAX_BARS:
            raise ValueError(f"a phrase has 1 to {MAX_BARS} bars, not {self.bars}")
        if self.min_onsets < 0:
            raise ValueError(f"a bar has 0 onsets or more, not {self.min_onsets}")
        if self.tries < 1:
            raise ValueError(f"at least one seed must be tried, not {self.tries}")
        fill_places(self.fill, self.bars)
        _check_seeds(self.seed, self.n)

    @property
    def selects(self) -> bool:
        """Whether some seeds are left out: their bars do not fit, or are there already."""
        return self.unique or self.min_onsets > 0 or bool(self.where)


def fill_places(fill: str | int, n_bars: int) -> list[int] | None:
    """The places of fills in a phrase, of which the first bar is 0; None for wherever songs have them.

    Args:
        fill: "songs", "last", "none", or the numbers of bars from 2 on, as 4 or "4,8".
        n_bars: bars of the phrase.

    Raises:
        ValueError: none of these, or no such bar; the first one is the seed's own.
    """
    if fill == "songs":
        return None
    if fill == "none":
        return []
    texts = [str(n_bars)] if fill == "last" else str(fill).split(",")
    numbers = sorted({int(text) if text.strip().isdecimal() else 0 for text in texts})
    if not 2 <= numbers[0] <= numbers[-1] <= n_bars:
        raise ValueError(
            f"a fill is asked for as songs, last, none or the numbers of bars from 2 to {n_bars}, as the first bar is "
            f"the seed's own; not as {fill!r}"
            if n_bars > 1
            else f"fills are bars of a phrase behind its first: ask for 2 bars or more, not for 1 with fill {fill!r}"
        )
    return [number - 1 for number in numbers]


@dataclass(frozen=True)
class PathConfig:
    """How a path leads from bar to bar.

    Attributes:
        frames: bars from each end to the next, both included.
        mode: "morph" goes through bars that change by little at a time, see ``morph.morph``; "slerp" and "lerp" go
            through latent points, see ``latent.interpolate``.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: an unknown mode; the frames are checked where they are used.
    """

    frames: int = 9
    mode: PathMode = "morph"
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        if self.mode not in get_args(PathMode):
            raise ValueError(f"mode is morph, slerp or lerp, not {self.mode!r}")


@dataclass(frozen=True)
class VariationConfig:
    """How a loop is varied.

    Attributes:
        n: variations.
        amount: cells of a bar that change, as a share of its onsets: over 0 to 1.
        seed: of the first variation; the next has the next seed.
        lock: names of the parts that stay as they are, see ``variation.lock_parts``.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range; amount and names are checked where they are used.
    """

    n: int = 8
    amount: float = 0.2
    seed: int = 0
    lock: tuple[str, ...] = ()
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        _check_loops(self.seed, self.n, "variations")


@dataclass(frozen=True)
class FillConfig:
    """How a loop is filled in around some of its parts.

    Attributes:
        lock: names of the parts that stay as they are, see ``variation.lock_parts``; the others are made anew.
        n: loops.
        seed: of the first; the next has the next seed.
        temperature: standard deviation of the noise, over 0; less is more ordinary.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range; temperature and names are checked where they are used.
    """

    lock: tuple[str, ...]
    n: int = 8
    seed: int = 0
    temperature: float = 1.0
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        _check_loops(self.seed, self.n, "loops")


@dataclass(frozen=True)
class CombineConfig:
    """How loops are combined of patterns that play one part each.

    Attributes:
        n: loops.
        seed: of the draw; more loops of one seed are these and more.
        parts: a loop has one pattern of each of these: names of parts, see ``variation.lock_parts``; "hat" is a pattern
            of the closed or of the open one.
        formats: what to write, see ``export.FORMATS``.

    Raises:
        ValueError: one of them is out of range; names are checked where they are used.
    """

    n: int = 16
    seed: int = 0
    parts: tuple[str, ...] = ("kick", "snare", "hat")
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        _check_loops(self.seed, self.n, "loops")
        if len(self.parts) < 2:
            raise ValueError(f"name two parts or more, with commas between; not only {', '.join(self.parts)!r}")


def _check_loops(first: int, n: int, what: str) -> None:
    if not 1 <= n <= MAX_LOOPS:
        raise ValueError(f"1 to {MAX_LOOPS} {what} are made, not {n}")
    _check_seeds(first, n)


def _check_seeds(first: int, n: int) -> None:
    from rhythmgan.seeds import check_seed  # late: it imports NumPy, for which the help of a command must not wait

    check_seed(first)
    check_seed(first + n - 1)
