"""Training a convolutional GAN of phrases: a Wasserstein GAN with a gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from rhythmgan.models.config import PhraseConvGANConfig
from rhythmgan.models.phrase_conv_gan import ConvCritic, PhraseConvGAN, save_phrase_conv_gan
from rhythmgan.song_phrases import SongPhrases
from rhythmgan.training.batches import step_seed
from rhythmgan.training.config import PhraseConvGANTrainingConfig
from rhythmgan.training.phrase_batches import PhraseBatches, check_phrases
from rhythmgan.training.phrase_picture import PICTURE, write_picture
from rhythmgan.training.phrase_run import train_on_phrases
from rhythmgan.training.run import Progress

WEIGHTS = "rythmgan-published.safetensors"


class PhraseConvGANTraining(pl.LightningModule):
    """A step: so many batches of the critic, then one of the generator. Cells are soft for both.

    What is drawn at a step depends on the seed, the step and the process alone, so a resumed run goes on as if it had
    never stopped.
    """

    def __init__(
        self, network: PhraseConvGANConfig, training: PhraseConvGANTrainingConfig, phrases: SongPhrases
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = training
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.gan = PhraseConvGAN(network)
            self.critic = ConvCritic(network)
        self.batches = PhraseBatches(phrases)
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def total_steps(self) -> int:
        return self.config.train_steps

    @property
    def phase(self) -> str:
        return "adversarial"

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(network.parameters(), self.config.learning_rate, (0.5, 0.9))
            for network in (self.gan.generator, self.critic)
        ]

    def training_step(self, _: Any, index: int) -> None:
        if self.steps_done >= self.config.train_steps:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        random = torch.Generator(self.device).manual_seed(
            step_seed(self.config.seed, self.steps_done, self.global_rank)
        )
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        for _number in range(self.config.critic_steps):
            terms = self.critic_terms(self.draw_real(random), self.draw_fake(random).detach(), random)
            self._step(optimizers[1], terms["loss_d"] + self.config.penalty_coef * terms["penalty"])
        self.critic.requires_grad_(False)
        terms["loss_g"] = -self.critic(self.draw_fake(random)).mean()
        self._step(optimizers[0], terms["loss_g"])
        self.critic.requires_grad_(True)
        self.log_dict(terms)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        self.trainer.should_stop = self.steps_done >= self.config.train_steps

    def draw_real(self, random: torch.Generator) -> Tensor:
        """Phrases of songs (n, bars, steps, parts), floats 0 or 1."""
        bars = self.batches.draw(self.config.batch_size, random).bars
        network = self.gan.config
        return bars.float().view(len(bars), network.bars, network.steps, -1)

    def draw_fake(self, random: torch.Generator) -> Tensor:
        """Phrases of the generator (n, bars, steps, parts) in 0 … 1."""
        shape = self.config.batch_size, self.gan.config.latent_dim
        return torch.sigmoid(self.gan.generator(torch.randn(shape, generator=random, device=self.device)))

    def critic_terms(self, real: Tensor, fake: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """The terms of the critic's batch.

        Returns:
            Scalars: ``loss_d``, the mean score of the fake phrases minus that of the real ones; ``penalty``, the mean
            squared distance from 1 of the length of the gradient at a point between a real and a fake one.
        """
        share = torch.rand((len(real), 1, 1, 1), generator=random, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        length = gradient.flatten(1).norm(dim=1)
        return {
            "loss_d": self.critic(fake).mean() - self.critic(real).mean(),
            "penalty": (length - 1).square().mean(),
        }

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def save(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray:
        """Write the weights, and the picture of the same seeds, which it returns."""
        gan = copy.deepcopy(self.gan).cpu().eval().requires_grad_(False)
        save_phrase_conv_gan(out / WEIGHTS, gan, dict(provenance))
        return write_picture(gan, gan.max_bars, out / PICTURE)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["steps_done"] = self.steps_done
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.steps_done = checkpoint["steps_done"]
        self.seconds = checkpoint["seconds"]


def train_phrase_conv_gan(
    phrases: SongPhrases,
    out: str | os.PathLike[str],
    training: PhraseConvGANTrainingConfig | None = None,
    *,
    network: PhraseConvGANConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a convolutional GAN of phrases, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``rythmgan-published.safetensors`` (the weights to sample from), ``last.ckpt`` (to resume),
    ``phrases.png`` (seeds 0-31), ``config.json`` and TensorBoard's events.

    Args:
        phrases: the training phrases, ``song_phrases`` of the train songs.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the networks; kit, grid and bars must be those of the phrases, and are by default.
        devices, accelerator, precision, progress: as ``run.train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: phrases of another kind than the network's, none that begin on time, or as ``run.train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or PhraseConvGANTrainingConfig()
    bars, steps = phrases.words.shape[1:]
    network = network or PhraseConvGANConfig(kit=phrases.kit.name, steps=steps, bars=bars)
    check_phrases(phrases, network.kit, network.steps, network.bars)
    module = PhraseConvGANTraining(network, training, phrases)
    train_on_phrases(
        module,
        "rythmgan-published",
        phrases,
        out,
        network,
        training,
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return Path(out) / WEIGHTS
