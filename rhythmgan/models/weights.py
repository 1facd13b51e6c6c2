"""Weights files: what we trained, as safetensors with its config and where it comes from. Reading runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rhythmgan.inputs import parse_json_object
from rhythmgan.tensor_file import CHECKSUM, Entry, TensorFile, open_tensors, write_tensors

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
    """Write weights and config as one safetensors file with its checksum, whole or not at all, and durable.

    Args:
        path: the file.
        form: what the file says of itself.
        model: what to save.
        config: all that is needed, with the weights, to build the model again.
        provenance: short facts for the reader: bars and songs trained on, steps, minutes.
    """
    metadata = {
        "format": form.name,
        "version": str(form.version),
        "config": json.dumps(dict(config)),
        "provenance": json.dumps(dict(provenance)),
    }
    write_tensors(path, dict(model.state_dict()), metadata)


def fingerprint(model: nn.Module, *asked: str) -> str:
    """Sixteen hexadecimal digits that stand for the weights of a model, and for what it is asked for."""
    weights = hashlib.sha256(" ".join(asked).encode())
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + tensor.cpu().numpy().tobytes())
    return weights.hexdigest()[:16]


class _Undrawn(TorchFunctionMode):
    """Within the device "meta": draws no random numbers and scales none, and makes what counts on the CPU.

    Torch computes there in Python, for which it imports its compiler at first; that takes longer than all else.
    """

    _COUNTED = (torch.arange, torch.eye, torch.tensor, torch.triu_indices)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.mul) and args[0].is_meta:
            return args[0]
        if func in self._COUNTED:
            return func(*args, **{"device": "cpu"} | kwargs)
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def load_weights(path: str | os.PathLike[str], form: WeightsFormat, build: Callable[[dict[str, Any]], Model]) -> Model:
    """The model of a weights file, ready for use: ``build`` makes it from its config.

    The file is not trusted. Its config is built without memory first (on torch's device "meta"), and names, shapes and
    types of the tensors are compared with its header. Only then memory is taken, for the model and for one tensor at a
    time: at most three times what the file has, where it holds numbers of half precision, and otherwise twice. Tables
    that follow from kit and grid alone come to it, at first too; the largest have 128 MB.

    Raises:
        ValueError: no weights file of this format, one of another version, or a damaged one.
        OSError: it cannot be opened, or is no regular file.
    """
    with open_tensors(path) as file:
        metadata = _checked_metadata(file)
        if metadata["format"] != form.name:
            raise ValueError(f"{path}: holds no weights of {form.title} of rhythmgan")
        if metadata["version"] != str(form.version):
            raise ValueError(
                f"{path}: weights of version {metadata['version'][:20]}, written by another release of rhythmgan; "
                f"this one reads version {form.version}"
            )
        config = parse_json_object(metadata["config"])
        try:
            with torch.device("meta"), _Undrawn():
                shapes = build(dict(config)).state_dict()
            _compare(file.entries, shapes)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:200]
            raise ValueError(f"{path}: the weights do not fit their config: {reason}") from None
        if file.has_checksum:
            file.verify()
        model = build(config)
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                tensor.copy_(file.read(name))
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise ValueError(f"{path}: weights that are not finite: the training that made them failed")
    return model.eval().requires_grad_(False)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Format, version, config and provenance of a weights file, without its weights.

    Raises:
        ValueError: no weights file of ours.
        OSError: it cannot be opened, or is no regular file.
    """
    with open_tensors(path) as file:
        return _checked_metadata(file)


_NAMES = {"format", "version", "config", "provenance"}
"""What a weights file says of itself, beside its checksum, which those of 0.1.0 do not have."""


def _checked_metadata(file: TensorFile) -> dict[str, str]:
    """What a weights file says of itself; config and provenance are objects of JSON."""
    said = {name: value for name, value in file.metadata.items() if name != CHECKSUM}
    if not said.keys() >= _NAMES:
        raise ValueError(f"{file.path}: holds no weights of a rhythmgan model")
    if unknown := said.keys() - _NAMES:  # a damaged name, of the checksum maybe
        raise ValueError(f"{file.path}: says what no weights file says: {min(unknown)[:40]!r}")
    for name in ("config", "provenance"):
        try:
            parse_json_object(said[name])
        except ValueError as error:
            what = "the weights do not fit their config: it" if name == "config" else "their provenance"
            raise ValueError(f"{file.path}: {what} cannot be read: {error}") from None
    return said


def _compare(entries: Mapping[str, Entry], shapes: Mapping[str, Tensor]) -> None:
    """Raise a ValueError where a file has not the very tensors that a model has.

    Numbers of half precision stand for those of single precision.
    """
    for names, what in ((shapes.keys() - entries.keys(), "lacks"), (entries.keys() - shapes.keys(), "has besides")):
        if names:
            raise ValueError(f"the file {what} {min(names)[:40]}")
    for name, tensor in reversed(list(shapes.items())):
        entry, dtype = entries[name], str(tensor.dtype).removeprefix("torch.")
        if entry.shape != tuple(tensor.shape):
            raise ValueError(f"size mismatch for {name}: {entry.shape}, not {tuple(tensor.shape)}")
        if entry.dtype != dtype and (entry.dtype, dtype) != ("float16", "float32"):
            raise ValueError(f"{name} is of type {entry.dtype}, not {dtype}")
