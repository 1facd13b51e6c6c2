"""What the commands share: the models that they load, and how far they are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rhythmgan.console import device_given

if TYPE_CHECKING:
    from rhythmgan.data import Corpus
    from rhythmgan.models.interfaces import LatentCritic, SamplingLikelihood

PRIOR_USE = "says how likely bars are"
"""What the prior is for, in help texts."""


def load_models(options: argparse.Namespace) -> tuple[LatentCritic, SamplingLikelihood]:
    """GAN and prior, of one kit and grid, on the device that is asked for."""
    import torch
    from torch import nn

    from rhythmgan.conditions import ANY
    from rhythmgan.models.catalogue import load_generator, load_likelihood
    from rhythmgan.models.interfaces import check_compatible

    device = device_given(options) if getattr(options, "device", None) else torch.device("cpu")
    if getattr(options, "threads", None):
        torch.set_num_threads(options.threads)
    # targets are spread over all that songs play, and so are the bars that are steered to them
    grid = getattr(options, "grid", None)
    gan = load_generator(options.weights, grid).with_condition(ANY, ANY)
    prior = load_likelihood(options.prior, grid).with_condition(ANY, ANY)
    check_compatible(prior, gan.kit, gan.steps, "the prior")
    for model in (gan, prior):
        if isinstance(model, nn.Module):
            model.to(device)
    return gan, prior


def load_models_and_songs(options: argparse.Namespace) -> tuple[LatentCritic, SamplingLikelihood, Corpus]:
    """GAN, prior, and the corpus of ``--data`` on the grid and in the kit of the GAN."""
    from rhythmgan.corpus_file import load_corpus

    with open(options.data, "rb"):  # a wrong path is reported before torch takes its seconds
        pass
    gan, prior = load_models(options)
    return gan, prior, load_corpus(options.data, gan.steps, gan.kit)


def features_given(options: argparse.Namespace) -> tuple[str, ...]:
    """The features to steer, of ``--features``; those of all agents by default."""
    from rl_tuner.scale import TARGETS

    return tuple(name.strip() for name in options.features.split(",")) if options.features else TARGETS


def logger(options: argparse.Namespace) -> Callable[[str], None]:
    """What says how far a command is."""

    def log(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    return log
