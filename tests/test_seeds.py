"""Seeds and streams: what random numbers they stand for."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.seeds import MAX_SEED, RANDOM_STREAMS, seeds_to_uniform, seeds_to_z

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


def test_each_seed_may_have_a_stream_of_its_own():
    together = seeds_to_uniform([7, 7, 3], 5, np.array([2, 0, 1 << 33]))
    for row, (seed, stream) in enumerate(((7, 2), (7, 0), (3, 1 << 33))):
        np.testing.assert_array_equal(together[row], seeds_to_uniform([seed], 5, stream)[0])


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


# -- streams -------------------------------------------------------------------------------------


def test_no_two_uses_share_a_stream():
    ranges = sorted(RANDOM_STREAMS.values(), key=lambda streams: streams.start)
    assert all(streams.step == 1 and len(streams) > 0 for streams in ranges)
    assert all(before.stop <= after.start for before, after in itertools.pairwise(ranges))
    assert ranges[0].start == 0
    assert ranges[-1].stop <= 2**64


def test_streams_stay_where_they_are():
    """A bar is a function of these numbers: a change of one changes every bar that was made with it."""
    assert {name: (streams.start, len(streams)) for name, streams in RANDOM_STREAMS.items()} == {
        "bar": (0, 1),
        "redraw": (1, 11),
        "phrase bars": (12, 524_288 - 12),
        "phrase form": (1_048_576, 1_048_576),
        "encode": (2_097_152, 1),
        "fill candidates": (6_291_456, 64),
        "fill choice": (6_291_520, 1),
        "variation": (6_291_521, 1),
        "answer candidates": (6_291_522, 64),
        "answer choice": (6_291_586, 1),
        "steer": (10_485_760, 4096),
        "space": (14_680_064, 2**32),
        "calibration": (17_179_869_184, 1),
        "next bar": (34_359_738_368, 64),
        "opening": (17_179_869_200, 1),
        "next notes": (17_179_869_201, 1),
        "phrase": (17_179_869_202, 1),
        "text": (17_179_869_204, 1),
        "combination": (17_179_869_216, 16),
    }


@pytest.fixture
def drawn(monkeypatch, one_thread):
    """The streams that are drawn from while a test runs, in the order that they are asked for; of one call, rising."""
    from rhythmgan import seeds
    from rhythmgan.generate import phrases, variation
    from rhythmgan.models import gan, word_lstm
    from rl_tuner import steering
    from rl_tuner.latent import space

    found = []

    def recorded(function):
        def draw(seeds, dim, stream=0):
            found.extend(np.unique(stream).tolist())
            return function(seeds, dim, stream)

        return draw

    for module in (phrases, variation, gan, word_lstm, space, steering):
        for name in ("seeds_to_z", "seeds_to_uniform"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, recorded(getattr(seeds, name)))
    return found


@pytest.fixture(scope="module")
def models():
    import torch

    from rhythmgan.models.gan import GAN, GANConfig
    from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig

    torch.manual_seed(5)
    gan = GAN(GANConfig(width=4, discriminator_width=4)).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.mul_(2)
    return gan, WordLSTM(WordLSTMConfig(width=4, word_width=4)).eval().requires_grad_(False)


def test_the_longest_phrase_draws_from_its_own_streams(models, drawn):
    """256 bars, all new: the seed's own, the form, the 255 others, and their points.

    Each of the others has two to twelve tries, then the form's stream of its place says which of two is taken.
    """
    from rhythmgan.forms import Forms
    from rhythmgan.generate.phrases import phrases
    from rhythmgan.models.word_lstm import WordLSTM

    gan, prior = models
    prior = WordLSTM(replace(prior.config, n_forms=1)).eval().requires_grad_(False)
    prior.keep_forms(Forms(np.arange(0, 24, 3, np.uint8)[None], np.ones((6, 1), np.float32)))
    phrases(gan, prior, [7], 256)
    bars = [stream for stream in drawn if stream in RANDOM_STREAMS["phrase bars"]]
    form = [*RANDOM_STREAMS["phrase form"][1:256]]
    own = drawn.index(form[0])
    assert set(drawn[:own]) <= {0, *RANDOM_STREAMS["redraw"]}
    tries = np.bincount(np.array(bars) // 12, minlength=256)
    assert tries[1:].min() >= 2
    others = [
        stream
        for place in range(1, 256)
        for stream in (*(12 * place + number for number in range(tries[place])), form[place - 1])
    ]
    assert drawn[own:] == [*form, *others, *RANDOM_STREAMS["encode"]]


def test_a_phrase_that_would_leave_its_streams_is_refused(models):
    from rhythmgan.generate.phrases import phrases

    with pytest.raises(ValueError, match="at most 43,690 bars, not 43,691"):
        phrases(*models, [7], 43_691)


def test_bars_points_and_fillings_draw_from_their_own_streams(models, drawn):
    from rhythmgan.generate.variation import CANDIDATES, fill

    gan, prior = models
    bars = gan.sample(2, seed=1)
    prior.sample(2, seed=1)
    assert set(drawn) == {0}
    drawn.clear()
    gan.encode(bars)
    assert drawn == [*RANDOM_STREAMS["encode"]]
    drawn.clear()
    locked = np.zeros((16, gan.kit.n_parts), bool)
    locked[:4] = True
    fill(gan, bars[0], locked, [3, 4])
    assert drawn == [*RANDOM_STREAMS["fill candidates"], *RANDOM_STREAMS["fill choice"]]
    assert CANDIDATES == 64


def test_each_wave_of_steering_draws_from_its_own_stream(monkeypatch):
    from rl_tuner import steering

    asked, make = [], steering.SeededDraws
    monkeypatch.setattr(
        steering,
        "SeededDraws",
        lambda seeds, stream, *others: asked.append((list(seeds), stream)) or make(seeds, stream),
    )
    steering.steer({"density": 192}, 2, calls=6, seed=3)
    assert asked == [([3, 4], stream) for stream in RANDOM_STREAMS["steer"][:2]]


@pytest.mark.parametrize(
    ("seed", "stream", "first"), [(0, 0, 0), (3, 0, 3 << 32), (2**31, 1, 0), (2**63 - 1, 2**32 - 1, (2**31 - 1) << 32)]
)
def test_every_seed_finds_a_space_by_points_of_its_own(monkeypatch, models, seed, stream, first):
    """Seeds from 2^31 on too, without a warning of an overflow."""
    from rl_tuner.latent import space

    asked = []

    def recorded(seeds, dim, stream):
        asked.append((stream, seeds[0], seeds[-1]))
        return seeds_to_z(seeds, dim, stream)

    monkeypatch.setattr(space, "seeds_to_z", recorded)
    space.find_space(models[0], *models, ("density",), 2, n=300, seed=seed)
    assert asked == [(RANDOM_STREAMS["space"][stream], first, first + 299)]


def test_a_space_is_found_from_a_seed(models):
    from rl_tuner.latent.space import find_space

    for seed in (-1, 2**63):
        with pytest.raises(ValueError, match=f"whole numbers from 0 to {MAX_SEED}, not {seed}"):
            find_space(models[0], *models, n=300, seed=seed)
