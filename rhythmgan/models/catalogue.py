"""All models by name, and the one door to load any of them: a weights file says which class reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rhythmgan.models import answer_net, bar_lstm, gan, note_cnn, phrase_conv_gan, phrase_gan, text_lstm, word_lstm
from rhythmgan.models.interfaces import (
    BarModel,
    LatentCritic,
    LineAnswers,
    NextBarModel,
    NoteModel,
    PhrasePrior,
    PhraseSampler,
    SamplingLikelihood,
)
from rhythmgan.models.weights import BUNDLED_GRIDS, WeightsFormat, bundled, bundled_model, read_metadata

_LOADERS: dict[WeightsFormat, Callable[[str | os.PathLike[str]], BarModel]] = {
    gan.FORMAT: gan.load_gan,
    word_lstm.FORMAT: word_lstm.load_prior,
    bar_lstm.FORMAT: bar_lstm.load_bar_lstm,
    note_cnn.FORMAT: note_cnn.load_note_cnn,
    answer_net.FORMAT: answer_net.load_answer_net,
    phrase_gan.FORMAT: phrase_gan.load_phrase_gan,
    phrase_conv_gan.FORMAT: phrase_conv_gan.load_phrase_conv_gan,
    text_lstm.FORMAT: text_lstm.load_text_lstm,
}
"""What reads a weights file, by its format. A new model adds a line here."""

BUNDLED = {
    "gan": ("GAN", "gan.safetensors"),
    "gan12": ("GAN of 12 steps", "gan12.safetensors"),
    "prior": ("prior", "prior.safetensors"),
    "prior12": ("prior of 12 steps", "prior12.safetensors"),
    "bar-lstm": ("model of the next bar", "bar-lstm.safetensors"),
    "answers": ("model of answers", "answer.safetensors"),
    "note-cnn": ("note-wise CNN", note_cnn.BUNDLED),
    "rythmgan": ("GAN of phrases", "rythmgan.safetensors"),
    "rythmgan12": ("GAN of phrases of 12 steps", "rythmgan12.safetensors"),
    "rythmgan24": ("GAN of phrases of 24 steps", "rythmgan24.safetensors"),
    "rythmgan-published": ("GAN of phrases as published", "rythmgan-published.safetensors"),
    "trap": ("network of texts of trap", "trap.safetensors"),
    "trap16": ("network of texts of bars", "trap16.safetensors"),
}
"""The models that ship, by the name that stands for them: their title in a table, and their file."""

PHRASE_SAMPLERS = {
    "rythmgan": {16: "rythmgan", 12: "rythmgan12", 24: "rythmgan24"},
    "rythmgan-published": {16: "rythmgan-published"},
    "trap": {32: "trap", 16: "trap16"},
}
"""The bundled models that make phrases on their own: name → grid, the default first → name in ``BUNDLED``."""

FORMATS = {form.name: form for form in _LOADERS}
"""The formats of weights files by the name in their metadata."""


def load_model(source: str | os.PathLike[str]) -> Any:
    """The model of a weights file, whichever it is, or a bundled one by its name. Runs no code of the file.

    Args:
        source: a path, or one of ``BUNDLED``.

    Raises:
        ValueError: no weights file of a model of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled(BUNDLED[source][1]) if isinstance(source, str) and source in BUNDLED else source
    name = read_metadata(path)["format"]
    if name not in FORMATS:
        titles = ", ".join(form.title for form in _LOADERS)
        raise ValueError(f"{path}: holds weights of {name}, which is none of the models here: {titles}")
    return _LOADERS[FORMATS[name]](path)


def load_generator(source: str | os.PathLike[str] | None = None, grid: int | None = None) -> LatentCritic:
    """A model that decodes latent points and has a critic; the bundled GAN by default. See ``load_model``.

    Args:
        source: a path, or one of ``BUNDLED``.
        grid: steps of a bar: which bundled GAN, by default that of 16; another source must have it.

    Raises:
        ValueError: also where the file holds a model of another sort or grid.
    """
    model = _load("gan", source, grid)
    if not isinstance(model, LatentCritic):
        raise ValueError(f"{source}: holds no model that makes bars from latent points")
    return model


def load_likelihood(source: str | os.PathLike[str] | None = None, grid: int | None = None) -> SamplingLikelihood:
    """A model that says how likely bars are; the bundled prior by default. See ``load_model``.

    Args:
        source: a path, or one of ``BUNDLED``.
        grid: steps of a bar: which bundled prior, by default that of 16; another source must have it.

    Raises:
        ValueError: also where the file holds a model of another sort or grid.
    """
    model = _load("prior", source, grid)
    if not isinstance(model, SamplingLikelihood):
        raise ValueError(f"{source}: holds no model that says how likely bars are")
    return model


def load_phrase_prior(source: str | os.PathLike[str] | None = None, grid: int | None = None) -> PhrasePrior:
    """A model that knows which bars follow one another; the bundled prior by default. As ``load_likelihood``."""
    model = _load("prior", source, grid)
    if not isinstance(model, PhrasePrior):
        raise ValueError(f"{source}: holds no model that knows which bars follow one another")
    return model


def load_phrase_sampler(name: str, grid: int | None = None) -> PhraseSampler:
    """A bundled model that makes phrases on its own, by its name in ``PHRASE_SAMPLERS``.

    Args:
        name: of the model.
        grid: steps of a bar; by default the first that it ships for.

    Raises:
        ValueError: no such model, or none of this grid.
    """
    if name not in PHRASE_SAMPLERS:
        raise ValueError(f"no model that samples phrases is called {name!r}; there are {', '.join(PHRASE_SAMPLERS)}")
    grids = PHRASE_SAMPLERS[name]
    if grid is not None and grid not in grids:
        raise ValueError(f"{name} ships for bars of {' or '.join(map(str, grids))} steps, not {grid}")
    model = load_model(grids[next(iter(grids)) if grid is None else grid])
    assert isinstance(model, PhraseSampler)
    return model


def load_sampled(source: str | os.PathLike[str], grid: int | None = None) -> LatentCritic | PhraseSampler:
    """The model of a weights file that bars or phrases can be sampled from. See ``load_model``.

    Args:
        source: a path, or one of ``BUNDLED``.
        grid: steps of a bar, which the model must have.

    Raises:
        ValueError: also where the file holds a model of another sort or grid.
    """
    model = _load("gan", source, grid)
    if not isinstance(model, LatentCritic | PhraseSampler):
        raise ValueError(f"{source}: holds no model that bars or phrases are sampled from")
    return model


def load_next_bar_model(source: str | os.PathLike[str] | None = None) -> NextBarModel:
    """A model that says of each step of the next bar what is likely; the bundled one by default. See ``load_model``.

    Raises:
        ValueError: also where the file holds a model of another sort.
    """
    model = load_model("bar-lstm" if source is None else source)
    if not isinstance(model, NextBarModel):
        raise ValueError(f"{source}: holds no model that says how the next bar goes on")
    return model


def load_note_model(source: str | os.PathLike[str] | None = None) -> NoteModel:
    """A model of loops with one note a step; the bundled one by default. See ``load_model``.

    Raises:
        ValueError: also where the file holds a model of another sort.
    """
    model = load_model("note-cnn" if source is None else source)
    if not isinstance(model, NoteModel):
        raise ValueError(f"{source}: holds no model of loops with one note a step")
    return model


def load_answers(source: str | os.PathLike[str] | None = None) -> LineAnswers:
    """A model that answers a line with another; the bundled one, a snare for a kick, by default. See ``load_model``.

    Raises:
        ValueError: also where the file holds a model of another sort.
    """
    model = load_model("answers" if source is None else source)
    if not isinstance(model, LineAnswers):
        raise ValueError(f"{source}: holds no model that answers lines")
    return model


def _load(kind: str, source: str | os.PathLike[str] | None, grid: int | None) -> Any:
    """The model of a source, or the bundled one of a kind for a grid; it has this grid."""
    if source is None:
        return load_model(bundled_model(kind, BUNDLED_GRIDS[0] if grid is None else grid))
    model = load_model(source)
    if grid is not None and model.steps != grid:
        raise ValueError(f"{source}: makes bars of {model.steps} steps, but {grid} are asked for")
    return model
