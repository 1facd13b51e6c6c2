"""Folders of generated loops: samples, paths between them and variations of a loop, in any formats."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhythmgan.bars import fold_bars
from rhythmgan.export import FORMATS, FilePerLoop, Format, Loops, OneFile, export, formats_named, is_played
from rhythmgan.features import with_swung_bars
from rhythmgan.generate.config import MAX_BARS, MAX_LOOPS, PathConfig, SampleConfig, VariationConfig
from rhythmgan.generate.paths import even_path
from rhythmgan.generate.phrases import phrases
from rhythmgan.generate.variation import vary
from rhythmgan.kit import Kit
from rhythmgan.latent import interpolate
from rhythmgan.load import SAMPLE_OPTIONS, load_loop
from rhythmgan.midi_reader import SUFFIXES, read_midi
from rhythmgan.models.interfaces import BarModel, LatentModel, Likelihood
from rhythmgan.performance import PLAIN, Performance, Playback

_CHUNK = 1024
"""Bars that are in memory at a time."""


@dataclass(frozen=True)
class Exported:
    """What was written into a folder.

    Attributes:
        bars: the bars, in the kit that was asked for; of samples those of the first loops only, see
            ``export_samples``.
        files: name of each format → names of its files in the folder; of samples only the first.
    """

    bars: np.ndarray
    files: dict[str, list[str]]


# --- Samples -----------------------------------------------------------------------------------------


def seed_name(seed: int) -> str:
    """What the files of a seed's bar or phrase are called, without a suffix."""
    return f"seed-{seed:06d}"


def export_samples(
    model: LatentModel,
    config: SampleConfig,
    out: str | os.PathLike[str],
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
    prior: Likelihood | None = None,
    n_first: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write bars or phrases into a folder; files of an earlier, interrupted call are kept as they are.

    Every bar is drawn once, for all formats. A file for each seed is called ``seed-000003.mid``, one for all
    ``seeds-000003-000007.npz``. The .npz file has ``bars`` (rows, steps, parts) bool, ``z`` (rows, latent_dim) and
    ``seed`` (rows,), the bars of a phrase in rows one after the other.

    Args:
        model: makes the bars.
        config: what to sample, and in which formats.
        out: a folder, created if missing.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the model by default.
        prior: picks the bars of a phrase; needed for phrases.
        n_first: of how many seeds the bars are wanted back, from the first on.
        progress: called with (seeds done, seeds in all) after every chunk.

    Returns:
        The bars of the first ``n_first`` seeds (n_first, bars, steps, parts) bool, and the first file of each format.

    Raises:
        ValueError: an option or a format that does not fit, or ``out`` holds samples of other options.
        OSError: the folder cannot be written, or the disk is full.
    """
    formats = formats_named(config.formats)
    if config.bars > 1 and prior is None:
        raise ValueError("phrases need a prior, to say which bar may follow which")
    kit = kit or model.kit
    folder = Path(out)
    here = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    note = _note(folder, _options(model, config, playback, kit, prior))
    # a file for each seed may be missing anywhere; one for all is whole or not there
    unfinished = [form for form in formats if isinstance(form, FilePerLoop) or _file(config, form) not in here]
    first: list[np.ndarray] = []

    def batches() -> Iterator[Loops]:
        for chunk in _chunks(config):
            seeds = [
                seed for seed in chunk if seed < config.seed + n_first or _is_missing(seed, config, unfinished, here)
            ]
            if seeds:
                loops = _sampled(model, config, kit, prior, seeds)
                first.extend(loops.performances.bars[: max(n_first - len(first), 0)])
                yield loops
            if progress:
                progress(chunk[-1] + 1 - config.seed, config.n)

    export(batches(), out, unfinished, playback, stem=_stem(config), kept=here, notes=note)
    return Exported(np.array(first, bool), {form.name: [_file(config, form)] for form in formats})


def seed_files(config: SampleConfig, name: str) -> Iterator[str]:
    """Names of the files that samples of a format are in."""
    form = FORMATS[name]
    if isinstance(form, FilePerLoop):
        return (f"{seed_name(seed)}.{form.suffix}" for seed in range(config.seed, config.seed + config.n))
    return iter([_file(config, form)])


def _stem(config: SampleConfig) -> str:
    """What one file for all seeds is called."""
    return f"seeds-{config.seed:06d}-{config.seed + config.n - 1:06d}"


def _file(config: SampleConfig, form: Format) -> str:
    """The file of all seeds, or that of the first one."""
    return f"{seed_name(config.seed) if isinstance(form, FilePerLoop) else _stem(config)}.{form.suffix}"


def _is_missing(seed: int, config: SampleConfig, unfinished: Sequence[Format], here: Collection[str]) -> bool:
    """Whether some file is to be written that the seed's bars belong to."""
    for form in unfinished:
        if isinstance(form, OneFile):
            if form.most_bars is None or (seed - config.seed) * config.bars < form.most_bars:
                return True
        elif f"{seed_name(seed)}.{form.suffix}" not in here:
            return True
    return False


def _chunks(config: SampleConfig) -> Iterator[range]:
    """The seeds, as many at a time as make ``_CHUNK`` bars."""
    size, end = max(1, _CHUNK // config.bars), config.seed + config.n
    for start in range(config.seed, end, size):
        yield range(start, min(start + size, end))


def _sampled(
    model: LatentModel, config: SampleConfig, kit: Kit, prior: Likelihood | None, seeds: Sequence[int]
) -> Loops:
    """The bars or phrases of these seeds, each drawn once."""
    if config.bars > 1:
        assert prior is not None
        bars, z = phrases(model, prior, seeds, config.bars, config.temperature)
    else:
        z = model.latents(seeds, config.temperature)[:, None]
        bars = model.decode(z[:, 0])[:, None]
    bars = fold_bars(bars, model.kit, kit)
    return Loops(
        names=[seed_name(seed) for seed in seeds],
        performances=Performance.of(bars, kit),
        key="seed",
        labels=seeds,
        titles=[f"seed {seed}" for seed in seeds],
        arrays={
            "bars": bars.reshape(-1, *bars.shape[2:]),
            "z": z.reshape(-1, model.latent_dim),
            "seed": np.repeat(np.array(seeds, np.int64), config.bars),
        },
        columns=_columns(config.bars),
    )


def _columns(n_bars: int) -> int | None:
    """Bars in a row of the picture: a row is a loop, where it is one of several bars and not too long."""
    return n_bars if 1 < n_bars <= 8 else None


def _options(
    model: LatentModel, config: SampleConfig, playback: Playback, kit: Kit, prior: Likelihood | None
) -> dict[str, object]:
    """What makes the files, apart from how many and where: as the options are called on the command line."""
    return {
        "bars": config.bars,
        "temperature": config.temperature,
        "bpm": playback.bpm,
        "swing": playback.swing,
        "kit": kit.name,
        "weights": model.fingerprint,
        "prior": prior.fingerprint if prior and config.bars > 1 else None,
    }


def _note(folder: Path, options: dict[str, object]) -> dict[str, bytes]:
    """The note of what made the files, where there is none yet; files that something else made are not mixed in.

    Raises:
        ValueError: the folder holds samples of other options, or its note cannot be read.
    """
    path = folder / SAMPLE_OPTIONS
    if not path.exists():
        return {SAMPLE_OPTIONS: (json.dumps(options, indent=2) + "\n").encode()}
    try:
        before = dict(json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise ValueError(f"{path} cannot be read: choose another folder") from None
    for name, value in options.items():
        if before.get(name) != value:
            raise ValueError(
                f"{folder} holds samples with {name} {before.get(name)}, not {value}: choose another folder"
            )
    return {}


# --- Paths -------------------------------------------------------------------------------------------


def export_path(
    model: LatentModel,
    waypoints: np.ndarray,
    out: str | os.PathLike[str],
    config: PathConfig | None = None,
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
) -> Exported:
    """Write the bars along a path through latent points: ``frame-000.mid`` …, ``path.mid`` of all, ``path.npz`` ….

    Args:
        model: makes the bars.
        waypoints: (m, latent_dim) floats, m at least 2.
        out: a folder, created if missing. The frames of another path in it are removed.
        config: how the path leads, and the formats.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the model by default.

    Returns:
        The bars (n, steps, parts) bool and all files. The .npz file has them as ``bars``, and ``z`` (n, latent_dim).

    Raises:
        ValueError: fewer than two waypoints, or another option that does not fit.
        OSError: the folder cannot be written, or the disk is full.
    """
    config = config or PathConfig()
    formats = formats_named(config.formats)
    if len(waypoints) < 2:
        raise ValueError("a path needs two points at least")
    if config.frames * (len(waypoints) - 1) > MAX_LOOPS:
        raise ValueError(f"a path has {MAX_LOOPS} frames at most")
    kit = kit or model.kit
    legs = [
        even_path(model, a, b, config.frames, config.mode)
        if config.even
        else interpolate(a, b, config.frames, config.mode)
        for a, b in itertools.pairwise(waypoints)
    ]
    z = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
    bars = fold_bars(model.decode(z), model.kit, kit)
    performance = Performance.of(bars, kit)
    frames = Loops(
        names=[f"frame-{i:03d}" for i in range(len(bars))],
        performances=performance.apart(),
        key="frame",
        labels=range(len(bars)),
        titles=[f"frame {i}" for i in range(len(bars))],
        arrays={"bars": bars, "z": z},
    )
    whole = Loops(["path"], performance.as_several(), "name", ["path"], ["path"], {})
    export([frames], out, formats, playback, stem="path", replaced=["frame", "path"])
    export([whole], out, [form for form in formats if isinstance(form, FilePerLoop)], playback, stem="path")
    return Exported(bars, _files(formats, [*whole.names, *frames.names], "path"))


def _files(formats: Sequence[Format], names: Sequence[str], stem: str) -> dict[str, list[str]]:
    """Name of each format → names of its files."""
    return {
        form.name: [f"{name}.{form.suffix}" for name in (names if isinstance(form, FilePerLoop) else [stem])]
        for form in formats
    }


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
        model: makes the bars.
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
        ValueError: an option out of range, or bars that are not the model's.
        OSError: the folder cannot be written, or the disk is full.
    """
    config = config or VariationConfig()
    formats = formats_named(config.formats)
    if not 1 <= len(loop) <= MAX_BARS:
        raise ValueError(f"a loop has 1 to {MAX_BARS} bars, not {len(loop)}")
    bars = loop.bars if isinstance(loop, Performance) else loop
    varied, points = vary(model, bars, range(config.seed, config.seed + config.n), config.amount)
    own = loop if isinstance(loop, Performance) else Performance.of(loop, model.kit)
    others = own.with_bars(varied) if swing is None else with_swung_bars(own, varied, swing)
    performances = Performance.joined([own.as_several(), others]).folded(kit or model.kit)
    arrays = {"bars": performances.bars, "z": np.concatenate([model.encode(bars)[None], points])}
    if is_played(own) or swing is not None:
        arrays |= {"velocities": performances.velocities, "offsets": performances.offsets}
    names = ["loop", *(f"variation-{i:03d}" for i in range(1, config.n + 1))]
    loops = Loops(names, performances, "name", names, names, arrays, _columns(len(loop)))
    export([loops], out, formats, playback, stem="variations", replaced=["variation", "variations", "loop"])
    return Exported(performances.bars, _files(formats, names, "variations"))


def read_loop(path: str, model: BarModel, out: str) -> tuple[Performance, Playback]:
    """A user's loop as it is played, whose bars are to be the model's, and stay out of harm's way.

    Onsets of a MIDI file that the loop has no cell for are counted in the log: they are in nothing that is written.

    Raises:
        ValueError: no loop, one of another kit or grid, or one that lies in the folder to be written.
        OSError: it cannot be opened.
    """
    if Path(path).resolve().parent == Path(out).resolve():
        raise ValueError(f"{out} holds the loop itself, which could be written over: choose another --out")
    loop, playback = load_loop(path, model.kit, model.steps)
    _, steps, n_parts = loop.bars.shape
    if (steps, n_parts) != (model.steps, model.kit.n_parts):
        raise ValueError(
            f"{path}: its bars have {steps} steps and {n_parts} parts, "
            f"those of the weights {model.steps} and {model.kit.n_parts}"
        )
    if Path(path).suffix.lower() in SUFFIXES and (n_lost := len(read_midi(path).beat) - int(loop.bars.sum())) > 0:
        logging.getLogger(__name__).warning(
            "%s: %d of its drum onsets are left out: they are no part of kit %s, share a cell of %d steps with a "
            "louder one, or lie in another time signature",
            *(path, n_lost, model.kit.name, steps),
        )
    return loop, playback
