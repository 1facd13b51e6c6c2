"""Ravula and Cao's note-wise CNN (*Just beat it*, 2019): the chance of each next note of a two-bar loop.

A convolution over the notes so far, a linear layer over all that it finds, and a softmax over the parts and silence.
The window of notes ends with the newest, and is padded with zeros where the loop has not begun: so a weight belongs to
how long ago a note was. It continues the notes that are given; they are none of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.kit import Kit, kit_named
from rhythmgan.loops import BARS, draw_tokens, notes_to_loops, windows
from rhythmgan.models.config import NoteCNNConfig, config_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, fingerprint, load_weights, save_weights
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, sample_categorical, seeds_to_uniform

FORMAT = WeightsFormat("rhythmgan.note_cnn", 1, "a note-wise CNN")

BUNDLED = "note-cnn.safetensors"

_BATCH = 2048
"""Windows in memory at a time."""


class NoteCNN(nn.Module):
    """Windows (n, length · notes) of the notes so far → logits (n, notes) of the next one, see the module.

    Attributes:
        config: its shape.
        kit: what the parts are.
        symbols: (notes, notes), what stands for each note in a window: one-hot, silence first.
        openings: (m, n_given) uint8, the notes that loops of songs begin with.
        opening_chances: (m,), how often each does.
    """

    symbols: Tensor
    openings: Tensor
    opening_chances: Tensor

    def __init__(self, config: NoteCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.kit: Kit = kit_named(config.kit)
        self.n_notes = self.kit.n_parts + 1
        self.length = BARS * config.steps
        self.conv = nn.Conv1d(self.n_notes, config.width, config.kernel, padding=config.kernel // 2)
        self.linear = nn.Linear(config.width * self.length, self.n_notes)
        self.register_buffer("symbols", torch.eye(self.n_notes), persistent=False)
        # counted in the training songs, not trained
        self.register_buffer("openings", torch.zeros(config.n_openings, config.n_given, dtype=torch.uint8))
        self.register_buffer("opening_chances", torch.zeros(config.n_openings))
        self.float()  # whatever torch's default is

    @property
    def steps(self) -> int:
        """Steps in a bar; a loop has two."""
        return self.config.steps

    @property
    def n_given(self) -> int:
        """Notes of a loop that it is given; it continues them."""
        return self.config.n_given

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights and the openings."""
        return fingerprint(self)

    def forward(self, seen: Tensor) -> Tensor:
        rows = seen.view(len(seen), self.length, self.n_notes).transpose(1, 2)
        logits: Tensor = self.linear(F.relu(self.conv(rows)).flatten(1))
        return logits

    def windows(self, notes: Tensor) -> Tensor:
        """What it sees of loops with these notes (n, t) ints so far: (n, length · notes)."""
        return windows(notes, self.symbols, self.length)

    @torch.no_grad()
    @without_autocast
    def log_prob(self, notes: Tensor | np.ndarray) -> Tensor:
        """Log-probability of each note given those before it, without those that are given: (n, length − n_given) nats.

        Args:
            notes: (n, length) ints.

        Raises:
            ValueError: loops of another shape, or a note that there is not.
        """
        notes = self._checked(notes, self.length)
        steps = range(self.n_given, self.length)
        found = notes.new_zeros(len(notes), len(steps), dtype=self.symbols.dtype)
        for start in range(0, len(notes), _BATCH):
            rows = slice(start, start + _BATCH)
            for place, step in enumerate(steps):
                chances = self(self.windows(notes[rows, :step])).log_softmax(1)
                found[rows, place] = chances.gather(1, notes[rows, step, None])[:, 0]
        return found

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Draw n loops (n, bars, steps, parts) bool of the seeds ``seed``, ``seed`` + 1 … each, from nothing.

        Each begins as loops of songs do, with one of ``openings``.

        Raises:
            ValueError: an option out of range, or there are no openings.
        """
        if n < 0:
            raise ValueError(f"n is at least 0, not {n}")
        check_seed(seed)
        seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
        return notes_to_loops(self.complete(self.draw_openings(seeds), seeds, temperature), self.kit)

    def known_openings(self) -> tuple[np.ndarray, np.ndarray]:
        """The notes (m, n_given) uint8 that loops of songs begin with, and how often each does (m,)."""
        return self.openings.cpu().numpy(), self.opening_chances.cpu().numpy()

    def draw_openings(self, seeds: np.ndarray) -> np.ndarray:
        """The notes that the loops of these seeds (n,) begin with, (n, n_given) uint8, as often as songs play them.

        Raises:
            ValueError: there are none to draw from.
        """
        if not len(self.openings):
            raise ValueError("this CNN has no openings: give it the notes to continue")
        chances = self.opening_chances.double().cpu().numpy()
        cumulative = np.cumsum(chances / chances.sum())
        uniform = seeds_to_uniform(seeds, 1, RANDOM_STREAMS["opening"][0])
        return self.openings.cpu().numpy()[sample_categorical(cumulative[None], uniform)]

    @torch.no_grad()
    @without_autocast
    def complete(self, given: np.ndarray, seeds: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Draw what follows given notes: (n, length) uint8.

        A loop is a function of its seed and of what is given, in any batch: one uniform number draws each note, by
        chances in double precision.

        Args:
            given: (n, n_given) ints.
            seeds: (n,) ints.
            temperature: over 0; below 1 likely notes become likelier.

        Raises:
            ValueError: a temperature out of range, or notes of another shape.
        """
        if not 0 < temperature < float("inf"):
            raise ValueError(f"the temperature is a number over 0, not {temperature}")
        twin = NoteCNN(self.config).double()
        twin.load_state_dict(self.state_dict())

        def chances(seen: Tensor) -> Tensor:
            return (twin(seen) / temperature).softmax(1)

        notes = self._checked(given, self.n_given).cpu()
        return draw_tokens(chances, notes, twin.symbols, self.length, seeds).numpy().astype(np.uint8)

    def _checked(self, notes: Tensor | np.ndarray, length: int) -> Tensor:
        """Notes (n, length) as a tensor of ints on the device of the weights."""
        found = torch.as_tensor(notes).long().to(self.symbols.device)
        if found.ndim != 2 or found.shape[1] != length:
            raise ValueError(f"expected notes (n, {length}); got {tuple(found.shape)}")
        if len(found) and not 0 <= int(found.min()) <= int(found.max()) < self.n_notes:
            raise ValueError(f"notes of kit {self.kit.name} lie in 0 … {self.kit.n_parts}")
        return found


def save_note_cnn(path: str | os.PathLike[str], cnn: NoteCNN, provenance: Mapping[str, str]) -> None:
    """Write a CNN's weights; see ``save_weights``."""
    save_weights(path, FORMAT, cnn, asdict(cnn.config), provenance)


def load_note_cnn(path: str | os.PathLike[str] | None = None) -> NoteCNN:
    """The CNN of a weights file; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of a note-wise CNN, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    return load_weights(path or bundled(BUNDLED), FORMAT, lambda config: NoteCNN(config_of(NoteCNNConfig, config)))
