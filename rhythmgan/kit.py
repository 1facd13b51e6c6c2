"""Kits: which drum parts a bar has, which MIDI pitches fold into each, which one goes out.

The order of the parts is the order of the last axis of every ``bars`` array and, read from
the most significant bit down, of every word. The kick is first in every kit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

STREAMS = ("low", "mid", "high")
"""Groups of parts that sound as one line each: the kick; snare and toms; hats and cymbals."""


@dataclass(frozen=True)
class Part:
    """One line of a kit.

    Attributes:
        name: the field's plain name, e.g. ``"closed hat"``.
        pitch: the MIDI pitch written for this part (General MIDI, 0-127).
        folds: every pitch read as this part (General MIDI, and Roland's pads as in the
            Groove MIDI Dataset), ``pitch`` among them.
        file_names: regular expression that a single-part file's name ("Hi_Hat_01") matches.
        stream: which of ``STREAMS`` the part belongs to.
    """

    name: str
    pitch: int
    folds: tuple[int, ...]
    file_names: str
    stream: str


@dataclass(frozen=True)
class Kit:
    """A named, ordered table of parts."""

    name: str
    parts: tuple[Part, ...]

    @property
    def n_parts(self) -> int:
        return len(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def parts_of(self, stream: str) -> list[int]:
        """The parts of one of ``STREAMS``, as places in the kit."""
        return [index for index, part in enumerate(self.parts) if part.stream == stream]

    @cached_property
    def pitches(self) -> np.ndarray:
        """(parts,) uint8: the pitch that goes out for each part."""
        import numpy as np

        return np.array([part.pitch for part in self.parts], np.uint8)

    @cached_property
    def part_of_pitch(self) -> np.ndarray:
        """(128,) int8: the part that each MIDI pitch folds into, -1 where it is not of this kit."""
        import numpy as np  # here, so that help texts can list the kits at once

        table = np.full(128, -1, np.int8)
        for index, part in enumerate(self.parts):
            table[list(part.folds)] = index
        return table

    def part_named_by(self, file_name: str) -> int | None:
        """The part that a single-part file is named after, e.g. 2 for "Hi_Hat_01" in GM9.

        None where it names no part, or two ("snare_and_hat").
        """
        words = re.sub(r"[\W_\d]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", file_name)).lower()
        matches = [i for i, part in enumerate(self.parts) if re.search(rf"\b(?:{part.file_names})\b", words)]
        return matches[0] if len(matches) == 1 else None


_CLOSED_HAT_NAMES = r"(?<!open )(?<!open hi )(?:hi ?hats?|hh|hats?|closed ?hats?|ch)(?! open)"
_OPEN_HAT_NAMES = r"open (?:hi )?hats?|(?:hi )?hats? open|oh"

_KICK = Part("kick", 36, (35, 36), r"kicks?|bass ?drums?|bd", "low")
_SNARE = Part("snare", 38, (37, 38, 39, 40), r"snares?|sd|claps?|rim ?shots?|rims?", "mid")
_CLOSED_HAT = Part("closed hat", 42, (22, 42, 44), _CLOSED_HAT_NAMES, "high")
_OPEN_HAT = Part("open hat", 46, (26, 46), _OPEN_HAT_NAMES, "high")
_TOM_NAMES = r"toms?"
_MID_TOM_NAMES = r"mid toms?|toms? mid|(?<!low )(?<!floor )(?<!hi )(?<!high )toms?(?! low| hi)"

GM9 = Kit(
    "gm9",
    (
        _KICK,
        _SNARE,
        _CLOSED_HAT,
        _OPEN_HAT,
        Part("low tom", 43, (41, 43, 58), r"(?:low|floor) toms?|toms? low", "mid"),
        Part(
            "mid tom",
            47,
            (45, 47),
            _MID_TOM_NAMES,
            "mid",
        ),
        Part("high tom", 50, (48, 50), r"(?:hi|high) toms?|toms? (?:hi|high)", "mid"),
        Part("ride", 51, (51, 53, 59), r"rides?", "high"),
        Part("crash", 49, (49, 52, 55, 57), r"crash|crashes|cymbals?|splash", "high"),
    ),
)
"""The kit everything is trained on: nine General MIDI parts, 512 words."""

RYTHMGAN7 = Kit(
    "rythmgan7",
    (
        _KICK,
        _SNARE,
        _CLOSED_HAT,
        _OPEN_HAT,
        Part("tom", 47, (41, 43, 45, 47, 48, 50, 58), _TOM_NAMES, "mid"),
        Part("crash", 49, (49, 52, 55, 57), r"crash|crashes|splash", "high"),
        Part(
            "percussion",
            54,  # a tambourine: GM9 would read a ride's pitch as its ride
            (51, 53, 54, 56, 59, *range(60, 82)),
            r"perc|percs|percussion|rides?|tambourine|cow ?bell|shaker|conga|bongo",
            "high",
        ),
    ),
)
"""RythmGAN's seven elements (2018); the ride, which it does not name, counts as percussion."""

JAKI5 = Kit(
    "jaki5",
    (
        _KICK,
        _SNARE,
        Part("closed cymbals", 42, (22, 42, 44, 51, 53, 59), _CLOSED_HAT_NAMES + "|rides?", "high"),
        Part("open cymbals", 46, (26, 46, 49, 52, 55, 57), _OPEN_HAT_NAMES + "|crash|cymbals?", "high"),
        Part("toms", 47, (41, 43, 45, 47, 48, 50, 58), _TOM_NAMES, "mid"),
    ),
)
"""jaki's five parts (2020): hats and ride closed, open hat and crash open."""

KITS = {kit.name: kit for kit in (GM9, RYTHMGAN7, JAKI5)}


def kit_named(name: str) -> Kit:
    """The kit of that name, in any case.

    Raises:
        ValueError: no kit has that name.
    """
    try:
        return KITS[name.lower()]
    except KeyError:
        raise ValueError(f"no kit is named {name!r}; there are {', '.join(KITS)}") from None


def fold_table(source: Kit, target: Kit) -> np.ndarray:
    """(source parts,) ints: the part of ``target`` that each part of ``source`` folds into.

    Raises:
        ValueError: a part of ``source`` has no place in ``target``, or ``target`` is not smaller (JAKI5 cannot
            become GM9).
    """
    table = target.part_of_pitch[source.pitches]
    if source != target and (source.n_parts <= target.n_parts or (table < 0).any()):
        raise ValueError(f"bars of kit {source.name} cannot be folded into kit {target.name}")
    return table.astype("int64")
