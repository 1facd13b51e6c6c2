"""``rhythmgan sample``: the bars of seeds, or phrases."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rhythmgan.console import (
    add_field,
    add_model_options,
    add_output_options,
    add_report_options,
    formats_given,
    given,
    output_given,
    progress_bar,
)
from rhythmgan.generate.config import SampleConfig

# what is slow to import is imported by the function that needs it: help and errors answer at once

_SHOWN = 4
"""Bars that are drawn in the terminal."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("sample", help="generate bars from seeds", description="Generate bars from seeds.")
    parser.set_defaults(run=_run, resumes=True)
    add_field(parser, SampleConfig, "n", "bars, or phrases with --bars")
    add_field(parser, SampleConfig, "seed", "seed of the first bar; the next has the next seed")
    add_field(parser, SampleConfig, "bars", "bars in a phrase: the seed's, and what may follow it")
    add_field(parser, SampleConfig, "temperature", "over 0; less is more ordinary")
    add_output_options(parser, "samples", SampleConfig.formats)
    add_model_options(parser, prior="picks the bars of phrases")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.bars import bar_to_lines
    from rhythmgan.folders import export_samples, seed_files
    from rhythmgan.load import SAMPLE_OPTIONS
    from rhythmgan.models.catalogue import load_generator, load_likelihood

    config = SampleConfig(**given(options, "n", "seed", "bars", "temperature"), **formats_given(options))
    if options.prior and config.bars == 1:
        raise ValueError("--prior picks the bars of phrases; ask for some with --bars 2 or more")
    model = load_generator(options.weights or "gan")
    prior = load_likelihood(options.prior or "prior") if config.bars > 1 else None
    output = output_given(options, model.kit)
    shown = 0 if options.quiet or options.json else min(config.n, _SHOWN)
    with progress_bar("bar", options.quiet) as progress:
        done = export_samples(model, config, options.out, prior=prior, n_first=shown, progress=progress, **output)
    folder = Path(options.out).resolve()
    if options.json:
        options_of_files = json.loads((folder / SAMPLE_OPTIONS).read_text())
        files = {name: list(seed_files(config, name)) for name in done.files}
        return {"out": str(folder), "n": config.n, "seed": config.seed} | options_of_files | {"files": files}
    for seed, bars in enumerate(done.bars, config.seed):
        print(f"seed {seed}\n{bar_to_lines(bars[0], output['kit'])}\n")
    kind, length = ("bar", "") if config.bars == 1 else ("phrase", f" of {config.bars} bars")
    what = f"{config.n:,} {kind}{'' if config.n == 1 else 's'}{length}"
    print(f"{what} in {folder}: {', '.join(names[0] for names in done.files.values())}")
    return None
