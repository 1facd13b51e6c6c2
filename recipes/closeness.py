"""Draw a bar before and after it is steered, with several closenesses: the strip of the README.

    python recipes/closeness.py out.png [seed]

The bar is the groove of a seed; it is asked for four onsets more. Each picture's title says what came of it.
"""

from __future__ import annotations

import sys

import numpy as np

from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.models.catalogue import load_generator
from rl_tuner.steering import steer

CLOSENESSES = (1.0, 0.5, 0.0)
MORE = 4
"""Onsets that are asked for beyond those of the bar."""


def main() -> None:
    out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    generator = load_generator().with_condition("groove")
    bar = generator.sample(1, seed)
    density = int(bar.sum())
    bars, titles = [bar], [f"groove of seed {seed}: {density} onsets"]
    for closeness in CLOSENESSES:
        found = steer({"density": density + MORE}, given=bar, closeness=closeness, generator=load_generator())
        bars.append(found.after)
        titles.append(f"closeness {closeness:g}: {int(found.after.sum())} onsets, {int(found.changed.sum())} changed")
    sheet = bars_to_image(
        np.concatenate(bars),
        kit=generator.kit,
        titles=titles,
        columns=len(bars),
        before=np.repeat(bar, len(bars), 0),
    )
    write_png(out, sheet)


if __name__ == "__main__":
    main()
