"""What an edit is worth: its reward, which is known, and what a network expects of the edits after it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.kit import JAKI5
from rl_tuner.edit.edits import (
    LEAST_LOG_PROB,
    N_EDITS,
    N_WORDS,
    NATS_PRICE,
    STEPS,
    has_targets,
    likeliest,
    match,
    nats_of,
    tables,
    values_after,
    values_of,
)
from rl_tuner.edit.observation import EDIT_LAYOUT, Seen, see

_NEIGHBOURS = (-2, -1, 1, 2)

_OF_BAR = EDIT_LAYOUT.width + 1
"""Numbers that stand for a bar: the observation, and the nats that it has lost."""

_OF_STEP = 2 * JAKI5.n_parts + len(_NEIGHBOURS) + STEPS
"""Numbers that stand for a step: its word, that half a bar away, the line around it, and its place."""

_OF_EDIT = 4 * 2 + 4
"""Numbers that stand for an edit: the gaps after it on two scales, and what it comes to."""

_FORBIDDEN = -10.0
"""The value of an edit that may not be made: below all that a bar can lose."""


class EditNetwork(nn.Module):
    """Observations (n, width) → the value of each edit (n, 512): its reward, and what is to come after it.

    The reward of an edit follows exactly from the observation; only what comes after is learnt. It is 0 at first, so
    that the network begins as a greedy search. An edit that changes nothing ends the episode, and is worth 0.

    Args:
        width: units of each layer.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.of_bar = nn.Sequential(nn.Linear(_OF_BAR, width), nn.SiLU(), nn.Linear(width, width))
        self.of_step = nn.Linear(_OF_STEP, width, bias=False)
        self.of_word = nn.Linear(JAKI5.n_parts, width, bias=False)
        self.of_edit = nn.Linear(_OF_EDIT, width, bias=False)
        self.between = nn.Linear(width, width)
        self.to_come = nn.Linear(width, 1)
        nn.init.zeros_(self.to_come.weight)
        nn.init.zeros_(self.to_come.bias)
        self.float()  # whatever torch's default is

    def forward(self, observations: Tensor) -> Tensor:
        seen = see(observations)
        known = tables(observations.device, observations.dtype)
        playable = known.playable.nonzero()[:, 0]
        rewards, of_edit = describe_edits(seen, playable)
        lost = nats_of(likeliest(seen.log_probs), seen.log_probs) - nats_of(seen.words, seen.log_probs)
        of_bar = self.of_bar(torch.cat([observations, lost[:, None] / 100], 1))
        of_step = self.of_step(describe_steps(seen)) + of_bar[:, None]
        hidden = of_step[:, :, None] + self.of_word(known.cells[playable]) + self.of_edit(of_edit)
        to_come = self.to_come(F.silu(self.between(F.silu(hidden))))[..., 0]
        to_come = to_come.masked_fill(seen.words[..., None] == playable, 0.0)
        values = observations.new_full((len(observations), STEPS, N_WORDS), _FORBIDDEN)
        values[:, :, playable] = rewards + to_come
        return values.view(-1, N_EDITS)


class Greedy(nn.Module):
    """The reward of each edit and nothing more: a search that takes the best edit, of observations (n, width)."""

    def forward(self, observations: Tensor) -> Tensor:
        known = tables(observations.device, observations.dtype)
        rewards, _ = _gains(see(observations), torch.arange(N_WORDS, device=observations.device))
        return rewards.masked_fill(~known.playable, _FORBIDDEN).view(-1, N_EDITS)


def _gains(seen: Seen, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """By how much the bar's worth grows, (n, steps, chosen words), and its features (n, steps, chosen words, 4)."""
    words, targets, importance = seen.words, seen.targets[:, None, None], seen.importance[:, None, None]
    values = values_after(words, seen.log_probs.dtype)[:, :, chosen]
    now = match(values_of(words, seen.log_probs.dtype), seen.targets, seen.importance)
    nats = seen.log_probs[:, :, chosen] - seen.log_probs.gather(2, words[..., None])
    return match(values, targets, importance) - now[:, None, None] + NATS_PRICE * nats, values


def describe_edits(seen: Seen, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The rewards (n, steps, chosen words) of edits, and the numbers that stand for each (n, steps, chosen words, 12).

    Args:
        seen: n observations.
        chosen: (k,) ints, the words that edits set.
    """
    rewards, values = _gains(seen, chosen)
    words, log_probs = seen.words, seen.log_probs
    known = tables(words.device, log_probs.dtype)
    targets, importance = seen.targets[:, None, None], seen.importance[:, None, None]
    gaps = (values - targets) / known.tolerance * (importance > 0)
    numbers = [
        has_targets(values, targets, importance).to(log_probs.dtype),
        rewards,
        (log_probs[:, :, chosen] - log_probs.gather(2, words[..., None])) / -LEAST_LOG_PROB,
        (words[..., None] == chosen).to(log_probs.dtype),
    ]
    return rewards, torch.cat([(gaps / 3).tanh(), gaps / 12, torch.stack(numbers, 3)], 3)


def describe_steps(seen: Seen) -> Tensor:
    """The numbers that stand for each step, (n, steps, 30)."""
    words, dtype = seen.words, seen.log_probs.dtype
    cells = tables(words.device, dtype).cells
    line = (words > 0).to(dtype)
    around = torch.stack([line.roll(-near, 1) for near in _NEIGHBOURS], 2)
    place = torch.eye(STEPS, dtype=dtype, device=words.device).expand(len(words), -1, -1)
    return torch.cat([cells[words], cells[words.roll(STEPS // 2, 1)], around, place], 2)
