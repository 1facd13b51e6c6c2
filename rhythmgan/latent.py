"""Moves between latent points: turns by an angle, and paths from one point to another."""

from __future__ import annotations

from typing import Literal

import numpy as np

Mode = Literal["slerp", "lerp"]


def rotate(z: np.ndarray, towards: np.ndarray, angle: float) -> np.ndarray:
    """Latent points turned by an angle, each towards another one; they keep their lengths.

    Args:
        z: (n, dim) float.
        towards: (n, dim) float, not in line with z.
        angle: radians.

    Returns:
        (n, dim) float32.

    Raises:
        ValueError: two points are in line: there is no one plane to turn in; or something is not finite.
    """
    z, towards = np.asarray(z, np.float64), np.asarray(towards, np.float64)
    if z.ndim != 2 or not np.isfinite(z).all() or not np.isfinite(towards).all() or not np.isfinite(angle):
        raise ValueError(f"expected finite points (n, dim) and a finite angle, got {z.shape} and {angle}")
    length, reach = (np.linalg.norm(points, axis=1, keepdims=True) for points in (z, towards))
    direction = z / np.maximum(length, 1e-300)
    aside = towards - (towards * direction).sum(1, keepdims=True) * direction
    width = np.linalg.norm(aside, axis=1, keepdims=True)
    if (length == 0).any() or (width <= 1e-9 * reach).any():
        raise ValueError("two points in line with the origin span no plane to turn in")
    return (np.cos(angle) * z + np.sin(angle) * length / width * aside).astype(np.float32)


def interpolate(start: np.ndarray, end: np.ndarray, frames: int, mode: Mode = "slerp") -> np.ndarray:
    """A path between two latent points, both ends included.

    ``slerp`` turns from one direction to the other at even angles (Shoemake 1985) while the length
    goes evenly from one to the other, so that the path stays on the shell where N(0, I) lives;
    ``lerp`` is the straight line, which passes nearer to the origin.

    Args:
        start: (dim,) float.
        end: (dim,) float.
        frames: points on the path, at least 2.
        mode: ``"slerp"`` or ``"lerp"``.

    Returns:
        (frames, dim) float32.

    Raises:
        ValueError: fewer than 2 frames, shapes that differ, an unknown mode, or a slerp between
            points in exactly opposite directions or from the origin, where no path is the shortest.
    """
    if frames < 2:
        raise ValueError(f"a path has 2 frames or more, not {frames}")
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(f"the ends must be two points of one space, not {start.shape} and {end.shape}")
    t = np.linspace(0, 1, frames)[:, None]
    if mode == "lerp":
        path = start + t * (end - start)
    elif mode == "slerp":
        lengths = np.linalg.norm(start), np.linalg.norm(end)
        if min(lengths) == 0:
            raise ValueError("slerp has no direction to turn from at the origin; use lerp")
        a, b = start / lengths[0], end / lengths[1]
        angle = np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)) * 2
        if np.pi - angle < 1e-6:
            raise ValueError("slerp between opposite points has no shortest way; use lerp")
        if angle < 1e-6:
            direction = a + t * (b - a)
        else:
            direction = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
        path = direction * (lengths[0] + t * (lengths[1] - lengths[0]))
    else:
        raise ValueError(f"mode is slerp or lerp, not {mode!r}")
    path[0], path[-1] = start, end
    return path.astype(np.float32)
