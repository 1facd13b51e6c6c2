"""How far simple policies come on StepwiseDrums-v0, and how fast it is beside LatentDrums-v0.

    python benchmarks/stepwise_env.py [corpus.npz]

The first table asks for pairs of features of the validation songs' bars, drawn together and crossed; the second one for
changes of such bars, with nothing else asked: what an agent has to beat. The bundled agent is in both, and decides each
bar alone. Without a corpus, all bars are textbook bars.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Split
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.patterns import load_patterns
from rl_tuner.agent import Agent, load_agent
from rl_tuner.config import REALISM
from rl_tuner.envs.episodes import GoalVectorEnv
from rl_tuner.envs.latent import vector_env as latent_env
from rl_tuner.envs.stepwise import StepwiseVectorEnv, vector_env
from rl_tuner.goals import Goals
from rl_tuner.scale import values_of
from rl_tuner.stepwise.dynamics import StepwiseDynamics
from rl_tuner.tune import latent

N = 500
WISHES = (("+4 onsets", 0, 4), ("-4 onsets", 0, -4), ("+3 syncopation", 1, 3))
CANDIDATES = (4, 8, 16, 64)
PER_CELL = (0.0, 1.0, 2.0, 4.0)
"""Nats that a changed cell is charged for by policies that stay close."""

Entries = dict[str, Tensor]
Policy = Callable[[Entries, Entries, torch.Generator], Tensor]
"""What an episode sees, and what it sees of each candidate, by name → the candidates (n,) that it takes."""


def first_fresh(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
    """The first candidate that is drawn from N(0, I): plain sampling."""
    return ((each["keeps"] + each["edits"])[..., 0] == 0).int().argmax(1)


def first(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
    """Candidate 0: the given bar."""
    return torch.zeros(len(each["keeps"]), dtype=torch.long)


def best_chance(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
    """The candidate that is likeliest to lead to the targets."""
    return each["log chance"][..., 0].argmax(1)


def by_chance(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
    """A candidate drawn by its chance to lead to the targets."""
    return _drawn(10 * each["log chance"][..., 0], random)


def staying_close(per_cell: float, greedy: bool = False) -> Policy:
    """A candidate by its chance to lead to the targets if the rest stays as given or nearly so, less what it changes.

    Args:
        per_cell: nats that each changed cell is charged for.
        greedy: take the best one, rather than draw.
    """

    def policy(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
        steps_left = shared["step"].shape[1] - 1 - shared["step"].argmax(1)
        std = 0.3 + 0.25 * steps_left[:, None].float()  # of what later steps may still change, in tolerances
        asked = (shared["importance"] > 0)[:, None]
        off = (10 * each["far given gaps"] * asked).square().sum(2)
        nats = -0.5 * off / std.square() - per_cell * 4 * each["changed"][..., 0]
        return nats.argmax(1) if greedy else _drawn(nats, random)

    return policy


def _drawn(nats: Tensor, random: torch.Generator) -> Tensor:
    return torch.multinomial(nats.softmax(1), 1, generator=random)[:, 0]


def drawn_by(agent: Agent, trust: float, greedy: bool = False) -> Policy:
    """What an agent chooses, see ``Agent.nats``: by its policy, or the best."""

    def policy(shared: Entries, each: Entries, random: torch.Generator) -> Tensor:
        nats = agent.nats(torch.cat([*shared.values(), torch.cat(list(each.values()), 2).flatten(1)], 1), trust)
        return nats.argmax(1) if greedy else _drawn(nats, random)

    return policy


def play(env: StepwiseVectorEnv, policy: Policy, goals: Goals, bars: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Decide a bar for each goal: what ``info`` said at the end."""
    random = torch.Generator().manual_seed(0)
    options = {"goals": goals} if bars is None else {"goals": goals, "bars": bars}
    seen, info = env.reset(seed=1, options=options)
    for _ in range(env.dynamics.generator.steps):
        actions = policy(*env.dynamics.unpack(torch.from_numpy(seen)), random)
        seen, _, _, _, info = env.step(actions.numpy())
    return info


def goals_of(targets: Tensor) -> Goals:
    return Goals.of(targets, 1)


def bars_of(path: str | None, dynamics: StepwiseDynamics, part: Split, n: int) -> np.ndarray:
    """At most n distinct bars of a part of the songs; textbook bars without a corpus."""
    steps, kit = dynamics.generator.steps, dynamics.kit
    distinct = (load_corpus(path, steps, kit).split(part) if path else load_patterns()).distinct()
    bars = words_to_bars(distinct.words, distinct.kit.n_parts)
    return bars[np.random.default_rng(0).permutation(len(bars))[:n]]


def pairs(dynamics: StepwiseDynamics, bars: np.ndarray, agents: Sequence[tuple[str, Policy]]) -> None:
    values = values_of(bars, dynamics.scale.features, dynamics.kit)
    crossed = torch.stack([values[:, 0], values[torch.randperm(len(values), generator=_seeded()), 1]], 1)
    print("| policy | pairs | exact | crossed | mean square of z | unique | calls |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    played: list[tuple[str, Policy, int]] = [("first draw", first_fresh, dynamics.n_actions)]
    for k in CANDIDATES:
        played += [(f"drawn by chance of {k}", by_chance, k), (f"best chance of {k}", best_chance, k)]
    for name, policy, k in [*played, *((name, policy, dynamics.n_actions) for name, policy in agents)]:
        env = vector_env(with_candidates(dynamics, k), num_envs=len(values), given=0.0)
        found, other = play(env, policy, goals_of(values)), play(env, policy, goals_of(crossed))
        exact = (values_of(found["bars"], dynamics.scale.features, dynamics.kit) == values).all(1).float().mean()
        unique = len(np.unique(found["bars"].reshape(len(values), -1), axis=0)) / len(values)
        print(
            f"| {name} | {found['terms']['success'].mean():.3f} | {exact:.3f} | {other['terms']['success'].mean():.3f} "
            f"| {np.square(found['z']).mean():.3f} | {unique:.3f} | {found['calls'].mean():.3f} |"
        )


def wishes(dynamics: StepwiseDynamics, bars: np.ndarray, agents: Sequence[tuple[str, Policy]]) -> None:
    values = values_of(bars, dynamics.scale.features, dynamics.kit)
    played: list[tuple[str, Policy, float]] = [
        ("given bar", first, 0.0),
        ("drawn by chance", by_chance, 0.0),
        ("best chance", best_chance, 0.0),
    ]
    played += [(f"close, {nats:g} nats a cell", staying_close(nats), 0.0) for nats in PER_CELL]
    played += [(f"close, {nats:g} nats a cell, best", staying_close(nats, True), 0.0) for nats in PER_CELL]
    played += [(f"{name}, closeness {coef:g}", policy, coef) for name, policy in agents for coef in (0.0, 0.5, 1.0)]
    print("| policy | " + " | ".join(f"{name}: reached, cells changed, z²" for name, *_ in WISHES) + " |")
    print("| --- |" + " ---: |" * len(WISHES))
    env = vector_env(dynamics, num_envs=len(values))
    for name, policy, closeness in played:
        row = []
        for _, feature, change in WISHES:
            targets, importance = values.clone(), torch.zeros_like(values)
            targets[:, feature] += change
            targets.clamp_(min=0)
            importance[:, feature] = 1
            found = play(env, policy, Goals.of(targets, 1, importance, closeness=closeness), bars)
            changed = (found["bars"] ^ bars).sum((1, 2))
            row.append(
                f"{found['terms']['success'].mean():.3f}, {np.median(changed):g} ({changed.mean():.1f}), "
                f"{np.square(found['z']).mean():.3f}"
            )
        print(f"| {name} | " + " | ".join(row) + " |")


def with_candidates(dynamics: StepwiseDynamics, k: int) -> StepwiseDynamics:
    """The same with another number of candidates."""
    models = dynamics.models
    assert models is not None
    n_changes = min(k // 2, dynamics.kit.n_parts)
    return StepwiseDynamics(
        dynamics.generator, models.critic, models.prior, dynamics.scale, dynamics.read_out, k, n_changes
    )


def rates(dynamics: StepwiseDynamics) -> None:
    """Transitions a second of both environments, in turn, so that a busy moment of the machine meets both."""
    envs = [vector_env(dynamics, num_envs=2048, given=given) for given in (0.0, 0.5)]
    other = latent_env(latent.bundled_dynamics(), num_envs=256)
    found = [[_rate(each, 17) for each in envs] + [_rate(other, 3)] for _ in range(3)]
    without, with_given, whole = np.median(found, 0)
    print(
        f"StepwiseDrums-v0 {without:,.0f} transitions/s, {with_given:,.0f} with a given bar in half of the episodes; "
        f"LatentDrums-v0 {whole:,.0f}"
    )


def _rate(env: GoalVectorEnv, steps: int) -> float:
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]
    started = time.perf_counter()
    for each in actions:
        env.step(each)
    return env.num_envs * steps / (time.perf_counter() - started)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def main() -> None:
    torch.set_num_threads(1)
    agent, gan, prior = load_agent(), load_generator(), load_likelihood()
    dynamics = agent.dynamics(gan, gan, prior)
    path = sys.argv[1] if len(sys.argv) > 1 else None
    agents = [
        ("agent", drawn_by(agent, 1 - REALISM)),
        ("agent, Q alone", drawn_by(agent, 1.0)),
        ("agent, the best by Q", drawn_by(agent, 1.0, greedy=True)),
    ]
    bars = bars_of(path, dynamics, "valid", N)
    pairs(dynamics, bars, agents)
    print()
    wishes(dynamics, bars, agents)
    print()
    rates(dynamics)


if __name__ == "__main__":
    main()
