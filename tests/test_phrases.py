"""Phrases: a function of their seed, along points that are as likely as any, chosen as the prior would."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from rhythmgan.generate.phrases import _ANGLES, _CANDIDATES, _HOLD, _TO_HUB, phrases
from rhythmgan.kit import GM9
from rhythmgan.latent import rotate
from rhythmgan.models.gan import GAN, GANConfig, load_gan
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior
from rhythmgan.seeds import MAX_SEED, RANDOM_STREAMS

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = np.arange(300, 420)


@pytest.fixture(scope="module")
def gan():
    """Untrained, with weights large enough that its bars differ."""
    torch.manual_seed(5)
    gan = GAN(GANConfig(width=12, discriminator_width=8)).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.mul_(2)
    return gan


@pytest.fixture(scope="module")
def prior():
    """Untrained, with opinions strong enough to choose by."""
    torch.manual_seed(6)
    prior = WordLSTM(WordLSTMConfig(width=12, word_width=8)).eval().requires_grad_(False)
    for parameter in prior.parameters():
        parameter.mul_(4)
    return prior


@pytest.fixture(scope="module")
def bundled():
    """The phrases of the weights that ship: the GAN, bars and points of 120 seeds."""
    torch.set_num_threads(1)
    gan = load_gan()
    return gan, *phrases(gan, load_prior(), SEEDS, 4)


def _angle(a, b):
    a, b = a / np.linalg.norm(a, axis=-1, keepdims=True), b / np.linalg.norm(b, axis=-1, keepdims=True)
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


def _cells(a, b):
    return (a ^ b).sum((-1, -2))


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_a_phrase_begins_with_its_seeds_own_bar(gan, prior, temperature):
    bars, z = phrases(gan, prior, [4, 9, 2], 5, temperature)
    assert (bars.shape, bars.dtype) == ((3, 5, 16, 9), bool)
    assert (z.shape, z.dtype) == ((3, 5, gan.latent_dim), np.float32)
    np.testing.assert_array_equal(z[:, 0], gan.latents([4, 9, 2], temperature))
    np.testing.assert_array_equal(gan.decode(z.reshape(15, -1)).reshape(bars.shape), bars)
    assert len(np.unique(bars.reshape(15, -1), axis=0)) > 10
    # all points of a phrase are as long, whatever the temperature
    lengths = np.linalg.norm(z.astype(float), axis=2)
    np.testing.assert_allclose(lengths, np.tile(lengths[:, :1], 5), rtol=1e-5)


def test_a_single_bar_is_a_phrase(gan, prior):
    bars, z = phrases(gan, prior, range(7, 10), 1)
    np.testing.assert_array_equal(bars[:, 0], gan.sample(3, seed=7))
    np.testing.assert_array_equal(z[:, 0], gan.latents(range(7, 10)))


def test_a_phrase_is_a_function_of_its_seed(gan, prior):
    """In any batch, at any place in it, and whatever comes after."""
    seeds = [3, 1000, 4, MAX_SEED, 3, 12]
    bars, z = phrases(gan, prior, seeds, 6)
    np.testing.assert_array_equal(bars[0], bars[4])
    for other, expected_bars, expected_z in (
        (phrases(gan, prior, seeds[::-1], 6), bars[::-1], z[::-1]),
        (phrases(gan, prior, np.array(seeds[1:3]), 6), bars[1:3], z[1:3]),
        (phrases(gan, prior, seeds, 3), bars[:, :3], z[:, :3]),
        *((phrases(gan, prior, [seed], 6), bars[i : i + 1], z[i : i + 1]) for i, seed in enumerate(seeds)),
    ):
        np.testing.assert_array_equal(other[0], expected_bars)
        np.testing.assert_array_equal(other[1], expected_z)
    # other seeds, other ways to go on
    assert len({bar.tobytes() for bar in bars[:, 1]}) == 5


def test_every_bar_lies_around_a_hub_near_the_first(gan, prior):
    z = phrases(gan, prior, range(60), 7)[1].astype(float)
    hub = rotate(z[:, 0], gan.latents(range(60), stream=RANDOM_STREAMS["phrase hub"][0]), _TO_HUB).astype(float)
    np.testing.assert_allclose(_angle(hub, z[:, 0]), _TO_HUB, atol=1e-4)
    for place in range(1, 7):
        least, most = _ANGLES[place % 4]
        turned = _angle(z[:, place], hub)
        assert ((turned > least - 1e-3) & (turned < most + 1e-3)).all()
        # not always the nearest, not always the farthest
        assert turned.min() < least + 0.3 * (most - least)
        assert turned.max() > most - 0.3 * (most - least)


class _Judge:
    """A prior that likes, after any bar, those with a kick on the last step; and sparse bars everywhere."""

    kit, steps = GM9, 16

    def __init__(self, liking):
        self.liking = liking
        self.asked = []

    def in_double(self):
        return self

    def log_prob(self, bars, previous=None):
        nats = -20.0 * bars.sum((1, 2))
        if previous is not None:
            self.asked.append((bars, previous))
            nats = nats + self.liking * bars[:, -1, 0]
        return torch.from_numpy(nats)


@pytest.mark.parametrize("liking", [0.0, 3.0, -4.0])
def test_bars_are_drawn_by_how_much_likelier_they_are_after_the_bar_before(gan, liking):
    """Of 12 candidates of which k are liked, one of those comes with chance k·w / (k·w + 12 − k), w = exp(hold·liking).

    That a candidate is sparse, and so likely anywhere, counts for nothing.
    """
    judge = _Judge(liking)
    n = 500
    bars, _ = phrases(gan, judge, range(n), 2)
    ((candidates, before),) = judge.asked
    candidates = candidates.reshape(n, _CANDIDATES, 16, 9)
    np.testing.assert_array_equal(before.reshape(candidates.shape), np.repeat(bars[:, :1], _CANDIDATES, 1))
    assert (candidates == bars[:, 1:]).all((2, 3)).any(1).all()
    liked = candidates[:, :, -1, 0].sum(1)
    assert ((liked > 0) & (liked < _CANDIDATES)).sum() > 100
    weight = liked * np.exp(_HOLD * liking)
    chance = weight / (weight + _CANDIDATES - liked)
    error = (chance * (1 - chance)).sum() ** 0.5
    assert abs(bars[:, 1, -1, 0].sum() - chance.sum()) < 4 * error
    # and of the twelve, where all are liked alike, each comes as often as the others
    if liking == 0:
        onsets = candidates.sum((2, 3))
        spread = (onsets.var(1).sum()) ** 0.5
        assert abs((bars[:, 1].sum((1, 2)) - onsets.mean(1)).sum()) < 4 * spread


def test_a_judge_that_is_sure_is_obeyed(gan):
    judge = _Judge(1e6)
    bars, _ = phrases(gan, judge, range(80), 5)
    for place, (candidates, _) in enumerate(judge.asked, 1):
        liked = candidates.reshape(80, _CANDIDATES, 16, 9)[:, :, -1, 0].any(1)
        np.testing.assert_array_equal(bars[:, place, -1, 0], liked)
    assert len(judge.asked) == 4


def test_the_prior_stays_as_it_is_and_does_not_guess(gan, prior):
    """It is asked without dropout, in double precision, on a copy."""
    expected, _ = phrases(gan, prior, range(20), 3)
    prior.train()
    try:
        found, _ = phrases(gan, prior, range(20), 3)
        assert prior.training
    finally:
        prior.eval()
    np.testing.assert_array_equal(found, expected)
    assert prior.places.dtype == torch.float32
    # another one has other opinions
    torch.manual_seed(8)
    other = WordLSTM(prior.config).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(4)
    assert (phrases(gan, other, range(20), 3)[0] != expected).any()


def test_no_seeds_have_no_phrases(gan, prior):
    bars, z = phrases(gan, prior, [], 3)
    assert bars.shape == (0, 3, 16, 9)
    assert z.shape == (0, 3, gan.latent_dim)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_bars": 0}, "at least one bar, not 0"),
        ({"n_bars": -2}, "at least one bar, not -2"),
        ({"seeds": [3, -1]}, "whole numbers"),
        ({"seeds": [2**63]}, "whole numbers"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"prior": {"kit": "jaki5"}}, "jaki5 and 16 steps, the bars of gm9 and 16"),
        ({"prior": {"steps": 12}}, "gm9 and 12 steps, the bars of gm9 and 16"),
    ],
)
def test_bad_requests(gan, prior, changes, message):
    options = {"seeds": [1, 2], "n_bars": 2, "temperature": 1.0} | changes
    shape = options.pop("prior", None)
    judge = WordLSTM(WordLSTMConfig(width=4, word_width=4, **shape)) if shape else prior
    with pytest.raises(ValueError, match=message):
        phrases(gan, judge, **options)


def test_the_name_is_the_function_whatever_was_imported_before():
    """``rhythmgan.phrases`` is promised as a function: no module may take its place."""
    for before in ("import rhythmgan.folders", "rhythmgan.phrases", "import rhythmgan.generate.phrases"):
        code = f"import rhythmgan; {before}; from rhythmgan import phrases; assert callable(phrases), phrases"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr.splitlines()[-1]


# -- the weights that ship -----------------------------------------------------------------------


def test_bundled_neighbours_are_nearer_than_strangers(bundled):
    _, bars, _ = bundled
    strangers = np.mean([_cells(bars[:, 0], np.roll(bars[:, 0], shift, 0)).mean() for shift in (1, 7, 31)])
    for place in (1, 2, 3):
        moved = _cells(bars[:, place], bars[:, place - 1])
        assert moved.mean() < 0.7 * strangers
        assert _cells(bars[:, place], bars[:, 0]).mean() < 0.8 * strangers
        # they do go on: not one bar over and over
        assert (moved > 0).mean() > 0.5


def test_bundled_fourth_bars_move_most(bundled):
    _, bars, z = bundled
    apart = {(a, b): _cells(bars[:, a], bars[:, b]).mean() for a in range(4) for b in range(a)}
    assert min(apart[3, 1], apart[3, 2]) > 1.05 * apart[2, 1]
    turned = [_angle(z[:, place], z[:, 1 + place % 2]).mean() for place in (1, 2, 3)]
    assert turned[2] > 1.1 * max(turned[:2])


def test_bundled_bars_are_those_of_their_points(bundled):
    gan, bars, z = bundled
    np.testing.assert_array_equal(z[:, 0], gan.latents(SEEDS))
    np.testing.assert_array_equal(gan.decode(z.reshape(-1, z.shape[-1])).reshape(bars.shape), bars)
    lengths = np.linalg.norm(z.astype(float), axis=2)
    np.testing.assert_allclose(lengths, np.repeat(lengths[:, :1], 4, 1), rtol=1e-5)
    again, _ = phrases(gan, load_prior(), SEEDS[[90, 5]], 4)
    np.testing.assert_array_equal(again, bars[[90, 5]])
