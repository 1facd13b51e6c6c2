"""What a bar is worth, counted by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_tuner.rewards import KL_PRICE, TOLERANCE, distance, likelihood, match, realism, score, success


def test_distance_is_counted_in_tolerances():
    values = torch.tensor([[20.0, 6.0], [17.0, 1.5]])
    targets = torch.tensor([[23.0, 5.0], [17.0, 2.0]])
    tolerance = torch.tensor([1.0, 0.25])
    assert distance(values, targets, tolerance).tolist() == [[3.0, 4.0], [0.0, 2.0]]


def test_one_tolerance_away_is_a_success_and_a_hair_more_is_not():
    assert TOLERANCE == 1.0
    distances = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.001, 0.0], [0.0, 7.0], [0.5, 0.9]])
    assert success(distances, torch.ones(5, 2)).tolist() == [True, True, False, False, True]


def test_a_feature_that_is_skipped_is_no_condition_of_success():
    distances = torch.tensor([[0.0, 7.0], [0.0, 7.0], [7.0, 0.0], [7.0, 9.0]])
    importance = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.3], [0.0, 0.0]])
    assert success(distances, importance).tolist() == [True, False, True, True]


def test_match_by_hand():
    distances = torch.tensor([[0.0, 0.0], [1.0, 0.5], [4.0, 0.0], [0.0, 8.0], [1.0, 3.0], [2.0, 9.0]])
    importance = torch.tensor([[1.0, 1.0], [2.0, 1.0], [1.0, 5.0], [1.0, 0.5], [1.0, 0.0], [0.0, 0.0]])
    expected = [
        1.0,  # exactly the targets
        0.5 * math.exp(-2.5 / 4) + 0.5,
        0.5 * math.exp(-1),
        0.5 * math.exp(-1),
        0.5 * math.exp(-0.25) + 0.5,  # the second is skipped, the first reached at the boundary
        1.0,  # nothing is asked for
    ]
    worth = match(distances, importance)
    torch.testing.assert_close(worth, torch.tensor(expected))
    assert worth[0] == 1.0


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 200)), min_size=1, max_size=5))
def test_match_lies_in_0_to_1_and_falls_with_distance(pairs):
    distances = torch.tensor(pairs)
    importance = torch.tensor([1.0, 0.5])
    near, far = match(distances, importance), match(distances + torch.tensor([0.0, 0.75]), importance)
    assert ((near >= 0) & (near <= 1)).all()
    assert (far <= near).all()


class Logits:
    """A critic whose logit is half the number of onsets."""

    def logits(self, bars):
        return bars.sum((1, 2)) / 2


def _bars(*onsets):
    bars = torch.zeros(len(onsets), 4, 3, dtype=torch.bool)
    for bar, n in zip(bars, onsets, strict=True):
        bar.view(-1)[:n] = True
    return bars


def test_realism_is_the_logit_beside_the_typical_one():
    worth = realism(Logits(), _bars(2, 6, 0), 1.0)
    torch.testing.assert_close(worth, torch.tensor([0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))]))


class Nats:
    """A prior under which every onset costs two nats."""

    def log_prob(self, bars):
        return -2.0 * bars.sum((1, 2))


def test_likelihood_is_that_of_a_step_and_never_over_a_half():
    # bars have four steps: 3 onsets are −1.5 nats a step, 5 are −2.5, 1 is −.5
    worth = likelihood(Nats(), _bars(3, 5, 1, 0), -1.5, 0.25)
    torch.testing.assert_close(worth, torch.tensor([0.5, 1 / (1 + math.exp(4)), 0.5, 0.5]))


def test_score_is_the_weighted_sum_of_the_terms_that_there_are():
    terms = {"match": torch.tensor([0.5, 1.0]), "realism": torch.tensor([0.25, 0.75])}
    coefs = {
        "match": torch.tensor([1.0, 1.0]),
        "realism": torch.tensor([0.0, 2.0]),
        "likelihood": torch.tensor([9.0, 9.0]),
    }
    assert score(terms, coefs).tolist() == [0.5, 2.5]


def test_kl_is_cheap_beside_a_success():
    assert 0 < KL_PRICE < 0.5


def test_a_missing_coefficient_is_no_silent_zero():
    with pytest.raises(KeyError, match="match"):
        score({"match": torch.ones(1)}, {})
