"""Searches that choose while a bar is decided, beside best of N and the agent: success, exact answers, time, realism.

Targets are those of validation songs, so that what is chosen by this table is not chosen on the test songs. Each number
of calls is a search of its own. With --realism there is also the C2ST of exact answers to the features of real bars,
against these very bars.

Run: python benchmarks/stepwise.py corpus.npz
     python benchmarks/stepwise.py corpus.npz --grid 12
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch

from rhythmgan import metrics
from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY
from rhythmgan.console import positive
from rhythmgan.corpus_file import load_corpus
from rhythmgan.kit import Kit
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.weights import BUNDLED_GRIDS
from rl_tuner.benchmark.protocol import Row
from rl_tuner.benchmark.realism import matched
from rl_tuner.benchmark.targets import FEASIBLE, families
from rl_tuner.config import REALISM
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.latent.space import find_space
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.problem import Search, SearchResult
from rl_tuner.search.stepwise import greedy_by_step, particle_filter, rejection_by_step
from rl_tuner.stepwise.learned import LearnedReadOut, train_read_out
from rl_tuner.stepwise.read_out import RidgeReadOut, fit_read_out

CALLS = (8, 16, 32, 64)
Made = TypeVar("Made")

_UNSTEERED = 60_000
_UNSTEERED_SEED = 1 << 40
_COMPARED = 2600
"""Real bars whose features are asked for where realism is measured."""

_AT_ONCE = 250
"""Targets that are searched for together: more would not fit the caches."""


def dynamics_of(grid: int) -> Dynamics:
    """The bundled generator of a grid, asked for any role and style, with its agent's space or one that is found."""
    name = "gan" if grid == BUNDLED_GRIDS[0] else f"gan{grid}"
    gan = load_generator(name).with_condition(ANY, ANY)
    prior = load_likelihood(name.replace("gan", "prior")).with_condition(ANY, ANY)
    if grid == BUNDLED_GRIDS[0]:
        return load_latent_agent().dynamics(gan, gan, prior)
    return Dynamics(gan, gan, prior, find_space(gan, gan, prior, n=10_000))


def solve(row: Row, dynamics: Dynamics, targets: torch.Tensor, calls: int) -> tuple[list[SearchResult], float]:
    """Answers to targets (n, 2), and the seconds of CPU time that they took."""
    began = time.process_time()
    results = [
        row.solve(dynamics, targets[start : start + _AT_ONCE], calls, seed=start)
        for start in range(0, len(targets), _AT_ONCE)
    ]
    return results, time.process_time() - began


class Realism:
    """C2ST of the exact answers to the features of real bars, against these very bars.

    Args:
        dynamics: the generator.
        real: (n, steps, parts) bool.
        song_id: (n,) ints.
        measure: bars → features (n, 2).
    """

    def __init__(
        self, dynamics: Dynamics, real: np.ndarray, song_id: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        rng = np.random.default_rng(0)
        drawn = rng.permutation(len(real))[:_COMPARED]
        unsteered = dynamics.generator.sample(_UNSTEERED, seed=_UNSTEERED_SEED)
        here, there = matched(measure(real[drawn]), measure(unsteered), rng)
        rows = drawn[here]
        self.dynamics, self.real, self.song_id, self.values = dynamics, real[rows], song_id[rows], measure(real[rows])
        self.unsteered = self._c2st(unsteered[there], np.ones(len(rows), bool))

    def of(self, row: Row, calls: int) -> float:
        """C2ST of a search's answers."""
        results, _ = solve(row, self.dynamics, torch.from_numpy(self.values), calls)
        values = np.concatenate([one.values for one in results])
        return self._c2st(np.concatenate([one.bars for one in results]), (values == self.values).all(1))

    def _c2st(self, bars: np.ndarray, exact: np.ndarray) -> float:
        return float(metrics.c2st(self.real[exact], self.song_id[exact], bars[exact])["c2st"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--grid", type=positive, default=BUNDLED_GRIDS[0])
    parser.add_argument("--pairs", type=positive, default=500, help="pairs, crossed targets, and 2.5 times the corners")
    parser.add_argument("--calls", type=positive, nargs="+", default=CALLS)
    parser.add_argument("--only", nargs="+", help="ids of some searches")
    parser.add_argument("--realism", action="store_true", help="also measure C2ST")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dynamics = dynamics_of(options.grid)
    kit = dynamics.generator.kit
    songs = load_corpus(options.corpus, options.grid, kit).split("valid").distinct()
    real = words_to_bars(songs.words, kit.n_parts)
    measure = partial(_measure, kit=kit)
    sizes = {"pairs": options.pairs, "crossed": options.pairs, "corners": options.pairs * 2 // 5, "infeasible": 0}
    asked = families(torch.from_numpy(measure(real)), sizes, seed=0)

    @cache
    def ridge() -> RidgeReadOut:
        return _timed("ridge read-out", lambda: fit_read_out(dynamics.generator, dynamics.space))

    @cache
    def learned() -> LearnedReadOut:
        given = ridge()
        return _timed("learned read-out, from a ridge", lambda: train_read_out(given))

    ways: dict[str, tuple[str, Callable[[], Search]]] = {
        "best-of-n": ("best of N", lambda: best_of_n),
        "particle-filter": ("particle filter", lambda: particle_filter(ridge())),
        "particle-filter-learned": ("the same, learned read-out", lambda: particle_filter(learned())),
        "particle-filter-half": ("the same, fairness .5", lambda: particle_filter(ridge(), 0.5)),
        "particle-filter-hasty": ("the same, fairness 0", lambda: particle_filter(ridge(), 0.0)),
        "greedy-by-step": ("greedy, step by step", lambda: greedy_by_step(ridge())),
        "rejection-by-step": ("rejection, step by step", lambda: rejection_by_step(ridge())),
    }
    names = [*ways, "agent"]
    for name in options.only or ():
        if name not in names:
            parser.error(f"no search is called {name!r}; there are {', '.join(names)}")
    chosen = [name for name in options.only or names if name in ways]
    rows = [Row(name, "baseline", ways[name][0], ways[name][1]()) for name in chosen]
    if options.grid == BUNDLED_GRIDS[0] and (options.only is None or "agent" in options.only):
        coefs = dict.fromkeys(dynamics.terms, REALISM)
        rows.append(
            Row(
                "agent",
                "agent",
                "agent, restarted",
                latent_agent_search(load_latent_agent(), restarts=True),
                coefs=coefs,
            )
        )
    realism = Realism(dynamics, real, songs.song_id, measure) if options.realism else None
    if realism:
        print(f"C2ST of unsteered bars of the same features: {realism.unsteered:.3f}")
    print("| search | calls | pairs | crossed | corners | exact | ms | z² | unique | C2ST |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        for calls in options.calls:
            found = {family: solve(row, dynamics, asked[family], calls) for family in FEASIBLE}
            shares = [np.mean(np.concatenate([one.success for one in found[family][0]])) for family in FEASIBLE]
            pairs, seconds = found["pairs"]
            values = np.concatenate([one.values for one in pairs])
            exact = (values == asked["pairs"].numpy()).all(1).mean()
            z = np.concatenate([one.z[one.success] for one in pairs])
            again = row.solve(dynamics, asked["pairs"][:20].repeat_interleave(16, 0), calls, seed=1)
            unique = np.mean(
                [
                    metrics.unique_share(again.bars[i : i + 16][again.success[i : i + 16]])
                    for i in range(0, 320, 16)
                    if again.success[i : i + 16].sum() > 1
                ]
            )
            real_as = f"{realism.of(row, calls):.3f}" if realism else ""
            print(
                f"| {row.title} | {calls} | "
                + " | ".join(f"{100 * share:.1f}" for share in (*shares, exact))
                + f" | {1000 * seconds / options.pairs:.1f} | {(z**2).mean():.3f} | {unique:.3f} | {real_as} |",
                flush=True,
            )


def _timed(name: str, make: Callable[[], Made]) -> Made:
    """What is made, and a line about how long it took."""
    began = time.process_time()
    made = make()
    print(f"{name}: {time.process_time() - began:.0f} s of CPU time", flush=True)
    return made


def _measure(bars: np.ndarray, kit: Kit) -> np.ndarray:
    """Density and syncopation of bars, (n, 2)."""
    return values_of(bars, TARGETS, kit).numpy()


if __name__ == "__main__":
    main()
