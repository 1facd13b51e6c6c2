"""Ways through latent space and the state along them, where hand and pencil know the answer."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.conditions import ANY
from rhythmgan.features import measure
from rhythmgan.kit import GM12
from rhythmgan.models.gan import GAN, GANConfig, load_gan
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z
from rl_tuner import rewards
from rl_tuner.dynamics import BOUND
from rl_tuner.goals import Goals
from rl_tuner.latent.dynamics import Dynamics, latent_layout
from rl_tuner.latent.moves import Moves, guided_move, move
from rl_tuner.latent.space import LatentSpace, beat_starts, find_space
from rl_tuner.scale import TARGETS, values_of

pytestmark = pytest.mark.usefixtures("one_thread")


REAL_DIM = 192
"""Numbers in a z of the bundled generator: sixteen steps of twelve parts. Toys have 144."""


def plain_gan(bias=0.0, kit="gm9"):
    """A cell sounds where its number of z is over −bias, whatever the others are."""
    torch.manual_seed(1)
    gan = GAN(GANConfig(kit, width=2, discriminator_width=8)).eval().requires_grad_(False)
    for layer in (gan.generator.to_parts, gan.generator.to_links, gan.generator.to_repeats):
        layer.weight.zero_()
        layer.bias.zero_()
    gan.generator.to_parts.bias.fill_(bias)
    return gan


def small_prior():
    torch.manual_seed(2)
    return WordLSTM(WordLSTMConfig("gm9", width=8, word_width=8)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def plain():
    """The plain generator and the space of its density: all of it is known beforehand."""
    gan = plain_gan()
    return gan, space_of(gan, small_prior(), ("density",), 4, n=30_000)


@pytest.fixture(scope="module")
def real():
    """The bundled generator and prior, asked for bars of any role, and a space of theirs, quickly found."""
    torch.set_num_threads(1)
    gan, prior = load_gan().with_condition(ANY, ANY), load_prior().with_condition(ANY, ANY)
    return gan, prior, space_of(gan, prior, n=3000, n_directions=8)


@pytest.fixture(scope="module")
def dynamics(real):
    gan, prior, space = real
    return Dynamics(gan, gan, prior, space)


def space_of(gan, *arguments, **options):
    """What is found of a generator that is its own critic."""
    return find_space(gan, gan, *arguments, **options)


def draw(n, seed=0, dim=144):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


# moves


def test_the_table_of_moves_by_hand():
    table = Moves(step_sizes=(0.25, 2.0), gains=(0.5,), noise_angles=(0.125, 0.75)).table(2)
    half_pi = float(np.float32(math.pi / 2))
    aimed = [
        row
        for beat in range(4)
        for row in ([-1, 0.125, beat, 0.5, 1], [-1, 0.75, beat, 0.5, 1], [-1, half_pi, beat, 0, 1])
    ]
    stepped = [[along, size, 0, 0, 0] for along in range(2) for size in (0.25, -0.25, 2.0, -2.0)]
    assert table.tolist() == [[-1, 0, 0, 0, 0], *aimed, *stepped]


@pytest.mark.parametrize("n_directions", [1, 8, 16])
def test_there_are_as_many_moves_as_counted(n_directions):
    # stay; at four beats two gains by two noises and a redraw; to and fro by two steps
    assert Moves().table(n_directions).shape == (1 + 4 * 5 + 4 * n_directions, 5)


def blank_space(dim=8, n_directions=2):
    """Directions along the first and the second axis; features of mean 0 and deviation 1; no way leads anywhere."""
    space = LatentSpace(("density", "syncopation"), dim, n_directions)
    space.directions[:] = torch.eye(dim)[:n_directions]
    space.stds[:] = 1
    space.beat_starts[:] = torch.arange(4) * dim // 4
    return space


def wild_space(dim, seed=0):
    """A blank one whose guided moves lead anywhere."""
    space = blank_space(dim)
    for buffer in (space.regression_map, space.pinv_steps):
        buffer[:] = torch.randn(buffer.shape, generator=torch.Generator().manual_seed(seed)) * 0.2
    return space


TABLE = Moves(step_sizes=(0.3, 1.0), gains=(0.5,), noise_angles=(0.4,)).table(2)  # 1 + 4 · 2 + 8 rows
GUIDED = {beat: 1 + 2 * beat for beat in range(4)}
REDRAW = {beat: 2 + 2 * beat for beat in range(4)}
STEP = {(0, 0.3): 9, (0, -0.3): 10, (0, 1): 11, (0, -1): 12, (1, 0.3): 13, (1, -1): 16}


def _move(z, action, noise=None, space=None, gap=(1.0, -2.0)):
    z = torch.as_tensor(z).float()
    n, dim = z.shape
    noise = torch.zeros(n, dim) if noise is None else noise
    actions = torch.full((n,), action) if isinstance(action, int) else torch.as_tensor(action)
    values = torch.arange(n)[:, None] % 3 - torch.tensor([0.5, 1.0])
    return move(space or blank_space(dim), TABLE, z, actions, values, values + torch.tensor(gap), noise)


def test_to_stay_changes_no_bit_and_costs_nothing():
    z = draw(50, 1)
    after, kl = _move(z, 0, draw(50, 3), wild_space(144))
    assert torch.equal(after, z)
    assert not kl.any()


def test_a_step_by_hand():
    # (0, 2, 0 …) along the first axis by 1: (1, 2, 0 …), put back on the circle of radius 2
    after, kl = _move([[0.0, 2, 0, 0, 0, 0, 0, 0]], STEP[0, 1])
    torch.testing.assert_close(after[0, :3], torch.tensor([2 / 5**0.5, 4 / 5**0.5, 0]))
    assert kl.item() == pytest.approx(0.5 / math.sin(0.4) ** 2)
    after, kl = _move([[0.0, 2, 0, 3, 0, 0, 0, 0]], STEP[1, -1])
    torch.testing.assert_close(after[0, :4], torch.tensor([0, 1.0, 0, 3]) * (13 / 10) ** 0.5)
    assert kl.item() == pytest.approx(0.5 / math.sin(0.4) ** 2)


@pytest.mark.parametrize(
    ("here", "key", "length"),
    [
        (1.9, (0, 0.3), 0.1),  # to 2 and no farther
        (2.5, (0, 0.3), 0.0),  # farther out already: it stays there
        (2.5, (0, -0.3), 0.3),  # and may come back
        (-2.5, (0, -1), 0.0),
        (-2.5, (0, 1), 1.0),
        (-1.8, (0, -1), 0.2),
        (1.8, (0, -1), 1.0),
    ],
)
def test_steps_lead_no_farther_than_two_deviations(here, key, length):
    z = [[here, 2.0, 1, -1, 0.5, 0, 3, 1]]
    after, kl = _move(z, STEP[key])
    assert kl.item() == pytest.approx(length**2 / 2 / math.sin(0.4) ** 2, abs=1e-5)
    there = here + math.copysign(length, key[1])
    rest = 4 + 1 + 1 + 0.25 + 9 + 1
    assert after[0, 0].item() == pytest.approx(there * ((rest + here**2) / (rest + there**2)) ** 0.5, rel=1e-5)


@given(st.integers(0, 10_000), st.integers(0, 16))
def test_every_move_keeps_the_length_and_steps_stay_near(seed, action):
    z, noise = draw(6, seed, 8) * 1.3, draw(6, seed + 1, 8)
    after, kl = _move(z, action, noise, wild_space(8, seed + 2))
    torch.testing.assert_close(after.norm(dim=1), z.norm(dim=1), rtol=1e-5, atol=1e-6)
    assert (kl >= 0).all()
    if action in STEP.values():
        axis = (action - 9) // 4
        assert (after[:, axis].abs() <= z[:, axis].abs().clamp(min=2) + 1e-5).all()


@pytest.mark.parametrize("beat", range(4))
def test_a_guided_move_from_a_beat_leaves_what_is_before_it(beat):
    z, noise = draw(20, 1, 144), draw(20, 2, 144)
    for action in (GUIDED[beat], REDRAW[beat]):
        after, _ = _move(z, action, noise, wild_space(144))
        assert torch.equal(after[:, : 36 * beat], z[:, : 36 * beat])
        assert (after[:, 36 * beat :] != z[:, 36 * beat :]).all()
        torch.testing.assert_close(after[:, 36 * beat :].norm(dim=1), z[:, 36 * beat :].norm(dim=1))


def test_a_guided_move_by_hand():
    """From the third beat of eight numbers: cos .4 · (3, 4, 0, 0) + sin .4 · (0, 0, 5, 0) + ½ · (1.2, 0, 0, .5)."""
    z = torch.tensor([[9.0, 8, 7, 6, 3, 4, 0, 0]])
    noise = torch.tensor([[1.0, 1, 1, 1, 0, 0, 5, 0]])
    space = blank_space()
    space.pinv_steps[2, 0] = torch.tensor([5.0, 5, 5, 5, 3, 0, 0, 1.25])  # .4 of it is gone
    space.pinv_steps[1] = 100
    after, kl = _move(z, GUIDED[2], noise, space, gap=(1.0, 0.0))
    c, s = math.cos(0.4), math.sin(0.4)
    tail = torch.tensor([3 * c + 0.6, 4 * c, 5 * s, 0.25])
    torch.testing.assert_close(after[0, 4:], tail * 5 / tail.norm())
    assert after[0, :4].tolist() == [9, 8, 7, 6]
    # ½ |½ (1.2, 0, 0, .5)|² / sin² .4: what leads before the beat is not gone and costs nothing
    assert kl.item() == pytest.approx(0.5 * (0.36 + 0.0625) / s**2)


def test_what_is_drawn_anew_knows_nothing_of_before():
    noise = draw(2, 4, 144)
    noise[1] = noise[0]
    z = draw(2, 5, 144)
    z[1, 72:] = z[1, 72:] * z[0, 72:].norm() / z[1, 72:].norm()
    after, kl = _move(z, REDRAW[2], noise, wild_space(144))
    torch.testing.assert_close(after[0, 72:], after[1, 72:], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[0, 72:], noise[0, 72:] * z[0, 72:].norm() / noise[0, 72:].norm())
    assert not kl.any()


def test_moves_of_a_batch_are_those_of_its_rows():
    z, noise, space = draw(17, 1, 8), draw(17, 2, 8), wild_space(8)
    values, targets = draw(17, 3, 2), draw(17, 4, 2)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(5))
    together, kls = move(space, TABLE, z, order, values, targets, noise)
    for row, action in enumerate(order):
        of = slice(row, row + 1)
        after, kl = move(space, TABLE, z[of], action[None], values[of], targets[of], noise[of])
        torch.testing.assert_close(after, together[of])
        torch.testing.assert_close(kl, kls[of])
    assert ((together - z).norm(dim=1) > 0.05).sum() == 16


def test_a_moved_bar_keeps_its_earlier_beats(real):
    gan, _, space = real
    table = Moves().table(8)
    z, noise = draw(64, 1, REAL_DIM), draw(64, 2, REAL_DIM)
    bars = gan.decode(z)
    values = values_of(bars, TARGETS, gan.kit)
    targets = values.flip(0) + torch.tensor([3.0, -2.0])
    for beat in range(4):
        for action in range(1 + 5 * beat, 6 + 5 * beat):
            assert table[action, 2] == beat
            after = gan.decode(move(space, table, z, torch.full((64,), action), values, targets, noise)[0])
            assert (after[:, : 4 * beat] == bars[:, : 4 * beat]).all()
            assert (after[:, 4 * beat :] != bars[:, 4 * beat :]).any((1, 2)).sum() > 10


# the space


def test_of_the_plain_generator_all_is_known_beforehand(plain):
    """144 coins: density has mean 72 and deviation 6, and each number of z moves it by φ(0) = .3989 on average."""
    _, space = plain
    assert space.means.item() == pytest.approx(72, abs=0.15)
    assert space.stds.item() == pytest.approx(6, abs=0.1)
    assert space.tolerance.tolist() == [1]
    assert space.values.shape == (2048, 1)
    assert space.values.std().item() == pytest.approx(6, abs=0.4)
    torch.testing.assert_close(space.directions @ space.directions.T, torch.eye(4), atol=1e-5, rtol=0)
    assert (space.directions[0].abs() - 1 / 12).abs().max() < 0.02
    assert abs(space.directions[0].sum().item()) > 11.9
    slope = 1 / (2 * math.pi) ** 0.5
    for beat in range(4):
        assert not space.pinv_steps[beat, 0, : 36 * beat].any()
        tail = space.pinv_steps[beat, 0, 36 * beat :]
        assert tail.mean().item() == pytest.approx(1 / slope / (144 - 36 * beat), rel=0.02)
        assert tail.std() < 0.2 * tail.mean()


def test_towards_turns_draws_given_values_into_draws_given_targets(plain):
    """Matheron's rule: of bars with d onsets a number of z is √(2/π) (2 d / 144 − 1) on average."""
    _, space = plain
    way = space.towards(torch.tensor([[60.0], [72.0], [80.0]]), torch.tensor([[76.0], [72.0], [66.0]]))
    share = (2 / math.pi) ** 0.5 * 2 / 144
    assert way[0].mean().item() == pytest.approx(16 * share, rel=0.03)
    assert way[2].mean().item() == pytest.approx(-14 * share, rel=0.03)
    assert not way[1].any()
    assert way[0].std() < 0.4 * way[0].mean()
    # what it adds to the density is, coins being no normal numbers, only 2 / π of the way: φ(0) √(2/π) 2
    z = draw(20_000, 7)
    density = (z > 0).sum(1, keepdim=True).float()
    led = ((z + space.towards(density, torch.full_like(density, 78.0))) > 0).sum(1).float()
    assert led.mean().item() == pytest.approx(72 + 6 * 2 / math.pi, abs=0.3)


def test_targets_do_not_lead_beyond_three_deviations(plain):
    _, space = plain
    values = torch.tensor([[72.0]])
    far = space.towards(values, space.means + 3 * space.stds + torch.zeros(1, 1))
    farthest = space.towards(values, torch.tensor([[144.0]]))
    torch.testing.assert_close(farthest, far, rtol=1e-5, atol=1e-7)
    assert torch.equal(farthest, space.towards(values, space.means + 4 * space.stds + torch.zeros(1, 1)))


def test_guided_ways_by_hand():
    space = blank_space()
    space.means[:], space.stds[:] = torch.tensor([10.0, 5.0]), torch.tensor([2.0, 1.0])
    space.pinv_steps[1, 0, 2], space.pinv_steps[1, 1, 3] = 0.5, 0.25
    space.pinv_steps[3, 0, 6] = 4.0
    space.regression_map[0, 7] = 0.5  # the first power of the first feature
    space.regression_map[3, 1] = 1.0  # the product of both
    assert space.regression_map.shape == (7, 8)  # two first powers, three products, two third powers
    values, targets = torch.tensor([[10.0, 5.0]]), torch.tensor([[12.0, 4.0]])
    ways = [guided_move(space, values, targets, beat)[0] for beat in range(4)]
    assert [len(way) for way in ways] == [8, 6, 4, 2]
    assert ways[0][7].item() == pytest.approx(0.5)
    assert ways[0][1].item() == pytest.approx(-1.0)
    torch.testing.assert_close(ways[1], 0.4 * torch.tensor([1.0, -0.25, 0, 0, 0, 0]))
    assert not ways[2].any()
    assert ways[3].tolist() == pytest.approx([1.5, 0])  # .4 · 8, and no longer than that
    same = torch.tensor([[11.0, 6.0]])
    assert not any(guided_move(space, same, same, beat).any() for beat in range(4))


def test_the_space_of_the_bundled_generator(real):
    gan, _, space = real
    assert space.directions.shape == (8, REAL_DIM)
    torch.testing.assert_close(space.directions @ space.directions.T, torch.eye(8), atol=1e-5, rtol=0)
    assert not any(parameter.requires_grad for parameter in space.parameters())
    slopes = torch.linalg.pinv(space.pinv_steps[0])  # (latent_dim, F), as the least change is its pseudo-inverse
    # the first two directions are those of the features
    outside = slopes - space.directions[:2].T @ (space.directions[:2] @ slopes)
    assert outside.norm() < 1e-3 * slopes.norm()
    for beat in range(4):
        steps = space.pinv_steps[beat]
        assert not (steps[:, : 48 * beat].abs() > 1e-6).any()
        # each changes its own feature by one and the other by nothing
        torch.testing.assert_close(steps @ slopes, torch.eye(2), atol=1e-3, rtol=0)
    assert (space.pinv_steps[3].norm(dim=1) > space.pinv_steps[0].norm(dim=1)).all()
    values = values_of(gan.sample(4000, seed=50), TARGETS, gan.kit)
    assert ((space.means - values.mean(0)).abs() < 0.12 * values.std(0)).all()
    torch.testing.assert_close(space.stds, values.std(0), rtol=0.1, atol=0)


def test_a_pinv_step_changes_what_it_says():
    gan = plain_gan(-1.0)
    space = space_of(gan, small_prior(), n_directions=4, n=20_000)
    z = draw(6000, 9)
    for beat in (0, 2):
        for feature in range(2):
            # from both sides, so that a bend evens out
            up, down = (
                values_of(gan.decode(z + sign * space.pinv_steps[beat, feature]), TARGETS, gan.kit) for sign in (1, -1)
            )
            expected = torch.eye(2)[feature]
            torch.testing.assert_close((up - down).mean(0) / 2, expected, atol=0.15, rtol=0)


def test_the_same_seed_finds_the_same_space_and_another_one_another():
    gan, prior = plain_gan(-1.0), small_prior()
    one, other, third = (space_of(gan, prior, n_directions=6, n=500, seed=seed) for seed in (3, 3, 4))
    for name, buffer in one.state_dict().items():
        assert torch.equal(buffer, other.state_dict()[name]), name
    assert (one.directions - third.directions).abs().max() > 0.1
    assert not torch.equal(one.values, third.values)


def test_tolerances_of_counts_are_1_and_of_others_a_share_of_their_deviation():
    space = space_of(plain_gan(-1.0), small_prior(), ("off-beat share", "density"), 2, n=400)
    assert space.tolerance[1] == 1
    assert space.tolerance[0].item() == pytest.approx(0.15 * space.stds[0].item())
    assert space.directions.shape == (2, 144)


def test_features_that_cannot_be_steered_are_refused():
    prior = small_prior()
    with pytest.raises(ValueError, match="no feature is called 'loudness'"):
        space_of(plain_gan(), prior, ("density", "loudness"), 4, n=200)
    with pytest.raises(ValueError, match="density is the same for all bars"):
        space_of(plain_gan(-100.0), prior, ("density",), 4, n=200)
    with pytest.raises(ValueError, match="different"):
        LatentSpace(("density", "density"), 144, 4)
    with pytest.raises(ValueError, match="one feature"):
        LatentSpace((), 144, 4)
    with pytest.raises(ValueError, match="from 2 to 144 directions, not 1"):
        LatentSpace(TARGETS, 144, 1)
    with pytest.raises(ValueError, match="not 145"):
        LatentSpace(TARGETS, 144, 145)


def test_values_are_the_features_in_their_order(real):
    gan, _, _ = real
    bars = gan.sample(40, seed=3)
    every = measure(bars, gan.kit)
    for names in (TARGETS, TARGETS[::-1], ("Witek", "off-beat share", "density")):
        values = values_of(bars, names, gan.kit)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, torch.stack([every[name] for name in names], 1).float())


# state


def goals_of(targets, weights=None, realism=0.0, likelihood=0.0, kl_coef=0.0, calls=9):
    targets = torch.as_tensor(targets, dtype=torch.float32)
    n = len(targets)
    weights = torch.ones_like(targets) if weights is None else torch.as_tensor(weights).float()

    def each(value, dtype=torch.float32):
        return torch.as_tensor(value, dtype=dtype).expand(n).clone()

    coefs = {"realism": each(realism), "likelihood": each(likelihood), "kl": each(kl_coef)}
    return Goals(targets, weights, coefs, each(calls, torch.long))


def test_dynamics_and_their_space_fit(real, dynamics):
    gan, prior, _ = real
    assert dynamics.n_actions == 1 + 20 + 32
    assert dynamics.layout.width == latent_layout(REAL_DIM, 192, 2).width == 2 * 192 + 5 * 2 + 9
    with pytest.raises(ValueError, match="64 dimensions, the generator 192"):
        Dynamics(gan, gan, prior, LatentSpace(TARGETS, 64, 4))


def test_episodes_begin_with_a_call_and_spend_one_a_step(real, dynamics):
    gan, _, space = real
    z = draw(30, 3, REAL_DIM)
    calls = torch.arange(30) + 4
    goals = goals_of(space.values[:30], calls=calls)
    state = dynamics.begin(z, goals)
    assert torch.equal(state.z, z)
    assert (state.calls_left == calls - 1).all()
    assert not state.terms["kl"].any()
    actions = torch.arange(30)
    after = dynamics.step(state, goals, actions, draw(30, 4, REAL_DIM))
    assert (after.calls_left == calls - 2).all()
    for each in (state, after):
        assert (each.bars.numpy() == gan.decode(each.z)).all()
        assert torch.equal(each.values, values_of(each.bars, TARGETS, gan.kit))
    z, kl = move(space, dynamics.table, state.z, actions, state.values, goals.targets, draw(30, 4, REAL_DIM))
    torch.testing.assert_close(after.z, z)
    torch.testing.assert_close(after.terms["kl"], kl)
    assert after.terms["kl"][0] == 0
    assert (after.terms["kl"][1:5] > 0).sum() >= 3  # a bar that is on target already has no way to go


def test_terms_by_hand(real, dynamics):
    """Bar 0 has its targets, 1 is a tolerance off, 2 is two off, 3 has what counts.

    The networks are asked about successes with a coefficient only.
    """
    gan, prior, space = real
    z = draw(6, 8, REAL_DIM)
    bars = torch.from_numpy(gan.decode(z))
    values = values_of(bars, TARGETS, gan.kit)
    offsets = torch.tensor([[0.0, 0], [1, 0], [0, -2], [0, 50], [0, 0], [0, 0]])
    weights = torch.ones(6, 2)
    weights[3, 1] = 0
    weights[1, 0] = 2
    share = torch.tensor([0.5, 1.0, 1.0, 0.25, 0.0, 0.75])
    goals = goals_of(values + offsets, weights, share, share.flip(0))
    state = dynamics.begin(z, goals)
    assert state.success.tolist() == [1, 1, 0, 1, 1, 1]
    near = [1, 0.5 * math.exp(-0.5) + 0.5, 0.5 * math.exp(-0.5), 1, 1, 1]
    torch.testing.assert_close(state.match, torch.tensor(near))
    real_ones = rewards.realism(gan, bars, float(space.calibration[0]))
    seen = torch.tensor([True, True, False, True, False, True])
    torch.testing.assert_close(state.terms["realism"], torch.where(seen, real_ones, 0))
    likely = rewards.likelihood(prior, bars, *space.calibration[1:].tolist())
    seen = torch.tensor([True, False, False, True, True, True])
    torch.testing.assert_close(state.terms["likelihood"], torch.where(seen, likely, 0))
    torch.testing.assert_close(
        state.score, state.match + share * state.terms["realism"] + share.flip(0) * state.terms["likelihood"]
    )
    assert list(state.terms) == ["match", "success", "realism", "likelihood", "score", "kl"]


def test_the_observation_has_everything_in_its_place(real, dynamics):
    _, _, space = real
    z = draw(5, 12, REAL_DIM)
    goals = goals_of(
        [[20.0, 6.0], [3.0, 0.0], [60.0, 20.0], [16.0, 4.0], [25.0, 9.0]],
        [[1, 1], [1, 0], [0, 2], [1, 1], [0.5, 1]],
        [0.0, 0.25, 0.5, 0.75, 1.0],
        [1.0, 0.0, 0.125, 0.0, 0.5],
        [0.5, 0.25, 0.0, 1.0, 0.0],
        [4, 64, 65, 1000, 10],
    )
    state = dynamics.begin(z, goals)
    seen = dynamics.observe(state, goals)
    assert seen.shape == (5, 403)
    assert seen.dtype == torch.float32
    for row in range(5):
        value, target = state.values[row], goals.targets[row].clone()
        target[goals.importance[row] == 0] = value[goals.importance[row] == 0]  # what is skipped is wanted as it is
        gap = (target - value) / space.tolerance
        left = goals.calls[row].item() - 1
        expected = [
            *(z[row] / 5).tolist(),
            *[0.2 if cell else -0.2 for cell in state.bars[row].flatten().tolist()],
            *((value - space.means) / space.stds).tolist(),
            *((target - space.means) / space.stds).tolist(),
            *[math.tanh(one / 3) for one in gap.tolist()],
            *(gap / 10).tolist(),
            *goals.importance[row].tolist(),
            *(
                state.match[row].item(),
                state.success[row].item(),
                state.terms["realism"][row].item(),
                state.terms["likelihood"][row].item(),
            ),
            *(goals.coefs["realism"][row].item(), goals.coefs["likelihood"][row].item(), goals.coefs["kl"][row].item()),
            *(min(left / 64, 1), math.log2(left + 1) / 6),
        ]
        torch.testing.assert_close(seen[row], torch.tensor(expected).clamp(-10, 10), atol=1e-4, rtol=1e-4)
    assert seen[0, -2].item() == pytest.approx(3 / 64)
    assert seen[1, -1].item() == pytest.approx(1)


def test_no_number_of_an_observation_is_larger_than_the_bound(dynamics):
    z = draw(4, 13, REAL_DIM) * 1000
    goals = goals_of([[9e9, 1e9], [-5e5, 3], [1e30, 1e30], [0, 0]], weights=[[1e6, 1]] * 4, calls=4096)
    seen = dynamics.observe(dynamics.begin(z, goals), goals)
    assert BOUND == 10
    assert seen.isfinite().all()
    assert seen.abs().max() == 10


def test_a_redraw_leads_elsewhere_with_the_noise_given(real, dynamics):
    _, _, space = real
    z, noise = draw(8, 1, REAL_DIM), draw(8, 2, REAL_DIM)
    goals = goals_of(space.values[:8])
    after = dynamics.step(dynamics.begin(z, goals), goals, torch.full((8,), 5), noise)  # of the whole bar
    torch.testing.assert_close(after.z, noise * (z.norm(dim=1) / noise.norm(dim=1))[:, None], atol=1e-4, rtol=1e-4)
    assert not after.terms["kl"].any()


def test_rows_are_taken_and_put(dynamics, real):
    _, _, space = real
    goals = goals_of(space.values[:6], calls=torch.arange(6) + 5)
    state = dynamics.begin(draw(6, 1, REAL_DIM), goals)
    assert len(state) == len(goals) == 6
    some = state.rows(torch.tensor([4, 1]))
    assert len(some) == 2
    for name in ("z", "bars", "values", "calls_left"):
        assert torch.equal(getattr(some, name), getattr(state, name)[[4, 1]])
    assert some.terms.keys() == state.terms.keys()
    for name, term in state.terms.items():
        assert torch.equal(some.terms[name], term[[4, 1]])
    mask = torch.tensor([False, True, False, False, False, True])
    goals.put(mask, goals_of([[1.0, 2.0], [3.0, 4.0]], calls=torch.tensor([70, 80])))
    assert goals.calls.tolist() == [5, 70, 7, 8, 9, 80]
    assert goals.targets[mask].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("features", [TARGETS, ("off-beat share", "density")])
def test_relabelled_segments_are_those_that_would_have_been_seen(features):
    """States with skipped features and networks, relabelled with where they came to, give or take a unit."""
    gan, prior = plain_gan(-1.2), small_prior()
    dynamics = Dynamics(gan, gan, prior, space_of(gan, prior, features, 6, n=600))
    space, n, k = dynamics.space, 12, 3
    weights = torch.ones(n, 2)
    weights[::3, 1] = 0
    goals = goals_of(space.values[:n], weights, 0.5, 0.25, 0.5, calls=torch.arange(n) + 8)
    state = [dynamics.begin(draw(n, 1), goals)]
    for time in range(k):
        actions = torch.randint(dynamics.n_actions, (n,), generator=torch.Generator().manual_seed(time))
        state.append(dynamics.step(state[-1], goals, actions, draw(n, 20 + time)))
    seen = torch.stack([dynamics.observe(each, goals) for each in state], 1)
    counted = torch.arange(n) % k + 1
    reported, rewards_ = dynamics.relabel(seen, counted, torch.Generator().manual_seed(5))
    assert reported.shape == seen.shape
    assert rewards_.shape == (n, k)
    # what was drawn for the targets shows where they are taken from
    first = 2 * space.latent_dim
    targets = reported[:, 0, first + 2 : first + 4] * space.stds + space.means
    assert (reported[:, :, first + 2 : first + 4] == reported[:, :1, first + 2 : first + 4]).all()
    came_to = torch.stack([each.values for each in state], 1)[torch.arange(n), counted]
    moved = (targets - came_to) / space.tolerance
    torch.testing.assert_close(moved, moved.round(), atol=1e-3, rtol=0)
    assert set(moved.round().flatten().int().tolist()) == {-1, 0, 1}
    other = goals_of(came_to + moved.round() * space.tolerance, calls=goals.calls)
    # on the boundary of a unit that is no whole number rounding decides: a hair towards the middle
    other.targets -= 1e-4 * moved.round() * space.tolerance * (space.tolerance != 1)
    again = [dynamics.look_at(each.z, each.bars, other, each.calls_left) for each in state]
    assert all(each.success[row] for row, time in enumerate(counted.tolist()) for each in [again[time]])
    expected = torch.stack([dynamics.observe(each, other) for each in again], 1)
    torch.testing.assert_close(reported, expected, atol=2e-3, rtol=1e-3)
    scores = torch.stack([each.score for each in again], 1)
    torch.testing.assert_close(rewards_, scores.diff(dim=1), atol=2e-3, rtol=0)
    assert rewards_.abs().max() > 0.1


class Uneven:
    """A latent model with few numbers: one for each step, four for the first and none for the last.

    A step's number says how many of its parts sound.
    """

    kit, steps, latent_dim, fingerprint = GM12, 16, 18, "uneven"
    latent_steps = np.array([0, 0, 0, 0, *range(1, 15)])

    def decode(self, z):
        z = np.asarray(z)
        heights = np.concatenate([z[:, :4].sum(1, keepdims=True) / 2, z[:, 4:], z[:, :1]], 1)  # (n, 16)
        return heights[..., None] > np.linspace(-1.5, 1.5, 12)


def test_a_beat_begins_with_the_first_number_that_decides_one_of_its_steps():
    assert beat_starts(Uneven()).tolist() == [0, 7, 11, 15]
    assert beat_starts(plain_gan()).tolist() == [0, 36, 72, 108]


def test_a_generator_may_have_fewer_numbers_than_cells(real):
    """Moves from a beat on leave what decides earlier steps, and the observation has a place for all cells."""
    critic, prior, _ = real
    generator = Uneven()
    space = find_space(generator, critic, prior, n_directions=5, n=2000)
    assert torch.isfinite(torch.cat([buffer.flatten().double() for buffer in space.state_dict().values()])).all()
    for beat, first in enumerate([0, 7, 11, 15]):
        assert not space.pinv_steps[beat][:, :first].any()
        assert space.pinv_steps[beat][:, first:].all()
    dynamics = Dynamics(generator, critic, prior, space)
    assert dynamics.layout.width == 18 + 192 + 5 * 2 + 9
    z, noise = draw(8, 1, 18), draw(8, 2, 18)
    goals = goals_of(space.values[:8] + 2)
    state = dynamics.begin(z, goals)
    for beat, first in enumerate([0, 7, 11, 15]):
        for action in range(1 + 5 * beat, 6 + 5 * beat):
            after = dynamics.step(state, goals, torch.full((8,), action), noise)
            assert torch.equal(after.z[:, :first], z[:, :first])
            assert (after.z[:, first:] != z[:, first:]).all()
            torch.testing.assert_close(after.z.norm(dim=1), z.norm(dim=1))
    seen = dynamics.layout.unpack(dynamics.observe(state, goals))
    torch.testing.assert_close(seen["z"], z / 5)
    assert ((seen["cells"] > 0) == state.bars.flatten(1)).all()


def test_the_critic_need_not_be_the_generators_own(real):
    gan, prior, space = real
    other = plain_gan(kit="gm12")
    z = draw(6, 8, REAL_DIM)
    goals = goals_of(values_of(gan.decode(z), TARGETS, gan.kit), realism=1.0)
    own = Dynamics(gan, gan, prior, space).begin(z, goals)
    judged = Dynamics(gan, other, prior, space).begin(z, goals)
    assert torch.equal(own.bars, judged.bars)
    expected = rewards.realism(other, own.bars, float(space.calibration[0]))
    torch.testing.assert_close(judged.terms["realism"], expected)
    assert (judged.terms["realism"] != own.terms["realism"]).all()


@pytest.mark.parametrize("steps", [24, 48])
def test_a_grid_of_duplets_and_triplets_has_a_space(steps):
    torch.manual_seed(3)
    gan = GAN(GANConfig(width=4, discriminator_width=4, steps=steps)).eval().requires_grad_(False)
    prior = WordLSTM(WordLSTMConfig(width=8, word_width=8, steps=steps)).eval()
    space = space_of(gan, prior, n=600)
    bars = gan.decode(seeds_to_z(range(600), steps * gan.kit.n_parts, RANDOM_STREAMS["space"][0]))
    found = torch.stack(list(measure(bars, names=TARGETS).values()), 1)
    torch.testing.assert_close(space.means, found.float().mean(0))
    assert all(torch.isfinite(buffer).all() for buffer in space.state_dict().values())
