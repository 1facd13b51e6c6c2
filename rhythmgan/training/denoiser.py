"""The training of a GAN's denoiser: bars of songs of which some cells are wrong, and it says which."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.models.denoiser import Denoiser
from rhythmgan.models.gan import GAN
from rhythmgan.training.batches import SongBatches
from rhythmgan.training.schedule import cosine_decay, set_learning_rate

_BATCH = 256
_LEARNING_RATE = 2e-3
_WARMUP = 100
_MIXED_SHARE = 0.6
"""Share of bars in which the wrong cells are those of another bar; in all others they are flipped."""
_MAX_MIXED, _MAX_FLIPPED = 0.5, 0.1
"""The largest share of cells that are taken from another bar, and that are flipped."""

_DECEIVED_SHARE = 0.5
"""Share of a batch in which further cells are flipped to deceive the denoiser."""
_MAX_DECEITS = 6
_DECEITFUL_FLIPS = 2
_DECEIT_NOISE = 0.5
"""Gumbel noise added to the gains of flips, in standard deviations of these."""


def train_denoiser(gan: GAN, batches: SongBatches, steps: int, seed: int) -> None:
    """Teach a GAN's denoiser which cells of a bar are wrong; generator and discriminator stay as they are.

    Some cells of real bars are made wrong (``wrong_cells``). In a part of the bars further ones are then flipped, those
    of which the gradient says that the bar will look best to the denoiser as it is now. So it withstands a search for
    bars that it finds natural, as that of ``generate.morph``.

    Args:
        gan: whose denoiser learns, on the CPU; afterwards it is as the GAN's other networks that are ready for use.
        batches: real bars with their labels; no augmented ones are needed.
        steps: batches.
        seed: of the weights, the batches and the wrong cells.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        denoiser = Denoiser(gan.config).train()
    optimizer = torch.optim.AdamW(denoiser.parameters(), _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.02)
    for step in range(steps):
        batch = batches.draw(_BATCH, random)
        shown = batch.bars ^ wrong_cells(batch.bars, random)
        deceived = slice(round(_BATCH * _DECEIVED_SHARE))
        shown[deceived] = _deceive(denoiser, shown[deceived], batch.labels[deceived], random)
        is_wrong = shown ^ batch.bars
        logits = denoiser(shown.float(), batch.labels)
        loss = F.binary_cross_entropy_with_logits(logits, is_wrong.float(), reduction="none").sum((1, 2)).mean()
        warmup = min(1.0, (step + 1) / min(_WARMUP, steps))
        set_learning_rate(optimizer, _LEARNING_RATE * warmup * cosine_decay(step, steps, 0.01))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    gan.denoiser.load_state_dict(denoiser.state_dict())
    gan.denoiser.eval().requires_grad_(False)


def wrong_cells(bars: Tensor, random: torch.Generator) -> Tensor:
    """Which cells of bars (n, steps, parts) bool become wrong: flipped ones, or those in which another bar differs.

    How many varies from bar to bar, from none on: half of the bars have less than a quarter of the largest share.
    """
    n = len(bars)
    others = bars[torch.randperm(n, generator=random)]
    is_mixed = torch.rand(n, 1, 1, generator=random) < _MIXED_SHARE
    largest = torch.where(is_mixed, _MAX_MIXED, _MAX_FLIPPED)
    share = largest * torch.rand(n, 1, 1, generator=random).square()
    chosen = torch.rand(bars.shape, generator=random) < share
    return chosen & (~is_mixed | (bars ^ others))


def _deceive(denoiser: Denoiser, bars: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """Bars (n, steps, parts) bool with up to ``_MAX_DECEITS`` times ``_DECEITFUL_FLIPS`` cells flipped, some with none.

    Each time they are the cells whose flip most lowers the number of wrong cells that the denoiser finds, by its
    gradient and a little chance.
    """
    n = len(bars)
    times = torch.randint(-2, _MAX_DECEITS + 1, (n,), generator=random)
    for done in range(_MAX_DECEITS):
        cells = bars.float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(torch.sigmoid(denoiser(cells, labels)).sum(), cells)
        gain = (-gradient * (1 - 2 * cells.detach())).flatten(1)
        chance = -torch.log(-torch.log(torch.rand(gain.shape, generator=random).clamp(1e-9, 1 - 1e-7)))
        best = (gain + _DECEIT_NOISE * gain.std(1, keepdim=True) * chance).topk(_DECEITFUL_FLIPS, 1).indices
        flipped = torch.zeros(gain.shape, dtype=torch.bool).scatter_(1, best, True) & (times > done)[:, None]
        bars = bars ^ flipped.view(bars.shape)
    return bars
