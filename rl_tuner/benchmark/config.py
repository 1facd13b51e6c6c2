"""How much a benchmark measures: what help texts read their defaults from, so nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field

from rl_tuner.config import CALLS, ReadOutConfig

SWEEP_TRAIN_STEPS = 400_000
"""Transitions that each variant of a sweep learns from."""


@dataclass(frozen=True)
class RealismConfig:
    """How realism is measured.

    Attributes:
        unsteered: bars of random z, among which those with the features of a steered bar are looked up.
        most_bars: bars of a row that are measured at most.
        fewest_bars: with fewer matched bars than this nothing is said.
        repeats: halves of the songs in a C2ST.
    """

    unsteered: int = 60_000
    most_bars: int = 3000
    fewest_bars: int = 200
    repeats: int = 4


@dataclass(frozen=True)
class BenchmarkConfig:
    """How much is measured.

    Attributes:
        seeds: every row is measured with each of these.
        pairs, crossed, corners, infeasible: how many targets of each family.
        calls: the budget at which rows are compared.
        short_calls: a second one, for who is in a hurry.
        max_calls: calls up to which the curves go.
        long_calls: calls of best of N, a quarter of edit search's.
        step_calls: calls up to which the curves of searches go that choose step by step: each mark is a search.
        starts: starts for each target where diversity is measured.
        shared_targets: targets of which diversity is measured.
        actor_seconds: training time of the amortised actor.
        critic_steps, prior_steps: training steps of the held-out discriminator and of the held-out prior.
        read_out: how the read-outs of searches step by step are made.
        realism: see there.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    pairs: int = 500
    crossed: int = 500
    corners: int = 200
    infeasible: int = 100
    calls: int = CALLS
    short_calls: int = 8
    max_calls: int = 256
    long_calls: int = 1024
    step_calls: int = 64
    starts: int = 32
    shared_targets: int = 50
    actor_seconds: float = 120.0
    critic_steps: int = 1500
    prior_steps: int = 1000
    read_out: ReadOutConfig = field(default_factory=ReadOutConfig)
    realism: RealismConfig = field(default_factory=RealismConfig)

    def __post_init__(self) -> None:
        if self.short_calls > self.calls:
            raise ValueError(f"the short budget has {self.calls} calls at most, not {self.short_calls}")
        for most in (self.max_calls, self.step_calls):
            if most < self.calls:
                raise ValueError(
                    f"rows are compared at {self.calls} calls: the curves go up to these at least, not to {most}"
                )

    @property
    def sizes(self) -> dict[str, int]:
        """Family → how many targets."""
        return {name: getattr(self, name) for name in ("pairs", "crossed", "corners", "infeasible")}


QUICK = BenchmarkConfig(
    seeds=(0, 1),
    pairs=100,
    crossed=100,
    corners=40,
    infeasible=20,
    max_calls=64,
    long_calls=256,
    step_calls=32,
    starts=8,
    shared_targets=10,
    actor_seconds=10.0,
    critic_steps=200,
    prior_steps=100,
    read_out=ReadOutConfig(bars=10_000, train_steps=150),
    realism=RealismConfig(repeats=2),
)
"""For a first look."""

QUICK_ROWS = (
    "best-of-n-real",
    "latent-agent",
    "particle-filter-candidates",
    "particle-filter-candidates-learned",
    "greedy-by-step",
)
"""The rows of a first look, beside those that the criteria compare."""
