"""Which generator an agent steers, and what it is asked for meanwhile."""

from __future__ import annotations

from typing import Protocol, TypeVar

from rhythmgan.conditions import ANY
from rhythmgan.models.interfaces import LatentModel

Model = TypeVar("Model", bound=LatentModel)


class Learnt(Protocol):
    """What an agent's config says of the generator that it learnt to steer."""

    @property
    def generator(self) -> str:
        """Its fingerprint, under the condition."""

    @property
    def role(self) -> str:
        """The role that it is asked for."""

    @property
    def style(self) -> str:
        """The style that it is asked for."""


def asked_as_learnt(generator: Model, learnt: Learnt) -> Model:
    """The generator, asked for what an agent learnt to steer.

    Raises:
        ValueError: another generator than the one that it learnt to steer.
    """
    known = (generator.roles, generator.styles)
    if all(name == ANY or name in names for name, names in zip((learnt.role, learnt.style), known, strict=True)):
        asked = generator.with_condition(learnt.role, learnt.style)
        if asked.fingerprint == learnt.generator:
            return asked
    raise ValueError("the agent was trained to steer another generator; train one with `rl-tuner train`")
