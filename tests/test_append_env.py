"""Loops to which notes are appended as an environment: Gymnasium's rules, what is seen, what is paid."""

import inspect

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rhythmgan.draw import bar_to_text
from rhythmgan.kit import GM12, JAKI5, ROLAND10
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN
from rl_tuner.envs import APPEND
from rl_tuner.envs.append import AppendEnv, AppendVectorEnv

pytestmark = pytest.mark.usefixtures("one_thread")

NOTES = Alphabet.of_notes(ROLAND10)
OPENINGS = np.array([[1, 0, 7, 0, 2, 0, 7, 0], [1, 0, 0, 0, 2, 0, 0, 9]])


def newest(tokens):
    """A reward to count by: the number of the newest token."""
    return tokens[:, -1].float()


def count(tokens):
    return torch.full((len(tokens),), float(tokens.shape[1]))


TERMS = {"newest": newest, "count": count}


def env(**options):
    return AppendEnv(NOTES, OPENINGS, TERMS, **options)


def batch(num_envs=3, **options):
    return AppendVectorEnv(NOTES, OPENINGS, TERMS, num_envs=num_envs, **options)


# Gymnasium's rules


def test_gymnasiums_own_check_finds_nothing():
    check_env(env(render_mode="ansi"), skip_render_check=True)
    check_env(env(), skip_render_check=True)
    words = Alphabet.of_words(JAKI5, np.array([0, 16, 3]))
    check_env(AppendEnv(words, np.zeros((1, 0), int), TERMS), skip_render_check=True)


def test_the_sheet_has_gymnasiums_headings():
    headings = [line for line in inspect.getdoc(AppendEnv).splitlines() if line.startswith("## ")]
    names = ["Action space", "Observation space", "Rewards", "Starting state", "Episode end", "Arguments"]
    assert headings == [f"## {name}" for name in names]


def test_it_is_found_by_its_name():
    made = gymnasium.make(f"rl_tuner.envs:{APPEND}", alphabet=NOTES, openings=OPENINGS, terms=TERMS, chances=None)
    assert made.action_space == gymnasium.spaces.Discrete(10)
    assert made.observation_space.shape == (320,)
    check_env(made.unwrapped)
    envs = gymnasium.make_vec(f"rl_tuner.envs:{APPEND}", num_envs=4, openings=OPENINGS, terms=TERMS, chances=None)
    assert isinstance(envs.unwrapped, AppendVectorEnv)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP


def test_the_bundled_environment_pays_log_probabilities_of_the_bundled_cnn():
    from rhythmgan.models.catalogue import load_note_model

    cnn = load_note_model()
    made = gymnasium.make(f"rl_tuner.envs:{APPEND}")
    made.reset(seed=4)
    tokens = made.unwrapped.batch._tokens.clone()
    paid = [made.step(action)[1] for action in (7, 0, 2, 3)]
    notes = np.zeros((1, 32), int)
    notes[0, :8], notes[0, 8:12] = tokens[0], (7, 0, 2, 3)
    assert paid == pytest.approx(cnn.log_prob(notes)[0, :4].tolist(), abs=1e-5)
    assert tokens[0].tolist() in cnn.openings.tolist()


def test_one_episode_is_a_batch_of_one_and_pays_the_sum_of_its_terms():
    one, many = env(coefs={"newest": 2.0, "count": -0.5}), batch(1, coefs={"newest": 2.0, "count": -0.5})
    seen, info = one.reset(seed=2)
    rows, _ = many.reset(seed=2)
    np.testing.assert_array_equal(seen, rows[0])
    assert info == {"terms": {"newest": 0, "count": 0}}
    for step in range(24):
        action = (3 * step + 1) % 10
        seen, reward, terminated, truncated, info = one.step(np.int64(action))
        rows, rewards, _, _, _ = many.step(np.array([action]))
        np.testing.assert_array_equal(seen, rows[0])
        assert reward == rewards[0] == 2 * action - 0.5 * (9 + step)
        assert info["terms"] == {"newest": action, "count": 9 + step}
        assert (terminated, truncated) == (step == 23, False)
        assert ("loop" in info) == terminated
    assert info["loop"].shape == (2, 16, 9)
    assert info["loop"].sum() == np.count_nonzero(many._tokens)


# what is seen


def test_the_window_ends_with_the_newest_note():
    """By hand: opening 1, then a crash; ten numbers for each of 32 steps."""
    envs = batch(2)
    seen, _ = envs.reset(options={"given": OPENINGS[[1, 0]]})
    assert seen.dtype == np.float32
    where = np.argwhere(seen[0].reshape(32, 10)).tolist()
    assert where == [[24, 1], [25, 0], [26, 0], [27, 0], [28, 2], [29, 0], [30, 0], [31, 9]]
    seen, *_ = envs.step(np.array([8, 0]))
    where = np.argwhere(seen[0].reshape(32, 10)).tolist()
    assert where == [[23, 1], [24, 0], [25, 0], [26, 0], [27, 2], [28, 0], [29, 0], [30, 9], [31, 8]]
    assert seen in envs.observation_space


def test_words_are_seen_as_parts():
    """Words of jaki's five parts: kick and toms together; silence; snare."""
    words = Alphabet.of_words(JAKI5, np.array([17, 0, 8]))
    assert words.symbols.tolist() == [[1, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]]
    envs = AppendVectorEnv(words, np.zeros((1, 0), int), {"newest": newest}, num_envs=1)
    seen, _ = envs.reset(seed=0)
    assert seen.shape == (1, 32 * 6)
    assert not seen.any()
    for action in [0, 2] + [1] * 29 + [0]:
        seen, _, ended, _, info = envs.step(np.array([action]))
    assert seen[0, :12].tolist() == [1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0]
    assert ended.all()
    assert np.argwhere(info["loop"][0]).tolist() == [[0, 0, 0], [0, 0, 4], [0, 1, 1], [1, 15, 0], [1, 15, 4]]


@pytest.mark.parametrize("words", [[3], [1, 1], [[0, 1]], [0, 32]])
def test_an_alphabet_that_is_none_is_refused(words):
    with pytest.raises(ValueError, match=r"two words at least|words of 5 parts"):
        Alphabet.of_words(JAKI5, np.array(words))


def test_notes_are_silence_and_the_parts():
    assert NOTES.words.tolist() == [0, 256, 128, 64, 32, 16, 8, 4, 2, 1]
    bars = NOTES.bars(np.array([[0, 1, 9, 2]]), 16)
    assert bars.shape == (1, 1, 16, 9)
    assert np.argwhere(bars[0, 0]).tolist() == [[1, 0], [2, 8], [3, 1]]
    assert Alphabet.of_notes(GM12).words[:3].tolist() == [0, 2048, 1024]


def test_it_is_drawn_as_text():
    envs = batch(1, render_mode="ansi")
    assert envs.render() is None
    envs.reset(options={"given": OPENINGS[:1]})
    first = np.zeros((16, 9), bool)
    first[[0, 4], [0, 1]] = first[[2, 6], 6] = True
    assert envs.render() == (bar_to_text(first, ROLAND10),)
    for _ in range(9):
        envs.step(np.array([5]))
    first[8:, 4] = True
    second = np.zeros((16, 9), bool)
    second[0, 4] = True
    assert envs.render() == (f"{bar_to_text(first, ROLAND10)}\n{bar_to_text(second, ROLAND10)}",)
    assert batch().render() is None


# episodes


def test_loops_that_are_whole_begin_anew_with_the_next_step_whatever_its_action():
    def run(ignored):
        envs = batch(4)
        envs.reset(seed=1)
        for _ in range(24):
            seen, rewards, ended, truncated, _ = envs.step(np.full(4, 2))
        assert ended.all()
        assert not truncated.any()
        seen, rewards, ended, _, info = envs.step(np.full(4, ignored))
        assert not rewards.any()
        assert not ended.any()
        assert "loop" not in info
        assert (seen.reshape(4, 32, 10).sum((1, 2)) == 8).all()
        return seen

    np.testing.assert_array_equal(run(0), run(9))


def test_same_seed_same_beginnings_by_their_chances():
    envs = batch(2000, chances=[0.2, 0.8])
    first, _ = envs.reset(seed=3)
    again, _ = envs.reset()
    np.testing.assert_array_equal(batch(2000, chances=[0.2, 0.8]).reset(seed=3)[0], first)
    assert (first != again).any()
    assert first[:, -1].mean() == pytest.approx(0.8, abs=0.03)  # 3 standard errors; opening 1 ends with a ride


def test_the_reference_is_what_is_known_of_the_next_note():
    envs = batch(2)
    seen = torch.zeros(3, 320)
    torch.testing.assert_close(envs.reference(seen), torch.full((3, 10), -np.log(10.0)))
    known = batch(2, known=lambda seen: torch.tensor([[0.0, np.log(3.0)] + [-np.inf] * 8]).expand(len(seen), 10))
    assert known.reference(seen).exp()[2].tolist() == pytest.approx([0.25, 0.75] + [0] * 8)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"openings": np.zeros((0, 8), int)}, "expected openings"),
        ({"openings": np.zeros((2, 32), int)}, "expected openings"),
        ({"openings": np.full((2, 8), 10)}, "tokens lie in 0 … 9"),
        ({"terms": {}}, "a term at least"),
        ({"coefs": {"newest": 1.0}}, "a coefficient for each of newest, count"),
        ({"chances": [1.0]}, r"expected chances \(2,\)"),
        ({"chances": [[0.5, 0.5]]}, r"expected chances \(2,\)"),
        ({"chances": [0.5, 0.2, 0.3]}, r"expected chances \(2,\)"),
        ({"chances": [1.5, -0.5]}, "0 or more"),
        ({"chances": [1.0, np.nan]}, "finite"),
        ({"chances": [1.0, np.inf]}, "finite"),
        ({"chances": [0.0, 0.0]}, "one at least above 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        AppendVectorEnv(**{"alphabet": NOTES, "openings": OPENINGS, "terms": TERMS} | wrong)


def test_actions_and_options_that_do_not_fit_are_refused():
    envs = batch(2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(2, int))
    envs.reset(seed=0)
    for actions in (np.zeros(3, int), np.array([0, 10]), np.array([-1, 0])):
        with pytest.raises(ValueError, match="expected 2 actions from 0 to 9"):
            envs.step(actions)
    for options, said in (
        ({"notes": 1}, "no option is called 'notes'"),
        ({"given": np.zeros((3, 8))}, r"expected tokens \(2, t\)"),
        ({"given": np.zeros((2, 32))}, "t below 32"),
        ({"given": np.full((2, 4), 11)}, "tokens lie in"),
    ):
        with pytest.raises(ValueError, match=said):
            envs.reset(options=options)


# learners


def test_our_learner_finds_the_dearest_note():
    """The ride pays 9 each time: after a few thousand steps nothing else is played."""
    envs = batch(16)
    config = DQNConfig(
        train_steps=6000, batch_size=128, n_step=1, gamma=0.5, learning_starts=500, buffer_size=5000, seed=1
    )
    dqn = DQN(envs, config)
    dqn.learn()
    seen, _ = envs.reset(seed=5)
    assert (dqn.act(torch.from_numpy(seen), 0.0) == 9).all()


def test_other_peoples_agent_trains_on_it():
    theirs = pytest.importorskip("stable_baselines3")
    model = theirs.DQN(
        "MlpPolicy",
        env(),
        learning_starts=50,
        buffer_size=400,
        batch_size=16,
        policy_kwargs={"net_arch": [16]},
        seed=0,
        device="cpu",
    )
    model.learn(200)
    assert model.num_timesteps == 200
