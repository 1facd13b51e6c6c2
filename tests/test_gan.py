"""The generator as its users meet it: seeds, batches, weights files."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rhythmgan.augment import N_VIEWS
from rhythmgan.kit import KITS
from rhythmgan.models.gan import GAN, GANConfig, Generator, load_gan, save_gan
from rhythmgan.models.weights import read_metadata


@pytest.fixture(scope="module")
def bundled():
    torch.set_num_threads(1)
    return load_gan()


@pytest.fixture
def small():
    torch.manual_seed(3)
    return GAN(GANConfig(z_dim=8, width=16, discriminator_width=16, encoder_width=16)).eval()


def test_same_seed_same_bar_in_any_batch(bundled):
    bars = bundled.sample(1500, seed=0)
    assert bars.shape == (1500, 16, 9)
    assert bars.dtype == bool
    assert (bundled.sample(3, seed=1200) == bars[1200:1203]).all()
    for seed in (0, 7, 1023, 1024, 1499):
        assert (bundled.sample(1, seed=seed)[0] == bars[seed]).all()


def test_bars_of_the_bundled_weights_differ_and_sound(bundled):
    bars = bundled.sample(1000, seed=10)
    assert len(np.unique(bars.reshape(1000, -1), axis=0)) > 900
    assert bars.any((1, 2)).mean() > 0.97
    assert 12 < bars.sum((1, 2)).mean() < 22
    # a kick on the one and a snare on two or four: what most bars of the training songs have
    assert bars[:, 0, 0].mean() > 0.6
    assert (bars[:, 4, 1] | bars[:, 12, 1]).mean() > 0.5


def test_close_decisions_are_made_in_double_precision(small):
    """With every logit within rounding of zero, single precision decides by batch; ours must not."""
    with torch.no_grad():
        small.generator.to_parts.weight *= 1e-6
        small.generator.to_parts.bias.zero_()
        small.generator.to_links.weight.zero_()
        small.generator.to_links.bias.zero_()
    z = small.latents(range(300))
    double = Generator(16, 9, 8, 16).double()
    double.load_state_dict(small.generator.state_dict())
    with torch.no_grad():
        truth = double(torch.from_numpy(z).double()).numpy() > 0
    assert 0.1 < truth.mean() < 0.9
    assert (small.decode(z) == truth).all()
    assert (np.concatenate([small.decode(row[None]) for row in z]) == truth).all()


def test_roll_and_teach_agree(small):
    """Taught the bar that it makes itself, the decoder gives the logits that made it."""
    z = torch.randn(40, 8)
    with torch.no_grad():
        cells, logits = small.generator.roll(z)
        taught = small.generator.teach(z, cells, torch.ones(40, 16, 1))
    torch.testing.assert_close(taught, logits, atol=1e-5, rtol=1e-4)
    assert ((logits > 0) == (cells > 0)).all()


def test_parts_know_only_what_comes_before(small):
    """A changed cell changes no logit of its own or of an earlier step or part."""
    z, bars = torch.randn(1, 8), torch.zeros(1, 16, 9)
    other = bars.clone()
    other[0, 5, 4] = 1
    with torch.no_grad():
        changed = (
            small.generator.teach(z, bars, torch.ones(1, 16, 1))
            != small.generator.teach(z, other, torch.ones(1, 16, 1))
        )[0]
    assert not changed[:5].any()
    assert not changed[5, :5].any()
    assert changed[5, 5:].all()
    assert changed[6].any()


def test_gradient_passes_the_threshold(small):
    z = torch.randn(4, 8, requires_grad=True)
    cells = small.generator(z)
    assert set(cells.unique().tolist()) <= {0.0, 1.0}
    cells.sum().backward()
    assert z.grad.abs().sum() > 0


def test_phrases_begin_with_the_seeds_bar_and_vary_it(bundled):
    z = bundled.phrase_latents([4, 9], 4)
    assert z.shape == (2, 4, 64)
    assert (z[:, 0] == bundled.latents([4, 9])).all()
    many = bundled.phrase_latents(range(400), 4)
    bars = bundled.decode(many.reshape(-1, 64)).reshape(400, 4, 16, 9)
    changes = (bars[:, 1:] ^ bars[:, :1]).sum((2, 3)).mean(0)
    strangers = (bars[1:, 0] ^ bars[:-1, 0]).sum((1, 2)).mean()
    assert 0 < changes[1] < changes[0] < changes[2] / 2 < strangers
    # turned points are as long as drawn ones
    assert np.abs(np.linalg.norm(many[:, 3], axis=1).mean() - 8) < 0.1


def test_low_temperature_is_more_ordinary(bundled):
    cold, warm = bundled.sample(400, temperature=0.3), bundled.sample(400)

    def spread(bars):
        return (bars[1:] ^ bars[:-1]).sum((1, 2)).mean()

    assert spread(cold) < 0.7 * spread(warm)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "at least one bar"),
        ({"n": -3}, "at least one bar"),
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


def test_decode_refuses_other_shapes_and_infinity(bundled):
    with pytest.raises(ValueError, match=r"\(n, 64\)"):
        bundled.decode(np.zeros((2, 63), np.float32))
    with pytest.raises(ValueError, match="finite"):
        bundled.decode(np.full((1, 64), np.inf, np.float32))


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("steps", [12, 16, 32])
def test_weights_come_back_as_they_were(tmp_path, kit, steps):
    torch.manual_seed(1)
    gan = GAN(GANConfig(kit=kit, steps=steps, z_dim=5, width=7, discriminator_width=6, encoder_width=4)).eval()
    save_gan(tmp_path / "g.safetensors", gan, {"trained_bars": "12"})
    back = load_gan(tmp_path / "g.safetensors")
    assert back.config == gan.config
    assert json.loads(read_metadata(tmp_path / "g.safetensors")["provenance"]) == {"trained_bars": "12"}
    assert (back.sample(5) == gan.sample(5)).all()
    assert gan.sample(5).shape == (5, steps, KITS[kit].n_parts)


def test_sampling_adds_nothing_to_the_weights(small, tmp_path):
    before = set(small.state_dict())
    small.sample(40)
    assert set(small.state_dict()) == before


def _broken(tmp_path, **changes):
    gan = GAN(GANConfig(z_dim=5, width=7, discriminator_width=6, encoder_width=4))
    path = tmp_path / "g.safetensors"
    save_gan(path, gan, {})
    metadata = read_metadata(path) | changes
    save_file(load_file(path), path, {name: value for name, value in metadata.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no weights of a rhythmgan model"),
        ({"version": "99"}, "version 99"),
        ({"config": None}, "do not fit"),
        ({"config": "{"}, "do not fit"),
        ({"config": '{"z_dim": 6, "width": 7, "discriminator_width": 6, "encoder_width": 4}'}, "do not fit"),
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
        small.generator.start.weight[2, 3] = float("nan")
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
    gan = GAN(GANConfig(z_dim=4, width=8)).eval().requires_grad_(False)
    z = np.zeros((1, 4), np.float32)
    for sign in (1, -1):
        for parameter in gan.generator.parameters():
            parameter.zero_()
        gan.generator.to_parts.bias.fill_(sign * 1e-5)  # all closer than the margin
        assert gan.decode(z).all() == (sign > 0)


def test_a_view_is_another_bar_and_none_is_the_real_one(small):
    """Both networks read the label; without one a bar is real."""
    torch.manual_seed(1)
    gan = GAN(small.config).eval().requires_grad_(False)
    for parameter in gan.parameters():
        parameter.mul_(2)
    z = torch.randn(50, small.config.z_dim)
    bars = gan.generator(z)
    labels = torch.arange(50) % N_VIEWS
    assert torch.equal(gan.generator(z, torch.zeros(50, dtype=torch.long)), bars)
    seen = gan.generator(z, labels)
    changed = (seen != bars).any((1, 2))
    assert not changed[labels == 0].any()
    assert changed[labels != 0].float().mean() > 0.5
    logits = gan.discriminator(bars, labels) - gan.discriminator(bars)
    assert (logits[labels == 0] == 0).all()
    assert (logits[labels != 0].abs() > 1e-6).all()
    taught = gan.generator.teach(z, seen, torch.ones(50, 1, 1), labels)
    np.testing.assert_array_equal(taught > 0, seen > 0)
