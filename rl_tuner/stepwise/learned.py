"""A learned read-out: a small network that knows more of where unfinished bars are going than a line through them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rhythmgan.models.interfaces import UnfinishedBars
from rl_tuner.config import ReadOutConfig
from rl_tuner.stepwise.read_out import RidgeReadOut, decide_at_random, inputs_of

_LEAST_SPREAD = 0.1
"""An input that hardly ever changes is not blown up to a standard deviation of one."""

_CLEAREST = 1.5
"""The network changes the logarithm of a standard deviation by this at most."""


class LearnedReadOut(nn.Module):
    """A ridge read-out, and what a network says beside it: how far off it is here, and how sure it may be.

    Attributes:
        ridge: what is corrected; before training nothing is.
        means, stds: (inputs,), of the inputs, which are standardised for the network.
    """

    means: Tensor
    stds: Tensor

    def __init__(self, ridge: RidgeReadOut, n_inputs: int, width: int) -> None:
        super().__init__()
        self.ridge = ridge
        n_features = len(ridge.scale.features)
        self.register_buffer("means", torch.zeros(n_inputs, dtype=torch.float32))
        self.register_buffer("stds", torch.ones(n_inputs, dtype=torch.float32))
        self.of_step = nn.Embedding(ridge.generator.steps, width)
        self.first = nn.Linear(n_inputs, width)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * n_features))
        last = self.rest[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, bars: UnfinishedBars) -> tuple[Tensor, Tensor]:
        """See ``ReadOut``; of one step at least."""
        with torch.no_grad():
            return self.from_inputs(inputs_of(bars, self.ridge.generator, self.ridge.scale), bars.cells.shape[1])

    def from_inputs(self, inputs: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, F) from the inputs (n, inputs) of bars of so many steps."""
        mean, std = self.ridge.from_inputs(inputs, step)
        if step == self.ridge.generator.steps:
            return mean, std  # nothing is left to predict
        hidden = self.first((inputs - self.means) / self.stds) + self.of_step.weight[step - 1]
        off, clearer = self.rest(hidden).chunk(2, 1)
        return mean + std * off, std * torch.exp(_CLEAREST * torch.tanh(clearer / _CLEAREST))

    def of_candidates(
        self, so_far: Tensor, state: Tensor, last: Tensor, rows: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """See ``dynamics.StepReadOut``."""
        with torch.no_grad():
            return self.from_inputs(torch.cat([so_far, state[rows], last], 1), step)


def train_read_out(ridge: RidgeReadOut, config: ReadOutConfig | None = None) -> LearnedReadOut:
    """Learn by the likelihood of what bars of the generator came to, at each of their steps; each bar is seen once.

    Args:
        ridge: fitted on other bars of the same generator.
        config: how.
    """
    config = config or ReadOutConfig()
    random = torch.Generator().manual_seed(config.seed + 1)  # the ridge was fitted on the bars of the seed itself
    n_turns = ridge.generator.steps - 1  # of a finished bar all is known

    def draw() -> tuple[list[Tensor], Tensor]:
        with torch.no_grad():
            return decide_at_random(ridge.generator, ridge.scale, config.batch_size, random)

    inputs, values = draw()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        learned = LearnedReadOut(ridge, inputs[0].shape[1], config.width)
    together = torch.cat(inputs)
    learned.means, learned.stds = together.mean(0), together.std(0).clamp(min=_LEAST_SPREAD)
    optimizer = torch.optim.Adam(learned.parameters(), config.learning_rate)
    for step in range(config.train_steps):
        turn = step % n_turns
        if turn == 0 and step:
            inputs, values = draw()
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.train_steps))
        mean, std = learned.from_inputs(inputs[turn], turn + 1)
        loss = (0.5 * ((values - mean) / std).square() + std.log()).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return learned.eval().requires_grad_(False)
