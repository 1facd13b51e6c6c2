"""Whether bars that have their targets are still real, differ from each other, and change only what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from rhythmgan import metrics
from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.evaluate import feature_matrix
from rhythmgan.models.interfaces import Critic, Likelihood, Sampler
from rl_tuner.benchmark.config import RealismConfig
from rl_tuner.benchmark.evaluators import Evaluators
from rl_tuner.benchmark.rows import Row, Steered
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.problem import SearchResult

Model = TypeVar("Model")

_UNSTEERED_SEED = 1 << 40
"""The first seed of the unsteered bars: far from any that a search draws."""


@dataclass(frozen=True)
class RealBars:
    """The bars that others are compared with.

    Attributes:
        bars: (n, steps, parts) bool, the distinct bars of each test song.
        song_id: (n,) ints.
        values: (n, 2), density and syncopation.
        known: (m, steps, parts) bool, the distinct bars of the train songs, for copies.
    """

    bars: np.ndarray
    song_id: np.ndarray
    values: Tensor
    known: np.ndarray

    @staticmethod
    def of(corpus: Corpus) -> RealBars:
        """The real bars of a corpus.

        Raises:
            ValueError: it has no bars of train or of test songs.
        """
        test, train = corpus.split("test").distinct(), corpus.split("train").distinct()
        if not len(test) or not len(train):
            raise ValueError("the benchmark needs bars of train and of test songs")
        bars, known = (words_to_bars(each.words, corpus.kit.n_parts) for each in (test, train))
        return RealBars(bars, test.song_id, values_of(bars, TARGETS, corpus.kit), known)


class Realism:
    """Compares bars with real ones of the same density and syncopation, and asks the held-out evaluators.

    Args:
        steered: the generator, and the networks of the reward.
        evaluators: networks that nothing was rewarded by.
        real: held-out bars.
        how: how many bars, how many repeats.
    """

    def __init__(self, steered: Steered, evaluators: Evaluators, real: RealBars, how: RealismConfig) -> None:
        self.steered, self.evaluators, self.real, self.how = steered, evaluators, real, how

    @cached_property
    def _unsteered(self) -> tuple[np.ndarray, np.ndarray]:
        """Bars of random z, and their density and syncopation."""
        bars = self.steered.generator.sample(self.how.unsteered, seed=_UNSTEERED_SEED)
        return bars, values_of(bars, TARGETS, self.steered.kit).numpy()

    def of_unsteered(self, n: int) -> dict[str, Any]:
        """Of n bars of random z."""
        bars, values = self._unsteered
        z = self.steered.generator.latents(range(_UNSTEERED_SEED, _UNSTEERED_SEED + n))
        return self.of_bars(bars[:n], values[:n]) | {"z": normality(z)}

    def of_samples(self, sampler: Sampler, n: int) -> dict[str, Any]:
        """Of n bars of another model."""
        bars = sampler.sample(n, seed=_UNSTEERED_SEED)
        return self.of_bars(bars, values_of(bars, TARGETS, self.steered.kit).numpy())

    def of_successes(self, results: Sequence[SearchResult]) -> dict[str, Any]:
        """Of the answers that have their targets, and how far their z are from N(0, I), see ``normality``."""
        bars = np.concatenate([one.bars[one.success] for one in results])
        values = np.concatenate([one.values[one.success] for one in results])
        z = np.concatenate([one.z[one.success] for one in results])
        is_known = len(z) > 0 and bool(np.isfinite(z).all())
        return self.of_bars(bars, values) | ({"z": normality(z)} if is_known else {})

    def of_bars(self, bars: np.ndarray, values: np.ndarray) -> dict[str, Any]:
        """Of bars (n, steps, parts) bool with their density and syncopation (n, 2).

        Returns:
            ``matched``: how many bars have a real one of the same features. Where these are enough: ``c2st`` against
            those with its ``std``, ``coverage`` of them, share of ``copies``; and how far the mean log p of a step and
            the mean logit are over those of unsteered bars with the same features: ``log_p`` and ``logit`` by the
            held-out evaluators, ``log_p_of_the_reward`` and ``logit_of_the_reward`` by the reward's own networks.
        """
        rng = np.random.default_rng(0)
        order = rng.permutation(len(bars))
        bars, values = bars[order], values[order]
        mine, theirs = matched(values, self.real.values.numpy(), rng)
        mine, theirs = mine[: self.how.most_bars], theirs[: self.how.most_bars]
        if len(mine) < self.how.fewest_bars:
            return {"matched": len(mine)}
        fake, real = bars[mine], self.real.bars[theirs]
        detected = metrics.c2st(real, self.real.song_id[theirs], fake, repeats=self.how.repeats)
        kit = self.steered.kit
        reference, features = metrics.standardised(feature_matrix(real, kit), feature_matrix(fake, kit))
        # log p and logits depend on density: compare with unsteered bars that have the same
        unsteered, unsteered_values = self._unsteered
        here, there = matched(values[mine], unsteered_values, rng)
        steered, unsteered = fake[here], unsteered[there]
        held_out, rewarding = self.evaluators, self.steered.models

        def gain(mean: Callable[[Model, np.ndarray], float], model: Model) -> float:
            return mean(model, steered) - mean(model, unsteered)

        return {
            "matched": len(mine),
            "c2st": detected["c2st"],
            "std": detected.get("std", 0.0),
            "coverage": metrics.prdc(reference, features)["coverage"],
            "copies": metrics.novelty(fake, self.real.known)["copies"],
            "log_p": gain(mean_log_p, held_out.prior),
            "log_p_of_the_reward": gain(mean_log_p, rewarding.prior),
            "logit": gain(mean_logit, held_out.critic),
            "logit_of_the_reward": gain(mean_logit, rewarding.critic),
        }


def mean_log_p(prior: Likelihood, bars: np.ndarray) -> float:
    """Mean log p of a step of bars (n, steps, parts) bool under a prior, nats."""
    return float(prior.log_prob(bars).mean()) / bars.shape[1]


def mean_logit(critic: Critic, bars: np.ndarray) -> float:
    """Mean logit of bars (n, steps, parts) bool by a critic."""
    return float(critic.logits(bars).mean())


def matched(values: np.ndarray, pool: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows with equal features, no row of either used twice, drawn at random from the pool.

    Args:
        values: (n, F).
        pool: (m, F).
        rng: for the draws.

    Returns:
        The rows of the values, rising, and the rows of the pool that they are matched with.
    """
    buckets: dict[tuple[float, ...], list[int]] = {}
    for index in rng.permutation(len(pool)):
        buckets.setdefault(tuple(pool[index]), []).append(int(index))
    mine, theirs = [], []
    for index, value in enumerate(map(tuple, values)):
        if buckets.get(value):
            mine.append(index)
            theirs.append(buckets[value].pop())
    return np.array(mine, int), np.array(theirs, int)


def diversity(result: SearchResult, starts: int) -> dict[str, float]:
    """How much the answers to one target differ, averaged over targets.

    Args:
        result: of targets that were each asked for so many times in a row.
        starts: how many times.

    Returns:
        ``unique``: the share of different bars among those that have the target. ``hamming``: in how many cells two
        of them differ. Nothing where no target was reached twice.
    """
    unique, distances = [], []
    for first in range(0, len(result.bars), starts):
        rows = slice(first, first + starts)
        bars = result.bars[rows][result.success[rows]]
        if len(bars) > 1:
            cells = bars.reshape(len(bars), -1)
            unique.append(metrics.unique_share(bars))
            differ = (cells[:, None] != cells[None]).sum(2)
            distances.append(differ.sum() / (len(bars) * (len(bars) - 1)))
    if not unique:
        return {}
    return {"unique": float(np.mean(unique)), "hamming": float(np.mean(distances))}


def leakage(steered: Steered, row: Row, targets: Tensor, values: Tensor, calls: int) -> dict[str, float]:
    """What becomes of the other feature where a row steers only one.

    Args:
        steered: the generator.
        row: what steers.
        targets: (n, 2).
        values: (m, 2), features of real bars.
        calls: the budget of each search.

    Returns:
        For either feature steered alone: the share of successes, and the rank correlation of the target with what the
        other one became; beside it the correlation that the two features have in real bars.
    """
    report = {"correlation of real bars": rank_correlation(values[:, 0].numpy(), values[:, 1].numpy())}
    for alone, other in ((0, 1), (1, 0)):
        importance = torch.zeros_like(targets)
        importance[:, alone] = 1
        found = row.solve(steered, targets, calls, 0, importance)
        what = f"{TARGETS[alone]} alone"
        report[f"{what}: success"] = float(found.success.mean())
        report[f"{what}: correlation"] = rank_correlation(targets[:, alone].numpy(), found.values[:, other])
    return report


def normality(z: np.ndarray) -> dict[str, float]:
    """How far points (n, dim) are from draws of N(0, I).

    Returns:
        ``mean_square``: of all numbers, 1 for N(0, I). ``numbers`` and ``lengths``: Kolmogorov and Smirnov's statistic,
        the largest distance of two distribution functions, of all numbers from N(0, 1) and of the squared lengths from
        χ² with dim degrees of freedom; ``numbers_p`` and ``lengths_p``: the chance that draws of these lie as far.
    """
    from scipy.stats import chi2, kstest

    numbers, lengths = kstest(z.ravel(), "norm"), kstest(np.square(z, dtype=float).sum(1), chi2(z.shape[1]).cdf)
    return {
        "mean_square": float(np.square(z, dtype=float).mean()),
        "numbers": float(numbers.statistic),
        "numbers_p": float(numbers.pvalue),
        "lengths": float(lengths.statistic),
        "lengths_p": float(lengths.pvalue),
    }


def rank_correlation(targets: np.ndarray, values: np.ndarray) -> float:
    """Spearman's correlation of two arrays (n,); 0 where one of them is constant."""
    from scipy.stats import spearmanr

    return float(spearmanr(targets, values).statistic) if min(values.std(), targets.std()) > 0 else 0.0
