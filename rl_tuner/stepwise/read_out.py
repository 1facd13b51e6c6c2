"""Read-outs: what the features of a bar will be, as far as its first steps tell, by one ridge regression a step."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.models.interfaces import LatentModel, UnfinishedBars
from rhythmgan.models.precision import on_one_thread, without_autocast
from rl_tuner.config import ReadOutConfig
from rl_tuner.scale import FeatureScale, values_of

LAST_STEPS = 4
"""Steps whose cells a read-out sees one by one; of those before it sees the generator's state and the features."""

NARROWEST = 0.1
"""Standard deviations are at least so many tolerances: of a finished bar the features are known."""

_BATCH = 2000
_RIDGE = 1.0


class ReadOut(Protocol):
    """What says where unfinished bars are going."""

    def __call__(self, bars: UnfinishedBars) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the features that n bars will have: (n, F) both, in the features' units."""


class RidgeReadOut:
    """A linear regression for each step, from ``inputs_of`` to the features of the finished bar.

    Attributes:
        generator: whose bars.
        scale: their features.
        weights: (steps, inputs + 1, F), the last row being the constant; row 0 is of bars of one step.
        stds: (steps, F), standard deviations of the residuals.
    """

    def __init__(self, generator: LatentModel, scale: FeatureScale, weights: Tensor, stds: Tensor) -> None:
        self.generator, self.scale, self.weights, self.stds = generator, scale, weights, stds

    def __call__(self, bars: UnfinishedBars) -> tuple[Tensor, Tensor]:
        """See ``ReadOut``; of one step at least."""
        return self.from_inputs(inputs_of(bars, self.generator, self.scale), bars.cells.shape[1])

    def from_inputs(self, inputs: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, F) from the inputs (n, inputs) of bars of so many steps."""
        stds = torch.maximum(self.stds[step - 1], NARROWEST * self.scale.tolerance)
        if step == self.generator.steps:
            mean = inputs[:, : len(stds)]  # nothing is left to predict
        else:
            weights = self.weights[step - 1]
            mean = torch.addmm(weights[-1], inputs, weights[:-1])
        return mean, stds.expand_as(mean)

    def of_candidates(
        self, so_far: Tensor, state: Tensor, last: Tensor, rows: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """See ``dynamics.StepReadOut``: what the state says is the same for all candidates of a bar."""
        if step == self.generator.steps:
            return self.from_inputs(so_far, step)
        n_features, width = so_far.shape[1], state.shape[1]
        sizes = [n_features, width, last.shape[1], 1]
        of_features, of_state, of_last, constant = self.weights[step - 1].split_with_sizes(sizes)
        by_bar = torch.addmm(constant, state, of_state)
        mean = by_bar[rows] + so_far @ of_features + last @ of_last
        stds = torch.maximum(self.stds[step - 1], NARROWEST * self.scale.tolerance)
        return mean, stds.expand_as(mean)


def inputs_of(bars: UnfinishedBars, generator: LatentModel, scale: FeatureScale) -> Tensor:
    """What a read-out sees of bars of one step or more, (n, F + width + ``LAST_STEPS`` · parts) float32.

    The features that they would have if nothing followed, the generator's state, and the cells of the last steps, the
    latest last.
    """
    so_far, last = seen_of(bars.cells, generator, scale)
    return torch.cat([so_far, bars.state.float(), last], 1)


def seen_of(cells: Tensor, generator: LatentModel, scale: FeatureScale) -> tuple[Tensor, Tensor]:
    """What a read-out sees of steps (n, step, parts) beside the generator's state, both float32.

    Returns:
        The features that bars would have if nothing followed, (n, F), and the cells of the last steps, the latest last,
        (n, ``LAST_STEPS`` · parts).
    """
    step = cells.shape[1]
    so_far = values_of(F.pad(cells, (0, 0, 0, generator.steps - step)), scale.features, generator.kit)
    last = F.pad(cells[:, -LAST_STEPS:], (0, 0, max(LAST_STEPS - step, 0), 0))
    return so_far, last.flatten(1).float()


def distinct_candidates(decided: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bars with each of their candidates for the next step, those that are equal once.

    Args:
        decided: (n, steps so far, parts) bool.
        cells: (n, k, parts) bool, what the candidates decide.

    Returns:
        The d different bars (d, steps so far + 1, parts), whose candidates they are (d,), and which of them each
        candidate is (n, k).
    """
    n, _, n_parts = cells.shape
    place = 1 << torch.arange(n_parts, device=cells.device)
    words = (cells * place).sum(2) + (torch.arange(n, device=cells.device)[:, None] << n_parts)
    distinct, index = torch.unique(words, return_inverse=True)
    rows, new = distinct >> n_parts, (distinct[:, None] & place) > 0
    return torch.cat([decided[rows], new[:, None]], 1), rows, index


def n_inputs(n_features: int, state_width: int, n_parts: int) -> int:
    """Numbers that a read-out sees, see ``inputs_of``."""
    return n_features + state_width + LAST_STEPS * n_parts


def noise_widths(generator: LatentModel) -> list[int]:
    """How many numbers of z decide each step."""
    return [int(n) for n in np.bincount(generator.latent_steps, minlength=generator.steps)]


def decide_at_random(
    generator: LatentModel, scale: FeatureScale, n: int, random: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """n bars of random z: the inputs (n, inputs) after each step, and the features (n, F) that the bars came to."""
    bars, inputs = generator.begin(n), []
    for width in noise_widths(generator):
        bars = bars.decide(torch.randn((n, width), generator=random, dtype=torch.float32))
        inputs.append(inputs_of(bars, generator, scale))
    return inputs, values_of(bars.cells, scale.features, generator.kit)


def ridge(products: Tensor, with_values: Tensor, coefficient: float = _RIDGE) -> Tensor:
    """The weights (k, F) that minimise Σ (y − x · weights)² + coefficient · Σ weights², the constant's left out.

    Args:
        products: (k, k) float64, Σ x xᵀ, the last entry of x being 1 for the constant.
        with_values: (k, F) float64, Σ x yᵀ.
        coefficient: of the squared weights.
    """
    penalty = torch.full((len(products),), coefficient, dtype=products.dtype)
    penalty[-1] = 0
    return torch.linalg.solve(products + penalty.diag(), with_values)


@torch.no_grad()
@without_autocast
@on_one_thread
def fit_read_out(generator: LatentModel, scale: FeatureScale, config: ReadOutConfig | None = None) -> RidgeReadOut:
    """The regressions of a generator's features, fitted on bars of its own.

    Args:
        generator: whose bars, under its condition.
        scale: which features, and their tolerances.
        config: how many bars, and their seed.
    """
    config = config or ReadOutConfig()
    random, n = torch.Generator().manual_seed(config.seed), config.bars
    sums: list[tuple[Tensor, Tensor]] = []
    squares = torch.zeros(len(scale.features), dtype=torch.float64)
    for start in range(0, n, _BATCH):
        inputs, values = decide_at_random(generator, scale, min(_BATCH, n - start), random)
        y = values.double()
        squares += y.square().sum(0)
        # the products alone are kept: the inputs of all bars and steps would fill the memory
        batch = [_products(x, y) for x in inputs]
        sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, batch, strict=True)] if sums else batch
    weights, stds = [], []
    for products, with_values in sums:
        found = ridge(products, with_values)
        residual = squares - 2 * (found * with_values).sum(0) + (found * (products @ found)).sum(0)
        weights.append(found.float())
        stds.append((residual.clamp(min=0) / n).sqrt().float())
    return RidgeReadOut(generator, scale, torch.stack(weights), torch.stack(stds))


def _products(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Σ x xᵀ and Σ x yᵀ of inputs (n, inputs), with a 1 after them, and features (n, F)."""
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1).double()
    return x.T @ x, x.T @ y


def log_chance(predicted: tuple[Tensor, Tensor], targets: Tensor, importance: Tensor) -> Tensor:
    """How likely bars are to come to their targets: −½ Σ importance · ((target − mean) / std)², (n,).

    Args:
        predicted: mean and standard deviation (n, F) of a ``ReadOut``.
        targets: (n, F).
        importance: (n, F); 0 where a feature is skipped.
    """
    mean, std = predicted
    return -0.5 * (importance * ((targets - mean) / std).square()).sum(1)
