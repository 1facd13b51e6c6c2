"""Bars by seeds: silent ones are drawn again, a temperature shifts the noise, and one call does it all."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

import rhythmgan
from rhythmgan.generate.sampling import sample
from rhythmgan.models import weights
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, TEMPERATURES, load_gan, save_gan
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z

pytestmark = pytest.mark.usefixtures("one_thread")

ROLES, STYLES = ("groove", "fill"), ("rock", "funk")


def _flat(expected, steps=12, kit="jaki5"):
    """A GAN of roles and styles that expects the same of every cell: each sounds by its own number of z alone."""
    gan = GAN(GANConfig(kit, steps, 4, 4, roles=ROLES, styles=STYLES)).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.zero_()
    gan.generator.to_parts.bias.copy_(torch.as_tensor(expected, dtype=torch.float32))
    return gan


# -- silent bars ----------------------------------------------------------------------------------------


SPARSE = float(norm.ppf(0.5 ** (1 / 60)))
"""60 cells that expect minus this are silent together in half of the bars."""


@pytest.mark.parametrize("temperature", [1.0, 0.9])
def test_a_silent_bar_is_drawn_again_until_it_sounds(temperature):
    """By hand: of each seed the first stream of bar and redraw that gives sound."""
    gan = _flat(-SPARSE)
    streams = [RANDOM_STREAMS["bar"][0], *RANDOM_STREAMS["redraw"]]
    points = np.stack([seeds_to_z(range(1000), 60, stream) for stream in streams])  # (12, 1000, 60)
    points *= np.float32(temperature)
    sounds = (points > SPARSE).any(2)
    assert 400 < (~sounds[0]).sum() < 800
    assert (sounds.argmax(0) > 4).any()
    # a seed that stays silent keeps the last
    place = np.where(sounds.any(0), sounds.argmax(0), len(streams) - 1)
    expected = points[place, np.arange(1000)]
    np.testing.assert_array_equal(gan.latents(range(1000), temperature), expected)
    bars = (expected > SPARSE).reshape(1000, 12, 5)
    np.testing.assert_array_equal(gan.sample(1000, temperature=temperature), bars)
    np.testing.assert_array_equal(gan.decode(expected), bars)
    z, drawn = gan.draw(range(1000), temperature)
    np.testing.assert_array_equal(z, expected)
    np.testing.assert_array_equal(drawn, bars)


def test_a_redrawn_bar_is_a_function_of_its_seed_in_any_batch():
    gan = _flat(-SPARSE)
    bars, z = gan.sample(200, seed=30), gan.latents(range(30, 230))
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(gan.latents(order + 30), z[order])
    np.testing.assert_array_equal(gan.latents([35, 35, 199]), z[[5, 5, 169]])
    for seed in range(30, 60):
        np.testing.assert_array_equal(gan.sample(1, seed=seed)[0], bars[seed - 30])
        np.testing.assert_array_equal(gan.latents([seed])[0], z[seed - 30])
    assert bars.any((1, 2)).all()


def test_a_bar_that_sounds_keeps_its_first_point():
    """Only silence is drawn again: bars of a dense generator are those of release 0.1.0."""
    gan = _flat(0.0)
    np.testing.assert_array_equal(gan.latents(range(500)), seeds_to_z(range(500), 60))


def test_other_streams_are_taken_as_they_come():
    """They are no bars of seeds: phrases and steering choose among them themselves."""
    gan = _flat(-SPARSE)
    for stream in (RANDOM_STREAMS["steer"][3], RANDOM_STREAMS["redraw"][0]):
        np.testing.assert_array_equal(gan.latents(range(50), stream=stream), seeds_to_z(range(50), 60, stream))
    assert not gan.decode(gan.latents(range(50), stream=RANDOM_STREAMS["steer"][3])).any((1, 2)).all()


def test_a_generator_that_is_always_silent_ends():
    gan = _flat(-30.0)
    assert not gan.sample(3).any()
    last = RANDOM_STREAMS["redraw"][-1]
    np.testing.assert_array_equal(gan.latents([4, 7]), seeds_to_z([4, 7], 60, last))


def test_what_is_silent_is_said_by_the_condition():
    """Under another role other seeds are silent, and are drawn again."""
    gan = _flat(-SPARSE)
    gan.generator.drive.role[2, 8:] = 5.0  # fills: a state of ones, which adds to every part
    gan.generator.to_parts.weight.fill_(2.0)
    gan.generator.drive.role[2, 4:8] = -30.0  # and takes the new state at once
    fills = gan.with_condition("fill")
    np.testing.assert_array_equal(fills.latents(range(300)), seeds_to_z(range(300), 60))
    assert (gan.latents(range(300)) != seeds_to_z(range(300), 60)).any(1).mean() > 0.4


# -- temperatures ---------------------------------------------------------------------------------------


def _shifted():
    """A flat GAN whose shifts are told apart by temperature, role and part."""
    gan = _flat(0.0)
    rows = 10.0 * torch.arange(len(TEMPERATURES))[:, None, None]
    gan.shifts.copy_(rows + torch.tensor([0.0, 1, 2])[None, :, None] + torch.arange(5.0) / 8)
    return gan


@pytest.mark.parametrize(
    ("temperature", "row"),
    [
        (0.5, 0),
        (0.6, 0.5),
        (0.7, 1),
        (0.75, 1 + 1 / 3),
        (0.85, 2),
        (1.0, 3),
        (1.05, 3.25),
        (1.2, 4),
        (0.2, 0),  # beyond the ends their own
        (1e-3, 0),
        (1.9, 4),
        (1000, 4),
    ],
)
@pytest.mark.parametrize(("role", "number"), [("any", 0), ("groove", 1), ("fill", 2)])
def test_noise_is_scaled_and_shifted_by_part_and_role(temperature, row, role, number):
    gan = _shifted().with_condition(role, "funk")
    stream = RANDOM_STREAMS["steer"][0]  # where nothing is drawn again
    found = gan.latents(range(20), temperature, stream).reshape(20, 12, 5)
    noise = seeds_to_z(range(20), 60, stream).reshape(20, 12, 5)
    shift = 10 * row + number + np.arange(5) / 8
    np.testing.assert_allclose(found, noise * temperature + shift, rtol=1e-5, atol=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize(("temperature", "row"), [(0.5, 0), (0.6, 0.5), (0.75, 1 + 1 / 3), (0.1, 0), (2.0, 4)])
def test_chances_know_of_the_shift(temperature, row):
    """A cell of which nothing is expected sounds with chance Φ(shift / temperature)."""
    gan = _shifted()
    gan.shifts.mul_(1 / 64)
    bars = np.random.default_rng(3).random((4, 12, 5)) < 0.5
    found = gan.with_condition("fill").cell_log_prob(bars, temperature).numpy()
    shift = (10 * row + 2 + np.arange(5) / 8) / 64
    by_hand = norm.logcdf(np.where(bars, shift, -shift) / temperature)
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)


def test_shifts_are_part_of_the_bars_of_seeds():
    gan = _flat([-0.5] * 5)
    gan.shifts[0, 1] = torch.tensor([0.6, 0.0, -9, 0, 9])
    bars = gan.sample(2000, temperature=0.5)
    expected = norm.cdf([0.1 / 0.5, -1, -19, -1, 17])
    np.testing.assert_allclose(bars.mean((0, 1)), expected, atol=0.015)
    np.testing.assert_array_equal(gan.decode(gan.latents(range(2000), 0.5)), bars)
    np.testing.assert_array_equal(gan.draw(range(2000), 0.5)[1], bars)


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-10, 1001, float("nan"), float("inf")])
def test_temperatures_that_are_none(temperature):
    gan = _flat(0.0)
    for draw in (lambda: gan.sample(1, temperature=temperature), lambda: gan.latents([0], temperature)):
        with pytest.raises(ValueError, match="the temperature is over 0, up to 1000, not"):
            draw()


# -- in one call ----------------------------------------------------------------------------------------


def test_one_call_is_the_bundled_gan_asked():
    gan = load_gan()
    bars = rhythmgan.sample(3)
    assert bars.dtype == bool
    assert bars.shape == (3, gan.steps, gan.kit.n_parts)
    np.testing.assert_array_equal(bars, gan.sample(3))
    np.testing.assert_array_equal(
        sample(2, 5, role="any", temperature=0.8), gan.with_condition("any").sample(2, 5, 0.8)
    )


def test_one_call_obeys_every_option(tmp_path, monkeypatch):
    """Of a small model in place of each bundled one."""
    for name, steps in (("gan", 16), ("gan12", 12)):
        torch.manual_seed(steps)
        gan = GAN(GANConfig("jaki5", steps, 8, 4, roles=ROLES, styles=STYLES))
        for parameter in gan.generator.parameters():
            parameter.data.mul_(3)
        save_gan(tmp_path / f"{name}.safetensors", gan, {})
    monkeypatch.setattr(weights, "bundled", lambda name: tmp_path / name)
    for options in ({}, {"role": "fill"}, {"style": "funk"}, {"role": "any", "style": "rock", "temperature": 0.7}):
        for grid in (16, 12):
            asked = load_gan(grid=grid).with_condition(options.get("role"), options.get("style", "any"))
            expected = asked.sample(40, 9, options.get("temperature", 1.0))
            assert expected.shape == (40, grid, 5)
            np.testing.assert_array_equal(sample(40, 9, grid=grid, **options), expected)
            if options:
                assert (expected != sample(40, 9, grid=grid)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is at least 1"),
        ({"n": 1, "seed": -1}, "seeds are whole numbers"),
        ({"n": 1, "role": "solo"}, "knows no role 'solo'; it knows .*any"),
        ({"n": 1, "style": "no such style"}, "knows no style 'no such style'; it knows .*any"),
        ({"n": 1, "temperature": 0.0}, "temperature"),
        ({"n": 1, "grid": 32}, "16 or 12 steps, not 32"),
    ],
)
def test_one_call_refuses_what_is_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        sample(**options)
