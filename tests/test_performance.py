"""How bars are played: velocities, offsets, tempo and swing, and when each onset sounds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.bars import GRIDS, fold_bars
from rhythmgan.grid import NoBars, Onsets, TimeSignature, quantise
from rhythmgan.kit import GM9, GM12, JAKI5, KITS, ROLAND10, RYTHMGAN7
from rhythmgan.performance import (
    MAX_LOOP,
    Performance,
    Playback,
    accents,
    as_performance,
    as_performances,
    events,
    onsets_to_performance,
)

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)


def _bar(*cells, steps=16, n_parts=9):
    bar = np.zeros((steps, n_parts), bool)
    for step, part in cells:
        bar[step, part] = True
    return bar


def played(shape, kit=GM9, seed=0, density=0.3):
    """A performance of random bars, velocities and offsets."""
    random = np.random.default_rng([seed, *shape])
    bars = random.random(shape) < density
    return Performance.of(bars, kit, random.integers(1, 128, shape), random.uniform(-0.5, 0.5, shape))


def equal(a, b):
    """Whether two performances are the same."""
    columns = zip((a.bars, a.velocities, a.offsets), (b.bars, b.velocities, b.offsets), strict=True)
    return a.kit == b.kit and all(np.array_equal(one, other) for one, other in columns)


# -- performances --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "beat", "first"),
    [
        (12, [76, 76], 112),
        (16, [76, 88, 76], 112),
        (24, [76, 76, 88, 76, 76], 112),
        (32, [76, 76, 76, 88, 76, 76, 76], 112),
        (48, [76] * 5 + [88] + [76] * 5, 112),
    ],
)
def test_accents_by_hand(steps, beat, first):
    velocities = accents(steps)
    assert velocities.dtype == np.uint8
    assert velocities.tolist() == [first, *beat, *([100, *beat] * 3)]


def test_bare_bars_get_accents_on_the_grid():
    bar = _bar((0, 0), (2, 8), (3, 1), (4, 1))
    performance = Performance.of(np.stack([bar, bar]))
    assert performance.bars.shape == (2, 16, 9)
    assert performance.velocities.dtype == np.uint8
    assert performance.offsets.dtype == np.float32
    for level in performance.velocities:
        assert {(int(s), int(p)): int(level[s, p]) for s, p in np.argwhere(level)} == {
            (0, 0): 112,
            (2, 8): 88,
            (3, 1): 76,
            (4, 1): 100,
        }
    assert not performance.offsets.any()
    assert Performance.of(bar).bars.shape == (1, 16, 9)
    assert Performance.of(np.zeros((5, 2, 16, 9), bool)).bars.shape == (5, 2, 16, 9)


def test_cells_that_do_not_sound_have_neither():
    bar = _bar((3, 2), (7, 0))
    performance = Performance.of(bar, GM9, np.arange(144).reshape(16, 9) % 127 + 1, np.full((16, 9), -0.25))
    assert performance.velocities[0, 3, 2] == 30
    assert performance.velocities[0, 7, 0] == 64
    assert performance.velocities.sum() == 94
    assert performance.offsets.sum() == -0.5
    assert ((performance.velocities > 0) == performance.bars).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bars": np.zeros((1, 16, 5), bool)}, "kit gm9"),
        ({"bars": np.zeros((1, 20, 9), bool)}, "not 20"),
        ({"bars": np.zeros((0, 16, 9), bool)}, "n at least 1"),
        ({"bars": np.zeros((16, 9), bool)}, "expected bars"),
        ({"bars": np.ones((1, 16, 9), np.uint8)}, "expected bars .* bool"),
        ({"velocities": np.full((1, 16, 9), 90)}, "expected velocities .* uint8"),
        ({"velocities": np.full((2, 16, 9), 90, np.uint8)}, "expected velocities"),
        ({"velocities": np.full((1, 16, 9), 128, np.uint8)}, "velocities lie in 1 … 127; found 128"),
        ({"velocities": np.zeros((1, 16, 9), np.uint8)}, "a velocity over 0 where it sounds"),
        ({"bars": np.zeros((1, 16, 9), bool)}, "a velocity over 0 where it sounds"),
        ({"offsets": np.zeros((1, 16, 9))}, "expected offsets .* float32"),
        ({"offsets": np.full((1, 16, 9), 0.51, np.float32)}, "offsets lie in"),
        ({"offsets": np.full((1, 16, 9), -0.51, np.float32)}, "offsets lie in"),
        ({"offsets": np.full((1, 16, 9), np.nan, np.float32)}, "offsets lie in"),
        ({"kit": JAKI5}, "kit jaki5"),
    ],
)
def test_what_is_no_performance(changes, says):
    whole = Performance.of(np.ones((16, 9), bool), GM9, np.array(90), np.array(0.5))
    with pytest.raises(ValueError, match=says):
        replace(whole, **changes)
    late = np.full((1, 16, 9), 0.1, np.float32)
    with pytest.raises(ValueError, match="does not sound has no offset"):
        replace(Performance.of(np.zeros((16, 9), bool)), offsets=late)


@pytest.mark.parametrize("offset", [-0.51, 0.51, math.nan, math.inf])
def test_offsets_out_of_range(offset):
    with pytest.raises(ValueError, match="offsets lie in"):
        Performance.of(np.ones((16, 9), bool), GM9, None, np.array(offset))
    for inside in (-0.5, 0.5):
        assert Performance.of(np.ones((16, 9), bool), GM9, None, np.array(inside)).offsets.min() == inside


def test_other_bars_in_the_same_playing():
    """A kick stays, a snare goes, a hat comes on an eighth, a crash on the one."""
    first = Performance.of(_bar((0, 0), (4, 1), (9, 0)), GM9, np.array(33), np.array(-0.125))
    other = first.with_bars(_bar((0, 0), (0, 8), (6, 2), (9, 0))[None])
    assert {(int(s), int(p)): int(other.velocities[0, s, p]) for s, p in np.argwhere(other.bars[0])} == {
        (0, 0): 33,
        (0, 8): 112,
        (6, 2): 88,
        (9, 0): 33,
    }
    assert other.offsets[0, [0, 9], 0].tolist() == [-0.125, -0.125]
    assert other.offsets.sum() == -0.375  # the crash is as early as the kick that it falls with
    assert equal(first.with_bars(first.bars), first)


def test_what_is_new_in_a_swung_loop_swings_with_it():
    """Hats on sixteenths, the second of each two a fifth of a step late; on the last beat there are none."""
    bars = np.zeros((2, 16, 9), bool)
    bars[:, :12, 2] = True
    offsets = np.zeros(bars.shape)
    offsets[:, 1::2] = 0.2
    loop = Performance.of(bars, GM9, offsets=offsets)
    more = bars.copy()
    more[0, [0, 3, 6], 0] = more[1, [13, 14], 1] = True
    other = loop.with_bars(more)
    np.testing.assert_allclose(other.offsets[0, [0, 3, 6], 0], [0, 0.2, 0], atol=1e-6)
    np.testing.assert_allclose(other.offsets[1, [13, 14], 1], [0.2, 0], atol=1e-6)
    np.testing.assert_array_equal(loop.with_bars(np.stack([more, bars]))[0].offsets, other.offsets)


def test_several_variations_in_the_playing_of_a_loop():
    loop = played((2, 16, 9))
    others = np.stack([loop.bars, ~loop.bars, loop.bars[::-1]])
    varied = loop.with_bars(others)
    assert varied.bars.shape == (3, 2, 16, 9)
    assert equal(varied[0], loop)
    assert (varied[1].velocities == Performance.of(~loop.bars).velocities).all()
    assert equal(varied[1], loop.with_bars(~loop.bars))
    assert equal(varied[2], loop.with_bars(loop.bars[::-1]))
    with pytest.raises(ValueError, match="expected bars of shape"):
        loop.with_bars(loop.bars[:1])
    with pytest.raises(ValueError, match="expected bars of shape"):
        loop.with_bars(loop.bars[0])


def test_bars_are_taken_out_and_put_together():
    loop = played((4, 12, 5), JAKI5)
    assert len(loop) == 4
    np.testing.assert_array_equal(loop[np.array([3, 0, 3])].velocities, loop.velocities[[3, 0, 3]])
    apart = loop.apart()
    assert apart.bars.shape == (4, 1, 12, 5)
    assert equal(apart[2], loop[2:3])
    assert equal(Performance.joined([apart[i] for i in range(4)]), loop)
    with pytest.raises(ValueError, match="a bar"):
        apart.apart()
    with pytest.raises(ValueError, match="n at least 1"):
        loop[:0]


def test_folding_by_hand():
    """Closed hat and ride fold into one: the louder stays with its offset, and of equals the first."""
    bar = _bar((0, 2), (0, 7), (1, 2), (1, 7), (2, 7), (3, 0))
    velocities = np.zeros((16, 9), int)
    offsets = np.zeros((16, 9))
    for step, part, velocity, offset in (
        (0, 2, 40, 0.1),
        (0, 7, 90, 0.2),
        (1, 2, 70, 0.3),
        (1, 7, 70, 0.4),
        (2, 7, 5, -0.5),
        (3, 0, 127, 0.25),
    ):
        velocities[step, part], offsets[step, part] = velocity, offset
    folded = Performance.of(bar, GM9, velocities, offsets).folded(JAKI5)
    assert folded.kit == JAKI5
    assert folded.velocities[0, :4, 2].tolist() == [90, 70, 5, 0]
    np.testing.assert_allclose(folded.offsets[0, :4, 2], [0.2, 0.3, -0.5, 0], rtol=1e-6)
    assert folded.velocities[0, 3, 0] == 127
    assert folded.velocities.sum() == 90 + 70 + 5 + 127


def test_what_the_kit_has_no_part_for_is_dropped_with_how_it_is_played():
    bar = _bar((0, 7), (0, 9), (1, 10), (2, 11), (2, 5), n_parts=12)
    velocities, offsets = np.zeros((16, 12)), np.zeros((16, 12))
    for step, part, velocity, offset in (
        (0, 7, 60, 0.1),
        (0, 9, 90, -0.2),
        (1, 10, 33, 0.3),
        (2, 11, 127, 0.4),
        (2, 5, 8, -0.1),
    ):
        velocities[step, part], offsets[step, part] = velocity, offset
    whole = Performance.of(bar, GM12, velocities, offsets)
    nine = whole.folded(GM9)
    assert equal(nine, Performance.of(bar[:, :9], GM9, velocities[:, :9], offsets[:, :9]))
    seven = whole.folded(RYTHMGAN7)
    assert seven.velocities[0, :3].tolist() == [[0] * 6 + [90], [0] * 6 + [33], [0, 0, 0, 0, 8, 0, 127]]
    np.testing.assert_allclose(seven.offsets[0, :3, 6], [-0.2, 0.3, 0.4], rtol=1e-6)
    only_percussion = Performance.of(_bar((3, 9), n_parts=12)).folded(GM9)
    assert not only_percussion.bars.any()
    assert len(only_percussion) == 1


@pytest.mark.parametrize("kit", [GM9, RYTHMGAN7, JAKI5, ROLAND10], ids=lambda kit: kit.name)
@pytest.mark.parametrize("source", [GM12, GM9], ids=lambda kit: kit.name)
def test_folded_accents_are_the_accents_of_folded_bars(source, kit):
    bars = played((3, 2, 16, source.n_parts), source, density=0.4).bars
    assert equal(Performance.of(bars).folded(kit), Performance.of(fold_bars(bars, source, kit), kit))


def test_a_performance_does_not_grow():
    bars = played((3, 2, 16, 9)).bars
    with pytest.raises(ValueError, match="cannot be folded"):
        Performance.of(bars[..., :5], JAKI5).folded(GM9)


def test_bare_bars_and_performances_are_taken_alike():
    loop = played((2, 16, 5), JAKI5)
    assert as_performance(loop) is loop
    assert as_performance(loop, JAKI5) is loop
    assert equal(as_performance(loop.bars, JAKI5), Performance.of(loop.bars, JAKI5))
    for kit in (GM12, GM9, RYTHMGAN7, JAKI5):
        assert as_performance(np.zeros((16, kit.n_parts), bool)).kit == kit
        assert as_performances(np.zeros((2, 16, kit.n_parts), bool), 2).kit == kit
    assert equal(as_performances(loop, 2), loop.apart())
    assert equal(as_performances(loop.bars, 2, JAKI5), Performance.of(loop.bars, JAKI5).apart())
    for call in (lambda: as_performance(loop, GM9), lambda: as_performances(loop, 2, GM9)):
        with pytest.raises(ValueError, match="kit jaki5, not gm9"):
            call()
    with pytest.raises(ValueError, match="or a loop"):
        as_performance(loop.apart())
    with pytest.raises(ValueError, match="3 bars or loops, one for each name"):
        as_performances(loop, 3)


# -- playback ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bpm", [3.99, 1000.01, 0, -120, math.nan, math.inf])
def test_tempi_out_of_range(bpm):
    with pytest.raises(ValueError, match="the tempo lies between 4 and 1000 beats a minute, not"):
        Playback(bpm)


@pytest.mark.parametrize("swing", [0.45, math.nextafter(0.5, 0), math.nextafter(0.7, 1), 0.75, math.nan])
def test_swing_out_of_range(swing):
    with pytest.raises(ValueError, match=r"swing lies between 0\.5 \(straight\) and 0\.7, not at"):
        Playback(swing=swing)


def test_the_ends_of_the_ranges_are_inside():
    assert Playback(4, 0.5).step_beats(16)[1] == 0.25
    assert Playback(1000, 0.7).step_beats(16)[1] == pytest.approx(0.35)
    assert (Playback().bpm, Playback().swing) == (120, 0.5)


@pytest.mark.parametrize("steps", [12, 24, 48])
def test_triplets_do_not_swing(steps):
    with pytest.raises(ValueError, match=f"{steps} steps has no sixteenths to swing"):
        Playback(swing=math.nextafter(0.5, 1)).step_beats(steps)
    assert len(Playback(swing=0.5).step_beats(steps)) == steps + 1


@pytest.mark.parametrize("steps", GRIDS)
def test_straight_steps_are_even(steps):
    np.testing.assert_allclose(Playback().step_beats(steps), np.linspace(0, 4, steps + 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("swing", [0.5, 0.55, 0.6, 2 / 3, 0.7])
def test_swung_steps_by_hand(swing):
    """Eighths stay; between them a sixteenth lies at the swing's share, and thirty-seconds halve what is between."""
    sixteenths = Playback(swing=swing).step_beats(16)
    assert sixteenths.shape == (17,)
    np.testing.assert_allclose(sixteenths[::2], np.arange(9) / 2, atol=1e-12)
    np.testing.assert_allclose(sixteenths[1::2], np.arange(8) / 2 + swing / 2, atol=1e-12)
    finer = Playback(swing=swing).step_beats(32)
    np.testing.assert_allclose(finer[::2], sixteenths, atol=1e-12)
    np.testing.assert_allclose(finer[1::2], (sixteenths[1:] + sixteenths[:-1]) / 2, atol=1e-12)


def test_a_grid_that_is_none_has_no_steps():
    with pytest.raises(ValueError, match="not 20"):
        Playback().step_beats(20)


# -- events --------------------------------------------------------------------------------------


def _rows(found):
    return list(
        zip(found.bar.tolist(), found.beat.round(6).tolist(), found.part.tolist(), found.velocity.tolist(), strict=True)
    )


def test_events_by_hand():
    bars = np.stack([_bar((0, 0), (4, 1)), _bar((3, 2))])
    offsets = np.zeros((2, 16, 9))
    offsets[0, 0, 0], offsets[0, 4, 1], offsets[1, 3, 2] = 0.25, -0.5, 0.125
    found = events(Performance.of(bars, GM9, np.array(77), offsets))
    assert _rows(found) == [(0, 0.0625, 0, 77), (0, 0.875, 1, 77), (1, 0.78125, 2, 77)]
    assert found.loop.tolist() == [0, 0, 0]
    assert found.since.tolist() == [-0.125, 0.875, 0.625]
    assert found.until.tolist() == [0.125, 1.125, 0.875]
    assert found.ticks(480).tolist() == [30, 420, 1920 + 375]


def test_what_comes_before_the_loop_begins_with_it():
    """In the second bar a kick may be early, even before the late hat of the first."""
    bars = np.stack([_bar((0, 0), (15, 2)), _bar((0, 0))])
    offsets = np.where(np.arange(9) == 0, -0.4, 0.45)
    found = events(Performance.of(bars, GM9, None, offsets))
    assert _rows(found) == [(0, 0, 0, 112), (0, 3.8625, 2, 76), (1, -0.1, 0, 112)]
    assert found.ticks(480).tolist() == [0, 1854, 1872]
    crossed = events(Performance.of(np.stack([_bar((15, 2)), _bar((0, 0))]), GM9, None, np.array([-0.5, 0, 0.49] * 3)))
    assert crossed.ticks(480).tolist() == [1859, 1860]


def test_swing_bends_offsets_too():
    """At .6 the steps lie at 0, .3, .5: half a step late is .15, .4; half a step early -.1 and .15."""
    bars = np.stack([_bar((0, 0), (1, 0), (2, 0))] * 2)
    late = events(Performance.of(bars, GM9, None, np.array(0.5)), Playback(swing=0.6))
    np.testing.assert_allclose(late.beat, [0.15, 0.4, 0.65] * 2)
    early = events(Performance.of(bars, GM9, None, np.array(-0.5)), Playback(swing=0.6))
    np.testing.assert_allclose(early.beat, [0, 0.15, 0.4, -0.1, 0.15, 0.4])


@every_grid
@given(st.integers(0, 10**6), st.floats(0.5, 0.7))
def test_events_are_in_order_and_every_cell_has_one(steps, seed, swing):
    performance = played((3, 2, steps, 9), seed=seed)
    found = events(performance, Playback(swing=swing if steps % 3 else 0.5))
    assert len(found.part) == performance.bars.sum()
    when = found.loop * 1000 + found.bar * 4 + found.beat
    assert (np.diff(when) >= 0).all()
    alone = [events(performance[i], Playback(swing=swing if steps % 3 else 0.5)) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([each.beat for each in alone]), found.beat)
    np.testing.assert_array_equal(np.concatenate([each.velocity for each in alone]), found.velocity)


@every_grid
@pytest.mark.parametrize("per_beat", [24, 480])
def test_a_tick_is_read_back_in_its_own_cell(steps, per_beat):
    """An offset of just under half a step would round onto the next one."""
    for offset in (-0.5, -0.4999, 0.4999, 0.5):
        bars = np.ones((2, steps, 9), bool)
        performance = Performance.of(bars, GM9, None, np.array(offset))
        found = events(performance)
        tick = found.ticks(per_beat)
        assert (np.abs(tick / per_beat - (found.bar * 4 + found.beat)) <= 1 / per_beat + 1e-9).all()
        read = quantise(Onsets(tick / per_beat, GM9.pitches[found.part], found.velocity), GM9, steps)
        np.testing.assert_array_equal(read.bars, bars)


# -- from onsets ---------------------------------------------------------------------------------


def test_a_songs_playing_from_its_first_bar_that_sounds():
    """Bars 1 and 3 of a song sound; a kick is a twentieth of a beat early on the one of bar 3."""
    beat = np.array([4.5, 6.3, 11.95])
    onsets = Onsets(beat, np.array([38, 42, 36], np.uint8), np.array([99, 11, 127], np.uint8), bpm=93.5)
    performance, playback = onsets_to_performance(onsets, GM9)
    assert playback == Playback(93.5, 0.5)
    assert performance.bars.shape == (3, 16, 9)
    assert [tuple(place) for place in np.argwhere(performance.bars).tolist()] == [(0, 2, 1), (0, 9, 2), (2, 0, 0)]
    assert performance.velocities[performance.bars].tolist() == [99, 11, 127]
    np.testing.assert_allclose(performance.offsets[performance.bars], [0, 0.2, -0.2], atol=1e-6)


def _loop(beats, n_beats, pitches=36, velocities=90, steps=16, **options):
    """Cells, velocities and offsets of the loop that onsets make."""
    n = len(beats)
    pitch, velocity = (np.broadcast_to(np.array(values, np.uint8), n) for values in (pitches, velocities))
    performance, _ = onsets_to_performance(
        Onsets(np.array(beats), pitch, velocity, n_beats=n_beats, **options), GM9, steps
    )
    cells = np.argwhere(performance.bars).tolist()
    offsets = performance.offsets[performance.bars].astype(float).round(3).tolist()
    return len(performance), list(
        zip(map(tuple, cells), performance.velocities[performance.bars].tolist(), offsets, strict=True)
    )


def test_what_is_early_at_the_end_of_a_loop_belongs_to_its_beginning():
    """40 of 480 ticks before the end of one bar: a third of a sixteenth early on the first step."""
    kick, snare = ((0, 0, 0), 77, -0.333), ((0, 4, 1), 90, 0)
    beats, pitches, velocities = [1, 4 - 40 / 480], [38, 36], [90, 77]
    assert _loop(beats, 4, pitches, velocities) == (1, [kick, snare])
    # the recorder was stopped before the end, or a tick after it
    assert _loop(beats, 3.95, pitches, velocities) == (1, [kick, snare])
    assert _loop(beats, 4 + 1 / 24, pitches, velocities) == (1, [kick, snare])
    # on a coarser grid more is early; more than half a step is a step of its own
    assert _loop([1, 3.84], 4, pitches, velocities, steps=12) == (1, [((0, 0, 0), 77, -0.48), ((0, 3, 1), 90, 0)])
    assert _loop([1, 3.84], 4, pitches, velocities) == (1, [((0, 4, 1), 90, 0), ((0, 15, 0), 77, 0.36)])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_loops_of_any_length_begin_again(n):
    beats = [*range(4 * n), 4 * n - 0.1, 4 * n - 0.05]
    length, cells = _loop(beats, 4 * n, [36] * (4 * n) + [38, 42])
    assert length == n
    assert [cell for cell, *_ in cells[:3]] == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]
    assert [late for *_, late in cells[:3]] == [0, -0.4, -0.2]
    assert len(cells) == 4 * n + 2


def test_the_louder_one_of_the_first_step_is_heard():
    assert _loop([0, 3.95], 4, velocities=[90, 90])[1] == [((0, 0, 0), 90, 0)]
    assert _loop([0, 3.95], 4, velocities=[90, 91])[1] == [((0, 0, 0), 91, -0.2)]


def test_a_loop_begins_again_with_its_first_bar_that_sounds():
    assert _loop([9, 11.95], 12) == (1, [((0, 0, 0), 90, -0.2), ((0, 4, 0), 90, 0)])
    waltz_before = (TimeSignature(0, 3, 4), TimeSignature(3, 4, 4))
    assert _loop([4, 6.95], 7, time_signatures=waltz_before) == (1, [((0, 0, 0), 90, -0.2), ((0, 4, 0), 90, 0)])


@pytest.mark.parametrize(
    ("beats", "n_beats"),
    [
        pytest.param([1, 3.95], 0, id="no end is known"),
        pytest.param([1, 3.95], 5, id="a beat is written behind the bar line"),
        pytest.param([1, 3.95], 8, id="another bar is written"),
        pytest.param([1, 3.95, 4.02], 4.02, id="something sounds behind the bar line"),
        pytest.param([1, 4], 4, id="on the bar line"),
    ],
)
def test_what_is_early_on_a_bar_that_is_written_stays_there(beats, n_beats):
    length, cells = _loop(beats, n_beats)
    assert length == 2
    assert [cell for cell, *_ in cells] == [(0, 4, 0), (1, 0, 0)]


@pytest.mark.parametrize(("bpm", "read"), [(3.576, 4), (4, 4), (87.3, 87.3), (1000, 1000), (60e6, 1000)])
def test_tempi_of_songs_are_brought_into_range(bpm, read):
    onsets = Onsets(np.zeros(1), np.array([36], np.uint8), np.array([90], np.uint8), bpm=bpm)
    assert onsets_to_performance(onsets, GM9)[1].bpm == read


def test_a_beat_of_twelve_eight_is_a_dotted_quarter():
    """180 quarter notes a minute are 120 of its beats; a kick lies an eighth before the end of the second bar."""
    signatures = (TimeSignature(0, 12, 8),)
    beats = np.array([0, 1.5, 6, 11.5, 11.9])
    onsets = Onsets(beats, np.full(5, 36, np.uint8), np.full(5, 90, np.uint8), signatures, 180, n_beats=12)
    performance, playback = onsets_to_performance(onsets, GM9, 12)
    assert playback.bpm == 120
    assert [tuple(place) for place in np.argwhere(performance.bars).tolist()] == [
        (0, 0, 0),
        (0, 3, 0),
        (1, 0, 0),
        (1, 11, 0),
    ]
    # a waltz before it says nothing of the bars that are read
    signatures = (TimeSignature(0, 3, 4), TimeSignature(3, 12, 8))
    onsets = Onsets(np.array([0, 3.0, 4.5]), np.full(3, 36, np.uint8), np.full(3, 90, np.uint8), signatures, 180)
    assert onsets_to_performance(onsets, GM9, 12)[1].bpm == 120


def _loop_to(*beat, n_beats, signatures=()):
    """The cells of a loop of kicks whose track ends at ``n_beats``, and how many bars it has."""
    onsets = Onsets(
        np.array(beat), np.full(len(beat), 36, np.uint8), np.full(len(beat), 90, np.uint8), signatures, n_beats=n_beats
    )
    bars = onsets_to_performance(onsets, GM9)[0].bars
    return [tuple(place) for place in np.argwhere(bars[..., 0]).tolist()], len(bars)


@pytest.mark.parametrize("rings", [0, 0.01, 1 / 24, 0.06, 0.125, 0.5, 0.99])
def test_a_last_hit_may_ring_on_behind_the_end_of_its_loop(rings):
    """A bar of 4/4 with a hit an eleventh of a beat before its end; then two bars of it."""
    assert _loop_to(1, 2, 3.91, n_beats=4 + rings) == ([(0, 0), (0, 4), (0, 8)], 1)
    assert _loop_to(1, 4, 7.91, n_beats=8 + rings) == ([(0, 0), (0, 4), (1, 0)], 2)
    # behind a time signature bars begin anew
    signatures = (TimeSignature(0, 4, 4), TimeSignature(1, 4, 4))
    assert _loop_to(1, 2, 4.91, n_beats=5 + rings, signatures=signatures) == ([(0, 0), (0, 4)], 1)


def test_a_hit_before_the_end_of_a_song_that_goes_on():
    # an onset behind the line; an end a beat behind it; a hit that is not early
    assert _loop_to(1, 3.91, 4.3, n_beats=4.5) == ([(0, 4), (1, 0), (1, 1)], 2)
    assert _loop_to(1, 3.91, n_beats=5) == ([(0, 4), (1, 0)], 2)
    assert _loop_to(1, 3.8, n_beats=4.5) == ([(0, 4), (0, 15)], 1)


def test_why_a_song_has_no_loop():
    def onsets(*beat):
        return Onsets(np.array(beat), np.full(len(beat), 36, np.uint8), np.full(len(beat), 90, np.uint8))

    with pytest.raises(NoBars, match="no drums"):
        onsets_to_performance(onsets(), GM9)
    longest = 4.0 * (MAX_LOOP - 1)
    assert len(onsets_to_performance(onsets(8, 8 + longest), GM9, 12)[0]) == MAX_LOOP
    with pytest.raises(NoBars, match="too long: 65,537 bars"):
        onsets_to_performance(onsets(8, 12 + longest), GM9, 12)
