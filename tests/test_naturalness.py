"""How natural a bar is: counted cells of stand-ins, and that a denoiser learns which cells are wrong."""

import numpy as np
import pytest
import torch

from rhythmgan.generate.naturalness import naturalness_of
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.training.denoiser import train_denoiser, wrong_cells


class _Table:
    """Says of each cell what a table says, whatever the bar; of a cell that sounds the opposite."""

    def __init__(self, chance):
        self.chance_logits = torch.logit(torch.tensor(chance, dtype=torch.float64))

    def denoiser_in_double(self):
        return lambda bars: torch.where(bars > 0, -self.chance_logits, self.chance_logits)

    def logits(self, bars):
        """Eight more than a sixteenth for each onset, in single precision as a critic's are."""
        return (8 + bars.sum((1, 2)) / 16).float()


def test_naturalness_is_the_logit_minus_the_cells_that_are_expected_to_be_wrong():
    model = _Table([[0.1, 0.2], [0.3, 0.25]])
    bars = np.array([[[0, 0], [0, 0]], [[1, 0], [0, 1]]], bool)
    natural = naturalness_of(model)
    np.testing.assert_allclose(natural(torch.from_numpy(bars).double()), [8 - 0.85, 8.125 - (0.9 + 0.2 + 0.3 + 0.75)])
    assert natural(torch.from_numpy(bars[:0]).double()).shape == (0,)


def test_wrong_cells_are_flipped_or_those_of_another_bar():
    """Of equal bars mixing changes none; where all bars but one are equal, only cells in which that one differs."""
    random = torch.Generator().manual_seed(3)
    equal = torch.zeros(4000, 4, 3, dtype=torch.bool)
    share = wrong_cells(equal, random).float().mean((1, 2))
    assert share.max() <= 0.5  # flips only, of a tenth of the cells at most, by chance more
    assert (share == 0).float().mean() > 0.6
    halves = equal.clone()
    halves[::2, 1] = True
    wrong = wrong_cells(halves, random)
    assert wrong[:, 1].float().mean() > 2 * wrong[:, 2].float().mean()
    assert wrong[:, 1].float().mean() < 0.25


class _Beats:
    """Draws bars in which the first part plays beats and the second offbeats, each or not."""

    def draw(self, n, random):
        from rhythmgan.training.batches import Batch

        bars = torch.zeros(n, 12, 2, dtype=torch.bool)
        plays = torch.rand(n, 2, generator=random) < 0.7
        bars[:, ::3, 0], bars[:, 1::3, 1] = plays[:, :1], plays[:, 1:]
        labels = torch.zeros(n, 3, dtype=torch.long)
        return Batch(bars, bars, torch.zeros(n, dtype=torch.bool), labels)


@pytest.fixture(scope="module")
def gan(one_thread):
    torch.manual_seed(1)
    return GAN(GANConfig(kit="gm9", steps=12, width=8, discriminator_width=8, denoiser_width=24)).eval()


class _Wide(_Beats):
    """The same in the first of nine parts."""

    def draw(self, n, random):
        drawn = super().draw(n, random)
        bars = torch.cat([drawn.bars, torch.zeros(n, 12, 7, dtype=torch.bool)], 2)
        return drawn._replace(bars=bars, previous=bars)


def test_a_denoiser_learns_which_cells_are_wrong(gan):
    others = [
        {name: tensor.clone() for name, tensor in net.state_dict().items()}
        for net in (gan.generator, gan.discriminator)
    ]
    train_denoiser(gan, _Wide(), 500, seed=0)
    for net, before in zip((gan.generator, gan.discriminator), others, strict=True):
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    right = np.zeros((1, 12, 9), bool)
    right[0, ::3, 0] = True
    missing, strange = right.copy(), right.copy()
    missing[0, 6, 0] = False
    strange[0, 5, 1] = True
    denoiser = gan.denoiser_in_double()
    wrong = [torch.sigmoid(denoiser(torch.from_numpy(bars).double()))[0] for bars in (right, missing, strange)]
    found = [float(each.sum()) for each in wrong]
    assert found[0] < 0.5
    assert found[1] > found[0] + 0.3
    assert found[2] > found[0] + 0.3
    assert wrong[1][6, 0] > 3 * wrong[0][6, 0]
    assert not any(parameter.requires_grad for parameter in gan.denoiser.parameters())


def test_training_is_a_function_of_its_seed(gan):
    weights = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed + 100)
        train_denoiser(gan, _Wide(), 3, seed)
        weights.append(gan.denoiser.first.weight.clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
