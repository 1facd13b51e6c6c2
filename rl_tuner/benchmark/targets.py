"""Families of targets: what real bars have, what few of them have, and what no bar can have."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

FEASIBLE = ("pairs", "crossed", "corners")
INFEASIBLE = "infeasible"

_IMPOSSIBLE = ((0.0, 9.0), (200.0, 6.0), (3.0, 40.0), (18.0, 60.0))
"""Syncopation without onsets, more onsets than cells, and more syncopation than so many onsets can have."""


def families(values: Tensor, sizes: Mapping[str, int], seed: int) -> dict[str, Tensor]:
    """Targets of each family.

    ``pairs`` are the features of real bars, ``crossed`` have each feature of another bar, ``corners`` are the four of
    the 5 % and 95 % quantiles, ``infeasible`` are features that no bar can have.

    Args:
        values: (m, 2), density and syncopation of real bars.
        sizes: family → how many targets.
        seed: of the draws.

    Returns:
        Family → targets (n, 2).
    """
    random = torch.Generator().manual_seed(seed)

    def rows(n: int) -> Tensor:
        return torch.randint(len(values), (n,), generator=random)

    low, high = (torch.quantile(values, share, dim=0, interpolation="nearest") for share in (0.05, 0.95))
    corners = torch.stack([torch.stack([d, s]) for d in (low[0], high[0]) for s in (low[1], high[1])])
    return {
        "pairs": values[rows(sizes["pairs"])],
        "crossed": torch.stack([values[rows(sizes["crossed"]), 0], values[rows(sizes["crossed"]), 1]], 1),
        "corners": corners[torch.arange(sizes["corners"]) % len(corners)],
        INFEASIBLE: torch.tensor(_IMPOSSIBLE)[torch.arange(sizes[INFEASIBLE]) % len(_IMPOSSIBLE)],
    }
