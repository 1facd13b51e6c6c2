"""The environment of bars that are decided step by step, from the bundled models, and an agent that learns on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan.conditions import ANY
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rl_tuner.config import ReadOutConfig, SoftQConfig
from rl_tuner.envs.stepwise import StepwiseEnv, StepwiseVectorEnv, vector_env
from rl_tuner.scale import find_scale
from rl_tuner.soft_q import CandidateNetwork, SoftQ
from rl_tuner.stepwise.dynamics import MANY_NATS, StepwiseDynamics
from rl_tuner.stepwise.read_out import fit_read_out

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


_WORST = -30.0
"""Nats; a read-out's log-chance below it says no more."""


def learn_values(
    dynamics: StepwiseDynamics,
    targets: Tensor,
    bars: np.ndarray,
    config: SoftQConfig | None = None,
    num_envs: int = 512,
    width: int = 64,
    callback: Callable[[int, dict[str, float]], None] | None = None,
) -> CandidateNetwork:
    """Learn what each candidate is worth; before learning it is worth what the read-out says.

    Args:
        dynamics: what it learns on.
        targets: (m, F), features of real bars.
        bars: (m, steps, parts) bool, bars to be given.
        config: how to learn.
        num_envs: episodes at once.
        width: units of each layer of the network.
        callback: hears of training, see ``SoftQ.learn``.

    Returns:
        The averaged network: observations → values of the candidates. Its policy is ``soft_q.soft_policy`` at the
        temperature of the config.
    """
    config = config or SoftQConfig()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = CandidateNetwork(
            dynamics.shared.width,
            dynamics.each.width,
            dynamics.n_actions,
            width,
            advice=dynamics.each.slice("log chance").start,
            scale=MANY_NATS * config.temperature,
            floor=_WORST / MANY_NATS,
        )
    learner = SoftQ(StepwiseVectorEnv(dynamics, targets, bars, num_envs), config, network)
    learner.learn(callback)
    learned = learner.target_network
    assert isinstance(learned, CandidateNetwork)
    return learned
