"""Every table and every figure of docs/reproductions/halmoy.md: one line answers another, after Halmøy 2020.

Run: python recipes/reproductions/halmoy.py --data CORPUS --out OUT [--seeds 5] [--jobs N] [--split test] [--quick]
CORPUS is what `rhythmgan prepare` wrote. OUT gets a JSON file for each job as soon as it is done, the weights that jobs
train, and halmoy.md, which is printed as well; the figures go to --figures. A stopped recipe is resumed by the same
command: what is there is not done again. `--only` does some jobs, by the beginning of their names.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy or torch is imported

import numpy as np
import torch

from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus
from rhythmgan.files import write_whole
from rhythmgan.line_pairs import line_pairs, pairs_c2st
from rl_tuner.config import ANSWER_AGENT, LIVE_ENV, LIVE_TOGGLE, PUBLISHED_TOGGLE, DQNConfig, ToggleEnvConfig
from rl_tuner.envs.toggle import ToggleVectorEnv

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "reproductions"

KICK = np.array([1, 0, 0, 0, 1, 0, 0, 0], bool)
MOVES = 10
"""Moves of the scenarios, as in Halmøy's figures."""

DRAWS = 2
"""Answers to each line in a row of the table; its numbers are their means."""

PARTICLES = 16
"""Particles of the prior for each kick."""

LIVE_VARIANTS: dict[str, dict[str, Any]] = {"gamma.8": {}, "gamma.9": {"gamma": 0.9}}
"""How toggling agents are trained; the best on the starts of seed 1 ships, the page reports those of seed 2."""

ROWS = {
    "real": "real against real: halves of these songs",
    "learnt": "real: the training songs' own pairs",
    "random": "the snare of a random training song",
    "common": "the most common snare",
    "nearest": "a training song's snare of the nearest kick",
    "gan": "the GAN, kick locked",
    "prior": "the prior, forced to the kick",
    "reference": "the model of answers",
    "bundled": "the agent that ships",
}


@dataclass(frozen=True)
class Job:
    """One unit of work, whose result is a JSON file.

    Attributes:
        name: of the file.
        data: the corpus.
        out: the folder.
        split: songs to report on.
        quick: whether it is only tried.
    """

    name: str
    data: Path
    out: Path
    split: str
    quick: bool

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.json"

    @property
    def draws(self) -> int:
        return 1 if self.quick else DRAWS

    @property
    def repeats(self) -> int:
        return 1 if self.quick else 4


def work(job: Job) -> str:
    """Do a job and write what came of it; its name."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    kind, _, rest = job.name.partition("-")
    found = {"published": published, "live": live, "answer": answering, "row": row}[kind](job, rest)
    found["seconds"] = round(time.perf_counter() - began, 1)
    write_whole(job.path, (json.dumps(found) + "\n").encode())
    return job.name


# --- As published ------------------------------------------------------------------------------------


class Recorder(ToggleVectorEnv):
    """One episode after the other; it keeps what each episode's scores are on average, and by how much they grow.

    Attributes:
        averages, deltas: one for each episode that has ended.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(num_envs=1, **options)
        self.averages: list[float] = []
        self.deltas: list[float] = []
        self._scores: list[float] = []

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        seen, info = super().reset(**options)
        self._scores = [float(info["score"][0])]
        return seen, info

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        found = super().step(actions)
        self._scores.append(float(found[4]["score"][0]))
        if found[3][0]:
            self.averages.append(float(np.mean(self._scores[1:])))
            self.deltas.append(self._scores[-1] - self._scores[0])
            self._scores = []  # the next step only begins an episode
        return found


def published(job: Job, rest: str) -> dict[str, Any]:
    """An agent trained for 300 episodes: both scenarios, and the average and the delta of each episode.

    ``rest`` is "no-SEED" without a no-op, as published, "op-SEED" with one, "delta-SEED" with both a no-op and the
    delta as the reward.
    """
    from rl_tuner.dqn import DQN
    from rl_tuner.toggle.toggler import ToggleAgent, ToggleAgentConfig, play

    kind, _, seed = rest.partition("-")
    env = replace(ToggleEnvConfig(), no_op=kind != "no", reward="delta" if kind == "delta" else "absolute")
    training = replace(PUBLISHED_TOGGLE, seed=int(seed))
    if job.quick:
        training = replace(training, train_steps=20 * env.moves)
    envs = Recorder(no_op=env.no_op, moves=env.moves, reward=env.reward, given=KICK[None])
    torch.manual_seed(training.seed)
    agent = ToggleAgent(ToggleAgentConfig(no_op=env.no_op))
    dqn = DQN(envs, training, agent.network, mask=envs.mask)
    dqn.learn()
    agent.requires_grad_(False)
    found: dict[str, Any] = {"episodes": {"average": envs.averages, "delta": envs.deltas}}
    for name, line in (("best", ~KICK), ("worst", KICK)):
        played = play(agent, KICK, line[None], MOVES)
        found[name] = played.scores.tolist()
        found[f"{name} toggled"] = int((played.lines[1:] ^ played.lines[:-1]).any((0, 1)).sum())
    found["random starts"] = [play(agent, KICK, start[None], MOVES).scores.tolist() for start in _starts()]
    return found


def _starts() -> np.ndarray:
    """200 random snares (200, 8) of all densities."""
    rng = np.random.default_rng(1000)
    found: np.ndarray = rng.random((200, 8)) < rng.random((200, 1))
    return found


def _by_chance() -> np.ndarray:
    """Scores (200, moves + 1) from these starts of an agent that toggles at random."""
    rng = np.random.default_rng(2000)
    plays = []
    for start in _starts():
        line, scores = start.copy(), [2 * (start ^ KICK).mean() - 1]
        for step in rng.integers(8, size=MOVES):
            line[step] ^= True
            scores.append(2 * (line ^ KICK).mean() - 1)
        plays.append(scores)
    return np.array(plays)


# --- Terms whose importance is set live ---------------------------------------------------------------


def live(job: Job, variant: str) -> dict[str, Any]:
    """A toggling agent trained for terms whose importance changes, beside climbing and the best that there is."""
    from rl_tuner.config import LIVE_WIDTH
    from rl_tuner.toggle.toggler import load_toggle_agent, save_toggle_agent
    from rl_tuner.tune.toggle import toggle_learner

    if variant == "bundled":
        agent = load_toggle_agent()
    else:
        training, env = replace(LIVE_TOGGLE, **LIVE_VARIANTS[variant]), LIVE_ENV
        if job.quick:
            training, env = replace(training, train_steps=6000, learning_starts=1000), replace(env, num_envs=64)
        agent, dqn = toggle_learner(training, env, LIVE_WIDTH)
        dqn.learn()
        agent.network.load_state_dict(dqn.target_network.state_dict())
        agent.eval().requires_grad_(False)
        facts = {"trained_steps": str(dqn.steps_done), "trained_seed": str(training.seed)}
        save_toggle_agent(job.out / f"{job.name}.safetensors", agent, facts)
    n = 10 if job.quick else 100
    return {f"starts of seed {seed}": _against_climbing(agent, n, seed) for seed in (1, 2)}


def _against_climbing(agent: Any, n: int, seed: int) -> dict[str, float]:
    """Mean scores of n random starts with random importance: at first, in the end, and those of the rivals."""
    from rl_tuner.envs.toggle import ToggleVectorEnv
    from rl_tuner.toggle.terms import Terms

    config, moves, steps = agent.config, LIVE_ENV.moves, agent.config.resolution
    envs = ToggleVectorEnv(
        steps, no_op=True, moves=moves + 1, terms=config.terms, weighted=True, gains=config.gains, num_envs=n
    )
    seen, info = envs.reset(seed=seed)
    first = torch.from_numpy(seen).clone()
    start = info["score"]
    for _ in range(moves):
        seen, *_, info = envs.step(agent.act(torch.from_numpy(seen)).numpy())
    terms = Terms(config.terms, steps)
    values = 1 << torch.arange(steps)
    every = (torch.arange(1 << steps)[:, None] & values) > 0
    best, climbed, chance = np.zeros(n), np.zeros(n), np.zeros(n)
    for number in range(n):
        given, importance = first[number, :steps] > 0.5, first[number, envs.layout.slice("importance")]
        found = terms(given.expand(len(every), -1), every[:, None], torch.full((len(every),), steps))
        scores = (found * importance).sum(1).numpy()
        best[number], chance[number] = scores.max(), scores.mean()
        here = int(((first[number, steps : 2 * steps] > 0.5) * values).sum())
        for _ in range(moves):
            there = max((here ^ 1 << step for step in range(steps)), key=lambda place: float(scores[place]))
            if scores[there] <= scores[here] + 1e-6:
                break
            here = there
        climbed[number] = scores[here]
    rows = {"start": start, "agent": info["score"], "climbing": climbed, "best": best, "any line": chance}
    return {name: float(np.mean(values)) for name, values in rows.items()}


# --- Answers to real kicks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Songs:
    """Pairs of lines of the songs that are learnt from and of those that are reported on."""

    train: np.ndarray
    train_song: np.ndarray
    pairs: np.ndarray
    song: np.ndarray
    validation: np.ndarray
    corpus: Corpus


def _songs(job: Job) -> Songs:
    corpus = load_corpus(job.data, 16)
    train, train_song = line_pairs(corpus.split("train"))
    pairs, song = line_pairs(corpus.split("valid" if job.split == "valid" else "test"))
    validation, _ = line_pairs(corpus.split("valid"))
    if job.quick:
        rows = np.isin(song, np.unique(song)[:60])
        pairs, song, validation = pairs[rows], song[rows], validation[:500]
        train, train_song = train[:2000], train_song[:2000]
    return Songs(train, train_song, pairs, song, validation, corpus)


def answering(job: Job, seed: str) -> dict[str, Any]:
    """An agent that answers, trained with a seed; beside its critic's wish drawn exactly, by resampling."""
    from rhythmgan.models.catalogue import load_answers
    from rl_tuner.config import ANSWER_ENVS, PairCriticConfig
    from rl_tuner.toggle.agent import draw_answers, load_answer_agent, save_answer_agent
    from rl_tuner.tune.toggle import answer_learner, judge_of, train_critic, untaught_answers

    songs, reference = _songs(job), load_answers()
    training: DQNConfig = replace(ANSWER_AGENT, seed=int(seed))
    critic, envs = PairCriticConfig(seed=int(seed)), ANSWER_ENVS
    if job.quick:
        training = replace(training, train_steps=5000, learning_starts=1000)
        critic, envs = replace(critic, train_steps=50), 64
    weights = job.out / f"{job.name}.safetensors"
    if weights.exists():  # of a run that was stopped while it measured
        agent = load_answer_agent(weights, reference)
    else:
        agent = untaught_answers(reference, training)
        agent.critic = train_critic(reference, songs.train, songs.validation, critic, agent.config.critic_width)
        dqn = answer_learner(agent, songs.train[:, 0], training, envs)
        dqn.learn()
        agent.network.load_state_dict(dqn.target_network.state_dict())
        agent.eval().requires_grad_(False)
        facts = {"trained_steps": str(dqn.steps_done), "trained_seed": seed, "trained_pairs": str(len(songs.train))}
        save_answer_agent(weights, agent, facts)
    given = np.ascontiguousarray(songs.pairs[:, 0])
    judge = judge_of(agent.critic)

    def exact(draw: int) -> np.ndarray:
        candidates = np.stack(
            [draw_answers(reference, given, _seeds(len(given), 100 + 32 * draw + i)) for i in range(32)], 1
        )
        lines = torch.from_numpy(np.repeat(given, 32, 0))
        logits = judge(lines, torch.from_numpy(candidates.reshape(-1, 1, 16))).view(-1, 32)
        taken = torch.multinomial(logits.softmax(1), 1, generator=torch.Generator().manual_seed(draw))[:, 0].numpy()
        return np.asarray(candidates[np.arange(len(given)), taken])

    lines, answers = (torch.from_numpy(np.ascontiguousarray(songs.pairs[:, place])) for place in (0, 1))
    return {
        "agent": _measured(job, songs, lambda draw: agent.draw(given, _seeds(len(given), draw))),
        "exact": _measured(job, songs, exact),
        "nats": _nats(agent, lines, answers),
        "nats of the reference": float(-reference.log_prob(lines, answers).mean()),
    }


def _seeds(n: int, draw: int) -> np.ndarray:
    return np.arange(n) + draw * 10_000_000


def _nats(agent: Any, given: torch.Tensor, answers: torch.Tensor) -> float:
    """Nats a line that an agent gives to the songs' own answers."""
    from rhythmgan.models.answer_net import prefixes_of

    prefixes = prefixes_of(answers)
    chances = agent.next_log_prob(given[prefixes.row], prefixes.begun)
    return float(-chances.gather(1, prefixes.following[:, None]).sum() / len(given))


def row(job: Job, name: str) -> dict[str, Any]:
    """A row of the table of answers."""
    songs = _songs(job)
    given = np.ascontiguousarray(songs.pairs[:, 0])
    if name == "real":
        names = np.unique(songs.song)
        found = []
        for draw in range(job.draws):
            first = np.isin(songs.song, np.random.default_rng([draw, 1000]).permutation(names)[: len(names) // 2])
            sides = (songs.pairs[first], songs.pairs[~first], songs.song[first], songs.song[~first])
            found.append(pairs_c2st(*sides, repeats=job.repeats, seed=draw))
        return _means(found) | _facts(songs.pairs, songs)
    if name == "learnt":  # songs of both sides are different ones
        found = []
        for draw in range(job.draws):
            rows = np.random.default_rng(draw).permutation(len(songs.train))[: len(songs.pairs)]
            sides = (songs.pairs, songs.train[rows], songs.song, songs.train_song[rows])
            found.append(pairs_c2st(*sides, repeats=job.repeats, seed=draw))
        facts = _facts(songs.train, songs)
        return _means(found) | {fact: facts[fact] for fact in ("onsets", "on the kick", "backbeat", "distinct")}
    return _measured(job, songs, _answers_of(name, songs, given))


def _answers_of(name: str, songs: Songs, given: np.ndarray) -> Callable[[int], np.ndarray]:
    """The answers of a row, as a function of the draw."""
    n = len(given)
    if name == "random":
        return lambda draw: songs.train[np.random.default_rng(draw).integers(len(songs.train), size=n), 1]
    if name == "common":
        lines = collections.Counter(line.tobytes() for line in songs.train[:, 1])
        return lambda draw: np.tile(np.frombuffer(lines.most_common(1)[0][0], bool), (n, 1))
    if name == "nearest":
        cells, own = songs.train[:, 0].astype(np.float32), given.astype(np.float32)
        # |a ≠ b| = |a| + |b| − 2 a·b, exact in floats
        far = own.sum(1)[:, None] + cells.sum(1)[None] - 2 * own @ cells.T
        near = far == far.min(1, keepdims=True)

        def nearest(draw: int) -> np.ndarray:
            rng = np.random.default_rng(draw)
            return songs.train[[rng.choice(np.flatnonzero(each)) for each in near], 1]

        return nearest
    if name == "gan":
        return lambda draw: _filled_in(given, draw)
    if name == "prior":
        return lambda draw: forced_prior(given, draw)
    from rhythmgan.models.catalogue import load_answers
    from rl_tuner.toggle.agent import draw_answers, load_answer_agent

    model = load_answers() if name == "reference" else load_answer_agent()
    return lambda draw: draw_answers(model, given, _seeds(n, draw))


def _filled_in(given: np.ndarray, draw: int) -> np.ndarray:
    """Snares that the GAN makes where the kick is locked; another where one would be silent, three times at most."""
    from rhythmgan.generate.variation import fill, lock_parts
    from rhythmgan.models.catalogue import load_generator

    gan = load_generator().with_condition("any", "any")
    locked = lock_parts(gan.kit, gan.steps, ("kick",))
    kicks, place, count = np.unique(given, axis=0, return_inverse=True, return_counts=True)
    answers = np.zeros(given.shape, bool)
    for number, (kick, times) in enumerate(zip(kicks, count.tolist(), strict=True)):
        bar = np.zeros((gan.steps, gan.kit.n_parts), bool)
        bar[:, 0] = kick
        snares = fill(gan, bar, locked, [draw * 10_000_000 + number * 3000 + i for i in range(3 * times)])[..., 1]
        order = np.argsort(~snares.any(1), kind="stable")  # what sounds first
        answers[place.ravel() == number] = snares[order[:times]]
    return answers


@torch.no_grad()
def forced_prior(given: np.ndarray, draw: int) -> np.ndarray:
    """Snares that the prior draws with its words forced to the kick: a particle filter (Gordon et al. 1993).

    The kick is the top bit of a word's first chunk. At each step a particle is weighed by the chance that the prior
    gives to the kick as it is, and its word is drawn among those that have it; then particles are resampled. One of
    those whose snare sounds, where there are any, is the answer.
    """
    from rhythmgan.models.word_lstm import load_prior

    prior = load_prior().with_condition("any", "any")
    drawer = prior._drawer(torch.float32)
    model, vectors, layers, tables = drawer
    random = torch.Generator().manual_seed(draw)
    found = np.zeros(given.shape, bool)
    sizes = prior.chances.sizes
    for first in range(0, len(given), 64):
        kick = torch.from_numpy(given[first : first + 64]).repeat_interleave(PARTICLES, 0)
        n, steps = kick.shape
        context = model._context(
            torch.zeros((n, steps), dtype=torch.long), torch.zeros(n, dtype=torch.bool), prior._labels(n), vectors
        )
        zeros = context.new_zeros(n, prior.config.width)
        states = [(zeros, zeros)] * len(layers)
        words = torch.zeros((n, 0), dtype=torch.long)
        start = torch.full((n,), prior.start)
        for step in range(steps):
            before = [words[:, step - lag] if step >= lag else start for lag in model.lags]
            out = inputs = model._inputs(before, context[:, step], vectors)
            for number, layer in enumerate(layers):
                states[number] = layer.step(out, *states[number])
                out = states[number][0]
            known, word = torch.cat([out, inputs], 1), torch.zeros(n, dtype=torch.long)
            weight = torch.zeros(n)
            for number, size in enumerate(sizes):
                logits = model.chances.chunks[number](known, word, tables[number])
                if number == 0:  # of the values of the first chunk the upper half has the kick
                    has_kick = torch.arange(1 << size) >= 1 << (size - 1)
                    chances = logits.log_softmax(1).masked_fill(has_kick != kick[:, step, None], -torch.inf)
                    weight = chances.logsumexp(1)
                else:
                    chances = logits.log_softmax(1)
                value = torch.multinomial(chances.softmax(1), 1, generator=random)[:, 0]
                word = (word << size) + value
            words = torch.cat([words, word[:, None]], 1)
            weights = weight.view(-1, PARTICLES).softmax(1)
            taken = torch.multinomial(weights, PARTICLES, replacement=True, generator=random)
            rows = (taken + PARTICLES * torch.arange(len(taken))[:, None]).flatten()
            words, states = words[rows], [(a[rows], b[rows]) for a, b in states]
        snare = (words >> (sum(sizes) - 2) & 1).bool().view(-1, PARTICLES, steps)
        sounds = snare.any(2).float() + 1e-9
        one = torch.multinomial(sounds, 1, generator=random)[:, 0]
        found[first : first + 64] = snare[torch.arange(len(one)), one].numpy()
    return found


def _measured(job: Job, songs: Songs, draw: Callable[[int], np.ndarray]) -> dict[str, Any]:
    """How well answers are told from the songs' own, given their kicks: means over draws."""
    found, facts = [], []
    for number in range(job.draws):
        made = np.stack([songs.pairs[:, 0], draw(number)], 1)
        found.append(pairs_c2st(songs.pairs, made, songs.song, repeats=job.repeats, seed=number))
        facts.append(_facts(made, songs))
    return _means(found) | {name: float(np.mean([each[name] for each in facts])) for name in facts[0]}


def _means(found: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means over the draws; the larger of both classifiers is that of the means."""
    means = {name: float(np.mean([each[name] for each in found])) for name in ("trees", "mlp")}
    return means | {"c2st": max(means.values()), "draws": [max(each["trees"], each["mlp"]) for each in found]}


def _facts(made: np.ndarray, songs: Songs) -> dict[str, float]:
    """Plain numbers of pairs: onsets, how many fall on the kick, how many pairs are new, how many answers differ."""
    known = {pair.tobytes() for pair in songs.train}
    together = made.all(1).sum() / max(made[:, 1].sum(), 1)
    facts = {
        "onsets": float(made[:, 1].sum(1).mean()),
        "on the kick": float(together),
        "backbeat": float(made[:, 1][:, [4, 12]].all(1).mean()),
        "new": float(np.mean([pair.tobytes() not in known for pair in made])),
        "distinct": len({pair[1].tobytes() for pair in made}) / len(made),
    }
    if len(made) == len(songs.pairs):
        facts["as the song"] = float((made[:, 1] == songs.pairs[:, 1]).all(1).mean())
    return facts


# --- Tables and figures -------------------------------------------------------------------------------


def report(jobs: Sequence[Job]) -> str:
    """All tables, as Markdown."""
    found = {job.name: json.loads(job.path.read_text(encoding="utf-8")) for job in jobs if job.path.exists()}
    sections = [_published_table(found), _live_table(found), _answers_table(found)]
    return "\n".join(section for section in sections if section)


def _of(found: Mapping[str, Any], beginning: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name.startswith(beginning)}


def _published_table(found: Mapping[str, Any]) -> str:
    lines = [
        "| agent | best start, 10 moves | worst start, 10 moves | seeds like this |",
        "| --- | --- | --- | ---: |",
    ]
    titles = {"no": "as published: no no-op", "op": "with a no-op", "delta": "with a no-op, delta as reward"}
    for kind, title in titles.items():
        runs = list(_of(found, f"published-{kind}-").values())
        ways = collections.Counter((_scores(run["best"]), _scores(run["worst"])) for run in runs)
        for (best, worst), count in ways.most_common():
            lines.append(f"| {title} | {best} | {worst} | {count} of {len(runs)} |")
    runs = list(_of(found, "published-no-").values())
    if runs:
        toggled = sorted({run["best toggled"] for run in runs})
        lines += ["", f"Steps that are toggled from the best start: {', '.join(map(str, toggled))}."]
        lines += ["", _lesson(runs)]
    return "\n".join(lines) + "\n"


def _scores(scores: Sequence[float]) -> str:
    return " ".join(f"{score:.2f}".replace("0.", ".").rstrip("0").rstrip(".") or "0" for score in scores)


def _lesson(runs: Sequence[Mapping[str, Any]]) -> str:
    """How well the average and the delta of an episode tell a trained agent from one that toggles at random."""
    trained, chance = np.array([run["random starts"] for run in runs]), _by_chance()
    heads = ("average, at random", "trained", "d'", "delta, at random", "trained", "d'")
    lines = ["| moves of an episode | " + " | ".join(heads) + " |", "| ---: |" + " ---: |" * len(heads)]
    for moves in (1, 2, 4, 8, MOVES):
        cells = []
        for measure in (_average, _delta):
            own, other = measure(trained[..., : moves + 1]).ravel(), measure(chance[:, : moves + 1])
            spread = float(np.sqrt((own.var() + other.var()) / 2))
            cells += [f"{other.mean():.2f}", f"{own.mean():.2f}", f"{(own.mean() - other.mean()) / spread:.1f}"]
        lines.append(f"| {moves} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _average(scores: np.ndarray) -> np.ndarray:
    """Of scores (…, moves + 1), what those after the start are on average."""
    found: np.ndarray = scores[..., 1:].mean(-1)
    return found


def _delta(scores: np.ndarray) -> np.ndarray:
    """Of scores (…, moves + 1), by how much the last is over the first."""
    found: np.ndarray = scores[..., -1] - scores[..., 0]
    return found


def _live_table(found: Mapping[str, Any]) -> str:
    runs = _of(found, "live-")
    if not runs:
        return ""
    lines = [
        "| trained as | starts of | start | any line | agent | climbing | best of all lines |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    columns = ("start", "any line", "agent", "climbing", "best")
    for name, run in runs.items():
        for key, value in run.items():
            if key != "seconds":
                numbers = " | ".join(f"{value[column]:.3f}" for column in columns)
                lines.append(f"| {name.removeprefix('live-')} | {key.removeprefix('starts of ')} | {numbers} |")
    return "\n".join(lines) + "\n"


_FACTS = ("onsets", "on the kick", "backbeat", "as the song", "new", "distinct")


def _answers_table(found: Mapping[str, Any]) -> str:
    rows = {title: found[f"row-{name}"] for name, title in ROWS.items() if f"row-{name}" in found}
    runs = list(_of(found, "answer-").values())
    if runs:
        rows[f"agents of {len(runs)} seeds"] = _mean_row([run["agent"] for run in runs])
        rows["what their critics ask for, drawn exactly"] = _mean_row([run["exact"] for run in runs])
    if not rows:
        return ""
    heads = ("C2ST", "trees", "MLP", *_FACTS)
    lines = ["| answers | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for title, each in rows.items():
        spread = f" ± {np.std(each['draws']):.3f}" if len(each["draws"]) > 1 else ""
        cells = [f"{each['c2st']:.3f}{spread}", f"{each['trees']:.3f}", f"{each['mlp']:.3f}"]
        cells += [f"{each[name]:.2f}" if name in each else "" for name in _FACTS]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if runs:
        own, reference = (np.mean([run[name] for run in runs]) for name in ("nats", "nats of the reference"))
        lines += ["", f"Nats a line of the songs' own answers: model of answers {reference:.3f}, agents {own:.3f}."]
    return "\n".join(lines) + "\n"


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for name in rows[0] if name not in ("draws", "c2st")]
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    return means | {"c2st": max(means["trees"], means["mlp"]), "draws": [row["c2st"] for row in rows]}


def draw_figures(jobs: Sequence[Job], folder: Path) -> None:
    """The scenarios, and the average and the delta of the training episodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = {job.name: json.loads(job.path.read_text(encoding="utf-8")) for job in jobs if job.path.exists()}
    folder.mkdir(parents=True, exist_ok=True)
    published_runs, with_no_op = (list(_of(found, f"published-{kind}-").values()) for kind in ("no", "op"))
    if not published_runs:
        return
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
    for axis, name in zip(axes, ("best", "worst"), strict=True):
        for runs, colour, label in (
            (with_no_op, "tab:orange", "with a no-op"),
            (published_runs, "tab:blue", "without, as published"),
        ):
            for number, run in enumerate(runs):
                axis.plot(run[name], color=colour, alpha=0.6, marker=".", label=label if number == 0 else None)
        axis.set(title=f"{name} start", xlabel="move", ylim=(-1.1, 1.1))
    axes[0].set_ylabel("score")
    axes[1].legend(loc="lower right", frameon=False)
    figure.savefig(folder / "halmoy-scenarios.png", dpi=100)
    plt.close(figure)
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
    for axis, name in zip(axes, ("average", "delta"), strict=True):
        for run in published_runs:
            axis.plot(run["episodes"][name], ".", color="tab:blue", alpha=0.15, markersize=3)
        mean = np.mean(
            [
                run["episodes"][name][: min(len(each["episodes"][name]) for each in published_runs)]
                for run in published_runs
            ],
            0,
        )
        smooth = np.convolve(mean, np.ones(15) / 15, "valid") if len(mean) >= 15 else mean
        axis.plot(np.arange(len(smooth)) + len(mean) - len(smooth), smooth, color="tab:red")
        axis.set(title=f"{name} of the score", xlabel="training episode")
    figure.savefig(folder / "halmoy-lesson.png", dpi=100)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="CORPUS")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of every training (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (%(default)s)")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs to report on (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="beginnings of the names of jobs (all)")
    parser.add_argument("--figures", type=Path, default=None, metavar="DIR", help="folder for the figures (none)")
    parser.add_argument("--quick", action="store_true", help="everything in a tiny form")
    options = parser.parse_args(arguments)
    names = [
        *(f"live-{variant}" for variant in LIVE_VARIANTS),  # what takes longest first
        *(f"answer-{seed}" for seed in range(options.seeds)),
        *(f"row-{name}" for name in ("prior", "gan")),
        *(f"published-{kind}-{seed}" for kind in ("no", "op", "delta") for seed in range(options.seeds)),
        *(f"row-{name}" for name in ROWS if name not in ("prior", "gan")),
        "live-bundled",
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [Job(name, options.data, options.out, options.split, options.quick) for name in names]
    todo = [job for job in jobs if not job.path.exists() and any(job.name.startswith(name) for name in options.only)]
    failed = 0
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(work, job) for job in todo]):
            try:
                print(f"{time.strftime('%H:%M:%S')} {future.result()}", file=sys.stderr, flush=True)
            except Exception as error:  # the other jobs go on
                failed += 1
                print(f"failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    tables = (
        report(jobs) + f"\n{options.split} songs of {options.data.name}; {options.seeds} seeds; {platform.machine()}\n"
    )
    write_whole(options.out / "halmoy.md", tables.encode())
    print(tables, end="")
    if options.figures:
        draw_figures(jobs, options.figures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
