"""Generated bars into a folder: any number of them, in constant memory, and again from where it stopped."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from rhythmgan.bars import bars_to_words, fold_bars, words_to_text
from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.files import make_folder, sweep_parts, whole_file, write_whole
from rhythmgan.kit import Kit
from rhythmgan.latent import Mode, check_seed, interpolate
from rhythmgan.midi import midi_bytes, write_midi, write_midi_files
from rhythmgan.models.gan import GAN

FORMATS = ("midi", "npz", "text", "png")

OPTIONS = "sample.json"
"""In every folder of samples: the options that made its files."""

_CHUNK = 1024
"""Bars that are in memory at a time."""

_MOST_BARS = 256
_MOST_FRAMES = 4096
_PICTURED = 64


@dataclass(frozen=True)
class Samples:
    """What to generate, apart from how many and where.

    Attributes:
        seed: of the first bar or phrase; the next has the next seed.
        bars: bars in a phrase; 1 for single bars.
        temperature: standard deviation of z.
        bpm: tempo of the MIDI files.
        kit: what the bars are folded into; that of the GAN, or a smaller one.
    """

    seed: int
    bars: int
    temperature: float
    bpm: float
    kit: Kit


def midi_name(seed: int) -> str:
    """The file of a seed's bar or phrase."""
    return f"seed-{seed:06d}.mid"


def dump_samples(
    gan: GAN,
    n: int,
    samples: Samples,
    out: str | os.PathLike[str],
    formats: Sequence[str] = ("midi",),
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write n bars or phrases into a folder; files of an earlier, interrupted call are kept as they are.

    ``midi`` is a file for each seed. The others are one file, named by its first and last seed:
    ``npz`` with ``bars`` (rows, steps, parts) bool, ``z`` (rows, z_dim) and ``seed`` (rows,), the bars
    of a phrase in rows one after the other; ``text`` in the text view; ``png`` a picture of the first
    64 bars.

    Args:
        gan: the generator.
        n: how many, at least 1.
        samples: what to generate.
        out: a folder; made where missing.
        formats: some of ``FORMATS``.
        progress: called with (done, in all, format) after every chunk.

    Returns:
        For each format the path of its file; of the MIDI files the first.

    Raises:
        ValueError: n, an option or a format is out of range, or ``out`` holds samples of other options.
        OSError: the folder cannot be written, or the disk is full.
    """
    if n < 1:
        raise ValueError(f"at least one bar must be asked for, not {n}")
    if not 1 <= samples.bars <= _MOST_BARS:
        raise ValueError(f"a phrase has 1 to {_MOST_BARS} bars, not {samples.bars}")
    check_seed(samples.seed)
    check_seed(samples.seed + n - 1)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"unknown format {', '.join(unknown)!r}; there are {', '.join(FORMATS)}")
    # everything that a call can get wrong is wrong on the first bar, before anything is written
    midi_bytes(_decode(gan, samples, [samples.seed])[0], samples.kit, bpm=samples.bpm)
    folder = make_folder(out)
    sweep_parts(folder)
    _check_options(folder, gan, samples)
    return [_write(folder, gan, samples, n, name, progress) for name in dict.fromkeys(formats)]


def _write(
    folder: Path, gan: GAN, samples: Samples, n: int, name: str, progress: Callable[[int, int, str], None] | None
) -> Path:
    """The files of one format; a finished one is kept."""

    def chunks() -> Iterator[range]:
        for seeds in _chunks(samples, n):
            yield seeds
            if progress:
                progress(seeds[-1] + 1 - samples.seed, n, name)

    if name == "midi":
        _write_midi(folder, gan, samples, chunks())
        return folder / midi_name(samples.seed)
    write, suffix = _WHOLE_FILES[name]
    path = folder / f"seeds-{samples.seed:06d}-{samples.seed + n - 1:06d}.{suffix}"
    if not path.exists():
        write(path, gan, samples, n, chunks())
    return path


def _chunks(samples: Samples, n: int) -> Iterator[range]:
    """The seeds, as many at a time as make ``_CHUNK`` bars."""
    size = max(1, _CHUNK // samples.bars)
    for start in range(samples.seed, samples.seed + n, size):
        yield range(start, min(start + size, samples.seed + n))


def _write_midi(folder: Path, gan: GAN, samples: Samples, chunks: Iterator[range]) -> None:
    """A file for each seed that has none yet."""
    here = {entry.name for entry in os.scandir(folder)}
    for seeds in chunks:
        missing = [seed for seed in seeds if midi_name(seed) not in here]
        if missing:
            names = [midi_name(seed) for seed in missing]
            write_midi_files(folder, names, _decode(gan, samples, missing), samples.kit, bpm=samples.bpm)


def _write_text(path: Path, gan: GAN, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    with whole_file(path) as file:
        for seeds in chunks:
            for seed, phrase in zip(seeds, _decode(gan, samples, seeds), strict=True):
                text = words_to_text(bars_to_words(phrase), phrase.shape[-1])
                file.write(f"# seed {seed}\n{text}".encode())


def _write_npz(path: Path, gan: GAN, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    """A compressed .npz whose members are written a chunk at a time, so that none is ever held whole."""
    rows = n * samples.bars
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with _member(archive, "bars", (rows, gan.config.steps, samples.kit.n_parts), np.bool_) as member:
            for seeds in chunks:
                member.write(_decode(gan, samples, seeds).tobytes())
        # seeds and latent points are cheap to make again, once the bars are out
        with _member(archive, "z", (rows, gan.config.z_dim), np.float32) as member:
            for seeds in _chunks(samples, n):
                member.write(gan.phrase_latents(seeds, samples.bars, samples.temperature).tobytes())
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


def _write_picture(path: Path, gan: GAN, samples: Samples, n: int, chunks: Iterator[range]) -> None:
    """The first bars, as many as one can look at."""
    bars: list[np.ndarray] = []
    titles: list[str] = []
    for seeds in chunks:
        if len(bars) < _PICTURED:
            for seed, phrase in zip(seeds, _decode(gan, samples, seeds[:_PICTURED]), strict=False):
                bars += list(phrase)
                titles += [f"seed {seed}"] * len(phrase)
    columns = samples.bars if 1 < samples.bars <= 8 else None
    image = bars_to_image(np.stack(bars[:_PICTURED]), samples.kit, titles=titles[:_PICTURED], columns=columns)
    write_png(path, image)


_WHOLE_FILES = {"npz": (_write_npz, "npz"), "text": (_write_text, "txt"), "png": (_write_picture, "png")}


def dump_path(
    gan: GAN,
    waypoints: np.ndarray,
    out: str | os.PathLike[str],
    *,
    frames: int = 9,
    mode: Mode = "slerp",
    bpm: float = 120.0,
    kit: Kit | None = None,
) -> np.ndarray:
    """Write the bars along a path through latent points: one MIDI of all, one each, arrays and a picture.

    Args:
        gan: the generator.
        waypoints: (m, z_dim) floats, m at least 2.
        out: a folder; made where missing. The files of another path in it are replaced.
        frames: points from each waypoint to the next, both included.
        mode: see ``latent.interpolate``.
        bpm: tempo of the MIDI files.
        kit: what the bars are folded into; that of the GAN by default.

    Returns:
        The bars (n, steps, parts) bool.

    Raises:
        ValueError: fewer than two waypoints, or another option that does not fit.
        OSError: the folder cannot be written, or the disk is full.
    """
    if len(waypoints) < 2:
        raise ValueError("a path needs two points at least")
    if frames * (len(waypoints) - 1) > _MOST_FRAMES:
        raise ValueError(f"a path has {_MOST_FRAMES} frames at most")
    kit = kit or gan.kit
    legs = [interpolate(a, b, frames, mode) for a, b in itertools.pairwise(waypoints)]
    z = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
    bars = fold_bars(gan.decode(z), gan.kit, kit)
    folder = make_folder(out)
    for path in folder.glob("frame-*.mid"):
        path.unlink()  # of a longer path, they would look like this one's
    write_midi(folder / "path.mid", bars, kit, bpm=bpm)
    write_midi_files(folder, [f"frame-{i:03d}.mid" for i in range(len(bars))], bars, kit, bpm=bpm)
    with whole_file(folder / "path.npz") as file:
        np.savez_compressed(file, bars=bars, z=z)
    titles = [f"frame {i}" for i in range(len(bars))]
    write_png(folder / "path.png", bars_to_image(bars[:_PICTURED], kit, titles=titles[:_PICTURED]))
    return bars


def _decode(gan: GAN, samples: Samples, seeds: Sequence[int]) -> np.ndarray:
    """(seeds, bars, steps, parts) bool."""
    z = gan.phrase_latents(seeds, samples.bars, samples.temperature)
    bars = gan.decode(z.reshape(-1, z.shape[-1]))
    return fold_bars(bars, gan.kit, samples.kit).reshape(
        len(seeds), samples.bars, *bars.shape[1:2], samples.kit.n_parts
    )


def _check_options(folder: Path, gan: GAN, samples: Samples) -> None:
    """Leave a note of what made the files, and refuse to mix in files that something else made."""
    weights = hashlib.sha256()
    for name, tensor in sorted(gan.generator.state_dict().items()):
        weights.update(name.encode() + tensor.cpu().numpy().tobytes())
    options = {
        "bars": samples.bars,
        "temperature": samples.temperature,
        "bpm": samples.bpm,
        "kit": samples.kit.name,
        "weights": weights.hexdigest()[:16],
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
