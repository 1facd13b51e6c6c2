"""Performances as the objects of other libraries, and back."""

import numpy as np
import pretty_midi
import pypianoroll
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rhythmgan
from rhythmgan.bars import GRIDS
from rhythmgan.grid import NoBars, quantise
from rhythmgan.interop import from_pretty_midi, from_pypianoroll, to_pretty_midi, to_pypianoroll
from rhythmgan.kit import GM9, GM12, JAKI5, KITS
from rhythmgan.load import load_loop
from rhythmgan.lpd import read_lpd
from rhythmgan.midi import write_midi
from rhythmgan.performance import Performance, Playback, accents, onsets_to_performance
from rhythmgan.songs.preparation import read_songs

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)


def _bars(n, steps, kit, density=0.3):
    return np.random.default_rng([n, steps, kit.n_parts]).random((n, steps, kit.n_parts)) < density


def _played(n, steps, kit, seed, density=0.3):
    """A loop whose first and last bar sound, and nothing of which begins before it."""
    random = np.random.default_rng([seed, n, steps, kit.n_parts])
    bars = random.random((n, steps, kit.n_parts)) < density
    bars[[0, -1], 3, 0] = True
    offsets = random.uniform(-0.5, 0.5, bars.shape)
    offsets[0, 0] = np.abs(offsets[0, 0])
    return Performance.of(bars, kit, random.integers(1, 128, bars.shape), offsets)


def _same(found, expected):
    assert found.kit == expected.kit
    for name in ("bars", "velocities", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_they_are_in_the_public_names():
    assert rhythmgan.to_pretty_midi is to_pretty_midi
    assert rhythmgan.from_pypianoroll is from_pypianoroll
    assert {"from_pretty_midi", "to_pypianoroll", "Performance", "Playback"} <= set(dir(rhythmgan))


# -- pretty_midi ---------------------------------------------------------------------------------


def test_pretty_midi_by_hand():
    bar = np.zeros((12, 9), bool)
    bar[0, [0, 7]] = bar[4, 1] = bar[11, 2] = True
    song = to_pretty_midi(bar, bpm=60)
    assert isinstance(song, pretty_midi.PrettyMIDI)
    (drums,) = song.instruments
    assert drums.is_drum
    notes = sorted((round(note.start, 6), note.pitch, note.velocity) for note in drums.notes)
    assert notes == [(0, 36, 112), (0, 51, 112), (1.333333, 38, 76), (3.666667, 42, 76)]
    assert song.get_tempo_changes()[1].tolist() == [60]


def test_a_played_pretty_midi_by_hand():
    """A quarter of a sixteenth late at 60 a minute is a sixteenth of a second; the swing is .6."""
    bar = np.zeros((16, 9), bool)
    bar[[4, 5], 1] = True
    played = Performance.of(bar, GM9, np.array(41), np.where(np.arange(16) == 4, 0.25, 0)[:, None])
    (drums,) = to_pretty_midi(played, bpm=60).instruments
    assert [(note.start, note.velocity) for note in drums.notes] == [(1.0625, 41), (1.25, 41)]
    (drums,) = to_pretty_midi(bar, bpm=60, swing=0.6).instruments
    assert [(note.start, note.velocity) for note in drums.notes] == [(1, 100), (pytest.approx(1.3), 76)]


@every_kit
@every_grid
def test_pretty_midi_has_every_note(kit, steps):
    bars = _bars(2, steps, kit)
    (drums,) = to_pretty_midi(bars, kit, bpm=150).instruments
    bar, step, part = np.nonzero(bars)
    expected = sorted(zip(((bar * steps + step) * 1.6 / steps).round(6), kit.pitches[part].tolist(), strict=True))
    found = sorted((round(note.start, 6), note.pitch) for note in drums.notes)
    assert [pitch for _, pitch in found] == [pitch for _, pitch in expected]
    np.testing.assert_allclose([start for start, _ in found], [start for start, _ in expected], atol=2e-6)


@every_grid
@given(seed=st.integers(0, 10**6), kit=st.sampled_from(list(KITS.values())), bpm=st.floats(30, 300))
def test_a_performance_passes_through_pretty_midi(tmp_path_factory, steps, seed, kit, bpm):
    """As through a file: the same bars and velocities, and offsets to a tick of 480 a beat."""
    performance = _played(3, steps, kit, seed)
    found, playback = from_pretty_midi(to_pretty_midi(performance, bpm=bpm), kit, steps)
    np.testing.assert_array_equal(found.velocities, performance.velocities)
    np.testing.assert_allclose(found.offsets, performance.offsets, atol=1.001 * steps / 1920)
    assert abs(60e6 / playback.bpm - 60e6 / bpm) <= 1
    path = tmp_path_factory.mktemp("loop") / "loop.mid"
    write_midi(path, performance, bpm=bpm)
    _same(found, load_loop(path, kit, steps)[0])
    again, _ = from_pretty_midi(to_pretty_midi(found, bpm=playback.bpm), kit, steps)
    _same(again, found)


def test_anybodys_pretty_midi_is_read():
    """Two drum instruments beside a piano, 220 ticks a beat, 3/4 for a bar and then 4/4 with a silent bar in it."""
    song = pretty_midi.PrettyMIDI(initial_tempo=90)
    song.time_signature_changes += [pretty_midi.TimeSignature(3, 4, 0), pretty_midi.TimeSignature(4, 4, 2.0)]
    beat = 60 / 90
    piano, first, second = (pretty_midi.Instrument(0, is_drum=drum) for drum in (False, True, True))
    piano.notes.append(pretty_midi.Note(99, 36, 0, 1))
    for drums, velocity, pitch, start in ((first, 50, 36, 3.1), (first, 60, 38, 12), (second, 70, 44, 3.5)):
        drums.notes.append(pretty_midi.Note(velocity, pitch, start * beat, (start + 0.1) * beat))
    song.instruments += [piano, first, second]
    found, playback = from_pretty_midi(song)
    assert playback == Playback(90)
    assert found.kit == GM12
    assert found.bars.shape == (3, 16, 12)
    assert [tuple(place) for place in np.argwhere(found.bars).tolist()] == [(0, 0, 0), (0, 2, 2), (2, 4, 1)]
    assert found.velocities[found.bars].tolist() == [50, 70, 60]
    np.testing.assert_allclose(found.offsets[found.bars], [0.4, 0, 0], atol=1e-6)
    song.instruments = [piano]
    with pytest.raises(NoBars, match="no drums"):
        from_pretty_midi(song)


# -- pypianoroll ---------------------------------------------------------------------------------


def test_what_is_early_at_the_end_of_a_loop_belongs_to_its_beginning():
    """A snare 20 of 480 ticks before the end of a bar, as a pretty_midi and as a pianoroll of 24 ticks a beat."""
    song = pretty_midi.PrettyMIDI(resolution=480, initial_tempo=120)
    drums = pretty_midi.Instrument(0, is_drum=True)
    drums.notes = [pretty_midi.Note(90, pitch, start, start + 0.01) for pitch, start in ((36, 0), (38, 2 - 20 / 960))]
    song.instruments.append(drums)
    found, _ = rhythmgan.from_pretty_midi(song)
    assert np.argwhere(found.bars).tolist() == [[0, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(found.offsets[found.bars], [0, -1 / 6], atol=1e-6)
    roll = np.zeros((96, 128), np.uint8)
    roll[0, 36] = roll[95, 38] = 90
    track = pypianoroll.StandardTrack(is_drum=True, pianoroll=roll)
    song = pypianoroll.Multitrack(resolution=24, downbeat=np.arange(96) == 0, tracks=[track])
    found, _ = rhythmgan.from_pypianoroll(song)
    assert np.argwhere(found.bars).tolist() == [[0, 0, 0], [0, 0, 1]]


def test_multitrack_by_hand():
    bar = np.zeros((16, 9), bool)
    bar[0, [0, 8]] = bar[3, 2] = bar[15, 1] = True
    song = to_pypianoroll(bar, bpm=93.5)
    assert isinstance(song, pypianoroll.Multitrack)
    song.validate()
    assert song.resolution == 24
    (track,) = song.tracks
    assert (track.name, track.is_drum) == ("Drums", True)
    assert track.pianoroll.shape == (96, 128)
    assert _cells(song) == [(0, 36, 112), (0, 49, 112), (18, 42, 76), (90, 38, 76)]
    assert np.ravel(song.tempo).tolist() == [93.5] * 96
    assert np.flatnonzero(song.downbeat).tolist() == [0]
    assert song.get_length() == 91


def _cells(song):
    (track,) = song.tracks
    tick, pitch = np.nonzero(track.pianoroll)
    return list(zip(tick.tolist(), pitch.tolist(), track.pianoroll[tick, pitch].tolist(), strict=True))


def test_a_played_multitrack_by_hand():
    """Six ticks a step: a third late is two of them, half a step late would be the next step; a swing of .6 is 1.2."""
    bar = np.zeros((16, 9), bool)
    bar[[4, 8, 12], 0] = True
    offsets = np.zeros((16, 9))
    offsets[[4, 8, 12], 0] = 1 / 3, 0.5, -0.5
    assert _cells(to_pypianoroll(Performance.of(bar, GM9, np.array(17), offsets))) == [
        (26, 36, 17),
        (50, 36, 17),
        (69, 36, 17),
    ]
    bar[:] = False
    bar[5, 0] = True
    assert _cells(to_pypianoroll(bar, swing=0.6)) == [(31, 36, 76)]


def test_onsets_that_a_pianoroll_would_join_are_put_on_the_grid():
    """A kick two ticks late and the next one three early lie side by side; the snares do not."""
    bar = np.zeros((16, 9), bool)
    bar[[0, 1, 2], 0] = bar[[0, 1], 1] = True
    offsets = np.zeros((16, 9))
    offsets[:3, 0], offsets[:2, 1] = (0.34, -0.5, 0.34), (0.34, -0.17)
    cells = _cells(to_pypianoroll(Performance.of(bar, GM9, np.array(17), offsets)))
    assert cells == [(0, 36, 17), (2, 38, 17), (5, 38, 17), (6, 36, 17), (14, 36, 17)]


@every_kit
@every_grid
@pytest.mark.parametrize("n", [1, 3])
def test_what_pypianoroll_saves_is_read(tmp_path, kit, steps, n):
    bars = _bars(n, steps, kit)
    path = tmp_path / "loop.npz"
    to_pypianoroll(bars, kit).save(str(path))
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
    song = to_pypianoroll(bars)
    song.save(str(path))
    again = pypianoroll.load(str(path))
    np.testing.assert_array_equal(again.tracks[0].pianoroll, song.tracks[0].pianoroll)
    assert (again.tracks[0].pianoroll > 0).sum() == bars.sum()
    assert np.flatnonzero(again.downbeat).tolist() == [0, 96]
    _same(from_pypianoroll(again, GM9, steps)[0], Performance.of(bars))


@every_grid
@given(seed=st.integers(0, 10**6), kit=st.sampled_from(list(KITS.values())), density=st.sampled_from([0.1, 0.5, 1]))
def test_a_performance_passes_through_pypianoroll(tmp_path_factory, steps, seed, kit, density):
    """The same bars and velocities; offsets to a tick of 24 a beat, or 0 where two would have come too near."""
    performance = _played(3, steps, kit, seed, density)
    song = to_pypianoroll(performance, bpm=87.5)
    found, playback = from_pypianoroll(song, kit, steps)
    assert playback == Playback(87.5)
    np.testing.assert_array_equal(found.velocities, performance.velocities)
    moved = np.abs(found.offsets - performance.offsets) > 1.001 * steps / 96
    assert not found.offsets[moved].any()
    if density == 0.1 and steps == 16:
        assert moved.sum() < 0.2 * performance.bars.sum()
    path = tmp_path_factory.mktemp("lpd") / "loop.npz"
    song.save(str(path))
    _same(onsets_to_performance(read_lpd(path), kit, steps)[0], found)


def test_anybodys_multitrack_is_read():
    """Held drums without velocities, four ticks a beat, a bar of 3/4 before the bars of 4/4, and a piano."""
    roll = np.zeros((60, 128), bool)
    roll[12:15, 36] = roll[18, 42] = roll[20:22, 42] = True
    drums = pypianoroll.BinaryTrack(name="x", is_drum=True, pianoroll=roll)
    piano = pypianoroll.BinaryTrack(name="y", is_drum=False, pianoroll=np.ones((60, 128), bool))
    downbeat = np.isin(np.arange(60), [0, 12, 28, 44])
    song = pypianoroll.Multitrack(resolution=4, downbeat=downbeat, tracks=[piano, drums])
    found, playback = from_pypianoroll(song)
    assert playback == Playback(120)
    assert found.kit == GM12
    assert found.bars.shape == (1, 16, 12)
    assert [tuple(place) for place in np.argwhere(found.bars).tolist()] == [(0, 0, 0), (0, 6, 2), (0, 8, 2)]
    assert found.velocities[found.bars].tolist() == [64, 64, 64]
    song = pypianoroll.Multitrack(resolution=4, tempo=np.full(60, 77.0), tracks=[drums])
    found, playback = from_pypianoroll(song)
    assert playback == Playback(77)
    assert found.bars.shape == (2, 16, 12)  # without downbeats all is 4/4
    for tracks in ([], [piano]):
        with pytest.raises(NoBars, match="no drums"):
            from_pypianoroll(pypianoroll.Multitrack(resolution=4, tracks=tracks))


def test_prepare_reads_saved_multitracks(tmp_path):
    bars = _bars(4, 16, JAKI5)
    bars[2] = False
    to_pypianoroll(bars, JAKI5).save(str(tmp_path / "loop.npz"))
    corpus, (count,) = read_songs([tmp_path], JAKI5, 16, workers=1)
    assert corpus.bar_index.tolist() == [0, 1, 3]
    assert count.n_onsets == bars.sum()


def test_silence():
    song = to_pypianoroll(np.zeros((2, 16, 9), bool))
    assert song.tracks[0].pianoroll.shape == (192, 128)
    assert not song.tracks[0].pianoroll.any()
    assert not [note for track in to_pretty_midi(np.zeros((2, 16, 9), bool)).instruments for note in track.notes]
