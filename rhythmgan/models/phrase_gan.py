"""A GAN of phrases: all bars of one z, decided step after step as those of a single bar are (``models.gan``).

RythmGAN (2018) makes several bars at once from one vector. So does this: z has a number for every cell of the phrase.
The generator's lagged inputs also reach a bar and two bars back, so that bars come again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from torch import nn

from rhythmgan.kit import Kit
from rhythmgan.models.config import PhraseGANConfig, config_of
from rhythmgan.models.gan import LatentGenerator
from rhythmgan.models.phrase_checks import check_asked_for, whole_seeds
from rhythmgan.models.weights import WeightsFormat, fingerprint, load_weights, save_weights

FORMAT = WeightsFormat("rhythmgan.phrase_gan", 1, "a GAN of phrases")


class PhraseGAN(nn.Module):
    """Phrases by seed, and phrases that begin with given bars; see ``interfaces.PhraseSampler``.

    Attributes:
        config: its shape.
        generator: makes all bars of a phrase in a row, as one of so many times the steps.
    """

    def __init__(self, config: PhraseGANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = LatentGenerator(config)

    @property
    def kit(self) -> Kit:
        return self.generator.kit

    @property
    def steps(self) -> int:
        """Steps of a bar."""
        return self.config.steps

    @property
    def max_bars(self) -> int:
        return self.config.bars

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return fingerprint(self)

    def phrases(
        self,
        seeds: Sequence[int] | np.ndarray,
        n_bars: int,
        temperature: float = 1.0,
        given: np.ndarray | None = None,
    ) -> np.ndarray:
        """The phrases of seeds: the first bars of all that the generator makes.

        Args:
            seeds: (n,) ints.
            n_bars: bars of each, 1 to ``max_bars``.
            temperature: over 0, up to 1000: 1 as trained; with less the likely phrases become likelier, hardly
                sparser; with more they become denser.
            given: (k, steps, parts) bool, bars that every phrase begins with, fewer than ``n_bars``; see ``complete``.

        Returns:
            (n, n_bars, steps, parts) bool.

        Raises:
            ValueError: bars of another kit or grid, or an option out of range.
        """
        seeds = whole_seeds(seeds)
        check_asked_for(n_bars, temperature, given, (self.steps, self.kit.n_parts), self.max_bars)
        if given is not None:
            return self.complete(given[None], seeds, n_bars, temperature)
        return self._cut(self.generator.draw(seeds, temperature)[1], n_bars)

    def complete(
        self,
        given: np.ndarray,
        seeds: Sequence[int] | np.ndarray,
        n_bars: int | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Phrases that begin with given bars; what follows is drawn as the generator draws it behind them.

        A cell depends on those before it alone, so this is the very distribution of its phrases that begin so. Where
        the given bars are the first of the seed's own phrase, that phrase comes back.

        Args:
            given: (n, k, steps, parts) bool, or (1, k, steps, parts) for all; k from 0 to ``max_bars``.
            seeds: (n,) ints: another seed, another continuation.
            n_bars: bars of each phrase in all, k to ``max_bars``; all by default.
            temperature: as ``phrases``.

        Returns:
            (n, n_bars, steps, parts) bool, the first k bars those that are given.

        Raises:
            ValueError: bars of another kit or grid or not bool, or an option out of range.
        """
        n_bars = self.max_bars if n_bars is None else n_bars
        seeds = whole_seeds(seeds)
        shape = (self.steps, self.kit.n_parts)
        check_asked_for(n_bars, temperature, None, shape, self.max_bars)
        given = np.ascontiguousarray(given)
        if given.dtype != bool or given.ndim != 4 or given.shape[2:] != shape or len(given) not in (1, len(seeds)):
            raise ValueError(
                f"expected bars ({len(seeds)}, bars, {shape[0]}, {shape[1]}) bool; got {given.dtype} {given.shape}"
            )
        if given.shape[1] > n_bars:
            raise ValueError(f"{given.shape[1]} bars are given, more than the {n_bars} of the phrase")
        z = self.generator.latents(seeds, temperature)
        n_given = given.shape[1] * self.steps
        locked = np.zeros((self.generator.steps, self.kit.n_parts), bool)
        locked[:n_given] = True
        whole = np.zeros((len(given), *locked.shape), bool)
        whole[:, :n_given] = given.reshape(len(given), n_given, self.kit.n_parts)
        return self._cut(self.generator.decode(self.generator.lock(z, whole, locked)), n_bars)

    def _cut(self, rows: np.ndarray, n_bars: int) -> np.ndarray:
        """(n, bars · steps, parts) → (n, n_bars, steps, parts)."""
        return rows.reshape(len(rows), self.max_bars, self.steps, self.kit.n_parts)[:, :n_bars]


def save_phrase_gan(path: str | os.PathLike[str], gan: PhraseGAN, provenance: dict[str, str]) -> None:
    """Write the weights of a GAN of phrases; see ``save_weights``."""
    save_weights(path, FORMAT, gan, asdict(gan.config), provenance)


def load_phrase_gan(path: str | os.PathLike[str]) -> PhraseGAN:
    """The GAN of phrases of a weights file, ready to use. Runs no code of the file.

    Raises:
        ValueError: no weights file of a GAN of phrases, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    return load_weights(path, FORMAT, lambda config: PhraseGAN(config_of(PhraseGANConfig, config)))
