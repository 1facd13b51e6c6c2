"""A kit after Roland's TR-808: long swept sines, a snare with a clap behind it, metal of six squares.

The frequencies of shells, skins and of the six oscillators are the machine's. It has no ride and no tambourine: these
are its metal, tuned higher and shorter, and its noise in three bursts.
"""

from __future__ import annotations

import numpy as np

from rhythmgan.synth.waves import RATE, Voice, attack, band, decay, noise, saturated, seconds, squares, sweep

_METAL_HZ = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)


def _kick(n: int) -> np.ndarray:
    time = seconds(n)
    body = sweep(n, 49 + 34 * np.exp(-time / 0.022) + 190 * np.exp(-time / 0.004))
    body *= attack(n, 0.0006) * (0.75 * decay(n, 1.15) + 0.25 * decay(n, 0.22))
    click = noise(n, 1500, 5000, seed=136) * decay(n, 0.01) * attack(n, 0.0002)
    return saturated(body, 1.5) + 0.06 * click


def _bursts(n: int, low: float, high: float, seed: int) -> np.ndarray:
    """(n, 2) three short bursts of noise and what rings after them, as of many hands."""
    sound = np.zeros((n, 2))
    for place, late in enumerate((0.0, 0.0105, 0.021)):
        m = n - round(late * RATE)
        t60 = 0.2 if place == 2 else 0.03
        sound[n - m :] += noise(m, low, high, seed + place, width=0.4) * decay(m, t60) * attack(m, 0.0003)
    return sound


def _snare(n: int) -> np.ndarray:
    shells = sweep(n, np.full((n, 1), 184.0)) * decay(n, 0.2) + 0.6 * sweep(n, np.full((n, 1), 331.0)) * decay(n, 0.11)
    wires = noise(n, 1900, 9500, seed=138, width=0.2) * decay(n, 0.24)
    clap = _bursts(n, 900, 3600, seed=140)
    return saturated((shells + 0.55 * wires + 0.28 * clap) * attack(n, 0.0004), 1.5)


def _metal(n: int, tune: float, low: float, high: float) -> np.ndarray:
    """(n, 1) the six oscillators, of unit power, between two frequencies."""
    sound = band(squares(n, [tune * hz for hz in _METAL_HZ]), low, high, order=3)
    return sound / sound.std()


def _hat(n: int, t60: float) -> np.ndarray:
    tick = noise(n, 5000, 11000, seed=142) * decay(n, 0.012)
    ringing = _metal(n, 1.53, 7600, 13000) * (0.8 * decay(n, t60) + 0.2 * decay(n, t60 / 4))
    return saturated((ringing + 0.35 * tick) * attack(n, 0.0003), 0.9)


def _tom(n: int, hz: float, seed: int) -> np.ndarray:
    time = seconds(n)
    body = sweep(n, hz * (1 + 0.22 * np.exp(-time / 0.04) + 0.5 * np.exp(-time / 0.003))) * decay(n, 0.55)
    skin = noise(n, 200, 1500, seed) * decay(n, 0.16)
    return saturated((body + 0.07 * skin) * attack(n, 0.0007), 1.3)


def _conga(n: int) -> np.ndarray:
    time = seconds(n)
    body = sweep(n, 252 * (1 + 0.12 * np.exp(-time / 0.012) + 0.4 * np.exp(-time / 0.002))) * decay(n, 0.3)
    return saturated(body * attack(n, 0.0006), 1.1)


def _ride(n: int) -> np.ndarray:
    ping = _metal(n, 1.91, 3300, 5200) * decay(n, 0.55) + 0.6 * _metal(n, 1.91, 7000, 11500) * decay(n, 0.9)
    tick = noise(n, 3000, 9000, seed=151) * decay(n, 0.02)
    return saturated((ping + 0.4 * tick) * attack(n, 0.0003), 0.8)


def _crash(n: int) -> np.ndarray:
    # two bands that die apart, as in the machine's cymbal
    dark = _metal(n, 1.0, 2300, 4700) * decay(n, 0.7)
    bright = _metal(n, 1.0, 6800, 12500) * (0.6 * decay(n, 2.0) + 0.4 * decay(n, 0.5))
    hiss = noise(n, 5500, 13000, seed=149, width=0.7) * decay(n, 1.1)
    return saturated((0.7 * dark + bright + 0.45 * hiss) * attack(n, 0.0004), 0.8)


def _tambourine(n: int) -> np.ndarray:
    jingles = 0.5 * _metal(n, 2.3, 6500, 12000) * decay(n, 0.15)
    return saturated((_bursts(n, 6000, 12500, seed=154) + jingles) * attack(n, 0.0003), 0.8)


def _maracas(n: int) -> np.ndarray:
    time = seconds(n)
    swell = 0.55 * decay(n, 0.05) + np.exp(-(((time - 0.012) / 0.008) ** 2)) + 0.25 * attack(n, 0.01) * decay(n, 0.1)
    return saturated(noise(n, 5200, 11000, seed=170, width=0.2) * swell * attack(n, 0.0003), 0.7)


def _cowbell(n: int) -> np.ndarray:
    # 540 and 800 Hz by the plan; a semitone higher, as many machines are, it is not the acoustic kit's bell
    tones = band(squares(n, (572.0, 848.0)), 600, 3800)
    return saturated(tones / tones.std() * (0.5 * decay(n, 0.06) + 0.5 * decay(n, 0.5)) * attack(n, 0.0002), 1.1)


VOICES = {
    36: Voice(_kick, 0.95, 0.0, 0.0, 0.64),
    38: Voice(_snare, 0.38, 0.0, 0.05, 0.5),
    42: Voice(lambda n: _hat(n, 0.075), 0.16, 0.2, 0.02, 0.32),
    46: Voice(lambda n: _hat(n, 0.55), 0.5, 0.2, 0.02, 0.24),
    43: Voice(lambda n: _tom(n, 78, 143), 0.55, -0.4, 0.03, 0.58),
    47: Voice(lambda n: _tom(n, 122, 147), 0.5, -0.05, 0.03, 0.48),
    50: Voice(lambda n: _tom(n, 170, 150), 0.45, 0.3, 0.03, 0.46),
    51: Voice(_ride, 0.7, -0.4, 0.03, 0.17),
    49: Voice(_crash, 1.2, 0.4, 0.04, 0.36),
    54: Voice(_tambourine, 0.26, -0.25, 0.04, 0.24),
    70: Voice(_maracas, 0.16, -0.45, 0.02, 0.3),
    63: Voice(_conga, 0.32, 0.5, 0.03, 0.36),
    56: Voice(_cowbell, 0.4, -0.2, 0.02, 0.17),
}
"""By the pitch that goes out."""
