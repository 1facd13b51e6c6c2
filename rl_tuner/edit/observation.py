"""What an agent that edits a bar sees: made by the environment, and taken apart again by the network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rhythmgan.kit import JAKI5
from rl_tuner.edit.edits import LEAST_LOG_PROB, N_WORDS, STEPS, tables, values_of
from rl_tuner.layout import Entry, Layout

_CELLS = STEPS * JAKI5.n_parts
_SCALE = (12.0, 12.0, 12.0, 1.0)

EDIT_LAYOUT = Layout(
    (
        Entry("cells", _CELLS, "the bar, step by step: 1 where a part sounds", 0, 1),
        Entry("log_probs", STEPS * N_WORDS, "log p of each word on each step given the bar before; nats / 12", -1, 0),
        Entry("targets", 4, "cymbals, drums and syncopation asked for, / 12; repetition", 0, 3),
        Entry("importance", 4, "importance of each feature; 0 where it is not asked for", 0, 10),
        Entry("values", 4, "what the bar has of each, scaled likewise", 0, 3),
        Entry("left", 1, "edits that are left, as a share", 0, 1),
    )
)


class Seen(NamedTuple):
    """An observation taken apart.

    Attributes:
        words: (n, steps) ints.
        log_probs: (n, steps, words), nats.
        targets, importance: (n, 4).
        left: (n, 1), share of the edits.
    """

    words: Tensor
    log_probs: Tensor
    targets: Tensor
    importance: Tensor
    left: Tensor


def observe(words: Tensor, log_probs: Tensor, targets: Tensor, importance: Tensor, left: Tensor) -> Tensor:
    """Observations (n, width) of bars; ``left`` is (n,), the others as in ``Seen``."""
    scale = log_probs.new_tensor(_SCALE)
    parts = {
        "cells": tables(words.device, log_probs.dtype).cells[words].flatten(1),
        "log_probs": log_probs.flatten(1) / -LEAST_LOG_PROB,
        "targets": targets.to(log_probs.dtype) / scale,
        "importance": importance.to(log_probs.dtype),
        "values": values_of(words, log_probs.dtype) / scale,
        "left": left[:, None].to(log_probs.dtype),
    }
    return EDIT_LAYOUT.pack(parts)


def see(observations: Tensor) -> Seen:
    """Observations (n, width) taken apart."""
    parts = EDIT_LAYOUT.unpack(observations)
    cells = parts["cells"].view(-1, STEPS, JAKI5.n_parts)
    values = 1 << torch.arange(JAKI5.n_parts - 1, -1, -1, device=cells.device)
    return Seen(
        words=(cells.long() * values).sum(2),
        log_probs=parts["log_probs"].view(-1, STEPS, N_WORDS) * -LEAST_LOG_PROB,
        targets=parts["targets"] * observations.new_tensor(_SCALE),
        importance=parts["importance"],
        left=parts["left"],
    )
