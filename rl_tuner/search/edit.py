"""Search among bars instead of latent points: cells are flipped."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rl_tuner.search.problem import Problem, Search


def edit_search(bars_of: Callable[[Problem], Tensor]) -> Search:
    """Flip a random cell, keep the bar where it matches its targets no worse, and repeat (as jaki, without words).

    Every bar evaluated counts as a call, though only the first is decoded.

    Args:
        bars_of: the bars to begin with, (m, steps, parts) bool, one for each open target.
    """

    def search(problem: Problem) -> None:
        z = torch.full((len(problem.open), problem.generator.latent_dim), torch.nan, dtype=torch.float32)
        here = problem.look_at(z, bars_of(problem))
        problem.record(here)
        while not problem.is_over:
            here = here.rows(problem.still_open)
            cells = here.bars.flatten(1).clone()
            places = torch.randint(cells.shape[1], (len(cells), 1), generator=problem.random)
            cells.scatter_(1, places, ~cells.gather(1, places))
            tried = problem.look_at(here.z, cells.view_as(here.bars))
            problem.record(tried)
            better = tried.match >= here.match
            here.put(better, tried.rows(better))

    return search


def generated(problem: Problem) -> Tensor:
    """Bars of random z, one for each open target."""
    return torch.from_numpy(problem.generator.decode(problem.random_points()))
