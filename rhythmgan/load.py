"""Bars of whatever holds any: a corpus, arrays, text, MIDI, or folders of songs."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path

import numpy as np

from rhythmgan import midi_reader
from rhythmgan.bars import check_steps, fold_bars, kit_of, words_to_bars
from rhythmgan.calls import check_settled
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Split
from rhythmgan.grid import NoBars
from rhythmgan.inputs import open_input
from rhythmgan.kit import GM12, Kit, kit_named
from rhythmgan.npz import name_of, npz_names, read_npz
from rhythmgan.performance import MAX_LOOP, PLAIN, Performance, Playback, onsets_to_performance
from rhythmgan.songs.contents import suffix_of
from rhythmgan.songs.preparation import read_songs

MAX_LOOP_BYTES = 128 << 20
"""Bytes of the file of a loop that is not MIDI: ``MAX_LOOP`` bars with how they are played take less."""

SAMPLE_OPTIONS = "sample.json"
"""In every folder of samples: the options that made its files."""

_WRITTEN = {
    "path.npz": r"(path|frame-\d+)\.mid",
    "variations.npz": r"(loop|variation-\d+)\.mid",
    "filled.npz": r"(loop|filled-\d+)\.mid",
    "combined.npz": r"combined-\d+\.mid",
    "steered.npz": r"(before|original|(before|after|steered)-\d+)\.mid",
}
"""The .npz files of commands that write loops: name → the MIDI files beside it."""


def is_corpus(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a corpus or a text of bars, by its ending and the names of its members: it may be damaged."""
    path = Path(path)
    if path.suffix == ".npz" and path.is_file():
        return not {"bars", "info.json"} & set(npz_names(path))
    return path.suffix == ".txt" and path.is_file()


def load_bars(
    path: str | os.PathLike[str],
    kit: Kit | None = None,
    steps: int | None = None,
    *,
    split: Split = "all",
    distinct: bool = True,
    max_bars: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None, Kit]:
    """Bars of whatever holds any: a corpus, an .npz with ``bars``, a text, MIDI, or a folder of samples or of songs.

    Of a folder that ``rhythmgan sample``, ``interpolate``, ``vary``, ``fill``, ``combine`` or ``rl-tuner steer`` wrote
    its .npz files are read, where there are any: they are exact, and MIDI has no silent bars. Those of ``steer`` hold
    the bars that were found, without the loop that it began with.

    Args:
        path: the file or folder.
        kit: what the bars are folded into; by default GM12 of songs, and the kit of everything else.
        steps: the grid that songs are quantised to, by default 16, and the grid of a corpus, by default that of most
            bars. An .npz of bars or a text has one of its own, which this has to be.
        split: which songs of a corpus.
        distinct: only each song's distinct bars, of a corpus.
        max_bars: more are refused before they are unpacked; by default as many as there are.

    Returns:
        The bars (n, steps, parts) bool; the song of each (n,) ints, or None where there is one or none is known;
        and their kit. What files of a folder gave no bars is logged.

    Raises:
        ValueError: no bars in it.
        OSError: it cannot be opened.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".npz", ".txt"):
        names = npz_names(path) if path.suffix == ".npz" else []
        if "bars" in names:
            found = _bars_of(path, read_npz(path, "a file of bars"))
            _check_number(path, len(found[0]), max_bars)
            return _asked_for(path, *found, kit, steps)
        if is_corpus(path):
            corpus = load_corpus(path, steps, kit).split(split)
            if not len(corpus):
                raise ValueError(f"{path}: no song of it falls into the {split} split")
            corpus = corpus.distinct() if distinct else corpus
            _check_number(path, len(corpus), max_bars)
            return words_to_bars(corpus.words, corpus.kit.n_parts), corpus.song_id, corpus.kit
    check_settled(path)
    if archives := _own_archives(path):
        return _asked_for(path, *_generated_bars(path, archives), kit, steps)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        corpus, (count,) = read_songs([path], kit or GM12, steps or 16)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if count.named:
        reasons = ", ".join(f"{n} {reason}" for reason, n in count.none.most_common())
        logging.getLogger(__name__).warning("%s: %d files gave no bars: %s", path, len(count.named), reasons)
    # one song is a file of bars, not songs to be kept apart
    song = corpus.song_id if len(corpus.songs) > 1 else None
    _check_number(path, len(corpus), max_bars)
    return words_to_bars(corpus.words, corpus.kit.n_parts), song, corpus.kit


def _check_number(path: Path, n_bars: int, most: int | None) -> None:
    """Raise a ValueError where there are more bars than the most that are asked for."""
    if most is not None and n_bars > most:
        raise ValueError(f"{path}: too long: {n_bars:,} bars, {most:,} at most")


def _asked_for(
    path: Path, bars: np.ndarray, song: None, own: Kit, kit: Kit | None, steps: int | None
) -> tuple[np.ndarray, None, Kit]:
    """Bars folded into the kit that is asked for.

    Raises:
        ValueError: they cannot be, or are on another grid.
    """
    if steps is not None and bars.shape[1] != steps:
        raise ValueError(f"{path}: its bars have {bars.shape[1]} steps, not {steps}")
    try:
        return (bars, song, own) if kit is None else (fold_bars(bars, own, kit), song, kit)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _bars_of(path: Path, members: dict[str, np.ndarray]) -> tuple[np.ndarray, None, Kit]:
    """The bars of an .npz file and their kit: the one that it names, or else the one of as many parts."""
    bars = members["bars"]
    try:
        named = kit_named(name_of(members["kit"], "its kit")) if "kit" in members else None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        kit = kit_of(bars, named)
        # of four axes they are loops, as `rhythmgan vary` writes them
        if bars.ndim not in (3, 4) or bars.dtype != bool or not bars.size or bars.shape[-1] != kit.n_parts:
            raise ValueError
        check_steps(bars.shape[-2])
    except ValueError:
        raise ValueError(
            f"{path}: expected bars (n, steps, parts) bool of a kit and a grid, found {bars.dtype} {bars.shape}"
        ) from None
    return bars.reshape(-1, *bars.shape[-2:]), None, kit


def _own_archives(folder: Path) -> list[Path]:
    """The .npz files with bars that commands wrote into a folder."""
    if not folder.is_dir():
        return []
    sampled = sorted(folder.glob("seeds-*.npz")) if (folder / SAMPLE_OPTIONS).is_file() else []
    return sampled + [path for path in map(folder.joinpath, _WRITTEN) if path.is_file() and _has_bars(path)]


def _has_bars(path: Path) -> bool:
    """Whether an .npz file is one of bars; a song of LPD may be called as ours are."""
    return "bars" in npz_names(path)


def _generated_bars(folder: Path, archives: list[Path]) -> tuple[np.ndarray, None, Kit]:
    """The bars of a folder that commands wrote, those of each seed once.

    Raises:
        ValueError: a damaged file, or bars of several kits or grids.
    """
    parts: list[np.ndarray] = []
    known: set[int] = set()
    for path in archives:
        bars, _, kit = load_bars(path)
        if path.name not in _WRITTEN:
            own = read_npz(path, "a file of samples").get("seed")
            if own is None or own.shape != bars.shape[:1] or own.dtype.kind not in "iu":
                raise ValueError(f"{path}: expected a seed for each of its {len(bars)} bars")
            is_new = [seed not in known for seed in own.tolist()]
            bars = bars[is_new]
            known.update(own.tolist())
        if parts and bars.shape[1:] != parts[0].shape[1:]:
            raise ValueError(f"{folder}: its .npz files have bars of several kits or grids: name one of them")
        parts.append(bars)
    patterns = [_WRITTEN[path.name] for path in archives if path.name in _WRITTEN]

    def is_read(name: str) -> bool:
        seed = re.fullmatch(r"seed-(\d+)\.mid", name)
        return int(seed[1]) in known if seed else any(re.fullmatch(pattern, name) for pattern in patterns)

    others = sum(path.suffix == ".mid" and not is_read(path.name) for path in folder.iterdir())
    if others:
        logging.getLogger(__name__).warning(
            "%s: read from its .npz files; %d MIDI files of other bars are not read", folder, others
        )
    return np.concatenate(parts), None, kit


def load_loop(
    path: str | os.PathLike[str], kit: Kit = GM12, steps: int = 16, *, max_bars: int = MAX_LOOP
) -> tuple[Performance, Playback]:
    """The bars of one file in their order, as they are played: of MIDI from the first that sounds to the last.

    Unlike ``load_bars`` it keeps silent bars between and repeated ones. It costs what the file's own reader says
    (``parse_midi``, ``read_text``, ``read_npz``, ``load_corpus``) and 16 bytes a cell of the loop.

    Args:
        path: MIDI, or what ``load_bars`` takes, but no folder.
        kit: what MIDI is read into.
        steps: the grid that MIDI is read on.
        max_bars: that it may have, the silent ones between included; more are refused before there is memory for any.

    Returns:
        The loop and how it is played back. MIDI has its own velocities, offsets and first tempo, and no swing, which is
        in the offsets. Bars that say nothing of all that have accents, on the grid, at 120 beats a minute.

    Raises:
        ValueError: no bars in it, more than ``max_bars``, or a folder.
        OSError: it cannot be opened, is no regular file, or has more than ``MAX_LOOP_BYTES``.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: a loop is one file, not a folder")
    if suffix_of(str(path)) not in midi_reader.SUFFIXES:
        open_input(path, MAX_LOOP_BYTES).close()
        bars, _, kit = load_bars(path, kit, steps, distinct=False, max_bars=max_bars)
        return Performance.of(bars, kit), PLAIN
    try:
        return onsets_to_performance(midi_reader.read_midi(path), kit, steps, max_bars=max_bars)
    except NoBars as why:
        raise ValueError(f"{path}: {why}") from None
