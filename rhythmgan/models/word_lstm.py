"""The prior: how likely a bar is, word by word.

An LSTM (Hochreiter & Schmidhuber 1997) reads a bar step by step and says what the next word will be. It sees the word
before, those a beat and two beats before the step that it predicts, the step's place, and, where one is given, the bar
before: its words on the same step and on those beside it, and a summary of all of it. It knows the bar's role in its
song and the style of the song, where they are told.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import BEATS, bars_to_words, words_to_bars
from rhythmgan.conditions import Condition
from rhythmgan.features import cells_of
from rhythmgan.forms import KINDS, LENGTH, Forms
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import WordLSTMConfig, config_of
from rhythmgan.models.labels import ConditionalNetwork, LabelTable, labels_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.products import linear, tanh
from rhythmgan.models.weights import (
    BUNDLED_GRIDS,
    WeightsFormat,
    bundled_model,
    fingerprint,
    load_weights,
    save_weights,
)
from rhythmgan.models.word_tables import ChunkTables, FoldedWords, WordChances, WordTable, chunk_sizes
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = WeightsFormat("rhythmgan.word_lstm", 3, "a prior")  # of versions up to 2 it had one chance for a whole word

_BATCH = 1024

_CLEAR_MARGIN = 3e-5
"""Single precision moves a chance by about 1e-6; nearer than this to another word a bar is drawn in double."""

NEIGHBOURS = (-1, 0, 1)
"""The steps of the bar before that are seen on a step: one earlier, the same, one later."""


def _batches(n: int) -> list[slice]:
    """The rows of n bars, so many at a time."""
    return [slice(first, first + _BATCH) for first in range(0, n, _BATCH)]


def _of_rows(given: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """What is given for these rows; one (steps, parts) for all stays."""
    return given if given is None or np.ndim(given) == 2 else np.asarray(given)[rows]


class _Vectors(NamedTuple):
    """The vectors of all words, made once for many steps.

    Attributes:
        just_before: (words + 2, width), of the word before.
        lagged: (words + 2, width), of words a beat and two beats before.
        of_previous: (words + 2, width), of words of the bar before.
    """

    just_before: Tensor
    lagged: Tensor
    of_previous: Tensor


class _Layer(NamedTuple):
    """A layer of an LSTM, for one step at a time: ``nn.LSTM`` is made for many.

    Attributes:
        weight: (4 · width, inputs + width).
        bias: (4 · width,).
    """

    weight: Tensor
    bias: Tensor

    def step(self, inputs: Tensor, out: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The next output and cell (n, width) from the inputs (n, inputs) and those of the step before."""
        taken, kept, new, shown = linear(torch.cat([inputs, out], 1), self.weight, self.bias).chunk(4, 1)
        cell = torch.sigmoid(kept) * cell + torch.sigmoid(taken) * tanh(new)
        return torch.sigmoid(shown) * tanh(cell), cell


class _Drawer(NamedTuple):
    """A prior in one precision on the CPU, with what is made of its weights once for many steps."""

    prior: WordLSTM
    vectors: _Vectors
    layers: list[_Layer]
    tables: list[ChunkTables]


class WordLSTM(ConditionalNetwork):
    """A prior over bars of one kit and grid, see the module.

    Attributes:
        config: its shape.
        kit: what the parts are.
        condition: what bars are taken for and drawn as; see ``with_condition``.
        lags: how many steps before the one that is predicted the words stand that are seen.
    """

    config: WordLSTMConfig
    form_tokens: Tensor
    form_chances: Tensor

    def __init__(self, config: WordLSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.condition = Condition.default(config.roles)
        self.kit: Kit = kit_named(config.kit)
        n_parts, width = self.kit.n_parts, config.word_width
        self.n_words = 1 << n_parts
        beat = config.steps // BEATS
        self.lags = (1, beat, 2 * beat)
        # two words that are none: what stands before the bar, and what hides one
        self.words_in = WordTable(n_parts, width, n_extra=2)
        self.words_lagged = WordTable(n_parts, width // 2, n_extra=2)
        self.words_of_previous = WordTable(n_parts, width // 2, n_extra=2)  # no bar before; beyond its ends
        self.places = nn.Parameter(torch.randn(config.steps, 32) * 0.1)
        self.labels = LabelTable(len(config.roles), len(config.styles), 32, 0.1)
        self.summary = nn.Sequential(
            nn.Linear(config.steps * n_parts, 128), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(128, width)
        )
        self.no_summary = nn.Parameter(torch.zeros(width))
        inputs = width + (len(self.lags) - 1 + len(NEIGHBOURS)) * (width // 2) + 32 + width + 32
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, config.width, config.layers, batch_first=True, dropout=between)
        self.drop_in = nn.Dropout(config.dropout / 2)
        self.drop_out = nn.Dropout(config.dropout)
        # what is seen on a step counts beside what the LSTM makes of it: a figure is repeated by copying
        self.chances = WordChances(n_parts, config.width + inputs, width)
        # counted in the training songs, not trained; there are none in files of before they were counted
        has_forms = config.n_forms > 0
        self.register_buffer("form_tokens", torch.zeros(config.n_forms, LENGTH, dtype=torch.uint8), has_forms)
        self.register_buffer("form_chances", torch.zeros(len(KINDS) + 1, config.n_forms), has_forms)
        self.float()  # whatever torch's default is
        self._drawers: dict[torch.dtype, _Drawer] | None = None  # kept where it is prepared

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.config.steps

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights and for what bars are taken for."""
        return fingerprint(self, self.condition.role, self.condition.style)

    @property
    def forms(self) -> Forms:
        """Which bars of a phrase come again, in the songs that it was trained on."""
        return Forms(self.form_tokens.cpu().numpy(), self.form_chances.cpu().float().numpy())

    def keep_forms(self, forms: Forms) -> None:
        """Have these forms, as many as the config says."""
        self.form_tokens.copy_(torch.from_numpy(forms.tokens))
        self.form_chances.copy_(torch.from_numpy(forms.chances))

    def in_double(self) -> WordLSTM:
        """The same in double precision; on the CPU, as not every accelerator has it."""
        return self._in(torch.float64)

    def _in(self, precision: torch.dtype) -> WordLSTM:
        if self.places.dtype == precision and self.places.device.type == "cpu" and not self.training:
            return self
        return copy.deepcopy(self).cpu().to(precision).eval()

    def prepared(self) -> Self:
        """The same for many draws: what they need of the weights is made once. The weights must not change any more."""
        if self._drawers is not None:
            return self
        twin = copy.copy(self)
        twin._drawers = {}
        return twin

    def _drawer(self, precision: torch.dtype) -> _Drawer:
        kept = {} if self._drawers is None else self._drawers
        if precision not in kept:
            bare = copy.copy(self)
            bare._drawers = None  # they need no copies
            prior = bare._in(precision)
            layers = [
                _Layer(torch.cat([from_inputs, from_state], 1), for_inputs + for_state)
                for from_inputs, from_state, for_inputs, for_state in prior.lstm.all_weights
            ]
            kept[precision] = _Drawer(prior, prior._vectors(), layers, prior.chances.tables())
        return kept[precision]

    @property
    def start(self) -> int:
        """The word that stands before a bar's first."""
        return self.n_words

    @property
    def hidden(self) -> int:
        """The word in the place of one that is not shown."""
        return self.n_words + 1

    def forward(
        self,
        words: Tensor,
        previous: Tensor,
        has_previous: Tensor,
        labels: Tensor,
        is_hidden: Tensor | None = None,
    ) -> Tensor:
        """Log-probability of each step's word given those before it: (n, steps) nats.

        Args:
            words: (n, steps) ints.
            previous: (n, steps) ints, the words of the bar before; any where there is none.
            has_previous: (n,) bool.
            labels: (n, 3) ints, see ``labels``.
            is_hidden: (n, steps) bool, the words that are not shown to later steps; all are shown without.
        """
        return self.chances.log_prob(self._states(words, previous, has_previous, labels, is_hidden), words)

    def _states(
        self,
        words: Tensor,
        previous: Tensor,
        has_previous: Tensor,
        labels: Tensor,
        is_hidden: Tensor | None = None,
    ) -> Tensor:
        """What is known on each step before its word, (n, steps, width + inputs)."""
        vectors = self._vectors()
        context = self._context(previous, has_previous, labels, vectors)
        shown = words if is_hidden is None else torch.where(is_hidden, self.hidden, words)
        before = [F.pad(shown, (lag, 0), value=self.start)[:, : self.steps] for lag in self.lags]
        inputs = self._inputs(before, context, vectors)
        return torch.cat([self.drop_out(self.lstm(inputs)[0]), inputs], 2)

    def _context(self, previous: Tensor, has_previous: Tensor, labels: Tensor, vectors: _Vectors) -> Tensor:
        """What does not change with the words of the bar: its places, its labels and the bar before, (n, steps, …)."""
        n, steps = previous.shape
        shown = has_previous[:, None]
        none, beyond = self.n_words, self.n_words + 1
        reach = max(NEIGHBOURS)
        words = torch.where(shown, F.pad(previous, (reach, reach), value=beyond), none)
        beside = torch.stack([words[:, reach + place : reach + place + steps] for place in NEIGHBOURS], 2)
        cells = words_to_bars(previous, self.kit.n_parts).flatten(1).to(self.places.dtype)
        summary = torch.where(shown, self.summary(cells), self.no_summary)
        whole = torch.cat([summary, self.labels(labels).expand(n, -1)], 1)
        return torch.cat(
            [
                F.embedding(beside, vectors.of_previous).flatten(2),
                self.places.expand(n, -1, -1),
                whole[:, None].expand(-1, steps, -1),
            ],
            2,
        )

    def _vectors(self) -> _Vectors:
        return _Vectors(self.words_in(), self.words_lagged(), self.words_of_previous())

    def _inputs(self, before: list[Tensor], context: Tensor, vectors: _Vectors) -> Tensor:
        """The inputs of steps (n, …, inputs); ``before`` are the words (n, …) at each of the lags."""
        just_before, *lagged = before
        seen = [F.embedding(just_before, vectors.just_before), *(F.embedding(one, vectors.lagged) for one in lagged)]
        found: Tensor = self.drop_in(torch.cat([*seen, context], -1))
        return found

    @torch.no_grad()
    @without_autocast
    def step_log_prob(
        self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None, *, kit: Kit | None = None
    ) -> Tensor:
        """Log-probability of each step's word given those before it: (n, steps) nats, on the prior's device.

        Args:
            bars: (n, steps, parts) bool.
            previous: (n, steps, parts) bool, the bar before each; one (steps, parts) stands before all.
            kit: a smaller kit: of what each word is in it, after words of the prior's own kit. So the prior is compared
                with one of that kit, of fewer words.

        Raises:
            ValueError: bars of another shape, or a kit that they cannot be folded into.
        """
        words = self._words(bars, "bars")
        before = self._words_before_all(previous, len(words))
        known = torch.full((len(words),), previous is not None, device=words.device)
        labels = self._labels(len(words))
        folded = None if kit is None or kit == self.kit else FoldedWords(self.kit, kit, words.device)
        model = copy.deepcopy(self).eval() if self.training else self  # dropout would make it a guess
        found = [words.new_zeros(0, self.steps, dtype=self.places.dtype)]
        for rows in _batches(len(words)):
            states = model._states(words[rows], before[rows], known[rows], labels[rows])
            if folded is None:
                found.append(model.chances.log_prob(states, words[rows]))
            else:
                steps = folded.log_prob(model.chances, states.flatten(0, 1), words[rows].flatten())
                found.append(steps.view(-1, self.steps))
        return torch.cat(found)

    def log_prob(self, bars: Tensor | np.ndarray, previous: Tensor | np.ndarray | None = None) -> Tensor:
        """Log-probability of whole bars: (n,) nats, the sum of ``step_log_prob``."""
        return self.step_log_prob(bars, previous).sum(1)

    def sample(
        self,
        n: int,
        seed: int = 0,
        temperature: float = 1.0,
        *,
        previous: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw n bars (n, steps, parts) bool of the condition, of the seeds ``seed``, ``seed`` + 1 … each.

        A bar is a function of its seed and of what is given, in any batch and on any machine: one uniform number draws
        each chunk of a word, in double precision where rounding could turn it. A bar that would be silent is drawn
        again, with other numbers of its seed; ``log_prob`` does not know of that, and is of bars as they are drawn
        first.

        Args:
            n: how many, from 0 on.
            seed: of the first bar.
            temperature: over 0; below 1 the likely values of each chunk become likelier.
            previous: the bar before, (steps, parts) bool for all, or (n, steps, parts).
            start: the first steps, to be continued: (k, parts) bool for all, or (n, k, parts), k < steps.

        Raises:
            ValueError: an option out of range, or bars of another shape.
        """
        if n < 0:
            raise ValueError(f"n is at least 0, not {n}")
        check_seed(seed)
        seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
        prior = self.prepared()
        bars = prior.draw(seeds, temperature=temperature, previous=previous, start=start)
        for stream in RANDOM_STREAMS["redraw"]:
            silent = np.flatnonzero(~bars.any((1, 2)))
            if not len(silent):
                break
            of_silent = {"previous": _of_rows(previous, silent), "start": _of_rows(start, silent)}
            bars[silent] = prior.draw(seeds[silent], stream, temperature, **of_silent)
        return bars

    @torch.no_grad()
    @without_autocast
    def draw(
        self,
        seeds: np.ndarray,
        stream: int | np.ndarray = 0,
        temperature: float = 1.0,
        *,
        previous: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw a bar for each of these seeds, as ``sample``; some may be silent.

        Args:
            seeds: (n,) ints.
            stream: other, independent bars of the same seeds, see ``seeds.RANDOM_STREAMS``; or (n,) ints, one a bar.
            temperature, previous, start: as ``sample``.

        Returns:
            (n, steps, parts) bool.

        Raises:
            ValueError: as ``sample``.
        """
        if not 0 < temperature < float("inf"):
            raise ValueError(f"the temperature is a number over 0, not {temperature}")
        n = len(seeds)
        given = self._start_words(start, n)
        n_chunks = len(chunk_sizes(self.kit.n_parts))
        uniform = torch.from_numpy(seeds_to_uniform(seeds, self.steps * n_chunks, stream))
        uniform = uniform.view(n, self.steps, n_chunks)
        before = self._words_before_all(previous, n).cpu()
        known = torch.full((n,), previous is not None)
        labels = self._labels(n).cpu()

        def draw(precision: torch.dtype, rows: Tensor) -> tuple[Tensor, Tensor]:
            drawer = self._drawer(precision)
            words, margin = torch.zeros((len(rows), self.steps), dtype=torch.long), torch.zeros(len(rows))
            for batch in _batches(len(rows)):
                some = rows[batch]
                words[batch], margin[batch] = _draw(
                    drawer, uniform[some], temperature, before[some], known[some], labels[some], given[some]
                )
            return words, margin

        words, margin = draw(torch.float32, torch.arange(n))
        close = torch.nonzero(~(margin >= _CLEAR_MARGIN / min(temperature, 1)))[:, 0]  # or nan
        if len(close):
            words[close], _ = draw(torch.float64, close)
        return words_to_bars(words.numpy().astype(np.uint16), self.kit.n_parts)

    def _labels(self, n: int) -> Tensor:
        """(n, 3) ints: what the network is told of bars under the condition."""
        labels = labels_of(self.condition, self.roles, self.styles)
        return labels.to(self.places.device).expand(n, -1)

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


def _draw(
    drawer: _Drawer,
    uniform: Tensor,
    temperature: float,
    previous: Tensor,
    has_previous: Tensor,
    labels: Tensor,
    given: Tensor,
) -> tuple[Tensor, Tensor]:
    """Draw words in the precision of the drawer.

    Args:
        drawer: of the prior.
        uniform: (n, steps, chunks) float64 numbers in 0 … 1.
        temperature: as ``WordLSTM.draw``.
        previous, has_previous, labels: as ``WordLSTM.forward``.
        given: (n, k) ints, the first words.

    Returns:
        Words (n, steps) ints, and the least margin (n,) of each bar's, see ``WordChances.draw``.
    """
    prior, vectors, layers, tables = drawer
    n, steps = uniform.shape[:2]
    context = prior._context(previous, has_previous, labels, vectors)
    zeros = context.new_zeros(n, prior.config.width)
    states = [(zeros, zeros)] * len(layers)
    words: list[Tensor] = []
    margin = uniform.new_ones(n)
    start = torch.full((n,), prior.start)
    for step in range(steps):
        before = [words[step - lag] if step >= lag else start for lag in prior.lags]
        out = inputs = prior._inputs(before, context[:, step], vectors)
        for number, layer in enumerate(layers):
            states[number] = layer.step(out, *states[number])
            out = states[number][0]
        if step < given.shape[1]:
            words.append(given[:, step])
        else:
            known = torch.cat([out, inputs], 1)
            word, its_margin = prior.chances.draw(known, uniform[:, step], temperature, tables)
            words.append(word)
            margin = torch.minimum(margin, its_margin)
    return torch.stack(words, 1), margin


def save_prior(path: str | os.PathLike[str], prior: WordLSTM, provenance: Mapping[str, str]) -> None:
    """Write a prior's weights; see ``save_weights``."""
    save_weights(path, FORMAT, prior, asdict(prior.config), provenance)


def load_prior(path: str | os.PathLike[str] | None = None, *, grid: int = BUNDLED_GRIDS[0]) -> WordLSTM:
    """The prior of a weights file; the bundled one by default. Runs no code of the file.

    Args:
        path: the file.
        grid: steps of a bar: which bundled prior; a file has its own.

    Raises:
        ValueError: no weights file of a prior of ours, one of another version, or a damaged one; or none ships for
            this grid.
        OSError: it cannot be opened.
    """
    path = bundled_model("prior", grid) if path is None else path
    return load_weights(path, FORMAT, lambda config: WordLSTM(config_of(WordLSTMConfig, config)))
