"""Texts of bars as tokens of a network: words and BAR, or single characters; and which of them may come where.

The text is that of the text view, with a space behind every word and behind BAR, as Choi, Fazekas and Sandler (2016)
and TrapGenerator (2020) write it: ``0b100000000 0b001000000 … BAR 0b…``. All bars of a grid are as long, so that the
place in a bar says what its grammar allows.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from rhythmgan.bars import text_to_words, words_to_text

BAR = "BAR"

_END = f"{BAR} "
"""Of a bar, as characters."""

_CHARACTERS = "01b BAR"


class Tokens:
    """The tokens of texts of bars with so many parts, all on one grid.

    Attributes:
        n_parts: parts of the kit.
        steps: grid of the bars.
        characters: whether a token is a character, or a word.
        symbols: what each token is in the text.
        per_step: tokens of a step.
        period: tokens of a bar.
    """

    def __init__(self, n_parts: int, steps: int, characters: bool) -> None:
        self.n_parts = n_parts
        self.steps = steps
        self.characters = characters
        if characters:
            self.symbols: tuple[str, ...] = tuple(_CHARACTERS)
            self.per_step = n_parts + 3
            self.period = steps * self.per_step + len(_END)
        else:
            self.symbols = (*(f"0b{word:0{n_parts}b}" for word in range(1 << n_parts)), BAR)
            self.per_step = 1
            self.period = steps + 1

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def nothing(self) -> int:
        """Stands where there is no token: before the text."""
        return len(self.symbols)

    @cached_property
    def allowed(self) -> np.ndarray:
        """(period, tokens) bool: what may come at each place of a bar. Whatever is drawn by it is a bar."""
        allowed = np.zeros((self.period, len(self)), bool)
        if not self.characters:
            allowed[: self.steps, :-1] = True
            allowed[self.steps, -1] = True
            return allowed
        number = {symbol: index for index, symbol in enumerate(self.symbols)}
        of_word = ["0", "b", *["01"] * self.n_parts, " "]
        for place, choices in enumerate([*of_word * self.steps, *_END]):
            allowed[place, [number[choice] for choice in choices]] = True
        return allowed

    def of_words(self, words: np.ndarray) -> np.ndarray:
        """words (…, steps) ints → tokens (…, period) ints."""
        words = np.asarray(words).astype(np.int64)
        if not self.characters:
            return np.concatenate([words, np.full((*words.shape[:-1], 1), len(self) - 1)], -1)
        number = {symbol: index for index, symbol in enumerate(self.symbols)}
        of_steps = np.empty((*words.shape, self.per_step), np.int64)
        of_steps[..., 0], of_steps[..., 1], of_steps[..., -1] = number["0"], number["b"], number[" "]
        # the numbers of "0" and "1" are 0 and 1
        of_steps[..., 2:-1] = words[..., None] >> np.arange(self.n_parts - 1, -1, -1) & 1
        tokens = np.empty((*words.shape[:-1], self.period), np.int64)
        tokens[..., : -len(_END)] = of_steps.reshape(*words.shape[:-1], self.steps * self.per_step)
        tokens[..., -len(_END) :] = [number[symbol] for symbol in _END]
        return tokens

    def to_words(self, tokens: np.ndarray) -> np.ndarray:
        """tokens (…, period) ints of whole bars → words (…, steps) uint16.

        Raises:
            ValueError: tokens that are not allowed on their places.
        """
        tokens = np.asarray(tokens)
        if tokens.shape[-1] != self.period or not self.allowed[np.arange(self.period), tokens].all():
            raise ValueError(f"the tokens are not bars of {self.steps} steps")
        if not self.characters:
            return tokens[..., :-1].astype(np.uint16)
        of_steps = tokens[..., : self.steps * self.per_step].reshape(*tokens.shape[:-1], self.steps, self.per_step)
        bits = of_steps[..., 2:-1] << np.arange(self.n_parts - 1, -1, -1)
        return bits.sum(-1).astype(np.uint16)

    def to_text(self, tokens: np.ndarray) -> str:
        """The text of tokens (n,) ints, in any order."""
        symbols = [self.symbols[token] for token in np.asarray(tokens).tolist()]
        return "".join(symbols) if self.characters else "".join(f"{symbol} " for symbol in symbols)

    def of_text(self, text: str) -> np.ndarray:
        """The tokens (n,) int64 of a text of whole bars on this grid.

        Raises:
            ValueError: another text; see ``bars.text_to_words``.
        """
        bars = text_to_words(text, self.n_parts)
        if any(len(bar) != self.steps for bar in bars):
            raise ValueError(f"the text has bars that are not of {self.steps} steps")
        words = np.stack(bars) if bars else np.zeros((0, self.steps), np.uint16)
        return self.of_words(words).reshape(-1)


def text_of(words: np.ndarray, n_parts: int) -> str:
    """words (n, steps) ints → the text that TrapGenerator writes: the text view in one line."""
    return words_to_text(words, n_parts).replace("\n", " ")
