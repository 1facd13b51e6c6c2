"""Batches of training bars, drawn on the device where the bars lie."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.augment import augment, augmented_rates, draw_augmentations
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import Kit


def check_trainable(corpus: Corpus, kit: str, steps: int) -> None:
    """Raise a ValueError unless networks of this kit and grid fit the bars, and there are bars."""
    if (kit, steps) != (corpus.kit.name, corpus.steps):
        raise ValueError(
            f"the bars are of kit {corpus.kit.name} and {corpus.steps} steps, the networks of {kit} and {steps}"
        )
    if not len(corpus):
        raise ValueError("there is nothing to train on: no song of the data falls into this split")


def step_seed(*numbers: int) -> int:
    """A seed for what is drawn at a step: of the run's seed, the step and the process alone."""
    key = " ".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:7], "big")


class SongBatches(nn.Module):
    """Single bars, drawn song by song, of which a share is augmented.

    Attributes:
        rates: (steps, parts), how often each cell sounds in the bars that are drawn, augmented ones among them.
    """

    words: Tensor
    song_weight: Tensor
    first_row: Tensor
    n_rows: Tensor
    rates: Tensor

    def __init__(self, corpus: Corpus, song_exponent: float, augmented_share: float) -> None:
        """Sort the bars by song.

        Args:
            corpus: the training bars.
            song_exponent: a song of n bars is drawn with a weight of n to this power.
            augmented_share: share of bars that are augmented.
        """
        super().__init__()
        self.kit = corpus.kit
        self.augmented_share = augmented_share
        rows = np.argsort(corpus.song_id, kind="stable")
        _, first, count = np.unique(corpus.song_id[rows], return_index=True, return_counts=True)
        weight = count**song_exponent / (count**song_exponent).sum()
        bars = words_to_bars(corpus.words[rows], corpus.kit.n_parts)
        rates = np.tensordot(np.repeat(weight / count, count), bars, 1)  # (steps, parts)
        for name, values in (
            ("words", torch.from_numpy(corpus.words[rows].astype(np.int32))),
            ("song_weight", torch.from_numpy(weight).float()),
            ("first_row", torch.from_numpy(first)),
            ("n_rows", torch.from_numpy(count)),
            ("rates", augmented_rates(torch.from_numpy(rates).float(), augmented_share, corpus.kit)),
        ):
            self.register_buffer(name, values, persistent=False)

    def draw(self, n: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """n training bars (n, steps, parts) as floats, and their augmentation labels (n,)."""
        device = self.words.device
        song = torch.multinomial(self.song_weight, n, replacement=True, generator=random)
        place = torch.rand(n, generator=random, device=device) * self.n_rows[song]
        # a number next to 1 may be rounded up to it
        rows = self.first_row[song] + torch.minimum(place.long(), self.n_rows[song] - 1)
        labels = draw_augmentations(n, self.augmented_share, random, device)
        bars = words_to_bars(self.words[rows], self.kit.n_parts)
        return augment(bars, labels, self.kit, random).float(), labels


class PriorBatch(NamedTuple):
    """Bars for a prior, as words.

    Attributes:
        words: (n, steps) ints.
        previous: (n, steps) ints, the bar before each; any where there is none.
        has_previous: (n,) bool.
        augmentation: (n,) labels; a bar and the one before it are augmented alike.
    """

    words: Tensor
    previous: Tensor
    has_previous: Tensor
    augmentation: Tensor


class PairBatches(nn.Module):
    """Bars alone and bars with the one before them, all drawn alike, of which a share is augmented."""

    words: Tensor
    before: Tensor
    after: Tensor

    def __init__(
        self,
        words: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray],
        kit: Kit,
        pairs_share: float,
        augmented_share: float,
    ) -> None:
        """Keep the bars.

        Args:
            words: (bars, steps) ints, the bars that are drawn alone.
            pairs: two (pairs, steps) ints: bars, and those that follow them.
            kit: what the parts are.
            pairs_share: share of a batch that has a bar before it.
            augmented_share: share of bars that are augmented.
        """
        super().__init__()
        self.kit, self.pairs_share, self.augmented_share = kit, pairs_share, augmented_share
        for name, array in (("words", words), ("before", pairs[0]), ("after", pairs[1])):
            self.register_buffer(name, torch.from_numpy(array.astype(np.int64)), persistent=False)

    def draw(self, n: int, random: torch.Generator) -> PriorBatch:
        """n bars; the last rows have a bar before them."""
        device = self.words.device
        n_pairs = round(n * self.pairs_share) if len(self.after) else 0
        alone = torch.randint(len(self.words), (n - n_pairs,), generator=random, device=device)
        words, previous = self.words[alone], self.words[alone]
        if n_pairs:
            pairs = torch.randint(len(self.after), (n_pairs,), generator=random, device=device)
            words, previous = torch.cat([words, self.after[pairs]]), torch.cat([previous, self.before[pairs]])
        has_previous = torch.arange(n, device=device) >= n - n_pairs
        labels = draw_augmentations(n, self.augmented_share, random, device)
        both = words_to_bars(torch.stack([words, previous], 1), self.kit.n_parts)
        words, previous = bars_to_words(augment(both, labels, self.kit, random)).unbind(1)
        return PriorBatch(words, previous, has_previous, labels)
