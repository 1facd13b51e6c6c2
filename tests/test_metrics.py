"""The two-sample test tells what it should and only that."""

import numpy as np
import pytest

from rhythmgan.metrics import c2st, shares


def _songs(rng, n_songs, bars_each, rate):
    bars = rng.random((n_songs * bars_each, 16, 9)) < rate
    return bars, np.repeat(np.arange(n_songs), bars_each)


def test_same_source_cannot_be_told():
    rng = np.random.default_rng(0)
    real, song = _songs(rng, 40, 20, 0.2)
    fake, _ = _songs(rng, 50, 20, 0.2)
    assert 0.42 < c2st(real, song, fake, repeats=2)["c2st"] < 0.58


def test_what_only_structure_tells_is_told():
    """Equal rates everywhere, but in the real bars part 1 copies part 0."""
    rng = np.random.default_rng(1)
    real, song = _songs(rng, 40, 20, 0.3)
    fake = real[rng.permutation(len(real))].copy()
    real[..., 1] = real[..., 0]
    assert c2st(real, song, fake, repeats=1)["trees"] > 0.8


def test_rerun_gives_the_same():
    rng = np.random.default_rng(2)
    real, song = _songs(rng, 10, 10, 0.2)
    fake, _ = _songs(rng, 10, 10, 0.25)
    assert c2st(real, song, fake, repeats=1) == c2st(real, song, fake, repeats=1)


def test_songs_are_not_told_for_sources():
    """Every song has a part of its own rate: told by bars, no song known, real against real is a guess."""
    rng = np.random.default_rng(3)
    rates = rng.choice([0.1, 0.5], (60, 1, 16, 9))
    bars = (rng.random((60, 15, 16, 9)) < rates).reshape(-1, 16, 9)
    song = np.repeat(np.arange(60), 15)
    ours = song < 30
    grouped = c2st(bars[ours], song[ours], bars[~ours], song[~ours], repeats=2)
    loose = c2st(bars[ours], song[ours], bars[~ours], repeats=2)
    assert grouped["c2st"] < 0.65
    assert loose["c2st"] > grouped["c2st"]


def test_shares_by_hand():
    bars = np.zeros((5, 16, 9), bool)
    bars[1:3, 0, 0] = True
    bars[3, [0, 4, 9], 2] = True
    bars[4, :, 8] = True
    training = bars[[1, 4]]
    assert shares(bars, training) == {"onsets": 4.2, "empty": 0.2, "unique": 0.8, "copies": 0.6}


def test_too_little_is_refused():
    bars = np.zeros((4, 16, 9), bool)
    with pytest.raises(ValueError, match="two songs"):
        c2st(bars, np.zeros(4, int), bars)
    with pytest.raises(ValueError, match="two generated"):
        c2st(bars, np.arange(4), bars[:1])
