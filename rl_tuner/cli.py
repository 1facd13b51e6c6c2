"""The command line of the agents."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what the command is for; there is no agent yet to run."""
    parser = argparse.ArgumentParser(
        prog="rl-tuner",
        description="rl-tuner will steer the bars of rhythmgan to a density and a syncopation, with a DQN agent "
        "that moves the latent point. This version has no agent yet: use `rhythmgan sample` for bars.",
    )
    parser.parse_args(arguments)
    parser.print_help()
    return 0
