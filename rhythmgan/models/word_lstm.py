"""The prior: how likely a bar is, word by word.

An LSTM (Hochreiter & Schmidhuber 1997) reads a bar step by step and says what the next word will be.
It sees the words before it in the bar, the step's place, and, where one is given, the bar before: its
word on the same step, and a summary of all of it. Words share what they have in common: each is a
vector of its own plus one for each part, and each pair of parts, that sounds in it, going in and coming out.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.augment import N_AUGMENTATIONS, REAL
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.features import cells_of
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import WordLSTMConfig
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, fingerprint, load_weights, save_weights
from rhythmgan.seeds import check_seed, seeds_to_uniform

FORMAT = WeightsFormat("rhythmgan.word_lstm", 2, "a prior")  # of version 1 tensors had other names

_BATCH = 1024


def _batches(n: int) -> list[slice]:
    """The rows of n bars, so many at a time."""
    return [slice(first, first + _BATCH) for first in range(0, n, _BATCH)]


class WordTable(nn.Module):
    """A table of vectors (words + extra, width): own ones, plus those of the parts and pairs that sound."""

    traits: Tensor

    def __init__(self, n_parts: int, width: int, n_extra: int = 0) -> None:
        super().__init__()
        cells = words_to_bars(torch.arange(1 << n_parts), n_parts).float()
        first, second = torch.triu_indices(n_parts, n_parts, 1)
        traits = torch.cat([cells, cells[:, first] * cells[:, second]], 1)
        self.register_buffer("traits", F.pad(traits, (0, 0, 0, n_extra)), persistent=False)
        self.own = nn.Parameter(torch.randn(len(self.traits), width) * 0.05)
        self.shared = nn.Parameter(torch.randn(traits.shape[1], width) * 0.1)

    def forward(self) -> Tensor:
        return self.own + self.traits @ self.shared


class WordLSTM(nn.Module):
    """A prior over bars of one kit and grid, see the module.

    Attributes:
        config: its shape.
        kit: what the parts are.
    """

    def __init__(self, config: WordLSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.kit: Kit = kit_named(config.kit)
        n_parts, width = self.kit.n_parts, config.word_width
        self.n_words = 1 << n_parts
        # two words that are none: what stands before the bar, and what hides one
        self.words_in = WordTable(n_parts, width, n_extra=2)
        self.words_before = WordTable(n_parts, width // 2 + 1, n_extra=1)
        self.places = nn.Parameter(torch.randn(config.steps, 32) * 0.1)
        self.augmentations = nn.Parameter(torch.randn(N_AUGMENTATIONS, 32) * 0.1)
        self.summary = nn.Sequential(
            nn.Linear(config.steps * n_parts, 128), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(128, width)
        )
        self.no_summary = nn.Parameter(torch.zeros(width))
        inputs = width + (width // 2 + 1) + 32 + 32 + width
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, config.width, config.layers, batch_first=True, dropout=between)
        self.drop_in = nn.Dropout(config.dropout / 2)
        self.drop_out = nn.Dropout(config.dropout)
        self.to_words = nn.Linear(config.width, width)
        self.words_out = WordTable(n_parts, width)
        self.bias = nn.Parameter(torch.zeros(self.n_words))
        self.float()  # whatever torch's default is

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.config.steps

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return fingerprint(self)

    def in_double(self) -> WordLSTM:
        """The same in double precision; on the CPU, as not every accelerator has it."""
        return copy.deepcopy(self).cpu().double().eval()

    @property
    def start(self) -> int:
        """The word that stands before a bar's first."""
        return self.n_words

    @property
    def hidden(self) -> int:
        """The word in the place of one that is not shown."""
        return self.n_words + 1

    def forward(
        self, before: Tensor, previous: Tensor, has_previous: Tensor, augmentation: Tensor | None = None
    ) -> Tensor:
        """Logits of the word on each step (n, steps, words).

        Args:
            before: (n, steps) ints, the word on the step before; ``start`` on the first.
            previous: (n, steps) ints, the words of the bar before; any where there is none.
            has_previous: (n,) bool.
            augmentation: (n,) labels of ``augment``; all bars are real without.
        """
        context = self._context(previous, has_previous, augmentation)
        return self._to_logits(self.lstm(self._inputs(before, context))[0])

    def _context(self, previous: Tensor, has_previous: Tensor, augmentation: Tensor | None = None) -> Tensor:
        """What does not change with the words of the bar: its places, its label and the bar before, (n, steps, …)."""
        n, steps = previous.shape
        shown = has_previous[:, None]
        words = self.words_before()[torch.where(shown, previous, self.n_words)]
        cells = words_to_bars(previous, self.kit.n_parts).flatten(1).to(self.places.dtype)
        summary = torch.where(shown, self.summary(cells), self.no_summary)
        labels = torch.full_like(previous[:, 0], REAL) if augmentation is None else augmentation
        whole = torch.cat([summary, self.augmentations[labels]], 1)
        return torch.cat([words, self.places.expand(n, -1, -1), whole[:, None].expand(-1, steps, -1)], 2)

    def _inputs(self, before: Tensor, context: Tensor) -> Tensor:
        return self.drop_in(torch.cat([self.words_in()[before], context], 2))

    def _to_logits(self, states: Tensor) -> Tensor:
        return self.to_words(self.drop_out(states)) @ self.words_out().T + self.bias

    @torch.no_grad()
    @without_autocast
    def step_log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None) -> Tensor:
        """Log-probability of each step's word given those before it: (n, steps) nats, on the prior's device.

        Args:
            bars: (n, steps, parts) bool.
            previous: (n, steps, parts) bool, the bar before each; one (steps, parts) stands before all.

        Raises:
            ValueError: bars of another shape.
        """
        words = self._words(bars, "bars")
        before = self._words_before_all(previous, len(words))
        known = torch.full((len(words),), previous is not None, device=words.device)
        model = copy.deepcopy(self).eval() if self.training else self  # dropout would make it a guess
        found = [words.new_zeros(0, self.steps, dtype=self.places.dtype)]
        for rows in _batches(len(words)):
            logits = model(self.shifted(words[rows]), before[rows], known[rows])
            found.append(logits.log_softmax(-1).gather(2, words[rows][..., None])[..., 0])
        return torch.cat(found)

    def log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None) -> Tensor:
        """Log-probability of whole bars: (n,) nats, the sum of ``step_log_prob``."""
        return self.step_log_prob(bars, previous).sum(1)

    def shifted(self, words: Tensor) -> Tensor:
        """(n, steps) → the word on the step before, ``start`` on the first."""
        return F.pad(words, (1, 0), value=self.start)[:, :-1]

    @torch.no_grad()
    @without_autocast
    def sample(
        self,
        n: int,
        seed: int = 0,
        temperature: float = 1.0,
        *,
        previous: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw n bars (n, steps, parts) bool, of the seeds ``seed``, ``seed`` + 1 … each.

        A bar is a function of its seed and of what is given, in any batch: it is drawn in double precision,
        one uniform number a step.

        Args:
            n: how many, from 0 on.
            seed: of the first bar.
            temperature: over 0; below 1 the likely words become likelier.
            previous: the bar before, (steps, parts) bool for all, or (n, steps, parts).
            start: the first steps, to be continued: (k, parts) bool for all, or (n, k, parts), k < steps.

        Raises:
            ValueError: an option out of range, or bars of another shape.
        """
        if n < 0:
            raise ValueError(f"n is at least 0, not {n}")
        if not 0 < temperature < float("inf"):
            raise ValueError(f"the temperature is a number over 0, not {temperature}")
        given = self._start_words(start, n)
        check_seed(seed)
        seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
        uniform = torch.from_numpy(seeds_to_uniform(seeds, self.steps))
        model = self.in_double()
        before = self._words_before_all(previous, n).cpu()
        known = torch.full((n,), previous is not None)
        words = [
            model._draw(uniform[rows], temperature, before[rows], known[rows], given[rows]) for rows in _batches(n)
        ]
        return words_to_bars(np.concatenate([np.zeros((0, self.steps), np.uint16), *words]), self.kit.n_parts)

    def _draw(
        self, uniform: Tensor, temperature: float, previous: Tensor, has_previous: Tensor, given: Tensor
    ) -> np.ndarray:
        """(n, steps) numbers in 0 … 1 → words; the first ones as given."""
        n, steps = uniform.shape
        context = self._context(previous, has_previous)
        word = torch.full((n,), self.start)
        state: tuple[Tensor, Tensor] | None = None
        words = []
        for step in range(steps):
            out, state = self.lstm(self._inputs(word[:, None], context[:, step : step + 1]), state)
            if step < given.shape[1]:
                word = given[:, step]
            else:
                logits = self._to_logits(out)[:, 0]
                # the largest at 0, so that no temperature is too low for it
                chances = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1).cumsum(-1)
                # the last number is 1 but for rounding
                word = (chances < uniform[:, step : step + 1]).sum(-1).clamp(max=self.n_words - 1)
            words.append(word)
        return torch.stack(words, 1).numpy().astype(np.uint16)

    def _start_words(self, start: np.ndarray | None, n: int) -> Tensor:
        """The first words that are given, (n, k) ints; k = 0 where there are none."""
        if start is None:
            return torch.zeros((n, 0), dtype=torch.long)
        start = np.asarray(start)
        steps, n_parts = self.steps, self.kit.n_parts
        fits = start.ndim in (2, 3) and start.shape[-1] == n_parts and start.shape[-2] < steps
        if not fits or (start.ndim == 3 and len(start) != n):
            raise ValueError(
                f"a start is (k, {n_parts}) or (n, k, {n_parts}) with k below {steps}; got {start.shape} for n = {n}"
            )
        words = bars_to_words(np.broadcast_to(start != 0, (n, *start.shape[-2:])))
        return torch.from_numpy(words.astype(np.int64))

    def _words(self, bars: Tensor | np.ndarray, name: str) -> Tensor:
        """bars (n, steps, parts) → words (n, steps) on the prior's device."""
        shape = (self.steps, self.kit.n_parts)
        if bars.ndim != 3 or tuple(bars.shape[1:]) != shape:
            raise ValueError(f"expected {name} (n, {shape[0]}, {shape[1]}); got {tuple(bars.shape)}")
        return bars_to_words(cells_of(bars).to(self.places.device))

    def _words_before_all(self, previous: Tensor | np.ndarray | None, n: int) -> Tensor:
        if previous is None:
            return torch.zeros((n, self.steps), dtype=torch.long, device=self.places.device)
        words = self._words(previous[None] if previous.ndim == 2 else previous, "the bar before")
        if len(words) not in (1, n):
            raise ValueError(f"expected one bar before all or one before each of {n}; got {len(words)}")
        return words.expand(n, -1)


def save_prior(path: str | os.PathLike[str], prior: WordLSTM, provenance: Mapping[str, str]) -> None:
    """Write a prior's weights; see ``save_weights``."""
    save_weights(path, FORMAT, prior, asdict(prior.config), provenance)


def load_prior(path: str | os.PathLike[str] | None = None) -> WordLSTM:
    """The prior of a weights file; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of a prior of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("prior.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: WordLSTM(WordLSTMConfig(**config)))
