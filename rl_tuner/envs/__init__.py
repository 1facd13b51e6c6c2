"""Gymnasium environments. ``gymnasium.make("rl_tuner.envs:LatentDrums-v0")`` finds them; so does importing this."""

from gymnasium import register

LATENT = "LatentDrums-v0"

register(
    LATENT,
    entry_point="rl_tuner.tune.latent:bundled_env",
    vector_entry_point="rl_tuner.tune.latent:bundled_vector_env",
)
