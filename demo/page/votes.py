"""Choices between two bars: kept in an SQLite file, counted and tested."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    time TEXT NOT NULL,            -- ISO 8601, UTC
    listener TEXT NOT NULL,        -- a random name for each visit
    first TEXT NOT NULL,           -- the kind of bar A, such as GAN
    second TEXT NOT NULL,          -- of bar B
    first_bar TEXT NOT NULL,       -- its code: its cells in base64url, see page.bar; of a loop all, blanks between
    second_bar TEXT NOT NULL,
    bpm REAL NOT NULL,
    swing REAL NOT NULL,
    first_won INTEGER NOT NULL CHECK (first_won IN (0, 1))
)
"""


@dataclass(frozen=True)
class Vote:
    """A choice between bar A, the first, and bar B: their kinds, their codes, and whether A was the better."""

    listener: str
    first: str
    second: str
    first_bar: str
    second_bar: str
    bpm: float
    swing: float
    first_won: bool


@contextmanager
def _opened(path: Path, how: str) -> Iterator[sqlite3.Connection]:
    """The file, ``how`` being rwc or ro, which has a table of choices or, with rwc, none at all yet."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={how}", timeout=10, uri=True)) as base, base:
            tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and "votes" not in tables:
                raise sqlite3.DatabaseError("it is an SQLite file of something else")
            yield base
    except sqlite3.Error as error:
        raise OSError(f"{path}: no file of choices: {error}") from None


def store(path: Path, vote: Vote) -> None:
    """Add a choice to the file, which is made where it is missing.

    Raises:
        OSError: it cannot be written, or is no SQLite file of choices.
    """
    values = (
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        vote.listener,
        vote.first,
        vote.second,
        vote.first_bar,
        vote.second_bar,
        vote.bpm,
        vote.swing,
        int(vote.first_won),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path, "rwc") as base:
        base.execute(_TABLE)
        base.execute(f"INSERT INTO votes VALUES ({', '.join('?' * len(values))})", values)


def results(path: Path) -> list[tuple[str, str]]:
    """All choices as (kind that won, kind that lost), in the order they were made.

    Raises:
        OSError: no SQLite file of choices.
    """
    if not path.exists():
        return []
    with _opened(path, "ro") as base:
        rows = base.execute("SELECT first, second, first_won FROM votes ORDER BY rowid").fetchall()
    return [(first, second) if won else (second, first) for first, second, won in rows]


@dataclass(frozen=True)
class Pair:
    """How two kinds did against each other: ``wins`` of the first in ``n``, and the exact binomial test's p."""

    first: str
    second: str
    wins: int
    n: int
    p: float


@dataclass(frozen=True)
class Verdict:
    """What choices come to.

    Attributes:
        wins, compared: kind → comparisons that it won, and that it was in.
        pairs: each two kinds that met.
        chi2, df, p: the wins against equal chances, as Ravula & Cao (2019) test them; NaN without a choice.
    """

    wins: dict[str, int]
    compared: dict[str, int]
    pairs: list[Pair]
    chi2: float
    df: int
    p: float


def verdict(choices: Sequence[tuple[str, str]]) -> Verdict:
    """Count and test choices (won, lost).

    χ² = Σ (wins − n/2)² / (n/2) over the kinds, n the comparisons that each was in, with one degree of freedom less
    than there are kinds: Pearson's test of the wins, which gives the 62 that Ravula & Cao (2019) report for theirs.
    Wins of pairs scatter less than its counts would, so it errs on the side of no difference (David 1963).
    """
    from scipy.stats import binomtest, chi2

    wins, compared = Counter(won for won, _ in choices), Counter(kind for choice in choices for kind in choice)
    kinds = sorted(compared, key=lambda kind: (-wins[kind] / compared[kind], kind))
    met, beaten = Counter(tuple(sorted(choice)) for choice in choices), Counter(choices)
    pairs = []
    for (first, second), n in sorted(met.items()):
        won = beaten[first, second]
        pairs.append(Pair(first, second, won, n, float(binomtest(won, n).pvalue)))
    df = len(kinds) - 1
    found = sum((wins[kind] - compared[kind] / 2) ** 2 / (compared[kind] / 2) for kind in kinds)
    return Verdict(
        {kind: wins[kind] for kind in kinds},
        {kind: compared[kind] for kind in kinds},
        pairs,
        found if choices else float("nan"),
        max(df, 0),
        float(chi2.sf(found, df)) if df > 0 else float("nan"),
    )
