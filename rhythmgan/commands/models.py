"""The models that the options of a command ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rhythmgan.models.interfaces import LatentCritic, PhraseSampler

# what is slow to import is imported by the function that needs it: help and errors answer at once


def generator_given(options: argparse.Namespace) -> LatentCritic:
    """The model of ``--weights`` or ``--grid``, asked for ``--role`` and ``--style``."""
    from rhythmgan.models.catalogue import load_generator

    return load_generator(options.weights, options.grid).with_condition(options.role, options.style)


def sampler_given(options: argparse.Namespace) -> LatentCritic | PhraseSampler:
    """The model of ``--model``, ``--weights`` or ``--grid``; one that knows roles is asked for ``--role``, ``--style``.

    Raises:
        ValueError: two models are named, or a model is asked for what it does not know.
    """
    from rhythmgan.models.catalogue import load_phrase_sampler, load_sampled
    from rhythmgan.models.interfaces import PhraseSampler

    if options.model is None and options.weights is None:
        return generator_given(options)
    if options.model is not None and options.weights is not None:
        raise ValueError("--model names a bundled model and --weights a file: give one of them")
    if options.model is not None:
        model: LatentCritic | PhraseSampler = load_phrase_sampler(options.model, options.grid)
    else:
        model = load_sampled(options.weights, options.grid)
    if not isinstance(model, PhraseSampler):
        return model.with_condition(options.role, options.style)
    for name in ("role", "style", "prior"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} is none of the options of this model, which makes whole phrases by itself")
    return model
