"""One table that a memoriser, noise, an untuned prior and real songs all stand in beside a model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhythmgan import features, metrics
from rhythmgan.bars import words_to_bars
from rhythmgan.baselines import COUNTED, SAMPLERS, Sampler
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus
from rhythmgan.draw import bars_to_image, histograms_to_image, write_png
from rhythmgan.files import make_folder, write_whole
from rhythmgan.kit import Kit
from rhythmgan.load import is_corpus, load_bars
from rhythmgan.models.catalogue import BUNDLED, load_model
from rhythmgan.models.interfaces import Likelihood, check_compatible
from rhythmgan.seeds import check_seed

FEATURES = (
    "density",
    "kick density",
    "drums density",
    "cymbals density",
    "low syncopation",
    "mid syncopation",
    "high syncopation",
    "step density",
    "off-beat share",
    "parts used",
)
"""The features that precision, recall, density, coverage, FD, overlap and divergence are measured on."""

_PLOTTED = ("density", "syncopation", "step density", "off-beat share", "parts used", "repetition")

MIN_BARS = 100

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("bars", "n", ",d"),
    ("c2st", "C2ST", ".3f"),
    ("std", "±", ".3f"),
    ("trees", "trees", ".3f"),
    ("mlp", "MLP", ".3f"),
    ("fd", "FD", ".2f"),
    ("precision", "precision", ".2f"),
    ("recall", "recall", ".2f"),
    ("density", "PR density", ".2f"),
    ("coverage", "coverage", ".2f"),
    ("overlap", "OA", ".2f"),
    ("divergence", "KLD", ".3f"),
    ("copies", "copies", ".3f"),
    ("nearest", "nearest", ".0f"),
    ("unique", "unique", ".3f"),
    ("unique_of", "of", ",d"),
    ("onsets", "onsets", ".1f"),
    ("empty", "empty", ".3f"),
    ("parts", "parts", ".2f"),
    ("pattern", "DP", ".3f"),
)
"""Of each number of a row: its key, its head in the table, its format."""


REFERENCES = {"distinct": "distinct bars", "as_played": "bars as played"}
"""What bars are compared with, as ``reference.KINDS`` says it, and the name of each in a report."""

Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray | None]]
"""(n, seed) → at most n bars (n, steps, parts) bool, and their songs (n,) ints where they have songs."""


@dataclass(frozen=True)
class Candidate:
    """Bars to evaluate.

    Attributes:
        name: in the table.
        draw: its bars.
        prior: where it is a likelihood, the model itself, whose NLL on the held-out songs is reported.
        draw_as_played: its bars where they stand beside bars as played, if they are others then: of songs, and of what
            is made of songs.
    """

    name: str
    draw: Draw
    prior: Likelihood | None = None
    draw_as_played: Draw | None = None


@dataclass(frozen=True)
class EvaluationConfig:
    """How bars are judged.

    Attributes:
        n: bars of each candidate that are compared with the reference.
        n_unique: bars of each candidate among which the distinct ones are counted.
        repeats: halves of the songs that the classifiers are trained on in turn.
        seed: of everything.
    """

    n: int = 4000
    n_unique: int = 10_000
    repeats: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < MIN_BARS or self.n_unique < 1 or self.repeats < 1:
            raise ValueError(f"at least {MIN_BARS} bars and one repeat are needed, not {self.n} and {self.repeats}")
        check_seed(self.seed)
        check_seed(self.seed + max(self.n, self.n_unique) - 1)


QUICK = EvaluationConfig(n=1000, n_unique=1000, repeats=1)
"""A first look in seconds: its numbers scatter, and those that depend on sample size differ from the full ones."""


# --- Candidates --------------------------------------------------------------------------------------


def from_sampler(name: str, sampler: Sampler) -> Candidate:
    """A model that bars can be drawn from."""
    prior = sampler if isinstance(sampler, Likelihood) else None
    return Candidate(name, lambda n, seed: (sampler.sample(n, seed), None), prior)


def from_bars(name: str, bars: np.ndarray, song: np.ndarray | None = None) -> Candidate:
    """Given bars, drawn without replacement."""

    def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        rows = np.random.default_rng(seed).permutation(len(bars))[:n]
        return bars[rows], None if song is None else song[rows]

    return Candidate(name, draw)


def from_corpus(name: str, corpus: Corpus) -> Candidate:
    """Bars of songs: their distinct bars without replacement, and beside bars as played what ``as_played`` draws."""

    def draw_as_played(n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        drawn = corpus.as_played(n, seed)
        return _bars(drawn), drawn.song_id

    distinct = corpus.distinct()
    return replace(from_bars(name, _bars(distinct), distinct.song_id), draw_as_played=draw_as_played)


def baseline(name: str, training: Corpus, seed: int = 0) -> Candidate:
    """One of the baselines by its option: those of ``SAMPLERS``, or the prior.

    They are made of the songs' distinct bars, and beside bars as played of as many bars drawn as they are played.

    Args:
        name: the option.
        training: the songs.
        seed: of the bars as played.

    Raises:
        ValueError: no baseline has this name.
    """
    if name == "prior":
        return _bundled(name, training.kit, training.steps)
    if name not in SAMPLERS:
        raise ValueError(f"no baseline is called {name!r}; there are {', '.join(SAMPLERS)}, prior")
    title, make = SAMPLERS[name]
    distinct = training.distinct()
    played = make(training.as_played(len(distinct), seed))
    return replace(from_sampler(title, make(distinct)), draw_as_played=lambda n, seed: (played.sample(n, seed), None))


def candidate(source: str, kit: Kit, steps: int) -> Candidate:
    """What a word of the command line stands for: ``gan``, ``prior``, or a file or folder of bars.

    A file is a weights file, a corpus, an .npz with ``bars`` as ``rhythmgan sample --format npz`` writes it,
    or MIDI; of a folder all MIDI files are read. A bar of MIDI without an onset is no bar: what a model makes of
    silence only an .npz shows.

    Raises:
        ValueError: nothing that bars can be had from, fewer than ``MIN_BARS``, or bars of another kit or grid.
        OSError: it cannot be opened.
    """
    if source in BUNDLED and not Path(source).exists():
        return _bundled(source, kit, steps)
    path = Path(source)
    if path.suffix == ".safetensors":
        return from_sampler(str(path), check_compatible(load_model(path), kit, steps, str(path)))
    if is_corpus(path) and path.suffix != ".txt":
        corpus = load_corpus(path, steps, kit)
        _check_enough(str(path), len(corpus.distinct()))
        return from_corpus(str(path), corpus)
    bars, song, its_kit = load_bars(path, kit, steps)
    if bars.shape[1:] != (steps, kit.n_parts):
        raise ValueError(f"{path}: expected bars (n, {steps}, {kit.n_parts}) bool, found {bars.dtype} {bars.shape}")
    if its_kit != kit:
        raise ValueError(f"{path}: bars of kit {its_kit.name}, but kit {kit.name} is needed")
    _check_enough(str(path), len(bars))
    return from_bars(str(path), bars, song)


def _bundled(name: str, kit: Kit, steps: int) -> Candidate:
    """One of the models that ship."""
    return from_sampler(BUNDLED[name][0], check_compatible(load_model(name), kit, steps, f"the bundled {name}"))


def _check_enough(name: str, n: int) -> None:
    if n < MIN_BARS:
        raise ValueError(f"{name}: at least {MIN_BARS} bars are needed to evaluate them, there are {n}")


def _bars(corpus: Corpus) -> np.ndarray:
    return words_to_bars(corpus.words, corpus.kit.n_parts)


# --- The table ---------------------------------------------------------------------------------------


def evaluate(
    held_out: Corpus,
    training: Corpus,
    candidates: Sequence[Candidate],
    config: EvaluationConfig | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Judge candidates by bars of songs that no model saw: by their distinct bars, and by their bars as played.

    As many bars as played are drawn as there are distinct ones. Always in both tables: the held-out songs themselves,
    and the real bars of the training songs.

    Args:
        held_out: held-out songs.
        training: the songs that models were trained on.
        candidates: what to evaluate.
        config: how.
        out: a folder for pictures of every row but the first: ``features-distinct-1-….png``,
            ``samples-distinct-1-….png``, and the same of ``as-played``.
        progress: called with (rows done, rows in all, row).

    Returns:
        ``kit``, ``steps`` and ``config``; ``training``: counts of the training songs; ``references``: for each of
        ``REFERENCES`` counts of the held-out songs, ``rows``, a dict for each row with its ``name``, and with a prior
        among the candidates ``nll_per_step`` as ``nll_per_step``.

    Raises:
        ValueError: fewer than ``MIN_BARS`` bars of held-out songs, of training songs or of a candidate; or too few
            songs to halve.
    """
    config = config or EvaluationConfig()
    reference, counted = held_out.distinct(), training.distinct()
    for corpus, name in ((reference, "held-out"), (counted, "training")):
        if len(corpus) < MIN_BARS:
            raise ValueError(f"at least {MIN_BARS} bars of {name} songs are needed, there are {len(corpus)}")
    known = _bars(counted)
    folder = make_folder(out) if out else None
    if folder:
        for picture in [*folder.glob("features-*.png"), *folder.glob("samples-*.png")]:
            picture.unlink()  # of another run, they would look like this one's
    everyone = [from_corpus("real, training songs", training), *candidates]
    judges = {
        "distinct": _Reference("distinct", reference, known, config, folder),
        "as_played": _Reference("as_played", held_out.as_played(len(reference), config.seed), known, config, folder),
    }
    rows = {kind: [judge.first_row()] for kind, judge in judges.items()}
    for number, one in enumerate(everyone):
        drawn: dict[Draw, tuple[np.ndarray, np.ndarray | None]] = {}
        for place, (kind, judge) in enumerate(judges.items()):
            if progress:
                progress(len(judges) * number + place, len(judges) * len(everyone), one.name)
            draw = one.draw_as_played or one.draw if kind == "as_played" else one.draw
            if draw not in drawn:
                drawn[draw] = draw(max(config.n, config.n_unique), config.seed)
            rows[kind].append(judge.row(number + 1, one.name, *drawn[draw]))
    if progress:
        progress(len(judges) * len(everyone), len(judges) * len(everyone), "")
    priors = {one.name: one.prior for one in candidates if one.prior is not None}
    return {
        "kit": held_out.kit.name,
        "steps": held_out.steps,
        "config": asdict(config),
        "training": {"bars": len(known), "songs": len(np.unique(counted.song_id))},
        "references": {
            kind: {"bars": len(judge.bars), "songs": len(np.unique(judge.song)), "rows": rows[kind]}
            | ({"nll_per_step": nll_per_step(held_out, training, priors, kind, config.seed)} if priors else {})
            for kind, judge in judges.items()
        },
    }


class _Reference:
    """Real bars that others are compared with.

    Args:
        kind: one of ``REFERENCES``.
        held_out: the bars, of songs that no model saw.
        known: the training songs' distinct bars (n, steps, parts) bool.
        config: how.
        out: a folder for pictures.
    """

    def __init__(self, kind: str, held_out: Corpus, known: np.ndarray, config: EvaluationConfig, out: Path | None):
        self.kind, self.known, self.config, self.out = kind, known, config, out
        self.bars, self.song, self.kit = _bars(held_out), held_out.song_id, held_out.kit

    def first_row(self) -> dict[str, Any]:
        """What is said of the real bars themselves."""
        return (
            {"name": "real, held-out songs", "bars": len(self.bars)}
            | metrics.novelty(self.bars, self.known)
            | {"unique": metrics.unique_share(self.bars), "unique_of": len(self.bars)}
            | metrics.musegan(self.bars)
        )

    def row(self, number: int, name: str, many: np.ndarray, songs: np.ndarray | None) -> dict[str, Any]:
        """What is said of other bars (n, steps, parts) bool, of songs (n,) ints where they have songs."""
        config = self.config
        bars = many[: config.n]
        _check_enough(name, len(bars))
        songs = None if songs is None else songs[: config.n]
        detected = metrics.c2st(self.bars, self.song, bars, songs, config.repeats, config.seed)
        # as many of either kind: some numbers depend on sample size, which must not differ between rows
        n = min(len(self.bars), len(bars))
        rows = np.random.default_rng(config.seed).permutation(len(self.bars))[:n]
        reference, generated = metrics.standardised(
            feature_matrix(self.bars[rows], self.kit), feature_matrix(bars[:n], self.kit)
        )
        found = (
            detected
            | {"fd": metrics.frechet_distance(reference, generated)}
            | metrics.prdc(reference, generated)
            | metrics.yang_lerch(reference, generated, config.seed)
            | metrics.novelty(bars, self.known)
            | {"unique": metrics.unique_share(many[: config.n_unique]), "unique_of": len(many[: config.n_unique])}
            | metrics.musegan(bars)
        )
        if self.out is not None:
            slug = "".join(c if c.isalnum() else "-" for c in name)[-60:]
            picture = f"{self.kind.replace('_', '-')}-{number}-{slug}.png"
            values, others = (features.measure(these, self.kit, _PLOTTED) for these in (self.bars, bars))
            pairs = {name: (values[name].double().numpy(), others[name].double().numpy()) for name in _PLOTTED}
            histograms = histograms_to_image(pairs, f"real, {REFERENCES[self.kind]}", name)
            write_png(self.out / f"features-{picture}", histograms)
            write_png(self.out / f"samples-{picture}", bars_to_image(many[:32], self.kit))
        return {"name": name, "bars": len(bars)} | found


def feature_matrix(bars: np.ndarray, kit: Kit) -> np.ndarray:
    """(n, features) float64."""
    return torch.stack(list(features.measure(bars, kit, FEATURES).values()), 1).double().numpy()


def nll_per_step(
    held_out: Corpus,
    training: Corpus,
    priors: Mapping[str, Likelihood] | None = None,
    reference: str = "distinct",
    seed: int = 0,
) -> dict[str, float]:
    """Negative log-likelihood per step, in nats, of the bars of held-out songs, by model; less is better.

    The counts of the training songs' bars, and each prior: given nothing, and given the bar before.

    Args:
        held_out: held-out songs.
        training: the songs that are counted.
        priors: by name.
        reference: whether bars are "distinct" or "as_played", of both. As many are drawn as played as there are
            distinct ones.
        seed: of the draws.
    """
    bars, counted = held_out.distinct(), training.distinct()
    before, after = held_out.pairs()
    if reference == "as_played":
        before, after = _pairs_as_played(held_out, len(after), seed)
        bars, counted = held_out.as_played(len(bars), seed), training.as_played(len(counted), seed)
    found = {name: float(-count(counted).log_prob(bars.words).mean()) for name, count in COUNTED.items()}
    alone, first, second = (words_to_bars(words, held_out.kit.n_parts) for words in (bars.words, before, after.words))
    for name, prior in (priors or {}).items():
        found[name] = float(-prior.step_log_prob(alone).mean())
        if len(after):
            found[f"{name}, of bars with one before them"] = float(-prior.step_log_prob(second).mean())
            found[f"{name}, given the bar before"] = float(-prior.step_log_prob(second, first).mean())
    return found


def _pairs_as_played(corpus: Corpus, n: int, seed: int) -> tuple[np.ndarray, Corpus]:
    """n pairs of neighbouring bars as they are played: the words of the bars before, and the bars that follow them."""
    same_file = corpus.file_id[1:] == corpus.file_id[:-1]
    rows = 1 + np.flatnonzero(same_file & (corpus.bar_index[1:] == corpus.bar_index[:-1] + 1))
    drawn = np.random.default_rng(seed).choice(rows, n, p=corpus.only(rows).weights()) if len(rows) else rows
    return corpus.only(drawn - 1).words, corpus.only(drawn)


# --- Showing it --------------------------------------------------------------------------------------


def to_markdown(report: Mapping[str, Any]) -> str:
    """The rows of each reference as a Markdown table under a heading, and ``nll_per_step`` where there is any."""
    lines: list[str] = []
    for kind, found in report["references"].items():
        title = REFERENCES[kind]
        lines += [f"## Beside {title}", "", *_table(found["rows"]), ""]
        if "nll_per_step" in found:
            lines += [nll_table(found["nll_per_step"], f"{title} of held-out songs"), ""]
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| bars | " + " | ".join(head for _, head, _ in COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for row in rows:
        cells = [format(row[key], form) if key in row else "" for key, _, form in COLUMNS]
        name = " ".join(row["name"].split()).replace("|", "\\|")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def nll_table(nll: Mapping[str, float], bars: str) -> str:
    """``nll_per_step`` as a Markdown table; ``bars`` says of which bars."""
    lines = [f"| {bars}, by | NLL, nats per step |", "| --- | ---: |"]
    return "\n".join(lines + [f"| {name} | {value:.3f} |" for name, value in nll.items()])


def write_report(report: Mapping[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """Write ``table.md`` and ``report.json`` into a folder."""
    content = json.dumps(report, indent=2, allow_nan=False) + "\n"
    folder = make_folder(out)
    write_whole(folder / "table.md", to_markdown(report).encode())
    write_whole(folder / "report.json", content.encode())
    return [folder / "table.md", folder / "report.json"]
