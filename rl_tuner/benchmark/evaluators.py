"""Held-out evaluators: a discriminator and a prior that no search was rewarded by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.conditions import ANY
from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.config import WordLSTMConfig
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood, check_compatible
from rl_tuner.benchmark.config import BenchmarkConfig


@dataclass(frozen=True)
class Evaluators:
    """Other networks than those of the reward: what raises the reward's logits but not theirs exploits the reward.

    Attributes:
        critic: another discriminator of the same generator's bars: of another width and another seed.
        prior: one trained on the validation songs, which the reward's prior has not learnt from.
    """

    critic: Critic
    prior: Likelihood


def make_evaluators(
    corpus: Corpus,
    generator: LatentModel,
    out: Path,
    critic_steps: int = BenchmarkConfig.critic_steps,
    prior_steps: int = BenchmarkConfig.prior_steps,
    seed: int = 1,
    log: Callable[[str], None] = print,
) -> Evaluators:
    """The evaluators of a folder; they are trained where it has none for this generator and these songs.

    Args:
        corpus: bars of songs; the discriminator learns from the train songs, the prior from the valid ones.
        generator: whose bars the discriminator tells from real ones.
        out: a folder, created if missing.
        critic_steps, prior_steps: training steps of the discriminator and of the prior.
        seed: of both trainings.
        log: called with a line before each training.

    Raises:
        ValueError: no bars to train on.
        OSError: the folder cannot be written.
    """
    from rhythmgan.training.config import PriorTrainingConfig
    from rhythmgan.training.critic import train_critic
    from rhythmgan.training.prior import train_prior

    check_compatible(generator, corpus.kit, corpus.steps, "the GAN")
    valid, train = corpus.split("valid"), corpus.split("train")
    if not len(train) or not len(valid):
        raise ValueError("the held-out evaluators need bars of train and of valid songs")
    out = make_folder(out)
    # evaluators of another corpus may have learnt from the songs that are held out here
    songs = digest(corpus.words)[:8]
    path = out / f"discriminator-{songs}-{generator.fingerprint}-{critic_steps}-{seed}.safetensors"
    if not path.exists():
        log("training the held-out discriminator")
        train_critic(train, generator, path, seed, critic_steps)
    folder = out / f"prior-{songs}-{prior_steps}-{seed}"
    if not (folder / "done").exists():
        log("training the held-out prior")
        few = train.only(np.isin(train.song_id, np.unique(train.song_id)[::10]))
        config = WordLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, width=192)
        train_prior(valid, few, folder, PriorTrainingConfig(train_steps=prior_steps, seed=seed), network=config)
        (folder / "done").touch()
    # asked for what they were trained on: bars of any role
    critic, prior = load_generator(path), load_likelihood(folder / "prior.safetensors")
    return Evaluators(critic.with_condition(ANY, ANY), prior.with_condition(ANY, ANY))
