"""Training a model of the next bar on neighbouring bars of songs; pairs of the validation songs decide when to stop."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.data import Corpus
from rhythmgan.files import make_folder
from rhythmgan.models.bar_lstm import BarLSTM, rounded, save_bar_lstm
from rhythmgan.models.config import BarLSTMConfig
from rhythmgan.training.batches import check_trainable, corpus_digest, step_seed
from rhythmgan.training.config import BarLSTMTrainingConfig
from rhythmgan.training.run import STEPS_PER_EPOCH, Progress, train
from rhythmgan.training.schedule import cosine_decay, set_learning_rate, update_ema

WEIGHTS = "bar-lstm.safetensors"


class BarLSTMTraining(pl.LightningModule):
    """The training of a model of the next bar, one batch at a time.

    What is drawn at a step depends on the seed, the step and the process alone, so a resumed run goes on as if it had
    never stopped.
    """

    previous: Tensor
    following: Tensor
    validation_previous: Tensor
    validation_following: Tensor

    def __init__(
        self, network: BarLSTMConfig, training: BarLSTMTrainingConfig, corpus: Corpus, validation: Corpus
    ) -> None:
        """Build the network and keep the pairs.

        Args:
            network: its shape.
            training: how to train.
            corpus: the training bars, in the order of their songs.
            validation: bars of other songs.
        """
        super().__init__()
        self.automatic_optimization = False
        self.config = training
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.model = BarLSTM(network)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.ema)
        for name, songs in (("", corpus), ("validation_", validation)):
            previous, following, _ = songs.pairs()
            for kind, words in (("previous", previous), ("following", following.words)):
                self.register_buffer(name + kind, torch.from_numpy(words.astype(np.int64)), persistent=False)
        self.best_nll = math.inf
        self.best_step = 0
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def total_steps(self) -> int:
        return self.config.train_steps

    @property
    def phase(self) -> str:
        return "train" if math.isinf(self.best_nll) else f"validation {self.best_nll:.3f}"

    @property
    def is_over(self) -> bool:
        """All steps are done, or the validation songs' pairs have not become likelier for long."""
        waited = (self.steps_done - self.best_step) // STEPS_PER_EPOCH
        return self.steps_done >= self.config.train_steps or waited >= self.config.patience

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

    def training_step(self, _: Any, index: int) -> None:
        if self.is_over:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        config, done = self.config, self.steps_done
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        warmup = min(1.0, (done + 1) / 100)
        set_learning_rate(optimizer, config.learning_rate * warmup * cosine_decay(done, config.train_steps, 0.02))
        seed = step_seed(config.seed, done, self.global_rank)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout draws from the global generator
            random = torch.Generator(self.device).manual_seed(seed)
            rows = torch.randint(len(self.previous), (config.batch_size,), generator=random, device=self.device)
            nll = self._nll(self.model, self.previous[rows], self.following[rows])
            optimizer.zero_grad()
            self.manual_backward(nll)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        update_ema(self.ema, self.model, min(config.ema_decay, 1 - 1 / (1 + done / 5)))
        self.log("nll", nll)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        if self.steps_done % STEPS_PER_EPOCH == 0 or self.steps_done >= config.train_steps:
            self._validate()
        self.trainer.should_stop = self.is_over

    @staticmethod
    def _nll(model: BarLSTM, previous: Tensor, following: Tensor) -> Tensor:
        """Cross-entropy of the words of the following bars, nats a step."""
        return F.cross_entropy(model(previous).flatten(0, 1), following.flatten())

    @torch.no_grad()
    def _validate(self) -> None:
        """Keep the averaged weights, as a file holds them, if the validation songs' pairs are likelier than ever."""
        self.ema.eval()  # Lightning has put everything into training mode
        model = rounded(self.ema)
        previous, following = self.validation_previous, self.validation_following
        total = 0.0
        for first in range(0, len(previous), 1024):
            rows = slice(first, first + 1024)
            total += float(self._nll(model, previous[rows], following[rows])) * len(previous[rows])
        nll = total / len(previous)
        self.log("validation_nll", nll)
        if nll < self.best_nll:
            self.best_nll, self.best_step = nll, self.steps_done
            self.best.load_state_dict(model.state_dict())

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), "validation_nll_per_step": f"{self.best_nll:.4f}"}
        save_bar_lstm(out / WEIGHTS, self.best, dict(provenance) | facts)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= {name: getattr(self, name) for name in _RESUMED}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name in _RESUMED:
            setattr(self, name, checkpoint[name])


_RESUMED = ("steps_done", "seconds", "best_nll", "best_step")


def train_bar_lstm(
    corpus: Corpus,
    validation: Corpus,
    out: str | os.PathLike[str],
    training: BarLSTMTrainingConfig | None = None,
    *,
    network: BarLSTMConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a model of the next bar on each song's distinct pairs of neighbours, or resume the run in ``out``.

    Writes into ``out``: ``bar-lstm.safetensors`` (the averaged weights that were best on the validation songs, in half
    precision), ``last.ckpt`` (to resume), ``config.json`` and TensorBoard's events.

    Args:
        corpus: the training bars, in the order of their songs, as ``load_corpus(…).split("train")``.
        validation: bars of other songs, which decide when to stop.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the network; its kit and grid must be those of the bars, and are by default.
        devices, accelerator, precision, progress: as ``train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: no neighbouring bars to train on or to stop by, or as ``train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or BarLSTMTrainingConfig()
    network = network or BarLSTMConfig(kit=corpus.kit.name, steps=corpus.steps)
    check_trainable(corpus, network.kit, network.steps)
    if not len(validation):
        raise ValueError("there is nothing to stop by: no song of the data falls into the valid split")
    n_pairs, n_validation = (len(songs.pairs()[0]) for songs in (corpus, validation))
    if not n_pairs or not n_validation:
        raise ValueError("the songs have no bars that follow one another")
    out = make_folder(out)
    train(
        BarLSTMTraining(network, training, corpus, validation),
        out,
        {
            "model": "bar-lstm",
            "data": corpus_digest(corpus) + corpus_digest(validation),
            "network": asdict(network),
            "training": asdict(training),
        },
        {
            "trained_pairs": str(n_pairs),
            "trained_songs": str(len(np.unique(corpus.song_id))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
