"""What a file of ours, or one that we read, holds."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhythmgan import lpd, midi_reader
from rhythmgan.bars import words_to_bars
from rhythmgan.grid import NoBars, Onsets, quantise_by_grid, quantise_by_grid_or_explain
from rhythmgan.inputs import is_plain, open_input, shown
from rhythmgan.kit import GM12
from rhythmgan.npz import npz_names, read_npz
from rhythmgan.songs import archives
from rhythmgan.songs.members import FILE, PARQUET
from rhythmgan.tensor_file import read_tensor_metadata

NO_BARS: dict[str, Any] = {"onsets": 0, "bars": 0, "grid": {}, "tempo": None, "outside kit": 0, "why": None}
"""What is said of every file: drum onsets, bars, bars by grid, quarter notes a minute (None where no single tempo is
written), onsets outside the kit, and why there are no bars (None where there are)."""


def describe(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Name → value of what there is to say about any file; of one that holds nothing that we read, why.

    It costs what the reader of its kind does: ``midi_reader``, ``lpd``, ``npz``, ``corpus_file`` say what that is.

    Args:
        path: weights, a reference, a corpus, MIDI, LPD, generated bars or a text of bars; the bundled weights by
            default.

    Returns:
        ``file``, ``holds``, the names of ``NO_BARS``, and what is special to its kind. What a file says of itself, in
        names of its own choice, stands apart: ``config`` and ``provenance`` of weights, ``arrays`` of generated bars,
        ``role`` and ``style`` of a corpus.

    Raises:
        ValueError: not a file.
        OSError: it cannot be opened.
    """
    if path is None:
        return _weights(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{path}: not a file; `rhythmgan features` takes folders")
    with open_input(path) as file:
        head = file.read(12)
    facts: dict[str, Any] = {"file": str(path), "holds": "nothing that is read here"} | NO_BARS
    try:
        return facts | _facts(path, head)
    except ValueError as error:  # NoBars too
        return facts | {"why": str(error).removeprefix(f"{path}: ")}


def _facts(path: str | os.PathLike[str], head: bytes) -> dict[str, Any]:
    """What is to be said of a file that is there.

    Raises:
        ValueError: nothing that we read, or a broken one.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".safetensors":
        return _weights(path)
    kind = archives.kind_of(str(path))
    if kind != FILE:
        what = "a parquet table" if kind == PARQUET else "an archive"
        return {"holds": what, "why": f"{what}; `rhythmgan prepare` reads it"}
    # an ending that is of something else goes before the first bytes, as in whatever reads files
    is_midi = head[:4] == b"MThd" or (head[:4], head[8:]) == (b"RIFF", b"RMID")
    if suffix in midi_reader.SUFFIXES or (is_midi and suffix not in (lpd.SUFFIX, ".txt")):
        return {"holds": "a MIDI file"} | _song(lambda: midi_reader.read_midi(path))
    if suffix == lpd.SUFFIX:
        names = npz_names(path)
        if "info.json" in names:
            bpm = lpd.read_lpd_bpm(path)
            tempo = {"tempo": None if bpm is None else round(bpm, 3)}
            return {"holds": "an LPD pianoroll"} | _song(lambda: lpd.read_lpd(path)) | tempo
        if "bars" in names:
            return {"holds": "generated bars"} | _arrays(path)
        return {"holds": "bars of songs"} | _corpus(path)
    if suffix == ".txt":
        return {"holds": "a text of bars"} | _text(path)
    raise ValueError("not weights (.safetensors), a corpus or LPD (.npz), MIDI (.mid) or text (.txt)")


def _weights(path: str | os.PathLike[str] | None) -> dict[str, Any]:
    from rhythmgan.models.catalogue import FORMATS
    from rhythmgan.models.weights import bundled, read_metadata
    from rhythmgan.reference import FORMAT as REFERENCE
    from rhythmgan.reference import load_reference

    path = bundled("gan.safetensors") if path is None else Path(path)
    if read_tensor_metadata(path).get("format") == REFERENCE:
        reference = load_reference(path)
        facts = {"kit": reference.kit.name, "steps": reference.steps, "bars": reference.n_bars}
        return {"file": str(path), "holds": "a reference of features"} | NO_BARS | facts
    metadata = read_metadata(path)
    name = metadata["format"]
    size = {
        "file": str(path),
        "holds": f"weights of {FORMATS[name].title if name in FORMATS else shown(name)}",
        "bytes": path.stat().st_size,
    } | NO_BARS
    size["why"] = "weights, not bars"
    return size | {name: _said(json.loads(metadata[name])) for name in ("config", "provenance")}


def _said(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of itself: plain values as they are. What is nested, as deep as JSON may be, is not copied."""
    return {name: value if is_plain(value) else shown(value) for name, value in found.items()}


def _corpus(path: str | os.PathLike[str]) -> dict[str, Any]:
    from rhythmgan.corpus_file import corpus_counts, corpus_grids, load_corpus

    corpus, grids, counts = load_corpus(path), corpus_grids(path), corpus_counts(path)

    def number(name: str) -> int:
        return sum(count.get(name, 0) for count in counts)

    def summed(name: str) -> dict[str, int]:
        return dict(sum((Counter(count.get(name, {})) for count in counts), Counter[str]()).most_common())

    known: dict[str, Any] = {"onsets": None, "outside kit": None}
    if counts:
        known = {
            "onsets": number("n_onsets"),
            "outside kit": number("n_onsets_outside"),
            "bars on no grid": number("n_off_grid"),
            "onsets that share their cell with a louder one": number("n_merged"),
            "role": summed("roles"),
            "style": summed("styles"),
        }
    return known | {
        "bars": sum(grids.values()),
        "grid": grids,
        "kit": corpus.kit.name,
        "steps": corpus.steps,
        "each song's distinct bars": len(corpus.distinct()),
        "songs": len(corpus.songs),
        "files": len(corpus.files),
    }


def _arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    members = read_npz(path, "a file of generated bars")
    bars = members["bars"]
    if bars.ndim < 3 or bars.dtype != bool:
        raise ValueError(f"expected bars (n, steps, parts) bool, found {bars.dtype} {bars.shape}")
    n_bars = int(np.prod(bars.shape[:-2]))
    arrays = {name: f"{array.dtype} {array.shape}" for name, array in members.items()}
    return {"onsets": int(bars.sum()), "bars": n_bars, "grid": {bars.shape[-2]: n_bars}, "arrays": arrays}


def _text(path: str | os.PathLike[str]) -> dict[str, Any]:
    from rhythmgan.patterns import read_text

    bars, _, kit = read_text(path)
    onsets = sum(int(words_to_bars(words, kit.n_parts).sum()) for words in bars)
    grids = Counter(len(bar) for bar in bars)
    return {"onsets": onsets, "bars": len(bars), "grid": dict(sorted(grids.items())), "kit": kit.name}


def _song(read: Callable[[], Onsets]) -> dict[str, Any]:
    """What a song has on the grids of its own, or why it has nothing there."""
    try:
        onsets = read()
    except NoBars as error:
        return {"why": str(error)}
    found = quantise_by_grid(onsets, GM12)
    why = None
    try:
        quantise_by_grid_or_explain(onsets, GM12)
    except NoBars as error:
        why = str(error)
    return {
        "onsets": len(onsets.beat),
        "bars": found.n_bars,
        "grid": {steps: len(bars.bars) for steps, bars in found.by_grid.items()},
        "tempo": round(onsets.bpm, 3),
        "outside kit": found.n_outside_kit,
        "why": why,
        "kit": GM12.name,
        "time signatures": ", ".join(dict.fromkeys(f"{m.numerator}/{m.denominator}" for m in onsets.time_signatures))
        or "4/4",
        "empty bars between them": found.n_empty,
        "bars on no grid": found.n_off_grid,
        "onsets on no grid": found.n_onsets_off_grid,
        "onsets that share their cell with a louder one": found.n_merged,
        "onsets in other time signatures": found.n_other_time_signature,
    }
