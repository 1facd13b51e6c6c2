"""A learner's run in a folder: checkpointed as it goes, and resumed where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rhythmgan.files import make_folder, sweep_parts
from rhythmgan.inputs import read_json_object, shown
from rhythmgan.training.checkpoint import check_alike, read_checkpoint
from rhythmgan.training.events import cut_events
from rhythmgan.training.folder import CHECKPOINT, CONFIG, run_folder, write_config
from rl_tuner.learner import Learner

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SECONDS_BETWEEN = 30.0
"""How often a run is saved."""

_SHARE_OF_SAVING = 0.05
"""Of the time at most: a checkpoint has the size of the replay, which may be hundreds of megabytes."""

_LOGGED = 25_000
"""Transitions whose numbers are averaged in the log."""

Progress = Callable[[int, int, str], None]
"""What hears of (transitions so far, transitions in all, phase)."""


class Run:
    """A folder for a run: ``last.ckpt`` (to resume), ``config.json``, TensorBoard's events and what ``save`` writes.

    It is a context: within it the folder is for this process alone.

    Attributes:
        out: the folder.
        resumes: whether it holds a run of the same description that stopped.

    Args:
        out: a folder, created if missing.
        described: all that the run depends on, as plain values or dictionaries of such.
    """

    def __init__(self, out: str | Path, described: Mapping[str, Any]) -> None:
        self.out = Path(out)
        self.resumes = False
        self._described = json.loads(json.dumps(described))
        self._lock = ExitStack()
        self._state: dict[str, Any] | None = None

    def __enter__(self) -> Run:
        """Take the folder, and read what is to be resumed there.

        Raises:
            ValueError: the folder holds another run, or one that cannot be read, or another process trains there; it
                is then left as it was.
            OSError: it cannot be written.
        """
        make_folder(self.out)
        self._lock.enter_context(run_folder(self.out))
        try:
            self.resumes = _is_same_run(self.out, self._described)
            self._state = read_checkpoint(self.out / CHECKPOINT) if self.resumes else None
            sweep_parts(self.out)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def train(self, learner: Learner, save: Callable[[dict[str, str]], None], progress: Progress | None = None) -> None:
        """Let it learn until its steps are done, from the checkpoint on where there is one.

        A run that was stopped or killed, and resumed, comes to the weights of one that was not.

        Args:
            learner: see there.
            save: writes the weights of ``learner.target_network``; hears ``trained_steps``, ``trained_minutes`` and
                ``trained_seed``. Called twice a minute, or less often where a checkpoint takes long, and at the end.
            progress: hears how far it is.

        Raises:
            ValueError: a damaged checkpoint.
            OSError: the folder cannot be written.
            KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
        """
        log = _Log(self.out, learner)
        seconds = 0.0
        if self._state is not None:
            extra = learner.resume(self._state, self.out / CHECKPOINT)
            self._state = None
            try:
                seconds = log.resume(extra)
            except ValueError as error:
                raise ValueError(f"{self.out / CHECKPOINT}: cannot be resumed: {error}") from None
        # here and not before: a learner that cannot be made leaves no note of a run
        write_config(self.out, self._described)
        began = saved = time.perf_counter()
        pause, total = _SECONDS_BETWEEN, learner.config.train_steps

        def checkpoint() -> None:
            nonlocal saved, pause
            starts = time.perf_counter()
            spent = seconds + starts - began
            facts = {"steps": f"{learner.steps_done}", "minutes": f"{spent / 60:.1f}", "seed": f"{learner.config.seed}"}
            save({f"trained_{name}": fact for name, fact in facts.items()})
            learner.save(self.out / CHECKPOINT, {"seconds": spent, **log.get_state()})
            saved = time.perf_counter()
            pause = max(_SECONDS_BETWEEN, (saved - starts) / _SHARE_OF_SAVING)

        def callback(done: int, logged: dict[str, float]) -> None:
            log.add(done, logged)
            if time.perf_counter() - saved > pause:
                checkpoint()
            if progress:
                progress(min(done, total), total, log.phase)

        with log:
            try:
                learner.learn(callback)
            except KeyboardInterrupt:  # it comes between two steps, and loses nothing
                if learner.steps_done:
                    checkpoint()
                raise
            checkpoint()


class _Log:
    """The numbers of a run in TensorBoard, as means of many steps.

    Attributes:
        phase: what a user is told of the run.

    Args:
        out: the folder of the run.
        learner: whose numbers they are.
    """

    def __init__(self, out: Path, learner: Learner) -> None:
        self.phase = "training"
        self._out, self._learner = out, learner
        self._gathered: dict[str, list[float]] = {}
        self._until = 0
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        cut_events(self._out, self._learner.steps_done or -1)
        self._writer = SummaryWriter(str(self._out))

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, done: int, logged: Mapping[str, float]) -> None:
        """Hear of a step after which so many transitions are done."""
        for name, value in logged.items():
            self._gathered.setdefault(name, []).append(float(value))
        if done - self._until < _LOGGED:
            return
        means = {name: float(np.mean(values)) for name, values in self._gathered.items()}
        assert self._writer is not None
        for name, mean in means.items():
            self._writer.add_scalar(f"{type(self._learner).__name__.lower()}/{name}", mean, done)
        if "success" in means:
            self.phase = f"training, {means['success']:.1%} reached"
        self._gathered.clear()
        self._until = done

    def get_state(self) -> dict[str, Any]:
        """What is gathered and not logged yet; all else is in the files when this is called."""
        if self._writer is not None:
            self._writer.flush()
        gathered = {name: torch.tensor(values, dtype=torch.float64) for name, values in self._gathered.items()}
        return {"gathered": gathered, "logged_until": self._until}

    def resume(self, extra: dict[str, Any]) -> float:
        """Go on from ``get_state``; the seconds that the run had taken.

        Raises:
            ValueError: what is needed is missing, or of another type.
        """
        gathered = extra.get("gathered")
        like = {"seconds": 0.0, "gathered": {}, "logged_until": 0}
        check_alike(extra | ({"gathered": {}} if isinstance(gathered, dict) else {}), like, "it")
        for name, values in (gathered or {}).items():
            is_column = isinstance(values, torch.Tensor) and values.ndim == 1 and values.dtype == torch.float64
            if not isinstance(name, str) or not is_column:
                raise ValueError("what it has gathered are no columns of numbers")
            self._gathered[name] = values.tolist()
        self._until = extra["logged_until"]
        seconds: float = extra["seconds"]
        return seconds


def _is_same_run(out: Path, described: Mapping[str, Any]) -> bool:
    """Whether there is a run to resume: of the same description."""
    if not (out / CHECKPOINT).exists():
        return False
    try:
        before = read_json_object(out / CONFIG)
    except (OSError, TypeError, ValueError):
        raise ValueError(f"{out} holds a checkpoint but no readable {CONFIG}: choose another folder") from None
    for name, value in described.items():
        if before.get(name) != value:
            raise ValueError(f"{out} holds a run with another {_what_differs(name, before.get(name), value)}")
    return True


def _what_differs(name: str, there: object, here: object) -> str:
    """The part of a run's description that is not the same, with both values where they are short."""
    if isinstance(there, dict) and isinstance(here, dict):
        part = next(key for key in [*here, *there] if key not in here or there.get(key) != here[key])
        told = f"{shown(there.get(part))}, not {here.get(part)}"
        return f"{shown(part.replace('_', ' '))} ({told}): choose another folder"
    return f"{name}: choose another folder"
