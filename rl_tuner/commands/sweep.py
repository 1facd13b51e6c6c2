"""``rl-tuner sweep``: other ways to train an agent, compared."""

from __future__ import annotations

import argparse

from rhythmgan.console import add_machine_options, add_model_options, add_report_options, positive
from rl_tuner.benchmark.config import SWEEP_TRAIN_STEPS
from rl_tuner.commands.models import PRIOR_USE, load_models_and_songs, logger

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "sweep",
        help="train with other rewards and exploration, and compare",
        description="Train agents with other exploration, rewards and returns, and compare how often they succeed.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--data", required=True, metavar="CORPUS", help="a corpus")
    parser.add_argument("--train-steps", type=positive, help=f"transitions of each ({SWEEP_TRAIN_STEPS})")
    parser.add_argument("--only", metavar="NAMES", help="some of the variants, by name, with commas")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for table, JSON and the runs")
    add_model_options(parser, prior=PRIOR_USE)
    add_machine_options(parser)
    add_report_options(parser)


def _run(options: argparse.Namespace) -> None:
    gan, prior, corpus = load_models_and_songs(options)

    from rl_tuner.benchmark.sweep import sweep, sweep_to_markdown

    names = [name.strip() for name in options.only.split(",")] if options.only else None
    given = {"train_steps": options.train_steps} if options.train_steps else {}
    report = sweep(gan, prior, corpus, options.out, names, log=logger(options), **given)
    print(sweep_to_markdown(report))
