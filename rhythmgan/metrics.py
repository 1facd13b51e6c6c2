"""How like real bars a set of bars is: numbers of whole sets, of cells or of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.features import measure
from rhythmgan.kit import Kit
from rhythmgan.roles import drum_parts

CYMBALS_OF_A_GROOVE = 4
"""On how many steps a groove has a cymbal at least."""

TOMS_OF_A_FILL = 3
"""On how many steps toms count as more than an accent."""

_MIN_HALF = 20


def c2st(
    real: np.ndarray,
    song: np.ndarray,
    generated: np.ndarray,
    generated_song: np.ndarray | None = None,
    repeats: int = 4,
    seed: int = 0,
) -> dict[str, float]:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017): how well a classifier separates the two.

    Each repeat cuts the songs in two halves, trains on the one and tests on the other, with as many
    bars of each kind on either side. A song is never on both, or the classifier would learn songs.

    Args:
        real: (n, steps, parts) bool.
        song: (n,) ints, the song of each real bar.
        generated: (m, steps, parts) bool.
        generated_song: (m,) ints, where the other bars have songs as well (real against real).
        repeats: random halves.
        seed: of the halves; the classifiers' own is the number of the repeat.

    Returns:
        Mean test accuracy of ``trees`` (gradient-boosted) and ``mlp``, the larger of the two as ``c2st``, and
        of more than one repeat the standard deviation of that one as ``std``; 0.5 is chance.

    Raises:
        ValueError: fewer than two songs on a side, or so few bars in a half that there is nothing to learn from.
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
            if n < _MIN_HALF:
                raise ValueError(f"half of the songs has {n} bars; at least {_MIN_HALF} are needed")
            bars = [
                pool[rng.permutation(np.flatnonzero(rows))[:n]]
                for pool, rows in ((real, real_rows), (generated, made_rows))
            ]
            sides.append((_flat(np.concatenate(bars)), np.repeat([0, 1], n)))
        classifiers: dict[str, Any] = {
            "trees": HistGradientBoostingClassifier(random_state=repeat),
            "mlp": MLPClassifier((256,), alpha=1e-2, early_stopping=True, random_state=repeat),
        }
        for name, classifier in classifiers.items():
            accuracy[name].append(float(classifier.fit(*sides[0]).score(*sides[1])))
    means = {name: float(np.mean(values)) for name, values in accuracy.items()}
    best = max(means, key=lambda name: means[name])
    std = {"std": float(np.std(accuracy[best]))} if repeats > 1 else {}
    return means | {"c2st": means[best]} | std


def told_apart(
    taught: np.ndarray, taught_label: np.ndarray, *others: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> list[np.ndarray]:
    """How often a classifier of labelled bars gives other bars the label that they should have.

    Boosted trees on the cells, each label counts the same.

    Args:
        taught: (n, steps, parts) bool, the bars that the classifier is taught on.
        taught_label: (n,) ints from 0 on, each of them at least once, two labels at least.
        others: bars (m, steps, parts) and their labels (m,), as many pairs as one likes.
        seed: of the classifier.

    Returns:
        Of each pair (labels,) float64: the share of the bars of each label that it gets right, NaN of a label that no
        bar has. Their mean is the balanced accuracy: 1 / labels for a guess.

    Raises:
        ValueError: fewer than two labels, or one of them without a bar.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    counts = np.bincount(taught_label)
    if len(counts) < 2 or not counts.all():
        raise ValueError(f"needs two labels at least, each with bars; there are {counts.tolist()}")
    classifier = HistGradientBoostingClassifier(random_state=seed, class_weight="balanced")
    classifier.fit(_flat(taught), taught_label)
    found = []
    for bars, label in others:
        right = classifier.predict(_flat(bars)) == label
        with np.errstate(invalid="ignore"):
            found.append(np.bincount(label, right, minlength=len(counts)) / np.bincount(label, minlength=len(counts)))
    return found


def _flat(bars: np.ndarray) -> np.ndarray:
    """(n, steps · parts) float32."""
    return bars.reshape(len(bars), -1).astype(np.float32)


def _half_of_songs(song: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which rows are of a random half of the songs."""
    names = rng.permutation(np.unique(song))
    return np.isin(song, names[: len(names) // 2])


def standardised(real: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Features (n, d) in units of the real bars' mean and standard deviation, the real ones first.

    A feature that never varies in the real bars keeps its own unit.
    """
    # the deviation of a constant is 0 but for rounding
    mean, scale = real.mean(0), np.where(real.max(0) == real.min(0), 1.0, real.std(0))
    return [(features - mean) / scale for features in (real, *others)]


def prdc(real: np.ndarray, generated: np.ndarray, k: int = 5) -> dict[str, float]:
    """Precision, recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020) of standardised features.

    A bar's ball reaches to its k-th nearest neighbour in its own set. ``precision``: generated bars in a real
    ball; ``recall``: real bars in a generated ball; ``density``: real balls a generated bar is in, over k;
    ``coverage``: real balls with a generated bar in them. Their values depend on sample size: compare
    rows of one table.

    Args:
        real: (n, d) float.
        generated: (m, d) float.
        k: neighbours; below n and m.

    Raises:
        ValueError: too few bars for k neighbours.
    """
    from scipy.spatial.distance import cdist

    if min(len(real), len(generated)) <= k:
        raise ValueError(f"needs more than {k} bars of each kind")

    def radii(points: np.ndarray) -> np.ndarray:
        return np.partition(cdist(points, points), k, axis=1)[:, k]  # the nearest is the point itself

    distances = cdist(real, generated)
    in_real = distances <= radii(real)[:, None]
    in_generated = distances <= radii(generated)[None]
    return {
        "precision": float(in_real.any(0).mean()),
        "recall": float(in_generated.any(1).mean()),
        "density": float(in_real.sum(0).mean() / k),
        "coverage": float(in_real.any(1).mean()),
    }


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Fréchet distance between normal distributions fitted to two sets of features (Heusel et al. 2017).

    |μ − μ'|² + tr(Σ + Σ' − 2 (Σ Σ')^½), of standardised features (n, d): 0 for equal sets.
    """
    from scipy.linalg import eigvals

    first, second = (np.atleast_2d(np.cov(features.T)) for features in (real, generated))
    # the trace of a square root is the sum of the eigenvalues' roots, also where the matrix is singular
    root = np.sqrt(np.clip(eigvals(first @ second).real, 0, None)).sum()
    shift = real.mean(0) - generated.mean(0)
    return float(max(0.0, shift @ shift + np.trace(first) + np.trace(second) - 2 * root))


def yang_lerch(real: np.ndarray, generated: np.ndarray, seed: int = 0, n: int = 400) -> dict[str, float]:
    """Overlap and divergence of distances within and between sets (Yang & Lerch 2020), means over features.

    For each feature: the distribution of distances between real bars, and that of distances between real
    and generated ones, both smoothed by Gaussian kernels. ``overlap`` is their common area, 0 … 1,
    ``divergence`` that of Kullback & Leibler of the first from the second, nats. Near-blind: it is there
    because the field prints it.

    A feature that does not vary has no density to smooth: its overlap is 1 or 0, as both are the same constant or
    not, and it does not count in the divergence.

    Args:
        real, generated: (n, d) features.
        seed: of the bars that are taken.
        n: bars taken of each set.
    """
    from scipy.stats import gaussian_kde

    rng = np.random.default_rng(seed)
    first, second = (rng.permutation(len(real))[:n], rng.permutation(len(generated))[:n])
    above = np.triu_indices(len(first), 1)
    overlaps, divergences = [], []
    for mine, other in zip(real[first].T, generated[second].T, strict=True):
        within = np.abs(mine[:, None] - mine)[above]
        between = np.abs(mine[:, None] - other).ravel()
        if min(within.std(), between.std()) == 0:
            overlaps.append(float(within.mean() == between.mean()))
            continue
        grid = np.linspace(0, max(within.max(), between.max()), 200)
        # kernels over thousands of distances: some of them say as much
        p, q = (gaussian_kde(rng.choice(d, 5000)).evaluate(grid) + 1e-12 for d in (within, between))
        overlaps.append(float(np.minimum(p / p.sum(), q / q.sum()).sum()))
        divergences.append(float((p / p.sum() * np.log(p / p.sum() * q.sum() / q)).sum()))
    return {"overlap": float(np.mean(overlaps)), "divergence": float(np.mean(divergences or [0.0]))}


def novelty(bars: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """How far bars are from the training bars, both (n, steps, parts) bool, neither empty.

    Returns:
        ``copies``: share that stand among the training bars; ``nearest``: median number of cells in which a
        bar differs from the training bar nearest to it.
    """
    cells = training.reshape(len(training), -1).astype(np.float32)
    onsets = cells.sum(1)
    nearest = []
    for chunk in np.array_split(bars.reshape(len(bars), -1).astype(np.float32), -(-len(bars) // 512)):
        # |a ≠ b| = |a| + |b| − 2 a·b, exact in floats
        nearest.append((chunk.sum(1, keepdims=True) + onsets - 2 * chunk @ cells.T).min(1))
    distance = np.concatenate(nearest)
    return {"copies": float((distance == 0).mean()), "nearest": float(np.median(distance))}


def unique_share(bars: np.ndarray) -> float:
    """Distinct bars over bars, of (n, steps, parts) bool, n at least 1."""
    return len(np.unique(np.packbits(bars.reshape(len(bars), -1), axis=1), axis=0)) / len(bars)


def musegan(bars: np.ndarray) -> dict[str, float]:
    """Onsets and MuseGAN's measures of a drum track (Dong et al. 2018), of bars (n, steps, parts) bool, n at least 1.

    Returns:
        ``onsets``: mean onsets a bar. ``empty``: share of bars without any. ``parts``: mean number of parts that
        sound, where MuseGAN counts pitches. ``pattern``: share of onsets on eighths, with a tenth of those
        between, as pypianoroll counts a grid of sixteenths; left out on other grids and where there is no onset.
    """
    steps = bars.shape[1]
    found = {
        "onsets": float(bars.sum((1, 2)).mean()),
        "empty": float((~bars.any((1, 2))).mean()),
        "parts": float(bars.any(1).sum(1).mean()),
    }
    if steps == 16 and bars.any():
        found["pattern"] = float((bars.sum((0, 2)) * np.tile([1.0, 0.1], 8)).sum() / bars.sum())
    return found


def groove_signs(bars: np.ndarray, kit: Kit) -> dict[str, float]:
    """What makes a bar a groove rather than a fill, of bars (n, steps, parts) bool, n at least 1.

    Kick, snare, toms and cymbals (hats, ride, crash) are the parts that are so called, see ``roles.drum_parts``.

    Returns:
        Shares of the bars, 0 … 1: ``kick_on_1``; ``backbeat``, snare on beats 2 and 4; ``cymbals``, on four steps or
        more; ``groove``, all three; ``toms``, on three steps or more. And the mean ``syncopation``.
    """
    parts = drum_parts(kit)
    kick, snare, toms, cymbals = (
        np.asarray(bars[..., indices].any(-1)) for indices in (parts.kicks, parts.snares, parts.toms, parts.cymbals)
    )
    beat = bars.shape[1] // BEATS
    signs = {
        "kick_on_1": kick[:, 0],
        "backbeat": snare[:, beat] & snare[:, 3 * beat],
        "cymbals": cymbals.sum(1) >= CYMBALS_OF_A_GROOVE,
    }
    signs["groove"] = np.logical_and.reduce(list(signs.values()))
    signs["toms"] = toms.sum(1) >= TOMS_OF_A_FILL
    means = measure(bars, kit, ["syncopation"])
    return {name: float(rows.mean()) for name, rows in signs.items()} | {
        "syncopation": float(means["syncopation"].double().mean())
    }
