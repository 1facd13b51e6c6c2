"""One bar, four views, and the conversions between them.

========  ======================  =====================================================
view      shape and type          a cell is
========  ======================  =====================================================
bars      (n, steps, parts) bool  does the part have an onset on the step
words     (n, steps) ints         all parts of a step as one number, kick the top bit
notes     (n, steps) ints         0 = rest, otherwise 1 + the loudest part
text      str                     a line ``0b100000000 0b001000000 … BAR`` for each bar
========  ======================  =====================================================

``bars``, ``words`` and ``text`` hold the same; ``notes`` keeps one part a step. The bar axis
``n`` may be any number of leading axes. ``steps`` is a bar's length in grid cells: 16 for
sixteenths, 32, or 12, 24 and 48 for triplets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rhythmgan.kit import Kit, fold_table, kit_with

if TYPE_CHECKING:
    import torch

    Array = TypeVar("Array", np.ndarray, torch.Tensor)

BEATS = 4
"""Quarter notes in a bar: everything here is 4/4."""

GRIDS = (12, 16, 24, 32, 48)
"""The grids a bar may have, in steps a bar."""

_WORD = re.compile(r"0b[01]+")
_TOKEN = re.compile(r"\S+")


def check_steps(steps: int) -> int:
    """``steps`` if it is a grid we know, otherwise a ValueError that names them."""
    if steps not in GRIDS:
        raise ValueError(f"a bar may have {', '.join(map(str, GRIDS))} steps, not {steps}")
    return steps


def bars_to_words(bars: Array) -> Array:
    """bars (n, steps, parts) bool → words (n, steps), the first part the highest bit.

    NumPy in, NumPy uint16 out; torch in, torch int64 out, on the same device.

    Raises:
        ValueError: more than 16 parts.
    """
    n_parts = bars.shape[-1]
    if n_parts > 16:
        raise ValueError(f"a word holds 16 parts at most, not {n_parts}")
    if not isinstance(bars, np.ndarray):
        import torch

        values = 1 << torch.arange(n_parts - 1, -1, -1, device=bars.device)
        return ((bars != 0) * values).sum(-1)
    weights = (1 << np.arange(n_parts - 1, -1, -1)).astype(np.uint16)
    return (bars.astype(bool) * weights).sum(-1, dtype=np.uint16)


def words_to_bars(words: Array, n_parts: int) -> Array:
    """words (n, steps) ints → bars (n, steps, parts) bool; NumPy in, NumPy out, torch in, torch out.

    A tensor stays on its device, so words can be kept there and unpacked a batch at a time.

    Raises:
        ValueError: a word of 2^n_parts or more, or a negative one (NumPy only: checking a
            tensor would stop the device).
    """
    if not isinstance(words, np.ndarray):
        import torch

        shifts = torch.arange(n_parts - 1, -1, -1, device=words.device)
        return (words[..., None].long() >> shifts & 1).bool()
    if words.size and (words.min() < 0 or words.max() >= 1 << n_parts):
        raise ValueError(
            f"words of {n_parts} parts lie in 0 … {(1 << n_parts) - 1}; found {words.min()} … {words.max()}"
        )
    return (words[..., None] >> np.arange(n_parts - 1, -1, -1).astype(words.dtype) & 1).astype(bool)


def bars_to_notes(bars: np.ndarray, velocities: np.ndarray | None = None) -> np.ndarray:
    """bars (n, steps, parts) bool → notes (n, steps) uint8: 0 = rest, otherwise 1 + the loudest part.

    Args:
        bars: the cells.
        velocities: how loud each cell is, of the same shape; without it all sound alike.
            Of parts that are equally loud the first in the kit is kept.
    """
    bars = np.asarray(bars, bool)
    loudness = np.where(bars, 1 if velocities is None else np.asarray(velocities, float) + 1, 0)
    return np.where(bars.any(-1), loudness.argmax(-1) + 1, 0).astype(np.uint8)


def notes_to_bars(notes: np.ndarray, n_parts: int) -> np.ndarray:
    """notes (n, steps) ints → bars (n, steps, parts) bool with at most one part a step.

    Raises:
        ValueError: a note outside 0 … n_parts.
    """
    notes = np.asarray(notes)
    if notes.size and (notes.min() < 0 or notes.max() > n_parts):
        raise ValueError(f"notes of {n_parts} parts lie in 0 … {n_parts}; found {notes.min()} … {notes.max()}")
    return notes[..., None] == np.arange(1, n_parts + 1)


def words_to_text(words: np.ndarray, n_parts: int) -> str:
    """words (n, steps) ints → one line ``0b… 0b… BAR`` for each bar."""
    lines = (" ".join(f"0b{word:0{n_parts}b}" for word in bar) for bar in np.asarray(words).tolist())
    return "".join(f"{line} BAR\n" for line in lines)


_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_LINE = re.compile(f"([^{_BREAKS}]*)(?:\r\n|[{_BREAKS}]|$)")


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Where each line begins, and the line: those of ``str.splitlines``, one at a time.

    A list of them would take many times the memory of the text. Behind a last line break there is an empty line.
    """
    for found in _LINE.finditer(text):
        yield found.start(), found[1]


def text_to_words(text: str, n_parts: int, first_line: int = 1) -> list[np.ndarray]:
    """Every bar of a text, (steps,) uint16 each: bars of one text may have different grids.

    Line breaks mean nothing; a ``#`` and what follows it in a line is a comment. Work is linear in the text, and memory
    is at most ten bytes a letter: it is read token by token, up to the first that is wrong.

    Args:
        text: in the text view.
        n_parts: of a word.
        first_line: the number of its first line, for messages.

    Raises:
        ValueError: something that is no word of ``n_parts`` bits, a bar of a length that is
            no grid, or words after the last BAR. The message names the line.
    """
    bars: list[np.ndarray] = []
    bar: list[int] = []
    begun = 0
    for number, (_, line) in enumerate(lines_of(text), first_line):
        for found in _TOKEN.finditer(line.partition("#")[0]):
            token = found[0]
            begun = begun if bar else number
            if token == "BAR":
                if len(bar) not in GRIDS:
                    raise ValueError(
                        f"line {number}: a bar of {len(bar)} steps; a bar has {', '.join(map(str, GRIDS))}"
                    )
                bars.append(np.array(bar, np.uint16))
                bar = []
            elif len(token) == n_parts + 2 and _WORD.fullmatch(token):
                bar.append(int(token, 2))
            else:
                raise ValueError(f"line {number}: {token[:40]!r} is neither BAR nor a word of {n_parts} bits")
    if bar:
        raise ValueError(f"line {begun}: the text ends within a bar: {len(bar)} words after the last BAR")
    return bars


def fold_bars(bars: np.ndarray, source: Kit, target: Kit) -> np.ndarray:
    """bars of kit ``source`` (n, steps, parts) bool → bars of kit ``target``.

    A part of the target sounds where any part that folds into it does. What ``target`` has no part for is dropped:
    a bar may become silent.

    Raises:
        ValueError: ``source`` cannot be folded into ``target``.
    """
    table = fold_table(source, target)
    folded = np.zeros((*bars.shape[:-1], target.n_parts), bool)
    for source_part, target_part in enumerate(table):
        if target_part >= 0:
            folded[..., target_part] |= bars[..., source_part]
    return folded


def unfold_bars(bars: np.ndarray, source: Kit, target: Kit, like: np.ndarray | None = None) -> np.ndarray:
    """bars of the smaller kit ``source`` (…, parts) bool → bars of kit ``target``, each part on one of its parts.

    Of the parts that fold into it, that is the one that sounds most often in ``like``: a bar for a loop that rides the
    ride cymbal rides it too. Of equals it is the one that has its pitch, or the first. ``fold_bars`` gives back
    ``bars``.

    Args:
        bars: what to unfold.
        source: their kit, into which ``target`` can be folded.
        target: the kit to unfold them to.
        like: (…, target parts) bool, bars whose parts are preferred.

    Raises:
        ValueError: ``target`` cannot be folded into ``source``.
    """
    folds = fold_table(target, source)
    unfolded = np.zeros((*bars.shape[:-1], target.n_parts), bool)
    for part, pitch in enumerate(source.pitches):
        choices = np.flatnonzero(folds == part)
        onsets = 0 if like is None else like[..., choices].reshape(-1, len(choices)).sum(0)
        preferred = np.where(target.part_of_pitch[pitch] == choices, 0.5, 0) + onsets
        unfolded[..., choices[np.argmax(preferred)]] = bars[..., part]
    return unfolded


def kit_of(bars: np.ndarray | torch.Tensor, kit: Kit | None = None) -> Kit:
    """``kit`` where it is named, otherwise the kit of as many parts as bars (…, parts) have, see ``kit.kit_with``.

    Raises:
        ValueError: none is named, and no kit has so many.
    """
    if kit is not None:
        return kit
    try:
        return kit_with(bars.shape[-1] if bars.ndim else 0)
    except ValueError as error:
        raise ValueError(f"expected bars (n, steps, parts) of a kit; got {tuple(bars.shape)}: {error}") from None


def bar_to_lines(bar: np.ndarray, kit: Kit) -> str:
    """One bar (steps, parts) bool drawn for a terminal: a row a sounding part, ``x`` an onset, a space a beat."""
    width = max(len(name) for name in kit.names)
    per_beat = bar.shape[0] // BEATS
    rows = []
    for name, line in zip(kit.names, np.asarray(bar, bool).T, strict=True):
        if line.any():
            cells = "".join("x" if cell else "." for cell in line)
            beats = " ".join(cells[i : i + per_beat] for i in range(0, len(cells), per_beat))
            rows.append(f"{name:>{width}}  {beats}")
    return "\n".join(rows) or "(silence)"
