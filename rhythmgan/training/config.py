"""The options of training, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class AdversarialConfig:
    """How a generator is trained: first by maximum likelihood (pretraining), then against the discriminator.

    Attributes:
        pretrain_steps: batches of maximum likelihood.
        train_steps: batches of the adversarial phase; the only number that a resumed run may change. The learning
            rates then decay along the new number.
        batch_size: bars, or phrases, in a batch, of each process.
        seed: of the weights, the batches and the noise.
        pretrain_learning_rate: peak learning rate of pretraining (AdamW, β = .9, .99); it decays to a fiftieth along a
            cosine.
        weight_decay: AdamW's.
        augmented_share: share that is augmented (see ``augment``), with a label for both networks. Without
            augmentation the discriminator learns the training bars by heart.
        hidden_share: share of steps that are hidden from the lagged inputs of later steps, in pretraining.
        generator_learning_rate, discriminator_learning_rate: of the adversarial phase (Adam, β = 0, .99); after three
            tenths of the steps they decay to a twentieth along a cosine.
        discriminator_warmup: batches of the adversarial phase in which only the discriminator is trained.
        r1_gamma, r2_gamma: strengths of the gradient penalties on real and on fake bars, see ``GANLoss``.
        rate_matching_coef: coefficient of the squared differences between how often each cell sounds in a batch
            and in the training bars of each role. With the adversarial loss alone, hard decisions drift to sparse bars.
        ema_decay: share of the averaged generator that a step keeps (exponential moving average); it rises to this
            from 0 at the beginning of both phases.
    """

    pretrain_steps: int = 500
    train_steps: int = 250
    batch_size: int = 128
    seed: int = 0
    pretrain_learning_rate: float = 2e-3
    weight_decay: float = 0.05
    augmented_share: float = 0.7
    hidden_share: float = 0.1
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 1e-3
    discriminator_warmup: int = 100
    r1_gamma: float = 0.03
    r2_gamma: float = 0.03
    rate_matching_coef: float = 2.0
    ema_decay: float = 0.998

    def __post_init__(self) -> None:
        if self.pretrain_steps < 0 or self.train_steps < 0 or self.pretrain_steps + self.train_steps < 1:
            raise ValueError("training takes at least one step in all, and neither number of steps is below 0")
        _check(self, shares=("augmented_share", "hidden_share", "ema_decay"))

    @property
    def total_steps(self) -> int:
        """Steps of both phases."""
        return self.pretrain_steps + self.train_steps


@dataclass(frozen=True)
class GANTrainingConfig(AdversarialConfig):
    """How a GAN is trained. The defaults take about a minute on two CPU cores.

    Attributes:
        any_share: share of bars with no role told: distinct bars of songs; all others are drawn as songs play them.
        style_share: share of bars with their style told.
        song_exponent: of bars with no role, a song with n distinct bars is drawn from n to this power times as often as
            one with a single bar: 1 draws all bars alike, 0 all songs alike. Below 1 the few songs with hundreds of
            bars, which would give generated bars away, weigh less.
        denoiser_steps: batches of the denoiser, which is trained last.
    """

    any_share: float = 0.4
    style_share: float = 0.3
    song_exponent: float = 0.85
    denoiser_steps: int = 250

    def __post_init__(self) -> None:
        if self.denoiser_steps < 1:
            raise ValueError(f"the denoiser is trained for at least one batch, not {self.denoiser_steps}")
        super().__post_init__()
        _check(self, shares=("any_share", "style_share", "song_exponent"))


@dataclass(frozen=True)
class PhraseGANTrainingConfig(AdversarialConfig):
    """How a GAN of phrases is trained.

    Attributes:
        off_share: share of phrases that begin on another bar of a file than its first, fifth …, with a label.
    """

    pretrain_steps: int = 2000
    train_steps: int = 250
    augmented_share: float = 0.5
    generator_learning_rate: float = 5e-5
    off_share: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, shares=("off_share",))


@dataclass(frozen=True)
class PhraseConvGANTrainingConfig:
    """How a convolutional GAN of phrases is trained, as a Wasserstein GAN with a gradient penalty is.

    Attributes:
        train_steps: batches of the generator; the only number that a resumed run may change.
        batch_size: phrases in a batch, of each process.
        seed: of the weights, the batches and the noise.
        learning_rate: of both networks (Adam, β = .5, .9).
        critic_steps: batches of the critic for each of the generator.
        penalty_coef: coefficient of the gradient penalty.
    """

    train_steps: int = 4000
    batch_size: int = 64
    seed: int = 0
    learning_rate: float = 2e-4
    critic_steps: int = 5
    penalty_coef: float = 10.0

    def __post_init__(self) -> None:
        if self.train_steps < 1 or self.critic_steps < 1:
            raise ValueError("training takes at least one step of either network")
        _check(self, shares=())


@dataclass(frozen=True)
class PriorTrainingConfig:
    """How a prior is trained.

    Attributes:
        train_steps: batches at most, over which the learning rate decays; the only number that a resumed run may
            change.
        batch_size: bars in a batch, of each process.
        seed: of the weights, the batches and the dropout.
        learning_rate: peak learning rate (AdamW, β = .9, .98); it decays to a fiftieth along a cosine.
        weight_decay: AdamW's.
        hidden_share: share of words that are hidden from the prior when it predicts the next one.
        any_share: share of bars with no role told: songs' distinct bars. All others are as songs play them.
        style_share: share of bars with their style told.
        song_exponent: of bars with no role, a song with n distinct bars is drawn from n to this power times as often as
            one with a single bar: 1 draws all bars alike.
        pairs_share: share of bars that are shown the bar before them.
        augmented_share: share of bars that are augmented (see ``augment``), with a label.
        ema_decay: share of the averaged weights that a step keeps (exponential moving average).
        patience: validations, one every 50 steps, without a better one before the run ends.
    """

    train_steps: int = 400
    batch_size: int = 256
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden_share: float = 0.1
    any_share: float = 0.5
    style_share: float = 0.3
    song_exponent: float = 1.0
    pairs_share: float = 0.5
    augmented_share: float = 0.5
    ema_decay: float = 0.998
    patience: int = 20

    def __post_init__(self) -> None:
        _check_stop(self)
        shares = ("hidden_share", "any_share", "style_share", "song_exponent", "pairs_share", "augmented_share")
        _check(self, shares=(*shares, "ema_decay"))


@dataclass(frozen=True)
class BarLSTMTrainingConfig:
    """How a model of the next bar is trained.

    Attributes:
        train_steps: batches at most, over which the learning rate decays; the only number that a resumed run may
            change.
        batch_size: pairs of bars in a batch, of each process.
        seed: of the weights, the batches and the dropout.
        learning_rate: peak learning rate (AdamW, β = .9, .98); it decays to a fiftieth along a cosine.
        weight_decay: AdamW's.
        ema_decay: share of the averaged weights that a step keeps (exponential moving average).
        patience: validations, one every 50 steps, without a better one before the run ends.
    """

    train_steps: int = 3000
    batch_size: int = 256
    seed: int = 0
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.99
    patience: int = 10

    def __post_init__(self) -> None:
        _check_stop(self)
        _check(self, shares=("ema_decay",))


@dataclass(frozen=True)
class NoteCNNTrainingConfig:
    """How a note-wise CNN is trained. The defaults take about a minute of one core.

    Attributes:
        train_steps: batches at most; the only number that a resumed run may change.
        batch_size: notes to predict in a batch, of each process.
        seed: of the weights and the batches.
        learning_rate: Adam's.
        patience: validations, one every 250 steps, without a better one before the run ends.
    """

    train_steps: int = 5000
    batch_size: int = 512
    seed: int = 0
    learning_rate: float = 1e-3
    patience: int = 6

    def __post_init__(self) -> None:
        _check_stop(self)
        _check(self, shares=())


@dataclass(frozen=True)
class AnswerTrainingConfig:
    """How a network that answers lines is trained.

    Attributes:
        train_steps: batches at most, over which the learning rate decays; the only number that a resumed run may
            change.
        batch_size: pairs of lines in a batch.
        seed: of the weights, the batches and the dropout.
        learning_rate: peak learning rate (AdamW); it decays to 0 along a cosine.
        weight_decay: AdamW's.
        song_exponent: a song with n pairs is drawn from n to this power times as often as one with a single pair: 1
            draws all pairs alike.
        turned_share: share of pairs that are turned by half a bar.
        ema_decay: share of the averaged weights that a step keeps (exponential moving average).
        patience: validations, one every 50 steps, without a better one before the run ends.
    """

    train_steps: int = 2000
    batch_size: int = 512
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    song_exponent: float = 1.0
    turned_share: float = 0.1
    ema_decay: float = 0.998
    patience: int = 20

    def __post_init__(self) -> None:
        _check_stop(self)
        _check(self, shares=("song_exponent", "turned_share", "ema_decay"))


@dataclass(frozen=True)
class TextLSTMTrainingConfig:
    """How a network of texts of bars is trained.

    Attributes:
        train_steps: batches at most, over which the learning rate decays; the only number that a resumed run may
            change.
        batch_size: passages of songs in a batch, of each process.
        bars: bars of a passage.
        seed: of the weights, the batches and the dropout.
        learning_rate: peak learning rate (AdamW, β = .9, .98); it decays to a fiftieth along a cosine.
        weight_decay: AdamW's.
        song_exponent: a song with n bars is drawn from n to this power times as often as one with a single bar: 0 draws
            all songs alike.
        ema_decay: share of the averaged weights that a step keeps (exponential moving average).
        patience: validations, one every 50 steps, without a better one before the run ends.
    """

    train_steps: int = 1500
    batch_size: int = 64
    bars: int = 8
    seed: int = 0
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    song_exponent: float = 0.5
    ema_decay: float = 0.99
    patience: int = 8

    def __post_init__(self) -> None:
        _check_stop(self)
        if not 1 <= self.bars <= 64:
            raise ValueError(f"a passage has 1 to 64 bars, not {self.bars}")
        _check(self, shares=("song_exponent", "ema_decay"))


@dataclass(frozen=True)
class PublishedTextTrainingConfig:
    """How a network of texts of bars is trained as TrapGenerator (2020) is: on windows of the text, by Adam.

    Of a window only the token after it is predicted. The next window begins ``window_step`` tokens later.

    Attributes:
        train_steps: batches at most; the only number that a resumed run may change.
        batch_size: windows in a batch, of each process.
        maxlen: tokens of a window.
        window_step: tokens from one window to the next.
        shared_windows: windows in a row that are read at once, from the beginning of the first: they overlap in all but
            ``window_step`` tokens. Read one by one they cost as many times as much.
        seed: of the weights, the batches and the dropout.
        learning_rate: Adam's.
        patience: validations, one every 50 steps, without a better one before the run ends.
    """

    train_steps: int = 1000
    batch_size: int = 128
    maxlen: int = 256
    window_step: int = 8
    shared_windows: int = 32
    seed: int = 0
    learning_rate: float = 1e-3
    patience: int = 20

    def __post_init__(self) -> None:
        _check_stop(self)
        _check(self, shares=())
        for name in ("maxlen", "window_step", "shared_windows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a whole number from 1 on, not {getattr(self, name)}")
        if self.batch_size % self.shared_windows:
            raise ValueError(
                f"batch_size (--batch-size) is a multiple of {self.shared_windows}, the windows that are read at "
                f"once, not {self.batch_size}"
            )

    @property
    def reach(self) -> int:
        """Tokens from the beginning of the first of the windows that are read at once to the last one predicted."""
        return self.maxlen + self.window_step * (self.shared_windows - 1) + 1


LikelihoodTrainingConfig = (
    PriorTrainingConfig
    | BarLSTMTrainingConfig
    | NoteCNNTrainingConfig
    | AnswerTrainingConfig
    | TextLSTMTrainingConfig
    | PublishedTextTrainingConfig
)
"""How a model is trained by likelihood, until the validation songs do not become likelier any more."""


def _check_stop(config: LikelihoodTrainingConfig) -> None:
    """Check when training by likelihood ends.

    Raises:
        ValueError: never, or before the first step.
    """
    if config.train_steps < 1:
        raise ValueError(f"training takes at least one step, not {config.train_steps}")
    if config.patience < 1:
        raise ValueError(f"patience is a whole number from 1 on, not {config.patience}")


def _check(
    config: AdversarialConfig | PhraseConvGANTrainingConfig | LikelihoodTrainingConfig, shares: Sequence[str]
) -> None:
    """Check what all have: batch_size, seed, finite numbers from 0 on, and shares up to 1.

    Raises:
        ValueError: one is out of range; it is named.
    """
    if not 2 <= config.batch_size <= 1 << 16:
        raise ValueError(f"a batch has 2 to {1 << 16} bars, not {config.batch_size}")
    for name, value in asdict(config).items():
        if isinstance(value, float) and not 0 <= value < math.inf:
            raise ValueError(f"{name} is a number from 0 on, not {value}")
    for name in shares:
        if getattr(config, name) > 1:
            raise ValueError(f"{name} lies in 0 … 1, not {getattr(config, name)}")
    if not 0 <= config.seed < 2**63:
        raise ValueError(f"the seed is a whole number from 0 to 2^63 - 1, not {config.seed}")
