"""The script that measures variations: what it counts, by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.kit import GM9

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script(one_thread):
    spec = importlib.util.spec_from_file_location("benchmark_variation", ROOT / "benchmarks" / "variation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("steps", "two", "four"), [(16, 4, 12), (12, 3, 9)])
def test_a_backbeat_is_the_snare_on_two_and_four(script, steps, two, four):
    bars = np.zeros((4, steps, 9), bool)
    bars[0, [two, four], 1] = True
    bars[1, :, 1] = True
    bars[2, two, 1] = bars[2, four, 0] = True  # a kick on 4
    assert script.has_backbeat(bars, GM9).tolist() == [True, True, False, False]


def test_loops_of_songs_are_a_bar_three_times_and_the_nearest_other_one(script):
    bars = np.zeros((7, 16, 9), bool)
    bars[:3, 0, 0] = True
    bars[1, :5, 2] = bars[2, :2, 2] = True  # 5 and 2 cells from the first
    bars[4, :9, 3] = True  # of the second song, 9 cells apart
    song = np.array([3, 3, 3, 5, 5, 8, 8])  # the third song's bars are equal
    (loop,) = script.loops_of_songs(bars, song)
    assert (loop == bars[[0, 0, 0, 2]]).all()


def test_what_is_made_is_compared_with_the_bars_of_other_songs(script, monkeypatch):
    """With the same halves for the bars themselves and for what was made of them."""
    seen = []

    def c2st(real, song, made, *, generated_song, repeats, seed):
        seen.append((set(song.tolist()), set(generated_song.tolist()), made.mean()))
        return {"c2st": 0.5 + 0.25 * made.mean() + seed / 16}

    monkeypatch.setattr(script, "c2st", c2st)
    bars, song = np.zeros((40, 16, 9), bool), np.arange(40) // 4
    own, made, error = script.from_real(bars, song, ~bars)
    assert (own, made, error) == pytest.approx((0.5 + 1.5 / 16, 0.75 + 1.5 / 16, 0))
    assert len(seen) == 8
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        assert before[:2] == after[:2]
        assert before[0] | before[1] == set(range(10))
        assert not before[0] & before[1]
    assert len({tuple(sorted(halves[0])) for halves in seen}) > 1
