"""Whether models play what they are asked for: classifiers of real roles and of real styles judge their bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rhythmgan import metrics
from rhythmgan.candidates import Asked, Candidate, bars_of
from rhythmgan.conditions import ANY
from rhythmgan.data import UNKNOWN_STYLE, Corpus

ROLES_TOLD = ("groove", "fill")
"""A variation lies between them: real ones are no class of their own."""

MIN_PERFORMANCES = 20
"""Held-out files of a style with fewer say too little about a classifier of it."""


def roles_met(
    held_out: Corpus, training: Corpus, candidates: Sequence[Candidate], n: int, seed: int, style: str = ANY
) -> dict[str, Any] | None:
    """How often a classifier tells grooves and fills, of held-out songs and of models that are asked for them.

    It is taught on 2 n grooves and 2 n fills of training songs, and judges n of each, all drawn as they are played.

    Args:
        held_out, training: songs.
        candidates: those that know both roles are judged.
        n: bars of each role.
        seed: of all draws and of the classifier.
        style: that models are asked for as well.

    Returns:
        ``labels``; ``held_out``, how many songs have each; and ``rows``, each with a ``name``, the share of the bars
        of each label that is taken for it, by its name, and ``mean``, the balanced accuracy. None where no model knows
        both roles, or songs have none of one.
    """
    models = [one for one in candidates if one.ask and set(ROLES_TOLD) <= set(one.roles)]
    songs = [{role: corpus.with_role(role) for role in ROLES_TOLD} for corpus in (training, held_out)]
    if not models or not all(len(corpus) for those in songs for corpus in those.values()):
        return None
    counts = {role: len(np.unique(corpus.song_id)) for role, corpus in songs[1].items()}

    def ask(one: Candidate, role: str) -> Candidate:
        return one.asked(Asked(role, style))

    return _rows(songs[0], songs[1], models, ask, counts, n, seed)


def styles_met(
    held_out: Corpus, training: Corpus, candidates: Sequence[Candidate], n: int, seed: int, role: str = ANY
) -> dict[str, Any] | None:
    """The same for styles: those that ``MIN_PERFORMANCES`` held-out files are of, separated from each other.

    Bars are drawn as they are played: every performance weighs the same. A model is asked for the roles of a style in
    the shares in which the training songs of the style play them.

    Args:
        held_out, training: songs.
        candidates: those that know all of these styles are judged.
        n: bars of each style.
        seed: of all draws and of the classifier.
        role: that models are asked for as well; of this role are all bars of the songs then.

    Returns:
        As ``roles_met``; ``held_out`` says how many files each style has. None where no model knows these styles, or
        there are fewer than two.
    """
    trained = {training.styles[style] for style in np.unique(training.style_id).tolist()}
    counts = {
        name: len(np.unique(held_out.file_id[held_out.style_id == number]))
        for number, name in enumerate(held_out.styles)
        if name != UNKNOWN_STYLE and name in trained
    }
    counts = {name: count for name, count in counts.items() if count >= MIN_PERFORMANCES}
    models = [one for one in candidates if one.ask and set(counts) <= set(one.styles)]
    if len(counts) < 2 or not models:
        return None
    songs = [{name: corpus.with_style(name) for name in counts} for corpus in (training, held_out)]
    shares = {name: corpus.role_shares() for name, corpus in songs[0].items()}

    def ask(one: Candidate, style: str) -> Candidate:
        return one.asked(Asked(role, style, shares[style]))

    return _rows(songs[0], songs[1], models, ask, counts, n, seed)


def _rows(
    taught: Mapping[str, Corpus],
    held_out: Mapping[str, Corpus],
    models: Sequence[Candidate],
    ask: Callable[[Candidate, str], Candidate],
    counts: Mapping[str, int],
    n: int,
    seed: int,
) -> dict[str, Any]:
    labels = list(counts)

    def labelled(bars: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(bars), np.repeat(np.arange(len(labels)), [len(each) for each in bars])

    def real(songs: Mapping[str, Corpus], n: int) -> tuple[np.ndarray, np.ndarray]:
        return labelled([bars_of(songs[label].as_played(n, seed)) for label in labels])

    def generated(model: Candidate) -> tuple[np.ndarray, np.ndarray]:
        asked = [ask(model, label) for label in labels]
        return labelled([(one.draw_as_played or one.draw)(n, seed)[0] for one in asked])

    right = metrics.told_apart(*real(taught, 2 * n), real(held_out, n), *map(generated, models), seed=seed)
    names = ["real, held-out songs", *(model.name for model in models)]
    rows = [
        {"name": name, **dict(zip(labels, shares.tolist(), strict=True)), "mean": float(shares.mean())}
        for name, shares in zip(names, right, strict=True)
    ]
    return {"labels": labels, "held_out": dict(counts), "rows": rows}


def to_markdown(kind: str, found: Mapping[str, Any]) -> list[str]:
    """The lines of a table under a heading; ``kind`` is "roles" or "styles"."""
    labels = found["labels"]
    counted = {"roles": "songs with a", "styles": "performances of"}[kind]
    counts = ", ".join(f"{count} {counted} {label}" for label, count in found["held_out"].items())
    lines = [
        f"## {kind.capitalize()} that are asked for",
        "",
        f"How many bars a classifier of the training songs' {kind} takes for what they are; held-out songs: {counts}.",
        "",
        "| bars | " + " | ".join(labels) + " | mean |",
        "| --- |" + " ---: |" * (len(labels) + 1),
    ]
    for row in found["rows"]:
        name = " ".join(row["name"].split()).replace("|", "\\|")
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.3f}" for key in (*labels, "mean")) + " |")
    return [*lines, ""]
