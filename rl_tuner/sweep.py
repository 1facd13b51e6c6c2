"""Other ways to learn, on the same generator and at the same cost: what each choice is worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhythmgan.data import Corpus
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood
from rl_tuner.agent import AgentConfig, load_agent
from rl_tuner.latent.space import TARGETS
from rl_tuner.protocol import mean_logit, plain
from rl_tuner.search.agent import agent_search
from rl_tuner.search.problem import Problem
from rl_tuner.tune.latent import BUNDLED, EnvConfig, shortened, targets_of, train_agent

CALLS = 32
STEPS = 400_000

_JUDGED = 1000


@dataclass(frozen=True)
class Variant:
    """A way to learn: what differs from the bundled agent's.

    Attributes:
        name: in the table.
        recipe, config, walking: other values of ``DQNConfig``, ``AgentConfig``, ``EnvConfig``.
        one_target: whether there is but one pair of targets, the medians, to learn and to be asked for.
    """

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    walking: Mapping[str, Any] = field(default_factory=dict)
    one_target: bool = False


VARIANTS = (
    Variant("bundled"),
    # Ravula & Cao (2019) kept the share of random moves the same all along
    *(Variant(f"explore {share}", {"eps_start": share, "eps_end": share}) for share in (0.01, 0.05, 0.1, 0.3, 0.5)),
    *(Variant(f"discount {discount}", {"gamma": discount}) for discount in (0.5, 0.9, 0.99)),
    *(Variant(f"{n}-step", {"n_step": n}) for n in (1, 3)),
    Variant("hindsight", {"her_ratio": 0.5}),
    Variant("prioritised", {"priority_exponent": 0.6}),
    Variant("absolute reward", walking={"reward": "absolute"}),
    Variant("8 calls", walking={"calls": 8}),
    Variant("no weights", walking={"weighted": False}),
    Variant("steps only", config={"gains": ()}),
    Variant("aims only", config={"step_sizes": ()}),
    Variant("one target", one_target=True),
)


def sweep(
    gan: LatentCritic,
    prior: SamplingLikelihood,
    corpus: Corpus,
    out: str | Path,
    names: Sequence[str] | None = None,
    steps: int = STEPS,
    tell: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train each variant with the train songs' targets and see how often it succeeds with the valid songs'.

    Args:
        gan, prior: what the agents steer and are rewarded by.
        corpus: bars of songs.
        out: folder of the runs, the table and the JSON; a run that is finished is not made again.
        names: some of ``VARIANTS``; all by default.
        steps: moves that each learns from.
        tell: hears what is being done.

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
    asked = asked[torch.randperm(len(asked), generator=torch.Generator().manual_seed(0))[:_JUDGED]]
    median = learnt.median(0).values
    rows: list[dict[str, Any]] = []
    for variant in (known[name] for name in names or known):
        targets = median[None] if variant.one_target else learnt
        config = replace(AgentConfig(gan.fingerprint, gan.latent_dim), **variant.config)
        recipe = shortened(replace(BUNDLED, train_steps=steps, **variant.recipe))
        folder = out / variant.name.replace(" ", "-")
        weights = train_agent(gan, gan, prior, targets, folder, recipe, config, EnvConfig(**variant.walking))
        agent = load_agent(weights)
        goals = median[None].expand(_JUDGED, -1) if variant.one_target else asked
        problem = Problem(agent.dynamics(gan, gan, prior), goals, CALLS, seed=0)
        agent_search(agent, restarts=True)(problem)
        found = problem.result()
        rows.append(
            {
                "variant": variant.name,
                "success": {calls: float(found.success_within(calls).mean()) for calls in (4, 8, 16, CALLS)},
                "calls": float(np.minimum(found.at, CALLS).mean()),
                "logit": mean_logit(gan, found.bars[found.success]),
            }
        )
        tell(f"{variant.name}: {found.success_within(CALLS).mean():.3f}")
        write_whole(out / "sweep.json", (json.dumps(plain(rows), indent=1, allow_nan=False) + "\n").encode())
        write_whole(out / "sweep.md", sweep_to_markdown(rows).encode())
    return rows


def sweep_to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table: success within 4, 8, 16 and 32 calls in percent, mean calls, mean logit of the discriminator."""
    lines = ["| | 4 | 8 | 16 | 32 | calls | logit |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        shares = " | ".join(f"{100 * share:.1f}" for share in row["success"].values())
        lines.append(f"| {row['variant']} | {shares} | {row['calls']:.1f} | {row['logit']:.2f} |")
    return "\n".join(lines) + "\n"
