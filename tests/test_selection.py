"""Which bars a dump takes: criteria as they are written, no loop twice, and where the search ends."""

import numpy as np
import pytest

from rhythmgan.bars import fold_bars
from rhythmgan.features import FEATURES
from rhythmgan.generate.selection import OPERATORS, Criterion, Search, Selection, View, hash_loops, parse_criteria
from rhythmgan.kit import GM9, GM12, JAKI5

# --- Criteria ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["density>=12"], ["density >= 12"]),
        (["  kick density  <  4 "], ["kick density < 4"]),
        (["off-beat share!=.5"], ["off-beat share != 0.5"]),
        (["short-sighted LHL == -3"], ["short-sighted LHL == -3"]),
        (["WNBD<=1.5e1"], ["WNBD <= 15"]),
        (["density>12 and kick density<4 and nPVI>+2."], ["density > 12", "kick density < 4", "nPVI > 2"]),
        # in any order, each once
        (["kick density<4", "density>12.0 and kick density < 4"], ["density > 12", "kick density < 4"]),
    ],
)
def test_criteria_are_read(texts, expected):
    found = parse_criteria(texts)
    assert list(map(str, found)) == expected
    assert parse_criteria(map(str, found)) == found


def test_every_feature_may_be_asked_for_in_every_way():
    for name in FEATURES:
        for sign in OPERATORS:
            assert parse_criteria([f"{name}{sign}2"]) == (Criterion(name, sign, 2.0),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("densty>=12", r"no feature is called 'densty'; there are density, kick density, .*nPVI"),
        ("Density>=12", r"no feature is called 'Density'"),
        ("kick  density>=12", r"no feature is called 'kick  density'"),
        ("swing>=.6", r"no feature is called 'swing'"),
        ("__import__('os').getcwd()>=1", r"no feature is called"),
        ("density=12", r"no operator is written '='; there are >=, <=, >, <, ==, !="),
        ("density=>12", r"no operator is written '=>'"),
        ("density<>12", r"no operator is written '<>'"),
        ("density>=", r"'density>=' is no criterion: it has the form FEATURE OPERATOR NUMBER, such as 'density>=12'"),
        ("density", "is no criterion"),
        ("", "is no criterion"),
        (">=12", "is no criterion"),
        ("12<=density", "is no criterion"),
        ("8<=density<=12", "is no criterion"),
        ("density>=1_0", "is no criterion"),
        ("density>=nan", "is no criterion"),
        ("density>=0x10", "is no criterion"),
        ("density>=12 or density<4", "is no criterion"),
        ("density>=12 and", "is no criterion"),
        ("density>=12and kick density<4", "is no criterion"),
        ("density>=1e999", "too large"),
    ],
)
def test_other_texts_are_refused_with_what_there_is(text, says):
    with pytest.raises(ValueError, match=says):
        parse_criteria([text])


def _bars(*rows):
    """Single bars (n, 1, 16, 9), each with closed hats on these steps."""
    bars = np.zeros((len(rows), 1, 16, 9), bool)
    for bar, steps in zip(bars, rows, strict=True):
        bar[0, list(steps), 2] = True
    return bars


def _take(selection, bars, kits=(GM9,)):
    return selection.take([View(fold_bars(bars, GM9, kit), kit) for kit in kits]).tolist()


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        (">=", [0, 0, 1, 1, 1]),
        ("<=", [1, 1, 1, 0, 0]),
        (">", [0, 0, 0, 1, 1]),
        ("<", [1, 1, 0, 0, 0]),
        ("==", [0, 0, 1, 0, 0]),
        ("!=", [1, 1, 0, 1, 1]),
    ],
)
def test_operators_compare_as_they_are_written(sign, expected):
    bars = _bars((), (3,), (3, 5), (0, 1, 2), range(16))
    assert _take(Selection(parse_criteria([f"density{sign}2"]), unique=False), bars) == expected


def test_a_share_that_no_float_is_equals_itself():
    """Two of five onsets come again: 4 / 5."""
    bars = _bars((0, 3, 7, 8, 11), (0, 3, 8, 11))
    assert _take(Selection(parse_criteria(["repetition==.8"]), unique=False), bars) == [1, 0]


def test_all_criteria_hold_in_every_bar_of_a_phrase():
    quiet, full, kicked = _bars((0,), range(8), range(8))[:, 0]
    kicked[[0, 4, 8], 0] = True
    phrases = np.stack([[full, full], [full, quiet], [quiet, full], [full, kicked], [kicked, kicked]])
    wanted = ["density>=8", "kick density<3"]
    assert _take(Selection(parse_criteria(wanted[:1]), unique=False), phrases) == [1, 0, 0, 1, 1]
    assert _take(Selection(parse_criteria(wanted), unique=False), phrases) == [1, 0, 0, 0, 0]


def test_a_feature_that_the_grid_has_not_is_said():
    bars = np.zeros((1, 1, 12, 9), bool)
    with pytest.raises(ValueError, match="Keith's measure is defined on 16 and 32 steps, not 12"):
        Selection(parse_criteria(["Keith>1"]), unique=False).take([View(bars, GM9)])


# --- No loop twice -----------------------------------------------------------------------------------


def test_the_first_of_equal_bars_is_taken():
    selection = Selection((), unique=True)
    assert _take(selection, _bars((1,), (2,), (1,), (), (2,))) == [1, 1, 0, 1, 0]
    assert _take(selection, _bars((3,), (), (3,), (1, 2))) == [1, 0, 0, 1]
    assert _take(selection, _bars()) == []


def test_a_bar_that_was_left_out_does_not_keep_others_away():
    selection = Selection(parse_criteria(["density>=2"]), unique=True)
    assert _take(selection, _bars((1,), (1,), (1, 2), (1, 2))) == [0, 0, 1, 0]


def test_phrases_are_compared_as_a_whole():
    a, b = _bars((1,), (2,))[:, 0]
    assert _take(Selection((), unique=True), np.stack([[a, b], [b, a], [a, a], [a, b]])) == [1, 1, 1, 0]


def test_bars_are_new_in_the_kits_that_they_are_written_in():
    """Ride and closed hat are one part of jaki's."""
    hat, ride, snare = np.zeros((3, 1, 16, 9), bool)
    hat[0, 3, 2] = ride[0, 3, 7] = snare[0, 3, 1] = True
    bars = np.stack([hat, ride, snare, ride, hat])
    assert _take(Selection((), unique=True), bars) == [1, 1, 1, 0, 0]
    assert _take(Selection((), unique=True), bars, [JAKI5]) == [1, 0, 1, 0, 0]
    assert _take(Selection((), unique=True), bars, [GM9, JAKI5]) == [1, 0, 1, 0, 0]


def test_criteria_hold_in_every_kit():
    """Two parts that fold into one are one onset."""
    bars = np.zeros((2, 1, 16, 12), bool)
    bars[0, 0, 3, [2, 7]] = bars[1, 0, [3, 4], [2, 7]] = True
    selection = Selection(parse_criteria(["density>=2"]), unique=False)
    assert selection.take([View(bars, GM12)]).tolist() == [1, 1]
    assert selection.take([View(bars, GM12), View(fold_bars(bars, GM12, JAKI5), JAKI5)]).tolist() == [0, 1]


@pytest.mark.parametrize("kits", [[GM9], [JAKI5], [GM9, JAKI5]])
@pytest.mark.parametrize("sizes", [[400], [1] * 400, [7, 193, 1, 99, 100]])
def test_what_is_taken_does_not_depend_on_the_batches(kits, sizes):
    """Beside a set of cells and a loop over the bars."""
    random = np.random.default_rng(3)
    bars = np.zeros((400, 1, 16, 9), bool)
    bars[:, 0, :3, [1, 2, 7]] = random.random((3, 400, 3)) < 0.4
    criteria = parse_criteria(["density>=2"])
    expected, seen = [], [set() for _ in kits]
    for bar in bars:
        cells = [fold_bars(bar, GM9, kit).tobytes() for kit in kits]
        meets = all(sum(each) >= 2 for each in cells)
        expected.append(meets and all(each not in known for each, known in zip(cells, seen, strict=True)))
        for each, known in zip(cells, seen, strict=True):
            known |= {each} if meets else set()
    assert 30 < sum(expected) < 300
    selection = Selection(criteria, unique=True)
    batches = np.split(bars, np.cumsum(sizes)[:-1])
    assert [taken for batch in batches for taken in _take(selection, batch, kits)] == expected


def _mixed(x):
    """SplitMix64's finaliser on Python's own whole numbers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def test_the_hash_is_that_of_the_cells_in_eights():
    """Of 2 × 5 steps × parts: two bytes, the first cell the highest bit, then zeros up to eight bytes."""
    bars = np.zeros((2, 1, 2, 5), bool)
    bars[1, 0, 0, 0] = bars[1, 0, 1, 4] = True
    assert hash_loops(bars).tolist() == [_mixed(1), _mixed((0b10000000 | 0b01000000 << 8) + 1)]


def test_hashes_tell_cells_from_cells():
    """All bars of up to two onsets in 32 steps and 12 parts, in any layout of memory."""
    cells = np.eye(384, dtype=bool)
    first, second = np.triu_indices(384)
    bars = np.concatenate([np.zeros((1, 384), bool), cells[first] | cells[second]]).reshape(-1, 1, 32, 12)
    hashes = hash_loops(bars)
    assert len(bars) == 1 + 384 * 385 // 2
    assert len(np.unique(hashes)) == len(bars)
    np.testing.assert_array_equal(hash_loops(np.asfortranarray(bars)), hashes)


# --- Where the search ends ---------------------------------------------------------------------------


def _searched(n, tries, fitting, size, first=10, end=200):
    search = Search(first, n, tries)
    found, start = [], first
    while not search.is_over and start < end:
        seeds = range(start, min(start + size, end))
        fits = np.array([seed in fitting for seed in seeds])
        found += [seeds[place] for place in search.take(seeds, fits)]
        start = seeds.stop
    return found, search


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 190])
@pytest.mark.parametrize(
    ("n", "tries", "fitting", "expected", "tried", "is_over"),
    [
        (3, 5, {10, 12, 13, 14}, [10, 12, 13], 4, True),
        (3, 5, {15, 20, 25}, [], 5, True),  # the sixth would have fitted
        (3, 6, {15, 20, 25}, [15, 20, 25], 16, True),
        (3, 4, {12, 14, 19, 20}, [12, 14], 9, True),
        (3, 5, {12, 14, 19, 20}, [12, 14, 19], 10, True),
        (2, 1, {10, 11}, [10, 11], 2, True),
        (1, 100, {199}, [], 100, True),
        (2, 150, {12, 140}, [12, 140], 131, True),
        (3, 150, {12, 140}, [12, 140], 190, False),  # there are no more seeds
    ],
)
def test_a_search_ends_where_it_has_enough_or_tries_in_vain(size, n, tries, fitting, expected, tried, is_over):
    found, search = _searched(n, tries, fitting, size)
    assert found == expected
    assert (search.found, search.tried, search.is_over) == (len(expected), tried, is_over)
    assert search.last == max([9, *expected])
    assert search.in_vain == tried - (search.last - 9)
