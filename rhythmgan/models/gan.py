"""The GAN: bars from z ~ N(0, I), a discriminator, and the way back from a bar to its z.

The generator is a gated recurrent network over the steps of a bar. Its lagged inputs are the cells of the step before,
a beat before and two beats before, so that a figure can be repeated; within a step the parts are decided in the order
of the kit, each knowing those before it. z has a number for every cell: what the network expects there
plus that number decides, over zero or not. So a bar is a function of its z alone, every bar has a z, and the chance
of a bar is known: a cell sounds with chance Φ(what is expected). In training the gradient passes straight through
the decision (Bengio, Léonard & Courville 2013), because a discriminator that saw soft cells would only learn "is it
exactly 0 or 1".
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.augment import N_AUGMENTATIONS, REAL
from rhythmgan.bars import BEATS
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import GANConfig
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.weights import WeightsFormat, bundled, fingerprint, load_weights, save_weights
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform, seeds_to_z

FORMAT = WeightsFormat("rhythmgan.gan", 4, "a GAN")  # of 1 and 2 z was another, of 3 the names of tensors


class Generator(nn.Module):
    """z (n, steps · parts) → cells (n, steps, parts), 0 or 1."""

    causal_mask: Tensor

    def __init__(self, steps: int, n_parts: int, width: int, dropout: float) -> None:
        super().__init__()
        self.steps, self.n_parts, self.width = steps, n_parts, width
        self.lags = (1, steps // BEATS, 2 * (steps // BEATS))
        self.start = nn.Parameter(torch.zeros(N_AUGMENTATIONS, width))
        self.from_augmentation = nn.Parameter(torch.randn(N_AUGMENTATIONS, 3 * width) * 0.05)
        self.from_place = nn.Parameter(torch.randn(steps, 3 * width) * 0.1)
        n_lagged = len(self.lags) * n_parts
        self.to_gates = nn.Linear(n_lagged + width, 2 * width, bias=False)
        self.lagged_to_new = nn.Linear(n_lagged, width, bias=False)
        self.state_to_new = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.to_parts = nn.Linear(width, n_parts)
        self.to_links = nn.Linear(width, n_parts * n_parts)
        self.register_buffer("causal_mask", torch.ones(n_parts, n_parts).triu(1), persistent=False)
        self.float()  # whatever torch's default is

    def forward(self, z: Tensor, augmentation: Tensor | None = None) -> Tensor:
        """The bars of z as floats that are exactly 0 or 1; gradients pass straight through the threshold."""
        return self.unroll(z, augmentation)[0]

    def unroll(self, z: Tensor, augmentation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Decide a bar step by step: cells, and the sums that decided them (expected plus z), both (n, steps, parts).

        Args:
            z: (n, steps · parts).
            augmentation: (n,) labels of ``augment``; all bars are real without.
        """
        noise = z.view(-1, self.steps, self.n_parts)
        state, drive = self.begin(len(z), augmentation)
        cells: list[Tensor] = []
        sums: list[Tensor] = []
        for step in range(self.steps):
            state, decided, decided_by = self.decide(state, drive, cells, noise[:, step])
            cells.append(decided)
            sums += decided_by
        shape = (len(z), self.steps, self.n_parts)
        return torch.stack(cells, 1), torch.stack(sums, 1).view(shape)

    def decide(
        self, state: Tensor, drive: Tensor, cells: Sequence[Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Decide the next step of bars.

        Args:
            state: (n, width), after the step before.
            drive: of ``begin``.
            cells: (n, parts) of each step so far.
            noise: (n, parts), the numbers of z for this step.

        Returns:
            The state, the step's cells (n, parts), and for each part the sums (n,) that decided it.
        """
        step, silence = len(cells), torch.zeros_like(noise)
        lagged = torch.cat([cells[step - lag] if step >= lag else silence for lag in self.lags], 1)
        state = self._next_state(state, drive + self.from_place[step], lagged)
        sums = self.to_parts(state) + noise
        links = self.to_links(state).view(-1, self.n_parts, self.n_parts)
        decided: list[Tensor] = []
        decided_by: list[Tensor] = []
        for part in range(self.n_parts):
            one = sums[:, part]
            cell = (one > 0).to(noise.dtype)
            if torch.is_grad_enabled():
                soft = torch.sigmoid(_SLOPE * one)
                cell = cell + (soft - soft.detach())  # the bracket is exactly 0
            decided.append(cell)
            decided_by.append(one)
            if part + 1 < self.n_parts:
                sums = torch.addcmul(sums, cell[:, None], links[:, part])
        return state, torch.stack(decided, 1), decided_by

    def expect(self, bars: Tensor, augmentation: Tensor | None = None, shown: Tensor | None = None) -> Tensor:
        """What is expected of each cell given the true ones before it, (n, steps, parts); Φ of it is its chance.

        Args:
            bars: (n, steps, parts) floats, 0 or 1.
            augmentation: (n,) labels of ``augment``; all bars are real without.
            shown: (n, steps, 1), 0 where a step is hidden from the lagged inputs of later ones; all are shown without.
        """
        state, drive = self.begin(len(bars), augmentation)
        inputs = bars if shown is None else bars * shown
        lagged = torch.cat([F.pad(inputs, (0, 0, lag, 0))[:, : self.steps] for lag in self.lags], 2)
        states: list[Tensor] = []
        for step in range(self.steps):
            state = self._next_state(state, drive + self.from_place[step], lagged[:, step])
            states.append(state)
        h = self.drop(torch.stack(states, 1))  # (n, steps, width)
        links = self.to_links(h).view(len(bars), self.steps, self.n_parts, self.n_parts)
        return self.to_parts(h) + (bars[..., None] * self.causal_mask * links).sum(-2)

    def begin(self, n: int, augmentation: Tensor | None) -> tuple[Tensor, Tensor]:
        """The state before the first step (n, width), and what drives every step, (n, 3 · width) or (3 · width,)."""
        if augmentation is None:  # one drive for all
            return torch.tanh(self.start[REAL]).expand(n, -1), self.from_augmentation[REAL]
        return torch.tanh(self.start[augmentation]), self.from_augmentation[augmentation]

    def _next_state(self, state: Tensor, drive: Tensor, lagged: Tensor) -> Tensor:
        """One step of a gated recurrent unit (Cho et al. 2014); drive (n, 3 · width), or (3 · width,) for all."""
        for_gates, for_new = drive[..., : 2 * self.width], drive[..., 2 * self.width :]
        gates = torch.addmm(for_gates, torch.cat([lagged, state], 1), self.to_gates.weight.T)
        reset, keep = torch.sigmoid(gates).chunk(2, 1)
        new = torch.addmm(for_new, lagged, self.lagged_to_new.weight.T)
        return torch.lerp(torch.tanh(torch.addcmul(new, reset, self.state_to_new(state))), state, keep)


_SLOPE = 1.7
"""Of the logistic curve whose gradient passes the threshold: the nearest one to Φ."""


class Discriminator(nn.Module):
    """bars (n, steps, parts) floats → a logit each (n,), high for real.

    It reads the cells, each step as a learned word, in which cells a beat and two beats later differ, and the
    label of the bar's augmentation (``augment``).
    """

    def __init__(self, steps: int, n_parts: int, width: int) -> None:
        super().__init__()
        self.word = nn.Sequential(nn.Linear(n_parts, 64), nn.SiLU(), nn.Linear(64, 32), nn.SiLU())
        self.beat = steps // BEATS
        self.first = nn.Linear(steps * (n_parts + 32) + (steps + 2 * self.beat) * n_parts, width)
        self.from_augmentation = nn.Parameter(torch.randn(N_AUGMENTATIONS, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.last = nn.Linear(width, 1)
        self.float()  # whatever torch's default is

    def forward(self, bars: Tensor, augmentation: Tensor | None = None) -> Tensor:
        first_half, second_half = bars[:, : 2 * self.beat], bars[:, 2 * self.beat :]
        seen = (bars, self.word(bars), _differ(bars, bars.roll(self.beat, 1)), _differ(first_half, second_half))
        x = self.first(torch.cat([each.flatten(1) for each in seen], 1))
        x = x + self.from_augmentation[REAL if augmentation is None else augmentation]
        for block in self.blocks:
            x = x + block(x)
        return self.last(F.silu(x)).squeeze(1)


def _differ(cells: Tensor, others: Tensor) -> Tensor:
    """1 where cells of 0 and 1 differ; smooth between, so that gradients pass."""
    return cells + others - 2 * cells * others


@dataclass(frozen=True)
class UnfinishedBars:
    """Bars of which the first steps are decided; see ``interfaces.UnfinishedBars``."""

    generator: Generator
    state: Tensor
    decided: tuple[Tensor, ...] = ()

    @property
    def cells(self) -> Tensor:
        """(n, steps so far, parts) bool."""
        shape = (len(self.state), 0, self.generator.n_parts)
        return torch.stack(self.decided, 1) > 0 if self.decided else self.state.new_zeros(shape, dtype=torch.bool)

    @torch.no_grad()
    @without_autocast
    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The same bars one step further.

        Args:
            noise: (n, parts), the numbers of z for this step.

        Raises:
            ValueError: all steps are decided, or noise of another shape.
        """
        expected = (len(self.state), self.generator.n_parts)
        if len(self.decided) == self.generator.steps or noise.shape != expected:
            raise ValueError(
                f"expected noise {expected} for one of {self.generator.steps} steps; "
                f"got {tuple(noise.shape)} after {len(self.decided)}"
            )
        drive = self.generator.from_augmentation[REAL]
        state, cells, _ = self.generator.decide(self.state, drive, self.decided, noise)
        return UnfinishedBars(self.generator, state, (*self.decided, cells))

    def rows(self, index: Tensor) -> UnfinishedBars:
        """The bars of these rows, some maybe several times: what a particle filter goes on with."""
        return UnfinishedBars(self.generator, self.state[index], tuple(cells[index] for cells in self.decided))


_DECODE_BATCH = 1024
_SAMPLE_BATCH = 16 * _DECODE_BATCH
_FAR = 1e3
"""A noise that decides its cell whatever is expected."""

_CLEAR_MARGIN = 2e-4
"""Single precision moves a sum by about 1e-5; nearer to zero than this a bar is decided in double."""


class GAN(nn.Module):
    """A generator and its discriminator, with the kit and the grid of their bars."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        kit = kit_named(config.kit)
        self.generator = Generator(config.steps, kit.n_parts, config.width, config.dropout)
        self.discriminator = Discriminator(config.steps, kit.n_parts, config.discriminator_width)

    @property
    def kit(self) -> Kit:
        return kit_named(self.config.kit)

    @property
    def steps(self) -> int:
        return self.config.steps

    @property
    def latent_dim(self) -> int:
        """Numbers of z: one for each cell."""
        return self.steps * self.kit.n_parts

    @property
    def latent_steps(self) -> np.ndarray:
        """(latent_dim,) ints: the step that each number of z decides."""
        return np.arange(self.steps).repeat(self.kit.n_parts)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the generator."""
        return fingerprint(self.generator)

    @property
    def critic_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the discriminator."""
        return fingerprint(self.discriminator)

    @torch.no_grad()
    @without_autocast
    def logits(self, bars: np.ndarray | Tensor) -> Tensor:
        """The discriminator's logits (n,) of bars (n, steps, parts) bool, high for real, on its device."""
        cells = torch.as_tensor(bars, device=self.discriminator.last.weight.device).float()
        found: Tensor = self.discriminator(cells)
        return found

    @without_autocast
    def begin(self, n: int) -> UnfinishedBars:
        """n bars of which no step is decided yet, to be decided step by step in single precision."""
        return UnfinishedBars(self.generator, self.generator.begin(n, None)[0])

    @without_autocast
    def decode_with_gradient(self, z: Tensor) -> Tensor:
        """The bars of z (n, latent_dim) as floats that are exactly 0 or 1; gradients pass straight through."""
        cells: Tensor = self.generator(z)
        return cells

    @torch.no_grad()
    @without_autocast
    def cell_log_prob(self, bars: np.ndarray, temperature: float = 1.0) -> Tensor:
        """log Φ(± expected / temperature) of each cell of bars (n, steps, parts) bool, float64 on the CPU.

        Args:
            bars: the cells, each given those before it.
            temperature: standard deviation of z, over 0.
        """
        cells = torch.from_numpy(bars)
        expected = self.in_double().expect(cells.double())
        side = torch.where(cells, 1.0, -1.0).double()
        return torch.special.log_ndtr(side * expected / temperature)

    def lock(self, z: np.ndarray, bars: np.ndarray, locked: np.ndarray) -> np.ndarray:
        """z with endlessly far noise where cells are locked, so that these are decided as they are in ``bars``.

        Args:
            z: (n, latent_dim) float32.
            bars: (n, steps, parts) bool, or (1, steps, parts) for all.
            locked: (steps, parts) bool.

        Raises:
            ValueError: locks of another shape or not bool.
        """
        if locked.shape != bars.shape[1:] or locked.dtype != bool:
            raise ValueError(f"expected locks {bars.shape[1:]} bool; got {locked.dtype} {locked.shape}")
        decided = np.where(bars, _FAR, -_FAR).astype(z.dtype).reshape(len(bars), self.latent_dim)
        return np.where(locked.reshape(-1), decided, z)

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
            raise ValueError(f"n is at least 1, not {n}")
        check_seed(seed)
        seed = int(seed)
        chunks = []
        for start in range(0, n, _SAMPLE_BATCH):
            seeds = range(seed + start, seed + min(start + _SAMPLE_BATCH, n))
            chunks.append(self.decode(self.latents(seeds, temperature)))
        return np.concatenate(chunks)

    def latents(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0, stream: int = 0) -> np.ndarray:
        """The latent points of seeds, (n, latent_dim) float32; see ``seeds.seeds_to_z``."""
        if not 1e-9 <= temperature <= 1e3:
            raise ValueError(f"the temperature is over 0, up to 1000, not {temperature}")
        return seeds_to_z(seeds, self.latent_dim, stream) * np.float32(temperature)

    @torch.no_grad()
    @without_autocast
    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """The bars of latent points: z (n, latent_dim) float → (n, steps, parts) bool.

        A bar depends on its own z only: where a decision is so close that rounding, which changes
        with the batch and the machine, could turn it, the bar is decided again in double precision.

        Raises:
            ValueError: z has another shape, or is not finite.
        """
        if not isinstance(z, Tensor):
            z = np.array(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"expected z (n, {self.latent_dim}); got {tuple(z.shape)}")
        device = self.generator.from_place.device
        points = torch.as_tensor(z, dtype=torch.float32, device=device)
        if not torch.isfinite(points).all():
            raise ValueError("z must be finite")
        shape = (self.steps, self.kit.n_parts)
        bars = np.empty((len(points), *shape), bool)
        close = np.empty(len(points), bool)
        for start in range(0, len(points), _DECODE_BATCH):
            rows = slice(start, start + _DECODE_BATCH)
            cells, sums = self.generator.unroll(points[rows])
            bars[rows] = (cells > 0).cpu().numpy()
            close[rows] = (sums.abs().amin((1, 2)) < _CLEAR_MARGIN).cpu().numpy()
        if close.any():
            bars[close] = self.in_double()(points.cpu()[torch.from_numpy(close)].double()).numpy() > 0
        return bars

    def in_double(self) -> Generator:
        """The generator in double precision; on the CPU, as not every accelerator has it."""
        return copy.deepcopy(self.generator).cpu().double().eval()

    @torch.no_grad()
    @without_autocast
    def encode(self, bars: np.ndarray, seed: int = 0) -> np.ndarray:
        """Latent points of bars, played or generated: the way back from ``decode``.

        Many points are a bar's; one is drawn from N(0, I) cut off where a cell would be decided otherwise, so that the
        points of bars that are as the generator expects them are distributed as those of seeds are.

        Args:
            bars: (n, steps, parts) bool.
            seed: of the first bar's point; the next has the next seed.

        Returns:
            z (n, latent_dim) float32; ``decode`` gives the very bars.

        Raises:
            ValueError: bars of another shape or not bool, or a seed out of range.
        """
        bars = np.ascontiguousarray(bars)
        shape = (self.steps, self.kit.n_parts)
        if bars.dtype != bool or bars.ndim != 3 or bars.shape[1:] != shape:
            raise ValueError(f"expected bars (n, {shape[0]}, {shape[1]}) bool; got {bars.dtype} {bars.shape}")
        check_seed(seed)
        seed = int(seed)
        double = self.in_double()
        uniform = seeds_to_uniform(range(seed, seed + len(bars)), self.latent_dim, stream=RANDOM_STREAMS["encode"][0])
        points = [np.empty((0, self.latent_dim), np.float32)]
        for start in range(0, len(bars), _DECODE_BATCH):
            true = torch.from_numpy(bars[start : start + _DECODE_BATCH])
            u = torch.from_numpy(uniform[start : start + _DECODE_BATCH]).view(true.shape)
            side = torch.where(true, 1.0, -1.0).double()
            expected = double.expect(true.double())
            # the part of N(0, 1) that makes the cell what it is, and clearly so
            limit = _CLEAR_MARGIN * 2 - side * expected
            tail = torch.special.ndtri((u * torch.special.ndtr(-limit)).clamp(min=1e-300))  # or it is endless
            z = side * torch.maximum(-tail, limit)
            points.append(z.float().flatten(1).numpy())
        return np.concatenate(points)


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
