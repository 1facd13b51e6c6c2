"""Roles of bars: small songs written by hand, what the rule says of them, and the agreement with Groove's labels."""

import numpy as np
import pytest

from rhythmgan.data import split_of
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.roles import FILL, GROOVE, LABELLED_BEAT, LABELLED_FILL, VARIATION, song_roles

ROCK = {"kick": "x.......x.x.....", "snare": "....x.......x...", "closed hat": "x.x.x.x.x.x.x.x."}
ROCK_WITH_CRASH = {**ROCK, "crash": "x..............."}
EXTRA_KICK = {**ROCK, "kick": "x......xx.x....."}
RIDE = {"kick": "x.....x.x.......", "snare": "....x.......x...", "ride": "x...x...x...x..."}
TOMS = {
    "kick": "x...............",
    "snare": "....xxxx........",
    "high tom": "........xxxx....",
    "low tom": "............xxxx",
}
STOP = {"kick": "x...............", "crash": "x..............."}


def bar(lines, kit=GM9):
    steps = len(next(iter(lines.values())))
    cells = np.zeros((steps, kit.n_parts), bool)
    for part, line in lines.items():
        cells[:, kit.names.index(part)] = [cell == "x" for cell in line]
    return cells


def roles(*played, files=None, index=None, labels=None, kit=GM9):
    """The roles of a song that plays these bars, which may be equal."""
    played = [bar(lines, kit) for lines in played]
    distinct = []
    which = []
    for cells in played:
        places = [i for i, other in enumerate(distinct) if np.array_equal(cells, other)]
        which.append(places[0] if places else len(distinct))
        distinct += [] if places else [cells]
    n = len(played)
    files = np.zeros(n, int) if files is None else np.array(files)
    index = np.arange(n) if index is None else np.array(index)
    return song_roles(distinct, np.array(which), files, index, kit, None if labels is None else np.full(n, labels))


def test_a_fill_every_fourth_bar_is_a_fill_however_often_it_comes():
    found = roles(*([ROCK, ROCK, ROCK, TOMS] * 4))
    assert found.role.tolist() == [GROOVE, GROOVE, GROOVE, FILL] * 4
    assert found.plays.tolist() == [12, 12, 12, 4] * 4
    assert (found.plays.dtype, found.role.dtype, found.before_change.dtype) == (np.int32, np.uint8, bool)


def test_a_groove_of_two_bars_is_a_groove():
    assert set(roles(*([ROCK, EXTRA_KICK] * 4)).role) == {GROOVE}
    assert set(roles(*([ROCK, TOMS] * 4)).role) == {GROOVE}


def test_a_groove_with_changes_is_a_variation():
    changed = {**ROCK, "kick": "x..x..x.....x.xx", "snare": "....x.......x..."}
    found = roles(*[ROCK] * 5, changed, *[ROCK] * 5)
    assert found.role.tolist() == [GROOVE] * 5 + [VARIATION] + [GROOVE] * 5


def test_a_break_is_no_fill():
    """Everything stops, and nothing moves."""
    assert roles(*[ROCK] * 5, STOP, *[ROCK] * 5).role[5] == VARIATION


def test_a_crash_that_follows_makes_half_a_fill_one():
    """Two snares and a tom more, counted by hand.

    ROCK counts 3 + 2 + 8 / 2 = 9, the bar 12: they lie 3 / 21 = .143 apart. It moves by 2 / 2 + 1. Its score is
    .143 / .3 + 2 / 5 = .876, and 1.126 before a crash.
    """
    half = {**ROCK, "snare": "....x.......xxx.", "low tom": "...............x"}
    assert roles(*[ROCK] * 5, half, *[ROCK] * 5).role[5] == VARIATION
    found = roles(*[ROCK] * 5, half, ROCK_WITH_CRASH, *[ROCK] * 5)
    assert found.role[5] == FILL
    assert np.flatnonzero(found.before_crash).tolist() == [5]


def test_two_taps_in_an_empty_bar_are_no_fill():
    """They lie far from a groove of few onsets, 2 / 4 apart, but move by 1."""
    quiet = {"closed hat": "x...x..........."}
    assert roles(*[quiet] * 5, {**quiet, "snare": "........x...x..."}, *[quiet] * 5).role[5] == VARIATION


def test_a_crash_after_a_missing_bar_does_not_follow():
    assert roles(ROCK, ROCK_WITH_CRASH, ROCK, index=[0, 1, 2]).before_crash.tolist() == [True, False, False]
    assert not roles(ROCK, ROCK_WITH_CRASH, ROCK, index=[0, 2, 3]).before_crash.any()
    assert not roles(ROCK, ROCK_WITH_CRASH, files=[0, 1], index=[0, 1]).before_crash.any()
    assert not roles(ROCK_WITH_CRASH, ROCK_WITH_CRASH).before_crash.any()


def test_where_the_groove_changes():
    found = roles(*[ROCK] * 8, *[RIDE] * 8)
    assert np.flatnonzero(found.before_change).tolist() == [7, 15]
    assert set(found.role) == {GROOVE}
    with_fill = roles(*[ROCK] * 7, TOMS, *[RIDE] * 8)
    assert np.flatnonzero(with_fill.before_change).tolist() == [7, 15]
    assert with_fill.role.tolist() == [GROOVE] * 7 + [FILL] + [GROOVE] * 8
    # the same groove goes on after the fill: no change
    assert np.flatnonzero(roles(*[ROCK] * 7, TOMS, *[ROCK] * 8).before_change).tolist() == [15]


def test_every_file_ends_with_a_change_and_has_its_own_neighbours():
    found = roles(*[ROCK] * 6, *[RIDE] * 6, files=[3] * 6 + [5] * 6, index=[*range(6), *range(6)])
    assert np.flatnonzero(found.before_change).tolist() == [5, 11]
    assert set(found.role) == {GROOVE}
    # versions of one song count together
    assert roles(ROCK, ROCK, ROCK, RIDE, files=[0, 0, 1, 1], index=[0, 1, 0, 1]).plays.tolist() == [3, 3, 3, 1]


def test_people_are_measured_by_their_own_scatter():
    """Ghost notes come and go in every bar: no bar is a fill. The same toms are one among them."""
    random = np.random.default_rng(3)

    def played():
        ghosts = "".join("x" if step in (4, 12) or random.random() < 0.3 else "." for step in range(16))
        hats = "".join("x" if random.random() < 0.9 and step % 2 == 0 else "." for step in range(16))
        return {**ROCK, "snare": ghosts, "closed hat": hats}

    found = roles(*[played() for _ in range(9)], TOMS, *[played() for _ in range(9)])
    assert np.flatnonzero(found.role == FILL).tolist() == [9]
    assert (found.role == GROOVE).sum() >= 12  # two thirds of the others


def test_bars_of_unlike_grids_are_compared_in_time():
    """The rock bar on a grid of 32 is the same rhythm: no variation. Triplet toms among them are a fill."""
    fine = {part: "".join(cell + "." for cell in line) for part, line in ROCK.items()}
    triplets = {"snare": "xxxxxx......", "low tom": "......xxxxxx"}
    found = roles(*[ROCK] * 5, fine, triplets, *[ROCK] * 5)
    assert found.role.tolist() == [GROOVE] * 6 + [FILL] + [GROOVE] * 5
    assert found.plays.tolist() == [5 + 5] * 5 + [1, 1] + [10] * 5


@pytest.mark.parametrize(
    ("lines", "role"),
    [
        (ROCK, GROOVE),  # 2 + 2 + 8 signs
        ({"kick": "x.......x.......", "snare": "....x.......x..."}, GROOVE),  # 2 + 2
        (TOMS, FILL),  # 2 + 0 − 8
        (STOP, VARIATION),  # 2 + 0 + 1
        ({"closed hat": "x...x...x......."}, VARIATION),  # 3, a count-in
        ({"kick": "x......x.......x", "ride": "x...x..........."}, GROOVE),  # 2 + 2
    ],
)
def test_a_bar_by_itself(lines, role):
    assert roles(lines).role.tolist() == [role]
    assert roles(lines, lines).role.tolist() == [role] * 2


def test_labels_come_first():
    assert roles(TOMS, STOP, labels=LABELLED_FILL).role.tolist() == [FILL, VARIATION]  # what a fill lands on
    assert roles(*[ROCK] * 6, labels=LABELLED_FILL).role.tolist() == [FILL] * 6
    assert roles(TOMS, labels=LABELLED_BEAT).role.tolist() == [GROOVE]
    song = [*[ROCK] * 5, TOMS, *[ROCK] * 5]
    assert roles(*song, labels=LABELLED_BEAT).role.tolist() == roles(*song).role.tolist()


def test_the_parts_of_a_kit_go_by_their_names():
    names = {"closed hat": "closed cymbals", "high tom": "toms", "low tom": "toms"}

    def folded(lines):
        return {names.get(part, part): line for part, line in lines.items()}

    toms = {"kick": TOMS["kick"], "snare": TOMS["snare"], "toms": "........xxxxxxxx"}
    found = roles(*[folded(ROCK)] * 5, toms, *[folded(ROCK)] * 5, kit=JAKI5)
    assert found.role.tolist() == [GROOVE] * 5 + [FILL] + [GROOVE] * 5


def test_what_is_no_song():
    rock, none = [bar(ROCK)], np.zeros(0, int)
    with pytest.raises(ValueError, match="a song has bars"):
        song_roles(rock, none, none, none, GM9)
    with pytest.raises(ValueError, match="got 2, 1, 2"):
        song_roles(rock, np.zeros(2, int), np.zeros(1, int), np.arange(2), GM9)
    with pytest.raises(ValueError, match="kit jaki5"):
        song_roles(rock, np.zeros(1, int), np.zeros(1, int), np.arange(1), JAKI5)


def test_a_slow_loop_finds_the_same_neighbours():
    """Unlike and the groove around, by sorting all bars around."""
    from rhythmgan.roles import _groove_around

    random = np.random.default_rng(1)
    lengths = (1, 2, 3, 4, 5, 6, 7, 30)
    n, m = sum(lengths), 9
    which = random.integers(0, m, n)
    distance = random.random((m, m))
    start = np.repeat(np.cumsum((0, *lengths[:-1])), lengths)
    end = np.repeat(np.cumsum(lengths), lengths)
    around, unlike = _groove_around(which, start, end, distance)
    for row in range(n):
        lowest = max(start[row], min(row - 3, end[row] - 7))
        others = [j for j in range(lowest, min(end[row], lowest + 7)) if j != row]
        if not others:
            assert unlike[row] == np.inf
            continue
        found = sorted((distance[which[row], which[j]], j) for j in others)[len(others) > 3]
        assert (unlike[row], around[row]) == (found[0], which[found[1]])


def test_agreement_with_the_labels_of_groove(groove_songs):
    """Without labels, on songs that the numbers were not chosen on; beats hold fills of their own."""
    shares = {"beat": [], "fill": []}
    for song, label, found in groove_songs:
        if split_of(song) != "train":
            distinct, which = np.unique(found.bars, axis=0, return_inverse=True)
            files = np.zeros(len(found.index), int)
            shares[label].append(song_roles(list(distinct), which.reshape(-1), files, found.index, GM9).role == FILL)
    assert np.concatenate(shares["fill"]).mean() > 0.65
    assert 0.1 < np.concatenate(shares["beat"]).mean() < 0.2
