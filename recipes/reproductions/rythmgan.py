"""RythmGAN (2018): every run, table and picture of docs/reproductions/rythmgan.md.

Run: python recipes/reproductions/rythmgan.py --data CORPUS --songs SONGS --out OUT [--jobs 2] [--seeds 3] [--quick]
CORPUS is what `rhythmgan prepare` wrote, SONGS the folder with the sources that it was prepared from, in which
pianorolls are counted (lpd) and onsets between two grids (lakh). Every run is a job with a file of its own in OUT,
written when it is done, and every training a folder: a stopped recipe goes on where it was. In the end the tables are
printed and written to OUT/tables.md, the pictures to OUT, and the weights that ship to OUT/weights.

`--split valid` measures on the validation songs: with these everything was chosen. The tables are of the test songs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from jobs import Job, Setting, add_options, run_and_report, table, write_found
from rhythmgan.bars import bars_to_words, fold_bars
from rhythmgan.corpus_file import corpus_counts, load_corpus
from rhythmgan.data import Split
from rhythmgan.evaluate import feature_matrix
from rhythmgan.files import write_whole
from rhythmgan.generate.phrases import phrases as phrases_of_prior
from rhythmgan.grid import NoBars, Onsets, TimeSignature
from rhythmgan.grid_choice import TOLERANCE
from rhythmgan.kit import RYTHMGAN7, Kit
from rhythmgan.lpd import read_lpd, read_lpd_cells
from rhythmgan.metrics import c2st, frechet_distance, prdc, standardised, unique_share
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.catalogue import load_generator, load_phrase_prior
from rhythmgan.models.config import PhraseConvGANConfig, PhraseGANConfig
from rhythmgan.models.phrase_conv_gan import load_phrase_conv_gan
from rhythmgan.models.phrase_gan import load_phrase_gan
from rhythmgan.song_phrases import SongPhrases, song_phrases
from rhythmgan.training.config import PhraseConvGANTrainingConfig, PhraseGANTrainingConfig
from rhythmgan.training.phrase_conv_gan import WEIGHTS as PUBLISHED
from rhythmgan.training.phrase_conv_gan import train_phrase_conv_gan
from rhythmgan.training.phrase_gan import WEIGHTS, phrase_nll, train_phrase_gan
from rhythmgan.training.phrase_picture import write_picture

SOURCE = "lakh/"
"""The songs: LPD's drum tracks are those of the Lakh MIDI Dataset."""

BARS = 4
GRIDS = (16, 12, 24)

TRAINING: dict[int, PhraseGANTrainingConfig] = {
    16: PhraseGANTrainingConfig(),
    12: PhraseGANTrainingConfig(pretrain_steps=1000),
    24: PhraseGANTrainingConfig(pretrain_steps=800, train_steps=150),
}
"""How the GAN of each grid is trained: there are fewer songs of triplets."""

NETWORK: dict[int, PhraseGANConfig] = {
    16: PhraseGANConfig(steps=16),
    12: PhraseGANConfig(steps=12, width=160),
    24: PhraseGANConfig(steps=24, width=128),
}

_PHRASES = 2000
_NEIGHBOURS = 5

ROLLS = {"MuseGAN's 96 steps × 84 pitches": (96, 84), "LPD's 96 steps × 128 pitches": (96, 128)}
"""Cells of a bar of a piano roll: what RythmGAN's arrays may have been compared with."""


@dataclass(frozen=True)
class PhraseJob(Job):
    """A run with a file of its own.

    Attributes:
        grid: steps of a bar.
    """

    grid: int = 16


@dataclass(frozen=True)
class PhraseSetting(Setting):
    """What all jobs share.

    Attributes:
        songs: the folder of the sources.
        split: the songs that are measured against.
    """

    songs: Path = Path()
    split: Split = "test"

    def phrases(self, split: Split, grid: int) -> SongPhrases:
        """The phrases of one part of the songs."""
        return song_phrases(load_corpus(self.data, grid, RYTHMGAN7).from_files(SOURCE).split(split), BARS)

    @property
    def n(self) -> int:
        """Phrases of each kind that are measured."""
        return 200 if self.quick else _PHRASES

    def folder(self, job: PhraseJob) -> Path:
        """That of a training."""
        return self.out / "runs" / job.name


def all_jobs(seeds: int) -> list[PhraseJob]:
    """Every run: trainings, then what is measured."""
    return [
        PhraseJob("rolls", "rolls"),
        PhraseJob("mixed", "mixed"),
        *(PhraseJob(f"ours-{grid}", "ours", 0, grid) for grid in GRIDS),
        *(PhraseJob(f"published-{seed}", "published", seed) for seed in range(seeds)),
        *(PhraseJob(f"rivals-{grid}", "rivals", 0, grid) for grid in GRIDS),
        PhraseJob("given", "given"),
    ]


# --- Trainings ---------------------------------------------------------------------------------------


def run_ours(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """This project's generator over a phrase: what maximum likelihood alone makes of it, and the adversarial phase."""
    training, network = TRAINING[job.grid], NETWORK[job.grid]
    if setting.quick:
        training = replace(training, pretrain_steps=4, train_steps=4, discriminator_warmup=1)
    phrases = setting.phrases("train", job.grid)
    folder = setting.folder(job)
    held_out = setting.phrases(setting.split, job.grid).on_time()
    found: dict[str, Any] = {"minutes": 0.0, "rows": {}} | setting.found(job)
    rows = found["rows"]
    # a run that ends before the adversarial phase may be resumed with it
    began = time.perf_counter()
    for name, train_steps in (("ours, pretrained only", 0), ("ours", training.train_steps)):
        if name in rows:
            continue
        config = replace(training, train_steps=train_steps)
        train_phrase_gan(phrases, folder, config, network=network, accelerator="cpu")
        gan = load_phrase_gan(folder / WEIGHTS)
        rows[name] = measures(setting, job.grid, gan.phrases(np.arange(setting.n), BARS))
        rows[name]["nats"] = phrase_nll(gan, held_out)
        write_found(setting, job, found, began)
    gan = load_phrase_gan(folder / WEIGHTS)
    write_picture(gan, BARS, setting.out / f"rythmgan-ours-{job.grid}.png")
    counts = {"songs": phrases.n_songs, "phrases": len(phrases), "on_time": len(phrases.on_time())}
    return found | counts | {"is_whole": True}


def run_published(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """The convolutional GAN of one seed."""
    training = replace(PhraseConvGANTrainingConfig(), seed=job.seed)
    if setting.quick:
        training = replace(training, train_steps=4)
    phrases = setting.phrases("train", job.grid)
    folder = setting.folder(job)
    network = PhraseConvGANConfig(steps=job.grid)
    train_phrase_conv_gan(phrases, folder, training, network=network, accelerator="cpu")
    gan = load_phrase_conv_gan(folder / PUBLISHED)
    if job.seed == 0:
        write_picture(gan, BARS, setting.out / "rythmgan-published.png")
    return {"rows": {"as published": measures(setting, job.grid, gan.phrases(np.arange(setting.n), BARS))}}


# --- Measures ----------------------------------------------------------------------------------------


def run_rivals(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """Songs of training, the same drawn by a memoriser, and the GAN of single bars with its prior.

    A classifier knows of songs which phrases belong together, and is tested on other songs; of what is drawn by seed it
    does not. So real phrases too are told apart a little where they are drawn by seed.
    """
    train = setting.phrases("train", job.grid).on_time()
    drawn = train.draw(setting.n, seed=1)
    rows = {
        "songs of training": measures(setting, job.grid, drawn.bars, drawn.song),
        "memoriser": measures(setting, job.grid, drawn.bars),
    }
    if job.grid != 24:
        gan, prior = load_generator(grid=job.grid), load_phrase_prior(grid=job.grid)
        made = phrases_of_prior(gan, prior, range(setting.n), BARS)[0]
        rows["GAN of single bars and prior"] = measures(setting, job.grid, fold_bars(made, gan.kit, RYTHMGAN7))
    return {"rows": rows}


def run_given(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """Assisted creativity: the first bars of held-out phrases are given, and a classifier sees the whole phrases.

    They are compared with phrases of other held-out songs, whole ones of songs: so it can only go by what follows.
    """
    gan = load_phrase_gan(setting.folder(PhraseJob("ours-16", "ours")) / WEIGHTS)
    held_out = setting.phrases(setting.split, job.grid).on_time()
    real, other = (held_out.only(held_out.song % 2 == half).draw(setting.n, seed=half) for half in (0, 1))
    rows = {}
    for n_given in range(1, BARS):
        made = gan.complete(other.bars[:, :n_given], np.arange(setting.n))
        shuffled = np.random.default_rng(0).permutation(setting.n)
        foreign = np.concatenate([other.bars[:, :n_given], other.bars[shuffled][:, n_given:]], 1)
        for name, bars in (("ours", made), ("of another song", foreign), ("the song's own", other.bars)):
            rows[f"{n_given} given, {name}"] = {
                "c2st": _c2st(setting, real, bars, other.song),
                "again": float((bars[:, n_given] == bars[:, n_given - 1]).all((1, 2)).mean()),
            }
    return {"completions": rows}


def measures(setting: PhraseSetting, grid: int, bars: np.ndarray, song: np.ndarray | None = None) -> dict[str, float]:
    """This project's table, of phrases (n, bars, steps, parts) bool; ``song`` where they are of songs."""
    n = len(bars)
    known = setting.phrases("train", grid)
    real = setting.phrases(setting.split, grid).on_time().draw(n, seed=0)
    truth = real.bars
    reference, features = standardised(*(feature_matrix(_as_bars(each), RYTHMGAN7) for each in (truth, bars)))
    in_a_row = reference.reshape(n, -1), features.reshape(n, -1)
    trained = {phrase.tobytes() for phrase in known.words}
    return {
        "c2st": _c2st(setting, real, bars, song),
        "c2st_bar": c2st(truth[:, 0], real.song, bars[:, 0], song, _repeats(setting))["c2st"],
        "fd": frechet_distance(reference, features),
        "coverage": prdc(*in_a_row, k=_NEIGHBOURS)["coverage"],
        "copies": float(np.mean([phrase.tobytes() in trained for phrase in bars_to_words(bars)])),
        "unique": unique_share(bars.reshape(n, -1, bars.shape[-1])),
        "third_is_first": float((bars[:, 2] == bars[:, 0]).all((1, 2)).mean()),
        "second_is_first": float((bars[:, 1] == bars[:, 0]).all((1, 2)).mean()),
        "empty": float((~bars.any((2, 3))).mean()),
        "onsets": float(bars.sum((2, 3)).mean()),
    }


def _as_bars(phrases: np.ndarray) -> np.ndarray:
    return phrases.reshape(-1, *phrases.shape[2:])


def _c2st(setting: PhraseSetting, real: SongPhrases, bars: np.ndarray, song: np.ndarray | None) -> float:
    """Of whole phrases, songs apart."""
    rows = [each.reshape(len(each), -1, each.shape[-1]) for each in (real.bars, bars)]
    return c2st(rows[0], real.song, rows[1], song, _repeats(setting))["c2st"]


def _repeats(setting: PhraseSetting) -> int:
    return 1 if setting.quick else 3


# --- Counts ------------------------------------------------------------------------------------------


def run_rolls(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """By how much bars are smaller than piano rolls: cells of a bar, and all that LPD's drum tracks hold."""
    cells = 16 * RYTHMGAN7.n_parts
    found = {name: 1 - cells / (steps * pitches) for name, (steps, pitches) in ROLLS.items()}
    files: dict[str, dict[str, float]] = {}
    for name in ("genuine", "lpd_5"):
        each = [reduction(path) for path in sorted((setting.songs / "lpd" / name).rglob("*.npz"))]
        files[name] = {"files": len(each)} | {
            key: float(np.sum([one[key] for one in each])) for key in (each[0] if each else ())
        }
    counts = corpus_counts(setting.data)
    onsets = {grid: int(_onsets(setting, grid)) for grid in GRIDS}
    return {"bar": found, "files": files, "sources": counts, "onsets": onsets}


def _onsets(setting: PhraseSetting, grid: int) -> int:
    """Points of all bars of a grid, as RythmGAN counts its seven million."""
    corpus = load_corpus(setting.data, grid, RYTHMGAN7).from_files(SOURCE)
    of_word = np.array([bin(word).count("1") for word in range(1 << RYTHMGAN7.n_parts)])
    return int(of_word[corpus.distinct_words].sum(1)[corpus.bar_id].sum())


def reduction(path: Path) -> dict[str, int]:
    """What a drum track of LPD has as a piano roll, and as bars of 16 steps and seven elements.

    Args:
        path: an LPD .npz file.

    Returns:
        ``roll``: cells of the roll until the last one that sounds, on 24 ticks a beat and 128 pitches; ``bars``: cells
        of as many bars; ``sounding``: cells of the roll that sound; ``points``: distinct onsets on the bars' steps.
    """
    ticks = read_lpd_cells(path)[0]
    onsets = read_lpd(path)
    n_bars = int(ticks.max()) // 96 + 1 if len(ticks) else 0
    part = RYTHMGAN7.part_of_pitch[onsets.pitch]
    step = np.rint(onsets.beat * 4).astype(np.int64)
    points = np.unique(step[part >= 0] * RYTHMGAN7.n_parts + part[part >= 0])
    return {
        "roll": n_bars * 96 * 128,
        "bars": n_bars * 16 * RYTHMGAN7.n_parts,
        "sounding": len(ticks),
        "points": len(points),
    }


class MixedBars(NamedTuple):
    """Bars of a song in which some beats are binary and others ternary.

    Attributes:
        cells: of each bar its onsets, as (24ths of a beat, part), sorted.
        n_bars: bars of the song that sound.
        is_clean: whether nine in ten of its beats are on one of both grids: it is written, not played.
    """

    cells: list[tuple[tuple[int, int], ...]]
    n_bars: int
    is_clean: bool


def mixed_bars(onsets: Onsets, kit: Kit = RYTHMGAN7) -> MixedBars | None:
    """The bars of a song of 4/4 that mix both grids; None where it has other time signatures.

    A beat is binary if all of its onsets are on its sixteenths, and one is on none of its sixteenth triplets; ternary
    the other way round. It is on neither if an onset lies elsewhere. A bar is mixed if it has beats of both kinds, and
    none that is on neither.
    """
    signatures = onsets.time_signatures or (TimeSignature(0, 4, 4),)
    if any((each.numerator, each.denominator) != (4, 4) or each.beat % 4 for each in signatures):
        return None
    part = kit.part_of_pitch[onsets.pitch]
    time, part = onsets.beat[part >= 0], part[part >= 0]
    if not len(time):
        return MixedBars([], 0, True)
    # an onset just ahead of a beat is one of that beat
    beat = np.floor(time + TOLERANCE).astype(np.int64)
    within = time - beat
    n_beats = (int(beat.max()) // 4 + 1) * 4
    on = {
        per_beat: np.abs(within * per_beat - np.rint(within * per_beat)) <= TOLERANCE * per_beat for per_beat in (4, 6)
    }

    def count(which: np.ndarray) -> np.ndarray:
        return np.bincount(beat, which, n_beats)

    n_onsets = np.bincount(beat, minlength=n_beats)
    all_on = {per_beat: count(each) == n_onsets for per_beat, each in on.items()}
    binary = all_on[4] & (count(on[4] & ~on[6]) > 0)
    ternary = all_on[6] & (count(on[6] & ~on[4]) > 0)
    either = all_on[4] | all_on[6]
    by_bar = [each.reshape(-1, 4) for each in (either, binary, ternary)]
    mixed = by_bar[0].all(1) & by_bar[1].any(1) & by_bar[2].any(1)
    found = []
    for bar in np.flatnonzero(mixed):
        rows = beat // 4 == bar
        place = np.rint((time[rows] - 4 * bar) * 24).astype(int)
        found.append(tuple(sorted(zip(place.tolist(), part[rows].tolist(), strict=True))))
    sounding = n_onsets > 0
    return MixedBars(found, int(sounding.reshape(-1, 4).any(1).sum()), float(either[sounding].mean()) >= 0.9)


def run_mixed(setting: PhraseSetting, job: PhraseJob) -> dict[str, Any]:
    """How many bars of Lakh mix both grids, and of how many songs."""
    corpus = load_corpus(setting.data, 16)
    song_of = {Path(corpus.files[file]).name: corpus.songs[song] for file, song in _songs_of_files(setting).items()}
    counted: Counter[str] = Counter()
    distinct: set[tuple[str, tuple[tuple[int, int], ...]]] = set()
    for path in _first(sorted((setting.songs / "lakh").rglob("*.mid")), 40 if setting.quick else None):
        try:
            found = mixed_bars(read_midi(path))
        except NoBars:
            counted["unreadable or without drums"] += 1
            continue
        if found is None:
            counted["other time signatures"] += 1
            continue
        counted["files"] += 1
        counted["bars"] += found.n_bars
        counted["mixed"] += len(found.cells)
        if found.is_clean:
            counted["mixed in written songs"] += len(found.cells)
            distinct |= {(song_of.get(path.name, path.name), cells) for cells in found.cells}
    counted["distinct"] = len(distinct)
    counted["songs"] = len({song for song, _ in distinct})
    return {"mixed": dict(counted)}


def _songs_of_files(setting: PhraseSetting) -> dict[int, int]:
    """The song of each file that has bars, on any grid."""
    songs: dict[int, int] = {}
    for grid in (*GRIDS, 32):
        corpus = load_corpus(setting.data, grid)
        songs |= dict(zip(corpus.file_id.tolist(), corpus.song_id.tolist(), strict=True))
    return songs


def _first(paths: Sequence[Path], n: int | None) -> Iterable[Path]:
    return paths[:n]


_RUN: Mapping[str, Callable[[PhraseSetting, PhraseJob], dict[str, Any]]] = {
    "ours": run_ours,
    "published": run_published,
    "rivals": run_rivals,
    "given": run_given,
    "rolls": run_rolls,
    "mixed": run_mixed,
}


# --- Report ------------------------------------------------------------------------------------------

COLUMNS = {
    "c2st": ("C2ST, four bars", "{:.3f}"),
    "c2st_bar": ("C2ST, bar 1", "{:.3f}"),
    "fd": ("FD", "{:.2f}"),
    "coverage": ("coverage", "{:.2f}"),
    "copies": ("copies", "{:.3f}"),
    "unique": ("unique", "{:.3f}"),
    "third_is_first": ("bar 3 = bar 1", "{:.2f}"),
    "second_is_first": ("bar 2 = bar 1", "{:.2f}"),
    "empty": ("empty bars", "{:.3f}"),
    "onsets": ("onsets", "{:.1f}"),
    "nats": ("nats a step", "{:.3f}"),
}

ORDER = ("songs of training", "as published", "ours", "ours, pretrained only")
"""The rows of a table that come first."""


def report(setting: PhraseSetting, jobs: Sequence[PhraseJob]) -> str:
    """All tables, in Markdown; it also writes the weights that ship."""
    export_weights(setting)
    lines = []
    for grid in GRIDS:
        rows: dict[str, list[dict[str, float]]] = {}
        for job in jobs:
            if job.grid == grid:
                for name, row in setting.found(job).get("rows", {}).items():
                    rows.setdefault(name, []).append(row)
        if not rows:
            continue
        ordered = {name: rows[name] for name in (*ORDER, *rows) if name in rows}
        ours = setting.found(PhraseJob(f"ours-{grid}", "ours"))
        if "phrases" in ours:  # its job is whole
            lines.append(
                f"Grid {grid}: {ours['phrases']:,} distinct phrases of {ours['songs']} training songs, of which "
                f"{ours['on_time']:,} begin on time\n"
            )
        lines.append(table(ordered, COLUMNS, "phrases"))
    if rolls := setting.found(PhraseJob("rolls", "rolls")):
        lines += [rolls_table(rolls), dropped_table(rolls["sources"])]
    if mixed := setting.found(PhraseJob("mixed", "mixed")):
        lines.append(
            "Bars that mix both grids: " + ", ".join(f"{n:,} {name}" for name, n in mixed["mixed"].items()) + "\n"
        )
    if given := setting.found(PhraseJob("given", "given")):
        columns = {"c2st": ("C2ST", "{:.3f}"), "again": ("next bar is the last given one", "{:.2f}")}
        lines.append(table({name: [row] for name, row in given["completions"].items()}, columns, "bars"))
    return "\n".join((*lines, ""))


def rolls_table(found: Mapping[str, Any]) -> str:
    """By how much bars of seven elements and 16 steps are smaller than piano rolls, as Markdown."""
    lines = ["| a bar of seven elements × 16 steps instead of | smaller by |", "|---|---:|"]
    lines += [f"| {name} | {share:.2%} |" for name, share in found["bar"].items()]
    for name, files in found["files"].items():
        if files["files"]:
            said = f"{files['files']:.0f} files of LPD ({name})"
            lines.append(f"| the drum rolls of {said}, cells | {1 - files['bars'] / files['roll']:.2%} |")
            lines.append(
                f"| the same, sounding cells instead of points: {files['sounding']:,.0f} to {files['points']:,.0f} | "
                f"{1 - files['points'] / files['sounding']:.2%} |"
            )
    points = ", ".join(f"{n:,} on {grid} steps" for grid, n in found["onsets"].items())
    return "\n".join(lines) + f"\n\nPoints in all bars of the Lakh songs: {points}\n"


def dropped_table(sources: Sequence[Mapping[str, Any]]) -> str:
    """How many files of each source have bars, and why the others have none, as Markdown."""
    reasons = sorted({reason for source in sources for reason in source["none"]})
    lines = [
        "| source | files | with bars | songs | " + " | ".join(reasons) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(reasons),
    ]
    for source in sources:
        cells = [source["n_files"], source["n_files_with_bars"], source["n_songs"]]
        cells += [source["none"].get(reason, 0) for reason in reasons]
        lines.append(f"| {Path(source['source']).name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def export_weights(setting: PhraseSetting) -> None:
    """What ships: the GAN of each grid, and that as published of seed 0."""
    folder = setting.out / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for grid in GRIDS:
        source = setting.folder(PhraseJob(f"ours-{grid}", "ours")) / WEIGHTS
        if source.exists():
            write_whole(folder / f"rythmgan{'' if grid == 16 else grid}.safetensors", source.read_bytes())
    source = setting.folder(PhraseJob("published-0", "published")) / PUBLISHED
    if source.exists():
        write_whole(folder / PUBLISHED, source.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds=3)
    parser.add_argument("--songs", type=Path, required=True, metavar="DIR", help="folder with lakh and lpd")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs to report on (%(default)s)")
    options = parser.parse_args(arguments)
    setting = PhraseSetting(options.data, options.out, options.quick, options.songs, options.split)
    jobs = all_jobs(min(options.seeds, 1) if options.quick else options.seeds)
    run_and_report(options, _RUN, setting, jobs, lambda setting: report(setting, jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
