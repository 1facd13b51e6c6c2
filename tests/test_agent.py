"""The agent: what a candidate is worth to it, and its file."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rhythmgan.conditions import ANY
from rhythmgan.models.gan import GAN, GANConfig, load_gan, save_gan
from rhythmgan.models.weights import read_metadata
from rl_tuner.agent import FORMAT, Agent, AgentConfig, load_agent, save_agent
from rl_tuner.config import ReadOutConfig
from rl_tuner.goals import Goals
from rl_tuner.stepwise.draws import BatchDraws, SeededDraws
from rl_tuner.stepwise.particles import decide_together

pytestmark = pytest.mark.usefixtures("one_thread")


def untaught(dynamics, **options):
    """An agent of the tiny generator with a read-out of a few bars."""
    gan, prior = dynamics.generator, dynamics.models.prior
    return Agent.untaught(gan, gan, prior, AgentConfig.of(gan, width=8, **options), ReadOutConfig(bars=600))


@pytest.fixture(scope="module")
def agent(dynamics):
    return untaught(dynamics)


@pytest.fixture(scope="module")
def taught(agent):
    """As if it had learned something: its Q is another than what its read-out says."""
    taught = Agent(agent.config)
    taught.load_state_dict(agent.state_dict())
    torch.nn.init.normal_(taught.network.rest[-1].weight, std=0.2, generator=torch.Generator().manual_seed(4))
    return taught.eval().requires_grad_(False)


def its_own(agent, dynamics):
    return agent.dynamics(dynamics.generator, dynamics.generator, dynamics.models.prior)


def begun(dynamics, n=12, seed=0, **coefs):
    """Observations of n episodes after a few steps, of which the first half has given bars; their states and goals."""
    given = torch.from_numpy(dynamics.generator.sample(n, seed=30))
    has_given, draws = torch.arange(n) < n // 2, BatchDraws(torch.Generator().manual_seed(seed))
    goals = Goals.of(dynamics.scale.values[:n].clone(), 1, **coefs).with_terms(dynamics.terms)
    state = dynamics.begin(given & has_given[:, None, None], has_given, torch.zeros_like(given), draws)
    for _ in range(5):
        state, _ = dynamics.step(state, goals, torch.arange(n) % dynamics.n_actions, draws)
    return dynamics.observe(state, goals), state, goals


# what candidates are worth


@pytest.mark.parametrize("trust", [0.0, 0.3, 1.0])
def test_untaught_it_says_what_its_read_out_says(agent, dynamics, trust):
    own = its_own(agent, dynamics)
    _, state, goals = begun(own)
    goals.targets[3] += 60
    seen, chances = own.observe(state, goals), own.log_chances(state, goals).clamp(min=-30)
    torch.testing.assert_close(agent.nats(seen, trust), chances, rtol=1e-4, atol=1e-4)
    assert (chances[3] == -30).all()  # the hopeless ones are equally so
    assert (chances[[0, 1, 2, 4]] > -30).any(1).all()


def test_untaught_it_is_a_particle_filter_with_candidates(agent, dynamics):
    """The bars are those that the chances by the read-out lead to, without any agent."""
    own, n = its_own(agent, dynamics), 20
    goals, cells = Goals.of(own.scale.values[:n].clone(), 1), torch.zeros(n, 16, 9, dtype=torch.bool)
    none = torch.zeros(n, dtype=torch.bool)

    def decided(nats):
        return decide_together(own, nats, goals, cells, none, cells, 4, SeededDraws(range(n), 0))[0].bars.cells

    def said(seen):
        return 10 * own.unpack(seen)[1]["log chance"][..., 0].clamp(min=-3)

    assert torch.equal(decided(lambda seen: agent.nats(seen, 0.5)), decided(said))
    assert not torch.equal(decided(lambda seen: torch.zeros(len(seen), 8)), decided(said))


def test_trust_mixes_q_with_what_the_read_out_says(taught, dynamics):
    own = its_own(taught, dynamics)
    seen, state, goals = begun(own)
    free = ~state.has_given
    said, q = own.log_chances(state, goals).clamp(min=-30), taught.network(seen) / taught.config.temperature
    torch.testing.assert_close(taught.nats(seen, 0.0)[free], said[free], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(taught.nats(seen, 1.0)[free], q[free])
    torch.testing.assert_close(taught.nats(seen, 0.25)[free], (0.75 * said + 0.25 * q)[free], rtol=1e-4, atol=1e-4)
    assert (q - said)[free].abs().max() > 1


@pytest.mark.parametrize(("closeness", "share"), [(0.0, 0.25), (0.5, 0.625), (1.0, 1.0)])
def test_the_more_closeness_counts_the_more_does_q(taught, dynamics, closeness, share):
    own = its_own(taught, dynamics)
    seen, state, goals = begun(own, closeness=closeness)
    near = state.has_given
    said, q = own.log_chances(state, goals).clamp(min=-30), taught.network(seen) / taught.config.temperature
    mixed = (1 + 4 * closeness) * ((1 - share) * said + share * q)
    torch.testing.assert_close(taught.nats(seen, 0.25)[near], mixed[near], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("closeness", "times"), [(0.0, 1), (0.25, 2), (1.0, 5)])
def test_with_a_given_bar_closeness_makes_it_more_decided(taught, dynamics, closeness, times):
    own = its_own(taught, dynamics)
    seen, state, _ = begun(own, closeness=closeness)
    q = taught.network(seen) / taught.config.temperature
    torch.testing.assert_close(taught.nats(seen)[state.has_given], times * q[state.has_given])
    torch.testing.assert_close(taught.nats(seen)[~state.has_given], q[~state.has_given])


def test_an_agent_without_the_term_of_closeness_is_as_decided_with_given_bars(dynamics):
    agent = untaught(dynamics, terms=("realism",))
    own = its_own(agent, dynamics)
    seen, state, goals = begun(own, realism=0.5)
    torch.testing.assert_close(agent.nats(seen), own.log_chances(state, goals).clamp(min=-30), rtol=1e-4, atol=1e-4)


# what it belongs to


def test_it_steers_one_generator_under_one_condition(dynamics):
    gan = load_gan()
    asked = gan.with_condition("fill")
    agent = Agent(AgentConfig.of(asked))
    assert (agent.config.role, agent.config.style) == ("fill", ANY)
    assert agent.steered(gan.with_condition(ANY, ANY)).condition == asked.condition
    with pytest.raises(ValueError, match=r"trained to steer another generator; train one with `rl-tuner train`$"):
        agent.steered(dynamics.generator)
    with pytest.raises(ValueError, match="another generator"):
        Agent(replace(agent.config, generator="0" * 16)).steered(gan)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0),
        ("width", 5000),
        ("n_candidates", 1),
        ("n_candidates", 1025),
        ("temperature", 0),
        ("temperature", -1),
    ],
)
def test_a_shape_that_cannot_be_is_refused(dynamics, name, value):
    with pytest.raises(ValueError, match=name) as refusal:
        AgentConfig.of(dynamics.generator, **{name: value})
    assert "\n" not in str(refusal.value)


# its file


@pytest.fixture
def path(taught, tmp_path):
    path = tmp_path / "agent.safetensors"
    save_agent(path, taught, {"trained_steps": "7"})
    return path


def test_what_is_loaded_is_what_was_saved(path, taught, dynamics):
    loaded = load_agent(path)
    assert loaded.config == taught.config
    assert loaded.scale.features == ("density", "syncopation")
    before, after = taught.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not loaded.training
    seen, _, _ = begun(its_own(taught, dynamics))
    again, _, _ = begun(its_own(loaded, dynamics))
    assert torch.equal(seen, again)
    assert torch.equal(loaded.nats(seen), taught.nats(seen))
    assert json.loads(read_metadata(path)["provenance"])["trained_steps"] == "7"


def restate(path, **changes):
    metadata = read_metadata(path)
    config = json.loads(metadata["config"]) | changes.pop("config", {})
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)} | changes)


def refused(path, match=None):
    with pytest.raises(ValueError, match=match) as refusal:
        load_agent(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 600


def test_a_file_of_another_version_is_refused(path):
    restate(path, version="3")
    refused(path, r"version 3.*4|4.*version 3")
    assert FORMAT.version == 4


@pytest.mark.parametrize(
    "config", [{"width": 9}, {"width": 0}, {"steps": 12}, {"features": ["loudness"]}, {"features": []}, {"layers": 2}]
)
def test_a_file_whose_config_is_not_that_of_its_weights_is_refused(path, config):
    restate(path, config=config)
    refused(path)


def test_other_files_are_refused(path, dynamics):
    save_gan(path, dynamics.generator, {})
    refused(path, "no weights of an agent of rhythmgan")
    path.write_bytes(path.read_bytes()[:100])
    refused(path)
    with pytest.raises(OSError, match=r"nowhere\.safetensors"):
        load_agent(path.with_name("nowhere.safetensors"))


@pytest.mark.parametrize("steps", [16, 12])
def test_one_ships_for_each_grid(steps):
    assert load_agent(steps=steps).config.steps == steps


def test_no_agent_ships_for_other_grids():
    with pytest.raises(ValueError, match="24") as refusal:
        load_agent(steps=24)
    assert "\n" not in str(refusal.value)


def test_generators_of_other_parts_have_agents_too():
    torch.manual_seed(0)
    gan = GAN(GANConfig("jaki5", steps=12, width=4, discriminator_width=8)).eval().requires_grad_(False)
    config = AgentConfig.of(gan, n_candidates=3, n_changes=2)
    assert (config.steps, config.n_parts, config.state_width) == (12, gan.kit.n_parts, gan.begin(1).state.shape[1])
    assert Agent(config).read_out_weights.shape[0] == 12
