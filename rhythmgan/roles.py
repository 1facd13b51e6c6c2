"""What a bar is in its song: groove, variation or fill, by how often, where and beside what the song plays it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.kit import Kit

ROLES = ("groove", "variation", "fill")
"""What a bar can be in its song; ``SongRoles.role`` holds places in this list."""
GROOVE, VARIATION, FILL = range(3)

NO_LABEL, LABELLED_BEAT, LABELLED_FILL = range(3)
"""What a data set says of a whole file, as Groove's ``beat_type`` does: nothing, a beat, a fill."""

# The numbers of the rule, chosen on Groove's training songs with labelled fills put into beats; see docs/method.md.
UNRELATED = 0.3
"""The distance from which on two bars do not count as the same at all."""
SAME_GROOVE = 0.15
"""How much farther than the song's scatter two bars of one groove may lie apart."""
AS_COMMON = 0.75
"""A groove has this share of the soft plays of the groove around it; with fewer it is one with changes."""
FAR = 0.4
"""A bar that lies farther than this from the bars around is no groove."""
UNLIKE_OF_A_FILL = 0.3
"""How much farther than the song's scatter a fill lies from the bars around, if nothing moves."""
MOVES_OF_A_FILL = 5.0
"""How many steps move in a fill that lies no farther than other bars."""
LEAST_MOVES = 2.0
"""How many steps move in any fill, however far it lies: few onsets lie far apart soon."""
MARK = 0.25
"""What a change or a crash that follows adds to a fill's score, which is 1."""
SIGNS_OF_A_GROOVE = 4
"""Signs of a groove that a bar needs by itself."""
LEAST_BARS = 4
"""Files with fewer bars say nothing of what is played again: their bars are taken by themselves."""

_CELLS = 96  # every grid divides it
_REACH = 3  # bars before and after: a fill every fourth bar has none of its kind among them
_PHRASES = np.arange(-3, 5)  # the four bars that end with this one, and the four after


@dataclass(frozen=True)
class SongRoles:
    """What each bar that a song plays is in it, in the order of the song's rows.

    Attributes:
        plays: (n,) int32, how often the song plays exactly this bar, all its files together.
        before_change: (n,) bool, the groove changes after this bar, or its file ends with it.
        before_crash: (n,) bool, the next bar has a crash on its first step, and this bar has none there.
        role: (n,) uint8, a place in ``ROLES``.
    """

    plays: np.ndarray
    before_change: np.ndarray
    before_crash: np.ndarray
    role: np.ndarray


def song_roles(
    bars: Sequence[np.ndarray],
    which: np.ndarray,
    file_id: np.ndarray,
    bar_index: np.ndarray,
    kit: Kit,
    labels: np.ndarray | None = None,
) -> SongRoles:
    """Say of each bar of one song what it is in it.

    The *distance* of two bars is the share of their onsets that the other does not have, 0 … 1. Kick, snare and toms
    count 1, hats, ride and crash ½, everything else ¼: people never repeat a bar exactly, and vary these most. Bars of
    unlike grids are compared by the time of their onsets.

    *Unlike* is the distance from a bar to the second nearest of the six bars around it in its file, three before and
    three after where there are; that bar is *the groove around*. The song's *scatter* is the median of unlike: 0 of
    most sequenced songs, .2 to .4 of people. *Soft plays* count the song's bars, each by 1 − distance / .3 (0 from .3
    on). A bar *moves* by the tom steps that the groove around does not have, half of such snare steps, and half of the
    cymbal steps that the groove around has more.

    * **Fill**: two new steps of toms and snare at least, moves of 2 at least, and

        (unlike − scatter) / .3 + moves / 5 + ¼ [stands before a change or a crash] ≥ 1.

    * **Groove**: no fill, at least ¾ of the soft plays of the groove around, and unlike at most .4.
    * **Variation**: everything else. That is a groove with changes, but breaks, count-ins and endings too.

    A change stands behind a bar if its file ends; or if, of the four bars up to it and of the four after, the bars with
    most soft plays lie farther apart than scatter + .15, and the next bar is within this distance of the new one, while
    this bar is not.

    Bars of files with fewer than four bars are taken by themselves: [kick on 1] · 2 + [snare on 2 and 4] · 2 + steps
    with a cymbal − steps with a tom ≥ 4 is a groove; less is a fill, if it has three steps of toms and snare, or else a
    variation. A label comes first: a bar of a file labelled as a fill is a fill, unless it has neither snare nor tom,
    which makes it the note that the fill lands on: a variation. In a short file labelled as a beat it is a groove.

    Args:
        bars: the song's distinct bars, each (steps, parts) bool, of any grids, none empty.
        which: (n,) ints, the distinct bar that each bar played is.
        file_id: (n,) ints, the file of each bar played; rows are sorted by file, then by bar.
        bar_index: (n,) ints, the place of each bar in its file.
        kit: what the parts are; kick, snare, toms and cymbals are found by their names.
        labels: (n,) ints, 0 none, 1 beat, 2 fill: what the data set says of the file that each bar is from.

    Raises:
        ValueError: no bars, columns of unlike lengths, or bars of another kit.
    """
    which, file_id, bar_index = np.asarray(which), np.asarray(file_id), np.asarray(bar_index)
    n = len(which)
    if not n or not len(file_id) == len(bar_index) == n or (labels is not None and len(labels) != n):
        raise ValueError(f"a song has bars, each with a file and an index; got {n}, {len(file_id)}, {len(bar_index)}")
    alike = _compare(bars, kit)
    plays = np.bincount(which, minlength=len(bars)).astype(np.int32)
    soft_plays = np.maximum(1 - alike.distance / UNRELATED, 0) @ plays.astype(np.float32)

    rows = np.arange(n)
    first = np.flatnonzero(np.concatenate([[True], file_id[1:] != file_id[:-1]]))
    lengths = np.diff(first, append=n)
    start, length = np.repeat(first, lengths), np.repeat(lengths, lengths)
    end = start + length

    around, unlike = _groove_around(which, start, end, alike.distance)
    long = length >= LEAST_BARS
    scatter = float(np.median(unlike[long])) if long.any() else 0.0
    follows = (file_id[1:] == file_id[:-1]) & (bar_index[1:] == bar_index[:-1] + 1)
    before_crash = np.zeros(n, bool)
    before_crash[:-1] = follows & alike.crash[which[1:]] & ~alike.crash[which[:-1]]
    before_change = _changes(which, start, end, soft_plays, alike.distance, scatter + SAME_GROOVE) | (rows == end - 1)

    new_toms, new_snares = alike.new_toms[which, around], alike.new_snares[which, around]
    lost_cymbals = np.maximum(alike.cymbal_steps[around] - alike.cymbal_steps[which], 0)
    moves = new_toms + new_snares / 2 + lost_cymbals / 2
    score = (unlike - scatter) / UNLIKE_OF_A_FILL + moves / MOVES_OF_A_FILL + MARK * (before_change | before_crash)
    fill = (new_toms + new_snares >= 2) & (moves >= LEAST_MOVES) & (score >= 1)
    groove = (soft_plays[which] >= soft_plays[around] * AS_COMMON) & (unlike <= FAR)
    role = np.where(fill, FILL, np.where(groove, GROOVE, VARIATION))

    by_itself = np.where(alike.drum_steps >= 3, FILL, VARIATION)
    by_itself[alike.signs_of_a_groove >= SIGNS_OF_A_GROOVE] = GROOVE
    role = np.where(long, role, by_itself[which])
    if labels is not None:
        role[~long & (labels == LABELLED_BEAT)] = GROOVE
        role = np.where(labels == LABELLED_FILL, np.where(alike.drum_steps[which] > 0, FILL, VARIATION), role)
    return SongRoles(plays[which], before_change, before_crash, role.astype(np.uint8))


def _groove_around(
    which: np.ndarray, start: np.ndarray, end: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the second nearest of the bars around each bar, as a distinct bar, and (n,) its distance, inf where none is.

    One bar of its own kind proves nothing. In a file of four bars or fewer it is the nearest. At a file's ends the six
    bars around lie more on one side.
    """
    rows = np.arange(len(which))
    near = np.maximum(np.minimum(rows - _REACH, end - 2 * _REACH - 1), start)[:, None] + np.arange(2 * _REACH + 1)
    inside = (near < end[:, None]) & (near != rows[:, None])
    near = which[np.where(inside, near, rows[:, None])]
    apart = np.where(inside, distance[which[:, None], near], np.inf)
    nearest = apart.argmin(1)
    several = end - start > 4
    apart_of_others = apart.copy()
    apart_of_others[rows[several], nearest[several]] = np.inf
    column = apart_of_others.argmin(1)
    return near[rows, column], apart[rows, column]


def _changes(
    which: np.ndarray, start: np.ndarray, end: np.ndarray, soft_plays: np.ndarray, distance: np.ndarray, same: float
) -> np.ndarray:
    """(n,) bool: the groove changes after the bar; bars of one groove lie within ``same``."""
    rows = np.arange(len(which))
    near = rows[:, None] + _PHRASES
    inside = (near >= start[:, None]) & (near < end[:, None])
    near = which[np.where(inside, near, rows[:, None])]
    commonness = np.where(inside, soft_plays[near], -1)
    old = near[rows, commonness[:, :BEATS].argmax(1)]
    new = near[rows, BEATS + commonness[:, BEATS:].argmax(1)]
    arrives = distance[near[:, BEATS], new] <= same
    return arrives & (distance[old, new] > same) & (distance[which, new] > same)


@dataclass(frozen=True)
class _Comparison:
    """A song's m distinct bars compared with each other, and what each has by itself.

    Attributes:
        distance: (m, m), 0 … 1.
        new_toms, new_snares: (m, m), steps on which bar i has a tom (a snare) and bar j has none.
        cymbal_steps, drum_steps: (m,), steps with a hat, ride or crash; steps with a tom, plus steps with a snare.
        signs_of_a_groove: (m,), see ``song_roles``.
        crash: (m,) bool, a crash is on the first step.
    """

    distance: np.ndarray
    new_toms: np.ndarray
    new_snares: np.ndarray
    cymbal_steps: np.ndarray
    drum_steps: np.ndarray
    signs_of_a_groove: np.ndarray
    crash: np.ndarray


def _compare(bars: Sequence[np.ndarray], kit: Kit) -> _Comparison:
    cells = _on_one_line(bars, kit)
    parts = drum_parts(kit)
    flat = (cells * _roots(kit)).reshape(len(cells), -1)
    size = np.einsum("ij,ij->i", flat, flat)
    distance = np.maximum(1 - 2 * (flat @ flat.T) / (size[:, None] + size), 0)
    kick, snare, tom, cymbal, crash = (
        np.asarray(cells[..., indices].any(-1), np.float32)
        for indices in (parts.kicks, parts.snares, parts.toms, parts.cymbals, parts.crashes)
    )
    tom_steps, snare_steps, cymbal_steps = tom.sum(1), snare.sum(1), cymbal.sum(1)
    beat = cells.shape[1] // BEATS  # every line has the beats at even distances
    signs = 2 * kick[:, 0] + 2 * snare[:, beat] * snare[:, 3 * beat] + cymbal_steps - tom_steps
    return _Comparison(
        distance=distance,
        new_toms=tom_steps[:, None] - tom @ tom.T,
        new_snares=snare_steps[:, None] - snare @ snare.T,
        cymbal_steps=cymbal_steps,
        drum_steps=tom_steps + snare_steps,
        signs_of_a_groove=signs,
        crash=crash[:, 0] > 0,
    )


def _on_one_line(bars: Sequence[np.ndarray], kit: Kit) -> np.ndarray:
    """(m, places, parts) bool: bars of any grids on the places in time that their grids have together."""
    steps = np.array([len(bar) for bar in bars])
    grids = set(steps.tolist())
    if any(bar.shape[1:] != (kit.n_parts,) for bar in bars):
        raise ValueError(f"expected bars (steps, {kit.n_parts}) for kit {kit.name}")
    if len(grids) == 1:
        return np.array(bars)
    places_of = {grid: np.arange(0, _CELLS, _CELLS // grid) for grid in grids}
    places = np.unique(np.concatenate(list(places_of.values())))
    cells = np.zeros((len(bars), len(places), kit.n_parts), bool)
    for grid, places_of_grid in places_of.items():
        rows = np.flatnonzero(steps == grid).tolist()
        columns = np.searchsorted(places, places_of_grid)
        cells[np.ix_(rows, columns)] = np.array([bars[row] for row in rows])
    return cells


@dataclass(frozen=True)
class DrumParts:
    """The parts of a kit that make its grooves, by their names, as places in the kit."""

    kicks: list[int]
    snares: list[int]
    toms: list[int]
    cymbals: list[int]
    crashes: list[int]


@functools.cache
def drum_parts(kit: Kit) -> DrumParts:
    """Which parts of a kit are kick, snare, toms, cymbals (hats, ride, crash) and crash. Percussion is none of them."""

    def named(*words: str) -> list[int]:
        return [index for index, name in enumerate(kit.names) if any(word in name for word in words)]

    return DrumParts(
        named("kick"), named("snare"), named("tom"), named("hat", "ride", "crash", "cymbal"), named("crash")
    )


@functools.cache
def _roots(kit: Kit) -> np.ndarray:
    """(parts,) float32, the root of what each part counts in a distance: in products of bars it is squared."""
    parts = drum_parts(kit)
    counts = np.full(kit.n_parts, 0.25, np.float32)
    counts[parts.cymbals] = 0.5
    counts[parts.kicks + parts.snares + parts.toms] = 1
    return np.sqrt(counts)
