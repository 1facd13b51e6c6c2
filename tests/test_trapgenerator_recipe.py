"""The recipe of TrapGenerator's page: its songs, combined loops, lengths of bars and tables, by hand."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9

ROOT = Path(__file__).resolve().parent.parent
SILENCE = "0b000000000"
KICK = "0b100000000"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recipe():
    path = ROOT / "recipes" / "reproductions" / "trapgenerator.py"
    spec = importlib.util.spec_from_file_location("recipe_trapgenerator", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipe_trapgenerator"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


def corpus_of(words, song, index=None):
    song = np.asarray(song)
    names = tuple(f"song {number}" for number in range(song.max() + 1))
    index = np.arange(len(song)) if index is None else np.asarray(index)
    return Corpus.of(np.asarray(words, np.uint16), song, song, index, names, names, GM9)


def test_every_run_has_a_name_of_its_own_and_its_options(recipe):
    jobs = recipe.all_jobs(2)
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names) == 2 * (3 + 1 + 3 + 3 + 1 + 3 + 3) + 1
    by_name = {job.name: job for job in jobs}
    job = by_name["combined-1"]
    assert (job.network.width, job.network.layers, job.maxlen, job.seed) == (512, 3, 128, 1)
    assert (job.network.sees_bars, job.network.characters, job.network.dropout) == (False, False, 0.2)
    assert by_name["characters-1024-0"].network.characters
    assert by_name["characters-1024-0"].window_step == 2
    assert by_name["words-512-0"].window_step == 1
    stopped, whole = by_name["stopped-500-1"], by_name["words-256-1"]
    assert stopped.train_steps == 500 < whole.train_steps
    assert (stopped.network, stopped.maxlen, stopped.window_step) == (whole.network, whole.maxlen, whole.window_step)
    odd = by_name["odd-characters-512-1"]
    assert (odd.characters, odd.window_step, odd.train_steps) == (True, 1, by_name["characters-512-1"].train_steps)
    assert {recipe.steps_of(by_name[name]) for name in ("ours-16-0", "trap-32-1")} == {16, 32}


def test_places_that_are_ever_predicted(recipe):
    """Windows 34 characters apart meet every second character of a bar of 196; 8 words apart every word of 17."""
    assert recipe.taught_places(17, 8) == recipe.taught_places(17, recipe.STEP["words"]) == 17
    assert recipe.taught_places(33, 8) == 33
    assert recipe.taught_places(196, 34) == recipe.taught_places(196, recipe.STEP["characters"]) == 98
    assert recipe.taught_places(196, recipe.STEP["odd-characters"]) == 196
    met = {(1024 + 34 * window) % 196 for window in range(1000)}
    assert len(met) == 98
    # within a word of 12: never the snare, the open hat, the mid tom or the ride
    assert {place % 12 for place in met if place < 192} == {0, 2, 4, 6, 8, 10}


def test_lengths_are_counted_from_bar_to_bar(recipe):
    """What comes before the first BAR and behind the last is cut somewhere, and a cut word is no word."""
    text = f"00000 {SILENCE} BAR {KICK} {SILENCE} BAR BAR {KICK} 0b10 {KICK} 0b1000000000 {KICK} BAR {SILENCE} 0b0"
    lengths, broken = recipe.bar_lengths(text, 9)
    assert lengths == Counter({2: 1, 0: 1, 3: 1})
    assert broken == 2
    assert recipe.bar_lengths(f"{KICK} {KICK} {KICK}", 9) == (Counter(), 0)


def test_bars_of_a_text_as_published_are_drawn_as_long_as_they_are(recipe):
    """Only what has a BAR on either side; of a long bar there are sixteen steps, a short one ends in silence."""
    text = f"{KICK} BAR {SILENCE} {KICK} BAR {' '.join([KICK] * 20)} BAR {SILENCE}"
    bars = recipe.published_bars([text, f"{SILENCE} BAR", text], 3)
    assert bars.shape == (3, 16, 9)
    assert np.flatnonzero(bars[0].any(1)).tolist() == [1]
    assert bars[1, :, 0].all()
    np.testing.assert_array_equal(bars[2], bars[0])  # the second text has no whole bar


def test_loops_are_combined_of_one_pattern_of_each_part(recipe):
    """Two kicks, a snare and two hats: four loops, each eight bars of the same two."""
    patterns = [np.zeros((n, 2, 16, 9), bool) for n in (2, 1, 2)]
    patterns[0][0, 0, 0, 0] = patterns[0][1, 1, 3, 0] = True
    patterns[1][0, 0, 4, 1] = True
    patterns[2][0, 0, 2, 2] = patterns[2][1, 0, 5, 3] = True
    loops = recipe.combined_loops(patterns, 200, 0)
    assert loops.shape == (200, 8, 16, 9)
    assert (loops.sum((2, 3)).sum(1) == 12).all()  # three onsets, four times
    np.testing.assert_array_equal(loops[:, :2], loops[:, 6:])
    kinds = np.unique(loops.reshape(200, -1), axis=0)
    assert len(kinds) == 4
    np.testing.assert_array_equal(loops, recipe.combined_loops(patterns, 200, 0))


def test_patterns_are_two_bars_that_most_songs_play(recipe):
    """Kick on 1 in all songs, on 1 and 3 in song 0; a snare in two bars of song 1; a crash, which is no pattern."""
    bars = np.zeros((8, 16, 9), bool)
    bars[:, 0, 0] = bars[:, 0, 8] = True
    bars[:2, 8, 0] = True
    bars[4:6, 4, 1] = True
    bars[6:, 2, 3] = bars[6:, 6, 2] = True
    songs = corpus_of(bars_to_words(bars), [0, 0, 1, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 3, 0, 1])
    kicks, snares, hats = recipe.patterns_of(songs, 5)
    assert (len(kicks), len(snares), len(hats)) == (2, 1, 1)
    assert np.argwhere(kicks[0]).tolist() == [[0, 0, 0], [1, 0, 0]]
    assert np.argwhere(kicks[1]).tolist() == [[0, 0, 0], [0, 8, 0], [1, 0, 0], [1, 8, 0]]
    assert np.argwhere(snares[0]).tolist() == [[0, 4, 1], [1, 4, 1]]
    assert np.argwhere(hats[0]).tolist() == [[0, 2, 3], [0, 6, 2], [1, 2, 3], [1, 6, 2]]
    (other,) = recipe.patterns_of(songs, 5, [kicks[:1], snares, hats])[0]
    np.testing.assert_array_equal(other, kicks[1])
    assert len(recipe.patterns_of(songs, 1)[0]) == 1
    alike, *none = recipe.patterns_of(songs, 5, halves=True)
    np.testing.assert_array_equal(alike, kicks[1:])
    assert [len(each) for each in none] == [0, 0]


def test_textbook_bars_are_split_by_name(recipe):
    parts = {split: recipe.textbook(split) for split in ("train", "valid", "test", "all")}
    names = {split: {part.songs[song] for song in part.song_id} for split, part in parts.items()}
    assert sum(map(len, (names["train"], names["valid"], names["test"]))) == len(names["all"]) >= 40
    assert not names["train"] & (names["valid"] | names["test"])
    assert all(name.startswith(("trap", "hip-hop")) for name in names["all"])
    coarse = recipe.textbook("all", 16)
    assert 0 < len(coarse) < len(parts["all"])
    assert coarse.steps == 16


def test_textbook_loops_keep_the_snare_line_and_change_the_hats(recipe):
    bars = words_to_bars(recipe.textbook("train").words, 9)
    loops = recipe.textbook_loops(bars, 300, 0)
    snares = bars[..., 1]
    assert all((loop[:, :, 1] == loop[0, :, 1]).all() and (snares == loop[0, :, 1]).all(1).any() for loop in loops)
    np.testing.assert_array_equal(loops[:, 0], loops[:, 2])
    changes = (loops[:, 3] != loops[:, 0]).any((1, 2)).mean()
    assert 0.3 < changes < 0.9
    kicks = {kick.tobytes() for kick in bars[..., 0]}
    assert all(kick.tobytes() in kicks for kick in loops[:, 0, :, 0])
    assert len(np.unique(loops.reshape(-1, 32 * 9), axis=0)) > 2 * len(bars)
    coarse = words_to_bars(recipe.textbook("all", 16).words, 9)
    assert recipe.textbook_loops(coarse, 5, 0).shape == (5, 4, 16, 9)


def test_hats_of_another_bar_are_taken_beat_by_beat(recipe):
    """Two bars with one snare line, one with hats on every step: a beat has all of them or none."""
    bars = np.zeros((2, 32, 9), bool)
    bars[:, 16, 1] = True
    bars[1, :, 2] = True
    loops = recipe.textbook_loops(bars, 400, 0)
    of_beats = loops[..., 2].reshape(400, 4, 4, 8)
    assert (of_beats.all(3) | ~of_beats.any(3)).all()
    mixed = of_beats.any((2, 3)) & ~of_beats.all((2, 3))
    assert mixed[:, 1].any()
    assert mixed[:, 0].mean() < 0.4
    assert recipe.has_roll(loops[:, 3]).mean() > recipe.has_roll(loops[:, 0]).mean() > 0.4


def test_loops_become_songs(recipe):
    loops = np.random.default_rng(0).random((3, 4, 16, 9)) < 0.2
    songs = recipe.as_songs(loops, "loop")
    assert songs.songs == ("loop 0", "loop 1", "loop 2")
    assert songs.followers().tolist() == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    np.testing.assert_array_equal(words_to_bars(songs.words, 9).reshape(loops.shape), loops)


def test_two_corpora_joined_keep_their_songs_apart(recipe):
    first, second = corpus_of(np.ones((2, 16)), [0, 1], [0, 0]), corpus_of(np.full((3, 16), 2), [0, 0, 1], [0, 1, 0])
    both = recipe.joined(first, second)
    assert both.song_id.tolist() == [0, 1, 2, 2, 3]
    assert both.followers().tolist() == [3]
    assert both.words[:, 0].tolist() == [1, 1, 2, 2, 2]


def test_kinds_of_bars_have_their_shares(recipe):
    """Bars 0 and 1 of one kind at .6, bars 1 to 3 of another at .4; a kind without a bar takes nothing."""
    weight = recipe.shared((np.array([1.0, 2, 0, 0]), 0.6), (np.array([0.0, 1, 1, 2]), 0.4), (np.zeros(4), 0.5))
    assert weight.tolist() == pytest.approx([0.2, 0.4 + 0.1, 0.1, 0.2])


def test_bars_that_sixteenths_cannot_express(recipe):
    words = np.zeros((3, 32), np.uint16)
    words[:, 0] = 1
    words[1, 5] = 1
    words[2, 4] = 1
    assert recipe.is_finer(corpus_of(words, [0, 0, 1])).tolist() == [False, True, False]


def test_signs_of_trap(recipe):
    """A clap on 3 with a roll; the same with one on 4; three hats that are no roll; on sixteenths there are none."""
    bars = np.zeros((4, 32, 9), bool)
    bars[:2, 16, 1] = bars[1, 24, 1] = True
    bars[0, 13:16, 2] = True
    bars[2, [3, 4, 6], 2] = True
    bars[3, [8, 24], 1] = True
    assert recipe.trap_signs(bars) == {"half time": 0.25, "rolls": 0.25}
    assert recipe.trap_signs(bars[:2, ::2]) == {"half time": 0.5}


def test_eight_bars_in_a_row_of_each_song(recipe):
    """Song 0 has nine in a row, song 1 seven and then one, song 2 eight."""
    song = [0] * 9 + [1] * 8 + [2] * 8
    index = [*range(9), *range(7), 9, *range(8)]
    assert recipe.first_bars(corpus_of(np.ones((25, 16)), song, index), 5) == [0, 17]


def test_the_table_of_lengths(recipe):
    found = {
        "words": {"lengths": {"0.5": {"lengths": {"7": 1, "8": 2, "16": 4, "23": 1}, "broken": 3}}},
        "none": {"lengths": {"1": {"lengths": {}, "broken": 9}}},
    }
    lines = recipe.lengths_table(found).splitlines()
    assert lines[2] == "| words | 0.5 | 8 | 0.00 | 0.38 | 0.00 | 0.50 | 0.12 | 3 |"
    assert lines[3] == "| none | 1 | 0 |  |  |  |  |  | 9 |"
