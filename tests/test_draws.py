"""What chance decides while bars are decided: rows of their own seeds, and which particles go on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_tuner.stepwise.draws import BatchDraws, SeededDraws
from rl_tuner.stepwise.resampling import systematic_resampling

pytestmark = pytest.mark.usefixtures("one_thread")

CALLS = [("normal", (3, 2)), ("uniform", ()), ("uniform", (5,)), ("normal", (7,))]


def drawn(seeds, rows_each, stream=0):
    """All that is drawn by several calls, (rows, numbers) float64."""
    draws, n = SeededDraws(seeds, stream), len(seeds) * rows_each
    return torch.cat([getattr(draws, name)(n, *shape).double().view(n, -1) for name, shape in CALLS], 1)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6), st.integers(1, 4))
def test_a_row_depends_on_its_own_seed_alone(seeds, rows_each):
    together = drawn(seeds, rows_each)
    for place, seed in enumerate(seeds):
        rows = slice(place * rows_each, (place + 1) * rows_each)
        assert torch.equal(together[rows], drawn([seed], rows_each))
    assert torch.equal(drawn(np.array(seeds, np.uint64), rows_each), together)


def test_seeds_streams_rows_and_calls_differ():
    first, other_seed = drawn([7], 3), drawn([8], 3)
    assert len(torch.unique(torch.cat([first, other_seed, drawn([7], 3, stream=1)]), dim=0)) == 9
    draws = SeededDraws([7], 0)
    assert (draws.normal(1, 4) != draws.normal(1, 4)).all()
    # a seed and a stream are not one number: to swap them is to draw others
    assert not torch.equal(drawn([3], 1, stream=5), drawn([5], 1, stream=3))


@pytest.mark.parametrize("make", [lambda: SeededDraws(range(50), 1), lambda: BatchDraws(torch.Generator())])
def test_numbers_are_normal_or_even(make):
    draws = make()
    normal, uniform = draws.normal(100, 400), draws.uniform(100, 400)
    assert (normal.dtype, uniform.dtype) == (torch.float32, torch.float64)
    assert normal.shape == uniform.shape == (100, 400)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.square().mean().item() == pytest.approx(1, abs=0.03)
    below = [(normal < limit).double().mean().item() for limit in (-1.5, -0.5, 0.5, 1.5)]
    assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.01)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    below = [(uniform < limit).double().mean().item() for limit in (0.1, 0.25, 0.7)]
    assert below == pytest.approx([0.1, 0.25, 0.7], abs=0.01)


def test_rows_that_are_no_even_shares_of_the_seeds_are_refused():
    with pytest.raises(ValueError, match="reshape"):
        SeededDraws([1, 2], 0).uniform(3)


def test_three_of_five_particles_by_hand():
    """Sums 1, 1, 4, 8, 10; with an offset of .4 the places are .4, 1.4 and 2.4 of 3, so 1.33, 4.67 and 8 of 10."""
    weights = torch.tensor([[1.0, 0, 3, 4, 2]])
    assert systematic_resampling(weights, torch.tensor([0.4]), 3).tolist() == [[2, 3, 4]]
    assert systematic_resampling(weights, torch.tensor([0.0]), 3).tolist() == [[0, 2, 3]]
    assert systematic_resampling(weights, torch.tensor([0.95]), 1).tolist() == [[4]]
    # ten times as many as they weigh: each exactly as often as its weight says
    ten = systematic_resampling(weights, torch.tensor([0.5]), 10)
    assert torch.bincount(ten[0], minlength=5).tolist() == [1, 0, 3, 4, 2]
    assert systematic_resampling(weights, torch.tensor([0.5])).shape == (1, 5)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=7).filter(any),
    st.integers(1, 20),
    st.floats(0, 1, exclude_max=True),
)
def test_each_goes_on_as_often_as_its_share_says_but_for_one(weights, k, offset):
    found = systematic_resampling(torch.tensor([weights], dtype=torch.float32), torch.tensor([offset]), k)[0]
    assert len(found) == k
    assert (found.diff() >= 0).all()
    shares = k * np.array(weights) / sum(weights)
    often = np.bincount(found.numpy(), minlength=len(weights))
    assert (often >= np.floor(shares - 1e-6)).all()
    assert (often <= np.ceil(shares + 1e-6)).all()


def test_rows_have_offsets_of_their_own():
    weights = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    assert systematic_resampling(weights, torch.tensor([0.2, 0.7, 0.2]), 1).tolist() == [[0], [1], [1]]
