"""An LSTM over the text of bars: TrapGenerator (2020), after Choi, Fazekas and Sandler (2016).

It reads ``0b100000000 … BAR`` word by word, or character by character, and says what comes next. As published nothing
keeps it from a BAR after seven words. Here what it draws bars with is masked: on every place of a bar only the tokens
count that the text's grammar has there (see ``tokens``), so that every bar has its steps by construction, and BAR costs
nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import BEATS, bars_to_words, words_to_bars
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import TextLSTMConfig, config_of
from rhythmgan.models.phrase_checks import check_asked_for, check_temperature, whole_seeds
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.tokens import Tokens
from rhythmgan.models.weights import WeightsFormat, fingerprint, load_weights, save_weights
from rhythmgan.models.word_tables import chunk_sizes
from rhythmgan.seeds import RANDOM_STREAMS, sample_categorical, seeds_to_uniform

FORMAT = WeightsFormat("rhythmgan.text_lstm", 1, "a network of texts of bars")

_BATCH = 256
"""Texts in memory at a time."""

_PLACE_WIDTH = 32


class TextLSTM(nn.Module):
    """A network of texts of bars, of one kit and grid, see the module.

    Attributes:
        config: its shape.
        kit: what the parts are.
        tokens: what the text is made of.
        shown: (tokens + 1, numbers), what is shown of each token, and of none.
        back: (period, lags) ints, how many tokens before each place of a bar those stand that are shown on it.
        traits: (tokens, traits), of which a token's logit is a weighted sum: of a word its parts, its pairs of parts
            and its two halves, so that what is learned of a common word serves a rare one.
        allowed: (period, tokens) bool, see ``Tokens``.
        known: (tokens,) bool, those that it may say: all, or as published those of the training text.
    """

    known: Tensor
    shown: Tensor
    back: Tensor
    traits: Tensor
    allowed: Tensor

    def __init__(self, config: TextLSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.kit: Kit = kit_named(config.kit)
        self.tokens = Tokens(self.kit.n_parts, config.steps, config.characters)
        n_tokens = len(self.tokens)
        by_parts = config.sees_bars and not config.characters
        self.register_buffer("shown", _parts_of(self.tokens) if by_parts else _one_hot(n_tokens), persistent=False)
        self.register_buffer("traits", _traits_of(self.tokens) if by_parts else torch.eye(n_tokens), persistent=False)
        self.register_buffer("back", _lags(self.tokens, config.sees_bars), persistent=False)
        self.register_buffer("allowed", torch.from_numpy(self.tokens.allowed), persistent=False)
        self.register_buffer("known", torch.ones(n_tokens, dtype=torch.bool), persistent=not config.sees_bars)
        n_inputs = self.back.shape[1] * self.shown.shape[1]
        if config.sees_bars:
            self.places = nn.Parameter(torch.randn(self.tokens.period, _PLACE_WIDTH) * 0.1)
            n_inputs += _PLACE_WIDTH
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(n_inputs, config.width, config.layers, batch_first=True, dropout=between)
        self.drop_in = nn.Dropout(config.dropout / 2 if config.sees_bars else 0.0)
        self.drop_out = nn.Dropout(config.dropout)
        # what is seen counts beside what the LSTM makes of it: a figure is repeated by copying
        n_known = config.width + n_inputs if config.sees_bars else config.width
        self.to_traits = nn.Linear(n_known, self.traits.shape[1])
        if not config.sees_bars:
            _begin_as_keras(self.lstm, self.to_traits)
        self.float()  # whatever torch's default is

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.config.steps

    @property
    def max_bars(self) -> int | None:
        """Bars that a phrase may have: any number."""
        return None

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return fingerprint(self)

    def in_double(self) -> TextLSTM:
        """The same in double precision on the CPU: what it says is then the same on every machine."""
        return copy.deepcopy(self).cpu().double().eval()

    def forward(self, tokens: Tensor, places: Tensor | None = None) -> Tensor:
        """Logits of the tokens of texts, given those before them.

        Args:
            tokens: (n, t) ints, texts that begin with a bar.
            places: (m,) ints, of which tokens; by default of all.

        Returns:
            (n, m, tokens).
        """
        inputs = self._inputs(tokens, 0, tokens.shape[1])
        out, _ = self.lstm(inputs)
        return self._logits(out, inputs) if places is None else self._logits(out[:, places], inputs[:, places])

    def masked(self, logits: Tensor) -> Tensor:
        """Logits (n, t, tokens) of texts that begin with a bar; −∞ of what is not allowed on its place."""
        places = torch.arange(logits.shape[1], device=logits.device) % self.tokens.period
        return logits.masked_fill(~self.allowed[places], float("-inf"))

    def _inputs(self, tokens: Tensor, first: int, length: int) -> Tensor:
        """What is seen when the tokens from ``first`` on to below ``length`` are predicted: (n, length − first, …)."""
        places = torch.arange(first, length, device=tokens.device)
        before = places[:, None] - self.back[places % self.tokens.period]
        text = F.pad(tokens, (1, 0), value=self.tokens.nothing)
        seen = self.shown[text[:, before.clamp(min=-1) + 1]].flatten(2)
        if self.config.sees_bars:
            of_places = self.places[places % self.tokens.period].expand(len(tokens), -1, -1)
            seen = torch.cat([seen, of_places], 2)
        found: Tensor = self.drop_in(seen)
        return found

    def _logits(self, out: Tensor, inputs: Tensor) -> Tensor:
        """What layers and inputs (n, t, …) say of each token: (n, t, tokens)."""
        known = self.drop_out(out)
        if self.config.sees_bars:
            return F.linear(self.to_traits(torch.cat([known, inputs], 2)), self.traits)
        logits: Tensor = self.to_traits(known)
        return logits.masked_fill(~self.known, float("-inf"))

    @torch.no_grad()
    @without_autocast
    def phrase_log_prob(self, phrases: Tensor | np.ndarray) -> Tensor:
        """Log-probability of each step given all before it in its phrase, among bars: (n, bars, steps) nats.

        Args:
            phrases: (n, bars, steps, parts) bool, bars in a row.

        Raises:
            ValueError: phrases of another shape.
        """
        shape = (self.steps, self.kit.n_parts)
        if phrases.ndim != 4 or tuple(phrases.shape[2:]) != shape:
            raise ValueError(f"expected phrases (n, bars, {shape[0]}, {shape[1]}); got {tuple(phrases.shape)}")
        words = bars_to_words(np.asarray(torch.as_tensor(phrases).cpu()) != 0)
        tokens = torch.from_numpy(self.tokens.of_words(words)).flatten(1).to(self.allowed.device)
        model = copy.deepcopy(self).eval() if self.training else self  # dropout would make it a guess
        found = [self.to_traits.weight.new_zeros(0, *words.shape[1:])]
        for first in range(0, len(tokens), _BATCH):
            rows = tokens[first : first + _BATCH]
            log_prob = model.masked(model(rows)).log_softmax(2).gather(2, rows[..., None])[..., 0]
            of_bars = log_prob.view(len(rows), -1, self.tokens.period)[..., : self.steps * self.tokens.per_step]
            found.append(of_bars.reshape(len(rows), -1, self.steps, self.tokens.per_step).sum(3))
        return torch.cat(found)

    def step_log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None) -> Tensor:
        """Log-probability of each step given those before it, and the bar before where given: (n, steps) nats.

        Args:
            bars: (n, steps, parts) bool.
            previous: the bar before each, of the same shape.

        Raises:
            ValueError: bars of another shape.
        """
        bars = torch.as_tensor(bars)
        shape = (self.steps, self.kit.n_parts)
        if bars.ndim != 3 or tuple(bars.shape[1:]) != shape:
            raise ValueError(f"expected bars (n, {shape[0]}, {shape[1]}); got {tuple(bars.shape)}")
        if previous is None:
            return self.phrase_log_prob(bars[:, None])[:, 0]
        return self.phrase_log_prob(torch.stack([torch.as_tensor(previous), bars], 1))[:, 1]

    def log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None) -> Tensor:
        """Log-probability of whole bars: (n,) nats, the sum of ``step_log_prob``."""
        return self.step_log_prob(bars, previous).sum(1)

    def phrases(
        self,
        seeds: Sequence[int] | np.ndarray,
        n_bars: int,
        temperature: float = 1.0,
        given: np.ndarray | None = None,
    ) -> np.ndarray:
        """A phrase for each seed (n,): (n, n_bars, steps, parts) bool, each a function of its own seed.

        Fewer bars are the first ones of more. Every token is drawn among those that its place allows.

        Args:
            seeds: (n,) ints.
            n_bars: bars of a phrase, from 1 on.
            temperature: over 0, up to 1000; below 1 likely tokens become likelier, and bars sparser;
                above 1 bars become denser.
            given: (k, steps, parts) bool, bars that every phrase begins with, fewer than ``n_bars``.

        Raises:
            ValueError: an option out of range, or bars of another shape.
        """
        seeds = whole_seeds(seeds)
        shape = (self.steps, self.kit.n_parts)
        check_asked_for(n_bars, temperature, given, shape, self.max_bars)
        first = np.zeros((0, *shape), bool) if given is None else given
        begun = np.tile(self.tokens.of_words(bars_to_words(first)).reshape(1, -1), (len(seeds), 1))
        drawn = self._draw(begun, (n_bars - len(first)) * self.tokens.period, seeds, temperature, is_masked=True)
        tokens = np.concatenate([begun, drawn], 1).reshape(len(seeds), n_bars, self.tokens.period)
        return words_to_bars(self.tokens.to_words(tokens), self.kit.n_parts)

    def continue_text(
        self, given: np.ndarray, length: int, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0
    ) -> np.ndarray:
        """What follows texts as published, without a mask: (n, length) ints. It need not be bars.

        Args:
            given: (n, t) ints, the tokens that are there.
            length: tokens that follow.
            seeds: (n,) ints.
            temperature: as ``phrases``.

        Raises:
            ValueError: an option out of range, or tokens that there are not or that are not whole numbers.
        """
        seeds = whole_seeds(seeds)
        check_temperature(temperature)
        given = np.asarray(given)
        if given.ndim != 2 or len(given) != len(seeds) or length < 0:
            raise ValueError(f"a text is given for each seed, and its length is 0 or more; got {given.shape}, {length}")
        if given.size and given.dtype.kind not in "iu":
            raise ValueError(f"tokens are whole numbers, not {given.dtype}")
        if given.size and not 0 <= given.min() <= given.max() < len(self.tokens):
            raise ValueError(f"tokens lie in 0 … {len(self.tokens) - 1}")
        return self._draw(given.astype(np.int64), length, seeds, temperature, is_masked=False)

    @torch.no_grad()
    @without_autocast
    def _draw(
        self, given: np.ndarray, length: int, seeds: np.ndarray, temperature: float, is_masked: bool
    ) -> np.ndarray:
        """The tokens (n, length) that follow those given: one uniform number draws each, in double precision."""
        twin = self.in_double()
        begun = given.shape[1]
        drawn = np.zeros((len(seeds), length), np.int64)
        uniform = seeds_to_uniform(seeds, length, RANDOM_STREAMS["text"][0])
        for first in range(0, len(seeds), _BATCH):
            rows = slice(first, first + _BATCH)
            text = F.pad(torch.from_numpy(given[rows]), (0, length))
            state = None
            if begun:
                _, state = twin.lstm(twin._inputs(text, 0, begun))
            for place in range(begun, begun + length):
                inputs = twin._inputs(text[:, :place], place, place + 1)
                out, state = twin.lstm(inputs, state)
                logits = twin._logits(out, inputs)[:, 0] / temperature
                if is_masked:
                    logits = logits.masked_fill(~twin.allowed[place % twin.tokens.period], float("-inf"))
                cumulative = logits.softmax(1).cumsum(1).numpy()
                number = sample_categorical(cumulative, uniform[rows, place - begun, None])
                text[:, place] = torch.from_numpy(number)
            drawn[rows] = text[:, begun:].numpy()
        return drawn


def _one_hot(n_tokens: int) -> Tensor:
    """(tokens + 1, tokens): each token one of a list; none is no one."""
    return torch.eye(n_tokens + 1)[:, :n_tokens]


def _parts_of(tokens: Tokens) -> Tensor:
    """(tokens + 1, parts + 2): which parts a word has, whether it is BAR, and whether there is none."""
    cells = words_to_bars(torch.arange(1 << tokens.n_parts), tokens.n_parts).float()
    return F.pad(cells, (0, 2, 0, 2)) + F.pad(torch.eye(2), (tokens.n_parts, 0, len(cells), 0))


def _traits_of(tokens: Tokens) -> Tensor:
    """(tokens, traits): a word's parts, its pairs of parts and its halves as one of a list each; and BAR."""
    words = torch.arange(1 << tokens.n_parts)
    cells = words_to_bars(words, tokens.n_parts).float()
    first, second = torch.triu_indices(tokens.n_parts, tokens.n_parts, 1)
    halves = []
    place = 0
    for size in chunk_sizes(tokens.n_parts):
        place += size
        halves.append(F.one_hot(words >> (tokens.n_parts - place) & ((1 << size) - 1), 1 << size).float())
    of_words = torch.cat([cells, cells[:, first] * cells[:, second], *halves], 1)
    bar = F.one_hot(torch.tensor([of_words.shape[1]]), of_words.shape[1] + 1).float()
    return torch.cat([F.pad(of_words, (0, 1)), bar])


def _lags(tokens: Tokens, sees_bars: bool) -> Tensor:
    """(period, lags): how far before each place the tokens stand that are shown on it; the token before is first.

    Beside it these are the ones a beat and half a bar before, and of the bar before that on the same step and those on
    either side of it, and the one two bars before. A BAR between is counted.
    """
    places = torch.arange(tokens.period)
    if not sees_bars:
        return torch.ones(tokens.period, 1, dtype=torch.long)
    end = tokens.period - tokens.steps * tokens.per_step
    beat = tokens.steps // BEATS * tokens.per_step
    within = [lag + end * (places < lag) for lag in (beat, 2 * beat)]
    before = [tokens.period + shift for shift in (tokens.per_step, 0, -tokens.per_step, tokens.period)]
    return torch.stack([torch.ones_like(places), *within, *(torch.full_like(places, lag) for lag in before)], 1)


@torch.no_grad()
def _begin_as_keras(lstm: nn.LSTM, linear: nn.Linear) -> None:
    """Weights to begin with as Keras draws them, which the published networks were made with.

    An LSTM of many layers that begins by forgetting, as torch's do, comes to know more than how often each token is
    only after some hundred batches.
    """
    for from_inputs, from_state, for_inputs, for_state in lstm.all_weights:
        for gate in from_inputs.chunk(4):
            # Glorot's range is that of the four gates as one matrix
            bound = (6 / (from_inputs.shape[1] + 4 * gate.shape[0])) ** 0.5
            gate.uniform_(-bound, bound)
        nn.init.orthogonal_(from_state.T)
        nn.init.zeros_(for_inputs)
        nn.init.zeros_(for_state)
        for_inputs.chunk(4)[1].fill_(1)  # the forget gate
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)


def rounded(model: TextLSTM) -> TextLSTM:
    """The network with the weights that its file holds: in half precision, which halves the file."""
    return copy.deepcopy(model).half().float()


def save_text_lstm(path: str | os.PathLike[str], model: TextLSTM, provenance: Mapping[str, str]) -> None:
    """Write a network's weights in half precision; see ``save_weights``."""
    save_weights(path, FORMAT, copy.deepcopy(model).half(), asdict(model.config), provenance)


def load_text_lstm(path: str | os.PathLike[str]) -> TextLSTM:
    """The network of texts of bars of a weights file. Runs no code of the file.

    Raises:
        ValueError: no weights file of such a network of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    return load_weights(path, FORMAT, lambda config: TextLSTM(config_of(TextLSTMConfig, config)))
