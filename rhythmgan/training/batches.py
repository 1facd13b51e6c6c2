"""Batches of training bars, drawn on the device where the bars lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.augment import augment, augmented_rates, draw_augmentations
from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.data import UNKNOWN_STYLE, Corpus, digest
from rhythmgan.roles import ROLES

LEAST_SONGS_OF_A_STYLE = 10
"""Styles of fewer songs are not learnt: they would be these songs."""


def roles_of(corpus: Corpus) -> tuple[str, ...]:
    """The roles that a corpus has bars of."""
    return tuple(role for index, role in enumerate(ROLES) if (corpus.role == index).any())


def styles_of(corpus: Corpus) -> tuple[str, ...]:
    """The styles that a corpus has enough songs of, the most common first."""
    of_songs = np.unique(np.stack([corpus.style_id, corpus.song_id]), axis=1)[0]
    count = np.bincount(of_songs, minlength=len(corpus.styles))
    known = [int(index) for index in np.argsort(-count, kind="stable") if count[index] >= LEAST_SONGS_OF_A_STYLE]
    return tuple(corpus.styles[index] for index in known if corpus.styles[index] not in (UNKNOWN_STYLE, ANY))


def check_trainable(corpus: Corpus, kit: str, steps: int) -> None:
    """Raise a ValueError unless networks of this kit and grid fit the bars, and there are bars."""
    if (kit, steps) != (corpus.kit.name, corpus.steps):
        raise ValueError(
            f"the bars are of kit {corpus.kit.name} and {corpus.steps} steps, the networks of {kit} and {steps}"
        )
    if not len(corpus):
        raise ValueError("there is nothing to train on: no song of the data falls into this split")


def corpus_digest(corpus: Corpus) -> str:
    """A fingerprint of the bars of a corpus and of what their songs, roles and styles are."""
    styles = hashlib.sha256("\n".join(corpus.styles).encode()).hexdigest()
    return digest(corpus.words, corpus.song_id, corpus.file_id, corpus.bar_index, corpus.role, corpus.style_id) + styles


def step_seed(*numbers: int) -> int:
    """A seed for what is drawn at a step: of the run's seed, the step and the process alone."""
    key = " ".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:7], "big")


@dataclass(frozen=True)
class Mixture:
    """Which bars are drawn, and what the networks are told of them.

    Attributes:
        any_share: share of bars with no role told: distinct bars of songs. All others are as songs play them, each
            with its role. A role that songs play p of the time is drawn in proportion to √p, so that a rare one is
            learnt as well.
        style_share: share of bars with their style told, all of songs whose style is known.
        song_exponent: of bars with no role, a song with n distinct bars is drawn from n to this power times as often as
            one with a single bar. Below 1 the few songs with hundreds of bars weigh less.
        pairs_share: share of bars that come with the bar before them.
        augmented_share: share of bars that are augmented.
    """

    any_share: float
    style_share: float
    song_exponent: float
    pairs_share: float
    augmented_share: float


class Batch(NamedTuple):
    """Training bars.

    Attributes:
        bars: (n, steps, parts) bool.
        previous: (n, steps, parts) bool, the bar before each; any where there is none.
        has_previous: (n,) bool.
        labels: (n, 3) ints, see ``models.labels``; a bar and the one before it are augmented alike.
    """

    bars: Tensor
    previous: Tensor
    has_previous: Tensor
    labels: Tensor


class _Drawn(NamedTuple):
    """Bars of one kind with the chance of each among them.

    Attributes:
        bars: n bars.
        previous: (n, steps) ints, the words of the bar before each.
        chance: (n,), which sum to 1.
    """

    bars: Corpus
    previous: np.ndarray
    chance: np.ndarray


class SongBatches(nn.Module):
    """Bars of songs by the chances of a mixture, of which a share is augmented.

    Attributes:
        rates: (1 + roles, steps, parts), how often each cell sounds in the bars that are drawn of each role, augmented
            ones among them.
    """

    words: Tensor
    previous: Tensor
    has_previous: Tensor
    role: Tensor
    style: Tensor
    chance: Tensor
    rates: Tensor

    def __init__(self, corpus: Corpus, roles: Sequence[str], styles: Sequence[str], mixture: Mixture) -> None:
        """List the bars and their chances.

        Args:
            corpus: the training bars, in the order of their songs.
            roles, styles: what is told; bars of other roles and styles are drawn with none.
            mixture: what is drawn.

        Raises:
            ValueError: roles are told, and there is no bar of any.
        """
        super().__init__()
        self.kit, self.augmented_share = corpus.kit, mixture.augmented_share
        self.has_pairs = mixture.pairs_share > 0
        song_exponent = mixture.song_exponent
        number_of_style = np.array([1 + styles.index(name) if name in styles else 0 for name in corpus.styles])
        rows: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
        for role, share_of_role in _shares_of_roles(corpus, roles, mixture.any_share).items():
            for styled, share_of_styled in ((False, 1 - mixture.style_share), (True, mixture.style_share)):
                told = number_of_style[corpus.style_id] > 0 if styled else np.ones(len(corpus), bool)
                for is_paired, share in ((False, 1 - mixture.pairs_share), (True, mixture.pairs_share)):
                    if not share:
                        continue
                    drawn = _pairs(corpus, told, role) if is_paired else _bars(corpus, told, role, song_exponent)
                    n = len(drawn.bars)
                    rows["words"].append(drawn.bars.words)
                    rows["previous"].append(drawn.previous)
                    rows["has_previous"].append(np.full(n, is_paired))
                    rows["role"].append(np.full(n, 0 if role == ANY else 1 + list(roles).index(role)))
                    rows["style"].append(number_of_style[drawn.bars.style_id] * styled)
                    rows["chance"].append(drawn.chance * share * share_of_styled * share_of_role)
        columns = {name: np.concatenate(rows[name]) for name in rows}
        columns = {name: column[columns["chance"] > 0] for name, column in columns.items()}
        for name, dtype in _COLUMNS.items():
            self.register_buffer(name, torch.from_numpy(columns[name].astype(dtype)), persistent=False)
        self.chance = self.chance.cumsum(0) / self.chance.sum()
        bars = words_to_bars(columns["words"], corpus.kit.n_parts)
        rates = []
        for number in range(1 + len(roles)):
            chance = columns["chance"] * (columns["role"] == number)
            rate = torch.from_numpy(np.tensordot(chance / max(chance.sum(), 1e-300), bars, 1)).float()
            rates.append(augmented_rates(rate, mixture.augmented_share, corpus.kit))
        self.register_buffer("rates", torch.stack(rates), persistent=False)

    def draw(self, n: int, random: torch.Generator) -> Batch:
        """n bars."""
        device = self.words.device
        number = torch.rand(n, generator=random, device=device, dtype=torch.float64)
        row = torch.searchsorted(self.chance, number).clamp(max=len(self.chance) - 1)
        augmentation = draw_augmentations(n, self.augmented_share, random, device)
        words = torch.stack([self.words[row], self.previous[row]], 1) if self.has_pairs else self.words[row][:, None]
        bars = augment(words_to_bars(words, self.kit.n_parts), augmentation, self.kit, random)
        labels = torch.stack([augmentation, self.role[row], self.style[row]], 1)
        return Batch(bars[:, 0], bars[:, -1], self.has_previous[row], labels)


_COLUMNS = {"words": "i4", "previous": "i4", "has_previous": "?", "role": "i8", "style": "i8", "chance": "f8"}


def _shares_of_roles(corpus: Corpus, roles: Sequence[str], any_share: float) -> dict[str, float]:
    """The share of bars that are drawn with each role told, and with none."""
    played = corpus.role_shares()
    drawn = {role: played.get(role, 0.0) ** 0.5 for role in roles}
    if roles and any_share < 1 and not any(drawn.values()):
        raise ValueError(f"none of the bars is a {' or '.join(roles)}; of their roles there is nothing to learn")
    return {ANY: any_share} | {role: (1 - any_share) * share / sum(drawn.values()) for role, share in drawn.items()}


def _bars(corpus: Corpus, chosen: np.ndarray, role: str, song_exponent: float) -> _Drawn:
    """Single bars: of songs' distinct ones with no role told, of those as played with one."""
    corpus = corpus.only(chosen).with_role(role)
    if role == ANY:
        bars = corpus.distinct()
        count = np.bincount(bars.song_id, minlength=len(bars.songs))[bars.song_id]
        chance = count ** (song_exponent - 1.0)
    else:
        bars, chance = corpus.distinct_with_weights()
    return _Drawn(bars, bars.words, chance / max(chance.sum(), 1e-300))


def _pairs(corpus: Corpus, chosen: np.ndarray, role: str) -> _Drawn:
    """Bars with the one before them: distinct pairs with no role told, as played with one, which the later bar has."""
    of_role = chosen if role == ANY else chosen & (corpus.role == ROLES.index(role))
    previous, bars, chance = corpus.pairs(of_role)
    return _Drawn(bars, previous, np.full(len(bars), 1 / max(len(bars), 1)) if role == ANY else chance)
