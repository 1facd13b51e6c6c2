"""The agent that appends notes to loops, as one file of weights; and loops of it."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.kit import Kit
from rhythmgan.loops import BARS, draw_tokens, notes_to_loops
from rhythmgan.models.catalogue import load_note_model
from rhythmgan.models.config import config_of
from rhythmgan.models.interfaces import NoteModel
from rhythmgan.models.weights import WeightsFormat, bundled, load_weights, save_weights
from rhythmgan.seeds import check_seed
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.network import LoopNetwork
from rl_tuner.config import PUBLISHED_EPS, AppendConfig
from rl_tuner.dqn import policy

FORMAT = WeightsFormat("rl_tuner.append_agent", 1, "an agent that appends notes")

BUNDLED = "append-agent.safetensors"


@dataclass(frozen=True)
class AppendAgentConfig:
    """The shape of an agent that appends notes: all that is needed, with its weights and the CNN, to build it again.

    Attributes:
        cnn: fingerprint of the model that it was started from.
        temperature: what a nat of leaving that model costs, in rewards; 0 for one that takes the best note.
        width: units of each layer of its network; 0 where its network is a copy of the CNN, as published.
        eps: share of random notes.

    Raises:
        ValueError: an option out of range.
    """

    cnn: str
    temperature: float = 1.0
    width: int = AppendConfig.width
    eps: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf") or not 0 <= self.eps <= 1 or not 0 <= self.width <= 4096:
            raise ValueError("temperature lies from 0 on, eps in 0 … 1, width in 0 … 4096")


class AppendAgent(nn.Module):
    """What says which note comes next, see the module.

    Attributes:
        config: its shape.
        network: windows (n, length · notes) → the value of each next note (n, notes).

    Args:
        config: its shape.
        cnn: the model that it was started from.

    Raises:
        ValueError: the config is that of an agent of another model.
    """

    def __init__(self, config: AppendAgentConfig, cnn: NoteModel) -> None:
        super().__init__()
        if config.cnn != cnn.fingerprint:
            raise ValueError("the agent was started from another note-wise model than this one")
        assert isinstance(cnn, nn.Module)
        self.config = config
        self._cnn = (cnn,)  # in a tuple: its weights are none of the agent's
        self.alphabet = Alphabet.of_notes(cnn.kit)
        n_notes = len(self.alphabet)
        if config.width:
            self.network: nn.Module = LoopNetwork(n_notes, cnn.steps, n_notes, config.width)
        else:
            self.network = copy.deepcopy(cnn).requires_grad_(True)

    @property
    def cnn(self) -> NoteModel:
        """The model that it was started from."""
        return self._cnn[0]

    @property
    def kit(self) -> Kit:
        """What the parts are."""
        return self.cnn.kit

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.cnn.steps

    @torch.no_grad()
    def log_chances(self, seen: Tensor) -> Tensor:
        """Log-chance of each next note (n, notes), of windows (n, length · notes); without random notes.

        At a temperature of 0 the best one has all of it.
        """
        q = self.network(seen)
        if self.config.temperature:
            return policy(q, self.config.temperature, self.cnn(seen).log_softmax(1))
        return torch.full_like(q, -torch.inf).scatter_(1, q.argmax(1, keepdim=True), 0.0)

    def complete(self, given: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """What the agent plays after given notes (n, t): (n, length) uint8, a function of these and of the seed each.

        Raises:
            ValueError: notes that the kit has not.
        """
        notes = torch.from_numpy(np.asarray(given).astype(np.int64))
        if notes.ndim != 2 or (notes.numel() and not 0 <= int(notes.min()) <= int(notes.max()) < len(self.alphabet)):
            raise ValueError(f"expected notes (n, t) of 0 … {len(self.alphabet) - 1}; got {tuple(notes.shape)}")
        eps, k = self.config.eps, len(self.alphabet)

        def chances(seen: Tensor) -> Tensor:
            return (1 - eps) * self.log_chances(seen).double().exp() + eps / k

        drawn = draw_tokens(chances, notes, self.alphabet.symbols, BARS * self.steps, seeds)
        return drawn.numpy().astype(np.uint8)

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """n loops (n, 2, steps, parts) bool of the seeds ``seed``, ``seed`` + 1 …, that begin as loops of songs do."""
        return _sample(self.cnn, self, n, seed)


def loops(n: int, seed: int = 0, agent: AppendAgent | None = None) -> np.ndarray:
    """Loops of two bars with a note a step, by the agent that was tuned, of the seeds ``seed``, ``seed`` + 1 ….

    Args:
        n: how many, from 0 on.
        seed: of the first one.
        agent: the bundled one by default.

    Returns:
        (n, 2, 16, 9) bool, of kit roland10.

    Raises:
        ValueError: n or seed out of range.
    """
    return (agent or load_append_agent()).sample(n, seed)


def _sample(cnn: NoteModel, player: NoteModel | AppendAgent, n: int, seed: int) -> np.ndarray:
    if n < 0:
        raise ValueError(f"n is at least 0, not {n}")
    check_seed(seed)
    seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
    return notes_to_loops(player.complete(cnn.draw_openings(seeds), seeds), cnn.kit)


def save_append_agent(path: str | os.PathLike[str], agent: AppendAgent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_append_agent(path: str | os.PathLike[str] | None = None, cnn: NoteModel | None = None) -> AppendAgent:
    """The agent of a weights file; the bundled one by default. Runs no code of the file.

    Args:
        path: the file.
        cnn: the model that it was started from; the bundled one by default.

    Raises:
        ValueError: no weights file of such an agent, one of another version, a damaged one, or one of another model.
        OSError: it cannot be opened.
    """
    model = cnn or load_note_model()
    return load_weights(
        path or bundled(BUNDLED), FORMAT, lambda config: AppendAgent(config_of(AppendAgentConfig, config), model)
    )


# --- Kinds of loops for a blind test -----------------------------------------------------------------

PUBLISHED = "append-published.safetensors"

PUBLISHED_FORMAT = WeightsFormat("rl_tuner.append_published", 1, "agents that append notes, as published")

UNTUNED, TUNED = "untuned", "tuned"


def kind_of(eps: float) -> str:
    """What the loops of the agent as published with this share of random notes in training are called."""
    return f"eps-{eps:g}"


KINDS = (TUNED, UNTUNED, *(kind_of(eps) for eps in PUBLISHED_EPS))
"""What may make a loop: today's agent, the CNN that it was started from, and the agents as published."""


class PublishedAgents(nn.Module):
    """Agents as published, one for each share of random notes in training, in one file of weights.

    Attributes:
        agents: by the place of their share in ``PUBLISHED_EPS``.

    Args:
        cnn_fingerprint: of the model that all were started from.
        cnn: that model.
    """

    def __init__(self, cnn_fingerprint: str, cnn: NoteModel) -> None:
        super().__init__()
        config = AppendAgentConfig(cnn_fingerprint, temperature=0.0, width=0)
        self.agents = nn.ModuleList(AppendAgent(config, cnn) for _ in PUBLISHED_EPS)


def save_published(path: str | os.PathLike[str], agents: PublishedAgents, provenance: Mapping[str, str]) -> None:
    """Write the weights of agents as published; see ``save_weights``."""
    first = agents.agents[0]
    assert isinstance(first, AppendAgent)
    save_weights(path, PUBLISHED_FORMAT, agents, {"cnn": first.config.cnn}, provenance)


def load_published(
    path: str | os.PathLike[str] | None = None, cnn: NoteModel | None = None
) -> dict[float, AppendAgent]:
    """The agents as published by their share of random notes; the bundled ones by default. Runs no code of the file.

    Raises:
        ValueError, OSError: as ``load_append_agent``.
    """
    model = cnn or load_note_model()
    found = load_weights(
        path or bundled(PUBLISHED),
        PUBLISHED_FORMAT,
        lambda config: PublishedAgents(config_of(AppendAgentConfig, config).cnn, model),
    )
    return {
        eps: agent for eps, agent in zip(PUBLISHED_EPS, found.agents, strict=True) if isinstance(agent, AppendAgent)
    }


def loops_of_kind(kind: str, n: int, seed: int = 0) -> np.ndarray:
    """Loops of the bundled weights by what made them; see ``loops``. Those of one seed begin alike, whatever the kind.

    Args:
        kind: one of ``KINDS``.
        n: how many.
        seed: of the first one.

    Raises:
        ValueError: no such kind, or n or seed out of range.
    """
    if kind not in KINDS:
        raise ValueError(f"loops are of one of {', '.join(KINDS)}, not of {kind!r}")
    cnn = load_note_model()
    if kind == UNTUNED:
        return _sample(cnn, cnn, n, seed)
    if kind == TUNED:
        return _sample(cnn, load_append_agent(cnn=cnn), n, seed)
    agents = {kind_of(eps): agent for eps, agent in load_published(cnn=cnn).items()}
    return _sample(cnn, agents[kind], n, seed)
