"""A bar that a visitor sees: its cells, a name, and a code that stands for it in addresses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rhythmgan.bars import bars_to_words, fold_bars
from rhythmgan.conditions import Condition
from rhythmgan.kit import GM9, GM12, kit_with
from rhythmgan.performance import Performance, accents
from rhythmgan.sound import velocity_to_gain

KIT = GM12
"""Of all bars on the page, and of the models."""

STEPS, TRIPLETS = 16, 12
"""The grids of bars on the page: sixteenths, which it begins with, and eighth triplets."""

_PREFIX = {STEPS: "", TRIPLETS: "12."}
"""What the code of a bar begins with: without it 12 steps of twelve parts would read as 16 of nine."""


_ANYTHING = Condition()


@dataclass(frozen=True)
class Bar:
    """A bar and what it is called.

    Attributes:
        code: its cells, 6 to a letter of the URL-safe alphabet: the bar itself, whatever weights made it. On triplets
            ``12.`` stands before them.
        name: in a few words.
        asked: what the model was asked for that made it; anything for other bars. No address holds it.
        own: how it is played where it came from a file, a loop of this one bar; None where it has accents, on the grid.
            No address holds it.
    """

    code: str
    name: str
    asked: Condition = field(default=_ANYTHING, compare=False, repr=False)
    own: Performance | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(cells: np.ndarray, name: str, asked: Condition = _ANYTHING, own: Performance | None = None) -> Bar:
        """The bar of cells (steps, parts) bool of ``KIT``; ``own`` is a performance of them."""
        return Bar(_encoded(cells), name, asked, own)

    @staticmethod
    def read(code: str, name: str) -> Bar:
        """The bar of a code from outside; also one of 24 letters, from when the page had nine parts and 16 steps.

        Raises:
            ValueError: no such code.
        """
        steps = _steps_of(code)
        letters = code.removeprefix(_PREFIX[steps])
        try:
            data = base64.b64decode(letters.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            data = b""
        n_parts, rest = divmod(len(data) * 8, steps)
        known = (KIT.n_parts, GM9.n_parts) if steps == STEPS else (KIT.n_parts,)
        # and only in one way: other readers of base64 take other letters for the same bits
        if rest or n_parts not in known or base64.urlsafe_b64encode(data).decode() != letters:
            raise ValueError("the address holds no bar that can be read")
        cells = np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool).reshape(steps, n_parts)
        return Bar.of(in_page_kit(cells), name)

    @property
    def steps(self) -> int:
        """Its grid."""
        return _steps_of(self.code)

    @cached_property
    def cells(self) -> np.ndarray:
        """(steps, parts) bool."""
        letters = self.code.removeprefix(_PREFIX[self.steps])
        bits = np.unpackbits(np.frombuffer(base64.urlsafe_b64decode(letters), np.uint8))
        return bits.astype(bool).reshape(self.steps, KIT.n_parts)

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
                "shades": (velocities / accents(self.steps).max()).clip(0, 1).round(3).tolist(),
                "offsets": offsets.astype(float).round(4).tolist(),
            }
        return said

    def with_cells(self, cells: np.ndarray, name: str) -> Bar:
        """Other cells (steps, parts) bool in the same playing."""
        return Bar.of(cells, name, self.asked, None if self.own is None else self.own.with_bars(cells[None]))

    def named(self, name: str) -> Bar:
        """The same bar under another name."""
        return Bar(self.code, name, self.asked, self.own)


def cells_of(bars: Sequence[Bar]) -> np.ndarray:
    """The cells of bars of one grid: (n, steps, parts) bool."""
    return np.stack([bar.cells for bar in bars])


def in_page_kit(cells: np.ndarray) -> np.ndarray:
    """Bars (…, parts) bool of ``KIT``, or of the nine parts of old links and of the textbook, as bars of ``KIT``."""
    return fold_bars(cells, kit_with(cells.shape[-1]), KIT)


def _steps_of(code: str) -> int:
    return TRIPLETS if code.startswith(_PREFIX[TRIPLETS]) else STEPS


def _encoded(cells: np.ndarray) -> str:
    return _PREFIX[len(cells)] + base64.urlsafe_b64encode(np.packbits(cells).tobytes()).decode()
