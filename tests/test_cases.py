"""Small files that went wrong in the first release, made from public reports of users of other software.

Each has its right value here. The kinds that they stand for are tested where they belong, by files made there.
"""

import numpy as np
import pytest
from conftest import ROOT

from rhythmgan.grid import NoBars, quantise
from rhythmgan.kit import GM9
from rhythmgan.load import load_loop
from rhythmgan.lpd import read_lpd
from rhythmgan.midi_reader import read_midi

CASES = ROOT.parent / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the small inputs (../shared/cases) are not on this machine")

FOUR = (0, 4, 4)


def _read(name):
    return read_lpd(CASES / f"lpd/{name}.npz") if "lpd" in name else read_midi(CASES / f"midi/{name}.mid")


@pytest.mark.parametrize(
    ("name", "pitches"),
    [
        ("01_rmid", {36: 4, 38: 4, 42: 16}),
        ("05_xg_ch11_only", {36: 4, 38: 4, 42: 16}),
        ("05c_gs_part11_rhythm2", {36: 4, 38: 4, 42: 16}),
        ("06b_pickup_same_metre_again_midbar", {36: 4, 38: 6, 42: 16}),
        ("07_on_on_off", {36: 2, 38: 1}),
        ("07b_hat_gate_one_off", {36: 2, 42: 16}),
        ("07c_cc123_ends", {36: 1, 42: 16}),
        ("07d_last_hit_no_off", {36: 2, 38: 2, 42: 8, 46: 1}),
        ("08q_ntrks2_of_3_drums_third", {36: 4, 38: 4, 42: 16}),
        ("09s_running_first", {36: 1}),
        ("10_format2", {36: 2, 38: 2, 42: 8, 43: 4}),
        ("12_ts_4_dd032", {36: 4, 38: 4, 42: 16}),
        ("12b_ts_2_dd33_as_lakh", {36: 4, 38: 4, 42: 16}),
        ("14_click_on_10_drums_named_on_1", {36: 4, 38: 4, 42: 16}),
        ("18_loop_hit_just_before_its_end", {36: 3, 38: 2, 42: 8}),
        ("19e_12_8_shuffle", {36: 2, 38: 2, 42: 12}),
        ("19h_ts_conflict_two_tracks", {36: 4, 38: 4, 42: 16}),
        ("20_lpd_good", {36: 4, 38: 4, 42: 16}),
        ("20b_lpd_py2_long_shape", {36: 4, 38: 4, 42: 16}),
        ("20c_lpd_keys_reordered", {36: 4, 38: 4, 42: 16}),
        ("21_lpd_held", {36: 4, 38: 4}),
        ("21b_lpd_held_unsorted_indices", {36: 4, 38: 4}),
        ("22e_lpd_downbeat_rounding_off_by_one", {36: 8, 38: 8, 42: 32}),
        ("22f_lpd_downbeat_missing_one", {36: 8, 38: 8, 42: 32}),
    ],
)
def test_onsets(name, pitches):
    found = np.unique(_read(name).pitch, return_counts=True)
    assert dict(zip(*(column.tolist() for column in found), strict=True)) == pitches


@pytest.mark.parametrize(
    "name",
    [
        "05e_gm2_ch10_melody",
        "13a_melody_named_Steel_Drums",
        "13b_melody_named_Taiko_Drum",
        "13e_melody_named_Drum_Song_bass",
    ],
)
def test_no_drums(name):
    with pytest.raises(NoBars, match="no drums: "):
        _read(name)


@pytest.mark.parametrize(
    ("name", "signatures"),
    [
        ("06b_pickup_same_metre_again_midbar", [FOUR, (1, 4, 4)]),
        ("10_format2", [FOUR, (4, 4, 4)]),
        ("12_ts_4_dd032", [FOUR]),
        ("12b_ts_2_dd33_as_lakh", [FOUR]),
        ("19e_12_8_shuffle", [(0, 12, 8)]),
        ("19h_ts_conflict_two_tracks", [FOUR]),
        ("22e_lpd_downbeat_rounding_off_by_one", [FOUR]),
        ("22f_lpd_downbeat_missing_one", [FOUR]),
    ],
)
def test_time_signatures(name, signatures):
    found = _read(name).time_signatures
    assert [(each.beat, each.numerator, each.denominator) for each in found] == signatures


@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("05_xg_ch11_only", [1, 2]),
        ("06b_pickup_same_metre_again_midbar", [1, 2]),
        ("08q_ntrks2_of_3_drums_third", [0, 1]),
        ("10_format2", [0, 1]),
        ("12b_ts_2_dd33_as_lakh", [0, 1]),
        ("14_click_on_10_drums_named_on_1", [0, 1]),
        ("19h_ts_conflict_two_tracks", [0, 1]),
        ("22e_lpd_downbeat_rounding_off_by_one", [0, 1, 2, 3]),
        ("22f_lpd_downbeat_missing_one", [0, 1, 2, 3]),
    ],
)
def test_bars(name, bars):
    assert quantise(_read(name), GM9).index.tolist() == bars


def test_bars_begin_anew_behind_a_pickup():
    """The groove's kicks are on 1 and 3, its snares on 2 and 4."""
    bars = quantise(_read("06b_pickup_same_metre_again_midbar"), GM9).bars
    assert [bar[:, part].nonzero()[0].tolist() for bar in bars for part in (0, 1)] == [[0, 8], [4, 12]] * 2


def test_a_loop_whose_last_kick_is_early():
    """A kick 40 ticks before the end of one bar, as loud as the one on the first step, which is kept."""
    loop, _ = load_loop(CASES / "midi" / "18_loop_hit_just_before_its_end.mid", GM9, 16)
    assert loop.bars.shape == (1, 16, 9)
    assert loop.bars[0, :, 0].nonzero()[0].tolist() == [0, 8]
