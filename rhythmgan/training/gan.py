"""Training a GAN: pretraining by likelihood first, then the adversarial phase."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from rhythmgan.data import Corpus
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.files import make_folder
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, save_gan
from rhythmgan.training.batches import (
    Mixture,
    SongBatches,
    check_trainable,
    corpus_digest,
    roles_of,
    step_seed,
    styles_of,
)
from rhythmgan.training.calibration import calibrate_temperatures
from rhythmgan.training.config import GANTrainingConfig
from rhythmgan.training.denoiser import train_denoiser
from rhythmgan.training.gan_loss import GANLoss
from rhythmgan.training.run import Progress, train
from rhythmgan.training.schedule import cosine_decay, set_learning_rate, update_ema

WEIGHTS = "gan.safetensors"
GRID = "grid.png"

_GRID_BARS = 36


class GANTraining(pl.LightningModule):
    """The two phases of a GAN's training, one batch at a time.

    What is drawn at a step depends on the seed, the step and the process alone, so a resumed run goes on as if it
    had never stopped.
    """

    def __init__(self, network: GANConfig, training: GANTrainingConfig, corpus: Corpus) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = training
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.gan = GAN(network)
        self.ema_generator = copy.deepcopy(self.gan.generator).requires_grad_(False)
        self.mixture = Mixture(
            training.any_share, training.style_share, training.song_exponent, 0.0, training.augmented_share
        )
        self.batches = SongBatches(corpus, network.roles, network.styles, self.mixture)
        self.corpus = corpus
        self.loss = GANLoss(training.r1_gamma, training.r2_gamma, training.rate_matching_coef)
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def total_steps(self) -> int:
        return self.config.total_steps

    @property
    def phase(self) -> str:
        return "pretraining" if self.steps_done < self.config.pretrain_steps else "adversarial"

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        config = self.config
        generator, discriminator = self.gan.generator.parameters(), self.gan.discriminator.parameters()
        return [
            torch.optim.AdamW(
                self.gan.generator.parameters(),
                config.pretrain_learning_rate,
                (0.9, 0.99),
                weight_decay=config.weight_decay,
            ),
            torch.optim.Adam(generator, config.generator_learning_rate, (0.0, 0.99)),
            torch.optim.Adam(discriminator, config.discriminator_learning_rate, (0.0, 0.99)),
        ]

    def training_step(self, _: Any, index: int) -> None:
        if self.steps_done >= self.config.total_steps:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        seed = step_seed(self.config.seed, self.steps_done, self.global_rank)
        random = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout draws from the global generator
            is_pretraining = self.steps_done < self.config.pretrain_steps
            terms = self.pretrain_step(random) if is_pretraining else self.adversarial_step(random)
        self.log_dict(terms)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        self.trainer.should_stop = self.steps_done >= self.config.total_steps

    def draw_z(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.config.batch_size, self.gan.latent_dim, generator=random, device=self.device)

    def pretrain_step(self, random: torch.Generator) -> dict[str, Tensor]:
        """One step of maximum likelihood; returns ``nll``, the cross-entropy of the cells in nats a bar."""
        config, done = self.config, self.steps_done
        optimizer, _, _ = self._optimizers()
        warmup = min(1.0, (done + 1) / min(200, config.pretrain_steps))
        decay = cosine_decay(done, config.pretrain_steps, 0.02)
        set_learning_rate(optimizer, config.pretrain_learning_rate * warmup * decay)
        batch = self.batches.draw(config.batch_size, random)
        bars = batch.bars.float()
        shown = torch.rand((*bars.shape[:2], 1), generator=random, device=self.device) > config.hidden_share
        expected = self.gan.generator.expect(bars, batch.labels, shown.float())
        nll = -torch.special.log_ndtr(torch.where(bars > 0, expected, -expected)).sum((1, 2)).mean()
        optimizer.zero_grad()
        self.manual_backward(nll)
        optimizer.step()
        update_ema(self.ema_generator, self.gan.generator, min(config.ema_decay, done / (done + 10)))
        return {"nll": nll}

    def adversarial_step(self, random: torch.Generator) -> dict[str, Tensor]:
        """A step of the discriminator, then, after its warm-up, one of the generator, on the same bars.

        Returns:
            The terms of ``GANLoss``, and the mean number of onsets in the real and in the fake bars.
        """
        config = self.config
        _, generator_optimizer, discriminator_optimizer = self._optimizers()
        generator, discriminator = self.gan.generator, self.gan.discriminator
        done = self.steps_done - config.pretrain_steps
        decay = cosine_decay(max(0.0, (done / config.train_steps - 0.3) / 0.7), 1, 0.05)
        set_learning_rate(generator_optimizer, config.generator_learning_rate * decay)
        set_learning_rate(discriminator_optimizer, config.discriminator_learning_rate * decay)
        if done == 0 and config.pretrain_steps:
            generator.load_state_dict(self.ema_generator.state_dict())
        is_warmup = done < config.discriminator_warmup
        batch = self.batches.draw(config.batch_size, random)
        real, labels = batch.bars.float(), batch.labels
        with torch.set_grad_enabled(not is_warmup):
            fake = generator(self.draw_z(random), labels)
        onsets = {"onsets_real": real.sum((1, 2)).mean(), "onsets_fake": fake.detach().sum((1, 2)).mean()}

        terms = self.loss.discriminator_terms(discriminator, real, fake, labels)
        discriminator_optimizer.zero_grad()
        self.manual_backward(self.loss.total(terms))
        discriminator_optimizer.step()
        if is_warmup:
            return terms | onsets

        discriminator.requires_grad_(False)
        generator_terms = self.loss.generator_terms(discriminator, real, fake, labels, self.batches.rates)
        generator_optimizer.zero_grad()
        self.manual_backward(self.loss.total(generator_terms))
        generator_optimizer.step()
        discriminator.requires_grad_(True)
        ramp = (done - config.discriminator_warmup) / 200
        update_ema(self.ema_generator, generator, min(config.ema_decay, ramp))
        return terms | generator_terms | onsets

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        return optimizers  # type: ignore[return-value]

    def finished_gan(self) -> GAN:
        """The GAN as it is shipped: with the averaged generator, on the CPU.

        At the end of the run its temperatures are calibrated and its denoiser is trained.
        """
        gan = GAN(self.gan.config)
        gan.load_state_dict(self.gan.state_dict())
        gan.generator.load_state_dict(self.ema_generator.state_dict())
        gan.eval().requires_grad_(False)
        if self.steps_done >= self.config.total_steps:
            calibrate_temperatures(gan)
            as_they_are = replace(self.mixture, augmented_share=0.0)
            batches = SongBatches(self.corpus, gan.roles, gan.styles, as_they_are)
            train_denoiser(gan, batches, self.config.denoiser_steps, self.config.seed)
        return gan

    def save(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray:
        """Write the weights, and the picture of the same seeds, which it returns."""
        gan = self.finished_gan()
        save_gan(out / WEIGHTS, gan, dict(provenance))
        image = bars_to_image(gan.sample(_GRID_BARS), gan.kit, titles=[f"seed {i}" for i in range(_GRID_BARS)])
        write_png(out / GRID, image)
        return image

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["steps_done"] = self.steps_done
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.steps_done = checkpoint["steps_done"]
        self.seconds = checkpoint["seconds"]


def train_gan(
    corpus: Corpus,
    out: str | os.PathLike[str],
    training: GANTrainingConfig | None = None,
    *,
    network: GANConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a GAN on the bars of songs, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``gan.safetensors`` (the weights to sample from), ``last.ckpt`` (to resume),
    ``grid.png`` (seeds 0-35), ``config.json`` and TensorBoard's events.

    Args:
        corpus: the training bars, in the order of their songs; take ``corpus.split("train")`` to keep songs for
            judging.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the networks; its kit and grid must be those of the bars. By default it learns all roles
            and styles of which there are enough bars.
        devices: how many processes or GPUs.
        accelerator: Lightning's: "auto", "cpu", "gpu", "mps".
        precision: Lightning's: "32-true", "bf16-mixed".
        progress: called after every step with (steps done, steps in all, phase).

    Returns:
        The path of the weights.

    Raises:
        ValueError: no bars to train on, networks for other bars, ``out`` holds another run, one that
            cannot be read or one that went further, or the machine has no such accelerator.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or GANTrainingConfig()
    network = network or GANConfig(
        kit=corpus.kit.name, steps=corpus.steps, roles=roles_of(corpus), styles=styles_of(corpus)
    )
    check_trainable(corpus, network.kit, network.steps)
    out = make_folder(out)
    train(
        GANTraining(network, training, corpus),
        out,
        {
            "model": "gan",
            "data": corpus_digest(corpus),
            "network": asdict(network),
            "training": asdict(training),
        },
        {
            "trained_bars": str(len(np.unique(corpus.bar_id))),
            "trained_songs": str(len(np.unique(corpus.song_id))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
