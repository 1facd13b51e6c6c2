"""What a model is asked for: a bar's role in its song, and the style of the song."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

ANY = "any"
"""The role or style of a model that is asked for none in particular."""

DEFAULT_ROLE = "groove"
"""What a model plays unless it is asked for something else: what songs play most of the time."""


@dataclass(frozen=True)
class Condition:
    """What a model is asked for.

    Attributes:
        role: a role of ``roles.ROLES``, whose bars are as songs play them; or "any", which stands for the distinct bars
            of songs, each as often as any other, whatever their role.
        style: a style of the training songs, or "any".
    """

    role: str = ANY
    style: str = ANY

    @staticmethod
    def default(roles: Sequence[str]) -> Condition:
        """What a model that knows these roles plays unasked: grooves if it knows them."""
        return Condition(DEFAULT_ROLE if DEFAULT_ROLE in roles else ANY)

    def asked(self, role: str | None, style: str | None, roles: Sequence[str], styles: Sequence[str]) -> Condition:
        """This condition with another role or style; None keeps it.

        Args:
            role, style: what is asked for.
            roles, styles: what the model knows.

        Raises:
            ValueError: the model knows no such role or style; the message lists what it knows.
        """
        for name, wanted, known in (("role", role, roles), ("style", style, styles)):
            if wanted is not None and wanted != ANY and wanted not in known:
                raise ValueError(f"this model knows no {name} {wanted!r}; it knows {', '.join([*known, ANY])}")
        changed = {"role": role, "style": style}
        return replace(self, **{name: value for name, value in changed.items() if value is not None})
