"""The agent's file: what is saved comes back, and what is no agent is refused in a line."""

import json
import os
import pickle
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rhythmgan.conditions import ANY, Condition
from rhythmgan.models.gan import GAN, GANConfig, save_gan
from rhythmgan.models.weights import bundled, read_metadata
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import FORMAT, LatentAgent, LatentAgentConfig, load_latent_agent, save_latent_agent
from rl_tuner.latent.dynamics import latent_layout
from rl_tuner.latent.moves import Moves
from rl_tuner.latent.space import find_space

pytestmark = pytest.mark.usefixtures("one_thread")


SHAPE = GANConfig("gm9", width=4, discriminator_width=8, roles=("groove", "fill"), styles=("rock", "funk"))

LEARNT = Condition("fill", "funk")
"""What the agent's generator was asked for; unasked it plays grooves of any style."""


def _gan(shape=SHAPE, seed=1):
    torch.manual_seed(seed)
    gan = GAN(shape).eval().requires_grad_(False)
    gan.generator.to_parts.bias.fill_(-1.0)
    return gan


@pytest.fixture(scope="module")
def models():
    gan = _gan()
    prior = WordLSTM(WordLSTMConfig("gm9", width=8, word_width=8, roles=SHAPE.roles, styles=SHAPE.styles))
    return gan, prior.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def agent(models):
    """One that steers three features by moves of its own."""
    gan, prior = models
    learnt = gan.with_condition(LEARNT.role, LEARNT.style)
    config = LatentAgentConfig(
        learnt.fingerprint,
        gan.latent_dim,
        144,
        LEARNT.role,
        LEARNT.style,
        ("syncopation", "density", "off-beat share"),
        n_directions=5,
        step_sizes=(0.5,),
        gains=(0.25, 0.75, 1.0),
        noise_angles=(0.3,),
        width=12,
        layers=1,
    )
    torch.manual_seed(2)
    made = LatentAgent(config)
    made.space = find_space(learnt, gan, prior, config.features, 5, n=600)
    return made.eval().requires_grad_(False)


@pytest.fixture
def path(agent, tmp_path):
    save_latent_agent(tmp_path / "agent.safetensors", agent, {"trained_steps": "12"})
    return tmp_path / "agent.safetensors"


def test_an_agent_has_as_many_values_as_moves(agent):
    assert agent.config.moves == Moves((0.5,), (0.25, 0.75, 1.0), (0.3,))
    seen = torch.randn(9, latent_layout(144, 144, 3).width)
    values = agent.network(seen)
    assert values.shape == (9, 1 + 4 * (3 * 1 + 1) + 5 * 2)
    assert torch.equal(agent.act(seen), values.argmax(1))


def test_what_is_saved_comes_back(agent, path, models):
    other = load_latent_agent(path)
    assert other.config == agent.config
    assert other.config.features == ("syncopation", "density", "off-beat share")
    assert not other.training
    assert not any(parameter.requires_grad for parameter in other.parameters())
    assert other.state_dict().keys() == agent.state_dict().keys()
    for name, tensor in agent.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    assert read_metadata(path)["format"] == FORMAT.name
    assert json.loads(read_metadata(path)["provenance"]) == {"trained_steps": "12"}
    seen = torch.randn(200, latent_layout(144, 144, 3).width, generator=torch.Generator().manual_seed(3))
    assert torch.equal(other.act(seen), agent.act(seen))
    assert len(agent.act(seen).unique()) > 1
    # and it state as before
    z = torch.randn(8, 144, generator=torch.Generator().manual_seed(4))
    goals = Goals.of(agent.space.values[:8], 6)
    ends = []
    for each in (agent, other):
        dynamics = each.dynamics(models[0], *models)
        state = dynamics.begin(z, goals)
        for _ in range(3):
            state = dynamics.step(state, goals, each.act(dynamics.observe(state, goals)), z.flip(0))
        ends.append(state.z)
    torch.testing.assert_close(ends[0], ends[1], atol=1e-4, rtol=0)


def test_another_generator_is_refused(agent, models):
    gan, prior = models
    dynamics = agent.dynamics(gan, gan, prior)
    assert dynamics.n_actions == 27
    assert dynamics.layout.width == latent_layout(144, 144, 3).width
    other = _gan(seed=5)
    for ask in (agent.steered, lambda generator: agent.dynamics(generator, generator, prior)):
        for asked in (other, other.with_condition("fill", "funk")):
            with pytest.raises(ValueError, match="another generator"):
                ask(asked)


@pytest.mark.parametrize("changes", [{"roles": ("groove",)}, {"styles": ("rock",)}, {"roles": (), "styles": ()}])
def test_a_generator_that_does_not_know_the_role_or_the_style_is_another_one(agent, changes):
    """Refused in the agent's words, not by a generator that was asked for what it does not know."""
    with pytest.raises(ValueError, match="the agent was trained to steer another generator") as refusal:
        agent.steered(_gan(replace(SHAPE, **changes)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("asked", [Condition("groove"), Condition(), Condition("groove", "rock"), LEARNT], ids=str)
def test_a_generator_is_asked_for_what_the_agent_learnt_to_steer(agent, models, asked):
    gan, prior = models
    given, prior = (model.with_condition(asked.role, asked.style) for model in (gan, prior))
    z = given.latents(range(200))
    before = given.decode(z)
    steered = agent.steered(given)
    assert steered.condition == LEARNT
    assert steered.fingerprint == agent.config.generator
    expected = gan.with_condition("fill", "funk").decode(z)
    assert (steered.decode(z) == expected).all()
    dynamics = agent.dynamics(given, given, prior)
    state = dynamics.begin(torch.from_numpy(z), Goals.of(agent.space.values[:200], 6))
    assert (state.bars.numpy() == expected).all()
    assert dynamics.prior.condition == LEARNT
    # what was given is as before
    assert given.condition == prior.condition == asked
    assert (given.decode(z) == before).all()
    assert (before != expected).any() == (asked != LEARNT)


def test_a_config_is_of_what_the_generator_is_asked_for(models):
    for role, style in (("fill", ANY), (ANY, "rock"), ("groove", "funk"), (ANY, ANY)):
        gan = models[0].with_condition(role, style)
        config = LatentAgentConfig.of(gan, width=16)
        assert (config.role, config.style, config.width) == (role, style, 16)
        assert (config.latent_dim, config.n_cells) == (144, 144)
        assert config.generator == gan.fingerprint
        assert LatentAgent(config).steered(models[0]).condition == gan.condition


def test_the_same_weights_with_another_role_are_not_what_the_agent_learnt(agent, models):
    """A role that does not fit the fingerprint is found, though the generator knows it."""
    other = LatentAgent(LatentAgentConfig(**asdict(agent.config) | {"role": "groove"}))
    with pytest.raises(ValueError, match="another generator"):
        other.steered(models[0])


def _refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        load_latent_agent(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600  # an unknown feature is answered with all there are
    assert str(path) in message


def test_damaged_files_are_refused(path):
    whole = path.read_bytes()
    for content in (b"", b"no weights", whole[:7], whole[:100], whole[: len(whole) // 2], whole[:-1], whole[9:]):
        path.write_bytes(content)
        _refused(path, "agent")
    with pytest.raises(OSError, match="none"):
        load_latent_agent(path.with_name("none.safetensors"))


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_file_is_run(path, tmp_path):
    for write in (lambda: path.write_bytes(pickle.dumps(Payload(tmp_path / "owned"))), lambda: _torch_save(path)):
        write()
        _refused(path, "agent")
    assert not (tmp_path / "owned").exists()


def _torch_save(path):
    torch.save({"agent": Payload(path.with_name("owned"))}, path)


def test_weights_of_other_models_are_refused(path, models):
    save_gan(path, models[0], {})
    _refused(path, "no weights of an agent of whole-bar moves of rhythmgan")
    save_file({"x": torch.zeros(2)}, path)
    _refused(path, "no weights of a rhythmgan model")


def _rewrite(path, *, config=None, version=None, tensors=None):
    metadata = read_metadata(path)
    if config is not None:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | config)
    if version is not None:
        metadata["version"] = version
    save_file(load_file(path) | (tensors or {}), path, metadata)


@pytest.mark.parametrize(
    "config",
    [
        {"width": 13},
        {"width": 0},
        {"width": 10**9},
        {"layers": 9},
        {"n_directions": 4},
        {"n_directions": 500},
        {"latent_dim": 16},
        {"latent_dim": -1},
        {"n_cells": 16},
        {"terms": ["kl"]},
        {"terms": ["swing"]},
        {"features": []},
        {"features": ["density", "loudness"]},
        {"features": ["density", "density", "syncopation"]},
        {"features": 3},
        {"step_sizes": [0.5, 1.0]},
        {"step_sizes": None},
        {"step_sizes": ["far"]},
        {"gains": [[1]]},
        {"surprise": 1},
    ],
)
def test_a_config_that_does_not_fit_is_refused(path, config):
    _rewrite(path, config=config)
    _refused(path, "do not fit")


def test_other_versions_and_weights_that_are_not_finite_are_refused(path):
    _rewrite(path, tensors={"space.means": torch.tensor([1.0, float("nan"), 2.0])})
    _refused(path, "not finite")
    for version in ("77", "2"):  # agents of version 2 knew no roles and styles
        _rewrite(path, version=version, tensors={"space.means": torch.ones(3)})
        _refused(path, f"version {version}")


@pytest.mark.skipif(not bundled("agent.safetensors").exists(), reason="no agent is bundled yet")
def test_the_bundled_agent_steers_the_bundled_generator():
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.word_lstm import load_prior

    agent = load_latent_agent()
    gan = load_gan()
    dynamics = agent.dynamics(gan, gan, load_prior())
    assert agent.config.latent_dim == agent.config.n_cells == 192
    assert (agent.config.role, agent.config.style) == (ANY, ANY)
    assert dynamics.n_actions == len(agent.config.moves.table(agent.config.n_directions))
    assert torch.isfinite(agent.space.directions).all()
    n = 40
    goals = Goals.of(agent.space.values[:n], 20)
    state = dynamics.begin(torch.randn(n, agent.config.latent_dim, generator=torch.Generator().manual_seed(6)), goals)
    ever, plain = state.success > 0, state.success.mean()
    random = torch.Generator().manual_seed(7)
    for _ in range(19):
        noise = torch.randn(n, agent.config.latent_dim, generator=random)
        state = dynamics.step(state, goals, agent.act(dynamics.observe(state, goals)), noise)
        ever |= state.success > 0
    assert ever.float().mean() > plain + 0.4
