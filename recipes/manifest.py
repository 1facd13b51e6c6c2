"""The manifest of the bundled weights: a hash of every file, and the facts that tie the files together.

A weights file is worth something only beside the others: an agent steers one generator, percentiles belong to one
corpus, and all models of a grid share a kit and their training songs. ``manifest.json`` states this once. ``--check``
reads the files again and prints one line for everything that is not as the manifest says.

Run: python recipes/manifest.py [--check] [FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhythmgan.conditions import ANY
from rhythmgan.files import write_whole
from rhythmgan.models.gan import load_gan
from rhythmgan.tensor_file import read_tensor_metadata

FOLDER = Path(__file__).resolve().parent.parent / "rhythmgan" / "weights"
NAME = "manifest.json"

AGENTS = ("rl_tuner.agent", "rl_tuner.latent_agent")

FACTS: dict[str, dict[str, tuple[str, ...]]] = {
    "rhythmgan.gan": {
        "kit": ("config", "kit"),
        "grid": ("config", "steps"),
        "trained_bars": ("provenance", "trained_bars"),
        "trained_songs": ("provenance", "trained_songs"),
    },
    "rhythmgan.word_lstm": {
        "kit": ("config", "kit"),
        "grid": ("config", "steps"),
        "trained_bars": ("provenance", "trained_bars"),
        "trained_songs": ("provenance", "trained_songs"),
    },
    **{
        agent: {
            "trained_bars": ("provenance", "trained_targets"),
        }
        for agent in AGENTS
    },
    "rhythmgan.bar_lstm": {},
    "rl_tuner.edit_agent": {},
    "rhythmgan.note_cnn": {},
    "rl_tuner.append_agent": {},
    "rl_tuner.append_published": {},
    "rhythmgan.answer_net": {
        "kit": ("config", "kit"),
        "grid": ("config", "steps"),
    },
    "rl_tuner.answer_agent": {},
    "rl_tuner.toggle_agent": {},
    "rhythmgan.phrase_gan": {},
    "rhythmgan.phrase_conv_gan": {},
    "rhythmgan.text_lstm": {},
    "rhythmgan.reference": {
        "kit": ("kit",),
        "grid": ("steps",),
    },
}
"""Where the metadata of each format states a fact that files share; a path into nested objects."""


class Mismatch(ValueError):
    """Files that do not belong together, or not to their manifest; its text has a line for each reason."""


def read_folder(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The manifest of the weights files (``*.safetensors``) of a folder, as far as they can be read.

    Returns:
        The manifest: ``files``, name → ``bytes``, ``sha256``, ``format`` and ``version``, and of an agent what it
        ``steers``; ``shared``, grid → the facts that its files agree on, see ``FACTS``. And a line for each file that
        cannot be read, each agent without its generator, and each fact on which files differ.
    """
    files: dict[str, dict[str, Any]] = {}
    stated: dict[str, dict[str, dict[str, str]]] = {}
    lines: list[str] = []
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        files[path.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        try:
            kind, version, facts = read_facts(path)
        except ValueError as error:
            lines.append(f"{path.name}: {error}")
            continue
        files[path.name] |= {"format": kind, "version": version}
        grid = facts.pop("grid", None)
        if kind in AGENTS:
            steered = generator_of(path)
            if steered is None:
                lines.append(f"{path.name}: steers no generator of this folder")
                continue
            files[path.name]["steers"], grid = steered
        for fact, value in facts.items():
            stated.setdefault(str(grid), {}).setdefault(fact, {})[path.name] = value
    if not files:
        lines.append(f"{folder} holds no weights files")
    shared: dict[str, dict[str, str]] = {}
    for grid, facts_of_grid in sorted(stated.items()):
        for fact, values in sorted(facts_of_grid.items()):
            value, *others = dict.fromkeys(values.values())
            shared.setdefault(grid, {})[fact] = value
            if others:
                lines.append(f"{fact} differs: " + ", ".join(f"{name} has {value}" for name, value in values.items()))
    return {"files": files, "shared": shared}, lines


def read_facts(path: Path) -> tuple[str, str, dict[str, str]]:
    """Format, version and shared facts of a weights file.

    Raises:
        ValueError: a damaged file, an unknown format, or a fact that is not stated.
    """
    metadata: dict[str, Any] = dict(read_tensor_metadata(path))
    kind, version = metadata.get("format", ""), metadata.get("version", "")
    if kind not in FACTS:
        raise ValueError(f"format {kind!r} has no row in FACTS of recipes/manifest.py")
    for name in ("config", "provenance"):
        metadata[name] = json.loads(metadata.get(name, "{}"))
    facts = {}
    for fact, keys in FACTS[kind].items():
        value: Any = metadata
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"its metadata does not state {'.'.join(keys)}")
            value = value[key]
        facts[fact] = str(value)
    return kind, version, facts


def generator_of(agent: Path) -> tuple[str, str] | None:
    """The GAN beside an agent that it steers, as its file's name and its grid; None if there is none."""
    config = json.loads(read_tensor_metadata(agent)["config"])
    for path in sorted(agent.parent.glob("gan*.safetensors")):
        try:
            gan = load_gan(path).with_condition(config.get("role", ANY), config.get("style", ANY))
        except ValueError:  # damaged, which has a line of its own, or it knows no such role
            continue
        if gan.fingerprint == config.get("generator"):
            return path.name, str(gan.steps)
    return None


def write_manifest(folder: Path) -> Path:
    """Write ``manifest.json`` of a folder, whole or not at all.

    Raises:
        Mismatch: no files, one that cannot be read, or files that state different facts.
        OSError: the folder cannot be written.
    """
    manifest, lines = read_folder(folder)
    if lines:
        raise Mismatch("\n".join(lines))
    write_whole(folder / NAME, (json.dumps(manifest, indent=2) + "\n").encode())
    return folder / NAME


def check_manifest(folder: Path) -> None:
    """Compare the files of a folder with its manifest.

    Raises:
        Mismatch: something differs, or there is no manifest.
    """
    path = folder / NAME
    try:
        expected = _flat(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Mismatch(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Mismatch(f"{path}: not JSON: {error}") from None
    manifest, lines = read_folder(folder)
    found = _flat(manifest)
    is_read = not lines  # facts of files that cannot be read, or that differ, have their line already
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name) and (is_read or name[-1] in ("bytes", "sha256")):
            said, is_now = (leaves.get(name, "nothing") for leaves in (expected, found))
            lines.append(f"{' '.join(name[1:])}: {NAME} says {said}, found {is_now}")
    if lines:
        raise Mismatch("\n".join(lines))


def _flat(value: Any, name: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every leaf of nested objects, by its path."""
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flat(inner, (*name, key)).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check a manifest; returns the exit status, 1 for files that do not match."""
    parser = argparse.ArgumentParser(description="Write or check the manifest of a folder of weights.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="the folder (that of the package)")
    parser.add_argument("--check", action="store_true", help="compare the files with the manifest, write nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            check_manifest(options.folder)
            print(f"{options.folder / NAME} matches its files")
        else:
            print(write_manifest(options.folder))
    except Mismatch as mismatch:
        print(mismatch, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
