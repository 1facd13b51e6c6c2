"""The models that the options of a command ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood

# what is slow to import is imported by the function that needs it: help and errors answer at once


def generator_given(options: argparse.Namespace) -> LatentCritic:
    """The model of ``--weights`` or ``--grid``, asked for ``--role`` and ``--style``."""
    from rhythmgan.models.catalogue import load_generator

    return load_generator(options.weights, options.grid).with_condition(options.role, options.style)


def prior_given(options: argparse.Namespace) -> SamplingLikelihood:
    """The prior of ``--prior`` or ``--grid``, asked for ``--role`` and ``--style``."""
    from rhythmgan.models.catalogue import load_likelihood

    return load_likelihood(options.prior, options.grid).with_condition(options.role, options.style)
