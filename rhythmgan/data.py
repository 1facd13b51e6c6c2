"""Bars of songs and how they were played: the corpus in memory, and the split by song."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from rhythmgan.bars import bars_to_words, check_steps, fold_bars, words_to_bars
from rhythmgan.kit import Kit
from rhythmgan.performance import Performance
from rhythmgan.roles import ROLES

UNKNOWN_STYLE = "unknown"

OFFSET_PARTS = 256
"""Parts of a step that an offset is kept in: a byte from -128 to 127."""

ONSET_BLOCK = 64
"""Bars of which it is kept where their onsets begin; of one among them it is counted."""

Split = Literal["train", "valid", "test", "all"]


@dataclass(frozen=True, eq=False)
class Playing:
    """How the bars of a corpus are played: two bytes for each onset.

    Attributes:
        kit: the kit that the songs were read into.
        words: (m, steps) uint16, the bars of this kit.
        bar_id: (n,) ints, the row of ``words`` that each bar is.
        onset_start: (blocks + 1,) ints, where the onsets of each ``ONSET_BLOCK`` bars begin in the columns below. They
            are in the order of bars, in a bar of steps, in a step of the kit's parts.
        velocity: (onsets,) uint8, 1-127.
        offset: (onsets,) int8, how late, in 256ths of a step.
        source: the file that it was read from, for errors.
    """

    kit: Kit
    words: np.ndarray
    bar_id: np.ndarray
    onset_start: np.ndarray
    velocity: np.ndarray
    offset: np.ndarray
    source: str = "the corpus"

    def performance(self, rows: np.ndarray) -> Performance:
        """The bars of these rows as one loop.

        Raises:
            ValueError: bars have another number of onsets than are kept of them; it names ``source``.
        """
        bars = words_to_bars(np.asarray(self.words[self.bar_id[rows]]), self.kit.n_parts)
        counts = bars.sum((1, 2))
        place = np.arange(counts.sum()) + np.repeat(self._starts(rows) - (np.cumsum(counts) - counts), counts)
        velocities, offsets = np.zeros(bars.shape, np.uint8), np.zeros(bars.shape, np.float32)
        velocities[bars] = self.velocity[place]
        offsets[bars] = self.offset[place] / np.float32(OFFSET_PARTS)
        return Performance(bars, velocities, offsets, self.kit)

    def _starts(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) int64, where the onsets of these rows begin."""
        blocks, number = np.unique(rows // ONSET_BLOCK, return_inverse=True)
        near = blocks[:, None] * ONSET_BLOCK + np.arange(ONSET_BLOCK)
        inside = near < len(self.bar_id)
        bars = words_to_bars(
            self.words[self.bar_id[np.where(inside, near, 0)]].reshape(-1, self.words.shape[1]), self.kit.n_parts
        )
        ends = np.cumsum(np.where(inside, bars.sum((1, 2)).reshape(near.shape), 0), 1)
        first = self.onset_start[blocks].astype(np.int64)
        if (first + ends[:, -1] != self.onset_start[blocks + 1]).any():
            raise ValueError(f"{self.source} is damaged: its onsets do not fit its bars")
        within = np.concatenate([np.zeros((len(blocks), 1), np.int64), ends[:, :-1]], 1)
        return first[number] + within[number, rows % ONSET_BLOCK]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Bars that songs play, all on one grid.

    Bars are in the order of songs, files and time. What a song plays again is kept once: ``bar_id`` tells it.

    Attributes:
        distinct_words: (m, steps) uint16, the distinct bars of each song, none empty.
        distinct_song: (m,) int32, the song of each of them, an index into ``songs``.
        distinct_plays: (m,) int32, how often its song plays it, in all of its files.
        bar_id: (n,) int32, the distinct bar that each bar is.
        file_id: (n,) int32, the file of each bar, an index into ``files``.
        bar_index: (n,) ints below 65536, each bar's index in its file: neighbours differ by one.
        role: (n,) uint8, an index into ``ROLES``.
        before_change, before_crash: (n,) bool, whether the groove changes behind a bar, and whether a crash follows on
            the next one; see ``roles.song_roles``.
        songs: names of the songs. Several files may be versions of one song.
        files: the files that the bars came from, each as the source's name and the path below it.
        styles: names of styles, the first "unknown".
        file_style: (files,) ints, the style of each file, an index into ``styles``.
        file_bpm: (files,) float32, each file's first tempo in quarter notes a minute.
        kit: what the parts are.
        playing: how the bars are played; None where nobody knows, as of bars in a text.
        rows: (n,) ints, each bar's row in ``playing``; None where there is none.
    """

    distinct_words: np.ndarray
    distinct_song: np.ndarray
    distinct_plays: np.ndarray
    bar_id: np.ndarray
    file_id: np.ndarray
    bar_index: np.ndarray
    role: np.ndarray
    before_change: np.ndarray
    before_crash: np.ndarray
    songs: tuple[str, ...]
    files: tuple[str, ...]
    styles: tuple[str, ...]
    file_style: np.ndarray
    file_bpm: np.ndarray
    kit: Kit
    playing: Playing | None = None
    rows: np.ndarray | None = field(default=None, repr=False)

    @staticmethod
    def of(
        words: np.ndarray,
        song_id: np.ndarray,
        file_id: np.ndarray,
        bar_index: np.ndarray,
        songs: tuple[str, ...],
        files: tuple[str, ...],
        kit: Kit,
        role: np.ndarray | None = None,
    ) -> Corpus:
        """The corpus of bars of which nobody knows how they are played.

        Args:
            words: (n, steps) unsigned ints, one row a bar.
            song_id, file_id, bar_index: (n,) ints, as in the class.
            songs, files: their names.
            kit: what the parts are.
            role: (n,) ints, indices into ``ROLES``; all grooves by default.

        Raises:
            ValueError: columns that do not fit together.
        """
        words = np.ascontiguousarray(words)
        first, bar_id, plays = distinct_rows(song_id, words)
        corpus = Corpus(
            distinct_words=words[first].astype(np.uint16),
            distinct_song=np.asarray(song_id)[first].astype(np.int32),
            distinct_plays=plays.astype(np.int32),
            bar_id=bar_id.astype(np.int32),
            file_id=np.asarray(file_id, np.int32),
            bar_index=np.asarray(bar_index),
            role=np.zeros(len(words), np.uint8) if role is None else np.asarray(role, np.uint8),
            before_change=np.zeros(len(words), bool),
            before_crash=np.zeros(len(words), bool),
            songs=tuple(songs),
            files=tuple(files),
            styles=(UNKNOWN_STYLE,),
            file_style=np.zeros(len(files), np.int16),
            file_bpm=np.full(len(files), 120, np.float32),
            kit=kit,
        )
        check_corpus(corpus)
        return corpus

    @property
    def steps(self) -> int:
        return int(self.distinct_words.shape[1])

    @property
    def words(self) -> np.ndarray:
        """(n, steps) uint16, each bar's words, in the order of the songs; made anew at each use."""
        return self.distinct_words[self.bar_id]

    @property
    def song_id(self) -> np.ndarray:
        """(n,) int32, the song of each bar, an index into ``songs``."""
        return self.distinct_song[self.bar_id]

    @property
    def plays(self) -> np.ndarray:
        """(n,) int32, how often its song plays each bar, in all of the song's files."""
        return self.distinct_plays[self.bar_id]

    @property
    def style_id(self) -> np.ndarray:
        """(n,) ints, the style of each bar's file, an index into ``styles``."""
        return self.file_style[self.file_id]

    def __len__(self) -> int:
        return len(self.bar_id)

    def split(self, split: Split) -> Corpus:
        """The bars of one part of the songs; see ``split_of``."""
        if split == "all":
            return self
        chosen = np.array([split_of(name) == split for name in self.songs], bool)
        return self.only(chosen[self.song_id])

    def share(self, fraction: float) -> Corpus:
        """The bars of about this fraction of the songs, chosen by a hash of their names that ``split`` does not use.

        A smaller fraction's songs are among a larger one's, and a song stays in or out whatever else is prepared with
        it.

        Args:
            fraction: over 0, to 1.

        Raises:
            ValueError: a fraction out of range.
        """
        if not 0 < fraction <= 1:
            raise ValueError(f"a share of the songs lies over 0, to 1; not {fraction}")
        chosen = np.array([_place_of(name, 1) < fraction for name in self.songs], bool)
        return self.only(chosen[self.song_id])

    def with_role(self, role: str) -> Corpus:
        """The bars of one role, one of ``ROLES``; all of them for "any".

        Raises:
            ValueError: no such role.
        """
        if role == "any":
            return self
        if role not in ROLES:
            raise ValueError(f"a role is one of {', '.join(ROLES)}, any; not {role!r}")
        return self.only(self.role == ROLES.index(role))

    def from_files(self, beginning: str) -> Corpus:
        """The bars of files whose names begin so: with the name of a source, as "lakh/", and as much as one likes.

        Raises:
            ValueError: no file of the corpus does.
        """
        chosen = np.array([name.startswith(beginning) for name in self.files], bool)
        if not chosen.any():
            raise ValueError(f"no file of this corpus begins with {beginning!r}; the first is {self.files[0]!r}")
        return self.only(chosen[self.file_id])

    def with_style(self, style: str) -> Corpus:
        """The bars of one style.

        Raises:
            ValueError: no file of the corpus has it.
        """
        if style not in self.styles:
            raise ValueError(f"no style of this corpus is called {style!r}; there are {', '.join(self.styles)}")
        return self.only(self.style_id == self.styles.index(style))

    def distinct(self) -> Corpus:
        """Each song's distinct bars, the first of each: a chorus that comes forty times counts once."""
        return self.only(np.sort(np.unique(self.bar_id, return_index=True)[1]))

    def weights(self) -> np.ndarray:
        """(n,) float64, the chance of each bar as played: every song the same, in it every bar as often as it comes.

        They sum to 1.
        """
        count = np.bincount(self.song_id, minlength=len(self.songs))
        return 1 / (count[self.song_id] * max(np.count_nonzero(count), 1))

    def role_shares(self) -> dict[str, float]:
        """How often songs play each role, each song the same: role → share, which sum to 1; only those there are."""
        shares = np.bincount(self.role, self.weights(), len(ROLES))
        return {role: float(share) for role, share in zip(ROLES, shares, strict=True) if share > 0}

    def distinct_with_weights(self) -> tuple[Corpus, np.ndarray]:
        """``distinct``, and the chance of each of these bars as played, (distinct bars,) float64, which sum to 1."""
        first, number, _ = unique_in_order(self.bar_id)
        return self.only(first), np.bincount(number, self.weights(), minlength=len(first))

    def as_played(self, n: int, seed: int = 0) -> Corpus:
        """n bars, drawn as they are played: a song, each with the same chance, and one of its bars.

        Raises:
            ValueError: there are no bars.
        """
        if not len(self):
            raise ValueError("there are no bars to draw")
        rows = np.argsort(self.song_id, kind="stable")
        _, first, count = np.unique(self.song_id[rows], return_index=True, return_counts=True)
        random = np.random.default_rng(seed)
        song = random.integers(len(first), size=n)
        return self.only(rows[first[song] + random.integers(count[song])])

    def followers(self) -> np.ndarray:
        """The rows of bars whose bar before stands in the row before."""
        index = self.bar_index.astype(np.int32)
        follows = (self.file_id[1:] == self.file_id[:-1]) & (index[1:] == index[:-1] + 1)
        return 1 + np.flatnonzero(follows)

    def pairs(self, later: np.ndarray | None = None) -> tuple[np.ndarray, Corpus, np.ndarray]:
        """Each song's distinct pairs of neighbouring bars, the first of each.

        Args:
            later: (n,) bool, the bars that may be the later one of a pair; all by default.

        Returns:
            The words of the bars before, (pairs, steps), the bars that follow them, and the chance of each pair as
            played, (pairs,) float64: every song the same, in it every pair as often as it comes.
        """
        rows = self.followers()
        if later is not None:
            rows = rows[later[rows]]
        first, number, _ = unique_in_order(self.bar_id[rows - 1].astype(np.int64) << 32 | self.bar_id[rows])
        chance = np.bincount(number, self.only(rows).weights(), len(first))
        rows = rows[first]
        return self.distinct_words[self.bar_id[rows - 1]], self.only(rows), chance

    def only(self, rows: np.ndarray) -> Corpus:
        """The bars of these rows (indices or a mask); the names stay."""
        kept = {
            name: getattr(self, name)[rows]
            for name in ("bar_id", "file_id", "bar_index", "role", "before_change", "before_crash")
        }
        return replace(self, **kept, rows=None if self.rows is None else self.rows[rows])

    def performance(self, rows: np.ndarray | slice | None = None) -> Performance:
        """The bars of these rows, by default all, with their own velocities and offsets, as one loop.

        Args:
            rows: indices, a mask or a slice.

        Raises:
            ValueError: no bars, bars of which nobody knows how they are played, or a damaged corpus.
        """
        if self.playing is None or self.rows is None:
            raise ValueError("nobody knows how the bars of this corpus are played")
        found = self.playing.performance(self.rows if rows is None else self.rows[rows])
        return found if self.kit == self.playing.kit else found.folded(self.kit)

    def folded(self, kit: Kit) -> Corpus:
        """The same songs in another kit; bars that have no part of it are left out.

        Raises:
            ValueError: the kit cannot be folded into that one; see ``kit.fold_table``.
        """
        if kit == self.kit:
            return self
        words = bars_to_words(
            fold_bars(words_to_bars(np.asarray(self.distinct_words), self.kit.n_parts), self.kit, kit)
        )
        first, number, _ = distinct_rows(self.distinct_song, words)
        plays = np.bincount(number, self.distinct_plays, minlength=len(first)).astype(np.int32)
        sounding = words[first].any(1)
        place = np.cumsum(sounding) - 1  # of what sounds among what sounds
        bar_id = number[self.bar_id]
        kept = sounding[bar_id]
        folded = replace(
            self,
            distinct_words=words[first[sounding]],
            distinct_song=self.distinct_song[first[sounding]],
            distinct_plays=plays[sounding],
            bar_id=np.where(kept, place[bar_id], 0).astype(np.int32),
            kit=kit,
        )
        return folded if kept.all() else folded.only(kept)


def distinct_rows(song: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct pairs of a song and its words, in the order in which they first come.

    Args:
        song: (n,) ints.
        words: (n, steps) ints.

    Returns:
        The first row of each, the number of each row's, and how many rows each has.
    """
    columns = [np.asarray(song).astype(np.int32)[:, None].view(np.uint16), np.asarray(words).astype(np.uint16)]
    return unique_in_order(_whole_rows(np.concatenate(columns, 1)))


def unique_in_order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct values (n,) in the order in which they first come, where ``np.unique`` sorts them.

    Returns:
        The place where each first comes, for each of the n its number among the distinct, and how often each comes.
    """
    _, first, number, count = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[number.ravel()], count[order]


def _whole_rows(rows: np.ndarray) -> np.ndarray:
    """Each row as one value, to be compared as bytes: six times as fast as by column."""
    rows = np.ascontiguousarray(rows)
    return rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()


def split_of(song: str) -> Split:
    """The part that a song belongs to: 70 % train, 10 % valid, 20 % test, by a hash of its name.

    A song stays where it is whatever else is prepared with it.
    """
    place = _place_of(song, 0)
    return "train" if place < 0.7 else "valid" if place < 0.8 else "test"


def _place_of(song: str, number: int) -> float:
    """A number from 0 to below 1 of a song's name alone; another ``number`` gives an independent one."""
    hashed = hashlib.sha256(song.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(hashed[4 * number : 4 * number + 4], "big") / 2**32


def digest(*arrays: np.ndarray) -> str:
    """A fingerprint of words: a run on one corpus must not be resumed on another."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(array.astype("<u2").tobytes())
    return found.hexdigest()


def check_corpus(corpus: Corpus) -> None:
    """Raise a ValueError where columns do not fit together, or there are no bars."""
    n, words = len(corpus.bar_id), corpus.distinct_words
    if n == 0:
        raise ValueError("it has no bars")
    if words.ndim != 2 or words.dtype.kind != "u":
        raise ValueError(f"words must be (m, steps) unsigned, not {words.shape} {words.dtype}")
    check_steps(corpus.steps)
    if words.max(initial=0) >= 1 << corpus.kit.n_parts:
        raise ValueError(f"a word is {words.max()}; kit {corpus.kit.name} has {1 << corpus.kit.n_parts}")
    m = len(words)
    for name, length, size in (
        ("distinct_song", m, len(corpus.songs)),
        ("distinct_plays", m, 1 << 31),
        ("bar_id", n, m),
        ("file_id", n, len(corpus.files)),
        ("bar_index", n, 1 << 16),
        ("role", n, len(ROLES)),
        ("file_style", len(corpus.files), len(corpus.styles)),
    ):
        column = getattr(corpus, name)
        fits = column.shape == (length,) and column.dtype.kind in "iu"
        if not fits or (length and (column.min() < 0 or column.max() >= size)):
            raise ValueError(f"{name} does not fit {length} rows and {size} values")
    for name, length, kind in (
        ("before_change", n, "b"),
        ("before_crash", n, "b"),
        ("file_bpm", len(corpus.files), "f"),
    ):
        column = getattr(corpus, name)
        if column.shape != (length,) or column.dtype.kind != kind:
            raise ValueError(f"{name} does not fit {length} rows")
