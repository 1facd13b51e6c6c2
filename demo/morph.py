"""Morph one bar into another and back, as a loop: the library in a few lines.

Run: python demo/morph.py 3 17 morph.mid
"""

from __future__ import annotations

import sys

import numpy as np

import rhythmgan


def main(first: str, second: str, path: str) -> None:
    gan = rhythmgan.load_gan()
    bars = gan.decode(gan.latents([int(first), int(second)]))
    (there,) = rhythmgan.morph(gan, bars[:1], bars[1:], frames=8)
    there_and_back = np.concatenate([there, there[-2:0:-1]])
    rhythmgan.write_midi(path, there_and_back, gan.kit, bpm=100)
    print(f"{len(there_and_back)} bars in {path}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python demo/morph.py SEED SEED FILE.mid")
    main(*sys.argv[1:])
