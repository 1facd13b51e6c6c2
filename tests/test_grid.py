"""From onsets in time to bars."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rhythmgan.bars import GRIDS
from rhythmgan.grid import NoBars, Onsets, TimeSignature, quantise, quantise_or_explain
from rhythmgan.kit import GM9, JAKI5, KITS, RYTHMGAN7

KICK, SNARE, HAT = 36, 38, 42


def _hits(*onsets, time_signatures=()):
    """(beat, pitch) or (beat, pitch, velocity) each; time_signatures as (beat, numerator, denominator)."""
    rows = [(*onset, 90)[:3] for onset in onsets]
    beat, pitch, velocity = zip(*rows, strict=True) if rows else ((), (), ())
    return Onsets(
        np.array(beat, float),
        np.array(pitch, np.uint8),
        np.array(velocity, np.uint8),
        tuple(TimeSignature(*time_signature) for time_signature in time_signatures),
    )


def _onsets(found):
    """(bar index, step, part) of every onset."""
    return [(int(found.index[bar]), int(step), int(part)) for bar, step, part in np.argwhere(found.bars)]


def test_by_hand():
    found = quantise(_hits((0, KICK, 100), (0.5, HAT, 60), (1, SNARE, 127), (3.75, 49, 1), (9.25, 41, 77)), GM9)
    assert _onsets(found) == [(0, 0, 0), (0, 2, 2), (0, 4, 1), (0, 15, 8), (2, 5, 4)]
    assert found.bars.shape == (2, 16, 9)
    assert found.bars.dtype == bool
    assert found.velocities.dtype == np.uint8
    assert found.velocities[found.bars].tolist() == [100, 60, 127, 1, 77]
    assert found.velocities.sum() == 100 + 60 + 127 + 1 + 77
    assert found.index.tolist() == [0, 2]
    assert found.index.dtype == np.int32
    assert (found.n_empty, found.n_other_time_signature, found.n_outside_kit) == (1, 0, 0)


def test_offsets_by_hand():
    """A sixteenth is a quarter of a beat: a twentieth of a beat late is a fifth of a step."""
    found = quantise(_hits((0, KICK), (1.05, SNARE), (3.95, HAT), (4.375, KICK), (5.6249, SNARE)), GM9)
    assert _onsets(found) == [(0, 0, 0), (0, 4, 1), (1, 0, 2), (1, 2, 0), (1, 6, 1)]
    assert found.offsets.dtype == np.float32
    np.testing.assert_allclose(found.offsets[found.bars], [0, 0.2, -0.2, -0.5, 0.4996], atol=1e-6)
    assert not found.offsets[~found.bars].any()
    triplets = quantise(_hits((1.4, SNARE)), GM9, 12)
    np.testing.assert_allclose(triplets.offsets[triplets.bars], [0.2], atol=1e-6)


def test_offsets_count_from_the_time_signature():
    """3/4 for a bar, then 4/4 from beat 3."""
    found = quantise(_hits((3.025, KICK), (4, SNARE), time_signatures=[(0, 3, 4), (3, 4, 4)]), GM9)
    np.testing.assert_allclose(found.offsets[found.bars], [0.1, 0], atol=1e-6)


@pytest.mark.parametrize(("steps", "step"), [(12, 7), (16, 9), (24, 14), (32, 19), (48, 28)])
def test_nearest_step(steps, step):
    # 2.34 beats: 7.02 twelfths, 9.36 sixteenths, 14.04, 18.72, 28.08
    assert _onsets(quantise(_hits((2.34, KICK)), GM9, steps)) == [(0, step, 0)]


@pytest.mark.parametrize("steps", GRIDS)
def test_just_before_the_bar_line_is_the_next_one(steps):
    half = 2 / steps
    found = quantise(_hits((0, SNARE), (4 - half * 0.9, KICK), (8 - half * 1.1, HAT)), GM9, steps)
    assert _onsets(found) == [(0, 0, 1), (1, 0, 0), (1, steps - 1, 2)]


def test_the_loudest_of_a_cell():
    found = quantise(_hits((0, 36, 30), (0.01, 35, 80), (0.02, 36, 50), (1, 36, 0)), GM9)
    assert found.velocities[0, :5, 0].tolist() == [80, 0, 0, 0, 1]
    assert found.bars.sum() == 2
    np.testing.assert_allclose(found.offsets[found.bars], [0.04, 0], atol=1e-6)  # that of the loudest


@pytest.mark.parametrize("softer", [(0.99, 35, 40), (1.06, 36, 40)])
def test_of_equally_loud_onsets_of_a_cell_the_first_is_kept(softer):
    onsets = sorted([(1.05, 36, 77), (1.02, 35, 77), softer])
    found = quantise(_hits(*onsets), GM9)
    np.testing.assert_allclose(found.offsets[found.bars], [0.08], atol=1e-6)


def test_other_kits():
    onsets = _hits((0, 51), (0, 42), (1, 49), (2, 54), (3, 43))
    assert _onsets(quantise(onsets, JAKI5)) == [(0, 0, 2), (0, 4, 3), (0, 12, 4)]
    assert quantise(onsets, JAKI5).n_outside_kit == 1
    assert _onsets(quantise(onsets, RYTHMGAN7)) == [(0, 0, 2), (0, 0, 6), (0, 4, 5), (0, 8, 6), (0, 12, 4)]
    assert quantise(onsets, RYTHMGAN7).n_outside_kit == 0


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
@pytest.mark.parametrize("steps", GRIDS)
def test_played_bars_come_back(kit, steps):
    """Bars whose every onset is moved by less than half a step are cut as they were, velocities too."""

    @given(arrays(np.uint8, (3, steps, kit.n_parts), elements=st.integers(0, 127)), st.randoms())
    def check(velocities, random):
        velocities[velocities < 90] = 0
        bar, step, part = np.nonzero(velocities)
        shift = np.array([random.uniform(-0.49, 0.49) for _ in bar])
        beat = 400 + (bar * steps + step + shift) * 4 / steps
        found = quantise(Onsets(beat, kit.pitches[part], velocities[bar, step, part]), kit, steps)
        sounding = velocities.any((1, 2))
        np.testing.assert_allclose(found.offsets[found.bars], shift, atol=1e-5)
        assert found.index.tolist() == (100 + np.flatnonzero(sounding)).tolist()
        np.testing.assert_array_equal(found.velocities, velocities[sounding])
        np.testing.assert_array_equal(found.bars, velocities[sounding] > 0)

    check()


def test_three_four_between_four_four_is_skipped():
    # two bars of 4/4, two of 3/4, then 4/4 again from beat 14
    time_signatures = [(0, 4, 4), (8, 3, 4), (14, 4, 4)]
    onsets = _hits(
        (0, KICK),
        (4.5, SNARE),
        (8, KICK),
        (11, SNARE),
        (13.5, HAT),
        (14, KICK),
        (17.75, 49),
        (18, HAT),
        time_signatures=time_signatures,
    )
    found = quantise(onsets, GM9)
    assert _onsets(found) == [(0, 0, 0), (1, 2, 1), (4, 0, 0), (4, 15, 8), (5, 0, 2)]
    assert found.n_other_time_signature == 3


def test_n_empty_counts_only_bars_of_four_four():
    time_signatures = [(0, 4, 4), (8, 3, 4), (14, 4, 4)]
    # of the 4/4 bars 0, 1, 4, 5 and 6 the second and the fifth are empty; 2 and 3 are of 3/4
    found = quantise(_hits((0, KICK), (9, KICK), (14, KICK), (22, KICK), time_signatures=time_signatures), GM9)
    assert found.index.tolist() == [0, 4, 6]
    assert found.n_empty == 2


def test_quantised_across_a_change_of_metre():
    time_signatures = [(0, 4, 4), (4, 3, 4), (7, 4, 4)]
    # just ahead of the 3/4 bar, and just ahead of the 4/4 that follows it
    found = quantise(_hits((0, KICK), (3.95, SNARE), (6.9, HAT), time_signatures=time_signatures), GM9)
    assert _onsets(found) == [(0, 0, 0), (2, 0, 2)]
    assert found.n_other_time_signature == 1


def test_a_bar_that_is_cut_short_is_left_out():
    # 4/4 for six beats: one bar and a half; then 2/4, then 4/4
    time_signatures = [(0, 4, 4), (6, 2, 4), (8, 4, 4)]
    found = quantise(
        _hits((3, KICK), (4, SNARE), (5.5, SNARE), (6, HAT), (8, 49), time_signatures=time_signatures), GM9
    )
    assert _onsets(found) == [(0, 12, 0), (3, 0, 8)]
    assert found.n_other_time_signature == 3


def test_quantise_time_counts_and_other_metres_do_not():
    assert _onsets(quantise(_hits((0, KICK), (5, SNARE), time_signatures=[(0, 2, 2)]), GM9)) == [(0, 0, 0), (1, 4, 1)]
    mixed = quantise(_hits((0, KICK), (6, SNARE), time_signatures=[(0, 2, 2), (4, 4, 4)]), GM9)
    assert _onsets(mixed) == [(0, 0, 0), (1, 8, 1)]
    for numerator, denominator in ((8, 8), (3, 4), (12, 8), (2, 4), (5, 4), (6, 4)):
        found = quantise(_hits((0, KICK), time_signatures=[(0, numerator, denominator)]), GM9)
        assert not len(found.bars), (numerator, denominator)
        assert found.n_other_time_signature == 1


def test_metre_lengths():
    lengths = [
        TimeSignature(0, 4, 4).n_beats,
        TimeSignature(0, 2, 2).n_beats,
        TimeSignature(0, 6, 8).n_beats,
        TimeSignature(0, 7, 16).n_beats,
    ]
    assert lengths == [4, 4, 3, 1.75]


def test_nothing_and_nothing_of_the_kit():
    silent = quantise(_hits(), GM9, 24)
    assert silent.bars.shape == (0, 24, 9)
    assert silent.n_empty == 0
    outside = quantise(_hits((0, 60), (40, 54), (80, 127)), GM9)
    assert outside.bars.shape == (0, 16, 9)
    assert outside.n_outside_kit == 3


def test_hits_outside_the_kit_make_no_bar():
    found = quantise(_hits((0, KICK), (4, 60), (8, KICK), (9, 60)), GM9)
    assert found.index.tolist() == [0, 2]
    assert (found.n_empty, found.n_outside_kit) == (1, 2)


def test_a_grid_that_is_none():
    with pytest.raises(ValueError, match="not 20"):
        quantise(_hits((0, KICK)), GM9, 20)


@pytest.mark.parametrize(
    ("onsets", "reason", "detail"),
    [
        (_hits(), "no drums", "the drum track has no notes"),
        (_hits((0, 60), (1, 61)), "outside the kit", "no onset of kit gm9"),
        (_hits((0, KICK), (3, 60), time_signatures=[(0, 3, 4)]), "other time signature", "3/4"),
        (
            _hits((0, KICK), (3, KICK), time_signatures=[(0, 6, 8), (3, 3, 4), (6, 6, 8)]),
            "other time signature",
            "3/4, 6/8",
        ),
    ],
)
def test_why_there_are_none(onsets, reason, detail):
    with pytest.raises(NoBars) as why:
        quantise_or_explain(onsets, GM9)
    assert (why.value.reason, why.value.detail) == (reason, detail)
    assert str(why.value) == f"{reason}: {detail}"
    assert isinstance(why.value, ValueError)


def test_quantise_or_say_why_gives_what_cut_gives():
    found = quantise_or_explain(_hits((4.25, SNARE), (5, 60)), JAKI5, 32)
    assert _onsets(found) == [(1, 2, 1)]
    assert found.n_outside_kit == 1


def test_a_reason_survives_the_way_between_processes():
    again = pickle.loads(pickle.dumps(NoBars("empty", "no bytes")))
    assert (again.reason, again.detail, str(again)) == ("empty", "no bytes", "empty: no bytes")
    assert str(NoBars("empty")) == "empty"
