"""Weights files: what we trained, as safetensors with its config and where it comes from. Reading runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from rhythmgan.files import read_safetensors_metadata, sort_safetensors_metadata, write_whole

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class WeightsFormat:
    """What a weights file holds, as its metadata says.

    Attributes:
        name: of the format.
        version: that is written and read; of other versions nothing is read.
        title: of the model, in a sentence: "a GAN".
    """

    name: str
    version: int
    title: str


def bundled(name: str) -> Path:
    """A file that ships with the package, in its folder of weights."""
    return Path(__file__).parent.parent / "weights" / name


BUNDLED_GRIDS = (16, 12)
"""The grids that models ship for, the default first."""


def bundled_model(kind: str, steps: int = BUNDLED_GRIDS[0]) -> Path:
    """The file of the bundled model of a kind, "gan" or "prior", for a grid.

    Raises:
        ValueError: none ships for this grid.
    """
    if steps not in BUNDLED_GRIDS:
        raise ValueError(
            f"the bundled models have {' or '.join(map(str, BUNDLED_GRIDS))} steps, not {steps}; "
            f"`rhythmgan train {kind} --grid {steps}` makes one that has"
        )
    return bundled(f"{kind}{'' if steps == BUNDLED_GRIDS[0] else steps}.safetensors")


def save_weights(
    path: str | os.PathLike[str],
    form: WeightsFormat,
    model: nn.Module,
    config: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> None:
    """Write weights and config as one safetensors file, whole or not at all.

    Args:
        path: the file.
        form: what the file says of itself.
        model: what to save.
        config: all that is needed, with the weights, to build the model again.
        provenance: short facts for the reader: bars and songs trained on, steps, minutes.
    """
    from safetensors.torch import save

    metadata = {
        "format": form.name,
        "version": str(form.version),
        "config": json.dumps(dict(config)),
        "provenance": json.dumps(dict(provenance)),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_whole(path, sort_safetensors_metadata(save(tensors, metadata)), durable=True)


def fingerprint(model: nn.Module, *asked: str) -> str:
    """Sixteen hexadecimal digits that stand for the weights of a model, and for what it is asked for."""
    weights = hashlib.sha256(" ".join(asked).encode())
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + tensor.cpu().numpy().tobytes())
    return weights.hexdigest()[:16]


def load_weights(path: str | os.PathLike[str], form: WeightsFormat, build: Callable[[dict[str, Any]], Model]) -> Model:
    """The model of a weights file, ready for use: ``build`` makes it from its config.

    Raises:
        ValueError: no weights file of this format, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    if metadata["format"] != form.name:
        raise ValueError(f"{path}: holds no weights of {form.title} of rhythmgan")
    if metadata.get("version") != str(form.version):
        raise ValueError(
            f"{path}: weights of version {metadata.get('version')}, written by another release of rhythmgan; "
            f"this one reads version {form.version}"
        )
    try:
        model = build(json.loads(metadata["config"]))
        model.load_state_dict(load_file(path))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, RuntimeError, SafetensorError) as error:
        # torch's first line says only that something is wrong, the next one what
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{path}: the weights do not fit their config: {reason}") from None
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise ValueError(f"{path}: weights that are not finite: the training that made them failed")
    return model.eval().requires_grad_(False)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Format, version, config and provenance of a weights file, without its weights.

    Raises:
        ValueError: no weights file of ours.
        OSError: it cannot be opened.
    """
    metadata = read_safetensors_metadata(path)
    if not {"format", "version", "config", "provenance"} <= metadata.keys():
        raise ValueError(f"{path}: holds no weights of a rhythmgan model")
    return metadata
