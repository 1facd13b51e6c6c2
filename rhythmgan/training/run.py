"""A run of training in a folder: kept after every epoch, and gone on with where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from rhythmgan.data import Corpus
from rhythmgan.files import write_whole

CHECKPOINT = "last.ckpt"
RECIPE = "recipe.json"

STEPS_PER_EPOCH = 50
"""Steps between checkpoints. Lightning counts them as an epoch, so that a run always resumes between
two of its epochs."""

Progress = Callable[[int, int, str], None]


class Trained(Protocol):
    """What a run asks of the LightningModule that it trains.

    Attributes:
        steps_done: batches so far; the module counts them, and ends the run.
        seconds: spent on them.
        total_steps: batches in all.
        phase: what the next batch is for, in a word.
    """

    steps_done: int
    seconds: float

    @property
    def total_steps(self) -> int: ...

    @property
    def phase(self) -> str: ...

    def keep(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray | None:
        """Write the weights as they would be shipped now; may return a picture for the log."""


def train(
    module: Trained,
    out: Path,
    described: Mapping[str, Any],
    provenance: Mapping[str, str],
    *,
    devices: int,
    accelerator: str,
    precision: str,
    progress: Progress | None,
) -> None:
    """Train a module in a folder, or go on where a run in it was stopped.

    Writes ``last.ckpt`` (to resume), ``recipe.json``, TensorBoard's events and what the module keeps.

    Args:
        module: a LightningModule that is ``Trained``.
        out: a folder that is there.
        described: ``model``, ``data``, ``config`` and ``recipe``; a run goes on only as the same, but for its
            ``steps``.
        provenance: facts that go into the weights file.
        devices: how many processes or GPUs.
        accelerator: Lightning's: "auto", "cpu", "gpu", "mps".
        precision: Lightning's: "32-true", "bf16-mixed".
        progress: called after every step with (steps done, steps in all, phase).

    Raises:
        ValueError: ``out`` holds another run, one that cannot be read or one that went further, or the
            machine has no such accelerator.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call goes on from the last checkpoint.
    """
    assert isinstance(module, pl.LightningModule)
    described = dict(described) | {"devices": devices}
    resumed = _check_same_run(out, described, module.total_steps)
    write_whole(out / RECIPE, (json.dumps(described, indent=2) + "\n").encode())
    with _quiet_lightning():
        callbacks: list[pl.Callback] = [_Keeper(out, provenance)]
        if progress:
            callbacks.append(_Progress(progress))
        try:
            trainer = pl.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
                precision=precision,  # type: ignore[arg-type]
                max_epochs=-1,  # the module ends the run, after its steps
                logger=TensorBoardLogger(out, name="", version=""),
                callbacks=callbacks,
                log_every_n_steps=10,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            raise ValueError(str(error).partition("\n")[0]) from None
        # the module draws its own batches: all that is iterated here is the number of a step
        batches: DataLoader[int] = DataLoader(range(STEPS_PER_EPOCH), batch_size=None)  # type: ignore[arg-type]
        try:
            trainer.fit(module, batches, ckpt_path=resumed, weights_only=True)
        except SystemExit:  # what Lightning makes of it
            raise KeyboardInterrupt from None


def check_fits(corpus: Corpus, kit: str, steps: int) -> None:
    """Raise a ValueError unless networks of this kit and grid fit the bars, and there are bars."""
    if (kit, steps) != (corpus.kit.name, corpus.steps):
        raise ValueError(
            f"the bars are of kit {corpus.kit.name} and {corpus.steps} steps, the networks of {kit} and {steps}"
        )
    if not len(corpus):
        raise ValueError("there is nothing to train on: no song of the data falls into this split")


def step_seed(*numbers: int) -> int:
    """A seed for what is drawn at a step: of the run's seed, the step and the process alone."""
    key = " ".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:7], "big")


def check_recipe(recipe: Any, shares: Sequence[str]) -> None:
    """Check what every recipe, a dataclass, has: batch_size, seed, finite numbers from 0 on, and shares up to 1.

    Raises:
        ValueError: one is out of range; it is named.
    """
    if not 2 <= recipe.batch_size <= 1 << 16:
        raise ValueError(f"a batch has 2 to {1 << 16} bars, not {recipe.batch_size}")
    for name, value in asdict(recipe).items():
        if isinstance(value, float) and not 0 <= value < math.inf:
            raise ValueError(f"{name} is a number from 0 on, not {value}")
    for name in shares:
        if getattr(recipe, name) > 1:
            raise ValueError(f"{name} lies in 0 … 1, not {getattr(recipe, name)}")
    if not 0 <= recipe.seed < 2**63:
        raise ValueError(f"the seed is a whole number from 0 to 2^63 - 1, not {recipe.seed}")


def set_rate(optimizer: torch.optim.Optimizer | LightningOptimizer, rate: float) -> None:
    """Let an optimizer learn at this rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def cosine_fall(done: float, total: float, to: float) -> float:
    """From 1 to ``to`` along half a cosine, as ``done`` goes from 0 to ``total``."""
    return to + (1 - to) / 2 * (1 + math.cos(math.pi * done / total))


@torch.no_grad()
def move_average(averaged: nn.Module, trained: nn.Module, kept: float) -> None:
    """Move averaged weights towards the trained ones, keeping this share of them."""
    for mean, weight in zip(averaged.parameters(), trained.parameters(), strict=True):
        mean.lerp_(weight, 1 - kept)


class _Keeper(pl.Callback):
    """After every epoch: what the module keeps, and the checkpoint; whole or as they were."""

    def __init__(self, out: Path, provenance: Mapping[str, str]) -> None:
        self.out = out
        self.provenance = provenance

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trained: Trained = module  # type: ignore[assignment]
        if trainer.is_global_zero:
            facts = dict(self.provenance) | {
                "trained_steps": str(trained.steps_done),
                "trained_minutes": f"{trained.seconds / 60:.1f}",
            }
            image = trained.keep(self.out, facts)
            for logger in trainer.loggers if image is not None else ():
                assert isinstance(logger, TensorBoardLogger)
                logger.experiment.add_image("bars", image, trained.steps_done, dataformats="HWC")
        part = self.out / f".{CHECKPOINT}.part"
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                os.replace(part, self.out / CHECKPOINT)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(self.out / CHECKPOINT)) from None


class _Progress(pl.Callback):
    """Tells how far the run is, from where it was resumed on."""

    def __init__(self, tell: Progress) -> None:
        self.tell = tell

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        trained: Trained = module  # type: ignore[assignment]
        if trainer.is_global_zero:
            self.tell(trained.steps_done, trained.total_steps, trained.phase)


def _check_same_run(out: Path, described: dict[str, Any], total_steps: int) -> Path | None:
    """The checkpoint to go on from, if there is one: of the same data and options (more steps are welcome)."""
    checkpoint = out / CHECKPOINT
    if not checkpoint.exists():
        return None
    try:
        before = json.loads((out / RECIPE).read_text())
        there, here = _flat(before), _flat(described)
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{out} holds a checkpoint but no readable {RECIPE}: choose another folder") from None
    if before.get("model") != described["model"]:
        raise ValueError(f"{out} holds a run of another model: choose another folder")
    for name, value in here.items():
        if name != "steps" and there.get(name) != value:
            if name == "data":
                raise ValueError(f"{out} holds a run on other data: choose another folder")
            raise ValueError(f"{out} holds a run with {name} {there.get(name)}, not {value}: choose another folder")
    try:
        done = torch.load(checkpoint, map_location="cpu", weights_only=True)["steps_done"]
    except Exception as error:  # unpickling, zip and tensor errors of a dozen kinds
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise ValueError(f"{checkpoint}: cannot be resumed, it is damaged or not ours: {reason}") from None
    if done > total_steps:
        raise ValueError(f"{out} holds a run of {done} steps in all, more than the {total_steps} asked for")
    return checkpoint


def _flat(described: dict[str, Any]) -> dict[str, Any]:
    """Data and devices, the config's entries, the recipe's."""
    config = {f"config {name}": value for name, value in described["config"].items()}
    return {"data": described["data"], "devices": described["devices"]} | config | dict(described["recipe"])


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's notes on hardware and its advice on data loaders, which load nothing here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # the averaged weights are there to be judged, not trained
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*has no `.*` method.*|.*number of training batches.*")
        try:
            yield
        finally:
            logger.setLevel(level)
