"""Loops of several bars with one note a step: what songs play of them, and what a model sees of one so far.

Ravula and Cao (*Just beat it*, 2019) read the two-bar loops of Groove so: of each step the loudest note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rhythmgan.bars import bars_to_notes, notes_to_bars
from rhythmgan.data import Corpus, distinct_rows
from rhythmgan.kit import ROLAND10, Kit
from rhythmgan.seeds import RANDOM_STREAMS, sample_categorical, seeds_to_uniform

if TYPE_CHECKING:
    from torch import Tensor

BARS = 2
"""Bars of a loop."""

N_GIVEN = 8
"""Notes that a loop begins with: two beats, after which a model has something to go by."""

_BATCH = 2048
"""Loops that are continued at a time."""


@dataclass(frozen=True, eq=False)
class NoteLoops:
    """Loops of songs with one note a step.

    Attributes:
        notes: (n, bars · steps) uint8, the notes view of bars one after the other: 0 = rest, otherwise 1 + the part.
        song: (n,) ints, the song of each.
        kit: what the parts are.
    """

    notes: np.ndarray
    song: np.ndarray
    kit: Kit

    def __len__(self) -> int:
        return len(self.notes)

    @property
    def bars(self) -> np.ndarray:
        """(n, bars, steps, parts) bool."""
        return notes_to_loops(self.notes, self.kit)


def note_loops(corpus: Corpus, kit: Kit = ROLAND10) -> NoteLoops:
    """The pairs of neighbouring bars of a corpus with the loudest note of each step, each song's distinct ones.

    Args:
        corpus: bars of which it is known how they are played.
        kit: what they are folded into.

    Raises:
        ValueError: nobody knows how the bars are played, they cannot be folded, or no two of them are neighbours.
    """
    corpus = corpus.folded(kit)
    later = corpus.followers()
    if not len(later):
        raise ValueError("no two bars of the data follow one another: there are no loops of two bars")
    rows = np.stack([later - 1, later], 1).ravel()
    played = corpus.performance(rows)
    notes = bars_to_notes(played.bars, played.velocities).reshape(len(later), BARS * corpus.steps)
    song = corpus.song_id[later]
    first, _, _ = distinct_rows(song, notes)
    return NoteLoops(notes[first], song[first], kit)


def notes_to_loops(notes: np.ndarray, kit: Kit) -> np.ndarray:
    """notes (n, 2 · steps) ints → loops (n, 2, steps, parts) bool with at most one part a step."""
    n, length = notes.shape
    return notes_to_bars(notes, kit.n_parts).reshape(n, BARS, length // BARS, kit.n_parts)


def windows(tokens: Tensor, symbols: Tensor, length: int) -> Tensor:
    """What is seen of loops so far: the last tokens, the newest at the end, zeros where there are none yet.

    Args:
        tokens: (n, t) ints, t ≤ length: what each step plays.
        symbols: (k, width), the numbers that stand for each token.
        length: of a loop.

    Returns:
        (n, length · width), in the type of ``symbols``: step by step, in a step the numbers of its token.

    Raises:
        ValueError: more tokens than a loop has.
    """
    n, t = tokens.shape
    if t > length:
        raise ValueError(f"a loop has {length} steps; there are tokens for {t}")
    seen = symbols.new_zeros(n, length, symbols.shape[1])
    seen[:, length - t :] = symbols[tokens]
    return seen.flatten(1)


def windows_at(tokens: Tensor, counts: Tensor, symbols: Tensor) -> Tensor:
    """What is seen of whole loops when so many of their tokens were there: ``windows``, each loop at its own length.

    Args:
        tokens: (n, length) ints.
        counts: (n,) ints up to the length.
        symbols: as ``windows``.
    """
    import torch

    length = tokens.shape[1]
    places = torch.arange(length, device=tokens.device) + counts[:, None] - length
    return (symbols[tokens.gather(1, places.clamp(min=0))] * (places >= 0)[..., None]).flatten(1)


def draw_tokens(
    chances: Callable[[Tensor], Tensor], given: Tensor, symbols: Tensor, length: int, seeds: np.ndarray
) -> Tensor:
    """Continue loops: a loop is a function of its seed and of what is given, in any batch.

    Args:
        chances: windows (n, length · width) → the chance (n, k) of each token to be next, float64.
        given: (n, t) ints, the tokens that are there.
        symbols: as ``windows``.
        length: of a loop.
        seeds: (n,) ints; a uniform number of each draws each token.

    Returns:
        (n, length) ints.
    """
    import torch

    tokens = given.new_zeros(len(given), length)
    first = given.shape[1]
    tokens[:, :first] = given
    uniform = seeds_to_uniform(seeds, length, RANDOM_STREAMS["next notes"][0])
    for batch in range(0, len(given), _BATCH):
        rows = slice(batch, batch + _BATCH)
        for step in range(first, length):
            cumulative = chances(windows(tokens[rows, :step], symbols, length)).cumsum(1).numpy()
            drawn = sample_categorical(cumulative, uniform[rows, step, None])
            tokens[rows, step] = torch.from_numpy(drawn)
    return tokens
