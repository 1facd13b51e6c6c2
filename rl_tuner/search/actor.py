"""Amortised search: a network that turns targets and noise into z (Engel, Hoffman & Roberts 2018)."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from rhythmgan.models.interfaces import LatentModel
from rl_tuner.latent.moves import to_length_of
from rl_tuner.scale import FeatureScale
from rl_tuner.search.gradient import soft_values
from rl_tuner.search.problem import Problem, Search

_BATCH = 256
_LEARNING_RATE = 1e-3
_CROSSED = 0.4
"""Share of training targets whose features are those of different bars."""


class Actor(nn.Module):
    """Targets and noise → z."""

    def __init__(self, latent_dim: int, n_features: int, width: int = 512) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(latent_dim + n_features, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, latent_dim),
        )

    def forward(self, z: Tensor, wanted: Tensor) -> Tensor:
        """z (n, latent_dim) N(0, 1) and standardised targets (n, F) → z of the same lengths."""
        moved = z + self.net(torch.cat([z, wanted], 1))
        return moved * to_length_of(z, moved)


def train_actor(
    generator: LatentModel, scale: FeatureScale, targets: Tensor, seconds: float, seed: int = 0, nearness: float = 0.1
) -> Actor:
    """An actor that has been trained for so many seconds, by the gradient of the distance to the targets.

    Args:
        generator: what decodes.
        scale: of its bars' features.
        targets: (m, F), of real bars; two of five are made of the features of different bars.
        seconds: of training.
        seed: of weights and draws.
        nearness: coefficient of the mean squared change of z: without it the noise is ignored.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        actor = Actor(generator.latent_dim, targets.shape[1])
    optimizer = torch.optim.Adam(actor.parameters(), _LEARNING_RATE)
    began, done = time.perf_counter(), 0.0
    while done < 1:
        rows = torch.randint(len(targets), (_BATCH, targets.shape[1]), generator=random)
        crossed = torch.rand(_BATCH, 1, generator=random, dtype=torch.float32) < _CROSSED
        wanted = targets.gather(0, torch.where(crossed, rows, rows[:, :1]))
        z = torch.randn(_BATCH, generator.latent_dim, generator=random, dtype=torch.float32)
        moved = actor(z, scale.standardised(wanted))
        gap = (soft_values(generator, moved) - wanted) / scale.tolerance / 2
        loss = torch.sqrt(1 + gap.square().sum(1)).mean() + nearness * (moved - z).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * max(1 - done, 0.02)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimizer.step()
        done = (time.perf_counter() - began) / seconds
    return actor.eval().requires_grad_(False)


def amortised_actor(actor: Actor) -> Search:
    """Evaluate the actor's answer to new noise with each call."""

    def search(problem: Problem) -> None:
        while not problem.is_over:
            wanted = problem.scorer.scale.standardised(problem.targets[problem.open])
            with torch.no_grad():
                z = actor(problem.random_points(), wanted)
            problem.evaluate(z)

    return search
