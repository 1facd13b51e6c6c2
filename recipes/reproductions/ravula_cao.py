"""Ravula and Cao's *Just beat it* (2019): every run, table and figure of docs/reproductions/ravula_cao.md.

Run: python recipes/reproductions/ravula_cao.py --data CORPUS --out OUT [--jobs 5] [--seeds 5] [--quick]
CORPUS is what `rhythmgan prepare` wrote; the loops are those of Groove. Every run is a job with a file of its own in
OUT, written when it is done: a stopped recipe goes on with those that are missing. In the end the tables are printed
and written to OUT/tables.md, the figures to OUT, and the weights that ship to OUT/weights. `--only NAME` runs the jobs
whose names begin so, `--no-report` makes no tables, and `--report` only tables and figures of what is there.

Nothing is chosen here on the test songs, on which all tables are measured.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from jobs import Job, Setting, add_options, run_and_report, save_figure, table, write_found
from rhythmgan.bars import notes_to_bars, words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.corpus_file import load_corpus
from rhythmgan.files import write_whole
from rhythmgan.loops import BARS, NoteLoops, draw_tokens, note_loops, windows, windows_at
from rhythmgan.metrics import c2st, unique_share
from rhythmgan.models.catalogue import load_likelihood, load_note_model, load_phrase_prior
from rhythmgan.models.interfaces import NoteModel, SamplingLikelihood
from rhythmgan.training.checkpoint import read_checkpoint, write_checkpoint
from rl_tuner.append.agent import (
    PUBLISHED,
    AppendAgent,
    PublishedAgents,
    load_append_agent,
    save_append_agent,
    save_published,
)
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.critic import logits_of, train_loop_critic
from rl_tuner.append.measures import c2st_of_continuations, repetition
from rl_tuner.append.network import LoopNetwork
from rl_tuner.config import (
    APPEND_AGENT,
    APPEND_PUBLISHED,
    APPEND_PUBLISHED_ENV,
    PUBLISHED_EPS,
    AppendConfig,
    DQNConfig,
    LoopCriticConfig,
)
from rl_tuner.tune.append import append_learner, draw_for_critic, learn_reward, taught_agent
from rl_tuner.tune.append_words import common_words, draw_loops, words_learner

KINDS: dict[str, tuple[AppendConfig, DQNConfig]] = {
    "both": (AppendConfig(), APPEND_AGENT),
    "critic": (AppendConfig(percussion=0.0), APPEND_AGENT),
    "percussion": (AppendConfig(critic=0.0), APPEND_AGENT),
    "no price": (AppendConfig(eps=0.1), replace(APPEND_AGENT, temperature=0.0, soft_values=False)),
}
"""The agents of today: what each is rewarded by, and how it learns. The first one ships."""

SOURCE = "groove/"

N_WORDS = 128
"""Words that a polyphonic agent may append."""

_SECOND_BARS = 50
"""The stream of the prior's second bars."""

_DRAWS = 4
"""Loops that are drawn for each beginning, to count repetition in."""

_TICKS = (0.02, 0.03, 0.05, 0.1, 0.15)

_CURVE_POINTS = 250
_BEST_OF = 8


@dataclass(frozen=True)
class NoteJob(Job):
    """A run with a file of its own.

    Attributes:
        eps: share of random notes, of an agent as published.
    """

    eps: float = 0.0


@dataclass(frozen=True)
class NoteSetting(Setting):
    """What all jobs share.

    Attributes:
        cnn: weights of the CNN; the bundled one by default.
        agents: which of ``KINDS`` are trained.
    """

    cnn: Path | None = None
    agents: tuple[str, ...] = tuple(KINDS)

    def loops(self, split: Any) -> NoteLoops:
        """The loops of one part of the songs."""
        found = note_loops(load_corpus(self.data).from_files(SOURCE).split(split))
        return NoteLoops(found.notes[:400], found.song[:400], found.kit) if self.quick else found

    def model(self) -> NoteModel:
        return load_note_model(self.cnn)

    def steps(self, config: DQNConfig, seed: int) -> DQNConfig:
        config = replace(config, seed=seed)
        return replace(config, train_steps=4000, learning_starts=400) if self.quick else config


def all_jobs(seeds: int) -> list[NoteJob]:
    """Every run, those that the others are compared with first."""
    tuned = [NoteJob(f"tuned-{seed}", "tuned", seed) for seed in range(seeds)]
    published = [
        NoteJob(f"published-{eps:g}-{seed}", "published", seed, eps) for seed in range(seeds) for eps in PUBLISHED_EPS
    ]
    return [NoteJob("baselines", "baselines"), *tuned, *published, NoteJob("words-0", "words")]


# --- Jobs --------------------------------------------------------------------------------------------


def run_published(setting: NoteSetting, job: NoteJob) -> dict[str, Any]:
    """An agent as published: the CNN's log-probability is its reward."""
    cnn, loops = setting.model(), setting.loops("train")
    config = replace(APPEND_PUBLISHED_ENV, eps=job.eps)
    learner = append_learner(
        cnn,
        loops,
        learn_reward(cnn, loops, loops, config),
        setting.steps(APPEND_PUBLISHED, job.seed),
        config,
    )
    curve = _Curve(learner.config.train_steps)
    learner.learn(curve)
    agent = taught_agent(learner, cnn, config)
    if job.seed == 0:
        save_append_agent(setting.path(job, "safetensors"), agent, {"trained_seed": "0"})
    return {"curve": curve.points()} | _rows(setting, {"argmax": agent.complete}, job.seed)


def run_tuned(setting: NoteSetting, job: NoteJob) -> dict[str, Any]:
    """The agents of today of one seed, which share a critic; and what the critic does without learning."""
    cnn, loops, validation = setting.model(), setting.loops("train"), setting.loops("valid")
    short = {"train_steps": 30, "n_drawn": 1} if setting.quick else {}
    how = replace(LoopCriticConfig(seed=job.seed), **short)
    began = time.perf_counter()
    found: dict[str, Any] = {"coefs": {}, "curves": {}, "rows": {}} | setting.found(job)
    drawn, critic = _critic_of_seed(setting, job, how, (loops, validation))
    for kind in setting.agents:
        if kind in found["rows"]:
            continue
        config, training = KINDS[kind]
        reward = learn_reward(cnn, loops, validation, config, how, drawn, critic)
        learner = append_learner(cnn, loops, reward, setting.steps(training, job.seed), config)
        curve = _Curve(learner.config.train_steps)
        learner.learn(curve)
        agent = taught_agent(learner, cnn, config)
        found["coefs"][kind], found["curves"][kind] = reward.coefs, curve.points()
        if kind == next(iter(KINDS)) and job.seed == 0:
            facts = {"trained_loops": len(loops), "trained_songs": len(np.unique(loops.song)), "trained_seed": job.seed}
            save_append_agent(
                setting.path(job, "safetensors"), agent, {name: str(fact) for name, fact in facts.items()}
            )
        found["rows"] |= _rows(setting, {kind: agent.complete}, job.seed)["rows"]
        write_found(setting, job, found, began)
    found["is_whole"] = setting.agents == tuple(KINDS)
    if not found["is_whole"]:
        return found
    players = {"one step ahead": _one_step_ahead(cnn, critic), f"best of {_BEST_OF}": _best_of(cnn, critic)}
    found["rows"] |= _rows(setting, players, job.seed)["rows"]
    return found


def _critic_of_seed(
    setting: NoteSetting, job: NoteJob, how: LoopCriticConfig, songs: tuple[NoteLoops, NoteLoops]
) -> tuple[tuple[Tensor, Tensor], LoopNetwork]:
    """What the CNN draws for the loops of training and validation, and the critic that has learned from it; kept."""
    path = setting.path(job, "ckpt")
    cnn = setting.model()
    alphabet = Alphabet.of_notes(cnn.kit)
    critic = LoopNetwork(len(alphabet), cnn.steps, 1, how.width, how.dropout)
    if path.exists():
        kept = read_checkpoint(path)
        critic.load_state_dict(kept["critic"])
        return (kept["train"].long(), kept["valid"].long()), critic.eval().requires_grad_(False)
    train, valid = (draw_for_critic(cnn, each, how) for each in songs)
    real, held_out = (torch.from_numpy(each.notes.astype(np.int64)) for each in songs)
    critic = train_loop_critic(real, train, (held_out, valid), alphabet, cnn.n_given, how)
    write_checkpoint(path, {"critic": dict(critic.state_dict()), "train": train.byte(), "valid": valid.byte()})
    return (train, valid), critic


def run_baselines(setting: NoteSetting, job: NoteJob) -> dict[str, Any]:
    """The CNN, a larger network of the same task, and noise."""
    cnn, loops, validation = setting.model(), setting.loops("train"), setting.loops("valid")
    nets = [_train_likelihood(loops, validation, cnn.n_given, seed, 20 if setting.quick else 3000) for seed in range(2)]
    write_checkpoint(setting.path(job, "ckpt"), dict(nets[0].state_dict()))
    symbols = Alphabet.of_notes(cnn.kit).symbols

    def larger(given: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        notes = torch.from_numpy(given.astype(np.int64))
        return draw_tokens(lambda seen: nets[1](seen).double().softmax(1), notes, symbols, 32, seeds).numpy()

    def at(temperature: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        return lambda given, seeds: cnn.complete(given, seeds, temperature)

    players = {f"untuned {seed}": _later(cnn.complete, seed) for seed in range(5)}
    players |= {"untuned, temperature .8": at(0.8), "untuned, likeliest note": at(1e-4), "larger network": larger}
    found = _rows(setting, players, job.seed)
    test = setting.loops("test")
    shuffled = test.notes.copy()
    np.random.default_rng(0).permuted(shuffled[:, cnn.n_given :], axis=1, out=shuffled[:, cnn.n_given :])
    found["rows"] |= {
        "real": _measures(setting, test.notes, test),
        "real, notes in any order": _measures(setting, shuffled, test),
        "validation": _measures(setting, validation.notes, test),
    }
    return found


def run_words(setting: NoteSetting, job: NoteJob) -> dict[str, Any]:
    """Polyphony: agents that append words, rewarded by the bundled prior; beside that prior and the songs."""
    corpus = load_corpus(setting.data, 16)
    alphabet, coverage = common_words(corpus.split("train"), N_WORDS)
    prior = load_phrase_prior().with_condition(ANY, ANY)
    likelihood = load_likelihood().with_condition(ANY, ANY)
    test = corpus.split("test")
    before, later, _ = test.pairs()
    chosen = np.random.default_rng(0).permutation(len(later))[: 300 if setting.quick else 3000]
    songs = np.stack([words_to_bars(np.asarray(each)[chosen], 12) for each in (before, later.words)], 1)
    n, song_id = len(songs), later.song_id[chosen]
    first = likelihood.sample(n)
    drawn = {"prior": np.stack([first, prior.draw(np.arange(n), _SECOND_BARS, previous=first)], 1)}
    for name, training in {
        "words, soft values": replace(APPEND_AGENT, train_steps=100_000, batch_size=256, gradient_steps=2),
        "words, as published": replace(APPEND_PUBLISHED, train_steps=100_000),
    }.items():
        config = AppendConfig(num_envs=64, eps=0.05 if training.temperature else 0.1, width=128)
        learner = words_learner(likelihood, alphabet, setting.steps(training, job.seed), config)
        learner.learn()
        drawn[name] = draw_loops(learner, alphabet, n, 16)
    rows = {"songs": _measures_of_words(songs, likelihood)}
    for name, loops in drawn.items():
        told = c2st(songs.reshape(n, 32, -1), song_id, loops.reshape(n, 32, -1))
        rows[name] = _measures_of_words(loops, likelihood) | {"c2st": told["c2st"]}
    return {"coverage": coverage, "words": rows, "rows": {}}


def _measures_of_words(loops: np.ndarray, prior: SamplingLikelihood) -> dict[str, float]:
    """Of loops (n, 2, 16, parts) bool: nats a step by the prior, onsets of a bar, repeated steps and bars, unique."""
    n = len(loops)
    nll = -(prior.step_log_prob(loops[:, 0]).mean() + prior.step_log_prob(loops[:, 1], loops[:, 0]).mean()) / 2
    steps = loops.reshape(n, 32, -1)
    return {
        "nats": float(nll),
        "onsets": float(loops.sum((2, 3)).mean()),
        "repeated": float(((steps[:, 1:] == steps[:, :-1]).all(2) & steps[:, 1:].any(2)).mean()),
        "same bar": float((loops[:, 0] == loops[:, 1]).all((1, 2)).mean()),
        "unique": unique_share(steps),
    }


_RUN: Mapping[str, Callable[[NoteSetting, NoteJob], dict[str, Any]]] = {
    "published": run_published,
    "tuned": run_tuned,
    "baselines": run_baselines,
    "words": run_words,
}


class _Curve:
    """The mean reward of a step, along a training."""

    def __init__(self, total: int) -> None:
        self.every = max(1, total // _CURVE_POINTS)
        self.sums = np.zeros((_CURVE_POINTS + 2, 2))

    def __call__(self, done: int, logged: Mapping[str, float]) -> None:
        place = min(done // self.every, len(self.sums) - 1)
        self.sums[place] += logged["reward"], 1

    def points(self) -> list[tuple[int, float]]:
        """(transitions, mean reward) of each stretch."""
        return [
            (place * self.every, round(float(total / count), 4))
            for place, (total, count) in enumerate(self.sums)
            if count
        ]


Player = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Given notes (n, t) and seeds (n,) → loops (n, length)."""


def _later(play: Player, seed: int) -> Player:
    return lambda given, seeds: play(given, seeds + np.uint64(seed * len(seeds)))


def _rows(setting: NoteSetting, players: Mapping[str, Player], seed: int) -> dict[str, Any]:
    """What each player makes of the beginnings of the test songs' loops, measured, by its name."""
    test = setting.loops("test")
    given = np.tile(test.notes[:, : setting.model().n_given], (_DRAWS, 1))
    seeds = np.arange(len(given), dtype=np.uint64) + np.uint64(seed << 40)
    return {"rows": {name: _measures(setting, play(given, seeds), test) for name, play in players.items()}}


def _measures(setting: NoteSetting, notes: np.ndarray, test: NoteLoops) -> dict[str, Any]:
    """Repetition, C2ST against the test songs' loops that begin alike, copies of training loops; and the loops.

    Args:
        setting: of all.
        notes: (n · draws, length), loops that begin as each of the n test loops, one draw after the other; repetition
            is that of all, and all else that of the first draw.
        test: the test songs' loops.
    """
    n_given = setting.model().n_given
    found: dict[str, Any] = dict(repetition(notes, n_given))
    notes = notes[: len(test)]
    found["unique"] = len(np.unique(notes, axis=0)) / len(notes)
    train = {bytes(loop) for loop in setting.loops("train").notes.astype(np.uint8)}
    found["copies"] = float(np.mean([bytes(loop) in train for loop in notes.astype(np.uint8)]))
    begins_alike = notes.shape == test.notes.shape and np.array_equal(notes[:, :n_given], test.notes[:, :n_given])
    if begins_alike and not np.array_equal(notes, test.notes):
        parts = test.kit.n_parts
        found |= c2st_of_continuations(notes_to_bars(test.notes, parts), notes_to_bars(notes, parts), test.song)
    return found | {"notes": base64.b85encode(zlib.compress(notes.astype(np.uint8).tobytes(), 9)).decode()}


def _one_step_ahead(cnn: NoteModel, critic: LoopNetwork) -> Player:
    """The CNN's chances times e^logit by the critic of the loop with each note appended: a rival without learning."""
    alphabet = Alphabet.of_notes(cnn.kit)
    symbols, k = alphabet.symbols, len(alphabet)

    @torch.no_grad()
    def chances(seen: Tensor) -> Tensor:
        appended = torch.cat(
            [seen[:, None, k:].expand(-1, k, -1), symbols.to(seen.dtype)[None].expand(len(seen), -1, -1)], 2
        )
        logits = critic(appended.flatten(0, 1).float())[:, 0].view(-1, k)
        return (cnn(seen.float()).log_softmax(1) + logits).double().softmax(1)

    def play(given: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return draw_tokens(chances, torch.from_numpy(given.astype(np.int64)), symbols, 32, seeds).numpy()

    return play


def _best_of(cnn: NoteModel, critic: LoopNetwork) -> Player:
    """Of several loops of the CNN the one that the critic likes best."""
    symbols = Alphabet.of_notes(cnn.kit).symbols

    def play(given: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        n = len(given)
        drawn = np.stack([_later(cnn.complete, 100 + number)(given, seeds) for number in range(_BEST_OF)])
        logits = logits_of(critic, torch.from_numpy(drawn.reshape(_BEST_OF * n, -1).astype(np.int64)), symbols)
        found: np.ndarray = drawn[logits.view(_BEST_OF, n).argmax(0).numpy(), np.arange(n)]
        return found

    return play


def _train_likelihood(loops: NoteLoops, validation: NoteLoops, n_given: int, seed: int, steps: int) -> LoopNetwork:
    """The network of critic and agent, trained by likelihood: the judge of seed 0, and a rival of seed 1."""
    alphabet = Alphabet.of_notes(loops.kit)
    symbols, length = alphabet.symbols, loops.notes.shape[1]
    real, held_out = (torch.from_numpy(each.notes.astype(np.int64)) for each in (loops, validation))
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LoopNetwork(symbols.shape[1], length // 2, len(alphabet), 256, 0.4)
        optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (1 - 0.95 * step / steps)
            notes = real[torch.randint(len(real), (512,), generator=random)]
            counts = torch.randint(n_given, length, (512,), generator=random)
            loss = F.cross_entropy(network(windows_at(notes, counts, symbols)), notes.gather(1, counts[:, None])[:, 0])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    network.eval().requires_grad_(False)
    print(f"likelihood network {seed}: {nats(network, held_out, n_given):.4f} nats a note on validation", flush=True)
    return network


@torch.no_grad()
def nats(judge: LoopNetwork, notes: Tensor, n_given: int) -> float:
    """What a note costs on average under a judge, of those that are not given."""
    symbols = torch.eye(judge.n_symbols)
    found = [
        F.cross_entropy(judge(windows(notes[:, :step], symbols, judge.length)), notes[:, step])
        for step in range(n_given, notes.shape[1])
    ]
    return float(torch.stack(found).mean())


# --- Tables and figures ------------------------------------------------------------------------------

COLUMNS = {
    "longest_run": ("longest run", "{:.2f}"),
    "long_runs": ("runs of 8+", "{:.3f}"),
    "repeated": ("repeated", "{:.3f}"),
    "excessive": ("excessive", "{:.4f}"),
    "unique": ("unique", "{:.3f}"),
    "nats": ("nats a note", "{:.3f}"),
    "copies": ("copies", "{:.3f}"),
    "c2st": ("C2ST", "{:.3f}"),
}


def gather(setting: NoteSetting, seeds: int) -> tuple[dict[str, list[dict[str, Any]]], dict[float, list[Any]]]:
    """All rows by name, a measurement for each seed; and the curves of the agents as published by ε."""
    judge_file = setting.path(NoteJob("baselines", "baselines"), "ckpt")
    model = setting.model()
    length = BARS * model.steps
    judge = LoopNetwork(model.kit.n_parts + 1, model.steps, model.kit.n_parts + 1, 256, 0.4).eval()
    judge.load_state_dict(read_checkpoint(judge_file))
    rows: dict[str, list[dict[str, Any]]] = {}
    curves: dict[float, list[Any]] = {}
    for job in all_jobs(seeds):
        found = setting.found(job)
        if "curve" in found:
            curves.setdefault(job.eps, []).append(found["curve"])
        for name, row in found.get("rows", {}).items():
            notes = np.frombuffer(zlib.decompress(base64.b85decode(row.pop("notes"))), np.uint8).reshape(-1, length)
            row["nats"] = nats(judge, torch.from_numpy(notes.astype(np.int64)), model.n_given)
            title = f"as published, ε {job.eps:g}" if job.kind == "published" else name.rstrip(" 01234")
            rows.setdefault(title if name.startswith("untuned ") or job.kind == "published" else name, []).append(row)
    return rows, curves


def words_table(found: Mapping[str, Any]) -> str:
    """The polyphonic loops, as Markdown."""
    columns = ("nats", "onsets", "repeated", "same bar", "unique", "c2st")
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, row in found["words"].items():
        lines.append(f"| {name} | " + " | ".join(f"{row[each]:.3f}" if each in row else "" for each in columns) + " |")
    return f"{N_WORDS} words, {found['coverage']:.1%} of what songs play\n\n" + "\n".join(lines) + "\n"


def wins(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Seed by seed, whether each agent of today repeats itself less than the untuned CNN, and is no easier to tell."""
    untuned = {
        column: float(np.mean([row[column] for row in rows["untuned"]]))
        for column in ("excessive", "longest_run", "c2st")
    }
    lines = [
        "| | seeds with fewer excessive notes | with shorter runs | with C2ST not above | with all three |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in (*KINDS, "one step ahead", f"best of {_BEST_OF}", "larger network"):
        several = rows.get(name, [])
        better = [[row[column] <= untuned[column] for column in untuned] for row in several]
        counts = [sum(column) for column in zip(*better, strict=True)] if better else [0, 0, 0]
        all_three = sum(map(all, better))
        lines.append(f"| {name} | " + " | ".join(f"{count} of {len(several)}" for count in (*counts, all_three)) + " |")
    return "\n".join(lines) + "\n"


def draw_figures(
    rows: Mapping[str, Sequence[Mapping[str, float]]], curves: Mapping[float, Sequence[Any]], out: Path
) -> None:
    """Figure 4, rolling rewards by ε; and in place of figure 5 repetition and C2ST of all kinds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for eps, several in sorted(curves.items()):
        steps = np.array([step for step, _ in several[0]]) / 1000
        length = min(map(len, several)) - 1  # the last stretch is of a few steps only
        values = np.array([[value for _, value in curve[:length]] for curve in several])
        smooth = np.array(
            [
                np.convolve(each, np.ones(5) / 5, "same") / np.convolve(np.ones(length), np.ones(5) / 5, "same")
                for each in values
            ]
        )
        line = axes.plot(steps[:length], smooth.mean(0), label=f"ε {eps:g}")[0]
        axes.fill_between(steps[:length], smooth.min(0), smooth.max(0), alpha=0.2, color=line.get_color(), lw=0)
    axes.set(xlabel="transitions, thousands", ylabel="log p of a note under the CNN, nats")
    axes.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, out / "ravula_cao-figure4.png")

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    shown = {name: several for name, several in rows.items() if "c2st" in several[0]}
    for number, (name, several) in enumerate(shown.items()):
        values = np.array([[row["excessive"], row["c2st"]] for row in several])
        axes.scatter(
            values[:, 0], values[:, 1], s=22, color=f"C{number % 10}", marker="os^Dvx"[number // 10], label=name
        )
    real = rows["real"][0]["excessive"]
    axes.axvline(real, color="k", lw=0.8, ls=":")
    axes.text(real, 0.98, " songs", fontsize=8, transform=axes.get_xaxis_transform(), va="top")
    axes.set(xlabel="share of notes beyond the fourth of a run", ylabel="C2ST against songs' loops")
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, out / "ravula_cao-figure5.png")


def export_weights(setting: NoteSetting, seeds: int) -> None:
    """What ships: the agent of seed 0, and the agents as published of seed 0 in one file."""
    cnn = setting.model()
    folder = setting.out / "weights"
    folder.mkdir(exist_ok=True)
    files = [setting.path(NoteJob(f"published-{eps:g}-0", "published"), "safetensors") for eps in PUBLISHED_EPS]
    if all(file.exists() for file in files):
        agents = PublishedAgents(cnn.fingerprint, cnn)
        for agent, file in zip(agents.agents, files, strict=True):
            assert isinstance(agent, AppendAgent)
            agent.load_state_dict(load_append_agent(file, cnn).state_dict())
        save_published(folder / PUBLISHED, agents, {"trained_seed": "0"})
    tuned = setting.path(NoteJob("tuned-0", "tuned"), "safetensors")
    if tuned.exists():
        write_whole(folder / "append-agent.safetensors", tuned.read_bytes())


def report(setting: NoteSetting, seeds: int) -> str:
    """All tables, in Markdown; it also draws the figures and writes the weights that ship."""
    rows, curves = gather(setting, seeds)
    order = ("real", "untuned", *(f"as published, ε {eps:g}" for eps in PUBLISHED_EPS), *KINDS)
    rows = {name: rows[name] for name in (*order, *(name for name in rows if name not in order)) if name in rows}
    lines = [table(rows, COLUMNS), wins(rows)]
    if words := setting.found(NoteJob("words-0", "words")):
        lines.append(words_table(words))
    draw_figures(rows, curves, setting.out)
    export_weights(setting, seeds)
    return "\n".join((*lines, ""))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds=5)
    parser.add_argument("--cnn", type=Path, metavar="FILE", help="weights of the CNN (the bundled ones)")
    parser.add_argument(
        "--agents", default=",".join(KINDS), metavar="NAMES", help="which agents of today to train (%(default)s)"
    )
    options = parser.parse_args(arguments)
    seeds = min(options.seeds, 1) if options.quick else options.seeds
    setting = NoteSetting(options.data, options.out, options.quick, options.cnn, tuple(options.agents.split(",")))
    run_and_report(options, _RUN, setting, all_jobs(seeds), lambda setting: report(setting, seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
