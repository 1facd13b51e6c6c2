"""Bars near another one, and bars around parts of it that stay."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch

from rhythmgan.kit import Kit
from rhythmgan.models.interfaces import LatentModel
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, sample_categorical, seeds_to_uniform

CANDIDATES = len(RANDOM_STREAMS["fill candidates"])
"""Ways to fill in a loop that are weighed against each other."""

_FLATNESS = 1.75
"""A change is drawn with chance proportional to exp(gain in log p / this), see ``vary``. Chosen on validation songs."""

_SHORTLIST = 12
"""Changes of a bar that are evaluated in full; see ``_changed``."""

_AT_ONCE = 1024
"""Bars that a model evaluates at a time."""


# --- Variations --------------------------------------------------------------------------------------


def vary(
    model: LatentModel, loop: np.ndarray, seeds: Sequence[int], amount: float = 0.2, locked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Variations of a loop: some cells of each bar change, one after another, to what the model finds likely there.

    A bar with n onsets changes in round(``amount`` · n) cells, but in one at least, and in no more than are free; a
    silent one stays silent. No cell changes twice, and the last onset of a bar never falls silent: a bar that sounds
    still does. Where no other cell could change, that is a cell less. The next change is drawn with chance proportional
    to exp((log p after − log p before) / 1.75). With 2 this would be the locally balanced proposal of Zanella (2020),
    whose single steps leave bars distributed as they were; a little less makes up for the many changes that are forced
    in a row. With 1 most changes would be onsets that fall silent.

    All bars of a variation are drawn with the same random numbers, one for each cell (Gumbel-max trick). So equal bars
    stay equal, and what unequal bars have in common tends to change alike.

    Args:
        model: says what is likely.
        loop: (m, steps, parts) bool, of the model's kit and grid.
        seeds: n of them, one for each variation.
        amount: cells that change, as a share of the bar's onsets: over 0 to 1.
        locked: (steps, parts) bool, cells that stay as they are in every bar; none by default.

    Returns:
        Bars (n, m, steps, parts) bool, and latent points of them (n, m, latent_dim) float32.

    Raises:
        ValueError: no seed, an option out of range, or bars or locks that are not the model's.
    """
    if not 0 < amount <= 1:
        raise ValueError(f"the amount lies over 0 and up to 1, not at {amount}")
    _check_seeds(seeds)
    _check_shape(model, loop, "bars")
    free = np.ones(loop[0].size, bool) if locked is None else ~_checked_locks(model, locked).reshape(-1)
    distinct, place = np.unique(loop.reshape(len(loop), -1), axis=0, return_inverse=True)
    onsets = distinct.sum(1)
    n_changes = np.minimum(np.maximum(np.floor(amount * onsets + 0.5), onsets > 0), free.sum()).astype(int)
    varied = np.empty((len(seeds), *distinct.shape), bool)
    together = max(1, _AT_ONCE // len(distinct))
    for start in range(0, len(seeds), together):
        some = slice(start, start + together)
        noise = np.where(free, _gumbel(seeds[some], free.size), -np.inf)
        n = len(noise)
        rows = _changed(
            model,
            np.tile(distinct, (n, 1)).reshape(-1, *loop.shape[1:]),
            np.tile(n_changes, n),
            noise.repeat(len(distinct), 0),
        )
        varied[some] = rows.reshape(n, *distinct.shape)
    bars = varied[:, place.reshape(-1)].reshape(len(seeds), *loop.shape)
    return bars, _points(model, bars)


def _changed(model: LatentModel, bars: np.ndarray, n_changes: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Bars of which cells have changed, one after another.

    One evaluation of a bar says for every cell how likely its change is, but not what the change does to the cells
    after it. So the changes that the former puts first are shortlisted, and only these are evaluated in full. In 97 to
    99 % of draws of a GAN of nine parts the change that comes first of all 144 was one of these 12.

    Args:
        model: says what is likely.
        bars: (n, steps, parts) bool.
        n_changes: (n,) ints, cells that change in each.
        noise: (n, steps · parts), standard Gumbel numbers, and −∞ for cells that stay.

    Returns:
        (n, steps, parts) bool; those of bars that sound do.
    """
    noise = noise.copy()
    flat = bars.reshape(len(bars), -1).copy()
    n_cells = flat.shape[1]
    size = min(_SHORTLIST, n_cells)
    for change in range(n_changes.max(initial=0)):
        rows = np.flatnonzero(n_changes > change)
        is_last_onset = flat[rows] & (flat[rows].sum(1, keepdims=True) == 1)
        drawn = np.where(is_last_onset, -np.inf, noise[rows])
        can_change = np.isfinite(drawn).any(1)
        rows, drawn = rows[can_change], drawn[can_change]
        if not len(rows):
            break
        before, of = np.unique(flat[rows], axis=0, return_inverse=True)  # all seeds begin from the same bars
        of = of.reshape(-1)
        as_is = _cell_log_prob(model, before, bars.shape[1:])
        otherwise = np.log(np.maximum(-np.expm1(as_is), np.finfo(float).tiny))
        guess = (otherwise - as_is)[of] / _FLATNESS + drawn
        listed = np.argpartition(-guess, size - 1, 1)[:, :size]
        pairs, pair = np.unique(of[:, None] * n_cells + listed, return_inverse=True)
        after = before[pairs // n_cells]
        after[np.arange(len(pairs)), pairs % n_cells] ^= True
        gain = _cell_log_prob(model, after, bars.shape[1:]).sum(1) - as_is.sum(1)[pairs // n_cells]
        worth = gain[pair.reshape(listed.shape)] / _FLATNESS + np.take_along_axis(drawn, listed, 1)
        cell = listed[np.arange(len(rows)), worth.argmax(1)]
        flat[rows, cell] ^= True
        noise[rows, cell] = -np.inf
    return flat.reshape(bars.shape)


def _cell_log_prob(model: LatentModel, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The log-chance of each cell given those before it, (n, cells) float64, of bars (n, cells)."""
    bars = flat.reshape(-1, *shape)
    parts = [
        model.cell_log_prob(bars[start : start + _AT_ONCE]).flatten(1).numpy()
        for start in range(0, len(bars), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _gumbel(seeds: Sequence[int], n_cells: int) -> np.ndarray:
    """Standard Gumbel numbers of seeds, (n, cells): the largest of log-chances plus these is drawn by its chance."""
    uniform = seeds_to_uniform(seeds, n_cells, stream=RANDOM_STREAMS["variation"][0])
    return -np.log(np.maximum(-np.log(uniform), np.finfo(float).tiny))  # the logarithm of 1 is 0


def _points(model: LatentModel, bars: np.ndarray) -> np.ndarray:
    """Latent points of loops (n, m, steps, parts); each loop's are drawn as if it were alone."""
    distinct, of = np.unique(bars.reshape(len(bars), -1), axis=0, return_inverse=True)
    z = np.empty((len(distinct), bars.shape[1], model.latent_dim), np.float32)
    for i, loop in enumerate(distinct):
        z[i] = model.encode(loop.reshape(bars.shape[1:]))
    points: np.ndarray = z[of.reshape(-1)]
    return points


# --- Bars around what stays --------------------------------------------------------------------------


def fill(
    model: LatentModel, loop: np.ndarray, locked: np.ndarray, seeds: Sequence[int], temperature: float = 1.0
) -> np.ndarray:
    """Loops in which some cells stay and the generator makes the others, for each seed one.

    They are drawn from the generator's bars that have the locked cells, by likelihood weighting (Fung & Chang 1990):
    the generator decides cell after cell, so a candidate is drawn with the locked ones set, and weighed by how likely
    it found them when it came to them, Π Φ(± expected). One of ``CANDIDATES`` is drawn by its weight.

    All bars of a candidate have the same z but for what is locked, and are weighed together. So equal bars are filled
    in alike, and others the more alike, the more alike their locked cells are.

    Args:
        model: makes the bars.
        loop: (m, steps, parts) bool, of the model's kit and grid; or one bar (steps, parts).
        locked: (steps, parts) bool, cells that stay as they are in every bar, silent ones too.
        seeds: n of them.
        temperature: standard deviation of the noise, over 0.

    Returns:
        (n, m, steps, parts) bool; of one bar (n, steps, parts).

    Raises:
        ValueError: no seed, shapes that are not the model's, or an option out of range.
    """
    if loop.ndim == 2:
        filled: np.ndarray = fill(model, loop[None], locked, seeds, temperature)[:, 0]
        return filled
    _check_seeds(seeds)
    _check_shape(model, loop, "bars")
    locked = _checked_locks(model, locked)
    distinct, place = np.unique(np.where(locked, loop, False), axis=0, return_inverse=True)
    together = max(1, _AT_ONCE // (CANDIDATES * len(distinct)))
    some = [seeds[start : start + together] for start in range(0, len(seeds), together)]
    return np.concatenate([_filled(model, distinct, locked, each, temperature) for each in some])[:, place.reshape(-1)]


def _filled(
    model: LatentModel, loop: np.ndarray, locked: np.ndarray, seeds: Sequence[int], temperature: float
) -> np.ndarray:
    """See ``fill``, (n, m, steps, parts) bool: of a few seeds, whose candidates are all in memory."""
    n_seeds, n_bars = len(seeds), len(loop)
    z = np.stack([model.latents(seeds, temperature, stream=stream) for stream in RANDOM_STREAMS["fill candidates"]], 1)
    points = z.reshape(-1, model.latent_dim).repeat(n_bars, 0)
    given = np.tile(loop, (n_seeds * CANDIDATES, 1, 1))
    parts, likely = [], []
    for start in range(0, len(points), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        parts.append(model.decode(model.lock(points[rows], given[rows], locked)))
        likely.append(model.cell_log_prob(parts[-1], temperature) * torch.from_numpy(locked.copy()))
    weights = torch.cat(likely).view(n_seeds, CANDIDATES, -1).sum(2)
    chance = torch.softmax(weights, 1).cumsum(1).numpy()
    drawn = seeds_to_uniform(seeds, 1, stream=RANDOM_STREAMS["fill choice"][0])
    loops = np.concatenate(parts).reshape(n_seeds, CANDIDATES, n_bars, *loop.shape[1:])
    filled: np.ndarray = loops[np.arange(n_seeds), sample_categorical(chance, drawn)]
    return filled


# --- Locks -------------------------------------------------------------------------------------------


def lock_parts(kit: Kit, steps: int, names: Sequence[str]) -> np.ndarray:
    """Locks of whole parts, by their names.

    Args:
        kit: what the parts are.
        steps: of a bar.
        names: of parts ("closed hat", "closed-hat"), or the word that several have in common ("hat", "toms").

    Returns:
        (steps, parts) bool.

    Raises:
        ValueError: a name that no part has.
    """
    locked = np.zeros((steps, kit.n_parts), bool)
    for name in names:
        said = re.sub(r"[\s_-]+", " ", name.strip().lower())
        exact = [part == said for part in kit.names]
        found = exact if any(exact) else [said.removesuffix("s") in part.split() for part in kit.names]
        if not any(found):
            raise ValueError(f"no part of kit {kit.name} is called {name!r}; its parts: {', '.join(kit.names)}")
        locked |= np.array(found)
    return locked


def _check_seeds(seeds: Sequence[int]) -> None:
    """Raise a ValueError where there is no seed, or one is out of range."""
    if not len(seeds):
        raise ValueError("at least one seed is needed")
    for seed in seeds:
        check_seed(seed)


def _check_shape(model: LatentModel, loop: np.ndarray, what: str) -> None:
    """Raise a ValueError where these are no bars of the model."""
    shape = (model.steps, model.kit.n_parts)
    if loop.ndim != 3 or loop.shape[1:] != shape or loop.dtype != bool or not len(loop):
        raise ValueError(f"expected {what} (n, {shape[0]}, {shape[1]}) bool; got {loop.dtype} {loop.shape}")


def _checked_locks(model: LatentModel, locked: np.ndarray) -> np.ndarray:
    """The locks, where they are of the model's cells.

    Raises:
        ValueError: they are not.
    """
    shape = (model.steps, model.kit.n_parts)
    if locked.shape != shape or locked.dtype != bool:
        raise ValueError(f"expected locks {shape} bool; got {locked.dtype} {locked.shape}")
    return locked
