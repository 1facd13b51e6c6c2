"""What ``rl-tuner train`` trains: one module for each environment, named as ``--env`` names it."""
