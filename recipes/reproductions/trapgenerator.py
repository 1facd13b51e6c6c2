"""TrapGenerator (2020), after Choi, Fazekas and Sandler (2016): every run of docs/reproductions/trapgenerator.md.

Run: python recipes/reproductions/trapgenerator.py --data CORPUS --out OUT [--jobs 2] [--seeds 1] [--quick]
CORPUS is what `rhythmgan prepare` wrote of Lakh and Groove. Each run is a job with a file of its own in OUT/jobs; a
stopped recipe goes on with those that are missing. In the end the tables are printed and written to OUT/tables.md, the
pictures to OUT, and the weights that ship to OUT/weights. `--only NAME` runs the jobs whose names begin so.

Nothing is chosen here on the test songs, on which all tables are measured.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import gcd
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from jobs import Job, Run, Setting, add_options, run_and_report, table
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.candidates import Asked, bars_of, from_model
from rhythmgan.conditions import ANY
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus, Split
from rhythmgan.doubled import with_doubled
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.evaluate import feature_matrix
from rhythmgan.files import write_whole
from rhythmgan.kit import GM9
from rhythmgan.metrics import c2st, frechet_distance, musegan, novelty, prdc, standardised, unique_share
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.config import PUBLISHED_TEXT_LSTM, TextLSTMConfig
from rhythmgan.models.text_lstm import TextLSTM, load_text_lstm
from rhythmgan.models.tokens import BAR
from rhythmgan.patterns import load_patterns
from rhythmgan.training.config import PublishedTextTrainingConfig, TextLSTMTrainingConfig
from rhythmgan.training.text_lstm import PublishedTextTraining, song_weights, train_text_lstm

STYLES = ("hiphop", "rap", "electronic", "rnb")
"""The styles of the corpus that are nearest to trap."""

TEXTBOOK = re.compile(r"trap|hip-hop")
"""How the names of textbook bars begin that what ships learns from."""

OURS = {
    16: (TextLSTMConfig(width=320), TextLSTMTrainingConfig(train_steps=1500)),
    32: (TextLSTMConfig(width=320, steps=32), TextLSTMTrainingConfig(train_steps=1000, bars=4)),
}
"""The networks of today by grid, and how they are trained on all songs."""

FINE_TUNING = TextLSTMTrainingConfig(train_steps=400, bars=4, learning_rate=1e-3, patience=4)
"""How they are trained on trap and hip-hop afterwards."""

FINER_SHARE = 0.3
"""Share of passages on thirty-seconds that begin where a song has bars of them: two in a hundred do by themselves."""

TEXTBOOK_SHARE = 0.9
"""Share of passages of textbook loops when what ships is fine-tuned; the others are of songs of ``STYLES``."""

ROLL_WEIGHT = 3.0
"""How often hats that roll are taken for a textbook loop, beside those that do not."""

TEMPERATURES = (0.5, 1.0, 1.2)

MAXLENS = {256: 1200, 512: 800, 1024: 500}
"""Tokens of a window as published → batches of the small network, each some two minutes of a core."""

MASKED_MAXLEN = 256
"""Of the network as published that is compared with songs: the one that counts best."""

STEP = {"words": 1, "characters": 2, "odd-characters": 1}
"""Tokens from one window to the next. As published they are 8 words or 34 characters, which come to the same places of
a bar as 1 and 2 do; with an odd number all characters are predicted."""

ODD_MAXLEN = 512

STOPPED = (350, 500, 600)
"""Batches after which the small network over words is stopped early, with windows of 256."""

N_PATTERNS = 40
"""Patterns of kick, of snare and of hats that loops are combined of; how many theirs were is not said."""

N_LOOPS = 500
"""Loops of eight bars that are combined: their text has 4,000 bars."""

_LOOP_BARS = 8
_PATTERN_BARS = 2


@dataclass(frozen=True)
class TextJob(Job):
    """A network as published.

    Attributes:
        characters: whether it reads characters.
        maxlen: tokens of a window.
        window_step: tokens from one window to the next.
        width: units of each of its three layers.
        train_steps: batches.
        batch_size: windows in a batch.
        halves: whether only patterns are combined whose bars have two halves alike.
    """

    characters: bool = False
    maxlen: int = 256
    window_step: int = 1
    width: int = 128
    train_steps: int = 1000
    batch_size: int = 1024
    halves: bool = False

    @property
    def network(self) -> TextLSTMConfig:
        return TextLSTMConfig(**{**PUBLISHED_TEXT_LSTM, "width": self.width, "characters": self.characters})


def all_jobs(seeds: int) -> list[Job]:
    """Every run, what ships first."""
    jobs: list[Job] = []
    for seed in range(seeds):
        jobs += [Job(f"ours-16-{seed}", "ours", seed), Job(f"ours-32-{seed}", "ours", seed)]
        jobs.append(Job(f"trap-32-{seed}", "trap", seed))
        for kind, step in STEP.items():
            jobs += [
                TextJob(f"{kind}-{maxlen}-{seed}", "text", seed, kind != "words", maxlen, step, train_steps=train_steps)
                for maxlen, train_steps in MAXLENS.items()
                if kind != "odd-characters" or maxlen == ODD_MAXLEN
            ]
        jobs += [
            TextJob(f"stopped-{train_steps}-{seed}", "text", seed, train_steps=train_steps) for train_steps in STOPPED
        ]
        jobs += [
            TextJob(f"halves-{train_steps}-{seed}", "text", seed, train_steps=train_steps, halves=True)
            for train_steps in STOPPED
        ]
        jobs.append(TextJob(f"combined-{seed}", "text", seed, maxlen=128, width=512, train_steps=300, batch_size=512))
    return [*jobs, Job("others", "others")]


# --- Songs -------------------------------------------------------------------------------------------


def songs(setting: Setting, split: Split, steps: int) -> Corpus:
    """The songs of a part in kit gm9; on thirty-seconds with those of sixteenths doubled."""
    corpus = load_corpus(setting.data, 16, GM9)
    if steps == 32:
        corpus = with_doubled(load_corpus(setting.data, 32, GM9), corpus)
    corpus = corpus.split(split)
    return corpus.share(0.25) if setting.quick else corpus


def is_finer(corpus: Corpus) -> np.ndarray:
    """(n,) bool: the bars that sixteenths cannot express."""
    return np.asarray(corpus.distinct_words[:, 1::2].any(1))[corpus.bar_id]


def textbook(split: Split, steps: int = 32) -> Corpus:
    """The trap and hip-hop bars of a part of the textbook; on sixteenths those that have nothing between them."""
    found = load_patterns(steps=32)
    rows = np.array([bool(TEXTBOOK.match(found.songs[song])) for song in found.song_id])
    if steps == 16:
        rows &= ~is_finer(found)
    found = found.only(rows).split(split)
    words = found.words[:, :: 32 // steps]
    n = np.arange(len(words))
    return Corpus.of(words, n, n, 0 * n, tuple(found.songs[song] for song in found.song_id), ("",) * len(n), GM9)


def textbook_loops(bars: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Loops (n, 4, steps, parts) bool of textbook bars (m, steps, parts), as one programs them.

    A kick line stays, with hats of bars that have the very same snare line: in the first and third bar those of one
    bar, in the second and fourth now and then others, which may come from another bar on every beat. Of these others
    bars that roll are taken more often.
    """
    random = np.random.default_rng(seed)
    n_steps = bars.shape[1]
    high, low = GM9.parts_of("high"), GM9.parts_of("low")
    snares = bars[:, :, GM9.parts_of("mid")].reshape(len(bars), -1)
    line = np.unique(snares, axis=0, return_inverse=True)[1].ravel()
    weight = np.where(has_roll(bars), ROLL_WEIGHT, 1.0)
    loops = np.empty((n, 4, *bars.shape[1:]), bool)
    for row, first in enumerate(random.integers(len(bars), size=n)):
        alike = np.flatnonzero(line == line[first])
        chance = weight[alike] / weight[alike].sum()
        loops[row] = bars[first]
        if random.random() < 0.5:
            loops[row][..., low] = bars[random.choice(alike)][..., low]
        of_beats = np.full((4, 4), first)
        if random.random() < 0.3:
            of_beats[:] = random.choice(alike, 4, p=chance)
        for place, share in ((1, 0.5), (3, 0.8)):
            if random.random() < share:
                # of one bar, or a new one on every beat
                n_bars = 4 if random.random() < 0.5 else 1
                of_beats[place] = random.choice(alike, n_bars, p=chance)
        of_steps = of_beats.repeat(n_steps // 4, 1)
        hats = bars[of_steps, np.arange(n_steps)]
        loops[row][..., high] = hats[..., high]
    return loops


def as_songs(loops: np.ndarray, name: str) -> Corpus:
    """Loops (n, bars, steps, parts) bool as songs of their own."""
    n, n_bars = loops.shape[:2]
    song = np.arange(n).repeat(n_bars)
    names = tuple(f"{name} {number}" for number in range(n))
    return Corpus.of(
        bars_to_words(loops.reshape(-1, *loops.shape[2:])), song, song, np.tile(np.arange(n_bars), n), names, names, GM9
    )


def joined(first: Corpus, second: Corpus) -> Corpus:
    """The songs of both."""
    n_songs, n_files = len(first.songs), len(first.files)
    return Corpus.of(
        np.concatenate([first.words, second.words]),
        np.concatenate([first.song_id, second.song_id + n_songs]),
        np.concatenate([first.file_id, second.file_id + n_files]),
        np.concatenate([first.bar_index.astype(int), second.bar_index.astype(int)]),
        first.songs + second.songs,
        first.files + second.files,
        first.kit,
    )


def shared(*parts: tuple[np.ndarray, float]) -> np.ndarray:
    """Weights (n,) of the bars of several kinds, each kind in its share."""
    return np.sum([weight * share / max(weight.sum(), 1e-300) for weight, share in parts], axis=0)


# --- Combined loops, as published --------------------------------------------------------------------


def patterns_of(
    corpus: Corpus, n: int, without: Sequence[np.ndarray] | None = None, halves: bool = False
) -> list[np.ndarray]:
    """Patterns of two bars of kick, snare, and hats that most songs play: three of (n, 2, steps, parts) bool.

    Args:
        corpus: the songs.
        n: how many of each part.
        without: patterns that are left out, as of other songs.
        halves: whether only those are taken whose bars have two halves alike.
    """
    later = corpus.followers()
    bars = words_to_bars(np.stack([corpus.words[later - 1], corpus.words[later]], 1), GM9.n_parts)
    song = corpus.song_id[later]
    found = []
    for place, names in enumerate((["kick"], ["snare"], ["closed hat", "open hat"])):
        lines = bars[..., np.isin(GM9.names, names)]
        sounding = np.asarray(lines.any((2, 3))).all(1)
        packed = np.packbits(lines[sounding].reshape(sounding.sum(), -1), axis=1)
        of_songs = np.unique(np.concatenate([packed, song[sounding, None].view(np.uint8).reshape(-1, 4)], 1), axis=0)
        distinct, count = np.unique(of_songs[:, :-4], axis=0, return_counts=True)
        shape = (-1, *lines.shape[1:])
        most = np.unpackbits(distinct[np.argsort(-count, kind="stable")], axis=1).astype(bool).reshape(shape)
        whole = np.zeros((*most.shape[:-1], GM9.n_parts), bool)
        whole[..., np.isin(GM9.names, names)] = most
        if without is not None:
            known = {pattern.tobytes() for pattern in without[place]}
            whole = whole[[pattern.tobytes() not in known for pattern in whole]]
        if halves:
            half = whole.shape[2] // 2
            whole = whole[(whole[:, :, :half] == whole[:, :, half:]).all((1, 2, 3))]
        found.append(whole[:n])
    return found


def combined_loops(patterns: Sequence[np.ndarray], n: int, seed: int) -> np.ndarray:
    """Loops (n, 8, steps, parts) bool: a pattern of each part at random, repeated, as TrapGenerator makes them."""
    random = np.random.default_rng(seed)
    chosen = [each[random.integers(len(each), size=n)] for each in patterns]
    loops = chosen[0] | chosen[1] | chosen[2]
    return np.tile(loops, (1, _LOOP_BARS // _PATTERN_BARS, 1, 1))


def bar_lengths(text: str, n_parts: int) -> tuple[Counter[int], int]:
    """How many words there are between one BAR and the next, and how many pieces of a text are neither word nor BAR.

    What comes before the first BAR and behind the last one is not counted.
    """
    word = re.compile(rf"0b[01]{{{n_parts}}}")
    lengths: Counter[int] = Counter()
    broken, length, has_begun = 0, 0, False
    pieces = text.split(" ")[1:-1]  # the first and the last one may be cut
    for piece in pieces:
        if piece == BAR:
            if has_begun:
                lengths[length] += 1
            length, has_begun = 0, True
        elif word.fullmatch(piece):
            length += 1
        else:
            broken += 1
    return lengths, broken


def taught_places(period: int, window_step: int) -> int:
    """At how many of the places of a bar a token is ever predicted, of windows so far apart."""
    return period // gcd(period, window_step)


# --- Jobs --------------------------------------------------------------------------------------------


def run_ours(setting: Setting, job: Job) -> dict[str, Any]:
    """A network of today, on all training songs."""
    steps = steps_of(job)
    network, training = OURS[steps]
    train, validation = songs(setting, "train", steps), songs(setting, "valid", steps)
    weight = None
    if steps == 32:
        of_songs, finer = song_weights(train, training.song_exponent), is_finer(train)
        weight = shared((of_songs, 1 - FINER_SHARE), (of_songs * finer, FINER_SHARE))
    train_text_lstm(
        train, validation, folder_of(setting, job), shortened(setting, training, job), network=network, weight=weight
    )
    return measured(setting, load_text_lstm(weights_of(setting, job)))


def run_trap(setting: Setting, job: Job) -> dict[str, Any]:
    """What ships on thirty-seconds: the network of today gone on with on trap and hip-hop."""
    steps = steps_of(job)
    first = Job(f"ours-{steps}-{job.seed}", "ours", job.seed)
    train, loops, weight = trap_songs(setting, steps)
    validation = joined(
        songs(setting, "valid", steps), as_songs(textbook_loops(bars_of(textbook("valid", steps)), 500, 1), "textbook")
    )
    train_text_lstm(
        joined(train, loops),
        validation.only(validation.song_id >= len(train.songs)),
        folder_of(setting, job),
        shortened(setting, FINE_TUNING, job),
        network=OURS[steps][0],
        weight=weight,
        start=weights_of(setting, first),
    )
    return measured(setting, load_text_lstm(weights_of(setting, job)))


def trap_songs(setting: Setting, steps: int) -> tuple[Corpus, Corpus, np.ndarray]:
    """The training songs, loops of the textbook's training bars, and how often the bars of both begin passages."""
    train = songs(setting, "train", steps)
    loops = as_songs(textbook_loops(bars_of(textbook("train", steps)), 2000, 0), "textbook")
    nothing = np.zeros(len(loops))
    of_songs = np.concatenate([song_weights(train, FINE_TUNING.song_exponent), nothing])
    known = [train.styles.index(style) for style in STYLES if style in train.styles]
    of_styles = of_songs * np.concatenate([np.isin(train.style_id, known), nothing])
    begins = np.concatenate([np.zeros(len(train)), loops.bar_index == 0])
    weight = shared((begins, TEXTBOOK_SHARE), (of_styles, 1 - TEXTBOOK_SHARE))
    return train, loops, weight


def run_text(setting: Setting, job: TextJob) -> dict[str, Any]:
    """A network as published on combined loops: what it costs on which text, and how long its bars are."""
    patterns = patterns_of(songs(setting, "train", 16), N_PATTERNS, halves=job.halves)
    loops = combined_loops(patterns, N_LOOPS, 0)
    known, validation = loops[: N_LOOPS * 9 // 10], loops[N_LOOPS * 9 // 10 :]
    test = songs(setting, "test", 16)
    training = PublishedTextTrainingConfig(
        train_steps=job.train_steps,
        batch_size=job.batch_size,
        maxlen=job.maxlen,
        window_step=job.window_step,
        shared_windows=128,
        seed=job.seed,
    )
    training = replace(training, train_steps=2) if setting.quick else training
    train_text_lstm(
        as_songs(known, "combined"),
        as_songs(validation, "validation"),
        folder_of(setting, job),
        training,
        network=job.network,
    )
    model = load_text_lstm(weights_of(setting, job))
    tokens = model.tokens
    texts = {
        "training": bars_to_words(known),
        "validation": bars_to_words(validation),
        "new patterns": bars_to_words(
            combined_loops(patterns_of(test, N_PATTERNS, patterns, job.halves), N_LOOPS // 10, 1)
        ),
        "songs": np.concatenate([test.words[row : row + _LOOP_BARS] for row in first_bars(test, 120)]),
    }
    module = PublishedTextTraining(job.network, training, *[tokens.of_words(texts["training"]).reshape(-1)] * 2)
    nats: dict[str, float] = {
        name: module.text_nll(model, torch.from_numpy(tokens.of_words(words).reshape(-1)))
        for name, words in texts.items()
    }
    text = tokens.of_words(texts["training"]).reshape(-1)
    lengths, pictures = lengths_drawn(setting, model, text, job)
    masked = model.phrases(np.arange(100 if setting.quick else 1000), 1)[:, 0]
    return {
        "nats": nats,
        "known": float(model.known[torch.from_numpy(tokens.of_words(texts["songs"]).reshape(-1))].float().mean()),
        "lengths": lengths,
        "taught": [taught_places(tokens.period, job.window_step), tokens.period],
        "text": pictures,
        "masked": Judge(setting, 16).row(masked),
    }


def first_bars(corpus: Corpus, n: int) -> list[int]:
    """Rows at which eight bars in a row begin, one of each of n songs."""
    follows = np.zeros(len(corpus) + 1, bool)
    follows[corpus.followers()] = True
    rows = [int(np.flatnonzero(corpus.song_id == song)[0]) for song in np.unique(corpus.song_id)]
    return [row for row in rows if follows[row + 1 : row + _LOOP_BARS].sum() == _LOOP_BARS - 1][:n]


def lengths_drawn(
    setting: Setting, model: TextLSTM, text: np.ndarray, job: TextJob
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Texts that begin with a random stretch of the training text, as published: lengths of bars by temperature."""
    n = 4 if setting.quick else 16
    n_bars = 3 if setting.quick else 12
    starts = np.random.default_rng(job.seed).integers(len(text) - job.maxlen, size=n)
    begun = text[starts[:, None] + np.arange(job.maxlen)]
    found, pictures = {}, {}
    for temperature in TEMPERATURES:
        drawn = model.continue_text(begun, n_bars * model.tokens.period, np.arange(n), temperature)
        lengths: Counter[int] = Counter()
        broken = 0
        texts = [model.tokens.to_text(each) for each in drawn]
        for each in texts:
            counted, wrong = bar_lengths(each, model.kit.n_parts)
            lengths += counted
            broken += wrong
        found[f"{temperature:g}"] = {"lengths": dict(sorted(lengths.items())), "broken": broken}
        pictures[f"{temperature:g}"] = texts[:6]
    return found, pictures


def run_others(setting: Setting, job: Job) -> dict[str, Any]:
    """What others have: real songs, the bundled GAN and the bundled prior, on the same test songs."""
    found: dict[str, Any] = {"rows": {}}
    for steps in (16, 32):
        judge = Judge(setting, steps)
        train = songs(setting, "train", steps)
        rows = as_played(train, steps, judge.n, 1)
        found["rows"][f"training songs, {steps}"] = judge.row(bars_of(rows), rows.song_id)
    judge, shares = Judge(setting, 16), songs(setting, "train", 16).role_shares()
    gan = from_model("GAN", load_generator(), GM9).asked(Asked(shares=shares))
    assert gan.draw_as_played is not None
    found["rows"]["bundled GAN, 16"] = judge.row(gan.draw_as_played(judge.n, 0)[0])
    found["signs"] = {
        "textbook bars": trap_signs(bars_of(textbook("all"))),
        "songs on thirty-seconds": trap_signs(bars_of(songs(setting, "test", 32).as_played(judge.n, 0))),
    }
    found["prior"] = prior_nats(setting)
    return found


# --- Measures ----------------------------------------------------------------------------------------


def as_played(corpus: Corpus, steps: int, n: int, seed: int) -> Corpus:
    """Bars drawn as songs play them; on thirty-seconds only those that sixteenths cannot express."""
    return (corpus.only(is_finer(corpus)) if steps == 32 else corpus).as_played(n, seed)


class Judge:
    """The bars of test songs that others are compared with: as played, on thirty-seconds those that have them."""

    def __init__(self, setting: Setting, steps: int) -> None:
        self.n = 200 if setting.quick else 2500
        self.steps = steps
        drawn = as_played(songs(setting, "test", steps), steps, self.n, 0)
        self.bars, self.song = bars_of(drawn), drawn.song_id
        train = songs(setting, "train", steps)
        self.known = bars_of(train.distinct())
        self.repeats = 1 if setting.quick else 4

    def row(self, bars: np.ndarray, song: np.ndarray | None = None) -> dict[str, float]:
        """C2ST and others of bars (n, steps, parts) bool; on thirty-seconds of those that sixteenths cannot express."""
        finer = bars[:, 1::2].any((1, 2))
        row = {"finer": float(finer.mean())} if self.steps == 32 else {}
        row |= {"empty": float((~bars.any((1, 2))).mean()), "copies": novelty(bars, self.known)["copies"]}
        row["unique"] = unique_share(bars)
        if self.steps == 32:
            bars, song = bars[finer], None if song is None else song[finer]
        if len(bars) < 100:
            return row
        found = c2st(self.bars, self.song, bars, song, self.repeats)
        n = min(len(bars), len(self.bars))
        real, generated = standardised(feature_matrix(self.bars[:n], GM9), feature_matrix(bars[:n], GM9))
        return row | {
            "c2st": found["c2st"],
            "fd": frechet_distance(real, generated),
            "coverage": prdc(real, generated)["coverage"],
            "onsets": musegan(bars)["onsets"],
        }


def has_roll(bars: np.ndarray) -> np.ndarray:
    """(n,) bool: the bars (n, 32, parts) whose closed hats play three thirty-seconds in a row, none on 16 steps."""
    hats = bars[..., GM9.names.index("closed hat")]
    in_row = hats[:, :-2] & hats[:, 1:-1] & hats[:, 2:]
    return np.asarray(in_row.any(1) & (bars.shape[1] == 32))


def trap_signs(bars: np.ndarray) -> dict[str, float]:
    """What makes a bar trap, of bars (n, steps, parts) bool: shares of them.

    Returns:
        ``half time``: the snare on the third beat, and on no other; ``rolls``, on 32 steps: closed hats on three
        steps in a row.
    """
    beat = bars.shape[1] // 4
    snare = bars[:, ::beat, GM9.names.index("snare")]
    found = {"half time": float((snare == [False, False, True, False]).all(1).mean())}
    if bars.shape[1] == 32:
        found["rolls"] = float(has_roll(bars).mean())
    return found


def measured(setting: Setting, model: TextLSTM) -> dict[str, Any]:
    """What a network of today draws and what it costs, on test songs and on held-out textbook bars."""
    judge = Judge(setting, model.steps)
    n_more = 1 if model.steps == 16 else 3
    phrases = model.phrases(np.arange(judge.n * n_more), 2)
    first = phrases[:, 0]
    return {
        "row": judge.row(first) | {"same bar": float((phrases[:, 0] == phrases[:, 1]).all((1, 2)).mean())},
        "signs": trap_signs(first) | {"textbook": novelty(first, bars_of(textbook("train", model.steps)))["copies"]},
        "nats": nats_of(setting, model),
    }


def nats_of(setting: Setting, model: TextLSTM) -> dict[str, float]:
    """Nats a step of test songs as played: of bars alone, behind one bar, behind seven; and of textbook bars."""
    test = songs(setting, "test", model.steps)
    rows = follower_rows(setting, test)
    bars, before = bars_of(test.only(rows)), bars_of(test.only(rows - 1))
    found = {
        "alone": -model.step_log_prob(bars).mean().item(),
        "behind one": -model.step_log_prob(bars, before).mean().item(),
    }
    eight = first_bars(test, 300)
    phrases = np.stack([words_to_bars(test.words[row : row + _LOOP_BARS], GM9.n_parts) for row in eight])
    found["behind seven"] = -model.phrase_log_prob(phrases)[:, -1].mean().item()
    if model.steps == 32:
        finer = bars_of(test.only(is_finer(test)).as_played(600, 0))
        found["alone, thirty-seconds"] = -model.step_log_prob(finer).mean().item()
    if len(own := textbook("test", model.steps)):
        found["textbook"] = -model.step_log_prob(bars_of(own)).mean().item()
    return found


def follower_rows(setting: Setting, corpus: Corpus) -> np.ndarray:
    """Rows of bars that follow another, as songs play them."""
    rows = corpus.followers()
    weight = corpus.only(rows).weights()
    return np.random.default_rng(0).choice(rows, 200 if setting.quick else 2000, p=weight)


def prior_nats(setting: Setting) -> dict[str, float]:
    """Nats a step of the same bars by the bundled prior, of what its words become in the smaller kit."""
    prior: Any = load_likelihood().with_condition(ANY, ANY)
    whole = load_corpus(setting.data, 16).split("test")
    whole = whole.share(0.25) if setting.quick else whole
    whole = replace(whole, rows=np.arange(len(whole)), playing=None)
    folded = whole.folded(GM9)
    rows = follower_rows(setting, folded)
    bars, before = (bars_of(whole.only(np.asarray(folded.rows)[each])) for each in (rows, rows - 1))
    return {
        "alone": -prior.step_log_prob(bars, kit=GM9).mean().item(),
        "behind one": -prior.step_log_prob(bars, before, kit=GM9).mean().item(),
    }


# --- Report ------------------------------------------------------------------------------------------

RUNS: Mapping[str, Run[Setting, Any]] = {"ours": run_ours, "trap": run_trap, "text": run_text, "others": run_others}

COLUMNS = {
    "c2st": ("C2ST", "{:.3f}"),
    "fd": ("FD", "{:.2f}"),
    "coverage": ("coverage", "{:.2f}"),
    "copies": ("copies", "{:.3f}"),
    "unique": ("unique", "{:.3f}"),
    "onsets": ("onsets", "{:.1f}"),
    "empty": ("empty", "{:.3f}"),
    "same bar": ("bar 2 = bar 1", "{:.2f}"),
    "finer": ("with thirty-seconds", "{:.2f}"),
}

NATS = {
    "alone": ("alone", "{:.3f}"),
    "behind one": ("behind a bar", "{:.3f}"),
    "behind seven": ("behind seven", "{:.3f}"),
    "alone, thirty-seconds": ("with thirty-seconds, alone", "{:.3f}"),
    "textbook": ("textbook bars", "{:.3f}"),
}

SIGNS = {
    "half time": ("snare on 3 and on no other beat", "{:.2f}"),
    "rolls": ("hat rolls", "{:.2f}"),
    "textbook": ("copies of the textbook", "{:.3f}"),
}

LOSSES = {name: (name, "{:.3f}") for name in ("training", "validation", "new patterns", "songs")}


def steps_of(job: Job) -> int:
    """The grid in the name of a job: "ours-16-0"."""
    return int(job.name.split("-")[1])


def folder_of(setting: Setting, job: Job) -> Path:
    return setting.out / "jobs" / job.name


def weights_of(setting: Setting, job: Job) -> Path:
    return folder_of(setting, job) / "text-lstm.safetensors"


def shortened(setting: Setting, training: TextLSTMTrainingConfig, job: Job) -> TextLSTMTrainingConfig:
    training = replace(training, seed=job.seed)
    return replace(training, train_steps=2, batch_size=4) if setting.quick else training


def lengths_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The share of bars of each length by network and temperature, of those that end; and of broken pieces."""
    lines = [
        "| network | temperature | bars | below 7 | 7 or 8 | 9–15 | 16 | longer | broken pieces |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        for temperature, drawn in each["lengths"].items():
            lengths = {int(length): count for length, count in drawn["lengths"].items()}
            n = sum(lengths.values())
            shares = [
                sum(count for length, count in lengths.items() if low <= length <= high) / max(n, 1)
                for low, high in ((0, 6), (7, 8), (9, 15), (16, 16), (17, 1 << 30))
            ]
            cells = " | ".join(f"{share:.2f}" if n else "" for share in shares)
            lines.append(f"| {name} | {temperature} | {n} | {cells} | {drawn['broken']} |")
    return "\n".join(lines) + "\n"


def taught_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """At how many places of a bar the networks are ever taught."""
    lines = ["| network | places of a bar that are ever predicted |", "|---|---:|"]
    lines += [f"| {name} | {each['taught'][0]} of {each['taught'][1]} |" for name, each in found.items()]
    return "\n".join(lines) + "\n"


def counted(setting: Setting) -> str:
    """How many bars there are, and how many of them are others again."""
    lines = ["| songs of | bars | songs | distinct bars | distinct in a song |", "|---|---:|---:|---:|---:|"]
    for steps in (16, 32):
        for split in ("train", "valid", "test"):
            corpus = songs(setting, split, steps)
            corpus = corpus.only(is_finer(corpus)) if steps == 32 else corpus
            name = f"{split}, {'sixteenths' if steps == 16 else 'thirty-seconds'}"
            distinct = len(np.unique(corpus.words, axis=0))
            lines.append(
                f"| {name} | {len(corpus):,} | {len(np.unique(corpus.song_id)):,} | {distinct:,} | "
                f"{len(corpus.distinct()):,} |"
            )
    return "\n".join(lines) + "\n"


def report(setting: Setting, seeds: int) -> str:
    """All tables as Markdown; draws the pictures and gathers the weights."""
    jobs = all_jobs(seeds)
    found = {job.name: setting.found(job) for job in jobs}
    ours = {kind: [found[f"{kind}-{seed}"] for seed in range(seeds)] for kind in ("ours-16", "ours-32", "trap-32")}
    rows = {name: [row] for name, row in found["others"].get("rows", {}).items()}
    rows |= {name: [each["row"] for each in several if "row" in each] for name, several in ours.items()}
    published = [found[f"words-{MASKED_MAXLEN}-{seed}"] for seed in range(seeds)]
    rows["as published, with the mask"] = [each["masked"] for each in published if "masked" in each]
    nats = {"bundled prior": [found["others"].get("prior", {})]}
    nats |= {name: [each["nats"] for each in several if "nats" in each] for name, several in ours.items()}
    signs = {name: [each] for name, each in found["others"].get("signs", {}).items()}
    signs |= {name: [each["signs"] for each in several if "signs" in each] for name, several in ours.items()}
    texts = {job.name: found[job.name] for job in jobs if job.kind == "text" and "nats" in found[job.name]}
    losses = {name: [each["nats"]] for name, each in texts.items()}
    draw_pictures(setting)
    gather_weights(setting)
    parts = {
        "Songs": counted(setting),
        "As published: nats a token": table(losses, LOSSES),
        "As published: places that are taught": taught_table(texts),
        "As published: lengths of bars": lengths_table(texts),
        "Nats a step of test songs": table(nats, NATS),
        "Beside bars of test songs": table(rows, COLUMNS),
        "Signs of trap": table(signs, SIGNS),
    }
    return "".join(f"## {title}\n\n{text}\n" for title, text in parts.items())


def shipped(setting: Setting) -> dict[str, Path]:
    """The weights that ship by name, as far as they are there: of trap, and of songs on sixteenths."""
    found = {
        "trap": weights_of(setting, Job("trap-32-0", "trap")),
        "trap16": weights_of(setting, Job("ours-16-0", "ours")),
    }
    return {name: path for name, path in found.items() if path.exists()}


def draw_pictures(setting: Setting) -> None:
    """32 bars of what ships, of the seeds from 0 on, and the first 32 of networks as published."""
    for name, path in shipped(setting).items():
        bars = load_text_lstm(path).phrases(np.arange(32), 1)[:, 0]
        write_png(setting.out / f"trapgenerator-{name}.png", bars_to_image(bars, GM9))
    for name in ("stopped-500-0", "words-256-0"):
        text = setting.found(Job(name, "text")).get("text", {"1": []})
        if len(bars := published_bars(text["1"])):
            write_png(setting.out / f"trapgenerator-{name[:-2]}.png", bars_to_image(bars, GM9))


def published_bars(texts: Sequence[str], n: int = 32) -> np.ndarray:
    """The first bars of texts as published, each on sixteen steps: what a short one lacks is silent.

    What a text has before its first BAR and behind its last is no bar.
    """
    word = re.compile(rf"0b[01]{{{GM9.n_parts}}}")
    parts = [part for text in texts for part in text.split(BAR)[1:-1]][:n]
    bars = np.zeros((len(parts), 16, GM9.n_parts), bool)
    for row, part in enumerate(parts):
        found = np.array([int(each, 2) for each in word.findall(part)][:16], np.uint16)
        bars[row, : len(found)] = words_to_bars(found, GM9.n_parts)
    return bars


def gather_weights(setting: Setting) -> None:
    """The weights that ship, under their names."""
    (setting.out / "weights").mkdir(exist_ok=True)
    for name, path in shipped(setting).items():
        write_whole(setting.out / "weights" / f"{name}.safetensors", path.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds=1)
    options = parser.parse_args(arguments)
    setting = Setting(options.data, options.out, options.quick)
    run_and_report(options, RUNS, setting, all_jobs(options.seeds), partial(report, seeds=options.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
