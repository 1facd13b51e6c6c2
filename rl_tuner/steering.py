"""From targets to bars: episodes of an agent, the best bar of each kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rhythmgan.features import LEVELS, measure_performance, with_swung_bars
from rhythmgan.groove import swing_at
from rhythmgan.kit import Kit
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.performance import Performance
from rhythmgan.playback import check_swing
from rhythmgan.reference import Reference, load_reference
from rhythmgan.seeds import RANDOM_STREAMS, check_seed, seeds_to_z
from rl_tuner.config import CALLS, REALISM
from rl_tuner.dynamics import MAX_CALLS, Best, advance
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import LatentAgent, load_latent_agent
from rl_tuner.latent.dynamics import Dynamics

MAX_TARGET = 1e6
"""No feature of a bar is larger."""

SWING_TOLERANCE = 0.01
"""How near to its target a swing counts as reached."""

_FAR_OUT = 1e6

_MAX_BARS = 1_000_000
_MAX_LOOKS = 50_000_000
_CHUNK = 1024
"""Bars whose performance is in memory at a time."""


@dataclass
class SteeringResult:
    """Episodes and what they came to.

    Attributes:
        features: names of what was steered, F of them.
        targets: (n, F).
        importance: (n, F), 0 where a feature was skipped.
        tolerance: (F,), how near is near enough.
        before, after: (n, steps, parts) bool, the first bars and the best ones.
        z_before, z_after: (n, latent_dim).
        path: (n, calls, F), the features of the bar after each call; NaN once an episode is over.
        values: (n, F), the features of the best bars.
        terms: the terms of those by name, each (n,), see ``State``.
        calls: (n,) ints, the generator calls that each episode used.
        at: (n,) ints, the call that found the best bar, 1 the first.
        kit: what the parts of the bars are.
        swing: features of ``PERFORMANCE_FEATURES`` that were asked for, and their targets.
        played: how the bars are played that episodes began at, each in turn; None for accents on the grid.
    """

    features: tuple[str, ...]
    targets: np.ndarray
    importance: np.ndarray
    tolerance: np.ndarray
    before: np.ndarray
    after: np.ndarray
    z_before: np.ndarray
    z_after: np.ndarray
    path: np.ndarray
    values: np.ndarray
    terms: dict[str, np.ndarray]
    calls: np.ndarray
    at: np.ndarray
    kit: Kit
    swing: dict[str, float] = field(default_factory=dict)
    played: Performance | None = None

    @property
    def bars(self) -> np.ndarray:
        """The bars that were found, (n, steps, parts) bool."""
        return self.after

    @property
    def success(self) -> np.ndarray:
        """Whether each has its targets, within the tolerance of each: (n,) bool."""
        return self.terms["success"] > 0

    def performance_before(self, places: np.ndarray) -> Performance:
        """How the first bars of these episodes are played, a loop of them."""
        if self.played is None:
            return Performance.of(self.before[places], self.kit)
        return self.played[places % len(self.played)].with_bars(self.before[places])

    def performance(self, places: np.ndarray | None = None) -> Performance:
        """How the bars that were found are played, a loop of them: cells that stay as before, with the swing asked for.

        Args:
            places: (m,) ints, of which episodes; of all by default.
        """
        places = np.arange(len(self.after)) if places is None else places
        found, after = self.performance_before(places), self.after[places]
        for name, target in self.swing.items():
            found = with_swung_bars(found, after, target, LEVELS[name])
        return found if self.swing else found.with_bars(after)

    def swing_reached(self) -> dict[str, np.ndarray]:
        """What ``performance`` measures of the swing that was asked for: (n,) each, NaN for bars without off-beats."""
        n = len(self.after)
        parts = [
            measure_performance(self.performance(np.arange(i, min(i + _CHUNK, n))), list(self.swing))
            for i in range(0, n, _CHUNK)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in self.swing}

    def sentence(self) -> str:
        """What came of it, in words."""
        found = self._found()
        if not self.swing:
            return found
        n, swings = len(self.after), []
        for name, values in self.swing_reached().items():
            n_reached = int((np.abs(values - self.swing[name]) <= SWING_TOLERANCE).sum())
            n_without = int(np.isnan(values).sum())
            shares = [f"{n_reached} of {n}"] if n_reached < n else []
            shares += [f"{n_without} without such off-beats"] if n_without else []
            swings.append(f"{name} {self.swing[name]:.3g}" + (f" ({', '.join(shares)})" if shares else ""))
        return f"{found}; with {' and '.join(swings)}"

    def _found(self) -> str:
        """What was found on the grid, in words."""
        n, n_reached = len(self.after), int(self.success.sum())
        asked = [(i, name) for i, name in enumerate(self.features) if self.importance[0, i] > 0]
        wanted = " and ".join(f"{name} {self.targets[0, i]:.4g} ± {self.tolerance[i]:.2g}" for i, name in asked)
        bars = "bar" if n == 1 else "bars"
        if not asked:
            return f"{n} {bars}: as {'it was' if n == 1 else 'they were'}"
        if n_reached == n:
            return f"{n} {bars}: {'it has' if n == 1 else 'all have'} {wanted}"
        if n_reached:
            return f"{n_reached} of {n} {bars} reached {wanted}; the others are the nearest found"
        nearest = int(self.terms["match"].argmax())
        has = " and ".join(f"{name} {self.values[nearest, i]:.4g}" for i, name in asked)
        return f"no bar with {wanted} was found: the nearest has {has}"


def steer(
    targets: Mapping[str, float],
    n: int = 1,
    *,
    calls: int = CALLS,
    seed: int = 0,
    start: np.ndarray | None = None,
    played: Performance | None = None,
    importance: Mapping[str, float] | None = None,
    realism: float = REALISM,
    agent: LatentAgent | None = None,
    generator: LatentModel | None = None,
    critic: Critic | None = None,
    prior: Likelihood | None = None,
) -> SteeringResult:
    """Steer n bars to the features asked for.

    An episode is a function of its seed, its start and what is asked, in any batch.

    Args:
        targets: feature → value, in its own unit; features of the agent that are not named are skipped. A feature of
            ``PERFORMANCE_FEATURES`` is set when the bars are played, .5 … .7: ``swing`` of the off-beat eighths,
            ``sixteenth swing`` of the second sixteenths. Alone it leaves the bars as they are.
        n: episodes.
        calls: generator calls of each at most, its first bar included.
        seed: of the first episode; the next has the next seed. An episode begins at the bar of its seed, unless
            ``start`` is given.
        start: (m, latent_dim), where to begin instead, each in turn: points of the generator, asked for the role and
            the style that the agent learnt.
        played: how the bars of ``start`` are played, a loop of m bars; with accents on the grid by default.
        importance: feature → how much it counts beside the others, over 0; 1 by default.
        realism: 0 … 1, how much it counts that bars stay real, beside precision: the coefficient of every term of
            ``rewards.TERMS``.
        agent, generator, prior: the bundled ones by default.
        critic: the judge of realism; the generator's own by default.

    Raises:
        ValueError: a feature that the agent does not steer, a target that is negative or no number, or another
            argument out of range.
    """
    agent = agent or load_latent_agent()
    features = agent.config.features
    swing, of_bars = _swing_and_others(targets)
    wanted = {} if swing and not of_bars else checked_targets(of_bars, features)
    for name, count, most in (("bars", n, _MAX_BARS), ("calls", calls, MAX_CALLS)):
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 1 <= count <= most:
            raise ValueError(f"the number of {name} is a whole one from 1 to {most:,}, not {count}")
    if n * calls > _MAX_LOOKS:
        raise ValueError(f"{n:,} bars of {calls:,} calls are more than {_MAX_LOOKS:,} bars to look at: ask for fewer")
    check_seed(seed)
    check_seed(seed + n - 1)
    if played is not None and (start is None or len(played) != len(start)):
        raise ValueError("the bars that are played are those that episodes start at, one for each point")
    if not 0 <= realism <= 1:
        raise ValueError(f"realism lies in 0 … 1, not at {realism}")
    for name, value in (importance or {}).items():
        if name not in wanted:
            raise ValueError(f"{name!r} is given an importance but no target")
        if not 0 < value <= 10:
            raise ValueError(f"an importance lies over 0, up to 10, not at {value} ({name})")
    generator = agent.steered(generator or load_generator())
    if critic is None:
        if not isinstance(generator, Critic):
            raise ValueError("this generator has no critic of its own: one must be given")
        critic = generator
    dynamics = agent.dynamics(generator, critic, prior or load_likelihood())
    seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
    bars = None
    if start is None:
        z, drawn = generator.draw(seeds)
        bars = torch.from_numpy(drawn)
    else:
        start = np.asarray(start, np.float32)
        fits = start.ndim == 2 and start.shape[1] == generator.latent_dim and len(start)
        if not fits or not (np.linalg.norm(start, axis=1) > 0).all() or not (np.abs(start) < _FAR_OUT).all():
            raise ValueError(
                f"expected points to start at (m, {generator.latent_dim}), finite and not at the origin; "
                f"got {start.shape}"
            )
        z = start[np.arange(n) % len(start)]
    row = torch.tensor([[wanted.get(name, 0.0) for name in features]], dtype=torch.float32)
    counts = torch.tensor(
        [[(importance or {}).get(name, 1.0) if name in wanted else 0.0 for name in features]], dtype=torch.float32
    )
    calls = calls if wanted else 1  # nothing is to be found
    goals = Goals.of(row.repeat(n, 1), calls, counts.repeat(n, 1), **dict.fromkeys(dynamics.terms, realism))
    found = run_episodes(agent, dynamics, torch.from_numpy(z), goals, seeds, returns=start is not None, bars=bars)
    return replace(found, swing=swing, played=played)


def _swing_and_others(targets: Mapping[str, float]) -> tuple[dict[str, float], Mapping[str, float]]:
    """The targets of features of performances, and those of bars.

    Raises:
        ValueError: a swing out of range.
    """
    if not isinstance(targets, Mapping):
        return {}, targets
    swing = {name: float(targets[name]) for name in LEVELS if name in targets}
    for target in swing.values():
        check_swing(target)
    return swing, {name: value for name, value in targets.items() if name not in swing}


def checked_targets(targets: Mapping[str, float], features: Sequence[str]) -> dict[str, float]:
    """The targets as floats.

    Raises:
        ValueError: none, one of a feature that is not steered, or no number from 0 up.
    """
    if not isinstance(targets, Mapping) or not targets:
        raise ValueError(f"a target is needed, of {' or '.join(features)}: a feature and its value")
    for name, value in targets.items():
        if name not in features:
            raise ValueError(f"this agent steers {' and '.join(features)}, not {name!r}")
        if not isinstance(value, (int, float, np.number)) or not 0 <= value <= MAX_TARGET:  # nor is NaN
            raise ValueError(f"a target of {name} is a number from 0 to {MAX_TARGET:,.0f}, not {value}")
    return {name: float(value) for name, value in targets.items()}


def to_values(percentiles: Mapping[str, float], reference: Reference | None = None) -> dict[str, float]:
    """Targets from percentiles of real bars: 80 of density is that of a bar denser than 80 % of them.

    Args:
        percentiles: feature → 0 … 100; of a swing those of Groove's performances.
        reference: the real bars; those that the bundled models were trained on by default.

    Raises:
        ValueError: an unknown feature, or a percentile out of range.
    """
    reference = reference or load_reference()
    return {
        name: swing_at(percentile, name) if name in LEVELS else float(reference.value(name, percentile))
        for name, percentile in percentiles.items()
    }


def run_episodes(
    agent: LatentAgent,
    dynamics: Dynamics,
    z: Tensor,
    goals: Goals,
    seeds: np.ndarray,
    returns: bool,
    bars: Tensor | None = None,
) -> SteeringResult:
    """Let an agent act from z (n, latent_dim) until it stays at a success or the calls are used up; see ``steer``.

    Args:
        agent: who acts.
        dynamics: what moves the episodes.
        z: (n, latent_dim).
        goals: n of them.
        seeds: (n,) uint64, of the noise of each episode.
        returns: whether an episode that stays without success begins anew at its start; otherwise at another random z.
        bars: those of z, where they are decoded already.
    """
    n, dim = z.shape
    calls = int(goals.calls.max())
    first = state = dynamics.begin(z, goals, bars)
    best, live = Best(first), torch.arange(n)
    path = torch.full((n, calls, goals.targets.shape[1]), torch.nan, dtype=first.values.dtype)
    path[:, 0] = first.values
    for call in range(1, calls):

        def draw(goes: Tensor, anew: Tensor, live: Tensor = live, call: int = call) -> tuple[Tensor, Tensor]:
            rows = live[goes]
            noise = torch.from_numpy(seeds_to_z(seeds[rows.numpy()], dim, RANDOM_STREAMS["steer"][call]))
            # from the same start other noise leads elsewhere
            return z[rows[anew]] if returns else noise[anew], noise

        goes, state = advance(agent.act, dynamics, state, goals.rows(live), draw)
        live = live[goes]
        if not len(live):
            break
        path[live, call] = state.values
        best.keep(live, state)
    return SteeringResult(
        agent.config.features,
        goals.targets.numpy(),
        goals.importance.numpy(),
        dynamics.scale.tolerance.numpy(),
        first.bars.numpy(),
        best.state.bars.numpy(),
        first.z.numpy(),
        best.state.z.numpy(),
        path.numpy(),
        best.state.values.numpy(),
        {name: term.numpy() for name, term in best.state.terms.items()},
        best.calls.numpy(),
        best.at.numpy(),
        dynamics.kit,
    )
