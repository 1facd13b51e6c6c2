"""A bar that a visitor sees: its cells, a name, and a code that stands for it in addresses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rhythmgan.bars import bars_to_words
from rhythmgan.kit import GM9
from rhythmgan.performance import Performance, accents
from rhythmgan.sound import velocity_to_gain

KIT = GM9
STEPS = 16


@dataclass(frozen=True)
class Bar:
    """A bar and what it is called.

    Attributes:
        code: its 144 cells, 6 to a letter of the URL-safe alphabet: the bar itself, whatever weights made it.
        name: in a few words.
        own: how it is played where it came from a file, a loop of this one bar; None where it has accents, on the grid.
            No address holds it.
    """

    code: str
    name: str
    own: Performance | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(cells: np.ndarray, name: str, own: Performance | None = None) -> Bar:
        """The bar of cells (steps, parts) bool; ``own`` is a performance of them."""
        return Bar(base64.urlsafe_b64encode(np.packbits(cells).tobytes()).decode(), name, own)

    @staticmethod
    def read(code: str, name: str) -> Bar:
        """The bar of a code from outside.

        Raises:
            ValueError: no such code.
        """
        try:
            data = base64.b64decode(code.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            data = b""
        # and only in one way: other readers of base64 take other letters for the same bits
        if len(data) * 8 != STEPS * KIT.n_parts or base64.urlsafe_b64encode(data).decode() != code:
            raise ValueError("the address holds no bar that can be read")
        return Bar(code, name)

    @cached_property
    def cells(self) -> np.ndarray:
        """(steps, parts) bool."""
        bits = np.unpackbits(np.frombuffer(base64.urlsafe_b64decode(self.code), np.uint8))
        return bits.astype(bool).reshape(STEPS, KIT.n_parts)

    @property
    def words(self) -> list[int]:
        """A number a step, the kick its highest bit."""
        return [int(word) for word in bars_to_words(self.cells[None])[0]]

    @property
    def performance(self) -> Performance:
        """How it is played, a loop of this one bar."""
        return Performance.of(self.cells, KIT) if self.own is None else self.own

    @property
    def sent(self) -> dict[str, Any]:
        """The bar for the scripts: code, name, words, and of a bar of a file what differs from accents on the grid."""
        said: dict[str, Any] = {"code": self.code, "name": self.name, "words": self.words}
        if self.own is not None:
            (velocities,), (offsets,) = self.own.velocities, self.own.offsets
            said["played"] = {
                "gains": velocity_to_gain(velocities).round(4).tolist(),
                "shades": (velocities / accents(STEPS).max()).clip(0, 1).round(3).tolist(),
                "offsets": offsets.astype(float).round(4).tolist(),
            }
        return said

    def with_cells(self, cells: np.ndarray, name: str) -> Bar:
        """Other cells (steps, parts) bool in the same playing."""
        return Bar.of(cells, name, None if self.own is None else self.own.with_bars(cells[None]))

    def named(self, name: str) -> Bar:
        """The same bar under another name."""
        return Bar(self.code, name, self.own)


def stacked(bars: Sequence[Bar]) -> np.ndarray:
    """The cells of several bars: (n, steps, parts) bool."""
    return np.stack([bar.cells for bar in bars])
