"""Training a prior: next words of bars of each role and style, alone and after the bar before them.

The validation songs' distinct bars decide when to stop.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.conditions import ANY, DEFAULT_ROLE
from rhythmgan.data import Corpus
from rhythmgan.files import make_folder
from rhythmgan.forms import Forms
from rhythmgan.models.config import WordLSTMConfig
from rhythmgan.models.word_lstm import WordLSTM, save_prior
from rhythmgan.training.batches import (
    Mixture,
    SongBatches,
    check_trainable,
    corpus_digest,
    roles_of,
    styles_of,
)
from rhythmgan.training.config import PriorTrainingConfig
from rhythmgan.training.likelihood import LikelihoodTraining
from rhythmgan.training.run import Progress, train

WEIGHTS = "prior.safetensors"


class PriorTraining(LikelihoodTraining[WordLSTM]):
    """The training of a prior; see ``LikelihoodTraining``."""

    config: PriorTrainingConfig
    ema: WordLSTM
    best: WordLSTM

    validation_bars: Tensor
    validation_grooves: Tensor
    validation_chances: Tensor

    def __init__(
        self, network: WordLSTMConfig, training: PriorTrainingConfig, corpus: Corpus, validation: Corpus
    ) -> None:
        """Build the network and keep the bars.

        Args:
            network: its shape, without the forms, of which there are as many as the corpus has.
            training: how to train.
            corpus: the training bars, in the order of their songs.
            validation: bars of other songs.
        """
        super().__init__(training)
        forms = Forms.of(corpus)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.prior = WordLSTM(replace(network, n_forms=len(forms)))
        self.prior.keep_forms(forms)
        self.ema = copy.deepcopy(self.prior).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.ema)
        mixture = Mixture(
            training.any_share,
            training.style_share,
            training.song_exponent,
            training.pairs_share,
            training.augmented_share,
        )
        self.batches = SongBatches(corpus, network.roles, network.styles, mixture)
        grooves, chances = validation.with_role(DEFAULT_ROLE).distinct_with_weights()
        n_parts = self.prior.kit.n_parts
        for name, values in (
            ("validation_bars", torch.from_numpy(words_to_bars(validation.distinct().words, n_parts))),
            ("validation_grooves", torch.from_numpy(words_to_bars(grooves.words, n_parts))),
            ("validation_chances", torch.from_numpy(chances)),
        ):
            self.register_buffer(name, values, persistent=False)

    @property
    def trained(self) -> WordLSTM:
        return self.prior

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.AdamW(
            self.prior.parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of a batch's words, nats a step."""
        batch = self.batches.draw(self.config.batch_size, random)
        words = bars_to_words(batch.bars)
        is_hidden = torch.rand(words.shape, generator=random, device=self.device) < self.config.hidden_share
        return -self.prior(words, bars_to_words(batch.previous), batch.has_previous, batch.labels, is_hidden).mean()

    def validation_nll(self, model: WordLSTM) -> float:
        """Nats a step of the validation songs' distinct bars."""
        return float(-model.with_condition(role=ANY).step_log_prob(self.validation_bars).mean())

    def groove_nll(self) -> float:
        """Nats a step of the best weights on the validation songs' grooves as played; NaN where there are none."""
        if not len(self.validation_grooves) or DEFAULT_ROLE not in self.prior.config.roles:
            return math.nan
        per_bar = self.best.eval().with_condition(role=DEFAULT_ROLE).step_log_prob(self.validation_grooves).mean(1)
        return float(-(per_bar.double() * self.validation_chances).sum())

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), "validation_nll_per_step": f"{self.best_nll:.4f}"}
        if self.is_over:
            facts["validation_groove_nll_per_step"] = f"{self.groove_nll():.4f}"
        save_prior(out / WEIGHTS, self.best, dict(provenance) | facts)


def train_prior(
    corpus: Corpus,
    validation: Corpus,
    out: str | os.PathLike[str],
    training: PriorTrainingConfig | None = None,
    *,
    network: WordLSTMConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a prior on bars of songs, alone and after the bar before, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``prior.safetensors`` (the averaged weights that were best on the validation songs),
    ``last.ckpt`` (to resume), ``config.json`` and TensorBoard's events.

    Args:
        corpus: the training bars, in the order of their songs, as ``load_corpus(…).split("train")``.
        validation: bars of other songs, which decide when to stop.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the network; its kit and grid must be those of the bars. By default it learns all roles
            and styles of which there are enough bars.
        devices, accelerator, precision, progress: as ``train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: no bars to train on or to stop by, or as ``train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or PriorTrainingConfig()
    network = network or WordLSTMConfig(
        kit=corpus.kit.name, steps=corpus.steps, roles=roles_of(corpus), styles=styles_of(corpus)
    )
    check_trainable(corpus, network.kit, network.steps)
    if not len(validation):
        raise ValueError("there is nothing to stop by: no song of the data falls into the valid split")
    out = make_folder(out)
    train(
        PriorTraining(network, training, corpus, validation),
        out,
        {
            "model": "prior",
            "data": corpus_digest(corpus) + corpus_digest(validation),
            "network": asdict(network),
            "training": asdict(training),
        },
        {
            "trained_bars": str(len(np.unique(corpus.bar_id))),
            "trained_pairs": str(len(corpus.pairs()[0])),
            "trained_songs": str(len(np.unique(corpus.song_id))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
