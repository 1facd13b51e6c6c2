"""Which grid a bar is on: 16, 12, 32, 24, or none.

A grid of a bar is a grid of its beats: four, three, eight or six steps a beat. So all that counts is where in its beat
each onset lies, and which bars stand together. Three rules decide; docs/method.md has their formulas.

* **Machines.** A bar is on a grid if nine in ten of its onsets lie within 15 % of a sixteenth of one of its steps. Of
  several such grids it takes the simplest. A bar that is on 16 and on 12 at once, such as a bar of quarter notes, takes
  the commonest grid of the bars around it.
* **Swing.** Where more than a tenth of a song's bars are on no grid by that rule, or on 32, and their off-beat eighths
  all lie alike late, they are measured without this swing: on 16, or on 12 if the third triplet is nearer.
* **People.** Where more than a tenth of a song's bars are on no grid by that rule, the scatter of those bars is
  estimated, and they take the grid under which their own onsets, those of their neighbours and the song are likeliest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

OWN_GRIDS = (16, 12, 32, 24)
"""The grids that a bar may be on, in steps a bar, the one that is preferred first."""

_STEPS = np.append(OWN_GRIDS, 0)
"""The same by column; the last one, which is also column -1, is none."""
_32 = 2
"""The column of 32 in ``OWN_GRIDS``."""
_PER_BEAT = np.array([4, 3, 8, 6])
_IS_TRIPLE = np.array([False, True, False, True])
_IS_FINE = np.array([False, False, True, True])

TOLERANCE = 0.0375
"""How far from a step, in beats, an onset of a machine is still on it: 15 % of a sixteenth."""

SHARE = 0.9
"""The share of a bar's onsets that are on a grid's steps if the bar is on it."""

_LOOSE_TOLERANCE = 0.05
"""The same of people, where three times their scatter is less; and the share, which also holds for a single bar of a
machine that is on 16 or 12 but for some strays."""
_LOOSE_SHARE = 0.75

_MIN_ONSETS = 4
"""A bar of fewer onsets says too little of its grid: it follows those around it."""

_NEAR = 0.85 ** np.abs(np.arange(-8, 9))
"""What each of the bars around counts in the choice of a bar that is on several grids: eight to each side, and what
every bar of the song counts."""
_FAR = 0.04

_MACHINE, _PEOPLE = 0.1, 0.8
"""Shares of bars on no grid by the machines' rule. Up to the first it alone decides. From the second on, a bar may be
on 24 or 32 by chance, and is on 16 if that is likelier."""

# the swing of a song's eighths
_OFF_BEAT = (3 / 8, 17 / 24)
"""Where in its beat an off-beat eighth lies, straight or swung."""
_SWING = (0.53, 31 / 48)
"""Earlier ones are straight. Later ones are nearer to the third triplet than to a thirty-second, and need no help."""
_TRIPLET_SWING = 7 / 12
"""From here on they are nearer to the third triplet than to the middle of the beat."""
_MIN_OFF_BEATS = 2
_SWING_REACH = 0.055
_SWING_SHARE = 0.8
"""Bars swing if they have so many off-beats, and one each; and if this share of these lies so near to their median, in
beats."""
_MAX_DELAY = 1 / 16
"""How far from the beats the onsets on them may lie, in beats, where a swing is looked for."""
_PLAYED = 0.005
"""The scatter above which people play the off-beats, in beats: some two ticks of 480."""

# the likelihood of where in its beat an onset lies
_BINS = 96
"""Places in a beat."""
_PLACES = (
    (0.40, 0.14, 0.32, 0.14),
    (0.50, 0.15, 0.35),
    (0.32, 0.05, 0.11, 0.05, 0.26, 0.05, 0.11, 0.05),
    (0.36, 0.08, 0.14, 0.20, 0.12, 0.10),
)
"""How common each step of a beat is, on each of ``OWN_GRIDS``."""
_SCATTERS = np.array([0.008, 0.016, 0.024, 0.032, 0.042, 0.055])
"""Standard deviations of an onset around its step that are tried, in beats."""
_LESS_EXACT = 0.2
"""The share of onsets that scatter about twice as far."""
_OUTLIERS = 0.04
"""The share of onsets that lie anywhere."""
_COMPLEX = (0.0, 0.0, 0.15, 0.1)
"""What each onset costs on a grid that is fine, in nats: it comes near to one of so many steps by chance."""
_DELAYS = np.arange(-10, 11)
"""Delays of some bars that are tried, in bins."""
_DELAY_PRIOR = -((_DELAYS / 5) ** 2) / 2
"""Small delays are commoner."""
_PRIOR = np.log([0.70, 0.20, 0.02, 0.04, 0.04])
"""How common the grids, and none, are in a song of which nothing is known."""
_EVIDENCE = 3.0
"""How much likelier than anywhere onsets must be on a grid, in nats: the best of many delays always is a little."""
_DOUBT = 3.0
"""How much likelier anywhere a bar's own onsets may be, in nats, if its neighbours say that it is on a grid."""
_REACH = 4
"""Neighbours to each side that speak for a bar, and what each counts."""
_WINDOW = 0.5 * 0.7 ** np.abs(np.arange(-_REACH, _REACH + 1))
_WINDOW[_REACH] = 1.0
_MAX_ROWS = 512
"""Bars from which the scatter is taken."""


def choose_grids(place: np.ndarray, row: np.ndarray, n_rows: int, is_ternary: np.ndarray) -> np.ndarray:
    """The grid of each bar of a song.

    Args:
        place: (n,) float64, where each onset lies, in beats from any beat of its bar.
        row: (n,) ints from 0 to below n_rows, the bar of each onset.
        n_rows: bars, each with an onset, in their order.
        is_ternary: (n_rows,) bool, bars whose beats have three parts (12/8): they are on 12, 24 or none.

    Returns:
        (n_rows,) int64: 16, 12, 32 or 24; 0 for a bar on none of them.
    """
    if not n_rows:
        return np.zeros(0, np.int64)
    count = np.bincount(row, minlength=n_rows)
    says_much = count >= _MIN_ONSETS
    strays = _strays(place, row, n_rows)
    if is_ternary.any():
        strays[is_ternary] += np.where(_IS_TRIPLE, 0, len(row) + 1)
    few = count * (1 - SHARE) + 1e-9
    fits = strays <= few[:, None]
    simplest, is_decided = _simplest(fits, says_much)
    if is_decided.all() and not (simplest == _32).any():
        return _STEPS[simplest]
    is_lost = is_unsure = says_much & (simplest < 0)
    n_sure = max(1, int(says_much.sum()))
    lost = np.count_nonzero(is_lost) / n_sure

    swing = None
    on_32 = is_decided & (simplest == _32)
    may_swing = (is_lost | on_32) & ~is_ternary
    n_swing = int(np.count_nonzero(may_swing))
    if n_swing > _MACHINE * n_sure:
        swing = _swing(place[may_swing[row]], n_swing)
    if swing is not None:
        moved = swing.removed_from(place)
        # what a machine plays on 32 stays there
        off_swing = _off(moved, row, n_rows, _PER_BEAT[swing.column], swing.tolerance)
        on_swing = (may_swing if swing.is_played else may_swing & is_lost) & (off_swing <= few)
        place = np.where((may_swing | ~is_decided)[row], moved + swing.delay, place)
        fits[on_swing] = np.arange(len(OWN_GRIDS)) == swing.column
        simplest, is_decided = _simplest(fits, says_much)
        is_lost = says_much & (simplest < 0)
        is_unsure = is_unsure | on_swing

    if is_lost.any():
        nearly_fits = (strays <= count[:, None] * (1 - _LOOSE_SHARE)) & ~_IS_FINE
        fits |= nearly_fits & (is_lost & (count > _MIN_ONSETS))[:, None]
    choice = np.where(is_decided, simplest, _commonest_around(fits, simplest, is_decided))
    is_played = swing is not None and swing.is_played
    if lost > _MACHINE or is_played:
        likeliest = _likeliest(place, row, count, is_unsure, is_ternary)
        is_chance = is_decided & (simplest >= 2) & (lost > _PEOPLE) & (likeliest == 0)
        if swing is not None and swing.is_played:
            is_chance |= on_32 & (off_swing <= 1) & (likeliest == swing.column)
        # a song that is on grids but for its swing has voices enough for a bar that is on several
        is_settled = is_decided if lost > _MACHINE else ~is_lost
        choice = np.where(is_settled & ~is_chance, choice, likeliest)
    return _STEPS[choice]


def _simplest(fits: np.ndarray, says_much: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows,) columns of ``OWN_GRIDS``: the simplest grid that each bar fits, -1 for none; whether that decides."""
    # 24 before 32: thirty-seconds are so dense that onsets come near to them by chance
    simplest = np.select([fits[:, 0], fits[:, 1], fits[:, 3], fits[:, 2]], [0, 1, 3, 2], -1)
    return simplest, says_much & (simplest >= 0) & ~(fits[:, 0] & fits[:, 1])


@dataclass(frozen=True)
class _Swing:
    """How the off-beat eighths of a song swing.

    Attributes:
        place: where in the beat they lie.
        delay: how late the onsets on beats are, in beats.
        scatter: the standard deviation of the off-beats, in beats.
    """

    place: float
    delay: float
    scatter: float

    @property
    def is_played(self) -> bool:
        """Whether they scatter as people do."""
        return self.scatter > _PLAYED

    @property
    def column(self) -> int:
        """The column of 16 in ``OWN_GRIDS``, or of 12 where they are nearer to the third triplet."""
        return int(self.place >= _TRIPLET_SWING)

    @property
    def tolerance(self) -> float:
        """How far from a step an onset without the swing is still on it, in beats."""
        return max(_LOOSE_TOLERANCE, 3 * self.scatter) if self.is_played else TOLERANCE

    def removed_from(self, place: np.ndarray) -> np.ndarray:
        """Places in the beat without delay and swing. Time is bent back as ``Playback`` bends it within eighths."""
        beat, within = np.divmod(place - self.delay, 1)
        goal = 2 / 3 if self.column else 0.5
        return beat + np.interp(within, (0, self.place, 1), (0, goal, 1))


def _swing(place: np.ndarray, n_bars: int) -> _Swing | None:
    """The swing of the onsets of some bars; None if their off-beats are not late, not all alike, or too few."""
    from_beat = place - np.rint(place)
    on_beat = from_beat[np.abs(from_beat) < 1 / 8]
    delay = _median(on_beat) if len(on_beat) else math.inf
    if abs(delay) > _MAX_DELAY:
        return None
    within = (place - delay) % 1
    off_beat = within[(within >= _OFF_BEAT[0]) & (within < _OFF_BEAT[1])]
    if len(off_beat) < max(_MIN_OFF_BEATS, n_bars):
        return None
    swing = _median(off_beat)
    distance = np.abs(off_beat - swing)
    near = distance[distance <= _SWING_REACH]
    if not _SWING[0] <= swing < _SWING[1] or len(near) < _SWING_SHARE * len(off_beat):
        return None
    # the mean distance is √(2/π) of a normal scatter
    return _Swing(swing, delay, float(near.mean()) * math.sqrt(math.pi / 2))


def _median(values: np.ndarray) -> float:
    """The middle one, or the later one of the middle two: faster than numpy's."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _strays(place: np.ndarray, row: np.ndarray, n_rows: int) -> np.ndarray:
    """(n_rows, 4) ints: how many of a bar's onsets are on no step of each grid."""
    strays = np.empty((n_rows, len(OWN_GRIDS)), np.int64)
    for column, per_beat in enumerate(_PER_BEAT.tolist()):
        strays[:, column] = _off(place, row, n_rows, per_beat, TOLERANCE)
    return strays


def _off(place: np.ndarray, row: np.ndarray, n_rows: int, per_beat: int, tolerance: float) -> np.ndarray:
    """(n_rows,) ints: how many of a bar's onsets are farther than ``tolerance`` beats from a step."""
    exact = place * per_beat
    is_stray = np.abs(exact - np.rint(exact)) > tolerance * per_beat + 1e-6
    return np.bincount(row[is_stray], minlength=n_rows)


def _commonest_around(fits: np.ndarray, simplest: np.ndarray, is_decided: np.ndarray) -> np.ndarray:
    """(n_rows,) columns of ``OWN_GRIDS``: of those that a bar fits, the commonest around it; -1 for none.

    If no bar is decided, 16 or, where a bar does not fit it, 12.
    """
    if is_decided.all():
        return simplest
    votes = np.empty(fits.shape)
    for column in range(len(OWN_GRIDS)):
        voices = (is_decided & (simplest == column)).astype(float)
        votes[:, column] = np.convolve(voices, _NEAR)[8:-8] + _FAR * voices.sum()
    votes[:, 0] += 1e-9
    votes[:, 1] += 1e-10
    votes[~fits] = 0
    return np.where(votes.any(1), votes.argmax(1), -1)


def _likeliest(
    place: np.ndarray, row: np.ndarray, count: np.ndarray, is_lost: np.ndarray, is_ternary: np.ndarray
) -> np.ndarray:
    """(n_rows,) columns of ``OWN_GRIDS``: the likeliest of each bar; -1 for none.

    The scatter is that of the lost bars, the delay that of a bar and its neighbours.
    """
    n_rows, n_grids = len(count), len(OWN_GRIDS)
    table = _log_densities()
    bins = np.rint(place % 1 * _BINS).astype(np.int64) % _BINS
    histogram = np.bincount(row * _BINS + bins, minlength=n_rows * _BINS).reshape(n_rows, _BINS).astype(np.float32)
    start = int(is_lost.argmax())
    some = slice(start, start + _MAX_ROWS)
    under = (histogram[some] @ table.reshape(_BINS, -1)).reshape(-1, *table.shape[1:])
    around = _sum_around(under) + _DELAY_PRIOR[:, None] + _PRIOR[:n_grids]
    scatter = int(around.max((2, 3))[is_lost[some]].sum(0).argmax())

    under = histogram @ np.ascontiguousarray(table[:, scatter]).reshape(_BINS, -1)
    under = under.reshape(n_rows, len(_DELAYS), n_grids)
    delay = (_sum_around(under) + _DELAY_PRIOR[:, None]).argmax(1)
    own = np.take_along_axis(under, delay[:, None], 1)[:, 0].astype(float)
    score = np.full((n_rows, n_grids + 1), _EVIDENCE)
    for column in range(n_grids):
        score[:, column] = np.convolve(own[:, column], _WINDOW)[_REACH:-_REACH]
    score[:, :n_grids][is_ternary] += np.where(_IS_TRIPLE, 0, -np.inf)
    prior = _PRIOR
    for _ in range(2):  # how common each grid is in this song
        chance = np.exp(score + prior - (score + prior).max(1, keepdims=True))
        total = (chance / chance.sum(1, keepdims=True)).sum(0)
        prior = np.log((total + 4 * np.exp(_PRIOR)) / (n_rows + 4))
    choice = (score + prior).argmax(1)

    rows, column = np.arange(n_rows), np.minimum(choice, n_grids - 1)
    is_none = (choice == n_grids) | (own[rows, column] < -_DOUBT)
    per_beat = _PER_BEAT[column][row]
    exact = (place - (_DELAYS / _BINS)[delay[rows, column]][row]) * per_beat
    is_stray = np.abs(exact - np.rint(exact)) > max(_LOOSE_TOLERANCE, 3 * _SCATTERS[scatter]) * per_beat
    is_none |= np.bincount(row[is_stray], minlength=n_rows) > count * (1 - _LOOSE_SHARE)
    return np.where(is_none, -1, column)


@lru_cache(maxsize=1)
def _log_densities() -> np.ndarray:
    """(bins, scatters, delays, grids) float32: log density of an onset in its beat, 0 for one that lies anywhere."""
    bins = np.arange(_BINS) / _BINS
    table = np.empty((_BINS, len(_SCATTERS), len(_DELAYS), len(OWN_GRIDS)), np.float32)
    for column, places in enumerate(_PLACES):
        # the beat before and the one after, because a beat is a circle
        distance = bins[:, None] - np.arange(-len(places), 2 * len(places)) / len(places)
        weight = np.tile(places, 3)
        for i, scatter in enumerate(_SCATTERS.tolist()):
            bell = (1 - _LESS_EXACT) * _bell(distance, scatter) + _LESS_EXACT * _bell(distance, 2 * scatter + 0.01)
            density = np.log((1 - _OUTLIERS) * (bell * weight).sum(1) + _OUTLIERS) - _COMPLEX[column]
            for j, delay in enumerate(_DELAYS.tolist()):
                table[:, i, j, column] = np.roll(density, delay)
    return table


def _bell(distance: np.ndarray, scatter: float) -> np.ndarray:
    """The normal density."""
    return np.exp(-((distance / scatter) ** 2) / 2) / (scatter * math.sqrt(2 * math.pi))


def _sum_around(rows: np.ndarray) -> np.ndarray:
    """The sum of each row and of its neighbours."""
    total = np.concatenate([np.zeros_like(rows[:1]), np.cumsum(rows, 0)])
    place = np.arange(len(rows))
    return total[np.minimum(place + _REACH + 1, len(rows))] - total[np.maximum(place - _REACH, 0)]
