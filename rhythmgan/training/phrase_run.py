"""What the trainings on phrases of songs share: a run that knows which phrases it has learned from."""

from __future__ import annotations

import os
from dataclasses import asdict

from rhythmgan.files import make_folder
from rhythmgan.models.config import PhraseConvGANConfig, PhraseGANConfig
from rhythmgan.song_phrases import SongPhrases
from rhythmgan.training.config import PhraseConvGANTrainingConfig, PhraseGANTrainingConfig
from rhythmgan.training.phrase_batches import phrase_facts, phrases_digest
from rhythmgan.training.run import Progress, Trainable, train


def train_on_phrases(
    module: Trainable,
    model: str,
    phrases: SongPhrases,
    out: str | os.PathLike[str],
    network: PhraseGANConfig | PhraseConvGANConfig,
    training: PhraseGANTrainingConfig | PhraseConvGANTrainingConfig,
    *,
    devices: int,
    accelerator: str,
    precision: str,
    progress: Progress | None,
) -> None:
    """Train a module on phrases, or resume the run that was stopped in ``out``, see ``run.train``.

    Args:
        module: made for these phrases.
        model: what the run says that it trains.
        phrases: the training phrases.
        out: a folder, created if missing.
        network: the shape of the networks.
        training: how they are trained.
        devices, accelerator, precision, progress: as ``run.train``.
    """
    described = {
        "model": model,
        "data": phrases_digest(phrases),
        "network": asdict(network),
        "training": asdict(training),
    }
    train(
        module,
        make_folder(out),
        described,
        phrase_facts(phrases, training.seed),
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
