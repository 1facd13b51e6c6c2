"""What every model of whole phrases is asked for, checked in one place: all of them accept and refuse the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhythmgan.seeds import MAX_SEED


def whole_seeds(seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """The seeds of phrases as an array.

    Args:
        seeds: (n,) ints from 0 to 2^63 − 1; n may be 0.

    Returns:
        (n,) int64.

    Raises:
        ValueError: anything else, as a single number, rows of seeds, floats or bools.
    """
    said = f"seeds are whole numbers from 0 to {MAX_SEED} in a row"
    if isinstance(seeds, np.ndarray):
        found = seeds
    else:
        # among whole numbers NumPy would take a bool for one
        if isinstance(seeds, (str, bytes)) or not hasattr(seeds, "__len__") or not hasattr(seeds, "__iter__"):
            raise ValueError(f"{said}; got {seeds!r}")
        for seed in seeds:
            if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
                raise ValueError(f"{said}; got {seed!r} among them")
        found = np.array(list(seeds), np.int64)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"{said}; got {found.dtype} {found.shape}")
    if found.size and not 0 <= found.min() <= found.max() <= MAX_SEED:
        raise ValueError(f"{said}; got {found.min()} to {found.max()}")
    return found.astype(np.int64)


def check_asked_for(
    n_bars: int, temperature: float, given: np.ndarray | None, shape: tuple[int, int], max_bars: int | None
) -> None:
    """Check what phrases are asked to be.

    Args:
        n_bars: bars of each, a whole number from 1 on, up to ``max_bars``.
        temperature: a number over 0, up to 1000.
        given: (k, steps, parts) bool, the bars that they begin with, fewer than ``n_bars``; or None.
        shape: steps and parts of the model's bars.
        max_bars: bars that a phrase of the model has at most; None where there is no limit.

    Raises:
        ValueError: one of these is something else.
    """
    is_whole = isinstance(n_bars, (int, np.integer)) and not isinstance(n_bars, bool)
    if not is_whole or n_bars < 1 or (max_bars is not None and n_bars > max_bars):
        allowed = "at least one bar" if max_bars is None else f"1 to {max_bars} bars"
        raise ValueError(f"a phrase of this model has {allowed}, a whole number, not {n_bars!r}")
    check_temperature(temperature)
    if given is None:
        return
    if not isinstance(given, np.ndarray):
        raise ValueError(f"bars that are given are an array of NumPy, not {type(given).__name__}")
    if given.dtype != bool or given.ndim != 3 or given.shape[1:] != shape or len(given) >= n_bars:
        raise ValueError(
            f"bars that are given are (k, {shape[0]}, {shape[1]}) bool with k below {n_bars}; "
            f"got {given.dtype} {given.shape}"
        )


def check_temperature(temperature: float) -> None:
    """Raise a ValueError if a temperature is no number over 0 up to 1000."""
    is_number = isinstance(temperature, (int, float, np.integer, np.floating)) and not isinstance(temperature, bool)
    if not is_number or not 1e-9 <= temperature <= 1e3:
        raise ValueError(f"the temperature is over 0, up to 1000, not {temperature}")
