"""The agent: what says how much the candidates for the next step of a bar are worth, as one file of weights."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from rhythmgan.conditions import ANY
from rhythmgan.models.config import config_of
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled_model, load_weights, save_weights
from rl_tuner.config import AgentShape, ReadOutConfig
from rl_tuner.rewards import STEPWISE_TERMS
from rl_tuner.scale import TARGETS, FeatureScale, find_scale
from rl_tuner.soft_q import CandidateNetwork
from rl_tuner.steered_generator import Model, asked_as_learnt
from rl_tuner.stepwise.dynamics import StepwiseDynamics
from rl_tuner.stepwise.layouts import MANY_NATS, candidate_layout, shared_layout
from rl_tuner.stepwise.read_out import RidgeReadOut, fit_read_out, n_inputs

FORMAT = WeightsFormat("rl_tuner.agent", 4, "an agent")  # that of version 3 moved whole bars

_WORST = -30.0
"""Nats; a read-out's log-chance below it says no more."""

_SHARPER = 4.0
"""With a closeness of 1 the agent is so many times as decided again, and takes its changes where they are dearest."""


@dataclass(frozen=True)
class AgentConfig:
    """The shape of an agent: all that is needed, with its weights, to build it again.

    Attributes:
        generator: fingerprint of the generator that it steers.
        steps, n_parts: of that one's bars.
        state_width: numbers of that one's state.
        role, style: what the generator is asked for while it is steered.
        features: what it steers.
        terms: names of the terms that goals may give a coefficient.
        n_candidates: noises that it looks at before each step.
        n_changes: how many of these change one cell where a bar is given.
        temperature: what a nat of leaving the generator costs, in rewards.
        width: units of each layer of the Q-network.

    Raises:
        ValueError: a number out of range.
    """

    generator: str
    steps: int
    n_parts: int
    state_width: int
    role: str = ANY
    style: str = ANY
    features: tuple[str, ...] = TARGETS
    terms: tuple[str, ...] = STEPWISE_TERMS
    n_candidates: int = AgentShape.n_candidates
    n_changes: int = AgentShape.n_changes
    temperature: float = 0.05
    width: int = AgentShape.width

    def __post_init__(self) -> None:
        for name in ("features", "terms"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        bounds = (("width", 1, 4096), ("n_candidates", 2, 1024), ("n_changes", 0, 1024), ("steps", 1, 1024))
        for name, low, high in (*bounds, ("n_parts", 1, 64), ("state_width", 1, 65536)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} lies in {low} … {high}, not at {getattr(self, name)}")
        if not self.temperature > 0:
            raise ValueError(f"temperature lies over 0, not at {self.temperature}")

    @staticmethod
    def of(generator: LatentModel, **changes: Any) -> AgentConfig:
        """The config of an agent for a generator."""
        asked = asdict(generator.condition)
        width = generator.begin(1).state.shape[1]
        return AgentConfig(generator.fingerprint, generator.steps, generator.kit.n_parts, width, **asked, **changes)


class Agent(nn.Module):
    """A read-out that says where unfinished bars are going, and a Q-network that knows better.

    Attributes:
        config: its shape.
        scale: the features that are steered, on the scale of the generator's bars.
        network: observations of ``StepwiseDynamics`` → Q of each candidate; before it learns, what the read-out says.
        read_out_weights, read_out_stds: see ``RidgeReadOut``.
    """

    read_out_weights: Tensor
    read_out_stds: Tensor

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        self.config = config
        n_features = len(config.features)
        self.scale = FeatureScale(config.features)
        shape = (config.steps, n_inputs(n_features, config.state_width, config.n_parts) + 1, n_features)
        self.register_buffer("read_out_weights", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("read_out_stds", torch.ones((config.steps, n_features), dtype=torch.float32))
        self.shared = shared_layout(config.steps, n_features, config.terms)
        self.each = candidate_layout(n_features)
        self.network = CandidateNetwork(
            self.shared.width,
            self.each.width,
            config.n_candidates,
            config.width,
            advice=self.each.slice("log chance").start,
            scale=MANY_NATS * config.temperature,
            floor=_WORST / MANY_NATS,
        )

    @staticmethod
    def untaught(
        generator: LatentModel,
        critic: Critic,
        prior: Likelihood,
        config: AgentConfig,
        read_out: ReadOutConfig | None = None,
    ) -> Agent:
        """An agent whose Q is what its read-out says: a particle filter that looks at candidates.

        Args:
            generator: what it steers, asked for what the config says.
            critic, prior: what calibrates the terms of realism and of likelihood.
            config: its shape.
            read_out: how the read-out is fitted.

        Raises:
            ValueError: a feature that cannot be steered.
        """
        agent = Agent(config)
        agent.scale = find_scale(generator, critic, prior, config.features)
        fitted = fit_read_out(generator, agent.scale, read_out)
        agent.read_out_weights, agent.read_out_stds = fitted.weights, fitted.stds
        return agent.eval().requires_grad_(False)

    def steered(self, generator: Model) -> Model:
        """The generator, asked for what the agent learnt to steer.

        Raises:
            ValueError: another generator than the one that it learnt to steer.
        """
        return asked_as_learnt(generator, self.config)

    def asked(self, generator: LatentModel, role: str | None = None, style: str | None = None) -> Agent:
        """The same agent for bars of another role or style, which it was not taught: its generator plays them.

        Its scale, its read-out and its Q stay those of what it learnt.

        Args:
            generator: the one that it learnt to steer.
            role, style: what that one is asked for; None keeps what the agent learnt.

        Raises:
            ValueError: another generator, or one that knows no such role or style.
        """
        asked = self.steered(generator).with_condition(role, style)
        agent = copy.copy(self)
        agent.config = replace(
            self.config,
            generator=asked.fingerprint,
            role=asked.condition.role,
            style=asked.condition.style,
        )
        return agent

    def dynamics(self, generator: LatentModel, critic: Critic, prior: Likelihood) -> StepwiseDynamics:
        """What decides its bars: generator and prior are asked for what it learnt to steer.

        Raises:
            ValueError: another generator than the one that it learnt to steer, or a prior that does not know its role
                or style.
        """
        config, generator = self.config, self.steered(generator)
        return StepwiseDynamics(
            generator,
            critic,
            prior.with_condition(config.role, config.style),
            self.scale,
            RidgeReadOut(generator, self.scale, self.read_out_weights, self.read_out_stds),
            config.n_candidates,
            config.n_changes,
            config.terms,
        )

    @torch.no_grad()
    @without_autocast
    def nats(self, observations: Tensor, trust: float = 1.0) -> Tensor:
        """What each candidate is worth, in nats: (n, width) → (n, candidates).

        The policy takes a candidate with chance exp(nats) / Σ. Q is mixed with what the read-out says: Q is wary of
        chance, and draws bars that are surer and duller than the generator's. The more closeness to a given bar counts,
        the more does Q, and the more decided the agent is.

        Args:
            observations: of ``StepwiseDynamics.observe``.
            trust: 0 … 1, the share of Q where closeness does not count; the rest is that of the read-out.
        """
        q = self.network(observations) / self.config.temperature
        each = observations[:, self.shared.width :].reshape(len(observations), -1, self.each.width)
        said = MANY_NATS * each[..., self.network.advice].clamp(min=_WORST / MANY_NATS)
        shared = self.shared.unpack(observations[:, : self.shared.width])
        closeness = shared["closeness coefficient"] * shared["given"] if "closeness" in self.config.terms else 0 * said
        # the read-out knows nothing of the given bar: what is to stay close to it goes by Q
        share = trust + (1 - trust) * closeness
        nats: Tensor = (1 + _SHARPER * closeness) * torch.lerp(said, q, share.expand_as(q))
        return nats


def save_agent(path: str | os.PathLike[str], agent: Agent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_agent(path: str | os.PathLike[str] | None = None, steps: int = 16) -> Agent:
    """The agent of a weights file, ready to steer; the bundled one by default. Runs no code of the file.

    Args:
        path: the file.
        steps: which of the bundled agents, by the grid that it steers.

    Raises:
        ValueError: no weights file of an agent of ours, one of another version, or a damaged one; no agent ships for
            this grid.
        OSError: it cannot be opened.
    """
    path = bundled_model("agent", steps) if path is None else path
    return load_weights(path, FORMAT, lambda config: Agent(config_of(AgentConfig, config)))
