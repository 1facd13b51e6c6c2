"""The textbook bars, and other texts of bars."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rhythmgan.bars import text_to_words
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, KITS, Kit


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

    Raises:
        ValueError: the text is broken, or has no bar.
    """
    names: list[str] = []
    bars: list[np.ndarray] = []
    try:
        text = Path(path).read_text(encoding="utf-8")
        words = re.search(r"^\s*0b([01]+)", text, re.M)
        length = len(words[1]) if words else GM9.n_parts
        kit = next((kit for kit in KITS.values() if kit.n_parts == length), GM9)
        for name, part in _named_texts(text):
            found = text_to_words(part, kit.n_parts)
            bars += found
            names += [name] if len(found) == 1 else [f"{name} {i}".strip() for i in range(1, len(found) + 1)]
    except ValueError as error:
        raise ValueError(f"{path}: not a text of bars: {error}") from None
    if not bars:
        raise ValueError(f"{path}: not a text of bars: it has none")
    return bars, names, kit


def _named_texts(text: str) -> Iterator[tuple[str, str]]:
    """(comment, what follows it up to the next one), each with blank lines ahead so that its line numbers hold."""
    name, begin = "", 0
    lines = text.splitlines()
    for number, line in enumerate([*lines, "#"]):
        if line.lstrip().startswith("#"):
            yield name, "\n" * begin + "\n".join(lines[begin:number])
            name, begin = line.lstrip()[1:].strip(), number + 1
