"""The judges of the protocol: a discriminator and a prior that no agent was rewarded by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.config import WordLSTMConfig
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood, check_compatible


@dataclass(frozen=True)
class Judges:
    """Other networks than those that an agent is rewarded by.

    Attributes:
        critic: another discriminator of the same generator's bars: of another width and another seed.
        prior: one trained on the validation songs, which the reward's prior has not learnt from.
    """

    critic: Critic
    prior: Likelihood


def make_judges(
    corpus: Corpus, gan: LatentModel, out: Path, seed: int = 1, tell: Callable[[str], None] = print
) -> Judges:
    """The judges of a folder; they are trained where it has none for this generator and these songs.

    Args:
        corpus: bars of songs; the discriminator learns from the train songs, the prior from the valid ones.
        gan: the generator.
        out: a folder; made where missing.
        seed: of both trainings.
        tell: hears what is being done.

    Raises:
        ValueError: no bars to train on.
        OSError: the folder cannot be written.
    """
    from rhythmgan.training.config import PriorTrainingConfig
    from rhythmgan.training.critic import train_critic
    from rhythmgan.training.prior import train_prior

    check_compatible(gan, corpus.kit, corpus.steps, "the GAN")
    valid, train = corpus.split("valid"), corpus.split("train")
    if not len(train) or not len(valid):
        raise ValueError("judges need bars of train and of valid songs")
    out = make_folder(out)
    # other songs, other judges: these may have learnt from what is to be judged
    songs = digest(corpus.words)[:8]
    path = out / f"discriminator-{songs}-{gan.fingerprint}-{seed}.safetensors"
    if not path.exists():
        tell("training the judges' discriminator")
        train_critic(train, gan, path, seed)
    folder = out / f"prior-{songs}-{seed}"
    if not (folder / "done").exists():
        tell("training the judges' prior")
        few = train.only(np.isin(train.song_id, np.unique(train.song_id)[::10]))
        config = WordLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, width=192)
        train_prior(valid, few, folder, PriorTrainingConfig(train_steps=1000, seed=seed), network=config)
        (folder / "done").touch()
    return Judges(load_generator(path), load_likelihood(folder / "prior.safetensors"))
