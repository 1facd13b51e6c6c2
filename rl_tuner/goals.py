"""What episodes are asked for: targets of features, and how much each term counts beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from rl_tuner.rewards import BAR_TERMS, MOVE_COSTS

Rows = TypeVar("Rows", bound="Batched")


@dataclass
class Batched:
    """Tensors of one length, and dictionaries of such, that are taken and set by rows."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def rows(self: Rows, index: Tensor) -> Rows:
        """The rows of an index or a mask."""
        return self._each(lambda tensor: tensor[index])

    def copy(self: Rows) -> Rows:
        """The same in memory of its own."""
        return self._each(Tensor.clone)

    def to(self: Rows, device: torch.device) -> Rows:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def put(self: Rows, index: Tensor, rows: Rows) -> None:
        """Set the rows of an index or a mask."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(rows, each.name)
            if isinstance(mine, dict):
                for name, tensor in mine.items():
                    tensor[index] = theirs[name]
            else:
                mine[index] = theirs

    def _each(self: Rows, change: Callable[[Tensor], Tensor]) -> Rows:
        changed: dict[str, Any] = {}
        for each in fields(self):
            mine = getattr(self, each.name)
            is_dict = isinstance(mine, dict)
            changed[each.name] = {name: change(one) for name, one in mine.items()} if is_dict else change(mine)
        return type(self)(**changed)


@dataclass
class Goals(Batched):
    """What n episodes are asked for.

    Attributes:
        targets: (n, F), of the features, each in its own unit.
        importance: (n, F), 0 or more: how much each feature counts; 0 skips it.
        coefs: term → (n,), 0 … 1: how much a term of ``rewards.TERMS`` counts beside the targets; a term that is not
            named does not count.
        calls: (n,) ints, generator calls that each may use, its first bar included.
    """

    targets: Tensor
    importance: Tensor
    coefs: dict[str, Tensor]
    calls: Tensor

    @staticmethod
    def of(targets: Tensor, calls: int, importance: Tensor | None = None, **coefs: float) -> Goals:
        """Goals that are alike but for their targets (n, F) and importance (n, F), which is 1 by default.

        Raises:
            ValueError: a coefficient of a term that there is not.
        """
        check_terms(coefs)
        n = len(targets)
        importance = torch.ones_like(targets) if importance is None else importance
        shares = {name: torch.full((n,), float(share), dtype=targets.dtype) for name, share in coefs.items()}
        return Goals(targets, importance, shares, torch.full((n,), calls))

    def coef(self, name: str) -> Tensor:
        """(n,), how much a term counts: 0 where the goals do not name it."""
        return self.coefs[name] if name in self.coefs else torch.zeros_like(self.targets[:, 0])

    @property
    def asks_networks(self) -> Tensor:
        """(n,) bool, whether a term of ``BAR_TERMS`` counts: then a success is not the end of a search."""
        asked = torch.zeros(len(self), dtype=torch.bool, device=self.targets.device)
        for name in BAR_TERMS:
            asked |= self.coef(name) > 0
        return asked

    def with_terms(self, names: Sequence[str]) -> Goals:
        """The same with a coefficient for each of these terms, 0 where there was none.

        Raises:
            ValueError: the goals name a term that is none of these.
        """
        check_terms(self.coefs, names)
        return Goals(self.targets, self.importance, {name: self.coef(name) for name in names}, self.calls)


def check_terms(names: Iterable[str], known: Sequence[str] | None = None) -> None:
    """Check the names of terms.

    Args:
        names: to be checked.
        known: the terms that there are; those of the tables in ``rewards`` by default.

    Raises:
        ValueError: one that is not known.
    """
    known = (*BAR_TERMS, *MOVE_COSTS) if known is None else known
    for name in names:
        if name not in known:
            raise ValueError(f"no term is called {name!r}; there are {', '.join(known)}")
