"""``rhythmgan sample``: the bars of seeds, or phrases; all of them, or those that fit."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rhythmgan.console import (
    add_condition_options,
    add_field,
    add_model_options,
    add_output_options,
    add_report_options,
    formats_given,
    given,
    progress_bar,
)
from rhythmgan.generate.config import SampleConfig
from rhythmgan.playback import Playback

# what is slow to import is imported by the function that needs it: help and errors answer at once

_SHOWN = 4
"""Bars that are drawn in the terminal."""

_BARS = 4
"""Bars of a phrase, or behind a loop that is given, of a model that makes any number by itself."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "sample",
        help="generate bars from seeds",
        description="Generate bars from seeds. With --unique, --min-onsets or --where, seeds whose bar does not fit "
        "are left out, and the next ones are tried until there are enough.",
    )
    parser.set_defaults(run=_run, resumes=True)
    add_field(parser, SampleConfig, "n", "bars, or phrases with --bars")
    add_field(parser, SampleConfig, "seed", "seed of the first bar; the next has the next seed")
    add_field(
        parser,
        SampleConfig,
        "bars",
        f"bars in a phrase: the seed's, and what may follow it; {_BARS} of models that make whole phrases",
    )
    parser.add_argument(
        "--fill",
        metavar="WHERE",
        help="where phrases have fills: last, in the last bar; none; the numbers of bars, as 4 or 4,8; or songs, as "
        f"often as songs have them ({SampleConfig.fill})",
    )
    add_field(parser, SampleConfig, "temperature", "over 0; less is more ordinary")
    parser.add_argument("--unique", action="store_true", help="no bar twice; of phrases no phrase twice")
    add_field(parser, SampleConfig, "min_onsets", "onsets that each bar has at least")
    parser.add_argument(
        "--where",
        action="append",
        metavar="TEXT",
        help="what each bar has to be, such as 'density>=12' or 'kick density<4 and repetition>.5', with the features "
        "of `rhythmgan features`; may be given several times (anything)",
    )
    add_field(parser, SampleConfig, "tries", "seeds in a row to try without finding a bar that fits")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="a bundled model that makes whole phrases by itself, in place of the GAN and its prior: rythmgan (of four "
        "bars, grids 16, 12 and 24), rythmgan-published (the same as in 2018), trap (grids 32 and 16)",
    )
    parser.add_argument(
        "--given",
        metavar="FILE",
        help="a loop that every phrase begins with, of such a model, which makes the others; its tempo is kept (none)",
    )
    add_condition_options(parser)
    add_output_options(
        parser,
        "samples",
        SampleConfig.formats,
        kit="that of the weights; of several, with commas between, each gets a folder in DIR",
    )
    add_model_options(parser, prior="picks the bars of phrases")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.bars import bar_to_lines
    from rhythmgan.commands.models import sampler_given
    from rhythmgan.folders import read_loop
    from rhythmgan.inputs import read_json_object
    from rhythmgan.kit import kit_named
    from rhythmgan.load import SAMPLE_OPTIONS
    from rhythmgan.models.catalogue import load_phrase_prior
    from rhythmgan.models.interfaces import PhraseSampler
    from rhythmgan.samples import export_samples

    names = ("n", "seed", "bars", "fill", "temperature", "unique", "min_onsets", "tries")
    config = SampleConfig(**given(options, *names), where=tuple(options.where or ()), **formats_given(options))
    kits = [kit_named(name.strip()) for name in options.kit.split(",")] if options.kit else []
    model = sampler_given(options)
    loop, playback, prior = None, Playback(), None
    if isinstance(model, PhraseSampler):
        if options.given is not None:
            loop, playback = read_loop(options.given, model, options.out)
        if options.bars is None:
            config = replace(config, bars=model.max_bars or _BARS + (0 if loop is None else len(loop.bars)))
    elif options.given is not None:
        raise ValueError("--given is for models that make whole phrases: name one with --model")
    elif config.bars > 1:
        prior = load_phrase_prior(options.prior, None if options.prior else model.steps)
    elif options.prior:
        raise ValueError("--prior picks the bars of phrases; ask for some with --bars 2 or more")
    playback = replace(playback, **given(options, "bpm", "swing"))
    shown = 0 if options.quiet or options.json else min(config.n, _SHOWN)
    with progress_bar("bar", options.quiet) as progress:
        done = export_samples(
            model,
            config,
            options.out,
            playback=playback,
            kits=kits,
            prior=prior,
            given=loop,
            n_first=shown,
            progress=progress,
        )
    folder = Path(options.out).resolve()
    if options.json:
        note = read_json_object(folder / done.folders[0] / SAMPLE_OPTIONS)
        return (
            {"out": str(folder), "n": config.n, "seed": config.seed, "tried": done.tried, "were_there": done.were_there}
            | note
            | {"kit": ",".join(kit.name for kit in done.kits), "files": done.files()}
        )
    for seed, bars in zip(done.seeds.tolist(), done.bars, strict=False):
        print(f"seed {seed}\n{bar_to_lines(bars[0], done.kits[0])}\n")
    kind, length = ("bar", "") if config.bars == 1 else ("phrase", f" of {config.bars} bars")
    kinds = f"{kind}{'' if config.n == 1 else 's'}"
    first = ", ".join(name for names in done.files(1).values() for name in names)
    print(f"{config.n:,} {kinds}{length} in {folder}: {first}")
    if config.selects:
        print(f"{done.tried:,} seed{'s were' if done.tried != 1 else ' was'} tried")
    if done.were_there:
        print(f"{done.were_there:,} of {config.n:,} {kinds} {'was' if config.n == 1 else 'were'} there")
    return None
