"""The bundled models, loaded once for all visitors, and what they say of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from page import asking
from page.bar import KIT, STEPS, Bar
from page.wish import Together
from rhythmgan.conditions import ANY, DEFAULT_ROLE, Condition
from rhythmgan.features import measure
from rhythmgan.generate.phrases import phrases
from rhythmgan.models.catalogue import load_generator, load_likelihood, load_phrase_prior
from rhythmgan.models.interfaces import LatentCritic, PhrasePrior, SamplingLikelihood
from rhythmgan.reference import Reference, load_reference

torch.set_num_threads(1)  # two threads on networks this small stall each other on a busy machine

TARGETS = ("density", "syncopation")

UNASKED = Condition(DEFAULT_ROLE)
"""What the models play where a visitor asks for nothing."""

_N_TYPICAL = 1000
_N_TOGETHER = 3000


def generator(steps: int = STEPS, condition: Condition = UNASKED) -> LatentCritic:
    """The generator of a grid, asked for a role and a style."""
    return _generator(steps).with_condition(condition.role, condition.style)


@st.cache_resource(show_spinner=False)
def _generator(steps: int) -> LatentCritic:
    return load_generator(grid=steps)


def prior(steps: int = STEPS, condition: Condition = UNASKED) -> SamplingLikelihood:
    """The prior of a grid, asked for a role and a style."""
    return _prior(steps).with_condition(condition.role, condition.style)


@st.cache_resource(show_spinner=False)
def _prior(steps: int) -> SamplingLikelihood:
    return load_likelihood(grid=steps)


@st.cache_resource(show_spinner=False)
def _phrase_prior(steps: int) -> PhrasePrior:
    return load_phrase_prior(grid=steps)


@st.cache_resource(show_spinner=False)
def reference(role: str = ANY, steps: int = STEPS) -> Reference:
    """What real bars measure that are as the models' of this role: as played, and of any role the distinct ones."""
    return load_reference(None, "distinct" if role == ANY else "as_played", role, steps, KIT)


@st.cache_data(show_spinner=False, max_entries=500)
def sampled(
    first: int, n: int, temperature: float = 1.0, condition: Condition = UNASKED, steps: int = STEPS
) -> list[Bar]:
    """The bars of n seeds from ``first`` on."""
    found = generator(steps, condition).sample(n, seed=first, temperature=temperature)
    told = asking.told(condition, steps)
    return [Bar.of(cells, f"seed {seed}{told}", condition) for seed, cells in enumerate(found, first)]


@st.cache_data(show_spinner=False, max_entries=200)
def phrase(seed: int, n_bars: int, fill: str, style: str, steps: int) -> list[Bar]:
    """The phrase that begins with the groove of a seed.

    Args:
        seed: of its first bar.
        n_bars: how many there are.
        fill: where fills are; see ``phrases``.
        style: a style of the models, or "any".
        steps: the grid.
    """
    asked = Condition(DEFAULT_ROLE, style)
    follower = _phrase_prior(steps).with_condition(asked.role, asked.style)
    (found,), _ = phrases(generator(steps, asked), follower, [seed], n_bars, fill=fill)
    told = asking.told(asked, steps)
    return [Bar.of(cells, f"bar {i}, seed {seed}{told}", asked) for i, cells in enumerate(found, 1)]


@dataclass(frozen=True)
class Numbers:
    """What is measured of a bar: values, and where they stand.

    Attributes:
        density, syncopation: onsets; note-rest LHL over three streams.
        likelihood: mean log p of a step under the prior, nats.
        realism: the discriminator's logit.
        percentile: name → per cent that lie below: of real bars of its role for the first two, of generated ones of the
            same role and style for the others.
    """

    density: float
    syncopation: float
    likelihood: float
    realism: float
    percentile: dict[str, float]


def features(bars: Sequence[Bar]) -> list[tuple[float, float]]:
    """(density, syncopation) of each bar, which may be of several grids."""
    return [found for bar in bars for found in features_of(bar.cells[None])]


def features_of(cells: np.ndarray) -> list[tuple[float, float]]:
    """(density, syncopation) of bars (n, steps, parts) bool."""
    found = measure(cells, KIT, list(TARGETS))
    return list(zip(found["density"].tolist(), found["syncopation"].tolist(), strict=True))


def percentiles(bar: Bar) -> dict[str, float]:
    """The per cent of real bars of the same role that have less: of density and of syncopation."""
    (values,) = features([bar])
    among = reference(bar.asked.role, bar.steps)
    return {name: float(among.percentile(name, value)) for name, value in zip(TARGETS, values, strict=True)}


def notes(bars: Sequence[Bar]) -> list[str]:
    """A line for each bar: the two."""
    return [f"{density:.0f} onsets · syncopation {syncopation:.0f}" for density, syncopation in features(bars)]


@st.cache_resource(show_spinner=False)
def together(steps: int, condition: Condition) -> Together:
    """Which densities and syncopations go together in what the generator plays."""
    found = measure(generator(steps, condition).sample(_N_TOGETHER, seed=1 << 43), KIT, list(TARGETS))
    return Together(found["density"].numpy(), found["syncopation"].numpy())


@st.cache_data(show_spinner=False, max_entries=2000)
def numbers(bar: Bar) -> Numbers:
    """All that is said of one bar."""
    ((density, syncopation),) = features([bar])
    said = _said_of(bar.cells[None], bar.asked)
    standing = _standing(said, bar.steps, bar.asked)
    return Numbers(
        density,
        syncopation,
        float(said["likelihood"][0]),
        float(said["realism"][0]),
        {**percentiles(bar), **standing},
    )


def standing(cells: np.ndarray, condition: Condition = UNASKED) -> dict[str, float]:
    """Where bars (n, steps, parts) bool stand among generated ones: mean per cent below."""
    return _standing(_said_of(cells, condition), cells.shape[1], condition)


def _standing(said: dict[str, np.ndarray], steps: int, condition: Condition) -> dict[str, float]:
    typical = _typical(steps, condition)
    return {name: 100 * float(np.searchsorted(typical[name], said[name]).mean()) / _N_TYPICAL for name in said}


def _said_of(cells: np.ndarray, condition: Condition) -> dict[str, np.ndarray]:
    """What prior and discriminator say of bars (n, steps, parts) bool, each (n,)."""
    steps = cells.shape[1]
    logits = generator(steps, condition).logits(cells)
    nats = prior(steps, condition).log_prob(cells) / steps
    return {"likelihood": nats.numpy(), "realism": logits.numpy()}


@st.cache_resource(show_spinner=False)
def _typical(steps: int, condition: Condition) -> dict[str, np.ndarray]:
    """What they say of generated bars, in order of size; the seeds are far from those that people try."""
    said = _said_of(generator(steps, condition).sample(_N_TYPICAL, seed=1 << 40), condition)
    return {name: np.sort(values) for name, values in said.items()}
