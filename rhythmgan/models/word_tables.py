"""Words as numbers of a network: a vector for each word going in, and a chance for each word coming out.

A kit of twelve parts has 4,096 words, of which songs play a thousand. So a word is split into *chunks* of at most six
parts, each of at most 64 values: what is learned of a chunk serves all words that have it.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars
from rhythmgan.kit import Kit
from rhythmgan.models.products import linear

_PARTS_OF_A_CHUNK = 6
_ROWS = 1 << 16


def chunk_sizes(n_parts: int) -> list[int]:
    """How many parts each chunk of a word has, six at most, as equal as can be: 12 → 6, 6 and 9 → 5, 4."""
    n_chunks = -(-n_parts // _PARTS_OF_A_CHUNK)
    return [n_parts // n_chunks + (chunk < n_parts % n_chunks) for chunk in range(n_chunks)]


class WordTable(nn.Module):
    """A table of vectors (words + extra, width).

    The vector of a word is the sum of one for each of its chunks, one for each part and one for each pair of parts
    that sound in it. The extra rows are vectors of their own, for what stands where there is no word.
    """

    traits: Tensor

    def __init__(self, n_parts: int, width: int, n_extra: int = 0) -> None:
        super().__init__()
        cells = words_to_bars(torch.arange(1 << n_parts), n_parts).float()
        first, second = torch.triu_indices(n_parts, n_parts, 1)
        traits = torch.cat([cells, cells[:, first] * cells[:, second]], 1)
        self.register_buffer("traits", traits, persistent=False)
        self.chunks = nn.ParameterList(torch.randn(1 << size, width) * 0.05 for size in chunk_sizes(n_parts))
        self.shared = nn.Parameter(torch.randn(traits.shape[1], width) * 0.1)
        self.extra = nn.Parameter(torch.randn(n_extra, width) * 0.1)

    def forward(self) -> Tensor:
        first, *others = self.chunks
        of_chunks = first
        for chunk in others:
            of_chunks = (of_chunks[:, None] + chunk).flatten(0, 1)
        return torch.cat([of_chunks + self.traits @ self.shared, self.extra])


class ChunkTables(NamedTuple):
    """The vectors of a chunk, made once for many steps.

    Attributes:
        before: of what stands in the chunks before it; None for the first.
        values: of its own values.
    """

    before: Tensor | None
    values: Tensor


class _Chunk(nn.Module):
    """The values of one chunk, given the chunks before it: states (n, width of a state) → logits (n, values)."""

    def __init__(self, n_before: int, n_parts: int, n_state: int, width: int) -> None:
        super().__init__()
        self.from_state = nn.Linear(n_state, width)
        self.before = WordTable(n_before, width) if n_before else None
        self.values = WordTable(n_parts, width)
        self.bias = nn.Parameter(torch.zeros(1 << n_parts))

    def tables(self) -> ChunkTables:
        return ChunkTables(None if self.before is None else self.before(), self.values())

    def forward(self, states: Tensor, before: Tensor, tables: ChunkTables) -> Tensor:
        found = linear(states, self.from_state.weight, self.from_state.bias)
        if tables.before is not None:
            found = F.gelu(found + F.embedding(before, tables.before))
        return linear(found, tables.values, self.bias)


class WordChances(nn.Module):
    """The chances of words, chunk by chunk: p(word) = Π p(chunk | state, chunks before it). They sum to 1."""

    def __init__(self, n_parts: int, n_state: int, width: int) -> None:
        """Make the chunks.

        Args:
            n_parts: of a word.
            n_state: width of the states.
            width: numbers that a first chunk's values are compared with; later ones have twice as many, as they have to
                say how they hang on what came before.
        """
        super().__init__()
        sizes = chunk_sizes(n_parts)
        self.sizes = sizes
        self.chunks = nn.ModuleList(
            _Chunk(sum(sizes[:chunk]), size, n_state, width if chunk == 0 else 2 * width)
            for chunk, size in enumerate(sizes)
        )

    @property
    def _chunks(self) -> list[_Chunk]:
        return cast("list[_Chunk]", list(self.chunks))

    def tables(self) -> list[ChunkTables]:
        """What each chunk is compared with, for ``draw``."""
        return [chunk.tables() for chunk in self._chunks]

    def log_prob(self, states: Tensor, words: Tensor) -> Tensor:
        """Log-probabilities (…) of words (…) ints in states (…, width), nats."""
        found = []
        rows, shape = states.flatten(0, -2), words.shape
        words = words.flatten()
        left = sum(self.sizes)  # parts of a word that are still to come
        for chunk, size in zip(self._chunks, self.sizes, strict=True):
            before, left = words >> left, left - size
            value = (words >> left) & ((1 << size) - 1)
            logits = chunk(rows, before, chunk.tables())
            found.append(logits.log_softmax(-1).gather(-1, value[:, None])[:, 0])
        return torch.stack(found).sum(0).view(shape)

    def draw(
        self, states: Tensor, uniform: Tensor, temperature: float, tables: list[ChunkTables]
    ) -> tuple[Tensor, Tensor]:
        """Draw a word for each state.

        Args:
            states: (n, width).
            uniform: (n, chunks) numbers in 0 … 1, one for each chunk.
            temperature: over 0; the chances of each chunk are those to the power of its inverse.
            tables: of ``tables``.

        Returns:
            Words (n,) ints; and how far from another word each was (n,): the least distance of a number from the place
            where another value begins.
        """
        words = torch.zeros(len(states), dtype=torch.long)
        margin = uniform.new_ones(len(states))
        for number, (chunk, size) in enumerate(zip(self.chunks, self.sizes, strict=True)):
            logits = chunk(states, words, tables[number]).double()
            # the largest at 0, so that no temperature is too low for it
            chances = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1).cumsum(-1)
            over = chances - uniform[:, number, None]
            # the last number is 1 but for rounding
            value = (over < 0).sum(-1).clamp(max=logits.shape[-1] - 1)
            margin = torch.minimum(margin, over.abs().amin(-1))
            words = (words << size) + value
        return words, margin


class FoldedWords:
    """The words of a kit that become the same word in a smaller one."""

    def __init__(self, source: Kit, target: Kit, device: torch.device) -> None:
        """Sort the words.

        Args:
            source: the kit.
            target: the smaller one.
            device: where log-probabilities are computed.

        Raises:
            ValueError: bars of ``source`` cannot be folded into ``target``.
        """
        words = words_to_bars(np.arange(1 << source.n_parts), source.n_parts)
        folded = torch.from_numpy(bars_to_words(fold_bars(words, source, target)).astype(np.int64)).to(device)
        self.folded = folded
        self.order = folded.argsort(stable=True)
        self.count = folded.bincount(minlength=1 << target.n_parts)
        self.first = self.count.cumsum(0) - self.count

    def log_prob(self, chances: WordChances, states: Tensor, words: Tensor) -> Tensor:
        """Log-probabilities (n,) of what words (n,) are folded into: of all words that are folded into the same.

        Args:
            chances: of the words of the larger kit.
            states: (n, width).
            words: of the larger kit.
        """
        folded = self.folded[words]
        count = self.count[folded]
        row = torch.arange(len(words), device=words.device).repeat_interleave(count)
        place = torch.arange(len(row), device=words.device) - (count.cumsum(0) - count).repeat_interleave(count)
        same = self.order[self.first[folded].repeat_interleave(count) + place]
        parts = [slice(first, first + _ROWS) for first in range(0, len(row), _ROWS)]
        found = torch.cat([states.new_zeros(0), *(chances.log_prob(states[row[part]], same[part]) for part in parts)])
        most = found.new_full((len(words),), -torch.inf).scatter_reduce(0, row, found, "amax")
        return most + torch.zeros_like(most).index_add(0, row, (found - most[row]).exp()).log()
