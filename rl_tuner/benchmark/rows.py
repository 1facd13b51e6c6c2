"""The ways of steering that are measured: one list for every table. Those of an agent join it from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rhythmgan.kit import Kit
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner.agent import Agent
from rl_tuner.benchmark.config import BenchmarkConfig
from rl_tuner.benchmark.report import (
    AGENT,
    BEST_OF_N,
    FILTER,
    FILTER_OF_CANDIDATES,
    FILTER_OF_CANDIDATES_LEARNED,
    LATENT_AGENT,
    Kind,
)
from rl_tuner.config import REALISM, AgentShape
from rl_tuner.dynamics import BarScorer
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import LatentAgent
from rl_tuner.rewards import STEPWISE_TERMS, RewardModels
from rl_tuner.scale import TARGETS, find_scale, values_of
from rl_tuner.search.actor import Actor, amortised_actor, train_actor
from rl_tuner.search.agent import agent_search
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.edit import edit_search, generated
from rl_tuner.search.evolution import evolution_strategy
from rl_tuner.search.gradient import gradient_ascent
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.linear import linear_directions
from rl_tuner.search.problem import Problem, Search, SearchResult
from rl_tuner.search.random_moves import greedy_look_ahead, random_walk
from rl_tuner.search.retrieval import retrieval
from rl_tuner.search.stepwise import greedy_by_step, particle_filter, rejection_by_step
from rl_tuner.stepwise.dynamics import StepReadOut
from rl_tuner.stepwise.learned import LearnedReadOut, train_read_out
from rl_tuner.stepwise.read_out import RidgeReadOut, fit_read_out

MORE_CANDIDATES = 32
"""Those of one that looks at more."""


@dataclass(frozen=True)
class Steered:
    """What every way of steering is given: a generator, and what says what its bars are worth.

    Attributes:
        generator: under its condition.
        scorer: of its bars; the features of ``TARGETS``.
        models: the networks that the scorer asks.
    """

    generator: LatentModel
    scorer: BarScorer
    models: RewardModels

    @staticmethod
    def of(generator: LatentModel, critic: Critic, prior: Likelihood) -> Steered:
        """A generator with the networks that say whether its bars are real and likely."""
        scale = find_scale(generator, critic, prior, TARGETS)
        models = RewardModels(critic, prior, scale.calibration)
        return Steered(generator, BarScorer(generator.kit, scale, models, STEPWISE_TERMS), models)

    @property
    def kit(self) -> Kit:
        """What the parts of the bars are."""
        return self.generator.kit


@dataclass(frozen=True)
class Row:
    """A way of steering.

    Attributes:
        id: what it is known by.
        kind: what it is for.
        title: what people read in the table.
        search: what it does.
        calls: how many calls it may use; None for as many as the curves show.
        coefs: coefficients of ``Goals`` by name; those that are missing are 0.
        plans: whether it knows its budget and acts by it: then every mark of its curves is a search of its own.
        prepare: makes what it needs, once, before any time is taken.
    """

    id: str
    kind: Kind
    title: str
    search: Search
    calls: int | None = None
    coefs: Mapping[str, float] = field(default_factory=dict)
    plans: bool = False
    prepare: Callable[[], object] | None = None

    def solve(
        self, steered: Steered, targets: Tensor, calls: int, seed: int, importance: Tensor | None = None
    ) -> SearchResult:
        """The answers to targets (n, F) within so many calls each; ``importance`` (n, F) is 1 by default."""
        if self.prepare:
            self.prepare()
        goals = Goals.of(targets, calls, importance, **self.coefs)
        problem = Problem(steered.generator, steered.scorer, targets, calls, seed, goals)
        self.search(problem)
        return problem.result()


def baselines(
    steered: Steered, known: np.ndarray, config: BenchmarkConfig, latent_agent: LatentAgent | None = None
) -> list[Row]:
    """Every way of steering but the agent's.

    Args:
        steered: the generator.
        known: (m, steps, parts) bool, real bars that retrieval answers with; the actor learns from their features.
        config: how much is measured.
        latent_agent: the agent of whole-bar moves of this generator; without one the rows that need what it knows of
            the latent space are left out.

    Raises:
        ValueError: the agent of whole-bar moves steers another generator, or other features.
    """
    rows = [*_of_whole_bars(steered, known, config), *_by_step(steered, config)]
    return rows if latent_agent is None else [*rows, *_of_moves(steered, latent_agent)]


def _of_whole_bars(steered: Steered, known: np.ndarray, config: BenchmarkConfig) -> list[Row]:
    """Searches that decode whole bars and need to know nothing of the generator."""
    values = values_of(known, TARGETS, steered.kit)

    @cache
    def actor() -> Actor:
        return train_actor(steered.generator, steered.scorer.scale, values, config.actor_seconds)

    return [
        Row(BEST_OF_N, "baseline", "best of N", best_of_n, config.long_calls),
        Row(
            "best-of-n-real",
            "baseline",
            "best of N, realism counts",
            best_of_n,
            config.calls,
            coefs={"realism": REALISM, "likelihood": REALISM},
        ),
        Row("cma-es", "baseline", "CMA-ES", evolution_strategy),
        Row("gradient", "baseline", "gradient ascent", gradient_ascent),
        Row("actor", "baseline", "amortised actor", lambda problem: amortised_actor(actor())(problem), prepare=actor),
        Row("retrieval", "baseline", "retrieval of a training bar", retrieval(torch.from_numpy(known), values)),
        # it decodes one bar and evaluates others: in the same time it sees many more
        Row("edit", "baseline", "edit search", edit_search(generated), 4 * config.long_calls),
    ]


def _by_step(steered: Steered, config: BenchmarkConfig) -> list[Row]:
    """Searches that choose while bars are decided, with the information that the agent has."""

    @cache
    def ridge() -> RidgeReadOut:
        return fit_read_out(steered.generator, steered.scorer.scale, config.read_out)

    @cache
    def learned() -> LearnedReadOut:
        return train_read_out(ridge(), config.read_out)

    def row(
        id: str,
        title: str,
        search: Callable[[StepReadOut], Search],
        read_out: Callable[[], StepReadOut] = ridge,
        coefs: Mapping[str, float] | None = None,
    ) -> Row:
        def solve(problem: Problem) -> None:
            search(read_out())(problem)

        return Row(id, "baseline", title, solve, config.step_calls, coefs or {}, plans=True, prepare=read_out)

    m, more = AgentShape.n_candidates, MORE_CANDIDATES

    def of_candidates(read_out: StepReadOut) -> Search:
        return particle_filter(read_out, candidates=m)

    return [
        row(FILTER, "particle filter", particle_filter),
        row("particle-filter-learned", "particle filter, learned read-out", particle_filter, learned),
        row(FILTER_OF_CANDIDATES, f"particle filter, {m} candidates", of_candidates),
        row(
            FILTER_OF_CANDIDATES_LEARNED,
            f"particle filter, {m} candidates, learned read-out",
            of_candidates,
            learned,
        ),
        row(
            "particle-filter-candidates-hasty",
            f"particle filter, {m} candidates, fairness 0",
            lambda read_out: particle_filter(read_out, 0.0, m),
        ),
        row(
            "particle-filter-candidates-real",
            f"particle filter, {m} candidates, realism counts",
            of_candidates,
            coefs={"realism": REALISM, "likelihood": REALISM},
        ),
        row("greedy-by-step", f"greedy, {m} candidates a step", lambda read_out: greedy_by_step(read_out, m)),
        row(
            "greedy-by-step-more",
            f"greedy, {more} candidates a step",
            lambda read_out: greedy_by_step(read_out, more),
        ),
        row("rejection-by-step", f"rejection, {m} candidates a step", lambda read_out: rejection_by_step(read_out, m)),
    ]


def agent_rows(steered: Steered, agent: Agent, config: BenchmarkConfig) -> list[Row]:
    """The agent, and the agent with a part left out or changed.

    Raises:
        ValueError: it steers another generator, or other features.
    """
    if agent.config.features != TARGETS:
        raise ValueError("the benchmark is one of density and syncopation, which this agent does not steer")
    dynamics = agent.dynamics(steered.generator, steered.models.critic, steered.models.prior)

    def row(
        id: str,
        title: str,
        trust: float = 1 - REALISM,
        coefs: Mapping[str, float] | None = None,
        together: bool = True,
        kind: Kind = "ablation",
    ) -> Row:
        search = agent_search(agent, dynamics, trust, together)
        coefs = {"realism": REALISM} if coefs is None else coefs
        coefs = {name: coef for name, coef in coefs.items() if name in agent.config.terms}
        most = config.step_calls if id == AGENT else config.calls
        return Row(id, kind, title, search, most, coefs, plans=True)

    return [
        row(AGENT, "agent", kind="agent"),
        row("agent-no-q", "agent without Q", 0.0),
        row("agent-no-particles", "agent, each bar decided alone", together=False),
        row("agent-no-critic", "agent without discriminator", coefs={}),
        row("agent-prior", "agent with the prior's term", coefs={"realism": REALISM, "likelihood": REALISM}),
        row("agent-realism-0", "agent, realism 0", 1.0, {}),
        row("agent-realism-1", "agent, realism 1", 0.0, {"realism": 1.0}),
    ]


def _of_moves(steered: Steered, agent: LatentAgent) -> list[Row]:
    """The agent of whole-bar moves, and others that move whole points by what it knows of the latent space."""
    if agent.config.features != TARGETS:
        raise ValueError("the benchmark is one of density and syncopation, which this agent does not steer")
    dynamics = agent.dynamics(steered.generator, steered.models.critic, steered.models.prior)
    coefs = dict.fromkeys(dynamics.terms, REALISM)
    return [
        Row("random-walk", "baseline", "random whole-bar moves", random_walk(dynamics)),
        Row("greedy", "baseline", "greedy look-ahead of whole-bar moves", greedy_look_ahead(dynamics)),
        Row("linear", "baseline", "linear directions", linear_directions(dynamics.space)),
        Row(
            LATENT_AGENT,
            "baseline",
            "agent of whole-bar moves, restarted",
            latent_agent_search(agent, dynamics, restarts=True),
            coefs=coefs,
            plans=True,
        ),
    ]
