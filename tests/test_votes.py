"""Choices of the blind test: none is lost, whoever makes them at once, and what they come to is counted by hand."""

import math
import random
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from page.votes import Verdict, Vote, results, store, verdict

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
    """{"AB": (wins of A, wins of B)} → (won, lost), …"""
    return [pair for (a, b), (one, other) in table.items() for pair in [(a, b)] * one + [(b, a)] * other]


def _against(found, first, second):
    """(wins of the first, of how many, p), whichever of the two a pair has in front."""
    (pair,) = (pair for pair in found.pairs if {pair.first, pair.second} == {first, second})
    return (pair.wins if pair.first == first else pair.n - pair.wins), pair.n, pair.p


# -- the file ------------------------------------------------------------------------------------


def test_choices_come_back_as_who_won_and_who_lost_in_their_order(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote("GAN", "real", first_won=True))
    store(path, _vote("GAN", "steered", first_won=False))
    store(path, _vote("prior", "GAN", first_won=False))
    store(path, _vote("GAN", "real", first_won=True))
    assert results(path) == [("GAN", "real"), ("steered", "GAN"), ("GAN", "prior"), ("GAN", "real")]


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
    assert results(path) == [("GAN", "prior")]


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
    assert results(path) == [("GAN", "real"), ("real", name), (name, "real")]
    rows = _rows(path)
    assert (rows[1][1], rows[1][2], rows[1][4], rows[2][5]) == (name,) * 4


@given(
    votes=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.sampled_from("GPRS"), st.booleans()), max_size=5
    )
)
def test_any_choices_come_back(tmp_path_factory, votes):
    path = tmp_path_factory.mktemp("votes") / "votes.sqlite"
    for first, second, first_won in votes:
        store(path, _vote(first, second, first_won))
    assert results(path) == [(a, b) if won else (b, a) for a, b, won in votes]


def test_no_choice_is_lost_among_threads(tmp_path):
    path = tmp_path / "votes.sqlite"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store(path, _vote(f"kind {i % 8}", "real", i % 3 > 0)), range(96)))
    found = results(path)
    expected = [(f"kind {i % 8}", "real") if i % 3 else ("real", f"kind {i % 8}") for i in range(96)]
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
        assert own == [(name, str(i)) if i % 3 else (str(i), name) for i in range(15)]


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
    (tmp_path / "taken").write_text("mine")
    for folders in ("taken", "taken/further"):
        path = tmp_path / folders / "votes.sqlite"
        with pytest.raises(OSError, match="taken") as refused:
            store(path, _vote())
        assert "\n" not in str(refused.value)
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_refused_choice_costs_none_of_those_before(tmp_path):
    path = tmp_path / "votes.sqlite"
    store(path, _vote())
    with pytest.raises(OSError, match=r"votes\.sqlite"):
        store(path, _vote(first_won=2))  # the table takes 0 and 1
    assert results(path) == [("GAN", "prior")]
    store(path, _vote())
    assert len(results(path)) == 2


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
    found = verdict([("GAN", "prior"), ("prior", "GAN"), ("GAN", "prior"), ("GAN", "prior")])
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
    found = verdict([("real", "prior")] * 3)
    assert found.wins == {"real": 3, "prior": 0}
    assert found.compared == {"real": 3, "prior": 3}
    assert (found.chi2, found.df) == (pytest.approx(3), 1)


def test_kinds_that_never_met_are_no_pair():
    found = verdict([("a", "b"), ("c", "d"), ("d", "c")])
    assert sorted(tuple(sorted((pair.first, pair.second))) for pair in found.pairs) == [("a", "b"), ("c", "d")]
    assert found.df == 3
    assert found.chi2 == pytest.approx(1)  # ½² / ½, twice


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [(1, 3, 0.625), (0, 6, 2 / 64), (1, 7, 18 / 256), (9, 1, 22 / 1024), (5, 5, 1), (2, 3, 1), (1, 0, 1), (0, 1, 1)],
)
def test_the_exact_test_of_a_pair_by_hand(won, lost, p):
    found = verdict([("x", "y")] * won + [("y", "x")] * lost)
    assert _against(found, "x", "y") == (won, won + lost, pytest.approx(p))


def test_without_a_choice_nothing_is_said():
    found = verdict([])
    assert (found.wins, found.compared, found.pairs) == ({}, {}, [])
    assert math.isnan(found.chi2)
    assert math.isnan(found.p)


def _told(found: Verdict):
    pairs = {(min(p.first, p.second), max(p.first, p.second)) for p in found.pairs}
    return found.wins, found.compared, {pair: _against(found, *pair) for pair in pairs}, found.df


@given(
    choices=st.lists(st.permutations("abcde").map(lambda kinds: (kinds[0], kinds[1])), min_size=1, max_size=40),
    shuffle=st.randoms(),
)
def test_the_verdict_is_that_of_the_choices_in_any_order(choices, shuffle: random.Random):
    found = verdict(choices)
    again = verdict(shuffle.sample(choices, len(choices)))
    assert _told(again) == _told(found)
    assert again.chi2 == pytest.approx(found.chi2)
    assert again.p == pytest.approx(found.p)
    # every choice has one winner and two that were compared; each pair is there once
    assert sum(found.wins.values()) == len(choices)
    assert sum(found.compared.values()) == 2 * len(choices)
    assert sum(pair.n for pair in found.pairs) == len(choices)
    assert {frozenset(pair) for pair in choices} == {frozenset((p.first, p.second)) for p in found.pairs}
    assert len(found.pairs) == len({frozenset(pair) for pair in choices})
    # names mean nothing
    renamed = verdict([(f"z{ord('f') - ord(won)}", f"z{ord('f') - ord(lost)}") for won, lost in choices])
    assert renamed.chi2 == pytest.approx(found.chi2)
    # whoever is better the other way round is as different
    assert verdict([(lost, won) for won, lost in choices]).chi2 == pytest.approx(found.chi2)
    assert 0 < found.p <= 1


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
