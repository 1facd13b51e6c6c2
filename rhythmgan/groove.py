"""How the drummers of Groove swing: from "more than 80 % of what they play" to a swing."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from rhythmgan.features import LEVELS, check_performance_feature
from rhythmgan.playback import MAX_SWING, MIN_SWING

_PATH = Path(__file__).parent / "weights" / "groove_swing.json"


@lru_cache(maxsize=1)
def groove_swing() -> dict[str, np.ndarray]:
    """Quantiles of the swing of Groove's bars, by the name of the feature: (1001,) float64, the least to the largest.

    Each counts the bars that have such off-beats, straight ones included. ``recipes/groove_swing.py`` makes them.
    """
    content = json.loads(_PATH.read_text(encoding="utf-8"))
    return {name: np.array(content["quantiles"][name]) for name in LEVELS}


def swing_at(percentile: float, name: str = "sixteenth swing") -> float:
    """The swing that is above so many percent of Groove's bars, as far as bars can be given it: .5 … .7.

    Args:
        percentile: 0 … 100.
        name: ``swing``, of the eighths, or ``sixteenth swing``.

    Raises:
        ValueError: a percentile out of range, or another feature.
    """
    check_performance_feature(name)
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentiles lie in 0 … 100, not {percentile}")
    quantiles = groove_swing()[name]
    found = quantiles[round(percentile / 100 * (len(quantiles) - 1))]
    return float(min(max(found, MIN_SWING), MAX_SWING))
