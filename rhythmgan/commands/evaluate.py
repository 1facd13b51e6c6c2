"""``rhythmgan evaluate``: how like real bars generated ones are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_report_options, given, positive, progress_bar
from rhythmgan.kit import KITS

if TYPE_CHECKING:
    from rhythmgan.data import Corpus
    from rhythmgan.kit import Kit

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
        "--role",
        metavar="NAME",
        help="compare bars of this role only, which models are asked for: groove, variation or fill (any: models are "
        "asked for a catalogue beside distinct bars, and for all roles beside bars as played)",
    )
    parser.add_argument(
        "--style", metavar="NAME", help="compare bars of this style only, which models are asked for (any)"
    )
    parser.add_argument(
        "--songs-share", type=float, metavar="X", help="share of the training songs that the baselines are made of (1)"
    )
    parser.add_argument("--grid", type=positive, metavar="STEPS", help="grid of the bars (that of the models)")
    parser.add_argument("--n", type=positive, metavar="N", help="bars of each row (4000; 1000 with --quick)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of all samples and classifiers (0)")
    parser.add_argument("--quick", action="store_true", help="1000 bars and one repeat: numbers that scatter")
    parser.add_argument("--out", metavar="DIR", help="folder for table.md, report.json and pictures (none)")
    parser.add_argument(
        "--kit", metavar="NAME", help=f"kit to fold all bars into: {', '.join(KITS)} (the models' or the songs')"
    )
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from dataclasses import replace

    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.files import make_folder
    from rhythmgan.kit import kit_named

    inputs = [_of_grid(source, options.grid) for source in options.inputs]
    inputs = inputs or ([] if options.baseline else [_of_grid(name, options.grid) for name in ("gan", "prior")])
    kits, steps = _kits_and_grid(inputs)
    role, style = options.role or "any", options.style or "any"

    def chosen(corpus: Corpus) -> Corpus:
        corpus = corpus.with_role(role)
        return corpus if style == "any" else corpus.with_style(style)

    whole = load_corpus(options.data, options.grid or steps)
    kit = kit_named(options.kit) if options.kit else _common([*map(kit_named, kits), whole.kit])
    corpus = load_corpus(options.data, whole.steps, kit)
    training = chosen(corpus.split("train").share(1 if options.songs_share is None else options.songs_share))
    held = chosen(whole.split(options.split))  # in their own kit: priors of it need them
    if not len(training):
        kinds = options.role or "song"
        raise ValueError(
            f"{options.data}: no {kinds} of it falls into the train split, which the baselines are made of"
        )
    if options.out:
        make_folder(options.out)  # a folder that cannot be written is reported before the minutes of work

    from rhythmgan import evaluate as table
    from rhythmgan.baselines import SAMPLERS
    from rhythmgan.candidates import baseline, candidate

    config = replace(table.QUICK if options.quick else table.EvaluationConfig(), **given(options, "n", "seed"))
    names = options.baseline or list(SAMPLERS)
    candidates = [candidate(source, corpus.kit, corpus.steps) for source in inputs]
    candidates += [baseline(name, training, config.seed) for name in names]
    with progress_bar("row", options.quiet) as progress:
        report = table.evaluate(
            held,
            training,
            candidates,
            config,
            kit=corpus.kit,
            role=role,
            style=style,
            out=options.out,
            progress=progress,
        )
    report = {"split": options.split, "role": role, "style": style} | report
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


def _of_grid(source: str, grid: int | None) -> str:
    """The name of a bundled model, for the grid where one ships for it; any other source as it is."""
    from rhythmgan.models.catalogue import BUNDLED

    return f"{source}{grid}" if source in BUNDLED and f"{source}{grid}" in BUNDLED else source


def _common(kits: Sequence[Kit]) -> Kit:
    """The smallest of these kits that all of them can be folded into; where there is none, the first.

    Not the largest: bars of GM9 among those of GM12 would be told apart by the percussion that they cannot have.
    """
    from rhythmgan.kit import fold_table

    for kit in sorted(kits, key=lambda kit: kit.n_parts):
        try:
            for other in kits:
                fold_table(other, kit)
        except ValueError:
            continue
        return kit
    return kits[0]


def _kits_and_grid(inputs: Sequence[str]) -> tuple[list[str], int]:
    """The names of the kits of the models among the inputs, and the steps of the first; of the bundled GAN if none is.

    Raises:
        ValueError: a weights file of no model of bars.
        OSError: it cannot be opened.
    """
    from rhythmgan.models.catalogue import BUNDLED
    from rhythmgan.models.weights import bundled, read_metadata

    paths = [
        bundled(BUNDLED[source][1]) if source in BUNDLED and not Path(source).exists() else Path(source)
        for source in inputs
    ]
    found: list[tuple[str, int]] = []
    for path in [path for path in paths if path.suffix == ".safetensors"] or [bundled(BUNDLED["gan"][1])]:
        metadata = read_metadata(path)
        try:
            config = json.loads(metadata["config"])
            found.append((str(config["kit"]), int(config["steps"])))
        except (LookupError, TypeError, ValueError, RecursionError):
            raise ValueError(f"{path}: holds no weights of a model of bars") from None
    return [kit for kit, _ in found], found[0][1]
