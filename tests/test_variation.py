"""Variations and fills: what is locked stays, and what is made is what the generator would make around it."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan.generate.variation import fill, vary
from rhythmgan.kit import JAKI5
from rhythmgan.latent import rotate
from rhythmgan.models.gan import GAN, GANConfig, load_gan


@pytest.fixture(scope="module")
def gan(one_thread):
    return load_gan()


@pytest.fixture(scope="module")
def loop():
    """Two bars by hand: a beat, and a run down the toms with a kick under it."""
    bars = np.zeros((2, 16, 9), bool)
    bars[0, [0, 6, 8], 0] = bars[0, [4, 12], 1] = bars[0, ::2, 2] = True
    bars[1, [0, 3], 0] = bars[1, 10:, 4] = True
    return bars


@pytest.fixture(scope="module")
def some_locks():
    """The kick everywhere, and the last beat whole: cells that sound and cells that do not."""
    locked = np.zeros((16, 9), bool)
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
        expected = gan.generator.double().expect(torch.from_numpy(completions).double()).numpy()
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


def test_a_variation_is_the_loop_turned_by_its_share_of_a_right_angle(gan, loop):
    bars, z = vary(gan, loop, [11, 4], amount=0.3)
    assert bars.shape == (2, 2, 16, 9)
    assert bars.dtype == bool
    assert z.shape == (2, 2, 144)
    assert z.dtype == np.float32
    own = gan.encode(loop)
    for turned, towards in zip(z, gan.latents([11, 4]), strict=True):
        np.testing.assert_array_equal(turned, rotate(own, np.stack([towards] * 2), math.radians(27)))


@pytest.mark.parametrize("amount", [0.01, 0.25, 1])
def test_the_points_of_variations_decode_to_them(gan, loop, some_locks, amount):
    for locked in (None, some_locks, ~some_locks):
        bars, z = vary(gan, loop, range(8), amount, locked)
        assert (gan.decode(z.reshape(16, 144)) == bars.reshape(16, 16, 9)).all()


@pytest.mark.parametrize("amount", [0.01, 0.25, 1])
def test_locked_cells_stay_in_every_bar_of_every_variation(gan, loop, some_locks, amount):
    bars, _ = vary(gan, loop, range(30), amount, some_locks)
    assert (bars == loop)[:, :, some_locks].all()
    free, _ = vary(gan, loop, range(30), amount)
    if amount >= 0.25:  # or nothing would have been tested
        changed = (free != loop).any(0)[:, some_locks]
        assert (changed & loop[:, some_locks]).any()
        assert (changed & ~loop[:, some_locks]).any()


@settings(max_examples=12)
@given(
    locked=st.lists(st.booleans(), min_size=144, max_size=144),
    cells=st.lists(st.booleans(), min_size=144, max_size=144),
    amount=st.floats(0.05, 1),
    seed=st.integers(0, 2**62),
)
def test_locked_cells_stay_in_any_bar_under_any_lock(gan, locked, cells, amount, seed):
    bar, locked = np.reshape(cells, (1, 16, 9)), np.reshape(locked, (16, 9))
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


def test_a_variation_that_is_still_the_loop_is_turned_on_until_it_is_not(gan, loop):
    """By as much again: counted one turn after another, .015625 of a right angle each."""
    own, step = gan.encode(loop), 1 / 64
    bars, z = vary(gan, loop, range(20), step)
    took = []
    for found, turned, towards in zip(bars, z, gan.latents(range(20)), strict=True):
        for turns in range(1, 65):
            here = rotate(own, np.stack([towards] * 2), turns * step * math.pi / 2)
            if (gan.decode(here) != loop).any():
                break
        took.append(turns)
        assert (found == gan.decode(here)).all()
        np.testing.assert_allclose(turned, here, atol=1e-5)
    assert len(set(took)) > 1
    assert (bars != loop).any((1, 2, 3)).all()


def test_no_variation_is_turned_by_more_than_a_right_angle(gan, loop, monkeypatch):
    """The second .7 of one is .3, where nothing becomes of the first."""
    own = gan.encode(loop)
    monkeypatch.setattr(gan, "decode", lambda z: np.concatenate([loop] * (len(z) // 2)))
    _, z = vary(gan, loop, [6], 0.7)
    (towards,) = gan.latents([6])
    np.testing.assert_array_equal(z[0], rotate(own, np.stack([towards] * 2), math.pi / 2))


def test_variations_of_a_small_amount_stay_nearer(gan, loop, some_locks):
    for locked in (None, some_locks):
        moved = [(vary(gan, loop, range(40), a, locked)[0] != loop).sum((1, 2, 3)).mean() for a in (0.05, 0.3, 1)]
        assert 1 <= moved[0] < 0.5 * moved[1]
        assert moved[1] < 0.7 * moved[2]


def test_a_loop_that_is_locked_whole_is_its_only_variation(gan, loop):
    bars, z = vary(gan, loop, [0, 5, 6], 0.3, np.ones((16, 9), bool))
    assert (bars == loop).all()
    assert (gan.decode(z.reshape(6, 144)) == bars.reshape(6, 16, 9)).all()


def test_where_one_cell_is_free_a_variation_is_that_cell_at_most(gan, loop):
    locked = np.ones((16, 9), bool)
    locked[2, 2] = False  # an eighth of the hat in the first bar, a silence in the second
    bars, _ = vary(gan, loop, range(60), 0.2, locked)
    assert (bars == loop)[:, :, locked].all()
    assert (bars != loop)[:, 0, 2, 2].any()


def test_unlocked_cells_move_as_they_would_without_a_lock_elsewhere(gan, loop):
    """No lock at all is a lock on no cell."""
    none, none_z = vary(gan, loop, range(5), 0.2)
    nothing, nothing_z = vary(gan, loop, range(5), 0.2, np.zeros((16, 9), bool))
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


@pytest.mark.parametrize("shape", [(1, 16, 7), (1, 12, 9), (16, 9), (1, 9, 16)])
def test_bars_that_are_not_the_gans_are_refused(gan, shape):
    with pytest.raises(ValueError, match=r"expected|shape|bars"):
        vary(gan, np.zeros(shape, bool), [0])


@pytest.mark.parametrize("shape", [(16, 7), (9, 16), (16,), (1, 16), (16, 1), (2, 16, 9), ()])
def test_locks_that_are_not_of_the_gans_cells_are_refused(gan, loop, shape):
    with pytest.raises(ValueError, match=r"expected|shape|lock"):
        vary(gan, loop, [0], 0.2, np.zeros(shape, bool))
    with pytest.raises(ValueError, match=r"expected|shape|lock"):
        fill(gan, loop[0], np.zeros(shape, bool), [0])


# -- fill ----------------------------------------------------------------------------------------


def test_fills_are_bool_bars_around_what_is_locked(gan, loop, some_locks):
    for bar in loop:
        for locked in (some_locks, ~some_locks):
            made = fill(gan, bar, locked, range(6))
            assert made.shape == (6, 16, 9)
            assert made.dtype == bool
            assert (made == bar)[:, locked].all()
            assert len(np.unique(made, axis=0)) > 3


def test_a_fill_is_that_of_its_seed_in_any_batch(gan, loop, some_locks):
    many = fill(gan, loop[0], some_locks, [8, 3, 900, 8])
    assert (many[0] == many[3]).all()
    for i, seed in enumerate([8, 3, 900]):
        assert (fill(gan, loop[0], some_locks, [seed])[0] == many[i]).all()


def test_a_fill_does_not_know_the_cells_that_are_not_locked(gan, loop, some_locks):
    other = loop[0] ^ ~some_locks
    assert (fill(gan, other, some_locks, range(6)) == fill(gan, loop[0], some_locks, range(6))).all()


def test_locks_may_be_a_view_of_a_few(gan, loop):
    """Parts that are locked on every step, as the page says it: an array that nobody can write to."""
    parts = np.arange(9) < 2
    view, whole = np.broadcast_to(parts, (16, 9)), np.tile(parts, (16, 1))
    assert (fill(gan, loop[0], view, [3]) == fill(gan, loop[0], whole, [3])).all()
    assert (vary(gan, loop, [3], 0.2, view)[0] == vary(gan, loop, [3], 0.2, whole)[0]).all()


def test_a_bar_that_is_locked_whole_is_its_only_fill(gan, loop):
    assert (fill(gan, loop[1], np.ones((16, 9), bool), [0, 7]) == loop[1]).all()


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
        expected = gan.generator.expect(torch.from_numpy(completions).float()).numpy()
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
    bars = toy.sample(60_000, seed=10**6)
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
    everything = np.ones((16, 9), bool)
    locked = everything.copy()
    locked[3:5] = False
    made = fill(gan, everything, locked, [0, 1], temperature)
    assert made[:, locked].all()


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
def test_fills_of_no_temperature_are_refused(gan, loop, some_locks, temperature):
    with pytest.raises(ValueError, match="temperature"):
        fill(gan, loop[0], some_locks, [0], temperature)


@pytest.mark.parametrize("shape", [(16, 7), (12, 9), (1, 16, 9), (144,), (9, 16), (12, 12)])
def test_a_bar_to_fill_that_is_not_the_gans_is_refused(gan, some_locks, shape):
    with pytest.raises(ValueError, match=r"expected|shape|bar"):
        fill(gan, np.zeros(shape, bool), some_locks, [0])
    with pytest.raises(ValueError, match=r"expected .*16, 9"):  # however well its locks fit it
        fill(gan, np.zeros(shape, bool), np.zeros(shape, bool), [0])


def test_a_bar_to_fill_of_numbers_is_refused(gan, loop, some_locks):
    with pytest.raises(ValueError, match="bool"):
        fill(gan, loop[0].astype(np.uint8) * 127, some_locks, [0])
