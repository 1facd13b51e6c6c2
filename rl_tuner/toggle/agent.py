"""The agent that answers a line with another, and its answers: a snare line for a kick line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.models.catalogue import load_answers
from rhythmgan.models.config import config_of
from rhythmgan.models.interfaces import LineAnswers
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, load_weights, save_weights
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, sample_categorical, seeds_to_uniform
from rl_tuner.dqn import QNetwork, policy
from rl_tuner.toggle.observation import toggle_layout
from rl_tuner.toggle.terms import Terms

FORMAT = WeightsFormat("rl_tuner.answer_agent", 1, "an agent that answers lines")

SHARPNESS = 12.0
"""What importance is multiplied with: a term that is 1 higher makes an answer e^(12 · importance) times as likely."""

_CANDIDATES, _CHOICE = RANDOM_STREAMS["answer candidates"], RANDOM_STREAMS["answer choice"]


@dataclass(frozen=True)
class AnswerAgentConfig:
    """The shape of an agent: all that is needed, with its weights and its reference, to build it again.

    Attributes:
        reference: fingerprint of the model whose answers it improves.
        steps: of its lines.
        temperature: what a nat of leaving the reference costs, in rewards.
        width: units of each layer of the Q-network.
        layers: its layers.
        critic_width: units of each layer of the critic.
    """

    reference: str
    steps: int = 16
    temperature: float = 1.0
    width: int = 128
    layers: int = 2
    critic_width: int = 128

    def __post_init__(self) -> None:
        if not all(1 <= width <= 4096 for width in (self.width, self.critic_width)) or not 1 <= self.layers <= 8:
            raise ValueError("widths lie in 1 … 4096, layers in 1 … 8")
        if not 1 <= self.steps <= 1024:
            raise ValueError(f"lines have 1 to 1024 steps, not {self.steps}")
        if not self.temperature > 0:
            raise ValueError(f"the temperature lies over 0, not {self.temperature}")


class PairCritic(nn.Module):
    """Lines and their answers (n, steps) each → a logit (n,), high for pairs of songs, low for made ones.

    Args:
        steps: of the lines.
        width: units of each layer.
        dropout: share of them that are left out in training.
    """

    def __init__(self, steps: int, width: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * steps, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, 1),
        )
        self.float()  # whatever torch's default is

    def forward(self, given: Tensor, answers: Tensor) -> Tensor:
        seen = torch.cat([given, answers, given & answers], 1)
        logits: Tensor = self.layers(seen.to(next(self.parameters()).dtype))[:, 0]
        return logits


class AnswerAgent(nn.Module):
    """A Q-network for toggles from left to right, and the critic whose logit it was rewarded with.

    Attributes:
        config: its shape.
        network: observations of a rightward ``ToggleEnv`` without terms → the value of each action.
        critic: see ``PairCritic``.
    """

    def __init__(self, config: AnswerAgentConfig, reference: LineAnswers) -> None:
        super().__init__()
        self.config = config
        self._reference = (reference,)  # not a part of it: its weights are a file of their own
        self.network = QNetwork(toggle_layout(config.steps, 1, 0).width, config.steps + 1, config.width, config.layers)
        for head in (self.network.value, self.network.advantage):  # so it begins as its reference
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.critic = PairCritic(config.steps, config.critic_width)

    @property
    def reference(self) -> LineAnswers:
        """Whose answers it improves."""
        return self._reference[0]

    @torch.no_grad()
    @without_autocast
    def next_log_prob(self, given: Tensor, begun: Tensor) -> Tensor:
        """Log-chances (n, steps + 1) of the next onset's step, or of none: the reference's · e^(value / temperature).

        Args:
            given: (n, steps) bool, the lines that are answered.
            begun: (n, steps) bool, the answers so far.
        """
        reference = self.reference.next_log_prob(given, begun)
        q = self.network(observe(given, begun))
        return policy(q, self.config.temperature, reference, torch.isfinite(reference))

    def draw(self, given: np.ndarray, seeds: np.ndarray, stream: int = _CANDIDATES[0]) -> np.ndarray:
        """An answer for each line, both (n, steps) bool; a function of the line, its seed (n,) and the stream."""
        return draw_answers(self, given, seeds, stream)


def observe(given: Tensor, begun: Tensor) -> Tensor:
    """Observations (n, 2 · steps + 1) of a rightward ``ToggleEnv`` without terms."""
    return torch.cat([given.float(), begun.float(), torch.ones(len(given), 1, device=given.device)], 1)


def draw_answers(
    model: AnswerAgent | LineAnswers, given: np.ndarray, seeds: np.ndarray, stream: int = _CANDIDATES[0]
) -> np.ndarray:
    """An answer for each line (n, steps) bool, onset by onset by the chances of a model.

    Args:
        model: an agent, or its reference.
        given: (n, steps) bool.
        seeds: (n,) ints; an answer is a function of its line and its seed.
        stream: other, independent answers of the same seeds.

    Returns:
        (n, steps) bool, none silent.
    """
    n, steps = given.shape
    uniform = seeds_to_uniform(seeds, steps + 1, stream)
    lines, begun = torch.from_numpy(given), torch.zeros(given.shape, dtype=torch.bool)
    going = np.arange(n)
    for toggle in range(steps + 1):
        chances = model.next_log_prob(lines[going], begun[going]).double().exp().numpy()
        drawn = sample_categorical((chances / chances.sum(1, keepdims=True)).cumsum(1), uniform[going, toggle, None])
        going, drawn = going[drawn < steps], drawn[drawn < steps]
        if not len(going):
            break
        begun[going, drawn] = True
    return begun.numpy()


def answer(
    kick: np.ndarray,
    seed: int | np.ndarray = 0,
    agent: AnswerAgent | None = None,
    importance: Mapping[str, float] | None = None,
) -> np.ndarray:
    """A snare line for each kick line, as songs have them.

    Equal lines of equal seeds have equal answers, so bars of a loop that are equal stay so. A line without an onset
    has a silent answer.

    Args:
        kick: (n, 16) bool.
        seed: of all answers, or (n,) of each.
        agent: the bundled one by default, which answers a kick with a snare.
        importance: name of a term of ``terms.TERMS`` → −1 … 1, how much more of it answers are to have, or less: 64
            answers are drawn, and one of them is taken with a chance ∝ e^(12 · Σ importance · term).

    Returns:
        (n, 16) bool.

    Raises:
        ValueError: lines of another shape, a seed out of range, or a term that there is not.
    """
    agent = load_answer_agent() if agent is None else agent
    kick = np.asarray(kick)
    steps = agent.config.steps
    if kick.dtype != bool or kick.ndim != 2 or kick.shape[1] != steps:
        raise ValueError(f"expected lines (n, {steps}) bool; got {kick.dtype} {kick.shape}")
    if not isinstance(seed, np.ndarray):
        check_seed(seed)
    seeds = np.broadcast_to(np.asarray(seed), (len(kick),))
    wanted = {name: weight for name, weight in (importance or {}).items() if weight}
    if any(not -1 <= weight <= 1 for weight in wanted.values()):
        raise ValueError("the importance of a term lies in −1 … 1")
    terms = Terms(tuple(wanted), steps)
    found = np.zeros(kick.shape, bool)
    sounding = np.flatnonzero(kick.any(1))
    given, own = kick[sounding], seeds[sounding]
    if not wanted:
        found[sounding] = agent.draw(given, own)
        return found
    drawn = np.stack([agent.draw(given, own, stream) for stream in _CANDIDATES], 1)
    lines = torch.from_numpy(np.repeat(given, len(_CANDIDATES), 0))
    flat = torch.from_numpy(drawn.reshape(-1, 1, steps))
    values = terms(lines, flat, torch.full((len(flat),), steps)) @ torch.tensor(list(wanted.values()))
    chances = (SHARPNESS * values.view(len(given), -1).double()).softmax(1).numpy()
    taken = sample_categorical(chances.cumsum(1), seeds_to_uniform(own, 1, _CHOICE[0]))
    found[sounding] = drawn[np.arange(len(given)), taken]
    return found


def save_answer_agent(path: str | os.PathLike[str], agent: AnswerAgent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights, without those of its reference; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_answer_agent(
    path: str | os.PathLike[str] | None = None, reference: LineAnswers | str | os.PathLike[str] | None = None
) -> AnswerAgent:
    """The agent of a weights file, ready for use. Runs no code of the file.

    Args:
        path: the file; the bundled agent by default.
        reference: the model whose answers it improves, or its file; the bundled one by default.

    Raises:
        ValueError: no weights file of such an agent, one of another version, a damaged one, or the agent of another
            reference.
        OSError: it cannot be opened.
    """
    path = bundled("answer-agent.safetensors") if path is None else path
    model = reference if isinstance(reference, LineAnswers) else load_answers(reference)

    def build(config: dict[str, Any]) -> AnswerAgent:
        shape = config_of(AnswerAgentConfig, config)
        if shape.reference != model.fingerprint:
            raise ValueError(f"the agent of another reference: {shape.reference}, not {model.fingerprint}")
        return AnswerAgent(shape, model)

    return load_weights(path, FORMAT, build)
