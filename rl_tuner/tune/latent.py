"""The latent agent: its environment, reward, network and training, put together."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.data import Corpus
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner.config import LATENT_AGENT, DQNConfig, EnvConfig
from rl_tuner.dqn import DQN
from rl_tuner.envs.latent import LatentEnv, LatentVectorEnv, vector_env
from rl_tuner.latent.agent import LatentAgent, LatentAgentConfig, load_latent_agent, save_latent_agent
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.latent.space import find_space
from rl_tuner.scale import values_of
from rl_tuner.training import Progress, Run

WEIGHTS = "agent.safetensors"


def targets_of(corpus: Corpus, features: tuple[str, ...]) -> Tensor:
    """The features of each song's distinct bars, (n, features): what to steer to.

    Raises:
        ValueError: there are no bars.
    """
    distinct = corpus.distinct()
    if not len(distinct):
        raise ValueError("there are no bars to take targets from")
    return values_of(words_to_bars(distinct.words, corpus.kit.n_parts), features, corpus.kit)


def train_latent_agent(
    generator: LatentModel,
    critic: Critic,
    prior: Likelihood,
    targets: Tensor,
    out: str | Path,
    training: DQNConfig | None = None,
    config: LatentAgentConfig | None = None,
    env: EnvConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Path:
    """Find the generator's latent space, then learn to move in it; resume a run in ``out`` that was stopped.

    Writes into ``out``: ``agent.safetensors`` and what ``Run`` writes.

    Args:
        generator: what it steers.
        critic: what it is rewarded by for realism.
        prior: what it is rewarded by for likelihood.
        targets: (m, F), features of real bars, see ``targets_of``.
        out: a folder, created if missing.
        training: how to learn; as the bundled agent did by default.
        config: the shape of the agent; its generator must be this one.
        env: what it learns on.
        progress: hears how far it is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or a feature cannot be steered.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, env, config = training or LATENT_AGENT, env or EnvConfig(), config or LatentAgentConfig.of(generator)
    if config.generator != generator.fingerprint:
        raise ValueError("the agent's config is that of another generator")
    agent, prior = LatentAgent(config), prior.with_condition(config.role, config.style)
    described = {
        "model": "agent",
        "prior": prior.fingerprint,
        "set of targets": hashlib.sha256(targets.float().numpy().tobytes()).hexdigest()[:16],
        "agent": asdict(config),
        "critic": critic.critic_fingerprint,
        "env": asdict(env),
        "training": asdict(training),
    }
    with Run(out, described) as run:
        path = run.out / WEIGHTS
        if run.resumes:  # in the very space that it began in
            agent.space = load_latent_agent(path).space
        else:
            agent.space = find_space(generator, critic, prior, config.features, config.n_directions, seed=training.seed)
        dynamics = agent.dynamics(generator, critic, prior)
        envs = LatentVectorEnv(dynamics, targets, env.num_envs, env.calls, reward=env.reward, weighted=env.weighted)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            network = LatentAgent(config).network
        dqn = DQN(envs, training, network, envs.relabel)

        def save(facts: dict[str, str]) -> None:
            # the target network is the average of the last online ones, and steadier
            agent.network.load_state_dict(dqn.target_network.state_dict())
            save_latent_agent(path, agent, {**facts, "trained_targets": str(len(targets))})

        run.train(dqn, save, progress)
    return path


_LOOKED_AT = 8000
"""Bars that the latent space is found by where none is given: a second's work."""


def bundled_dynamics() -> Dynamics:
    """The dynamics of the bundled models, with a latent space that is found anew."""
    generator, prior = load_generator().with_condition(ANY, ANY), load_likelihood().with_condition(ANY, ANY)
    return Dynamics(generator, generator, prior, find_space(generator, generator, prior, n=_LOOKED_AT))


def bundled_env(dynamics: Dynamics | None = None, **options: Any) -> LatentEnv:
    """``LatentDrums-v0``: a ``LatentEnv``, by default of the bundled models."""
    return LatentEnv(dynamics or bundled_dynamics(), **options)


def bundled_vector_env(dynamics: Dynamics | None = None, **options: Any) -> LatentVectorEnv:
    """``LatentDrums-v0`` as a native batch, by default of the bundled models."""
    return vector_env(dynamics or bundled_dynamics(), **options)
