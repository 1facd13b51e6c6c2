"""What makes a bar a groove: kick on 1, snare on 2 and 4, a cymbal that keeps time; and a table of what songs play."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features.counts import density
from rhythmgan.features.lines import as_bools, as_tensor, checked_bars
from rhythmgan.features.note_rest import syncopation
from rhythmgan.kit import Kit
from rhythmgan.roles import DrumParts, drum_parts

CYMBAL_STEPS_OF_A_GROOVE = 4
TOM_STEPS_OF_A_FILL = 3


def kick_on_one(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """(n,) bool: the kick sounds on the first step.

    Args:
        bars: (n, steps, parts) bool, on any grid.
        kit: what the parts are, found by their names; by default the kit of so many parts.

    Raises:
        ValueError: a shape that does not fit the kit, or cells between 0 and 1; so do all below.
    """
    return _line(bars, kit, lambda parts: parts.kicks)[:, 0]


def backbeat(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """(n,) bool: the snare sounds on 2 and on 4."""
    snare = _line(bars, kit, lambda parts: parts.snares)
    beat = snare.shape[1] // BEATS
    return snare[:, beat] & snare[:, 3 * beat]


def cymbal_steps(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """(n,) ints: steps on which a hat, the ride or the crash sounds, 0 … steps."""
    return _line(bars, kit, lambda parts: parts.cymbals).sum(1)


def tom_steps(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """(n,) ints: steps on which a tom sounds, 0 … steps."""
    return _line(bars, kit, lambda parts: parts.toms).sum(1)


def is_groove(bars: Tensor | np.ndarray, kit: Kit | None = None) -> Tensor:
    """(n,) bool: kick on 1, snare on 2 and 4, and cymbals on four steps or more.

    The plain grooves, which most songs play most of the time. Half-time, reggae or samba have others.
    """
    return kick_on_one(bars, kit) & backbeat(bars, kit) & (cymbal_steps(bars, kit) >= CYMBAL_STEPS_OF_A_GROOVE)


def _line(bars: Tensor | np.ndarray, kit: Kit | None, family: Callable[[DrumParts], list[int]]) -> Tensor:
    """(n, steps) bool: where any part of a family sounds."""
    bars, kit = checked_bars(bars, kit)
    return as_bools(bars)[..., family(drum_parts(kit))].any(-1)


COLUMNS: dict[str, Callable[[Tensor, Kit], Tensor]] = {
    "kick on 1": kick_on_one,
    "snare on 2 and 4": backbeat,
    "cymbals on 4+ steps": lambda bars, kit: cymbal_steps(bars, kit) >= CYMBAL_STEPS_OF_A_GROOVE,
    "all three": is_groove,
    "toms on 3+ steps": lambda bars, kit: tom_steps(bars, kit) >= TOM_STEPS_OF_A_FILL,
    "density": density,
    "syncopation": syncopation,
}
"""The columns of the table of what songs play: shares of the bars, and two means."""
_MEANS = ("density", "syncopation")


def what_songs_play(
    rows: Mapping[str, tuple[Tensor | np.ndarray, Tensor | np.ndarray | None]], kit: Kit | None = None
) -> dict[str, dict[str, float]]:
    """The table of what songs play.

    Args:
        rows: name of a row → its bars (n, steps, parts) bool, and their weights (n,), which need not sum to 1; None if
            all bars count the same. Each row may be on a grid of its own.
        kit: what the parts are; by default the kit of so many parts.

    Returns:
        Name of a row → ``bars``, how many there are, and the weighted mean of each of ``COLUMNS``.

    Raises:
        ValueError: a row without bars, or weights that do not fit them, are negative, or are all 0.
    """
    table = {}
    for name, (given, weights) in rows.items():
        bars, own_kit = checked_bars(given, kit)
        n = len(bars)
        chances = torch.ones(n, dtype=torch.float64) if weights is None else as_tensor(weights).double().cpu()
        if not n or chances.shape != (n,) or not (chances >= 0).all() or not chances.sum() > 0:
            raise ValueError(f"row {name!r}: expected bars, and a weight for each; got {n} and {tuple(chances.shape)}")
        chances = chances / chances.sum()
        means = {column: float(measure(bars, own_kit).double().cpu() @ chances) for column, measure in COLUMNS.items()}
        table[name] = {"bars": n, **means}
    return table


def to_markdown(table: Mapping[str, Mapping[str, float]]) -> str:
    """The table of ``what_songs_play`` as Markdown: shares with two places, means with one."""
    lines = [" | ".join(["|  | bars", *COLUMNS]) + " |", "|---" + "|---:" * (len(COLUMNS) + 1) + "|"]
    for name, row in table.items():
        cells = [f"{row[column]:.1f}" if column in _MEANS else _share(row[column]) for column in COLUMNS]
        lines.append(" | ".join([f"| {name}", f"{row['bars']:,.0f}", *cells]) + " |")
    return "\n".join(lines)


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")
