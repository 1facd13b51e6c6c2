"""The protocol: every way of steering on the same targets, at the same calls and at the same time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from rhythmgan.console import without_nan
from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder, write_whole
from rhythmgan.inputs import read_json_object
from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood, check_compatible
from rhythmgan.models.weights import fingerprint
from rl_tuner.benchmark.config import BenchmarkConfig
from rl_tuner.benchmark.evaluators import Evaluators
from rl_tuner.benchmark.realism import RealBars, Realism, diversity, leakage, rank_correlation
from rl_tuner.benchmark.report import AGENT, COMPARED, MARKS, UNSTEERED, add_equal_time, criteria
from rl_tuner.benchmark.rows import Row, Steered, baselines
from rl_tuner.benchmark.targets import FEASIBLE, INFEASIBLE, families
from rl_tuner.latent.agent import LatentAgent
from rl_tuner.search.problem import SearchResult

PRIOR = "prior"
"""The reference row of the reward's prior."""

_REFERENCES = {UNSTEERED: "unsteered", PRIOR: "prior, untuned"}
_INSPECTED = ("pairs", "crossed")
"""The families whose answers are looked at closely: corners are four targets only."""

Progress = Callable[[int, int, str], None]
"""Called with what is done, of how much, and the title of a row: a row is one more than it has seeds."""


def run(
    generator: LatentCritic,
    prior: SamplingLikelihood,
    corpus: Corpus,
    evaluators: Evaluators,
    config: BenchmarkConfig | None = None,
    *,
    agents: Callable[[Steered], Sequence[Row]] | None = None,
    agent_fingerprint: str = "",
    latent_agent: LatentAgent | None = None,
    folder: str | os.PathLike[str] | None = None,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure every row; see ``report`` for what the tables show.

    Args:
        generator: under its condition.
        prior: what rewards beside the generator's own critic.
        corpus: bars of songs: targets and real bars are of the test songs, retrieval has those of the train songs.
        evaluators: networks that nothing was rewarded by.
        config: how much is measured.
        agents: makes the rows of the agent: that of id ``AGENT``, and its ablations. Without one there are no criteria.
        agent_fingerprint: of the agent's weights, by which kept rows are told from another agent's.
        latent_agent: the agent of whole-bar moves, see ``rows.baselines``.
        folder: where finished rows are kept, and found again by a later call with the same models, bars and config.
        only: ids of the rows to measure, beside those that the criteria compare; all by default.
        progress: hears how far it is.

    Returns:
        A report of plain values, None for what was not measured: ``config``, ``rows``, ``criteria``, and ``leakage``
        of the agent.

    Raises:
        ValueError: songs, models or agents that do not belong together, or an unknown row.
        OSError: the folder cannot be written.
    """
    config = config or BenchmarkConfig()
    check_compatible(generator, corpus.kit, corpus.steps, "the GAN")
    real = RealBars.of(corpus)
    steered = Steered.of(generator, generator, prior)
    rows = [*baselines(steered, real.known, config, latent_agent), *(agents(steered) if agents else ())]
    known = [*_REFERENCES, *(row.id for row in rows)]
    for name in only or ():
        if name not in known:
            raise ValueError(f"no row has the id {name!r}; there are {', '.join(known)}")
    chosen = [name for name in known if only is None or name in (*COMPARED, *only)]
    realism = Realism(steered, evaluators, real, config.realism)
    n_answers = len(config.seeds) * sum(config.sizes[family] for family in _INSPECTED)
    references = {
        UNSTEERED: partial(realism.of_unsteered, n_answers),
        PRIOR: partial(realism.of_samples, prior, n_answers),
    }
    models = [generator.fingerprint, generator.critic_fingerprint, prior.fingerprint, agent_fingerprint]
    models += [fingerprint(latent_agent)] if latent_agent else []
    models += [evaluators.critic.critic_fingerprint, evaluators.prior.fingerprint]
    cache_of_rows = _RowCache(folder, [*models, digest(corpus.words), asdict(config)])
    report: dict[str, Any] = {"config": asdict(config), "rows": []}
    steps, done = len(config.seeds) + 1, 0

    def tell(title: str, seeds: int = 0) -> None:
        if progress:
            progress(done + seeds, steps * len(chosen), title)

    for name, title in _REFERENCES.items():
        if name in chosen:
            tell(title)
            report["rows"].append(
                {"id": name, "kind": "reference", "title": title} | cache_of_rows.take(name, None, references[name])
            )
            done += steps
    for row in rows:
        if row.id not in chosen:
            continue

        def measured(row: Row = row) -> dict[str, Any]:
            found, answers = measure(steered, row, real.values, config, partial(tell, row.title))
            return found | realism.of_successes(answers) | measure_diversity(steered, row, real.values, config)

        tell(row.title)
        how = [row.calls, dict(row.coefs), row.plans]
        head = {"id": row.id, "kind": row.kind, "title": row.title}
        report["rows"].append(head | cache_of_rows.take(row.id, how, measured))
        done += steps
    agent = next((row for row in rows if row.id == AGENT), None)
    if agent:
        asked = families(real.values, config.sizes, config.seeds[0])["pairs"]
        report["leakage"] = leakage(steered, agent, asked, real.values, config.calls)
    tell("")
    add_equal_time(report)
    report["criteria"] = criteria(report)
    return report


class _RowCache:
    """Keeps finished rows in a folder, so that a stopped benchmark is resumed."""

    def __init__(self, folder: str | os.PathLike[str] | None, of: Sequence[Any]) -> None:
        self.folder = None if folder is None else make_folder(folder)
        self.of = of

    def take(self, name: str, how: object, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of this id: the kept one where it was measured in the same way, or else what ``measure`` gives.

        Raises:
            ValueError: the kept one cannot be read; it names the file.
            OSError: its file is none, or a new one cannot be written.
        """
        key = hashlib.sha256(json.dumps([name, how, *self.of]).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.json" if self.folder else None
        if path and path.exists():
            return read_json_object(path)
        row: dict[str, Any] = without_nan(measure())
        if path:
            write_whole(path, json.dumps(row, allow_nan=False).encode(), durable=True)
        return row


class _Answers:
    """What a row answers to the same targets at each number of calls.

    A row that plans is asked anew for each; another is asked once, with as many calls as it may use.
    """

    def __init__(self, steered: Steered, row: Row, targets: Tensor, most: int, seed: int) -> None:
        self.steered, self.row, self.targets, self.most, self.seed = steered, row, targets, most, seed
        self._found: dict[int, SearchResult] = {}

    def with_budget(self, calls: int) -> SearchResult:
        """Those of a search of so many calls, or of as many as the row may use."""
        calls = min(calls, self.most)
        if calls not in self._found:
            self._found[calls] = self.row.solve(self.steered, self.targets, calls, self.seed)
        return self._found[calls]

    def _within(self, calls: int) -> tuple[SearchResult, int]:
        """A search that says what the row has after so many calls, and after how many of its own."""
        calls = min(calls, self.most)
        return (self.with_budget(calls), calls) if self.row.plans else (self.with_budget(self.most), calls)

    def success(self, calls: int) -> float:
        """The share of targets that are reached within so many calls."""
        found, calls = self._within(calls)
        return float(found.success_within(calls).mean())

    def exact(self, calls: int) -> float:
        """The share of answers of a search of so many calls that have their targets exactly."""
        return float((self.with_budget(calls).values == self.targets.numpy()).all(1).mean())

    def seconds(self, calls: int) -> float:
        """Time that the row takes for so many calls to each of all targets."""
        found, calls = self._within(calls)
        return float(found.seconds[calls - 1])


def measure(
    steered: Steered, row: Row, values: Tensor, config: BenchmarkConfig, tell: Callable[[int], None] | None = None
) -> tuple[dict[str, Any], list[SearchResult]]:
    """Success by family and calls, precision and time of a row.

    Args:
        steered: the generator.
        row: the way of steering.
        values: (m, 2), features of real bars, of which the targets are made.
        config: how much is measured.
        tell: hears how many seeds are done.

    Returns:
        The numbers, and the answers at the protocol's budget: pairs of each seed, then crossed targets of each.
    """
    most, budgets = row.calls or config.max_calls, (config.short_calls, config.calls)
    marks = [calls for calls in MARKS if calls <= most]
    stds = values.std(0).numpy()
    curves: dict[str, list[list[float]]] = {family: [] for family in FEASIBLE}
    exact_curves: dict[str, list[list[float]]] = {family: [] for family in FEASIBLE}
    inspected: dict[str, list[SearchResult]] = {family: [] for family in _INSPECTED}
    exact, errors, ranks, seconds, spent, clean, timed = [], [], [], [], [], [], []
    for done, seed in enumerate(config.seeds, 1):
        for family, targets in families(values, config.sizes, seed).items():
            answers = _Answers(steered, row, targets, most, seed)
            found = answers.with_budget(config.calls)
            if family == INFEASIBLE:
                clean.append(not found.success.any() and bool(np.isfinite(found.values).all()))
                continue
            curves[family].append([answers.success(mark) for mark in marks])
            if row.plans:
                exact_curves[family].append([answers.exact(mark) for mark in marks])
            if family in inspected:
                inspected[family].append(found)
                errors.append((np.abs(found.values - targets.numpy()) / stds).mean(0))
                ranks.append([rank_correlation(targets[:, i].numpy(), found.values[:, i]) for i in range(2)])
            if family == "pairs":
                # others have stopped at a success, exact or not: with fewer calls they gave no answer of their own
                exact.append([answers.exact(config.short_calls) if row.plans else np.nan, answers.exact(config.calls)])
                seconds.append([answers.seconds(calls) / len(targets) for calls in budgets])
                spent.append(found.spent)
                timed.append(_time_curve(answers, marks))
        if tell:
            tell(done)
    numbers = {
        "calls": most,
        "marks": marks,
        "success": {family: np.array(each).mean(0).tolist() for family, each in curves.items()},
        "interval": {family: interval(np.array(each)).tolist() for family, each in curves.items()},
        "exact": np.mean(exact, 0).tolist(),
        "error": np.mean(errors, 0).tolist(),
        "rank": np.mean(ranks, 0).tolist(),
        "milliseconds": (1000 * np.mean(seconds, 0)).tolist(),
        "spent": float(np.mean(spent)),
        "time_curve": np.array(timed).mean(0).tolist(),
        "ends_cleanly": all(clean),
    }
    if row.plans:
        numbers["exact_curve"] = {family: np.array(each).mean(0).tolist() for family, each in exact_curves.items()}
    return numbers, [one for family in _INSPECTED for one in inspected[family]]


def _time_curve(answers: _Answers, marks: Sequence[int]) -> list[tuple[float, float, float]]:
    """Seconds, share of successes and share of exact answers after each number of calls; no exact ones without a plan.

    Of a row that plans these are the marks, of another all numbers that it may use.
    """
    plans = answers.row.plans
    return [
        (answers.seconds(calls), answers.success(calls), answers.exact(calls) if plans else np.nan)
        for calls in (marks if plans else range(1, answers.most + 1))
    ]


def measure_diversity(steered: Steered, row: Row, values: Tensor, config: BenchmarkConfig) -> dict[str, float]:
    """How much a row's answers to the same targets differ, see ``diversity``; the arguments are ``measure``'s."""
    seed = config.seeds[0]
    targets = families(values, config.sizes, seed)["pairs"][: config.shared_targets]
    found = row.solve(steered, targets.repeat_interleave(config.starts, 0), config.calls, seed)
    return diversity(found, config.starts)


def interval(values: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the first axis, by Student's t; 0 of a single row."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return np.zeros(values.shape[1:])
    return t.ppf(0.975, n - 1) * values.std(0, ddof=1) / np.sqrt(n)
