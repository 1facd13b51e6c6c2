"""A worn kit: the acoustic one played slower, off a tape, through an early sampler of few bits and half the rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rhythmgan.synth import acoustic
from rhythmgan.synth.waves import Voice, attack, band, decay, noise, saturated

_BITS = 8
_HOLD = 2  # samples at half the rate: what it cannot hold folds back


def _worn(pitch: int, slower: float, high: float, dust: float, t60: float, seed: int) -> Callable[[int], np.ndarray]:
    """What makes a worn sound of an acoustic one.

    Args:
        pitch: of the acoustic one.
        slower: how many times as long it is, and as low.
        high: Hz above which the tape holds less and less.
        dust: of a noise that swells with the sound, its level.
        t60: seconds, of the gate that shortens it.
        seed: of the dust.
    """

    def make(n: int) -> np.ndarray:
        clean = acoustic.VOICES[pitch].make(round(n / slower) + 1)
        place = np.arange(n) / slower
        slow = np.stack([np.interp(place, np.arange(len(clean)), side) for side in clean.T], 1)
        gate = decay(n, t60) * attack(n, 0.0006)
        taped = saturated(band(slow, 45, high) * gate, 1.8)
        taped = taped + dust * noise(n, 700, 6000, seed) * gate**0.5
        held = np.repeat(taped[::_HOLD], _HOLD, axis=0)[:n]
        steps = 2 ** (_BITS - 1)
        sampled = np.rint(held / np.abs(held).max() * steps) / steps
        return band(sampled, 20, 1.5 * high) * attack(n, 0.0004)

    return make


VOICES = {
    36: Voice(_worn(36, 1.06, 2600, 0.006, 0.5, 236), 0.45, 0.0, 0.02, 0.54),
    38: Voice(_worn(38, 1.1, 4600, 0.012, 0.45, 238), 0.4, 0.0, 0.05, 0.47),
    42: Voice(_worn(42, 1.16, 6800, 0.02, 0.16, 242), 0.2, 0.2, 0.02, 0.22),
    46: Voice(_worn(46, 1.16, 6800, 0.02, 0.6, 246), 0.5, 0.2, 0.02, 0.17),
    43: Voice(_worn(43, 1.06, 2800, 0.008, 0.7, 243), 0.55, -0.3, 0.04, 0.46),
    47: Voice(_worn(47, 1.06, 2800, 0.008, 0.7, 247), 0.5, 0.0, 0.04, 0.4),
    50: Voice(_worn(50, 1.06, 2800, 0.008, 0.7, 250), 0.45, 0.2, 0.04, 0.41),
    51: Voice(_worn(51, 1.12, 5200, 0.02, 1.2, 251), 0.9, -0.3, 0.02, 0.13),
    49: Voice(_worn(49, 1.12, 5600, 0.02, 1.2, 249), 1.1, 0.35, 0.02, 0.23),
    54: Voice(_worn(54, 1.1, 6500, 0.02, 0.25, 254), 0.26, -0.2, 0.02, 0.19),
    70: Voice(_worn(70, 1.1, 5200, 0.02, 0.3, 270), 0.2, -0.3, 0.02, 0.17),
    63: Voice(_worn(63, 1.06, 3200, 0.008, 0.4, 263), 0.36, 0.4, 0.04, 0.34),
    56: Voice(_worn(56, 1.06, 3000, 0.012, 0.4, 256), 0.36, -0.15, 0.03, 0.15),
}
"""By the pitch that goes out."""
