"""Batches: bars are drawn as often as their songs say, and the rates are those of what is drawn."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9
from rhythmgan.training.batches import SongBatches

pytestmark = pytest.mark.usefixtures("one_thread")


def _three_songs():
    """Songs of 1, 4 and 25 bars in a mixed order, by numbers with gaps; a bar's first words spell its row."""
    song = np.array([7] + [2] * 4 + [5] * 25, np.int32)[np.random.default_rng(3).permutation(30)]
    words = np.zeros((30, 16), np.uint16)
    words[:, 0] = np.arange(30) + 1
    words[:, 4::4] = np.random.default_rng(4).integers(0, 512, (30, 3))
    number = np.arange(30, dtype=np.int32)
    return Corpus.of(words, song, np.zeros(30, np.int32), number, tuple("abcdefgh"), ("toy",), GM9)


@pytest.mark.parametrize(
    ("exponent", "chances"),
    [
        (1.0, {7: 1 / 30, 2: 1 / 30, 5: 1 / 30}),  # all bars alike
        (0.0, {7: 1 / 3, 2: 1 / 12, 5: 1 / 75}),  # all songs alike
        (0.5, {7: 1 / 8, 2: 2 / 8 / 4, 5: 5 / 8 / 25}),
    ],
)
def test_bars_are_drawn_song_by_song(exponent, chances):
    corpus = _three_songs()
    batches = SongBatches(corpus, exponent, augmented_share=0.0)
    random = torch.Generator().manual_seed(11)
    drawn = []
    for _ in range(10):
        bars, labels = batches.draw(4096, random)
        assert bars.shape == (4096, 16, 9)
        assert not labels.any()
        drawn.append(bars.numpy())
    drawn = np.concatenate(drawn)
    found = bars_to_words(drawn > 0)
    row = found[:, 0].astype(int) - 1
    np.testing.assert_array_equal(found, corpus.words[row])
    expected = np.array([chances[song] for song in corpus.song_id.tolist()])
    assert expected.sum() == pytest.approx(1)
    counts = np.bincount(row, minlength=30)
    assert chisquare(counts, expected * len(row)).pvalue > 1e-3
    # and what the generator is held to is the mean of that
    truth = np.tensordot(expected, words_to_bars(corpus.words, 9), 1)
    np.testing.assert_allclose(batches.rates, truth, atol=1e-6)
    error = (truth * (1 - truth) / len(row)) ** 0.5
    assert (np.abs(drawn.mean(0) - truth) <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_rates_are_those_of_what_is_drawn_when_augmented_too(share):
    batches = SongBatches(_three_songs(), 0.5, share)
    random = torch.Generator().manual_seed(12)
    drawn = [batches.draw(4096, random) for _ in range(10)]
    bars, labels = (torch.cat(each).numpy() for each in zip(*drawn, strict=True))
    assert abs((labels != 0).mean() - share) < 5 * (0.25 / len(labels)) ** 0.5
    rates = batches.rates.numpy()
    error = (rates * (1 - rates) / len(labels)) ** 0.5
    assert (np.abs(bars.mean(0) - rates) <= 5 * error + 1e-6).all()
    plain = SongBatches(_three_songs(), 0.5, 0.0).rates.numpy()
    assert np.abs(rates - plain).max() > 10 * error.max()
