"""Measure jaki as published and as it is here: every table and figure of docs/reproductions/jaki.md.

    python recipes/reproductions/jaki.py --data corpus.npz --out jaki [--seeds 5] [--jobs 2] [--device cpu] [--quick]
        [--only PART …]

Each part writes what it finds into the folder as JSON, job by job: a call that was stopped goes on where it was. The
parts: ``lstm`` trains jaki's LSTM as published and compares it with others in nats; ``published`` searches for every
combination of levels with a DQN of its own; ``agents`` trains agents of several seeds; ``edits`` compares them with
greedy and annealed edits; ``realism`` tells pairs of bars from songs' own; ``page`` prints the tables and draws the
figures. The models of the page are the bundled ones; choose nothing on the test songs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus, Split
from rhythmgan.files import write_whole
from rhythmgan.kit import JAKI5
from rhythmgan.models.catalogue import load_likelihood, load_next_bar_model
from rhythmgan.models.interfaces import NextBarModel
from rl_tuner.config import EDIT_AGENT
from rl_tuner.edit.agent import NOISE, TRIES, Edit, EditAgent, continue_loop, edit_all, load_edit_agent
from rl_tuner.edit.editing import Edited, edit_bars
from rl_tuner.edit.edits import (
    N_WORDS,
    NATS_PRICE,
    STEPS,
    has_targets,
    likeliest,
    match,
    nats_of,
    nearest_levels,
    tables,
    values_after,
    values_of,
)
from rl_tuner.edit.levels import LEVELS
from rl_tuner.edit.network import Greedy
from rl_tuner.tune.edit import level_combinations, pairs_of, train_edit_agent

PARTS = ("lstm", "published", "agents", "edits", "realism", "page")
BARS_PER_COMBINATION = 5
"""Bars that each of the 81 combinations is asked of, in ``edits``."""

BOTH = "greedy edits, then the agent"
"""What ``rl-tuner continue`` does."""

MANY_TRIES = (16, 64)
"""Tries of greedy edits that take as long as an agent's, and longer."""

TEMPERATURES = (0.0, 0.5, 1.0)
"""Noise of the LSTM's bars: its likeliest, drawn from p², drawn from p."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a corpus")
    parser.add_argument("--out", required=True, type=Path, help="folder of what is found")
    parser.add_argument("--seeds", type=int, default=5, help="agents that are trained, and bars searched as published")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--device", default="cpu", help="what agents learn on")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts (all)")
    parser.add_argument("--split", default="test", choices=("valid", "test"), help="songs that are judged by (test)")
    parser.add_argument("--minutes", type=float, default=1e9, help="of the searches: those begun later are left out")
    parser.add_argument("--predictions", type=int, default=50_000, help="of each search as published (50000)")
    parser.add_argument("--published-lstm", type=Path, metavar="FILE", help="that of an earlier call (trained)")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="how agents learn otherwise")
    parser.add_argument("--quick", action="store_true", help="a tiny form of everything")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for part in PARTS:
        if part in options.only:
            started = time.perf_counter()
            _RUN[part](options)
            print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)


def _write(path: Path, found: object) -> None:
    write_whole(path, (json.dumps(found, indent=1) + "\n").encode())


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _songs(options: argparse.Namespace, split: Split) -> Corpus:
    return load_corpus(options.data, STEPS, JAKI5).split(split)


def _published_lstm(options: argparse.Namespace) -> Path:
    return Path(options.published_lstm or options.out / "published-lstm" / "bar-lstm.safetensors")


# --- The LSTM ----------------------------------------------------------------------------------------


def _lstm(options: argparse.Namespace) -> None:
    """Train the LSTM as published where it is not there, and compare nats per step."""
    from rhythmgan.models.config import BarLSTMConfig
    from rhythmgan.training.bar_lstm import train_bar_lstm
    from rhythmgan.training.config import BarLSTMTrainingConfig

    if not _published_lstm(options).exists():
        training = BarLSTMTrainingConfig(train_steps=20 if options.quick else BarLSTMTrainingConfig.train_steps)
        out = _published_lstm(options).parent
        songs = _songs(options, "train"), _songs(options, "valid")
        train_bar_lstm(*songs, out, training, network=BarLSTMConfig(), accelerator="cpu")
    train, held_out = _songs(options, "train").pairs(), _songs(options, options.split).pairs()
    found = _nats_of_counts(train[0], train[1].words, held_out[0], held_out[1].words)
    previous = words_to_bars(held_out[0], JAKI5.n_parts)
    for name, source in (("LSTM as published", _published_lstm(options)), ("LSTM here", None)):
        log_probs = load_next_bar_model(source).word_log_prob(previous)
        words = torch.from_numpy(held_out[1].words.astype(np.int64))
        found[name] = float(-log_probs.gather(2, words[..., None]).mean())
    found["the bundled prior, given the bar before"] = _nats_of_prior(options)
    _write(options.out / "nats.json", {"pairs": len(previous), "split": options.split, "nats": found})


def _nats_of_counts(first: np.ndarray, second: np.ndarray, given: np.ndarray, words: np.ndarray) -> dict[str, float]:
    """Nats per step of held-out pairs (``given`` → ``words``) by what is counted in pairs (``first`` → ``second``)."""
    steps = np.arange(STEPS)
    of_step = np.stack([np.bincount(second[:, step], minlength=N_WORDS) + 1.0 for step in steps])
    of_step /= of_step.sum(1, keepdims=True)
    table = np.ones((N_WORDS, N_WORDS))
    np.add.at(table, (first.ravel(), second.ravel()), 1)
    table /= table.sum(1, keepdims=True)
    copies = _fitted_share(first == second, of_step[steps, second])
    copied = copies * (given == words) + (1 - copies) * of_step[steps, words]
    return {
        "words of a step, counted": float(-np.log(of_step[steps, words]).mean()),
        f"copying bar 1 with chance {copies:.2f}, else these": float(-np.log(copied).mean()),
        "the word after a word, counted": float(-np.log(table[given, words]).mean()),
    }


def _fitted_share(same: np.ndarray, chance: np.ndarray) -> float:
    """The share of copying that makes training pairs likeliest, by expectation–maximisation."""
    share = 0.5
    for _ in range(50):
        share = float((share * same / (share * same + (1 - share) * chance)).mean())
    return share


def _nats_of_prior(options: argparse.Namespace) -> float:
    """Nats per step of the bundled prior on the same pairs, its words folded to the five parts."""
    from rhythmgan.evaluate import nll_per_step

    prior = load_likelihood()
    corpus = load_corpus(options.data, STEPS, prior.kit)
    held_out, train = corpus.split(options.split), corpus.split("train")
    nll = nll_per_step(held_out, train, {"prior": prior}, kit=JAKI5)
    return nll["prior, given the bar before"]


# --- As published ------------------------------------------------------------------------------------


def _search_job(job: tuple[str, str, int, int, int]) -> dict[str, Any]:
    """One combination on one bar: the search with a DQN, and the one at random."""
    from rl_tuner.tune.edit_published import PUBLISHED, search, search_at_random

    data, lstm, seed, number, predictions = job
    torch.set_num_threads(1)
    model = load_next_bar_model(lstm)
    assert isinstance(model, torch.nn.Module)
    first, _, _ = pairs_of(load_corpus(data, STEPS, JAKI5).split("test"), 64, seed=1)
    log_probs, targets = model.word_log_prob(first[seed, None])[0], level_combinations()[number]
    started = time.perf_counter()
    learnt = search(model, log_probs, targets, replace(PUBLISHED, seed=seed), predictions)
    seconds = time.perf_counter() - started
    at_random = search_at_random(log_probs, targets, PUBLISHED.train_steps, seed)
    start = values_of(likeliest(log_probs[None]))[0].tolist()
    return {
        "seed": seed,
        "number": number,
        "targets": targets.tolist(),
        "lstm": start,
        "learnt": learnt._asdict(),
        "random": at_random._asdict(),
        "seconds": round(seconds, 1),
    }


def _published(options: argparse.Namespace) -> None:
    folder = options.out / "published"
    folder.mkdir(exist_ok=True)
    # in no order, so that a run that is stopped has searched for combinations of all levels
    numbers = np.random.default_rng(0).permutation(81)[: 3 if options.quick else 81].tolist()
    seeds = range(1 if options.quick else options.seeds)
    jobs = [
        (options.data, str(_published_lstm(options)), seed, number, 300 if options.quick else options.predictions)
        for seed, number in itertools.product(seeds, numbers)
        if not (folder / f"{seed}-{number:02d}.json").exists()
    ]
    _in_processes(
        options, _search_job, jobs, lambda row: _write(folder / f"{row['seed']}-{row['number']:02d}.json", row)
    )


def _in_processes(
    options: argparse.Namespace, work: Callable[[Any], Any], jobs: Sequence[Any], keep: Callable[[Any], None]
) -> None:
    """Do jobs, several at once, and keep what each finds as it comes; after ``--minutes`` no other is begun."""
    until = time.perf_counter() + options.minutes * 60
    waiting = list(reversed(jobs))
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        running = {pool.submit(work, waiting.pop()) for _ in range(min(options.jobs, len(waiting)))}
        while running:
            done = next(as_completed(running))
            running.remove(done)
            keep(done.result())
            if waiting and time.perf_counter() < until:
                running.add(pool.submit(work, waiting.pop()))


# --- Agents ------------------------------------------------------------------------------------------


def _agent_job(job: tuple[str, str, str, dict[str, Any]]) -> str:
    data, out, device, changes = job
    torch.set_num_threads(1)
    training = replace(EDIT_AGENT, **changes)
    songs = load_corpus(data, STEPS, JAKI5).split("train")
    return str(train_edit_agent(load_next_bar_model(), songs, out, training, device=device))


def _agents(options: argparse.Namespace) -> None:
    changes = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in options.set)}
    if options.quick:
        changes = {"train_steps": 10_000} | changes
    seeds = range(1 if options.quick else options.seeds)
    jobs = [
        (options.data, str(options.out / "-".join(["agent", str(seed), *options.set])), options.device, job)
        for seed, job in ((seed, {**changes, "seed": seed}) for seed in seeds)
    ]
    _in_processes(options, _agent_job, jobs, print)


def _agents_there(options: argparse.Namespace) -> dict[str, EditAgent]:
    """The bundled agent, and those of other seeds that were trained."""
    found = {"agent": load_edit_agent()}
    for path in sorted(options.out.glob("agent-*/edit-agent.safetensors")):
        found[f"agent, trained with seed {path.parent.name.removeprefix('agent-')}"] = load_edit_agent(path)
    return found


# --- Edits -------------------------------------------------------------------------------------------


def anneal(
    log_probs: Tensor, targets: Tensor, importance: Tensor, steps: int = 300, coef: float = 1.0, seed: int = 0
) -> Edited:
    """Edits drawn by what they gain, ever more greedily (simulated annealing): a long search, to compare with.

    Args:
        log_probs, targets, importance: as ``edit_bars``.
        steps: edits of each bar.
        coef: how much a nat counts, in ``NATS_PRICE``.
        seed: of the draws.
    """
    random = torch.Generator().manual_seed(seed)
    playable = tables(log_probs.device).playable
    words = likeliest(log_probs)
    rows, top = torch.arange(len(words)), nats_of(words, log_probs)

    def worth(of: Tensor) -> Tensor:
        return match(values_of(of, log_probs.dtype), targets, importance) + coef * NATS_PRICE * nats_of(of, log_probs)

    best, most = words, worth(words)
    for step in range(steps):
        gains = match(values_after(words, log_probs.dtype), targets[:, None, None], importance[:, None, None])
        gains = gains + coef * NATS_PRICE * (log_probs - log_probs.gather(2, words[..., None]))
        temperature = 0.03 * (1 - step / steps) + 1e-4
        chances = (gains.masked_fill(~playable, -torch.inf) / temperature).flatten(1).softmax(1)
        chosen = torch.multinomial(chances, 1, generator=random)[:, 0]
        words = words.clone()
        words[rows, chosen // N_WORDS] = chosen % N_WORDS
        now = worth(words)
        best, most = torch.where((now > most)[:, None], words, best), torch.maximum(now, most)
    values = values_of(best, log_probs.dtype)
    nats = top - nats_of(best, log_probs)
    return Edited(best, values, has_targets(values, targets, importance), nats, torch.full_like(rows, steps))


PRICES = (NATS_PRICE, 0.0)
"""What a nat costs greedy edits: what it costs the agent, and nothing."""


def _greedy(edits: int = 24, price: float = PRICES[0]) -> Edit:
    return lambda log_probs, targets, importance: edit_bars(Greedy(price), log_probs, targets, importance, edits)


def _asked(options: argparse.Namespace, model: NextBarModel) -> tuple[Tensor, Tensor, np.ndarray]:
    """Every combination of levels, asked of several bars: log-probabilities, targets, and the seeds of the answers."""
    first, _, _ = pairs_of(_songs(options, options.split), 81 * (1 if options.quick else BARS_PER_COMBINATION), seed=2)
    targets = level_combinations().repeat(len(first) // 81 + 1, 1)[: len(first)]
    return model.word_log_prob(first).double(), targets.double(), np.arange(len(first), dtype=np.uint64)


def _edits(options: argparse.Namespace) -> None:
    """Success, nats and time of the agents and of searches without learning, over all combinations."""
    model = load_next_bar_model()
    log_probs, targets, seeds = _asked(options, model)
    importance = torch.ones_like(targets)
    rows: list[dict[str, Any]] = []
    greedy: dict[tuple[float, int], Edited] = {}

    def add(name: str, edit: Edit, tries: int, noise: float) -> None:
        add_tries(name, [edit] * tries, noise)

    def add_tries(name: str, edits: Sequence[Edit], noise: float) -> None:
        started, tries = time.perf_counter(), len(edits)
        found = edit_all(edits, log_probs, targets, importance, seeds, noise)
        seconds = time.perf_counter() - started
        as_many = tries // 2 if name == BOTH else tries
        beside = greedy.setdefault((noise, as_many), found) if name != "LSTM, unedited" else found
        both = found.reached & beside.reached
        near = (nearest_levels(found.values) == nearest_levels(targets)).all(1)
        rows.append(
            {
                "name": name,
                "tries": tries,
                "noise": noise,
                "reached": float(found.reached.double().mean()),
                "nearest level": float(near.double().mean()),
                "nats": float(found.nats[found.reached].mean()) if found.reached.any() else None,
                "nats more than greedy": float((found.nats - beside.nats)[both].mean()) if both.any() else None,
                "edits": float(found.edits.double().mean()),
                "ms a bar, all at once": seconds / len(targets) * 1000,
                "by combination": found.reached.double().view(-1, 81).mean(0).tolist(),
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "by combination"}, flush=True)

    def lstm(log_probs: Tensor, targets: Tensor, importance: Tensor) -> Edited:
        return edit_bars(Greedy(), log_probs, targets, importance, 0)

    def annealed(log_probs: Tensor, targets: Tensor, importance: Tensor) -> Edited:
        return anneal(log_probs, targets, importance, 60 if options.quick else 300)

    add("LSTM, unedited", lstm, 1, 0.0)
    for noise, tries in ((0.0, 1), (NOISE, 1), (NOISE, TRIES)):
        add("greedy edits", _greedy(), tries, noise)
        for price in PRICES[1:]:
            add(f"greedy edits, a nat costs {price:g}", _greedy(price=price), tries, noise)
        for name, agent in _agents_there(options).items():
            add(name, agent.in_double().edit, tries, noise)
    add_tries(BOTH, load_edit_agent().in_double().tries, NOISE)
    for tries in MANY_TRIES:
        add("greedy edits", _greedy(), tries, NOISE)
    add("annealed edits", annealed, 1, 0.0)
    _write(
        options.out / f"edits-{options.split}.json",
        {"bars": len(targets), "split": options.split, "rows": rows, "latency": _latency(options)},
    )


def _latency(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of an answer of ``continue_loop`` with models that are loaded, on one thread."""
    first, _, _ = pairs_of(_songs(options, options.split), 81, seed=2)
    agent, model = load_edit_agent(), load_next_bar_model()
    names, spent = list(LEVELS), []
    for bar, targets in zip(first, level_combinations().tolist(), strict=False):
        started = time.perf_counter()
        continue_loop(bar, dict(zip(names, targets, strict=True)), agent=agent, model=model)
        spent.append((time.perf_counter() - started) * 1000)
    return {"median ms": float(np.median(spent)), "95th percentile ms": float(np.percentile(spent, 95))}


# --- Realism -----------------------------------------------------------------------------------------


def halves_of_songs(song: np.ndarray, seed: int) -> np.ndarray:
    """(n,) bool: a random half of the pairs of each song."""
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(song), bool)
    for name in np.unique(song):
        rows = random.permutation(np.flatnonzero(song == name))
        chosen[rows[: (len(rows) + random.integers(2)) // 2]] = True
    return chosen


def pair_c2st(
    first: np.ndarray, second: np.ndarray, song: np.ndarray, is_real: np.ndarray, repeats: int = 2
) -> dict[str, float]:
    """How well classifiers tell real pairs of bars from others, of the same songs: .5 is chance.

    The songs are the same on both sides, so that nothing but the pairs tells them apart; a classifier is tested on
    songs that it was not trained on. It is the boosted trees of ``metrics.c2st``, and sees both bars and where the two
    differ. Its MLP was behind the trees on the validation songs, and is left out.

    Args:
        first, second: (n, 16, 5) bool.
        song: (n,) ints.
        is_real: (n,) bool.
        repeats: random halves of the songs, each used both ways round.

    Returns:
        Balanced test accuracy as ``c2st``, and the standard error of its mean.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    cells = np.concatenate([first, second, first ^ second], 1).reshape(len(first), -1).astype(np.float32)
    accuracy: list[float] = []
    for repeat in range(repeats):
        names = np.random.default_rng([repeat, 7]).permutation(np.unique(song))
        half = np.isin(song, names[: len(names) // 2])
        for taught in (half, ~half):
            classifier = HistGradientBoostingClassifier(random_state=repeat).fit(cells[taught], is_real[taught])
            real = is_real[~taught]
            right = classifier.predict(cells[~taught]) == real
            accuracy.append(float((right[real].mean() + right[~real].mean()) / 2))
    return {"c2st": float(np.mean(accuracy)), "error": float(np.std(accuracy) / len(accuracy) ** 0.5)}


def _realism_job(job: tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]) -> dict[str, Any]:
    name, first, second, song, is_real, facts = job
    torch.set_num_threads(1)
    return {"name": name, **facts, **pair_c2st(first, second, song, is_real)}


def _realism(options: argparse.Namespace) -> None:
    """C2ST of pairs: the second bars of half of the pairs are others' answers to the first."""
    songs = _songs(options, options.split)
    first, second, song = pairs_of(songs, 400 if options.quick else 2000, seed=3)
    is_real = halves_of_songs(song, 1)
    asked = first[~is_real]
    own = values_of(torch.from_numpy(bars_to_words(second[~is_real]).astype(np.int64)), torch.float64)
    levels = torch.tensor([list(each.values()) for each in LEVELS.values()], dtype=torch.float64)
    of_own = levels[torch.arange(4), nearest_levels(own)]
    random = torch.Generator().manual_seed(0)
    of_others = of_own[torch.randperm(len(of_own), generator=random)]
    any_levels = level_combinations().double()[torch.randint(81, (len(asked),), generator=random)]
    jobs: list[Any] = []

    def add(name: str, answers: np.ndarray, **facts: Any) -> None:
        both = second.copy()
        both[~is_real] = answers
        jobs.append((name, first, both, song, is_real, facts))

    add("the songs' own", second[~is_real])
    add("bar 1 again", asked)
    seeds = np.arange(len(asked), dtype=np.uint64)
    for name, source in (("LSTM as published", _published_lstm(options)), ("LSTM here", None)):
        log_probs = load_next_bar_model(source).word_log_prob(asked).double()
        none = torch.zeros(4, dtype=torch.float64)
        for noise in TEMPERATURES:
            found = edit_all([_greedy(0)], log_probs, none, none, seeds, noise)
            add(name, words_to_bars(found.words, JAKI5.n_parts).numpy(), noise=noise)
    agent = load_edit_agent().in_double()
    edits: Mapping[str, Sequence[Edit]] = {
        "greedy edits": [_greedy()] * TRIES,
        "agent": [agent.edit] * TRIES,
        BOTH: agent.tries,
    }
    kinds = {"levels of the song's own bar": of_own, "levels of another's": of_others, "any levels": any_levels}
    for (name, tries), (kind, targets) in itertools.product(edits.items(), kinds.items()):
        found = edit_all(tries, log_probs, targets, torch.ones(4), seeds, NOISE)
        facts = {"reached": float(found.reached.double().mean()), "nats": float(found.nats.mean())}
        answers = words_to_bars(found.words, JAKI5.n_parts).numpy()
        add(name, answers, noise=NOISE, tries=len(tries), asked=kind, **facts)
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        print(row, flush=True)
        _write(options.out / f"realism-{options.split}.json", {"pairs": len(first), "rows": rows})

    _in_processes(options, _realism_job, jobs, keep)


# --- The page ----------------------------------------------------------------------------------------


def _page(options: argparse.Namespace) -> None:
    """Print the tables in Markdown, and draw the figures."""
    path = options.out / "nats.json"
    if path.exists():
        found = _read(path)
        print(f"\n### Nats per step, {found['pairs']:,} pairs of the {found['split']} songs\n")
        print("| bar 2 given bar 1 | nats a step |\n| --- | ---: |")
        for name, nats in found["nats"].items():
            print(f"| {name} | {nats:.3f} |")
    searches = [_read(file) for file in sorted((options.out / "published").glob("*.json"))]
    if searches:
        _print_searches(searches)
    path = options.out / f"edits-{options.split}.json"
    if path.exists():
        found = _read(path)
        print(f"\n### All 81 combinations, {found['bars']} bars of the {found['split']} songs; {found['latency']}\n")
        print("| edits | tries | noise | reached | nearest level | nats lost | than greedy | edits | ms |")
        print("| --- |" + " ---: |" * 8)
        for row in found["rows"]:
            nats = "" if row["nats"] is None else f"{row['nats']:.1f}"
            more = "" if row["nats more than greedy"] is None else f"{row['nats more than greedy']:+.1f}"
            print(
                f"| {row['name']} | {row['tries']} | {row['noise']:g} | {row['reached']:.1%} | "
                f"{row['nearest level']:.1%} | {nats} | {more} | {row['edits']:.1f} | "
                f"{row['ms a bar, all at once']:.1f} |"
            )
        if searches:
            _draw(searches, found, Path(__file__).resolve().parents[2] / "docs" / "reproductions" / "jaki-reached.png")
    path = options.out / f"realism-{options.split}.json"
    if path.exists():
        found = _read(path)
        print(f"\n### C2ST of {found['pairs']:,} pairs\n")
        print("| bar 2 | asked for | noise | reached | C2ST |\n| --- | --- | ---: | ---: | ---: |")
        for row in sorted(found["rows"], key=lambda row: (row["name"], row.get("asked", ""), row.get("noise", 0))):
            reached = f"{row['reached']:.1%}" if "reached" in row else ""
            noise = f"{row['noise']:g}" if "noise" in row else ""
            c2st = f"{row['c2st']:.3f} ± {row['error']:.3f}"
            print(f"| {row['name']} | {row.get('asked', '')} | {noise} | {reached} | {c2st} |")


def _print_searches(searches: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n### As published: {len(searches)} searches\n")
    print("| search | searches | reached | nearest level | median bars looked at | mean | seconds |")
    print("| --- |" + " ---: |" * 6)
    for name in ("learnt", "random"):
        rows = [search[name] for search in searches]
        reached = [row["predictions"] is not None for row in rows]
        near = [row["nearest"] is not None for row in rows]
        seen = [row["seen"] for row in rows]
        seconds = f"{np.mean([search['seconds'] for search in searches]):.0f}" if name == "learnt" else ""
        print(
            f"| {name} | {len(rows)} | {np.mean(reached):.1%} | {np.mean(near):.1%} | {np.median(seen):,.0f} | "
            f"{np.mean(seen):,.0f} | {seconds} |"
        )


def _draw(searches: Sequence[Mapping[str, Any]], edits: Mapping[str, Any], path: Path) -> None:
    """Draw how many of the 81 combinations are reached by how many looked-at bars, beside edits without a search."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.2), dpi=100)
    for name, label in (("learnt", "a DQN for each pattern, as published"), ("random", "edits at random")):
        found = np.sort([search[name]["predictions"] or np.inf for search in searches])
        share = np.arange(1, len(found) + 1) / len(found)
        end = max(search[name]["seen"] for search in searches)  # nothing is known beyond what was looked at
        axes.step(np.append(found[np.isfinite(found)], end), _extended(share, found), where="post", label=label)
    for row, style in ((_row(edits, "greedy edits"), ":"), (_row(edits, "agent"), "-")):
        # it looks at what all edits come to, so that it has no place on the axis of a search
        axes.axhline(row["reached"], linestyle=style, color="black", label=f"{row['name']}, a single try")
    axes.set(xscale="log", xlabel="bars looked at", ylabel="combinations reached", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def _extended(share: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The shares at the finite numbers, the last one kept to the end."""
    kept = share[np.isfinite(found)]
    return np.append(kept, kept[-1] if len(kept) else 0.0)


def _row(edits: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The row of the edits of this name with a single try and the noise of answers."""
    return next(row for row in edits["rows"] if (row["name"], row["tries"], row["noise"]) == (name, 1, NOISE))


_RUN: dict[str, Callable[[argparse.Namespace], None]] = {
    "lstm": _lstm,
    "published": _published,
    "agents": _agents,
    "edits": _edits,
    "realism": _realism,
    "page": _page,
}

if __name__ == "__main__":
    main()
