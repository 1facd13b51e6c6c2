"""Morphs: few cells change at a time, the ends stay, and frames become more natural where something says what is."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.generate.morph import cell_order, morph, most_changes, natural_way
from rhythmgan.generate.naturalness import naturalness_of
from rhythmgan.models.gan import GAN, GANConfig


@pytest.fixture(scope="module")
def gan(one_thread):
    torch.manual_seed(5)
    return GAN(GANConfig(kit="gm9", width=16, discriminator_width=8, denoiser_width=12)).eval()


def _bars(*rows):
    """Bars of one part from strings: x sounds."""
    return np.array([[[cell == "x"] for cell in row] for row in rows])


def _changes(ways):
    """(…, frames − 1): the cells that change on each step."""
    return (ways[..., 1:, :, :] ^ ways[..., :-1, :, :]).sum((-2, -1))


def _indifferent(bars):
    return 0 * bars.sum((1, 2))


def _random_bars(rng, n, steps, parts):
    return rng.random((n, steps, parts)) < rng.random((n, 1, 1)) * rng.random((n, 1, parts))


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "frames", "limit"),
    [(0, 16, 3), (30, 16, 3), (31, 16, 4), (40, 16, 4), (41, 16, 5), (7, 2, 11), (1, 2, 3), (9, 3, 7)],
)
def test_half_as_many_again_as_on_an_even_way_may_change(distance, frames, limit):
    assert most_changes(distance, frames) == limit


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(12, 1), (12, 5), (16, 9)]),
    st.sampled_from([2, 3, 5, 16, 40]),
    st.floats(-3, 3),
)
def test_no_step_changes_more_than_the_limit_whatever_is_natural(seed, shape, frames, taste):
    """Judged by random weights of cells and of pairs of cells."""
    rng = np.random.default_rng(seed)
    start, end = _random_bars(rng, 2, *shape)
    size = math.prod(shape)
    weight, pairs = torch.tensor(rng.normal(size=size)), torch.tensor(rng.normal(size=(size, size)))

    def naturalness(bars):
        cells = bars.flatten(1)
        return cells @ weight + taste * ((cells @ pairs) * cells).sum(1)

    way = natural_way(naturalness, start, end, frames)
    assert way.shape == (frames, *shape)
    np.testing.assert_array_equal(way[0], start)
    np.testing.assert_array_equal(way[-1], end)
    distance = int((start ^ end).sum())
    changes = _changes(way)
    assert changes.sum() == distance  # each cell once, and no other
    assert changes.max() <= (most_changes(distance, frames) if distance >= frames - 1 else 1)
    if distance >= frames - 1:
        assert changes.min() >= 1
    np.testing.assert_array_equal(way, natural_way(naturalness, start, end, frames))


def test_fewer_changes_than_steps_come_at_even_distances():
    """Three on twelve steps: on the third, the seventh and the eleventh."""
    way = natural_way(_indifferent, *_bars("x...x...x...", "............"), 13)
    assert _changes(way).tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]


# -- the order of the changes --------------------------------------------------------------------


def test_a_part_changes_from_the_weak_steps_to_the_strong_ones():
    """Of steps 0, 3, 4, 6 and 8 the fourth is a sixteenth, the seventh an eighth, then come beat, half bar and bar."""
    differs = np.zeros((16, 3), bool)
    differs[[0, 3, 4, 6, 8], 1] = differs[5, 2] = True
    assert cell_order(differs) == {1: [3 * 3 + 1, 6 * 3 + 1, 4 * 3 + 1, 8 * 3 + 1, 0 * 3 + 1], 2: [5 * 3 + 2]}


def test_the_parts_change_one_after_the_other():
    """Where all bars are equally natural as well."""
    start, end = np.zeros((2, 12, 4), bool)
    start[::3, 0] = start[1::3, 2] = end[::2, 1] = end[5:8, 3] = True
    way = natural_way(_indifferent, start, end, 18)
    last = [np.flatnonzero((way[1:, :, part] ^ way[:-1, :, part]).any(1)) for part in range(4)]
    spans = sorted((steps.min(), steps.max()) for steps in last)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_the_density_goes_straight_where_all_bars_are_equally_natural():
    """Two parts of two onsets give way to two others: one goes, two come, and one goes."""
    start, end = np.zeros((2, 12, 4), bool)
    start[[0, 6], 0] = start[[3, 9], 1] = end[[0, 6], 2] = end[[3, 9], 3] = True
    density = natural_way(_indifferent, start, end, 9).sum((1, 2))
    assert density.tolist() == [4, 3, 2, 3, 4, 3, 2, 3, 4]


def test_the_order_of_the_parts_is_the_most_natural_one():
    """Five parts come in. Each that sounds without the one before it in a hidden order makes a bar less natural."""
    hidden = [3, 0, 4, 1, 2]
    start, end = np.zeros((2, 12, 5), bool)
    end[0] = True

    def naturalness(bars):
        sounds = bars[:, 0][:, hidden]
        return -10 * (sounds[:, 1:] * (1 - sounds[:, :-1])).sum(1)

    way = natural_way(naturalness, start, end, 6)
    assert way[1:].argmax(0)[0].tolist() == [1, 3, 4, 0, 2]


def test_unnatural_bars_are_passed_over_where_a_step_may_change_more():
    """Eight onsets come in on six steps. The bars of two and of five onsets are not natural, and no frame is one."""

    def naturalness(bars):
        onsets = bars.sum((1, 2))
        return -9 * ((onsets == 2) | (onsets == 5)).double()

    way = natural_way(naturalness, *_bars("............", "xxxxxxxx...."), 7)
    assert way.sum((1, 2)).tolist() == [0, 1, 3, 4, 6, 7, 8]


def test_bars_that_are_more_natural_than_the_ends_are_no_better():
    """Two parts of two onsets come in; the first alone is far more natural than both ends, the other a little less."""

    def naturalness(bars):
        first, second = bars.sum(1).T
        return torch.where((first > 0) & (second == 0), 10.0, 0.0) - torch.where((second > 0) & (first == 0), 2.0, 0.0)

    start, end = np.zeros((2, 12, 2), bool)
    end[[0, 6]] = True
    way = natural_way(naturalness, start, end, 5)
    assert way[2].sum(0).tolist() == [0, 2]


# -- bars of a model -----------------------------------------------------------------------------


def test_a_morph_depends_on_its_ends_alone(gan):
    """In a batch, alone, and with torch's global random numbers in another state."""
    bars = gan.sample(12)
    together = morph(gan, bars[:6], bars[6:], 9)
    torch.manual_seed(99)
    for i in (0, 3, 5):
        np.testing.assert_array_equal(morph(gan, bars[i : i + 1], bars[i + 6 : i + 7], 9)[0], together[i])


def test_the_search_finds_more_natural_frames_than_an_indifferent_one(gan):
    natural = naturalness_of(gan)

    def score(bars):
        return natural(torch.from_numpy(bars).double()).detach().numpy()

    bars = gan.sample(20)
    line = score(bars[:10])[:, None], score(bars[10:])[:, None]
    line = line[0] + (line[1] - line[0]) * np.linspace(0, 1, 8)
    ways = morph(gan, bars[:10], bars[10:], 8)
    blind = np.stack([natural_way(_indifferent, *ends, 8) for ends in zip(bars[:10], bars[10:], strict=True)])
    off = [np.abs(line.ravel() - score(each.reshape(-1, 16, 9))).sum() for each in (ways, blind)]
    assert off[0] < off[1]


def test_equal_ends_and_no_ways_at_all(gan):
    bars = gan.sample(3)
    np.testing.assert_array_equal(morph(gan, bars, bars, 7), np.stack([bars] * 7, 1))
    assert morph(gan, bars[:0], bars[:0], 7).shape == (0, 7, 16, 9)
    np.testing.assert_array_equal(morph(gan, bars[:1], bars[1:2], 2), bars[None, :2])


def test_bad_morphs(gan):
    bars = gan.sample(2)
    for frames in (1, 0, -3):
        with pytest.raises(ValueError, match=f"2 frames or more, not {frames}"):
            morph(gan, bars, bars, frames)
    with pytest.raises(ValueError, match="2 starts and 1 ends"):
        morph(gan, bars, bars[:1], 5)
    with pytest.raises(ValueError, match=r"expected bars \(n, 16, 9\) bool; got float64"):
        morph(gan, bars, bars.astype(float), 5)
    with pytest.raises(ValueError, match=r"got bool \(2, 16, 8\)"):
        morph(gan, bars[..., :8], bars[..., :8], 5)


# -- the bundled generator -----------------------------------------------------------------------


def test_bundled_morphs_keep_their_promises(one_thread):
    """Nothing leaps, nothing stands still, and the density goes nearly straight."""
    from rhythmgan.models.gan import load_gan

    bundled = load_gan()
    bars = bundled.sample(40)
    ways = morph(bundled, bars[:20], bars[20:], 16)
    distance = (bars[:20] ^ bars[20:]).sum((1, 2))
    changes = _changes(ways)
    assert (changes.max(1) <= [most_changes(int(each), 16) for each in distance]).all()
    assert (changes[distance >= 15] >= 1).all()
    density = ways.sum((2, 3))
    line = density[:, :1] + (density[:, -1:] - density[:, :1]) * np.linspace(0, 1, 16)
    assert np.abs(density - line).mean() <= 1.5
