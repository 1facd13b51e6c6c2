"""Morphs: few cells change at a time, the ends stay, and frames become more natural where something says what is."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.generate.morph import even_ways, morph, most_changes, natural_ways
from rhythmgan.models.gan import GAN, GANConfig


@pytest.fixture(scope="module")
def gan(one_thread):
    torch.manual_seed(5)
    return GAN(GANConfig(kit="gm9", width=16, discriminator_width=8, denoiser_width=12)).eval()


def _bars(*rows):
    """Bars of one part from strings: x sounds."""
    return np.array([[[cell == "x"] for cell in row] for row in rows])


def _text(bars):
    return ["".join("x" if cell else "." for cell in bar[:, 0]) for bar in bars]


def _changes(ways):
    """(n, frames − 1): the cells that change on each step."""
    return (ways[:, 1:] ^ ways[:, :-1]).sum((2, 3))


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
    st.sampled_from([(4, 1), (12, 5), (16, 9)]),
    st.sampled_from([2, 3, 5, 16, 40]),
    st.floats(-3, 3),
)
def test_no_step_changes_more_than_the_limit_whatever_is_natural(seed, shape, frames, taste):
    """Judged by random weights of cells and of pairs of cells."""
    rng = np.random.default_rng(seed)
    starts, ends = _random_bars(rng, 3, *shape), _random_bars(rng, 3, *shape)
    ends[2] = starts[2]
    size = math.prod(shape)
    weight, pairs = torch.tensor(rng.normal(size=size)), torch.tensor(rng.normal(size=(size, size)))

    def naturalness(bars):
        cells = bars.flatten(1)
        return cells @ weight + taste * ((cells @ pairs) * cells).sum(1)

    ways = natural_ways(naturalness, even_ways(starts, ends, frames))
    assert ways.shape == (3, frames, *shape)
    np.testing.assert_array_equal(ways[:, 0], starts)
    np.testing.assert_array_equal(ways[:, -1], ends)
    for way in ways:
        distance = int((way[0] ^ way[-1]).sum())
        changes = _changes(way[None])[0]
        assert changes.max() <= most_changes(distance, frames)
        if distance >= frames - 1:
            assert changes.min() >= 1
    np.testing.assert_array_equal(ways, natural_ways(naturalness, even_ways(starts, ends, frames)))


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_even_ways_change_each_cell_once_and_evenly(seed, frames):
    rng = np.random.default_rng(seed)
    starts, ends = _random_bars(rng, 4, 16, 3), _random_bars(rng, 4, 16, 3)
    ways = even_ways(starts, ends, frames)
    np.testing.assert_array_equal(ways[:, 0], starts)
    np.testing.assert_array_equal(ways[:, -1], ends)
    distance = (starts ^ ends).sum((1, 2))
    changes = _changes(ways)
    np.testing.assert_array_equal(changes.sum(1), distance)
    assert (changes >= (distance // (frames - 1))[:, None]).all()
    assert (changes <= -(-distance // (frames - 1))[:, None]).all()
    density = ways.sum((2, 3))
    line = density[:, :1] + (density[:, -1:] - density[:, :1]) * np.linspace(0, 1, frames)
    assert np.abs(density - line).max() <= 2


def test_onsets_come_and_go_in_turn():
    """Four onsets move: after every second change there are four again."""
    (way,) = even_ways(_bars("xxxx...."), _bars("....xxxx"), 9)
    assert way.sum((1, 2)).tolist() in ([4, 5, 4, 5, 4, 5, 4, 5, 4], [4, 3, 4, 3, 4, 3, 4, 3, 4])


# -- what is natural -----------------------------------------------------------------------------


def _pairs_sound_together(bars):
    """Cells 0 and 1, 2 and 3 …: minus how many pairs are torn."""
    cells = bars.flatten(1)
    first, second = cells[:, ::2], cells[:, 1::2]
    return -(first + second - 2 * first * second).sum(1) * 10


def test_what_belongs_together_changes_together():
    """Three pairs come one after the other: with a change of two cells on every step no pair is ever torn."""
    before = even_ways(_bars("........"), _bars("xxxxxx.."), 7)
    assert (_pairs_sound_together(torch.from_numpy(before[0]).double()) < 0).any()
    (way,) = natural_ways(_pairs_sound_together, before)
    assert (_pairs_sound_together(torch.from_numpy(way).double())[[2, 4]] == 0).all()


def test_a_cell_that_both_ends_share_may_change_for_a_while():
    """Between the ends, where cells 1 and 4 sound together or not at all, the first cell has to sound."""

    def naturalness(bars):
        cells = bars.flatten(1)
        return -20 * (1 - cells[:, 0]) * (cells[:, 1] * cells[:, 4] + (1 - cells[:, 1]) * (1 - cells[:, 4]))

    start, end = _bars(".x.x...."), _bars("....x.x.")
    assert naturalness(torch.from_numpy(np.concatenate([start, end])).double()).abs().sum() == 0
    even = even_ways(start, end, 4)
    assert naturalness(torch.from_numpy(even[0]).double()).min() == -20
    (way,) = natural_ways(naturalness, even)
    assert (naturalness(torch.from_numpy(way).double()) == 0).all(), _text(way)


def test_a_way_whose_frames_are_natural_enough_stays(gan):
    before = even_ways(_bars("xxxx...."), _bars("....xxxx"), 5)
    np.testing.assert_array_equal(natural_ways(lambda bars: 0 * bars.sum((1, 2)), before), before)


# -- bars of a model -----------------------------------------------------------------------------


def test_a_morph_depends_on_its_ends_alone(gan):
    """In a batch, alone, and with torch's global random numbers in another state."""
    bars = gan.sample(12)
    together = morph(gan, bars[:6], bars[6:], 9)
    torch.manual_seed(99)
    for i in (0, 3, 5):
        np.testing.assert_array_equal(morph(gan, bars[i : i + 1], bars[i + 6 : i + 7], 9)[0], together[i])


def test_a_morph_is_more_natural_than_the_even_way(gan):
    from rhythmgan.generate.naturalness import score

    bars = gan.sample(20)
    ways, even = morph(gan, bars[:10], bars[10:], 8), even_ways(bars[:10], bars[10:], 8)
    ends = (score(gan, bars[:10])[:, None], score(gan, bars[10:])[:, None])
    line = ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 8)
    lack = [np.maximum(line.ravel() - score(gan, each.reshape(-1, 16, 9)), 0).sum() for each in (ways, even)]
    assert lack[0] < lack[1]


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
