"""Trainings of agents that are killed and resumed: they come to the very weights of one that was not."""

import functools
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from rhythmgan.data import Corpus
from rhythmgan.kit import JAKI5, ROLAND10
from rhythmgan.locks import LOCK, locked_folder
from rhythmgan.loops import NoteLoops
from rhythmgan.models.answer_net import AnswerNet
from rhythmgan.models.bar_lstm import BarLSTM
from rhythmgan.models.config import AnswerConfig, BarLSTMConfig, NoteCNNConfig
from rhythmgan.models.note_cnn import NoteCNN
from rhythmgan.training.events import cut_events
from rl_tuner import training
from rl_tuner.agent import AgentConfig
from rl_tuner.config import (
    AGENT,
    ANSWER_AGENT,
    APPEND_AGENT,
    EDIT_AGENT,
    LATENT_AGENT,
    PUBLISHED_TOGGLE,
    AppendConfig,
    EditEnvConfig,
    EnvConfig,
    LoopCriticConfig,
    PairCriticConfig,
    ReadOutConfig,
    SoftQConfig,
    StepwiseEnvConfig,
    ToggleEnvConfig,
)
from rl_tuner.envs.toggle import ToggleVectorEnv
from rl_tuner.latent.agent import LatentAgentConfig
from rl_tuner.latent.space import find_space
from rl_tuner.scale import values_of
from rl_tuner.training import CHECKPOINT, Run
from rl_tuner.tune.append import train_append_agent
from rl_tuner.tune.edit import train_edit_agent
from rl_tuner.tune.latent import train_latent_agent
from rl_tuner.tune.stepwise import train_agent
from rl_tuner.tune.toggle import toggle_learner, train_answer_agent, train_toggle_agent

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = {"train_steps": 400, "batch_size": 16, "buffer_size": 200, "learning_starts": 60, "target_update_every": 3}


def _random(*shape):
    return np.random.default_rng(0).random(shape)


@pytest.fixture
def trainings(dynamics, monkeypatch):
    """Functions (folder, progress) → the path of the weights of a tiny run, by environment."""
    gan, prior = dynamics.generator, dynamics.models.prior
    bars = gan.sample(30, seed=50)
    targets = values_of(bars, dynamics.scale.features, dynamics.kit)
    few = {name: replace(base, **SHORT) for name, base in (("latent", LATENT_AGENT), ("edit", EDIT_AGENT))}
    monkeypatch.setattr("rl_tuner.tune.latent.find_space", functools.partial(find_space, n=600))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        lstm = BarLSTM(BarLSTMConfig(width=6, summary_width=5, decoder_width=4)).eval().requires_grad_(False)
        cnn = NoteCNN(NoteCNNConfig(width=4)).eval().requires_grad_(False)
        net = AnswerNet(AnswerConfig(width=8)).eval().requires_grad_(False)
    words, song = (1 + _random(40, 16) * 31).astype(np.uint16), np.arange(40) // 20
    corpus = Corpus.of(words, song, song, np.arange(40) % 20, ("a", "b"), ("a", "b"), JAKI5)
    notes = (_random(30, 32) * 10).astype(np.uint8)
    loops = NoteLoops(notes, np.arange(30), ROLAND10)
    pairs = _random(20, 2, 16) < 0.3

    def stepwise(out, progress):
        config = AgentConfig.of(gan, width=8)
        how = SoftQConfig(train_steps=16 * 8 * 6, batch_size=64)
        env, few_bars = StepwiseEnvConfig(num_envs=8), ReadOutConfig(bars=200)
        return train_agent(gan, gan, prior, targets, bars, out, how, config, env, few_bars, progress=progress)

    def latent(out, progress):
        config, env = LatentAgentConfig.of(gan, width=8, layers=1), EnvConfig(num_envs=8, calls=6)
        return train_latent_agent(gan, gan, prior, targets, out, few["latent"], config, env, progress=progress)

    def edit(out, progress):
        env = EditEnvConfig(num_envs=8, edits=5)
        return train_edit_agent(lstm, corpus, out, few["edit"], env, width=8, progress=progress)

    def append(out, progress):
        how = LoopCriticConfig(train_steps=4, batch_size=8, width=8)
        config = AppendConfig(num_envs=8, width=8)
        return train_append_agent(
            cnn, loops, loops, out, replace(APPEND_AGENT, **SHORT), config, how, progress=progress
        )

    def toggle(out, progress):
        how, env = replace(PUBLISHED_TOGGLE, **SHORT), ToggleEnvConfig(num_envs=8, moves=7)
        return train_toggle_agent(out, how, env, width=8, progress=progress)

    def answer(out, progress):
        how, critic = replace(ANSWER_AGENT, **SHORT), PairCriticConfig(train_steps=4, batch_size=8)
        return train_answer_agent(net, pairs, pairs, out, how, critic, num_envs=8, width=8, progress=progress)

    return {each.__name__: each for each in (stepwise, latent, edit, append, toggle, answer)}


def _killed(train, out, after):
    """A run in a process of its own that is killed after so many transitions."""

    def progress(done, total, phase):
        if done >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            train(out, progress)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _points(out):
    board = EventAccumulator(str(out)).Reload()  # files of one second are read in any order
    return {
        name: sorted((point.step, point.value) for point in board.Scalars(name)) for name in board.Tags()["scalars"]
    }


@pytest.mark.parametrize("env", ["stepwise", "latent", "edit", "append", "toggle", "answer"])
def test_killed_and_resumed_is_never_stopped(trainings, env, tmp_path, monkeypatch):
    """Two kills, some steps after a checkpoint each; weights and TensorBoard's points are those of one run."""
    monkeypatch.setattr(training, "_LOGGED", 60)
    train = trainings[env]
    whole = load_file(train(tmp_path / "whole", None))
    for pause, after in ((0.0, 200), (1e9, 280)):  # checkpoints after each step, and none
        monkeypatch.setattr(training, "_SECONDS_BETWEEN", pause)
        monkeypatch.setattr(training, "_SHARE_OF_SAVING", 1e9)
        _killed(train, tmp_path / "killed", after)
    resumed = load_file(train(tmp_path / "killed", None))
    assert resumed.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    assert _points(tmp_path / "killed") == _points(tmp_path / "whole")
    assert _points(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "killed").iterdir() if not path.name.startswith("events")}
    assert not {name for name in names if name.endswith(".part") or name == LOCK}


def test_a_run_that_was_killed_before_its_first_checkpoint_logs_each_step_once(trainings, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_LOGGED", 60)
    trainings["toggle"](tmp_path / "whole", None)
    _killed(trainings["toggle"], tmp_path / "killed", 300)
    assert not (tmp_path / "killed" / CHECKPOINT).exists()
    trainings["toggle"](tmp_path / "killed", None)
    assert _points(tmp_path / "killed") == _points(tmp_path / "whole")


def test_what_is_no_log_is_left_alone_and_an_empty_one_is_removed(tmp_path):
    with SummaryWriter(str(tmp_path)) as log:
        log.add_scalar("loss", 0.5, 7)
    cut_events(tmp_path, 7)
    assert _points(tmp_path) == {"loss": [(7, 0.5)]}
    (tmp_path / "events.out.tfevents.1").mkdir()
    cut_events(tmp_path, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.1"]


def test_ctrl_c_comes_between_two_steps(tmp_path):
    """A signal in the middle of a step, where replay and environments are not of one moment, waits for its end."""
    _, learner = toggle_learner(replace(PUBLISHED_TOGGLE, **SHORT), ToggleEnvConfig(num_envs=8), 8)
    steps = []
    step = learner.envs.step

    def interrupted(actions):
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        steps.append(1)
        return step(actions)

    learner.envs.step = interrupted
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its jobs ignore Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            learner.learn()
        assert len(steps) == 6 == learner.replay.time
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_with_another_memory_is_refused():
    _, learner = toggle_learner(replace(PUBLISHED_TOGGLE, **SHORT), ToggleEnvConfig(num_envs=8), 8)
    for _ in range(3):
        learner.step()
    state = learner._state() | {"extra": {}}
    learner.resume(state, "last.ckpt")
    state["progress"]["replay"]["time"] = 4
    with pytest.raises(ValueError, match=r"^last\.ckpt: cannot be resumed: the replay"):
        learner.resume(state, "last.ckpt")


def test_an_error_within_a_step_writes_no_checkpoint(trainings, tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("broken")

    monkeypatch.setattr("rl_tuner.dqn.DQN.update", fail)
    with pytest.raises(RuntimeError, match="broken"):
        trainings["toggle"](tmp_path, None)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_folder_is_for_one_training(trainings, tmp_path):
    trainings["toggle"](tmp_path, None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with locked_folder(tmp_path), pytest.raises(ValueError, match="another training runs in this folder") as refusal:
        trainings["toggle"](tmp_path, None)
    assert str(refusal.value).startswith(f"{tmp_path}: ")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_checkpoint_leaves_all_as_it_was(trainings, tmp_path):
    trainings["toggle"](tmp_path, None)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[:-1] + bytes([whole[-1] ^ 4]))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: .*checksum") as refusal:
        trainings["toggle"](tmp_path, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with locked_folder(tmp_path):  # though the error is still known, as in a notebook
        assert refusal.value


def test_what_killed_runs_left_is_swept(trainings, tmp_path):
    with pytest.raises(OSError), Run(tmp_path, {"model": "x"}) as run:  # noqa: PT011
        raise OSError
    assert run.out == tmp_path
    assert list(tmp_path.iterdir()) == []  # nor a note of a run that did not begin


@pytest.mark.parametrize(
    ("config", "name", "most"),
    [
        (AGENT, "batch_size", 1 << 20),
        (StepwiseEnvConfig(), "num_envs", 1 << 16),
        (ReadOutConfig(), "bars", 1 << 22),
        (LATENT_AGENT, "n_step", 1024),
        (LATENT_AGENT, "gradient_steps", 1024),
        (EnvConfig(), "calls", 4096),
        (EditEnvConfig(), "edits", 4096),
        (AppendConfig(), "width", 4096),
        (LoopCriticConfig(), "n_drawn", 1024),
        (ToggleEnvConfig(), "n_lines", 4096),
        (ToggleEnvConfig(), "moves", 4096),
    ],
)
def test_counts_that_no_training_ends_with_are_refused(config, name, most):
    assert getattr(replace(config, **{name: most}), name) == most
    with pytest.raises(ValueError, match=f"{name} must be at most {most:,}, not {most + 1}"):
        replace(config, **{name: most + 1})


def test_a_state_of_other_environments_is_refused():
    envs = ToggleVectorEnv(num_envs=3)
    envs.reset(seed=1)
    state = envs.get_state()
    other = ToggleVectorEnv(num_envs=4)
    for wrong in (
        {},
        {"random": state["random"]},
        state,
        state | {"random": torch.zeros(5056, dtype=torch.uint8)},
    ):
        with pytest.raises(ValueError, match="the environments"):
            (other if wrong is state else envs).set_state(wrong)
