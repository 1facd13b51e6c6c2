"""The command ``rhythmgan``. Each of its commands is a module of ``rhythmgan.commands``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rhythmgan import __version__

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    return run_program(_parser, arguments)


def run_program(make_parser: Callable[[], argparse.ArgumentParser], arguments: Sequence[str] | None = None) -> int:
    """Run one command of a program, see ``console.run_command``; Ctrl-C ends it while its commands are imported too.

    Args:
        make_parser: makes the parser, which takes a while: it imports the commands.
        arguments: of the command; by default those of the process.

    Returns:
        The exit status.
    """
    try:
        from rhythmgan.console import run_command

        parser = make_parser()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return run_command(parser, arguments)


def _parser() -> argparse.ArgumentParser:
    from rhythmgan.commands import (
        combine,
        demo,
        evaluate,
        features,
        fill,
        grooves,
        info,
        interpolate,
        prepare,
        sample,
        standardise,
        train,
        vary,
    )
    from rhythmgan.console import new_parser

    description = "Drum bars from a GAN: sample them from seeds, vary your own, evaluate them, train models."
    parser = new_parser("rhythmgan", __version__, description)
    commands = parser.add_subparsers(required=True, metavar="command")
    making, learning = (sample, interpolate, vary, fill, standardise, combine), (prepare, train, evaluate)
    for command in (*making, *learning, features, grooves, info, demo):
        command.add(commands)
    return parser
