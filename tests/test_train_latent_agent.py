"""Training an agent in a folder: it goes on where it stopped, and nowhere else; variants are trained side by side."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, GM12
from rhythmgan.models.config import WordLSTMConfig
from rhythmgan.models.gan import GAN, load_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.models.word_lstm import WordLSTM
from rhythmgan.patterns import load_patterns
from rhythmgan.training.checkpoint import read_checkpoint
from rl_tuner import training
from rl_tuner.benchmark import sweep as sweeping
from rl_tuner.config import LATENT_AGENT, DQNConfig, EnvConfig
from rl_tuner.envs.latent import vector_env
from rl_tuner.latent.agent import LatentAgentConfig, load_latent_agent
from rl_tuner.latent.space import find_space
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.training import CHECKPOINT, CONFIG
from rl_tuner.tune import latent as tuning
from rl_tuner.tune.latent import WEIGHTS, targets_of, train_latent_agent

SMALL = DQNConfig(train_steps=1280, batch_size=32, learning_starts=200, buffer_size=2000, n_step=2)
ENV = EnvConfig(num_envs=64, calls=8)


@pytest.fixture(scope="module")
def models(one_thread):
    """The bundled generator, asked for bars of any role as `rl-tuner train` asks it, and a small prior."""
    torch.manual_seed(0)
    gan = load_gan().with_condition(ANY, ANY)
    config = WordLSTMConfig(width=8, word_width=8, roles=gan.roles, styles=gan.styles)
    return gan, WordLSTM(config).eval().requires_grad_(False).with_condition(ANY, ANY)


def _in_twelve_parts(corpus):
    """The same bars in the kit of the bundled models, without hand percussion."""
    return replace(corpus, distinct_words=corpus.distinct_words << 3, kit=GM12)


@pytest.fixture(scope="module")
def targets():
    return targets_of(load_patterns(), TARGETS)


@pytest.fixture(autouse=True)
def _few_bars(monkeypatch):
    """A space of few bars is found at once."""
    monkeypatch.setattr(tuning, "find_space", functools.partial(find_space, n=600))


def _train(models, targets, out, training=SMALL, env=ENV, progress=None, **shape):
    gan, prior = models
    config = LatentAgentConfig.of(gan, **{"width": 16, "layers": 1, **shape})
    return train_latent_agent(gan, gan, prior, targets, out, training, config, env, progress=progress)


@pytest.fixture(scope="module")
def whole(models, targets, tmp_path_factory):
    """A run that was never stopped, and what it reported."""
    reported = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "find_space", functools.partial(find_space, n=600))
        out = tmp_path_factory.mktemp("runs") / "new" / "run"
        weights = _train(models, targets, out, progress=lambda *row: reported.append(row))
    return weights, reported


def test_a_run_leaves_weights_checkpoint_config_and_events(whole):
    weights, reported = whole
    folder = weights.parent
    names = {path.name for path in folder.iterdir()}
    assert {WEIGHTS, CHECKPOINT, CONFIG} <= names
    assert not [name for name in names if name.endswith(".part")]
    facts = json.loads(read_metadata(weights)["provenance"])
    assert 1280 <= int(facts["trained_steps"]) < 1280 + 64  # environments step together
    assert facts["trained_targets"] == "72"
    assert facts["trained_seed"] == "0"
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    assert config["training"]["train_steps"] == 1280
    assert config["env"] == {"num_envs": 64, "calls": 8, "reward": "delta", "weighted": True}
    assert config["agent"]["width"] == 16
    assert {row[2] for row in reported} == {"training"}
    done = [row[0] for row in reported]
    assert done == sorted(done)
    assert done[-1] == 1280


def test_a_run_is_logged(models, targets, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_LOGGED", 50)
    _train(models, targets, tmp_path, replace(SMALL, train_steps=480), EnvConfig(num_envs=8, calls=4))
    board = EventAccumulator(str(tmp_path)).Reload()
    assert {"dqn/reward", "dqn/epsilon", "dqn/loss", "dqn/q"} <= set(board.Tags()["scalars"])
    explored = board.Scalars("dqn/epsilon")
    assert 0.05 <= explored[-1].value <= explored[0].value < 1


def test_what_was_learnt_moves_bars(models, whole):
    gan, prior = models
    agent = load_latent_agent(whole[0])
    envs = vector_env(agent.dynamics(gan, gan, prior), num_envs=20, calls=6)
    observations, _ = envs.reset(seed=2)
    assert set(agent.act(torch.from_numpy(observations)).tolist()) <= set(range(envs.single_action_space.n))
    assert agent.space.stds.min() > 0
    assert all(torch.isfinite(weights).all() for weights in agent.state_dict().values())


def test_the_seed_decides(models, targets, whole, tmp_path):
    again = _train(models, targets, tmp_path / "again")
    first, same = load_file(whole[0]), load_file(again)
    assert all(torch.equal(first[name], same[name]) for name in first)
    other = load_file(_train(models, targets, tmp_path / "other", replace(SMALL, seed=1)))
    assert max(float((first[name] - other[name]).abs().max()) for name in first) > 0.01


def test_the_target_network_is_what_ships(whole):
    """It is the average of the last online networks, and steadier."""
    shipped = load_file(whole[0])
    learner = read_checkpoint(whole[0].parent / CHECKPOINT)
    for name, weights in learner["target"].items():
        assert torch.equal(shipped[f"network.{name}"], weights), name
    differ = [not torch.equal(weights, learner["target"][name]) for name, weights in learner["network"].items()]
    assert all(differ)


def _stop_at(step):
    def tell(done, total, phase):
        if done >= step:
            raise KeyboardInterrupt

    return tell


@pytest.fixture
def stopped(models, targets, tmp_path, monkeypatch):
    """The folder of a run that was stopped half way, kept after each step."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "_SECONDS_BETWEEN", 0.0)
        with pytest.raises(KeyboardInterrupt):
            _train(models, targets, tmp_path / "run", progress=_stop_at(600))
    return tmp_path / "run"


def _steps(path):
    return int(json.loads(read_metadata(path)["provenance"])["trained_steps"])


def test_a_stopped_run_goes_on_from_where_it_was(models, targets, stopped):
    before = _steps(stopped / WEIGHTS)
    assert 600 <= before < 700
    network = load_file(stopped / WEIGHTS)
    reported = []
    weights = _train(models, targets, stopped, progress=lambda *row: reported.append(row))
    trained = [row[0] for row in reported if row[2] == "training"]
    assert before < trained[0] <= before + 64
    assert trained[-1] == 1280
    assert 1280 <= _steps(weights) < 1280 + 64
    after = load_file(weights)
    assert not all(torch.equal(after[name], network[name]) for name in after)
    assert all(torch.equal(after[name], network[name]) for name in after if name.startswith("space."))
    # asked again it has nothing left to do
    reported.clear()
    _train(models, targets, stopped, progress=lambda *row: reported.append(row))
    assert not reported
    again = load_file(weights)
    assert all(torch.equal(again[name], after[name]) for name in after if name.startswith("network."))


def test_the_prior_is_asked_for_what_the_agent_learns(models, targets, whole, tmp_path):
    """Whatever it was asked for: the run is the same."""
    gan, prior = models
    assert prior.with_condition("fill").fingerprint != prior.fingerprint
    weights = _train((gan, prior.with_condition("fill")), targets, tmp_path)
    first, same = load_file(whole[0]), load_file(weights)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert (tmp_path / CONFIG).read_text(encoding="utf-8") == (whole[0].parent / CONFIG).read_text(encoding="utf-8")


def test_other_runs_are_not_mixed_in(models, targets, stopped, one_thread):
    gan, prior = models
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}

    def refused(what, *changes, **shape):
        arguments = dict(enumerate((models, targets))) | dict(changes)
        with pytest.raises(ValueError, match=rf"another {what}.*: choose another folder") as refusal:
            _train(arguments[0], arguments[1], stopped, *changes_of(arguments), **shape)
        assert "\n" not in str(refusal.value)

    def changes_of(arguments):
        return arguments.get("training", SMALL), arguments.get("env", ENV)

    refused(r"train steps \(1280, not 2000\)", ("training", replace(SMALL, train_steps=2000)))
    refused(r"seed \(0, not 1\)", ("training", replace(SMALL, seed=1)))
    refused(r"reward \(delta, not absolute\)", ("env", replace(ENV, reward="absolute")))
    refused(r"width \(16, not 24\)", width=24)
    refused("set of targets", (1, targets[:-1]))
    refused("set of targets", (1, targets + 1))
    torch.manual_seed(1)
    refused("prior", (0, (gan, WordLSTM(prior.config).eval().with_condition(ANY, ANY))))
    refused("generator", (0, (GAN(gan.config).eval().with_condition(ANY, ANY), prior)))  # of another generator
    refused("prior", (0, (gan.with_condition("groove"), prior)))  # asked for another role, as its generator is
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_targets_of_the_same_sum_are_other_targets(models, targets, stopped):
    with pytest.raises(ValueError, match="another set of targets"):
        _train(models, targets.flip(1), stopped)


def test_a_config_of_another_generator_is_refused(models, targets, tmp_path):
    with pytest.raises(ValueError, match="another generator"):
        train_latent_agent(models[0], *models, targets, tmp_path / "run", SMALL, LatentAgentConfig("0" * 16, 192, 192))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "share",
    [
        0,
        0.5,
        0.999,
        None,
    ],
)
def test_a_damaged_checkpoint_is_reported_in_one_line(models, targets, stopped, share):
    whole = (stopped / CHECKPOINT).read_bytes()
    damaged = b"not a checkpoint" if share is None else whole[: int(share * len(whole))]
    (stopped / CHECKPOINT).write_bytes(damaged)
    with pytest.raises(ValueError, match=CHECKPOINT) as refusal:
        _train(models, targets, stopped)
    assert "\n" not in str(refusal.value)
    assert (stopped / CHECKPOINT).read_bytes() == damaged


def test_a_checkpoint_runs_no_code(models, targets, stopped, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "exploded",))

    torch.save({"config": Bomb()}, stopped / CHECKPOINT)
    with pytest.raises(ValueError, match=CHECKPOINT):
        _train(models, targets, stopped)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("note", ["{", "[1]", None])
def test_a_checkpoint_without_a_readable_recipe_is_left_alone(models, targets, stopped, note):
    (stopped / CONFIG).unlink()
    if note:
        (stopped / CONFIG).write_text(note, encoding="utf-8")
    with pytest.raises(ValueError, match=f"no readable {CONFIG}"):
        _train(models, targets, stopped)


def test_targets_are_each_songs_distinct_bars():
    patterns = load_patterns()
    n = len(patterns)
    song = np.arange(2 * n, dtype=np.int32) // 2  # every bar twice in its song
    twice = Corpus.of(
        np.repeat(patterns.words, 2, 0), song, np.zeros(2 * n, np.int32), song, patterns.songs, ("made",), GM9
    )
    expected = values_of(words_to_bars(patterns.words, 9), TARGETS, GM9)
    assert torch.equal(targets_of(twice, TARGETS), expected)
    assert targets_of(patterns, ("density",)).shape == (n, 1)
    with pytest.raises(ValueError, match="no bars"):
        targets_of(patterns.only(np.zeros(n, bool)), TARGETS)


# sweep ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_sweep(monkeypatch):
    monkeypatch.setattr(sweeping, "LATENT_AGENT", replace(SMALL, batch_size=16))
    monkeypatch.setattr(sweeping, "EnvConfig", functools.partial(EnvConfig, num_envs=64))
    monkeypatch.setattr(sweeping, "_ASKED", 12)


@pytest.mark.usefixtures("small_sweep")
def test_variants_are_trained_and_compared(models, tmp_path):
    corpus, reported = _in_twelve_parts(load_patterns()), []
    rows = sweeping.sweep(*models, corpus, tmp_path, ["bundled", "one target"], 256, reported.append)
    assert [row["variant"] for row in rows] == ["bundled", "one target"]
    for row in rows:
        assert list(row["success"]) == [4, 8, 16, 32]
        assert (np.diff(list(row["success"].values())) >= 0).all()
        assert 1 <= row["calls"] <= 32
    assert [text.partition(":")[0] for text in reported] == ["bundled", "one target"]
    kept = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert [row["variant"] for row in kept] == ["bundled", "one target"]
    assert kept[0]["success"]["32"] == rows[0]["success"][32]
    table = (tmp_path / "sweep.md").read_text(encoding="utf-8")
    assert table == sweeping.sweep_to_markdown(rows)
    assert len(table.splitlines()) == 4
    for name, targets in (("bundled", len(corpus.split("train"))), ("one-target", 1)):
        facts = json.loads(read_metadata(tmp_path / name / WEIGHTS)["provenance"])
        assert 256 <= int(facts["trained_steps"]) < 256 + 64
        assert facts["trained_targets"] == str(targets)


def test_variants_change_what_they_are_called_after():
    known = {variant.name: variant for variant in sweeping.VARIANTS}
    assert len(known) == len(sweeping.VARIANTS)
    assert known["bundled"].dqn == known["bundled"].agent == known["bundled"].env == {}
    assert known["explore 0.1"].dqn == {"eps_start": 0.1, "eps_end": 0.1}
    assert known["absolute reward"].env == {"reward": "absolute"}
    assert known["steps only"].agent == {"gains": ()}
    for variant in sweeping.VARIANTS:
        changed = variant.dqn or variant.agent or variant.env or variant.one_target
        assert bool(changed) == (variant.name != "bundled")


@pytest.mark.parametrize("variant", sweeping.VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_can_be(variant):
    replace(LATENT_AGENT, **{"train_steps": 1000, **variant.dqn})
    LatentAgentConfig("0" * 16, 192, 192, **variant.agent)
    EnvConfig(**variant.env)


def test_an_unknown_variant_is_refused_before_anything_is_made(models, tmp_path):
    with pytest.raises(ValueError, match="'faster'"):
        sweeping.sweep(*models, load_patterns(), tmp_path / "out", ["bundled", "faster"])
    assert not (tmp_path / "out").exists()


def test_a_sweep_table_is_in_percent():
    row = {"variant": "3 steps", "success": {4: 0.125, 8: 0.5, 16: 0.75, 32: 1.0}, "calls": 7.25, "logit": -0.5}
    assert (
        sweeping.sweep_to_markdown([row]).splitlines()[-1] == "| 3 steps | 12.5 | 50.0 | 75.0 | 100.0 | 7.2 | -0.50 |"
    )
