"""The agent of whole-bar moves in the latent space."""

from __future__ import annotations

import argparse

from rhythmgan.console import given, progress_bar
from rl_tuner.commands.models import features_given, load_models_and_songs
from rl_tuner.config import LATENT_AGENT, EnvConfig, shortened

# what is slow to import is imported by the function that needs it: help and errors answer at once

TITLE = "whole bars that are moved in the latent space"

_TRAINING = {
    "train_steps": "transitions to learn from",
    "seed": "seed of weights, environments and draws",
    "batch_size": "transitions in a gradient step",
    "gradient_steps": "gradient steps after each step of the environments",
    "n_step": "rewards summed before the value of what follows counts",
    "gamma": "discount of a reward one step later",
    "learning_rate": "Adam's at first",
    "tau": "share by which the target network follows at its updates",
    "eps_end": "share of random actions in the end",
    "priority_exponent": "exponent of prioritised replay",
    "her_ratio": "share of a batch that is given another goal in hindsight",
}
_ENV = {"num_envs": "environments at once", "calls": "generator calls of an episode at most"}

FIELDS = ((LATENT_AGENT, _TRAINING), (EnvConfig, _ENV))
"""Its options: a config, and what each field is."""

ALSO = ("features",)
"""Options that are fields of no config."""


def run(options: argparse.Namespace) -> None:
    """Train it."""
    gan, prior, songs = load_models_and_songs(options)
    corpus = songs.split("train")

    from dataclasses import replace

    from rl_tuner.latent.agent import LatentAgentConfig
    from rl_tuner.tune.latent import targets_of, train_latent_agent

    features = features_given(options)
    with progress_bar("step", options.quiet) as progress:
        weights = train_latent_agent(
            gan,
            gan,
            prior,
            targets_of(corpus, features),
            options.out,
            shortened(replace(LATENT_AGENT, **given(options, *_TRAINING))),
            LatentAgentConfig.of(gan, features=features),
            EnvConfig(**given(options, *_ENV)),
            progress=progress,
        )
    print(f"weights: {weights}")
    print("next: rl_tuner.latent.agent.load_latent_agent reads them in Python")
