"""Lines of onsets: their text, ``x o o o``, and where the steps of a line stand on a finer grid."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MIN_STEPS, MAX_STEPS = 8, 512
"""The shortest and the longest line."""

_ONSETS, _RESTS, _IGNORED = "xX", "oO-._", " |\t"


def check_line_steps(steps: int) -> int:
    """``steps`` if a line may be so long, otherwise a ValueError."""
    if not MIN_STEPS <= steps <= MAX_STEPS:
        raise ValueError(f"a line has {MIN_STEPS} to {MAX_STEPS} steps, not {steps}")
    return steps


def parse_line(text: str) -> np.ndarray:
    """The line (steps,) bool of a text: ``x`` is an onset, any of ``o - . _`` a rest; spaces and ``|`` mean nothing.

    Raises:
        ValueError: another character, or a length that no line has.
    """
    cells = []
    for place, character in enumerate(text, 1):
        if character in _ONSETS or character in _RESTS:
            cells.append(character in _ONSETS)
        elif character not in _IGNORED:
            raise ValueError(f"{text[:40]!r}: character {place} is neither an onset (x) nor a rest (o - . _)")
    check_line_steps(len(cells))
    return np.array(cells, bool)


def line_to_text(line: np.ndarray) -> str:
    """A line (steps,) bool as text: ``x o o o x o o o``."""
    return " ".join("x" if cell else "o" for cell in np.asarray(line, bool).tolist())


def first_cells(steps: Tensor, resolution: int) -> Tensor:
    """Where the steps of lines begin on a finer grid: (n,) ints, resolution cells at most → (n, resolution) bool.

    Step i of a line begins on the first cell p of which ⌊p · steps / resolution⌋ is i: where the lengths divide one
    another, on every so many cells. All other cells stay empty.
    """
    cells = torch.arange(resolution, device=steps.device)
    step = cells * steps[:, None] // resolution
    return torch.cat([torch.ones_like(step[:, :1], dtype=torch.bool), step[:, 1:] != step[:, :-1]], 1)


def stretched(lines: np.ndarray, resolution: int) -> np.ndarray:
    """Lines (…, steps) bool on a grid of as many cells or more: (…, resolution) bool; see ``first_cells``.

    Raises:
        ValueError: the grid has fewer cells than the lines have steps.
    """
    lines = np.asarray(lines, bool)
    steps = lines.shape[-1]
    if steps > resolution:
        raise ValueError(f"a line of {steps} steps does not fit on {resolution}")
    found = np.zeros((*lines.shape[:-1], resolution), bool)
    found[..., _places(steps, resolution)] = lines
    return found


def shrunk(lines: np.ndarray, steps: int) -> np.ndarray:
    """What ``stretched`` made of lines of so many steps, as they were: (…, resolution) bool → (…, steps) bool."""
    return np.asarray(lines, bool)[..., _places(steps, lines.shape[-1])]


def _places(steps: int, resolution: int) -> np.ndarray:
    return np.flatnonzero(first_cells(torch.tensor([steps]), resolution)[0].numpy())
