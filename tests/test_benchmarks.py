"""The scripts beside the package: what counts as a real phrase, and what is said of phrases."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script(one_thread):
    spec = importlib.util.spec_from_file_location("benchmark_phrases", ROOT / "benchmarks" / "phrases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _words(*files):
    """Words of files (song, "0a 1b 3c"): each bar's place, and a letter for what it plays."""
    rows = [(song, origin, int(bar[:-1]), bar[-1]) for origin, (song, bars) in enumerate(files) for bar in bars.split()]
    song, origin, place = (np.array([row[i] for row in rows], np.int32) for i in range(3))
    words = np.stack([_bar(row[3]) for row in rows])
    names = tuple(f"song {i}" for i in range(max(song, default=0) + 1))
    return Corpus.of(words, song, origin, place, names, tuple(f"file {i}" for i in range(len(files))), GM9)


def _bar(letter):
    return np.where(np.arange(16) < 2, ord(letter), 0).astype(np.uint16)


def _letters(phrases):
    every = {letter: words_to_bars(_bar(letter), 9) for letter in "abcdefgh"}
    return ["".join(next(name for name, one in every.items() if (one == bar).all()) for bar in p) for p in phrases]


def _drawn(script, corpus, n=400, **options):
    """The phrases that are drawn, as texts with their songs, and how often each comes in n."""
    found = script.real_phrases(corpus, n, **options)
    names, count = np.unique(
        [f"{song} {text}" for song, text in zip(found.song, _letters(found.bars), strict=True)], return_counts=True
    )
    return dict(zip(names.tolist(), (count / n).tolist(), strict=True))


def test_real_phrases_begin_on_every_fourth_bar_of_a_file_and_songs_count_alike(script):
    corpus = _words(
        (0, "0a 1b 2c 3d 4d 5a 6a 7a 8e 9f 11g 12h"),  # the third with a bar that is silent
        (1, "1a 2b 3c 4d 5a 6b 7e 8c 9c 10c 11c 12f 13f"),
        (2, "0a 1b 2c"),
    )
    expected = {"0 abcd": 0.25, "0 daaa": 0.25, "1 dabe": 0.25, "1 cccc": 0.25}
    assert _drawn(script, corpus) == pytest.approx(expected, abs=0.09)


def test_real_phrases_do_not_go_on_in_the_next_file(script):
    """Not even where the next file's bars are numbered on from it, and of the same song."""
    corpus = _words((0, "0a 1b 2c 3d 4e 5f 6g"), (0, "7h 8a 9a 10b 11b"))
    assert set(_drawn(script, corpus)) == {"0 abcd", "0 aabb"}


def test_a_phrase_that_a_song_plays_again_comes_as_often(script):
    corpus = _words((0, "0a 1a 2a 3b 4a 5a 6a 7b 8a 9a 10b 11a"), (1, "0c 1d 2c 3d"))
    assert _drawn(script, corpus) == pytest.approx({"0 aaab": 1 / 3, "0 aaba": 1 / 6, "1 cdcd": 1 / 2}, abs=0.09)


def test_real_phrases_of_a_role_and_their_roles(script):
    corpus = _words((0, "0a 1a 2a 3b 4c 5d 6a 7a"))
    corpus = replace(corpus, role=np.array([0, 1, 0, 2, 2, 0, 0, 1], np.uint8))
    found = script.real_phrases(corpus, 6, "fill")
    assert set(_letters(found.bars)) == {"cdaa"}
    assert found.role.tolist() == [[2, 0, 0, 1]] * 6
    assert set(_letters(script.real_phrases(corpus, 6, "groove").bars)) == {"aaab"}


@pytest.mark.parametrize("bars", ["0a 1b 2c", "0a 1b 2c 4d 5e", "1a 2b 3c 4d"])
def test_songs_without_a_phrase(script, bars):
    with pytest.raises(ValueError, match="no 4 bars in a row"):
        script.real_phrases(_words((0, bars)), 3)
    with pytest.raises(ValueError, match=r"no 4 bars in a row.* role variation"):
        script.real_phrases(_words((0, "0a 1b 2c 3d")), 3, "variation")


def test_fills_are_told_by_the_last_two_bars(script):
    """Real fills have a tom on every step, and so have those that are asked for."""
    random = np.random.default_rng(0)
    bars = random.random((300, 4, 16, 9)) < 0.2
    role = np.zeros((300, 4), np.uint8)
    role[::3, -1] = 2
    bars[::3, -1, :, 3] = True
    taught = script.Phrases(bars[:200], None, role[:200])
    assert script.taken_for_fills(taught, bars[201::3], bars[202::3]) == pytest.approx([1, 0], abs=0.05)


def test_describe_by_hand(script):
    """Three phrases: the last bar is odd; every second one; the first and the last."""
    beat = np.zeros((16, 9), bool)
    beat[[0, 4, 8, 10, 12], 0] = True
    fuller, thinner, one_more, one_less = (beat.copy() for _ in range(4))
    fuller[[13, 14, 15], 1] = True
    thinner[[4, 10], 0] = False
    one_more[0, 8] = True
    one_less[8, 0] = False
    found = np.array([[beat, beat, beat, fuller], [beat, thinner, beat, thinner], [one_more, beat, beat, one_less]])
    # cells that differ, of bars 1-2, 2-3, 3-4, 1-3, 2-4, 1-4: 0 0 3 0 3 3, then 2 2 2 0 0 2, then 1 0 1 1 1 2;
    # at most a quarter of the onsets of bar 1 and each other: 3 of 13 are, 2 of 8 are, 2 of 10 are;
    # onsets: 5 5 5 8, then 5 3 5 3, then 6 5 5 4
    assert script.describe("by hand", found) == (
        "| by hand | 1.0 (0.33) | 0.7 (0.67) | 2.0 (0.00) | 0.3 (0.67) | 1.3 (0.33) | 2.3 (0.00)"
        " | 0.67 | 1.00 | 5.3 4.3 5.0 5.0"
    )
    found[0, 3, 12, 1] = True  # now 4 of 14
    assert " | 0.67 | 0.67 | " in script.describe("by hand", found)
