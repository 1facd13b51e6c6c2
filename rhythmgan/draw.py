"""Pictures of bars: a step grid each, parts by name, velocities by shade."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rhythmgan.bars import BEATS
from rhythmgan.files import write_whole
from rhythmgan.kit import Kit
from rhythmgan.performance import Performance, as_performance

_CELL = 10
_GAP = 14
_PAPER = (250, 249, 246)
_FAINT = (235, 233, 227)
_BEAT = (222, 219, 211)
_INK = (60, 60, 66)
# one hue a family: kick, snare, hats, toms, ride, crash, shaker, conga, bell; from the colour-blind safe set of Okabe &
# Ito as far as it goes
_HUES = {
    "kick": (0, 114, 178),
    "snare": (213, 94, 0),
    "hat": (0, 158, 115),
    "tom": (204, 121, 167),
    "ride": (120, 110, 40),
    "crash": (200, 140, 0),
    "shaker": (56, 170, 190),
    "conga": (140, 45, 55),
    "bell": (110, 90, 190),
}


def hue(part: str) -> tuple[int, int, int]:
    """Red, green and blue, 0-255, that a part of this name is drawn in."""
    return next((colour for family, colour in _HUES.items() if family in part), (96, 96, 104))


def bar_to_text(bar: np.ndarray, kit: Kit) -> str:
    """A bar (steps, parts) bool as lines of text, a part each: ``x`` where a drum sounds, ``o`` where a cymbal,
    a shaker or a bell does."""
    width = max(len(name) for name in kit.names)
    high = set(kit.parts_of("high"))
    return "\n".join(
        f"{name:<{width}} " + "".join(("o" if index in high else "x") if cell else "." for cell in bar[:, index])
        for index, name in enumerate(kit.names)
    )


def bars_to_image(
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    before: np.ndarray | None = None,
) -> np.ndarray:
    """Draw bars as a sheet of grids → (height, width, 3) uint8.

    The first part of the kit is the lowest line, as in drum notation; what is louder is darker.

    Args:
        bars: (n, steps, parts) bool, which get metrical accents, or their performance.
        kit: what the parts of bare bars are, by default the kit of as many parts; they are named at the left of every
            row of grids.
        titles: n short lines, one above each grid.
        columns: grids in a row; about as many as make a square by default.
        before: (n, steps, parts) bool, what the bars were: a cell that is new has a frame, one that is gone a cross.

    Raises:
        ValueError: no bars, or a shape that does not fit the kit.
    """
    performance = as_performance(bars, kit)
    if before is not None and before.shape != performance.bars.shape:
        raise ValueError(f"expected bars from before {performance.bars.shape}; got {before.shape}")
    kit = performance.kit
    n, steps, n_parts = performance.bars.shape
    columns = min(n, columns or max(1, round((n * n_parts / steps) ** 0.5)))
    rows = -(-n // columns)
    font = ImageFont.load_default(size=_CELL)
    margin = int(max(font.getlength(name) for name in kit.names)) + 2 * _CELL
    head = 14 if titles is not None else 0
    width, height = steps * _CELL + _GAP, n_parts * _CELL + _GAP + head
    sheet = Image.new("RGB", (margin + columns * width, rows * height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, shade in enumerate(performance.velocities / 127):
        left, top = margin + index % columns * width, _GAP + index // columns * height + head
        if titles is not None:
            pen.text((left, top - head), titles[index], fill=_INK, font=font)
        for part, name in enumerate(kit.names):
            y = top + (n_parts - 1 - part) * _CELL
            if index % columns == 0:
                pen.text((margin - _CELL, y + _CELL // 2), name, fill=_INK, font=font, anchor="rm")
            for step in range(steps):
                x = left + step * _CELL
                colour = _BEAT if step % (steps // BEATS) == 0 else _FAINT
                if shade[step, part]:
                    ink = np.array(hue(name))
                    colour = tuple((255 - (255 - ink) * shade[step, part]).astype(int).tolist())
                end = x + _CELL - 2, y + _CELL - 2
                pen.rectangle((x, y, *end), fill=colour)
                if before is not None and before[index, step, part] != (shade[step, part] > 0):
                    if shade[step, part]:
                        pen.rectangle((x, y, *end), outline=_INK, width=2)
                    else:
                        pen.line((x, y, *end), fill=_INK, width=1)
                        pen.line((x, end[1], end[0], y), fill=_INK, width=1)
    return np.asarray(sheet)


_HISTOGRAMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stepfilled", {"color": "#888888", "alpha": 0.75}),
    ("step", {"color": "#d55e00", "linewidth": 1.6}),
)


def histogram_edges(values: np.ndarray) -> np.ndarray:
    """Edges of the bins that values (n,) are counted in: one for each whole number, or 30 where they are not whole."""
    low, high = values.min(), values.max()
    whole = np.array_equal(values, values.round())
    return np.arange(low, high + 2) - 0.5 if whole and high - low < 60 else np.linspace(low, high + 1e-9, 31)


def histograms_to_image(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], first: str, second: str) -> np.ndarray:
    """Histograms of features of two sets over each other → (height, width, 3) uint8.

    Args:
        pairs: name of a feature → its values in the first set and in the second, each (n,).
        first: what the first set is called.
        second: what the second set is called.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure((4 * columns, 2.6 * rows + 0.5), layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib types only some of it
    for axes, (name, both) in zip(figure.subplots(rows, columns, squeeze=False).flat, pairs.items(), strict=False):
        edges = histogram_edges(np.concatenate(both))
        drawn = [
            axes.hist(values, edges, weights=np.full(len(values), 1 / len(values)), histtype=kind, **style)[2][0]
            for values, (kind, style) in zip(both, _HISTOGRAMS, strict=True)
        ]
        axes.set_title(name, fontsize=10)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel("share of bars", fontsize=8)
    legend = figure.legend(drawn, [first, second], loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a file may be called anything
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def png_bytes(image: np.ndarray) -> bytes:
    """An image (height, width, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write an image (height, width, 3) uint8 as a PNG file."""
    write_whole(path, png_bytes(image))
