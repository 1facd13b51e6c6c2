"""Agents that move a GAN's latent point until its bar has the density and the syncopation asked for.

>>> from rl_tuner import steer
>>> found = steer({"density": 20, "syncopation": 6}, n=8, calls=32, seed=0)
>>> bars, success = found.bars, found.success
"""

import lazy_loader

# the names and where they are from stand in __init__.pyi; each is imported when it is first used: help must not wait
# for torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
