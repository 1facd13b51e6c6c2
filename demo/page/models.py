"""The bundled models, loaded once for all visitors, and what they say of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from page.bar import MODELS_KIT, Bar, for_models
from rhythmgan.features import measure
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood
from rhythmgan.reference import Reference, load_reference

torch.set_num_threads(1)  # two threads on networks this small stall each other on a busy machine

TARGETS = ("density", "syncopation")

_N_TYPICAL = 1000


@st.cache_resource(show_spinner=False)
def generator() -> LatentCritic:
    return load_generator()


@st.cache_resource(show_spinner=False)
def prior() -> SamplingLikelihood:
    return load_likelihood()


@st.cache_resource(show_spinner=False)
def reference() -> Reference:
    return load_reference()


@st.cache_data(show_spinner=False, max_entries=500)
def sampled(first: int, n: int, temperature: float) -> list[Bar]:
    """The bars of n seeds from ``first`` on."""
    found = generator().sample(n, seed=first, temperature=temperature)
    return [Bar.of(cells, f"seed {seed}") for seed, cells in enumerate(found, first)]


@dataclass(frozen=True)
class Numbers:
    """What is measured of a bar: values, and where they stand.

    Attributes:
        density, syncopation: onsets; note-rest LHL over three streams.
        likelihood: mean log p of a step under the prior, nats.
        realism: the discriminator's logit.
        percentile: name → per cent that lie below: of real bars for the first two, of generated ones for the others.
    """

    density: float
    syncopation: float
    likelihood: float
    realism: float
    percentile: dict[str, float]


def features(bars: Sequence[Bar]) -> list[tuple[float, float]]:
    """(density, syncopation) of each bar, in the parts that the models know: as those of the reference are."""
    return features_of(for_models(bars))


def features_of(cells: np.ndarray) -> list[tuple[float, float]]:
    """(density, syncopation) of bars (n, steps, parts of ``MODELS_KIT``) bool."""
    found = measure(cells, MODELS_KIT, list(TARGETS))
    return list(zip(found["density"].tolist(), found["syncopation"].tolist(), strict=True))


def percentile(name: str, value: float) -> float:
    """The per cent of real bars that have less of a feature."""
    return float(reference().percentile(name, value))


def notes(bars: Sequence[Bar]) -> list[str]:
    """A line for each bar: the two, and what they leave out."""
    return [
        f"{density:.0f} onsets · syncopation {syncopation:.0f}"
        + (f" · and {bar.n_percussion} of percussion" if bar.n_percussion else "")
        for bar, (density, syncopation) in zip(bars, features(bars), strict=True)
    ]


def unknown(bars: Sequence[Bar]) -> str:
    """What is said where models change bars with onsets that they do not know; empty where there are none."""
    n = sum(bar.n_percussion for bar in {bar.code: bar for bar in bars}.values())
    if not n:
        return ""
    return (
        f"{n} {'onset' if n == 1 else 'onsets'} of shaker, conga and bell stay as they are: the models know the other "
        "nine parts, and density, syncopation, likelihood and realism are measured of these."
    )


@st.cache_data(show_spinner=False, max_entries=2000)
def numbers(bar: Bar) -> Numbers:
    """All that is said of one bar."""
    ((density, syncopation),) = features([bar])
    said = _said_of(for_models([bar]))
    percentiles = {
        "density": percentile("density", density),
        "syncopation": percentile("syncopation", syncopation),
        **_standing(said),
    }
    return Numbers(density, syncopation, float(said["likelihood"][0]), float(said["realism"][0]), percentiles)


def standing(cells: np.ndarray) -> dict[str, float]:
    """Where bars of the models' kit (n, steps, parts) bool stand among generated ones: mean per cent below."""
    return _standing(_said_of(cells))


def _standing(said: dict[str, np.ndarray]) -> dict[str, float]:
    typical = _typical()
    return {name: 100 * float(np.searchsorted(typical[name], said[name]).mean()) / _N_TYPICAL for name in said}


def _said_of(cells: np.ndarray) -> dict[str, np.ndarray]:
    """What prior and discriminator say of bars of their kit (n, steps, parts) bool, each (n,)."""
    logits = generator().logits(cells)
    nats = prior().log_prob(cells) / cells.shape[1]
    return {"likelihood": nats.numpy(), "realism": logits.numpy()}


@st.cache_resource(show_spinner=False)
def _typical() -> dict[str, np.ndarray]:
    """What they say of generated bars, in order of size; the seeds are far from those that people try."""
    said = _said_of(generator().sample(_N_TYPICAL, seed=1 << 40))
    return {name: np.sort(values) for name, values in said.items()}
