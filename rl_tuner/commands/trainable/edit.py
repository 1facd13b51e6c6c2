"""The agent that edits the next bar."""

from __future__ import annotations

import argparse

from rhythmgan.console import given, progress_bar
from rl_tuner.config import EDIT_AGENT, EditEnvConfig, shortened

# what is slow to import is imported by the function that needs it: help and errors answer at once

TITLE = "the next bar, edited word by word"

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
}
_ENV = {
    "num_envs": "environments at once",
    "edits": "edits of a bar",
    "skipped": "share of episodes that skip a feature",
}

FIELDS = ((EDIT_AGENT, _TRAINING), (EditEnvConfig, _ENV))
"""Its options: a config, and what each field is."""

ALSO = ("as_published",)
"""Options that are fields of no config."""


def run(options: argparse.Namespace) -> None:
    """Train it; as published a network for each combination of levels, on the bar of one song."""
    from dataclasses import replace

    import torch

    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.kit import JAKI5
    from rhythmgan.models.catalogue import load_next_bar_model
    from rl_tuner.tune.edit import pairs_of, train_edit_agent
    from rl_tuner.tune.edit_published import PUBLISHED, search_all

    if options.as_published and (ours := given(options, *_ENV)):
        raise ValueError(
            f"--{min(ours).replace('_', '-')} is no option of --as-published: its episodes are as published"
        )
    corpus = load_corpus(options.data, 16, JAKI5).split("train")
    if options.threads:
        torch.set_num_threads(options.threads)
    model, training = load_next_bar_model(options.weights), given(options, *_TRAINING)
    with progress_bar("step", options.quiet) as progress:
        if options.as_published:
            config = replace(PUBLISHED, **training)
            first, _, _ = pairs_of(corpus, 1, config.seed)
            print(f"searches: {search_all(model, first[0], options.out, shortened(config), progress)}")
            return
        weights = train_edit_agent(
            model,
            corpus,
            options.out,
            shortened(replace(EDIT_AGENT, **training)),
            EditEnvConfig(**given(options, *_ENV)),
            progress=progress,
        )
    print(f"weights: {weights}")
    own = f" --weights {options.weights}" if options.weights else ""
    print(f"next: rl-tuner continue LOOP.mid --agent {weights}{own} --cymbals high")
