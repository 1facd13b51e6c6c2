"""The agent that appends notes: what it plays, its file, its training, the commands, and that it learns toys."""

import json
import math
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from commands import run
from test_loops import played_corpus
from test_note_cnn import random_cnn

import rl_tuner.cli
from rhythmgan.corpus_file import save_corpus
from rhythmgan.kit import GM9, JAKI5, ROLAND10
from rhythmgan.loops import NoteLoops
from rhythmgan.models.config import NoteCNNConfig
from rhythmgan.models.note_cnn import load_note_cnn, save_note_cnn
from rl_tuner.append.agent import (
    KINDS,
    AppendAgent,
    AppendAgentConfig,
    PublishedAgents,
    kind_of,
    load_append_agent,
    load_published,
    loops,
    loops_of_kind,
    save_append_agent,
    save_published,
)
from rl_tuner.append.network import LoopNetwork
from rl_tuner.append.percussion import fit_coefs, percussion_terms, totals
from rl_tuner.config import APPEND_AGENT, APPEND_PUBLISHED, APPEND_PUBLISHED_ENV, AppendConfig, LoopCriticConfig
from rl_tuner.tune.append import (
    LoopReward,
    append_learner,
    draw_for_critic,
    learn_reward,
    log_prob_term,
    taught_agent,
    train_append_agent,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def cnn():
    return random_cnn(NoteCNNConfig(width=4, kernel=3, n_openings=2))


def set_values(agent, values):
    """Have the network say these values whatever it sees."""
    last = agent.network.layers[-1] if isinstance(agent.network, LoopNetwork) else agent.network.linear
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor(values))
    return agent.eval().requires_grad_(False)


# what it plays


def test_without_values_it_plays_as_the_cnn(cnn):
    agent = set_values(AppendAgent(AppendAgentConfig(cnn.fingerprint, width=8), cnn), [0.0] * 10)
    given = np.tile(np.arange(8), (6, 1))
    np.testing.assert_array_equal(agent.complete(given, np.arange(6)), cnn.complete(given, np.arange(6)))


def test_a_value_multiplies_the_odds_of_the_cnn(cnn):
    """log 6 at a temperature of 2 for the crash: its odds are √6 of the CNN's."""
    values = [0.0] * 8 + [math.log(6), 0.0]
    agent = set_values(AppendAgent(AppendAgentConfig(cnn.fingerprint, 2.0, width=8), cnn), values)
    seen = cnn.windows(torch.tensor([[1, 0, 7], [2, 2, 2]]))
    mine, theirs = agent.log_chances(seen).exp(), cnn(seen).softmax(1)
    odds = (mine[:, 8] / (1 - mine[:, 8])) / (theirs[:, 8] / (1 - theirs[:, 8]))
    assert odds.tolist() == pytest.approx([math.sqrt(6)] * 2, rel=1e-4)
    torch.testing.assert_close(mine.sum(1), torch.ones(2))


def test_as_published_it_takes_the_best_note(cnn):
    config = AppendAgentConfig(cnn.fingerprint, temperature=0.0, width=0)
    agent = set_values(AppendAgent(config, cnn), [0.0, 1.0, 3.0] + [0.0] * 7)
    assert agent.log_chances(torch.zeros(1, 320)).tolist() == [[-math.inf] * 2 + [0.0] + [-math.inf] * 7]
    notes = agent.complete(np.zeros((3, 8), int), np.arange(3))
    assert (notes[:, 8:] == 2).all()
    noisy = set_values(AppendAgent(replace(config, eps=0.5), cnn), [0.0, 1.0, 3.0] + [0.0] * 7)
    played = noisy.complete(np.zeros((200, 8), int), np.arange(200))[:, 8:]
    assert (played == 2).mean() == pytest.approx(0.55, abs=0.02)  # half, and a tenth of the other half


def test_loops_of_a_seed_do_not_depend_on_the_batch(cnn):
    agent = AppendAgent(AppendAgentConfig(cnn.fingerprint, width=8), cnn).eval()
    whole = loops(12, 3, agent)
    assert whole.shape == (12, 2, 16, 9)
    assert whole.dtype == bool
    np.testing.assert_array_equal(loops(2, 9, agent), whole[6:8])
    assert loops(0, agent=agent).shape == (0, 2, 16, 9)
    for n, seed in ((-1, 0), (1, -1)):
        with pytest.raises(ValueError, match=r"n is at least 0|seeds are whole numbers"):
            loops(n, seed, agent)
    with pytest.raises(ValueError, match="expected notes"):
        agent.complete(np.full((1, 8), 10), np.arange(1))


# its file


def test_its_file_gives_it_back_beside_its_cnn_only(cnn, tmp_path):
    agent = AppendAgent(AppendAgentConfig(cnn.fingerprint, width=8), cnn).eval()
    path = tmp_path / "agent.safetensors"
    save_append_agent(path, agent, {})
    again = load_append_agent(path, cnn)
    assert again.config == agent.config
    np.testing.assert_array_equal(again.sample(3), agent.sample(3))
    with pytest.raises(ValueError, match="started from another note-wise model"):
        load_append_agent(path, random_cnn(seed=1))
    with pytest.raises(ValueError, match="holds no weights of agents that append notes, as published"):
        load_published(path, cnn)


def test_agents_as_published_share_a_file(cnn, tmp_path):
    agents = PublishedAgents(cnn.fingerprint, cnn)
    for place, agent in enumerate(agents.agents):
        set_values(agent, [float(number == place) for number in range(10)])
    save_published(tmp_path / "all.safetensors", agents, {})
    again = load_published(tmp_path / "all.safetensors", cnn)
    assert list(again) == [0.01, 0.05, 0.1, 0.3, 0.5]
    assert [agent.complete(np.zeros((1, 8), int), np.arange(1))[0, -1] for agent in again.values()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"width": -1}, {"eps": 1.5}])
def test_a_shape_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="temperature lies from 0 on"):
        AppendAgentConfig("x", **wrong)


# training


def toy_loops(n=60, seed=0):
    """Loops with a snare on 2 and 4 of their second bar, which a random CNN knows nothing of."""
    notes = np.zeros((n, 32), np.uint8)
    notes[:, :8] = np.random.default_rng(seed).integers(0, 2, (n, 1))
    notes[:, [20, 28]] = 2
    return NoteLoops(notes, np.arange(n) % 5, ROLAND10)


def as_the_cnn(cnn, n, seed):
    """Loops that a CNN draws, with a snare on 2 and 4 of the second bar."""
    given = np.random.default_rng(seed).integers(0, 2, (n, 8))
    notes = cnn.complete(given, np.arange(n) + seed)
    notes[:, [20, 28]] = 2
    return NoteLoops(notes, np.arange(n) % 5, ROLAND10)


def test_the_log_probability_of_a_note_is_that_of_the_cnn(cnn):
    notes = np.random.default_rng(0).integers(0, 10, (4, 32))
    term, whole = log_prob_term(cnn), cnn.log_prob(notes)
    for step in (8, 15, 31):
        torch.testing.assert_close(term(torch.from_numpy(notes[:, : step + 1])), whole[:, step - 8])


def test_as_published_the_agent_starts_as_the_cnn_and_finds_likely_notes(cnn):
    cnn.linear.weight.mul_(8)  # surer of its notes
    config = replace(APPEND_PUBLISHED_ENV, num_envs=8, eps=0.3)
    training = replace(
        APPEND_PUBLISHED, train_steps=12_000, learning_starts=500, buffer_size=4000, learning_rate=3e-3, seed=1
    )
    data = toy_loops()
    reward = learn_reward(cnn, data, data, config)
    assert reward.coefs == {"log_prob": 1.0}
    assert reward.critic is None
    learner = append_learner(cnn, data, reward, training, config)
    seen = torch.rand(3, 320).round()
    torch.testing.assert_close(learner.network(seen), cnn(seen))
    given = np.unique(data.notes[:, :8], axis=0)
    before = cnn.log_prob(cnn.complete(given, np.arange(2))).mean()
    learner.learn()
    agent = taught_agent(learner, cnn, config)
    assert agent.config == AppendAgentConfig(cnn.fingerprint, temperature=0.0, width=0)
    after = cnn.log_prob(agent.complete(given, np.arange(2))).mean()
    assert after > before + 0.2


def test_with_a_price_the_agent_becomes_the_cnn_times_e_to_the_reward(cnn):
    """One term of 2 for a snare and a constant chance by the CNN: the agent's odds of a snare are e² times its."""
    cnn.linear.weight.zero_()
    config = AppendConfig(num_envs=64, eps=0.1, width=32)
    training = replace(
        APPEND_AGENT, train_steps=20_000, batch_size=128, learning_starts=1000, buffer_size=10_000, learning_rate=3e-3
    )
    data = toy_loops()
    reward = LoopReward({"snare": lambda notes: (notes[:, -1] == 2).float()}, {"snare": 2.0}, None)
    learner = append_learner(cnn, data, reward, training, config)
    torch.testing.assert_close(learner.network(torch.rand(2, 320).round()), torch.zeros(2, 10))
    learner.learn()
    agent = taught_agent(learner, cnn, config)
    theirs = float(cnn(torch.zeros(1, 320)).softmax(1)[0, 2])
    expected = theirs * math.exp(2) / (1 - theirs + theirs * math.exp(2))
    played = agent.complete(np.tile(data.notes[:, :8], (10, 1)), np.arange(600))[:, 8:]
    assert (played == 2).mean() == pytest.approx(expected, abs=0.05)


def test_it_learns_from_a_critic_what_songs_play(cnn, tmp_path):
    """Songs are loops of the CNN but for snares on 2 and 4 of the second bar. A run is stopped and resumed."""
    cnn.linear.weight.zero_()
    cnn.linear.bias.zero_()
    cnn.linear.bias[0] = 2.0
    data, validation = (as_the_cnn(cnn, n, seed) for n, seed in ((400, 0), (100, 1000)))
    config = AppendConfig(num_envs=32, width=32)
    training = replace(
        APPEND_AGENT, train_steps=16_000, batch_size=128, learning_starts=1000, buffer_size=8000, learning_rate=3e-3
    )
    critic = LoopCriticConfig(train_steps=300, batch_size=128, width=32, dropout=0.1)

    def stop(done, total, phase):
        if done > 6000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_append_agent(cnn, data, validation, tmp_path, training, config, critic, progress=stop)
    path = train_append_agent(cnn, data, validation, tmp_path, training, config, critic)
    agent = load_append_agent(path, cnn)
    given = data.notes[:300, :8]
    tuned, untuned = (player.complete(given, np.arange(300)) for player in (agent, cnn))
    assert (untuned[:, [20, 28]] == 2).mean() < 0.12  # e⁰ of e² + 9: .06
    assert (tuned[:, [20, 28]] == 2).mean() > 0.6
    others = np.setdiff1d(np.arange(8, 32), [20, 28])
    assert (tuned[:, others] == 0).mean() == pytest.approx((untuned[:, others] == 0).mean(), abs=0.1)
    with pytest.raises(ValueError, match="holds a run with another"):
        train_append_agent(cnn, data, validation, tmp_path, replace(training, seed=5), config, critic)
    other = NoteLoops(data.notes, data.song, JAKI5)
    with pytest.raises(ValueError, match="the loops are of kit jaki5"):
        train_append_agent(cnn, other, validation, tmp_path / "other", training, config, critic)


NOTHING = LoopReward({"nothing": lambda notes: torch.zeros(len(notes))}, {"nothing": 1.0}, None)


def test_playing_a_part_again_costs_beside_what_is_fitted(cnn):
    """A cost of .3 nats, twice as all percussion counts twice; repeating is −1, so a cost is a coefficient over 0."""
    data = toy_loops(30)
    config = AppendConfig(critic=0.0, percussion=2.0, repeat_cost=0.0)
    drawing = LoopCriticConfig(n_drawn=1)
    without = learn_reward(cnn, data, data, config, drawing).coefs
    with_cost = learn_reward(cnn, data, data, replace(config, repeat_cost=0.3), drawing).coefs
    assert with_cost.pop("repeat") - without.pop("repeat") == pytest.approx(0.6, abs=1e-5)
    assert with_cost == without


def test_coefficients_are_fitted_beside_what_the_critic_pays(cnn):
    data = as_the_cnn(cnn, 200, 0)
    given = data.notes[:, :8]
    drawn = torch.from_numpy(cnn.complete(given, 1000 + np.arange(200)).astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = LoopNetwork(10, 16, 1, width=8).eval().requires_grad_(False)
    critic.layers[-1].weight.mul_(20)  # surer
    config = AppendConfig(critic=2.0, percussion=1.0, repeat_cost=0.0)
    reward = learn_reward(cnn, data, data, config, drawn=(drawn, drawn), trained=critic)
    terms = percussion_terms(ROLAND10, 16)
    of_songs, of_drawn = (totals(terms, notes, 8) for notes in (torch.from_numpy(data.notes.astype(np.int64)), drawn))
    paid = 2.0 * critic(cnn.windows(drawn))[:, 0]
    expected = fit_coefs(of_songs, of_drawn, paid)
    assert (expected - fit_coefs(of_songs, of_drawn)).abs().max() > 0.05
    assert [reward.coefs[name] for name in terms] == pytest.approx(expected.tolist(), abs=1e-4)
    assert reward.coefs["critic"] == 2


def test_loops_for_the_critic_begin_as_songs_do_and_are_those_of_its_seed(cnn):
    data = toy_loops(5)
    data.notes[:, 0] = np.arange(5)
    first, again, other = (draw_for_critic(cnn, data, LoopCriticConfig(n_drawn=3, seed=seed)) for seed in (2, 2, 4))
    assert first.shape == (15, 32)
    for row in range(5):
        of_row = first[first[:, 0] == row].numpy()
        np.testing.assert_array_equal(of_row[:, :8], np.repeat(data.notes[[row], :8], 3, 0))
        assert len(np.unique(of_row, axis=0)) == 3
    assert torch.equal(first, again)
    assert not (first[:, 8:] == other[:, 8:]).all(1).any()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_share_of_random_notes_is_that_of_the_config_to_the_end(cnn, temperature):
    training = replace(APPEND_AGENT, temperature=temperature, soft_values=bool(temperature), eps_start=1.0, eps_end=0.0)
    config = AppendConfig(num_envs=2, eps=0.3, width=4)
    learner = append_learner(cnn, toy_loops(), NOTHING, training, config)
    assert learner.epsilon == pytest.approx(0.3)
    learner.steps_done = training.train_steps
    assert learner.epsilon == pytest.approx(0.3)


@pytest.mark.parametrize(("temperature", "learnt"), [(0.0, 1.0), (1.0, 2.0)])
def test_as_published_the_online_network_is_the_agent_and_otherwise_the_target(cnn, temperature, learnt):
    training = replace(APPEND_AGENT, temperature=temperature, soft_values=bool(temperature))
    config = AppendConfig(num_envs=2, width=4)
    learner = append_learner(cnn, toy_loops(), NOTHING, training, config)
    for network, number in ((learner.network, 1.0), (learner.target_network, 2.0)):
        for weights in network.parameters():
            weights.data.fill_(number)
    agent = taught_agent(learner, cnn, config)
    assert all((weights == learnt).all() for weights in agent.network.parameters())


def test_an_agent_needs_something_to_be_rewarded_by():
    with pytest.raises(ValueError, match="nothing to be rewarded by"):
        AppendConfig(percussion=0.0, critic=0.0)


# the commands


def tune(*arguments, check=True):
    done = run(*arguments, module="rl_tuner", cwd=ROOT)
    assert not check or done.returncode == 0, done.stderr
    return done


def toy_corpus(path):
    """Four bars of each of 40 songs of a source called groove, with velocities."""
    rng = np.random.default_rng(0)
    bars = rng.random((160, 16, 12)) < 0.2
    bars[:, 0, 0] = True
    velocities = np.where(bars, rng.integers(1, 128, bars.shape), 0)
    song = np.repeat(np.arange(40), 4)
    corpus = played_corpus(bars, velocities, song.tolist(), np.tile(np.arange(4), 40).tolist())
    corpus = replace(corpus, files=tuple(f"groove/{name}" for name in corpus.files))
    save_corpus(path, corpus)


def test_a_cnn_and_an_agent_are_trained_and_play_by_commands(tmp_path):
    toy_corpus(tmp_path / "corpus.npz")
    trained = run(
        *("train", "note-cnn", "--data", tmp_path / "corpus.npz", "--out", tmp_path / "cnn", "--train-steps", 60),
        *("--width", 4, "--quiet", "--accelerator", "cpu"),
        cwd=ROOT,
    )
    assert trained.returncode == 0, trained.stderr
    assert "rl-tuner train --env append" in trained.stdout
    weights = tmp_path / "cnn" / "note-cnn.safetensors"
    cnn = load_note_cnn(weights)
    cnn = random_cnn(replace(cnn.config, n_openings=3))  # songs of noise share no opening
    save_note_cnn(weights, cnn, {})
    common = ["train", "--env", "append", "--data", tmp_path / "corpus.npz", "--weights", weights, "--quiet"]
    done = tune(*common, "--out", tmp_path / "agent", "--train-steps", 3000, "--as-published", "--eps", 0.3)
    agent = tmp_path / "agent" / "append-agent.safetensors"
    assert f"next: rl-tuner append --agent {agent} --weights {weights}" in done.stdout
    assert load_append_agent(agent, cnn).config.temperature == 0
    done = tune("append", "--agent", agent, "--weights", weights, "--n", 3, "--seed", 4, "--out", tmp_path / "loops")
    assert "loop-000004.mid" in done.stdout
    for seed, loop in zip((4, 5, 6), load_append_agent(agent, cnn).sample(3, 4), strict=True):
        midi = mido.MidiFile(tmp_path / "loops" / f"loop-{seed:06d}.mid")
        onsets, now = [], 0
        for message in mido.merge_tracks(midi.tracks):
            now += message.time
            if message.type == "note_on" and message.velocity:
                assert message.channel == 9
                onsets.append((now * 4 // midi.ticks_per_beat, message.note))
        steps, parts = np.nonzero(loop.reshape(32, 9))
        assert sorted(onsets) == sorted(zip(steps.tolist(), ROLAND10.pitches[parts].tolist(), strict=True))
    wrong = tune(*common, "--out", tmp_path / "x", "--prior", "prior", check=False)
    assert wrong.returncode == 2
    assert "--prior is no option of --env append" in wrong.stderr


def test_the_command_writes_loops_of_the_bundled_weights(tmp_path, capsys):
    def made(*options):
        status = rl_tuner.cli.main(["append", *options, "--json"])
        out, error = capsys.readouterr()
        assert (status, error) == (0, "")
        said = json.loads(out)
        with np.load(Path(said["out"]) / "loops.npz") as saved:
            return said, dict(saved)

    said, arrays = made("--n", "3", "--seed", "7", "--out", str(tmp_path / "tuned"))
    assert (said["by"], said["kit"], said["seed"]) == ("tuned", "roland10", 7)
    assert said["files"]["midi"] == [f"loop-{seed:06d}.mid" for seed in (7, 8, 9)]
    np.testing.assert_array_equal(arrays["bars"], loops(3, 7))
    assert arrays["seed"].tolist() == [7, 8, 9]
    assert str(arrays["kit"]) == "roland10"
    assert json.loads((tmp_path / "tuned" / "report.json").read_text(encoding="utf-8"))["by"] == "tuned"
    said, arrays = made("--n", "2", "--kind", "untuned", "--kit", "gm9", "--out", str(tmp_path / "gm9"))
    untuned = loops_of_kind("untuned", 2)
    order = [ROLAND10.part_of_pitch[pitch] for pitch in GM9.pitches]
    np.testing.assert_array_equal(arrays["bars"], untuned[..., order])
    said, arrays = made("--n", "2", "--kind", "untuned", "--kit", "jaki5", "--out", str(tmp_path / "jaki"))
    assert arrays["bars"].sum() == untuned.sum()
    own = tmp_path / "own"
    own.mkdir()
    (own / "loop.mid").write_bytes(b"mine")
    assert rl_tuner.cli.main(["append", "--n", "1", "--out", str(own)]) == 2
    assert "holds loop.mid, which no earlier call wrote" in capsys.readouterr().err
    assert (own / "loop.mid").read_bytes() == b"mine"
    # fewer loops than before: nothing of the earlier call is left
    made("--n", "1", "--seed", "7", "--out", str(tmp_path / "tuned"))
    assert sorted(path.name for path in (tmp_path / "tuned").glob("*.mid")) == ["loop-000007.mid"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kind", "best"], "loops are of one of tuned, untuned, eps-0.01"),
        (["--kind", "tuned", "--agent", "x"], "leave it out with --agent"),
        (["--weights", "x"], "give both"),
        (["--agent", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--seed", "-1"], "seeds are whole numbers"),
        (["--n", "4097"], "1 to 4,096 loops can be made, not 4097"),
    ],
)
def test_the_command_refuses_in_one_line(options, said, tmp_path, capsys):
    assert rl_tuner.cli.main(["append", *options, "--out", str(tmp_path / "x")]) == 2
    _, error = capsys.readouterr()
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


# the bundled weights


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_one_seed_begin_alike_and_differ_later(kind):
    made, untuned = loops_of_kind(kind, 40, 5), loops_of_kind("untuned", 40, 5)
    assert made.shape == (40, 2, 16, 9)
    assert made.sum(-1).max() == 1
    np.testing.assert_array_equal(made[:, 0, :8], untuned[:, 0, :8])
    assert (made == untuned).all() == (kind == "untuned")
    np.testing.assert_array_equal(loops_of_kind(kind, 2, 10), made[5:7])


def test_kinds_are_named():
    assert KINDS == ("tuned", "untuned", "eps-0.01", "eps-0.05", "eps-0.1", "eps-0.3", "eps-0.5")
    assert kind_of(0.3) == "eps-0.3"
    with pytest.raises(ValueError, match="loops are of one of tuned"):
        loops_of_kind("real", 1)


def test_the_bundled_files_are_small():
    folder = ROOT / "rhythmgan" / "weights"
    for name in ("note-cnn", "append-agent", "append-published"):
        assert (folder / f"{name}.safetensors").stat().st_size <= 1 << 20
