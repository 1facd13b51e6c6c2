"""The agent that appends notes: its environment, rewards, network and training, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.data import digest
from rhythmgan.loops import BARS, NoteLoops, windows
from rhythmgan.models.catalogue import load_note_model
from rhythmgan.models.interfaces import NoteModel
from rl_tuner.append.agent import AppendAgent, AppendAgentConfig, save_append_agent
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.critic import critic_term, logits_of, train_loop_critic
from rl_tuner.append.network import LoopNetwork, without_values
from rl_tuner.append.percussion import fit_coefs, percussion_terms, totals
from rl_tuner.config import (
    APPEND_AGENT,
    APPEND_PUBLISHED_ENV,
    AppendConfig,
    DQNConfig,
    LoopCriticConfig,
)
from rl_tuner.dqn import DQN
from rl_tuner.envs.append import AppendEnv, AppendVectorEnv, Term
from rl_tuner.training import Progress, Run

WEIGHTS = "append-agent.safetensors"

_DRAWN_SEEDS = 1 << 32
"""Seeds of the loops that a critic learns from begin here, a seed of training after the other."""


@dataclass(frozen=True, eq=False)
class LoopReward:
    """What notes are rewarded by: terms of the newest note, and the coefficient of each.

    Attributes:
        terms: by name, see ``envs.append.Term``.
        coefs: of each.
        critic: of loops, where it counts.
    """

    terms: dict[str, Term]
    coefs: dict[str, float]
    critic: LoopNetwork | None


def log_prob_term(cnn: NoteModel) -> Term:
    """The reward of Ravula and Cao: the log-probability of the newest note by the CNN, nats."""
    symbols = Alphabet.of_notes(cnn.kit).symbols

    def term(notes: Tensor) -> Tensor:
        seen = windows(notes[:, :-1], symbols, BARS * cnn.steps)
        return cnn(seen).log_softmax(1).gather(1, notes[:, -1:])[:, 0]

    return term


def learn_reward(
    cnn: NoteModel,
    loops: NoteLoops,
    validation: NoteLoops,
    config: AppendConfig,
    critic: LoopCriticConfig | None = None,
    drawn: tuple[Tensor, Tensor] | None = None,
    trained: LoopNetwork | None = None,
) -> LoopReward:
    """What the config rewards notes by: a critic is trained, and coefficients are fitted, where they count.

    Args:
        cnn: the model that the agent is started from.
        loops: of the training songs.
        validation: loops of other songs, which say when the critic is best.
        config: what counts.
        critic: how the critic is trained.
        drawn: loops of the CNN, ``draw_for_critic`` of the loops and of the validation's; they are drawn by default.
        trained: a critic that is trained already.
    """
    critic = critic or LoopCriticConfig()
    alphabet, n_given = Alphabet.of_notes(cnn.kit), cnn.n_given
    terms: dict[str, Term] = {}
    coefs: dict[str, float] = {}
    if config.log_prob:
        terms["log_prob"], coefs["log_prob"] = log_prob_term(cnn), config.log_prob
    if not (config.critic or config.percussion):
        return LoopReward(terms, coefs, None)
    real, held_out = (torch.from_numpy(each.notes.astype(np.int64)) for each in (loops, validation))
    ours, ours_held_out = drawn or (draw_for_critic(cnn, loops, critic), draw_for_critic(cnn, validation, critic))
    weights = None
    if config.critic:
        if trained is None:
            trained = train_loop_critic(real, ours, (held_out, ours_held_out), alphabet, n_given, critic)
        terms["critic"] = critic_term(trained, alphabet.symbols, n_given)
        coefs["critic"] = config.critic
        weights = config.critic * logits_of(trained, ours, alphabet.symbols)
    if config.percussion:
        percussion = percussion_terms(cnn.kit, cnn.steps)
        found = fit_coefs(totals(percussion, real, n_given), totals(percussion, ours, n_given), weights)
        terms |= percussion
        fitted = dict(zip(percussion, found.tolist(), strict=True))
        fitted["repeat"] += config.repeat_cost
        coefs |= {name: config.percussion * coef for name, coef in fitted.items()}
    return LoopReward(terms, coefs, trained if config.critic else None)


def draw_for_critic(cnn: NoteModel, loops: NoteLoops, config: LoopCriticConfig) -> Tensor:
    """Loops of the CNN that begin as those of songs do, ``config.n_drawn`` for each: (m, length) ints."""
    n = len(loops) * config.n_drawn
    given = np.tile(loops.notes[:, : cnn.n_given], (config.n_drawn, 1))
    seeds = np.arange(n, dtype=np.uint64) + np.uint64(_DRAWN_SEEDS * (1 + config.seed % (1 << 20)))
    return torch.from_numpy(cnn.complete(given, seeds).astype(np.int64))


def append_learner(
    cnn: NoteModel, loops: NoteLoops, reward: LoopReward, training: DQNConfig, config: AppendConfig
) -> DQN:
    """A DQN that starts as the CNN, on loops that begin as those of songs do.

    With a temperature the CNN is the reference and the values of a network of its own begin at 0; without one the
    network is a copy of the CNN, as published.
    """
    alphabet = Alphabet.of_notes(cnn.kit)
    envs = AppendVectorEnv(
        alphabet,
        loops.notes[:, : cnn.n_given],
        reward.terms,
        reward.coefs,
        cnn,
        steps=cnn.steps,
        num_envs=config.num_envs,
    )
    training = replace(training, eps_start=config.eps, eps_end=config.eps)
    network = _network(cnn, training, config)
    return DQN(envs, training, network, reference=envs.reference if training.temperature else None)


def _network(cnn: NoteModel, training: DQNConfig, config: AppendConfig) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        agent = AppendAgent(_agent_config(cnn, training, config), cnn)
    network = agent.network
    return without_values(network) if isinstance(network, LoopNetwork) else network


def _agent_config(cnn: NoteModel, training: DQNConfig, config: AppendConfig) -> AppendAgentConfig:
    is_copy = not training.temperature
    return AppendAgentConfig(cnn.fingerprint, training.temperature, 0 if is_copy else config.width)


def taught_agent(learner: DQN, cnn: NoteModel, config: AppendConfig) -> AppendAgent:
    """The agent that a learner has become: as published its online network, otherwise the target network.

    The target network is a mean of the last online ones, and steadier; as published it lags thousands of steps behind.
    """
    agent = AppendAgent(_agent_config(cnn, learner.config, config), cnn)
    learnt = learner.target_network if learner.config.temperature else learner.network
    agent.network.load_state_dict(learnt.state_dict())
    return agent.eval().requires_grad_(False)


def train_append_agent(
    cnn: NoteModel,
    loops: NoteLoops,
    validation: NoteLoops,
    out: str | Path,
    training: DQNConfig | None = None,
    config: AppendConfig | None = None,
    critic: LoopCriticConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Path:
    """Train an agent that appends notes; resume a run in ``out`` that was stopped.

    Writes into ``out``: ``append-agent.safetensors`` and what ``Run`` writes. The critic is trained again on resuming,
    to the same weights.

    Args:
        cnn: the model that it is started from.
        loops: of the training songs.
        validation: loops of other songs, which say when the critic is best.
        out: a folder, created if missing.
        training: how to learn; as the bundled agent did by default.
        config: on what, and by which rewards.
        critic: how the critic is trained.
        progress: hears how far it is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or the loops do not fit the model.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, config, critic = training or APPEND_AGENT, config or AppendConfig(), critic or LoopCriticConfig()
    for each in (loops, validation):
        if (each.kit, each.notes.shape[1]) != (cnn.kit, BARS * cnn.steps):
            raise ValueError(f"the loops are of kit {each.kit.name}, the model of {cnn.kit.name}, or of another grid")
    described = {
        "model": "append-agent",
        "cnn": cnn.fingerprint,
        "data": digest(loops.notes, loops.song, validation.notes, validation.song),
        "training": asdict(training),
        "env": asdict(config),
        "critic": asdict(critic),
    }
    with Run(out, described) as run:
        reward = learn_reward(cnn, loops, validation, config, critic)
        learner = append_learner(cnn, loops, reward, training, config)
        path = run.out / WEIGHTS
        facts = {
            "trained_loops": str(len(loops)),
            "trained_songs": str(len(np.unique(loops.song))),
            **{f"coef_{name}": f"{coef:.4f}" for name, coef in reward.coefs.items()},
        }

        def save(provenance: dict[str, str]) -> None:
            save_append_agent(path, taught_agent(learner, cnn, config), {**facts, **provenance})

        run.train(learner, save, progress)
    return path


# --- Gymnasium's names -------------------------------------------------------------------------------


def _bundled(terms: Mapping[str, Term] | None, options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the environment of the bundled CNN, rewarded as published by default."""
    cnn = load_note_model()
    reward = {"log_prob": log_prob_term(cnn)} if terms is None else dict(terms)
    own = {"alphabet": Alphabet.of_notes(cnn.kit), "terms": reward, "known": cnn, "steps": cnn.steps}
    openings, chances = cnn.known_openings()
    return {"openings": openings, "chances": chances} | own | options


def bundled_env(terms: Mapping[str, Term] | None = None, **options: Any) -> AppendEnv:
    """``DrumAppend-v0``: an ``AppendEnv``, by default of the bundled CNN and rewarded as published."""
    return AppendEnv(**_bundled(terms, options))


def bundled_vector_env(terms: Mapping[str, Term] | None = None, **options: Any) -> AppendVectorEnv:
    """``DrumAppend-v0`` as a native batch, likewise."""
    return AppendVectorEnv(**{"num_envs": APPEND_PUBLISHED_ENV.num_envs} | _bundled(terms, options))
