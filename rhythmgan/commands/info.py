"""``rhythmgan info``: what a file holds."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from rhythmgan.console import add_report_options

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "info", help="say what a file holds", description="Say what a file holds, or why it gives no bars."
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "file", nargs="?", help="weights, a corpus, MIDI, LPD .npz, a text of bars, or any other (the bundled weights)"
    )
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    from rhythmgan.info import describe

    facts = describe(options.file)
    if options.json:
        return {name.replace("'", "").replace(" ", "_"): _number(value) for name, value in facts.items()}
    for name, value in facts.items():
        if name == "grid":
            for steps, n in value.items():
                print(f"bars of {steps} steps: {n:,}")
        elif isinstance(value, dict):
            print(f"{name}: {', '.join(f'{key} {n:,}' for key, n in value.items()) or 'none'}")
        elif value is not None:
            print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
    return None


def _number(value: Any) -> Any:
    """A number that metadata hold as text as a number; any other value as it is."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value) if isinstance(value, str) else value
    return value
