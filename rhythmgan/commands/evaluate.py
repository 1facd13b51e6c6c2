"""``rhythmgan evaluate``: how like real bars generated ones are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhythmgan.console import add_report_options, given, positive, progress_bar
from rhythmgan.kit import KITS

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "evaluate",
        help="compare a model's bars with real ones",
        description="Compare bars with those of held-out songs, distinct and as played, beside real songs, copies and "
        "noise.",
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
    parser.add_argument(
        "--role", metavar="NAME", help="compare with bars of this role only: groove, variation or fill (any)"
    )
    parser.add_argument("--grid", type=positive, metavar="STEPS", help="grid of the bars (that of the models)")
    parser.add_argument("--n", type=positive, metavar="N", help="bars of each row (4000; 1000 with --quick)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of all samples and classifiers (0)")
    parser.add_argument("--quick", action="store_true", help="1000 bars and one repeat: numbers that scatter")
    parser.add_argument("--out", metavar="DIR", help="folder for table.md, report.json and pictures (none)")
    parser.add_argument("--kit", metavar="NAME", help=f"kit to fold the songs into: {', '.join(KITS)} (the models')")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from dataclasses import replace

    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.files import make_folder
    from rhythmgan.kit import kit_named

    inputs = options.inputs or ([] if options.baseline else ["gan", "prior"])
    kit, steps = _kit_and_grid(inputs)
    corpus = load_corpus(options.data, options.grid or steps, kit_named(options.kit or kit))
    corpus = corpus.with_role(options.role or "any")
    training, held = corpus.split("train"), corpus.split(options.split)
    if not len(training):
        kinds = options.role or "song"
        raise ValueError(
            f"{options.data}: no {kinds} of it falls into the train split, which the baselines are made of"
        )
    if options.out:
        make_folder(options.out)  # a folder that cannot be written is reported before the minutes of work

    from rhythmgan import evaluate as table
    from rhythmgan.baselines import SAMPLERS

    config = replace(table.QUICK if options.quick else table.EvaluationConfig(), **given(options, "n", "seed"))
    names = options.baseline or list(SAMPLERS)
    candidates = [table.candidate(source, corpus.kit, corpus.steps) for source in inputs]
    candidates += [table.baseline(name, training, config.seed) for name in names]
    with progress_bar("row", options.quiet) as progress:
        report = table.evaluate(held, training, candidates, config, out=options.out, progress=progress)
    report = {"split": options.split, "role": options.role or "any"} | report
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


def _kit_and_grid(inputs: Sequence[str]) -> tuple[str, int]:
    """The kit's name and the steps of the first model among the inputs; of the bundled GAN where there is none."""
    from rhythmgan.models.catalogue import BUNDLED
    from rhythmgan.models.weights import bundled, read_metadata

    paths = [
        bundled(BUNDLED[source][1]) if source in BUNDLED and not Path(source).exists() else Path(source)
        for source in inputs
    ]
    path = next((path for path in paths if path.suffix == ".safetensors"), bundled(BUNDLED["gan"][1]))
    metadata = read_metadata(path)
    try:
        config = json.loads(metadata["config"])
        return str(config["kit"]), int(config["steps"])
    except (LookupError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{path}: holds no weights of a model of bars") from None
