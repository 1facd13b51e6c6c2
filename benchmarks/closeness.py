"""What steering leaves alone: held-out bars with four onsets more, four fewer, and three more of syncopation.

For each closeness: the median of cells that change, the share of bars that come within 1 of what is asked for, and the
C2ST of these bars against real ones with the same density and syncopation, of other songs. Beside them stand bars that
are steered to the same from nothing, and the agent of whole-bar moves, whose episodes begin at the given bars. Songs
are those of the validation split, halved: bars of one half are steered, bars of the other are what is real.

Run: python benchmarks/closeness.py corpus.npz [--n 1000] [--calls 32] [--agent FILE]
"""

from __future__ import annotations

import argparse

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
from rl_tuner.agent import Agent, load_agent
from rl_tuner.benchmark.realism import matched
from rl_tuner.config import CALLS, REALISM
from rl_tuner.goals import Goals
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.latent_agent import latent_agent_search
from rl_tuner.search.problem import Problem
from rl_tuner.steering import steer

WISHES = (("density", 4), ("density", -4), ("syncopation", 3))
CLOSENESS = (0.0, 0.25, 0.5, 0.75, 1.0)

_REACHED = 1.0
_AT_ONCE = 16
"""Bars that are steered with one seed."""

_FEWEST = 200
"""Of fewer bars no C2ST is said."""


class Held:
    """Held-out bars: those that are steered, and others that steered ones are compared with.

    Attributes:
        given: (n, steps, parts) bool, the bars that are steered.
        values: (n, 2), their density and syncopation.

    Args:
        bars: (m, steps, parts) bool.
        song_id: (m,) ints; bars of every second song are steered.
        n: how many at most.
        kit: of the bars.
    """

    def __init__(self, bars: np.ndarray, song_id: np.ndarray, n: int, kit: Kit) -> None:
        self._rng = np.random.default_rng(0)
        songs = self._rng.permutation(np.unique(song_id))
        is_steered = np.isin(song_id, songs[::2])
        drawn = self._rng.permutation(np.flatnonzero(is_steered))[:n]
        self.kit, self.given, self.values = kit, bars[drawn], values_of(bars[drawn], TARGETS, kit).numpy()
        self._given_song = song_id[drawn]
        self._real, self._song_id = bars[~is_steered], song_id[~is_steered]
        self._real_values = values_of(self._real, TARGETS, kit).numpy()

    def wanted(self, feature: str, change: float) -> tuple[np.ndarray, np.ndarray]:
        """The bars (m,) for which a change leads to 1 or more, and their targets (m,)."""
        targets = self.values[:, TARGETS.index(feature)] + change
        return np.flatnonzero(targets >= 1), targets[targets >= 1]

    def cells(self, rows: np.ndarray, feature: str, targets: np.ndarray, found: np.ndarray) -> list[str]:
        """Of bars (m, steps, parts) that were found for the given ones of these rows: cells changed, reached, C2ST."""
        values = values_of(found, TARGETS, self.kit).numpy()
        reached = np.abs(values[:, TARGETS.index(feature)] - targets) <= _REACHED
        changed = (found != self.given[rows]).sum((1, 2))
        mine, theirs = matched(values[reached], self._real_values, np.random.default_rng(0))
        c2st = ""
        if len(mine) >= _FEWEST:
            fake = found[reached][mine]
            # bars that stay close to bars of one song are alike: all are in the same half
            song = self._given_song[rows[reached][mine]]
            c2st = f"{metrics.c2st(self._real[theirs], self._song_id[theirs], fake, song)['c2st']:.3f}"
        return [f"{np.median(changed):g}", f"{reached.mean():.3f}", c2st]


def steered_freely(feature: str, targets: np.ndarray, calls: int, agent: Agent) -> np.ndarray:
    """A bar from nothing for each target (m,)."""
    found: dict[float, list[np.ndarray]] = {}
    for target, n in zip(*np.unique(targets, return_counts=True), strict=True):
        found[target] = list(steer({feature: float(target)}, int(n), calls=calls, agent=agent).after)
    return np.stack([found[target].pop() for target in targets])


def steered_close(
    given: np.ndarray, feature: str, targets: np.ndarray, calls: int, closeness: float, agent: Agent
) -> np.ndarray:
    """What given bars (m, steps, parts) become.

    Bars of one call share a seed, as those of a loop do, so that calls are kept short.
    """
    found = []
    for seed, start in enumerate(range(0, len(given), _AT_ONCE)):
        rows = slice(start, start + _AT_ONCE)
        asked = {feature: targets[rows].tolist()}
        found.append(steer(asked, calls=calls, seed=seed, given=given[rows], closeness=closeness, agent=agent).after)
    return np.concatenate(found)


def by_whole_bar_moves(given: np.ndarray, feature: str, targets: np.ndarray, calls: int) -> np.ndarray:
    """Where the agent of whole-bar moves leads from the points of given bars (m, steps, parts)."""
    gan, agent = load_generator().with_condition(ANY, ANY), load_latent_agent()
    dynamics = agent.dynamics(gan, gan, load_likelihood())
    both = torch.zeros(len(given), 2)
    importance = torch.zeros(len(given), 2)
    place = TARGETS.index(feature)
    both[:, place], importance[:, place] = torch.from_numpy(targets), 1.0
    goals = Goals.of(both, calls, importance, **dict.fromkeys(dynamics.terms, REALISM))
    problem = Problem(dynamics.generator, dynamics, both, calls, 0, goals)
    latent_agent_search(agent, dynamics, start=torch.from_numpy(dynamics.generator.encode(given)))(problem)
    return problem.result().bars


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--n", type=positive, default=1000, help="bars that are steered (%(default)s)")
    parser.add_argument("--calls", type=positive, default=CALLS, help="generator calls of each (%(default)s)")
    parser.add_argument("--agent", help="weights of an agent (the bundled ones)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    agent = load_agent(options.agent)
    grid, kit = BUNDLED_GRIDS[0], load_generator().kit
    songs = load_corpus(options.corpus, grid, kit).split("valid").distinct()
    held = Held(words_to_bars(songs.words, kit.n_parts), songs.song_id, options.n, kit)
    print("| | " + " | ".join(f"{change:+d} {feature}: changed | reached | C2ST" for feature, change in WISHES) + " |")
    print("|---" * (1 + 3 * len(WISHES)) + "|")
    lines: dict[str, list[str]] = {}
    for feature, change in WISHES:
        rows, targets = held.wanted(feature, change)
        given = held.given[rows]
        ways = {
            "from nothing": steered_freely(feature, targets, options.calls, agent),
            "agent of whole-bar moves": by_whole_bar_moves(given, feature, targets, options.calls),
        }
        for closeness in CLOSENESS:
            found = steered_close(given, feature, targets, options.calls, closeness, agent)
            ways[f"closeness {closeness:g}"] = found
        for name, bars in ways.items():
            lines.setdefault(name, []).extend(held.cells(rows, feature, targets, bars))
    for name, cells in lines.items():
        print("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
