"""Training a GAN of phrases: pretraining by likelihood first, then the adversarial phase."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rhythmgan.models.config import PhraseGANConfig
from rhythmgan.models.gan import AdversarialPair
from rhythmgan.models.phrase_gan import PhraseGAN, save_phrase_gan
from rhythmgan.song_phrases import SongPhrases
from rhythmgan.training.adversarial import AdversarialTraining
from rhythmgan.training.calibration import calibrate_temperatures
from rhythmgan.training.config import PhraseGANTrainingConfig
from rhythmgan.training.phrase_batches import PhraseBatches, check_phrases
from rhythmgan.training.phrase_picture import PICTURE, write_picture
from rhythmgan.training.phrase_run import train_on_phrases
from rhythmgan.training.run import Progress

WEIGHTS = "rythmgan.safetensors"


class PhraseGANTraining(AdversarialTraining[AdversarialPair]):
    """The training of a GAN of phrases, see ``AdversarialTraining``."""

    config: PhraseGANTrainingConfig

    def __init__(self, network: PhraseGANConfig, training: PhraseGANTrainingConfig, phrases: SongPhrases) -> None:
        batches = PhraseBatches(phrases, training.augmented_share, training.off_share)
        super().__init__(lambda: AdversarialPair(network), batches, training)
        self.network = network

    def finished_gan(self) -> PhraseGAN:
        """The GAN as it is shipped: the averaged generator, on the CPU; calibrated at the end of the run."""
        gan = PhraseGAN(self.network)
        gan.generator.generator.load_state_dict(self.ema_generator.state_dict())
        gan.eval().requires_grad_(False)
        if self.steps_done >= self.config.total_steps:
            calibrate_temperatures(gan.generator)
        return gan

    def save(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray:
        """Write the weights, and the picture of the same seeds, which it returns."""
        gan = self.finished_gan()
        save_phrase_gan(out / WEIGHTS, gan, dict(provenance))
        return write_picture(gan, gan.max_bars, out / PICTURE)


def train_phrase_gan(
    phrases: SongPhrases,
    out: str | os.PathLike[str],
    training: PhraseGANTrainingConfig | None = None,
    *,
    network: PhraseGANConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a GAN of phrases, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``rythmgan.safetensors`` (the weights to sample from), ``last.ckpt`` (to resume),
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
        ValueError: phrases of another kind than the network's, none that begin as is asked for, or as ``run.train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or PhraseGANTrainingConfig()
    bars, steps = phrases.words.shape[1:]
    network = network or PhraseGANConfig(kit=phrases.kit.name, steps=steps, bars=bars)
    check_phrases(phrases, network.kit, network.steps, network.bars)
    module = PhraseGANTraining(network, training, phrases)
    train_on_phrases(
        module,
        "rythmgan",
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


@torch.no_grad()
def phrase_nll(gan: PhraseGAN, phrases: SongPhrases) -> float:
    """What phrases cost, nats a step, drawn as songs play them."""
    costs = np.empty(len(phrases))
    for start in range(0, len(phrases), 512):
        bars = phrases.only(np.arange(start, min(start + 512, len(phrases)))).bars
        found: Tensor = gan.generator.cell_log_prob(bars.reshape(len(bars), -1, bars.shape[-1]))
        costs[start : start + 512] = -found.sum((1, 2)).numpy()
    return float(phrases.chance @ costs) / math.prod(phrases.words.shape[1:])
