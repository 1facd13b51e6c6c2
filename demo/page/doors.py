"""What browsers send, which may be anything: a function gives the value that was asked for, or None where it is none.

JSON is read by Python, so a number may have any size and be no number at all, and a text may hold what is no UTF-8.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

MOST = 1 << 31
"""Numbers that count something lie below it."""


def whole(sent: Any, least: int = 0, most: int = MOST - 1) -> int | None:
    """A whole number of a range; True and 1.0 are none."""
    return sent if type(sent) is int and least <= sent <= most else None


def number(sent: Any, least: float, most: float) -> float | None:
    """A number of a range."""
    return float(sent) if type(sent) in (int, float) and least <= sent <= most else None  # NaN is in no range


def clamped(sent: Any, least: float, most: float) -> float | None:
    """The number of a range that is nearest to a number."""
    return float(min(max(sent, least), most)) if type(sent) in (int, float) and sent == sent else None


def said(text: str | None, least: float, most: float) -> float | None:
    """The number of a range that a text says, as that of an address."""
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and least <= found <= most else None


def text(sent: Any, most: int) -> str | None:
    """A text of one line, cut after ``most`` characters; controls, marks of direction and no UTF-8 are left out."""
    if not isinstance(sent, str):
        return None
    seen = (letter if letter.isprintable() else " " for letter in sent[: 4 * most])
    return re.sub(r"\s+", " ", "".join(seen)).strip()[:most]


def entries(sent: Any) -> dict[str, Any]:
    """The entries of an object; none where it is none."""
    return sent if isinstance(sent, dict) else {}


def items(sent: Any, most: int) -> list[Any]:
    """The items of a list, of too many the first ones; none where it is none."""
    return sent[:most] if isinstance(sent, list) else []


def pair(sent: Any) -> tuple[Any, Any] | None:
    """The two items of a list of two."""
    return (sent[0], sent[1]) if isinstance(sent, list) and len(sent) == 2 else None


def switches(sent: Any, n: int) -> list[bool] | None:
    """A list of n bools."""
    return list(sent) if isinstance(sent, list) and [type(switch) for switch in sent] == [bool] * n else None


def numbers(sent: Any, shape: tuple[int, ...], least: float, most: float) -> np.ndarray | None:
    """Nested lists of numbers of a range as float64 of this shape."""
    return _array(sent, shape, least, most, (int, float))


def whole_numbers(sent: Any, shape: tuple[int, ...], least: int, most: int) -> np.ndarray | None:
    """Nested lists of whole numbers of a range as int64 of this shape."""
    found = _array(sent, shape, least, most, (int,))
    return None if found is None else found.astype(np.int64)


def _array(sent: Any, shape: tuple[int, ...], least: float, most: float, kinds: tuple[type, ...]) -> np.ndarray | None:
    flat = [sent]
    for length in shape:
        if not all(isinstance(row, list) and len(row) == length for row in flat):
            return None
        flat = [entry for row in flat for entry in row]
    if not all(type(found) in kinds and least <= found <= most for found in flat):
        return None
    return np.array(flat, float).reshape(shape)
