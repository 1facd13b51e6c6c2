"""Training a network that answers lines: the next onset of songs' answers to songs' lines.

The validation songs' pairs decide when to stop.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import check_steps
from rhythmgan.data import Corpus
from rhythmgan.files import make_folder
from rhythmgan.line_pairs import line_pairs
from rhythmgan.models.answer_net import AnswerNet, prefixes_of, save_answer_net
from rhythmgan.models.config import AnswerConfig
from rhythmgan.training.batches import check_trainable, corpus_digest
from rhythmgan.training.config import AnswerTrainingConfig
from rhythmgan.training.likelihood import LikelihoodTraining
from rhythmgan.training.run import Progress, train

WEIGHTS = "answer.safetensors"


class AnswerTraining(LikelihoodTraining[AnswerNet]):
    """The training of such a network; see ``LikelihoodTraining``."""

    decays_to = 0.0

    config: AnswerTrainingConfig
    ema: AnswerNet
    best: AnswerNet
    pairs: Tensor
    chances: Tensor
    validation: Tensor

    def __init__(
        self,
        network: AnswerConfig,
        training: AnswerTrainingConfig,
        pairs: np.ndarray,
        song: np.ndarray,
        validation: np.ndarray,
    ) -> None:
        """Build the network and keep the pairs.

        Args:
            network: its shape.
            training: how to train.
            pairs: (n, 2, steps) bool, the given line first.
            song: (n,) ints, the song of each.
            validation: (m, 2, steps) bool, pairs of other songs.
        """
        super().__init__(training)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.net = AnswerNet(network)
        self.ema = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.ema)
        count = np.bincount(song)[song]
        for name, values in (
            ("pairs", torch.from_numpy(pairs)),
            ("chances", torch.from_numpy(count ** (training.song_exponent - 1.0))),
            ("validation", torch.from_numpy(validation)),
        ):
            self.register_buffer(name, values, persistent=False)

    @property
    def trained(self) -> AnswerNet:
        return self.net

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.net.parameters(), self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Nats that the answers of a batch have, a pair."""
        config = self.config
        rows = torch.multinomial(self.chances, config.batch_size, replacement=True, generator=random)
        pairs = self.pairs[rows]
        is_turned = torch.rand(len(pairs), 1, 1, generator=random, device=self.device) < config.turned_share
        given, answers = torch.where(is_turned, pairs.roll(pairs.shape[2] // 2, 2), pairs).unbind(1)
        prefixes = prefixes_of(answers)
        chances: Tensor = self.net(given[prefixes.row], prefixes.begun)
        return -chances.gather(1, prefixes.following[:, None]).sum() / len(pairs)

    def validation_nll(self, model: AnswerNet) -> float:
        """Nats a line of the validation songs' answers."""
        return float(-model.log_prob(self.validation[:, 0].cpu(), self.validation[:, 1].cpu()).mean())

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), "validation_nll_per_line": f"{self.best_nll:.4f}"}
        save_answer_net(out / WEIGHTS, self.best, dict(provenance) | facts)


def train_answer_net(
    corpus: Corpus,
    validation: Corpus,
    out: str | os.PathLike[str],
    training: AnswerTrainingConfig | None = None,
    *,
    network: AnswerConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a network on the pairs of lines that songs play, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``answer.safetensors`` (the averaged weights that were best on the validation songs),
    ``last.ckpt`` (to resume), ``config.json`` and TensorBoard's events.

    Args:
        corpus: the training songs, as ``load_corpus(…).split("train")``.
        validation: other songs, which decide when to stop.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the network; its kit and grid must be those of the bars. A snare that answers a kick by
            default.
        devices, accelerator, precision, progress: as ``train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: no pairs to train on or to stop by, or as ``train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or AnswerTrainingConfig()
    network = network or AnswerConfig(kit=corpus.kit.name, steps=check_steps(corpus.steps))
    check_trainable(corpus, network.kit, network.steps)
    pairs, song = line_pairs(corpus, network.given, network.answer)
    others, _ = line_pairs(validation, network.given, network.answer)
    for name, found in (("train", pairs), ("valid", others)):
        if not len(found):
            raise ValueError(f"no bar of the {name} songs has both {network.given} and {network.answer}")
    out = make_folder(out)
    train(
        AnswerTraining(network, training, pairs, song, others),
        out,
        {
            "model": "answers",
            "data": corpus_digest(corpus) + corpus_digest(validation),
            "network": asdict(network),
            "training": asdict(training),
        },
        {
            "trained_pairs": str(len(pairs)),
            "trained_songs": str(len(np.unique(song))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
