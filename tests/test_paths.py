"""Even paths: how much a step changes, and the frames that no other choice beats."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.generate.paths import even_path, step_changes
from rhythmgan.latent import interpolate
from rhythmgan.models.gan import GAN, GANConfig, load_gan

_LIMIT = Fraction(1, 4)
_FINE = 14


class _Table:
    """Stands in for a GAN: the bar of a point is that at the point's first number."""

    def __init__(self, bars):
        self.bars = np.asarray(bars, bool)

    def decode(self, z):
        return self.bars[np.rint(z[:, 0]).astype(int)]


def _bars(*rows):
    """Bars of one part from strings: x sounds."""
    return np.array([[[cell == "x"] for cell in row] for row in rows])


def _share(before, after):
    """Of the cells that sound before, how many differ after; a silent bar counts as one with an onset."""
    differ = sum(a != b for a, b in zip(before.ravel().tolist(), after.ravel().tolist(), strict=True))
    return Fraction(differ, max(int(before.sum()), 1))


def _cost(shares):
    return sum(min(share, 10) ** 2 for share in shares)


def _chosen(table, frames):
    """Which of the table's bars the path takes, by its place among the fine points."""
    end = _FINE * (frames - 1)
    assert len(table.bars) == end + 1
    path = even_path(table, np.array([0.0]), np.array([float(end)]), frames, "lerp")
    assert path.shape == (frames, 1)
    assert path.dtype == np.float32
    places = path[:, 0].tolist()
    assert all(place == int(place) for place in places)
    return [int(place) for place in places]


def _costs_of_all(bars, frames):
    """The sum of squares of every choice of frames in order, both ends among them, by brute force."""
    share = {(i, j): _share(bars[i], bars[j]) for i, j in itertools.combinations(range(len(bars)), 2)}
    inner = itertools.combinations(range(1, len(bars) - 1), frames - 2)
    choices = ((0, *middle, len(bars) - 1) for middle in inner)
    return {choice: _cost([share[step] for step in itertools.pairwise(choice)]) for choice in choices}


# -- steps ---------------------------------------------------------------------------------------


def test_step_changes_by_hand():
    """Between four onsets and two others 4 cells change: all of the first's, twice the second's."""
    bars = _bars("xxxx....", "xx......", "........", "..x...xx")
    expected = [
        [0, 2 / 4, 4 / 4, 5 / 4],
        [2 / 2, 0, 2 / 2, 5 / 2],
        [4 / 1, 2 / 1, 0, 3 / 1],
        [5 / 3, 5 / 3, 3 / 3, 0],
    ]
    found = step_changes(bars)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_a_cell_is_a_part_on_a_step():
    """An onset that another part plays, or that comes a step later, is two cells."""
    bars = np.zeros((3, 12, 2), bool)
    bars[0, [0, 6], 0] = True
    bars[1, 0, 0] = bars[1, 6, 1] = True
    bars[2, [0, 7], 0] = bars[2, 3, 1] = True
    np.testing.assert_allclose(step_changes(bars), [[0, 1, 1.5], [1, 0, 1.5], [1, 1, 0]])


@given(st.integers(1, 6), st.sampled_from([(12, 1), (16, 9), (48, 5)]), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_step_changes_are_those_of_a_loop_over_pairs(n, shape, density, seed):
    rng = np.random.default_rng(seed)
    bars = rng.random((n, *shape)) < density * rng.random((n, 1, 1))
    found = step_changes(bars)
    assert found.shape == (n, n)
    for i, j in itertools.product(range(n), repeat=2):
        assert found[i, j] == np.float32(_share(bars[i], bars[j]))


# -- paths ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gan(one_thread):
    torch.manual_seed(5)
    return GAN(GANConfig(width=16, discriminator_width=8)).eval()


@pytest.mark.parametrize("mode", ["slerp", "lerp"])
@pytest.mark.parametrize("frames", [2, 3, 7])
def test_frames_are_points_of_the_path_in_their_order(gan, mode, frames):
    a, b = gan.latents([3, 17])
    found = even_path(gan, a, b, frames, mode)
    assert found.shape == (frames, gan.latent_dim)
    assert found.dtype == np.float32
    fine = interpolate(a, b, _FINE * (frames - 1) + 1, mode)
    places = [np.flatnonzero((fine == point).all(1)).tolist() for point in found]
    assert all(len(place) == 1 for place in places)
    order = [place[0] for place in places]
    assert order[0] == 0
    assert order[-1] == len(fine) - 1
    assert order == sorted(set(order))


def test_the_ends_are_the_given_points(gan):
    a, b = gan.latents([3, 17])
    kept = a.copy(), b.copy()
    for found in (even_path(gan, a, b, 5), even_path(gan, a, b, 5, "lerp"), even_path(gan, b, a, 5)[::-1]):
        np.testing.assert_array_equal(found[[0, -1]], [a, b])
    np.testing.assert_array_equal([a, b], kept)
    np.testing.assert_array_equal(even_path(gan, a, b, 2), [a, b])


def test_the_path_is_a_slerp_by_default(gan):
    a, b = gan.latents([8, 2])
    np.testing.assert_array_equal(even_path(gan, a, b, 4), even_path(gan, a, b, 4, "slerp"))
    assert (even_path(gan, a, b, 4, "slerp") != even_path(gan, a, b, 4, "lerp")).any()


def test_two_frames_are_the_ends_whatever_lies_between():
    assert _chosen(_Table(_bars("xx..", *["...."] * 13, "..xx")), 2) == [0, 14]


def test_a_detour_is_cut_short():
    """One onset moves, then another; before and after the bar between lie bars that have little of either end."""
    start, near, far, end = "xxxxxxxx........", "xxxxxxx.x.......", ".......xxxxxxxxx", "xxxxxx..xx......"
    bars = _bars(start, *[far] * 10, near, *[far] * 16, end)
    assert _chosen(_Table(bars), 3) == [0, 11, 28]


def test_two_halves_are_taken_rather_than_a_leap():
    """A leap and a rest (squares: 1) lose to two halves of it (squares: a half)."""
    start, half, end = "xxxx............", "xxx.x...........", "xx..xx.........."
    assert _cost([_share(*_bars(start, end)), 0]) == 1
    assert _cost([_share(*_bars(start, half)), _share(*_bars(half, end))]) == Fraction(1, 2)
    places = _chosen(_Table(_bars(start, *[end] * 12, half, half, *[end] * 14)), 3)
    assert places[1] in (13, 14)


def test_a_step_counts_by_the_bar_that_it_leaves():
    """Four onsets come: over the two of before a double, over the six of after two thirds."""
    few, many = "xx......", "xxxxxx.."
    assert (_share(*_bars(few, many)), _share(*_bars(many, few))) == (2, Fraction(2, 3))
    # through three onsets: (1/2)² + (3/3)² = 1.25, through five: (3/2)² + (1/5)² = 2.29
    three, five = "xxx.....", "xxxxx..."
    assert _chosen(_Table(_bars(few, *[five] * 13, three, *[five] * 13, many)), 3) == [0, 14, 28]


@given(st.integers(3, 4), st.integers(0, 2**32 - 1), st.floats(0.005, 0.15), st.integers(4, 30))
def test_no_other_choice_is_better(frames, seed, restless, onsets):
    """Bars that wander, by much and by little."""
    rng = np.random.default_rng(seed)
    n = _FINE * (frames - 1) + 1
    first = np.zeros(48, bool)
    first[rng.permutation(48)[:onsets]] = True
    flips = rng.random((n, 48)) < restless * (rng.random((n, 1)) < 0.5)
    flips[0] = False
    bars = (first ^ (np.cumsum(flips, 0) % 2 == 1)).reshape(n, 16, 3)
    every = _costs_of_all(bars, frames)
    found = every[tuple(_chosen(_Table(bars), frames))]
    least = min(every.values())
    assert float(found) == pytest.approx(float(least), abs=1e-5)  # the shares are of single precision


def test_no_other_choice_of_five_is_better():
    rng = np.random.default_rng(4)
    flips = rng.random((57, 32)) < 0.04
    bars = ((np.arange(32) < 14) ^ (np.cumsum(flips, 0) % 2 == 1)).reshape(57, 16, 2)
    every = _costs_of_all(bars, 5)
    found, least = every[tuple(_chosen(_Table(bars), 5))], min(every.values())
    assert float(found) == pytest.approx(float(least), abs=1e-5)
    assert every[0, 14, 28, 42, 56] > found


def test_bad_paths(gan):
    a, b = gan.latents([3, 17])
    for frames in (1, 0, -3):
        with pytest.raises(ValueError, match=f"2 frames or more, not {frames}"):
            even_path(gan, a, b, frames)
    with pytest.raises(ValueError, match="100 frames at most, not 101"):
        even_path(gan, a, b, 101)
    with pytest.raises(ValueError, match="slerp or lerp, not 'nlerp'"):
        even_path(gan, a, b, 3, "nlerp")
    with pytest.raises(ValueError, match="one space"):
        even_path(gan, a, b[:-1], 3)
    with pytest.raises(ValueError, match="opposite"):
        even_path(gan, a, -a, 3)
    with pytest.raises(ValueError, match="origin"):
        even_path(gan, 0 * a, b, 3)
    with pytest.raises(ValueError, match="finite"):
        even_path(gan, a, b * np.float32("nan"), 3)


def test_bundled_paths_move_on_by_little(one_thread):
    """Of the steps fewer change more than a quarter of the onsets; at even angles clearly more do."""
    bundled = load_gan()
    small = {"even": [], "angles": []}
    ends = bundled.latents(range(40)).reshape(20, 2, -1)
    for a, b in ends:
        for name, z in (("even", even_path(bundled, a, b, 16)), ("angles", interpolate(a, b, 16))):
            bars = bundled.decode(z)
            small[name] += [_share(*step) <= _LIMIT for step in itertools.pairwise(bars)]
    even, angles = (np.mean(small[name]) for name in ("even", "angles"))
    assert len(small["even"]) == 20 * 15
    assert even >= 0.75
    assert even > angles + 0.1
