"""An agent that decides a GAN's bars step by step, so that they have the density and the syncopation asked for.

>>> from rl_tuner import steer
>>> found = steer({"density": 20, "syncopation": 6}, n=8, calls=32, seed=0)
>>> bars, success = found.bars, found.success

Or versions of a loop, as near to it as closeness asks for:

>>> versions = steer({"density": [22, 22, 22, 26]}, n=4, given=loop, closeness=0.7)  # loop: (4, steps, parts) bool
"""

import lazy_loader

# the names and where they are from stand in __init__.pyi; each is imported when it is first used: help must not wait
# for torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
