"""Random numbers that are a function of a seed and a stream alone, and the table of all streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_SEED = 2**63 - 1

RANDOM_STREAMS: dict[str, range] = {
    "bar": range(1),
    "redraw": range(1, 12),
    "phrase bars": range(12, 1 << 19),
    "phrase form": range(1 << 20, 1 << 21),
    "encode": range(1 << 21, (1 << 21) + 1),
    "fill candidates": range(3 << 21, (3 << 21) + 64),
    "fill choice": range((3 << 21) + 64, (3 << 21) + 65),
    "variation": range((3 << 21) + 65, (3 << 21) + 66),
    "answer candidates": range((3 << 21) + 66, (3 << 21) + 130),
    "answer choice": range((3 << 21) + 130, (3 << 21) + 131),
    "steer": range(5 << 21, (5 << 21) + 4096),
    "space": range(7 << 21, (7 << 21) + (1 << 32)),
    "calibration": range(1 << 34, (1 << 34) + 1),
    "next bar": range(1 << 35, (1 << 35) + 64),
    "opening": range((1 << 34) + 16, (1 << 34) + 17),
    "next notes": range((1 << 34) + 17, (1 << 34) + 18),
    "text": range((1 << 34) + 20, (1 << 34) + 21),
    "combination": range((1 << 34) + 32, (1 << 34) + 48),
    "phrase": range((1 << 34) + 18, (1 << 34) + 19),
}
"""Every use of a seed's random numbers and the streams that are its own: no two uses share one.

==================  ===================================================================================
use                 its streams
==================  ===================================================================================
bar                 the bar of the seed: the latent point of a GAN's, or of a GAN of phrases; the numbers that a
                    prior's is drawn with
redraw              the points, or a prior's numbers, that are tried in turn where the bar of a seed is silent
phrase bars         12 for each bar of a phrase after the first: what is drawn until it is a new one
phrase form         one for each bar of a phrase, by its place: which bar comes again, or what the new one is
encode              the latent point drawn for a bar
fill candidates     one for each way to fill a bar
fill choice         which of them is taken
variation           which cells of a loop change
answer candidates   one for each answer to a line
answer choice       which of them is taken
steer               one for each wave of bars that are decided side by side
calibration         the noise with which a GAN's temperatures are calibrated
next bar            the noise that a bar after a given one begins with, before it is edited: one for each try
opening             which notes a loop begins with that is drawn note by note
next notes          the notes that follow
text                the tokens of a text of bars, one number for each
combination         which lines are dealt to which loops, and which are swapped: one each time that lines are dealt
phrase              the vector of which a convolutional GAN makes all bars of a phrase at once
space               the latent points that a latent space is found with: one for each 2^31 seeds
==================  ===================================================================================

A new use takes numbers that are free. Changing a number changes every bar that was made with it.
"""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(x: np.ndarray) -> np.ndarray:
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


def seeds_to_uniform(seeds: Sequence[int] | np.ndarray, dim: int, stream: int | np.ndarray = 0) -> np.ndarray:
    """Numbers of seeds, even over (0, 1], each row a function of its own seed alone: (n, dim) float64.

    Args:
        seeds: (n,) ints, 0 to 2^63 − 1.
        dim: numbers of each.
        stream: other, independent numbers for the same seed; or (n,) ints, one a seed.

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
        key = mix(mix(seeds.astype(np.uint64) + _GOLDEN) + np.uint64(stream) * _GOLDEN)
        counter = np.arange(dim, dtype=np.uint64) + np.uint64(1)
        bits = mix(key[:, None] + counter * _GOLDEN)
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
