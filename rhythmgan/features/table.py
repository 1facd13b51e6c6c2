"""Every feature of a bar by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from rhythmgan.features.counts import density, off_beat_share, parts_used, step_density
from rhythmgan.features.lines import as_bools, checked_bars, streams, union
from rhythmgan.features.note_rest import syncopation
from rhythmgan.features.shape import balance, evenness, npvi, repetition
from rhythmgan.features.syncopation_measures import (
    hoesl_senn,
    keith,
    metric_complexity,
    off_beatness,
    short_sighted_lhl,
    signed_lhl,
    witek,
    wnbd,
)
from rhythmgan.features.timing import sixteenth_swing, swing
from rhythmgan.kit import Kit
from rhythmgan.performance import Performance


def density_and_syncopation(bars: Tensor | np.ndarray, kit: Kit | None = None) -> tuple[Tensor, Tensor]:
    """``density`` and ``syncopation`` of bars (n, steps, parts) bool, both (n,) ints.

    What steering asks for at every step; ``benchmarks/features.py`` times it.

    Raises:
        ValueError: as ``syncopation``.
    """
    cells, kit = checked_bars(bars, kit)
    bars = as_bools(cells)
    return density(bars, kit), syncopation(bars, kit)


def _summed(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Kit], Tensor]:
    """A line's measure as that of a bar: its sum over the streams."""
    return lambda bars, kit: torch.stack([measure(line) for line in streams(bars, kit).values()]).sum(0)


def _averaged(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Kit], Tensor]:
    """A line's measure as that of a bar: its mean over the streams that sound; 0 where none does."""

    def mean(bars: Tensor, kit: Kit) -> Tensor:
        lines = torch.stack(list(streams(bars, kit).values()))
        sounds = lines.any(-1)
        return (sounds * torch.stack([measure(line) for line in lines])).sum(0) / sounds.sum(0).clamp(min=1)

    return mean


FEATURES: dict[str, Callable[[Tensor, Kit], Tensor]] = {
    "density": density,
    "kick density": lambda bars, kit: density(bars, kit, "kick"),
    "drums density": lambda bars, kit: density(bars, kit, "drums"),
    "cymbals density": lambda bars, kit: density(bars, kit, "cymbals"),
    "syncopation": syncopation,
    "low syncopation": lambda bars, kit: syncopation(bars, kit, "low"),
    "mid syncopation": lambda bars, kit: syncopation(bars, kit, "mid"),
    "high syncopation": lambda bars, kit: syncopation(bars, kit, "high"),
    "step density": lambda bars, kit: step_density(bars),
    "off-beat share": lambda bars, kit: off_beat_share(bars),
    "parts used": lambda bars, kit: parts_used(bars),
    "short-sighted LHL": lambda bars, kit: short_sighted_lhl(union(bars)),
    "signed LHL": _summed(signed_lhl),
    "WNBD": _averaged(wnbd),
    "Keith": _summed(keith),
    "off-beatness": _summed(off_beatness),
    "metric complexity": _summed(metric_complexity),
    "Witek": witek,
    "Hoesl-Senn": hoesl_senn,
    "repetition": lambda bars, kit: repetition(bars),
    "evenness": _averaged(evenness),
    "balance": _averaged(balance),
    "nPVI": _averaged(npvi),
}
"""Every feature of a bar on a grid by its name. Measures of a line are summed over the three streams where they are
counts or sums over onsets, averaged over those that sound where they are means; the short-sighted form is
that of all parts together, as in jaki."""

PERFORMANCE_FEATURES: dict[str, Callable[[Performance], Tensor]] = {
    "swing": swing,
    "sixteenth swing": sixteenth_swing,
}
"""Every feature of a performed bar by its name: what bars on a grid, without offsets, do not say."""


def measure(bars: Tensor | np.ndarray, kit: Kit | None = None, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Features of bars (n, steps, parts) bool: name → (n,), in the order of the names; all of ``FEATURES`` by default.

    Raises:
        ValueError: a shape that does not fit the kit, an unknown name, or one that is not defined on this grid.
    """
    cells, kit = checked_bars(bars, kit)
    bars = as_bools(cells)
    for name in names or ():
        check_feature(name)
    return {name: FEATURES[name](bars, kit) for name in (FEATURES if names is None else names)}


def features_of_grid(steps: int, kit: Kit) -> list[str]:
    """The names of the features that bars of so many steps have, in the order of ``FEATURES``."""
    bar = np.zeros((1, steps, kit.n_parts), bool)
    measure(bar, kit, ["density"])  # a grid that no bar has is no matter of a feature
    found = []
    for name in FEATURES:
        with suppress(ValueError):
            measure(bar, kit, [name])
            found.append(name)
    return found


def check_feature(name: str) -> str:
    """``name`` if it is one of ``FEATURES``, otherwise a ValueError that lists them."""
    if name not in FEATURES:
        raise ValueError(f"no feature is called {name!r}; there are {', '.join(FEATURES)}")
    return name


def measure_performance(performance: Performance, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Features of performed bars (n, steps, parts): name → (n,) float64, of several loops (loops, n).

    Args:
        performance: the bars, and how they are played.
        names: of ``PERFORMANCE_FEATURES``; all by default.

    Returns:
        In the order of the names. NaN for a bar that has no onset to measure.

    Raises:
        ValueError: an unknown name, or one that is not defined on this grid.
    """
    for name in names or ():
        check_performance_feature(name)
    return {
        name: PERFORMANCE_FEATURES[name](performance) for name in (PERFORMANCE_FEATURES if names is None else names)
    }


def check_performance_feature(name: str) -> str:
    """``name`` if it is one of ``PERFORMANCE_FEATURES``, otherwise a ValueError that lists them."""
    if name not in PERFORMANCE_FEATURES:
        raise ValueError(f"no feature of a performance is called {name!r}; there are {', '.join(PERFORMANCE_FEATURES)}")
    return name
