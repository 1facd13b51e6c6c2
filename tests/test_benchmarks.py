"""The scripts beside the package: what counts as a real phrase, and where the odd bar of one falls."""

import importlib.util
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


def test_real_phrases_begin_on_every_fourth_bar_of_a_file(script):
    words = _words(
        (0, "0a 1b 2c 3d 4d 5a 6a 7a 8e 9f 11g 12h"),  # the third with a bar that is silent
        (1, "1a 2b 3c 4d 5a 6b 7e 8c 9c 10c 11c 12f 13f"),
    )
    found, song = script.real_phrases(words)
    assert found.shape == (4, 4, 16, 9)
    assert found.dtype == bool
    assert _letters(found) == ["abcd", "daaa", "dabe", "cccc"]
    assert song.tolist() == [0, 0, 1, 1]


def test_real_phrases_do_not_go_on_in_the_next_file(script):
    """Not even where the next file's bars are numbered on from it, and of the same song."""
    words = _words((0, "0a 1b 2c 3d 4e 5f 6g"), (0, "7h 8a 9a 10b 11b"))
    assert _letters(script.real_phrases(words)[0]) == ["abcd", "aabb"]


def test_real_phrases_count_once_in_a_song(script):
    """Of several files of it too; the same bars in another order, and in another song, are others."""
    words = _words(
        (0, "0a 1a 2a 3b 4a 5a 6a 7b 8a 9a 10b 11a"), (0, "4a 5a 6a 7b"), (1, "0a 1a 2a 3b"), (1, "8a 9a 10a 11b")
    )
    found, song = script.real_phrases(words)
    assert list(zip(song.tolist(), _letters(found), strict=True)) == [(0, "aaab"), (0, "aaba"), (1, "aaab")]


@pytest.mark.parametrize("bars", ["0a 1b 2c", "0a 1b 2c 4d 5e"])
def test_songs_without_a_phrase(script, bars):
    found, song = script.real_phrases(_words((0, bars)))
    assert found.shape == (0, 4, 16, 9)
    assert len(song) == 0


def test_describe_by_hand(script):
    """Three phrases: the last bar is odd; every second one, so that all are alike; the first and the last."""
    beat = np.zeros((16, 9), bool)
    beat[[0, 4, 8, 10, 12], 0] = True
    fuller, thinner, one_more, one_less = (beat.copy() for _ in range(4))
    fuller[[13, 14, 15], 1] = True
    thinner[[4, 10], 0] = False
    one_more[0, 8] = True
    one_less[8, 0] = False
    found = np.array([[beat, beat, beat, fuller], [beat, thinner, beat, thinner], [one_more, beat, beat, one_less]])
    # cells that differ, of bars 1-2, 2-3, 3-4, 1-3, 2-4, 1-4: 0 0 3 0 3 3, then 2 2 2 0 0 2, then 1 0 1 1 1 2;
    # the odd bar's shares: 0 0 0 1, then a quarter each, then ½ 0 0 ½; onsets: 5 5 5 8, then 5 3 5 3, then 6 5 5 4
    assert script.describe("by hand", found) == (
        "| by hand | 1.0 (0.33) | 0.7 (0.67) | 2.0 (0.00) | 0.3 (0.67) | 1.3 (0.33) | 2.3 (0.00)"
        " | 0.25 0.08 0.08 0.58 | 5.3 4.3 5.0 5.0"
    )
