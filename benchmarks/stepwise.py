"""Searches that choose while a bar is decided, beside others: success, exact answers, time, realism at some budgets.

Targets are those of validation songs, so that what is chosen by this table is not chosen on the test songs. The
searches are those of `rl-tuner evaluate`. Each number of calls is a search of its own. With --realism there is also the
C2ST of exact answers to the features of real bars, against these very bars.

Run: python benchmarks/stepwise.py corpus.npz
     python benchmarks/stepwise.py corpus.npz --grid 12 --only particle-filter greedy-by-step --calls 4 8
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
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.weights import BUNDLED_GRIDS
from rl_tuner.benchmark.config import BenchmarkConfig
from rl_tuner.benchmark.realism import diversity, matched, normality
from rl_tuner.benchmark.report import BEST_OF_N
from rl_tuner.benchmark.rows import Row, Steered, baselines
from rl_tuner.benchmark.targets import FEASIBLE, families
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.problem import SearchResult

CALLS = (4, 8, 16, 32)

_UNSTEERED = 60_000
_UNSTEERED_SEED = 1 << 40
_COMPARED = 2600
"""Real bars whose features are asked for where realism is measured."""

_FEWEST = 200
"""Of fewer exact answers no C2ST is said: its error would be larger than what it tells."""

_AT_ONCE = 250
"""Targets that are searched for together: more would not fit the caches."""

_SHARED, _STARTS = 20, 16
"""Targets of which diversity is measured, and answers to each."""


def solve(row: Row, steered: Steered, targets: torch.Tensor, calls: int) -> tuple[list[SearchResult], float]:
    """Answers to targets (n, 2), and the seconds that they took."""
    results = [
        row.solve(steered, targets[start : start + _AT_ONCE], calls, seed=start)
        for start in range(0, len(targets), _AT_ONCE)
    ]
    return results, sum(float(one.seconds[-1]) for one in results)


class Realism:
    """C2ST of the exact answers to the features of real bars, against these very bars.

    Args:
        steered: the generator.
        real: (n, steps, parts) bool.
        song_id: (n,) ints.
    """

    def __init__(self, steered: Steered, real: np.ndarray, song_id: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        drawn = rng.permutation(len(real))[:_COMPARED]
        unsteered = steered.generator.sample(_UNSTEERED, seed=_UNSTEERED_SEED)
        values, others = (values_of(bars, TARGETS, steered.kit).numpy() for bars in (real[drawn], unsteered))
        here, there = matched(values, others, rng)
        rows = drawn[here]
        self.steered, self.real, self.song_id, self.values = steered, real[rows], song_id[rows], values[here]
        self.unsteered = self._c2st(unsteered[there], np.ones(len(rows), bool))

    def of(self, row: Row, calls: int) -> str:
        """C2ST of a search's answers; nothing where too few are exact."""
        results, _ = solve(row, self.steered, torch.from_numpy(self.values), calls)
        values = np.concatenate([one.values for one in results])
        return self._c2st(np.concatenate([one.bars for one in results]), (values == self.values).all(1))

    def _c2st(self, bars: np.ndarray, exact: np.ndarray) -> str:
        if exact.sum() < _FEWEST:
            return ""
        return f"{metrics.c2st(self.real[exact], self.song_id[exact], bars[exact])['c2st']:.3f}"


def line_of(row: Row, steered: Steered, asked: dict[str, torch.Tensor], calls: int, realism: Realism | None) -> str:
    """A row of the table."""
    found = {family: solve(row, steered, asked[family], calls) for family in FEASIBLE}
    shares = [np.mean(np.concatenate([one.success for one in found[family][0]])) for family in FEASIBLE]
    pairs, seconds = found["pairs"]
    exact = (np.concatenate([one.values for one in pairs]) == asked["pairs"].numpy()).all(1).mean()
    z = np.concatenate([one.z[one.success] for one in pairs])
    again = row.solve(steered, asked["pairs"][:_SHARED].repeat_interleave(_STARTS, 0), calls, seed=1)
    unique = diversity(again, _STARTS).get("unique")
    cells = [
        row.title,
        str(calls),
        *(f"{100 * share:.1f}" for share in (*shares, exact)),
        f"{pairs[0].spent:.1f}",
        f"{1000 * seconds / len(asked['pairs']):.1f}",
        f"{normality(z)['mean_square']:.3f}" if len(z) and np.isfinite(z).all() else "",
        f"{unique:.3f}" if unique is not None else "",
        realism.of(row, calls) if realism else "",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--grid", type=positive, default=BUNDLED_GRIDS[0])
    parser.add_argument("--pairs", type=positive, default=500, help="pairs, crossed targets, and 2.5 times the corners")
    parser.add_argument("--calls", type=positive, nargs="+", default=CALLS)
    parser.add_argument("--only", nargs="+", help="ids of some searches; by default best of N and all that plan")
    parser.add_argument("--realism", action="store_true", help="also measure C2ST")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan = load_generator(grid=options.grid).with_condition(ANY, ANY)
    steered = Steered.of(gan, gan, load_likelihood(grid=options.grid).with_condition(ANY, ANY))
    corpus = load_corpus(options.corpus, options.grid, gan.kit)
    songs, train = (corpus.split(name).distinct() for name in ("valid", "train"))
    real, known = (words_to_bars(each.words, gan.kit.n_parts) for each in (songs, train))
    n = options.pairs
    asked = families(
        values_of(real, TARGETS, gan.kit), {"pairs": n, "crossed": n, "corners": n * 2 // 5, "infeasible": 0}, seed=0
    )
    # there is an agent of whole-bar moves for one grid alone
    latent_agent = load_latent_agent() if options.grid == BUNDLED_GRIDS[0] else None
    rows = {row.id: row for row in baselines(steered, known, BenchmarkConfig(), latent_agent)}
    for name in options.only or ():
        if name not in rows:
            parser.error(f"no search is called {name!r}; there are {', '.join(rows)}")
    chosen = options.only or [name for name, row in rows.items() if row.plans or name == BEST_OF_N]
    realism = Realism(steered, real, songs.song_id) if options.realism else None
    if realism:
        print(f"C2ST of unsteered bars of the same features: {realism.unsteered}")
    print("| search | calls | pairs | crossed | corners | exact | spent | ms | z² | unique | C2ST |")
    print("| --- |" + " ---: |" * 10)
    for name in chosen:
        for calls in options.calls:
            print(line_of(rows[name], steered, asked, calls, realism), flush=True)


if __name__ == "__main__":
    main()
