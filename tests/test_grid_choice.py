"""Which grid a bar is on."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.grid import NoBars, quantise_by_grid
from rhythmgan.grid_choice import OWN_GRIDS, SHARE, TOLERANCE, choose_grids
from rhythmgan.kit import GM9
from rhythmgan.midi_reader import read_midi

BEATS = np.arange(4.0)
EIGHTHS = np.arange(8) / 2
SIXTEENTHS = np.arange(16) / 4
SHUFFLE = np.sort(np.concatenate([BEATS, BEATS + 2 / 3]))
TRIPLETS = np.arange(12) / 3
SEXTUPLETS = np.arange(24) / 6
ROLL = np.concatenate([EIGHTHS, 2 + np.arange(16) / 8])
HALF_TIME_SHUFFLE = np.sort(np.concatenate([EIGHTHS, EIGHTHS + 1 / 3]))
QUINTUPLETS = np.arange(20) / 5


def _choose(*bars, is_ternary=False):
    row = np.repeat(np.arange(len(bars)), [len(bar) for bar in bars])
    return choose_grids(np.concatenate(bars), row, len(bars), np.full(len(bars), is_ternary)).tolist()


def test_each_grid_by_its_own_rhythm():
    assert _choose(SIXTEENTHS, TRIPLETS, ROLL, SEXTUPLETS, QUINTUPLETS) == [16, 12, 32, 24, 0]
    assert _choose(EIGHTHS, SHUFFLE, HALF_TIME_SHUFFLE) == [16, 12, 24]


def test_bars_that_are_not_there():
    assert choose_grids(np.zeros(0), np.zeros(0, int), 0, np.zeros(0, bool)).tolist() == []


@pytest.mark.parametrize(
    ("n_off", "shift", "steps"),
    [(3, TOLERANCE, 16), (3, -TOLERANCE, 16), (3, TOLERANCE + 0.001, 12), (3, -TOLERANCE - 0.001, 12), (2, 0, 12)],
)
def test_nine_in_ten_onsets_within_the_tolerance(n_off, shift, steps):
    """Twenty onsets in a shuffle, all on beats but for two or three near the second sixteenth: three are too many for
    twelve steps."""
    bar = np.tile(BEATS, 5)
    bar[:n_off] = 0.25 + shift
    assert _choose(*[SHUFFLE] * 15, bar)[-1] == steps


def test_a_bar_of_quarters_takes_the_grid_around_it():
    assert _choose(BEATS, SHUFFLE, BEATS) == [12, 12, 12]
    assert _choose(BEATS, EIGHTHS, BEATS) == [16, 16, 16]
    assert _choose(SEXTUPLETS, BEATS, SEXTUPLETS) == [24, 24, 24]
    # near bars count more: the song's second part is in triplets
    assert _choose(*[EIGHTHS] * 12, BEATS, *[BEATS] * 12, BEATS, *[SHUFFLE] * 12)[12:26] == [16] * 7 + [12] * 7
    assert _choose(BEATS) == [16]
    assert _choose(BEATS[:1], BEATS[2:]) == [16, 16]


def test_a_few_onsets_follow_their_song():
    off_beat = np.array([2 / 3])
    assert _choose(off_beat) == [12]
    # a single onset on a thirty-second makes no bar of thirty-seconds in a song that has none
    assert _choose(EIGHTHS, np.array([0.625]), EIGHTHS) == [16, 0, 16]
    assert _choose(ROLL, np.array([0.625]), ROLL) == [32, 32, 32]


def test_one_stray_of_eight():
    stray = np.append(EIGHTHS[:-1], 3.43)
    assert _choose(*[EIGHTHS] * 12, stray) == [16] * 13
    assert _choose(stray) == [16]


def test_twelve_eight():
    assert _choose(TRIPLETS, SEXTUPLETS, BEATS, is_ternary=True) == [12, 24, 12]
    assert _choose(SIXTEENTHS, ROLL, is_ternary=True) == [0, 0]
    assert _choose(*[SHUFFLE + 0.05] * 4, is_ternary=True) == [12] * 4


ONSETS = st.lists(
    st.one_of(st.sampled_from([*SIXTEENTHS, *TRIPLETS, *SEXTUPLETS, *ROLL]), st.floats(0, 3.99)),
    min_size=4,
    max_size=24,
)


@given(st.lists(ONSETS, min_size=1, max_size=3))
def test_the_rule_for_machines_by_a_slow_loop(bars):
    """In a song that is on grids but for a tenth of its bars at most."""
    around = [SIXTEENTHS, TRIPLETS] * 15
    chosen = _choose(*around, *(np.array(bar) for bar in bars))
    assert chosen[:30] == [16, 12] * 15
    for bar, grid in zip(bars, chosen[30:], strict=True):
        shares = {}
        for steps in OWN_GRIDS:
            near = [min(abs(onset - step * 4 / steps) for step in range(steps + 1)) for onset in bar]
            shares[steps] = sum(distance <= TOLERANCE + 1e-7 for distance in near) / len(bar)
        fitting = [steps for steps in (16, 12, 24, 32) if shares[steps] >= SHARE]
        if {16, 12} <= set(fitting):
            assert grid in (16, 12)
        elif fitting:
            assert grid == fitting[0]
        else:
            assert grid == 0 or shares[grid] >= 0.75


def _people(bar, n, scatter, delay=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [bar + delay + rng.normal(0, scatter, len(bar)) for _ in range(n)]


@pytest.mark.parametrize("scatter", [0.02, 0.03, 0.04])
@pytest.mark.parametrize("delay", [0.0, -0.06, 0.06])
@pytest.mark.parametrize(("bar", "steps"), [(SIXTEENTHS, 16), (np.append(EIGHTHS, BEATS), 16), (SHUFFLE, 12)])
def test_people_are_on_the_grid_that_they_mean(bar, steps, delay, scatter):
    chosen = _choose(*_people(bar, 60, scatter, delay))
    assert np.mean(np.array(chosen) == steps) >= 0.95


@pytest.mark.parametrize(("bar", "steps"), [(ROLL, 32), (HALF_TIME_SHUFFLE, 24)])
def test_people_are_on_fine_grids_where_they_are_exact(bar, steps):
    assert np.mean(np.array(_choose(*_people(bar, 60, 0.02))) == steps) >= 0.95


def test_a_machine_that_is_late():
    assert _choose(*[np.append(EIGHTHS, [0.25, 1.75]) + 1 / 12] * 20) == [16] * 20


def _swung(swing, period=1.0):
    """A ride on each eighth, and kick and snare on the beats; or the same twice as fast."""
    beats = np.arange(0, 4, period)
    return np.sort(np.concatenate([beats, beats, beats + swing * period]))


JAZZ = np.array([0, 1, 1, 1.5, 2, 3, 3, 3.5])


@pytest.mark.parametrize("n", [1, 2, 16])
@pytest.mark.parametrize(
    ("swing", "steps"),
    [(264 / 480, 16), (0.55, 16), (0.56, 16), (0.57, 16), (0.58, 16), (0.585, 12), (0.6, 32), (0.62, 32), (0.63, 12)],
)
def test_a_machine_that_swings_lightly_is_on_sixteenths(n, swing, steps):
    """From .5875 on all onsets are on thirty-seconds, and from .6292 on twelfths."""
    assert _choose(*[_swung(swing)] * n) == [steps] * n
    jazz = np.where(JAZZ % 1 == 0.5, JAZZ - 0.5 + swing, JAZZ)
    assert _choose(*[jazz] * n) == [steps] * n


@pytest.mark.parametrize("swing", [0.55, 0.565, 0.58])
def test_swung_sixteenths_of_a_machine_are_on_sixteenths(swing):
    assert _choose(*[_swung(swing, 0.5)] * 16) == [16] * 16


def test_a_swing_among_straight_bars():
    swung = _swung(0.56)
    assert _choose(*[EIGHTHS] * 16, *[swung] * 16) == [16] * 32
    assert _choose(swung, BEATS, swung, SIXTEENTHS, swung) == [16] * 5
    # the whole kit is late
    assert _choose(*[swung + 0.05] * 16) == [16] * 16
    # 12/8 has no eighths to swing
    assert _choose(*[swung] * 16, is_ternary=True) == [0] * 16


def _band(bar, swing, n, scatter):
    return _people(np.where(bar % 1 == 0.5, bar - 0.5 + swing, bar), n, scatter)


@pytest.mark.parametrize("scatter", [4 / 480, 8 / 480, 12 / 480])
@pytest.mark.parametrize(("swing", "steps"), [(0.55, 16), (0.57, 16), (0.6, 12), (0.61, 12), (0.62, 12), (0.63, 12)])
def test_people_who_swing_have_one_grid(swing, steps, scatter):
    for bar in (_swung(0.5), JAZZ):
        assert np.mean(np.array(_choose(*_band(bar, swing, 60, scatter))) == steps) >= 0.98


def test_a_roll_of_people_who_swing():
    """Three quarters of a bar are thirty-seconds."""
    roll = np.concatenate([[0, 0.61], 1 + np.arange(24) / 8])
    bars = [*_band(JAZZ, 0.61, 8, 0.015), roll, *_band(JAZZ, 0.61, 8, 0.015)]
    assert _choose(*bars) == [12] * 8 + [32] + [12] * 8


@pytest.mark.parametrize("n", [1, 2, 8, 60])
def test_what_is_on_no_grid(n):
    rng = np.random.default_rng(n)
    for bar in (QUINTUPLETS, np.arange(28) / 7, np.arange(7) * 4 / 7):
        assert _choose(*[bar] * n) == [0] * n
    songs = 100 // n + 1
    anywhere = [grid for _ in range(songs) for grid in _choose(*(rng.uniform(0, 4, 12) for _ in range(n)))]
    assert np.mean(np.array(anywhere) == 0) >= (0.65 if n < 8 else 0.95)


def _grid_of_bars(onsets):
    """Bar → grid, 0 for none; only of songs in 4/4."""
    found = quantise_by_grid(onsets, GM9)
    return {bar: steps for steps, bars in found.by_grid.items() for bar in bars.index.tolist()}


def test_lakh_bars_that_are_on_exactly_one_grid(shared):
    """Nine in ten onsets within 15 % of a sixteenth of it: by the simplest grid, and by one that is alone."""
    agreed = {"simplest": [], "alone": []}
    for path in sorted((shared / "lakh" / "lmd_full").glob("*/*.mid")):
        try:
            onsets = read_midi(path)
        except NoBars:
            continue
        if any((signature.numerator, signature.denominator) != (4, 4) for signature in onsets.time_signatures):
            continue
        if len(onsets.time_signatures) > 1:
            continue
        bar = np.floor((onsets.beat + TOLERANCE) / 4).astype(int)
        _, row, count = np.unique(bar, return_inverse=True, return_counts=True)
        fits = []
        for steps in (16, 12, 24, 32):
            exact = onsets.beat * steps / 4
            near = np.abs(exact - np.rint(exact)) * 4 / steps <= TOLERANCE + 1e-9
            fits.append(np.bincount(row, near) >= SHARE * count - 1e-9)
        fits = np.array(fits).T[count >= 4]
        chosen = _grid_of_bars(onsets)
        # a bar without an onset of the kit is not there
        chosen = np.array([chosen.get(place, -1) for place in np.unique(bar)[count >= 4].tolist()])
        fits, chosen = fits[chosen >= 0], chosen[chosen >= 0]
        simplest = np.array([16, 12, 24, 32])[fits.argmax(1)]
        is_one = fits.any(1) & ~(fits[:, 0] & fits[:, 1])
        agreed["simplest"].append((simplest == chosen)[is_one])
        agreed["alone"].append((simplest == chosen)[fits.sum(1) == 1])
    agreed = {name: np.concatenate(found) for name, found in agreed.items()}
    assert len(agreed["simplest"]) > 100_000
    assert len(agreed["alone"]) > 3_000
    assert agreed["simplest"].mean() > 0.999
    assert agreed["alone"].mean() > 0.99


def test_groove_is_on_the_grid_of_its_style(shared):
    styles = defaultdict(Counter)
    with open(shared / "groove" / "info.csv", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            path = shared / "groove" / row["midi_filename"]
            if row["time_signature"] == "4-4" and path.exists():
                styles[row["style"]].update(_grid_of_bars(read_midi(path)).values())
    for style, steps, least in (
        ("funk", 16, 0.95),
        ("dance/disco", 16, 0.95),
        ("latin/brazilian-bossa", 16, 0.95),
        ("country", 16, 0.95),
        ("rock", 16, 0.83),  # one in eight is played in triplets
        ("rock/rockabilly", 12, 0.95),
        ("afrocuban/bembe", 12, 0.95),
        ("blues/shuffle", 12, 0.85),
        ("jazz/swing", 12, 0.7),
    ):
        assert styles[style][steps] / styles[style].total() > least, (style, styles[style])
    fine = sum(found[32] + found[24] for found in styles.values()) / sum(found.total() for found in styles.values())
    assert fine < 0.03
