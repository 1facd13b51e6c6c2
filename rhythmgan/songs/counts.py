"""What ``prepare`` counts of each source, and tables of it."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rhythmgan.files import check_target, sweep_parts, write_whole
from rhythmgan.kit import KITS
from rhythmgan.roles import ROLES

_COUNTED_GRIDS = (16, 12, 32, 24)


@dataclass
class SourceCount:
    """What one source gave.

    Attributes:
        source: the folder or file as it was named.
        n_files: files found.
        n_files_with_bars: of these, files that gave bars.
        n_bars, n_distinct, n_songs: bars, distinct bars (over all songs), songs.
        n_song_bars: each song's distinct bars, summed.
        grids: bars by grid.
        n_off_grid: bars of 4/4 on no grid, which are left out.
        roles: bars by role.
        styles: bars by style.
        n_onsets, n_onsets_outside: drum onsets read, and those of pitches that the kit does not have.
        outside: the share of onsets outside of each kit that there is.
        n_merged: onsets that share their cell with a louder one, which stays.
        none: how many files gave none, by reason.
        named: (file, reason with detail) of each of these.
    """

    source: str
    n_files: int = 0
    n_files_with_bars: int = 0
    n_bars: int = 0
    n_distinct: int = 0
    n_songs: int = 0
    n_song_bars: int = 0
    grids: Counter[int] = field(default_factory=Counter)
    n_off_grid: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    styles: Counter[str] = field(default_factory=Counter)
    n_onsets: int = 0
    n_onsets_outside: int = 0
    outside: dict[str, float] = field(default_factory=dict)
    n_merged: int = 0
    none: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """All but the names, as JSON has it."""
        return {
            name: {str(key): n for key, n in value.items()} if isinstance(value, dict) else value
            for name, value in vars(self).items()
            if name != "named"
        }


def counts_table(counts: Iterable[SourceCount]) -> str:
    """The closing table of ``prepare`` as Markdown, a row a source.

    ``on none`` counts bars of 4/4 that are on no grid and left out, ``merged`` is the share of drum onsets that share
    their cell with a louder one, ``repeats`` is how often a song plays each of its
    distinct bars, ``outside the kit`` the share of its drum onsets that the kit has no part for.
    """
    heads = ["source", "files", "with bars", "songs", "bars", *(f"on {grid}" for grid in _COUNTED_GRIDS), "on none"]
    heads += ["distinct", "repeats", *ROLES, "merged", "outside the kit", "why files gave none"]
    rows = [heads, ["---", *["---:"] * (len(heads) - 2), "---"]]
    for count in counts:
        roles = sum(count.roles.values())
        rows.append(
            [
                _printable(Path(count.source).resolve().name),
                *(f"{n:,}" for n in (count.n_files, count.n_files_with_bars, count.n_songs, count.n_bars)),
                *(f"{count.grids[grid]:,}" for grid in _COUNTED_GRIDS),
                f"{count.n_off_grid:,}",
                f"{count.n_distinct:,}",
                f"{count.n_bars / max(count.n_song_bars, 1):.1f}",
                *(f"{count.roles[role] / max(roles, 1):.0%}" for role in ROLES),
                f"{count.n_merged / max(count.n_onsets, 1):.1%}",
                f"{count.n_onsets_outside / max(count.n_onsets, 1):.1%}",
                ", ".join(f"{n} {reason}" for reason, n in count.none.most_common()) or "–",
            ]
        )
    return _markdown(rows)


def kits_table(counts: Iterable[SourceCount]) -> str:
    """The share of drum onsets that each kit has no part for, as Markdown, a row a source."""
    rows = [["outside of", *KITS], ["---", *["---:"] * len(KITS)]]
    for count in counts:
        rows.append([_printable(Path(count.source).resolve().name), *(f"{count.outside[kit]:.1%}" for kit in KITS)])
    return _markdown(rows)


def styles_table(counts: Iterable[SourceCount]) -> str:
    """How many bars there are of each style, as Markdown, the commonest first."""
    styles = sum((count.styles for count in counts), Counter[str]())
    rows = [["style", "bars"], ["---", "---:"]]
    return _markdown(rows + [[style.replace("|", "\\|"), f"{n:,}"] for style, n in styles.most_common()])


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


_MAX_NAMED = 3
"""Files of many that a line names."""


def named_without_bars(counts: Sequence[SourceCount]) -> str:
    """Which files gave no bars and why, in a line; of many the first are named."""
    named = [each for count in counts for each in count.named]
    if len(named) == 1:
        return ": ".join(named[0])
    first = ", ".join(f"{file} ({why})" for file, why in named[:_MAX_NAMED])
    more = f" and {len(named) - _MAX_NAMED:,} more" if len(named) > _MAX_NAMED else ""
    return f"{len(named):,} files: {_reasons(counts)}: {first}{more}"


def counted_without_bars(counts: Sequence[SourceCount]) -> str:
    """How many files gave no bars and why, for who says where they are."""
    named = [why for count in counts for _, why in count.named]
    where = "the file" if len(named) == 1 else f"{len(named)} files"
    details = {why.partition(": ")[2] for why in named}
    detail = details.pop() if len(details) == 1 else ""
    return f"{where}: {_reasons(counts)}" + (f" ({detail})" if detail else "")


def _reasons(counts: Iterable[SourceCount]) -> str:
    reasons = sum((count.none for count in counts), Counter[str]())
    return ", ".join(f"{n:,} {reason}" for reason, n in reasons.items())


def write_dropped(path: str | os.PathLike[str], counts: Iterable[SourceCount]) -> None:
    """Write a CSV file with a row for every file that gave no bars: ``file``, ``reason``."""
    buffer = io.StringIO()
    table = csv.writer(buffer)
    table.writerow(["file", "reason"])
    table.writerows(row for count in counts for row in count.named)
    sweep_parts(Path(check_target(path)).parent)
    write_whole(path, buffer.getvalue().encode("utf-8", "surrogateescape"), durable=True)
