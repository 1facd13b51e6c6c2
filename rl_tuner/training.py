"""A learner's run in a folder: checkpointed as it goes, and resumed where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan.files import make_folder
from rhythmgan.training.folder import CHECKPOINT, CONFIG, write_config
from rl_tuner.learner import Learner

_SECONDS_BETWEEN = 30.0
"""How often a run is saved."""

_LOGGED = 25_000
"""Transitions whose numbers are averaged in the log."""

Progress = Callable[[int, int, str], None]
"""What hears of (transitions so far, transitions in all, phase)."""


class Run:
    """A folder for a run: ``last.ckpt`` (to resume), ``config.json``, TensorBoard's events and what ``save`` writes.

    Attributes:
        out: the folder.
        resumes: whether it holds a run of the same description that stopped.

    Args:
        out: a folder, created if missing.
        described: all that the run depends on, as plain values or dictionaries of such.

    Raises:
        ValueError: the folder holds another run, or one that cannot be read.
        OSError: it cannot be written.
    """

    def __init__(self, out: str | Path, described: Mapping[str, Any]) -> None:
        self.out = make_folder(out)
        described = json.loads(json.dumps(described))
        self.resumes = _is_same_run(self.out, described)
        write_config(self.out, described)

    def train(self, learner: Learner, save: Callable[[dict[str, str]], None], progress: Progress | None = None) -> None:
        """Let it learn until its steps are done, from the checkpoint on where there is one.

        A replay is not kept: a resumed run fills it again before it learns on.

        Args:
            learner: see there.
            save: writes the weights of ``learner.target_network``; hears ``trained_steps``, ``trained_minutes`` and
                ``trained_seed``. Called twice a minute, and at the end.
            progress: hears how far it is.

        Raises:
            ValueError: a damaged checkpoint.
            OSError: the folder cannot be written.
            KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
        """
        from torch.utils.tensorboard import SummaryWriter

        seconds = learner.load(self.out / CHECKPOINT).get("seconds", 0.0) if self.resumes else 0.0
        began = saved = time.perf_counter()
        logger = SummaryWriter(str(self.out))
        gathered: dict[str, list[float]] = {}
        logged_until, phase = learner.steps_done, "training"
        total = learner.config.train_steps

        def checkpoint() -> None:
            spent = seconds + time.perf_counter() - began
            facts = {"steps": f"{learner.steps_done}", "minutes": f"{spent / 60:.1f}", "seed": f"{learner.config.seed}"}
            save({f"trained_{name}": fact for name, fact in facts.items()})
            learner.save(self.out / CHECKPOINT, {"seconds": spent})

        def callback(done: int, logged: dict[str, float]) -> None:
            nonlocal saved, logged_until, phase
            for name, value in logged.items():
                gathered.setdefault(name, []).append(value)
            if done - logged_until >= _LOGGED:
                means = {name: float(np.mean(values)) for name, values in gathered.items()}
                for name, mean in means.items():
                    logger.add_scalar(f"{type(learner).__name__.lower()}/{name}", mean, done)
                if "success" in means:
                    phase = f"training, {means['success']:.1%} reached"
                gathered.clear()
                logged_until = done
            if time.perf_counter() - saved > _SECONDS_BETWEEN:
                checkpoint()
                saved = time.perf_counter()
            if progress:
                progress(min(done, total), total, phase)

        try:
            learner.learn(callback)
        finally:  # Ctrl-C loses nothing
            logger.close()
            if learner.steps_done:
                checkpoint()


def _is_same_run(out: Path, described: Mapping[str, Any]) -> bool:
    """Whether there is a run to resume: of the same description."""
    if not (out / CHECKPOINT).exists():
        return False
    try:
        before = dict(json.loads((out / CONFIG).read_text()))
    except (OSError, TypeError, ValueError):
        raise ValueError(f"{out} holds a checkpoint but no readable {CONFIG}: choose another folder") from None
    for name, value in described.items():
        if before.get(name) != value:
            raise ValueError(f"{out} holds a run with another {_what_differs(name, before.get(name), value)}")
    return True


def _what_differs(name: str, there: object, here: object) -> str:
    """The part of a run's description that is not the same, with both values where they are short."""
    if isinstance(there, dict) and isinstance(here, dict):
        part = next(key for key in here if there.get(key) != here[key])
        return f"{part.replace('_', ' ')} ({there.get(part)}, not {here[part]}): choose another folder"
    return f"{name}: choose another folder"
