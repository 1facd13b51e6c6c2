"""A step that is not decided yet: many noises may be tried for it, and noise is found that decides a given step."""

import math

import numpy as np
import pytest
import torch

from rhythmgan.conditions import ANY
from rhythmgan.models.gan import GAN, GANConfig, load_gan

pytestmark = pytest.mark.usefixtures("one_thread")

N, DECIDED = 40, 9


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    return load_gan().with_condition(ANY, ANY)


@pytest.fixture(scope="module")
def bars(gan):
    """Bars of which nine steps are decided, so that all repeats count."""
    unfinished = gan.begin(N)
    for noise in torch.from_numpy(gan.latents(range(N))).split(gan.kit.n_parts, 1)[:DECIDED]:
        unfinished = unfinished.decide(noise)
    return unfinished


def noises(gan, *shape, seed=0):
    return torch.randn((*shape, gan.kit.n_parts), generator=torch.Generator().manual_seed(seed))


def test_each_noise_decides_as_if_it_were_alone(gan, bars):
    ahead, noise = bars.look_ahead(), noises(gan, N, 5)
    cells = ahead.cells_of(noise)
    assert cells.shape == (N, 5, gan.kit.n_parts)
    assert cells.dtype == torch.bool
    for k in range(5):
        after = bars.decide(noise[:, k])
        assert torch.equal(after.cells[:, -1], cells[:, k])
        assert torch.equal(after.state, ahead.state)
        alone = ahead.decide(noise[:, k])
        assert torch.equal(alone.z, after.z)
    assert (cells[:, 0] != cells[:, 1]).any()


def test_what_is_expected_is_what_the_whole_bar_says(gan, bars):
    whole = torch.rand(N, 16, gan.kit.n_parts, generator=torch.Generator().manual_seed(3)) < 0.2
    whole[:, :DECIDED] = bars.cells
    other = whole.flip(0)[:, DECIDED]
    expected = bars.look_ahead().expected_of(torch.stack([whole[:, DECIDED], other], 1))
    torch.testing.assert_close(expected[:, 0], gan.generator.expect(whole.float(), gan.labels)[:, DECIDED])
    whole[:, DECIDED] = other
    torch.testing.assert_close(expected[:, 1], gan.generator.expect(whole.float(), gan.labels)[:, DECIDED])


def test_noise_decides_the_cells_that_are_asked_for(gan, bars):
    ahead, random = bars.look_ahead(), torch.Generator().manual_seed(4)
    cells = torch.rand(N, 6, gan.kit.n_parts, generator=random) < 0.3
    noise = ahead.noise_of(cells, torch.rand(cells.shape, generator=random, dtype=torch.float64))
    assert noise.dtype == torch.float32
    assert torch.equal(ahead.cells_of(noise), cells)
    # clear of the threshold, so that it is not moved when it decides
    assert torch.equal(ahead.decide(noise[:, 2]).z[:, -gan.kit.n_parts :], noise[:, 2])


def test_noise_of_what_is_drawn_is_distributed_as_what_it_was_drawn_from(gan, bars):
    """Cells of N(0, I), then noise of these cells: N(0, I) again."""
    index = torch.arange(4000) % N
    ahead = bars.rows(index).look_ahead()
    cells = ahead.cells_of(noises(gan, 4000, 1, seed=5))
    uniform = torch.rand(cells.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    noise = ahead.noise_of(cells, uniform).flatten().numpy()
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    below = [float((noise < limit).mean()) for limit in (-1.5, -0.5, 0.5, 1.5)]
    assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.01)


def test_multiply_adds_by_hand():
    """Width 4, nine parts: lagged inputs 3 · 9 + 2, gates (29 + 4) · 8, the heads 4 · (9 + 18 + 36)."""
    ahead = GAN(GANConfig("gm9", width=4, discriminator_width=8)).eval().begin(3).look_ahead()
    assert ahead.multiply_adds == (33 * 8 + 29 * 4 + 4 * 4 + 4 * 63, 18 + 36)


def test_after_the_last_step_there_is_none(gan):
    bars = gan.begin(2)
    for _ in range(16):
        bars = bars.decide(torch.zeros(2, gan.kit.n_parts))
    with pytest.raises(ValueError, match="a bar has 16 steps; there is none after 16"):
        bars.look_ahead()
    with pytest.raises(ValueError, match=r"expected noise \(2, 12\) for a step; got \(3, 12\)"):
        gan.begin(2).decide(torch.zeros(3, 12))


def test_an_impossible_cell_is_decided_all_the_same():
    gan = GAN(GANConfig("gm9", width=2, discriminator_width=8)).eval().requires_grad_(False)
    for layer in (gan.generator.to_parts, gan.generator.to_links, gan.generator.to_repeats):
        layer.weight.zero_()
        layer.bias.zero_()
    gan.generator.to_parts.bias.fill_(-60)  # 60 standard deviations away
    ahead = gan.begin(1).look_ahead()
    cells = torch.tensor([[[True] + 8 * [False]]])
    noise = ahead.noise_of(cells, torch.full((1, 1, 9), 0.5, dtype=torch.float64))
    assert torch.equal(ahead.cells_of(noise), cells)
    assert noise[0, 0, 0] == pytest.approx(60, abs=1e-3)
    assert noise[0, 0, 1:].tolist() == pytest.approx(8 * [0.0], abs=1e-6)
    assert math.isfinite(np.square(noise.numpy()).sum())


def test_rows_of_a_step_are_the_step_of_these_bars(gan, bars):
    index, noise = torch.tensor([3, 3, 0, 39, 3]), noises(gan, 5, seed=4)
    ahead = bars.look_ahead().rows(index)
    after, expected = ahead.decide(noise), bars.rows(index).decide(noise)
    assert torch.equal(after.z, expected.z)
    assert torch.equal(after.cells, expected.cells)
    torch.testing.assert_close(after.state, expected.state)  # products round otherwise in another batch
    assert (after.z[0] != after.z[1]).any()  # the same bar, and another noise for it
