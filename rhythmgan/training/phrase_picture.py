"""The picture that a training of phrases leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.models.interfaces import PhraseSampler

PICTURE = "phrases.png"

PICTURE_PHRASES = 32


def write_picture(model: PhraseSampler, n_bars: int, path: Path) -> np.ndarray:
    """Draw the phrases of the seeds from 0 on, two in a row; also returned (height, width, 3)."""
    bars = model.phrases(np.arange(PICTURE_PHRASES), n_bars)
    titles = [f"seed {seed}" if bar == 0 else "" for seed in range(PICTURE_PHRASES) for bar in range(n_bars)]
    image = bars_to_image(bars.reshape(-1, *bars.shape[2:]), model.kit, titles=titles, columns=2 * n_bars)
    write_png(path, image)
    return image
