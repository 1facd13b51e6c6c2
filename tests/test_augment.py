"""Augmentations do what their labels say and nothing else."""

import numpy as np
import pytest
import torch

from rhythmgan.augment import (
    EXCHANGED,
    N_AUGMENTATIONS,
    REAL,
    THINNED,
    augment,
    augmented_rates,
    draw_augmentations,
    exchanges,
)
from rhythmgan.kit import GM9, GM12, JAKI5, STREAMS, Kit

pytestmark = pytest.mark.usefixtures("one_thread")


def _random(seed=0):
    return torch.Generator().manual_seed(seed)


def _bars(n, n_parts=9, steps=16):
    return torch.rand(n, steps, n_parts, generator=_random(9)) < 0.4


def _labels(label, n):
    return torch.full((n,), label)


def test_a_real_bar_stays_as_it_is():
    bars = _bars(50)
    assert torch.equal(augment(bars, _labels(REAL, 50), GM9, _random()), bars)


@pytest.mark.parametrize("steps", [12, 16, 32])
@pytest.mark.parametrize("beats", [1, 2, 3])
def test_a_rotated_bar_begins_so_many_beats_later(beats, steps):
    bars = _bars(20, steps=steps)
    seen = augment(bars, _labels(beats, 20), GM9, _random())
    np.testing.assert_array_equal(seen, np.roll(bars.numpy(), -beats * steps // 4, 1))


def test_thinning_leaves_out_whole_parts():
    bars = torch.ones(4000, 16, 9, dtype=torch.bool)
    seen = augment(bars, _labels(THINNED, 4000), GM9, _random())
    assert torch.equal(seen, seen[:, :1].expand_as(seen))
    assert abs(seen.float().mean() - 0.75) < 0.01
    patterns = len(np.unique(seen[:, 0].numpy(), axis=0))
    assert patterns > 150  # parts go one by one


def test_exchanges_keep_to_a_stream():
    """Snare and three toms: six pairs; two hats, ride and crash: six; the kick with nobody."""
    orders = exchanges(GM9)
    assert orders.shape == (12, 9)
    streams = np.array([part.stream for part in GM9.parts])
    for order in orders.tolist():
        assert sorted(order) == list(range(9))
        assert sum(place != part for place, part in enumerate(order)) == 2
        assert (streams[order] == streams).all()
    assert len(exchanges(JAKI5)) == 2
    # of five in the middle and six above, a shaker takes the hat's line, a conga a tom's
    assert len(exchanges(GM12)) == 10 + 15


def test_two_parts_change_places():
    bars = _bars(600)
    seen = augment(bars, _labels(EXCHANGED, 600), GM9, _random())
    changed = (seen != bars).any(1)
    assert (changed.sum(1) == 2).float().mean() > 0.95
    assert torch.equal(seen[..., 0], bars[..., 0])
    lines = [sorted(map(tuple, bar.T.tolist())) for bar in (bars[5].numpy(), seen[5].numpy())]
    assert lines[0] == lines[1]
    assert len({tuple(row) for row in changed.tolist()}) == 12


def test_bars_of_a_row_are_treated_alike():
    bar = _bars(300)
    both = torch.stack([bar, bar], 1)
    labels = draw_augmentations(300, 1.0, _random(), torch.device("cpu"))
    seen = augment(both, labels, GM9, _random(3))
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert both.shape == seen.shape
    assert not torch.equal(seen, both)


def test_augmentations_come_as_often_as_asked():
    labels = draw_augmentations(60_000, 0.3, _random(), torch.device("cpu"))
    shares = torch.bincount(labels, minlength=N_AUGMENTATIONS) / 60_000
    expected = [0.7, 0.1 / 3, 0.1 / 3, 0.1 / 3, 0.1, 0.1]
    np.testing.assert_allclose(shares, expected, atol=0.006)
    assert (draw_augmentations(1000, 0.0, _random(), torch.device("cpu")) == REAL).all()
    assert (draw_augmentations(1000, 1.0, _random(), torch.device("cpu")) != REAL).all()


def test_augmented_rates_are_those_of_many_augmented_bars():
    """Against 30,000 augmented bars whose parts and steps differ; the kick's share by hand."""
    bars = torch.rand(30_000, 16, 9, generator=_random()) < torch.linspace(0.05, 0.6, 144).view(16, 9)
    rates = bars.float().mean(0)
    labels = draw_augmentations(30_000, 0.6, _random(1), torch.device("cpu"))
    seen = augment(bars, labels, GM9, _random(2)).float().mean(0)
    expected = augmented_rates(rates, 0.6, GM9)
    np.testing.assert_allclose(seen, expected, atol=0.015)
    rotated = (rates[4, 0] + rates[8, 0] + rates[12, 0]) / 3
    by_hand = 0.4 * rates[0, 0] + 0.2 * rotated + 0.2 * 0.75 * rates[0, 0] + 0.2 * rates[0, 0]
    assert expected[0, 0] == pytest.approx(by_hand)
    assert torch.equal(augmented_rates(rates, 0.0, GM9), rates)
    not_rotated = augmented_rates(rates, 0.6, GM9, rotated=False)
    assert not_rotated[0, 0] == pytest.approx(0.4 * rates[0, 0] + 0.3 * 0.75 * rates[0, 0] + 0.3 * rates[0, 0])


def test_a_kit_without_two_parts_of_a_stream_is_not_exchanged():
    """As the smallest kit of all has: there is nothing to exchange, and training on it must not fail."""
    three = Kit("three", tuple(next(part for part in GM9.parts if part.stream == stream) for stream in STREAMS))
    assert exchanges(three).tolist() == [[0, 1, 2]]
    bars = torch.rand(50, 16, 3, generator=torch.Generator().manual_seed(0)) < 0.3
    labels = torch.full((50,), EXCHANGED)
    assert torch.equal(augment(bars, labels, three, torch.Generator().manual_seed(1)), bars)
    rates = bars.float().mean(0)
    rotated = torch.stack([rates.roll(-4 * beats, 0) for beats in (1, 2, 3)]).mean(0)
    expected = 0.4 * rates + 0.2 * (rotated + 0.75 * rates + rates)
    torch.testing.assert_close(augmented_rates(rates, 0.6, three), expected)
