"""The agent's file: what is saved comes back, and what is no agent is refused in a line."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from rhythmgan.models.gan import GAN, GANConfig, save_gan
from rhythmgan.models.weights import bundled, fingerprint, read_metadata
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rl_tuner.agent import FORMAT, Agent, AgentConfig, load_agent, save_agent
from rl_tuner.goals import Goals
from rl_tuner.latent.dynamics import latent_layout
from rl_tuner.latent.moves import Moves
from rl_tuner.latent.space import find_space

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(1)
    gan = GAN(GANConfig(width=4, discriminator_width=8)).eval().requires_grad_(False)
    gan.generator.to_parts.bias.fill_(-1.0)
    prior = WordLSTM(WordLSTMConfig(width=8, word_width=8)).eval().requires_grad_(False)
    return gan, prior


@pytest.fixture(scope="module")
def agent(models):
    """One that steers three features by moves of its own."""
    gan, prior = models
    config = AgentConfig(
        fingerprint(gan.generator),
        gan.latent_dim,
        144,
        ("syncopation", "density", "off-beat share"),
        n_directions=5,
        step_sizes=(0.5,),
        gains=(0.25, 0.75, 1.0),
        noise_angles=(0.3,),
        width=12,
        layers=1,
    )
    torch.manual_seed(2)
    made = Agent(config)
    made.space = find_space(gan, gan, prior, config.features, 5, n=600)
    return made.eval().requires_grad_(False)


@pytest.fixture
def path(agent, tmp_path):
    save_agent(tmp_path / "agent.safetensors", agent, {"trained_steps": "12"})
    return tmp_path / "agent.safetensors"


def test_an_agent_has_as_many_values_as_moves(agent):
    assert agent.config.moves == Moves((0.5,), (0.25, 0.75, 1.0), (0.3,))
    seen = torch.randn(9, latent_layout(144, 144, 3).width)
    values = agent.network(seen)
    assert values.shape == (9, 1 + 4 * (3 * 1 + 1) + 5 * 2)
    assert torch.equal(agent.act(seen), values.argmax(1))


def test_what_is_saved_comes_back(agent, path, models):
    other = load_agent(path)
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
    torch.manual_seed(5)
    other = GAN(GANConfig(width=4, discriminator_width=8)).eval()
    with pytest.raises(ValueError, match="another generator"):
        agent.dynamics(other, other, prior)


def _refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        load_agent(path)
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
        load_agent(path.with_name("none.safetensors"))


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
    _refused(path, "no weights of an agent of rhythmgan")
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
    _rewrite(path, version="77", tensors={"space.means": torch.ones(3)})
    _refused(path, "version 77")


@pytest.mark.skipif(not bundled("agent.safetensors").exists(), reason="no agent is bundled yet")
def test_the_bundled_agent_steers_the_bundled_generator():
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.word_lstm import load_prior

    agent = load_agent()
    dynamics = agent.dynamics(gan := load_gan(), gan, load_prior())
    assert dynamics.n_actions == len(agent.config.moves.table(agent.config.n_directions))
    assert torch.isfinite(agent.space.directions).all()
    n = 40
    goals = Goals.of(agent.space.values[:n], 20)
    state = dynamics.begin(torch.randn(n, 144, generator=torch.Generator().manual_seed(6)), goals)
    ever, plain = state.success > 0, state.success.mean()
    random = torch.Generator().manual_seed(7)
    for _ in range(19):
        noise = torch.randn(n, 144, generator=random)
        state = dynamics.step(state, goals, agent.act(dynamics.observe(state, goals)), noise)
        ever |= state.success > 0
    assert ever.float().mean() > plain + 0.4
