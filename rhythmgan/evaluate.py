"""One table that a memoriser, noise, an untuned prior and real songs all stand in beside a model."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhythmgan import conditions_met, features, metrics
from rhythmgan.baselines import COUNTED
from rhythmgan.candidates import (
    MIN_BARS,
    Asked,
    Candidate,
    Draw,
    bars_of,
    check_enough,
    from_corpus,
    nats_of_bars,
)
from rhythmgan.conditions import ANY
from rhythmgan.conditions_met import roles_met, styles_met
from rhythmgan.data import Corpus
from rhythmgan.draw import bars_to_image, histograms_to_image, write_png
from rhythmgan.files import make_folder, write_whole
from rhythmgan.kit import Kit
from rhythmgan.models.interfaces import Likelihood
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


SIGNS: tuple[tuple[str, str, str], ...] = (
    ("kick_on_1", "kick on 1", ".2f"),
    ("backbeat", "snare on 2 and 4", ".2f"),
    ("cymbals", f"cymbals on {metrics.CYMBALS_OF_A_GROOVE} steps or more", ".2f"),
    ("groove", "all three", ".3f"),
    ("groove_of_real", "of held-out songs'", ".2f"),
    ("toms", f"toms on {metrics.TOMS_OF_A_FILL} steps or more", ".2f"),
    ("onsets", "onsets", ".1f"),
    ("syncopation", "syncopation", ".1f"),
)
"""The same of the numbers that tell grooves from fills, a table of their own."""

REFERENCES = {"distinct": "distinct bars", "as_played": "bars as played"}
"""What bars are compared with, as ``reference.KINDS`` says it, and the name of each in a report."""


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


# --- The table ---------------------------------------------------------------------------------------


def evaluate(
    held_out: Corpus,
    training: Corpus,
    candidates: Sequence[Candidate],
    config: EvaluationConfig | None = None,
    *,
    kit: Kit | None = None,
    role: str = ANY,
    style: str = ANY,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Judge candidates by bars of songs that no model saw: by their distinct bars, and by their bars as played.

    As many bars as played are drawn as there are distinct ones. Always in both tables: the held-out songs themselves,
    and the real bars of the training songs.

    Conditional models are asked for the role and the style. For role "any" they are asked for a catalogue beside
    distinct bars, and for all roles beside bars as played, in the shares in which the training songs play them.

    Args:
        held_out: held-out songs.
        training: the songs that models were trained on.
        candidates: what to evaluate, of kit ``kit``.
        config: how.
        kit: what the songs are folded into; their own by default. Priors of the songs' kit are asked how likely what
            their bars become in it is.
        role, style: what all bars of the songs have, and models are asked for; or "any".
        out: a folder for pictures of every row but the first: ``features-distinct-1-….png``,
            ``samples-distinct-1-….png``, and the same of ``as-played``.
        progress: called with (rows done, rows in all, row).

    Returns:
        ``kit``, ``steps`` and ``config``; ``training``: counts of the training songs; ``references``: for each of
        ``REFERENCES`` counts of the held-out songs, ``rows``, a dict for each row with its ``name``, and with a prior
        among the candidates ``nll_per_step`` as ``nll_per_step``. With a conditional model among them ``asked``, what
        it is asked for, and ``conditions``, what ``conditions_met`` finds of ``roles`` and ``styles``, None where it
        finds nothing.

    Raises:
        ValueError: fewer than ``MIN_BARS`` bars of held-out songs, of training songs or of a candidate; or too few
            songs to halve.
    """
    config = config or EvaluationConfig()
    whole = held_out
    held_out, training = held_out.folded(kit or held_out.kit), training.folded(kit or training.kit)
    asked = Asked(role, style, training.role_shares() if len(training) else {})
    reference, counted = held_out.distinct(), training.distinct()
    for corpus, name in ((reference, "held-out"), (counted, "training")):
        if len(corpus) < MIN_BARS:
            raise ValueError(f"at least {MIN_BARS} bars of {name} songs are needed, there are {len(corpus)}")
    known = bars_of(counted)
    folder = make_folder(out) if out else None
    if folder:
        for picture in [*folder.glob("features-*.png"), *folder.glob("samples-*.png")]:
            picture.unlink()  # of another run, they would look like this one's
    everyone = [from_corpus("real, training songs", training), *(one.asked(asked) for one in candidates)]
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
    for name in [name for name, prior in priors.items() if prior.kit not in (whole.kit, held_out.kit)]:
        logging.getLogger(__name__).warning(
            "no nats of %s: it needs songs of kit %s, these are of kit %s",
            name,
            priors.pop(name).kit.name,
            whole.kit.name,
        )
    conditional: dict[str, Any] = {}
    if any(one.ask for one in candidates):
        songs = held_out, training, candidates, config.n, config.seed
        conditional["asked"] = asdict(asked)
        conditional["conditions"] = {
            "roles": roles_met(*songs, style) if role == ANY else None,
            "styles": styles_met(*songs, role) if style == ANY else None,
        }
    return {
        "kit": held_out.kit.name,
        "steps": held_out.steps,
        "config": asdict(config),
        "training": {"bars": len(known), "songs": len(np.unique(counted.song_id))},
        "references": {
            kind: {"bars": len(judge.bars), "songs": len(np.unique(judge.song)), "rows": rows[kind]}
            | (
                {
                    "nll_per_step": nll_per_step(
                        whole, training, priors, kind, config.seed, kit=kit, asked=asked, n=config.n
                    )
                }
                if priors
                else {}
            )
            for kind, judge in judges.items()
        },
    } | conditional


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
        self.bars, self.song, self.kit = bars_of(held_out), held_out.song_id, held_out.kit
        self.signs = metrics.groove_signs(self.bars, self.kit)

    def first_row(self) -> dict[str, Any]:
        """What is said of the real bars themselves."""
        return (
            {"name": "real, held-out songs", "bars": len(self.bars)}
            | metrics.novelty(self.bars, self.known)
            | {"unique": metrics.unique_share(self.bars), "unique_of": len(self.bars)}
            | metrics.musegan(self.bars)
            | self.signs
        )

    def row(self, number: int, name: str, many: np.ndarray, songs: np.ndarray | None) -> dict[str, Any]:
        """What is said of other bars (n, steps, parts) bool, of songs (n,) ints where they have songs."""
        config = self.config
        bars = many[: config.n]
        check_enough(name, len(bars))
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
            | self._groove_signs(bars)
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

    def _groove_signs(self, bars: np.ndarray) -> dict[str, float]:
        """``metrics.groove_signs``, and how often all three come for once that they come in the real bars."""
        signs = metrics.groove_signs(bars, self.kit)
        return signs | ({"groove_of_real": signs["groove"] / self.signs["groove"]} if self.signs["groove"] else {})


def feature_matrix(bars: np.ndarray, kit: Kit) -> np.ndarray:
    """(n, features) float64."""
    return torch.stack(list(features.measure(bars, kit, FEATURES).values()), 1).double().numpy()


def nll_per_step(
    held_out: Corpus,
    training: Corpus,
    priors: Mapping[str, Likelihood] | None = None,
    reference: str = "distinct",
    seed: int = 0,
    *,
    kit: Kit | None = None,
    asked: Asked | None = None,
    n: int | None = None,
) -> dict[str, float]:
    """Negative log-likelihood per step, in nats, of the bars of held-out songs, by model; less is better.

    The counts of the training songs' bars, and each prior: given nothing, and given the bar before. A prior of a larger
    kit than ``kit`` is given the bars of its own kit, and asked how likely what they become in ``kit`` is.

    Args:
        held_out: held-out songs.
        training: the songs that are counted.
        priors: by name.
        reference: whether bars are "distinct" or "as_played", of both. As many are drawn as played as there are
            distinct ones.
        seed: of the draws.
        n: held-out bars that are drawn as played at most: a prior that knows roles takes its time for each of them.
        kit: what bars are folded into; the held-out songs' by default.
        asked: what conditional priors are asked for: by default "any" role, in the training songs' shares.

    Raises:
        ValueError: a prior of another kit than the songs' and ``kit``.
    """
    target = kit or held_out.kit
    training = training.folded(target)
    asked = asked or Asked(shares=training.role_shares())
    songs, folded = _side_by_side(held_out, target)
    bars, counted = folded.distinct(), training.distinct()
    after = folded.pairs()[1]
    if reference == "as_played":
        most = len(folded) if n is None else n
        after = _pairs_as_played(folded, min(len(after), most), seed)
        bars, counted = folded.as_played(min(len(bars), most), seed), training.as_played(len(counted), seed)
    found = {name: float(-count(counted).log_prob(bars.words).mean()) for name, count in COUNTED.items()}
    for name, prior in (priors or {}).items():
        if prior.kit not in (target, held_out.kit):
            raise ValueError(
                f"{name} is a prior of kit {prior.kit.name}; the songs are of kit {held_out.kit.name}, "
                f"to be judged in kit {target.name}"
            )
        of_its_kit = folded if prior.kit == target else songs

        def nats(
            rows: np.ndarray, before: np.ndarray | None = None, prior: Likelihood = prior, own: Corpus = of_its_kit
        ) -> float:
            first = None if before is None else bars_of(own.only(before))
            found = nats_of_bars(prior, asked, bars_of(own.only(rows)), first, target, reference == "as_played")
            return float(found.mean() / own.steps)

        alone, later = (np.asarray(these.rows) for these in (bars, after))
        found[name] = nats(alone)
        if len(later):
            found[f"{name}, of bars with one before them"] = nats(later)
            found[f"{name}, given the bar before"] = nats(later, later - 1)
    return found


def _side_by_side(songs: Corpus, kit: Kit) -> tuple[Corpus, Corpus]:
    """The bars that have parts of ``kit``: of the songs' own kit, and folded; row by row the same bars.

    The folded ones hold their rows in ``rows``, also when some of them are taken.
    """
    numbered = replace(songs, rows=np.arange(len(songs)), playing=None)
    folded = numbered.folded(kit)
    return numbered.only(np.asarray(folded.rows)), replace(folded, rows=np.arange(len(folded)))


def _pairs_as_played(corpus: Corpus, n: int, seed: int) -> Corpus:
    """n bars that follow another, as they are played."""
    rows = corpus.followers()
    drawn = np.random.default_rng(seed).choice(rows, n, p=corpus.only(rows).weights()) if len(rows) else rows
    return corpus.only(drawn)


# --- Showing it --------------------------------------------------------------------------------------


def to_markdown(report: Mapping[str, Any]) -> str:
    """The rows of each reference as Markdown tables under a heading, and what else there is in the report."""
    lines: list[str] = []
    for kind, found in report["references"].items():
        title = REFERENCES[kind]
        lines += [f"## Beside {title}", ""]
        if "asked" in report:
            lines += [_said_of(report["asked"], kind), ""]
        lines += [*_table(found["rows"], COLUMNS), "", *_table(found["rows"], SIGNS), ""]
        if "nll_per_step" in found:
            lines += [nll_table(found["nll_per_step"], f"{title} of held-out songs"), ""]
    for kind, found in report.get("conditions", {}).items():
        if found:
            lines += conditions_met.to_markdown(kind, found)
    return "\n".join(lines)


def _said_of(asked: Mapping[str, Any], kind: str) -> str:
    """What conditional models were asked for, as a sentence."""
    role, style, shares = asked["role"], asked["style"], asked["shares"]
    wanted = f"role {role}"
    if role == ANY and kind == "as_played" and shares:
        listed = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
        wanted = f"the roles in the shares in which the training songs play them ({listed})"
    return f"Models that know roles and styles are asked for {wanted} and style {style}."


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]) -> list[str]:
    lines = ["| bars | " + " | ".join(head for _, head, _ in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for row in rows:
        cells = [format(row[key], form) if key in row else "" for key, _, form in columns]
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
    write_whole(folder / "table.md", to_markdown(report).encode(), durable=True)
    write_whole(folder / "report.json", content.encode(), durable=True)
    return [folder / "table.md", folder / "report.json"]
