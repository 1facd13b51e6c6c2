"""The tables of parts and pitches."""

import contextlib

import numpy as np
import pytest

from rhythmgan.grid import NoBars
from rhythmgan.kit import GM9, GM12, JAKI5, KITS, ROLAND10, RYTHMGAN7, STREAMS, Kit, fold_table, kit_named, kit_with
from rhythmgan.midi_reader import read_midi

KIT_LIST = list(KITS.values())


def test_gm9_by_hand():
    assert GM9.n_parts == 9
    assert GM9.names == (
        "kick",
        "snare",
        "closed hat",
        "open hat",
        "low tom",
        "mid tom",
        "high tom",
        "ride",
        "crash",
    )
    assert GM9.pitches.tolist() == [36, 38, 42, 46, 43, 47, 50, 51, 49]
    by_part = [
        [35, 36],
        [37, 38, 39, 40],
        [22, 42, 44],
        [26, 46],
        [41, 43, 58],
        [45, 47],
        [48, 50],
        [51, 53, 59],
        [49, 52, 55, 57],
    ]
    assert [np.flatnonzero(GM9.part_of_pitch == part).tolist() for part in range(9)] == by_part
    assert (GM9.part_of_pitch == -1).sum() == 128 - 25


def test_gm12_by_hand():
    assert GM12.names == (*GM9.names, "shaker", "conga", "bell")
    assert GM12.parts[:9] == GM9.parts
    assert GM12.pitches.tolist() == [36, 38, 42, 46, 43, 47, 50, 51, 49, 70, 63, 56]
    by_part = {
        9: [54, 69, 70, 73, 74, 82, 83],  # tambourine, cabasa, maracas, guiros, shaker, jingle bell
        10: [60, 61, 62, 63, 64, 65, 66, 78, 79, 86, 87],  # bongos, congas, timbales, cuicas, surdos
        11: [56, 67, 68, 75, 76, 77, 80, 81, 85],  # cowbell, agogos, claves, wood blocks, triangles, castanets
    }
    table = GM12.part_of_pitch
    assert {part: np.flatnonzero(table == part).tolist() for part in by_part} == by_part
    assert (table[table < 9] == GM9.part_of_pitch[table < 9]).all()
    # effects, signals, clicks: a roll on a bell tree, whistles, what General MIDI 2 and XG disagree on
    assert {pitch: int(table[pitch]) for pitch in (84, 71, 72, 25, 27, 28, 31, 33, 34, 88, 0, 127)} == dict.fromkeys(
        (84, 71, 72, 25, 27, 28, 31, 33, 34, 88, 0, 127), -1
    )
    assert table[58] == GM12.names.index("low tom")
    assert {stream: GM12.parts_of(stream) for stream in STREAMS} == {
        "low": [0],
        "mid": [1, 4, 5, 6, 10],
        "high": [2, 3, 7, 8, 9, 11],
    }


def test_roland10_by_hand():
    """The classes of Ravula and Cao (2019) in their order; 35, 39 and 41 are of General MIDI and not in their table."""
    assert ROLAND10.names == (
        "kick",
        "snare",
        "high tom",
        "low-mid tom",
        "floor tom",
        "open hat",
        "closed hat",
        "crash",
        "ride",
    )
    theirs = [
        {36},
        {38, 40, 37},
        {48, 50},
        {45, 47},
        {43, 58},
        {46, 26},
        {42, 22, 44},
        {49, 55, 57, 52},
        {51, 59, 53},
    ]
    assert sum(map(len, theirs)) == 22
    added = [{35}, {39}, set(), set(), {41}, set(), set(), set(), set()]
    for part, (pitches, more) in enumerate(zip(theirs, added, strict=True)):
        assert set(np.flatnonzero(ROLAND10.part_of_pitch == part).tolist()) == pitches | more


def test_rythmgan7_by_hand():
    assert RYTHMGAN7.names == ("kick", "snare", "closed hat", "open hat", "tom", "crash", "percussion")
    assert RYTHMGAN7.pitches.tolist() == [36, 38, 42, 46, 47, 49, 54]
    table = RYTHMGAN7.part_of_pitch
    assert [table[pitch] for pitch in (41, 50, 58, 57, 54, 56, 60, 81, 82, 51)] == [4, 4, 4, 5, 6, 6, 6, 6, 6, 6]
    assert [table[pitch] for pitch in (71, 72, 84, 34, 88)] == [6, 6, -1, -1, -1]


def test_jaki5_by_hand():
    assert JAKI5.names == ("kick", "snare", "closed cymbals", "open cymbals", "toms")
    assert JAKI5.pitches.tolist() == [36, 38, 42, 46, 47]
    table = JAKI5.part_of_pitch
    assert [table[pitch] for pitch in (35, 40, 51, 44, 49, 57, 41, 54, 34)] == [0, 1, 2, 2, 3, 3, 4, -1, -1]


@pytest.mark.parametrize("kit", KIT_LIST, ids=lambda kit: kit.name)
def test_every_kit_is_sound(kit):
    folds = [pitch for part in kit.parts for pitch in part.folds]
    assert len(folds) == len(set(folds))
    assert all(part.pitch in part.folds for part in kit.parts)
    assert kit.part_of_pitch[kit.pitches].tolist() == list(range(kit.n_parts))
    assert kit.names[0] == "kick"
    assert len(set(kit.names)) == kit.n_parts


def test_fold_tables_by_hand():
    assert fold_table(GM9, RYTHMGAN7).tolist() == [0, 1, 2, 3, 4, 4, 4, 6, 5]
    assert fold_table(GM9, JAKI5).tolist() == [0, 1, 2, 3, 4, 4, 4, 2, 3]
    assert fold_table(GM9, ROLAND10).tolist() == [0, 1, 6, 5, 4, 3, 2, 8, 7]
    assert fold_table(GM12, GM9).tolist() == [*range(9), -1, -1, -1]
    assert fold_table(GM12, RYTHMGAN7).tolist() == [0, 1, 2, 3, 4, 4, 4, 6, 5, 6, 6, 6]
    assert fold_table(GM12, JAKI5).tolist() == [0, 1, 2, 3, 4, 4, 4, 2, 3, -1, -1, -1]
    assert fold_table(GM12, ROLAND10).tolist() == [0, 1, 6, 5, 4, 3, 2, 8, 7, -1, -1, -1]
    assert fold_table(GM9, GM12).tolist() == [*range(9)]
    for kit in KIT_LIST:
        assert fold_table(kit, kit).tolist() == list(range(kit.n_parts))
        assert fold_table(kit, kit).dtype == np.int64


@pytest.mark.parametrize(
    ("source", "target"),
    [(source, target) for source in (GM12, GM9) for target in KIT_LIST if target.n_parts <= source.n_parts],
    ids=lambda kit: kit.name,
)
def test_two_ways_into_a_kit_lead_to_the_same_part(source, target):
    """A pitch read into a kit, and read into a larger kit that is then folded: no pitch that both hold differs."""
    direct, folding = target.part_of_pitch, fold_table(source, target)
    through = np.where(source.part_of_pitch >= 0, folding[source.part_of_pitch], -1)
    both = (source.part_of_pitch >= 0) & (direct >= 0)
    assert (through[both] == direct[both]).all()
    # nor does a pitch arrive by one way only, but for whistles, which GM12 has no part for, and GM9's hand percussion
    lost = np.flatnonzero((direct >= 0) & (through < 0)).tolist()
    percussion = [54, 56, *range(60, 84), 85, 86, 87]
    assert lost == {(GM12, RYTHMGAN7): [71, 72], (GM9, RYTHMGAN7): percussion}.get((source, target), [])
    assert not ((through >= 0) & (direct < 0)).any()


def test_what_hand_percussion_drops_is_dropped_and_no_part_of_the_nine():
    narrow = Kit("narrow", tuple(part for part in GM9.parts if part.name != "crash"))
    for source in (GM12, GM9):
        with pytest.raises(ValueError, match=f"{source.name} cannot be folded into kit narrow"):
            fold_table(source, narrow)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (JAKI5, GM9),
        (RYTHMGAN7, GM9),
        (JAKI5, RYTHMGAN7),
        (RYTHMGAN7, JAKI5),
        (ROLAND10, GM9),
        (ROLAND10, JAKI5),
    ],
)
def test_a_kit_does_not_grow(source, target):
    with pytest.raises(ValueError, match=f"{source.name} cannot be folded into kit {target.name}"):
        fold_table(source, target)


def test_kit_named():
    assert kit_named("GM9") is GM9
    assert kit_named("RythmGAN7") is RYTHMGAN7
    assert kit_named("jaki5") is JAKI5
    with pytest.raises(ValueError, match=f"'tr808'; there are {', '.join(KITS)}"):
        kit_named("tr808")


def test_kit_with_so_many_parts():
    assert [kit_with(n) for n in (12, 9, 7, 5)] == [GM12, GM9, RYTHMGAN7, JAKI5]
    for n in (0, 8, 10):
        with pytest.raises(
            ValueError, match=rf"no kit has {n} parts; there are 12 \(gm12\), 9 \(gm9\), 7 .* 5 \(jaki5\)"
        ):
            kit_with(n)


def test_real_songs_lose_little_to_gm12(shared):
    """At most 3 % of all drum onsets of the Lakh files, and none of Groove's."""
    outside = {}
    for source in ("lakh", "groove"):
        n = np.zeros(128, int)
        for path in (shared / source).rglob("*.mid"):
            with contextlib.suppress(NoBars):
                n += np.bincount(read_midi(path).pitch, minlength=128)
        outside[source] = n[GM12.part_of_pitch < 0].sum() / n.sum()
    assert outside["lakh"] < 0.03
    assert outside["groove"] == 0


@pytest.mark.parametrize(
    ("file_name", "part"),
    [
        ("Shaker 01", "shaker"),
        ("Tambourine", "shaker"),
        ("Jingle Bells", "shaker"),
        ("sleigh_bell", "shaker"),
        ("HiConga", "conga"),
        ("Bongos-2", "conga"),
        ("Timbale", "conga"),
        ("Cowbell", "bell"),
        ("CowBell", "bell"),
        ("Agogo", "bell"),
        ("wood block", "bell"),
        ("Triangle_open", "bell"),
        ("Ride Bell", "ride"),
        ("bells", "bell"),
        ("conga and bell", None),
        ("Closed Hat", "closed hat"),
        ("perc", None),
    ],
)
def test_part_of_gm12_named_by(file_name, part):
    assert GM12.part_named_by(file_name) == (None if part is None else GM12.names.index(part))


@pytest.mark.parametrize(
    ("file_name", "part"),
    [
        ("Kick_01", "kick"),
        ("bass drum 2", "kick"),
        ("BassDrum", "kick"),
        ("BD", "kick"),
        ("03-Snare-Ghost", "snare"),
        ("Claps", "snare"),
        ("Hi_Hat_01", "closed hat"),
        ("HiHat", "closed hat"),
        ("Closed Hi-Hat 3", "closed hat"),
        ("ch", "closed hat"),
        ("Open Hat", "open hat"),
        ("OpenHat4", "open hat"),
        ("hi_hat_open", "open hat"),
        ("HiHatOpen", "open hat"),
        ("OH", "open hat"),
        ("OHH_02", "open hat"),
        ("Trap HHO 1", "open hat"),
        ("CHH", "closed hat"),
        ("hhc-03", "closed hat"),
        ("Kik 4", "kick"),
        ("Snr_01", "snare"),
        ("808", None),  # a machine, or its kick: a loop pack knows which
        ("Floor Tom 2", "low tom"),
        ("TomLow", "low tom"),
        ("Tom3", "mid tom"),
        ("tom_mid", "mid tom"),
        ("high_tom", "high tom"),
        ("Tom_Hi", "high tom"),
        ("RIDE", "ride"),
        ("Crash Cymbal", "crash"),
        ("snare_and_hat", None),
        ("KickSnare", None),
        ("melody", None),
        ("kicker", None),
        ("that", None),
        ("", None),
    ],
)
def test_part_named_by(file_name, part):
    assert GM9.part_named_by(file_name) == (None if part is None else GM9.names.index(part))


@pytest.mark.parametrize("file_name", ["Open Hi-Hat 01", "Open_Hi_Hat", "OpenHiHat"])
@pytest.mark.parametrize("kit", KIT_LIST, ids=lambda kit: kit.name)
def test_an_open_hi_hat_is_no_closed_one(kit, file_name):
    assert kit.part_named_by(file_name) == kit.part_of_pitch[46]


def test_file_names_of_the_smaller_kits():
    assert RYTHMGAN7.part_named_by("Conga 2") == 6
    assert RYTHMGAN7.part_named_by("floor tom") == 4
    assert JAKI5.part_named_by("Ride") == 2
    assert JAKI5.part_named_by("crash_01") == 3
    assert JAKI5.part_named_by("conga") is None
