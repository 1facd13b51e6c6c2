"""What stands where in an observation: one table, from which its length, its slices and its documentation are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        name: unique in its table.
        width: numbers that it takes.
        meaning: what they are, for the table.
        low, high: no number is smaller or larger; what would be is clipped.
    """

    name: str
    width: int
    meaning: str
    low: float
    high: float


class Layout:
    """The table of an observation.

    Attributes:
        entries: its rows, in order.
        width: numbers in an observation.
        low, high: (width,) float32, the bounds of each number.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._slices: dict[str, slice] = {}
        first = 0
        for entry in self.entries:
            if entry.name in self._slices:
                raise ValueError(f"two entries of the observation are called {entry.name!r}")
            self._slices[entry.name] = slice(first, first + entry.width)
            first += entry.width
        self.width = first
        widths = [entry.width for entry in self.entries]
        self.low = np.repeat(np.array([entry.low for entry in self.entries], np.float32), widths)
        self.high = np.repeat(np.array([entry.high for entry in self.entries], np.float32), widths)

    def slice(self, name: str) -> slice:
        """Where an entry stands.

        Raises:
            KeyError: there is none of this name.
        """
        return self._slices[name]

    def pack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Entries (…, width of each) as observations (…, width), clipped to their bounds.

        Raises:
            ValueError: an entry is missing, unknown or of another width.
        """
        if parts.keys() != self._slices.keys():
            raise ValueError(f"expected {', '.join(self._slices)}; got {', '.join(parts)}")
        for entry in self.entries:
            if parts[entry.name].shape[-1] != entry.width:
                raise ValueError(f"{entry.name} has {entry.width} numbers, not {parts[entry.name].shape[-1]}")
        packed = torch.cat([parts[entry.name] for entry in self.entries], -1)
        low, high = (torch.from_numpy(bound).to(packed.device) for bound in (self.low, self.high))
        return packed.clamp(low, high)

    def unpack(self, observations: Tensor) -> dict[str, Tensor]:
        """Observations (…, width) as entries by name (…, width of each)."""
        return {name: observations[..., place] for name, place in self._slices.items()}

    def table(self) -> str:
        """The table in Markdown: index, meaning, min, max."""
        lines = ["| index | meaning | min | max |", "| --- | --- | --- | --- |"]
        for entry in self.entries:
            place = self._slices[entry.name]
            index = f"{place.start}" if entry.width == 1 else f"{place.start} to {place.stop - 1}"
            lines.append(f"| {index} | {entry.meaning} | {entry.low:g} | {entry.high:g} |")
        return "\n".join(lines)
