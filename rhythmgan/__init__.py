"""Drum bars from a GAN: sample them from seeds, measure and evaluate them, take them away as MIDI.

>>> import rhythmgan
>>> bars = rhythmgan.load_gan().sample(4, seed=0)
>>> rhythmgan.write_midi("loop.mid", bars)
"""

import lazy_loader

__version__ = "0.1.0"

# the names and where they are from stand in __init__.pyi; each is imported when it is first used: reading MIDI must not
# wait for torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
