"""Bars of sixteenths on thirty-seconds, in the order of their songs."""

from dataclasses import replace

import numpy as np
import pytest

from rhythmgan.data import Corpus
from rhythmgan.doubled import doubled, with_doubled
from rhythmgan.kit import GM9, JAKI5

SONGS = ("a", "b", "c")
FILES = ("a/1", "a/2", "b/1", "c/1")


def bars(steps, rows):
    """Rows (song, file, bar, word): bars with the word on every step but the first."""
    words = np.zeros((len(rows), steps), np.uint16)
    words[:, 1:] = np.array([row[3] for row in rows])[:, None]
    song, file, index = (np.array([row[column] for row in rows]) for column in range(3))
    return Corpus.of(words, song, file, index, SONGS, FILES, GM9)


FINE = bars(32, [(0, 0, 1, 5), (0, 1, 0, 5), (2, 3, 2, 7)])
COARSE = bars(16, [(0, 0, 0, 3), (0, 0, 2, 3), (1, 2, 0, 4), (2, 3, 1, 9)])


def test_every_second_step_is_silent():
    np.testing.assert_array_equal(doubled(np.array([[1, 2, 0, 4]])), [[1, 0, 2, 0, 0, 0, 4, 0]])


def test_bars_come_in_the_order_of_songs_and_files():
    found = with_doubled(FINE, COARSE)
    rows = list(zip(found.song_id, found.file_id, found.bar_index, found.words[:, 31], found.words[:, 30], strict=True))
    # of a doubled bar the last step is silent
    assert rows == [
        (0, 0, 0, 0, 3),
        (0, 0, 1, 5, 5),
        (0, 0, 2, 0, 3),
        (0, 1, 0, 5, 5),
        (1, 2, 0, 0, 4),
        (2, 3, 1, 0, 9),
        (2, 3, 2, 7, 7),
    ]
    assert found.steps == 32
    assert found.followers().tolist() == [1, 2, 6]
    # what song a plays twice is kept once: bars 0 and 2 of its first file, and bar 1 with bar 0 of its second
    assert found.plays.tolist() == [2, 2, 2, 2, 1, 1, 1]
    assert len(found.distinct_words) == 5
    assert found.playing is None


def test_styles_and_songs_stay():
    fine = replace(FINE, styles=("unknown", "hiphop"), file_style=np.array([1, 0, 0, 1]))
    found = with_doubled(fine, COARSE)
    assert found.with_style("hiphop").song_id.tolist() == [0, 0, 0, 2, 2]
    assert (found.songs, found.files) == (SONGS, FILES)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="of kit gm9 and 32 steps cannot be doubled to kit gm9 and 16"):
        with_doubled(COARSE, FINE)
    with pytest.raises(ValueError, match="cannot be doubled to kit gm9"):
        with_doubled(FINE, replace(COARSE, kit=JAKI5))
    with pytest.raises(ValueError, match="not of the same songs"):
        with_doubled(FINE, replace(COARSE, songs=("a", "b", "d")))
