"""The agent that appends notes to loops."""

from __future__ import annotations

import argparse

from rhythmgan.console import given, progress_bar
from rl_tuner.config import (
    APPEND_AGENT,
    APPEND_PUBLISHED,
    APPEND_PUBLISHED_ENV,
    AppendConfig,
    LoopCriticConfig,
    shortened,
)

# what is slow to import is imported by the function that needs it: help and errors answer at once

TITLE = "two-bar loops to which notes are appended"

_TRAINING = {
    "train_steps": "transitions to learn from",
    "seed": "seed of weights, environments and draws",
    "batch_size": "transitions in a gradient step",
    "gamma": "discount of a reward one step later",
    "temperature": "what a nat of leaving the CNN costs, in rewards; 0 takes the best note",
    "learning_rate": "Adam's at first",
    "tau": "share by which the target network follows at its updates",
}
_ENV = {
    "num_envs": "environments at once",
    "eps": "share of actions drawn without preference",
    "log_prob": "coefficient of the CNN's log-probability",
    "percussion": "coefficient of the percussion terms together",
    "critic": "coefficient of the critic of loops",
    "repeat_cost": "what it costs to play the part of the step before again, in nats",
    "width": "units of each layer of the Q-network",
}
_CRITIC = {"n_drawn": "loops that are drawn for each loop of songs, for the critic"}

FIELDS = ((APPEND_AGENT, _TRAINING), (AppendConfig, _ENV), (LoopCriticConfig, _CRITIC))
"""Its options: a config, and what each field is."""

ALSO = ("as_published",)
"""Options that are fields of no config."""

SOURCE = "groove/"
"""The songs whose loops are learned from: one note a step is taken by how loud it is, and Groove has velocities."""


def run(options: argparse.Namespace) -> None:
    """Train it."""
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.loops import note_loops

    if options.prior:
        raise ValueError("--prior is no option of --env append: its agent is started from a CNN (--weights)")
    corpus = load_corpus(options.data).from_files(SOURCE)

    from dataclasses import replace

    import torch

    from rhythmgan.models.catalogue import load_note_model
    from rl_tuner.tune.append import train_append_agent

    if options.threads:
        torch.set_num_threads(options.threads)
    cnn = load_note_model(options.weights)
    loops, validation = (note_loops(corpus.split(split), cnn.kit) for split in ("train", "valid"))
    training, env = (APPEND_PUBLISHED, APPEND_PUBLISHED_ENV) if options.as_published else (APPEND_AGENT, AppendConfig())
    with progress_bar("step", options.quiet) as progress:
        weights = train_append_agent(
            cnn,
            loops,
            validation,
            options.out,
            shortened(replace(training, **given(options, *_TRAINING))),
            replace(env, **given(options, *_ENV)),
            LoopCriticConfig(**given(options, "seed", *_CRITIC)),
            progress=progress,
        )
    print(f"weights: {weights}")
    its_cnn = f" --weights {options.weights}" if options.weights else ""
    print(f"next: rl-tuner append --agent {weights}{its_cnn}")
