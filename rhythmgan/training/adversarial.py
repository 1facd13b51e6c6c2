"""The two phases of training a generator: pretraining by likelihood first, then the adversarial phase."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from rhythmgan.models.gan import AdversarialPair
from rhythmgan.training.batches import step_seed
from rhythmgan.training.config import AdversarialConfig
from rhythmgan.training.gan_loss import GANLoss
from rhythmgan.training.schedule import cosine_decay, set_learning_rate, update_ema

Pair = TypeVar("Pair", bound=AdversarialPair)


class Batch(Protocol):
    """Training bars, or phrases with their bars one after the other."""

    @property
    def bars(self) -> Tensor:
        """(n, steps, parts) bool."""

    @property
    def labels(self) -> Tensor:
        """(n, 3) ints, see ``models.labels``."""


class Batches(Protocol):
    """What draws training bars."""

    @property
    def rates(self) -> Tensor:
        """(1 + roles, steps, parts), how often each cell sounds in the bars that are drawn of each role."""

    def draw(self, n: int, random: torch.Generator) -> Batch:
        """n bars."""


class AdversarialTraining(pl.LightningModule, Generic[Pair]):
    """The two phases of a training, one batch at a time: maximum likelihood, and the adversarial phase.

    What is drawn at a step depends on the seed, the step and the process alone, so a resumed run goes on as if it
    had never stopped.

    Attributes:
        config: how it is trained.
        gan: generator and discriminator.
        ema_generator: the averaged generator.
        batches: the training bars.
        steps_done, seconds: so far.
    """

    def __init__(self, build: Callable[[], Pair], batches: Batches, training: AdversarialConfig) -> None:
        """Build the networks.

        Args:
            build: makes them; what it draws is of the run's seed.
            batches: a module of training bars, which moves to the device with the networks.
            training: how to train.
        """
        super().__init__()
        self.automatic_optimization = False
        self.config = training
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.gan = build()
        self.ema_generator = copy.deepcopy(self.gan.generator).requires_grad_(False)
        self.batches = batches
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
        """One step of maximum likelihood; returns ``nll``, the cross-entropy of the cells in nats a bar or a phrase."""
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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["steps_done"] = self.steps_done
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.steps_done = checkpoint["steps_done"]
        self.seconds = checkpoint["seconds"]
