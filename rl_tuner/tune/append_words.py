"""Polyphony: an agent that appends words, several parts at once, rewarded by the prior's log-probability of them.

What it may append are the most common words of songs. A reward is the log-probability of the word by the prior, given
the bar so far and the bar before, plus log k: a guess among k words is worth nothing. At a temperature of 1, with soft
values and no discount, the best agent plays as the prior does among its words (maximum entropy, Ziebart 2010).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rhythmgan.data import Corpus
from rhythmgan.loops import BARS, draw_tokens
from rhythmgan.models.interfaces import Likelihood
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.network import LoopNetwork, without_values
from rl_tuner.config import AppendConfig, DQNConfig
from rl_tuner.dqn import DQN, policy
from rl_tuner.envs.append import AppendVectorEnv, Term


def common_words(corpus: Corpus, n: int) -> tuple[Alphabet, float]:
    """The n words that songs play most, every song the same; and which share of all that they play these are.

    Raises:
        ValueError: fewer than two.
    """
    weights = np.repeat(corpus.weights() / corpus.steps, corpus.steps)
    played = np.bincount(corpus.words.ravel(), weights, 1 << corpus.kit.n_parts)
    words = np.argsort(-played, kind="stable")[:n]
    return Alphabet.of_words(corpus.kit, words), float(played[words].sum() / played.sum())


def word_log_prob_term(prior: Likelihood, alphabet: Alphabet) -> Term:
    """The reward of the newest word, see the module."""
    guess = math.log(len(alphabet))

    def term(tokens: Tensor) -> Tensor:
        bars = alphabet.bars(tokens, prior.steps)
        previous = bars[:, -2] if bars.shape[1] > 1 else None
        place = (tokens.shape[1] - 1) % prior.steps
        return prior.step_log_prob(bars[:, -1], previous)[:, place] + guess

    return term


def words_learner(prior: Likelihood, alphabet: Alphabet, training: DQNConfig, config: AppendConfig) -> DQN:
    """A DQN that appends words from an empty loop on; its values begin at 0."""
    terms = {"log_prob": word_log_prob_term(prior, alphabet)}
    nothing = np.zeros((1, 0), np.int64)
    envs = AppendVectorEnv(alphabet, nothing, terms, steps=prior.steps, num_envs=config.num_envs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        network = LoopNetwork(alphabet.symbols.shape[1], prior.steps, len(alphabet), config.width)
    training = replace(training, eps_start=config.eps, eps_end=config.eps)
    return DQN(envs, training, without_values(network))


def draw_loops(learner: DQN, alphabet: Alphabet, n: int, steps: int, seed: int = 0) -> np.ndarray:
    """Loops (n, 2, steps, parts) bool as the learner plays them: by its temperature, or the best word without one."""
    temperature = learner.config.temperature
    network = learner.target_network if temperature else learner.network

    @torch.no_grad()
    def chances(seen: Tensor) -> Tensor:
        q = network(seen)
        if temperature:
            return policy(q, temperature).double().exp()
        return torch.zeros_like(q, dtype=torch.float64).scatter_(1, q.argmax(1, keepdim=True), 1.0)

    seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
    nothing = torch.zeros(n, 0, dtype=torch.long)
    tokens = draw_tokens(chances, nothing, alphabet.symbols, BARS * steps, seeds)
    return alphabet.bars(tokens, steps)
