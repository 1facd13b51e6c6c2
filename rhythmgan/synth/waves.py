"""What drum sounds are made of: noise, sweeps, squares, modes, envelopes, saturation, and the room they stand in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

RATE = 44100
"""Samples a second, of each channel."""

GRID = 2.0**-17
"""What finished sounds are rounded to, a quarter of a step of 16 bits. NumPy's sines and transforms differ
from processor to processor by some 1e-14; of no sample does that decide which way it is rounded."""


class Voice(NamedTuple):
    """How the sound of a pitch is made.

    Attributes:
        make: the dry sound of n samples, (n, 1) or (n, 2).
        seconds: how long it lasts.
        place: -1 left … 1 right.
        room: how much of the room is heard with it.
        peak: the largest sample of the finished sound.
    """

    make: Callable[[int], np.ndarray]
    seconds: float
    place: float
    room: float
    peak: float


def finished(voice: Voice) -> np.ndarray:
    """The sound of a voice (n, 2) float32, read-only: made, placed, put into the room, scaled, faded out, rounded."""
    sound = on_grid(unrounded(voice))
    sound.flags.writeable = False
    return sound


def on_grid(values: np.ndarray) -> np.ndarray:
    """Values of up to 1 as float32, which holds them on ``GRID`` exactly; none is -0."""
    return (np.rint(values / GRID) * GRID + 0.0).astype(np.float32)


def unrounded(voice: Voice) -> np.ndarray:
    """The sound of a voice (n, 2) before it is rounded."""
    n = round(voice.seconds * RATE)
    dry = voice.make(n)
    angle = (voice.place + 1) * np.pi / 4  # equal power wherever it stands
    dry = dry * (np.array([np.cos(angle), np.sin(angle)]) * 2**0.5)
    sound = dry + voice.room * _in_room(dry)
    n_fade = n // 4
    sound[-n_fade:] *= np.cos(np.linspace(0, np.pi / 2, n_fade))[:, None] ** 2
    sound[-1] = 0
    return sound * (voice.peak / np.abs(sound).max())


def seconds(n: int) -> np.ndarray:
    """(n, 1) seconds."""
    return np.arange(n)[:, None] / RATE


def decay(n: int, t60: float) -> np.ndarray:
    """(n, 1) envelope that has lost 60 dB after ``t60`` seconds."""
    return np.exp(np.log(1e-3) / t60 * seconds(n))


def attack(n: int, rise: float) -> np.ndarray:
    """(n, 1) envelope that rises from 0 and has two thirds of the way behind it after ``rise`` seconds."""
    return 1 - np.exp(-seconds(n) / rise)


def noise(n: int, low: float, high: float, seed: int, width: float = 0.0) -> np.ndarray:
    """(n, 2) noise of unit power between two frequencies in Hz; ``width`` 0 is the same left and right, 1 unlike."""
    middle, *sides = np.random.default_rng(seed).standard_normal((3, n, 1))
    both = np.concatenate([(1 - width) ** 0.5 * middle + width**0.5 * side for side in sides], 1)
    both = band(both, low, high)
    return both / both.std()


def band(sound: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Without what is below ``low`` and above ``high`` Hz: the gains of Butterworth filters, without their phase."""
    spectrum = np.fft.rfft(sound, axis=0)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)[:, None]
    hz[0] = 1e-9
    gain = (1 + (low / hz) ** (2 * order)) ** -0.5 * (1 + (hz / high) ** (2 * order)) ** -0.5
    return np.fft.irfft(spectrum * gain, len(sound), axis=0)


def sweep(n: int, hz: np.ndarray) -> np.ndarray:
    """(n, 1) sine of a frequency (n, 1) that changes, from phase 0."""
    return np.sin(2 * np.pi * np.cumsum(hz, 0) / RATE)


def squares(n: int, hz: Sequence[float]) -> np.ndarray:
    """(n, 1) sum of square waves: made at eight times the rate, as what folds back would whistle."""
    time = np.arange(8 * n)[:, None] / (8 * RATE)
    waves = sum(np.sign(np.sin(2 * np.pi * f * time + k)) for k, f in enumerate(hz))
    spectrum = np.fft.rfft(waves, axis=0)[: n // 2 + 1]
    return np.fft.irfft(spectrum, n, axis=0) / 8


def modes(n: int, hz: np.ndarray, level: np.ndarray, t60: np.ndarray, seed: int, width: float) -> np.ndarray:
    """(n, 2) sum of decaying sines, each somewhere between left and right, as the modes of a plate are."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, len(hz))
    place = random.uniform(-width, width, len(hz))
    time = seconds(n)
    left, right = np.zeros((2, n, 1))
    for f, a, t, p, x in zip(hz, level, t60, phase, place, strict=True):
        mode = a * np.sin(2 * np.pi * f * time + p) * decay(n, t)
        left += (1 - x) * mode
        right += (1 + x) * mode
    return np.concatenate([left, right], 1)


def saturated(sound: np.ndarray, drive: float) -> np.ndarray:
    """Brought to a peak of 1, then bent as by tape."""
    return np.tanh(drive * sound / np.abs(sound).max()) / np.tanh(drive)


@cache
def _room() -> np.ndarray:
    """(n, 2) what a small room answers to a click: a fifth of a second of dull noise, some ms late."""
    n = round(0.2 * RATE)
    answer = noise(n, 250, 5500, seed=99, width=0.8) * decay(n, 0.24) * attack(n, 0.006)
    answer = np.concatenate([np.zeros((round(0.004 * RATE), 2)), answer])
    return answer / np.sqrt((answer**2).sum(0).mean())


def _in_room(dry: np.ndarray) -> np.ndarray:
    """What the room answers, as long as the sound itself."""
    answer = _room()
    size = len(dry) + len(answer)
    spectrum = np.fft.rfft(dry, size, axis=0) * np.fft.rfft(answer, size, axis=0)
    return np.fft.irfft(spectrum, size, axis=0)[: len(dry)]
