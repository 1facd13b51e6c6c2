"""Agents that move a GAN's latent point until its bar has the density and the syncopation asked for.

>>> from rl_tuner import steer
>>> found = steer({"density": 20, "syncopation": 6}, n=8, calls=32, seed=0)
>>> bars, reached = found.bars, found.reached
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl_tuner.agent import load_agent
    from rl_tuner.steering import steer

__all__ = ["load_agent", "steer"]

_ROOMS = {"agent": ("load_agent",), "steering": ("steer",)}


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    """Import a room when one of its names is first used: help must not wait for torch."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"rl_tuner.{room}"), name)
    raise AttributeError(f"module 'rl_tuner' has no attribute {name!r}")
