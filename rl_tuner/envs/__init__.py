"""Gymnasium environments. ``gymnasium.make("rl_tuner.envs:LatentDrums-v0")`` finds them; so does importing this."""

from gymnasium import register

LATENT = "LatentDrums-v0"

register(
    LATENT,
    entry_point="rl_tuner.envs.latent:LatentEnv",
    vector_entry_point="rl_tuner.envs.latent:vector_env",
)
