"""A loop that a visitor holds: its bars, how they are played, a name, and a code that stands for it in addresses."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from rhythmgan.bars import bars_to_words, fold_bars
from rhythmgan.conditions import Condition
from rhythmgan.kit import GM9, GM12, kit_with
from rhythmgan.performance import Performance

KIT = GM12
"""Of all loops on the page, and of the models."""

STEPS, TRIPLETS = 16, 12
"""The grids of loops on the page: sixteenths, which it begins with, and eighth triplets."""

MAX_BARS = 8
LENGTHS = (1, 2, 4, 8)
"""Bars of the loops that the page makes; a file may bring any number up to the most."""

ANYTHING = Condition()

_DONE = re.compile(r"(, (edited|varied|filled|answered|steered \d+))+$")

_VERSION = "2."
"""What a code begins with. Those of the first version, of one bar, begin with none, or on triplets with ``12.``."""

_VELOCITIES, _OFFSETS = 1, 2  # bits of a code's first byte: what follows its cells
_MAX_CODE = 7000
"""Letters of a code: a loop whose cells all sound has 6,406."""

_DECODED = 2000
"""Performances that are remembered, with their codes up to 17 kB each."""

_PER_STEP = 2000
"""Offsets are kept in parts of a step as fine as this."""


@dataclass(frozen=True)
class Loop:
    """A loop of bars of one grid and how they are played.

    Attributes:
        code: the loop itself, whatever made it: cells, and velocities and offsets where it has other ones than accents
            on the grid.
        name: in a few words.
        asked: what the model was asked for that made it; anything for other loops. No address holds it.
    """

    code: str
    name: str
    asked: Condition = field(default=ANYTHING, compare=False, repr=False)

    @staticmethod
    def of(bars: np.ndarray | Performance, name: str, asked: Condition = ANYTHING) -> Loop:
        """The loop of bars (m, steps, parts) bool, of one bar (steps, parts), or of a performance, all of ``KIT``.

        Raises:
            ValueError: more than ``MAX_BARS`` bars, or bars of another kit or grid.
        """
        performance = bars if isinstance(bars, Performance) else Performance.of(bars, KIT)
        return Loop(_encoded(performance), name, asked)

    @staticmethod
    def read(code: str, name: str) -> Loop:
        """The loop of a code from outside, also of the first version.

        Raises:
            ValueError: no such code.
        """
        try:
            if len(code) > _MAX_CODE:
                raise ValueError
            performance = _decoded(code) if code.startswith(_VERSION) else _decoded_first(code)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            raise ValueError("the address holds no loop that can be read") from None
        return Loop.of(performance, name)

    @staticmethod
    def joined(loops: Sequence[Loop], name: str) -> Loop:
        """Loops of one grid, one after the other."""
        return Loop.of(Performance.joined([loop.performance for loop in loops]), name, loops[0].asked)

    @property
    def performance(self) -> Performance:
        """Its bars, and how they are played; not to be written to."""
        return _decoded(self.code)

    @property
    def cells(self) -> np.ndarray:
        """(m, steps, parts) bool."""
        return self.performance.bars

    @property
    def steps(self) -> int:
        """Its grid."""
        return int(self.cells.shape[1])

    @property
    def n_bars(self) -> int:
        """How many bars it has."""
        return len(self.cells)

    @property
    def plain(self) -> bool:
        """Whether it has accents on the grid, and no playing of its own."""
        return _is_plain(self.performance)

    @property
    def words(self) -> list[list[int]]:
        """A number a step for each bar, the kick its highest bit."""
        return [[int(word) for word in words] for words in bars_to_words(self.cells)]

    @property
    def bars(self) -> tuple[Loop, ...]:
        """Each bar as a loop of its own."""
        if self.n_bars == 1:
            return (self,)
        return tuple(
            Loop.of(self.performance[i : i + 1], f"{self.name}, bar {i + 1}", self.asked) for i in range(self.n_bars)
        )

    @property
    def sent(self) -> dict[str, Any]:
        """The loop for the scripts: velocities and offsets, by step and part of each bar, where it is not plain."""
        velocities: list[list[int]] | None = None
        offsets: list[list[float]] | None = None
        if not self.plain:
            velocities = self.performance.velocities.reshape(self.n_bars, -1).tolist()
        if self.performance.offsets.any():
            offsets = self.performance.offsets.reshape(self.n_bars, -1).astype(float).round(4).tolist()
        return {
            "code": self.code,
            "name": self.name,
            "steps": self.steps,
            "bars": self.words,
            "velocities": velocities,
            "offsets": offsets,
        }

    def with_cells(self, cells: np.ndarray, name: str) -> Loop:
        """Other cells (m, steps, parts) bool in the same playing."""
        return Loop.of(self.performance.with_bars(cells), name, self.asked)

    def with_n_bars(self, n: int) -> Loop:
        """The first n bars; where it has fewer, all of them over and over."""
        places = np.arange(n) % self.n_bars
        return Loop.of(self.performance[places], self.name, self.asked)

    def called(self, how: str) -> str:
        """What it is called when something was done to it: of all that was done the last stands in a name."""
        return f"{_DONE.sub('', self.name)}, {how}"

    def named(self, name: str) -> Loop:
        """The same loop under another name."""
        return Loop(self.code, name, self.asked)


def in_page_kit(cells: np.ndarray) -> np.ndarray:
    """Bars (…, parts) bool of ``KIT``, or of the nine parts of old links and of the textbook, as bars of ``KIT``."""
    return fold_bars(cells, kit_with(cells.shape[-1]), KIT)


# -- codes ---------------------------------------------------------------------------------------------


def _is_plain(performance: Performance) -> bool:
    bare = Performance.of(performance.bars, performance.kit)
    return not performance.offsets.any() and bool((performance.velocities == bare.velocities).all())


def _encoded(performance: Performance) -> str:
    """The code of a loop: a byte of flags, the grid, the number of bars, cells, velocities and offsets of onsets."""
    bars = performance.bars
    if not (bars.ndim == 3 and 1 <= len(bars) <= MAX_BARS and bars.shape[1] in (STEPS, TRIPLETS)):
        raise ValueError(f"a loop has 1 to {MAX_BARS} bars of {STEPS} or {TRIPLETS} steps; got {bars.shape}")
    if performance.kit != KIT:
        raise ValueError(f"a loop is of kit {KIT.name}, not {performance.kit.name}")
    offsets = np.rint(performance.offsets[bars] * _PER_STEP).astype("<i2")
    flags = 0 if _is_plain(performance) else _VELOCITIES | (_OFFSETS if offsets.any() else 0)
    data = bytes([flags, bars.shape[1], len(bars)]) + np.packbits(bars).tobytes()
    if flags & _VELOCITIES:
        data += performance.velocities[bars].tobytes()
    if flags & _OFFSETS:
        data += offsets.tobytes()
    return _VERSION + base64.urlsafe_b64encode(data).decode().rstrip("=")


@lru_cache(maxsize=_DECODED)  # no cached_property: in Python 3.11 it lets one thread in at a time
def _decoded(code: str) -> Performance:
    """The performance of a code of this version.

    Raises:
        ValueError: no such code, or another one for the same loop.
    """
    letters = code.removeprefix(_VERSION)
    data = base64.b64decode(letters.encode("ascii") + b"=" * (-len(letters) % 4), altchars=b"-_", validate=True)
    flags, steps, n_bars = data[:3]
    n_cells = n_bars * steps * KIT.n_parts
    n_bytes = -(-n_cells // 8)
    bits = np.unpackbits(np.frombuffer(data[3 : 3 + n_bytes], np.uint8))[:n_cells]
    bars = bits.astype(bool).reshape(n_bars, steps, KIT.n_parts)
    n_onsets = int(bars.sum())
    rest = data[3 + n_bytes :]
    velocities = offsets = None
    if flags & _VELOCITIES:
        velocities = np.ones(bars.shape, np.uint8)
        velocities[bars] = np.frombuffer(rest[:n_onsets], np.uint8)
        rest = rest[n_onsets:]
    if flags & _OFFSETS:
        offsets = np.zeros(bars.shape, np.float32)
        offsets[bars] = np.frombuffer(rest[: 2 * n_onsets], "<i2").astype(np.float32) / _PER_STEP
    found = Performance.of(bars, KIT, velocities, offsets)
    # and only in one way: what other readers of base64 take for the same bits is no code
    if _encoded(found) != code:
        raise ValueError("another code for this loop")
    return found


_FIRST_TRIPLETS = "12."


def _decoded_first(code: str) -> Performance:
    """The bar of a code of the first version: nothing but cells, of 12 parts, or of 9 on 16 steps.

    Raises:
        ValueError: no such code.
    """
    steps = TRIPLETS if code.startswith(_FIRST_TRIPLETS) else STEPS
    letters = code.removeprefix(_FIRST_TRIPLETS)
    data = base64.b64decode(letters.encode("ascii"), altchars=b"-_", validate=True)
    n_parts, rest = divmod(len(data) * 8, steps)
    known = (KIT.n_parts, GM9.n_parts) if steps == STEPS else (KIT.n_parts,)
    if rest or n_parts not in known or base64.urlsafe_b64encode(data).decode() != letters:
        raise ValueError("no code of a bar")
    cells = np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool).reshape(1, steps, n_parts)
    return Performance.of(in_page_kit(cells), KIT)
