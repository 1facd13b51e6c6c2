"""What the rest of the house asks of a model: small protocols, which a model fits without naming them.

A model may fit several: a GAN is a latent model and a critic, a prior is a sampler and a likelihood. Bars are
(n, steps, parts) bool everywhere, of the model's ``kit`` and its grid of ``steps``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
from torch import Tensor

from rhythmgan.conditions import Condition
from rhythmgan.forms import Forms
from rhythmgan.kit import Kit

if TYPE_CHECKING:
    from typing_extensions import Self


class BarModel(Protocol):
    """Anything that deals with bars of one kit and one grid."""

    @property
    def kit(self) -> Kit:
        """What the parts are."""

    @property
    def steps(self) -> int:
        """Steps in a bar."""


@runtime_checkable
class Sampler(BarModel, Protocol):
    """A model that bars are drawn from."""

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """n bars (n, steps, parts) bool, of the seeds ``seed``, ``seed`` + 1 …: each a function of its own seed."""


class Conditional(Protocol):
    """A model that can be asked for bars of a role and a style."""

    @property
    def condition(self) -> Condition:
        """What it is asked for."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it knows, beside "any"."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it knows, beside "any"."""

    def with_condition(self, role: str | None = None, style: str | None = None) -> Self:
        """The same model, asked for another role or style; None keeps it."""


class UnfinishedBars(Protocol):
    """n bars that are decided step by step, for whoever wants to choose while they are."""

    @property
    def state(self) -> Tensor:
        """(n, width): what the model knows of each bar so far."""

    @property
    def cells(self) -> Tensor:
        """(n, steps so far, parts) bool."""

    @property
    def z(self) -> Tensor:
        """(n, numbers so far): the noise that decided them, the beginning of a latent point.

        Where rounding could turn a decision the number is moved a little, so that it cannot: ``decode`` gives the
        very cells.
        """

    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The same bars one step further; ``noise`` (n, …) are the numbers of z that decide the step."""

    def look_ahead(self) -> NextStep:
        """The next step before it is decided: what all noises share that are tried for it."""

    def rows(self, index: Tensor) -> UnfinishedBars:
        """The bars of these rows, some maybe several times."""


class NextStep(Protocol):
    """A step of n bars that is not decided yet, for whoever wants to choose among several noises for it.

    Parts are decided one after the other. A cell sounds where its noise and what is expected of it are over zero
    together, so its chance is Φ of what is expected.
    """

    @property
    def state(self) -> Tensor:
        """(n, width): what the model knows of each bar before the step, and all that it will know after it."""

    @property
    def bars(self) -> UnfinishedBars:
        """The bars whose next step it is."""

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Of the step for each bar, and of each noise that is tried for it: what a step costs with so many noises."""

    def cells_of(self, noise: Tensor) -> Tensor:
        """The cells (n, k, parts) bool that noises (n, k, parts) decide."""

    def expected_of(self, cells: Tensor) -> Tensor:
        """What is expected of each cell (n, k, parts) given those before it."""

    def noise_of(self, cells: Tensor, uniform: Tensor) -> Tensor:
        """Noises that decide these cells, of N(0, 1) cut off; all (n, k, parts), ``uniform`` of (0, 1)."""

    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The bars with this step decided by noise (n, parts)."""

    def rows(self, index: Tensor) -> NextStep:
        """The step of the bars of these rows, some maybe several times."""


@runtime_checkable
class LatentModel(Sampler, Conditional, Protocol):
    """A sampler whose bars are functions of latent points z (n, latent_dim), drawn from N(0, I), and of a condition.

    The numbers of z are in the order of the steps that they decide: ``latent_steps`` (latent_dim,) ints, rising.
    Numbers of a later step do not change earlier ones' cells.
    """

    @property
    def latent_dim(self) -> int:
        """Numbers in a latent point."""

    @property
    def latent_steps(self) -> np.ndarray:
        """(latent_dim,) ints: the step that each number of z decides."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for what decodes, and for the condition."""

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """As ``Sampler``; with a temperature below 1 likely bars become likelier, as dense as before."""

    def latents(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0, stream: int = 0) -> np.ndarray:
        """The latent points of seeds, (n, latent_dim) float32, at a temperature."""

    def draw(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """The latent points of seeds and their bars, drawn once for both."""

    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """The bars of latent points; each depends on its own z only, in any batch and on any machine."""

    def encode(self, bars: np.ndarray, seed: int | np.ndarray = 0) -> np.ndarray:
        """Latent points (n, latent_dim) float32 that decode to these very bars, of the seeds from this one on."""

    def begin(self, n: int) -> UnfinishedBars:
        """n bars of which no step is decided yet. Decided with a z step by step they are the bars of this z."""

    def decode_with_gradient(self, z: Tensor) -> Tensor:
        """The bars of z as floats that are exactly 0 or 1, with a gradient to z that passes the decisions."""

    def cell_log_prob(self, bars: np.ndarray, temperature: float = 1.0) -> Tensor:
        """The log-chance of each cell to be what it is given those before it: (n, steps, parts) float64, nats."""

    def lock(self, z: np.ndarray, bars: np.ndarray, locked: np.ndarray) -> np.ndarray:
        """z (n, latent_dim) with the numbers of locked cells (steps, parts) set so that these are as in ``bars``."""


@runtime_checkable
class Likelihood(Conditional, BarModel, Protocol):
    """A model that says how likely bars are under a condition."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    def step_log_prob(self, bars: np.ndarray | Tensor, previous: np.ndarray | Tensor | None = None) -> Tensor:
        """Log-probability of each step given those before it, and the bar before where given: (n, steps), nats."""

    def log_prob(self, bars: np.ndarray | Tensor, previous: np.ndarray | Tensor | None = None) -> Tensor:
        """Log-probability of whole bars: (n,), nats."""

    def in_double(self) -> Likelihood:
        """The same in double precision on the CPU: what it says is then the same on every machine."""


@runtime_checkable
class Critic(BarModel, Protocol):
    """A model trained to separate real bars from generated ones."""

    @property
    def critic_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    def logits(self, bars: np.ndarray | Tensor) -> Tensor:
        """A logit for each bar (n,), high for real; only differences of logits mean something."""


@runtime_checkable
class LatentCritic(LatentModel, Critic, Protocol):
    """A latent model with a critic of its own, that also finds the cells of a bar that do not belong to it: a GAN."""

    def denoiser_in_double(self) -> Callable[[Tensor], Tensor]:
        """Bars (n, steps, parts) float64 → logits of each cell, high for what does not belong; gradients pass."""


@runtime_checkable
class SamplingLikelihood(Sampler, Likelihood, Protocol):
    """A likelihood that bars can be drawn from, as an autoregressive prior is."""


@runtime_checkable
class PhrasePrior(Conditional, BarModel, Protocol):
    """A model that knows which bars follow one another in songs, as an autoregressive prior does."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights, its forms and the condition."""

    @property
    def forms(self) -> Forms:
        """Which bars of a phrase come again, counted in the songs that it was trained on."""

    def prepared(self) -> Self:
        """The same for many draws; its weights must not change any more."""

    def draw(
        self, seeds: np.ndarray, stream: int | np.ndarray = 0, *, previous: np.ndarray | None = None
    ) -> np.ndarray:
        """A bar for each of these seeds (n,) that follows the bar before it: both (n, steps, parts) bool.

        One of the same seed and another stream is another bar; all have the same stream, or each its own (n,).
        """


@runtime_checkable
class PhraseSampler(BarModel, Protocol):
    """A model that makes all bars of a phrase itself, each phrase a function of its own seed."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    @property
    def max_bars(self) -> int | None:
        """Bars that a phrase of it may have; None where there is no limit."""

    def phrases(
        self,
        seeds: Sequence[int] | np.ndarray,
        n_bars: int,
        temperature: float = 1.0,
        given: np.ndarray | None = None,
    ) -> np.ndarray:
        """The phrases of seeds (n,): (n, n_bars, steps, parts) bool. Fewer bars are the first ones of more.

        Args:
            seeds: ints.
            n_bars: bars of each.
            temperature: over 0, up to 1000; less is more ordinary.
            given: (k, steps, parts) bool, bars that every phrase begins with, fewer than ``n_bars``.

        Raises:
            ValueError: an option out of range, or a model that cannot go on from bars.
        """


@runtime_checkable
class NextBarModel(BarModel, Protocol):
    """A model that has read a bar and says of each step of the next one, on its own, which words are likely."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    def word_log_prob(self, previous: np.ndarray | Tensor) -> Tensor:
        """Log-probability of every word on every step after bars: (n, steps, words) nats."""

    def in_double(self) -> NextBarModel:
        """The same in double precision on the CPU: what it says is then the same on every machine."""


@runtime_checkable
class NoteModel(BarModel, Protocol):
    """A model of loops of two bars with one note a step, that says how likely each next note is.

    Notes are the kit's parts from 1 on, and 0 is silence; what it sees of a loop so far are ``loops.windows``.
    """

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    @property
    def n_given(self) -> int:
        """Notes of a loop that it is given; it continues them."""

    def known_openings(self) -> tuple[np.ndarray, np.ndarray]:
        """The notes (m, n_given) uint8 that loops of songs begin with, and how often each does (m,)."""

    def __call__(self, seen: Tensor) -> Tensor:
        """Windows (n, 2 · steps · notes) → logits (n, notes) of the next note."""

    def log_prob(self, notes: Tensor | np.ndarray) -> Tensor:
        """Log-probability of each note of loops (n, 2 · steps) but those that are given, nats."""

    def draw_openings(self, seeds: np.ndarray) -> np.ndarray:
        """The notes that loops of these seeds (n,) begin with, (n, n_given) uint8."""

    def complete(self, given: np.ndarray, seeds: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """What follows notes (n, n_given) that are given: (n, 2 · steps) uint8."""


@runtime_checkable
class LineAnswers(BarModel, Protocol):
    """A model that answers a line of one part with a line of another, written from left to right."""

    @property
    def given(self) -> str:
        """The part that is answered, by name."""

    @property
    def answer(self) -> str:
        """The part that answers, by name."""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for its weights."""

    def next_log_prob(self, given: Tensor, begun: Tensor) -> Tensor:
        """Log-chances (n, steps + 1) of the next onset's step, or of none, behind answers begun; both (n, steps)."""

    def log_prob(self, given: Tensor | np.ndarray, answers: Tensor | np.ndarray) -> Tensor:
        """Log-probability of whole answers to lines, both (n, steps) bool: (n,) nats; −∞ of silence."""


Model = TypeVar("Model", bound=BarModel)


def check_compatible(model: Model, kit: Kit, steps: int, name: str) -> Model:
    """``model`` if its bars are of this kit and grid.

    Raises:
        ValueError: they are not; the message begins with ``name``.
    """
    if (model.kit, model.steps) != (kit, steps):
        raise ValueError(
            f"{name} makes bars of kit {model.kit.name} and {model.steps} steps, "
            f"but kit {kit.name} and {steps} steps are needed"
        )
    return model
