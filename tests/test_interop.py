"""Bars as the objects of other libraries."""

import numpy as np
import pretty_midi
import pypianoroll
import pytest

from rhythmgan.bars import GRIDS
from rhythmgan.grid import quantise
from rhythmgan.interop import bars_to_multitrack, bars_to_pretty_midi
from rhythmgan.kit import GM9, JAKI5, KITS
from rhythmgan.lpd import read_lpd
from rhythmgan.performance import accents
from rhythmgan.songs import prepare

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)


def _bars(n, steps, kit, density=0.3):
    return np.random.default_rng([n, steps, kit.n_parts]).random((n, steps, kit.n_parts)) < density


# -- pretty_midi ---------------------------------------------------------------------------------


def test_pretty_midi_by_hand():
    bar = np.zeros((12, 9), bool)
    bar[0, [0, 7]] = bar[4, 1] = bar[11, 2] = True
    song = bars_to_pretty_midi(bar, bpm=60)
    assert isinstance(song, pretty_midi.PrettyMIDI)
    (drums,) = song.instruments
    assert drums.is_drum
    notes = sorted((round(note.start, 6), note.pitch, note.velocity) for note in drums.notes)
    assert notes == [(0, 36, 112), (0, 51, 112), (1.333333, 38, 76), (3.666667, 42, 76)]
    assert song.get_tempo_changes()[1].tolist() == [60]


@every_kit
@every_grid
def test_pretty_midi_has_every_note(kit, steps):
    bars = _bars(2, steps, kit)
    (drums,) = bars_to_pretty_midi(bars, kit, bpm=150).instruments
    bar, step, part = np.nonzero(bars)
    expected = sorted(zip(((bar * steps + step) * 1.6 / steps).round(6), kit.pitches[part].tolist(), strict=True))
    found = sorted((round(note.start, 6), note.pitch) for note in drums.notes)
    assert [pitch for _, pitch in found] == [pitch for _, pitch in expected]
    np.testing.assert_allclose([start for start, _ in found], [start for start, _ in expected], atol=2e-6)


# -- pypianoroll ---------------------------------------------------------------------------------


def test_multitrack_by_hand():
    bar = np.zeros((16, 9), bool)
    bar[0, [0, 8]] = bar[3, 2] = bar[15, 1] = True
    song = bars_to_multitrack(bar, bpm=93.5)
    assert isinstance(song, pypianoroll.Multitrack)
    song.validate()
    assert song.resolution == 24
    (track,) = song.tracks
    assert (track.name, track.is_drum) == ("Drums", True)
    assert track.pianoroll.shape == (96, 128)
    tick, pitch = np.nonzero(track.pianoroll)
    velocity = track.pianoroll[tick, pitch]
    assert list(zip(tick.tolist(), pitch.tolist(), velocity.tolist(), strict=True)) == [
        (0, 36, 112),
        (0, 49, 112),
        (18, 42, 76),
        (90, 38, 76),
    ]
    assert np.ravel(song.tempo).tolist() == [93.5] * 96
    assert np.flatnonzero(song.downbeat).tolist() == [0]
    assert song.get_length() == 91


@every_kit
@every_grid
@pytest.mark.parametrize("n", [1, 3])
def test_what_pypianoroll_saves_is_read(tmp_path, kit, steps, n):
    bars = _bars(n, steps, kit)
    path = tmp_path / "loop.npz"
    bars_to_multitrack(bars, kit).save(str(path))
    onsets = read_lpd(path)
    assert [(time_signature.numerator, time_signature.denominator) for time_signature in onsets.time_signatures] in (
        [],
        [(4, 4)],
    )
    found = quantise(onsets, kit, steps)
    assert found.index.tolist() == list(range(n))
    np.testing.assert_array_equal(found.bars, bars)
    np.testing.assert_array_equal(found.velocities, bars * accents(steps)[:, None])


@every_grid
def test_pypianoroll_loads_what_it_saved(tmp_path, steps):
    bars = _bars(2, steps, GM9)
    path = tmp_path / "loop.npz"
    song = bars_to_multitrack(bars)
    song.save(str(path))
    again = pypianoroll.load(str(path))
    np.testing.assert_array_equal(again.tracks[0].pianoroll, song.tracks[0].pianoroll)
    assert (again.tracks[0].pianoroll > 0).sum() == bars.sum()
    assert np.flatnonzero(again.downbeat).tolist() == [0, 96]


def test_prepare_reads_saved_multitracks(tmp_path):
    bars = _bars(4, 16, JAKI5)
    bars[2] = False
    bars_to_multitrack(bars, JAKI5).save(str(tmp_path / "loop.npz"))
    corpus, (count,) = prepare([tmp_path], JAKI5, workers=1)
    assert corpus.bar_index.tolist() == [0, 1, 3]
    assert count.n_onsets == bars.sum()


def test_silence():
    song = bars_to_multitrack(np.zeros((2, 16, 9), bool))
    assert song.tracks[0].pianoroll.shape == (192, 128)
    assert not song.tracks[0].pianoroll.any()
    assert not [note for track in bars_to_pretty_midi(np.zeros((2, 16, 9), bool)).instruments for note in track.notes]
