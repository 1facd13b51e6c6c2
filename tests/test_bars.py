"""The four views of a bar and what is between them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rhythmgan.bars import (
    GRIDS,
    bar_to_lines,
    bars_to_notes,
    bars_to_words,
    check_steps,
    fold_bars,
    kit_of,
    notes_to_bars,
    text_to_words,
    unfold_bars,
    words_to_bars,
    words_to_text,
)
from rhythmgan.kit import GM9, GM12, JAKI5, KITS, ROLAND10, RYTHMGAN7

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_grid = pytest.mark.parametrize("steps", GRIDS)


def _words(steps, n_parts):
    return arrays(np.uint16, st.tuples(st.integers(0, 3), st.just(steps)), elements=st.integers(0, 2**n_parts - 1))


def _bar(steps=16, n_parts=9, **cells):
    """A bar from step=parts pairs, e.g. s0=(0, 2)."""
    bar = np.zeros((steps, n_parts), bool)
    for step, parts in cells.items():
        bar[int(step[1:]), list(parts)] = True
    return bar


def test_words_by_hand():
    bar = _bar(s0=(0, 8), s1=(2,), s5=(1, 2), s15=range(9))
    words = bars_to_words(bar[None])
    assert words.dtype == np.uint16
    assert words[0, [0, 1, 2, 5, 15]].tolist() == [256 + 1, 64, 0, 128 + 64, 511]
    assert bars_to_words(_bar(12, 5, s0=(0,), s11=(4, 3))[None])[0, [0, 11]].tolist() == [16, 3]
    assert bars_to_words(_bar(12, 7, s3=(0, 6)))[3] == 65


def test_tensors_stay_tensors():
    torch = pytest.importorskip("torch")
    bars = _bar(s0=(0, 8), s5=(1, 2), s15=range(9))[None]
    words = bars_to_words(torch.from_numpy(bars))
    assert words.dtype == torch.int64
    np.testing.assert_array_equal(words, bars_to_words(bars))
    assert torch.equal(words_to_bars(words, 9), torch.from_numpy(bars))


@every_kit
@every_grid
def test_words_bars_text_round_trip(kit, steps):
    @given(_words(steps, kit.n_parts))
    def check(words):
        bars = words_to_bars(words, kit.n_parts)
        assert bars.shape == (*words.shape, kit.n_parts)
        assert bars.dtype == bool
        again = bars_to_words(bars)
        assert again.dtype == np.uint16
        np.testing.assert_array_equal(again, words)
        text = words_to_text(words, kit.n_parts)
        assert text.count("BAR\n") == len(words) == len(text.splitlines())
        read = text_to_words(text, kit.n_parts)
        assert len(read) == len(words)
        for bar, expected in zip(read, words, strict=True):
            assert bar.dtype == np.uint16
            np.testing.assert_array_equal(bar, expected)

    check()


@every_kit
@every_grid
def test_notes_round_trip(kit, steps):
    @given(arrays(np.uint8, (2, steps), elements=st.integers(0, kit.n_parts)))
    def check(notes):
        bars = notes_to_bars(notes, kit.n_parts)
        assert bars.sum() == (notes > 0).sum()
        again = bars_to_notes(bars)
        assert again.dtype == np.uint8
        np.testing.assert_array_equal(again, notes)

    check()


@every_kit
def test_torch_equals_numpy(kit, one_thread):
    import torch

    words = np.random.default_rng(3).integers(0, 2**kit.n_parts, (5, 24))
    expected = words_to_bars(words, kit.n_parts)
    for dtype in (torch.int16, torch.int32, torch.int64, torch.uint16):
        bars = words_to_bars(torch.from_numpy(words).to(dtype), kit.n_parts)
        assert isinstance(bars, torch.Tensor)
        assert bars.dtype == torch.bool
        np.testing.assert_array_equal(bars.numpy(), expected)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint16, np.uint32, np.int64, np.uint64])
def test_words_of_any_integer_type(dtype):
    bars = words_to_bars(np.array([[257, 64, 511]], dtype), 9)
    assert np.argwhere(bars).tolist()[:3] == [[0, 0, 0], [0, 0, 8], [0, 1, 2]]
    assert bars.sum(-1).tolist() == [[2, 1, 9]]


def test_views_keep_leading_axes():
    rng = np.random.default_rng(1)
    bars = rng.random((2, 3, 16, 9)) < 0.3
    words = bars_to_words(bars)
    assert words.shape == (2, 3, 16)
    np.testing.assert_array_equal(words_to_bars(words, 9), bars)
    np.testing.assert_array_equal(words[1, 2], bars_to_words(bars[1, 2]))
    assert bars_to_notes(bars).shape == (2, 3, 16)


def test_a_word_holds_sixteen_parts():
    bars = np.zeros((1, 2, 16), bool)
    bars[0, 0, [0, 15]] = True
    assert bars_to_words(bars).tolist() == [[2**15 + 1, 0]]
    np.testing.assert_array_equal(words_to_bars(bars_to_words(bars), 16), bars)
    with pytest.raises(ValueError, match="16 parts at most, not 17"):
        bars_to_words(np.zeros((1, 2, 17), bool))


@pytest.mark.parametrize("word", [-1, 512, 40000])
def test_words_out_of_range(word):
    with pytest.raises(ValueError, match=rf"0 … 511; found .*{word}"):
        words_to_bars(np.array([[3, word]]), 9)


def test_the_loudest_part_is_the_note():
    bar = _bar(s0=(0, 2), s1=(2, 7), s2=(1,), s3=(3, 4, 8))
    velocities = np.zeros((16, 9), np.uint8)
    velocities[0, [0, 2]] = 90, 91
    velocities[1, [2, 7]] = 100, 100
    velocities[2, 0] = 127  # louder, but no onset
    velocities[3, [3, 4, 8]] = 0, 0, 1
    assert bars_to_notes(bar, velocities)[:5].tolist() == [3, 3, 2, 9, 0]
    assert bars_to_notes(bar)[:5].tolist() == [1, 3, 2, 4, 0]


@pytest.mark.parametrize("note", [-1, 6])
def test_notes_out_of_range(note):
    with pytest.raises(ValueError, match=rf"notes of 5 parts lie in 0 … 5; found .*{note}"):
        notes_to_bars(np.array([[2, note]]), 5)
    assert notes_to_bars(np.array([[0, 5]]), 5).tolist() == [[[False] * 5, [False] * 4 + [True]]]


def test_text_by_hand():
    words = np.zeros((2, 12), np.uint16)
    words[0, 0], words[1, 11] = 16 + 1, 8
    zero = "0b00000"
    assert words_to_text(words, 5) == f"0b10001 {' '.join([zero] * 11)} BAR\n{' '.join([zero] * 11)} 0b01000 BAR\n"
    assert words_to_text(words[:0], 5) == ""


def test_text_has_comments_any_lines_and_several_grids():
    text = "# 0b1 BAR\n" + "0b10000 " * 5 + "# five\n\n" + "0b00001 " * 7 + "BAR " + "0b00010 " * 24 + "\nBAR # end"
    bars = text_to_words(text, 5)
    assert [bar.tolist() for bar in bars] == [[16] * 5 + [1] * 7, [2] * 24]
    assert text_to_words("", 5) == []
    assert text_to_words("# nothing\n", 5) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "0b10000 " * 12 + "BAR\n" + "0b10000 " * 11 + "BAR",
            "line 2: a bar of 11 steps; a bar has 12, 16, 24, 32, 48",
        ),
        ("BAR", "line 1: a bar of 0 steps"),
        ("\n\n0b1000 BAR", "line 3: '0b1000' is neither BAR nor a word of 5 bits"),
        ("0b100000 BAR", "'0b100000' is neither"),
        ("0b10002 BAR", "'0b10002' is neither"),
        ("0B10001 BAR", "'0B10001' is neither"),
        ("10001 BAR", "'10001' is neither"),
        ("0b10000 bar", "'bar' is neither"),
        ("0b-1000 BAR", "'0b-1000' is neither"),
        ("0b1_000 BAR", "'0b1_000' is neither"),
        ("x" * 500, f"'{'x' * 40}' is neither"),
        ("0b10000 " * 12 + "BAR 0b10000", "ends within a bar: 1 words after the last BAR"),
    ],
)
def test_broken_text(text, message):
    with pytest.raises(ValueError, match=message):
        text_to_words(text, 5)


def test_fold_by_hand():
    bar = _bar(s0=(0, 8), s1=(4,), s2=(5, 6), s3=(2, 7), s4=(3, 8), s6=(7,))
    jaki = fold_bars(bar[None], GM9, JAKI5)
    assert jaki.shape == (1, 16, 5)
    assert jaki.dtype == bool
    expected = _bar(16, 5, s0=(0, 3), s1=(4,), s2=(4,), s3=(2,), s4=(3,), s6=(2,))
    np.testing.assert_array_equal(jaki[0], expected)
    seven = fold_bars(bar, GM9, RYTHMGAN7)
    np.testing.assert_array_equal(seven, _bar(16, 7, s0=(0, 5), s1=(4,), s2=(4,), s3=(2, 6), s4=(3, 5), s6=(6,)))
    np.testing.assert_array_equal(fold_bars(bar, GM9, GM9), bar)
    with pytest.raises(ValueError, match="cannot be folded"):
        fold_bars(jaki, JAKI5, GM9)


def test_what_has_no_part_is_dropped():
    bar = _bar(16, 12, s0=(0, 9), s1=(9,), s2=(10, 7), s3=(11, 4), s5=(8, 10, 11))
    np.testing.assert_array_equal(fold_bars(bar[None], GM12, GM9)[0], bar[:, :9])
    seven = fold_bars(bar, GM12, RYTHMGAN7)
    np.testing.assert_array_equal(seven, _bar(16, 7, s0=(0, 6), s1=(6,), s2=(6,), s3=(6, 4), s5=(5, 6)))
    np.testing.assert_array_equal(fold_bars(bar, GM12, JAKI5), _bar(16, 5, s0=(0,), s2=(2,), s3=(4,), s5=(3,)))
    ten = fold_bars(bar, GM12, ROLAND10)
    np.testing.assert_array_equal(ten, _bar(16, 9, s0=(0,), s2=(8,), s3=(4,), s5=(7,)))
    assert not fold_bars(_bar(16, 12, s4=(9, 10, 11)), GM12, GM9).any()


def test_unfold_by_hand():
    """jaki's closed cymbals are the hat, the ride where the ride sounds more often, and so on."""
    bar = _bar(16, 5, s0=(0, 3), s2=(2,), s4=(1, 2), s6=(4,))
    plain = unfold_bars(bar, JAKI5, GM12)
    np.testing.assert_array_equal(plain, _bar(16, 12, s0=(0, 3), s2=(2,), s4=(1, 2), s6=(5,)))
    like = _bar(16, 12, s0=(7, 8), s2=(7, 2), s4=(7,), s5=(6, 8), s7=(2,), s9=(3,), s10=(11,))
    rides = unfold_bars(bar[None], JAKI5, GM12, like)
    np.testing.assert_array_equal(rides[0], _bar(16, 12, s0=(0, 8), s2=(7,), s4=(1, 7), s6=(6,)))
    even = _bar(16, 12, s0=(4, 5), s1=(7, 2))  # of equals the own pitch
    np.testing.assert_array_equal(unfold_bars(bar, JAKI5, GM12, even), plain)
    # no part of nine has the pitch of percussion: the first that folds into it
    percussion = unfold_bars(_bar(16, 7, s3=(6,)), RYTHMGAN7, GM9)
    np.testing.assert_array_equal(percussion, _bar(16, 9, s3=(7,)))
    with pytest.raises(ValueError, match="cannot be folded"):
        unfold_bars(plain, GM12, JAKI5)


@given(words=_words(16, 5), like=arrays(bool, (16, 12)))
def test_folding_gives_back_what_was_unfolded(words, like):
    bars = words_to_bars(words, 5)
    np.testing.assert_array_equal(fold_bars(unfold_bars(bars, JAKI5, GM12, like), GM12, JAKI5), bars)


def test_kit_of():
    assert [kit_of(_bar(16, n)) for n in (12, 9, 7, 5)] == [GM12, GM9, RYTHMGAN7, JAKI5]
    assert kit_of(_bar(16, 9), ROLAND10) == ROLAND10
    for shape in ((16, 8), ()):
        with pytest.raises(ValueError, match=re.escape(f"of a kit; got {shape}: no kit has")):
            kit_of(np.zeros(shape, bool))


@pytest.mark.parametrize("steps", [0, 1, 8, 15, 17, 64, -16])
def test_no_such_grid(steps):
    with pytest.raises(ValueError, match=f"12, 16, 24, 32, 48 steps, not {steps}"):
        check_steps(steps)


def test_grids():
    assert GRIDS == (12, 16, 24, 32, 48)
    assert [check_steps(steps) for steps in GRIDS] == list(GRIDS)


def test_lines_for_a_terminal():
    bar = _bar(s0=(0, 2), s10=(0,), s4=(1,), s15=(2,))
    assert bar_to_lines(bar, GM9).splitlines() == [
        "      kick  x... .... ..x. ....",
        "     snare  .... x... .... ....",
        "closed hat  x... .... .... ...x",
    ]
    assert bar_to_lines(_bar(12, 5, s11=(4,)), JAKI5) == "          toms  ... ... ... ..x"
    assert bar_to_lines(_bar(), GM9) == "(silence)"
