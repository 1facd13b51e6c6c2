"""From targets to bars: an agent decides them, several side by side, and the best one of each is the answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.features import LEVELS, check_feature
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.interfaces import Critic, LatentModel, Likelihood
from rhythmgan.performance import Performance
from rhythmgan.playback import check_swing
from rhythmgan.seeds import RANDOM_STREAMS, check_seed
from rl_tuner.agent import Agent, AgentConfig, load_agent
from rl_tuner.config import CALLS, CLOSENESS, REALISM, ReadOutConfig
from rl_tuner.dynamics import MAX_CALLS, State
from rl_tuner.goals import Goals
from rl_tuner.result import SWING_TOLERANCE, SteeringResult
from rl_tuner.stepwise.answers import answer
from rl_tuner.stepwise.draws import SeededDraws
from rl_tuner.stepwise.dynamics import StepwiseDynamics

MAX_TARGET = 1e6
"""No feature of a bar is larger."""

_log = logging.getLogger(__name__)

_MAX_BARS = 1_000_000
_MAX_LOOKS = 50_000_000
_MOST_AT_ONCE = 4096
"""Bars that are decided side by side, those of all goals together."""

_FITTED_ON = 8000
"""Bars that the read-out of features is fitted on which no agent was taught."""


def steer(
    targets: Mapping[str, float | Sequence[float]],
    n: int = 1,
    *,
    calls: int = CALLS,
    seed: int = 0,
    given: np.ndarray | None = None,
    played: Performance | None = None,
    closeness: float = CLOSENESS,
    locked: np.ndarray | None = None,
    importance: Mapping[str, float] | None = None,
    realism: float = REALISM,
    role: str | None = None,
    style: str | None = None,
    agent: Agent | None = None,
    generator: LatentModel | None = None,
    critic: Critic | None = None,
    prior: Likelihood | None = None,
) -> SteeringResult:
    """Decide n bars with the features asked for, or n versions of a loop.

    A bar is a function of its seed, what is given and what is asked, in any batch. Bars of a loop that are equal, with
    equal targets and locks, stay equal within a version.

    Args:
        targets: feature → value in its own unit, for all bars; or one for each bar of the loop, or for each of the n
            bars where there is none. Features that are not named are skipped. A feature that the agent was not taught
            is steered by a read-out alone, which is fitted for it in a few seconds. A feature of
            ``PERFORMANCE_FEATURES`` is set when the bars are played, .5 … .7: ``swing`` of the off-beat eighths,
            ``sixteenth swing`` of the second sixteenths. Alone it leaves given bars as they are.
        n: bars; with a loop versions of it.
        calls: bars that the generator may decide for each, at most.
        seed: of the first bar, or of the first version; the next has the next seed.
        given: (m, steps, parts) bool, a loop to stay close to; none by default.
        played: how the bars of the loop are played; with accents on the grid by default.
        closeness: 0 … 1, how dear it is to change cells of the loop. A bar that has its targets stays, over 0.
        locked: (m, steps, parts) bool, cells of the loop that stay; none by default.
        importance: feature → how much it counts beside the others, over 0; 1 by default.
        realism: 0 … 1, how much it counts that bars stay real, beside reaching the targets: the weight of the
            discriminator among bars that have them, and how little the agent's Q is trusted beyond its read-out.
        role, style: what the bars are to be: a role or a style that generator and prior know, or "any"; what the agent
            learnt by default.
        agent, generator, prior: the bundled ones by default.
        critic: the judge of realism; the generator's own by default.

    Raises:
        ValueError: an unknown feature, a target that is no number, or another argument out of range.
    """
    _check_numbers(n, calls, seed, closeness, realism)
    if generator is None:
        generator = load_generator()
    agent = agent or load_agent(steps=generator.steps)
    if role is not None or style is not None:
        agent = agent.asked(generator, role, style)
    generator, prior = agent.steered(generator), prior or load_likelihood(grid=generator.steps)
    loop, locks = _checked_loop(generator, given, locked, played)
    m = 1 if loop is None else len(loop)
    if n * m * calls > _MAX_LOOKS or n * m > _MAX_BARS:
        raise ValueError(
            f"{n * m:,} bars of {calls:,} calls are more than {_MAX_LOOKS:,} bars to look at: ask for fewer"
        )
    swing, on_grid = _swing_and_others(targets)
    _check_reachable(swing, generator.steps)
    wanted = {} if swing and not on_grid else checked_targets(on_grid, n if loop is None else m)
    for name, value in (importance or {}).items():
        if name not in wanted:
            raise ValueError(f"{name!r} is given an importance but no target")
        if not 0 < value <= 10:
            raise ValueError(f"an importance lies over 0, up to 10, not at {value} ({name})")
    if critic is None:
        if not isinstance(generator, Critic):
            raise ValueError("this generator has no critic of its own: one must be given")
        critic = generator
    taught = set(wanted) <= set(agent.config.features)
    if not taught:
        _log.warning("no agent was taught to steer %s: a read-out is fitted, and steers alone", " and ".join(wanted))
        agent = _untaught(generator, critic, prior, tuple(wanted))
    dynamics = agent.dynamics(generator, critic, prior)
    coefs = {"realism": realism} | ({} if loop is None else {"closeness": closeness})
    coefs = {name: share for name, share in coefs.items() if name in dynamics.terms}
    asked = _Asked.of(dynamics, wanted, importance or {}, loop, locks, n, seed, coefs)
    if not wanted and loop is not None:
        found = [_as_given(dynamics, asked)]
    else:
        found = list(_answers(agent, dynamics, asked, calls, 1 - realism))
    taken = torch.from_numpy(asked.taken)

    def of_bars(rows: Sequence[Tensor]) -> np.ndarray:
        return torch.cat(list(rows)).cpu()[taken].numpy()

    states = [state for state, _ in found]
    return SteeringResult(
        agent.config.features,
        of_bars([asked.goals.targets]),
        of_bars([asked.goals.importance]),
        dynamics.scale.tolerance.cpu().numpy(),
        None if loop is None else np.concatenate([loop] * n),
        of_bars([state.bars for state in states]),
        None if loop is None or locks is None else np.concatenate([locks] * n),
        of_bars([state.z for state in states]),
        of_bars([state.values for state in states]),
        {name: of_bars([state.terms[name] for state in states]) for name in states[0].terms},
        of_bars([spent for _, spent in found]),
        dynamics.kit,
        1 if loop is None else len(loop),
        taught,
        swing,
        played,
    )


@dataclass
class _Asked:
    """What is to be decided, r rows, each but once.

    Attributes:
        goals: of each.
        given: (r, steps, parts) bool; silent where there is no loop.
        locked: (r, steps, parts) bool.
        has_given: whether there is a loop.
        seeds: (r,) uint64.
        taken: (N,) ints, which row each bar of the result is.
    """

    goals: Goals
    given: np.ndarray
    locked: np.ndarray
    has_given: bool
    seeds: np.ndarray
    taken: np.ndarray

    @staticmethod
    def of(
        dynamics: StepwiseDynamics,
        wanted: Mapping[str, np.ndarray],
        importance: Mapping[str, float],
        loop: np.ndarray | None,
        locks: np.ndarray | None,
        n: int,
        seed: int,
        coefs: Mapping[str, float],
    ) -> _Asked:
        """Without a loop n rows; with one its different bars, n times."""
        features, generator = dynamics.scale.features, dynamics.generator
        m = n if loop is None else len(loop)
        given = np.zeros((m, generator.steps, generator.kit.n_parts), bool) if loop is None else loop
        locked = np.zeros_like(given) if locks is None else locks
        asked = np.stack([wanted.get(name, np.zeros(m)) for name in features], 1)
        seeds = np.arange(n, dtype=np.uint64) + np.uint64(seed)
        taken = np.arange(n)
        if loop is not None:
            told = np.concatenate([given.reshape(m, -1), locked.reshape(m, -1), asked], 1)
            _, first, place = np.unique(told, axis=0, return_index=True, return_inverse=True)
            d = len(first)
            taken = (np.arange(n)[:, None] * d + place.reshape(-1)).ravel()
            given, locked, asked = (np.concatenate([each[first]] * n) for each in (given, locked, asked))
            # all bars of a version have one seed: the more alike they are, the more alike they are steered
            seeds = seeds.repeat(d)
        counts = torch.tensor([[importance.get(name, 1.0) if name in wanted else 0.0 for name in features]])
        goals = Goals.of(torch.from_numpy(asked).float(), 1, counts.float().repeat(len(asked), 1), **coefs)
        return _Asked(goals, given, locked, loop is not None, seeds, taken)


def _as_given(dynamics: StepwiseDynamics, asked: _Asked) -> tuple[State, Tensor]:
    """The given bars as they are."""
    device = dynamics.scale.means.device
    z = torch.from_numpy(dynamics.generator.encode(asked.given, asked.seeds)).to(device)
    goals = asked.goals.to(device)
    return dynamics.look_at(z, torch.from_numpy(asked.given).to(device), goals, goals.calls), torch.zeros(len(z))


def _answers(
    agent: Agent, dynamics: StepwiseDynamics, asked: _Asked, calls: int, trust: float
) -> Iterator[tuple[State, Tensor]]:
    """The answers to all rows, some at a time, and what the generator has computed for each."""
    at_once = max(1, _MOST_AT_ONCE // calls)
    device = dynamics.scale.means.device
    for start in range(0, len(asked.seeds), at_once):
        rows = slice(start, start + at_once)
        seeds = asked.seeds[rows]
        given, locked = (torch.from_numpy(each[rows]).to(device) for each in (asked.given, asked.locked))

        def draws(open_goals: Tensor, wave: int, seeds: np.ndarray = seeds) -> SeededDraws:
            return SeededDraws(seeds[open_goals.cpu().numpy()], RANDOM_STREAMS["steer"][wave], device)

        yield answer(
            dynamics,
            lambda seen: agent.nats(seen, trust),
            asked.goals.rows(torch.arange(len(asked.seeds))[rows]).to(device),
            given,
            torch.full((len(seeds),), asked.has_given, device=device),
            locked,
            calls,
            draws,
        )


_UNTAUGHT: dict[tuple[object, ...], Agent] = {}
_MOST_UNTAUGHT = 8


def _untaught(generator: LatentModel, critic: Critic, prior: Likelihood, features: tuple[str, ...]) -> Agent:
    """An agent that only has a read-out, for features that none was taught."""
    key = (generator.fingerprint, critic.critic_fingerprint, prior.fingerprint, features)
    if key not in _UNTAUGHT:
        if len(_UNTAUGHT) >= _MOST_UNTAUGHT:
            _UNTAUGHT.clear()
        config = AgentConfig.of(generator, features=features)
        _UNTAUGHT[key] = Agent.untaught(generator, critic, prior, config, ReadOutConfig(bars=_FITTED_ON))
    return _UNTAUGHT[key]


def _check_numbers(n: int, calls: int, seed: int, closeness: float, realism: float) -> None:
    """Raise a ValueError where one is out of range."""
    for name, count, most in (("bars", n, _MAX_BARS), ("calls", calls, MAX_CALLS)):
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 1 <= count <= most:
            raise ValueError(f"the number of {name} is a whole one from 1 to {most:,}, not {count}")
    check_seed(seed)
    check_seed(seed + n - 1)
    for name, share in (("closeness", closeness), ("realism", realism)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} lies in 0 … 1, not at {share}")


def _checked_loop(
    generator: LatentModel, given: np.ndarray | None, locked: np.ndarray | None, played: Performance | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The bars of the loop and what is locked of them, none where nothing is.

    Raises:
        ValueError: bars or locks of another kind, or locks or playing without bars.
    """
    if given is None:
        if locked is not None or played is not None:
            raise ValueError("what is locked or played are given bars, but there are none")
        return None, None
    shape = (generator.steps, generator.kit.n_parts)
    loop = np.asarray(given)
    if loop.ndim != 3 or loop.shape[1:] != shape or loop.dtype != bool or not len(loop):
        raise ValueError(f"expected given bars (m, {shape[0]}, {shape[1]}) bool; got {loop.dtype} {loop.shape}")
    locks = np.zeros_like(loop) if locked is None else np.asarray(locked)
    if locks.shape != loop.shape or locks.dtype != bool:
        raise ValueError(f"expected locks {loop.shape} bool; got {locks.dtype} {locks.shape}")
    if played is not None and len(played) != len(loop):
        raise ValueError(f"expected a performance of the {len(loop)} given bars; got one of {len(played)}")
    return loop, locks


def _swing_and_others(
    targets: Mapping[str, float | Sequence[float]],
) -> tuple[dict[str, float], Mapping[str, float | Sequence[float]]]:
    """The targets of features of performances, and those of bars.

    Raises:
        ValueError: a swing out of range.
    """
    if not isinstance(targets, Mapping):
        return {}, targets
    swing = {name: _one_number(name, targets[name]) for name in LEVELS if name in targets}
    for target in swing.values():
        check_swing(target)
    return swing, {name: value for name, value in targets.items() if name not in swing}


def _check_reachable(swing: Mapping[str, float], steps: int) -> None:
    """Raise a ValueError where off-beat eighths would have to move by more than half a step."""
    most = 0.5 + BEATS / (2 * steps)
    if swing.get("swing", 0.0) > most + SWING_TOLERANCE:
        raise ValueError(
            f"off-beat eighths of {steps} steps swing up to {most:.4g}, not {swing['swing']:g}: "
            "bars of 12 steps (--grid 12) play a shuffle"
        )


def _one_number(name: str, target: float | Sequence[float]) -> float:
    """A target of all bars as a float.

    Raises:
        ValueError: it is one of each bar.
    """
    if not isinstance(target, (int, float, np.number)):
        raise ValueError(f"{name} has one target for all bars, not {target}")
    return float(target)


def checked_targets(targets: Mapping[str, float | Sequence[float]], n_bars: int) -> dict[str, np.ndarray]:
    """Feature → a number for each bar of the loop, (n_bars,) float64.

    Raises:
        ValueError: none, one of an unknown feature, one that is no number in reach, or of another number of bars.
    """
    if not isinstance(targets, Mapping) or not targets:
        raise ValueError("a target is needed: a feature and its value, density 20 for example")
    checked = {}
    for name, wanted in targets.items():
        check_feature(name)
        if isinstance(wanted, str):
            raise ValueError(f"a target of {name} is a number, not {wanted!r}: `rl_tuner.wishes` reads such words")
        try:
            values = np.atleast_1d(np.asarray(wanted, np.float64))
        except (TypeError, ValueError, OverflowError):
            values = np.array([np.nan])
        if values.ndim != 1 or len(values) not in (1, n_bars):
            raise ValueError(f"{name} has one target, or one for each of {n_bars} bars, not {values.shape}")
        if not (np.abs(values) <= MAX_TARGET).all():  # nor are they NaN
            raise ValueError(f"a target of {name} is a number up to {MAX_TARGET:,.0f}, not {wanted}")
        checked[name] = np.broadcast_to(values, n_bars)
    return checked
