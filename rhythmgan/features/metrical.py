"""Metrical weights: how strong each step of a bar is."""

from __future__ import annotations

import functools
from math import gcd

from rhythmgan.bars import BEATS, check_steps

_ON_BEATS = (5, 3, 4, 3)


def metrical_weights(steps: int) -> tuple[int, ...]:
    """How strong each step of a 4/4 bar is: 5 on the bar line, 4 on the half bar, 3 on the other beats, less between.

    Sixteen steps: 5 1 2 1 3 1 2 1 4 1 2 1 3 1 2 1 (Longuet-Higgins & Lee 1984, whose own weights are these less 5).
    Between the beats a step loses one for each division that it needs, by two or by three: halves and thirds of a beat
    weigh 2, quarters and sixths 1, eighths and twelfths 0. That is 3 − Ω(b), with a/b its place in the beat in lowest
    terms and Ω the number of prime factors.

    Grids of 12, 16 and 32 steps divide the beat in one way only, and this is their tree. Grids of 24 and 48 divide it
    by two and by three in any order, and have a tree for each order; here a step has the largest weight that any of
    these trees gives it. So a step weighs the same on every grid that has it.

    Raises:
        ValueError: no grid that a bar may have.
    """
    per_beat = check_steps(steps) // BEATS
    weights = []
    for step in range(steps):
        beat, place = divmod(step, per_beat)
        weights.append(3 - _divisions(_parts_of_beat(place, per_beat)) if place else _ON_BEATS[beat])
    return tuple(weights)


def _parts_of_beat(place: int, per_beat: int) -> int:
    """In how many parts a beat is divided at least for a step to be there: 1 on the beat, 2 on its half."""
    return per_beat // gcd(place, per_beat)


def _divisions(parts: int) -> int:
    """Ω: how many divisions by two or by three make so many parts of one."""
    return 0 if parts == 1 else 1 + _divisions(parts // (2 if parts % 2 == 0 else 3))


@functools.cache
def rest_weights(steps: int) -> dict[tuple[int, ...], frozenset[int]]:
    """How strong the steps are as rests after a note: weights (steps,) → the steps of the notes that they are for.

    They are the ``metrical_weights``, but a rest that is stronger than a note counts only if one tree has both: if
    the note's place in the beat is a division of the rest's. On the grid of 48 the second sixteenth, at 1/4, lies
    between no thirds: for a note there they weigh 0. Otherwise sixteenths in a row would be syncopated against
    triplets that nobody plays. On all other grids the weights are the same for every note.
    """
    weights = metrical_weights(steps)
    per_beat = steps // BEATS
    parts = [_parts_of_beat(step % per_beat, per_beat) for step in range(steps)]
    found: dict[tuple[int, ...], frozenset[int]] = {}
    for note in range(steps):
        seen = tuple(
            0 if weights[rest] > weights[note] and parts[note] % parts[rest] else weights[rest] for rest in range(steps)
        )
        found[seen] = found.get(seen, frozenset()) | {note}
    return found
