"""The models that the options of a command ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rhythmgan.models.interfaces import LatentCritic

# what is slow to import is imported by the function that needs it: help and errors answer at once


def generator_given(options: argparse.Namespace) -> LatentCritic:
    """The model of ``--weights`` or ``--grid``, asked for ``--role`` and ``--style``."""
    from rhythmgan.models.catalogue import load_generator

    return load_generator(options.weights, options.grid).with_condition(options.role, options.style)
