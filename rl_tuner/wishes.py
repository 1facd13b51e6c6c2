"""What a user asks for, in the words of the command line, as targets of each bar.

A wish is a number (``20``), a change of what a given bar has (``+4``, ``-3``) or a percentile of real bars (``80%``).
A number below 0, of the one feature that knows such, has an = before it: ``=-25``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rhythmgan.features import LEVELS, check_feature, measure, measure_performance
from rhythmgan.groove import swing_at
from rhythmgan.performance import Performance
from rhythmgan.playback import MAX_SWING, MIN_SWING
from rhythmgan.reference import Reference, load_reference

Kind = Literal["number", "change", "percentile"]

_MAY_BE_NEGATIVE = ("signed LHL",)
"""Features that are below 0 for some bars; no other one is for any."""


@dataclass(frozen=True)
class Wish:
    """What one bar, or every bar, is asked for.

    Attributes:
        value: of the feature, in its own unit; a difference where the wish is a change; 0 … 100 of a percentile.
        kind: what the value is.
    """

    value: float
    kind: Kind = "number"

    def __str__(self) -> str:
        """As ``parse_wishes`` reads it."""
        is_negative = math.copysign(1, self.value) < 0
        sign = {"number": "=" if is_negative else "", "change": "" if is_negative else "+", "percentile": ""}[self.kind]
        short = f"{self.value:g}"
        number = short if float(short) == self.value else repr(self.value)
        return f"{sign}{number}{'%' if self.kind == 'percentile' else ''}"


@dataclass(frozen=True)
class Targets:
    """What wishes come to.

    Attributes:
        values: feature → a number for every bar, or with a given loop m numbers, one for each of its bars; of a swing
            always one. As ``steering.steer`` takes them.
        notes: what could not be asked for as it was wished, a line each.
    """

    values: dict[str, float | list[float]]
    notes: list[str]


# --- Reading wishes ----------------------------------------------------------------------------------


def parse_wishes(text: str) -> tuple[Wish, ...]:
    """The wishes of an option: one, or one for each bar with commas between.

    Raises:
        ValueError: one that is none of the three kinds.
    """
    return tuple(_parsed(part.strip()) for part in text.split(","))


def _parsed(text: str) -> Wish:
    is_change, is_percentile = text[:1] in ("+", "-"), text.endswith("%")
    if is_change and is_percentile:
        raise ValueError(f"{text!r} is a change and a percentile at once: ask for a change, +4, or a percentile, 80%")
    try:
        value = float(text.removesuffix("%") if is_percentile else text.removeprefix("="))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{text!r} is nothing to ask for: say a number (20), a change (+4 or -3) or a percentile of real bars (80%)"
        )
    if is_percentile and value > 100:
        raise ValueError(f"percentiles lie in 0 … 100, not {value:g}")
    return Wish(value, "change" if is_change else "percentile" if is_percentile else "number")


# --- From wishes to targets --------------------------------------------------------------------------


def to_targets(
    wishes: Mapping[str, Sequence[Wish]],
    given: Performance | None = None,
    locked: np.ndarray | None = None,
    whole_loop: bool = False,
    reference: Reference | None = None,
) -> Targets:
    """Targets of each bar from wishes.

    A change that would lead below 0 is bounded there, but of a feature that may be negative; that of a swing is bounded
    at .5 and .7; a note says so. Bars that are locked as a whole keep what they have as their target.

    Args:
        wishes: feature → one wish for all bars, or one for each bar of the given loop. Of a swing one: it is set when
            bars are played.
        given: the loop, m bars, that changes refer to.
        locked: (m, steps, parts) bool, cells of it that never change.
        whole_loop: whether a wish is of the mean over the loop's bars. The bars that are not locked share what is
            missing alike. Of counts the targets are whole numbers, and their sum comes as near to the wish times m as
            it can where bars that are equal have equal targets; a note says what it comes to.
        reference: what percentiles are of; the bundled real bars by default. Those of a swing are of Groove's drummers.

    Raises:
        ValueError: a change without a loop, another number of wishes than bars, a feature that there is not, or a
            percentile out of range.
    """
    for name, several in wishes.items():
        if name not in LEVELS:
            check_feature(name)
        _check_number(name, several, given, whole_loop)
    values: dict[str, float | list[float]] = {}
    notes: list[str] = []
    for name, several in wishes.items():
        if name in LEVELS:
            values[name] = _swing_target(name, several[0], given, notes)
        elif given is None:
            values[name] = _value(name, several[0], 0.0, reference)
        elif whole_loop:
            values[name] = _targets_of_loop(name, several[0], given, locked, reference, notes)
        else:
            values[name] = _targets_of_bars(name, several, given, locked, reference, notes)
    return Targets(values, notes)


def _check_number(name: str, wishes: Sequence[Wish], given: Performance | None, whole_loop: bool) -> None:
    """Raise a ValueError where there are not as many wishes as can be, or a change has nothing to change."""
    if given is None and any(wish.kind == "change" for wish in wishes):
        changes = ",".join(map(str, wishes))
        raise ValueError(f"{name} {changes} is a change of what a loop has, and needs one: --from-midi or --from-seed")
    if len(wishes) == 1:
        return
    if name in LEVELS:
        raise ValueError(f"{name} is one for all bars, not {len(wishes)} values")
    if given is None:
        raise ValueError(f"{name} is given {len(wishes)} values, for the bars of a loop, and needs one: --from-midi")
    if whole_loop:
        raise ValueError(f"{name} is given {len(wishes)} values, but with --whole-loop it is one, the mean of all bars")
    if len(wishes) != len(given):
        bars = "1 bar" if len(given) == 1 else f"{len(given)} bars"
        raise ValueError(f"{name} is given {len(wishes)} values, but the loop has {bars}")


def _value(name: str, wish: Wish, own: float, reference: Reference | None) -> float:
    """What a wish asks for, of what has ``own``.

    Raises:
        ValueError: a feature that the reference has not.
    """
    if wish.kind == "percentile":
        return float((reference or load_reference()).value(name, wish.value))
    return wish.value + (own if wish.kind == "change" else 0.0)


def _swing_target(name: str, wish: Wish, given: Performance | None, notes: list[str]) -> float:
    """The swing that is asked for; a change is of the mean of the loop's bars.

    Raises:
        ValueError: the loop has no such swing to change, or a percentile out of range.
    """
    if wish.kind == "percentile":
        return swing_at(wish.value, name)
    if wish.kind == "number" or given is None:
        return wish.value
    own = measure_performance(given, [name])[name].numpy()
    if np.isnan(own).all():
        raise ValueError(f"the loop has no off-beats whose {name} could be changed: ask for {name} .6, not {wish}")
    target = float(np.nanmean(own)) + wish.value
    bounded = min(max(target, MIN_SWING), MAX_SWING)
    if bounded != target:
        notes.append(f"{name} {wish}: the loop has {np.nanmean(own):.3g}, and is asked for {bounded:g}")
    return bounded


# --- Targets of the bars of a loop -------------------------------------------------------------------


def _targets_of_bars(
    name: str,
    wishes: Sequence[Wish],
    given: Performance,
    locked: np.ndarray | None,
    reference: Reference | None,
    notes: list[str],
) -> list[float]:
    """Each bar's own target; see ``to_targets``."""
    wishes = wishes if len(wishes) > 1 else [wishes[0]] * len(given)
    own = measure(given.bars, given.kit, [name])[name].tolist()
    is_free = _free_bars(given, locked).tolist()
    targets: list[float] = []
    below: dict[str, list[str]] = {}  # wish → numbers of the bars that cannot have it
    for place, (wish, has) in enumerate(zip(wishes, own, strict=True)):
        target = _value(name, wish, has, reference) if is_free[place] else float(has)
        if wish.kind == "change" and target < 0 and name not in _MAY_BE_NEGATIVE:
            below.setdefault(str(wish), []).append(str(place + 1))
            target = 0.0
        targets.append(target)
    for text, bars in below.items():
        words = ("bar", "has", "is") if len(bars) == 1 else ("bars", "have", "are")
        notes.append(f"{name} {text}: {words[0]} {', '.join(bars)} {words[1]} less, and {words[2]} asked for 0")
    return targets


def _targets_of_loop(
    name: str,
    wish: Wish,
    given: Performance,
    locked: np.ndarray | None,
    reference: Reference | None,
    notes: list[str],
) -> list[float]:
    """Targets whose mean is wished for; see ``to_targets``."""
    measured = measure(given.bars, given.kit, [name])[name]
    own, is_count = measured.double().numpy(), not measured.is_floating_point()
    mean = _value(name, wish, float(own.mean()), reference)
    least = -math.inf if name in _MAY_BE_NEGATIVE else 0.0
    equal = _equal_bars(given.bars) if is_count else None
    targets = _shared(own, _free_bars(given, locked), len(own) * mean, least, equal)
    if abs(targets.sum() - len(own) * mean) > (0.5 if is_count else 0.0) + 1e-6:
        can = targets.mean()
        notes.append(f"{name} {wish}: the loop cannot have {mean:.4g} on average, and is asked for {can:.4g}")
    found: list[float] = targets.tolist()
    return found


def _free_bars(given: Performance, locked: np.ndarray | None) -> np.ndarray:
    """(m,) bool, the bars of a loop that are not locked as a whole."""
    return np.ones(len(given), bool) if locked is None else ~np.asarray(locked.all((1, 2)))


def _equal_bars(bars: np.ndarray) -> list[np.ndarray]:
    """Places of the bars of a loop that are equal, each group in one array."""
    _, group = np.unique(bars.reshape(len(bars), -1), axis=0, return_inverse=True)
    group = group.reshape(-1)
    return [np.flatnonzero(group == i) for i in range(group.max() + 1)]


def _shared(
    own: np.ndarray, is_free: np.ndarray, total: float, least: float, equal: list[np.ndarray] | None
) -> np.ndarray:
    """Targets (m,) of bars that sum up to ``total`` if they can: free bars change alike.

    Args:
        own: (m,), what the bars have.
        is_free: (m,) bool, which may change.
        total: what all are asked for together.
        least: what no bar is asked for less than, 0 or −∞.
        equal: of a count the groups of equal bars: the targets are then whole numbers.
    """
    targets = own.copy()
    needed = max(total - own[~is_free].sum(), least)
    if equal is not None:
        needed = math.floor(needed + 0.5)
    is_open, change = is_free.copy(), 0.0
    while is_open.any():
        change = (needed - own[is_open].sum()) / is_open.sum()
        is_low = is_open & (own + change < least)
        if not is_low.any():
            break
        targets[is_low] = least  # the others make up for what these cannot lose
        is_open &= ~is_low
    if equal is None:
        targets[is_open] += change
        return targets
    targets[is_open] += math.floor(change)
    left = round(needed - targets[is_free].sum())
    targets[_chosen([group[is_open[group]] for group in equal], left)] += 1
    return targets


def _chosen(groups: list[np.ndarray], n: int) -> np.ndarray:
    """About n places, of whole groups: bars that are equal are asked for the same."""
    chosen = {0: np.zeros(0, int)}  # how many places → which, of whole groups
    for group in groups:
        longer = {count + len(group): np.append(places, group) for count, places in chosen.items()}
        chosen = longer | chosen
    return chosen[min(chosen, key=lambda count: abs(count - n))]
