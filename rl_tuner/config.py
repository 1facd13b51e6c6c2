"""The options of training and steering, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Reward = Literal["delta", "absolute"]
"""Whether an episode's reward is how much its score has grown with a step, or the score itself."""

REALISM = 0.75
"""How much realism counts in steering, by default; chosen on the validation songs."""

CLOSENESS = 0.75
"""How dear it is to change cells of a given bar, by default."""

CALLS = 32
"""Generator calls of an episode of steering, by default."""


_MOST = {
    "batch_size": 1 << 20,
    "num_envs": 1 << 16,
    "gradient_steps": 1024,
    "n_step": 1024,
    "calls": 4096,
    "edits": 4096,
    "width": 4096,
    "bars": 1 << 22,
    "n_drawn": 1024,
    "n_lines": 4096,
    "moves": 4096,
}
"""What counts may be: with more a training takes all memory, or its first step never ends."""


def _check_counts(config: object, *names: str) -> None:
    """Refuse counts below 1, and such as no machine comes to the end of.

    Raises:
        ValueError: one of them is none.
    """
    for name in names:
        number, most = getattr(config, name), _MOST.get(name, math.inf)
        if number < 1:
            raise ValueError(f"{name} must be at least 1, not {number}")
        if number > most:
            raise ValueError(f"{name} must be at most {most:,}, not {number}")


def _check_shares(config: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} lies in 0 … 1, not {getattr(config, name)}")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed is a whole number from 0 to 2^63 − 1, not {seed}")


@dataclass(frozen=True)
class DQNConfig:
    """How a DQN learns.

    Attributes:
        train_steps: transitions to collect in all, over all environments.
        batch_size: transitions in a gradient step.
        gradient_steps: after each step of the batch of environments.
        n_step: rewards summed before the value of what follows is asked for.
        gamma: discount of a reward one step later.
        double: whether the online network says which action's value is taken from the target network.
        learning_rate: Adam's, at first.
        learning_rate_end: share of it that is left at the end of half a cosine; 1 keeps it.
        tau: share by which the target network follows the online network at each of its updates (Polyak).
        target_update_every: gradient steps from one of these updates to the next.
        buffer_size: transitions remembered.
        learning_starts: transitions before the first gradient step.
        eps_start: share of random actions at first.
        eps_end: share of random actions from ``exploration_fraction`` of the steps on.
        exploration_fraction: share of ``train_steps`` along which the random actions become fewer.
        temperature: 0 takes the best action; over it actions are drawn, each with a chance that is that of the
            reference times e^(value / temperature). Random actions come on top.
        soft_values: whether what follows is worth temperature · log Σ reference · e^(value / temperature) instead of
            its best action's value: then a nat of leaving the reference costs ``temperature``.
        priority_exponent: exponent α of prioritised replay; 0 draws all transitions alike.
        her_ratio: share of a batch that is given another goal in hindsight, where the environment can.
        seed: of weights, exploration and draws.
    """

    train_steps: int = 1_000_000
    batch_size: int = 1024
    gradient_steps: int = 1
    n_step: int = 3
    gamma: float = 0.95
    double: bool = True
    learning_rate: float = 1e-3
    learning_rate_end: float = 0.1
    tau: float = 0.01
    target_update_every: int = 1
    buffer_size: int = 200_000
    learning_starts: int = 20_000
    eps_start: float = 1.0
    eps_end: float = 0.05
    exploration_fraction: float = 0.3
    temperature: float = 0.0
    soft_values: bool = False
    priority_exponent: float = 0.0
    her_ratio: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("train_steps", "batch_size", "gradient_steps", "n_step", "target_update_every", "buffer_size")
        _check_counts(self, *counts, "learning_starts")
        shares = ("gamma", "learning_rate_end", "tau", "eps_start", "eps_end", "exploration_fraction")
        _check_shares(self, *shares, "priority_exponent", "her_ratio")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate lies between 0 and 1, not {self.learning_rate}")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is a number from 0 on, not {self.temperature}")
        if self.soft_values and not (self.temperature and self.n_step == 1):
            # over several steps the costs of leaving the reference would be missing from the rewards
            raise ValueError("soft values take a temperature over 0, and returns of one step")
        _check_seed(self.seed)


@dataclass(frozen=True)
class SoftQConfig:
    """How an agent learns that chooses among candidates, see ``soft_q``.

    Attributes:
        train_steps: transitions to collect in all, over all environments.
        batch_size: transitions in a gradient step; each transition is learnt from once.
        temperature: what a nat of leaving the reference costs, in rewards.
        trace: 0 … 1, how much of the path to the end of an episode counts instead of the next value.
        learning_rate: Adam's, falling to a twentieth along half a cosine.
        tau: share by which the target network follows the online network after each episode (Polyak).
        eps: share of actions that the reference takes.
        seed: of exploration and batches.

    Raises:
        ValueError: an option out of range.
    """

    train_steps: int = 4_000_000
    batch_size: int = 2048
    temperature: float = 0.05
    trace: float = 0.9
    learning_rate: float = 2e-3
    tau: float = 0.1
    eps: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "train_steps", "batch_size")
        _check_shares(self, "trace", "tau", "eps")
        for name in ("temperature", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} lies over 0, not {getattr(self, name)}")
        _check_seed(self.seed)


@dataclass(frozen=True)
class ReadOutConfig:
    """How a read-out is fitted on a generator's own bars, and learned.

    Attributes:
        bars: bars that the regressions are fitted on.
        train_steps: gradient steps of the learned read-out: about a minute of one core.
        batch_size: bars in each, all of one step.
        width: units of its layers.
        learning_rate: Adam's, falling along half a cosine.
        seed: of bars and weights.

    Raises:
        ValueError: nothing to fit or learn on.
    """

    bars: int = 30_000
    train_steps: int = 1500
    batch_size: int = 2048
    width: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "bars", "train_steps", "batch_size", "width")


@dataclass(frozen=True)
class EnvConfig:
    """What an agent learns on.

    Attributes:
        num_envs: environments at once.
        calls: generator calls of an episode at most.
        reward: how it is rewarded, see ``Reward``.
        weighted: whether episodes draw coefficients for the terms beside the targets; they are 0 otherwise.

    Raises:
        ValueError: no environments.
    """

    num_envs: int = 512
    calls: int = 64
    reward: Reward = "delta"
    weighted: bool = True

    def __post_init__(self) -> None:
        _check_counts(self, "num_envs", "calls")


@dataclass(frozen=True)
class StepwiseEnvConfig:
    """What an agent learns on that decides bars step by step.

    Attributes:
        num_envs: environments at once.
        given: share of the episodes with a bar to stay close to.
        locked: share of these with locked parts.
        crossed: share of the episodes whose features have targets of different bars.
        skipped: share of the episodes that skip a feature.
        weighted: whether episodes draw coefficients for the terms beside the targets; they are 0 otherwise.

    Raises:
        ValueError: an option out of range.
    """

    num_envs: int = 512
    given: float = 0.5
    locked: float = 0.5
    crossed: float = 0.4
    skipped: float = 0.2
    weighted: bool = True

    def __post_init__(self) -> None:
        _check_counts(self, "num_envs")
        _check_shares(self, "given", "locked", "crossed", "skipped")


@dataclass(frozen=True)
class AgentShape:
    """What an agent looks at, and the size of its network; see ``agent.AgentConfig``.

    Attributes:
        n_candidates: noises that it looks at before each step.
        n_changes: how many of these change one cell where a bar is given.
        width: units of each layer of the Q-network.
    """

    n_candidates: int = 8
    n_changes: int = 4
    width: int = 64


AGENT = SoftQConfig()
"""How the agent that ships was trained."""

LATENT_AGENT = DQNConfig(
    train_steps=3_000_000,
    gradient_steps=2,
    n_step=5,
    gamma=0.97,
    tau=0.003,
    exploration_fraction=0.3,
    buffer_size=200_000,
)
"""How the agent of whole-bar moves that ships was trained."""


def shortened(config: DQNConfig) -> DQNConfig:
    """The config with learning that starts after a tenth of its steps at most: a short run must learn as well."""
    return replace(config, learning_starts=max(1, min(config.learning_starts, config.train_steps // 10)))


# --- Edits of the next bar, after jaki ---------------------------------------------------------------

EditReward = Literal["delta", "published"]
"""What an edit is rewarded by: by how much it makes the bar better, or by how good the bar then is, as jaki has it."""


@dataclass(frozen=True)
class EditEnvConfig:
    """What an agent learns on that edits the next bar.

    Attributes:
        num_envs: environments at once.
        edits: of an episode.
        skipped: chance of each feature that an episode does not ask for it.

    Raises:
        ValueError: an option out of range.
    """

    num_envs: int = 128
    edits: int = 24
    skipped: float = 0.1

    def __post_init__(self) -> None:
        _check_counts(self, "num_envs", "edits")
        _check_shares(self, "skipped")


EDIT_AGENT = DQNConfig(
    train_steps=600_000,
    batch_size=512,
    n_step=3,
    gamma=0.99,
    learning_rate=5e-4,
    learning_rate_end=0.05,
    tau=0.01,
    buffer_size=100_000,
    learning_starts=4_000,
    eps_start=0.3,
    eps_end=0.1,
    exploration_fraction=0.5,
)
"""How the agent that ships was trained to edit the next bar."""


# --- Notes that are appended to a loop, after Ravula and Cao -----------------------------------------


@dataclass(frozen=True)
class AppendConfig:
    """What an agent learns on that appends notes to a loop, and what it is rewarded by.

    Attributes:
        num_envs: environments at once.
        eps: share of actions drawn without preference.
        log_prob: coefficient of the log-probability of the note by the model that was trained on songs.
        percussion: coefficient of the percussion terms together; each has its own, see ``percussion.fit_coefs``.
        critic: coefficient of the critic of loops.
        repeat_cost: what it costs to play the part of the step before again, beside the fitted coefficient; in nats.
            Chosen on the validation songs.
        width: units of each layer of the Q-network; as published it is the CNN instead.

    Raises:
        ValueError: an option out of range, or nothing to be rewarded by.
    """

    num_envs: int = 64
    eps: float = 0.05
    log_prob: float = 0.0
    percussion: float = 1.0
    critic: float = 1.0
    repeat_cost: float = 0.05
    width: int = 192

    def __post_init__(self) -> None:
        _check_counts(self, "num_envs", "width")
        _check_shares(self, "eps")
        if not (self.log_prob or self.percussion or self.critic):
            raise ValueError("nothing to be rewarded by: one of log_prob, percussion and critic must not be 0")


@dataclass(frozen=True)
class LoopCriticConfig:
    """How a critic of loops is trained.

    Attributes:
        train_steps: batches.
        batch_size: loops of songs in each, and as many drawn ones.
        learning_rate: AdamW's, falling to a twentieth.
        width: units of its layers.
        dropout: share of units that are left out in training.
        n_drawn: loops that are drawn for each loop of songs, with the same beginning.
        seed: of weights, batches and drawn loops.

    Raises:
        ValueError: an option out of range.
    """

    train_steps: int = 3000
    batch_size: int = 256
    learning_rate: float = 1e-3
    width: int = 256
    dropout: float = 0.5
    n_drawn: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "train_steps", "batch_size", "width", "n_drawn")
        _check_shares(self, "dropout")
        _check_seed(self.seed)


APPEND_AGENT = DQNConfig(
    train_steps=200_000,
    batch_size=512,
    n_step=1,
    gamma=1.0,
    temperature=1.0,
    soft_values=True,
    learning_rate_end=0.05,
    buffer_size=100_000,
    learning_starts=5_000,
)
"""How the agent that appends notes was trained that ships: a nat of leaving the CNN costs a reward."""

APPEND_PUBLISHED = DQNConfig(
    train_steps=500_000,
    batch_size=128,
    double=False,
    n_step=1,
    gamma=0.5,
    learning_rate_end=1.0,
    target_update_every=10,
    buffer_size=100_000,
    learning_starts=5_000,
)
"""As Ravula and Cao say that they did, with ε of ``APPEND_PUBLISHED_ENV``."""

APPEND_PUBLISHED_ENV = AppendConfig(num_envs=32, eps=0.1, log_prob=1.0, percussion=0.0, critic=0.0)

PUBLISHED_EPS = (0.01, 0.05, 0.1, 0.3, 0.5)
"""The shares of random actions that Ravula and Cao compare."""


@dataclass(frozen=True)
class ToggleEnvConfig:
    """What an agent learns on that toggles lines; see ``envs.toggle.ToggleEnv``.

    Attributes:
        num_envs: environments at once.
        resolution: cells of a line.
        steps: lengths of lines; that of the resolution by default.
        n_lines: lines that answer.
        no_op: whether an agent may leave all as it is.
        moves: of an episode.
        reward: ``delta`` or ``absolute``.
        terms: what counts; the first alone unless ``weighted``.
        weighted: whether episodes draw the importance of each term.
        gains: whether an agent sees what each toggle would add to the score.
        given: the line that all episodes answer, as text; random ones where it is empty.

    Raises:
        ValueError: no environments.
    """

    num_envs: int = 1
    resolution: int = 8
    steps: tuple[int, ...] = ()
    n_lines: int = 1
    no_op: bool = False
    moves: int = 32
    reward: Reward = "absolute"
    terms: tuple[str, ...] = ("difference",)
    weighted: bool = False
    gains: bool = False
    given: str = "x o o o x o o o"

    def __post_init__(self) -> None:
        _check_counts(self, "num_envs", "moves", "n_lines")


PUBLISHED_EPISODES = 300
"""Episodes that Halmøy's agent was trained for."""

PUBLISHED_TOGGLE = DQNConfig(
    train_steps=PUBLISHED_EPISODES * ToggleEnvConfig.moves,
    batch_size=64,
    n_step=1,
    gamma=0.9,
    double=False,
    learning_rate_end=1.0,
    buffer_size=10_000,
    learning_starts=64,
    eps_start=0.0,
    eps_end=0.0,
    temperature=1.0,
)
"""How an agent is trained that toggles the steps of a line as Halmøy's: it draws its toggles from the softmax of their
values. What he does not say – moves of an episode, discount, batches – is ours."""

LIVE_ENV = ToggleEnvConfig(
    num_envs=256,
    resolution=16,
    steps=(8, 16),
    no_op=True,
    moves=24,
    reward="delta",
    terms=("difference", "complexity", "density", "syncopation"),
    weighted=True,
    gains=True,
    given="",
)
"""What the agent that ships learnt on: random lines to answer, and terms whose importance every episode draws."""

LIVE_TOGGLE = DQNConfig(
    train_steps=900_000,
    batch_size=512,
    gradient_steps=1,
    n_step=1,
    gamma=0.8,
    learning_rate=1e-4,
    learning_rate_end=0.02,
    tau=0.005,
    buffer_size=300_000,
    learning_starts=10_000,
    eps_start=0.2,
    eps_end=0.05,
)
"""How it was trained."""

LIVE_WIDTH = 128
"""Units of each layer of its network."""


@dataclass(frozen=True)
class PairCriticConfig:
    """How a critic learns to tell songs' pairs of lines from made ones.

    Attributes:
        train_steps: gradient steps at most; the best on the validation songs are kept.
        batch_size: pairs of each kind in a step.
        answers: made answers to each line of a song.
        learning_rate: AdamW's.
        weight_decay: AdamW's.
        seed: of weights, answers and batches.

    Raises:
        ValueError: nothing to learn from.
    """

    train_steps: int = 1200
    batch_size: int = 512
    answers: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "train_steps", "batch_size", "answers")


ANSWER_AGENT = DQNConfig(
    train_steps=1_200_000,
    batch_size=1024,
    gradient_steps=2,
    n_step=1,
    gamma=1.0,
    learning_rate_end=0.02,
    tau=0.02,
    buffer_size=200_000,
    learning_starts=10_000,
    eps_start=0.2,
    eps_end=0.1,
    temperature=1.0,
    soft_values=True,
)
"""How the agent that answers lines was trained: rewarded by its critic, each nat away from the reference costs 1."""

ANSWER_ENVS = 512
"""Environments that it learnt on at once."""
