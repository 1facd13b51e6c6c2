"""What the rest of the house asks of a model: small protocols, which a model fits without naming them.

A model may fit several: a GAN is a latent model and a critic, a prior is a sampler and a likelihood. Bars are
(n, steps, parts) bool everywhere, of the model's ``kit`` and its grid of ``steps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from torch import Tensor

from rhythmgan.kit import Kit


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


class UnfinishedBars(Protocol):
    """n bars that are decided step by step, for whoever wants to choose while they are."""

    @property
    def state(self) -> Tensor:
        """(n, width): what the model knows of each bar so far."""

    @property
    def cells(self) -> Tensor:
        """(n, steps so far, parts) bool."""

    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The same bars one step further; ``noise`` (n, …) are the numbers of z that decide the step."""

    def rows(self, index: Tensor) -> UnfinishedBars:
        """The bars of these rows, some maybe several times."""


@runtime_checkable
class LatentModel(Sampler, Protocol):
    """A sampler whose bars are functions of latent points z (n, latent_dim), drawn from N(0, I).

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
        """Sixteen hexadecimal digits that stand for what decodes."""

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """As ``Sampler``; the temperature is the standard deviation of z."""

    def latents(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0, stream: int = 0) -> np.ndarray:
        """The latent points of seeds, (n, latent_dim) float32, with this standard deviation."""

    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """The bars of latent points; each depends on its own z only, in any batch and on any machine."""

    def encode(self, bars: np.ndarray, seed: int = 0) -> np.ndarray:
        """Latent points (n, latent_dim) float32 that decode to these very bars."""

    def begin(self, n: int) -> UnfinishedBars:
        """n bars of which no step is decided yet. Decided with a z step by step they are the bars of this z."""

    def decode_with_gradient(self, z: Tensor) -> Tensor:
        """The bars of z as floats that are exactly 0 or 1, with a gradient to z that passes the decisions."""

    def cell_log_prob(self, bars: np.ndarray, temperature: float = 1.0) -> Tensor:
        """The log-chance of each cell to be what it is given those before it: (n, steps, parts) float64, nats."""

    def lock(self, z: np.ndarray, bars: np.ndarray, locked: np.ndarray) -> np.ndarray:
        """z (n, latent_dim) with the numbers of locked cells (steps, parts) set so that these are as in ``bars``."""


@runtime_checkable
class Likelihood(BarModel, Protocol):
    """A model that says how likely bars are."""

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
    """A latent model with a critic of its own, as a GAN is."""


@runtime_checkable
class SamplingLikelihood(Sampler, Likelihood, Protocol):
    """A likelihood that bars can be drawn from, as an autoregressive prior is."""


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
