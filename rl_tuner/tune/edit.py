"""The agent that edits the next bar: environment, reward, network and training, put together."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars
from rhythmgan.data import Corpus, digest
from rhythmgan.kit import JAKI5
from rhythmgan.models.catalogue import load_generator, load_next_bar_model
from rhythmgan.models.interfaces import NextBarModel, check_compatible
from rl_tuner.config import EDIT_AGENT, DQNConfig, EditEnvConfig
from rl_tuner.dqn import DQN
from rl_tuner.edit.agent import EditAgent, EditAgentConfig, save_edit_agent
from rl_tuner.edit.edits import STEPS, values_of
from rl_tuner.edit.levels import LEVELS
from rl_tuner.envs.edit import EditEnv, EditVectorEnv
from rl_tuner.training import Progress, Run

WEIGHTS = "edit-agent.safetensors"

MAX_PAIRS = 20_000
"""Bars whose next one is edited in training, at most."""

LEVELS_FOR_EACH = 3
"""Episodes with a combination of levels for each one with the features of a song's bar."""


def level_combinations() -> Tensor:
    """All combinations of jaki's levels, (81, 4): cymbals, drums, syncopation, repetition."""
    return torch.tensor(list(itertools.product(*(levels.values() for levels in LEVELS.values()))))


def pairs_of(corpus: Corpus, n: int = MAX_PAIRS, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring bars of songs, each song's distinct pairs: n of them at most, drawn without order.

    Args:
        corpus: bars of ``jaki5`` on 16 steps, in the order of their songs.
        n: pairs at most.
        seed: of the draw.

    Returns:
        The first bars and those that follow them, (m, 16, 5) bool each, and their songs (m,).

    Raises:
        ValueError: there are none, or the bars are of another kit or grid.
    """
    if (corpus.kit, corpus.steps) != (JAKI5, STEPS):
        raise ValueError(
            f"expected bars of kit {JAKI5.name} and {STEPS} steps; these are {corpus.kit.name} and {corpus.steps}"
        )
    previous, following, _ = corpus.pairs()
    if not len(previous):
        raise ValueError("the songs have no bars that follow one another")
    rows = np.random.default_rng(seed).permutation(len(previous))[:n]
    first, second = (words_to_bars(words[rows], JAKI5.n_parts) for words in (previous, following.words))
    return first, second, following.song_id[rows]


def train_edit_agent(
    model: NextBarModel,
    corpus: Corpus,
    out: str | Path,
    training: DQNConfig | None = None,
    env: EditEnvConfig | None = None,
    *,
    width: int = EditAgentConfig.width,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Learn to edit the bars that a model expects to follow; resume a run in ``out`` that was stopped.

    Most of what is asked for are combinations of jaki's levels, the rest features that songs' bars have together.
    Writes into ``out``: ``edit-agent.safetensors`` and what ``Run`` writes.

    Args:
        model: of the next bar.
        corpus: training bars, whose neighbours give bars to go on from and targets; see ``pairs_of``.
        out: a folder, created if missing.
        training: how to learn; as the bundled agent did by default.
        env: what it learns on.
        width: units of the first layer of the Q-network.
        device: where it learns.
        progress: hears how far it is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or the corpus has no pairs.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, env = training or EDIT_AGENT, env or EditEnvConfig()
    check_compatible(model, JAKI5, STEPS, "the model of the next bar")
    first, second, _ = pairs_of(corpus)
    log_probs = model.word_log_prob(first)
    levels = level_combinations()
    played = values_of(_words(second))
    targets = torch.cat([levels.repeat(max(1, LEVELS_FOR_EACH * len(played) // len(levels)), 1), played])
    config = EditAgentConfig(model.fingerprint, env.edits, width)
    with Run(
        out,
        {
            "model": "edit-agent",
            "pairs": digest(first, second),
            "agent": asdict(config),
            "env": asdict(env),
            "training": asdict(training),
        },
    ) as run:
        envs = EditVectorEnv(log_probs, targets, env.num_envs, env.edits, env.skipped, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            agent = EditAgent(config)
        dqn = DQN(envs, training, agent.network, mask=envs.mask, device=device)

        def save(facts: dict[str, str]) -> None:
            # the target network is the average of the last online ones, and steadier
            shipped = EditAgent(config)
            shipped.network.load_state_dict(dqn.target_network.state_dict())
            save_edit_agent(run.out / WEIGHTS, shipped, {**facts, "trained_pairs": str(len(first))})

        run.train(dqn, save, progress)
    return run.out / WEIGHTS


def _words(bars: np.ndarray) -> Tensor:
    """(n, 16, 5) bool → (n, 16) ints, as a tensor."""
    return torch.from_numpy(bars_to_words(bars).astype(np.int64))


_BARS = 512
"""Bars of the bundled GAN that are gone on from where none are given."""


def bundled_log_probs() -> Tensor:
    """What the bundled model of the next bar expects after bars of the bundled GAN, (512, 16, 32)."""
    generator = load_generator()
    bars = fold_bars(generator.sample(_BARS), generator.kit, JAKI5)
    return load_next_bar_model().word_log_prob(bars)


def bundled_env(log_probs: Tensor | None = None, targets: Tensor | None = None, **options: Any) -> EditEnv:
    """``DrumEdit-v0``: an ``EditEnv``, by default of the bundled models and all combinations of jaki's levels."""
    return EditEnv(*_bundled(log_probs, targets), **options)


def bundled_vector_env(
    log_probs: Tensor | None = None, targets: Tensor | None = None, num_envs: int = 1, **options: Any
) -> EditVectorEnv:
    """``DrumEdit-v0`` as a native batch, by default of the bundled models and all combinations of jaki's levels."""
    return EditVectorEnv(*_bundled(log_probs, targets), num_envs, **options)


def _bundled(log_probs: Tensor | None, targets: Tensor | None) -> tuple[Tensor, Tensor]:
    return (
        bundled_log_probs() if log_probs is None else log_probs,
        level_combinations() if targets is None else targets,
    )
