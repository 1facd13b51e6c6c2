"""The network of critics and agents of loops: what it sees of a loop beside its tokens, and its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import BEATS
from rhythmgan.loops import BARS


class LoopNetwork(nn.Module):
    """Windows (n, length · width) of loops so far → outputs (n, n_outputs).

    Beside the window, which ends with the newest token, it sees the tokens from the beginning on, each at its place in
    the bars; how many there are; and of each whether it is the one that stood there a step, a beat, two beats and a bar
    before: a drummer repeats figures, and a plain network would have to learn for every token what "the same" is.

    Args:
        n_symbols: numbers that stand for a token in a window.
        steps: of a bar.
        n_outputs: see above.
        width: units of each layer.
        dropout: share of units that are left out in training.
    """

    def __init__(self, n_symbols: int, steps: int, n_outputs: int, width: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.length, self.n_symbols = BARS * steps, n_symbols
        beat = steps // BEATS
        self.lags = (1, beat, 2 * beat, steps)
        inputs = self.length * (2 * n_symbols + len(self.lags)) + self.length + 1
        self.layers = nn.Sequential(
            nn.Linear(inputs, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, n_outputs),
        )
        self.float()  # whatever torch's default is

    def forward(self, seen: Tensor) -> Tensor:
        outputs: Tensor = self.layers(self.features(seen))
        return outputs

    def features(self, seen: Tensor) -> Tensor:
        """What it sees, see the class: (n, inputs)."""
        rows = seen.view(len(seen), self.length, self.n_symbols)
        is_there = rows.any(2)
        n_there = is_there.sum(1)
        count = F.one_hot(n_there, self.length + 1).to(seen.dtype)
        places = torch.arange(self.length, device=seen.device) + self.length - n_there[:, None]
        moved = rows.gather(1, places.clamp(max=self.length - 1)[..., None].expand_as(rows))
        from_start = moved * (places < self.length)[..., None]
        repeats = []
        for lag in self.lags:
            same = (rows[:, lag:] == rows[:, :-lag]).all(2) & is_there[:, :-lag]
            repeats.append(F.pad(same.to(seen.dtype), (lag, 0)))
        return torch.cat([seen, from_start.flatten(1), count, *repeats], 1)


def without_values(network: LoopNetwork) -> LoopNetwork:
    """The network with outputs that are all 0 at first: an agent that begins as its reference."""
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network
