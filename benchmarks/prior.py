"""Bars that the prior judges and draws per second on one CPU core, beside its matrix products alone.

Run: python benchmarks/prior.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from rhythmgan.models.products import linear
from rhythmgan.models.word_lstm import WordLSTM, load_prior

_BATCH = 1024


def _bare_products(prior: WordLSTM) -> Callable[[], None]:
    """The matrix products that ``log_prob`` cannot do without for a batch, with nothing between them."""
    steps = prior.config.steps
    weights = [weight for name, weight in prior.lstm.named_parameters() if name.startswith("weight")]
    given = [torch.randn(_BATCH * steps, weight.shape[1]) for weight in weights]
    states = torch.randn(_BATCH, prior.config.width)
    # from a state to what a chunk's values are compared with, and to them
    heads = [weight for name, weight in prior.chances.named_parameters() if name.endswith("from_state.weight")]
    compared = [
        (torch.randn(_BATCH * steps, len(head)), torch.randn(1 << size, len(head)))
        for head, size in zip(heads, prior.chances.sizes, strict=True)
    ]
    out = torch.randn(_BATCH * steps, heads[0].shape[1])

    def product(x: torch.Tensor, weight: torch.Tensor) -> None:
        linear(x, weight, torch.zeros(len(weight)))

    def products() -> None:
        for weight, values in zip(weights, given, strict=True):
            if weight.shape[1] == prior.config.width and values.shape[1] == prior.config.width:
                for _ in range(steps):  # a state needs the one before it
                    product(states, weight)
            else:
                product(values, weight)
        for head, (found, values) in zip(heads, compared, strict=True):
            product(out, head)
            product(found, values)

    return products


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many, in turn (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    prior = load_prior(options.weights)
    previous = prior.sample(_BATCH)
    bars = torch.from_numpy(previous)
    runs: dict[str, Callable[[], object]] = {
        "log_prob()": lambda: prior.log_prob(bars),
        "the matrix products bare": _bare_products(prior),
        "log_prob(), given the bar before": lambda: prior.log_prob(bars, bars),
        "sample()": lambda: prior.sample(_BATCH),
        "sample(), given the bar before": lambda: prior.sample(_BATCH, previous=previous),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(options.rounds):
        for name, run in runs.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    floor = best["the matrix products bare"]
    print("| one core | bars per second | share of the bare products |\n| --- | ---: | ---: |")
    for name, seconds in best.items():
        print(f"| {name} | {_BATCH / seconds:,.0f} | {floor / seconds:.2f} |")


if __name__ == "__main__":
    main()
