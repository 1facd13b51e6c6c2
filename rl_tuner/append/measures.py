"""What tells loops of a note-wise model from songs' ones, without listeners."""

from __future__ import annotations

from typing import Any

import numpy as np

EXCESSIVE = 4
"""Notes of one part in a row; any further one is excessive, as in ``percussion.MAX_RUN``."""


def runs(notes: np.ndarray) -> np.ndarray:
    """How often in a row each note (n, t) has been played up to it: (n, t) ints, 0 for a rest."""
    notes = np.asarray(notes)
    found = (notes > 0).astype(np.int64)
    for step in range(1, notes.shape[1]):
        goes_on = (notes[:, step] == notes[:, step - 1]) & (notes[:, step] > 0)
        found[:, step] += goes_on * found[:, step - 1]
    return found


def repetition(notes: np.ndarray, n_given: int) -> dict[str, float]:
    """How much loops repeat themselves, of notes (n, length) ints of which the first ``n_given`` are given.

    Returns:
        ``longest_run``: notes of one part in a row, the longest of each loop, mean. ``long_runs``: share of loops with
        one of eight or more. ``repeated``: share of steps after those given with the note of the step before.
        ``excessive``: share of them with a note that is the fifth or a later one of a run. ``unique``: distinct loops
        over loops.
    """
    length = runs(notes)
    own = length[:, n_given:]
    return {
        "longest_run": float(length.max(1).mean()),
        "long_runs": float((length.max(1) >= 2 * EXCESSIVE).mean()),
        "repeated": float((own > 1).mean()),
        "excessive": float((own > EXCESSIVE).mean()),
        "unique": len(np.unique(notes, axis=0)) / len(notes),
    }


def c2st_of_continuations(
    real: np.ndarray, drawn: np.ndarray, song: np.ndarray, repeats: int = 4, seed: int = 0
) -> dict[str, float]:
    """Classifier two-sample test of what follows the same beginnings: songs' loops and drawn ones that begin alike.

    As ``metrics.c2st``, with one difference: a song's loops and those that were drawn with their beginnings are on the
    same side. So every beginning is taught once as real and once as drawn, and says nothing. With halves of their own
    for each kind, as there, it would be taught as the one and tested as the other.

    Args:
        real: (n, …) bool, loops of songs.
        drawn: (n, …) bool, of each a loop that begins as it does.
        song: (n,) ints.
        repeats: random halves of the songs.
        seed: of the halves.

    Returns:
        Mean test accuracy of ``trees`` and ``mlp``, the larger as ``c2st`` and its standard deviation over the
        repeats as ``std``; .5 is chance.

    Raises:
        ValueError: sets of different sizes, or loops of fewer than two songs.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    names = np.unique(song)
    if not len(real) == len(drawn) == len(song) or len(names) < 2:
        raise ValueError(f"expected as many drawn loops as real ones, of two songs at least; got {len(drawn)}")
    cells = [each.reshape(len(each), -1).astype(np.float32) for each in (real, drawn)]
    accuracy: dict[str, list[float]] = {"trees": [], "mlp": []}
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        taught = np.isin(song, rng.permutation(names)[: len(names) // 2])
        sides = [
            (np.concatenate([each[rows] for each in cells]), np.repeat([0, 1], rows.sum()))
            for rows in (taught, ~taught)
        ]
        classifiers: dict[str, Any] = {
            "trees": HistGradientBoostingClassifier(random_state=repeat),
            "mlp": MLPClassifier((256,), alpha=1e-2, early_stopping=True, random_state=repeat),
        }
        for name, classifier in classifiers.items():
            accuracy[name].append(float(classifier.fit(*sides[0]).score(*sides[1])))
    means = {name: float(np.mean(values)) for name, values in accuracy.items()}
    best = max(means, key=lambda name: means[name])
    return means | {"c2st": means[best], "std": float(np.std(accuracy[best]))}
