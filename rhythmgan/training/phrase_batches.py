"""Batches of training phrases, drawn on the device where they lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.augment import EXCHANGED, REAL, THINNED, augment, augmented_rates
from rhythmgan.bars import words_to_bars
from rhythmgan.data import digest
from rhythmgan.song_phrases import SongPhrases

_RATED = 4096
"""Phrases in memory at a time, where cells are counted."""


class PhraseBatch(NamedTuple):
    """Training phrases with their bars one after the other.

    Attributes:
        bars: (n, bars · steps, parts) bool.
        labels: (n, 3) ints, see ``models.labels``; in place of the beats by which a bar is rotated stands how many bars
            late a phrase begins.
    """

    bars: Tensor
    labels: Tensor


class PhraseBatches(nn.Module):
    """Phrases as songs play them, each song the same, of which a share is augmented or begins off time.

    Attributes:
        rates: (1, bars · steps, parts), how often each cell sounds in what is drawn.
    """

    words: Tensor
    off: Tensor
    chance: Tensor
    rates: Tensor

    def __init__(self, phrases: SongPhrases, augmented_share: float = 0.0, off_share: float = 0.0) -> None:
        """List the phrases and their chances.

        Args:
            phrases: of four bars at most, as there are labels of so many places to begin.
            augmented_share: share of phrases that are thinned or of which two parts have changed places.
            off_share: share of phrases that begin off time, see ``SongPhrases.off``.

        Raises:
            ValueError: there are no phrases that begin on time, or none off time and a share of them is asked for.
        """
        super().__init__()
        self.kit, self.augmented_share = phrases.kit, augmented_share
        chance = np.zeros(len(phrases))
        for rows, share, name in ((phrases.off == 0, 1 - off_share, "on"), (phrases.off > 0, off_share, "off")):
            if share and not rows.any():
                raise ValueError(f"no song has {phrases.words.shape[1]} bars in a row that begin {name} time")
            chance[rows] = phrases.only(rows).chance * share
        words = torch.from_numpy(phrases.words.astype(np.int32))
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("off", torch.from_numpy(phrases.off.astype(np.int64)), persistent=False)
        self.register_buffer("chance", torch.from_numpy(chance).cumsum(0) / chance.sum(), persistent=False)
        rates = torch.zeros(words[0].numel(), self.kit.n_parts, dtype=torch.float64)
        for start in range(0, len(words), _RATED):
            bars = words_to_bars(words[start : start + _RATED].flatten(1), self.kit.n_parts).double()
            rates += torch.einsum("n,nsp->sp", torch.from_numpy(chance)[start : start + _RATED], bars)
        self.register_buffer(
            "rates", augmented_rates(rates.float(), augmented_share, self.kit, rotated=False)[None], persistent=False
        )

    def draw(self, n: int, random: torch.Generator) -> PhraseBatch:
        """n phrases."""
        device = self.words.device
        number = torch.rand(n, generator=random, device=device, dtype=torch.float64)
        row = torch.searchsorted(self.chance, number).clamp(max=len(self.chance) - 1)
        kind = torch.rand(n, generator=random, device=device)
        thinned_or_exchanged = torch.where(kind < self.augmented_share / 2, THINNED, EXCHANGED)
        augmentation = torch.where(kind < self.augmented_share, thinned_or_exchanged, REAL)
        bars = augment(words_to_bars(self.words[row], self.kit.n_parts), augmentation, self.kit, random)
        # an augmented phrase is not said to begin off time: there is one label for both
        label = torch.where(augmentation == REAL, self.off[row], augmentation)
        labels = torch.stack([label, torch.zeros_like(label), torch.zeros_like(label)], 1)
        return PhraseBatch(bars.flatten(1, 2), labels)


def check_phrases(phrases: SongPhrases, kit: str, steps: int, bars: int) -> None:
    """Raise a ValueError unless networks of this kit, grid and number of bars fit the phrases."""
    found = (phrases.kit.name, phrases.words.shape[2], phrases.words.shape[1])
    if found != (kit, steps, bars):
        raise ValueError(
            f"the phrases have {found[2]} bars of {found[1]} steps in kit {found[0]}, "
            f"those of the networks {bars} of {steps} in {kit}"
        )


def phrases_digest(phrases: SongPhrases) -> str:
    """A fingerprint of phrases and of what their songs are."""
    return digest(phrases.words, phrases.song, phrases.plays, phrases.off)


def phrase_facts(phrases: SongPhrases, seed: int) -> dict[str, str]:
    """What a weights file says of the phrases that it was trained on."""
    facts = {"trained_phrases": len(phrases), "trained_songs": phrases.n_songs, "trained_seed": seed}
    return {name: str(fact) for name, fact in facts.items()}
