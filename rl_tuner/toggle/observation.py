"""What an agent that toggles lines sees, and which toggles there are: functions of the observation alone."""

from __future__ import annotations

import torch
from torch import Tensor

from rl_tuner.layout import Entry, Layout
from rl_tuner.toggle.lines import first_cells

GAIN_UNITS = 10
"""What gains are multiplied with where they are observed."""


def toggle_layout(resolution: int, n_lines: int, n_terms: int, gains: bool = False) -> Layout:
    """What stands where in an observation."""
    entries = [
        Entry("given", resolution, "the line that is answered: 1 for an onset", 0, 1),
        Entry("lines", n_lines * resolution, "the lines that answer, one after the other", 0, 1),
        Entry("steps", 1, "steps of these lines, as a share of the resolution", 0, 1),
    ]
    if n_terms:
        entries.append(Entry("importance", n_terms, "importance of each term of the reward", -1, 1))
    if gains:
        meaning = f"what each toggle would add to the score, times {GAIN_UNITS}"
        entries.append(Entry("gains", n_lines * resolution, meaning, -10, 10))
    return Layout(entries)


def toggle_mask(observations: Tensor, resolution: int, n_lines: int, has_no_op: bool, rightward: bool) -> Tensor:
    """Which actions may be taken: (n, width) → (n, actions) bool.

    Those that toggle a cell on which a step of the line begins, and the no-op. Rightward only cells behind the last
    onset, line after line, and the no-op, which stops, only where there is an onset.
    """
    lines = observations[:, resolution : (1 + n_lines) * resolution]
    steps = (observations[:, (1 + n_lines) * resolution] * resolution).round().long()
    allowed = first_cells(steps, resolution).repeat(1, n_lines)
    stop = torch.ones_like(allowed[:, :1])
    if rightward:
        places = torch.arange(1, lines.shape[1] + 1, device=lines.device)
        last = ((lines > 0.5) * places).amax(1, keepdim=True)
        allowed &= places > last
        stop = last > 0
    return torch.cat([allowed, stop], 1) if has_no_op else allowed
