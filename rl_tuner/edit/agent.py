"""The agent that edits the next bar, as one file of weights, and its use: a bar and what is asked for → next bars."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.bars import words_to_bars
from rhythmgan.kit import JAKI5
from rhythmgan.models.catalogue import load_next_bar_model
from rhythmgan.models.config import config_of
from rhythmgan.models.interfaces import NextBarModel, check_compatible
from rhythmgan.models.weights import WeightsFormat, bundled, load_weights, save_weights
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform
from rl_tuner.config import EditEnvConfig
from rl_tuner.edit.editing import Edited, edit_bars
from rl_tuner.edit.edits import LEAST_LOG_PROB, N_WORDS, NATS_PRICE, STEPS, likeliest, match, nats_of
from rl_tuner.edit.levels import LEVELS
from rl_tuner.edit.network import EditNetwork, Greedy

FORMAT = WeightsFormat("rl_tuner.edit_agent", 1, "an agent that edits the next bar")

NOISE = 0.5
"""How far each seed's next bar leads away from the likeliest: 0 not at all, 1 as the model of the next bar draws.

Chosen on the validation songs."""

TRIES = 4
"""Bars that are edited at most by each of the two ways of an agent, until one has what is asked for."""

_BATCH = 256
"""Bars that are edited at once: each takes some megabytes."""

_STREAMS = RANDOM_STREAMS["next bar"]

Edit = Callable[[Tensor, Tensor, Tensor], Edited]
"""What edits the bars that log-probabilities (n, 16, 32) begin with to targets (n, 4) by importance (n, 4)."""


@dataclass(frozen=True)
class EditAgentConfig:
    """The shape of an agent: all that is needed, with its weights, to build it again.

    Attributes:
        model: fingerprint of the model of the next bar whose bars it learnt to edit.
        edits: that it makes at most.
        width: units of the first layer of the Q-network.
    """

    model: str
    edits: int = EditEnvConfig.edits
    width: int = 96

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096 or not 1 <= self.edits <= 4096:
            raise ValueError("width and edits lie in 1 … 4096")


class EditAgent(nn.Module):
    """A Q-network that edits the bars of a model of the next bar.

    Attributes:
        config: its shape.
        network: observations → the value of each edit.
    """

    def __init__(self, config: EditAgentConfig) -> None:
        super().__init__()
        self.config = config
        self.network = EditNetwork(config.width)

    def edit(self, log_probs: Tensor, targets: Tensor, importance: Tensor) -> Edited:
        """Edit the likeliest bars until they have what is asked for; see ``edit_bars``."""
        return edit_bars(self.network, log_probs, targets, importance, self.config.edits)

    def edit_greedily(self, log_probs: Tensor, targets: Tensor, importance: Tensor) -> Edited:
        """The same by the rewards of edits alone, without what the network expects of later ones."""
        return edit_bars(Greedy(), log_probs, targets, importance, self.config.edits)

    @property
    def tries(self) -> list[Edit]:
        """How it edits, try by try: by the rewards alone first, and by its network where that does not do it.

        Where both do it, edits by the rewards alone leave bars more as songs have them; chosen on the validation songs.
        """
        return [*[self.edit_greedily] * TRIES, *[self.edit] * TRIES]

    def in_double(self) -> EditAgent:
        """The same in double precision on the CPU: its edits are then the same on every machine."""
        return copy.deepcopy(self).cpu().double()


class Continuation(NamedTuple):
    """A bar and what follows it.

    Attributes:
        first: (16, 5) bool, the given bar, of ``jaki5``.
        lstm: (16, 5) bool, the bar that is likeliest to follow it.
        tuned: (n, 16, 5) bool, next bars that have what is asked for.
        reached: (n,) bool, whether they have all of it.
        values: the features of the tuned bars by name, (n,) float64 each.
    """

    first: np.ndarray
    lstm: np.ndarray
    tuned: np.ndarray
    reached: np.ndarray
    values: dict[str, np.ndarray]


def continue_loop(
    bars: np.ndarray,
    targets: Mapping[str, float],
    n: int = 1,
    seed: int = 0,
    agent: EditAgent | None = None,
    model: NextBarModel | None = None,
) -> Continuation:
    """Next bars of a bar that have the features asked for, near what is likely to follow.

    Args:
        bars: (16, 5) bool, the bar to go on from, of kit ``jaki5``.
        targets: what is asked for by name, see ``LEVELS``; a feature that is not named may be as it likes.
        n: next bars, of the seeds ``seed``, ``seed`` + 1 …: each a function of its own seed.
        seed: of the first.
        agent: what edits; the bundled one by default.
        model: says what is likely to follow; the bundled model of the next bar by default.

    Raises:
        ValueError: a bar of another shape, an unknown feature, a target that is no number from 0 on, no next bars, a
            seed out of range, or an agent that learnt to edit the bars of another model.
    """
    bars = np.asarray(bars)
    if bars.shape != (STEPS, JAKI5.n_parts):
        raise ValueError(f"expected a bar ({STEPS}, {JAKI5.n_parts}) of kit {JAKI5.name}; got {bars.shape}")
    wanted, importance = targets_of(targets)
    if n < 1:
        raise ValueError(f"at least one next bar is needed, not {n}")
    check_seed(seed)
    agent, model = agent or load_edit_agent(), model or load_next_bar_model()
    check_compatible(model, JAKI5, STEPS, "the model of the next bar")
    if agent.config.model != model.fingerprint:
        raise ValueError("the agent learnt to edit the bars of another model of the next bar")
    log_probs = model.in_double().word_log_prob(bars[None] != 0)
    seeds = np.arange(seed, seed + n, dtype=np.uint64)
    edited = edit_all(agent.in_double().tries, log_probs.expand(n, -1, -1), wanted, importance, seeds)
    names = list(LEVELS)
    return Continuation(
        bars != 0,
        words_to_bars(likeliest(log_probs), JAKI5.n_parts)[0].numpy(),
        words_to_bars(edited.words, JAKI5.n_parts).numpy(),
        edited.reached.numpy(),
        {name: edited.values[:, place].numpy() for place, name in enumerate(names)},
    )


def edit_all(
    tries: Sequence[Edit],
    log_probs: Tensor,
    wanted: Tensor,
    importance: Tensor,
    seeds: np.ndarray,
    noise: float = NOISE,
) -> Edited:
    """Edited bars of seeds: of several tries the first that does it, each of which begins with a bar of its own.

    A try begins with the bar that is likeliest with its noise. Gumbel noise of scale ``noise`` on log-probabilities
    draws from p^(1 / noise) (Papandreou & Yuille 2011): so the bars of several seeds differ, and each is as the model
    may draw it. The first try that has what is asked for is the answer: to take the likeliest would make all bars
    alike. Where none has it, it is the nearest.

    Args:
        tries: what edits the bars of each try, as ``EditAgent.tries``; one or more.
        log_probs: (n, 16, 32), nats.
        wanted, importance: (n, 4) or (4,), what is asked for.
        seeds: (n,) ints.
        noise: 0 or more.

    Returns:
        The bars. ``nats`` are those of the model, without noise; ``edits`` those of the try that was taken.
    """
    n = len(log_probs)
    wanted, importance = wanted.to(log_probs).expand(n, -1), importance.to(log_probs).expand(n, -1)
    top = nats_of(likeliest(log_probs), log_probs)
    best: Edited | None = None
    worth = log_probs.new_full((n,), -torch.inf)
    open_rows = torch.arange(n)
    for number, edit in enumerate(tries):
        rows = open_rows
        uniform = torch.from_numpy(seeds_to_uniform(seeds[rows.numpy()], STEPS * N_WORDS, _STREAMS[number]))
        gumbel = -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log().view(-1, STEPS, N_WORDS)
        noisy = (log_probs[rows] + noise * gumbel.to(log_probs)).log_softmax(2).clamp(min=LEAST_LOG_PROB)
        starts = noisy, wanted[rows], importance[rows]
        batches = [edit(*(each[first : first + _BATCH] for each in starts)) for first in range(0, len(rows), _BATCH)]
        found = Edited(*(torch.cat(column) for column in zip(*batches, strict=True)))
        found = found._replace(nats=top[rows] - nats_of(found.words, log_probs[rows]))
        of_found = match(found.values, wanted[rows], importance[rows]) - NATS_PRICE * found.nats
        better = found.reached | (of_found > worth[rows])
        worth[rows[better]] = of_found[better]
        if best is None:
            best = found
        else:
            for kept, new in zip(best, found, strict=True):
                kept[rows[better]] = new[better]
        open_rows = rows[~found.reached]
        if not len(open_rows):
            break
    assert best is not None
    return best


def targets_of(targets: Mapping[str, float]) -> tuple[Tensor, Tensor]:
    """Targets and importance of the features that are named, (4,) float64 each.

    Raises:
        ValueError: an unknown feature, or a target that is no number from 0 on.
    """
    if unknown := targets.keys() - LEVELS.keys():
        raise ValueError(f"no feature is called {min(unknown)!r}; there are {', '.join(LEVELS)}")
    for name, value in targets.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"the target of {name} is a number from 0 on, not {value}")
    wanted = [float(targets.get(name, 0.0)) for name in LEVELS]
    asked = [float(name in targets) for name in LEVELS]
    return torch.tensor(wanted, dtype=torch.float64), torch.tensor(asked, dtype=torch.float64)


def save_edit_agent(path: str | os.PathLike[str], agent: EditAgent, provenance: Mapping[str, str]) -> None:
    """Write an agent's weights; see ``save_weights``."""
    save_weights(path, FORMAT, agent, asdict(agent.config), provenance)


def load_edit_agent(path: str | os.PathLike[str] | None = None) -> EditAgent:
    """The agent of a weights file, ready to edit; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of such an agent of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("edit-agent.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: EditAgent(config_of(EditAgentConfig, config)))
