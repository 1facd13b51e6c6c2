"""Phrases of songs: bars that follow one another in a file without a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, unique_in_order
from rhythmgan.kit import Kit


@dataclass(frozen=True, eq=False)
class SongPhrases:
    """The distinct phrases of each song.

    Attributes:
        words: (n, bars, steps) uint16.
        song: (n,) ints, the song of each, a number below the corpus's songs.
        plays: (n,) ints, how often its song plays it, in all of its files.
        off: (n,) ints from 0 to bars - 1: how many bars after a multiple of ``bars`` it begins in its file. The same
            bars that begin at two places of this kind are two phrases.
        kit: what the parts are.
    """

    words: np.ndarray
    song: np.ndarray
    plays: np.ndarray
    off: np.ndarray
    kit: Kit

    def __len__(self) -> int:
        return len(self.words)

    @property
    def bars(self) -> np.ndarray:
        """(n, bars, steps, parts) bool."""
        return words_to_bars(self.words, self.kit.n_parts)

    @property
    def n_songs(self) -> int:
        """Songs that have a phrase."""
        return len(np.unique(self.song))

    @property
    def chance(self) -> np.ndarray:
        """(n,) float64, the chance of each as played: every song the same, in it every phrase as often as it comes."""
        total = np.bincount(self.song, self.plays)
        return self.plays / (total[self.song] * max(self.n_songs, 1))

    def only(self, rows: np.ndarray) -> SongPhrases:
        """The phrases of these rows (indices or a mask)."""
        return SongPhrases(self.words[rows], self.song[rows], self.plays[rows], self.off[rows], self.kit)

    def on_time(self) -> SongPhrases:
        """Those that begin with the first bar of a file, or as many bars later as one or more of them have."""
        return self.only(self.off == 0)

    def draw(self, n: int, seed: int = 0) -> SongPhrases:
        """n phrases, drawn as they are played.

        Raises:
            ValueError: there are none.
        """
        if not len(self):
            raise ValueError("there are no phrases to draw")
        return self.only(np.random.default_rng(seed).choice(len(self), n, p=self.chance))


def song_phrases(corpus: Corpus, n_bars: int = 4) -> SongPhrases:
    """All phrases of so many bars of a corpus, each song's distinct ones in the order in which they first come.

    Args:
        corpus: bars in the order of songs, files and time.
        n_bars: bars of a phrase, at least 1.

    Raises:
        ValueError: n_bars is below 1.
    """
    if n_bars < 1:
        raise ValueError(f"a phrase has at least one bar, not {n_bars}")
    index = np.asarray(corpus.bar_index).astype(np.int64)
    first = np.arange(max(len(corpus) - n_bars + 1, 0))
    last = first + n_bars - 1
    first = first[(corpus.file_id[first] == corpus.file_id[last]) & (index[last] == index[first] + n_bars - 1)]
    bar_id = corpus.bar_id[first[:, None] + np.arange(n_bars)].astype(np.int64)
    off = index[first] % n_bars
    columns = np.ascontiguousarray(np.concatenate([bar_id, off[:, None]], 1))
    places, _, plays = unique_in_order(columns.view(np.dtype((np.void, columns.shape[1] * 8))).ravel())
    words = corpus.distinct_words[bar_id[places]]
    return SongPhrases(words, corpus.song_id[first[places]], plays, off[places], corpus.kit)
