"""Training a GAN: pretraining by likelihood first, then the adversarial phase."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rhythmgan.data import Corpus
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.files import make_folder
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, save_gan
from rhythmgan.training.adversarial import AdversarialTraining
from rhythmgan.training.batches import (
    Mixture,
    SongBatches,
    check_trainable,
    corpus_digest,
    roles_of,
    styles_of,
)
from rhythmgan.training.calibration import calibrate_temperatures
from rhythmgan.training.config import GANTrainingConfig
from rhythmgan.training.denoiser import train_denoiser
from rhythmgan.training.run import Progress, train

WEIGHTS = "gan.safetensors"
GRID = "grid.png"

_GRID_BARS = 36


class GANTraining(AdversarialTraining[GAN]):
    """The training of a GAN of bars, see ``AdversarialTraining``; at the end its denoiser is trained."""

    config: GANTrainingConfig

    def __init__(self, network: GANConfig, training: GANTrainingConfig, corpus: Corpus) -> None:
        mixture = Mixture(
            training.any_share, training.style_share, training.song_exponent, 0.0, training.augmented_share
        )
        batches = SongBatches(corpus, network.roles, network.styles, mixture)
        super().__init__(lambda: GAN(network), batches, training)
        self.mixture = mixture
        self.corpus = corpus

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
