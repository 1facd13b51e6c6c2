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
from rhythmgan.kit import GM9, GM12
from rhythmgan.performance import Performance, accents
from rhythmgan.sound import velocity_to_gain

KIT = GM12
MODELS_KIT = GM9
"""What the bundled models play and know: the first parts of ``KIT``."""

PERCUSSION = slice(MODELS_KIT.n_parts, KIT.n_parts)
"""The parts of ``KIT`` that the models do not know: shaker, conga and bell."""

STEPS = 16


@dataclass(frozen=True)
class Bar:
    """A bar and what it is called.

    Attributes:
        code: its 192 cells, 6 to a letter of the URL-safe alphabet: the bar itself, whatever weights made it.
        name: in a few words.
        own: how it is played where it came from a file, a loop of this one bar; None where it has accents, on the grid.
            No address holds it.
    """

    code: str
    name: str
    own: Performance | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(cells: np.ndarray, name: str, own: Performance | None = None) -> Bar:
        """The bar of cells (steps, parts) bool of ``KIT`` or of ``MODELS_KIT``; ``own`` is a performance of them."""
        return Bar(_encoded(in_page_kit(cells)), name, own)

    @staticmethod
    def read(code: str, name: str) -> Bar:
        """The bar of a code from outside; also one of 24 letters, from when the page had the models' nine parts.

        Raises:
            ValueError: no such code.
        """
        try:
            data = base64.b64decode(code.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            data = b""
        n_parts, rest = divmod(len(data) * 8, STEPS)
        # and only in one way: other readers of base64 take other letters for the same bits
        if rest or n_parts not in (KIT.n_parts, MODELS_KIT.n_parts) or base64.urlsafe_b64encode(data).decode() != code:
            raise ValueError("the address holds no bar that can be read")
        return Bar.of(np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool).reshape(STEPS, n_parts), name)

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

    @property
    def n_percussion(self) -> int:
        """Onsets of the parts that the models do not know."""
        return int(self.cells[:, PERCUSSION].sum())

    def with_cells(self, cells: np.ndarray, name: str) -> Bar:
        """Other cells (steps, parts) bool in the same playing."""
        return Bar.of(cells, name, None if self.own is None else self.own.with_bars(cells[None]))

    def around(self, cells: np.ndarray, name: str) -> Bar:
        """Other cells of a model (steps, parts of ``MODELS_KIT``) bool; what the models do not know stays as it is."""
        return self.with_cells(np.concatenate([cells, self.cells[:, PERCUSSION]], 1), name)

    def named(self, name: str) -> Bar:
        """The same bar under another name."""
        return Bar(self.code, name, self.own)


def for_models(bars: Sequence[Bar]) -> np.ndarray:
    """What the models know of bars: (n, steps, parts of ``MODELS_KIT``) bool."""
    return fold_bars(np.stack([bar.cells for bar in bars]), KIT, MODELS_KIT)


def in_page_kit(cells: np.ndarray) -> np.ndarray:
    """Bars (…, parts) bool of ``KIT`` or of ``MODELS_KIT`` as bars of ``KIT``: the models' are without percussion."""
    missing = KIT.n_parts - cells.shape[-1]
    assert missing in (0, KIT.n_parts - MODELS_KIT.n_parts), f"no bars of the page: {cells.shape}"
    return np.pad(cells, [(0, 0)] * (cells.ndim - 1) + [(0, missing)])


def _encoded(cells: np.ndarray) -> str:
    return base64.urlsafe_b64encode(np.packbits(cells).tobytes()).decode()
