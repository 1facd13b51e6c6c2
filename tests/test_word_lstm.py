"""The prior: chances that add up, that know only what came before, and bars that are a function of their seed."""

import json

import numpy as np
import pytest
from scipy.stats import chisquare

torch = pytest.importorskip("torch")

from rhythmgan.kit import GM9, JAKI5  # noqa: E402
from rhythmgan.models.weights import read_metadata  # noqa: E402
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small():
    """A prior of JAKI5 on 12 steps with weights large enough that what it is given matters."""
    torch.manual_seed(5)
    prior = WordLSTM(WordLSTMConfig(kit="jaki5", steps=12, width=24, layers=2, word_width=10)).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(3)
    return prior.requires_grad_(False)


def _bars(n, seed=0, steps=12, n_parts=5):
    return np.random.default_rng(seed).random((n, steps, n_parts)) < 0.3


def test_words_are_numbered_as_everywhere(small):
    """The kick is the highest bit, as in bars_to_words."""
    bar = np.zeros((1, 12, 5), bool)
    bar[0, 0, 0] = bar[0, 1, 4] = bar[0, 2, [0, 3]] = True
    assert small._words(bar, "bars")[0, :4].tolist() == [16, 1, 18, 0]


def test_chances_of_all_words_add_up(small):
    """Of each step's 32 words, whatever stands before: exact chances, not scores."""
    bars = _bars(3)
    for step in (0, 5, 11):
        every = np.repeat(bars[:, None], 32, 1)
        every[:, :, step] = np.arange(32)[None, :, None] >> np.arange(4, -1, -1) & 1
        found = small.step_log_prob(every.reshape(-1, 12, 5), np.repeat(_bars(3, 1), 32, 0))[:, step].view(3, 32)
        np.testing.assert_allclose(found.exp().sum(1), 1, rtol=1e-5)
        assert found.std() > 0.1


def test_a_step_knows_what_was_before_and_nothing_after(small):
    bars = _bars(40)
    plain = small.step_log_prob(bars)
    for step in (0, 4, 10):
        changed = bars.copy()
        changed[:, step] ^= True
        moved = (small.step_log_prob(changed) - plain).abs()
        assert (moved[:, :step] < 1e-6).all()
        assert (moved[:, step] > 1e-6).any()
        assert (moved[:, step + 1 :] > 1e-4).any(1).all()


def test_the_bar_before_matters_on_every_step(small):
    bars, before = _bars(20), _bars(20, 1)
    alone, given = small.step_log_prob(bars), small.step_log_prob(bars, before)
    assert ((alone - given).abs() > 1e-4).float().mean(0).min() > 0.5
    one = small.step_log_prob(bars, before[3])
    np.testing.assert_allclose(one[3], given[3], atol=1e-6)
    assert not np.allclose(one[4], given[4])
    # of a bar that is not shown nothing may leak: the same for any
    words = small._words(bars, "bars")
    hidden = [
        small(small.shifted(words), small._words(b, "x"), torch.zeros(20, dtype=torch.bool)) for b in (before, bars)
    ]
    assert torch.equal(*hidden)


def test_a_silent_bar_before_is_not_the_same_as_none(small):
    bars = _bars(5)
    assert not np.allclose(small.log_prob(bars), small.log_prob(bars, np.zeros((12, 5), bool)))


def test_log_prob_is_the_sum_in_any_batch(small):
    bars = _bars(1500)
    whole = small.log_prob(bars)
    assert whole.shape == (1500,)
    np.testing.assert_allclose(whole, small.step_log_prob(bars).sum(1))
    np.testing.assert_allclose(whole[1400:1403], small.log_prob(bars[1400:1403]), atol=1e-4)
    assert small.step_log_prob(bars[:0]).shape == (0, 12)


def test_a_tensor_is_taken_like_an_array(small):
    bars = _bars(4)
    assert torch.equal(small.log_prob(bars), small.log_prob(torch.from_numpy(bars)))


def test_drawn_bars_follow_the_chances(small):
    """First words of 4,000 seeds against the prior's own chances, by a χ² test."""
    drawn = small._words(small.sample(4000, seed=1), "bars")[:, 0]
    first = torch.zeros(32, 12, 5)
    first[:, 0] = (torch.arange(32)[:, None] >> torch.arange(4, -1, -1)) & 1
    chances = small.step_log_prob(first.bool())[:, 0].exp().double()
    counts = torch.bincount(drawn, minlength=32)
    assert (chances * 4000).min() > 5
    assert chances.max() > 2 * chances.min()
    assert chisquare(counts, chances / chances.sum() * 4000).pvalue > 1e-3


def test_drawn_bars_are_as_likely_as_they_should_be(small):
    """The mean log-probability of drawn bars is minus the entropy, step by step, within its own error."""
    bars = small.sample(3000, seed=7)
    words = small._words(bars, "bars")
    logits = small(small.shifted(words), words, torch.zeros(3000, dtype=torch.bool)).log_softmax(-1)
    entropy = -(logits.exp() * logits).sum(-1).mean(0)
    given = -small.step_log_prob(bars)
    np.testing.assert_array_less((given.mean(0) - entropy).abs(), 5 * given.std(0) / 3000**0.5)


def test_a_bar_is_a_function_of_its_seed(small):
    many = small.sample(1100, seed=20)
    np.testing.assert_array_equal(many[1050:1053], small.sample(3, seed=1070))
    np.testing.assert_array_equal(many, small.sample(1100, seed=20))
    assert not np.array_equal(many[:50], small.sample(50, seed=21))
    assert many.shape == (1100, 12, 5)
    assert many.dtype == bool
    assert small.sample(0).shape == (0, 12, 5)


def test_a_low_temperature_takes_the_likeliest(small):
    cold = small.sample(30, seed=0, temperature=1e-4)
    assert len(np.unique(cold.reshape(30, -1), axis=0)) == 1
    words = small._words(cold[:1], "bars")
    best = small(small.shifted(words), words, torch.zeros(1, dtype=torch.bool)).argmax(-1)
    assert torch.equal(words, best)
    hot = small.sample(300, seed=0, temperature=3.0)
    assert small.log_prob(hot).mean() < small.log_prob(small.sample(300, seed=0)).mean()


def test_a_start_is_kept_and_gone_on_with(small):
    start = _bars(6, 3)[:, :5]
    bars = small.sample(6, seed=2, start=start)
    np.testing.assert_array_equal(bars[:, :5], start)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=start[0])[0], bars[0])
    # with nothing given, or all of a bar's own beginning, the seed's bar comes out
    own = small.sample(6, seed=2)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=own[:, :7]), own)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=own[:, :0]), own)


def test_drawing_listens_to_the_bar_before(small):
    before = _bars(200, 4)
    own = small.sample(200, seed=0, previous=before)
    others = small.sample(200, seed=0, previous=before[::-1].copy())
    assert small.log_prob(own, before).mean() > small.log_prob(others, before).mean() + 0.1
    np.testing.assert_array_equal(small.sample(200, seed=0, previous=before[7])[7], own[7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda prior: prior.log_prob(_bars(2, steps=16)), r"\(n, 12, 5\); got \(2, 16, 5\)"),
        (lambda prior: prior.log_prob(_bars(2)[0]), r"got \(12, 5\)"),
        (lambda prior: prior.log_prob(_bars(4), _bars(3)), "one before each of 4; got 3"),
        (lambda prior: prior.sample(-1), "n is at least 0, not -1"),
        (lambda prior: prior.sample(1, seed=-1), "seeds are whole numbers"),
        (lambda prior: prior.sample(1, temperature=0), "temperature is a number over 0"),
        (lambda prior: prior.sample(1, temperature=float("nan")), "temperature is a number over 0"),
        (lambda prior: prior.sample(2, start=_bars(1)[0]), "k below 12"),
        (lambda prior: prior.sample(2, start=_bars(3)[:, :4]), r"got \(3, 4, 5\) for n = 2"),
        (lambda prior: prior.sample(2, previous=_bars(3)), "one before each of 2; got 3"),
        (lambda prior: WordLSTMConfig(kit="nosuch"), "no kit"),
        (lambda prior: WordLSTMConfig(dropout=1.0), "dropout"),
        (lambda prior: WordLSTMConfig(width=0), "width lies in"),
    ],
)
def test_what_does_not_fit_is_refused(small, call, message):
    with pytest.raises(ValueError, match=message):
        call(small)


def test_drawing_follows_the_weights(small):
    """Bars are drawn from what the prior is now, in training too, where dropout must not show."""
    prior = WordLSTM(small.config)
    prior.load_state_dict(small.state_dict())
    before = prior.train().sample(20)
    np.testing.assert_array_equal(before, small.sample(20))
    assert torch.equal(prior.log_prob(_bars(5)), small.log_prob(_bars(5)))
    assert prior.training
    with torch.no_grad():
        prior.bias[3] += 20
    changed = prior.sample(20)
    assert changed[:, :, 3:].all(2).mean() > 0.5
    assert not np.array_equal(before, changed)


def test_odd_arrays_are_taken_and_soft_cells_are_not(small):
    bars = _bars(6)
    expected = small.log_prob(bars)
    frozen = bars.copy()
    frozen.flags.writeable = False
    for same in (bars[::-1].copy()[::-1], frozen, bars.astype(np.uint8) * 255, bars.astype(float)):
        assert torch.equal(small.log_prob(same), expected)
    assert torch.equal(small.log_prob(bars, bars[::-1]), small.log_prob(bars, bars[::-1].copy()))
    with pytest.raises(ValueError, match="between 0 and 1"):
        small.log_prob(np.full((2, 12, 5), 0.5))


@pytest.mark.parametrize("temperature", [1e-5, 1e-300, 5e-324])
def test_no_temperature_is_too_low(small, temperature):
    np.testing.assert_array_equal(small.sample(5, temperature=temperature), small.sample(5, temperature=1e-4))


def test_files_hold_all_that_is_needed(small, tmp_path):
    save_prior(tmp_path / "p.safetensors", small, {"trained_bars": "12"})
    again = load_prior(tmp_path / "p.safetensors")
    assert again.kit == JAKI5
    assert torch.equal(again.log_prob(_bars(9)), small.log_prob(_bars(9)))
    assert json.loads(read_metadata(tmp_path / "p.safetensors")["provenance"]) == {"trained_bars": "12"}
    assert not again.training


def test_weights_of_a_gan_are_not_taken_for_a_prior():
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.weights import bundled

    with pytest.raises(ValueError, match=r"gan\.safetensors: holds no weights of a prior of rhythmgan"):
        load_prior(bundled("gan.safetensors"))
    with pytest.raises(ValueError, match=r"prior\.safetensors: holds no weights of a GAN of rhythmgan"):
        load_gan(bundled("prior.safetensors"))


def test_the_bundled_prior_knows_bars_from_noise():
    """Without the real data: the textbook bars are far likelier than their cells drawn at random."""
    from rhythmgan.bars import words_to_bars
    from rhythmgan.patterns import load_patterns

    prior = load_prior()
    assert (prior.kit, prior.config.steps) == (GM9, 16)
    bars = words_to_bars(load_patterns().words, 9)
    noise = np.random.default_rng(0).random(bars.shape) < bars.mean(0)
    assert prior.log_prob(bars).mean() > prior.log_prob(noise).mean() + 10
    drawn = prior.sample(500, seed=0)
    assert 13 < drawn.sum((1, 2)).mean() < 21
    assert prior.log_prob(drawn).mean() > prior.log_prob(noise).mean() + 10


def test_the_bundled_prior_beats_the_counts_on_unheard_songs(shared, real_corpus):
    """The line of the issue, on the songs of the valid split: nats per step."""
    from rhythmgan.evaluate import nll_per_step

    found = nll_per_step(real_corpus.split("valid"), real_corpus.split("train"), {"prior": load_prior()})
    counted = [found[name] for name in ("uniform", "unigram", "per-position unigram", "order-1 Markov")]
    assert counted[0] == pytest.approx(np.log(512))
    assert counted[0] > counted[1] > max(counted[2:])
    assert found["prior"] < min(counted) - 0.7
    assert found["prior, given the bar before"] < found["prior, of bars with one before them"] - 0.2
