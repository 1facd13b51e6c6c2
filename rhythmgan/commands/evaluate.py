"""``rhythmgan evaluate``: how like real bars generated ones are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rhythmgan.console import add_report_options, given, positive, progress_bar

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "evaluate",
        help="compare a model's bars with real ones",
        description="Compare bars with those of held-out songs, beside real songs, copies and noise.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="gan, prior, a weights file, a corpus, an .npz of bars, a folder of samples or of MIDI (gan and prior)",
    )
    parser.add_argument("--data", required=True, metavar="CORPUS", help="a corpus that `prepare` wrote")
    parser.add_argument(
        "--baseline",
        action="append",
        metavar="NAME",
        help="only this one of memoriser, flipped, shuffle, markov, independent, prior; may be repeated (all)",
    )
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs to evaluate by (%(default)s)")
    parser.add_argument("--n", type=positive, metavar="N", help="bars of each row (4000; 1000 with --quick)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of all samples and classifiers (0)")
    parser.add_argument("--quick", action="store_true", help="1000 bars and one repeat: numbers that scatter")
    parser.add_argument("--out", metavar="DIR", help="folder for table.md, report.json and pictures (none)")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from dataclasses import replace

    from rhythmgan.data import load_corpus
    from rhythmgan.files import make_folder

    corpus = load_corpus(options.data)
    training, held = corpus.split("train"), corpus.split(options.split)
    if not len(training):
        raise ValueError(f"{options.data}: no song of it falls into the train split, which the baselines are made of")
    if options.out:
        make_folder(options.out)  # a folder that cannot be written is reported before the minutes of work

    from rhythmgan import evaluate as table
    from rhythmgan.baselines import SAMPLERS

    config = replace(table.QUICK if options.quick else table.EvaluationConfig(), **given(options, "n", "seed"))
    names = options.baseline or list(SAMPLERS)
    inputs = options.inputs or ([] if options.baseline else ["gan", "prior"])
    candidates = [table.candidate(source, corpus.kit, corpus.steps) for source in inputs]
    candidates += [table.baseline(name, training) for name in names]
    with progress_bar("row", options.quiet) as progress:
        report = table.evaluate(held, training, candidates, config, out=options.out, progress=progress)
    if options.out:
        table.write_report(report, options.out)
    if options.json:
        return report
    print(table.to_markdown(report), end="")
    if config.repeats == 1:
        print("\none split only: C2ST scatters by about .02; rows that are closer cannot be ranked", file=sys.stderr)
    if options.out:
        print(f"\n{Path(options.out).resolve()}: table.md, report.json, features-….png, samples-….png")
    return None
