"""What every edit of a bar comes to: exact features, worth and nats of all 16 × 32 bars that differ in a step.

An edit sets one step to one word of ``jaki5``. Its features follow from tables: no bar is built.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from rhythmgan.features import metrical_weights
from rhythmgan.kit import JAKI5
from rl_tuner.edit.levels import LEVELS, TOLERANCES

STEPS = 16
N_WORDS = 1 << JAKI5.n_parts
N_EDITS = STEPS * N_WORDS
HANDS = ("snare", "closed cymbals", "open cymbals", "toms")
"""The parts that hands play: two of them at once. The kick has a foot of its own."""

LEAST_LOG_PROB = -12.0
"""Nats: no word counts as less likely than this."""

NATS_PRICE = 0.002
"""What a nat of leaving the likeliest bar costs, in rewards."""

_SPAN = 12.0
"""Tolerances of distance over which a feature's closeness falls from 1 to 0: jaki's 12."""


class Tables(NamedTuple):
    """What a word is, and what two words have in common; all on one device.

    Attributes:
        cymbals, drums: (words,) float32, onsets of each.
        common: (words, words) float32, parts that sound in both.
        cells: (words, parts) float32.
        playable: (words,) bool, whether two hands and a foot can play it.
        strengths: (steps,) float32, metrical weights.
        tolerance: (features,) float32.
    """

    cymbals: Tensor
    drums: Tensor
    common: Tensor
    cells: Tensor
    playable: Tensor
    strengths: Tensor
    tolerance: Tensor


@functools.cache
def tables(device: torch.device, dtype: torch.dtype = torch.float32) -> Tables:
    """The tables on a device."""
    shifts = torch.arange(JAKI5.n_parts - 1, -1, -1)
    cells = (torch.arange(N_WORDS)[:, None] >> shifts & 1).to(dtype)
    high = cells[:, JAKI5.parts_of("high")].sum(1)
    hands = cells[:, [JAKI5.names.index(name) for name in HANDS]].sum(1)
    found = Tables(
        cymbals=high,
        drums=cells.sum(1) - high,
        common=cells @ cells.T,
        cells=cells,
        playable=hands <= 2,
        strengths=torch.tensor(metrical_weights(STEPS), dtype=dtype),
        tolerance=torch.tensor(list(TOLERANCES.values()), dtype=dtype),
    )
    return Tables(*(table.to(device) for table in found))


def _tables_for(x: Tensor) -> Tables:
    return tables(x.device, x.dtype if x.is_floating_point() else torch.float32)


def _syncopation(line: Tensor, strengths: Tensor) -> Tensor:
    """Short-sighted LHL of lines (…, steps) of 0 and 1, as ``rhythmgan.features.short_sighted_lhl``: (…)."""
    one, two = ((1 - line.roll(-ahead, -1)) * (strengths.roll(-ahead) - strengths).clamp(min=0) for ahead in (1, 2))
    return (line * torch.where(one > 0, one, two)).sum(-1)


def values_of(words: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Cymbals, drums, syncopation and repetition of bars: (n, steps) words → (n, 4)."""
    known = tables(words.device, dtype)
    cymbals, drums = known.cymbals[words].sum(1), known.drums[words].sum(1)
    both = known.common[words[:, : STEPS // 2], words[:, STEPS // 2 :]].sum(1)
    syncopation = _syncopation((words > 0).to(dtype), known.strengths)
    return torch.stack([cymbals, drums, syncopation, 2 * both / (cymbals + drums).clamp(min=1)], 1)


def values_after(words: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The same of every edit of bars: (n, steps) words → (n, steps, words, 4)."""
    known = tables(words.device, dtype)
    now = values_of(words, dtype)
    cymbals = now[:, 0, None, None] + known.cymbals - known.cymbals[words][..., None]
    drums = now[:, 1, None, None] + known.drums - known.drums[words][..., None]
    mirrored = known.common[words.roll(STEPS // 2, 1)]  # (n, steps, words): in common with the word half a bar away
    both = known.common[words[:, : STEPS // 2], words[:, STEPS // 2 :]].sum(1)
    both = both[:, None, None] + mirrored - mirrored.gather(2, words[..., None])
    line = (words > 0).to(dtype)
    turned = (line[:, None] - torch.eye(STEPS, dtype=dtype, device=words.device)).abs()  # step by step
    of_turned = _syncopation(turned, known.strengths)[..., None]
    stays = known.cells.any(1)[None, None] == (words > 0)[..., None]  # sounds as before or not
    syncopation = torch.where(stays, now[:, 2, None, None], of_turned)
    return torch.stack([cymbals, drums, syncopation, 2 * both / (cymbals + drums).clamp(min=1)], 3)


def distances(values: Tensor, targets: Tensor, importance: Tensor) -> Tensor:
    """How far values (…, 4) are from targets, in tolerances; 0 where a feature's importance is 0."""
    return (values - targets).abs() / _tables_for(values).tolerance * importance


def has_targets(values: Tensor, targets: Tensor, importance: Tensor) -> Tensor:
    """Whether every feature that is asked for is within its tolerance: (…) bool."""
    return (distances(values, targets, (importance > 0).to(values.dtype)) <= 1).all(-1)


def nearest_levels(values: Tensor) -> Tensor:
    """Which of jaki's levels each feature is nearest to: values (n, 4) → (n, 4) ints, 0 low, 1 mid, 2 high."""
    levels = values.new_tensor([list(levels.values()) for levels in LEVELS.values()])
    return (values[:, :, None] - levels).abs().argmin(2)


def match(values: Tensor, targets: Tensor, importance: Tensor) -> Tensor:
    """How near values (…, 4) are to what is asked for: the mean of 1 − d / 12 by importance, and 1 more for having it.

    d are the distances in tolerances. 2 where every feature has its target; 1 + 1 where nothing is asked for.
    """
    far = distances(values, targets, importance).sum(-1) / importance.sum(-1).clamp(min=1e-6)
    return 1 - far / _SPAN + has_targets(values, targets, importance).to(values.dtype)


def nats_of(words: Tensor, log_probs: Tensor) -> Tensor:
    """Log-probability of bars (n, steps) whose words are as likely as ``log_probs`` (n, steps, words) say: (n,)."""
    return log_probs.gather(2, words[..., None])[..., 0].sum(1)


def likeliest(log_probs: Tensor) -> Tensor:
    """The likeliest bars (n, steps) that two hands and a foot can play; ``log_probs`` (n, steps, words)."""
    return log_probs.masked_fill(~_tables_for(log_probs).playable, -torch.inf).argmax(2)


def published_reward(values: Tensor, targets: Tensor, importance: Tensor, words: Tensor, chances: Tensor) -> Tensor:
    """jaki's reward (…): the mean of (12 − |Δ|) / 12 over the features that are asked for, and of (1 − L1 / 40)^¼.

    Δ of repetition, 0 … 1, is taken twelvefold, so that it counts as much as the others. L1 is the sum of the absolute
    differences between the bar's words, one-hot, and their chances.

    Args:
        values, targets, importance: (n, 4).
        words: (n, steps).
        chances: (n, steps, words) of the next bar's words, as the LSTM said.
    """
    far = (values - targets).abs()
    far = torch.cat([far[..., :3], far[..., 3:] * 12], -1)
    terms = ((12 - far) / 12 * (importance > 0)).sum(-1)
    l1 = (2 * (1 - chances.gather(2, words[..., None])[..., 0])).sum(1)
    closeness = (1 - l1 / 40) ** 0.25
    return (terms + closeness) / ((importance > 0).sum(-1) + 1)
