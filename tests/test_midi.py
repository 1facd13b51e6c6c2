"""MIDI out and in."""

import importlib.metadata
import io
import struct

import mido
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan import midi_reader
from rhythmgan.bars import GRIDS
from rhythmgan.grid import NoBars, TimeSignature, quantise
from rhythmgan.kit import GM9, JAKI5, KITS
from rhythmgan.midi import midi_bytes, midi_files, write_midi, write_midi_files
from rhythmgan.midi_reader import parse_midi, read_midi
from rhythmgan.performance import Performance, Playback, accents, onsets_to_performance

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)


def _bars(n, steps, kit=GM9, seed=0, density=0.2):
    return np.random.default_rng([n, steps, kit.n_parts, seed]).random((n, steps, kit.n_parts)) < density


def _midi(bars, kit=GM9, velocities=None, offsets=None, **playback):
    return midi_bytes(Performance.of(bars, kit, velocities, offsets), Playback(**playback))


def _hit(tick, pitch, velocity=90, channel=9, length=10):
    """A note's two events, for ``save_midi``."""
    return [
        (tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)),
        (tick + length, mido.Message("note_off", note=pitch, velocity=0, channel=channel)),
    ]


def _metre(tick, numerator, denominator):
    return (tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator))


def _tempo(tick, bpm):
    return (tick, mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm)))


def _name(name):
    return (0, mido.MetaMessage("track_name", name=name))


def _found(path):
    """(beat, pitch, velocity) of what is read."""
    onsets = read_midi(path)
    return list(zip(onsets.beat.tolist(), onsets.pitch.tolist(), onsets.velocity.tolist(), strict=True))


def _reason(path):
    with pytest.raises(NoBars) as why:
        read_midi(path)
    return why.value.reason, why.value.detail


def _hits_or_reason(path):
    try:
        return read_midi(path), None
    except NoBars as why:
        return None, why.reason


# -- out -----------------------------------------------------------------------------------------


def _walk(data):
    """The only track of a file, as (absolute tick, message)."""
    song = mido.MidiFile(file=io.BytesIO(data))
    (track,) = song.tracks
    ticks = np.cumsum([message.time for message in track]).tolist()
    return song, list(zip(ticks, track, strict=True))


def _last_cell(n, steps):
    bars = np.zeros((n, steps, 9), bool)
    bars[-1, -1, :2] = True
    return bars


@every_grid
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("kind", ["empty", "some", "full", "last"])
def test_the_track_ends_on_the_last_bar_line(steps, n, kind):
    bars = {
        "empty": np.zeros((n, steps, 9), bool),
        "some": _bars(n, steps),
        "full": np.ones((n, steps, 9), bool),
        "last": _last_cell(n, steps),
    }[kind]
    song, events = _walk(_midi(bars))
    end, last = events[-1]
    assert last.type == "end_of_track"
    assert end == n * 4 * song.ticks_per_beat
    assert sum(message.type == "end_of_track" for _, message in events) == 1
    assert song.length == pytest.approx(n * 2.0)  # 120 bpm
    ons = [(tick, message.note) for tick, message in events if message.type == "note_on" and message.velocity]
    bar, step, part = np.nonzero(bars)
    expected = zip((bar * steps + step) * 4 * song.ticks_per_beat // steps, GM9.pitches[part].tolist(), strict=True)
    assert sorted(ons) == sorted(expected)


@pytest.mark.parametrize("n", [9, 35, 1093])
def test_long_silence_at_the_end(n):
    """Times of two, three and four bytes."""
    bars = np.zeros((n, 16, 9), bool)
    _, events = _walk(_midi(bars))
    assert events[-1][0] == n * 1920
    bars[0, 0, 0] = True
    _, events = _walk(_midi(bars))
    assert events[-1][0] == n * 1920


def test_events_by_hand():
    bar = np.zeros((16, 9), bool)
    bar[0, [0, 2]] = bar[3, 8] = bar[4, 1] = True
    song, events = _walk(_midi(bar, bpm=96))
    assert song.ticks_per_beat == 480
    meta = {message.type: message for _, message in events if message.is_meta}
    assert meta["set_tempo"].tempo == 625_000
    assert (meta["time_signature"].numerator, meta["time_signature"].denominator) == (4, 4)
    assert meta["track_name"].name == "Drums"
    notes = [(tick, message) for tick, message in events if message.type in ("note_on", "note_off")]
    assert {message.channel for _, message in notes} == {9}
    ons = {(tick, m.note, m.velocity) for tick, m in notes if m.type == "note_on" and m.velocity}
    offs = {(tick, m.note) for tick, m in notes if m.type == "note_off" or not m.velocity}
    assert ons == {(0, 36, 112), (0, 42, 112), (360, 49, 76), (480, 38, 100)}
    assert offs == {(60, 36), (60, 42), (420, 49), (540, 38)}
    assert len(notes) == 8


@every_kit
@every_grid
@pytest.mark.parametrize("n", [1, 3])
def test_pretty_midi_reads_what_was_written(tmp_path, kit, steps, n):
    bars = _bars(n, steps, kit)
    path = tmp_path / "loop.mid"
    write_midi(path, bars, kit, bpm=100)
    song = pretty_midi.PrettyMIDI(str(path))
    times, tempi = song.get_tempo_changes()
    assert (times.tolist(), tempi.tolist()) == ([0], [pytest.approx(100)])
    assert [(m.time, m.numerator, m.denominator) for m in song.time_signature_changes] == [(0, 4, 4)]
    (drums,) = song.instruments
    assert drums.is_drum
    bar, step, part = np.nonzero(bars)
    step_seconds = 4 * 0.6 / steps
    expected = sorted(zip((bar * steps + step) * step_seconds, kit.pitches[part].tolist(), strict=True))
    notes = sorted((note.start, note.pitch, note.end, note.velocity) for note in drums.notes)
    assert [pitch for _, pitch, _, _ in notes] == [pitch for _, pitch in expected]
    np.testing.assert_allclose([start for start, *_ in notes], [start for start, _ in expected], atol=1e-6)
    np.testing.assert_allclose([end - start for start, _, end, _ in notes], step_seconds / 2, atol=1e-6)
    levels = accents(steps)[np.round(np.array([start for start, *_ in notes]) / step_seconds).astype(int) % steps]
    assert [velocity for *_, velocity in notes] == levels.tolist()
    assert song.tick_to_time(n * 1920) == pytest.approx(n * 2.4)


@pytest.mark.parametrize("bpm", [4, 59.5, 120, 174.3, 1000])
def test_tempo(bpm):
    _, events = _walk(_midi(_bars(1, 16), bpm=bpm))
    (tempo,) = [message.tempo for _, message in events if message.type == "set_tempo"]
    assert abs(tempo - 60e6 / bpm) <= 1


@every_kit
@every_grid
def test_written_bars_are_read_back(tmp_path, kit, steps):
    bars = _bars(6, steps, kit, density=0.1)
    bars[2] = False
    path = tmp_path / "loop.mid"
    write_midi(path, bars, kit, bpm=77.7)
    onsets = read_midi(path)
    assert onsets.time_signatures == (TimeSignature(0, 4, 4),)
    found = quantise(onsets, kit, steps)
    assert found.index.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(found.bars, bars[[0, 1, 3, 4, 5]])
    np.testing.assert_array_equal(found.velocities, found.bars * accents(steps)[:, None])
    assert (found.n_empty, found.n_other_time_signature, found.n_outside_kit) == (1, 0, 0)


@pytest.mark.parametrize(
    ("steps", "swing", "cells", "ticks"),
    [
        (16, 0.5, [0, 1, 6, 15], [0, 120, 720, 1800]),
        (16, 2 / 3, [0, 1, 6, 15], [0, 160, 720, 1840]),  # a third of a beat, as a triplet's
        (16, 0.56, [3, 9], [374, 1094]),  # .56 · 240 = 134.4
        (16, 0.7, [1, 2, 15], [168, 240, 1848]),
        (32, 0.6, [1, 2, 3, 4, 31], [72, 144, 192, 240, 1872]),
        (32, 0.55, [1, 3], [66, 186]),
    ],
)
def test_swung_ticks_by_hand(steps, swing, cells, ticks):
    bar = np.zeros((steps, 9), bool)
    bar[cells, 2] = True
    _, events = _walk(_midi(np.stack([bar, bar]), swing=swing))
    ons = [tick for tick, message in events if message.type == "note_on" and message.velocity]
    offs = [tick for tick, m in events if m.type == "note_off" or (m.type == "note_on" and not m.velocity)]
    assert ons == [*ticks, *(1920 + tick for tick in ticks)]
    assert offs == [tick + 960 // steps for tick in ons]
    assert events[-1][0] == 2 * 1920


@every_kit
@given(swing=st.floats(0.5, 0.7), n=st.integers(1, 4), seed=st.integers(0, 1000))
def test_swung_bars_are_read_back(tmp_path_factory, kit, swing, n, seed):
    """On 16 steps up to the most swing there is, on 32 as long as no step is nearer to the next one."""
    folder = tmp_path_factory.mktemp("swing")
    for steps, most in ((16, 0.7), (32, 0.62)):
        bars = _bars(n, steps, kit, seed, density=0.3)
        write_midi(folder / "one.mid", bars, kit, swing=min(swing, most))
        write_midi_files(folder, ["many.mid"], bars[None], kit, swing=min(swing, most))
        assert (folder / "one.mid").read_bytes() == (folder / "many.mid").read_bytes()
        found = quantise(read_midi(folder / "one.mid"), kit, steps)
        np.testing.assert_array_equal(found.bars, bars[found.index])
        assert found.bars.sum() == bars.sum()


@pytest.mark.parametrize(
    ("steps", "swing", "says"),
    [
        (16, 0.49, r"swing lies between 0\.5 \(straight\) and 0\.7, not at 0\.49"),
        (16, 0.701, "swing lies between"),
        (32, float("nan"), "swing lies between"),
        (12, 0.6, "12 steps has no sixteenths to swing"),
        (24, 0.6, "24 steps"),
        (48, 0.6, "48 steps"),
    ],
)
def test_swing_that_cannot_be(tmp_path, steps, swing, says):
    bars = _bars(1, steps)
    with pytest.raises(ValueError, match=says):
        _midi(bars, swing=swing)
    with pytest.raises(ValueError, match=says):
        write_midi_files(tmp_path, ["a.mid"], bars, swing=swing)
    assert not list(tmp_path.iterdir())
    assert _midi(bars, swing=0.5) == _midi(bars)


def test_velocities_of_every_shape():
    bars = np.zeros((2, 16, 9), bool)
    bars[0, 0, 0] = bars[1, 4, 1] = bars[1, 4, 2] = True

    def levels(velocities):
        _, events = _walk(_midi(bars, velocities=velocities))
        return {
            message.note: message.velocity for _, message in events if message.type == "note_on" and message.velocity
        }

    full = np.arange(2 * 16 * 9).reshape(2, 16, 9) % 127 + 1
    assert levels(full) == {36: 1, 38: full[1, 4, 1], 42: full[1, 4, 2]}
    assert levels(np.arange(9) + 50) == {36: 50, 38: 51, 42: 52}
    assert levels((np.arange(16) + 100)[:, None]) == {36: 100, 38: 104, 42: 104}
    assert levels(np.array(1)) == {36: 1, 38: 1, 42: 1}
    # cells that do not sound may hold anything
    assert levels(np.where(bars, 127, 0)) == {36: 127, 38: 127, 42: 127}


@pytest.mark.parametrize("velocity", [0, -1, 128, 255, float("nan")])
def test_velocities_out_of_range(velocity):
    with pytest.raises(ValueError, match="velocities lie in 1 … 127"):
        _midi(np.ones((16, 9), bool), velocities=np.array(velocity))


@pytest.mark.parametrize("bpm", [3.9, 0, -120, 1001, float("nan"), float("inf")])
def test_tempo_out_of_range(bpm):
    with pytest.raises(ValueError, match="between 4 and 1000"):
        _midi(np.ones((16, 9), bool), bpm=bpm)


@pytest.mark.parametrize("shape", [(9,), (16, 8), (0, 16, 9), (2, 2, 16, 9), (2, 15, 9)])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"expected|a bar may have"):
        _midi(np.zeros(shape, bool))


def test_played_notes_by_hand():
    """A late kick, a snare that is early by half a step, and one that would begin before the loop."""
    bar = np.zeros((16, 9), bool)
    bar[0, [0, 1]] = bar[4, 0] = bar[15, 1] = True
    offsets = np.zeros((16, 9))
    offsets[0, 0], offsets[0, 1], offsets[4, 0], offsets[15, 1] = 0.3, -0.3, -0.5, 0.5
    _, events = _walk(_midi(bar, velocities=np.array(50), offsets=offsets))
    ons = [(tick, m.note) for tick, m in events if m.type == "note_on" and m.velocity]
    offs = [(tick, m.note) for tick, m in events if m.type == "note_off" or (m.type == "note_on" and not m.velocity)]
    assert ons == [(0, 38), (36, 36), (420, 36), (1859, 38)]  # 1860 would be the next bar's one
    assert offs == [(60, 38), (96, 36), (480, 36), (1919, 38)]
    assert events[-1][0] == 1920


def test_a_note_ends_where_its_part_sounds_again_and_where_the_loop_ends():
    bars = np.zeros((1, 16, 9), bool)
    bars[0, [7, 8, 15], 0] = bars[0, 8, 1] = True
    offsets = np.where(np.arange(16) == 8, -0.4, 0.4)[:, None]
    _, events = _walk(_midi(bars, offsets=offsets, swing=0.7))
    notes = [(tick, m.note, m.type == "note_on" and m.velocity > 0) for tick, m in events if m.type.startswith("note")]
    # steps 7 and 15 lie at 888 and 1848 ticks, and 28.8 ticks later; step 8 at 960, and 28.8 ticks earlier
    assert notes == [
        (917, 36, True),
        (931, 36, False),
        (931, 36, True),
        (931, 38, True),
        (991, 36, False),
        (991, 38, False),
        (1877, 36, True),
        (1920, 36, False),
    ]
    assert events[-1][0] == 1920


@every_grid
@given(seed=st.integers(0, 10**6), bpm=st.floats(4, 1000), density=st.sampled_from([0.02, 0.3, 1]))
def test_a_performance_passes_from_file_to_file(tmp_path_factory, steps, seed, bpm, density):
    """Velocities as they are, offsets to a tick, but what began before the loop; then nothing changes any more."""
    folder = tmp_path_factory.mktemp("played")
    random = np.random.default_rng(seed)
    bars = random.random((3, steps, 9)) < density
    bars[0, 1, 0] = bars[2, 0, 0] = True
    performance = Performance.of(bars, GM9, random.integers(1, 128, bars.shape), random.uniform(-0.5, 0.5, bars.shape))
    write_midi(folder / "a.mid", performance, bpm=bpm)
    read, playback = onsets_to_performance(read_midi(folder / "a.mid"), GM9, steps)
    assert abs(60e6 / playback.bpm - 60e6 / bpm) <= 1
    np.testing.assert_array_equal(read.velocities, performance.velocities)
    expected = performance.offsets.copy()
    expected[0, 0] = np.maximum(expected[0, 0], 0)
    np.testing.assert_allclose(read.offsets, expected, atol=1.001 * steps / 1920)
    write_midi(folder / "b.mid", read, bpm=playback.bpm)
    assert (folder / "b.mid").read_bytes() == (folder / "a.mid").read_bytes()


@every_kit
@given(seed=st.integers(0, 10**6), swing=st.floats(0.5, 0.7))
def test_files_of_performances_are_those_of_each(tmp_path_factory, kit, seed, swing):
    folder = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(seed)
    bars = random.random((4, 2, 16, kit.n_parts)) < 0.2
    bars[2] = False
    levels, late = random.integers(1, 128, bars.shape), random.uniform(-0.5, 0.5, bars.shape)
    performances, playback = Performance.of(bars, kit, levels, late), Playback(97, swing)
    files = list(midi_files(performances, playback))
    assert files == [midi_bytes(performances[i], playback) for i in range(4)]
    write_midi_files(folder, ["a.mid", "b.mid", "c.mid", "d.mid"], performances, bpm=97, swing=swing)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == files
    for data in files:
        _, events = _walk(data)
        assert events[-1][0] == 2 * 1920
        assert [message.type for _, message in events].count("end_of_track") == 1


def test_one_loop_and_several_differ():
    loop = Performance.of(_bars(2, 16))
    with pytest.raises(ValueError, match="or a loop"):
        midi_bytes(loop.apart())
    with pytest.raises(ValueError, match=r"expected loops \(loops, n, steps, parts\); got \(2, 16, 9\)"):
        list(midi_files(loop))


def test_a_file_for_each_bar(tmp_path):
    bars = _bars(3, 12, JAKI5)
    write_midi_files(tmp_path, ["a.mid", "b.mid", "c.mid"], bars, JAKI5, bpm=90)
    for name, bar in zip("abc", bars, strict=True):
        assert (tmp_path / f"{name}.mid").read_bytes() == _midi(bar, JAKI5, bpm=90)
    loops = _bars(4, 16).reshape(2, 2, 16, 9)
    write_midi_files(tmp_path, ["x.mid", "y.mid"], loops)
    assert (tmp_path / "x.mid").read_bytes() == _midi(loops[0])
    assert (tmp_path / "y.mid").read_bytes() == _midi(loops[1])
    with pytest.raises(ValueError, match="one for each name"):
        write_midi_files(tmp_path, ["one.mid", "two.mid", "three.mid"], loops)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid", "b.mid", "c.mid", "x.mid", "y.mid"]


def test_silent_bars_among_the_files(tmp_path):
    bars = np.zeros((4, 16, 9), bool)
    bars[1, 3, 2] = bars[3, 15, 8] = True
    names = [f"{i}.mid" for i in range(4)]
    write_midi_files(tmp_path, names, bars)
    ends = [_walk((tmp_path / name).read_bytes())[1][-1][0] for name in names]
    assert ends == [1920] * 4
    assert [(tmp_path / name).read_bytes() == _midi(bar) for name, bar in zip(names, bars, strict=True)] == [True] * 4


# -- in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [24, 96, 480, 1000, 15360])
def test_any_resolution(save_midi, resolution):
    beats = [(0, 36), (1, 38), (1.5, 42), (6.25, 46)]
    track = [event for beat, pitch in beats for event in _hit(round(beat * resolution), pitch, length=1)]
    path = save_midi("song.mid", track, ticks_per_beat=resolution)
    assert _found(path) == [(beat, pitch, 90) for beat, pitch in beats]


def test_only_channel_ten_where_there_is_one(save_midi):
    path = save_midi(
        "song.mid",
        [_name("Drums"), *_hit(0, 40, channel=0)],
        [_name("Beat"), *_hit(480, 36, 33), *_hit(240, 37, 44, channel=10), *_hit(240, 38, 55, channel=8)],
        [*_hit(120, 42, 66)],
    )
    assert _found(path) == [(0.25, 42, 66), (1, 36, 33)]


@pytest.mark.parametrize("name", ["Drums", "DRUM KIT 2", "drums_01", "My Percussion", "Batterie", "Schlagzeug", "kit"])
def test_a_track_named_like_drums(save_midi, name):
    path = save_midi(
        "song.mid",
        [_name(name), *_hit(0, 36, channel=2), *_hit(480, 38, channel=2)],
        [_name("Piano"), *_hit(0, 60, channel=3)],
    )
    assert _found(path) == [(0, 36, 90), (1, 38, 90)]


@pytest.mark.parametrize("name", ["Piano", "Kitty", "Drumstick", "Conundrum", ""])
def test_a_track_that_is_not(save_midi, name):
    path = save_midi("song.mid", [_name(name), *_hit(0, 36, channel=2), *_hit(480, 38, channel=2)])
    assert _reason(path) == ("no drums", "nothing on channel 10, no track or file named like drums")


@pytest.mark.parametrize(
    ("file_name", "pitch"),
    [
        ("Kick_01.mid", 36),
        ("Hi_Hat_01.mid", 42),
        ("Open Hat.mid", 46),
        ("deep/Floor Tom.mid", 43),
        ("snare.MID", 38),
        ("CrashCymbal.midi", 49),
        ("tambourine 3.mid", 70),  # as the shaker goes out
    ],
)
def test_single_part_files_are_named_after_their_part(save_midi, file_name, pitch):
    track = [event for tick in (0, 480, 720) for event in _hit(tick, 60, 70, channel=0)]
    assert _found(save_midi(file_name, track)) == [(0, pitch, 70), (1, pitch, 70), (1.5, pitch, 70)]
    # one pitch over all tracks, drum channel or not
    path = save_midi(file_name, _hit(0, 60, channel=0), _hit(480, 60, channel=9), _hit(960, 60, channel=3))
    assert _found(path) == [(0, pitch, 90), (1, pitch, 90), (2, pitch, 90)]


def test_a_file_name_says_nothing_of_several_pitches(save_midi):
    drums = [*_hit(0, 60), *_hit(480, 61)]
    assert _found(save_midi("Kick_01.mid", drums)) == [(0, 60, 90), (1, 61, 90)]
    assert _found(save_midi("Kick_03.mid", _hit(0, 60), _hit(480, 61))) == [(0, 60, 90), (1, 61, 90)]
    assert _reason(save_midi("Kick_02.mid", [*_hit(0, 60, channel=0), *_hit(480, 61, channel=0)]))[0] == "no drums"
    assert _found(save_midi("song.mid", _hit(0, 60))) == [(0, 60, 90)]


def test_tempo_changes_do_not_matter(save_midi):
    notes = [event for tick in (0, 480, 1800, 1921, 5000) for event in _hit(tick, 36)]
    plain = save_midi("plain.mid", notes)
    rubato = save_midi("rubato.mid", [_tempo(0, 60), _tempo(470, 200), _tempo(1900, 33.3), _tempo(4000, 90), *notes])
    assert _found(rubato) == _found(plain)
    assert _found(plain)[2] == (3.75, 36, 90)


def test_the_first_tempo_is_read(save_midi):
    note = _hit(0, 36)
    assert read_midi(save_midi("none.mid", note)).bpm == 120
    assert read_midi(save_midi("one.mid", [_tempo(0, 75), *note])).bpm == 75
    # wherever it stands, in whatever track; of two at one place the last
    late = save_midi("late.mid", [_tempo(960, 150), *note], [_tempo(480, 100), _tempo(480, 200), _tempo(700, 50)])
    assert read_midi(late).bpm == 200
    assert (
        read_midi(save_midi("zero.mid", [_tempo(480, 80), (0, mido.MetaMessage("set_tempo", tempo=0)), *note])).bpm
        == 80
    )


def test_the_first_tempo_of_a_broken_file_is_read(tmp_path):
    path = tmp_path / "song.mid"
    # 400,000 and then 500,000 microseconds, a kick, and a status that is none
    path.write_bytes(_broken(b"\x00\xff\x51\x03\x06\x1a\x80\x60\xff\x51\x03\x07\xa1\x20\x00\x99\x24\x5a\x60\xf9"))
    assert read_midi(path).bpm == 150
    # a tempo of another length is none
    path.write_bytes(_broken(b"\x00\xff\x51\x02\x06\x1a\x60\xff\x51\x03\x07\xa1\x20\x00\x99\x24\x5a\x60\xf9"))
    assert read_midi(path).bpm == 120


@pytest.mark.parametrize("bpm", [4, 59.5, 97, 174.3, 1000])
def test_a_tempo_survives_the_way_through_a_file(tmp_path, bpm):
    """To the microsecond a beat that MIDI holds, and from then on exactly."""
    write_midi(tmp_path / "a.mid", _bars(1, 16), bpm=bpm)
    once = read_midi(tmp_path / "a.mid").bpm
    assert abs(60e6 / once - 60e6 / bpm) <= 1
    write_midi(tmp_path / "b.mid", _bars(1, 16), bpm=once)
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_metres_are_read(save_midi):
    notes = [*_hit(0, 36), *_hit(8 * 480, 38), *_hit(14 * 480, 42)]
    # bars begin anew where a time signature is repeated; of several at one place the last holds
    signatures = [
        _metre(0, 4, 4),
        _metre(4 * 480, 4, 4),
        _metre(8 * 480, 6, 8),
        _metre(8 * 480, 3, 4),
        _metre(14 * 480, 2, 2),
    ]
    path = save_midi("song.mid", signatures, notes)
    onsets = read_midi(path)
    assert onsets.time_signatures == (
        TimeSignature(0, 4, 4),
        TimeSignature(4, 4, 4),
        TimeSignature(8, 3, 4),
        TimeSignature(14, 2, 2),
    )
    found = quantise(onsets, GM9)
    assert found.index.tolist() == [0, 4]
    assert [bar.nonzero()[1].tolist() for bar in found.bars] == [[0], [2]]
    assert found.n_other_time_signature == 1


def _signatures(path):
    return [(each.beat, each.numerator, each.denominator) for each in read_midi(path).time_signatures]


def test_the_first_tracks_metre_counts(save_midi):
    tracks = [_metre(0, 4, 4)], [_metre(0, 3, 4), _metre(1920, 6, 8)], [_metre(1920, 5, 4), *_hit(0, 36)]
    assert _signatures(save_midi("song.mid", *tracks)) == [(0, 4, 4), (4, 6, 8)]
    assert _signatures(save_midi("turned.mid", *reversed(tracks))) == [(0, 3, 4), (4, 5, 4)]


@pytest.mark.parametrize("power", [8, 9, 31, 32, 33, 64, 255])
def test_denominators_that_cannot_be_are_skipped(save_midi, power):
    path = save_midi("song.mid", [_metre(0, 3, 4), _metre(1440, 99, 64), *_hit(0, 36)])
    data = path.read_bytes()
    assert _signatures(path) == [(0, 3, 4), (3, 99, 64)]
    path.write_bytes(data.replace(b"\xff\x58\x04\x63\x06", bytes([0xFF, 0x58, 4, 99, power])))
    assert _signatures(path) == [(0, 3, 4)]
    path.write_bytes(data.replace(b"\xff\x58\x04\x63\x06", b"\xff\x58\x04\x63\x07"))
    assert _signatures(path) == [(0, 3, 4), (3, 99, 128)]
    path.write_bytes(data.replace(b"\xff\x58\x04\x63\x06", b"\xff\x58\x04\x00\x02"))  # no beats
    assert _signatures(path) == [(0, 3, 4)]


def test_the_sequences_of_format_two_follow_one_another(save_midi):
    """Of 3.5 beats, of nine beats in 3/4 after one bar of 4/4, and one that begins with 4/4 again."""
    path = save_midi(
        "song.mid",
        [*_hit(0, 36), *_hit(1440, 38, length=240), _tempo(0, 75)],
        [_hit(480, 40)[0], _metre(1920, 3, 4), *_hit(1920 + 2700, 41, length=180), _tempo(0, 80)],
        [*_hit(240, 42)],
    )
    data = bytearray(path.read_bytes())
    data[9] = 2
    path.write_bytes(data)
    onsets = read_midi(path)
    assert _signatures(path) == [(0, 4, 4), (4, 4, 4), (8, 3, 4), (14, 4, 4)]
    assert onsets.beat.tolist() == [0, 3, 5, 4 + 4 + 5.625, 14.5]
    assert onsets.pitch.tolist() == [36, 38, 40, 41, 42]
    assert onsets.bpm == 75


def test_a_sequence_that_rings_a_little_over_its_end(save_midi):
    path = save_midi("song.mid", _hit(1800, 36, length=150), _hit(0, 38))
    data = bytearray(path.read_bytes())
    data[9] = 2
    path.write_bytes(data)
    assert read_midi(path).beat.tolist() == [3.75, 4]


def test_the_written_end_is_that_of_the_longest_track(save_midi):
    end = (2400, mido.MetaMessage("end_of_track"))
    assert read_midi(save_midi("song.mid", [*_hit(0, 36), end], _hit(480, 38))).n_beats == 5
    assert read_midi(save_midi("song.mid", _hit(470, 38))).n_beats == 1


def test_the_bytes_of_a_file_are_read_as_the_file_is(save_midi):
    path = save_midi("Kick_01.mid", _hit(0, 60, channel=0))
    for name in ("Kick_01.mid", "Kick_01", "Kick_01.MIDI"):
        assert parse_midi(path.read_bytes(), name).pitch.tolist() == [36]
    with pytest.raises(NoBars, match="no drums"):
        parse_midi(path.read_bytes(), "song.mid")
    assert parse_midi(save_midi("drums.mid", _hit(0, 36)).read_bytes(), "").pitch.tolist() == [36]


def test_four_four_before_the_first_metre(save_midi):
    path = save_midi("song.mid", [_metre(8 * 480, 3, 4), *_hit(0, 36), *_hit(8 * 480, 36)])
    assert read_midi(path).time_signatures == (TimeSignature(0, 4, 4), TimeSignature(8, 3, 4))
    assert quantise(read_midi(path), GM9).n_other_time_signature == 1
    assert read_midi(save_midi("none.mid", _hit(0, 36))).time_signatures == (TimeSignature(0, 4, 4),)


def test_just_before_the_bar_line(save_midi):
    path = save_midi("song.mid", [*_hit(0, 38), *_hit(1920 - 59, 36), *_hit(1920 - 61, 42)])
    found = quantise(read_midi(path), GM9)
    assert [(int(found.index[b]), int(s), int(p)) for b, s, p in np.argwhere(found.bars)] == [
        (0, 0, 1),
        (0, 15, 2),
        (1, 0, 0),
    ]


def _with_division(path, division):
    data = bytearray(path.read_bytes())
    data[12:14] = division
    path.write_bytes(data)


@pytest.mark.parametrize("division", [struct.pack(">bB", -25, 40), struct.pack(">bB", -30, 80), b"\0\0"])
def test_film_frames(save_midi, division):
    path = save_midi("song.mid", _hit(0, 36))
    _with_division(path, division)
    assert _reason(path) == ("unreadable", "time in film frames, not beats")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ("empty", "no bytes")),
        (b"Dear diary, this is no MIDI file at all.\n", ("unreadable", "not a MIDI file")),
        (b"M", ("unreadable", "not a MIDI file")),
        (bytes(4000), ("unreadable", "begins with zeros")),
        (b"MThd\0\0\0\6\0\1\0\1\1\xe0", ("empty", "no notes")),
        (
            b"MThd\xff\xff\xff\xff\0\1\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0",
            ("unreadable", "no notes in what is left of it"),
        ),
        (b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", ("empty", "no notes")),
    ],
)
def test_no_song_in_it(tmp_path, content, reason):
    path = tmp_path / "song.mid"
    path.write_bytes(content)
    assert _reason(path) == reason


def test_a_missing_file_is_no_reason(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_midi(tmp_path / "nothing.mid")


def test_too_large(save_midi, monkeypatch):
    path = save_midi("song.mid", _hit(0, 36))
    monkeypatch.setattr(midi_reader, "MAX_BYTES", path.stat().st_size)
    assert len(read_midi(path).beat) == 1
    monkeypatch.setattr(midi_reader, "MAX_BYTES", path.stat().st_size - 1)
    assert _reason(path)[0] == "unreadable"
    with pytest.raises(NoBars, match="larger than 0 MiB"):  # bytes of no file are no more welcome
        parse_midi(path.read_bytes(), "song.mid")


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([*_hit(0, 36)[:1], *_hit(480, 38)[:1]], id="none ends"),
        pytest.param([*_hit(0, 36, length=480), *_hit(240, 36, length=480)], id="overlapping"),
        pytest.param([*_hit(0, 36, length=0), *_hit(480, 38, length=0)], id="without length"),
    ],
)
def test_every_note_on_is_a_hit(save_midi, events):
    ons = [(tick / 480, message.note, 90) for tick, message in events if message.type == "note_on"]
    assert _found(save_midi("song.mid", events)) == ons


def _broken(track):
    return b"MThd\0\0\0\6\0\1\0\1\0\x60" + b"MTrk" + struct.pack(">I", len(track)) + track


def test_a_broken_file_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "song.mid"
    # a kick, a snare 96 ticks on (running status), a hat whose velocity is out of range, then a status that is none
    path.write_bytes(_broken(b"\x00\x99\x24\x5a\x60\x26\x40\x60\x2a\xff\x60\xf9\x00\x24\x5a"))
    assert _found(path) == [(0, 36, 90), (1, 38, 64), (2, 42, 127)]
    # breaks off within the third note, in a chunk that claims a thousand bytes more
    data = bytearray(_broken(b"\x00\x99\x24\x5a\x60\x26\x40\x60\x2a"))
    data[18:22] = struct.pack(">I", 1009)
    path.write_bytes(data)
    assert _found(path) == [(0, 36, 90), (1, 38, 64)]


def test_every_beginning_of_a_file(save_midi):
    track = [event for i in range(12) for event in _hit(i * 97, 36 + i, 60 + i)]
    path = save_midi("song.mid", [_metre(0, 4, 4), _name("Beat"), *track], _hit(5000, 49))
    data = path.read_bytes()
    whole = _found(path)
    counts = []
    for length in range(len(data)):
        path.write_bytes(data[:length])
        reason = _hits_or_reason(path)[1]
        assert reason in (None, "empty", "unreadable", "no drums")
        found = [] if reason else _found(path)
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 13


def test_damaged_files_give_hits_or_a_reason(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "song.mid"
    bars = _bars(2, 16)
    healthy = _midi(bars)

    @settings(max_examples=300)
    @given(st.lists(st.tuples(st.integers(0, len(healthy) - 1), st.binary(max_size=3)), min_size=1, max_size=6))
    def check(damage):
        data = bytearray(healthy)
        for place, change in damage:
            data[place : place + 2] = change
        path.write_bytes(data)
        onsets, reason = _hits_or_reason(path)
        assert reason in (None, "empty", "unreadable", "no drums")
        if onsets is None:
            return
        assert onsets.beat.min() >= 0
        assert (np.diff(onsets.beat) >= 0).all()
        assert onsets.pitch.max() < 128
        assert onsets.velocity.min() >= 1
        assert onsets.time_signatures[0].beat == 0
        found = quantise(onsets, GM9)
        assert (np.diff(found.index) > 0).all()

    check()


# -- real songs ----------------------------------------------------------------------------------


_REFUSES = importlib.metadata.version("symusic") >= "0.6"
"""Releases before take some of these files."""


def test_files_that_symusic_refuses(shared):
    """Measured onsets where there are drums, or why there are none."""
    expected = {
        "153301137aa15a28b87efb0dc5f84876": "unreadable",
        "193697ca2abcef9447924a1d38c370e4": "no drums",
        "1a788a5b1c377497b765f2a883b0d405": 1459,
        "24e3ac892ff5a3a725bcc859df3e86ad": 1654,
        "2ca282ce94040dbc73e05112073ff372": 920,
        "408cc41309896762473442629f574226": 3088,
        "425eaadcd706efbd3e506338de9e44e8": 1952,
        "4435688187410d2f036d34255deaa522": 1133,
        "6b23d62a3693b84d6afafd62d6659d8a": 1512,
        "8e17cd044df47f292584f96e70cd4b13": 249,
        "d488997fb10d2cfc08f0c0659834ed23": 1832,
        "e219b44355651bdbb7eb19a221056960": 2869,
        "e6f0596983429cbd1b693abd655d71b6": 582,
        "f92627301e385f98e4184e190d9717ce": "no drums",
    }
    found = {}
    for path in sorted(shared.glob("lakh/lmd_full/*/*.mid")):
        if path.stem not in expected:
            continue
        if _REFUSES:
            with pytest.raises(Exception):  # noqa: B017, PT011 (symusic raises several kinds)
                symusic.Score.from_midi(path.read_bytes())
        onsets, reason = _hits_or_reason(path)
        found[path.stem] = reason if onsets is None else len(onsets.beat)
    assert found == expected
