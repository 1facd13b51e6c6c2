"""The GAN: bars from z ~ N(0, I), a discriminator, and the way back from a bar to its z.

The generator is a gated recurrent network over the steps of a bar. Its lagged inputs are the cells of the step before,
a beat before and two beats before, so that a figure can be repeated, and how exactly the bar has repeated itself so
far, as many bars do; within a step the parts are decided in the order of the kit, each knowing those before it. z has a
number for every cell: what the network expects there plus that number decides, over zero or not. So a bar is a function
of its z and its labels alone, every bar has a z, and the chance of a bar is known: a cell sounds with chance Φ(what is
expected). The labels, which both networks know, are a bar's role in its song, the style of the song, and how it was
augmented. In training the gradient passes straight through the decision (Bengio, Léonard & Courville 2013), because a
discriminator that saw soft cells would only learn "is it exactly 0 or 1".
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rhythmgan.conditions import ANY, Condition
from rhythmgan.kit import Kit, kit_named
from rhythmgan.models.config import GANConfig, config_of
from rhythmgan.models.denoiser import Denoiser, differ
from rhythmgan.models.labels import ConditionalNetwork, LabelTable, labels_of
from rhythmgan.models.precision import without_autocast
from rhythmgan.models.products import linear, tanh
from rhythmgan.models.weights import (
    BUNDLED_GRIDS,
    WeightsFormat,
    bundled_model,
    fingerprint,
    load_weights,
    save_weights,
)
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_uniform, seeds_to_z

FORMAT = WeightsFormat("rhythmgan.gan", 6, "a GAN")  # those of older versions have no denoiser


class Generator(nn.Module):
    """z (n, steps · parts) → cells (n, steps, parts), 0 or 1."""

    link_from: Tensor
    link_to: Tensor

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        steps, n_parts, width = config.length, kit_named(config.kit).n_parts, config.width
        self.steps, self.n_parts, self.width = steps, n_parts, width
        self.repeats = config.repeats
        self.lags = (1, *self.repeats)
        n_labels = len(config.roles), len(config.styles)
        self.start = LabelTable(*n_labels, width, 0.05)
        self.drive = LabelTable(*n_labels, 3 * width, 0.05)
        self.from_place = nn.Parameter(torch.randn(steps, 3 * width) * 0.1)
        n_lagged = len(self.lags) * n_parts + len(self.repeats)
        self.to_gates = nn.Linear(n_lagged + width, 2 * width, bias=False)
        self.lagged_to_new = nn.Linear(n_lagged, width, bias=False)
        self.state_to_new = nn.Linear(width, width)
        self.drop = nn.Dropout(config.dropout)
        self.to_parts = nn.Linear(width, n_parts)
        self.to_repeats = nn.Linear(width, len(self.repeats) * n_parts)
        # from each part to each of those after it
        link_from, link_to = torch.triu_indices(n_parts, n_parts, 1)
        self.to_links = nn.Linear(width, len(link_from))
        self.register_buffer("link_from", link_from, persistent=False)
        self.register_buffer("link_to", F.one_hot(link_to, n_parts).float(), persistent=False)
        self.float()  # whatever torch's default is

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """The bars of z as floats that are exactly 0 or 1; gradients pass straight through the threshold."""
        return self.unroll(z, labels)[0]

    def unroll(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Decide a bar step by step: cells, and the sums that decided them (expected plus z), both (n, steps, parts).

        Args:
            z: (n, steps · parts).
            labels: (n, 3) ints, see ``labels``; or (1, 3) for all.
        """
        noise = z.view(-1, self.steps, self.n_parts)
        state, drive = self.begin(labels)
        cells: list[Tensor] = []
        sums: list[Tensor] = []
        for step in range(self.steps):
            state, decided, decided_by = self.decide(state, drive, cells, noise[:, step])
            cells.append(decided)
            sums.append(decided_by)
        return torch.stack(cells, 1), torch.stack(sums, 1)

    def decide(
        self, state: Tensor, drive: Tensor, cells: Sequence[Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decide the next step of bars.

        Args:
            state: (n, width), after the step before; before the first (1, width) does for all.
            drive: of ``begin``.
            cells: (n, parts) of each step so far.
            noise: (n, parts), the numbers of z for this step.

        Returns:
            The state, the step's cells and the sums that decided them, both (n, parts).
        """
        state, prospect = self.look_ahead(state, drive, cells, len(noise))
        decided, decided_by = self.settle(prospect, noise)
        return state, decided, decided_by

    def look_ahead(
        self, state: Tensor, drive: Tensor, cells: Sequence[Tensor], n: int
    ) -> tuple[Tensor, tuple[Tensor, list[Tensor], Tensor]]:
        """All of the next step of n bars that does not depend on its noise; arguments as of ``decide``.

        Returns:
            The state, and what ``settle`` needs: what is expected of each part where nothing repeats (n, parts), what
            earlier steps add to it (n, parts) each, and what each part adds to those after it (n, links).
        """
        step, silence = len(cells), state.new_zeros(n, self.n_parts)
        before = [cells[step - lag] if step >= lag else silence for lag in self.lags]
        lagged = torch.cat([*before, *(_repeated(cells, lag, silence) for lag in self.repeats)], 1)
        if not cells:
            lagged = lagged[: len(state)]  # all are silent
        state = self._next_state(state, drive + self.from_place[step], lagged)
        heads = (self.to_parts, self.to_repeats, self.to_links)
        found = linear(state, torch.cat([each.weight for each in heads]), torch.cat([each.bias for each in heads]))
        expected, repeated, links = found.split_with_sizes([each.out_features for each in heads], 1)
        repeats = repeated.split_with_sizes([self.n_parts] * len(self.repeats), 1)
        added = [
            (2 * cell - 1) * repeat
            for lag, cell, repeat in zip(self.repeats, before[1:], repeats, strict=True)
            if step >= lag
        ]
        return state, (expected, added, links)

    def settle(self, prospect: tuple[Tensor, list[Tensor], Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """The cells of a step and the sums that decided them, both (…, parts).

        Args:
            prospect: of ``look_ahead``, with dimensions (n, 1, …) where each bar has several noises (n, k, parts).
            noise: (…, parts), the numbers of z for this step.
        """
        expected, added, links = prospect
        sums = expected + noise
        for each in added:
            sums = sums + each
        decided: list[Tensor] = []
        decided_by: list[Tensor] = []
        n_after = range(self.n_parts - 1, -1, -1)  # how many parts come after each
        for link in links.split_with_sizes(list(n_after), -1):
            one, sums = sums.split_with_sizes([1, link.shape[-1]], -1)
            cell = one.detach().sign().relu_()
            if torch.is_grad_enabled():
                soft = torch.sigmoid(_SLOPE * one)
                cell = cell + (soft - soft.detach())  # the bracket is exactly 0
            decided.append(cell)
            decided_by.append(one)
            sums = torch.addcmul(sums, cell, link)
        return torch.cat(decided, -1), torch.cat(decided_by, -1)

    def expect(self, bars: Tensor, labels: Tensor, shown: Tensor | None = None) -> Tensor:
        """What is expected of each cell given the true ones before it, (n, steps, parts); Φ of it is its chance.

        Args:
            bars: (n, steps, parts) floats, 0 or 1.
            labels: as ``unroll``.
            shown: (n, steps, 1), 0 where a step is hidden from the lagged inputs of later ones; all are shown without.
        """
        state, drive = self.begin(labels)
        inputs = bars if shown is None else bars * shown
        before = [_later(inputs, lag) for lag in self.lags]
        lagged = torch.cat([*before, *(_repeated_so_far(bars, lag) for lag in self.repeats)], 2)
        states: list[Tensor] = []
        for step in range(self.steps):
            state = self._next_state(state, drive + self.from_place[step], lagged[:, step])
            states.append(state)
        h = self.drop(torch.stack(states, 1))  # (n, steps, width)
        expected: Tensor = self.to_parts(h) + (self.to_links(h) * bars[..., self.link_from]) @ self.link_to
        for lag, repeat in zip(self.repeats, self.to_repeats(h).split(self.n_parts, 2), strict=True):
            expected = expected + F.pad(repeat[:, lag:] * (2 * bars[:, : self.steps - lag] - 1), (0, 0, lag, 0))
        return expected

    def begin(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The state before the first step, and what drives every step.

        Args:
            labels: (n, 3) ints; or (1, 3) for all.

        Returns:
            (n, width) and (n, 3 · width); or (1, width) and (3 · width,) for all.
        """
        state, drive = torch.tanh(self.start(labels)), self.drive(labels)
        return state, drive[0] if len(drive) == 1 else drive

    def _next_state(self, state: Tensor, drive: Tensor, lagged: Tensor) -> Tensor:
        """One step of a gated recurrent unit (Cho et al. 2014); drive (n, 3 · width), or (3 · width,) for all."""
        for_gates, for_new = drive[..., : 2 * self.width], drive[..., 2 * self.width :]
        seen = torch.cat([lagged, state.expand(len(lagged), -1)], 1)
        gates = linear(seen, self.to_gates.weight, for_gates)
        reset, keep = torch.sigmoid(gates).chunk(2, 1)
        new = linear(lagged, self.lagged_to_new.weight, for_new)
        old = linear(state, self.state_to_new.weight, self.state_to_new.bias)
        # under autocast the products come in half the bits; the state, which sums up over steps, keeps its own
        entering = tanh(torch.addcmul(new, reset, old)).to(state.dtype)
        return torch.lerp(entering, state, keep.to(state.dtype))


def _later(bars: Tensor, lag: int) -> Tensor:
    """Bars (n, steps, …) that begin so many steps later, after silence."""
    return F.pad(bars, (0, 0, lag, 0))[:, : bars.shape[1]]


def _repeated(cells: Sequence[Tensor], lag: int, like: Tensor) -> Tensor:
    """How exactly the last ``lag`` steps repeat those before them, exp(− cells that differ), (n, 1).

    Steps whose earlier one lies before the bar do not count; before the first that does it is 0.
    """
    step = len(cells)
    if step < lag:
        return torch.zeros_like(like[:, :1])
    if step == lag:
        return torch.ones_like(like[:, :1])
    first = max(lag, step - lag)
    now, earlier = torch.cat(list(cells[first:]), 1), torch.cat(list(cells[first - lag : step - lag]), 1)
    return torch.exp(-differ(now, earlier).sum(1, keepdim=True))


def _repeated_so_far(bars: Tensor, lag: int) -> Tensor:
    """``_repeated`` at every step of whole bars (n, steps, parts): (n, steps, 1)."""
    changed = differ(bars, _later(bars, lag)).sum(2, keepdim=True)
    changed[:, :lag] = 0
    until = _later(changed.cumsum(1), 1)
    repeated = torch.exp(_later(until, lag) - until)
    repeated[:, :lag] = 0
    return repeated


_SLOPE = 1.7
"""Of the logistic curve whose gradient passes the threshold: the nearest one to Φ."""


class Discriminator(nn.Module):
    """bars (n, steps, parts) floats → a logit each (n,), high for real.

    It reads the cells, each step as a learned word, in which cells a beat and two beats later differ (of a phrase also
    a bar and two bars later), and the bar's labels.
    What it makes of the bar counts by the labels as well (a projection, Miyato & Koyama 2018).
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        steps, n_parts, width = config.length, kit_named(config.kit).n_parts, config.discriminator_width
        n_labels = len(config.roles), len(config.styles)
        self.word = nn.Sequential(nn.Linear(n_parts, 64), nn.SiLU(), nn.Linear(64, 32), nn.SiLU())
        self.beat, *self.lags = config.repeats
        n_compared = steps + sum(steps - lag for lag in self.lags)
        self.first = nn.Linear(steps * (n_parts + 32) + n_compared * n_parts, width)
        self.from_labels = LabelTable(*n_labels, width, 0.1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.last = nn.Linear(width, 1)
        self.last_by_labels = LabelTable(*n_labels, width, 0.5 * width**-0.5)
        self.float()  # whatever torch's default is

    def forward(self, bars: Tensor, labels: Tensor) -> Tensor:
        """Logits (n,) of bars with labels (n, 3) ints, or (1, 3) for all."""
        compared = [differ(bars[:, :-lag], bars[:, lag:]) for lag in self.lags]
        seen = (bars, self.word(bars), differ(bars, bars.roll(self.beat, 1)), *compared)
        x = self.first(torch.cat([each.flatten(1) for each in seen], 1))
        x = x + self.from_labels(labels)
        for block in self.blocks:
            x = x + block(x)
        x = F.silu(x)
        return self.last(x).squeeze(1) + (self.last_by_labels(labels) * x).sum(1)


@dataclass(frozen=True)
class UnfinishedBars:
    """Bars of which the first steps are decided; see ``interfaces.UnfinishedBars``."""

    generator: Generator
    drive: Tensor
    state: Tensor
    decided: tuple[Tensor, ...] = ()
    decided_by: tuple[Tensor, ...] = ()

    @property
    def z(self) -> Tensor:
        """(n, parts · steps so far), the numbers of z that decided them."""
        return torch.cat(self.decided_by, 1) if self.decided_by else self.state[:, :0]

    @property
    def cells(self) -> Tensor:
        """(n, steps so far, parts) bool."""
        shape = (len(self.state), 0, self.generator.n_parts)
        return torch.stack(self.decided, 1) > 0 if self.decided else self.state.new_zeros(shape, dtype=torch.bool)

    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The same bars one step further.

        Args:
            noise: (n, parts), the numbers of z for this step.

        Raises:
            ValueError: all steps are decided, or noise of another shape.
        """
        return self.look_ahead().decide(noise)

    @torch.no_grad()
    @without_autocast
    def look_ahead(self) -> NextStep:
        """The next step before it is decided: what all noises share that are tried for it.

        Raises:
            ValueError: all steps are decided.
        """
        if len(self.decided) == self.generator.steps:
            raise ValueError(f"a bar has {self.generator.steps} steps; there is none after {len(self.decided)}")
        state, prospect = self.generator.look_ahead(self.state, self.drive, self.decided, len(self.state))
        return NextStep(self, state, prospect)

    def rows(self, index: Tensor) -> UnfinishedBars:
        """The bars of these rows, some maybe several times: what a particle filter goes on with."""
        decided, decided_by = (tuple(each[index] for each in of) for of in (self.decided, self.decided_by))
        return UnfinishedBars(self.generator, self.drive, self.state[index], decided, decided_by)


@dataclass(frozen=True)
class NextStep:
    """A step of n bars that is not decided yet; see ``interfaces.NextStep``."""

    bars: UnfinishedBars
    state: Tensor
    prospect: tuple[Tensor, list[Tensor], Tensor]

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Of this step for each bar, and of each noise that is tried for it."""
        net = self.bars.generator
        layers = (net.to_gates, net.lagged_to_new, net.state_to_new, net.to_parts, net.to_repeats, net.to_links)
        return sum(layer.weight.numel() for layer in layers), len(net.repeats) * net.n_parts + len(net.link_from)

    @torch.no_grad()
    @without_autocast
    def cells_of(self, noise: Tensor) -> Tensor:
        """The cells (n, k, parts) bool that noises (n, k, parts) decide."""
        return self._settle(noise)[0] > 0

    @torch.no_grad()
    @without_autocast
    def expected_of(self, cells: Tensor) -> Tensor:
        """What is expected of each cell given those before it; Φ of it is its chance. Cells and result (n, k, parts).

        It depends on the parts before a cell alone, as they are decided one after the other.
        """
        expected, added, links = self.prospect
        generator = self.bars.generator
        by_parts = links.new_zeros(len(links), generator.n_parts, generator.n_parts)
        by_parts[:, generator.link_from, generator.link_to.argmax(1)] = links
        return sum(added, expected)[:, None] + cells.to(expected.dtype) @ by_parts

    def noise_of(self, cells: Tensor, uniform: Tensor) -> Tensor:
        """Noises (n, k, parts) that decide cells (n, k, parts) bool, from N(0, 1) cut off where they would not.

        Args:
            cells: what is to be decided.
            uniform: (n, k, parts) of (0, 1), what they are drawn from.
        """
        return _cut_off(cells, self.expected_of(cells).double(), uniform).to(self.state.dtype)

    @torch.no_grad()
    @without_autocast
    def decide(self, noise: Tensor) -> UnfinishedBars:
        """The bars with this step decided by noise (n, parts).

        Raises:
            ValueError: noise of another shape.
        """
        expected = (len(self.state), self.bars.generator.n_parts)
        if noise.shape != expected:
            raise ValueError(f"expected noise {expected} for a step; got {tuple(noise.shape)}")
        cells, by = (each[:, 0] for each in self._settle(noise[:, None]))
        # rounding could turn what is so close, in another batch or where the whole bar is decoded
        clear = torch.where(by.abs() < _CLEAR_MARGIN, noise - by + 2 * _CLEAR_MARGIN * (2 * cells - 1), noise)
        before = self.bars
        decided, decided_by = (*before.decided, cells), (*before.decided_by, clear)
        return UnfinishedBars(before.generator, before.drive, self.state, decided, decided_by)

    def rows(self, index: Tensor) -> NextStep:
        """The step of the bars of these rows, some maybe several times: what each of several noises decides."""
        expected, added, links = self.prospect
        prospect = expected[index], [each[index] for each in added], links[index]
        return NextStep(self.bars.rows(index), self.state[index], prospect)

    def _settle(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Cells and the sums that decided them, of noises: all (n, k, parts)."""
        expected, added, links = self.prospect
        prospect = expected[:, None], [each[:, None] for each in added], links[:, None]
        return self.bars.generator.settle(prospect, noise)


def _cut_off(cells: Tensor, expected: Tensor, uniform: Tensor) -> Tensor:
    """The part of N(0, 1) that makes cells what they are, and clearly so: a number of it for each, float64.

    Args:
        cells: bool.
        expected: float64 of the same shape, what is expected of each.
        uniform: of the same shape, (0, 1), what is drawn from.
    """
    side = torch.where(cells, 1.0, -1.0).double()
    limit = _CLEAR_MARGIN * 2 - side * expected
    tail = torch.special.ndtri((uniform * torch.special.ndtr(-limit)).clamp(min=1e-300))  # or it is endless
    return side * torch.maximum(-tail, limit)


_DECODE_BATCH = 1024
_SAMPLE_BATCH = 16 * _DECODE_BATCH
_FAR = 1e3
"""A noise that decides its cell whatever is expected."""

_CLEAR_MARGIN = 2e-4
"""Single precision moves a sum by about 1e-5; nearer to zero than this a bar is decided in double."""


TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2)
"""For these it is known how the noise is shifted so that bars keep their density; between them it is interpolated."""

_REDRAWS = len(RANDOM_STREAMS["redraw"])


class LatentGenerator(ConditionalNetwork):
    """A generator with the kit and the grid of its bars: what is drawn by seed, decoded and encoded.

    Attributes:
        config: its shape.
        condition: what bars are asked for; see ``with_condition``.
        shifts: (len(TEMPERATURES), 1 + roles, parts), what is added to z at each temperature.
    """

    config: GANConfig
    shifts: Tensor

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        self.condition = Condition.default(config.roles)
        self.generator = Generator(config)
        shape = (len(TEMPERATURES), 1 + len(config.roles), self.kit.n_parts)
        self.register_buffer("shifts", torch.zeros(shape, dtype=torch.float32))

    @property
    def kit(self) -> Kit:
        return kit_named(self.config.kit)

    @property
    def steps(self) -> int:
        """Steps that are decided in a row: those of a bar, or of all bars of a phrase."""
        return self.config.length

    @property
    def latent_dim(self) -> int:
        """Numbers of z: one for each cell."""
        return self.steps * self.kit.n_parts

    @property
    def latent_steps(self) -> np.ndarray:
        """(latent_dim,) ints: the step that each number of z decides."""
        return np.arange(self.steps).repeat(self.kit.n_parts)

    @property
    def labels(self) -> Tensor:
        """(1, 3) ints: what the networks are told of the bars that are asked for."""
        labels = labels_of(self.condition, self.roles, self.styles)
        return labels.to(self.generator.from_place.device)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the generator and what it is asked for."""
        return fingerprint(self.generator, self.condition.role, self.condition.style)

    @without_autocast
    def begin(self, n: int) -> UnfinishedBars:
        """n bars of which no step is decided yet, to be decided step by step in single precision."""
        state, drive = self.generator.begin(self.labels)
        return UnfinishedBars(self.generator, drive, state.expand(n, -1))

    @without_autocast
    def decode_with_gradient(self, z: Tensor) -> Tensor:
        """The bars of z (n, latent_dim) as floats that are exactly 0 or 1; gradients pass straight through."""
        cells: Tensor = self.generator(z, self.labels)
        return cells

    @torch.no_grad()
    @without_autocast
    def cell_log_prob(self, bars: np.ndarray, temperature: float = 1.0) -> Tensor:
        """log Φ(± (expected + shift) / temperature) of each cell of bars (n, steps, parts) bool, float64 on the CPU.

        Args:
            bars: the cells, each given those before it.
            temperature: standard deviation of z, over 0.
        """
        cells = torch.from_numpy(bars)
        expected = self.in_double().expect(cells.double(), self.labels.cpu()) + self._shift(temperature)
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
        """The bars of the seeds ``seed … seed + n − 1``, of the role and style that are asked for.

        Args:
            n: how many bars, at least 1.
            seed: of the first bar; bar i is the bar of ``seed + i``, whatever n is.
            temperature: over 0: 1 as trained; with less the likely bars become likelier, as dense as before.

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
            # unsigned: of larger numbers NumPy would make floats
            seeds = np.uint64(seed + start) + np.arange(min(_SAMPLE_BATCH, n - start), dtype=np.uint64)
            chunks.append(self.draw(seeds, temperature)[1])
        return np.concatenate(chunks)

    def latents(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0, stream: int = 0) -> np.ndarray:
        """The latent points of seeds, (n, latent_dim) float32.

        A point is drawn from N(0, temperature²), see ``seeds.seeds_to_z``, and shifted so that the bars are as dense
        as those of temperature 1. The first stream is that of the seeds' bars: there a point whose bar is silent is
        drawn again, until it sounds, as songs have no silent bars; a generator that makes little else is left alone
        after ``_REDRAWS`` times.

        Args:
            seeds: (n,) ints.
            temperature: standard deviation of the noise.
            stream: another, independent point for the same seed; see ``seeds.RANDOM_STREAMS``.

        Raises:
            ValueError: a seed or the temperature is out of range.
        """
        if stream == RANDOM_STREAMS["bar"][0]:
            return self.draw(seeds, temperature)[0]
        return self._points(seeds, temperature, stream)

    def draw(self, seeds: Sequence[int] | np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """The latent points of seeds, see ``latents``, and their bars: drawn once for both."""
        seeds = np.asarray(seeds)
        z = self._points(seeds, temperature, RANDOM_STREAMS["bar"][0])
        bars = self.decode(z)
        for stream in RANDOM_STREAMS["redraw"]:
            silent = np.flatnonzero(~bars.any((1, 2)))
            if not len(silent):
                break
            z[silent] = self._points(seeds[silent], temperature, stream)
            bars[silent] = self.decode(z[silent])
        return z, bars

    def _points(self, seeds: Sequence[int] | np.ndarray, temperature: float, stream: int) -> np.ndarray:
        if not 1e-9 <= temperature <= 1e3:
            raise ValueError(f"the temperature is over 0, up to 1000, not {temperature}")
        shift = np.tile(self._shift(temperature).float().numpy(), self.steps)
        return seeds_to_z(seeds, self.latent_dim, stream) * np.float32(temperature) + shift

    def _shift(self, temperature: float) -> Tensor:
        """(parts,) float64, what keeps the density at a temperature; beyond ``TEMPERATURES`` that of their end."""
        roles = [ANY, *self.roles]
        shifts = self.shifts[:, roles.index(self.condition.role)].cpu().double()
        place = float(np.interp(temperature, TEMPERATURES, range(len(TEMPERATURES))))
        low = min(int(place), len(TEMPERATURES) - 2)
        return torch.lerp(shifts[low], shifts[low + 1], place - low)

    @torch.no_grad()
    @without_autocast
    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """The bars of latent points under the condition: z (n, latent_dim) float → (n, steps, parts) bool.

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
        labels = self.labels
        bars = np.empty((len(points), self.steps, self.kit.n_parts), bool)
        close = np.empty(len(points), bool)
        for start in range(0, len(points), _DECODE_BATCH):
            rows = slice(start, start + _DECODE_BATCH)
            cells, sums = self.generator.unroll(points[rows], labels)
            bars[rows] = (cells > 0).cpu().numpy()
            close[rows] = (sums.abs().amin((1, 2)) < _CLEAR_MARGIN).cpu().numpy()
        if close.any():
            points = points.cpu()[torch.from_numpy(close)].double()
            bars[close] = self.in_double()(points, labels.cpu()).numpy() > 0
        return bars

    def in_double(self) -> Generator:
        """The generator in double precision; on the CPU, as not every accelerator has it."""
        return copy.deepcopy(self.generator).cpu().double().eval()

    @torch.no_grad()
    @without_autocast
    def encode(self, bars: np.ndarray, seed: int | np.ndarray = 0) -> np.ndarray:
        """Latent points of bars, played or generated: the way back from ``decode``.

        Many points are a bar's; one is drawn from N(0, I) cut off where a cell would be decided otherwise, so that the
        points of bars that are as the generator expects them are distributed as those of seeds are.

        Args:
            bars: (n, steps, parts) bool.
            seed: of the first bar's point; the next has the next seed. Or (n,) ints, the seed of each.

        Returns:
            z (n, latent_dim) float32; ``decode`` gives the very bars.

        Raises:
            ValueError: bars of another shape or not bool, or a seed out of range.
        """
        bars = np.ascontiguousarray(bars)
        shape = (self.steps, self.kit.n_parts)
        if bars.dtype != bool or bars.ndim != 3 or bars.shape[1:] != shape:
            raise ValueError(f"expected bars (n, {shape[0]}, {shape[1]}) bool; got {bars.dtype} {bars.shape}")
        if isinstance(seed, np.ndarray):
            seeds: Sequence[int] | np.ndarray = seed
            if seed.shape != bars.shape[:1]:
                raise ValueError(f"expected a seed for each of {len(bars)} bars; got {seed.shape}")
        else:
            check_seed(seed)
            seeds = range(int(seed), int(seed) + len(bars))
        double, labels = self.in_double(), self.labels.cpu()
        uniform = seeds_to_uniform(seeds, self.latent_dim, stream=RANDOM_STREAMS["encode"][0])
        points = [np.empty((0, self.latent_dim), np.float32)]
        for start in range(0, len(bars), _DECODE_BATCH):
            true = torch.from_numpy(bars[start : start + _DECODE_BATCH])
            u = torch.from_numpy(uniform[start : start + _DECODE_BATCH]).view(true.shape)
            z = _cut_off(true, double.expect(true.double(), labels), u)
            points.append(z.float().flatten(1).numpy())
        return np.concatenate(points)


class AdversarialPair(LatentGenerator):
    """A generator and its discriminator: what the adversarial phase trains."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__(config)
        self.discriminator = Discriminator(config)

    @property
    def critic_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the discriminator."""
        return fingerprint(self.discriminator)

    @torch.no_grad()
    @without_autocast
    def logits(self, bars: np.ndarray | Tensor) -> Tensor:
        """The discriminator's logits (n,) of bars (n, steps, parts) bool, high for real, on its device."""
        cells = torch.as_tensor(bars, device=self.discriminator.last.weight.device).float()
        found: Tensor = self.discriminator(cells, self.labels)
        return found


class GAN(AdversarialPair):
    """A generator, its discriminator and a denoiser, with the kit and the grid of their bars."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__(config)
        self.denoiser = Denoiser(config)  # last: the others' first weights do not depend on it

    def denoiser_in_double(self) -> Callable[[Tensor], Tensor]:
        """Bars (n, steps, parts) float64 → logits of each cell, high for what does not belong; gradients pass.

        On the CPU, in double precision, under the condition: what it says is the same on every machine but for
        rounding.
        """
        denoiser, labels = copy.deepcopy(self.denoiser).cpu().double().eval(), self.labels.cpu()

        @without_autocast
        def logits(bars: Tensor) -> Tensor:
            found: Tensor = denoiser(bars, labels)
            return found

        return logits


def save_gan(path: str | os.PathLike[str], gan: GAN, provenance: dict[str, str]) -> None:
    """Write a GAN's weights; see ``save_weights``."""
    save_weights(path, FORMAT, gan, asdict(gan.config), provenance)


def load_gan(path: str | os.PathLike[str] | None = None, *, grid: int = BUNDLED_GRIDS[0]) -> GAN:
    """The GAN of a weights file, ready to sample; the bundled one by default. Runs no code of the file.

    Args:
        path: the file.
        grid: steps of a bar: which bundled GAN; a file has its own.

    Raises:
        ValueError: no weights file of a GAN of ours, one of another version, or a damaged one; or none ships for this
            grid.
        OSError: it cannot be opened.
    """
    path = bundled_model("gan", grid) if path is None else path
    return load_weights(path, FORMAT, lambda config: GAN(config_of(GANConfig, config)))
