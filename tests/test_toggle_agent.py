"""Agents that toggle and that answer: what they draw, their files, their training, and what the bundled ones can."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rhythmgan.kit import GM12
from rhythmgan.models.answer_net import AnswerNet
from rhythmgan.models.config import AnswerConfig
from rhythmgan.models.weights import bundled, read_metadata
from rhythmgan.performance import Performance
from rl_tuner.config import (
    ANSWER_AGENT,
    LIVE_ENV,
    PUBLISHED_TOGGLE,
    DQNConfig,
    PairCriticConfig,
    ToggleEnvConfig,
    shortened,
)
from rl_tuner.dqn import policy
from rl_tuner.envs.toggle import ToggleVectorEnv
from rl_tuner.toggle import toggler
from rl_tuner.toggle.agent import (
    AnswerAgent,
    AnswerAgentConfig,
    answer,
    draw_answers,
    load_answer_agent,
    observe,
    save_answer_agent,
)
from rl_tuner.toggle.loops import answer_loop
from rl_tuner.toggle.terms import Terms
from rl_tuner.toggle.toggler import ToggleAgent, ToggleAgentConfig, load_toggle_agent, play, save_toggle_agent
from rl_tuner.tune.toggle import (
    answer_envs,
    judge_of,
    reference_of,
    train_answer_agent,
    train_critic,
    train_toggle_agent,
)

pytestmark = pytest.mark.usefixtures("one_thread")

KICK = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], bool)
BACKBEAT = np.arange(16) % 8 == 4


def small_net(seed=0):
    torch.manual_seed(seed)
    return AnswerNet(AnswerConfig(width=16)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net(one_thread):
    return small_net()


@pytest.fixture(scope="module")
def agent(net):
    torch.manual_seed(1)
    agent = AnswerAgent(AnswerAgentConfig(net.fingerprint, width=16, critic_width=16), net)
    torch.nn.init.normal_(agent.network.advantage.weight, std=0.3)
    return agent.eval().requires_grad_(False)


def kicks(n, seed=0):
    lines = np.random.default_rng(seed).random((n, 16)) < 0.3
    lines[:, 0] |= ~lines.any(1)
    return lines


# Toggling


class Flipper(ToggleAgent):
    """It toggles the first step that is equal to the kick, as its own observations say."""

    def act(self, observations):
        given, lines = observations[:, :8] > 0.5, observations[:, 8:16] > 0.5
        return (given == lines).float().argmax(1)


def test_a_played_episode_by_hand():
    played = play(Flipper(ToggleAgentConfig()), KICK[0], KICK, moves=3)
    assert played.scores.tolist() == [-1, -0.75, -0.5, -0.25]
    assert played.terms["difference"].tolist() == played.scores.tolist()
    assert played.lines[:, 0].astype(int).tolist() == [
        [1, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0, 1, 0, 0, 1, 0, 0, 0],
        [0, 1, 1, 0, 1, 0, 0, 0],
    ]


def test_lines_of_fewer_steps_are_stretched_to_the_agents():
    agent = ToggleAgent(ToggleAgentConfig(resolution=16, no_op=True)).eval()
    played = play(agent, KICK[0], KICK, moves=6)
    assert played.lines.shape == (7, 1, 16)
    assert not played.lines[:, 0, 1::2].any()  # between its steps nothing is toggled
    assert ((played.lines[1:] ^ played.lines[:-1]).sum((1, 2)) <= 1).all()
    with pytest.raises(ValueError, match="does not fit"):
        play(agent, np.zeros(32, bool), np.zeros((1, 32), bool))


def test_terms_that_the_agent_does_not_know():
    agent = ToggleAgent(ToggleAgentConfig())
    with pytest.raises(ValueError, match="no term 'density'; it knows difference"):
        play(agent, KICK[0], KICK, importance={"density": 1.0})


def test_an_agent_that_sees_gains_begins_with_the_largest():
    agent = ToggleAgent(ToggleAgentConfig(resolution=16, no_op=True, terms=("complexity",), gains=True)).eval()
    line = np.random.default_rng(0).random((1, 16)) < 0.5
    played = play(agent, BACKBEAT, line, moves=6)
    scores = played.scores

    def score(lines):
        return float(Terms(("complexity",), 16)(torch.from_numpy(BACKBEAT)[None], lines[None], torch.tensor([16])))

    for before, after in itertools.pairwise(scores.tolist()):
        assert after >= before
    toggles = torch.eye(16, dtype=torch.bool)[:, None]
    best = max(score(torch.from_numpy(line) ^ toggle) for toggle in toggles)
    assert scores[1] == pytest.approx(max(best, scores[0]), abs=1e-6)


@pytest.mark.parametrize("steps", [8, 12, 100, 512])
def test_an_agent_of_512_cells_plays_shorter_lines_too(steps):
    agent = ToggleAgent(ToggleAgentConfig(resolution=512, no_op=True, gains=True, width=8)).eval()
    line = np.random.default_rng(steps).random(steps) < 0.5
    scores = play(agent, line, line[None], moves=steps + 1).scores
    assert scores == pytest.approx([*(2 * move / steps - 1 for move in range(steps + 1)), 1.0], abs=1e-5)


def test_a_file_holds_the_toggling_agent(tmp_path):
    torch.manual_seed(3)
    agent = ToggleAgent(ToggleAgentConfig(resolution=12, n_lines=2, no_op=True, terms=("difference", "complexity")))
    path = tmp_path / "agent.safetensors"
    save_toggle_agent(path, agent, {})
    again = load_toggle_agent(path)
    assert again.config == agent.config
    seen = torch.rand(5, 3 * 12 + 3)
    assert torch.equal(again.act(seen), agent.eval().act(seen))
    with pytest.raises(ValueError, match="no weights of an agent that toggles lines"):
        load_toggle_agent(bundled("answer.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 4}, "8 to 512"),
        ({"n_lines": 9}, "1 to 8 lines answer, not 9"),
        ({"terms": ("difference", "fun")}, "no term is called 'fun'; there are difference"),
    ],
)
def test_toggling_agents_out_of_shape(options, message):
    with pytest.raises(ValueError, match=message):
        ToggleAgentConfig(**options)


def test_training_leaves_an_agent_and_resumes(tmp_path):
    training = shortened(replace(PUBLISHED_TOGGLE, train_steps=600, buffer_size=400))
    env = ToggleEnvConfig(num_envs=8, moves=8)
    path = train_toggle_agent(tmp_path / "run", training, env)
    assert load_toggle_agent(path).config == ToggleAgentConfig()
    assert int(json.loads(read_metadata(path)["provenance"])["trained_steps"]) >= 600
    before = path.read_bytes()
    assert train_toggle_agent(tmp_path / "run", training, env).read_bytes() == before  # nothing is left to learn
    with pytest.raises(ValueError, match="another moves"):
        train_toggle_agent(tmp_path / "run", training, replace(env, moves=9))


# The bundled toggling agent


def test_the_bundled_agent_plays_both_scenarios_and_knows_when_to_stop():
    agent = load_toggle_agent()
    assert agent.config.terms == LIVE_ENV.terms
    assert bundled("toggle-agent.safetensors").stat().st_size < 1_000_000
    best = play(agent, KICK[0], ~KICK, moves=10)
    assert best.scores.tolist() == [1.0] * 11  # with a no-op it does not oscillate
    worst = play(agent, KICK[0], KICK, moves=10)
    assert worst.scores.tolist() == [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1, 1]


def test_importance_turns_the_bundled_agent_live():
    """From the same ten starts, more of a term or less of it: the sums of what comes out lie far apart."""
    agent = load_toggle_agent()
    rng = np.random.default_rng(0)
    starts = [(rng.random(16) < 0.3, rng.random((1, 16)) < 0.4) for _ in range(10)]
    for term in ("complexity", "density"):
        more, less = (
            sum(play(agent, *start, moves=16, importance={term: sign}).terms[term][-1] for start in starts)
            for sign in (1.0, -1.0)
        )
        assert more - less > 5, term  # of 20


# Answering


def test_an_untaught_agent_is_its_reference(net):
    agent = AnswerAgent(AnswerAgentConfig(net.fingerprint, width=8, critic_width=8), net)
    given, begun = torch.from_numpy(kicks(20)), torch.zeros(20, 16, dtype=torch.bool)
    assert torch.allclose(agent.next_log_prob(given, begun), net.next_log_prob(given, begun), atol=1e-6)


def test_what_comes_next_is_the_reference_times_e_to_the_value(agent, net):
    given, begun = torch.from_numpy(kicks(5)), torch.zeros(5, 16, dtype=torch.bool)
    begun[:, 3] = True
    reference = net.next_log_prob(given, begun)
    expected = (reference + agent.network(observe(given, begun))).log_softmax(1)
    found = agent.next_log_prob(given, begun)
    assert torch.isinf(found[:, :4]).all()
    assert torch.allclose(found[:, 4:], expected[:, 4:], atol=1e-5)


def test_answers_are_drawn_by_the_chances_of_the_model(net):
    kick = np.zeros((4000, 16), bool)
    kick[:, 0] = True
    drawn = draw_answers(net, kick, np.arange(4000))
    lines, count = np.unique(drawn, axis=0, return_counts=True)
    assert drawn.any(1).all()
    # onsets on each step as often as by ancestral chances, found by another way: all two-step beginnings
    first = drawn.argmax(1)
    chances = net.next_log_prob(torch.from_numpy(kick[:1]), torch.zeros(1, 16, dtype=torch.bool))[0].exp()
    share = np.bincount(first, minlength=16) / 4000
    assert np.abs(share - chances[:16].numpy()).max() < 0.03
    common = lines[count.argmax()]
    expected = float(net.log_prob(kick[:1], common[None]).exp()[0])
    assert count.max() / 4000 == pytest.approx(expected, abs=0.02)


def test_an_answer_is_a_function_of_its_line_and_its_seed(agent):
    given = kicks(30)
    seeds = np.arange(30)
    drawn = agent.draw(given, seeds)
    assert (agent.draw(given[7:9], seeds[7:9]) == drawn[7:9]).all()
    assert (agent.draw(given, seeds + 100) != drawn).any()
    one = answer(np.stack([given[0], given[1], given[0]]), seed=4, agent=agent)
    assert (one[0] == one[2]).all()
    assert (answer(given, seeds, agent) == drawn).all()


def test_what_has_no_onset_has_no_answer(agent):
    given = kicks(3)
    given[1] = False
    assert answer(given, 0, agent).any(1).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("kick", "options", "message"),
    [
        (np.zeros((1, 8), bool), {}, r"lines \(n, 16\) bool"),
        (np.zeros((1, 16)), {}, "float64"),
        (kicks(1), {"seed": -1}, "seeds are"),
        (kicks(1), {"importance": {"fun": 1.0}}, "no term is called 'fun'"),
        (kicks(1), {"importance": {"density": 2.0}}, "−1 … 1"),
    ],
)
def test_what_cannot_be_answered(agent, kick, options, message):
    with pytest.raises(ValueError, match=message):
        answer(kick, agent=agent, **options)


def test_importance_moves_the_answers(agent):
    given = kicks(60)
    onsets = {weight: answer(given, np.arange(60), agent, {"density": weight}).sum() for weight in (-1.0, 0.0, 1.0)}
    assert onsets[-1.0] < 0.8 * onsets[0.0]
    assert onsets[1.0] > 1.2 * onsets[0.0]
    assert onsets[0.0] == answer(given, np.arange(60), agent).sum()


def test_a_file_holds_the_answering_agent_without_its_reference(agent, net, tmp_path):
    path = tmp_path / "agent.safetensors"
    save_answer_agent(path, agent, {})
    again = load_answer_agent(path, net)
    given = kicks(10)
    assert (again.draw(given, np.arange(10)) == agent.draw(given, np.arange(10))).all()
    assert {name.partition(".")[0] for name in again.state_dict()} == {"network", "critic"}
    with pytest.raises(ValueError, match="the agent of another reference"):
        load_answer_agent(path)
    with pytest.raises(ValueError, match="the agent of another reference"):
        load_answer_agent(path, small_net(5))


# Training to answer


def test_a_critic_learns_what_songs_do_and_answers_do_not(net):
    """Songs answer on the backbeat only."""
    given = kicks(300)
    pairs = np.stack([given, np.broadcast_to(BACKBEAT, given.shape)], 1)
    critic = train_critic(net, pairs, pairs, PairCriticConfig(train_steps=200, batch_size=64), 32)
    judge = judge_of(critic)
    real = judge(torch.from_numpy(given), torch.from_numpy(pairs[:, 1:]))
    made = judge(torch.from_numpy(given), torch.from_numpy(draw_answers(net, given, np.arange(300)))[:, None])
    assert float(real.mean()) > 1
    assert float(made.mean()) < -1


def test_an_agent_answers_as_its_critic_likes_it(net, tmp_path):
    """Songs play a snare on step 4 in all answers, the reference rarely: the agent does almost always."""
    given = kicks(200)
    answers = draw_answers(net, given, np.arange(200))
    answers[:, 4] = True
    pairs = np.stack([given, answers], 1)
    training = DQNConfig(
        train_steps=30_000,
        batch_size=256,
        gradient_steps=2,
        n_step=1,
        gamma=1.0,
        temperature=1.0,
        soft_values=True,
        learning_rate=2e-3,
        tau=0.05,
        buffer_size=20_000,
        learning_starts=1000,
        eps_start=0.3,
        eps_end=0.1,
    )
    critic = PairCriticConfig(train_steps=300, batch_size=64)
    path = train_answer_agent(net, pairs, pairs, tmp_path / "run", training, critic, num_envs=64, width=64)
    agent = load_answer_agent(path, net)
    before = draw_answers(net, given, 1000 + np.arange(200))[:, 4].mean()
    after = agent.draw(given, 1000 + np.arange(200))[:, 4].mean()
    assert before < 0.5
    assert after > 0.85
    facts = json.loads(read_metadata(path)["provenance"])
    assert facts["trained_pairs"] == "200"
    with pytest.raises(ValueError, match="another train steps"):
        train_answer_agent(net, pairs, pairs, tmp_path / "run", training, PairCriticConfig(), num_envs=64, width=64)


def test_a_stopped_run_goes_on_with_its_critic(net, tmp_path, monkeypatch):
    given = kicks(60)
    pairs = np.stack([given, np.roll(given, 4, 1)], 1)
    training = shortened(replace(ANSWER_AGENT, train_steps=800, batch_size=32, buffer_size=600))
    critic = PairCriticConfig(train_steps=20, batch_size=16)

    def stop(done, total, phase):
        if done > 300:
            raise KeyboardInterrupt

    def train(**options):
        return train_answer_agent(net, pairs, pairs, tmp_path / "run", training, critic, num_envs=8, width=8, **options)

    with pytest.raises(KeyboardInterrupt):
        train(progress=stop)
    first = load_answer_agent(tmp_path / "run" / "answer-agent.safetensors", net)
    monkeypatch.setattr("rl_tuner.tune.toggle.train_critic", None)  # it is not taught again
    resumed = load_answer_agent(train(), net)
    for name, tensor in first.critic.state_dict().items():
        assert torch.equal(resumed.critic.state_dict()[name], tensor)
    with pytest.raises(ValueError, match=r"pairs \(n, 2, 16\) bool"):
        train_answer_agent(net, pairs[:, :, :8], pairs, tmp_path / "other", training)


def test_environment_and_reference_agree_on_what_may_be_done(net):
    envs = answer_envs(
        net, kicks(50), train_critic(net, *[np.stack([kicks(30)] * 2, 1)] * 2, PairCriticConfig(2), 8), 40
    )
    reference = reference_of(net)
    seen, _ = envs.reset(seed=0)
    for _ in range(6):
        observations = torch.from_numpy(seen)
        mask = envs.mask(observations)
        chances = reference(observations)
        assert torch.equal(torch.isfinite(chances), mask)
        actions = torch.multinomial(policy(torch.zeros_like(chances), 1.0, chances, mask).exp(), 1)[:, 0]
        seen, *_ = envs.step(actions.numpy())


# The bundled answering agent


def test_the_bundled_agent_answers_with_backbeats():
    agent = load_answer_agent()
    assert bundled("answer-agent.safetensors").stat().st_size < 1_000_000
    kick = np.zeros((500, 16), bool)
    kick[:, [0, 8]] = True
    answers = answer(kick, np.arange(500), agent)
    share = answers.mean(0)
    assert share[4] > 0.6
    assert share[12] > 0.6
    assert share[[1, 3, 5, 9, 11, 13]].max() < 0.25


# Loops


def loop_of(*lines, kit=GM12):
    bars = np.zeros((len(lines), 16, kit.n_parts), bool)
    for bar, parts in zip(bars, lines, strict=True):
        for part, onsets in parts.items():
            bar[list(onsets), kit.names.index(part)] = True
    return Performance.of(bars, kit)


def test_only_the_answer_of_a_loop_changes(agent):
    backbeat = {"kick": [0, 8], "snare": [4, 12], "closed hat": [0, 4, 8, 12]}
    loop = loop_of(backbeat, {"kick": [3], "ride": [0]}, {"snare": [2], "crash": [0]}, backbeat)
    versions = answer_loop(loop, 3, agent, seed=2)
    assert versions.shape == (3, 4, 16, 12)
    others = [part for part in range(12) if part != 1]
    assert (versions[..., others] == loop.bars[..., others]).all()
    assert (versions[:, 2] == loop.bars[2]).all()  # nothing to answer
    assert (versions[:, 0] == versions[:, 3]).all()  # equal bars stay equal
    assert versions[:, [0, 1, 3], :, 1].any(2).all()
    assert (answer_loop(loop, 1, agent, seed=3)[0] == versions[1]).all()
    assert (versions[0] != versions[1]).any()
    many, fewer = (answer_loop(loop, 60, agent, 2, {"density": weight}).sum() for weight in (0.0, -1.0))
    assert fewer < many


@pytest.mark.parametrize(
    ("loop", "n", "message"),
    [
        (loop_of({"snare": [4]}), 1, "has a kick to answer"),
        (loop_of(*[{"kick": [0]}] * 400), 1, "400"),
        (loop_of({"kick": [0]}), 0, "versions"),
        (Performance.of(np.ones((1, 12, 12), bool), GM12), 1, "16 steps"),
    ],
)
def test_loops_that_cannot_be_answered(agent, loop, n, message):
    with pytest.raises(ValueError, match=message):
        answer_loop(loop, n, agent)


def test_play_uses_the_environment_of_the_agent(monkeypatch):
    made = []

    class Recorded(ToggleVectorEnv):
        def __init__(self, *arguments, **options):
            made.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(toggler, "ToggleVectorEnv", Recorded)
    play(ToggleAgent(ToggleAgentConfig(resolution=16, terms=("density", "balance"))).eval(), BACKBEAT, BACKBEAT[None])
    assert made[0]["terms"] == ("density", "balance")
    assert made[0]["no_op"] is False
