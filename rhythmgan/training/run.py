"""A run of training with Lightning: saved to its folder after every epoch, and resumed from there.

A folder is for one run at a time. Its checkpoints are ``checkpoint``'s, not Lightning's own, which are pickles.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from rhythmgan.files import sweep_parts
from rhythmgan.training.checkpoint import check_alike, check_optimizer, read_checkpoint, write_checkpoint
from rhythmgan.training.events import cut_events
from rhythmgan.training.folder import CHECKPOINT, run_folder, state_to_resume, write_config

STEPS_PER_EPOCH = 50
"""Steps between checkpoints. Lightning counts them as an epoch, so that a run always resumes between
two of its epochs."""

Progress = Callable[[int, int, str], None]


class Trainable(Protocol):
    """What a run asks of the LightningModule that it trains.

    Attributes:
        steps_done: batches so far; the module counts them, and ends the run.
        seconds: spent on them.
        total_steps: batches in all.
        phase: what the next batch is for, in a word or two.
    """

    steps_done: int
    seconds: float

    @property
    def total_steps(self) -> int: ...

    @property
    def phase(self) -> str: ...

    def save(self, out: Path, provenance: Mapping[str, str]) -> np.ndarray | None:
        """Write the weights as they would be shipped now; may return a picture (height, width, 3) for the log."""


def train(
    module: Trainable,
    out: Path,
    described: Mapping[str, Any],
    provenance: Mapping[str, str],
    *,
    devices: int,
    accelerator: str,
    precision: str,
    progress: Progress | None,
) -> None:
    """Train a module in a folder, or resume the run that was stopped there.

    Writes ``last.ckpt`` (to resume), ``config.json``, TensorBoard's events and what the module saves.

    Args:
        module: a LightningModule that is ``Trainable``.
        out: a folder that is there.
        described: ``model``, ``data``, ``network`` and ``training``; only a run that is the same, but for its
            ``train_steps``, is resumed.
        provenance: facts that go into the weights file.
        devices: how many processes or GPUs.
        accelerator: Lightning's: "auto", "cpu", "gpu", "mps".
        precision: Lightning's: "32-true", "bf16-mixed".
        progress: called after every step with (steps done, steps in all, phase).

    Raises:
        ValueError: ``out`` holds another run, one that cannot be read or one that went further, another process
            trains there, or the machine has no such accelerator. ``out`` is then left as it was.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    assert isinstance(module, pl.LightningModule)
    described = dict(described) | {"devices": devices}
    # of several processes of one run the first has the folder; the others are started by it, and run all of this too
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    with run_folder(out) if is_first else nullcontext(), _quiet_lightning():
        callbacks: list[pl.Callback] = [_Saver(out, provenance)]
        if progress:
            callbacks.append(_Progress(progress))
        checkpoints = _Checkpoints()
        try:
            trainer = pl.Trainer(
                accelerator=accelerator,
                devices=devices,
                strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
                precision=precision,  # type: ignore[arg-type]
                max_epochs=-1,  # the module ends the run, after its steps
                logger=False,
                callbacks=callbacks,
                plugins=[checkpoints],
                log_every_n_steps=10,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            raise ValueError(str(error).partition("\n")[0]) from None
        state = state_to_resume(out, described, module.total_steps)
        if state is not None:
            try:
                _check_state(state, module, trainer)
            except ValueError as error:
                raise ValueError(f"{out / CHECKPOINT}: cannot be resumed: {error}") from None
        checkpoints.state = state
        if is_first:
            sweep_parts(out)
            write_config(out, described)
            cut_events(out, -1 if state is None else state["steps_done"])
        trainer.logger = TensorBoardLogger(out, name="", version="")
        # the module draws its own batches: all that is iterated here is the number of a step
        batches: DataLoader[int] = DataLoader(range(STEPS_PER_EPOCH), batch_size=None)  # type: ignore[arg-type]
        try:
            trainer.fit(module, batches, ckpt_path=None if state is None else out / CHECKPOINT, weights_only=True)
        except SystemExit:  # what Lightning makes of it
            raise KeyboardInterrupt from None


class _Checkpoints(CheckpointIO):
    """Lightning's door to checkpoints, as ``checkpoint`` writes and reads them.

    Attributes:
        state: of the run that is resumed, which was read and checked before anything was written.
    """

    state: dict[str, Any] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_checkpoint(path, checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        state, self.state = self.state, None
        return read_checkpoint(path) if state is None else state

    def remove_checkpoint(self, path: Any) -> None:
        os.unlink(path)


def _check_state(state: dict[str, Any], module: pl.LightningModule, trainer: pl.Trainer) -> None:
    """Compare what a checkpoint holds with what is to be trained.

    Raises:
        ValueError: a part is missing, or of another type or shape; it says which.
    """
    own: dict[str, Any] = {}
    module.on_save_checkpoint(own)
    loops = {name: getattr(trainer, name) for name in ("fit_loop", "validate_loop", "test_loop", "predict_loop")}
    like: dict[str, Any] = {
        **own,
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "",
        "state_dict": dict(module.state_dict()),
        "loops": {name: loop.state_dict() for name, loop in loops.items()},
        "callbacks": {},
        "lr_schedulers": [],
    }
    configured: Any = module.configure_optimizers()
    optimizers = configured if isinstance(configured, list) else [configured]
    found = state.get("optimizer_states")
    if not isinstance(found, list) or len(found) != len(optimizers):
        raise ValueError(f"it has no state of each of {len(optimizers)} optimisers")
    check_alike(state | {"optimizer_states": []}, like | {"optimizer_states": []}, "it")
    for number, optimizer in enumerate(optimizers):
        check_optimizer(found[number], optimizer, f"optimiser {number}")


class _Saver(pl.Callback):
    """After every epoch: what the module saves, and the checkpoint; whole or as they were."""

    def __init__(self, out: Path, provenance: Mapping[str, str]) -> None:
        self.out = out
        self.provenance = provenance

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainable: Trainable = module  # type: ignore[assignment]
        if trainer.is_global_zero:
            facts = dict(self.provenance) | {
                "trained_steps": str(trainable.steps_done),
                "trained_minutes": f"{trainable.seconds / 60:.1f}",
            }
            image = trainable.save(self.out, facts)
            for logger in trainer.loggers if image is not None else ():
                assert isinstance(logger, TensorBoardLogger)
                logger.experiment.add_image("bars", image, trainable.steps_done, dataformats="HWC")
            # a checkpoint says that all before it is logged
            for logger in trainer.loggers:
                assert isinstance(logger, TensorBoardLogger)
                logger.experiment.flush()
        trainer.save_checkpoint(self.out / CHECKPOINT)


class _Progress(pl.Callback):
    """Reports how far the run is, from where it was resumed on."""

    def __init__(self, report: Progress) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        trainable: Trainable = module  # type: ignore[assignment]
        if trainer.is_global_zero:
            self.report(trainable.steps_done, trainable.total_steps, trainable.phase)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's notes on hardware and its advice on data loaders, which load nothing here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # the averaged weights are there to be validated, not trained
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*has no `.*` method.*|.*number of training batches.*")
        try:
            yield
        finally:
            logger.setLevel(level)
