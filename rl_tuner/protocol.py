"""The protocol: every way of steering on the same targets, at the same calls and at the same time, judged by others."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan import metrics
from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, digest
from rhythmgan.evaluate import feature_matrix
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import Critic, LatentCritic, Likelihood, Sampler, SamplingLikelihood, check_compatible
from rhythmgan.models.weights import fingerprint
from rl_tuner.agent import Agent
from rl_tuner.judges import Judges
from rl_tuner.latent.dynamics import Dynamics, Goals
from rl_tuner.latent.space import TARGETS, values_of
from rl_tuner.search.actor import Actor, amortised_actor, train_actor
from rl_tuner.search.agent import agent_search
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.edit import edit_search, generated
from rl_tuner.search.evolution import evolution_strategy
from rl_tuner.search.gradient import gradient_ascent
from rl_tuner.search.linear import linear_directions
from rl_tuner.search.problem import Problem, Search, SearchResult
from rl_tuner.search.random_moves import greedy_look_ahead, random_walk
from rl_tuner.search.retrieval import retrieval
from rl_tuner.steering import REALISM, run_episodes

FEASIBLE = ("pairs", "crossed", "corners")
INFEASIBLE = "infeasible"

CALLS = 32
"""The budget at which the lines are drawn."""

MARKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
"""Calls at which success is told."""


@dataclass(frozen=True)
class Protocol:
    """How much is measured.

    Attributes:
        seeds: every row is measured with each of these.
        pairs, crossed, corners, infeasible: how many targets of each family.
        most_calls: calls up to which the curves go.
        long: calls of best-of-N, a quarter of edit search's.
        starts: starts for each target where diversity is measured.
        shared_targets: targets of which diversity is measured.
        actor_seconds: training time of the amortised actor.
        repeats: halves of the songs in a C2ST.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    pairs: int = 500
    crossed: int = 500
    corners: int = 200
    infeasible: int = 100
    most_calls: int = 256
    long: int = 1024
    starts: int = 32
    shared_targets: int = 50
    actor_seconds: float = 120.0
    repeats: int = 4


QUICK = Protocol((0, 1), 100, 100, 40, 20, 64, 256, 8, 10, 10.0, 2)
"""For a first look."""


@dataclass(frozen=True)
class Row:
    """A way of steering.

    Attributes:
        name: in the table.
        search: what it does.
        calls: how many calls it may use; None for as many as the curves show.
        selects: see ``Problem``.
        realism, likelihood, kl_coef: weights of discriminator, prior and kl, see ``Goals``.
        plans: whether it knows its budget and acts by it: then every mark of its curve is a search of its own.
    """

    name: str
    search: Search
    calls: int | None = None
    selects: bool = True
    realism: float = 0.0
    likelihood: float = 0.0
    kl_coef: float = 0.0
    plans: bool = False


def families(values: Tensor, protocol: Protocol, seed: int) -> dict[str, Tensor]:
    """Targets (n, 2) of each family, of the features of real bars (m, 2) density and syncopation.

    ``pairs`` are those of bars, ``crossed`` have each feature of another bar, ``corners`` are the four of the 5 % and
    95 % quantiles, ``infeasible`` have syncopation without onsets, or more of one of them than a bar can hold.
    """
    random = torch.Generator().manual_seed(seed)

    def rows(n: int) -> Tensor:
        return torch.randint(len(values), (n,), generator=random)

    low, high = (torch.quantile(values, share, dim=0, interpolation="nearest") for share in (0.05, 0.95))
    corners = torch.stack([torch.stack([d, s]) for d in (low[0], high[0]) for s in (low[1], high[1])])
    impossible = torch.tensor([[0.0, 9.0], [200.0, 6.0], [3.0, 40.0], [18.0, 60.0]])
    return {
        "pairs": values[rows(protocol.pairs)],
        "crossed": torch.stack([values[rows(protocol.crossed), 0], values[rows(protocol.crossed), 1]], 1),
        "corners": corners[torch.arange(protocol.corners) % 4],
        INFEASIBLE: impossible[torch.arange(protocol.infeasible) % 4],
    }


def rows_of(dynamics: Dynamics, agent: Agent, corpus: Corpus, protocol: Protocol) -> list[Row]:
    """Every way of steering of the protocol, the agent's last."""
    distinct = corpus.split("train").distinct()
    bars = torch.from_numpy(words_to_bars(distinct.words, corpus.kit.n_parts))
    values = values_of(bars, TARGETS, corpus.kit)

    @cache
    def actor() -> Actor:
        return train_actor(dynamics, values, protocol.actor_seconds)

    restarted, whole = agent_search(agent, restarts=True), (REALISM, REALISM, REALISM)
    return [
        Row("best of N", best_of_n, protocol.long),
        Row("best of N by the whole reward", best_of_n, CALLS, True, *whole),
        Row("random walk, the agent's actions", random_walk),
        Row("greedy look-ahead", greedy_look_ahead),
        Row("CMA-ES", evolution_strategy),
        Row("gradient ascent", gradient_ascent),
        Row("linear directions", linear_directions),
        Row("amortised actor", lambda problem: amortised_actor(actor())(problem)),
        Row("retrieval of a training bar", retrieval(bars, values)),
        # it decodes one bar and looks at others: in the same time it sees many more
        Row("edit search", edit_search(generated), 4 * protocol.long),
        Row("agent", agent_search(agent), CALLS, False, *whole),
        Row("agent, never worse", agent_search(agent), CALLS, True, *whole),
        Row(AGENT, restarted, None, True, *whole, plans=True),
        Row("agent without discriminator", restarted, CALLS, True, 0.0, *whole[1:]),
        Row("agent without prior", restarted, CALLS, True, whole[0], 0.0, whole[2]),
        Row("agent without either", restarted, CALLS, True, 0.0, 0.0, whole[2]),
        Row("agent, realism 0", restarted, CALLS),
        Row("agent, realism 0.5", restarted, CALLS, True, 0.5, 0.5, 0.5),
        Row("agent, realism 1", restarted, CALLS, True, 1.0, 1.0, 1.0),
    ]


AGENT = "agent, restarted"
"""The row that the lines are drawn for."""


def search(dynamics: Dynamics, row: Row, targets: Tensor, calls: int, seed: int) -> SearchResult:
    """One row's answers to targets."""
    goals = Goals.of(targets, calls, realism=row.realism, likelihood=row.likelihood, kl_coef=row.kl_coef)
    problem = Problem(dynamics, targets, calls, seed, goals, row.selects)
    row.search(problem)
    return problem.result()


def run(
    gan: LatentCritic,
    prior: SamplingLikelihood,
    agent: Agent,
    corpus: Corpus,
    judges: Judges,
    protocol: Protocol | None = None,
    folder: str | os.PathLike[str] | None = None,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure every row; see ``to_markdown`` for what comes of it.

    Args:
        gan, prior: what the agent was rewarded by.
        agent: see there.
        corpus: bars of songs: targets and real bars are of the test songs, retrieval has those of the train songs.
        judges: see there.
        protocol: how much is measured.
        folder: where finished rows are kept, and found again by a later call of the same models, bars and protocol.
        tell: hears what is being done.

    Returns:
        A report of plain values: ``protocol``, ``rows``, ``lines``.

    Raises:
        ValueError: no bars, or an agent of another generator or of other features.
    """
    protocol = protocol or Protocol()
    if agent.config.features != TARGETS:
        raise ValueError("the protocol is one of density and syncopation, which this agent does not steer")
    dynamics = agent.dynamics(gan, gan, prior)
    test = corpus.split("test").distinct()
    check_compatible(gan, corpus.kit, corpus.steps, "the GAN")
    if not len(test) or not len(corpus.split("train")):
        raise ValueError("the protocol needs bars of train and of test songs")
    real = words_to_bars(test.words, corpus.kit.n_parts)
    values = values_of(real, TARGETS, corpus.kit)
    known = words_to_bars(corpus.split("train").distinct().words, corpus.kit.n_parts)
    rows = rows_of(dynamics, agent, corpus, protocol)
    court = _Court(dynamics, judges, real, test.song_id, values, known, protocol)

    def measure(row: Row) -> dict[str, Any]:
        found = _measure(dynamics, row, values, protocol)
        kept = [one for family in ("pairs", "crossed") for one in found.pop(family)]
        return (
            {"calls": row.calls or protocol.most_calls}
            | found
            | court.judge(kept)
            | _diversity(dynamics, row, values, protocol)
        )

    models = [gan.fingerprint, gan.critic_fingerprint, prior.fingerprint, fingerprint(agent)]
    models += [judges.critic.critic_fingerprint, judges.prior.fingerprint]
    shelf = _Shelf(folder, [*models, digest(corpus.words), asdict(protocol)], tell)
    report: dict[str, Any] = {"protocol": asdict(protocol), "rows": []}
    report["rows"].append(shelf.take("unsteered", None, court.judge_unsteered))
    report["rows"].append(shelf.take("prior, untuned", None, partial(court.judge_prior, prior)))
    for row in rows:
        how = [row.calls, row.selects, row.realism, row.likelihood, row.kl_coef, row.plans]
        report["rows"].append(shelf.take(row.name, how, partial(measure, row)))
    report["leakage"] = _leakage(dynamics, agent, values, protocol)
    _equal_time(report)
    report["lines"] = _lines(report)
    return report


class _Shelf:
    """Keeps finished rows in a folder, so that a stopped evaluation goes on where it was."""

    def __init__(self, folder: str | os.PathLike[str] | None, of: Sequence[Any], tell: Callable[[str], None]) -> None:
        self.folder = None if folder is None else make_folder(folder)
        self.of, self.tell = of, tell

    def take(self, name: str, how: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of this name: the kept one where it was measured in the same way, or ``measure``'s."""
        key = hashlib.sha256(json.dumps([name, how, *self.of]).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.json" if self.folder else None
        if path and path.exists():
            return dict(json.loads(path.read_text()))
        began = time.perf_counter()
        row = {"name": name} | measure()
        if path:
            write_whole(path, json.dumps(plain(row), allow_nan=False).encode())
        self.tell(f"{name}: {time.perf_counter() - began:.0f} s")
        return row


def _measure(dynamics: Dynamics, row: Row, values: Tensor, protocol: Protocol) -> dict[str, Any]:
    """Success by family and calls, precision, time; and the answers themselves at the budget of the lines."""
    most = row.calls or protocol.most_calls
    marks = [calls for calls in MARKS if calls <= most]
    spreads = values.std(0)
    curves: dict[str, list[list[float]]] = {family: [] for family in FEASIBLE}
    exact, errors, ranks, seconds, clean = [], [], [], [], []
    answers: dict[str, list[SearchResult]] = {"pairs": [], "crossed": []}
    timed = []
    for seed in protocol.seeds:
        for family, targets in families(values, protocol, seed).items():
            calls = most if family in FEASIBLE else CALLS
            found = search(dynamics, row, targets, min(calls, CALLS) if row.plans else calls, seed)
            at_budget = found if calls <= CALLS or row.plans else search(dynamics, row, targets, CALLS, seed)
            if family == INFEASIBLE:
                clean.append(not found.success.any() and bool(np.isfinite(found.values).all()))
                continue
            budgets = {mark: search(dynamics, row, targets, mark, seed) for mark in marks} if row.plans else {}
            curves[family].append([float(budgets.get(mark, found).success_within(mark).mean()) for mark in marks])
            if family == "pairs":
                timed.append(
                    [(float(spent), float(found.success_within(k + 1).mean())) for k, spent in enumerate(found.seconds)]
                )
            if family in answers:
                answers[family].append(at_budget)
                gap = at_budget.values - targets.numpy()
                exact.append(float((gap == 0).all(1).mean()))
                errors.append((np.abs(gap) / spreads.numpy()).mean(0))
                ranks.append([_rank_correlation(targets[:, i].numpy(), at_budget.values[:, i]) for i in range(2)])
                seconds.append(float(at_budget.seconds[-1]) / len(targets))
    return {
        "marks": marks,
        "success": {family: np.array(each).mean(0).tolist() for family, each in curves.items()},
        "interval": {family: _interval(np.array(each)).tolist() for family, each in curves.items()},
        "exact": float(np.mean(exact)),
        "error": np.mean(errors, 0).tolist(),
        "rank": np.mean(ranks, 0).tolist(),
        "milliseconds": 1000 * float(np.mean(seconds)),
        "time_curve": np.array(timed).mean(0).tolist(),
        "ends_cleanly": all(clean),
    } | answers


def _interval(values: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over the first axis, by Student's t."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return np.zeros(values.shape[1:])
    return t.ppf(0.975, n - 1) * values.std(0, ddof=1) / np.sqrt(n)


def _rank_correlation(wanted: np.ndarray, got: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(wanted, got).statistic) if min(got.std(), wanted.std()) > 0 else 0.0


class _Court:
    """Judges whether bars that hit are still real."""

    def __init__(
        self,
        dynamics: Dynamics,
        judges: Judges,
        real: np.ndarray,
        song: np.ndarray,
        values: Tensor,
        known: np.ndarray,
        protocol: Protocol,
    ) -> None:
        self.dynamics, self.judges, self.protocol = dynamics, judges, protocol
        self.real, self.song_id, self.known = real, song, known
        self.values = values.numpy()
        self.n_answers = len(protocol.seeds) * (protocol.pairs + protocol.crossed)
        self.plain = dynamics.generator.sample(_POOL, seed=_POOL_SEED)
        self.plain_values = values_of(self.plain, TARGETS, dynamics.generator.kit).numpy()

    def judge_unsteered(self) -> dict[str, Any]:
        """Bars of seeds, against real ones of the same density and syncopation."""
        n = self.n_answers
        return self._compare(self.plain[:n], self.plain_values[:n]) | {
            "norm": [1.0, float(self._norms(self.dynamics.generator.latents(range(_POOL_SEED, _POOL_SEED + n))).std())]
        }

    def judge_prior(self, prior: Sampler) -> dict[str, Any]:
        """The reward's prior by itself."""
        n = self.n_answers
        bars = prior.sample(n, seed=_POOL_SEED)
        return self._compare(bars, values_of(bars, TARGETS, self.dynamics.generator.kit).numpy())

    def judge(self, found: Sequence[SearchResult]) -> dict[str, Any]:
        """The bars that hit, of all seeds."""
        bars = np.concatenate([one.bars[one.success] for one in found])
        values = np.concatenate([one.values[one.success] for one in found])
        z = np.concatenate([one.z[one.success] for one in found])
        norms = self._norms(z) if np.isfinite(z).all() and len(z) else None
        report = self._compare(bars, values)
        return report | ({"norm": [float(norms.mean()), float(norms.std())]} if norms is not None else {})

    def _norms(self, z: np.ndarray) -> np.ndarray:
        return np.linalg.norm(z, axis=1) / np.sqrt(z.shape[1])

    def _compare(self, bars: np.ndarray, values: np.ndarray) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        order = rng.permutation(len(bars))
        bars, values = bars[order], values[order]
        mine, theirs = _matched(values, self.values, rng)
        mine, theirs = mine[:_JUDGED], theirs[:_JUDGED]
        if len(mine) < _LEAST:
            return {"judged": len(mine)}
        made, real = bars[mine], self.real[theirs]
        told = metrics.c2st(real, self.song_id[theirs], made, repeats=self.protocol.repeats)
        kit = self.dynamics.generator.kit
        reference, features = metrics.standardised(feature_matrix(real, kit), feature_matrix(made, kit))
        # what the networks say depends on density: beside unsteered bars that have the same
        here, there = _matched(values[mine], self.plain_values, rng)
        steered, plain = bars[mine][here], self.plain[there]
        return {
            "judged": len(mine),
            "c2st": told["c2st"],
            "spread": told.get("std", 0.0),
            "coverage": metrics.prdc(reference, features)["coverage"],
            "copies": metrics.novelty(made, self.known)["copies"],
            "nats": mean_nats(self.judges.prior, steered) - mean_nats(self.judges.prior, plain),
            "nats_of_the_reward": mean_nats(self.dynamics.prior, steered) - mean_nats(self.dynamics.prior, plain),
            "logit": mean_logit(self.judges.critic, steered) - mean_logit(self.judges.critic, plain),
            "logit_of_the_reward": mean_logit(self.dynamics.critic, steered) - mean_logit(self.dynamics.critic, plain),
        }


def mean_nats(prior: Likelihood, bars: np.ndarray) -> float:
    """Mean log p of a step of bars (n, steps, parts) bool under a prior."""
    return float(prior.log_prob(bars).mean()) / bars.shape[1]


def mean_logit(critic: Critic, bars: np.ndarray) -> float:
    """Mean logit of bars (n, steps, parts) bool by a critic."""
    return float(critic.logits(bars).mean())


_POOL = 60_000
_POOL_SEED = 1 << 40
_JUDGED = 3000
_LEAST = 200


def _matched(values: np.ndarray, pool: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows with equal features, no row of either twice, in the order of the values: two index arrays."""
    buckets: dict[tuple[float, ...], list[int]] = {}
    for index in rng.permutation(len(pool)):
        buckets.setdefault(tuple(pool[index]), []).append(int(index))
    mine, theirs = [], []
    for index, value in enumerate(map(tuple, values)):
        if buckets.get(value):
            mine.append(index)
            theirs.append(buckets[value].pop())
    return np.array(mine, int), np.array(theirs, int)


def _diversity(dynamics: Dynamics, row: Row, values: Tensor, protocol: Protocol) -> dict[str, float]:
    """Many starts for the same targets: how many of the bars that hit differ, and in how many cells."""
    targets = families(values, protocol, protocol.seeds[0])["pairs"][: protocol.shared_targets]
    found = search(dynamics, row, targets.repeat_interleave(protocol.starts, 0), CALLS, protocol.seeds[0])
    unique, distances = [], []
    for i in range(len(targets)):
        rows = slice(i * protocol.starts, (i + 1) * protocol.starts)
        bars = found.bars[rows][found.success[rows]]
        if len(bars) > 1:
            cells = bars.reshape(len(bars), -1)
            unique.append(metrics.unique_share(bars))
            differ = (cells[:, None] != cells[None]).sum(2)
            distances.append(differ.sum() / (len(bars) * (len(bars) - 1)))
    if not unique:
        return {}
    return {"unique": float(np.mean(unique)), "hamming": float(np.mean(distances))}


def _leakage(dynamics: Dynamics, agent: Agent, values: Tensor, protocol: Protocol) -> dict[str, float]:
    """What becomes of the other feature where only one is steered: its mean change in standard deviations.

    Beside the correlation that the two have in real bars stands the one that the steered feature's target has with
    what the other one came to.
    """
    targets = families(values, protocol, protocol.seeds[0])["pairs"]
    n = len(targets)
    seeds = np.arange(n, dtype=np.uint64)
    spreads = values.std(0).numpy()
    found = {"correlation of real bars": _rank_correlation(values[:, 0].numpy(), values[:, 1].numpy())}
    for steered, other in ((0, 1), (1, 0)):
        weights = torch.zeros_like(targets)
        weights[:, steered] = 1
        goals = Goals.of(targets, CALLS, weights, REALISM, REALISM, REALISM)
        walked = run_episodes(
            agent, dynamics, torch.from_numpy(dynamics.generator.latents(seeds)), goals, seeds, returns=False
        )
        moved = np.abs(walked.values[:, other] - walked.path[:, 0, other]).mean() / spreads[other]
        what = f"{TARGETS[steered]} alone"
        found[f"{what}: reached"] = float(walked.success.mean())
        found[f"{what}: change of {TARGETS[other]}"] = float(moved)
        found[f"{what}: correlation"] = _rank_correlation(targets[:, steered].numpy(), walked.values[:, other])
    return found


def _equal_time(report: dict[str, Any]) -> None:
    """Success of each row when the agent's time is over."""
    curves = {row["name"]: np.array(row["time_curve"]) for row in report["rows"] if "time_curve" in row}
    mine = curves[AGENT]
    limit = mine[min(CALLS, len(mine)) - 1, 0]
    for row in report["rows"]:
        if row["name"] in curves:
            curve = curves[row["name"]]
            within = curve[:, 0] <= limit
            row["success_at_equal_time"] = float(curve[within, 1].max()) if within.any() else 0.0


def _lines(report: Mapping[str, Any]) -> dict[str, Any]:
    """The lines to reach, and by how much each is."""
    rows = {row["name"]: row for row in report["rows"]}
    agent, plain, many = rows[AGENT], rows["unsteered"], rows["best of N"]

    def at(row: Mapping[str, Any], family: str, calls: int) -> float:
        return float(row["success"][family][row["marks"].index(min(calls, row["marks"][-1]))])

    most = min(256, many["marks"][-1])
    return {
        "points over best of 32": {f: 100 * (at(agent, f, CALLS) - at(many, f, CALLS)) for f in FEASIBLE},
        f"points over best of {most}": {f: 100 * (at(agent, f, CALLS) - at(many, f, most)) for f in FEASIBLE},
        "C2ST over unsteered": agent.get("c2st", math.nan) - plain.get("c2st", math.nan),
        "unique share of best of N's": agent.get("unique", math.nan) / many.get("unique", math.nan),
        "points over each rival at equal time": {
            name: 100 * (agent["success_at_equal_time"] - row["success_at_equal_time"])
            for name, row in rows.items()
            if "success_at_equal_time" in row and not name.startswith("agent")
        },
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """The table: a row for each way of steering, at 32 calls.

    Shares of targets reached of each family with 95 % intervals, of exact hits; the mean error in standard deviations;
    milliseconds a target; the share of pairs reached when the agent's time is over; of what was reached C2ST,
    unique share, copies of training bars, and beside unsteered bars of the same features the change of the judges'
    nats a step and logit, and in brackets of the reward's own.
    """
    head = (
        "| | pairs | crossed | corners | exact | error | ms | equal time | C2ST | unique | copies | nats | logit |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = []
    for row in report["rows"]:
        cells = [row["name"]]
        if "success" in row:
            place = row["marks"].index(min(CALLS, row["marks"][-1]))
            for family in FEASIBLE:
                cells.append(f"{100 * row['success'][family][place]:.1f} ± {100 * row['interval'][family][place]:.1f}")
            cells += [f"{100 * row['exact']:.0f}", f"{np.mean(row['error']):.2f}", f"{row['milliseconds']:.1f}"]
            cells.append(f"{100 * row['success_at_equal_time']:.1f}")
        else:
            cells += [""] * 7
        for name in ("c2st", "unique", "copies"):
            cells.append(f"{row[name]:.3f}" if name in row else "")
        for name in ("nats", "logit"):
            judged = f"{row[name]:+.3f} ({row[f'{name}_of_the_reward']:+.3f})" if name in row else ""
            cells.append(judged)
        lines.append("| " + " | ".join(cells) + " |")
    return head + "\n".join(lines) + "\n"


def lines_to_markdown(report: Mapping[str, Any]) -> str:
    """The lines to reach, one by one."""
    lines = []
    for name, value in report["lines"].items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {number:+.1f}" for key, number in value.items())
        else:
            value = f"{value:+.3f}"
        lines.append(f"- {name}: {value}")
    return "\n".join(lines) + "\n"


def plot(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Success against calls and against time, as a picture."""
    import io

    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    by_calls, by_time = figure.subplots(1, 2)
    shown = [row for row in report["rows"] if "success" in row and not row["name"].startswith(("agent ", "agent,"))]
    shown += [row for row in report["rows"] if row["name"] == AGENT]
    colours = colormaps["tab20"](np.linspace(0, 1, 20))
    for index, row in enumerate(shown):
        is_mine = row["name"] == AGENT
        look: dict[str, Any] = {"lw": 1.4, "color": colours[(2 * index) % 20 + (2 * index) // 20]}
        if is_mine:
            look = {"lw": 3, "color": "black", "zorder": 3}
        mean = np.mean([row["success"][family] for family in ("pairs", "crossed")], 0)
        by_calls.plot(row["marks"], 100 * mean, label=row["name"], **look)
        curve = np.array(row["time_curve"])
        by_time.plot(1000 * curve[:, 0] / report["protocol"]["pairs"], 100 * curve[:, 1], **look)
    by_calls.set(xscale="log", xlabel="generator calls", ylabel="targets reached, %", ylim=(0, 101))
    by_calls.set_xticks(MARKS, [str(calls) for calls in MARKS])
    by_calls.minorticks_off()
    by_time.set(xscale="log", xlabel="milliseconds a target", ylim=(0, 101))
    for axes in (by_calls, by_time):
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    write_whole(path, data.getvalue())


def plain(report: Any) -> Any:
    """The report with None for what is no number: JSON knows no NaN."""
    if isinstance(report, Mapping):
        return {name: plain(value) for name, value in report.items()}
    if isinstance(report, (list, tuple)):
        return [plain(value) for value in report]
    return None if isinstance(report, float) and not math.isfinite(report) else report


def write_report(report: Mapping[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """``steering.md``, ``steering.json`` and ``steering.png`` in a folder; their paths."""
    folder = make_folder(out)
    paths = [folder / f"steering.{suffix}" for suffix in ("md", "json", "png")]
    write_whole(paths[0], (to_markdown(report) + "\n" + lines_to_markdown(report)).encode())
    write_whole(paths[1], (json.dumps(plain(report), indent=1, allow_nan=False) + "\n").encode())
    plot(report, paths[2])
    return paths
