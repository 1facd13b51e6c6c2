"""Agents that toggle lines: their environment, reward, network and training, put together."""

from __future__ import annotations

from typing import Any

from rl_tuner.envs.toggle import ToggleEnv, ToggleVectorEnv, vector_env


def bundled_env(**options: Any) -> ToggleEnv:
    """``DrumToggle-v0``: a ``ToggleEnv``."""
    return ToggleEnv(**options)


def bundled_vector_env(**options: Any) -> ToggleVectorEnv:
    """``DrumToggle-v0`` as a native batch."""
    return vector_env(**options)
