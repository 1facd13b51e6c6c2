"""Seeds, and the paths between latent points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.latent import MAX_SEED, interpolate, rotate, seeds_to_uniform, seeds_to_z

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def _z(seed, dim, stream=0):
    """The same in Python's whole numbers."""
    key = _mix(_mix(seed + _GOLDEN & _MASK) + stream * _GOLDEN & _MASK)
    pairs = (dim + 1) // 2
    bits = [_mix(key + (i + 1) * _GOLDEN & _MASK) for i in range(2 * pairs)]
    u = [((b >> 11) + 1) / 2**53 for b in bits]
    turns = [(math.sqrt(-2 * math.log(u[i])), 2 * math.pi * u[pairs + i]) for i in range(pairs)]
    return ([r * math.cos(a) for r, a in turns] + [r * math.sin(a) for r, a in turns])[:dim]


def test_the_oracle_is_splitmix64():
    # the first outputs of the reference implementation for seed 0
    assert [_mix(_GOLDEN * i & _MASK) for i in (1, 2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_uniform_numbers_are_those_of_the_oracle():
    """Each the top 53 bits of one output of SplitMix64, from (0, 1]; z is made of the same."""
    found = seeds_to_uniform([7, 9], 5)
    assert found.shape == (2, 5)
    z = seeds_to_z([7, 9], 4)
    radius, angle = np.sqrt(-2 * np.log(seeds_to_uniform([7, 9], 4)[:, :2])), seeds_to_uniform([7, 9], 4)[:, 2:]
    np.testing.assert_allclose(z[:, :2], radius * np.cos(2 * np.pi * angle), rtol=1e-6)
    np.testing.assert_allclose(z[:, 2:], radius * np.sin(2 * np.pi * angle), rtol=1e-6)
    np.testing.assert_array_equal(found[1], seeds_to_uniform(np.array([9]), 5)[0])
    many = seeds_to_uniform(np.arange(20_000), 3)
    assert 0 < many.min() < many.max() <= 1
    np.testing.assert_allclose(many.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.histogram(many, 10, (0, 1))[0] / many.size, 0.1, atol=0.005)


def test_golden_values():
    z = seeds_to_z([0, 1, 2**63 - 1], 4)
    assert z.dtype == np.float32
    expected = [
        [-0.1989631, -1.6076615, 1.4592882, 0.2013551],
        [-1.2543050, 0.5359998, -0.3192686, -1.1920838],
        [0.2733012, 1.2831966, 0.1563667, 0.4528893],
    ]
    np.testing.assert_allclose(z, expected, rtol=0, atol=2e-7)
    np.testing.assert_allclose(seeds_to_z([3], 3, stream=1), [[1.2777819, 2.4591404, -0.7652961]], atol=2e-7)


@given(st.integers(0, MAX_SEED), st.integers(1, 40), st.integers(0, 1000))
def test_every_seed_as_in_whole_numbers(seed, dim, stream):
    np.testing.assert_allclose(seeds_to_z([seed], dim, stream)[0], _z(seed, dim, stream), rtol=1e-6, atol=1e-7)


@given(st.lists(st.integers(0, MAX_SEED), max_size=20), st.randoms())
def test_the_same_in_any_batch(seeds, random):
    z = seeds_to_z(seeds, 24)
    assert z.shape == (len(seeds), 24)
    for seed, point in zip(seeds, z, strict=True):
        np.testing.assert_array_equal(seeds_to_z([seed], 24)[0], point)
    order = list(range(len(seeds)))
    random.shuffle(order)
    np.testing.assert_array_equal(seeds_to_z([seeds[i] for i in order], 24), z[order])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64])
def test_seeds_of_any_integer_type(dtype):
    expected = seeds_to_z([0, 7, 200], 8)
    np.testing.assert_array_equal(seeds_to_z(np.array([0, 7, 200], dtype), 8), expected)
    np.testing.assert_array_equal(seeds_to_z([dtype(0), dtype(7), dtype(200)], 8), expected)
    np.testing.assert_array_equal(seeds_to_z(range(7, 8), 8), expected[1:2])


def test_draws_are_normal():
    z = seeds_to_z(np.arange(8000), 25).astype(float).ravel()
    n = z.size
    assert n == 200_000
    # five standard errors each
    assert abs(z.mean()) < 5 / n**0.5
    assert abs(z.var() - 1) < 5 * (2 / n) ** 0.5
    assert abs((z**3).mean()) < 5 * (15 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 5 * (96 / n) ** 0.5
    for level in (-2, -1, -0.5, 0, 0.5, 1, 2):
        expected = (1 + math.erf(level / 2**0.5)) / 2
        assert abs((z < level).mean() - expected) < 5 * (expected * (1 - expected) / n) ** 0.5
    assert 4 < np.abs(z).max() < 6
    assert len(np.unique(z)) > 0.98 * n


def _unmix(x):
    """The number that ``_mix`` makes x of."""
    x ^= x >> 31 ^ x >> 62
    x = x * pow(0x94D049BB133111EB, -1, 2**64) & _MASK
    x ^= x >> 27 ^ x >> 54
    x = x * pow(0xBF58476D1CE4E5B9, -1, 2**64) & _MASK
    return x ^ x >> 30 ^ x >> 60


def test_the_rarest_draw_is_finite():
    """The seeds whose first uniform number would be 0, if it were not taken from (0, 1]."""
    assert _mix(_unmix(12345)) == 12345
    keys = [(_unmix(bits) - _GOLDEN) & _MASK for bits in range(8)]
    seeds = [seed for key in keys if (seed := (_unmix(_unmix(key)) - _GOLDEN) & _MASK) <= MAX_SEED]
    assert seeds
    for seed in seeds:
        (z,) = seeds_to_z([seed], 1)
        assert np.isfinite(z).all()
        np.testing.assert_allclose(z, _z(seed, 1), rtol=1e-6)
        # the radius is the largest there is
        assert abs(z[0]) <= math.sqrt(2 * 53 * math.log(2)) + 1e-5


def test_seeds_dimensions_and_streams_are_independent():
    n = 20_000
    limit = 5 / n**0.5
    z = seeds_to_z(np.arange(n + 1), 16).astype(float)
    between = np.corrcoef(z[:-1].T, z[1:].T)  # dimensions of a seed, and of the next
    np.fill_diagonal(between, 0)
    assert np.abs(between).max() < limit
    squares = np.corrcoef(z[:-1].T ** 2, z[1:].T ** 2)
    np.fill_diagonal(squares, 0)
    assert np.abs(squares).max() < limit
    other = seeds_to_z(np.arange(n + 1), 16, stream=1).astype(float)
    streams = np.corrcoef(z.T, other.T)[:16, 16:]
    assert np.abs(streams).max() < limit
    shifted = np.corrcoef(z[1:].T, other[:-1].T)[:16, 16:]
    assert np.abs(shifted).max() < limit
    far = np.corrcoef(z[:-1].T, seeds_to_z(np.arange(n) + 2**32, 16).T)[:16, 16:]
    assert np.abs(far).max() < limit


def test_a_longer_point_is_another_point():
    """The dimensions' counters interleave with the angles', so a point is of its own space."""
    assert np.abs(seeds_to_z([5], 8)[0] - seeds_to_z([5], 16)[0, :8]).max() > 0.1


@pytest.mark.parametrize(
    "seeds",
    [
        [-1],
        [0, 2**63],
        [2**64],
        [1.0],
        [0.5],
        ["1"],
        [None],
        np.array([-1]),
        np.array([1.0]),
        np.array([2**63], np.uint64),
        np.array([True]),
        np.array(["1"]),
    ],
    ids=repr,
)
def test_seeds_that_are_none(seeds):
    with pytest.raises(ValueError, match="whole numbers from 0 to 9223372036854775807"):
        seeds_to_z(seeds, 4)


# -- paths ---------------------------------------------------------------------------------------


def _angles(path):
    units = path / np.linalg.norm(path, axis=1, keepdims=True)
    return np.arccos(np.clip((units[:-1] * units[1:]).sum(1), -1, 1))


def test_slerp_by_hand():
    path = interpolate(np.array([2.0, 0]), np.array([0, 2.0]), 4)
    third = math.pi / 6
    expected = [[2 * math.cos(i * third), 2 * math.sin(i * third)] for i in range(4)]
    np.testing.assert_allclose(path, expected, atol=1e-6)
    assert path.dtype == np.float32


def test_slerp_lengths_go_evenly_from_one_to_the_other():
    path = interpolate(np.array([1.0, 0]), np.array([0, 3.0]), 3)
    np.testing.assert_allclose(path, [[1, 0], [2**0.5, 2**0.5], [0, 3]], atol=1e-6)


def test_lerp_by_hand():
    path = interpolate(np.array([1.0, -2, 0]), np.array([5.0, 2, 1]), 5, mode="lerp")
    np.testing.assert_allclose(path, [[1, -2, 0], [2, -1, 0.25], [3, 0, 0.5], [4, 1, 0.75], [5, 2, 1]], atol=1e-6)
    np.testing.assert_allclose(interpolate([0.0, 4], [0.0, -4], 3, "lerp"), [[0, 4], [0, 0], [0, -4]])
    # ends are the ends, not what is left of them after a subtraction
    assert interpolate([1e20], [3.0], 3, "lerp")[[0, -1], 0].tolist() == [np.float32(1e20), 3]


@given(st.integers(0, MAX_SEED), st.integers(0, MAX_SEED), st.integers(2, 33), st.integers(2, 64))
def test_slerp_between_seeds(a, b, frames, dim):
    start, end = seeds_to_z([a, b if b != a else (a + 1) % MAX_SEED], dim).astype(float)
    end *= np.linalg.norm(start) / np.linalg.norm(end)
    path = interpolate(start, end, frames)
    assert path.shape == (frames, dim)
    # both ends exact
    np.testing.assert_array_equal(path[0], start.astype(np.float32))
    np.testing.assert_array_equal(path[-1], end.astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(start), rtol=1e-5)
    cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
    np.testing.assert_allclose(_angles(path.astype(float)), math.acos(np.clip(cosine, -1, 1)) / (frames - 1), atol=2e-3)
    np.testing.assert_allclose(interpolate(end, start, frames), path[::-1], atol=1e-4)


@given(st.integers(0, MAX_SEED), st.integers(2, 33))
def test_lerp_steps_are_even(seed, frames):
    start, end = seeds_to_z([seed, 0], 16)
    path = interpolate(start, end, frames, mode="lerp")
    np.testing.assert_array_equal(path[[0, -1]], [start, end])
    np.testing.assert_allclose(np.diff(path, axis=0), np.tile((end - start) / (frames - 1), (frames - 1, 1)), atol=1e-5)


def test_slerp_of_one_direction():
    start = seeds_to_z([1], 8)[0]
    np.testing.assert_allclose(interpolate(start, start, 5), np.tile(start, (5, 1)), rtol=1e-6)
    np.testing.assert_allclose(interpolate(start, 3 * start, 3)[1], 2 * start, rtol=1e-5)
    # so near that the sine of the angle says nothing
    near = start.astype(float) + 1e-9
    path = interpolate(start, near, 5)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path, np.tile(start, (5, 1)), rtol=1e-5)


def test_slerp_of_almost_opposite_points():
    start = np.array([1.0, 0, 0])
    path = interpolate(start, np.array([-1.0, 0.01, 0]), 9)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, atol=1e-4)
    assert (path[1:-1, 1] > 0).all()


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ([1.0, 2, 3], [-1.0, -2, -3], "opposite"),
        ([1.0, 2, 3], [-2.0, -4, -6], "opposite"),
        ([0.0, 0, 0], [1.0, 2, 3], "origin"),
        ([1.0, 2, 3], [0.0, 0, 0], "origin"),
    ],
)
def test_slerp_without_a_shortest_way(start, end, message):
    with pytest.raises(ValueError, match=f"{message}.*use lerp"):
        interpolate(np.array(start), np.array(end), 5)
    assert len(interpolate(np.array(start), np.array(end), 5, mode="lerp")) == 5


def test_bad_paths():
    a, b = seeds_to_z([1, 2], 4)
    for frames in (1, 0, -3):
        with pytest.raises(ValueError, match=f"2 frames or more, not {frames}"):
            interpolate(a, b, frames)
    with pytest.raises(ValueError, match="slerp or lerp, not 'nlerp'"):
        interpolate(a, b, 3, mode="nlerp")
    with pytest.raises(ValueError, match=r"one space, not \(4,\) and \(3,\)"):
        interpolate(a, b[:3], 3)
    with pytest.raises(ValueError, match="one space"):
        interpolate(a[None], b[None], 3)


def test_the_ends_are_not_touched():
    a, b = np.array([3.0, 4]), np.array([4.0, 3])
    interpolate(a, b, 5)
    assert (a.tolist(), b.tolist()) == ([3, 4], [4, 3])


# -- turns ---------------------------------------------------------------------------------------


def test_turn_by_hand():
    """Three points, each towards another one, by 30°; how far that one is away does not matter."""
    z = np.array([[3.0, 0], [0, 2], [-1, -1]], np.float32)
    towards = np.array([[1.0, 5], [-0.01, 0], [-7, 0]], np.float32)
    found = rotate(z, towards, math.pi / 6)
    c, s = math.cos(math.pi / 6), 0.5
    # from the diagonal, at 225°, towards 180°: to 195°
    last = 2**0.5 * np.array([math.cos(math.radians(195)), math.sin(math.radians(195))])
    np.testing.assert_allclose(found, [[3 * c, 3 * s], [-2 * s, 2 * c], last], atol=1e-6)
    assert found.dtype == np.float32
    assert (z.tolist(), towards.tolist()) == ([[3, 0], [0, 2], [-1, -1]], [[1, 5], [np.float32(-0.01), 0], [-7, 0]])


def test_a_turn_may_end_on_the_other_point_and_go_past_it():
    z, towards = np.array([[2.0, 0, 0]]), np.array([[0.0, 0, 5]])
    np.testing.assert_allclose(rotate(z, towards, math.pi / 2), [[0, 0, 2]], atol=1e-6)
    np.testing.assert_allclose(rotate(z, towards, math.pi), [[-2, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(rotate(z, towards, -math.pi / 2), [[0, 0, -2]], atol=1e-6)


@given(st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=6), st.integers(2, 160), st.floats(0, math.pi))
def test_turned_points_keep_their_lengths_and_lie_at_the_angle(seeds, dim, angle):
    z, towards = seeds_to_z(seeds, dim), 3 * seeds_to_z(seeds, dim, stream=1)
    found = rotate(z, towards, angle)
    assert (found.shape, found.dtype) == ((len(seeds), dim), np.float32)
    for a, b, point in zip(z.astype(float), towards.astype(float), found.astype(float), strict=True):
        length = np.linalg.norm(a)
        assert np.linalg.norm(point) == pytest.approx(length, rel=1e-5)
        # half the angle by the chord, which says more near 0 and π than the cosine does
        chord, across = np.linalg.norm(point - a), np.linalg.norm(point + a)
        assert 2 * math.atan2(chord, across) == pytest.approx(angle, abs=1e-5)
        # in the plane of the two, on the side of the other one
        basis, _ = np.linalg.qr(np.stack([a, b], 1))
        assert np.linalg.norm(point - basis @ (basis.T @ point)) < 1e-5 * length
        aside = b - (a @ b) / (a @ a) * a
        assert point @ aside >= -1e-5 * length * np.linalg.norm(aside)
    np.testing.assert_array_equal(rotate(z[:1], towards[:1], angle), found[:1])
    np.testing.assert_array_equal(rotate(z, towards, 0), z)
    right = rotate(z, towards, math.pi / 2).astype(float)
    np.testing.assert_allclose((right * z).sum(1) / (z.astype(float) ** 2).sum(1), 0, atol=1e-5)


def test_a_turn_to_the_angle_between_lies_in_the_others_direction():
    z, towards = seeds_to_z([1], 144).astype(float), seeds_to_z([2], 144).astype(float)
    lengths = np.linalg.norm(z), np.linalg.norm(towards)
    angle = math.acos((z * towards).sum() / (lengths[0] * lengths[1]))
    np.testing.assert_allclose(rotate(z, towards, angle), towards * lengths[0] / lengths[1], atol=1e-5)
