"""Which line answers another: the chances of a snare line given a kick line, onset by onset."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import AnswerConfig, config_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, fingerprint, load_weights, save_weights

FORMAT = WeightsFormat("rhythmgan.answer_net", 1, "answers")


class AnswerNet(nn.Module):
    """A line that answers a given one is written from left to right: where its next onset is, or that there is none.

    So each line has one path, and its chance is the product of those on it. A silent line has none.

    Attributes:
        config: its shape.
    """

    def __init__(self, config: AnswerConfig) -> None:
        super().__init__()
        self.config = config
        steps, width = config.steps, config.width
        body: list[nn.Module] = []
        for here, there in itertools.pairwise([4 * steps + 1] + [width] * config.layers):
            body += [nn.Linear(here, there), nn.LayerNorm(there), nn.SiLU(), nn.Dropout(config.dropout)]
        self.body = nn.Sequential(*body)
        self.chances = nn.Linear(width, steps + 1)
        self.float()  # whatever torch's default is

    @property
    def kit(self) -> Kit:
        """What its two lines are parts of."""
        return kit_named(self.config.kit)

    @property
    def steps(self) -> int:
        """Steps of a line."""
        return self.config.steps

    @property
    def given(self) -> str:
        """The part that is answered, by name."""
        return self.config.given

    @property
    def answer(self) -> str:
        """The part that answers, by name."""
        return self.config.answer

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return fingerprint(self)

    def forward(self, given: Tensor, begun: Tensor) -> Tensor:
        """Log-chances (n, steps + 1) of what comes next: an onset on each step, or that the line is complete.

        Args:
            given: (n, steps) bool or 0 and 1, the lines that are answered.
            begun: (n, steps), the answers so far; no onset comes before their last one.
        """
        given, begun = given.to(self.chances.weight.dtype), begun.to(self.chances.weight.dtype)
        places = torch.arange(1, self.steps + 1, device=begun.device)
        last = ((begun > 0.5) * places).amax(1)
        seen = torch.cat([given, begun, given * begun, F.one_hot(last, self.steps + 1).to(given.dtype)], 1)
        logits: Tensor = self.chances(self.body(seen))
        impossible = torch.arange(self.steps + 1, device=begun.device) < last[:, None]
        impossible[:, -1] = last == 0
        return logits.masked_fill(impossible, -torch.inf).log_softmax(1)

    @torch.no_grad()
    @without_autocast
    def next_log_prob(self, given: Tensor, begun: Tensor) -> Tensor:
        """As ``forward``, of a network that is ready for use."""
        found: Tensor = self(given, begun)
        return found

    def log_prob(self, given: Tensor | np.ndarray, answers: Tensor | np.ndarray) -> Tensor:
        """Log-probability of whole answers to lines, both (n, steps) bool: (n,) nats; −∞ of silence.

        Raises:
            ValueError: lines of another shape.
        """
        given, answers = (torch.as_tensor(np.asarray(each)) for each in (given, answers))
        if given.ndim != 2 or given.shape[1] != self.steps or given.shape != answers.shape:
            raise ValueError(
                f"expected two lines (n, {self.steps}) each; got {tuple(given.shape)} and {tuple(answers.shape)}"
            )
        prefixes = prefixes_of(answers)
        of_prefixes = self.next_log_prob(given[prefixes.row], prefixes.begun)
        chosen = of_prefixes.gather(1, prefixes.following[:, None])[:, 0]
        return torch.zeros(len(given)).index_add(0, prefixes.row, chosen)


class Prefixes(NamedTuple):
    """What lines have been before each of their onsets, and before their end.

    Attributes:
        row: (m,) ints, whose beginning it is.
        begun: (m, steps) bool, the beginning.
        following: (m,) ints, the step of the next onset, or ``steps`` where the line is complete.
    """

    row: Tensor
    begun: Tensor
    following: Tensor


def prefixes_of(lines: Tensor) -> Prefixes:
    """Those of lines (n, steps) bool, line after line."""
    row, following = torch.nonzero(F.pad(lines, (0, 1), value=True), as_tuple=True)
    places = torch.arange(lines.shape[1], device=lines.device)
    return Prefixes(row, lines[row] & (places < following[:, None]), following)


def save_answer_net(path: str | os.PathLike[str], net: AnswerNet, provenance: Mapping[str, str]) -> None:
    """Write a network's weights; see ``save_weights``."""
    save_weights(path, FORMAT, net, asdict(net.config), provenance)


def load_answer_net(path: str | os.PathLike[str] | None = None) -> AnswerNet:
    """The network of a weights file, ready for use; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of answers, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("answer.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: AnswerNet(config_of(AnswerConfig, config)))
