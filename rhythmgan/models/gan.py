"""The GAN: bars from z ~ N(0, I), a discriminator, and an encoder for the way back.

The generator is a gated recurrent network over the steps of a bar. z sets its first state and drives
every step; what sounded on the step before comes back in; within a step the parts are decided in the
order of the kit, each knowing those before it. Every decision is a threshold at zero, so that a bar
is a function of its z alone; in training the gradient passes straight through it (Bengio, Léonard &
Courville 2013), because a discriminator that saw soft cells would only learn "is it exactly 0 or 1".
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.augment import N_VIEWS, REAL
from rhythmgan.bars import check_steps
from rhythmgan.kit import GM9, Kit, kit_named
from rhythmgan.latent import check_seed, seeds_to_z
from rhythmgan.models.weights import bundled, load_weights, save_weights

FORMAT = "rhythmgan.gan"


class Generator(nn.Module):
    """z (n, z_dim) → cells (n, steps, parts), 0 or 1."""

    later: Tensor

    def __init__(self, steps: int, n_parts: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.steps, self.n_parts, self.z_dim, self.width = steps, n_parts, z_dim, width
        self.start = nn.Linear(z_dim, width)
        self.from_z = nn.Linear(z_dim, 3 * width)
        self.from_view = nn.Parameter(torch.randn(N_VIEWS, 3 * width) * 0.05)
        self.from_place = nn.Parameter(torch.randn(steps, 3 * width) * 0.1)
        self.from_cells = nn.Linear(n_parts, 3 * width, bias=False)
        self.from_state = nn.Linear(width, 3 * width)
        self.to_parts = nn.Linear(width, n_parts)
        self.to_links = nn.Linear(width, n_parts * n_parts)
        self.register_buffer("later", torch.ones(n_parts, n_parts).triu(1), persistent=False)

    def forward(self, z: Tensor, view: Tensor | None = None) -> Tensor:
        """The bars of z as floats that are exactly 0 or 1; gradients pass straight through the threshold."""
        return self.roll(z, view)[0]

    def roll(self, z: Tensor, view: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Cells and the logits that decided them, both (n, steps, parts).

        Args:
            z: (n, z_dim).
            view: (n,) labels of ``augment``; all bars are real without.
        """
        state, drive = self._begin(z, view)
        cells = z.new_zeros(len(z), self.n_parts)
        all_cells: list[Tensor] = []
        all_logits: list[Tensor] = []
        for step in range(self.steps):
            state = self._next_state(state, drive + self.from_place[step], cells)
            logits = self.to_parts(state)
            links = self.to_links(state).view(-1, self.n_parts, self.n_parts)
            decided: list[Tensor] = []
            for part in range(self.n_parts):
                logit = logits[:, part]
                cell = (logit > 0).to(z.dtype)
                if torch.is_grad_enabled():
                    soft = torch.sigmoid(logit)
                    cell = cell + (soft - soft.detach())  # the bracket is exactly 0
                decided.append(cell)
                all_logits.append(logit)
                if part + 1 < self.n_parts:
                    logits = torch.addcmul(logits, cell[:, None], links[:, part])
            cells = torch.stack(decided, 1)
            all_cells.append(cells)
        shape = (len(z), self.steps, self.n_parts)
        return torch.stack(all_cells, 1), torch.stack(all_logits, 1).view(shape)

    def teach(self, z: Tensor, bars: Tensor, kept: Tensor, view: Tensor | None = None) -> Tensor:
        """Logits (n, steps, parts) of known bars, each cell given z and the true cells before it.

        Args:
            z: (n, z_dim).
            bars: (n, steps, parts) floats, 0 or 1.
            kept: (n, steps, 1), 0 where the step before is hidden, so that z has to say it.
            view: (n,) labels of ``augment``; all bars are real without.
        """
        state, drive = self._begin(z, view)
        before = F.pad(bars, (0, 0, 1, 0))[:, :-1] * kept
        states: list[Tensor] = []
        for step in range(self.steps):
            state = self._next_state(state, drive + self.from_place[step], before[:, step])
            states.append(state)
        h = torch.stack(states, 1)  # (n, steps, width)
        links = self.to_links(h).view(len(z), self.steps, self.n_parts, self.n_parts)
        return self.to_parts(h) + (bars[..., None] * self.later * links).sum(-2)

    def _begin(self, z: Tensor, view: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.tanh(self.start(z)), self.from_z(z) + self.from_view[REAL if view is None else view]

    def _next_state(self, state: Tensor, drive: Tensor, cells: Tensor) -> Tensor:
        """One step of a gated recurrent unit (Cho et al. 2014)."""
        given = torch.addmm(drive, cells, self.from_cells.weight.T)
        reset_in, keep_in, new_in = given.view(-1, 3, self.width).unbind(1)
        reset, keep, new = self.from_state(state).view(-1, 3, self.width).unbind(1)
        candidate = torch.tanh(torch.addcmul(new_in, torch.sigmoid(reset_in + reset), new))
        return torch.lerp(candidate, state, torch.sigmoid(keep_in + keep))


class Discriminator(nn.Module):
    """bars (n, steps, parts) floats → a logit each (n,), high for real.

    It reads the cells, each step as a learned word, and the label of the view (``augment``) that it is shown.
    """

    def __init__(self, steps: int, n_parts: int, width: int) -> None:
        super().__init__()
        self.word = nn.Sequential(nn.Linear(n_parts, 64), nn.SiLU(), nn.Linear(64, 32), nn.SiLU())
        self.first = nn.Linear(steps * (n_parts + 32), width)
        self.from_view = nn.Parameter(torch.randn(N_VIEWS, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.last = nn.Linear(width, 1)

    def forward(self, bars: Tensor, view: Tensor | None = None) -> Tensor:
        x = self.first(torch.cat([bars.flatten(1), self.word(bars).flatten(1)], 1))
        x = x + self.from_view[REAL if view is None else view]
        for block in self.blocks:
            x = x + block(x)
        return self.last(F.silu(x)).squeeze(1)


class Encoder(nn.Module):
    """bars (n, steps, parts) floats → mean and log standard deviation of z, (n, z_dim) each."""

    def __init__(self, steps: int, n_parts: int, z_dim: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(steps * n_parts, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2 * z_dim),
        )

    def forward(self, bars: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.layers(bars.flatten(1)).chunk(2, -1)
        return mean, log_std.clamp(-6, 2)


@dataclass(frozen=True)
class GANConfig:
    """The shape of a GAN: all that is needed, with its weights, to build it again.

    Attributes:
        kit: name of the kit of its bars.
        steps: grid of its bars.
        z_dim: dimensions of z; 32 to 128 are usual.
        width: units of the generator's state.
        discriminator_width: units of the discriminator's layers.
        encoder_width: units of the encoder's layers.
    """

    kit: str = GM9.name
    steps: int = 16
    z_dim: int = 64
    width: int = 192
    discriminator_width: int = 160
    encoder_width: int = 384

    def __post_init__(self) -> None:
        kit_named(str(self.kit))
        check_steps(self.steps)
        if not 1 <= self.z_dim <= 1024 or not all(
            1 <= width <= 4096 for width in (self.width, self.discriminator_width, self.encoder_width)
        ):
            raise ValueError("z_dim lies in 1 … 1024, the widths in 1 … 4096")


_DECODE_BATCH = 1024
_CLEAR_MARGIN = 1e-3
"""Single precision moves a logit by about 1e-5; nearer to zero than this a bar is decided in double."""


class GAN(nn.Module):
    """A generator, its discriminator and its encoder, with the kit and the grid of their bars."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        kit = kit_named(config.kit)
        self.generator = Generator(config.steps, kit.n_parts, config.z_dim, config.width)
        self.discriminator = Discriminator(config.steps, kit.n_parts, config.discriminator_width)
        self.encoder = Encoder(config.steps, kit.n_parts, config.z_dim, config.encoder_width)

    @property
    def kit(self) -> Kit:
        return kit_named(self.config.kit)

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """The bars of the seeds ``seed … seed + n − 1``.

        Args:
            n: how many bars, at least 1.
            seed: of the first bar; bar i is the bar of ``seed + i``, whatever n is.
            temperature: standard deviation of z, over 0: 1 as trained, less for more ordinary bars.

        Returns:
            (n, steps, parts) bool.

        Raises:
            ValueError: n, the seed or the temperature is out of range.
        """
        if n < 1:
            raise ValueError(f"at least one bar must be asked for, not {n}")
        check_seed(seed)
        chunks = []
        for start in range(0, n, _DECODE_BATCH):
            seeds = range(seed + start, seed + min(start + _DECODE_BATCH, n))
            chunks.append(self.decode(self.latents(seeds, temperature)))
        return np.concatenate(chunks)

    def latents(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0, stream: int = 0) -> np.ndarray:
        """The latent points of seeds, (n, z_dim) float32; see ``latent.seeds_to_z``."""
        if not 0 < temperature < math.inf:
            raise ValueError(f"the temperature is over 0, not {temperature}")
        return seeds_to_z(seeds, self.config.z_dim, stream) * np.float32(temperature)

    def phrase_latents(self, seeds: Sequence[int] | np.ndarray, n_bars: int, temperature: float = 1.0) -> np.ndarray:
        """Latent points of phrases (n, n_bars, z_dim) float32: a bar, and variations of it.

        The first bar is the seed's own. The others are turned away from it, each towards a
        direction of its own, by ``_TURNS``: by most on every fourth bar, where drummers play a
        fill. A turned point is as likely under N(0, I).
        """
        if n_bars < 1:
            raise ValueError(f"a phrase has at least one bar, not {n_bars}")
        first = self.latents(seeds, temperature)
        points = [first]
        for place in range(1, n_bars):
            angle = _TURNS[place % len(_TURNS)]
            other = self.latents(seeds, temperature, stream=place)
            points.append(np.float32(math.cos(angle)) * first + np.float32(math.sin(angle)) * other)
        return np.stack(points, 1)

    @torch.no_grad()
    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """The bars of latent points: z (n, z_dim) float → (n, steps, parts) bool.

        A bar depends on its own z only: where a decision is so close that rounding, which changes
        with the batch and the machine, could turn it, the bar is decided again in double precision.

        Raises:
            ValueError: z has another shape, or is not finite.
        """
        if not isinstance(z, Tensor):
            z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise ValueError(f"expected z (n, {self.config.z_dim}); got {tuple(z.shape)}")
        device = self.generator.from_place.device
        points = torch.as_tensor(z, dtype=torch.float32, device=device)
        if not torch.isfinite(points).all():
            raise ValueError("z must be finite")
        shape = (self.config.steps, self.kit.n_parts)
        bars = np.empty((len(points), *shape), bool)
        for start in range(0, len(points), _DECODE_BATCH):
            batch = points[start : start + _DECODE_BATCH]
            cells, logits = self.generator.roll(batch)
            cells = (cells > 0).cpu()
            close = logits.abs().amin((1, 2)).cpu() < _CLEAR_MARGIN
            if close.any():
                # on the CPU: not every accelerator has double precision
                double = copy.deepcopy(self.generator).cpu().double()
                again = double(batch.cpu()[close].double())
                cells[close] = again > 0
            bars[start : start + _DECODE_BATCH] = cells.numpy()
        return bars


_TURNS = (0.1, 0.15, 0.1, 0.6)
"""Radians that bar 0, 1, 2, 3 of every four are turned from a phrase's first bar (which is not)."""


def save_gan(path: str | os.PathLike[str], gan: GAN, provenance: dict[str, str]) -> None:
    """Write a GAN's weights; see ``save_weights``."""
    save_weights(path, FORMAT, gan, asdict(gan.config), provenance)


def load_gan(path: str | os.PathLike[str] | None = None) -> GAN:
    """The GAN of a weights file, ready to sample; the bundled one by default. Runs no code of the file.

    Raises:
        ValueError: no weights file of a GAN of ours, one of another version, or a damaged one.
        OSError: it cannot be opened.
    """
    path = bundled("gan.safetensors") if path is None else path
    return load_weights(path, FORMAT, lambda config: GAN(GANConfig(**config)))
