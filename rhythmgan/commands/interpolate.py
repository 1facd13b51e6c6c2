"""``rhythmgan interpolate``: the bars on the way from seed to seed, or from loop to loop."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import (
    add_condition_options,
    add_field,
    add_model_options,
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    output_given,
)
from rhythmgan.generate.config import MAX_LOOPS, PathConfig

if TYPE_CHECKING:
    import numpy as np

    from rhythmgan.models.interfaces import LatentModel

# what is slow to import is imported by the function that needs it: help and errors answer at once

MAX_Z_BYTES = 64 << 20
"""Bytes of a file of latent points: as many as a path can go through take a few MB."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "interpolate",
        help="generate the bars between seeds or loops",
        description="Generate the bars along a path from seed to seed, or from loop to loop.",
    )
    parser.set_defaults(run=_run)
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("--seeds", metavar="A-B", help="seeds to go through in turn: 3-17, or 3-17-40")
    ends.add_argument("--z", metavar="FILE", help=".npy or .npz file of latent points (rows of `z`) to go through")
    ends.add_argument(
        "--loops",
        metavar="FILE",
        nargs="+",
        help="two or more loops of as many bars each, to go through in turn: MIDI, text or .npz",
    )
    add_field(parser, PathConfig, "frames", "bars from each end to the next, both included; of loops, loops")
    parser.add_argument(
        "--mode",
        choices=("morph", "slerp", "lerp"),
        help="through bars of which few cells change at a time; or through latent points, along their sphere or "
        f"straight ({PathConfig.mode})",
    )
    add_condition_options(parser)
    add_output_options(parser, "path", PathConfig.formats)
    add_model_options(parser)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.commands.models import generator_given
    from rhythmgan.folders import export_path

    config = PathConfig(**given(options, "frames", "mode"), **formats_given(options))
    model = generator_given(options)
    waypoints, output = _ends(options, model)
    done = export_path(model, waypoints, options.out, config, **output)
    changed = (done.bars[1:] ^ done.bars[:-1]).reshape(len(done.bars) - 1, -1).sum(1).tolist()
    folder = Path(options.out).resolve()
    if options.json:
        return {"out": str(folder), "frames": len(done.bars), "changed_cells": changed, "files": done.files}
    print(f"{len(done.bars)} {'bars' if done.bars.ndim == 3 else 'loops'} in {folder}: {file_names(done.files)}")
    print(f"cells that change from bar to bar: {' '.join(map(str, changed))}")
    return None


def _ends(options: argparse.Namespace, model: LatentModel) -> tuple[np.ndarray, dict[str, Any]]:
    """The latent points to go through, (k, latent_dim) or of loops (k, bars, latent_dim), and how to write them."""
    if options.loops is not None:
        return _read_loops(options, model)
    output = output_given(options, model.kit)
    if options.z is not None:
        return _read_z(options.z, model.latent_dim), output
    parts = options.seeds.split("-")
    # a seed of a thousand digits is none, and Python would not read it
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() and len(part) <= 100 for part in parts):
        raise ValueError(f"--seeds takes whole numbers with a dash between them, like 3-17, not {options.seeds[:80]!r}")
    return model.latents([int(part) for part in parts]), output


def _read_loops(options: argparse.Namespace, model: LatentModel) -> tuple[np.ndarray, dict[str, Any]]:
    """The points of the loops of files, which are played back at the tempo of the first."""
    import numpy as np

    from rhythmgan.folders import read_loop

    read = [read_loop(path, model, options.out) for path in options.loops]
    lengths = [len(loop) for loop, _ in read]
    if len(set(lengths)) > 1:
        raise ValueError(f"--loops takes loops of as many bars each; these have {', '.join(map(str, lengths))}")
    output = output_given(options, model.kit, read[0][1])
    return np.stack([model.encode(loop.bars) for loop, _ in read]), output


def _read_z(path: str, latent_dim: int) -> np.ndarray:
    """The latent points of a file, (n, latent_dim) floats.

    Raises:
        ValueError: other arrays, infinities, or more points than a path goes through.
        OSError: it cannot be opened, is no regular file, or has more than ``MAX_Z_BYTES``.
    """
    import numpy as np

    from rhythmgan.inputs import open_input
    from rhythmgan.npz import read_npz

    open_input(path, MAX_Z_BYTES).close()
    members = read_npz(path, "a file of latent points")
    z = members.get("z", members.get(""))
    if z is None:
        raise ValueError(f"{path}: not a file of latent points: it has no member z")
    # of three axes they are of loops, as `rhythmgan vary` writes them
    if z.ndim not in (2, 3) or z.shape[-1] != latent_dim or z.dtype.kind != "f":
        raise ValueError(f"{path}: expected finite floats (n, {latent_dim}), found {z.dtype} {z.shape}")
    z = z.reshape(-1, latent_dim)
    if len(z) > MAX_LOOPS:
        raise ValueError(f"{path}: a path goes through {MAX_LOOPS:,} points at most, not {len(z):,}")
    # what is too large for a float32 is infinite there; no numbers stay none, and some of them signal it
    with np.errstate(over="ignore", invalid="ignore"):
        points = z.astype(np.float32) if z.dtype.itemsize > 4 else z
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: expected finite floats (n, {latent_dim}), found infinities or no numbers")
    return z
