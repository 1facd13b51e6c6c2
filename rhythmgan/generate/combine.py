"""Loops that are combined of lines: a kick line × a snare line × a hat line, at random or such that they go together.

Lines that are put together at random are told from real bars. Here a combination is drawn with a chance in proportion
to what a prior and a discriminator say of its bars (sampling–importance–resampling, Rubin 1988): not the likeliest
combination, which would be the most ordinary one, and each line as often as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rhythmgan.models.interfaces import Critic, Likelihood, check_compatible
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform

Score = Callable[[np.ndarray], np.ndarray]
"""Bars (n, steps, parts) bool → (n,) float64: the logarithm of how well their lines go together, and a constant."""

MAX_COMBINATIONS = 4096
"""Combinations that are weighed against each other; of more they are a random choice."""

_ROUNDS, _UNEVEN = 1000, 0.001
"""Balancing ends after so many rounds, or when no line's share is so far from that of the others of its group."""

_AT_ONCE = 2048
"""Bars that are scored at a time."""


def score_of(prior: Likelihood, critic: Critic) -> Score:
    """log p of a prior plus the logit of a discriminator, in nats.

    Each corrects the other: a prior is wrong where it has seen too little, and what a discriminator finds there is a
    log density ratio. Chosen on validation songs, see ``benchmarks/combine.py``.

    Args:
        prior: says how likely a bar is.
        critic: tells real bars from generated ones; of the same kit and grid.

    Raises:
        ValueError: of different kits or grids.
    """
    check_compatible(critic, prior.kit, prior.steps, "the discriminator")
    double = prior.in_double()

    def score(bars: np.ndarray) -> np.ndarray:
        found: np.ndarray = double.log_prob(bars).numpy() + critic.logits(bars).cpu().double().numpy()
        return found

    return score


def combine(groups: Sequence[np.ndarray], n: int, seed: int = 0, score: Score | None = None) -> np.ndarray:
    """Draw combinations of one line from each group, none twice.

    Weights are balanced so that all lines of a group have the same chance (iterative proportional fitting, Deming &
    Stephan 1940). Without it lines with few onsets would be in every loop, as sparse bars are the likelier ones. Then n
    are drawn without replacement (Efraimidis & Spirakis 2006). More of the same seed are these and more.

    Args:
        groups: two at least, each of one line or more: (lines, bars, steps, parts) bool, all of as many bars.
        n: combinations.
        seed: of the draw.
        score: how well the lines of a bar go together; by default all combinations are alike.

    Returns:
        (n, groups) ints: the place of each line in its group.

    Raises:
        ValueError: fewer than two groups, an empty one, or more combinations than there are.
    """
    check_seed(seed)
    counts = [len(group) for group in groups]
    if len(counts) < 2 or not all(counts):
        raise ValueError(f"loops are combined of two groups of lines or more, none of them empty; not of {counts}")
    index = _combinations(counts, seed)
    if not 1 <= n <= len(index):
        raise ValueError(f"of these lines 1 to {len(index)} combinations can be drawn, not {n}")
    weights = np.zeros(len(index)) if score is None else balanced(index, _scores(groups, index, score))
    uniform = seeds_to_uniform([seed], len(index), RANDOM_STREAMS["combination"][0])[0]
    keys = weights - np.log(np.maximum(-np.log(uniform), np.finfo(float).tiny))
    found: np.ndarray = index[np.argsort(-keys, kind="stable")[:n]]
    return found


def _combinations(counts: Sequence[int], seed: int) -> np.ndarray:
    """All combinations (m, groups) of so many lines in order, or a random choice of them."""
    if np.prod([float(count) for count in counts]) <= MAX_COMBINATIONS:
        return np.stack([places.ravel() for places in np.indices(counts)], 1)
    uniform = seeds_to_uniform([seed], MAX_COMBINATIONS * len(counts), RANDOM_STREAMS["combination"][1])
    places = (uniform.reshape(-1, len(counts)) * counts).astype(np.int64)
    # a number of 1 would be one line too far
    found: np.ndarray = np.unique(np.minimum(places, np.array(counts) - 1), axis=0)
    return found


def together(groups: Sequence[np.ndarray], index: np.ndarray) -> np.ndarray:
    """The loops (m, bars, steps, parts) bool of combinations, as ``combine`` takes and gives them."""
    loops = groups[0][index[:, 0]].copy()
    for group, lines in zip(groups[1:], index.T[1:], strict=True):
        loops |= group[lines]
    return loops


def _scores(groups: Sequence[np.ndarray], index: np.ndarray, score: Score) -> np.ndarray:
    """The scores (m,) of combinations: of each loop the sum over its bars, a bar that comes again counted once."""
    n_bars = groups[0].shape[1]
    n_loops = max(1, _AT_ONCE // n_bars)
    scores = np.zeros(len(index))
    for first in range(0, len(index), n_loops):
        loops = together(groups, index[first : first + n_loops])
        bars = loops.reshape(-1, *loops.shape[2:])
        packed = np.packbits(bars.reshape(len(bars), -1), axis=1)
        _, example, number = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        of_loop = np.sort(number.reshape(-1, n_bars), axis=1)
        is_new = np.diff(of_loop, axis=1, prepend=-1) > 0
        scores[first : first + n_loops] = (score(bars[example])[of_loop] * is_new).sum(1)
    return scores


def balanced(index: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    """Log-weights of combinations by which all lines of a group have the same share, and the total is 1.

    Each line gets a factor. What two combinations of the same lines are to each other stays as it is.

    Args:
        index: (m, groups) ints, the lines of each combination by their places.
        log_weights: (m,) float64, finite.

    Returns:
        (m,) float64.
    """
    weights = log_weights.astype(float)
    groups = [np.unique(lines, return_inverse=True)[1] for lines in index.T]  # without those in no combination
    for _ in range(_ROUNDS):
        worst = 0.0
        for lines in groups:
            factor = -_log_sums(lines, weights) - np.log(lines.max() + 1)
            weights += factor[lines]
            worst = max(worst, float(np.abs(factor).max()))
        if worst < _UNEVEN:
            break
    return weights


def _log_sums(lines: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of the weights of each line."""
    highest = np.full(lines.max() + 1, -np.inf)
    np.maximum.at(highest, lines, weights)
    found: np.ndarray = highest + np.log(np.bincount(lines, np.exp(weights - highest[lines])))
    return found
