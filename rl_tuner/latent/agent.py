"""The agent of whole-bar moves: a Q-network with the latent space that it learnt to move in, as one file of weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rhythmgan.conditions import ANY
from rhythmgan.models.config import config_of
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, load_weights, save_weights
from rl_tuner.dqn import QNetwork
from rl_tuner.latent.dynamics import Dynamics, latent_layout
from rl_tuner.latent.moves import Moves
from rl_tuner.latent.space import LatentSpace
from rl_tuner.rewards import TERMS
from rl_tuner.scale import TARGETS
from rl_tuner.steered_generator import Model, asked_as_learnt

FORMAT = WeightsFormat("rl_tuner.latent_agent", 1, "an agent of whole-bar moves")


@dataclass(frozen=True)
class LatentAgentConfig:
    """The shape of an agent: all that is needed, with its weights, to build it again.

    Attributes:
        generator: fingerprint of the generator that it steers.
        latent_dim: numbers of that one's z.
        n_cells: steps · parts of its bars.
        features: what it steers.
        role, style: what the generator is asked for while it is steered.
        terms: names of the terms that goals may give a coefficient.
        n_directions: directions in latent space that it may step along.
        step_sizes, gains, noise_angles: see ``Moves``.
        width: units of each layer of the Q-network.
        layers: its layers.
    """

    generator: str
    latent_dim: int
    n_cells: int
    role: str = ANY
    style: str = ANY
    features: tuple[str, ...] = TARGETS
    terms: tuple[str, ...] = TERMS
    n_directions: int = 8
    step_sizes: tuple[float, ...] = Moves.step_sizes
    gains: tuple[float, ...] = Moves.gains
    noise_angles: tuple[float, ...] = Moves.noise_angles
    width: int = 256
    layers: int = 2

    def __post_init__(self) -> None:
        for name in ("features", "terms", "step_sizes", "gains", "noise_angles"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8")
        if not all(1 <= n <= 65536 for n in (self.latent_dim, self.n_cells)) or not 1 <= self.n_directions <= 1024:
            raise ValueError("latent_dim and n_cells lie in 1 … 65536, n_directions in 1 … 1024")
        if max(len(self.step_sizes), len(self.gains), len(self.noise_angles)) > 16:
            raise ValueError("there are 16 step_sizes, gains and noise_angles at most")

    @staticmethod
    def of(generator: LatentModel, **changes: Any) -> LatentAgentConfig:
        """The config of an agent for a generator."""
        n_cells = generator.steps * generator.kit.n_parts
        asked = asdict(generator.condition)
        return LatentAgentConfig(generator.fingerprint, generator.latent_dim, n_cells, **asked, **changes)

    @property
    def moves(self) -> Moves:
        return Moves(self.step_sizes, self.gains, self.noise_angles)


class LatentAgent(nn.Module):
    """A Q-network, the latent space of a generator, and the moves between which it chooses.

    Attributes:
        config: its shape.
        space: what is known of the generator's latent space.
        network: observations of ``Dynamics.observe`` → the value of each action.
    """

    def __init__(self, config: LatentAgentConfig) -> None:
        super().__init__()
        self.config = config
        self.space = LatentSpace(config.features, config.latent_dim, config.n_directions)
        n_actions = len(config.moves.table(config.n_directions))
        n_inputs = latent_layout(config.latent_dim, config.n_cells, len(config.features), config.terms).width
        self.network = QNetwork(n_inputs, n_actions, config.width, config.layers)

    def steered(self, generator: Model) -> Model:
        """The generator, asked for what the agent learnt to steer.

        Raises:
            ValueError: another generator than the one that it learnt to steer.
        """
        return asked_as_learnt(generator, self.config)

    def dynamics(self, generator: LatentModel, critic: Critic, prior: Likelihood) -> Dynamics:
        """What moves its episodes: generator and prior are asked for what it learnt to steer.

        Raises:
            ValueError: another generator than the one that it learnt to steer, or a prior that does not know its role
                or style.
        """
        generator, prior = self.steered(generator), prior.with_condition(self.config.role, self.config.style)
        return Dynamics(generator, critic, prior, self.space, self.config.moves, self.config.terms)

    @torch.no_grad()
    @without_autocast
    def act(self, observations: Tensor) -> Tensor:
        """The best action (n,) of each observation."""
        best: Tensor = self.network(observations).argmax(1)
        return best


def save_latent_agent(path: str | os.PathLike[str], agent: LatentAgent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_latent_agent(path: str | os.PathLike[str] | None = None) -> LatentAgent:
    """The agent of a weights file, ready to steer; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of an agent of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("latent-agent.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: LatentAgent(config_of(LatentAgentConfig, config)))
