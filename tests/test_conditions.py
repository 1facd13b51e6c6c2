"""What a model is asked for: roles and styles that it knows, the same weights for all of them."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from rhythmgan.conditions import ANY, Condition
from rhythmgan.kit import KITS
from rhythmgan.models import weights
from rhythmgan.models.catalogue import load_generator
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, load_gan, save_gan
from rhythmgan.models.interfaces import LatentCritic
from rhythmgan.models.weights import bundled, bundled_model
from rhythmgan.roles import ROLES

pytestmark = pytest.mark.usefixtures("one_thread")


# -- by names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "role"),
    [(ROLES, "groove"), (("fill", "groove"), "groove"), (("fill", "variation"), ANY), ((), ANY)],
)
def test_unasked_a_model_plays_grooves_if_it_knows_them(roles, role):
    assert Condition.default(roles) == Condition(role, ANY)


@pytest.mark.parametrize(
    ("role", "style", "expected"),
    [
        (None, None, ("fill", "rock")),
        ("groove", None, ("groove", "rock")),
        (None, "funk", ("fill", "funk")),
        (ANY, "funk", (ANY, "funk")),
        ("groove", ANY, ("groove", ANY)),
    ],
)
def test_what_is_not_asked_anew_stays(role, style, expected):
    condition = Condition("fill", "rock")
    assert condition.asked(role, style, ("groove", "fill"), ("rock", "funk")) == Condition(*expected)
    assert condition == Condition("fill", "rock")


@pytest.mark.parametrize(
    ("role", "style", "message"),
    [
        ("solo", None, "this model knows no role 'solo'; it knows groove, fill, any$"),
        ("variation", "rock", "this model knows no role 'variation'; it knows groove, fill, any$"),
        (None, "polka", "this model knows no style 'polka'; it knows rock, funk, any$"),
        (None, "Rock", "no style 'Rock'"),
        (None, "groove", "no style 'groove'"),
        ("", None, "no role ''"),
    ],
)
def test_what_a_model_does_not_know_is_refused_with_what_it_knows(role, style, message):
    with pytest.raises(ValueError, match=message):
        Condition().asked(role, style, ("groove", "fill"), ("rock", "funk"))


def test_a_model_of_no_roles_knows_any():
    assert Condition().asked(ANY, ANY, (), ()) == Condition()
    with pytest.raises(ValueError, match=r"no role 'groove'; it knows any$"):
        Condition().asked("groove", None, (), ())


# -- a GAN ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gan():
    torch.manual_seed(2)
    small = GAN(GANConfig("gm9", width=16, discriminator_width=12, roles=("groove", "fill"), styles=("rock", "funk")))
    for parameter in small.parameters():
        parameter.data.mul_(2)
    return small.eval().requires_grad_(False)


def _everything(model):
    """What a GAN says under its condition."""
    z, bars = model.latents(range(40)), np.random.default_rng(3).random((40, model.steps, model.kit.n_parts)) < 0.2
    unfinished = model.begin(40)
    for step in range(model.steps):
        unfinished = unfinished.decide(torch.from_numpy(z[:, model.latent_steps == step]))
    return {
        "sample": model.sample(40),
        "decode": model.decode(z),
        "gradient": model.decode_with_gradient(torch.from_numpy(z)).numpy(),
        "step by step": unfinished.cells.numpy(),
        "encode": model.encode(bars),
        "chances": model.cell_log_prob(bars).numpy(),
        "logits": model.logits(bars).numpy(),
    }


@pytest.mark.parametrize(
    "asked", [{"role": "fill"}, {"role": ANY}, {"style": "funk"}, {"role": "fill", "style": "rock"}]
)
def test_a_condition_changes_all_that_a_gan_says_and_leaves_the_original_alone(gan, asked):
    before = _everything(gan)
    other = gan.with_condition(**asked)
    found = _everything(other)
    assert all((found[name] != before[name]).any() for name in before)
    np.testing.assert_array_equal(found["decode"], found["gradient"] > 0)
    np.testing.assert_array_equal(found["decode"], found["step by step"])
    assert other.condition == Condition(asked.get("role", "groove"), asked.get("style", ANY))
    assert gan.condition == Condition("groove", ANY)
    for name, value in _everything(gan).items():
        np.testing.assert_array_equal(value, before[name])
    # and back again
    for name, value in _everything(other.with_condition("groove", ANY)).items():
        np.testing.assert_array_equal(value, before[name])


def test_each_condition_has_bars_of_its_own(gan):
    z = gan.latents(range(200))
    made = {
        gan.with_condition(role, style).decode(z).tobytes()
        for role in (ANY, "groove", "fill")
        for style in (ANY, "rock", "funk")
    }
    assert len(made) == 9


def test_encoded_bars_come_back_under_their_own_condition(gan):
    bars = np.random.default_rng(5).random((60, 16, 9)) < 0.2
    for role, style in (("fill", "funk"), (ANY, ANY), ("groove", "rock")):
        asked = gan.with_condition(role, style)
        z = asked.encode(bars)
        np.testing.assert_array_equal(asked.decode(z), bars)
        assert (gan.with_condition("fill", "rock").decode(z) != bars).any()


def test_weights_are_shared(gan):
    """A condition is no copy: what is trained of one is trained of all."""
    other = gan.with_condition("fill", "rock")
    ours, theirs = dict(gan.named_parameters()), dict(other.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)
    assert other.shifts is gan.shifts
    assert other.generator is gan.generator
    assert isinstance(other, LatentCritic)


def test_a_fingerprint_stands_for_the_weights_and_the_condition(gan):
    asked = [gan.with_condition(role, style) for role in (ANY, "groove", "fill") for style in (ANY, "rock", "funk")]
    assert len({each.fingerprint for each in asked}) == 9
    assert len({each.critic_fingerprint for each in asked}) == 1
    assert gan.with_condition().fingerprint == gan.fingerprint == gan.with_condition("groove").fingerprint
    assert all(len(each.fingerprint) == 16 for each in asked)


def test_a_gan_refuses_what_it_does_not_know(gan):
    for asked, message in (
        ({"role": "variation"}, "no role 'variation'; it knows groove, fill, any"),
        ({"style": "jazz"}, "no style 'jazz'; it knows rock, funk, any"),
    ):
        with pytest.raises(ValueError, match=message):
            gan.with_condition(**asked)
    assert gan.condition == Condition("groove", ANY)


def test_a_condition_is_not_saved(gan, tmp_path):
    save_gan(tmp_path / "g.safetensors", gan.with_condition("fill", "rock"), {})
    back = load_gan(tmp_path / "g.safetensors")
    assert back.condition == Condition("groove", ANY)
    assert back.with_condition("fill", "rock").fingerprint == gan.with_condition("fill", "rock").fingerprint


# -- the shape of the networks, as data -----------------------------------------------------------------


def test_a_config_survives_json():
    config = GANConfig("jaki5", 12, 5, 6, 7, 0.25, ("fill", "groove"), ("afro cuban",))
    back = GANConfig(**json.loads(json.dumps(asdict(config))))
    assert back == config
    assert (back.roles, back.styles) == (("fill", "groove"), ("afro cuban",))
    assert hash(back) == hash(config)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"roles": "groove"}, "lists of names, not 'groove'"),
        ({"styles": ("rock", 3)}, "lists of names"),
        ({"roles": ("groove", "fill", "groove")}, "names of their own.* got groove, fill, groove"),
        ({"styles": ("rock", ANY)}, "none is called 'any'; got rock, any"),
    ],
)
def test_names_that_are_none(names, message):
    with pytest.raises(ValueError, match=message):
        GANConfig(**names)


# -- the models that ship -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "steps", "name"),
    [
        ("gan", 16, "gan.safetensors"),
        ("gan", 12, "gan12.safetensors"),
        ("prior", 16, "prior.safetensors"),
        ("prior", 12, "prior12.safetensors"),
    ],
)
def test_a_model_ships_for_each_grid(kind, steps, name):
    assert bundled_model(kind, steps) == bundled(name)
    assert bundled_model(kind) == bundled(f"{kind}.safetensors")


@pytest.mark.parametrize("load", [lambda: load_gan(grid=32), lambda: load_generator(grid=32)], ids=["gan", "catalogue"])
def test_a_grid_that_none_ships_for_is_refused_with_what_helps(load):
    with pytest.raises(ValueError, match=r"have 16 or 12 steps, not 32; `rhythmgan train gan --grid 32` makes one"):
        load()
    with pytest.raises(ValueError, match="`rhythmgan train prior --grid 24`"):
        bundled_model("prior", 24)


def test_the_grid_chooses_among_the_bundled_models(gan, tmp_path, monkeypatch):
    """The one of 12 steps is found by its name."""
    torch.manual_seed(1)
    save_gan(tmp_path / "gan12.safetensors", GAN(GANConfig("jaki5", 12, 5, 4)), {})
    save_gan(tmp_path / "gan.safetensors", gan, {})
    monkeypatch.setattr(weights, "bundled", lambda name: tmp_path / name)
    assert load_gan().fingerprint == load_gan(grid=16).fingerprint == load_generator(grid=16).fingerprint
    assert load_gan(grid=12).kit is load_generator(grid=12).kit is KITS["jaki5"]
    assert (load_gan().steps, load_gan(grid=12).steps) == (16, 12)


def test_a_file_of_another_grid_than_asked_for_is_refused(gan, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_gan(path, gan, {})
    assert load_generator(path, 16).fingerprint == load_generator(path).fingerprint == gan.fingerprint
    with pytest.raises(ValueError, match=r"mine\.safetensors: makes bars of 16 steps, but 12 are asked for"):
        load_generator(path, 12)


def test_the_bundled_gan_plays_what_it_knows():
    model = load_gan()
    assert model.condition == Condition.default(model.roles)
    assert set(model.roles) <= set(ROLES)
    z = model.latents(range(100))
    asked = [model.with_condition(role, style) for role in (ANY, *model.roles) for style in (ANY, *model.styles)]
    assert len({each.decode(z).tobytes() for each in asked}) == len(asked)
    assert all(each.sample(20).any((1, 2)).all() for each in asked)
    with pytest.raises(ValueError, match=r"it knows .*any"):
        model.with_condition(style="no such style")


def test_the_bundled_gan_plays_fills_unlike_grooves():
    """More on snare and toms, fewer of the hats; grooves more often have the backbeat."""
    model = load_gan()
    assert model.roles == ROLES
    groove, fill = (model.with_condition(role).sample(1000, seed=77) for role in ("groove", "fill"))
    drums = [index for index, name in enumerate(model.kit.names) if "tom" in name or name == "snare"]
    snare, hat = map(model.kit.names.index, ("snare", "closed hat"))
    assert fill[..., drums].sum((1, 2)).mean() > 1.5 * groove[..., drums].sum((1, 2)).mean()
    assert fill[..., hat].sum(1).mean() < groove[..., hat].sum(1).mean()
    backbeat = [(bars[:, 4, snare] & bars[:, 12, snare]).mean() for bars in (groove, fill)]
    assert backbeat[0] > backbeat[1] + 0.1
