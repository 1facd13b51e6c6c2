"""The folder of a run: what it holds, and whether a run may be resumed there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rhythmgan.files import write_whole
from rhythmgan.inputs import read_json_object, shown
from rhythmgan.locks import locked_folder
from rhythmgan.training.checkpoint import read_checkpoint

CHECKPOINT = "last.ckpt"
CONFIG = "config.json"


def run_folder(out: Path) -> AbstractContextManager[None]:
    """The folder of a run, for this process alone.

    Raises:
        ValueError: another process trains there.
        OSError: the folder is not there, or nothing can be written into it.
    """
    return locked_folder(out, "another training runs in this folder: wait for it, or choose another folder")


def write_config(out: Path, described: Mapping[str, Any]) -> None:
    """Write what a run is made of, whole or not at all."""
    write_whole(out / CONFIG, (json.dumps(described, indent=2) + "\n").encode(), durable=True)


def state_to_resume(out: Path, described: Mapping[str, Any], total_steps: int) -> dict[str, Any] | None:
    """What a folder's checkpoint holds, if it has one, and if it is of the same run; more ``train_steps`` are welcome.

    Args:
        out: a folder that is there.
        described: ``model``, ``data``, ``network`` (options of the networks), ``training`` (options of the training)
            and ``devices`` of the run that is asked for.
        total_steps: its length.

    Raises:
        ValueError: the folder holds another run, one that cannot be read or one that went further.
    """
    checkpoint = out / CHECKPOINT
    if not checkpoint.exists():
        return None
    try:
        before = read_json_object(out / CONFIG)
        there, here = _flat(before), _flat(json.loads(json.dumps(described)))  # JSON makes lists of tuples
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{out} holds a checkpoint but no readable {CONFIG}: choose another folder") from None
    if before.get("model") != described["model"]:
        raise ValueError(f"{out} holds a run of another model: choose another folder")
    for name, value in here.items():
        if name != "train_steps" and there.get(name) != value:
            if name == "data":
                raise ValueError(f"{out} holds a run on other data: choose another folder")
            raise ValueError(
                f"{out} holds a run with {name} {shown(there.get(name))}, not {value}: choose another folder"
            )
    state = read_checkpoint(checkpoint)
    done = state.get("steps_done")
    if type(done) is not int or done < 0:
        raise ValueError(f"{checkpoint}: cannot be resumed: it does not say how many steps are done")
    if done > total_steps:
        raise ValueError(f"{out} holds a run of {done} steps in all, more than the {total_steps} asked for")
    return state


def _flat(described: Mapping[str, Any]) -> dict[str, Any]:
    """Data and devices, the options of the networks and those of the training."""
    network = {f"network {name}": value for name, value in described["network"].items()}
    return {"data": described["data"], "devices": described["devices"]} | network | dict(described["training"])
