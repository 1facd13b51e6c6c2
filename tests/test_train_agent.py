"""Training the agent in a folder: it goes on where it stopped, and nowhere else."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rhythmgan.conditions import ANY, Condition
from rhythmgan.corpus_file import save_corpus
from rhythmgan.kit import GM12
from rhythmgan.models.gan import GAN, GANConfig, load_gan, save_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior
from rhythmgan.patterns import load_patterns
from rhythmgan.training.checkpoint import read_checkpoint
from rl_tuner import training
from rl_tuner.agent import Agent, AgentConfig, load_agent, save_agent
from rl_tuner.cli import main
from rl_tuner.config import ReadOutConfig, SoftQConfig, StepwiseEnvConfig
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.scale import values_of
from rl_tuner.steering import steer
from rl_tuner.training import CHECKPOINT, CONFIG
from rl_tuner.tune.stepwise import WEIGHTS, bundled_dynamics, train_agent

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = SoftQConfig(train_steps=16 * 32 * 6, batch_size=256)
ENV = StepwiseEnvConfig(num_envs=32)
FEW = ReadOutConfig(bars=400)


@pytest.fixture(scope="module")
def bars(dynamics):
    return dynamics.generator.sample(40, seed=50)


@pytest.fixture(scope="module")
def train(dynamics, bars):
    """A function (folder, …) → the path of the weights of a short run on the tiny generator."""
    models = dynamics.generator, dynamics.generator, dynamics.models.prior
    targets = values_of(bars, dynamics.scale.features, dynamics.kit)

    def run(out, training=SMALL, env=ENV, read_out=FEW, targets=targets, bars=bars, progress=None, **shape):
        config = AgentConfig.of(dynamics.generator, **({"width": 8} | shape))
        return train_agent(*models, targets, bars, out, training, config, env, read_out, progress=progress)

    return run


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """The weights of a run that was not stopped."""
    return train(tmp_path_factory.mktemp("whole"))


def stop_after(n):
    """A progress that is interrupted after n transitions."""

    def progress(done, total, phase):
        assert total == SMALL.train_steps
        if done >= n:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def stopped(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, progress=stop_after(1500))
    return tmp_path


def test_what_is_written(whole, dynamics):
    agent = load_agent(whole)
    assert {path.name for path in whole.parent.iterdir()} >= {WEIGHTS, CHECKPOINT, CONFIG}
    assert agent.config.temperature == SMALL.temperature
    provenance = json.loads(read_metadata(whole)["provenance"])
    assert provenance["trained_steps"] == str(SMALL.train_steps)
    assert provenance["trained_targets"] == "40"
    described = json.loads((whole.parent / CONFIG).read_text(encoding="utf-8"))
    assert described["env"]["locked"] == 0.5
    assert described["read-out"]["bars"] == 400
    # what was learnt is the average of the last networks, on the read-out of its own
    checkpoint = read_checkpoint(whole.parent / CHECKPOINT)
    assert checkpoint["steps_done"] == SMALL.train_steps
    for name, weights in agent.network.state_dict().items():
        assert torch.equal(weights, checkpoint["target"][name])
    expected = Agent.untaught(dynamics.generator, dynamics.generator, dynamics.models.prior, agent.config, FEW)
    assert torch.equal(agent.read_out_weights, expected.read_out_weights)
    assert any((weights != 0).any() for weights in agent.network.rest[-1].parameters())


def test_what_was_learnt_steers(whole, dynamics):
    gan, prior = dynamics.generator, dynamics.models.prior
    target = float(dynamics.scale.means[0].round())
    found = steer({"density": target}, 6, calls=8, agent=load_agent(whole), generator=gan, prior=prior)
    assert found.success.all()


def test_the_seed_decides(train, whole, tmp_path):
    first, same = load_file(whole), load_file(train(tmp_path / "again"))
    assert all(torch.equal(first[name], same[name]) for name in first)
    other = load_file(train(tmp_path / "other", replace(SMALL, seed=1)))
    assert any(not torch.equal(first[name], other[name]) for name in first if name.startswith("network"))


def test_a_run_that_was_stopped_is_resumed(train, stopped):
    first = read_checkpoint(stopped / CHECKPOINT)["steps_done"]
    assert 1500 <= first < SMALL.train_steps
    before = load_agent(stopped / WEIGHTS)
    # as if the read-out came out otherwise on another machine: the run goes on with the one that it began with
    before.read_out_weights[2] += 0.5
    before.scale.calibration[0] += 0.25
    save_agent(stopped / WEIGHTS, before, {})
    heard = []
    path = train(stopped, progress=lambda done, total, phase: heard.append(done))
    assert heard[0] > first
    assert heard[-1] == SMALL.train_steps
    assert len(heard) == (SMALL.train_steps - first) // (16 * 32)
    agent = load_agent(path)
    assert torch.equal(agent.read_out_weights, before.read_out_weights)
    assert torch.equal(agent.scale.calibration, before.scale.calibration)
    assert not torch.equal(agent.network.from_shared.weight, before.network.from_shared.weight)
    assert json.loads(read_metadata(path)["provenance"])["trained_steps"] == str(SMALL.train_steps)
    # a run that is over is not learnt again
    done = path.read_bytes(), read_checkpoint(stopped / CHECKPOINT)["network"]
    train(stopped)
    again = read_checkpoint(stopped / CHECKPOINT)["network"]
    assert all(torch.equal(done[1][name], again[name]) for name in again)


def test_a_run_of_another_description_is_refused(train, stopped, bars, dynamics):
    kept = (stopped / WEIGHTS).read_bytes(), (stopped / CHECKPOINT).read_bytes(), (stopped / CONFIG).read_bytes()
    for changes, what in (
        ({"training": replace(SMALL, train_steps=9000)}, r"train steps \(3072, not 9000\)"),
        ({"training": replace(SMALL, trace=0.5)}, r"trace \(0.9, not 0.5\)"),
        ({"env": replace(ENV, locked=0.0)}, r"locked \(0.5, not 0.0\)"),
        ({"read_out": ReadOutConfig(bars=401)}, r"bars \(400, not 401\)"),
        ({"width": 9}, r"width \(8, not 9\)"),
        ({"n_changes": 3}, r"n changes \(4, not 3\)"),
        ({"bars": bars[1:]}, "set of bars"),
        ({"targets": dynamics.scale.values[:40]}, "set of targets"),
    ):
        with pytest.raises(ValueError, match=rf"holds a run with another {what}.*choose another folder$") as refusal:
            train(stopped, **changes)
        assert "\n" not in str(refusal.value)
    assert kept == tuple((stopped / name).read_bytes() for name in (WEIGHTS, CHECKPOINT, CONFIG))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "no such option (True, not None)"),
        (None, "no such option (None, not None)"),
        ("a\nb", r"no such option (a\nb, not None)"),
        ([[]], "something else"),
    ],
)
def test_an_option_that_there_is_not_is_named_in_a_line(train, stopped, value, said):
    config = json.loads((stopped / CONFIG).read_text(encoding="utf-8"))
    kept = (stopped / CONFIG).read_bytes()
    config["training"]["no_such_option"] = value
    (stopped / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="holds a run with another no such option") as refusal:
        train(stopped)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    (stopped / CONFIG).write_bytes(kept)


def test_a_damaged_checkpoint_is_refused(train, stopped):
    path = stopped / CHECKPOINT
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed") as refusal:
        train(stopped)
    assert "\n" not in str(refusal.value)


def test_the_config_of_another_generator_is_refused(dynamics, bars, tmp_path):
    gan = dynamics.generator
    config = replace(AgentConfig.of(gan), generator="0" * 16)
    with pytest.raises(ValueError, match="another generator"):
        train_agent(gan, gan, dynamics.models.prior, dynamics.scale.values, bars, tmp_path, SMALL, config)


def test_a_run_is_logged(train, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_LOGGED", 500)
    phases = []
    train(tmp_path, progress=lambda done, total, phase: phases.append(phase))
    board = EventAccumulator(str(tmp_path)).Reload()
    wanted = {"loss", "return", "q", "match", "success", "realism", "likelihood", "closeness", "kl", "score"}
    assert {f"softq/{name}" for name in wanted} <= set(board.Tags()["scalars"])
    assert 0 < board.Scalars("softq/success")[-1].value < 1
    assert phases[-1].endswith("% reached")


@pytest.fixture
def of_the_command(tmp_path):
    """Options of the command: small models that play grooves unasked, songs, and a folder."""
    names = {"roles": ("groove", "fill"), "styles": ("rock", "funk")}
    torch.manual_seed(3)
    gan = GAN(GANConfig(width=8, discriminator_width=8, **names)).eval().requires_grad_(False)
    prior = WordLSTM(WordLSTMConfig(width=8, word_width=8, **names)).eval().requires_grad_(False)
    gan.generator.to_parts.bias.fill_(-1.2)
    save_gan(tmp_path / "gan.safetensors", gan, {})
    save_prior(tmp_path / "prior.safetensors", prior, {})
    corpus = load_patterns()
    save_corpus(tmp_path / "songs.npz", replace(corpus, distinct_words=corpus.distinct_words << 3, kit=GM12))
    files = {"weights": "gan.safetensors", "prior": "prior.safetensors", "data": "songs.npz", "out": "run"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    return [*options, "--train-steps", "600", "--num-envs", "16", "--quiet"]


def test_the_command_trains_on_bars_of_any_role(of_the_command, tmp_path):
    """The targets are of all that songs play, and so are the bars."""
    assert main(["train", *of_the_command, "--bars", "300", "--width", "8"]) == 0
    agent = load_agent(tmp_path / "run" / WEIGHTS)
    assert (agent.config.role, agent.config.style, agent.config.width) == (ANY, ANY, 8)
    loaded = load_gan(tmp_path / "gan.safetensors")
    assert loaded.condition == Condition("groove")
    assert agent.steered(loaded).condition == Condition()
    assert agent.config.generator == loaded.with_condition(ANY, ANY).fingerprint != loaded.fingerprint
    described = json.loads((tmp_path / "run" / CONFIG).read_text(encoding="utf-8"))
    assert described["prior"] == load_prior(tmp_path / "prior.safetensors").with_condition(ANY, ANY).fingerprint
    assert described["env"]["num_envs"] == 16


def test_dynamics_of_the_bundled_models_take_the_shape_of_an_agent(monkeypatch):
    monkeypatch.setattr("rl_tuner.tune.stepwise._FITTED_ON", 200)
    dynamics = bundled_dynamics(n_candidates=5, n_changes=2, terms=("closeness",))
    assert (dynamics.n_actions, dynamics.n_changes, dynamics.terms) == (5, 2, ("closeness",))
    assert np.isfinite(dynamics.low).all()
    assert dynamics.generator.condition == Condition()


SAME = """
import hashlib, sys, torch
from rhythmgan.models.gan import load_gan
from rhythmgan.models.word_lstm import load_prior
from rl_tuner.agent import Agent, AgentConfig
from rl_tuner.config import ReadOutConfig
from rl_tuner.latent.space import find_space
gan, prior = load_gan(sys.argv[1]), load_prior(sys.argv[2])
agent = Agent.untaught(gan, gan, prior, AgentConfig.of(gan, width=8), ReadOutConfig(bars=3000))
for found in (find_space(gan, gan, prior, n=6000), agent):
    for name, tensor in found.state_dict().items():
        if not name.startswith("network"):
            print(name, hashlib.sha256(tensor.numpy().tobytes()).hexdigest())
"""


def test_what_an_agent_begins_with_is_the_same_in_every_process(of_the_command, tmp_path):
    """Whatever number of threads the environment asks for, and however Python hashes."""
    found = set()
    for number, threads in enumerate(("1", "2", "4")):
        around = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONHASHSEED": str(number)}
        command = [sys.executable, "-c", SAME, str(tmp_path / "gan.safetensors"), str(tmp_path / "prior.safetensors")]
        found.add(subprocess.run(command, env=os.environ | around, check=True, capture_output=True, text=True).stdout)
    assert len(found) == 1
    assert "directions" in found.pop()


def test_the_command_trains_on_one_thread(of_the_command, tmp_path, monkeypatch):
    """Unless it is asked otherwise: on several the same seed may come to another agent."""
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    assert main(["train", *of_the_command, "--bars", "300", "--width", "8"]) == 0
    assert set(asked) == {1}


def test_the_command_trains_an_agent_of_whole_bar_moves(of_the_command, tmp_path):
    assert main(["train", "--env", "latent", *of_the_command, "--features", "density", "--calls", "7"]) == 0
    agent = load_latent_agent(tmp_path / "run" / WEIGHTS)
    assert agent.config.features == ("density",)
    loaded = load_gan(tmp_path / "gan.safetensors")
    assert agent.steered(loaded).condition == Condition()
    described = json.loads((tmp_path / "run" / CONFIG).read_text(encoding="utf-8"))
    assert described["env"]["calls"] == 7
    # learning starts after a tenth of so short a run
    assert described["training"]["learning_starts"] == 60
