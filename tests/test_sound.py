"""What sounds when, and the mix: places counted by hand, sums made apart, and WAV files as others read them."""

import io
import json
import os
import subprocess
import sys
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

import rhythmgan
from rhythmgan import sound
from rhythmgan.bars import GRIDS, words_to_bars
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, GM12, JAKI5, KITS, RYTHMGAN7
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance, Playback
from rhythmgan.sound import (
    NEVER,
    check_length,
    render,
    render_wav,
    sounding,
    stems,
    velocity_to_gain,
    wav_bytes,
    write_wav,
    write_wav_files,
)
from rhythmgan.synth import RATE, SOUNDS, one_shots

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)
every_part = pytest.mark.parametrize(("kit", "part"), [(kit, part) for kit in KITS.values() for part in kit.names])

KICK, SNARE, CLOSED, OPEN, LOW_TOM, MID_TOM, HIGH_TOM, RIDE, CRASH = range(9)


def _bar(*cells, steps=16, n_parts=9):
    bar = np.zeros((steps, n_parts), bool)
    for step, part in cells:
        bar[step, part] = True
    return bar


def _render(bars, kit=None, *, velocities=None, offsets=None, loop=True, **playback):
    return render(Performance.of(bars, kit, velocities, offsets), Playback(**playback), loop)


def _shot(kit, part):
    """A part's one-shot, as doubles."""
    return one_shots(kit)[kit.names.index(part) if isinstance(part, str) else part].astype(float)


# -- where onsets fall -----------------------------------------------------------------------------


def _onsets(audio):
    """Seconds at which the sound begins after silence."""
    heard = np.flatnonzero(np.abs(audio).max(1) > 2e-3)
    return heard[np.append(True, np.diff(heard) > 2000)] / RATE


# closed hats of .22 s leave silence between sixteenths of .25 s: 60 beats a minute
_HATS = (0, 1, 3, 6, 11, 12, 15)


@pytest.mark.parametrize(
    ("steps", "swing", "cells", "seconds"),
    [
        (16, 0.5, _HATS, (0, 0.25, 0.75, 1.5, 2.75, 3.0, 3.75)),
        (16, 0.6, _HATS, (0, 0.3, 0.8, 1.5, 2.8, 3.0, 3.8)),
        (16, 2 / 3, _HATS, (0, 1 / 3, 5 / 6, 1.5, 17 / 6, 3.0, 23 / 6)),
        (12, 0.5, (0, 1, 5, 10), (0, 1 / 3, 5 / 3, 10 / 3)),
        (24, 0.5, (3, 7, 22), (0.5, 7 / 6, 11 / 3)),
        (48, 0.5, (5, 13, 47), (5 / 12, 13 / 12, 47 / 12)),
        (32, 0.5, (1, 7, 31), (0.125, 0.875, 3.875)),
        # an eighth of four steps at 0, .15, .3 and .4 of its half second
        (32, 0.6, (1, 6, 11, 31), (0.15, 0.8, 1.4, 3.9)),
        (32, 0.7, (2, 5, 15), (0.35, 0.675, 1.925)),
    ],
)
def test_onsets_counted_by_hand(steps, swing, cells, seconds):
    bar = _bar(*((cell, CLOSED) for cell in cells), steps=steps)
    found = _onsets(_render(bar, bpm=60, swing=swing, velocities=np.array(100), loop=False))
    np.testing.assert_allclose(found, seconds, rtol=0, atol=3e-4)


def test_offsets_counted_by_hand():
    """A sixteenth of .25 s: a fifth of one late is .05 s; what would begin before the loop begins with it."""
    bars = np.stack([_bar((0, CLOSED), (4, CLOSED), (9, CLOSED)), _bar((0, CLOSED), (15, CLOSED))])
    offsets = np.zeros((2, 16, 9))
    offsets[0, [0, 4, 9], CLOSED], offsets[1, [0, 15], CLOSED] = (-0.3, 0.2, -0.5), (-0.4, 0.5)
    for loop in (True, False):
        found = _onsets(_render(bars, bpm=60, velocities=np.array(100), offsets=offsets, loop=loop))
        expected = [0, 1.05, 2.125, 3.9, 7.875]
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=0, atol=3e-4)


def test_the_sound_is_where_the_midi_file_has_it(tmp_path):
    random = np.random.default_rng(3)
    bars = random.random((2, 16, 9)) < 0.1
    bars[:, :, :CLOSED] = bars[:, :, CLOSED + 1 :] = False
    played = Performance.of(bars, GM9, np.array(100), random.uniform(-0.2, 0.2, bars.shape))
    write_midi(tmp_path / "loop.mid", played, bpm=60, swing=0.6)
    found = _onsets(render(played, Playback(60, 0.6), loop=False))
    np.testing.assert_allclose(found, read_midi(tmp_path / "loop.mid").beat, atol=1.5e-3)  # a tick is a millisecond


def test_the_second_bar_begins_where_the_first_ends():
    loop = np.stack([_bar((2, CLOSED)), _bar((0, CLOSED), (5, CLOSED)), _bar((9, CLOSED))])
    # a beat of .9 s: bars of 3.6, sixteenths of .225, the second of two at .54 · .45 = .243 of its eighth
    found = _onsets(_render(loop, bpm=60 / 0.9, swing=0.54, loop=False))
    np.testing.assert_allclose(found, [0.45, 3.6, 3.6 + 0.9 + 0.243, 7.2 + 1.8 + 0.243], atol=3e-4)


def test_accents_are_heard():
    """A hat on the one, a beat, an eighth and a sixteenth: 112, 100, 88, 76, each to the power of 1.5."""
    bar = _bar(*((cell, CLOSED) for cell in (0, 4, 10, 15)))
    audio = _render(bar, bpm=60)
    peaks = [np.abs(audio[cell * RATE // 4 :][: RATE // 5]).max() for cell in (0, 4, 10, 15)]
    full = np.abs(_shot(GM9, "closed hat")).max()
    np.testing.assert_allclose(peaks, [full * (v / 127) ** 1.5 for v in (112, 100, 88, 76)], rtol=1e-5)


def _added_up(bar, kit, bpm, velocities, repeats=1):
    """The mix as a sum over onsets in doubles, with no choke and no limit, of a bar repeated."""
    n_samples = round(240 / bpm * RATE)
    audio = np.zeros((n_samples * repeats + 3 * RATE, 2))
    for again in range(repeats):
        for step, part in zip(*np.nonzero(bar), strict=True):
            begin = again * n_samples + round(step * 240 / bpm / len(bar) * RATE)
            shot = _shot(kit, int(part))
            audio[begin : begin + len(shot)] += shot * (velocities[step, part] / 127) ** 1.5
    return audio, n_samples


@every_kit
@every_grid
def test_the_mix_is_the_sum_of_its_hits(kit, steps):
    random = np.random.default_rng([kit.n_parts, steps])
    bar = random.random((steps, kit.n_parts)) < 0.1
    bar[:, kit.pitches == 46] = False  # open hats may be choked
    velocities = random.integers(1, 60, bar.shape)  # soft enough never to be bent
    bpm = 100.0
    expected, n_samples = _added_up(bar, kit, bpm, velocities)
    assert np.abs(expected).max() < 0.85
    once = _render(bar, kit, bpm=bpm, velocities=velocities, loop=False)
    np.testing.assert_allclose(once, expected[: len(once)], atol=1e-6)
    assert not expected[len(once) :].any()
    looped = _render(bar, kit, bpm=bpm, velocities=velocities)
    expected, _ = _added_up(bar, kit, bpm, velocities, repeats=3)
    np.testing.assert_allclose(looped, expected[2 * n_samples : 3 * n_samples], atol=1e-6)


# -- lengths, loops ------------------------------------------------------------------------------


@given(st.integers(1, 4), st.floats(4, 1000), st.sampled_from(GRIDS), st.booleans())
def test_the_length_is_that_of_the_bars(n, bpm, steps, onset):
    bpm = max(bpm, 40.0 * n)  # four bars at 4 bpm are minutes
    bars = np.zeros((n, steps, 9), bool)
    bars[-1, -1, CRASH] = onset
    exact = round(n * 240 / bpm * RATE)
    assert _render(bars, bpm=bpm).shape == (exact, 2)
    longer = _render(bars, bpm=bpm, loop=False)
    begin = ((n - 1) * 240 + 240 * (steps - 1) / steps) / bpm * RATE
    expected = max(exact, begin + len(_shot(GM9, CRASH))) if onset else exact
    assert abs(len(longer) - expected) <= 1


@pytest.mark.parametrize(
    ("bpm", "n_samples"), [(120, 88200), (97.3, 108777), (133, 79579), (4, 2646000), (1000, 10584)]
)
def test_lengths_by_hand(bpm, n_samples):
    assert len(_render(_bar((0, KICK)), bpm=bpm)) == n_samples


@every_kit
def test_an_empty_bar_is_silence(kit):
    for loop in (True, False):
        audio = _render(np.zeros((2, 16, kit.n_parts), bool), kit, loop=loop)
        assert audio.shape == (2 * 88200, 2)
        assert audio.dtype == np.float32
        assert not audio.any()


@pytest.mark.parametrize(("bpm", "repeats"), [(100, 2), (120, 2), (600, 6)])
def test_a_loop_repeated_is_the_bar_played_on(bpm, repeats):
    """At 600 a minute the crash rings through four bars: its tail comes round several times."""
    bar = _bar((0, KICK), (0, CLOSED), (3, RIDE), (7, SNARE), (9, OPEN), (13, LOW_TOM), (14, OPEN), (15, CRASH))
    velocities = np.array(50)
    tiled = np.tile(_render(bar, bpm=bpm, velocities=velocities), (repeats, 1))
    played = _render(np.stack([bar] * repeats), bpm=bpm, velocities=velocities, loop=False)
    n_samples = len(tiled) // repeats
    assert np.abs(played).max() < 0.85
    np.testing.assert_allclose(tiled[-n_samples:], played[len(tiled) - n_samples : len(tiled)], atol=1e-6)
    assert not np.allclose(tiled[:n_samples], played[:n_samples], atol=1e-3)  # what came round is not in the first


def test_no_click_at_the_seam():
    bar = _bar((2, SNARE), (14, CRASH), (15, OPEN), (15, RIDE))
    audio = _render(bar)
    jumps = np.abs(np.diff(np.tile(audio, (2, 1)), axis=0)).max(1)
    seam = len(audio) - 1
    around = np.concatenate([jumps[seam - 500 : seam], jumps[seam + 1 : seam + 500]])
    assert jumps[seam] <= around.max()
    assert np.abs(audio[:100]).max() > 0.02  # something does sound across it


# -- hats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kit", "closed", "opened"), [(GM9, 2, 3), (RYTHMGAN7, 2, 3), (JAKI5, 2, 3)])
def test_a_closed_hat_silences_the_open_one(kit, closed, opened):
    both, alone, ringing = (
        _render(_bar(*cells, n_parts=kit.n_parts), kit, loop=False, velocities=np.array(127))
        for cells in (((0, opened), (2, closed)), ((2, closed),), ((0, opened),))
    )
    at = 88200 // 8
    np.testing.assert_array_equal(both[:at], ringing[:at])
    np.testing.assert_array_equal(both[at + 256 : len(alone)], alone[at + 256 :])
    assert np.abs(ringing[at + 256 : at + 4000]).max() > 0.05 * np.abs(ringing).max()  # it would have gone on
    # it is faded, not cut: no larger step than the open hat takes anyway
    left = both[at : at + 300] - alone[at : at + 300]
    assert np.abs(np.diff(left, axis=0)).max() <= np.abs(np.diff(ringing, axis=0)).max()
    assert np.abs(left[200:]).max() < 0.2 * np.abs(ringing[at : at + 300]).max()
    assert np.abs(left[:20]).max() > 0.3 * np.abs(ringing[at : at + 300]).max()


def test_a_closed_hat_silences_across_the_bar_line_and_the_loops_seam():
    bar = _bar((14, OPEN), (0, CLOSED))
    for audio in (_render(bar), _render(np.stack([bar, bar]))[88200:], _render(np.stack([bar, bar]))[:88200]):
        np.testing.assert_allclose(audio[256:40000], _render(_bar((0, CLOSED)))[256:40000], atol=1e-7)
    played_once = _render(bar, loop=False)  # nobody closes it
    np.testing.assert_array_equal(played_once[-15000:], _render(_bar((14, OPEN)), loop=False)[-15000:])


def test_only_a_later_closed_hat_silences():
    """Not one before, not one together with it, and no other part; the nearest of several does."""
    ringing = _render(_bar((4, OPEN)), loop=False)
    for others in ([(2, CLOSED)], [(4, CLOSED)], [(5, KICK), (6, RIDE)]):
        audio = _render(_bar((4, OPEN), *others), loop=False)
        without = _render(_bar(*others), loop=False)
        padded = np.zeros_like(audio)
        padded[: len(without)] += without
        padded[: len(ringing)] += ringing
        np.testing.assert_allclose(audio, padded, atol=1e-6)
    audio = _render(_bar((4, OPEN), (5, CLOSED), (7, CLOSED)), loop=False)
    without = _render(_bar((5, CLOSED), (7, CLOSED)), loop=False)
    np.testing.assert_array_equal(audio[28000 + 256 : 38000], without[28000 + 256 : 38000])


def test_the_shortest_loop_chokes_its_own_open_hat():
    """At 1000 a minute a bar has .24 s: what is open on the one is closed on the next one."""
    bar = _bar((0, OPEN), (0, CLOSED))
    played = _render(np.stack([bar] * 6), bpm=1000, loop=False)
    looped = _render(bar, bpm=1000)
    np.testing.assert_allclose(looped, played[3 * 10584 : 4 * 10584], atol=1e-6)


# -- the table, stems, levels and other sounds ----------------------------------------------------


def _played(*cells, steps=16, n_bars=1):
    """A performance of (bar, step, part, velocity, offset)."""
    bars, velocities, offsets = (np.zeros((n_bars, steps, 12), kind) for kind in (bool, int, float))
    for bar, step, part, velocity, offset in cells:
        bars[bar, step, part], velocities[bar, step, part], offsets[bar, step, part] = True, velocity, offset
    return Performance.of(bars, GM12, velocities, offsets)


def test_the_table_by_hand():
    """At 100 a minute, swing .6: a beat of 26,460 samples, of an eighth's 13,230 the second sixteenth at 7,938."""
    played = _played(
        (0, 0, OPEN, 90, -0.4),  # would begin before the loop: begins with it; the hat of step 3 silences it
        (0, 0, CLOSED, 70, 0.0),  # begins together with it: is not later
        (0, 3, CLOSED, 80, 0.25),  # 13,230 + 7,938 + a quarter of 5,292
        (1, 0, KICK, 127, -0.5),  # half of 5,292 before the bar line at 105,840
        (1, 15, OPEN, 33, 0.5),  # rings over the end, until the hat on the one
        n_bars=2,
    )
    rows = sounding(played, Playback(100, 0.6))
    assert [list(map(int, row)) for row in zip(*rows, strict=True)] == [
        [0, 0, CLOSED, 70, 0, NEVER],
        [0, 0, OPEN, 90, 0, 22_491],
        [0, 3, CLOSED, 80, 22_491, NEVER],
        [1, 0, KICK, 127, 103_194, NEVER],
        [1, 15, OPEN, 33, 105_840 + 79_380 + 13_230 + 7_938 + 2_646, 211_680],
    ]
    once = sounding(played, Playback(100, 0.6), loop=False)
    assert once.until.tolist() == [NEVER, 22_491, NEVER, NEVER, NEVER]


@given(st.integers(0, 2**32), st.sampled_from(GRIDS), st.floats(50, 300))
def test_the_table_says_until_when_by_looking_at_every_hat(seed, steps, bpm):
    random = np.random.default_rng(seed)
    bars = random.random((random.integers(1, 4), steps, 12)) < 0.2
    played = Performance.of(bars, GM12, np.array(90), random.uniform(-0.5, 0.5, bars.shape))
    rows = sounding(played, Playback(bpm))
    n_samples = round(len(bars) * 240 / bpm * RATE)
    assert (np.diff(rows.start) >= 0).all()
    assert ((rows.start >= 0) & (rows.start < n_samples)).all()
    hats = [start + again * n_samples for again in (0, 1) for start in rows.start[rows.part == CLOSED].tolist()]
    for part, start, until in zip(rows.part, rows.start.tolist(), rows.until.tolist(), strict=True):
        later = [hat for hat in hats if hat > start] if part == OPEN else []
        assert until == min(later, default=NEVER)


@pytest.mark.parametrize("sounds", SOUNDS)
@pytest.mark.parametrize("loop", [True, False])
def test_stems_add_up_to_the_mix(sounds, loop):
    """Of soft bars, which are not bent: and of loud ones to what is bent."""
    random = np.random.default_rng(8)
    bars = random.random((2, 16, 12)) < 0.2
    bars[..., [MID_TOM, 10]] = False
    played, playback = Performance.of(bars, GM12, random.integers(1, 50, bars.shape)), Playback(130, 0.62)
    levels = np.linspace(0.3, 1.5, 12)
    apart = stems(played, playback, loop, sounds=sounds, levels=levels)
    assert list(apart) == [name for part, name in enumerate(GM12.names) if bars[..., part].any()]
    mix = render(played, playback, loop, sounds=sounds, levels=levels)
    assert np.abs(mix).max() < 0.85
    np.testing.assert_allclose(sum(each.astype(float) for each in apart.values()), mix, atol=1e-6)
    loud = Performance.of(bars, GM12, np.array(127))
    together = sum(stems(loud, playback, loop, sounds=sounds).values())
    assert np.abs(together).max() > 0.85
    bent = together.copy()
    sound._limit(bent)
    np.testing.assert_allclose(render(loud, playback, loop, sounds=sounds), bent, atol=1e-5)


def test_a_stem_is_silenced_by_the_closed_hat_of_another():
    played = _played((0, 0, OPEN, 100, 0), (0, 2, CLOSED, 100, 0), (0, 8, CRASH, 90, 0))
    apart = stems(played, loop=False)
    assert [len(each) for each in apart.values()] == [len(render(played, loop=False))] * 3
    assert apart["open hat"][11_025 - 100].any()  # an eighth of 88,200 samples
    assert not apart["open hat"][11_025 + 256 :].any()


def test_stems_of_silence_and_of_muted_parts():
    assert stems(_played()) == {}
    played = _played((0, 0, KICK, 100, 0), (0, 2, SNARE, 100, 0))
    levels = np.ones(12)
    levels[KICK] = 0
    assert list(stems(played, levels=levels)) == ["snare"]


def test_levels_scale_their_part_alone():
    played = _played((0, 0, KICK, 60, 0), (0, 4, SNARE, 50, 0), (0, 6, OPEN, 40, 0))
    levels = np.ones(12)
    levels[[KICK, SNARE]] = 0.5, 0
    apart = stems(played)
    expected = 0.5 * apart["kick"] + apart["open hat"]
    np.testing.assert_allclose(render(played, levels=levels), expected, atol=1e-6)
    np.testing.assert_array_equal(render(played, levels=np.ones(12)), render(played))
    assert not render(played, levels=np.zeros(12)).any()


def test_a_muted_hat_still_silences():
    played = _played((0, 0, OPEN, 100, 0), (0, 2, CLOSED, 100, 0))
    levels = np.ones(12)
    levels[CLOSED] = 0
    heard = render(played, loop=False, levels=levels)
    np.testing.assert_array_equal(heard, stems(played, loop=False)["open hat"][: len(heard)])


@pytest.mark.parametrize(
    "levels", [np.ones(11), np.ones((1, 12)), np.full(12, -0.1), np.full(12, 1.6), np.full(12, np.nan)]
)
def test_levels_that_are_none(levels):
    for work in (render, stems):
        with pytest.raises(ValueError, match=r"expected levels \(12,\) of 0 … 1.5"):
            work(_played((0, 0, KICK, 60, 0)), levels=levels)


@pytest.mark.parametrize("sounds", SOUNDS)
def test_other_sounds_are_heard_in_the_same_places(sounds):
    played = _played((0, 0, KICK, 60, 0), (0, 5, SNARE, 30, 0.2))
    expected = np.zeros((88_200, 2))
    for part, start, velocity in ((KICK, 0, 60), (SNARE, 28_665, 30)):  # 5.2 sixteenths of 5,512.5
        shot = one_shots(GM12, sounds)[part]
        expected[start : start + len(shot)] += shot * (velocity / 127) ** 1.5
    np.testing.assert_allclose(render(played, sounds=sounds), expected, atol=1e-6)
    with pytest.raises(ValueError, match="the sounds are"):
        render(played, sounds="909")


# -- loudness ------------------------------------------------------------------------------------


def test_velocity_by_hand():
    np.testing.assert_allclose(velocity_to_gain(np.array([127, 1, 80])), [1, 127**-1.5, (80 / 127) ** 1.5], rtol=1e-6)
    assert 20 * np.log10(velocity_to_gain(np.array(63.5))) == pytest.approx(-9.03, abs=0.01)


@every_part
def test_harder_is_louder(kit, part):
    bar = _bar((0, kit.names.index(part)), n_parts=kit.n_parts)
    levels = [np.abs(_render(bar, kit, velocities=np.array(v))).sum() for v in range(1, 128, 3)]
    assert levels[0] > 0
    assert (np.diff(levels) > 0).all()


def test_every_cell_has_its_own_velocity():
    velocities = np.full((16, 9), 100)
    velocities[4, KICK] = 30
    bar = _bar((0, KICK), (4, KICK), (4, LOW_TOM))
    audio = _render(bar, bpm=60, velocities=velocities)
    expected, _ = _added_up(bar, GM9, 60, velocities)
    np.testing.assert_allclose(audio, expected[: len(audio)], atol=1e-6)


@every_kit
@every_grid
@pytest.mark.parametrize("bpm", [120, 1000])
def test_nothing_clips(kit, steps, bpm):
    audio = _render(np.ones((steps, kit.n_parts), bool), kit, bpm=bpm, velocities=np.array(127))
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= 1
    assert np.abs(audio).max() > 0.9


@pytest.mark.parametrize(("sounds", "most"), [("acoustic", 2e-3), ("808", 3e-3), ("lo-fi", 2e-3)])
def test_the_textbook_bars_are_hardly_bent(sounds, most):
    """Their samples stay below the knee, but for a few in ten thousand."""
    bars = words_to_bars(load_patterns().words, 9)
    heard = [render(Performance.of(bar, GM9), sounds=sounds) for bar in bars]
    bent = [(np.abs(sound) > 0.85).mean() for sound in heard]
    assert np.mean(bent) < 2e-4
    assert max(bent) < most
    loudest = [np.sqrt((sound**2).mean()) for sound in heard]
    assert -30 < 20 * np.log10(np.median(loudest)) < -14


def test_the_bend_is_smooth():
    ramp = np.linspace(-3, 3, 60001, dtype=np.float32)[:, None]
    bent = ramp.copy()
    sound._limit(bent)
    inside = np.abs(ramp) <= 0.85
    np.testing.assert_array_equal(bent[inside], ramp[inside])
    assert np.abs(bent).max() <= 1
    assert (np.diff(bent[:, 0]) >= 0).all()
    assert np.diff(bent[:, 0]).max() < 1.5e-4  # the ramp rises by 1e-4 a sample
    np.testing.assert_allclose(bent, -bent[::-1], atol=1e-6)


def test_what_is_loud_on_one_side_only_is_bent_there():
    below = np.array([[0.2, -0.4], [-1.6, -0.85]], np.float32)
    sound._limit(below)
    np.testing.assert_allclose(below, [[0.2, -0.4], [-0.85 - 0.15 * np.tanh(5), -0.85]], rtol=1e-6)


def test_a_soft_bar_stays_soft():
    bar = _bar((0, KICK), (4, SNARE), (10, KICK))
    soft, loud = (np.abs(_render(bar, velocities=np.array(v))).max() for v in (20, 120))
    assert soft / loud == pytest.approx((20 / 120) ** 1.5, rel=1e-4)


@given(
    st.integers(0, 2**32),
    st.sampled_from(list(KITS.values())),
    st.sampled_from(GRIDS),
    st.floats(30, 400),
    st.booleans(),
)
def test_any_bars(seed, kit, steps, bpm, loop):
    random = np.random.default_rng(seed)
    bars = random.random((random.integers(1, 3), steps, kit.n_parts)) < random.random()
    swing = random.uniform(0.5, 0.7) if steps in (16, 32) else 0.5
    velocities = random.integers(1, 128, bars.shape)
    audio = _render(bars, kit, bpm=bpm, swing=swing, velocities=velocities, loop=loop)
    n_samples = round(len(bars) * 240 / bpm * RATE)
    assert audio.dtype == np.float32
    assert len(audio) == n_samples if loop else len(audio) >= n_samples
    assert np.abs(audio).max(initial=0) <= 1
    assert np.array_equal(audio, _render(bars, kit, bpm=bpm, swing=swing, velocities=velocities, loop=loop))
    assert audio.any() == bars.any()


# -- files ---------------------------------------------------------------------------------------


def test_wav_by_hand():
    audio = np.array([[0, 1], [-1, 0.5], [2, -2], [1.4 / 32767, -1.6 / 32767]])
    data = wav_bytes(audio)
    with wave.open(io.BytesIO(data)) as file:
        assert file.getparams()[:4] == (2, 2, 44100, 4)
        samples = np.frombuffer(file.readframes(4), "<i2").reshape(4, 2)
    assert samples.tolist() == [[0, 32767], [-32767, 16384], [32767, -32767], [1, -2]]
    assert data[:4] == b"RIFF"
    assert len(data) == 44 + 16
    assert int.from_bytes(data[4:8], "little") == len(data) - 8


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("block", [5_000, 100_000])
def test_a_file_is_the_same_however_much_is_mixed_at_a_time(monkeypatch, block, loop):
    """Shots, tails and fades reach over many blocks; a bar of 10,584 samples is shorter than its tail."""
    monkeypatch.setattr(sound, "_BLOCK", block)
    for seed, bpm in enumerate((1000, 97, 60)):
        random = np.random.default_rng(seed)
        bars = random.random((1 + 2 * seed, 16, 9)) < 0.3
        velocities, offsets = random.integers(1, 128, bars.shape), random.uniform(-0.5, 0.5, bars.shape)
        played = Performance.of(bars, GM9, velocities, offsets)
        assert render_wav(played, Playback(bpm), loop) == wav_bytes(render(played, Playback(bpm), loop))


def test_more_sound_than_fits_in_memory_is_refused_before_it_is_made(tmp_path):
    """A bar at 4 beats a minute is a minute long."""
    slow, bars = Playback(4), np.zeros((21, 16, 9), bool)
    check_length(20, slow)
    bars[0, 0, KICK] = True
    says = "^a loop of 21 bars at 4 beats a minute is 1,260 seconds of sound: a WAV has at most 1,200$"
    for make in (render, stems, render_wav):
        with pytest.raises(ValueError, match=says):
            make(Performance.of(bars), slow)
    with pytest.raises(ValueError, match=says):
        write_wav(tmp_path / "slow.wav", bars, bpm=4)
    with pytest.raises(ValueError, match="is 1,201 seconds of sound"):
        check_length(1000, Playback(199.99))


def test_written_sound_is_read_back(tmp_path):
    bars = words_to_bars(load_patterns().words[:2], 9)
    write_wav(tmp_path / "loop.wav", bars, bpm=97, swing=0.6)
    rate, samples = wavfile.read(tmp_path / "loop.wav")
    expected = _render(bars, bpm=97, swing=0.6)
    assert rate == RATE
    assert samples.dtype == np.int16
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples / 32767, expected, atol=0.51 / 32767)
    assert (tmp_path / "loop.wav").read_bytes() == wav_bytes(expected)
    soft = Performance.of(bars, GM9, np.array(90))
    write_wav(tmp_path / "once.wav", soft, bpm=97, swing=0.6, loop=False)
    expected = _render(bars, bpm=97, swing=0.6, loop=False, velocities=np.array(90))
    assert (tmp_path / "once.wav").read_bytes() == wav_bytes(expected)


def test_a_file_of_a_loop_ends_with_it_and_one_of_an_ending_rings_out(tmp_path):
    """At 120 a bar lasts 88,200 samples; a crash on its last step, 82,687.5 samples in, rings for over a second."""
    bar = _bar((15, CRASH))
    for loop, most in ((True, 88_200), (False, 82_688 + len(_shot(GM9, CRASH)))):
        write_wav(tmp_path / "x.wav", bar, loop=loop)
        assert len(wavfile.read(tmp_path / "x.wav")[1]) == most


def test_another_rate_and_one_channel_are_written():
    with wave.open(io.BytesIO(wav_bytes(np.zeros((7, 1)), 8000))) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 7)
    assert len(wav_bytes(np.zeros((0, 2)))) == 44


def test_a_file_for_each_bar(tmp_path):
    bars = words_to_bars(load_patterns().words[:6], 9)
    write_wav_files(tmp_path, ["a.wav", "b.wav", "c.wav"], bars[:3], bpm=140)
    for name, bar in zip("abc", bars, strict=False):
        assert (tmp_path / f"{name}.wav").read_bytes() == wav_bytes(_render(bar, bpm=140))
    write_wav_files(tmp_path, ["a.wav", "d.wav"], bars.reshape(2, 3, 16, 9), swing=0.55)
    assert (tmp_path / "d.wav").read_bytes() == wav_bytes(_render(bars[3:], swing=0.55))
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "b.wav", "c.wav", "d.wav"]
    with pytest.raises(ValueError, match="2 bars or loops, one for each name"):
        write_wav_files(tmp_path, ["a.wav", "b.wav"], bars)


# -- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bars", "options", "says"),
    [
        (np.zeros((16,), bool), {}, r"a bar \(steps, parts\) or a loop"),
        (np.zeros((1, 1, 16, 9), bool), {}, r"a bar \(steps, parts\) or a loop"),
        (np.zeros((0, 16, 9), bool), {}, "n at least 1"),
        (np.zeros((16, 6), bool), {}, "9 \\(gm9\\)"),
        (np.zeros((16, 5), bool), {"kit": GM9}, "kit gm9"),
        (np.zeros((16, 9), bool), {"kit": JAKI5}, "kit jaki5"),
        (np.zeros((15, 9), bool), {}, "12, 16, 24, 32, 48 steps, not 15"),
        (np.zeros((16, 9), bool), {"bpm": 3.9}, "tempo lies between 4 and 1000"),
        (np.zeros((16, 9), bool), {"bpm": 1001}, "tempo lies between 4 and 1000"),
        (np.zeros((16, 9), bool), {"bpm": float("nan")}, "tempo lies between 4 and 1000"),
        (np.zeros((16, 9), bool), {"swing": 0.49}, r"swing lies between .* not at 0\.49"),
        (np.zeros((16, 9), bool), {"swing": 0.71}, r"swing lies between"),
        (np.zeros((16, 9), bool), {"swing": float("nan")}, r"swing lies between"),
        (np.zeros((12, 9), bool), {"swing": 0.6}, "12 steps has no sixteenths to swing"),
        (np.zeros((24, 9), bool), {"swing": 0.6}, "24 steps has no sixteenths to swing"),
        (np.zeros((48, 9), bool), {"swing": 0.6}, "48 steps has no sixteenths to swing"),
        (np.ones((16, 9), bool), {"velocities": np.array(0)}, "velocities lie in 1 … 127; found 0"),
        (np.ones((16, 9), bool), {"velocities": np.array(128)}, "velocities lie in 1 … 127"),
        (np.ones((16, 9), bool), {"velocities": np.array(np.nan)}, "velocities lie in 1 … 127"),
        (np.ones((16, 9), bool), {"velocities": np.ones((16, 8))}, "broadcast"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, bars, options, says):
    with pytest.raises(ValueError, match=says) as error:
        _render(bars, **options)
    assert "\n" not in str(error.value)
    if "velocities" not in options:
        with pytest.raises(ValueError, match=says):
            write_wav(tmp_path / "x.wav", bars, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("audio", [np.zeros(5), np.zeros((5, 0)), np.zeros((1, 5, 2))])
def test_what_is_no_sound_is_not_written(audio):
    with pytest.raises(ValueError, match=r"\(n_samples, channels\)"):
        wav_bytes(audio)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_written(value):
    with pytest.raises(ValueError, match="not finite"):
        wav_bytes(np.array([[0, value]]))


# -- from the command line -----------------------------------------------------------------------


def _run(*arguments):
    command = [sys.executable, "-W", "error", "-m", "rhythmgan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_sample_writes_sound_and_goes_on(tmp_path):
    """Seeds 5 to 7 as MIDI and WAV of one swing; a second call makes what is missing, and nothing else."""
    out = tmp_path / "s"
    command = ("sample", "--n", 3, "--seed", 5, "--format", "wav,midi", "--bpm", 97, "--swing", 0.62, "--out", out)
    done = _run(*command)
    assert done.returncode == 0, done.stderr
    assert "seed-000005.wav, seed-000005.mid" in done.stdout
    names = [f"seed-00000{seed}.{suffix}" for seed in (5, 6, 7) for suffix in ("mid", "wav")]
    assert sorted(os.listdir(out)) == ["sample.json", *names]
    assert json.loads((out / "sample.json").read_text(encoding="utf-8"))["swing"] == 0.62
    bars = rhythmgan.load_gan().sample(3, seed=5)
    for seed, bar in zip((5, 6, 7), bars, strict=True):
        rate, samples = wavfile.read(out / f"seed-00000{seed}.wav")
        assert rate == RATE
        np.testing.assert_allclose(samples / 32767, _render(bar, bpm=97, swing=0.62), atol=0.51 / 32767)
        onsets = read_midi(out / f"seed-00000{seed}.mid")
        assert (quantise(onsets, GM12).bars == bar).all()
        odd = np.flatnonzero(bar.any(1))[np.flatnonzero(bar.any(1)) % 2 == 1]
        assert set(np.round(np.unique(onsets.beat % 0.5), 6)) == (
            {0, 0.310417} if len(odd) else {0}
        )  # 149 of 240 ticks
    before = {name: ((out / name).stat().st_mtime_ns, (out / name).read_bytes()) for name in os.listdir(out)}
    (out / "seed-000006.wav").unlink()
    assert _run(*command).returncode == 0
    for name, (when, content) in before.items():
        assert (out / name).read_bytes() == content
        assert ((out / name).stat().st_mtime_ns == when) == (name != "seed-000006.wav")
    done = _run("sample", "--n", 3, "--seed", 5, "--format", "wav", "--bpm", 97, "--out", out)
    assert done.returncode == 2
    assert "holds samples with swing 0.62, not 0.5: choose another folder" in done.stderr


def test_sample_refuses_other_swing(tmp_path):
    for swing in ("0.75", "0.4", "nan"):
        done = _run("sample", "--n", 1, "--format", "wav", "--swing", swing, "--out", tmp_path / "s")
        assert done.returncode == 2
        assert done.stderr.startswith("rhythmgan: swing lies between 0.5 (straight) and 0.7, not at ")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_sample_makes_loops_of_phrases(tmp_path):
    out = tmp_path / "s"
    done = _run("sample", "--n", 1, "--bars", 2, "--format", "wav,npz", "--kit", "jaki5", "--out", out)
    assert done.returncode == 0, done.stderr
    with np.load(out / "seeds-000000-000000.npz") as saved:
        expected = _render(saved["bars"], JAKI5)
    assert (out / "seed-000000.wav").read_bytes() == wav_bytes(expected)


def test_memory_does_not_grow_with_n(tmp_path):
    """400 files of sound, 35 MB in all, take no more memory than 40 do."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "from rhythmgan.samples import *; from rhythmgan.models.gan import *\n"
        "gan = GAN(GANConfig(width=8, discriminator_width=8)).eval()\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "def sample(n):\n"
        "    export_samples(gan, SampleConfig(n, formats=('wav',)), sys.argv[1], playback=Playback(480))\n"
        "sample(40); before = peak(); sample(440)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert len(list(tmp_path.glob("*.wav"))) == 440
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 8 << 20
