"""The sounds of three drum kits, computed, not sampled: ``acoustic``, ``808`` and ``lo-fi``.

``waves`` is what they are made of; each kit has a module with a table of its voices by pitch.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rhythmgan.kit import Kit
from rhythmgan.synth import acoustic, lo_fi, tr808
from rhythmgan.synth.waves import RATE as RATE
from rhythmgan.synth.waves import finished

_VOICES = {"acoustic": acoustic.VOICES, "808": tr808.VOICES, "lo-fi": lo_fi.VOICES}

SOUNDS = tuple(_VOICES)
"""The names of the kits of sounds."""


@cache
def one_shots(kit: Kit, sounds: str = "acoustic") -> tuple[np.ndarray, ...]:
    """The sound of each part of a kit struck at velocity 127, computed once: (n_samples, 2) float32 each, read-only.

    All begin with the stroke and end on zeros. The nine of GM9 last 6 s together, the twelve of GM12 7 s.

    Args:
        kit: whose parts are to be heard.
        sounds: one of ``SOUNDS``.

    Raises:
        ValueError: no such sounds, or a part goes out as a pitch that has no sound here.
    """
    if sounds not in SOUNDS:
        raise ValueError(f"the sounds are {', '.join(SOUNDS)}; there are no sounds {sounds!r}")
    silent = [part.name for part in kit.parts if part.pitch not in _VOICES[sounds]]
    if silent:
        raise ValueError(f"there is no sound for {', '.join(silent)} of kit {kit.name}")
    return tuple(_one_shot(sounds, part.pitch) for part in kit.parts)


@cache
def _one_shot(sounds: str, pitch: int) -> np.ndarray:
    return finished(_VOICES[sounds][pitch])
