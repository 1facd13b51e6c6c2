"""``rl-tuner evaluate``: the agent beside every baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rhythmgan.console import add_machine_options, add_model_options, add_report_options, positive
from rl_tuner.benchmark.config import QUICK, BenchmarkConfig
from rl_tuner.commands.models import PRIOR_USE, load_models_and_songs, logger

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "evaluate",
        help="measure the agent against every baseline",
        description="Measure the agent against every baseline, at equal calls and at equal time, by held-out networks.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--data", required=True, metavar="CORPUS", help="a corpus")
    parser.add_argument("--quick", action="store_true", help="two seeds and few targets: a first look")
    parser.add_argument("--seeds", type=positive, help=f"seeds to measure with ({len(BenchmarkConfig.seeds)})")
    parser.add_argument("--calls", type=positive, help=f"most calls of the curves ({BenchmarkConfig.max_calls})")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for table, plot and held-out networks")
    add_model_options(parser, prior=PRIOR_USE, agent=True)
    add_machine_options(parser)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from dataclasses import replace

    gan, prior, corpus = load_models_and_songs(options)

    from rl_tuner.benchmark.evaluators import make_evaluators
    from rl_tuner.benchmark.protocol import run
    from rl_tuner.benchmark.report import criteria_to_markdown, to_markdown, write_report
    from rl_tuner.latent.agent import load_latent_agent

    agent, out = load_latent_agent(options.agent), Path(options.out)
    changes: dict[str, Any] = {}
    if options.seeds:
        changes["seeds"] = tuple(range(options.seeds))
    if options.calls:
        changes["max_calls"] = options.calls
    config = replace(QUICK if options.quick else BenchmarkConfig(), **changes)
    log = logger(options)
    evaluators = make_evaluators(corpus, gan, out / "evaluators", log=log)
    report = run(gan, prior, agent, corpus, evaluators, config, out / "rows", log=log)
    paths = write_report(report, out)
    if options.json:
        return report
    print(to_markdown(report))
    print(criteria_to_markdown(report))
    print(", ".join(map(str, paths)))
    return None
