"""From what a user asks for to targets of each bar: counted by hand, and there and back."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan.features import measure_performance, sixteenth_swing
from rhythmgan.groove import swing_at
from rhythmgan.kit import GM12
from rhythmgan.performance import Performance
from rhythmgan.reference import load_reference
from rl_tuner.wishes import Wish, parse_wishes, to_targets

pytestmark = pytest.mark.usefixtures("one_thread")


def _loop(*onsets):
    """A loop whose bars have so many onsets: the first cells, step by step."""
    return Performance.of((np.arange(192) < np.array(onsets)[:, None]).reshape(-1, 16, 12), GM12)


def _locks(loop, *places):
    """Locks of whole bars, counted from 0."""
    locked = np.zeros(loop.bars.shape, bool)
    locked[list(places)] = True
    return locked


def _density(text, loop=None, **options):
    """The targets of density that a text asks for."""
    return to_targets({"density": parse_wishes(text)}, loop, **options).values["density"]


# -- reading ---------------------------------------------------------------------------------------


def test_a_sign_is_a_change_and_a_percent_sign_a_percentile():
    assert parse_wishes("20") == (Wish(20),)
    assert parse_wishes(".5") == (Wish(0.5),)
    assert parse_wishes("+4") == (Wish(4, "change"),)
    assert parse_wishes("-3.5") == (Wish(-3.5, "change"),)
    assert parse_wishes("=-25, =5") == (Wish(-25), Wish(5))
    assert parse_wishes("80%") == (Wish(80, "percentile"),)
    assert parse_wishes("16, +0,-2 ,7.5%") == (Wish(16), Wish(0, "change"), Wish(-2, "change"), Wish(7.5, "percentile"))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WISHES = st.one_of(
    st.builds(Wish, NUMBERS),
    st.builds(Wish, NUMBERS, st.just("change")),
    st.builds(Wish, st.floats(0, 100).map(abs), st.just("percentile")),
)


@given(st.lists(WISHES, min_size=1, max_size=5))
def test_wishes_are_read_as_they_are_written(wishes):
    assert parse_wishes(",".join(map(str, wishes))) == tuple(wishes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(
            (text, "nothing to ask for")
            for text in ("", "x", "20,,20", "nan", "inf", "-inf", "%", "++4", "4 5", "nan%")
        ),
        *((text, "a change and a percentile at once") for text in ("+10%", "-3%", "16,+4%")),
        *((text, "percentiles lie in 0 … 100") for text in ("101%", "1e300%")),
    ],
)
def test_texts_that_are_no_wishes_are_refused_in_one_line(text, says):
    with pytest.raises(ValueError, match=says) as refusal:
        parse_wishes(text)
    assert "\n" not in str(refusal.value)


# -- each bar --------------------------------------------------------------------------------------


def test_without_a_loop_a_number_is_the_target():
    found = to_targets({"density": (Wish(20),), "syncopation": (Wish(6.5),), "swing": (Wish(0.6),)})
    assert found.values == {"density": 20, "syncopation": 6.5, "swing": 0.6}
    assert found.notes == []


def test_with_a_loop_each_bar_has_a_target():
    loop = _loop(8, 12, 8, 19)
    assert _density("20", loop) == [20, 20, 20, 20]
    assert _density("+4", loop) == [12, 16, 12, 23]
    assert _density("-3", loop) == [5, 9, 5, 16]
    assert _density("+0", loop) == [8, 12, 8, 19]
    assert _density("16,16,16,24", loop) == [16, 16, 16, 24]
    assert _density("+0,+0,-1,+6", loop) == [8, 12, 7, 25]
    assert _density("16,+1,+0,2", loop) == [16, 13, 8, 2]
    assert _density("+4", _loop(5)) == [9]


def test_a_feature_that_is_no_count_changes_by_parts():
    bar = np.zeros((1, 16, 12), bool)
    bar[0, [0, 4, 8, 14], 3] = True  # one of four lies off the beat
    own = to_targets({"off-beat share": parse_wishes("+0")}, Performance.of(bar, GM12)).values["off-beat share"]
    more = to_targets({"off-beat share": parse_wishes("+.125")}, Performance.of(bar, GM12)).values["off-beat share"]
    assert own == [0.25]
    assert more == [0.375]


def test_a_percentile_is_that_of_real_bars():
    reference = load_reference()
    dense, even = float(reference.value("density", 80)), float(reference.value("density", 50))
    assert dense > even + 2
    assert _density("80%") == dense
    assert _density("80%,50%,+1", _loop(8, 12, 8)) == [dense, even, 9]
    doubled = SimpleNamespace(value=lambda name, percentile: 2 * reference.value(name, percentile))
    assert _density("80%", reference=doubled) == 2 * dense


def test_a_change_below_nothing_is_bounded_and_said():
    found = to_targets({"density": parse_wishes("-8"), "syncopation": parse_wishes("+1")}, _loop(5, 12, 8, 3))
    assert found.values["density"] == [0, 4, 0, 0]
    assert found.notes == ["density -8: bars 1, 4 have less, and are asked for 0"]
    found = to_targets({"density": parse_wishes("-9,-4,+2")}, _loop(5, 12, 8))
    assert found.values["density"] == [0, 8, 10]
    assert found.notes == ["density -9: bar 1 has less, and is asked for 0"]


def test_a_feature_that_may_be_negative_has_no_bound():
    loop = _loop(8, 12)
    for options in ({}, {"whole_loop": True}):
        own = to_targets({"signed LHL": parse_wishes("+0")}, loop, **options).values["signed LHL"]
        found = to_targets({"signed LHL": parse_wishes("-40")}, loop, **options)
        assert found.values["signed LHL"] == [value - 40 for value in own]
        assert (min(found.values["signed LHL"]) < 0, found.notes) == (True, [])
    assert to_targets({"signed LHL": parse_wishes("=-25")}, loop).values == {"signed LHL": [-25, -25]}


def test_bars_that_are_locked_as_a_whole_keep_what_they_have():
    loop = _loop(8, 12, 8, 19)
    locked = _locks(loop, 1, 3)
    assert _density("20", loop, locked=locked) == [20, 12, 20, 19]
    assert _density("+2", loop, locked=locked) == [10, 12, 10, 19]
    assert to_targets({"density": parse_wishes("-50")}, loop, locked).notes == [
        "density -50: bars 1, 3 have less, and are asked for 0"
    ]
    locked[0, :, :3] = True  # of its parts some are free
    assert _density("20", loop, locked=locked) == [20, 12, 20, 19]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.data())
def test_a_change_and_its_opposite_lead_back(onsets, data):
    changes = data.draw(st.lists(st.integers(0, 60), min_size=len(onsets), max_size=len(onsets)))
    up = _density(",".join(f"+{change}" for change in changes), _loop(*onsets))
    assert up == [onset + change for onset, change in zip(onsets, changes, strict=True)]
    back = _density(",".join(f"-{change}" for change in changes), _loop(*map(int, up)))
    assert back == onsets


# -- the loop as a whole ---------------------------------------------------------------------------


def test_every_bar_carries_its_share_of_a_wish_for_the_loop():
    loop = _loop(8, 12, 8, 20)  # 12 on average
    assert _density("15", loop, whole_loop=True) == [11, 15, 11, 23]
    assert _density("+3", loop, whole_loop=True) == [11, 15, 11, 23]
    assert _density("-2", loop, whole_loop=True) == [6, 10, 6, 18]
    assert _density("+0", loop, whole_loop=True) == [8, 12, 8, 20]


def test_what_locked_bars_cannot_the_others_do():
    loop = _loop(8, 12, 8, 20)
    # 60 in all, of which the locked bars have 32: the others come from 16 to 28
    assert _density("15", loop, locked=_locks(loop, 1, 3), whole_loop=True) == [14, 12, 14, 20]
    assert _density("15", loop, locked=_locks(loop, 0, 1, 2), whole_loop=True) == [8, 12, 8, 32]


def test_what_does_not_divide_evenly_goes_to_equal_bars_together():
    loop = _loop(8, 12, 8, 20)
    # 49 onsets in all are one more: for a bar that has no equal
    assert sum(_density("12.25", loop, whole_loop=True)) == 49
    assert _density("12.25", loop, whole_loop=True)[::2] == [8, 8]
    # two more: for the two that are equal, or for the two others
    two = _density("12.5", loop, whole_loop=True)
    assert (sum(two), two[0] == two[2]) == (50, True)
    # three more: for the two that are equal and one other
    three = _density("12.75", loop, whole_loop=True)
    assert (three[::2], sum(three)) == ([9, 9], 51)
    # four that are equal stay so: nearer than 32 of 33 onsets they cannot come, and it is said
    found = to_targets({"density": parse_wishes("8.25")}, _loop(8, 8, 8, 8), whole_loop=True)
    assert found.values["density"] == [8, 8, 8, 8]
    assert found.notes == ["density 8.25: the loop cannot have 8.25 on average, and is asked for 8"]
    assert _density("8.75", _loop(8, 8, 8, 8), whole_loop=True) == [9, 9, 9, 9]
    # 38 of 37: one more for three that are equal is nearer than none
    assert _density("9.5", _loop(9, 9, 9, 8), whole_loop=True) == [10, 10, 10, 8]


def test_a_bar_that_has_little_to_lose_leaves_it_to_the_others():
    # 40 onsets are to become 20: the first bar has 2 to lose, the others lose 6 each
    found = to_targets({"density": parse_wishes("-5")}, _loop(2, 12, 13, 13), whole_loop=True)
    assert found.values["density"] == [0, 6, 7, 7]
    assert found.notes == []


def test_a_loop_that_cannot_is_bounded_and_said():
    loop = _loop(2, 12, 13, 13)
    found = to_targets({"density": parse_wishes("-20")}, loop, whole_loop=True)
    assert found.values["density"] == [0, 0, 0, 0]
    assert found.notes == ["density -20: the loop cannot have -10 on average, and is asked for 0"]
    found = to_targets({"density": parse_wishes("5")}, loop, _locks(loop, 1, 2), whole_loop=True)
    assert found.values["density"] == [0, 12, 13, 0]
    assert found.notes == ["density 5: the loop cannot have 5 on average, and is asked for 6.25"]
    found = to_targets({"density": parse_wishes("5")}, loop, _locks(loop, 0, 1, 2, 3), whole_loop=True)
    assert found.values["density"] == [2, 12, 13, 13]
    assert found.notes == ["density 5: the loop cannot have 5 on average, and is asked for 10"]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([0, 3, 7, 7, 7, 12, 30]), min_size=1, max_size=8),
    st.floats(0, 40),
    st.sets(st.integers(0, 7)),
)
def test_the_sum_comes_out_right_wherever_it_can(onsets, mean, locked):
    loop = _loop(*onsets)
    locks = _locks(loop, *(place for place in locked if place < len(onsets)))
    is_free = ~locks.all((1, 2))
    targets = np.array(_density(f"{mean!r}", loop, locked=locks, whole_loop=True))
    own = loop.bars.sum((1, 2))
    assert (targets[~is_free] == own[~is_free]).all()
    assert (targets >= 0).all()
    assert (targets == targets.round()).all()
    total = len(onsets) * mean
    if is_free.any():
        for place in np.flatnonzero(is_free):  # bars that are equal stay so
            assert (targets[is_free & (own == own[place])] == targets[place]).all()
        wanted = max(np.floor(total - own[~is_free].sum() + 0.5), 0) + own[~is_free].sum()
        most = max((is_free & (own == own[place])).sum() for place in np.flatnonzero(is_free))
        assert abs(targets.sum() - wanted) <= most / 2
        changes = (targets - own)[is_free & (targets > 0)]
        assert not len(changes) or np.ptp(changes) <= 1


def test_of_a_feature_that_is_no_count_the_mean_is_exact():
    loop = Performance.of(np.random.default_rng(3).random((3, 16, 12)) < 0.1, GM12)
    wanted = to_targets({"off-beat share": parse_wishes(".55")}, loop, whole_loop=True).values["off-beat share"]
    own = to_targets({"off-beat share": parse_wishes("+0")}, loop).values["off-beat share"]
    assert np.mean(wanted) == pytest.approx(0.55)
    assert np.ptp(np.subtract(wanted, own)) == pytest.approx(0, abs=1e-12)


# -- swing -----------------------------------------------------------------------------------------


def _swung(*offsets):
    """Bars whose second sixteenths are so late, in parts of a step."""
    bars = np.zeros((len(offsets), 16, 12), bool)
    bars[:, :, 3] = True
    late = np.zeros(bars.shape)
    late[:, 1::2] = np.array(offsets)[:, None, None]
    return Performance.of(bars, GM12, offsets=late)


def test_a_swing_is_one_for_all_bars_and_changes_from_the_mean_of_the_loop():
    loop = _swung(0.1, 0.3)  # .55 and .65: where the second sixteenth lies in its eighth
    assert sixteenth_swing(loop).tolist() == pytest.approx([0.55, 0.65])
    for text, target in ((".58", 0.58), ("+.04", 0.64), ("-.07", 0.53), ("90%", swing_at(90))):
        found = to_targets({"sixteenth swing": parse_wishes(text)}, loop, whole_loop=True)
        assert found.values["sixteenth swing"] == pytest.approx(target), text
        assert found.notes == []


def test_a_change_of_the_swing_is_bounded_and_said():
    found = to_targets({"sixteenth swing": parse_wishes("-.2")}, _swung(0.1, 0.3))
    assert found.values == {"sixteenth swing": 0.5}
    assert found.notes == ["sixteenth swing -0.2: the loop has 0.6, and is asked for 0.5"]


def test_a_loop_without_off_beats_has_no_swing_to_change():
    loop = _loop(8)
    assert measure_performance(loop, ["sixteenth swing"])["sixteenth swing"].isnan().all()
    with pytest.raises(ValueError, match=r"no off-beats whose sixteenth swing could be changed"):
        to_targets({"sixteenth swing": parse_wishes("+.1")}, loop)


# -- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("density", "+4", {}, r"density \+4 is a change of what a loop has, and needs one"),
        ("swing", "-.1", {}, "swing -0.1 is a change"),
        ("density", "16,16", {}, "needs one: --from-midi"),
        ("density", "16,16", {"given": _loop(8, 12, 8)}, "given 2 values, but the loop has 3 bars"),
        ("density", "16,16", {"given": _loop(8)}, "given 2 values, but the loop has 1 bar"),
        ("density", "16,16", {"given": _loop(8, 8), "whole_loop": True}, "the mean of all bars"),
        ("swing", ".6,.5", {"given": _loop(8, 8)}, "swing is one for all bars, not 2 values"),
        ("loudness", "+4", {"given": _loop(8, 8)}, "'loudness'"),
        ("loudness", "4", {}, "no feature is called 'loudness'; there are density"),
        (".5\n.5", "16,16", {"given": _loop(8)}, r"no feature is called '.5\\n.5'"),
        ("loudness", "80%", {}, "loudness"),
        ("swing", "101%", {}, "percentiles"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(name, text, options, says):
    with pytest.raises(ValueError, match=says) as refusal:
        to_targets({name: parse_wishes(text)}, **options)
    assert "\n" not in str(refusal.value)
