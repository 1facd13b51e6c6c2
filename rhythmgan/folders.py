"""Folders of generated loops: paths between latent points, variations of a loop, and combined lines, in any formats."""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.bars import fold_bars
from rhythmgan.export import (
    FilePerLoop,
    Format,
    Loops,
    check_encodable,
    check_length,
    check_replaceable,
    export,
    files_written,
    formats_named,
    is_played,
    replacing,
)
from rhythmgan.features import with_swung_bars
from rhythmgan.generate.combine import Score, combine
from rhythmgan.generate.config import (
    MAX_BARS,
    MAX_LOOPS,
    CombineConfig,
    FillConfig,
    PathConfig,
    PathMode,
    VariationConfig,
    check_bars_of_loops,
)
from rhythmgan.generate.morph import morph
from rhythmgan.generate.variation import fill, lock_parts, vary
from rhythmgan.grid import quantise_by_grid
from rhythmgan.kit import Kit
from rhythmgan.latent import interpolate
from rhythmgan.load import load_loop
from rhythmgan.loop_packs import Pattern
from rhythmgan.midi_reader import SUFFIXES, read_midi
from rhythmgan.models.interfaces import BarModel, LatentCritic, LatentModel
from rhythmgan.performance import PLAIN, Performance, Playback


@dataclass(frozen=True)
class Exported:
    """What was written into a folder.

    Attributes:
        bars: the bars, in the kit that was asked for.
        files: name of each format → names of its files in the folder.
    """

    bars: np.ndarray
    files: dict[str, list[str]]


# --- Paths -------------------------------------------------------------------------------------------


def export_path(
    model: LatentCritic,
    waypoints: np.ndarray,
    out: str | os.PathLike[str],
    config: PathConfig | None = None,
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
) -> Exported:
    """Write the bars along a path from point to point: ``frame-000.mid`` …, ``path.mid`` of all, ``path.npz`` ….

    Args:
        model: makes the bars.
        waypoints: (k, latent_dim) floats, k at least 2; or (k, bars, latent_dim), loops whose bars change side by side.
        out: a folder, created if missing. The frames of another path in it are removed.
        config: how the path leads, and the formats.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the model by default.

    Returns:
        The frames (n, bars, steps, parts) bool, of single bars (n, steps, parts), and all files. The .npz file has them
        as ``bars`` and their points as ``z``, (n, bars, latent_dim) or (n, latent_dim).

    Raises:
        ValueError: fewer than two waypoints, or another option that does not fit.
        OSError: the folder cannot be written, or the disk is full.
    """
    config = config or PathConfig()
    formats = formats_named(config.formats)
    if len(waypoints) < 2:
        raise ValueError("a path needs two points at least")
    loops = waypoints[:, None] if waypoints.ndim == 2 else waypoints
    if config.frames * (len(loops) - 1) * loops.shape[1] > MAX_LOOPS:
        raise ValueError(f"a path has {MAX_LOOPS} bars at most")
    check_length((max(config.frames - 1, 1) * (len(loops) - 1) + 1) * loops.shape[1], formats, playback)
    check_replaceable(out, _PATH_FILES)
    kit = kit or model.kit
    made, z = _path(model, loops, config.frames, config.mode)
    bars = fold_bars(made.reshape(-1, *made.shape[2:]), model.kit, kit)
    frames = bars.reshape(*made.shape[:2], *bars.shape[1:])
    arrays = {"bars": frames, "z": z} if loops.shape[1] > 1 else {"bars": bars, "z": z[:, 0]}
    written = Loops(
        names=[f"frame-{i:03d}" for i in range(len(frames))],
        performances=Performance.of(frames, kit),
        key="frame",
        labels=range(len(frames)),
        titles=[f"frame {i}" for i in range(len(frames))],
        arrays=arrays,
    )
    whole = Loops(["path"], Performance.of(bars, kit).as_several(), "name", ["path"], ["path"], {})
    per_loop = [form for form in formats if isinstance(form, FilePerLoop)]
    check_encodable(written, formats, playback)
    with replacing(out, _PATH_FILES) as new:
        export([written], new, formats, playback, stem="path")
        export([whole], new, per_loop, playback, stem="path")
    return Exported(arrays["bars"], files_written(formats, [*whole.names, *written.names], "path"))


_PATH_FILES = ("frame", "path")
"""Names of files of a path."""


def _path(model: LatentCritic, loops: np.ndarray, frames: int, mode: PathMode) -> tuple[np.ndarray, np.ndarray]:
    """The bars (n, bars, steps, parts) and points (n, bars, latent_dim) on the way through loops (k, bars, latent_dim).

    Where a loop is reached its points are the given ones.
    """
    k, n_bars, latent_dim = loops.shape
    at_loop = np.arange((k - 1) * (frames - 1) + 1) % max(frames - 1, 1) == 0
    if mode == "morph":
        bars = model.decode(loops.reshape(-1, latent_dim)).reshape(k, n_bars, model.steps, -1)
        starts, ends = (bars[rows].reshape(-1, *bars.shape[2:]) for rows in (slice(-1), slice(1, None)))
        ways = morph(model, starts, ends, frames).reshape(k - 1, n_bars, frames, *bars.shape[2:]).swapaxes(1, 2)
        made = np.concatenate([ways[0], *ways[1:, 1:]])
        z = model.encode(made.reshape(-1, *bars.shape[2:])).reshape(-1, n_bars, latent_dim)
        z[at_loop] = loops
        return made, z
    legs = [
        np.stack([interpolate(a, b, frames, mode) for a, b in zip(start, end, strict=True)], 1)
        for start, end in itertools.pairwise(loops)
    ]
    z = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
    return model.decode(z.reshape(-1, latent_dim)).reshape(len(z), n_bars, model.steps, -1), z


# --- Variations --------------------------------------------------------------------------------------


def export_variations(
    model: LatentModel,
    loop: np.ndarray | Performance,
    out: str | os.PathLike[str],
    config: VariationConfig | None = None,
    *,
    playback: Playback = PLAIN,
    swing: float | None = None,
    kit: Kit | None = None,
) -> Exported:
    """Write a loop and variations of it: ``loop.mid``, ``variation-001.mid`` …, ``variations.npz`` ….

    See ``variation.vary``. Cells that stay keep the velocity and the offset that they have in the loop.

    Args:
        model: says what is likely.
        loop: (m, steps, parts) bool, of the model's kit and grid, which gets metrical accents; or its performance.
        out: a folder, created if missing. The variations of another loop in it are removed.
        config: how the loop is varied, and the formats.
        playback: tempo and swing of MIDI and WAV files.
        swing: sixteenth swing that each bar of the variations is given, see ``with_swung_bars``; by default that
            of the loop's playing. The loop itself stays as it is.
        kit: what the bars are folded into; that of the model by default.

    Returns:
        The loop and its variations (n + 1, m, steps, parts) bool, and all files. The .npz file has them as ``bars``,
        ``z`` (n + 1, m, latent_dim), and of a loop that is not played with accents on the grid ``velocities`` and
        ``offsets`` of the shape of ``bars``.

    Raises:
        ValueError: an option out of range, a part that there is not, or bars that are not the model's.
        OSError: the folder cannot be written, or the disk is full.
    """
    config = config or VariationConfig()
    formats = formats_named(config.formats)
    bars = _checked_loop(loop)
    locked = lock_parts(model.kit, model.steps, config.lock)
    if locked.all():
        raise ValueError("all parts are locked: none is left to vary")
    files = _LoopFiles("variation", "variations", formats, playback, swing, kit or model.kit)
    check_bars_of_loops(config.n, len(bars))
    check_length(len(bars), formats, playback)
    check_replaceable(out, _LOOP_FILES)
    varied, points = vary(model, bars, range(config.seed, config.seed + config.n), config.amount, locked)
    return files.write(out, _performed(loop, model), varied, np.concatenate([model.encode(bars)[None], points]))


def export_fills(
    model: LatentModel,
    loop: np.ndarray | Performance,
    out: str | os.PathLike[str],
    config: FillConfig,
    *,
    playback: Playback = PLAIN,
    swing: float | None = None,
    kit: Kit | None = None,
) -> Exported:
    """Write a loop and others around some of its parts: ``loop.mid``, ``filled-001.mid`` …, ``filled.npz`` ….

    See ``variation.fill``. Arguments, results and errors are those of ``export_variations``.

    Raises:
        ValueError: also where no part is left to make anew.
    """
    formats = formats_named(config.formats)
    bars = _checked_loop(loop)
    locked = lock_parts(model.kit, model.steps, config.lock)
    if locked.all():
        raise ValueError("all parts are locked: none is left to fill in")
    files = _LoopFiles("filled", "filled", formats, playback, swing, kit or model.kit)
    check_bars_of_loops(config.n, len(bars))
    check_length(len(bars), formats, playback)
    check_replaceable(out, _LOOP_FILES)
    filled = fill(model, bars, locked, range(config.seed, config.seed + config.n), config.temperature)
    z = np.stack([model.encode(each) for each in (bars, *filled)])
    return files.write(out, _performed(loop, model), filled, z)


_LOOP_FILES = ("variation", "variations", "filled", "loop")
"""Names of files that are made of a loop: those of two loops do not lie beside each other."""


@dataclass(frozen=True)
class _LoopFiles:
    """The files of a loop and of others that were made from it.

    Attributes:
        name: of each of the others, without its number.
        stem: of one file for all.
        formats, playback, swing, kit: see ``export_variations``.
    """

    name: str
    stem: str
    formats: Sequence[Format]
    playback: Playback
    swing: float | None
    kit: Kit

    def write(self, out: str | os.PathLike[str], own: Performance, others: np.ndarray, z: np.ndarray) -> Exported:
        """Write them: the loop itself first, then the others (n, m, steps, parts), with the points z of all."""
        played = own.with_bars(others) if self.swing is None else with_swung_bars(own, others, self.swing)
        performances = Performance.joined([own.as_several(), played]).folded(self.kit)
        arrays = {"bars": performances.bars, "z": z}
        if is_played(own) or self.swing is not None:
            arrays |= {"velocities": performances.velocities, "offsets": performances.offsets}
        names = ["loop", *(f"{self.name}-{i:03d}" for i in range(1, len(others) + 1))]
        loops = Loops(names, performances, "name", names, names, arrays, len(own) if 1 < len(own) <= 8 else None)
        export([loops], out, self.formats, self.playback, stem=self.stem, replaced=_LOOP_FILES)
        return Exported(performances.bars, files_written(self.formats, names, self.stem))


def _performed(loop: np.ndarray | Performance, model: BarModel) -> Performance:
    """The loop as it is played; bare bars get accents."""
    return loop if isinstance(loop, Performance) else Performance.of(loop, model.kit)


def _checked_loop(loop: np.ndarray | Performance) -> np.ndarray:
    """The bars of a loop.

    Raises:
        ValueError: none, or too many.
    """
    if not 1 <= len(loop) <= MAX_BARS:
        raise ValueError(f"a loop has 1 to {MAX_BARS} bars, not {len(loop)}")
    return loop.bars if isinstance(loop, Performance) else loop


def read_loop(path: str, model: BarModel, out: str) -> tuple[Performance, Playback]:
    """A user's loop as it is played, whose bars are to be the model's, and stay out of harm's way.

    Onsets of a MIDI file that the loop has no cell for are counted in the log: they are in nothing that is written.

    Raises:
        ValueError: no loop, one of another kit or grid, or one that lies in the folder to be written.
        OSError: it cannot be opened.
    """
    if Path(path).resolve().parent == Path(out).resolve():
        raise ValueError(f"{out} holds the loop itself, which could be written over: choose another --out")
    loop, playback = load_loop(path, model.kit, model.steps, max_bars=MAX_BARS)
    _, steps, n_parts = loop.bars.shape
    if (steps, n_parts) != (model.steps, model.kit.n_parts):
        raise ValueError(
            f"{path}: its bars have {steps} steps and {n_parts} parts, "
            f"those of the weights {model.steps} and {model.kit.n_parts}"
        )
    warn_of_what_is_lost(path, loop, model)
    return loop, playback


def warn_of_what_is_lost(path: str, loop: Performance, model: BarModel) -> None:
    """Say in the log that a loop of MIDI has another grid than the model's, or onsets that it has no cell for."""
    if Path(path).suffix.lower() not in SUFFIXES:
        return
    log, onsets = logging.getLogger(__name__), read_midi(path)
    by_grid = quantise_by_grid(onsets, model.kit).by_grid
    own = max(by_grid, key=lambda steps: len(by_grid[steps].bars), default=model.steps)
    if model.steps % own:  # on a grid twice as fine nothing is lost
        log.warning(
            "%s: most of its bars are on %d steps, but are read on the %d of the model",
            *(path, own, model.steps),
        )
    if (n_lost := len(onsets.beat) - int(loop.bars.sum())) > 0:
        log.warning(
            "%s: %d of its drum onsets are left out: they are no part of kit %s, share a cell of %d steps with a "
            "louder one, or lie in another time signature",
            *(path, n_lost, model.kit.name, model.steps),
        )


# --- Combined lines ----------------------------------------------------------------------------------

COMBINED = "patterns.json"
"""In every folder of combined loops: the patterns that each is of."""


def group_patterns(patterns: Sequence[Pattern], parts: Sequence[str]) -> list[list[Pattern]]:
    """The patterns of each of these parts, those that play the same once.

    Args:
        patterns: of one kit and grid, one at least.
        parts: names as in ``CombineConfig.parts``.

    Raises:
        ValueError: a name that is no part, the same part in two of them, or a part without a pattern.
    """
    kit, steps = patterns[0].performance.kit, patterns[0].performance.bars.shape[1]
    groups, taken = [], np.zeros(kit.n_parts, bool)
    for name in parts:
        locked = lock_parts(kit, steps, [name])[0]
        if (taken & locked).any():
            raise ValueError(f"a loop has one pattern of each part, but {name!r} is asked for twice")
        taken |= locked
        found: dict[tuple[bytes, bytes], Pattern] = {}
        for pattern in patterns:
            played = pattern.performance
            if played.bars[..., locked].any():
                found.setdefault((played.velocities.tobytes(), played.offsets.tobytes()), pattern)
        if not found:
            raise ValueError(f"no file plays {name}: name other parts with --parts")
        groups.append(list(found.values()))
    return groups


MAX_COMMON_BARS = 8
"""Bars of a loop, at most, that all patterns come again whole in; only a pattern of more bars makes it longer."""


def bars_of_loops(lengths: Collection[int]) -> int:
    """How many bars loops have, all of them as many, that are combined of patterns of these lengths.

    As many as all lengths divide, if that are ``MAX_COMMON_BARS`` at most or the longest pattern's; otherwise as many
    as the longest pattern has, and others end in the middle.
    """
    longest, common = max(lengths), math.lcm(*lengths)
    return common if common <= MAX_COMMON_BARS else longest


def export_combined(
    groups: Sequence[Sequence[Pattern]],
    out: str | os.PathLike[str],
    config: CombineConfig | None = None,
    *,
    score: Score | None = None,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
    progress: Callable[[int, int], None] | None = None,
    or_fewer: bool = False,
) -> Exported:
    """Write loops that are combined of one pattern of each group: ``combined-001.mid`` …, ``combined.npz`` ….

    See ``combine.combine``. All loops are as long as ``bars_of_loops`` says, and shorter patterns come again.
    Velocities and offsets are those of the patterns. ``patterns.json`` names the patterns of each loop.

    Args:
        groups: the patterns of each part, as ``group_patterns`` gives them.
        out: a folder, created if missing. The loops of an earlier call in it are removed.
        config: how many, and the formats; its parts are not looked at again.
        score: how well lines go together, see ``combine.score_of``; by default they are put together at random.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the patterns by default.
        progress, or_fewer: as ``combine.combine``.

    Returns:
        The loops (n, bars, steps, parts) bool, and all files. The .npz file has them as ``bars``, and ``velocities``
        and ``offsets`` of the same shape.

    Raises:
        ValueError: an option out of range, or a folder with files of somebody else.
        OSError: the folder cannot be written, or the disk is full.
    """
    config = config or CombineConfig()
    formats = formats_named(config.formats)
    check_replaceable(out, ["combined"], [COMBINED])
    n_bars = bars_of_loops({len(pattern.performance) for group in groups for pattern in group})
    check_bars_of_loops(config.n, n_bars)
    check_length(n_bars, formats, playback)
    lines = [[each.performance[np.arange(n_bars) % len(each.performance)] for each in group] for group in groups]
    bars = [np.stack([line.bars for line in group]) for group in lines]
    places = combine(bars, config.n, config.seed, score, progress, or_fewer=or_fewer)
    played = [_played_together([group[i] for group, i in zip(lines, row, strict=True)]) for row in places]
    performances = Performance.joined([loop.as_several() for loop in played])
    performances = performances.folded(kit) if kit is not None else performances
    names = [f"combined-{i:03d}" for i in range(1, len(places) + 1)]
    of_loop = [[group[i].name for group, i in zip(groups, row, strict=True)] for row in places]
    arrays = {
        "bars": performances.bars,
        "velocities": performances.velocities,
        "offsets": performances.offsets,
    }
    loops = Loops(names, performances, "name", names, names, arrays, n_bars if 1 < n_bars <= 8 else None)
    notes = {COMBINED: json.dumps({"loops": dict(zip(names, of_loop, strict=True))}, indent=1).encode()}
    export([loops], out, formats, playback, stem="combined", replaced=["combined"], notes=notes)
    return Exported(performances.bars, files_written(formats, names, "combined"))


def _played_together(lines: Sequence[Performance]) -> Performance:
    """Lines of as many bars as one loop; of two onsets of one cell the louder is heard."""
    velocities, offsets = lines[0].velocities.copy(), lines[0].offsets.copy()
    for line in lines[1:]:
        louder = line.velocities > velocities
        velocities[louder], offsets[louder] = line.velocities[louder], line.offsets[louder]
    return Performance(velocities > 0, velocities, offsets, lines[0].kit)
