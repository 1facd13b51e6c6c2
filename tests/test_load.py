"""A loop of a file, as it is played."""

import csv
import os

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words, words_to_text
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, JAKI5, KITS
from rhythmgan.load import load_loop
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance, Playback


def _played(shape, kit=GM9, seed=0):
    random = np.random.default_rng([seed, *shape])
    bars = random.random(shape) < 0.2
    bars[0, 1, 0] = bars[-1, 2, 1] = True
    return Performance.of(bars, kit, random.integers(1, 128, shape), random.uniform(-0.49, 0.49, shape))


def _same(found, expected, steps=16):
    """Velocities alike, offsets to a tick of 480 a beat; what began before the loop begins with it."""
    np.testing.assert_array_equal(found.bars, expected.bars)
    np.testing.assert_array_equal(found.velocities, expected.velocities)
    offsets = expected.offsets.copy()
    offsets[0, 0] = np.maximum(offsets[0, 0], 0)
    np.testing.assert_allclose(found.offsets, offsets, atol=1.001 * steps / 1920)


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
@pytest.mark.parametrize("steps", [12, 16, 24])
def test_a_loop_is_read_as_it_was_written(tmp_path, kit, steps):
    loop = _played((3, steps, kit.n_parts), kit)
    write_midi(tmp_path / "loop.mid", loop, bpm=93)
    found, playback = load_loop(tmp_path / "loop.mid", kit, steps)
    _same(found, loop, steps)
    assert found.kit == kit
    assert playback == Playback(60e6 / 645161)


def test_swing_is_read_as_offsets(tmp_path):
    """At .6 a second sixteenth lies at .3 of a beat, a fifth of a step late."""
    bar = np.zeros((16, 9), bool)
    bar[[0, 3, 6], 2] = True
    write_midi(tmp_path / "loop.mid", bar, swing=0.6)
    found, playback = load_loop(tmp_path / "loop.mid", GM9, 16)
    np.testing.assert_allclose(found.offsets[found.bars], [0, 0.2, 0], atol=1e-6)
    assert playback.swing == 0.5


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "loop.mid")
    with pytest.raises(ValueError, match=r"loop\.mid: unreadable: not a regular file"):
        load_loop(tmp_path / "loop.mid")


def test_silent_bars_between_are_kept_and_those_around_are_not(tmp_path):
    bars = np.zeros((6, 16, 9), bool)
    bars[1, 3, 0] = bars[4, 0, 1] = True
    write_midi(tmp_path / "loop.mid", Performance.of(bars, GM9, np.array(19), np.array(0.25)))
    found, _ = load_loop(tmp_path / "loop.mid", GM9, 16)
    _same(found, Performance.of(bars[1:5], GM9, np.array(19), np.array(0.25)))


def test_bars_that_say_nothing_of_it_have_accents(tmp_path):
    bars = np.random.default_rng(0).random((4, 16, 9)) < 0.2
    bars[2] = bars[1]
    (tmp_path / "own.txt").write_text(f"# kit: gm9\n{words_to_text(bars_to_words(bars), 9)}", encoding="utf-8")
    np.savez(tmp_path / "own.npz", bars=bars[..., :5])
    found, playback = load_loop(tmp_path / "own.txt", GM9, 16)
    _same(found, Performance.of(bars))
    assert playback == Playback(120, 0.5)
    found, _ = load_loop(tmp_path / "own.npz", JAKI5, 16)
    assert found.kit == JAKI5
    _same(found, Performance.of(bars[..., :5], JAKI5))


def test_real_playing_passes_from_file_to_file(shared, tmp_path):
    """Every fortieth performance of Groove in 4/4: what drummers played is what is written, and read again."""
    with (shared / "groove" / "info.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["time_signature"] == "4-4"]
    paths = [shared / "groove" / row["midi_filename"] for row in rows]
    n_onsets = 0
    for path in [path for path in paths if path.is_file()][::40]:
        heard = quantise(read_midi(path), GM9)
        loop, playback = load_loop(path, GM9, 16)
        inside = heard.index - heard.index[0]
        here = inside < len(loop)
        if not here.all():  # all that is in the last bar is early on its first step, and so on that of the loop
            assert here.sum() == len(here) - 1
            np.testing.assert_array_equal(heard.bars[-1].nonzero()[0], 0)
            assert (heard.offsets[-1][heard.bars[-1]] < 0).all()
            assert (loop.velocities[0, 0] >= heard.velocities[-1, 0]).all()
            here[0] = False
        np.testing.assert_array_equal(loop.velocities[inside[here]], heard.velocities[here])
        np.testing.assert_array_equal(loop.offsets[inside[here]], heard.offsets[here])
        write_midi(tmp_path / "again.mid", loop, bpm=playback.bpm)
        again, same = load_loop(tmp_path / "again.mid", GM9, 16)
        _same(again, loop)
        assert same == playback
        n_onsets += int(loop.bars.sum())
        assert loop.offsets.std() > 0.01, path.name  # people
    assert n_onsets > 5000
