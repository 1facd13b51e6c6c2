"""The environment of bars that are decided step by step, put together from the bundled models."""

from __future__ import annotations

from typing import Any

from rhythmgan.conditions import ANY
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rl_tuner.envs.stepwise import StepwiseEnv, StepwiseVectorEnv, vector_env
from rl_tuner.scale import find_scale
from rl_tuner.search.config import ReadOutConfig
from rl_tuner.search.read_out import fit_read_out
from rl_tuner.stepwise.dynamics import StepwiseDynamics

_FITTED_ON = 8000
"""Bars that the read-out is fitted on where none is given: a few seconds' work."""


def bundled_dynamics(**options: Any) -> StepwiseDynamics:
    """The dynamics of the bundled models, with a scale and a read-out that are found anew; options of the dynamics."""
    generator, prior = load_generator().with_condition(ANY, ANY), load_likelihood().with_condition(ANY, ANY)
    scale = find_scale(generator, generator, prior)
    read_out = fit_read_out(generator, scale, ReadOutConfig(bars=_FITTED_ON))
    return StepwiseDynamics(generator, generator, prior, scale, read_out, **options)


def bundled_env(dynamics: StepwiseDynamics | None = None, **options: Any) -> StepwiseEnv:
    """``StepwiseDrums-v0``: a ``StepwiseEnv``, by default of the bundled models."""
    return StepwiseEnv(dynamics or bundled_dynamics(), **options)


def bundled_vector_env(dynamics: StepwiseDynamics | None = None, **options: Any) -> StepwiseVectorEnv:
    """``StepwiseDrums-v0`` as a native batch, by default of the bundled models."""
    return vector_env(dynamics or bundled_dynamics(), **options)
