"""Loops that are combined of lines: a kick line × a snare line × a hat line, at random or such that they go together.

A classifier detects lines that are put together at random. Here lines are dealt to loops, and then loops swap lines
by chance, the likelier the better both become by what a prior and a discriminator say (Metropolis et al. 1953). So each
line is used as often as any other, and combinations come as often as they should: the best one of all would be the most
ordinary one, over and over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rhythmgan.models.interfaces import Critic, Likelihood, check_compatible
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform

Score = Callable[[np.ndarray], np.ndarray]
"""Bars (n, steps, parts) bool → (n,) float64: the logarithm of how well their lines go together, and a constant."""

POOL = 128
"""Loops that lines are dealt to at least, so that those of a few loops have others to swap with."""

SWEEPS = 128
"""How often each loop tries to swap a line. Chosen on validation songs: bars are hardly more real with more."""

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


def on_coarser_grid(score: Score, factor: int) -> Score:
    """The score of bars on a finer grid, by models of a coarser one: a step is what ``factor`` finer ones play."""

    def of_finer(bars: np.ndarray) -> np.ndarray:
        n, steps, n_parts = bars.shape
        coarse: np.ndarray = np.any(bars.reshape(n, steps // factor, factor, n_parts), axis=2)
        return score(coarse)

    return of_finer


def combine(
    groups: Sequence[np.ndarray],
    n: int,
    seed: int = 0,
    score: Score | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    or_fewer: bool = False,
) -> np.ndarray:
    """Combine loops of one line from each group, none twice.

    The lines of each group are dealt to ``POOL`` loops, or to n if that is more, each as often as any other. With a
    score loops in pairs then swap their lines of a group with the chance min(1, exp(what both scores gain)); every loop
    tries it ``SWEEPS`` times. The first n different loops are taken, and if there are fewer, lines are dealt again.

    Up to ``POOL`` loops of a seed, more of them are these and more.

    Args:
        groups: two at least, each of one line or more: (lines, bars, steps, parts) bool, all of as many bars.
        n: loops.
        seed: of the draw.
        score: how well the lines of a bar go together; by default they stay as they are dealt.
        progress: called with (sweeps done, in all).
        or_fewer: take as many as these lines make, or make well, if that are fewer than n.

    Returns:
        (n, groups) ints: the place of each line in its group.

    Raises:
        ValueError: fewer than two groups, an empty one, or more loops than these lines make, or make well.
    """
    check_seed(seed)
    counts = [len(group) for group in groups]
    if len(counts) < 2 or not all(counts):
        raise ValueError(f"loops are combined of two groups of lines or more, none of them empty; not of {counts}")
    most = math.prod(counts)
    n = min(n, most) if or_fewer else n
    if n < 1:
        raise ValueError(f"one loop or more are combined, not {n}")
    if n > most:
        all_loops = "1 loop" if most == 1 else f"{most:,} loops"
        raise ValueError(f"of these lines {all_loops} can be combined, not {n:,}: choose at most --n {most}")
    found = np.zeros((0, len(counts)), np.int64)
    for stream in RANDOM_STREAMS["combination"]:
        loops, numbers = _dealt(counts, max(n, POOL), seed, stream)
        if score is not None:
            loops = _swapped(groups, loops, numbers, score, progress)
        found = np.concatenate([found, loops])
        found = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]
        if len(found) >= n:
            return found[:n]
    if or_fewer:
        return found
    good = "1 loop of these lines goes" if len(found) == 1 else f"{len(found):,} loops of these lines go"
    raise ValueError(f"only {good} together, not {n:,}: choose at most --n {len(found)}")


def _dealt(counts: Sequence[int], n: int, seed: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines dealt to n loops, (n, groups) ints, and the numbers (SWEEPS, …) that they are swapped by."""
    rounds = [-(-n // count) for count in counts]
    sizes = [count * number for count, number in zip(counts, rounds, strict=True)]
    per_sweep = n + 1 + n // 2
    uniform = seeds_to_uniform([seed], sum(sizes) + SWEEPS * per_sweep, stream)[0]
    *deals, numbers = np.split(uniform, np.cumsum(sizes))
    # in each round all lines of a group in any order; in the last one only some of them
    loops = [np.argsort(deal.reshape(-1, count), axis=1).ravel()[:n] for deal, count in zip(deals, counts, strict=True)]
    return np.stack(loops, 1), numbers.reshape(SWEEPS, per_sweep)


def _swapped(
    groups: Sequence[np.ndarray],
    loops: np.ndarray,
    numbers: np.ndarray,
    score: Score,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Loops (n, groups) after they have swapped lines."""
    n, n_groups = loops.shape
    known: dict[bytes, float] = {}
    loops, scores = loops.copy(), _scores(groups, loops, score, known)
    for sweep, drawn in enumerate(numbers, 1):
        pairs = drawn[:n].argsort()[: n // 2 * 2].reshape(2, -1)
        group = min(int(drawn[n] * n_groups), n_groups - 1)
        tried = loops[pairs]
        tried[..., group] = tried[::-1, :, group]
        new = _scores(groups, tried.reshape(-1, n_groups), score, known).reshape(pairs.shape)
        taken = np.log(drawn[n + 1 :]) < (new - scores[pairs]).sum(0)
        rows = pairs[:, taken]
        loops[rows], scores[rows] = tried[:, taken], new[:, taken]
        if progress is not None:
            progress(sweep, len(numbers))
    return loops


def together(groups: Sequence[np.ndarray], index: np.ndarray) -> np.ndarray:
    """The loops (m, bars, steps, parts) bool of combinations, as ``combine`` takes and gives them."""
    loops = groups[0][index[:, 0]].copy()
    for group, lines in zip(groups[1:], index.T[1:], strict=True):
        loops |= group[lines]
    return loops


def _scores(groups: Sequence[np.ndarray], loops: np.ndarray, score: Score, known: dict[bytes, float]) -> np.ndarray:
    """The scores (m,) of loops (m, groups): of each the sum over its bars, a bar that comes again counted once.

    Args:
        groups, loops, score: as in ``combine``.
        known: the scores of bars that were scored before, to which new ones are added.
    """
    n_bars = groups[0].shape[1]
    at_once = max(1, _AT_ONCE // n_bars)
    scores = np.zeros(len(loops))
    for first in range(0, len(loops), at_once):
        bars = together(groups, loops[first : first + at_once])
        keys = [[bar.tobytes() for bar in loop] for loop in np.packbits(bars.reshape(*bars.shape[:2], -1), axis=2)]
        new = {key: bar for loop, of in zip(bars, keys, strict=True) for bar, key in zip(loop, of, strict=True)}
        unknown = [key for key in new if key not in known]
        if unknown:
            known.update(zip(unknown, score(np.stack([new[key] for key in unknown])).tolist(), strict=True))
        scores[first : first + at_once] = [sum(known[key] for key in dict.fromkeys(of)) for of in keys]
    return scores
