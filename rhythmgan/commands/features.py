"""``rhythmgan features``: what bars measure, and how they stand among real ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_report_options

if TYPE_CHECKING:
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
        "--split", choices=("train", "valid", "test", "all"), default="all", help="songs of a corpus (%(default)s)"
    )
    parser.add_argument("--all-bars", action="store_true", help="repeats too, not only each song's distinct bars")
    parser.add_argument(
        "--reference", metavar="FILE", help="write what percentiles are measured by, as ships with the weights"
    )
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.features import FEATURES
    from rhythmgan.load import load_bars
    from rhythmgan.midi_reader import SUFFIXES
    from rhythmgan.reference import Reference, load_reference, save_reference

    bars, _, kit = load_bars(options.file, split=options.split, distinct=not options.all_bars)
    measured, real = Reference.of(bars, kit), load_reference()
    swing = _swing(options.file) if Path(options.file).suffix.lower() in SUFFIXES else None
    if options.reference:
        save_reference(options.reference, measured)
    if options.json:
        return _document(measured, real) | ({} if swing is None else {"swing": swing})
    print(measured.to_markdown(real))
    if missing := [name for name in FEATURES if name not in measured.quantiles]:
        print(f"\nnot defined on {measured.steps} steps: {', '.join(missing)}")
    if swing is not None:
        print(f"\nswing: {swing:.3f} (.5 is straight, .667 a shuffle)" if swing == swing else "\nswing: no off-beats")
    return None


def _swing(path: str) -> float:
    """Where the second eighths of a MIDI file lie in their beats; NaN where there are none."""
    import numpy as np

    from rhythmgan.features import swing
    from rhythmgan.midi_reader import read_midi

    onsets = read_midi(path)
    return float(swing(onsets.beat, np.zeros(len(onsets.beat), int), 1))


def _document(measured: Reference, real: Reference) -> dict[str, Any]:
    """The table as a script reads it: of each feature the mean, the deviation, percentiles, and what share of real
    bars the mean is over."""
    comparable = (measured.kit, measured.steps) == (real.kit, real.steps)
    features = {
        name: {
            "mean": measured.means[name],
            "deviation": measured.deviations[name],
            "percentiles": {str(share): float(measured.value(name, share)) for share in (5, 25, 50, 75, 95)},
            "mean_is_over": float(real.percentile(name, measured.means[name])) if comparable else None,
        }
        for name in measured.quantiles
    }
    return {"bars": measured.n_bars, "kit": measured.kit.name, "grid": measured.steps, "features": features}
