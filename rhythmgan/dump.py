"""Generated bars into a folder: any number of them, in constant memory, and again from where it stopped."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from rhythmgan.bars import bars_to_words, fold_bars, words_to_text
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.files import make_folder, sweep_parts, whole_file, write_whole
from rhythmgan.generate.paths import even_path
from rhythmgan.generate.phrases import phrases
from rhythmgan.generate.variation import vary
from rhythmgan.kit import Kit
from rhythmgan.latent import Mode, interpolate
from rhythmgan.midi import midi_bytes, write_midi, write_midi_files
from rhythmgan.models.interfaces import LatentModel, Likelihood
from rhythmgan.performance import Performance, Playback
from rhythmgan.seeds import check_seed
from rhythmgan.sound import write_wav_files

FORMATS = ("midi", "wav", "npz", "text", "png")

OPTIONS = "sample.json"
"""In every folder of samples: the options that made its files."""

_CHUNK = 1024
"""Bars that are in memory at a time."""

_MAX_BARS = 256
_MAX_FRAMES = 4096
_PICTURED = 64


@dataclass(frozen=True)
class Samples:
    """What to generate, apart from how many and where.

    Attributes:
        seed: of the first bar or phrase; the next has the next seed.
        bars: bars in a phrase; 1 for single bars.
        temperature: standard deviation of z.
        bpm: tempo of the MIDI and WAV files.
        kit: what the bars are folded into; that of the model, or a smaller one.
        prior: picks the bars of a phrase; needed where ``bars`` is over 1.
        swing: of the MIDI and WAV files, .5 (straight) to .7; see ``performance.Playback``.
    """

    seed: int
    bars: int
    temperature: float
    bpm: float
    kit: Kit
    prior: Likelihood | None = None
    swing: float = 0.5


def midi_name(seed: int) -> str:
    """The MIDI file of a seed's bar or phrase."""
    return f"seed-{seed:06d}.mid"


def wav_name(seed: int) -> str:
    """The WAV file of a seed's bar or phrase."""
    return f"seed-{seed:06d}.wav"


def dump_samples(
    model: LatentModel,
    n: int,
    samples: Samples,
    out: str | os.PathLike[str],
    formats: Sequence[str] = ("midi",),
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write n bars or phrases into a folder; files of an earlier, interrupted call are kept as they are.

    ``midi`` and ``wav`` are a file for each seed. The others are one file, named by its first and last seed:
    ``npz`` with ``bars`` (rows, steps, parts) bool, ``z`` (rows, latent_dim) and ``seed`` (rows,), the bars
    of a phrase in rows one after the other; ``text`` in the text view; ``png`` a picture of the first
    64 bars.

    Args:
        model: makes the bars.
        n: how many, at least 1.
        samples: what to generate.
        out: a folder; made where missing.
        formats: some of ``FORMATS``.
        progress: called with (done, in all, format) after every chunk.

    Returns:
        For each format the path of its file; of the MIDI and of the WAV files the first.

    Raises:
        ValueError: n, an option or a format is out of range, or ``out`` holds samples of other options.
        OSError: the folder cannot be written, or the disk is full.
    """
    if n < 1:
        raise ValueError(f"at least one bar must be asked for, not {n}")
    if not 1 <= samples.bars <= _MAX_BARS:
        raise ValueError(f"a phrase has 1 to {_MAX_BARS} bars, not {samples.bars}")
    check_seed(samples.seed)
    check_seed(samples.seed + n - 1)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"unknown format {', '.join(unknown)!r}; there are {', '.join(FORMATS)}")
    if samples.bars > 1 and samples.prior is None:
        raise ValueError("phrases need a prior, to say which bar may follow which")
    # everything that a call can get wrong is wrong on the first bar, before anything is written
    first = Performance.of(_draw(model, samples, [samples.seed])[0][0], samples.kit)
    midi_bytes(first, Playback(samples.bpm, samples.swing))
    folder = make_folder(out)
    sweep_parts(folder)
    _check_options(folder, model, samples)
    return [_write(folder, model, samples, n, name, progress) for name in dict.fromkeys(formats)]


def _write(
    folder: Path,
    model: LatentModel,
    samples: Samples,
    n: int,
    name: str,
    progress: Callable[[int, int, str], None] | None,
) -> Path:
    """The files of one format; a finished one is kept."""

    def chunks() -> Iterator[range]:
        for seeds in _chunks(samples, n):
            yield seeds
            if progress:
                progress(seeds[-1] + 1 - samples.seed, n, name)

    if name in _FILES_OF_SEEDS:
        _, name_of = _FILES_OF_SEEDS[name]
        _write_of_seeds(folder, model, samples, chunks(), name)
        return folder / name_of(samples.seed)
    write, suffix = _WHOLE_FILES[name]
    path = folder / f"seeds-{samples.seed:06d}-{samples.seed + n - 1:06d}.{suffix}"
    if not path.exists():
        write(path, model, samples, n, chunks())
    return path


def _chunks(samples: Samples, n: int) -> Iterator[range]:
    """The seeds, as many at a time as make ``_CHUNK`` bars."""
    size = max(1, _CHUNK // samples.bars)
    for start in range(samples.seed, samples.seed + n, size):
        yield range(start, min(start + size, samples.seed + n))


_FILES_OF_SEEDS = {"midi": (write_midi_files, midi_name), "wav": (write_wav_files, wav_name)}


def _write_of_seeds(folder: Path, model: LatentModel, samples: Samples, chunks: Iterator[range], name: str) -> None:
    """A file for each seed that has none yet."""
    write, name_of = _FILES_OF_SEEDS[name]
    here = {entry.name for entry in os.scandir(folder)}
    for seeds in chunks:
        missing = [seed for seed in seeds if name_of(seed) not in here]
        if missing:
            bars = _draw(model, samples, missing)[0]
            names = [name_of(seed) for seed in missing]
            write(folder, names, bars, samples.kit, bpm=samples.bpm, swing=samples.swing)


def _write_text(path: Path, model: LatentModel, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    with whole_file(path) as file:
        for seeds in chunks:
            for seed, phrase in zip(seeds, _draw(model, samples, seeds)[0], strict=True):
                text = words_to_text(bars_to_words(phrase), phrase.shape[-1])
                file.write(f"# seed {seed}\n{text}".encode())


def _write_npz(path: Path, model: LatentModel, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    """A compressed .npz whose members are written a chunk at a time, so that none is ever held whole."""
    rows = n * samples.bars
    with (
        whole_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        tempfile.TemporaryFile() as points,
    ):
        with _member(archive, "bars", (rows, model.steps, samples.kit.n_parts), np.bool_) as member:
            for seeds in chunks:
                bars, z = _draw(model, samples, seeds)
                member.write(bars.tobytes())
                points.write(z.tobytes())
        points.seek(0)
        with _member(archive, "z", (rows, model.latent_dim), np.float32) as member:
            shutil.copyfileobj(points, member)
        with _member(archive, "seed", (rows,), np.int64) as member:
            for seeds in _chunks(samples, n):
                member.write(np.repeat(np.array(seeds, np.int64), samples.bars).tobytes())


def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> IO[bytes]:
    """A .npy member to write an array's bytes to."""
    # a fixed date: the same samples are the same file
    member = archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
    return member


def _write_picture(path: Path, model: LatentModel, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    """The first bars, as many as one can look at."""
    bars: list[np.ndarray] = []
    titles: list[str] = []
    for seeds in chunks:
        if len(bars) < _PICTURED:
            for seed, phrase in zip(seeds, _draw(model, samples, seeds[:_PICTURED])[0], strict=False):
                bars += list(phrase)
                titles += [f"seed {seed}"] * len(phrase)
    columns = samples.bars if 1 < samples.bars <= 8 else None
    image = bars_to_image(np.stack(bars[:_PICTURED]), samples.kit, titles=titles[:_PICTURED], columns=columns)
    write_png(path, image)


_WHOLE_FILES = {"npz": (_write_npz, "npz"), "text": (_write_text, "txt"), "png": (_write_picture, "png")}


def dump_path(
    model: LatentModel,
    waypoints: np.ndarray,
    out: str | os.PathLike[str],
    *,
    frames: int = 9,
    mode: Mode = "slerp",
    even: bool = False,
    bpm: float = 120.0,
    kit: Kit | None = None,
) -> np.ndarray:
    """Write the bars along a path through latent points: one MIDI of all, one each, arrays and a picture.

    Args:
        model: makes the bars.
        waypoints: (m, latent_dim) floats, m at least 2.
        out: a folder; made where missing. The files of another path in it are replaced.
        frames: points from each waypoint to the next, both included.
        mode: see ``latent.interpolate``.
        even: at points that sound evenly spaced, see ``paths.even_path``, not at even angles.
        bpm: tempo of the MIDI files.
        kit: what the bars are folded into; that of the model by default.

    Returns:
        The bars (n, steps, parts) bool.

    Raises:
        ValueError: fewer than two waypoints, or another option that does not fit.
        OSError: the folder cannot be written, or the disk is full.
    """
    if len(waypoints) < 2:
        raise ValueError("a path needs two points at least")
    if frames * (len(waypoints) - 1) > _MAX_FRAMES:
        raise ValueError(f"a path has {_MAX_FRAMES} frames at most")
    kit = kit or model.kit
    legs = [
        even_path(model, a, b, frames, mode) if even else interpolate(a, b, frames, mode)
        for a, b in itertools.pairwise(waypoints)
    ]
    z = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
    bars = fold_bars(model.decode(z), model.kit, kit)
    Playback(bpm)  # an option that does not fit is told before a file is touched
    folder = make_folder(out)
    sweep_numbered(folder, "frame")
    write_midi(folder / "path.mid", bars, kit, bpm=bpm)
    write_midi_files(folder, [f"frame-{i:03d}.mid" for i in range(len(bars))], bars, kit, bpm=bpm)
    with whole_file(folder / "path.npz") as file:
        np.savez_compressed(file, bars=bars, z=z)
    titles = [f"frame {i}" for i in range(len(bars))]
    write_png(folder / "path.png", bars_to_image(bars[:_PICTURED], kit, titles=titles[:_PICTURED]))
    return bars


def sweep_numbered(folder: Path, name: str) -> None:
    """Remove the numbered MIDI files of an earlier call: they would look like this one's."""
    for path in folder.glob(f"{name}-*.mid"):
        if re.fullmatch(rf"{name}-\d{{3,}}", path.stem):
            path.unlink()


def dump_variations(
    model: LatentModel,
    loop: np.ndarray | Performance,
    n: int,
    out: str | os.PathLike[str],
    *,
    amount: float = 0.2,
    seed: int = 0,
    bpm: float = 120.0,
    kit: Kit | None = None,
) -> np.ndarray:
    """Write a loop and variations of it: a MIDI file each, arrays and a picture.

    See ``variation.vary``.

    Args:
        model: makes the bars.
        loop: (m, steps, parts) bool, of the model's kit and grid, which gets metrical accents; or its performance, of
            which the variations keep velocity and offset of every cell that stays.
        n: variations, at least 1.
        out: a folder; made where missing. ``loop.mid``, ``variation-001.mid`` … and the other files of an earlier
            call are replaced.
        amount: how far, as a share of a right angle, at which the bars are those of unrelated points: over 0 to 1.
        seed: of the first variation; the next has the next seed.
        bpm: tempo of the MIDI files.
        kit: what the bars are folded into; that of the model by default.

    Returns:
        The loop and its variations (n + 1, m, steps, parts) bool.

    Raises:
        ValueError: an option out of range, or bars that are not the model's.
        OSError: the folder cannot be written, or the disk is full.
    """
    if not 1 <= n <= _MAX_FRAMES:
        raise ValueError(f"1 to {_MAX_FRAMES} variations are made, not {n}")
    if not 1 <= len(loop) <= _MAX_BARS:
        raise ValueError(f"a loop has 1 to {_MAX_BARS} bars, not {len(loop)}")
    check_seed(seed)
    check_seed(seed + n - 1)
    cells = loop.bars if isinstance(loop, Performance) else loop
    varied, points = vary(model, cells, range(seed, seed + n), amount)
    own = loop if isinstance(loop, Performance) else Performance.of(loop, model.kit)
    performed = own.with_bars(np.concatenate([cells[None], varied])).folded(kit or model.kit)
    bars, z = performed.bars, np.concatenate([model.encode(cells)[None], points])
    names = ["loop.mid", *(f"variation-{i:03d}.mid" for i in range(1, n + 1))]
    Playback(bpm)  # an option that does not fit is told before a file is touched
    folder = make_folder(out)
    sweep_numbered(folder, "variation")
    write_midi_files(folder, names, performed, bpm=bpm)
    with whole_file(folder / "variations.npz") as file:
        np.savez_compressed(file, bars=bars, z=z)
    titles = [name.removesuffix(".mid") for name in names for _ in range(len(loop))]
    shown = Performance.joined([performed[i] for i in range(len(names))])[:_PICTURED]
    columns = len(loop) if 1 < len(loop) <= 8 else None
    write_png(folder / "variations.png", bars_to_image(shown, titles=titles[:_PICTURED], columns=columns))
    return bars


def _draw(model: LatentModel, samples: Samples, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, bars, steps, parts) bool in the kit that was asked for, and their z (seeds, bars, latent_dim) float32."""
    if samples.bars > 1:
        assert samples.prior is not None
        bars, z = phrases(model, samples.prior, seeds, samples.bars, samples.temperature)
    else:
        z = model.latents(seeds, samples.temperature)[:, None]
        bars = model.decode(z[:, 0])[:, None]
    return fold_bars(bars, model.kit, samples.kit), z


def _check_options(folder: Path, model: LatentModel, samples: Samples) -> None:
    """Leave a note of what made the files, and refuse to mix in files that something else made."""
    options = {
        "bars": samples.bars,
        "temperature": samples.temperature,
        "bpm": samples.bpm,
        "swing": samples.swing,
        "kit": samples.kit.name,
        "weights": model.fingerprint,
        "prior": samples.prior.fingerprint if samples.prior and samples.bars > 1 else None,
    }
    note = folder / OPTIONS
    if note.exists():
        try:
            before = dict(json.loads(note.read_text()))
        except (ValueError, TypeError):
            raise ValueError(f"{note} cannot be read: choose another folder") from None
        for name, value in options.items():
            if before.get(name) != value:
                raise ValueError(
                    f"{folder} holds samples with {name} {before.get(name)}, not {value}: choose another folder"
                )
    else:
        write_whole(note, (json.dumps(options, indent=2) + "\n").encode())
