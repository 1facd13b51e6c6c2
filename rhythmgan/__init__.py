"""Drum bars from a GAN: sample them from seeds, measure and judge them, take them away as MIDI.

>>> import rhythmgan
>>> bars = rhythmgan.load_gan().sample(4, seed=0)
>>> rhythmgan.write_midi("loop.mid", bars)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rhythmgan.data import load_corpus
    from rhythmgan.features import density, syncopation
    from rhythmgan.generate.phrases import phrases
    from rhythmgan.kit import GM9, JAKI5, RYTHMGAN7
    from rhythmgan.latent import interpolate
    from rhythmgan.midi import read_midi, write_midi
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.word_lstm import load_prior
    from rhythmgan.reference import load_reference
    from rhythmgan.songs import prepare
    from rhythmgan.sound import render, write_wav

__version__ = "0.1.0"

__all__ = [
    "GM9",
    "JAKI5",
    "RYTHMGAN7",
    "density",
    "interpolate",
    "load_corpus",
    "load_gan",
    "load_prior",
    "load_reference",
    "phrases",
    "prepare",
    "read_midi",
    "render",
    "syncopation",
    "write_midi",
    "write_wav",
]

_ROOMS = {
    "data": ("load_corpus",),
    "features": ("density", "syncopation"),
    "kit": ("GM9", "JAKI5", "RYTHMGAN7"),
    "latent": ("interpolate",),
    "midi": ("read_midi", "write_midi"),
    "models.gan": ("load_gan",),
    "models.word_lstm": ("load_prior",),
    "generate.phrases": ("phrases",),
    "reference": ("load_reference",),
    "songs": ("prepare",),
    "sound": ("render", "write_wav"),
}


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    """Import a room when one of its names is first used: reading MIDI must not wait for torch."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"rhythmgan.{room}"), name)
    raise AttributeError(f"module 'rhythmgan' has no attribute {name!r}")
