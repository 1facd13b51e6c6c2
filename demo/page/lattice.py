"""The loops between two or four others, by their places on a pad."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from page.loop import KIT, Loop
from rhythmgan.conditions import Condition
from rhythmgan.generate.morph import morph
from rhythmgan.models.interfaces import LatentCritic
from rhythmgan.performance import Performance

SIDE = 9
"""Loops along each side of a pad of four corners."""

STRIP = 17
"""Loops between two corners."""

_PER_STEP = 2000
"""Offsets are blended in whole parts of a step as fine as this, so that the page's script finds the very same ones."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Loops at the places of a pad, the corners among them.

    A place is a column and a row. Of four corners the first two are at the left and at the right of the first row, the
    others of the last row; two corners have a single row.

    Every bar is a bar on a morph between the corners' bars of the same number, see ``rhythmgan.generate.morph``: of
    four corners on one across, between bars on two that go down the sides. A cell is played as in the corners in which
    it sounds: as loud and as late as on their average, in which each counts by how near it is.

    Attributes:
        corners: two or four loops of as many bars on one grid.
        cells: (rows, columns, bars, steps, parts) bool.
        asked: what the models were asked for.
    """

    corners: tuple[Loop, ...]
    cells: np.ndarray
    asked: Condition

    @staticmethod
    def between(model: LatentCritic, corners: Sequence[Loop]) -> Lattice:
        """The lattice of two or four loops of one grid; all get as many bars as the longest, shorter ones repeat.

        Args:
            model: of their grid, asked for what lies between them.
            corners: the loops.
        """
        n_bars = max(corner.n_bars for corner in corners)
        alike = tuple(corner.with_n_bars(n_bars) for corner in corners)
        bars = np.stack([corner.cells for corner in alike])
        # bars that all corners repeat are morphed once
        rows, place = np.unique(bars.swapaxes(0, 1).reshape(n_bars, -1), axis=0, return_inverse=True)
        ends = rows.reshape(len(rows), len(corners), *bars.shape[2:]).swapaxes(0, 1)
        if len(corners) == 4:
            sides = morph(model, np.concatenate(ends[:2]), np.concatenate(ends[2:]), SIDE)
            left, right = sides.reshape(2, -1, *bars.shape[2:])
            found = morph(model, left, right, SIDE).reshape(len(rows), SIDE, SIDE, *bars.shape[2:])
        else:
            found = morph(model, ends[0], ends[1], STRIP)[:, None]
        return Lattice(alike, np.moveaxis(found[place.reshape(-1)], 0, 2), model.condition)

    def complete(self) -> None:
        """Work out now what is needed later, so that it has its size from then on."""
        _ = self.sent, self._places, self._played

    @property
    def n_rows(self) -> int:
        """How many rows it has."""
        return len(self.cells)

    @property
    def n_columns(self) -> int:
        """How many columns it has."""
        return int(self.cells.shape[1])

    def loop(self, column: int, row: int) -> Loop:
        """The loop at a place."""
        performance = self._performance(column, row)
        return Loop.of(performance, f"morph {column + 1}, {row + 1}", self.asked)

    def along(self, path: Sequence[Sequence[int]], n_bars: int) -> tuple[Loop, list[list[int]]]:
        """A loop whose bars are of loops along a path, the first and the last of it included.

        Args:
            path: its places, at least one.
            n_bars: how many; of a single one the path's end is taken.

        Returns:
            The loop, and the place of each of its bars.
        """
        stops = np.rint(np.linspace(0, len(path) - 1, n_bars)).astype(int) if n_bars > 1 else [len(path) - 1]
        places = [[*path[stop]] for stop in stops]
        bars = [
            self._performance(column, row)[place : place + 1]
            for (column, row), place in zip(places, np.arange(n_bars) % self.cells.shape[2], strict=True)
        ]
        name = f"path, {n_bars} {'bar' if n_bars == 1 else 'bars'}"
        return Loop.of(Performance.joined(bars), name, self.asked), places

    def place_of(self, loop: Loop) -> list[int] | None:
        """The first place at which a loop is; None where it is at none."""
        return self._places.get(loop.code)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for row in range(self.n_rows):
            for column in range(self.n_columns):
                places.setdefault(self.loop(column, row).code, [column, row])
        return places

    @cached_property
    def _played(self) -> bool:
        """Whether any corner has velocities or timing of its own."""
        return not all(corner.plain for corner in self.corners)

    def _performance(self, column: int, row: int) -> Performance:
        """How the loop at a place is played; see the class."""
        cells = self.cells[row, column]
        if not self._played:
            return Performance.of(cells, KIT)
        sounding = np.stack([corner.cells for corner in self.corners]) & cells
        share = self._nearness(column, row)[:, None, None, None] * sounding
        total = share.sum(0)

        def mean(values: list[np.ndarray]) -> np.ndarray:
            """The weighted mean of whole numbers (corners, …), rounded; halves up."""
            return (2 * (share * np.stack(values)).sum(0) + total) // np.maximum(2 * total, 1)

        velocities = mean([corner.performance.velocities.astype(int) for corner in self.corners])
        offsets = mean([_in_parts(corner.performance.offsets) for corner in self.corners])
        return Performance.of(cells, KIT, velocities, offsets / _PER_STEP)

    def _nearness(self, column: int, row: int) -> np.ndarray:
        """(corners,) whole numbers, how near each corner is to a place; the others of a corner's own place have 0."""
        across = np.array([self.n_columns - 1 - column, column])
        if len(self.corners) == 2:
            return across
        return np.outer([self.n_rows - 1 - row, row], across).reshape(-1)

    @cached_property
    def sent(self) -> dict[str, Any]:
        """The loops for the page's script.

        ``letters`` holds the different bars, two letters of the URL-safe base64 a step; ``bars`` by row and column
        which of them a loop has. ``head`` is what the code of a loop begins with where all corners have accents on the
        grid; what follows it is the letters of its bars. Where not, ``playing`` holds velocities and offsets (in
        ``per_step`` of a step) of every corner, by bars, of the cells that sound, in the order of steps and parts.
        """
        flat = self.cells.reshape(-1, self.cells.shape[3] * self.cells.shape[4])
        rows, place = np.unique(np.packbits(flat, axis=1), axis=0, return_inverse=True)
        letters = [base64.urlsafe_b64encode(row.tobytes()).decode() for row in rows]
        playing = [
            {
                "velocities": [bar[bar > 0].tolist() for bar in corner.performance.velocities],
                "offsets": [
                    parts[sounds].tolist()
                    for parts, sounds in zip(_in_parts(corner.performance.offsets), corner.cells, strict=True)
                ],
            }
            for corner in self.corners
        ]
        code = self.corners[0].code
        return {
            "letters": letters,
            "bars": place.reshape(self.cells.shape[:3]).tolist(),
            "head": "" if self._played else code[: len(code) - sum(len(letters[0]) for _ in self.corners[0].cells)],
            "playing": playing if self._played else None,
            "per_step": _PER_STEP,
        }


def _in_parts(offsets: np.ndarray) -> np.ndarray:
    """Offsets in whole parts of a step."""
    return np.rint(offsets * _PER_STEP).astype(int)
