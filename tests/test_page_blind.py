"""The blind test: what is heard, what a vote does, and what is told when."""

import json
import random
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("streamlit")

from browsing import PLAYER, open_tab, settled, wait_for_sound
from visiting import drawn, held, press, send, shown, visit

from page import blind, songs
from page.loop import Loop
from page.votes import Choice, Vote, results, store
from rhythmgan.bars import bars_to_words
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus, split_of
from rhythmgan.kit import GM12, JAKI5
from rhythmgan.models.gan import load_gan

pytest_plugins = ["browsing", "visiting"]
pytestmark = pytest.mark.usefixtures("quiet")


def _forget():
    """What depends on the songs that the page was started with."""
    for cached in (songs._file, songs.titles, songs.unheard, songs.held_out_grooves, songs.held_out_followers):
        cached.clear()
    blind._made.clear()


@pytest.fixture(autouse=True)
def votes(tmp_path, monkeypatch):
    """Votes go to a file of the test's own, and there are no songs."""
    monkeypatch.delenv("RHYTHMGAN_DATA", raising=False)
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "votes.sqlite"))
    return tmp_path / "votes.sqlite"


@pytest.fixture
def start_with(monkeypatch):
    """A function: the page was started with this corpus."""

    def start(path):
        monkeypatch.setenv("RHYTHMGAN_DATA", str(path))
        _forget()

    yield start
    _forget()


def _names(split, n=1):
    """Names of songs of this part of the songs."""
    return [name for name in (f"song-{i}" for i in range(100)) if split_of(name) == split][:n]


def _open(contest=blind.THIS_PROJECT):
    return visit(tab="Blind test", contest=contest)


def _vote(app, winner, pair=None):
    number = app.session_state.test.pair.number if pair is None else pair
    return send(app, "blind", "voted", {"pair": number, "winner": winner})


def _next(app):
    return send(app, "blind", "next", {"pair": app.session_state.test.pair.number})


def _captions(app):
    return " ".join(caption.value for caption in app.caption)


def _warnings(app):
    return [each.value for each in app.warning]


# -- a vote --------------------------------------------------------------------------------------


def test_before_the_vote_nothing_tells_what_made_the_loops():
    app = _open()
    pair = app.session_state.test.pair
    sent = json.dumps(shown(app, "blind"))
    assert not [kind for kind in blind._KINDS if kind in sent or blind.shown(kind) in sent]
    assert [loop["name"] for loop in shown(app, "blind")["loops"]] == ["A", "B"]
    assert [loop["code"] for loop in shown(app, "blind")["loops"]] == [loop.code for loop in pair.loops]
    assert all(loop.plain for loop in pair.loops)
    assert not [each for each in app.get("bidi_component") if each.key == "blind-revealed"]


@pytest.mark.parametrize(("winner", "won"), [("A", 1), ("B", 0), ("", None)])
def test_a_vote_is_stored_and_what_the_loops_were_is_told(votes, winner, won):
    app = _open()
    hand = held(app)
    pair = app.session_state.test.pair
    app = _vote(app, winner)
    with sqlite3.connect(votes) as base:
        ((*heard, first_won),) = base.execute(
            "SELECT listener, first, second, first_bar, second_bar, bpm, swing, first_won FROM votes"
        )
    base.close()
    listener = app.session_state.test.listener
    assert heard == [listener, *pair.kinds, pair.loops[0].code, pair.loops[1].code, 120, 0.5]
    assert first_won == won
    assert shown(app, "blind")["winner"] == winner
    assert shown(app, "blind")["kinds"] == [blind.shown(kind) for kind in pair.kinds]
    revealed = shown(app, "blind-revealed")["loops"]
    assert [loop["name"] for loop in revealed] == [
        f"A: {blind.shown(pair.kinds[0])}",
        f"B: {blind.shown(pair.kinds[1])}",
    ]
    assert [loop["code"] for loop in revealed] == [loop.code for loop in pair.loops]
    assert held(app) == hand  # to listen is not to take in hand
    app = send(app, "blind-revealed", "taken", [pair.loops[1].code])
    assert held(app).code == pair.loops[1].code
    assert held(app).name == f"B: {blind.shown(pair.kinds[1])}"


def test_after_a_vote_there_is_a_next_pair():
    app = _vote(_open(), "A")
    first = app.session_state.test.pair
    app = _next(app)
    second = app.session_state.test.pair
    assert second.number == first.number + 1
    assert second.winner is None
    assert shown(app, "blind")["kinds"] is None
    assert not [each for each in app.get("bidi_component") if each.key == "blind-revealed"]


def test_a_pair_may_be_left_without_a_vote(votes):
    app = _next(_open())
    assert app.session_state.test.pair.number == 1
    assert results(votes) == []


def test_a_second_vote_and_one_on_a_pair_that_is_gone_are_none(votes):
    """They come before the page could say that the pair is done."""
    app = _vote(_open(), "A")
    app = _vote(app, "B")
    app = _next(app)
    app = _vote(app, "B", pair=0)
    app = send(app, "blind", "next", {"pair": 0})
    assert app.session_state.test.pair.number == 1
    assert len(results(votes)) == 1
    assert app.session_state.test.done == {blind.THIS_PROJECT: 1}


@pytest.mark.parametrize("event", ["voted", "next"])
@pytest.mark.parametrize("value", [None, [], "A", 0, {}, {"pair": "0"}, {"pair": None, "winner": "A"}, {"pair": [{}]}])
def test_nonsense_from_the_browser_is_no_vote(votes, event, value):
    app = send(_open(), "blind", event, value)
    assert app.session_state.test.pair.number == 0
    assert results(votes) == []


@pytest.mark.parametrize("winner", ["C", None, 0, 1, True, [], {}, "AB"])
def test_a_vote_for_something_else_is_none(votes, winner):
    app = _vote(_open(), winner)
    assert app.session_state.test.pair.winner is None
    assert results(votes) == []


# -- results -------------------------------------------------------------------------------------


def test_results_are_told_after_ten_votes_of_the_listener(votes):
    store(votes, *[Vote("other", "GAN", "prior", "a", "b", 120, 0.5, True)] * 30)
    app = _open()
    for done in range(10):
        (progress,) = app.get("progress")
        assert progress.proto.text == f"Results after ten votes: {done} of 10"
        assert not app.dataframe
        assert not app.expander
        app = _vote(app, random.choice(["A", "B", ""]))
        if done < 9:
            app = _next(app)
    assert not app.get("progress")
    assert len(app.dataframe) == 2
    assert "40 votes of all listeners" in _captions(app)
    other = _open()
    assert other.session_state.test.listener != app.session_state.test.listener
    assert not other.dataframe


def test_votes_are_counted_for_their_own_contest():
    app = _vote(_open(), "A")
    app.session_state["contest"] = blind.THE_ROLES
    app = drawn(app.run())
    (progress,) = app.get("progress")
    assert progress.proto.text == "Results after ten votes: 0 of 10"


def test_results_by_hand(votes):
    """GAN won 3 of 4 against the textbook and tied twice: 4 of 6. Of the tests: 1² / 2, twice, and 10 of 16 coins."""
    win, loss, tie = (Vote("x", "GAN", "textbook", "a", "b", 120, 0.5, won) for won in (True, False, None))
    others = (
        Vote("x", "eps-0.1", "eps-0.5", "a", "b", 120, 0.5, True),
        Vote("x", "GAN", "GAN", "a", "b", 120, 0.5, True),
    )
    store(votes, win, win, tie, loss, win, tie, *others)
    app = _open()
    app.session_state.test.done[blind.THIS_PROJECT] = 10
    app = drawn(app.run())
    kinds, pairs = (frame.value for frame in app.dataframe)
    assert kinds.to_dict("list") == {
        "kind": ["GAN", "textbook"],
        "won": [3, 1],
        "no difference": [2, 2],
        "compared": [6, 6],
        "share": ["67%", "33%"],
    }
    assert pairs.to_dict("list") == {
        "pair": ["GAN over textbook"],
        "won": ["3 of 4"],
        "no difference": [2],
        "p, exact": ["0.62"],
    }
    (said,) = (line.value for line in app.markdown if "χ²" in line.value)
    assert "χ²(1) = 1.0, p = 0.32" in said
    assert "That is no difference yet." in said
    assert "fewer than ten comparisons" in said
    store(votes, *[win] * 9)
    (said,) = (line.value for line in drawn(app.run()).markdown if "χ²" in line.value)
    # 12 of 13: 5.5² / 6.5, twice
    assert "χ²(1) = 9.3, p = 0.0023" in said
    assert said.endswith("The kinds are not liked alike.")
    assert "15 votes of all listeners" in _captions(app)


def test_of_ties_alone_no_test_is_told(votes):
    store(votes, Vote("x", "GAN", "prior", "a", "b", 120, 0.5, None))
    app = _open()
    app.session_state.test.done[blind.THIS_PROJECT] = 10
    app = drawn(app.run())
    assert not any("χ²" in line.value for line in app.markdown)
    assert app.dataframe[1].value["p, exact"].tolist() == ["1"]


def test_before_anybody_voted_there_are_no_results():
    app = _open()
    app.session_state.test.done[blind.THIS_PROJECT] = 10
    assert "No votes yet." in _captions(drawn(app.run()))


# -- a votes file that cannot be written ----------------------------------------------------------


def _broken(path, kind):
    if kind == "random bytes":
        path.write_bytes(random.Random(1).randbytes(5000))
    elif kind == "a folder":
        path.mkdir()
    elif kind == "no folder":
        path.parent.joinpath("file").write_text("mine", encoding="utf-8")
        return path.parent / "file" / "votes.sqlite"
    else:
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE songs (name TEXT)")
        base.commit()
        base.close()
    return path


@pytest.mark.parametrize("kind", ["random bytes", "a folder", "no folder", "another base"])
def test_a_vote_that_cannot_be_stored_is_said_in_one_line_and_kept(tmp_path, monkeypatch, kind):
    path = _broken(tmp_path / "my votes.db", kind)
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(path))
    app = _open()
    assert not app.warning  # nothing is lost yet
    app = _vote(app, "A")
    (line,) = _warnings(app)
    assert line.startswith(f"{path.name}: no ")
    assert str(tmp_path) not in line
    assert line.endswith("Your vote is kept while this page is open.")
    assert "\n" not in line
    first = app.session_state.test.pair.kinds
    assert shown(app, "blind")["kinds"] == [blind.shown(kind) for kind in first]  # what they were is told all the same
    app = _vote(_next(app), "")
    assert _warnings(app)[0].endswith("Your 2 votes are kept while this page is open.")
    second = app.session_state.test.pair.kinds
    app = press(app, "Try to store again")
    assert len(_warnings(app)) == 1
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "good.sqlite"))
    app = press(app, "Try to store again")
    assert results(tmp_path / "good.sqlite") == [Choice(*first), Choice(*second, tie=True)]
    assert not app.warning
    assert app.session_state.test.done == {blind.THIS_PROJECT: 2}


def test_votes_that_waited_are_stored_with_the_next(tmp_path, monkeypatch):
    (tmp_path / "taken").mkdir()
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "taken"))
    app = _vote(_open(), "B")
    kinds = [app.session_state.test.pair.kinds]
    (tmp_path / "taken").rmdir()
    app = _vote(_next(app), "A")
    kinds.append(app.session_state.test.pair.kinds)
    assert not app.warning
    assert results(tmp_path / "taken") == [Choice(*reversed(kinds[0])), Choice(*kinds[1])]


def test_results_that_cannot_be_read_are_one_line(votes):
    votes.write_bytes(b"a letter, no base of choices\n" * 50)
    app = _open()
    app.session_state.test.done[blind.THIS_PROJECT] = 10
    (line,) = _warnings(drawn(app.run()))
    assert votes.name in line


def test_a_votes_file_whose_name_is_no_text_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "caf\udce9").mkdir()
    monkeypatch.setenv("RHYTHMGAN_VOTES", str(tmp_path / "caf\udce9"))
    (line,) = _warnings(_vote(_open(), "A"))
    assert "caf\ufffd: " in line


def test_rows_of_strange_kinds_are_no_results(votes):
    base = sqlite3.connect(votes)
    base.execute("CREATE TABLE votes (first, second, first_won)")
    base.executemany(
        "INSERT INTO votes VALUES (?, ?, ?)",
        [(None, 7, 1), (b"\xff", "GAN", 0), ("GAN", "prior", "?"), ("GAN", "prior", 0), ("<b>", "GAN", None)],
    )
    base.commit()
    base.close()
    app = _open()
    app.session_state.test.done[blind.THIS_PROJECT] = 10
    app = drawn(app.run())
    assert app.dataframe[0].value["kind"].tolist() == ["LSTM prior", "GAN"]
    assert app.dataframe[0].value["compared"].tolist() == [1, 1]
    assert str(votes.parent) not in " ".join(_captions(app))


# -- contests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("contest", blind.CONTESTS)
def test_loops_of_every_kind_sound_and_are_as_long_as_those_they_meet(contest):
    for told, kinds in blind.contest(contest).groups.items():
        loops = [blind.drawn(kind) for kind in kinds]
        assert all(loop.any() for loop in loops)
        assert len({loop.shape for loop in loops}) == 1, told
        assert loops[0].shape[1:] == (16, 12)
        assert len(loops[0]) == {blind.THIS_PROJECT: 1, blind.THE_ROLES: 4, blind.RAVULA_AND_CAO: 2}[contest]


def test_only_kinds_of_one_group_meet():
    test = blind.Test()
    test.begin(blind.THE_ROLES)
    met = set()
    for _ in range(40):
        met.add((test.pair.group, frozenset(test.pair.kinds)))
        test.next()
    assert met == {
        ("A groove, four times", frozenset({"groove of the model", "textbook groove"})),
        ("A groove, then a fill", frozenset({"fill of the model", "textbook fill"})),
    }


def test_the_kinds_are_those_of_before():
    assert blind.contest(blind.THIS_PROJECT).kinds == {"GAN", "prior", "steered", "textbook"}
    assert blind.contest(blind.RAVULA_AND_CAO).kinds == {"untuned", *(f"eps-{x}" for x in (0.01, 0.05, 0.1, 0.3, 0.5))}


def test_every_kind_has_a_name_of_its_own():
    assert len({blind.shown(kind) for kind in blind._KINDS}) == len(blind._KINDS)
    assert blind.shown("eps-0.05") == "tuned, 5% random"
    assert blind.shown("fill of the model") == "fill of the model"


def test_loops_of_the_gan_are_its_grooves(one_thread):
    found = np.stack([loop[0] for loop in blind._made("GAN", 1)])
    assert (found == load_gan().sample(16, seed=(1 << 41) + 16)).all()


def test_the_steered_are_grooves_of_the_gan_asked_for_what_others_of_it_have(one_thread, monkeypatch):
    """No more is asked for than the density and the syncopation of bars that none of the test's loops is."""
    asked = []

    def steered(targets, **more):
        asked.append((targets, more))
        return SimpleNamespace(after=~more["given"])

    monkeypatch.setattr(blind, "steer", steered)
    found = blind._steered(3)
    ((targets, more),) = asked
    np.testing.assert_array_equal(more["given"], blind._gan(3)[:, 0])
    np.testing.assert_array_equal(found[:, 0], ~blind._gan(3)[:, 0])
    others = blind.models.generator().sample(16, seed=blind._SEED + (12 + 3) * 16)
    assert targets["density"] == others.sum((1, 2)).tolist()
    assert targets["syncopation"] == blind.models.features_of(others)["syncopation"].tolist()
    assert more["closeness"] == 0


def test_loops_of_others_play_one_part_a_step():
    for kind in blind.contest(blind.RAVULA_AND_CAO).kinds:
        cells = np.stack(blind._made(kind, 3))
        assert cells.shape[1:] == (2, 16, 12)
        assert cells.sum(3).max() == 1


def test_textbook_grooves_are_no_fills():
    codes = {Loop.of(bar, "").code for loop in _all("textbook") for bar in loop}
    styles = {
        style: {Loop.of(bar, "").code for bar in patterns.values() if len(bar) == 16}
        for style, patterns in songs.presets().items()
    }
    assert styles["Rock"] | styles["Trap"] < codes
    assert not codes & (styles["Fill"] | styles["Intro"] | styles["Outro"])
    for loop in _all("textbook fill"):
        assert Loop.of(loop[0], "").code in codes
        assert Loop.of(loop[3], "").code in styles["Fill"]


def _all(kind):
    return [loop for batch in range(blind._BATCHES) for loop in blind._made(kind, batch)]


def test_in_loops_of_roles_a_groove_comes_three_times():
    for kinds in blind.contest(blind.THE_ROLES).groups.values():
        for kind in kinds:
            for loop in blind._made(kind, 0):
                assert (loop[:3] == loop[0]).all()
                assert (loop[3] == loop[0]).all() == ("groove" in kind), kind


def test_roles_of_the_model_are_those_of_its_loops():
    """The groove of a seed, and behind it the last bar of the loops of one, two and four bars: A, AV and AAAF."""
    seeds = tuple(range(blind._SEED + 2 * 16, blind._SEED + 3 * 16))
    for role, n_bars in (("groove", 1), ("variation", 2), ("fill", 4)):
        expected = np.stack([loop.cells[[0, 0, 0, -1]] for loop in blind.models.sampled(seeds, n_bars)])
        np.testing.assert_array_equal(blind._KINDS[f"{role} of the model"](2), expected)


@pytest.fixture
def song_of_roles(start_with, tmp_path):
    """A song that no model heard, of bars of 1, 2, … 9 onsets, and a song that the models were trained on.

    Its bars are two files: groove, groove, fill, groove, variation; then fill, a gap of one bar, groove, fill, fill.
    """
    onsets = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21])
    cells = (np.arange(16 * 12) < onsets[:, None]).reshape(-1, 16, 12)
    song, file = np.array([0] * 9 + [1] * 2), np.array([0] * 5 + [1] * 4 + [2] * 2)
    index = np.array([0, 1, 2, 3, 4, 0, 2, 3, 4, 0, 1])
    role = np.array([0, 0, 2, 0, 1, 2, 0, 2, 2, 0, 2])
    names = (*_names("test"), *_names("train"))
    corpus = Corpus.of(bars_to_words(cells), song, file, index, names, ("a", "b", "c"), GM12, role)
    save_corpus(tmp_path / "w.npz", corpus)
    start_with(tmp_path / "w.npz")


def _onsets(kind):
    return {tuple(loop.sum((1, 2)).tolist()) for loop in _all(kind)}


def test_roles_of_songs_follow_a_groove_there(song_of_roles):
    """By hand: behind a groove without a gap come the fills of 3 and 8 onsets and the variation of 5."""
    assert _onsets("real fill") == {(2, 2, 2, 3), (7, 7, 7, 8)}
    assert _onsets("real variation") == {(4, 4, 4, 5)}
    assert _onsets("real groove") == {(n,) * 4 for n in (1, 2, 4, 7)}
    assert _onsets("real") == {(n,) for n in (1, 2, 4, 7)}
    groups = blind.contest(blind.THE_ROLES).groups
    assert groups["A groove, then a variation"] == ("variation of the model", "real variation")
    assert "of a song that no model was trained on" in _captions(_open(blind.THE_ROLES))


def test_grooves_of_songs_are_drawn_as_they_are_played(start_with, tmp_path):
    """By hand: both test songs as often, and in each its bars as it plays them, of which a chorus is two of four."""
    cells = (np.arange(16 * 12) < np.arange(1, 10)[:, None]).reshape(-1, 16, 12)
    cells[5] = cells[4]
    song = np.array([0, 0, 1, 1, 1, 1, 2, 3, 3])
    names = (*_names("train"), *_names("test", 2), *_names("valid"))
    columns = song, np.zeros(9, int), np.arange(9)
    save_corpus(tmp_path / "w.npz", Corpus.of(bars_to_words(cells), *columns, names, ("a",), GM12))
    start_with(tmp_path / "w.npz")
    found = songs.held_out_grooves(2000)
    shares = [(found == bar).all((1, 2)).mean() for bar in cells]
    assert shares == pytest.approx([0, 0, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 2, 0, 0], abs=0.05)


def test_songs_without_a_role_are_compared_by_the_others(start_with, tmp_path):
    """A song of two grooves: it has no fill to compare with."""
    cells = (np.arange(16 * 12) < np.array([3, 5])[:, None]).reshape(-1, 16, 12)
    columns = np.zeros(2, int), np.zeros(2, int), np.arange(2)
    save_corpus(tmp_path / "w.npz", Corpus.of(bars_to_words(cells), *columns, tuple(_names("test")), ("a",), GM12))
    start_with(tmp_path / "w.npz")
    app = _open(blind.THE_ROLES)
    for _ in range(6):
        assert app.session_state.test.pair.group == "A groove, four times"
        app = _next(app)
    assert blind.drawn("real fill") is None


def test_songs_that_are_silent_or_trained_on_are_no_exception(start_with, tmp_path):
    cells = np.zeros((2, 16, 12), bool)
    columns = np.zeros(2, int), np.zeros(2, int), np.arange(2)
    save_corpus(tmp_path / "w.npz", Corpus.of(bars_to_words(cells), *columns, tuple(_names("train")), ("a",), GM12))
    start_with(tmp_path / "w.npz")
    assert blind.drawn("real") is None
    app = _open()
    for _ in range(6):
        assert "real" not in app.session_state.test.pair.kinds
        app = _next(app)
    app = _open(blind.THE_ROLES)
    assert app.session_state.test.pair is None
    assert [each.value for each in app.info] == ["There are no two loops to compare here."]


def test_loops_that_are_all_the_same_are_not_compared(monkeypatch):
    one = np.ones((1, 16, 12), bool)
    monkeypatch.setattr(blind, "drawn", lambda kind: one)
    app = _open()
    assert app.session_state.test.pair is None
    assert not app.get("progress")


def test_a_kind_that_has_no_loop_is_left_out_and_the_others_are_compared(monkeypatch):
    loops = {"one": np.ones((1, 16, 12), bool), "none": None, "other": np.eye(16, 12, dtype=bool)[None]}
    monkeypatch.setattr(blind, "drawn", loops.get)
    monkeypatch.setattr(blind, "contest", lambda name: blind.Contest({"two bars": tuple(loops)}, ""))
    for _ in range(20):
        test = blind.Test()
        test.next()
        assert set(test.pair.kinds) == {"one", "other"}


@pytest.mark.parametrize("kind", ["gone", "broken", "a folder", "another kit"])
def test_with_songs_that_cannot_be_read_the_textbook_is_compared(start_with, tmp_path, kind):
    path = tmp_path / "songs.npz"
    if kind == "broken":
        path.write_bytes(b"PK\3\4" + bytes(99))
    elif kind == "a folder":
        path.mkdir()
    elif kind == "another kit":
        columns = np.zeros(2, int), np.zeros(2, int), np.arange(2)
        words = bars_to_words(np.ones((2, 16, 5), bool))
        save_corpus(path, Corpus.of(words, *columns, tuple(_names("test")), ("a",), JAKI5))
    start_with(path)
    app = _open()
    (line,) = _warnings(app)
    assert "songs.npz" in line
    assert line.endswith("The textbook stands in for your songs.")
    assert "\n" not in line
    assert blind.contest(blind.THIS_PROJECT).kinds == {"GAN", "prior", "steered", "textbook"}
    assert app.session_state.test.pair is not None


# -- in a browser --------------------------------------------------------------------------------


def _plays(page):
    return page.evaluate(f"{PLAYER}.id")


def _says(page, text):
    page.locator(".says", has_text=text).wait_for()


def _open_in(page, address, contest="This project"):
    open_tab(page, address, "Blind test", contest=contest)
    _says(page, "Listen to both.")


def _hear_both(page):
    page.keyboard.press("a")
    _says(page, "Listen to B too.")
    page.keyboard.press("b")
    _says(page, "Which is the better?")  # B comes in at the bar line


def _votes_in(folder):
    base = sqlite3.connect(folder / "votes.sqlite")
    try:
        return base.execute("SELECT first, second, first_won, bpm FROM votes ORDER BY rowid").fetchall()
    finally:
        base.close()


def test_a_test_is_done_by_keys(page, address, folder):
    _open_in(page, address)
    for key in ("1", "2", "0", "Enter"):
        page.keyboard.press(key)  # nobody has heard anything yet
    better = page.get_by_role("button", name="B is better")
    assert better.is_disabled()
    page.keyboard.press("a")
    wait_for_sound(page)
    assert _plays(page) == "A"
    _says(page, "Listen to B too.")
    page.keyboard.press("1")
    assert better.is_disabled()
    page.keyboard.press("b")
    _says(page, "Which is the better?")
    assert _plays(page) == "B"
    assert page.locator("article.card").count() == 0
    page.keyboard.press("2")
    _says(page, "You chose B.")
    first, second, won, bpm = _votes_in(folder)[-1]
    assert {first, second} < {"real", "GAN", "prior", "steered"}
    assert (won, bpm) == (0, 120)
    _says(page, f"A: {blind.shown(first)}. B: {blind.shown(second)}.")
    page.locator("article.card").nth(1).wait_for()
    assert page.get_by_role("button", name="is better").count() == 0
    assert _plays(page) == "B"  # and goes on
    page.get_by_text("Results after ten votes: 1 of 10").wait_for()
    page.keyboard.press("Enter")
    _says(page, "Listen to both.")
    assert _plays(page) is None
    assert page.locator("article.card").count() == 0
    _hear_both(page)
    page.keyboard.press("0")
    _says(page, "You heard no difference.")
    assert _votes_in(folder)[-1][2] is None
    page.keyboard.press("n")
    _says(page, "Listen to both.")
    page.get_by_text("Results after ten votes: 2 of 10").wait_for()


def test_a_test_is_done_by_mouse_and_a_loop_of_it_taken_in_hand(page, address, folder):
    _open_in(page, address, "Roles")
    page.get_by_role("button", name="Play A", exact=True).click()
    page.wait_for_function(f"{PLAYER}.place?.bar === 1")  # a loop of four bars
    page.get_by_role("button", name="Play B", exact=True).click()
    _says(page, "Which is the better?")
    page.get_by_role("button", name="Stop B").click()
    assert _plays(page) is None
    page.get_by_role("button", name="A is better").click()
    _says(page, "You chose A.")
    assert _votes_in(folder)[-1][2] == 1
    page.locator("article.card").first.get_by_role("button").first.click()
    wait_for_sound(page)
    assert _plays(page) == "hand"
    page.wait_for_url("**loop=*")
    settled(page)
    page.get_by_role("button", name="Next pair").click()
    _says(page, "Listen to both.")
    assert _plays(page) is None


def test_keys_are_letters_where_one_writes_and_enter_is_a_buttons_own(page, address):
    _open_in(page, address)
    page.evaluate("document.body.prepend(document.createElement('input'))")
    page.locator("input").first.focus()
    page.keyboard.type("ab120n")
    assert page.locator("input").first.input_value() == "ab120n"
    assert _plays(page) is None
    page.locator("input").first.blur()
    page.keyboard.press("Control+a")
    assert _plays(page) is None
    _hear_both(page)
    page.get_by_role("button", name="Play A", exact=True).focus()
    page.keyboard.press("1")
    _says(page, "You chose A.")
    page.keyboard.press("Enter")  # of the button that has the focus
    page.wait_for_function(f"{PLAYER}.id === 'A'")
    _says(page, "You chose A.")


def test_a_test_is_done_from_button_to_button(page, address):
    """With Tab and Enter alone: after a vote the next button is the one that goes on."""
    _open_in(page, address)
    page.get_by_role("button", name="Play A", exact=True).focus()
    page.keyboard.press("Enter")
    _says(page, "Listen to B too.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _says(page, "Which is the better?")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _says(page, "You heard no difference.")
    page.keyboard.press("Enter")
    _says(page, "Listen to both.")


def test_what_plays_stops_where_the_test_begins_and_where_it_is_left(page, address):
    open_tab(page, address, "Data")
    page.locator("article.card").first.get_by_role("button").first.click()
    page.wait_for_function(f"{PLAYER}.id === 'hand'")
    page.get_by_role("tab", name="Blind test").click()
    _says(page, "Listen to both.")
    assert _plays(page) is None
    page.keyboard.press("a")
    page.wait_for_function(f"{PLAYER}.id === 'A'")
    page.get_by_role("tab", name="Data").click()
    page.locator("article.card").first.wait_for()
    page.wait_for_function(f"{PLAYER}.id === null")
    page.keyboard.press("a")
    assert _plays(page) is None


def test_another_contest_is_another_pair(page, address):
    _open_in(page, address)
    page.keyboard.press("a")
    page.get_by_role("radio", name="Ravula & Cao, 2019").click()
    page.get_by_text("Two loops of 2 bars").wait_for()
    _says(page, "Listen to both.")
    assert _plays(page) is None
    assert page.evaluate(f"{PLAYER}.keys.map(([keys]) => keys)").count("A B") == 1
    page.keyboard.press("b")
    page.wait_for_function(f"{PLAYER}.place?.bar === 1")


def test_the_test_fits_a_phone(phone, address):
    _open_in(phone, address)
    for name in ("Play A", "Play B", "A is better", "No difference", "B is better", "Another pair"):
        box = phone.get_by_role("button", name=name, exact=True).bounding_box()
        assert box["height"] >= 40, name
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= 390, name
        assert box["y"] + box["height"] < 760, name  # above the transport
    phone.get_by_role("button", name="Play A", exact=True).tap()
    _says(phone, "Listen to B too.")
    phone.get_by_role("button", name="Play B", exact=True).tap()
    _says(phone, "Which is the better?")
    phone.get_by_role("button", name="No difference").tap()
    _says(phone, "You heard no difference.")
    assert phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
