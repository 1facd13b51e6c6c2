"""``rl-tuner evaluate``: the agent beside every baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_machine_options, add_model_options, add_report_options, positive, progress_bar
from rl_tuner.benchmark.config import QUICK, QUICK_ROWS, BenchmarkConfig
from rl_tuner.commands.models import PRIOR_USE, load_models_and_songs, logger

if TYPE_CHECKING:
    from rhythmgan.models.interfaces import LatentModel
    from rl_tuner.latent.agent import LatentAgent

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
    parser.add_argument(
        "--quick", action="store_true", help="two seeds, few targets and fewer baselines: a first look, in minutes"
    )
    parser.add_argument("--seeds", type=positive, help=f"seeds to measure with ({len(BenchmarkConfig.seeds)})")
    parser.add_argument("--calls", type=positive, help=f"most calls of the curves ({BenchmarkConfig.max_calls})")
    parser.add_argument(
        "--only", metavar="NAMES", help="some of the rows, by their ids and with commas, beside those of the criteria"
    )
    parser.add_argument("--grid", type=positive, metavar="STEPS", help="steps of a bar: 16, or 12 for triplets (16)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for tables, plots and held-out networks")
    add_model_options(parser, prior=PRIOR_USE, agent=True)
    add_machine_options(parser)
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from dataclasses import replace

    gan, prior, corpus = load_models_and_songs(options)

    from rhythmgan.models.weights import fingerprint
    from rl_tuner.agent import load_agent
    from rl_tuner.benchmark.evaluators import make_evaluators
    from rl_tuner.benchmark.protocol import run
    from rl_tuner.benchmark.report import LATENT_AGENT, all_to_markdown, write_report
    from rl_tuner.benchmark.rows import agent_rows

    out = Path(options.out)
    changes: dict[str, Any] = {}
    if options.seeds:
        changes["seeds"] = tuple(range(options.seeds))
    if options.calls:
        changes["max_calls"] = options.calls
    config = replace(QUICK if options.quick else BenchmarkConfig(), **changes)
    log = logger(options)
    agent, latent_agent = load_agent(options.agent, gan.steps), _bundled_latent_agent_of(gan)
    if latent_agent is None:
        log("rows of whole-bar moves are left out: the bundled agent that makes them steers another generator")
    only = options.only.split(",") if options.only else None
    if options.quick and not only:
        only = [name for name in QUICK_ROWS if latent_agent or name != LATENT_AGENT]
    evaluators = make_evaluators(corpus, gan, out / "evaluators", config.critic_steps, config.prior_steps, log=log)
    with progress_bar("step", options.quiet) as progress:
        report = run(
            gan,
            prior,
            corpus,
            evaluators,
            config,
            agents=lambda steered: agent_rows(steered, agent, config),
            agent_fingerprint=fingerprint(agent),
            latent_agent=latent_agent,
            folder=out / "rows",
            only=only,
            progress=progress,
        )
    paths = write_report(report, out)
    if options.json:
        return report
    print(all_to_markdown(report))
    print(", ".join(map(str, paths)))
    return None


def _bundled_latent_agent_of(generator: LatentModel) -> LatentAgent | None:
    """The bundled agent of whole-bar moves; None where it steers another generator."""
    from rl_tuner.latent.agent import load_latent_agent

    agent = load_latent_agent()
    try:
        agent.steered(generator)
    except ValueError:
        return None
    return agent
