"""``rhythmgan grooves``: what the songs of a corpus play."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_report_options, positive
from rhythmgan.kit import KITS

if TYPE_CHECKING:
    import numpy as np

    from rhythmgan.data import Corpus

# what is slow to import is imported by the function that needs it: help and errors answer at once

LEAST_SONGS = 20
"""A style with fewer songs has no row: it would be the row of these songs."""

_DRAWN = 16
"""Bars of each role in a picture."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "grooves",
        help="tabulate what the songs of a corpus play",
        description="Tabulate kick on 1, backbeat, cymbals and toms of the bars that songs play, by role and style.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus that `prepare` wrote")
    parser.add_argument("--grid", type=positive, metavar="STEPS", help="grid of the bars (that of most bars)")
    parser.add_argument(
        "--split", choices=("train", "valid", "test", "all"), default="all", help="songs of the corpus (%(default)s)"
    )
    parser.add_argument("--files", metavar="BEGINNING", help="only of files whose names begin so, e.g. groove/ (all)")
    parser.add_argument("--picture", metavar="FILE", help="PNG of 16 bars of each role, as played, none picked (none)")
    parser.add_argument("--seed", type=int, default=0, help="of the picture's bars (%(default)s)")
    parser.add_argument("--kit", metavar="NAME", help=f"kit to fold the bars into: {', '.join(KITS)} (the corpus's)")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.features.grooves import to_markdown, what_songs_play
    from rhythmgan.kit import kit_named

    if options.picture and Path(options.picture).suffix.lower() != ".png":
        raise ValueError(f"{options.picture}: the name of a picture ends in .png")
    kit = kit_named(options.kit) if options.kit else None
    corpus = load_corpus(options.corpus, options.grid, kit).split(options.split)
    if not len(corpus):
        raise ValueError(f"{options.corpus}: no song of it falls into the {options.split} split")
    corpus = corpus.from_files(options.files) if options.files else corpus
    if options.picture:
        _draw(corpus, options.picture, options.seed)
    table = what_songs_play(_rows(corpus), corpus.kit)
    if options.json:
        return {"kit": corpus.kit.name, "grid": corpus.steps, "split": options.split, "rows": table}
    print(to_markdown(table))
    return None


def _draw(corpus: Corpus, path: str, seed: int) -> None:
    """Draw bars of each role as they are played, two rows a role; a title says how often the song plays the bar."""
    import numpy as np

    from rhythmgan.draw import bars_to_image, write_png
    from rhythmgan.roles import ROLES

    sheets = []
    for role in ROLES:
        chosen = corpus.with_role(role)
        if not len(chosen):
            continue
        drawn = chosen.as_played(_DRAWN, seed)
        bars = drawn.performance() if drawn.playing else _cells(drawn)
        titles = [f"{role}, {'once' if n == 1 else f'{n} times'}" for n in drawn.plays.tolist()]
        sheets.append(bars_to_image(bars, corpus.kit, titles=titles, columns=_DRAWN // 2))
    write_png(path, np.concatenate(sheets))


def _rows(corpus: Corpus) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Name of a row → its bars, and their weights: as often as songs play them, or None where each counts once."""
    import numpy as np

    from rhythmgan.roles import ROLES

    def as_played(chosen: Corpus) -> tuple[np.ndarray, np.ndarray | None]:
        distinct, chances = chosen.distinct_with_weights()
        return _cells(distinct), chances

    def each_once(chosen: Corpus) -> tuple[np.ndarray, np.ndarray | None]:
        return _cells(chosen), None

    distinct = corpus.distinct()
    rows = {
        "as played": as_played(corpus),
        "distinct": each_once(distinct),
        "bars that a song plays once": each_once(distinct.only(distinct.plays == 1)),
        "bars played four times or more": each_once(distinct.only(distinct.plays >= 4)),
    }
    for role in ROLES:
        rows[f"{role}, as played"] = as_played(corpus.with_role(role))
    for style in corpus.styles:
        chosen = corpus.with_style(style)
        if len(np.unique(chosen.song_id)) >= LEAST_SONGS:
            rows[f"{style}, as played"] = as_played(chosen)
    return {name: row for name, row in rows.items() if len(row[0])}


def _cells(corpus: Corpus) -> np.ndarray:
    from rhythmgan.bars import words_to_bars

    return words_to_bars(corpus.words, corpus.kit.n_parts)
