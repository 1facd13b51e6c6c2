"""Bars of sixteenths on a grid of thirty-seconds, in one row with the bars that have thirty-seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rhythmgan.data import Corpus, check_corpus, distinct_rows


def doubled(words: np.ndarray) -> np.ndarray:
    """words (n, steps) → words (n, 2 · steps): the same bars on a grid twice as fine, silent in between."""
    finer = np.zeros((*words.shape[:-1], 2 * words.shape[-1]), words.dtype)
    finer[..., ::2] = words
    return finer


def with_doubled(fine: Corpus, coarse: Corpus) -> Corpus:
    """The songs of a corpus file with the bars of two grids, in their order, on the finer one.

    Args:
        fine: the bars of one grid.
        coarse: those of half as many steps, of the same corpus file.

    Returns:
        All of them; nobody knows how they are played.

    Raises:
        ValueError: corpora of other grids, kits or files.
    """
    if fine.steps != 2 * coarse.steps or fine.kit != coarse.kit:
        raise ValueError(
            f"bars of kit {coarse.kit.name} and {coarse.steps} steps cannot be doubled to kit {fine.kit.name} and "
            f"{fine.steps} steps"
        )
    if (fine.songs, fine.files) != (coarse.songs, coarse.files):
        raise ValueError("the bars of both grids are not of the same songs")
    words = np.concatenate([fine.words, doubled(coarse.words)])
    columns = {
        name: np.concatenate([getattr(fine, name), getattr(coarse, name)])
        for name in ("song_id", "file_id", "bar_index", "role", "before_change", "before_crash")
    }
    order = np.lexsort((columns["bar_index"], columns["file_id"], columns["song_id"]))
    words, columns = words[order], {name: column[order] for name, column in columns.items()}
    song_id = columns.pop("song_id")
    first, bar_id, plays = distinct_rows(song_id, words)
    corpus = replace(
        fine,
        distinct_words=words[first],
        distinct_song=song_id[first].astype(np.int32),
        distinct_plays=plays.astype(np.int32),
        bar_id=bar_id.astype(np.int32),
        file_id=columns["file_id"],
        bar_index=columns["bar_index"],
        role=columns["role"],
        before_change=columns["before_change"],
        before_crash=columns["before_crash"],
        playing=None,
        rows=None,
    )
    check_corpus(corpus)
    return corpus
