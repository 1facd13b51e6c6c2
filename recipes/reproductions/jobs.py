"""What the recipes of reproduced systems share: runs with a file of their own, means over seeds, the command line.

A recipe names its runs (``Job``), has a function for each kind of them, and makes a report of what they found. A run's
file is written when it is done: a stopped recipe goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from rhythmgan.files import whole_file, write_whole


@dataclass(frozen=True)
class Job:
    """A run with a file of its own.

    Attributes:
        name: of its file.
        kind: which function runs it.
        seed: of all that it draws.
    """

    name: str
    kind: str
    seed: int = 0


@dataclass(frozen=True)
class Setting:
    """What all jobs share.

    Attributes:
        data: the corpus.
        out: the folder.
        quick: whether every run is as short as can be, to try the recipe.
    """

    data: Path
    out: Path
    quick: bool

    def path(self, job: Job, suffix: str = "json") -> Path:
        """A file of a job; that of ``suffix`` "json" says what it has found."""
        return self.out / "jobs" / f"{job.name}.{suffix}"

    def found(self, job: Job) -> dict[str, Any]:
        """What a job has found so far."""
        path = self.path(job)
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


AnyJob = TypeVar("AnyJob", bound=Job)
AnySetting = TypeVar("AnySetting", bound=Setting)
Run = Callable[[AnySetting, AnyJob], dict[str, Any]]
"""What runs a job, and says what it has found, as JSON has it. A false ``is_whole`` in it says that more is to come."""


def run_job(runs: Mapping[str, Run[AnySetting, AnyJob]], setting: AnySetting, job: AnyJob) -> str:
    """Run a job that is not whole yet; its name and how long it took."""
    torch.set_num_threads(1)
    if setting.found(job).get("is_whole"):
        return f"{job.name}: was there"
    began = time.perf_counter()
    write_found(setting, job, {"is_whole": True} | runs[job.kind](setting, job), began)
    return f"{job.name}: {(time.perf_counter() - began) / 60:.1f} minutes"


def write_found(setting: Setting, job: Job, found: Mapping[str, Any], began: float) -> None:
    """Write what a job has found; also on the way, so that of a recipe that is cut short nothing is lost.

    Args:
        setting: of all.
        job: the job.
        found: what it has found, with the ``minutes`` of earlier calls; without ``is_whole`` more is to come.
        began: ``time.perf_counter()`` when this call of the recipe began it.
    """
    facts = {
        "minutes": found.get("minutes", 0) + (time.perf_counter() - began) / 60,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}",
    }
    write_whole(setting.path(job), json.dumps({"is_whole": False, **found, **facts}).encode())


def run_all(
    runs: Mapping[str, Run[AnySetting, AnyJob]], setting: AnySetting, jobs: Sequence[AnyJob], processes: int
) -> None:
    """Run jobs in their order, and say on standard error how long each took.

    Args:
        runs: kind of a job → what runs it; functions of a module, where there are several processes.
        setting: of all.
        jobs: what is run.
        processes: how many at once; with one they run in this process.
    """
    (setting.out / "jobs").mkdir(parents=True, exist_ok=True)
    run = partial(run_job, runs, setting)
    if processes == 1:
        for job in jobs:
            print(run(job), file=sys.stderr, flush=True)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for said in pool.map(run, jobs):
            print(said, file=sys.stderr, flush=True)


def add_options(parser: argparse.ArgumentParser, seeds: int) -> None:
    """The options that every recipe has; ``seeds`` is the default of its own."""
    parser.add_argument("--data", type=Path, required=True, metavar="CORPUS", help="what `rhythmgan prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help="seeds of every run (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="NAME", help="run only the jobs whose names begin so (all)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--report", action="store_true", help="run none: make tables and figures of what is there")
    what.add_argument("--no-report", action="store_true", help="only run")
    parser.add_argument("--quick", action="store_true", help="try the whole recipe in a tiny form")


def run_and_report(
    options: argparse.Namespace,
    runs: Mapping[str, Run[AnySetting, AnyJob]],
    setting: AnySetting,
    jobs: Sequence[AnyJob],
    report: Callable[[AnySetting], str],
) -> None:
    """What the options ask for: the jobs, and the tables of ``report``, which are printed and written to tables.md."""
    is_all = options.only == [""]
    if not options.report:
        chosen = [job for job in jobs if job.name.startswith(tuple(options.only))]
        run_all(runs, setting, chosen, options.jobs)
    if options.report or (is_all and not options.no_report):
        text = report(setting) + how_long(setting, jobs)
        write_whole(setting.out / "tables.md", text.encode())
        print(text, end="")


def how_long(setting: Setting, jobs: Sequence[Job]) -> str:
    """On which machines the jobs were run, and how many minutes of one core they took."""
    minutes: dict[str, list[float]] = {}
    for job in jobs:
        if found := setting.found(job):
            minutes.setdefault(found["machine"], []).append(found["minutes"])
    return (
        "\n".join(f"{len(each)} runs on {name}: {sum(each):.0f} core-minutes" for name, each in minutes.items()) + "\n"
    )


def table(
    rows: Mapping[str, Sequence[Mapping[str, float]]], columns: Mapping[str, tuple[str, str]], first: str = ""
) -> str:
    """Means over seeds, with the standard deviation of several, as Markdown.

    Args:
        rows: name of a row → what each of its seeds has measured. What a seed lacks does not count.
        columns: name of a measure → its title, and the format of its numbers, as "{:.2f}".
        first: title of the first column.
    """
    lines = [
        f"| {first} | seeds | " + " | ".join(title for title, _ in columns.values()) + " |",
        "|---|---:|" + "---:|" * len(columns),
    ]
    for name, several in rows.items():
        cells = []
        for column, (_, form) in columns.items():
            values = [row[column] for row in several if column in row]
            if not values:
                cells.append("")
                continue
            spread = f" ± {form.format(np.std(values))}" if len(values) > 1 else ""
            cells.append(form.format(np.mean(values)) + spread)
        lines.append(f"| {name} | {len(several)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of Matplotlib as PNG, whole or not at all, with nothing in it that differs from run to run."""
    with whole_file(path) as file:
        figure.savefig(file, dpi=110, format="png", metadata={"Software": None})
