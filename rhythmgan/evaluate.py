"""One table that a memoriser, noise, an untuned prior and real songs all stand in beside a model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhythmgan import features, metrics
from rhythmgan.bars import words_to_bars
from rhythmgan.baselines import COUNTED, SAMPLERS, Sampler
from rhythmgan.data import Corpus
from rhythmgan.draw import bars_to_image, histograms_to_image, write_png
from rhythmgan.files import make_folder, write_whole
from rhythmgan.kit import Kit
from rhythmgan.load import load_bars
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


@dataclass(frozen=True)
class Candidate:
    """Bars to evaluate.

    Attributes:
        name: in the table.
        draw: (n, seed) → at most n bars (n, steps, parts) bool, and their songs (n,) ints where they have songs.
        prior: where it is a likelihood, the model itself, whose NLL on the held-out songs is reported.
    """

    name: str
    draw: Callable[[int, int], tuple[np.ndarray, np.ndarray | None]]
    prior: Likelihood | None = None


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


def baseline(name: str, training: Corpus) -> Candidate:
    """One of the baselines by its option: those of ``SAMPLERS``, made of the songs' distinct bars, or the prior.

    Raises:
        ValueError: no baseline has this name.
    """
    if name == "prior":
        return _bundled(name, training.kit, training.steps)
    if name not in SAMPLERS:
        raise ValueError(f"no baseline is called {name!r}; there are {', '.join(SAMPLERS)}, prior")
    title, make = SAMPLERS[name]
    return from_sampler(title, make(training.distinct()))


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
    bars, song, _ = load_bars(path, kit, steps)
    if bars.shape[1:] != (steps, kit.n_parts):
        raise ValueError(f"{path}: expected bars (n, {steps}, {kit.n_parts}) bool, found {bars.dtype} {bars.shape}")
    if len(bars) < MIN_BARS:
        raise ValueError(f"{path}: at least {MIN_BARS} bars are needed to evaluate them, there are {len(bars)}")
    return from_bars(str(path), bars, song)


def _bundled(name: str, kit: Kit, steps: int) -> Candidate:
    """One of the models that ship."""
    return from_sampler(BUNDLED[name][0], check_compatible(load_model(name), kit, steps, f"the bundled {name}"))


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
    """Judge candidates by the distinct bars of songs that no model saw.

    Always in the table: the held-out songs themselves, and the real bars of the training songs.

    Args:
        held_out: held-out songs; each song's distinct bars are the reference.
        training: the songs that models were trained on.
        candidates: what to evaluate.
        config: how.
        out: a folder for pictures of every row but the first: ``features-1-….png``, ``samples-1-….png``.
        progress: called with (rows done, rows in all, row).

    Returns:
        ``reference``: counts of the held-out songs; ``config``; ``rows``: a dict for each row, with its ``name``;
        with a prior among the candidates ``nll_per_step`` as ``nll_per_step``.

    Raises:
        ValueError: fewer than ``MIN_BARS`` bars of held-out songs, of training songs or of a candidate; or too few
            songs to halve.
    """
    config = config or EvaluationConfig()
    reference, counted = held_out.distinct(), training.distinct()
    for corpus, name in ((reference, "held-out"), (counted, "training")):
        if len(corpus) < MIN_BARS:
            raise ValueError(f"at least {MIN_BARS} bars of {name} songs are needed, there are {len(corpus)}")
    real, known = (words_to_bars(corpus.words, corpus.kit.n_parts) for corpus in (reference, counted))
    folder = make_folder(out) if out else None
    if folder:
        for picture in [*folder.glob("features-*.png"), *folder.glob("samples-*.png")]:
            picture.unlink()  # of another run, they would look like this one's
    rows: list[dict[str, Any]] = [
        {"name": "real, held-out songs", "bars": len(real)}
        | metrics.novelty(real, known)
        | {"unique": metrics.unique_share(real), "unique_of": len(real)}
        | metrics.musegan(real)
    ]
    everyone = [from_bars("real, training songs", known, counted.song_id), *candidates]
    for done, one in enumerate(everyone):
        if progress:
            progress(done, len(everyone), one.name)
        rows.append(_row(done + 1, one, real, reference.song_id, known, held_out.kit, config, folder))
    if progress:
        progress(len(everyone), len(everyone), "")
    report = {
        "reference": {
            "bars": len(real),
            "songs": len(np.unique(reference.song_id)),
            "kit": held_out.kit.name,
            "steps": held_out.steps,
        },
        "training": {"bars": len(known), "songs": len(np.unique(counted.song_id))},
        "config": asdict(config),
        "rows": rows,
    }
    priors = {one.name: one.prior for one in candidates if one.prior is not None}
    return report | ({"nll_per_step": nll_per_step(held_out, training, priors)} if priors else {})


def _row(
    number: int,
    one: Candidate,
    real: np.ndarray,
    song: np.ndarray,
    known: np.ndarray,
    kit: Kit,
    config: EvaluationConfig,
    out: Path | None,
) -> dict[str, Any]:
    many, songs = one.draw(max(config.n, config.n_unique), config.seed)
    bars = many[: config.n]
    if len(bars) < MIN_BARS:
        raise ValueError(f"{one.name}: at least {MIN_BARS} bars are needed to evaluate them, there are {len(bars)}")
    detected = metrics.c2st(real, song, bars, None if songs is None else songs[: config.n], config.repeats, config.seed)
    # as many of either kind: some numbers depend on sample size, which must not differ between rows
    n = min(len(real), len(bars))
    rows = np.random.default_rng(config.seed).permutation(len(real))[:n]
    reference, generated = metrics.standardised(feature_matrix(real[rows], kit), feature_matrix(bars[:n], kit))
    found = (
        detected
        | {"fd": metrics.frechet_distance(reference, generated)}
        | metrics.prdc(reference, generated)
        | metrics.yang_lerch(reference, generated, config.seed)
        | metrics.novelty(bars, known)
        | {"unique": metrics.unique_share(many[: config.n_unique]), "unique_of": len(many[: config.n_unique])}
        | metrics.musegan(bars)
    )
    if out is not None:
        slug = "".join(c if c.isalnum() else "-" for c in one.name)[-60:]
        values, others = (features.measure(these, kit, _PLOTTED) for these in (real, bars))
        pairs = {name: (values[name].double().numpy(), others[name].double().numpy()) for name in _PLOTTED}
        write_png(out / f"features-{number}-{slug}.png", histograms_to_image(pairs, "real, held-out songs", one.name))
        write_png(out / f"samples-{number}-{slug}.png", bars_to_image(many[:32], kit))
    return {"name": one.name, "bars": len(bars)} | found


def feature_matrix(bars: np.ndarray, kit: Kit) -> np.ndarray:
    """(n, features) float64."""
    return torch.stack(list(features.measure(bars, kit, FEATURES).values()), 1).double().numpy()


def nll_per_step(
    held_out: Corpus,
    training: Corpus,
    priors: Mapping[str, Likelihood] | None = None,
) -> dict[str, float]:
    """Negative log-likelihood per step, in nats, of the distinct bars of held-out songs, by model; less is better.

    The counts of the training songs' distinct bars, and each prior: given nothing, and given the bar before.

    Args:
        held_out: held-out songs.
        training: the songs that are counted.
        priors: by name.
    """
    distinct, counted = held_out.distinct(), training.distinct()
    found = {name: float(-count(counted).log_prob(distinct.words).mean()) for name, count in COUNTED.items()}
    before, after = held_out.pairs()
    alone, first, second = (
        words_to_bars(words, held_out.kit.n_parts) for words in (distinct.words, before, after.words)
    )
    for name, prior in (priors or {}).items():
        found[name] = float(-prior.step_log_prob(alone).mean())
        if len(after):
            found[f"{name}, of bars with one before them"] = float(-prior.step_log_prob(second).mean())
            found[f"{name}, given the bar before"] = float(-prior.step_log_prob(second, first).mean())
    return found


# --- Showing it --------------------------------------------------------------------------------------


def to_markdown(report: Mapping[str, Any]) -> str:
    """The report's rows as one Markdown table, and the nll_per_step as a second one where there are any."""
    lines = ["| bars | " + " | ".join(head for _, head, _ in COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for row in report["rows"]:
        cells = [format(row[key], form) if key in row else "" for key, _, form in COLUMNS]
        name = " ".join(row["name"].split()).replace("|", "\\|")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if "nll_per_step" in report:
        lines += ["", nll_table(report["nll_per_step"], "held-out songs")]
    return "\n".join(lines) + "\n"


def nll_table(nll: Mapping[str, float], songs: str) -> str:
    """``nll_per_step`` as a Markdown table."""
    lines = [f"| distinct bars of {songs}, by | NLL, nats per step |", "| --- | ---: |"]
    return "\n".join(lines + [f"| {name} | {value:.3f} |" for name, value in nll.items()])


def write_report(report: Mapping[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """Write ``table.md`` and ``report.json`` into a folder."""
    content = json.dumps(report, indent=2, allow_nan=False) + "\n"
    folder = make_folder(out)
    write_whole(folder / "table.md", to_markdown(report).encode())
    write_whole(folder / "report.json", content.encode())
    return [folder / "table.md", folder / "report.json"]
