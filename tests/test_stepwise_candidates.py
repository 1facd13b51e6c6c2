"""Candidates for a step: fresh draws, the given bar's step, and changes of one of its cells by their chance."""

import math

import pytest
import torch

from rhythmgan.models.gan import GAN, GANConfig
from rl_tuner.stepwise.candidates import draw_candidates, likely_changes
from rl_tuner.stepwise.draws import BatchDraws, SeededDraws

pytestmark = pytest.mark.usefixtures("one_thread")

SOUNDS = (0.3, -0.5, -1.0, -1.5, -2.0, -2.0, -2.0, -2.5, -3.0)
"""What is expected of each part, whatever came before."""


@pytest.fixture(scope="module")
def gan():
    """A generator of independent cells."""
    torch.set_num_threads(1)
    gan = GAN(GANConfig("gm9", width=2, discriminator_width=8)).eval().requires_grad_(False)
    for layer in (gan.generator.to_parts, gan.generator.to_links, gan.generator.to_repeats):
        layer.weight.zero_()
        layer.bias.zero_()
    gan.generator.to_parts.bias.copy_(torch.tensor(SOUNDS))
    return gan


def given(n):
    """The kick and the first tom."""
    cells = torch.zeros(n, 9, dtype=torch.bool)
    cells[:, [0, 4]] = True
    return cells


def free(n):
    """No cell is locked."""
    return torch.zeros(n, 9, dtype=torch.bool)


def draws(seed):
    return BatchDraws(torch.Generator().manual_seed(seed))


def phi(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def odds():
    """Of each cell to be another than in the given step."""
    return [phi(-m) / phi(m) if part in (0, 4) else phi(m) / phi(-m) for part, m in enumerate(SOUNDS)]


def test_one_cell_changes_by_its_chance(gan):
    n = 20_000
    changes = likely_changes(gan.begin(n).look_ahead(), given(n), 1, free(n), draws(1))
    assert changes.shape == (n, 1, 9)
    differs = changes[:, 0] ^ given(n)
    assert (differs.sum(1) == 1).all()
    shares = differs.float().mean(0).tolist()
    assert shares == pytest.approx([one / sum(odds()) for one in odds()], abs=0.01)


def test_several_changes_are_different_ones(gan):
    n = 20_000
    changes = likely_changes(gan.begin(n).look_ahead(), given(n), 3, free(n), draws(1))
    differs = changes ^ given(n)[:, None]
    assert (differs.sum(2) == 1).all()
    assert (differs.sum(1) <= 1).all()
    # the second one is drawn from what the first one leaves: by hand, that the tom's is among the first two
    share = [one / sum(odds()) for one in odds()]
    second = sum(share[4] * share[part] / (1 - share[part]) for part in range(9) if part != 4)
    assert differs[:, :2, 4].any(1).float().mean().item() == pytest.approx(share[4] + second, abs=0.01)
    everything = likely_changes(gan.begin(5).look_ahead(), given(5), 9, free(5), draws(1))
    assert ((everything ^ given(5)[:, None]).sum(1) == 1).all()


def test_a_given_bar_has_its_step_its_changes_and_fresh_draws(gan):
    n = 6000
    has_given = torch.arange(n) % 2 == 0
    drawn = draw_candidates(gan.begin(n).look_ahead(), 9, 6, 2, given(n), has_given, free(n), draws(2))
    assert drawn.noise.shape == drawn.cells.shape == (n, 6, 9)
    assert drawn.noise.dtype == torch.float32
    assert torch.equal(drawn.keeps, has_given[:, None] & torch.tensor([True] + 5 * [False]))
    assert torch.equal(drawn.edits, has_given[:, None] & torch.tensor([False, True, True, False, False, False]))
    differs = (drawn.cells ^ given(n)[:, None]).sum(2)
    assert (differs[has_given][:, 0] == 0).all()
    assert (differs[has_given][:, 1:3] == 1).all()
    fresh = torch.cat([drawn.cells[~has_given].flatten(0, 1), drawn.cells[has_given][:, 3:].flatten(0, 1)])
    assert fresh.float().mean(0).tolist() == pytest.approx([phi(m) for m in SOUNDS], abs=0.01)
    noise = drawn.noise[~has_given]
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(1, abs=0.01)
    # a cut off normal distribution, of which the mean is known: φ(m) / Φ(m) where the cell sounds
    kick = drawn.noise[has_given][:, 0, 0]
    density = math.exp(-0.5 * SOUNDS[0] ** 2) / math.sqrt(2 * math.pi)
    assert kick.mean().item() == pytest.approx(density / phi(SOUNDS[0]), abs=0.05)
    assert (kick > -SOUNDS[0]).all()


def test_noise_decides_what_its_cells_say(gan):
    ahead = gan.begin(50).look_ahead()
    drawn = draw_candidates(ahead, 9, 4, 2, given(50), torch.ones(50, dtype=torch.bool), free(50), draws(0))
    for k in range(4):
        assert torch.equal(ahead.decide(drawn.noise[:, k]).cells[:, 0], drawn.cells[:, k])


def test_without_given_bars_nothing_is_kept(gan):
    none = torch.zeros(7, dtype=torch.bool)
    drawn = draw_candidates(gan.begin(7).look_ahead(), 9, 3, 2, given(7), none, free(7), draws(0))
    assert not drawn.keeps.any()
    assert not drawn.edits.any()
    only_kept = draw_candidates(gan.begin(7).look_ahead(), 9, 3, 0, given(7), ~none, free(7), draws(0))
    assert torch.equal(only_kept.cells[:, 0], given(7))
    assert only_kept.keeps.sum() == 7
    assert not only_kept.edits.any()


def test_what_is_made_from_a_given_step_says_how_rare_it_is(gan):
    n, n_fresh = 400, 3
    has_given = torch.arange(n) % 2 == 0
    drawn = draw_candidates(gan.begin(n).look_ahead(), 9, 6, 2, given(n), has_given, free(n), draws(4))
    chance = torch.tensor([phi(m) for m in SOUNDS])
    cells = drawn.cells.double()
    of_cells = (cells * chance + (1 - cells) * (1 - chance)).log().sum(2) + math.log(n_fresh)
    made = torch.tensor([True, True, True, False, False, False]) & has_given[:, None]
    torch.testing.assert_close(drawn.log_chance, torch.where(made, of_cells, 0.0).float(), rtol=1e-4, atol=1e-4)
    assert torch.equal(drawn.rows(torch.tensor([2, 2, 1])).log_chance, drawn.log_chance[[2, 2, 1]])


# what is locked


def pattern(*rows):
    """Cells (n, 9) bool by the parts that are true in each row."""
    cells = torch.zeros(len(rows), 9, dtype=torch.bool)
    for row, parts in enumerate(rows):
        cells[row, list(parts)] = True
    return cells


LOCKS = pattern((), (0,), (1, 2, 3), range(9), (0, 1, 2, 4, 5, 6, 8), range(1, 9))
"""No cell, a cell that sounds, silent ones, all, all but the parts 3 and 7, all but the kick."""


def test_locked_cells_are_played_as_given_by_every_candidate(gan):
    n = len(LOCKS)
    ahead = gan.begin(100 * n).look_ahead()
    locked, wanted = LOCKS.repeat(100, 1), given(100 * n)
    drawn = draw_candidates(ahead, 9, 8, 4, wanted, torch.ones(100 * n, dtype=torch.bool), locked, draws(3))
    differs = drawn.cells ^ wanted[:, None]
    assert not (differs & locked[:, None]).any()
    assert not differs[:, 0].any()
    # as many changes of one cell as there are free cells, all different; the step as it is stands for the others
    n_free = (9 - LOCKS.sum(1)).clamp(max=4).repeat(100)
    changes = differs[:, 1:5]
    assert torch.equal(changes.sum((1, 2)), n_free)
    assert changes.sum(2).max() == changes.sum(1).max() == 1
    # free cells of fresh candidates are as if nothing were locked
    fresh = drawn.cells[:, 5:].view(100, n, 3, 9)
    assert (fresh[:, 5, :, 0].float().mean() - phi(SOUNDS[0])).abs() < 0.1
    assert torch.equal(ahead.cells_of(drawn.noise), drawn.cells)
    for k in range(8):
        after = ahead.decide(drawn.noise[:, k])
        assert torch.equal(after.cells[:, 0], drawn.cells[:, k])
        assert torch.equal(after.z, drawn.noise[:, k])  # clear of the threshold: nothing has to be moved


def test_changes_of_locked_steps_are_likely_ones_of_free_cells(gan):
    n = 20_000
    locked = pattern((0, 2, 5)).repeat(n, 1)
    changes = likely_changes(gan.begin(n).look_ahead(), given(n), 1, locked, draws(1))[:, 0] ^ given(n)
    chances = [0 if part in (0, 2, 5) else one for part, one in enumerate(odds())]
    assert changes.float().mean(0).tolist() == pytest.approx([one / sum(chances) for one in chances], abs=0.01)


def test_where_few_cells_are_free_the_step_itself_stands_for_what_is_missing(gan):
    changes = likely_changes(gan.begin(6).look_ahead(), given(6), 5, LOCKS, draws(2)) ^ given(6)[:, None]
    assert changes.sum((1, 2)).tolist() == [5, 5, 5, 0, 2, 1]
    assert not (changes & LOCKS[:, None]).any()
    assert changes[4].any(0).nonzero()[:, 0].tolist() == [3, 7]


def test_noise_of_locked_cells_is_drawn_from_n_0_1_where_they_are_what_would_be_played(gan):
    """Given steps of the generator itself: with any locks the noise is N(0, I) again."""
    n = 4000
    ahead = gan.begin(n).look_ahead()
    wanted = ahead.cells_of(draws(7).normal(n, 1, 9))[:, 0]
    locked = LOCKS[torch.arange(n) % len(LOCKS)]
    drawn = draw_candidates(ahead, 9, 3, 1, wanted, torch.ones(n, dtype=torch.bool), locked, draws(8))
    for k in (0, 2):  # what is kept, and a fresh one
        noise = drawn.noise[:, k]
        assert noise.mean().item() == pytest.approx(0, abs=0.02)
        assert noise.square().mean().item() == pytest.approx(1, abs=0.03)
        below = [(noise < limit).float().mean().item() for limit in (-1.5, -0.5, 0.5, 1.5)]
        assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.012)
        # and cells do not hang together
        assert (torch.corrcoef(noise.T) - torch.eye(9)).abs().max() < 0.08


def test_what_a_bar_may_choose_from_depends_on_its_own_seed_given_bar_and_locks(gan):
    """In the company of bars that have other locks, and alone."""
    seeds, n = [5, 1, 8, 2, 9, 4], len(LOCKS)
    has_given = torch.ones(n, dtype=torch.bool)

    def of(rows):
        stream = SeededDraws([seeds[row] for row in rows], 0)
        ahead = gan.begin(len(rows)).look_ahead()
        first = draw_candidates(ahead, 9, 6, 3, given(n)[rows], has_given[rows], LOCKS[rows], stream)
        return first, draw_candidates(ahead, 9, 6, 3, given(n)[rows], has_given[rows], LOCKS[rows], stream)

    together = of(list(range(n)))
    for row in range(n):
        for alone, all_of_them in zip(of([row]), together, strict=True):
            assert torch.equal(alone.noise[0], all_of_them.noise[row])
            assert torch.equal(alone.cells[0], all_of_them.cells[row])
