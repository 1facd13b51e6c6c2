"""The sounds of a drum kit, computed, not sampled.

The kit is heard as by its audience: hats and crash at the right, ride and low tom at the left, kick and snare in the
middle. Kick, snare and toms are swept sines with filtered noise; hats are six detuned squares under a high-pass, as in
the drum machines of the eighties; ride, crash and tambourine are many inharmonic modes, of which the higher die sooner.
A shaker is noise that swells, a conga two modes of a skin, a bell two squares that do not agree, as in Roland's TR-808.
All of it is saturated a little and stands in a small room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from rhythmgan.kit import Kit

RATE = 44100
"""Samples a second, of each channel."""


@cache
def one_shots(kit: Kit) -> tuple[np.ndarray, ...]:
    """The sound of each part of a kit struck at velocity 127, computed once: (n_samples, 2) float32 each, read-only.

    All begin with the stroke and end on zeros. The nine of GM9 last 6 s together, the twelve of GM12 7 s.

    Raises:
        ValueError: a part goes out as a pitch that has no sound here.
    """
    silent = [part.name for part in kit.parts if part.pitch not in _SOUNDS]
    if silent:
        raise ValueError(f"there is no sound for {', '.join(silent)} of kit {kit.name}")
    return tuple(_one_shot(part.pitch) for part in kit.parts)


@cache
def _one_shot(pitch: int) -> np.ndarray:
    """The finished sound of a pitch: made, placed, put into the room, scaled to its peak and faded out."""
    make, seconds, place, room, peak = _SOUNDS[pitch]
    n = round(seconds * RATE)
    dry = make(n)
    angle = (place + 1) * np.pi / 4  # equal power wherever it stands
    dry = dry * (np.array([np.cos(angle), np.sin(angle)]) * 2**0.5)
    sound = dry + room * _in_room(dry)
    n_fade = n // 4
    sound[-n_fade:] *= np.cos(np.linspace(0, np.pi / 2, n_fade))[:, None] ** 2
    sound[-1] = 0
    sound = (sound * (peak / np.abs(sound).max())).astype(np.float32)
    sound.flags.writeable = False
    return sound


def _time(n: int) -> np.ndarray:
    """(n, 1) seconds."""
    return np.arange(n)[:, None] / RATE


def _decay(n: int, t60: float) -> np.ndarray:
    """(n, 1) envelope that has lost 60 dB after ``t60`` seconds."""
    return np.exp(np.log(1e-3) / t60 * _time(n))


def _attack(n: int, seconds: float) -> np.ndarray:
    """(n, 1) envelope that rises from 0 and has two thirds of the way behind it after ``seconds``."""
    return 1 - np.exp(-_time(n) / seconds)


def _noise(n: int, low: float, high: float, seed: int, width: float = 0.0) -> np.ndarray:
    """(n, 2) noise of unit power between two frequencies in Hz; ``width`` 0 is the same left and right, 1 unlike."""
    middle, *sides = np.random.default_rng(seed).standard_normal((3, n, 1))
    both = np.concatenate([(1 - width) ** 0.5 * middle + width**0.5 * side for side in sides], 1)
    both = _band(both, low, high)
    return both / both.std()


def _band(sound: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Without what is below ``low`` and above ``high`` Hz: the gains of Butterworth filters, without their phase."""
    spectrum = np.fft.rfft(sound, axis=0)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)[:, None]
    hz[0] = 1e-9
    gain = (1 + (low / hz) ** (2 * order)) ** -0.5 * (1 + (hz / high) ** (2 * order)) ** -0.5
    return np.fft.irfft(spectrum * gain, len(sound), axis=0)


def _sweep(n: int, hz: np.ndarray) -> np.ndarray:
    """(n, 1) sine of a frequency (n, 1) that changes, from phase 0."""
    return np.sin(2 * np.pi * np.cumsum(hz, 0) / RATE)


def _squares(n: int, hz: Sequence[float]) -> np.ndarray:
    """(n, 1) sum of square waves: made at eight times the rate, as what folds back would whistle."""
    time = np.arange(8 * n)[:, None] / (8 * RATE)
    waves = sum(np.sign(np.sin(2 * np.pi * f * time + k)) for k, f in enumerate(hz))
    spectrum = np.fft.rfft(waves, axis=0)[: n // 2 + 1]
    return np.fft.irfft(spectrum, n, axis=0) / 8


def _modes(n: int, hz: np.ndarray, level: np.ndarray, t60: np.ndarray, seed: int, width: float) -> np.ndarray:
    """(n, 2) sum of decaying sines, each somewhere between left and right, as the modes of a plate are."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, len(hz))
    place = random.uniform(-width, width, len(hz))
    time = _time(n)
    left, right = np.zeros((2, n, 1))
    for f, a, t, p, x in zip(hz, level, t60, phase, place, strict=True):
        mode = a * np.sin(2 * np.pi * f * time + p) * _decay(n, t)
        left += (1 - x) * mode
        right += (1 + x) * mode
    return np.concatenate([left, right], 1)


def _saturated(sound: np.ndarray, drive: float) -> np.ndarray:
    """Brought to a peak of 1, then bent as by tape."""
    return np.tanh(drive * sound / np.abs(sound).max()) / np.tanh(drive)


@cache
def _room() -> np.ndarray:
    """(n, 2) what a small room answers to a click: a fifth of a second of dull noise, some ms late."""
    n = round(0.2 * RATE)
    answer = _noise(n, 250, 5500, seed=99, width=0.8) * _decay(n, 0.24) * _attack(n, 0.006)
    answer = np.concatenate([np.zeros((round(0.004 * RATE), 2)), answer])
    return answer / np.sqrt((answer**2).sum(0).mean())


def _in_room(dry: np.ndarray) -> np.ndarray:
    """What the room answers, as long as the sound itself."""
    answer = _room()
    size = len(dry) + len(answer)
    spectrum = np.fft.rfft(dry, size, axis=0) * np.fft.rfft(answer, size, axis=0)
    return np.fft.irfft(spectrum, size, axis=0)[: len(dry)]


def _kick(n: int) -> np.ndarray:
    time = _time(n)
    body = _sweep(n, 51 + 48 * np.exp(-time / 0.03) + 230 * np.exp(-time / 0.005))
    body *= _attack(n, 0.0007) * (0.5 * _decay(n, 0.5) + 0.5 * _decay(n, 0.16))
    click = _noise(n, 1800, 6500, seed=36) * _decay(n, 0.018) * _attack(n, 0.0002)
    return _saturated(body, 2.2) + 0.16 * click


def _snare(n: int) -> np.ndarray:
    bend = 1 + 0.35 * np.exp(-_time(n) / 0.008)
    body = _sweep(n, 184 * bend) * _decay(n, 0.19) + 0.55 * _sweep(n, 331 * bend) * _decay(n, 0.13)
    wires = _noise(n, 1400, 8500, seed=38, width=0.3) * (0.7 * _decay(n, 0.3) + 0.3 * _decay(n, 0.1))
    crack = _noise(n, 1800, 7000, seed=39) * _decay(n, 0.035)
    return _saturated((body + 0.55 * wires + 0.6 * crack) * _attack(n, 0.0003), 1.6)


def _tom(n: int, hz: float, seed: int) -> np.ndarray:
    bend = 1 + 0.4 * np.exp(-_time(n) / 0.035)
    body = _sweep(n, hz * bend) * (0.7 * _decay(n, 0.62) + 0.3 * _decay(n, 0.2))
    body += 0.35 * _sweep(n, 1.59 * hz * bend) * _decay(n, 0.25)  # the second mode of a round membrane
    stick = _noise(n, 700, 4500, seed) * _decay(n, 0.04)
    skin = _noise(n, 150, 900, seed + 1, width=0.3) * _decay(n, 0.18)
    return _saturated((body + 0.2 * stick + 0.08 * skin) * _attack(n, 0.0007), 1.6)


_HAT_HZ = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)  # the oscillators of Roland's TR-808


def _hat(n: int, t60: float, seed: int) -> np.ndarray:
    metal = _band(_squares(n, [1.53 * hz for hz in _HAT_HZ]), 6800, 12000, order=3)
    hiss = _noise(n, 6500, 12500, seed, width=0.5)
    stick = _noise(n, 3000, 8500, seed + 1) * _decay(n, 0.015)
    ringing = (0.6 * metal / metal.std() + 0.7 * hiss) * (0.7 * _decay(n, t60) + 0.3 * _decay(n, t60 / 4))
    return _saturated((ringing + 0.6 * stick) * _attack(n, 0.0003), 0.8)


def _ride(n: int) -> np.ndarray:
    random = np.random.default_rng(51)
    hz = np.exp(random.uniform(np.log(700), np.log(13000), 160))
    level = random.uniform(0.3, 1, 160) * np.exp(-(np.log2(hz / 5000) ** 2) / 3)
    modes = _modes(n, hz, level, 2.0 * (hz / 1000) ** -0.25, 52, 0.5)
    bell = np.array([2960.0, 4130, 5270, 1045, 618])
    ping = _modes(n, bell, np.array([1.0, 0.9, 0.7, 0.35, 0.2]), np.array([0.6, 0.5, 0.4, 0.9, 0.9]), 53, 0.2)
    wash = _noise(n, 4500, 12500, seed=54, width=0.6) * _decay(n, 1.3) * _attack(n, 0.01)
    tick = _noise(n, 2800, 9500, seed=55) * _decay(n, 0.035)
    return _saturated((modes / 11 + ping / 2.4 + 0.28 * wash + 0.9 * tick) * _attack(n, 0.0003), 0.8)


def _crash(n: int) -> np.ndarray:
    random = np.random.default_rng(49)
    hz = np.exp(random.uniform(np.log(450), np.log(15000), 150))
    level = random.uniform(0.3, 1, 150) * (1 + (1400 / hz) ** 2) ** -0.5
    modes = _modes(n, hz, level, 2.4 * (hz / 1000) ** -0.35, 50, 0.6)
    wash = _noise(n, 3000, 12500, seed=57, width=0.7) * (0.6 * _decay(n, 1.5) + 0.4 * _decay(n, 0.3))
    # the highest come last, as in a struck plate the low modes feed them
    bloom = _noise(n, 7500, 15000, seed=58, width=0.7) * _decay(n, 1.0) * _attack(n, 0.02)
    stick = _noise(n, 1500, 7000, seed=59) * _decay(n, 0.03)
    return _saturated((modes / 7 + wash + 0.5 * bloom + stick) * _attack(n, 0.0005), 0.9)


def _tambourine(n: int) -> np.ndarray:
    random = np.random.default_rng(54)
    sound = 0.5 * _noise(n, 350, 1500, seed=60) * _decay(n, 0.05)  # the hand on the frame
    # the jingles strike together, then once more each as they fall back
    for seed, (late, level) in enumerate(
        ((0, 1), (0.009, 0.5), (0.021, 0.65), (0.036, 0.4), (0.058, 0.3), (0.083, 0.15))
    ):
        m = n - round(late * RATE)
        jingle = 0.2 * _modes(m, random.uniform(4500, 14000, 24), np.ones(24), np.full(24, 0.14), 61 + seed, 0.4)
        jingle += 0.4 * _noise(m, 6000, 13000, 71 + seed, 0.4) * _decay(m, 0.07)
        sound[n - m :] += level * jingle
    return _saturated(sound * _attack(n, 0.0003), 0.8)


def _shaker(n: int) -> np.ndarray:
    time = _time(n)
    # the beads set off at once and arrive together a little later
    swell = 0.5 * _decay(n, 0.06) + np.exp(-(((time - 0.018) / 0.012) ** 2)) + 0.5 * _attack(n, 0.015) * _decay(n, 0.22)
    beads = _noise(n, 3000, 7500, seed=70, width=0.5)
    return _saturated(beads * swell * _attack(n, 0.0003), 0.7)


def _conga(n: int) -> np.ndarray:
    bend = 1 + 0.05 * np.exp(-_time(n) / 0.02)
    body = _sweep(n, 226 * bend) * (0.75 * _decay(n, 0.5) + 0.25 * _decay(n, 0.12))
    body += 0.6 * _sweep(n, 1.59 * 226 * bend) * _decay(n, 0.2)  # the second mode of a round membrane
    hand = _noise(n, 900, 3800, seed=63, width=0.2) * _decay(n, 0.03)
    return _saturated((body + 0.3 * hand) * _attack(n, 0.0006), 1.3)


def _bell(n: int) -> np.ndarray:
    squares = _band(_squares(n, (540.0, 800.0)), 700, 6500)  # the oscillators of Roland's TR-808
    ringing = squares / squares.std() * (0.6 * _decay(n, 0.09) + 0.4 * _decay(n, 0.55))
    stick = _noise(n, 2500, 7000, seed=56) * _decay(n, 0.012)
    return _saturated((ringing + 0.3 * stick) * _attack(n, 0.0002), 0.9)


# pitch: what makes it, seconds, place (-1 left, 1 right), share of room, peak
_SOUNDS: dict[int, tuple[Callable[[int], np.ndarray], float, float, float, float]] = {
    36: (_kick, 0.5, 0.0, 0.04, 0.58),
    38: (_snare, 0.45, 0.05, 0.12, 0.52),
    42: (lambda n: _hat(n, 0.12, 42), 0.22, 0.35, 0.05, 0.32),
    46: (lambda n: _hat(n, 0.9, 46), 0.65, 0.35, 0.05, 0.25),
    43: (lambda n: _tom(n, 84, 43), 0.6, -0.4, 0.08, 0.56),
    47: (lambda n: _tom(n, 112, 47), 0.55, -0.05, 0.08, 0.48),
    50: (lambda n: _tom(n, 150, 50), 0.5, 0.3, 0.08, 0.48),
    51: (_ride, 1.15, -0.4, 0.05, 0.2),
    49: (_crash, 1.35, 0.45, 0.05, 0.34),
    54: (_tambourine, 0.3, -0.25, 0.08, 0.24),
    70: (_shaker, 0.22, -0.45, 0.05, 0.23),
    63: (_conga, 0.4, 0.5, 0.08, 0.4),
    56: (_bell, 0.4, -0.2, 0.06, 0.2),
}
