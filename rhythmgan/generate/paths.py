"""Paths through latent space whose steps are even to the ear."""

from __future__ import annotations

import numpy as np

from rhythmgan.latent import Mode, interpolate
from rhythmgan.models.interfaces import LatentModel

MAX_FRAMES = 100
"""Of an even path: the time it takes grows with their cube."""

_FINENESS = 14
"""Points that are tried for every step."""


def even_path(model: LatentModel, start: np.ndarray, end: np.ndarray, frames: int, mode: Mode = "slerp") -> np.ndarray:
    """Points on the way between two latent points at which the bar moves on by little, both ends included.

    At even angles a bar stays the same for some frames and then leaps, and turns aside and back. Here the frames
    are those, of ``_FINENESS`` times as many points on the same path and in their order, for which the sum of the
    squared changes is least, each taken as 10 at most (the shortest path through the points, by dynamic programming).
    Where an early decision carries the later ones with it, a leap is left.

    Args:
        model: makes the bars.
        start: (latent_dim,) float.
        end: (latent_dim,) float.
        frames: points on the path, 2 to ``MAX_FRAMES``.
        mode: of the path; see ``latent.interpolate``.

    Returns:
        z (frames, latent_dim) float32.

    Raises:
        ValueError: as ``latent.interpolate``.
    """
    if frames < 2:
        raise ValueError(f"a path has 2 frames or more, not {frames}")
    if frames > MAX_FRAMES:
        raise ValueError(f"an even path has {MAX_FRAMES} frames at most, not {frames}")
    points = interpolate(start, end, _FINENESS * (frames - 1) + 1, mode)
    changed = step_changes(model.decode(points)).astype(np.float64)
    ahead = np.triu(np.ones_like(changed, bool), 1)
    cost = np.where(ahead, np.minimum(changed, 10) ** 2, np.inf)
    reached = np.where(np.arange(len(points)) == 0, 0.0, np.inf)
    came_from = []
    for _ in range(frames - 1):
        through = reached[:, None] + cost
        came_from.append(through.argmin(0))
        reached = through.min(0)
    chosen = [len(points) - 1]
    for previous in reversed(came_from):
        chosen.append(previous[chosen[-1]])
    return points[chosen[::-1]]


def step_changes(bars: np.ndarray) -> np.ndarray:
    """How much of each bar changes on a step to each other one: cells that differ over cells that sound before.

    Args:
        bars: (n, steps, parts) bool.

    Returns:
        (n, n) float32, from the row's bar to the column's; a bar without onsets counts as if it had one.
    """
    cells = bars.reshape(len(bars), bars.shape[1] * bars.shape[2]).astype(np.float32)
    goes = cells @ (1 - cells).T
    return (goes + goes.T) / np.maximum(cells.sum(1, keepdims=True), 1)
