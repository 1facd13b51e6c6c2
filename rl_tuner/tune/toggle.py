"""Agents that toggle lines: their environment, reward, network and training, put together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.data import digest
from rhythmgan.models.interfaces import LineAnswers
from rhythmgan.training.schedule import update_ema
from rl_tuner.config import (
    ANSWER_AGENT,
    ANSWER_ENVS,
    PUBLISHED_TOGGLE,
    DQNConfig,
    PairCriticConfig,
    ToggleEnvConfig,
)
from rl_tuner.dqn import DQN
from rl_tuner.envs.toggle import Judge, ToggleEnv, ToggleVectorEnv, vector_env
from rl_tuner.toggle.agent import (
    AnswerAgent,
    AnswerAgentConfig,
    PairCritic,
    draw_answers,
    load_answer_agent,
    save_answer_agent,
)
from rl_tuner.toggle.lines import parse_line, stretched
from rl_tuner.toggle.toggler import ToggleAgent, ToggleAgentConfig, save_toggle_agent
from rl_tuner.training import Progress, Run

TOGGLE_WEIGHTS = "toggle-agent.safetensors"
ANSWER_WEIGHTS = "answer-agent.safetensors"

_WITH_CRITIC = "critic.safetensors"
"""The agent of a run before it has learnt: its critic is what it is rewarded by."""

_EVERY = 100
"""Gradient steps of the critic from one look at the validation songs to the next."""


def train_toggle_agent(
    out: str | Path,
    training: DQNConfig | None = None,
    env: ToggleEnvConfig | None = None,
    width: int = ToggleAgentConfig.width,
    *,
    progress: Progress | None = None,
) -> Path:
    """Learn to toggle lines, or resume a run in ``out`` that was stopped.

    Writes into ``out``: ``toggle-agent.safetensors`` and what ``Run`` writes.

    Args:
        out: a folder, created if missing.
        training: how to learn; as published by default.
        env: what it learns on; as published by default.
        width: units of each layer of the Q-network.
        progress: hears how far it is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or an option does not fit.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, env = training or PUBLISHED_TOGGLE, env or ToggleEnvConfig()
    agent, dqn = toggle_learner(training, env, width)
    config = asdict(agent.config)
    with Run(out, {"model": "toggle agent", "agent": config, "env": asdict(env), "training": asdict(training)}) as run:
        path = run.out / TOGGLE_WEIGHTS

        def save(facts: dict[str, str]) -> None:
            # the target network is the average of the last online ones, and steadier
            agent.network.load_state_dict(dqn.target_network.state_dict())
            save_toggle_agent(path, agent, facts)

        run.train(dqn, save, progress)
    return path


def toggle_learner(
    training: DQNConfig, env: ToggleEnvConfig, width: int = ToggleAgentConfig.width
) -> tuple[ToggleAgent, DQN]:
    """An agent that toggles lines, and what learns for it; see ``train_toggle_agent``.

    Raises:
        ValueError: an option does not fit.
    """
    config = ToggleAgentConfig(env.resolution, env.n_lines, env.no_op, env.terms, env.gains, width)
    options = asdict(env)
    text = options.pop("given")
    given = stretched(parse_line(text)[None], env.resolution) if text else None
    envs = ToggleVectorEnv(given=given, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        agent = ToggleAgent(config)
    return agent, DQN(envs, training, copy.deepcopy(agent.network), mask=envs.mask)


def train_answer_agent(
    reference: LineAnswers,
    pairs: np.ndarray,
    validation: np.ndarray,
    out: str | Path,
    training: DQNConfig | None = None,
    critic: PairCriticConfig | None = None,
    num_envs: int = ANSWER_ENVS,
    width: int = AnswerAgentConfig.width,
    *,
    progress: Progress | None = None,
) -> Path:
    """Teach a critic which pairs of lines are songs', then an agent to answer so that it takes its pairs for songs'.

    The reward of an answer is the critic's logit, a nat of leaving the reference costs ``training.temperature``. At 1,
    with a critic that knows the ratio of both chances, the best an agent can do is to draw answers as songs have them.
    Writes into ``out``: ``answer-agent.safetensors`` and what ``Run`` writes.

    Args:
        reference: whose answers it improves.
        pairs: (n, 2, steps) bool, of songs, the given line first.
        validation: (m, 2, steps) bool, of other songs: they say which of the critic's weights are kept.
        out: a folder, created if missing.
        training: how the agent learns; as the bundled one did by default.
        critic: how the critic does.
        num_envs: environments at once.
        width: units of each layer of the Q-network.
        progress: hears how far the agent is.

    Returns:
        The path of the weights.

    Raises:
        ValueError: ``out`` holds another run or a damaged one, or pairs of another length.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training, critic = training or ANSWER_AGENT, critic or PairCriticConfig()
    for each in (pairs, validation):
        if each.dtype != bool or each.ndim != 3 or each.shape[1:] != (2, reference.steps) or not len(each):
            raise ValueError(f"expected pairs (n, 2, {reference.steps}) bool; got {each.dtype} {each.shape}")
    config = AnswerAgentConfig(reference.fingerprint, reference.steps, training.temperature, width)
    with Run(
        out,
        {
            "model": "answer agent",
            "pairs": digest(pairs, validation),
            "agent": asdict(config),
            "critic": asdict(critic),
            "envs": num_envs,
            "training": asdict(training),
        },
    ) as run:
        path, before = run.out / ANSWER_WEIGHTS, run.out / _WITH_CRITIC
        agent = untaught_answers(reference, training, width)
        if run.resumes:  # with the very critic that it began with
            agent.critic = load_answer_agent(before, reference).critic
        else:
            agent.critic = train_critic(reference, pairs, validation, critic, config.critic_width)
            save_answer_agent(before, agent, {})
        dqn = answer_learner(agent, pairs[:, 0], training, num_envs)

        def save(facts: dict[str, str]) -> None:
            # the target network is the average of the last online ones, and steadier
            agent.network.load_state_dict(dqn.target_network.state_dict())
            save_answer_agent(path, agent, {**facts, "trained_pairs": str(len(pairs))})

        run.train(dqn, save, progress)
    return path


def untaught_answers(reference: LineAnswers, training: DQNConfig, width: int = AnswerAgentConfig.width) -> AnswerAgent:
    """An agent that answers as its reference, with a critic that knows nothing."""
    config = AnswerAgentConfig(reference.fingerprint, reference.steps, training.temperature, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        return AnswerAgent(config, reference)


def answer_learner(agent: AnswerAgent, given: np.ndarray, training: DQNConfig, num_envs: int = ANSWER_ENVS) -> DQN:
    """What learns for an agent to answer lines (n, steps) bool as its critic likes it; see ``train_answer_agent``."""
    envs = answer_envs(agent.reference, given, agent.critic, num_envs)
    return DQN(envs, training, copy.deepcopy(agent.network), mask=envs.mask, reference=reference_of(agent.reference))


def answer_envs(reference: LineAnswers, given: np.ndarray, critic: PairCritic, num_envs: int) -> ToggleVectorEnv:
    """Environments in which lines are answered from left to right, and a critic judges the pairs.

    Args:
        reference: whose answers are improved.
        given: (n, steps) bool, lines to answer.
        critic: it.
        num_envs: episodes at once.
    """
    return ToggleVectorEnv(
        reference.steps,
        rightward=True,
        reward="final",
        terms=(),
        given=np.ascontiguousarray(given),
        judge=judge_of(critic),
        num_envs=num_envs,
    )


def judge_of(critic: PairCritic) -> Judge:
    """A critic as what else lines are rewarded for."""

    @torch.no_grad()
    def judge(given: Tensor, lines: Tensor) -> Tensor:
        logits: Tensor = critic(given, lines[:, 0])
        return logits

    return judge


def reference_of(model: LineAnswers) -> Callable[[Tensor], Tensor]:
    """A model's log-chances of what comes next as those of actions, of observations of ``answer_envs``."""
    steps = model.steps

    def reference(observations: Tensor) -> Tensor:
        return model.next_log_prob(observations[:, :steps] > 0.5, observations[:, steps : 2 * steps] > 0.5)

    return reference


def train_critic(
    reference: LineAnswers, pairs: np.ndarray, validation: np.ndarray, config: PairCriticConfig, width: int
) -> PairCritic:
    """A critic of pairs of lines that knows songs' from those that a model answers; see ``train_answer_agent``.

    Its weights are averaged; those are kept with which the validation songs' pairs and answers to their lines were told
    apart best, by cross-entropy.
    """
    random = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        critic = PairCritic(reference.steps, width).train()
        sides = [_real_and_made(reference, each, config) for each in (pairs, validation)]
        (real, made), others = sides
        ema = copy.deepcopy(critic).eval().requires_grad_(False)
        best, least = copy.deepcopy(ema), float("inf")
        optimizer = torch.optim.AdamW(critic.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        for step in range(1, config.train_steps + 1):
            rows = [torch.randint(len(each), (config.batch_size,), generator=random) for each in (real, made)]
            loss = _cross_entropy(critic, real[rows[0]], made[rows[1]])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            update_ema(ema, critic, 0.99)
            if step % _EVERY == 0 or step == config.train_steps:
                entropy = float(_cross_entropy(ema, *others))
                if entropy < least:
                    least = entropy
                    best.load_state_dict(ema.state_dict())
    return best


def _real_and_made(model: LineAnswers, pairs: np.ndarray, config: PairCriticConfig) -> tuple[Tensor, Tensor]:
    """Pairs (n, 2, steps) bool of songs, and some answers of a model to each of their lines."""
    given = np.repeat(pairs[:, 0], config.answers, 0)
    seeds = np.arange(len(given)) + (config.seed << 32)
    answers = draw_answers(model, given, seeds)
    return torch.from_numpy(pairs), torch.from_numpy(np.stack([given, answers], 1))


def _cross_entropy(critic: PairCritic, real: Tensor, made: Tensor) -> Tensor:
    """Nats a pair, each kind counting the same."""
    of_real, of_made = critic(*real.unbind(1)), critic(*made.unbind(1))
    return (F.softplus(-of_real).mean() + F.softplus(of_made).mean()) / 2


def bundled_env(**options: Any) -> ToggleEnv:
    """``DrumToggle-v0``: a ``ToggleEnv``."""
    return ToggleEnv(**options)


def bundled_vector_env(**options: Any) -> ToggleVectorEnv:
    """``DrumToggle-v0`` as a native batch."""
    return vector_env(**options)
