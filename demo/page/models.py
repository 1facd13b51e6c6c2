"""The bundled models, loaded once for all visitors, and what they say of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from page import asking
from page.loop import KIT, STEPS, Loop
from page.turns import remembered
from page.wish import Together
from rhythmgan.conditions import ANY, DEFAULT_ROLE, Condition
from rhythmgan.features import measure
from rhythmgan.generate.phrases import phrases
from rhythmgan.models.catalogue import load_generator, load_likelihood, load_phrase_prior
from rhythmgan.models.interfaces import LatentCritic, PhrasePrior, SamplingLikelihood
from rhythmgan.reference import Reference, load_reference
from rl_tuner.agent import Agent, load_agent

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
def agent(steps: int = STEPS) -> Agent:
    """The agent of a grid."""
    return load_agent(steps=steps)


@st.cache_resource(show_spinner=False)
def reference(role: str = ANY, steps: int = STEPS) -> Reference:
    """What real bars measure that are as the models' of this role: as played, and of any role the distinct ones."""
    return load_reference(None, "distinct" if role == ANY else "as_played", role, steps, KIT)


FORMS = {1: "A", 2: "AV", 4: "AAAF", 8: "AAAVAAAF"}
"""For each number of bars the form of a loop: a groove A, a variation V of it, and a fill F."""


@remembered(500)
def sampled(
    seeds: tuple[int, ...],
    n_bars: int = 4,
    temperature: float = 1.0,
    condition: Condition = UNASKED,
    steps: int = STEPS,
) -> list[Loop]:
    """The loops of seeds: each begins with the bar of its seed, and has the form of its number of bars."""
    model = generator(steps, condition)
    if n_bars == 1:
        found = model.draw(seeds, temperature)[1][:, None]
    else:
        found, _ = phrases(model, _phrase_prior(steps), seeds, n_bars, temperature, form=FORMS[n_bars])
    told = asking.told(condition, steps)
    return [Loop.of(bars, f"seed {seed}{told}", condition) for seed, bars in zip(seeds, found, strict=True)]


@dataclass(frozen=True)
class Numbers:
    """What is measured of a loop: means of its bars, and where they stand.

    Attributes:
        density, syncopation: onsets; note-rest LHL over three streams.
        likelihood: mean log p of a step of the bars that sound, under the prior, nats; NaN where none does.
        realism: the discriminator's logit of these; NaN where none does.
        percentile: name → per cent that lie below: of real bars of its role for the first two, of generated ones of the
            same role and style for the others.
    """

    density: float
    syncopation: float
    likelihood: float
    realism: float
    percentile: dict[str, float]


def features(loop: Loop) -> dict[str, np.ndarray]:
    """Density and syncopation of each bar of a loop, by name, (m,) each."""
    return _features(loop.code)


@remembered(2000)
def _features(code: str) -> dict[str, np.ndarray]:
    return features_of(Loop(code, "").cells)


def features_of(cells: np.ndarray) -> dict[str, np.ndarray]:
    """Density and syncopation of bars (n, steps, parts) bool, by name, (n,) each."""
    return {name: values.numpy() for name, values in measure(cells, KIT, list(TARGETS)).items()}


def percentiles(loop: Loop) -> dict[str, float]:
    """The per cent of real bars of the same role that have less than the loop's bars on average, by feature."""
    among = reference(loop.asked.role, loop.steps)
    return {name: float(among.percentile(name, values.mean())) for name, values in features(loop).items()}


def note(loop: Loop) -> str:
    """A line on a loop: its density and syncopation, of several bars on average."""
    density, syncopation = (values.mean() for values in features(loop).values())
    onsets = f"{density:.0f} {'onset' if round(density) == 1 else 'onsets'}{' a bar' if loop.n_bars > 1 else ''}"
    return f"{onsets} · syncopation {syncopation:.0f}"


def notes(loops: Sequence[Loop]) -> list[str]:
    """A line for each loop."""
    return [note(loop) for loop in loops]


@remembered(100)
def together(steps: int, condition: Condition) -> Together:
    """Which densities and syncopations go together in what the generator plays."""
    found = measure(generator(steps, condition).sample(_N_TOGETHER, seed=1 << 43), KIT, list(TARGETS))
    return Together(found["density"].numpy(), found["syncopation"].numpy())


def numbers(loop: Loop) -> Numbers:
    """All that is said of a loop: means of its bars."""
    return _numbers(loop.code, loop.asked)  # loops that were asked for differently are equal


@remembered(2000)
def _numbers(code: str, asked: Condition) -> Numbers:
    loop = Loop(code, "", asked)
    density, syncopation = (float(values.mean()) for values in features(loop).values())
    sounding = loop.cells[loop.cells.any((1, 2))]  # of silence the models know nothing
    if not len(sounding):
        return Numbers(density, syncopation, float("nan"), float("nan"), percentiles(loop))
    said = _said_of(sounding, loop.asked)
    standing = _standing(said, loop.steps, loop.asked)
    return Numbers(
        density,
        syncopation,
        float(said["likelihood"].mean()),
        float(said["realism"].mean()),
        {**percentiles(loop), **standing},
    )


def _standing(said: dict[str, np.ndarray], steps: int, condition: Condition) -> dict[str, float]:
    """Where bars stand among generated ones by what is said of them: mean per cent below."""
    typical = _typical(steps, condition)
    return {name: 100 * float(np.searchsorted(typical[name], said[name]).mean()) / _N_TYPICAL for name in said}


def _said_of(cells: np.ndarray, condition: Condition) -> dict[str, np.ndarray]:
    """What prior and discriminator say of bars (n, steps, parts) bool, each (n,)."""
    steps = cells.shape[1]
    logits = generator(steps, condition).logits(cells)
    nats = prior(steps, condition).log_prob(cells) / steps
    return {"likelihood": nats.numpy(), "realism": logits.numpy()}


@remembered(100)
def _typical(steps: int, condition: Condition) -> dict[str, np.ndarray]:
    """What they say of generated bars, in order of size; the seeds are far from those that people try."""
    said = _said_of(generator(steps, condition).sample(_N_TYPICAL, seed=1 << 40), condition)
    return {name: np.sort(values) for name, values in said.items()}
