"""The generator as its users meet it: seeds, batches, weights files."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.stats import chisquare, kstest, norm

from rhythmgan.augment import N_AUGMENTATIONS
from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.kit import KITS, STREAMS, Kit
from rhythmgan.models import denoiser
from rhythmgan.models import gan as room
from rhythmgan.models.gan import GAN, Discriminator, GANConfig, Generator, load_gan, save_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.patterns import load_patterns


@pytest.fixture(scope="module")
def bundled():
    torch.set_num_threads(1)
    return load_gan()


REAL = torch.zeros(1, 3, dtype=torch.long)  # a bar as it is, of any role and style
NAMES = {"roles": ("groove", "fill"), "styles": ("funk", "rock", "jazz")}


@pytest.fixture
def small():
    torch.manual_seed(3)
    return GAN(GANConfig("gm9", width=16, discriminator_width=16, **NAMES)).eval()


def _labels(n):
    """Labels (n, 3) of every kind, each column in an order of its own."""
    number = torch.arange(n)
    return torch.stack([number % N_AUGMENTATIONS, number // 2 % 3, number // 3 % 4], 1)


def test_same_seed_same_bar_in_any_batch(bundled):
    bars = bundled.sample(1500, seed=0)
    assert bars.shape == (1500, bundled.steps, bundled.kit.n_parts)
    assert bars.dtype == bool
    assert (bundled.sample(3, seed=1200) == bars[1200:1203]).all()
    for seed in (0, 7, 1023, 1024, 1499):
        assert (bundled.sample(1, seed=seed)[0] == bars[seed]).all()


def test_bars_of_the_bundled_weights_differ_and_sound(bundled):
    """Of those that stand for songs' distinct bars."""
    bars = bundled.with_condition(ANY, ANY).sample(1000, seed=10)
    assert len(np.unique(bars.reshape(1000, -1), axis=0)) > 900
    assert bars.any((1, 2)).all()
    assert 12 < bars.sum((1, 2)).mean() < 22
    # a kick on the one and a snare on two or four: what most bars of the training songs have
    kick, snare = map(bundled.kit.names.index, ("kick", "snare"))
    assert bars[:, 0, kick].mean() > 0.6
    assert (bars[:, 4, snare] | bars[:, 12, snare]).mean() > 0.5


def test_close_decisions_are_made_in_double_precision(small):
    """With every decision within rounding of zero, single precision decides by batch; ours must not."""
    with torch.no_grad():
        small.generator.to_parts.weight *= 1e-6
        small.generator.to_parts.bias.zero_()
        for linear in (small.generator.to_links, small.generator.to_repeats):
            linear.weight.zero_()
            linear.bias.zero_()
    z = small.latents(range(300), temperature=2e-7)
    double = Generator(small.config).double()
    double.load_state_dict(small.generator.state_dict())
    with torch.no_grad():
        truth = double(torch.from_numpy(z).double(), small.labels).numpy() > 0
    assert 0.1 < truth.mean() < 0.9
    assert (truth != (z.reshape(truth.shape) > 0)).mean() > 0.1  # both halves of a sum decide
    assert (small.decode(z) == truth).all()
    assert (np.concatenate([small.decode(row[None]) for row in z]) == truth).all()


def _generator(steps, kit="jaki5", width=12):
    """A generator in double precision, without dropout, whose weights are so large that its inputs matter."""
    torch.manual_seed(steps)
    generator = Generator(GANConfig(kit, steps, width, **NAMES)).double().eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.mul_(2)
    for table in generator.start.parameters():
        table.normal_()
    return generator


@pytest.mark.parametrize("labels", [REAL, _labels(60)], ids=["real", "labels"])
@pytest.mark.parametrize("steps", [12, 16, 24])
def test_what_decides_is_what_is_expected_and_z(steps, labels):
    """Of the bar that it makes itself the generator expects, cell by cell, what it decided by, less z."""
    generator = _generator(steps)
    z = torch.randn(60, steps * 5).double()
    cells, sums = generator.unroll(z, labels)
    ones = torch.ones(60, steps, 1).double()
    assert cells.shape == sums.shape == (60, steps, 5)
    assert 0.1 < cells.mean() < 0.9
    assert len(cells.flatten(1).unique(dim=0)) == 60
    noise = z.view(60, steps, 5)
    for expected in (generator.expect(cells, labels), generator.expect(cells, labels, ones)):
        torch.testing.assert_close(expected + noise, sums, atol=1e-12, rtol=1e-10)
    assert ((sums > 0) == (cells > 0)).all()
    # of another bar, or of the bar with another label, it expects something else
    assert (generator.expect(1 - cells, labels) + noise - sums).abs().max() > 0.1
    for other in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        wrong = (labels + torch.tensor(other)) % torch.tensor([N_AUGMENTATIONS, 3, 4])
        assert (generator.expect(cells, wrong) + noise - sums).abs().amax((1, 2)).min() > 1e-3


@pytest.mark.parametrize("steps", [12, 16])
def test_labels_of_all_bars_together_are_those_of_each(steps):
    """One row (1, 3) says the same as a row a bar."""
    generator = _generator(steps)
    discriminator = Discriminator(GANConfig("jaki5", steps, discriminator_width=6, **NAMES)).double()
    z = torch.randn(7, steps * 5).double()
    for label in _labels(12).unique(dim=0):
        one, each = label[None], label.expand(7, 3)
        cells, sums = generator.unroll(z, one)
        torch.testing.assert_close(generator.unroll(z, each)[1], sums, atol=1e-12, rtol=0)
        found = generator.expect(cells, each)
        torch.testing.assert_close(found, generator.expect(cells, one), atol=1e-12, rtol=0)
        torch.testing.assert_close(discriminator(cells, each), discriminator(cells, one), atol=1e-12, rtol=0)
    # and rows of several labels are each its own
    labels = _labels(7)
    mixed = generator.unroll(z, labels)[1]
    alone = torch.cat([generator.unroll(z[i : i + 1], labels[i : i + 1])[1] for i in range(7)])
    torch.testing.assert_close(mixed, alone, atol=1e-12, rtol=0)


def _forget_repeats(generator):
    """Let it neither hear how exactly a bar has repeated itself nor expect a cell again."""
    for parameter in generator.to_repeats.parameters():
        parameter.zero_()
    n_cells = 3 * generator.n_parts
    generator.to_gates.weight[:, n_cells : n_cells + 2] = 0
    generator.lagged_to_new.weight[:, n_cells:] = 0


@pytest.mark.parametrize(("steps", "lags"), [(12, (1, 3, 6)), (16, (1, 4, 8)), (24, (1, 6, 12))])
def test_lagged_inputs_are_the_step_before_and_those_a_beat_and_two_beats_before(steps, lags):
    """A state of nothing but the lagged inputs: a changed step matters exactly these steps later; hidden, nowhere."""
    generator = _generator(steps)
    assert generator.lags == lags
    mixing = torch.randn(15, 12).double()
    generator._next_state = lambda state, drive, lagged: torch.tanh(lagged[:, :15] @ mixing)
    _forget_repeats(generator)
    bars = (torch.rand(1, steps, 5) < 0.4).double()
    shown = torch.ones(1, steps, 1).double()
    plain = generator.expect(bars, REAL)
    for step in range(steps):
        other = bars.clone()
        other[0, step] = 1 - other[0, step]
        changed = (generator.expect(other, REAL, shown) != plain)[0]
        later = {step + lag for lag in lags if step + lag < steps}
        assert set(changed.any(1).nonzero()[:, 0].tolist()) == {step} | later
        assert all(changed[place].all() for place in later)
        hidden = shown.clone()
        hidden[0, step] = 0
        changed = (generator.expect(other, REAL, hidden) != generator.expect(bars, REAL, hidden))[0]
        assert changed.any(1).nonzero().tolist() == [[step]]


@pytest.mark.parametrize("steps", [12, 16])
def test_a_hidden_step_is_silence_to_all_that_follow(steps):
    """Its own parts still know each other: the links within a step are not hidden. Repetition is not either."""
    generator = _generator(steps)
    _forget_repeats(generator)
    bars = (torch.rand(20, steps, 5) < 0.6).double()
    shown = torch.ones(20, steps, 1).double()
    for step in (0, 2, steps - 2):
        bars[:, step, 1] = 1
        hidden, silent = shown.clone(), bars.clone()
        hidden[:, step] = silent[:, step] = 0
        found, plain = generator.expect(bars, REAL, hidden), generator.expect(bars, REAL)
        after = generator.expect(silent, REAL)[:, step + 1 :]
        torch.testing.assert_close(found[:, : step + 1], plain[:, : step + 1], atol=1e-12, rtol=0)
        torch.testing.assert_close(found[:, step + 1 :], after, atol=1e-12, rtol=0)
        assert ((found - plain)[:, step + 1].abs().amax(1) > 1e-6).all()


def _repeated(bar, step, lag):
    """Slowly: e to the minus of how many cells of the last ``lag`` steps differ from those ``lag`` earlier."""
    differ = 0
    for now in range(max(step - lag, lag), step):
        differ += sum(bar[now][part] != bar[now - lag][part] for part in range(len(bar[now])))
    return float(np.exp(-differ)) if step >= lag else 0.0


@pytest.mark.parametrize("steps", [12, 16, 24])
def test_it_hears_how_exactly_a_bar_has_repeated_itself(steps):
    """A beat later and two; step by step and all at once the same, whatever is hidden of the cells."""
    generator = _generator(steps)
    beat = steps // 4
    heard = []
    next_state = generator._next_state
    generator._next_state = lambda *inputs: heard.append(inputs[2][:, 15:].clone()) or next_state(*inputs)
    # some beats again, some cells turned
    bars = (torch.rand(40, beat, 5) < 0.4).repeat(1, 4, 1) ^ (torch.rand(40, steps, 5) < 0.04)
    bars[0] = bars[0, :beat].repeat(4, 1)
    generator.expect(bars.double(), REAL, torch.zeros(40, steps, 1).double())
    expected = [
        [[_repeated(bar, step, lag) for lag in (beat, 2 * beat)] for bar in bars.tolist()] for step in range(steps)
    ]
    assert heard[-1][0].tolist() == [1, 1]
    assert 0.1 < (torch.tensor(expected) == 1).double().mean() < 0.9
    torch.testing.assert_close(torch.stack(heard), torch.tensor(expected, dtype=torch.double), atol=1e-9, rtol=0)
    heard.clear()
    far = torch.where(bars, 1e3, -1e3).double().flatten(1)
    assert torch.equal(generator(far, REAL.expand(40, 3)) > 0, bars)
    torch.testing.assert_close(torch.stack(heard), torch.tensor(expected, dtype=torch.double), atol=1e-9, rtol=0)


@pytest.mark.parametrize("steps", [12, 16])
def test_a_cell_is_expected_again_a_beat_and_two_later(steps):
    """A generator of nothing but repetition: of each part so much for what sounded, so much against what was silent."""
    generator = _generator(steps)
    for parameter in generator.parameters():
        parameter.zero_()
    generator.to_repeats.bias.copy_(torch.tensor([1.0, 2, 3, 4, 5, 10, 20, 30, 40, 50]))
    beat = steps // 4
    bars = torch.rand(30, steps, 5) < 0.4
    side = np.where(bars, 1, -1)
    by_hand = np.zeros(side.shape)
    by_hand[:, beat:] += np.arange(1, 6) * side[:, :-beat]
    by_hand[:, 2 * beat :] += 10 * np.arange(1, 6) * side[:, : -2 * beat]
    np.testing.assert_array_equal(generator.expect(bars.double(), REAL), by_hand)
    sums = generator.unroll(torch.where(bars, 1e3, -1e3).double().flatten(1), REAL)[1]
    np.testing.assert_array_equal(sums, by_hand + 1e3 * side)


def test_parts_know_only_what_comes_before(small):
    """A changed cell changes what is expected of no earlier step or part, nor of itself."""
    bars = torch.zeros(1, 16, 9)
    other = bars.clone()
    other[0, 5, 4] = 1
    with torch.no_grad():
        changed = (small.generator.expect(bars, REAL) != small.generator.expect(other, REAL))[0]
    assert not changed[:5].any()
    assert not changed[5, :5].any()
    assert changed[5, 5:].all()
    assert changed[6].any()


def test_a_part_is_linked_to_each_of_those_after_it():
    """A generator of nothing but links: the k-th of them is of the k-th pair, in the order of the parts."""
    generator = _generator(12)
    for parameter in generator.parameters():
        parameter.zero_()
    generator.to_links.bias.copy_(torch.arange(1.0, 11))  # 0→1 0→2 0→3 0→4, 1→2 1→3 1→4, 2→3 2→4, 3→4
    expected = {
        0: [0, 1, 2, 3, 4],
        1: [0, 0, 5, 6, 7],
        2: [0, 0, 0, 8, 9],
        3: [0, 0, 0, 0, 10],
        4: [0, 0, 0, 0, 0],
    }
    for part, links in expected.items():
        bar = torch.zeros(1, 12, 5).double()
        bar[0, 7, part] = 1
        found = generator.expect(bar, REAL)[0]
        assert found[7].tolist() == links
        assert not found[:7].any()
        assert not found[8:].any()
        # and unrolled: this part alone sounds by z; what it is linked to sounds after it, and links on
        z = torch.full((1, 12, 5), -5.5).double()
        z[0, 7, part] = 0.5
        sums = generator.unroll(z.view(1, 60), REAL)[1][0, 7]
        cells = [0.0] * 5
        for later in range(5):
            by_hand = sum(expected[earlier][later] * cells[earlier] for earlier in range(later))
            assert sums[later].item() == by_hand + z[0, 7, later].item()
            cells[later] = float(sums[later] > 0)
        assert cells[part] == 1
        assert not any(cells[:part])


def test_a_number_of_z_speaks_for_its_own_cell():
    """Step 5, part 2 of 5: raised by so much, its sum rises by so much; all before it stays as it was."""
    generator = _generator(12)
    z = torch.randn(50, 60).double()
    cells, sums = generator.unroll(z, REAL)
    raised = z.clone()
    raised[:, 27] += 0.75
    more, higher = generator.unroll(raised, REAL)
    difference = (higher - sums).flatten(1)
    assert (difference[:, :27] == 0).all()
    torch.testing.assert_close(difference[:, 27], torch.full((50,), 0.75).double(), atol=1e-12, rtol=0)
    turned = (more != cells).flatten(1)[:, 27]
    assert 0.05 < turned.double().mean() < 0.6
    # what follows changes with the cell, and only with it
    assert (difference[~turned, 28:] == 0).all()
    assert (difference[turned, 28:] != 0).any(1).all()


@pytest.fixture
def tiny(monkeypatch):
    """A GAN whose bars can all be written down: four steps of three parts, of which there are 4096."""
    three = Kit("three", tuple(next(part for part in KITS["gm9"].parts if part.stream == each) for each in STREAMS))
    for module in (room, denoiser):
        monkeypatch.setattr(module, "kit_named", lambda name: {"three": three}[name])
    torch.manual_seed(12)
    shape = {"kit": "three", "steps": 4, "length": 4, "repeats": (1, 2)}
    gan = GAN(SimpleNamespace(**shape, width=6, discriminator_width=4, denoiser_width=5, dropout=0.5, **NAMES))
    for parameter in gan.generator.parameters():
        parameter.data.mul_(2)
    for table in (*gan.generator.start.parameters(), *gan.generator.drive.parameters()):
        table.data.normal_()
    gan.shifts.normal_()
    gan.shifts[room.TEMPERATURES.index(1)] = 0
    return gan.eval().requires_grad_(False)


def _every_bar():
    return (np.arange(4096)[:, None] >> np.arange(12) & 1).astype(bool).reshape(-1, 4, 3)


@pytest.mark.parametrize("role", ["any", "groove", "fill"])
@pytest.mark.parametrize("style", ["any", "jazz"])
def test_chances_of_all_bars_add_up(tiny, role, style):
    """A cell sounds with chance Φ of what is expected of it; the bars of seeds come as often, but for silent ones."""
    asked = tiny.with_condition(role, style)
    chances = asked.cell_log_prob(_every_bar()).sum((1, 2)).exp().numpy()
    assert chances.sum() == pytest.approx(1, abs=1e-9)
    assert chances.max() > 3 / 4096  # they are not even
    for temperature in (0.6, 1.2):
        other = asked.cell_log_prob(_every_bar(), temperature).sum((1, 2)).exp().numpy()
        assert other.sum() == pytest.approx(1, abs=1e-9)
        assert np.abs(other - chances).sum() > 0.1
    # another condition, other chances
    plain = tiny.with_condition("any", "rock").cell_log_prob(_every_bar()).sum((1, 2)).exp().numpy()
    assert np.abs(plain - chances).sum() > 0.1


@pytest.mark.parametrize(("role", "temperature"), [("groove", 1.0), ("fill", 1.0), ("fill", 0.6)])
def test_bars_of_seeds_come_as_often_as_their_chances_say(tiny, role, temperature):
    """The likeliest bars by name, the others together; silent bars are drawn again."""
    asked = tiny.with_condition(role)
    chances = asked.cell_log_prob(_every_bar(), temperature).sum((1, 2)).exp().numpy()
    chances[0] = chances[0] ** (1 + len(room.RANDOM_STREAMS["redraw"]))  # silent each time
    chances /= chances.sum()
    n = 20_000
    drawn = asked.sample(n, seed=5, temperature=temperature)
    counts = np.bincount(drawn.reshape(n, 12) @ (1 << np.arange(12)), minlength=4096)
    top = chances.argsort()[::-1][: min(50, (n * chances > 5).sum())]
    assert len(top) > 20
    observed = np.append(counts[top], n - counts[top].sum())
    expected = n * np.append(chances[top], 1 - chances[top].sum())
    assert expected.min() > 5
    assert chisquare(observed, expected).pvalue > 1e-3


def test_dropout_is_for_learning_from_bars_only():
    """In training what is expected is a guess each time; bars made from z are the same."""
    generator = _generator(12)
    z = torch.randn(8, 60).double()
    plain = generator(z, REAL)
    sure = generator.expect(plain, REAL)
    assert torch.equal(generator.expect(plain, REAL), sure)
    generator.train()
    assert torch.equal(generator(z, REAL), plain)
    guesses = torch.stack([generator.expect(plain, REAL) for _ in range(400)])
    assert guesses.std(0).min() > 0.01
    # nothing is left out on the average
    error = guesses.std(0) / 400**0.5
    assert ((guesses.mean(0) - sure).abs() < 5 * error).all()


def test_gradient_passes_the_threshold(small):
    z = torch.randn(4, 144, requires_grad=True)
    cells = small.decode_with_gradient(z)
    assert set(cells.unique().tolist()) <= {0.0, 1.0}
    cells.sum().backward()
    assert z.grad.abs().sum() > 0


def test_the_slope_at_the_threshold_is_that_of_a_curve_near_the_chance():
    """A generator that expects nothing, not even of links: cells decide by z alone."""
    generator = _generator(12)
    for parameter in generator.parameters():
        parameter.zero_()
    z = torch.linspace(-3, 3, 60).double()[None].requires_grad_(True)
    generator(z, REAL).sum().backward()
    chance = torch.special.ndtr(z.detach() + 5e-7) - torch.special.ndtr(z.detach() - 5e-7)
    torch.testing.assert_close(z.grad, chance / 1e-6, atol=0.04, rtol=0)
    assert z.grad.max() > 0.35


def test_low_temperature_is_more_ordinary(bundled):
    cold, warm = bundled.sample(400, temperature=0.3), bundled.sample(400)

    def spread(bars):
        return (bars[1:] ^ bars[:-1]).sum((1, 2)).mean()

    assert spread(cold) < 0.7 * spread(warm)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n is at least 1, not 0"),
        ({"n": -3}, "n is at least 1, not -3"),
        ({"n": 1, "seed": -1}, "from 0 to"),
        ({"n": 1, "seed": 1.5}, "from 0 to"),
        ({"n": 2, "seed": 2**63 - 1}, "from 0 to"),
        ({"n": 1, "temperature": 0.0}, "temperature"),
        ({"n": 1, "temperature": float("nan")}, "temperature"),
    ],
)
def test_bad_requests(bundled, arguments, message):
    with pytest.raises(ValueError, match=message):
        bundled.sample(**arguments)


def test_the_last_seed_has_a_bar_too(small):
    """Whole numbers this large are no float's."""
    last = small.sample(2, seed=2**63 - 2)
    assert (small.sample(1, seed=2**63 - 1) == last[1:]).all()
    assert (small.decode(small.latents([2**63 - 2, 2**63 - 1])) == last).all()


def test_decode_refuses_other_shapes_and_infinity(bundled):
    z_dim = bundled.latent_dim
    with pytest.raises(ValueError, match=rf"\(n, {z_dim}\)"):
        bundled.decode(np.zeros((2, z_dim - 1), np.float32))
    with pytest.raises(ValueError, match="finite"):
        bundled.decode(np.full((1, z_dim), np.inf, np.float32))


def test_points_may_lie_in_memory_in_any_order(small):
    z = small.latents(range(5))
    bars = small.decode(z)
    for other in (np.asfortranarray(z), np.repeat(z, 2, 1)[:, ::2], z.astype(float), z.tolist(), torch.from_numpy(z)):
        assert (small.decode(other) == bars).all()
    assert (small.decode(torch.from_numpy(np.asfortranarray(z))) == bars).all()


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("steps", [12, 16, 32])
def test_weights_come_back_as_they_were(tmp_path, kit, steps):
    torch.manual_seed(1)
    gan = GAN(GANConfig(kit, steps, width=7, discriminator_width=6, **NAMES)).eval()
    gan.shifts.normal_()
    save_gan(tmp_path / "g.safetensors", gan, {"trained_bars": "12"})
    back = load_gan(tmp_path / "g.safetensors")
    assert back.config == gan.config
    assert (back.roles, back.styles) == (("groove", "fill"), ("funk", "rock", "jazz"))
    assert (back.condition, back.fingerprint) == (gan.condition, gan.fingerprint)
    assert torch.equal(back.shifts, gan.shifts)
    assert json.loads(read_metadata(tmp_path / "g.safetensors")["provenance"]) == {"trained_bars": "12"}
    for role in ("any", "groove", "fill"):
        asked = back.with_condition(role, "rock")
        assert (asked.sample(5, temperature=0.6) == gan.with_condition(role, "rock").sample(5, temperature=0.6)).all()
    assert gan.sample(5).shape == (5, steps, KITS[kit].n_parts)


def test_sampling_adds_nothing_to_the_weights(small, tmp_path):
    before = set(small.state_dict())
    small.sample(40)
    assert set(small.state_dict()) == before


def _config(**changes):
    return json.dumps({"kit": "gm9", "width": 7, "discriminator_width": 6, **NAMES} | changes)


def _broken(tmp_path, **changes):
    gan = GAN(GANConfig("gm9", width=7, discriminator_width=6, **NAMES))
    path = tmp_path / "g.safetensors"
    save_gan(path, gan, {})
    metadata = read_metadata(path) | changes
    save_file(load_file(path), path, {name: value for name, value in metadata.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no weights of a GAN"),
        ({"version": "99"}, "version 99"),
        ({"version": "5"}, "version 5, written by another release of rhythmgan; this one reads version 6"),
        ({"config": None}, "no weights of a rhythmgan model"),
        ({"config": "{"}, "do not fit"),
        ({"config": '{"width": 8, "discriminator_width": 6}'}, "do not fit"),
        ({"config": _config(styles=["funk", "rock"])}, "do not fit their config: size mismatch for denoiser"),
        ({"config": _config(roles=[])}, "do not fit"),
        ({"config": _config(roles="groove")}, "roles and styles are lists of names, not 'groove'"),
        ({"config": _config(styles=["funk", "funk", "rock"])}, "names of their own"),
        ({"config": _config(styles=[1, 2, 3])}, "lists of names"),
        ({"config": _config(roles=None)}, "do not fit"),
        ({"config": '{"width": 7, "discriminator_width": 6, "dropout": 1.0}'}, "dropout"),
        ({"config": '{"kit": "other"}'}, "no kit is named"),
        ({"config": '{"steps": 15}'}, "steps"),
        ({"config": '{"width": 1000000000}'}, "4096"),
        ({"config": '{"unheard_of": 1}'}, "do not fit"),
    ],
)
def test_weights_of_another_kind_are_refused_in_one_line(tmp_path, changes, message):
    path = _broken(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        load_gan(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(small, tmp_path):
    with torch.no_grad():
        small.generator.to_parts.weight[2, 3] = float("nan")
    save_gan(tmp_path / "g.safetensors", small, {})
    with pytest.raises(ValueError, match="not finite"):
        load_gan(tmp_path / "g.safetensors")


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04\x95pickle", b"\xff" * 100])
def test_no_weights_at_all(tmp_path, content):
    path = tmp_path / "g.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_gan(path)
    with pytest.raises(FileNotFoundError):
        load_gan(tmp_path / "missing.safetensors")


def test_close_decisions_follow_the_weights():
    """What is decided again in double precision is decided by the weights as they are."""
    torch.manual_seed(0)
    gan = GAN(GANConfig("gm9", width=8)).eval().requires_grad_(False)
    z = np.zeros((1, 144), np.float32)
    for sign in (1, -1):
        for parameter in gan.generator.parameters():
            parameter.zero_()
        gan.generator.to_parts.bias.fill_(sign * 1e-5)  # all closer than the margin
        assert gan.decode(z).all() == (sign > 0)


# -- the discriminator's inputs ---------------------------------------------------------------------


@pytest.mark.parametrize("steps", [12, 16])
def test_discriminator_is_shown_what_differs_a_beat_and_two_beats_later(steps):
    """Cell by cell: a beat later around the bar, two beats later each pair once; both counted in whole numbers."""
    beat = steps // 4
    torch.manual_seed(2)
    network = Discriminator(GANConfig("jaki5", steps, discriminator_width=5))
    bar = torch.rand(1, steps, 5) < 0.4
    cells = bar[0].tolist()
    expected = [[cells[t][p] != cells[t - beat][p] for p in range(5)] for t in range(steps)]
    expected += [[cells[t][p] != cells[t + 2 * beat][p] for p in range(5)] for t in range(2 * beat)]
    seen = []
    network.first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0][0]))
    network(bar.float(), REAL)
    found = seen[0].detach()
    assert found[: steps * 5].tolist() == bar.flatten().float().tolist()
    assert found[-len(expected) * 5 :].view(-1, 5).bool().tolist() == expected
    assert set(found[-len(expected) * 5 :].tolist()) == {0.0, 1.0}
    assert len(found) == steps * 5 + steps * 32 + len(expected) * 5


def test_a_bar_of_one_beat_repeated_differs_nowhere():
    network = Discriminator(GANConfig("jaki5", discriminator_width=5))
    seen = []
    network.first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0][0, -120:].sum().item()))
    beat = torch.tensor([[1.0, 0, 0, 0, 1], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 0]])
    network(beat.repeat(4, 1)[None], REAL)
    turned = beat.repeat(4, 1)[None].clone()
    turned[0, 9, 0] = 1  # differs from the beats before and after it, and from its twin two beats before
    network(turned, REAL)
    assert seen == [0, 3]


def test_gradient_passes_the_differences():
    """Of cell and twin: rising where the twin is silent, falling where it sounds."""
    for twin, slope in ((0.0, 1.0), (1.0, -1.0)):
        for cell in (0.0, 1.0):
            x = torch.tensor(cell, requires_grad=True)
            differ = denoiser.differ(x, torch.tensor(twin))
            assert differ.item() == (cell != twin)
            differ.backward()
            assert x.grad.item() == slope


# -- the way back ---------------------------------------------------------------------------------


def _sharp(steps=16, kit="gm9", by=3.0):
    """A GAN with weights so large that it is sure of many cells."""
    torch.manual_seed(7)
    gan = GAN(GANConfig(kit, steps, width=16, discriminator_width=8, **NAMES)).eval().requires_grad_(False)
    for parameter in gan.generator.parameters():
        parameter.mul_(by)
    return gan


@pytest.fixture(scope="module")
def sharp():
    return _sharp()


@pytest.mark.parametrize("steps", [12, 16, 24])
@pytest.mark.parametrize("kit", KITS)
def test_every_bar_has_a_point(steps, kit):
    """Its own bars, noise, silence, and every cell at once."""
    gan = _sharp(steps, kit)
    n_parts = KITS[kit].n_parts
    rng = np.random.default_rng(steps)
    bars = np.concatenate(
        [
            gan.sample(30),
            rng.random((60, steps, n_parts)) < rng.random((60, 1, 1)),
            np.zeros((1, steps, n_parts), bool),
            np.ones((1, steps, n_parts), bool),
        ]
    )
    z = gan.encode(bars)
    assert (z.shape, z.dtype) == ((92, steps * n_parts), np.float32)
    np.testing.assert_array_equal(gan.decode(z), bars)


@given(st.integers(0, 2**32), st.floats(-90, 90), st.integers(0, 2**63 - 5))
def test_even_what_is_all_but_impossible_comes_back(seed, bias, first):
    """Where a generator is surer than any number drawn from N(0, 1) could gainsay, of sound or of silence."""
    gan = _sharp(12, "jaki5")
    gan.generator.to_parts.bias[:3] += bias
    bars = np.random.default_rng(seed).random((4, 12, 5)) < 0.5
    z = gan.encode(bars, first)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(gan.decode(z), bars)


def test_a_points_numbers_are_beyond_what_turns_their_cells(sharp):
    """By hand: z on the side of each cell, past the negative of what is expected, and no farther than drawn."""
    bars = np.random.default_rng(4).random((40, 16, 9)) < 0.3
    z = sharp.encode(bars).reshape(bars.shape)
    expected = sharp.generator.expect(torch.from_numpy(bars).float(), sharp.labels).numpy()
    margin = np.where(bars, 1, -1) * (z + expected)
    assert 5e-4 < margin.min() < 0.1
    # where nothing was expected otherwise, z is as drawn: beyond the limit by the truncated normal's own law
    upper = norm.sf(np.where(bars, 1, -1) * z) / norm.cdf(np.where(bars, 1, -1) * expected)
    sure = norm.cdf(np.where(bars, 1, -1) * expected) > 0.05  # elsewhere the margin shows
    assert sure.sum() > 2000
    assert kstest(upper[sure], "uniform").pvalue > 1e-3


def test_points_of_own_bars_are_spread_as_those_of_seeds(sharp):
    """Made from z ~ N(0, I) and encoded, bars have z ~ N(0, I) again, though others than those that made them."""
    bars = sharp.sample(1500, seed=10)
    z = sharp.encode(bars, seed=90_000).astype(float)
    n = z.size
    assert abs(z.mean()) < 5 / n**0.5
    assert abs(z.var() - 1) < 5 * (2 / n) ** 0.5
    assert kstest(z.ravel()[::7], "norm").pvalue > 1e-3
    between = np.corrcoef(z.T)
    np.fill_diagonal(between, 0)
    assert np.abs(between).max() < 6 / 1500**0.5
    drawn = sharp.latents(range(10, 1510))
    assert np.abs(z - drawn).max(1).min() > 0.5
    assert (sharp.decode(z) == bars).all()


def test_a_point_is_of_its_bar_and_seed_in_any_batch(sharp, monkeypatch):
    bars = np.random.default_rng(5).random((21, 16, 9)) < 0.3
    together = sharp.encode(bars, seed=100)
    np.testing.assert_array_equal(together, sharp.encode(bars, seed=100))
    alone = np.concatenate([sharp.encode(bar[None], seed=100 + i) for i, bar in enumerate(bars)])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    monkeypatch.setattr(room, "_DECODE_BATCH", 8)
    np.testing.assert_allclose(sharp.encode(bars, seed=100), together, atol=1e-5)
    # another seed, another point; and none of them is the seed's own
    other = sharp.encode(bars, seed=101)
    assert np.abs(other - together).max(1).min() > 0.5
    twice = sharp.encode(np.repeat(bars[:1], 2, 0), seed=100)
    assert np.abs(twice[0] - twice[1]).max() > 0.5
    free = np.abs(together) > 0.3
    assert np.corrcoef(together[free], sharp.latents(range(100, 121))[free])[0, 1] < 0.1


def test_bars_may_have_seeds_of_ones_choice(sharp):
    bars = np.random.default_rng(6).random((4, 16, 9)) < 0.3
    seeds = np.array([77, 3, 77, 2**63 - 1])
    z = sharp.encode(bars, seed=seeds)
    for row, seed in enumerate(seeds.tolist()):
        np.testing.assert_allclose(z[row], sharp.encode(bars[row : row + 1], seed=seed)[0], atol=1e-5)
    np.testing.assert_array_equal(sharp.encode(bars, seed=np.arange(9, 13)), sharp.encode(bars, seed=9))
    for other in (seeds[:3], seeds[None], np.array(3)):
        with pytest.raises(ValueError, match="a seed for each of 4 bars"):
            sharp.encode(bars, seed=other)
    for none in (seeds - 4, seeds.astype(float)):
        with pytest.raises(ValueError, match="whole numbers from 0"):
            sharp.encode(bars, seed=none)


def test_textbook_bars_come_back_though_nobody_drew_them(bundled):
    corpus = load_patterns(steps=16)
    written = words_to_bars(corpus.words, corpus.kit.n_parts)
    assert len(written) > 50
    bars = np.zeros((len(written), 16, bundled.kit.n_parts), bool)
    bars[:, :, [bundled.kit.names.index(name) for name in corpus.kit.names]] = written
    np.testing.assert_array_equal(bundled.decode(bundled.encode(bars)), bars)
    own = bundled.sample(200, seed=5000)
    np.testing.assert_array_equal(bundled.decode(bundled.encode(own, seed=3)), own)


def test_encoding_moves_nothing_else(small):
    """The weights keep their values, their gradients and whether they are trained; so does the mode."""
    bars = np.random.default_rng(1).random((9, 16, 9)) < 0.2
    kept = bars.copy()
    plain = small.encode(bars)
    weights = {name: value.clone() for name, value in small.state_dict().items()}
    small.generator.to_parts.weight.grad = torch.full_like(small.generator.to_parts.weight, 3.0)
    small.train()
    np.testing.assert_array_equal(small.encode(bars), plain)  # no dropout even so
    assert small.training
    assert small.generator.drop.training
    np.testing.assert_array_equal(bars, kept)
    for name, value in small.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(weights[name], value)
    for name, parameter in small.named_parameters():
        assert parameter.requires_grad
        if name == "generator.to_parts.weight":
            assert (parameter.grad == 3).all()
        else:
            assert parameter.grad is None
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_bars_are_encoded_where_gradients_are_off(sharp, mode):
    bars = sharp.sample(6, seed=40)
    expected = sharp.encode(bars)
    with mode():
        found = sharp.encode(bars)
        again = sharp.decode(found)
        assert not torch.is_grad_enabled()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(again, bars)


def test_no_bars_have_no_points(small):
    z = small.encode(np.zeros((0, 16, 9), bool))
    assert (z.shape, z.dtype) == ((0, 144), np.float32)
    assert small.decode(z).shape == (0, 16, 9)


def test_bars_of_seeds_that_are_none(small):
    bars = np.zeros((2, 16, 9), bool)
    for seed in (-1, 1.5, 2**63 - 1):  # the second bar's would be too large
        with pytest.raises(ValueError, match="from 0 to"):
            small.encode(bars, seed=seed)
    assert (small.decode(small.encode(bars[:1], seed=2**63 - 1)) == bars[:1]).all()


@pytest.mark.parametrize(
    "bars",
    [
        np.zeros((16, 9), bool),
        np.zeros((2, 16, 8), bool),
        np.zeros((2, 12, 9), bool),
        np.zeros((2, 9, 16), bool),
        np.zeros((1, 2, 16, 9), bool),
        np.zeros((2, 16, 9)),
        np.zeros((2, 16, 9), np.uint8),
        [],
    ],
    ids=lambda bars: str(np.shape(bars)),
)
def test_what_is_no_bar_of_this_gan_is_not_encoded(small, bars):
    with pytest.raises(ValueError, match=r"\(n, 16, 9\) bool"):
        small.encode(bars)


# -- step by step --------------------------------------------------------------------------------


def test_bars_decided_step_by_step_are_the_bars_of_their_z(bundled):
    z = torch.from_numpy(bundled.latents(range(300)))
    unfinished = bundled.begin(300)
    n_parts = bundled.kit.n_parts
    assert unfinished.cells.shape == (300, 0, n_parts)
    for step in range(16):
        unfinished = unfinished.decide(z[:, torch.from_numpy(bundled.latent_steps == step)])
        assert unfinished.cells.shape == (300, step + 1, n_parts)
    assert (unfinished.cells.numpy() == bundled.decode(z)).all(1).all(1).mean() > 0.99  # close calls are not redone
    with pytest.raises(ValueError, match="after 16"):
        unfinished.decide(z[:, :n_parts])


def test_unfinished_bars_go_on_from_chosen_rows(small):
    z = torch.from_numpy(small.latents(range(4)))
    steps = torch.from_numpy(small.latent_steps)
    unfinished = small.begin(4)
    for step in range(5):
        unfinished = unfinished.decide(z[:, steps == step])
    chosen = torch.tensor([2, 2, 0])
    resampled = unfinished.rows(chosen)
    assert torch.equal(resampled.cells, unfinished.cells[chosen])
    mixed = torch.where(steps < 5, z[chosen], z[torch.tensor([1, 3, 0])])
    for step in range(5, small.steps):
        resampled = resampled.decide(mixed[:, steps == step])
    assert (resampled.cells.numpy() == small.decode(mixed)).all()
    with pytest.raises(ValueError, match="expected noise"):
        small.begin(4).decide(z[:3, :9])
