"""The command ``rl-tuner``. Each of its commands is a module of ``rl_tuner.commands``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rhythmgan import __version__
from rhythmgan.cli import run_program

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    return run_program(_parser, arguments)


def _parser() -> argparse.ArgumentParser:
    from rhythmgan.console import new_parser
    from rl_tuner.commands import append, continuation, evaluate, steer, sweep, toggle, train

    description = (
        "Steer the bars of a GAN to a density and a syncopation, with an agent that decides them step by step."
    )
    parser = new_parser("rl-tuner", __version__, description)
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in (steer, continuation, append, toggle, train, evaluate, sweep):
        command.add(commands)
    return parser
