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

_OF_EDIT = 4 * 2 + 4
"""Numbers that stand for an edit: the gaps after it on two scales, and what it comes to."""

_OF_EPISODE = EDIT_LAYOUT.width - STEPS * JAKI5.n_parts + 1
"""Numbers that stand for an episode: the observation without the cells, and the nats that the bar has lost."""

_FORBIDDEN = -10.0
"""The value of an edit that may not be made: below all that a bar can lose."""


class EditNetwork(nn.Module):
    """Observations (n, width) → the value of each edit (n, 512): its reward, and what the edited bar is still worth.

    The reward of an edit follows exactly from the observation; only what comes after is learnt, as a function of the
    bar after the edit (an afterstate, Sutton & Barto 2018, 6.8). It is 0 at first, so that the network begins as a
    greedy search. An edit that changes nothing ends the episode, and is worth 0.

    Args:
        width: units of the first layer; the second has half as many.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.of_episode = nn.Linear(_OF_EPISODE, width)
        self.of_cells = nn.Linear(STEPS * JAKI5.n_parts, width, bias=False)
        self.of_edit = nn.Linear(_OF_EDIT, width, bias=False)
        self.between = nn.Linear(width, (width + 1) // 2)
        self.to_come = nn.Linear((width + 1) // 2, 1)
        nn.init.zeros_(self.to_come.weight)
        nn.init.zeros_(self.to_come.bias)
        self.float()  # whatever torch's default is

    def forward(self, observations: Tensor) -> Tensor:
        seen = see(observations)
        known = tables(observations.device, observations.dtype)
        playable = known.playable.nonzero()[:, 0]
        rewards, of_edit = describe_edits(seen, playable)
        lost = nats_of(likeliest(seen.log_probs), seen.log_probs) - nats_of(seen.words, seen.log_probs)
        cells = EDIT_LAYOUT.slice("cells")
        assert cells.start == 0
        of_bar = self.of_cells(observations[:, cells])
        of_bar = of_bar + self.of_episode(torch.cat([observations[:, cells.stop :], lost[:, None] / 100], 1))
        # the first layer is linear in the cells: of an edited bar it is that of the bar, less the old word, and the new
        parts = self.of_cells.weight.view(-1, STEPS, JAKI5.n_parts)
        of_words = torch.einsum("hsp,wp->swh", parts, known.cells)
        steps = torch.arange(STEPS, device=observations.device)
        of_steps = of_bar[:, None] - of_words[steps, seen.words]
        hidden = of_steps[:, :, None] + of_words[:, playable] + self.of_edit(of_edit)
        to_come = self.to_come(F.relu(self.between(F.relu(hidden))))[..., 0]
        to_come = to_come.masked_fill(seen.words[..., None] == playable, 0.0)
        values = observations.new_full((len(observations), STEPS, N_WORDS), _FORBIDDEN)
        values[:, :, playable] = rewards + to_come
        return values.view(-1, N_EDITS)


class Greedy(nn.Module):
    """The reward of each edit and nothing more: a search that takes the best edit, of observations (n, width).

    Args:
        price: what a nat costs the search.
    """

    def __init__(self, price: float = NATS_PRICE) -> None:
        super().__init__()
        self.price = price

    def forward(self, observations: Tensor) -> Tensor:
        known = tables(observations.device, observations.dtype)
        rewards, _ = _gains(see(observations), torch.arange(N_WORDS, device=observations.device), self.price)
        return rewards.masked_fill(~known.playable, _FORBIDDEN).view(-1, N_EDITS)


def _gains(seen: Seen, chosen: Tensor, price: float = NATS_PRICE) -> tuple[Tensor, Tensor]:
    """By how much the bar's worth grows, (n, steps, chosen words), and its features (n, steps, chosen words, 4)."""
    words, targets, importance = seen.words, seen.targets[:, None, None], seen.importance[:, None, None]
    values = values_after(words, seen.log_probs.dtype)[:, :, chosen]
    now = match(values_of(words, seen.log_probs.dtype), seen.targets, seen.importance)
    nats = seen.log_probs[:, :, chosen] - seen.log_probs.gather(2, words[..., None])
    return match(values, targets, importance) - now[:, None, None] + price * nats, values


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
