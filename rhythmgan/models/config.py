"""The shapes of the networks, as data: importing them is cheap, so that help texts can say their defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from rhythmgan.conditions import ANY


@dataclass(frozen=True)
class GANConfig:
    """The shape of a GAN: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        width: units of the generator's state.
        discriminator_width: units of the discriminator's layers.
        denoiser_width: units of the denoiser's layers.
        dropout: share of the generator's units that are left out while it is pretrained, not in the adversarial phase.
        roles, styles: that it can be asked for, beside "any".
    """

    kit: str = "gm12"
    steps: int = 16
    width: int = 256
    discriminator_width: int = 160
    denoiser_width: int = 128
    dropout: float = 0.5
    roles: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # JSON has lists, and a frozen dataclass no other way to set what it has
        object.__setattr__(self, "roles", _names(self.roles))
        object.__setattr__(self, "styles", _names(self.styles))
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not all(1 <= width <= 4096 for width in (self.width, self.discriminator_width, self.denoiser_width)):
            raise ValueError("the widths lie in 1 … 4096")
        _check_dropout(self.dropout)

    @property
    def length(self) -> int:
        """Steps that are decided in a row."""
        return self.steps

    @property
    def repeats(self) -> tuple[int, ...]:
        """How many steps later a figure may come again: a beat and two beats."""
        from rhythmgan.bars import BEATS

        beat = self.steps // BEATS
        return beat, 2 * beat


@dataclass(frozen=True)
class PhraseGANConfig(GANConfig):
    """The shape of a GAN of phrases, of which the bars are decided one after the other as the steps of one bar are.

    Attributes:
        bars: of a phrase.
    """

    kit: str = "rythmgan7"
    width: int = 192
    bars: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.bars <= 16:
            raise ValueError(f"a phrase has 2 to 16 bars, not {self.bars}")

    @property
    def length(self) -> int:
        return self.bars * self.steps

    @property
    def repeats(self) -> tuple[int, ...]:
        """A beat and two beats, and a bar and, where a phrase is longer than two, two bars."""
        return *super().repeats, *(bars * self.steps for bars in (1, 2) if bars < self.bars)


@dataclass(frozen=True)
class PhraseConvGANConfig:
    """The shape of a convolutional GAN of phrases: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its phrases.
        steps: grid of a bar.
        bars: of a phrase.
        latent_dim: numbers of z.
        width: channels of the generator's first layer, and of the critic's last; each layer between has half as many.
    """

    kit: str = "rythmgan7"
    steps: int = 16
    bars: int = 4
    latent_dim: int = 128
    width: int = 128

    def __post_init__(self) -> None:
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not 1 <= self.bars <= 16:
            raise ValueError(f"a phrase has 1 to 16 bars, not {self.bars}")
        if not 1 <= self.latent_dim <= 4096:
            raise ValueError(f"latent_dim lies in 1 … 4096, not {self.latent_dim}")
        if not 8 <= self.width <= 4096 or self.width % 8:
            raise ValueError(f"width is a multiple of 8 in 8 … 4096, not {self.width}")


@dataclass(frozen=True)
class WordLSTMConfig:
    """The shape of a prior: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        width: units of each layer.
        layers: LSTMs on top of each other.
        word_width: numbers in a word's vector.
        dropout: share of units that are left out in training.
        roles, styles: that it can be asked for, beside "any".
        n_forms: forms of phrases that it has.
    """

    kit: str = "gm12"
    steps: int = 16
    width: int = 320
    layers: int = 1
    word_width: int = 96
    dropout: float = 0.5
    roles: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    n_forms: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", _names(self.roles))
        object.__setattr__(self, "styles", _names(self.styles))
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8 or not 1 <= self.word_width <= 1024:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8, word_width in 1 … 1024")
        _check_dropout(self.dropout)


@dataclass(frozen=True)
class BarLSTMConfig:
    """The shape of a model of the next bar: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        width: units of the LSTM that reads a bar.
        summary_width: units of the one after it, of which the last state stands for the bar.
        decoder_width: units of the one that goes through the next bar.
        sees_step: whether the decoder also sees the word that the bar before has on its step; jaki's does not.
        dropout: share of units that are left out in training.
    """

    kit: str = "jaki5"
    steps: int = 16
    width: int = 250
    summary_width: int = 100
    decoder_width: int = 16
    sees_step: bool = False
    dropout: float = 0.3

    def __post_init__(self) -> None:
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not all(1 <= width <= 4096 for width in (self.width, self.summary_width, self.decoder_width)):
            raise ValueError("the widths lie in 1 … 4096")
        _check_dropout(self.dropout)


@dataclass(frozen=True)
class NoteCNNConfig:
    """The shape of a note-wise CNN: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its loops; its notes are the kit's parts and silence.
        steps: grid of its bars.
        n_given: notes of a loop that it is given; it continues them.
        width: channels of the convolution.
        kernel: steps that the convolution reads at a time, an odd number.
        n_openings: beginnings of loops that it has, to draw loops of nothing.
    """

    kit: str = "roland10"
    steps: int = 16
    n_given: int = 8
    width: int = 64
    kernel: int = 5
    n_openings: int = 0

    def __post_init__(self) -> None:
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not 1 <= self.width <= 4096 or not 1 <= self.kernel <= 2 * self.steps or self.kernel % 2 == 0:
            raise ValueError("width lies in 1 … 4096, kernel is an odd number of steps of a loop")
        if not 1 <= self.n_given < 2 * self.steps or self.n_openings < 0:
            raise ValueError(f"n_given lies in 1 … {2 * self.steps - 1}, n_openings from 0 on")


@dataclass(frozen=True)
class AnswerConfig:
    """The shape of a network that answers a line with another: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of which the lines are parts.
        given: the part that is answered, by name.
        answer: the part that answers.
        steps: grid of the lines.
        width: units of each layer.
        layers: its layers.
        dropout: share of units that are left out in training.
    """

    kit: str = "gm12"
    given: str = "kick"
    answer: str = "snare"
    steps: int = 16
    width: int = 256
    layers: int = 2
    dropout: float = 0.4

    def __post_init__(self) -> None:
        from rhythmgan.kit import kit_named

        names = kit_named(str(self.kit)).names
        if self.given == self.answer or not {self.given, self.answer} <= set(names):
            raise ValueError(f"two parts of kit {self.kit} answer one another: {', '.join(names)}")
        _check_grid(self.steps)
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8")
        _check_dropout(self.dropout)


@dataclass(frozen=True)
class TextLSTMConfig:
    """The shape of a network of texts of bars: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        characters: whether a token is a character of the text, or a word of it.
        sees_bars: whether it is shown words by their parts, the place in the bar, and the tokens a beat, half a bar, a
            bar and two bars before. TrapGenerator's sees the token before, one of a list, and no more.
        width: units of each layer.
        layers: LSTMs on top of each other.
        dropout: share of units that are left out in training.
    """

    kit: str = "gm9"
    steps: int = 16
    characters: bool = False
    sees_bars: bool = True
    width: int = 256
    layers: int = 1
    dropout: float = 0.4

    def __post_init__(self) -> None:
        _n_parts(self.kit)
        _check_grid(self.steps)
        if not 1 <= self.width <= 4096 or not 1 <= self.layers <= 8:
            raise ValueError("width lies in 1 … 4096, layers in 1 … 8")
        _check_dropout(self.dropout)


Config = TypeVar("Config")

_MAX_NAMES, _MAX_CHARACTERS, _MAX_INT = 4096, 200, 1 << 53


def config_of(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """The config that a file gives as names and values, each of its very type.

    Args:
        kind: a dataclass of texts, truth values, whole and other numbers, and tuples of texts or of numbers, which may
            be lists.
        values: of its fields.

    Raises:
        ValueError: a field is missing, unknown, or of another type, or the config itself refuses a value.
    """
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}
    if unknown := values.keys() - known.keys():
        raise ValueError(f"the config has {min(unknown)[:40]!r}, which there is not")
    for name, each in known.items():
        if name in values:
            _check_value(name, values[name], hints[name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"the config lacks {name}")
    return cast(Config, kind(**values))


def _check_value(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is tuple:
        of = get_args(hint)[0]
        if not isinstance(value, list | tuple) or not all(_is_right(each, of) for each in value):
            what = "roles and styles are lists" if name in ("roles", "styles") else f"{name} is a list"
            raise ValueError(f"{what} of {'names' if of is str else 'numbers'}, not {repr(value)[:40]}")
        if len(value) > _MAX_NAMES:
            raise ValueError(f"{name} is a list of {_MAX_NAMES} values at most")
    elif not _is_right(value, hint):
        raise ValueError(f"{name} is of type {hint.__name__}, not {repr(value)[:40]}")


def _is_right(value: Any, kind: type) -> bool:
    right = {
        bool: type(value) is bool,
        int: type(value) is int and abs(value) < _MAX_INT,
        float: type(value) in (int, float) and abs(value) < _MAX_INT,
        str: type(value) is str and len(value) <= _MAX_CHARACTERS,
    }
    return right[kind]


PUBLISHED_TEXT_LSTM: Mapping[str, Any] = {"sees_bars": False, "width": 512, "layers": 3, "dropout": 0.2}
"""What TrapGenerator's network has, as fields of ``TextLSTMConfig``."""


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """Distinct names, none of them "any", which every model knows."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"roles and styles are lists of names, not {names!r}")
    if len(set(names)) < len(names) or ANY in names:
        raise ValueError(
            f"roles and styles have names of their own, and none is called {ANY!r}; got {', '.join(names)}"
        )
    return tuple(names)


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
