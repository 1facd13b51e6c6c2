"""The command ``rl-tuner``. Each of its commands is a module of ``rl_tuner.commands``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rhythmgan import __version__
from rhythmgan.console import new_parser, run_command
from rl_tuner.commands import append, continuation, evaluate, steer, sweep, toggle, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    description = (
        "Steer the bars of a GAN to a density and a syncopation, with an agent that decides them step by step."
    )
    parser = new_parser("rl-tuner", __version__, description)
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in (steer, continuation, append, toggle, train, evaluate, sweep):
        command.add(commands)
    return parser
