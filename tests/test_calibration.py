"""Temperatures keep how often each part sounds."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, TEMPERATURES
from rhythmgan.training import calibration
from rhythmgan.training.calibration import calibrate_temperatures

pytestmark = pytest.mark.usefixtures("one_thread")

SHARES = (0.4, 0.5, 0.06, 0.015, 0.9)
"""How often each part sounds at temperature 1."""


def _known(expected, **names):
    """A GAN that expects ``expected`` (5,) of the parts at every step, whatever came before."""
    gan = GAN(GANConfig("jaki5", 12, 4, 4, **names)).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.zero_()
    gan.generator.to_parts.bias.copy_(torch.as_tensor(np.asarray(expected)).float())
    return gan


def test_shifts_by_hand():
    """A cell expects e and sounds with chance Φ((e + shift) / T), which is Φ(e) for shift = (T − 1) e."""
    expected = norm.ppf(SHARES)
    gan = _known(expected)
    calibrate_temperatures(gan)
    for row, temperature in enumerate(TEMPERATURES):
        by_hand = (temperature - 1) * expected
        np.testing.assert_allclose(gan.shifts[row, 0], by_hand, atol=0.02)
    assert not gan.shifts[TEMPERATURES.index(1)].any()
    assert gan.shifts[0].abs().max() > 0.5


def test_at_temperature_1_nothing_is_shifted(monkeypatch):
    monkeypatch.setattr(calibration, "_BARS", 50)
    torch.manual_seed(3)
    gan = GAN(GANConfig("jaki5", 12, 6, 4, roles=("groove", "fill"))).eval()
    gan.shifts.normal_()
    calibrate_temperatures(gan)
    one = TEMPERATURES.index(1)
    assert torch.equal(gan.shifts[one], torch.zeros(3, 5))
    assert (gan.shifts[[row for row in range(len(TEMPERATURES)) if row != one]] != 0).any()


def _of_two_kinds():
    """Cells that are expected unevenly: part by part, step by step, by links within a step, and by role."""
    torch.manual_seed(8)
    gan = GAN(GANConfig("jaki5", 12, 12, 4, roles=("groove", "fill"), styles=("rock",))).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.mul_(3)
    gan.generator.to_parts.bias.copy_(torch.tensor([-0.6, -1.0, 0.4, -1.6, -1.3]))
    for table in (gan.generator.start, gan.generator.drive):
        table.role.mul_(6)
    return gan


@pytest.fixture(scope="module")
def both():
    """The same GAN before and after it is calibrated."""
    torch.set_num_threads(1)
    plain, calibrated = _of_two_kinds(), _of_two_kinds()
    calibrate_temperatures(calibrated)
    return plain, calibrated


@pytest.mark.parametrize("role", ["any", "groove", "fill"])
def test_each_part_keeps_its_share_at_every_temperature(both, role):
    """Between the temperatures that are calibrated too, with other seeds; without shifts it does not."""

    def shares(gan, temperature):
        return gan.with_condition(role).sample(1500, 10**6, temperature).mean((0, 1))

    plain, calibrated = both
    wanted = shares(calibrated, 1.0)
    np.testing.assert_array_equal(wanted, shares(plain, 1.0))
    assert wanted.min() > 0.01
    assert (np.abs(shares(plain, 0.5) - wanted) > 0.03 + 0.1 * wanted).any()
    for temperature in (0.5, 0.6, 0.7, 0.85, 0.92, 1.1, 1.2):
        np.testing.assert_allclose(shares(calibrated, temperature), wanted, atol=0.01, rtol=0.06)


def test_roles_have_shifts_of_their_own(both):
    shifts = both[1].shifts[0]
    apart = (shifts[:, None] - shifts[None]).abs().amax(2)
    assert apart[~torch.eye(3, dtype=torch.bool)].min() > 0.01


def test_the_same_on_every_call_and_from_any_condition(monkeypatch):
    monkeypatch.setattr(calibration, "_BARS", 50)
    first, second = _of_two_kinds(), _of_two_kinds()
    calibrate_temperatures(first)
    calibrate_temperatures(second.with_condition("fill", "rock"))
    assert torch.equal(first.shifts, second.shifts)
    calibrate_temperatures(second)  # what was found before does not count
    assert torch.equal(first.shifts, second.shifts)


def test_parts_that_never_or_always_sound_are_not_shifted(monkeypatch):
    monkeypatch.setattr(calibration, "_BARS", 200)
    gan = _known([-40.0, 40.0, 0.0, -40.0, -0.8])
    calibrate_temperatures(gan)
    assert not gan.shifts[..., [0, 1, 3]].any()
    assert torch.isfinite(gan.shifts).all()
    assert gan.shifts[0, 0, 4] > 0.2
