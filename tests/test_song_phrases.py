"""Phrases of songs: which bars stand in a row, how often a song plays them, and how they are drawn."""

import numpy as np
import pytest

from rhythmgan.data import Corpus
from rhythmgan.kit import JAKI5
from rhythmgan.song_phrases import song_phrases


def corpus_of(*files):
    """Files as (song, (number of a bar, its index in the file) …)."""
    rows = [(song, file, bar, index) for file, (song, bars) in enumerate(files) for bar, index in bars]
    song, file, bar, index = map(np.array, zip(*rows, strict=True))
    words = np.zeros((len(rows), 12), np.uint16)
    words[:, 0], words[:, 1], words[:, 7] = bar % 32, bar // 32, 16
    names = tuple(f"song {number}" for number in range(song.max() + 1))
    return Corpus.of(words, song, file, index, names, tuple(f"{n}.mid" for n in range(len(files))), JAKI5)


def bars_in_a_row(*bars, first=0):
    return tuple((bar, first + place) for place, bar in enumerate(bars))


def test_phrases_are_bars_in_a_row_of_one_file():
    corpus = corpus_of(
        (0, (*bars_in_a_row(1, 2, 3), *bars_in_a_row(4, 5, first=4))),  # a gap at index 3
        (1, bars_in_a_row(6, 7, first=9)),
    )
    found = song_phrases(corpus, 2)
    assert found.words[:, :, 0].tolist() == [[1, 2], [2, 3], [4, 5], [6, 7]]
    assert found.song.tolist() == [0, 0, 0, 1]
    assert found.off.tolist() == [0, 1, 0, 1]
    assert found.plays.tolist() == [1, 1, 1, 1]
    assert song_phrases(corpus, 3).words[:, :, 0].tolist() == [[1, 2, 3]]
    assert len(song_phrases(corpus, 4)) == len(song_phrases(corpus, 9)) == 0


def test_a_phrase_of_a_song_is_kept_once_and_counted_in_all_files():
    corpus = corpus_of(
        (0, bars_in_a_row(1, 2, 1, 2, 1)),  # 1 2 at 0 and 2, 2 1 at 1 and 3
        (0, bars_in_a_row(1, 2, first=4)),
        (1, bars_in_a_row(1, 2)),
    )
    found = song_phrases(corpus, 2)
    assert found.words[:, :, 0].tolist() == [[1, 2], [2, 1], [1, 2]]
    assert found.plays.tolist() == [3, 2, 1]
    assert found.song.tolist() == [0, 0, 1]
    assert found.n_songs == 2
    np.testing.assert_allclose(found.chance, [3 / 10, 2 / 10, 1 / 2])
    on_time = found.on_time()
    assert on_time.words[:, :, 0].tolist() == [[1, 2], [1, 2]]
    np.testing.assert_allclose(on_time.chance, [1 / 2, 1 / 2])


def test_no_phrase_goes_from_one_file_into_the_next():
    """The second file begins with the index that would follow in the first one."""
    found = song_phrases(corpus_of((0, bars_in_a_row(1, 2)), (0, bars_in_a_row(3, 4, first=2))), 2)
    assert found.words[:, :, 0].tolist() == [[1, 2], [3, 4]]


def test_songs_without_a_phrase_have_no_chance():
    corpus = corpus_of((0, bars_in_a_row(1, 2)), (1, bars_in_a_row(3)), (3, bars_in_a_row(4, 5, 6)))
    found = song_phrases(corpus, 2)
    assert (found.song.tolist(), found.n_songs) == ([0, 3, 3], 2)
    np.testing.assert_allclose(found.chance, [1 / 2, 1 / 4, 1 / 4])
    assert set(found.draw(100).song.tolist()) == {0, 3}


def test_the_order_of_bars_tells_phrases_apart():
    found = song_phrases(corpus_of((0, bars_in_a_row(1, 2, 2, 1))), 2).on_time()
    assert found.words[:, :, 0].tolist() == [[1, 2], [2, 1]]


def test_a_long_file_has_a_phrase_at_every_bar():
    """More bars, and more distinct ones, than a byte can count."""
    found = song_phrases(corpus_of((0, bars_in_a_row(*range(1, 701)))), 3)
    assert (found.words[:, :, 0] + 32 * found.words[:, :, 1]).tolist() == [
        [bar, bar + 1, bar + 2] for bar in range(1, 699)
    ]
    assert found.off.tolist() == [bar % 3 for bar in range(698)]


def test_the_same_bars_off_time_are_another_phrase():
    found = song_phrases(corpus_of((0, bars_in_a_row(1, 1, 1, 1))), 2)
    assert found.off.tolist() == [0, 1]
    assert found.plays.tolist() == [2, 1]


def test_phrases_are_drawn_as_songs_play_them():
    corpus = corpus_of((0, bars_in_a_row(1, 2, 1, 2, 3, 4)), (1, bars_in_a_row(5, 6)))
    drawn = song_phrases(corpus, 2).on_time().draw(6000, seed=3)
    shares = [(drawn.words[:, 0, 0] == bar).mean() for bar in (1, 3, 5)]
    np.testing.assert_allclose(shares, [2 / 6, 1 / 6, 3 / 6], atol=0.025)
    again = song_phrases(corpus, 2).on_time().draw(6000, seed=3)
    assert np.array_equal(again.bars, drawn.bars)
    assert not np.array_equal(song_phrases(corpus, 2).on_time().draw(6000, seed=4).words, drawn.words)
    assert drawn.bars.shape == (6000, 2, 12, 5)


def test_what_cannot_be_drawn_or_cut_is_said():
    corpus = corpus_of((0, bars_in_a_row(1, 2)))
    with pytest.raises(ValueError, match="no phrases to draw"):
        song_phrases(corpus, 3).draw(1)
    with pytest.raises(ValueError, match="at least one bar, not 0"):
        song_phrases(corpus, 0)
