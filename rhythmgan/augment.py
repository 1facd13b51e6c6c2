"""Augmentations of bars: what else a drummer might have played, labelled, so that a model need not take it for real."""

from __future__ import annotations

import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.kit import STREAMS, Kit

REAL = 0
"""The label of a bar as it is. 1, 2 and 3 are bars that are rotated to begin so many beats later; then come these."""
THINNED = BEATS
EXCHANGED = BEATS + 1
N_AUGMENTATIONS = BEATS + 2
"""How many labels there are, ``REAL`` among them."""

_KEPT = 0.75
"""Share of the parts that thinning keeps."""


def exchanges(kit: Kit) -> Tensor:
    """Orders of the parts (m, parts) in which two of one stream have changed places.

    The kick stays alone. In a kit without two parts of one stream there is one order: that of the kit.
    """
    found = []
    for stream in STREAMS:
        parts = kit.parts_of(stream)
        for first in parts:
            for second in parts[parts.index(first) + 1 :]:
                order = list(range(kit.n_parts))
                order[first], order[second] = second, first
                found.append(order)
    return torch.tensor(found or [list(range(kit.n_parts))])


def draw_augmentations(n: int, share: float, random: torch.Generator, device: torch.device) -> Tensor:
    """Labels of n bars (n,): ``REAL`` but for a share, of which rotated, thinned and exchanged are a third each.

    Args:
        n: how many.
        share: chance of a bar to be augmented, 0 … 1.
        random: what is drawn from.
        device: of ``random`` and of the labels.
    """
    kind = torch.rand(n, generator=random, device=device) / max(share, 1e-9)
    beats = torch.randint(1, BEATS, (n,), generator=random, device=device)
    labels = torch.where(kind < 1 / 3, beats, torch.where(kind < 2 / 3, THINNED, EXCHANGED))
    return torch.where(kind < 1, labels, REAL)


def augmented_rates(rates: Tensor, share: float, kit: Kit, rotated: bool = True) -> Tensor:
    """How often each cell sounds in bars of which a share is augmented.

    Args:
        rates: (steps, parts) in 0 … 1, how often it sounds in the bars as they are.
        share: of augmented bars, 0 … 1.
        kit: what the parts are.
        rotated: whether a third of these is rotated; without, half are thinned and half are exchanged.

    Returns:
        (steps, parts) in 0 … 1.
    """
    exchanged = rates[:, exchanges(kit).to(rates.device)].mean(1)
    if not rotated:
        return (1 - share) * rates + share / 2 * (_KEPT * rates + exchanged)
    beat = len(rates) // BEATS
    turned = torch.stack([rates.roll(-beats * beat, 0) for beats in range(1, BEATS)]).mean(0)
    return (1 - share) * rates + share / 3 * (turned + _KEPT * rates + exchanged)


def augment(bars: Tensor, labels: Tensor, kit: Kit, random: torch.Generator) -> Tensor:
    """Bars, augmented as their labels say.

    Args:
        bars: (n, …, steps, parts) bool; bars of one row, as a bar and the one before it, are treated alike.
        labels: (n,) ints.
        kit: what the parts are.
        random: which parts are left out, each with chance 1/4, and which two change places.

    Returns:
        Bars of the same shape.
    """
    n, steps, n_parts = len(bars), bars.shape[-2], bars.shape[-1]
    flat = bars.reshape(n, -1, steps, n_parts)
    beats = torch.where(labels < BEATS, labels, 0)
    step = (torch.arange(steps, device=bars.device) + beats[:, None] * (steps // BEATS)) % steps
    flat = flat.gather(2, step[:, None, :, None].expand_as(flat))
    kept = torch.rand(n, n_parts, generator=random, device=bars.device) < _KEPT
    flat = flat & (kept | (labels != THINNED)[:, None])[:, None, None]
    orders = exchanges(kit).to(bars.device)
    order = orders[torch.randint(len(orders), (n,), generator=random, device=bars.device)]
    order = torch.where((labels == EXCHANGED)[:, None], order, torch.arange(n_parts, device=bars.device))
    return flat.gather(3, order[:, None, None].expand_as(flat)).reshape(bars.shape)
