"""Variations of a loop, and loops filled in: what stays, how much changes, and how real the bars are that come out.

The first release turned latent points; its way stands beside today's.

Run: python benchmarks/variation.py corpus.npz
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import load_corpus
from rhythmgan.generate.variation import fill, lock_parts, vary
from rhythmgan.kit import Kit
from rhythmgan.latent import rotate
from rhythmgan.metrics import c2st
from rhythmgan.models.catalogue import load_generator
from rhythmgan.models.interfaces import LatentModel
from rhythmgan.patterns import load_patterns

_AMOUNTS = (0.1, 0.2, 0.4)
_SEEDS = 16
"""Variations of each textbook bar and of each loop."""

_OLD, _NEW = "turned in latent space (0.1.0)", "cells changed"

_TOGETHER = 16
"""Held-out bars that share a seed, which is faster; the old way turns all bars of a loop on if all are unchanged."""

_SPLITS = 4
"""Ways to cut the songs in two halves."""

Vary = Callable[[np.ndarray, Sequence[int], float], np.ndarray]
"""(loop (m, steps, parts), seeds, amount) → variations (n, m, steps, parts)."""


def turned(model: LatentModel, loop: np.ndarray, seeds: Sequence[int], amount: float) -> np.ndarray:
    """Variations as the first release made them: z turned towards a seed's by a share of a right angle.

    One that is still the loop is turned on by as much again, until it is not, or until a right angle.
    """
    own = model.encode(loop)
    varied = np.stack([loop] * len(seeds))
    for further in range(1, math.ceil(1 / amount) + 1):
        angle = min(further * amount, 1) * math.pi / 2
        for i in np.flatnonzero((varied == loop).all((1, 2, 3))):
            varied[i] = model.decode(rotate(own, np.repeat(model.latents([seeds[int(i)]]), len(loop), 0), angle))
    return varied


def changed_cells(model: LatentModel, loop: np.ndarray, seeds: Sequence[int], amount: float) -> np.ndarray:
    """Variations of today."""
    return vary(model, loop, seeds, amount)[0]


def has_backbeat(bars: np.ndarray, kit: Kit) -> np.ndarray:
    """Whether the snare sounds on the beats 2 and 4 of bars (…, steps, parts)."""
    beat = bars.shape[-2] // 4
    snare = bars[..., kit.names.index("snare")]
    return snare[..., beat] & snare[..., 3 * beat]


def from_real(bars: np.ndarray, song: np.ndarray, made: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """How well a classifier tells bars, and what was made of them, from the bars of other songs.

    Args:
        bars: (n, steps, parts) bool.
        song: (n,) ints.
        made: of the shape of ``bars``, each made of the bar of its row.
        seed: of the halves.

    Returns:
        C2ST of half of the songs' bars beside the other half's, that of what was made of them, and the standard error
        of the difference; means over ``_SPLITS`` halves.
    """
    own, others = [], []
    for split in range(_SPLITS):
        names = np.random.default_rng([seed, split]).permutation(np.unique(song))
        half = np.isin(song, names[: len(names) // 2])
        test = partial(c2st, bars[~half], song[~half], generated_song=song[half], repeats=2, seed=split)
        own.append(test(bars[half])["c2st"])
        others.append(test(made[half])["c2st"])
    error = float(np.std(np.subtract(others, own), ddof=1)) / math.sqrt(_SPLITS)
    return float(np.mean(own)), float(np.mean(others)), error


def _held_out(ways: dict[str, Vary], bars: np.ndarray, song: np.ndarray) -> None:
    print(f"{len(bars):,} held-out bars; C2ST beside bars of other songs (line: within .02):\n")
    print("| | amount | cells | asked for | worst miss | onsets | C2ST | of the bars | difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (name, way), amount in itertools.product(ways.items(), _AMOUNTS):
        together = 1 if name == _OLD else _TOGETHER
        chunks = [way(bars[i : i + together], [i], amount)[0] for i in range(0, len(bars), together)]
        varied = np.concatenate(chunks)
        asked = np.maximum(amount * bars.sum((1, 2)), 1)
        changed = (varied != bars).sum((1, 2))
        denser = varied.sum((1, 2)).mean() - bars.sum((1, 2)).mean()
        own, c, error = from_real(bars, song, varied)
        print(
            f"| {name} | {amount} | {changed.mean():.2f} | {asked.mean():.2f} | {np.abs(changed - asked).max():.1f} "
            f"| {denser:+.2f} | {c:.3f} | {own:.3f} | {c - own:+.3f} ± {error:.3f} |",
            flush=True,
        )
    print()


def _textbook(ways: dict[str, Vary], bars: np.ndarray, kit: Kit) -> None:
    with_backbeat = bars[has_backbeat(bars, kit)]
    print(
        f"{len(bars)} textbook bars, {len(with_backbeat)} of them with the snare on 2 and 4 "
        f"(line: lost in 5 % at .1), {_SEEDS} variations each:\n"
    )
    print("| | amount | backbeat lost | different of 8 seeds | cells between two seeds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (name, way), amount in itertools.product(ways.items(), _AMOUNTS):
        varied = np.stack([way(bar[None], range(_SEEDS), amount)[:, 0] for bar in bars])
        lost = 1 - has_backbeat(varied[has_backbeat(bars, kit)], kit).mean()
        unique = np.mean([len(np.unique(each[:8].reshape(8, -1), axis=0)) / 8 for each in varied])
        apart = (varied[:, 1:] != varied[:, :-1]).sum((2, 3)).mean()
        print(f"| {name} | {amount} | {lost:.3f} | {unique:.2f} | {apart:.1f} |", flush=True)
    print()


def _loops(ways: dict[str, Vary], bars: np.ndarray, n: int) -> None:
    """Loops A A A B, B being the bar of the same song that is nearest to A but not equal."""
    print(f"{n} loops A A A B of real bars, {_SEEDS} variations each, amount .2:\n")
    print("| | A A A stay equal | changes of A that B shares, of those that it can |")
    print("| --- | ---: | ---: |")
    for name, way in ways.items():
        equal, shared = [], []
        for loop in bars[:n]:
            varied = way(loop, range(_SEEDS), 0.2)
            equal.append((varied[:, :3] == varied[:, :1]).all((1, 2, 3)))
            flips = varied != loop
            common = loop[0] == loop[3]
            shared.append((flips[:, 0] & flips[:, 3] & common).sum() / max((flips[:, 0] & common).sum(), 1))
        print(f"| {name} | {np.mean(equal):.2f} | {np.mean(shared):.2f} |", flush=True)
    print()


def loops_of_songs(bars: np.ndarray, song: np.ndarray) -> np.ndarray:
    """A loop A A A B of every song that has two bars that differ in 1 to 8 cells: (n, 4, steps, parts)."""
    found = []
    for name in np.unique(song):
        own = bars[song == name]
        apart = (own[:1] != own[1:]).sum((1, 2))
        near = np.flatnonzero((apart >= 1) & (apart <= 8))
        if len(near):
            other = own[1 + near[apart[near].argmin()]]
            found.append(np.stack([own[0]] * 3 + [other]))
    return np.array(found, bool).reshape(len(found), 4, *bars.shape[1:])


def _filled(model: LatentModel, bars: np.ndarray, song: np.ndarray) -> None:
    print(f"{len(bars):,} held-out bars filled in, one seed each:\n")
    print("| locked | cells that differ | onsets | C2ST | of the bars | difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for names in (["kick", "snare"], ["hat", "ride", "crash"]):
        locked = lock_parts(model.kit, model.steps, names)
        made = np.stack([fill(model, bar, locked, [i])[0] for i, bar in enumerate(bars)])
        own, c, error = from_real(bars, song, made)
        denser = made.sum((1, 2)).mean() - bars.sum((1, 2)).mean()
        changed = (made != bars).sum((1, 2)).mean()
        told = f"{c:.3f} | {own:.3f} | {c - own:+.3f} ± {error:.3f}"
        print(f"| {', '.join(names)} | {changed:.1f} | {denser:+.2f} | {told} |", flush=True)
    print()


def _speed(ways: dict[str, Vary], model: LatentModel) -> None:
    loop = model.sample(4, seed=0)
    aaab = loop[[0, 0, 0, 1]]
    print("Milliseconds of one core for 8 variations of a loop of four bars, amount .2, the least of 3:\n")
    print("| | four different bars | A A A B |\n| --- | ---: | ---: |")
    every: dict[str, Vary] = {**ways, "filled in around kick and snare": partial(_fill_as_way, model)}
    for name, way in every.items():
        took = []
        for each in (loop, aaab):
            times = []
            for _ in range(3):
                start = time.process_time()
                way(each, range(8), 0.2)
                times.append(time.process_time() - start)
            took.append(1000 * min(times))
        print(f"| {name} | {took[0]:.0f} | {took[1]:.0f} |", flush=True)
    print()


def _fill_as_way(model: LatentModel, loop: np.ndarray, seeds: Sequence[int], amount: float) -> np.ndarray:
    return fill(model, loop, lock_parts(model.kit, model.steps, ["kick", "snare"]), seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a corpus that `rhythmgan prepare` wrote")
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="songs (%(default)s)")
    parser.add_argument("--role", default="any", help="what the model is asked for (%(default)s)")
    parser.add_argument("--bars", type=int, default=2000, help="held-out bars at most (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_generator(options.weights or "gan").with_condition(role=options.role)
    held = load_corpus(options.data, model.steps, model.kit).split(options.split).distinct()
    bars = words_to_bars(held.words, model.kit.n_parts)
    sounding = np.flatnonzero(bars.any((1, 2)))
    loops = np.random.default_rng(0).permutation(loops_of_songs(bars[sounding], held.song_id[sounding]))
    rows = np.sort(np.random.default_rng(0).permutation(sounding)[: options.bars])
    bars, song = bars[rows], held.song_id[rows]
    ways: dict[str, Vary] = {
        _OLD: partial(turned, model),
        _NEW: partial(changed_cells, model),
    }
    _speed(ways, model)
    textbook = load_patterns(steps=model.steps)
    known = np.zeros((len(textbook.words), model.steps, model.kit.n_parts), bool)
    known[..., : textbook.kit.n_parts] = words_to_bars(textbook.words, textbook.kit.n_parts)
    _textbook(ways, known, model.kit)
    _loops(ways, loops, min(100, len(loops)))
    _held_out(ways, bars, song)
    _filled(model, bars[:: len(bars) // 1000 + 1], song[:: len(bars) // 1000 + 1])


if __name__ == "__main__":
    main()
