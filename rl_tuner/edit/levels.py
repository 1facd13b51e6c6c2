"""What the next bar may be asked for, and by which names: cheap to import, so that help texts can list it."""

from __future__ import annotations

from collections.abc import Mapping

LEVELS: Mapping[str, Mapping[str, float]] = {
    "cymbals": {"low": 2.0, "mid": 7.0, "high": 12.0},
    "drums": {"low": 2.0, "mid": 7.0, "high": 12.0},
    "syncopation": {"low": 0.0, "mid": 6.0, "high": 12.0},
    "repetition": {"low": 0.0, "mid": 0.5, "high": 1.0},
}
"""jaki's targets by feature and name: onsets of cymbals, onsets of drums (kick, snare, toms), short-sighted LHL of all
parts together, and how much of the bar's first half comes again in its second (0 … 1)."""

MEASURES: Mapping[str, str] = {
    "cymbals": "cymbals density",
    "drums": "drums density",
    "syncopation": "short-sighted LHL",
    "repetition": "repetition",
}
"""The names of these features in ``rhythmgan.features.FEATURES``."""

TOLERANCES: Mapping[str, float] = {"cymbals": 1.0, "drums": 1.0, "syncopation": 1.0, "repetition": 0.125}
"""How far from its target a feature may be to have it. Eight of repetition's lie between 0 and 1."""


def target_given(feature: str, text: str) -> float:
    """A target as the user writes it: a level's name or a number.

    Raises:
        ValueError: neither, or a number that no bar has.
    """
    levels = LEVELS[feature]
    if text in levels:
        return levels[text]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    most = 1.0 if feature == "repetition" else 32.0
    if not 0 <= value <= most:
        raise ValueError(f"{feature} is {', '.join(levels)} or a number from 0 to {most:g}, not {text!r}")
    return value
