"""Swing of performed bars: counted by hand, against onsets before any grid, and set."""

import csv
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.features import (
    PERFORMANCE_FEATURES,
    measure_performance,
    sixteenth_swing,
    swing,
    swing_of_onsets,
    with_swing,
)
from rhythmgan.grid import NoBars, quantise_or_explain
from rhythmgan.kit import GM9
from rhythmgan.midi import midi_bytes
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance, Playback, events

pytestmark = pytest.mark.usefixtures("one_thread")


def played(steps, *cells):
    """The performance of a bar, of cells (step, part, offset)."""
    bars, offsets = np.zeros((1, steps, 9), bool), np.zeros((1, steps, 9), np.float32)
    for step, part, offset in cells:
        bars[0, step, part], offsets[0, step, part] = True, offset
    return Performance.of(bars, GM9, offsets=offsets)


def human(n, steps, seed, scatter=0.12):
    """n bars of hats on every step, and some more onsets, each early or late by chance."""
    rng = np.random.default_rng(seed)
    bars = rng.random((n, steps, 9)) < 0.3
    bars[..., 2] = True
    offsets = np.clip(rng.normal(0, scatter, bars.shape), -0.5, 0.5)
    return Performance.of(bars, GM9, rng.integers(1, 128, bars.shape), offsets)


def onsets_of(performance):
    """(beat, bar) of each onset, from the events: beats from the start of the loop, none earlier than that."""
    found = events(performance)
    return found.bar * 4 + found.beat, found.bar


# -- counted by hand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "cells", "eighths", "sixteenths"),
    [
        (16, [(0, 0, 0), (2, 2, 0), (6, 2, 0)], 0.5, math.nan),
        # a quarter of a sixteenth late is 1/16 of a beat; early is not on the beat before
        (16, [(2, 2, 0.25), (4, 1, -0.4)], 0.5625, math.nan),
        (16, [(2, 2, 0.25), (6, 2, 0)], 0.53125, math.nan),
        # a triplet shuffle on sixteenth steps: 2/3 of a beat is a third of a step before step 3
        (16, [(3, 2, -1 / 3), (7, 2, -1 / 3)], 2 / 3, math.nan),
        (16, [(1, 2, 0), (3, 2, 0)], math.nan, 0.5),
        (16, [(1, 2, 0.2), (3, 2, 0.2), (2, 0, 0)], 0.5, 0.6),
        (16, [(1, 2, 0.2), (15, 2, -0.1)], math.nan, 0.525),
        # no second sixteenth any more: nearer to the thirty-seconds on either side
        (16, [(1, 2, -0.3), (3, 2, 0.45)], math.nan, math.nan),
        (32, [(4, 2, 0), (2, 2, 0.2), (1, 2, 0), (7, 2, 0)], 0.5, 0.55),
        (32, [(3, 2, -1 / 3)], math.nan, 2 / 3),
        (32, [(5, 2, 0.25)], 0.65625, math.nan),
        (12, [(0, 0, 0), (2, 2, 0), (5, 2, 0)], 2 / 3, None),
        (12, [(2, 2, -0.2), (1, 2, 0)], 0.6, None),
        (12, [(1, 2, 0), (3, 0, 0)], math.nan, None),
        (24, [(4, 2, 0)], 2 / 3, math.nan),
        (24, [(3, 2, 0), (10, 2, 0)], (1 / 2 + 2 / 3) / 2, math.nan),
        # a shuffle of sixteenths: the third of three steps in an eighth
        (24, [(2, 2, 0), (5, 2, 0.1), (1, 2, 0)], math.nan, (2 / 3 + 2.1 / 3) / 2),
    ],
)
def test_swing_by_hand(steps, cells, eighths, sixteenths):
    performance = played(steps, *cells)
    assert swing(performance).tolist() == pytest.approx([eighths], abs=1e-6, nan_ok=True)
    if sixteenths is None:
        with pytest.raises(ValueError, match=f"{steps} steps has no eighths"):
            sixteenth_swing(performance)
    else:
        assert sixteenth_swing(performance).tolist() == pytest.approx([sixteenths], abs=1e-6, nan_ok=True)


def test_each_bar_has_its_own_swing_and_several_loops_are_taken():
    bars = [played(16, (2, 2, 0.2)), played(16, (0, 0, 0)), played(16, (2, 2, 0), (6, 3, 0.4), (9, 2, 0.4))]
    loop = Performance.joined(bars)
    expected = [0.55, math.nan, 0.55]
    assert swing(loop).tolist() == pytest.approx(expected, nan_ok=True, abs=1e-6)
    several = Performance(*(np.stack([each, each[::-1]]) for each in (loop.bars, loop.velocities, loop.offsets)), GM9)
    found = sixteenth_swing(several)
    assert found.shape == (2, 3)
    assert found.dtype == torch.float64
    assert found[:, 1].isnan().all()
    assert found[0, 2] == found[1, 0] == pytest.approx(0.7)


def test_the_table_of_performance_features():
    performance = played(16, (2, 2, 0.2), (3, 2, 0.2))
    found = measure_performance(performance)
    assert list(found) == list(PERFORMANCE_FEATURES) == ["swing", "sixteenth swing"]
    assert [value.item() for value in found.values()] == pytest.approx([0.55, 0.6])
    assert list(measure_performance(performance, ["sixteenth swing"])) == ["sixteenth swing"]
    assert list(measure_performance(played(12, (2, 2, 0)), ["swing"])) == ["swing"]
    with pytest.raises(ValueError, match="no feature of a performance is called 'density'; there are swing"):
        measure_performance(performance, ["density"])


# -- against onsets before any grid ----------------------------------------------------------------


@pytest.mark.parametrize("steps", [12, 16, 24, 32])
@given(seed=st.integers(0, 10**6), scatter=st.sampled_from([0.05, 0.2, 0.4]))
def test_performed_bars_swing_as_their_onsets_do(steps, seed, scatter):
    performance = human(3, steps, seed, scatter)
    beat, bar = onsets_of(performance)
    assert swing(performance).tolist() == pytest.approx(swing_of_onsets(beat, bar, 3).tolist(), abs=1e-6, nan_ok=True)
    if steps != 12:
        expected = swing_of_onsets(beat, bar, 3, "sixteenths").tolist()
        assert sixteenth_swing(performance).tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)


@given(seed=st.integers(0, 10**6), swung=st.floats(0.5, 0.7))
def test_sixteenth_swing_is_what_playback_sets(seed, swung):
    bars = np.random.default_rng(seed).random((2, 16, 9)) < 0.4
    found = events(Performance.of(bars, GM9), Playback(swing=swung))
    measured = swing_of_onsets(found.bar * 4 + found.beat, found.bar, 2, "sixteenths")
    assert measured[~measured.isnan()].tolist() == pytest.approx([swung] * int((~measured.isnan()).sum()))
    eighths = swing_of_onsets(found.bar * 4 + found.beat, found.bar, 2)
    assert eighths[~eighths.isnan()].tolist() == pytest.approx([0.5] * int((~eighths.isnan()).sum()))


def test_groove_swings_alike_before_and_on_the_grid(shared):
    """Every onset that the kit has and that no louder one shares its cell with is there, to the tick."""
    compared = 0
    with open(shared / "groove" / "info.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation" and row["beat_type"] == "beat"]
    for row in rows[::3]:
        try:
            onsets = read_midi(shared / "groove" / row["midi_filename"])
            bars = quantise_or_explain(onsets, GM9)
        except NoBars:
            continue
        performance = Performance(bars.bars, bars.velocities, bars.offsets, GM9)
        # the onsets that are on the grid, as the file has them
        inside = GM9.part_of_pitch[onsets.pitch] >= 0
        step = np.floor(onsets.beat * 4 + 0.5).astype(int)
        cell = {}
        for i in np.flatnonzero(inside):
            key = (step[i], GM9.part_of_pitch[onsets.pitch[i]])
            if key not in cell or onsets.velocity[i] > onsets.velocity[cell[key]]:
                cell[key] = i
        kept = np.array(sorted(cell.values()))
        place = np.searchsorted(bars.index, step[kept] // 16)
        for level, feature in (("eighths", swing), ("sixteenths", sixteenth_swing)):
            expected = swing_of_onsets(onsets.beat[kept], place, len(bars.bars), level)
            assert feature(performance).tolist() == pytest.approx(expected.tolist(), abs=1e-6, nan_ok=True)
        compared += len(bars.bars)
    assert compared > 200


# -- another swing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "level", "pair", "most"),
    [
        (16, "sixteenths", 2, 0.7),
        (24, "sixteenths", 3, 0.7),
        (32, "sixteenths", 4, 0.625),
        (16, "eighths", 4, 0.625),
        (12, "eighths", 3, 0.7),
    ],
)
@given(seed=st.integers(0, 10**6), target=st.floats(0.5, 0.7))
def test_a_swing_that_is_set_is_measured(steps, level, pair, most, seed, target):
    """Of bars that have pairs only: the first of each, and its off-beat."""
    before = human(4, steps, seed, scatter=0.08)
    off_beat = 2 if steps % 3 == 0 else pair // 2
    is_in_pair = np.isin(np.arange(steps) % pair, (0, off_beat))[:, None]
    before = Performance.of(before.bars & is_in_pair, GM9, before.velocities, before.offsets)
    after = with_swing(before, target, level)
    reached = (swing if level == "eighths" else sixteenth_swing)(after)
    assert reached.tolist() == pytest.approx([min(target, most)] * 4, abs=1e-4)
    assert np.array_equal(after.bars, before.bars)
    assert np.array_equal(after.velocities, before.velocities)
    assert np.array_equal(after.offsets[:, ::pair], before.offsets[:, ::pair])


def test_off_beats_keep_their_scatter_and_the_rest_keeps_its_place():
    """Hats at .5 and .6 of their eighths swing at .55 on average: at .65 they lie at .6 and .7."""
    before = played(16, (0, 0, 0.1), (1, 2, 0), (3, 2, 0.2), (4, 1, -0.25), (6, 2, 0.3))
    after = with_swing(before, 0.65)
    late = {step: after.offsets[0, step].sum() for step in (0, 1, 3, 4, 6)}
    assert late == pytest.approx({0: 0.1, 1: 0.2, 3: 0.4, 4: -0.25, 6: 0.3}, abs=1e-5)
    eighths = with_swing(before, 0.6, "eighths")
    assert eighths.offsets[0, 6].sum() == pytest.approx(0.4, abs=1e-5)
    assert eighths.offsets[0, 1].sum() == 0


def test_a_bar_without_off_beats_stays_as_it_is():
    before = Performance.joined([played(16, (0, 0, 0.1), (4, 1, -0.25)), played(16, (1, 2, 0.1))])
    after = with_swing(before, 0.7)
    assert np.array_equal(after.offsets[0], before.offsets[0])
    assert after.offsets[1, 1, 2] == pytest.approx(0.4, abs=1e-5)
    alone = played(16, (0, 0, 0.1))
    assert with_swing(alone, 0.6) is alone


def test_swing_that_cannot_be_set():
    with pytest.raises(ValueError, match=r"swing lies between 0\.5 \(straight\) and 0\.7, not at 0\.71"):
        with_swing(played(16, (1, 2, 0)), 0.71)
    with pytest.raises(ValueError, match="12 steps has no eighths"):
        with_swing(played(12, (2, 2, 0)), 0.6)


def test_bare_bars_that_are_swung_are_written_as_playback_swings_them():
    bars = np.random.default_rng(5).random((2, 16, 9)) < 0.3
    swung = with_swing(Performance.of(bars, GM9), 0.64)
    assert midi_bytes(swung) == midi_bytes(Performance.of(bars, GM9), Playback(swing=0.64))
