"""Training by likelihood: what the trainings of a prior and of the models of reproduced systems share.

The songs of the validation part decide which weights are kept, and when to stop.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from rhythmgan.training.batches import step_seed
from rhythmgan.training.config import LikelihoodTrainingConfig, NoteCNNTrainingConfig, PublishedTextTrainingConfig
from rhythmgan.training.run import STEPS_PER_EPOCH
from rhythmgan.training.schedule import cosine_decay, set_learning_rate, update_ema

Model = TypeVar("Model", bound=nn.Module)

_WARMUP = 100
"""Batches in which the learning rate rises."""

_RESUMED = ("steps_done", "seconds", "best_nll", "best_step")


class LikelihoodTraining(pl.LightningModule, ABC, Generic[Model]):
    """The training of a model by likelihood, one batch at a time.

    What is drawn at a step depends on the seed, the step and the process alone, so a resumed run goes on as if it had
    never stopped.

    Attributes:
        config: how it is trained.
        ema: the averaged weights; None where those that are trained are kept themselves.
        best: the weights that were best on the validation songs.
        best_nll, best_step: what they have there, and when that was.
        steps_done, seconds: so far.
    """

    validated_every: ClassVar[int] = STEPS_PER_EPOCH
    """Steps from one look at the validation songs to the next."""

    decays_to: ClassVar[float] = 0.02
    """Share of the learning rate that is left in the end."""

    max_gradient_norm: ClassVar[float] = 1.0
    """Longer gradients are cut to this length."""

    config: LikelihoodTrainingConfig
    ema: Model | None
    best: Model

    def __init__(self, config: LikelihoodTrainingConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.best_nll = math.inf
        self.best_step = 0
        self.steps_done = 0
        self.seconds = 0.0

    @property
    @abstractmethod
    def trained(self) -> Model:
        """The model that is trained."""

    @abstractmethod
    def batch_nll(self, random: torch.Generator) -> Tensor:
        """What a batch costs, nats."""

    @abstractmethod
    def validation_nll(self, model: Model) -> float:
        """What the validation songs cost a model, nats."""

    @property
    def total_steps(self) -> int:
        return self.config.train_steps

    @property
    def phase(self) -> str:
        return "train" if math.isinf(self.best_nll) else f"validation {self.best_nll:.3f}"

    @property
    def is_over(self) -> bool:
        """All steps are done, or the validation songs have not become likelier for long."""
        waited = (self.steps_done - self.best_step) // self.validated_every
        return self.steps_done >= self.config.train_steps or waited >= self.config.patience

    def learning_rate(self, done: int) -> float:
        """Of the step after so many: it rises first, then it decays along half a cosine."""
        warmup = min(1.0, (done + 1) / _WARMUP)
        return self.config.learning_rate * warmup * cosine_decay(done, self.config.train_steps, self.decays_to)

    def candidate(self) -> Model:
        """The weights that may be kept, as a model that is not in training."""
        assert self.ema is not None
        return self.ema.eval()  # Lightning has put everything into training mode

    def training_step(self, _: Any, index: int) -> None:
        if self.is_over:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        done = self.steps_done
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        set_learning_rate(optimizer, self.learning_rate(done))
        seed = step_seed(self.config.seed, done, self.global_rank)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout draws from the global generator
            nll = self.batch_nll(torch.Generator(self.device).manual_seed(seed))
            optimizer.zero_grad()
            self.manual_backward(nll)
        nn.utils.clip_grad_norm_(self.trained.parameters(), self.max_gradient_norm)
        optimizer.step()
        if self.ema is not None:
            assert not isinstance(self.config, NoteCNNTrainingConfig | PublishedTextTrainingConfig)
            update_ema(self.ema, self.trained, min(self.config.ema_decay, 1 - 1 / (1 + done / 5)))
        self.log("nll", nll)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        if self.steps_done % self.validated_every == 0 or self.steps_done >= self.config.train_steps:
            self._validate()
        self.trainer.should_stop = self.is_over

    def _validate(self) -> None:
        """Keep the candidate's weights if the validation songs are likelier than ever."""
        model = self.candidate()
        nll = self.validation_nll(model)
        self.log("validation_nll", nll)
        if nll < self.best_nll:
            self.best_nll, self.best_step = nll, self.steps_done
            self.best.load_state_dict(model.state_dict())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= {name: getattr(self, name) for name in _RESUMED}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name in _RESUMED:
            setattr(self, name, checkpoint[name])
