"""Checkpoints: plain values and tensors, nested as they like, in a safetensors file with a checksum. No pickle.

The tensors are those of the file; the rest, and where each tensor belongs, is JSON in its metadata. What is read is
what was written, value by value and type by type, or it is refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rhythmgan.inputs import open_input, parse_json
from rhythmgan.tensor_file import CHECKSUM, open_tensors, write_tensors

_FORMAT, _VERSION = "rhythmgan.checkpoint", "1"
_MAX_DEPTH = 64
_OLD = "written by an older release: begin anew in another folder, or finish it with that release"


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state as a checkpoint, whole or not at all.

    Args:
        path: the file.
        state: a dictionary of None, truth values, whole and other numbers, texts, tensors, and lists, tuples and
            dictionaries of all of these, 64 deep at most. Keys are texts or whole numbers.

    Raises:
        TypeError: a value of another type.
        OSError: it cannot be written; it names ``path``.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encoded(dict(state), tensors, 0)
    text = json.dumps(tree, separators=(",", ":"))
    write_tensors(path, tensors, {"format": _FORMAT, "version": _VERSION, "state": text})


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state of a checkpoint, its tensors on the CPU. Runs no code of the file; takes the memory of its tensors.

    Raises:
        ValueError: no checkpoint, one of another release, or a damaged one; it names ``path``.
        OSError: it cannot be opened, or is no regular file.
    """
    name = os.fspath(path)
    if _is_pickled(name):
        raise ValueError(f"{name}: cannot be resumed: it was {_OLD}")
    try:
        with open_tensors(path) as file:
            file.verify()
            said = file.metadata
            if said.keys() != {CHECKSUM, "format", "version", "state"} or said["format"] != _FORMAT:
                raise ValueError("it is no checkpoint of rhythmgan")
            if said["version"] != _VERSION:
                raise ValueError(f"it is of version {said['version'][:20]}, and this release reads {_VERSION}")
            state = _decoded(parse_json(said["state"]), {each: file.read(each) for each in file.entries}, 0)
    except ValueError as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise ValueError(f"{name}: cannot be resumed: {reason}") from None
    if not isinstance(state, dict):
        raise ValueError(f"{name}: cannot be resumed: it holds no names and values")
    return state


def check_alike(found: Any, like: Any, where: str = "the checkpoint") -> None:
    """Compare what was read with what is there to be replaced.

    Args:
        found: of a checkpoint.
        like: a value of the same types, names, shapes and lengths.
        where: what it is called in errors.

    Raises:
        ValueError: a name is missing or too many, or a value has another type or shape; it says where.
    """
    if type(found) is not type(like):
        raise ValueError(f"{where} is of type {type(found).__name__}, not {type(like).__name__}")
    if isinstance(like, dict):
        if missing := like.keys() - found.keys():
            raise ValueError(f"{where} lacks {sorted(map(str, missing))[0]}")
        if unknown := found.keys() - like.keys():
            raise ValueError(f"{where} has {sorted(map(str, unknown))[0]}, which there is not")
        for name, value in like.items():
            check_alike(found[name], value, f"{where}: {name}")
    elif isinstance(like, list | tuple):
        if len(found) != len(like):
            raise ValueError(f"{where} has {len(found)} values, not {len(like)}")
        for number, (one, other) in enumerate(zip(found, like, strict=True)):
            check_alike(one, other, f"{where}: {number}")
    elif isinstance(like, Tensor) and (found.shape, found.dtype) != (like.shape, like.dtype):
        raise ValueError(f"{where} is {_described(found)}, not {_described(like)}")


def check_optimizer(found: Any, optimizer: torch.optim.Optimizer, where: str) -> None:
    """Compare the state of an optimiser that was read with the optimiser that is to go on from it.

    Args:
        found: of ``state_dict``.
        optimizer: one whose state of a parameter is numbers and tensors of the parameter's shape, as Adam's.
        where: what it is called in errors.

    Raises:
        ValueError: it is of another optimiser or of other parameters; it says where.
    """
    like = optimizer.state_dict()
    check_alike({**found, "state": {}} if isinstance(found, dict) else found, {**like, "state": {}}, where)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known = [{"step", "exp_avg", "exp_avg_sq"}, set()]
    if not isinstance(states := found.get("state"), dict) or not states.keys() <= set(range(len(parameters))):
        raise ValueError(f"{where} is of other parameters")
    for number, state in states.items():
        if not isinstance(state, dict) or state.keys() not in known:
            raise ValueError(f"{where}: parameter {number} has no state of this optimiser")
        for name, value in state.items():
            like_this = torch.zeros((), dtype=torch.float32) if name == "step" else parameters[number].detach()
            if name == "step" and isinstance(value, Tensor) and not (value.isfinite() & (value >= 0)).all():
                raise ValueError(f"{where}: parameter {number} has done no number of steps")
            check_alike(value, like_this.to("cpu"), f"{where}: parameter {number}: {name}")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _is_pickled(path: str) -> bool:
    """Whether a file begins as torch's checkpoints do, which are archives of a pickle, or as a pickle itself."""
    with open_input(path) as file:
        start = file.read(9)
    # the length of a header may begin with any byte, but the header itself begins as JSON does
    return start[8:] != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80")


def _encoded(value: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """What stands for a value in JSON: plain values and lists themselves, all else an object that says its type."""
    if depth > _MAX_DEPTH:
        raise TypeError(f"a checkpoint is nested {_MAX_DEPTH} deep at most")
    if isinstance(value, Tensor):
        name = f"{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, dict):
        if not all(type(key) in (str, int) for key in value):
            raise TypeError("the keys of a checkpoint are texts and whole numbers")
        return {"dict": [[key, _encoded(each, tensors, depth + 1)] for key, each in value.items()]}
    if type(value) is list:
        return [_encoded(each, tensors, depth + 1) for each in value]
    if type(value) is tuple:
        return {"tuple": [_encoded(each, tensors, depth + 1) for each in value]}
    raise TypeError(f"a checkpoint holds plain values and tensors, not a {type(value).__name__}")


def _decoded(value: Any, tensors: Mapping[str, Tensor], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deep")
    if isinstance(value, list):
        return [_decoded(each, tensors, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    kind, held = next(iter(value.items())) if len(value) == 1 else ("", None)
    if kind == "tensor" and isinstance(held, str) and held in tensors:
        return tensors[held]
    if kind == "float" and held in ("nan", "inf", "-inf"):
        return float(held)
    if kind == "tuple" and isinstance(held, list):
        return tuple(_decoded(each, tensors, depth + 1) for each in held)
    if kind == "dict" and isinstance(held, list) and all(_is_item(each) for each in held):
        return {key: _decoded(each, tensors, depth + 1) for key, each in held}
    raise ValueError("it holds a value of a kind that there is not")


def _is_item(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (str, int)
