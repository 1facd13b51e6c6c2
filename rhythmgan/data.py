"""Bars of songs as words: their file, the split by song, and the textbook bars."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rhythmgan.bars import check_steps, text_to_words
from rhythmgan.files import read_npz, write_whole
from rhythmgan.kit import GM9, KITS, Kit, kit_named

FORMAT = 2
"""Version of the corpus."""

Split = Literal["train", "valid", "test", "all"]


@dataclass(frozen=True)
class Corpus:
    """Bars of songs, as words.

    Attributes:
        words: (n, steps) uint16, in the order of the songs, no bar empty.
        song_id: (n,) int32, the song of each bar, an index into ``songs``.
        file_id: (n,) int32, the file of each bar, an index into ``files``.
        bar_index: (n,) int32, each bar's index in its file: neighbours differ by one.
        songs: names of the songs. Several files may be versions of one song.
        files: the files that the bars came from, each as the source's name and the path below it.
        kit: what the parts are.
    """

    words: np.ndarray
    song_id: np.ndarray
    file_id: np.ndarray
    bar_index: np.ndarray
    songs: tuple[str, ...]
    files: tuple[str, ...]
    kit: Kit

    @property
    def steps(self) -> int:
        return int(self.words.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def split(self, split: Split) -> Corpus:
        """The bars of one part of the songs; see ``split_of``."""
        if split == "all":
            return self
        chosen = np.array([split_of(name) == split for name in self.songs], bool)
        return self.only(chosen[self.song_id])

    def distinct(self) -> Corpus:
        """Each song's distinct bars, the first of each: a chorus that comes forty times counts once."""
        song = self.song_id.astype(np.int32)[:, None].view(np.uint16)
        return self.only(first_rows(np.concatenate([song, self.words.astype(np.uint16)], 1)))

    def pairs(self) -> tuple[np.ndarray, Corpus]:
        """Each song's distinct pairs of neighbouring bars, the first of each.

        Returns:
            The words of the bars before, (n, steps), and the bars that follow them.
        """
        follows = np.zeros(len(self), bool)
        follows[1:] = (self.file_id[1:] == self.file_id[:-1]) & (self.bar_index[1:] == self.bar_index[:-1] + 1)
        rows = np.flatnonzero(follows)
        song = self.song_id[rows].astype(np.int32)[:, None].view(np.uint16)
        words = self.words.astype(np.uint16)
        rows = rows[first_rows(np.concatenate([song, words[rows - 1], words[rows]], 1))]
        return self.words[rows - 1], self.only(rows)

    def only(self, rows: np.ndarray) -> Corpus:
        """The bars of these rows (indices or a mask); the names stay."""
        return Corpus(
            self.words[rows],
            self.song_id[rows],
            self.file_id[rows],
            self.bar_index[rows],
            self.songs,
            self.files,
            self.kit,
        )


def first_rows(rows: np.ndarray) -> np.ndarray:
    """The first of each distinct row, in order; compared as bytes, six times as fast as by column."""
    rows = np.ascontiguousarray(rows)
    whole = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    return np.sort(np.unique(whole, return_index=True)[1])


def split_of(song: str) -> Split:
    """The part that a song belongs to: 70 % train, 10 % valid, 20 % test, by a hash of its name.

    A song stays where it is whatever else is prepared with it.
    """
    place = int.from_bytes(hashlib.sha256(os.fsencode(song)).digest()[:4], "big") / 2**32
    return "train" if place < 0.7 else "valid" if place < 0.8 else "test"


def save_corpus(path: str | os.PathLike[str], corpus: Corpus) -> None:
    """Write a corpus (.npz), whole or not at all.

    Raises:
        ValueError: the words could not be read back: no bars, or columns that do not fit.
        OSError: the file cannot be written.
    """
    _check(corpus)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        format=np.int64(FORMAT),
        words=corpus.words.astype(np.uint16),
        song_id=corpus.song_id.astype(np.int32),
        file_id=corpus.file_id.astype(np.int32),
        bar_index=corpus.bar_index.astype(np.int32),
        songs=np.array(corpus.songs, np.str_),
        files=np.array(corpus.files, np.str_),
        kit=np.array(corpus.kit.name),
        steps=np.int64(corpus.steps),
    )
    write_whole(path, buffer.getvalue())


def digest(*arrays: np.ndarray) -> str:
    """A fingerprint of words: a run on one corpus must not be resumed on another."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(array.astype("<u2").tobytes())
    return found.hexdigest()


def load_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Read a corpus, or a text of bars in the text view (``.txt``).

    Raises:
        ValueError: no corpus, a damaged one, one of another version, or one without bars.
        OSError: it cannot be opened.
    """
    if Path(path).suffix == ".txt":
        return load_patterns(path)
    members = read_npz(path, "a corpus")
    try:
        if int(members["format"]) != FORMAT:
            raise ValueError(
                f"it is of version {int(members['format'])}, this release reads version {FORMAT}; prepare it again"
            )
        corpus = Corpus(
            words=members["words"],
            song_id=members["song_id"],
            file_id=members["file_id"],
            bar_index=members["bar_index"],
            songs=_names(members["songs"]),
            files=_names(members["files"]),
            kit=kit_named(str(members["kit"])),
        )
        _check(corpus)
    except KeyError as error:
        raise ValueError(f"{path}: not a corpus as `rhythmgan prepare` writes it: no {error.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not a corpus: {error}") from None
    return corpus


def _names(column: np.ndarray) -> tuple[str, ...]:
    if column.ndim != 1 or column.dtype.kind != "U":
        raise ValueError(f"names must be a list of text, not {column.shape} {column.dtype}")
    return tuple(column.tolist())


def _check(corpus: Corpus) -> None:
    n = len(corpus.words)
    if n == 0:
        raise ValueError("it has no bars")
    if corpus.words.ndim != 2 or corpus.words.dtype.kind != "u":
        raise ValueError(f"words must be (n, steps) unsigned, not {corpus.words.shape} {corpus.words.dtype}")
    check_steps(corpus.steps)
    if corpus.words.max() >= 1 << corpus.kit.n_parts:
        raise ValueError(f"a word is {corpus.words.max()}; kit {corpus.kit.name} has {1 << corpus.kit.n_parts}")
    for name, column, size in (
        ("song_id", corpus.song_id, len(corpus.songs)),
        ("file_id", corpus.file_id, len(corpus.files)),
        ("bar_index", corpus.bar_index, 1 << 31),
    ):
        if column.shape != (n,) or column.dtype.kind not in "iu" or column.min() < 0 or column.max() >= size:
            raise ValueError(f"{name} does not fit {n} bars and {size} names")


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
    return Corpus(
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
