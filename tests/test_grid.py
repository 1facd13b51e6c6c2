"""From onsets in time to bars."""

import pickle
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rhythmgan.bars import GRIDS
from rhythmgan.grid import (
    MAX_BARS,
    NoBars,
    Onsets,
    TimeSignature,
    quantise,
    quantise_by_grid,
    quantise_by_grid_or_explain,
    quantise_or_explain,
)
from rhythmgan.grid_choice import OWN_GRIDS
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


def test_twelve_eight_on_grids_of_triplets():
    """Four beats of three eighths: an eighth is a twelfth of the bar, a quarter note two of them."""
    onsets = _hits(
        (0, KICK), (0.5, HAT), (1.5, SNARE), (2.7, HAT), (5.97, KICK), (9, SNARE), time_signatures=[(0, 12, 8)]
    )
    found = quantise(onsets, GM9, 12)
    assert _onsets(found) == [(0, 0, 0), (0, 1, 2), (0, 3, 1), (0, 5, 2), (1, 0, 0), (1, 6, 1)]
    np.testing.assert_allclose(found.offsets[found.bars], [0, 0, 0, 0.4, -0.06, 0], atol=1e-6)
    assert _onsets(quantise(onsets, GM9, 24))[1] == (0, 2, 2)
    for steps in (16, 32):
        assert quantise(onsets, GM9, steps).n_other_time_signature == 6


def test_bars_begin_anew_where_the_same_time_signature_is_written_again():
    """A pick-up of two beats is no bar; the first bar begins at beat 2."""
    found = quantise(_hits((1, HAT), (2, KICK), (3, SNARE), (6, KICK), time_signatures=[(0, 4, 4), (2, 4, 4)]), GM9)
    assert _onsets(found) == [(1, 0, 0), (1, 4, 1), (2, 0, 0)]
    assert found.n_other_time_signature == 1


@pytest.mark.parametrize("late", [-1 / 16, -1 / 480, 1 / 480, 1 / 16])
def test_a_time_signature_beside_the_bar_line_costs_no_bar(late):
    onsets = _hits((0, KICK), (3.75, SNARE), (4, KICK), (8, HAT), time_signatures=[(0, 4, 4), (4 + late, 4, 4)])
    found = quantise(onsets, GM9)
    assert _onsets(found) == [(0, 0, 0), (0, 15, 1), (1, 0, 0), (2, 0, 2)]
    assert not found.offsets.any()
    assert _by_grid(quantise_by_grid(onsets, GM9)) == {16: _onsets(found)}


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


def _by_grid(found):
    return {steps: _onsets(bars) for steps, bars in found.by_grid.items()}


EIGHTHS = tuple(np.arange(8) / 2)
SHUFFLE = (0, 2 / 3, 1, 5 / 3, 2, 8 / 3, 3, 11 / 3)
ROLL = tuple(np.arange(8) / 2) + tuple(3 + np.arange(8) / 8)
SEXTUPLETS = tuple(np.arange(24) / 6)
QUARTERS = (0, 1, 2, 3)
QUINTUPLETS = tuple(np.arange(20) / 5)


def _song(*bars):
    return _hits(*((4 * i + beat, HAT) for i, bar in enumerate(bars) for beat in bar))


def test_every_bar_on_its_own_grid():
    found = quantise_by_grid(_song(EIGHTHS, SHUFFLE, ROLL, SEXTUPLETS, QUINTUPLETS, (), EIGHTHS), GM9)
    assert {steps: bars.index.tolist() for steps, bars in found.by_grid.items()} == {
        16: [0, 6],
        12: [1],
        32: [2],
        24: [3],
    }
    assert list(found.by_grid) == [16, 12, 32, 24]
    assert np.flatnonzero(found.by_grid[12].bars[0, :, 2]).tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert np.flatnonzero(found.by_grid[32].bars[0, :, 2]).tolist() == [0, 4, 8, 12, 16, 20, *range(24, 32)]
    assert (found.n_bars, found.n_off_grid, found.n_onsets_off_grid, found.n_empty) == (5, 1, 20, 1)
    # the roll's fourth beat has two onsets where the eighths are
    assert (found.n_merged, found.n_outside_kit, found.n_other_time_signature) == (2, 0, 0)


def test_a_bar_that_is_on_every_grid_takes_its_songs():
    for own, steps in ((SHUFFLE, 12), (EIGHTHS, 16), (SEXTUPLETS, 24)):
        found = quantise_by_grid(_song(QUARTERS, own, own, QUARTERS, own, own, QUARTERS), GM9)
        assert found.by_grid[steps].index.tolist() == list(range(7))
    # without a song, sixteenths
    assert list(quantise_by_grid(_song(QUARTERS, QUARTERS), GM9).by_grid) == [16]


def test_what_is_outside_the_kit_says_which_grid_a_bar_is_on():
    cowbell = [(beat, 56) for beat in SHUFFLE]
    found = quantise_by_grid(_hits((0, KICK), (1, SNARE), *cowbell), GM9)
    assert _by_grid(found) == {12: [(0, 0, 0), (0, 3, 1)]}
    assert found.n_outside_kit == 8


def test_twelve_eight_is_on_triplets_or_on_no_grid():
    beats = [1.5 * beat for bar in (SHUFFLE, SEXTUPLETS, EIGHTHS) for beat in bar]
    starts = [6 * i for i, bar in enumerate((SHUFFLE, SEXTUPLETS, EIGHTHS)) for _ in bar]
    onsets = _hits(
        *((start + beat, HAT) for start, beat in zip(starts, beats, strict=True)), time_signatures=[(0, 12, 8)]
    )
    found = quantise_by_grid(onsets, GM9)
    # straight eighths against three are on the sixth of sextuplets
    assert {steps: bars.index.tolist() for steps, bars in found.by_grid.items()} == {12: [0], 24: [1, 2]}
    assert found.n_other_time_signature == 0
    fours = _hits(*((1.5 * step / 4, HAT) for step in range(16)), time_signatures=[(0, 12, 8)])
    assert (quantise_by_grid(fours, GM9).n_off_grid, quantise_by_grid(fours, GM9).n_onsets_off_grid) == (1, 16)


@pytest.mark.parametrize(
    ("first", "second", "place", "offset"),
    [
        # half a step is 1/8 of a beat on 16, 1/6 on 12, 1/16 on 32
        (EIGHTHS, SHUFFLE, (16, 0, 15), 0.4),  # .1 after the last sixteenth, .15 before the line
        (SHUFFLE, EIGHTHS, (16, 1, 0), -0.5),  # nearer to the line than to the last twelfth; .6 of a sixteenth early
        (SHUFFLE, SHUFFLE, (12, 1, 0), -0.45),
        (ROLL, EIGHTHS, (32, 0, 31), -0.2),
        (QUINTUPLETS, SHUFFLE, (12, 1, 0), -0.45),
        (QUINTUPLETS, EIGHTHS, None, None),
    ],
)
def test_a_bar_line_between_two_grids(first, second, place, offset):
    """An onset .15 of a beat ahead of it, too few to change the grid."""
    found = quantise_by_grid(
        _hits(
            *((beat, pitch) for beat in (*first, *(4 + beat for beat in second)) for pitch in (HAT, SNARE)),
            (3.85, KICK),
        ),
        GM9,
    )
    kicks = [
        (steps, bar, step, bars.offsets[row, step, 0])
        for steps, bars in found.by_grid.items()
        for row, bar in enumerate(bars.index.tolist())
        for step in np.flatnonzero(bars.bars[row, :, 0]).tolist()
    ]
    assert found.n_onsets_off_grid == 40 * (first is QUINTUPLETS) + (place is None)
    assert [kick[:3] for kick in kicks] == [place] * (place is not None)
    np.testing.assert_allclose([kick[3] for kick in kicks], [offset] * (place is not None), atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "ahead", "steps"),
    [(EIGHTHS, ROLL, 50 / 480, 32), (EIGHTHS, SEXTUPLETS, 45 / 480, 24), (SHUFFLE, SEXTUPLETS, 0.16, 24)],
)
def test_an_onset_ahead_of_finer_steps_is_half_of_one_early(first, second, ahead, steps):
    bars = [(beat, pitch) for beat in (*first, *(4 + beat for beat in second)) for pitch in (HAT, SNARE)]
    found = quantise_by_grid(_hits(*bars, (4 - ahead, KICK, 71)), GM9)
    assert found.n_onsets_off_grid == 0
    fine = found.by_grid[steps]
    assert (fine.index.tolist(), fine.velocities[0, 0, 0], fine.offsets[0, 0, 0]) == ([1], 71, -0.5)


def test_an_onset_ahead_of_a_bar_on_no_grid_is_counted_with_it():
    bars = [(beat, pitch) for beat in (*EIGHTHS, *(4 + beat for beat in QUINTUPLETS)) for pitch in (HAT, SNARE)]
    found = quantise_by_grid(_hits(*bars, (3.95, KICK)), GM9)
    assert (found.n_bars, found.n_off_grid, found.n_onsets_off_grid) == (1, 1, 41)


def test_an_onset_ahead_of_a_silent_bar_makes_it():
    """The crash of a last bar that nothing else sounds in."""
    found = quantise_by_grid(_hits(*((beat, pitch) for beat in EIGHTHS for pitch in (HAT, KICK)), (3.9, 49)), GM9)
    assert found.by_grid[16].index.tolist() == [0, 1]
    np.testing.assert_allclose(found.by_grid[16].offsets[1, 0, 8], -0.4, atol=1e-6)


def test_onsets_ahead_of_other_metres_belong_there():
    eighths = [(beat, HAT) for beat in EIGHTHS]
    found = quantise_by_grid(_hits(*eighths, (3.95, KICK), (6, KICK), time_signatures=[(0, 4, 4), (4, 3, 4)]), GM9)
    assert (found.n_bars, found.n_other_time_signature, found.n_onsets_off_grid) == (1, 2, 0)
    again = _hits((2.95, KICK), *((3 + beat, HAT) for beat in EIGHTHS * 2), time_signatures=[(0, 3, 4), (3, 4, 4)])
    assert _onsets(quantise_by_grid(again, GM9).by_grid[16])[:2] == [(1, 0, 0), (1, 0, 2)]


def test_a_damaged_file_has_no_bars_without_end():
    found = quantise_by_grid(_hits((0, KICK), (4.0 * MAX_BARS - 4, KICK), (4.0 * MAX_BARS, KICK), (1e12, KICK)), GM9)
    assert found.by_grid[16].index.tolist() == [0, MAX_BARS - 1]
    assert found.n_other_time_signature == 2


SONG_ONSETS = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 1919).map(lambda tick: tick * 12 / 480),
            st.tuples(st.integers(0, 12), st.sampled_from(SHUFFLE + ROLL + SEXTUPLETS + QUINTUPLETS)).map(
                lambda place: 4 * place[0] + place[1]
            ),
            st.tuples(st.integers(1, 12), st.floats(0, 0.3)).map(lambda place: 4 * place[0] - place[1]),
        ),
        st.sampled_from([KICK, SNARE, HAT, 49, 56]),
        st.integers(1, 127),
    ),
    max_size=120,
)
SIGNATURES = st.lists(
    st.tuples(st.integers(1, 96), st.sampled_from([(4, 4), (4, 4), (2, 2), (12, 8), (3, 4), (6, 8)])),
    max_size=4,
    unique_by=lambda signature: signature[0],
).map(lambda later: [(0, 4, 4), *((half / 2, *metre) for half, metre in sorted(later))])


@given(SONG_ONSETS, SIGNATURES)
def test_no_onset_is_lost_or_doubled(rows, time_signatures):
    onsets = _hits(*rows, time_signatures=time_signatures)
    found = quantise_by_grid(onsets, GM9)
    inside = GM9.part_of_pitch[onsets.pitch] >= 0
    cells = sum(int(bars.bars.sum()) for bars in found.by_grid.values())
    assert found.n_outside_kit == (~inside).sum()
    assert cells + found.n_merged + found.n_onsets_off_grid + found.n_other_time_signature == inside.sum()
    assert (found.n_off_grid > 0) <= (found.n_onsets_off_grid > 0)
    assert found.n_empty >= 0
    places = [place for bars in found.by_grid.values() for place in bars.index.tolist()]
    assert len(places) == len(set(places)) == found.n_bars
    for steps, bars in found.by_grid.items():
        assert steps in OWN_GRIDS
        assert bars.bars.any((1, 2)).all()
        np.testing.assert_array_equal(bars.velocities > 0, bars.bars)
        assert (np.abs(bars.offsets) <= 0.5).all()
        assert not bars.offsets[~bars.bars].any()


@given(SONG_ONSETS)
def test_every_cell_is_an_onset_at_its_moment(rows):
    """Bar, step and offset give the beat back; so nothing is moved, but for what is ahead of a bar of finer steps."""
    played = {(GM9.part_of_pitch[pitch], velocity, round(beat, 4)) for beat, pitch, velocity in rows}
    earlier = defaultdict(list)
    for part, velocity, beat in played:
        earlier[part, velocity].append(beat)
    for steps, bars in quantise_by_grid(_hits(*rows), GM9).by_grid.items():
        bar, step, part = np.nonzero(bars.bars)
        beat = 4 * bars.index[bar] + (step + bars.offsets[bar, step, part].astype(float)) * 4 / steps
        columns = (part, bars.velocities[bar, step, part], np.round(beat, 4))
        cells = set(zip(*(column.tolist() for column in columns), strict=True))
        for part, velocity, beat in cells - played:
            line = beat + 2 / steps  # half a step later, and at most half a twelfth after the onset
            assert line / 4 == pytest.approx(round(line / 4), abs=1e-4)
            assert any(line - 1 / 6 - 1e-4 <= onset < beat for onset in earlier[part, velocity])


@pytest.mark.parametrize("steps", OWN_GRIDS)
def test_bars_on_their_own_grid_come_back(steps):
    """Bars that use every step, moved by less than the tolerance of a machine."""

    @given(st.integers(1, 4), st.randoms())
    def check(n, random):
        velocities = np.zeros((n, steps, GM9.n_parts), np.uint8)
        for bar, step in np.ndindex(n, steps):
            velocities[bar, step, random.randrange(9)] = random.randrange(1, 128)
        bar, step, part = np.nonzero(velocities)
        shift = np.array([random.uniform(-0.037, 0.037) * steps / 4 for _ in bar])
        beat = 40 + (bar * steps + step + shift) * 4 / steps
        found = quantise_by_grid(Onsets(beat, GM9.pitches[part], velocities[bar, step, part]), GM9)
        (own,) = found.by_grid.items()
        assert own[0] == steps
        np.testing.assert_array_equal(own[1].velocities, velocities)
        np.testing.assert_allclose(own[1].offsets[own[1].bars], shift, atol=1e-5)
        assert own[1].index.tolist() == list(range(10, 10 + n))

    check()


@pytest.mark.parametrize(
    ("onsets", "reason", "detail"),
    [
        (_hits(), "no drums", "the drum track has no notes"),
        (_hits((0, 60)), "outside the kit", "no onset of kit gm9"),
        (_hits((0, KICK), (3, 60), time_signatures=[(0, 3, 4)]), "other time signature", "3/4"),
        (_song(QUINTUPLETS, QUINTUPLETS), "on no grid", "2 bars, none on 16, 12, 32, 24 steps"),
    ],
)
def test_why_a_song_has_no_bars_on_a_grid(onsets, reason, detail):
    with pytest.raises(NoBars) as why:
        quantise_by_grid_or_explain(onsets, GM9)
    assert (why.value.reason, why.value.detail) == (reason, detail)


def test_by_grid_or_why_not_gives_what_by_grid_gives():
    assert _by_grid(quantise_by_grid_or_explain(_song(SHUFFLE), GM9)) == _by_grid(quantise_by_grid(_song(SHUFFLE), GM9))
