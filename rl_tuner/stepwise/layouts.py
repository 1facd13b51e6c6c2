"""The tables of what an episode sees in which a bar is decided step by step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rhythmgan.kit import Kit
from rl_tuner.dynamics import BOUND
from rl_tuner.layout import Entry, Layout
from rl_tuner.rewards import STEPWISE_TERMS

GROUPS = ("kick", "snare", "cymbals", "others")
"""Groups of parts whose onsets are seen."""

MANY_NATS = 10.0
"""Log-chances are seen as shares of so many nats."""

MANY_ONSETS = 8.0
MANY_CELLS = 4.0


def shared_layout(steps: int, n_features: int, terms: Sequence[str] = STEPWISE_TERMS) -> Layout:
    """The table of what an observation of ``StepwiseDynamics`` says of an episode.

    Args:
        steps: of a bar.
        n_features: features that are steered.
        terms: names of the terms that goals give a coefficient.
    """
    return Layout(
        [
            Entry("step", steps, "the step to be decided, one-hot; all 0 once the bar is decided", 0, 1),
            Entry("onsets", len(GROUPS), "onsets so far: kick, snare, cymbals, others; an eighth of them", 0, BOUND),
            Entry("values", n_features, "features if nothing followed, standardised", -BOUND, BOUND),
            Entry("predicted", n_features, "features that the read-out predicts, standardised", -BOUND, BOUND),
            Entry("predicted stds", n_features, "how sure it is: standard deviations, likewise", 0, BOUND),
            Entry(
                "targets", n_features, "targets, standardised; of a skipped feature what is predicted", -BOUND, BOUND
            ),
            Entry("gaps", n_features, "tanh(gap / 3), a gap being target − prediction in tolerances", -1, 1),
            Entry("far gaps", n_features, "gap / 10", -BOUND, BOUND),
            Entry("importance", n_features, "importance of each feature; 0 where it is skipped", 0, BOUND),
            Entry("given", 1, "1 with a given bar, 0 without; without, the next five entries are 0", 0, 1),
            Entry("given gaps", n_features, "tanh(gap / 3) if all that follows is as in the given bar", -1, 1),
            Entry("far given gaps", n_features, "the same gap / 10", -BOUND, BOUND),
            Entry(
                "given onsets", 1, "cells that sound in the given bar from this step on; an eighth of them", 0, BOUND
            ),
            Entry("locked", 1, "locked cells of the steps from this one on, as a share of their cells", 0, 1),
            Entry(
                "changed",
                1,
                "cells changed so far, as a share of those in the given bar, 8 or more",
                0,
                BOUND,
            ),
            Entry(
                "length", 1, "squared length of z so far less its expectation, in deviations of a bar's", -BOUND, BOUND
            ),
            *(Entry(f"{name} coefficient", 1, f"coefficient of {name}", 0, 1) for name in terms),
        ]
    )


def candidate_layout(n_features: int) -> Layout:
    """The table of what an observation of ``StepwiseDynamics`` says of each candidate.

    Args:
        n_features: features that are steered.
    """
    return Layout(
        [
            Entry("keeps", 1, "1 if it plays what the given bar plays here", 0, 1),
            Entry("edits", 1, "1 if it plays that with one cell changed", 0, 1),
            Entry("onsets", len(GROUPS), "its onsets: kick, snare, cymbals, others; a quarter of them", 0, BOUND),
            Entry("predicted", n_features, "features predicted after it, standardised", -BOUND, BOUND),
            Entry("predicted stds", n_features, "their standard deviations, likewise", 0, BOUND),
            Entry("gaps", n_features, "tanh(gap / 3), a gap being target − prediction in tolerances", -1, 1),
            Entry("far gaps", n_features, "gap / 10", -BOUND, BOUND),
            Entry("given gaps", n_features, "tanh(gap / 3) if all that follows is as in the given bar", -1, 1),
            Entry("far given gaps", n_features, "the same gap / 10", -BOUND, BOUND),
            Entry("log chance", 1, "log-chance of its success by the read-out, a tenth of the nats", -BOUND, 0),
            Entry("changed", 1, "cells that it changes in the given bar; a quarter of them", 0, BOUND),
            Entry("length", 1, "its squared length less its expectation, in deviations of a draw's", -BOUND, BOUND),
        ]
    )


def membership(kit: Kit) -> Tensor:
    """(parts, groups), 1 where a part belongs to one of ``GROUPS``."""
    names = [
        "snare" if part.name == "snare" else {"low": "kick", "high": "cymbals"}.get(part.stream, "others")
        for part in kit.parts
    ]
    return torch.tensor([[float(name == group) for group in GROUPS] for name in names], dtype=torch.float32)
