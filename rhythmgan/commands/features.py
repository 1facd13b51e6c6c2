"""``rhythmgan features``: what bars measure, and how they stand among real ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_report_options, positive
from rhythmgan.kit import KITS

if TYPE_CHECKING:
    from rhythmgan.data import Corpus
    from rhythmgan.kit import Kit
    from rhythmgan.reference import Reference

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "features",
        help="measure density, syncopation and 21 more features",
        description="Summarise the features of bars, and how they stand among real bars.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("file", help="a corpus, an .npz of bars, MIDI, or a folder of samples or of songs")
    parser.add_argument(
        "--grid", type=positive, metavar="STEPS", help="grid of the bars (16; of a corpus that of most bars)"
    )
    songs = parser.add_argument_group("of a corpus")
    songs.add_argument(
        "--split", choices=("train", "valid", "test", "all"), default="all", help="songs to measure (%(default)s)"
    )
    songs.add_argument(
        "--as-played",
        action="store_true",
        help="each song weighs the same, and in it each bar as often as it is played (each song's distinct bars, each "
        "once)",
    )
    songs.add_argument("--role", metavar="NAME", help="only bars of this role: groove, variation or fill (any)")
    songs.add_argument("--style", metavar="NAME", help="only bars of this style (any)")
    songs.add_argument(
        "--reference",
        metavar="FILE",
        help="write what percentiles are taken from: distinct and as played, every role and grid, in the corpus's kit "
        "and --kit",
    )
    parser.add_argument("--kit", metavar="NAME", help=f"kit to fold the bars into: {', '.join(KITS)} (their own)")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.features import FEATURES
    from rhythmgan.kit import kit_named
    from rhythmgan.midi_reader import SUFFIXES
    from rhythmgan.reference import save_reference

    if options.reference and Path(options.reference).suffix != ".safetensors":
        raise ValueError(f"{options.reference}: the name of a reference ends in .safetensors")
    kit = kit_named(options.kit) if options.kit else None
    measured = _measured(options, kit)
    swing = _swing(options.file) if Path(options.file).suffix.lower() in SUFFIXES else None
    if options.reference:
        save_reference(options.reference, *_references(options, measured.kit, measured.steps))
    real = _real(measured)
    if options.json:
        return _document(measured, real) | (swing or {})
    print(measured.to_markdown(real))
    if missing := [name for name in FEATURES if name not in measured.quantiles]:
        print(f"\nnot defined on {measured.steps} steps: {', '.join(missing)}")
    if swing is not None:
        print()
        for name, value in swing.items():
            told = f"{value:.3f} (.5 is straight, .667 a shuffle)" if value == value else "no off-beats"
            print(f"{name}: {told}")
    return None


def _measured(options: argparse.Namespace, kit: Kit | None) -> Reference:
    """What the bars that the options choose measure."""
    from dataclasses import replace

    from rhythmgan.bars import words_to_bars
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.load import is_corpus, load_bars
    from rhythmgan.reference import ANY_ROLE, Reference

    if not is_corpus(options.file):
        needs = {"--as-played": options.as_played, "--role": options.role, "--style": options.style}
        needs["--reference"] = options.reference
        if name := next((name for name, value in needs.items() if value), None):
            raise ValueError(f"{options.file}: {name} needs a corpus that `rhythmgan prepare` wrote")
        bars, _, kit = load_bars(options.file, kit, options.grid)
        return Reference.of(bars, kit)
    role = options.role or ANY_ROLE
    corpus = _chosen(load_corpus(options.file, options.grid, kit), options).with_role(role)
    if not len(corpus):
        raise ValueError(f"{options.file}: no bar of it has role {role} in these songs")
    distinct, weights = corpus.distinct_with_weights()
    bars, kind = words_to_bars(distinct.words, distinct.kit.n_parts), "as_played" if options.as_played else "distinct"
    measured = Reference.of(bars, distinct.kit, weights if options.as_played else None, kind=kind, role=role)
    return replace(measured, n_bars=len(corpus)) if options.as_played else measured


def _chosen(corpus: Corpus, options: argparse.Namespace) -> Corpus:
    """The songs of a corpus that the options choose."""
    chosen = corpus.split(options.split)
    if not len(chosen):
        raise ValueError(f"{options.file}: no song of it falls into the {options.split} split")
    if options.style is None:
        return chosen
    chosen = chosen.with_style(options.style)
    if not len(chosen):
        raise ValueError(f"{options.file}: no bar of these songs has style {options.style}")
    return chosen


def _references(options: argparse.Namespace, kit: Kit, steps: int) -> list[Reference]:
    """Every reference of a corpus in its own kit and in this one, whose distinct bars on this grid come first."""
    from rhythmgan.corpus_file import corpus_grids, load_corpus
    from rhythmgan.reference import references_of

    kits = dict.fromkeys([kit, load_corpus(options.file, steps).kit])
    found: list[Reference] = []
    for each in kits:
        for grid in sorted(corpus_grids(options.file, each), key=lambda grid: grid != steps):
            corpus = load_corpus(options.file, grid, each).split(options.split)
            corpus = corpus if options.style is None else corpus.with_style(options.style)
            found += references_of(corpus)
    return found


def _real(measured: Reference) -> Reference | None:
    """The real bars that these are compared with: counted alike, of the same role, kit and grid; None without any."""
    from rhythmgan.reference import load_reference, reference_key, saved_references

    key = reference_key(measured.kit.name, measured.kind, measured.role, measured.steps)
    if key not in saved_references():
        return None
    return load_reference(None, measured.kind, measured.role, measured.steps, measured.kit)


def _swing(path: str) -> dict[str, float]:
    """Where the off-beats of a MIDI file lie, by the names of ``PERFORMANCE_FEATURES``; NaN where there are none."""
    import numpy as np

    from rhythmgan.features import swing_of_onsets
    from rhythmgan.midi_reader import read_midi

    beat = read_midi(path).beat
    whole = np.zeros(len(beat), int)
    return {
        "swing": float(swing_of_onsets(beat, whole, 1)),
        "sixteenth swing": float(swing_of_onsets(beat, whole, 1, "sixteenths")),
    }


def _document(measured: Reference, real: Reference | None) -> dict[str, Any]:
    """The table as a script reads it: of each feature the mean, the deviation, percentiles, and what share of real
    bars the mean is over."""
    features = {
        name: {
            "mean": measured.means[name],
            "deviation": measured.deviations[name],
            "percentiles": {str(share): float(measured.value(name, share)) for share in (5, 25, 50, 75, 95)},
            "mean_is_over": None if real is None else float(real.percentile(name, measured.means[name])),
        }
        for name in measured.quantiles
    }
    return {
        "bars": measured.n_bars,
        "kit": measured.kit.name,
        "grid": measured.steps,
        "reference": measured.kind,
        "role": measured.role,
        "features": features,
    }
