"""Polyphony: which words may be appended, what each is worth, and that an agent comes to play as the prior does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import JAKI5
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.config import APPEND_AGENT, AppendConfig
from rl_tuner.tune.append_words import common_words, draw_loops, word_log_prob_term, words_learner

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = Alphabet.of_words(JAKI5, np.array([0, 16, 9]))


class Metronome:
    """A prior by hand: 16 with a chance of .7 on beats and of .1 elsewhere, silence likewise the other way; 9 is .2."""

    kit, steps = JAKI5, 16

    def step_log_prob(self, bars, previous=None):
        words = torch.from_numpy(bars_to_words(np.asarray(bars)).astype(np.int64))
        is_beat = torch.arange(16) % 4 == 0
        found = torch.full(words.shape, 0.2)
        found[(words == 16) & is_beat] = found[(words == 0) & ~is_beat] = 0.7
        found[(words == 0) & is_beat] = found[(words == 16) & ~is_beat] = 0.1
        return found.log()


def test_common_words_are_those_that_songs_play_most_each_song_the_same():
    """Song 0: two bars of 3. Song 1: one bar, half of it 5, a quarter 1, a quarter 3 and 6."""
    words = np.full((3, 16), 3, np.uint16)
    words[2] = [5] * 8 + [1] * 4 + [3] * 2 + [6] * 2
    song = np.array([0, 0, 1])
    corpus = Corpus.of(words, song, song, np.array([0, 1, 0]), ("a", "b"), ("a", "b"), JAKI5)
    alphabet, coverage = common_words(corpus, 3)
    assert alphabet.words.tolist() == [3, 5, 1]
    assert coverage == pytest.approx((1 + 0.5 + 0.25 + 0.125) / 2)


def test_a_word_is_worth_its_log_probability_after_the_bar_so_far_and_the_bar_before():
    """Three words: a guess costs log 3."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        prior = WordLSTM(WordLSTMConfig(kit="jaki5", width=8, word_width=8)).eval().requires_grad_(False)
    tokens = torch.randint(3, (4, 32), generator=torch.Generator().manual_seed(0))
    bars = words_to_bars(WORDS.words[tokens.numpy()], 5).reshape(4, 2, 16, 5)
    first, second = prior.step_log_prob(bars[:, 0]), prior.step_log_prob(bars[:, 1], bars[:, 0])
    term = word_log_prob_term(prior, WORDS)
    for step in (0, 5, 15, 16, 31):
        expected = torch.cat([first, second], 1)[:, step] + np.log(3)
        torch.testing.assert_close(term(tokens[:, : step + 1]), expected, atol=1e-5, rtol=1e-5)


def _prefer(network, token):
    """Have an untaught network value this token by 50, all others by 0."""
    with torch.no_grad():
        network.layers[-1].bias[token] = 50.0


@pytest.mark.parametrize(("temperature", "word"), [(1.0, 9), (0.0, 16)])
def test_loops_are_of_the_target_network_and_without_a_temperature_of_the_online_one(temperature, word):
    training = replace(APPEND_AGENT, temperature=temperature, soft_values=bool(temperature))
    learner = words_learner(Metronome(), WORDS, training, AppendConfig(num_envs=2, width=4))
    _prefer(learner.network, 1)
    _prefer(learner.target_network, 2)
    assert (bars_to_words(draw_loops(learner, WORDS, 3, 16)) == word).all()


def test_the_share_of_random_words_is_that_of_the_config_to_the_end():
    training = replace(APPEND_AGENT, eps_start=1.0, eps_end=0.0)
    learner = words_learner(Metronome(), WORDS, training, AppendConfig(num_envs=2, width=4, eps=0.2))
    assert learner.epsilon == pytest.approx(0.2)
    learner.steps_done = training.train_steps
    assert learner.epsilon == pytest.approx(0.2)


def test_with_soft_values_an_agent_plays_as_the_prior_does():
    training = replace(
        APPEND_AGENT, train_steps=20_000, batch_size=128, learning_starts=500, buffer_size=10_000, learning_rate=3e-3
    )
    learner = words_learner(Metronome(), WORDS, training, AppendConfig(num_envs=32, width=32, eps=0.1))
    learner.learn()
    loops = draw_loops(learner, WORDS, 400, 16, seed=3)
    assert loops.shape == (400, 2, 16, 5)
    words = bars_to_words(loops)
    assert set(np.unique(words).tolist()) == {0, 9, 16}
    assert (words[..., ::4] == 16).mean() == pytest.approx(0.7, abs=0.08)
    assert (words[..., 1::4] == 0).mean() == pytest.approx(0.7, abs=0.08)
    assert (words == 9).mean() == pytest.approx(0.2, abs=0.06)
    np.testing.assert_array_equal(draw_loops(learner, WORDS, 5, 16, seed=10), loops[7:12])


def test_without_a_temperature_an_agent_plays_the_likeliest_words():
    training = replace(
        APPEND_AGENT,
        train_steps=20_000,
        batch_size=128,
        learning_starts=500,
        buffer_size=10_000,
        learning_rate=3e-3,
        gamma=0.5,
        temperature=0.0,
        soft_values=False,
    )
    learner = words_learner(Metronome(), WORDS, training, AppendConfig(num_envs=32, width=32, eps=0.3))
    learner.learn()
    loops = draw_loops(learner, WORDS, 2, 16)
    np.testing.assert_array_equal(bars_to_words(loops), np.tile([16, 0, 0, 0], (2, 2, 4)))
