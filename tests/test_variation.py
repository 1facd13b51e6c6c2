"""Variations and fills: what is locked stays, and what is made is what the generator would make around it."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan.generate.variation import CANDIDATES, fill, lock_parts, vary
from rhythmgan.kit import GM9, GM12, JAKI5
from rhythmgan.models.gan import GAN, GANConfig, load_gan


@pytest.fixture(scope="module")
def gan(one_thread):
    return load_gan()


@pytest.fixture(scope="module")
def loop():
    """Two bars by hand: a beat, and a run down the toms with a kick under it."""
    bars = np.zeros((2, 16, 12), bool)
    bars[0, [0, 6, 8], 0] = bars[0, [4, 12], 1] = bars[0, ::2, 2] = True
    bars[1, [0, 3], 0] = bars[1, 10:, 4] = True
    return bars


@pytest.fixture(scope="module")
def some_locks():
    """The kick everywhere, and the last beat whole: cells that sound and cells that do not."""
    locked = np.zeros((16, 12), bool)
    locked[:, 0] = locked[12:] = True
    return locked


@pytest.fixture(scope="module")
def toy(one_thread):
    """A GAN of random weights whose cells say a lot about those that come after."""
    torch.manual_seed(5)
    toy = GAN(GANConfig(JAKI5.name, steps=12, width=6, discriminator_width=4)).eval()
    with torch.no_grad():
        toy.generator.to_gates.weight.normal_(std=1.5)
        toy.generator.lagged_to_new.weight.normal_(std=1.5)
        toy.generator.to_parts.weight.normal_(std=0.7)
        toy.generator.to_parts.bias.fill_(-0.4)
        toy.generator.to_links.bias.normal_(std=0.9)
    return toy.requires_grad_(False)


def _chances(gan, bar, free, temperature=1.0):
    """Completions of a bar (2^free, steps, parts) and the exact chance of each: Π Φ(± expected) over all cells."""
    completions = np.stack([bar] * 2 ** len(free))
    for row, states in zip(completions, itertools.product([False, True], repeat=len(free)), strict=True):
        for (step, part), state in zip(free, states, strict=True):
            row[step, part] = state
    with torch.no_grad():
        expected = gan.generator.double().expect(torch.from_numpy(completions).double(), gan.labels).numpy()
    gan.generator.float()
    sums = np.where(completions, expected, -expected) / temperature
    logs = np.vectorize(lambda x: math.log(math.erfc(-x / math.sqrt(2)) / 2))(sums).sum((1, 2))
    chances = np.exp(logs - logs.max())
    return completions, chances / chances.sum()


def _counts(bars, completions):
    """How many of the bars each completion is; they are all of the bars."""
    counts = np.array([(bars == each).all((1, 2)).sum() for each in completions])
    assert counts.sum() == len(bars)
    return counts


# -- vary ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [0.01, 0.25])
def test_the_points_of_variations_decode_to_them(gan, loop, some_locks, amount):
    for locked in (None, some_locks, ~some_locks):
        bars, z = vary(gan, loop, range(2), amount, locked)
        assert bars.shape == (2, 2, 16, 12)
        assert (bars.dtype, z.dtype) == (bool, np.float32)
        assert (gan.decode(z.reshape(4, 192)) == bars.reshape(4, 16, 12)).all()


@pytest.mark.parametrize("amount", [0.01, 0.25, 0.6])
def test_locked_cells_stay_in_every_bar_of_every_variation(gan, loop, some_locks, amount):
    bars, _ = vary(gan, loop, range(5), amount, some_locks)
    assert (bars == loop)[:, :, some_locks].all()
    free, _ = vary(gan, loop, range(5), amount)
    if amount >= 0.25:  # or nothing would have been tested
        changed = (free != loop).any(0)[:, some_locks]
        assert (changed & loop[:, some_locks]).any()
        assert (changed & ~loop[:, some_locks]).any()


@settings(max_examples=12)
@given(
    locked=st.lists(st.booleans(), min_size=192, max_size=192),
    cells=st.lists(st.booleans(), min_size=192, max_size=192),
    amount=st.floats(0.001, 0.05),
    seed=st.integers(0, 2**62),
)
def test_locked_cells_stay_in_any_bar_under_any_lock(gan, locked, cells, amount, seed):
    bar, locked = np.reshape(cells, (1, 16, 12)), np.reshape(locked, (16, 12))
    bars, z = vary(gan, bar, [seed, seed + 1], amount, locked)
    assert (bars == bar)[..., locked].all()
    assert (gan.decode(z[:, 0]) == bars[:, 0]).all()
    made = fill(gan, bar[0], locked, [seed])
    assert (made == bar)[..., locked].all()


def test_a_variation_is_that_of_its_seed_in_any_batch(gan, loop, some_locks):
    for locked in (None, some_locks):
        many, many_z = vary(gan, loop, [8, 3, 900, 8, 1], 0.02, locked)
        assert (many[0] == many[3]).all()
        for i, seed in enumerate([8, 3, 900]):
            one, one_z = vary(gan, loop, [seed], 0.02, locked)
            assert (one[0] == many[i]).all()
            if locked is None:
                np.testing.assert_array_equal(one_z[0], many_z[i])


def test_the_points_of_variations_under_locks_are_those_of_their_seeds_in_any_batch(gan, loop, some_locks):
    _, many = vary(gan, loop, [8, 3, 900], 0.3, some_locks)
    for i, seed in enumerate([8, 3, 900]):
        np.testing.assert_array_equal(vary(gan, loop, [seed], 0.3, some_locks)[1][0], many[i])


@settings(max_examples=10, deadline=None)
@given(
    cells=st.lists(st.booleans(), min_size=3 * 60, max_size=3 * 60),
    onsets=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    locked=st.lists(st.sampled_from([False, False, True]), min_size=60, max_size=60),
    amount=st.floats(0.001, 1),
    seed=st.integers(0, 2**62),
)
def test_as_many_cells_change_as_the_amount_says(toy, cells, onsets, locked, amount, seed):
    """Its share of the onsets, to the nearest cell; one at least of a bar that sounds, and no more than are free.

    One less where all free cells sound and no other: the bar would be silent.
    """
    heard = np.random.default_rng(seed).random((3, 12, 5)) < onsets
    bars, locked = np.reshape(cells, (3, 12, 5)) & heard, np.reshape(locked, (12, 5))
    varied, z = vary(toy, bars, [seed, seed + 1], amount, locked)
    for changed in (varied != bars).sum((2, 3)):
        for n, bar in zip(changed, bars, strict=True):
            wanted = min(max(amount * bar.sum(), bar.any()), (~locked).sum())
            if bar.any() and (bar == ~locked).all() and wanted > bar.sum() - 0.5:
                wanted = bar.sum() - 1
            assert abs(n - wanted) <= 0.5 + 1e-9
    assert varied.any((2, 3))[:, bars.any((1, 2))].all()
    assert (varied == bars)[..., locked].all()
    assert (toy.decode(z.reshape(6, 60)) == varied.reshape(6, 12, 5)).all()


@pytest.mark.parametrize(("amount", "expected"), [(0.001, 1), (0.1, 1), (0.15, 2), (0.2, 3), (0.5, 7), (1.0, 13)])
def test_cells_that_change_in_a_bar_of_thirteen_onsets(gan, loop, amount, expected):
    """The beat by hand has 3 kicks, 2 snares and 8 hats: 1.95, 2.6 and 6.5 cells are 2, 3 and 7."""
    assert loop[0].sum() == 13
    varied, _ = vary(gan, loop[:1], range(4), amount)
    assert (varied[:, 0] != loop[0]).sum((1, 2)).tolist() == [expected] * 4


def test_a_variation_of_a_bar_that_sounds_sounds(gan):
    """Bars of one to three onsets, of which as many cells change: all onsets would fall silent in some of them."""
    bars = np.zeros((3, 16, 12), bool)
    bars[0, 15, 11] = bars[1, [3, 11], 6] = bars[2, [0, 4, 7], 5] = True
    varied, _ = vary(gan, bars, range(40), 1.0)
    assert (varied != bars).sum((2, 3)).tolist() == [[1, 2, 3]] * 40
    assert varied.any((2, 3)).all()


@pytest.mark.parametrize(("amount", "changed"), [(0.3, 1), (0.7, 2), (1.0, 2)])
def test_the_last_onset_stays_where_nothing_else_can_change(gan, amount, changed):
    """All three onsets are free and no silent cell is."""
    bar = np.zeros((1, 16, 12), bool)
    bar[0, [0, 4, 7], 5] = True
    varied, _ = vary(gan, bar, range(6), amount, ~bar[0])
    assert (varied != bar).sum((1, 2, 3)).tolist() == [changed] * 6
    lone = bar & (np.arange(16) == 4)[:, None]
    assert (vary(gan, lone, range(6), amount, ~lone[0])[0] == lone).all()


def test_a_silent_bar_of_a_loop_stays_silent(gan, loop):
    """A break is a part of the music."""
    varied, _ = vary(gan, np.stack([np.zeros_like(loop[0]), loop[0]]), range(3), 0.15)
    assert (varied != [[np.zeros_like(loop[0]), loop[0]]]).sum((2, 3)).tolist() == [[0, 2]] * 3


def test_variations_and_loops_filled_in_need_a_seed(gan, loop):
    locked = lock_parts(GM12, 16, ["kick"])
    for make in (
        lambda: vary(gan, loop, []),
        lambda: fill(gan, loop, locked, []),
        lambda: fill(gan, loop[0], locked, []),
    ):
        with pytest.raises(ValueError, match="at least one seed is needed"):
            make()


@settings(max_examples=6, deadline=None)
@given(
    places=st.lists(st.integers(0, 2), min_size=2, max_size=6),
    amount=st.floats(0.01, 0.6),
    seed=st.integers(0, 2**62),
)
def test_equal_bars_of_a_loop_vary_alike(toy, places, amount, seed):
    """A A A B stays A' A' A' B': each bar as it varies alone."""
    kinds = toy.sample(3, seed=3)
    varied, _ = vary(toy, kinds[places], [seed, 7], amount)
    alone = np.concatenate([vary(toy, kind[None], [seed, 7], amount)[0] for kind in kinds], 1)
    assert (varied == alone[:, places]).all()


def test_what_unequal_bars_have_in_common_tends_to_change_alike(gan):
    """Two bars of one beat, with a crash in one of them: as often as not they change in the same cells."""
    beat = np.zeros((2, 16, 12), bool)
    beat[:, [0, 6, 10], 0] = beat[:, [4, 12], 1] = beat[:, ::2, 2] = True
    beat[1, 0, 2], beat[1, 0, 8] = False, True
    seeds = range(20)
    together = vary(gan, beat, seeds, 0.1)[0] != beat
    alike = (together[:, 0] == together[:, 1]).all((1, 2)).mean()
    apart = together[:-1, 0] == together[1:, 1]  # of different seeds
    assert alike >= 0.5
    assert apart.all((1, 2)).mean() <= 0.1


def test_changes_are_drawn_by_how_likely_they_make_the_bar(toy):
    """One change of one bar, of five free cells: exp((log p after − log p before) / 1.75) counted out."""
    bar = toy.sample(1, seed=77)[0]
    free = [(0, 1), (3, 3), (5, 4), (9, 0), (11, 2)]
    locked = np.ones((12, 5), bool)
    changed = np.stack([bar] * 5)
    for row, cell in enumerate(free):
        locked[cell] = False
        changed[(row, *cell)] ^= True
    log_p = [float(toy.cell_log_prob(each[None]).sum()) for each in changed]
    chances = np.exp((np.array(log_p) - max(log_p)) / 1.75)
    chances /= chances.sum()
    counts = _counts(vary(toy, bar[None], range(1500), 0.01, locked)[0][:, 0], changed)
    assert np.abs(counts / 1500 - chances).sum() / 2 < 0.04
    # neither all alike nor by the likelihood itself
    assert np.abs(chances - 0.2).sum() / 2 > 0.1
    sharper = chances**1.75 / (chances**1.75).sum()
    assert np.abs(chances - sharper).sum() / 2 > 0.1


def test_a_second_change_knows_the_first(toy):
    """Two of three free cells: the chances of the second draw are those of the bar that the first one left."""
    bar = toy.sample(1, seed=78)[0]
    free = [(1, 0), (2, 0), (3, 1)]
    locked = np.ones((12, 5), bool)
    for cell in free:
        locked[cell] = False

    def gain(*cells):
        other = bar.copy()
        for cell in cells:
            other[cell] ^= True
        return math.exp(float(toy.cell_log_prob(other[None]).sum()) / 1.75)

    expected = []
    for left_out in range(3):
        one, two = (cell for place, cell in enumerate(free) if place != left_out)
        total = 0.0
        for first, second in ((one, two), (two, one)):
            start = gain(first) / sum(gain(cell) for cell in free)
            rest = [cell for cell in free if cell != first]
            total += start * gain(first, second) / sum(gain(first, cell) for cell in rest)
        expected.append(total)
    assert sum(expected) == pytest.approx(1)
    varied = vary(toy, bar[None], range(1500), 2 / bar.sum(), locked)[0][:, 0]
    assert ((varied != bar).sum((1, 2)) == 2).all()
    stayed = [(varied[(slice(None), *cell)] == bar[cell]).mean() for cell in free]
    # the noise is kept from the first draw to the second, which moves these shares a little
    assert np.abs(np.array(stayed) - expected).max() < 0.06


def test_different_seeds_vary_differently(gan, loop):
    varied, _ = vary(gan, loop[:1], range(12), 0.25)
    assert len(np.unique(varied.reshape(12, -1), axis=0)) >= 10


def test_a_loop_that_is_locked_whole_is_its_only_variation(gan, loop):
    bars, z = vary(gan, loop, [0, 5, 6], 0.3, np.ones((16, 12), bool))
    assert (bars == loop).all()
    assert (gan.decode(z.reshape(6, 192)) == bars.reshape(6, 16, 12)).all()


def test_where_one_cell_is_free_a_variation_is_that_cell_at_most(gan, loop):
    locked = np.ones((16, 12), bool)
    locked[2, 2] = False  # an eighth of the hat in the first bar, a silence in the second
    bars, _ = vary(gan, loop, range(60), 0.2, locked)
    assert (bars == loop)[:, :, locked].all()
    assert (bars != loop)[:, 0, 2, 2].any()


def test_unlocked_cells_move_as_they_would_without_a_lock_elsewhere(gan, loop):
    """No lock at all is a lock on no cell."""
    none, none_z = vary(gan, loop, range(5), 0.2)
    nothing, nothing_z = vary(gan, loop, range(5), 0.2, np.zeros((16, 12), bool))
    assert (none == nothing).all()
    np.testing.assert_array_equal(none_z, nothing_z)


def test_vary_leaves_what_it_was_given_as_it_was(gan, loop, some_locks):
    own, locks = loop.copy(), some_locks.copy()
    vary(gan, own, [1], 0.5, locks)
    fill(gan, own[0], locks, [1])
    assert (own == loop).all()
    assert (locks == some_locks).all()


@pytest.mark.parametrize("amount", [0, -0.2, 1.01, math.nan, math.inf])
def test_variations_of_no_amount_are_refused(gan, loop, amount):
    with pytest.raises(ValueError, match="amount"):
        vary(gan, loop, [0], amount)


@pytest.mark.parametrize("seeds", [[-1], [2**63], [1.5]])
def test_seeds_out_of_range_are_refused(gan, loop, seeds):
    with pytest.raises(ValueError, match="seeds"):
        vary(gan, loop, seeds)
    with pytest.raises(ValueError, match="seeds"):
        fill(gan, loop[0], loop[0], seeds)


@pytest.mark.parametrize("shape", [(1, 16, 9), (1, 12, 12), (16, 12), (1, 12, 16)])
def test_bars_that_are_not_the_gans_are_refused(gan, shape):
    with pytest.raises(ValueError, match=r"expected|shape|bars"):
        vary(gan, np.zeros(shape, bool), [0])


@pytest.mark.parametrize("shape", [(16, 9), (12, 16), (16,), (1, 16), (16, 1), (2, 16, 12), ()])
def test_locks_that_are_not_of_the_gans_cells_are_refused(gan, loop, shape):
    with pytest.raises(ValueError, match=r"expected|shape|lock"):
        vary(gan, loop, [0], 0.2, np.zeros(shape, bool))
    with pytest.raises(ValueError, match=r"expected|shape|lock"):
        fill(gan, loop[0], np.zeros(shape, bool), [0])


# -- fill ----------------------------------------------------------------------------------------


def test_fills_are_bool_bars_around_what_is_locked(gan, loop, some_locks):
    different = []
    for bar in loop:
        for locked in (some_locks, ~some_locks):
            made = fill(gan, bar, locked, range(6))
            assert made.shape == (6, 16, 12)
            assert made.dtype == bool
            assert (made == bar)[:, locked].all()
            different.append(len(np.unique(made, axis=0)))
    assert min(different) > 1
    assert sum(different) > 12


def test_a_fill_is_that_of_its_seed_in_any_batch(gan, loop, some_locks):
    many = fill(gan, loop[0], some_locks, [8, 3, 900, 8])
    assert (many[0] == many[3]).all()
    for i, seed in enumerate([8, 3, 900]):
        assert (fill(gan, loop[0], some_locks, [seed])[0] == many[i]).all()


@pytest.mark.parametrize("at_once", [7, 200])
def test_a_fill_has_some_of_its_candidates_in_memory_at_a_time(gan, loop, some_locks, monkeypatch, at_once):
    expected = fill(gan, loop, some_locks, range(3))
    sizes, real = [], gan.cell_log_prob
    monkeypatch.setattr(gan, "cell_log_prob", lambda bars, *rest: sizes.append(len(bars)) or real(bars, *rest))
    monkeypatch.setattr("rhythmgan.generate.variation._AT_ONCE", at_once)
    np.testing.assert_array_equal(fill(gan, loop, some_locks, range(3)), expected)
    assert max(sizes) <= at_once
    n_distinct = len(np.unique(np.where(some_locks, loop, False), axis=0))
    assert sum(sizes) == 3 * CANDIDATES * n_distinct


def test_a_fill_does_not_know_the_cells_that_are_not_locked(gan, loop, some_locks):
    other = loop[0] ^ ~some_locks
    assert (fill(gan, other, some_locks, range(6)) == fill(gan, loop[0], some_locks, range(6))).all()


def test_locks_may_be_a_view_of_a_few(gan, loop):
    """Parts that are locked on every step, as the page says it: an array that nobody can write to."""
    parts = np.arange(12) < 2
    view, whole = np.broadcast_to(parts, (16, 12)), np.tile(parts, (16, 1))
    assert (fill(gan, loop[0], view, [3]) == fill(gan, loop[0], whole, [3])).all()
    assert (vary(gan, loop, [3], 0.2, view)[0] == vary(gan, loop, [3], 0.2, whole)[0]).all()


def test_a_bar_that_is_locked_whole_is_its_only_fill(gan, loop):
    assert (fill(gan, loop[1], np.ones((16, 12), bool), [0, 7]) == loop[1]).all()


@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.0])
def test_fills_come_as_often_as_the_generator_makes_them(toy, temperature):
    """Three free cells, early, middle and late: all eight completions and their chances, counted out."""
    bar = toy.sample(1, seed=77)[0]
    free = [(0, 1), (5, 4), (9, 0)]
    locked = np.ones((12, 5), bool)
    for cell in free:
        locked[cell] = False
    completions, chances = _chances(toy, bar, free, temperature)
    counts = _counts(fill(toy, bar, locked, range(900), temperature), completions)
    assert np.abs(counts / 900 - chances).sum() / 2 < 0.05
    # candidates that nobody weighed differ by this much
    blind = _forward(toy, completions, free, temperature)
    assert np.abs(blind - chances).sum() / 2 > 0.12


def _forward(gan, completions, free, temperature):
    """What the completions' chances were if locked cells after a free one had no say."""
    with torch.no_grad():
        expected = gan.generator.expect(torch.from_numpy(completions).float(), gan.labels).numpy()
    chances = np.ones(len(completions))
    for step, part in free:
        on = np.vectorize(lambda x: math.erfc(-x / temperature / math.sqrt(2)) / 2)(expected[:, step, part])
        chances *= np.where(completions[:, step, part], on, 1 - on)
    assert chances.sum() == pytest.approx(1, abs=1e-4)
    return chances


def test_fills_are_the_generators_own_bars_that_have_the_locked_cells(toy):
    """Of many bars of seeds those that happen to have four cells: their other cells sound as often as in fills."""
    bar = np.zeros((12, 5), bool)
    locked = np.zeros((12, 5), bool)
    for cell, state in (((2, 0), True), ((6, 3), False), ((9, 1), True), ((11, 2), False)):
        locked[cell], bar[cell] = True, state
    bars = toy.sample(100_000, seed=10**6)
    alike = bars[(bars == bar)[:, locked].all(1)]
    assert len(alike) > 1000
    expected = alike.mean(0)
    made = fill(toy, bar, locked, range(900)).mean(0)
    error = np.sqrt(expected * (1 - expected) * (1 / len(alike) + 1 / 900))
    assert (np.abs(made - expected) <= 4.5 * error + 0.01).all()
    # bars of seeds that may have any cells are not like that
    assert (np.abs(bars.mean(0) - expected)[~locked] > 4.5 * error[~locked] + 0.01).any()


def test_with_nothing_locked_a_fill_is_a_bar_like_any_other(toy):
    nothing = np.zeros((12, 5), bool)
    made = fill(toy, nothing, nothing, range(900)).mean(0)
    usual = toy.sample(20_000, seed=10**6).mean(0)
    error = np.sqrt(usual * (1 - usual) * (1 / 900 + 1 / 20_000))
    assert (np.abs(made - usual) <= 4.5 * error).all()


def test_fills_at_a_low_temperature_are_more_alike(gan, loop, some_locks):
    different = [len(np.unique(fill(gan, loop[0], some_locks, range(12), t), axis=0)) for t in (0.05, 0.5, 1.0)]
    assert different[0] < different[1] <= different[2]


@pytest.mark.parametrize("temperature", [1e-9, 1.0, 1e3])
def test_cells_that_nobody_expects_are_filled_around_as_well(gan, temperature):
    everything = np.ones((16, 12), bool)
    locked = everything.copy()
    locked[3:5] = False
    made = fill(gan, everything, locked, [0, 1], temperature)
    assert made[:, locked].all()


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
def test_fills_of_no_temperature_are_refused(gan, loop, some_locks, temperature):
    with pytest.raises(ValueError, match="temperature"):
        fill(gan, loop[0], some_locks, [0], temperature)


@pytest.mark.parametrize("shape", [(16, 9), (12, 12), (0, 16, 12), (1, 2, 16, 12), (1, 12, 16), (192,), (12, 16)])
def test_a_bar_to_fill_that_is_not_the_gans_is_refused(gan, some_locks, shape):
    with pytest.raises(ValueError, match=r"expected|shape|bar"):
        fill(gan, np.zeros(shape, bool), some_locks, [0])
    with pytest.raises(ValueError, match=r"expected .*16, 12"):  # however well its locks fit it
        fill(gan, np.zeros(shape, bool), np.zeros(shape, bool), [0])


def test_a_bar_to_fill_of_numbers_is_refused(gan, loop, some_locks):
    with pytest.raises(ValueError, match="bool"):
        fill(gan, loop[0].astype(np.uint8) * 127, some_locks, [0])


# -- loops that are filled in ----------------------------------------------------------------------


def test_a_loop_of_one_bar_is_filled_in_as_the_bar(gan, loop, some_locks):
    assert (fill(gan, loop[:1], some_locks, range(4))[:, 0] == fill(gan, loop[0], some_locks, range(4))).all()


def test_equal_bars_of_a_loop_are_filled_in_alike(gan, loop, some_locks):
    made = fill(gan, loop[[0, 1, 0, 0]], some_locks, range(5))
    assert made.shape == (5, 4, 16, 12)
    assert (made == loop[[0, 1, 0, 0]])[:, :, some_locks].all()
    assert (made[:, 0] == made[:, 2]).all()
    assert (made[:, 0] == made[:, 3]).all()
    assert (made[:, 0] != made[:, 1]).any((1, 2)).all()
    assert (made[:, :2] == fill(gan, loop, some_locks, range(5))).all()


def test_bars_whose_locked_cells_are_nearly_equal_are_filled_in_nearly_alike(gan, loop):
    """The same beat with a kick less: what is made beside it is mostly the same, not so of another seed."""
    pair = np.stack([loop[0], loop[0]])
    pair[1, 6, 0] = False
    locked = lock_parts(GM12, 16, ["kick", "snare"])
    made = fill(gan, pair, locked, range(12))
    within = (made[:, 0] != made[:, 1])[:, ~locked].sum(1).mean()
    between = (made[:-1, 0] != made[1:, 1])[:, ~locked].sum(1).mean()
    assert within < 0.4 * between


def test_the_bars_of_a_loop_are_weighed_together(toy):
    """Two bars, one free cell in both, which one z decides alike: its chance has a factor from each of the bars."""
    cell = (0, 0)
    bars = toy.sample(60, seed=5)
    both = np.repeat(bars[:, None], 2, 1)
    both[:, :, 0, 0] = [False, True]
    log_p = toy.cell_log_prob(both.reshape(120, 12, 5)).numpy().reshape(60, 2, 12, 5)
    own = log_p[0, :, 0, 0]
    np.testing.assert_allclose(log_p[:, :, 0, 0], np.tile(own, (60, 1)))  # nothing comes before it
    rest = log_p.sum((2, 3)) - log_p[:, :, 0, 0]

    def chance(*rows):
        return 1 / (1 + math.exp(own[0] - own[1] + rest[list(rows), 0].sum() - rest[list(rows), 1].sum()))

    # two that one bar alone would decide otherwise than both do
    first, second = max(itertools.combinations(range(60), 2), key=lambda pair: chance(pair[0]) - chance(*pair))
    together, alone = chance(first, second), chance(first)
    assert alone - together > 0.15
    locked = np.ones((12, 5), bool)
    locked[cell] = False
    made = fill(toy, bars[[first, second]], locked, range(400))
    assert (made[:, 0, 0, 0] == made[:, 1, 0, 0]).all()
    assert made[:, 0, 0, 0].mean() == pytest.approx(together, abs=0.07)


# -- locks by name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["kick"], [0]),
        (["snare", "kick"], [0, 1]),
        (["closed hat"], [2]),
        (["Closed-Hat", " open_hat "], [2, 3]),
        (["hat"], [2, 3]),
        (["hats", "toms"], [2, 3, 4, 5, 6]),
        (["mid tom"], [5]),
        ([], []),
    ],
)
def test_parts_are_locked_by_their_names(names, parts):
    for kit, steps in ((GM9, 16), (GM12, 12)):
        locked = lock_parts(kit, steps, names)
        assert locked.shape == (steps, kit.n_parts)
        assert locked.dtype == bool
        assert np.flatnonzero(locked.all(0)).tolist() == np.flatnonzero(locked.any(0)).tolist() == parts


@pytest.mark.parametrize("name", ["cowbell", "", "kic", "hat closed", "s"])
def test_a_part_that_the_kit_does_not_have_is_refused(name):
    with pytest.raises(ValueError, match=r"no part of kit gm9 is called .*its parts: kick, snare, closed hat"):
        lock_parts(GM9, 16, ["kick", name])
