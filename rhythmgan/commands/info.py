"""``rhythmgan info``: what a file holds."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
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
        return to_document(facts)
    print("\n".join(to_lines(facts)))
    return None


_MOST_LETTERS = 1000
"""Of a value that are shown: the styles of the bundled weights have some two hundred."""

_MOST_NAMES = 100
"""Of a file's own names that are shown."""

_GROUPS = ("config", "provenance", "arrays")
"""Names under which a file speaks of itself, in names of its own."""


def to_document(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What ``describe`` says, as ``--json`` prints it: its names without spaces, those of the file as they are."""
    document = {name.replace("'", "").replace(" ", "_"): value for name, value in facts.items()}
    if "provenance" in document:
        document["provenance"] = {name: _number(value) for name, value in document["provenance"].items()}
    return document


def to_lines(facts: Mapping[str, Any]) -> list[str]:
    """What ``describe`` says, a line each. What a file says of itself is indented: no line of it looks like ours."""
    from rhythmgan.inputs import shown

    lines: list[str] = []
    for name, value in facts.items():
        if name == "grid":
            lines += [f"bars of {steps} steps: {n:,}" for steps, n in value.items()]
        elif name in _GROUPS:
            said = [f"  {shown(each)}: {shown(found, _MOST_LETTERS)}" for each, found in value.items()]
            lines += [f"{name}:", *_first(said, "  ")]
        elif isinstance(value, dict):
            counts = _first([f"{shown(each)} {n:,}" for each, n in value.items()])
            lines.append(f"{name}: {', '.join(counts) or 'none'}")
        elif value is not None:
            lines.append(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {shown(value, _MOST_LETTERS)}")
    return lines


def _first(said: list[str], indent: str = "") -> list[str]:
    """The first of what a file names, and how many more there are."""
    more = len(said) - _MOST_NAMES
    return said if more <= 0 else [*said[:_MOST_NAMES], f"{indent}and {more:,} more"]


def _number(value: Any) -> Any:
    """A number that provenance holds as text as a number; any other value as it is."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return value
    return float(value) if "." in value else int(value)
