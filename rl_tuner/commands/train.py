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
from rl_tuner.config import LATENT_AGENT, EnvConfig, shortened

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "train", help="train an agent", description="Train an agent, or resume the run in --out."
    )
    parser.set_defaults(run=_run, resumes=True)
    parser.add_argument("--data", required=True, metavar="CORPUS", help="a corpus: its train songs give targets")
    parser.add_argument("--features", help="what to steer, by name (density,syncopation)")
    add_field(parser, LATENT_AGENT, "train_steps", "transitions to learn from")
    add_field(parser, LATENT_AGENT, "seed", "seed of weights, environments and draws")
    add_field(parser, EnvConfig, "num_envs", "environments at once")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    add_model_options(parser, prior=PRIOR_USE)
    add_machine_options(parser)
    add_report_options(parser)


def _run(options: argparse.Namespace) -> None:
    gan, prior, songs = load_models_and_songs(options)
    corpus = songs.split("train")

    from dataclasses import replace

    from rl_tuner.latent.agent import LatentAgentConfig
    from rl_tuner.scale import TARGETS
    from rl_tuner.tune.latent import targets_of, train_latent_agent

    features = tuple(name.strip() for name in options.features.split(",")) if options.features else TARGETS
    n_directions = max(LatentAgentConfig.n_directions, len(features))
    config = LatentAgentConfig.of(gan, features=features, n_directions=n_directions)
    training = shortened(replace(LATENT_AGENT, **given(options, "train_steps", "seed")))
    env = EnvConfig(**given(options, "num_envs"))
    targets = targets_of(corpus, features)
    with progress_bar("step", options.quiet) as progress:
        weights = train_latent_agent(gan, gan, prior, targets, options.out, training, config, env, progress=progress)
    print(f"weights: {weights}")
    print(f"next: rl-tuner evaluate --agent {weights} --data {options.data} --out report --quick")
