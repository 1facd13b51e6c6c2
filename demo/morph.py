"""Morph one bar into another and back, as a loop: the library in a few lines.

Run: python demo/morph.py 3 17 morph.mid
"""

from __future__ import annotations

import sys

import numpy as np

import rhythmgan


def main(first: str, second: str, path: str) -> None:
    gan = rhythmgan.load_gan()
    a, b = gan.latents([int(first), int(second)])
    there = rhythmgan.interpolate(a, b, frames=8)
    and_back = np.concatenate([there, there[-2:0:-1]])
    bars = gan.decode(and_back)
    rhythmgan.write_midi(path, bars, gan.kit, bpm=100)
    print(f"{len(bars)} bars in {path}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python demo/morph.py SEED SEED FILE.mid")
    main(*sys.argv[1:])
