"""What a benchmark's report says: table, criteria, plot and files.

A report is plain values. Each of its rows has an ``id`` by which others are compared with it, a ``kind``, and a
``title`` for people, which decides nothing.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rhythmgan.console import without_nan
from rhythmgan.files import make_folder, write_whole
from rl_tuner.benchmark.targets import FEASIBLE

Kind = Literal["reference", "baseline", "agent", "ablation"]
"""What a row is for: bars that nobody steered, another way to steer, the agent, the agent with a part changed."""

AGENT = "agent-restarted"
"""The row that the criteria are about: what ``steer`` does."""

UNSTEERED = "unsteered"
BEST_OF_N = "best-of-n"
COMPARED = (AGENT, UNSTEERED, BEST_OF_N)
"""The rows that the criteria compare: a report has them all."""

MARKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
"""Calls at which success is reported."""

SHORT_MARKS = (8, 16, 32, 64)
"""Calls of the second table."""

_LONG = 256
"""Calls of best of N that the agent is compared with beside its own."""


def add_equal_time(report: dict[str, Any]) -> None:
    """Give each steered row ``success_at_equal_time``: its share of pairs when the agent's budget is spent in time."""
    rows = {row["id"]: row for row in report["rows"]}
    agent = np.array(rows[AGENT]["time_curve"])
    limit = agent[min(report["config"]["calls"], len(agent)) - 1, 0]
    for row in report["rows"]:
        if "time_curve" in row:
            curve = np.array(row["time_curve"])
            within = curve[:, 0] <= limit
            row["success_at_equal_time"] = float(curve[within, 1].max()) if within.any() else 0.0


def criteria(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the agent is held to: its lead over best of N and the baselines, and its distance from unsteered bars."""
    rows = {row["id"]: row for row in report["rows"]}
    agent, unsteered, best_of_n = (rows[name] for name in COMPARED)
    calls = report["config"]["calls"]

    def lead(over: int) -> dict[str, float]:
        return {f: 100 * (_success(agent, f, calls) - _success(best_of_n, f, over)) for f in FEASIBLE}

    most = min(_LONG, best_of_n["marks"][-1])
    return {
        f"points over best of {calls}": lead(calls),
        f"points over best of {most}": lead(most),
        "C2ST over unsteered": agent.get("c2st", math.nan) - unsteered.get("c2st", math.nan),
        "unique share of best of N's": agent.get("unique", math.nan) / best_of_n.get("unique", math.nan),
        f"points over each baseline at {calls} calls": {
            row["title"]: 100 * (_success(agent, "pairs", calls) - _success(row, "pairs", calls))
            for row in report["rows"]
            if row["kind"] == "baseline"
        },
        "points over each baseline at equal time": {
            row["title"]: 100 * (agent["success_at_equal_time"] - row["success_at_equal_time"])
            for row in report["rows"]
            if row["kind"] == "baseline"
        },
    }


def _success(row: Mapping[str, Any], family: str, calls: int) -> float:
    return float(row["success"][family][_place(row, calls)])


def _place(row: Mapping[str, Any], calls: int) -> int:
    """Where the marks have so many calls, or the last of them."""
    return int(row["marks"].index(min(calls, row["marks"][-1])))


def to_markdown(report: Mapping[str, Any]) -> str:
    """The table: a row for each way of steering, at the protocol's budget of calls.

    Success with each family in percent with 95 % intervals; share of exact answers; mean error in standard deviations;
    milliseconds a target; success with pairs at the agent's time. Of the successes: C2ST, unique share, copies of
    training bars, and how far mean log p of a step and mean logit by the held-out evaluators are over those of
    unsteered bars of the same features, in brackets by the reward's own networks.
    """
    head = (
        "| | pairs | crossed | corners | exact | error | ms | equal time | C2ST | unique | copies | log p | logit |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = []
    for row in report["rows"]:
        cells = [row["title"]]
        if "success" in row:
            place = _place(row, report["config"]["calls"])
            for family in FEASIBLE:
                cells.append(f"{100 * row['success'][family][place]:.1f} ± {100 * row['interval'][family][place]:.1f}")
            cells += [f"{100 * row['exact']:.0f}", f"{np.mean(row['error']):.2f}", f"{row['milliseconds']:.1f}"]
            cells.append(f"{100 * row['success_at_equal_time']:.1f}")
        else:
            cells += [""] * 7
        for name in ("c2st", "unique", "copies"):
            cells.append(f"{row[name]:.3f}" if name in row else "")
        for name in ("log_p", "logit"):
            cells.append(f"{row[name]:+.3f} ({row[f'{name}_of_the_reward']:+.3f})" if name in row else "")
        lines.append("| " + " | ".join(cells) + " |")
    return head + "\n".join(lines) + "\n"


def calls_to_markdown(report: Mapping[str, Any]) -> str:
    """The second table: success with pairs / crossed / corners in percent at 8, 16, 32 and 64 calls.

    Of rows that act by their budget also, in brackets, the share of exact answers to pairs: the others stop at their
    first success, exact or not.
    """
    lines = ["| | " + " | ".join(f"{calls} calls" for calls in SHORT_MARKS) + " |", "|---" * 5 + "|"]
    for row in plotted(report):
        cells = [row["title"]]
        for calls in SHORT_MARKS:
            if calls not in row["marks"]:
                cells.append("")
                continue
            place = row["marks"].index(calls)
            text = " / ".join(f"{100 * row['success'][family][place]:.1f}" for family in FEASIBLE)
            if "exact_curve" in row:
                text += f" ({100 * row['exact_curve']['pairs'][place]:.0f})"
            cells.append(text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def criteria_to_markdown(report: Mapping[str, Any]) -> str:
    """The criteria as a list."""
    lines = []
    for name, value in report["criteria"].items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {number:+.1f}" for key, number in value.items())
        else:
            value = f"{value:+.3f}"
        lines.append(f"- {name}: {value}")
    return "\n".join(lines) + "\n"


def plot(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Success against calls and against time, as a picture: every baseline, and the agent on top of them."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    by_calls, by_time = figure.subplots(1, 2)
    colours = colormaps["tab20"](np.linspace(0, 1, 20))
    for index, row in enumerate(plotted(report)):
        look: dict[str, Any] = {"lw": 1.4, "color": colours[(2 * index) % 20 + (2 * index) // 20]}
        if row["id"] == AGENT:
            look = {"lw": 3, "color": "black", "zorder": 3}
        mean = np.mean([row["success"][family] for family in ("pairs", "crossed")], 0)
        by_calls.plot(row["marks"], 100 * mean, label=row["title"], **look)
        curve = np.array(row["time_curve"])
        by_time.plot(1000 * curve[:, 0] / report["config"]["pairs"], 100 * curve[:, 1], **look)
    by_calls.set(xscale="log", xlabel="generator calls", ylabel="success, %", ylim=(0, 101))
    by_calls.set_xticks(MARKS, [str(calls) for calls in MARKS])
    by_calls.minorticks_off()
    by_time.set(xscale="log", xlabel="milliseconds a target", ylim=(0, 101))
    for axes in (by_calls, by_time):
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    write_whole(path, data.getvalue())


def plotted(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows that the plot shows: baselines and agents, the one that the criteria are about last."""
    rows = [row for row in report["rows"] if row["kind"] in ("baseline", "agent")]
    return sorted(rows, key=lambda row: row["id"] == AGENT)


def write_report(report: Mapping[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """``steering.md``, ``steering.json`` and ``steering.png`` in a folder; their paths."""
    folder = make_folder(out)
    paths = [folder / f"steering.{suffix}" for suffix in ("md", "json", "png")]
    tables = (to_markdown(report), calls_to_markdown(report), criteria_to_markdown(report))
    write_whole(paths[0], "\n".join(tables).encode())
    write_whole(paths[1], (json.dumps(without_nan(report), indent=1, allow_nan=False) + "\n").encode())
    plot(report, paths[2])
    return paths
