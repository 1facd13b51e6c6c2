"""Training a GAN: by likelihood first, then in the game."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from rhythmgan.augment import apply_views, draw_views, view_rates
from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, digest
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.files import make_folder
from rhythmgan.models.gan import GAN, GANConfig, save_gan
from rhythmgan.training.gan_loss import GANLoss
from rhythmgan.training.run import (
    Progress,
    check_fits,
    check_recipe,
    cosine_fall,
    move_average,
    set_rate,
    step_seed,
    train,
)

WEIGHTS = "gan.safetensors"
GRID = "grid.png"

_GRID_BARS = 36


@dataclass(frozen=True)
class Recipe:
    """How a GAN is trained. The defaults take about a minute on two CPU cores.

    The generator first learns to expect the cells of real bars, by maximum likelihood, then plays against the
    discriminator.

    Attributes:
        pretrain_steps: batches of maximum likelihood.
        steps: batches of the adversarial game; the only number that a resumed run may change. The rates then fall
            along the new number.
        batch_size: bars in a batch, of each process.
        seed: of the weights, the batches and the noise.
        pretrain_rate: peak learning rate of the likelihood (AdamW, β = .9, .99); it falls to a fiftieth along a cosine.
        weight_decay: AdamW's.
        song_exponent: a song with n distinct bars is drawn from n to this power times as often as one with a
            single bar: 1 takes all bars alike, 0 all songs alike. Below 1 the few songs with hundreds of bars, by
            which generated bars would be known, weigh less.
        views_share: share of bars that both networks are shown in another view of ``augment``, labelled as such:
            without, the discriminator learns the training bars by heart.
        hidden_share: share of steps that are hidden from those after them, while the likelihood is learnt.
        generator_rate, discriminator_rate: learning rates of the game (Adam, β = 0, .99); after three tenths of
            the steps they fall to a twentieth along a cosine.
        head_start: batches of the game in which the discriminator moves alone.
        r1_gamma, r2_gamma: strengths of the gradient penalties on real and on generated bars, see ``GANLoss``.
        rate_matching_coef: coefficient of the squared differences between how often each cell sounds in a batch
            and in the training bars. Left to the game alone, hard decisions drift to sparse bars.
        average: how much of the averaged generator is kept at a step.
    """

    pretrain_steps: int = 500
    steps: int = 250
    batch_size: int = 128
    seed: int = 0
    pretrain_rate: float = 2e-3
    weight_decay: float = 0.02
    song_exponent: float = 0.7
    views_share: float = 0.6
    hidden_share: float = 0.1
    generator_rate: float = 2e-4
    discriminator_rate: float = 1e-3
    head_start: int = 100
    r1_gamma: float = 0.03
    r2_gamma: float = 0.03
    rate_matching_coef: float = 2.0
    average: float = 0.998

    def __post_init__(self) -> None:
        if self.pretrain_steps < 0 or self.steps < 0 or self.pretrain_steps + self.steps < 1:
            raise ValueError("at least one step of training must be asked for, and no negative number of them")
        check_recipe(self, shares=("song_exponent", "views_share", "hidden_share", "average"))

    @property
    def total_steps(self) -> int:
        return self.pretrain_steps + self.steps


class GANTraining(pl.LightningModule):
    """The two phases of a GAN's training, one batch at a time.

    The training bars stay on the device as words, and each batch is drawn there. What is drawn at
    a step depends on the seed, the step and the process alone, so a resumed run goes on as if it
    had never stopped.
    """

    words: Tensor
    song_weight: Tensor
    first_row: Tensor
    n_rows: Tensor
    rates: Tensor

    def __init__(self, config: GANConfig, recipe: Recipe, corpus: Corpus) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.gan = GAN(config)
        self.loss = GANLoss(recipe.r1_gamma, recipe.r2_gamma, recipe.rate_matching_coef)
        self.averaged = copy.deepcopy(self.gan.generator).requires_grad_(False)
        rows = np.argsort(corpus.song_id, kind="stable")
        _, first, count = np.unique(corpus.song_id[rows], return_index=True, return_counts=True)
        weight = count**recipe.song_exponent / (count**recipe.song_exponent).sum()
        bars = words_to_bars(corpus.words[rows], corpus.kit.n_parts)
        rates = np.tensordot(np.repeat(weight / count, count), bars, 1)  # (steps, parts)
        seen = view_rates(torch.from_numpy(rates).float(), recipe.views_share, corpus.kit)
        for name, values in (
            ("words", torch.from_numpy(corpus.words[rows].astype(np.int32))),
            ("song_weight", torch.from_numpy(weight).float()),
            ("first_row", torch.from_numpy(first)),
            ("n_rows", torch.from_numpy(count)),
            ("rates", seen),
        ):
            self.register_buffer(name, values, persistent=False)
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def total_steps(self) -> int:
        return self.recipe.total_steps

    @property
    def phase(self) -> str:
        return "pretrain" if self.steps_done < self.recipe.pretrain_steps else "play"

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        recipe = self.recipe
        generator, discriminator = self.gan.generator.parameters(), self.gan.discriminator.parameters()
        return [
            torch.optim.AdamW(
                self.gan.generator.parameters(), recipe.pretrain_rate, (0.9, 0.99), weight_decay=recipe.weight_decay
            ),
            torch.optim.Adam(generator, recipe.generator_rate, (0.0, 0.99)),
            torch.optim.Adam(discriminator, recipe.discriminator_rate, (0.0, 0.99)),
        ]

    def training_step(self, _: Any, index: int) -> None:
        if self.steps_done >= self.recipe.total_steps:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        seed = step_seed(self.recipe.seed, self.steps_done, self.global_rank)
        random = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout draws from the global generator
            terms = self._pretrain(random) if self.steps_done < self.recipe.pretrain_steps else self._play(random)
        self.log_dict(terms)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        self.trainer.should_stop = self.steps_done >= self.recipe.total_steps

    def draw_bars(self, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch of training bars (batch, steps, parts) as floats, some in other views, and the labels (batch,)."""
        n = self.recipe.batch_size
        song = torch.multinomial(self.song_weight, n, replacement=True, generator=random)
        place = torch.rand(n, generator=random, device=self.device) * self.n_rows[song]
        # a number next to 1 may be rounded up to it
        rows = self.first_row[song] + torch.minimum(place.long(), self.n_rows[song] - 1)
        view = draw_views(n, self.recipe.views_share, random, self.device)
        bars = words_to_bars(self.words[rows], self.gan.kit.n_parts)
        return apply_views(bars, view, self.gan.kit, random).float(), view

    def draw_z(self, random: torch.Generator) -> Tensor:
        return torch.randn(self.recipe.batch_size, self.gan.latent_dim, generator=random, device=self.device)

    def _pretrain(self, random: torch.Generator) -> dict[str, Tensor]:
        """One step of maximum likelihood: the cross-entropy of the cells."""
        recipe, done = self.recipe, self.steps_done
        optimizer, _, _ = self._optimizers()
        warm = min(1.0, (done + 1) / min(200, recipe.pretrain_steps))
        set_rate(optimizer, recipe.pretrain_rate * warm * cosine_fall(done, recipe.pretrain_steps, 0.02))
        bars, view = self.draw_bars(random)
        shown = torch.rand((*bars.shape[:2], 1), generator=random, device=self.device) > recipe.hidden_share
        expected = self.gan.generator.expect(bars, view, shown.float())
        cells = -torch.special.log_ndtr(torch.where(bars > 0, expected, -expected)).sum((1, 2)).mean()
        optimizer.zero_grad()
        self.manual_backward(cells)
        optimizer.step()
        move_average(self.averaged, self.gan.generator, min(recipe.average, done / (done + 10)))
        return {"pretrain/nats": cells}

    def _play(self, random: torch.Generator) -> dict[str, Tensor]:
        """One step of the game: first the discriminator's move, then the generator's, on the same bars."""
        recipe = self.recipe
        _, generator_optimizer, discriminator_optimizer = self._optimizers()
        played = self.steps_done - recipe.pretrain_steps
        discriminator = self.gan.discriminator
        fallen = cosine_fall(max(0.0, (played / recipe.steps - 0.3) / 0.7), 1, 0.05)
        set_rate(generator_optimizer, recipe.generator_rate * fallen)
        set_rate(discriminator_optimizer, recipe.discriminator_rate * fallen)
        if played == 0 and recipe.pretrain_steps:
            self.gan.generator.load_state_dict(self.averaged.state_dict())
        real, view = self.draw_bars(random)
        with torch.set_grad_enabled(played >= recipe.head_start):
            fake = self.gan.generator(self.draw_z(random), view)

        terms = self.loss.discriminator_terms(discriminator, real, fake, view)
        discriminator_optimizer.zero_grad()
        self.manual_backward(self.loss.total(terms))
        discriminator_optimizer.step()
        onsets = {"onsets_real": real.sum((1, 2)).mean(), "onsets_fake": fake.detach().sum((1, 2)).mean()}
        if played < recipe.head_start:
            return terms | onsets

        discriminator.requires_grad_(False)
        generator_terms = self.loss.generator_terms(discriminator, real, fake, view, self.rates)
        generator_optimizer.zero_grad()
        self.manual_backward(self.loss.total(generator_terms))
        generator_optimizer.step()
        discriminator.requires_grad_(True)
        kept = min(recipe.average, (played - recipe.head_start) / 200)
        move_average(self.averaged, self.gan.generator, kept)
        return terms | generator_terms | onsets

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        return optimizers  # type: ignore[return-value]

    def finished_gan(self) -> GAN:
        """The GAN as it is shipped: with the averaged generator, on the CPU."""
        gan = GAN(self.gan.config)
        gan.load_state_dict(self.gan.state_dict())
        gan.generator.load_state_dict(self.averaged.state_dict())
        return gan.eval().requires_grad_(False)

    def keep(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray:
        """Write the weights, and the picture of the same seeds, which it returns."""
        gan = self.finished_gan()
        save_gan(out / WEIGHTS, gan, dict(provenance))
        image = bars_to_image(gan.sample(_GRID_BARS), gan.kit, titles=[f"seed {i}" for i in range(_GRID_BARS)])
        write_png(out / GRID, image)
        return image

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["steps_done"] = self.steps_done
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.steps_done = checkpoint["steps_done"]
        self.seconds = checkpoint["seconds"]


def train_gan(
    corpus: Corpus,
    out: str | os.PathLike[str],
    recipe: Recipe | None = None,
    *,
    config: GANConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a GAN on each song's distinct bars; go on where a run in ``out`` was stopped.

    Writes into ``out``: ``gan.safetensors`` (the weights to sample from), ``last.ckpt`` (to resume),
    ``grid.png`` (seeds 0-35), ``recipe.json`` and TensorBoard's events.

    Args:
        corpus: the training bars; take ``corpus.split("train")`` to keep songs for judging.
        out: a folder; made where missing.
        recipe: how to train.
        config: the shape of the networks; its kit and grid must be those of the words.
        devices: how many processes or GPUs.
        accelerator: Lightning's: "auto", "cpu", "gpu", "mps".
        precision: Lightning's: "32-true", "bf16-mixed".
        progress: called after every step with (steps done, steps in all, phase).

    Returns:
        The path of the weights.

    Raises:
        ValueError: no bars to train on, a config for other bars, ``out`` holds another run, one that
            cannot be read or one that went further, or the machine has no such accelerator.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call goes on from the last checkpoint.
    """
    recipe = recipe or Recipe()
    config = config or GANConfig(kit=corpus.kit.name, steps=corpus.steps)
    distinct = corpus.distinct()
    check_fits(distinct, config.kit, config.steps)
    out = make_folder(out)
    train(
        GANTraining(config, recipe, distinct),
        out,
        {
            "model": "gan",
            "data": digest(distinct.words, distinct.song_id),
            "config": asdict(config),
            "recipe": asdict(recipe),
        },
        {
            "trained_bars": str(len(distinct)),
            "trained_songs": str(len(np.unique(distinct.song_id))),
            "trained_seed": str(recipe.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
