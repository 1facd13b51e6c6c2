"""Other ways to bars that hit targets, through one door: a search is shown targets, calls and a seed, and looks.

Every search asks a ``Problem`` for bars; it counts the calls, keeps the best bar of each target, notes when each was
reached, and says which targets are still open. All stop at a hit, so that time is compared fairly, but for those that
are given weights of discriminator and prior: these may look for a better one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rhythmgan.features import density, syncopation
from rl_tuner import rewards
from rl_tuner.agent import Agent
from rl_tuner.latent.dynamics import TERMS, Dynamics, Goals, State
from rl_tuner.latent.space import to_length_of

Search = Callable[["Problem"], None]

NEVER = 1 << 30
"""The call at which a target was reached that was not."""


@dataclass
class SearchResult:
    """What a search has come to.

    Attributes:
        bars: (n, steps, parts) bool, the answers: the first that hit, or the nearest.
        values: (n, F), their features.
        success: (n,) bool.
        at: (n,) ints, the call that hit; ``NEVER`` where none did.
        seconds: (calls,), time until each call of the batch was over.
        z: (n, z_dim) of the answers; NaN where a search has none.
    """

    bars: np.ndarray
    values: np.ndarray
    success: np.ndarray
    at: np.ndarray
    seconds: np.ndarray
    z: np.ndarray

    def success_within(self, calls: int) -> np.ndarray:
        """Whether each target was reached within so many calls: (n,) bool."""
        return self.at <= calls


class Problem:
    """Targets to reach, a budget of calls, and the bars looked at so far.

    Attributes:
        dynamics: generator, judges, latent space.
        targets: (n, F).
        goals: the same as walks want them.
        calls: generator calls for each target.
        random: where a search draws from.
        open: (m,) ints, the targets that are not reached yet.

    Args:
        dynamics: see there.
        targets: (n, F).
        calls: see there.
        seed: of everything that the search draws.
        goals: weights beside the targets; none by default. Where the networks have a weight a hit is not the end:
            the best score is searched for, with all calls.
        selects: whether the best bar is the answer and a hit the end; otherwise it is the last bar looked at, and
            the search says itself when it leaves a target.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        targets: Tensor,
        calls: int,
        seed: int,
        goals: Goals | None = None,
        selects: bool = True,
    ) -> None:
        n = len(targets)
        self.dynamics, self.targets, self.calls, self.selects = dynamics, targets, calls, selects
        self.goals = goals or Goals.of(targets, calls)
        self.random = torch.Generator().manual_seed(seed)
        self.open = torch.arange(n)
        self.still = torch.ones(n, dtype=torch.bool)
        self.used = 0
        steps, parts = dynamics.generator.steps, dynamics.generator.kit.n_parts
        no_bars = torch.zeros(n, steps, parts, dtype=torch.bool)
        points = torch.full((n, dynamics.space.latent_dim), torch.nan)
        terms = {name: torch.full((n,), -1.0) for name in TERMS}
        left = torch.zeros(n, dtype=torch.long)
        self._best = State(z=points, bars=no_bars, values=torch.zeros_like(targets), calls_left=left, **terms)
        self._at = torch.full((n,), NEVER)
        self._seconds: list[float] = []
        self._began = time.perf_counter()

    @property
    def is_over(self) -> bool:
        return not len(self.open) or self.used >= self.calls

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random)

    def look(self, z: Tensor) -> Tensor:
        """One call for each open target: z (m, z_dim), in their order → the values (m, F) of the bars.

        The targets that are hit leave ``open``: take ``still`` of what belongs to the others.
        """
        return self.keep(self.dynamics.begin(z, self.goals.rows(self.open)))

    def keep(self, walks: State) -> Tensor:
        """Count a call for each open target, keep what is better, and give the values (m, F)."""
        rows = self.open
        self.used += 1
        better = (walks.score > self._best.score[rows]) | (not self.selects)
        self._best.put(rows[better], walks.rows(better))
        hit = walks.success > 0
        if self.selects:
            first = rows[hit & (self._at[rows] == NEVER)]
            self._at[first] = self.used
            goals = self.goals.rows(rows)
            self.still = ~hit | (goals.realism + goals.likelihood > 0)
        else:
            self._at[rows] = torch.where(hit, self.used, NEVER)
            self.still = torch.ones_like(hit)
        self.open = rows[self.still]
        self._seconds.append(time.perf_counter() - self._began)
        return walks.values

    def leave(self, those: Tensor) -> None:
        """Look no more for some of the open targets, a mask (m,)."""
        self.open = self.open[~those]

    def found(self) -> SearchResult:
        """What came of the search."""
        seconds = np.full(self.calls, self._seconds[-1])
        seconds[: len(self._seconds)] = self._seconds[: self.calls]
        best = self._best
        return SearchResult(
            best.bars.numpy(), best.values.numpy(), best.success.numpy() > 0, self._at.numpy(), seconds, best.z.numpy()
        )


def best_of_n(problem: Problem) -> None:
    """A bar of random z for each call, the nearest kept."""
    while not problem.is_over:
        problem.look(problem.noise(len(problem.open), problem.dynamics.space.latent_dim))


def random_walk(problem: Problem) -> None:
    """The agent's own actions, drawn evenly, but for the one that stays."""
    dynamics = problem.dynamics
    walks = dynamics.begin(problem.noise(len(problem.open), dynamics.space.latent_dim), problem.goals)
    problem.keep(walks)
    while not problem.is_over:
        walks = walks.rows(problem.still)
        n = len(walks)
        actions = torch.randint(1, dynamics.n_actions, (n,), generator=problem.random)
        walks = dynamics.step(
            walks, problem.goals.rows(problem.open), actions, problem.noise(n, dynamics.space.latent_dim)
        )
        problem.keep(walks)


_TRIES = 8


def greedy_look_ahead(problem: Problem) -> None:
    """Eight of the agent's turns along a direction are tried, the best is taken where it is better, and so on."""
    dynamics = problem.dynamics
    turns = torch.nonzero(dynamics.table[:, 0] >= 0)[:, 0]
    here = dynamics.begin(problem.noise(len(problem.open), dynamics.space.latent_dim), problem.goals)
    problem.keep(here)
    here = here.rows(problem.still)
    while not problem.is_over:
        best = here.copy()
        for _ in range(_TRIES):
            if problem.is_over:
                return
            actions = turns[torch.randint(len(turns), (len(here),), generator=problem.random)]
            tried = dynamics.step(here, problem.goals.rows(problem.open), actions, torch.zeros_like(here.z))
            problem.keep(tried)
            better = tried.match > best.match
            best.put(better, tried.rows(better))
            here, best = here.rows(problem.still), best.rows(problem.still)
        here = best


def evolution_strategy(problem: Problem) -> None:
    """CMA-ES with a diagonal covariance (Ros & Hansen 2008): eight points a generation, for every target at once.

    As many as 144 dimensions have more covariances than a budget has calls; the diagonal form learns faster.
    """
    dynamics = problem.dynamics
    dim = dynamics.space.latent_dim
    n_points, n_parents = 8, 4
    weights = np.log(n_parents + 0.5) - torch.arange(1, n_parents + 1).log()
    weights = weights / weights.sum()
    mass = float(1 / (weights**2).sum())
    c_sigma = (mass + 2) / (dim + mass + 5)
    d_sigma = 1 + c_sigma + 2 * max(0.0, ((mass - 1) / (dim + 1)) ** 0.5 - 1)
    c_path = (4 + mass / dim) / (dim + 4 + 2 * mass / dim)
    c_one = (dim + 2) / 3 * 2 / ((dim + 1.3) ** 2 + mass)
    c_mean = min(1 - c_one, (dim + 2) / 3 * 2 * (mass - 2 + 1 / mass) / ((dim + 2) ** 2 + mass))
    usual = dim**0.5 * (1 - 1 / (4 * dim) + 1 / (21 * dim**2))
    mean = problem.noise(len(problem.open), dim)
    n = len(mean)
    state = [mean, torch.full((n, 1), 0.5), torch.ones(n, dim), torch.zeros(n, dim), torch.zeros(n, dim)]
    targets = problem.targets
    while not problem.is_over:
        steps: list[Tensor] = []
        costs: list[Tensor] = []
        for _ in range(n_points):
            if problem.is_over:
                return
            mean, sigma, variance, _, _ = state
            step = variance.sqrt() * problem.noise(len(mean), dim)
            values = problem.look(mean + sigma * step)
            still = problem.still
            cost = rewards.distance(values, targets, dynamics.space.tolerance).sum(1)
            state, targets = [one[still] for one in state], targets[still]
            steps, costs = [one[still] for one in [*steps, step]], [one[still] for one in [*costs, cost]]
        mean, sigma, variance, path_sigma, path = state
        order = torch.stack(costs, 1).argsort(1)[:, :n_parents]
        chosen = torch.stack(steps, 1).gather(1, order[..., None].expand(-1, -1, dim))
        moved = (weights[:, None] * chosen).sum(1)
        mean = mean + sigma * moved
        path_sigma = (1 - c_sigma) * path_sigma + (c_sigma * (2 - c_sigma) * mass) ** 0.5 * moved / variance.sqrt()
        path = (1 - c_path) * path + (c_path * (2 - c_path) * mass) ** 0.5 * moved
        spread = (weights[:, None] * chosen**2).sum(1)
        variance = (1 - c_one - c_mean) * variance + c_one * path**2 + c_mean * spread
        sigma = sigma * torch.exp(c_sigma / d_sigma * (path_sigma.norm(dim=1, keepdim=True) / usual - 1))
        state = [mean, sigma, variance, path_sigma, path]


_ASCENT_RATE = 0.2


def gradient_ascent(problem: Problem) -> None:
    """Adam on z through the straight-through generator, towards the targets; z keeps its length."""
    dynamics = problem.dynamics
    z = problem.noise(len(problem.open), dynamics.space.latent_dim)
    first, second = torch.zeros_like(z), torch.zeros_like(z)
    targets = problem.targets
    while not problem.is_over:
        asked = z.clone().requires_grad_(True)
        values = _soft_values(dynamics, asked)
        cost = torch.sqrt(1 + ((values - targets) / dynamics.space.tolerance).square().sum(1)).sum()
        (slope,) = torch.autograd.grad(cost, asked)
        problem.look(z)  # the same bars: one call, of which the gradient knows too
        still = problem.still
        z, slope, first, second, targets = (one[still] for one in (z, slope, first, second, targets))
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        t = problem.used
        moved = z - _ASCENT_RATE * (first / (1 - 0.9**t)) / ((second / (1 - 0.99**t)).sqrt() + 1e-8)
        z = moved * to_length_of(z, moved)


def _soft_values(dynamics: Dynamics, z: Tensor) -> Tensor:
    """Density and syncopation of z's bars, (n, 2), with a gradient that passes the threshold."""
    cells = dynamics.generator.decode_with_gradient(z).clamp(0, 1)
    kit = dynamics.generator.kit
    return torch.stack([density(cells, kit), syncopation(cells, kit)], 1)


def linear_directions(problem: Problem) -> None:
    """The way that the regression of the features on z takes from the value to the target, again and again."""
    dynamics = problem.dynamics
    z = problem.noise(len(problem.open), dynamics.space.latent_dim)
    targets = problem.targets
    while not problem.is_over:
        values = problem.look(z)
        still = problem.still
        z, targets, values = z[still], targets[still], values[still]
        moved = z + (targets - values) @ dynamics.space.pinv_steps[0]
        z = moved * to_length_of(z, moved)


def edit_search(bars_of: Callable[[Problem], Tensor]) -> Search:
    """Cells of a bar are flipped one at a time, kept where the targets are not farther (jaki's way, without words).

    Every bar looked at counts as a call, though only the first one is the generator's.
    """

    def search(problem: Problem) -> None:
        dynamics = problem.dynamics
        z = torch.full((len(problem.open), dynamics.space.latent_dim), torch.nan)
        bars = bars_of(problem)
        here = dynamics.look_at(z, bars, problem.goals, problem.goals.calls)
        problem.keep(here)
        while not problem.is_over:
            here = here.rows(problem.still)
            cells = here.bars.flatten(1).clone()
            places = torch.randint(cells.shape[1], (len(cells), 1), generator=problem.random)
            cells.scatter_(1, places, ~cells.gather(1, places))
            goals = problem.goals.rows(problem.open)
            tried = dynamics.look_at(here.z, cells.view_as(here.bars), goals, here.calls_left)
            problem.keep(tried)
            better = tried.match >= here.match
            here.put(better, tried.rows(better))

    return search


def generated(problem: Problem) -> Tensor:
    """Bars of random z, one for each open target."""
    z = problem.noise(len(problem.open), problem.dynamics.space.latent_dim)
    return torch.from_numpy(problem.dynamics.generator.decode(z))


def retrieval(bars: Tensor, values: Tensor) -> Search:
    """The nearest of these real bars, any of those that are equally near."""

    def search(problem: Problem) -> None:
        dynamics = problem.dynamics
        distances = torch.cdist(problem.targets / dynamics.space.tolerance, values / dynamics.space.tolerance, p=1)
        luck = torch.rand(distances.shape, generator=problem.random) * 0.5
        nearest = bars[(distances + luck).argmin(1)]
        z = torch.full((len(nearest), dynamics.space.latent_dim), torch.nan)
        problem.keep(dynamics.look_at(z, nearest, problem.goals, problem.goals.calls))

    return search


class Actor(nn.Module):
    """Targets and noise → z, learnt by the gradient of the distance (the actor of Engel, Hoffman & Roberts 2018)."""

    def __init__(self, z_dim: int, n_features: int, width: int = 512) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(z_dim + n_features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, z_dim)
        )

    def forward(self, z: Tensor, wanted: Tensor) -> Tensor:
        """z (n, z_dim) N(0, 1) and standardised targets (n, F) → z of the same lengths."""
        moved = z + self.net(torch.cat([z, wanted], 1))
        return moved * to_length_of(z, moved)


def train_actor(dynamics: Dynamics, targets: Tensor, seconds: float, seed: int = 0, nearness: float = 0.1) -> Actor:
    """An actor that has learnt for so many seconds.

    Args:
        dynamics: generator and latent space.
        targets: (m, F), real ones; their features are crossed for two of five.
        seconds: of training.
        seed: of weights and draws.
        nearness: weight of the mean squared change of z: without it the noise is forgotten.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        actor = Actor(dynamics.space.latent_dim, targets.shape[1])
    optimizer = torch.optim.Adam(actor.parameters(), 1e-3)
    began = time.perf_counter()
    while (done := (time.perf_counter() - began) / seconds) < 1:
        rows = torch.randint(len(targets), (256, targets.shape[1]), generator=random)
        crossed = torch.rand(256, 1, generator=random) < 0.4
        wanted = targets.gather(0, torch.where(crossed, rows, rows[:, :1]))
        z = torch.randn(256, dynamics.space.latent_dim, generator=random)
        moved = actor(z, dynamics.space.standardised(wanted))
        gap = (_soft_values(dynamics, moved) - wanted) / dynamics.space.tolerance / 2
        loss = torch.sqrt(1 + gap.square().sum(1)).mean() + nearness * (moved - z).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * max(1 - done, 0.02)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimizer.step()
    return actor.eval().requires_grad_(False)


def amortised_actor(actor: Actor) -> Search:
    """The actor's answer to new noise for each call."""

    def search(problem: Problem) -> None:
        space = problem.dynamics.space
        while not problem.is_over:
            wanted = space.standardised(problem.targets[problem.open])
            with torch.no_grad():
                z = actor(problem.noise(len(wanted), space.latent_dim), wanted)
            problem.look(z)

    return search


def agent_search(agent: Agent, restarts: bool = False) -> Search:
    """The agent; where it ``restarts``, one that stays without a hit begins anew with the calls that are left."""

    def search(problem: Problem) -> None:
        dynamics, dim = problem.dynamics, problem.dynamics.space.latent_dim
        walks = dynamics.begin(problem.noise(len(problem.open), dim), problem.goals)
        problem.keep(walks)
        walks = walks.rows(problem.still)
        while not problem.is_over:
            goals = problem.goals.rows(problem.open)
            actions = agent.act(dynamics.observe(walks, goals))
            goes = actions > 0
            if restarts:
                goes |= walks.success == 0
            problem.leave(~goes)
            walks, goals, actions = walks.rows(goes), goals.rows(goes), actions[goes]
            if not len(walks):
                return
            anew = actions == 0
            walks.z[anew] = problem.noise(int(anew.sum()), dim)
            walks = dynamics.step(walks, goals, actions, problem.noise(len(walks), dim))
            problem.keep(walks)
            walks = walks.rows(problem.still)

    return search
