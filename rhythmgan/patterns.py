"""The textbook bars, and other texts of bars."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rhythmgan.bars import lines_of, text_to_words
from rhythmgan.data import Corpus
from rhythmgan.inputs import read_input
from rhythmgan.kit import GM9, KITS, Kit
from rhythmgan.songs.members import without_controls

MAX_TEXT = 64 << 20
"""Bytes of a text that is read: 300,000 bars of sixteen steps."""

MAX_NAME = 200
"""Letters of the name of a bar."""


def patterns_path() -> Path:
    """The textbook bars that ship with the package: the offline default for training."""
    inside = Path(__file__).parent / "patterns.txt"
    return inside if inside.exists() else Path(__file__).parent.parent / "data" / "patterns.txt"


def load_patterns(path: str | os.PathLike[str] | None = None, steps: int | None = None) -> Corpus:
    """The bars of a text on one grid, each bar a song of its own, named by the comment above it.

    Args:
        path: a text in the text view, of the kit whose words are as long; the textbook bars by default.
        steps: only bars of this grid are taken; by default of the grid that most bars have.

    Raises:
        ValueError: the text is broken, or has no bar of this grid.
    """
    path = patterns_path() if path is None else Path(path)
    bars, names, kit = read_text(path)
    lengths = Counter(len(bar) for bar in bars)
    steps = steps or lengths.most_common(1)[0][0]
    rows = [i for i, bar in enumerate(bars) if len(bar) == steps]
    if not rows:
        raise ValueError(f"{path}: no bar of {steps} steps")
    number = np.arange(len(rows), dtype=np.int32)
    return Corpus.of(
        words=np.stack([bars[i] for i in rows]),
        song_id=number,
        file_id=np.zeros(len(rows), np.int32),
        bar_index=number,
        songs=tuple(names[i] for i in rows),
        files=(path.name,),
        kit=kit,
    )


def read_text(path: str | os.PathLike[str]) -> tuple[list[np.ndarray], list[str], Kit]:
    """Every bar of a text in the text view, with the comment above it as its name, and their kit.

    Control characters of a name are spaces, and of a long one the first ``MAX_NAME`` letters are kept. Work is linear
    in the bytes of the file, and memory is at most 16 bytes for each.

    Raises:
        ValueError: the text is broken, no UTF-8, or has no bar; it names the file, and the line.
        OSError: the file cannot be opened, is no regular one, or is larger than ``MAX_TEXT``.
    """
    data = read_input(path, MAX_TEXT)
    names: list[str] = []
    bars: list[np.ndarray] = []
    try:
        text = _decoded(data)
        words = re.search(r"^[^\S\n]*0b([01]+)", text, re.M)
        length = len(words[1]) if words else GM9.n_parts
        kit = next((kit for kit in KITS.values() if kit.n_parts == length), GM9)
        for name, part, line in _named_texts(text):
            found = text_to_words(part, kit.n_parts, line)
            bars += found
            names += [name] if len(found) == 1 else [f"{name} {i}".strip() for i in range(1, len(found) + 1)]
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: not a text of bars: {error}") from None
    if not bars:
        raise ValueError(f"{os.fspath(path)}: not a text of bars: it has none")
    return bars, names, kit


def _decoded(data: bytes) -> str:
    """The text of UTF-8, with or without a mark of the order of bytes.

    Raises:
        ValueError: it is none; the message names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte 0x{data[error.start]:02x} is no UTF-8") from None


def _named_texts(text: str) -> Iterator[tuple[str, str, int]]:
    """(comment, what follows it up to the next one, the line in which that begins)."""
    name, begin, first_line = "", 0, 1
    for number, (place, line) in enumerate(lines_of(text), 1):
        if line.lstrip().startswith("#"):
            yield name, text[begin:place], first_line
            name, begin, first_line = _name(line), place + len(line), number
    yield name, text[begin:], first_line


def _name(comment: str) -> str:
    return without_controls(comment.lstrip()[1:].strip()[:MAX_NAME])
