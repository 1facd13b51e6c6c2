from .latent.agent import load_latent_agent
from .steering import steer

__all__ = ["load_latent_agent", "steer"]
