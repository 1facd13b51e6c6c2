"""What makes a groove, on bars written by hand and by a slow loop; the table of what songs play."""

import json

import numpy as np
import pytest
import torch

from rhythmgan.features import backbeat, cymbal_steps, is_groove, kick_on_one, tom_steps, what_songs_play
from rhythmgan.features.grooves import COLUMNS, to_markdown
from rhythmgan.kit import GM9, JAKI5, KITS, RYTHMGAN7


def bars(*each, kit=GM9):
    steps = len(next(iter(each[0].values())))
    cells = np.zeros((len(each), steps, kit.n_parts), bool)
    for row, lines in enumerate(each):
        for part, line in lines.items():
            cells[row, :, kit.names.index(part)] = [cell == "x" for cell in line]
    return cells


ROCK = {"kick": "x.......x.x.....", "snare": "....x.......x...", "closed hat": "x.x.x.x.x.x.x.x."}
# 2 alone; the ride and the crash share step 0; toms together on step 13
BROKEN = {
    "kick": "..x.............",
    "snare": "....x........x..",
    "ride": "x.....x.........",
    "crash": "x...............",
    "low tom": "............xx..",
    "high tom": ".............xx.",
}


def test_bars_written_by_hand():
    both = bars(ROCK, BROKEN)
    assert kick_on_one(both, GM9).tolist() == [True, False]
    assert backbeat(both, GM9).tolist() == [True, False]
    assert cymbal_steps(both, GM9).tolist() == [8, 2]
    assert tom_steps(both, GM9).tolist() == [0, 3]
    assert is_groove(both, GM9).tolist() == [True, False]


@pytest.mark.parametrize("left_out", ["kick", "snare", "closed hat"])
def test_a_groove_needs_all_three(left_out):
    lines = {part: line if part != left_out else "." * 16 for part, line in ROCK.items()}
    assert not is_groove(bars(lines), GM9).any()


def test_three_steps_of_cymbals_are_too_few():
    assert not is_groove(bars({**ROCK, "closed hat": "x...x...x......."}), GM9).any()
    assert is_groove(bars({**ROCK, "closed hat": "x...x...x......."}, {**ROCK, "open hat": "..............x."}), GM9)[1]
    assert is_groove(bars({**ROCK, "closed hat": "x...x...x...x..."}), GM9).all()


@pytest.mark.parametrize("steps", [12, 16, 24, 32, 48])
def test_the_beats_of_every_grid(steps):
    cells = np.zeros((1, steps, 9), bool)
    cells[0, 0, 0] = cells[0, steps // 4, 1] = cells[0, 3 * steps // 4, 1] = True
    cells[0, :: steps // 4, 7] = True
    assert is_groove(cells, GM9).all()
    assert not is_groove(np.roll(cells, 1, 1), GM9).any()


@pytest.mark.parametrize("kit", KITS.values(), ids=KITS)
def test_a_slow_loop_says_the_same(kit):
    cells = np.random.default_rng(2).random((300, 16, kit.n_parts)) < 0.3
    words = ("hat", "ride", "crash", "cymbal")
    for row, bar in enumerate(cells):
        sounding = [{kit.names[part] for part in np.flatnonzero(step)} for step in bar]
        cymbals = [any(word in part for word in words for part in step) for step in sounding]
        assert kick_on_one(cells, kit)[row] == ("kick" in sounding[0])
        assert backbeat(cells, kit)[row] == ("snare" in sounding[4] and "snare" in sounding[12])
        assert cymbal_steps(cells, kit)[row] == sum(cymbals)
        assert tom_steps(cells, kit)[row] == sum(any("tom" in part for part in step) for step in sounding)


def test_percussion_keeps_no_time_for_a_groove():
    lines = {"kick": "x" + "." * 15, "percussion": "x." * 8, "crash": "x" + "." * 15}
    assert cymbal_steps(bars(lines, kit=RYTHMGAN7), RYTHMGAN7).tolist() == [1]


def test_the_table_weighs_the_bars():
    both = bars(ROCK, BROKEN)
    table = what_songs_play({"equal": (both, None), "three to one": (torch.from_numpy(both), np.array([3, 1]))}, GM9)
    assert table["equal"]["kick on 1"] == 0.5
    # ROCK has 3 + 2 + 8 onsets, BROKEN 1 + 2 + 2 + 1 + 2 + 2
    assert table["equal"]["density"] == pytest.approx((13 + 10) / 2)
    assert table["three to one"]["all three"] == 0.75
    assert table["three to one"]["toms on 3+ steps"] == 0.25
    assert table["three to one"]["density"] == pytest.approx((3 * 13 + 10) / 4)
    assert list(table["equal"]) == ["bars", *COLUMNS]


def test_the_table_as_markdown():
    lines = to_markdown(what_songs_play({"rock": (bars(ROCK), None)}, GM9)).splitlines()
    assert lines[0] == (
        "|  | bars | kick on 1 | snare on 2 and 4 | cymbals on 4+ steps | all three | toms on 3+ steps | density | "
        "syncopation |"
    )
    assert lines[1].count("|") == lines[0].count("|") == lines[2].count("|")
    assert lines[2].startswith("| rock | 1 | 1.00 | 1.00 | 1.00 | 1.00 | .00 | 13.0 | ")


@pytest.mark.parametrize("weights", [np.ones(2), np.array([-1.0]), np.zeros(1), np.array([np.nan])])
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match="row 'x'"):
        what_songs_play({"x": (bars(ROCK), weights)}, GM9)


def test_what_is_no_bar():
    with pytest.raises(ValueError, match="jaki5"):
        kick_on_one(bars(ROCK), JAKI5)
    with pytest.raises(ValueError, match="row 'none'"):
        what_songs_play({"none": (np.zeros((0, 16, 9), bool), None)}, GM9)


@pytest.fixture
def corpus_file(tmp_path):
    """A corpus of two songs: the first plays ROCK four times and a fill once, the second BROKEN once."""
    from rhythmgan.bars import bars_to_words
    from rhythmgan.corpus_file import save_corpus
    from rhythmgan.data import Corpus

    words = bars_to_words(bars(*[ROCK] * 4, BROKEN, BROKEN))
    song, index = np.array([0, 0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 4, 0])
    role = np.array([0, 0, 0, 0, 2, 1])
    path = tmp_path / "corpus.npz"
    save_corpus(path, Corpus.of(words, song, song, index, ("a", "b"), ("a.mid", "b.mid"), GM9, role))
    return path


def _command(*arguments):
    from rhythmgan.cli import main

    return main(["grooves", *map(str, arguments)])


def test_the_command_tells_the_rows_apart(corpus_file, capsys):
    assert _command(corpus_file, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kit"], found["grid"], found["split"]) == ("gm9", 16, "all")
    rows = {name: (row["bars"], row["all three"]) for name, row in found["rows"].items()}
    assert rows == {
        "as played": (3, pytest.approx(0.4)),  # 4/5 of one song, 0 of the other
        "distinct": (3, pytest.approx(1 / 3)),
        "bars that a song plays once": (2, 0),
        "bars played four times or more": (1, 1),
        "groove, as played": (1, 1),
        "variation, as played": (1, 0),
        "fill, as played": (1, 0),
    }


def test_the_command_prints_a_table_in_any_kit(corpus_file, capsys):
    assert _command(corpus_file, "--kit", "jaki5", "--grid", 16) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("|  | bars | kick on 1 |")
    assert lines[2].startswith("| as played | 3 | .40 | ")
    assert len(lines) == 2 + 7


def test_what_the_command_refuses(corpus_file, capsys):
    # split by their names, "a" and "b" are no test songs
    for arguments, says in (
        ((corpus_file, "--split", "test"), "no song of it falls into the test split"),
        ((corpus_file, "--grid", 12), "12"),
        ((corpus_file, "--kit", "gm8"), "no kit is named 'gm8'"),
        ((corpus_file.parent / "none.npz",), "none.npz"),
    ):
        assert _command(*arguments) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("rhythmgan: ")
        assert says in last


def test_what_the_songs_of_groove_play(groove_songs):
    """Each song's distinct bars, as measured before this module was written."""
    distinct = np.concatenate([np.unique(found.bars, axis=0) for _, _, found in groove_songs])
    found = what_songs_play({"": (distinct, None)}, GM9)[""]
    assert list(found.values())[1:6] == pytest.approx((0.69, 0.42, 0.82, 0.29, 0.22), abs=0.02)
    assert found["density"] == pytest.approx(18.5, abs=0.1)
    assert found["syncopation"] == pytest.approx(8.8, abs=0.1)
