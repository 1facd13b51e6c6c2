"""Gymnasium environments. ``gymnasium.make("rl_tuner.envs:LatentDrums-v0")`` finds them; so does importing this."""

from gymnasium import register

LATENT = "LatentDrums-v0"
STEPWISE = "StepwiseDrums-v0"
EDIT = "DrumEdit-v0"
APPEND = "DrumAppend-v0"
TOGGLE = "DrumToggle-v0"

for name, room in (
    (LATENT, "latent"),
    (STEPWISE, "stepwise"),
    (EDIT, "edit"),
    (APPEND, "append"),
    (TOGGLE, "toggle"),
):
    register(
        name,
        entry_point=f"rl_tuner.tune.{room}:bundled_env",
        vector_entry_point=f"rl_tuner.tune.{room}:bundled_vector_env",
    )
