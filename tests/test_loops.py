"""Loops with one note a step: which bars of songs make one, which note of a step is kept, and what is seen of one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.bars import bars_to_words
from rhythmgan.data import ONSET_BLOCK, Corpus, Playing
from rhythmgan.kit import GM12, JAKI5, ROLAND10
from rhythmgan.loops import draw_tokens, note_loops, notes_to_loops, windows, windows_at

pytestmark = pytest.mark.usefixtures("one_thread")


def played_corpus(bars, velocities, song, place):
    """A corpus of GM12 with velocities, every song one file; all in the order of bars."""
    words = bars_to_words(bars)
    names = tuple(f"song {number}" for number in range(max(song) + 1))
    corpus = Corpus.of(words, np.array(song), np.array(song), np.array(place), names, names, GM12)
    counts = bars.sum((1, 2))
    starts = np.append(0, np.cumsum(counts))[::ONSET_BLOCK]
    starts = np.append(starts[: -(-len(bars) // ONSET_BLOCK)], counts.sum())
    loud = velocities[bars].astype(np.uint8)
    playing = Playing(GM12, words, np.arange(len(bars)), starts, loud, np.zeros(len(loud), np.int8))
    return replace(corpus, playing=playing, rows=np.arange(len(bars)))


def test_of_each_step_the_loudest_note_is_kept_and_neighbours_make_a_loop():
    """Song 0 has bars 0, 1 and, after a gap, 3; song 1 has bars 0 and 1."""
    bars, velocities = np.zeros((5, 16, 12), bool), np.zeros((5, 16, 12), int)

    def strike(bar, step, part, velocity):
        bars[bar, step, part], velocities[bar, step, part] = True, velocity

    strike(0, 0, 0, 90)  # kick under a louder closed hat
    strike(0, 0, 2, 100)
    strike(0, 5, 1, 40)  # snare
    strike(1, 3, 4, 60)  # low tom, a floor tom here
    strike(1, 3, 7, 59)  # ride
    strike(2, 0, 0, 70)
    strike(3, 8, 5, 80)  # mid tom
    strike(3, 9, 9, 127)  # shaker: no part of roland10
    strike(4, 15, 8, 1)  # crash
    loops = note_loops(played_corpus(bars, velocities, [0, 0, 0, 1, 1], [0, 1, 3, 0, 1]))
    assert loops.kit == ROLAND10
    assert loops.song.tolist() == [0, 1]
    expected = np.zeros((2, 32), int)
    expected[0, [0, 5, 19]] = 7, 2, 5
    expected[1, [8, 31]] = 4, 8
    np.testing.assert_array_equal(loops.notes, expected)
    assert loops.bars.shape == (2, 2, 16, 9)
    assert np.argwhere(loops.bars[0]).tolist() == [[0, 0, 6], [0, 5, 1], [1, 3, 4]]


def test_a_song_has_each_loop_once_and_two_songs_each_their_own():
    bars = np.zeros((6, 16, 12), bool)
    bars[:, 0, 0] = True
    loops = note_loops(played_corpus(bars, bars * 80, [0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 0, 1]))
    assert loops.song.tolist() == [0, 1]
    assert len(loops) == 2


def test_bars_without_neighbours_or_velocities_are_refused():
    bars = np.zeros((2, 16, 12), bool)
    bars[:, 0, 0] = True
    with pytest.raises(ValueError, match="no two bars of the data follow one another"):
        note_loops(played_corpus(bars, bars * 80, [0, 0], [0, 2]))
    unplayed = replace(played_corpus(bars, bars * 80, [0, 0], [0, 1]), playing=None, rows=None)
    with pytest.raises(ValueError, match="nobody knows how the bars"):
        note_loops(unplayed)
    small = replace(unplayed, kit=JAKI5, distinct_words=unplayed.distinct_words & 31)
    with pytest.raises(ValueError, match="cannot be folded"):
        note_loops(small)


def test_a_window_ends_with_the_newest_token():
    symbols = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, 3.0]])
    seen = windows(torch.tensor([[2, 1], [0, 0]]), symbols, 4)
    assert seen.tolist() == [[0, 0, 0, 0, 0, 3, 0.5, 2], [0, 0, 0, 0, 1, 0, 1, 0]]
    assert windows(torch.zeros(2, 0, dtype=torch.long), symbols, 3).tolist() == [[0] * 6] * 2
    with pytest.raises(ValueError, match="a loop has 3 steps; there are tokens for 4"):
        windows(torch.zeros(1, 4, dtype=torch.long), symbols, 3)


@given(st.integers(0, 6), st.integers(0, 10_000))
def test_windows_of_any_length_are_those_of_the_beginning(count, seed):
    tokens = torch.randint(4, (3, 6), generator=torch.Generator().manual_seed(seed))
    found = windows_at(tokens, torch.tensor([count, 6, 0]), torch.eye(4))
    torch.testing.assert_close(found[:1], windows(tokens[:1, :count], torch.eye(4), 6))
    torch.testing.assert_close(found[1:2], windows(tokens[1:2], torch.eye(4), 6))
    assert not found[2].any()


def test_what_is_drawn_is_a_function_of_the_seed_and_of_what_is_given():
    def chances(seen):
        """Likelier what was played last, a little."""
        return (seen.view(len(seen), 6, 3).double().sum(1) + 0.5).softmax(1)

    given_ones = torch.tensor([[0, 1]]).expand(50, 2)
    seeds = np.arange(50)
    drawn = draw_tokens(chances, given_ones, torch.eye(3), 6, seeds)
    assert (drawn[:, :2] == given_ones).all()
    assert len(np.unique(drawn[:, 2:], axis=0)) > 10
    for rows in (slice(7, 8), slice(3, 40, 5)):
        torch.testing.assert_close(draw_tokens(chances, given_ones[rows], torch.eye(3), 6, seeds[rows]), drawn[rows])


def test_chances_are_kept_to():
    def chances(seen):
        return torch.tensor([[0.2, 0.0, 0.8]], dtype=torch.float64).expand(len(seen), 3)

    drawn = draw_tokens(chances, torch.zeros(400, 0, dtype=torch.long), torch.eye(3), 10, np.arange(400)).numpy()
    share = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    assert share[1] == 0
    assert share[0] == pytest.approx(0.2, abs=0.025)  # two standard errors: 2 · √(.16 / 4000) = .013


def test_notes_become_loops_of_two_bars():
    notes = np.zeros((1, 32), int)
    notes[0, [0, 16, 31]] = 1, 9, 2
    assert np.argwhere(notes_to_loops(notes, ROLAND10)[0]).tolist() == [[0, 0, 0], [1, 0, 8], [1, 15, 1]]
