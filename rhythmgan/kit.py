"""Kits: which drum parts a bar has, which MIDI pitches fold into each, which one goes out.

The order of the parts is the order of the last axis of every ``bars`` array and, read from
the most significant bit down, of every word. The kick is first in every kit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

STREAMS = ("low", "mid", "high")
"""Groups of parts that sound as one line each: the kick; snare, toms and congas; hats, cymbals, shakers and bells."""


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


_CLOSED_HAT_NAMES = r"(?<!open )(?<!open hi )(?:hi ?hats?|hh|hats?|closed ?hats?|ch|chh|hhc)(?! open)"
_OPEN_HAT_NAMES = r"open (?:hi )?hats?|(?:hi )?hats? open|oh|ohh|hho"

_KICK = Part("kick", 36, (35, 36), r"kicks?|kiks?|bass ?drums?|bd", "low")
_SNARE = Part("snare", 38, (37, 38, 39, 40), r"snares?|snrs?|sd|claps?|rim ?shots?|rims?", "mid")
_CLOSED_HAT = Part("closed hat", 42, (22, 42, 44), _CLOSED_HAT_NAMES, "high")
_OPEN_HAT = Part("open hat", 46, (26, 46), _OPEN_HAT_NAMES, "high")
_TOM_NAMES = r"toms?"
_MID_TOM_NAMES = r"mid toms?|toms? mid|(?<!low )(?<!floor )(?<!hi )(?<!high )toms?(?! low| hi)"

_LOW_TOM = Part("low tom", 43, (41, 43, 58), r"(?:low|floor) toms?|toms? low", "mid")
_MID_TOM = Part("mid tom", 47, (45, 47), _MID_TOM_NAMES, "mid")
_HIGH_TOM = Part("high tom", 50, (48, 50), r"(?:hi|high) toms?|toms? (?:hi|high)", "mid")
_RIDE = Part("ride", 51, (51, 53, 59), r"rides?", "high")
_CRASH = Part("crash", 49, (49, 52, 55, 57), r"crash|crashes|cymbals?|splash", "high")

# Shaken and scraped: they fill the pulse between the beats as hats do, in a hat's register.
_SHAKER = Part(
    "shaker",
    70,  # maracas: of the shaken ones General MIDI itself has; 82, the shaker, is General MIDI 2's
    (54, 69, 70, 73, 74, 82, 83),  # tambourine, cabasa, maracas, short and long guiro, shaker, jingle bell
    r"shakers?|tambourines?|tambs?|maracas?|cabasas?|guiros?|(?:jingle|sleigh) ?bells?|jingles?",
    "high",
)
# Skins: they answer snare and toms, and fills run from these to them.
_CONGA = Part(
    "conga",
    63,  # open high conga, the commonest of them
    (*range(60, 67), 78, 79, 86, 87),  # bongos, congas, timbales; mute and open cuica; mute and open surdo
    r"congas?|bongos?|timbales?|cuicas?|surdos?|djembes?",
    "mid",
)
# Struck metal and wood without skin: short and bright, they keep a time line (clave, cascara) as the ride does.
_BELL = Part(
    "bell",
    56,  # cowbell
    (56, 67, 68, 75, 76, 77, 80, 81, 85),  # cowbell, agogos, claves, wood blocks, triangles, castanets
    r"(?<!ride )(?<!jingle )(?<!sleigh )bells?|cow ?bells?|agogos?|claves?|wood ?blocks?|triangles?|castanets?",
    "high",
)

_NINE = (_KICK, _SNARE, _CLOSED_HAT, _OPEN_HAT, _LOW_TOM, _MID_TOM, _HIGH_TOM, _RIDE, _CRASH)

GM12 = Kit("gm12", (*_NINE, _SHAKER, _CONGA, _BELL))
"""What songs are read into: the nine of ``GM9`` and hand percussion, 4096 words.

Outside stay pitches that play no line (whistles 71 and 72, the sweep of a bell tree 84) and those on which standards
disagree: 27-34, 33 among them, are clicks, slaps and scratches in General MIDI 2 and kicks and snares in Yamaha's XG.
58 is a low tom as of Roland's pads, where Groove has it 901 times, not General MIDI's vibraslap, which 29 of 2,391
Lakh files play.
"""

GM9 = Kit("gm9", _NINE)
"""The kit of the bundled models: nine General MIDI parts, 512 words."""

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
            (*_RIDE.folds, *_SHAKER.folds, *_CONGA.folds, 71, 72, *_BELL.folds),  # and whistles
            "|".join(("perc|percs|percussion", *(part.file_names for part in (_RIDE, _SHAKER, _CONGA, _BELL)))),
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

ROLAND10 = Kit(
    "roland10",
    (
        _KICK,
        _SNARE,
        _HIGH_TOM,
        replace(_MID_TOM, name="low-mid tom"),
        replace(_LOW_TOM, name="floor tom"),
        _OPEN_HAT,
        _CLOSED_HAT,
        _CRASH,
        _RIDE,
    ),
)
"""Ravula and Cao's ten classes of Roland's pads (*Just beat it*, 2019): nine parts, and silence as the tenth.

Silence is no part: it is the 0 of the notes view, see ``bars``. Of the pitches that are read, 35, 39 and 41 are not in
their table, as Groove's drummers have no pads for them.
"""

KITS = {kit.name: kit for kit in (GM12, GM9, RYTHMGAN7, JAKI5, ROLAND10)}


def kit_named(name: str) -> Kit:
    """The kit of that name, in any case.

    Raises:
        ValueError: no kit has that name.
    """
    try:
        return KITS[name.lower()]
    except KeyError:
        raise ValueError(f"no kit is named {name!r}; there are {', '.join(KITS)}") from None


def kit_with(n_parts: int) -> Kit:
    """The kit of so many parts: what bars are of that come without one. Of nine it is ``GM9``; ``ROLAND10`` is named.

    Raises:
        ValueError: no kit has so many.
    """
    for kit in (GM12, GM9, RYTHMGAN7, JAKI5):
        if kit.n_parts == n_parts:
            return kit
    counts = ", ".join(f"{kit.n_parts} ({kit.name})" for kit in (GM12, GM9, RYTHMGAN7, JAKI5))
    raise ValueError(f"no kit has {n_parts} parts; there are {counts}")


def fold_table(source: Kit, target: Kit) -> np.ndarray:
    """(source parts,) int64: the part of ``target`` that each part of ``source`` folds into, -1 where it is dropped.

    Only shaker, conga and bell of ``GM12`` are dropped, where the target has no hand percussion. Bars of ``GM9`` are
    bars of ``GM12`` without percussion.

    Raises:
        ValueError: ``source`` is neither ``GM12`` nor ``GM9``, or ``target`` has more parts (JAKI5 cannot become GM9)
            or no place for one of the nine.
    """
    table = target.part_of_pitch[source.pitches].astype("int64")
    if source != target and (source, target) != (GM9, GM12):
        nine = table[: GM9.n_parts]
        if source not in (GM12, GM9) or target.n_parts > source.n_parts or (nine < 0).any():
            raise ValueError(f"bars of kit {source.name} cannot be folded into kit {target.name}")
    return table
