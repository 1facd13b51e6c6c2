"""The judges of the protocol: a discriminator and a prior that no agent was rewarded by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, digest
from rhythmgan.evaluate import check_compatible
from rhythmgan.files import make_folder
from rhythmgan.models.gan import GAN, GANConfig, load_gan, save_gan
from rhythmgan.models.weights import fingerprint
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior

_STEPS = 1500
_BATCH = 256
_RATE = 5e-4
_PENALTY = 0.1


@dataclass(frozen=True)
class Judges:
    """Other networks than those that an agent is rewarded by.

    Attributes:
        gan: the same generator with another discriminator: another width, another seed.
        prior: one trained on the validation songs, which the reward's prior has not learnt from.
    """

    gan: GAN
    prior: WordLSTM


def make_judges(corpus: Corpus, gan: GAN, out: Path, seed: int = 1, tell: Callable[[str], None] = print) -> Judges:
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
    from rhythmgan.training.prior import PriorRecipe, train_prior

    check_compatible(gan, corpus.kit, corpus.steps, "the GAN")
    valid, train = corpus.split("valid"), corpus.split("train")
    if not len(train) or not len(valid):
        raise ValueError("judges need bars of train and of valid songs")
    out = make_folder(out)
    # other songs, other judges: these may have learnt from what is to be judged
    songs = digest(corpus.words)[:8]
    path = out / f"discriminator-{songs}-{fingerprint(gan.generator)}-{seed}.safetensors"
    if not path.exists():
        tell("training the judges' discriminator")
        judge = train_discriminator(train, gan, seed)
        save_gan(path, judge, {"trained_seed": str(seed), "trained_steps": str(_STEPS)})
    folder = out / f"prior-{songs}-{seed}"
    if not (folder / "done").exists():
        tell("training the judges' prior")
        few = train.only(np.isin(train.song_id, np.unique(train.song_id)[::10]))
        config = WordLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, width=192)
        train_prior(valid, few, folder, PriorRecipe(steps=1000, seed=seed), config=config)
        (folder / "done").touch()
    return Judges(load_gan(path), load_prior(folder / "prior.safetensors"))


def train_discriminator(corpus: Corpus, gan: GAN, seed: int) -> GAN:
    """The GAN with a fresh discriminator, trained to tell real bars from the generator's, which stays as it is.

    Args:
        corpus: real bars; each song's distinct ones count.
        gan: whose bars are to be told from them.
        seed: of weights, batches and z.
    """
    config = GANConfig(**asdict(gan.config) | {"discriminator_width": gan.config.discriminator_width // 2 + 16})
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = GAN(config)
    judge.generator.load_state_dict(gan.generator.state_dict())
    distinct = corpus.distinct()
    real = torch.from_numpy(words_to_bars(distinct.words, corpus.kit.n_parts))
    z = torch.randn(len(real), config.z_dim, generator=random)
    made = torch.from_numpy(gan.decode(z))
    discriminator = judge.discriminator.train()
    optimizer = torch.optim.AdamW(discriminator.parameters(), _RATE, betas=(0.5, 0.99), weight_decay=0.05)
    for step in range(_STEPS):
        shown = [bars[torch.randint(len(bars), (_BATCH,), generator=random)].float() for bars in (real, made)]
        both = torch.cat(shown).requires_grad_(True)
        logits = discriminator(both)
        lead = logits[:_BATCH] - logits[_BATCH:]
        (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
        loss = F.softplus(-lead).mean() + _PENALTY * slope.square().sum((1, 2)).mean()
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - step / _STEPS)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return judge.eval().requires_grad_(False)
