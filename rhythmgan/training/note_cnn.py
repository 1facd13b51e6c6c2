"""Training a note-wise CNN: the next note of loops of songs, as likely as can be (maximum likelihood).

The validation songs' loops decide when to stop.
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
from torch.nn import functional as F

from rhythmgan.data import digest
from rhythmgan.files import make_folder
from rhythmgan.loops import NoteLoops, windows_at
from rhythmgan.models.config import NoteCNNConfig
from rhythmgan.models.note_cnn import NoteCNN, save_note_cnn
from rhythmgan.training.config import NoteCNNTrainingConfig
from rhythmgan.training.likelihood import LikelihoodTraining
from rhythmgan.training.run import Progress, train

WEIGHTS = "note-cnn.safetensors"

VALIDATED_EVERY = 250
"""Steps from one look at the validation songs to the next."""

_SONGS_OF_AN_OPENING = 2
"""An opening is counted that so many songs play: it belongs to none of them."""


class NoteCNNTraining(LikelihoodTraining[NoteCNN]):
    """The training of a note-wise CNN as Ravula and Cao describe it: no weights are averaged, the learning rate stays.

    See ``LikelihoodTraining``.
    """

    validated_every = VALIDATED_EVERY
    max_gradient_norm = math.inf

    config: NoteCNNTrainingConfig
    best: NoteCNN
    notes: Tensor
    validation_notes: Tensor

    def __init__(
        self, network: NoteCNNConfig, training: NoteCNNTrainingConfig, loops: NoteLoops, validation: NoteLoops
    ) -> None:
        """Build the network and keep the loops.

        Args:
            network: its shape, without the openings, of which there are as many as the loops have.
            training: how to train.
            loops: the training loops.
            validation: loops of other songs.
        """
        super().__init__(training)
        self.ema = None
        openings, chances = count_openings(loops, network.n_given)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.cnn = NoteCNN(replace(network, n_openings=len(openings)))
        self.cnn.openings.copy_(torch.from_numpy(openings))
        self.cnn.opening_chances.copy_(torch.from_numpy(chances))
        self.best = copy.deepcopy(self.cnn).eval().requires_grad_(False)
        for name, each in (("notes", loops), ("validation_notes", validation)):
            self.register_buffer(name, torch.from_numpy(each.notes.astype(np.int64)), persistent=False)

    @property
    def trained(self) -> NoteCNN:
        return self.cnn

    def learning_rate(self, done: int) -> float:
        return self.config.learning_rate

    def candidate(self) -> NoteCNN:
        return self.cnn

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.cnn.parameters(), self.config.learning_rate)

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of a batch of next notes, nats: each of any loop and any step that is not given."""
        cnn, n = self.cnn, self.config.batch_size
        rows = torch.randint(len(self.notes), (n,), generator=random, device=self.device)
        steps = torch.randint(cnn.config.n_given, cnn.length, (n,), generator=random, device=self.device)
        notes = self.notes[rows]
        return F.cross_entropy(cnn(windows_at(notes, steps, cnn.symbols)), notes.gather(1, steps[:, None])[:, 0])

    def validation_nll(self, model: NoteCNN) -> float:
        """Nats a note of the validation songs' loops."""
        return float(-model.log_prob(self.validation_notes).mean())

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), "validation_nll_per_step": f"{self.best_nll:.4f}"}
        save_note_cnn(out / WEIGHTS, self.best, dict(provenance) | facts)


def count_openings(loops: NoteLoops, n_given: int) -> tuple[np.ndarray, np.ndarray]:
    """The first notes that loops of two songs or more begin with, and how often each does.

    Returns:
        Openings (m, n_given) uint8, in the order of their notes, and the share of each among them, (m,) float32.
    """
    openings, number, count = np.unique(loops.notes[:, :n_given], axis=0, return_inverse=True, return_counts=True)
    songs = np.unique(np.stack([number.ravel(), loops.song]), axis=1)[0]
    shared = np.bincount(songs, minlength=len(openings)) >= _SONGS_OF_AN_OPENING
    kept = count[shared]
    return openings[shared], (kept / max(kept.sum(), 1)).astype(np.float32)


def train_note_cnn(
    loops: NoteLoops,
    validation: NoteLoops,
    out: str | os.PathLike[str],
    training: NoteCNNTrainingConfig | None = None,
    *,
    network: NoteCNNConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a note-wise CNN on loops of songs, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``note-cnn.safetensors`` (the weights that were best on the validation songs), ``last.ckpt``
    (to resume), ``config.json`` and TensorBoard's events.

    Args:
        loops: the training loops, ``loops.note_loops`` of the train songs.
        validation: loops of other songs, which decide when to stop.
        out: a folder, created if missing.
        training: how to train.
        network: the shape of the network; its kit and its grid must be those of the loops.
        devices, accelerator, precision, progress: as ``run.train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: loops of another kit or length than the network's, or as ``run.train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or NoteCNNTrainingConfig()
    network = network or NoteCNNConfig(kit=loops.kit.name, steps=loops.notes.shape[1] // 2)
    for each in (loops, validation):
        if (each.kit.name, each.notes.shape[1]) != (network.kit, 2 * network.steps):
            raise ValueError(
                f"the loops are of kit {each.kit.name} and {each.notes.shape[1]} steps, the network of {network.kit} "
                f"and {2 * network.steps}"
            )
    module = NoteCNNTraining(network, training, loops, validation)
    train(
        module,
        make_folder(out),
        {
            "model": "note-cnn",
            "data": digest(loops.notes, loops.song, validation.notes, validation.song),
            "network": asdict(module.cnn.config),
            "training": asdict(training),
        },
        {
            "trained_loops": str(len(loops)),
            "trained_songs": str(len(np.unique(loops.song))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return Path(out) / WEIGHTS
