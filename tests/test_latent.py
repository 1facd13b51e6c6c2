"""Paths between latent points, and turns of one towards another."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.latent import interpolate, rotate
from rhythmgan.seeds import MAX_SEED, seeds_to_z

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
