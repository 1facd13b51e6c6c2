"""The next bar from the bar before it: jaki's encoder–decoder (2020), which says of each step what is likely.

Two LSTMs read the words of a bar; what is left of it, one vector, is given to a third one on every step, and a softmax
says which word the next bar has there. The steps are independent of one another given the bar before.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import bars_to_words
from rhythmgan.features import cells_of
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import BarLSTMConfig, config_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, fingerprint, load_weights, save_weights

FORMAT = WeightsFormat("rhythmgan.bar_lstm", 1, "a model of the next bar")

_BATCH = 1024


class BarLSTM(nn.Module):
    """A model of the next bar, of one kit and grid, see the module.

    Attributes:
        config: its shape.
        kit: what the parts are.
    """

    def __init__(self, config: BarLSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.kit: Kit = kit_named(config.kit)
        self.n_words = 1 << self.kit.n_parts
        seen = self.n_words if config.sees_step else 0
        self.reader = nn.LSTM(self.n_words, config.width, batch_first=True)
        self.summary = nn.LSTM(config.width, config.summary_width, batch_first=True)
        self.decoder = nn.LSTM(config.summary_width + seen, config.decoder_width, batch_first=True)
        self.to_words = nn.Linear(config.decoder_width + seen, self.n_words)
        self.drop = nn.Dropout(config.dropout)
        self.float()  # whatever torch's default is

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.config.steps

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return fingerprint(self)

    def forward(self, words: Tensor) -> Tensor:
        """The words of bars (n, steps) ints → a logit for each word of each step of the next (n, steps, words)."""
        shown = F.one_hot(words, self.n_words).to(self.to_words.weight.dtype)
        read, _ = self.reader(shown)
        _, (last, _) = self.summary(self.drop(read))
        given = self.drop(last[0])[:, None].expand(-1, words.shape[1], -1)  # "repeat 16"
        if self.config.sees_step:
            out, _ = self.decoder(torch.cat([given, shown], 2))
            logits: Tensor = self.to_words(torch.cat([out, shown], 2))
            return logits
        out, _ = self.decoder(given)
        logits = self.to_words(out)
        return logits

    @torch.no_grad()
    @without_autocast
    def word_log_prob(self, previous: Tensor | np.ndarray) -> Tensor:
        """Log-probability of every word on every step of the bar after ``previous``: (n, steps, words) nats.

        Args:
            previous: (n, steps, parts) bool.

        Raises:
            ValueError: bars of another shape.
        """
        words = self._words(previous)
        model = copy.deepcopy(self).eval() if self.training else self  # dropout would make it a guess
        found = [words.new_zeros(0, self.steps, self.n_words, dtype=self.to_words.weight.dtype)]
        for first in range(0, len(words), _BATCH):
            found.append(model(words[first : first + _BATCH]).log_softmax(-1))
        return torch.cat(found)

    def step_log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray) -> Tensor:
        """Log-probability of each step's word given the bar before, both (n, steps, parts) bool: (n, steps) nats.

        Raises:
            ValueError: bars of another shape.
        """
        found = self.word_log_prob(previous)
        return found.gather(2, self._words(bars)[..., None])[..., 0]

    def in_double(self) -> BarLSTM:
        """The same in double precision on the CPU: what it says is then the same on every machine."""
        return copy.deepcopy(self).cpu().double().eval()

    def _words(self, bars: Tensor | np.ndarray) -> Tensor:
        shape = (self.steps, self.kit.n_parts)
        if bars.ndim != 3 or tuple(bars.shape[1:]) != shape:
            raise ValueError(f"expected bars (n, {shape[0]}, {shape[1]}); got {tuple(bars.shape)}")
        return bars_to_words(cells_of(bars).to(self.to_words.weight.device))


def rounded(model: BarLSTM) -> BarLSTM:
    """The model with the weights that its file holds: in half precision, which halves the file."""
    return copy.deepcopy(model).half().float()


def save_bar_lstm(path: str | os.PathLike[str], model: BarLSTM, provenance: Mapping[str, str]) -> None:
    """Write a model's weights in half precision; see ``save_weights``."""
    save_weights(path, FORMAT, copy.deepcopy(model).half(), asdict(model.config), provenance)


def load_bar_lstm(path: str | os.PathLike[str] | None = None) -> BarLSTM:
    """The model of the next bar of a weights file; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of such a model of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("bar-lstm.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: BarLSTM(config_of(BarLSTMConfig, config)))
