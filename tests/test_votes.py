"""Votes of the blind test: none is lost, whoever makes them at once, and what they come to is counted by hand."""

import math
import os
import random
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page import votes
from page.votes import Choice, Verdict, Vote, results, store, verdict

# who beat whom how often, of 10 a pair: 47, 42, 30, 19, 7 and 5 wins of 50 (Ravula & Cao 2019)
PUBLISHED = {
    "AB": (8, 2),
    "AC": (9, 1),
    "AD": (10, 0),
    "AE": (10, 0),
    "AF": (10, 0),
    "BC": (10, 0),
    "BD": (10, 0),
    "BE": (10, 0),
    "BF": (10, 0),
    "CD": (9, 1),
    "CE": (10, 0),
    "CF": (10, 0),
    "DE": (9, 1),
    "DF": (9, 1),
    "EF": (6, 4),
}


def _vote(first="GAN", second="prior", first_won=True, **other):
    values = {"listener": "0f", "first_bar": "AAA_", "second_bar": "BBB-", "bpm": 97, "swing": 0.62} | other
    return Vote(first=first, second=second, first_won=first_won, **values)


def _rows(path):
    base = sqlite3.connect(path)
    try:
        return base.execute("SELECT * FROM votes").fetchall()
    finally:
        base.close()


def _choices(table):
    """{"AB": (wins of A, wins of B)} → choices; a third number is that of ties."""
    return [
        choice
        for (a, b), (one, other, *ties) in table.items()
        for choice in [Choice(a, b)] * one + [Choice(b, a)] * other + [Choice(a, b, tie=True)] * sum(ties)
    ]


def _against(found, first, second):
    """(wins of the first, of how many, p), whichever of the two a pair has in front."""
    (pair,) = (pair for pair in found.pairs if {pair.first, pair.second} == {first, second})
    return (pair.wins if pair.first == first else pair.losses), pair.wins + pair.losses, pair.p


# -- the file ------------------------------------------------------------------------------------


def test_choices_come_back_as_who_won_and_who_lost_in_their_order(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote("GAN", "real", first_won=True))
    store(path, _vote("GAN", "steered", first_won=False))
    store(path, _vote("prior", "GAN", first_won=False))
    store(path, _vote("GAN", "real", first_won=True))
    assert [choice[:2] for choice in results(path)] == [
        ("GAN", "real"),
        ("steered", "GAN"),
        ("GAN", "prior"),
        ("GAN", "real"),
    ]
    assert not any(choice.tie for choice in results(path))


def test_a_row_holds_all_that_was_heard(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, Vote("ab12", "real", "steered", "FIRST_", "SECOND-", 87, 0.58, False))
    ((time, *values),) = _rows(path)
    assert values == ["ab12", "real", "steered", "FIRST_", "SECOND-", 87.0, 0.58, 0]
    assert time.startswith("20")
    assert time.endswith("+00:00")  # UTC


def test_the_file_and_its_folders_are_made_where_they_are_missing(tmp_path):
    path = tmp_path / "a folder" / "of mine" / "votes.db"
    store(path, _vote())
    assert results(path) == [Choice("GAN", "prior")]


def test_before_the_first_choice_there_is_none(tmp_path):
    assert results(tmp_path / "votes.sqlite") == []
    assert results(tmp_path / "votes.sqlite") == []
    store(tmp_path / "votes.sqlite", _vote())
    assert len(results(tmp_path / "votes.sqlite")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "x'); DROP TABLE votes; --",
        '"; DELETE FROM votes; --',
        "'",
        "",
        "a\nb",
        "a\0b",
        "🥁",
        "٣",
        "?",
        ":first",
        "NULL",
    ],
)
def test_a_name_is_only_a_name(tmp_path, name):
    path = tmp_path / "votes.sqlite"
    store(path, _vote("GAN", "real"))
    store(path, _vote(name, "real", first_won=False, listener=name, first_bar=name))
    store(path, _vote("real", name, first_won=False, second_bar=name))
    assert results(path) == [Choice("GAN", "real"), Choice("real", name), Choice(name, "real")]
    rows = _rows(path)
    assert (rows[1][1], rows[1][2], rows[1][4], rows[2][5]) == (name,) * 4


@given(
    votes=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=9), st.sampled_from("GPRS"), st.none() | st.booleans()
        ),
        max_size=5,
    )
)
def test_any_choices_come_back(tmp_path_factory, votes):
    path = tmp_path_factory.mktemp("votes") / "votes.sqlite"
    for first, second, first_won in votes:
        store(path, _vote(first, second, first_won))
    assert results(path) == [
        Choice(a, b, tie=True) if won is None else Choice(a, b) if won else Choice(b, a) for a, b, won in votes
    ]


def test_no_choice_is_lost_among_threads(tmp_path):
    path = tmp_path / "votes.sqlite"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store(path, _vote(f"kind {i % 8}", "real", i % 3 > 0)), range(96)))
    found = results(path)
    expected = [Choice(f"kind {i % 8}", "real") if i % 3 else Choice("real", f"kind {i % 8}") for i in range(96)]
    assert sorted(found) == sorted(expected)


def test_no_choice_is_lost_among_processes(tmp_path):
    """Three of them begin with no file at all; none of them needs streamlit."""
    code = (
        "import sys; from pathlib import Path; from page.votes import Vote, store\n"
        "path, name = Path(sys.argv[1]), sys.argv[2]\n"
        "for i in range(15): store(path, Vote(name, name, str(i), 'a', 'b', 99, .5, i % 3 > 0))\n"
        "assert 'streamlit' not in sys.modules"
    )
    demo = Path(__file__).resolve().parent.parent / "demo"
    path = tmp_path / "new" / "votes.sqlite"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(demo)!r})\n{code}", str(path)]
    running = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in ("x", "y", "z")]
    for process in running:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
    found = results(path)
    assert len(found) == 45
    for name in "xyz":
        own = [pair for pair in found if name in pair]
        assert own == [Choice(name, str(i)) if i % 3 else Choice(str(i), name) for i in range(15)]


NO_CHOICES = {
    "a word": b"hello",
    "a letter": b"Dear all, this has never been a base of data.\n" * 40,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
    "its head only": b"SQLite format 3\0" + b"\xff" * 600,
}


@pytest.mark.parametrize("content", NO_CHOICES.values(), ids=NO_CHOICES)
def test_a_file_of_something_else_is_named_and_left_as_it_was(tmp_path, content):
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for use in (lambda: store(path, _vote()), lambda: results(path)):
        with pytest.raises(OSError, match=r"letter\.txt") as refused:
            use()
        assert "\n" not in str(refused.value)
        assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_a_base_of_other_votes_is_left_as_it_was(tmp_path):
    path = tmp_path / "elections.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE votes (party TEXT, n INTEGER)")
    base.execute("INSERT INTO votes VALUES ('drums', 7)")
    base.commit()
    base.close()
    for use in (lambda: store(path, _vote()), lambda: results(path)):
        with pytest.raises(OSError, match=r"elections\.db") as refused:
            use()
        assert "\n" not in str(refused.value)
    assert _rows(path) == [("drums", 7)]


def test_a_folder_is_no_file_of_choices(tmp_path):
    (tmp_path / "votes").mkdir()
    for use in (lambda: store(tmp_path / "votes", _vote()), lambda: results(tmp_path / "votes")):
        with pytest.raises(OSError, match="votes"):
            use()


def test_where_a_file_is_in_the_way_of_a_folder_one_line_says_so(tmp_path):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    for folders in ("taken", "taken/further"):
        path = tmp_path / folders / "votes.sqlite"
        with pytest.raises(OSError, match="taken") as refused:
            store(path, _vote())
        assert "\n" not in str(refused.value)
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_a_refused_choice_costs_none_of_those_before(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote())
    with pytest.raises(OSError, match=r"votes\.sqlite"):
        store(path, _vote(first_won=2))  # the table takes 0 and 1
    assert results(path) == [Choice("GAN", "prior")]
    store(path, _vote())
    assert len(results(path)) == 2


# -- ties, and files of before there were any ------------------------------------------------------

_OLD = """
CREATE TABLE IF NOT EXISTS votes (
    time TEXT NOT NULL,
    listener TEXT NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    first_bar TEXT NOT NULL,
    second_bar TEXT NOT NULL,
    bpm REAL NOT NULL,
    swing REAL NOT NULL,
    first_won INTEGER NOT NULL CHECK (first_won IN (0, 1))
)
"""


@pytest.fixture
def old(tmp_path):
    """A file of before there were ties, of two votes; a row between them was taken out."""
    base = sqlite3.connect(tmp_path / "old.sqlite")
    base.execute(_OLD)
    for number, won in enumerate((1, 1, 0)):
        values = (f"2025-0{number + 1}-02T03:04:05+00:00", "aa", "GAN", "real", "AAAA", "BBBB CCCC", 97, 0.5, won)
        base.execute("INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    base.execute("DELETE FROM votes WHERE rowid = 2")
    base.commit()
    base.close()
    return tmp_path / "old.sqlite"


def test_a_tie_comes_back_as_one(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote("GAN", "real", first_won=None), _vote("real", "GAN", first_won=False))
    assert results(path) == [Choice("GAN", "real", tie=True), Choice("GAN", "real")]
    assert [row[-1] for row in _rows(path)] == [None, 0]


def test_an_old_file_is_read_and_left_as_it_is(old):
    before = old.read_bytes()
    assert results(old) == [Choice("GAN", "real"), Choice("real", "GAN")]
    assert old.read_bytes() == before


def test_an_old_file_learns_to_hold_ties_and_loses_nothing(old):
    before = _rows(old)
    store(old, _vote("prior", "GAN", first_won=None))
    assert _rows(old)[:2] == before
    assert results(old) == [Choice("GAN", "real"), Choice("real", "GAN"), Choice("prior", "GAN", tie=True)]
    store(old, _vote("prior", "GAN"))
    assert len(results(old)) == 4


def test_many_at_once_lose_nothing_of_an_old_file(old):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store(old, _vote(f"kind {i}", "real", None)), range(24)))
    found = results(old)
    assert found[:2] == [Choice("GAN", "real"), Choice("real", "GAN")]
    assert {choice.winner for choice in found[2:]} == {f"kind {i}" for i in range(24)}


def test_several_votes_are_stored_all_or_none(tmp_path):
    path = tmp_path / "votes.sqlite"
    with pytest.raises(OSError, match=r"votes\.sqlite"):
        store(path, _vote(), _vote(first_won=2))
    store(path, _vote("a", "b"), _vote("c", "d"))
    assert results(path) == [Choice("a", "b"), Choice("c", "d")]


def test_rows_by_other_hands_are_no_exception(tmp_path):
    """No names, numbers, blobs, text that is no UTF-8: what names no two kinds is no vote."""
    base = sqlite3.connect(tmp_path / "strange.sqlite")
    base.execute("CREATE TABLE votes (first, second, first_won)")
    base.executemany(
        "INSERT INTO votes VALUES (?, ?, ?)",
        [
            *(("GAN", "real", 1), (None, 7, 1), (b"\xff", 2.5, 0), ("GAN", "real", "yes"), ("GAN", "real", 3)),
            *(("GAN", None, None), (7, "GAN", None), ("GAN", "real", 1.0), ("GAN", "real", b"\1"), ("GAN", "real", -1)),
        ],
    )
    base.execute("INSERT INTO votes VALUES (CAST(x'63616fe9' AS TEXT), 'real', 1)")
    base.commit()
    base.close()
    assert results(tmp_path / "strange.sqlite") == [
        Choice("GAN", "real"),
        Choice("cao\ufffd", "real"),
    ]


def test_a_file_that_is_damaged_in_its_middle_is_named(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, *[_vote(first_bar="A" * 300)] * 60)
    data = bytearray(path.read_bytes())
    data[4096:8192] = random.Random(1).randbytes(4096)
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"votes\.sqlite") as refused:
        results(path)
    assert "\n" not in str(refused.value)


def _refused(path, said, use=results):
    """A use of a file is refused in one line, which names it."""
    with pytest.raises(OSError, match=said) as refused:
        use(path)
    assert str(refused.value).startswith(f"{path}: no file of votes: ")
    assert "\n" not in str(refused.value)


def _with(path, *statements):
    """A file of a vote, and of what else is said to SQLite."""
    store(path, _vote())
    with closing(sqlite3.connect(path)) as base:
        for statement in statements:
            base.execute(statement)
        base.commit()
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("use", [results, lambda path: store(path, _vote())])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, use):
    os.mkfifo(tmp_path / "pipe")
    _refused(tmp_path / "pipe", "not a regular file", use)
    _refused(Path("/dev/zero"), "not a regular file", use)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "large.sqlite", "wb") as file:
        file.truncate(votes.MAX_BYTES + 1)
    _refused(tmp_path / "large.sqlite", "larger than 256 MiB")


def test_nothing_in_a_file_is_run(tmp_path):
    trigger = "CREATE TRIGGER more AFTER INSERT ON votes BEGIN INSERT INTO votes SELECT * FROM votes; END"
    path = _with(tmp_path / "trigger.sqlite", trigger)
    for use in (results, lambda path: store(path, _vote())):
        _refused(path, "views or triggers", use)
    assert len(_rows(path)) == 1
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    view = f"CREATE VIEW votes AS {endless} SELECT 'GAN' AS first, 'x' AS second, i AS first_won FROM n"
    _refused(_with(tmp_path / "view.sqlite", "DROP TABLE votes", view), "views or triggers")
    virtual = "CREATE VIRTUAL TABLE votes USING fts5(first, second, first_won)"
    _refused(_with(tmp_path / "virtual.sqlite", "DROP TABLE votes", virtual), "something else")


def test_the_steps_that_a_file_asks_for_are_bounded(tmp_path, monkeypatch):
    path = tmp_path / "votes.sqlite"
    store(path, *[_vote()] * 3000)
    assert len(results(path)) == 3000
    monkeypatch.setattr(votes, "MAX_STEPS", 20_000)
    monkeypatch.setattr(votes, "_STEPS", 1000)
    _refused(path, "it takes too long to read")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python could not bound texts before")
def test_a_text_of_megabytes_is_refused(tmp_path):
    path = _with(tmp_path / "votes.sqlite", f"UPDATE votes SET first = '{'x' * (1 << 21)}'")
    _refused(path, "too big")


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE votes (x)",
        "CREATE TABLE votes (first TEXT PRIMARY KEY, second, first_won) WITHOUT ROWID",
        "CREATE TABLE votes (first, second)",
        "CREATE TABLE votes (first, second, first_won AS (abs(-9223372036854775808)))",
    ],
)
def test_a_table_of_another_form_is_refused_or_empty(tmp_path, schema):
    path = _with(tmp_path / "votes.sqlite", "DROP TABLE votes", schema)
    with suppress(OSError):
        assert results(path) == []
    _refused(path, ".", lambda path: store(path, _vote()))


def test_a_file_with_a_damaged_page_is_named_whichever_it_is(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, *[_vote(first_bar="A" * 300)] * 60)
    whole = path.read_bytes()
    for page in range(4096, len(whole), 4096):
        path.write_bytes(whole[:page] + random.Random(page).randbytes(4096) + whole[page + 4096 :])
        _refused(path, ".")


def test_a_schema_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote())
    whole = path.read_bytes()
    for place in range(whole.index(b"CREATE TABLE"), whole.index(b"CREATE TABLE") + 40):
        path.write_bytes(whole[:place] + b"\xff\xe9" + whole[place + 2 :])
        with suppress(OSError):
            results(path)
    path.write_bytes(whole.replace(b"CREATE TABLE votes", b"CREATE TABLE vo\xff\xff\xe9"))
    _refused(path, ".")


def test_a_schema_that_breaks_lines_is_named_in_one(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote())
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE votes (", b"CREATE TABLE votes \x1c"))
    _refused(path, r'unrecognized token: "\\x1c')


def test_a_locked_file_is_said_to_be(tmp_path, monkeypatch):
    path = tmp_path / "votes.sqlite"
    store(path, _vote())
    monkeypatch.setattr(votes, "_PATIENCE", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("BEGIN EXCLUSIVE")
        for use in (results, lambda path: store(path, _vote())):
            _refused(path, "locked", use)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever may do everything is refused nothing")
def test_a_file_or_folder_without_permission_is_named(tmp_path):
    path = tmp_path / "mine" / "votes.sqlite"
    store(path, _vote())
    for locked in (path, path.parent):
        locked.chmod(0)
        try:
            for use in (lambda: store(path, _vote()), lambda: results(path)):
                with pytest.raises(OSError, match=r"votes\.sqlite") as refused:
                    use()
                assert "\n" not in str(refused.value)
        finally:
            locked.chmod(0o700)
    assert results(path) == [Choice("GAN", "prior")]


def test_a_name_that_is_too_long_or_no_text_is_named(tmp_path):
    for name in ("x" * 300, "caf\udce9/" + "x" * 300):
        for use in (lambda path: store(path, _vote()), results):
            with pytest.raises(OSError, match=r"no (place for a )?file of votes") as refused:
                use(tmp_path / name)
            assert "\n" not in str(refused.value)


# -- the test ------------------------------------------------------------------------------------


def test_the_published_wins_give_the_published_statistic():
    """Σ (wins − 25)² / 25 = 1558 / 25, which Ravula & Cao (2019) give as 62, with 6 − 1 degrees of freedom."""
    found = verdict(_choices(PUBLISHED))
    assert found.wins == {"A": 47, "B": 42, "C": 30, "D": 19, "E": 7, "F": 5}
    assert found.compared == dict.fromkeys("ABCDEF", 50)
    assert found.chi2 == pytest.approx(62.32)
    assert found.df == 5
    # the tail of χ² with 5 degrees of freedom, in closed form
    x = 62.32
    tail = math.erfc(math.sqrt(x / 2)) + math.sqrt(2 * x / math.pi) * math.exp(-x / 2) * (1 + x / 3)
    assert found.p == pytest.approx(tail, rel=1e-6)
    assert len(found.pairs) == 15
    assert _against(found, "A", "B") == (8, 10, pytest.approx(112 / 1024))
    assert _against(found, "F", "E") == (4, 10, pytest.approx(1 - 252 / 1024))
    assert _against(found, "F", "A") == (0, 10, pytest.approx(2 / 1024))


def test_two_kinds_counted_by_hand():
    """3 and 1 of 4: (1² + 1²) / 2; the tail of χ² with one degree is erfc(√½); 2 · (1 + 4) / 16 of the coins."""
    found = verdict(_choices({("GAN", "prior"): (3, 1)}))
    assert found.wins == {"GAN": 3, "prior": 1}
    assert found.compared == {"GAN": 4, "prior": 4}
    assert (found.chi2, found.df) == (pytest.approx(1), 1)
    assert found.p == pytest.approx(math.erfc(math.sqrt(0.5)))
    assert _against(found, "GAN", "prior") == (3, 4, pytest.approx(0.625))
    assert _against(found, "prior", "GAN") == (1, 4, pytest.approx(0.625))


def test_kinds_that_met_unequally_often_counted_by_hand():
    """a has 5 of its 6, b 1 of 5, c 1 of 3: 2² / 3 + 1.5² / 2.5 + .5² / 1.5 = 2.4 with two degrees, p = e^−1.2."""
    found = verdict(_choices({"ab": (4, 0), "ac": (1, 1), "bc": (1, 0)}))
    assert found.wins == {"a": 5, "b": 1, "c": 1}
    assert found.compared == {"a": 6, "b": 5, "c": 3}
    assert (found.chi2, found.df) == (pytest.approx(2.4), 2)
    assert found.p == pytest.approx(math.exp(-1.2))
    assert _against(found, "a", "b") == (4, 4, pytest.approx(0.125))
    assert _against(found, "c", "a") == (1, 2, pytest.approx(1))
    assert _against(found, "c", "b") == (0, 1, pytest.approx(1))


def test_a_kind_that_never_won_counts():
    """0 of 3: (1.5² + 1.5²) / 1.5 = 3."""
    found = verdict([Choice("real", "prior")] * 3)
    assert found.wins == {"real": 3, "prior": 0}
    assert found.compared == {"real": 3, "prior": 3}
    assert (found.chi2, found.df) == (pytest.approx(3), 1)


def test_kinds_that_never_met_are_no_pair():
    found = verdict(_choices({"ab": (1, 0), "cd": (1, 1)}))
    assert sorted(tuple(sorted((pair.first, pair.second))) for pair in found.pairs) == [("a", "b"), ("c", "d")]
    assert found.df == 3
    assert found.chi2 == pytest.approx(1)  # ½² / ½, twice


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [(1, 3, 0.625), (0, 6, 2 / 64), (1, 7, 18 / 256), (9, 1, 22 / 1024), (5, 5, 1), (2, 3, 1), (1, 0, 1), (0, 1, 1)],
)
def test_the_exact_test_of_a_pair_by_hand(won, lost, p):
    found = verdict(_choices({"xy": (won, lost)}))
    assert _against(found, "x", "y") == (won, won + lost, pytest.approx(p))


def test_without_a_choice_nothing_is_said():
    found = verdict([])
    assert (found.wins, found.ties, found.compared, found.pairs) == ({}, {}, {}, [])
    assert math.isnan(found.chi2)
    assert math.isnan(found.p)


def _told(found: Verdict):
    pairs = {(min(p.first, p.second), max(p.first, p.second)) for p in found.pairs}
    return found.wins, found.ties, found.compared, {pair: _against(found, *pair) for pair in pairs}, found.df


@given(
    choices=st.lists(
        st.tuples(st.permutations("abcde"), st.sampled_from([False, False, True])).map(
            lambda drawn: Choice(drawn[0][0], drawn[0][1], drawn[1])
        ),
        min_size=1,
        max_size=40,
    ),
    shuffle=st.randoms(),
)
def test_the_verdict_is_that_of_the_choices_in_any_order(choices, shuffle: random.Random):
    found = verdict(choices)
    again = verdict(shuffle.sample(choices, len(choices)))
    assert _told(again) == _told(found)
    assert again.chi2 == pytest.approx(found.chi2, nan_ok=True)
    assert again.p == pytest.approx(found.p, nan_ok=True)
    # every choice has one winner or is a tie, and has two that were compared; each pair is there once
    n_ties = sum(choice.tie for choice in choices)
    assert sum(found.wins.values()) == len(choices) - n_ties
    assert sum(found.ties.values()) == 2 * n_ties
    assert sum(found.compared.values()) == 2 * len(choices)
    assert sum(found.share(kind) * found.compared[kind] for kind in found.compared) == pytest.approx(len(choices))
    assert sum(pair.wins + pair.losses + pair.ties for pair in found.pairs) == len(choices)
    assert {frozenset(choice[:2]) for choice in choices} == {frozenset((p.first, p.second)) for p in found.pairs}
    assert len(found.pairs) == len({frozenset(choice[:2]) for choice in choices})
    # the best share is told first
    shares = [found.share(kind) for kind in found.wins]
    assert shares == sorted(shares, reverse=True)
    # names mean nothing
    renamed = verdict([Choice(*(f"z{ord('f') - ord(kind)}" for kind in pair), tie) for *pair, tie in choices])
    assert renamed.chi2 == pytest.approx(found.chi2, nan_ok=True)
    # whoever is better the other way round is as different
    reversed_ = verdict([Choice(lost, won, tie) for won, lost, tie in choices])
    assert reversed_.chi2 == pytest.approx(found.chi2, nan_ok=True)
    # and ties change neither test
    assert verdict([choice for choice in choices if not choice.tie]).chi2 == pytest.approx(found.chi2, nan_ok=True)
    assert n_ties == len(choices) or 0 < found.p <= 1


def test_a_tie_is_half_a_win_in_shares_and_in_no_test_by_hand():
    """a has 3 of 5 and 2 ties of the 7 with b: 4 of 7. Without them it is 3 and 2: ½² / 2.5, twice; all coins do so."""
    found = verdict(_choices({"ab": (3, 2, 2)}))
    assert found.wins == {"a": 3, "b": 2}
    assert found.ties == {"a": 2, "b": 2}
    assert found.compared == {"a": 7, "b": 7}
    assert found.share("a") == pytest.approx(4 / 7)
    assert found.share("b") == pytest.approx(3 / 7)
    assert found.chi2 == pytest.approx(0.2)
    (pair,) = found.pairs
    assert (pair.wins, pair.losses, pair.ties, pair.p) == (3, 2, 2, pytest.approx(1))


def test_a_kind_that_only_ever_tied_is_in_no_test():
    """c tied with a twice: a won 4 of 4 against b, and (4 − 2)² / 2, twice, has one degree of freedom."""
    found = verdict(_choices({"ab": (4, 0), "ac": (0, 0, 2)}))
    assert found.wins == {"a": 4, "b": 0, "c": 0}
    assert [found.share(kind) for kind in "abc"] == [pytest.approx(5 / 6), 0, 0.5]
    assert list(found.wins) == ["a", "c", "b"]
    assert (found.chi2, found.df) == (pytest.approx(4), 1)
    assert [(p.first, p.second, p.wins, p.losses, p.ties) for p in found.pairs] == [
        ("a", "b", 4, 0, 0),
        ("a", "c", 0, 0, 2),
    ]
    assert [p.p for p in found.pairs] == [pytest.approx(2 / 16), 1]


def test_of_ties_alone_nothing_is_tested():
    found = verdict(_choices({"ba": (0, 0, 3)}))
    assert (found.wins, found.ties) == ({"a": 0, "b": 0}, {"a": 3, "b": 3})
    assert [(p.first, p.second, p.ties, p.p) for p in found.pairs] == [("a", "b", 3, 1)]
    assert math.isnan(found.chi2)
    assert math.isnan(found.p)


def test_stored_choices_are_judged_as_they_were_made(tmp_path):
    path = tmp_path / "votes.sqlite"
    for winner, loser in [("GAN", "real")] * 2 + [("real", "GAN")] * 5:
        store(path, _vote(winner, loser) if winner == "GAN" else _vote(loser, winner, first_won=False))
    found = verdict(results(path))
    assert found.wins == {"GAN": 2, "real": 5}
    assert found.chi2 == pytest.approx(2 * 1.5**2 / 3.5)


def test_looking_makes_no_file_and_leaves_anothers_tables_alone(tmp_path):
    assert results(tmp_path / "new" / "votes.sqlite") == []
    assert list(tmp_path.iterdir()) == []
    with sqlite3.connect(tmp_path / "other.sqlite") as base:
        base.execute("CREATE TABLE songs (name TEXT)")
    base.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    for use in (lambda: results(tmp_path / "other.sqlite"), lambda: store(tmp_path / "other.sqlite", _vote())):
        with pytest.raises(OSError, match="something else"):
            use()
    assert (tmp_path / "other.sqlite").read_bytes() == before
