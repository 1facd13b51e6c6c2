"""Each baseline does what it claims, and nothing better."""

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.baselines import (
    COUNTED,
    SAMPLERS,
    Flipped,
    Independent,
    Markov,
    Memoriser,
    Shuffled,
    markov,
    per_position_unigram,
    uniform,
    unigram,
)
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, JAKI5


def _words(words, kit=GM9):
    n = len(words)
    number = np.arange(n, dtype=np.int32)
    return Corpus.of(
        np.array(words, np.uint16),
        number,
        np.zeros(n, np.int32),
        number,
        tuple(f"song {i}" for i in range(n)),
        ("x.mid",),
        kit,
    )


def _random_words(seed=0, n=60, steps=16, kit=GM9):
    """Sparse bars that like some words, and that follow each other."""
    rng = np.random.default_rng(seed)
    bars = rng.random((n, steps, kit.n_parts)) < rng.random((steps, kit.n_parts)) * 0.4
    bars[:, 1::2] &= bars[:, ::2] | (rng.random(bars[:, 1::2].shape) < 0.1)
    return _words(bars_to_words(bars), kit)


def _near(found, rate, n, sigmas=5.0):
    """Is a mean of n yes/no draws where its rate says?"""
    return bool((np.abs(found - rate) <= sigmas * np.sqrt(rate * (1 - rate) / n) + 1e-12).all())


# -- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("steps", "kit"), [(16, GM9), (12, JAKI5)])
def test_samples(name, steps, kit):
    corpus = _random_words(steps=steps, kit=kit)
    before = corpus.words.copy()
    sampler = SAMPLERS[name][1](corpus)
    bars = sampler.sample(50, seed=3)
    assert bars.shape == (50, steps, kit.n_parts)
    assert bars.dtype == bool
    np.testing.assert_array_equal(bars, sampler.sample(50, seed=3))
    np.testing.assert_array_equal(bars, SAMPLERS[name][1](corpus).sample(50, seed=3))
    assert (bars != sampler.sample(50, seed=4)).any()
    assert sampler.sample(0).shape == (0, steps, kit.n_parts)
    bars[:] = True  # what was drawn is the caller's
    np.testing.assert_array_equal(corpus.words, before)
    assert (sampler.sample(50, seed=3) != bars).any()


def test_names_in_the_table_are_of_one_each():
    titles = [title for title, _ in SAMPLERS.values()]
    assert len(set(titles)) == len(titles)
    assert "|" not in "".join(titles)


# -- bars out of other bars ----------------------------------------------------------------------


def test_the_memoriser_knows_training_bars_only_and_all_of_them_alike():
    corpus = _random_words(n=20)
    training = words_to_bars(corpus.words, 9)
    found = Memoriser(training).sample(8000)
    counts = np.array([(found == bar).all((1, 2)).sum() for bar in training])
    assert counts.sum() == 8000
    assert _near(counts / 8000, 1 / 20, 8000)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_flipped_turns_cells_both_ways_at_its_share(share):
    for start in (False, True):
        bars = Flipped(np.full((3, 16, 9), start), share).sample(4000)
        turned = bars != start
        assert _near(turned.mean(), share, turned.size)
        assert _near(turned.mean(0), share, 4000, 5.5)  # no cell more than another
    assert Flipped(np.zeros((1, 16, 9), bool)).share == 0.01
    training = np.random.default_rng(0).random((5, 16, 9)) < 0.3
    assert (Flipped(training, 0.0).sample(30)[:, None] == training).all((2, 3)).any(1).all()


def test_flipped_turns_cells_one_by_one():
    """Two cells of a bar turn together as often as chance has it."""
    turned = Flipped(np.zeros((1, 16, 9), bool), 0.1).sample(20_000)
    per_bar = turned.sum((1, 2))
    assert per_bar.var() == pytest.approx(144 * 0.1 * 0.9, rel=0.05)


def test_shuffled_keeps_lines_and_breaks_what_they_agree_on():
    """In training, part 1 plays what part 0 plays, and part 2 plays a line of its own kind."""
    rng = np.random.default_rng(1)
    training = np.zeros((40, 16, 9), bool)
    training[..., 0] = training[..., 1] = rng.random((40, 16)) < 0.5
    training[..., 2] = np.arange(16) % 4 == np.arange(40)[:, None] % 4
    bars = Shuffled(training).sample(6000)
    for part in range(9):
        known = {line.tobytes() for line in training[..., part]}
        assert {line.tobytes() for line in bars[..., part]} <= known
    assert not bars[..., 3:].any()
    # each line as often as it stands in training
    first = np.array([(bars[..., 0] == line).all(1).sum() for line in training[..., 0]])
    assert _near(first / 6000, 1 / 40, 6000)
    # the two copies meet as often as two lines out of forty do
    assert _near((bars[..., 0] == bars[..., 1]).all(1).mean(), 1 / 40, 6000)
    assert len(np.unique(bars[..., :3].reshape(6000, -1), axis=0)) > 1000


def test_independent_keeps_every_cells_rate_and_nothing_else():
    corpus = _random_words(n=80)
    training = words_to_bars(corpus.words, 9)
    sampler = SAMPLERS["independent"][1](corpus)
    bars = sampler.sample(20_000)
    assert _near(bars.mean(0), training.mean(0), 20_000)
    # cells that are never or always struck stay so
    sure = Independent(np.array([[0.0, 1.0], [1.0, 0.0]])).sample(5000)
    assert (sure == [[False, True], [True, False]]).all()
    # neighbours are not more alike than chance: training's odd steps follow the even ones, these do not
    cells = bars.reshape(len(bars), -1).astype(float)
    cells = cells[:, (cells.std(0) > 0)]
    correlation = np.corrcoef(cells.T) - np.eye(cells.shape[1])
    assert np.abs(correlation).max() < 6 / np.sqrt(20_000)


# -- words out of counts -------------------------------------------------------------------------

# two bars on a grid of 12: word 1 throughout; 1 and 2 in turn
_TINY = _words([[1] * 12, [1, 2] * 6], JAKI5)
_ONE = (18 + 2 / 32) / (24 + 2)  # of 24 words 18 are 1, 6 are 2: two kinds, the rest from 32 alike
_TWO = (6 + 2 / 32) / (24 + 2)
_OTHER = (0 + 2 / 32) / (24 + 2)


def _chance(model, *word):
    """Probability of the words of a bar that begins with these, 3 after them."""
    bar = np.full((1, 12), 3)
    bar[0, : len(word)] = word
    return np.exp(model.log_prob(bar))[0]


def test_unigram_by_hand():
    found = _chance(unigram(_TINY), 1, 2, 31)
    assert found[:4] == pytest.approx([_ONE, _TWO, _OTHER, _OTHER])
    assert pytest.approx(1) == _ONE + _TWO + 30 * _OTHER


def test_per_position_unigram_by_hand():
    model = per_position_unigram(_TINY)
    # on even steps 1 twice: one kind in two counts; on odd ones 1 and 2: two kinds in two
    assert _chance(model, 1, 1)[:2] == pytest.approx([(2 + _ONE) / 3, (1 + 2 * _ONE) / 4])
    assert _chance(model, 2, 2)[:2] == pytest.approx([_TWO / 3, (1 + 2 * _TWO) / 4])
    assert _chance(model, 7, 7)[:2] == pytest.approx([_OTHER / 3, 2 * _OTHER / 4])


def test_markov_by_hand():
    model = markov(_TINY)
    # 1 is followed by 1 eleven times and by 2 six times, 2 by 1 five times; no bar goes on into the next
    found = _chance(model, 1, 1, 2, 1, 2, 2, 5, 1)
    assert found[:8] == pytest.approx(
        [
            (2 + _ONE) / 3,  # both bars begin with 1
            (11 + 2 * _ONE) / 19,
            (6 + 2 * _TWO) / 19,
            (5 + _ONE) / 6,
            (6 + 2 * _TWO) / 19,
            _TWO / 6,
            _OTHER / 6,
            _ONE,  # after 5, which was never seen: the words as often as they come
        ]
    )
    assert _chance(model, 2)[0] == pytest.approx(_TWO / 3)


def test_uniform():
    corpus = _random_words()
    found = uniform(corpus).log_prob(corpus.words)
    assert found.shape == corpus.words.shape
    np.testing.assert_allclose(found, np.log(1 / 512))
    np.testing.assert_allclose(uniform(_TINY).log_prob(_TINY.words), -np.log(32))


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("corpus", [_TINY, _random_words(n=30), _random_words(n=1)], ids=["tiny", "30 bars", "one bar"])
def test_chances_of_all_words_sum_to_one(name, corpus):
    """On each step, after whatever word."""
    n_words = 1 << corpus.kit.n_parts
    model = COUNTED[name](corpus)
    for before in {0, 1, 2, n_words - 1, *corpus.words[0].tolist()}:
        bars = np.full((n_words, corpus.steps), before)
        for step in (0, 1, corpus.steps - 1):
            bars[:, step] = np.arange(n_words)
            chances = np.exp(model.log_prob(bars)[:, step])
            assert (chances > 0).all()
            assert chances.sum() == pytest.approx(1)
            bars[:, step] = before


def test_the_more_is_counted_the_likelier_the_counted_bars_are():
    corpus = _random_words(n=200)
    nats = {name: -count(corpus).log_prob(corpus.words).mean() for name, count in COUNTED.items()}
    assert nats["uniform"] == pytest.approx(np.log(512))
    assert nats["uniform"] > nats["unigram"] > nats["per-position unigram"]
    assert nats["unigram"] > nats["order-1 Markov"]


def test_markov_draws_by_its_tables():
    """Words and transitions as often as the tables say; what they rule out never comes."""
    first = np.zeros(32)
    first[[0, 3, 31]] = 0.25, 0.7, 0.05
    following = np.zeros((32, 32))
    following[0, [0, 3]] = 0.1, 0.9
    following[3, [0, 3, 31]] = 0.5, 0.2, 0.3
    following[31, 0] = 1
    n = 5000
    bars = Markov(first, following, 12, 5).sample(n)
    assert bars.shape == (n, 12, 5)
    words = bars_to_words(bars)
    assert _near(np.bincount(words[:, 0], minlength=32) / n, first, n)
    for step in (1, 2, 11):
        for word in (0, 3, 31):
            after = words[words[:, step - 1] == word, step]
            assert _near(np.bincount(after, minlength=32) / len(after), following[word], len(after))
    # and on the second step as often as both tables together say
    assert _near(np.bincount(words[:, 1], minlength=32) / n, first @ following, n)


def test_markov_of_counts_draws_what_it_says_is_likely():
    """Empirical frequencies of what was drawn are the chances that log_prob names."""
    model = markov(_TINY)
    words = bars_to_words(model.sample(30_000, seed=5))
    n = len(words)
    assert _near((words[:, 0] == 1).mean(), (2 + _ONE) / 3, n)
    after_one, after_two = words[:, 1:][words[:, :-1] == 1], words[:, 1:][words[:, :-1] == 2]
    assert _near((after_one == 2).mean(), (6 + 2 * _TWO) / 19, len(after_one))
    assert _near((after_two == 1).mean(), (5 + _ONE) / 6, len(after_two))


def test_markov_draws_the_last_word_where_rounding_leaves_a_gap():
    """Sums that end below 1: the last word, no index beyond it."""
    first = np.full(32, 0.5 / 32)
    words = bars_to_words(Markov(first, np.tile(first, (32, 1)), 12, 5).sample(200))
    assert words.max() == 31
    assert (words == 31).mean() > 0.4
