from .agent import load_agent
from .steering import steer

__all__ = ["load_agent", "steer"]
