"""The shapes of the networks, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GANConfig:
    """The shape of a GAN: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        width: units of the generator's state.
        discriminator_width: units of the discriminator's layers.
        dropout: share of the generator's units that are left out while it is pretrained, not in the adversarial phase.
    """

    kit: str = "gm9"
    steps: int = 16
    width: int = 320
    discriminator_width: int = 160
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not all(1 <= width <= 4096 for width in (self.width, self.discriminator_width)):
            raise ValueError("the widths lie in 1 … 4096")
        _check_dropout(self.dropout)


@dataclass(frozen=True)
class WordLSTMConfig:
    """The shape of a prior: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars; of 9 parts at most, which make 512 words.
        steps: grid of its bars.
        width: units of each layer.
        layers: LSTMs on top of each other.
        word_width: numbers in a word's vector.
        dropout: share of units that are left out in training.
    """

    kit: str = "gm9"
    steps: int = 16
    width: int = 320
    layers: int = 1
    word_width: int = 96
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if _n_parts(self.kit) > 9:
            raise ValueError("a prior's kit has 9 parts at most")
        _check_grid(self.steps)
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8 or not 1 <= self.word_width <= 1024:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8, word_width in 1 … 1024")
        _check_dropout(self.dropout)


# kits and grids are looked up late: their modules import NumPy, for which the help of a command must not wait


def _n_parts(kit: str) -> int:
    """Parts of the kit of this name; a ValueError where there is none."""
    from rhythmgan.kit import kit_named

    return kit_named(str(kit)).n_parts


def _check_grid(steps: int) -> None:
    from rhythmgan.bars import check_steps

    check_steps(steps)


def _check_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout lies from 0 to below 1, not {dropout}")
