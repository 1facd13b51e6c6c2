"""Bars that are decided step by step know the latent point that decodes to them."""

import torch

from rhythmgan.conditions import ANY
from rhythmgan.models.gan import load_gan


def test_unfinished_bars_know_the_point_that_decodes_to_them(one_thread):
    """Where the noise is just what is not expected, rounding would decide; the number is moved by a hair."""
    gan = load_gan().with_condition(ANY, ANY)
    z = torch.from_numpy(gan.latents(range(64)))
    expected = gan.generator.expect(torch.from_numpy(gan.decode(z)).float(), gan.labels)
    n_parts = gan.kit.n_parts
    z[:, :n_parts] = -expected[:, 0]
    unfinished = gan.begin(64)
    assert unfinished.z.shape == (64, 0)
    for step, noise in enumerate(z.split(n_parts, 1), 1):
        unfinished = unfinished.decide(noise)
        assert unfinished.z.shape == (64, step * n_parts)
    assert (unfinished.z != z).any()
    assert (unfinished.z - z).abs().max() <= 5e-4
    assert (gan.decode(unfinished.z) == unfinished.cells.numpy()).all()
    chosen = torch.tensor([5, 5, 9])
    assert torch.equal(unfinished.rows(chosen).z, unfinished.z[chosen])
