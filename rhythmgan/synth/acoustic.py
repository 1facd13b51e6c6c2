"""The acoustic kit.

The kit is heard as by its audience: hats and crash at the right, ride and low tom at the left, kick and snare in the
middle. Kick, snare and toms are swept sines with filtered noise; hats are six detuned squares under a high-pass, as in
the drum machines of the eighties; ride, crash and tambourine are many inharmonic modes, of which the higher die sooner.
A shaker is noise that swells, a conga two modes of a skin, a bell two squares that do not agree, as in Roland's TR-808.
All of it is saturated a little and stands in a small room.
"""

from __future__ import annotations

import numpy as np

from rhythmgan.synth.waves import (
    RATE,
    Voice,
    attack,
    band,
    decay,
    modes,
    noise,
    saturated,
    seconds,
    squares,
    sweep,
)


def _kick(n: int) -> np.ndarray:
    time = seconds(n)
    body = sweep(n, 51 + 48 * np.exp(-time / 0.03) + 230 * np.exp(-time / 0.005))
    body *= attack(n, 0.0007) * (0.5 * decay(n, 0.5) + 0.5 * decay(n, 0.16))
    click = noise(n, 1800, 6500, seed=36) * decay(n, 0.018) * attack(n, 0.0002)
    return saturated(body, 2.2) + 0.16 * click


def _snare(n: int) -> np.ndarray:
    bend = 1 + 0.35 * np.exp(-seconds(n) / 0.008)
    body = sweep(n, 184 * bend) * decay(n, 0.19) + 0.55 * sweep(n, 331 * bend) * decay(n, 0.13)
    wires = noise(n, 1400, 8500, seed=38, width=0.3) * (0.7 * decay(n, 0.3) + 0.3 * decay(n, 0.1))
    crack = noise(n, 1800, 7000, seed=39) * decay(n, 0.035)
    return saturated((body + 0.55 * wires + 0.6 * crack) * attack(n, 0.0003), 1.6)


def _tom(n: int, hz: float, seed: int) -> np.ndarray:
    bend = 1 + 0.4 * np.exp(-seconds(n) / 0.035)
    body = sweep(n, hz * bend) * (0.7 * decay(n, 0.62) + 0.3 * decay(n, 0.2))
    body += 0.35 * sweep(n, 1.59 * hz * bend) * decay(n, 0.25)  # the second mode of a round membrane
    stick = noise(n, 700, 4500, seed) * decay(n, 0.04)
    skin = noise(n, 150, 900, seed + 1, width=0.3) * decay(n, 0.18)
    return saturated((body + 0.2 * stick + 0.08 * skin) * attack(n, 0.0007), 1.6)


_HAT_HZ = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)  # the oscillators of Roland's TR-808


def _hat(n: int, t60: float, seed: int) -> np.ndarray:
    metal = band(squares(n, [1.53 * hz for hz in _HAT_HZ]), 6800, 12000, order=3)
    hiss = noise(n, 6500, 12500, seed, width=0.5)
    stick = noise(n, 3000, 8500, seed + 1) * decay(n, 0.015)
    ringing = (0.6 * metal / metal.std() + 0.7 * hiss) * (0.7 * decay(n, t60) + 0.3 * decay(n, t60 / 4))
    return saturated((ringing + 0.6 * stick) * attack(n, 0.0003), 0.8)


def _ride(n: int) -> np.ndarray:
    random = np.random.default_rng(51)
    hz = np.exp(random.uniform(np.log(700), np.log(13000), 160))
    level = random.uniform(0.3, 1, 160) * np.exp(-(np.log2(hz / 5000) ** 2) / 3)
    plate = modes(n, hz, level, 2.0 * (hz / 1000) ** -0.25, 52, 0.5)
    bell = np.array([2960.0, 4130, 5270, 1045, 618])
    ping = modes(n, bell, np.array([1.0, 0.9, 0.7, 0.35, 0.2]), np.array([0.6, 0.5, 0.4, 0.9, 0.9]), 53, 0.2)
    wash = noise(n, 4500, 12500, seed=54, width=0.6) * decay(n, 1.3) * attack(n, 0.01)
    tick = noise(n, 2800, 9500, seed=55) * decay(n, 0.035)
    return saturated((plate / 11 + ping / 2.4 + 0.28 * wash + 0.9 * tick) * attack(n, 0.0003), 0.8)


def _crash(n: int) -> np.ndarray:
    random = np.random.default_rng(49)
    hz = np.exp(random.uniform(np.log(450), np.log(15000), 150))
    level = random.uniform(0.3, 1, 150) * (1 + (1400 / hz) ** 2) ** -0.5
    plate = modes(n, hz, level, 2.4 * (hz / 1000) ** -0.35, 50, 0.6)
    wash = noise(n, 3000, 12500, seed=57, width=0.7) * (0.6 * decay(n, 1.5) + 0.4 * decay(n, 0.3))
    # the highest come last, as in a struck plate the low modes feed them
    bloom = noise(n, 7500, 15000, seed=58, width=0.7) * decay(n, 1.0) * attack(n, 0.02)
    stick = noise(n, 1500, 7000, seed=59) * decay(n, 0.03)
    return saturated((plate / 7 + wash + 0.5 * bloom + stick) * attack(n, 0.0005), 0.9)


def _tambourine(n: int) -> np.ndarray:
    random = np.random.default_rng(54)
    sound = 0.5 * noise(n, 350, 1500, seed=60) * decay(n, 0.05)  # the hand on the frame
    # the jingles strike together, then once more each as they fall back
    for seed, (late, level) in enumerate(
        ((0, 1), (0.009, 0.5), (0.021, 0.65), (0.036, 0.4), (0.058, 0.3), (0.083, 0.15))
    ):
        m = n - round(late * RATE)
        jingle = 0.2 * modes(m, random.uniform(4500, 14000, 24), np.ones(24), np.full(24, 0.14), 61 + seed, 0.4)
        jingle += 0.4 * noise(m, 6000, 13000, 71 + seed, 0.4) * decay(m, 0.07)
        sound[n - m :] += level * jingle
    return saturated(sound * attack(n, 0.0003), 0.8)


def _shaker(n: int) -> np.ndarray:
    time = seconds(n)
    # the beads set off at once and arrive together a little later
    swell = 0.5 * decay(n, 0.06) + np.exp(-(((time - 0.018) / 0.012) ** 2)) + 0.5 * attack(n, 0.015) * decay(n, 0.22)
    beads = noise(n, 3000, 7500, seed=70, width=0.5)
    return saturated(beads * swell * attack(n, 0.0003), 0.7)


def _conga(n: int) -> np.ndarray:
    bend = 1 + 0.05 * np.exp(-seconds(n) / 0.02)
    body = sweep(n, 226 * bend) * (0.75 * decay(n, 0.5) + 0.25 * decay(n, 0.12))
    body += 0.6 * sweep(n, 1.59 * 226 * bend) * decay(n, 0.2)  # the second mode of a round membrane
    hand = noise(n, 900, 3800, seed=63, width=0.2) * decay(n, 0.03)
    return saturated((body + 0.3 * hand) * attack(n, 0.0006), 1.3)


def _bell(n: int) -> np.ndarray:
    tones = band(squares(n, (540.0, 800.0)), 700, 6500)  # the oscillators of Roland's TR-808
    ringing = tones / tones.std() * (0.6 * decay(n, 0.09) + 0.4 * decay(n, 0.55))
    stick = noise(n, 2500, 7000, seed=56) * decay(n, 0.012)
    return saturated((ringing + 0.3 * stick) * attack(n, 0.0002), 0.9)


VOICES = {
    36: Voice(_kick, 0.5, 0.0, 0.04, 0.58),
    38: Voice(_snare, 0.45, 0.05, 0.12, 0.52),
    42: Voice(lambda n: _hat(n, 0.12, 42), 0.22, 0.35, 0.05, 0.32),
    46: Voice(lambda n: _hat(n, 0.9, 46), 0.65, 0.35, 0.05, 0.25),
    43: Voice(lambda n: _tom(n, 84, 43), 0.6, -0.4, 0.08, 0.56),
    47: Voice(lambda n: _tom(n, 112, 47), 0.55, -0.05, 0.08, 0.48),
    50: Voice(lambda n: _tom(n, 150, 50), 0.5, 0.3, 0.08, 0.48),
    51: Voice(_ride, 1.15, -0.4, 0.05, 0.2),
    49: Voice(_crash, 1.35, 0.45, 0.05, 0.34),
    54: Voice(_tambourine, 0.3, -0.25, 0.08, 0.24),
    70: Voice(_shaker, 0.22, -0.45, 0.05, 0.23),
    63: Voice(_conga, 0.4, 0.5, 0.08, 0.4),
    56: Voice(_bell, 0.4, -0.2, 0.06, 0.2),
}
