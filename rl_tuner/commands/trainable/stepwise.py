"""The agent that decides bars step by step."""

from __future__ import annotations

import argparse

from rhythmgan.console import given, progress_bar
from rl_tuner.commands.models import features_given, load_models_and_songs
from rl_tuner.config import AGENT, AgentShape, ReadOutConfig, StepwiseEnvConfig

# what is slow to import is imported by the function that needs it: help and errors answer at once

TITLE = "bars that are decided step by step"

_TRAINING = {
    "train_steps": "transitions to learn from",
    "seed": "seed of weights, environments and draws",
    "batch_size": "transitions in a gradient step",
    "temperature": "what a nat of leaving the generator costs, in rewards",
    "trace": "0-1: how much of the path to an episode's end counts instead of the next value",
    "learning_rate": "Adam's at first",
    "tau": "share by which the target network follows at its updates",
    "eps": "share of actions drawn without preference",
}
_ENV = {
    "num_envs": "environments at once",
    "given": "share of episodes with a bar to stay close to",
    "locked": "share of these with locked parts",
    "crossed": "share of episodes whose features have targets of different bars",
    "skipped": "share of episodes that skip a feature",
}
_SHAPE = {
    "n_candidates": "noises that the agent looks at before each step",
    "n_changes": "how many of these change one cell of a given bar",
    "width": "units of each layer of the Q-network",
}
_READ_OUT = {"bars": "bars that the read-out is fitted on"}

FIELDS = ((AGENT, _TRAINING), (StepwiseEnvConfig, _ENV), (AgentShape, _SHAPE), (ReadOutConfig, _READ_OUT))
"""Its options: a config, and what each field is."""

ALSO = ("features",)
"""Options that are fields of no config."""


def run(options: argparse.Namespace) -> None:
    """Train it."""
    gan, prior, songs = load_models_and_songs(options)
    corpus = songs.split("train")

    from dataclasses import replace

    from rhythmgan.bars import words_to_bars
    from rl_tuner.agent import AgentConfig
    from rl_tuner.tune.latent import targets_of
    from rl_tuner.tune.stepwise import train_agent

    features = features_given(options)
    targets = targets_of(corpus, features)
    with progress_bar("step", options.quiet) as progress:
        weights = train_agent(
            gan,
            gan,
            prior,
            targets,
            words_to_bars(corpus.distinct().words, corpus.kit.n_parts),
            options.out,
            replace(AGENT, **given(options, *_TRAINING)),
            AgentConfig.of(gan, features=features, **given(options, *_SHAPE)),
            StepwiseEnvConfig(**given(options, *_ENV)),
            ReadOutConfig(**given(options, *_READ_OUT)),
            progress=progress,
        )
    print(f"weights: {weights}")
    print(f"next: rl-tuner evaluate --agent {weights} --data {options.data} --out report --quick")
