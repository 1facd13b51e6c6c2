"""A critic of loops: it tells songs' loops from drawn ones, at any length, and its logit is a reward.

Where it is right its logit is log p(songs) / p(drawn) of the loop so far (Goodfellow et al. 2014). An agent that starts
from the model that drew, is rewarded by the logit of the whole loop and pays a reward for each nat of leaving that
model is best when it plays as the songs do: model · exp(logit) is the songs' distribution. The logit of the whole loop
is paid step by step, as what each step adds to it: that changes nothing in what is best (Ng, Harada & Russell 1999).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.loops import windows, windows_at
from rhythmgan.training.schedule import set_learning_rate
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.network import LoopNetwork
from rl_tuner.config import LoopCriticConfig

_VALIDATED = 10
"""How often in a training the validation songs' loops are looked at."""

_BATCH = 4096


def train_loop_critic(
    real: Tensor,
    drawn: Tensor,
    validation: tuple[Tensor, Tensor],
    alphabet: Alphabet,
    n_given: int,
    config: LoopCriticConfig | None = None,
) -> LoopNetwork:
    """Train a critic on loops of songs and drawn ones that begin alike; the best one by the loops of other songs.

    Args:
        real: (n, length) ints, tokens of songs' loops.
        drawn: (m, length) ints.
        validation: real and drawn loops of other songs.
        alphabet: of the tokens.
        n_given: tokens at the beginning that are given; a loop is judged from the next one on.
        config: how.
    """
    config = config or LoopCriticConfig()
    symbols, length = alphabet.symbols, real.shape[1]
    random = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        critic = LoopNetwork(symbols.shape[1], length // 2, 1, config.width, config.dropout)
        optimizer = torch.optim.AdamW(critic.parameters(), config.learning_rate, weight_decay=0.05)
        best, best_loss = critic, math.inf
        every = max(1, config.train_steps // _VALIDATED)
        for step in range(config.train_steps):
            set_learning_rate(optimizer, config.learning_rate * (1 - 0.95 * step / config.train_steps))
            n = config.batch_size
            both = torch.cat([each[torch.randint(len(each), (n,), generator=random)] for each in (real, drawn)])
            counts = torch.randint(n_given + 1, length + 1, (2 * n,), generator=random)
            logits = critic(windows_at(both, counts, symbols))[:, 0]
            optimizer.zero_grad()
            _loss(logits[:n], logits[n:]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (step + 1) % every == 0:
                loss = _validation_loss(critic, validation, symbols, n_given)
                if loss < best_loss:
                    best, best_loss = copy.deepcopy(critic), loss
    return best.eval().requires_grad_(False)


def _loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Cross-entropy of logits, half of it of each kind."""
    return (F.softplus(-real).mean() + F.softplus(drawn).mean()) / 2


@torch.no_grad()
def _validation_loss(critic: LoopNetwork, validation: tuple[Tensor, Tensor], symbols: Tensor, n_given: int) -> float:
    """The mean cross-entropy over every fourth length and whole loops."""
    length = validation[0].shape[1]
    critic.eval()
    lengths = [*range(n_given + 1, length, 4), length]
    found = [_loss(*(critic(windows(tokens[:, :t], symbols, length))[:, 0] for tokens in validation)) for t in lengths]
    critic.train()
    return float(torch.stack(found).mean())


@torch.no_grad()
def logits_of(critic: LoopNetwork, tokens: Tensor, symbols: Tensor) -> Tensor:
    """The critic's logit of each loop (n, t) so far: (n,), high for songs'."""
    found = [tokens.new_zeros(0, dtype=symbols.dtype)]
    for start in range(0, len(tokens), _BATCH):
        found.append(critic(windows(tokens[start : start + _BATCH], symbols, critic.length))[:, 0])
    return torch.cat(found)


def critic_term(critic: LoopNetwork, symbols: Tensor, n_given: int) -> Callable[[Tensor], Tensor]:
    """The reward of the newest token: by how much it raises the logit. Over a loop they add up to that of all of it."""

    def term(tokens: Tensor) -> Tensor:
        after = logits_of(critic, tokens, symbols)
        if tokens.shape[1] <= n_given + 1:  # what is given is as songs have it
            return after
        return after - logits_of(critic, tokens[:, :-1], symbols)

    return term
