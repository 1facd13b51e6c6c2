"""Training a model of the next bar on neighbouring bars of songs; pairs of the validation songs decide when to stop."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.data import Corpus
from rhythmgan.files import make_folder
from rhythmgan.models.bar_lstm import BarLSTM, rounded, save_bar_lstm
from rhythmgan.models.config import BarLSTMConfig
from rhythmgan.training.batches import check_trainable, corpus_digest
from rhythmgan.training.config import BarLSTMTrainingConfig
from rhythmgan.training.likelihood import LikelihoodTraining
from rhythmgan.training.run import Progress, train

WEIGHTS = "bar-lstm.safetensors"


class BarLSTMTraining(LikelihoodTraining[BarLSTM]):
    """The training of a model of the next bar; see ``LikelihoodTraining``."""

    config: BarLSTMTrainingConfig
    ema: BarLSTM
    best: BarLSTM
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
        super().__init__(training)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.model = BarLSTM(network)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.ema)
        for name, songs in (("", corpus), ("validation_", validation)):
            previous, following, _ = songs.pairs()
            for kind, words in (("previous", previous), ("following", following.words)):
                self.register_buffer(name + kind, torch.from_numpy(words.astype(np.int64)), persistent=False)

    @property
    def trained(self) -> BarLSTM:
        return self.model

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of the words of a batch's following bars, nats a step."""
        rows = torch.randint(len(self.previous), (self.config.batch_size,), generator=random, device=self.device)
        return self._nll(self.model, self.previous[rows], self.following[rows])

    @staticmethod
    def _nll(model: BarLSTM, previous: Tensor, following: Tensor) -> Tensor:
        """Cross-entropy of the words of the following bars, nats a step."""
        return F.cross_entropy(model(previous).flatten(0, 1), following.flatten())

    def candidate(self) -> BarLSTM:
        """The averaged weights as a file holds them."""
        return rounded(super().candidate())

    @torch.no_grad()
    def validation_nll(self, model: BarLSTM) -> float:
        """Nats a step of the bars that follow in the validation songs' pairs."""
        previous, following = self.validation_previous, self.validation_following
        total = 0.0
        for first in range(0, len(previous), 1024):
            rows = slice(first, first + 1024)
            total += float(self._nll(model, previous[rows], following[rows])) * len(previous[rows])
        return total / len(previous)

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), "validation_nll_per_step": f"{self.best_nll:.4f}"}
        save_bar_lstm(out / WEIGHTS, self.best, dict(provenance) | facts)


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
