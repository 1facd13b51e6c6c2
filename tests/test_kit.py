"""The tables of parts and pitches."""

import numpy as np
import pytest

from rhythmgan.kit import GM9, JAKI5, KITS, RYTHMGAN7, fold_table, kit_named

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


def test_rythmgan7_by_hand():
    assert RYTHMGAN7.names == ("kick", "snare", "closed hat", "open hat", "tom", "crash", "percussion")
    assert RYTHMGAN7.pitches.tolist() == [36, 38, 42, 46, 47, 49, 54]
    table = RYTHMGAN7.part_of_pitch
    assert [table[pitch] for pitch in (41, 50, 58, 57, 54, 56, 60, 81, 82, 51)] == [4, 4, 4, 5, 6, 6, 6, 6, -1, 6]


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
    for kit in KIT_LIST:
        assert fold_table(kit, kit).tolist() == list(range(kit.n_parts))


@pytest.mark.parametrize(("source", "target"), [(JAKI5, GM9), (RYTHMGAN7, GM9), (JAKI5, RYTHMGAN7), (RYTHMGAN7, JAKI5)])
def test_a_kit_does_not_grow(source, target):
    with pytest.raises(ValueError, match=f"{source.name} cannot be folded into kit {target.name}"):
        fold_table(source, target)


def test_kit_named():
    assert kit_named("GM9") is GM9
    assert kit_named("RythmGAN7") is RYTHMGAN7
    assert kit_named("jaki5") is JAKI5
    with pytest.raises(ValueError, match=f"'tr808'; there are {', '.join(KITS)}"):
        kit_named("tr808")


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
