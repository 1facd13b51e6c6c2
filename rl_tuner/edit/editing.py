"""Edits of many bars at once: the best edit again and again, until it changes nothing or no edit is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rl_tuner.edit.edits import N_WORDS, NATS_PRICE, has_targets, likeliest, match, nats_of, tables, values_of
from rl_tuner.edit.observation import observe


class Edited(NamedTuple):
    """Edited bars, each the best that was come by.

    Attributes:
        words: (n, 16) ints.
        values: (n, 4), their features.
        reached: (n,) bool, whether they have all that is asked for.
        nats: (n,), how much less likely they are than the likeliest bars.
        edits: (n,) ints, after how many edits they were come by.
    """

    words: Tensor
    values: Tensor
    reached: Tensor
    nats: Tensor
    edits: Tensor


@torch.no_grad()
def edit_bars(
    network: Callable[[Tensor], Tensor], log_probs: Tensor, targets: Tensor, importance: Tensor, edits: int
) -> Edited:
    """Edit the likeliest bars until they have what is asked for.

    Of the bars on the way the one of the highest worth is the answer: that with its targets, the likelier the better.

    Args:
        network: observations (n, width) → the value of each edit (n, 512).
        log_probs: (n, 16, 32), nats, what a model says of each bar; ``LEAST_LOG_PROB`` or more.
        targets, importance: (n, 4), what is asked for; importance 0 skips a feature.
        edits: at most.
    """
    words, top = likeliest(log_probs), nats_of(likeliest(log_probs), log_probs)
    allowed = tables(words.device).playable.repeat(log_probs.shape[1])
    best, worth = words.clone(), _worth(words, log_probs, targets, importance)
    at = torch.zeros(len(words), dtype=torch.long, device=words.device)
    open_rows = torch.arange(len(words), device=words.device)  # of bars that are still edited
    for number in range(edits):
        here = words[open_rows], log_probs[open_rows], targets[open_rows], importance[open_rows]
        left = log_probs.new_full((len(open_rows),), 1 - number / edits)
        chosen = network(observe(*here, left)).masked_fill(~allowed, -torch.inf).argmax(1)
        place, word = chosen // N_WORDS, chosen % N_WORDS
        changes = words[open_rows, place] != word
        open_rows = open_rows[changes]
        if not len(open_rows):
            break
        words[open_rows, place[changes]] = word[changes]
        now = _worth(words[open_rows], log_probs[open_rows], targets[open_rows], importance[open_rows])
        better = now > worth[open_rows]
        rows = open_rows[better]
        best[rows], worth[rows], at[rows] = words[rows], now[better], number + 1
    values = values_of(best, log_probs.dtype)
    return Edited(best, values, has_targets(values, targets, importance), top - nats_of(best, log_probs), at)


def _worth(words: Tensor, log_probs: Tensor, targets: Tensor, importance: Tensor) -> Tensor:
    nearness = match(values_of(words, log_probs.dtype), targets, importance)
    return nearness + NATS_PRICE * nats_of(words, log_probs)
