"""What may be appended to a loop: notes, one of the kit's parts or silence; or words, several parts at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import words_to_bars
from rhythmgan.kit import Kit


@dataclass(frozen=True, eq=False)
class Alphabet:
    """The tokens of a loop, numbered from 0 on.

    Attributes:
        kit: what the parts are.
        words: (k,) uint16, the word of the kit that each token plays.
        symbols: (k, width) float32, the numbers that stand for each in an observation, none of them all zeros.
    """

    kit: Kit
    words: np.ndarray
    symbols: Tensor

    @staticmethod
    def of_notes(kit: Kit) -> Alphabet:
        """Silence and the parts of a kit, one a step, as in the notes view of bars; a symbol is one-hot."""
        words = np.append(0, 1 << np.arange(kit.n_parts - 1, -1, -1)).astype(np.uint16)
        return Alphabet(kit, words, torch.eye(kit.n_parts + 1))

    @staticmethod
    def of_words(kit: Kit, words: np.ndarray) -> Alphabet:
        """Some words of a kit; a symbol is 1 and a number for each part, 1 where it sounds.

        Raises:
            ValueError: a word twice, fewer than two, or one that the kit has not.
        """
        words = np.asarray(words)
        if words.ndim != 1 or len(words) < 2 or len(np.unique(words)) < len(words):
            raise ValueError("an alphabet has two words at least, each once")
        parts = torch.from_numpy(words_to_bars(words, kit.n_parts)).float()
        return Alphabet(kit, words.astype(np.uint16), torch.cat([torch.ones(len(words), 1), parts], 1))

    def __len__(self) -> int:
        return len(self.words)

    def bars(self, tokens: np.ndarray | Tensor, steps: int) -> np.ndarray:
        """tokens (n, t) ints → bars (n, bars, steps, parts) bool; what is not decided of the last one is silent."""
        words = self.words[np.asarray(tokens)]
        missing = -words.shape[1] % steps
        words = np.pad(words, ((0, 0), (0, missing))).reshape(len(words), -1, steps)
        return words_to_bars(words, self.kit.n_parts)
