"""Bars of whatever holds any: a corpus, arrays, text, MIDI, or folders of songs."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path

import numpy as np

from rhythmgan import midi_reader
from rhythmgan.bars import GRIDS, words_to_bars
from rhythmgan.data import Split, load_corpus
from rhythmgan.files import read_npz
from rhythmgan.grid import NoBars
from rhythmgan.kit import GM9, KITS, Kit
from rhythmgan.performance import PLAIN, Performance, Playback, onsets_to_performance
from rhythmgan.songs import prepare
from rhythmgan.sources import suffix_of

SAMPLE_OPTIONS = "sample.json"
"""In every folder of samples: the options that made its files."""


def load_bars(
    path: str | os.PathLike[str],
    kit: Kit | None = None,
    steps: int | None = None,
    *,
    split: Split = "all",
    distinct: bool = True,
) -> tuple[np.ndarray, np.ndarray | None, Kit]:
    """Bars of whatever holds any: a corpus, an .npz with ``bars``, a text, MIDI, or a folder of samples or of songs.

    Of a folder that ``rhythmgan sample`` wrote its .npz files are read, where there are any: they are exact, and MIDI
    has no silent bars.

    Args:
        path: the file or folder.
        kit: what songs are read into; by default GM9. A file of bars has its own.
        steps: the grid that songs are read on; by default 16. A file of bars has its own.
        split: which songs of a corpus.
        distinct: only each song's distinct bars, of a corpus.

    Returns:
        The bars (n, steps, parts) bool; the song of each (n,) ints, or None where there is one or none is known;
        and their kit. What files of a folder gave no bars is logged.

    Raises:
        ValueError: no bars in it.
        OSError: it cannot be opened.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".npz", ".txt"):
        members = read_npz(path, "a file of bars") if path.suffix == ".npz" else {}
        if "bars" in members:
            bars = members["bars"]
            if bars.ndim == 4:  # loops, as `rhythmgan vary` writes them
                bars = bars.reshape(-1, *bars.shape[2:])
            found = next((kit for kit in KITS.values() if bars.ndim == 3 and kit.n_parts == bars.shape[2]), None)
            if found is None or bars.dtype != bool or not len(bars) or bars.shape[1] not in GRIDS:
                raise ValueError(
                    f"{path}: expected bars (n, steps, parts) bool of a kit and a grid, found {bars.dtype} {bars.shape}"
                )
            return bars, None, found
        if not members or "words" in members:
            corpus = load_corpus(path).split(split)
            if not len(corpus):
                raise ValueError(f"{path}: no song of it falls into the {split} split")
            corpus = corpus.distinct() if distinct else corpus
            return words_to_bars(corpus.words, corpus.kit.n_parts), corpus.song_id, corpus.kit
    if (path / SAMPLE_OPTIONS).is_file() and (archives := sorted(path.glob("seeds-*.npz"))):
        return _sampled_bars(path, archives)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        corpus, (count,) = prepare([path], kit or GM9, steps or 16)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if count.named:
        reasons = ", ".join(f"{n} {reason}" for reason, n in count.none.most_common())
        logging.getLogger(__name__).warning("%s: %d files gave no bars: %s", path, len(count.named), reasons)
    # one song is a file of bars, not songs to be kept apart
    song = corpus.song_id if len(corpus.songs) > 1 else None
    return words_to_bars(corpus.words, corpus.kit.n_parts), song, corpus.kit


def _sampled_bars(folder: Path, archives: list[Path]) -> tuple[np.ndarray, None, Kit]:
    """The bars of a folder of samples, those of each seed once."""
    parts: list[np.ndarray] = []
    seen = np.zeros(0, np.int64)
    for path in archives:
        bars, _, kit = load_bars(path)
        seeds = read_npz(path, "a file of samples").get("seed")
        if seeds is None or seeds.shape != bars.shape[:1]:
            raise ValueError(f"{path}: expected a seed for each of its {len(bars)} bars")
        parts.append(bars[~np.isin(seeds, seen)])
        seen = np.union1d(seen, seeds)
    midi = (re.fullmatch(r"seed-(\d+)\.mid", path.name) for path in folder.iterdir())
    others = sum(int(match[1]) not in seen for match in midi if match)
    if others:
        logging.getLogger(__name__).warning(
            "%s: read from its .npz files; %d MIDI files of other seeds are not read", folder, others
        )
    return np.concatenate(parts), None, kit


def load_loop(path: str | os.PathLike[str], kit: Kit, steps: int) -> tuple[Performance, Playback]:
    """The bars of one file in their order, as they are played: of MIDI from the first that sounds to the last.

    Unlike ``load_bars`` it keeps silent bars between and repeated ones.

    Args:
        path: MIDI, or what ``load_bars`` takes, but no folder.
        kit: what MIDI is read into.
        steps: the grid that MIDI is read on.

    Returns:
        The loop and how it is played back. MIDI has its own velocities, offsets and first tempo, and no swing, which is
        in the offsets. Bars that say nothing of all that have accents, on the grid, at 120 beats a minute.

    Raises:
        ValueError: no bars in it, or a folder.
        OSError: it cannot be opened.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: a loop is one file, not a folder")
    if suffix_of(str(path)) not in midi_reader.SUFFIXES:
        bars, _, kit = load_bars(path, kit, steps, distinct=False)
        return Performance.of(bars, kit), PLAIN
    try:
        return onsets_to_performance(midi_reader.read_midi(path), kit, steps)
    except NoBars as why:
        raise ValueError(f"{path}: {why}") from None
