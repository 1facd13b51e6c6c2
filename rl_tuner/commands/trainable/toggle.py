"""The agent that answers a line with another, toggle by toggle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rhythmgan.console import given, progress_bar
from rl_tuner.config import ANSWER_AGENT, shortened

if TYPE_CHECKING:
    from rhythmgan.data import Split

# what is slow to import is imported by the function that needs it: help and errors answer at once

TITLE = "a snare line that answers a kick line"

_TRAINING = {
    "train_steps": "transitions to learn from",
    "seed": "seed of weights, environments and draws",
    "batch_size": "transitions in a gradient step",
    "gradient_steps": "gradient steps after each step of the environments",
    "temperature": "what a nat of leaving the model of answers costs, in rewards",
    "learning_rate": "Adam's at first",
    "tau": "share by which the target network follows at its updates",
    "eps_end": "share of random actions in the end",
}

FIELDS = ((ANSWER_AGENT, _TRAINING),)
"""Its options: a config, and what each field is."""

ALSO = ("as_published",)
"""Options that are fields of no config."""

_SPLITS: tuple[Split, ...] = ("train", "valid")


def run(options: argparse.Namespace) -> None:
    """Train it; as published, Halmøy's agent, which answers one line with toggles of another."""
    from dataclasses import replace

    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if options.as_published:
        from rl_tuner.config import PUBLISHED_TOGGLE
        from rl_tuner.tune.toggle import train_toggle_agent

        training = shortened(replace(PUBLISHED_TOGGLE, **given(options, *_TRAINING)))
        with progress_bar("step", options.quiet) as progress:
            weights = train_toggle_agent(options.out, training, progress=progress)
        print(f"weights: {weights}")
        print(f"next: rl-tuner toggle test --checkpoint {weights}")
        return

    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.line_pairs import line_pairs
    from rhythmgan.models.catalogue import load_answers
    from rl_tuner.tune.toggle import train_answer_agent

    with open(options.data, "rb"):  # a wrong path is reported before torch takes its seconds
        pass
    reference = load_answers(options.weights)
    corpus = load_corpus(options.data, reference.steps, reference.kit)
    pairs, others = (line_pairs(corpus.split(split), reference.given, reference.answer)[0] for split in _SPLITS)
    for name, found in zip(_SPLITS, (pairs, others), strict=True):
        if not len(found):
            raise ValueError(f"no bar of the {name} songs has both {reference.given} and {reference.answer}")
    with progress_bar("step", options.quiet) as progress:
        weights = train_answer_agent(
            reference,
            pairs,
            others,
            options.out,
            shortened(replace(ANSWER_AGENT, **given(options, *_TRAINING))),
            progress=progress,
        )
    print(f"weights: {weights}")
    own = f" --reference {options.weights}" if options.weights else ""
    print(f"next: rl-tuner toggle answer LOOP.mid --agent {weights}{own}")
