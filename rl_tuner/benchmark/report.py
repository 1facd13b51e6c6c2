"""What a benchmark's report says: tables, criteria, plots and files.

A report is plain values. Each of its rows has an ``id`` by which others are compared with it, a ``kind``, and a
``title`` for people, which decides nothing.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rhythmgan.console import without_nan
from rhythmgan.files import make_folder, write_whole
from rl_tuner.benchmark.targets import FEASIBLE

Kind = Literal["reference", "baseline", "agent", "ablation"]
"""What a row is for: bars that nobody steered, another way to steer, the agent, the agent with a part changed."""

AGENT = "agent"
"""The row that the criteria are about: what ``steer`` does."""

UNSTEERED = "unsteered"
BEST_OF_N = "best-of-n"
FILTER = "particle-filter"
FILTER_OF_CANDIDATES = "particle-filter-candidates"
FILTER_OF_CANDIDATES_LEARNED = "particle-filter-candidates-learned"
LATENT_AGENT = "latent-agent"
COMPARED = (AGENT, UNSTEERED, BEST_OF_N, FILTER)
"""The rows that the criteria compare: they are measured in any case, the agent's where there is an agent."""

PLOTTED = (BEST_OF_N, FILTER, FILTER_OF_CANDIDATES, FILTER_OF_CANDIDATES_LEARNED, AGENT)
"""The rows of the short plot."""

MARKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
"""Calls at which success is reported."""

SHORT_MARKS = (4, 8, 16, 32, 64)
"""Calls of the table of budgets."""

_C2ST_OVER_BEST_OF_N = 0.015
_UNIQUE = 0.97
_FILTER_CALLS = 16
"""Calls of the particle filter that the agent's short budget is compared with."""


def add_equal_time(report: dict[str, Any]) -> None:
    """Give each steered row what it has when the agent's short and long budgets are spent in time.

    ``success_at_equal_time`` and ``exact_at_equal_time`` are shares of pairs, for either budget. Between two numbers of
    calls they lie on a straight line over the logarithm of time; before the first they are 0. Without an agent there
    is nothing to compare with, and no row gets them.
    """
    agent = _by_id(report).get(AGENT)
    if agent is None:
        return
    config = report["config"]
    curve = np.array(agent["time_curve"], float)
    limits = [curve[_place(agent, calls), 0] for calls in (config["short_calls"], config["calls"])]
    for row in report["rows"]:
        if "time_curve" in row:
            seconds, *shares = np.array(row["time_curve"], float).T
            for name, share in zip(("success", "exact"), shares, strict=True):
                row[f"{name}_at_equal_time"] = [
                    None if np.isnan(share).any() else float(np.interp(np.log(limit), np.log(seconds), share, left=0))
                    for limit in limits
                ]


def criteria(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the agent is held to, a line each; none without an agent.

    Returns:
        Lines of ``text``, what is asked for and what was measured, and ``missed_by``: how far it is missed, 0 where it
        is met, None where it was not measured.
    """
    rows = _by_id(report)
    if AGENT not in rows:
        return []
    agent, best_of_n, config = rows[AGENT], rows[BEST_OF_N], report["config"]
    short, long = config["short_calls"], config["calls"]
    lines: list[dict[str, Any]] = []

    def at_least(what: str, found: float | None, limit: float) -> None:
        if found is None:
            lines.append({"text": what, "missed_by": None})
            return
        text = f"{what}: {100 * found:.1f} %, at least {100 * limit:.3g} %"
        lines.append({"text": text, "missed_by": max(100 * (limit - found), 0.0)})

    for calls, limits in ((long, (0.99, 0.99, 0.97)), (short, (0.9, 0.9, 0.8))):
        for family, limit in zip(FEASIBLE, limits, strict=True):
            at_least(f"{family} within ±1 at {calls} calls", _success(agent, family, calls), limit)
        if calls == long:
            at_least(f"pairs exactly at {calls} calls", agent["exact"][1], 0.8)
    if FILTER in rows:
        other = _success(rows[FILTER], "pairs", _FILTER_CALLS)
        what = f"pairs at {short} calls, beside the particle filter at {_FILTER_CALLS}"
        at_least(what, _success(agent, "pairs", short), other)
    over = agent["c2st"] - best_of_n["c2st"] if "c2st" in agent and "c2st" in best_of_n else None
    text = "C2ST of successes over best of N's"
    if over is not None:
        text += f": {over:+.3f}, at most +{_C2ST_OVER_BEST_OF_N}"
    lines.append({"text": text, "missed_by": None if over is None else max(over - _C2ST_OVER_BEST_OF_N, 0.0)})
    at_least("unique share of successes", agent.get("unique"), _UNIQUE)
    everyone = [agent, *(row for row in report["rows"] if row["kind"] == "baseline")]
    titles = {row["id"]: row["title"] for row in everyone}

    def ahead(what: str, shares: Mapping[str, float | None]) -> None:
        mine, text = shares[AGENT], f"nobody has more {what}"
        if mine is None:
            lines.append({"text": text, "missed_by": None})
            return
        leads = {titles[id]: 100 * (share - mine) for id, share in shares.items() if share is not None and share > mine}
        text += f": the agent has {100 * mine:.1f} %"
        if leads:
            text += ", and " + ", ".join(f"{title} {lead:.1f} more" for title, lead in leads.items())
        lines.append({"text": text, "missed_by": max(leads.values(), default=0.0)})

    for place, calls in enumerate((short, long)):
        of_time = f"with pairs in the time of its {calls} calls"
        ahead(f"successes with {calls} calls, mean of the families", {row["id"]: _mean(row, calls) for row in everyone})
        ahead(f"exact answers to pairs with {calls} calls", {row["id"]: row["exact"][place] for row in everyone})
        ahead(f"successes {of_time}", {row["id"]: row["success_at_equal_time"][place] for row in everyone})
        ahead(f"exact answers {of_time}", {row["id"]: row["exact_at_equal_time"][place] for row in everyone})
    return lines


def _by_id(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {row["id"]: row for row in report["rows"]}


def _mean(row: Mapping[str, Any], calls: int) -> float:
    """Mean share of successes over the families."""
    return float(np.mean([_success(row, family, calls) for family in FEASIBLE]))


def _success(row: Mapping[str, Any], family: str, calls: int) -> float:
    return float(row["success"][family][_place(row, calls)])


def _place(row: Mapping[str, Any], calls: int) -> int:
    """Where the marks have so many calls, or the last of them."""
    return int(row["marks"].index(min(calls, row["marks"][-1])))


def to_markdown(report: Mapping[str, Any]) -> str:
    """The first table: what each way of steering reaches at the two budgets of the protocol, and what it costs.

    Success with each family in percent with 95 % intervals, at the longer budget; exact answers to pairs at the short
    and at the long one in percent; mean error in standard deviations; calls of the longer budget that a target cost on
    average, candidates counted; milliseconds of one core for a target at both; success with pairs at the agent's time
    for both.
    """
    config = report["config"]
    short, long = config["short_calls"], config["calls"]

    def family_of(family: str) -> Callable[[Mapping[str, Any]], str]:
        def say(row: Mapping[str, Any]) -> str:
            place = _place(row, long)
            return f"{100 * row['success'][family][place]:.1f} ± {100 * row['interval'][family][place]:.1f}"

        return say

    return _table(
        report["rows"],
        [
            *((family, "success", family_of(family)) for family in FEASIBLE),
            (f"exact at {short} / {long}", "exact", lambda row: _pair(row["exact"], 100, 0)),
            ("error", "error", lambda row: f"{np.mean(row['error']):.2f}"),
            ("calls", "spent", lambda row: f"{row['spent']:.1f}"),
            (f"ms at {short} / {long}", "milliseconds", lambda row: _pair(row["milliseconds"], 1, 1)),
            ("equal time", "success_at_equal_time", lambda row: _pair(row["success_at_equal_time"], 100, 1)),
        ],
    )


def realism_to_markdown(report: Mapping[str, Any]) -> str:
    """The second table: whether what succeeded is real, differs, and comes from points that could have been drawn.

    C2ST; unique share; copies of training bars; how far mean log p of a step and mean logit by the held-out evaluators
    are over those of unsteered bars of the same features, in brackets by the reward's own networks. Of z the mean
    square, and how far the distributions of its numbers and of its squared lengths lie from those of N(0, I): the
    statistic of Kolmogorov and Smirnov, in brackets the chance that draws of N(0, I) lie as far.
    """

    def gain(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: f"{row[name]:+.3f} ({row[f'{name}_of_the_reward']:+.3f})"

    def distance(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: f"{row['z'][name]:.3f} ({row['z'][f'{name}_p']:.2f})"

    return _table(
        report["rows"],
        [
            *(
                (head, name, _number(name))
                for head, name in (("C2ST", "c2st"), ("unique", "unique"), ("copies", "copies"))
            ),
            ("log p", "log_p", gain("log_p")),
            ("logit", "logit", gain("logit")),
            ("z²", "z", lambda row: f"{row['z']['mean_square']:.3f}"),
            ("numbers of z", "z", distance("numbers")),
            ("lengths of z", "z", distance("lengths")),
        ],
    )


def calls_to_markdown(report: Mapping[str, Any]) -> str:
    """The third table: success with pairs / crossed / corners in percent at 4, 8, 16, 32 and 64 calls.

    Of rows that act by their budget also, in brackets, the share of exact answers to pairs: the others stop at their
    first success, exact or not.
    """

    def at(calls: int) -> Callable[[Mapping[str, Any]], str]:
        def say(row: Mapping[str, Any]) -> str:
            if calls not in row["marks"]:
                return ""
            place = row["marks"].index(calls)
            text = " / ".join(f"{100 * row['success'][family][place]:.1f}" for family in FEASIBLE)
            return f"{text} ({100 * row['exact_curve']['pairs'][place]:.0f})" if "exact_curve" in row else text

        return say

    return _table(measured(report), [(f"{calls} calls", "marks", at(calls)) for calls in SHORT_MARKS])


def criteria_to_markdown(report: Mapping[str, Any]) -> str:
    """The criteria as a list: which are met, which are missed by how much, which were not measured."""
    lines = []
    for line in report["criteria"]:
        missed_by = line["missed_by"]
        how = "not measured" if missed_by is None else f"missed by {missed_by:.3g}" if missed_by else "met"
        lines.append(f"- {how}: {line['text']}")
    return "\n".join(lines) + "\n"


Column = tuple[str, str, Callable[[Mapping[str, Any]], str]]
"""The head of a column, what a row must have to say something, and what it says."""


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """A table in Markdown, a row for each; a cell is empty where the row has nothing to say."""
    lines = ["| | " + " | ".join(head for head, *_ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = [say(row) if row.get(name) is not None else "" for _, name, say in columns]
        lines.append("| " + " | ".join([row["title"], *cells]) + " |")
    return "\n".join(lines) + "\n"


def _number(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: f"{row[name]:.3f}"


def _pair(values: Sequence[float | None], scale: float, digits: int) -> str:
    """What there is at the short and at the long budget."""
    return " / ".join("–" if value is None else f"{scale * value:.{digits}f}" for value in values)


def plot(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Success and exact answers against calls, as a picture: best of N, the particle filters and the agent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    within, exactly = figure.subplots(1, 2, sharey=True)
    rows = {row["id"]: row for row in measured(report)}
    most = max(SHORT_MARKS)
    for place, name in enumerate(name for name in PLOTTED if name in rows):
        row, look = rows[name], _look(name, place)
        n = sum(mark <= most for mark in row["marks"])
        mean = np.mean([row["success"][family] for family in FEASIBLE], 0)
        within.plot(row["marks"][:n], 100 * mean[:n], marker="o", ms=3, label=row["title"], **look)
        if "exact_curve" in row:
            exactly.plot(row["marks"][:n], 100 * np.array(row["exact_curve"]["pairs"][:n]), marker="o", ms=3, **look)
    within.set(ylabel="bars, %", ylim=(0, 101), title="both features within ±1")
    exactly.set(title="both features exactly")
    for axes in (within, exactly):
        _scale_of_calls(axes, [mark for mark in MARKS if mark <= most])
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    _save(figure, path)


def plot_all(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Success against calls and against time, as a picture: every baseline, and the agent on top of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    by_calls, by_time = figure.subplots(1, 2)
    for place, row in enumerate(measured(report)):
        look = _look(row["id"], place)
        mean = np.mean([row["success"][family] for family in ("pairs", "crossed")], 0)
        by_calls.plot(row["marks"], 100 * mean, label=row["title"], **look)
        seconds, shares, _ = np.array(row["time_curve"], float).T
        by_time.plot(1000 * seconds / report["config"]["pairs"], 100 * shares, **look)
    by_calls.set(ylabel="success, %", ylim=(0, 101))
    _scale_of_calls(by_calls, MARKS)
    by_time.set(xscale="log", xlabel="milliseconds of one core a target", ylim=(0, 101))
    by_time.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    _save(figure, path)


def _look(name: str, place: int) -> dict[str, Any]:
    from matplotlib import colormaps

    if name == AGENT:
        return {"lw": 3, "color": "black", "zorder": 3}
    colours = colormaps["tab20"](np.linspace(0, 1, 20))
    return {"lw": 1.4, "color": colours[(2 * place) % 20 + (2 * place) // 20 % 2]}


def _scale_of_calls(axes: Any, marks: Sequence[int]) -> None:
    axes.set(xscale="log", xlabel="generator calls")
    axes.set_xticks(marks, [str(calls) for calls in marks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    write_whole(path, data.getvalue(), durable=True)


def measured(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Baselines and agents, the one that the criteria are about last: what is drawn last lies on top."""
    rows = [row for row in report["rows"] if row["kind"] in ("baseline", "agent")]
    return sorted(rows, key=lambda row: row["id"] == AGENT)


def write_report(report: Mapping[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """``steering.md``, ``steering.json``, ``steering.png`` and ``steering-all.png`` in a folder; their paths."""
    folder = make_folder(out)
    paths = [folder / name for name in ("steering.md", "steering.json", "steering.png", "steering-all.png")]
    write_whole(paths[0], all_to_markdown(report).encode(), durable=True)
    write_whole(paths[1], (json.dumps(without_nan(report), indent=1, allow_nan=False) + "\n").encode(), durable=True)
    plot(report, paths[2])
    plot_all(report, paths[3])
    return paths


def all_to_markdown(report: Mapping[str, Any]) -> str:
    """The three tables and the criteria."""
    tables = (to_markdown, realism_to_markdown, calls_to_markdown, criteria_to_markdown)
    return "\n".join(table(report) for table in tables)
