"""A second discriminator for the bars of a GAN, to evaluate what the first one has rewarded."""

from __future__ import annotations

import os
from dataclasses import asdict

import torch
from torch.nn import functional as F

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.data import Corpus
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, save_gan
from rhythmgan.models.interfaces import LatentModel
from rhythmgan.training.gan_loss import squared_gradient
from rhythmgan.training.schedule import set_learning_rate

TRAIN_STEPS = 1500
"""Gradient steps, by default."""

_BATCH = 256
_LEARNING_RATE = 5e-4
_GAMMA = 0.1
"""Weight of the squared gradients on real and fake bars together (R1 and R2)."""


def train_critic(
    corpus: Corpus, model: LatentModel, path: str | os.PathLike[str], seed: int, train_steps: int = TRAIN_STEPS
) -> None:
    """Train a discriminator that tells real bars from a GAN's, whose generator stays as it is; write both.

    It has another width than the GAN's own, and learns from other batches.

    Args:
        corpus: real bars; each song's distinct ones count.
        model: the GAN whose bars it learns to separate from them.
        path: the weights file to write; ``models.catalogue.load_generator`` reads it.
        seed: of weights, batches and z.
        train_steps: gradient steps.

    Raises:
        ValueError: the model is no GAN.
        OSError: the file cannot be written.
    """
    if not isinstance(model, GAN):
        raise ValueError(f"a critic is trained for a GAN, not for a {type(model).__name__}")
    config = GANConfig(**asdict(model.config) | {"discriminator_width": model.config.discriminator_width // 2 + 16})
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        second = GAN(config)
    second.generator.load_state_dict(model.generator.state_dict())
    second.shifts.copy_(model.shifts)
    model = model.with_condition(ANY, ANY)  # as the real bars are
    distinct = corpus.distinct()
    real = torch.from_numpy(words_to_bars(distinct.words, corpus.kit.n_parts))
    z = torch.randn(len(real), model.latent_dim, generator=random)
    fake = torch.from_numpy(model.decode(z))
    discriminator = second.discriminator.train()
    optimizer = torch.optim.AdamW(discriminator.parameters(), _LEARNING_RATE, betas=(0.5, 0.99), weight_decay=0.05)
    labels = model.labels
    for step in range(train_steps):
        batch = [bars[torch.randint(len(bars), (_BATCH,), generator=random)].float() for bars in (real, fake)]
        both = torch.cat(batch).requires_grad_(True)
        logits = discriminator(both, labels)
        logit_gap = logits[:_BATCH] - logits[_BATCH:]
        loss = F.softplus(-logit_gap).mean() + _GAMMA * squared_gradient(logits, both)
        set_learning_rate(optimizer, _LEARNING_RATE * (1 - step / train_steps))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    second.eval().requires_grad_(False)
    save_gan(path, second, {"trained_seed": str(seed), "trained_steps": str(train_steps)})
