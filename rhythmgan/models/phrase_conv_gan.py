"""A convolutional GAN of phrases, as RythmGAN (2018) may have been: all bars at once from one vector.

Nothing of RythmGAN but its page is public. This is what it says it was inspired by, MuseGAN (Dong et al. 2018), cut
down to one track: transposed convolutions unfold z into bars, bars into beats, beats into steps and steps into elements
(DCGAN, Radford et al. 2016). The critic folds a phrase by the same steps in reverse. It sees soft cells in training;
what is played is cut at one half.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.bars import BEATS
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import PhraseConvGANConfig, config_of
from rhythmgan.models.phrase_checks import check_asked_for, whole_seeds
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, fingerprint, load_weights, save_weights
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z

FORMAT = WeightsFormat("rhythmgan.phrase_conv_gan", 1, "a convolutional GAN of phrases")

_BATCH = 1024
_LEAK = 0.2


class ConvGenerator(nn.Module):
    """z (n, latent_dim) → logits of the cells (n, bars, steps, parts)."""

    def __init__(self, config: PhraseConvGANConfig) -> None:
        super().__init__()
        sizes = _sizes(config)
        channels = (config.latent_dim, config.width, config.width // 2, config.width // 4)
        layers: list[nn.Module] = []
        for (n_in, n_out), size in zip(itertools.pairwise(channels), sizes[:-1], strict=True):
            layers += [nn.ConvTranspose3d(n_in, n_out, size, size, bias=False), nn.BatchNorm3d(n_out), nn.ReLU()]
        layers.append(nn.ConvTranspose3d(channels[-1], 1, sizes[-1], sizes[-1]))
        self.layers = nn.Sequential(*layers)
        self.float()  # whatever torch's default is

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.layers(z[:, :, None, None, None])
        return logits[:, 0]


class ConvCritic(nn.Module):
    """Cells (n, bars, steps, parts) in 0 … 1 → a score each (n,), high for real; not normalised, as WGAN-GP asks."""

    def __init__(self, config: PhraseConvGANConfig) -> None:
        super().__init__()
        channels = (1, config.width // 4, config.width // 2, config.width, config.width)
        layers: list[nn.Module] = []
        for (n_in, n_out), size in zip(itertools.pairwise(channels), reversed(_sizes(config)), strict=True):
            layers += [nn.Conv3d(n_in, n_out, size, size), nn.LeakyReLU(_LEAK)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(config.width, 1))
        self.float()  # whatever torch's default is

    def forward(self, cells: Tensor) -> Tensor:
        score: Tensor = self.layers(cells[:, None])
        return score[:, 0]


def _sizes(config: PhraseConvGANConfig) -> tuple[tuple[int, int, int], ...]:
    """By how much each layer unfolds (bars, steps, parts)."""
    n_parts = kit_named(config.kit).n_parts
    return (config.bars, 1, 1), (1, BEATS, 1), (1, config.steps // BEATS, 1), (1, 1, n_parts)


class PhraseConvGAN(nn.Module):
    """Phrases by seed; see ``interfaces.PhraseSampler``.

    Attributes:
        config: its shape.
        generator: makes the phrases.
    """

    def __init__(self, config: PhraseConvGANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = ConvGenerator(config)

    @property
    def kit(self) -> Kit:
        return kit_named(self.config.kit)

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

    @torch.no_grad()
    @without_autocast
    def phrases(
        self,
        seeds: Sequence[int] | np.ndarray,
        n_bars: int,
        temperature: float = 1.0,
        given: np.ndarray | None = None,
    ) -> np.ndarray:
        """The phrases of seeds, cut at one half; computed in double precision, so that rounding turns no cell.

        Args:
            seeds: (n,) ints.
            n_bars: bars of each, 1 to ``max_bars``: the first ones of all that the generator makes.
            temperature: standard deviation of z, over 0, up to 1000; phrases become sparser below 1, denser above.
            given: must be None.

        Returns:
            (n, n_bars, steps, parts) bool.

        Raises:
            ValueError: an option out of range, or bars are given: it makes all bars at once, and goes on from none.
        """
        if given is not None:
            raise ValueError("this model makes all bars of a phrase at once, and cannot go on from bars that are given")
        seeds = whole_seeds(seeds)
        check_asked_for(n_bars, temperature, None, (self.steps, self.kit.n_parts), self.max_bars)
        z = seeds_to_z(seeds, self.config.latent_dim, RANDOM_STREAMS["phrase"][0]).astype(np.float64) * temperature
        double = copy.deepcopy(self.generator).cpu().double().eval()
        bars = np.empty((len(z), self.max_bars, self.steps, self.kit.n_parts), bool)
        for start in range(0, len(z), _BATCH):
            bars[start : start + _BATCH] = (double(torch.from_numpy(z[start : start + _BATCH])) > 0).numpy()
        return bars[:, :n_bars]


def save_phrase_conv_gan(path: str | os.PathLike[str], gan: PhraseConvGAN, provenance: dict[str, str]) -> None:
    """Write the weights of a convolutional GAN of phrases; see ``save_weights``."""
    save_weights(path, FORMAT, gan, asdict(gan.config), provenance)


def load_phrase_conv_gan(path: str | os.PathLike[str]) -> PhraseConvGAN:
    """The convolutional GAN of phrases of a weights file, ready to use. Runs no code of the file.

    Raises:
        ValueError: no weights file of such a GAN, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    return load_weights(path, FORMAT, lambda config: PhraseConvGAN(config_of(PhraseConvGANConfig, config)))
