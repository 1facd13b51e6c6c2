"""What a file of ours, or one that we read, holds."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from rhythmgan import lpd, midi_reader
from rhythmgan.files import read_npz, read_safetensors_metadata
from rhythmgan.grid import NoBars, Onsets, quantise
from rhythmgan.kit import GM9


def describe(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Name → value of what there is to say about a file of weights, a corpus, MIDI, LPD or a text of bars.

    Args:
        path: the file; the bundled weights by default.

    Raises:
        ValueError: nothing that we read, or a broken one.
        OSError: it cannot be opened.
    """
    suffix = ".safetensors" if path is None else Path(path).suffix.lower()
    if suffix == ".safetensors":
        return _weights(path)
    assert path is not None
    if not Path(path).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not Path(path).is_file():
        raise ValueError(f"{path}: not a file; `rhythmgan features` takes folders")
    facts: dict[str, Any] = {"file": str(path)}
    try:
        if suffix in midi_reader.SUFFIXES:
            return facts | {"holds": "a MIDI file"} | _onsets(midi_reader.read_midi(path))
        if suffix == lpd.SUFFIX and zipfile.is_zipfile(path):
            names = zipfile.ZipFile(path).namelist()
            if "info.json" in names:
                return facts | {"holds": "an LPD pianoroll"} | _onsets(lpd.read_lpd(path))
            if "bars.npy" in names:
                return facts | {"holds": "generated bars"} | _arrays(path)
    except NoBars as error:
        raise ValueError(f"{path}: {error}") from None
    if suffix == lpd.SUFFIX:
        return facts | {"holds": "bars of songs"} | _corpus(path)
    if suffix == ".txt":
        return facts | {"holds": "a text of bars"} | _text(path)
    raise ValueError(f"{path}: not weights (.safetensors), a corpus or LPD (.npz), MIDI (.mid) or text (.txt)")


def _weights(path: str | os.PathLike[str] | None) -> dict[str, Any]:
    from rhythmgan.models.catalogue import FORMATS
    from rhythmgan.models.weights import bundled, read_metadata
    from rhythmgan.reference import FORMAT as REFERENCE
    from rhythmgan.reference import load_reference

    path = bundled("gan.safetensors") if path is None else Path(path)
    if read_safetensors_metadata(path).get("format") == REFERENCE:
        reference = load_reference(path)
        facts = {"kit": reference.kit.name, "steps": reference.steps, "bars": reference.n_bars}
        return {"file": str(path), "holds": "a reference of features"} | facts
    metadata = read_metadata(path)
    name = metadata["format"]
    size = {
        "file": str(path),
        "holds": f"weights of {FORMATS[name].title if name in FORMATS else name}",
        "bytes": path.stat().st_size,
    }
    try:
        facts = json.loads(metadata["config"]) | json.loads(metadata["provenance"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: its config cannot be read: {error}") from None
    return size | facts


def _corpus(path: str | os.PathLike[str]) -> dict[str, Any]:
    from rhythmgan.data import load_corpus

    corpus = load_corpus(path)
    return {
        "kit": corpus.kit.name,
        "steps": corpus.steps,
        "bars": len(corpus),
        "each song's distinct bars": len(corpus.distinct()),
        "songs": len(corpus.songs),
        "files": len(corpus.files),
    }


def _arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    members = read_npz(path, "a file of generated bars")
    return {name: f"{array.dtype} {array.shape}" for name, array in members.items()}


def _text(path: str | os.PathLike[str]) -> dict[str, Any]:
    from rhythmgan.data import read_text

    bars, _, kit = read_text(path)
    grids = Counter(len(bar) for bar in bars)
    return {"kit": kit.name} | {f"bars of {steps} steps": n for steps, n in sorted(grids.items())}


def _onsets(onsets: Onsets) -> dict[str, Any]:
    found = quantise(onsets, GM9)
    return {
        "drum onsets": len(onsets.beat),
        "time signatures": ", ".join(dict.fromkeys(f"{m.numerator}/{m.denominator}" for m in onsets.time_signatures))
        or "4/4",
        "4/4 bars (16 steps, gm9)": len(found.bars),
        "empty bars between them": found.n_empty,
        "onsets in other time signatures": found.n_other_time_signature,
        "onsets outside gm9": found.n_outside_kit,
    }
