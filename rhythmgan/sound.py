"""Performances to stereo audio, as the kit of ``synth`` plays them, and WAV files of it."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Sequence

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.files import write_whole
from rhythmgan.kit import Kit
from rhythmgan.performance import PLAIN, Performance, Playback, as_performance, as_performances, events, one_loop
from rhythmgan.synth import RATE, one_shots

KNEE = 0.85
"""From here on the wave is bent, so that it stays below 1, which is full scale."""

CHOKE = 256
"""Samples in which a closed hat silences the open one: 6 ms."""

_CLOSED_HAT, _OPEN_HAT = 42, 46  # pitches


def velocity_to_gain(velocity: np.ndarray) -> np.ndarray:
    """Velocities 1-127 → what a one-shot is multiplied by, (velocity / 127)^1.5: half the velocity is 9 dB less."""
    return (np.asarray(velocity, np.float32) / 127) ** np.float32(1.5)


def render(performance: Performance, playback: Playback = PLAIN, loop: bool = True) -> np.ndarray:
    """A loop as the kit plays it.

    An open hat sounds until a later closed one. Soft bars stay soft, as nothing is scaled by what else is in the bar;
    where many loud onsets meet, the wave is bent smoothly to stay within full scale.

    Args:
        performance: of one loop.
        playback: tempo and swing.
        loop: what sounds past the end goes on at the start, so that repeating the sound leaves no seam. Otherwise it
            follows the end, and the sound is longer by that.

    Returns:
        (n_samples, 2) float32 in -1 … 1, left and right; of a loop n · 4 · 60 / bpm · ``RATE``, rounded.

    Raises:
        ValueError: several loops, a swing on a grid of triplets, or a part that has no sound.
    """
    heard = events(one_loop(performance), playback)
    kit, part = performance.kit, heard.part
    samples_per_bar = BEATS * 60 / playback.bpm * RATE
    n_samples = round(len(performance) * samples_per_bar)
    # bar lines and what is within a bar are rounded apart, so that a bar is the same wherever it stands
    within = np.rint(heard.beat * 60 / playback.bpm * RATE).astype(np.int64)
    start = np.rint(heard.bar * samples_per_bar).astype(np.int64) + within
    shots = one_shots(kit)
    length = np.array([len(shot) for shot in shots])[part]
    choked = _choked(start, kit.pitches[part], n_samples if loop else None)
    end = start + np.minimum(length, choked + CHOKE)
    sound = np.zeros((max(n_samples, end.max(initial=0)), 2), np.float32)
    gain = velocity_to_gain(heard.velocity)
    order = np.lexsort((gain, part))  # so that a one-shot is scaled once for all onsets of one velocity
    last = None
    for index, level, begin, stop, until in zip(
        *(column[order].tolist() for column in (part, gain, start, end, choked)), strict=True
    ):
        if (index, level) != last:
            last, scaled = (index, level), shots[index] * np.float32(level)
        sound[begin:stop] += scaled if stop - begin == len(scaled) else _faded(scaled[: stop - begin], until)
    if loop:
        sound = _wrapped(sound, n_samples)
    _limit(sound)
    return sound


def _choked(start: np.ndarray, pitch: np.ndarray, n_loop: int | None) -> np.ndarray:
    """(onsets,) samples from each onset to the closed hat that silences it; more than any sound has where none does.

    In a loop of ``n_loop`` samples the closed hats of the next time round count too.
    """
    choked = np.full(len(start), np.iinfo(np.int64).max // 2)
    closed = np.sort(start[pitch == _CLOSED_HAT])
    if n_loop is not None:
        closed = np.append(closed, closed[:1] + n_loop)
    is_open = np.flatnonzero(pitch == _OPEN_HAT)
    following = np.searchsorted(closed, start[is_open], side="right")  # one on the same step is not later
    heard = following < len(closed)
    choked[is_open[heard]] = closed[following[heard]] - start[is_open[heard]]
    return choked


def _faded(shot: np.ndarray, place: int) -> np.ndarray:
    """A copy of a sound that goes to zero within ``CHOKE`` samples of ``place``."""
    shot = shot.copy()
    fade = np.cos(np.linspace(0, np.pi / 2, CHOKE, dtype=np.float32)) ** 2
    shot[place:] *= fade[: len(shot) - place, None]
    return shot


def _wrapped(sound: np.ndarray, n_samples: int) -> np.ndarray:
    """What lies past ``n_samples`` added from the start on, as often as it takes."""
    for begin in range(n_samples, len(sound), n_samples):
        tail = sound[begin : begin + n_samples]
        sound[: len(tail)] += tail
    return sound[:n_samples]


def _limit(sound: np.ndarray) -> None:
    """Bend what is over ``KNEE`` towards 1, in place: y = k + (1 - k) tanh((x - k) / (1 - k)), smooth at k.

    It looks at each sample alone, with no memory that a loop's seam could break.
    """
    if max(sound.max(initial=0), -sound.min(initial=0)) > KNEE:
        loud = np.abs(sound) > KNEE
        over = sound[loud]
        bent = KNEE + (1 - KNEE) * np.tanh((np.abs(over) - KNEE) / (1 - KNEE))
        sound[loud] = np.copysign(bent, over)


def wav_bytes(sound: np.ndarray, rate: int = RATE) -> bytes:
    """Sound (n_samples, channels) floats in -1 … 1 as a WAV file of 16-bit PCM; what is louder is clipped.

    Raises:
        ValueError: another number of axes, no channel, or a value that is not finite.
    """
    sound = np.asarray(sound)
    if sound.ndim != 2 or not sound.shape[1]:
        raise ValueError(f"expected sound (n_samples, channels); got {sound.shape}")
    if not np.isfinite(sound).all():
        raise ValueError("the sound has values that are not finite")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(sound.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def write_wav(
    path: str | os.PathLike[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
    loop: bool = True,
) -> None:
    """Write a bar or a loop of bars as a stereo WAV file; see ``render``.

    Args:
        path: the file; replaced where it is there.
        bars: (steps, parts) or (n, steps, parts) bool, which get metrical accents, or the performance of a loop.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``Playback``.
        loop: whether the sound is to be repeated; see ``render``.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or the tempo or the swing is out of range.
        OSError: the file cannot be written.
    """
    write_whole(path, wav_bytes(render(as_performance(bars, kit), Playback(bpm, swing), loop)))


def write_wav_files(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> None:
    """Write one file per bar, or per loop, that can be repeated: ``bars[i]`` as ``folder / names[i]``.

    Args:
        folder: an existing folder.
        names: n file names.
        bars: (n, steps, parts) bool for a bar a file, or (n, loop, steps, parts); or their performance.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute.
        swing: .5 (straight) to .7, see ``Playback``.
    """
    performances, playback = as_performances(bars, len(names), kit), Playback(bpm, swing)
    for place, name in enumerate(names):
        write_whole(os.path.join(folder, name), wav_bytes(render(performances[place], playback)))
