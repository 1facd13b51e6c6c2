"""What the networks are told of a bar: how it was augmented, its role and its style, as a sum of learned vectors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rhythmgan.augment import N_AUGMENTATIONS, REAL
from rhythmgan.conditions import ANY, Condition
from rhythmgan.models.config import GANConfig, WordLSTMConfig

if TYPE_CHECKING:
    from typing_extensions import Self


def labels_of(condition: Condition, roles: Sequence[str], styles: Sequence[str]) -> Tensor:
    """The labels (1, 3) ints of a bar as it is under a condition: its augmentation, its role and its style.

    Roles and styles are counted from 1; 0 stands for any.
    """
    numbers = [
        0 if name == ANY else 1 + list(known).index(name)
        for name, known in ((condition.role, roles), (condition.style, styles))
    ]
    return torch.tensor([[REAL, *numbers]])


class ConditionalNetwork(nn.Module):
    """A network that can be asked for bars of a role and a style; its config says which it knows.

    Attributes:
        config: has ``roles`` and ``styles``.
        condition: what is asked for.
    """

    config: GANConfig | WordLSTMConfig
    condition: Condition

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it knows, beside "any"."""
        return self.config.roles

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it knows, beside "any"."""
        return self.config.styles

    def with_condition(self, role: str | None = None, style: str | None = None) -> Self:
        """The same network, asked for bars of another role or style.

        Args:
            role: one of ``roles``, or "any"; None keeps what is asked for now.
            style: one of ``styles``, or "any"; None keeps it.

        Raises:
            ValueError: the network knows no such role or style.
        """
        asked = copy.copy(self)
        asked.condition = self.condition.asked(role, style, self.roles, self.styles)
        return asked


class LabelTable(nn.Module):
    """Labels (n, 3) ints → (n, width): the sum of a learned vector for each of the three."""

    def __init__(self, n_roles: int, n_styles: int, width: int, scale: float) -> None:
        """Draw the vectors.

        Args:
            n_roles, n_styles: how many there are beside "any".
            width: numbers in a vector.
            scale: standard deviation of the numbers at first.
        """
        super().__init__()
        self.augmentation = nn.Parameter(torch.randn(N_AUGMENTATIONS, width) * scale)
        self.role = nn.Parameter(torch.randn(1 + n_roles, width) * scale)
        self.style = nn.Parameter(torch.randn(1 + n_styles, width) * scale)

    def forward(self, labels: Tensor) -> Tensor:
        augmentation, role, style = labels.unbind(1)
        return self.augmentation[augmentation] + self.role[role] + self.style[style]
