"""The agent: its environment, rewards, network and training, put together."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan.conditions import ANY
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner.agent import Agent, AgentConfig, load_agent, save_agent
from rl_tuner.config import AGENT, ReadOutConfig, SoftQConfig, StepwiseEnvConfig
from rl_tuner.envs.stepwise import StepwiseEnv, StepwiseVectorEnv, vector_env
from rl_tuner.soft_q import SoftQ
from rl_tuner.stepwise.dynamics import StepwiseDynamics
from rl_tuner.training import Progress, Run

WEIGHTS = "agent.safetensors"

_FITTED_ON = 8000
"""Bars that the read-out is fitted on where no agent is trained: a few seconds' work."""


def train_agent(
    generator: LatentModel,
    critic: Critic,
    prior: Likelihood,
    targets: Tensor,
    bars: np.ndarray,
    out: str | Path,
    training: SoftQConfig | None = None,
    config: AgentConfig | None = None,
    env: StepwiseEnvConfig | None = None,
    read_out: ReadOutConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Path:
    """Fit a read-out to the generator, then learn what it cannot say; resume a run in ``out`` that was stopped.

    Writes into ``out``: ``agent.safetensors`` and what ``Run`` writes.

    Args:
        generator: what it steers.
        critic: what it is rewarded by for realism.
        prior: what it is rewarded by for likelihood.
        targets: (m, F), features of real bars.
        bars: (m, steps, parts) bool, real bars to stay close to.
        out: a folder, created if missing.
        training: how to learn; as the bundled agent did by default.
        config: the shape of the agent; its generator must be this one. Its temperature is that of the training.
        env: what it learns on.
        read_out: how the read-out is fitted.
        progress: hears how far it is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or a feature cannot be steered.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, env, read_out = training or AGENT, env or StepwiseEnvConfig(), read_out or ReadOutConfig()
    config = replace(config or AgentConfig.of(generator), temperature=training.temperature)
    if config.generator != generator.fingerprint:
        raise ValueError("the agent's config is that of another generator")
    prior = prior.with_condition(config.role, config.style)
    described = {
        "model": "agent",
        "prior": prior.fingerprint,
        "set of targets": _digest(targets.float().numpy()),
        "set of bars": _digest(bars),
        "agent": asdict(config),
        "critic": critic.critic_fingerprint,
        "env": asdict(env),
        "read-out": asdict(read_out),
        "training": asdict(training),
    }
    Agent(config)  # a shape or a feature that there is not leaves no folder
    with Run(out, described) as run:
        path = run.out / WEIGHTS
        if run.resumes:  # with the very read-out that it began with; what was learnt is in the checkpoint
            agent = load_agent(path)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(training.seed)
                agent = Agent.untaught(generator, critic, prior, config, read_out)
        envs = StepwiseVectorEnv(agent.dynamics(generator, critic, prior), targets, bars, **asdict(env))
        learner = SoftQ(envs, training, agent.network.requires_grad_(True))

        def save(facts: dict[str, str]) -> None:
            # the target network is the average of the last online ones, and steadier
            taught = Agent(config)
            taught.load_state_dict(agent.state_dict())
            taught.network.load_state_dict(learner.target_network.state_dict())
            save_agent(path, taught, {**facts, "trained_targets": str(len(targets))})

        run.train(learner, save, progress)
    return path


def _digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()[:16]


def bundled_dynamics(**options: Any) -> StepwiseDynamics:
    """The dynamics of the bundled models, with a scale and a read-out that are found anew; options of the agent."""
    generator, prior = load_generator().with_condition(ANY, ANY), load_likelihood().with_condition(ANY, ANY)
    config = AgentConfig.of(generator, **options)
    agent = Agent.untaught(generator, generator, prior, config, ReadOutConfig(bars=_FITTED_ON))
    return agent.dynamics(generator, generator, prior)


def bundled_env(dynamics: StepwiseDynamics | None = None, **options: Any) -> StepwiseEnv:
    """``StepwiseDrums-v0``: a ``StepwiseEnv``, by default of the bundled models."""
    return StepwiseEnv(dynamics or bundled_dynamics(), **options)


def bundled_vector_env(dynamics: StepwiseDynamics | None = None, **options: Any) -> StepwiseVectorEnv:
    """``StepwiseDrums-v0`` as a native batch, by default of the bundled models."""
    return vector_env(dynamics or bundled_dynamics(), **options)
