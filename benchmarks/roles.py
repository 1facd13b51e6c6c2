"""How well the rule for roles finds Groove's labelled fills, without seeing the labels; and how fast it is.

Run: python benchmarks/roles.py GROOVE [--corpus CORPUS]
GROOVE is the folder of the Groove MIDI Dataset, with its info.csv. Of a corpus it says where in a phrase its fills are.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.corpus_file import corpus_grids, load_corpus
from rhythmgan.data import split_of
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9
from rhythmgan.midi_reader import read_midi
from rhythmgan.roles import FILL, ROLES, song_roles

_ONSETS_OF_A_FILL = 4  # with fewer a bar is what the fill lands on
_EVERY = 8
_SHARES = ((0, 0.4), (0.5, 0.4), (0.75, 0.2))  # where in the bar the fill begins, and how often


@dataclass(frozen=True)
class Song:
    """A file of Groove that has 4/4 bars, on sixteenths."""

    name: str
    drummer: str
    style: str
    label: str
    bars: np.ndarray
    index: np.ndarray


def read_songs(folder: Path) -> list[Song]:
    """Every file that info.csv lists, is there, and has 4/4 bars."""
    songs = []
    with (folder / "info.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if (folder / row["midi_filename"]).exists():
                found = quantise(read_midi(folder / row["midi_filename"]), GM9)
                if len(found.bars):
                    style = row["style"].partition("/")[0]
                    songs.append(Song(row["id"], row["drummer"], style, row["beat_type"], found.bars, found.index))
    return songs


def roles(bars: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(n,) the role of each bar of one file, without labels."""
    packed = np.packbits(bars.reshape(len(bars), -1), axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return song_roles(list(bars[first]), which.reshape(-1), np.zeros(len(bars), int), index, GM9).role


def as_they_are(songs: Sequence[Song]) -> tuple[np.ndarray, np.ndarray]:
    """Roles, and whether the bar's file is labelled as a fill, of all bars."""
    found = [roles(song.bars, song.index) for song in songs]
    return np.concatenate(found), np.repeat(
        [song.label == "fill" for song in songs], [len(song.bars) for song in songs]
    )


def by_themselves(songs: Sequence[Song]) -> tuple[np.ndarray, np.ndarray]:
    """The same, each bar a file of its own: nothing tells but what it plays. Of fills only bars with four onsets."""
    kept = [(bar, song.label == "fill") for song in songs for bar in song.bars]
    kept = [(bar, fill) for bar, fill in kept if not fill or bar.sum() >= _ONSETS_OF_A_FILL]
    bars = np.stack([bar for bar, _ in kept])
    n = np.arange(len(bars))
    return song_roles(list(bars), n, n, np.zeros(len(n), int), GM9).role, np.array([fill for _, fill in kept])


def put_into_beats(songs: Sequence[Song], pool: Sequence[Song]) -> tuple[np.ndarray, np.ndarray]:
    """Fills of the pool take the place of every eighth bar of a beat: whole, or from its middle or last beat on.

    They are of the beat's style, if the pool has five bars of it. What the beat has of its own fills counts as none.
    """
    random = np.random.default_rng(0)
    fills = [
        (song.style, bar)
        for song in pool
        if song.label == "fill"
        for bar in song.bars
        if bar.sum() >= _ONSETS_OF_A_FILL
    ]
    found, put = [], []
    for song in songs:
        if song.label != "beat" or len(song.bars) < _EVERY:
            continue
        of_style = [bar for style, bar in fills if style == song.style]
        choice = of_style if len(of_style) >= 5 else [bar for _, bar in fills]
        bars, is_fill = song.bars.copy(), np.zeros(len(song.bars), bool)
        for place in range(int(random.integers(3, _EVERY)), len(bars), _EVERY):
            begin = int(random.choice([share for share, _ in _SHARES], p=[chance for _, chance in _SHARES]) * 16)
            fill = choice[random.integers(len(choice))]
            if fill[begin:].any():
                bars[place, begin:] = fill[begin:]
                is_fill[place] = True
        found.append(roles(bars, song.index))
        put.append(is_fill)
    return np.concatenate(found), np.concatenate(put)


def row(name: str, role: np.ndarray, fill: np.ndarray) -> str:
    """Shares of the roles among fills and among the other bars, and the balanced accuracy of "fill"."""
    shares = [(role[kind] == number).mean() for kind in (fill, ~fill) for number in range(len(ROLES))]
    balanced = ((role[fill] == FILL).mean() + (role[~fill] != FILL).mean()) / 2
    return " | ".join(
        [f"| {name} | {fill.sum():,} | {(~fill).sum():,}", *(f"{x:.2f}" for x in shares), f"{balanced:.2f} |"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groove", type=Path, help="the folder of the Groove MIDI Dataset")
    parser.add_argument("--corpus", help="a corpus that `rhythmgan prepare` wrote, to count where its fills are")
    options = parser.parse_args()
    songs = read_songs(options.groove)
    groups = {part: [song for song in songs if split_of(song.name) == part] for part in ("train", "valid", "test")}
    others = groups["valid"] + groups["test"]
    by_drummer = {
        f"not train, {name}": [song for song in others if (song.drummer in drummers) == inside]
        for name, drummers, inside in (
            ("drummer 1", ("drummer1",), True),
            ("drummer 7", ("drummer7",), True),
            ("all others", ("drummer1", "drummer7"), False),
        )
    }
    head = " | ".join([f"{kind}: {role}" for kind in ("of fills", "of others") for role in ROLES])
    ways: dict[str, Callable[[Sequence[Song]], tuple[np.ndarray, np.ndarray]]] = {
        "Files as they are": as_they_are,
        "Each bar by itself": by_themselves,
        "Fills put into beats": lambda chosen: put_into_beats(chosen, chosen if chosen is groups["train"] else others),
    }
    for title, way in ways.items():
        print(f"\n{title}\n\n| songs | fills | others | {head} | balanced accuracy |\n|---{'|---:' * 9}|")
        for name, chosen in {**groups, **by_drummer}.items():
            print(row(name, *way(chosen)))
    if options.corpus:
        _print_places(options.corpus)
    _print_speed()


def _print_places(path: str) -> None:
    """The roles of all bars as played, and how many of the first, second, third and fourth bars of four are fills.

    Phrases are known of files with 32 bars of which four or more begin with a crash, six in ten of these a multiple of
    four bars apart: such a bar is the first of four.
    """
    corpora = [load_corpus(path, steps) for steps in corpus_grids(path)]
    song, file, index, role = (
        np.concatenate([getattr(corpus, column) for corpus in corpora])
        for column in ("song_id", "file_id", "bar_index", "role")
    )
    crash = np.concatenate(
        [corpus.words[:, 0] >> (corpus.kit.n_parts - 1 - corpus.kit.names.index("crash")) & 1 for corpus in corpora]
    )
    weight = 1 / np.bincount(song)[song]
    shares = np.bincount(role, weight, len(ROLES)) / weight.sum()
    print("\nroles, each song the same:", ", ".join(f"{name} {x:.3f}" for name, x in zip(ROLES, shares, strict=True)))
    bars, fills = np.zeros(4, int), np.zeros(4, int)
    order = np.argsort(file, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(file[order])) + 1):
        crashes = np.bincount(index[rows][crash[rows] > 0] % 4, minlength=4)
        if len(rows) >= 32 and crashes.sum() >= 4 and crashes.max() >= 0.6 * crashes.sum():
            place = (index[rows] - crashes.argmax()) % 4
            bars += np.bincount(place, minlength=4)
            fills += np.bincount(place, role[rows] == FILL, 4).astype(int)
    print("share of the first to fourth bars that are fills:", (fills / bars).round(3))
    print("share of the fills that are first to fourth bars:", (fills / fills.sum()).round(3))


def _print_speed() -> None:
    """Milliseconds for a sequenced song and for a performance; the best of seven runs: others use the machine too."""
    random = np.random.default_rng(0)
    print("\n| bars | distinct | milliseconds |\n|---:|---:|---:|")
    for n, m in ((500, 30), (300, 300)):
        bars = list(random.random((m, 16, GM9.n_parts)) < 0.12)
        which = np.concatenate([np.arange(m), random.integers(0, m, n - m)])
        times = []
        for _ in range(7):
            begin = time.perf_counter()
            for _ in range(10):
                song_roles(bars, which, np.zeros(n, int), np.arange(n), GM9)
            times.append((time.perf_counter() - begin) / 10)
        print(f"| {n} | {m} | {min(times) * 1000:.2f} |")


if __name__ == "__main__":
    main()
