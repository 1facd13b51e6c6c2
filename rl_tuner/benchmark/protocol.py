"""The protocol: every way of steering on the same targets, at the same calls and at the same time."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.console import without_nan
from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood, check_compatible
from rhythmgan.models.weights import fingerprint
from rl_tuner.benchmark.config import BenchmarkConfig
from rl_tuner.benchmark.evaluators import Evaluators
from rl_tuner.benchmark.realism import RealBars, Realism, diversity, leakage, rank_correlation
from rl_tuner.benchmark.report import (
    AGENT,
    BEST_OF_N,
    COMPARED,
    MARKS,
    UNSTEERED,
    Kind,
    add_equal_time,
    criteria,
)
from rl_tuner.benchmark.targets import FEASIBLE, INFEASIBLE, families
from rl_tuner.config import REALISM
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import LatentAgent
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.actor import Actor, amortised_actor, train_actor
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.edit import edit_search, generated
from rl_tuner.search.evolution import evolution_strategy
from rl_tuner.search.gradient import gradient_ascent
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.linear import linear_directions
from rl_tuner.search.problem import Problem, Search, SearchResult
from rl_tuner.search.random_moves import greedy_look_ahead, random_walk
from rl_tuner.search.retrieval import retrieval
from rl_tuner.search.stepwise import greedy_by_step, particle_filter, rejection_by_step
from rl_tuner.stepwise.learned import LearnedReadOut, train_read_out
from rl_tuner.stepwise.read_out import RidgeReadOut, fit_read_out

PRIOR = "prior"
"""The reference row of the reward's prior."""

_REFERENCES = {UNSTEERED: "unsteered", PRIOR: "prior, untuned"}
_INSPECTED = ("pairs", "crossed")
"""The families whose answers are looked at closely: corners are four targets only."""


@dataclass(frozen=True)
class Row:
    """A way of steering.

    Attributes:
        id: what it is known by.
        kind: what it is for.
        title: what people read in the table.
        search: what it does.
        calls: how many calls it may use; None for as many as the curves show.
        keep_best: see ``Problem``.
        coefs: coefficients of ``Goals`` by name; those that are missing are 0.
        plans: whether it knows its budget and acts by it: then every mark of its curve is a search of its own.
        at_once: whether it spends all calls together: then the mark's search is also what its curve over time is of.
        prepare: makes what it needs, once, before any time is taken.
    """

    id: str
    kind: Kind
    title: str
    search: Search
    calls: int | None = None
    keep_best: bool = True
    coefs: Mapping[str, float] = field(default_factory=dict)
    plans: bool = False
    at_once: bool = False
    prepare: Callable[[], object] | None = None

    def solve(self, dynamics: Dynamics, targets: Tensor, calls: int, seed: int) -> SearchResult:
        """The answers to targets (n, F) within so many calls each."""
        if self.prepare:
            self.prepare()
        goals = Goals.of(targets, calls, None, **self.coefs)
        problem = Problem(dynamics, targets, calls, seed, goals, self.keep_best)
        self.search(problem)
        return problem.result()


def rows_of(dynamics: Dynamics, agent: LatentAgent, corpus: Corpus, config: BenchmarkConfig) -> list[Row]:
    """Every way of steering that is measured: baselines, the agent, its ablations."""
    distinct = corpus.split("train").distinct()
    bars = torch.from_numpy(words_to_bars(distinct.words, corpus.kit.n_parts))
    values = values_of(bars, TARGETS, corpus.kit)

    @cache
    def actor() -> Actor:
        return train_actor(dynamics, values, config.actor_seconds)

    @cache
    def ridge() -> RidgeReadOut:
        return fit_read_out(dynamics.generator, dynamics.space, config.read_out)

    @cache
    def learned() -> LearnedReadOut:
        return train_read_out(ridge(), config.read_out)

    def by_step(id: str, title: str, search: Search, prepare: Callable[[], object] = ridge) -> Row:
        return Row(id, "baseline", title, search, config.step_calls, plans=True, at_once=True, prepare=prepare)

    def coefs(realism: float, likelihood: float, kl: float) -> dict[str, float]:
        return {"realism": realism, "likelihood": likelihood, "kl": kl}

    calls, restarted, whole = config.calls, latent_agent_search(agent, restarts=True), coefs(REALISM, REALISM, REALISM)
    baselines = [
        Row(BEST_OF_N, "baseline", "best of N", best_of_n, config.long_calls),
        Row("best-of-n-whole-reward", "baseline", "best of N by the whole reward", best_of_n, calls, coefs=whole),
        Row("random-walk", "baseline", "random walk, the agent's actions", random_walk),
        Row("greedy", "baseline", "greedy look-ahead", greedy_look_ahead),
        Row("cma-es", "baseline", "CMA-ES", evolution_strategy),
        Row("gradient", "baseline", "gradient ascent", gradient_ascent),
        Row("linear", "baseline", "linear directions", linear_directions),
        Row("actor", "baseline", "amortised actor", lambda problem: amortised_actor(actor())(problem), prepare=actor),
        Row("retrieval", "baseline", "retrieval of a training bar", retrieval(bars, values)),
        # it decodes one bar and evaluates others: in the same time it sees many more
        Row("edit", "baseline", "edit search", edit_search(generated), 4 * config.long_calls),
        by_step("particle-filter", "particle filter", lambda problem: particle_filter(ridge())(problem)),
        by_step(
            "particle-filter-learned",
            "particle filter, learned read-out",
            lambda problem: particle_filter(learned())(problem),
            learned,
        ),
        by_step(
            "particle-filter-hasty",
            "particle filter, fairness 0",
            lambda problem: particle_filter(ridge(), fairness=0.0)(problem),
        ),
        by_step("greedy-by-step", "greedy, step by step", lambda problem: greedy_by_step(ridge())(problem)),
        by_step("rejection-by-step", "rejection, step by step", lambda problem: rejection_by_step(ridge())(problem)),
    ]
    agents = [
        Row("agent", "agent", "agent", latent_agent_search(agent), calls, keep_best=False, coefs=whole),
        Row("agent-keep-best", "ablation", "agent, never worse", latent_agent_search(agent), calls, coefs=whole),
        Row(AGENT, "agent", "agent, restarted", restarted, coefs=whole, plans=True),
    ]
    changed = {
        "no-critic": ("agent without discriminator", coefs(0.0, REALISM, REALISM)),
        "no-prior": ("agent without prior", coefs(REALISM, 0.0, REALISM)),
        "no-networks": ("agent without either", coefs(0.0, 0.0, REALISM)),
        "realism-0": ("agent, realism 0", coefs(0.0, 0.0, 0.0)),
        "realism-0.5": ("agent, realism 0.5", coefs(0.5, 0.5, 0.5)),
        "realism-1": ("agent, realism 1", coefs(1.0, 1.0, 1.0)),
    }
    ablations = [
        Row(f"agent-{name}", "ablation", title, restarted, calls, coefs=each) for name, (title, each) in changed.items()
    ]
    return [*baselines, *agents, *ablations]


def run(
    generator: LatentCritic,
    prior: SamplingLikelihood,
    agent: LatentAgent,
    corpus: Corpus,
    evaluators: Evaluators,
    config: BenchmarkConfig | None = None,
    folder: str | os.PathLike[str] | None = None,
    only: Sequence[str] | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure every row; see ``report.to_markdown`` for what the table shows.

    Args:
        generator, prior: what the agent was rewarded by.
        agent: see there.
        corpus: bars of songs: targets and real bars are of the test songs, retrieval has those of the train songs.
        evaluators: networks that nothing was rewarded by.
        config: how much is measured.
        folder: where finished rows are kept, and found again by a later call with the same models, bars and config.
        only: ids of the rows to measure, beside those that the criteria compare; all by default.
        log: called with a line after each row.

    Returns:
        A report of plain values: ``config``, ``rows``, ``leakage``, ``criteria``.

    Raises:
        ValueError: no bars, an unknown row, or an agent of another generator or of other features.
    """
    config = config or BenchmarkConfig()
    if agent.config.features != TARGETS:
        raise ValueError("the benchmark is one of density and syncopation, which this agent does not steer")
    dynamics = agent.dynamics(generator, generator, prior)
    check_compatible(generator, corpus.kit, corpus.steps, "the GAN")
    real = RealBars.of(corpus)
    rows = rows_of(dynamics, agent, corpus, config)
    if only is not None:
        known = [*_REFERENCES, *(row.id for row in rows)]
        for name in only:
            if name not in known:
                raise ValueError(f"no row has the id {name!r}; there are {', '.join(known)}")
    realism = Realism(dynamics, evaluators, real, config.realism)
    n_answers = len(config.seeds) * sum(config.sizes[family] for family in _INSPECTED)
    references = {
        UNSTEERED: partial(realism.of_unsteered, n_answers),
        PRIOR: partial(realism.of_samples, prior, n_answers),
    }

    def measured(row: Row) -> dict[str, Any]:
        report, answers = measure(dynamics, row, real.values, config)
        return report | realism.of_successes(answers) | measure_diversity(dynamics, row, real.values, config)

    models = [generator.fingerprint, generator.critic_fingerprint, prior.fingerprint, fingerprint(agent)]
    models += [evaluators.critic.critic_fingerprint, evaluators.prior.fingerprint]
    cache_of_rows = _RowCache(folder, [*models, digest(corpus.words), asdict(config)], log)
    report: dict[str, Any] = {"config": asdict(config), "rows": []}

    def add(head: dict[str, Any], how: object, what: Callable[[], dict[str, Any]]) -> None:
        if only is None or head["id"] in (*COMPARED, *only):
            report["rows"].append(head | cache_of_rows.take(head["id"], how, head["title"], what))

    for name, title in _REFERENCES.items():
        add({"id": name, "kind": "reference", "title": title}, None, references[name])
    for row in rows:
        head = {"id": row.id, "kind": row.kind, "title": row.title}
        add(head, [row.calls, row.keep_best, dict(row.coefs), row.plans, row.at_once], partial(measured, row))
    asked = families(real.values, config.sizes, config.seeds[0])["pairs"]
    report["leakage"] = leakage(dynamics, agent, asked, real.values, config.calls)
    add_equal_time(report)
    report["criteria"] = criteria(report)
    return report


class _RowCache:
    """Keeps finished rows in a folder, so that a stopped benchmark is resumed."""

    def __init__(self, folder: str | os.PathLike[str] | None, of: Sequence[Any], log: Callable[[str], None]) -> None:
        self.folder = None if folder is None else make_folder(folder)
        self.of, self.log = of, log

    def take(self, name: str, how: object, title: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of this id: the kept one where it was measured in the same way, or else what ``measure`` gives."""
        key = hashlib.sha256(json.dumps([name, how, *self.of]).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.json" if self.folder else None
        if path and path.exists():
            return dict(json.loads(path.read_text()))
        began = time.perf_counter()
        row = measure()
        if path:
            write_whole(path, json.dumps(without_nan(row), allow_nan=False).encode())
        self.log(f"{title}: {time.perf_counter() - began:.0f} s")
        return row


def measure(
    dynamics: Dynamics, row: Row, values: Tensor, config: BenchmarkConfig
) -> tuple[dict[str, Any], list[SearchResult]]:
    """Success by family and calls, precision and time of a row.

    Args:
        dynamics: what moves z.
        row: the way of steering.
        values: (m, 2), features of real bars, of which the targets are made.
        config: how much is measured.

    Returns:
        The numbers, and the answers at the protocol's budget: pairs of each seed, then crossed targets of each.
    """
    most, budget = row.calls or config.max_calls, config.calls
    marks = [calls for calls in MARKS if calls <= most]
    stds = values.std(0).numpy()
    curves: dict[str, list[list[float]]] = {family: [] for family in FEASIBLE}
    exact_curves: dict[str, list[list[float]]] = {family: [] for family in FEASIBLE}
    answers: dict[str, list[SearchResult]] = {family: [] for family in _INSPECTED}
    exact, errors, ranks, seconds, clean, timed = [], [], [], [], [], []
    for seed in config.seeds:
        for family, targets in families(values, config.sizes, seed).items():
            calls = most if family in FEASIBLE else budget
            found = row.solve(dynamics, targets, min(calls, budget) if row.plans else calls, seed)
            at_budget = found if calls <= budget or row.plans else row.solve(dynamics, targets, budget, seed)
            if family == INFEASIBLE:
                clean.append(not found.success.any() and bool(np.isfinite(found.values).all()))
                continue
            planned = {mark: row.solve(dynamics, targets, mark, seed) for mark in marks} if row.plans else {}
            curves[family].append([float(planned.get(mark, found).success_within(mark).mean()) for mark in marks])
            exact_curves[family].append([_exact(each, targets) for each in planned.values()])
            if family == "pairs":
                timed.append(_time_curve(planned.values() if row.at_once else [found]))
            if family in answers:
                answers[family].append(at_budget)
                gap = at_budget.values - targets.numpy()
                exact.append(_exact(at_budget, targets))
                errors.append((np.abs(gap) / stds).mean(0))
                ranks.append([rank_correlation(targets[:, i].numpy(), at_budget.values[:, i]) for i in range(2)])
                seconds.append(float(at_budget.seconds[-1]) / len(targets))
    numbers = {
        "calls": most,
        "marks": marks,
        "success": {family: np.array(each).mean(0).tolist() for family, each in curves.items()},
        "interval": {family: interval(np.array(each)).tolist() for family, each in curves.items()},
        "exact": float(np.mean(exact)),
        "error": np.mean(errors, 0).tolist(),
        "rank": np.mean(ranks, 0).tolist(),
        "milliseconds": 1000 * float(np.mean(seconds)),
        "time_curve": np.array(timed).mean(0).tolist(),
        "ends_cleanly": all(clean),
    }
    if row.plans:  # others stop at a success, exact or not: what they have at a mark is no answer to it
        numbers["exact_curve"] = {family: np.array(each).mean(0).tolist() for family, each in exact_curves.items()}
    return numbers, [one for family in _INSPECTED for one in answers[family]]


def _exact(found: SearchResult, targets: Tensor) -> float:
    """The share of answers that have their targets (n, F) exactly."""
    return float((found.values == targets.numpy()).all(1).mean())


def _time_curve(results: Iterable[SearchResult]) -> list[tuple[float, float]]:
    """Seconds and share of successes: after each call of one search, or at the end of searches that spend all at once.

    Args:
        results: of the same targets: one, or several in order of their calls.
    """
    results = list(results)
    if len(results) > 1:
        return [(float(found.seconds[-1]), float(found.success.mean())) for found in results]
    (found,) = results
    shares = [float(found.success_within(call).mean()) for call in range(1, len(found.seconds) + 1)]
    return list(zip(found.seconds.tolist(), shares, strict=True))


def measure_diversity(dynamics: Dynamics, row: Row, values: Tensor, config: BenchmarkConfig) -> dict[str, float]:
    """How much a row's answers to the same targets differ, see ``diversity``; the arguments are ``measure``'s."""
    seed = config.seeds[0]
    targets = families(values, config.sizes, seed)["pairs"][: config.shared_targets]
    found = row.solve(dynamics, targets.repeat_interleave(config.starts, 0), config.calls, seed)
    return diversity(found, config.starts)


def interval(values: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the first axis, by Student's t; 0 of a single row."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return np.zeros(values.shape[1:])
    return t.ppf(0.975, n - 1) * values.std(0, ddof=1) / np.sqrt(n)
