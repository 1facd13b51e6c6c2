"""The adversarial losses against numbers by hand: logits and gradients of a linear discriminator can be counted."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.training.gan_loss import GANLoss, squared_gradient

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHT = torch.tensor([[3.0, -2.0], [0.0, 1.0]])  # |w|² = 14
REAL = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])  # w · x = 4 and −2
FAKE = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])  # w · x = 1 and 4
LABELS = torch.tensor([[0, 0, 0], [1, 0, 0]])
RATES = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])  # of no role


def _linear(bars, _):
    return (bars * WEIGHT).sum((1, 2))


def _softplus(x):
    return math.log1p(math.exp(x))


def test_discriminator_terms_of_a_linear_discriminator():
    """The logit gaps are 4 − 1 and −2 − 4."""
    terms = GANLoss(0.5, 2.0, 3.0).discriminator_terms(_linear, REAL, FAKE, LABELS)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"loss_d": (_softplus(-3) + _softplus(6)) / 2, "r1": 14, "r2": 14, "logit_gap": -1.5}
    )


def test_generator_terms_of_a_linear_discriminator():
    """Of two fake bars the cells sound in 1 1, 1 0, 0 0, 0 1; the rates asked for are ½, ¼, 0, 1."""
    terms = GANLoss(0.5, 2.0, 3.0).generator_terms(_linear, REAL, FAKE, LABELS, RATES)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"loss_g": (_softplus(3) + _softplus(-6)) / 2, "rate_matching": 1 / 4 - 3 / 16}
    )


def test_each_role_is_held_to_its_own_rates():
    """Of three bars of role 2 and one of role 0; the one of role 1 has no bar, and rates that nothing meets."""
    fake = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    labels = torch.tensor([[3, 2, 1], [0, 0, 0], [0, 2, 2], [1, 2, 0]])
    rates = torch.tensor([[[0.5, 0.75]], [[9.0, 9.0]], [[0.0, 0.5]]])
    terms = GANLoss(0, 0, 1).generator_terms(lambda bars, _: bars.sum((1, 2)), fake, fake, labels, rates)
    # role 2 has the differences (1, −½), (1, ½) and (0, ½); the one bar of role 0 counts as nothing
    by_hand = (3 * ((1 - 1 / 4) + (0 - 1 / 4) + (0 + 1 / 4)) / 3) / 4
    assert terms["rate_matching"].item() == pytest.approx(by_hand)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_rate_matching_is_the_squared_gap_on_average(share, rate):
    """Over all outcomes of three bars whose one cell sounds with this share; so rare parts are not made rarer."""
    loss, expected = GANLoss(0, 0, 1), 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=3):
        bars = torch.tensor(outcome, dtype=torch.float64)[:, None, None]
        labels, rates = torch.zeros(3, 3, dtype=torch.int64), torch.full((1, 1, 1), rate, dtype=torch.float64)
        terms = loss.generator_terms(lambda bars, _: bars.sum((1, 2)), bars, bars, labels, rates)
        chance = math.prod(share if cell else 1 - share for cell in outcome)
        expected += chance * terms["rate_matching"].item()
    assert expected == pytest.approx((share - rate) ** 2, abs=1e-9)


def test_each_bar_is_moved_by_the_other_bars_of_its_role():
    """The slope at a bar of role 1: the share of its bars, ⅔, times the other one's difference."""
    fake = torch.tensor([[[1.0]], [[1.0]], [[0.0]]]).requires_grad_(True)
    labels = torch.tensor([[0, 1, 0], [0, 0, 0], [0, 1, 0]])
    rates = torch.tensor([[[0.25]], [[0.9]]])
    loss = GANLoss(0, 0, 1)
    terms = loss.generator_terms(lambda bars, _: 0 * bars.sum((1, 2)), fake.detach(), fake, labels, rates)
    terms["rate_matching"].backward()
    assert fake.grad.flatten().tolist() == pytest.approx([-0.9 * 2 / 3, 0, 0.1 * 2 / 3])


def test_totals_by_hand():
    """Half of each gamma times its penalty; what has no coefficient does not count."""
    loss = GANLoss(r1_gamma=0.5, r2_gamma=2.0, rate_matching_coef=3.0)
    terms = {"loss_d": torch.tensor(7.0), "r1": torch.tensor(20.0), "r2": torch.tensor(300.0)}
    assert loss.total(terms | {"logit_gap": torch.tensor(1e6)}).item() == 7 + 5 + 300
    assert loss.total({"loss_g": torch.tensor(7.0), "rate_matching": torch.tensor(20.0)}).item() == 7 + 60


def test_r1_is_of_real_bars_and_r2_of_fake_ones():
    """D(x) = |x|² / 2 has the gradient x, whose squared length is the number of onsets: 2 and 1, 2 and 2."""
    terms = GANLoss(1, 1, 1).discriminator_terms(lambda bars, _: bars.square().sum((1, 2)) / 2, REAL, FAKE, LABELS)
    assert terms["r1"].item() == pytest.approx(1.5)
    assert terms["r2"].item() == pytest.approx(2.0)


def test_the_discriminator_learns_from_both_penalties_and_the_generator_from_none():
    weight = WEIGHT.clone().requires_grad_(True)
    fake = FAKE.clone().requires_grad_(True)
    loss = GANLoss(r1_gamma=0.5, r2_gamma=2.0, rate_matching_coef=3.0)
    terms = loss.discriminator_terms(lambda bars, _: (bars * weight).sum((1, 2)), REAL, fake, LABELS)
    loss.total(terms).backward()
    chance = torch.sigmoid(torch.tensor([-3.0, 6.0]))  # the slope of softplus at minus the gaps
    pairing = (chance[:, None, None] * (FAKE - REAL)).mean(0)
    torch.testing.assert_close(weight.grad, pairing + 0.25 * 2 * WEIGHT + 1.0 * 2 * WEIGHT)
    assert fake.grad is None


def test_the_generator_is_moved_towards_higher_logits_and_towards_the_rates():
    fake = FAKE.clone().requires_grad_(True)
    loss = GANLoss(r1_gamma=0.5, r2_gamma=2.0, rate_matching_coef=3.0)
    loss.total(loss.generator_terms(_linear, REAL, fake, LABELS, RATES)).backward()
    chance = torch.sigmoid(torch.tensor([3.0, -6.0]))
    adversarial = -chance[:, None, None] * WEIGHT / 2
    torch.testing.assert_close(fake.grad, adversarial + 3 * (FAKE - RATES[0]).flip(0))


def test_the_discriminator_gets_the_label_of_every_bar():
    seen = []

    def critic(bars, labels):
        seen.append(labels.tolist())
        return bars.sum((1, 2)) * labels[:, 0]

    loss = GANLoss(1, 1, 1)
    terms = loss.discriminator_terms(critic, REAL, FAKE, LABELS)
    # the bars labelled 1 have 1 and 2 onsets
    assert terms["logit_gap"].item() == pytest.approx((0 + (1 - 2)) / 2)
    loss.generator_terms(critic, REAL, FAKE, LABELS, RATES)
    assert seen == [[[0, 0, 0], [1, 0, 0]]] * 4


def test_squared_gradient_by_hand():
    """D(x) = 3 x₀ − 2 x₁: the squared gradient is 13, whatever the bar."""
    bars = torch.rand(5, 2, 1, requires_grad=True)
    logits = 3 * bars[:, 0, 0] - 2 * bars[:, 1, 0]
    assert squared_gradient(logits, bars).item() == pytest.approx(13)
