"""Latent points: what a seed stands for, and the paths between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Mode = Literal["slerp", "lerp"]

MAX_SEED = 2**63 - 1

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014): uint64 → well-mixed uint64, elementwise."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def check_seed(seed: int) -> None:
    """Raise a ValueError if ``seed`` is no whole number from 0 to 2^63 − 1."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seeds are whole numbers from 0 to {MAX_SEED}, not {seed}")


def seeds_to_z(seeds: Sequence[int] | np.ndarray, dim: int, stream: int = 0) -> np.ndarray:
    """The latent points of seeds: z ~ N(0, I), each a function of its own seed alone.

    Counter-based (SplitMix64 of seed, stream and dimension, then Box & Muller 1958), so a point
    is the same on every machine, in any batch and at any place in it.

    Args:
        seeds: (n,) ints, 0 to 2^63 − 1.
        dim: dimensions of z.
        stream: another, independent point for the same seed.

    Returns:
        (n, dim) float32.

    Raises:
        ValueError: a seed is negative, too large or no whole number.
    """
    pairs = (dim + 1) // 2
    uniform = seeds_to_uniform(seeds, 2 * pairs, stream)
    radius, angle = np.sqrt(-2 * np.log(uniform[:, :pairs])), 2 * np.pi * uniform[:, pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :dim].astype(np.float32)


def seeds_to_uniform(seeds: Sequence[int] | np.ndarray, dim: int, stream: int = 0) -> np.ndarray:
    """Numbers of seeds, even over (0, 1], each row a function of its own seed alone: (n, dim) float64.

    Args:
        seeds: (n,) ints, 0 to 2^63 − 1.
        dim: numbers of each.
        stream: other, independent numbers for the same seed.

    Raises:
        ValueError: a seed is negative, too large or no whole number.
    """
    if not isinstance(seeds, np.ndarray):
        seeds = list(seeds)
        for seed in seeds:
            check_seed(seed)
        seeds = np.array(seeds, np.uint64)
    if seeds.size and (seeds.dtype.kind not in "iu" or seeds.min() < 0 or seeds.max() > MAX_SEED):
        raise ValueError(f"seeds are whole numbers from 0 to {MAX_SEED}")
    with np.errstate(over="ignore"):
        key = _mix(_mix(seeds.astype(np.uint64) + _GOLDEN) + np.uint64(stream) * _GOLDEN)
        counter = np.arange(dim, dtype=np.uint64) + np.uint64(1)
        bits = _mix(key[:, None] + counter * _GOLDEN)
    # 53 bits each, in (0, 1]: a logarithm stays finite
    return ((bits >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53


def sample_categorical(cumulative: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Which of k things each number falls on: (n,) ints.

    Args:
        cumulative: (n, k) sums of the chances of the first, the first two, … all.
        uniform: (n, 1) numbers of ``seeds_to_uniform``.
    """
    # the last sum is 1 but for rounding
    return np.minimum((cumulative < uniform).sum(1), cumulative.shape[1] - 1)


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
        raise ValueError("a point cannot be turned towards one that is in line with it")
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
