"""jaki's own search (2020): for every bar and every combination of targets a DQN of its own, begun from the LSTM."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.bars import bars_to_words
from rhythmgan.files import make_folder, write_whole
from rhythmgan.models.interfaces import NextBarModel
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN
from rl_tuner.edit.edits import nearest_levels
from rl_tuner.edit.observation import see
from rl_tuner.envs.edit import EditVectorEnv
from rl_tuner.tune.edit import level_combinations

RESULTS = "published.json"

PREDICTIONS = 50_000
"""Bars that the search looks at, at most."""

EDITS = 32
"""Edits of an episode, after which the search begins again with the LSTM's bar."""

EPISODES = 50
"""Episodes side by side."""

PUBLISHED = DQNConfig(
    train_steps=PREDICTIONS,
    batch_size=64,
    n_step=1,
    gamma=0.9,
    double=False,
    learning_rate=1e-3,
    learning_rate_end=1.0,
    tau=1.0,
    target_update_every=50,
    buffer_size=20_000,
    learning_starts=1_000,
    eps_start=1.0,
    eps_end=0.607,
    exploration_fraction=1.0,
)
"""How the DQN of a pattern learns."""


class PublishedNetwork(nn.Module):
    """Observations → the value of each edit (n, 512): the LSTM's network, shown the bar as it is.

    Its logits are taken for values; it begins with the LSTM's weights.

    Args:
        lstm: words (n, 16) ints → logits (n, 16, 32).
    """

    def __init__(self, lstm: nn.Module) -> None:
        super().__init__()
        self.lstm = copy.deepcopy(lstm).requires_grad_(True)

    def forward(self, observations: Tensor) -> Tensor:
        values: Tensor = self.lstm(see(observations).words)
        return values.flatten(1)


class Found(NamedTuple):
    """What a search came to.

    Attributes:
        predictions: bars that it had looked at when it came by one with all targets; None where it never did.
        nearest: bars that it had looked at when it came by one of which every feature is nearest to its target's level.
        reward: the most that a bar which it looked at is rewarded with.
        seen: bars that it looked at in all.
    """

    predictions: int | None
    nearest: int | None
    reward: float
    seen: int


def search(
    lstm: nn.Module,
    log_probs: Tensor,
    targets: Tensor,
    config: DQNConfig = PUBLISHED,
    predictions: int | None = None,
) -> Found:
    """Edit one bar until it has its targets, or ``predictions`` bars are looked at.

    Args:
        lstm: words (n, 16) ints → logits (n, 16, 32): what the network begins with.
        log_probs: (16, 32), what the LSTM says of the bar, nats.
        targets: (4,), levels of all four features.
        config: how the DQN learns; random actions become fewer along its ``train_steps``.
        predictions: bars at most; ``train_steps`` by default.
    """
    envs = _envs(log_probs, targets)
    dqn = DQN(envs, config, PublishedNetwork(lstm), mask=envs.mask)

    def look() -> int:
        dqn.step()
        return dqn.steps_done

    return _watched(envs, look, config.train_steps if predictions is None else predictions)


def search_at_random(log_probs: Tensor, targets: Tensor, predictions: int = PREDICTIONS, seed: int = 0) -> Found:
    """The same search without a network: every edit that may be made is as likely; what learning is worth beside it."""
    envs = _envs(log_probs, targets)
    random = torch.Generator().manual_seed(seed)
    allowed = envs.mask(torch.zeros(envs.num_envs, 1)).float()
    envs.reset(seed=seed)
    seen = 0

    def look() -> int:
        nonlocal seen
        acts = ~envs.ended
        envs.step(torch.multinomial(allowed, 1, generator=random)[:, 0].numpy())
        seen += int(acts.sum())
        return seen

    return _watched(envs, look, predictions)


def _watched(envs: EditVectorEnv, look: Callable[[], int], predictions: int) -> Found:
    """Look at bars, as many as ``look`` says so far, until one has all targets."""
    seen, nearest, reward = 0, None, 0.0
    while seen < predictions:
        seen = look()
        reward = max(reward, float(envs.published_rewards.max()))
        if nearest is None and (nearest_levels(envs.values) == nearest_levels(envs.wanted)).all(1).any():
            nearest = seen
        if envs.success.any():
            return Found(seen, nearest, reward, seen)
    return Found(None, nearest, reward, seen)


def search_all(
    model: NextBarModel,
    bar: np.ndarray,
    out: str | os.PathLike[str],
    config: DQNConfig = PUBLISHED,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Search the bar after a given one for every combination of levels; go on where an earlier call was stopped.

    Args:
        model: of the next bar; a network that maps words to logits.
        bar: (16, 5) bool, the given bar.
        out: a folder, created if missing; ``published.json`` is rewritten after each combination.
        config: how each DQN learns.
        progress: hears of combinations so far, all of them, and what is done.

    Returns:
        The path of ``published.json``: a row for each combination with its ``targets`` and what ``Found`` has.

    Raises:
        ValueError: a model that is no network, or the folder holds the searches of another bar, model or config, or a
            damaged file of them.
        OSError: the folder cannot be written.
    """
    if not isinstance(model, nn.Module):
        raise ValueError("the search begins with the weights of a network")
    path = make_folder(out) / RESULTS
    described = {
        "model": model.fingerprint,
        "bar": [int(word) for word in bars_to_words(bar)],
        "config": asdict(config),
    }
    combinations = level_combinations()
    rows: list[dict[str, Any]] = []
    if path.exists():
        before, rows = _read(path, combinations)
        if before != described:
            raise ValueError(f"{path} holds searches of another bar, model or config: choose another folder")
    log_probs = model.word_log_prob(bar[None])[0]
    for number in range(len(rows), len(combinations)):
        found = search(model, log_probs, combinations[number], config)
        rows.append({"targets": combinations[number].tolist(), **found._asdict()})
        write_whole(path, (json.dumps({**described, "rows": rows}, indent=1) + "\n").encode(), durable=True)
        if progress:
            progress(number + 1, len(combinations), "searching")
    return path


def _read(path: Path, combinations: Tensor) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a file of searches says of them all, and its rows."""
    data = path.read_bytes()
    try:
        described = json.loads(data)
        if not isinstance(described, dict) or not isinstance(described.get("rows"), list):
            raise ValueError("it has no rows")
        rows = described.pop("rows")
        names = {"targets", *Found._fields}
        if not all(isinstance(row, dict) and row.keys() == names for row in rows):
            raise ValueError(f"a row has not {', '.join(sorted(names))}")
        if [row["targets"] for row in rows] != combinations[: len(rows)].tolist():
            raise ValueError("its rows are not of the combinations in their order")
    except ValueError as error:
        raise ValueError(f"{path}: cannot be resumed: {error}") from None
    return described, rows


def _envs(log_probs: Tensor, targets: Tensor) -> EditVectorEnv:
    """Episodes that all edit this bar towards these targets."""
    return EditVectorEnv(log_probs[None], targets[None], EPISODES, EDITS, skipped=0, reward="published", stops=False)
