"""``rl-tuner train``: an agent for a generator."""

from __future__ import annotations

import argparse

from rhythmgan.console import (
    add_field,
    add_machine_options,
    add_model_options,
    add_report_options,
    given,
    progress_bar,
)
from rl_tuner.commands.models import PRIOR_USE, load_models_and_songs
from rl_tuner.config import AGENT, AgentShape, ReadOutConfig, StepwiseEnvConfig

# what is slow to import is imported by the function that needs it: help and errors answer at once

_TRAINING = {
    "train_steps": "transitions to learn from",
    "seed": "seed of weights, environments and draws",
    "batch_size": "transitions in a gradient step",
    "temperature": "what a nat of leaving the generator costs, in rewards",
    "trace": "0-1: how much of the path to an episode's end counts instead of the next value",
    "learning_rate": "Adam's at first, falling to a twentieth",
    "tau": "share by which the target network follows after each episode",
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


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "train", help="train an agent", description="Train an agent, or resume the run in --out."
    )
    parser.set_defaults(run=_run, resumes=True)
    parser.add_argument(
        "--data", required=True, metavar="CORPUS", help="a corpus: its train songs give targets and bars"
    )
    parser.add_argument("--features", help="what to steer, by name (density,syncopation)")
    for config, fields in (
        (AGENT, _TRAINING),
        (StepwiseEnvConfig, _ENV),
        (AgentShape, _SHAPE),
        (ReadOutConfig, _READ_OUT),
    ):
        for name, what in fields.items():
            add_field(parser, config, name, what)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    add_model_options(parser, prior=PRIOR_USE)
    add_machine_options(parser)
    add_report_options(parser)


def _run(options: argparse.Namespace) -> None:
    gan, prior, songs = load_models_and_songs(options)
    corpus = songs.split("train")

    from dataclasses import replace

    from rhythmgan.bars import words_to_bars
    from rl_tuner.agent import AgentConfig
    from rl_tuner.scale import TARGETS
    from rl_tuner.tune.latent import targets_of
    from rl_tuner.tune.stepwise import train_agent

    features = tuple(name.strip() for name in options.features.split(",")) if options.features else TARGETS
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
