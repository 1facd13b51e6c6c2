"""Votes between two loops: kept in an SQLite file, counted and tested."""

from __future__ import annotations

import itertools
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from rhythmgan.inputs import one_line, open_input

MAX_BYTES = 1 << 28
"""Of a file of votes: a million of them."""

MAX_STEPS = 100_000_000
"""Of SQLite in one use of a file: a vote that is read takes about ten."""

_STEPS = 1000
"""Steps after which they are counted."""

_MAX_TEXT = 1 << 20
"""Bytes of a text: the code of a loop has 6,500 at most."""

_PATIENCE = 10.0
"""Seconds that somebody else may hold the file."""

_COLUMNS = """
    time TEXT NOT NULL,            -- ISO 8601, UTC
    listener TEXT NOT NULL,        -- a random name for each visit
    first TEXT NOT NULL,           -- the kind of loop A, such as GAN
    second TEXT NOT NULL,          -- of loop B
    first_bar TEXT NOT NULL,       -- its code, see page.loop; in old rows those of its bars, blanks between
    second_bar TEXT NOT NULL,
    bpm REAL NOT NULL,
    swing REAL NOT NULL,
    first_won INTEGER CHECK (first_won IN (0, 1))   -- NULL: no difference
"""


@dataclass(frozen=True)
class Vote:
    """A choice between loop A, the first, and loop B: their kinds, their codes, and which was the better.

    ``first_won`` is None where the listener heard no difference.
    """

    listener: str
    first: str
    second: str
    first_bar: str
    second_bar: str
    bpm: float
    swing: float
    first_won: bool | None


class Choice(NamedTuple):
    """What a vote says of two kinds: the one that won and the one that lost; of a tie, those of A and B."""

    winner: str
    loser: str
    tie: bool = False


@contextmanager
def _opened(path: Path, how: str) -> Iterator[sqlite3.Connection]:
    """The file, ``how`` being rwc or ro, which has a table of votes or, with rwc, none at all yet.

    What is done with it is done in one transaction. The file may be anybody's: it is a regular one, nothing in it is
    run, as a trigger would be, and what it makes SQLite do is bounded, in memory and in steps.
    """
    try:
        with suppress(FileNotFoundError):
            open_input(path, MAX_BYTES).close()
        uri = f"{path.absolute().as_uri()}?mode={how}"
        # the transaction is begun by hand: Python's own would leave out what changes a table
        with closing(sqlite3.connect(uri, timeout=_PATIENCE, uri=True, isolation_level=None)) as base:
            base.text_factory = lambda text: text.decode("utf-8", "replace")
            if sys.version_info >= (3, 11):  # before, Python could not; the page asks for it
                base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_TEXT)
            begun = itertools.count(1)
            base.set_progress_handler(lambda: next(begun) * _STEPS > MAX_STEPS, _STEPS)
            base.execute("PRAGMA trusted_schema = OFF")
            base.execute("PRAGMA cell_size_check = ON")
            base.execute("BEGIN IMMEDIATE" if how == "rwc" else "BEGIN")
            _check(base)
            yield base
            base.execute("COMMIT")
    except sqlite3.OperationalError as error:
        said = "it takes too long to read" if str(error) == "interrupted" else one_line(str(error))
        raise OSError(f"{path}: no file of votes: {said}") from None
    except UnicodeError:  # Python cannot even say what SQLite says of it
        raise OSError(f"{path}: no file of votes: its schema is no text") from None
    except (sqlite3.Error, OSError) as error:
        raise OSError(f"{path}: no file of votes: {getattr(error, 'strerror', None) or one_line(str(error))}") from None


def _check(base: sqlite3.Connection) -> None:
    """Look at what is in a file before any of it is used.

    Raises:
        sqlite3.DatabaseError: something else than tables, or no table of votes among them.
    """
    found = {(kind, name): page for kind, name, page in base.execute("SELECT type, name, rootpage FROM sqlite_master")}
    if any(kind not in ("table", "index") for kind, _ in found):
        raise sqlite3.DatabaseError("it holds views or triggers")
    # a table that is no table but a program's has no page of its own
    if found and not found.get(("table", "votes")):
        raise sqlite3.DatabaseError("it is an SQLite file of something else")


def store(path: Path, *votes: Vote) -> None:
    """Add votes to the file, all or none; it is made where it is missing. An older file learns to hold ties.

    Raises:
        OSError: it cannot be written, or is no SQLite file of votes.
    """
    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    rows = [
        (
            time,
            vote.listener,
            vote.first,
            vote.second,
            vote.first_bar,
            vote.second_bar,
            vote.bpm,
            vote.swing,
            None if vote.first_won is None else int(vote.first_won),
        )
        for vote in votes
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{path}: no place for a file of votes: {error.strerror}") from None
    with _opened(path, "rwc") as base:
        base.execute(f"CREATE TABLE IF NOT EXISTS votes ({_COLUMNS})")
        if not _holds_ties(base):
            base.execute(f"CREATE TABLE with_ties ({_COLUMNS})")
            base.execute("INSERT INTO with_ties SELECT * FROM votes ORDER BY rowid")
            base.execute("DROP TABLE votes")
            base.execute("ALTER TABLE with_ties RENAME TO votes")
        base.executemany("INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _holds_ties(base: sqlite3.Connection) -> bool:
    """Whether the table of votes takes NULL for who won: the one of before there were ties does not."""
    columns = base.execute("PRAGMA table_info(votes)")
    return not any(name == "first_won" and not_null for _, name, _, not_null, *_ in columns)


def results(path: Path) -> list[Choice]:
    """All votes in the order they were made; rows that name no two kinds or say no outcome are left out.

    Raises:
        OSError: no SQLite file of votes.
    """
    try:
        if not path.exists():
            return []
    except OSError as error:
        raise OSError(f"{path}: no file of votes: {error.strerror}") from None
    with _opened(path, "ro") as base:
        (said,) = base.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise OSError(f"{path}: no file of votes: it is damaged: {' '.join(said.split())}")
        rows = base.execute("SELECT first, second, first_won FROM votes ORDER BY rowid").fetchall()
    return [choice for row in rows if (choice := _choice(*row)) is not None]


def _choice(first: object, second: object, won: object) -> Choice | None:
    """What a row says, which other hands may have written; None where it is no vote."""
    if not (isinstance(first, str) and isinstance(second, str)):
        return None
    if won is None:
        return Choice(first, second, tie=True)
    if type(won) is not int or won not in (0, 1):
        return None
    return Choice(first, second) if won else Choice(second, first)


@dataclass(frozen=True)
class Pair:
    """How two kinds did against each other.

    Attributes:
        first, second: the kinds.
        wins, losses: of the first; with the ties they are all their comparisons.
        ties: how often listeners heard no difference.
        p: of the exact binomial test of wins and losses; 1 where there are none.
    """

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    p: float


@dataclass(frozen=True)
class Verdict:
    """What votes come to.

    Attributes:
        wins, ties, compared: kind → comparisons that it won, in which no difference was heard, and that it was in.
        pairs: each two kinds that met.
        chi2, df, p: the wins against equal chances, as Ravula & Cao (2019) test them; NaN where no kind ever won.
    """

    wins: dict[str, int]
    ties: dict[str, int]
    compared: dict[str, int]
    pairs: list[Pair]
    chi2: float
    df: int
    p: float

    def share(self, kind: str) -> float:
        """The share of its comparisons that a kind won, a tie being half a win for both, 0 … 1."""
        return (self.wins[kind] + self.ties[kind] / 2) / self.compared[kind]


def verdict(choices: Sequence[Choice]) -> Verdict:
    """Count and test choices.

    A tie is half a win for both in shares, and is left out of both tests: it speaks for neither kind. Of a pair that is
    the conditional sign test; Coakley & Heise (1996) compare it with others.

    χ² = Σ (wins − n/2)² / (n/2) over the kinds, n the comparisons with a winner that each was in, with one degree of
    freedom less than there are kinds: Pearson's test of the wins, which gives the 62 that Ravula & Cao (2019) report
    for theirs. Wins of pairs scatter less than its counts would, so it errs on the side of no difference (David 1963).
    """
    from scipy.stats import binomtest, chi2

    won = Counter((choice.winner, choice.loser) for choice in choices if not choice.tie)
    tied = Counter(tuple(sorted((choice.winner, choice.loser))) for choice in choices if choice.tie)
    wins, decided, ties = Counter[str](), Counter[str](), Counter[str]()
    for (winner, loser), n in won.items():
        wins[winner] += n
        decided.update({winner: n, loser: n})
    for kinds, n in tied.items():
        ties.update(dict.fromkeys(kinds, n))
    compared = decided + ties
    met = {tuple(sorted(kinds)) for kinds in won} | set(tied)
    pairs = []
    for first, second in sorted(met):
        n, lost = won[first, second], won[second, first]
        p = float(binomtest(n, n + lost).pvalue) if n + lost else 1.0
        pairs.append(Pair(first, second, n, lost, tied[first, second], p))
    found = sum((wins[kind] - n / 2) ** 2 / (n / 2) for kind, n in decided.items())
    df = max(len(decided) - 1, 0)
    order = sorted(compared, key=lambda kind: (-(wins[kind] + ties[kind] / 2) / compared[kind], kind))
    return Verdict(
        {kind: wins[kind] for kind in order},
        {kind: ties[kind] for kind in order},
        {kind: compared[kind] for kind in order},
        pairs,
        found if decided else float("nan"),
        df,
        float(chi2.sf(found, df)) if df else float("nan"),
    )
