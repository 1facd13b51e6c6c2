"""How like real bars a set of bars is. Needs scikit-learn (the ``dev`` extra)."""

from __future__ import annotations

from typing import Any

import numpy as np


def c2st(
    real: np.ndarray,
    song: np.ndarray,
    generated: np.ndarray,
    generated_song: np.ndarray | None = None,
    repeats: int = 4,
    seed: int = 0,
) -> dict[str, float]:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017): how well a classifier tells the two apart.

    Each repeat cuts the songs in two halves, trains on the one and tests on the other, with as many
    bars of each kind on either side. A song is never on both, or the classifier would learn songs.

    Args:
        real: (n, steps, parts) bool.
        song: (n,) ints, the song of each real bar.
        generated: (m, steps, parts) bool.
        generated_song: (m,) ints, where the other bars have songs as well (real against real).
        repeats: random halves.
        seed: of the halves and the classifiers.

    Returns:
        Mean test accuracy of ``"trees"`` (gradient-boosted) and ``"mlp"``, and the larger of the two as
        ``"c2st"``; 0.5 means that they cannot tell.

    Raises:
        ValueError: fewer than two songs on a side.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    groups = song, np.arange(len(generated)) if generated_song is None else generated_song
    if any(len(np.unique(group)) < 2 for group in groups):
        raise ValueError("needs two songs at least, and two generated bars")
    accuracy: dict[str, list[float]] = {"trees": [], "mlp": []}
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        first = [_half_of_songs(group, rng) for group in groups]
        sides = []
        for real_rows, made_rows in ((first[0], first[1]), (~first[0], ~first[1])):
            n = min(real_rows.sum(), made_rows.sum())
            bars = [
                pool[rng.permutation(np.flatnonzero(rows))[:n]]
                for pool, rows in ((real, real_rows), (generated, made_rows))
            ]
            sides.append((np.concatenate(bars).reshape(2 * n, -1).astype(np.float32), np.repeat([0, 1], n)))
        classifiers: dict[str, Any] = {
            "trees": HistGradientBoostingClassifier(random_state=repeat),
            "mlp": MLPClassifier((256,), alpha=1e-2, early_stopping=True, random_state=repeat),
        }
        for name, classifier in classifiers.items():
            accuracy[name].append(float(classifier.fit(*sides[0]).score(*sides[1])))
    means = {name: float(np.mean(values)) for name, values in accuracy.items()}
    return means | {"c2st": max(means.values())}


def _half_of_songs(song: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which rows are of a random half of the songs."""
    names = rng.permutation(np.unique(song))
    return np.isin(song, names[: len(names) // 2])


def shares(bars: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Plain facts of a set of bars (n, steps, parts) bool.

    Returns:
        ``onsets``: mean onsets a bar; ``empty``: share of bars without any; ``unique``: distinct bars
        over bars; ``copies``: share that stand among the ``training`` bars.
    """
    rows = np.packbits(bars.reshape(len(bars), -1), axis=1)
    known = {row.tobytes() for row in np.packbits(training.reshape(len(training), -1), axis=1)}
    return {
        "onsets": float(bars.sum((1, 2)).mean()),
        "empty": float((~bars.any((1, 2))).mean()),
        "unique": len(np.unique(rows, axis=0)) / len(bars),
        "copies": sum(row.tobytes() in known for row in rows) / len(bars),
    }
