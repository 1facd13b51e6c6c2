"""The agent that toggles lines: a Q-network with what its lines and rewards are, as one file of weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.models.config import config_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, load_weights, save_weights
from rl_tuner.dqn import QNetwork
from rl_tuner.envs.toggle import ToggleVectorEnv
from rl_tuner.toggle.lines import check_line_steps
from rl_tuner.toggle.observation import GAIN_UNITS, toggle_layout, toggle_mask
from rl_tuner.toggle.terms import DIFFERENCE, MAX_LINES, TERMS

FORMAT = WeightsFormat("rl_tuner.toggle_agent", 1, "an agent that toggles lines")


@dataclass(frozen=True)
class ToggleAgentConfig:
    """The shape of an agent: all that is needed, with its weights, to build it again.

    Attributes:
        resolution: cells of its lines; it takes lines of as many steps or fewer.
        n_lines: lines that answer.
        no_op: whether it may leave all as it is.
        terms: what it is rewarded for, of ``terms.TERMS``.
        gains: whether it sees what each toggle would add to the score.
        width: units of each layer of the Q-network.
        layers: its layers.
    """

    resolution: int = 8
    n_lines: int = 1
    no_op: bool = False
    terms: tuple[str, ...] = (DIFFERENCE,)
    gains: bool = False
    width: int = 64
    layers: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))  # JSON knows lists only
        check_line_steps(self.resolution)
        if not 1 <= self.n_lines <= MAX_LINES:
            raise ValueError(f"1 to {MAX_LINES} lines answer, not {self.n_lines}")
        if unknown := [term for term in self.terms if term not in TERMS]:
            raise ValueError(f"no term is called {unknown[0]!r}; there are {', '.join(TERMS)}")
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8")


class ToggleNetwork(QNetwork):
    """A Q-network whose values are added to the gains of the toggles, where these are observed.

    So an agent that sees gains begins as one that takes the largest, and learns what follows.

    Args:
        config: of the agent.
    """

    def __init__(self, config: ToggleAgentConfig) -> None:
        layout = toggle_layout(config.resolution, config.n_lines, len(config.terms), config.gains)
        n_cells = config.n_lines * config.resolution
        super().__init__(layout.width, n_cells + config.no_op, config.width, config.layers)
        self.gains = layout.slice("gains") if config.gains else None
        if config.gains:
            for head in (self.value, self.advantage):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def forward(self, observations: Tensor) -> Tensor:
        values = super().forward(observations)
        if self.gains is None:
            return values
        gains = observations[:, self.gains] / GAIN_UNITS
        return values + F.pad(gains, (0, values.shape[1] - gains.shape[1]))


class ToggleAgent(nn.Module):
    """A Q-network that says what each toggle is worth.

    Attributes:
        config: its shape.
        network: observations of ``ToggleEnv`` → the value of each action.
    """

    def __init__(self, config: ToggleAgentConfig) -> None:
        super().__init__()
        self.config = config
        self.network = ToggleNetwork(config)

    @torch.no_grad()
    @without_autocast
    def act(self, observations: Tensor) -> Tensor:
        """The best action (n,) of each observation, of those that change something."""
        config = self.config
        mask = toggle_mask(observations, config.resolution, config.n_lines, config.no_op, False)
        best: Tensor = self.network(observations).masked_fill(~mask, -torch.inf).argmax(1)
        return best


class Played(NamedTuple):
    """What an agent did to lines.

    Attributes:
        lines: (moves + 1, n_lines, resolution) bool, before the first move and after each.
        scores: (moves + 1,) float64, what they are worth.
        terms: name → (moves + 1,) float64.
    """

    lines: np.ndarray
    scores: np.ndarray
    terms: dict[str, np.ndarray]


def play(
    agent: ToggleAgent,
    given: np.ndarray,
    lines: np.ndarray,
    moves: int = 10,
    importance: Mapping[str, float] | None = None,
) -> Played:
    """Let an agent toggle lines, each time what it finds best.

    Args:
        agent: it.
        given: (steps,) bool, the line that is answered.
        lines: (n_lines, steps) bool, where it begins.
        moves: toggles.
        importance: of terms that the agent knows, −1 … 1; 0 of those that are not named. By default 1 of the first.

    Raises:
        ValueError: lines longer than the agent's, another number of them, or a term that it does not know.
    """
    config = agent.config
    if importance is not None and (unknown := set(importance) - set(config.terms)):
        raise ValueError(f"the agent knows no term {min(unknown)!r}; it knows {', '.join(config.terms)}")
    weights = None if importance is None else [importance.get(name, 0.0) for name in config.terms]
    env = ToggleVectorEnv(
        config.resolution,
        n_lines=config.n_lines,
        no_op=config.no_op,
        moves=moves + 1,
        terms=config.terms,
        importance=weights,
        gains=config.gains,
        num_envs=1,
    )
    seen, info = env.reset(seed=0, options={"given": np.asarray(given)[None], "lines": np.asarray(lines)[None]})
    found = [info]
    for _ in range(moves):
        seen, *_, info = env.step(agent.act(torch.from_numpy(seen)).numpy())
        found.append(info)
    terms = {name: np.array([each["terms"][name][0] for each in found], np.float64) for name in config.terms}
    scores = np.array([each["score"][0] for each in found], np.float64)
    return Played(np.stack([each["lines"][0] for each in found]), scores, terms)


def save_toggle_agent(path: str | os.PathLike[str], agent: ToggleAgent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_toggle_agent(path: str | os.PathLike[str] | None = None) -> ToggleAgent:
    """The agent of a weights file, ready for use; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of such an agent, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("toggle-agent.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: ToggleAgent(config_of(ToggleAgentConfig, config)))
