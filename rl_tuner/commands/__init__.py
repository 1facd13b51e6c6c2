"""The commands of ``rl-tuner``, a module each."""
