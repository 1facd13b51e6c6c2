"""Training a prior: next words of bars, with and without the bar before, stopped by songs that it does not see."""

from __future__ import annotations

import copy
import math
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
from torch.nn import functional as F

from rhythmgan.augment import apply_views, draw_views
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, save_prior
from rhythmgan.training.run import (
    STEPS_PER_EPOCH,
    Progress,
    check_fits,
    check_recipe,
    cosine_fall,
    move_average,
    set_rate,
    step_seed,
    train,
)

WEIGHTS = "prior.safetensors"


@dataclass(frozen=True)
class PriorRecipe:
    """How a prior is trained.

    Attributes:
        steps: batches at most, over which the learning rate falls; the only number that a resumed run may change.
        batch_size: bars in a batch, of each process.
        seed: of the weights, the batches and the dropout.
        rate: peak learning rate (AdamW, β = .9, .98); it falls to a fiftieth along a cosine.
        weight_decay: AdamW's.
        hidden_share: share of words that the prior does not see when it says the next one.
        views_share: share of bars that are seen in another view of ``augment``, and labelled as such.
        pairs_share: share of a batch's bars that are shown the bar before them.
        average: how much of the averaged weights is kept at a step.
        patience: judgements on the unseen songs, one every 50 steps, without a better one before the run ends.
    """

    steps: int = 400
    batch_size: int = 256
    seed: int = 0
    rate: float = 2e-3
    weight_decay: float = 0.02
    hidden_share: float = 0.1
    views_share: float = 0.5
    pairs_share: float = 0.5
    average: float = 0.998
    patience: int = 20

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"at least one step of training must be asked for, not {self.steps}")
        if self.patience < 1:
            raise ValueError(f"patience is a whole number from 1 on, not {self.patience}")
        check_recipe(self, shares=("hidden_share", "views_share", "pairs_share", "average"))


class PriorTraining(pl.LightningModule):
    """The training of a prior, one batch at a time.

    The bars stay on the device as words. What is drawn at a step depends on the seed, the step and the
    process alone, so a resumed run goes on as if it had never stopped.
    """

    words: Tensor
    before: Tensor
    after: Tensor
    unseen: Tensor

    def __init__(
        self,
        config: WordLSTMConfig,
        recipe: PriorRecipe,
        words: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray],
        unseen: np.ndarray,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.prior = WordLSTM(config)
        self.averaged = copy.deepcopy(self.prior).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.averaged)
        for name, array in (("words", words), ("before", pairs[0]), ("after", pairs[1])):
            self.register_buffer(name, torch.from_numpy(array.astype(np.int64)), persistent=False)
        self.register_buffer(
            "unseen", words_to_bars(torch.from_numpy(unseen.astype(np.int64)), self.prior.kit.n_parts), persistent=False
        )
        self.best_nats = math.inf
        self.best_step = 0
        self.steps_done = 0
        self.seconds = 0.0

    @property
    def total_steps(self) -> int:
        return self.recipe.steps

    @property
    def phase(self) -> str:
        return "train" if math.isinf(self.best_nats) else f"unseen {self.best_nats:.3f}"

    @property
    def is_over(self) -> bool:
        """All steps are done, or the songs that are not trained on have stopped to gain from them."""
        waited = (self.steps_done - self.best_step) // STEPS_PER_EPOCH
        return self.steps_done >= self.recipe.steps or waited >= self.recipe.patience

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        return torch.optim.AdamW(
            self.prior.parameters(), recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
        )

    def training_step(self, _: Any, index: int) -> None:
        if self.is_over:
            self.trainer.should_stop = True
            return
        started = time.perf_counter()
        recipe, done = self.recipe, self.steps_done
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        warm = min(1.0, (done + 1) / 100)
        set_rate(optimizer, recipe.rate * warm * cosine_fall(done, recipe.steps, 0.02))
        seed = step_seed(recipe.seed, done, self.global_rank)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # dropout draws from the global generator
            loss = self._loss(torch.Generator(self.device).manual_seed(seed))
            optimizer.zero_grad()
            self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.prior.parameters(), 1.0)
        optimizer.step()
        move_average(self.averaged, self.prior, min(recipe.average, 1 - 1 / (1 + done / 5)))
        self.log("prior/train", loss)
        self.steps_done += 1
        self.seconds += time.perf_counter() - started
        if self.steps_done % STEPS_PER_EPOCH == 0 or self.steps_done >= recipe.steps:
            self._judge()
        self.trainer.should_stop = self.is_over

    def _loss(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of a batch's words, nats a step; the last rows are shown the bars before them."""
        n = self.recipe.batch_size
        n_pairs = round(n * self.recipe.pairs_share) if len(self.after) else 0
        alone = torch.randint(len(self.words), (n - n_pairs,), generator=random, device=self.device)
        words, before = self.words[alone], self.words[alone]
        if n_pairs:
            pairs = torch.randint(len(self.after), (n_pairs,), generator=random, device=self.device)
            words, before = torch.cat([words, self.after[pairs]]), torch.cat([before, self.before[pairs]])
        has_before = torch.arange(n, device=self.device) >= n - n_pairs
        view = draw_views(n, self.recipe.views_share, random, self.device)
        kit = self.prior.kit
        both = words_to_bars(torch.stack([words, before], 1), kit.n_parts)
        words, before = bars_to_words(apply_views(both, view, kit, random)).unbind(1)
        shifted = self.prior.shifted(words)
        is_hidden = torch.rand(shifted.shape, generator=random, device=self.device) < self.recipe.hidden_share
        shifted = torch.where(is_hidden & (shifted != self.prior.start), self.prior.hidden, shifted)
        logits = self.prior(shifted, before, has_before, view)
        return F.cross_entropy(logits.flatten(0, 1), words.flatten())

    def _judge(self) -> None:
        """Keep the averaged weights if the unseen songs' bars are likelier than ever."""
        self.averaged.eval()  # Lightning has put everything into training mode
        nats = float(-self.averaged.step_log_prob(self.unseen).mean())
        self.log("prior/unseen", nats)
        if nats < self.best_nats:
            self.best_nats, self.best_step = nats, self.steps_done
            self.best.load_state_dict(self.averaged.state_dict())

    def keep(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the unseen songs."""
        facts = {"best_step": str(self.best_step), "unseen_nats_per_step": f"{self.best_nats:.4f}"}
        save_prior(out / WEIGHTS, self.best, dict(provenance) | facts)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= {name: getattr(self, name) for name in _KEPT}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name in _KEPT:
            setattr(self, name, checkpoint[name])


_KEPT = ("steps_done", "seconds", "best_nats", "best_step")


def train_prior(
    corpus: Corpus,
    unseen: Corpus,
    out: str | os.PathLike[str],
    recipe: PriorRecipe | None = None,
    *,
    config: WordLSTMConfig | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a prior on each song's distinct bars and pairs of bars; go on where a run in ``out`` was stopped.

    Writes into ``out``: ``prior.safetensors`` (the averaged weights that were best on the unseen songs),
    ``last.ckpt`` (to resume), ``recipe.json`` and TensorBoard's events.

    Args:
        corpus: the training bars, in the order of their songs, as ``load_corpus(…).split("train")``.
        unseen: bars of other songs, which decide when to stop.
        out: a folder; made where missing.
        recipe: how to train.
        config: the shape of the network; its kit and grid must be those of the words.
        devices, accelerator, precision, progress: as ``train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: no bars to train on or to stop by, or as ``train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call goes on from the last checkpoint.
    """
    recipe = recipe or PriorRecipe()
    config = config or WordLSTMConfig(kit=corpus.kit.name, steps=corpus.steps)
    distinct, judges = corpus.distinct(), unseen.distinct()
    before, after = corpus.pairs()
    check_fits(distinct, config.kit, config.steps)
    if not len(judges):
        raise ValueError("there is nothing to stop by: no song of the data falls into the valid split")
    out = make_folder(out)
    train(
        PriorTraining(config, recipe, distinct.words, (before, after.words), judges.words),
        out,
        {
            "model": "prior",
            "data": digest(distinct.words, before, after.words, judges.words),
            "config": asdict(config),
            "recipe": asdict(recipe),
        },
        {
            "trained_bars": str(len(distinct)),
            "trained_pairs": str(len(after)),
            "trained_songs": str(len(np.unique(distinct.song_id))),
            "trained_seed": str(recipe.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return out / WEIGHTS
