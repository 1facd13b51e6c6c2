"""Pairs of lines that songs play, and how well others are told from them."""

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, GM12
from rhythmgan.line_pairs import line_pairs, pairs_c2st


def corpus_of(*bars, kit=GM9):
    """Of (song, lines by part) for each bar."""
    cells = np.zeros((len(bars), 16, kit.n_parts), bool)
    for row, (_, lines) in enumerate(bars):
        for part, onsets in lines.items():
            cells[row, list(onsets), kit.names.index(part)] = True
    song = np.array([number for number, _ in bars])
    place = np.arange(len(bars))
    names = tuple(f"song {number}" for number in range(song.max() + 1))
    return Corpus.of(bars_to_words(cells), song, np.zeros(len(bars), int), place, names, ("file",), kit)


def line(*onsets):
    return [step in onsets for step in range(16)]


def test_each_song_has_its_distinct_pairs_of_bars_in_which_both_sound():
    corpus = corpus_of(
        (0, {"kick": [0, 8], "snare": [4, 12], "ride": [0]}),
        (0, {"kick": [0, 8], "snare": [4, 12], "crash": [0]}),  # the same pair in another bar
        (0, {"kick": [0], "snare": [4, 12]}),
        (0, {"kick": [0], "low tom": [4]}),  # no snare
        (1, {"snare": [4, 12], "ride": [0]}),  # no kick
        (1, {"kick": [0, 8], "snare": [4, 12]}),  # another song's
    )
    pairs, song = line_pairs(corpus)
    assert pairs.shape == (3, 2, 16)
    found = {(int(number), tuple(map(tuple, pair.tolist()))) for number, pair in zip(song, pairs, strict=True)}
    backbeat = tuple(line(4, 12))
    both = (tuple(line(0, 8)), backbeat)
    assert found == {(0, both), (0, (tuple(line(0)), backbeat)), (1, both)}
    assert song.tolist() == [0, 0, 1]


def test_any_two_parts():
    corpus = corpus_of((0, {"bell": [1], "conga": [2, 5]}), kit=GM12)
    pairs, _ = line_pairs(corpus, "conga", "bell")
    assert pairs.tolist() == [[line(2, 5), line(1)]]
    with pytest.raises(ValueError, match="called 'bell': kick, snare"):
        line_pairs(corpus_of((0, {"kick": [0]})), "bell", "snare")


@pytest.fixture(scope="module")
def songs():
    """40 songs, whose answers are the given lines a step later, but for chance."""
    rng = np.random.default_rng(0)
    given = rng.random((800, 16)) < 0.3
    answers = np.roll(given, 1, 1) ^ (rng.random((800, 16)) < 0.05)
    return np.stack([given, answers], 1), np.arange(800) // 20


def test_equal_kinds_of_pairs_are_not_told_apart(songs):
    pairs, song = songs
    half = song % 2 == 0
    found = pairs_c2st(pairs[half], pairs[~half], song[half], song[~half], repeats=2)
    assert found["c2st"] == pytest.approx(0.5, abs=0.06)


def test_answers_of_other_lines_are_told_from_songs(songs):
    pairs, song = songs
    strangers = np.stack([pairs[:, 0], np.random.default_rng(1).permutation(pairs[:, 1])], 1)
    found = pairs_c2st(pairs, strangers, song, repeats=1)
    assert found["c2st"] == max(found["trees"], found["mlp"]) > 0.8
    silent = np.stack([pairs[:, 0], np.zeros_like(pairs[:, 1])], 1)
    assert pairs_c2st(pairs, silent, song, repeats=1)["trees"] > 0.99  # hardly a song has a silent one


def test_more_made_pairs_than_real_ones_weigh_the_same(songs):
    pairs, song = songs
    many = np.concatenate([pairs] * 3)
    found = pairs_c2st(pairs, many, song, np.concatenate([song] * 3), repeats=1)
    assert found["c2st"] == pytest.approx(0.5, abs=0.06)


def test_pairs_that_do_not_fit(songs):
    pairs, song = songs
    with pytest.raises(ValueError, match="800 and 799 pairs do not have 800 and 800 songs"):
        pairs_c2st(pairs, pairs[1:], song)
    with pytest.raises(ValueError, match="at least 20"):
        pairs_c2st(pairs[:30], pairs[:30], song[:30])
