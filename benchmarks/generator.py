"""Bars generated per second on one CPU core, against the floor: the generator's matrix products alone.

Run: python benchmarks/generator.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from rhythmgan.models.gan import GAN, load_gan
from rhythmgan.models.products import linear
from rhythmgan.seeds import seeds_to_z

_BATCH = 1024


def _bare_products(gan: GAN) -> Callable[[], None]:
    """The same matrix products as ``decode`` does for a batch, with nothing between them."""
    g = gan.generator
    state = torch.randn(_BATCH, g.width)
    lagged = torch.zeros(_BATCH, g.lagged_to_new.in_features)
    heads = torch.cat([each.weight for each in (g.to_parts, g.to_repeats, g.to_links)])
    pairs = [
        (torch.cat([lagged, state], 1), g.to_gates.weight),
        (lagged, g.lagged_to_new.weight),
        (state, g.state_to_new.weight),
        (state, heads),
    ]
    given = [(x, weight, torch.zeros(len(weight))) for x, weight in pairs]

    def products() -> None:
        for _ in range(g.steps):
            for each in given:
                linear(*each)

    return products


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a weights file (the bundled one)")
    parser.add_argument("--rounds", type=int, default=5, help="the best round counts (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gan = load_gan(options.weights)
    n = 8 * _BATCH
    products = _bare_products(gan)
    rates: dict[str, float] = {}

    def measure(what: str, work: Callable[[], object]) -> None:
        start = time.process_time()
        work()
        rates[what] = max(rates.get(what, 0), n / (time.process_time() - start))

    with torch.no_grad():
        for _ in range(options.rounds):
            measure("sample(): seed to bar", lambda: gan.sample(n))
            measure("the matrix products bare", lambda: [products() for _ in range(n // _BATCH)])
            measure("seeds to z alone", lambda: seeds_to_z(range(n), gan.latent_dim))
    g = gan.generator
    read = g.lagged_to_new.in_features + g.width
    out = g.to_parts.out_features + g.to_links.out_features + g.to_repeats.out_features
    flops = 2 * g.steps * g.width * (3 * read + out)
    print(f"one CPU core, batches of {_BATCH}, best of {options.rounds} rounds; {flops / 1e6:.2f} MFLOP a bar")
    print("| | bars per second | share of the bare products |\n| --- | ---: | ---: |")
    floor = rates["the matrix products bare"]
    for what, rate in rates.items():
        print(f"| {what} | {rate:,.0f} | {rate / floor:.2f} |")


if __name__ == "__main__":
    main()
