"""Other ways to learn, on the same generator and at the same cost: what each choice is worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhythmgan.console import without_nan
from rhythmgan.data import Corpus
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood
from rl_tuner.benchmark.config import SWEEP_TRAIN_STEPS
from rl_tuner.benchmark.realism import mean_logit
from rl_tuner.config import CALLS, LATENT_AGENT, EnvConfig, shortened
from rl_tuner.latent.agent import LatentAgentConfig, load_latent_agent
from rl_tuner.scale import TARGETS
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.problem import Problem
from rl_tuner.tune.latent import targets_of, train_latent_agent

_ASKED = 1000


@dataclass(frozen=True)
class Variant:
    """A way to learn: what differs from the bundled agent's.

    Attributes:
        name: in the table.
        dqn, agent, env: other values of ``DQNConfig``, ``LatentAgentConfig``, ``EnvConfig``.
        one_target: whether the medians of density and syncopation are the only targets, in training and after it.
    """

    name: str
    dqn: Mapping[str, Any] = field(default_factory=dict)
    agent: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    one_target: bool = False


VARIANTS = (
    Variant("bundled"),
    # Ravula & Cao (2019) kept the share of random moves the same all along
    *(Variant(f"explore {share}", {"eps_start": share, "eps_end": share}) for share in (0.01, 0.05, 0.1, 0.3, 0.5)),
    *(Variant(f"discount {discount}", {"gamma": discount}) for discount in (0.5, 0.9, 0.99)),
    *(Variant(f"{n}-step", {"n_step": n}) for n in (1, 3)),
    Variant("hindsight", {"her_ratio": 0.5}),
    Variant("prioritised", {"priority_exponent": 0.6}),
    Variant("absolute reward", env={"reward": "absolute"}),
    Variant("8 calls", env={"calls": 8}),
    Variant("no weights", env={"weighted": False}),
    Variant("steps only", agent={"gains": ()}),
    Variant("aims only", agent={"step_sizes": ()}),
    Variant("one target", one_target=True),
)


def sweep(
    generator: LatentCritic,
    prior: SamplingLikelihood,
    corpus: Corpus,
    out: str | Path,
    names: Sequence[str] | None = None,
    train_steps: int = SWEEP_TRAIN_STEPS,
    log: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train each variant with the train songs' targets and see how often it succeeds with the valid songs'.

    Args:
        generator, prior: what the agents steer and are rewarded by.
        corpus: bars of songs.
        out: folder of the runs, the table and the JSON; a run that is finished is not made again.
        names: some of ``VARIANTS``; all by default.
        train_steps: transitions that each learns from.
        log: called with a line after each variant.

    Raises:
        ValueError: an unknown variant, or no bars.
    """
    known = {variant.name: variant for variant in VARIANTS}
    for name in names or ():
        if name not in known:
            raise ValueError(f"no variant is called {name!r}; there are {', '.join(known)}")
    out = make_folder(out)
    learnt = targets_of(corpus.split("train"), TARGETS)
    asked = targets_of(corpus.split("valid"), TARGETS)
    asked = asked[torch.randperm(len(asked), generator=torch.Generator().manual_seed(0))[:_ASKED]]
    median = learnt.median(0).values
    rows: list[dict[str, Any]] = []
    for variant in (known[name] for name in names or known):
        targets = median[None] if variant.one_target else learnt
        config = replace(LatentAgentConfig.of(generator), **variant.agent)
        training = shortened(replace(LATENT_AGENT, train_steps=train_steps, **variant.dqn))
        folder = out / variant.name.replace(" ", "-")
        weights = train_latent_agent(
            generator, generator, prior, targets, folder, training, config, EnvConfig(**variant.env)
        )
        agent = load_latent_agent(weights)
        goals = median[None].expand(_ASKED, -1) if variant.one_target else asked
        dynamics = agent.dynamics(generator, generator, prior)
        problem = Problem(dynamics.generator, dynamics, goals, CALLS, seed=0)
        latent_agent_search(agent, dynamics, restarts=True)(problem)
        found = problem.result()
        rows.append(
            {
                "variant": variant.name,
                "success": {calls: float(found.success_within(calls).mean()) for calls in (4, 8, 16, CALLS)},
                "calls": float(np.minimum(found.at, CALLS).mean()),
                "logit": mean_logit(generator, found.bars[found.success]),
            }
        )
        log(f"{variant.name}: {found.success_within(CALLS).mean():.3f}")
        write_whole(
            out / "sweep.json", (json.dumps(without_nan(rows), indent=1, allow_nan=False) + "\n").encode(), durable=True
        )
        write_whole(out / "sweep.md", sweep_to_markdown(rows).encode(), durable=True)
    return rows


def sweep_to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table: success within 4, 8, 16 and 32 calls in percent, mean calls, mean logit of the discriminator."""
    lines = ["| | 4 | 8 | 16 | 32 | calls | logit |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        shares = " | ".join(f"{100 * share:.1f}" for share in row["success"].values())
        lines.append(f"| {row['variant']} | {shares} | {row['calls']:.1f} | {row['logit']:.2f} |")
    return "\n".join(lines) + "\n"
