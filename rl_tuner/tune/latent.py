"""Training an agent in a folder: kept as it goes, and gone on with where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rl_tuner.agent import Agent, AgentConfig, load_agent, save_agent
from rl_tuner.dqn import DQN, DQNConfig
from rl_tuner.envs.latent import LatentVectorEnv, Reward
from rl_tuner.latent.space import find_space, values_of

WEIGHTS = "agent.safetensors"
CHECKPOINT = "last.ckpt"
RECIPE = "recipe.json"

_SECONDS_BETWEEN = 30.0
"""How often a run is kept."""


@dataclass(frozen=True)
class EnvConfig:
    """What an agent learns on.

    Attributes:
        num_envs: environments at once.
        calls: generator calls of a walk at most.
        reward: how it is paid, see ``LatentVectorEnv``.
        weighted: whether walks give discriminator, prior and kl_coef a weight.
    """

    num_envs: int = 512
    calls: int = 64
    reward: Reward = "delta"
    weighted: bool = True


def targets_of(corpus: Corpus, features: tuple[str, ...]) -> Tensor:
    """The features of each song's distinct bars, (n, features): what to aim at.

    Raises:
        ValueError: there are no bars.
    """
    distinct = corpus.distinct()
    if not len(distinct):
        raise ValueError("there are no bars to take targets from")
    return values_of(words_to_bars(distinct.words, corpus.kit.n_parts), features, corpus.kit)


def train_agent(
    generator: LatentModel,
    critic: Critic,
    prior: Likelihood,
    targets: Tensor,
    out: str | Path,
    recipe: DQNConfig | None = None,
    config: AgentConfig | None = None,
    env: EnvConfig | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Find the generator's latent space, then learn to walk in it; go on where a run in ``out`` was stopped.

    Writes into ``out``: ``agent.safetensors``, ``last.ckpt`` (to resume), ``recipe.json`` and TensorBoard's events.
    The memory of the walks is not kept: a resumed run fills it again before it learns on.

    Args:
        generator: what it steers.
        critic: the judge of realism that it is rewarded by.
        prior: the prior that it is rewarded by.
        targets: (m, F), features of real bars, see ``targets_of``.
        out: a folder; made where missing.
        recipe: how to learn.
        config: the shape of the agent; its generator must be this one.
        env: what it learns on.
        progress: called with (transitions so far, in all, phase).

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or a feature cannot be steered.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call goes on from the last checkpoint.
    """
    from torch.utils.tensorboard import SummaryWriter

    recipe, env = recipe or BUNDLED, env or EnvConfig()
    config = config or AgentConfig(generator.fingerprint, generator.latent_dim)
    if config.generator != generator.fingerprint:
        raise ValueError("the agent's config is that of another generator")
    agent = Agent(config)
    described = {
        "model": "agent",
        "prior": prior.fingerprint,
        "targets": hashlib.sha256(targets.float().numpy().tobytes()).hexdigest()[:16],
        "config": asdict(config),
        "critic": critic.critic_fingerprint,
        "env": asdict(env),
        "recipe": asdict(recipe),
    }
    described = json.loads(json.dumps(described))
    out = make_folder(out)
    resumes = _check_same_run(out, described)
    write_whole(out / RECIPE, (json.dumps(described, indent=2) + "\n").encode())
    if resumes:  # in the very space that it began in: least squares differ in their last digits
        agent.space = load_agent(out / WEIGHTS).space
    else:
        agent.space = find_space(generator, critic, prior, config.features, config.n_directions, seed=recipe.seed)
    envs = LatentVectorEnv(
        agent.dynamics(generator, critic, prior),
        targets,
        env.num_envs,
        env.calls,
        reward=env.reward,
        weighted=env.weighted,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Agent(config).network
    dqn = DQN(envs, recipe, network, envs.relabel)
    seconds = dqn.load(out / CHECKPOINT).get("seconds", 0.0) if resumes else 0.0
    began = kept = time.perf_counter()
    logger = SummaryWriter(str(out))
    gathered: dict[str, list[float]] = {}

    def keep() -> None:
        spent = seconds + time.perf_counter() - began
        # the network that follows is the average of the last ones, and steadier
        agent.network.load_state_dict(dqn.target.state_dict())
        provenance = {
            "trained_steps": str(dqn.steps_done),
            "trained_minutes": f"{spent / 60:.1f}",
            "trained_seed": str(recipe.seed),
            "trained_targets": str(len(targets)),
        }
        save_agent(out / WEIGHTS, agent, provenance)
        dqn.save(out / CHECKPOINT, {"seconds": spent})

    def tell(done: int, logged: dict[str, float]) -> None:
        nonlocal kept
        for name, value in logged.items():
            gathered.setdefault(name, []).append(value)
        if len(gathered["reward"]) >= 50:
            for name, values in gathered.items():
                logger.add_scalar(f"agent/{name}", float(np.mean(values)), done)
            gathered.clear()
        if time.perf_counter() - kept > _SECONDS_BETWEEN:
            keep()
            kept = time.perf_counter()
        if progress:
            progress(min(done, recipe.train_steps), recipe.train_steps, "training")

    try:
        dqn.learn(tell)
    finally:  # Ctrl-C loses nothing
        logger.close()
        if dqn.steps_done:
            keep()
    return out / WEIGHTS


BUNDLED = DQNConfig(
    train_steps=3_000_000,
    gradient_steps=2,
    n_step=5,
    gamma=0.97,
    tau=0.003,
    exploration_fraction=0.3,
    buffer_size=200_000,
)
"""What the agent that ships was trained with."""


def shortened(recipe: DQNConfig) -> DQNConfig:
    """The recipe with a warm-up of a tenth of its steps at most: a short run must learn as well."""
    return replace(recipe, learning_starts=max(1, min(recipe.learning_starts, recipe.train_steps // 10)))


def _check_same_run(out: Path, described: dict[str, object]) -> bool:
    """Whether there is a run to go on with: of the same generator, data and options."""
    if not (out / CHECKPOINT).exists():
        return False
    try:
        before = dict(json.loads((out / RECIPE).read_text()))
    except (OSError, TypeError, ValueError):
        raise ValueError(f"{out} holds a checkpoint but no readable {RECIPE}: choose another folder") from None
    for name, value in described.items():
        if before.get(name) != value:
            raise ValueError(f"{out} holds a run with another {_what_differs(name, before.get(name), value)}")
    return True


def _what_differs(name: str, there: object, here: object) -> str:
    """The part of a run's description that is not the same, with both values where they are short."""
    if isinstance(there, dict) and isinstance(here, dict):
        part = next(key for key in here if there.get(key) != here[key])
        return f"{part.replace('_', ' ')} ({there.get(part)}, not {here[part]}): choose another folder"
    return f"{'set of targets' if name == 'targets' else name}: choose another folder"
