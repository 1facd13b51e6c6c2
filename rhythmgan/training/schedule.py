"""How learning rates and averaged weights change over the steps of a training."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import nn


class Optimizer(Protocol):
    """torch's optimisers, bare or as Lightning wraps them."""

    param_groups: list[dict[str, Any]]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Let all parameters of an optimiser learn at this rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def cosine_decay(done: float, total: float, to: float) -> float:
    """From 1 to ``to`` along half a cosine (Loshchilov & Hutter 2017), as ``done`` goes from 0 to ``total``."""
    return to + (1 - to) / 2 * (1 + math.cos(math.pi * done / total))


@torch.no_grad()
def update_ema(averaged: nn.Module, trained: nn.Module, decay: float) -> None:
    """Move averaged weights towards the trained ones; ``decay`` in 0 … 1 is the share of them that stays."""
    for mean, weight in zip(averaged.parameters(), trained.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
