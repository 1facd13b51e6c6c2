"""Pairs of lines that songs play at once, and how well a classifier tells made pairs from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus

_LEAST = 20
"""Pairs in a half of the songs, at least."""


def line_pairs(corpus: Corpus, given: str = "kick", answer: str = "snare") -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs of lines of each song, of its bars in which both sound.

    Args:
        corpus: the songs.
        given, answer: the parts, by name.

    Returns:
        The pairs (n, 2, steps) bool, the given line first, and the song of each (n,) ints, in the order of songs.

    Raises:
        ValueError: the kit has no such part.
    """
    parts = []
    for name in (given, answer):
        if name not in corpus.kit.names:
            raise ValueError(f"no part of kit {corpus.kit.name} is called {name!r}: {', '.join(corpus.kit.names)}")
        parts.append(corpus.kit.names.index(name))
    distinct = corpus.distinct()
    pairs = words_to_bars(distinct.words, corpus.kit.n_parts)[..., parts].transpose(0, 2, 1)
    song = np.asarray(distinct.song_id)
    sounds = pairs.any(2).all(1)
    pairs, song = pairs[sounds], song[sounds]
    rows = np.concatenate([song[:, None].astype(np.int64), pairs.reshape(len(pairs), 2 * corpus.steps)], 1)
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.ascontiguousarray(pairs[first]), song[first]


def pairs_c2st(
    real: np.ndarray,
    made: np.ndarray,
    song: np.ndarray,
    made_song: np.ndarray | None = None,
    repeats: int = 4,
    seed: int = 0,
) -> dict[str, float]:
    """Classifier two-sample test of pairs of lines (Lopez-Paz & Oquab 2017), as ``metrics.c2st`` of bars.

    Each repeat cuts the songs in two halves, trains on the one and tests on the other. A made pair is in the half of
    the song whose given line it answers, so that nothing is learnt of a song that is tested.

    Args:
        real: (n, 2, steps) bool.
        made: (m, 2, steps) bool.
        song: (n,) ints, the song of each real pair.
        made_song: (m,) ints, the song of each made one; that of the real pair in its row by default.
        repeats: random halves.
        seed: of the halves; the classifiers' own is the number of the repeat.

    Returns:
        Mean accuracy, each kind counting the same, of ``trees`` (gradient-boosted) and ``mlp``; the larger of the two
        as ``c2st``, and the standard deviation of that one over the repeats as ``std``. 0.5 is chance.

    Raises:
        ValueError: pairs and songs that do not fit, or too few pairs in a half.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    made_song = song if made_song is None else made_song
    if len(real) != len(song) or len(made) != len(made_song):
        raise ValueError(f"{len(real)} and {len(made)} pairs do not have {len(song)} and {len(made_song)} songs")
    accuracy: dict[str, list[float]] = {"trees": [], "mlp": []}
    songs = np.unique(np.concatenate([song, made_song]))
    for repeat in range(repeats):
        names = np.random.default_rng([seed, repeat]).permutation(songs)[: len(songs) // 2]
        halves = [np.isin(group, names) for group in (song, made_song)]
        sides = []
        for rows in (halves, [~half for half in halves]):
            counts = [int(each.sum()) for each in rows]
            if min(counts) < _LEAST:
                raise ValueError(f"half of the songs has {min(counts)} pairs; at least {_LEAST} are needed")
            cells = np.concatenate([pool[each] for pool, each in zip((real, made), rows, strict=True)])
            sides.append((cells.reshape(len(cells), -1).astype(np.float32), np.repeat([0, 1], counts)))
        classifiers: dict[str, Any] = {
            "trees": HistGradientBoostingClassifier(random_state=repeat),
            "mlp": MLPClassifier((256,), alpha=1e-2, early_stopping=True, random_state=repeat),
        }
        for name, classifier in classifiers.items():
            found = classifier.fit(*sides[0]).predict(sides[1][0])
            right = found == sides[1][1]
            accuracy[name].append(float(np.mean([right[sides[1][1] == kind].mean() for kind in (0, 1)])))
    means = {name: float(np.mean(values)) for name, values in accuracy.items()}
    best = max(means, key=lambda name: means[name])
    return means | {"c2st": means[best], "std": float(np.std(accuracy[best]))}
